/* The board's half of the handover against any bytes at any times. */
#include <stdlib.h>
#include <string.h>

#include "provisioning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned stored_count;
static char stored[32][256];

static unsigned count(void *ctx)
{
    (void)ctx;
    return stored_count;
}

static bool set_count(void *ctx, unsigned n)
{
    (void)ctx;
    stored_count = n;
    return true;
}

static bool write_field(void *ctx, unsigned field, const char *text, size_t size)
{
    (void)ctx;
    if (field >= 32 || size == 0 || size > 255 || memchr(text, ',', size))
        abort();
    memcpy(stored[field], text, size);
    stored[field][size] = '\0';
    return true;
}

static bool read_field(void *ctx, unsigned field, char *out, size_t size)
{
    (void)ctx;
    if (strlen(stored[field]) >= size)
        return false;
    memcpy(out, stored[field], strlen(stored[field]) + 1);
    return true;
}

static void print(void *ctx, const char *text, size_t size)
{
    (void)ctx;
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0')
            abort();
}

static void restart(void *ctx)
{
    (void)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_prov p;
    struct kl_prov_config c = {.store = {NULL, count, set_count, write_field, read_field},
                               .print = print,
                               .restart = restart,
                               .digest_fields = 6,
                               .sha256 = kl_prov_sha256};
    uint32_t now = 0;

    stored_count = 0;
    kl_prov_start(&p, &c, now);
    for (size_t i = 0; i < size; i++) {
        kl_prov_feed(&p, data[i], now);
        if (i % 8 == 7) {
            now += data[i] * 4u;
            kl_prov_tick(&p, now);
        }
    }
    if (stored_count > 32 || kl_prov_is_done(&p) != (stored_count > 0))
        abort();
    kl_prov_start(&p, &c, now);
    return 0;
}
