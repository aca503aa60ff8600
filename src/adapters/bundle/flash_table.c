/* flash_table.c: partition tables (docs/esp-serial-protocol.md 7.4). */
#include <md5.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "image.h"

bool kl_partitions_look_like(const uint8_t *data, size_t size)
{
    return size >= 32 && data[0] == 0xaa && data[1] == 0x50;
}

static const char *say(char why[KL_TEXT_MAX], const char *text)
{
    kl_copy(why, KL_TEXT_MAX, text);
    return why;
}

static bool check_md5(const uint8_t *data, size_t rows_size)
{
    uint8_t digest[16];
    MD5_CTX md5;

    MD5Init(&md5);
    MD5Update(&md5, data, rows_size);
    MD5Final(digest, &md5);
    return memcmp(digest, data + rows_size + 16, 16) == 0;
}

static const char *check_row(const struct kl_partition *p, char why[KL_TEXT_MAX])
{
    /* A partition that programs erase by the sector has to begin with a sector. Other data may lie
       at any multiple of 4. */
    bool erased = p->type == 1 && (p->subtype == 0 || p->subtype == 2 || p->subtype == 4);
    uint32_t step = p->type == 0 ? 0x10000 : erased ? 0x1000 : 4;

    if (p->offset % step)
        snprintf(why, KL_TEXT_MAX, "puts partition %s at 0x%x, which is not a multiple of 0x%x",
                 p->name, p->offset, step);
    else if (p->size == 0 || p->offset + p->size < p->offset)
        snprintf(why, KL_TEXT_MAX, "gives partition %s an impossible size", p->name);
    else
        return NULL;
    return why;
}

static const char *check_overlaps(const struct kl_partition_table *t, char why[KL_TEXT_MAX])
{
    for (unsigned i = 0; i < t->count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct kl_partition *a = &t->row[i], *b = &t->row[j];
            if (a->offset < b->offset + b->size && b->offset < a->offset + a->size) {
                snprintf(why, KL_TEXT_MAX, "has two partitions that overlap: %s and %s", b->name,
                         a->name);
                return why;
            }
        }
    return NULL;
}

const char *kl_partitions_read(const uint8_t *data, size_t size, struct kl_partition_table *table,
                               char why[KL_TEXT_MAX])
{
    table->count = 0;
    if (!kl_partitions_look_like(data, size))
        return say(why, "is no partition table: it does not begin with AA 50");
    for (size_t at = 0; at < size && at < KL_PARTITION_TABLE_SIZE; at += 32) {
        const uint8_t *row = data + at;
        struct kl_partition *p = &table->row[table->count];
        if (size - at < 32)
            return say(why, "is cut short: it ends inside a row");
        if (all_are(row, 32, 0xff))
            break;
        if (row[0] == 0xeb && row[1] == 0xeb) {
            if (!check_md5(data, at))
                return say(why, "is damaged: its MD5 does not fit its rows");
            break;
        }
        if (row[0] != 0xaa || row[1] != 0x50 || table->count == KL_PARTITIONS_MAX) {
            snprintf(why, KL_TEXT_MAX, "is damaged: row %zu is no partition", at / 32 + 1);
            return why;
        }
        *p = (struct kl_partition){
            .type = row[2], .subtype = row[3], .offset = get32(row + 4), .size = get32(row + 8)};
        copy_text(p->name, row + 12, 16);
        if (check_row(p, why))
            return why;
        table->count++;
    }
    return check_overlaps(table, why);
}

const struct kl_partition *kl_partition_find(const struct kl_partition_table *table, int type,
                                             int subtype)
{
    for (unsigned i = 0; i < table->count; i++)
        if (table->row[i].type == type && (subtype < 0 || table->row[i].subtype == subtype))
            return &table->row[i];
    return NULL;
}
