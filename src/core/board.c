/*
 * board.c: a board's life up to its start: the table of states, the loader, failing. Its port is in
 * board_port.c; what comes after, from its first word to done, in board_key.c.
 */
#include "station_state.h"

#include <string.h>

#include "keyline/mask.h"

#define BIT(state) (1u << KL_ST_##state)

/* Where each state may lead. Any state may also fail, be skipped, or close. */
static const uint32_t edges[KL_ST_COUNT] = {
    [KL_ST_EMPTY] = BIT(SETTLING),
    [KL_ST_SETTLING] = BIT(CONNECTING) | BIT(EMPTY),
    [KL_ST_CONNECTING] = BIT(IDENTIFYING) | BIT(SETTLING),
    [KL_ST_IDENTIFYING] = BIT(FLASHING) | BIT(BOOTING) | BIT(CONNECTING),
    [KL_ST_FLASHING] = BIT(VERIFYING),
    [KL_ST_VERIFYING] = BIT(BOOTING),
    [KL_ST_BOOTING] = BIT(ASKING) | BIT(RECORDING) | BIT(DONE) | BIT(CONNECTING) | BIT(SETTLING),
    [KL_ST_ASKING] = BIT(RESERVING) | BIT(SENDING) | BIT(RECORDING) | BIT(DONE) | BIT(CONNECTING),
    [KL_ST_RESERVING] = BIT(SENDING) | BIT(CONNECTING) | BIT(ASKING),
    [KL_ST_SENDING] = BIT(CONFIRMING) | BIT(RECORDING) | BIT(DONE) | BIT(CONNECTING),
    [KL_ST_CONFIRMING] = BIT(RECORDING) | BIT(DONE) | BIT(CONNECTING),
    [KL_ST_RECORDING] = BIT(DONE),
    [KL_ST_DONE] = BIT(EMPTY) | BIT(SETTLING),
    [KL_ST_FAILED] = BIT(CONNECTING) | BIT(SETTLING) | BIT(EMPTY),
    [KL_ST_SKIPPED] = BIT(CONNECTING) | BIT(SETTLING) | BIT(EMPTY),
    [KL_ST_CLOSING] = BIT(EMPTY),
};

static const uint32_t from_anywhere = BIT(FAILED) | BIT(SKIPPED) | BIT(CLOSING);

bool kl_state_is_live(enum kl_state state)
{
    return state >= KL_ST_CONNECTING && state <= KL_ST_RECORDING;
}

/* The one place where a board changes its state. */
void kl_board_enter(struct kl_station *st, struct kl_board *b, enum kl_state state)
{
    enum kl_state before = b->state;
    struct queued *q;

    KL_ASSERT((edges[before] | from_anywhere) & 1u << state);
    if (b->attempt_open)
        b->attempt.took[before] += st->now - b->since;
    b->state = state;
    b->since = st->now;
    b->deadline = KL_NEVER;
    b->retry_at = KL_NEVER;
    if (state != KL_ST_FAILED)
        b->fault = (struct kl_fault){0};
    q = kl_queue_note(st, b, KL_NOTE_STATE);
    q->action.u.note.before = before;
}

/* ---- starting ---------------------------------------------------------------------------------
 */

void kl_board_plugged(struct kl_station *st, struct kl_board *b)
{
    if (kl_port_is_away(&b->port) || b->state != KL_ST_EMPTY)
        return;
    if (st->config.fixture && b->port.state == KL_PORT_CLOSED) {
        /* The adapter is there; the board is looked for by talking. */
        kl_port_try_at(&b->port, st->now);
        return;
    }
    kl_board_enter(st, b, KL_ST_SETTLING);
    b->settled = false;
    b->deadline = st->now + (b->port.network ? 0 : st->config.settle);
    if (b->deadline <= st->now)
        kl_board_try_start(st, b);
}

/* The slot's turn, as soon as there is one. */
void kl_board_try_start(struct kl_station *st, struct kl_board *b)
{
    b->settled = true;
    if (!kl_may_start(st, b)) {
        b->deadline = st->now + KL_SEC(1);
        return;
    }
    switch (b->port.state) {
    case KL_PORT_OPEN:
        kl_board_begin(st, b, false);
        break;
    case KL_PORT_CLOSED:
        b->deadline = KL_NEVER; /* the port's own deadline holds */
        b->settled = false;
        kl_board_open_port(st, b);
        break;
    default:
        b->deadline = KL_NEVER; /* the port's again */
        kl_port_start_when_closed(&b->port);
    }
}

