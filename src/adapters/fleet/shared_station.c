/* shared_station.c: stations come, and are lost; then the pool gets a new key. */
#include <stdlib.h>
#include <string.h>

#include "fleet_db_text.h"
#include "keyline/bundle_load.h"
#include "shared_private.h"

enum {
    REKEY_ROWS = 1000,
    BOX_HEX = 2 * KL_FDB_BOX_MAX + 8,
};

/* ---- adding ---- */

/* The role must be able to log in, and must not be one that may do more than a station. */
static enum kl_shared_result check_role(struct kl_shared *s, const char *role,
                                        char error[KL_TEXT_MAX])
{
    const char *value[] = {role}, *wrong = NULL;
    enum kl_shared_result result;
    PGresult *r = NULL;

    result = kl_shared_step(
        s,
        "SELECT r.rolcanlogin, r.rolsuper OR r.rolcreaterole OR r.rolbypassrls OR "
        "r.rolreplication, "
        "pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER') FROM pg_catalog.pg_roles r, "
        "pg_catalog.pg_namespace n WHERE r.rolname = $1 AND n.nspname = 'keyline'",
        1, value, &r, error);
    if (result != KL_SHARED_DONE)
        return result;
    if (kl_pq()->ntuples(r) == 0)
        wrong = "there is no such role; make one: createuser --pwprompt";
    else if (kl_fdb_text(r, 0, 0)[0] != 't')
        wrong = "this role can't log in: ALTER ROLE … LOGIN";
    else if (kl_fdb_text(r, 0, 1)[0] == 't' || kl_fdb_text(r, 0, 2)[0] == 't')
        wrong = "this role may do more than a station should: give the station one of its own";
    kl_pq()->clear(r);
    if (!wrong)
        return KL_SHARED_DONE;
    kl_format(error, KL_TEXT_MAX, "%s: %s", role, wrong);
    return KL_SHARED_NO;
}

static enum kl_shared_result grant(struct kl_shared *s, const char *role, char error[KL_TEXT_MAX])
{
    const char *value[] = {role};
    enum kl_shared_result result;
    PGresult *r = NULL;
    char sql[256];

    result = kl_shared_step(s,
                            "SELECT pg_catalog.pg_has_role($1::name, 'keyline_station', 'MEMBER'), "
                            "pg_catalog.quote_ident($1)",
                            1, value, &r, error);
    if (result == KL_SHARED_DONE && kl_fdb_text(r, 0, 0)[0] != 't') {
        kl_format(sql, sizeof sql, "GRANT keyline_station TO %s", kl_fdb_text(r, 0, 1));
        result = kl_shared_step(s, sql, 0, NULL, NULL, error);
        if (result == KL_SHARED_NO)
            kl_format(error, KL_TEXT_MAX, "this user may not grant it; let an administrator: %s",
                      sql);
    }
    kl_pq()->clear(r);
    return result;
}

/* Names and keys that are taken, in words. *known: this very station is there. */
static enum kl_shared_result check_taken(struct kl_shared *s, const struct kl_shared_station *how,
                                         const char *public, bool *known, char error[KL_TEXT_MAX])
{
    const char *value[] = {how->name, how->role, public};
    enum kl_shared_result result;
    PGresult *r = NULL;

    *known = false;
    result = kl_shared_step(
        s,
        "SELECT name, role, state, name = $1 AND role = $2 AND public_key = $3 AND state = "
        "'active', "
        "name = $1, public_key = $3 FROM keyline.station WHERE name = $1 OR public_key = $3 OR "
        "(role = $2 AND state = 'active')",
        3, value, &r, error);
    if (result != KL_SHARED_DONE || kl_pq()->ntuples(r) == 0) {
        kl_pq()->clear(r);
        return result;
    }
    *known = kl_pq()->ntuples(r) == 1 && kl_fdb_text(r, 0, 3)[0] == 't';
    if (!*known) {
        kl_format(error, KL_TEXT_MAX, "station %.64s (%s) has this %s already%s",
                  kl_fdb_text(r, 0, 0), kl_fdb_text(r, 0, 2),
                  kl_fdb_text(r, 0, 4)[0] == 't'   ? "name"
                  : kl_fdb_text(r, 0, 5)[0] == 't' ? "public key"
                                                   : "role",
                  strcmp(kl_fdb_text(r, 0, 2), "lost") == 0
                      ? ": who is lost comes back under another name, with a new key"
                      : "");
        result = KL_SHARED_NO;
    }
    kl_pq()->clear(r);
    return result;
}

