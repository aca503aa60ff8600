/*
 * board_flash.c: the loader's part of a life: connecting, identifying, flashing, verifying, and the
 * reset into the program. Then it is the delivery's turn (board_key.c).
 */
#include "station_state.h"

#include <string.h>

void kl_board_connect(struct kl_station *st, struct kl_board *b, bool reset_done)
{
    uint32_t limit = b->place.baud_limit;
    struct kl_loader_setup setup = {
        .console = &b->console,
        .link = b->port.kind,
        .memory = b->place.memory,
        .reset_done = reset_done,
        .stubs = st->config.stubs,
        .baud_max = limit < st->config.baud_max ? limit : st->config.baud_max,
        .take_secured = st->config.secured_handover,
    };

    KL_ASSERT(b->state == KL_ST_CONNECTING);
    kl_board_forget_key(st, b);
    kl_console_open(&b->console);
    kl_presence_stop(&b->presence);
    b->identity = (struct kl_identity){0};
    kl_port_new_talk(&b->port);
    kl_board_talk(b, KL_TALK_LOADER);
    kl_loader_init(&b->loader, &setup);
    kl_loader_start(&b->loader, KL_LOADER_CONNECT, NULL, st->now);
}

static const struct kl_bundle *bundle_of(const struct kl_station *st, const struct kl_board *b)
{
    if (!st->config.bundle)
        return NULL;
    if (b->attempts.flashing == KL_FLASHING_ERASES)
        return &st->erase_bundle;
    return kl_custody_has_key(&b->custody) ? &st->keyed_bundle : st->config.bundle;
}

static void start_task(struct kl_station *st, struct kl_board *b, enum kl_state state,
                       enum kl_loader_task task)
{
    KL_ASSERT(b->talker == KL_TALK_LOADER);
    kl_board_enter(st, b, state);
    kl_loader_start(&b->loader, task, bundle_of(st, b), st->now);
}

/* ---- identified ---- */

/* Another slot that shows this board's MAC; NULL if there is none. A slot that only shows a result
   does not count if its port is gone. At a needle bed it never counts: a result may outlive its
   board there. */
static struct kl_board *other_with_mac(struct kl_station *st, const struct kl_board *b)
{
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *other = &st->board[i];
        bool rests = other->state != KL_ST_EMPTY && other->state != KL_ST_CLOSING &&
                     other->port.state == KL_PORT_OPEN && !st->config.fixture;
        if (other != b && (kl_state_is_live(other->state) || rests) &&
            kl_mac_equal(&other->identity.mac, &b->identity.mac))
            return other;
    }
    return NULL;
}

/* Someone may move a board to this slot before its old slot notices. The old slot has then heard
   nothing since this try began, whereas two real boards both talk. At a needle bed what it heard
   may be the next board: if no key was sent there, it finds out who that is. */
static bool is_alone(struct kl_station *st, struct kl_board *b)
{
    struct kl_board *other = other_with_mac(st, b);
    bool live = other && kl_state_is_live(other->state);
    bool unsent = live && st->config.fixture && other->state < KL_ST_SENDING;
    bool silent = live && other->heard_at < b->attempts.lived.started;

    if (!other)
        return true;
    kl_board_fail(st, b, silent || unsent ? KL_FAULT_MAC_LINGERS : KL_FAULT_MAC_LIVE_TWICE,
                  other->place.name);
    if (unsent && other->state >= KL_ST_BOOTING) /* in its loader it notices by itself */
        kl_board_identify_again(st, other, "its MAC answered in another slot");
    return false;
}

/* Where no port tells that a board leaves, the earlier tries may have been another board's. That
   board is given up here: this one inherits neither its tries nor what was asked of it. */
static void look_who_is_tried(struct kl_station *st, struct kl_board *b)
{
    const struct kl_mac *seen = &b->presence.seen;
    KL_ASSERT(b->attempts.tries > 0);
    bool another = kl_mac_is_set(seen) && !kl_mac_equal(seen, &b->identity.mac);

    kl_presence_remember(&b->presence, &b->identity.mac);
    if (!another || b->attempts.tries < 2)
        return;
    kl_tell_text(st, b, KL_NOTE_PORT, "another board is in its place");
    kl_board_tell_failure(st, b);
    kl_attempts_restart(&b->attempts);
}

