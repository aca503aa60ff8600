/*
 * fleet_history.h: reads a ledger beside the station that writes it, for the pool that several
 * stations share: what happened since an entry, and what the ledger says of every key.
 *
 * Blocking, from any thread. Each call opens the ledger and closes it again. It opens no file but
 * through SQLite: closing a file of its own would give up the locks that the station holds on it.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_HISTORY_H
#define KEYLINE_ADAPTERS_FLEET_HISTORY_H

#include "keyline/store.h"

struct kl_fleet_entry {
    int64_t id, wall;
    const char *what; /* as in struct kl_ledger_entry */
    struct kl_mac mac;
    struct kl_fingerprint fingerprint; /* all zero: of an attempt */
    const char *bundle, *reason, *chip, *slot, *result, *how;
};

/* Number of the newest entry; 0 = there is none; -1 = it can't be read. */
int64_t kl_fleet_history_end(const char *ledger);
/* The entries behind `after`, oldest first, at most `most`. False and `error` if it can't be
   read. */
bool kl_fleet_history(const char *ledger, int64_t after, uint32_t most,
                      void (*each)(void *ctx, const struct kl_fleet_entry *entry), void *ctx,
                      char error[KL_TEXT_MAX]);
/* Every key that was ever reserved or provisioned here: "reserved", "provisioned", "released". */
bool kl_fleet_history_keys(const char *ledger,
                           void (*each)(void *ctx, const struct kl_fingerprint *fingerprint,
                                        const struct kl_mac *mac, const char *state),
                           void *ctx, char error[KL_TEXT_MAX]);
/* Number of the newest entry by which this key was released from this board; 0 = there is none; -1
   = the ledger can't be read. */
int64_t kl_fleet_history_released(const char *ledger, const struct kl_fingerprint *fingerprint,
                                  const struct kl_mac *mac);
/* Is this key reserved for this board now? False and `error` if the ledger can't be read. */
bool kl_fleet_history_reserved(const char *ledger, const struct kl_fingerprint *fingerprint,
                               const struct kl_mac *mac, bool *reserved, char error[KL_TEXT_MAX]);
/* The same, or provisioned. */
bool kl_fleet_history_has(const char *ledger, const struct kl_fingerprint *fingerprint,
                          const struct kl_mac *mac, bool *has, char error[KL_TEXT_MAX]);

#endif
