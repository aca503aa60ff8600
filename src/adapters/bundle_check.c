/* bundle_check.c: what is wrong with a set of images, all of it, before any board is touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

enum {
    SECTOR = 0x1000
};

static void read_image(struct parts *p, struct part *part)
{
    char why[KL_TEXT_MAX];

    if (kl_image_read(part->data, part->size, &part->info, why))
        problem(p, "%s %s; build it again or copy it again", part->path, why);
    else
        part->is_image = true;
}

/* Named images say what they are by where they go and how they begin. */
static void guess_role(struct part *part)
{
    char why[KL_TEXT_MAX];

    if (part->role != ROLE_OTHER)
        return;
    if (part->offset == KL_PARTITION_TABLE_OFFSET ||
        kl_partitions_look_like(part->data, part->size))
        part->role = ROLE_TABLE;
    else if (part->offset == 0 && part->size > KL_PARTITION_TABLE_OFFSET + 32 &&
             kl_partitions_look_like(part->data + KL_PARTITION_TABLE_OFFSET, 32))
        part->role = ROLE_MERGED;
    else if (part->data[0] == KL_IMAGE_MAGIC && part->offset < KL_PARTITION_TABLE_OFFSET)
        part->role = ROLE_BOOTLOADER;
    else if (part->data[0] == KL_IMAGE_MAGIC &&
             !kl_image_read(part->data, part->size, &part->info, why))
        part->role = ROLE_APP;
}

static void read_table(struct parts *p, struct part *part, const uint8_t *data, size_t size)
{
    char why[KL_TEXT_MAX];

    if (kl_partitions_read(data, size, &p->table, why))
        problem(p, "%s %s; build it again", part->path, why);
    else
        p->have_table = true;
}

static void read_merged(struct parts *p, struct part *part)
{
    static const uint32_t places[] = {0, 0x1000, 0x2000};
    char why[KL_TEXT_MAX];

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (part->data[places[i]] != KL_IMAGE_MAGIC)
            continue;
        if (kl_image_read(part->data + places[i], part->size - places[i], &part->info, why))
            problem(p, "%s: its bootloader %s", part->path, why);
        else
            part->is_image = true;
        break;
    }
    read_table(p, part, part->data + KL_PARTITION_TABLE_OFFSET,
               part->size - KL_PARTITION_TABLE_OFFSET);
}

static void read_parts(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        guess_role(part);
        if (part->role == ROLE_BOOTLOADER || part->role == ROLE_APP)
            read_image(p, part);
        else if (part->role == ROLE_TABLE)
            read_table(p, part, part->data, part->size);
        else if (part->role == ROLE_MERGED)
            read_merged(p, part);
    }
}

/* ---- the chip ---------------------------------------------------------------------------------
 */

static void settle_chip(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        if (!part->is_image)
            continue;
        if (part->info.chip == KL_CHIP_NONE)
            problem(p, "%s is for a chip that keyline does not know (id %d)", part->path,
                    part->info.chip_code);
        else if (p->chip == KL_CHIP_NONE)
            p->chip = part->info.chip;
        else if (p->chip != part->info.chip)
            problem(p, "%s is for %s, but the other images or --chip say %s", part->path,
                    kl_chip(part->info.chip)->name, kl_chip(p->chip)->name);
    }
    if (p->chip == KL_CHIP_NONE && p->report->problem_count == 0)
        problem(p, "none of the images tells its chip: give --chip");
}

/* ---- places -----------------------------------------------------------------------------------
 */

static uint32_t app_place(const struct parts *p)
{
    const struct kl_partition *app = kl_partition_find(&p->table, 0, 0);

    if (!app)
        app = kl_partition_find(&p->table, 0, 0x10);
    return app ? app->offset : 0x10000;
}

static void place(struct parts *p)
{
    const struct kl_partition *ota = kl_partition_find(&p->table, 1, 0);
    unsigned kept = 0;

    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        if (part->offset == OFFSET_UNKNOWN && part->role == ROLE_BOOTLOADER)
            part->offset = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;
        else if (part->offset == OFFSET_UNKNOWN && part->role == ROLE_APP)
            part->offset = app_place(p);
        else if (part->offset == OFFSET_UNKNOWN && ota)
            part->offset = ota->offset;
        if (part->offset == OFFSET_UNKNOWN) {
            free(part->data); /* the OTA choice, where no partition is for it */
            part->data = NULL;
        } else if (kept++ != i) {
            p->part[kept - 1] = *part;
            part->data = NULL;
        }
    }
    p->count = kept;
}

