/*
 * keyring.h: a station's own pair and the pool keys that were sealed for it, in secret memory. The
 * store's worker opens one box at a time with it; the fleet's thread adds pool keys as they come.
 * From any thread.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_KEYRING_H
#define KEYLINE_ADAPTERS_FLEET_KEYRING_H

#include "fleet_db.h"
#include "keyline/leased.h"

struct kl_keyring;

/* Reads the station's pair. NULL and `error` if that fails. */
struct kl_keyring *kl_keyring_open(const char *station_key, char error[KL_TEXT_MAX]);
void kl_keyring_free(struct kl_keyring *k);
/* Whose boxes it opens. Forgets the keys of any other pool. */
void kl_keyring_set_pool(struct kl_keyring *k, const uint8_t pool[KL_FDB_UUID]);
/* Adds a pool key. False if it was not sealed for this station, or for another pool. */
bool kl_keyring_add(struct kl_keyring *k, const struct kl_fdb_sealed_key *sealed);
bool kl_keyring_has(struct kl_keyring *k, uint32_t epoch);
/* For struct kl_leased: `ctx` is the keyring. */
bool kl_keyring_open_row(void *ctx, const struct kl_leased_row *row, struct kl_key *key,
                         char error[KL_TEXT_MAX]);

#endif
