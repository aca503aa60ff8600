#include "csv_namer.h"

#include <uv.h>

#include "adapters/host/disk.h"
#include "keyline/bundle_load.h"
#include "keyline/secret.h"

enum {
    ROWS = 256,
    STACK = 256 * 1024,
};

struct batch {
    uint32_t count;
    uint32_t row[ROWS];
    struct kl_key key[ROWS];
};

/* One batch is filled while the other one gets its names. */
struct kl_namer {
    kl_named_fn *named;
    void *ctx;
    struct batch batch[2];
    struct batch *filling;
    struct batch *under_way; /* the thread has it; NULL = none */
    uv_thread_t thread;
    uv_sem_t begins, ended;
    bool beside;
};

static void name_all(struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        kl_key_name(&b->key[i], kl_sha256);
}

/* A batch without keys is the last. */
static void on_thread(void *arg)
{
    struct kl_namer *n = arg;
    bool last = false;

    kl_secret_stack();
    while (!last) {
        uv_sem_wait(&n->begins);
        last = n->under_way->count == 0;
        name_all(n->under_way);
        uv_sem_post(&n->ended);
    }
}

static void start_thread(struct kl_namer *n)
{
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK};

    if (uv_sem_init(&n->begins, 0) != 0)
        return;
    if (uv_sem_init(&n->ended, 0) == 0) {
        n->beside = uv_thread_create_ex(&n->thread, &options, on_thread, n) == 0;
        if (n->beside)
            return;
        uv_sem_destroy(&n->ended);
    }
    uv_sem_destroy(&n->begins);
}

struct kl_namer *kl_namer_new(bool beside, kl_named_fn *named, void *ctx)
{
    struct kl_namer *n = kl_secret_alloc(sizeof *n);

    if (!n)
        return NULL;
    n->named = named;
    n->ctx = ctx;
    n->filling = &n->batch[0];
    if (beside)
        start_thread(n);
    return n;
}

static void tell(struct kl_namer *n, struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        n->named(n->ctx, b->row[i], &b->key[i]);
    b->count = 0;
}

static void await(struct kl_namer *n)
{
    if (!n->under_way)
        return;
    uv_sem_wait(&n->ended);
    tell(n, n->under_way);
    n->under_way = NULL;
}

static void hand_over(struct kl_namer *n)
{
    struct batch *full = n->filling;

    if (!n->beside) {
        name_all(full);
        tell(n, full);
        return;
    }
    await(n);
    n->filling = full == &n->batch[0] ? &n->batch[1] : &n->batch[0];
    n->under_way = full;
    uv_sem_post(&n->begins);
}

struct kl_key *kl_namer_next(struct kl_namer *n)
{
    KL_ASSERT(n->filling->count < ROWS);
    return &n->filling->key[n->filling->count];
}

void kl_namer_add(struct kl_namer *n, uint32_t row)
{
    n->filling->row[n->filling->count++] = row;
    if (n->filling->count == ROWS)
        hand_over(n);
}

void kl_namer_finish(struct kl_namer *n)
{
    if (n->filling->count > 0)
        hand_over(n);
    await(n);
}

void kl_namer_free(struct kl_namer *n)
{
    if (!n)
        return;
    await(n);
    if (n->beside) {
        n->filling->count = 0;
        hand_over(n);
        await(n);
        uv_thread_join(&n->thread);
        uv_sem_destroy(&n->begins);
        uv_sem_destroy(&n->ended);
    }
    kl_secret_free(n, sizeof *n);
}
