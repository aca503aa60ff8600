/* store_bench.h: a store on a loop of its own, driven one request after the other. */
#ifndef KEYLINE_TESTS_STORE_BENCH_H
#define KEYLINE_TESTS_STORE_BENCH_H

#include "keyline/store.h"

struct store_bench {
    uv_loop_t loop;
    struct kl_store *store;
    char error[KL_TEXT_MAX];
    enum kl_doubt doubt;      /* what stopped the opening */
    uint32_t asked, answered; /* request ids count up from 1 */
    enum kl_store_status status;
    char text[KL_TEXT_MAX];
    struct kl_key key; /* of the last answer */
    bool has_key;
    char trouble[KL_TEXT_MAX];
    char note[KL_TEXT_MAX]; /* the last one of a shared pool */
    const char *label;      /* of a key whose row is gone; NULL = any */
    unsigned questions;
    struct kl_store_question question; /* what is asked; id "" = nothing */
    unsigned reloads;
    void (*on_reload)(struct store_bench *b); /* NULL = nothing else happens then */
    bool closed;
};

/* Opens and, if that goes well, starts. */
enum kl_store_open_result bench_open_with(struct store_bench *b, struct kl_store_options options);
/* The same for a store on a shared pool. */
struct kl_fleet_calls;
enum kl_store_open_result bench_open_shared(struct store_bench *b, struct kl_store_options options,
                                            const struct kl_fleet_calls *calls);
enum kl_store_open_result bench_open(struct store_bench *b, const char *csv);
/* bench_open after a person has said yes to these doubts: bits 1 << KL_DOUBT_…. */
enum kl_store_open_result bench_open_answered(struct store_bench *b, const char *csv,
                                              uint32_t answers);
/* The folder of its journal, beside the CSV. */
const char *bench_journal(const char *csv);
/* Closes the store; the bench keeps its results until bench_close. */
void bench_end(struct store_bench *b);
void bench_close(struct store_bench *b);

/* The fingerprint of the key with this label; the test fails if there is none. */
struct kl_fingerprint bench_key(const struct store_bench *b, const char *label);
struct kl_mac bench_mac(unsigned board);

/* Sends one request and waits for its answer. */
enum kl_store_status bench_ask(struct store_bench *b, enum kl_store_op op, const char *label,
                               unsigned board);
/* Sends one request without waiting. */
void bench_submit(struct store_bench *b, enum kl_store_op op, const struct kl_fingerprint *fp,
                  unsigned board);
/* Runs the loop until every request has its answer. */
void bench_wait(struct store_bench *b);
/* Runs the loop until `done` returns true; false only if that never comes. */
bool bench_until(struct store_bench *b, bool (*done)(struct store_bench *b, void *ctx), void *ctx);

#endif
