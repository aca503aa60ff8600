/* leased_list.h: what the rows of a leased list say; the format is in leased.h. */
#ifndef KEYLINE_ADAPTERS_LEASED_LIST_H
#define KEYLINE_ADAPTERS_LEASED_LIST_H

#include "csv.h"
#include "keyline/leased.h"

/* Reads the first line. False and `error` if this is no such list, or another pool's. */
bool kl_leased_read_head(const struct kl_leased *l, const struct kl_csv_row_text *text,
                         unsigned *fields, char error[KL_TEXT_MAX]);
/* Reads one row; false if it is none of such a list. */
bool kl_leased_read_row(const struct kl_csv_row_text *text, struct kl_leased_row *out);
/* Opens the box of one row. Wipes `key` and returns false if it does not hold this row's key. */
bool kl_leased_open(const struct kl_leased *l, const struct kl_leased_row *row, struct kl_key *key,
                    char error[KL_TEXT_MAX]);
/* Is this file such a list? Then `out` reads it, and opens no box. */
bool kl_leased_recognise(const char *path, struct kl_leased *out);

#endif
