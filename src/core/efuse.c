/* efuse.c: where in block 0 each chip keeps its locks (docs/esp-serial-protocol.md 4.8). */
#include "keyline/efuse.h"

#include <string.h>

/* Some bits, counted from block 0's first. size 0: this chip has no such eFuse. */
struct field {
    uint8_t start, size;
};

struct layout {
    uint8_t first_word; /* in words behind the eFuses' base */
    uint8_t words;
    struct field crypt_count, crypt_count_locked, secure_boot, secure_boot_v1, revoke, jtag_off,
        jtag_soft_off, usb_jtag_off, usb_serial_off, download_off, secure_download,
        manual_encrypt_off, read_off;
    struct field purpose[KL_EFUSE_KEYS_MAX], purpose_high[KL_EFUSE_KEYS_MAX];
};

#define PURPOSES_4                                                                                 \
    {                                                                                              \
        {88, 4}, {92, 4}, {96, 4}, {100, 4}, {104, 4},                                             \
        {                                                                                          \
            108, 4                                                                                 \
        }                                                                                          \
    }
/* What the S3 and the chips like it share; a chip's own places follow and override it. */
#define COMMON                                                                                     \
    .first_word = 11, .words = 6, .crypt_count = {82, 3}, .crypt_count_locked = {4, 1},            \
    .secure_boot = {116, 1}, .revoke = {85, 3}, .jtag_off = {51, 1}, .jtag_soft_off = {48, 3},     \
    .download_off = {128, 1}, .secure_download = {133, 1}, .manual_encrypt_off = {52, 1},          \
    .read_off = {32, 7}

static const struct layout layouts[KL_CHIP_COUNT] = {
    [KL_CHIP_ESP32] = {.words = 7,
                       .crypt_count = {20, 7},
                       .crypt_count_locked = {2, 1},
                       .secure_boot = {197, 1},
                       .secure_boot_v1 = {196, 1},
                       .jtag_off = {198, 1},
                       .download_off = {27, 1},
                       .manual_encrypt_off = {199, 1},
                       .read_off = {16, 4}},
    [KL_CHIP_ESP32S2] = {.first_word = 11,
                         .words = 6,
                         .crypt_count = {82, 3},
                         .crypt_count_locked = {4, 1},
                         .secure_boot = {116, 1},
                         .revoke = {85, 3},
                         .jtag_off = {50, 1},
                         .jtag_soft_off = {49, 1},
                         .download_off = {128, 1},
                         .secure_download = {133, 1},
                         .manual_encrypt_off = {51, 1},
                         .read_off = {32, 7},
                         .purpose = PURPOSES_4},
    [KL_CHIP_ESP32S3] = {COMMON, .usb_jtag_off = {118, 1}, .usb_serial_off = {119, 1},
                         .purpose = PURPOSES_4},
    [KL_CHIP_ESP32C2] = {.first_word = 11,
                         .words = 2,
                         .crypt_count = {39, 3},
                         .crypt_count_locked = {2, 1},
                         .secure_boot = {53, 1},
                         .jtag_off = {36, 1},
                         .download_off = {46, 1},
                         .secure_download = {48, 1},
                         .manual_encrypt_off = {38, 1},
                         .read_off = {32, 2}},
    [KL_CHIP_ESP32C3] = {COMMON, .usb_jtag_off = {41, 1}, .usb_serial_off = {43, 1},
                         .purpose = PURPOSES_4},
    [KL_CHIP_ESP32C5] = {.first_word = 11,
                         .words = 6,
                         .crypt_count = {80, 3},
                         .crypt_count_locked = {4, 1},
                         .secure_boot = {121, 1},
                         .revoke = {83, 3},
                         .jtag_off = {51, 1},
                         .jtag_soft_off = {48, 3},
                         .usb_jtag_off = {41, 1},
                         .usb_serial_off = {43, 1},
                         .download_off = {128, 1},
                         .secure_download = {133, 1},
                         .manual_encrypt_off = {52, 1},
                         .read_off = {32, 7},
                         .purpose = {{86, 5}, {91, 5}, {96, 5}, {101, 5}, {106, 5}, {111, 5}}},
    [KL_CHIP_ESP32C6] = {COMMON, .usb_jtag_off = {41, 1}, .usb_serial_off = {43, 1},
                         .purpose = PURPOSES_4},
    [KL_CHIP_ESP32C61] = {.first_word = 11,
                          .words = 6,
                          .crypt_count = {55, 3},
                          .crypt_count_locked = {4, 1},
                          .secure_boot = {90, 1},
                          .revoke = {58, 3},
                          .jtag_off = {45, 1},
                          .usb_jtag_off = {40, 1},
                          .usb_serial_off = {41, 1},
                          .download_off = {96, 1},
                          .secure_download = {100, 1},
                          .manual_encrypt_off = {46, 1},
                          .read_off = {32, 7},
                          .purpose = {{64, 4}, {68, 4}, {72, 4}, {76, 4}, {80, 4}, {84, 4}}},
    [KL_CHIP_ESP32H2] = {COMMON, .usb_jtag_off = {41, 1}, .usb_serial_off = {43, 1},
                         .purpose = PURPOSES_4},
    [KL_CHIP_ESP32P4] =
        {COMMON, .usb_jtag_off = {41, 1}, .usb_serial_off = {43, 1}, .purpose = PURPOSES_4,
         /* from revision 3.0 on */
         .purpose_high = {{155, 1}, {156, 1}, {157, 1}, {158, 1}, {159, 1}, {164, 1}}},
};

