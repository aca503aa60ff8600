/*
 * board_link.c: the port of a board: opening, closing, and what it means when the port goes away.
 */
#include "station_state.h"

#include <string.h>

/* ---- the link ---------------------------------------------------------------------------------
 */

/* A network port that rests while it is closed is tried now and then, to notice that its board has
   gone. */
void kl_board_watch_port(struct kl_station *st, struct kl_board *b)
{
    if (b->network && b->link != LINK_OPEN && !st->config.once && !st->stopping)
        b->reopen_at = st->now + KL_SEC(5);
}

void kl_board_open_link(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->link == LINK_CLOSED);
    b->link = LINK_OPENING;
    b->generation++;
    b->io_floor = b->request;
    b->link_deadline = st->now + KL_SEC(30);
    kl_queue_action(st, b, KL_AC_OPEN)->action.u.baud = 115200;
}

void kl_board_close_link(struct kl_station *st, struct kl_board *b)
{
    b->talker = TALK_NONE;
    if (b->link == LINK_OPENING || b->link == LINK_OPEN) {
        b->link = LINK_CLOSING;
        b->link_deadline = st->now + KL_SEC(60);
        kl_queue_action(st, b, KL_AC_CLOSE);
    }
}

static void forget_board(struct kl_station *st, struct kl_board *b)
{
    kl_board_forget_key(st, b);
    kl_handover_finish(&b->handover);
    b->talker = TALK_NONE;
    b->identity = (struct kl_identity){0};
    b->seen = (struct kl_mac){0};
    b->fault = (struct kl_fault){0};
    b->tries = 0;
    memset(b->retries_used, 0, sizeof b->retries_used);
    b->restarts = 0;
    b->erase = false;
    b->damaged = (struct kl_mac){0};
    b->probe_at = KL_NEVER;
    b->settled = false;
    b->left = false;
    b->rate = 0;
    b->follow_until = KL_NEVER;
}

static void become_empty(struct kl_station *st, struct kl_board *b)
{
    forget_board(st, b);
    if (b->state != KL_ST_EMPTY)
        kl_board_enter(st, b, KL_ST_EMPTY);
    b->reopen_at = KL_NEVER;
    if (b->network && b->exists && !st->stopping && !(st->config.once && b->finished_once)) {
        b->reopen_at = st->now + b->reopen_wait;
        b->reopen_wait = b->reopen_wait < KL_SEC(4) ? 2 * b->reopen_wait : KL_SEC(5);
    }
    if (!b->network && b->plugged && b->exists)
        kl_board_plugged(st, b);
}

/* A native-USB board may leave the bus while it resets; it is the same board only if its USB serial
   number, which is its MAC, says so. */
static bool may_be_followed(const struct kl_board *b)
{
    bool native = b->kind == KL_LINK_USB_JTAG || b->kind == KL_LINK_USB_OTG;

    return native && (b->state == KL_ST_CONNECTING || b->state == KL_ST_BOOTING ||
                      b->state == KL_ST_CONFIRMING);
}

static bool is_proved_same(const struct kl_board *b)
{
    struct kl_mac mac;

    return kl_mac_parse(b->usb_serial, &mac) && kl_mac_equal(&mac, &b->identity.mac);
}

static void follow(struct kl_station *st, struct kl_board *b)
{
    if (b->follow_until == KL_NEVER) {
        if (b->state != KL_ST_CONNECTING && ++b->follows > FOLLOWS_MAX) {
            kl_board_fail(st, b, KL_FAULT_BOOT_LOOP, "it leaves the bus again and again");
            return;
        }
        b->follow_until = st->now + KL_SEC(6);
        kl_note_text(st, b, KL_NOTE_PORT,
                     "the board left the bus to reset; waiting for it to return");
    }
    kl_board_close_link(st, b);
    b->deadline = st->now + KL_MS(300);
}

/* Called while a followed board's port may be back. */
void kl_board_follow_again(struct kl_station *st, struct kl_board *b)
{
    b->deadline = st->now + KL_MS(300);
    if (st->now >= b->follow_until) {
        b->follow_until = KL_NEVER;
        b->plugged = false;
        kl_board_gone(st, b, "the board did not come back after its reset");
    } else if (b->link == LINK_CLOSED && b->plugged) {
        kl_board_open_link(st, b);
    }
}

void kl_board_gone(struct kl_station *st, struct kl_board *b, const char *why)
{
    if (b->state == KL_ST_EMPTY || b->state == KL_ST_CLOSING)
        return;
    kl_note_text(st, b, KL_NOTE_PORT, why);
    if (kl_state_is_live(b->state)) {
        b->fault = (struct kl_fault){.reason = KL_FAULT_PORT_LOST};
        kl_copy(b->fault.detail, sizeof b->fault.detail, why);
        kl_board_finish_attempt(st, b, KL_ST_FAILED);
        kl_board_finished(st, b, KL_ST_FAILED);
    }
    kl_board_tell_failure(st, b);
    kl_board_enter(st, b, KL_ST_CLOSING);
    kl_board_close_link(st, b);
    if (b->link == LINK_CLOSED)
        become_empty(st, b);
    else
        b->deadline = b->link_deadline;
}

/* The board has proved its key; that it leaves now changes nothing, the key is still recorded. */
static void leave_after_recording(struct kl_station *st, struct kl_board *b, const char *why)
{
    kl_note_text(st, b, KL_NOTE_PORT, why);
    b->left = true;
    kl_board_close_link(st, b);
}