static enum kl_shared_result put_station(struct kl_shared *s, const struct kl_shared_station *how,
                                         const char *public, bool known, char error[KL_TEXT_MAX])
{
    char cap[12], allotment[24];
    const char *value[] = {how->name, how->role, public, how->lease_cap > 0 ? cap : NULL,
                           how->allotment >= 0 ? allotment : NULL};

    kl_format(cap, sizeof cap, "%u", (unsigned)how->lease_cap);
    kl_format(allotment, sizeof allotment, "%lld", (long long)how->allotment);
    if (known)
        return kl_shared_step(
            s,
            "UPDATE keyline.station SET lease_cap = $4, allotment = $5 WHERE name "
            "= $1 AND role = $2 AND public_key = $3",
            5, value, NULL, error);
    return kl_shared_step(
        s,
        "WITH new AS (INSERT INTO keyline.station (name, role, public_key, lease_cap, allotment, "
        "told_system_identifier, told_timeline) SELECT $1, $2, $3, $4, $5, f.system_identifier, "
        "f.timeline FROM keyline.fence() f RETURNING id) INSERT INTO keyline.event (what, station, "
        "text) SELECT 'added', id, 'role ' || $2 FROM new",
        5, value, NULL, error);
}

enum kl_shared_result kl_shared_add_station(struct kl_shared *s,
                                            const struct kl_shared_station *how,
                                            char error[KL_TEXT_MAX])
{
    char public[2 * KL_SEAL_KEY + 3];
    enum kl_shared_result result;
    struct kl_seal_public key;
    bool known = false;

    KL_ASSERT(s->unlocked);
    if (!kl_seal_public_parse(how->public, &key)) {
        kl_copy(error, KL_TEXT_MAX,
                "this is no station's public key; keyline pool join prints it on the station");
        return KL_SHARED_INPUT;
    }
    kl_shared_bytea(key.b, KL_SEAL_KEY, public);
    result = kl_shared_begin(s, error);
    if (result == KL_SHARED_DONE)
        result = check_role(s, how->role, error);
    if (result == KL_SHARED_DONE)
        result = check_taken(s, how, public, &known, error);
    if (result == KL_SHARED_DONE)
        result = put_station(s, how, public, known, error);
    /* Keys of older epochs may still be free. */
    for (unsigned i = 0; result == KL_SHARED_DONE && i < s->key_count; i++)
        result = kl_shared_seal_for(s, &s->secret->key[i], &key, error);
    if (result == KL_SHARED_DONE)
        result = grant(s, how->role, error);
    return kl_shared_end(s, result, error);
}

/* ---- lost ---- */

/* A session of this role may hold a lock, or go on. It fails where this user may not: then
   lock_timeout tells. */
static void end_sessions(struct kl_shared *s, const char *station)
{
    const char *value[] = {station};
    char ignored[KL_TEXT_MAX];

    kl_shared_run(
        s,
        "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a, "
        "keyline.station s WHERE s.name = $1 AND s.state = 'active' AND a.usename = s.role "
        "AND a.datname = current_database() AND a.pid <> pg_catalog.pg_backend_pid()",
        1, value, NULL, ignored);
}

static enum kl_shared_result next_key(struct kl_shared *s, char error[KL_TEXT_MAX])
{
    struct kl_seal_pool_key *key;
    enum kl_shared_result result;
    char epoch[12];
    const char *value[] = {epoch};

