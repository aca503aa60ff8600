/*
 * board_fixture.c: needle beds. The adapter stays while boards come and go, so presence, absence
 * and exchange are found by talking to the chip: while a board rests or waits for its turn it is
 * reset into its loader now and then and asked for its MAC. The reset comes first, and the board is
 * left in its loader: what a running program would make of a loader's bytes is not known.
 */
#include "station_state.h"

enum {
    MISSES_MAX = 2
}; /* one unanswered call may be a bad contact; two are an empty fixture */

static bool is_at_rest(const struct slot *s)
{
    return s->state == KL_ST_EMPTY || s->state == KL_ST_DONE || s->state == KL_ST_SKIPPED ||
           (s->state == KL_ST_FAILED && s->retry_at == KL_NEVER) ||
           (s->state == KL_ST_SETTLING && s->settled && s->link == LINK_OPEN);
}

bool kl_fixture_is_probing(const struct slot *s)
{
    return s->talker == TALK_LOADER && !kl_state_is_live(s->state);
}

bool kl_fixture_watches(const struct kl_station *st, const struct slot *s)
{
    return st->config.fixture && s->exists && !st->stopping && is_at_rest(s);
}

static void start_probe(struct kl_station *st, struct slot *s)
{
    /* The ROM loader at the first rate is enough to read a MAC. */
    struct kl_loader_setup setup = {
        .link = s->kind,
        .memory.reset = s->probe_misses % 2 ? KL_RESET_AUTO : s->memory.reset,
        .baud_max = 115200,
        .connect_attempts = 1,
    };

    s->probe_identifies = false;
    s->probe_at = KL_NEVER;
    s->io_floor = s->request;
    s->talker = TALK_LOADER;
    kl_loader_init(&s->loader, &setup);
    kl_loader_start(&s->loader, KL_LOADER_CONNECT, NULL, st->now);
}

static void end_probe(struct kl_station *st, struct slot *s)
{
    s->talker = TALK_NONE;
    s->probe_at = st->now + KL_SEC(2);
}

static void found(struct kl_station *st, struct slot *s, const struct kl_mac *mac)
{
    /* A board that failed because nothing answered has been away. */
    bool was_away = s->state == KL_ST_FAILED && s->fault.reason == KL_FAULT_NO_SYNC;

    s->probe_misses = 0;
    if (s->state != KL_ST_EMPTY && kl_mac_equal(mac, &s->seen) && !was_away)
        return;
    if (s->state != KL_ST_EMPTY)
        kl_board_left_fixture(st, s,
                              was_away ? "a board is in the fixture again"
                                       : "another board is in the fixture");
    s->seen = *mac;
    kl_board_plugged(st, s);
}

static void missed(struct kl_station *st, struct slot *s)
{
    s->probe_misses++;
    if (s->state != KL_ST_EMPTY && s->probe_misses >= MISSES_MAX)
        kl_board_left_fixture(st, s, "the fixture is empty");
}

void kl_fixture_step(struct kl_station *st, struct slot *s)
{
    enum kl_loader_status status = kl_loader_status(&s->loader);
    struct kl_mac mac;

    if (status == KL_LOADER_BUSY)
        return;
    if (status == KL_LOADER_DONE && !s->probe_identifies) {
        s->probe_identifies = true;
        kl_loader_start(&s->loader, KL_LOADER_IDENTIFY, NULL, st->now);
        return;
    }
    end_probe(st, s);
    mac = kl_loader_identity(&s->loader)->mac;
    /* A chip that answers without a MAC is there all the same, and its life tells why; but where
       one with a MAC was, it may be a bad contact. */
    if (kl_mac_is_set(&mac) ||
        (s->probe_identifies && (s->state == KL_ST_EMPTY || !kl_mac_is_set(&s->seen))))
        found(st, s, &mac);
    else
        missed(st, s);
}

void kl_fixture_tick(struct kl_station *st, struct slot *s)
{
    if (kl_fixture_is_probing(s))
        return;
    if (!kl_fixture_watches(st, s)) {
        s->probe_at = KL_NEVER;
        return;
    }
    if (s->probe_at == KL_NEVER)
        s->probe_at = st->now + (s->state == KL_ST_EMPTY ? 0 : KL_SEC(2));
    if (s->probe_at > st->now)
        return;
    if (s->link == LINK_OPEN) {
        start_probe(st, s);
    } else {
        s->probe_at = st->now + KL_SEC(2);
        if (s->link == LINK_CLOSED && s->plugged && s->reopen_at == KL_NEVER)
            s->reopen_at = st->now;
    }
}
