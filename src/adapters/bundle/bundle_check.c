/* bundle_check.c: says everything that is wrong with a set of images, before keyline touches a
   board. */
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

/* ---- the chip ---- */

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

/* ---- places ---- */

static void check_boot_place(struct parts *p)
{
    uint32_t right = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;

    for (unsigned i = 0; p->chip && i < p->count; i++) {
        const struct part *part = &p->part[i];
        uint64_t at = part->offset + part->image_at;
        if (part->role != ROLE_BOOTLOADER && part->role != ROLE_MERGED)
            continue;
        if (part->is_image && at != right && !part->misplaced)
            problem(p,
                    "%s puts the bootloader at 0x%llx, but the %s looks for it at 0x%x; use that "
                    "offset: --image 0x%x:%s",
                    part->path, (unsigned long long)at, kl_chip(p->chip)->name, right,
                    right > part->image_at ? right - (uint32_t)part->image_at : 0,
                    as_word(p, part->path));
    }
}

/* A chip starts nothing if something else than a bootloader lies in the bootloader's place. */
static void check_boot_contents(struct parts *p)
{
    uint32_t right = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;

    for (unsigned i = 0; p->chip && i < p->count; i++) {
        const struct part *part = &p->part[i];
        bool covers = part->offset <= right && right < end_of(part);
        if (!covers || part->role == ROLE_BOOTLOADER || part->role == ROLE_MERGED ||
            part->misplaced)
            continue;
        if (part->size > SECTOR + 64 && part->data[SECTOR] == KL_IMAGE_MAGIC)
            problem(p,
                    "%s begins with a digest for Secure Boot V1, and the bootloader behind it: it "
                    "belongs at 0x0: --image 0x0:%s",
                    part->path, as_word(p, part->path));
        else
            problem(p,
                    "%s is %s, but lies in the bootloader's place (0x%x): no board would start; "
                    "put the build's bootloader there",
                    part->path, kl_content_name(part->content), right);
    }
}

/* Data may begin within a sector, if the table has a partition there. */
static bool may_be_crooked(const struct parts *p, const struct part *part)
{
    const struct kl_partition *home = partition_at(p, part->offset);

    return part->role == ROLE_OTHER && home && home->offset == part->offset &&
           part->offset % 4 == 0;
}

static void check_alignment(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset % SECTOR && !may_be_crooked(p, &p->part[i]))
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
            if (a->offset < (uint64_t)b->offset + b->size &&
                b->offset < (uint64_t)a->offset + a->size)
                problem(p,
                        "%s (0x%x to 0x%llx) and %s (0x%x to 0x%llx) overlap; correct an offset, "
                        "or make the first one smaller",
                        a->path, a->offset, (unsigned long long)a->offset + a->size, b->path,
                        b->offset, (unsigned long long)b->offset + b->size);
        }
}

/* ---- the partition table ---- */

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
}

/* Of two partitions of one kind the bootloader takes the last, and people mean the first. */
static void check_twins(struct parts *p)
{
    for (unsigned i = 0; i < p->table.count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct kl_partition *a = &p->table.row[j], *b = &p->table.row[i];
            bool start = b->type == TYPE_APP || (b->type == TYPE_DATA && b->subtype == DATA_OTA);
            if (start && a->type == b->type && a->subtype == b->subtype)
                problem(p,
                        "the partition table has two partitions of one kind, %s and %s: it is not "
                        "certain which of them counts; correct the partition table",
                        a->name, b->name);
        }
}

/* Boards keep their key in an NVS. On boards that hold a key, keyline leaves out an image of an
   NVS, and a merged file's part that covers one. Any other image that would clear an NVS is a
   mistake. */
static void check_nvs(struct parts *p, const struct part *part, const struct kl_partition *nvs)
{
    if (part->role == ROLE_MERGED || !touches(nvs, sector_of(part), end_of(part)))
        return;
    if (part->role == ROLE_NVS && part->offset == nvs->offset &&
        (part->content == KL_CONTENT_NVS || part->content == KL_CONTENT_BLANK ||
         nvs->subtype == DATA_NVS_KEYS))
        return;
    if (part->offset < nvs->offset)
        problem(
            p,
            "%s would write over the NVS partition (%s, 0x%x to 0x%x), where boards keep their "
            "keys: it is padded from 0x%x to 0x%llx; flash its parts instead, each with --image",
            part->path, nvs->name, nvs->offset, nvs->offset + nvs->size, part->offset,
            (unsigned long long)end_of(part));
    else if (part->content == KL_CONTENT_NVS || part->content == KL_CONTENT_BLANK)
        problem(
            p,
            "%s lies within the NVS partition (%s, 0x%x to 0x%x), where boards keep their keys; "
            "an image of the NVS has to begin where that begins: --image 0x%x:%s",
            part->path, nvs->name, nvs->offset, nvs->offset + nvs->size, nvs->offset,
            as_word(p, part->path));
    else
        problem(p,
                "%s would write over the NVS partition (%s, 0x%x to 0x%x), where boards keep their "
                "keys, and it is no image of an NVS but %s; leave it out",
                part->path, nvs->name, nvs->offset, nvs->offset + nvs->size,
                kl_content_name(part->content));
}

static void check_all_nvs(struct parts *p)
{
    for (unsigned i = 0; i < p->table.count; i++)
        for (unsigned n = 0; is_nvs_row(&p->table.row[i]) && n < p->count; n++)
            check_nvs(p, &p->part[n], &p->table.row[i]);
}

static bool is_given(const struct parts *p, const struct kl_partition *row)
{
    for (unsigned i = 0; i < p->count; i++)
        if (partition_at(p, p->part[i].offset) == row)
            return true;
    return false;
}

/* The flash is erased by the sector. An image that shares a sector with another partition would
   clear that partition's share. check_nvs speaks of NVS partitions. */
