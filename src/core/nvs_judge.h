/*
 * nvs_judge.h: a key that is written into its board's NVS partition (--deliver nvs). What the
 * partition's bytes mean, and which bytes are to be written; board_nvs.c acts on it.
 *
 *   when          after the images are verified, before the program is started
 *   sent          the loader is asked to write the image: from then on bytes may have left
 *   acknowledged  all of it is written
 *   proved        the loader's MD5 of what was written, and all values read back and parsed by code
 *                 that did not write them
 */
#ifndef CORE_NVS_JUDGE_H
#define CORE_NVS_JUDGE_H

#include "keyline/bundle.h"
#include "keyline/key.h"
#include "keyline/nvs_delivery.h"

enum kl_nvs_holds {
    KL_NVS_HOLDS_NOTHING, /* no key, and nothing in the way of one */
    KL_NVS_HOLDS_OWN,     /* this key, whole */
    KL_NVS_HOLDS_PART,    /* part of this key, and nothing that contradicts it: the writing was cut
                             short */
    KL_NVS_HOLDS_KEY,     /* another key: its fingerprint, as far as it can be told */
    KL_NVS_HOLDS_OTHER,   /* what is not keyline's: kept by merge */
    KL_NVS_HOLDS_RUBBISH, /* it can't be read: damaged, or no NVS */
    KL_NVS_HOLDS_CIPHER,  /* it is encrypted */
};

struct kl_nvs_finding {
    enum kl_nvs_holds holds;
    /* KEY: with hexadecimal values in small letters, and in capitals. Not set: its values don't
       tell. */
    struct kl_fingerprint fingerprint[2];
};

/* What room->old holds. `own`: the key that the pool knows the board by, NULL = none. */
void kl_nvs_judge(const struct kl_nvs_delivery *d, const struct kl_nvs_room *room,
                  const struct kl_key *own, kl_sha256_fn *sha256, struct kl_nvs_finding *out);
/* Makes room->image and room->bundle for this key. `keep`: keep what is not keyline's in room->old,
   which must be sound then. False: it does not fit. */
bool kl_nvs_prepare(const struct kl_nvs_delivery *d, struct kl_nvs_room *room,
                    const struct kl_key *key, enum kl_chip_id chip, kl_md5_fn *md5, bool keep);
/* Does room->old, read anew, hold this key? */
bool kl_nvs_proves(const struct kl_nvs_delivery *d, const struct kl_nvs_room *room,
                   const struct kl_key *key);
/* The fields that firmware reads in its NVS, in the order of the columns: those that are written.
 */
void kl_nvs_printed(const struct kl_nvs_delivery *d, const struct kl_key *key, kl_sha256_fn *sha256,
                    struct kl_key *out);
void kl_nvs_wipe(const struct kl_nvs_delivery *d, struct kl_nvs_room *room);

#endif
