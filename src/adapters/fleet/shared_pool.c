/* shared_pool.c: the owner's connection, his key, and what only a person can say. */
#include <stdlib.h>
#include <string.h>

#include "fleet_db_text.h"
#include "keyline/secret.h"
#include "shared_private.h"

enum kl_shared_result kl_shared_judge(enum kl_fleet_result result, const struct kl_fdb_why *why,
                                      char error[KL_TEXT_MAX])
{
    if (result == KL_FLEET_OK)
        return KL_SHARED_DONE;
    kl_copy(error, KL_TEXT_MAX, why->text);
    if (result == KL_FLEET_REFUSED)
        return KL_SHARED_NO;
    return result == KL_FLEET_DOUBT ? KL_SHARED_DOUBT : KL_SHARED_AWAY;
}

enum kl_shared_result kl_shared_step(struct kl_shared *s, const char *sql, int count,
                                     const char *const *value, PGresult **out,
                                     char error[KL_TEXT_MAX])
{
    const struct kl_fdb_query query = {.sql = sql, .count = count, .value = value};
    struct kl_fdb_why why;

    return kl_shared_judge(kl_fdb_step(s->db, KL_SHARED_BULK_MS, &query, out, &why), &why, error);
}

enum kl_shared_result kl_shared_begin(struct kl_shared *s, char error[KL_TEXT_MAX])
{
    struct kl_fdb_why why;
    enum kl_shared_result result =
        kl_shared_judge(kl_fdb_begin(s->db, KL_SHARED_PATIENCE_MS, &why), &why, error);

    if (result == KL_SHARED_DONE)
        result =
            kl_shared_step(s,
                           "SET LOCAL lock_timeout = '5s'; SET LOCAL search_path = pg_catalog, "
                           "pg_temp",
                           0, NULL, NULL, error);
    return result;
}

enum kl_shared_result kl_shared_end(struct kl_shared *s, enum kl_shared_result so_far,
                                    char error[KL_TEXT_MAX])
{
    struct kl_fdb_why why;

    if (so_far == KL_SHARED_DONE)
        return kl_shared_judge(kl_fdb_commit(s->db, KL_SHARED_BULK_MS, &why), &why, error);
    kl_fdb_rollback(s->db);
    return so_far;
}

enum kl_shared_result kl_shared_run(struct kl_shared *s, const char *sql, int count,
                                    const char *const *value, PGresult **out,
                                    char error[KL_TEXT_MAX])
{
    const struct kl_fdb_query query = {.sql = sql, .count = count, .value = value};
    enum kl_shared_result result;
    struct kl_fdb_why why;
    PGresult *r;

    result = kl_shared_judge(kl_fdb_transact(s->db, KL_SHARED_PATIENCE_MS, &query, &r, &why), &why,
                             error);
    if (out)
        *out = r;
    else
        kl_pq()->clear(r);
    return result;
}

bool kl_shared_ready(char error[KL_TEXT_MAX])
{
    return kl_pq_load(error);
}

enum kl_shared_result kl_shared_open(const char *service, struct kl_shared **out,
                                     char error[KL_TEXT_MAX])
{
    struct kl_shared *s = calloc(1, sizeof *s);
    enum kl_shared_result result;
    struct kl_fdb_why why;

    *out = NULL;
    if (!s || !kl_seal_start() || !(s->secret = kl_secret_alloc(sizeof *s->secret))) {
        kl_shared_close(s);
        kl_copy(error, KL_TEXT_MAX, "no memory, or libsodium can't be used on this machine");
        return KL_SHARED_AWAY;
    }
    result =
        kl_shared_judge(kl_fdb_open(service, KL_SHARED_PATIENCE_MS, &s->db, &why), &why, error);
    if (result == KL_SHARED_DONE) {
        *out = s;
        return result;
    }
    if (why.cause == KL_FDB_CAUSE_SETTING)
        result = KL_SHARED_INPUT;
    kl_shared_close(s);
    return result;
}

void kl_shared_close(struct kl_shared *s)
{
    if (!s)
        return;
    kl_fdb_close(s->db);
    kl_secret_free(s->secret, sizeof *s->secret);
    free(s);
}

enum kl_shared_result kl_shared_look(struct kl_shared *s, const char *what, const char *name,
                                     char **json, char error[KL_TEXT_MAX])
{
    struct kl_fdb_why why;

    return kl_shared_judge(
        kl_fdb_json(s->db, KL_SHARED_PATIENCE_MS, what, name ? name : "", json, &why), &why, error);
}

const char *kl_shared_bytea(const uint8_t *bytes, size_t size, char *out)
{
    out[0] = '\\';
    out[1] = 'x';
    kl_fdb_hex(bytes, size, out + 2);
    return out;
}

/* ---- the owner's key ---- */

