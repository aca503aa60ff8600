/*
 * fuzz_image.c: any bytes as a firmware image. What is taken as one lies within its bytes, and
 * stays one when its header is patched. The first byte says whether checksum and digest are put
 * right, so that odd images get past them.
 */
#include <stdlib.h>
#include <string.h>

#include "adapters/bundle/content.h"
#include "adapters/bundle/image.h"
#include "keyline/bundle_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Makes the sums right if the segments' lengths allow it. */
static void put_right(uint8_t *data, size_t size)
{
    size_t at = 24, end;
    uint8_t sum = 0xef;

    for (unsigned i = 0; size >= 24 && i < data[1]; i++) {
        if (at + 8 > size || get32(data + at + 4) > size - at - 8)
            return;
        for (uint32_t n = get32(data + at + 4), k = 0; k < n; k++)
            sum ^= data[at + 8 + k];
        at += 8 + get32(data + at + 4);
    }
    end = (at + 16) / 16 * 16;
    if (end > size)
        return;
    data[end - 1] = sum;
    if (end + 32 <= size)
        kl_sha256(data, end, data + end);
}

static void check(uint8_t *data, size_t size)
{
    struct kl_image_info info, again;
    char why[KL_TEXT_MAX] = "";

    must(kl_content_name(kl_content_of(data, size))[0] != '\0');
    if (kl_image_read(data, size, &info, why)) {
        must(why[0] != '\0' && strlen(why) < sizeof why);
        return;
    }
    must(info.length <= size && info.length >= 16);
    must(info.end >= info.length && info.end <= size && info.rest <= size - info.end);
    must(info.digest_at == 0 || info.digest_at + 32 == info.length);
    must(info.chip == KL_CHIP_NONE || kl_chip(info.chip) != NULL);
    must(strlen(info.project) <= 32 && strlen(info.version) <= 32);
    if (data[0] != KL_IMAGE_MAGIC || info.signature != KL_SIGNATURE_NONE)
        return;
    kl_image_patch(data, &info, 2, 0xf, 0x30);
    must(!kl_image_read(data, size, &again, why));
    must(again.length == info.length && again.mode == 2 && again.size_freq == 0x3f);
    must(strcmp(again.project, info.project) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size == 0)
        return 0;
    copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        put_right(copy, size - 1);
    check(copy, size - 1);
    free(copy);
    return 0;
}
