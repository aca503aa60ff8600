/*
 * csv_follow.h: the CSV on disk, as far as a station follows it: read again when others change it,
 * and marked where keys were spent.
 *
 * One thread at a time, but for one thing: a large file is marked beside everything else, by
 * whoever holds the struct kl_marking. Meanwhile `out` is set, and the file is not read again.
 */
#ifndef KEYLINE_ADAPTERS_CSV_FOLLOW_H
#define KEYLINE_ADAPTERS_CSV_FOLLOW_H

#include <limits.h>
#include <uv.h>

#include "csv_table.h"
#include "lock.h"

/* Marks on their way into the file. */
struct kl_marking {
    struct kl_table *table;
    uv_mutex_t *guard; /* of what a replacement changes in the table */
    uint32_t *rows, count;
    struct kl_file_id was; /* the file that is replaced */
    int fd;
    enum kl_table_result result;
    kl_us took;
    char text[KL_TEXT_MAX];
};

/* Marks that are owed to the file, and how its replacements went. */
struct kl_owed_marks {
    struct kl_fingerprint *key; /* provisioned, not marked yet */
    uint32_t count, capacity;
    kl_us asked;               /* since when the oldest of them waits */
    kl_us not_before;          /* one that failed is not tried again at once */
    kl_us rest;                /* until then only a quiet bench is marked */
    kl_us took;                /* the last replacement; -1 = none yet */
    kl_us last_request;        /* of the bench: how quiet is it? */
    char trouble[KL_TEXT_MAX]; /* why the last one failed */
};

struct kl_csv_file {
    char named[PATH_MAX];       /* as given */
    char watched[2 * PATH_MAX]; /* the same, from the root: the working folder may change */
    char real[PATH_MAX];        /* where it leads */
    bool header;
    uint32_t accepted;    /* what may be suspicious about it: bits 1 << enum kl_csv_kind */
    struct kl_lock *lock; /* follows the file through its replacements */
    struct kl_table *table;
    bool fresh; /* the table is another one than `fresh` was last cleared for */

    struct kl_file_id bad_id; /* a changed CSV that can't be used, so it is not read again */
    char bad_text[KL_TEXT_MAX];
    int old_fd;                /* the file that the last marks replaced, and … */
    struct kl_file_id old_id;  /* … how it looked then */
    struct kl_file_id rest_id; /* a changed CSV that has to rest before it is believed, and … */
    kl_us rest_since;          /* … since when it looks like that, by a clock that never jumps */

    struct kl_owed_marks owed;
    uv_mutex_t guard;
    struct kl_marking *out; /* a large file's marks, being put in by somebody else */
};

/* Finds the file; NULL table. False and `error` if it is not there. */
bool kl_csv_file_init(struct kl_csv_file *f, const char *csv, bool header, struct kl_lock *lock,
                      char error[KL_TEXT_MAX]);
void kl_csv_file_free(struct kl_csv_file *f);
/* The first reading. */
enum kl_table_result kl_csv_file_load(struct kl_csv_file *f, char error[KL_TEXT_MAX]);

/* Reads it again if it changed. False and `text`: it can't be used now; the table is the old one.
 */
bool kl_csv_file_refresh(struct kl_csv_file *f, char text[KL_TEXT_MAX]);
/* Somebody who keeps the CSV open went on writing to it after marks replaced it. */
bool kl_csv_file_lost_rows(const struct kl_csv_file *f, char text[KL_TEXT_MAX]);
enum kl_table_result kl_csv_file_fetch(struct kl_csv_file *f, uint32_t row, struct kl_key *key,
                                       char text[KL_TEXT_MAX]);
/* The row, or an exact copy of it, carries a mark. */
bool kl_csv_file_is_spent(struct kl_csv_file *f, uint32_t row);

/* ---- marks ---- */
/* False if there is no memory to remember it. */
bool kl_csv_file_want_mark(struct kl_csv_file *f, const struct kl_fingerprint *fp);
/* Marks at once if that is quick, or must be; what came of it is in owed.trouble. `busy`: the bench
   asked for something just now. */
void kl_csv_file_mark_here(struct kl_csv_file *f, bool busy, bool must);
/* Marks of a large file that are due, to be put in with kl_marking_run by any thread and given back
   with kl_csv_file_marked; NULL = none are. */
struct kl_marking *kl_csv_file_mark_due(struct kl_csv_file *f);
void kl_marking_run(struct kl_marking *m);
/* Takes in what came of it; frees it. */
void kl_csv_file_marked(struct kl_csv_file *f, struct kl_marking *m);

#endif