enum kl_shared_result kl_shared_meet(struct kl_shared *s, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result;
    PGresult *r = NULL;

    result = kl_shared_run(
        s, "SELECT id, name, epoch, plain, coalesce(fields, 0), version FROM keyline.pool", 0, NULL,
        &r, error);
    if (result == KL_SHARED_DONE &&
        (kl_pq()->ntuples(r) != 1 || !kl_fdb_read_uuid(kl_fdb_text(r, 0, 0), s->pool))) {
        kl_copy(error, KL_TEXT_MAX, "there is no keyline pool in this database: keyline pool init");
        result = KL_SHARED_NO;
    }
    if (result == KL_SHARED_DONE && strtol(kl_fdb_text(r, 0, 5), NULL, 10) != KL_FDB_SCHEMA) {
        kl_format(error, KL_TEXT_MAX,
                  "the pool's schema has version %s, this program speaks %d: keyline pool init "
                  "--upgrade",
                  kl_fdb_text(r, 0, 5), KL_FDB_SCHEMA);
        result = KL_SHARED_NO;
    }
    if (result == KL_SHARED_DONE) {
        kl_copy(s->name, sizeof s->name, kl_fdb_text(r, 0, 1));
        s->epoch = (uint32_t)strtoul(kl_fdb_text(r, 0, 2), NULL, 10);
        s->plain = kl_fdb_text(r, 0, 3)[0] == 't';
        s->fields = (unsigned)strtoul(kl_fdb_text(r, 0, 4), NULL, 10);
    }
    kl_pq()->clear(r);
    return result;
}

const struct kl_seal_pool_key *kl_shared_key(const struct kl_shared *s, uint32_t epoch)
{
    for (unsigned i = 0; i < s->key_count; i++)
        if (s->secret->key[i].epoch == epoch)
            return &s->secret->key[i];
    return NULL;
}

/* One row of epoch and box, or, of a plain pool, of epoch and pool key. */
static bool take_pool_key(struct kl_shared *s, const PGresult *r, int row)
{
    struct kl_seal_pool_key *to = &s->secret->key[s->key_count];
    const char *hex = kl_fdb_text(r, row, 1);
    struct kl_fdb_sealed_key sealed = {.epoch =
                                           (uint32_t)strtoul(kl_fdb_text(r, row, 0), NULL, 10)};
    bool good;

    if (s->plain) {
        to->epoch = sealed.epoch;
        good = kl_fdb_unhex(hex, to->b, sizeof to->b) == sizeof to->b;
    } else {
        sealed.size = (uint32_t)kl_fdb_unhex(hex, sealed.box, sizeof sealed.box);
        good = kl_seal_open_pool_key(&sealed, s->pool, &s->secret->pair, to);
    }
    s->key_count += good;
    return good;
}

enum kl_shared_result kl_shared_unlock(struct kl_shared *s, const char *path,
                                       char error[KL_TEXT_MAX])
{
    char public[2 * KL_SEAL_KEY + 3];
    const char *value[] = {public};
    enum kl_shared_result result = kl_shared_meet(s, error);
    PGresult *r = NULL;
    bool good = true;

    if (result != KL_SHARED_DONE)
        return result;
    if (!s->plain && !path) {
        kl_copy(error, KL_TEXT_MAX, "this needs the owner's key");
        return KL_SHARED_INPUT;
    }
    if (!s->plain && !kl_seal_pair_read(path, &s->secret->pair, error))
        return KL_SHARED_INPUT;
    kl_shared_bytea(s->secret->pair.public.b, KL_SEAL_KEY, public);
    result = s->plain ? kl_shared_run(s,
                                      "SELECT epoch, encode(pool_key, 'hex') FROM keyline.unsealed "
                                      "ORDER BY epoch DESC LIMIT 256",
                                      0, NULL, &r, error)
                      : kl_shared_run(s,
                                      "SELECT epoch, encode(box, 'hex') FROM keyline.sealed WHERE "
                                      "public_key = $1 ORDER BY epoch DESC LIMIT 256",
                                      1, value, &r, error);
    s->key_count = 0;
    for (int i = 0; result == KL_SHARED_DONE && good && i < kl_pq()->ntuples(r); i++)
        good = take_pool_key(s, r, i);
    kl_pq()->clear(r);
    s->unlocked = result == KL_SHARED_DONE && good && kl_shared_key(s, s->epoch);
    if (result == KL_SHARED_DONE && !s->unlocked) {
        kl_format(error, KL_TEXT_MAX, "%s is not the owner's or the recovery key of pool %s",
                  path ? path : "this", s->name);
        return KL_SHARED_INPUT;
    }
    return result;
}

