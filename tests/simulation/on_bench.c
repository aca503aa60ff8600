/* on_bench.c: see on_bench.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "on_bench.h"

struct world *w;
struct kl_snapshot snap;

int open_bench(void **state)
{
    (void)state;
    w = calloc(1, sizeof *w);
    world_quiet(w, 3);
    return 0;
}

int close_bench(void **state)
{
    (void)state;
    assert_string_equal(w->violation, "");
    world_finish(w);
    free(w);
    return 0;
}

void pass(unsigned seconds)
{
    step_until(w, w->now + KL_SEC(seconds));
    oracle_boards(w);
    kl_station_look(w->st, &snap);
}

void wait_for(unsigned slot, enum kl_state state, unsigned seconds)
{
    kl_us until = w->now + KL_SEC(seconds);

    do {
        step_until(w, w->now + KL_MS(5));
        assert_string_equal(w->violation, ""); /* after a violation time stands still */
        kl_station_look(w->st, &snap);
    } while (snap.slot[slot].state != state && w->now < until);
    assert_string_equal(kl_state_name(snap.slot[slot].state), kl_state_name(state));
}