static void start_attempt(struct kl_station *st, struct kl_board *b)
{
    b->attempt = (struct kl_attempt){
        .started = st->now,
        .wall_started = st->wall,
        .tries = ++b->tries,
    };
    kl_copy(b->attempt.port, sizeof b->attempt.port, b->port.path);
    kl_copy(b->attempt.slot, sizeof b->attempt.slot, b->name);
    b->attempt_open = true;
    kl_port_new_try(&b->port);
}

/* `reset_done`: the board comes back from a reset into its loader. */
static void connect(struct kl_station *st, struct kl_board *b, bool reset_done)
{
    struct kl_loader_setup setup = {
        .link = b->port.kind,
        .first = b->strategy,
        .reset_done = reset_done,
        .stubs = st->config.stubs,
        .baud_max = b->baud_limit < st->config.baud_max ? b->baud_limit : st->config.baud_max,
    };

    kl_board_forget_key(st, b);
    kl_handover_finish(&b->handover);
    b->probe_at = KL_NEVER;
    b->identity = (struct kl_identity){0};
    kl_port_new_talk(&b->port);
    b->talker = TALK_LOADER;
    kl_loader_init(&b->loader, &setup);
    kl_loader_start(&b->loader, KL_LOADER_CONNECT, NULL, st->now);
}

/* A try begins: the link is open. */
void kl_board_begin(struct kl_station *st, struct kl_board *b, bool reset_done)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN);
    b->settled = false;
    if (!b->attempt_open)
        start_attempt(st, b);
    if (b->state != KL_ST_CONNECTING)
        kl_board_enter(st, b, KL_ST_CONNECTING);
    connect(st, b, reset_done);
    kl_board_loader_step(st, b);
}

void kl_board_identify_again(struct kl_station *st, struct kl_board *b, const char *why)
{
    kl_board_give_back_unsent(st, b, "identified again before anything was sent");
    kl_note_text(st, b, KL_NOTE_LOG, why);
    if (++b->restarts > RESTARTS_MAX) {
        kl_board_fail(st, b, KL_FAULT_BOARD_CHANGED, why);
        return;
    }
    kl_board_enter(st, b, KL_ST_CONNECTING);
    connect(st, b, false);
}

/* ---- ending -----------------------------------------------------------------------------------
 */

/* Closes the record of one try and hands it to the ledger's history. */
void kl_board_finish_attempt(struct kl_station *st, struct kl_board *b, enum kl_state result)
{
    struct kl_attempt *a = &b->attempt;

    if (!b->attempt_open)
        start_attempt(st, b); /* it failed before it began: the port could not be opened */
    a->took[b->state] += st->now - b->since;
    b->attempt_open = false;
    a->mac = b->identity.mac;
    a->chip = b->identity.chip;
    a->revision = b->identity.revision;
    a->flash_id = b->identity.flash_id;
    a->flash_size = b->identity.flash_size;
    a->baud = b->identity.baud;
    a->ended = st->now;
    a->wall_ended = st->wall;
    a->result = result;
    a->reason = result == KL_ST_FAILED ? b->fault.reason : KL_FAULT_NONE;
    a->chip_error = b->fault.chip_error;
    a->acknowledged_only = b->acknowledged_only;
    kl_copy(a->detail, sizeof a->detail, b->fault.detail);
    kl_copy(a->label, sizeof a->label, b->label);
    b->finished = *a;
    b->result_told = false;
    b->attempt_unsaved = true;
    kl_ask_store(st, b, KL_OP_ATTEMPT, NO_KEY, NULL);
}

static uint32_t lower_baud(uint32_t baud)
{
    static const uint32_t ladder[] = {2000000, 1500000, 921600, 460800, 230400, 115200};

    for (size_t i = 0; i < sizeof ladder / sizeof ladder[0]; i++)
        if (ladder[i] < baud)
            return ladder[i];
    return 115200;
}

