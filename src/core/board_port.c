/*
 * board_port.c: what it means for a board that its port opens, closes, vanishes or comes back. The
 * port itself is in port.c.
 */
#include "station_state.h"

/* Tries a closed network port now and then, to notice that its board has gone. */
void kl_board_watch_port(struct kl_station *st, struct kl_board *b)
{
    if (b->port.network && b->port.state != KL_PORT_OPEN && !st->config.once && !st->mode.stopping)
        kl_port_try_at(&b->port, st->now + KL_SEC(5));
}

void kl_board_open_port(struct kl_station *st, struct kl_board *b)
{
    kl_port_open(&b->port, st->now);
    kl_ask(st, b, KL_AC_OPEN)->u.baud = 115200;
}

void kl_board_close_port(struct kl_station *st, struct kl_board *b)
{
    kl_board_talk(b, KL_TALK_NONE);
    if (kl_port_close(&b->port, st->now))
        kl_ask(st, b, KL_AC_CLOSE);
}

static void become_empty(struct kl_station *st, struct kl_board *b)
{
    struct kl_port *p = &b->port;
    bool had_its_turn = st->config.once && b->place.had_turn;

    KL_ASSERT(p->state == KL_PORT_CLOSED);
    kl_board_forget(st, b);
    if (b->state != KL_ST_EMPTY)
        kl_board_enter(st, b, KL_ST_EMPTY);
    kl_port_rest(p);
    if (p->network && b->place.exists && !st->mode.stopping && !had_its_turn)
        kl_port_back_off(p, st->now);
    if (!p->network && p->plugged && b->place.exists)
        kl_board_plugged(st, b);
}

/* A native-USB board may leave the bus while it resets. It is the same board only if its USB serial
   number, which is its MAC, says so. */
static bool may_be_followed(const struct kl_board *b)
{
    bool native = b->port.kind == KL_LINK_USB_JTAG || b->port.kind == KL_LINK_USB_OTG;

    return native && (b->state == KL_ST_CONNECTING || b->state == KL_ST_BOOTING ||
                      b->state == KL_ST_TESTING ||
                      (b->state == KL_ST_CONFIRMING && b->talker != KL_TALK_LOADER));
}

static bool is_proved_same(const struct kl_board *b)
{
    struct kl_mac mac;

    return kl_mac_parse(b->port.usb_serial, &mac) && kl_mac_equal(&mac, &b->identity.mac);
}

static void follow(struct kl_station *st, struct kl_board *b)
{
    if (st->config.nvs && b->state == KL_ST_BOOTING)
        b->deadline = KL_NEVER;
    KL_ASSERT(kl_state_is_live(b->state) && b->deadline == KL_NEVER);
    enum kl_port_verdict verdict = kl_port_leaves(&b->port, b->state != KL_ST_CONNECTING, st->now);

    if (verdict == KL_PORT_LEAVES_ON) {
        kl_board_fail(st, b, KL_FAULT_BOOT_LOOP, "it leaves the bus again and again");
        return;
    }
    if (verdict == KL_PORT_LEAVES)
        kl_tell_text(st, b, KL_NOTE_PORT,
                     "the board left the bus to reset; waiting for it to return");
    kl_board_close_port(st, b);
}

void kl_board_gone(struct kl_station *st, struct kl_board *b, const char *why)
{
    if (b->state == KL_ST_EMPTY || b->state == KL_ST_CLOSING)
        return;
    kl_tell_text(st, b, KL_NOTE_PORT, why);
    if (kl_state_is_live(b->state)) {
        b->fault = (struct kl_fault){.reason = KL_FAULT_PORT_LOST};
        kl_copy(b->fault.detail, sizeof b->fault.detail, why);
        kl_board_finish_attempt(st, b, KL_ST_FAILED);
        kl_board_finished(st, b, KL_ST_FAILED);
    }
    /* We expect a board back whose socket is being switched: it has not failed yet. */
    if (kl_board_was_switched(b, st->now, KL_POWER_CYCLE) && kl_attempts_owe_failure(&b->attempts))
        kl_attempts_tell(&b->attempts);
    else
        kl_board_tell_failure(st, b);
    kl_board_enter(st, b, KL_ST_CLOSING);
    kl_port_unfollow(&b->port);
    kl_board_close_port(st, b);
    if (b->port.state == KL_PORT_CLOSED)
        become_empty(st, b);
    else
        b->deadline = b->port.answer_due;
}

