/*
 * loader_setup.c: a higher rate, and the flash behind the chip: attached, identified, its size
 * told to the loader. (docs/esp-serial-protocol.md 2.2, 4.4, 4.6)
 */
#include "loader_private.h"

enum {
    CLOCK,
    RATE,
    RATE_PAUSE,
    RATE_SET,
    RATE_SETTLE,
    RATE_PROVE,
    ATTACH,
    SPI_SAVE,
    SPI_SAVE2,
    SPI_WRITE,
    SPI_POLL,
    SPI_READ,
    SPI_RESTORE,
    SIZE,
};

enum {
    PROOFS = 8,
    MISSES_MAX = 1,
    POLLS_MAX = 10,
    ROUNDS_MAX = 6,
    ROM_REACH = 16 << 20, /* 24 address bits (2.2) */
    SMALLEST = 2 << 20,   /* what ROMs assume by themselves */
    ESP32_CLOCK = 0x3FF5F06C,
    C5_CLOCK = 0x60096110,
};

/* ---- rate ---- */

static uint32_t rate_to_try(const struct kl_loader *l)
{
    static const uint32_t rates[] = {2000000, 1500000, 921600, 460800, 230400};

    KL_ASSERT(l->rate.ceiling <= l->setup.baud_max);
    if (l->rate.ceiling == l->setup.baud_max)
        return l->rate.ceiling;
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++)
        if (rates[i] <= l->rate.ceiling)
            return rates[i];
    return FIRST_BAUD;
}

static bool wants_rate(const struct kl_loader *l)
{
    bool native = l->console != KL_CONSOLE_UART;

    if (l->setup.link == KL_LINK_RAW || native)
        return false;
    if (ldr_is_rom(l) && !l->chip->rom_deflate) /* the ESP8266's ROM can't change it */
        return false;
    return rate_to_try(l) > FIRST_BAUD;
}

/* Some ROMs compute the divider with a clock that they guess: what they are told has to make up
   for it (4.4). */
static enum ldr_move read_clock(struct kl_loader *l)
{
    KL_ASSERT(l->connect.connected && l->chip);
    l->rate.proofs = l->rate.misses = 0;
    l->rate.clock = 0;
    l->rate.next = rate_to_try(l);
    if (!wants_rate(l) || !ldr_is_rom(l))
        return MOVE_NEXT;
    if (l->chip->id != KL_CHIP_ESP32 && l->chip->id != KL_CHIP_ESP32C5)
        return MOVE_NEXT;
    ldr_read_reg(l, l->chip->id == KL_CHIP_ESP32 ? ESP32_CLOCK : C5_CLOCK);
    return MOVE_WAIT;
}

static enum ldr_move clock_read(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(ldr_is_rom(l));
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    l->rate.clock = l->reply.value;
    return MOVE_NEXT;
}

struct clock {
    uint64_t hz, nominal;
    bool measured; /* far off it is no measurement: an emulator, or a chip without calibration */
};

static struct clock esp32_clock(const struct kl_loader *l)
{
    uint64_t count = l->rate.clock >> 7 & 0x1FFFFFF;
    uint64_t oscillator = ldr_reg_value(l, ESP32_WORD4) & 0xFF;
    struct clock c = {.hz = count * 15625 * oscillator / 40};

    c.nominal = c.hz > 33000000 ? 40000000 : 26000000;
    c.measured = c.hz >= c.nominal - c.nominal / 10 && c.hz <= c.nominal + c.nominal / 10;
    return c;
}

static uint32_t esp32_rate_to_tell(const struct kl_loader *l)
{
    struct clock c = esp32_clock(l);

    return c.measured ? (uint32_t)(l->rate.next * c.hz / c.nominal) : l->rate.next;
}

/* An emulated ESP32's ROM hangs for good when it is told a rate, or loses bytes at it. */
static bool may_be_emulated(const struct kl_loader *l)
{
    return ldr_is_rom(l) && l->setup.link == KL_LINK_RFC2217 && l->chip->id == KL_CHIP_ESP32 &&
           !esp32_clock(l).measured;
}

static uint32_t rate_to_tell(const struct kl_loader *l)
{
    uint8_t crystal = l->identity.crystal_mhz;
    uint32_t assumed = l->rate.clock >> 24 & 0x7F;

    if (!ldr_is_rom(l))
        return l->rate.next;
    switch (l->chip->id) {
    case KL_CHIP_ESP32:
        return esp32_rate_to_tell(l);
    case KL_CHIP_ESP32C2:
        return crystal == 26 ? (uint32_t)((uint64_t)l->rate.next * 40 / 26) : l->rate.next;
    case KL_CHIP_ESP32C5:
        if ((crystal == 48 && assumed == 40) || (crystal == 40 && assumed == 48))
            return (uint32_t)((uint64_t)l->rate.next * assumed / crystal);
        return l->rate.next;
    default:
        return l->rate.next;
    }
}

