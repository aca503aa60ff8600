#include "link_bench.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    TOO_LONG_MS = 20000,
    TURN_MS = 5, /* the awaited event may come from outside of the loop */
};

static void on_opened(void *ctx, enum kl_open_result result, const char *text)
{
    struct link_bench *b = ctx;
    assert_false(b->inside);
    assert_int_equal(b->closed, 0);
    b->opened++;
    b->result = result;
    kl_copy(b->text, sizeof b->text, text);
    if (b->close_when_opened)
        kl_link_close(b->link);
}

static void on_rx(void *ctx, const uint8_t *data, size_t size)
{
    struct link_bench *b = ctx;
    assert_false(b->inside);
    assert_true(b->opened == 1 && b->lost == 0 && b->closed == 0);
    assert_true(size > 0 && b->rx_size + size <= sizeof b->rx);
    memcpy(b->rx + b->rx_size, data, size);
    b->rx_size += size;
    if (b->close_in_rx)
        kl_link_close(b->link);
}

static void on_done(void *ctx, uint32_t request, bool ok)
{
    struct link_bench *b = ctx;
    assert_false(b->inside);
    assert_true(b->opened == 1 && b->lost == 0 && b->closed == 0);
    assert_true(b->done < 64);
    b->request[b->done] = request;
    b->ok[b->done++] = ok;
}

static void on_lost(void *ctx, const char *text)
{
    struct link_bench *b = ctx;
    assert_false(b->inside);
    assert_true(b->opened == 1 && b->result == KL_OPEN_OK);
    assert_true(b->lost == 0 && b->closed == 0);
    b->lost++;
    kl_copy(b->text, sizeof b->text, text);
}

static void on_closed(void *ctx)
{
    struct link_bench *b = ctx;
    assert_false(b->inside);
    assert_int_equal(b->closed, 0);
    b->closed++;
}

const struct kl_link_events link_bench_events = {
    .opened = on_opened, .rx = on_rx, .io_done = on_done, .lost = on_lost, .closed = on_closed};

void link_bench_start(struct link_bench *b)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    memset(b, 0, sizeof *b);
    uv_loop_init(&b->loop);
    uv_timer_init(&b->loop, &b->guard);
}

void link_bench_open(struct link_bench *b, const char *target, uint32_t baud)
{
    b->inside = true;
    b->link = kl_link_open(&b->loop, target, baud, &link_bench_events, b);
    b->inside = false;
    assert_non_null(b->link);
}

