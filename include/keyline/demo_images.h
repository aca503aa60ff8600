/*
 * demo_images.h: makes valid images of any chip, so that demo, tests and benchmarks need no
 * download. A virtual board starts them like real ones; they hold no code.
 */
#ifndef KEYLINE_DEMO_IMAGES_H
#define KEYLINE_DEMO_IMAGES_H

#include "keyline/chip.h"

struct kl_demo_image {
    uint8_t *data; /* free() it */
    size_t size;
};

struct kl_demo_app {
    const char *project, *version; /* NULL = "demo", "1.0" */
    size_t payload;                /* bytes in its one segment beside the descriptor */
    uint64_t seed;                 /* of the payload */
    unsigned noise_percent;        /* how much of the payload can't be compressed */
};

/* False if memory is out. Each is a whole file with header, checksum and appended SHA-256 (the
   ESP8266 has no digest). */
bool kl_demo_bootloader(enum kl_chip_id chip, struct kl_demo_image *out);
bool kl_demo_app(enum kl_chip_id chip, const struct kl_demo_app *app, struct kl_demo_image *out);

struct kl_demo_partition {
    const char *name;
    uint8_t type, subtype;
    uint32_t offset, size;
};
/* A partition table of 0xC00 bytes with its MD5 row. NULL: nvs, phy_init and factory (1 MB at
   0x10000), the usual ones. */
bool kl_demo_partitions(const struct kl_demo_partition *rows, unsigned count,
                        struct kl_demo_image *out);

/* Writes bootloader.bin, partitions.bin and firmware.bin into a folder. False with errno. */
bool kl_demo_write(const char *folder, enum kl_chip_id chip, const struct kl_demo_app *app);

#endif
