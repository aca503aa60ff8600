#include "keyline/bundle.h"

const struct kl_image *kl_bundle_image(const struct kl_bundle *b, unsigned r, uint32_t flash_size)
{
    unsigned n = 0;

    KL_ASSERT(r < b->region_count);
    while (n + 1 < KL_FLASH_SIZES && (0x40000u << (n + 1)) <= flash_size)
        n++;
    return &b->region[r].image[n];
}

void kl_bundle_for_keyed(const struct kl_bundle *b, struct kl_bundle *out)
{
    *out = *b;
    out->region_count = 0;
    for (unsigned r = 0; r < b->region_count; r++)
        if (!b->region[r].keep_if_keyed || b->erase_all)
            out->region[out->region_count++] = b->region[r];
}
