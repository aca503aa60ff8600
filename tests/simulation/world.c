/* world.c: time, slots, links, boards, faults, the operator. */
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "keyline/bundle_load.h"

/* ---- chance -----------------------------------------------------------------------------------
 */

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

static void seed_rng(struct world *w, uint64_t seed)
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

/* ---- telling ----------------------------------------------------------------------------------
 */

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

/* ---- events -----------------------------------------------------------------------------------
 */

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

/* One link's own words come in the order in which they were said, however late. */
void world_event(struct world *w, const struct kl_event *ev, kl_us delay)
{
    kl_us *said = &w->link[ev->slot].said_at;
    kl_us at;

    if (chance(w, w->w.late))
        delay += (kl_us)below(w, 3000000);
    at = w->now + delay > *said ? w->now + delay : *said;
    *said = at;
    push(w, (struct pending){.at = at, .order = w->order++, .ev = *ev});
}

/* ---- boards -----------------------------------------------------------------------------------
 */

static const char *const board_faults[] = {
    "noise=3000",
    "silent_after=3000",
    "deaf_after=4000",
    "unplug_at=2500",
    "unplug_at=12000",
    "reset_at=9000",
    "chatter",
    "no_sync=3",
    "no_auto_reset=2",
    "boot_held=2",
    "deaf",
    "mute",
    "no_baud",
    "no_flash",
    "write_fails=1",
    "md5_wrong=1",
    "stub_fails",
    "flash_encrypted",
    "mac_empty",
    "flash_read_err=2",
    "brownout",
    "boot_loop",
    "panic",
    "panic_on_line",
    "slow_boot",
    "never_asks",
    "silent_app",
    "misses_line=2",
    "refuses",
    "restarts=2",
    "dies_storing",
    "dies_stored",
    "ack_lost",
    "stores_wrong",
    "stores_nothing",
    "no_readback",
    "reads_wrong=1",
    "reads_short",
    "leaks",
    "chatty",
    "provisioned",
    "provisioned=dev-0003|5ec0aa|5ec0bb",
};

/* The fault that makes a board hold this key from the start. */
static const char *planting(struct world *w, char out[300])
{
    const struct sim_key *k = &w->key[below(w, w->key_count)];

    snprintf(out, 300, "provisioned=%s", k->key.line);
    for (char *c = out; *c; c++)
        if (*c == ',')
            *c = '|';
    return out;
}

static int new_board(struct world *w)
{
    char planted[300];
    struct kl_vboard_config c = {.chip = KL_CHIP_ESP32, .flash_size = 1024 * 1024};
    struct sim_board *b;

    if (w->board_count == BOARDS_MAX)
        return -1;
    b = &w->board[w->board_count];
    c.mac = (struct kl_mac){
        {0x24, 0x6f, 0x28, 0, (uint8_t)(w->board_count >> 8), (uint8_t)w->board_count}};
    if (w->board_count > 0 && chance(w, w->w.clone))
        c.mac = w->board[below(w, w->board_count)].mac;
    b->healthy = true;
    c.faults = "";
    if (chance(w, w->w.bad_board)) {
        c.faults = board_faults[below(w, sizeof board_faults / sizeof board_faults[0])];
        b->healthy = false;
    }
    if (chance(w, w->w.planted)) {
        c.faults = planting(w, planted);
        b->healthy = false;
        b->planted = true;
    }
    c.seed = draw(w);
    c.fields = FIELDS;
    c.firmware = below(w, 4) == 0 ? "digest" : below(w, 3) == 0 ? "original" : "keyline";
    b->mac = c.mac;
    b->v = kl_vboard_create(&c);
    b->used = true;
    b->slot = -1;
    tell(w, "board %u is made: firmware %s, fault '%s'", w->board_count, c.firmware, c.faults);
    return (int)w->board_count++;
}

static struct kl_vboard *in(struct world *w, unsigned slot)
{
    return w->in_slot[slot] < 0 ? NULL : w->board[w->in_slot[slot]].v;
}

