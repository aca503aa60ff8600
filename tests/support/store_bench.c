#include "store_bench.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/fleet/pool_store.h"

static void stored(void *ctx, const struct kl_action *request, enum kl_store_status status,
                   const struct kl_key *key, const char *text)
{
    struct store_bench *b = ctx;

    b->answered++;
    assert_int_equal(request->request, b->answered); /* answers come in the order of the requests */
    b->status = status;
    b->has_key = key != NULL;
    if (key != NULL)
        b->key = *key;
    kl_copy(b->text, sizeof b->text, text);
}

static void reloaded(void *ctx)
{
    struct store_bench *b = ctx;
    b->reloads++;
    if (b->on_reload)
        b->on_reload(b);
}

static void trouble(void *ctx, const char *text)
{
    struct store_bench *b = ctx;
    kl_copy(b->trouble, sizeof b->trouble, text);
}

static void fleet(void *ctx, const char *text)
{
    struct store_bench *b = ctx;
    if (text)
        kl_copy(b->note, sizeof b->note, text);
}

static void asks(void *ctx, const struct kl_store_question *question)
{
    struct store_bench *b = ctx;
    b->question = *question;
    b->questions += question->id[0] != '\0';
}

static void closed(void *ctx)
{
    struct store_bench *b = ctx;
    b->closed = true;
}

const char *bench_journal(const char *csv)
{
    static char folder[PATH_MAX + 16];
    char real[PATH_MAX];
    char *slash;

    if (realpath(csv, real) == NULL)
        kl_copy(real, sizeof real, csv);
    slash = strrchr(real, '/');
    snprintf(folder, sizeof folder, "%.*s/journal", slash == NULL ? 0 : (int)(slash - real), real);
    return folder;
}

static enum kl_store_open_result open_and_start(struct store_bench *b,
                                                struct kl_store_options options,
                                                const struct kl_fleet_calls *calls)
{
    static const struct kl_store_events events = {
        .stored = stored, .reloaded = reloaded, .trouble = trouble, .fleet = fleet, .asks = asks};
    enum kl_store_open_result result;

    options.station = "bench-1";
    options.bundle_digest = "abcdef";
    options.doubt = &b->doubt;
    options.answers |= 1u << KL_DOUBT_STORAGE;
    if (options.journal == NULL)
        options.journal = bench_journal(options.csv);
    memset(b, 0, sizeof *b);
    result = calls == NULL ? kl_store_open(&options, &b->store, b->error)
                           : kl_pool_store_open(&options, calls, &b->store, b->error);
    if (result != KL_STORE_OPENED)
        return result;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    kl_store_start(b->store, &b->loop, &events, b);
    return result;
}

enum kl_store_open_result bench_open_with(struct store_bench *b, struct kl_store_options options)
{
    return open_and_start(b, options, NULL);
}

enum kl_store_open_result bench_open_shared(struct store_bench *b, struct kl_store_options options,
                                            const struct kl_fleet_calls *calls)
{
    return open_and_start(b, options, calls);
}

enum kl_store_open_result bench_open(struct store_bench *b, const char *csv)
{
    return bench_open_with(b, (struct kl_store_options){.csv = csv});
}

enum kl_store_open_result bench_open_answered(struct store_bench *b, const char *csv,
                                              uint32_t answers)
{
    return bench_open_with(b, (struct kl_store_options){.csv = csv, .answers = answers});
}

void bench_end(struct store_bench *b)
{
    kl_store_close(b->store, closed, b);
    while (!b->closed)
        uv_run(&b->loop, UV_RUN_ONCE);
}

void bench_close(struct store_bench *b)
{
    if (!b->closed)
        bench_end(b);
    kl_store_free(b->store);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    kl_wipe(&b->key, sizeof b->key);
}

struct kl_fingerprint bench_key(const struct store_bench *b, const char *label)
{
    const struct kl_store_content *c = kl_store_content(b->store);

    for (uint32_t i = 0; i < c->row_count; i++)
        if (!c->rows[i].bad && strcmp(c->rows[i].label, label) == 0)
            return c->rows[i].fingerprint;
    for (uint32_t i = 0; i < c->ledger_count; i++)
        if (strcmp(c->ledger[i].label, label) == 0)
            return c->ledger[i].fingerprint;
    fail_msg("no key is labelled %s", label);
    return (struct kl_fingerprint){{0}};
}

struct kl_mac bench_mac(unsigned board)
{
    return (struct kl_mac){
        {0x24, 0x0a, 0xc4, (uint8_t)(board >> 16), (uint8_t)(board >> 8), (uint8_t)board}};
}

void bench_submit(struct store_bench *b, enum kl_store_op op, const struct kl_fingerprint *fp,
                  unsigned board)
{
    struct kl_attempt attempt = {.mac = bench_mac(board),
                                 .eui64 = {{0x24, 0x0a, 0xc4, 0xff, 0xfe, 0, 0, (uint8_t)board}},
                                 .port = "/dev/ttyUSB0",
                                 .slot = "A1",
                                 .result = KL_ST_DONE,
                                 .tries = 1,
                                 .baud = 921600};
    struct kl_action action = {.kind = KL_AC_STORE, .slot = 3, .request = ++b->asked};

    action.u.store.op = op;
    action.u.store.fingerprint = *fp;
    action.u.store.mac = bench_mac(board);
    action.u.store.label = !b->label ? "a label" : b->label;
    action.u.store.reason = op == KL_OP_RELEASE ? "its board left" : NULL;
    action.u.store.attempt = op == KL_OP_ATTEMPT ? &attempt : NULL;
    kl_store_submit(b->store, &action);
}

void bench_wait(struct store_bench *b)
{
    while (b->answered < b->asked)
        uv_run(&b->loop, UV_RUN_ONCE);
}

enum kl_store_status bench_ask(struct store_bench *b, enum kl_store_op op, const char *label,
                               unsigned board)
{
    struct kl_fingerprint fp = bench_key(b, label);

    bench_submit(b, op, &fp, board);
    bench_wait(b);
    return b->status;
}

bool bench_until(struct store_bench *b, bool (*done)(struct store_bench *b, void *ctx), void *ctx)
{
    uint64_t start = uv_hrtime();

    while (!done(b, ctx)) {
        if (uv_hrtime() - start > UINT64_C(100000000000)) /* only against hanging */
            return false;
        uv_run(&b->loop, UV_RUN_ONCE); /* the store's own tick wakes it */
    }
    return true;
}
