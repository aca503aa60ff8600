/*
 * board_link.c: the port of a board: opening, closing, and what it means when the port goes away.
 */
#include "station_state.h"

#include <string.h>

/* ---- the link ---------------------------------------------------------------------------------
 */

/* A network port that rests while it is closed is tried now and then, to notice that its board has
   gone. */
void kl_board_watch_port(struct kl_station *st, struct slot *s)
{
    if (s->network && s->link != LINK_OPEN && !st->config.once && !st->stopping)
        s->reopen_at = st->now + KL_SEC(5);
}

void kl_board_open_link(struct kl_station *st, struct slot *s)
{
    KL_ASSERT(s->link == LINK_CLOSED);
    s->link = LINK_OPENING;
    s->generation++;
    s->io_floor = s->request;
    s->link_deadline = st->now + KL_SEC(30);
    kl_queue_action(st, s, KL_AC_OPEN)->action.u.baud = 115200;
}

void kl_board_close_link(struct kl_station *st, struct slot *s)
{
    s->talker = TALK_NONE;
    if (s->link == LINK_OPENING || s->link == LINK_OPEN) {
        s->link = LINK_CLOSING;
        s->link_deadline = st->now + KL_SEC(60);
        kl_queue_action(st, s, KL_AC_CLOSE);
    }
}

static void forget_board(struct kl_station *st, struct slot *s)
{
    kl_board_forget_key(st, s);
    kl_handover_finish(&s->handover);
    s->talker = TALK_NONE;
    s->identity = (struct kl_identity){0};
    s->seen = (struct kl_mac){0};
    s->fault = (struct kl_fault){0};
    s->tries = 0;
    memset(s->retries_used, 0, sizeof s->retries_used);
    s->restarts = 0;
    s->erase = false;
    s->damaged = (struct kl_mac){0};
    s->probe_at = KL_NEVER;
    s->settled = false;
    s->left = false;
    s->rate = 0;
    s->follow_until = KL_NEVER;
}

static void become_empty(struct kl_station *st, struct slot *s)
{
    forget_board(st, s);
    if (s->state != KL_ST_EMPTY)
        kl_board_enter(st, s, KL_ST_EMPTY);
    s->reopen_at = KL_NEVER;
    if (s->network && s->exists && !st->stopping && !(st->config.once && s->finished_once)) {
        s->reopen_at = st->now + s->reopen_wait;
        s->reopen_wait = s->reopen_wait < KL_SEC(4) ? 2 * s->reopen_wait : KL_SEC(5);
    }
    if (!s->network && s->plugged && s->exists)
        kl_board_plugged(st, s);
}

/* A native-USB board may leave the bus while it resets; it is the same board only if its USB serial
   number, which is its MAC, says so. */
static bool may_be_followed(const struct slot *s)
{
    bool native = s->kind == KL_LINK_USB_JTAG || s->kind == KL_LINK_USB_OTG;

    return native && (s->state == KL_ST_CONNECTING || s->state == KL_ST_BOOTING ||
                      s->state == KL_ST_CONFIRMING);
}

static bool is_proved_same(const struct slot *s)
{
    struct kl_mac mac;

    return kl_mac_parse(s->usb_serial, &mac) && kl_mac_equal(&mac, &s->identity.mac);
}

static void follow(struct kl_station *st, struct slot *s)
{
    if (s->follow_until == KL_NEVER) {
        if (s->state != KL_ST_CONNECTING && ++s->follows > FOLLOWS_MAX) {
            kl_board_fail(st, s, KL_FAULT_BOOT_LOOP, "it leaves the bus again and again");
            return;
        }
        s->follow_until = st->now + KL_SEC(6);
        kl_note_text(st, s, KL_NOTE_PORT,
                     "the board left the bus to reset; waiting for it to return");
    }
    kl_board_close_link(st, s);
    s->deadline = st->now + KL_MS(300);
}

/* Called while a followed board's port may be back. */
void kl_board_follow_again(struct kl_station *st, struct slot *s)
{
    s->deadline = st->now + KL_MS(300);
    if (st->now >= s->follow_until) {
        s->follow_until = KL_NEVER;
        s->plugged = false;
        kl_board_gone(st, s, "the board did not come back after its reset");
    } else if (s->link == LINK_CLOSED && s->plugged) {
        kl_board_open_link(st, s);
    }
}

void kl_board_gone(struct kl_station *st, struct slot *s, const char *why)
{
    if (s->state == KL_ST_EMPTY || s->state == KL_ST_CLOSING)
        return;
    kl_note_text(st, s, KL_NOTE_PORT, why);
    if (kl_state_is_live(s->state)) {
        s->fault = (struct kl_fault){.reason = KL_FAULT_PORT_LOST};
        kl_copy(s->fault.detail, sizeof s->fault.detail, why);
        kl_board_finish_attempt(st, s, KL_ST_FAILED);
        kl_board_finished(st, s, KL_ST_FAILED);
    }
    kl_board_tell_failure(st, s);
    kl_board_enter(st, s, KL_ST_CLOSING);
    kl_board_close_link(st, s);
    if (s->link == LINK_CLOSED)
        become_empty(st, s);
    else
        s->deadline = s->link_deadline;
}

/* The board has proved its key; that it leaves now changes nothing, the key is still recorded. */
static void leave_after_recording(struct kl_station *st, struct slot *s, const char *why)
{
    kl_note_text(st, s, KL_NOTE_PORT, why);
    s->left = true;
    kl_board_close_link(st, s);
}

