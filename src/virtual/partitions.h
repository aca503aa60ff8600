/* partitions.h: the partition table in a virtual board's flash (docs/esp-serial-protocol.md
   7.4). */
#ifndef KEYLINE_PARTITIONS_H
#define KEYLINE_PARTITIONS_H

#include "vboard_inside.h"

struct partition {
    unsigned index;
    uint8_t type, subtype;
    uint32_t offset, size;
};

enum partitions_state {
    PARTITIONS_GOOD,
    PARTITIONS_NONE,
    PARTITIONS_MD5,
    PARTITIONS_TOO_BIG
};

/* What a bootloader would say of the table; `culprit` is set for TOO_BIG. */
enum partitions_state partitions_check(const struct kl_vboard *b, struct partition *culprit);
enum {
    PARTITIONS_APPS_MAX = 18 /* factory, sixteen slots, test */
};

/* Where the flashed bootloader looks for the table. */
uint32_t partitions_table_at(const struct kl_vboard *b);
/* Writes the programs in the order in which the bootloader tries them, by otadata's choice; returns
   how many. Prints what the bootloader says about that. */
unsigned partitions_to_try(struct kl_vboard *b, struct partition out[PARTITIONS_APPS_MAX]);
/* The NVS partition; its usual place if the table names none. */
struct partition partitions_nvs(const struct kl_vboard *b);

#endif
