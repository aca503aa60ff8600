/*
 * store.h: where the pool's decisions become durable. A handful of simple operations; the pool
 * decides.
 *
 * A store has a list of keys, with their secrets, and a record of what became of each. Today's only
 * kind is a CSV with a ledger beside it (docs/ledger.md); only the store knows what it is made of.
 *
 * Opening blocks: open before the loop runs. From kl_store_start on everything is asynchronous: one
 * worker job at a time takes all waiting requests, makes them durable in one commit, and answers on
 * the loop. Answers come in the order of the requests; only a RESERVE that waits for a shared pool
 * may be answered later than others.
 */
#ifndef KEYLINE_STORE_H
#define KEYLINE_STORE_H

#include <uv.h>

#include "keyline/lint.h"
#include "keyline/station.h"

struct kl_store;
struct kl_leased;

/* What makes it doubtful which board has which key. A person has to answer before any key leaves.
   X(NAME, "option that answers it", "question") */
#define KL_DOUBTS(X)                                                                               \
    X(NONE, "", "")                                                                                \
    X(STORAGE, "--volatile", "Is this a demonstration whose keys may be forgotten?")               \
    X(MOVED, "--moved", "Is this the only ledger of these keys from now on?")                      \
    X(OLD, "--heal", "Go on with all that ledger and journal know together?")                      \
    X(RENAMED, "--renamed", "Are these the same keys under corrected labels?")

enum kl_doubt {
#define X(name, option, question) KL_DOUBT_##name,
    KL_DOUBTS(X)
#undef X
    KL_DOUBT_COUNT
};
struct kl_doubt_info {
    const char *option, *question;
};
struct kl_doubt_info kl_doubt_info(enum kl_doubt doubt);

enum kl_store_open_result {
    KL_STORE_OPENED,
    KL_STORE_BAD_CSV, /* exit 3 */
    KL_STORE_HELD,    /* exit 4: another station works on these keys */
    KL_STORE_BROKEN,  /* exit 6: the record can't be written or read */
    KL_STORE_DOUBT,   /* exit 7: a person has to answer first: `doubt` of the options */
    KL_STORE_AWAY,    /* exit 6: this machine never met the shared pool, whose database is silent */
};

enum kl_store_mode {
    KL_STORE_WORK,   /* for a station: holds the keys and changes what became of them */
    KL_STORE_LOOK,   /* list and record; holds nothing, writes nothing */
    KL_STORE_RECORD, /* the record alone, even without the list; holds and writes nothing */
    KL_STORE_MEND,   /* the record alone, held as by a station: a person changes it */
};

/* The station's side of a pool that several stations share (docs/fleet.md). */
struct kl_store_shared {
    const char *service; /* libpq's: a service's name, a connection text or a URI */
    unsigned slots;      /* of the bench */
    uint32_t lease_max;  /* keys that the station holds unsent at most */
    kl_us offline;       /* how long boards that it has never seen go on while the database is
                            silent; 0 = they wait */
    uint32_t warn_keys;  /* people are told when no more than so many are left; 0 = never */
};

struct kl_store_options {
    const char *csv;
    const struct kl_leased *leased; /* the CSV is a leased list (leased.h); NULL: a person's */
    const struct kl_store_shared *shared; /* the keys come from a shared pool, not from `csv` */
    bool header;                          /* --csv-header: the first row is not a key */
    bool long_keys;                       /* with a header: keys may be long (keyline/key.h) */
    uint32_t accept; /* bits 1 << enum kl_csv_kind: what a person has looked at and lets pass */
    enum kl_store_mode mode;
    const char *station;       /* name kept in the history; NULL = the host's */
    const char *bundle_digest; /* hex, for the history; NULL = none */
    const char *journal;       /* folder of the second witness; NULL = the usual one */
    uint32_t answers;          /* bits 1 << doubt: a person has said yes */
    enum kl_doubt *doubt;      /* WORK: gets what is in doubt, or NONE */
};

/* What was read; owned by the store, valid until the next `reloaded` has returned. What is valid
   when the store begins to close stays so until kl_store_free. */