enum kl_shared_result kl_shared_seal_for(struct kl_shared *s, const struct kl_seal_pool_key *key,
                                         const struct kl_seal_public *to, char error[KL_TEXT_MAX])
{
    char epoch[12], public[2 * KL_SEAL_KEY + 3], box[2 * KL_FDB_SEALED_KEY_MAX + 3];
    const char *value[] = {epoch, public, box};
    struct kl_fdb_sealed_key sealed;

    if (!kl_seal_pool_key(key, s->pool, to, &sealed)) {
        kl_copy(error, KL_TEXT_MAX, "this is no usable public key");
        return KL_SHARED_INPUT;
    }
    kl_format(epoch, sizeof epoch, "%u", (unsigned)key->epoch);
    kl_shared_bytea(to->b, KL_SEAL_KEY, public);
    kl_shared_bytea(sealed.box, sealed.size, box);
    return kl_shared_step(s,
                          "INSERT INTO keyline.sealed (epoch, public_key, box) VALUES ($1, $2, $3) "
                          "ON CONFLICT (epoch, public_key) DO UPDATE SET box = excluded.box",
                          3, value, NULL, error);
}

/* Of a plain pool; its pool key is no secret to who reads the database. */
static enum kl_shared_result keep_plain(struct kl_shared *s, const struct kl_seal_pool_key *key,
                                        char error[KL_TEXT_MAX])
{
    char epoch[12], bytes[2 * KL_SEAL_KEY + 3];
    const char *value[] = {epoch, bytes};

    kl_format(epoch, sizeof epoch, "%u", (unsigned)key->epoch);
    kl_shared_bytea(key->b, KL_SEAL_KEY, bytes);
    return kl_shared_step(s, "INSERT INTO keyline.unsealed (epoch, pool_key) VALUES ($1, $2)", 2,
                          value, NULL, error);
}

enum kl_shared_result kl_shared_seal_key(struct kl_shared *s, const struct kl_seal_pool_key *key,
                                         char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = s->plain ? keep_plain(s, key, error) : KL_SHARED_DONE;
    PGresult *r = NULL;

    if (result == KL_SHARED_DONE)
        result = kl_shared_step(
            s,
            "SELECT encode(owner_key, 'hex') FROM keyline.pool WHERE owner_key IS NOT NULL UNION "
            "ALL SELECT encode(recovery_key, 'hex') FROM keyline.pool WHERE recovery_key IS NOT "
            "NULL UNION ALL SELECT encode(public_key, 'hex') FROM keyline.station WHERE state = "
            "'active'",
            0, NULL, &r, error);
    for (int i = 0; result == KL_SHARED_DONE && i < kl_pq()->ntuples(r); i++) {
        struct kl_seal_public to;
        if (kl_fdb_unhex(kl_fdb_text(r, i, 0), to.b, sizeof to.b) == sizeof to.b)
            result = kl_shared_seal_for(s, key, &to, error);
    }
    kl_pq()->clear(r);
    return result;
}

/* ---- what only a person can say ---- */

enum kl_shared_result kl_shared_settle(struct kl_shared *s, const char *label, const char *as,
                                       const struct kl_mac *mac, const char *why,
                                       char error[KL_TEXT_MAX])
{
    char text[18];
    const char *value[] = {label, as, kl_mac_is_set(mac) ? text : NULL, why};

    kl_mac_format(mac, text);
    return kl_shared_run(s, "SELECT keyline.settle($1, $2, $3, $4)", 4, value, NULL, error);
}

enum kl_shared_result kl_shared_settle_alarm(struct kl_shared *s, int64_t alarm, const char *why,
                                             char error[KL_TEXT_MAX])
{
    char id[24];
    const char *value[] = {id, why};
    enum kl_shared_result result;
    PGresult *r = NULL;

    kl_format(id, sizeof id, "%lld", (long long)alarm);
    result = kl_shared_run(s, "SELECT keyline.settle_alarm($1, $2)", 2, value, &r, error);
    kl_pq()->clear(r);
    return result;
}

enum kl_shared_result kl_shared_reopen(struct kl_shared *s, int64_t set_aside, const char *why,
                                       int64_t *aside, char error[KL_TEXT_MAX])
{
    char number[24];
    const char *value[] = {set_aside < 0 ? NULL : number, why};
    enum kl_shared_result result;
    PGresult *r = NULL;

    kl_format(number, sizeof number, "%lld", (long long)set_aside);
    result = kl_shared_run(s, "SELECT keyline.reopen($1, $2)", 2, value, &r, error);
    if (result == KL_SHARED_DONE)
        *aside = strtoll(kl_fdb_text(r, 0, 0), NULL, 10);
    kl_pq()->clear(r);
    return result;
}

enum kl_shared_result kl_shared_shut(struct kl_shared *s, const char *why, char error[KL_TEXT_MAX])
{
    const char *value[] = {why};

    return kl_shared_run(s, "SELECT keyline.close($1)", 1, value, NULL, error);
}

enum kl_shared_result kl_shared_note(struct kl_shared *s, const char *what, const char *text,
                                     char error[KL_TEXT_MAX])
{
    const char *value[] = {what, text};

    return kl_shared_run(s, "INSERT INTO keyline.event (what, text) VALUES ($1, $2)", 2, value,
                         NULL, error);
}
