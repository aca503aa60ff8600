/*
 * board_presence.c: needle beds. While a board rests or waits for its turn, the station now and
 * then resets the chip into its loader and asks for its MAC. So it notices a board that comes,
 * leaves or is exchanged. The reset comes first, and the board stays in its loader: nobody knows
 * what a running program would make of a loader's bytes.
 */
#include "station_state.h"

#define LOOK_EACH KL_SEC(2)

static bool may_be_looked_for(const struct kl_board *b)
{
    bool tried_again = b->state == KL_ST_FAILED && b->attempts.retry_at != KL_NEVER;

    return (kl_board_rests(b) && !tried_again) ||
           (kl_board_is_settled(b) && b->port.state == KL_PORT_OPEN);
}

bool kl_presence_watches(const struct kl_station *st, const struct kl_board *b)
{
    return st->config.fixture && b->place.exists && !st->mode.stopping && may_be_looked_for(b);
}

static void start_look(struct kl_station *st, struct kl_board *b)
{
    /* The ROM loader at the first rate is enough to read a MAC. */
    struct kl_loader_setup setup = {
        .console = &b->console,
        .link = b->port.kind,
        .memory.reset = b->presence.misses % 2 ? KL_RESET_AUTO : b->place.memory.reset,
        .baud_max = 115200,
        .connect_attempts = 1,
    };

    KL_ASSERT(b->port.state == KL_PORT_OPEN && !kl_state_is_live(b->state));
    kl_board_talk(b, KL_TALK_PRESENCE);
    kl_presence_greet(&b->presence);
    kl_port_new_talk(&b->port);
    kl_loader_init(&b->loader, &setup);
    kl_loader_start(&b->loader, KL_LOADER_CONNECT, NULL, st->now);
}

static void end_look(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->talker == KL_TALK_PRESENCE);
    kl_console_open(&b->console); /* the board is not at work: forget what it said */
    kl_board_talk(b, KL_TALK_NONE);
    kl_presence_wait(&b->presence, st->now + LOOK_EACH);
}

/* The board that was here is gone; the link stays open. */
static void left(struct kl_station *st, struct kl_board *b, const char *why)
{
    KL_ASSERT(st->config.fixture && b->state != KL_ST_EMPTY);
    kl_tell_text(st, b, KL_NOTE_PORT, why);
    kl_board_tell_failure(st, b);
    kl_board_forget(st, b);
    kl_board_enter(st, b, KL_ST_CLOSING);
    kl_board_enter(st, b, KL_ST_EMPTY);
}

static void found(struct kl_station *st, struct kl_board *b, const struct kl_mac *mac)
{
    bool same = kl_presence_saw(&b->presence, mac) == KL_PRESENCE_SAME;
    /* A board that failed because nothing answered counts as having been away. */
    bool was_away = b->state == KL_ST_FAILED && b->fault.reason == KL_FAULT_NO_SYNC;

    if (b->state != KL_ST_EMPTY && same && !was_away)
        return;
    if (b->state != KL_ST_EMPTY)
        left(st, b,
             was_away ? "a board is in the fixture again" : "another board is in the fixture");
    kl_presence_remember(&b->presence, mac);
    kl_board_plugged(st, b);
}

static void missed(struct kl_station *st, struct kl_board *b)
{
    if (kl_presence_missed(&b->presence) == KL_PRESENCE_NOBODY && b->state != KL_ST_EMPTY)
        left(st, b, "the fixture is empty");
}

void kl_board_presence_step(struct kl_station *st, struct kl_board *b)
{
    enum kl_loader_status status = kl_loader_status(&b->loader);
    bool answered = b->presence.state == KL_PRESENCE_ASKS;
    struct kl_mac mac;

    KL_ASSERT(kl_presence_is_looking(&b->presence));
    if (status == KL_LOADER_BUSY)
        return;
    if (status == KL_LOADER_DONE && !answered) {
        kl_presence_ask(&b->presence);
        kl_loader_start(&b->loader, KL_LOADER_IDENTIFY, NULL, st->now);
        return;
    }
    end_look(st, b);
    mac = kl_loader_identity(&b->loader)->mac;
    /* A chip that answers without a MAC is there all the same; its try will tell why. But if the
       last chip here showed a MAC, a bad contact may be the cause. */
    if (kl_mac_is_set(&mac) ||
        (answered && (b->state == KL_ST_EMPTY || !kl_mac_is_set(&b->presence.seen))))
        found(st, b, &mac);
    else
        missed(st, b);
}

void kl_board_presence_tick(struct kl_station *st, struct kl_board *b)
{
    struct kl_presence *p = &b->presence;

    KL_ASSERT((b->talker == KL_TALK_PRESENCE) == kl_presence_is_looking(p));
    if (b->talker == KL_TALK_PRESENCE)
        return;
    if (!kl_presence_watches(st, b)) {
        kl_presence_stop(p);
        return;
    }
    if (p->state == KL_PRESENCE_IDLE)
        kl_presence_wait(p, st->now + (b->state == KL_ST_EMPTY ? 0 : LOOK_EACH));
    if (p->at > st->now)
        return;
    if (b->port.state == KL_PORT_OPEN) {
        start_look(st, b);
        return;
    }
    kl_presence_wait(p, st->now + LOOK_EACH);
    if (b->port.state == KL_PORT_CLOSED && b->port.plugged && b->port.again.at == KL_NEVER)
        kl_port_try_at(&b->port, st->now);
}
