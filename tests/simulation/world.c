/* world.c: chance, time, links: what stands between the station and everything else. */
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ---- */

static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* xoshiro256++ (Blackman and Vigna, public domain), seeded by splitmix64. */
uint64_t draw(struct world *w)
{
    uint64_t *s = w->rng;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

void seed_rng(struct world *w, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        w->rng[i] = z ^ z >> 31;
    }
}

unsigned below(struct world *w, unsigned n)
{
    return n ? (unsigned)(draw(w) % n) : 0;
}

bool chance(struct world *w, unsigned per_million)
{
    return !w->calm && per_million && below(w, 1000000) < per_million;
}

/* ---- telling ---- */

void tell(struct world *w, const char *format, ...)
{
    va_list args;

    if (!w->trace)
        return;
    fprintf(w->trace, "%12.6f  ", (double)w->now / 1e6);
    va_start(args, format);
    vfprintf(w->trace, format, args);
    va_end(args);
    fputc('\n', w->trace);
}

void violated(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->violation[0])
        return;
    va_start(args, format);
    vsnprintf(w->violation, sizeof w->violation, format, args);
    va_end(args);
    tell(w, "VIOLATED: %s", w->violation);
}

/* ---- events ---- */

struct kl_event world_make(struct world *w, enum kl_event_kind kind, unsigned slot)
{
    struct kl_event ev;

    memset(&ev, 0, sizeof ev);
    ev.kind = kind;
    ev.at = w->now;
    ev.wall = 1700000000000000 + w->now;
    ev.slot = slot;
    if (slot < SLOTS_MAX)
        ev.generation = w->link[slot].generation;
    return ev;
}

