/*
 * bundle_regions.c: cuts and joins the files to stretches of flash.
 *
 * It cuts a merged file where an NVS begins and ends, so that boards keep their key. It cuts it
 * behind the bootloader too, which alone has an image for each flash size. It joins pieces that
 * share a sector, because the flash is erased by the sector.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"
#include "pack.h"

enum {
    PIECES_MAX = 2 * KL_REGIONS_MAX
};

struct piece {
    const struct part *part;
    size_t from;   /* in the file */
    uint32_t size; /* in the flash: what the file lacks is 0xFF */
    uint32_t offset;
    const struct kl_partition *nvs; /* the NVS partition whose contents this is */
};

struct pieces {
    unsigned count;
    bool full;
    struct piece piece[PIECES_MAX];
};

static void add_piece(struct pieces *all, const struct part *part, uint64_t from, uint64_t to,
                      const struct kl_partition *nvs)
{
    if (from >= to)
        return;
    if (all->count == PIECES_MAX) {
        all->full = true;
        return;
    }
    all->piece[all->count++] = (struct piece){.part = part,
                                              .from = (size_t)(from - part->offset),
                                              .size = (uint32_t)(to - from),
                                              .offset = (uint32_t)from,
                                              .nvs = nvs};
}

/* The NVS that begins next at or behind `from`; NULL. */
static const struct kl_partition *next_nvs(const struct parts *p, uint64_t from)
{
    const struct kl_partition *next = NULL;

    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        if (is_nvs_row(row) && row->offset >= from && (!next || row->offset < next->offset))
            next = row;
    }
    return next;
}

static void cut(const struct parts *p, const struct part *part, struct pieces *all)
{
    uint64_t at = part->offset, end = part->offset + (uint64_t)part->size;
    uint64_t boot = at + (part->image_at + part->info.end + SECTOR - 1) / SECTOR * SECTOR;
    const struct kl_partition *nvs;

    if (part->role == ROLE_NVS) {
        nvs = partition_at(p, part->offset);
        add_piece(all, part, at, nvs->offset + (uint64_t)nvs->size, nvs);
        return;
    }
    if (part->role == ROLE_MERGED && part->is_image && boot < end) {
        add_piece(all, part, at, boot, NULL);
        at = boot;
    }
    while (part->role == ROLE_MERGED && (nvs = next_nvs(p, at)) && nvs->offset < end) {
        add_piece(all, part, at, nvs->offset, NULL);
        add_piece(all, part, nvs->offset, nvs->offset + (uint64_t)nvs->size, nvs);
        at = nvs->offset + (uint64_t)nvs->size;
    }
    add_piece(all, part, at, end, NULL);
}

static void sort_pieces(struct pieces *all)
{
    for (unsigned i = 1; i < all->count; i++)
        for (unsigned j = i; j > 0 && all->piece[j].offset < all->piece[j - 1].offset; j--) {
            struct piece swap = all->piece[j];
            all->piece[j] = all->piece[j - 1];
            all->piece[j - 1] = swap;
        }
}

/* ---- one region ---- */

static const char *name_of(const struct piece *piece)
{
    const struct part *part = piece->part;

    if (piece->nvs)
        return piece->nvs->name;
    switch (part->role) {
    case ROLE_BOOTLOADER:
        return part->info.chip == KL_CHIP_ESP8266 ? "firmware" : "bootloader";
    case ROLE_TABLE:
        return "partition table";
    case ROLE_APP:
        return "firmware";
    case ROLE_MERGED:
        return part->is_image && piece->from <= part->image_at ? "bootloader" : file_name(part);
    default:
        return file_name(part);
    }
}

/* The header that the ROM reads says how the flash is used; the second form of the ESP8266's images
   has none at its beginning (7.2). keyline does not change a signed image. */
static bool is_patched(const struct piece *piece)
{
    const struct part *part = piece->part;

    return (part->role == ROLE_BOOTLOADER || part->role == ROLE_MERGED) && part->is_image &&
           part->info.signature == KL_SIGNATURE_NONE &&
           part->data[part->image_at] == KL_IMAGE_MAGIC && piece->from <= part->image_at &&
           piece->from + piece->size > part->image_at;
}

