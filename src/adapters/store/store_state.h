/*
 * store_state.h: the inside of the store that is a CSV with a ledger beside it.
 *
 * What the worker thread owns is in struct kl_worker; what the loop owns is in struct kl_csv_store.
 * Each job carries the worker's part to the thread and brings it back. Whoever has the pointer owns
 * that part: while a job is under way the loop has none. The loop shows only what a job brought as
 * news. It replaces that, and never changes it.
 */
#ifndef KEYLINE_ADAPTERS_STORE_STATE_H
#define KEYLINE_ADAPTERS_STORE_STATE_H

#include <assert.h>

#include "csv_follow.h"
#include "keyline/leased.h"
#include "ledger.h"
#include "store_kind.h"
#include "store_witness.h"

enum {
    /* Requests of one round: for every slot, what its board waits for and the end of an attempt. */
    KL_BATCH = 2 * KL_SLOTS_MAX,
};

/* The keys of one round; in secret memory. */
struct kl_batch_keys {
    struct kl_key key[KL_BATCH];
};
/* Long keys take more: one round has room for fewer of them. */
enum {
    KL_LONG_BATCH = 16,
};
struct kl_batch_texts {
    struct kl_key_text text[KL_LONG_BATCH];
};
static_assert(sizeof(struct kl_batch_keys) <= 64 * 1024, "memory that is locked is scarce");

struct kl_request {
    struct kl_request *next;
    struct kl_action action; /* its pointers lead into this struct */
    char label[KL_LINE_MAX + 1];
    char reason[KL_TEXT_MAX];
    struct kl_attempt attempt;
    enum kl_store_status status;
    bool settled; /* has its answer before we ask the ledger */
    char text[KL_TEXT_MAX];
    struct kl_key *key; /* one of the round's keys; NULL = none */
};

/* What kl_store_content gives out: a table, and the ledger as it was when we read it. */
struct kl_shown {
    struct kl_store_content content;
    struct kl_table *table;
    struct kl_ledger_row *ledger;
    uint32_t ledger_capacity;
    char **label; /* of ledger rows that are not in the CSV */
    uint32_t label_count, label_capacity;
};

/* An attempt that the history lacks because the disk failed. The worker writes it as soon as it
   can. */
struct kl_late {
    struct kl_late *next;
    struct kl_attempt attempt;
    int64_t wall;
};

/* A key of a ledger of the first format: store_forms.c. */
struct kl_old_form {
    struct kl_fingerprint old;
    uint8_t label[32]; /* its digest */
    bool known;        /* we know which key of today it is: */
    struct kl_fingerprint now, kin;
};

struct kl_old_forms {
    struct kl_old_form *item; /* by their old fingerprint */
    uint32_t count, unknown;
};

/* The worker thread owns this while a job is under way. Else it is at rest, and the loop keeps
   it. */
struct kl_worker {
    struct kl_csv_file csv;  /* not of a store for RECORD or MEND */
    struct kl_leased looked; /* LOOK: the CSV is the list of a shared pool */
    struct kl_lock lock;     /* WORK, MEND */
    struct kl_ledger *ledger;
    struct kl_batch_keys *secret;               /* WORK; blank between rounds */
    struct kl_batch_texts *texts;               /* … and if keys may be long; else NULL */
    struct kl_journal_record changed[KL_BATCH]; /* what the round has changed */
    bool look_only;                             /* LOOK, RECORD */
    bool sick;                                  /* nobody knows what the last commit left on disk */
    bool unseen; /* the loop does not show what is durable: the job has to bring news */
    bool healed; /* the ledger may hold news */
    struct kl_old_forms forms;
    struct kl_witness witness; /* WORK */
    char journal[PATH_MAX];    /* --journal; "" = the usual place */
    struct kl_late *late;      /* oldest first */
    unsigned late_count;
    char station[KL_NAME_MAX], bundle[80];
    int reading; /* LOOK: 1 + the list's file, kept open as long as keys are read; 0 = none yet */
};

/* One round of the worker. The thread has all of it until it is done. */
struct kl_job {
    uv_work_t work;
    struct kl_worker *worker;
    const struct kl_store_content *shown; /* what the loop shows now, to compare with */
    struct kl_request *first;
    bool last;                         /* the store closes: marks are due now */
    char answer[KL_QUESTION_ID];       /* the question that a person has said yes to; "" = none */
    struct kl_store_question question; /* what is asked when the job is done */
    struct kl_shown *news;             /* NULL = nothing new */
    char trouble[KL_TEXT_MAX];
};

