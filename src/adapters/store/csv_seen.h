/* csv_seen.h: which long values of a CSV's rows are there twice, and how often anything was found.
   It keeps hashes of values while a file is read, and nothing else of them. */
#ifndef KEYLINE_ADAPTERS_CSV_SEEN_H
#define KEYLINE_ADAPTERS_CSV_SEEN_H

#include "keyline/lint.h"

struct kl_tally {
    uint32_t count;
    uint32_t line[KL_CSV_LINES_MAX]; /* the first lines */
};

void kl_tally_count(struct kl_tally *t, uint32_t line);
/* Adds one tally to another; the lines stay in order. */
void kl_tally_merge(struct kl_tally *to, const struct kl_tally *from);

struct kl_csv_run;

struct kl_csv_seen { /* all zero: no rows */
    uint32_t rows, capacity;
    uint32_t *label;                /* hashes of the rows' labels */
    uint64_t *value[KL_FIELDS_MAX]; /* of values that are long; 0 = it is not. NULL: no row had one
                                       so far */
    struct kl_csv_run *run;         /* their lines */
    uint32_t run_count, run_capacity;
};

/* Begins one more row, whose line is larger than all before. False = no memory. */
bool kl_csv_seen_row(struct kl_csv_seen *s, uint32_t label, uint32_t line);
/* Keeps a long value of that row. */
bool kl_csv_seen_value(struct kl_csv_seen *s, unsigned column, uint64_t hash);
/* Rows with the long value of an earlier row whose label is another one. Exact copies of a row have
   its label too: they are one key. */
bool kl_csv_seen_repeats(const struct kl_csv_seen *s, unsigned column, struct kl_tally *t);
void kl_csv_seen_free(struct kl_csv_seen *s);

#endif
