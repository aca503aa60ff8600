/* pool_folder.c: where a station keeps what belongs to one pool. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/host/disk.h"
#include "adapters/store/journal.h"
#include "pool_folder.h"

/* A service's name is a folder's. A connection text may hold a password: its hash stands for it. */
static void name_of(const char *service, char out[96])
{
    static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

    if (service[0] != '\0' && service[0] != '.' && strlen(service) < 64 &&
        strspn(service, fine) == strlen(service))
        kl_copy(out, 96, service);
    else
        kl_format(out, 96, "connection-%016llx",
                  (unsigned long long)kl_hash(service, strlen(service)));
}

static bool make_folder(const char *path, char error[KL_TEXT_MAX])
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), strerror(errno));
    return false;
}

bool kl_pool_folder(const char *service, bool make, char out[4096], char error[KL_TEXT_MAX])
{
    char state[4096], name[96];

    if (!kl_journal_folder(NULL, make, state, error))
        return false;
    name_of(service, name);
    if (make) {
        if ((size_t)snprintf(out, 4096, "%s/pools", state) >= 4096 || !make_folder(out, error))
            return false;
    }
    if ((size_t)snprintf(out, 4096, "%s/pools/%s", state, name) >= 4096) {
        kl_copy(error, KL_TEXT_MAX, "the state folder's path is too long");
        return false;
    }
    return !make || make_folder(out, error);
}