struct kl_store_content {
    const struct kl_pool_row *rows;
    uint32_t row_count;
    const struct kl_ledger_row *ledger;
    uint32_t ledger_count;
    unsigned fields;
    bool keys_come;   /* more keys come by themselves, from a shared pool */
    bool lost_ledger; /* rows are marked, but there was no ledger: did keyline mark them? */
    const struct kl_csv_verdict *verdict; /* what is suspicious about the list; never NULL */
    char warning[KL_TEXT_MAX];            /* the same in one sentence; "" = nothing */
    char forgets[KL_TEXT_MAX]; /* for demonstrations only, because it lies on …; "" = it keeps */
    char doubt[KL_TEXT_MAX];   /* LOOK: what a station would have to be told; "" = nothing */
};

/* `error` gets a sentence for a person, naming file and line. */
enum kl_store_open_result kl_store_open(const struct kl_store_options *options,
                                        struct kl_store **out, char error[KL_TEXT_MAX]);
/* Of a store opened for WORK or LOOK. */
const struct kl_store_content *kl_store_content(const struct kl_store *s);
/* Why a bad row can't be a key, for a person. */
const char *kl_store_row_why(const struct kl_pool_row *row);

enum {
    KL_QUESTION_ID = 9 /* 8 hex digits and a NUL */
};

/* What a running store asks before another key leaves: its list changed, and that is suspicious. */
struct kl_store_question {
    char id[KL_QUESTION_ID]; /* names this very question; "" = nothing is asked */
    char text[KL_TEXT_MAX];
};

struct kl_store_events {
    /* Answers one request; `key` only for RESERVE and FETCH that succeeded, wiped afterwards. */
    void (*stored)(void *ctx, const struct kl_action *request, enum kl_store_status status,
                   const struct kl_key *key, const char *text);
    /* Somebody else changed the list, and the store has read it again: see kl_store_content. */
    void (*reloaded)(void *ctx);
    /* The list can't be marked or read, or can be again (text ""). Keys are still safe. */
    void (*trouble)(void *ctx, const char *text);
    /* kl_store_fleet tells something else than before. `text`: a note for people; NULL = none. */
    void (*fleet)(void *ctx, const char *text);
    /* The store asks something else than before, or nothing any more. May be NULL. */
    void (*asks)(void *ctx, const struct kl_store_question *question);
};

/* From here on the store takes requests, and watches the list for changes. Opened for WORK only. */
void kl_store_start(struct kl_store *s, uv_loop_t *loop, const struct kl_store_events *events,
                    void *ctx);
/* A KL_AC_STORE action; copied. The answer's `request` has the same slot, generation, request
   id. */
void kl_store_submit(struct kl_store *s, const struct kl_action *request);
/* A person says yes to the question of this id. False if that is not what the store asks now. */
bool kl_store_answer(struct kl_store *s, const char *id);
/* Makes everything durable, marks included, lets go of the keys, then calls `closed`. From here on
   there is no news; the content stays as it is until kl_store_free. */
void kl_store_close(struct kl_store *s, void (*closed)(void *ctx), void *ctx);
/* A store that was never started, or that is closed. */
void kl_store_free(struct kl_store *s);

/* The list of what a shared pool has given to this machine's station. False and `error` if there is
   no place for it. */
bool kl_store_shared_list(const char *service, char out[4096], char error[KL_TEXT_MAX]);
/* How it stands with a shared pool; `there` is false if the keys are this station's alone. */
void kl_store_fleet(const struct kl_store *s, struct kl_fleet_view *out);
/* For such a pool: the rate of this bench, and what the dashboard of all stations shows of it (a
   JSON object of at most 8 KiB). */
void kl_store_bench(struct kl_store *s, uint32_t per_hour, const char *json);

/* Who works on these keys; "" = nobody, as far as can be seen. Holds nothing. */
void kl_store_holder(const char *csv, char text[KL_TEXT_MAX]);

/* ---- the record ---- */

/* These functions block; never call them on a started store. Texts live until `each` returns; "" =
   none. */

