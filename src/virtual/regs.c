/*
 * regs.c: what READ_REG sees: eFuses and identity of this board (§4.2, §4.4, §4.7), the SPI
 * peripheral through which loaders talk to the flash chip (§4.6), and plain memory for the rest.
 */
#include <string.h>

#include "vboard_inside.h"

#define MAGIC_REG 0x40001000u

static void fix(struct kl_vboard *b, uint32_t address, uint32_t value, uint32_t mask)
{
    struct regs *r = &b->regs;
    unsigned i;

    if (address == 0)
        return;
    for (i = 0; i < r->fixed_count && r->fixed[i].address != address; i++)
        continue;
    KL_ASSERT(i < sizeof r->fixed / sizeof r->fixed[0]);
    if (i == r->fixed_count)
        r->fixed[r->fixed_count++] = (struct reg){address, 0};
    r->fixed[i].value = (r->fixed[i].value & ~mask) | (value & mask);
}

static void fix_bits(struct kl_vboard *b, const struct kl_bits *bits, uint32_t value)
{
    fix(b, bits->reg, value << bits->shift, bits->mask << bits->shift);
}

static void fix_split(struct kl_vboard *b, const struct kl_split_bits *bits, uint32_t value)
{
    fix_bits(b, &bits->low, value & bits->low.mask);
    if (bits->high.reg)
        fix_bits(b, &bits->high, value >> bits->high_shift);
}

