/* attempt.c: see attempt.h. */
#include "attempt.h"

#include <string.h>

enum {
    RESTARTS_MAX = 3,  /* times a board is identified again because another may have come */
    DOUBLINGS_MAX = 6, /* of the wait before a retry */
};

void kl_attempts_forget(struct kl_attempts *a)
{
    KL_ASSERT(!kl_attempts_is_lived(a) && !kl_attempts_owe_failure(a));
    a->tries = 0;
    kl_attempts_renew(a, KL_FLASHING_WRITES);
    a->damaged = (struct kl_mac){0};
}

void kl_attempts_renew(struct kl_attempts *a, enum kl_flashing flashing)
{
    KL_ASSERT(flashing == KL_FLASHING_WRITES || flashing == KL_FLASHING_ERASES);
    memset(a->used, 0, sizeof a->used);
    a->restarts = 0;
    a->flashing = flashing;
}

void kl_attempts_restart(struct kl_attempts *a)
{
    KL_ASSERT(a->state == KL_ATTEMPTS_FIRST);
    memset(a->used, 0, sizeof a->used);
    a->tries = 1;
    a->flashing = KL_FLASHING_WRITES;
}

bool kl_attempts_is_lived(const struct kl_attempts *a)
{
    return a->state == KL_ATTEMPTS_FIRST || a->state == KL_ATTEMPTS_AGAIN;
}

void kl_attempts_begin(struct kl_attempts *a, kl_us now, int64_t wall)
{
    KL_ASSERT(!kl_attempts_is_lived(a));
    a->state = a->state == KL_ATTEMPTS_BETWEEN ? KL_ATTEMPTS_AGAIN : KL_ATTEMPTS_FIRST;
    a->tries++;
    memset(&a->lived, 0, sizeof a->lived);
    a->lived.started = now;
    a->lived.wall_started = wall;
}

void kl_attempts_spend(struct kl_attempts *a, enum kl_state state, kl_us spent)
{
    KL_ASSERT((unsigned)state < KL_ST_COUNT && spent >= 0);
    if (kl_attempts_is_lived(a))
        a->lived.took[state] += spent;
}

struct kl_attempt *kl_attempts_end(struct kl_attempts *a, enum kl_state result, kl_us now,
                                   int64_t wall)
{
    KL_ASSERT(kl_attempts_is_lived(a));
    KL_ASSERT(result == KL_ST_DONE || result == KL_ST_FAILED || result == KL_ST_SKIPPED);
    a->state = KL_ATTEMPTS_BETWEEN;
    a->ended = (struct kl_attempt){
        .started = a->lived.started,
        .wall_started = a->lived.wall_started,
        .ended = now,
        .wall_ended = wall,
        .result = result,
        .tries = a->tries,
        .already = a->lived.already,
    };
    memcpy(a->ended.took, a->lived.took, sizeof a->ended.took);
    return &a->ended;
}

void kl_attempts_tell(struct kl_attempts *a)
{
    KL_ASSERT(a->ended.result != KL_ST_EMPTY);
    a->state = kl_attempts_is_lived(a) ? KL_ATTEMPTS_FIRST : KL_ATTEMPTS_REST;
}

bool kl_attempts_owe_failure(const struct kl_attempts *a)
{
    bool untold = a->state == KL_ATTEMPTS_BETWEEN || a->state == KL_ATTEMPTS_AGAIN;

    return untold && a->ended.result == KL_ST_FAILED;
}

bool kl_attempts_may_restart(struct kl_attempts *a)
{
    KL_ASSERT(kl_attempts_is_lived(a));
    return ++a->restarts <= RESTARTS_MAX;
}

kl_us kl_attempts_take_retry(struct kl_attempts *a, enum kl_reason reason, int allowed, kl_us now)
{
    struct kl_fault_info info = kl_fault_info(reason);
    bool a_retry_may_help = info.policy != KL_POLICY_STOP && info.policy != KL_POLICY_WAIT;
    unsigned left = allowed >= 0 && a_retry_may_help ? (unsigned)allowed : info.retries;
    unsigned used = a->used[reason];

    KL_ASSERT(left <= UINT8_MAX);
    if (used >= left)
        return KL_NEVER;
    a->used[reason]++;
    return now + (info.back_off << (used < DOUBLINGS_MAX ? used : DOUBLINGS_MAX));
}

bool kl_attempts_retried(const struct kl_attempts *a, enum kl_reason reason)
{
    KL_ASSERT((unsigned)reason < KL_FAULT_COUNT);
    return a->used[reason] > 0;
}