static void turn(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

void link_bench_until(struct link_bench *b, bool (*so)(void *ctx), void *ctx)
{
    unsigned turns = 0;
    b->guard.data = &turns;
    uv_timer_start(&b->guard, turn, TURN_MS, TURN_MS);
    while (!so(ctx) && turns < TOO_LONG_MS / TURN_MS)
        uv_run(&b->loop, UV_RUN_ONCE);
    uv_timer_stop(&b->guard);
    assert_true(turns < TOO_LONG_MS / TURN_MS);
}

static bool is_opened(void *ctx)
{
    return ((struct link_bench *)ctx)->opened > 0;
}

void link_bench_until_opened(struct link_bench *b)
{
    link_bench_until(b, is_opened, b);
}

struct wanted {
    struct link_bench *bench;
    const struct link_far_end *far_end;
    size_t count;
};

static bool enough_done(void *ctx)
{
    struct wanted *w = ctx;
    return w->bench->done >= w->count;
}

void link_bench_until_done(struct link_bench *b, unsigned count)
{
    link_bench_until(b, enough_done, &(struct wanted){.bench = b, .count = count});
    assert_int_equal(b->done, count);
}

static bool is_closed(void *ctx)
{
    return ((struct link_bench *)ctx)->closed > 0;
}

void link_bench_close(struct link_bench *b)
{
    unsigned opened = b->opened, lost = b->lost, done = b->done;
    size_t rx = b->rx_size;
    b->inside = true;
    kl_link_close(b->link);
    b->inside = false;
    link_bench_until(b, is_closed, b);
    assert_true(b->opened == opened && b->lost == lost && b->done == done && b->rx_size == rx);
}

void link_bench_finish(struct link_bench *b)
{
    uv_close((uv_handle_t *)&b->guard, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void request(struct link_bench *b, uint32_t id, const struct kl_io *io)
{
    b->inside = true;
    kl_link_io(b->link, id, io);
    b->inside = false;
}

void link_bench_write(struct link_bench *b, const void *data, size_t size)
{
    request(b, 0, &(struct kl_io){.kind = KL_IO_WRITE, .data = data, .size = size});
}

void link_bench_lines(struct link_bench *b, uint32_t id, bool dtr, bool rts)
{
    request(b, id, &(struct kl_io){.kind = KL_IO_LINES, .dtr = dtr, .rts = rts});
}

void link_bench_baud(struct link_bench *b, uint32_t id, uint32_t baud)
{
    request(b, id, &(struct kl_io){.kind = KL_IO_BAUD, .baud = baud});
}

/* ---- the contract ---- */

static bool far_end_has(void *ctx)
{
    struct wanted *w = ctx;
    const uint8_t *data;
    return w->far_end->received(w->far_end->ctx, &data) >= w->count;
}

static bool bench_has(void *ctx)
{
    struct wanted *w = ctx;
    return w->bench->rx_size >= w->count;
}

static bool is_lost(void *ctx)
{
    return ((struct link_bench *)ctx)->lost > 0;
}

static void all_bytes_pass_both_ways(struct link_bench *b, const struct link_far_end *far_end)
{
    uint8_t all[3 * 256];
    const uint8_t *got;
    for (unsigned i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 7);
    far_end->send(far_end->ctx, all, sizeof all);
    link_bench_until(b, bench_has, &(struct wanted){.bench = b, .count = sizeof all});
    assert_int_equal(b->rx_size, sizeof all);
    assert_memory_equal(b->rx, all, sizeof all);

    size_t before = far_end->received(far_end->ctx, &got);
    struct kl_io secret = {.kind = KL_IO_WRITE, .data = all, .size = 256, .secret = true};
    request(b, 0, &secret);
    link_bench_write(b, all + 256, 1);
    link_bench_write(b, NULL, 0);
    link_bench_write(b, all + 257, sizeof all - 257);
    struct wanted w = {.far_end = far_end, .count = before + sizeof all};
    link_bench_until(b, far_end_has, &w);
    assert_int_equal(far_end->received(far_end->ctx, &got), before + sizeof all);
    assert_memory_equal(got + before, all, sizeof all);
}

static void requests_are_answered_in_order(struct link_bench *b, const struct link_far_end *far_end)
{
    const uint8_t *got;
    size_t before = far_end->received(far_end->ctx, &got);
    b->done = 0;
    link_bench_write(b, "one", 3);
    link_bench_lines(b, 11, false, true);
    link_bench_baud(b, 12, 230400);
    link_bench_write(b, "two", 3);
    link_bench_lines(b, 13, true, false);
    link_bench_write(b, "three", 5);
    link_bench_lines(b, 14, false, false);
    link_bench_until_done(b, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(b->request[i], 11 + i);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(b->ok[i], i == 1 ? far_end->rate : far_end->lines);
    link_bench_until(b, far_end_has, &(struct wanted){.far_end = far_end, .count = before + 11});
    assert_int_equal(far_end->received(far_end->ctx, &got), before + 11);
    assert_memory_equal(got + before, "onetwothree", 11);
}

void link_contract(struct link_bench *b, const struct link_far_end *far_end)
{
    all_bytes_pass_both_ways(b, far_end);
    requests_are_answered_in_order(b, far_end);
    /* The link still delivers what came before the end. */
    size_t before = b->rx_size;
    far_end->send(far_end->ctx, (const uint8_t *)"last", 4);
    link_bench_until(b, bench_has, &(struct wanted){.bench = b, .count = before + 4});
    far_end->drop(far_end->ctx);
    link_bench_until(b, is_lost, b);
    assert_true(b->text[0] != '\0');
    unsigned done = b->done;
    link_bench_lines(b, 99, true, true);
    link_bench_write(b, "lost", 4);
    link_bench_close(b);
    assert_int_equal(b->done, done);
}
