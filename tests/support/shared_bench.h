/* shared_bench.h: a station's store on a shared pool in memory (fake_pool.h), for unit tests: one
   pool and one folder for each test, by make_pool and remove_pool. */
#ifndef KEYLINE_TESTS_SHARED_BENCH_H
#define KEYLINE_TESTS_SHARED_BENCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/fleet/fleet_hand.h"
#include "adapters/fleet/pool_store.h"
#include "fake_pool.h"
#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char folder[4096], list[4200];
/* Shared with a child that is killed. */
static struct fake_pool *shared_pool;
#define pool (*shared_pool)
static struct kl_store_shared shared;

static inline int make_pool(void **state)
{
    char error[KL_TEXT_MAX];

    (void)state;
    shared_pool =
        mmap(NULL, sizeof pool, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared_pool != MAP_FAILED);
    scratch_make(&dir);
    setenv("XDG_STATE_HOME", dir.folder, 1);
    if (!kl_pool_folder("lamps", true, folder, error))
        fail_msg("%s", error);
    snprintf(list, sizeof list, "%s/keys.list", folder);
    fake_make(&pool, folder, 40);
    shared = (struct kl_store_shared){.service = "lamps", .slots = 4, .lease_max = 100};
    return 0;
}

static inline int remove_pool(void **state)
{
    (void)state;
    fake_end(&pool);
    munmap(shared_pool, sizeof pool);
    scratch_remove(&dir);
    return 0;
}

static inline enum kl_store_open_result try_open(struct store_bench *b)
{
    return bench_open_shared(
        b, (struct kl_store_options){.csv = list, .journal = dir.folder, .shared = &shared},
        &fake_calls);
}

static inline void open_pool(struct store_bench *b)
{
    if (try_open(b) != KL_STORE_OPENED)
        fail_msg("%s", b->error);
}

static inline bool has_keys(struct store_bench *b, void *ctx)
{
    return kl_store_content(b->store)->row_count >= *(uint32_t *)ctx;
}

static inline void wait_for_keys(struct store_bench *b, uint32_t count)
{
    assert_true(bench_until(b, has_keys, &count));
}

static inline bool is_answered(struct store_bench *b, void *ctx)
{
    (void)ctx;
    return b->answered == b->asked;
}

/* Asks until the answer is not "wait". */
static inline enum kl_store_status reserve(struct store_bench *b, const char *label, unsigned board)
{
    struct kl_fingerprint fp = bench_key(b, label);

    do {
        bench_submit(b, KL_OP_RESERVE, &fp, board);
        assert_true(bench_until(b, is_answered, NULL));
    } while (b->status == KL_STORE_WAITS);
    return b->status;
}

static inline bool reaches(struct store_bench *b, void *ctx)
{
    (void)b;
    uv_mutex_lock(&pool.lock);
    bool there = *(unsigned *)ctx > 0;
    uv_mutex_unlock(&pool.lock);
    return there;
}

static inline bool is_provisioned(struct store_bench *b, void *ctx)
{
    const char *label = *(const char **)ctx;

    (void)b;
    uv_mutex_lock(&pool.lock);
    bool is = fake_find(&pool, label)->state == FAKE_PROVISIONED;
    uv_mutex_unlock(&pool.lock);
    return is;
}

static inline void wait_until_provisioned(struct store_bench *b, const char *label)
{
    assert_true(bench_until(b, is_provisioned, &label));
}

static inline bool has_trouble(struct store_bench *b, void *wanted)
{
    struct kl_fleet_view view;

    kl_store_fleet(b->store, &view);
    return (view.trouble[0] != '\0') == *(bool *)wanted;
}

static inline bool gives(struct store_bench *b, void *wanted)
{
    struct kl_fleet_view view;

    kl_store_fleet(b->store, &view);
    return view.gives == *(bool *)wanted;
}

static inline bool has_leased(struct store_bench *b, void *count)
{
    (void)b;
    return fake_count(&pool, FAKE_LEASED) == *(unsigned *)count;
}

#endif