static bool sooner(const struct pending *a, const struct pending *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct world *w, struct pending p)
{
    unsigned i;

    if (w->heap_count == w->heap_size) {
        w->heap_size = w->heap_size ? 2 * w->heap_size : 256;
        w->heap = realloc(w->heap, w->heap_size * sizeof *w->heap);
    }
    i = w->heap_count++;
    while (i > 0 && sooner(&p, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = p;
}

static struct pending pop(struct world *w)
{
    struct pending top = w->heap[0];
    struct pending last = w->heap[--w->heap_count];
    unsigned i = 0;

    while (2 * i + 1 < w->heap_count) {
        unsigned child = 2 * i + 1;
        if (child + 1 < w->heap_count && sooner(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!sooner(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->heap_count)
        w->heap[i] = last;
    return top;
}

void push_event(struct world *w, kl_us at, const struct kl_event *ev)
{
    push(w, (struct pending){.at = at, .order = w->order++, .ev = *ev});
}

void forget_events(struct world *w)
{
    while (w->heap_count)
        free(pop(w).data);
}

/* Events of one link arrive in the order in which they happened, however late. */
void world_event(struct world *w, const struct kl_event *ev, kl_us delay)
{
    kl_us *said = &w->link[ev->slot].said_at;
    kl_us at;

    if (chance(w, w->w.late)) {
        saw(SIM_LATE_EVENT);
        delay += (kl_us)below(w, 3000000);
    }
    at = w->now + delay > *said ? w->now + delay : *said;
    *said = at;
    push_event(w, at, ev);
}

void lose_link(struct world *w, unsigned slot, const char *why)
{
    struct kl_event ev = world_make(w, KL_EV_LOST, slot);

    if (!w->link[slot].open)
        return;
    tell(w, "slot %u loses its link: %s", slot, why);
    w->link[slot].open = false;
    snprintf(ev.u.text, sizeof ev.u.text, "%s", why);
    world_event(w, &ev, 10000);
}

/* ---- the station's actions ---- */

static size_t damage(struct world *w, const uint8_t *in_bytes, size_t size, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = in_bytes[i];
        if (chance(w, w->w.byte_lost)) {
            saw(SIM_BYTE_LOST);
            continue;
        }
        if (chance(w, w->w.bit_flip)) {
            saw(SIM_BIT_FLIPPED);
            byte ^= (uint8_t)(1u << below(w, 8));
        }
        out[n++] = byte;
        if (chance(w, w->w.byte_doubled)) {
            saw(SIM_BYTE_DOUBLED);
            out[n++] = byte;
        }
    }
    return n;
}

static void do_io(struct world *w, const struct kl_action *a)
{
    struct sim_link *l = &w->link[a->slot];
    struct kl_vboard *v = in(w, a->slot);
    struct kl_event ev;
    uint8_t *bytes;

    if (a->u.io.kind == KL_IO_WRITE)
        oracle_bytes_out(w, a->slot, &a->u.io, l->open && a->generation == l->generation);
    if (!l->open || a->generation != l->generation)
        return;
    switch (a->u.io.kind) {
    case KL_IO_WRITE:
        bytes = malloc(2 * a->u.io.size + 1);
        if (v)
            kl_vboard_rx(v, bytes, damage(w, a->u.io.data, a->u.io.size, bytes), w->now);
        free(bytes);
        return;
    case KL_IO_LINES:
        if (w->native[a->slot] && v && chance(w, w->w.leaves_bus)) {
            leave_bus(w, a->slot);
            kl_vboard_lines(v, a->u.io.dtr, a->u.io.rts, w->now);
            return;
        }
        l->dtr = a->u.io.dtr;
        l->rts = a->u.io.rts;
        if (v)
            kl_vboard_lines(v, a->u.io.dtr, a->u.io.rts, w->now);
        break;
    case KL_IO_BAUD:
        l->baud = a->u.io.baud;
        if (v)
            kl_vboard_baud(v, a->u.io.baud, w->now);
        break;
    }
    ev = world_make(w, KL_EV_IO_DONE, a->slot);
    ev.request = a->request;
    ev.u.io.ok = !chance(w, w->w.io_fails);
    if (!ev.u.io.ok)
        saw(SIM_IO_FAILED);
    world_event(w, &ev, 500 + (kl_us)below(w, 2000));
}

void say_free(struct world *w, unsigned slot, kl_us at)
{
    struct kl_event ev = world_make(w, KL_EV_PORT_FREE, slot);

    push_event(w, at, &ev);
}

static enum kl_open_result opening(struct world *w, unsigned slot)
{
    static const enum kl_open_result failures[] = {KL_OPEN_BUSY, KL_OPEN_DENIED, KL_OPEN_ERROR};

    if (w->no_adapter[slot] || (!w->fixture && w->in_slot[slot] < 0))
        return KL_OPEN_ABSENT;
    if (w->held[slot])
        return KL_OPEN_HELD;
    if (!chance(w, w->w.open_fails))
        return KL_OPEN_OK;
    saw(SIM_OPEN_FAILED);
    enum kl_open_result result = failures[below(w, 3)];
    if (result == KL_OPEN_BUSY) /* its holder is seen to let it go, whatever is there by then */
        say_free(w, slot, w->now + KL_SEC(1 + (w->order & 31)));
    return result;
}

static void do_open(struct world *w, const struct kl_action *a)
{
    struct sim_link *l = &w->link[a->slot];
    enum kl_open_result result = opening(w, a->slot);
    kl_us took = 1000 + (kl_us)below(w, 20000);
    struct kl_event ev;

    if (w->network[a->slot] && w->no_adapter[a->slot])
        violated(w, "a port that was removed is opened");
    tell(w, "slot %u is opened: %d", a->slot, (int)result);
    l->generation = a->generation;
    l->open = result == KL_OPEN_OK;
    l->dtr = l->rts = false;
    l->baud = a->u.baud;
    ev = world_make(w, KL_EV_OPENED, a->slot);
    ev.u.opened.result = result;
    if (!l->open)
        snprintf(ev.u.opened.text, sizeof ev.u.opened.text, "nothing there");
    if (chance(w, w->w.open_fails) && below(w, 4) == 0) {
        saw(SIM_OPEN_STUCK);
        took += KL_SEC(31);
    }
    world_event(w, &ev, took);
}

static void do_close(struct world *w, const struct kl_action *a)
{
    struct kl_event ev = world_make(w, KL_EV_CLOSED, a->slot);

    tell(w, "slot %u is closed", a->slot);
    w->link[a->slot].open = false;
    ev.generation = a->generation;
    world_event(w, &ev, 1000 + (kl_us)below(w, 20000));
}

static uint64_t hash_of(uint64_t h, uint64_t value)
{
    return (h ^ value) * 0x100000001b3u;
}

static void hash_action(struct world *w, const struct kl_action *a)
{
    uint64_t h = w->hash.actions;

    h = hash_of(h, a->kind);
    h = hash_of(h, a->slot);
    h = hash_of(h, a->request);
    h = hash_of(h, (uint64_t)w->now);
    for (size_t i = 0; a->kind == KL_AC_IO && a->u.io.kind == KL_IO_WRITE && i < a->u.io.size; i++)
        h = hash_of(h, a->u.io.data[i]);
    for (size_t i = 0; a->kind == KL_AC_STORE && i < sizeof a->u.store.fingerprint; i++)
        h = hash_of(h, a->u.store.fingerprint.b[i]);
    w->hash.actions = h;
}

static void hash_note(struct world *w, const struct kl_note *n)
{
    uint64_t h = w->hash.notes;

    h = hash_of(h, n->kind);
    h = hash_of(h, n->slot);
    h = hash_of(h, (uint64_t)w->now);
    h = hash_of(h, n->state);
    h = hash_of(h, n->fault ? n->fault->reason : KL_FAULT_NONE);
    for (const char *c = n->label; *c; c++)
        h = hash_of(h, (uint8_t)*c);
    for (const char *c = n->text; *c; c++)
        h = hash_of(h, (uint8_t)*c);
    w->hash.notes = h;
}

static void trace_note(struct world *w, const struct kl_note *n)
{
    if (!w->trace || n->kind == KL_NOTE_PROGRESS)
        return;
    tell(w, "slot %u %s%s%s%s%s %s", n->slot, kl_state_name(n->state), n->what ? " key " : "",
         n->what ? n->what : "", n->fault ? " fault " : "",
         n->fault ? kl_fault_info(n->fault->reason).name : "", n->text);
}

static void cover_note(const struct kl_note *n)
{
    const char *what = n->what;

    if (n->kind == KL_NOTE_STATE)
        saw_state(n->state);
    if (n->fault)
        saw_reason(n->fault->reason);
    if (n->fault && n->fault->reason == KL_FAULT_NO_KEYS)
        saw(SIM_NO_KEY_LEFT);
    if (what && strcmp(what, "adopted") == 0)
        saw(SIM_ADOPTED);
}

/* Another board has shown this key: this run of the station must not send it to anyone. */
static void burn_key(struct world *w, const struct kl_fault *f)
{
    for (unsigned k = 0; f && f->reason == KL_FAULT_HOLDS_OTHER_KEY && k < w->key_count; k++)
        if (!w->key[k].provisioned && strcmp(w->key[k].label, f->detail) == 0) {
            saw(SIM_BURNT);
            w->key[k].burnt = true;
        }
}

/* At a needle bed nothing tells that another board starts than the one that was identified. */
static void exchange_at_start(struct world *w, unsigned slot)
{
    if (!w->fixture || !chance(w, w->w.swap / 8))
        return;
    saw(SIM_EXCHANGED_BOOTING);
    take_out(w, slot);
    w->comes_at[slot] = w->now + KL_SEC(1) + (kl_us)below(w, 300000);
}

static void put_in_who_is_due(struct world *w)
{
    for (unsigned s = 0; s < w->slots; s++)
        if (w->comes_at[s] && w->comes_at[s] <= w->now) {
            w->comes_at[s] = 0;
            put_in(w, s, drawer(w));
        }
}

static void note(struct world *w, const struct kl_note *n)
{
    trace_note(w, n);
    cover_note(n);
    burn_key(w, n->fault);
    if (n->kind == KL_NOTE_STATE && (n->state == KL_ST_BOOTING || n->state == KL_ST_CONFIRMING))
        oracle_log_begins(w, n->slot);
    if (n->kind == KL_NOTE_STATE && n->state == KL_ST_BOOTING)
        exchange_at_start(w, n->slot);
    if (n->kind == KL_NOTE_STATE)
        w->failed_at[n->slot] = n->state == KL_ST_FAILED ? w->now : 0;
    if (n->kind != KL_NOTE_RESULT)
        return;
    oracle_result(w, n->slot, n->attempt);
    w->last[n->slot] = *n->attempt;
    w->failed_at[n->slot] = 0;
    if (n->attempt->result == KL_ST_DONE)
        w->done++;
    else
        w->failed_results++;
}

void drain(struct world *w)
{
    struct kl_note n;
    struct kl_action a;
    unsigned count = 0;

    while (kl_station_note(w->st, &n)) {
        hash_note(w, &n);
        oracle_note(w, &n);
        note(w, &n);
    }
    while (kl_station_next(w->st, &a)) {
        if (++count > 100000) {
            violated(w, "the station never stops asking for actions");
            return;
        }
        hash_action(w, &a);
        oracle_action(w, &a);
        if (a.kind == KL_AC_IO)
            do_io(w, &a);
        else if (a.kind == KL_AC_OPEN)
            do_open(w, &a);
        else if (a.kind == KL_AC_CLOSE)
            do_close(w, &a);
        else if (a.kind == KL_AC_STORE)
            disk_request(w, &a);
        else if (a.kind == KL_AC_REST) {
            w->rested = true;
            w->store_at_rest = w->store_count;
        }
    }
}

/* ---- time ---- */

static void hear_boards(struct world *w)
{
    uint8_t raw[512], bytes[1024];

    for (unsigned s = 0; s < w->slots; s++) {
        struct kl_vboard *v = in(w, s);
        size_t n;
        if (!v)
            continue;
        kl_vboard_tick(v, w->now);
        while ((n = kl_vboard_tx(v, raw, sizeof raw, w->now)) > 0) {
            struct kl_event ev = world_make(w, KL_EV_RX, s);
            if (!w->link[s].open)
                continue;
            n = damage(w, raw, n, bytes);
            if (n == 0)
                continue;
            ev.u.rx.size = n;
            kl_us at = w->now + 100 + (kl_us)below(w, 1000);
            if (at < w->link[s].said_at)
                at = w->link[s].said_at;
            w->link[s].said_at = at;
            push(w,
                 (struct pending){
                     .at = at, .order = w->order++, .ev = ev, .data = memcpy(malloc(n), bytes, n)});
        }
        if (kl_vboard_unplugged(v))
            take_out(w, s);
    }
}

static kl_us next_time(struct world *w)
{
    kl_us at = kl_station_deadline(w->st);
    kl_us disk = disk_deadline(w);

    if (at != KL_NEVER)
        at += w->lag;
    if (disk < at)
        at = disk;
    if (w->heap_count && w->heap[0].at < at)
        at = w->heap[0].at;
    for (unsigned s = 0; s < w->slots; s++) {
        struct kl_vboard *v = in(w, s);
        if (v && kl_vboard_deadline(v) < at)
            at = kl_vboard_deadline(v);
        if (w->comes_at[s] && w->comes_at[s] < at)
            at = w->comes_at[s];
    }
    return at;
}

static void cover_event(const struct world *w, const struct kl_event *ev)
{
    bool of_link = ev->kind == KL_EV_RX || ev->kind == KL_EV_IO_DONE || ev->kind == KL_EV_LOST;

    if (of_link && (!w->link[ev->slot].open || ev->generation != w->link[ev->slot].generation))
        saw(SIM_STALE);
}

void step_until(struct world *w, kl_us until)
{
    unsigned still = 0;

    while (w->now < until && !w->violation[0]) {
        kl_us at = next_time(w);
        struct kl_event tick;
        if (at > until)
            at = until;
        still = at <= w->now ? still + 1 : 0;
        if (still > 200000) {
            violated(w, "time stands still: a deadline in the past is never served");
            return;
        }
        if (at > w->now)
            w->now = at;
        while (w->heap_count && w->heap[0].at <= w->now) {
            struct pending p = pop(w);
            p.ev.at = w->now;
            cover_event(w, &p.ev);
            p.ev.u.rx.data = p.data ? p.data : p.ev.u.rx.data;
            if (p.ev.kind == KL_EV_RX)
                oracle_heard(w, p.ev.slot, p.ev.u.rx.data, p.ev.u.rx.size);
            kl_station_feed(w->st, &p.ev);
            free(p.data);
            drain(w);
        }
        disk_step(w);
        tick = world_make(w, KL_EV_TICK, 0);
        kl_station_feed(w->st, &tick);
        drain(w);
        w->lag = chance(w, w->w.late_timer) ? (kl_us)below(w, 400000) : 0;
        if (w->lag)
            saw(SIM_LATE_TIMER);
        put_in_who_is_due(w);
        hear_boards(w);
    }
}
