/* ledger_open.c: makes, opens, checks and heals the ledger file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "ledger_db.h"

enum {
    APPLICATION_ID = 0x6b6c6e65, /* "klne" */
    BUSY_MS = 5000,              /* a reader like `keyline keys` is gone long before */
    QUICK_CHECK_MAX = 64 << 20,
};

/* clang-format off */
#define POOL_TABLES                                                                                \
    "CREATE TABLE IF NOT EXISTS pool (" \
    " one INTEGER PRIMARY KEY CHECK (one = 1)," \
    " id BLOB NOT NULL CHECK (length(id) = 16)," \
    " machine TEXT NOT NULL, path TEXT NOT NULL, file TEXT NOT NULL," \
    " open INTEGER NOT NULL DEFAULT 0" \
    ") STRICT;" \
    "CREATE TABLE IF NOT EXISTS lease (" \
    " one INTEGER PRIMARY KEY CHECK (one = 1)," \
    " token BLOB NOT NULL, machine TEXT NOT NULL, boot TEXT NOT NULL, space TEXT NOT NULL," \
    " pid INTEGER NOT NULL, started INTEGER NOT NULL, who TEXT NOT NULL, beat INTEGER NOT NULL" \
    ") STRICT;"

static const char schema[] =
    "PRAGMA application_id = 0x6b6c6e65;"
    "PRAGMA user_version = 2;"
    POOL_TABLES
    "CREATE TABLE keys ("
    " id INTEGER PRIMARY KEY,"
    " fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 16),"
    " label TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('reserved', 'provisioned', 'released')),"
    " mac TEXT NOT NULL CHECK (length(mac) = 17),"
    " reserved_at INTEGER, provisioned_at INTEGER, released_at INTEGER,"
    " how TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',"
    " station TEXT NOT NULL DEFAULT '', bundle TEXT NOT NULL DEFAULT '',"
    " kin BLOB NOT NULL DEFAULT x'', form INTEGER NOT NULL DEFAULT 2,"
    " change INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX keys_by_kin ON keys (kin);"
    /* The ledger promises a board one key at most, whatever any program believes. */
    "CREATE UNIQUE INDEX one_promise_per_board ON keys (mac) WHERE state = 'reserved';"
    "CREATE INDEX keys_by_mac ON keys (mac);"
    "CREATE TABLE history ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at INTEGER NOT NULL,"
    " what TEXT NOT NULL,"
    " mac TEXT NOT NULL, label TEXT NOT NULL, fingerprint BLOB,"
    " station TEXT NOT NULL, bundle TEXT NOT NULL,"
    " reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',"
    " chip TEXT, revision INTEGER, flash_id INTEGER, flash_size INTEGER,"
    " port TEXT, slot TEXT, started_at INTEGER, ended_at INTEGER, result TEXT,"
    " tries INTEGER, baud INTEGER, chip_error INTEGER, already INTEGER, acknowledged_only INTEGER,"
    " eui64 TEXT NOT NULL DEFAULT ''"
    ") STRICT;"
    "CREATE INDEX history_by_mac ON history (mac);"
    "CREATE INDEX history_by_label ON history (label);"
    "CREATE TRIGGER history_is_kept BEFORE DELETE ON history"
    " BEGIN SELECT raise(ABORT, 'the history is never deleted'); END;"
    "CREATE TRIGGER history_is_fixed BEFORE UPDATE ON history"
    " BEGIN SELECT raise(ABORT, 'the history is never changed'); END;"
    "CREATE TRIGGER keys_are_kept BEFORE DELETE ON keys"
    " BEGIN SELECT raise(ABORT, 'a key is never deleted'); END;"
    "CREATE TRIGGER provisioned_is_final BEFORE UPDATE ON keys"
    " WHEN old.state = 'provisioned' AND (new.state <> 'provisioned' OR new.mac <> old.mac)"
    " BEGIN SELECT raise(ABORT, 'a provisioned key stays with its board'); END;";

/* The row may be gone, or spelled in another way: the ledger knows its kin all the same. */
#define KEEP_KIN "kin = iif(length(excluded.kin) > 0, excluded.kin, kin),"