/* The board has proved its key: though it leaves now, the key is still recorded. */
static void leave_after_recording(struct kl_station *st, struct kl_board *b, const char *why)
{
    KL_ASSERT(b->state == KL_ST_RECORDING);
    kl_tell_text(st, b, KL_NOTE_PORT, why);
    b->stage = KL_STAGE_LEFT;
    kl_board_close_port(st, b);
}

/* Hotplug says that the port is gone. */
void kl_board_unplugged(struct kl_station *st, struct kl_board *b)
{
    kl_port_removed(&b->port);
    if (b->state == KL_ST_RECORDING)
        leave_after_recording(st, b, "unplugged");
    else if (may_be_followed(b))
        follow(st, b);
    else
        kl_board_gone(st, b, "unplugged");
}

void kl_board_link_lost(struct kl_station *st, struct kl_board *b, const char *why)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN);
    if (b->state == KL_ST_RECORDING) {
        leave_after_recording(st, b, why);
    } else if (may_be_followed(b)) {
        follow(st, b);
    } else if (kl_state_is_live(b->state) && (st->config.once || !b->port.network)) {
        kl_board_fail(st, b, KL_FAULT_PORT_LOST, why);
    } else if (b->port.network && b->state != KL_ST_EMPTY) {
        kl_board_gone(st, b, why);
    } else {
        /* A result on screen stays; hotplug tells when the board is gone. */
        kl_board_close_port(st, b);
    }
}

void kl_board_port_closed(struct kl_station *st, struct kl_board *b)
{
    enum kl_port_verdict verdict = kl_port_closed(&b->port);

    if (b->state == KL_ST_CLOSING)
        become_empty(st, b);
    else if (verdict == KL_PORT_ENDED_START && b->state == KL_ST_SETTLING)
        kl_board_try_start(st, b);
}

static void open_failed(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                        const char *why)
{
    struct kl_port *p = &b->port;

    KL_ASSERT(p->state == KL_PORT_OPENING);
    kl_board_close_port(st, b);
    if (kl_port_is_away(p))
        return; /* not yet back on the bus: look again later */
    p->again.refused++;
    if (p->network && !st->config.once && b->state != KL_ST_EMPTY) {
        kl_board_gone(st, b, why); /* a port that refuses is an empty slot */
        return;
    }
    if (b->state == KL_ST_DONE || b->state == KL_ST_FAILED || b->state == KL_ST_SKIPPED)
        return; /* its turn is over: its result stays */
    if (b->state != KL_ST_EMPTY || (st->config.once && p->again.refused >= 3)) {
        kl_board_fail(st, b, reason, why);
        return;
    }
    if (p->again.refused == 1)
        kl_tell_text(st, b, KL_NOTE_PORT, why);
    kl_port_back_off(p, st->now);
}

/* The followed board is on the bus again. */
static void returned(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN && !kl_port_is_away(&b->port));
    if (b->state == KL_ST_CONNECTING) {
        kl_board_begin(st, b, true);
    } else if (is_proved_same(b) && kl_state_is_live(b->state)) {
        kl_board_listen(st, b);
        if (b->state == KL_ST_TESTING)
            kl_watch_restart(&b->watch);
        /* --deliver nvs: the key is recorded, and that reset started the program. */
        if (b->state == KL_ST_BOOTING && b->custody.state == KL_CUSTODY_RECORDED &&
            !kl_board_nvs_prints(st))
            kl_board_done(st, b);
    } else if (kl_state_is_live(b->state)) { /* not skipped meanwhile */
        kl_board_identify_again(st, b,
                                "the board left the bus and can't prove that it is the same");
    }
}

