/*
 * loader_run.c: the flash is compared with what was to be written, and the chip is reset into its
 * program. (docs/esp-serial-protocol.md 4.5, 5.2)
 */
#include "loader_private.h"

#include <string.h>

/* ---- verify ---- */

enum {
    VERIFY_START,
    VERIFY_REGION,
    VERIFY_PEEK,
};

static bool start_verify(struct kl_loader *l)
{
    l->region = 0;
    l->md5_tries = 0;
    l->owed = 0;
    if (l->proved == l->bundle)
        ldr_go_to(l, &ldr_verify_plan[VERIFY_PEEK + 1]);
    else if (!ldr_can_md5(l))
        ldr_go_to(l, &ldr_verify_plan[VERIFY_PEEK]);
    l->proved = NULL; /* by the answer that came just now, and so once only */
    return false;
}

static bool verify_region(struct kl_loader *l)
{
    if (l->region == l->bundle->region_count) {
        ldr_go_to(l, &ldr_verify_plan[VERIFY_PEEK + 1]);
        return false;
    }
    l->progress.region = l->region;
    ldr_ask_md5(l);
    return true;
}

static enum ldr_move region_verified(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const struct kl_region *r = &l->bundle->region[l->region];

    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (ldr_is_right_md5(l)) {
        l->region++;
        l->md5_tries = 0;
    } else if (++l->md5_tries == 2) {
        /* Twice, because the answer itself has no checksum. */
        return ldr_fail(l, KL_FAULT_VERIFY_FAILED, "%s at 0x%x", r->name, r->offset);
    }
    return MOVE_AGAIN;
}

static bool peek(struct kl_loader *l)
{
    ldr_go_to(l, ldr_peek_plan);
    return false;
}

const struct kl_loader_step ldr_verify_plan[] = {
    [VERIFY_START] = {start_verify, NULL},
    [VERIFY_REGION] = {verify_region, region_verified},
    [VERIFY_PEEK] = {peek, NULL},
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

/* Before the chip is let go, so that its first line can be read. */
static bool set_first_rate(struct kl_loader *l)
{
    l->connected = false;
    l->text_only = true;
    l->reset = kl_reset_run_steps(l->setup.link);
    l->pin_is_low = l->is_forced = false;
    if (l->setup.link == KL_LINK_RAW || l->identity.baud == FIRST_BAUD)
        return false;
    ldr_set_baud(l, FIRST_BAUD);
    return true;
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
    return l->chip->wdt_reset && (l->otg || l->setup.link == KL_LINK_RAW);
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

static bool ask_strap(struct kl_loader *l)
{
    if (!l->otg || !l->chip->strap_reg || l->chip->id == KL_CHIP_ESP32P4)
        return false;
    l->text_only = false;
    ask_once(l, l->chip->strap_reg);
    return true;
}

static enum ldr_move got_strap(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    l->pin_is_low = outcome == KL_OUT_OK && (l->reply.value & STRAP_BOOT) == 0;
    return MOVE_NEXT;
}

static bool ask_force(struct kl_loader *l)
{
    if (!l->otg || !l->chip->strap_reg || l->chip->id == KL_CHIP_ESP32P4)
        return false;
    ask_once(l, l->chip->force_download_reg);
    return true;
}

static enum ldr_move got_force(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    l->is_forced = outcome == KL_OUT_OK && (l->reply.value & l->chip->force_download_bit) != 0;
    return MOVE_NEXT;
}

static bool unforce(struct kl_loader *l)
{
    struct ldr_write write = {l->chip->force_download_reg, 0, l->chip->force_download_bit, 0};

    if (!l->otg || l->chip->id != KL_CHIP_ESP32S3 || !l->is_forced)
        return false;
    ldr_write_regs(l, &write, 1);
    return true;
}

static enum ldr_move whatever(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    (void)l;
    (void)outcome;
    return MOVE_NEXT;
}

/* Resets the whole system and samples the straps anew, which the lines of native USB can't. */
static bool bite(struct kl_loader *l)
{
    const struct kl_chip *c = l->chip;
    struct ldr_write writes[4] = {
        {c->wdt_wprotect, WDT_KEY, ALL_BITS, 0},
        {c->wdt_config0 + 4, WDT_TICKS, ALL_BITS, 0},
        {c->wdt_config0, 1u << 31 | 5u << 28 | 1u << 8 | 2, ALL_BITS, 0},
        {c->wdt_wprotect, 0, ALL_BITS, 0},
    };
    bool always = c->id == KL_CHIP_ESP32P4 || l->setup.link == KL_LINK_RAW;

    if (!may_use_watchdog(l) || !(always || (l->pin_is_low && !l->is_forced)))
        return false;
    l->text_only = false;
    kl_console_drop_line(l->setup.console);
    ldr_write_regs(l, writes, 4);
    l->op.tries = 1; /* the answer may not come any more */
    l->deadline = l->now + KL_MS(500) + ldr_link_allowance(l);
    return true;
}

static enum ldr_move bitten(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    (void)outcome;
    return ldr_go_to(l, &ldr_run_plan[LINES + 1]);
}

static bool step_lines(struct kl_loader *l)
{
    l->text_only = true;
    if (l->setup.link == KL_LINK_RAW)
        ldr_note(l, "this link can't reset the board: press EN");
    switch (l->reset->kind) {
    case RESET_END:
        return false;
    case RESET_LINES:
        ldr_set_lines(l, l->reset->dtr, l->reset->rts);
        return true;
    case RESET_WAIT:
        ldr_wait_for(l, KL_MS(l->reset->ms));
        return true;
    }
    return false;
}

static enum ldr_move lines_stepped(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome == KL_OUT_IO) {
        ldr_note(l, "the adapter can't move its modem lines: press EN");
        return MOVE_NEXT;
    }
    /* What came before the chip was held in reset is not of its program. */
    if (l->reset->kind == RESET_LINES && l->reset->rts)
        kl_console_drop_line(l->setup.console);
    l->reset++;
    return MOVE_AGAIN;
}

const struct kl_loader_step ldr_run_plan[] = {
    [RATE] = {set_first_rate, first_rate_set},
    [STRAP] = {ask_strap, got_strap},
    [FORCE] = {ask_force, got_force},
    [UNFORCE] = {unforce, whatever},
    [WATCHDOG] = {bite, bitten},
    [LINES] = {step_lines, lines_stepped},
    PLAN_END,
};
