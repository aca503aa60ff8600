/*
 * port.h: one port and the link through it: it opens, closes, vanishes and comes back, and it is
 * followed while a native-USB board leaves the bus to reset.
 *
 * A value that asks nobody. The caller tells each verb what happened, and the verb answers what
 * that means. The board decides what follows (board_port.c). Times are core time in microseconds,
 * KL_NEVER = not due.
 */
#ifndef CORE_PORT_H
#define CORE_PORT_H

#include "keyline/station.h"

enum kl_port_state {
    KL_PORT_CLOSED,
    KL_PORT_OPENING, /* KL_AC_OPEN was asked for; its answer is due */
    KL_PORT_OPEN,
    KL_PORT_CLOSING, /* KL_AC_CLOSE was asked for; its answer always comes */
};

/* What is to happen once the port is closed. */
enum kl_port_then {
    KL_PORT_THEN_REST,
    KL_PORT_THEN_START, /* a try begins once the old link is closed */
};

/* Where the board is while its port is gone. */
enum kl_port_follow {
    KL_PORT_STAYS,
    KL_PORT_AWAY, /* it left the bus to reset, and is expected back */
};

/* What an event, or the time, means. */
enum kl_port_verdict {
    KL_PORT_NOTHING,
    KL_PORT_USABLE,      /* the link is open */
    KL_PORT_BACK,        /* … and the board that was followed is on the bus again */
    KL_PORT_REFUSED,     /* it could not be opened */
    KL_PORT_STUCK,       /* the answer to opening did not come in time */
    KL_PORT_BLOCKED,     /* the answer to closing has still not come */
    KL_PORT_ENDED,       /* the link is closed */
    KL_PORT_ENDED_START, /* … and a try waited for that */
    KL_PORT_TRY,         /* it may be opened again now */
    KL_PORT_SHOWN,       /* the port of a followed board is listed again: open it */
    KL_PORT_STAYED_AWAY, /* a followed board did not come back */
    KL_PORT_LEAVES,      /* the board has left the bus and is followed from now on */
    KL_PORT_LEFT_AGAIN,  /* a followed board's link broke a second time */
    KL_PORT_LEAVES_ON,   /* the board leaves the bus again and again within one try */
};

struct kl_port {
    char path[KL_PORT_MAX];
    char usb_serial[64]; /* "" = none; of a native-USB board it is the MAC */
    enum kl_link_kind kind;
    bool network;
    bool plugged; /* the port is listed; a network port always is */

    enum kl_port_state state;
    enum kl_port_then then;
    uint32_t generation; /* names the link's occupant: opening and closing begin a new one */
    uint32_t request;    /* the id given out last */
    uint32_t floor;      /* ids up to this one belong to an earlier talk */
    kl_us answer_due;    /* opening or closing must be answered by then */

    struct {
        kl_us at;         /* the next try to open it */
        kl_us wait;       /* the try after that one comes so much later */
        unsigned refused; /* failed tries to open it in a row */
    } again;

    struct {
        enum kl_port_follow state;
        kl_us look_at;  /* AWAY: is it back? */
        kl_us until;    /* AWAY: when we give up */
        unsigned times; /* how often it left in this try while its program ran */
    } follow;
};

/* A port of which we know nothing yet. `generation` and `request` go on from the port that was in
   this place before, so that answers to that one stay stale. */
void kl_port_init(struct kl_port *p, bool network);
void kl_port_plugged(struct kl_port *p, const struct kl_event *ev);
void kl_port_removed(struct kl_port *p);

/* CLOSED only. The caller asks for KL_AC_OPEN. */
void kl_port_open(struct kl_port *p, kl_us now);
/* True if the caller has to ask for KL_AC_CLOSE. */
bool kl_port_close(struct kl_port *p, kl_us now);
/* USABLE, BACK, REFUSED; NOTHING if it was closed meanwhile. */
enum kl_port_verdict kl_port_opened(struct kl_port *p, enum kl_open_result result);
/* ENDED or ENDED_START. */
enum kl_port_verdict kl_port_closed(struct kl_port *p);
/* Begins a try once the link is closed; now it is neither open nor closed. */
void kl_port_start_when_closed(struct kl_port *p);

/* Tries the port again at `at`, or after its own wait, which doubles up to five seconds. */
void kl_port_try_at(struct kl_port *p, kl_us at);
void kl_port_back_off(struct kl_port *p, kl_us now);
/* A person asks for another try: earlier refusals don't count. */
void kl_port_renew(struct kl_port *p);
/* Makes no more tries by itself. */
void kl_port_rest(struct kl_port *p);

/* A native-USB board's link or port has gone in the middle of a reset. `program`: its program was
   started in this try. LEAVES, LEFT_AGAIN or LEAVES_ON; the caller closes the link. */
enum kl_port_verdict kl_port_leaves(struct kl_port *p, bool program, kl_us now);
bool kl_port_is_away(const struct kl_port *p);
void kl_port_unfollow(struct kl_port *p);
/* Nobody waits for the board any more: looks for it at once. */
void kl_port_look_now(struct kl_port *p, kl_us now);
void kl_port_new_try(struct kl_port *p);

/* The id of the next request to the link or the store. */
uint32_t kl_port_request(struct kl_port *p);
/* Answers to earlier requests to the link no longer count. */
void kl_port_new_talk(struct kl_port *p);
bool kl_port_is_of_this_talk(const struct kl_port *p, uint32_t request);

/* What is due now; until NOTHING. */
enum kl_port_verdict kl_port_tick(struct kl_port *p, kl_us now);
kl_us kl_port_deadline(const struct kl_port *p);

#endif
