/* shared_make.c: a pool comes to be, and its schema becomes what this program speaks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "fleet_db_text.h"
#include "keyline/secret.h"
#include "pool_folder.h"
#include "shared_private.h"

extern const char kl_fleet_schema[]; /* schema.sql */

static const char migration[] = "\n-- @migration ", functions[] = "\n-- @functions";

/* Roles belong to the whole server, and are there already if it has another pool. */
static const char roles[] =
    "DO $$ BEGIN "
    "IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'keyline_station') THEN "
    "CREATE ROLE keyline_station NOLOGIN; END IF; "
    "IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'keyline_watch') THEN "
    "CREATE ROLE keyline_watch NOLOGIN; END IF; END $$";

static enum kl_shared_result run_part(struct kl_shared *s, const char *from, const char *to,
                                      char error[KL_TEXT_MAX])
{
    char *sql = strndup(from, to ? (size_t)(to - from) : strlen(from));
    enum kl_shared_result result;

    if (!sql) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return KL_SHARED_AWAY;
    }
    result = kl_shared_step(s, sql, 0, NULL, NULL, error);
    free(sql);
    return result;
}

/* All migrations above `have`, then the functions. */
static enum kl_shared_result run_schema(struct kl_shared *s, int have, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result =
        kl_shared_step(s, "SET LOCAL client_min_messages = 'warning'", 0, NULL, NULL, error);
    const char *last = strstr(kl_fleet_schema, functions);

    KL_ASSERT(last);
    for (const char *at = strstr(kl_fleet_schema, migration); at && at < last;) {
        const char *text = at + strlen(migration), *next = strstr(text, migration);
        if (!next || next > last)
            next = last;
        if (result == KL_SHARED_DONE && strtol(text, NULL, 10) > have)
            result = run_part(s, strchr(text, '\n'), next, error);
        at = next;
    }
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(s, roles, 0, NULL, NULL, error);
    if (result == KL_SHARED_NO)
        kl_copy(
            error, KL_TEXT_MAX,
            "this user may not make schemas or roles; let an administrator give it the database, "
            "and: CREATE ROLE keyline_station; CREATE ROLE keyline_watch");
    if (result == KL_SHARED_DONE)
        result = run_part(s, last, NULL, error);
    return result;
}

/* *version: 0 = there is no pool. */
static enum kl_shared_result find_version(struct kl_shared *s, int *version,
                                          char error[KL_TEXT_MAX])
{
    enum kl_shared_result result;
    PGresult *r = NULL;

    *version = 0;
    result = kl_shared_run(s, "SELECT to_regclass('keyline.pool') IS NOT NULL", 0, NULL, &r, error);
    if (result != KL_SHARED_DONE || kl_fdb_text(r, 0, 0)[0] != 't') {
        kl_pq()->clear(r);
        return result;
    }
    kl_pq()->clear(r);
    result = kl_shared_run(s, "SELECT version FROM keyline.pool", 0, NULL, &r, error);
    if (result == KL_SHARED_DONE)
        *version = (int)strtol(kl_fdb_text(r, 0, 0), NULL, 10);
    kl_pq()->clear(r);
    return result;
}

/* ---- init ---- */

static enum kl_shared_result put_pool(struct kl_shared *s, const struct kl_shared_init *how,
                                      const struct kl_seal_public *owner,
                                      const struct kl_seal_public *recovery,
                                      char error[KL_TEXT_MAX])
{
    char version[12], id[37], o[2 * KL_SEAL_KEY + 3], rec[2 * KL_SEAL_KEY + 3], cap[12];
    const char *value[] = {version,
                           id,
                           how->name,
                           how->plain ? "true" : "false",
                           how->plain ? NULL : kl_shared_bytea(owner->b, KL_SEAL_KEY, o),
                           how->plain ? NULL : kl_shared_bytea(recovery->b, KL_SEAL_KEY, rec),
                           how->lease_cap > 0 ? cap : NULL};

    kl_format(version, sizeof version, "%d", KL_FDB_SCHEMA);
    kl_format(cap, sizeof cap, "%u", (unsigned)how->lease_cap);
    kl_fdb_write_uuid(s->pool, id);
    return kl_shared_step(
        s,
        "INSERT INTO keyline.pool (version, id, name, plain, epoch, owner_key, recovery_key, "
        "lease_cap, system_identifier, timeline) SELECT $1, $2, $3, $4, 1, $5, $6, "
        "coalesce($7::integer, 5000), f.system_identifier, f.timeline FROM keyline.fence() f",
        7, value, NULL, error);
}