static const char *const statements[KL_SQL_COUNT] = {
    [KL_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [KL_SQL_COMMIT] = "COMMIT",
    [KL_SQL_KEY] = "SELECT state, mac, label FROM keys WHERE fingerprint = ?1",
    [KL_SQL_OF_MAC] = "SELECT state, label FROM keys WHERE mac = ?1"
                      " AND state <> 'released' AND fingerprint <> ?2 LIMIT 1",
    /* The secret of a held key in another spelling, so that its fingerprint differs. */
    [KL_SQL_KIN] = "SELECT state, mac, label FROM keys WHERE kin = ?1 AND length(kin) > 0"
                   " AND fingerprint <> ?2 AND state <> 'released' LIMIT 1",
    [KL_SQL_RESERVE] = "INSERT INTO keys (fingerprint, label, state, mac, reserved_at, station,"
                       " bundle, how, kin, change)"
                       " VALUES (?1, ?2, 'reserved', ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                       " ON CONFLICT (fingerprint) DO UPDATE SET label = excluded.label,"
                       " state = 'reserved', mac = excluded.mac, reserved_at = excluded.reserved_at,"
                       " station = excluded.station, bundle = excluded.bundle, how = '',"
                       " reason = '', " KEEP_KIN " change = excluded.change",
    [KL_SQL_PROVISION] = "INSERT INTO keys (fingerprint, label, state, mac, provisioned_at, station,"
                         " bundle, how, kin, change)"
                         " VALUES (?1, ?2, 'provisioned', ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                         " ON CONFLICT (fingerprint) DO UPDATE SET label = excluded.label,"
                         " state = 'provisioned', mac = excluded.mac,"
                         " provisioned_at = excluded.provisioned_at, station = excluded.station,"
                         " bundle = excluded.bundle, how = excluded.how, reason = '',"
                         " " KEEP_KIN " change = excluded.change",
    [KL_SQL_RELEASE] = "UPDATE keys SET state = 'released', released_at = ?2, reason = ?3,"
                       " change = ?4 WHERE fingerprint = ?1 AND state = 'reserved'",
    [KL_SQL_GUARD] = "SELECT p.id, l.token, coalesce((SELECT seq FROM sqlite_sequence"
                     " WHERE name = 'history'), 0) FROM pool AS p, lease AS l",
    [KL_SQL_RECORD] = "SELECT state, mac, change, kin FROM keys WHERE fingerprint = ?1",
    [KL_SQL_RENAME] = "UPDATE keys SET label = ?2, change = ?3 WHERE fingerprint = ?1",
    [KL_SQL_NEW_FORM] = "UPDATE OR IGNORE keys SET fingerprint = ?2, kin = ?3, form = 2"
                        " WHERE fingerprint = ?1 AND form = 1",
    [KL_SQL_NEW_KIN] = "UPDATE keys SET kin = ?2 WHERE fingerprint = ?1",
    [KL_SQL_NOTE] = "INSERT INTO history (at, what, mac, label, fingerprint, station, bundle, reason)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [KL_SQL_ATTEMPT] = "INSERT INTO history (at, what, mac, label, station, bundle, reason, detail,"
                       " chip, revision, flash_id, flash_size, port, slot, started_at, ended_at,"
                       " result, tries, baud, chip_error, already, acknowledged_only, eui64)"
                       " VALUES (?1, 'attempt', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                       " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
};
/* clang-format on */

void kl_ledger_say(struct kl_ledger *l, int rc, char error[KL_TEXT_MAX])
{
    const char *advice = "";
    bool ours = l->db && (sqlite3_errcode(l->db) & 0xff) == (rc & 0xff);
    const char *says = ours ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        advice = "; it is damaged: put a backup in its place, or see docs/ledger.md (it is never "
                 "made anew by itself)";
        break;
    case SQLITE_FULL:
        advice = "; free some disk space";
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        advice = "; the file and its folder must be writable for this user";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        advice = "; another program holds it";
        break;
    }
    kl_format(error, KL_TEXT_MAX, "%s: %s%s", kl_shown(l->path), says, advice);
}

static bool run(struct kl_ledger *l, const char *sql, char error[KL_TEXT_MAX])
{
    int rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        kl_ledger_say(l, rc, error);
    return rc == SQLITE_OK;
}

static void close_db(struct kl_ledger *l)
{
    for (int i = 0; i < KL_SQL_COUNT; i++) {
        sqlite3_finalize(l->sql[i]);
        l->sql[i] = NULL;
    }
    sqlite3_close(l->db);
    l->db = NULL;
    l->index_regions = 0;
}

sqlite3_stmt *kl_ledger_sql(struct kl_ledger *l, enum kl_ledger_statement which,
                            char error[KL_TEXT_MAX])
{
    int rc;

    if (!l->sql[which] &&
        (rc = sqlite3_prepare_v3(l->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
                                 &l->sql[which], NULL)) != SQLITE_OK) {
        kl_ledger_say(l, rc, error);
        return NULL;
    }
    sqlite3_reset(l->sql[which]);
    sqlite3_clear_bindings(l->sql[which]);
    return l->sql[which];
}

bool kl_ledger_path(const char *csv, char out[4096])
{
    static const char suffix[] = ".ledger";
    char real[PATH_MAX];

    /* A person may look at a ledger whose CSV is gone. */
    if (!realpath(csv, real) && !kl_copy(real, sizeof real, csv))
        return false;
    if (strlen(real) + sizeof suffix > 4096)
        return false;
    kl_copy(out, 4096, real);
    return kl_copy(out + strlen(real), sizeof suffix, suffix);
}

/* ---- making ---- */

/* Makes the file with mode 0600. Root gives it to the owner of the folder's CSV. */
static bool make_file(const char *path, const char *like)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;

    if (fd < 0)
        return false;
    if (geteuid() == 0 && stat(like, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        errno = 0; /* then it stays root's */
    fchmod(fd, 0600);
    close(fd);
    return true;
}

static bool cant(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: %s: %s", kl_shown(path), what, strerror(errno));
    return false;
}

static void csv_of(const char *ledger, char out[4096])
{
    kl_copy(out, 4096, ledger);
    out[strlen(out) - strlen(".ledger")] = '\0';
}

/* SQLite would take the log of a ledger that is gone into one that is new: whoever deletes a ledger
   may leave it. */
static void drop_log(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    char log[4096 + 16];

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(log, sizeof log, "%s%s", path, suffixes[i]);
        unlink(log);
    }
}

/* Fills a new database at `name` and gives it the ledger's name, whole. So an empty ledger is
   always a damaged one, never one that a station is just making. */
static bool make(struct kl_ledger *l, sqlite3 *copy_of, char error[KL_TEXT_MAX])
{
    struct kl_ledger new = {.mode = KL_LEDGER_CREATE};
    char csv[4096];
    int fd, rc;
    bool ok;

    if ((size_t)snprintf(new.path, sizeof new.path, "%s.new", l->path) >= sizeof new.path) {
        errno = ENAMETOOLONG;
        return cant(l->path, "can't be made", error);
    }
    csv_of(l->path, csv);
    unlink(new.path);
    if (!make_file(new.path, csv))
        return cant(l->path, "can't be made", error);
    rc = sqlite3_open_v2(new.path, &new.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        kl_ledger_say(&new, rc, error);
        ok = false;
    } else if (copy_of) {
        sqlite3_backup *backup = sqlite3_backup_init(new.db, "main", copy_of, "main");
        rc = !backup ? SQLITE_ERROR : sqlite3_backup_step(backup, -1);
        sqlite3_backup_finish(backup);
        if (!(ok = rc == SQLITE_DONE))
            kl_ledger_say(&new, rc, error);
    } else {
        ok = run(&new, "BEGIN", error) && run(&new, schema, error) && run(&new, "COMMIT", error);
    }
    close_db(&new);
    if (ok && (fd = open(new.path, O_RDWR | O_CLOEXEC)) >= 0) {
        ok = kl_disk->sync(fd) == 0;
        close(fd);
        if (!copy_of)
            drop_log(l->path);
        if (!ok || kl_disk->rename(new.path, l->path) != 0 || kl_disk->sync_folder(l->path) != 0)
            ok = cant(l->path, "can't be made", error);
    }
    if (!ok)
        unlink(new.path);
    return ok;
}

/* ---- opening ---- */

static bool number(struct kl_ledger *l, const char *sql, int64_t *out, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &s, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        kl_ledger_say(l, rc, error);
    sqlite3_finalize(s);
    return rc == SQLITE_OK;
}

static uint32_t big_endian(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_ours(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    int64_t application = 0, version = 0;

    if (!number(l, "PRAGMA application_id", &application, error) ||
        !number(l, "PRAGMA user_version", &version, error))
        return false;
    if (application != APPLICATION_ID)
        kl_format(error, KL_TEXT_MAX,
                  "%s: this is not a ledger of keyline, or it is damaged; move it away only if you "
                  "know that no key was handed out with it",
                  kl_shown(l->path));
    else if (version < 1 || version > KL_LEDGER_VERSION)
        kl_format(error, KL_TEXT_MAX, "%s: its format is %d, and this keyline knows only %d",
                  kl_shown(l->path), (int)version, KL_LEDGER_VERSION);
    else
        l->version = (int)version;
    return l->version > 0;
}

static bool passes(struct kl_ledger *l, const char *check, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, check, -1, &s, NULL);
    bool ok;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    ok = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    if (!ok)
        kl_ledger_say(l, rc == SQLITE_ROW ? SQLITE_CORRUPT : rc, error);
    sqlite3_finalize(s);
    return ok;
}

/* Where an old copy was put back beside the log of a newer ledger, the keys may be of one and their
   index of the other: only the full check of that table sees it. */
static bool is_sound(struct kl_ledger *l, off_t size, char error[KL_TEXT_MAX])
{
    if (size > QUICK_CHECK_MAX || l->mode == KL_LEDGER_READ)
        return true;
    return passes(l, "PRAGMA quick_check(1)", error) &&
           passes(l, "PRAGMA integrity_check('keys')", error);
}

/* Upgrades a ledger of the first format to the second. Its keys keep their form until the CSV tells
   their secrets: see kl_ledger_new_form. */
static bool upgrade(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    if (l->mode == KL_LEDGER_READ || l->version == KL_LEDGER_VERSION)
        return true;
    if (!run(l,
             "BEGIN IMMEDIATE;"
             "ALTER TABLE keys ADD COLUMN kin BLOB NOT NULL DEFAULT x'';"
             "ALTER TABLE keys ADD COLUMN form INTEGER NOT NULL DEFAULT 2;"
             "ALTER TABLE keys ADD COLUMN change INTEGER NOT NULL DEFAULT 0;"
             "ALTER TABLE history ADD COLUMN eui64 TEXT NOT NULL DEFAULT '';"
             "UPDATE keys SET form = 1;"
             "CREATE INDEX keys_by_kin ON keys (kin);" POOL_TABLES "PRAGMA user_version = 2;"
             "COMMIT",
             error)) {
        kl_ledger_rollback(l);
        return false;
    }
    l->version = KL_LEDGER_VERSION;
    return true;
}

static bool settings(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    if (l->mode == KL_LEDGER_READ)
        return run(l, "PRAGMA query_only = 1", error);
    return run(l, l->shared ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL",
               error) &&
           run(l,
               "PRAGMA synchronous = FULL;"
               "PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1;"
               "PRAGMA cache_size = -512", /* KiB; the system keeps the file's pages anyway */
               error);
}

/* Looks at the file's first bytes, before anything changes or locks it. */
static bool looks_like_ours(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    enum {
        HEADER = 100,
        FORMAT_AT = 18, /* 2: it has a log */
        VERSION_AT = 60,
        APPLICATION_AT = 68,
    };
    uint8_t header[HEADER];
    int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool read_all = fd >= 0 && pread(fd, header, sizeof header, 0) == HEADER;

    if (fd < 0)
        return cant(l->path, "can't be opened", error);
    close(fd);
    l->has_log = read_all && header[FORMAT_AT] == 2;
    if (!read_all || memcmp(header, "SQLite format 3", 16) != 0 ||
        big_endian(header + APPLICATION_AT) != APPLICATION_ID)
        kl_format(error, KL_TEXT_MAX,
                  "%s: this is not a ledger of keyline, or it is damaged; move it away only if you "
                  "know that no key was handed out with it",
                  kl_shown(l->path));
    else if (big_endian(header + VERSION_AT) > KL_LEDGER_VERSION)
        kl_format(error, KL_TEXT_MAX, "%s: its format is %u, and this keyline knows only %d",
                  kl_shown(l->path), (unsigned)big_endian(header + VERSION_AT), KL_LEDGER_VERSION);
    else
        return true;
    return false;
}

/* Moves what the log holds into the database and syncs it. We give nothing new to a log whose sync
   failed once, in this process or an earlier one: the kernel may have dropped what it could not
   write, and still show it. */
static bool bring_to_rest(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    int64_t busy = 0;

    if (l->mode == KL_LEDGER_READ || l->shared)
        return true;
    if (!number(l, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, error))
        return false;
    if (busy != 0)
        kl_ledger_say(l, SQLITE_BUSY, error);
    return busy == 0;
}

static int open_db(struct kl_ledger *l)
{
    char uri[3 * sizeof l->path + 32], wal[sizeof l->path + 8];
    struct stat st;
    size_t n = 0;

    if (l->mode != KL_LEDGER_READ)
        return sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE,
                               NULL);
    /* Without a write-ahead log nobody writes: we read the file without leaving a trace. */
    snprintf(wal, sizeof wal, "%s-wal", l->path);
    n += (size_t)snprintf(uri, sizeof uri, "file:");
    for (const char *p = l->path; *p != '\0'; p++)
        n += (size_t)snprintf(uri + n, sizeof uri - n, strchr("?#%", *p) ? "%%%02x" : "%c",
                              (unsigned char)*p);
    if (stat(wal, &st) != 0)
        snprintf(uri + n, sizeof uri - n, "?immutable=1");
    return sqlite3_open_v2(uri, &l->db,
                           SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL);
}

