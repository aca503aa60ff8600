/*
 * world.h: a whole bench in virtual time, from one seed: the real station, virtual boards, links
 * that delay and damage, a disk that fails and forgets, an operator with a will of his own, and a
 * power switch. Nothing here reads a clock.
 *
 *   world.c   time, slots, links, boards, faults, the operator
 *   disk.c    the model of the store: what is durable when
 *   oracle.c  what must be true: shares no code with the pool
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdio.h>

#include "keyline/station.h"
#include "keyline/vboard.h"

enum {
    SLOTS_MAX = 6,
    KEYS_MAX = 64,
    BOARDS_MAX = 96,
    FIELDS = 3,
    STORE_QUEUE = 64,
};

/* How likely each trouble is in this run: many are 0, so that runs differ in kind, not only in
   detail. All are chances per million of whatever they are drawn at. */
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
    unsigned crash;     /* per step: the process dies and is started again */
    unsigned command;   /* per step: the operator does something */
    unsigned more_keys; /* per step: rows are added to the CSV */
};

struct sim_key {
    struct kl_key key;
    char label[40];
    bool in_csv;
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
    int slot;     /* -1: in the drawer */
};

struct sim_link {
    bool open;
    uint32_t generation;
    kl_us said_at; /* when the last thing it said is heard */
    bool dtr, rts;
    uint32_t baud;
};

struct pending {
    kl_us at;
    uint64_t order;
    struct kl_event ev;
    uint8_t *data; /* RX */
};

struct store_request {
    kl_us durable_at, answer_at;
    struct kl_action action;
    char label[KL_LABEL_MAX + 1];
    bool applied, fails;
    char text[64];
};

struct world {
    uint64_t seed;
    uint64_t rng[4];
    struct weights w;
    kl_us now;
    uint64_t order;
    bool calm;    /* second phase: no more faults */
    bool fixture; /* needle beds: adapters stay while boards come and go */
    kl_us left_at[SLOTS_MAX];

    struct kl_station *st;
    struct kl_station_config config;
    unsigned slots;
    struct sim_link link[SLOTS_MAX];
    struct sim_board board[BOARDS_MAX];
    unsigned board_count;
    int in_slot[SLOTS_MAX]; /* index of board, -1 = empty */
    bool network[SLOTS_MAX], plugged_said[SLOTS_MAX];
    kl_us port_said_at[SLOTS_MAX];
    kl_us failed_at[SLOTS_MAX]; /* failed, and neither tried again nor given up since */

    struct sim_key key[KEYS_MAX];
    unsigned key_count;
    struct kl_pool_memory memory;
    struct store_request store[STORE_QUEUE];
    unsigned store_count;
    kl_us disk_bad_until, crashed_at;

    struct pending *heap;
    unsigned heap_count, heap_size;

    uint64_t action_hash;
    uint64_t lives, done, failed_results, crashes;
    FILE *trace; /* NULL = none */
    char violation[512];
};

/* The bundle all runs share; NULL = nothing is flashed. */
const struct kl_bundle *sim_bundle(void);
/* --without-beds: no bench is a needle bed. */
bool sim_without_beds(void);

void world_init(struct world *w, uint64_t seed, FILE *trace);
/* Plays the run. True if nothing was violated; else w->violation tells what. */
bool world_play(struct world *w);
void world_finish(struct world *w);

/* random numbers, the only source of chance */
uint64_t draw(struct world *w);
unsigned below(struct world *w, unsigned n);
bool chance(struct world *w, unsigned per_million);

void world_event(struct world *w, const struct kl_event *ev, kl_us delay);
struct kl_event world_make(struct world *w, enum kl_event_kind kind, unsigned slot);
void tell(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void violated(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* disk.c */
void disk_make_keys(struct world *w, unsigned count);
void disk_load(struct world *w); /* KL_EV_KEYS from what is durable */
void disk_request(struct world *w, const struct kl_action *a);
void disk_step(struct world *w);
kl_us disk_deadline(const struct world *w);
void disk_crash(struct world *w);

/* oracle.c */
void oracle_bytes_out(struct world *w, unsigned slot, const struct kl_io *io, bool connected);
void oracle_action(struct world *w, const struct kl_action *a);
void oracle_boards(struct world *w);
/* A key becomes provisioned on disk. */
void oracle_provisioned(struct world *w, const struct sim_key *key, bool acknowledged_only);
/* A board's turn ended. */
void oracle_result(struct world *w, unsigned slot, const struct kl_attempt *attempt);

#endif
