/*
 * board_presence.c: needle beds. The adapter stays while boards come and go, so presence, absence
 * and exchange are found by talking to the chip: while a board rests or waits for its turn it is
 * reset into its loader now and then and asked for its MAC. The reset comes first, and the board is
 * left in its loader: what a running program would make of a loader's bytes is not known.
 */
#include "station_state.h"

enum {
    MISSES_MAX = 2
}; /* one unanswered call may be a bad contact; two are an empty fixture */

static bool is_at_rest(const struct kl_board *b)
{
    return b->state == KL_ST_EMPTY || b->state == KL_ST_DONE || b->state == KL_ST_SKIPPED ||
           (b->state == KL_ST_FAILED && b->retry_at == KL_NEVER) ||
           (b->state == KL_ST_SETTLING && b->settled && b->port.state == KL_PORT_OPEN);
}

bool kl_fixture_is_probing(const struct kl_board *b)
{
    return b->talker == TALK_LOADER && !kl_state_is_live(b->state);
}

bool kl_fixture_watches(const struct kl_station *st, const struct kl_board *b)
{
    return st->config.fixture && b->exists && !st->stopping && is_at_rest(b);
}

static void start_probe(struct kl_station *st, struct kl_board *b)
{
    /* The ROM loader at the first rate is enough to read a MAC. */
    struct kl_loader_setup setup = {
        .link = b->port.kind,
        .first = b->probe_misses % 2 ? KL_RESET_AUTO : b->strategy,
        .baud_max = 115200,
        .connect_attempts = 1,
    };

    b->probe_identifies = false;
    b->probe_at = KL_NEVER;
    kl_port_new_talk(&b->port);
    b->talker = TALK_LOADER;
    kl_loader_init(&b->loader, &setup);
    kl_loader_start(&b->loader, KL_LOADER_CONNECT, NULL, st->now);
}

static void end_probe(struct kl_station *st, struct kl_board *b)
{
    b->talker = TALK_NONE;
    b->probe_at = st->now + KL_SEC(2);
}

static void found(struct kl_station *st, struct kl_board *b, const struct kl_mac *mac)
{
    /* A board that failed because nothing answered has been away. */
    bool was_away = b->state == KL_ST_FAILED && b->fault.reason == KL_FAULT_NO_SYNC;

    b->probe_misses = 0;
    if (b->state != KL_ST_EMPTY && kl_mac_equal(mac, &b->seen) && !was_away)
        return;
    if (b->state != KL_ST_EMPTY)
        kl_board_left_fixture(st, b,
                              was_away ? "a board is in the fixture again"
                                       : "another board is in the fixture");
    b->seen = *mac;
    kl_board_plugged(st, b);
}

static void missed(struct kl_station *st, struct kl_board *b)
{
    b->probe_misses++;
    if (b->state != KL_ST_EMPTY && b->probe_misses >= MISSES_MAX)
        kl_board_left_fixture(st, b, "the fixture is empty");
}

void kl_fixture_step(struct kl_station *st, struct kl_board *b)
{
    enum kl_loader_status status = kl_loader_status(&b->loader);
    struct kl_mac mac;

    if (status == KL_LOADER_BUSY)
        return;
    if (status == KL_LOADER_DONE && !b->probe_identifies) {
        b->probe_identifies = true;
        kl_loader_start(&b->loader, KL_LOADER_IDENTIFY, NULL, st->now);
        return;
    }
    end_probe(st, b);
    mac = kl_loader_identity(&b->loader)->mac;
    /* A chip that answers without a MAC is there all the same, and its life tells why; but where
       one with a MAC was, it may be a bad contact. */
    if (kl_mac_is_set(&mac) ||
        (b->probe_identifies && (b->state == KL_ST_EMPTY || !kl_mac_is_set(&b->seen))))
        found(st, b, &mac);
    else
        missed(st, b);
}

void kl_fixture_tick(struct kl_station *st, struct kl_board *b)
{
    if (kl_fixture_is_probing(b))
        return;
    if (!kl_fixture_watches(st, b)) {
        b->probe_at = KL_NEVER;
        return;
    }
    if (b->probe_at == KL_NEVER)
        b->probe_at = st->now + (b->state == KL_ST_EMPTY ? 0 : KL_SEC(2));
    if (b->probe_at > st->now)
        return;
    if (b->port.state == KL_PORT_OPEN) {
        start_probe(st, b);
    } else {
        b->probe_at = st->now + KL_SEC(2);
        if (b->port.state == KL_PORT_CLOSED && b->port.plugged && b->port.again.at == KL_NEVER)
            kl_port_try_at(&b->port, st->now);
    }
}
