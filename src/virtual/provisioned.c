/*
 * provisioned.c: firmware built on firmware/provisioning, the very code that runs on boards, over a
 * virtual board's storage, console and restart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "provisioning.h"

struct provisioned {
    struct kl_prov prov;
    kl_us base; /* the program's clock begins here */
};

static uint32_t milliseconds(const struct kl_vboard *b)
{
    const struct provisioned *own = b->app->own;

    return (uint32_t)((b->now - own->base) / 1000);
}

/* ---- storage ---- */

static void field_key(unsigned field, char out[8])
{
    snprintf(out, 8, "key%u", field % 1000u + 1);
}

static unsigned count_of(const struct kl_vboard *b)
{
    uint8_t count = 0;
    size_t size = 1;

    return nvs_get(b, "count", &count, &size) && size == 1 ? count : 0;
}

static unsigned store_count(void *ctx)
{
    return count_of(ctx);
}

static bool store_set_count(void *ctx, unsigned count)
{
    struct kl_vboard *b = ctx;
    uint8_t byte = (uint8_t)count;
    bool stored = program_put(b, "count", &byte, 1, false);

    if (stored)
        program_store_end(b);
    return stored;
}

static bool store_write(void *ctx, unsigned field, const char *text, size_t size)
{
    char key[8];

    if (field == 0)
        program_store_begin(ctx);
    field_key(field, key);
    return program_put(ctx, key, text, size, true);
}

static bool read_field(const struct kl_vboard *b, unsigned field, char *out, size_t size)
{
    char key[8];
    size_t got = size - 1;

    field_key(field, key);
    if (!nvs_get(b, key, out, &got))
        return false;
    out[got] = '\0';
    return true;
}

static bool store_read(void *ctx, unsigned field, char *out, size_t size)
{
    return read_field(ctx, field, out, size);
}

/* ---- console and restart ---- */

static void print(void *ctx, const char *text, size_t size)
{
    program_print(ctx, text, size);
}

static void restart(void *ctx)
{
    program_restart(ctx);
}

/* ---- the program ---- */

/* Wakes the program when kl_prov_tick has something to do next. */
static void plan(struct kl_vboard *b)
{
    const struct provisioned *own = b->app->own;
    const struct kl_prov *p = &own->prov;
    uint32_t due = p->announced_ms + KL_PROV_ANNOUNCE_MS;

    if (kl_prov_is_done(p)) {
        b->timer_at = KL_NEVER;
        return;
    }
    if (p->in_line && p->line_ms + KL_PROV_LINE_MS < due)
        due = p->line_ms + KL_PROV_LINE_MS;
    b->timer_at = own->base + KL_MS((kl_us)due);
}

static void start_with(struct kl_vboard *b, uint32_t digests,
                       void (*out)(void *ctx, const char *text, size_t size))
{
    struct provisioned *own = calloc(1, sizeof *own);
    const struct kl_prov_config config = {
        .store = {.ctx = b,
                  .count = store_count,
                  .set_count = store_set_count,
                  .write = store_write,
                  .read = store_read},
        .ctx = b,
        .print = out,
        .restart = restart,
        .fields = b->config.fields,
        .digest_fields = digests,
        .sha256 = kl_prov_sha256,
    };

    KL_ASSERT(own);
    b->app->own = own;
    own->base = b->now;
    kl_prov_start(&own->prov, &config, 0);
    plan(b);
}

static void start_clear(struct kl_vboard *b)
{
    start_with(b, 0, print);
}

void provisioned_start(struct kl_vboard *b, void (*out)(void *ctx, const char *text, size_t size))
{
    start_with(b, 0, out);
}

/* The label stays readable. */
static void start_digest(struct kl_vboard *b)
{
    start_with(b, UINT32_MAX - 1, print);
}

static void rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    struct provisioned *own = b->app->own;

    for (size_t i = 0; i < size && b->app->doom == DOOM_NONE; i++)
        kl_prov_feed(&own->prov, data[i], milliseconds(b));
    plan(b);
}

static void tick(struct kl_vboard *b)
{
    struct provisioned *own = b->app->own;

    kl_prov_tick(&own->prov, milliseconds(b));
    plan(b);
}

static void preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    uint8_t byte = (uint8_t)count;
    char key[8];

    for (unsigned i = 0; i < count; i++) {
        field_key(i, key);
        nvs_put(b, key, fields[i].data, fields[i].size);
    }
    nvs_put(b, "count", &byte, 1);
}

static void stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    char field[KL_LINE_MAX + 1];
    unsigned count = count_of(b);
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < count && i < KL_FIELDS_MAX; i++) {
        if (!read_field(b, i, field, sizeof field))
            field[0] = '\0';
        used += kl_format(out + used, KL_LINE_MAX + 1 - used, i ? ",%s" : "%s", field);
    }
}

const struct program program_keyline = {"keyline", start_clear, rx, tick, preload, stored};
const struct program program_digest = {"digest", start_digest, rx, tick, preload, stored};
