#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"
#include "pack.h"

static void sort_parts(struct parts *p)
{
    for (unsigned i = 1; i < p->count; i++)
        for (unsigned j = i; j > 0 && p->part[j].offset < p->part[j - 1].offset; j--) {
            struct part swap = p->part[j];
            p->part[j] = p->part[j - 1];
            p->part[j - 1] = swap;
        }
}

static void take_image(struct kl_bundle *b, const struct kl_image_info *info)
{
    if (info->rev_min > b->rev_min)
        b->rev_min = info->rev_min;
    if (info->rev_max < b->rev_max)
        b->rev_max = info->rev_max;
    if (info->has_descriptor) {
        kl_copy(b->project, sizeof b->project, info->project);
        kl_copy(b->version, sizeof b->version, info->version);
    }
}

/* The bundle takes its name from the program that the chip will start, wherever that lies. */
static void take_program(struct kl_bundle *b, const struct parts *p)
{
    const struct kl_partition *row = p->starts.row;
    struct kl_image_info info;
    char why[KL_TEXT_MAX];
    size_t size;
    const uint8_t *data = row ? bytes_at(p, row->offset, &size) : NULL;

    if (!data)
        return;
    kl_copy(b->starts, sizeof b->starts, row->name);
    b->starts_at = row->offset;
    if (!kl_image_read(data, size, &info, why))
        take_image(b, &info);
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset <= row->offset && row->offset < end_of(&p->part[i]))
            kl_copy(b->file, sizeof b->file, file_name(&p->part[i]));
}

static void take_facts(struct kl_bundle *b, const struct parts *p)
{
    const struct kl_partition *nvs = kl_partition_find(&p->table, TYPE_DATA, DATA_NVS);

    b->rev_max = 0xffff;
    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        uint32_t end = part->offset + (uint32_t)part->size;
        if (end > b->flash_end)
            b->flash_end = end;
        if (!part->is_image)
            continue;
        take_image(b, &part->info);
        if (part->role != ROLE_BOOTLOADER || b->file[0] == '\0')
            kl_copy(b->file, sizeof b->file, file_name(part));
    }
    take_program(b, p);
    for (unsigned i = 0; i < p->table.count; i++)
        if (p->table.row[i].offset + p->table.row[i].size > b->flash_end)
            b->flash_end = p->table.row[i].offset + p->table.row[i].size;
    for (unsigned i = 0; i < p->table.count && b->nvs_count < KL_NVS_PARTITIONS_MAX; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (row->type != TYPE_DATA || (row->subtype != DATA_NVS && row->subtype != DATA_NVS_KEYS))
            continue;
        kl_copy(b->nvs[b->nvs_count].name, sizeof b->nvs[0].name, row->name);
        b->nvs[b->nvs_count].keys = row->subtype == DATA_NVS_KEYS;
        b->nvs[b->nvs_count].offset = row->offset;
        b->nvs[b->nvs_count++].size = row->size;
    }
    if (nvs) {
        b->nvs_offset = nvs->offset;
        b->nvs_size = nvs->size;
    }
}

/* What keyline flashes, in one figure: SHA-256 over each image's place, length and digest. */
static void digest(struct kl_bundle *b, const struct parts *p)
{
    uint8_t all[PARTS_MAX][40];

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
    b->sums = calloc(1, sizeof *b->sums); /* without it each sum is computed anew */
    sort_parts(p);
    if (!make_regions(p, b))
        problem(p, "out of memory");
    take_facts(b, p);
    digest(b, p);
    if (p->report->problem_count == 0)
        return b;
    kl_bundle_free(b);
    return NULL;
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
    p->header_asked = options->flash_mode >= 0 || options->flash_mhz > 0;
    p->wanted = OFFSET_UNKNOWN;
    p->named = options->image_count > 0;
    p->keep_size = options->keep_size;
    find_parts(p, options);
    read_parts(p);
    check_parts(p);
    tell_left_out(p);
    if (report->problem_count == 0)
        b = build(p, options);
    for (unsigned i = 0; i < PARTS_MAX; i++)
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
    free(b->sums);
    free(b);
}
