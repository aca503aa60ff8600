/*
 * loader_stub.c: what a chip in its ROM loader needs first (watchdogs, flash supply), then the
 * upload of the flasher stub. (docs/esp-serial-protocol.md 4.5, 8)
 */
#include "loader_private.h"

enum {
    WATCHDOGS,
    POWER_LOOK,
    POWER,
    POWER_WAIT,
    CHOOSE,
    MEM_BEGIN,
    MEM_DATA,
    MEM_END,
    FIRST_RATE,
    HAIL_WAIT,
    HAIL,
    ALIVE,
    ON_TO_SETUP,
};

enum {
    RESTARTS_MAX = 2,
    FAILURES_MAX = 2,
    RAM_BLOCK = 0x1800,
    RAM_BLOCK_OTG = 0x800,
    WDT_KEY = 0x50D83AA1,
};

/* ---- over USB-Serial/JTAG the watchdogs outlive the reset and would fire while flashing ---- */

static enum ldr_move stop_watchdogs(struct kl_loader *l)
{
    const struct kl_chip *c = l->chip;
    struct ldr_write writes[6] = {
        {c->wdt.wprotect, WDT_KEY, ALL_BITS, 0},
        {c->wdt.config0, 0, ALL_BITS, 0},
        {c->wdt.wprotect, 0, ALL_BITS, 0},
        {c->wdt.swd_wprotect, c->wdt.swd_key, ALL_BITS, 0},
        {c->wdt.swd_conf, 1u << c->wdt.swd_auto_feed_bit, 1u << c->wdt.swd_auto_feed_bit, 0},
        {c->wdt.swd_wprotect, 0, ALL_BITS, 0},
    };

    KL_ASSERT(l->connect.connected && l->chip);
    if (l->identify.console != KL_CONSOLE_JTAG || !ldr_is_rom(l) || !c->wdt.config0)
        return MOVE_NEXT;
    ldr_write_regs(l, writes, c->wdt.swd_conf ? 6 : 3);
    return MOVE_WAIT;
}

/* ---- the P4 of revisions 3.1 and 3.2 starts without power on its flash ---- */

enum {
    P4_LDO = 0x501153FC,
    P4_POWER = 0x501151BC,
    P4_TUNE = 0x501151B8,
    P4_FUSE = 0x5012D034,
};

static const struct ldr_write p4_power[] = {
    {0x5011010C, 1, ALL_BITS, 0},   {P4_POWER, 1u << 27, 1u << 27, 0},
    {P4_TUNE, 1u << 7, 1u << 7, 0}, {P4_LDO, 3, 3, 0},
    {P4_POWER, 0, 1u << 27, 0},     {P4_TUNE, 0, 0xFFu << 23, 0},
    {P4_TUNE, 1u << 7, 1u << 7, 0}, {P4_TUNE, 0, 1u << 7, 0},
};
/* Records up to `until` go in one packet; then the chip gets `wait_us`. */
static const struct {
    uint8_t until;
    uint16_t wait_us;
} p4_stages[] = {{1, 10000}, {4, 1000}, {8, 2000}};

enum {
    STAGES = sizeof p4_stages / sizeof p4_stages[0]
};

static bool needs_power(const struct kl_loader *l)
{
    uint16_t revision = l->identity.revision;

    return l->chip->id == KL_CHIP_ESP32P4 && (revision == 301 || revision == 302) && ldr_is_rom(l);
}

static enum ldr_move look_at_power(struct kl_loader *l)
{
    KL_ASSERT(l->chip);
    l->stub.power_stage = 0;
    if (!needs_power(l) || l->identity.revision != 302 ||
        (ldr_reg_value(l, P4_FUSE) >> 16 & 1) == 0)
        return MOVE_NEXT;
    ldr_read_reg(l, P4_LDO);
    return MOVE_WAIT;
}