/* What is done differently next time, as the fault's policy says. */
static void adapt(struct kl_station *st, struct kl_board *b, enum kl_policy policy)
{
    char text[KL_TEXT_MAX];

    if (policy == KL_POLICY_RECONNECT) {
        b->strategy = KL_RESET_AUTO;
    } else if (policy == KL_POLICY_SLOWER) {
        uint32_t used = b->identity.baud ? b->identity.baud : b->baud_limit;
        uint32_t limit = used < st->config.baud_max ? used : st->config.baud_max;
        b->baud_limit = lower_baud(limit);
        kl_format(text, sizeof text, "next try at %u baud", b->baud_limit);
        kl_note_text(st, b, KL_NOTE_LOG, text);
    }
}

/* Retries left for this reason: then when; else KL_NEVER. */
static kl_us next_try(struct kl_station *st, struct kl_board *b, enum kl_reason reason)
{
    struct kl_fault_info info = kl_fault_info(reason);
    unsigned allowed = info.retries;
    unsigned used = b->retries_used[reason];

    if (st->config.retries >= 0 && info.policy != KL_POLICY_STOP && info.policy != KL_POLICY_WAIT)
        allowed = (unsigned)st->config.retries;
    if (st->stopping || used >= allowed)
        return KL_NEVER;
    b->retries_used[reason]++;
    adapt(st, b, info.policy);
    return st->now + (info.back_off << (used < 6 ? used : 6));
}

static bool is_about_the_link(enum kl_reason reason)
{
    return reason == KL_FAULT_PORT_LOST || reason == KL_FAULT_PORT_ERROR ||
           reason == KL_FAULT_PORT_BUSY || reason == KL_FAULT_PORT_DENIED ||
           reason == KL_FAULT_LINK_STUCK || reason == KL_FAULT_ADAPTER_SETTING;
}

void kl_board_fail_with(struct kl_station *st, struct kl_board *b, const struct kl_fault *fault)
{
    kl_us again;

    b->fault = *fault;
    kl_board_finish_attempt(st, b, KL_ST_FAILED);
    if (b->key != NO_KEY)
        kl_pool_leave(&st->pool, b->key);
    again = next_try(st, b, fault->reason);
    if (b->talker == TALK_LOADER)
        b->talker = TALK_NONE;
    kl_board_enter(st, b, KL_ST_FAILED);
    b->failed_at = st->now;
    kl_look_for_common_cause(st);
    kl_port_unfollow(&b->port);
    b->retry_at = again;
    if (is_about_the_link(fault->reason))
        kl_board_close_port(st, b);
    if (again != KL_NEVER)
        return;
    kl_board_finished(st, b, KL_ST_FAILED);
    kl_board_watch_port(st, b);
}

void kl_board_fail(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                   const char *detail)
{
    struct kl_fault fault = {.reason = reason};

    kl_copy(fault.detail, sizeof fault.detail, detail ? detail : "");
    kl_board_fail_with(st, b, &fault);
}

void kl_board_skip(struct kl_station *st, struct kl_board *b)
{
    bool running = kl_state_is_live(b->state);

    if (b->state == KL_ST_EMPTY || b->state == KL_ST_CLOSING || b->state == KL_ST_DONE ||
        b->state == KL_ST_SKIPPED || b->state == KL_ST_RECORDING)
        return; /* RECORDING: the board has proved its key; that can't be skipped any more */
    kl_board_give_back_unsent(st, b, "skipped before anything was sent");
    if (running || b->state == KL_ST_SETTLING)
        kl_board_finish_attempt(st, b, KL_ST_SKIPPED);
    if (b->talker == TALK_LOADER)
        b->talker = TALK_NONE;
    kl_board_enter(st, b, KL_ST_SKIPPED);
    b->finished.result = KL_ST_SKIPPED;
    b->finished.reason = KL_FAULT_NONE;
    kl_board_finished(st, b, KL_ST_SKIPPED);
    kl_board_watch_port(st, b);
    kl_port_look_now(&b->port, st->now); /* is it away? Whether it comes back is to be seen */
}