static void say_plugged(struct world *w, unsigned slot, bool plugged)
{
    struct kl_event ev = world_make(w, plugged ? KL_EV_PLUGGED : KL_EV_UNPLUGGED, slot);
    kl_us at;

    if (w->network[slot] || w->plugged_said[slot] == plugged || (w->fixture && !plugged))
        return;
    w->plugged_said[slot] = plugged;
    if (plugged) {
        snprintf(ev.u.port.path, sizeof ev.u.port.path, "/dev/ttyUSB%u", slot);
        ev.u.port.link = KL_LINK_SERIAL;
        ev.u.port.vid = 0x10c4;
        ev.u.port.pid = 0xea60;
    }
    /* The poll sees it within its 250 ms, and in order. */
    at = w->now + 1000 + (kl_us)below(w, 250000);
    if (at < w->port_said_at[slot])
        at = w->port_said_at[slot];
    w->port_said_at[slot] = at;
    push(w, (struct pending){.at = at, .order = w->order++, .ev = ev});
}

static void lose_link(struct world *w, unsigned slot, const char *why)
{
    struct kl_event ev = world_make(w, KL_EV_LOST, slot);

    if (!w->link[slot].open)
        return;
    w->link[slot].open = false;
    snprintf(ev.u.text, sizeof ev.u.text, "%s", why);
    world_event(w, &ev, 10000);
}

static void take_out(struct world *w, unsigned slot)
{
    int b = w->in_slot[slot];

    if (b < 0)
        return;
    tell(w, "board %d leaves slot %u", b, slot);
    kl_vboard_lines(w->board[b].v, false, false, w->now);
    kl_vboard_power(w->board[b].v, false, w->now);
    w->board[b].slot = -1;
    w->in_slot[slot] = -1;
    w->left_at[slot] = w->now;
    if (!w->fixture)
        lose_link(w, slot, "unplugged");
    say_plugged(w, slot, false);
}

static void put_in(struct world *w, unsigned slot, int b)
{
    if (b < 0 || w->in_slot[slot] >= 0 || w->board[b].slot >= 0)
        return;
    /* Hands take their time, also at a needle bed. */
    if (w->fixture && w->now - w->left_at[slot] < KL_SEC(1))
        return;
    tell(w, "board %d enters slot %u", b, slot);
    w->in_slot[slot] = b;
    w->board[b].slot = (int)slot;
    w->lives++;
    kl_vboard_power(w->board[b].v, true, w->now);
    kl_vboard_lines(w->board[b].v, w->link[slot].dtr, w->link[slot].rts, w->now);
    kl_vboard_baud(w->board[b].v, w->link[slot].baud ? w->link[slot].baud : 115200, w->now);
    say_plugged(w, slot, true);
}

static int drawer(struct world *w)
{
    unsigned start = below(w, w->board_count ? w->board_count : 1);

    for (unsigned i = 0; i < w->board_count; i++) {
        unsigned b = (start + i) % w->board_count;
        if (w->board[b].slot < 0)
            return (int)b;
    }
    return -1;
}

/* ---- the station's actions --------------------------------------------------------------------
 */

static size_t damage(struct world *w, const uint8_t *in_bytes, size_t size, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = in_bytes[i];
        if (chance(w, w->w.byte_lost))
            continue;
        if (chance(w, w->w.bit_flip))
            byte ^= (uint8_t)(1u << below(w, 8));
        out[n++] = byte;
        if (chance(w, w->w.byte_doubled))
            out[n++] = byte;
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
    case KL_IO_FLUSH:
        break;
    }
    ev = world_make(w, KL_EV_IO_DONE, a->slot);
    ev.request = a->request;
    ev.u.io.ok = true;
    world_event(w, &ev, 500 + (kl_us)below(w, 2000));
}

