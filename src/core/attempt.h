/*
 * attempt.h: a board's tries: which one is lived, how the last one ended, which are left.
 *
 * A value that asks nobody. A try begins when the link is open, or fails before that. It ends with
 * a result. The station tells that result as the board's once no other try follows. Times are core
 * time in microseconds, KL_NEVER = not due.
 */
#ifndef CORE_ATTEMPT_H
#define CORE_ATTEMPT_H

#include "keyline/station.h"

enum kl_attempts_state {
    KL_ATTEMPTS_REST,    /* no try runs; the last one's result was told */
    KL_ATTEMPTS_FIRST,   /* a try runs */
    KL_ATTEMPTS_BETWEEN, /* the last one ended; another may follow, so its result is not told yet */
    KL_ATTEMPTS_AGAIN,   /* a try runs after one that failed and was not told */
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
    kl_us retry_at; /* next automatic try; KL_NEVER = a person decides, or none is due */
    enum kl_flashing flashing;
    struct kl_mac damaged; /* this board showed its own key damaged twice: the next try erases it */

    /* the running try, or the last one */
    struct {
        kl_us started;
        int64_t wall_started;
        bool already; /* the board held its key before this try */
        kl_us took[KL_ST_COUNT];
    } lived;
    struct kl_attempt ended; /* the last try that ended: notes and the store point to it */
};

/* Another board is here, or none: forgets the one before. The last result stays readable. */
void kl_attempts_forget(struct kl_attempts *a);
/* A person asks for another try: all retries are available again. */
void kl_attempts_renew(struct kl_attempts *a, enum kl_flashing flashing);
/* The board was exchanged and no port told so: this try is the new board's first. */
void kl_attempts_restart(struct kl_attempts *a);

bool kl_attempts_is_lived(const struct kl_attempts *a);
void kl_attempts_begin(struct kl_attempts *a, kl_us now, int64_t wall);
/* Adds `spent` to the time that this try took in `state`. */
void kl_attempts_spend(struct kl_attempts *a, enum kl_state state, kl_us spent);
/* The try ends. The record holds times, tries and result; the caller fills in what it knows of the
   board. */
struct kl_attempt *kl_attempts_end(struct kl_attempts *a, enum kl_state result, kl_us now,
                                   int64_t wall);
/* Makes the last result the board's: the caller tells it, once. */
void kl_attempts_tell(struct kl_attempts *a);
/* Did a try fail without being told, because another was to follow? */
bool kl_attempts_owe_failure(const struct kl_attempts *a);

/* May the board be identified again without counting a failure? False: too often in one try. */
bool kl_attempts_may_restart(struct kl_attempts *a);
/* Takes one of the retries left for this reason and returns when it is due; KL_NEVER = none is
   left. `allowed`: -1 = the fault table's number. */
kl_us kl_attempts_take_retry(struct kl_attempts *a, enum kl_reason reason, int allowed, kl_us now);
/* Was a retry taken for this reason? */
bool kl_attempts_retried(const struct kl_attempts *a, enum kl_reason reason);

#endif
