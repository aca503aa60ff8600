#include "ledger_pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger_db.h"

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
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE;

    if (!ok)
        kl_ledger_say(l, rc, error);
    sqlite3_finalize(s);
    return ok;
}

static bool change(struct kl_ledger *l, sqlite3_stmt *s, char error[KL_TEXT_MAX])
{
    return finish(l, s, sqlite3_step(s), error);
}

static void text_at(sqlite3_stmt *s, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    kl_copy(out, size, !text ? "" : text);
}

static void bytes_at(sqlite3_stmt *s, int column, void *out, int size)
{
    if (sqlite3_column_bytes(s, column) == size)
        memcpy(out, sqlite3_column_blob(s, column), (size_t)size);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

/* ---- reading ---- */

bool kl_ledger_home(struct kl_ledger *l, struct kl_pool_home *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    int rc;

    memset(out, 0, sizeof *out);
    if (l->version < KL_LEDGER_VERSION)
        return true;
    if (!(s = prepare(l, "SELECT id, machine, path, file, open FROM pool", error)))
        return false;
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        bytes_at(s, 0, out->id.b, sizeof out->id.b);
        text_at(s, 1, out->machine, sizeof out->machine);
        text_at(s, 2, out->path, sizeof out->path);
        text_at(s, 3, out->file, sizeof out->file);
        out->open = sqlite3_column_int(s, 4) != 0;
    }
    return finish(l, s, rc, error);
}

bool kl_ledger_lease(struct kl_ledger *l, struct kl_lease *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    int rc;

    memset(out, 0, sizeof *out);
    if (l->version < KL_LEDGER_VERSION)
        return true;
    s = prepare(l, "SELECT token, machine, boot, space, pid, started, who, beat FROM lease", error);
    if (!s)
        return false;
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        bytes_at(s, 0, out->token, sizeof out->token);
        text_at(s, 1, out->process.machine, sizeof out->process.machine);
        text_at(s, 2, out->process.boot, sizeof out->process.boot);
        text_at(s, 3, out->process.space, sizeof out->process.space);
        out->process.pid = sqlite3_column_int64(s, 4);
        out->process.started = sqlite3_column_int64(s, 5);
        text_at(s, 6, out->who, sizeof out->who);
        out->beat = sqlite3_column_int64(s, 7);
    }
    return finish(l, s, rc, error);
}

bool kl_ledger_guard(struct kl_ledger *l, struct kl_pool_guard *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_GUARD, error);
    int rc;

    memset(out, 0, sizeof *out);
    if (!s)
        return false;
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        bytes_at(s, 0, out->id.b, sizeof out->id.b);
        bytes_at(s, 1, out->token, sizeof out->token);
        out->last_change = sqlite3_column_int64(s, 2);
    } else {
        kl_ledger_say(l, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, error);
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW;
}

bool kl_ledger_tells(struct kl_ledger *l, const struct kl_journal_record *r, bool *tells,
                     char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(l, "SELECT fingerprint, mac FROM history WHERE id = ?1", error);
    struct kl_fingerprint fp = {{0}};
    struct kl_mac mac;
    int rc;

    *tells = false;
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, r->change);
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        bytes_at(s, 0, fp.b, sizeof fp.b);
        *tells = kl_fingerprint_equal(&fp, &r->fingerprint) &&
                 kl_mac_parse((const char *)sqlite3_column_text(s, 1), &mac) &&
                 kl_mac_equal(&mac, &r->mac);
    }
    return finish(l, s, rc, error);
}

/* ---- writing ---- */

bool kl_ledger_set_home(struct kl_ledger *l, const struct kl_pool_home *home,
                        char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(l,
                              "INSERT INTO pool (one, id, machine, path, file)"
                              " VALUES (1, ?1, ?2, ?3, ?4)"
                              " ON CONFLICT (one) DO UPDATE SET id = excluded.id,"
                              " machine = excluded.machine, path = excluded.path,"
                              " file = excluded.file",
                              error);

    if (!s)
        return false;
    sqlite3_bind_blob(s, 1, home->id.b, sizeof home->id.b, SQLITE_TRANSIENT);
    bind_text(s, 2, home->machine);
    bind_text(s, 3, home->path);
    bind_text(s, 4, home->file);
    return change(l, s, error);
}

