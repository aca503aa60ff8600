/*
 * shell.c: the loop's wake. Callbacks only queue events. When the loop is about to wait again, the
 * shell feeds all of them with one time, does what the core asks, and arms one timer.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keyline/secret.h"
#include "shell_private.h"

/* ---- events ---- */

struct item *push_event(struct kl_shell *sh, enum kl_event_kind kind, unsigned slot)
{
    struct event_queue *q = &sh->queue[sh->filling];
    struct item *item;

    if (q->count == q->capacity) {
        q->capacity = q->capacity ? 2 * q->capacity : 64;
        q->item = realloc(q->item, q->capacity * sizeof *q->item);
        KL_ASSERT(q->item);
    }
    item = &q->item[q->count++];
    memset(item, 0, sizeof *item);
    item->event.kind = kind;
    item->event.slot = slot;
    return item;
}

void push_bytes(struct kl_shell *sh, struct item *item, const uint8_t *data, size_t size)
{
    struct event_queue *q = &sh->queue[sh->filling];

    if (q->bytes_count + size > q->bytes_capacity) {
        size_t capacity = 2 * (q->bytes_count + size);
        q->bytes = kl_secret_grow(q->bytes, q->bytes_capacity, capacity);
        KL_ASSERT(q->bytes);
        q->bytes_capacity = capacity;
    }
    memcpy(q->bytes + q->bytes_count, data, size);
    item->bytes_at = q->bytes_count;
    item->event.u.rx.size = size;
    q->bytes_count += size;
}

/* ---- one wake ---- */

