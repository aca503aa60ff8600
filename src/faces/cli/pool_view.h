/* pool_view.h: reconciles CSV and ledger as the station does, for reading only. */
#ifndef KEYLINE_FACES_POOL_VIEW_H
#define KEYLINE_FACES_POOL_VIEW_H

#include "keyline/cli.h"
#include "keyline/store.h"

struct pool_view {
    struct kl_store *store;
    const struct kl_store_content *content;
    struct kl_pool pool;
    struct kl_pool_memory *memory;
};

/* KL_EXIT_OK, or the exit status and a sentence. Close it only after OK. `long_keys`: rows that
   only NVS has room for count as keys. */
enum kl_exit pool_view_open(const char *csv, bool header, bool long_keys, const char *journal,
                            struct pool_view *v, char error[KL_TEXT_MAX]);
void pool_view_close(struct pool_view *v);

#endif