static enum ldr_move power_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    static const struct ldr_write clear = {P4_LDO, 0, 3, 0};

    KL_ASSERT(needs_power(l));
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    l->stub.power_stage = STAGES;
    if (l->op.code == CMD_WRITE_REG || (l->reply.value & 3) != 3)
        return MOVE_NEXT;
    ldr_write_regs(l, &clear, 1);
    return MOVE_WAIT; /* that operation's outcome comes back to this step */
}

static enum ldr_move power(struct kl_loader *l)
{
    unsigned stage = l->stub.power_stage;
    unsigned from = stage > 0 ? p4_stages[stage - 1].until : 0;

    KL_ASSERT(stage <= STAGES);
    if (!needs_power(l) || stage == STAGES)
        return MOVE_NEXT;
    ldr_write_regs(l, p4_power + from, p4_stages[stage].until - from);
    return MOVE_WAIT;
}

static enum ldr_move wait_for_power(struct kl_loader *l)
{
    if (!needs_power(l) || l->stub.power_stage == STAGES)
        return MOVE_NEXT;
    ldr_wait_for(l, p4_stages[l->stub.power_stage].wait_us);
    return MOVE_WAIT;
}

static enum ldr_move power_waited(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->stub.power_stage < STAGES);
    (void)outcome;
    l->stub.power_stage++;
    return ldr_go_to(l, &ldr_stub_plan[POWER]);
}

/* ---- the stub ---- */

const struct kl_stub *ldr_stub_for(const struct kl_loader *l)
{
    const struct kl_stubs *stubs = l->setup.stubs;
    uint16_t revision = l->identity.revision;

    if (!stubs || l->stub.failed)
        return NULL;
    switch (l->chip->id) {
    case KL_CHIP_ESP32C2:
        return revision == 0 ? NULL : stubs->chip[KL_CHIP_ESP32C2];
    case KL_CHIP_ESP32C3: /* with secure boot this chip runs no code from RAM (4.7) */
        return l->identity.secure_boot ? NULL : stubs->chip[KL_CHIP_ESP32C3];
    case KL_CHIP_ESP32P4:
        return revision < 300 ? stubs->p4_rev1 : stubs->chip[KL_CHIP_ESP32P4];
    default:
        return stubs->chip[l->chip->id];
    }
}

static uint32_t ram_block(const struct kl_loader *l)
{
    return l->identify.console == KL_CONSOLE_OTG ? RAM_BLOCK_OTG : RAM_BLOCK;
}

static struct kl_span part(const struct kl_loader *l)
{
    KL_ASSERT(l->stub.image && l->stub.part < 2);
    return l->stub.part == 0 ? l->stub.image->text : l->stub.image->data;
}

static enum ldr_move choose_stub(struct kl_loader *l)
{
    KL_ASSERT(!l->identity.secure_download);
    l->stub.part = 0;
    l->stub.restarts = 0;
    if (l->identity.stub) {
        ldr_note(l, "a stub from before still runs");
        return ldr_go_to(l, ldr_setup_plan);
    }
    l->stub.image = ldr_stub_for(l);
    l->stub.hailed = false;
    return l->stub.image ? MOVE_NEXT : ldr_go_to(l, ldr_setup_plan);
}

/* A ROM answers quickly about RAM. At a raised rate it may not hear us, so we wait a short time
   only. */
static kl_us ram_time(const struct kl_loader *l)
{
    return l->identity.baud > FIRST_BAUD ? KL_MS(500) : COMMAND_TIME;
}

static enum ldr_move begin_part(struct kl_loader *l)
{
    struct kl_span data = part(l);
    uint8_t payload[16];

    KL_ASSERT(ldr_is_rom(l) && data.size > 0);
    ldr_put_u32(payload, (uint32_t)data.size);
    ldr_put_u32(payload + 4, (uint32_t)((data.size + ram_block(l) - 1) / ram_block(l)));
    ldr_put_u32(payload + 8, ram_block(l));
    ldr_put_u32(payload + 12,
                l->stub.part == 0 ? l->stub.image->text_start : l->stub.image->data_start);
    l->stream.sequence = 0;
    l->stream.sent = 0;
    ldr_command(l, &(struct ldr_command){.code = CMD_MEM_BEGIN,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .work = ram_time(l)});
    return MOVE_WAIT;
}

