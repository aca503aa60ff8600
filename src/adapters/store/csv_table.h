/*
 * csv_table.h: a CSV file as we read it: its rows' labels and fingerprints, and where each row lies
 * in the file. The keys themselves stay in the file; we read one again when a board needs it.
 */
#ifndef KEYLINE_ADAPTERS_CSV_TABLE_H
#define KEYLINE_ADAPTERS_CSV_TABLE_H

#include <sys/stat.h>

#include "csv_judge.h"
#include "keyline/pool.h"

struct kl_leased;

enum kl_table_result {
    KL_TABLE_OK,
    KL_TABLE_ABSENT,  /* we can't open or read it: `error` */
    KL_TABLE_BROKEN,  /* not a CSV that we can use: `error` names the line */
    KL_TABLE_CHANGED, /* the file is no longer (or not yet) the one that we read */
};

/* Stays equal as long as nobody writes to the file or puts another one in its place. */
struct kl_file_id {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtim, ctim;
};

struct kl_table_copy {
    uint32_t first, row;
};

/* What the caller knows of the rows. The first two are false and true: is the first row a header?
 */
enum kl_csv_layout {
    KL_CSV_PLAIN,
    KL_CSV_HEADED,
    KL_CSV_LONG,           /* headed, and its keys may be long: they are written into NVS */
    KL_CSV_LONG_IF_PLACES, /* headed; long if the header names places in an NVS */
};

/* What all values of a column look like. */
struct kl_column_form {
    uint32_t rows, first_line;
    uint32_t odd_line; /* of the first row whose value has another form; 0 = all are alike */
    unsigned size;     /* of the first value … */
    bool hex;          /* … and whether it is hex digits only */
};

struct kl_label_block;

struct kl_table {
    char path[4096]; /* real path */
    struct kl_file_id id;
    unsigned layout; /* enum kl_csv_layout; KL_CSV_LONG_IF_PLACES only until the header is read */
    const struct kl_leased *leased; /* NULL: a person's CSV */
    bool open_end;                  /* the last row has no line end */
    unsigned fields;                /* of the rows that are keys; 0 = there are none */
    struct kl_csv_verdict verdict;
    struct kl_column_form form[KL_COLUMNS_MAX]; /* of rows with as many fields as the first one */

    uint32_t count;
    struct kl_pool_row *row; /* as handed to the pool */
    uint32_t *start_low;     /* offset in the file: see kl_table_start() … */
    uint8_t *start_high;     /* … */
    uint8_t *spent;          /* 1 = the row in the file carries the mark */

    /* private */
    unsigned holders; /* beside the first one */
    uint32_t capacity;
    struct kl_index index;      /* fingerprint -> first row with it */
    struct kl_table_copy *copy; /* further rows with it, sorted */
    uint32_t copy_count, copy_capacity;
    struct kl_label_block *labels;
};

struct kl_file_id kl_file_id_of(const struct stat *st);
bool kl_file_id_equal(const struct kl_file_id *a, const struct kl_file_id *b);

enum kl_table_result kl_table_load(const char *path, unsigned layout, struct kl_table **out,
                                   char error[KL_TEXT_MAX]);
/* The same of a list of keyline's own making (leased_list.h). */
enum kl_table_result kl_table_load_leased(const char *path, const struct kl_leased *leased,
                                          struct kl_table **out, char error[KL_TEXT_MAX]);
/* One more holder: the table lives until each of them has freed it. Not from two threads at once.
 */
struct kl_table *kl_table_hold(struct kl_table *t);
void kl_table_free(struct kl_table *t);

/* Where a row begins in the file. Moves when marks come in. */
enum {
    KL_TABLE_START_BITS = 40
};
uint64_t kl_table_start(const struct kl_table *t, uint32_t row);
/* Its bytes up to the line end. */
uint32_t kl_table_size(const struct kl_table *t, uint32_t row);
void kl_table_move(struct kl_table *t, uint32_t row, uint64_t start);

/* First row with this key; UINT32_MAX if there is none. */
uint32_t kl_table_find(const struct kl_table *t, const struct kl_fingerprint *fp);
/* Its exact copies: the index of the first in t->copy, and how many. */
uint32_t kl_table_copies(const struct kl_table *t, uint32_t row, uint32_t *count);

/* Reads one row's key from the file. Wipes `key` unless all is well. `text`: for a long key. */
enum kl_table_result kl_table_fetch(const struct kl_table *t, uint32_t row, struct kl_key *key,
                                    struct kl_key_text *text, char error[KL_TEXT_MAX]);
/* The same from an open file, without looking whether it is the same file. Of a leased list, `key`
   gets the fingerprint alone: its box stays closed. */
bool kl_table_read_row(const struct kl_table *t, int fd, uint32_t row, struct kl_key *key,
                       struct kl_key_text *text, bool *marked);

#endif
