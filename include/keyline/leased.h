/*
 * leased.h: the keys that a shared pool has given to this station, as a list that keyline alone
 * writes (docs/fleet.md). To the store it is a CSV: ledger, journal, lock and marks work on it as
 * on every CSV. The keys are in sealed boxes; the store opens one when a board needs it.
 *
 * The first line names the format, the pool and how many fields a key has; each other row is a key:
 *
 *     keyline-leased-list,1,<pool id>,<fields>
 *     label,fingerprint,kin,<fields>,<epoch>,<box in base64>
 *
 * The functions block.
 */
#ifndef KEYLINE_LEASED_H
#define KEYLINE_LEASED_H

#include <uv.h>

#include "keyline/key.h"

enum {
    KL_BOX_MAX = KL_LINE_MAX + 64, /* a sealed key: its fields, a nonce, a tag */
    KL_POOL_ID_TEXT = 37,          /* a UUID and its NUL */
};

/* A key that a shared pool has given to this station: what anybody may see, and the sealed box. */
struct kl_leased_row {
    char label[KL_LINE_MAX + 1];
    struct kl_fingerprint fingerprint, kin;
    unsigned fields; /* of the key, its label counted */
    uint32_t epoch;  /* of the pool key that seals the box */
    uint16_t box_size;
    uint8_t box[KL_BOX_MAX];
};

/* A list of such keys, made by keyline alone. */
struct kl_leased {
    char pool[KL_POOL_ID_TEXT];
    /* Opens a row's box into `key`, which lies in secret memory. Called on the store's worker, one
       key at a time. False and `error` if it can't be opened. */
    bool (*open)(void *ctx, const struct kl_leased_row *row, struct kl_key *key,
                 char error[KL_TEXT_MAX]);
    void *ctx;
    uv_mutex_t *writing; /* held by whoever puts rows or marks into the list */
};

/* Makes an empty list, durably, unless there is one. False and `error` if that fails. */
bool kl_list_create(const char *path, const char *pool, unsigned fields, char error[KL_TEXT_MAX]);
/* Adds the rows that the list does not have yet, durably; `spent`: marked, so that no board gets
   them. False and `error` if that fails; then none of them is there. The store notices new rows by
   itself. */
bool kl_list_append(const struct kl_leased *l, const char *path, const struct kl_leased_row *rows,
                    size_t count, bool spent, char error[KL_TEXT_MAX]);
/* Takes rows out again, durably: they go back to the pool. Only while no store works on the list.
 */
bool kl_list_remove(const struct kl_leased *l, const char *path, const struct kl_fingerprint *keys,
                    size_t count, char error[KL_TEXT_MAX]);
/* Tells every row of the list, in its order. `each` returns false to stop. */
bool kl_list_each(const struct kl_leased *l, const char *path,
                  bool (*each)(void *ctx, const struct kl_leased_row *row, bool spent), void *ctx,
                  char error[KL_TEXT_MAX]);

#endif
