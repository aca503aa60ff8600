/*
 * loader_rate.c: a higher rate: which, what the chip is told, whether it works.
 *
 * The loader tries a rate, proves it by answers, or gives it up in bounded time. It asks the ROM
 * first, so that the stub's upload is fast already. Where the ROM fails at a rate, a stub may work.
 * (docs/esp-serial-protocol.md 2.2, 4.4)
 */
#include "loader_private.h"

enum {
    ASK,
    PAUSE,
    SET,
    SETTLE,
    PROVE,
};

enum {
    PROOFS_ROM = 3,  /* every register that IDENTIFY reads next is one more proof */
    PROOFS_STUB = 8, /* a stub gets no other question before it writes */
    MISSES_MAX = 1,
    ESP32_CLOCK = 0x3FF5F06C,
    C5_CLOCK = 0x60096110,
};

#define ANSWER_TIME KL_MS(300)

uint32_t ldr_first_ceiling(const struct kl_loader_setup *setup)
{
    const struct kl_loader_memory *m = &setup->memory;

    KL_ASSERT(setup->baud_max >= FIRST_BAUD);
    return m->baud == 0 || m->baud > setup->baud_max ? setup->baud_max : m->baud;
}

uint32_t ldr_rate_to_try(const struct kl_loader *l)
{
    static const uint32_t rates[] = {2000000, 1500000, 921600, 460800, 230400};

    KL_ASSERT(l->rate.ceiling <= l->setup.baud_max);
    if (l->rate.ceiling == ldr_first_ceiling(&l->setup))
        return l->rate.ceiling;
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++)
        if (rates[i] <= l->rate.ceiling)
            return rates[i];
    return FIRST_BAUD;
}

bool ldr_wants_rate(const struct kl_loader *l)
{
    KL_ASSERT(l->connect.connected && l->chip);
    if (l->setup.link == KL_LINK_RAW || l->identify.console != KL_CONSOLE_UART)
        return false;
    if (ldr_is_rom(l)) {
        if (!l->chip->rom_deflate) /* the ESP8266's ROM can't change it */
            return false;
        if (l->rate.rom_failed || l->setup.memory.rom_stays == l->chip->id)
            return false;
    }
    return ldr_rate_to_try(l) > l->identity.baud;
}

/* ---- what a ROM is told ---- */

/* Some ROMs compute the divider from a clock that they guess: the rate that we tell them must make
   up for it. A divider tells the crystal only at the rate that SYNC found (4.4). */
uint32_t ldr_clock_reg(const struct kl_loader *l, unsigned n)
{
    const struct kl_chip *c = l->chip;
    const uint32_t regs[] = {
        c->crystal_mhz == 0 ? c->uart_clkdiv_reg : 0,
        c->id == KL_CHIP_ESP32     ? ESP32_CLOCK
        : c->id == KL_CHIP_ESP32C5 ? C5_CLOCK
                                   : 0,
        c->id == KL_CHIP_ESP32 ? ESP32_WORD4 : 0,
    };

    KL_ASSERT(n < sizeof regs / sizeof regs[0]);
    return regs[n];
}

/* Ignores a measurement that is far off: the chip was not calibrated. */
static uint32_t esp32_rate_to_tell(const struct kl_loader *l)
{
    uint64_t count = ldr_reg_value(l, ESP32_CLOCK) >> 7 & 0x1FFFFFF;
    uint64_t oscillator = ldr_reg_value(l, ESP32_WORD4) & 0xFF;
    uint64_t hz = count * 15625 * oscillator / 40;
    uint64_t nominal = hz > 33000000 ? 40000000 : 26000000;

    if (hz < nominal - nominal / 10 || hz > nominal + nominal / 10)
        return l->rate.next;
    return (uint32_t)(l->rate.next * hz / nominal);
}

