#include "fleet_history.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"

enum {
    PATH = 4096,
};

/* Without a log beside it nobody writes: then it is read without leaving one. */
static sqlite3 *open_ledger(const char *path, char error[KL_TEXT_MAX])
{
    char uri[3 * PATH + 32], wal[PATH + 8];
    sqlite3 *db = NULL;
    struct stat st;
    size_t n;

    n = (size_t)snprintf(uri, sizeof uri, "file:");
    for (const char *p = path; *p != '\0' && n + 32 < sizeof uri; p++)
        n += (size_t)snprintf(uri + n, sizeof uri - n, strchr("?#%", *p) ? "%%%02x" : "%c",
                              (unsigned char)*p);
    snprintf(wal, sizeof wal, "%s-wal", path);
    if (stat(wal, &st) != 0)
        snprintf(uri + n, sizeof uri - n, "?immutable=1");
    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, 2000);
        return db;
    }
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), db ? sqlite3_errmsg(db) : "no memory");
    sqlite3_close(db);
    return NULL;
}

/* NULL and `error` if that fails: then everything is closed again. */
static sqlite3_stmt *prepare(const char *path, const char *sql, char error[KL_TEXT_MAX])
{
    sqlite3 *db = open_ledger(path, error);
    sqlite3_stmt *s = NULL;

    if (!db || sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK)
        return s;
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), sqlite3_errmsg(db));
    sqlite3_close(db);
    return NULL;
}

static bool finish(const char *path, sqlite3_stmt *s, int rc, char error[KL_TEXT_MAX])
{
    sqlite3 *db = sqlite3_db_handle(s);

    if (rc != SQLITE_DONE)
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    return rc == SQLITE_DONE;
}

static const char *text_at(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    return !text ? "" : text;
}

static void fingerprint_at(sqlite3_stmt *s, int column, struct kl_fingerprint *out)
{
    if (sqlite3_column_bytes(s, column) == KL_FINGERPRINT)
        memcpy(out->b, sqlite3_column_blob(s, column), KL_FINGERPRINT);
}

int64_t kl_fleet_history_end(const char *ledger)
{
    char error[KL_TEXT_MAX];
    sqlite3_stmt *s;
    struct stat st;
    int64_t end = -1;

    if (stat(ledger, &st) != 0)
        return 0;
    s = prepare(ledger, "SELECT coalesce(max(id), 0) FROM history", error);
    if (!s)
        return -1;
    if (sqlite3_step(s) == SQLITE_ROW)
        end = sqlite3_column_int64(s, 0);
    finish(ledger, s, SQLITE_DONE, error);
    return end;
}

bool kl_fleet_history(const char *ledger, int64_t after, uint32_t most,
                      void (*each)(void *ctx, const struct kl_fleet_entry *entry), void *ctx,
                      char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(ledger,
                              "SELECT h.id, h.at, h.what, h.mac, h.fingerprint, h.bundle, h.reason,"
                              " h.chip, h.slot, h.result, coalesce(k.how, '')"
                              " FROM history AS h LEFT JOIN keys AS k"
                              " ON k.fingerprint = h.fingerprint"
                              " WHERE h.id > ?1 ORDER BY h.id LIMIT ?2",
                              error);
    int rc;

    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, most);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct kl_fleet_entry e = {
            .id = sqlite3_column_int64(s, 0),
            .wall = sqlite3_column_int64(s, 1),
            .what = text_at(s, 2),
            .bundle = text_at(s, 5),
            .reason = text_at(s, 6),
            .chip = text_at(s, 7),
            .slot = text_at(s, 8),
            .result = text_at(s, 9),
            .how = text_at(s, 10),
        };

        kl_mac_parse(text_at(s, 3), &e.mac);
        fingerprint_at(s, 4, &e.fingerprint);
        each(ctx, &e);
    }
    return finish(ledger, s, rc, error);
}

bool kl_fleet_history_keys(const char *ledger,
                           void (*each)(void *ctx, const struct kl_fingerprint *fingerprint,
                                        const struct kl_mac *mac, const char *state),
                           void *ctx, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    struct stat st;
    int rc;

    if (stat(ledger, &st) != 0)
        return true;
    if (!(s = prepare(ledger, "SELECT fingerprint, mac, state FROM keys ORDER BY id", error)))
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct kl_fingerprint fp = {{0}};
        struct kl_mac mac = {{0}};

        fingerprint_at(s, 0, &fp);
        kl_mac_parse(text_at(s, 1), &mac);
        each(ctx, &fp, &mac, text_at(s, 2));
    }
    return finish(ledger, s, rc, error);
}

int64_t kl_fleet_history_released(const char *ledger, const struct kl_fingerprint *fingerprint,
                                  const struct kl_mac *mac)
{
    char error[KL_TEXT_MAX], name[18];
    int64_t id = -1;
    sqlite3_stmt *s = prepare(ledger,
                              "SELECT coalesce(max(id), 0) FROM history"
                              " WHERE mac = ?1 AND what = 'released' AND fingerprint = ?2",
                              error);

    if (!s)
        return -1;
    kl_mac_format(mac, name);
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, fingerprint->b, KL_FINGERPRINT, SQLITE_STATIC);
    if (sqlite3_step(s) == SQLITE_ROW)
        id = sqlite3_column_int64(s, 0);
    finish(ledger, s, SQLITE_DONE, error);
    return id;
}

static bool is_its(const char *ledger, const char *sql, const struct kl_fingerprint *fingerprint,
                   const struct kl_mac *mac, bool *is, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(ledger, sql, error);
    struct kl_mac its = {{0}};
    int rc;

    *is = false;
    if (!s)
        return false;
    sqlite3_bind_blob(s, 1, fingerprint->b, KL_FINGERPRINT, SQLITE_STATIC);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        *is = kl_mac_parse(text_at(s, 0), &its) && kl_mac_equal(&its, mac);
    return finish(ledger, s, rc, error);
}

bool kl_fleet_history_reserved(const char *ledger, const struct kl_fingerprint *fingerprint,
                               const struct kl_mac *mac, bool *reserved, char error[KL_TEXT_MAX])
{
    return is_its(ledger, "SELECT mac FROM keys WHERE fingerprint = ?1 AND state = 'reserved'",
                  fingerprint, mac, reserved, error);
}

bool kl_fleet_history_has(const char *ledger, const struct kl_fingerprint *fingerprint,
                          const struct kl_mac *mac, bool *has, char error[KL_TEXT_MAX])
{
    return is_its(ledger, "SELECT mac FROM keys WHERE fingerprint = ?1 AND state <> 'released'",
                  fingerprint, mac, has, error);
}
