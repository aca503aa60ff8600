/*
 * board.c: a board's life up to its start: the table of states, the loader, failing. Its port is in
 * board_link.c; what comes after, from its first word to done, in board_key.c.
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
void kl_board_enter(struct kl_station *st, struct slot *s, enum kl_state state)
{
    enum kl_state before = s->state;
    struct queued *q;

    KL_ASSERT((edges[before] | from_anywhere) & 1u << state);
    if (s->attempt_open)
        s->attempt.took[before] += st->now - s->since;
    s->state = state;
    s->since = st->now;
    s->deadline = KL_NEVER;
    s->retry_at = KL_NEVER;
    if (state != KL_ST_FAILED)
        s->fault = (struct kl_fault){0};
    q = kl_queue_note(st, s, KL_NOTE_STATE);
    q->action.u.note.before = before;
}

/* ---- starting ---------------------------------------------------------------------------------
 */

void kl_board_plugged(struct kl_station *st, struct slot *s)
{
    if (s->follow_until != KL_NEVER || s->state != KL_ST_EMPTY)
        return;
    if (st->config.fixture && s->link == LINK_CLOSED) {
        s->reopen_at = st->now; /* the adapter is there; the board is looked for by talking */
        return;
    }
    kl_board_enter(st, s, KL_ST_SETTLING);
    s->settled = false;
    s->deadline = st->now + (s->network ? 0 : st->config.settle);
    if (s->deadline <= st->now)
        kl_board_try_start(st, s);
}

/* The slot's turn, as soon as there is one. */
void kl_board_try_start(struct kl_station *st, struct slot *s)
{
    s->settled = true;
    if (!kl_may_start(st, s)) {
        s->deadline = st->now + KL_SEC(1);
        return;
    }
    if (s->link == LINK_OPEN) {
        kl_board_begin(st, s);
    } else if (s->link == LINK_CLOSED) {
        s->deadline = KL_NEVER; /* the link's own deadline holds */
        s->settled = false;
        kl_board_open_link(st, s);
    } else {
        s->deadline = KL_NEVER; /* the link's again */
        s->start_when_closed = true;
    }
}

static void start_attempt(struct kl_station *st, struct slot *s)
{
    s->attempt = (struct kl_attempt){
        .started = st->now,
        .wall_started = st->wall,
        .tries = ++s->tries,
    };
    kl_copy(s->attempt.port, sizeof s->attempt.port, s->path);
    kl_copy(s->attempt.slot, sizeof s->attempt.slot, s->name);
    s->attempt_open = true;
    s->follows = 0;
}

static void connect(struct kl_station *st, struct slot *s)
{
    struct kl_loader_setup setup = {
        .link = s->kind,
        .memory = s->memory,
        .reset_done = s->returned,
        .stubs = st->config.stubs,
        .baud_max = s->baud_limit < st->config.baud_max ? s->baud_limit : st->config.baud_max,
    };

    s->returned = false;
    kl_board_forget_key(st, s);
    kl_handover_finish(&s->handover);
    s->probe_at = KL_NEVER;
    s->identity = (struct kl_identity){0};
    s->io_floor = s->request;
    s->talker = TALK_LOADER;
    kl_loader_init(&s->loader, &setup);
    kl_loader_start(&s->loader, KL_LOADER_CONNECT, NULL, st->now);
}

/* A try begins: the link is open. */
void kl_board_begin(struct kl_station *st, struct slot *s)
{
    s->settled = false;
    if (!s->attempt_open)
        start_attempt(st, s);
    if (s->state != KL_ST_CONNECTING)
        kl_board_enter(st, s, KL_ST_CONNECTING);
    connect(st, s);
    kl_board_loader_step(st, s);
}

void kl_board_identify_again(struct kl_station *st, struct slot *s, const char *why)
{
    kl_board_give_back_unsent(st, s, "identified again before anything was sent");
    kl_note_text(st, s, KL_NOTE_LOG, why);
    if (++s->restarts > RESTARTS_MAX) {
        kl_board_fail(st, s, KL_FAULT_BOARD_CHANGED, why);
        return;
    }
    kl_board_enter(st, s, KL_ST_CONNECTING);
    connect(st, s);
}

/* ---- ending -----------------------------------------------------------------------------------
 */

