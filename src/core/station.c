/*
 * station.c: what comes in: events, commands, slots. What goes out is in station_queue.c, what
 * concerns more than one board in station_rules.c.
 */
#include "station_state.h"

#include <string.h>

size_t kl_station_size(void)
{
    return sizeof(struct kl_station);
}

/* Leaves boards and notes as they are, because those that nobody uses take no memory then. A board
   is cleared when its slot is added, and a note is written when it is told. */
static void clear(struct kl_station *st)
{
    memset(st, 0, offsetof(struct kl_station, board));
    memset(&st->board_count, 0, sizeof st->board_count);
    memset(&st->actions, 0, sizeof st->actions);
    st->notes.head = st->notes.count = 0;
    memset(&st->store, 0, sizeof *st - offsetof(struct kl_station, store));
}

void kl_station_init(struct kl_station *st, const struct kl_station_config *config, kl_us now)
{
    KL_ASSERT(config->sha256 && config->baud_max > 0);
    clear(st);
    st->config = *config;
    st->now = st->began = now;
    st->warning.until = KL_NEVER;
    if (config->bundle) {
        st->erase_bundle = *config->bundle;
        st->erase_bundle.erase_all = true;
        kl_bundle_for_keyed(config->bundle, &st->keyed_bundle);
    }
}

void kl_station_finish(struct kl_station *st)
{
    unsigned boards = st->board_count;

    KL_ASSERT(boards <= KL_SLOTS_MAX);
    for (unsigned i = 0; i < boards; i++)
        kl_board_forget_key(st, &st->board[i]);
    kl_wipe(st, offsetof(struct kl_station, board) + boards * sizeof st->board[0]);
    kl_wipe(&st->board_count, sizeof *st - offsetof(struct kl_station, board_count));
}

kl_us kl_station_deadline(const struct kl_station *st)
{
    kl_us at = st->warning.until;

    for (unsigned i = 0; i < st->board_count; i++) {
        kl_us slot_at = kl_board_deadline(&st->board[i]);
        if (slot_at < at)
            at = slot_at;
    }
    return at;
}

static void add_slot(struct kl_station *st, const struct kl_event *ev)
{
    struct kl_board *b = &st->board[ev->slot];

    KL_ASSERT(ev->slot < KL_SLOTS_MAX && ev->slot <= st->board_count);
    if (ev->slot == st->board_count) {
        memset(b, 0, sizeof *b);
        st->board_count++;
    }
    KL_ASSERT(!b->place.exists);
    kl_board_init(b, ev->slot, ev->u.slot.name, ev->u.slot.network, &st->config);
    b->place.baud_limit = st->config.baud_max;
    b->since = st->now;
    /* --once promises an answer for each slot, even where nothing is plugged in. */
    if (st->config.once && !b->port.network)
        b->deadline = st->now + KL_SEC(5);
}

static void plugged(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    bool was_plugged = b->port.plugged;

    kl_port_plugged(&b->port, ev);
    if (b->port.network) {
        kl_port_try_at(&b->port, st->now);
        return;
    }
    kl_tell_text(st, b, KL_NOTE_PORT, "plugged in");
    if (!was_plugged && b->state != KL_ST_EMPTY && kl_board_rests(b) && !kl_port_is_away(&b->port))
        kl_board_gone(st, b, "the board before it has gone");
    kl_board_plugged(st, b);
}

const char *kl_station_unreleasable(const struct kl_station *st, const struct kl_fingerprint *fp)
{
    uint32_t key = kl_pool_find(&st->pool, fp);

    if (key == NO_KEY)
        return "the station does not know this key";
    for (unsigned i = 0; i < st->board_count; i++)
        if (st->board[i].custody.index == key)
            return "its board is on the bench right now, which settles it; unplug it first";
    return kl_pool_may_release(&st->pool, key) ? NULL : "it is not reserved any more";
}

