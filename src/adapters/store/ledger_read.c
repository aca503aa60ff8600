/* ledger_read.c: looking at keys and history, also while a station runs. */
#include <string.h>

#include "ledger_db.h"

static const char *text_at(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    return !text ? "" : text;
}

static sqlite3_stmt *prepare(struct kl_ledger *l, const char *sql, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &s, NULL);

    if (rc != SQLITE_OK)
        kl_ledger_say(l, rc, error);
    return s;
}

static bool finish(struct kl_ledger *l, sqlite3_stmt *s, int rc, char error[KL_TEXT_MAX])
{
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        kl_ledger_say(l, rc, error);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

bool kl_ledger_keys(struct kl_ledger *l, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                    void *ctx, char error[KL_TEXT_MAX])
{
#define KEY_COLUMNS                                                                                \
    "SELECT fingerprint, label, state, mac, reserved_at, provisioned_at, released_at, how,"        \
    " reason, station, bundle, "
    static const char *const sql[] = {
        [1] = KEY_COLUMNS "x'', 1, 0 FROM keys ORDER BY id",
        [KL_LEDGER_VERSION] = KEY_COLUMNS "kin, form, change FROM keys ORDER BY id",
    };
    sqlite3_stmt *s = prepare(l, sql[l->version], error);
    int rc;

    if (!s)
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct kl_ledger_key key = {
            .label = text_at(s, 1),
            .state = text_at(s, 2),
            .reserved = sqlite3_column_int64(s, 4),
            .provisioned = sqlite3_column_int64(s, 5),
            .released = sqlite3_column_int64(s, 6),
            .how = text_at(s, 7),
            .reason = text_at(s, 8),
            .station = text_at(s, 9),
            .bundle = text_at(s, 10),
            .old_form = sqlite3_column_int(s, 12) == 1,
            .change = sqlite3_column_int64(s, 13),
        };

        if (sqlite3_column_bytes(s, 0) != KL_FINGERPRINT ||
            !kl_mac_parse(text_at(s, 3), &key.mac)) {
            rc = SQLITE_CORRUPT;
            break;
        }
        memcpy(key.fingerprint.b, sqlite3_column_blob(s, 0), KL_FINGERPRINT);
        if (sqlite3_column_bytes(s, 11) == KL_FINGERPRINT)
            memcpy(key.kin.b, sqlite3_column_blob(s, 11), KL_FINGERPRINT);
        if (!each(ctx, &key))
            break;
    }
    return finish(l, s, rc, error);
}

static void bind_filter(sqlite3_stmt *s, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

bool kl_ledger_history(struct kl_ledger *l, const char *mac, const char *label,
                       bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                       char error[KL_TEXT_MAX])
{
#define ENTRY_COLUMNS                                                                              \
    "SELECT id, at, what, mac, label, station, bundle, reason, detail, chip, port, slot, result, " \
    "revision, flash_id, flash_size, baud, tries, chip_error, started_at, ended_at, already, "     \
    "acknowledged_only, "
#define ENTRY_FILTER                                                                               \
    " FROM history WHERE (?1 IS NULL OR mac = ?1)"                                                 \
    " AND (?2 IS NULL OR label = ?2 OR label = ?3) ORDER BY id"
    static const char *const columns[] = {
        [1] = ENTRY_COLUMNS "''" ENTRY_FILTER,
        [KL_LEDGER_VERSION] = ENTRY_COLUMNS "eui64" ENTRY_FILTER,
    };
    sqlite3_stmt *s = prepare(l, columns[l->version], error);
    char cut[KL_LABEL_MAX + 1];
    int rc;

    if (!s)
        return false;
    kl_copy(cut, sizeof cut, !label ? "" : label);
    bind_filter(s, 1, mac);
    bind_filter(s, 2, label);
    bind_filter(s, 3, cut); /* the history keeps attempts' labels as faces show them */
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct kl_ledger_entry entry = {
            .id = sqlite3_column_int64(s, 0),
            .wall = sqlite3_column_int64(s, 1),
            .what = text_at(s, 2),
            .mac = text_at(s, 3),
            .label = text_at(s, 4),
            .station = text_at(s, 5),
            .bundle = text_at(s, 6),
            .reason = text_at(s, 7),
            .detail = text_at(s, 8),
            .chip = text_at(s, 9),
            .port = text_at(s, 10),
            .slot = text_at(s, 11),
            .result = text_at(s, 12),
            .revision = (uint32_t)sqlite3_column_int64(s, 13),
            .flash_id = (uint32_t)sqlite3_column_int64(s, 14),
            .flash_size = (uint32_t)sqlite3_column_int64(s, 15),
            .baud = (uint32_t)sqlite3_column_int64(s, 16),
            .tries = (uint32_t)sqlite3_column_int64(s, 17),
            .chip_error = (uint32_t)sqlite3_column_int64(s, 18),
            .started = sqlite3_column_int64(s, 19),
            .ended = sqlite3_column_int64(s, 20),
            .already = sqlite3_column_int(s, 21) != 0,
            .acknowledged_only = sqlite3_column_int(s, 22) != 0,
            .eui64 = text_at(s, 23),
        };

        if (!each(ctx, &entry))
            break;
    }
    return finish(l, s, rc, error);
}

bool kl_ledger_pool_id(struct kl_ledger *l, char id[33], char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    int rc;

    id[0] = '\0';
    if (l->version < KL_LEDGER_VERSION)
        return true;
    if (!(s = prepare(l, "SELECT lower(hex(id)) FROM pool", error)))
        return false;
    if ((rc = sqlite3_step(s)) == SQLITE_ROW)
        kl_copy(id, 33, text_at(s, 0));
    return finish(l, s, rc, error);
}
