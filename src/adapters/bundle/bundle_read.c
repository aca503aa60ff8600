/* bundle_read.c: what each file of a bundle is, by its place, its name and its bytes, and whether
   it is whole. */
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"
#include "bytes.h"

/* ---- merged files ---- */

enum {
    TABLE_REACH = 1 << 20, /* so far into a file keyline looks for a partition table */
    ALONE_MIN = 1024,      /* fewer bytes behind an image are no program of their own */
};

static const uint32_t bootloader_places[] = {0, 0x1000, 0x2000};

/* Where the bootloader stands in a file that holds all; SIZE_MAX if nowhere. */
static size_t bootloader_in(const struct part *part)
{
    for (size_t i = 0; i < sizeof bootloader_places / sizeof bootloader_places[0]; i++) {
        size_t at = bootloader_places[i];
        if (part->size > at + 64 && part->data[at] == KL_IMAGE_MAGIC)
            return at;
    }
    return SIZE_MAX;
}

/* The first row of a partition table. By chance not one file in 16 million has these bytes at a
   sector's beginning. */
static bool is_first_row(const uint8_t *row)
{
    uint8_t type = row[2];

    return row[0] == 0xaa && row[1] == 0x50 && (type <= TYPE_TABLE || type >= 0x40) &&
           row[12] >= ' ' && row[12] <= '~' && get32(row + 8) != 0 && get32(row + 4) % 4 == 0;
}

static size_t table_in(const struct part *part, size_t from)
{
    for (size_t at = from + SECTOR; at + 32 <= part->size && at < TABLE_REACH; at += SECTOR)
        if (is_first_row(part->data + at))
            return at;
    return SIZE_MAX;
}

/* A program may hold a table too, as data. */
static bool is_program_at(const struct part *part, size_t at)
{
    struct kl_image_info info;
    char why[KL_TEXT_MAX];

    if (part->size > at + 0x24 && get32(part->data + at + 0x20) == 0xabcd5432)
        return true;
    return !kl_image_read(part->data + at, part->size - at, &info, why) &&
           !kl_image_is_bootloader(&info);
}

bool looks_merged(struct part *part)
{
    size_t boot = bootloader_in(part), table;

    if (boot == SIZE_MAX || is_program_at(part, boot))
        return false;
    table = table_in(part, boot);
    if (table == SIZE_MAX)
        return false;
    part->image_at = boot;
    part->table_at = table;
    return true;
}

/* Points for the guess that the file begins at `base`: for a table at its usual place, and for each
   program that lies where the table says. */
static unsigned fits_at(const struct part *part, uint32_t base)
{
    struct kl_partition_table table;
    char why[KL_TEXT_MAX];
    unsigned points = part->table_at + base == KL_PARTITION_TABLE_OFFSET;

    if (kl_partitions_read(part->data + part->table_at, part->size - part->table_at, &table, why))
        return points;
    for (unsigned i = 0; i < table.count; i++) {
        const struct kl_partition *row = &table.row[i];
        if (row->type == TYPE_APP && row->offset >= base && row->offset - base < part->size &&
            part->data[row->offset - base] == KL_IMAGE_MAGIC)
            points += 2;
    }
    return points;
}

/* Most begin at 0; MicroPython's and some others' begin with the bootloader. */
uint32_t merged_place(struct part *part)
{
    const uint8_t *header = part->data + part->image_at;
    const struct kl_chip *chip = kl_chip_by_image_id(get16(header + 12));
    uint32_t base;

    if (!chip || chip->bootloader_offset <= part->image_at)
        return 0;
    base = chip->bootloader_offset - (uint32_t)part->image_at;
    return fits_at(part, base) > fits_at(part, 0) ? base : 0;
}

/* A program of Zephyr or NuttX without a second bootloader: behind the part that the ROM loads
   stands a part that the ROM does not know. */
bool stands_alone(const struct part *part)
{
    return part->is_image && kl_image_is_bootloader(&part->info) && part->info.rest >= ALONE_MIN &&
           part->info.chip != KL_CHIP_ESP8266;
}

