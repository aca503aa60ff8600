/* on_bench.h: what the scripted tests of the simulated bench share: a quiet world of three slots,
   and waiting in its time. The oracles of the simulation look on. */
#ifndef TESTS_ON_BENCH_H
#define TESTS_ON_BENCH_H

#include "world.h"

extern struct world *w;         /* the bench of the test that runs */
extern struct kl_snapshot snap; /* what its station showed last */

int open_bench(void **state);
int close_bench(void **state);
void pass(unsigned seconds);
/* Passes time until the slot is in that state, at most so long; looks often. */
void wait_for(unsigned slot, enum kl_state state, unsigned seconds);

#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)

#endif
