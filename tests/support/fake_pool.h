/*
 * fake_pool.h: a shared pool in memory, behind struct kl_fleet_calls. It gives sealed keys, keeps
 * claims and results, and can be silent, slow, in doubt, fenced.
 */
#ifndef KEYLINE_TESTS_FAKE_POOL_H
#define KEYLINE_TESTS_FAKE_POOL_H

#include <uv.h>

#include "adapters/fleet/fleet_calls.h"
#include "adapters/fleet/seal.h"

enum {
    FAKE_KEYS = 64,
    FAKE_BOARDS = 64,
    FAKE_ITEMS = 512,
};

struct fake_key {
    char label[32], secret[40];
    struct kl_fingerprint fingerprint, kin;
    uint8_t box[KL_FDB_BOX_MAX];
    size_t box_size;
    enum {
        FAKE_FREE,
        FAKE_LEASED,
        FAKE_PROVISIONED,
        FAKE_DOUBTFUL,
    } state;
    struct kl_request_id request;
    struct kl_mac mac;
};

struct fake_pool {
    uv_mutex_t lock;
    uint8_t id[KL_FDB_UUID];
    struct kl_seal_pool_key pool_key;
    struct kl_seal_public station;
    struct fake_key key[FAKE_KEYS];
    unsigned keys;
    struct {
        struct kl_mac mac;
        char station[32]; /* "" = the one under test */
        bool offline;
    } board[FAKE_BOARDS];
    unsigned boards;
    struct kl_fdb_item item[FAKE_ITEMS];
    unsigned items;
    struct kl_request_id token;
    uint32_t timeline, pool_timeline, told_timeline;
    uint32_t born;
    int64_t xid;    /* of the last call that tells it */
    unsigned backs; /* so often it was told that it is an old copy */
    bool alarm;     /* one is open */

    /* How it behaves. */
    bool silent;          /* DOWN, whatever is asked */
    unsigned doubts;      /* so many writes are done and answered with DOUBT */
    const char *doubtful; /* … of this call; NULL = of any */
    enum kl_fleet_refusal refuses_leases;
    bool hangs; /* a call comes back when it is interrupted, or this ends */
    bool interrupted;

    unsigned hellos, leases, claims, reports, reasserts, beats, hand_backs;
    char status[1024]; /* the last one */
};

extern const struct kl_fleet_calls fake_calls;

/* `folder`: gets station.key. `keys` keys dev-0001 …; their secrets are in fake_key.secret. */
void fake_make(struct fake_pool *p, const char *folder, unsigned keys);
void fake_end(struct fake_pool *p);
/* The one that fake_calls speak to. */
void fake_use(struct fake_pool *p);
void fake_set(struct fake_pool *p, bool *flag, bool value);
unsigned fake_count(struct fake_pool *p, int state);
struct fake_key *fake_find(struct fake_pool *p, const char *label);

#endif