static void release(struct kl_station *st, const struct kl_event *ev)
{
    char text[KL_TEXT_MAX];
    const char *why = kl_station_unreleasable(st, &ev->u.command.fingerprint);
    uint32_t key = kl_pool_find(&st->pool, &ev->u.command.fingerprint);

    if (!why && kl_pool_operator_release(&st->pool, key))
        kl_ask_store(st, NULL, KL_OP_RELEASE, key, ev->u.command.argument);
    kl_format(text, sizeof text, "an operator %s the key %s%s%s",
              why ? "can't release" : "releases",
              key == NO_KEY ? "?" : kl_pool_row_of(&st->pool, key)->label, why ? ": " : "",
              why ? why : "");
    kl_tell_text(st, NULL, KL_NOTE_STATION, text);
}

static void command(struct kl_station *st, const struct kl_event *ev)
{
    unsigned slot = ev->u.command.slot;
    struct kl_board *b = slot < st->board_count ? &st->board[slot] : NULL;

    switch (ev->u.command.kind) {
    case KL_CMD_RETRY:
    case KL_CMD_ERASE:
        if (b)
            kl_board_retry(st, b,
                           ev->u.command.kind == KL_CMD_ERASE ? KL_FLASHING_ERASES
                                                              : KL_FLASHING_WRITES);
        break;
    case KL_CMD_RETRY_FAILED:
        for (unsigned i = 0; i < st->board_count; i++)
            if (st->board[i].state == KL_ST_FAILED)
                kl_board_retry(st, &st->board[i], KL_FLASHING_WRITES);
        break;
    case KL_CMD_SKIP:
        if (b)
            kl_board_skip(st, b);
        break;
    case KL_CMD_PAUSE:
    case KL_CMD_RESUME:
        st->mode.paused = ev->u.command.kind == KL_CMD_PAUSE;
        kl_tell_text(st, NULL, KL_NOTE_STATION,
                     st->mode.paused ? "paused: nothing new is started" : "resumed");
        break;
    case KL_CMD_STOP:
        kl_station_stop(st);
        break;
    case KL_CMD_RELEASE:
        release(st, ev);
        kl_board_drop_lost_keys(st);
        break;
    case KL_CMD_BIND:
        if (b)
            kl_board_bind(st, b, ev->u.command.argument);
        break;
    default:
        KL_ASSERT(!"commands about ports are the shell's");
    }
}

static void slot_event(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    switch (ev->kind) {
    case KL_EV_SLOT_GONE:
        kl_port_removed(&b->port);
        b->place.exists = false;
        kl_port_rest(&b->port);
        kl_board_gone(st, b, "slot removed");
        break;
    case KL_EV_PLUGGED:
        plugged(st, b, ev);
        break;
    case KL_EV_UNPLUGGED:
        kl_board_unplugged(st, b);
        break;
    case KL_EV_PORT_FREE:
        kl_board_port_free(st, b);
        break;
    default:
        if (ev->generation != b->port.generation) {
            return; /* the event was for a board that is gone */
        } else if (ev->kind == KL_EV_OPENED) {
            kl_board_port_opened(st, b, ev);
        } else if (ev->kind == KL_EV_CLOSED) {
            kl_board_port_closed(st, b);
        } else if (ev->kind == KL_EV_LOST && b->port.state == KL_PORT_OPEN) {
            kl_board_link_lost(st, b, ev->u.text);
        } else if (ev->kind == KL_EV_RX && b->port.state == KL_PORT_OPEN) {
            kl_board_rx(st, b, ev->u.rx.data, ev->u.rx.size);
        } else if (ev->kind == KL_EV_IO_DONE && b->port.state == KL_PORT_OPEN) {
            kl_board_io_done(st, b, ev->request, ev->u.io.ok);
        }
    }
}

static bool waits_for_keys(const struct kl_board *b)
{
    return b->state == KL_ST_ASKING &&
           (b->fault.reason == KL_FAULT_NO_KEYS || b->fault.reason == KL_FAULT_POOL_WAIT);
}

