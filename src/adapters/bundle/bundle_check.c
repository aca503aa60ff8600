/* bundle_check.c: puts each image in its place, and says what is wrong with the set of them, all
   of it, before any board is touched. */
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

/* ---- the chip ---------------------------------------------------------------------------------
 */

static void settle_chip(struct parts *p)
{
    const char *first = "--chip or flasher_args.json";

    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        if (!part->is_image)
            continue;
        if (part->info.chip == KL_CHIP_NONE) {
            problem(p, "%s is for a chip that keyline does not know (id %d); build it for another",
                    part->path, part->info.chip_code);
        } else if (p->chip == KL_CHIP_NONE) {
            p->chip = part->info.chip;
            first = part->path;
        } else if (p->chip != part->info.chip) {
            problem(p, "%s is for %s, but %s says %s; use images of one build for the boards' chip",
                    part->path, kl_chip(part->info.chip)->name, first, kl_chip(p->chip)->name);
        }
    }
    if (p->chip == KL_CHIP_NONE && p->report->problem_count == 0)
        problem(p, "none of the images tells its chip; give --chip");
}

static void settle_frequency(struct parts *p)
{
    if (p->flash_mhz == 0 || p->chip == KL_CHIP_NONE)
        return;
    p->flash_freq = kl_image_freq_code(p->chip, p->flash_mhz);
    if (p->flash_freq < 0)
        problem(p, "the %s can't run its flash at %u MHz; correct --flash-freq",
                kl_chip(p->chip)->name, p->flash_mhz);
}

static void check_revisions(struct parts *p)
{
    uint16_t min = 0, max = UINT16_MAX;

    for (unsigned i = 0; i < p->count; i++) {
        if (!p->part[i].is_image)
            continue;
        if (p->part[i].info.rev_min > min)
            min = p->part[i].info.rev_min;
        if (p->part[i].info.rev_max < max)
            max = p->part[i].info.rev_max;
    }
    if (min > max)
        problem(p,
                "no chip revision suits all images: one needs %u.%u at least, one %u.%u at most; "
                "use images of one build",
                min / 100u, min % 100u, max / 100u, max % 100u);
}

/* ---- places -----------------------------------------------------------------------------------
 */

static bool covered(const struct parts *p, uint32_t offset)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset <= offset && offset < end_of(&p->part[i]))
            return true;
    return false;
}

static uint32_t place_of(const struct parts *p, const struct part *part)
{
    const struct kl_partition *ota = kl_partition_find(&p->table, 1, 0);

    if (part->offset != OFFSET_UNKNOWN)
        return part->offset;
    switch (part->role) {
    case ROLE_BOOTLOADER:
        return p->chip ? kl_chip(p->chip)->bootloader_offset : 0;
    case ROLE_OTA_DATA:
        return ota ? ota->offset : OFFSET_UNKNOWN;
    default:
        return app_place(p);
    }
}

/* A choice of OTA slot that lies beside the firmware, but has no partition, is left out. */
static void place(struct parts *p)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < p->count; i++) {
        struct part part = p->part[i];
        part.offset = place_of(p, &part);
        p->part[i].data = NULL;
        if (part.offset == OFFSET_UNKNOWN)
            free(part.data);
        else
            p->part[kept++] = part;
    }
    p->count = kept;
}

/*
 * A board that was updated over the air before would start its other slot, not what is flashed
 * now: an empty OTA choice makes it start the first.
 */
static void add_empty_choice(struct parts *p)
{
    const struct kl_partition *ota = kl_partition_find(&p->table, 1, 0);
    struct part *part = &p->part[p->count];

    if (!ota || covered(p, ota->offset) || ota->size > 0x10000)
        return;
    if (!p->found_beside) {
        warning(p,
                "no image is for partition %s (0x%x): a board that was updated over the air may "
                "start its other program",
                ota->name, ota->offset);
        return;
    }
    if (p->count == KL_REGIONS_MAX)
        return;
    *part = (struct part){.role = ROLE_OTA_DATA, .offset = ota->offset, .size = ota->size};
    kl_copy(part->path, sizeof part->path, ota->name);
    part->data = malloc(part->size);
    if (!part->data) {
        problem(p, "out of memory");
        return;
    }
    memset(part->data, 0xff, part->size);
    p->count++;
}

static void check_boot_place(struct parts *p)
{
    uint32_t right = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;

    for (unsigned i = 0; p->chip && i < p->count; i++) {
        const struct part *part = &p->part[i];
        uint64_t at = part->offset + part->image_at;
        if (part->role != ROLE_BOOTLOADER && part->role != ROLE_MERGED)
            continue;
        if (part->is_image && at != right)
            problem(p,
                    "%s puts the bootloader at 0x%llx, but the %s looks for it at 0x%x; use that "
                    "offset",
                    part->path, (unsigned long long)at, kl_chip(p->chip)->name, right);
    }
}

static void check_alignment(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset % SECTOR)
            problem(p,
                    "%s: offset 0x%x is not a multiple of 0x%x, the flash's sector; correct the "
                    "offset",
                    p->part[i].path, p->part[i].offset, SECTOR);
}

static void check_overlaps(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct part *a = &p->part[j], *b = &p->part[i];
            if (a->offset < end_of(b) && b->offset < end_of(a))
                problem(p,
                        "%s (0x%x to 0x%llx) and %s (0x%x to 0x%llx) overlap; correct an offset, "
                        "or make the first one smaller",
                        a->path, a->offset, (unsigned long long)end_of(a), b->path, b->offset,
                        (unsigned long long)end_of(b));
        }
}

/* ---- the partition table ----------------------------------------------------------------------
 */

