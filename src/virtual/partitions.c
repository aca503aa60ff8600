/* partitions.c: reads the partition table in a virtual board's flash (§7.4). */
#include "partitions.h"

#include <string.h>

#include <md5.h>

enum {
    TABLE = 0x8000, /* unless the bootloader was built for another place */
    TABLE_LAST = 0x20000,
    TABLE_SIZE = 0xC00,
    ROW = 32,
    NO_SLOT = -1,
};

static bool begins_table(const struct kl_vboard *b, uint32_t at)
{
    return at + TABLE_SIZE <= b->flash_size && b->flash[at] == 0xAA && b->flash[at + 1] == 0x50;
}

static bool holds_app(const struct kl_vboard *b, uint32_t at)
{
    for (uint32_t i = 0; i < TABLE_SIZE / ROW && begins_table(b, at + i * ROW); i++)
        if (b->flash[at + i * ROW + 2] == 0)
            return true;
    return false;
}

/* The bootloader knows its table's place from its build. Nobody runs it here, so look for the table
   itself. */
uint32_t partitions_table_at(const struct kl_vboard *b)
{
    if (!begins_table(b, TABLE))
        for (uint32_t at = TABLE + SECTOR; at <= TABLE_LAST; at += SECTOR)
            if (begins_table(b, at) && holds_app(b, at))
                return at;
    return TABLE;
}

static bool row_at(const struct kl_vboard *b, uint32_t table, unsigned index, struct partition *out)
{
    if (table + TABLE_SIZE > b->flash_size || index >= TABLE_SIZE / ROW)
        return false;
    const uint8_t *p = b->flash + table + index * ROW;
    if (p[0] != 0xAA || p[1] != 0x50)
        return false;
    *out = (struct partition){index, p[2], p[3], get_u32(p + 4), get_u32(p + 8)};
    return true;
}

enum partitions_state partitions_check(const struct kl_vboard *b, struct partition *culprit)
{
    uint32_t table = partitions_table_at(b);
    struct partition p;
    unsigned count = 0;

    for (; row_at(b, table, count, &p); count++)
        if ((uint64_t)p.offset + p.size > b->flash_size) {
            *culprit = p;
            return PARTITIONS_TOO_BIG;
        }
    if (count == 0)
        return PARTITIONS_NONE;
    const uint8_t *after = b->flash + table + count * ROW;
    if (after[0] == 0xEB && after[1] == 0xEB) {
        uint8_t md5[16];
        MD5_CTX sum;
        MD5Init(&sum);
        MD5Update(&sum, b->flash + table, count * ROW);
        MD5Final(md5, &sum);
        if (memcmp(md5, after + 16, sizeof md5) != 0)
            return PARTITIONS_MD5;
    }
    return PARTITIONS_GOOD;
}

/* ---- which program (§7.6) ---- */

/* What the bootloader remembers of the table: the last one of two partitions of one kind. */
struct apps {
    struct partition factory, test, slot[16], ota;
    unsigned slots;
};

static void remember(struct apps *a, const struct partition *p)
{
    if (p->type == 1 && p->subtype == 0)
        a->ota = *p;
    if (p->type != 0)
        return;
    if (p->subtype == 0)
        a->factory = *p;
    else if (p->subtype == 0x20)
        a->test = *p;
    else if (p->subtype >= 0x10 && p->subtype <= 0x1F) {
        a->slot[p->subtype & 15] = *p;
        a->slots++;
    }
}

struct record {
    uint32_t sequence, state;
    bool is_void, sum_fits;
};

static uint32_t crc_of(uint32_t word)
{
    uint32_t crc = 0; /* all ones, complemented as the ROM's function does at its beginning */

    for (int i = 0; i < 32; i++, word >>= 1)
        crc = (crc >> 1) ^ ((crc ^ word) & 1 ? 0xEDB88320u : 0);
    return ~crc;
}

static struct record record_at(const struct kl_vboard *b, uint32_t at)
{
    const uint8_t *p = b->flash + at;
    struct record r = {.sequence = get_u32(p), .state = get_u32(p + 24)};

    r.is_void = r.sequence == UINT32_MAX || r.state == 3 || r.state == 4;
    r.sum_fits = get_u32(p + 28) == crc_of(r.sequence);
    return r;
}

/* The slot that otadata chooses, NO_SLOT for factory. */
static int chosen_slot(struct kl_vboard *b, const struct apps *a)
{
    struct record r[2] = {record_at(b, a->ota.offset), record_at(b, a->ota.offset + SECTOR)};
    bool good[2];
    int active = -1;

    if ((r[0].is_void && r[1].is_void) || a->slots == 0)
        return a->factory.size ? NO_SLOT : 0;
    for (int i = 0; i < 2; i++)
        good[i] = !r[i].is_void && r[i].sum_fits;
    if (good[0] && good[1])
        active = r[1].sequence > r[0].sequence;
    else if (good[0] || good[1])
        active = good[1];
    if (active >= 0)
        return (int)((r[active].sequence - 1) % a->slots);
    board_say(b, a->factory.size
                     ? "E (50) boot: ota data partition invalid, falling back to factory\r\n"
                     : "E (50) boot: ota data partition invalid and no factory, will try all "
                       "partitions\r\n");
    return NO_SLOT;
}

static void add(struct partition out[PARTITIONS_APPS_MAX], unsigned *count,
                const struct partition *p)
{
    if (p->size)
        out[(*count)++] = *p;
}

unsigned partitions_to_try(struct kl_vboard *b, struct partition out[PARTITIONS_APPS_MAX])
{
    struct apps a = {.slots = 0};
    struct partition p;
    int first = NO_SLOT;
    unsigned count = 0;

    for (unsigned i = 0; row_at(b, partitions_table_at(b), i, &p); i++)
        remember(&a, &p);
    if (a.ota.size && a.ota.size < 2 * SECTOR) {
        board_sayf(b,
                   "E (50) boot: ota_info partition size %u is too small (minimum 8192 bytes)\r\n",
                   (unsigned)a.ota.size);
        return 0;
    }
    if (a.ota.size)
        first = chosen_slot(b, &a);
    for (int i = first; i >= 0; i--)
        if (i < (int)a.slots)
            add(out, &count, &a.slot[i]);
    add(out, &count, &a.factory);
    for (int i = first + 1; i < (int)a.slots; i++)
        add(out, &count, &a.slot[i]);
    add(out, &count, &a.test);
    return count;
}

struct partition partitions_nvs(const struct kl_vboard *b)
{
    struct partition p = {0, 1, 2, 0x9000, 0x5000};

    if (b->chip->id == KL_CHIP_ESP8266) { /* no table: the usual EEPROM sector at the end */
        p.offset = b->flash_size - 0x5000;
        p.size = SECTOR;
        return p;
    }
    for (unsigned i = 0; row_at(b, partitions_table_at(b), i, &p); i++)
        if (p.type == 1 && p.subtype == 2 && (uint64_t)p.offset + p.size <= b->flash_size)
            return p;
    return (struct partition){0, 1, 2, 0x9000, 0x5000};
}
