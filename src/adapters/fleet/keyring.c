#include "keyring.h"

#include <stdlib.h>
#include <string.h>

#include "keyline/bundle_load.h"
#include "keyline/secret.h"
#include "seal.h"

enum {
    EPOCHS_MAX = 256,
};

/* In secret memory. */
struct secrets {
    struct kl_seal_pair pair;
    struct kl_seal_pool_key key[EPOCHS_MAX];
};

struct kl_keyring {
    uv_mutex_t lock;
    uint8_t pool[KL_FDB_UUID];
    unsigned count;
    struct secrets *secret;
};

struct kl_keyring *kl_keyring_open(const char *station_key, char error[KL_TEXT_MAX])
{
    struct kl_keyring *k = calloc(1, sizeof *k);

    KL_ASSERT(k);
    uv_mutex_init(&k->lock);
    k->secret = kl_secret_alloc(sizeof *k->secret);
    if (!k->secret)
        kl_copy(error, KL_TEXT_MAX, "no memory");
    else if (!kl_seal_start())
        kl_copy(error, KL_TEXT_MAX, "libsodium can't be used on this machine");
    else if (kl_seal_pair_read(station_key, &k->secret->pair, error))
        return k;
    kl_keyring_free(k);
    return NULL;
}

void kl_keyring_free(struct kl_keyring *k)
{
    if (!k)
        return;
    kl_secret_free(k->secret, sizeof *k->secret);
    uv_mutex_destroy(&k->lock);
    free(k);
}

void kl_keyring_set_pool(struct kl_keyring *k, const uint8_t pool[KL_FDB_UUID])
{
    uv_mutex_lock(&k->lock);
    if (memcmp(k->pool, pool, sizeof k->pool) != 0) {
        kl_wipe(k->secret->key, sizeof k->secret->key);
        k->count = 0;
        memcpy(k->pool, pool, sizeof k->pool);
    }
    uv_mutex_unlock(&k->lock);
}

/* NULL if there is none. Under the lock. */
static const struct kl_seal_pool_key *of_epoch(const struct kl_keyring *k, uint32_t epoch)
{
    for (unsigned i = 0; i < k->count; i++)
        if (k->secret->key[i].epoch == epoch)
            return &k->secret->key[i];
    return NULL;
}

bool kl_keyring_add(struct kl_keyring *k, const struct kl_fdb_sealed_key *sealed)
{
    bool ok;

    uv_mutex_lock(&k->lock);
    ok = of_epoch(k, sealed->epoch);
    if (!ok && k->count < EPOCHS_MAX) {
        ok = kl_seal_open_pool_key(sealed, k->pool, &k->secret->pair, &k->secret->key[k->count]);
        k->count += ok;
    }
    uv_mutex_unlock(&k->lock);
    return ok;
}

bool kl_keyring_has(struct kl_keyring *k, uint32_t epoch)
{
    bool has;

    uv_mutex_lock(&k->lock);
    has = of_epoch(k, epoch);
    uv_mutex_unlock(&k->lock);
    return has;
}

bool kl_keyring_open_row(void *ctx, const struct kl_leased_row *row, struct kl_key *key,
                         char error[KL_TEXT_MAX])
{
    struct kl_fdb_row sealed = {
        .label = row->label,
        .fingerprint = row->fingerprint,
        .kin = row->kin,
        .fields = row->fields,
        .epoch = row->epoch,
        .box = {row->box, row->box_size},
    };
    const struct kl_seal_pool_key *pool_key;
    struct kl_keyring *k = ctx;
    bool ok = false;

    kl_secret_stack();
    uv_mutex_lock(&k->lock);
    pool_key = of_epoch(k, row->epoch);
    if (!pool_key)
        kl_format(error, KL_TEXT_MAX, "%.40s is sealed with a pool key that this station lacks",
                  row->label);
    else if (!(ok = kl_seal_open_fields(&sealed, pool_key, k->pool, kl_sha256, key)))
        kl_format(error, KL_TEXT_MAX, "the box of %.40s can't be opened: tell the pool's owner",
                  row->label);
    uv_mutex_unlock(&k->lock);
    return ok;
}
