/*
 * world.h: a whole bench in virtual time, from one seed: the real station, virtual boards, links
 * that delay and damage, a disk that fails and forgets, an operator who does as he likes, and a
 * power switch. Nothing here reads a clock.
 *
 *   people.c    the model of the store replaced by real ones, and people at their files
 *   images.c    what is flashed
 *   life.c      one run: what happens to a bench, the operator, the power switch
 *   world.c     chance, time, links
 *   boards.c    virtual boards and the hands that move them
 *   disk.c      the model of the store: what is durable when
 *   oracle.c    what must be true: shares no code with the pool
 *   coverage.c  what all runs have met
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdio.h>

#include "keyline/station.h"
#include "keyline/vboard.h"

enum {
    SLOTS_MAX = 6,
    KEYS_MAX = 64,
    KEYS_SPARE = 8, /* for the calm at the end */
    BOARDS_MAX = 96,
    FIELDS = 3,
    STORE_QUEUE = 64,
};

/* How likely each trouble is in this run. Many are 0, so that runs differ in kind, not only in
   detail. Each is a chance per million; its comment says what it is drawn for. */
struct weights {
    unsigned unplug;   /* per step: a board leaves its slot */
    unsigned swap;     /* … and another one takes its place at once */
    unsigned bit_flip; /* per byte, either way */
    unsigned byte_lost;
    unsigned byte_doubled;
    unsigned late;       /* per event: it is delayed */
    unsigned link_lost;  /* per step: the connection breaks, the board stays */
    unsigned bad_board;  /* per new board: it has a fault of its own */
    unsigned clone;      /* per new board: it has the MAC of another one */
    unsigned planted;    /* per new board: it holds a key of this CSV already */
    unsigned disk_fails; /* per request */
    unsigned disk_slow;
    unsigned crash;   /* per step: the process dies and is started again */
    unsigned command; /* per step: the operator does something */
    unsigned stop;    /* per step: the operator ends the station, which then starts again */
    unsigned
        release; /* per start: the operator releases a key in doubt; its board is lost for good */
    unsigned more_keys;  /* per step: rows are added to the CSV */
    unsigned foreign;    /* per step: another tool marks a row */
    unsigned row_gone;   /* per step: a row is taken out of the CSV, or put back */
    unsigned late_timer; /* per turn: the station is woken late */
    unsigned io_fails;   /* per request: the adapter refuses a setting */
    unsigned open_fails; /* per opening: busy, denied, broken, or no answer for long */
    unsigned adapter;    /* per step: a needle bed's adapter goes, or comes back */
    unsigned slots;      /* per step: a network port is removed, or added again */
    unsigned leaves_bus; /* per change of lines: a native-USB board vanishes, and comes back */
};

