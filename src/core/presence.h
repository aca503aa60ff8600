/*
 * presence.h: is somebody there, and is it the same? For needle beds (--fixture), whose adapter
 * stays while boards come and go: now and then the station resets the chip into its loader and asks
 * for its MAC. Every bench remembers which MAC it saw last.
 *
 * A value that asks nobody: board_presence.c lets the loader talk and acts on the verdicts.
 */
#ifndef CORE_PRESENCE_H
#define CORE_PRESENCE_H

#include "keyline/base.h"

enum kl_presence_state {
    KL_PRESENCE_IDLE,   /* nobody looks */
    KL_PRESENCE_WAITS,  /* the next look is due at `at` */
    KL_PRESENCE_GREETS, /* the station reset the chip into its loader and calls it */
    KL_PRESENCE_ASKS,   /* it answered; the station asks for its MAC */
};

enum kl_presence_verdict {
    KL_PRESENCE_SAME,   /* the board that was seen last */
    KL_PRESENCE_OTHER,  /* another one */
    KL_PRESENCE_UNSURE, /* one unanswered call may be a bad contact */
    KL_PRESENCE_NOBODY, /* two are an empty bed */
};

struct kl_presence {
    enum kl_presence_state state;
    kl_us at;           /* WAITS; else KL_NEVER */
    unsigned misses;    /* calls in a row that nobody answered */
    struct kl_mac seen; /* who was last identified in this place; all zero = nobody */
};

void kl_presence_init(struct kl_presence *p);
void kl_presence_stop(struct kl_presence *p);
void kl_presence_wait(struct kl_presence *p, kl_us at);
void kl_presence_greet(struct kl_presence *p);
void kl_presence_ask(struct kl_presence *p); /* GREETS only */
bool kl_presence_is_looking(const struct kl_presence *p);

/* SAME or OTHER. The caller then sets whose MAC counts as seen (kl_presence_remember). */
enum kl_presence_verdict kl_presence_saw(struct kl_presence *p, const struct kl_mac *mac);
enum kl_presence_verdict kl_presence_missed(struct kl_presence *p); /* UNSURE or NOBODY */
void kl_presence_remember(struct kl_presence *p, const struct kl_mac *mac);
void kl_presence_forget(struct kl_presence *p); /* nobody has been seen here */

#endif
