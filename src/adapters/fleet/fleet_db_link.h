/*
 * fleet_db_link.h: a connection that never blocks longer than it is told, and transactions on it.
 *
 * One deadline holds for a whole call, connecting included. No query is ever cancelled: that would
 * end a wait for the standby, and what was not safe would look done. A call that takes too long
 * gives the connection up instead.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_DB_LINK_H
#define KEYLINE_ADAPTERS_FLEET_DB_LINK_H

#include "fleet_db.h"
#include "pq.h"

enum {
    KL_FDB_OPTIONS_MAX = 12,
};

struct kl_fdb {
    PGconn *conn;      /* NULL = none */
    int wake;          /* eventfd: interrupted */
    unsigned warnings; /* since the transaction began */
    char warning[KL_TEXT_MAX];
    char name[KL_TEXT_MAX];
    /* What libpq is told; the texts live as long as this. */
    const char *keyword[KL_FDB_OPTIONS_MAX + 1], *value[KL_FDB_OPTIONS_MAX + 1];
    char *service; /* what the user said */
    bool looked;   /* what is left unsaid was found out and filled in */
    bool distrust; /* sslmode=verify-full was filled in */
};

struct kl_fdb_query {
    const char *sql;
    int count; /* of values, text form; NULL = SQL's NULL */
    const char *const *value;
    bool binary; /* the result's form */
};

/* One transaction of one query, in one round trip. After OK, `*out` is the query's result and the
   caller's: kl_pq()->clear. */
enum kl_fleet_result kl_fdb_transact(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_query *query, PGresult **out,
                                     struct kl_fdb_why *why);

/* ---- longer transactions: of the owner; each step has its own time ---- */

enum kl_fleet_result kl_fdb_begin(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why);
/* `out` may be NULL. After anything but OK the transaction is over. Without values, `sql` may hold
   many statements: `*out` is the last one's result. */
enum kl_fleet_result kl_fdb_step(struct kl_fdb *db, int within_ms, const struct kl_fdb_query *query,
                                 PGresult **out, struct kl_fdb_why *why);
/* COPY … FROM STDIN begins with a step; then rows; then the end. */
enum kl_fleet_result kl_fdb_copy(struct kl_fdb *db, int within_ms, const char *data, size_t size,
                                 struct kl_fdb_why *why);
enum kl_fleet_result kl_fdb_copy_end(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why);
enum kl_fleet_result kl_fdb_commit(struct kl_fdb *db, int within_ms, struct kl_fdb_why *why);
/* Gives up what was begun; needs no answer. */
void kl_fdb_rollback(struct kl_fdb *db);

/* Fills `why` and returns the answer that goes with it: `cause` by the server's SQLSTATE, DOWN or
   REFUSED. */
enum kl_fleet_result kl_fdb_judge(const char *sqlstate, const char *message,
                                  struct kl_fdb_why *why);
/* "" of a NULL. */
const char *kl_fdb_text(const PGresult *result, int row, int column);

#endif
