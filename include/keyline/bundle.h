/*
 * bundle.h: what gets flashed. Immutable once built; shared by all boards.
 *
 * The adapter bundle_load.h reads, checks, patches and compresses; the core only looks.
 */
#ifndef KEYLINE_BUNDLE_H
#define KEYLINE_BUNDLE_H

#include "keyline/chip.h"

enum {
    KL_PACK_STEP = 1024, /* resolution of kl_image.inflated_at, in packed bytes */
    KL_HEAD = 4096, /* bytes that the loader compares first: builds differ in their descriptor */
    KL_NVS_PARTITIONS_MAX = 8,
    KL_SUMS_MAX = 256,
    KL_FLASH_SIZES = 10, /* 256 KB << n for n = 0 … 9 (128 MB) */
};

/* MD5 of `size` bytes, handed to the core by whoever owns a library for it (libmd). */
typedef void kl_md5_fn(const void *data, size_t size, uint8_t out[16]);

/* One stretch of flash as it must be in the end. */
struct kl_image {
    const uint8_t *raw; /* padded with 0xFF to a multiple of 4 */
    uint32_t raw_size;
    const uint8_t *packed; /* zlib stream of raw */
    uint32_t packed_size;
    const uint32_t *inflated_at; /* [n] = raw bytes known once packed[0 … n * KL_PACK_STEP) is in;
                                    (packed_size / KL_PACK_STEP) + 2 entries, the last = raw_size */
    /* The same once more for whoever writes only some of its sectors of KL_HEAD bytes: raw deflate,
       in which each sector's piece begins at a byte, needs nothing before it and does not end the
       stream. Sector n's piece is parts[part_at[n] … part_at[n + 1]). NULL: the image has none. */
    const uint8_t *parts;
    const uint32_t *part_at;
    uint8_t md5[16];      /* of raw */
    uint8_t head_md5[16]; /* of its first KL_HEAD bytes, or of all of it */
};

struct kl_region {
    char name[32];      /* "bootloader", "partition table", "firmware", a file's name */
    uint32_t offset;    /* flash address, a multiple of 0x1000 */
    bool keep_if_keyed; /* NVS: not flashed on a board that holds a key (kl_bundle_for_keyed) */
    /* The bootloader's header names the flash size, so it has one image per size (index n: the
       flash is 256 KB << n); every other region has the same image in each place. Sizes that the
       chip's header can't name hold the unpatched image. */
    struct kl_image image[KL_FLASH_SIZES];
};

/* Sums over parts of images, kept because the next board asks for the same. */
struct kl_sums {
    uint32_t next; /* the place that is overwritten next */
    struct {
        const uint8_t *raw; /* NULL: empty */
        uint32_t size;
        uint8_t md5[16];
    } of[KL_SUMS_MAX];
};

struct kl_bundle {
    enum kl_chip_id chip; /* the images' chip */
    unsigned region_count;
    struct kl_region region[KL_REGIONS_MAX]; /* by offset */
    uint32_t flash_end;                      /* first byte past the last partition or image */
    uint16_t rev_min, rev_max;     /* chip revision, major * 100 + minor; max 0xFFFF = any */
    uint32_t nvs_offset, nvs_size; /* 0, 0 if the partition table names none */
    unsigned nvs_count; /* all that the table names, and the nvs_keys of encrypted ones */
    struct {
        char name[17];
        bool keys; /* nvs_keys */
        uint32_t offset, size;
    } nvs[KL_NVS_PARTITIONS_MAX];
    bool erase_all;                   /* --erase */
    kl_md5_fn *md5;                   /* of parts of images; NULL = only whole ones are compared */
    struct kl_sums *sums;             /* of one thread alone; NULL = each is computed anew */
    uint8_t digest[32];               /* SHA-256 over offsets and raw images: what was flashed */
    char project[32], version[32];    /* from the app descriptor; may be empty */
    char file[KL_NAME_MAX];           /* the firmware's file name */
    char starts[17];                  /* the partition that the chip starts; "" = not known */
    uint32_t starts_at;               /* its offset, if `starts` is not "" */
    uint64_t raw_total, packed_total; /* of the largest variant, for figures */
};

/* The image of region `r` for a flash of `flash_size` bytes (rounded down to a power of two). */
const struct kl_image *kl_bundle_image(const struct kl_bundle *b, unsigned r, uint32_t flash_size);

/* MD5 of a part of one of its images, from b->sums if it is there. Only if b->md5. */
void kl_bundle_md5(const struct kl_bundle *b, const uint8_t *raw, uint32_t size, uint8_t out[16]);

/* The part of `b` for a board that already holds a key: all but what would overwrite that key,
   unless all of the flash is erased anyway. The images stay b's. */
void kl_bundle_for_keyed(const struct kl_bundle *b, struct kl_bundle *out);

/* A flasher stub as the JSON file gives it (docs/esp-serial-protocol.md 8.1), decoded. */
struct kl_stub {
    uint32_t entry;
    struct kl_span text, data; /* data may be empty */
    uint32_t text_start, data_start;
};

/* Stubs by chip; entry NULL = none, the ROM loader alone is used. P4 before rev 3.0 has its own. */
struct kl_stubs {
    const struct kl_stub *chip[KL_CHIP_COUNT];
    const struct kl_stub *p4_rev1;
};

#endif