/* Closes the record of one try and hands it to the ledger's history. */
void kl_board_finish_attempt(struct kl_station *st, struct slot *s, enum kl_state result)
{
    struct kl_attempt *a = &s->attempt;

    if (!s->attempt_open)
        start_attempt(st, s); /* it failed before it began: the port could not be opened */
    a->took[s->state] += st->now - s->since;
    s->attempt_open = false;
    a->mac = s->identity.mac;
    a->chip = s->identity.chip;
    a->revision = s->identity.revision;
    a->flash_id = s->identity.flash_id;
    a->flash_size = s->identity.flash_size;
    a->baud = s->identity.baud;
    a->ended = st->now;
    a->wall_ended = st->wall;
    a->result = result;
    a->reason = result == KL_ST_FAILED ? s->fault.reason : KL_FAULT_NONE;
    a->chip_error = s->fault.chip_error;
    a->acknowledged_only = s->acknowledged_only;
    kl_copy(a->detail, sizeof a->detail, s->fault.detail);
    kl_copy(a->label, sizeof a->label, s->label);
    s->finished = *a;
    s->result_told = false;
    s->attempt_unsaved = true;
    kl_ask_store(st, s, KL_OP_ATTEMPT, NO_KEY, NULL);
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
static void adapt(struct kl_station *st, struct slot *s, enum kl_policy policy)
{
    char text[KL_TEXT_MAX];

    if (policy == KL_POLICY_RECONNECT) {
        s->memory.reset = KL_RESET_AUTO;
    } else if (policy == KL_POLICY_SLOWER) {
        uint32_t used = s->identity.baud ? s->identity.baud : s->baud_limit;
        uint32_t limit = used < st->config.baud_max ? used : st->config.baud_max;
        s->baud_limit = lower_baud(limit);
        kl_format(text, sizeof text, "next try at %u baud", s->baud_limit);
        kl_note_text(st, s, KL_NOTE_LOG, text);
    }
}

/* Retries left for this reason: then when; else KL_NEVER. */
static kl_us next_try(struct kl_station *st, struct slot *s, enum kl_reason reason)
{
    struct kl_fault_info info = kl_fault_info(reason);
    unsigned allowed = info.retries;
    unsigned used = s->retries_used[reason];

    if (st->config.retries >= 0 && info.policy != KL_POLICY_STOP && info.policy != KL_POLICY_WAIT)
        allowed = (unsigned)st->config.retries;
    if (st->stopping || used >= allowed)
        return KL_NEVER;
    s->retries_used[reason]++;
    adapt(st, s, info.policy);
    return st->now + (info.back_off << (used < 6 ? used : 6));
}

static bool is_about_the_link(enum kl_reason reason)
{
    return reason == KL_FAULT_PORT_LOST || reason == KL_FAULT_PORT_ERROR ||
           reason == KL_FAULT_PORT_BUSY || reason == KL_FAULT_PORT_DENIED ||
           reason == KL_FAULT_LINK_STUCK || reason == KL_FAULT_ADAPTER_SETTING;
}

void kl_board_fail_with(struct kl_station *st, struct slot *s, const struct kl_fault *fault)
{
    kl_us again;

    s->fault = *fault;
    kl_board_finish_attempt(st, s, KL_ST_FAILED);
    if (s->key != NO_KEY)
        kl_pool_leave(&st->pool, s->key);
    again = next_try(st, s, fault->reason);
    if (s->talker == TALK_LOADER)
        s->talker = TALK_NONE;
    kl_board_enter(st, s, KL_ST_FAILED);
    s->failed_at = st->now;
    kl_look_for_common_cause(st);
    s->follow_until = KL_NEVER;
    s->retry_at = again;
    if (is_about_the_link(fault->reason))
        kl_board_close_link(st, s);
    if (again != KL_NEVER)
        return;
    kl_board_finished(st, s, KL_ST_FAILED);
    kl_board_watch_port(st, s);
}

void kl_board_fail(struct kl_station *st, struct slot *s, enum kl_reason reason, const char *detail)
{
    struct kl_fault fault = {.reason = reason};

    kl_copy(fault.detail, sizeof fault.detail, detail ? detail : "");
    kl_board_fail_with(st, s, &fault);
}

void kl_board_skip(struct kl_station *st, struct slot *s)
{
    bool running = kl_state_is_live(s->state);

    if (s->state == KL_ST_EMPTY || s->state == KL_ST_CLOSING || s->state == KL_ST_DONE ||
        s->state == KL_ST_SKIPPED || s->state == KL_ST_RECORDING)
        return; /* RECORDING: the board has proved its key; that can't be skipped any more */
    kl_board_give_back_unsent(st, s, "skipped before anything was sent");
    if (running || s->state == KL_ST_SETTLING)
        kl_board_finish_attempt(st, s, KL_ST_SKIPPED);
    if (s->talker == TALK_LOADER)
        s->talker = TALK_NONE;
    kl_board_enter(st, s, KL_ST_SKIPPED);
    s->finished.result = KL_ST_SKIPPED;
    s->finished.reason = KL_FAULT_NONE;
    kl_board_finished(st, s, KL_ST_SKIPPED);
    kl_board_watch_port(st, s);
    if (s->follow_until != KL_NEVER)
        s->deadline = st->now; /* it is away; whether it comes back is still to be seen */
}

/* Stop was asked for: what has not sent a key yet ends here; the rest is let finish. */
void kl_board_park(struct kl_station *st, struct slot *s)
{
    if (s->state == KL_ST_SENDING || s->state == KL_ST_CONFIRMING || s->state == KL_ST_RECORDING)
        return;
    if (s->state == KL_ST_FAILED)
        kl_board_tell_failure(st, s);
    s->retry_at = KL_NEVER;
    s->reopen_at = KL_NEVER;
    s->start_when_closed = false;
    if (s->state == KL_ST_SETTLING || kl_state_is_live(s->state)) {
        kl_board_give_back_unsent(st, s, "stopped before anything was sent");
        kl_board_fail(st, s, KL_FAULT_STOPPED, "");
    }
}

void kl_board_retry(struct kl_station *st, struct slot *s, bool erase)
{
    if (s->state != KL_ST_FAILED && s->state != KL_ST_SKIPPED && !(erase && s->state == KL_ST_DONE))
        return;
    memset(s->retries_used, 0, sizeof s->retries_used);
    s->restarts = 0;
    s->erase = erase;
    s->finished_once = false;
    s->opens_failed = 0;
    s->follow_until = KL_NEVER;
    kl_board_enter(st, s, KL_ST_SETTLING);
    kl_board_try_start(st, s);
}

/* ---- the loader's part of a life --------------------------------------------------------------
 */

static const struct kl_bundle *bundle_of(const struct kl_station *st, const struct slot *s)
{
    if (s->erase || !st->config.bundle)
        return s->erase ? &st->erase_bundle : NULL;
    return s->key != NO_KEY ? &st->keyed_bundle : st->config.bundle;
}

static void start_task(struct kl_station *st, struct slot *s, enum kl_state state,
                       enum kl_loader_task task)
{
    s->verify_again = false;
    kl_board_enter(st, s, state);
    kl_loader_start(&s->loader, task, bundle_of(st, s), st->now);
}

/* The slot that shows this board's MAC too; NULL if there is none. A result whose port is gone is
   no board that is there; nor is one at a needle bed, where it may outlive its board for a moment.
 */
static const struct slot *other_with_mac(const struct kl_station *st, const struct slot *s)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        const struct slot *other = &st->slot[i];
        bool rests = other->state != KL_ST_EMPTY && other->state != KL_ST_CLOSING &&
                     other->link == LINK_OPEN && !st->config.fixture;
        if (other != s && (kl_state_is_live(other->state) || rests) &&
            kl_mac_equal(&other->identity.mac, &s->identity.mac))
            return other;
    }
    return NULL;
}