static bool is_wanted_chip(const struct kl_station *st, struct kl_board *b)
{
    return st->config.chip == KL_CHIP_NONE || st->config.chip == b->identity.chip;
}

static void flash_or_run(struct kl_station *st, struct kl_board *b)
{
    if (!st->config.bundle) {
        start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
        return;
    }
    b->pace = (struct kl_pace){.measured_at = st->now, .told_at = b->pace.told_at};
    start_task(st, b, KL_ST_FLASHING, KL_LOADER_FLASH);
}

/* ---- boards that lock themselves ---- */

static void remember_flashed(struct kl_station *st, const struct kl_mac *mac)
{
    st->flashed[st->flashed_count++ % KL_FLASHED_MAX] = *mac;
}

/* Did this run flash it, or does the ledger say so of its key? */
static bool was_flashed(const struct kl_station *st, const struct kl_mac *mac)
{
    uint32_t key = kl_pool_of_mac(&st->pool, mac);

    for (unsigned i = 0; i < KL_FLASHED_MAX && i < st->flashed_count; i++)
        if (kl_mac_equal(&st->flashed[i], mac))
            return true;
    return key != NO_KEY && kl_pool_has_same_bundle(&st->pool, key);
}

/* The firmware switched on flash encryption or secure boot at its first start: plain images would
   stop the board for ever. If it was flashed with this run's images, only its key is missing. */
static void take_secured(struct kl_station *st, struct kl_board *b)
{
    char mac[18];

    kl_mac_format(&b->identity.mac, mac);
    if (!was_flashed(st, &b->identity.mac)) {
        kl_board_fail(st, b,
                      b->identity.flash_encrypted ? KL_FAULT_FLASH_ENCRYPTED : KL_FAULT_SECURE_BOOT,
                      mac);
        return;
    }
    kl_board_recognise(st, b);
    kl_tell_text(st, b, KL_NOTE_LOG, "locked since it was flashed with these images: only its key");
    if (b->custody.state == KL_CUSTODY_ASKED) {
        b->stage = KL_STAGE_SECURED;
        b->deadline = st->now + KL_SEC(10);
    } else {
        start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

/* As in verified(): we must know the board's own key before it can print it. After the wait the
   board proves once more that it is the one in the loader. */
static void secured_goes_on(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_IDENTIFYING);
    if (b->stage == KL_STAGE_SECURED_HERE) {
        start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
    } else if (b->custody.state != KL_CUSTODY_ASKED) {
        b->stage = KL_STAGE_SECURED_HERE;
        b->deadline = KL_NEVER;
        kl_loader_start(&b->loader, KL_LOADER_SAME, NULL, st->now);
    }
}

static void identified(struct kl_station *st, struct kl_board *b)
{
    struct kl_attempts *a = &b->attempts;

    KL_ASSERT(b->state == KL_ST_IDENTIFYING && kl_attempts_is_lived(a));
    b->identity = *kl_loader_identity(&b->loader);
    look_who_is_tried(st, b);
    kl_tell(st, b, KL_NOTE_CHIP);
    if (!is_alone(st, b))
        return;
    if (!is_wanted_chip(st, b)) {
        kl_board_fail(st, b, KL_FAULT_WRONG_CHIP, kl_chip(b->identity.chip)->name);
        return;
    }
    if (b->identity.flash_encrypted || b->identity.secure_boot) {
        take_secured(st, b);
        return;
    }
    kl_board_recognise(st, b);
    if (kl_mac_equal(&a->damaged, &b->identity.mac))
        a->flashing = KL_FLASHING_ERASES;
    a->damaged = (struct kl_mac){0};
    flash_or_run(st, b);
}

/* ---- verified ---- */

/* We must know the board's own key before the board can print it. If that took time, the board is
   verified again, to prove that it is still the one in the loader. Then it is started at once. */
static void verified(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_VERIFYING);
    if (b->custody.state == KL_CUSTODY_ASKED) {
        b->stage = KL_STAGE_VERIFY_AGAIN;
        b->deadline = st->now + KL_SEC(10);
    } else if (b->stage == KL_STAGE_VERIFY_AGAIN) {
        b->stage = KL_STAGE_FRESH;
        b->deadline = KL_NEVER;
        kl_loader_start(&b->loader, KL_LOADER_VERIFY, bundle_of(st, b), st->now);
    } else {
        remember_flashed(st, &b->identity.mac);
        if (st->config.nvs)
            kl_board_nvs_begin(st, b);
        else
            start_task(st, b, KL_ST_BOOTING, KL_LOADER_RUN);
    }
}

