/* ledger.c: what changes in the ledger, and the rules that hold for every caller. */
#include "ledger.h"

#include <string.h>

#include "adapters/host/disk.h"
#include "journal.h"
#include "keyline/chip.h"
#include "ledger_db.h"

/* What the ledger says about one key. */
struct entry {
    bool known;
    bool active; /* reserved or provisioned */
    bool provisioned;
    bool same_mac;
    char mac[18];
};

static enum kl_store_status trouble(struct kl_ledger *l, int rc, char text[KL_TEXT_MAX])
{
    kl_ledger_say(l, rc, text);
    return KL_STORE_FAILED;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, !text ? "" : text, -1, SQLITE_TRANSIENT);
}

static void bind_mac(sqlite3_stmt *s, int at, const struct kl_mac *mac)
{
    char text[18];

    kl_mac_format(mac, text);
    bind_text(s, at, text);
}

static void bind_fingerprint(sqlite3_stmt *s, int at, const struct kl_fingerprint *fp)
{
    sqlite3_bind_blob(s, at, fp->b, sizeof fp->b, SQLITE_TRANSIENT);
}

static void bind_kin(sqlite3_stmt *s, int at, const struct kl_fingerprint *kin)
{
    if (kl_fingerprint_is_set(kin))
        bind_fingerprint(s, at, kin);
    else
        sqlite3_bind_zeroblob(s, at, 0);
}

static enum kl_store_status finish(struct kl_ledger *l, sqlite3_stmt *s, char text[KL_TEXT_MAX])
{
    int rc = sqlite3_step(s);
    enum kl_store_status status = rc == SQLITE_DONE ? KL_STORE_OK : trouble(l, rc, text);

    sqlite3_reset(s);
    return status;
}

static enum kl_store_status find(struct kl_ledger *l, const struct kl_ledger_change *c,
                                 struct entry *out, char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_KEY, text);
    enum kl_store_status status = KL_STORE_OK;
    struct kl_mac mac;
    int rc;

    memset(out, 0, sizeof *out);
    if (!s)
        return KL_STORE_FAILED;
    bind_fingerprint(s, 1, &c->fingerprint);
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *state = (const char *)sqlite3_column_text(s, 0);
        const char *holder = (const char *)sqlite3_column_text(s, 1);

        out->known = true;
        out->provisioned = strcmp(state, "provisioned") == 0;
        out->active = strcmp(state, "released") != 0;
        kl_copy(out->mac, sizeof out->mac, holder);
        out->same_mac = kl_mac_parse(out->mac, &mac) && kl_mac_equal(&mac, &c->mac);
    } else if (rc != SQLITE_DONE) {
        status = trouble(l, rc, text);
    }
    sqlite3_reset(s);
    return status;
}

/* REFUSED if this board has another key than the one in question. */
static enum kl_store_status has_no_other(struct kl_ledger *l, const struct kl_ledger_change *c,
                                         char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_OF_MAC, text);
    enum kl_store_status status = KL_STORE_OK;
    char mac[18];
    int rc;

    if (!s)
        return KL_STORE_FAILED;
    bind_mac(s, 1, &c->mac);
    bind_fingerprint(s, 2, &c->fingerprint);
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        kl_mac_format(&c->mac, mac);
        kl_format(text, KL_TEXT_MAX, "by the ledger the board %s has the key %s (%s)", mac,
                  (const char *)sqlite3_column_text(s, 1), (const char *)sqlite3_column_text(s, 0));
        status = KL_STORE_REFUSED;
    } else if (rc != SQLITE_DONE) {
        status = trouble(l, rc, text);
    }
    sqlite3_reset(s);
    return status;
}

static enum kl_store_status belongs_to(const struct entry *e, char text[KL_TEXT_MAX])
{
    kl_format(text, KL_TEXT_MAX, "by the ledger this key is %s the board %s",
              e->provisioned ? "provisioned to" : "reserved for", e->mac);
    return KL_STORE_REFUSED;
}

/* REFUSED if another key has this secret in another spelling. */
static enum kl_store_status has_no_kin(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_KIN, text);
    enum kl_store_status status = KL_STORE_OK;
    int rc;

    if (!s)
        return KL_STORE_FAILED;
    bind_kin(s, 1, &c->kin);
    bind_fingerprint(s, 2, &c->fingerprint);
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        kl_format(text, KL_TEXT_MAX,
                  "by the ledger this secret, spelled otherwise, is %s for %s as %s",
                  (const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1),
                  (const char *)sqlite3_column_text(s, 2));
        status = KL_STORE_REFUSED;
    } else if (rc != SQLITE_DONE) {
        status = trouble(l, rc, text);
    }
    sqlite3_reset(s);
    return status;
}

