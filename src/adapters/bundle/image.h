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

struct kl_image_info {
    enum kl_chip_id chip;      /* NONE: an id that keyline does not know, see chip_code */
    int chip_code;             /* as in the header; -1: the ESP8266's header has none */
    size_t length;             /* of the image itself; the file may be longer */
    size_t digest_at;          /* 0 = none appended */
    uint8_t mode, size_freq;   /* header bytes 2 and 3 */
    uint16_t rev_min, rev_max; /* chip revision, major * 100 + minor; max 0xFFFF = any */
    bool has_descriptor;       /* it is an app that says its name */
    char project[33], version[33];
};

/* NULL if `data` is a whole, undamaged image; else what is wrong, as the end of a sentence that
   began with the file's name ("is cut short: …"), in a buffer of the caller's. */
const char *kl_image_read(const uint8_t *data, size_t size, struct kl_image_info *info,
                          char why[KL_TEXT_MAX]);

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
   again. */
void kl_image_patch(uint8_t *data, const struct kl_image_info *info, int mode, int freq,
                    int size_code);

#endif
