/* pool_memory.c: allocates the pool's memory, for as many keys as the store knows at that time. */
#include <stdlib.h>

#include "keyline/shell.h"

struct kl_pool_memory *kl_pool_memory_alloc(const struct kl_pool_size *size)
{
    struct kl_pool_memory *m = calloc(1, sizeof *m);
    size_t table;

    if (!m || size->keys >= KL_INDEX_ITEMS_MAX) {
        free(m);
        return NULL;
    }
    m->capacity = (uint32_t)size->keys + 1;
    m->own_capacity = (uint32_t)size->own + 1;
    table = kl_index_size(m->capacity);
    m->text_size = size->text;
    /* The system gives a page of it only when the pool first writes there. */
    m->key = calloc(m->capacity, sizeof *m->key);
    m->mac = calloc(m->capacity, sizeof *m->mac);
    m->by_fingerprint = calloc(table, sizeof *m->by_fingerprint);
    m->by_mac = calloc(table, sizeof *m->by_mac);
    m->own = calloc(m->own_capacity, sizeof *m->own);
    m->text = malloc(size->text);
    if (m->key && m->mac && m->by_fingerprint && m->by_mac && m->own && m->text)
        return m;
    kl_pool_memory_free(m);
    return NULL;
}

void kl_pool_memory_free(struct kl_pool_memory *m)
{
    if (!m)
        return;
    free(m->key);
    free(m->mac);
    free(m->own);
    free(m->by_fingerprint);
    free(m->by_mac);
    free(m->text);
    free(m);
}
