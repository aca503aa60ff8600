/* partitions.c: reads the partition table in a virtual board's flash (§7.4). */
#include "partitions.h"

#include <string.h>

#include <md5.h>

enum {
    TABLE = 0x8000,
    TABLE_SIZE = 0xC00,
    ROW = 32,
};

static bool row(const struct kl_vboard *b, unsigned index, struct partition *out)
{
    if (TABLE + TABLE_SIZE > b->flash_size || index >= TABLE_SIZE / ROW)
        return false;
    const uint8_t *p = b->flash + TABLE + index * ROW;
    if (p[0] != 0xAA || p[1] != 0x50)
        return false;
    *out = (struct partition){index, p[2], p[3], get_u32(p + 4), get_u32(p + 8)};
    return true;
}

enum partitions_state partitions_check(const struct kl_vboard *b, struct partition *culprit)
{
    struct partition p;
    unsigned count = 0;

    for (; row(b, count, &p); count++)
        if ((uint64_t)p.offset + p.size > b->flash_size) {
            *culprit = p;
            return PARTITIONS_TOO_BIG;
        }
    if (count == 0)
        return PARTITIONS_NONE;
    const uint8_t *after = b->flash + TABLE + count * ROW;
    if (after[0] == 0xEB && after[1] == 0xEB) {
        uint8_t md5[16];
        MD5_CTX sum;
        MD5Init(&sum);
        MD5Update(&sum, b->flash + TABLE, count * ROW);
        MD5Final(md5, &sum);
        if (memcmp(md5, after + 16, sizeof md5) != 0)
            return PARTITIONS_MD5;
    }
    return PARTITIONS_GOOD;
}

bool partitions_find_app(const struct kl_vboard *b, struct partition *out)
{
    struct partition p;
    bool found = false;

    for (unsigned i = 0; row(b, i, &p); i++)
        if (p.type == 0 && (!found || p.subtype < out->subtype)) {
            *out = p;
            found = true;
        }
    return found;
}

struct partition partitions_nvs(const struct kl_vboard *b)
{
    struct partition p = {0, 1, 2, 0x9000, 0x5000};

    if (b->chip->id == KL_CHIP_ESP8266) { /* no table: the usual EEPROM sector at the end */
        p.offset = b->flash_size - 0x5000;
        p.size = SECTOR;
        return p;
    }
    for (unsigned i = 0; row(b, i, &p); i++)
        if (p.type == 1 && p.subtype == 2 && (uint64_t)p.offset + p.size <= b->flash_size)
            return p;
    return (struct partition){0, 1, 2, 0x9000, 0x5000};
}
