#include "fleet_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"

enum {
    APPLICATION_ID = 0x6b6c6666, /* "klff" */
};

struct kl_fleet_file {
    sqlite3 *db;
    char path[4096];
};

/* clang-format off */
static const char schema[] =
    "BEGIN;"
    "PRAGMA application_id = 0x6b6c6666;"
    "PRAGMA user_version = 1;"
    "CREATE TABLE kept ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " pool TEXT NOT NULL, pool_name TEXT NOT NULL, station TEXT NOT NULL,"
    " fields INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " system_identifier INTEGER NOT NULL, timeline INTEGER NOT NULL,"
    " token BLOB NOT NULL, coming BLOB NOT NULL,"
    " requested INTEGER NOT NULL, request BLOB NOT NULL, count INTEGER NOT NULL,"
    " reported INTEGER NOT NULL, heard INTEGER NOT NULL, cursor TEXT NOT NULL,"
    " barred INTEGER NOT NULL,"
    " xid INTEGER NOT NULL DEFAULT 0, born INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE sealed (epoch INTEGER PRIMARY KEY, box BLOB NOT NULL) STRICT;"
    "CREATE TABLE others (mac BLOB PRIMARY KEY, station TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE agreed (fingerprint BLOB PRIMARY KEY, mac BLOB NOT NULL,"
    " at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE offline ("
    " mac BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, checked INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX unchecked ON offline (checked) WHERE checked = 0;"
    "CREATE TABLE leaving (fingerprint BLOB PRIMARY KEY) STRICT;"
    "COMMIT;";
/* A file of 1.1.0 gets what it lacks; 1.1.0 goes on with it all the same. */
static const char added[] =
    "BEGIN;"
    "ALTER TABLE kept ADD COLUMN xid INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE kept ADD COLUMN born INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE agreed ADD COLUMN at INTEGER NOT NULL DEFAULT 0;"
    "COMMIT;";
/* clang-format on */

/* ---- statements ---- */

static bool say(struct kl_fleet_file *f, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(f->path),
              f->db ? sqlite3_errmsg(f->db) : "no memory");
    return false;
}

static bool run(struct kl_fleet_file *f, const char *sql, char error[KL_TEXT_MAX])
{
    return sqlite3_exec(f->db, sql, NULL, NULL, NULL) == SQLITE_OK || say(f, error);
}

static sqlite3_stmt *prepare(struct kl_fleet_file *f, const char *sql)
{
    sqlite3_stmt *s = NULL;

    return sqlite3_prepare_v2(f->db, sql, -1, &s, NULL) == SQLITE_OK ? s : NULL;
}

static void bind_blob(sqlite3_stmt *s, int at, const void *data, size_t size)
{
    sqlite3_bind_blob(s, at, data, (int)size, SQLITE_STATIC);
}

/* Runs a statement that gives no rows. */
static bool finish(struct kl_fleet_file *f, sqlite3_stmt *s, char error[KL_TEXT_MAX])
{
    bool ok = s && sqlite3_step(s) == SQLITE_DONE;

    if (!ok)
        say(f, error);
    sqlite3_finalize(s);
    return ok;
}

static bool with_blob(struct kl_fleet_file *f, const char *sql, const void *data, size_t size,
                      char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(f, sql);

    if (s)
        bind_blob(s, 1, data, size);
    return finish(f, s, error);
}

static bool has(struct kl_fleet_file *f, const char *sql, const void *data, size_t size)
{
    sqlite3_stmt *s = prepare(f, sql);
    bool found = false;

    if (s) {
        bind_blob(s, 1, data, size);
        found = sqlite3_step(s) == SQLITE_ROW;
    }
    sqlite3_finalize(s);
    return found;
}

/* Ends the transaction, one way or the other. */
static bool end(struct kl_fleet_file *f, bool ok, char error[KL_TEXT_MAX])
{
    char ignored[KL_TEXT_MAX];

    if (ok && run(f, "COMMIT", error))
        return true;
    run(f, "ROLLBACK", ignored);
    return false;
}

/* ---- opening ---- */

static int64_t number(struct kl_fleet_file *f, const char *sql)
{
    sqlite3_stmt *s = prepare(f, sql);
    int64_t n = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;

    sqlite3_finalize(s);
    return n;
}

static bool is_sound(struct kl_fleet_file *f)
{
    sqlite3_stmt *s = prepare(f, "PRAGMA quick_check(1)");
    bool ok = s && sqlite3_step(s) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;

    sqlite3_finalize(s);
    return ok && number(f, "PRAGMA application_id") == APPLICATION_ID &&
           number(f, "PRAGMA user_version") == 1;
}

