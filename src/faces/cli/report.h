/*
 * report.h: what the keys look like before any board is touched.
 */
#ifndef KEYLINE_REPORT_H
#define KEYLINE_REPORT_H

#include <stdio.h>

#include "keyline/shell.h"
#include "keyline/store.h"

/* What to tell of a ledger that may be lost; "" if there is nothing to tell. */
void kl_report_lost_ledger(const char *csv, const struct kl_store_content *content,
                           char text[KL_TEXT_MAX]);
/* Reconciles CSV and ledger; prints the counts and what a person should know. False if no station
   may start: two rows have one label and different keys. `loaded`: gets the pool, for the shell;
   the caller frees its memory if no shell takes it. NULL = nobody wants it. */
bool kl_report_keys(FILE *out, const char *csv, const struct kl_store_content *content,
                    struct kl_loaded_keys *loaded);

/* "keyline: …" and a line's end to standard error, with the journal's level where that reads it. */
void kl_report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
