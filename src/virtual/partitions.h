/* partitions.h: the partition table in a virtual board's flash (docs/esp-serial-protocol.md 7.4).
 */
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
/* factory, or else the first OTA slot. */
bool partitions_find_app(const struct kl_vboard *b, struct partition *out);
/* The NVS partition; where it usually is if the table names none. */
struct partition partitions_nvs(const struct kl_vboard *b);

#endif