static void do_open(struct world *w, const struct kl_action *a)
{
    struct sim_link *l = &w->link[a->slot];
    struct kl_event ev;

    l->generation = a->generation;
    l->open = w->fixture || w->in_slot[a->slot] >= 0;
    l->dtr = l->rts = false;
    l->baud = a->u.baud;
    ev = world_make(w, KL_EV_OPENED, a->slot);
    ev.u.opened.result = l->open ? KL_OPEN_OK : KL_OPEN_ABSENT;
    if (!l->open)
        snprintf(ev.u.opened.text, sizeof ev.u.opened.text, "nothing there");
    world_event(w, &ev, 1000 + (kl_us)below(w, 20000));
}

static void do_close(struct world *w, const struct kl_action *a)
{
    struct kl_event ev = world_make(w, KL_EV_CLOSED, a->slot);

    w->link[a->slot].open = false;
    ev.generation = a->generation;
    world_event(w, &ev, 1000 + (kl_us)below(w, 20000));
}

static void hash_action(struct world *w, const struct kl_action *a)
{
    uint64_t h = w->action_hash;

    h = (h ^ (uint64_t)a->kind) * 0x100000001b3u;
    h = (h ^ a->slot) * 0x100000001b3u;
    h = (h ^ a->request) * 0x100000001b3u;
    h = (h ^ (uint64_t)w->now) * 0x100000001b3u;
    for (size_t i = 0; a->kind == KL_AC_IO && a->u.io.kind == KL_IO_WRITE && i < a->u.io.size; i++)
        h = (h ^ a->u.io.data[i]) * 0x100000001b3u;
    w->action_hash = h;
}

static void trace_note(struct world *w, const struct kl_action *a)
{
    if (!w->trace || a->u.note.kind == KL_NOTE_PROGRESS)
        return;
    tell(w, "slot %u %s%s%s%s%s %s", a->slot, kl_state_name(a->u.note.state),
         a->u.note.what ? " key " : "", a->u.note.what ? a->u.note.what : "",
         a->u.note.fault ? " fault " : "",
         a->u.note.fault ? kl_fault_info(a->u.note.fault->reason).name : "", a->u.note.text);
}

static void note(struct world *w, const struct kl_action *a)
{
    trace_note(w, a);
    if (a->u.note.kind == KL_NOTE_STATE)
        w->failed_at[a->slot] = a->u.note.state == KL_ST_FAILED ? w->now : 0;
    if (a->u.note.kind != KL_NOTE_RESULT)
        return;
    w->failed_at[a->slot] = 0;
    oracle_result(w, a->slot, a->u.note.attempt);
    if (a->u.note.attempt->result == KL_ST_DONE)
        w->done++;
    else
        w->failed_results++;
}

static void drain(struct world *w)
{
    struct kl_action a;
    unsigned count = 0;

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
        else if (a.kind == KL_AC_NOTE)
            note(w, &a);
    }
}

/* ---- time -------------------------------------------------------------------------------------
 */

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

    if (disk < at)
        at = disk;
    if (w->heap_count && w->heap[0].at < at)
        at = w->heap[0].at;
    for (unsigned s = 0; s < w->slots; s++) {
        struct kl_vboard *v = in(w, s);
        if (v && kl_vboard_deadline(v) < at)
            at = kl_vboard_deadline(v);
    }
    return at;
}

static void boot_station(struct world *w)
{
    kl_station_init(w->st, &w->config, w->now);
    for (unsigned s = 0; s < w->slots; s++) {
        struct kl_event ev = world_make(w, KL_EV_SLOT, s);
        snprintf(ev.u.slot.name, sizeof ev.u.slot.name, "S%u", s + 1);
        ev.u.slot.network = w->network[s];
        kl_station_feed(w->st, &ev);
        if (w->network[s]) {
            ev = world_make(w, KL_EV_PLUGGED, s);
            snprintf(ev.u.port.path, sizeof ev.u.port.path, "rfc2217://bench:%u", 4000 + s);
            ev.u.port.link = KL_LINK_RFC2217;
            kl_station_feed(w->st, &ev);
        }
    }
    disk_load(w);
    for (unsigned s = 0; w->fixture && s < w->slots; s++)
        say_plugged(w, s, true);
    drain(w);
}

