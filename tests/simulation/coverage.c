/* coverage.c: what all runs together have met. An oracle that no run asks proves nothing. */
#include <stdio.h>
#include <string.h>

#include "world.h"

enum {
    BOARD_FAULTS_MAX = 128
};

static uint64_t kinds[SIM_KIND_COUNT], states[KL_ST_COUNT], reasons[KL_FAULT_COUNT];
static uint64_t board_faults[BOARD_FAULTS_MAX];

static const char *const kind_names[] = {
#define X(name, text) [SIM_##name] = text,
    SIM_KINDS(X)
#undef X
};

/* Reasons that no simulated bench can give, and what would be needed. */
static const enum kl_reason unreachable[] = {
    KL_FAULT_NONE,
    KL_FAULT_UNKNOWN_CHIP,    /* a chip that virtual boards don't play */
    KL_FAULT_CHIP_REVISION,   /* images that ask for a revision */
    KL_FAULT_BAD_APP,         /* a bundle whose parts do not fit each other */
    KL_FAULT_BAD_PARTITIONS,  /* the same */
    KL_FAULT_PROTOCOL,        /* a damaged answer with a right checksum */
    KL_FAULT_REFUSED,         /* the same */
    KL_FAULT_BOOT_LOOP,       /* a program that restarts and never says why */
    KL_FAULT_POOL_WAIT,       /* a shared pool: test_station_pool, e2e in tests/fleet */
    KL_FAULT_BOARD_ELSEWHERE, /* the same */
    KL_FAULT_POOL_DISPUTE,    /* the same */
};

void saw(enum sim_kind kind)
{
    kinds[kind]++;
}

void saw_state(enum kl_state state)
{
    states[state]++;
}

void saw_reason(enum kl_reason reason)
{
    reasons[reason]++;
}

void saw_board_fault(unsigned fault)
{
    board_faults[fault]++;
}

static bool is_unreachable(enum kl_reason reason)
{
    for (size_t i = 0; i < sizeof unreachable / sizeof unreachable[0]; i++)
        if (unreachable[i] == reason)
            return true;
    return false;
}

/* Prints one line of the list; false if the runs should have met it and did not. */
static bool line(bool list, const char *what, const char *name, uint64_t count)
{
    if (list)
        printf("%-12s %-44s %12llu\n", what, name, (unsigned long long)count);
    else if (count == 0)
        printf("never met: %s %s\n", what, name);
    return count > 0;
}

bool coverage(bool list)
{
    struct kl_vboard_fault_info info;
    bool whole = true;

    for (unsigned i = 0; i < SIM_KIND_COUNT; i++)
        whole &= line(list, "happening", kind_names[i], kinds[i]);
    for (unsigned i = 0; i < KL_ST_COUNT; i++)
        whole &= line(list, "state", kl_state_name((enum kl_state)i), states[i]);
    for (unsigned i = 0; i < KL_FAULT_COUNT; i++)
        if (!is_unreachable((enum kl_reason)i))
            whole &= line(list, "reason", kl_fault_info((enum kl_reason)i).name, reasons[i]);
    for (unsigned i = 0; kl_vboard_fault_info(i, &info); i++)
        if (board_fault_is_drawn(info.name))
            whole &= line(list, "board fault", info.name, board_faults[i]);
    return whole;
}
