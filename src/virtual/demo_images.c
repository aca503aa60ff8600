#include "keyline/demo_images.h"

#include <errno.h>
#include <md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyline/bundle_load.h"

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Memory that a bootloader is loaded to, and where flash is mapped for a program's constants. */
static void memory_of(enum kl_chip_id chip, uint32_t *ram, uint32_t *flash)
{
    *ram = 0x40800000;
    *flash = 0x42000020;
    switch (chip) {
    case KL_CHIP_ESP8266:
        *ram = *flash = 0x40100000;
        break;
    case KL_CHIP_ESP32:
        *ram = 0x3fff0030;
        *flash = 0x3f400020;
        break;
    case KL_CHIP_ESP32S2:
        *ram = 0x3ffe6100;
        *flash = 0x3f000020;
        break;
    case KL_CHIP_ESP32S3:
        *ram = 0x3fce2820;
        *flash = 0x3c000020;
        break;
    case KL_CHIP_ESP32C2:
    case KL_CHIP_ESP32C3:
        *ram = 0x3fcd5820;
        *flash = 0x3c000020;
        break;
    case KL_CHIP_ESP32P4:
        *ram = 0x4ff29ed0;
        *flash = 0x40000020;
        break;
    default:
        break;
    }
}

/* One image with one segment at `address` (docs/esp-serial-protocol.md 7.1). */
static bool build(enum kl_chip_id chip, uint32_t address, const uint8_t *segment, size_t size,
                  struct kl_demo_image *out)
{
    bool extended = chip != KL_CHIP_ESP8266;
    size_t header = extended ? 24 : 8;
    size_t end = (header + 8 + size + 16) / 16 * 16; /* the checksum is its last byte */
    uint8_t sum = 0xef;
    uint8_t *d = calloc(1, end + 32);

    if (!d)
        return false;
    d[0] = 0xe9;
    d[1] = 1;
    d[2] = 2;    /* DIO */
    d[3] = 0x20; /* 4 MB on ESP32 and later, 40 MHz */
    if (!extended)
        d[3] = 0x40;
    put32(d + 4, 0x40080000);
    if (extended) {
        d[8] = 0xee;
        d[12] = (uint8_t)kl_chip(chip)->image_chip_id;
        d[17] = 0xff; /* any revision */
        d[18] = 0xff;
        d[23] = 1;
    }
    put32(d + header, address);
    put32(d + header + 4, (uint32_t)size);
    memcpy(d + header + 8, segment, size);
    for (size_t i = 0; i < size; i++)
        sum ^= segment[i];
    d[end - 1] = sum;
    *out = (struct kl_demo_image){d, end};
    if (extended) {
        kl_sha256(d, end, d + end);
        out->size += 32;
    }
    return true;
}

static void fill(uint8_t *at, size_t size, uint64_t seed, unsigned noise_percent)
{
    for (size_t i = 0; i < size; i++) {
        bool noisy = (i / 64 * 37) % 100 < noise_percent;
        at[i] = noisy ? (uint8_t)next_random(&seed) : (uint8_t)("keyline demo  "[i % 14]);
    }
}

bool kl_demo_bootloader(enum kl_chip_id chip, struct kl_demo_image *out)
{
    static uint8_t segment[16384];
    uint32_t ram, flash;

    memory_of(chip, &ram, &flash);
    fill(segment, sizeof segment, 7, 60);
    return build(chip, ram, segment, sizeof segment, out);
}

bool kl_demo_app(enum kl_chip_id chip, const struct kl_demo_app *app, struct kl_demo_image *out)
{
    size_t size = (256 + app->payload + 3) / 4 * 4;
    uint8_t *segment = calloc(1, size);
    uint32_t ram, flash;
    bool built;

    if (!segment)
        return false;
    memory_of(chip, &ram, &flash);
    put32(segment, 0xabcd5432); /* the app descriptor (7.3) */
    snprintf((char *)segment + 16, 32, "%s", app->version ? app->version : "1.0");
    snprintf((char *)segment + 48, 32, "%s", app->project ? app->project : "demo");
    snprintf((char *)segment + 80, 16, "%s", "12:00:00");
    snprintf((char *)segment + 96, 16, "%s", "Jan  1 2026");
    snprintf((char *)segment + 112, 32, "%s", "v5.2");
    fill(segment + 256, size - 256, app->seed + 1, app->noise_percent);
    built = build(chip, flash, segment, size, out);
    free(segment);
    return built;
}

bool kl_demo_partitions(const struct kl_demo_partition *rows, unsigned count,
                        struct kl_demo_image *out)
{
    static const struct kl_demo_partition usual[] = {
        {"nvs", 1, 2, 0x9000, 0x6000},
        {"phy_init", 1, 1, 0xf000, 0x1000},
        {"factory", 0, 0, 0x10000, 0x100000},
    };
    uint8_t *d = malloc(0xc00);
    MD5_CTX md5;

    if (!d)
        return false;
    if (!rows) {
        rows = usual;
        count = 3;
    }
    memset(d, 0xff, 0xc00);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *row = d + 32 * i;
        memset(row, 0, 32);
        row[0] = 0xaa;
        row[1] = 0x50;
        row[2] = rows[i].type;
        row[3] = rows[i].subtype;
        put32(row + 4, rows[i].offset);
        put32(row + 8, rows[i].size);
        snprintf((char *)row + 12, 16, "%s", rows[i].name);
    }
    d[32 * count] = d[32 * count + 1] = 0xeb;
    MD5Init(&md5);
    MD5Update(&md5, d, 32 * count);
    MD5Final(d + 32 * count + 16, &md5);
    *out = (struct kl_demo_image){d, 0xc00};
    return true;
}

static bool write_file(const char *folder, const char *name, const struct kl_demo_image *image)
{
    char path[1024];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    if (!file)
        return false;
    ok = fwrite(image->data, 1, image->size, file) == image->size;
    return fclose(file) == 0 && ok;
}

bool kl_demo_write(const char *folder, enum kl_chip_id chip, const struct kl_demo_app *app)
{
    struct kl_demo_image boot = {0}, table = {0}, firmware = {0};
    bool ok = kl_demo_bootloader(chip, &boot) && kl_demo_partitions(NULL, 0, &table) &&
              kl_demo_app(chip, app, &firmware) && write_file(folder, "bootloader.bin", &boot) &&
              write_file(folder, "partitions.bin", &table) &&
              write_file(folder, "firmware.bin", &firmware);

    free(boot.data);
    free(table.data);
    free(firmware.data);
    return ok;
}
