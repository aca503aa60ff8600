/*
 * store_witness.h: compares ledger and journal, and tells whether this ledger is the one that a
 * station left here.
 */
#ifndef KEYLINE_ADAPTERS_STORE_WITNESS_H
#define KEYLINE_ADAPTERS_STORE_WITNESS_H

#include "adapters/host/storage.h"
#include "ledger_pool.h"

struct kl_worker;

struct kl_witness {
    char folder[4096];
    struct kl_journal *journal; /* NULL: there is none, or we have to make it anew */
    struct kl_pool_home home;
    struct kl_lease lease; /* our lease */
    struct kl_storage storage;
    int64_t last_beat;        /* seconds */
    int64_t last_change;      /* the ledger's last change, as we left it */
    char healed[KL_TEXT_MAX]; /* what we told a person, who answered with yes; "" = nothing */
    bool holds;               /* the lease is ours: we give it back at the end */
    bool cut;                 /* the last run left the ledger open, and its log is not here */
    bool tagged;              /* the CSV is tagged as this pool's, or can't be */
    bool must_tag;            /* a person has answered about another tag */
    bool uneasy;              /* the log beside the ledger holds something */
};

/* What a pool's two witnesses differ in; see kl_store_compare. */
struct kl_difference {
    struct kl_journal_record *behind; /* the journal knows, the ledger does not: by change */
    size_t behind_count;
    struct kl_journal_record *ahead; /* the ledger knows, the journal does not */
    size_t ahead_count;
    struct kl_journal_record *nameless; /* both know the same, but the journal not its label */
    size_t nameless_count;
    size_t contradictions; /* changes of which the two tell different stories */
};
bool kl_store_compare(struct kl_ledger *l, const struct kl_journal *j, struct kl_difference *out,
                      char error[KL_TEXT_MAX]);
void kl_difference_free(struct kl_difference *d);

#endif
