#include "keyline/look.h"

#include "loader_state.h"

struct kl_look {
    struct kl_console console; /* takes what the board says meanwhile; nobody reads it */
    struct kl_loader loader;
    enum kl_loader_task task;
    struct kl_fault fault;
    struct kl_identity identity;
    struct kl_efuse_words words;
    bool flash, ready, over;
};

size_t kl_look_size(void)
{
    return sizeof(struct kl_look);
}

static void run(struct kl_look *k, enum kl_loader_task task, kl_us now)
{
    k->task = task;
    kl_loader_start(&k->loader, task, NULL, now);
}

/* A chip that answered once is started again, whatever it said. The findings stand even if that
   start fails. */
static void failed(struct kl_look *k, kl_us now)
{
    if (k->task != KL_LOADER_RUN)
        k->fault = *kl_loader_fault(&k->loader);
    if (k->task == KL_LOADER_CONNECT || k->task == KL_LOADER_RUN)
        k->over = true;
    else
        run(k, KL_LOADER_RUN, now);
}

static void done(struct kl_look *k, kl_us now)
{
    switch (k->task) {
    case KL_LOADER_CONNECT:
        run(k, KL_LOADER_IDENTIFY, now);
        break;
    case KL_LOADER_IDENTIFY:
        k->identity = *kl_loader_identity(&k->loader);
        k->ready = k->flash;
        if (k->flash)
            break;
        kl_loader_efuses(&k->loader, &k->words);
        run(k, KL_LOADER_RUN, now);
        break;
    case KL_LOADER_READ:
        k->ready = true;
        break;
    default:
        k->over = true;
        break;
    }
}

static void go_on(struct kl_look *k, kl_us now)
{
    while (!k->over && !k->ready && kl_loader_status(&k->loader) != KL_LOADER_BUSY) {
        if (kl_loader_status(&k->loader) == KL_LOADER_FAILED)
            failed(k, now);
        else
            done(k, now);
    }
}

void kl_look_start(struct kl_look *k, enum kl_link_kind link, bool flash, kl_us now)
{
    struct kl_loader_setup setup = {
        .console = &k->console, .link = link, .baud_max = 115200, .only_look = !flash};

    k->fault = (struct kl_fault){0};
    k->flash = flash;
    k->ready = k->over = false;
    kl_console_init(&k->console, NULL, NULL);
    kl_loader_init(&k->loader, &setup);
    run(k, KL_LOADER_CONNECT, now);
    go_on(k, now);
}

void kl_look_read(struct kl_look *k, const struct kl_look_range *range, kl_us now)
{
    struct kl_loader_range r = {
        .offset = range->offset, .size = range->size, .out = range->out, .md5 = range->md5};

    KL_ASSERT(k->ready && !k->over);
    k->ready = false;
    kl_loader_read_into(&k->loader, &r);
    run(k, KL_LOADER_READ, now);
    go_on(k, now);
}

void kl_look_leave(struct kl_look *k, kl_us now)
{
    KL_ASSERT(k->ready && !k->over);
    k->ready = false;
    run(k, KL_LOADER_RUN, now);
    go_on(k, now);
}

void kl_look_rx(struct kl_look *k, const uint8_t *data, size_t size, kl_us now)
{
    if (!k->over)
        kl_loader_rx(&k->loader, data, size, now);
    go_on(k, now);
}

void kl_look_io_done(struct kl_look *k, bool ok, kl_us now)
{
    if (!k->over)
        kl_loader_io_done(&k->loader, ok, now);
    go_on(k, now);
}

void kl_look_tick(struct kl_look *k, kl_us now)
{
    if (!k->over)
        kl_loader_tick(&k->loader, now);
    go_on(k, now);
}

bool kl_look_next(struct kl_look *k, struct kl_io *out)
{
    return !k->over && kl_loader_next(&k->loader, out);
}

kl_us kl_look_deadline(const struct kl_look *k)
{
    return k->over ? KL_NEVER : kl_loader_deadline(&k->loader);
}

void kl_look_result(const struct kl_look *k, struct kl_look_result *out)
{
    *out = (struct kl_look_result){.over = k->over,
                                   .ready = k->ready,
                                   .fault = &k->fault,
                                   .identity = k->identity,
                                   .words = k->words};
}
