/*
 * chip.c: the chips as one table. Sections: docs/esp-serial-protocol.md.
 */
#include "keyline/chip.h"

#include <string.h>

#define BITS(register, high, low)                                                                  \
    {                                                                                              \
        (register), (low), (uint32_t)((2ull << ((high) - (low))) - 1)                              \
    }
/* Word n of eFuse block 1, which begins at base + 0x44 on all chips from the S2 on but the C2. */
#define B1W(base, n) ((base) + 0x44u + 4u * (n))
#define B2W_C2(n)    (0x60008840u + 4u * (n))

static const struct kl_chip chips[KL_CHIP_COUNT] =
    {
        [KL_CHIP_ESP8266] =
            {
                .id = KL_CHIP_ESP8266,
                .name = "ESP8266",
                .slug = "esp8266",
                .image_chip_id = -1,
                .magic = {0xfff0c101},
                .bootloader_offset = 0,
                .rom_status_size = 2,
                .efuse_base = 0x3ff00050,
                .uart_clkdiv_reg = 0x60000014,
                .spi.base = 0x60000200,
                .spi.old_layout = true,
            },
        [KL_CHIP_ESP32] =
            {
                .id = KL_CHIP_ESP32,
                .name = "ESP32",
                .slug = "esp32",
                .image_chip_id = 0,
                .magic = {0x00f01d83},
                .bootloader_offset = 0x1000,
                .rom_status_size = 4,
                .rom_deflate = true,
                .efuse_base = 0x3ff5a000,
                .mac_reg = 0x3ff5a004,
                /* The major revision is coded in three places: loader_identify.c (4.2). */
                .minor.low = BITS(0x3ff5a014, 25, 24),
                .package = BITS(0x3ff5a00c, 11, 9),
                .uart_clkdiv_reg = 0x3ff40014,
                .spi.base = 0x3ff42000,
                .spi.old_layout = true,
                .crypt_count = BITS(0x3ff5a000, 26, 20),
                .secure_boot = BITS(0x3ff5a018, 5, 4),
            },
        [KL_CHIP_ESP32S2] =
            {
                .id = KL_CHIP_ESP32S2,
                .name = "ESP32-S2",
                .slug = "esp32s2",
                .image_chip_id = 2,
                .magic = {0x000007c6},
                .bootloader_offset = 0x1000,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x3f41a000,
                .mac_reg = 0x3f41a044,
                .major.low = BITS(B1W(0x3f41a000, 3), 19, 18),
                .minor.low = BITS(B1W(0x3f41a000, 4), 6, 4),
                .minor.high = BITS(B1W(0x3f41a000, 3), 20, 20),
                .minor.high_shift = 3,
                .package = BITS(B1W(0x3f41a000, 4), 3, 0),
                .crystal_mhz = 40,
                .spi.base = 0x3f402000,
                .crypt_count = BITS(0x3f41a034, 20, 18),
                .secure_boot = BITS(0x3f41a038, 20, 20),
                .console.reg = 0x3ffffd14,
                .console.otg = 2,
                .strap.reg = 0x3f404038,
                .strap.force_reg = 0x3f408128,
                .strap.force_bit = 1u << 0,
                .wdt.config0 = 0x3f408094,
                .wdt.wprotect = 0x3f4080ac,
                .wdt.resets = true,
            },
        [KL_CHIP_ESP32S3] =
            {
                .id = KL_CHIP_ESP32S3,
                .name = "ESP32-S3",
                .slug = "esp32s3",
                .image_chip_id = 9,
                .magic = {0x00000009},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x60007000,
                .mac_reg = 0x60007044,
                .major.low = BITS(B1W(0x60007000, 5), 25, 24),
                .minor.low = BITS(B1W(0x60007000, 3), 20, 18),
                .minor.high = BITS(B1W(0x60007000, 5), 23, 23),
                .minor.high_shift = 3,
                .package = BITS(B1W(0x60007000, 3), 23, 21),
                .crystal_mhz = 40,
                .spi.base = 0x60002000,
                .crypt_count = BITS(0x60007034, 20, 18),
                .secure_boot = BITS(0x60007038, 20, 20),
                .console.reg = 0x3fcef14c,
                .console.otg = 3,
                .console.jtag = 4,
                .strap.reg = 0x60004038,
                .strap.force_reg = 0x6000812c,
                .strap.force_bit = 1u << 0,
                .wdt.config0 = 0x60008098,
                .wdt.wprotect = 0x600080b0,
                .wdt.resets = true,
                .wdt.swd_conf = 0x600080b4,
                .wdt.swd_wprotect = 0x600080b8,
                .wdt.swd_key = 0x8f1d312a,
                .wdt.swd_auto_feed_bit = 31,
            },
        [KL_CHIP_ESP32C2] =
            {
                .id = KL_CHIP_ESP32C2,
                .name = "ESP32-C2",
                .slug = "esp32c2",
                .image_chip_id = 12,
                .magic = {0x6f51306f, 0x7c41a06f, 0x0c21e06f},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x60008800,
                .mac_reg = 0x60008840,
                .major.low = BITS(B2W_C2(1), 21, 20),
                .minor.low = BITS(B2W_C2(1), 19, 16),
                .package = BITS(B2W_C2(1), 24, 22),
                .uart_clkdiv_reg = 0x60000014,
                .spi.base = 0x60002000,
                .crypt_count = BITS(0x60008830, 9, 7),
                .secure_boot = BITS(0x60008830, 21, 21),
                .wdt.config0 = 0x60008084,
                .wdt.wprotect = 0x6000809c,
                .wdt.resets = true,
            },
        [KL_CHIP_ESP32C3] =
            {
                .id = KL_CHIP_ESP32C3,
                .name = "ESP32-C3",
                .slug = "esp32c3",
                .image_chip_id = 5,
                .magic = {0x6921506f, 0x1b31506f, 0x4881606f, 0x4361606f},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x60008800,
                .mac_reg = 0x60008844,
                .major.low = BITS(B1W(0x60008800, 5), 25, 24),
                .minor.low = BITS(B1W(0x60008800, 3), 20, 18),
                .minor.high = BITS(B1W(0x60008800, 5), 23, 23),
                .minor.high_shift = 3,
                .package = BITS(B1W(0x60008800, 3), 23, 21),
                .crystal_mhz = 40,
                .spi.base = 0x60002000,
                .crypt_count = BITS(0x60008834, 20, 18),
                .secure_boot = BITS(0x60008838, 20, 20),
                .console.reg = 0x3fcdf07c,
                .console.jtag = 3,
                .console.later = 101,
                .console.later_reg = 0x3fcdf078,
                .console.later_jtag = 3,
                .wdt.config0 = 0x60008090,
                .wdt.wprotect = 0x600080a8,
                .wdt.resets = true,
                .wdt.swd_conf = 0x600080ac,
                .wdt.swd_wprotect = 0x600080b0,
                .wdt.swd_key = 0x8f1d312a,
                .wdt.swd_auto_feed_bit = 31,
            },
        [KL_CHIP_ESP32C5] =
            {
                .id = KL_CHIP_ESP32C5,
                .name = "ESP32-C5",
                .slug = "esp32c5",
                .image_chip_id = 23,
                .magic = {0x1101406f, 0x5fd1406f},
                .bootloader_offset = 0x2000,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x600b4800,
                .mac_reg = 0x600b4844,
                .major.low = BITS(B1W(0x600b4800, 2), 5, 4),
                .minor.low = BITS(B1W(0x600b4800, 2), 3, 0),
                .package = BITS(B1W(0x600b4800, 2), 28, 26),
                .uart_clkdiv_reg = 0x60000014,
                .spi.base = 0x60003000,
                .crypt_count = BITS(0x600b4834, 18, 16),
                .secure_boot = BITS(0x600b4838, 25, 25),
                .console.reg = 0x4085f514,
                .console.jtag = 3,
                .wdt.config0 = 0x600b1c00,
                .wdt.wprotect = 0x600b1c18,
                .wdt.resets = true,
                .wdt.swd_conf = 0x600b1c1c,
                .wdt.swd_wprotect = 0x600b1c20,
                .wdt.swd_key = 0x50d83aa1,
                .wdt.swd_auto_feed_bit = 18,
            },
        [KL_CHIP_ESP32C6] =
            {
                .id = KL_CHIP_ESP32C6,
                .name = "ESP32-C6",
                .slug = "esp32c6",
                .image_chip_id = 13,
                .magic = {0x2ce0806f},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x600b0800,
                .mac_reg = 0x600b0844,
                .major.low = BITS(B1W(0x600b0800, 3), 23, 22),
                .minor.low = BITS(B1W(0x600b0800, 3), 21, 18),
                .package = BITS(B1W(0x600b0800, 3), 26, 24),
                .crystal_mhz = 40,
                .spi.base = 0x60003000,
                .crypt_count = BITS(0x600b0834, 20, 18),
                .secure_boot = BITS(0x600b0838, 20, 20),
                .console.reg = 0x4087f580,
                .console.jtag = 3,
                .wdt.config0 = 0x600b1c00,
                .wdt.wprotect = 0x600b1c18,
                .wdt.swd_conf = 0x600b1c1c,
                .wdt.swd_wprotect = 0x600b1c20,
                .wdt.swd_key = 0x50d83aa1,
                .wdt.swd_auto_feed_bit = 18,
            },
        [KL_CHIP_ESP32C61] =
            {
                .id = KL_CHIP_ESP32C61,
                .name = "ESP32-C61",
                .slug = "esp32c61",
                .image_chip_id = 20,
                .magic = {0x33f0206f, 0x2421606f, 0x7211606f},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x600b4800,
                .mac_reg = 0x600b4844,
                .major.low = BITS(B1W(0x600b4800, 2), 5, 4),
                .minor.low = BITS(B1W(0x600b4800, 2), 3, 0),
                .package = BITS(B1W(0x600b4800, 2), 28, 26),
                .crystal_mhz = 40,
                .spi.base = 0x60003000,
                .crypt_count = BITS(0x600b4830, 25, 23),
                .secure_boot = BITS(0x600b4834, 26, 26),
                .console.reg = 0x4084f5ec,
                .console.jtag = 3,
                .console.later = 3,
                .console.later_reg = 0x4084f5e4,
                .console.later_jtag = 4,
                .wdt.config0 = 0x600b1c00,
                .wdt.wprotect = 0x600b1c18,
                .wdt.resets = true,
                .wdt.swd_conf = 0x600b1c1c,
                .wdt.swd_wprotect = 0x600b1c20,
                .wdt.swd_key = 0x50d83aa1,
                .wdt.swd_auto_feed_bit = 18,
            },
        [KL_CHIP_ESP32H2] =
            {
                .id = KL_CHIP_ESP32H2,
                .name = "ESP32-H2",
                .slug = "esp32h2",
                .image_chip_id = 16,
                .magic = {0xd7b73e80},
                .bootloader_offset = 0,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x600b0800,
                .mac_reg = 0x600b0844,
                .major.low = BITS(B1W(0x600b0800, 3), 22, 21),
                .minor.low = BITS(B1W(0x600b0800, 3), 20, 18),
                .package = BITS(B1W(0x600b0800, 4), 2, 0),
                .crystal_mhz = 32,
                .spi.base = 0x60003000,
                .crypt_count = BITS(0x600b0834, 20, 18),
                .secure_boot = BITS(0x600b0838, 20, 20),
                .console.reg = 0x4084fefc,
                .console.jtag = 3,
                .wdt.config0 = 0x600b1c00,
                .wdt.wprotect = 0x600b1c1c,
                .wdt.swd_conf = 0x600b1c20,
                .wdt.swd_wprotect = 0x600b1c24,
                .wdt.swd_key = 0x50d83aa1,
                .wdt.swd_auto_feed_bit = 18,
            },
        [KL_CHIP_ESP32P4] =
            {
                .id = KL_CHIP_ESP32P4,
                .name = "ESP32-P4",
                .slug = "esp32p4",
                .image_chip_id = 18,
                .magic = {0x0addbad0},
                .bootloader_offset = 0x2000,
                .rom_begin_20 = true,
                .rom_status_size = 4,
                .has_security_info = true,
                .rom_deflate = true,
                .efuse_base = 0x5012d000,
                .mac_reg = 0x5012d044,
                .major.low = BITS(B1W(0x5012d000, 2), 5, 4),
                .major.high = BITS(B1W(0x5012d000, 2), 23, 23),
                .major.high_shift = 2,
                .minor.low = BITS(B1W(0x5012d000, 2), 3, 0),
                .package = BITS(B1W(0x5012d000, 2), 22, 20),
                .crystal_mhz = 40,
                .spi.base = 0x5008d000,
                .crypt_count = BITS(0x5012d034, 20, 18),
                .secure_boot = BITS(0x5012d038, 20, 20),
                .console.reg = 0x4ff3fec8,
                .console.otg = 5,
                .console.jtag = 6,
                .console.later = 300,
                .console.later_reg = 0x4ffbfec8,
                .console.later_jtag = 6,
                .strap.reg = 0x500e0038,
                .strap.force_reg = 0x50110008,
                .strap.force_bit = 1u << 2,
                .wdt.config0 = 0x50116000,
                .wdt.wprotect = 0x50116018,
                .wdt.resets = true,
                .wdt.swd_conf = 0x5011601c,
                .wdt.swd_wprotect = 0x50116020,
                .wdt.swd_key = 0x50d83aa1,
                .wdt.swd_auto_feed_bit = 18,
            },
};

