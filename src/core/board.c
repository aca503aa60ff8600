/*
 * board.c: the life of a board: the table of states, the beginning of a try, what is due when. What
 * the rooms of a board are, and which file acts on which: board.h.
 */
#include "station_state.h"

#include <string.h>

#define BIT(state) (1u << KL_ST_##state)

/* Where each state may lead. Any state may also fail, be skipped, or close. */
static const uint32_t edges[KL_ST_COUNT] = {
    [KL_ST_EMPTY] = BIT(SETTLING),
    [KL_ST_SETTLING] = BIT(CONNECTING) | BIT(EMPTY),
    [KL_ST_CONNECTING] = BIT(IDENTIFYING) | BIT(SETTLING),
    [KL_ST_IDENTIFYING] = BIT(FLASHING) | BIT(BOOTING) | BIT(CONNECTING),
    [KL_ST_FLASHING] = BIT(VERIFYING),
    [KL_ST_VERIFYING] = BIT(BOOTING) | BIT(ASKING), /* --deliver nvs asks before the boot */
    [KL_ST_BOOTING] =
        BIT(ASKING) | BIT(RECORDING) | BIT(TESTING) | BIT(DONE) | BIT(CONNECTING) | BIT(SETTLING),
    [KL_ST_ASKING] = BIT(RESERVING) | BIT(SENDING) | BIT(RECORDING) | BIT(TESTING) | BIT(DONE) |
                     BIT(CONNECTING) | BIT(BOOTING),
    [KL_ST_RESERVING] = BIT(SENDING) | BIT(CONNECTING) | BIT(ASKING),
    [KL_ST_SENDING] = BIT(CONFIRMING) | BIT(RECORDING) | BIT(TESTING) | BIT(DONE) | BIT(CONNECTING),
    [KL_ST_CONFIRMING] = BIT(BOOTING) | BIT(RECORDING) | BIT(TESTING) | BIT(DONE) | BIT(CONNECTING),
    [KL_ST_RECORDING] = BIT(TESTING) | BIT(DONE) | BIT(BOOTING),
    [KL_ST_TESTING] = BIT(DONE) | BIT(CONNECTING),
    [KL_ST_DONE] = BIT(EMPTY) | BIT(SETTLING),
    [KL_ST_FAILED] = BIT(CONNECTING) | BIT(SETTLING) | BIT(EMPTY),
    [KL_ST_SKIPPED] = BIT(CONNECTING) | BIT(SETTLING) | BIT(EMPTY),
    [KL_ST_CLOSING] = BIT(EMPTY),
};

static const uint32_t from_anywhere = BIT(FAILED) | BIT(SKIPPED) | BIT(CLOSING);

void kl_board_init(struct kl_board *b, unsigned index, const char *name, bool network,
                   const struct kl_station_config *config)
{
    struct kl_port port = b->port;

    KL_ASSERT(index < KL_SLOTS_MAX && !b->place.exists);
    kl_port_init(&port, network);
    memset(b, 0, sizeof *b);
    b->port = port;
    b->place.index = index;
    b->place.exists = true;
    kl_copy(b->place.name, sizeof b->place.name, name);
    b->deadline = b->attempts.retry_at = KL_NEVER;
    kl_presence_init(&b->presence);
    kl_custody_init(&b->custody, config->nvs ? config->nvs->room[index].text : NULL);
    kl_watch_init(&b->watch, config->exam);
    kl_console_init(&b->console, &b->custody.key, &config->words);
    kl_console_show_all(&b->console, &b->watch);
    kl_delivery_end(&b->delivery);
}

/* What the board says counts for its test from the start of its program; with a key that it is
   handed, from its acknowledgement. A board that left while its key was recorded starts its program
   when it is back. */
static void watch_on(struct kl_station *st, struct kl_board *b, enum kl_state state)
{
    bool starts = state == KL_ST_BOOTING || state == KL_ST_CONFIRMING;

    if (starts || (state == KL_ST_TESTING && !b->watch.listens))
        kl_watch_begin(&b->watch);
    else if (state == KL_ST_CONNECTING || !kl_state_is_live(state))
        kl_watch_end(&b->watch);
    if (state == KL_ST_TESTING)
        kl_watch_run(&b->watch, st->now);
}

void kl_board_enter(struct kl_station *st, struct kl_board *b, enum kl_state state)
{
    enum kl_state before = b->state;
    struct kl_noted *n;

    KL_ASSERT((unsigned)state < KL_ST_COUNT);
    KL_ASSERT((edges[before] | from_anywhere) & 1u << state);
    kl_attempts_spend(&b->attempts, before, st->now - b->since);
    b->state = state;
    b->stage = KL_STAGE_FRESH;
    b->since = st->now;
    b->deadline = KL_NEVER;
    b->attempts.retry_at = KL_NEVER;
    watch_on(st, b, state);
    if (state != KL_ST_FAILED)
        b->fault = (struct kl_fault){0};
    n = kl_tell(st, b, KL_NOTE_STATE);
    n->note.before = before;
}