static bool open_db(struct kl_fleet_file *f, char error[KL_TEXT_MAX])
{
    if (sqlite3_open_v2(f->path, &f->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return say(f, error);
    chmod(f->path, 0600);
    sqlite3_busy_timeout(f->db, 5000);
    return true;
}

static bool set_up(struct kl_fleet_file *f, char error[KL_TEXT_MAX])
{
    return run(f,
               "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA;"
               "PRAGMA cache_size = -256;", /* KiB */
               error) &&
           (number(f, "SELECT count(*) FROM sqlite_schema") > 0 || run(f, schema, error)) &&
           (number(f, "SELECT count(*) FROM pragma_table_info('kept') WHERE name = 'born'") > 0 ||
            run(f, added, error));
}

static bool put_aside(struct kl_fleet_file *f, char error[KL_TEXT_MAX])
{
    char aside[sizeof f->path + 16];

    sqlite3_close(f->db);
    f->db = NULL;
    snprintf(aside, sizeof aside, "%s.damaged", f->path);
    if (kl_disk->rename(f->path, aside) == 0)
        return true;
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(f->path), strerror(errno));
    return false;
}

struct kl_fleet_file *kl_fleet_file_open(const char *path, bool *lost, char error[KL_TEXT_MAX])
{
    struct kl_fleet_file *f = calloc(1, sizeof *f);
    bool ok;

    KL_ASSERT(f);
    *lost = false;
    kl_copy(f->path, sizeof f->path, path);
    ok = open_db(f, error);
    if (ok && number(f, "SELECT count(*) FROM sqlite_schema") != 0 && !is_sound(f)) {
        *lost = true;
        ok = put_aside(f, error) && open_db(f, error);
    }
    if (ok && set_up(f, error))
        return f;
    kl_fleet_file_close(f);
    return NULL;
}

void kl_fleet_file_close(struct kl_fleet_file *f)
{
    if (!f)
        return;
    sqlite3_close(f->db);
    free(f);
}

/* ---- the one row ---- */

static void text_at(sqlite3_stmt *s, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    kl_copy(out, size, !text ? "" : text);
}

static void id_at(sqlite3_stmt *s, int column, struct kl_request_id *out)
{
    if (sqlite3_column_bytes(s, column) == (int)sizeof out->b)
        memcpy(out->b, sqlite3_column_blob(s, column), sizeof out->b);
}

bool kl_fleet_file_load(struct kl_fleet_file *f, struct kl_fleet_kept *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(f, "SELECT pool, pool_name, station, fields, epoch,"
                                 " system_identifier, timeline, token, coming, requested, request,"
                                 " count, reported, heard, cursor, barred, xid, born FROM kept");
    int rc = !s ? SQLITE_ERROR : sqlite3_step(s);

    memset(out, 0, sizeof *out);
    if (rc == SQLITE_ROW) {
        text_at(s, 0, out->pool, sizeof out->pool);
        text_at(s, 1, out->pool_name, sizeof out->pool_name);
        text_at(s, 2, out->station, sizeof out->station);
        out->fields = (unsigned)sqlite3_column_int64(s, 3);
        out->epoch = (uint32_t)sqlite3_column_int64(s, 4);
        out->system_identifier = sqlite3_column_int64(s, 5);
        out->timeline = (uint32_t)sqlite3_column_int64(s, 6);
        id_at(s, 7, &out->token);
        id_at(s, 8, &out->coming);
        out->requested = sqlite3_column_int(s, 9) != 0;
        id_at(s, 10, &out->request);
        out->count = (uint32_t)sqlite3_column_int64(s, 11);
        out->reported = sqlite3_column_int64(s, 12);
        out->heard = sqlite3_column_int64(s, 13);
        text_at(s, 14, out->cursor, sizeof out->cursor);
        out->barred = (uint32_t)sqlite3_column_int(s, 15);
        out->xid = sqlite3_column_int64(s, 16);
        out->born = (uint32_t)sqlite3_column_int64(s, 17);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        say(f, error);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool write_kept(struct kl_fleet_file *f, const struct kl_fleet_kept *k,
                       char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(f, "INSERT OR REPLACE INTO kept (one, pool, pool_name, station,"
                                 " fields, epoch, system_identifier, timeline, token, coming,"
                                 " requested, request, count, reported, heard, cursor, barred,"
                                 " xid, born)"
                                 " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                                 " ?13, ?14, ?15, ?16, ?17, ?18)");

    if (s) {
        sqlite3_bind_text(s, 1, k->pool, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, k->pool_name, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, k->station, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, k->fields);
        sqlite3_bind_int64(s, 5, k->epoch);
        sqlite3_bind_int64(s, 6, k->system_identifier);
        sqlite3_bind_int64(s, 7, k->timeline);
        bind_blob(s, 8, k->token.b, sizeof k->token.b);
        bind_blob(s, 9, k->coming.b, sizeof k->coming.b);
        sqlite3_bind_int(s, 10, k->requested);
        bind_blob(s, 11, k->request.b, sizeof k->request.b);
        sqlite3_bind_int64(s, 12, k->count);
        sqlite3_bind_int64(s, 13, k->reported);
        sqlite3_bind_int64(s, 14, k->heard);
        sqlite3_bind_text(s, 15, k->cursor, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 16, k->barred);
        sqlite3_bind_int64(s, 17, k->xid);
        sqlite3_bind_int64(s, 18, k->born);
    }
    return finish(f, s, error);
}

bool kl_fleet_file_save(struct kl_fleet_file *f, const struct kl_fleet_kept *kept,
                        char error[KL_TEXT_MAX])
{
    return write_kept(f, kept, error);
}

/* ---- pool keys ---- */

bool kl_fleet_file_add_sealed(struct kl_fleet_file *f, const struct kl_fleet_sealed *key,
                              char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(f, "INSERT OR REPLACE INTO sealed (epoch, box) VALUES (?1, ?2)");

    if (s) {
        sqlite3_bind_int64(s, 1, key->epoch);
        bind_blob(s, 2, key->box, key->size);
    }
    return finish(f, s, error);
}

bool kl_fleet_file_sealed(struct kl_fleet_file *f,
                          void (*each)(void *ctx, const struct kl_fleet_sealed *key), void *ctx,
                          char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(f, "SELECT epoch, box FROM sealed ORDER BY epoch");
    int rc = SQLITE_ERROR;

    while (s && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct kl_fleet_sealed key = {.epoch = (uint32_t)sqlite3_column_int64(s, 0)};
        int size = sqlite3_column_bytes(s, 1);

        if (size <= 0 || (size_t)size > sizeof key.box)
            continue;
        key.size = (uint32_t)size;
        memcpy(key.box, sqlite3_column_blob(s, 1), key.size);
        each(ctx, &key);
    }
    if (rc != SQLITE_DONE)
        say(f, error);
    sqlite3_finalize(s);
    return rc == SQLITE_DONE;
}

/* ---- boards of others ---- */

bool kl_fleet_file_add_boards(struct kl_fleet_file *f, const struct kl_fleet_board *boards,
                              uint32_t count, bool anew, const char *cursor,
                              char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    bool ok = run(f, "BEGIN IMMEDIATE", error);

    if (!ok)
        return false;
    ok = !anew || run(f, "DELETE FROM others", error);
    s = prepare(f, "INSERT OR REPLACE INTO others (mac, station) VALUES (?1, ?2)");
    for (uint32_t i = 0; ok && i < count; i++) {
        sqlite3_reset(s);
        bind_blob(s, 1, boards[i].mac.b, sizeof boards[i].mac.b);
        sqlite3_bind_text(s, 2, boards[i].station, -1, SQLITE_STATIC);
        ok = (s && sqlite3_step(s) == SQLITE_DONE) || say(f, error);
    }
    sqlite3_finalize(s);
    s = ok ? prepare(f, "UPDATE kept SET cursor = ?1") : NULL;
    if (s)
        sqlite3_bind_text(s, 1, cursor, -1, SQLITE_STATIC);
    return end(f, ok && finish(f, s, error), error);
}

bool kl_fleet_file_is_others(struct kl_fleet_file *f, const struct kl_mac *mac,
                             char station[KL_NAME_MAX])
{
    sqlite3_stmt *s = prepare(f, "SELECT station FROM others WHERE mac = ?1");
    bool found = false;

    station[0] = '\0';
    if (s) {
        bind_blob(s, 1, mac->b, sizeof mac->b);
        found = sqlite3_step(s) == SQLITE_ROW;
    }
    if (found)
        text_at(s, 0, station, KL_NAME_MAX);
    sqlite3_finalize(s);
    return found;
}

/* ---- boards and keys that belong together ---- */

static sqlite3_stmt *with_pair(struct kl_fleet_file *f, const char *sql,
                               const struct kl_fleet_pair *pair)
{
    sqlite3_stmt *s = prepare(f, sql);

    if (s) {
        bind_blob(s, 1, pair->key.b, sizeof pair->key.b);
        bind_blob(s, 2, pair->mac.b, sizeof pair->mac.b);
    }
    return s;
}

bool kl_fleet_file_agree(struct kl_fleet_file *f, const struct kl_fleet_pair *pair, int64_t at,
                         char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = with_pair(
        f, "INSERT OR REPLACE INTO agreed (fingerprint, mac, at) VALUES (?1, ?2, ?3)", pair);

    if (s)
        sqlite3_bind_int64(s, 3, at);
    return finish(f, s, error);
}

int64_t kl_fleet_file_agreed_at(struct kl_fleet_file *f, const struct kl_fleet_pair *pair)
{
    sqlite3_stmt *s =
        with_pair(f, "SELECT at FROM agreed WHERE fingerprint = ?1 AND mac = ?2", pair);
    int64_t at = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;

    sqlite3_finalize(s);
    return at;
}

bool kl_fleet_file_ever_agreed(struct kl_fleet_file *f, const struct kl_fingerprint *key)
{
    return has(f, "SELECT 1 FROM agreed WHERE fingerprint = ?1", key->b, sizeof key->b);
}

bool kl_fleet_file_add_unchecked(struct kl_fleet_file *f, const struct kl_fleet_pair *pair,
                                 int64_t at, char error[KL_TEXT_MAX])
{
    bool ok = run(f, "BEGIN IMMEDIATE", error);

    if (!ok)
        return false;
    ok = finish(f,
                with_pair(f,
                          "INSERT OR REPLACE INTO offline (fingerprint, mac, checked)"
                          " VALUES (?1, ?2, 0)",
                          pair),
                error) &&
         kl_fleet_file_agree(f, pair, at, error);
    return end(f, ok, error);
}

bool kl_fleet_file_next_unchecked(struct kl_fleet_file *f, struct kl_fleet_pair *out)
{
    sqlite3_stmt *s = prepare(f, "SELECT fingerprint, mac FROM offline WHERE checked = 0 LIMIT 1");
    bool found = s && sqlite3_step(s) == SQLITE_ROW &&
                 sqlite3_column_bytes(s, 0) == (int)sizeof out->key.b &&
                 sqlite3_column_bytes(s, 1) == (int)sizeof out->mac.b;

    if (found) {
        memcpy(out->key.b, sqlite3_column_blob(s, 0), sizeof out->key.b);
        memcpy(out->mac.b, sqlite3_column_blob(s, 1), sizeof out->mac.b);
    }
    sqlite3_finalize(s);
    return found;
}

bool kl_fleet_file_checked(struct kl_fleet_file *f, const struct kl_fleet_pair *pair,
                           char error[KL_TEXT_MAX])
{
    return finish(
        f, with_pair(f, "UPDATE offline SET checked = 1 WHERE fingerprint = ?1 AND mac = ?2", pair),
        error);
}

uint32_t kl_fleet_file_unchecked(struct kl_fleet_file *f)
{
    int64_t n = number(f, "SELECT count(*) FROM offline WHERE checked = 0");

    return n < 0 ? 0 : (uint32_t)n;
}

bool kl_fleet_file_was_offline(struct kl_fleet_file *f, const struct kl_mac *mac)
{
    return has(f, "SELECT 1 FROM offline WHERE mac = ?1", mac->b, sizeof mac->b);
}

/* ---- keys on their way back ---- */

static bool for_each_key(struct kl_fleet_file *f, const char *sql,
                         const struct kl_fingerprint *keys, uint32_t count, char error[KL_TEXT_MAX])
{
    bool ok = run(f, "BEGIN IMMEDIATE", error);

    if (!ok)
        return false;
    for (uint32_t i = 0; ok && i < count; i++)
        ok = with_blob(f, sql, keys[i].b, sizeof keys[i].b, error);
    return end(f, ok, error);
}

bool kl_fleet_file_add_leaving(struct kl_fleet_file *f, const struct kl_fingerprint *keys,
                               uint32_t count, char error[KL_TEXT_MAX])
{
    return for_each_key(f, "INSERT OR IGNORE INTO leaving (fingerprint) VALUES (?1)", keys, count,
                        error);
}

uint32_t kl_fleet_file_leaving(struct kl_fleet_file *f, struct kl_fingerprint *out, uint32_t room)
{
    sqlite3_stmt *s = prepare(f, "SELECT fingerprint FROM leaving LIMIT ?1");
    uint32_t n = 0;

    if (s)
        sqlite3_bind_int64(s, 1, room);
    while (s && n < room && sqlite3_step(s) == SQLITE_ROW)
        if (sqlite3_column_bytes(s, 0) == KL_FINGERPRINT)
            memcpy(out[n++].b, sqlite3_column_blob(s, 0), KL_FINGERPRINT);
    sqlite3_finalize(s);
    return n;
}

bool kl_fleet_file_is_leaving(struct kl_fleet_file *f, const struct kl_fingerprint *key)
{
    return has(f, "SELECT 1 FROM leaving WHERE fingerprint = ?1", key->b, sizeof key->b);
}

bool kl_fleet_file_left(struct kl_fleet_file *f, const struct kl_fingerprint *keys, uint32_t count,
                        char error[KL_TEXT_MAX])
{
    return for_each_key(f, "DELETE FROM leaving WHERE fingerprint = ?1", keys, count, error);
}
