/* fleet_db_link.c: see fleet_db_link.h. */
#include "fleet_db_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum waited {
    WAITED_READY,
    WAITED_SLOW,
    WAITED_INTERRUPTED,
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum waited wait_for(const struct kl_fdb *db, short events, int64_t until)
{
    struct pollfd fd[2] = {{.fd = kl_pq()->socket(db->conn), .events = events},
                           {.fd = db->wake, .events = POLLIN}};

    for (;;) {
        int64_t left = until - now_ms();
        int n;
        if (left <= 0)
            return WAITED_SLOW;
        n = poll(fd, 2, left > 1000 ? 1000 : (int)left);
        if (n > 0 && (fd[1].revents & POLLIN) != 0)
            return WAITED_INTERRUPTED;
        if (n > 0)
            return WAITED_READY;
        if (n < 0 && errno != EINTR)
            return WAITED_SLOW;
    }
}

/* One interruption ends one call. */
static void forget_interruption(const struct kl_fdb *db)
{
    uint64_t count;

    while (read(db->wake, &count, sizeof count) > 0)
        continue;
}

void kl_fdb_interrupt(struct kl_fdb *db)
{
    static const uint64_t one = 1;

    while (write(db->wake, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

void kl_fdb_drop(struct kl_fdb *db)
{
    if (db->conn)
        kl_pq()->finish(db->conn);
    db->conn = NULL;
}

/* ---- who says nothing gets this ---- */

static bool is_local(const char *host)
{
    return host[0] == '\0' || host[0] == '/' || host[0] == '@' || strcmp(host, "localhost") == 0 ||
           strcmp(host, "::1") == 0 || /* a name may begin like this, too */
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* `list` is separated by commas, as libpq has several hosts. */
static bool all_local(const char *list, unsigned *count)
{
    bool local = true;

    *count = 0;
    for (const char *at = list;; at++) {
        char host[256];
        size_t n = strcspn(at, ",");
        kl_format(host, sizeof host, "%.*s", (int)(n < 255 ? n : 255), at);
        local &= is_local(host);
        ++*count;
        at += n;
        if (*at == '\0')
            return local;
    }
}

static const char *option_of(const PQconninfoOption *all, const char *name)
{
    for (; all->keyword; all++)
        if (strcmp(all->keyword, name) == 0)
            return all->val ? all->val : "";
    return "";
}

static unsigned told(const struct kl_fdb *db)
{
    unsigned n = 0;

    while (db->keyword[n])
        n++;
    return n;
}

static void tell(struct kl_fdb *db, const char *keyword, const char *value)
{
    unsigned n = told(db);

    KL_ASSERT(n < KL_FDB_OPTIONS_MAX);
    db->keyword[n] = keyword;
    db->value[n] = value;
}

/* What the service file, the environment and libpq itself made of it; true if something has to be
   said that nobody said, and so the connection is to be begun again. */
static bool fill_in(struct kl_fdb *db)
{
    PQconninfoOption *all = kl_pq()->conninfo(db->conn);
    const char *host, *address;
    unsigned hosts, before = told(db);
    bool local;

    if (!all)
        return false;
    host = option_of(all, "host");
    address = option_of(all, "hostaddr");
    local = all_local(address[0] != '\0' ? address : host, &hosts);
    /* "prefer" is libpq's own word for nothing said. */
    db->distrust = !local && strcmp(option_of(all, "sslmode"), "prefer") == 0;
    if (db->distrust)
        tell(db, "sslmode", "verify-full");
    if (hosts > 1 && strcmp(option_of(all, "target_session_attrs"), "any") == 0)
        tell(db, "target_session_attrs", "read-write");
    if (!local && option_of(all, "tcp_user_timeout")[0] == '\0')
        tell(db, "tcp_user_timeout", "5000");
    if (!local && option_of(all, "keepalives_idle")[0] == '\0')
        tell(db, "keepalives_idle", "20");
    kl_format(db->name, sizeof db->name, "%.100s%s%.20s/%.100s",
              host[0] != '\0' ? host : "this machine", host[0] == '/' ? ", port " : ":",
              option_of(all, "port"), option_of(all, "dbname"));
    kl_pq()->conninfoFree(all);
    return told(db) > before;
}

/* ---- connecting ---- */

static void on_notice(void *ctx, const PGresult *notice)
{
    const char *severity = kl_pq()->resultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = kl_pq()->resultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    struct kl_fdb *db = ctx;

    if (severity && strcmp(severity, "WARNING") != 0)
        return;
    if (db->warnings++ == 0)
        kl_copy(db->warning, sizeof db->warning, text ? text : "");
}

/* What a person can do about a connection that is not safe, by libpq's words. */
static const char *tls_advice(const char *words)
{
    static const struct {
        const char *words, *advice;
    } known[] = {
        {"root certificate", "put its authority's certificate there, or say sslrootcert=FILE"},
        {"does not match host name", "host= has to be the name in its certificate"},
        {"verify failed",
         "it is not from the authority in root.crt, or is too old, or somebody is in between"},
        {"does not support SSL", "switch ssl on in that server"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(words, known[i].words))
            return known[i].advice;
    return "see the server's log";
}

/* libpq gives no SQLSTATE of a refused connection, but writes it if it is told to be verbose:
   "FATAL:  28P01: …". */
static enum kl_fleet_result judge_connection(const PGconn *conn, struct kl_fdb_why *why)
{
    const char *text = kl_pq()->errorMessage(conn), *tls = strstr(text, "certificate"),
               *from = text;
    char state[6] = "08001", line[KL_TEXT_MAX];

    if (kl_pq()->connectionNeedsPassword(conn))
        kl_copy(state, sizeof state, "28P01");
    for (const char *at = text; (at = strstr(at, ":  ")); at += 3)
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            kl_format(state, sizeof state, "%.5s", at + 3);
            from = at + 9 + strspn(at + 9, " ");
            tls = NULL;
            break;
        }
    if (tls || (tls = from == text ? strstr(text, "SSL") : NULL))
        for (from = tls; from > text && from[-1] != '\n';)
            from--;
    kl_format(line, sizeof line, "%.*s", (int)strcspn(from, "\n"), from);
    kl_fdb_judge(state, line, why);
    if (tls) {
        const char *end = strstr(line, " failed: "); /* of what libpq says of where it was */
        why->cause = KL_FDB_CAUSE_TLS;
        kl_format(why->text, sizeof why->text, "%s (%s): %s", kl_fdb_cause_text(why->cause),
                  tls_advice(line), end ? end + strlen(" failed: ") : line);
    }
    why->refusal = KL_FLEET_NO_NONE;
    return KL_FLEET_DOWN; /* whatever it is: nothing was asked */
}

static enum kl_fleet_result give_up(struct kl_fdb *db, enum waited waited,
                                    enum kl_fleet_result result, struct kl_fdb_why *why)
{
    *why = (struct kl_fdb_why){.cause = waited == WAITED_SLOW ? KL_FDB_CAUSE_SLOW
                                                              : KL_FDB_CAUSE_INTERRUPTED};
    kl_copy(why->text, sizeof why->text, kl_fdb_cause_text(why->cause));
    kl_fdb_drop(db);
    if (waited == WAITED_INTERRUPTED)
        forget_interruption(db);
    return result;
}

static enum kl_fleet_result no_memory(struct kl_fdb_why *why)
{
    *why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_OTHER, .text = "no memory"};
    return KL_FLEET_DOWN;
}

static enum kl_fleet_result begin_connecting(struct kl_fdb *db, struct kl_fdb_why *why)
{
    for (;;) {
        db->conn = kl_pq()->connectStartParams(db->keyword, db->value, 1);
        if (!db->conn)
            return no_memory(why);
        kl_pq()->setErrorVerbosity(db->conn, PQERRORS_VERBOSE);
        kl_pq()->setNoticeReceiver(db->conn, on_notice, db);
        if (kl_pq()->port(db->conn)[0] == '\0') { /* libpq did not get as far as to know where to */
            judge_connection(db->conn, why);
            why->cause = KL_FDB_CAUSE_SETTING;
            kl_fdb_drop(db);
            return KL_FLEET_DOWN;
        }
        if (db->looked)
            break;
        db->looked = true;
        if (!fill_in(db))
            break;
        kl_fdb_drop(db);
    }
    if (kl_pq()->status(db->conn) != CONNECTION_BAD)
        return KL_FLEET_OK;
    judge_connection(db->conn, why);
    kl_fdb_drop(db);
    return KL_FLEET_DOWN;
}

static enum kl_fleet_result connect_until(struct kl_fdb *db, int64_t until, struct kl_fdb_why *why)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    if (begin_connecting(db, why) != KL_FLEET_OK)
        return KL_FLEET_DOWN;
    while (want != PGRES_POLLING_OK) {
        enum waited waited = wait_for(db, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
        if (waited != WAITED_READY)
            return give_up(db, waited, KL_FLEET_DOWN, why);
        want = kl_pq()->connectPoll(db->conn);
        if (want == PGRES_POLLING_FAILED) {
            judge_connection(db->conn, why);
            kl_fdb_drop(db);
            return KL_FLEET_DOWN;
        }
    }
    kl_pq()->setErrorVerbosity(db->conn, PQERRORS_DEFAULT);
    if (kl_pq()->setnonblocking(db->conn, 1) != 0) {
        kl_fdb_drop(db);
        return no_memory(why);
    }
    return KL_FLEET_OK;
}

/* Is there a connection that looks alive? What the server said last is read away. */
static bool is_connected(struct kl_fdb *db)
{
    if (!db->conn)
        return false;
    if (kl_pq()->status(db->conn) == CONNECTION_OK && kl_pq()->consumeInput(db->conn) &&
        kl_pq()->status(db->conn) == CONNECTION_OK &&
        kl_pq()->transactionStatus(db->conn) == PQTRANS_IDLE)
        return true;
    kl_fdb_drop(db);
    return false;
}

static enum kl_fleet_result need_connection(struct kl_fdb *db, int64_t until,
                                            struct kl_fdb_why *why)
{
    return is_connected(db) ? KL_FLEET_OK : connect_until(db, until, why);
}

static bool make(struct kl_fdb *db, const char *service)
{
    bool is_text = strchr(service, '=') || strstr(service, "://");

    db->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    db->service = strdup(service);
    if (db->wake < 0 || !db->service)
        return false;
    kl_copy(db->name, sizeof db->name, is_text ? "the pool's database" : service);
    tell(db, is_text ? "dbname" : "service", db->service);
    tell(db, "fallback_application_name", "keyline");
    tell(db, "client_encoding", "UTF8");
    return true;
}

enum kl_fleet_result kl_fdb_open(const char *service, int within_ms, struct kl_fdb **out,
                                 struct kl_fdb_why *why)
{
    struct kl_fdb *db = calloc(1, sizeof *db);
    enum kl_fleet_result result;

    *out = NULL;
    *why = (struct kl_fdb_why){0};
    if (!db || !make(db, service)) {
        kl_fdb_close(db);
        return no_memory(why);
    }
    if (!kl_pq_load(why->text)) {
        why->cause = KL_FDB_CAUSE_SETTING;
        kl_fdb_close(db);
        return KL_FLEET_DOWN;
    }
    result = connect_until(db, now_ms() + within_ms, why);
    if (result != KL_FLEET_OK && !db->looked) {
        kl_fdb_close(db);
        return result;
    }
    *out = db;
    return result;
}

void kl_fdb_close(struct kl_fdb *db)
{
    if (!db)
        return;
    kl_fdb_drop(db);
    if (db->wake >= 0)
        close(db->wake);
    free(db->service);
    free(db);
}

const char *kl_fdb_name(const struct kl_fdb *db)
{
    return db->name;
}

/* ---- sending and hearing ---- */

static enum waited flush_until(struct kl_fdb *db, int64_t until)
{
    while (kl_pq()->flush(db->conn) == 1) {
        enum waited waited = wait_for(db, POLLIN | POLLOUT, until);
        if (waited != WAITED_READY)
            return waited;
        if (!kl_pq()->consumeInput(db->conn))
            return WAITED_READY; /* the result tells */
    }
    return WAITED_READY;
}

static enum waited result_until(struct kl_fdb *db, int64_t until, PGresult **out)
{
    *out = NULL;
    while (kl_pq()->isBusy(db->conn)) {
        enum waited waited = wait_for(db, POLLIN, until);
        if (waited != WAITED_READY)
            return waited;
        if (!kl_pq()->consumeInput(db->conn))
            break;
    }
    *out = kl_pq()->getResult(db->conn);
    return WAITED_READY;
}

static bool failed(const PGresult *r)
{
    ExecStatusType status = kl_pq()->resultStatus(r);

    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
           status == PGRES_PIPELINE_ABORTED || status == PGRES_EMPTY_QUERY;
}

static bool lost(const struct kl_fdb *db)
{
    return !db->conn || kl_pq()->status(db->conn) != CONNECTION_OK;
}

/* The connection went away when an answer was due. */
static enum kl_fleet_result broken(struct kl_fdb *db, const PGresult *r,
                                   enum kl_fleet_result result, struct kl_fdb_why *why)
{
    const char *text = r ? kl_pq()->resultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (!text && db->conn)
        text = kl_pq()->errorMessage(db->conn);
    kl_fdb_judge("08006", text, why);
    kl_fdb_drop(db);
    return result;
}

static enum kl_fleet_result judge_result(const PGresult *r, struct kl_fdb_why *why)
{
    const char *text = kl_pq()->resultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    return kl_fdb_judge(kl_pq()->resultErrorField(r, PG_DIAG_SQLSTATE),
                        text ? text : kl_pq()->resultErrorMessage(r), why);
}

/* What COMMIT's acknowledgement is worth. */
static enum kl_fleet_result judge_commit(struct kl_fdb *db, PGresult *r, struct kl_fdb_why *why)
{
    if (strcmp(kl_pq()->cmdStatus(r), "COMMIT") != 0)
        return kl_fdb_judge("40000", "the transaction was rolled back", why);
    if (db->warnings == 0)
        return KL_FLEET_OK;
    *why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_WARNED, .sqlstate = "01000"};
    kl_format(why->text, sizeof why->text, "%s: %s", kl_fdb_cause_text(why->cause), db->warning);
    kl_fdb_drop(db);
    return KL_FLEET_DOUBT;
}

/* ---- one transaction in one round trip ---- */

enum {
    PART_BEGIN,
    PART_LIMITS,
    PART_CALL,
    PART_COMMIT,
    PARTS,
};

/* The path: what somebody has put into another schema stands in for nothing. */
static const char set_limits[] =
    "SELECT pg_catalog.set_config('statement_timeout', $1, true), "
    "pg_catalog.set_config('lock_timeout', $2, true), "
    "pg_catalog.set_config('synchronous_commit', CASE WHEN pg_catalog.current_setting("
    "'synchronous_commit') IN ('off', 'local', 'remote_write') THEN 'on' ELSE "
    "pg_catalog.current_setting('synchronous_commit') END, true), "
    "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)";

static bool send_text(PGconn *conn, const struct kl_fdb_query *q)
{
    return kl_pq()->sendQueryParams(conn, q->sql, q->count, NULL, q->value, NULL, NULL,
                                    q->binary) == 1;
}

/* The server gives a statement up by itself a little before we give the connection up. */
static void limits_of(int within_ms, char statement[16], char lock[16])
{
    int most = within_ms > 2000 ? within_ms - 500 : within_ms;

    kl_format(statement, 16, "%d", most > 10 ? most : 10);
    kl_format(lock, 16, "%d", most / 2 < 3000 ? most / 2 + 5 : 3000);
}

static bool send_parts(struct kl_fdb *db, int within_ms, const struct kl_fdb_query *query)
{
    char statement[16], lock[16];
    const char *limit[] = {statement, lock};

    limits_of(within_ms, statement, lock);
    return kl_pq()->enterPipelineMode(db->conn) &&
           send_text(db->conn, &(struct kl_fdb_query){.sql = "BEGIN"}) &&
           send_text(db->conn,
                     &(struct kl_fdb_query){.sql = set_limits, .count = 2, .value = limit}) &&
           send_text(db->conn, query) &&
           send_text(db->conn, &(struct kl_fdb_query){.sql = "COMMIT"}) &&
           kl_pq()->pipelineSync(db->conn);
}

/* All answers up to the sync point. `part` gets the first result of each. */
static enum waited hear_parts(struct kl_fdb *db, int64_t until, PGresult *part[PARTS], bool *synced)
{
    enum waited waited = flush_until(db, until);
    unsigned at = 0, silent = 0;

    *synced = false;
    while (waited == WAITED_READY && !*synced && !lost(db) && silent < 2) {
        PGresult *r;
        waited = result_until(db, until, &r);
        /* One NULL parts the answers; two in a row: nothing comes any more. */
        silent = r ? 0 : silent + 1;
        if (!r) {
            at++;
        } else if (kl_pq()->resultStatus(r) == PGRES_PIPELINE_SYNC) {
            *synced = true;
            kl_pq()->clear(r);
        } else if (at < PARTS && !part[at]) {
            part[at] = r;
        } else {
            kl_pq()->clear(r);
        }
    }
    return waited;
}

/* The parts before COMMIT: the first that failed refuses all. */
static const PGresult *first_failed(PGresult *const part[PARTS])
{
    for (unsigned i = 0; i < PARTS; i++)
        if (part[i] && failed(part[i]))
            return part[i];
    return NULL;
}

/* After an error the server carries out nothing up to the sync point, so no COMMIT either. Whoever
   ends the connection (FATAL), the server or a pooler before it, may have done so behind the
   COMMIT. */
static bool is_error(const PGresult *r)
{
    const char *severity = kl_pq()->resultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity && strcmp(severity, "ERROR") == 0;
}

static enum kl_fleet_result judge_parts(struct kl_fdb *db, PGresult *part[PARTS], bool synced,
                                        struct kl_fdb_why *why)
{
    const PGresult *wrong = first_failed(part);
    enum kl_fleet_result result;

    if (wrong && wrong != part[PART_COMMIT] && is_error(wrong)) {
        result = judge_result(wrong, why);
        if (lost(db) || !synced)
            kl_fdb_drop(db);
        return result;
    }
    if (lost(db) || !synced || !part[PART_COMMIT])
        return broken(db, wrong, KL_FLEET_DOUBT, why);
    if (wrong)
        return judge_result(wrong, why);
    return judge_commit(db, part[PART_COMMIT], why);
}

/* Leaves the connection as it was found, or gives it up. */
static void tidy_up(struct kl_fdb *db)
{
    if (!db->conn)
        return;
    if (!kl_pq()->exitPipelineMode(db->conn) ||
        kl_pq()->transactionStatus(db->conn) != PQTRANS_IDLE)
        kl_fdb_rollback(db);
}

enum kl_fleet_result kl_fdb_transact(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_query *query, PGresult **out,
                                     struct kl_fdb_why *why)
{
    int64_t until = now_ms() + within_ms;
    PGresult *part[PARTS] = {0};
    enum kl_fleet_result result;
    enum waited waited;
    bool synced;

    *out = NULL;
    *why = (struct kl_fdb_why){0};
    if ((result = need_connection(db, until, why)) != KL_FLEET_OK)
        return result;
    db->warnings = 0;
    if (!send_parts(db, within_ms, query))
        return broken(db, NULL, KL_FLEET_DOUBT, why);
    waited = hear_parts(db, until, part, &synced);
    if (waited != WAITED_READY)
        result = give_up(db, waited, KL_FLEET_DOUBT, why);
    else
        result = judge_parts(db, part, synced, why);
    tidy_up(db);
    if (result == KL_FLEET_OK) {
        *out = part[PART_CALL];
        part[PART_CALL] = NULL;
    }
    for (unsigned i = 0; i < PARTS; i++)
        kl_pq()->clear(part[i]);
    return result;
}

/* ---- longer transactions ---- */

void kl_fdb_rollback(struct kl_fdb *db)
{
    if (db->conn && kl_pq()->transactionStatus(db->conn) != PQTRANS_IDLE)
        kl_fdb_drop(db); /* the server rolls back what has no client */
}

/* The last result of what was sent. `before`: what it means if the connection breaks now. */
static enum kl_fleet_result hear(struct kl_fdb *db, int64_t until, PGresult **out,
                                 enum kl_fleet_result before, struct kl_fdb_why *why)
{
    enum waited waited = flush_until(db, until);
    PGresult *last = NULL, *r = NULL;
    enum kl_fleet_result result = KL_FLEET_OK;

    while (waited == WAITED_READY && (waited = result_until(db, until, &r)) == WAITED_READY && r) {
        bool copying = kl_pq()->resultStatus(r) == PGRES_COPY_IN;
        if (last && failed(last)) {
            kl_pq()->clear(r);
        } else {
            kl_pq()->clear(last);
            last = r;
        }
        if (copying)
            break;
    }
    if (waited != WAITED_READY)
        result = give_up(db, waited, before, why);
    else if (lost(db) || !last)
        result = broken(db, last, before, why);
    else if (failed(last))
        result = judge_result(last, why);
    if (result == KL_FLEET_OK && out) {
        *out = last;
        last = NULL;
    }
    kl_pq()->clear(last);
    return result;
}

enum kl_fleet_result kl_fdb_step(struct kl_fdb *db, int within_ms, const struct kl_fdb_query *query,
                                 PGresult **out, struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    bool sent;

    if (out)
        *out = NULL;
    *why = (struct kl_fdb_why){0};
    if (lost(db))
        return broken(db, NULL, KL_FLEET_DOWN, why);
    sent = query->count > 0 || query->binary ? send_text(db->conn, query)
                                             : kl_pq()->sendQuery(db->conn, query->sql) == 1;
    if (!sent)
        return broken(db, NULL, KL_FLEET_DOWN, why);
    result = hear(db, now_ms() + within_ms, out, KL_FLEET_DOWN, why);
    if (result != KL_FLEET_OK)
        kl_fdb_rollback(db);
    return result;
}

enum kl_fleet_result kl_fdb_begin(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why)
{
    int64_t until = now_ms() + within_ms;
    enum kl_fleet_result result = need_connection(db, until, why);

    db->warnings = 0;
    if (result == KL_FLEET_OK)
        result = kl_fdb_step(db, within_ms, &(struct kl_fdb_query){.sql = "BEGIN"}, NULL, why);
    return result;
}

enum kl_fleet_result kl_fdb_commit(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    PGresult *r = NULL;

    *why = (struct kl_fdb_why){0};
    if (lost(db) || kl_pq()->sendQuery(db->conn, "COMMIT") != 1)
        return broken(db, NULL, KL_FLEET_DOWN, why);
    result = hear(db, now_ms() + within_ms, &r, KL_FLEET_DOUBT, why);
    if (result == KL_FLEET_OK)
        result = judge_commit(db, r, why);
    kl_pq()->clear(r);
    kl_fdb_rollback(db);
    return result;
}

enum kl_fleet_result kl_fdb_copy(struct kl_fdb *db, int within_ms, const char *data, size_t size,
                                 struct kl_fdb_why *why)
{
    int64_t until = now_ms() + within_ms;
    int n = -1;

    *why = (struct kl_fdb_why){0};
    while (!lost(db) && (n = kl_pq()->putCopyData(db->conn, data, (int)size)) == 0) {
        enum waited waited = wait_for(db, POLLIN | POLLOUT, until);
        if (waited != WAITED_READY)
            return give_up(db, waited, KL_FLEET_DOWN, why);
        kl_pq()->consumeInput(db->conn);
    }
    if (lost(db) || n < 0)
        return broken(db, NULL, KL_FLEET_DOWN, why);
    /* Not more than a socket's worth is kept in memory. */
    if (flush_until(db, until) != WAITED_READY)
        return give_up(db, WAITED_SLOW, KL_FLEET_DOWN, why);
    return KL_FLEET_OK;
}

enum kl_fleet_result kl_fdb_copy_end(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why)
{
    int64_t until = now_ms() + within_ms;
    enum kl_fleet_result result;
    int n = -1;

    *why = (struct kl_fdb_why){0};
    while (!lost(db) && (n = kl_pq()->putCopyEnd(db->conn, NULL)) == 0) {
        enum waited waited = wait_for(db, POLLOUT, until);
        if (waited != WAITED_READY)
            return give_up(db, waited, KL_FLEET_DOWN, why);
    }
    if (lost(db) || n < 0)
        return broken(db, NULL, KL_FLEET_DOWN, why);
    result = hear(db, until, NULL, KL_FLEET_DOWN, why);
    if (result != KL_FLEET_OK)
        kl_fdb_rollback(db);
    return result;
}

const char *kl_fdb_text(const PGresult *result, int row, int column)
{
    return kl_pq()->getisnull(result, row, column) ? "" : kl_pq()->getvalue(result, row, column);
}
