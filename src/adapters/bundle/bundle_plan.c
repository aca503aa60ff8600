/*
 * bundle_plan.c: puts each image in its place, and answers by the bootloader's own rules which
 * program the chip will start once all of them are written.
 *
 * What these images leave alone stays as it is on the board, and nobody knows what that is. So
 * keyline always writes the choice of the program (otadata): the images' own, or one that keyline
 * makes.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

/* ---- what will stand where ---- */

const uint8_t *bytes_at(const struct parts *p, uint32_t offset, size_t *size)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct part *part = &p->part[i];
        if (part->data && part->offset <= offset && offset - part->offset < part->size) {
            *size = part->size - (offset - part->offset);
            return part->data + (offset - part->offset);
        }
    }
    return NULL;
}

/* A whole program lies at this address; `out` may be NULL. */
static bool program_at(const struct parts *p, uint32_t offset, struct kl_image_info *out)
{
    struct kl_image_info info;
    char why[KL_TEXT_MAX];
    size_t size;
    const uint8_t *data = bytes_at(p, offset, &size);

    if (!data || kl_image_read(data, size, &info, why))
        return false;
    if (out)
        *out = info;
    return true;
}

static const struct kl_partition *ota_row(const struct parts *p)
{
    return kl_partition_find(&p->table, TYPE_DATA, DATA_OTA);
}

/* Both records as they will stand in the flash; false if these images bring none of them. Bytes
   that the erase clears and no image writes are 0xFF. */
static bool ota_data(const struct parts *p, uint8_t out[KL_OTA_SIZE])
{
    const struct kl_partition *ota = ota_row(p);
    size_t size = 0;
    const uint8_t *data = ota ? bytes_at(p, ota->offset, &size) : NULL;

    memset(out, 0xff, KL_OTA_SIZE);
    if (data)
        memcpy(out, data, size < KL_OTA_SIZE ? size : KL_OTA_SIZE);
    return data;
}

/* ---- places ---- */

/* If the first slot lies before the factory partition, builds flash that slot, as Arduino does. A
   program that is too large for factory goes there too. */
static const struct kl_partition *usual_place(const struct parts *p, const struct part *app)
{
    const struct kl_partition *factory = kl_partition_find(&p->table, TYPE_APP, 0);
    const struct kl_partition *slot = kl_partition_find(&p->table, TYPE_APP, 0x10);

    if (factory && slot && ota_row(p) &&
        (slot->offset < factory->offset || (app->size > factory->size && app->size <= slot->size)))
        return slot;
    return kl_boot_choose(&p->table, NULL).row;
}

/* The slot that the otadata among the images chooses; else the place where builds put a program. */
static uint32_t app_place(struct parts *p, const struct part *app)
{
    const struct part *choice = part_with(p, ROLE_OTA_DATA);
    uint8_t both[KL_OTA_SIZE];
    const struct kl_partition *row = NULL;

    if (choice && ota_row(p)) {
        ota_data(p, both);
        row = kl_boot_choose(&p->table, both).row;
    } else if (p->have_table) {
        row = usual_place(p, app);
    }
    if (!row)
        return 0x10000;
    found(p, "%s goes to partition %s (0x%x)%s", app->path, row->name, row->offset,
          choice && ota_row(p) ? ", which the choice beside it starts" : "");
    return row->offset;
}

static void place_choice(struct parts *p, unsigned index)
{
    struct part *part = &p->part[index];

    if (ota_row(p)) {
        part->offset = ota_row(p)->offset;
        return;
    }
    left_out(p, "%s: the partition table has no otadata partition that it would go to", part->path);
    drop_part(p, index);
}

static void place(struct parts *p)
{
    for (unsigned i = p->count; i-- > 0;)
        if (p->part[i].offset == OFFSET_UNKNOWN && p->part[i].role == ROLE_OTA_DATA)
            place_choice(p, i);
    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        if (part->offset != OFFSET_UNKNOWN)
            continue;
        if (part->role == ROLE_BOOTLOADER)
            part->offset = p->chip ? kl_chip(p->chip)->bootloader_offset : 0;
        else
            part->offset = app_place(p, part);
    }
}

/* A choice that lies outside the otadata partition chooses nothing, and overwrites what lies
   there. */