/* ---- the walk through the loader's tasks ---- */

static void loader_done(struct kl_station *st, struct kl_board *b)
{
    if (st->config.nvs && kl_board_nvs_step(st, b))
        return;
    if (b->state == kl_delivery_after(&b->delivery)) {
        kl_board_listen(st, b);
        return;
    }
    switch (b->state) {
    case KL_ST_CONNECTING:
        start_task(st, b, KL_ST_IDENTIFYING, KL_LOADER_IDENTIFY);
        break;
    case KL_ST_IDENTIFYING:
        if (b->stage == KL_STAGE_FRESH)
            identified(st, b);
        else
            secured_goes_on(st, b);
        break;
    case KL_ST_FLASHING:
        b->attempts.flashing = KL_FLASHING_WRITES;
        start_task(st, b, KL_ST_VERIFYING, KL_LOADER_VERIFY);
        break;
    case KL_ST_VERIFYING:
        verified(st, b);
        break;
    default:
        KL_ASSERT(!"the loader finished a task that nobody started");
    }
}

static void measure(struct kl_pace *pace, uint64_t done, kl_us now)
{
    kl_us elapsed = now - pace->measured_at;
    uint64_t before = pace->bytes_per_second;

    KL_ASSERT(done >= pace->done && elapsed >= 0);
    if (elapsed < KL_MS(500))
        return;
    uint64_t rate = (done - pace->done) * 1000000u / (uint64_t)elapsed;
    pace->bytes_per_second = (uint32_t)(before ? (3 * before + rate) / 4 : rate);
    pace->done = done;
    pace->measured_at = now;
}

static void note_progress(struct kl_station *st, struct kl_board *b)
{
    const struct kl_loader_progress *p = kl_loader_progress(&b->loader);
    struct kl_noted *n;

    if (b->state != KL_ST_FLASHING || p->done == b->pace.done)
        return;
    measure(&b->pace, p->done, st->now);
    if (st->now - b->pace.told_at < KL_MS(100))
        return;
    n = kl_tell(st, b, KL_NOTE_PROGRESS);
    if (n) {
        b->pace.told_at = st->now;
        n->progress = *p;
    }
}

static void tell_loader_text(struct kl_station *st, struct kl_board *b)
{
    char text[KL_TEXT_MAX];

    while (kl_loader_note(&b->loader, text))
        kl_tell_text(st, b, KL_NOTE_LOG, text);
    kl_board_tell_console(st, b);
}

/* The record of a board that the loader refused for its locks names that board. */
static void know_refused(struct kl_board *b)
{
    enum kl_reason reason = kl_loader_fault(&b->loader)->reason;

    KL_ASSERT(reason != KL_FAULT_NONE);
    if (reason == KL_FAULT_FLASH_ENCRYPTED || reason == KL_FAULT_SECURE_BOOT)
        b->identity = *kl_loader_identity(&b->loader);
}

void kl_board_loader_step(struct kl_station *st, struct kl_board *b)
{
    if (b->talker == KL_TALK_PRESENCE) {
        kl_board_presence_step(st, b);
        return;
    }
    /* A task may end in the very call that starts it, so the loop runs until one is busy. */
    for (int steps = 0; b->talker == KL_TALK_LOADER; steps++) {
        enum kl_state state = b->state;

        KL_ASSERT(steps < 8 && kl_state_is_live(state));
        tell_loader_text(st, b);
        note_progress(st, b);
        if (kl_loader_status(&b->loader) == KL_LOADER_BUSY)
            break;
        b->place.memory = *kl_loader_memory(&b->loader);
        if (kl_loader_status(&b->loader) == KL_LOADER_FAILED) {
            know_refused(b);
            if (b->nvs_phase == KL_NVS_LOOKS)
                kl_board_identify_again(st, b, "the board fell silent while its key was reserved");
            else
                kl_board_fail_with(st, b, kl_loader_fault(&b->loader));
            break;
        }
        loader_done(st, b);
        if (b->state == state)
            break; /* it waits for its own key before it starts */
    }
}
