/*
 * boot_rule.h: which partition ESP-IDF's second-stage bootloader starts
 * (docs/esp-serial-protocol.md 7.6). Pure.
 */
#ifndef KEYLINE_ADAPTERS_BOOT_RULE_H
#define KEYLINE_ADAPTERS_BOOT_RULE_H

#include "image.h"

enum {
    KL_OTA_SECTOR = 0x1000, /* one record in each of the two sectors of otadata */
    KL_OTA_SIZE = 2 * KL_OTA_SECTOR,
    KL_OTA_RECORD = 32,
};

enum kl_boot_why {
    KL_BOOT_NO_OTADATA, /* the table has no otadata: factory, or else the first slot */
    KL_BOOT_NO_CHOICE,  /* otadata is empty or not valid: factory, or else the first slot */
    KL_BOOT_CHOSEN,     /* otadata names a slot */
    KL_BOOT_TOO_SMALL,  /* otadata's partition is too small: the bootloader gives up */
    KL_BOOT_NOTHING,    /* no partition to start */
};

struct kl_boot_choice {
    const struct kl_partition *row; /* NULL: the bootloader starts nothing */
    enum kl_boot_why why;
    bool unsure; /* nobody has confirmed the record yet: a bootloader with roll-back drops it */
};

/* `otadata`: KL_OTA_SIZE bytes as they will stand in the flash; NULL if the table names none. */
struct kl_boot_choice kl_boot_choose(const struct kl_partition_table *table,
                                     const uint8_t *otadata);
/* otadata of KL_OTA_SIZE bytes that starts `row`: false if no otadata can. */
bool kl_boot_make_choice(const struct kl_partition_table *table, const struct kl_partition *row,
                         uint8_t *otadata);

bool kl_boot_is_record(const uint8_t *record); /* the record's checksum is right */

#endif