static uint32_t rate_to_tell(const struct kl_loader *l)
{
    uint8_t crystal = l->identity.crystal_mhz;
    uint32_t assumed = ldr_reg_value(l, C5_CLOCK) >> 24 & 0x7F;

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

/* ---- where a rate does not work ---- */

enum ldr_move ldr_rate_failed(struct kl_loader *l)
{
    bool first = l->rate.ceiling == ldr_first_ceiling(&l->setup);

    ldr_note(l, "%u baud does not work here", l->rate.next);
    /* Is it the ROM or the wire? A stub tells, if there is one. If a stub fails too, it is the
       wire, and the ROM may try the next rate. */
    if (ldr_is_rom(l) && first && ldr_stub_for(l)) {
        l->rate.rom_failed = true;
    } else {
        l->rate.rom_failed = false;
        l->rate.ceiling = l->rate.next - 1;
    }
    return ldr_start_over(l);
}

void ldr_remember_rate(struct kl_loader *l)
{
    struct kl_loader_memory *m = &l->setup.memory;
    bool native = l->setup.link == KL_LINK_RAW || l->identify.console != KL_CONSOLE_UART;

    KL_ASSERT(l->identity.baud >= FIRST_BAUD);
    if (native)
        return;
    if (l->rate.ceiling < ldr_first_ceiling(&l->setup))
        m->baud = l->identity.baud;
    /* A stub that works at a rate at which the ROM was silent proves it; so does the ROM at the
       first rate. */
    if (l->rate.rom_failed && (!l->identity.stub || l->identity.baud > FIRST_BAUD))
        m->rom_stays = l->chip->id;
}

/* ---- steps ---- */

static enum ldr_move ask_rate(struct kl_loader *l)
{
    uint8_t payload[8];

    l->rate.proofs = l->rate.misses = 0;
    l->rate.next = l->identity.baud;
    if (!ldr_wants_rate(l))
        return MOVE_DONE;
    l->rate.next = ldr_rate_to_try(l);
    ldr_put_u32(payload, rate_to_tell(l));
    ldr_put_u32(payload + 4, ldr_is_rom(l) ? 0 : l->identity.baud);
    /* Once: after a lost answer nobody knows at which rate the chip listens. */
    ldr_command(l, &(struct ldr_command){.code = CMD_CHANGE_BAUDRATE,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1,
                                         .judge = true,
                                         .work = ANSWER_TIME});
    return MOVE_WAIT;
}

static enum ldr_move rate_asked(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->rate.next > l->identity.baud);
    if (outcome == KL_OUT_OK)
        return MOVE_NEXT;
    if (outcome == KL_OUT_SILENT) {
        if (ldr_is_rom(l))
            return ldr_rate_failed(l);
        ldr_stub_died(l); /* its answer would have come at the old rate */
        return ldr_start_over(l);
    }
    /* PROVE comes next: the answer may be damaged, and the chip may have switched all the same. */
    ldr_note(l, "the loader refuses %u baud", l->rate.next);
    l->rate.rom_failed |= ldr_is_rom(l);
    l->rate.next = l->identity.baud;
    return ldr_go_to(l, &ldr_rate_plan[PROVE]);
}

/* A stub needs some time before it switches. */
static enum ldr_move pause_before_rate(struct kl_loader *l)
{
    KL_ASSERT(l->rate.next > l->identity.baud);
    l->wire.hears = KL_HEARS_FRAMES;
    ldr_wait_for(l, ldr_is_rom(l) ? KL_MS(2) : KL_MS(25));
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
    if (outcome != KL_OUT_OK) { /* the adapter's own limit: no other loader would help */
        l->rate.ceiling = l->rate.next - 1;
        ldr_note(l, "%u baud does not work here", l->rate.next);
        return ldr_start_over(l);
    }
    l->identity.baud = l->rate.next;
    return MOVE_NEXT;
}

/* Most adapters and chips are ready at once; after a miss they get longer. */
static enum ldr_move settle_rate(struct kl_loader *l)
{
    KL_ASSERT(l->identity.baud == l->rate.next);
    ldr_wait_for(l, l->rate.misses == 0 ? KL_MS(3) : KL_MS(50));
    return MOVE_WAIT;
}

void ldr_ask_magic(struct kl_loader *l, unsigned tries)
{
    uint8_t payload[4];

    KL_ASSERT(l->identify.answers[0].has_magic);
    ldr_put_u32(payload, MAGIC_REG);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = (uint8_t)tries,
                                         .judge = true,
                                         .work = ANSWER_TIME});
}

bool ldr_is_magic(const struct kl_loader *l, enum kl_loader_outcome outcome)
{
    return outcome == KL_OUT_OK && l->reply.value == l->identify.answers[0].magic;
}

/* Both directions must work at the new rate, several times: a rate that works most of the time is
   worse than a lower one. */
static enum ldr_move prove_rate(struct kl_loader *l)
{
    KL_ASSERT(l->rate.misses <= MISSES_MAX);
    ldr_ask_magic(l, 1);
    return MOVE_WAIT;
}

static enum ldr_move rate_proved(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    unsigned wanted = ldr_is_rom(l) ? PROOFS_ROM : PROOFS_STUB;

    if (ldr_is_magic(l, outcome)) {
        if (++l->rate.proofs < wanted)
            return MOVE_AGAIN;
        l->wire.hears = KL_HEARS_ALL;
        kl_console_drop_line(l->setup.console);
        if (l->identity.baud > FIRST_BAUD)
            ldr_note(l, "%u baud", l->identity.baud);
        return MOVE_DONE;
    }
    if (++l->rate.misses > MISSES_MAX)
        return ldr_rate_failed(l);
    return l->rate.proofs == 0 ? ldr_go_to(l, &ldr_rate_plan[SETTLE]) : MOVE_AGAIN;
}

const struct kl_loader_step ldr_rate_plan[] = {
    [ASK] = {ask_rate, rate_asked, {&ldr_rate_plan[PROVE], ldr_connect_plan}},
    [PAUSE] = {pause_before_rate, NULL, {NULL}},
    [SET] = {set_rate, rate_set, {ldr_connect_plan}},
    [SETTLE] = {settle_rate, NULL, {NULL}},
    [PROVE] = {prove_rate, rate_proved, {&ldr_rate_plan[SETTLE], ldr_connect_plan}},
    PLAN_END,
};