const struct kl_chip *kl_chip(enum kl_chip_id id)
{
    KL_ASSERT((unsigned)id < KL_CHIP_COUNT);
    return id == KL_CHIP_NONE ? NULL : &chips[id];
}

/* "ESP32-S3", "esp32s3" and "ESP32_S3" are the same. */
static bool is_slug(const char *text, const char *slug)
{
    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (c == '-' || c == '_')
            continue;
        if (c != *slug)
            return false;
        slug++;
    }
    return *slug == '\0';
}

const struct kl_chip *kl_chip_by_slug(const char *slug)
{
    for (unsigned i = 1; i < KL_CHIP_COUNT; i++)
        if (is_slug(slug, chips[i].slug))
            return &chips[i];
    return NULL;
}

const struct kl_chip *kl_chip_by_image_id(int id)
{
    for (unsigned i = 1; i < KL_CHIP_COUNT; i++)
        if (chips[i].image_chip_id >= 0 && chips[i].image_chip_id == id)
            return &chips[i];
    return NULL;
}

const struct kl_chip *kl_chip_by_magic(uint32_t magic)
{
    for (unsigned i = 1; i < KL_CHIP_COUNT; i++)
        for (unsigned m = 0; m < 4; m++)
            if (chips[i].magic[m] != 0 && chips[i].magic[m] == magic)
                return &chips[i];
    return NULL;
}

