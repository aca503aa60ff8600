/*
 * fuzz_nvs.c: any bytes as an NVS image. Reading ends, stays inside, and tells of nothing twice;
 * what is found can be found by its name, and what is copied into a new image is the same there.
 * The first byte says whether checksums are put right, so that the inside is reached too.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "keyline/nvs.h"

enum {
    PAGES_MAX = 4
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t image[PAGES_MAX * KL_NVS_PAGE];

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void put_crc(uint8_t *at, uint32_t crc)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(crc >> 8 * i);
}

static void put_right(uint8_t *page)
{
    uint32_t crc;

    page[0] = page[0] & 1 ? 0xFE : 0xFC;
    memset(page + 1, 0xFF, 3);
    put_crc(page + 28, (uint32_t)crc32(0xFFFFFFFF, page + 4, 24));
    for (unsigned i = 0; i < KL_NVS_ENTRIES; i++) {
        uint8_t *e = page + KL_NVS_FIRST_ENTRY + (size_t)i * KL_NVS_ENTRY;
        unsigned length = e[24] | (unsigned)e[25] << 8;
        if ((size_t)(e - page) + KL_NVS_ENTRY + length <= KL_NVS_PAGE && e[2] & 1)
            put_crc(e + 28, (uint32_t)crc32(0xFFFFFFFF, e + KL_NVS_ENTRY, length));
        e[23] = 0;
        crc = (uint32_t)crc32(0xFFFFFFFF, e, 4);
        put_crc(e + 4, (uint32_t)crc32(crc, e + 8, 24));
    }
}

static void check_item(struct kl_nvs_image whole, const struct kl_nvs_item *item)
{
    char namespace[KL_NVS_NAME_MAX + 1];
    struct kl_nvs_item again;
    uint8_t *value = malloc(item->size + 1);

    if (!value)
        return;
    kl_nvs_read(whole, item, 0, value, item->size);
    if (item->size)
        kl_nvs_read(whole, item, item->size - 1, value, 1);
    free(value);
    must(strlen(item->name) <= KL_NVS_NAME_MAX);
    if (kl_nvs_namespace_name(whole, item->namespace, namespace))
        must(kl_nvs_find(whole, namespace, item->name, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_nvs_walk walk = {0};
    struct kl_nvs_item item;
    struct kl_nvs_image whole = {image, 0};
    uint32_t last = 0;

    if (size < 2)
        return 0;
    memset(image, 0xFF, sizeof image);
    size = size - 1 < sizeof image ? size - 1 : sizeof image;
    memcpy(image, data + 1, size);
    whole.size = (uint32_t)(size + KL_NVS_PAGE - 1) / KL_NVS_PAGE * KL_NVS_PAGE;
    for (uint32_t at = 0; data[0] & 1 && at < whole.size; at += KL_NVS_PAGE)
        put_right(image + at);
    must(kl_nvs_look(whole) < KL_NVS_STATE_COUNT);
    for (unsigned n = 0; kl_nvs_next(whole, &walk, &item); n++) {
        must(n < PAGES_MAX * KL_NVS_ENTRIES && (n == 0 || item.at != last));
        last = item.at;
        check_item(whole, &item);
    }
    return 0;
}
