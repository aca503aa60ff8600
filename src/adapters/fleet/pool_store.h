/*
 * pool_store.h: the store of a station whose keys come from a shared pool. It is a CSV store on the
 * list of leased keys, and passes everything on to that. Only a RESERVE, which is for a board that
 * this station never gave a key, waits until the pool says that the board is this station's.
 *
 * In the state folder, in pools/<service>: keys.list with its ledger and lock, fleet.db,
 * station.key, and fleet.lock, which one station holds until all its last words are said.
 */
#ifndef KEYLINE_ADAPTERS_POOL_STORE_H
#define KEYLINE_ADAPTERS_POOL_STORE_H

#include "fleet_calls.h"
#include "keyline/store.h"
#include "pool_folder.h"

/* `calls`: kl_fleet_calls_real, unless a test says otherwise. The first start needs the database.
 */
enum kl_store_open_result kl_pool_store_open(const struct kl_store_options *options,
                                             const struct kl_fleet_calls *calls,
                                             struct kl_store **out, char error[KL_TEXT_MAX]);

#endif
