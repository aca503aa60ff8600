/*
 * link_bench.h: a link under test, everything it says, and a loop that runs until a condition holds
 * or too much time has passed.
 */
#ifndef KEYLINE_TESTS_LINK_BENCH_H
#define KEYLINE_TESTS_LINK_BENCH_H

#include "keyline/link.h"

struct link_bench {
    uv_loop_t loop;
    uv_timer_t guard;
    struct kl_link *link;
    bool inside; /* one of the link's own functions is running */

    unsigned opened, lost, closed;
    enum kl_open_result result;
    char text[KL_TEXT_MAX];
    uint8_t rx[1 << 20];
    size_t rx_size;
    unsigned done;
    uint32_t request[64];
    bool ok[64];
    bool close_when_opened, close_in_rx;
};

/* What stands at the other end, for link_contract. */
struct link_far_end {
    void *ctx;
    void (*send)(void *ctx, const uint8_t *data, size_t size);
    /* What has arrived so far, unescaped. */
    size_t (*received)(void *ctx, const uint8_t **data);
    void (*drop)(void *ctx);
    bool lines, rate; /* the link has them */
};

extern const struct kl_link_events link_bench_events; /* ctx is the bench */

void link_bench_start(struct link_bench *b);
void link_bench_open(struct link_bench *b, const char *target, uint32_t baud);
/* Runs the loop until `so` returns true; fails the test after 20 s. */
void link_bench_until(struct link_bench *b, bool (*so)(void *ctx), void *ctx);
void link_bench_until_opened(struct link_bench *b);
void link_bench_until_done(struct link_bench *b, unsigned count);
/* Closes, waits for `closed`, checks that nothing else came. */
void link_bench_close(struct link_bench *b);
/* Fails the test if the loop has anything left. */
void link_bench_finish(struct link_bench *b);

void link_bench_write(struct link_bench *b, const void *data, size_t size);
void link_bench_lines(struct link_bench *b, uint32_t request, bool dtr, bool rts);
void link_bench_baud(struct link_bench *b, uint32_t request, uint32_t baud);

/* What every link has to keep. Takes an open link; the link is lost and closed at the end. */
void link_contract(struct link_bench *b, const struct link_far_end *far_end);

#endif
