/*
 * fuzz_partition.c: any bytes as a partition table. What is taken as one has partitions that lie
 * apart, do not wrap, and have names fit for a terminal. The first byte says whether the MD5 row is
 * put right.
 */
#include <md5.h>
#include <stdlib.h>
#include <string.h>

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
        must(table.count == 0 || kl_partition_find(&table, table.row[0].type, -1) == &table.row[0]);
    }
    free(copy);
    return 0;
}
