/*
 * virtual_server.h: virtual boards behind RFC 2217 ports, in real time, on any libuv loop.
 *
 * Board n (from 1) listens on the first port + n - 1, or on a free port each. One client at a time.
 * An unplugged board's port refuses connections until something is plugged in again. Everything
 * here is called on the loop's thread. docs/virtual.md describes files and faults.
 */
#ifndef KEYLINE_VIRTUAL_SERVER_H
#define KEYLINE_VIRTUAL_SERVER_H

#include <uv.h>

#include "keyline/vboard.h"

enum {
    KL_VSERVER_BOARDS_MAX = 64
};

struct kl_vserver;

enum kl_vserver_event_kind {
    KL_VS_CONNECTED, /* a client came */
    KL_VS_DISCONNECTED,
    KL_VS_STORED,    /* the firmware stored a key */
    KL_VS_UNPLUGGED, /* by a fault, by replacement or by call */
    KL_VS_PLUGGED,   /* the same board again, or a fresh one */
};

struct kl_vserver_config {
    unsigned boards;              /* 1 … KL_VSERVER_BOARDS_MAX */
    const char *host;             /* an address to listen on; NULL = 127.0.0.1 */
    uint16_t port;                /* of board 1; 0 = any free port for each */
    const enum kl_chip_id *chips; /* taken in turn */
    unsigned chip_count;
    const char *const *firmware; /* taken in turn; if none, `board` says it */
    unsigned firmware_count;
    struct kl_mac mac;             /* of board 1, the next ones count up; unset = by chip */
    struct kl_vboard_config board; /* what all share: flash, pace, firmware, fields, seed */
    /* "drop_rx=5000,never_asks" for all boards, "2:boot_loop" for one; each also for the boards
       that replace it if `faults_stay`. */
    const char *const *faults;
    unsigned fault_count;
    bool faults_stay;
    const char *state; /* folder for durable state, created if missing; NULL = none */
    /* The server takes away a board that holds a key and has been in its program for
       `replace_after`, and plugs in a fresh one (blank, next MAC) `replace_gap` later; 0 =
       stays. */
    kl_us replace_after, replace_gap;
    kl_us replug_after; /* a board that a fault unplugged returns after this; 0 = stays away */
    void (*event)(void *ctx, unsigned board, enum kl_vserver_event_kind kind); /* may be NULL */
    void *ctx;
};

/* NULL and a sentence in `error` if a port can't be had, a fault list is wrong, or the state folder
   can't be used. Boards whose state is found are as they were. */
struct kl_vserver *kl_vserver_create(uv_loop_t *loop, const struct kl_vserver_config *config,
                                     char error[KL_TEXT_MAX]);
/* Saves, closes everything, then calls `closed` and frees the server. */
void kl_vserver_close(struct kl_vserver *s, void (*closed)(void *ctx), void *ctx);

uint16_t kl_vserver_port(const struct kl_vserver *s, unsigned board);
/* The board that is plugged in here, or was last. */
struct kl_vboard *kl_vserver_board(const struct kl_vserver *s, unsigned board);
enum kl_chip_id kl_vserver_chip(const struct kl_vserver *s, unsigned board);
bool kl_vserver_plugged(const struct kl_vserver *s, unsigned board);

void kl_vserver_unplug(struct kl_vserver *s, unsigned board);
bool kl_vserver_plug(struct kl_vserver *s, unsigned board); /* false: the port is taken */
/* Takes the board away for good and puts a fresh one, with a MAC never used before, in its place;
   it is plugged in at once. */
bool kl_vserver_replace(struct kl_vserver *s, unsigned board);
bool kl_vserver_fault(struct kl_vserver *s, unsigned board, const char *list,
                      char error[KL_TEXT_MAX]);

#endif
