/*
 * efuse.h: what a chip's eFuses say about its locks, decoded for every chip in the table
 * (docs/esp-serial-protocol.md 4.8). Nothing here writes an eFuse.
 */
#ifndef KEYLINE_EFUSE_H
#define KEYLINE_EFUSE_H

#include "keyline/chip.h"

enum {
    KL_EFUSE_WORDS_MAX = 7, /* of block 0 */
    KL_EFUSE_KEYS_MAX = 6,
};

/* The addresses of block 0's words, as the chip shows them; returns how many. 0: the ESP8266. */
unsigned kl_efuse_addresses(const struct kl_chip *chip, uint32_t out[KL_EFUSE_WORDS_MAX]);

/* What is known: all of block 0, or what GET_SECURITY_INFO tells in secure download mode. */
struct kl_efuse_words {
    bool block0;
    uint32_t word[KL_EFUSE_WORDS_MAX];
    bool info;
    uint32_t info_flags;
    uint8_t info_crypt_count, info_purpose[7];
};

struct kl_efuse_key {
    const char *purpose; /* "XTS_AES_128_KEY", "SECURE_BOOT_DIGEST0" …; "USER" = none */
    bool read_protected;
};

struct kl_efuse_facts {
    struct {
        uint8_t crypt_count; /* the bits as they are */
        bool encrypted;
        bool release_mode; /* encryption stays on: all its bits are set, or protected */
    } flash;
    struct {
        bool secure, secure_v1;
        bool revoked[3]; /* digests 0 to 2 */
    } boot;
    struct {
        bool off, soft_off, usb_off;
    } jtag;
    struct {
        bool off;                /* no download mode at all */
        bool secure;             /* a few commands only: no MAC, no registers */
        bool manual_encrypt_off; /* download mode does not encrypt what it writes */
        bool usb_serial_off;
    } download;
    unsigned key_count; /* 0: not known, or the chip has no purposes */
    struct kl_efuse_key key[KL_EFUSE_KEYS_MAX];
};

void kl_efuse_decode(const struct kl_chip *chip, uint16_t revision, const struct kl_efuse_words *w,
                     struct kl_efuse_facts *out);

#endif
