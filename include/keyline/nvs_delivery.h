/*
 * nvs_delivery.h: what a station needs to know to write keys into NVS partitions, and the memory
 * for it. All of it outlives the station, and lies where keys may be (secret.h).
 */
#ifndef KEYLINE_NVS_DELIVERY_H
#define KEYLINE_NVS_DELIVERY_H

#include "keyline/bundle.h"
#include "keyline/nvs_schema.h"

/* What to do with a partition that holds what is not keyline's. */
enum kl_nvs_policy {
    KL_NVS_REFUSE,
    KL_NVS_REPLACE, /* overwrite the whole partition, unknown keys too */
    KL_NVS_MERGE,   /* keep it beside the key's values */
};

/* For one slot. */
struct kl_nvs_room {
    uint8_t *old;             /* `size` bytes: what the board's partition holds */
    uint8_t *image;           /* `size` bytes: what it is to hold */
    struct kl_key_text *text; /* of a long key; NULL: none comes */
    struct kl_bundle bundle;
    struct kl_key printed; /* --confirm readback: what its firmware has to print */
};

struct kl_nvs_delivery {
    const struct kl_nvs_schema *schema;
    uint32_t offset, size; /* of the partition */
    enum kl_nvs_policy policy;
    struct kl_nvs_room *room; /* KL_SLOTS_MAX of them */
};

#endif
