/*
 * fuzz_partition.c: any bytes as a partition table. What is taken as one has partitions that lie
 * apart, do not wrap, and have names fit for a terminal. The first byte says whether the MD5 row is
 * put right.
 */
#include <md5.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/bundle/boot_rule.h"
#include "adapters/bundle/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void put_right(uint8_t *data, size_t size)
{
    MD5_CTX md5;

    for (size_t at = 0; at + 32 <= size; at += 32) {
        if (data[at] != 0xeb || data[at + 1] != 0xeb)
            continue;
        MD5Init(&md5);
        MD5Update(&md5, data, at);
        MD5Final(data + at + 16, &md5);
        return;
    }
}

static void check_row(const struct kl_partition_table *t, unsigned i)
{
    const struct kl_partition *a = &t->row[i];

    must(a->size > 0 && a->offset + a->size > a->offset);
    must(strlen(a->name) <= 16);
    for (const char *c = a->name; *c; c++)
        must(*c >= ' ' && *c <= '~');
    for (unsigned j = 0; j < i; j++) {
        const struct kl_partition *b = &t->row[j];
        must(a->offset >= b->offset + b->size || b->offset >= a->offset + a->size);
    }
}

static bool is_row_of(const struct kl_partition_table *t, const struct kl_partition *row)
{
    return row >= t->row && row < t->row + t->count;
}

/* Any bytes as the choice of the program: what is started is a program of this table, and a choice
   that was made for one starts it. */
static void check_start(const struct kl_partition_table *t, const uint8_t *data, size_t size)
{
    static uint8_t otadata[KL_OTA_SIZE];
    struct kl_boot_choice choice;

    memset(otadata, 0xff, sizeof otadata);
    memcpy(otadata, data, size < KL_OTA_RECORD ? size : KL_OTA_RECORD);
    memcpy(otadata + KL_OTA_SECTOR, data + size / 2, size < 64 ? size / 2 : KL_OTA_RECORD);
    choice = kl_boot_choose(t, otadata);
    must(!choice.row || (is_row_of(t, choice.row) && choice.row->type == 0));
    for (unsigned i = 0; i < t->count; i++)
        if (kl_boot_make_choice(t, &t->row[i], otadata))
            must(kl_boot_choose(t, otadata).row == &t->row[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kl_partition_table table;
    char why[KL_TEXT_MAX] = "";
    uint8_t *copy;

    if (size == 0 || !(copy = malloc(size)))
        return 0;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        put_right(copy, size - 1);
    if (kl_partitions_read(copy, size - 1, &table, why)) {
        must(why[0] != '\0');
    } else {
        must(table.count <= KL_PARTITIONS_MAX);
        for (unsigned i = 0; i < table.count; i++)
            check_row(&table, i);
        check_start(&table, data, size);
        must(table.count == 0 || kl_partition_find(&table, table.row[0].type, -1) == &table.row[0]);
    }
    free(copy);
    return 0;
}
