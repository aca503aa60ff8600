/*
 * fleet_file.h: what a station of a shared pool remembers beside its list of keys: the request that
 * is under way, how much of its history it has told, whose boards there are (docs/fleet.md). One
 * SQLite file. Nothing in it is secret, and a station that loses it loses no key: it tells the pool
 * all that it holds once more.
 *
 * Blocking; one thread at a time. Every change is durable when the function returns true.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_FILE_H
#define KEYLINE_ADAPTERS_FLEET_FILE_H

#include "keyline/fleet.h"
#include "keyline/key.h"

enum {
    KL_FLEET_CURSOR = 80,      /* bytes of a cursor, NUL included */
    KL_FLEET_SEALED_MAX = 128, /* bytes of a sealed pool key */
};

/* The one row that every change writes as a whole. */
struct kl_fleet_kept {
    char pool[37]; /* UUID; "" = this station has never met its pool */
    char pool_name[KL_NAME_MAX], station[KL_NAME_MAX];
    unsigned fields; /* of a key */
    uint32_t epoch;  /* newest pool key */
    int64_t system_identifier;
    uint32_t timeline;                  /* 0 = none seen */
    struct kl_request_id token, coming; /* said at the last greeting; drawn for the next one */
    bool requested;
    struct kl_request_id request;
    uint32_t count;
    int64_t reported;
    int64_t heard; /* wall clock, microseconds since 1970: when the pool last answered; 0 = never */
    char cursor[KL_FLEET_CURSOR]; /* of the boards of others */
    uint32_t barred; /* enum kl_fleet_refusal: COPY or LOST, once the pool has said so: for good */
    /* Of the database's last answer; 0 = it never said. One that says less, or was born anew, is an
       old copy. */
    int64_t xid;
    uint32_t born;
};

struct kl_fleet_file;

/* Makes it if there is none. A damaged one is put aside and made anew: `*lost` tells. NULL and
   `error` if that fails. */
struct kl_fleet_file *kl_fleet_file_open(const char *path, bool *lost, char error[KL_TEXT_MAX]);
void kl_fleet_file_close(struct kl_fleet_file *f);

bool kl_fleet_file_load(struct kl_fleet_file *f, struct kl_fleet_kept *out,
                        char error[KL_TEXT_MAX]);
bool kl_fleet_file_save(struct kl_fleet_file *f, const struct kl_fleet_kept *kept,
                        char error[KL_TEXT_MAX]);

/* ---- pool keys, sealed for this station ---- */

struct kl_fleet_sealed {
    uint32_t epoch, size;
    uint8_t box[KL_FLEET_SEALED_MAX];
};
bool kl_fleet_file_add_sealed(struct kl_fleet_file *f, const struct kl_fleet_sealed *key,
                              char error[KL_TEXT_MAX]);
bool kl_fleet_file_sealed(struct kl_fleet_file *f,
                          void (*each)(void *ctx, const struct kl_fleet_sealed *key), void *ctx,
                          char error[KL_TEXT_MAX]);

/* ---- boards of other stations, as last heard ---- */

struct kl_fleet_board {
    struct kl_mac mac;
    char station[KL_NAME_MAX];
};
/* Adds boards and keeps the cursor behind them, in one step; `anew`: forgets all others first. */
bool kl_fleet_file_add_boards(struct kl_fleet_file *f, const struct kl_fleet_board *boards,
                              uint32_t count, bool anew, const char *cursor,
                              char error[KL_TEXT_MAX]);
/* False also if the file can't be read. */
bool kl_fleet_file_is_others(struct kl_fleet_file *f, const struct kl_mac *mac,
                             char station[KL_NAME_MAX]);

/* ---- boards and keys that belong together ---- */

/* The pool has agreed that this board gets this key, or the board goes on unchecked: only then may
   a byte be sent. One agreement for each key, the newest. `at`: where the history ended when that
   was asked. */
struct kl_fleet_pair {
    struct kl_fingerprint key;
    struct kl_mac mac;
};
bool kl_fleet_file_agree(struct kl_fleet_file *f, const struct kl_fleet_pair *pair, int64_t at,
                         char error[KL_TEXT_MAX]);
/* Where the history ended when that was asked; -1 = never agreed. A release behind that ends the
   agreement: kl_fleet_hand_agreed. */
int64_t kl_fleet_file_agreed_at(struct kl_fleet_file *f, const struct kl_fleet_pair *pair);
/* Was anything ever agreed about this key? If not, nothing of it was sent. */
bool kl_fleet_file_ever_agreed(struct kl_fleet_file *f, const struct kl_fingerprint *key);

/* This board gets its key while the database is silent: agreed, and to be checked. */
bool kl_fleet_file_add_unchecked(struct kl_fleet_file *f, const struct kl_fleet_pair *pair,
                                 int64_t at, char error[KL_TEXT_MAX]);
/* The first one; false if there is none. */
bool kl_fleet_file_next_unchecked(struct kl_fleet_file *f, struct kl_fleet_pair *out);
bool kl_fleet_file_checked(struct kl_fleet_file *f, const struct kl_fleet_pair *pair,
                           char error[KL_TEXT_MAX]);
uint32_t kl_fleet_file_unchecked(struct kl_fleet_file *f);
/* Was it ever served without a claim? */
bool kl_fleet_file_was_offline(struct kl_fleet_file *f, const struct kl_mac *mac);

/* ---- keys on their way back to the pool ---- */

/* From here on the keys are no longer this station's to give. */
bool kl_fleet_file_add_leaving(struct kl_fleet_file *f, const struct kl_fingerprint *keys,
                               uint32_t count, char error[KL_TEXT_MAX]);
/* At most `room` of them; returns how many. */
uint32_t kl_fleet_file_leaving(struct kl_fleet_file *f, struct kl_fingerprint *out, uint32_t room);
bool kl_fleet_file_is_leaving(struct kl_fleet_file *f, const struct kl_fingerprint *key);
/* The pool has them, or has given them to this station anew. */
bool kl_fleet_file_left(struct kl_fleet_file *f, const struct kl_fingerprint *keys, uint32_t count,
                        char error[KL_TEXT_MAX]);

#endif
