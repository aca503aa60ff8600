#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"
#include "pack.h"

static const char *role_name(const struct part *part)
{
    switch (part->role) {
    case ROLE_BOOTLOADER:
        return part->info.chip == KL_CHIP_ESP8266 ? "firmware" : "bootloader";
    case ROLE_TABLE:
        return "partition table";
    case ROLE_APP:
        return "firmware";
    default:
        return file_name(part);
    }
}

/* A copy padded to a multiple of 4: some stubs write the tail wrong otherwise (2.2). */
static uint8_t *padded(const struct part *part, uint32_t *size)
{
    uint8_t *raw;

    *size = (uint32_t)((part->size + 3) / 4 * 4);
    raw = malloc(*size);
    if (raw) {
        memset(raw, 0xff, *size);
        memcpy(raw, part->data, part->size);
    }
    return raw;
}

/* The header that the ROM reads says how the flash is used; the second form of the ESP8266's images
   has none at its beginning (7.2). */
static bool is_started_by_rom(const struct part *part)
{
    return (part->role == ROLE_BOOTLOADER || part->role == ROLE_MERGED) && part->is_image &&
           part->data[part->image_at] == KL_IMAGE_MAGIC;
}

static bool pack_part(const struct part *part, int mode, int freq, int size_code,
                      struct kl_image *out)
{
    uint32_t size;
    uint8_t *raw = padded(part, &size);

    if (!raw)
        return false;
    if (is_started_by_rom(part))
        kl_image_patch(raw + part->image_at, &part->info, mode, freq, size_code);
    return kl_pack(out, raw, size);
}

/* The bootloader's header names the flash's size: one image for each that it can name. */
static bool pack_sizes(const struct parts *p, const struct part *part, struct kl_region *region)
{
    const struct kl_chip *chip = kl_chip(p->chip);
    struct kl_image plain;

    if (!pack_part(part, p->flash_mode, p->flash_freq, -1, &plain))
        return false;
    for (unsigned n = 0; n < KL_FLASH_SIZES; n++) {
        int code = kl_chip_flash_size_code(chip, 0x40000u << n);
        region->image[n] = plain;
        if (is_started_by_rom(part) && !p->keep_size && code >= 0 &&
            !pack_part(part, p->flash_mode, p->flash_freq, code, &region->image[n]))
            return false;
    }
    return true;
}

static void sort_parts(struct parts *p)
{
    for (unsigned i = 1; i < p->count; i++)
        for (unsigned j = i; j > 0 && p->part[j].offset < p->part[j - 1].offset; j--) {
            struct part swap = p->part[j];
            p->part[j] = p->part[j - 1];
            p->part[j - 1] = swap;
        }
}

static void take_facts(struct kl_bundle *b, const struct parts *p)
{
    const struct kl_partition *nvs = kl_partition_find(&p->table, 1, 2);

    b->rev_max = 0xffff;
    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        uint32_t end = part->offset + (uint32_t)part->size;
        if (end > b->flash_end)
            b->flash_end = end;
        if (!part->is_image)
            continue;
        if (part->info.rev_min > b->rev_min)
            b->rev_min = part->info.rev_min;
        if (part->info.rev_max < b->rev_max)
            b->rev_max = part->info.rev_max;
        if (part->role != ROLE_BOOTLOADER || b->file[0] == '\0')
            kl_copy(b->file, sizeof b->file, file_name(part));
        if (part->info.has_descriptor) {
            kl_copy(b->project, sizeof b->project, part->info.project);
            kl_copy(b->version, sizeof b->version, part->info.version);
        }
    }
    for (unsigned i = 0; i < p->table.count; i++)
        if (p->table.row[i].offset + p->table.row[i].size > b->flash_end)
            b->flash_end = p->table.row[i].offset + p->table.row[i].size;
    if (nvs) {
        b->nvs_offset = nvs->offset;
        b->nvs_size = nvs->size;
    }
}

/* What was flashed, in one figure: SHA-256 over each image's place, length and digest. */
static void digest(struct kl_bundle *b, const struct parts *p)
{
    uint8_t all[KL_REGIONS_MAX][40];

    for (unsigned i = 0; i < p->count; i++) {
        for (unsigned n = 0; n < 4; n++) {
            all[i][n] = (uint8_t)(p->part[i].offset >> (8 * n));
            all[i][4 + n] = (uint8_t)(p->part[i].size >> (8 * n));
        }
        kl_sha256(p->part[i].data, p->part[i].size, all[i] + 8);
    }
    kl_sha256(all, p->count * sizeof all[0], b->digest);
}

static struct kl_bundle *build(struct parts *p, const struct kl_bundle_options *options)
{
    struct kl_bundle *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->chip = p->chip;
    b->erase_all = options->erase_all;
    b->md5 = kl_md5;
    sort_parts(p);
    for (unsigned i = 0; i < p->count; i++) {
        struct kl_region *region = &b->region[b->region_count++];
        kl_copy(region->name, sizeof region->name, role_name(&p->part[i]));
        region->offset = p->part[i].offset;
        if (!pack_sizes(p, &p->part[i], region)) {
            problem(p, "%s: out of memory", p->part[i].path);
            kl_bundle_free(b);
            return NULL;
        }
        b->raw_total += region->image[KL_FLASH_SIZES - 1].raw_size;
        b->packed_total += region->image[KL_FLASH_SIZES - 1].packed_size;
    }
    take_facts(b, p);
    digest(b, p);
    return b;
}

struct kl_bundle *kl_bundle_load(const struct kl_bundle_options *options,
                                 struct kl_bundle_report *report)
{
    struct parts *p = calloc(1, sizeof *p);
    struct kl_bundle *b = NULL;

    *report = (struct kl_bundle_report){0};
    if (!p)
        return NULL;
    p->report = report;
    p->chip = options->chip;
    p->flash_mode = options->flash_mode;
    p->flash_mhz = options->flash_mhz;
    p->flash_freq = -1;
    p->keep_size = options->keep_size;
    find_parts(p, options);
    read_parts(p);
    check_parts(p);
    if (report->problem_count == 0)
        b = build(p, options);
    for (unsigned i = 0; i < KL_REGIONS_MAX; i++)
        free(p->part[i].data);
    free(p);
    return b;
}

void kl_bundle_free(struct kl_bundle *b)
{
    if (!b)
        return;
    for (unsigned r = 0; r < b->region_count; r++) {
        struct kl_image *image = b->region[r].image;
        for (unsigned n = KL_FLASH_SIZES; n-- > 0;) {
            bool shared = false;
            for (unsigned m = 0; m < n; m++)
                shared |= image[m].raw == image[n].raw;
            if (!shared)
                kl_pack_free(&image[n]);
        }
    }
    free(b);
}
