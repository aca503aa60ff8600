/*
 * csv_follow.h: the CSV on disk, as far as a station follows it: reads it again when others change
 * it, and marks the rows whose keys are spent.
 *
 * One thread at a time, but for one thing: whoever holds the struct kl_marking marks a large file
 * beside everything else. Meanwhile `out` is set, and nobody reads the file again.
 */
#ifndef KEYLINE_ADAPTERS_CSV_FOLLOW_H
#define KEYLINE_ADAPTERS_CSV_FOLLOW_H

#include <limits.h>
#include <uv.h>

#include "csv_asks.h"
#include "lock.h"

/* Marks on their way into the file. */
struct kl_marking {
    struct kl_table *table;
    uv_mutex_t *guard;   /* of what a replacement changes in the table */
    uv_mutex_t *writing; /* of a leased list: nobody adds rows meanwhile; NULL: a person's CSV */
    uint32_t *rows, count;
    struct kl_file_id was; /* the file that the new one replaces */
    int fd;
    enum kl_table_result result;
    kl_us took;
    char text[KL_TEXT_MAX];
};

/* Marks that we owe the file, and how its replacements went. */
struct kl_owed_marks {
    struct kl_fingerprint *key; /* provisioned, not marked yet */
    uint32_t count, capacity;
    kl_us asked;               /* since when the oldest mark waits */
    kl_us not_before;          /* no new try before this, after one that failed */
    kl_us rest;                /* until then, mark only if the bench is quiet */
    kl_us took;                /* how long the last replacement took; -1 = none yet */
    kl_us last_request;        /* when the bench last asked for something */
    char trouble[KL_TEXT_MAX]; /* why the last replacement failed */
};

/* What the rest of the store makes of a CSV that changed: false and `text`, and what to ask a
   person (NOTHING: it is trouble that passes). True: the table may be used from now on. */
typedef bool kl_csv_weigh_fn(void *ctx, const struct kl_table *fresh, enum kl_csv_question *what,
                             char text[KL_TEXT_MAX]);

struct kl_csv_file {
    char named[PATH_MAX];           /* as given */
    char watched[2 * PATH_MAX];     /* the same, from the root: the working folder may change */
    char real[PATH_MAX];            /* where the path leads */
    unsigned layout;                /* enum kl_csv_layout */
    const struct kl_leased *leased; /* NULL: a person's CSV */
    uint32_t accepted;    /* suspicious things that a person accepts: bits 1 << enum kl_csv_kind */
    struct kl_lock *lock; /* follows the file through its replacements */
    struct kl_table *table;
    bool fresh; /* the table has been replaced since somebody cleared this */
    struct kl_csv_asks asks;
    kl_csv_weigh_fn *weigh; /* NULL: nobody else has a say */
    void *weigh_ctx;

    struct kl_file_id bad_id; /* a changed CSV that we can't use, so we do not read it again */
    char bad_text[KL_TEXT_MAX];
    int old_fd;                /* the file that the last marks replaced, and … */
    struct kl_file_id old_id;  /* … how it looked then */
    struct kl_file_id rest_id; /* a changed CSV that has to rest before we believe it, and … */
    kl_us rest_since;          /* … since when it looks like that, by a clock that never jumps */

    struct kl_owed_marks owed;
    uv_mutex_t guard;
    struct kl_marking *out; /* a large file's marks, which somebody else is putting in */
};

/* Finds the file; NULL table. False and `error` if it is not there. */
bool kl_csv_file_init(struct kl_csv_file *f, const char *csv, unsigned layout, struct kl_lock *lock,
                      char error[KL_TEXT_MAX]);
void kl_csv_file_free(struct kl_csv_file *f);
/* The first reading. */
enum kl_table_result kl_csv_file_load(struct kl_csv_file *f, char error[KL_TEXT_MAX]);

/* Reads it again if it changed. False and `text`: we can't use it now, and the table is the old
   one. */
bool kl_csv_file_refresh(struct kl_csv_file *f, char text[KL_TEXT_MAX]);
/* A person says yes to a question; the next refresh heeds it. */
void kl_csv_file_answer(struct kl_csv_file *f, const char *id);
/* Reads a key from a CSV that is held back: the very key that its board was promised. */
enum kl_table_result kl_csv_file_fetch_held(struct kl_csv_file *f, const struct kl_fingerprint *fp,
                                            struct kl_key *key, struct kl_key_text *long_text,
                                            char text[KL_TEXT_MAX]);
/* A program that keeps the CSV open went on writing to the old file after marks replaced it. */
bool kl_csv_file_lost_rows(const struct kl_csv_file *f, char text[KL_TEXT_MAX]);
enum kl_table_result kl_csv_file_fetch(struct kl_csv_file *f, uint32_t row, struct kl_key *key,
                                       struct kl_key_text *long_text, char text[KL_TEXT_MAX]);
/* Tags the file as this pool's (csv_tag.h), if it is still the one that was read. */
struct kl_pool_id;
void kl_csv_file_tag(struct kl_csv_file *f, const struct kl_pool_id *id);
/* The row, or an exact copy of it, carries a mark. */
bool kl_csv_file_is_spent(struct kl_csv_file *f, uint32_t row);

/* ---- marks ---- */
/* False if there is no memory to remember it. */
bool kl_csv_file_want_mark(struct kl_csv_file *f, const struct kl_fingerprint *fp);
/* Marks at once if that is quick, or if it `must`. owed.trouble says what failed. `busy`: the bench
   asked for something just now. */
void kl_csv_file_mark_here(struct kl_csv_file *f, bool busy, bool must);
/* Marks of a large file that are due; NULL = none are. Any thread may put them in with
   kl_marking_run. Give them back with kl_csv_file_marked. */
struct kl_marking *kl_csv_file_mark_due(struct kl_csv_file *f);
void kl_marking_run(struct kl_marking *m);
/* Takes in the result of `m`, and frees it. */
void kl_csv_file_marked(struct kl_csv_file *f, struct kl_marking *m);

#endif
