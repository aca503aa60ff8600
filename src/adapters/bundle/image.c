#include "image.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "keyline/bundle_load.h"
#include "signature.h"

static const char *say(char why[KL_TEXT_MAX], const char *text)
{
    kl_copy(why, KL_TEXT_MAX, text);
    return why;
}

/* ---- images ---- */

/* Where a chip maps its flash into memory: programs have a segment there, bootloaders have none. */
static bool is_mapped(enum kl_chip_id chip, uint32_t address)
{
    switch (chip) {
    case KL_CHIP_ESP32:
        return (address >= 0x3f400000 && address < 0x3f800000) ||
               (address >= 0x400c2000 && address < 0x40c00000);
    case KL_CHIP_ESP32S2:
        return (address >= 0x3f000000 && address < 0x3ff80000) ||
               (address >= 0x40080000 && address < 0x40800000);
    case KL_CHIP_ESP32P4:
        return address >= 0x40000000 && address < 0x4c000000;
    default: /* all newer chips, and those that keyline does not know */
        return (address >= 0x3c000000 && address < 0x3e000000) ||
               (address >= 0x42000000 && address < 0x44000000);
    }
}

/* Walks the segments from `at`; the place behind the last one, or 0 and why. */
static size_t walk(const uint8_t *data, size_t size, size_t at, unsigned count, uint8_t *sum,
                   char why[KL_TEXT_MAX])
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t length;
        if (size < at + 8) {
            snprintf(why, KL_TEXT_MAX, "is cut short: segment %u of %u is missing", i + 1, count);
            return 0;
        }
        length = get32(data + at + 4);
        at += 8;
        if (length >= 16u << 20 || length % 4) {
            snprintf(why, KL_TEXT_MAX, "is damaged: segment %u has an impossible length", i + 1);
            return 0;
        }
        if (size - at < length) {
            snprintf(why, KL_TEXT_MAX, "is cut short: segment %u needs %zu more bytes", i + 1,
                     (size_t)length - (size - at));
            return 0;
        }
        for (uint32_t n = 0; n < length; n++)
            *sum ^= data[at + n];
        at += length;
    }
    return at;
}

/* The checksum is the last byte of the 16-byte line after the segments (7.1). */
static bool read_checksum(const uint8_t *data, size_t size, size_t at, uint8_t sum, size_t *end,
                          char why[KL_TEXT_MAX])
{
    *end = (at + 16) / 16 * 16;
    if (size < *end) {
        snprintf(why, KL_TEXT_MAX, "is cut short: its checksum is missing");
        return false;
    }
    if (data[*end - 1] != sum) {
        snprintf(why, KL_TEXT_MAX, "is damaged: checksum 0x%02x instead of 0x%02x", data[*end - 1],
                 sum);
        return false;
    }
    return true;
}

static bool read_digest(const uint8_t *data, size_t size, struct kl_image_info *info,
                        char why[KL_TEXT_MAX])
{
    uint8_t digest[32];

    if (data[23] != 1)
        return true;
    info->digest_at = info->length;
    if (size < info->length + 32) {
        snprintf(why, KL_TEXT_MAX, "is cut short: its SHA-256 is missing");
        return false;
    }
    kl_sha256(data, info->length, digest);
    if (memcmp(digest, data + info->length, 32) != 0) {
        snprintf(why, KL_TEXT_MAX, "is damaged: its SHA-256 does not fit its contents");
        return false;
    }
    info->length += 32;
    return true;
}

/* (7.1) Three fields tell which revisions an image is for; older tools wrote only the first. */
static void read_revisions(const uint8_t *data, struct kl_image_info *info)
{
    uint8_t old_min = data[14];
    uint16_t min_full = get16(data + 15), max_full = get16(data + 17);
    /* The C3's old field counts minor revisions, all others' major ones. */
    uint16_t old = (uint16_t)(info->chip == KL_CHIP_ESP32C3 ? old_min : old_min * 100);

    info->rev_min = min_full;
    info->rev_max = max_full;
    if (max_full == 0 || (max_full == 0xffff && min_full == 0 && old_min != 0))
        info->rev_min = old;
    if (max_full == 0)
        info->rev_max = 0xffff;
}

static void read_descriptor(const uint8_t *data, size_t size, struct kl_image_info *info)
{
    /* The descriptor is the beginning of the first segment. */
    if (size < 0x20 + 256 || get32(data + 0x1c) < 256 || get32(data + 0x20) != 0xabcd5432)
        return;
    info->has_descriptor = true;
    copy_text(info->version, data + 0x20 + 16, 32);
    copy_text(info->project, data + 0x20 + 48, 32);
}

static void read_memory(const uint8_t *data, struct kl_image_info *info)
{
    size_t at = 24;

    for (unsigned i = 0; i < data[1]; i++) {
        info->maps_flash |= is_mapped(info->chip, get32(data + at));
        at += 8 + get32(data + at + 4);
    }
}

/* What stands behind the image: padding, a signature, or something that no chip looks at. */
static const char *read_behind(const uint8_t *data, size_t size, struct kl_image_info *info,
                               char why[KL_TEXT_MAX])
{
    info->end = info->length;
    if (info->chip != KL_CHIP_ESP8266 && kl_signature_read(data, size, info, why))
        return why;
    for (size_t at = info->end; at < size; at++)
        if (data[at] != 0xff && data[at] != 0)
            info->rest = size - info->end;
    return NULL;
}

