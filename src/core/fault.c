#include "keyline/fault.h"

/* Automatic retries and the wait before the first, by policy; the wait doubles each time. */
static const struct {
    uint8_t retries;
    kl_us back_off;
} policies[] = {
    [KL_POLICY_STOP] = {0, 0},
    [KL_POLICY_RECONNECT] = {2, KL_MS(500)},
    [KL_POLICY_SLOWER] = {3, KL_MS(300)},
    [KL_POLICY_AGAIN] = {2, KL_SEC(1)},
    [KL_POLICY_WAIT] = {0, 0},
};

static const struct {
    const char *name, *text, *advice;
    enum kl_policy policy;
} faults[KL_FAULT_COUNT] = {
#define X(id, event_name, policy_name, what, advice_text)                                          \
    [KL_FAULT_##id] = {event_name, what, advice_text, KL_POLICY_##policy_name},
    KL_FAULTS(X)
#undef X
};

struct kl_fault_info kl_fault_info(enum kl_reason reason)
{
    KL_ASSERT((unsigned)reason < KL_FAULT_COUNT);
    return (struct kl_fault_info){
        .name = faults[reason].name,
        .text = faults[reason].text,
        .advice = faults[reason].advice,
        .policy = faults[reason].policy,
        .retries = policies[faults[reason].policy].retries,
        .back_off = policies[faults[reason].policy].back_off,
    };
}