/* A second job beside the others puts the marks of a large file in. */
struct kl_marking_job {
    uv_work_t work;
    struct kl_marking *marks; /* NULL = no such job */
    bool done;                /* … and not yet taken in */
};

/* The loop's. */
struct kl_csv_store {
    struct kl_store store;
    struct kl_worker *worker; /* NULL: a job has it */
    struct kl_shown *shown;
    struct kl_shown *left; /* somebody may refer to it until the end; NULL = nobody does */
    uv_loop_t *loop;
    const struct kl_store_events *events;
    void *ctx;
    uv_timer_t tick;
    struct kl_job job;
    struct kl_marking_job marking;
    uint64_t sent_at; /* ms by the loop's clock: when the job went out */
    bool look;        /* look for changes even without requests */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct kl_request *queue, **queue_end;
    char trouble[KL_TEXT_MAX];         /* as last reported */
    struct kl_store_question question; /* as last reported */
    char answer[KL_QUESTION_ID];       /* for the next job; "" = none */
};

/* store_open.c: the rest of the kind's functions is in store_loop.c and store_record.c */
void kl_csv_store_free(struct kl_store *store);

/* store_loop.c */
const struct kl_store_content *kl_csv_store_content(const struct kl_store *store);
void kl_csv_store_start(struct kl_store *store, uv_loop_t *loop,
                        const struct kl_store_events *events, void *ctx);
void kl_csv_store_submit(struct kl_store *store, const struct kl_action *request);
bool kl_csv_store_answer(struct kl_store *store, const char *id);
void kl_csv_store_close(struct kl_store *store, void (*closed)(void *ctx), void *ctx);

/* store_record.c */
bool kl_csv_store_has_record(const struct kl_store *store);
bool kl_csv_store_keys(struct kl_store *store,
                       bool (*each)(void *ctx, const struct kl_ledger_key *key), void *ctx,
                       char error[KL_TEXT_MAX]);
bool kl_csv_store_history(struct kl_store *store, const char *mac, const char *label,
                          bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                          char error[KL_TEXT_MAX]);
bool kl_csv_store_release(struct kl_store *store, const struct kl_ledger_key *key,
                          const char *reason, char error[KL_TEXT_MAX]);

/* store_open.c: an entry of the history that concerns no key. */
bool kl_store_record(struct kl_worker *w, const char *what, const char *why,
                     char error[KL_TEXT_MAX]);

/* store_export.c */
bool kl_csv_store_note(struct kl_store *store, const char *what, const char *text,
                       char error[KL_TEXT_MAX]);
bool kl_csv_store_pool(struct kl_store *store, char id[33], char error[KL_TEXT_MAX]);
enum kl_store_read kl_csv_store_read_key(struct kl_store *store, const struct kl_ledger_key *key,
                                         struct kl_key *out, struct kl_key_text *text,
                                         uint32_t *line, char error[KL_TEXT_MAX]);
bool kl_csv_store_header(struct kl_store *store, void (*each)(void *ctx, const char *name),
                         void *ctx, char error[KL_TEXT_MAX]);
void kl_store_stop_reading(struct kl_worker *w);

/* store_audit.c */
bool kl_csv_store_audit(struct kl_store *store,
                        void (*each)(void *ctx, const struct kl_audit_finding *f), void *ctx,
                        char error[KL_TEXT_MAX]);

/* store_job.c */
void kl_store_work(struct kl_job *job);
int64_t kl_store_wall_clock(void);

/* store_forms.c */
/* Finds out which of the CSV's keys the ledger has in the old form. False and `error` if the ledger
   can't be read. */