static void read_clocks(struct kl_shell *sh)
{
    kl_us now = (kl_us)(uv_hrtime() / 1000);
    struct timespec ts;

    sh->now = now > sh->now ? now : sh->now;
    clock_gettime(CLOCK_REALTIME, &ts);
    sh->wall = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void drain(struct kl_shell *sh)
{
    struct kl_note note;
    struct kl_action action;

    while (kl_station_note(sh->station, &note))
        tell(sh, &note);
    while (sh->phase == PHASE_RUNNING && kl_station_next(sh->station, &action))
        perform(sh, &action);
}

static void feed(struct kl_shell *sh, struct kl_event *event)
{
    event->at = sh->now;
    event->wall = sh->wall;
    kl_station_feed(sh->station, event);
    sh->is_changed = true;
    drain(sh);
}

static void feed_item(struct kl_shell *sh, struct event_queue *q, struct item *item)
{
    struct kl_event *event = &item->event;

    if (event->kind == KL_EV_RX)
        event->u.rx.data = q->bytes + item->bytes_at;
    feed(sh, event);
    if (item->memory) {
        kl_pool_memory_free(sh->memory);
        sh->memory = item->memory;
    }
}

static void feed_queued(struct kl_shell *sh)
{
    while (sh->queue[sh->filling].count > 0) {
        struct event_queue *q = &sh->queue[sh->filling];
        sh->filling = !sh->filling;
        for (size_t i = 0; i < q->count; i++) {
            /* At the end the shell feeds nothing any more: what is durable stays, and the rest
               never happened. */
            if (sh->phase == PHASE_RUNNING)
                feed_item(sh, q, &q->item[i]);
            else if (q->item[i].memory)
                kl_pool_memory_free(q->item[i].memory);
        }
        kl_wipe(q->bytes, q->bytes_count);
        q->count = q->bytes_count = 0;
    }
}

void feed_now(struct kl_shell *sh)
{
    KL_ASSERT(!sh->pumping);
    sh->pumping = true;
    read_clocks(sh);
    feed_queued(sh);
    sh->pumping = false;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* only wakes the loop: see on_prepare */
}

static void arm(struct kl_shell *sh)
{
    kl_us at = kl_station_deadline(sh->station);
    kl_us ms;

    if (at == KL_NEVER || sh->phase != PHASE_RUNNING) {
        uv_timer_stop(&sh->timer);
        return;
    }
    /* Rounded up, and never 0: libuv 1.44 starves its I/O if a 0 ms timer re-arms itself. */
    ms = at > sh->now ? (at - sh->now + 999) / 1000 : 1;
    uv_update_time(sh->loop);
    uv_timer_start(&sh->timer, on_timer, (uint64_t)(ms > 0 ? ms : 1), 0);
}

static void tell_changed(struct kl_shell *sh)
{
    if (!sh->is_changed)
        return;
    sh->is_changed = false;
    for (unsigned i = 0; i < sh->listener_count; i++)
        if (sh->listeners[i].listener->changed)
            sh->listeners[i].listener->changed(sh->listeners[i].ctx);
}

/* Feeds at once, without the queue: nothing may open a port in between. */
static void free_removed(struct kl_shell *sh)
{
    struct kl_event gone = {.kind = KL_EV_SLOT_GONE};

    while (sh->phase == PHASE_RUNNING && take_removed_place(sh, &gone.slot))
        feed(sh, &gone);
}

void pump(struct kl_shell *sh)
{
    struct kl_event tick = {.kind = KL_EV_TICK};

    if (sh->pumping)
        return;
    sh->pumping = true;
    read_clocks(sh);
    feed_queued(sh);
    if (sh->phase == PHASE_RUNNING && kl_station_deadline(sh->station) <= sh->now)
        feed(sh, &tick);
    feed_queued(sh); /* feed what the actions answered at once */
    free_removed(sh);
    if (sh->is_changed || !uv_is_active((const uv_handle_t *)&sh->timer))
        arm(sh);
    tell_changed(sh);
    sh->pumping = false;
}

/* Timers run before the loop waits and I/O after it, so both sides of the wait are a wake. */
static void on_prepare(uv_prepare_t *prepare)
{
    pump(prepare->data);
}

static void on_check(uv_check_t *check)
{
    pump(check->data);
}

/* ---- faces ---- */

void tell(struct kl_shell *sh, const struct kl_note *note)
{
    const struct place *place = note->slot < sh->place_count ? &sh->place[note->slot] : NULL;
    struct kl_noted noted = {
        .wall = sh->wall,
        .slot_name = place ? place->name : "",
        .port = place ? place->path : "",
        .note = note,
    };

    KL_ASSERT(place || note->slot == KL_BENCH);
    for (unsigned i = 0; i < sh->listener_count; i++)
        if (sh->listeners[i].listener->note)
            sh->listeners[i].listener->note(sh->listeners[i].ctx, &noted);
}

void kl_shell_note(struct kl_shell *sh, const char *text)
{
    struct kl_note note = {.kind = KL_NOTE_STATION, .slot = KL_BENCH, .label = "", .text = text};

    tell(sh, &note);
}

void kl_shell_listen(struct kl_shell *sh, const struct kl_listener *listener, void *ctx)
{
    KL_ASSERT(sh->listener_count < LISTENERS_MAX);
    sh->listeners[sh->listener_count].listener = listener;
    sh->listeners[sh->listener_count++].ctx = ctx;
}

void kl_shell_look(struct kl_shell *sh, struct kl_snapshot *out)
{
    kl_station_look(sh->station, out);
    out->version += sh->troubles;
    kl_store_fleet(sh->store, &out->fleet);
    if (out->fleet.there) /* what is leased is little at any time */
        out->few_keys = out->fleet.few;
    out->forgets = kl_store_content(sh->store)->forgets[0] != '\0';
    kl_copy(out->question, sizeof out->question, sh->question.id);
    kl_copy(out->asks, sizeof out->asks, sh->question.text);
    if (sh->trouble[0]) {
        out->store_trouble = true;
        kl_copy(out->warning, sizeof out->warning, sh->trouble);
    }
}

unsigned kl_shell_in_doubt(struct kl_shell *sh, struct kl_in_doubt *out, unsigned capacity)
{
    return kl_station_in_doubt(sh->station, out, capacity);
}

uv_loop_t *kl_shell_loop(struct kl_shell *sh)
{
    return sh->loop;
}

/* ---- the whole ---- */

struct kl_shell *kl_shell_create(uv_loop_t *loop, const struct kl_shell_options *options)
{
    struct kl_shell *sh = calloc(1, sizeof *sh);

    if (!sh)
        return NULL;
    sh->station = kl_secret_alloc(kl_station_size());
    sh->hotplug.seen = calloc(HOTPLUG_PORTS_MAX + KL_SLOTS_MAX, sizeof *sh->hotplug.seen);
    sh->hotplug.paths = calloc(KL_SLOTS_MAX, sizeof *sh->hotplug.paths);
    if (!sh->station || !sh->hotplug.seen || !sh->hotplug.paths) {
        kl_secret_free(sh->station, kl_station_size());
        free(sh->hotplug.seen);
        free(sh->hotplug.paths);
        free(sh);
        return NULL;
    }
    sh->loop = loop;
    sh->options = *options;
    sh->store = options->store;
    read_clocks(sh);
    kl_station_init(sh->station, &options->station, sh->now);
    uv_prepare_init(loop, &sh->prepare);
    uv_check_init(loop, &sh->check);
    uv_timer_init(loop, &sh->timer);
    uv_timer_init(loop, &sh->end_timer);
    sh->prepare.data = sh->check.data = sh->timer.data = sh->end_timer.data = sh;
    return sh;
}

int kl_shell_run(struct kl_shell *sh)
{
    uv_prepare_start(&sh->prepare, on_prepare);
    uv_check_start(&sh->check, on_check);
    catch_signals(sh);
    start_store(sh);
    add_known_places(sh);
    if (sh->options.hotplug)
        start_hotplug(sh);
    while (sh->phase != PHASE_OVER)
        uv_run(sh->loop, UV_RUN_ONCE);
    return sh->exit_status;
}

bool kl_shell_destroy(struct kl_shell *sh)
{
    close_handles(sh);
    for (unsigned tries = 0; tries < 100 && uv_loop_alive(sh->loop); tries++)
        uv_run(sh->loop, UV_RUN_NOWAIT);
    if (sh->open_ports || sh->hotplug.working)
        return false;
    kl_station_finish(sh->station);
    kl_pool_memory_free(sh->memory);
    kl_store_free(sh->store);
    kl_secret_free(sh->station,
                   kl_station_size()); /* writes to all of it: not before the rest is free */
    for (unsigned i = 0; i < 2; i++) {
        free(sh->queue[i].item);
        kl_secret_free(sh->queue[i].bytes, sh->queue[i].bytes_capacity);
    }
    free(sh->hotplug.seen);
    free(sh->hotplug.paths);
    free(sh);
    return true;
}