static bool has_no_log(const struct kl_ledger *l)
{
    char wal[sizeof l->path + 8];
    struct stat st;

    snprintf(wal, sizeof wal, "%s-wal", l->path);
    return stat(wal, &st) != 0;
}

static bool open_checked(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    struct stat st;
    int rc;

    if (stat(l->path, &st) != 0)
        return cant(l->path, "can't be opened", error);
    if (st.st_size == 0) {
        errno = EIO;
        return cant(l->path, "is empty, so it is damaged: put a backup in its place", error);
    }
    if (!looks_like_ours(l, error))
        return false;
    l->lacked_log = has_no_log(l);
    if ((rc = open_db(l)) != SQLITE_OK) {
        kl_ledger_say(l, rc, error);
        return false;
    }
    sqlite3_busy_timeout(l->db, BUSY_MS);
    if ((l->has_log && !kl_ledger_fill_index(l, error)) || !is_ours(l, error))
        return false;
    if (l->mode != KL_LEDGER_READ && (st.st_mode & 077) != 0)
        chmod(l->path, 0600);
    return settings(l, error) && kl_ledger_fill_index(l, error) && is_sound(l, st.st_size, error) &&
           bring_to_rest(l, error) && upgrade(l, error);
}

struct kl_ledger *kl_ledger_open(const char *path, enum kl_ledger_mode mode, bool shared,
                                 char error[KL_TEXT_MAX])
{
    struct kl_ledger *l = calloc(1, sizeof *l);
    struct stat st;
    bool there;

    error[0] = '\0';
    if (!l || !kl_copy(l->path, sizeof l->path, path)) {
        kl_format(error, KL_TEXT_MAX, "%s: no memory, or the path is too long", kl_shown(path));
        free(l);
        return NULL;
    }
    l->mode = mode;
    l->shared = shared;
    there = stat(path, &st) == 0 || errno != ENOENT;
    if (!there && mode == KL_LEDGER_READ) {
        free(l);
        return NULL;
    }
    if ((!there && mode == KL_LEDGER_CREATE && !make(l, NULL, error)) || !open_checked(l, error)) {
        kl_ledger_close(l);
        return NULL;
    }
    return l;
}

