/*
 * model.h: a small world with one database, several stations and their boards.
 *
 * The database does what src/adapters/fleet's SQL functions do, as far as keys and boards go. It
 * can forget its last commits (failover, restored backup). A station's side is the product's own
 * core (keyline/fleet.h) above a disk that a crash leaves and an old image replaces.
 */
#ifndef FLEETSIM_MODEL_H
#define FLEETSIM_MODEL_H

#include "keyline/fleet.h"

enum {
    KEYS = 48,
    BOARDS = 28,
    STATIONS = 4,
    SLOTS = 2,
    LEASES = 256,
    HISTORY = 256, /* provisioned keys of one station */
    FORGETS = 24,  /* commits that a failover can forget */
    NOBODY = -1,
};

/* ---- the database ---- */

enum key_state {
    KEY_FREE,
    KEY_LEASED,
    KEY_DONE,
    KEY_LOST,
};

struct db {
    struct {
        enum key_state state;
        int station, mac;
        struct kl_request_id request;
    } key[KEYS];
    int board[BOARDS]; /* the station that claimed it */
    struct {
        struct kl_request_id id;
        int station;
    } lease[LEASES];
    unsigned leases;
    uint32_t fence_pool, token[STATIONS];
    bool lost[STATIONS], heard[STATIONS]; /* heard: has reasserted since the fence changed */
    unsigned alarms;
};

struct server {
    struct db now, before[FORGETS];
    unsigned kept;
    unsigned capped;        /* leases of fewer keys than were asked for, because of the cap */
    uint32_t fence, fences; /* system identifier and timeline; how many there were */
};

/* What one station says; each returns what the database's answer is. */
struct disk;
void db_init(struct server *s);
struct kl_fleet_answer db_hello(struct server *s, int station, const struct disk *d);
struct kl_fleet_answer db_reassert(struct server *s, int station, const struct disk *d);
struct kl_fleet_answer db_lease(struct server *s, int station, const struct kl_fleet_call *call,
                                bool rows[KEYS]);
struct kl_fleet_answer db_claim(struct server *s, int station, int mac, int key);
struct kl_fleet_answer db_check(struct server *s, int station, int mac, int key);
struct kl_fleet_answer db_report(struct server *s, int station, const struct disk *d,
                                 int64_t after);
struct kl_fleet_answer db_status(struct server *s, int station);
struct kl_fleet_answer db_hand_back(struct server *s, int station, const bool rows[KEYS]);

/* What happens to it, and what its owner does. */
void db_fail_over(struct server *s, unsigned forgotten);
void db_declare_lost(struct server *s, int station);
/* False: a station that is not declared lost has not told again what it holds. */
bool db_reopen(struct server *s, int highest_key);

/* ---- a station ---- */

enum ledger_state {
    NOT_THERE,
    RESERVED,
    PROVISIONED,
};

/* What is durable. */
struct disk {
    bool list[KEYS]; /* leased rows */
    enum ledger_state ledger[KEYS];
    int mac[KEYS];           /* of the ledger */
    bool agreed[KEYS];       /* RESERVED: the database agreed, or it was kept as unchecked */
    bool handing_back[KEYS]; /* out of the list; the database may not know yet */
    int history[HISTORY];    /* keys, in the order in which they were provisioned */
    unsigned told_of;        /* entries in history */
    int64_t reported;
    bool requested;
    struct kl_request_id request;
    uint32_t count;
    bool unchecked[BOARDS];
    enum kl_fleet_refusal barred;
    uint32_t fence, token, next_token; /* fence: as last seen; 0 = none */
    kl_us heard;                       /* KL_NEVER = never */
};

enum slot_phase {
    SLOT_EMPTY,
    SLOT_LOOKS,
    SLOT_ASKS,
    SLOT_SENDS,
    SLOT_PROVES,
    SLOT_RESTS,
};

struct station {
    int id;
    struct disk disk, image; /* image: of some time before */
    bool has_image, running, destroyed;
    bool must_greet; /* its disk was put back: it talks to the database first */
    kl_us cut_until; /* the network is gone */
    kl_us offline;   /* --offline */
    struct kl_fleet fleet;
    struct kl_fleet_call call; /* on its way */
    bool rows[KEYS];           /* of a lease, not kept yet */
    struct {
        enum slot_phase phase;
        int board, key;
        bool unchecked; /* went on without the database */
    } slot[SLOTS];
};

struct board {
    int key; /* in its flash */
    int at;  /* station */
    /* what the world remembers, whatever was erased since */
    int first_key, first_station;
    bool unchecked; /* a key was given to it without the database */
    bool doubled;
};

struct world {
    uint64_t seed, draws;
    kl_us now;
    struct server server;
    struct station station[STATIONS];
    struct board board[BOARDS];
    int sent_to[KEYS];   /* the MAC that ever got it */
    int agreed_to[KEYS]; /* the MAC for which the database agreed, or a person with --offline */
    int highest_leased;
    uint32_t ids;
    bool healing; /* the end: nothing breaks any more */
    unsigned met[32];
    const char *wrong;
};

/* What a set of seeds must have met, so that the oracles saw it. */
enum met {
    MET_LEASE,
    MET_PROVED,
    MET_FAILOVER_FORGOT_A_LEASE,
    MET_REOPENED,
    MET_LOST,
    MET_OLD_DISK_STOPPED,
    MET_UNCHECKED,
    MET_DOUBLE_TOLD,
    MET_OTHERS_BOARD,
    MET_DISPUTED,
    MET_LEASE_REPEATED,
    MET_HANDED_BACK,
    MET_CRASH,
    MET_REPORT_REPEATED,
    MET_CAPPED,
    MET_COUNT
};

uint64_t draw(struct world *w, uint64_t below);
/* For a person who looks at one seed; NOBODY = none. */
void tell(const struct world *w, const char *what, int station, int key, int board);
void wrong(struct world *w, const char *text);
void station_start(struct world *w, struct station *s);
/* One thing that may happen in it. */
void station_step(struct world *w, struct station *s);
bool station_is_quiet(const struct station *s);

#endif
