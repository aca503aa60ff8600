/* ledger_pool.h: whose ledger this is, where it is at home, and who works with it right now. */
#ifndef KEYLINE_ADAPTERS_LEDGER_POOL_H
#define KEYLINE_ADAPTERS_LEDGER_POOL_H

#include <limits.h>

#include "adapters/host/machine.h"
#include "journal.h"
#include "ledger.h"

struct kl_pool_home {
    struct kl_pool_id id;          /* random */
    char machine[KL_MACHINE_TEXT]; /* where a station left it … */
    char path[PATH_MAX];           /* … at which path … */
    char file[64];                 /* … in which file: inode and birth; "" = not known */
    bool open; /* a run has it open, or did not close it: the log beside it may hold what that run
                  did */
};

/* Who works with it. */
struct kl_lease {
    uint8_t token[16]; /* differs for each run; all zero: nobody */
    struct kl_process process;
    char who[128]; /* user, host, since when: for people */
    int64_t beat;  /* counts up while it lives */
};

/* What has to be true before a key leaves. */
struct kl_pool_guard {
    struct kl_pool_id id;
    uint8_t token[16];
    int64_t last_change; /* of the history */
};

/* Reads it; false and `error` if that fails. All zero if the ledger has none yet. */
bool kl_ledger_home(struct kl_ledger *l, struct kl_pool_home *out, char error[KL_TEXT_MAX]);
bool kl_ledger_lease(struct kl_ledger *l, struct kl_lease *out, char error[KL_TEXT_MAX]);
bool kl_ledger_guard(struct kl_ledger *l, struct kl_pool_guard *out, char error[KL_TEXT_MAX]);

/* Only within a transaction. */
bool kl_ledger_set_home(struct kl_ledger *l, const struct kl_pool_home *home,
                        char error[KL_TEXT_MAX]);
bool kl_ledger_set_lease(struct kl_ledger *l, const struct kl_lease *lease,
                         char error[KL_TEXT_MAX]);
bool kl_ledger_set_open(struct kl_ledger *l, bool open, char error[KL_TEXT_MAX]);
/* Later writes get numbers above this change. */
bool kl_ledger_skip_to(struct kl_ledger *l, int64_t change, char error[KL_TEXT_MAX]);
/* Puts a key into the state that the journal tells of. */
bool kl_ledger_restore(struct kl_ledger *l, const struct kl_journal_record *r, const char *label,
                       const char *station, int64_t wall, char error[KL_TEXT_MAX]);
/* Tells whether the history has this very change of this key. */
bool kl_ledger_tells(struct kl_ledger *l, const struct kl_journal_record *r, bool *tells,
                     char error[KL_TEXT_MAX]);

/* Which file the ledger is; "" if the file system can't tell. */
void kl_ledger_file(const char *path, char out[64]);

#endif
