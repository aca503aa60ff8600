#include "keyline/bundle.h"

#include <string.h>

const struct kl_image *kl_bundle_image(const struct kl_bundle *b, unsigned r, uint32_t flash_size)
{
    unsigned n = 0;

    KL_ASSERT(r < b->region_count);
    while (n + 1 < KL_FLASH_SIZES && (0x40000u << (n + 1)) <= flash_size)
        n++;
    return &b->region[r].image[n];
}

void kl_bundle_md5(const struct kl_bundle *b, const uint8_t *raw, uint32_t size, uint8_t out[16])
{
    struct kl_sums *s = b->sums;

    KL_ASSERT(b->md5 && raw && size > 0);
    for (unsigned i = 0; s && i < KL_SUMS_MAX; i++)
        if (s->of[i].raw == raw && s->of[i].size == size) {
            memcpy(out, s->of[i].md5, 16);
            return;
        }
    b->md5(raw, size, out);
    if (!s)
        return;
    s->of[s->next].raw = raw;
    s->of[s->next].size = size;
    memcpy(s->of[s->next].md5, out, 16);
    s->next = (s->next + 1) % KL_SUMS_MAX;
}

void kl_bundle_for_keyed(const struct kl_bundle *b, struct kl_bundle *out)
{
    *out = *b;
    out->region_count = 0;
    for (unsigned r = 0; r < b->region_count; r++)
        if (!b->region[r].keep_if_keyed || b->erase_all)
            out->region[out->region_count++] = b->region[r];
}
