/*
 * loader_setup.c: attaches the chip's flash, identifies it, and tells the loader its size.
 * (docs/esp-serial-protocol.md 2.2, 4.6)
 */
#include "loader_private.h"

enum {
    RATE,
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
    POLLS_MAX = 10,
    ROUNDS_MAX = 6,
    ROM_REACH = 16 << 20, /* 24 address bits (2.2) */
    SMALLEST = 2 << 20,   /* what ROMs assume by themselves */
};

/* A stub that was loaded at the raised rate has it already. */
static enum ldr_move raise_rate(struct kl_loader *l)
{
    KL_ASSERT(l->connect.connected && l->chip);
    return ldr_call_plan(l, ldr_rate_plan, &ldr_setup_plan[ATTACH]);
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
    l->spi.single = esp8266; /* only newer ROMs are known to take several records in one packet */
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

/* The size decides which bootloader header is written: two rounds have to agree here too. */
static enum ldr_move id_read(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint32_t id = l->reply.value & 0xFFFFFF;
    bool same = l->spi.rounds > 0 && id == l->identity.flash_id;
    bool absent = kl_flash_id_is_absent(id);

    KL_ASSERT(l->spi.rounds < ROUNDS_MAX);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    l->identity.flash_id = id;
    l->spi.index = l->spi.polls = 0;
    l->spi.rounds++;
    if (same && !absent)
        return MOVE_NEXT;
    if (l->spi.rounds == ROUNDS_MAX)
        return ldr_fail(l, absent ? KL_FAULT_NO_FLASH : KL_FAULT_LINE_NOISE, "flash id 0x%06x", id);
    if (same)
        l->spi.single = true; /* this loader may take only one record of a packet */
    return ldr_go_to(l, &ldr_setup_plan[SPI_WRITE]);
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

static enum ldr_move spi_restored(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->spi.index < 2);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    return l->spi.single && ++l->spi.index < 2 ? MOVE_AGAIN : MOVE_NEXT;
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

const struct kl_loader_step ldr_setup_plan[] = {
    [RATE] = {raise_rate, NULL, {ldr_rate_plan, &ldr_setup_plan[ATTACH]}},
    [ATTACH] = {attach, attached, {NULL}},
    [SPI_SAVE] = {save_usr, usr_saved, {NULL}},
    [SPI_SAVE2] = {save_usr2, usr2_saved, {NULL}},
    [SPI_WRITE] = {write_rdid, rdid_written, {NULL}},
    [SPI_POLL] = {poll_spi, spi_polled, {NULL}},
    [SPI_READ] = {read_id, id_read, {&ldr_setup_plan[SPI_WRITE]}},
    [SPI_RESTORE] = {restore_spi, spi_restored, {NULL}},
    [SIZE] = {tell_size, NULL, {NULL}},
    PLAN_END,
};
