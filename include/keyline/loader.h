/*
 * loader.h: what the rest of keyline sees of the talk with a chip's loader: who the chip is, and
 * how far its flash is written. The talk itself is the core's own (src/core/loader_state.h).
 */
#ifndef KEYLINE_LOADER_H
#define KEYLINE_LOADER_H

#include "keyline/chip.h"

/* What is known of the chip; zero until IDENTIFY is done. */
struct kl_identity {
    enum kl_chip_id chip;
    struct kl_mac mac;     /* the base MAC: who it is */
    struct kl_eui64 eui64; /* shown beside the MAC; proves nothing */
    uint16_t revision;     /* major * 100 + minor */
    uint8_t package;
    uint8_t crystal_mhz;
    uint32_t flash_id;   /* RDID: byte 0 manufacturer, 1 type, 2 capacity */
    uint32_t flash_size; /* bytes; 0 = unknown id */
    bool flash_encrypted, secure_boot, secure_download;
    bool stub;     /* the stub runs */
    uint32_t baud; /* in use */
};

struct kl_loader_progress {
    unsigned region;      /* being written or verified */
    uint64_t done, total; /* raw bytes over all regions; skipped ones count as done */
    uint64_t wire;        /* packed bytes sent since FLASH began */
    uint32_t retries;     /* blocks sent again */
    unsigned skipped;     /* regions that already held the right bytes */
};

#endif
