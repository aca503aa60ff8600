/* index.c: open addressing, linear probing. The upper bits of a hash choose the entry, lower ones
   stand in it. */
#include "keyline/index.h"

enum {
    SPARE = 16, /* entries that stay empty in the smallest table */
};

uint32_t kl_index_size(uint32_t items)
{
    KL_ASSERT(items <= KL_INDEX_ITEMS_MAX);
    return items + items / 4 + SPARE;
}

void kl_index_init(struct kl_index *x, uint32_t *entry, uint32_t items)
{
    x->entry = entry;
    x->size = kl_index_size(items);
    x->mask = 1;
    while (x->mask < items)
        x->mask = x->mask << 1 | 1;
}

uint32_t kl_index_home(const struct kl_index *x, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * x->size >> 32);
}

uint32_t kl_index_step(const struct kl_index *x, uint32_t at)
{
    return at + 1 == x->size ? 0 : at + 1;
}

static uint32_t tag_of(const struct kl_index *x, uint32_t hash)
{
    return hash * (x->mask + 1);
}

uint32_t kl_index_seek(const struct kl_index *x, uint32_t hash, uint32_t *at)
{
    uint32_t tag = tag_of(x, hash), entry;

    for (; (entry = x->entry[*at]) != 0; *at = kl_index_step(x, *at))
        if (((entry ^ tag) & ~x->mask) == 0)
            return (entry & x->mask) - 1;
    return UINT32_MAX;
}

void kl_index_put(struct kl_index *x, uint32_t at, uint32_t hash, uint32_t item)
{
    KL_ASSERT(at < x->size && item < x->mask);
    x->entry[at] = (item + 1) | tag_of(x, hash);
}

uint32_t kl_index_item(const struct kl_index *x, uint32_t at)
{
    KL_ASSERT(x->entry[at] != 0);
    return (x->entry[at] & x->mask) - 1;
}
