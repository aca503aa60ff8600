/*
 * csv_asks.h: what is suspicious about a CSV that changed while a station runs. A person answers;
 * until then no key leaves. An answer is good for the very file that the question was about.
 */
#ifndef KEYLINE_ADAPTERS_CSV_ASKS_H
#define KEYLINE_ADAPTERS_CSV_ASKS_H

#include "csv_table.h"
#include "keyline/store.h"

enum kl_csv_question {
    KL_ASKS_NOTHING,
    KL_ASKS_KIND,    /* rows that can't be keys, as --accept lets pass */
    KL_ASKS_WHOLE,   /* rows are missing: is the file whole? */
    KL_ASKS_LIST,    /* rows have another form than all rows before: is this another list? */
    KL_ASKS_GIVEN,   /* rows that were given out from another list, as --heal lets pass */
    KL_ASKS_RENAMED, /* keys under another label, as --renamed lets pass */
};

struct kl_csv_asks {
    enum kl_csv_question what;
    struct kl_store_question question; /* as a person gets it */
    struct kl_table *held; /* what the file holds, while it is not taken in; NULL = unknown */
    struct kl_file_id answered_of; /* this file … */
    uint32_t answered;             /* … got yes to these: bits 1 << question */
    struct kl_csv_verdict passed;  /* what a person let pass in this run */
};

/* Asks about this file. */
void kl_csv_ask(struct kl_csv_asks *a, enum kl_csv_question what, const struct kl_file_id *of,
                const char *text);
/* Nothing is asked any more. */
void kl_csv_ask_nothing(struct kl_csv_asks *a);
/* Keeps the table to which the question belongs; takes it over. NULL = none. */
void kl_csv_ask_hold(struct kl_csv_asks *a, struct kl_table *t);
/* A person has said yes to this question about this very file. */
bool kl_csv_is_answered(const struct kl_csv_asks *a, enum kl_csv_question what,
                        const struct kl_file_id *of);
/* A person says yes to the question of this id. False if that is not what is asked now. */
bool kl_csv_take_answer(struct kl_csv_asks *a, const char *id, const struct kl_file_id *of);

/* The first finding that neither `accepted` nor an answer of this run covers, as a sentence. False
   if there is none. */
bool kl_csv_is_suspicious(const struct kl_csv_asks *a, const struct kl_csv_verdict *v,
                          uint32_t accepted, char text[KL_TEXT_MAX]);
/* The rows no longer look as all of them did: another number of fields, or another column. */
bool kl_csv_is_other_list(const struct kl_table *old, const struct kl_table *fresh,
                          char text[KL_TEXT_MAX]);

#endif