/* Adds a change to the history before the key changes: the key keeps the number of its last
   change. */
enum kl_store_status kl_ledger_note(struct kl_ledger *l, const char *what,
                                    const struct kl_ledger_change *c, char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_NOTE, text);

    if (!s)
        return KL_STORE_FAILED;
    sqlite3_bind_int64(s, 1, c->wall);
    bind_text(s, 2, what);
    bind_mac(s, 3, &c->mac);
    bind_text(s, 4, c->label);
    bind_fingerprint(s, 5, &c->fingerprint);
    bind_text(s, 6, c->station);
    bind_text(s, 7, c->bundle);
    bind_text(s, 8, c->reason);
    return finish(l, s, text);
}

static enum kl_store_status put(struct kl_ledger *l, enum kl_ledger_statement which,
                                const struct kl_ledger_change *c, char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, which, text);

    if (!s)
        return KL_STORE_FAILED;
    bind_fingerprint(s, 1, &c->fingerprint);
    bind_text(s, 2, c->label);
    bind_mac(s, 3, &c->mac);
    sqlite3_bind_int64(s, 4, c->wall);
    bind_text(s, 5, c->station);
    bind_text(s, 6, c->bundle);
    bind_text(s, 7, which == KL_SQL_PROVISION ? c->how : "");
    bind_kin(s, 8, &c->kin);
    sqlite3_bind_int64(s, 9, sqlite3_last_insert_rowid(l->db));
    return finish(l, s, text);
}

enum kl_store_status kl_ledger_reserve(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       char text[KL_TEXT_MAX])
{
    enum kl_store_status status;
    struct entry e;

    KL_ASSERT(kl_mac_is_set(&c->mac));
    if ((status = find(l, c, &e, text)) != KL_STORE_OK)
        return status;
    if (e.active)
        return e.same_mac ? KL_STORE_OK : belongs_to(&e, text);
    if (c->marked) {
        kl_copy(text, KL_TEXT_MAX, "the key's row carries the mark of another tool");
        return KL_STORE_REFUSED;
    }
    if ((status = has_no_other(l, c, text)) != KL_STORE_OK ||
        (status = has_no_kin(l, c, text)) != KL_STORE_OK ||
        (status = kl_ledger_note(l, "reserved", c, text)) != KL_STORE_OK)
        return status;
    return put(l, KL_SQL_RESERVE, c, text);
}

enum kl_store_status kl_ledger_provision(struct kl_ledger *l, const struct kl_ledger_change *c,
                                         char text[KL_TEXT_MAX])
{
    enum kl_store_status status;
    struct entry e;

    KL_ASSERT(kl_mac_is_set(&c->mac));
    if ((status = find(l, c, &e, text)) != KL_STORE_OK)
        return status;
    if (e.active && !e.same_mac)
        return belongs_to(&e, text);
    if (e.provisioned)
        return KL_STORE_OK;
    /* Whatever else we promised this board: a key that it has shown must never go to another
       board. */
    status = kl_ledger_note(l, e.active ? "provisioned" : "adopted", c, text);
    return status == KL_STORE_OK ? put(l, KL_SQL_PROVISION, c, text) : status;
}

enum kl_store_status kl_ledger_release(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       char text[KL_TEXT_MAX])
{
    enum kl_store_status status;
    struct entry e;
    sqlite3_stmt *s;

    if ((status = find(l, c, &e, text)) != KL_STORE_OK)
        return status;
    if (!e.active)
        return KL_STORE_OK;
    if (e.provisioned || !e.same_mac)
        return belongs_to(&e, text);
    if ((status = kl_ledger_note(l, "released", c, text)) != KL_STORE_OK)
        return status;
    if (!(s = kl_ledger_sql(l, KL_SQL_RELEASE, text)))
        return KL_STORE_FAILED;
    bind_fingerprint(s, 1, &c->fingerprint);
    sqlite3_bind_int64(s, 2, c->wall);
    bind_text(s, 3, c->reason);
    sqlite3_bind_int64(s, 4, sqlite3_last_insert_rowid(l->db));
    return finish(l, s, text);
}

enum kl_store_status kl_ledger_rename(struct kl_ledger *l, const struct kl_ledger_change *c,
                                      char text[KL_TEXT_MAX])
{
    enum kl_store_status status = kl_ledger_note(l, "renamed", c, text);
    sqlite3_stmt *s;

    if (status != KL_STORE_OK)
        return status;
    if (!(s = kl_ledger_sql(l, KL_SQL_RENAME, text)))
        return KL_STORE_FAILED;
    bind_fingerprint(s, 1, &c->fingerprint);
    bind_text(s, 2, c->label);
    sqlite3_bind_int64(s, 3, sqlite3_last_insert_rowid(l->db));
    return finish(l, s, text);
}

