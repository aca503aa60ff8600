/*
 * fleet_calls.h: what the station asks of the database, as a table, so that a test can stand in for
 * it. fleet_db.h says what each of these means.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_CALLS_H
#define KEYLINE_ADAPTERS_FLEET_CALLS_H

#include "fleet_db.h"

struct kl_fleet_calls {
    enum kl_fleet_result (*open)(const char *service, int within_ms, struct kl_fdb **out,
                                 struct kl_fdb_why *why);
    void (*close)(struct kl_fdb *db);
    void (*interrupt)(struct kl_fdb *db);
    enum kl_fleet_result (*hello)(struct kl_fdb *db, int within_ms,
                                  const struct kl_fdb_greeting *greeting, struct kl_fdb_hello *out,
                                  struct kl_fdb_why *why);
    enum kl_fleet_result (*lease)(struct kl_fdb *db, int within_ms, const struct kl_request_id *id,
                                  uint32_t n, kl_fdb_row_fn *each, void *ctx,
                                  struct kl_fdb_why *why);
    enum kl_fleet_result (*report)(struct kl_fdb *db, int within_ms, const struct kl_fdb_item *item,
                                   uint32_t count, int64_t *taken, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why);
    enum kl_fleet_result (*hand_back)(struct kl_fdb *db, int within_ms,
                                      const struct kl_fingerprint *key, uint32_t count,
                                      uint32_t *freed, struct kl_fdb_why *why);
    enum kl_fleet_result (*claim)(struct kl_fdb *db, int within_ms, const struct kl_mac *mac,
                                  const struct kl_fingerprint *key, bool offline,
                                  struct kl_fdb_claim *out, struct kl_fdb_why *why);
    enum kl_fleet_result (*reassert)(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_held *held, uint32_t count, bool first,
                                     bool last, kl_fdb_alarm_fn *each, void *ctx,
                                     struct kl_fdb_why *why);
    enum kl_fleet_result (*status)(struct kl_fdb *db, int within_ms, const char *json,
                                   struct kl_fdb_state *out, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why);
    enum kl_fleet_result (*boards)(struct kl_fdb *db, int within_ms, char cursor[KL_FDB_CURSOR_MAX],
                                   bool *more, bool *anew,
                                   void (*each)(void *ctx, const struct kl_mac *mac,
                                                const char *station),
                                   void *ctx, struct kl_fdb_why *why);
};

extern const struct kl_fleet_calls kl_fleet_calls_real;

#endif
