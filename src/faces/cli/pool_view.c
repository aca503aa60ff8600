#include "pool_view.h"

#include <string.h>

#include "keyline/shell.h"

static bool make_pool(struct pool_view *v)
{
    const struct kl_store_content *c = v->content;
    struct kl_pool_size size =
        kl_pool_size_of(&v->pool, c->rows, c->row_count, c->ledger, c->ledger_count);

    v->memory = kl_pool_memory_alloc(&size);
    if (!v->memory)
        return false;
    kl_pool_load(&v->pool, v->memory, c->rows, c->row_count, c->ledger, c->ledger_count);
    return true;
}

enum kl_exit pool_view_open(const char *csv, bool header, bool long_keys, const char *journal,
                            struct pool_view *v, char error[KL_TEXT_MAX])
{
    struct kl_store_options options = {.csv = csv,
                                       .header = header,
                                       .long_keys = long_keys,
                                       .journal = journal,
                                       .mode = KL_STORE_LOOK};

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
    kl_pool_memory_free(v->memory);
    kl_store_free(v->store);
}
