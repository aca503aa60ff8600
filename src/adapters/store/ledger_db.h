/* ledger_db.h: what the parts of the ledger share. */
#ifndef KEYLINE_ADAPTERS_LEDGER_DB_H
#define KEYLINE_ADAPTERS_LEDGER_DB_H

#include <sqlite3.h>

#include "ledger.h"

enum {
    KL_LEDGER_VERSION = 2,
};

enum kl_ledger_statement {
    KL_SQL_BEGIN,
    KL_SQL_COMMIT,
    KL_SQL_KEY,    /* by fingerprint */
    KL_SQL_OF_MAC, /* the key that a MAC holds */
    KL_SQL_KIN,    /* the held key with the same secret */
    KL_SQL_RESERVE,
    KL_SQL_PROVISION,
    KL_SQL_RELEASE,
    KL_SQL_GUARD,
    KL_SQL_RECORD,
    KL_SQL_RENAME,
    KL_SQL_NEW_FORM,
    KL_SQL_NEW_KIN,
    KL_SQL_NOTE,    /* history of a key */
    KL_SQL_ATTEMPT, /* history of a board */
    KL_SQL_COUNT
};

struct kl_ledger {
    sqlite3 *db;
    char path[4096];
    enum kl_ledger_mode mode;
    int version;       /* of the file's format */
    bool shared;       /* other machines may open it */
    int index_regions; /* of the log's index: filled, so that a full disk does no harm */
    bool has_log;      /* its changes go into a log first */
    bool lacked_log;   /* no log lay beside it when we opened it */
    sqlite3_stmt *sql[KL_SQL_COUNT];
};

/* The statement, ready for new values; NULL and `error` if the database can't. */
sqlite3_stmt *kl_ledger_sql(struct kl_ledger *l, enum kl_ledger_statement which,
                            char error[KL_TEXT_MAX]);
/* Has the kernel fill what SQLite will write to the log's index next: before each transaction.
   False and `error` if the disk is full. */
bool kl_ledger_fill_index(struct kl_ledger *l, char error[KL_TEXT_MAX]);
/* Says what SQLite says, for a person. */
void kl_ledger_say(struct kl_ledger *l, int rc, char error[KL_TEXT_MAX]);

#endif
