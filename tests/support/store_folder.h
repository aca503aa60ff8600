/*
 * store_folder.h: one list and its ledger in a scratch folder, for the tests of what people do with
 * a store's files. A function that finds something else than it says fails the running test.
 */
#ifndef KEYLINE_TESTS_STORE_FOLDER_H
#define KEYLINE_TESTS_STORE_FOLDER_H

#include "scratch.h"
#include "store_bench.h"

extern struct scratch dir;
extern char csv[200], ledger[220]; /* the list, and the ledger beside it */
extern const char rows[];          /* of a list: dev-1 … dev-4 */

/* For cmocka: before and after each test. */
int make_folder(void **state);
int remove_folder(void **state);

/* `text` with the first `from` replaced; valid until the next call. */
const char *edited(const char *text, const char *from, const char *to);
/* What the ledger answers to a query of one number. */
int64_t number(const char *sql);
/* The list is opened for work, after a person has said yes to these doubts: 1 << KL_DOUBT_…. */
void opens(struct store_bench *b, uint32_t answers);
/* The start is stopped by this doubt, in these words. */
void stops(enum kl_doubt doubt, const char *words);
/* What the ledger has of the key with this label; NULL = nothing. */
const struct kl_ledger_row *entry(const struct store_bench *b, const char *label);
/* A new file in the place of `to`. */
void copy_file(const char *from, const char *to);

#endif