static void check_choices(struct parts *p)
{
    const struct kl_partition *ota = ota_row(p);

    for (unsigned i = p->count; p->have_table && i-- > 0;) {
        struct part *part = &p->part[i];
        if (part->content != KL_CONTENT_OTADATA || part->role == ROLE_MERGED ||
            (ota && part->offset == ota->offset))
            continue;
        if (ota) {
            problem(p,
                    "%s chooses the program to start, but lies at 0x%x: partition %s is at 0x%x. "
                    "Give it as --image 0x%x:%s, or leave it out: keyline makes one",
                    part->path, part->offset, ota->name, ota->offset, ota->offset,
                    as_word(p, part->path));
            part->misplaced = true;
        } else if (p->named) {
            problem(p,
                    "%s chooses the program to start, but the partition table has no otadata "
                    "partition for it: leave it out",
                    part->path);
        } else {
            place_choice(p, i);
        }
    }
}

/* ---- which program is meant ---- */

static unsigned count_programs(const struct parts *p, const struct kl_partition **only)
{
    unsigned count = 0;

    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (row->type != TYPE_APP || !program_at(p, row->offset, NULL))
            continue;
        *only = row;
        count++;
    }
    return count;
}

/* The program that people want to run: the one that the list names, or the only one, or the one
   that the chip starts by itself. NULL if the images hold none. */
static const struct kl_partition *wanted_row(const struct parts *p)
{
    const struct kl_partition *row = NULL, *listed = partition_at(p, p->wanted);
    unsigned count = count_programs(p, &row);
    const struct kl_partition *usual = kl_boot_choose(&p->table, NULL).row;
    const struct kl_partition *first = kl_partition_find(&p->table, TYPE_APP, 0x10);

    if (p->wants_first_slot && first && program_at(p, first->offset, NULL))
        return first;
    if (p->wanted != OFFSET_UNKNOWN && listed && program_at(p, listed->offset, NULL))
        return listed;
    if (count > 1 && usual && program_at(p, usual->offset, NULL))
        return usual;
    return count > 0 ? row : NULL;
}

/* ---- the choice of the program ---- */

static struct part *new_part(struct parts *p, const char *name, uint32_t offset, uint32_t size)
{
    struct part *part = &p->part[p->count];

    *part = (struct part){
        .role = ROLE_OTA_DATA, .made = true, .offset = offset, .size = size, .data = malloc(size)};
    kl_copy(part->path, sizeof part->path, name);
    if (!part->data) {
        problem(p, "out of memory");
        return NULL;
    }
    p->count++;
    return part;
}

/* No image brings the choice. On a board that was updated over the air, the old choice would start
   its other program. */
static void make_choice(struct parts *p, const struct kl_partition *wanted)
{
    const struct kl_partition *ota = ota_row(p);
    struct part *part;

    if (ota->size < KL_OTA_SIZE)
        return;
    part = new_part(p, ota->name, ota->offset, KL_OTA_SIZE);
    if (!part)
        return;
    kl_boot_make_choice(&p->table, wanted, part->data);
    found(p, "keyline writes partition %s (0x%x) so that the board starts partition %s", ota->name,
          ota->offset, wanted->name);
}

/* A file that ends within otadata leaves the rest of it as it stands on the board. */
static bool whole_choice(struct parts *p)
{
    const struct kl_partition *ota = ota_row(p);

    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        size_t whole;
        uint8_t *more;
        if (part->offset > ota->offset || ota->offset - part->offset >= part->size ||
            ota->size < KL_OTA_SIZE)
            continue;
        whole = (size_t)(ota->offset - part->offset) + KL_OTA_SIZE;
        if (part->size >= whole)
            continue;
        more = realloc(part->data, whole);
        if (!more) {
            problem(p, "out of memory");
            return false;
        }
        memset(more + part->size, 0xff, whole - part->size);
        part->data = more;
        part->size = whole;
    }
    return true;
}

/* ---- is it the one that starts? ---- */

static const char *reason(const struct parts *p, char out[KL_TEXT_MAX])
{
    const struct kl_partition *ota = ota_row(p);
    const struct part *part = NULL;

    for (unsigned i = 0; ota && i < p->count; i++)
        if (p->part[i].offset <= ota->offset && ota->offset < end_of(&p->part[i]))
            part = &p->part[i];
    switch (p->starts.why) {
    case KL_BOOT_NO_OTADATA:
        kl_format(out, KL_TEXT_MAX, "the table has no otadata, so the chip starts %s",
                  p->starts.row->subtype ? "the first slot" : "factory");
        break;
    case KL_BOOT_NO_CHOICE:
        kl_format(out, KL_TEXT_MAX, "otadata is empty, so the chip starts %s",
                  p->starts.row->subtype ? "the first slot" : "factory");
        break;
    default:
        kl_format(out, KL_TEXT_MAX, "%s chooses it", part ? file_name(part) : "otadata");
        break;
    }
    return out;
}