unsigned kl_efuse_addresses(const struct kl_chip *chip, uint32_t out[KL_EFUSE_WORDS_MAX])
{
    const struct layout *l = &layouts[chip->id];

    for (unsigned i = 0; i < l->words; i++)
        out[i] = chip->efuse_base + 4u * (l->first_word + i);
    return l->words;
}

static uint32_t bits(const struct kl_efuse_words *w, struct field f)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < f.size; i++)
        value |= (w->word[(f.start + i) / 32] >> (f.start + i) % 32 & 1) << i;
    return value;
}

static bool is_odd(uint32_t value)
{
    bool odd = false;

    for (; value; value &= value - 1)
        odd = !odd;
    return odd;
}

static const char *purpose_name(enum kl_chip_id chip, uint32_t purpose)
{
    static const char *const names[] = {
        "USER",
        "ECDSA_KEY",
        "XTS_AES_256_KEY_1",
        "XTS_AES_256_KEY_2",
        "XTS_AES_128_KEY",
        "HMAC_DOWN_ALL",
        "HMAC_DOWN_JTAG",
        "HMAC_DOWN_DIGITAL_SIGNATURE",
        "HMAC_UP",
        "SECURE_BOOT_DIGEST0",
        "SECURE_BOOT_DIGEST1",
        "SECURE_BOOT_DIGEST2",
        "KM_INIT_KEY",
        "RESERVED",
        "RESERVED",
        "XTS_AES_128_PSRAM_KEY",
        "ECDSA_KEY_P192",
        "ECDSA_KEY_P384_L",
        "ECDSA_KEY_P384_H",
    };
    bool older = chip == KL_CHIP_ESP32S2 || chip == KL_CHIP_ESP32S3 || chip == KL_CHIP_ESP32C3 ||
                 chip == KL_CHIP_ESP32C6;

    if (purpose == 1 && older)
        return "RESERVED";
    return purpose < sizeof names / sizeof names[0] ? names[purpose] : "unknown";
}