bool kl_state_is_live(enum kl_state state)
{
    KL_ASSERT((unsigned)state < KL_ST_COUNT);
    return state >= KL_ST_CONNECTING && state <= KL_ST_TESTING;
}

bool kl_board_rests(const struct kl_board *b)
{
    return b->state == KL_ST_EMPTY || b->state == KL_ST_DONE || b->state == KL_ST_FAILED ||
           b->state == KL_ST_SKIPPED;
}

bool kl_board_is_settled(const struct kl_board *b)
{
    return b->state == KL_ST_SETTLING && b->stage == KL_STAGE_SETTLED;
}

void kl_board_talk(struct kl_board *b, enum kl_talker talker)
{
    KL_ASSERT(talker == KL_TALK_NONE || b->port.state == KL_PORT_OPEN);
    if (b->talker == KL_TALK_PRESENCE)
        kl_presence_stop(&b->presence);
    b->talker = talker;
}

/* ---- starting ---- */

void kl_board_plugged(struct kl_station *st, struct kl_board *b)
{
    kl_us settle = b->port.network ? 0 : st->config.settle;

    if (kl_port_is_away(&b->port) || b->state != KL_ST_EMPTY)
        return;
    if (st->config.fixture && b->port.state == KL_PORT_CLOSED) {
        /* The adapter is there; only talking tells whether a board is. */
        kl_port_try_at(&b->port, st->now);
        return;
    }
    kl_board_enter(st, b, KL_ST_SETTLING);
    b->deadline = st->now + settle;
    if (settle == 0)
        kl_board_try_start(st, b);
}

void kl_board_try_start(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_SETTLING);
    b->stage = KL_STAGE_SETTLED;
    if (!kl_may_start(st, b)) {
        b->deadline = st->now + KL_SEC(1);
        return;
    }
    b->deadline = KL_NEVER; /* the port's own holds, or the loader's */
    switch (b->port.state) {
    case KL_PORT_OPEN:
        kl_board_begin(st, b, false);
        break;
    case KL_PORT_CLOSED:
        b->stage = KL_STAGE_FRESH;
        kl_board_open_port(st, b);
        break;
    case KL_PORT_OPENING:
    case KL_PORT_CLOSING:
        kl_port_start_when_closed(&b->port);
        break;
    }
}

void kl_board_begin(struct kl_station *st, struct kl_board *b, bool reset_done)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN);
    b->stage = KL_STAGE_FRESH;
    if (!kl_attempts_is_lived(&b->attempts)) {
        kl_attempts_begin(&b->attempts, st->now, st->wall);
        kl_port_new_try(&b->port);
    }
    if (b->state != KL_ST_CONNECTING)
        kl_board_enter(st, b, KL_ST_CONNECTING);
    kl_board_connect(st, b, reset_done);
    kl_board_loader_step(st, b);
}

void kl_board_identify_again(struct kl_station *st, struct kl_board *b, const char *why)
{
    KL_ASSERT(kl_state_is_live(b->state) && b->state != KL_ST_SENDING);
    kl_board_give_back_unsent(st, b, "identified again before anything was sent");
    kl_tell_text(st, b, KL_NOTE_LOG, why);
    if (!kl_attempts_may_restart(&b->attempts)) {
        kl_board_fail(st, b, KL_FAULT_BOARD_CHANGED, why);
        return;
    }
    kl_board_enter(st, b, KL_ST_CONNECTING);
    kl_board_connect(st, b, false);
}

void kl_board_forget(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(!kl_state_is_live(b->state));
    kl_board_talk(b, KL_TALK_NONE);
    kl_board_forget_key(st, b);
    kl_attempts_forget(&b->attempts);
    kl_presence_forget(&b->presence);
    kl_port_unfollow(&b->port);
    b->stage = KL_STAGE_FRESH;
    b->identity = (struct kl_identity){0};
    b->fault = (struct kl_fault){0};
    b->pace.bytes_per_second = 0;
}

/* ---- what the link brings ---- */

/* The only place where a board's words leave the core, as its console shows them. */
void kl_board_tell_console(struct kl_station *st, struct kl_board *b)
{
    char text[KL_TEXT_MAX];

    while (kl_console_next(&b->console, text))
        kl_tell_text(st, b, KL_NOTE_LOG, text);
}