bool kl_ledger_new_form(struct kl_ledger *l, const struct kl_fingerprint *old,
                        const struct kl_fingerprint *now, const struct kl_fingerprint *kin,
                        char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_NEW_FORM, error);

    if (!s)
        return false;
    bind_fingerprint(s, 1, old);
    bind_fingerprint(s, 2, now);
    bind_fingerprint(s, 3, kin);
    return finish(l, s, error) == KL_STORE_OK;
}

bool kl_ledger_new_kin(struct kl_ledger *l, const struct kl_fingerprint *fp,
                       const struct kl_fingerprint *kin, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_NEW_KIN, error);

    if (!s)
        return false;
    bind_fingerprint(s, 1, fp);
    bind_fingerprint(s, 2, kin);
    return finish(l, s, error) == KL_STORE_OK;
}

enum kl_store_status kl_ledger_owns(struct kl_ledger *l, const struct kl_ledger_change *c,
                                    char text[KL_TEXT_MAX])
{
    enum kl_store_status status;
    struct entry e;

    if ((status = find(l, c, &e, text)) != KL_STORE_OK)
        return status;
    if (e.active && e.same_mac)
        return KL_STORE_OK;
    if (e.active)
        return belongs_to(&e, text);
    if (e.known && e.same_mac)
        return kl_ledger_reserve(l, c, text);
    kl_copy(text, KL_TEXT_MAX, "by the ledger this key is nobody's");
    return KL_STORE_REFUSED;
}

bool kl_ledger_record(struct kl_ledger *l, const struct kl_fingerprint *fp,
                      struct kl_journal_record *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_RECORD, error);
    int rc;

    memset(out, 0, sizeof *out);
    if (!s)
        return false;
    bind_fingerprint(s, 1, fp);
    if ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *state = (const char *)sqlite3_column_text(s, 0);

        out->kind = strcmp(state, "reserved") == 0      ? KL_JOURNAL_RESERVED
                    : strcmp(state, "provisioned") == 0 ? KL_JOURNAL_PROVISIONED
                                                        : KL_JOURNAL_RELEASED;
        kl_mac_parse((const char *)sqlite3_column_text(s, 1), &out->mac);
        out->change = sqlite3_column_int64(s, 2);
        out->fingerprint = *fp;
        if (sqlite3_column_bytes(s, 3) == KL_FINGERPRINT)
            memcpy(out->kin.b, sqlite3_column_blob(s, 3), KL_FINGERPRINT);
    } else if (rc != SQLITE_DONE) {
        kl_ledger_say(l, rc, error);
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

enum kl_store_status kl_ledger_attempt(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       const struct kl_attempt *a, char text[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_ATTEMPT, text);
    const struct kl_chip *chip = kl_chip(a->chip);
    char eui64[24];

    if (!s)
        return KL_STORE_FAILED;
    sqlite3_bind_int64(s, 1, c->wall);
    bind_mac(s, 2, &a->mac);
    bind_text(s, 3, a->label);
    bind_text(s, 4, c->station);
    bind_text(s, 5, c->bundle);
    bind_text(s, 6, a->reason == KL_FAULT_NONE ? "" : kl_fault_info(a->reason).name);
    bind_text(s, 7, a->detail);
    bind_text(s, 8, !chip ? "" : chip->slug);
    sqlite3_bind_int64(s, 9, a->revision);
    sqlite3_bind_int64(s, 10, a->flash_id);
    sqlite3_bind_int64(s, 11, a->flash_size);
    bind_text(s, 12, a->port);
    bind_text(s, 13, a->slot);
    sqlite3_bind_int64(s, 14, a->wall_started);
    sqlite3_bind_int64(s, 15, a->wall_ended);
    bind_text(s, 16, kl_state_name(a->result));
    sqlite3_bind_int64(s, 17, a->tries);
    sqlite3_bind_int64(s, 18, a->baud);
    sqlite3_bind_int64(s, 19, a->chip_error);
    sqlite3_bind_int(s, 20, a->already);
    sqlite3_bind_int(s, 21, a->acknowledged_only);
    kl_eui64_format(&a->eui64, eui64);
    bind_text(s, 22, eui64);
    return finish(l, s, text);
}

enum kl_store_status kl_ledger_command(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       enum kl_command_kind command, char text[KL_TEXT_MAX])
{
    return kl_ledger_note(l, kl_command_info(command).name, c, text);
}
