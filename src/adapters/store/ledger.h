/*
 * ledger.h: the SQLite file beside the CSV: which key belongs to which MAC, and a history to which
 * keyline only adds rows. No secrets. The format is in docs/ledger.md.
 *
 * Blocking; one thread at a time. Changes happen between begin and commit. What they find in the
 * file is durable, and it wins over what the caller believes.
 */
#ifndef KEYLINE_ADAPTERS_LEDGER_H
#define KEYLINE_ADAPTERS_LEDGER_H

#include "keyline/store.h"

struct kl_ledger;

enum kl_ledger_mode {
    KL_LEDGER_READ,   /* writes nothing; NULL without an error text if there is no ledger yet */
    KL_LEDGER_CHANGE, /* must be there */
    KL_LEDGER_CREATE, /* makes a new one if there is none: the caller holds the CSV's lock */
};

/* Where the ledger of this CSV is: beside the real file, behind any symbolic link. False if the
   path is too long. */
bool kl_ledger_path(const char *csv, char out[4096]);

/* NULL and a sentence if the ledger is damaged, foreign, newer or not readable; nothing changes it
   then. `shared`: other machines may open it too, so we can't share memory with them. */
struct kl_ledger *kl_ledger_open(const char *path, enum kl_ledger_mode mode, bool shared,
                                 char error[KL_TEXT_MAX]);
void kl_ledger_close(struct kl_ledger *l);

/*
 * After a failed commit nobody knows what reached the disk. This closes the file, opens it again,
 * and brings what is there to rest. From then on we see only what is durable. If somebody deleted
 * the ledger meanwhile, this writes it anew from the one that is still open. False if that fails
 * (yet); `l` stays usable for another try.
 */
bool kl_ledger_heal(struct kl_ledger *l, char error[KL_TEXT_MAX]);

/* Moves what the log beside it holds into the file, and syncs it: then a copy of the file is
   whole. */
bool kl_ledger_rest(struct kl_ledger *l, char error[KL_TEXT_MAX]);
/* No log lay beside the ledger when we opened it. */
bool kl_ledger_lacked_log(const struct kl_ledger *l);
const char *kl_ledger_file_path(const struct kl_ledger *l);

bool kl_ledger_begin(struct kl_ledger *l, char error[KL_TEXT_MAX]);
bool kl_ledger_commit(struct kl_ledger *l, char error[KL_TEXT_MAX]);
void kl_ledger_rollback(struct kl_ledger *l);

struct kl_ledger_change {
    struct kl_fingerprint fingerprint, kin;
    struct kl_mac mac;
    const char *label;
    bool marked;         /* RESERVE: its row in the CSV carries the mark */
    const char *how;     /* PROVISION: "readback", "ack" */
    const char *reason;  /* RELEASE; RENAME: what a person said */
    const char *station; /* name of the bench */
    const char *bundle;  /* digest of what keyline flashed, "" = none */
    int64_t wall;        /* microseconds since 1970 */
};

/* OK, also if the ledger says so already; FAILED: roll back; REFUSED: `text` tells what the ledger
   says. */
enum kl_store_status kl_ledger_reserve(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       char text[KL_TEXT_MAX]);
enum kl_store_status kl_ledger_provision(struct kl_ledger *l, const struct kl_ledger_change *c,
                                         char text[KL_TEXT_MAX]);
enum kl_store_status kl_ledger_release(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       char text[KL_TEXT_MAX]);
/* Is this key this MAC's? Takes back a release that we reported as failed and that is on disk all
   the same. */
enum kl_store_status kl_ledger_owns(struct kl_ledger *l, const struct kl_ledger_change *c,
                                    char text[KL_TEXT_MAX]);
enum kl_store_status kl_ledger_attempt(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       const struct kl_attempt *a, char text[KL_TEXT_MAX]);
/* What an operator did, with `reason` telling who; MAC and label may be blank. */
enum kl_store_status kl_ledger_command(struct kl_ledger *l, const struct kl_ledger_change *c,
                                       enum kl_command_kind command, char text[KL_TEXT_MAX]);

/* Adds an entry to the history that concerns no key and no attempt: what an operator did or let
   pass. */
enum kl_store_status kl_ledger_note(struct kl_ledger *l, const char *what,
                                    const struct kl_ledger_change *c, char text[KL_TEXT_MAX]);

/* Renames a key whose row has another label now, after a person said that this is right. */
enum kl_store_status kl_ledger_rename(struct kl_ledger *l, const struct kl_ledger_change *c,
                                      char text[KL_TEXT_MAX]);
/* Gives a key with an old fingerprint, which holds its label, today's fingerprint. Does nothing if
   another key has that already. */
bool kl_ledger_new_form(struct kl_ledger *l, const struct kl_fingerprint *old,
                        const struct kl_fingerprint *now, const struct kl_fingerprint *kin,
                        char error[KL_TEXT_MAX]);

/* An earlier version took another kin for this key. */
bool kl_ledger_new_kin(struct kl_ledger *l, const struct kl_fingerprint *fp,
                       const struct kl_fingerprint *kin, char error[KL_TEXT_MAX]);

/* Reads what is durable about one key, and the number of its last change; 0 = nothing. */
struct kl_journal_record;
bool kl_ledger_record(struct kl_ledger *l, const struct kl_fingerprint *fp,
                      struct kl_journal_record *out, char error[KL_TEXT_MAX]);

/* ---- looking ---- */

/* Tells all keys in the order in which they came into the ledger. `each` returns false to stop.
   False if the ledger can't be read. */
bool kl_ledger_keys(struct kl_ledger *l, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                    void *ctx, char error[KL_TEXT_MAX]);

/* The pool's id in hex; "" in a ledger of the first format. False if the ledger can't be read. */
bool kl_ledger_pool_id(struct kl_ledger *l, char id[33], char error[KL_TEXT_MAX]);

/* Tells the history, oldest first. `mac` and `label` choose entries (NULL = all). */
bool kl_ledger_history(struct kl_ledger *l, const char *mac, const char *label,
                       bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                       char error[KL_TEXT_MAX]);

#endif
