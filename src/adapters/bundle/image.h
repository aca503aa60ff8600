/*
 * image.h: reads Espressif's image and partition table formats (docs/esp-serial-protocol.md 7).
 * Pure: bytes in, facts or a sentence out.
 */
#ifndef KEYLINE_IMAGE_H
#define KEYLINE_IMAGE_H

#include "keyline/chip.h"

enum {
    KL_IMAGE_MAGIC = 0xe9,
    KL_PARTITIONS_MAX = 95,
    KL_PARTITION_TABLE_OFFSET = 0x8000,
    KL_PARTITION_TABLE_SIZE = 0xc00,
};

enum kl_signature {
    KL_SIGNATURE_NONE,
    KL_SIGNATURE_V1, /* Secure Boot V1: 68 bytes behind the image, or a digest before it */
    KL_SIGNATURE_V2, /* a sector of blocks, at the next sector behind the image */
};

struct kl_image_info {
    enum kl_chip_id chip;      /* NONE: an id that keyline does not know, see chip_code */
    int chip_code;             /* as in the header; -1: the ESP8266's header has none */
    size_t length;             /* of the image itself; the file may be longer */
    size_t digest_at;          /* 0 = none appended */
    uint8_t mode, size_freq;   /* header bytes 2 and 3 */
    uint16_t rev_min, rev_max; /* chip revision, major * 100 + minor; max 0xFFFF = any */
    bool has_descriptor;       /* it is an app that says its name */
    char project[33], version[33];
    bool maps_flash; /* a segment runs from flash; no bootloader has such a segment */
    enum kl_signature signature;
    bool signature_odd; /* a block's own checksum is wrong: no chip with Secure Boot takes it */
    size_t end;         /* behind image and signature */
    size_t rest;        /* bytes behind `end`, if they are more than padding (0xFF or 0) */
};

/* NULL if `data` is a whole, undamaged image; else what is wrong, as the end of a sentence that
   began with the file's name ("is cut short: …"), in a buffer of the caller's. */
const char *kl_image_read(const uint8_t *data, size_t size, struct kl_image_info *info,
                          char why[KL_TEXT_MAX]);

/* The image looks like a second-stage bootloader: no program's descriptor, nothing mapped from
   flash. */
bool kl_image_is_bootloader(const struct kl_image_info *info);

struct kl_partition {
    char name[17];
    uint8_t type, subtype;
    uint32_t offset, size;
};

struct kl_partition_table {
    unsigned count;
    struct kl_partition row[KL_PARTITIONS_MAX];
};

/* NULL if it is a partition table that ESP-IDF's bootloader would take; else what is wrong. */
const char *kl_partitions_read(const uint8_t *data, size_t size, struct kl_partition_table *table,
                               char why[KL_TEXT_MAX]);
bool kl_partitions_look_like(const uint8_t *data, size_t size);
/* The first of this type and subtype; NULL. subtype -1 = any. */
const struct kl_partition *kl_partition_find(const struct kl_partition_table *table, int type,
                                             int subtype);

/* The header's value for a flash frequency, or -1 if this chip has none for it (4.3). */
int kl_image_freq_code(enum kl_chip_id chip, unsigned mhz);

/* Sets mode, frequency and size in the header (each -1 = keep) and makes the appended digest right
   again. Only for images without a signature: it would no longer fit. */
void kl_image_patch(uint8_t *data, const struct kl_image_info *info, int mode, int freq,
                    int size_code);

#endif
