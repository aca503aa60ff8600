/*
 * station.c: what comes in and goes out: events, actions, deadlines, commands, slots, and the rules
 * that concern more than one board.
 */
#include "station_state.h"

#include <string.h>

size_t kl_station_size(void)
{
    return sizeof(struct kl_station);
}

void kl_station_init(struct kl_station *st, const struct kl_station_config *config, kl_us now)
{
    memset(st, 0, sizeof *st);
    st->config = *config;
    st->now = st->began = now;
    st->warning_until = KL_NEVER;
    if (config->bundle) {
        st->erase_bundle = *config->bundle;
        st->erase_bundle.erase_all = true;
    }
}

void kl_station_finish(struct kl_station *st)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        kl_board_forget_key(st, &st->board[i]);
        kl_handover_finish(&st->board[i].handover);
    }
    kl_wipe(st, sizeof *st);
}

/* ---- what goes out ----------------------------------------------------------------------------
 */

static struct queued *queue_raw(struct kl_station *st)
{
    struct queued *q;

    KL_ASSERT(st->queued < QUEUE_SIZE);
    q = &st->queue[(st->head + st->queued++) % QUEUE_SIZE];
    memset(&q->action, 0, sizeof q->action);
    return q;
}

struct queued *kl_queue_action(struct kl_station *st, const struct kl_board *b,
                               enum kl_action_kind kind)
{
    struct queued *q = queue_raw(st);

    q->action.kind = kind;
    if (b) {
        q->action.slot = b->index;
        q->action.generation = b->port.generation;
    }
    return q;
}

struct queued *kl_queue_note(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind)
{
    struct queued *q;

    st->version++;
    if ((kind == KL_NOTE_LOG || kind == KL_NOTE_PROGRESS) &&
        st->queued >= QUEUE_SIZE - QUEUE_SPARE) {
        st->notes_dropped++;
        return NULL;
    }
    q = kl_queue_action(st, b, KL_AC_NOTE);
    q->text[0] = '\0';
    q->label[0] = '\0';
    q->action.u.note.kind = kind;
    if (b) {
        q->action.u.note.state = q->action.u.note.before = b->state;
        q->fault = b->fault;
        q->identity = b->identity;
        kl_copy(q->label, sizeof q->label, b->label);
    } else {
        q->fault = (struct kl_fault){0};
        q->identity = (struct kl_identity){0};
    }
    return q;
}

void kl_note_text(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind,
                  const char *text)
{
    struct queued *q = kl_queue_note(st, b, kind);

    if (q)
        kl_copy(q->text, sizeof q->text, text);
}

void kl_note_key(struct kl_station *st, struct kl_board *b, const char *what, const char *text)
{
    struct queued *q = kl_queue_note(st, b, KL_NOTE_KEY);

    q->action.u.note.what = what;
    kl_copy(q->text, sizeof q->text, text);
}

void kl_station_warn(struct kl_station *st, const char *text)
{
    kl_copy(st->warning, sizeof st->warning, text);
    st->warning_until = st->now + KL_SEC(60);
    kl_note_text(st, NULL, KL_NOTE_STATION, text);
}

void kl_ask_store(struct kl_station *st, struct kl_board *b, enum kl_store_op op, uint32_t key,
                  const char *reason)
{
    struct queued *q = kl_queue_action(st, b, KL_AC_STORE);

    q->action.request = kl_port_request(&b->port);
    if (op == KL_OP_RESERVE || op == KL_OP_FETCH)
        b->awaited = q->action.request;
    q->action.u.store.op = op;
    q->action.u.store.mac = op == KL_OP_ATTEMPT ? b->finished.mac : b->identity.mac;
    q->action.u.store.acknowledged_only = b->acknowledged_only;
    if (reason) {
        kl_copy(q->text, sizeof q->text, reason);
        q->action.u.store.reason = q->text;
    }
    if (op == KL_OP_ATTEMPT)
        q->action.u.store.attempt = &b->finished;
    if (key != NO_KEY) {
        const struct kl_pool_key *k = kl_pool_key(&st->pool, key);
        q->action.u.store.fingerprint = k->fingerprint;
        q->action.u.store.label = k->label;
        if (op == KL_OP_RELEASE || op == KL_OP_FETCH)
            q->action.u.store.mac = k->mac;
    }
    st->store_pending++;
}

/* The pointers of a note lead into its place in the queue, which stays untouched until the next
   call. */
static void point_note(struct kl_station *st, struct queued *q)
{
    struct kl_action *a = &q->action;

    a->u.note.text = q->text;
    a->u.note.label = q->label;
    a->u.note.fault = q->fault.reason == KL_FAULT_NONE ? NULL : &q->fault;
    a->u.note.identity = &q->identity;
    if (a->u.note.kind == KL_NOTE_PROGRESS)
        a->u.note.progress = &q->progress;
    if (a->u.note.kind == KL_NOTE_RESULT)
        a->u.note.attempt = &st->board[a->slot].finished;
}