bool kl_store_find_forms(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Gives the keys that it found their new form in the ledger. */
bool kl_store_keep_forms(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Gives keys whose kin an earlier version took otherwise the one that their row has today. */
bool kl_store_keep_kins(struct kl_worker *w, char error[KL_TEXT_MAX]);
struct kl_old_form *kl_old_form(const struct kl_old_forms *f, const struct kl_fingerprint *old);

/* store_doubt.c */
/* Keys that the CSV has under another label than the ledger. If a person said yes, the ledger
   renames them; else DOUBT and `error`. */
enum kl_store_open_result kl_store_settle_names(struct kl_worker *w, bool answered,
                                                char error[KL_TEXT_MAX]);
/* The CSV has changed while a station runs: a kl_csv_weigh_fn whose context is the worker. */
bool kl_store_weigh_list(void *ctx, const struct kl_table *fresh, enum kl_csv_question *what,
                         char text[KL_TEXT_MAX]);

/* store_home.c */
/* Is this storage fit for keys? DOUBT: only for demonstrations; BROKEN: not at all. */
enum kl_store_open_result kl_store_settle_storage(struct kl_worker *w, bool answered,
                                                  char error[KL_TEXT_MAX]);
/* Is this ledger where a station left it? Gives a new one its home. */
enum kl_store_open_result kl_store_settle_home(struct kl_worker *w, bool answered,
                                               char error[KL_TEXT_MAX]);
/* Asks the ledger whether somebody else works with it. */
enum kl_store_open_result kl_store_ask_lease(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Takes the lease: from here on the ledger is ours. */
enum kl_store_open_result kl_store_take_lease(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Only within a transaction: the ledger is still ours, and as we left it. */
bool kl_store_still_ours(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* After a commit whose end nobody knows: learns what is durable. */
bool kl_store_relearn(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Gives a sign of life to other machines, if they can see the ledger. */
void kl_store_show_life(struct kl_worker *w);
/* At the end: gives the lease back, and leaves the ledger complete in one file. */
void kl_store_leave_home(struct kl_worker *w);
/* Moves what the log beside the ledger holds into the ledger: then a copy is whole. */
void kl_store_rest(struct kl_worker *w);

/* store_witness.c */
/* Journals of other pools may know keys of this CSV, in whatever spelling, that the ledger does not
   know. Before there is a ledger, those are all that they know. `found` gets these keys. */
enum kl_store_open_result kl_store_ask_journals(struct kl_worker *w, bool answered,
                                                struct kl_difference *found,
                                                char error[KL_TEXT_MAX]);
/* The CSV's tag names a pool whose ledger is not here, nor its journal. DOUBT if nobody has
 * answered. */
enum kl_store_open_result kl_store_ask_tag(struct kl_worker *w, bool answered,
                                           char error[KL_TEXT_MAX]);
/* Tags the CSV as this pool's, if it is not yet: before its first key leaves. */
void kl_store_tag(struct kl_worker *w);
/* The same about the rows of a CSV that changed while a station runs. */
enum kl_store_open_result kl_store_ask_about(struct kl_worker *w, const struct kl_table *fresh,
                                             bool answered, struct kl_difference *found,
                                             char error[KL_TEXT_MAX]);
/* Writes into the ledger what other journals told of this CSV's rows. */
bool kl_store_take_over(struct kl_worker *w, const struct kl_table *rows,
                        const struct kl_difference *found, char error[KL_TEXT_MAX]);
/* Writes what other journals told into ledger and journal. */
bool kl_store_restore(struct kl_worker *w, const struct kl_difference *found,
                      char error[KL_TEXT_MAX]);
/* Compares the ledger with its journal. DOUBT: the ledger is an old copy. If a person said yes, it
   gets what the journal knows. Then the journal gets what it lacks. */
enum kl_store_open_result kl_store_settle_witness(struct kl_worker *w, bool answered,
                                                  const struct kl_difference *found,
                                                  char error[KL_TEXT_MAX]);
/* Gives the journal what it lacks; if that fails, makes it anew. */
bool kl_store_complete_journal(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* Before a key leaves: we can write the journal, and it is the one that we left. */
bool kl_store_witness_ready(struct kl_worker *w, char error[KL_TEXT_MAX]);
/* After a commit: writes its changes into the journal. `now`, if a key leaves or is free again,
   makes them durable at once. Else the next sync does, at the latest when the bench is quiet. */
bool kl_store_witness_add(struct kl_worker *w, const struct kl_journal_record *records,
                          size_t count, bool now, char error[KL_TEXT_MAX]);
void kl_store_witness_rest(struct kl_worker *w);

/* store_show.c */
/* Loads ledger rows and finds the marks that are missing; NULL and `error` if the ledger can't be
   read. */
struct kl_shown *kl_store_show(struct kl_worker *w, char error[KL_TEXT_MAX]);
void kl_shown_free(struct kl_shown *shown);
bool kl_store_same_ledger(const struct kl_store_content *a, const struct kl_store_content *b);

#endif