/* What may happen; each must have happened over many lives. X(NAME, "in words") */
#define SIM_KINDS(X)                                                                               \
    X(BOARD_LEAVES, "a board leaves its slot")                                                     \
    X(SAME_BACK, "the same board comes back into a slot")                                          \
    X(SAME_BACK_CALM, "a board comes back once faults have stopped")                               \
    X(OTHER_COMES, "another board takes a place")                                                  \
    X(BED_EXCHANGED, "a board is exchanged at a needle bed")                                       \
    X(EXCHANGED_RESERVING, "while its key is being reserved")                                      \
    X(EXCHANGED_BOOTING, "while its program starts")                                               \
    X(BIT_FLIPPED, "a bit is flipped")                                                             \
    X(BYTE_LOST, "a byte is lost")                                                                 \
    X(BYTE_DOUBLED, "a byte comes twice")                                                          \
    X(LATE_EVENT, "an answer comes late")                                                          \
    X(LATE_TIMER, "the station is woken late")                                                     \
    X(STALE, "an answer comes for a board that is gone")                                           \
    X(LINK_LOST, "a connection breaks, its board stays")                                           \
    X(OPEN_FAILED, "a port can't be opened")                                                       \
    X(OPEN_STUCK, "opening a port is not answered")                                                \
    X(IO_FAILED, "an adapter refuses a setting")                                                   \
    X(ADAPTER_GONE, "a needle bed loses its adapter")                                              \
    X(BUS_LEFT, "a native-USB board vanishes while it resets")                                     \
    X(BUS_BACK, "and comes back")                                                                  \
    X(SLOT_REMOVED, "a network port is removed")                                                   \
    X(SLOT_ADDED, "and added again")                                                               \
    X(CLONE, "a board with another one's MAC")                                                     \
    X(ODD_FIRMWARE, "a board whose firmware prints things its own way")                            \
    X(PLANTED, "a board that holds a key of this CSV already")                                     \
    X(HALF_PLANTED, "a board that holds other fields under a label of this CSV")                   \
    X(OTHER_CHIP, "a board with another chip")                                                     \
    X(SMALL_FLASH, "a board with too little flash")                                                \
    X(NO_KEY_LEFT, "a board waits because no key is free")                                         \
    X(DISK_SLOW, "the disk is slow")                                                               \
    X(DISK_FAILED, "the disk is full or fails")                                                    \
    X(DISK_REFUSED, "the ledger says otherwise")                                                   \
    X(CRASH, "the process is killed")                                                              \
    X(CRASH_WRITING, "while the store has work to do")                                             \
    X(CRASH_LOST, "and something is not durable")                                                  \
    X(CRASH_SENT, "while a key that was sent is not proved")                                       \
    X(RETRY, "command retry")                                                                      \
    X(RETRY_FAILED, "command retry all failed")                                                    \
    X(SKIP, "command skip")                                                                        \
    X(ERASE_RETRY, "command erase and retry")                                                      \
    X(PAUSE, "command pause")                                                                      \
    X(RESUME, "command resume")                                                                    \
    X(STOP, "command stop")                                                                        \
    X(STOP_TWICE, "command stop, twice")                                                           \
    X(RESTED, "a stopped station comes to rest")                                                   \
    X(RELEASE, "a key in doubt is released")                                                       \
    X(ROWS_ADDED, "rows are added")                                                                \
    X(FOREIGN_MARK, "another tool marks a row")                                                    \
    X(ROW_GONE, "a row vanishes from the CSV")                                                     \
    X(ROW_BACK, "a row comes back into the CSV")                                                   \
    X(BURNT, "a key that nobody should get was shown by a board")                                  \
    X(GIVEN_BACK, "a key that was not sent goes back to the pool")                                 \
    X(SENT_AGAIN, "a board is sent its own key again")                                             \
    X(ADOPTED, "a key found on a board is recorded")                                               \
    X(ACK_ONLY, "a bench that trusts acknowledgements")                                            \
    X(EXAM, "a bench with a functional test")                                                      \
    X(EXAM_RUN, "a board passes it")                                                               \
    X(PRINTED, "a bench whose boards must print the key in their NVS")                             \
    X(STUB, "a bench with flasher stubs")

enum sim_kind {
#define X(name, text) SIM_##name,
    SIM_KINDS(X)
#undef X
    SIM_KIND_COUNT
};

struct sim_key {
    struct kl_key key;
    char label[40];
    bool in_csv;
    bool foreign; /* another tool's mark, and no board has shown the key since … */
    bool told;    /* … and the station has read it */
    bool burnt;   /* this run of the station saw another board show it, and said so */
    /* durable */
    bool reserved, provisioned, marked;
    struct kl_mac mac;
    /* the oracle's memory over all crashes */
    struct kl_mac sent_to;
    bool sent;
};

struct sim_board {
    struct kl_vboard *v;
    struct kl_mac mac;
    bool used;
    bool healthy; /* must reach done once faults stop */
    bool planted; /* came with a key of this CSV in it: not our doing */
    bool odd;     /* its firmware prints in its own way: keyline may not understand what it holds */
    int fault;    /* of virtual boards, by number; -1 = none */
    int slot;     /* -1: in the drawer */
};

/* What a slot's board said since its program started, or since it was handed its key. */
struct sim_said {
    char line[64];
    size_t size;
    bool sensor, ok, fail;
};

struct sim_link {
    bool open;
    uint32_t generation;
    kl_us said_at; /* when its last event arrives */
    bool dtr, rts;
    uint32_t baud;
};

struct pending {
    kl_us at;
    uint64_t order;
    struct kl_event ev;
    uint8_t *data; /* RX */
};

struct world;
struct store_request;