enum {
    TYPE_APP = 0,
    TYPE_DATA = 1,
    TYPE_BOOTLOADER = 2, /* these two name what lies before the partitions */
    TYPE_TABLE = 3
};

static bool touches(const struct kl_partition *row, uint64_t start, uint64_t end)
{
    return row->offset < end && start < (uint64_t)row->offset + row->size;
}

/* No partition may lie over what the chip needs to start. */
static void check_table(struct parts *p)
{
    const struct part *boot = part_with(p, ROLE_BOOTLOADER);

    for (unsigned i = 0; p->have_table && i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (row->type == TYPE_BOOTLOADER || row->type == TYPE_TABLE)
            continue;
        if (touches(row, p->table_offset, p->table_offset + SECTOR))
            problem(p,
                    "partition %s (0x%x) lies over the partition table itself (0x%x); correct the "
                    "partition table",
                    row->name, row->offset, p->table_offset);
        if (boot && touches(row, boot->offset, end_of(boot)))
            problem(p,
                    "partition %s (0x%x) lies over the bootloader (0x%x to 0x%llx); correct the "
                    "partition table",
                    row->name, row->offset, boot->offset, (unsigned long long)end_of(boot));
    }
    if (!p->have_table && p->chip && p->chip != KL_CHIP_ESP8266 && p->report->problem_count == 0)
        warning(p, "no partition table is among the images: nothing keeps them off the NVS");
}

static void check_nvs(struct parts *p, const struct part *part, const struct kl_partition *nvs)
{
    if (!touches(nvs, part->offset, end_of(part)))
        return;
    if (part->offset < nvs->offset)
        problem(
            p,
            "%s would write over the NVS partition (%s, 0x%x to 0x%x), where boards keep their "
            "keys: it is padded from 0x%x to 0x%llx; flash its parts instead, each with --image",
            part->path, nvs->name, nvs->offset, nvs->offset + nvs->size, part->offset,
            (unsigned long long)end_of(part));
    else
        problem(p,
                "%s would write over the NVS partition (%s, 0x%x to 0x%x), where boards keep their "
                "keys; leave it out, or use --erase to clear them",
                part->path, nvs->name, nvs->offset, nvs->offset + nvs->size);
}

static void check_all_nvs(struct parts *p)
{
    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (row->type != TYPE_DATA || row->subtype != 2)
            continue;
        for (unsigned n = 0; n < p->count; n++)
            check_nvs(p, &p->part[n], row);
    }
}

static void check_app(struct parts *p, const struct part *app)
{
    const struct kl_partition *home = partition_at(p, app->offset);

    if (!home || home->type != TYPE_APP)
        problem(p, "%s at 0x%x is in no app partition of the partition table; correct the offset",
                app->path, app->offset);
    else if (home->offset != app->offset)
        problem(p, "%s at 0x%x does not begin where its partition %s begins; use offset 0x%x",
                app->path, app->offset, home->name, home->offset);
}

/* What begins in a partition has to end in it. */
static void check_room(struct parts *p, const struct part *part)
{
    const struct kl_partition *home = partition_at(p, part->offset);

    if (home && part->role != ROLE_MERGED &&
        part->size > home->size - (part->offset - home->offset))
        problem(p,
                "%s has %zu bytes, too many for its partition %s of %u; make the partition larger "
                "or the image smaller",
                part->path, part->size, home->name, home->size);
}

static void check_contents(struct parts *p)
{
    unsigned apps = 0;

    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        apps += part->role == ROLE_APP || part->role == ROLE_MERGED;
        if (p->have_table && part->role == ROLE_APP)
            check_app(p, part);
        if (p->have_table)
            check_room(p, part);
    }
    if (p->have_table && !kl_partition_find(&p->table, TYPE_APP, -1))
        problem(p, "the partition table has no app partition: no program could start; correct it");
    if (apps == 0 && p->count > 0 && p->chip != KL_CHIP_ESP8266 && p->report->problem_count == 0)
        warning(p, "no program is among the images: boards will run what they have");
}

/* ---- the flash --------------------------------------------------------------------------------
 */

static void check_flash_size(struct parts *p)
{
    const struct part *boot = part_with(p, ROLE_BOOTLOADER);
    const struct kl_partition *last = NULL;
    uint64_t end = 0;
    uint32_t named;

    for (unsigned i = 0; i < p->table.count; i++)
        if ((uint64_t)p->table.row[i].offset + p->table.row[i].size > end) {
            last = &p->table.row[i];
            end = (uint64_t)last->offset + last->size;
        }
    if (end > 0x40000u << (KL_FLASH_SIZES - 1))
        problem(p, "partition %s reaches to 0x%llx, past any flash; correct the partition table",
                last->name, (unsigned long long)end);
    if (!boot || !boot->is_image || !p->keep_size || !p->chip)
        return;
    named = kl_chip_flash_size_bytes(kl_chip(p->chip), boot->info.size_freq);
    if (named && end > named)
        problem(p,
                "%s says that the flash has %u KB, but partition %s reaches to 0x%llx; build both "
                "for one flash size",
                boot->path, named >> 10, last->name, (unsigned long long)end);
}

void check_parts(struct parts *p)
{
    if (p->count == 0 && p->report->problem_count == 0)
        problem(p, "there are no images; give --firmware or --image");
    settle_chip(p);
    settle_frequency(p);
    check_revisions(p);
    place(p);
    add_empty_choice(p);
    check_boot_place(p);
    check_alignment(p);
    check_overlaps(p);
    check_table(p);
    check_all_nvs(p);
    check_contents(p);
    check_flash_size(p);
}
