/*
 * pool_meet.h: what stands before a station's store on a shared pool: one station at a time, the
 * station's key, and a pool that this machine has met.
 */
#ifndef KEYLINE_ADAPTERS_POOL_MEET_H
#define KEYLINE_ADAPTERS_POOL_MEET_H

#include "fleet_hand.h"
#include "keyline/store.h"

/* Takes the station's lock in its folder: *lock is a descriptor, the caller's, or < 0. Waits some
   seconds for a station that is ending. */
enum kl_store_open_result kl_pool_lock(const char *folder, int *lock, char error[KL_TEXT_MAX]);
/* Opens what the station keeps in its folder. *keyring is the caller's, NULL if there is none. */
enum kl_store_open_result kl_pool_open_hand(struct kl_fleet_hand *h, struct kl_keyring **keyring,
                                            const char *folder, const char *service,
                                            const struct kl_fleet_calls *calls,
                                            char error[KL_TEXT_MAX]);
/* A machine that never met the pool has to, once: asks the database, for some seconds. AWAY: it is
   silent, and may answer later. */
enum kl_store_open_result kl_pool_meet(struct kl_fleet_hand *h, char error[KL_TEXT_MAX]);

#endif