static void check_bootloader_place(struct parts *p)
{
    const struct part *boot = part_with(p, ROLE_BOOTLOADER);
    uint32_t right = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;

    if (boot && p->chip && boot->offset != right)
        problem(p, "%s: the %s looks for its bootloader at 0x%x, not at 0x%x", boot->path,
                kl_chip(p->chip)->name, right, boot->offset);
}

static void check_alignment(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset % SECTOR)
            problem(p, "%s: offset 0x%x is not a multiple of 0x%x, the flash's sector",
                    p->part[i].path, p->part[i].offset, SECTOR);
}

static uint64_t end_of(const struct part *part)
{
    return ((uint64_t)part->offset + part->size + SECTOR - 1) / SECTOR * SECTOR;
}

static void check_overlaps(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct part *a = &p->part[j], *b = &p->part[i];
            if (a->offset < end_of(b) && b->offset < end_of(a))
                problem(p, "%s (0x%x to 0x%llx) and %s (0x%x to 0x%llx) overlap", a->path,
                        a->offset, (unsigned long long)end_of(a), b->path, b->offset,
                        (unsigned long long)end_of(b));
        }
}

static void check_nvs(struct parts *p)
{
    const struct kl_partition *nvs = kl_partition_find(&p->table, 1, 2);

    for (unsigned i = 0; nvs && i < p->count; i++) {
        const struct part *part = &p->part[i];
        if (part->offset >= nvs->offset + nvs->size || end_of(part) <= nvs->offset)
            continue;
        if (part->role == ROLE_MERGED || part->offset < nvs->offset)
            problem(p,
                    "%s would write over the NVS partition (0x%x to 0x%x), where boards keep "
                    "their keys: it is padded from 0x%x to 0x%llx; flash its parts instead, with "
                    "--image",
                    part->path, nvs->offset, nvs->offset + nvs->size, part->offset,
                    (unsigned long long)end_of(part));
        else
            problem(p,
                    "%s would write over the NVS partition (0x%x to 0x%x), where boards keep "
                    "their keys; leave it out, or use --erase to clear them",
                    part->path, nvs->offset, nvs->offset + nvs->size);
    }
}

static const struct kl_partition *partition_at(const struct parts *p, uint32_t offset)
{
    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (offset >= row->offset && offset - row->offset < row->size)
            return row;
    }
    return NULL;
}

static void check_app(struct parts *p, const struct part *app)
{
    const struct kl_partition *home = partition_at(p, app->offset);

    if (!home || home->type != 0)
        problem(p, "%s at 0x%x is in no app partition of the partition table", app->path,
                app->offset);
    else if (home->offset != app->offset)
        problem(p, "%s at 0x%x does not begin where its partition %s begins (0x%x)", app->path,
                app->offset, home->name, home->offset);
    else if (app->size > home->size)
        problem(p,
                "%s has %zu bytes, but its partition %s only %u; make the partition larger or "
                "the program smaller",
                app->path, app->size, home->name, home->size);
}

static void check_apps(struct parts *p)
{
    unsigned apps = 0;

    for (unsigned i = 0; i < p->count; i++) {
        if (p->part[i].role != ROLE_APP)
            continue;
        apps++;
        if (p->have_table)
            check_app(p, &p->part[i]);
    }
    if (apps == 0 && !part_with(p, ROLE_MERGED))
        warning(p, "no program is among the images: boards will run what they have");
}

static void check_flash_size(struct parts *p)
{
    const struct part *boot = part_with(p, ROLE_BOOTLOADER);
    uint32_t named;
    uint64_t end = 0;

    for (unsigned i = 0; i < p->table.count; i++)
        if (p->table.row[i].offset + (uint64_t)p->table.row[i].size > end)
            end = p->table.row[i].offset + (uint64_t)p->table.row[i].size;
    if (end > 256u << 20)
        problem(p, "the partition table reaches to 0x%llx, past any flash",
                (unsigned long long)end);
    if (!boot || !boot->is_image || !p->keep_size || !p->chip)
        return;
    named = kl_chip_flash_size_bytes(kl_chip(p->chip), boot->info.size_freq);
    if (named && end > named)
        problem(p, "%s says that the flash has %u KB, but the partition table reaches to 0x%llx",
                boot->path, named >> 10, (unsigned long long)end);
}

void check_parts(struct parts *p)
{
    if (p->count == 0 && p->report->problem_count == 0)
        problem(p, "there are no images: give --firmware or --image");
    read_parts(p);
    settle_chip(p);
    place(p);
    check_bootloader_place(p);
    check_alignment(p);
    check_overlaps(p);
    check_nvs(p);
    check_apps(p);
    check_flash_size(p);
}