/* A board that hands have moved may be here before its old slot has heard that it is gone. If so,
   nothing was heard there since this try began; two real boards both talk. */
static bool is_alone(struct kl_station *st, struct slot *s)
{
    const struct slot *other = other_with_mac(st, s);
    bool silent = other && kl_state_is_live(other->state) && other->heard_at < s->attempt.started;

    if (other)
        kl_board_fail(st, s, silent ? KL_FAULT_MAC_LINGERS : KL_FAULT_MAC_LIVE_TWICE, other->name);
    return !other;
}

/* A board that was to be tried again will not be. */
void kl_board_tell_failure(struct kl_station *st, struct slot *s)
{
    if (!s->result_told && s->finished.result == KL_ST_FAILED)
        kl_board_finished(st, s, KL_ST_FAILED);
}

/* Where no port tells that a board leaves, the one tried before may have been another. It is given
   up here; its tries, and what was wanted of it, are not this one's. */
static void look_who_is_tried(struct kl_station *st, struct slot *s)
{
    bool another = kl_mac_is_set(&s->seen) && !kl_mac_equal(&s->seen, &s->identity.mac);

    s->seen = s->identity.mac;
    if (!another || s->tries < 2)
        return;
    kl_note_text(st, s, KL_NOTE_PORT, "another board is in its place");
    kl_board_tell_failure(st, s);
    memset(s->retries_used, 0, sizeof s->retries_used);
    s->tries = s->attempt.tries = 1;
    s->erase = false;
}

