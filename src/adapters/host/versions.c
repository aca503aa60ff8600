#include "keyline/versions.h"

#include <jansson.h>
#include <libdeflate.h>
#include <libserialport.h>
#include <sodium.h>
#include <sqlite3.h>
#include <uv.h>
#include <zlib.h>

const struct kl_library_version *kl_library_versions(void)
{
    static struct kl_library_version all[8];

    all[0] = (struct kl_library_version){"libuv", uv_version_string()};
    all[1] = (struct kl_library_version){"libserialport", sp_get_lib_version_string()};
    all[2] = (struct kl_library_version){"SQLite", sqlite3_libversion()};
    all[3] = (struct kl_library_version){"libdeflate", LIBDEFLATE_VERSION_STRING};
    all[4] = (struct kl_library_version){"zlib", zlibVersion()};
    all[5] = (struct kl_library_version){"jansson", jansson_version_str()};
    all[6] = (struct kl_library_version){"libsodium", sodium_version_string()};
    return all;
}
