/*
 * fleet_thread.h: one thread with the station's connection to its pool. It asks the core (fleet.h)
 * what to say, carries it out (fleet_hand.h), and tells the loop what came of it. The loop and the
 * store's workers never wait for it.
 *
 * All functions are the loop's.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_THREAD_H
#define KEYLINE_ADAPTERS_FLEET_THREAD_H

#include <uv.h>

#include "fleet_hand.h"
#include "keyline/station.h"

struct kl_fleet_thread;

enum kl_fleet_verdict {
    KL_VERDICT_WAITS,    /* not yet */
    KL_VERDICT_MAY,      /* the pool has agreed, durably here: the key may be sent */
    KL_VERDICT_OTHER,    /* another station's board: the text says whose */
    KL_VERDICT_DISPUTED, /* the pool has another owner for this key or board: send nothing */
};

struct kl_fleet_figures {
    uint32_t free; /* keys of the list that were never reserved, as the store shows it */
    uint32_t rows; /* of the list, as the store shows it */
    uint32_t per_hour;
    char status[KL_FLEET_STATUS_MAX]; /* JSON: what the fleet's dashboard shows of this station */
};

/* `hand` is opened; the thread owns it from here on. `news`: called on the loop when something
   changed: a verdict, the view, a note, the end. */
struct kl_fleet_thread *kl_fleet_thread_start(struct kl_fleet_hand *hand,
                                              const struct kl_fleet_config *config, uv_loop_t *loop,
                                              void (*news)(void *ctx), void *ctx);

/* This key is reserved for the board in this slot, and nothing of it was sent: may it be? Asking
   the same again changes nothing. */
void kl_fleet_thread_ask(struct kl_fleet_thread *t, unsigned slot,
                         const struct kl_fleet_pair *pair);
void kl_fleet_thread_withdraw(struct kl_fleet_thread *t, unsigned slot);
/* The key is no board's any more: nothing is asked about it from here on. */
void kl_fleet_thread_forget(struct kl_fleet_thread *t, const struct kl_fingerprint *key);
/* `text`: of OTHER; of WAITS: why, if that is known; else "". */
enum kl_fleet_verdict kl_fleet_thread_verdict(struct kl_fleet_thread *t, unsigned slot,
                                              const struct kl_fleet_pair *pair,
                                              char text[KL_TEXT_MAX]);
void kl_fleet_thread_figures(struct kl_fleet_thread *t, const struct kl_fleet_figures *figures);
/* The history has grown. */
void kl_fleet_thread_stir(struct kl_fleet_thread *t);
void kl_fleet_thread_look(struct kl_fleet_thread *t, struct kl_fleet_view *out);
/* The next note for people; false: none. */
bool kl_fleet_thread_note(struct kl_fleet_thread *t, char text[KL_TEXT_MAX]);

/* The station ends, and its store is closed: the thread tells the rest, gives back what was never
   sent, and ends. */
void kl_fleet_thread_part(struct kl_fleet_thread *t);
/* Breaks off the call that runs. */
void kl_fleet_thread_hurry(struct kl_fleet_thread *t);
bool kl_fleet_thread_is_gone(struct kl_fleet_thread *t);
/* There is no news from here on. Calls `closed` when the loop has nothing of it any more. */
void kl_fleet_thread_close(struct kl_fleet_thread *t, void (*closed)(void *ctx));
/* After that. Waits for a thread that is gone; leaves one that hangs in a call
   behind, with what it has: false. */
bool kl_fleet_thread_free(struct kl_fleet_thread *t);

#endif
