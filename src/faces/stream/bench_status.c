/*
 * bench_status.c: what the dashboard of all stations shows of this one (docs/fleet.md): the store
 * hands it to the shared pool with its next sign of life. Nothing secret is in it.
 */
#include <stdlib.h>

#include "faces/faces.h"
#include "json_text.h"

enum {
    EVERY_MS = 2000,
};

struct bench_status {
    struct kl_shell *sh;
    struct kl_store *store;
    const struct kl_wire_hello *hello;
    uv_timer_t timer;
    struct kl_snapshot snap; /* large */
};

static json_t *slots_object(const struct kl_snapshot *s)
{
    unsigned busy = 0, failed = 0, waiting = 0;

    for (unsigned i = 0; i < s->slot_count; i++) {
        const struct kl_slot_view *v = &s->slot[i];
        busy += v->state > KL_ST_EMPTY && v->state < KL_ST_DONE;
        failed += v->state == KL_ST_FAILED;
        waiting += v->fault.reason == KL_FAULT_POOL_WAIT;
    }
    return json_pack("{s:i,s:i,s:i,s:i}", "all", (int)s->slot_count, "busy", (int)busy, "failed",
                     (int)failed, "waiting", (int)waiting);
}

static json_t *status_object(const struct bench_status *b)
{
    const struct kl_snapshot *s = &b->snap;
    const struct kl_wire_hello *h = b->hello;
    json_t *o = json_object();

    json_object_set_new(o, "keyline", json_string(h->version));
    json_object_set_new(o, "host", kl_json_text(h->station));
    json_object_set_new(o, "since", json_integer(h->since));
    json_object_set_new(o, "build", kl_json_text(h->digest));
    json_object_set_new(o, "project", kl_json_text(h->project));
    json_object_set_new(o, "project_version", kl_json_text(h->project_version));
    json_object_set_new(o, "slots", slots_object(s));
    json_object_set_new(o, "done", json_integer(s->done));
    json_object_set_new(o, "failed", json_integer(s->failed));
    json_object_set_new(o, "first_pass", json_integer(s->first_pass));
    json_object_set_new(o, "per_hour", json_integer(s->boards_per_hour));
    json_object_set_new(o, "free", json_integer(s->keys.free));
    json_object_set_new(o, "reserved", json_integer(s->keys.reserved));
    json_object_set_new(o, "in_doubt", json_integer(s->keys.in_doubt));
    json_object_set_new(o, "unchecked", json_integer(s->fleet.unchecked));
    json_object_set_new(o, "paused", json_boolean(s->paused));
    json_object_set_new(o, "stopping", json_boolean(s->stopping));
    return o;
}

static void on_timer(uv_timer_t *timer)
{
    struct bench_status *b = timer->data;
    json_t *o;
    char *text;

    kl_shell_look(b->sh, &b->snap);
    o = status_object(b);
    text = json_dumps(o, JSON_COMPACT);
    if (text)
        kl_store_bench(b->store, b->snap.boards_per_hour, text);
    free(text);
    json_decref(o);
}

struct bench_status *bench_status_create(struct kl_shell *sh, struct kl_store *store,
                                         const struct kl_wire_hello *hello)
{
    struct bench_status *b = calloc(1, sizeof *b);

    KL_ASSERT(b);
    b->sh = sh;
    b->store = store;
    b->hello = hello;
    b->timer.data = b;
    uv_timer_init(kl_shell_loop(sh), &b->timer);
    uv_timer_start(&b->timer, on_timer, 1, EVERY_MS);
    return b;
}

void bench_status_close(struct bench_status *b)
{
    if (b)
        uv_close((uv_handle_t *)&b->timer, NULL);
}

void bench_status_free(struct bench_status *b)
{
    free(b);
}
