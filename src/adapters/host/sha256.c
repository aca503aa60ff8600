/* sha256.c: nettle's SHA-256, which uses a processor's own instructions for it, in the shape that
   the core takes. A start hashes every row of the CSV several times. */
#include <nettle/sha2.h>

#include "keyline/bundle_load.h"

void kl_sha256(const void *data, size_t size, uint8_t out[32])
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, size, data);
    sha256_digest(&context, SHA256_DIGEST_SIZE, out);
    kl_wipe(&context, sizeof context);
}
