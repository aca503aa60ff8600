/*
 * loader_run.c: compares the flash with what was to be written, and resets the chip into its
 * program. (docs/esp-serial-protocol.md 4.5, 5.2)
 */
#include "loader_private.h"

#include <string.h>

/* ---- verify ---- */

enum {
    VERIFY_START,
    VERIFY_REGION,
};

static enum ldr_move start_verify(struct kl_loader *l)
{
    KL_ASSERT(l->bundle);
    l->flash.region = 0;
    l->flash.md5_tries = 0;
    l->flash.owed = 0;
    if (l->flash.proved_for != l->bundle)
        ldr_forget_proofs(l);
    l->flash.proved_for = NULL; /* the proofs are from just now, so they count once only */
    return ldr_can_md5(l) ? MOVE_NEXT : ldr_go_to(l, ldr_peek_plan);
}

static enum ldr_move verify_region(struct kl_loader *l)
{
    KL_ASSERT(ldr_can_md5(l));
    if (l->flash.region == l->bundle->region_count)
        return MOVE_DONE;
    l->progress.region = l->flash.region;
    if (l->flash.proved[l->flash.region] == ldr_image(l, l->flash.region)->raw_size) {
        l->flash.region++;
        return MOVE_AGAIN;
    }
    ldr_ask_md5(l, l->flash.proved[l->flash.region]);
    return MOVE_WAIT;
}

static enum ldr_move region_verified(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const struct kl_region *r = &l->bundle->region[l->flash.region];

    KL_ASSERT(l->flash.region < l->bundle->region_count);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (ldr_is_right_md5(l, l->flash.proved[l->flash.region])) {
        l->flash.region++;
        l->flash.md5_tries = 0;
        return MOVE_AGAIN;
    }
    l->flash.proved[l->flash.region] = 0;
    if (++l->flash.md5_tries == 2) {
        /* Twice, because the answer itself has no checksum. */
        return ldr_fail(l, KL_FAULT_VERIFY_FAILED, "%s at 0x%x", r->name, r->offset);
    }
    return MOVE_AGAIN;
}

const struct kl_loader_step ldr_verify_plan[] = {
    [VERIFY_START] = {start_verify, NULL, {ldr_peek_plan}},
    [VERIFY_REGION] = {verify_region, region_verified, {NULL}},
    PLAN_END,
};

/* ---- run ---- */

enum {
    RATE,
    STRAP,
    FORCE,
    UNFORCE,
    WATCHDOG,
    LINES,
};

enum {
    WDT_KEY = 0x50D83AA1,
    WDT_TICKS = 2000,
    STRAP_BOOT = 1u << 3, /* clear = the boot pin is low */
};

/* Sets the rate before the chip is let go, so that its first line can be read. */
static enum ldr_move set_first_rate(struct kl_loader *l)
{
    KL_ASSERT(l->connect.connected);
    l->connect.connected = false;
    l->wire.hears = KL_HEARS_TEXT;
    l->leave.reset = kl_reset_run_steps(l->setup.link, l->connect.resets &&
                                                           kl_reset_is_brief(l->connect.strategy));
    l->leave.pin_is_low = l->leave.is_forced = false;
    if (l->setup.link == KL_LINK_RAW || l->identity.baud == FIRST_BAUD)
        return MOVE_NEXT;
    ldr_set_baud(l, FIRST_BAUD);
    return MOVE_WAIT;
}

static enum ldr_move first_rate_set(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail(l, KL_FAULT_ADAPTER_SETTING, "%d baud", FIRST_BAUD);
    l->identity.baud = FIRST_BAUD;
    return MOVE_NEXT;
}

/* The only way out of the loader for a chip without lines: over USB-OTG, or over raw TCP. */
static bool may_use_watchdog(const struct kl_loader *l)
{
    return l->chip->wdt.resets &&
           (l->identify.console == KL_CONSOLE_OTG || l->setup.link == KL_LINK_RAW);
}

static void ask_once(struct kl_loader *l, uint32_t address)
{
    uint8_t payload[4];

    ldr_put_u32(payload, address);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 2});
}

static enum ldr_move ask_strap(struct kl_loader *l)
{
    KL_ASSERT(l->chip && !l->connect.connected);
    if (l->identify.console != KL_CONSOLE_OTG || !l->chip->strap.reg ||
        l->chip->id == KL_CHIP_ESP32P4)
        return MOVE_NEXT;
    l->wire.hears = KL_HEARS_ALL;
    ask_once(l, l->chip->strap.reg);
    return MOVE_WAIT;
}

