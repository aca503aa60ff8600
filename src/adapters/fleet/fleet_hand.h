/*
 * fleet_hand.h: carries out what the core's fleet.h asks for, one call after the other: on the
 * database, in the station's small file, in its list of keys. Everything here blocks; the fleet's
 * thread has it, and whoever opens the station before that thread runs.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_HAND_H
#define KEYLINE_ADAPTERS_FLEET_HAND_H

#include <limits.h>

#include "adapters/store/fleet_file.h"
#include "fleet_calls.h"
#include "keyline/leased.h"
#include "keyring.h"

enum {
    KL_FLEET_ALARMS = 16,        /* shown at once */
    KL_FLEET_NOTES = 32,         /* that wait for the loop; more are dropped */
    KL_FLEET_STATUS_MAX = 8192,  /* bytes of JSON, NUL included */
    KL_FLEET_CALL_MS = 5000,     /* for one call */
    KL_FLEET_LEASE_CAP = 10000,  /* keys in one lease */
    KL_FLEET_BOARDS_ROUNDS = 50, /* times that one heartbeat asks for the boards of others */
};

struct kl_fleet_hand {
    const struct kl_fleet_calls *calls;
    const char *service;
    struct kl_fdb *db; /* NULL: not opened yet */
    struct kl_fleet_file *file;
    struct kl_fleet_kept kept;
    struct kl_keyring *keyring;
    struct kl_leased leased;
    char list[PATH_MAX], ledger[PATH_MAX];
    bool follows_boards; /* --offline LIMIT: the MACs of others are kept here */

    struct kl_leased_row *rows; /* of the lease that is to be kept … */
    bool *damaged;              /* … whose box does not open */
    uint32_t row_count, row_room;
    uint32_t list_rows; /* rows of the list, as we left it */

    int64_t free_keys, left_to_station; /* as last heard; -1 = not known */
    struct kl_fdb_why why;              /* of the last call that was not OK */
    struct kl_fingerprint claim_key;    /* CLAIM: reserved here for its board; the caller's */
    char other[KL_TEXT_MAX];            /* CLAIM: which station has the board */
    struct kl_fdb_fence server;         /* as last greeted */
    int64_t pool_seq;                   /* newest result that the pool has, as last greeted */
    char status[KL_FLEET_STATUS_MAX];   /* what the heartbeat says */

    struct {
        int64_t id;
        char text[KL_TEXT_MAX];
    } alarm[KL_FLEET_ALARMS];
    unsigned alarm_count;
    char note[KL_FLEET_NOTES][KL_TEXT_MAX];
    unsigned note_head, note_count;
};

/* Opens the small file in this folder. False and `error` if that fails. `calls`, `keyring`,
   `service` stay the caller's. */
bool kl_fleet_hand_open(struct kl_fleet_hand *h, const char *folder, const char *service,
                        const struct kl_fleet_calls *calls, struct kl_keyring *keyring,
                        char error[KL_TEXT_MAX]);
void kl_fleet_hand_close(struct kl_fleet_hand *h);
/* Finishes what an end that was cut short has begun: keys that are on their way back leave the
   list. Before a store opens it. Needs the pool's id. */
bool kl_fleet_hand_tidy(struct kl_fleet_hand *h, char error[KL_TEXT_MAX]);
/* What is durable, for kl_fleet_init. */
void kl_fleet_hand_memory(struct kl_fleet_hand *h, struct kl_fleet_memory *out);
/* Carries out one call. */
void kl_fleet_hand_do(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                      struct kl_fleet_answer *answer);
void kl_fleet_hand_note(struct kl_fleet_hand *h, const char *text);

/* fleet_told.c: what goes to the pool of what is here */
enum kl_fleet_result kl_fleet_hand_report(struct kl_fleet_hand *h, int64_t after,
                                          int64_t *reported);
/* The pool knows nothing later than entry `last_seq` of this station, though it has acknowledged
   more. */
bool kl_fleet_hand_forgot(struct kl_fleet_hand *h, int64_t last_seq);
/* REFUSED with COPY if the pool has more of this station's history than the ledger: that one was
   put back, or is new. A key that it has as reserved may be free of its board since, or proved
   there. */
enum kl_fleet_result kl_fleet_hand_ledger_is_whole(struct kl_fleet_hand *h, int64_t last_seq);
bool kl_fleet_hand_is_pool(const struct kl_fleet_hand *h, const uint8_t pool[KL_FDB_UUID]);
/* This database looks like the one that this station knows, and says less than that has said: an
   old copy was put back. Compares with what was kept of the answer before. */
bool kl_fleet_hand_went_back(struct kl_fleet_hand *h, const struct kl_fdb_state *state);
/* Tells that the pool, which closes as after a failover; people here hear it too. */
enum kl_fleet_result kl_fleet_hand_tell_went_back(struct kl_fleet_hand *h,
                                                  const struct kl_fdb_state *state);
/* What was released comes first: a key that the pool still has for a board is free of it, and may
   be another board's by now. */
enum kl_fleet_result kl_fleet_hand_reassert(struct kl_fleet_hand *h);
enum kl_fleet_result kl_fleet_hand_give_back(struct kl_fleet_hand *h);
enum kl_fleet_result kl_fleet_hand_return_leaving(struct kl_fleet_hand *h);
/* Keys of the list that no board was ever promised; free() them. False if they can't be told. */
bool kl_fleet_hand_unused(struct kl_fleet_hand *h, struct kl_fingerprint **keys, uint32_t *count,
                          char error[KL_TEXT_MAX]);
/* The pool has agreed to this pair, or it went on unchecked, and it was not released since: another
   station may have the board from the moment on at which the pool hears of a release. */
bool kl_fleet_hand_agreed(struct kl_fleet_hand *h, const struct kl_fleet_pair *pair);
/* A key that a board gave back may still be that board's in the pool: tells it before the key is
   claimed for another. */
enum kl_fleet_result kl_fleet_hand_tell_released(struct kl_fleet_hand *h);
/* A call on this machine failed. */
enum kl_fleet_result kl_fleet_hand_failed(struct kl_fleet_hand *h, const char *text);
void kl_fleet_hand_alarm(void *ctx, const struct kl_fdb_alarm *alarm);

#endif