/* What stands in for the model of the store: people.c. */
struct sim_files {
    enum kl_store_status (*ask)(struct world *w, struct store_request *r);
    void (*load)(struct world *w, struct kl_event *ev); /* fills u.keys, but for its memory */
    int (*find)(const struct kl_fingerprint *fp);       /* the number of the key; -1 = none */
};

struct store_request {
    kl_us durable_at, answer_at;
    struct kl_action action;
    struct kl_key key; /* as read from files */
    bool news;         /* and they show something else than before */
    char label[KL_LINE_MAX + 1], reason[KL_TEXT_MAX];
    struct kl_attempt attempt;
    bool applied, fails, from_pool;
    char text[64];
};

/* Hashes of all that the station asked for and told, each with its time. */
struct hashes {
    uint64_t actions, notes;
};

struct world {
    uint64_t seed;
    uint64_t rng[4];
    struct weights w;
    kl_us now;
    uint64_t order;
    bool calm;    /* second phase: no more faults */
    bool fixture; /* needle beds: adapters stay while boards come and go */
    kl_us left_at[SLOTS_MAX], came_at[SLOTS_MAX];
    kl_us comes_at[SLOTS_MAX]; /* hands put in a board from the drawer then; 0 = none */
    kl_us lag;                 /* how late the station wakes next time */
    kl_us stopped_at;          /* 0 = not stopped */
    bool rested;
    unsigned store_at_rest; /* requests that were under way then */

    struct kl_station *st;
    struct kl_station_config config;
    unsigned slots;
    struct sim_link link[SLOTS_MAX];
    struct sim_said said[SLOTS_MAX];
    struct sim_board board[BOARDS_MAX];
    unsigned board_count;
    int in_slot[SLOTS_MAX]; /* index of board, -1 = empty */
    int was_in_slot[SLOTS_MAX];
    bool network[SLOTS_MAX], plugged_said[SLOTS_MAX];
    bool native[SLOTS_MAX];      /* boards here are their own USB adapters */
    kl_us returns_at[SLOTS_MAX]; /* the board that left the bus comes back then; 0 = none */
    bool no_adapter[SLOTS_MAX];  /* a needle bed without its adapter, a network port removed */
    bool held[SLOTS_MAX];        /* another program has the port open */
    kl_us port_said_at[SLOTS_MAX];
    kl_us failed_at[SLOTS_MAX]; /* failed, and neither tried again nor given up since */

    struct sim_key key[KEYS_MAX];
    unsigned key_count;
    struct kl_pool_row rows[2]
                           [KEYS_MAX]; /* as the pool refers to them; each load takes the other */
    unsigned rows_turn;
    uint8_t secret_parts[8192];    /* which parts of secrets exist, as a Bloom filter: oracle.c */
    const struct sim_files *files; /* NULL: disk.c's model */
    struct kl_pool_memory *memory;
    struct store_request store[STORE_QUEUE];
    unsigned store_count;
    kl_us disk_bad_until, crashed_at;
    bool keys_come; /* as a shared pool says */
    bool list_asks; /* a person has to answer about the list: no RESERVE, no FETCH */
    enum kl_store_status pool_says; /* of every RESERVE, where a shared pool is played; OK = none */

    struct pending *heap;
    unsigned heap_count, heap_size;

    struct kl_attempt last[SLOTS_MAX]; /* the result told last */
    struct hashes hash;
    uint64_t lives, done, failed_results, crashes;
    FILE *trace; /* NULL = none */
    char violation[512];
};

/* images.c: what all runs share */
const struct kl_bundle *sim_bundle(void);
const char *board_holds(const struct world *w, const struct sim_board *b);
const struct kl_stubs *sim_stubs(void);
const struct kl_exam *sim_exam(void); /* what the firmware selftest says when all is well */
/* Keys go into NVS: the same names as the virtual firmware has. Blank memory. */
const struct kl_nvs_delivery *sim_nvs(enum kl_nvs_policy policy);
/* What may be in a board's NVS before keyline comes. */
enum sim_content {
    SIM_LITTLE, /* values of its firmware's */
    SIM_MUCH,   /* so many that no key has room beside them */
    SIM_CIPHER, /* an encrypted NVS */
};
void sim_fill_nvs(struct kl_vboard *v, const struct kl_nvs_delivery *d, enum sim_content content);
void sim_images_free(void);

