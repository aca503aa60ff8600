/*
 * index.h: a hash table of numbers, for as many rows as a CSV has. Whoever owns the rows compares
 * them; the table keeps a few bits of each hash, so that nearly every row that it names is the one.
 *
 * Pure; the caller owns the memory. An entry of 4 bytes for each row, at most four of five taken.
 */
#ifndef KEYLINE_INDEX_H
#define KEYLINE_INDEX_H

#include "keyline/base.h"

enum {
    KL_INDEX_ITEMS_MAX = 1 << 30,
};

struct kl_index {
    uint32_t
        *entry; /* `size` of them; 0 = empty, else the item's number + 1 and bits of its hash */
    uint32_t size;
    uint32_t mask; /* of the number in an entry */
};

/* How many entries the table of this many items has, at most KL_INDEX_ITEMS_MAX. */
uint32_t kl_index_size(uint32_t items);
/* `entry` has at least kl_index_size(items) entries, all of them 0. */
void kl_index_init(struct kl_index *x, uint32_t *entry, uint32_t items);

/* The entry at which the search for this hash begins. */
uint32_t kl_index_home(const struct kl_index *x, uint32_t hash);
/* From entry *at on: the next item whose hash may be this one, and *at is its entry; UINT32_MAX =
   there is none, and *at is the empty entry where it would go. To go on, step *at. */
uint32_t kl_index_seek(const struct kl_index *x, uint32_t hash, uint32_t *at);
uint32_t kl_index_step(const struct kl_index *x, uint32_t at);
/* Puts an item into an entry. */
void kl_index_put(struct kl_index *x, uint32_t at, uint32_t hash, uint32_t item);
/* A search for this hash comes soon: the processor fetches its entry meanwhile. */
static inline void kl_index_expect(const struct kl_index *x, uint32_t hash)
{
    __builtin_prefetch(&x->entry[(uint64_t)hash * x->size >> 32]);
}

enum {
    KL_INDEX_AHEAD = 8, /* so many searches ahead it pays */
};

/* The item in an entry that is not empty. */
uint32_t kl_index_item(const struct kl_index *x, uint32_t at);

#endif