static bool next_io(struct kl_board *b, struct kl_action *out)
{
    struct kl_io io;
    bool some = false;

    if (b->port.state != KL_PORT_OPEN)
        return false;
    if (b->talker == TALK_LOADER)
        some = kl_loader_next(&b->loader, &io);
    else if (b->talker == TALK_HANDOVER)
        some = kl_handover_next(&b->handover, &io);
    if (!some)
        return false;
    *out = (struct kl_action){
        .kind = KL_AC_IO,
        .slot = b->index,
        .generation = b->port.generation,
        .request = kl_port_request(&b->port),
        .u.io = io,
    };
    return true;
}

bool kl_station_next(struct kl_station *st, struct kl_action *out)
{
    if (st->queued > 0) {
        struct queued *q = &st->queue[st->head];
        st->head = (st->head + 1) % QUEUE_SIZE;
        st->queued--;
        if (q->action.kind == KL_AC_NOTE)
            point_note(st, q);
        *out = q->action;
        return true;
    }
    for (unsigned i = 0; i < st->slot_count; i++) {
        struct kl_board *b = &st->board[(st->rotor + i) % st->slot_count];
        if (next_io(b, out)) {
            st->rotor = b->index;
            return true;
        }
    }
    return false;
}

static bool may_rest(const struct kl_board *b)
{
    return b->state == KL_ST_EMPTY || b->state == KL_ST_DONE || b->state == KL_ST_FAILED ||
           b->state == KL_ST_SKIPPED;
}

kl_us kl_station_deadline(const struct kl_station *st)
{
    kl_us at = st->warning_until;

    for (unsigned i = 0; i < st->slot_count; i++) {
        kl_us slot_at = kl_board_deadline(&st->board[i]);
        if (slot_at < at)
            at = slot_at;
    }
    return at;
}

/* ---- rules that concern more than one board ---------------------------------------------------
 */

static bool is_busy_flashing(const struct kl_board *b)
{
    return (b->state >= KL_ST_CONNECTING && b->state <= KL_ST_VERIFYING) ||
           (b->state == KL_ST_SETTLING && b->port.state == KL_PORT_OPENING);
}

static bool is_running(const struct kl_board *b)
{
    return kl_state_is_live(b->state) || b->attempt_open ||
           (b->state == KL_ST_SETTLING && b->port.state == KL_PORT_OPENING) ||
           (b->state == KL_ST_FAILED && b->retry_at != KL_NEVER);
}

static unsigned finished_boards(const struct kl_station *st)
{
    return st->done + st->failed + st->skipped;
}

bool kl_may_start(const struct kl_station *st, const struct kl_board *b)
{
    unsigned flashing = 0, running = 0;

    if (st->paused || st->stopping || !st->have_keys || st->rest_said)
        return false;
    if (st->config.once && b->finished_once)
        return false;
    for (unsigned i = 0; i < st->slot_count; i++) {
        if (&st->board[i] == b)
            continue;
        flashing += is_busy_flashing(&st->board[i]);
        running += is_running(&st->board[i]);
    }
    if (st->config.max_flashing && flashing >= st->config.max_flashing)
        return false;
    return !st->config.count || finished_boards(st) + running < st->config.count;
}

/* Several boards that fail together share a cause: the hub or the supply. */
void kl_look_for_common_cause(struct kl_station *st)
{
    unsigned together = 0;
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < st->slot_count; i++) {
        const struct kl_board *b = &st->board[i];
        enum kl_reason r = b->finished.reason;
        bool of_that_kind = r == KL_FAULT_PORT_LOST || r == KL_FAULT_BROWNOUT ||
                            r == KL_FAULT_TIMEOUT || r == KL_FAULT_LINE_NOISE ||
                            r == KL_FAULT_LINK_STUCK;
        if (of_that_kind && b->failed_at > 0 && st->now - b->failed_at < KL_SEC(10))
            together++;
    }
    if (together >= 3 && st->warning_until == KL_NEVER) {
        kl_format(text, sizeof text,
                  "%u slots failed within 10 seconds: check the hub, its cable and its supply",
                  together);
        kl_station_warn(st, text);
    }
}

static void remember_figures(struct kl_station *st, const struct kl_board *b, bool is_done)
{
    struct finished_board *f = &st->recent[st->recent_head];
    kl_us sorted[RECENT_MAX];
    unsigned n = 0;

    *f = (struct finished_board){st->now, b->finished.ended - b->finished.started, is_done};
    st->recent_head = (st->recent_head + 1) % RECENT_MAX;
    if (st->recent_count < RECENT_MAX)
        st->recent_count++;
    for (unsigned i = 0; i < st->recent_count; i++) {
        unsigned at = n;
        if (!st->recent[i].done)
            continue;
        while (at > 0 && sorted[at - 1] > st->recent[i].took) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = st->recent[i].took;
        n++;
    }
    st->median = n ? sorted[n / 2] : 0;
}

