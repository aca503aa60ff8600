/*
 * store_state.h: the store's inside.
 *
 * One worker job at a time. While it runs, everything under "worker" is its own; when none runs,
 * it is the loop's. What the loop shows to others (`shown`) is never changed by a job, only
 * replaced.
 */
#ifndef KEYLINE_ADAPTERS_STORE_STATE_H
#define KEYLINE_ADAPTERS_STORE_STATE_H

#include <limits.h>

#include "csv_table.h"
#include "keyline/ledger.h"
#include "keyline/store.h"
#include "lock.h"

struct kl_request {
    struct kl_request *next;
    struct kl_action action; /* its pointers lead into this struct */
    char label[KL_LINE_MAX + 1];
    char reason[KL_TEXT_MAX];
    struct kl_attempt attempt;
    enum kl_store_status status;
    bool settled; /* has its answer before the ledger is asked */
    char text[KL_TEXT_MAX];
    struct kl_key *key; /* of the job's secrets; NULL = no key */
};

/* What kl_store_content gives out: a table, and the ledger as it was when it was read. */
struct kl_shown {
    struct kl_store_content content;
    struct kl_table *table;
    struct kl_ledger_row *ledger;
    uint32_t ledger_capacity;
    char **label; /* of ledger rows that are not in the CSV */
    uint32_t label_count, label_capacity;
};

/* An attempt that the history lacks because the disk failed: written as soon as it can be. */
struct kl_late {
    struct kl_late *next;
    struct kl_attempt attempt;
    int64_t wall;
};

struct kl_job {
    struct kl_request *first;
    struct kl_key *secret; /* one for each request */
    size_t secret_size;
    bool last;             /* the store closes: marks are due now */
    struct kl_shown *news; /* NULL = nothing new */
    char trouble[KL_TEXT_MAX];
};

/* Marks on their way into the file. */
struct kl_marking {
    uint32_t *rows, count;
    struct kl_file_id was; /* the file that is replaced */
    int fd;
    enum kl_table_result result;
    kl_us took;
    char text[KL_TEXT_MAX];
};

struct kl_store {
    /* fixed */
    char csv[PATH_MAX];         /* as given */
    char watched[2 * PATH_MAX]; /* the same, from the root: the working folder may change */
    char real[PATH_MAX];        /* where it leads */
    char ledger_path[PATH_MAX];
    bool header, read_only;
    char station[KL_NAME_MAX], bundle[80];

    /* worker */
    struct kl_lock lock;
    struct kl_ledger *ledger;
    bool sick;            /* nobody knows what the last commit left on disk */
    bool unseen;          /* table or ledger have news that `shown` lacks */
    bool healed;          /* the ledger may have news */
    struct kl_late *late; /* oldest first */
    unsigned late_count;
    struct kl_table *table;
    struct kl_file_id bad_id; /* a changed CSV that can't be used, so it is not read again */
    char bad_text[KL_TEXT_MAX];
    int old_fd;                /* the file that the last marks replaced, and … */
    struct kl_file_id old_id;  /* … how it looked then */
    struct kl_file_id open_id; /* a changed CSV whose last row lacks its end, and … */
    kl_us open_since;          /* … since when it looks like that, by a clock that never jumps */
    struct kl_fingerprint *mark; /* provisioned, not marked yet */
    uint32_t mark_count, mark_capacity;
    kl_us mark_asked;               /* since when the oldest of them waits */
    kl_us mark_not_before;          /* one that failed is not tried again at once */
    kl_us mark_rest;                /* until then only a quiet bench is marked, see store_csv.c */
    kl_us asked_at;                 /* the last request */
    kl_us mark_took;                /* the last replacement; -1 = none yet */
    char mark_trouble[KL_TEXT_MAX]; /* why the last one failed */
    struct kl_job job;

    /* A large file is marked by a second job, beside the others. It reads the table and changes it
       only under the lock; meanwhile nobody reads the file again (`marking`). */
    uv_mutex_t table_lock;
    struct kl_marking background;
    bool marking;

    /* loop */
    struct kl_shown *shown;
    uv_loop_t *loop;
    const struct kl_store_events *events;
    void *ctx;
    uv_work_t work;
    uv_timer_t tick;
    uv_work_t marking_work;
    bool marked;        /* `background` is done and not yet taken in */
    bool working, look; /* look: even without requests, see what has changed */
    bool closing, last_done;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct kl_request *queue, **queue_end;
    char trouble[KL_TEXT_MAX]; /* as last reported */
};

/* store_job.c */
void kl_store_work(struct kl_store *s); /* does s->job */
/* Loads ledger rows and marks that are missing; NULL and `error` if the ledger can't be read. */
struct kl_shown *kl_store_show(struct kl_store *s, char error[KL_TEXT_MAX]);
void kl_shown_free(struct kl_shown *shown, const struct kl_table *keep);

/* store_csv.c: the CSV on disk, as far as it is the store's */
/* Somebody who keeps the CSV open went on writing to it after marks replaced it. */
bool kl_store_lost_rows(const struct kl_store *s, char text[KL_TEXT_MAX]);
/* Reads it again if it changed. False and `text`: it can't be used now; the table is the old one.
 */
bool kl_store_refresh(struct kl_store *s, char text[KL_TEXT_MAX]);
bool kl_store_want_mark(struct kl_store *s, const struct kl_fingerprint *fp);
/* Marks at once if that is quick, or must be; what came of it is in s->mark_trouble. */
void kl_store_mark_here(struct kl_store *s, bool must);
/* True if marks of a large file are due: they are in s->background then. No job may run. */
bool kl_store_mark_due(struct kl_store *s);
void kl_store_mark_there(struct kl_store *s); /* puts them in */
/* Takes in what came of it. No job may run. */
void kl_store_marked(struct kl_store *s, struct kl_marking *m);

#endif
