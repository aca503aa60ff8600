/* shared_given.c: who got what, and what is lost, row by row, as the owner sees it. */
#include <stdlib.h>
#include <string.h>

#include "fleet_db_text.h"
#include "keyline/bundle_load.h"
#include "shared_private.h"

/* A page of rows behind the last one: memory stays flat. */
static const char page[] =
    "SELECT k.id, k.label, s.name, coalesce(k.bundle, ''), coalesce(k.how, ''), k.mac, "
    "encode(k.fingerprint, 'hex'), (extract(epoch FROM k.changed) * 1000000)::bigint, k.epoch, "
    "CASE WHEN $2 THEN encode(k.box, 'hex') ELSE '' END FROM keyline.key k JOIN keyline.station s "
    "ON "
    "s.id = k.station WHERE k.state = 'provisioned' AND k.id > $1 ORDER BY k.id LIMIT 1000";

static bool open_key(struct kl_shared *s, const PGresult *r, int i, const struct kl_fingerprint *fp)
{
    uint8_t box[KL_FDB_BOX_MAX];
    struct kl_fdb_row row = {
        .label = kl_fdb_text(r, i, 1),
        .fingerprint = *fp,
        .fields = s->fields,
        .epoch = (uint32_t)strtoul(kl_fdb_text(r, i, 8), NULL, 10),
        .box = {box, kl_fdb_unhex(kl_fdb_text(r, i, 9), box, sizeof box)},
    };
    const struct kl_seal_pool_key *key = kl_shared_key(s, row.epoch);

    return key && kl_seal_open_fields(&row, key, s->pool, kl_sha256, &s->secret->one);
}

static enum kl_shared_result tell(struct kl_shared *s, const PGresult *r, int i, bool keys,
                                  bool (*each)(void *ctx, const struct kl_shared_given *g),
                                  void *ctx, bool *more, char error[KL_TEXT_MAX])
{
    struct kl_shared_given g = {
        .label = kl_fdb_text(r, i, 1),
        .station = kl_fdb_text(r, i, 2),
        .build = kl_fdb_text(r, i, 3),
        .how = kl_fdb_text(r, i, 4),
        .provisioned = strtoll(kl_fdb_text(r, i, 7), NULL, 10),
        .key = keys ? &s->secret->one : NULL,
    };

    kl_mac_parse(kl_fdb_text(r, i, 5), &g.mac);
    kl_fdb_unhex(kl_fdb_text(r, i, 6), g.fingerprint.b, KL_FINGERPRINT);
    if (keys && !open_key(s, r, i, &g.fingerprint)) {
        kl_format(error, KL_TEXT_MAX,
                  "the sealed key %.64s can't be opened: it was changed in the database", g.label);
        return KL_SHARED_NO;
    }
    *more = each(ctx, &g);
    kl_wipe(&s->secret->one, sizeof s->secret->one);
    return KL_SHARED_DONE;
}

enum kl_shared_result kl_shared_given(struct kl_shared *s, bool keys,
                                      bool (*each)(void *ctx, const struct kl_shared_given *g),
                                      void *ctx, char error[KL_TEXT_MAX])
{
    char after[24] = "0";
    const char *value[] = {after, keys ? "true" : "false"};
    enum kl_shared_result result = KL_SHARED_DONE;
    bool more = true;

    KL_ASSERT(!keys || s->unlocked);
    while (result == KL_SHARED_DONE && more) {
        PGresult *r = NULL;
        result = kl_shared_run(s, page, 2, value, &r, error);
        more = more && result == KL_SHARED_DONE && kl_pq()->ntuples(r) > 0;
        for (int i = 0; more && result == KL_SHARED_DONE && i < kl_pq()->ntuples(r); i++) {
            result = tell(s, r, i, keys, each, ctx, &more, error);
            kl_copy(after, sizeof after, kl_fdb_text(r, i, 0));
        }
        kl_pq()->clear(r);
    }
    return result;
}

/* ---- what is to be settled ---- */

static const char lost_page[] =
    "SELECT k.id, k.label, coalesce(s.name, ''), coalesce(k.mac::text, ''), coalesce(k.note, '') "
    "FROM keyline.key k LEFT JOIN keyline.station s ON s.id = k.station WHERE k.state = 'lost' AND "
    "k.id > $1 ORDER BY k.id LIMIT 1000";

enum kl_shared_result kl_shared_lost_keys(struct kl_shared *s,
                                          bool (*each)(void *ctx, const struct kl_shared_lost *k),
                                          void *ctx, char error[KL_TEXT_MAX])
{
    char after[24] = "0";
    const char *value[] = {after};
    enum kl_shared_result result = KL_SHARED_DONE;
    bool more = true;

    while (result == KL_SHARED_DONE && more) {
        PGresult *r = NULL;
        result = kl_shared_run(s, lost_page, 1, value, &r, error);
        more = result == KL_SHARED_DONE && kl_pq()->ntuples(r) > 0;
        for (int i = 0; more && i < kl_pq()->ntuples(r); i++) {
            struct kl_shared_lost k = {.label = kl_fdb_text(r, i, 1),
                                       .station = kl_fdb_text(r, i, 2),
                                       .why = kl_fdb_text(r, i, 4)};
            kl_mac_parse(kl_fdb_text(r, i, 3), &k.mac);
            more = each(ctx, &k);
            kl_copy(after, sizeof after, kl_fdb_text(r, i, 0));
        }
        kl_pq()->clear(r);
    }
    return result;
}