bool kl_ledger_rest(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    return bring_to_rest(l, error);
}

bool kl_ledger_lacked_log(const struct kl_ledger *l)
{
    return l->lacked_log;
}

const char *kl_ledger_file_path(const struct kl_ledger *l)
{
    return l->path;
}

void kl_ledger_close(struct kl_ledger *l)
{
    if (!l)
        return;
    close_db(l);
    free(l);
}

/* ---- healing ---- */

static bool has_moved(struct kl_ledger *l)
{
    int moved = 0;

    return sqlite3_file_control(l->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved != 0;
}

bool kl_ledger_heal(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    struct stat st;

    if (l->db) {
        kl_ledger_rollback(l);
        if (has_moved(l)) {
            if (stat(l->path, &st) == 0) {
                kl_format(error, KL_TEXT_MAX,
                          "%s: another file was put in the ledger's place; put the right one back, "
                          "or stop and start keyline",
                          kl_shown(l->path));
                return false;
            }
            if (!make(l, l->db, error))
                return false;
        }
        close_db(l);
    }
    if (open_checked(l, error))
        return true;
    close_db(l);
    return false;
}

bool kl_ledger_begin(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s;
    int rc;

    if (has_moved(l)) {
        kl_format(error, KL_TEXT_MAX, "%s: the ledger was deleted or replaced", kl_shown(l->path));
        return false;
    }
    if (!kl_ledger_fill_index(l, error) || !(s = kl_ledger_sql(l, KL_SQL_BEGIN, error)))
        return false;
    if ((rc = sqlite3_step(s)) != SQLITE_DONE)
        kl_ledger_say(l, rc, error);
    sqlite3_reset(s);
    return rc == SQLITE_DONE;
}

bool kl_ledger_commit(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    sqlite3_stmt *s = kl_ledger_sql(l, KL_SQL_COMMIT, error);
    int rc;

    if (!s)
        return false;
    if ((rc = sqlite3_step(s)) != SQLITE_DONE)
        kl_ledger_say(l, rc, error);
    sqlite3_reset(s);
    return rc == SQLITE_DONE;
}

void kl_ledger_rollback(struct kl_ledger *l)
{
    if (!l->db || sqlite3_get_autocommit(l->db))
        return;
    sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
}
