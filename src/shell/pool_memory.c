/* pool_memory.c: the pool's memory, for as many keys as are known when it is made. */
#include <stdlib.h>

#include "keyline/shell.h"

struct kl_pool_memory *kl_pool_memory_alloc(uint64_t keys)
{
    struct kl_pool_memory *m = calloc(1, sizeof *m);
    uint32_t size = 64;

    if (!m || keys > UINT32_MAX / 8) {
        free(m);
        return NULL;
    }
    m->capacity = (uint32_t)keys + 1;
    while (size < 2 * m->capacity)
        size *= 2;
    m->table_size = size;
    m->key = calloc(m->capacity, sizeof *m->key);
    m->by_fingerprint = calloc(size, sizeof *m->by_fingerprint);
    m->by_mac = calloc(size, sizeof *m->by_mac);
    m->by_label = calloc(size, sizeof *m->by_label);
    if (m->key && m->by_fingerprint && m->by_mac && m->by_label)
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
    free(m->by_label);
    free(m);
}