static void read_merged_app(struct parts *p, struct part *part, const struct kl_partition *row)
{
    size_t at = row->offset - part->offset, room = part->size - at;
    struct kl_image_info app;
    char why[KL_TEXT_MAX];

    if (kl_image_read(part->data + at, room < row->size ? room : row->size, &app, why)) {
        problem(p, "%s: its program at 0x%zx %s; merge it again", part->path, at, why);
        return;
    }
    if (part->is_image && app.chip != part->info.chip)
        problem(p,
                "%s: its program at 0x%zx is for another chip than its bootloader; merge the "
                "files of one build",
                part->path, at);
}

/* ---- tables ---- */

static void read_table(struct parts *p, const struct part *part)
{
    size_t at = part->role == ROLE_MERGED ? part->table_at : 0;
    char why[KL_TEXT_MAX];

    p->table_offset = part->offset + (uint32_t)at;
    if (part->content == KL_CONTENT_TEXT)
        problem(p, "%s is no partition table but text; give the .bin that the build makes of it",
                part->path);
    else if (kl_partitions_read(part->data + at, part->size - at, &p->table, why))
        problem(p, "%s %s; build it again", part->path, why);
    else
        p->have_table = true;
}

/* The board's table, if several files look like one: the file that somebody named as the table,
   else the one at the usual place, else the lowest. The others are data if they lie in one of its
   partitions. */
static struct part *main_table(struct parts *p)
{
    struct part *best = NULL;

    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        bool usual = part->offset == KL_PARTITION_TABLE_OFFSET;
        if (part->role == ROLE_TABLE || part->role == ROLE_MERGED)
            return part;
        if (part->role == ROLE_OTHER && (part->content == KL_CONTENT_TABLE || usual) &&
            (!best || usual ||
             (best->offset != KL_PARTITION_TABLE_OFFSET && part->offset < best->offset)))
            best = part;
    }
    return best;
}

static void find_table(struct parts *p)
{
    struct part *table = main_table(p);

    if (!table)
        return;
    if (table->role == ROLE_OTHER)
        table->role = ROLE_TABLE;
    read_table(p, table);
    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        const struct kl_partition *home = partition_at(p, part->offset);
        bool second = part->role == ROLE_TABLE || part->role == ROLE_MERGED ||
                      (part->role == ROLE_OTHER && part->content == KL_CONTENT_TABLE &&
                       (!home || home->type == TYPE_APP));
        if (part == table || !second)
            continue;
        part->role = ROLE_TABLE;
        problem(p, "%s is a second partition table; a board has one: leave one of them out",
                part->path);
    }
}

const struct kl_partition *partition_at(const struct parts *p, uint32_t offset)
{
    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (offset >= row->offset && offset - row->offset < row->size)
            return row;
    }
    return NULL;
}

bool is_nvs_row(const struct kl_partition *row)
{
    return row->type == TYPE_DATA && (row->subtype == DATA_NVS || row->subtype == DATA_NVS_KEYS);
}

/* ---- what each file is ---- */

/* The ESP32's first Secure Boot keeps a digest in the flash's first sector, before the bootloader.
 */
static bool has_digest_before(const struct part *part)
{
    return part->offset == 0 && part->size > SECTOR + 64 && part->data[0] != KL_IMAGE_MAGIC &&
           part->data[SECTOR] == KL_IMAGE_MAGIC && !all_are(part->data, 192, 0xff) &&
           all_are(part->data + 192, SECTOR - 192, 0xff);
}

static enum role role_in(const struct parts *p, struct part *part)
{
    const struct kl_partition *home = partition_at(p, part->offset);
    uint32_t low = p->have_table ? p->table_offset : KL_PARTITION_TABLE_OFFSET;
    bool image = part->content == KL_CONTENT_IMAGE;

    if (has_digest_before(part)) {
        part->image_at = SECTOR;
        return ROLE_BOOTLOADER;
    }
    if (part->offset < low && (!home || home->type == TYPE_BOOTLOADER) &&
        (image || part->content == KL_CONTENT_SECRET))
        return ROLE_BOOTLOADER;
    if (home && is_nvs_row(home))
        return ROLE_NVS;
    if (home && home->type == TYPE_DATA && home->subtype == DATA_OTA)
        return ROLE_OTA_DATA;
    if (part->content == KL_CONTENT_MCUBOOT)
        return ROLE_OTHER;
    if (home ? home->type == TYPE_APP : image)
        return ROLE_APP;
    return ROLE_OTHER;
}