/* A copy of all that lies in the region, padded to a multiple of 4: some stubs write the tail wrong
   otherwise (2.2). */
static uint8_t *copy_pieces(const struct piece *piece, unsigned count, uint32_t offset,
                            uint32_t size)
{
    uint8_t *raw = malloc(size);

    if (!raw)
        return NULL;
    memset(raw, 0xff, size);
    for (unsigned i = 0; i < count; i++) {
        const struct part *part = piece[i].part;
        size_t there = part->size > piece[i].from ? part->size - piece[i].from : 0;
        memcpy(raw + (piece[i].offset - offset), part->data + piece[i].from,
               there < piece[i].size ? there : piece[i].size);
    }
    return raw;
}

static bool pack_variant(const struct parts *p, const struct piece *piece, unsigned count,
                         const struct kl_region *region, uint32_t size, int size_code,
                         struct kl_image *out)
{
    uint8_t *raw = copy_pieces(piece, count, region->offset, size);

    if (!raw)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (is_patched(&piece[i]))
            kl_image_patch(raw + (piece[i].offset - region->offset) +
                               (piece[i].part->image_at - piece[i].from),
                           &piece[i].part->info, p->flash_mode, p->flash_freq, size_code);
    return kl_pack(out, raw, size);
}

/* The bootloader's header names the flash's size: one image for each that it can name. */
static bool pack_sizes(const struct parts *p, const struct piece *piece, unsigned count,
                       uint32_t size, struct kl_region *region)
{
    const struct kl_chip *chip = kl_chip(p->chip);
    struct kl_image plain;
    bool patched = false;

    for (unsigned i = 0; i < count; i++)
        patched |= is_patched(&piece[i]);
    if (!pack_variant(p, piece, count, region, size, -1, &plain))
        return false;
    for (unsigned n = 0; n < KL_FLASH_SIZES; n++) {
        int code = kl_chip_flash_size_code(chip, 0x40000u << n);
        region->image[n] = plain;
        if (patched && !p->keep_size && code >= 0 &&
            !pack_variant(p, piece, count, region, size, code, &region->image[n]))
            return false;
    }
    return true;
}

/* ---- all regions ---- */

static uint64_t sector_after(uint64_t offset)
{
    return (offset + SECTOR - 1) / SECTOR * SECTOR;
}

/* How many pieces from this one on share sectors with each other. */
static unsigned joined(const struct pieces *all, unsigned first)
{
    unsigned n = 1;

    while (first + n < all->count && all->piece[first + n].offset / SECTOR * SECTOR <
                                         sector_after((uint64_t)all->piece[first + n - 1].offset +
                                                      all->piece[first + n - 1].size))
        n++;
    return n;
}

static bool make_region(const struct parts *p, struct kl_bundle *b, const struct piece *piece,
                        unsigned count)
{
    struct kl_region *region = &b->region[b->region_count++];
    uint64_t end = (uint64_t)piece[count - 1].offset + piece[count - 1].size;

    kl_copy(region->name, sizeof region->name, name_of(piece));
    region->offset = piece->offset / SECTOR * SECTOR;
    region->keep_if_keyed = piece->nvs;
    if (!pack_sizes(p, piece, count, (uint32_t)((end - region->offset + 3) / 4 * 4), region))
        return false;
    b->raw_total += region->image[KL_FLASH_SIZES - 1].raw_size;
    b->packed_total += region->image[KL_FLASH_SIZES - 1].packed_size;
    return true;
}

bool make_regions(struct parts *p, struct kl_bundle *b)
{
    struct pieces *all = calloc(1, sizeof *all);
    bool ok = all;

    for (unsigned i = 0; ok && i < p->count; i++)
        cut(p, &p->part[i], all);
    if (ok)
        sort_pieces(all);
    for (unsigned i = 0, n; ok && i < all->count; i += n) {
        n = joined(all, i);
        if (all->full || b->region_count == KL_REGIONS_MAX) {
            problem(p, "the images make more than %d stretches of flash; merge some of them",
                    KL_REGIONS_MAX);
            break;
        }
        ok = make_region(p, b, &all->piece[i], n);
    }
    free(all);
    return ok;
}