static const char *path_at(const struct parts *p, uint32_t offset)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].offset <= offset && offset < end_of(&p->part[i]))
            return p->part[i].path;
    return "";
}

static void refuse_other_start(struct parts *p, const struct kl_partition *wanted)
{
    const struct kl_partition *row = p->starts.row;
    const struct part *choice = part_with(p, ROLE_OTA_DATA), *all = part_with(p, ROLE_MERGED);
    char why[KL_TEXT_MAX];

    if (all && p->starts.why == KL_BOOT_CHOSEN)
        problem(p,
                "%s would make the chip start partition %s (0x%x), where it holds no program: its "
                "program is in %s (0x%x). Merge the files of a build again, with 0xFF at otadata "
                "(0x%x)",
                all->path, row->name, row->offset, wanted->name, wanted->offset,
                ota_row(p)->offset);
    else if (all)
        problem(p,
                "%s: the chip would start partition %s (0x%x), where it holds no program: its "
                "program is in %s (0x%x). Merge it again, with the program at 0x%x",
                all->path, row->name, row->offset, wanted->name, wanted->offset, row->offset);
    else if (choice && !choice->made && p->starts.why == KL_BOOT_CHOSEN)
        problem(p,
                "%s makes the chip start partition %s (0x%x), but the program is for %s (0x%x): "
                "boards would run something else. Leave %s out, or give the program as --image "
                "0x%x:%s",
                choice->path, row->name, row->offset, wanted->name, wanted->offset,
                file_name(choice), row->offset, as_word(p, path_at(p, wanted->offset)));
    else
        problem(p,
                "the chip would start partition %s (0x%x), not the program given for %s (0x%x): "
                "%s. Give the program as --image 0x%x:%s",
                row->name, row->offset, wanted->name, wanted->offset, reason(p, why), row->offset,
                as_word(p, path_at(p, wanted->offset)));
}

static void judge_start(struct parts *p, const struct kl_partition *wanted)
{
    const struct kl_partition *row = p->starts.row;
    char why[KL_TEXT_MAX];

    if (p->starts.why == KL_BOOT_TOO_SMALL)
        problem(p,
                "partition %s has 0x%x bytes, but the bootloader needs 0x%x there, and starts "
                "nothing; correct the partition table",
                ota_row(p)->name, ota_row(p)->size, (unsigned)KL_OTA_SIZE);
    else if (row && row != wanted &&
             (p->wanted != OFFSET_UNKNOWN || !program_at(p, row->offset, NULL)))
        refuse_other_start(p, wanted);
    else if (row && row->subtype == 0x20)
        problem(p,
                "partition %s (0x%x) is for a test program, which the chip starts while a pin is "
                "held only; put the program into an app partition of another kind",
                row->name, row->offset);
    else if (row)
        found(p, "the chip will start partition %s (0x%x): %s", row->name, row->offset,
              reason(p, why));
    if (row && p->starts.unsure)
        problem(p,
                "%s holds a choice that waits to be confirmed: a bootloader with roll-back would "
                "drop it and start another program. %s",
                path_at(p, ota_row(p)->offset),
                part_with(p, ROLE_MERGED) ? "Merge the files of a build again"
                                          : "Leave it out: keyline makes a new one");
}

static void plan_start(struct parts *p)
{
    const struct kl_partition *wanted = wanted_row(p);
    uint8_t both[KL_OTA_SIZE];
    bool has_ota = ota_row(p);

    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].misplaced)
            return; /* a problem with its place is reported already */
    if (!wanted && part_with(p, ROLE_MERGED))
        warning(p, "%s holds no program: boards will run what they have",
                part_with(p, ROLE_MERGED)->path);
    if (!wanted)
        return; /* without a merged file, another check reports that */
    if (has_ota && !ota_data(p, both))
        make_choice(p, wanted);
    if (has_ota && !whole_choice(p))
        return;
    p->starts = kl_boot_choose(&p->table, has_ota && ota_data(p, both) ? both : NULL);
    judge_start(p, wanted);
}

void plan_parts(struct parts *p)
{
    place(p);
    check_choices(p);
    p->starts = (struct kl_boot_choice){0};
    if (p->have_table && !p->has_mcuboot && !p->alone)
        plan_start(p);
}
