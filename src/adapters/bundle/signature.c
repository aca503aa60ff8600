#include "signature.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "keyline/bundle_load.h"

enum {
    SECTOR_SIZE = 0x1000,
    BLOCK = 1216, /* of Secure Boot V2; up to three in a sector */
    BLOCK_SUM_AT = 1196,
    BLOCKS_MAX = 3,
    V1_SIZE = 68, /* four bytes of version 0, and r and s */
};

/* The magic byte, and the version: 2 is RSA, 3 is ECDSA. */
static bool is_block(const uint8_t *block)
{
    return block[0] == 0xe7 && (block[1] == 2 || block[1] == 3);
}

/* An ECDSA block says in its third byte that its digest is SHA-384's. */
static bool digest_fits(const uint8_t *block, const uint8_t *data, size_t size)
{
    uint8_t digest[SHA384_DIGEST_LENGTH];
    SHA2_CTX sha;

    if (block[1] != 3 || block[2] != 1) {
        kl_sha256(data, size, digest);
        return memcmp(block + 4, digest, 32) == 0;
    }
    SHA384Init(&sha);
    SHA384Update(&sha, data, size);
    SHA384Final(digest, &sha);
    return memcmp(block + 4, digest, sizeof digest) == 0;
}

static const char *read_blocks(const uint8_t *data, size_t at, struct kl_image_info *info,
                               char why[KL_TEXT_MAX])
{
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        const uint8_t *block = data + at + i * BLOCK;
        if (!is_block(block))
            break;
        if (!digest_fits(block, data, at)) {
            snprintf(why, KL_TEXT_MAX,
                     "was changed after it was signed: signature %u is for other bytes", i + 1);
            return why;
        }
        info->signature_odd |= get32(block + BLOCK_SUM_AT) != crc32(0, block, BLOCK_SUM_AT);
    }
    info->signature = KL_SIGNATURE_V2;
    info->end = at + SECTOR_SIZE;
    return NULL;
}

/* A V1 signature ends the file, with up to 15 bytes of padding before or behind it. Only its
   version, which is 0, tells it from other bytes. */
static bool is_v1(const uint8_t *data, size_t size, size_t from)
{
    size_t left = size - from;

    return left >= V1_SIZE && left < V1_SIZE + 16 && get32(data + from) == 0 &&
           !all_are(data + from + 4, left - 4, 0) && !all_are(data + from + 4, left - 4, 0xff);
}

const char *kl_signature_read(const uint8_t *data, size_t size, struct kl_image_info *info,
                              char why[KL_TEXT_MAX])
{
    size_t at = (info->length + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;

    if (size >= at + SECTOR_SIZE && is_block(data + at))
        return read_blocks(data, at, info, why);
    if (size > at && is_block(data + at)) {
        snprintf(why, KL_TEXT_MAX, "is cut short: it ends within its signature");
        return why;
    }
    if (is_v1(data, size, info->length)) {
        info->signature = KL_SIGNATURE_V1;
        info->end = size;
    }
    return NULL;
}
