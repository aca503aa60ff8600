/*
 * csv_namer.h: computes fingerprints of a CSV's keys beside the reading of its rows. That is a
 * third of the work of a start with a million rows, so a large file gets a second thread for it.
 *
 * One caller. The keys lie in secret memory until they have their names.
 */
#ifndef KEYLINE_ADAPTERS_CSV_NAMER_H
#define KEYLINE_ADAPTERS_CSV_NAMER_H

#include "keyline/key.h"

struct kl_namer;

/* Hears, in the order of the rows and on the caller's thread, what a row's key is called. */
typedef void kl_named_fn(void *ctx, uint32_t row, const struct kl_key *key);

/* `beside`: on a thread of its own; where the system gives none, on the caller's. NULL: no
   memory. */
struct kl_namer *kl_namer_new(bool beside, kl_named_fn *named, void *ctx);
/* Where the next key goes. Valid until kl_namer_add. */
struct kl_key *kl_namer_next(struct kl_namer *n);
/* What lies there is this row's key. */
void kl_namer_add(struct kl_namer *n, uint32_t row);
/* Waits until all have their names. */
void kl_namer_finish(struct kl_namer *n);
void kl_namer_free(struct kl_namer *n);

#endif