static void usable(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->talker == KL_TALK_NONE);
    if (kl_presence_watches(st, b))
        kl_presence_wait(&b->presence, st->now);
    else if (b->state == KL_ST_EMPTY)
        kl_board_plugged(st, b);
    else if (b->state == KL_ST_SETTLING)
        kl_board_begin(st, b, false);
    /* Otherwise a result is on screen, and the open link tells when its board is gone. */
}

void kl_board_port_opened(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    static const enum kl_reason reasons[] = {
        [KL_OPEN_OK] = KL_FAULT_NONE,           [KL_OPEN_BUSY] = KL_FAULT_PORT_BUSY,
        [KL_OPEN_HELD] = KL_FAULT_PORT_BUSY,    [KL_OPEN_DENIED] = KL_FAULT_PORT_DENIED,
        [KL_OPEN_ABSENT] = KL_FAULT_PORT_ERROR, [KL_OPEN_ERROR] = KL_FAULT_PORT_ERROR,
    };
    enum kl_port_verdict verdict = kl_port_opened(&b->port, ev->u.opened.result);

    if (verdict == KL_PORT_REFUSED) {
        open_failed(st, b, reasons[ev->u.opened.result], ev->u.opened.text);
        return;
    }
    if (verdict == KL_PORT_NOTHING)
        return;
    kl_tell_text(st, b, KL_NOTE_PORT, "opened");
    if (verdict == KL_PORT_BACK)
        returned(st, b);
    else
        usable(st, b);
}

/* A board that failed because its port was held has its turn now, as if a person had pressed r. */
void kl_board_port_free(struct kl_station *st, struct kl_board *b)
{
    if (b->state != KL_ST_FAILED || b->fault.reason != KL_FAULT_PORT_BUSY || st->mode.stopping)
        return;
    if (st->config.once && b->attempts.retry_at == KL_NEVER)
        return; /* its one turn is over, and its result was told */
    kl_tell_text(st, b, KL_NOTE_PORT, "the other program has let the port go");
    if (b->attempts.retry_at != KL_NEVER)
        b->attempts.retry_at = st->now;
    else
        kl_board_retry(st, b, KL_FLASHING_WRITES);
}

static void try_port(struct kl_station *st, struct kl_board *b)
{
    if (st->mode.stopping)
        return;
    if (b->port.state == KL_PORT_CLOSED)
        kl_board_open_port(st, b);
    else
        kl_port_try_at(&b->port, st->now + KL_MS(250));
}

static void blocked(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->port.state == KL_PORT_CLOSING);
    kl_tell_text(st, b, KL_NOTE_PORT, "the adapter still blocks closing its port: unplug it");
    if (b->state == KL_ST_CLOSING)
        b->deadline = b->port.answer_due;
}

/* Does what is due for the port. */
void kl_board_port_tick(struct kl_station *st, struct kl_board *b)
{
    enum kl_port_verdict verdict;

    while ((verdict = kl_port_tick(&b->port, st->now)) != KL_PORT_NOTHING) {
        switch (verdict) {
        case KL_PORT_STUCK:
            open_failed(st, b, KL_FAULT_LINK_STUCK, "opening the port takes too long");
            break;
        case KL_PORT_BLOCKED:
            blocked(st, b);
            break;
        case KL_PORT_TRY:
            try_port(st, b);
            break;
        case KL_PORT_SHOWN:
            kl_board_open_port(st, b);
            break;
        case KL_PORT_STAYED_AWAY:
            kl_board_gone(st, b, "the board did not come back after its reset");
            break;
        default:
            KL_ASSERT(!"time brings no other verdict about a port");
        }
    }
}
