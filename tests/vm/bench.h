/*
 * bench.h: a bench of emulated adapters with virtual boards, and the person who stands there.
 *
 *   usbbench.c        the command line, the loop
 *   bench_boards.c    boards are plugged, pulled and replaced
 *   bench_person.c    pulled plugs at chosen moments, a lost hub, swapped boards
 *   bench_host.c      the host: device nodes, their rights and numbers, latency, who holds a port
 *   bench_program.c   the program that works on it, with a terminal or without
 *   bench_custody.c   did each key reach one board? Shares no code with the pool
 */
#ifndef KEYLINE_TESTS_VM_BENCH_H
#define KEYLINE_TESTS_VM_BENCH_H

#include <sys/types.h>

#include "adapter.h"

enum {
    BOARDS_MAX = 128,
    PLANS_MAX = 64,
    FREEZE_S = 25,    /* at least: closing a frozen port takes 20 s */
    PATIENCE_S = 240, /* a board that says and hears nothing for so long is stuck */
};

struct board {
    struct kl_vboard *vb;
    struct adapter *adapter; /* NULL: not plugged in */
    enum adapter_kind kind;
    unsigned socket;
    char serial[18];
    kl_us plug_at; /* if not plugged in */
    kl_us busy_at; /* its traffic was seen to grow; `traffic` as it was then */
    unsigned traffic;
    kl_us pull_at;    /* a person will pull it then, 0 = nobody; */
    enum phase meant; /* in which phase, if nothing comes between */
    kl_us frozen_at;  /* 0 = it is not */
    kl_us done_at;    /* its row was seen marked; 0 = not yet */
    unsigned starts;  /* of its chip, when it was done; 0 = it was plugged since */
    enum phase phase;
    bool gone; /* replaced for good */
    bool lost; /* nothing can come of it: a fault of its own */
    bool low;  /* its latency timer was seen at its lowest */
};

/* What was asked for on the command line. */
struct wanted {
    const char *csv, *kinds, *serial; /* of all adapters; NULL = each its own */
    const char *events;               /* the program's; what is waited for in them: */
    const char *held_until, *rights_after;
    enum kl_chip_id chip;
    unsigned places, total, moments, all, swaps, mute, moved;
    unsigned user, status;
    bool until_done; /* the bench says when it is enough, not the program */
    bool terminal, latency, no_stub, freeze;
    kl_us timeout;
};

struct bench {
    struct wanted want;
    struct board board[BOARDS_MAX];
    unsigned count, stuck, mistakes;
    bool froze; /* the first adapter whose board was flashed */
    kl_us started, next_look, enough_since;
    uint64_t seed;

    /* bench_person.c */
    bool (*plan[PLANS_MAX])(struct bench *b);
    unsigned plan_count, planned;
    unsigned moments_left[PHASES], moments_had[PHASES];
    kl_us next_plan, next_pull;

    /* bench_host.c */
    int number[SOCKETS]; /* of ttyUSB; -1 = never seen */
    unsigned numbers_moved;
    /* A lost hub's highest number, and its socket: others are plugged when that has another one. */
    int first_number; /* -1 = nobody waits */
    unsigned first_socket;
    pid_t holder;

    /* bench_program.c */
    pid_t program;
    int status, terminal_fd; /* -1 = none */
    bool ended;
    unsigned drawn; /* bytes for the terminal */
    kl_us asked_at;
    bool answered; /* the question that the dashboard asked then */
};

/* usbbench.c */
uint64_t bench_draw(struct bench *b, uint64_t below);
void bench_say(const struct bench *b, const char *what, const struct board *board);
unsigned bench_complain(struct bench *b, const char *text, const char *whom);
/* One turn of the loop: whatever the kernel asked of the adapters. */
void bench_turn(struct bench *b);

/* bench_boards.c */
bool bench_add_board(struct bench *b, unsigned socket, kl_us plug_at);
bool bench_socket_is_free(const struct bench *b, unsigned socket);
void bench_pull(struct bench *b, struct board *board, kl_us gap);
void bench_leave_bus(struct bench *b, struct board *board);
void bench_plug_due(struct bench *b, kl_us now);
void bench_tend(struct bench *b, kl_us now);
/* A frozen adapter is pulled when all other boards are done and the program has said that it is
   stuck. */
void bench_thaw(struct bench *b);
bool bench_all_done(const struct bench *b);
void bench_check_starts(struct bench *b);

/* bench_person.c */
void bench_make_plan(struct bench *b);
bool bench_plan_is_done(const struct bench *b);
void bench_phase_began(struct bench *b, struct board *board, kl_us now);
void bench_person_acts(struct bench *b, kl_us now);
void bench_check_moments(struct bench *b);
/* For a board that is plugged again. */
kl_us bench_short_time(struct bench *b);

/* bench_host.c */
bool bench_wait_for_nodes(struct bench *b, unsigned count);
bool bench_hold_first(struct bench *b);
void bench_let_go(struct bench *b);
void bench_give_rights(const struct bench *b);
/* The N of ttyUSBN in a socket; -1 = none (yet). */
int bench_number_at(unsigned socket);
void bench_look_at_host(struct bench *b);
void bench_check_host(struct bench *b);

/* bench_program.c */
bool bench_start_program(struct bench *b, char **argv);
void bench_drain_terminal(struct bench *b);
void bench_ask_to_end(struct bench *b, kl_us now);
/* The station behind a dashboard must have ended too. */
bool bench_program_is_over(struct bench *b);
/* A line of its events has both words. */
bool bench_has_said(const struct bench *b, const char *one, const char *other);

/* bench_custody.c */
bool bench_read_rows(const char *path);
/* Its row is marked. */
bool bench_is_marked(const struct board *board);
void bench_check_custody(struct bench *b);

#endif