static enum ldr_move ask_rate(struct kl_loader *l)
{
    uint8_t payload[8];

    KL_ASSERT(l->rate.proofs == 0 && l->rate.misses == 0);
    if (!wants_rate(l) || may_be_emulated(l)) {
        return ldr_go_to(l, &ldr_setup_plan[ATTACH]);
    }
    ldr_put_u32(payload, rate_to_tell(l));
    ldr_put_u32(payload + 4, ldr_is_rom(l) ? 0 : l->identity.baud);
    /* Once: after a lost answer nobody knows at which rate the chip listens. */
    ldr_command(l, &(struct ldr_command){.code = CMD_CHANGE_BAUDRATE,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1,
                                         .judge = true});
    return MOVE_WAIT;
}

static enum ldr_move try_slower(struct kl_loader *l)
{
    ldr_note(l, "%u baud does not work here", l->rate.next);
    l->rate.ceiling = l->rate.next - 1;
    return ldr_call_plan(l, ldr_connect_plan, ldr_identify_plan);
}

static enum ldr_move rate_asked(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome == KL_OUT_OK)
        return MOVE_NEXT;
    if (outcome == KL_OUT_SILENT)
        return try_slower(l);
    /* Unless the answer was damaged and the chip has switched all the same. */
    ldr_note(l, "the loader refuses %u baud", l->rate.next);
    l->rate.next = l->identity.baud;
    return ldr_go_to(l, &ldr_setup_plan[RATE_PROVE]);
}

static enum ldr_move pause_before_rate(struct kl_loader *l)
{
    KL_ASSERT(wants_rate(l));
    l->wire.hears = KL_HEARS_FRAMES;
    ldr_wait_for(l, ldr_is_rom(l) ? KL_MS(5) : KL_MS(25));
    return MOVE_WAIT;
}

static enum ldr_move set_rate(struct kl_loader *l)
{
    KL_ASSERT(l->rate.next <= l->setup.baud_max);
    ldr_set_baud(l, l->rate.next);
    return MOVE_WAIT;
}

static enum ldr_move rate_set(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->wire.hears == KL_HEARS_FRAMES);
    if (outcome != KL_OUT_OK)
        return try_slower(l);
    l->identity.baud = l->rate.next;
    return MOVE_NEXT;
}

static enum ldr_move settle_rate(struct kl_loader *l)
{
    KL_ASSERT(l->identity.baud == l->rate.next);
    ldr_wait_for(l, KL_MS(50));
    return MOVE_WAIT;
}

/* The chip's magic is known already: both directions must work at the new rate, and again and
   again, because a rate that works most of the time is worse than a lower one. */
static enum ldr_move prove_rate(struct kl_loader *l)
{
    uint8_t payload[4];

    KL_ASSERT(l->rate.proofs < PROOFS && l->rate.misses <= MISSES_MAX);
    ldr_put_u32(payload, MAGIC_REG);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1,
                                         .judge = true,
                                         .work = KL_MS(300)});
    return MOVE_WAIT;
}

static enum ldr_move rate_proved(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    bool right = outcome == KL_OUT_OK && l->reply.value == l->identify.answers[0].magic;

    if (!right && ++l->rate.misses > MISSES_MAX)
        return try_slower(l);
    l->rate.proofs += right;
    if (l->rate.proofs < PROOFS)
        return MOVE_AGAIN;
    l->wire.hears = KL_HEARS_ALL;
    l->said.line_size = 0;
    ldr_note(l, "%u baud", l->identity.baud);
    return MOVE_NEXT;
}

/* ---- attach ---- */

/* In-package flash of an ESP32 hangs on pins that the eFuses name and its ROM does not use by
   itself (4.6). */
static uint32_t esp32_pins(const struct kl_loader *l)
{
    uint32_t w5 = ldr_reg_value(l, ESP32_WORD5), w3 = ldr_reg_value(l, ESP32_WORD3);
    uint32_t clk = w5 & 31, q = w5 >> 5 & 31, d = w5 >> 10 & 31, cs = w5 >> 15 & 31;
    uint32_t hd = w3 >> 4 & 31;

    if (l->chip->id != KL_CHIP_ESP32 || (clk | q | d | cs | hd) == 0)
        return 0;
    return hd << 24 | cs << 18 | d << 12 | q << 6 | clk;
}

static enum ldr_move attach(struct kl_loader *l)
{
    uint8_t payload[16] = {0};
    bool esp8266 = l->chip->id == KL_CHIP_ESP8266;

