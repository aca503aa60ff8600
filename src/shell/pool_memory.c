/* pool_memory.c: allocates the pool's memory, for as many keys as the store knows at that time. */
#include <stdlib.h>

#include "keyline/shell.h"

struct kl_pool_memory *kl_pool_memory_alloc(const struct kl_pool_size *size)
{
    struct kl_pool_memory *m = calloc(1, sizeof *m);
    uint32_t table = 64;

    if (!m || size->keys > UINT32_MAX / 8) {
        free(m);
        return NULL;
    }
    m->capacity = (uint32_t)size->keys + 1;
    while (table < 2 * m->capacity)
        table *= 2;
    m->table_size = table;
    m->text_size = size->text;
    m->key = calloc(m->capacity, sizeof *m->key);
    m->by_fingerprint = calloc(table, sizeof *m->by_fingerprint);
    m->by_mac = calloc(table, sizeof *m->by_mac);
    m->text = malloc(size->text);
    if (m->key && m->by_fingerprint && m->by_mac && m->text)
        return m;
    kl_pool_memory_free(m);
    return NULL;
}

void kl_pool_memory_free(struct kl_pool_memory *m)
{
    if (!m)
        return;
    free(m->key);
    free(m->by_fingerprint);
    free(m->by_mac);
    free(m->text);
    free(m);
}
