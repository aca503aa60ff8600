#include "pool_view.h"

#include <stdlib.h>
#include <string.h>

static bool make_pool(struct pool_view *v)
{
    const struct kl_store_content *c = v->content;
    struct kl_pool_memory *m = &v->memory;

    m->capacity = c->row_count + c->ledger_count;
    for (m->table_size = 2; m->table_size < 2 * (uint64_t)m->capacity;)
        m->table_size *= 2;
    m->key = calloc((size_t)m->capacity + 1, sizeof *m->key);
    m->by_fingerprint = calloc(m->table_size, sizeof(uint32_t));
    m->by_mac = calloc(m->table_size, sizeof(uint32_t));
    m->by_label = calloc(m->table_size, sizeof(uint32_t));
    if (m->key == NULL || m->by_fingerprint == NULL || m->by_mac == NULL || m->by_label == NULL)
        return false;
    kl_pool_load(&v->pool, m, c->rows, c->row_count, c->ledger, c->ledger_count);
    return true;
}

enum kl_exit pool_view_open(const char *csv, bool header, struct pool_view *v,
                            char error[KL_TEXT_MAX])
{
    struct kl_store_options options = {.csv = csv, .header = header, .mode = KL_STORE_LOOK};

    memset(v, 0, sizeof *v);
    switch (kl_store_open(&options, &v->store, error)) {
    case KL_STORE_OPENED:
        v->content = kl_store_content(v->store);
        if (make_pool(v))
            return KL_EXIT_OK;
        kl_copy(error, KL_TEXT_MAX, "no memory");
        pool_view_close(v);
        return KL_EXIT_STORE;
    case KL_STORE_BAD_CSV:
        return KL_EXIT_INPUT;
    default:
        return KL_EXIT_STORE;
    }
}

void pool_view_close(struct pool_view *v)
{
    free(v->memory.key);
    free(v->memory.by_fingerprint);
    free(v->memory.by_mac);
    free(v->memory.by_label);
    kl_store_free(v->store);
}
