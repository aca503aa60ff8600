/*
 * chip.h: what differs between the chips of the ESP family, as one table.
 *
 * Facts: docs/esp-serial-protocol.md, section named at each field.
 */
#ifndef KEYLINE_CHIP_H
#define KEYLINE_CHIP_H

#include "keyline/base.h"

enum kl_chip_id {
    KL_CHIP_NONE = 0,
    KL_CHIP_ESP8266,
    KL_CHIP_ESP32,
    KL_CHIP_ESP32S2,
    KL_CHIP_ESP32S3,
    KL_CHIP_ESP32C2,
    KL_CHIP_ESP32C3,
    KL_CHIP_ESP32C5,
    KL_CHIP_ESP32C6,
    KL_CHIP_ESP32C61,
    KL_CHIP_ESP32H2,
    KL_CHIP_ESP32P4,
    KL_CHIP_COUNT
};

/* A few bits of one register: (value >> shift) & mask. reg 0 = this chip has no such field. */
struct kl_bits {
    uint32_t reg;
    uint8_t shift;
    uint32_t mask;
};

/* A field of the eFuses that some chips keep in two places: low + (high << high_shift). */
struct kl_split_bits {
    struct kl_bits low, high;
    uint8_t high_shift;
};

/* A ROM variable tells what the console is (4.5). reg 0 = this chip has none. */
struct kl_chip_console {
    uint32_t reg;
    uint8_t otg;        /* its value on USB-OTG, 0 = none */
    uint8_t jtag;       /* its value on USB-Serial/JTAG, 0 = none */
    uint16_t later;     /* from this revision on the next two count instead, 0 = never */
    uint32_t later_reg; /* … */
    uint8_t later_jtag;
};

/* The watchdogs that outlive a reset over USB-Serial/JTAG (4.5). */
struct kl_chip_watchdogs {
    uint32_t config0, wprotect; /* 0 = none; CONFIG1 follows CONFIG0 */
    bool resets;                /* keyline may use it to reset the chip */
    uint32_t swd_conf, swd_wprotect, swd_key;
    uint8_t swd_auto_feed_bit;
};

/* How a chip on USB-OTG is kept in its loader (4.5). */
struct kl_chip_strap {
    uint32_t reg;       /* bit 3 clear = the boot pin is low, 0 = none */
    uint32_t force_reg; /* of the force-download flag … */
    uint32_t force_bit; /* … a mask */
};

/* The SPI controller through which the flash is asked for its id (4.6). */
struct kl_chip_spi {
    uint32_t base;
    bool old_layout; /* ESP8266/ESP32 register offsets and left-justified address */
};

struct kl_chip {
    enum kl_chip_id id;
    const char *name;           /* "ESP32-S3" */
    const char *slug;           /* "esp32s3": --chip, events, stub file name */
    int16_t image_chip_id;      /* image header and security info; -1: the ESP8266 has none (4.1) */
    uint32_t magic[4];          /* READ_REG 0x40001000; 0 = unused (4.1) */
    uint32_t bootloader_offset; /* (4.1) */
    bool has_security_info;     /* GET_SECURITY_INFO in ROM (2.1) */
    bool rom_begin_20;          /* ROM wants the fifth word in *_BEGIN (2.2) */
    bool rom_deflate;           /* ROM knows FLASH_DEFL_*, MD5, CHANGE_BAUDRATE, SPI_ATTACH (2.1) */
    uint8_t rom_status_size;    /* 2 on ESP8266, else 4 (1.3) */
    uint8_t crystal_mhz;        /* fixed crystal, or 0 = estimate from the divider (4.4) */
    uint32_t uart_clkdiv_reg;   /* (4.4) 0 = fixed crystal */
    uint32_t efuse_base;        /* (4.2) */
    uint32_t mac_reg;           /* (4.2); the ESP8266 is special */
    struct kl_split_bits major, minor; /* of the revision (4.2) */
    struct kl_bits package;            /* (4.2) */
    struct kl_bits crypt_count;        /* odd number of bits set = flash encryption on (4.7) */
    struct kl_bits secure_boot;        /* (4.7) */
    struct kl_chip_spi spi;
    struct kl_chip_console console;
    struct kl_chip_watchdogs wdt;
    struct kl_chip_strap strap;
};

/* Never NULL for a real id; NULL for KL_CHIP_NONE. */
const struct kl_chip *kl_chip(enum kl_chip_id id);
const struct kl_chip *kl_chip_by_slug(const char *slug); /* "ESP32-S3" and "esp32s3"; NULL */
const struct kl_chip *kl_chip_by_image_id(int id);       /* NULL if unknown */
const struct kl_chip *kl_chip_by_magic(uint32_t magic);  /* NULL if unknown */

/* Flash size in bytes from the RDID answer (byte 0 manufacturer … byte 2 capacity); 0 = unknown.
   (4.6) */
uint32_t kl_flash_size_from_id(uint32_t flash_id);
/* True if no flash answered: all ones, all zeros or 0xFFFF3F (4.6). */
bool kl_flash_id_is_absent(uint32_t flash_id);
/* The size nibble of the image header (already shifted left by 4), or -1 (4.3). */
int kl_chip_flash_size_code(const struct kl_chip *chip, uint32_t bytes);
/* Bytes from the header's size nibble, 0 if unknown. */
uint32_t kl_chip_flash_size_bytes(const struct kl_chip *chip, uint8_t header_byte3);

#endif