static enum kl_shared_result make_pool(struct kl_shared *s, const struct kl_shared_init *how,
                                       const struct kl_seal_public *owner,
                                       const struct kl_seal_public *recovery,
                                       char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = kl_shared_begin(s, error);
    struct kl_request_id id;

    kl_seal_uuid(&id);
    memcpy(s->pool, id.b, sizeof s->pool);
    s->plain = how->plain;
    kl_seal_pool_key_make(1, &s->secret->key[0]);
    if (result == KL_SHARED_DONE)
        result = run_schema(s, 0, error);
    if (result == KL_SHARED_DONE)
        result = put_pool(s, how, owner, recovery, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_seal_key(s, &s->secret->key[0], error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(s, "INSERT INTO keyline.event (what) VALUES ('made')", 0, NULL,
                                NULL, error);
    result = kl_shared_end(s, result, error);
    kl_wipe(&s->secret->key[0], sizeof s->secret->key[0]);
    return result;
}

static bool good_name(const char *name)
{
    static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    return name[0] != '\0' && !strchr("._-", name[0]) && strlen(name) < 63 &&
           strspn(name, fine) == strlen(name);
}

/* Both files, or none. */
static bool make_files(struct kl_shared *s, const struct kl_shared_init *how,
                       struct kl_seal_public public[2], char error[KL_TEXT_MAX])
{
    struct kl_seal_pair *pair = &s->secret->pair;
    bool good;

    if (!kl_seal_pair_make(how->owner_file, "owner", how->name, pair, error))
        return false;
    public[0] = pair->public;
    good = kl_seal_pair_make(how->recovery_file, "recovery", how->name, pair, error);
    public[1] = pair->public;
    kl_wipe(pair, sizeof *pair);
    if (!good)
        unlink(how->owner_file);
    return good;
}

enum kl_shared_result kl_shared_init(struct kl_shared *s, const struct kl_shared_init *how,
                                     char error[KL_TEXT_MAX])
{
    struct kl_seal_public public[2] = {0};
    enum kl_shared_result result;
    int version;

    if (!good_name(how->name)) {
        kl_copy(error, KL_TEXT_MAX, "a pool's name is of letters, digits, '.', '_' and '-'");
        return KL_SHARED_INPUT;
    }
    if ((result = find_version(s, &version, error)) != KL_SHARED_DONE)
        return result;
    if (version > 0) {
        kl_copy(error, KL_TEXT_MAX, "this database has a keyline pool already");
        return KL_SHARED_NO;
    }
    if (!how->plain && !make_files(s, how, public, error))
        return KL_SHARED_INPUT;
    result = make_pool(s, how, &public[0], &public[1], error);
    /* In doubt the files may be the only ones that open what is there. */
    if (!how->plain && result != KL_SHARED_DONE && result != KL_SHARED_DOUBT) {
        unlink(how->owner_file);
        unlink(how->recovery_file);
    }
    return result;
}

enum kl_shared_result kl_shared_upgrade(struct kl_shared *s, int *from, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = find_version(s, from, error);
    char version[12];
    const char *value[] = {version};

    if (result != KL_SHARED_DONE)
        return result;
    if (*from == 0 || *from > KL_FDB_SCHEMA) {
        kl_copy(error, KL_TEXT_MAX,
                *from == 0 ? "there is no keyline pool in this database"
                           : "the pool's schema is newer than this program");
        return KL_SHARED_NO;
    }
    kl_format(version, sizeof version, "%d", KL_FDB_SCHEMA);
    if ((result = kl_shared_begin(s, error)) == KL_SHARED_DONE)
        result = run_schema(s, *from, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(s, "UPDATE keyline.pool SET version = $1", 1, value, NULL, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(
            s, "INSERT INTO keyline.event (what, text) VALUES ('upgraded', 'version ' || $1)", 1,
            value, NULL, error);
    return kl_shared_end(s, result, error);
}

/* ---- join ---- */

bool kl_shared_join(const char *service, const char *name, char path[4096], char public[64],
                    bool *made, char error[KL_TEXT_MAX])
{
    struct kl_seal_pair *pair;
    char folder[4096];
    bool good = false;

    _Static_assert(KL_SEAL_PUBLIC_TEXT <= 64, "room for the public key");
    if (!kl_seal_start() || !kl_pool_folder(service, true, folder, error))
        return false;
    if ((size_t)snprintf(path, 4096, "%s/station.key", folder) >= 4096 ||
        !(pair = kl_secret_alloc(sizeof *pair))) {
        kl_copy(error, KL_TEXT_MAX, "no memory, or a path that is too long");
        return false;
    }
    *made = access(path, F_OK) != 0;
    good = *made ? kl_seal_pair_make(path, "station", name, pair, error)
                 : kl_seal_pair_read(path, pair, error);
    if (good)
        kl_seal_public_format(&pair->public, public);
    kl_secret_free(pair, sizeof *pair);
    return good;
}

/* The lock of pool_store.h: a station holds it until its last word is said. */
static bool is_worked_on(const char *folder)
{
    char path[4096];
    bool held;
    int fd;

    if ((size_t)snprintf(path, sizeof path, "%s/fleet.lock", folder) >= sizeof path ||
        (fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
        return false;
    held = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return held;
}

bool kl_shared_put_aside(const char *service, char to[4096], char error[KL_TEXT_MAX])
{
    char folder[4096], when[32];
    time_t now = time(NULL);
    struct tm tm;

    to[0] = '\0';
    if (!kl_pool_folder(service, false, folder, error))
        return false;
    if (access(folder, F_OK) != 0)
        return true;
    if (is_worked_on(folder)) {
        kl_copy(error, KL_TEXT_MAX, "a station works with this pool here: end it first");
        return false;
    }
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    if ((size_t)snprintf(to, 4096, "%s.aside-%s", folder, when) >= 4096 || access(to, F_OK) == 0 ||
        rename(folder, to) != 0 || kl_disk->sync_folder(to) != 0) {
        kl_format(error, KL_TEXT_MAX, "%s can't be put aside: %s", kl_shown(folder),
                  strerror(errno));
        return false;
    }
    return true;
}