struct kl_ledger_key {
    struct kl_fingerprint fingerprint;
    struct kl_fingerprint kin; /* all zero: not known */
    bool old_form;  /* the fingerprint includes the label: from a ledger of the first format */
    int64_t change; /* number of its last change in the history; 0 = not known */
    const char *label;
    const char *state; /* "reserved", "provisioned", "released" */
    struct kl_mac mac;
    int64_t reserved, provisioned, released; /* microseconds since 1970; 0 = never */
    const char *how, *reason, *station, *bundle;
};

struct kl_ledger_entry {
    int64_t id, wall;
    /* "reserved", "provisioned", "adopted", "released", "renamed", "accepted", "attempt", or a
       command's name */
    const char *what;
    const char *mac, *label, *station, *bundle, *reason, *detail;
    /* of an attempt: */
    const char *chip, *port, *slot, *result, *eui64;
    uint32_t revision, flash_id, flash_size, baud, tries, chip_error;
    int64_t started, ended;
    bool already, acknowledged_only;
};

/* False: nothing was ever recorded for these keys, and the functions below find nothing. */
bool kl_store_has_record(const struct kl_store *s);
/* In the order of their first record. `each` returns false to stop. False if the record can't be
   read. */
bool kl_store_keys(struct kl_store *s, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                   void *ctx, char error[KL_TEXT_MAX]);
/* Oldest first; only this MAC's and this label's if they are given (NULL = all). */
bool kl_store_history(struct kl_store *s, const char *mac, const char *label,
                      bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                      char error[KL_TEXT_MAX]);
enum kl_audit_kind {
    KL_AUDIT_CERTAIN, /* counted, not listed one by one: label and text are "" */
    KL_AUDIT_NOTE,    /* worth knowing; nothing depends on it */
    KL_AUDIT_DOUBT,   /* it is not certain who has this key, or whether all is known */
};

struct kl_audit_finding {
    enum kl_audit_kind kind;
    const char *label; /* "" = the pool as a whole */
    struct kl_mac mac; /* all zero: none */
    const char *text;  /* a sentence for the owner of the keys */
};

/* Opened for LOOK: holds list, marks, ledger and journal against each other. False if one of them
   can't be read. */
bool kl_store_audit(struct kl_store *s, void (*each)(void *ctx, const struct kl_audit_finding *f),
                    void *ctx, char error[KL_TEXT_MAX]);
/* Opened for MEND: a person says that this board did not get this reserved key. Durable, or false
   and `error`. */
bool kl_store_release(struct kl_store *s, const struct kl_ledger_key *key, const char *reason,
                      char error[KL_TEXT_MAX]);
/* Opened for MEND: keeps in the history what a person did that changed no key. `what` is one word.
   Durable, or false and `error`. */
bool kl_store_note(struct kl_store *s, const char *what, const char *text, char error[KL_TEXT_MAX]);
/* 32 hex digits that name these keys wherever they lie; "" = nothing was ever recorded. */
bool kl_store_pool(struct kl_store *s, char id[33], char error[KL_TEXT_MAX]);

/* ---- the list, for exports ---- */

enum kl_store_read {
    KL_READ_DONE,
    KL_READ_ABSENT,  /* the list no longer has this key */
    KL_READ_CHANGED, /* another program has just replaced the list: open the store again */
    KL_READ_FAILED,
};

/* Opened for LOOK: the key that a record tells of, secret fields and all, and its line. `text`: for
   a long key; NULL: there are none. Wipe `out` with kl_key_wipe in the end; it is blank unless
   DONE. All keys come from the list as it was when the store was opened, also if a station marks
   rows meanwhile. */
enum kl_store_read kl_store_read_key(struct kl_store *s, const struct kl_ledger_key *key,
                                     struct kl_key *out, struct kl_key_text *text, uint32_t *line,
                                     char error[KL_TEXT_MAX]);
/* Opened for LOOK: the names in the list's first row, in order. `each` gets NUL-terminated text. */
bool kl_store_header(struct kl_store *s, void (*each)(void *ctx, const char *name), void *ctx,
                     char error[KL_TEXT_MAX]);

#endif