    KL_ASSERT(l->wire.hears == KL_HEARS_ALL);
    l->spi.rounds = 0;
    l->spi.single = esp8266; /* several records in one packet are proved for newer ROMs only */
    if (esp8266 && !ldr_is_rom(l))
        return MOVE_NEXT;
    if (esp8266) {
        ldr_put_u32(payload + 8, 0x400);
        ldr_command(l, &(struct ldr_command){
                           .code = CMD_FLASH_BEGIN, .payload = payload, .payload_size = 16});
    } else {
        ldr_put_u32(payload, ldr_is_rom(l) ? esp32_pins(l) : 0);
        ldr_command(l, &(struct ldr_command){.code = CMD_SPI_ATTACH,
                                             .payload = payload,
                                             .payload_size = ldr_is_rom(l) ? 8 : 4});
    }
    return MOVE_WAIT;
}

static enum ldr_move attached(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    bool is_hint = !ldr_is_rom(l) || l->chip->id == KL_CHIP_ESP8266;

    KL_ASSERT(l->chip);
    /* A stub has attached it already; on the ESP8266 the flash id tells whether it worked. */
    if (outcome == KL_OUT_OK || (outcome == KL_OUT_REFUSED && is_hint))
        return MOVE_NEXT;
    return ldr_fail_by(l, outcome);
}

/* ---- RDID through the SPI controller's registers ---- */

struct spi_layout {
    uint8_t usr, usr1, usr2, miso, w0;
};

static const struct spi_layout *layout_of(const struct kl_chip *c)
{
    static const struct spi_layout esp8266 = {0x1C, 0x20, 0x24, 0, 0x40};
    static const struct spi_layout esp32 = {0x1C, 0x20, 0x24, 0x2C, 0x80};
    static const struct spi_layout newer = {0x18, 0x1C, 0x20, 0x28, 0x58};

    KL_ASSERT(c->spi.base);
    if (c->id == KL_CHIP_ESP8266)
        return &esp8266;
    return c->spi.old_layout ? &esp32 : &newer;
}

enum {
    SPI_START = 1 << 18,
    RDID = 0x9F,
    RDID_BITS = 24,
    RDID_WRITES = 5,
};

static enum ldr_move save_usr(struct kl_loader *l)
{
    KL_ASSERT(l->spi.rounds < ROUNDS_MAX);
    l->spi.index = 0;
    l->spi.polls = 0;
    ldr_read_reg(l, l->chip->spi.base + layout_of(l->chip)->usr);
    return MOVE_WAIT;
}

static enum ldr_move usr_saved(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    l->spi.usr = l->reply.value;
    return outcome == KL_OUT_OK ? MOVE_NEXT : ldr_fail_by(l, outcome);
}

static enum ldr_move save_usr2(struct kl_loader *l)
{
    ldr_read_reg(l, l->chip->spi.base + layout_of(l->chip)->usr2);
    return MOVE_WAIT;
}

static enum ldr_move usr2_saved(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    l->spi.usr2 = l->reply.value;
    return outcome == KL_OUT_OK ? MOVE_NEXT : ldr_fail_by(l, outcome);
}

static enum ldr_move write_rdid(struct kl_loader *l)
{
    const struct spi_layout *at = layout_of(l->chip);
    uint32_t base = l->chip->spi.base;
    struct ldr_write writes[RDID_WRITES] = {
        at->miso ? (struct ldr_write){base + at->miso, RDID_BITS - 1, ALL_BITS, 0}
                 : (struct ldr_write){base + at->usr1, (RDID_BITS - 1) << 8, ALL_BITS, 0},
        {base + at->usr, 1u << 31 | 1u << 28, ALL_BITS, 0},
        {base + at->usr2, 7u << 28 | RDID, ALL_BITS, 0},
        {base + at->w0, 0, ALL_BITS, 0},
        {base, SPI_START, ALL_BITS, 0},
    };

    KL_ASSERT(l->spi.index < RDID_WRITES);
    ldr_write_regs(l, writes + l->spi.index, l->spi.single ? 1 : RDID_WRITES);
    return MOVE_WAIT;
}

static enum ldr_move rdid_written(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->spi.index < RDID_WRITES);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    return l->spi.single && ++l->spi.index < RDID_WRITES ? MOVE_AGAIN : MOVE_NEXT;
}

static enum ldr_move poll_spi(struct kl_loader *l)
{
    KL_ASSERT(l->spi.polls < POLLS_MAX);
    ldr_read_reg(l, l->chip->spi.base);
    return MOVE_WAIT;
}

static enum ldr_move spi_polled(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    return (l->reply.value & SPI_START) != 0 && ++l->spi.polls < POLLS_MAX ? MOVE_AGAIN : MOVE_NEXT;
}