static void crash(struct world *w)
{
    tell(w, "CRASH");
    w->crashes++;
    w->crashed_at = w->now;
    disk_crash(w);
    while (w->heap_count)
        free(pop(w).data);
    for (unsigned s = 0; s < w->slots; s++) {
        w->link[s] = (struct sim_link){0};
        w->plugged_said[s] = false;
        w->failed_at[s] = 0;
        if (in(w, s))
            kl_vboard_lines(in(w, s), false, false, w->now);
    }
    kl_station_finish(w->st);
    boot_station(w);
    for (unsigned s = 0; s < w->slots; s++)
        if (w->in_slot[s] >= 0)
            say_plugged(w, s, true);
}

static void operator_does(struct world *w)
{
    static const enum kl_command_kind kinds[] = {KL_CMD_RETRY,       KL_CMD_SKIP,
                                                 KL_CMD_ERASE_RETRY, KL_CMD_RETRY_FAILED,
                                                 KL_CMD_PAUSE,       KL_CMD_RESUME};
    struct kl_event ev = world_make(w, KL_EV_COMMAND, below(w, w->slots));

    ev.u.command.kind = kinds[below(w, sizeof kinds / sizeof kinds[0])];
    if (w->crashed_at && w->now - w->crashed_at < KL_SEC(10) && below(w, 2))
        ev.u.command.kind = KL_CMD_SKIP; /* the moment at which giving a key back is a mistake */
    tell(w, "operator: command %d in slot %u", (int)ev.u.command.kind, ev.slot);
    kl_station_feed(w->st, &ev);
}

/* Things that happen to a bench, a few times a second. */
static void life(struct world *w)
{
    unsigned s = below(w, w->slots);

    if (chance(w, w->w.unplug)) {
        take_out(w, s);
        if (chance(w, w->w.swap))
            put_in(w, s, drawer(w));
    }
    if (chance(w, w->w.link_lost))
        lose_link(w, s, "connection reset");
    if (chance(w, w->w.command))
        operator_does(w);
    if (chance(w, w->w.more_keys) && w->key_count < KEYS_MAX - 4) {
        disk_make_keys(w, 1 + below(w, 4));
        disk_load(w);
    }
    if (w->in_slot[s] < 0 && below(w, 3) == 0)
        put_in(w, s, below(w, 3) && w->board_count > w->slots ? drawer(w) : new_board(w));
    if (chance(w, w->w.crash))
        crash(w);
}

static void check_failed(struct world *w)
{
    for (unsigned s = 0; s < w->slots; s++)
        if (w->failed_at[s] && w->now - w->failed_at[s] > KL_SEC(30))
            violated(w, "the board in slot %u failed and is neither tried again nor given up", s);
}

/* A done board is taken away by the operator, sooner or later. */
static void clear_done(struct world *w)
{
    struct kl_snapshot *snap = malloc(sizeof *snap);

    kl_station_look(w->st, snap);
    for (unsigned s = 0; s < w->slots; s++)
        if ((snap->slot[s].state == KL_ST_DONE ||
             (snap->slot[s].state == KL_ST_FAILED && w->failed_at[s] == 0) ||
             snap->slot[s].state == KL_ST_SKIPPED) &&
            below(w, 4) == 0)
            take_out(w, s);
    free(snap);
}

static void step_until(struct world *w, kl_us until)
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
            p.ev.u.rx.data = p.data ? p.data : p.ev.u.rx.data;
            kl_station_feed(w->st, &p.ev);
            free(p.data);
            drain(w);
        }
        disk_step(w);
        tick = world_make(w, KL_EV_TICK, 0);
        kl_station_feed(w->st, &tick);
        drain(w);
        hear_boards(w);
    }
}

/* ---- a run ------------------------------------------------------------------------------------
 */

static unsigned weight(struct world *w, unsigned most)
{
    return below(w, 2) ? 0 : below(w, most);
}