/* Hotplug says that the port is gone. */
void kl_board_unplugged(struct kl_station *st, struct slot *s)
{
    s->plugged = false;
    if (s->state == KL_ST_RECORDING)
        leave_after_recording(st, s, "unplugged");
    else if (may_be_followed(s))
        follow(st, s);
    else
        kl_board_gone(st, s, "unplugged");
}

void kl_board_link_lost(struct kl_station *st, struct slot *s, const char *why)
{
    if (s->state == KL_ST_RECORDING) {
        leave_after_recording(st, s, why);
    } else if (may_be_followed(s)) {
        follow(st, s);
    } else if (kl_state_is_live(s->state) && (st->config.once || !s->network)) {
        kl_board_fail(st, s, KL_FAULT_PORT_LOST, why);
    } else if (s->network && s->state != KL_ST_EMPTY) {
        kl_board_gone(st, s, why);
    } else {
        /* A result on screen stays; hotplug tells when the board is gone. */
        kl_board_close_link(st, s);
    }
}

void kl_board_link_closed(struct kl_station *st, struct slot *s)
{
    s->link = LINK_CLOSED;
    s->link_deadline = KL_NEVER;
    s->generation++;
    if (s->state == KL_ST_CLOSING) {
        become_empty(st, s);
    } else if (s->start_when_closed) {
        s->start_when_closed = false;
        kl_board_try_start(st, s);
    }
}

static void open_failed(struct kl_station *st, struct slot *s, enum kl_reason reason,
                        const char *why)
{
    kl_board_close_link(st, s);
    if (s->follow_until != KL_NEVER)
        return; /* not yet back on the bus: follow_again tries on */
    s->opens_failed++;
    if (s->network && !st->config.once && s->state != KL_ST_EMPTY) {
        kl_board_gone(st, s, why); /* a port that refuses is an empty slot */
        return;
    }
    if (s->state == KL_ST_DONE || s->state == KL_ST_FAILED || s->state == KL_ST_SKIPPED)
        return; /* its turn is over: a result stays what it is */
    if (s->state != KL_ST_EMPTY || (st->config.once && s->opens_failed >= 3)) {
        kl_board_fail(st, s, reason, why);
        return;
    }
    if (s->opens_failed == 1)
        kl_note_text(st, s, KL_NOTE_PORT, why);
    s->reopen_at = st->now + s->reopen_wait;
    s->reopen_wait = s->reopen_wait < KL_SEC(4) ? 2 * s->reopen_wait : KL_SEC(5);
}

void kl_board_link_opened(struct kl_station *st, struct slot *s, const struct kl_event *ev)
{
    static const enum kl_reason reasons[] = {
        [KL_OPEN_OK] = KL_FAULT_NONE,
        [KL_OPEN_BUSY] = KL_FAULT_PORT_BUSY,
        [KL_OPEN_DENIED] = KL_FAULT_PORT_DENIED,
        [KL_OPEN_ABSENT] = KL_FAULT_PORT_ERROR,
        [KL_OPEN_ERROR] = KL_FAULT_PORT_ERROR,
    };

    if (s->link != LINK_OPENING)
        return; /* closed meanwhile; its CLOSED is on the way */
    if (ev->u.opened.result != KL_OPEN_OK) {
        open_failed(st, s, reasons[ev->u.opened.result], ev->u.opened.text);
        return;
    }
    s->link = LINK_OPEN;
    s->link_deadline = KL_NEVER;
    s->opens_failed = 0;
    s->reopen_wait = KL_MS(250);
    s->reopen_at = KL_NEVER;
    kl_note_text(st, s, KL_NOTE_PORT, "opened");
    if (s->follow_until != KL_NEVER) {
        s->follow_until = KL_NEVER;
        s->returned = s->state == KL_ST_CONNECTING;
        if (s->returned)
            kl_board_begin(st, s);
        else if (is_proved_same(s) && kl_state_is_live(s->state))
            kl_board_listen(st, s);
        else if (kl_state_is_live(s->state)) /* not skipped meanwhile */
            kl_board_identify_again(st, s,
                                    "the board left the bus and can't prove that it is the same");
    } else if (kl_fixture_watches(st, s)) {
        s->probe_at = st->now;
    } else if (s->state == KL_ST_EMPTY) {
        kl_board_plugged(st, s);
    } else if (s->state == KL_ST_SETTLING) {
        kl_board_begin(st, s);
    }
    /* Else a result is on screen, and the open link tells when its board is gone. */
}

void kl_board_left_fixture(struct kl_station *st, struct slot *s, const char *why)
{
    kl_note_text(st, s, KL_NOTE_PORT, why);
    kl_board_tell_failure(st, s);
    forget_board(st, s);
    kl_board_enter(st, s, KL_ST_CLOSING);
    kl_board_enter(st, s, KL_ST_EMPTY);
}

/* Opening or closing was not answered in time. */
void kl_board_link_overdue(struct kl_station *st, struct slot *s)
{
    if (s->link == LINK_OPENING) {
        open_failed(st, s, KL_FAULT_LINK_STUCK, "opening the port takes too long");
    } else {
        kl_note_text(st, s, KL_NOTE_PORT, "the adapter still blocks closing its port: unplug it");
        s->link_deadline = st->now + KL_SEC(60);
        if (s->state == KL_ST_CLOSING)
            s->deadline = s->link_deadline;
    }
}