static void check_keys_left(struct kl_station *st)
{
    char text[KL_TEXT_MAX];

    if (st->pool.counts.free > st->config.warn_keys) {
        st->few_said = false;
    } else if (!st->few_said && st->config.warn_keys > 0) {
        st->few_said = true;
        kl_format(text, sizeof text, "%u keys left: add rows to the CSV", st->pool.counts.free);
        kl_note_text(st, NULL, KL_NOTE_STATION, text);
    }
}

/* A board's turn is over; b->finished tells how. */
void kl_board_finished(struct kl_station *st, struct kl_board *b, enum kl_state result)
{
    b->finished_once = b->result_told = true;
    if (result == KL_ST_DONE) {
        st->done++;
        b->done++;
        if (b->finished.tries == 1)
            st->first_pass++;
    } else if (result == KL_ST_SKIPPED) {
        st->skipped++;
    } else if (b->finished.reason != KL_FAULT_STOPPED) {
        st->failed++;
        b->failed++;
    }
    b->failed_at = result == KL_ST_FAILED ? st->now : 0;
    if (result != KL_ST_SKIPPED)
        remember_figures(st, b, result == KL_ST_DONE);
    kl_queue_note(st, b, KL_NOTE_RESULT);
    if (result == KL_ST_FAILED)
        kl_look_for_common_cause(st);
    check_keys_left(st);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static bool slot_has_ended(const struct kl_station *st, const struct kl_board *b)
{
    if (!b->exists)
        return true;
    if (!may_rest(b) || b->retry_at != KL_NEVER)
        return st->stopping && b->state == KL_ST_SETTLING;
    return !st->config.once || st->stopping || b->finished_once;
}

static int exit_status(const struct kl_station *st)
{
    if (st->stopping)
        return 0;
    if (st->no_keys)
        return 5;
    return st->failed ? 1 : 0;
}

static void rest_if_all_done(struct kl_station *st)
{
    bool wanted = st->stopping || (st->config.once && st->slot_count > 0 && st->have_keys) ||
                  (st->config.count && finished_boards(st) >= st->config.count);

    if (!wanted || st->rest_said || st->store_pending > 0)
        return;
    for (unsigned i = 0; i < st->slot_count; i++) {
        const struct kl_board *b = &st->board[i];
        bool counted_out = st->config.count && !is_running(b);
        if (!counted_out && !slot_has_ended(st, b))
            return;
    }
    st->rest_said = true;
    kl_queue_action(st, NULL, KL_AC_REST)->action.u.exit = exit_status(st);
}

static void stop(struct kl_station *st)
{
    if (st->stopping) {
        /* The second time: at once. What is reserved or sent is safe as it is. */
        if (!st->rest_said) {
            st->rest_said = true;
            kl_queue_action(st, NULL, KL_AC_REST)->action.u.exit = 0;
        }
        return;
    }
    st->stopping = true;
    kl_note_text(st, NULL, KL_NOTE_STATION,
                 "stopping: boards that are being given a key finish first");
    for (unsigned i = 0; i < st->slot_count; i++)
        kl_board_park(st, &st->board[i]);
}

/* ---- what comes in ----------------------------------------------------------------------------
 */

static void add_slot(struct kl_station *st, const struct kl_event *ev)
{
    struct kl_board *b = &st->board[ev->slot];
    struct kl_port port = b->port;

    KL_ASSERT(ev->slot < KL_SLOTS_MAX && ev->slot <= st->slot_count);
    if (ev->slot == st->slot_count)
        st->slot_count++;
    KL_ASSERT(!b->exists);
    kl_port_init(&port, ev->u.slot.network);
    memset(b, 0, sizeof *b);
    b->port = port;
    b->index = ev->slot;
    b->exists = true;
    b->baud_limit = st->config.baud_max;
    b->deadline = b->retry_at = b->probe_at = KL_NEVER;
    b->since = st->now;
    b->result_told = true;
    b->key = NO_KEY;
    kl_board_forget_key(st, b);
    kl_copy(b->name, sizeof b->name, ev->u.slot.name);
    /* --once is promised an answer for each slot, also where nothing is plugged in. */
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
    kl_note_text(st, b, KL_NOTE_PORT, "plugged in");
    if (!was_plugged && b->state != KL_ST_EMPTY && may_rest(b) && !kl_port_is_away(&b->port))
        kl_board_gone(st, b, "the board before it has gone");
    kl_board_plugged(st, b);
}

const char *kl_station_unreleasable(const struct kl_station *st, const struct kl_fingerprint *fp)
{
    uint32_t key = kl_pool_find(&st->pool, fp);

    if (key == NO_KEY)
        return "the station does not know this key";
    for (unsigned i = 0; i < st->slot_count; i++)
        if (st->board[i].key == key)
            return "its board is on the bench right now, which settles it; unplug it first";
    return kl_pool_may_release(&st->pool, key) ? NULL : "it is not reserved any more";
}

static void release(struct kl_station *st, const struct kl_event *ev)
{
    char text[KL_TEXT_MAX];
    const char *why = kl_station_unreleasable(st, &ev->u.command.fingerprint);
    uint32_t key = kl_pool_find(&st->pool, &ev->u.command.fingerprint);

    if (!why && kl_pool_operator_release(&st->pool, key))
        kl_ask_store(st, &st->board[0], KL_OP_RELEASE, key, ev->u.command.reason);
    kl_format(
        text, sizeof text, "an operator %s the key %s%s%s", why ? "can't release" : "releases",
        key == NO_KEY ? "?" : kl_pool_key(&st->pool, key)->label, why ? ": " : "", why ? why : "");
    kl_note_text(st, NULL, KL_NOTE_STATION, text);
}

static void command(struct kl_station *st, const struct kl_event *ev)
{
    struct kl_board *b = ev->slot < st->slot_count ? &st->board[ev->slot] : NULL;

    switch (ev->u.command.kind) {
    case KL_CMD_RETRY:
    case KL_CMD_ERASE_RETRY:
        if (b)
            kl_board_retry(st, b, ev->u.command.kind == KL_CMD_ERASE_RETRY);
        break;
    case KL_CMD_RETRY_FAILED:
        for (unsigned i = 0; i < st->slot_count; i++)
            if (st->board[i].state == KL_ST_FAILED)
                kl_board_retry(st, &st->board[i], false);
        break;
    case KL_CMD_SKIP:
        if (b)
            kl_board_skip(st, b);
        break;
    case KL_CMD_PAUSE:
    case KL_CMD_RESUME:
        st->paused = ev->u.command.kind == KL_CMD_PAUSE;
        kl_note_text(st, NULL, KL_NOTE_STATION,
                     st->paused ? "paused: nothing new is started" : "resumed");
        break;
    case KL_CMD_STOP:
        stop(st);
        break;
    case KL_CMD_RELEASE:
        release(st, ev);
        kl_board_drop_lost_keys(st);
        break;
    }
}

static void slot_event(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    switch (ev->kind) {
    case KL_EV_SLOT_GONE:
        kl_port_removed(&b->port);
        b->exists = false;
        kl_port_rest(&b->port);
        kl_board_gone(st, b, "slot removed");
        break;
    case KL_EV_PLUGGED:
        plugged(st, b, ev);
        break;
    case KL_EV_UNPLUGGED:
        kl_board_unplugged(st, b);
        break;
    default:
        if (ev->generation != b->port.generation) {
            st->stale++;
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

static void take_keys(struct kl_station *st, const struct kl_event *ev)
{
    kl_pool_load(&st->pool, ev->u.keys.memory, ev->u.keys.rows, ev->u.keys.row_count,
                 ev->u.keys.ledger, ev->u.keys.ledger_count);
    st->fields = ev->u.keys.fields;
    if (st->have_keys)
        kl_note_text(st, NULL, KL_NOTE_STATION, "the CSV was read again");
    st->have_keys = true;
    check_keys_left(st);
}

/* Whatever became possible or due through the event. */
static void settle(struct kl_station *st)
{
    if (st->warning_until <= st->now) {
        st->warning[0] = '\0';
        st->warning_until = KL_NEVER;
        st->version++;
    }
    for (unsigned i = 0; i < st->slot_count; i++) {
        struct kl_board *b = &st->board[i];
        if (kl_board_deadline(b) <= st->now || b->state == KL_ST_ASKING || st->config.fixture)
            kl_board_tick(st, b);
        if (b->state == KL_ST_SETTLING && b->settled && b->port.then == KL_PORT_THEN_REST &&
            kl_may_start(st, b))
            kl_board_try_start(st, b);
    }
    rest_if_all_done(st);
}

static void check_promises(const struct kl_station *st)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        const struct kl_board *b = &st->board[i];
        KL_ASSERT(may_rest(b) || kl_board_deadline(b) != KL_NEVER);
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
        KL_ASSERT(st->store_pending > 0);
        st->store_pending--;
        kl_board_key_stored(st, ev);
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
        KL_ASSERT(ev->slot < st->slot_count);
        slot_event(st, &st->board[ev->slot], ev);
        st->version++;
    }
    settle(st);
    check_promises(st);
}
