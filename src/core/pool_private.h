/* pool_private.h: what pool.c and pool_load.c share. */
#ifndef KEYLINE_POOL_PRIVATE_H
#define KEYLINE_POOL_PRIVATE_H

#include <string.h>

#include "keyline/pool.h"

enum { /* kl_pool_key.row */
    ROW_BAD = 1,
    ROW_COPY = 2,     /* the file has it more than once */
    ROW_CONFLICT = 4, /* another row of the file has its label, or its secret and another label */
    ROW_CHANGED = 8,  /* the ledger has its label or its secret with other fields, or the CSV has */
    ROW_RENAMED = 32, /* the ledger has it under another label */
    ROW_SAME_BUNDLE = 64, /* the ledger's: see kl_ledger_row */
    ROW_SPENT = 16, /* marked, or seen on a board, and the ledger does not explain it. Kept while
                       the pool lives */
};

enum {
    ROW_BEFORE = 1 << 30, /* kl_pool_key.at: the row is one of those before this load */
};

static inline uint32_t kl_pool_fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

static inline uint32_t kl_pool_hash_label(const char *label)
{
    return kl_pool_fold(kl_hash(label, strlen(label)));
}

/* A fingerprint is as good as random. */
static inline uint32_t kl_pool_hash_fingerprint(const struct kl_fingerprint *fp)
{
    uint32_t hash;

    memcpy(&hash, fp->b, sizeof hash);
    return hash * UINT32_C(0x9e3779b1);
}

static inline const struct kl_pool_row *kl_pool_row_at(const struct kl_pool *p,
                                                       const struct kl_pool_key *k)
{
    const struct kl_pool_rows *rows = k->at & ROW_BEFORE ? &p->before : &p->rows;
    uint32_t at = k->at & ~(uint32_t)ROW_BEFORE;

    return at < rows->count ? &rows->listed[at] : &rows->own[at - rows->count];
}

/* The ledger holds its state, or was asked to record it. */
static inline bool kl_pool_is_held(const struct kl_pool_key *k)
{
    return (k->state >= KL_KEY_RESERVING && k->state <= KL_KEY_RECORDING) ||
           (k->state == KL_KEY_PROVISIONED && !(k->row & ROW_SPENT));
}

/* Neither in the CSV nor in the ledger any more: only its index lives on. */
static inline bool kl_pool_is_gone(const struct kl_pool_key *k)
{
    return k->state == KL_KEY_BLOCKED && k->trouble == KL_TROUBLE_VANISHED;
}

static inline bool kl_pool_same_label(const struct kl_pool *p, const struct kl_pool_key *a,
                                      const struct kl_pool_key *b)
{
    return a->label_hash == b->label_hash &&
           strcmp(kl_pool_row_at(p, a)->label, kl_pool_row_at(p, b)->label) == 0;
}

/* One secret, perhaps in two spellings. */
static inline bool kl_pool_same_kin(const struct kl_pool *p, const struct kl_pool_key *a,
                                    const struct kl_pool_key *b)
{
    const struct kl_fingerprint *kin = &kl_pool_row_at(p, a)->kin;

    return kl_fingerprint_is_set(kin) && kl_fingerprint_equal(kin, &kl_pool_row_at(p, b)->kin);
}

/* The key, and its entry by fingerprint; UINT32_MAX, and the entry where it would go. */
uint32_t kl_pool_seek(const struct kl_pool *p, const struct kl_fingerprint *fp, uint32_t *place);
/* If a MAC has several keys, a proved one goes first, then the newer one. */
void kl_pool_index_mac(struct kl_pool *p, uint32_t key);
/* Adds the key to the counts, or takes it out again. */
void kl_pool_tally(struct kl_pool *p, const struct kl_pool_key *k, int sign);
/* Sets trouble. A key that nobody holds also gets its state: FREE unless something speaks against
   it. */
void kl_pool_settle(struct kl_pool *p, uint32_t key);

#endif
