/*
 * model.h: a small world with one database, several stations and their boards.
 *
 * The database does what src/adapters/fleet's SQL functions do, as far as keys and boards go. It
 * can forget its last commits (failover, restored backup), also without looking like another one (a
 * copy of the server's data folder). A station's side is the product's own core (keyline/fleet.h)
 * above a disk that a crash leaves and an old image replaces. People release keys, not always
 * rightly.
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
    HISTORY = 1024, /* entries of one station */
    FORGETS = 24,   /* commits that a failover can forget */
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
        int told_by;    /* another station, since the fence changed */
        bool elsewhere; /* an alarm is open: another station has it */
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
    unsigned last_seq[STATIONS];
    uint32_t xid; /* of the last commit */
    unsigned alarms;
};

struct server {
    struct db now, before[FORGETS];
    unsigned kept;
    unsigned capped;        /* leases of fewer keys than were asked for, because of the cap */
    uint32_t fence, fences; /* system identifier and timeline; how many there were */
    bool unnoticed;         /* it is an old copy, and nobody has noticed */
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
/* The entry behind `after`; `has`: entries that the database has said to have. */
struct kl_fleet_answer db_report(struct server *s, int station, const struct disk *d, int64_t after,
                                 int64_t has);
struct kl_fleet_answer db_status(struct server *s, int station);
struct kl_fleet_answer db_hand_back(struct server *s, int station, const bool rows[KEYS]);

/* What happens to it, and what its owner does. */
void db_fail_over(struct server *s, unsigned forgotten);
/* An old copy takes its place, which looks the same; 1 … kept commits are forgotten. */
void db_copy_back(struct server *s, unsigned forgotten);
/* A station has noticed: as after a failover. */
void db_went_back(struct server *s);
/* This station holds a key, unused, that the database has otherwise. */
bool db_has_forgotten(const struct server *s, int station, const struct disk *d);
void db_declare_lost(struct server *s, int station);
/* False: a station that is not declared lost has not told again what it holds. */
bool db_reopen(struct server *s, int highest_key);

/* ---- a station ---- */

enum ledger_state {
    NOT_THERE, /* or released */
    RESERVED,
    PROVISIONED,
};

struct entry {
    enum {
        WAS_RESERVED,
        WAS_PROVISIONED,
        WAS_RELEASED,
    } what;
    int key, mac;
};

/* What is durable. */
struct disk {
    bool list[KEYS]; /* leased rows */
    enum ledger_state ledger[KEYS];
    int mac[KEYS];       /* of the ledger */
    int agreed_to[KEYS]; /* MAC + 1: the database agreed, or it was kept as unchecked; 0 = none */
    unsigned agreed_at[KEYS]; /* entries then: a release behind that ends it */
    bool ever_reserved[KEYS];
    bool ever_agreed[KEYS];  /* something of it may have been sent */
    bool handing_back[KEYS]; /* out of the list; the database may not know yet */
    struct entry history[HISTORY];
    unsigned entries; /* in history */
    int64_t reported;
    uint32_t xid; /* of the database's last answer */
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
    bool put_back;   /* its disk is an old one */
    bool must_greet; /* its disk was put back: it talks to the database first */
    kl_us cut_until; /* the network is gone */
    kl_us offline;   /* --offline */
    struct kl_fleet fleet;
    uint32_t greeted;          /* the fence then */
    int64_t pool_has;          /* entries, as the database last said */
    bool broken;               /* the connection broke, and the next call finds out */
    bool unagreed[KEYS];       /* reserved by this process, which has not asked yet */
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
    int released_by; /* station + 1; 0 = none */
    bool unchecked;  /* a key was given to it without the database */
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
    bool troubled; /* a disk or the database has gone back, or a station was lost */
    bool healing;  /* the end: nothing breaks any more */
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
    MET_RELEASED,
    MET_RELEASED_WRONGLY,
    MET_RELEASE_FORGOTTEN,
    MET_BOARD_MOVED,
    MET_ADOPTED,
    MET_COPY_NOTICED,
    MET_COPY_NOTICED_BY_A_KEY,
    MET_COUNT
};

uint64_t draw(struct world *w, uint64_t below);
/* For a person who looks at one seed; NOBODY = none. */
void tell(const struct world *w, const char *what, int station, int key, int board);
void wrong(struct world *w, const char *text);
void station_start(struct world *w, struct station *s);
/* A person says that the key never came to its board. */
void station_release(struct world *w, struct station *s, int key);
/* Not reserved for a board, and nothing of it was ever sent. */
bool is_unused(const struct disk *d, int key);
/* It was never reserved: the database can't have bound it. */
bool is_untouched(const struct disk *d, int key);
/* The database agreed to the board for which it is reserved, and it was not released since. */
bool is_agreed(const struct disk *d, int key);
/* One thing that may happen in it. */
void station_step(struct world *w, struct station *s);
bool station_is_quiet(const struct station *s);

#endif
