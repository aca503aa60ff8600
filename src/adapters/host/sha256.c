/* sha256.c: libmd's SHA-256 in the shape that the core takes. */
#include <sha2.h>

#include "keyline/bundle_load.h"

void kl_sha256(const void *data, size_t size, uint8_t out[32])
{
    SHA2_CTX context;

    SHA256Init(&context);
    SHA256Update(&context, data, size);
    SHA256Final(out, &context);
    kl_wipe(&context, sizeof context);
}
