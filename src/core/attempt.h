/*
 * attempt.h: a board's tries: which one is lived, how the last one ended, which are left.
 *
 * A value that asks nobody. A try begins when the link is open (or fails before that), ends with a
 * result, and is told as the board's result once no other try follows. Times are core time in
 * microseconds, KL_NEVER = not due.
 */
#ifndef CORE_ATTEMPT_H
#define CORE_ATTEMPT_H

#include "keyline/station.h"

enum kl_attempts_state {
    KL_ATTEMPTS_REST,    /* none is lived, and the last one's result was told */
    KL_ATTEMPTS_FIRST,   /* one is lived */
    KL_ATTEMPTS_BETWEEN, /* the last one ended; its result is not the board's if another follows */
    KL_ATTEMPTS_AGAIN,   /* one is lived after one that failed and was not told */
};

/* What the next flashing does to the board. */
enum kl_flashing {
    KL_FLASHING_WRITES, /* what differs */
    KL_FLASHING_ERASES, /* everything first */
};

struct kl_attempts {
    enum kl_attempts_state state;
    unsigned tries;               /* of this board, 1 = the first */
    uint8_t used[KL_FAULT_COUNT]; /* retries, for each reason */
    unsigned restarts;            /* times it was identified again within this try */
    kl_us retry_at;               /* by itself; KL_NEVER = a person decides, or none is due */
    enum kl_flashing flashing;
    struct kl_mac damaged; /* this board twice showed its own key damaged: it is to be erased */

    /* the try that is lived, or was last */
    struct {
        kl_us started;
        int64_t wall_started;
        bool already; /* the board held its key before */
        kl_us took[KL_ST_COUNT];
    } lived;
    struct kl_attempt ended; /* the last one that ended: notes and the store point to it */
};

/* Another board, or none: nothing of the one before counts. The last result stays readable. */
void kl_attempts_forget(struct kl_attempts *a);
/* A person wants it tried again: every retry is there again. */
void kl_attempts_renew(struct kl_attempts *a, enum kl_flashing flashing);
/* Where no port told that the board was exchanged: this try is another board's first. */
void kl_attempts_restart(struct kl_attempts *a);

bool kl_attempts_is_lived(const struct kl_attempts *a);
void kl_attempts_begin(struct kl_attempts *a, kl_us now, int64_t wall);
/* `spent` more in `state`. */
void kl_attempts_spend(struct kl_attempts *a, enum kl_state state, kl_us spent);
/* The try ends. The record holds times, tries and result; what is known of the board is the
   caller's to fill in. */
struct kl_attempt *kl_attempts_end(struct kl_attempts *a, enum kl_state result, kl_us now,
                                   int64_t wall);
/* The last result is the board's: it is told, once. */
void kl_attempts_tell(struct kl_attempts *a);
/* Did a try fail of which nobody was told, because another was to follow? */
bool kl_attempts_owe_failure(const struct kl_attempts *a);

/* Identified again, without counting a failure; false: too often within one try. */
bool kl_attempts_may_restart(struct kl_attempts *a);
/* Takes one of the retries that are left for this reason: when it is due; KL_NEVER = none is left.
   `allowed`: -1 = the fault table's number. */
kl_us kl_attempts_take_retry(struct kl_attempts *a, enum kl_reason reason, int allowed, kl_us now);
/* Was a retry taken for this reason? */
bool kl_attempts_retried(const struct kl_attempts *a, enum kl_reason reason);

#endif