static enum ldr_move read_id(struct kl_loader *l)
{
    ldr_read_reg(l, l->chip->spi.base + layout_of(l->chip)->w0);
    return MOVE_WAIT;
}

static enum ldr_move id_read(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->spi.rounds < ROUNDS_MAX);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    l->spi.id_before = l->identity.flash_id;
    l->identity.flash_id = l->reply.value & 0xFFFFFF;
    l->spi.index = 0;
    return MOVE_NEXT;
}

static enum ldr_move restore_spi(struct kl_loader *l)
{
    const struct spi_layout *at = layout_of(l->chip);
    uint32_t base = l->chip->spi.base;
    struct ldr_write writes[2] = {
        {base + at->usr, l->spi.usr, ALL_BITS, 0},
        {base + at->usr2, l->spi.usr2, ALL_BITS, 0},
    };

    KL_ASSERT(l->spi.index < 2);
    ldr_write_regs(l, writes + l->spi.index, l->spi.single ? 1 : 2);
    return MOVE_WAIT;
}

/* The size decides which bootloader header is written: two rounds have to agree here too. */
static enum ldr_move spi_restored(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    bool same = l->spi.rounds > 0 && l->identity.flash_id == l->spi.id_before;
    bool absent = kl_flash_id_is_absent(l->identity.flash_id);

    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (l->spi.single && ++l->spi.index < 2)
        return MOVE_AGAIN;
    l->spi.rounds++;
    if (same && !absent)
        return MOVE_NEXT;
    if (l->spi.rounds < ROUNDS_MAX) {
        if (same)
            l->spi.single = true; /* this loader may take but one record of a packet */
        return ldr_go_to(l, &ldr_setup_plan[SPI_SAVE]);
    }
    return ldr_fail(l, absent ? KL_FAULT_NO_FLASH : KL_FAULT_LINE_NOISE, "flash id 0x%06x",
                    l->identity.flash_id);
}

/* ---- size ---- */

uint32_t ldr_known_flash_size(const struct kl_loader *l)
{
    return l->identity.flash_size ? l->identity.flash_size : SMALLEST;
}

static enum ldr_move tell_size(struct kl_loader *l)
{
    uint8_t payload[24] = {0};
    uint32_t size;

    KL_ASSERT(!kl_flash_id_is_absent(l->identity.flash_id));
    l->identity.flash_size = kl_flash_size_from_id(l->identity.flash_id);
    if (l->identity.flash_size == 0)
        ldr_note(l, "flash id 0x%06x is unknown: taken as 2 MB", l->identity.flash_id);
    if (l->chip->id == KL_CHIP_ESP8266)
        return MOVE_NEXT;
    size = ldr_known_flash_size(l);
    if (ldr_is_rom(l) && size > ROM_REACH)
        size = ROM_REACH;
    ldr_put_u32(payload + 4, size);
    ldr_put_u32(payload + 8, 0x10000);
    ldr_put_u32(payload + 12, SECTOR);
    ldr_put_u32(payload + 16, 0x100);
    ldr_put_u32(payload + 20, 0xFFFF);
    ldr_command(l, &(struct ldr_command){.code = CMD_SPI_SET_PARAMS,
                                         .payload = payload,
                                         .payload_size = sizeof payload});
    return MOVE_WAIT;
}

/* A rate that does not work: from a reset, with the next lower one. */
#define SLOWER ldr_connect_plan, ldr_identify_plan

const struct kl_loader_step ldr_setup_plan[] = {
    [CLOCK] = {read_clock, clock_read, {NULL}},
    [RATE] = {ask_rate, rate_asked, {&ldr_setup_plan[ATTACH], &ldr_setup_plan[RATE_PROVE], SLOWER}},
    [RATE_PAUSE] = {pause_before_rate, NULL, {NULL}},
    [RATE_SET] = {set_rate, rate_set, {SLOWER}},
    [RATE_SETTLE] = {settle_rate, NULL, {NULL}},
    [RATE_PROVE] = {prove_rate, rate_proved, {SLOWER}},
    [ATTACH] = {attach, attached, {NULL}},
    [SPI_SAVE] = {save_usr, usr_saved, {NULL}},
    [SPI_SAVE2] = {save_usr2, usr2_saved, {NULL}},
    [SPI_WRITE] = {write_rdid, rdid_written, {NULL}},
    [SPI_POLL] = {poll_spi, spi_polled, {NULL}},
    [SPI_READ] = {read_id, id_read, {NULL}},
    [SPI_RESTORE] = {restore_spi, spi_restored, {&ldr_setup_plan[SPI_SAVE]}},
    [SIZE] = {tell_size, NULL, {NULL}},
    PLAN_END,
};