static void refuse_program_as_bootloader(struct parts *p, const struct part *part)
{
    if (p->found_beside)
        problem(p, "%s is a program, not a bootloader; put the build's bootloader in its place",
                part->path);
    else
        problem(p,
                "%s is a program, not a bootloader: 0x%x is the bootloader's place. Give the "
                "program as --image 0x%x:%s, and the build's bootloader in its place",
                part->path, part->offset, p->starts.row ? p->starts.row->offset : 0x10000u,
                as_word(p, part->path));
}

static void read_image(struct parts *p, struct part *part)
{
    const uint8_t *data = part->data + part->image_at;
    char why[KL_TEXT_MAX];

    if (part->content == KL_CONTENT_SECRET && !part->image_at) {
        problem(p,
                "%s looks encrypted, and would start on no board without flash encryption, which "
                "are the only ones that keyline writes to; use the build's plain image",
                part->path);
        return;
    }
    if (kl_image_read(data, part->size - part->image_at, &part->info, why)) {
        problem(p, "%s %s; build it again or copy it again", part->path, why);
        return;
    }
    part->is_image = true;
    if (part->image_at)
        part->info.signature = KL_SIGNATURE_V1;
    if (part->role == ROLE_BOOTLOADER && stands_alone(part) && !p->have_table)
        p->alone = true;
    if (part->info.signature_odd)
        warning(p,
                "%s: its signature's own checksum is wrong: chips with Secure Boot would refuse it",
                part->path);
}

/* Bytes that no chip looks at do no harm, but nobody meant to flash them. */
static void check_behind(struct parts *p, const struct part *part)
{
    bool boots = part->role == ROLE_BOOTLOADER && !p->alone;

    if (part->info.chip == KL_CHIP_ESP8266)
        return; /* its first image is often followed by the rest of the program */
    if (part->is_image && part->info.rest > 0 && (boots || part->role == ROLE_APP))
        warning(p,
                "%s: %zu bytes stand behind the %s's end at 0x%zx, which no chip looks at; was "
                "something appended?",
                part->path, part->info.rest, boots ? "bootloader" : "program", part->info.end);
}

static void read_merged(struct parts *p, struct part *part)
{
    char why[KL_TEXT_MAX];

    if (kl_image_read(part->data + part->image_at, part->size - part->image_at, &part->info, why)) {
        problem(p, "%s: its bootloader at 0x%zx %s; merge it again", part->path, part->image_at,
                why);
        return;
    }
    part->is_image = true;
    for (unsigned i = 0; p->have_table && i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (row->type == TYPE_APP && row->offset >= part->offset &&
            row->offset - part->offset < part->size &&
            !all_are(part->data + (row->offset - part->offset), 16, 0xff))
            read_merged_app(p, part, row);
    }
}

/* A file that holds all in one has only one right place, whatever offset a person gave. */
static void find_merged(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        if (part->role != ROLE_OTHER || !looks_merged(part))
            continue;
        part->role = ROLE_MERGED;
        if (part->offset == merged_place(part))
            continue;
        problem(p,
                "%s is a whole flash image, with bootloader, partition table and program: it does "
                "not belong at 0x%x, but at 0x%x: --image 0x%x:%s, or --firmware %s",
                part->path, part->offset, merged_place(part), merged_place(part),
                as_word(p, part->path), as_word(p, part->path));
        part->offset = merged_place(part);
        part->misplaced = true;
    }
}

void read_parts(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++)
        p->part[i].content = kl_content_of(p->part[i].data, p->part[i].size);
    find_merged(p);
    find_table(p);
    if (p->have_table)
        p->starts = kl_boot_choose(&p->table, NULL);
    for (unsigned i = 0; i < p->count; i++) {
        struct part *part = &p->part[i];
        if (part->role == ROLE_OTHER)
            part->role = role_in(p, part);
        p->has_mcuboot |= part->content == KL_CONTENT_MCUBOOT;
        if (part->role == ROLE_MERGED)
            read_merged(p, part);
        else if (part->role == ROLE_BOOTLOADER || part->role == ROLE_APP)
            read_image(p, part);
        check_behind(p, part);
        if (part->role == ROLE_BOOTLOADER && part->is_image && part->info.chip != KL_CHIP_ESP8266 &&
            !kl_image_is_bootloader(&part->info))
            refuse_program_as_bootloader(p, part);
    }
}