/* At a raised rate a ROM may keep pace with questions but not with blocks: blame the rate first.
   Otherwise try once more from the start. Then the ROM alone does the job, only slower. */
static enum ldr_move give_up(struct kl_loader *l, const char *why)
{
    KL_ASSERT(ldr_is_rom(l));
    ldr_note(l, "the stub did not start (%s)", why);
    if (l->identity.baud > FIRST_BAUD)
        l->rate.rom_failed = true;
    else if (++l->stub.failures >= FAILURES_MAX)
        ldr_stub_died(l);
    else
        l->setup.memory.stub_deaths++;
    return ldr_start_over(l);
}

static enum ldr_move part_begun(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    return outcome == KL_OUT_OK ? MOVE_NEXT : give_up(l, "MEM_BEGIN");
}

static enum ldr_move send_part(struct kl_loader *l)
{
    struct kl_span data = part(l);
    size_t left = data.size - l->stream.sent;

    KL_ASSERT(l->stream.sent <= data.size);
    if (left == 0) {
        if (l->stub.part == 1 || l->stub.image->data.size == 0)
            return MOVE_NEXT;
        l->stub.part = 1;
        return ldr_go_to(l, &ldr_stub_plan[MEM_BEGIN]);
    }
    l->stream.block_len = (uint32_t)(left < ram_block(l) ? left : ram_block(l));
    ldr_command(l, &(struct ldr_command){.code = CMD_MEM_DATA,
                                         .block = data.data + l->stream.sent,
                                         .block_size = l->stream.block_len,
                                         .sequence = l->stream.sequence,
                                         .judge = true,
                                         .work = ram_time(l)});
    return MOVE_WAIT;
}

/* A bad checksum moves the ROM's sequence on all the same, so only a new beginning helps. The ROM
   refuses a block that it took before as a bad message (1.7). */
static enum ldr_move part_sent(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    bool taken_before =
        outcome == KL_OUT_REFUSED && l->op.sent > 1 && (l->reply.error & 0xFF) == ROM_BAD_MESSAGE;

    KL_ASSERT(l->stream.block_len > 0);
    if (outcome == KL_OUT_OK || taken_before) {
        l->stream.sent += l->stream.block_len;
        l->stream.sequence++;
        return MOVE_AGAIN;
    }
    if (l->stub.restarts++ >= RESTARTS_MAX)
        return give_up(l, "MEM_DATA");
    return ldr_go_to(l, &ldr_stub_plan[MEM_BEGIN]);
}

/* Some stubs greet at the rate that SYNC found, whatever rate the ROM has now. If one did so here,
   we don't wait for the greeting. */
static bool returns(const struct kl_loader *l)
{
    return l->identity.baud > FIRST_BAUD && l->setup.memory.stub_returns == l->chip->id;
}

static enum ldr_move start_stub(struct kl_loader *l)
{
    uint8_t payload[8] = {0};

    KL_ASSERT(ldr_is_rom(l) && l->stub.image);
    ldr_put_u32(payload + 4, l->stub.image->entry);
    if (l->identity.baud > FIRST_BAUD) /* its greeting may come at another rate */
        l->wire.hears = KL_HEARS_FRAMES;
    ldr_command(l, &(struct ldr_command){.code = CMD_MEM_END,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1,
                                         .judge = true,
                                         .greets = !returns(l),
                                         .work = ram_time(l)});
    return MOVE_WAIT;
}

static enum ldr_move stub_started(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(ldr_is_rom(l));
    if (outcome == KL_OUT_REFUSED)
        return give_up(l, "MEM_END");
    if (outcome == KL_OUT_OK && !returns(l)) {
        l->wire.hears = KL_HEARS_ALL;
        l->identity.stub = true;
        return ldr_go_to(l, &ldr_stub_plan[ALIVE]);
    }
    return l->identity.baud > FIRST_BAUD ? MOVE_NEXT : give_up(l, "no greeting");
}