/* The ESP32 keeps a CRC-8 (Maxim) of the MAC beside it; seen in recorded answers. */
static uint8_t mac_crc(const struct kl_mac *mac)
{
    uint8_t crc = 0;

    for (int i = 0; i < 6; i++) {
        crc ^= mac->b[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (uint8_t)(crc & 1 ? crc >> 1 ^ 0x8C : crc >> 1);
    }
    return crc;
}

static void fix_mac(struct kl_vboard *b)
{
    const uint8_t *m = b->mac.b;
    uint32_t extra = 0;

    if (fault_is(b, FAULT_ID_MAC_EMPTY))
        return;
    if (b->chip->id == KL_CHIP_ESP8266) { /* OUI in its own word, rest spread over two (§4.2) */
        fix(b, 0x3FF00050, (uint32_t)m[5] << 24, UINT32_MAX);
        fix(b, 0x3FF00054, (uint32_t)m[3] << 8 | m[4], UINT32_MAX);
        fix(b, 0x3FF0005C, (uint32_t)m[0] << 16 | (uint32_t)m[1] << 8 | m[2], UINT32_MAX);
        return;
    }
    if (b->chip->id == KL_CHIP_ESP32)
        extra = (uint32_t)mac_crc(&b->mac) << 16;
    else if (b->chip->id == KL_CHIP_ESP32C5 || b->chip->id == KL_CHIP_ESP32C6 ||
             b->chip->id == KL_CHIP_ESP32H2)
        extra = 0xFFFEu << 16; /* the middle of the EUI-64 */
    fix(b, b->chip->mac_reg,
        (uint32_t)m[2] << 24 | (uint32_t)m[3] << 16 | (uint32_t)m[4] << 8 | m[5], UINT32_MAX);
    fix(b, b->chip->mac_reg + 4, extra | (uint32_t)m[0] << 8 | m[1], UINT32_MAX);
}

static void fix_revision(struct kl_vboard *b)
{
    const struct kl_chip *c = b->chip;
    uint32_t major = b->config.revision / 100u, minor = b->config.revision % 100u;

    if (c->id == KL_CHIP_ESP32) { /* three single bits: 0, 1, 3, 7 mean 0, 1, 2, 3 (§4.2) */
        uint32_t bits = major == 0 ? 0 : major == 1 ? 1 : major == 2 ? 3 : 7;
        fix(b, c->efuse_base + 12, (bits & 1) << 15, 1u << 15);
        fix(b, c->efuse_base + 20, (bits >> 1 & 1) << 20 | (minor & 3) << 24, 1u << 20 | 3u << 24);
        fix(b, 0x3FF6607C, bits >> 2 << 31, 1u << 31);
        fix(b, c->efuse_base + 12, 1u << 9, 7u << 9); /* package: D0WD */
        return;
    }
    fix_split(b, &c->major, major);
    fix_split(b, &c->minor, minor);
}

static void fix_security(struct kl_vboard *b)
{
    if (fault_is(b, FAULT_ID_FLASH_ENCRYPTED))
        fix_bits(b, &b->chip->crypt_count, 1);
    if (fault_is(b, FAULT_ID_SECURE_BOOT))
        fix_bits(b, &b->chip->secure_boot, 1);
}

enum {
    OSCILLATOR = 133, /* the eFuse's figure for the 8 MHz oscillator */
    DRIFT = 10, /* the oscillator's drift since, in 1/1000; it spoils the ROM's measurement too */
};

/* The oscillator as the calibration's counter measures it, in steps of 52 kHz (§4.4). */
static uint32_t esp32_count(const struct kl_vboard *b)
{
    uint64_t drift = fault_is(b, FAULT_ID_CLOCK_OFF) ? fault_figure(b, FAULT_ID_CLOCK_OFF) : DRIFT;
    uint64_t seen = (uint64_t)crystal_hz(b) * (1000 + drift) / 1000;

    return (uint32_t)(seen * 40 / (15625 * OSCILLATOR));
}

uint64_t esp32_measures(const struct kl_vboard *b)
{
    return (uint64_t)esp32_count(b) * 15625 * OSCILLATOR / 40;
}

static void fix_clocks(struct kl_vboard *b)
{
    switch (b->chip->id) {
    case KL_CHIP_ESP32:
        fix(b, 0x3FF5F06C, esp32_count(b) << 7, UINT32_MAX);
        fix(b, b->chip->efuse_base + 16, OSCILLATOR, 0xFF);
        break;
    case KL_CHIP_ESP32C5: /* the crystal that the ROM assumes, in MHz (§4.4) */
        fix(b, 0x60096110, (uint32_t)b->v->rom_assumes_mhz << 24, 0x7Fu << 24);
        break;
    case KL_CHIP_ESP32P4: /* another way to tell a P4 (§4.1) */
        fix(b, 0x500D0000, 0x2207202, UINT32_MAX);
        break;
    default:
        break;
    }
}

void regs_init(struct kl_vboard *b)
{
    b->regs.fixed_count = 0;
    fix(b, MAGIC_REG, b->v->magic, UINT32_MAX);
    fix_mac(b);
    fix_revision(b);
    fix_security(b);
    fix_clocks(b);
}

void regs_reset(struct kl_vboard *b)
{
    b->regs.kept_count = b->regs.kept_next = 0;
    memset(b->regs.w, 0, sizeof b->regs.w);
}

/* ---- plain memory: the newest writes are remembered ---- */

static struct reg *find_kept(struct regs *r, uint32_t address)
{
    for (unsigned i = 0; i < r->kept_count; i++)
        if (r->kept[i].address == address)
            return &r->kept[i];
    return NULL;
}

static void keep(struct regs *r, uint32_t address, uint32_t value)
{
    struct reg *reg = find_kept(r, address);

    if (!reg) {
        reg = &r->kept[r->kept_next];
        r->kept_next = (r->kept_next + 1) % REGS_KEPT;
        if (r->kept_count < REGS_KEPT)
            r->kept_count++;
    }
    *reg = (struct reg){address, value};
}

static uint32_t plain(struct kl_vboard *b, uint32_t address)
{
    const struct reg *reg = find_kept(&b->regs, address);

    return reg ? reg->value : 0;
}

/* ---- the SPI peripheral ---- */

struct spi_layout {
    uint32_t usr, usr1, usr2, mosi_length, miso_length, w; /* lengths 0: in USR1 */
};

static struct spi_layout layout(const struct kl_vboard *b)
{
    uint32_t base = b->chip->spi.base;

    if (b->chip->id == KL_CHIP_ESP8266)
        return (struct spi_layout){base + 0x1C, base + 0x20, base + 0x24, 0, 0, base + 0x40};
    if (b->chip->spi.old_layout)
        return (struct spi_layout){base + 0x1C, base + 0x20, base + 0x24,
                                   base + 0x28, base + 0x2C, base + 0x80};
    return (struct spi_layout){base + 0x18, base + 0x1C, base + 0x20,
                               base + 0x24, base + 0x28, base + 0x58};
}

/* The flash chip's answer to one command byte, first byte in the low bits. */
static uint32_t flash_chip_says(struct kl_vboard *b, uint8_t command, uint32_t address)
{
    static const uint8_t sfdp[] = {0x53, 0x46, 0x44, 0x50, 0x05, 0x01, 0x00, 0xFF, 0x00, 0x05,
                                   0x01, 0x10, 0x80, 0x00, 0x00, 0xFF, 0xEF, 0x00, 0x01, 0x01};
    uint32_t value = 0;

    switch (command) {
    case 0x9F:
        return flash_id(b);
    case 0x5A:
        for (unsigned i = 0; i < 4; i++)
            value |= (uint32_t)(address + i < sizeof sfdp ? sfdp[address + i] : 0xFF) << 8 * i;
        return value;
    case 0x03:
        for (unsigned i = 0; i < 4; i++)
            value |= (uint32_t)(address + i < b->flash_size ? b->flash[address + i] : 0xFF)
                     << 8 * i;
        return value;
    case 0x4B: /* unique id */
        return get_u32(b->mac.b + 2);
    case 0x05:
        return b->regs.flash_status[0];
    case 0x35:
        return b->regs.flash_status[1];
    case 0x15:
        return b->regs.flash_status[2];
    default:
        return 0;
    }
}

/* Write enable, and the status registers behind it. */
static void flash_chip_hears(struct kl_vboard *b, uint8_t command, unsigned bits)
{
    uint8_t *status = b->regs.flash_status;
    uint32_t data = b->regs.w[0];

    if (command == 0x06 || command == 0x50 || command == 0x04) {
        status[0] = (uint8_t)(command == 0x04 ? status[0] & ~2 : status[0] | 2);
        return;
    }
    if (!(status[0] & 2) || bits < 8)
        return;
    if (command == 0x01) {
        status[0] = (uint8_t)(data & 0xFC);
        if (bits >= 16)
            status[1] = (uint8_t)(data >> 8);
    } else if (command == 0x31 || command == 0x11) {
        status[command == 0x31 ? 1 : 2] = (uint8_t)data;
        status[0] &= 0xFD;
    }
}

static void spi_execute(struct kl_vboard *b, const struct spi_layout *at)
{
    uint32_t usr = plain(b, at->usr), usr1 = plain(b, at->usr1);
    uint32_t address = plain(b, b->chip->spi.base + 4);
    uint8_t command = plain(b, at->usr2) & 0xFF;
    unsigned bits = 0, bits_out = 0;

    if (usr & 1u << 28)
        bits = at->miso_length ? plain(b, at->miso_length) + 1 : (usr1 >> 8 & 0x1FF) + 1;
    if (usr & 1u << 27)
        bits_out = at->mosi_length ? plain(b, at->mosi_length) + 1 : (usr1 >> 17 & 0x1FF) + 1;
    if (b->chip->spi.old_layout)
        address >>= 32 - ((usr1 >> 26 & 31) + 1);
    bool there = b->loader.attached && !fault_is(b, FAULT_ID_NO_FLASH);
    if (there)
        flash_chip_hears(b, command, bits_out);
    if (bits == 0)
        return;
    uint32_t value = there ? flash_chip_says(b, command, address) : UINT32_MAX;
    b->regs.w[0] = bits >= 32 ? value : value & ((1u << bits) - 1);
}

/* ---- both ---- */

static uint32_t uart_divider(const struct kl_vboard *b)
{
    uint32_t divider = crystal_hz(b) / b->chip_baud;

    return (b->chip->id == KL_CHIP_ESP8266 ? 2 * divider : divider) & 0xFFFFF;
}

uint32_t regs_read(struct kl_vboard *b, uint32_t address)
{
    struct spi_layout at = layout(b);

    for (unsigned i = 0; i < b->regs.fixed_count; i++)
        if (b->regs.fixed[i].address == address)
            return b->regs.fixed[i].value;
    if (b->chip->uart_clkdiv_reg && address == b->chip->uart_clkdiv_reg)
        return uart_divider(b);
    if (address >= at.w && address < at.w + 4 * SPI_WORDS && address % 4 == 0)
        return b->regs.w[(address - at.w) / 4];
    return plain(b, address);
}

void regs_write(struct kl_vboard *b, uint32_t address, uint32_t value, uint32_t mask)
{
    struct spi_layout at = layout(b);

    if (mask != UINT32_MAX)
        value = (value & mask) | (regs_read(b, address) & ~mask);
    if (address >= at.w && address < at.w + 4 * SPI_WORDS && address % 4 == 0)
        b->regs.w[(address - at.w) / 4] = value;
    else if (address == b->chip->spi.base && value & 1u << 18)
        spi_execute(b, &at); /* the command is done at once: the bit never reads as set */
    else
        keep(&b->regs, address, value);
}