/* life.c */
void world_init(struct world *w, uint64_t seed, FILE *trace);
/* Instead of it: a bench on which nothing happens by itself. What differs may be set before it is
   started; then boards are put in and time is let pass. */
void world_quiet(struct world *w, unsigned slots);
void world_start(struct world *w, unsigned keys);
void world_command(struct world *w, enum kl_command_kind kind, unsigned slot);
/* Plays the run. True if nothing was violated; else w->violation tells what. */
bool world_play(struct world *w);
/* Its parts: a process starts, things happen to the bench, the process ends. */
void world_boot(struct world *w);
void world_live(struct world *w, kl_us until);
void world_end(struct world *w);
void world_finish(struct world *w);

/* world.c: random numbers, the only source of chance */
void seed_rng(struct world *w, uint64_t seed);
uint64_t draw(struct world *w);
unsigned below(struct world *w, unsigned n);
bool chance(struct world *w, unsigned per_million);

void world_event(struct world *w, const struct kl_event *ev, kl_us delay);
struct kl_event world_make(struct world *w, enum kl_event_kind kind, unsigned slot);
void tell(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void violated(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

void step_until(struct world *w, kl_us until);
void drain(struct world *w); /* carries out what the station asks for */
void lose_link(struct world *w, unsigned slot, const char *why);
void push_event(struct world *w, kl_us at, const struct kl_event *ev);
/* The program that held the slot's port has let it go. */
void say_free(struct world *w, unsigned slot, kl_us at);
void forget_events(struct world *w);

/* boards.c */
int new_board(struct world *w);
int board_of(struct world *w, const char *firmware, const char *faults); /* 24:6f:28:00:00:NN */
int board_with(struct world *w, const char *faults); /* the same, firmware "keyline" */
bool board_fault_is_drawn(const char *name);
struct kl_vboard *in(struct world *w, unsigned slot);
void take_out(struct world *w, unsigned slot);
void put_in(struct world *w, unsigned slot, int board);
int drawer(struct world *w); /* a board that is in no slot; -1 = none */
void say_plugged(struct world *w, unsigned slot, bool plugged);
void leave_bus(struct world *w, unsigned slot); /* a native-USB board resets: its port goes */
void return_to_bus(struct world *w, unsigned slot);

/* coverage.c */
void saw(enum sim_kind kind);
void saw_state(enum kl_state state);
void saw_reason(enum kl_reason reason);
void saw_board_fault(unsigned fault);
/* Lists what was met, or only what was not; false if something was not. */
bool coverage(bool list);

/* disk.c */
void disk_make_keys(struct world *w, unsigned count);
void disk_load(struct world *w); /* KL_EV_KEYS from what is durable */
void disk_request(struct world *w, const struct kl_action *a);
void disk_step(struct world *w);
kl_us disk_deadline(const struct world *w);
void disk_crash(struct world *w);
void disk_foreign_mark(struct world *w);      /* by another tool, on a key nobody holds */
void disk_row_comes_or_goes(struct world *w); /* any row */
void disk_operator_releases(struct world *w); /* while no station runs; the key's board is lost */

/* people.c: lives of benches between people, each in a process of its own. The exit status. */
int people_play(uint64_t first, unsigned lives, bool traced);

/* oracle.c */
/* Two lines with one secret, whatever their labels, and however the secret is spelled. */
bool oracle_same_key(const char *a, const char *b);
void oracle_bytes_out(struct world *w, unsigned slot, const struct kl_io *io, bool connected);
/* Bytes that the station is about to hear, and what it has told since. */
void oracle_heard(struct world *w, unsigned slot, const uint8_t *data, size_t size);
void oracle_log_begins(struct world *w, unsigned slot);
void oracle_note(struct world *w, const struct kl_note *n);
void oracle_action(struct world *w, const struct kl_action *a);
void oracle_snapshot(struct world *w, const struct kl_snapshot *snap);
void oracle_learn_key(struct world *w, const struct sim_key *k);
void oracle_boards(struct world *w);
void oracle_slots(struct world *w, const struct kl_snapshot *snap);
/* A key becomes provisioned on disk. */
void oracle_provisioned(struct world *w, const struct sim_key *key, bool acknowledged_only);
/* A board's turn ended. */
void oracle_result(struct world *w, unsigned slot, const struct kl_attempt *attempt);

#endif