/* Stop was asked for: what has not sent a key yet ends here; the rest is let finish. */
void kl_board_park(struct kl_station *st, struct kl_board *b)
{
    if (b->state == KL_ST_SENDING || b->state == KL_ST_CONFIRMING || b->state == KL_ST_RECORDING)
        return;
    if (b->state == KL_ST_FAILED)
        kl_board_tell_failure(st, b);
    b->retry_at = KL_NEVER;
    kl_port_rest(&b->port);
    if (b->state == KL_ST_SETTLING || kl_state_is_live(b->state)) {
        kl_board_give_back_unsent(st, b, "stopped before anything was sent");
        kl_board_fail(st, b, KL_FAULT_STOPPED, "");
    }
}

void kl_board_retry(struct kl_station *st, struct kl_board *b, bool erase)
{
    if (b->state != KL_ST_FAILED && b->state != KL_ST_SKIPPED && !(erase && b->state == KL_ST_DONE))
        return;
    memset(b->retries_used, 0, sizeof b->retries_used);
    b->restarts = 0;
    b->erase = erase;
    b->finished_once = false;
    b->port.again.refused = 0;
    kl_port_unfollow(&b->port);
    kl_board_enter(st, b, KL_ST_SETTLING);
    kl_board_try_start(st, b);
}

/* ---- the loader's part of a life --------------------------------------------------------------
 */

static const struct kl_bundle *bundle_of(const struct kl_station *st, const struct kl_board *b)
{
    return b->erase ? &st->erase_bundle : st->config.bundle;
}

static void start_task(struct kl_station *st, struct kl_board *b, enum kl_state state,
                       enum kl_loader_task task)
{
    b->verify_again = false;
    kl_board_enter(st, b, state);
    kl_loader_start(&b->loader, task, bundle_of(st, b), st->now);
}

/* The slot that shows this board's MAC too; NULL if there is none. A result whose port is gone is
   no board that is there; nor is one at a needle bed, where it may outlive its board for a moment.
 */
static const struct kl_board *other_with_mac(const struct kl_station *st, const struct kl_board *b)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        const struct kl_board *other = &st->board[i];
        bool rests = other->state != KL_ST_EMPTY && other->state != KL_ST_CLOSING &&
                     other->port.state == KL_PORT_OPEN && !st->config.fixture;
        if (other != b && (kl_state_is_live(other->state) || rests) &&
            kl_mac_equal(&other->identity.mac, &b->identity.mac))
            return other;
    }
    return NULL;
}

/* A board that hands have moved may be here before its old slot has heard that it is gone. If so,
   nothing was heard there since this try began; two real boards both talk. */
static bool is_alone(struct kl_station *st, struct kl_board *b)
{
    const struct kl_board *other = other_with_mac(st, b);
    bool silent = other && kl_state_is_live(other->state) && other->heard_at < b->attempt.started;

    if (other)
        kl_board_fail(st, b, silent ? KL_FAULT_MAC_LINGERS : KL_FAULT_MAC_LIVE_TWICE, other->name);
    return !other;
}

/* A board that was to be tried again will not be. */
void kl_board_tell_failure(struct kl_station *st, struct kl_board *b)
{
    if (!b->result_told && b->finished.result == KL_ST_FAILED)
        kl_board_finished(st, b, KL_ST_FAILED);
}

/* Where no port tells that a board leaves, the one tried before may have been another. It is given
   up here; its tries, and what was wanted of it, are not this one's. */
static void look_who_is_tried(struct kl_station *st, struct kl_board *b)
{
    bool another = kl_mac_is_set(&b->seen) && !kl_mac_equal(&b->seen, &b->identity.mac);

    b->seen = b->identity.mac;
    if (!another || b->tries < 2)
        return;
    kl_note_text(st, b, KL_NOTE_PORT, "another board is in its place");
    kl_board_tell_failure(st, b);
    memset(b->retries_used, 0, sizeof b->retries_used);
    b->tries = b->attempt.tries = 1;
    b->erase = false;
}