void world_init(struct world *w, uint64_t seed, FILE *trace)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->trace = trace;
    seed_rng(w, seed);
    w->w = (struct weights){
        .unplug = weight(w, 200000),
        .swap = weight(w, 800000),
        .bit_flip = weight(w, 30),
        .byte_lost = weight(w, 30),
        .byte_doubled = weight(w, 30),
        .late = weight(w, 30000),
        .link_lost = weight(w, 80000),
        .bad_board = weight(w, 400000),
        .clone = weight(w, 200000),
        .planted = weight(w, 150000),
        .disk_fails = weight(w, 100000),
        .disk_slow = weight(w, 200000),
        .crash = weight(w, 60000),
        .command = weight(w, 200000),
        .more_keys = weight(w, 100000),
    };
    w->slots = 1 + below(w, SLOTS_MAX);
    w->fixture = below(w, 6) == 0 && !sim_without_beds();
    for (unsigned s = 0; s < w->slots; s++) {
        w->network[s] = !w->fixture && below(w, 3) == 0;
        w->in_slot[s] = -1;
    }
    w->config = (struct kl_station_config){
        .bundle = sim_bundle(),
        .baud_max = below(w, 2) ? 115200 : 921600,
        .prompt_timeout = KL_SEC(10),
        .ack_timeout = KL_SEC(10),
        .settle = KL_MS(300),
        .retries = -1,
        .max_flashing = below(w, 3) ? 0 : 1 + below(w, 3),
        .warn_keys = 3,
        .sha256 = kl_sha256,
        .fixture = w->fixture,
    };
    w->st = calloc(1, kl_station_size());
    disk_make_keys(w, 4 + below(w, 20));
}

/* Second phase: faults have stopped; every healthy board must get there. */
static void must_converge(struct world *w)
{
    kl_us until;
    struct kl_event ev = world_make(w, KL_EV_COMMAND, 0);
    struct kl_snapshot *snap = malloc(sizeof *snap);

    w->calm = true;
    w->disk_bad_until = 0;
    tell(w, "calm");
    for (unsigned s = 0; s < w->slots; s++)
        take_out(w, s);
    step_until(w, w->now + KL_SEC(20));
    ev = world_make(w, KL_EV_COMMAND, 0);
    ev.u.command.kind = KL_CMD_RESUME;
    kl_station_feed(w->st, &ev);
    disk_make_keys(w, w->slots);
    disk_load(w);
    for (unsigned s = 0; s < w->slots; s++)
        put_in(w, s, new_board(w));
    until = w->now + KL_SEC(120);
    while (w->now < until && !w->violation[0])
        step_until(w, w->now + KL_SEC(10));
    kl_station_look(w->st, snap);
    for (unsigned s = 0; s < w->slots && !w->violation[0]; s++)
        if (w->in_slot[s] >= 0 && snap->slot[s].state != KL_ST_DONE)
            violated(w, "slot %u holds a healthy board that is %s (%s), not done", s + 1,
                     kl_state_name(snap->slot[s].state),
                     kl_fault_info(snap->slot[s].fault.reason).name);
    free(snap);
}

bool world_play(struct world *w)
{
    kl_us end = KL_SEC(60) + (kl_us)below(w, 120) * KL_SEC(1);

    boot_station(w);
    while (w->now < end && !w->violation[0]) {
        life(w);
        clear_done(w);
        check_failed(w);
        drain(w);
        step_until(w, w->now + KL_MS(100) + (kl_us)below(w, 600000));
        oracle_boards(w);
    }
    if (!w->violation[0])
        must_converge(w);
    oracle_boards(w);
    return !w->violation[0];
}

void world_finish(struct world *w)
{
    while (w->heap_count)
        free(pop(w).data);
    free(w->heap);
    for (unsigned b = 0; b < w->board_count; b++)
        kl_vboard_destroy(w->board[b].v);
    kl_station_finish(w->st);
    free(w->st);
    free(w->memory.key);
    free(w->memory.by_fingerprint);
    free(w->memory.by_mac);
    free(w->memory.by_label);
}