/* Hotplug says that the port is gone. */
void kl_board_unplugged(struct kl_station *st, struct kl_board *b)
{
    b->plugged = false;
    if (b->state == KL_ST_RECORDING)
        leave_after_recording(st, b, "unplugged");
    else if (may_be_followed(b))
        follow(st, b);
    else
        kl_board_gone(st, b, "unplugged");
}

void kl_board_link_lost(struct kl_station *st, struct kl_board *b, const char *why)
{
    if (b->state == KL_ST_RECORDING) {
        leave_after_recording(st, b, why);
    } else if (may_be_followed(b)) {
        follow(st, b);
    } else if (kl_state_is_live(b->state) && (st->config.once || !b->network)) {
        kl_board_fail(st, b, KL_FAULT_PORT_LOST, why);
    } else if (b->network && b->state != KL_ST_EMPTY) {
        kl_board_gone(st, b, why);
    } else {
        /* A result on screen stays; hotplug tells when the board is gone. */
        kl_board_close_link(st, b);
    }
}

void kl_board_link_closed(struct kl_station *st, struct kl_board *b)
{
    b->link = LINK_CLOSED;
    b->link_deadline = KL_NEVER;
    b->generation++;
    if (b->state == KL_ST_CLOSING) {
        become_empty(st, b);
    } else if (b->start_when_closed) {
        b->start_when_closed = false;
        kl_board_try_start(st, b);
    }
}

static void open_failed(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                        const char *why)
{
    kl_board_close_link(st, b);
    if (b->follow_until != KL_NEVER)
        return; /* not yet back on the bus: follow_again tries on */
    b->opens_failed++;
    if (b->network && !st->config.once && b->state != KL_ST_EMPTY) {
        kl_board_gone(st, b, why); /* a port that refuses is an empty slot */
        return;
    }
    if (b->state == KL_ST_DONE || b->state == KL_ST_FAILED || b->state == KL_ST_SKIPPED)
        return; /* its turn is over: a result stays what it is */
    if (b->state != KL_ST_EMPTY || (st->config.once && b->opens_failed >= 3)) {
        kl_board_fail(st, b, reason, why);
        return;
    }
    if (b->opens_failed == 1)
        kl_note_text(st, b, KL_NOTE_PORT, why);
    b->reopen_at = st->now + b->reopen_wait;
    b->reopen_wait = b->reopen_wait < KL_SEC(4) ? 2 * b->reopen_wait : KL_SEC(5);
}

void kl_board_link_opened(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    static const enum kl_reason reasons[] = {
        [KL_OPEN_OK] = KL_FAULT_NONE,
        [KL_OPEN_BUSY] = KL_FAULT_PORT_BUSY,
        [KL_OPEN_DENIED] = KL_FAULT_PORT_DENIED,
        [KL_OPEN_ABSENT] = KL_FAULT_PORT_ERROR,
        [KL_OPEN_ERROR] = KL_FAULT_PORT_ERROR,
    };

    if (b->link != LINK_OPENING)
        return; /* closed meanwhile; its CLOSED is on the way */
    if (ev->u.opened.result != KL_OPEN_OK) {
        open_failed(st, b, reasons[ev->u.opened.result], ev->u.opened.text);
        return;
    }
    b->link = LINK_OPEN;
    b->link_deadline = KL_NEVER;
    b->opens_failed = 0;
    b->reopen_wait = KL_MS(250);
    b->reopen_at = KL_NEVER;
    kl_note_text(st, b, KL_NOTE_PORT, "opened");
    if (b->follow_until != KL_NEVER) {
        b->follow_until = KL_NEVER;
        b->returned = b->state == KL_ST_CONNECTING;
        if (b->returned)
            kl_board_begin(st, b);
        else if (is_proved_same(b) && kl_state_is_live(b->state))
            kl_board_listen(st, b);
        else if (kl_state_is_live(b->state)) /* not skipped meanwhile */
            kl_board_identify_again(st, b,
                                    "the board left the bus and can't prove that it is the same");
    } else if (kl_fixture_watches(st, b)) {
        b->probe_at = st->now;
    } else if (b->state == KL_ST_EMPTY) {
        kl_board_plugged(st, b);
    } else if (b->state == KL_ST_SETTLING) {
        kl_board_begin(st, b);
    }
    /* Else a result is on screen, and the open link tells when its board is gone. */
}

void kl_board_left_fixture(struct kl_station *st, struct kl_board *b, const char *why)
{
    kl_note_text(st, b, KL_NOTE_PORT, why);
    kl_board_tell_failure(st, b);
    forget_board(st, b);
    kl_board_enter(st, b, KL_ST_CLOSING);
    kl_board_enter(st, b, KL_ST_EMPTY);
}

/* Opening or closing was not answered in time. */
void kl_board_link_overdue(struct kl_station *st, struct kl_board *b)
{
    if (b->link == LINK_OPENING) {
        open_failed(st, b, KL_FAULT_LINK_STUCK, "opening the port takes too long");
    } else {
        kl_note_text(st, b, KL_NOTE_PORT, "the adapter still blocks closing its port: unplug it");
        b->link_deadline = st->now + KL_SEC(60);
        if (b->state == KL_ST_CLOSING)
            b->deadline = b->link_deadline;
    }
}
