/*
 * csv_judge.h: tells whether a CSV holds rows that can't be keys, or that a program damaged on the
 * way.
 *
 * Pure: rows in, findings out. The judge keeps no value: per column it counts kinds and widths of
 * values. Of long values it keeps a hash while it reads the file. So nothing that it says can hold
 * a secret.
 */
#ifndef KEYLINE_ADAPTERS_CSV_JUDGE_H
#define KEYLINE_ADAPTERS_CSV_JUDGE_H

#include "csv.h"
#include "keyline/lint.h"

struct kl_csv_judge;
struct kl_csv_judge *kl_csv_judge_new(void); /* NULL = no memory */
void kl_csv_judge_free(struct kl_csv_judge *j);
/* The file's bytes, in order; may run before the rows that they hold. */
void kl_csv_judge_bytes(struct kl_csv_judge *j, const void *data, size_t size);
/* The row that --csv-header skips. */
void kl_csv_judge_header(struct kl_csv_judge *j, const struct kl_csv_row_text *row);
/* Each other row, in order. False = no memory. */
bool kl_csv_judge_row(struct kl_csv_judge *j, const struct kl_csv_row_text *row);
/* The file has ended; `open_end`: its last row has no line end. False = no memory. */
bool kl_csv_judge_end(struct kl_csv_judge *j, bool open_end, struct kl_csv_verdict *out);

#endif