void kl_board_rx(struct kl_station *st, struct kl_board *b, const uint8_t *data, size_t size)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN);
    b->heard_at = st->now;
    if (b->talker == KL_TALK_LOADER || b->talker == KL_TALK_PRESENCE) {
        kl_loader_rx(&b->loader, data, size, st->now);
        kl_board_loader_step(st, b);
        return;
    }
    /* Line by line: one line may change who hears the next. */
    while (size > 0 && b->talker == KL_TALK_DELIVERY) {
        size_t n = kl_delivery_rx(&b->delivery, data, size, st->now);
        data += n;
        size -= n;
        kl_board_delivery_step(st, b);
        kl_board_exam_step(st, b);
    }
}

void kl_board_io_done(struct kl_station *st, struct kl_board *b, uint32_t request, bool ok)
{
    bool loads = b->talker == KL_TALK_LOADER || b->talker == KL_TALK_PRESENCE;

    KL_ASSERT(b->port.state == KL_PORT_OPEN);
    if (!loads || !kl_port_is_of_this_talk(&b->port, request)) {
        return;
    }
    kl_loader_io_done(&b->loader, ok, st->now);
    kl_board_loader_step(st, b);
}

/* ---- what is due ---- */

/* The store always answers; until then the board waits, and the screen shows it. */
static void wait_for_store(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(st->store.pending > 0 || b->custody.ask_again_at != KL_NEVER);
    if (b->fault.reason == KL_FAULT_NONE) {
        b->fault = (struct kl_fault){.reason = KL_FAULT_STORE_TROUBLE,
                                     .detail = "the disk does not answer"};
        kl_tell_key(st, b, "waiting", b->fault.detail);
    }
    b->deadline = st->now + KL_SEC(5);
}

static void state_overdue(struct kl_station *st, struct kl_board *b)
{
    switch (b->state) {
    case KL_ST_EMPTY: /* --once promises a result for every slot */
        kl_board_give_up(st, b, KL_FAULT_PORT_ERROR, "nothing is plugged in here");
        break;
    case KL_ST_SETTLING:
        kl_board_try_start(st, b);
        break;
    case KL_ST_IDENTIFYING:
    case KL_ST_VERIFYING: /* the store is slow: go on without comparing */
        b->deadline = KL_NEVER;
        kl_custody_go_on(&b->custody);
        kl_board_loader_step(st, b);
        break;
    case KL_ST_ASKING: /* --deliver nvs: the board waits for a key and must prove that it is still
                          there */
        kl_board_nvs_read_again(st, b);
        break;
    case KL_ST_BOOTING: /* --deliver nvs: the board did not leave the bus */
        kl_board_done(st, b);
        break;
    case KL_ST_CLOSING:
        b->deadline = st->now + KL_SEC(60);
        break;
    case KL_ST_RESERVING:
    case KL_ST_RECORDING:
        wait_for_store(st, b);
        break;
    default:
        KL_ASSERT(!"this state has no deadline of its own");
    }
}

static void talk_is_due(struct kl_station *st, struct kl_board *b)
{
    bool loads = b->talker == KL_TALK_LOADER || b->talker == KL_TALK_PRESENCE;

    if (loads && kl_loader_deadline(&b->loader) <= st->now) {
        kl_loader_tick(&b->loader, st->now);
        kl_board_loader_step(st, b);
    }
    if (b->custody.ask_again_at <= st->now)
        kl_board_ask_store_again(st, b);
    if (b->talker == KL_TALK_DELIVERY && kl_delivery_deadline(&b->delivery) <= st->now) {
        kl_delivery_tick(&b->delivery, st->now);
        kl_board_delivery_step(st, b);
    }
    kl_board_exam_step(st, b);
}

void kl_board_tick(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->attempts.retry_at == KL_NEVER || b->state == KL_ST_FAILED);
    kl_board_port_tick(st, b);
    if (b->attempts.retry_at <= st->now) {
        kl_board_enter(st, b, KL_ST_SETTLING);
        kl_board_try_start(st, b);
    }
    if (b->deadline <= st->now)
        state_overdue(st, b);
    talk_is_due(st, b);
    if (st->config.fixture)
        kl_board_presence_tick(st, b);
}

static kl_us earlier(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

kl_us kl_board_deadline(const struct kl_board *b)
{
    kl_us at = earlier(b->deadline, kl_port_deadline(&b->port));

    at = earlier(at, b->attempts.retry_at);
    at = earlier(at, b->custody.ask_again_at);
    at = earlier(at, b->presence.at);
    at = earlier(at, b->watch.until);
    if (b->talker == KL_TALK_LOADER || b->talker == KL_TALK_PRESENCE)
        at = earlier(at, kl_loader_deadline(&b->loader));
    else if (b->talker == KL_TALK_DELIVERY)
        at = earlier(at, kl_delivery_deadline(&b->delivery));
    return at;
}