    if (s->key_count == KL_SHARED_EPOCHS_MAX) {
        kl_copy(error, KL_TEXT_MAX, "the pool has had 256 keys");
        return KL_SHARED_NO;
    }
    key = &s->secret->key[s->key_count];
    kl_seal_pool_key_make(s->epoch + 1, key);
    kl_format(epoch, sizeof epoch, "%u", (unsigned)key->epoch);
    result = kl_shared_seal_key(s, key, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(s, "UPDATE keyline.pool SET epoch = $1, rekey_due = false", 1,
                                value, NULL, error);
    return result;
}

/* The transaction that made the next key has ended. */
static enum kl_shared_result keep_key(struct kl_shared *s, enum kl_shared_result result, bool made)
{
    if (made) {
        s->key_count++;
        s->epoch++;
    }
    return result;
}

enum kl_shared_result kl_shared_lose(struct kl_shared *s, const char *station, const char *why,
                                     uint32_t *keys, char error[KL_TEXT_MAX])
{
    const char *value[] = {station, why};
    enum kl_shared_result result;
    PGresult *r = NULL;

    end_sessions(s, station);
    result = kl_shared_begin(s, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(s, "SELECT keyline.lose($1, $2)", 2, value, &r, error);
    *keys = r ? (uint32_t)strtoul(kl_fdb_text(r, 0, 0), NULL, 10) : 0;
    kl_pq()->clear(r);
    if (result == KL_SHARED_DONE && s->unlocked)
        result = next_key(s, error);
    result = kl_shared_end(s, result, error);
    return keep_key(s, result, result == KL_SHARED_DONE && s->unlocked);
}

/* ---- a new key for what is free ---- */

struct rekeying {
    struct kl_shared *s;
    char *ids, *boxes; /* SQL arrays */
    size_t ids_size, boxes_size;
};

static bool rekey_row(struct rekeying *k, const PGresult *r, int i)
{
    struct kl_shared_secrets *secret = k->s->secret;
    uint8_t old[KL_FDB_BOX_MAX], new[KL_FDB_BOX_MAX];
    struct kl_fdb_row row = {
        .label = kl_fdb_text(r, i, 1),
        .fields = k->s->fields,
        .epoch = (uint32_t)strtoul(kl_fdb_text(r, i, 3), NULL, 10),
        .box = {old, kl_fdb_unhex(kl_fdb_text(r, i, 4), old, sizeof old)},
    };
    const struct kl_seal_pool_key *from = kl_shared_key(k->s, row.epoch);
    const char *comma = i > 0 ? "," : "";
    size_t n;

    kl_fdb_unhex(kl_fdb_text(r, i, 2), row.fingerprint.b, KL_FINGERPRINT);
    if (!from || !kl_seal_open_fields(&row, from, k->s->pool, kl_sha256, &secret->one))
        return false;
    n = kl_seal_fields(&secret->one, kl_shared_key(k->s, k->s->epoch), k->s->pool, new);
    kl_wipe(&secret->one, sizeof secret->one);
    k->ids_size += kl_format(k->ids + k->ids_size, 24, "%s%s", comma, kl_fdb_text(r, i, 0));
    k->boxes_size += kl_format(k->boxes + k->boxes_size, 3, "%s", comma);
    kl_fdb_hex(new, n, k->boxes + k->boxes_size);
    k->boxes_size += 2 * n;
    return n > 0;
}

static enum kl_shared_result rekey_rows(struct rekeying *k, const PGresult *r,
                                        char error[KL_TEXT_MAX])
{
    char epoch[12];
    const char *value[] = {k->ids, k->boxes, epoch};

    k->ids_size = k->boxes_size = 1;
    k->ids[0] = k->boxes[0] = '{';
    for (int i = 0; i < kl_pq()->ntuples(r); i++)
        if (!rekey_row(k, r, i)) {
            kl_format(error, KL_TEXT_MAX,
                      "the sealed key %.64s can't be opened: it was changed in the "
                      "database",
                      kl_fdb_text(r, i, 1));
            return KL_SHARED_NO;
        }
    kl_copy(k->ids + k->ids_size, 2, "}");
    kl_copy(k->boxes + k->boxes_size, 2, "}");
    kl_format(epoch, sizeof epoch, "%u", (unsigned)k->s->epoch);
    return kl_shared_step(k->s,
                          "UPDATE keyline.key k SET box = decode(n.box, 'hex'), epoch = $3 FROM "
                          "unnest($1::bigint[], $2::text[]) n (id, box) WHERE k.id = n.id",
                          3, value, NULL, error);
}

/* One transaction. *rows gets how many. */
static enum kl_shared_result rekey_some(struct rekeying *k, uint32_t *rows, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = kl_shared_begin(k->s, error);
    char epoch[12], most[12];
    const char *value[] = {epoch, most};
    PGresult *r = NULL;

    kl_format(epoch, sizeof epoch, "%u", (unsigned)k->s->epoch);
    kl_format(most, sizeof most, "%d", REKEY_ROWS);
    *rows = 0;
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(
            k->s,
            "SELECT k.id, k.label, encode(k.fingerprint, 'hex'), k.epoch, encode(k.box, 'hex') "
            "FROM "
            "keyline.key k JOIN keyline.free f ON f.id = k.id WHERE k.state = 'free' AND k.epoch < "
            "$1 LIMIT $2 FOR UPDATE SKIP LOCKED",
            2, value, &r, error);
    if (result == KL_SHARED_DONE && kl_pq()->ntuples(r) > 0)
        result = rekey_rows(k, r, error);
    result = kl_shared_end(k->s, result, error);
    if (result == KL_SHARED_DONE)
        *rows = (uint32_t)kl_pq()->ntuples(r);
    kl_pq()->clear(r);
    return result;
}

/* A station was lost when the owner's key was not at hand. */
static enum kl_shared_result make_due_key(struct kl_shared *s, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = kl_shared_begin(s, error);
    PGresult *r = NULL;
    bool due;

    if (result == KL_SHARED_DONE)
        result =
            kl_shared_step(s, "SELECT rekey_due FROM keyline.pool FOR UPDATE", 0, NULL, &r, error);
    due = result == KL_SHARED_DONE && kl_fdb_text(r, 0, 0)[0] == 't';
    kl_pq()->clear(r);
    if (due)
        result = next_key(s, error);
    result = kl_shared_end(s, result, error);
    return keep_key(s, result, due && result == KL_SHARED_DONE);
}

enum kl_shared_result kl_shared_rekey(struct kl_shared *s,
                                      void (*progress)(void *ctx, uint64_t done), void *ctx,
                                      uint64_t *done, char error[KL_TEXT_MAX])
{
    struct rekeying k = {.s = s,
                         .ids = malloc(REKEY_ROWS * 24 + 8),
                         .boxes = malloc((size_t)REKEY_ROWS * BOX_HEX + 8)};
    enum kl_shared_result result = k.ids && k.boxes ? KL_SHARED_DONE : KL_SHARED_AWAY;
    uint32_t rows = 1;

    KL_ASSERT(s->unlocked);
    *done = 0;
    if (result == KL_SHARED_DONE)
        result = make_due_key(s, error);
    while (result == KL_SHARED_DONE && rows > 0) {
        result = rekey_some(&k, &rows, error);
        *done += rows;
        if (progress && rows > 0)
            progress(ctx, *done);
    }
    free(k.ids);
    free(k.boxes);
    return result;
}