static void decode_keys(const struct kl_chip *chip, uint16_t revision,
                        const struct kl_efuse_words *w, struct kl_efuse_facts *out)
{
    const struct layout *l = &layouts[chip->id];
    uint32_t hidden = bits(w, l->read_off);

    for (unsigned i = 0; i < KL_EFUSE_KEYS_MAX && l->purpose[i].size; i++) {
        uint32_t purpose = bits(w, l->purpose[i]);
        if (revision >= 300)
            purpose |= bits(w, l->purpose_high[i]) << l->purpose[i].size;
        out->key[out->key_count++] = (struct kl_efuse_key){
            .purpose = purpose_name(chip->id, purpose), .read_protected = (hidden >> i & 1) != 0};
    }
    if (chip->id == KL_CHIP_ESP32) { /* its blocks have one use each */
        out->key_count = 2;
        out->key[0] = (struct kl_efuse_key){"flash_encryption", (hidden & 1) != 0};
        out->key[1] = (struct kl_efuse_key){"secure_boot", (hidden & 2) != 0};
    }
    if (chip->id == KL_CHIP_ESP32C2) {
        out->key_count = 1;
        out->key[0] = (struct kl_efuse_key){"flash_encryption and secure_boot", hidden != 0};
    }
}

static void decode_block0(const struct kl_chip *chip, uint16_t revision,
                          const struct kl_efuse_words *w, struct kl_efuse_facts *out)
{
    const struct layout *l = &layouts[chip->id];
    uint32_t all = (1u << l->crypt_count.size) - 1;

    out->flash.crypt_count = (uint8_t)bits(w, l->crypt_count);
    out->flash.encrypted = is_odd(out->flash.crypt_count);
    out->flash.release_mode =
        out->flash.encrypted &&
        (out->flash.crypt_count == all || bits(w, l->crypt_count_locked) != 0) &&
        bits(w, l->manual_encrypt_off) != 0;
    out->boot.secure_v1 = bits(w, l->secure_boot_v1) != 0;
    /* The ESP32 has V2 from revision 3.0 on; before that the bit means nothing. */
    out->boot.secure = out->boot.secure_v1 || (bits(w, l->secure_boot) != 0 &&
                                               (chip->id != KL_CHIP_ESP32 || revision >= 300));
    for (unsigned i = 0; i < 3; i++)
        out->boot.revoked[i] = (bits(w, l->revoke) >> i & 1) != 0;
    out->jtag.off = bits(w, l->jtag_off) != 0;
    out->jtag.soft_off = is_odd(bits(w, l->jtag_soft_off));
    out->jtag.usb_off = bits(w, l->usb_jtag_off) != 0;
    out->download.usb_serial_off = bits(w, l->usb_serial_off) != 0;
    out->download.off = bits(w, l->download_off) != 0;
    out->download.secure = bits(w, l->secure_download) != 0;
    out->download.manual_encrypt_off = bits(w, l->manual_encrypt_off) != 0;
    decode_keys(chip, revision, w, out);
}

/* (2.2) What the ROM itself tells: in secure download mode there is nothing else. */
static void decode_info(const struct kl_chip *chip, const struct kl_efuse_words *w,
                        struct kl_efuse_facts *out)
{
    out->flash.crypt_count = w->info_crypt_count;
    out->flash.encrypted = is_odd(out->flash.crypt_count);
    out->boot.secure = (w->info_flags & 1) != 0;
    out->download.secure = (w->info_flags >> 2 & 1) != 0;
    for (unsigned i = 0; i < 3; i++)
        out->boot.revoked[i] = (w->info_flags >> (3 + i) & 1) != 0;
    out->jtag.soft_off = (w->info_flags >> 6 & 1) != 0;
    out->jtag.off = (w->info_flags >> 7 & 1) != 0;
    out->download.usb_serial_off = (w->info_flags >> 8 & 1) != 0;
    for (unsigned i = 0; i < KL_EFUSE_KEYS_MAX && layouts[chip->id].purpose[i].size; i++)
        out->key[out->key_count++] =
            (struct kl_efuse_key){.purpose = purpose_name(chip->id, w->info_purpose[i])};
}

void kl_efuse_decode(const struct kl_chip *chip, uint16_t revision, const struct kl_efuse_words *w,
                     struct kl_efuse_facts *out)
{
    memset(out, 0, sizeof *out);
    if (w->block0)
        decode_block0(chip, revision, w, out);
    else if (w->info)
        decode_info(chip, w, out);
}