static void check_neighbours(struct parts *p, const struct part *part)
{
    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        uint64_t end = part->offset + (uint64_t)part->size,
                 row_end = row->offset + (uint64_t)row->size;
        uint64_t from = row->offset > sector_of(part) ? row->offset : sector_of(part);
        uint64_t to = row_end < end_of(part) ? row_end : end_of(part);
        if (partition_at(p, part->offset) == row || part->role == ROLE_MERGED || is_nvs_row(row) ||
            from >= to || (from < end && to > part->offset))
            continue;
        if (!is_given(p, row))
            problem(p,
                    "%s (0x%x) shares a sector of the flash with partition %s (0x%x): writing it "
                    "would clear 0x%llx to 0x%llx there; give %s too, with --image 0x%x:FILE",
                    part->path, part->offset, row->name, row->offset, (unsigned long long)from,
                    (unsigned long long)to, row->name, row->offset);
    }
}

static void check_app(struct parts *p, const struct part *app)
{
    const struct kl_partition *home = partition_at(p, app->offset);
    const struct kl_partition *usual = kl_boot_choose(&p->table, NULL).row;

    if (!home || home->type != TYPE_APP)
        problem(p,
                "%s at 0x%x is in no app partition of the partition table; correct the offset: "
                "--image 0x%x:%s",
                app->path, app->offset,
                p->starts.row ? p->starts.row->offset
                : usual       ? usual->offset
                              : 0x10000,
                as_word(p, app->path));
    else if (home->offset != app->offset)
        problem(p,
                "%s at 0x%x does not begin where its partition %s begins; use offset 0x%x: "
                "--image 0x%x:%s",
                app->path, app->offset, home->name, home->offset, home->offset,
                as_word(p, app->path));
}

/* An image that begins in a partition has to end in it. */
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

/* At its first start the program would format a file system of another kind than its
   partition's. */
static void check_file_system(struct parts *p, const struct part *part)
{
    const struct kl_partition *home = partition_at(p, part->offset);
    enum kl_content is = part->content;
    bool other;

    if (!home || home->type != TYPE_DATA || part->role == ROLE_MERGED)
        return;
    other = (home->subtype == 0x81 && (is == KL_CONTENT_LITTLEFS || is == KL_CONTENT_SPIFFS)) ||
            (home->subtype == 0x82 && is == KL_CONTENT_FAT) ||
            (home->subtype == 0x83 && (is == KL_CONTENT_FAT || is == KL_CONTENT_SPIFFS));
    if (other)
        warning(p, "%s is %s, but partition %s (0x%x) is for %s", part->path, kl_content_name(is),
                home->name, home->offset,
                home->subtype == 0x81   ? "FAT"
                : home->subtype == 0x82 ? "SPIFFS"
                                        : "LittleFS");
}

static void check_contents(struct parts *p)
{
    unsigned apps = 0;

    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        apps += part->role == ROLE_APP || part->role == ROLE_MERGED ||
                part->content == KL_CONTENT_MCUBOOT;
        if (p->have_table && part->role == ROLE_APP)
            check_app(p, part);
        if (p->have_table) {
            check_room(p, part);
            check_file_system(p, part);
            check_neighbours(p, part);
        }
    }
    if (apps > 0 && p->chip != KL_CHIP_ESP8266 && p->report->problem_count == 0 &&
        !part_with(p, ROLE_BOOTLOADER) && !part_with(p, ROLE_MERGED))
        warning(p, "no bootloader is among the images: boards have to have one already");
    if (p->have_table && !kl_partition_find(&p->table, TYPE_APP, -1))
        problem(p, "the partition table has no app partition: no program could start; correct it");
    if (apps == 0 && p->count > 0 && p->chip != KL_CHIP_ESP8266 && !p->alone &&
        p->report->problem_count == 0)
        warning(p, "no program is among the images: boards will run what they have");
}

/* Without a table among the images, the board's own would decide what starts. Nobody has seen that
   one. */
static void check_table_missing(struct parts *p)
{
    bool other = p->chip == KL_CHIP_ESP8266 || p->has_mcuboot || p->alone;

    if (p->have_table || other || p->report->problem_count > 0)
        return;
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].role == ROLE_APP) {
            problem(p, "no partition table is among the images: the one on the board would decide "
                       "which program starts, and where the NVS is. Give the build's too: --image "
                       "0x8000:partitions.bin");
            return;
        }
    if (p->chip)
        warning(p, "no partition table is among the images: nothing keeps them off the NVS");
}

/* ---- signatures ---- */

static void check_header(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        bool boots = part->role == ROLE_BOOTLOADER || part->role == ROLE_MERGED;
        if (!boots || !part->is_image || part->info.signature == KL_SIGNATURE_NONE)
            continue;
        found(p, "%s is signed: it is written byte for byte", part->path);
        if (p->header_asked)
            problem(p,
                    "%s is signed: its header can't be changed; leave --flash-mode and "
                    "--flash-freq out, or build and sign it with these",
                    part->path);
    }
}

/* ---- the flash ---- */

static void check_flash_size(struct parts *p)
{
    const struct part *boot = part_with(p, ROLE_BOOTLOADER);
    const struct part *all = part_with(p, ROLE_MERGED);
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
    boot = boot ? boot : all;
    if (!boot || !boot->is_image || !p->chip ||
        !(p->keep_size || boot->info.signature != KL_SIGNATURE_NONE))
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
    plan_parts(p);
    check_boot_place(p);
    check_boot_contents(p);
    check_alignment(p);
    check_overlaps(p);
    check_table(p);
    check_twins(p);
    check_all_nvs(p);
    check_contents(p);
    check_table_missing(p);
    check_header(p);
    check_flash_size(p);
}