/* ---- silence at the ROM's rate: does it listen at the first one? ---- */

static enum ldr_move set_first_rate(struct kl_loader *l)
{
    KL_ASSERT(l->identity.baud > FIRST_BAUD);
    l->wire.hears = KL_HEARS_FRAMES;
    ldr_set_baud(l, FIRST_BAUD);
    return MOVE_WAIT;
}

static enum ldr_move first_rate_set(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail(l, KL_FAULT_ADAPTER_SETTING, "%d baud", FIRST_BAUD);
    l->identity.baud = FIRST_BAUD;
    l->stub.hailed = true;
    return MOVE_NEXT;
}

static enum ldr_move wait_before_hail(struct kl_loader *l)
{
    KL_ASSERT(l->stub.hailed);
    ldr_wait_for(l, KL_MS(20)); /* for the end of its greeting, at a rate that we did not hear */
    return MOVE_WAIT;
}

static enum ldr_move hail(struct kl_loader *l)
{
    KL_ASSERT(l->stub.hailed && l->identity.baud == FIRST_BAUD);
    ldr_ask_magic(l, 3);
    return MOVE_WAIT;
}

/* If no stub answers, start again from a reset and upload at the first rate. We don't know yet
   whether ROM or stub was to blame. */
static enum ldr_move hailed(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    l->wire.hears = KL_HEARS_ALL;
    kl_console_drop_line(l->setup.console);
    if (ldr_is_magic(l, outcome) && l->reply.status_size == 2) {
        l->identity.stub = true;
        l->setup.memory.stub_returns = l->chip->id;
        return MOVE_NEXT;
    }
    ldr_note(l, "no stub is heard after a fast upload: slowly now");
    l->setup.memory.stub_returns = KL_CHIP_NONE;
    l->rate.rom_failed = true;
    return ldr_start_over(l);
}

/* A stub that greets and dies is not loaded again. */
static enum ldr_move ask_alive(struct kl_loader *l)
{
    KL_ASSERT(l->identity.stub);
    ldr_ask_magic(l, 3);
    return MOVE_WAIT;
}

static enum ldr_move is_alive(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->identity.stub);
    if (!ldr_is_magic(l, outcome)) {
        ldr_stub_died(l);
        return ldr_start_over(l);
    }
    ldr_note(l, "stub running");
    return MOVE_NEXT;
}

static enum ldr_move on_to_setup(struct kl_loader *l)
{
    return ldr_go_to(l, ldr_setup_plan);
}

/* If a stub does not start, begin again from a reset. */
#define ONCE_MORE ldr_connect_plan

const struct kl_loader_step ldr_stub_plan[] = {
    [WATCHDOGS] = {stop_watchdogs, NULL, {NULL}},
    [POWER_LOOK] = {look_at_power, power_seen, {NULL}},
    [POWER] = {power, NULL, {NULL}},
    [POWER_WAIT] = {wait_for_power, power_waited, {&ldr_stub_plan[POWER]}},
    [CHOOSE] = {choose_stub, NULL, {ldr_setup_plan}},
    [MEM_BEGIN] = {begin_part, part_begun, {ONCE_MORE}},
    [MEM_DATA] = {send_part, part_sent, {&ldr_stub_plan[MEM_BEGIN], ONCE_MORE}},
    [MEM_END] = {start_stub, stub_started, {&ldr_stub_plan[ALIVE], ONCE_MORE}},
    [FIRST_RATE] = {set_first_rate, first_rate_set, {NULL}},
    [HAIL_WAIT] = {wait_before_hail, NULL, {NULL}},
    [HAIL] = {hail, hailed, {ONCE_MORE}},
    [ALIVE] = {ask_alive, is_alive, {ONCE_MORE}},
    [ON_TO_SETUP] = {on_to_setup, NULL, {ldr_setup_plan}},
    PLAN_END,
};

bool ldr_is_rom(const struct kl_loader *l)
{
    return !l->identity.stub;
}