static void identified(struct kl_station *st, struct slot *s)
{
    struct queued *q;

    s->identity = *kl_loader_identity(&s->loader);
    look_who_is_tried(st, s);
    q = kl_queue_note(st, s, KL_NOTE_CHIP);
    q->identity = s->identity;
    if (!is_alone(st, s))
        return;
    if (st->config.chip != KL_CHIP_NONE && st->config.chip != s->identity.chip) {
        kl_board_fail(st, s, KL_FAULT_WRONG_CHIP, kl_chip(s->identity.chip)->name);
        return;
    }
    kl_board_recognise(st, s);
    s->erase |= kl_mac_equal(&s->damaged, &s->identity.mac);
    s->damaged = (struct kl_mac){0};
    if (st->config.bundle) {
        s->rate_at = st->now;
        s->rate_done = 0;
        s->rate = 0;
        start_task(st, s, KL_ST_FLASHING, KL_LOADER_FLASH);
    } else {
        start_task(st, s, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

/* The board's own key must be known before the board can print it. Where that took time, the board
   proves once more that it is the one in the loader: it is reset into its program at once then. */
static void verified(struct kl_station *st, struct slot *s)
{
    if (s->fetching) {
        s->verify_again = true;
        s->deadline = st->now + KL_SEC(10);
    } else if (s->verify_again) {
        s->verify_again = false;
        s->deadline = KL_NEVER;
        kl_loader_start(&s->loader, KL_LOADER_VERIFY, bundle_of(st, s), st->now);
    } else {
        start_task(st, s, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

static void loader_done(struct kl_station *st, struct slot *s)
{
    switch (s->state) {
    case KL_ST_CONNECTING:
        start_task(st, s, KL_ST_IDENTIFYING, KL_LOADER_IDENTIFY);
        break;
    case KL_ST_IDENTIFYING:
        identified(st, s);
        break;
    case KL_ST_FLASHING:
        s->erase = false;
        start_task(st, s, KL_ST_VERIFYING, KL_LOADER_VERIFY);
        break;
    case KL_ST_VERIFYING:
        verified(st, s);
        break;
    case KL_ST_BOOTING:
        kl_board_listen(st, s);
        break;
    default:
        KL_ASSERT(!"the loader finished a task that nobody started");
    }
}

static void note_progress(struct kl_station *st, struct slot *s)
{
    const struct kl_loader_progress *p = kl_loader_progress(&s->loader);
    kl_us elapsed = st->now - s->rate_at;
    struct queued *q;

    if (s->state != KL_ST_FLASHING || p->done == s->rate_done)
        return;
    if (elapsed >= KL_MS(500)) {
        uint64_t per_second = (p->done - s->rate_done) * 1000000u / (uint64_t)elapsed;
        s->rate =
            s->rate ? (uint32_t)((3 * (uint64_t)s->rate + per_second) / 4) : (uint32_t)per_second;
        s->rate_done = p->done;
        s->rate_at = st->now;
    }
    if (st->now - s->progress_noted < KL_MS(100))
        return;
    q = kl_queue_note(st, s, KL_NOTE_PROGRESS);
    if (q) {
        s->progress_noted = st->now;
        q->progress = *p;
    }
}

static void tell_line(struct kl_station *st, struct slot *s)
{
    if (s->line_size == 0)
        return;
    kl_mask_line(s->line, &s->line_size, sizeof s->line - 1, NULL);
    s->line[s->line_size] = '\0';
    kl_note_text(st, s, KL_NOTE_LOG, s->line);
    s->line_size = 0;
}

static void tell_loader_text(struct kl_station *st, struct slot *s)
{
    char text[KL_TEXT_MAX];
    size_t n;

    while (kl_loader_note(&s->loader, text))
        kl_note_text(st, s, KL_NOTE_LOG, text);
    while ((n = kl_loader_text(&s->loader, text, sizeof text)) > 0) {
        for (size_t i = 0; i < n; i++) {
            bool ends = text[i] == '\n' || text[i] == '\r';
            if (!ends)
                s->line[s->line_size++] = text[i];
            if (ends || s->line_size == sizeof s->line - 1)
                tell_line(st, s);
        }
    }
    if (kl_loader_status(&s->loader) != KL_LOADER_BUSY)
        tell_line(st, s);
}

/* After anything that may have moved the loader on. */
void kl_board_loader_step(struct kl_station *st, struct slot *s)
{
    /* Each task may end in the very call that starts it, so this goes on until one is busy. */
    for (int steps = 0; s->talker == TALK_LOADER; steps++) {
        enum kl_state state = s->state;

        KL_ASSERT(steps < 8);
        if (kl_fixture_is_probing(s)) {
            kl_fixture_step(st, s);
            break;
        }
        tell_loader_text(st, s);
        note_progress(st, s);
        if (kl_loader_status(&s->loader) == KL_LOADER_BUSY)
            break;
        s->memory = *kl_loader_memory(&s->loader);
        if (kl_loader_status(&s->loader) == KL_LOADER_FAILED) {
            kl_board_fail_with(st, s, kl_loader_fault(&s->loader));
            break;
        }
        loader_done(st, s);
        if (s->state == state)
            break; /* waits for its own key before it is started */
    }
}

/* ---- what the link brings ---------------------------------------------------------------------
 */

void kl_board_rx(struct kl_station *st, struct slot *s, const uint8_t *data, size_t size)
{
    s->heard_at = st->now;
    if (s->talker == TALK_LOADER) {
        kl_loader_rx(&s->loader, data, size, st->now);
        kl_board_loader_step(st, s);
        return;
    }
    /* In portions, so that the handover's events are taken before there are too many. */
    while (size > 0 && s->talker == TALK_HANDOVER) {
        size_t n = size < 128 ? size : 128;
        kl_handover_rx(&s->handover, data, n, st->now);
        data += n;
        size -= n;
        kl_board_handover_step(st, s);
    }
}

void kl_board_io_done(struct kl_station *st, struct slot *s, uint32_t request, bool ok)
{
    if (s->talker != TALK_LOADER || (int32_t)(request - s->io_floor) <= 0) {
        st->stale++;
        return;
    }
    kl_loader_io_done(&s->loader, ok, st->now);
    kl_board_loader_step(st, s);
}

static void state_overdue(struct kl_station *st, struct slot *s)
{
    switch (s->state) {
    case KL_ST_EMPTY:
        /* --once, and nothing was ever plugged in here. */
        s->retries_used[KL_FAULT_PORT_ERROR] = UINT8_MAX;
        kl_board_fail(st, s, KL_FAULT_PORT_ERROR, "nothing is plugged in here");
        break;
    case KL_ST_SETTLING:
        kl_board_try_start(st, s);
        break;
    case KL_ST_VERIFYING:
        s->fetching = false; /* the store is slow: go on without comparing */
        s->deadline = KL_NEVER;
        kl_board_loader_step(st, s);
        break;
    case KL_ST_CLOSING:
        s->deadline = st->now + KL_SEC(60);
        break;
    case KL_ST_RESERVING:
    case KL_ST_RECORDING:
        /* The store always answers; until it does, the board waits visibly. */
        if (s->fault.reason == KL_FAULT_NONE) {
            s->fault = (struct kl_fault){.reason = KL_FAULT_STORE_TROUBLE,
                                         .detail = "the disk does not answer"};
            kl_note_key(st, s, "waiting", s->fault.detail);
        }
        s->deadline = st->now + KL_SEC(5);
        break;
    default:
        s->deadline = KL_NEVER;
    }
}

/* Everything that is due. */
void kl_board_tick(struct kl_station *st, struct slot *s)
{
    if (s->link_deadline <= st->now)
        kl_board_link_overdue(st, s);
    if (s->reopen_at <= st->now) {
        s->reopen_at = KL_NEVER;
        if (s->link == LINK_CLOSED && !st->stopping)
            kl_board_open_link(st, s);
        else
            s->reopen_at = st->stopping ? KL_NEVER : st->now + KL_MS(250);
    }
    if (s->retry_at <= st->now) {
        kl_board_enter(st, s, KL_ST_SETTLING);
        kl_board_try_start(st, s);
    }
    if (s->follow_until != KL_NEVER && s->deadline <= st->now)
        kl_board_follow_again(st, s);
    else if (s->deadline <= st->now)
        state_overdue(st, s);
    if (s->talker == TALK_LOADER && kl_loader_deadline(&s->loader) <= st->now) {
        kl_loader_tick(&s->loader, st->now);
        kl_board_loader_step(st, s);
    }
    kl_board_key_tick(st, s);
    if (st->config.fixture)
        kl_fixture_tick(st, s);
}

static kl_us earlier(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

kl_us kl_board_deadline(const struct slot *s)
{
    kl_us at = earlier(s->deadline, s->link_deadline);

    at = earlier(at, s->reopen_at);
    at = earlier(at, s->retry_at);
    at = earlier(at, s->store_retry_at);
    at = earlier(at, s->probe_at);
    if (s->talker == TALK_LOADER)
        at = earlier(at, kl_loader_deadline(&s->loader));
    else if (s->talker == TALK_HANDOVER)
        at = earlier(at, kl_handover_deadline(&s->handover));
    return at;
}
