#include "signature.h"

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

static const char *read_blocks(const uint8_t *data, size_t at, struct kl_image_info *info,
                               char why[KL_TEXT_MAX])
{
    uint8_t digest[32];

    kl_sha256(data, at, digest);
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        const uint8_t *block = data + at + i * BLOCK;
        if (!is_block(block))
            break;
        if (memcmp(block + 4, digest, sizeof digest) != 0) {
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

/* It ends the file, and nothing in it but its version tells it. */
static bool is_v1(const uint8_t *data, size_t size, size_t at)
{
    return size - at == V1_SIZE && get32(data + at) == 0 && !all_are(data + at + 4, 64, 0) &&
           !all_are(data + at + 4, 64, 0xff);
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