static enum ldr_move got_strap(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->identify.console == KL_CONSOLE_OTG);
    l->leave.pin_is_low = outcome == KL_OUT_OK && (l->reply.value & STRAP_BOOT) == 0;
    return MOVE_NEXT;
}

static enum ldr_move ask_force(struct kl_loader *l)
{
    if (l->identify.console != KL_CONSOLE_OTG || !l->chip->strap.reg ||
        l->chip->id == KL_CHIP_ESP32P4)
        return MOVE_NEXT;
    ask_once(l, l->chip->strap.force_reg);
    return MOVE_WAIT;
}

static enum ldr_move got_force(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->identify.console == KL_CONSOLE_OTG);
    l->leave.is_forced = outcome == KL_OUT_OK && (l->reply.value & l->chip->strap.force_bit) != 0;
    return MOVE_NEXT;
}

static enum ldr_move unforce(struct kl_loader *l)
{
    struct ldr_write write = {l->chip->strap.force_reg, 0, l->chip->strap.force_bit, 0};

    if (l->identify.console != KL_CONSOLE_OTG || l->chip->id != KL_CHIP_ESP32S3 ||
        !l->leave.is_forced)
        return MOVE_NEXT;
    ldr_write_regs(l, &write, 1);
    return MOVE_WAIT;
}

static enum ldr_move whatever(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    (void)l;
    (void)outcome;
    return MOVE_NEXT;
}

/* Resets the whole system and samples the straps anew, which the lines of native USB can't. */
static enum ldr_move bite(struct kl_loader *l)
{
    const struct kl_chip *c = l->chip;
    struct ldr_write writes[4] = {
        {c->wdt.wprotect, WDT_KEY, ALL_BITS, 0},
        {c->wdt.config0 + 4, WDT_TICKS, ALL_BITS, 0},
        {c->wdt.config0, 1u << 31 | 5u << 28 | 1u << 8 | 2, ALL_BITS, 0},
        {c->wdt.wprotect, 0, ALL_BITS, 0},
    };
    bool always = c->id == KL_CHIP_ESP32P4 || l->setup.link == KL_LINK_RAW;

    if (!may_use_watchdog(l) || !(always || (l->leave.pin_is_low && !l->leave.is_forced)))
        return MOVE_NEXT;
    l->wire.hears = KL_HEARS_ALL;
    kl_console_drop_line(l->setup.console);
    ldr_write_regs(l, writes, 4);
    l->op.tries = 1; /* the chip may bite before it answers */
    l->deadline = l->now + KL_MS(500) + ldr_link_allowance(l);
    return MOVE_WAIT;
}

static enum ldr_move bitten(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    (void)l;
    (void)outcome;
    return MOVE_DONE;
}

static enum ldr_move step_lines(struct kl_loader *l)
{
    KL_ASSERT(l->leave.reset);
    l->wire.hears = KL_HEARS_TEXT;
    if (l->setup.link == KL_LINK_RAW)
        ldr_note(l, "this link can't reset the board: press EN");
    switch (l->leave.reset->kind) {
    case RESET_END:
        return MOVE_NEXT;
    case RESET_LINES:
        ldr_set_lines(l, l->leave.reset->dtr, l->leave.reset->rts);
        return MOVE_WAIT;
    case RESET_WAIT:
        ldr_wait_for(l, KL_MS(l->leave.reset->ms));
        return MOVE_WAIT;
    }
    return MOVE_NEXT;
}

static enum ldr_move lines_stepped(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->leave.reset->kind != RESET_END);
    if (outcome == KL_OUT_IO) {
        ldr_note(l, "the adapter can't move its modem lines: press EN");
        return MOVE_NEXT;
    }
    /* What came before the chip was held in reset is not its program's text. */
    if (l->leave.reset->kind == RESET_LINES && l->leave.reset->rts)
        kl_console_drop_line(l->setup.console);
    l->leave.reset++;
    return MOVE_AGAIN;
}

const struct kl_loader_step ldr_run_plan[] = {
    [RATE] = {set_first_rate, first_rate_set, {NULL}},
    [STRAP] = {ask_strap, got_strap, {NULL}},
    [FORCE] = {ask_force, got_force, {NULL}},
    [UNFORCE] = {unforce, whatever, {NULL}},
    [WATCHDOG] = {bite, bitten, {NULL}},
    [LINES] = {step_lines, lines_stepped, {NULL}},
    PLAN_END,
};
