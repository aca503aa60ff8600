/*
 * selftest.c: firmware that tests itself once it has its key, and prints how that went: "selftest"
 * is built on firmware/provisioning, "silent-selftest" reads its key from NVS and never asks.
 */
#include <string.h>

#include "program.h"

enum {
    EACH_US = 100000, /* a line */
    FLOOD_US = 20000,
    FLOOD = 500, /* bytes at once, without a line end */
    STEPS = 4,
};

static void say(struct kl_vboard *b, const char *text)
{
    program_print(b, text, strlen(text));
}

static void flood(struct kl_vboard *b)
{
    char noise[FLOOD];

    memset(noise, 'x', sizeof noise);
    program_print(b, noise, sizeof noise);
    program_after(b, FLOOD_US);
}

/* One step of the test. `sound`: the board has its key. */
static void test_on(struct kl_vboard *b, bool sound)
{
    unsigned step = b->app->spelt++;

    if (step < 2) {
        say(b, step == 0 ? "SELFTEST sensor ok\r\n" : "SELFTEST radio ok\r\n");
    } else if (step == 2) {
        if (fault_takes(b, FAULT_ID_TEST_RESTARTS))
            program_restart(b);
        else if (fault_takes(b, FAULT_ID_TEST_CRASHES))
            program_crash(b);
    } else if (step == 3 && !fault_is(b, FAULT_ID_TEST_SILENT) &&
               !fault_is(b, FAULT_ID_TEST_FLOODS)) {
        say(b, !sound || fault_takes(b, FAULT_ID_TEST_FAILS) ? "SELFTEST FAIL battery\r\n"
                                                             : "SELFTEST OK\r\n");
    }
    if (step >= STEPS - 1 && fault_is(b, FAULT_ID_TEST_FLOODS))
        flood(b);
    else if (step < STEPS - 1)
        program_after(b, EACH_US);
    else
        b->timer_at = KL_NEVER;
}

/* ---- built on firmware/provisioning ---- */

static void start(struct kl_vboard *b)
{
    program_keyline.start(b);
    if (b->app->holding)
        program_after(b, EACH_US);
}

static void rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    if (!b->app->holding)
        program_keyline.rx(b, data, size);
}

static void tick(struct kl_vboard *b)
{
    if (b->app->holding)
        test_on(b, true);
    else
        program_keyline.tick(b);
}

static void preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    program_keyline.preload(b, fields, count);
}

static void stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    program_keyline.stored(b, out);
}

const struct program program_selftest = {"selftest", start, rx, tick, preload, stored};

/* ---- silent but for its test ---- */

static void silent_start(struct kl_vboard *b)
{
    program_after(b, EACH_US);
}

static void silent_rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    (void)b;
    (void)data;
    (void)size;
}

static void silent_tick(struct kl_vboard *b)
{
    char value[KL_LINE_MAX + 1];
    size_t size = KL_LINE_MAX;

    test_on(b, nvs_get(b, "key1", value, &size));
}

static void silent_preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    program_original.preload(b, fields, count);
}

static void silent_stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    program_original.stored(b, out);
}

const struct program program_silent_selftest = {"silent-selftest", silent_start,   silent_rx,
                                                silent_tick,       silent_preload, silent_stored};
