#include "content.h"

#include <string.h>
#include <zlib.h>

#include "boot_rule.h"
#include "bytes.h"
#include "image.h"

static bool is_at(const uint8_t *data, size_t size, size_t at, const void *bytes, size_t length)
{
    return size >= at + length && memcmp(data + at, bytes, length) == 0;
}

/* A page's header: state, sequence number, version, and a checksum over all but the state. */
static bool is_nvs_page(const uint8_t *page)
{
    uint32_t state = get32(page);

    return (state == 0xfffffffe || state == 0xfffffffc || state == 0xfffffff8) && page[8] >= 0xfc &&
           get32(page + 28) == crc32(UINT32_MAX, page + 4, 24);
}

static bool is_nvs(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 0x1000 <= size; at += 0x1000)
        if (!all_are(data + at, 0x1000, 0xff))
            return is_nvs_page(data + at);
    return false;
}

static bool is_otadata(const uint8_t *data, size_t size)
{
    bool first = size >= KL_OTA_RECORD && kl_boot_is_record(data);
    bool second = size >= KL_OTA_SECTOR + KL_OTA_RECORD && kl_boot_is_record(data + KL_OTA_SECTOR);

    return size <= KL_OTA_SIZE && (first || second);
}

/* The lookup of its first block of 4096 bytes ends with a magic number that holds page size and
   number of blocks; pages have 256 bytes nearly always. */
static bool is_spiffs(const uint8_t *data, size_t size)
{
    uint32_t blocks = (uint32_t)(size / 0x1000);

    return size >= 0x1000 && size % 0x1000 == 0 &&
           get16(data + 252) == (uint16_t)(0x0529 ^ 0x0100 ^ blocks);
}

static bool is_littlefs(const uint8_t *data, size_t size)
{
    return is_at(data, size, 8, "littlefs", 8) || is_at(data, size, 0x1008, "littlefs", 8);
}

/* Wear levelling may put a sector of its own before the file system. */
static bool is_fat(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at <= 0x1000; at += 0x1000)
        if (is_at(data, size, at + 510, "\x55\xaa", 2) &&
            (is_at(data, size, at + 54, "FAT", 3) || is_at(data, size, at + 82, "FAT", 3)))
            return true;
    return false;
}

static bool is_text(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && i < 256; i++)
        if ((data[i] < ' ' || data[i] > '~') && data[i] != '\n' && data[i] != '\r' &&
            data[i] != '\t')
            return false;
    return true;
}

/* Random bytes: of 4096 nearly no value is missing and none is frequent. Programs and data have
   many zeros. */
static bool is_secret(const uint8_t *data, size_t size)
{
    unsigned seen[256] = {0}, missing = 0, most = 0;

    if (size < 4096)
        return false;
    for (size_t i = 0; i < 4096; i++)
        seen[data[i]]++;
    for (unsigned i = 0; i < 256; i++) {
        missing += seen[i] == 0;
        most = seen[i] > most ? seen[i] : most;
    }
    return missing < 4 && most < 48;
}

static enum kl_content by_magic(const uint8_t *data, size_t size)
{
    static const struct {
        enum kl_content content;
        uint8_t size;
        const char *bytes;
    } magic[] = {
        {KL_CONTENT_IMAGE, 1, "\xe9"},
        {KL_CONTENT_IMAGE, 2, "\xea\x04"},
        {KL_CONTENT_TABLE, 2, "\xaa\x50"},
        {KL_CONTENT_MCUBOOT, 4, "\x3d\xb8\xf3\x96"},
        {KL_CONTENT_ULP, 4, "ulp\0"},
        {KL_CONTENT_ELF, 4,
         "\x7f"
         "ELF"},
        {KL_CONTENT_UF2, 4, "UF2\n"},
        {KL_CONTENT_HEX, 9, ":02000004"},
        {KL_CONTENT_ARCHIVE, 4, "PK\3\4"},
        {KL_CONTENT_ARCHIVE, 2, "\x1f\x8b"},
    };

    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
        if (is_at(data, size, 0, magic[i].bytes, magic[i].size))
            return magic[i].content;
    return KL_CONTENT_UNKNOWN;
}

enum kl_content kl_content_of(const uint8_t *data, size_t size)
{
    enum kl_content content = by_magic(data, size);

    if (content != KL_CONTENT_UNKNOWN)
        return content;
    if (all_are(data, size, 0xff) || all_are(data, size, 0))
        return KL_CONTENT_BLANK;
    if (is_otadata(data, size))
        return KL_CONTENT_OTADATA;
    if (is_nvs(data, size))
        return KL_CONTENT_NVS;
    if (is_littlefs(data, size))
        return KL_CONTENT_LITTLEFS;
    if (is_fat(data, size))
        return KL_CONTENT_FAT;
    if (is_spiffs(data, size))
        return KL_CONTENT_SPIFFS;
    if (is_text(data, size))
        return KL_CONTENT_TEXT;
    return is_secret(data, size) ? KL_CONTENT_SECRET : KL_CONTENT_UNKNOWN;
}

const char *kl_content_name(enum kl_content content)
{
    static const char *const names[] = {
        [KL_CONTENT_UNKNOWN] = "data",
        [KL_CONTENT_BLANK] = "blank",
        [KL_CONTENT_IMAGE] = "an ESP image",
        [KL_CONTENT_TABLE] = "a partition table",
        [KL_CONTENT_OTADATA] = "a choice of the program to start (otadata)",
        [KL_CONTENT_NVS] = "an NVS",
        [KL_CONTENT_SPIFFS] = "a SPIFFS",
        [KL_CONTENT_LITTLEFS] = "a LittleFS",
        [KL_CONTENT_FAT] = "a FAT file system",
        [KL_CONTENT_MCUBOOT] = "a program for MCUboot",
        [KL_CONTENT_ULP] = "a program for the ULP",
        [KL_CONTENT_ELF] = "an ELF file",
        [KL_CONTENT_UF2] = "a UF2 file",
        [KL_CONTENT_HEX] = "an Intel hex file",
        [KL_CONTENT_ARCHIVE] = "an archive",
        [KL_CONTENT_TEXT] = "text",
        [KL_CONTENT_SECRET] = "encrypted data",
    };

    return names[content];
}