/* (4.6) Capacity codes; the gaps are not in use. */
static uint32_t size_from_capacity(uint8_t code)
{
    if (code >= 0x12 && code <= 0x19)
        return 1u << code;
    if (code >= 0x32 && code <= 0x39)
        return 1u << (code - 0x20);
    switch (code) {
    case 0x1a:
    case 0x20:
    case 0x3a:
        return 64u << 20;
    case 0x1b:
    case 0x21:
        return 128u << 20;
    case 0x1c:
    case 0x22:
        return 256u << 20;
    default:
        return 0;
    }
}

uint32_t kl_flash_size_from_id(uint32_t flash_id)
{
    uint8_t maker = (uint8_t)flash_id, type = (uint8_t)(flash_id >> 8);

    if (kl_flash_id_is_absent(flash_id))
        return 0;
    if (maker == 0x1f) { /* Adesto counts in the type byte */
        unsigned code = type & 0x1fu;
        return code >= 4 && code <= 9 ? (512u << 10) << (code - 4) : 0;
    }
    return size_from_capacity((uint8_t)(flash_id >> 16));
}

bool kl_flash_id_is_absent(uint32_t flash_id)
{
    flash_id &= 0xffffff;
    return flash_id == 0 || flash_id == 0xffffff || flash_id == 0xffff3f;
}

/* (4.3) Nibble by size, 256 KB << index; -1 = has no name. */
static const int8_t size_nibbles[] = {-1, -1, 0, 1, 2, 3, 4, 5, 6, 7};
static const int8_t size_nibbles_8266[] = {1, 0, 2, 3, 4, 8, 9, -1, -1, -1};

static const int8_t *nibbles_of(const struct kl_chip *chip)
{
    return chip->id == KL_CHIP_ESP8266 ? size_nibbles_8266 : size_nibbles;
}

int kl_chip_flash_size_code(const struct kl_chip *chip, uint32_t bytes)
{
    for (unsigned i = 0; i < sizeof size_nibbles; i++)
        if (bytes == 0x40000u << i && nibbles_of(chip)[i] >= 0)
            return nibbles_of(chip)[i] << 4;
    return -1;
}

uint32_t kl_chip_flash_size_bytes(const struct kl_chip *chip, uint8_t header_byte3)
{
    for (unsigned i = 0; i < sizeof size_nibbles; i++)
        if (nibbles_of(chip)[i] == header_byte3 >> 4)
            return 0x40000u << i;
    return 0;
}