static bool read_extended(const uint8_t *data, size_t size, struct kl_image_info *info,
                          char why[KL_TEXT_MAX])
{
    uint8_t sum = 0xef;
    size_t at;

    if (size < 24) {
        snprintf(why, KL_TEXT_MAX, "is cut short: it has only %zu bytes", size);
        return false;
    }
    at = walk(data, size, 24, data[1], &sum, why);
    if (at == 0 || !read_checksum(data, size, at, sum, &info->length, why))
        return false;
    info->chip_code = get16(data + 12);
    const struct kl_chip *chip = kl_chip_by_image_id(info->chip_code);
    info->chip = chip ? chip->id : KL_CHIP_NONE;
    read_revisions(data, info);
    read_descriptor(data, size, info);
    read_memory(data, info);
    return read_digest(data, size, info, why);
}

/* The header does not tell an ESP8266's image from a damaged image of another chip. The address of
   the first segment does: it is data RAM, instruction RAM or mapped flash. */
static bool is_8266_address(uint32_t address)
{
    return address >= 0x3ffe8000 && address < 0x40400000;
}

static bool read_8266(const uint8_t *data, size_t size, size_t header, struct kl_image_info *info,
                      char why[KL_TEXT_MAX])
{
    uint8_t sum = 0xef;
    size_t at = size < header + 8 ? 0 : walk(data, size, header + 8, data[header + 1], &sum, why);

    if (at == 0 || !read_checksum(data, size, at, sum, &info->length, why))
        return false;
    if (!is_8266_address(get32(data + header + 8))) {
        say(why, "is damaged: its first segment goes where the ESP8266 has no memory");
        return false;
    }
    info->chip = KL_CHIP_ESP8266;
    info->chip_code = -1;
    info->rev_max = 0xffff;
    return true;
}

/* The ESP8266's second form: the flash-mapped segment first, then an image of the usual form. */
static bool read_8266_v2(const uint8_t *data, size_t size, struct kl_image_info *info,
                         char why[KL_TEXT_MAX])
{
    uint32_t length = size < 16 ? 0 : get32(data + 12);

    if (size < 16 || size - 16 < length || size - 16 - length < 8 ||
        data[16 + length] != KL_IMAGE_MAGIC || data[16 + length + 1] == 0 ||
        data[16 + length + 1] > 16) {
        say(why, "is cut short or damaged");
        return false;
    }
    return read_8266(data, size, 16 + length, info, why);
}

const char *kl_image_read(const uint8_t *data, size_t size, struct kl_image_info *info,
                          char why[KL_TEXT_MAX])
{
    struct kl_image_info plain;
    char other[KL_TEXT_MAX];

    *info = (struct kl_image_info){.chip_code = -1};
    if (size == 0)
        return say(why, "is empty");
    if (data[0] == 0xea && size > 1 && data[1] == 4)
        return read_8266_v2(data, size, info, why) ? read_behind(data, size, info, why) : why;
    if (data[0] != KL_IMAGE_MAGIC) {
        snprintf(why, KL_TEXT_MAX, "is no ESP image: it begins with 0x%02x instead of 0xe9",
                 data[0]);
        return why;
    }
    if (size > 1 && (data[1] == 0 || data[1] > 16)) {
        snprintf(why, KL_TEXT_MAX, "is damaged: %u segments", data[1]);
        return why;
    }
    info->mode = size > 3 ? data[2] : 0;
    info->size_freq = size > 3 ? data[3] : 0;
    plain = *info;
    if (read_extended(data, size, info, why))
        return read_behind(data, size, info, why);
    /* Without an extended header it can only be an ESP8266's. */
    *info = plain;
    return read_8266(data, size, 0, info, other) ? read_behind(data, size, info, why) : why;
}

int kl_image_freq_code(enum kl_chip_id chip, unsigned mhz)
{
    /* One bit for each chip that has the value under this frequency (4.3). */
    enum {
        USUAL = 1 << KL_CHIP_ESP8266 | 1 << KL_CHIP_ESP32 | 1 << KL_CHIP_ESP32S2 |
                1 << KL_CHIP_ESP32S3 | 1 << KL_CHIP_ESP32C3 | 1 << KL_CHIP_ESP32P4,
        C5 = 1 << KL_CHIP_ESP32C5 | 1 << KL_CHIP_ESP32C61,
        C6 = 1 << KL_CHIP_ESP32C6,
        C2 = 1 << KL_CHIP_ESP32C2,
        H2 = 1 << KL_CHIP_ESP32H2
    };
    static const struct {
        uint8_t mhz, code;
        int chips;
    } values[] = {
        {80, 0xf, USUAL | C5},
        {80, 0, C6},
        {60, 0xf, C2},
        {48, 0xf, H2},
        {40, 0, USUAL | C5 | C6},
        {30, 0, C2},
        {26, 1, USUAL},
        {24, 0, H2},
        {20, 2, USUAL | C5 | C6},
        {20, 1, C2},
        {16, 1, H2},
        {15, 2, C2},
        {12, 2, H2},
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i].mhz == mhz && values[i].chips & 1 << chip)
            return values[i].code;
    return -1;
}

bool kl_image_is_bootloader(const struct kl_image_info *info)
{
    return info->chip != KL_CHIP_ESP8266 && !info->has_descriptor && !info->maps_flash;
}

void kl_image_patch(uint8_t *data, const struct kl_image_info *info, int mode, int freq,
                    int size_code)
{
    if (mode >= 0)
        data[2] = (uint8_t)mode;
    if (freq >= 0)
        data[3] = (uint8_t)((data[3] & 0xf0) | freq);
    if (size_code >= 0)
        data[3] = (uint8_t)((data[3] & 0x0f) | size_code);
    if (info->digest_at)
        kl_sha256(data, info->digest_at, data + info->digest_at);
}