static void identified(struct kl_station *st, struct kl_board *b)
{
    struct queued *q;

    b->identity = *kl_loader_identity(&b->loader);
    look_who_is_tried(st, b);
    b->strategy = kl_loader_strategy(&b->loader);
    q = kl_queue_note(st, b, KL_NOTE_CHIP);
    q->identity = b->identity;
    if (!is_alone(st, b))
        return;
    if (st->config.chip != KL_CHIP_NONE && st->config.chip != b->identity.chip) {
        kl_board_fail(st, b, KL_FAULT_WRONG_CHIP, kl_chip(b->identity.chip)->name);
        return;
    }
    kl_board_recognise(st, b);
    b->erase |= kl_mac_equal(&b->damaged, &b->identity.mac);
    b->damaged = (struct kl_mac){0};
    if (st->config.bundle) {
        b->rate_at = st->now;
        b->rate_done = 0;
        b->rate = 0;
        start_task(st, b, KL_ST_FLASHING, KL_LOADER_FLASH);
    } else {
        start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

/* The board's own key must be known before the board can print it. Where that took time, the board
   proves once more that it is the one in the loader: it is reset into its program at once then. */
static void verified(struct kl_station *st, struct kl_board *b)
{
    if (b->fetching) {
        b->verify_again = true;
        b->deadline = st->now + KL_SEC(10);
    } else if (b->verify_again) {
        b->verify_again = false;
        b->deadline = KL_NEVER;
        kl_loader_start(&b->loader, KL_LOADER_VERIFY, bundle_of(st, b), st->now);
    } else {
        start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

static void loader_done(struct kl_station *st, struct kl_board *b)
{
    switch (b->state) {
    case KL_ST_CONNECTING:
        start_task(st, b, KL_ST_IDENTIFYING, KL_LOADER_IDENTIFY);
        break;
    case KL_ST_IDENTIFYING:
        identified(st, b);
        break;
    case KL_ST_FLASHING:
        b->erase = false;
        start_task(st, b, KL_ST_VERIFYING, KL_LOADER_VERIFY);
        break;
    case KL_ST_VERIFYING:
        verified(st, b);
        break;
    case KL_ST_BOOTING:
        kl_board_listen(st, b);
        break;
    default:
        KL_ASSERT(!"the loader finished a task that nobody started");
    }
}

static void note_progress(struct kl_station *st, struct kl_board *b)
{
    const struct kl_loader_progress *p = kl_loader_progress(&b->loader);
    kl_us elapsed = st->now - b->rate_at;
    struct queued *q;

    if (b->state != KL_ST_FLASHING || p->done == b->rate_done)
        return;
    if (elapsed >= KL_MS(500)) {
        uint64_t per_second = (p->done - b->rate_done) * 1000000u / (uint64_t)elapsed;
        b->rate =
            b->rate ? (uint32_t)((3 * (uint64_t)b->rate + per_second) / 4) : (uint32_t)per_second;
        b->rate_done = p->done;
        b->rate_at = st->now;
    }
    if (st->now - b->progress_noted < KL_MS(100))
        return;
    q = kl_queue_note(st, b, KL_NOTE_PROGRESS);
    if (q) {
        b->progress_noted = st->now;
        q->progress = *p;
    }
}

static void tell_line(struct kl_station *st, struct kl_board *b)
{
    if (b->line_size == 0)
        return;
    kl_mask_line(b->line, &b->line_size, sizeof b->line - 1, NULL);
    b->line[b->line_size] = '\0';
    kl_note_text(st, b, KL_NOTE_LOG, b->line);
    b->line_size = 0;
}

static void tell_loader_text(struct kl_station *st, struct kl_board *b)
{
    char text[KL_TEXT_MAX];
    size_t n;

    while (kl_loader_note(&b->loader, text))
        kl_note_text(st, b, KL_NOTE_LOG, text);
    while ((n = kl_loader_text(&b->loader, text, sizeof text)) > 0) {
        for (size_t i = 0; i < n; i++) {
            bool ends = text[i] == '\n' || text[i] == '\r';
            if (!ends)
                b->line[b->line_size++] = text[i];
            if (ends || b->line_size == sizeof b->line - 1)
                tell_line(st, b);
        }
    }
    if (kl_loader_status(&b->loader) != KL_LOADER_BUSY)
        tell_line(st, b);
}

/* After anything that may have moved the loader on. */
void kl_board_loader_step(struct kl_station *st, struct kl_board *b)
{
    /* Each task may end in the very call that starts it, so this goes on until one is busy. */
    for (int steps = 0; b->talker == TALK_LOADER; steps++) {
        enum kl_state state = b->state;

        KL_ASSERT(steps < 8);
        if (kl_fixture_is_probing(b)) {
            kl_fixture_step(st, b);
            break;
        }
        tell_loader_text(st, b);
        note_progress(st, b);
        if (kl_loader_status(&b->loader) == KL_LOADER_BUSY)
            break;
        if (kl_loader_status(&b->loader) == KL_LOADER_FAILED) {
            kl_board_fail_with(st, b, kl_loader_fault(&b->loader));
            break;
        }
        loader_done(st, b);
        if (b->state == state)
            break; /* waits for its own key before it is started */
    }
}

/* ---- what the link brings ---------------------------------------------------------------------
 */

void kl_board_rx(struct kl_station *st, struct kl_board *b, const uint8_t *data, size_t size)
{
    b->heard_at = st->now;
    if (b->talker == TALK_LOADER) {
        kl_loader_rx(&b->loader, data, size, st->now);
        kl_board_loader_step(st, b);
        return;
    }
    /* In portions, so that the handover's events are taken before there are too many. */
    while (size > 0 && b->talker == TALK_HANDOVER) {
        size_t n = size < 128 ? size : 128;
        kl_handover_rx(&b->handover, data, n, st->now);
        data += n;
        size -= n;
        kl_board_handover_step(st, b);
    }
}

void kl_board_io_done(struct kl_station *st, struct kl_board *b, uint32_t request, bool ok)
{
    if (b->talker != TALK_LOADER || !kl_port_is_of_this_talk(&b->port, request)) {
        st->stale++;
        return;
    }
    kl_loader_io_done(&b->loader, ok, st->now);
    kl_board_loader_step(st, b);
}

static void state_overdue(struct kl_station *st, struct kl_board *b)
{
    switch (b->state) {
    case KL_ST_EMPTY:
        /* --once, and nothing was ever plugged in here. */
        b->retries_used[KL_FAULT_PORT_ERROR] = UINT8_MAX;
        kl_board_fail(st, b, KL_FAULT_PORT_ERROR, "nothing is plugged in here");
        break;
    case KL_ST_SETTLING:
        kl_board_try_start(st, b);
        break;
    case KL_ST_VERIFYING:
        b->fetching = false; /* the store is slow: go on without comparing */
        b->deadline = KL_NEVER;
        kl_board_loader_step(st, b);
        break;
    case KL_ST_CLOSING:
        b->deadline = st->now + KL_SEC(60);
        break;
    case KL_ST_RESERVING:
    case KL_ST_RECORDING:
        /* The store always answers; until it does, the board waits visibly. */
        if (b->fault.reason == KL_FAULT_NONE) {
            b->fault = (struct kl_fault){.reason = KL_FAULT_STORE_TROUBLE,
                                         .detail = "the disk does not answer"};
            kl_note_key(st, b, "waiting", b->fault.detail);
        }
        b->deadline = st->now + KL_SEC(5);
        break;
    default:
        b->deadline = KL_NEVER;
    }
}

/* Everything that is due. */
void kl_board_tick(struct kl_station *st, struct kl_board *b)
{
    kl_board_port_tick(st, b);
    if (b->retry_at <= st->now) {
        kl_board_enter(st, b, KL_ST_SETTLING);
        kl_board_try_start(st, b);
    }
    if (b->deadline <= st->now)
        state_overdue(st, b);
    if (b->talker == TALK_LOADER && kl_loader_deadline(&b->loader) <= st->now) {
        kl_loader_tick(&b->loader, st->now);
        kl_board_loader_step(st, b);
    }
    kl_board_key_tick(st, b);
    if (st->config.fixture)
        kl_fixture_tick(st, b);
}

static kl_us earlier(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

kl_us kl_board_deadline(const struct kl_board *b)
{
    kl_us at = earlier(b->deadline, kl_port_deadline(&b->port));

    at = earlier(at, b->retry_at);
    at = earlier(at, b->store_retry_at);
    at = earlier(at, b->probe_at);
    if (b->talker == TALK_LOADER)
        at = earlier(at, kl_loader_deadline(&b->loader));
    else if (b->talker == TALK_HANDOVER)
        at = earlier(at, kl_handover_deadline(&b->handover));
    return at;
}
