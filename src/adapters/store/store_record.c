/* store_record.c: what a person looks at, or changes while no station runs. */
#include "store_state.h"

static struct kl_worker *worker_of(const struct kl_store *store)
{
    const struct kl_csv_store *s = (const struct kl_csv_store *)store;

    KL_ASSERT(s->worker && !s->loop);
    return s->worker;
}

bool kl_csv_store_has_record(const struct kl_store *store)
{
    return worker_of(store)->ledger;
}

bool kl_csv_store_keys(struct kl_store *store,
                       bool (*each)(void *ctx, const struct kl_ledger_key *key), void *ctx,
                       char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);

    return !w->ledger || kl_ledger_keys(w->ledger, each, ctx, error);
}

bool kl_csv_store_history(struct kl_store *store, const char *mac, const char *label,
                          bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                          char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);

    return !w->ledger || kl_ledger_history(w->ledger, mac, label, each, ctx, error);
}

bool kl_csv_store_release(struct kl_store *store, const struct kl_ledger_key *key,
                          const char *reason, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);
    struct kl_ledger_change change = {.fingerprint = key->fingerprint,
                                      .mac = key->mac,
                                      .label = key->label,
                                      .reason = reason,
                                      .station = w->station,
                                      .wall = kl_store_wall_clock()};

    KL_ASSERT(w->ledger && !w->look_only);
    if (kl_ledger_begin(w->ledger, error) &&
        kl_ledger_release(w->ledger, &change, error) == KL_STORE_OK &&
        kl_ledger_commit(w->ledger, error))
        return true;
    kl_ledger_rollback(w->ledger);
    return false;
}