bool kl_ledger_set_lease(struct kl_ledger *l, const struct kl_lease *lease, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(l,
                              "INSERT OR REPLACE INTO lease"
                              " (one, token, machine, boot, space, pid, started, who, beat)"
                              " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                              error);

    if (!s)
        return false;
    sqlite3_bind_blob(s, 1, lease->token, sizeof lease->token, SQLITE_TRANSIENT);
    bind_text(s, 2, lease->process.machine);
    bind_text(s, 3, lease->process.boot);
    bind_text(s, 4, lease->process.space);
    sqlite3_bind_int64(s, 5, lease->process.pid);
    sqlite3_bind_int64(s, 6, lease->process.started);
    bind_text(s, 7, lease->who);
    sqlite3_bind_int64(s, 8, lease->beat);
    return change(l, s, error);
}

bool kl_ledger_set_open(struct kl_ledger *l, bool open, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(l, "UPDATE pool SET open = ?1", error);

    if (!s)
        return false;
    sqlite3_bind_int(s, 1, open);
    return change(l, s, error);
}

bool kl_ledger_skip_to(struct kl_ledger *l, int64_t last, char error[KL_TEXT_MAX])
{
    static const char *const sql[] = {
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'history', 0"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'history') AND ?1 = ?1",
        "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'history'",
    };

    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *s = prepare(l, sql[i], error);
        if (!s)
            return false;
        sqlite3_bind_int64(s, 1, last);
        if (!change(l, s, error))
            return false;
    }
    return true;
}

static bool put_state(struct kl_ledger *l, const struct kl_journal_record *r, const char *label,
                      const char *state, int64_t number, bool *promised_twice,
                      char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = prepare(l,
                              "INSERT INTO keys (fingerprint, kin, label, state, mac, change, how,"
                              " reserved_at, provisioned_at, released_at)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'journal', ?7, ?7,"
                              " iif(?4 = 'released', ?7, NULL))"
                              " ON CONFLICT (fingerprint) DO UPDATE SET state = excluded.state,"
                              " mac = excluded.mac, change = excluded.change, how = excluded.how,"
                              " reserved_at = excluded.reserved_at,"
                              " provisioned_at = excluded.provisioned_at,"
                              " released_at = coalesce(excluded.released_at, released_at)",
                              error);
    char mac[18];
    int rc;

    if (!s)
        return false;
    kl_mac_format(&r->mac, mac);
    sqlite3_bind_blob(s, 1, r->fingerprint.b, sizeof r->fingerprint.b, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 2, r->kin.b, kl_fingerprint_is_set(&r->kin) ? sizeof r->kin.b : 0,
                      SQLITE_TRANSIENT);
    bind_text(s, 3, label);
    bind_text(s, 4, state);
    bind_text(s, 5, mac);
    sqlite3_bind_int64(s, 6, number);
    sqlite3_bind_int64(s, 7, r->wall);
    rc = sqlite3_step(s);
    *promised_twice = rc == SQLITE_CONSTRAINT_UNIQUE;
    if (*promised_twice) {
        sqlite3_finalize(s);
        return true;
    }
    return finish(l, s, rc, error);
}

bool kl_ledger_restore(struct kl_ledger *l, const struct kl_journal_record *r, const char *label,
                       const char *station, int64_t wall, char error[KL_TEXT_MAX])
{
    static const char *const states[] = {
        [KL_JOURNAL_RESERVED] = "reserved",
        [KL_JOURNAL_PROVISIONED] = "provisioned",
        [KL_JOURNAL_RELEASED] = "released",
    };
    char reason[KL_TEXT_MAX];
    struct kl_ledger_change c = {.fingerprint = r->fingerprint,
                                 .mac = r->mac,
                                 .label = label,
                                 .reason = reason,
                                 .station = station,
                                 .wall = wall};
    bool twice;
    int64_t number;

    kl_format(reason, sizeof reason, "%s by the journal's record of change %lld", states[r->kind],
              (long long)r->change);
    if (kl_ledger_note(l, "restored", &c, error) != KL_STORE_OK)
        return false;
    number = sqlite3_last_insert_rowid(l->db);
    if (!put_state(l, r, label, states[r->kind], number, &twice, error))
        return false;
    /* The ledger has promised the board another key by now: this one is spent, whoever has it. */
    return !twice || put_state(l, r, label, "provisioned", number, &twice, error);
}

void kl_ledger_file(const char *path, char out[64])
{
    struct statx st;

    out[0] = '\0';
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st) != 0 ||
        (st.stx_mask & STATX_BTIME) == 0)
        return;
    snprintf(out, 64, "%llu %lld.%09u", (unsigned long long)st.stx_ino,
             (long long)st.stx_btime.tv_sec, (unsigned)st.stx_btime.tv_nsec);
}
