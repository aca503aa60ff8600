/* bundle_read.c: what each file of a bundle is, and whether it is whole. */
#include <string.h>

#include "bundle_files.h"

static const uint32_t bootloader_places[] = {0, 0x1000, 0x2000};

/* Where the bootloader stands in a file that holds all; SIZE_MAX if nowhere. */
static size_t bootloader_in(const struct part *part)
{
    for (size_t i = 0; i < sizeof bootloader_places / sizeof bootloader_places[0]; i++)
        if (part->data[bootloader_places[i]] == KL_IMAGE_MAGIC)
            return bootloader_places[i];
    return SIZE_MAX;
}

bool looks_merged(const struct part *part)
{
    return part->size >= KL_PARTITION_TABLE_OFFSET + 32 &&
           kl_partitions_look_like(part->data + KL_PARTITION_TABLE_OFFSET, 32) &&
           bootloader_in(part) != SIZE_MAX;
}

/* Files that were only named say what they are by where they go and how they begin. */
static void guess_table(struct part *part)
{
    if (part->role != ROLE_OTHER)
        return;
    if (part->offset == KL_PARTITION_TABLE_OFFSET ||
        kl_partitions_look_like(part->data, part->size))
        part->role = ROLE_TABLE;
    else if (part->offset == 0 && looks_merged(part))
        part->role = ROLE_MERGED;
}

static void guess_image(const struct parts *p, struct part *part)
{
    const struct kl_partition *home = partition_at(p, part->offset);
    bool image = part->data[0] == KL_IMAGE_MAGIC || part->data[0] == 0xea;

    if (part->role != ROLE_OTHER)
        return;
    if (part->offset < KL_PARTITION_TABLE_OFFSET && image)
        part->role = ROLE_BOOTLOADER;
    else if (home ? home->type == 0 : image)
        part->role = ROLE_APP;
}

static void read_image(struct parts *p, struct part *part)
{
    char why[KL_TEXT_MAX];

    if (kl_image_read(part->data, part->size, &part->info, why)) {
        problem(p, "%s %s; build it again or copy it again", part->path, why);
        return;
    }
    part->is_image = true;
    if (part->role == ROLE_BOOTLOADER && part->info.has_descriptor)
        problem(p, "%s is a program, not a bootloader; put the build's bootloader in its place",
                part->path);
}

static void read_table(struct parts *p, const struct part *part, uint32_t at)
{
    char why[KL_TEXT_MAX];

    if (p->have_table) {
        problem(p, "%s is a second partition table; a board has one", part->path);
        return;
    }
    p->table_offset = part->offset + at;
    if (kl_partitions_read(part->data + at, part->size - at, &p->table, why))
        problem(p, "%s %s; build it again", part->path, why);
    else
        p->have_table = true;
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

uint32_t app_place(const struct parts *p)
{
    const struct kl_partition *app = kl_partition_find(&p->table, 0, 0);

    if (!app)
        app = kl_partition_find(&p->table, 0, 0x10);
    return app ? app->offset : 0x10000;
}

static void read_merged_app(struct parts *p, struct part *part)
{
    uint32_t at = app_place(p);
    struct kl_image_info app;
    char why[KL_TEXT_MAX];

    if (part->size <= at) {
        warning(p, "%s holds no program: boards will run what they have", part->path);
        return;
    }
    if (kl_image_read(part->data + at, part->size - at, &app, why)) {
        problem(p, "%s: its program at 0x%x %s; merge it again", part->path, at, why);
        return;
    }
    if (app.chip != part->info.chip)
        problem(p,
                "%s: its program at 0x%x is for another chip than its bootloader; merge the "
                "files of one build",
                part->path, at);
    memcpy(part->info.project, app.project, sizeof app.project);
    memcpy(part->info.version, app.version, sizeof app.version);
    part->info.has_descriptor = app.has_descriptor;
}

static void read_merged(struct parts *p, struct part *part)
{
    char why[KL_TEXT_MAX];

    part->image_at = bootloader_in(part);
    if (kl_image_read(part->data + part->image_at, part->size - part->image_at, &part->info, why)) {
        problem(p, "%s: its bootloader at 0x%zx %s; merge it again", part->path, part->image_at,
                why);
        return;
    }
    part->is_image = true;
    read_table(p, part, KL_PARTITION_TABLE_OFFSET);
    if (p->have_table)
        read_merged_app(p, part);
}

void read_parts(struct parts *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        guess_table(&p->part[i]);
        if (p->part[i].role == ROLE_TABLE)
            read_table(p, &p->part[i], 0);
        else if (p->part[i].role == ROLE_MERGED)
            read_merged(p, &p->part[i]);
    }
    for (unsigned i = 0; i < p->count; i++) {
        guess_image(p, &p->part[i]);
        if (p->part[i].role == ROLE_BOOTLOADER || p->part[i].role == ROLE_APP)
            read_image(p, &p->part[i]);
    }
}