void kl_station_serve_waiting(struct kl_station *st)
{
    KL_ASSERT(st->have_keys);
    for (unsigned i = 0; i < st->board_count && st->pool.counts.free > 0; i++)
        if (waits_for_keys(&st->board[i]))
            kl_board_ask_pool(st, &st->board[i]);
}

/* The pool gives no more keys, or gives some again: boards that wait have another reason. */
static void say_why_they_wait(struct kl_station *st)
{
    for (unsigned i = 0; i < st->board_count && st->pool.counts.free == 0; i++)
        if (waits_for_keys(&st->board[i]))
            kl_board_ask_pool(st, &st->board[i]);
}

/* The start has told of rows that are kept back. Later ones, nobody has seen. */
static void tell_kept_back(struct kl_station *st, bool first)
{
    char text[KL_TEXT_MAX];

    if (kl_pool_kept_back(&st->pool, text) && !first && strcmp(text, st->kept_back) != 0)
        kl_tell_text(st, NULL, KL_NOTE_STATION, text);
    kl_copy(st->kept_back, sizeof st->kept_back, text);
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[i];
        if (b->state == KL_ST_ASKING && b->fault.reason == KL_FAULT_NO_KEYS)
            kl_copy(b->fault.detail, sizeof b->fault.detail, text);
    }
}

static void take_keys(struct kl_station *st, const struct kl_event *ev)
{
    bool came;

    KL_ASSERT(ev->u.keys.fields <= KL_COLUMNS_MAX);
    KL_ASSERT(!ev->u.keys.loaded || !st->have_keys);
    if (ev->u.keys.loaded)
        st->pool = *ev->u.keys.loaded;
    else
        kl_pool_load(&st->pool, ev->u.keys.memory, ev->u.keys.rows, ev->u.keys.row_count,
                     ev->u.keys.ledger, ev->u.keys.ledger_count);
    st->fields = ev->u.keys.fields;
    if (st->have_keys && !st->config.pooled)
        kl_tell_text(st, NULL, KL_NOTE_STATION, "the CSV was read again");
    tell_kept_back(st, !st->have_keys);
    st->have_keys = true;
    came = st->keys_come;
    st->keys_come = ev->u.keys.come;
    kl_board_stop_sending_spent(st);
    kl_check_keys_left(st);
    kl_station_serve_waiting(st);
    if (came != st->keys_come)
        say_why_they_wait(st);
}

/* Does whatever the event made possible or due. */
static void settle(struct kl_station *st)
{
    if (st->warning.until <= st->now) {
        st->warning.text[0] = '\0';
        st->warning.until = KL_NEVER;
        st->version++;
    }
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[i];
        if (kl_board_deadline(b) <= st->now || st->config.fixture)
            kl_board_tick(st, b);
        if (kl_board_is_settled(b) && b->port.then == KL_PORT_THEN_REST && kl_may_start(st, b))
            kl_board_try_start(st, b);
    }
    kl_rest_if_all_done(st);
}

static void check_promises(const struct kl_station *st)
{
    for (unsigned i = 0; i < st->board_count; i++) {
        const struct kl_board *b = &st->board[i];
        KL_ASSERT(kl_board_rests(b) || kl_board_deadline(b) != KL_NEVER);
    }
}

void kl_station_feed(struct kl_station *st, const struct kl_event *ev)
{
    KL_ASSERT(ev->at >= st->now);
    st->now = ev->at;
    st->wall = ev->wall;
    switch (ev->kind) {
    case KL_EV_TICK:
        break;
    case KL_EV_SLOT:
        add_slot(st, ev);
        break;
    case KL_EV_STORED:
        KL_ASSERT(st->store.pending > 0);
        st->store.pending--;
        kl_board_stored(st, ev);
        st->version++;
        break;
    case KL_EV_KEYS:
        take_keys(st, ev);
        break;
    case KL_EV_COMMAND:
        command(st, ev);
        st->version++;
        break;
    default:
        KL_ASSERT(ev->slot < st->board_count);
        slot_event(st, &st->board[ev->slot], ev);
        st->version++;
    }
    settle(st);
    check_promises(st);
}
