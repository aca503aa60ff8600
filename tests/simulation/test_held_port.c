/* Another program holds a port, and lets it go: its board has its turn by itself. The oracles of
   the simulation look on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "on_bench.h"

/* A serial monitor holds the port. Once it lets go, the board has its turn without a key pressed.
 */
static void a_port_that_is_let_go_is_tried_again(void **state)
{
    unsigned tries;

    (void)state;
    world_start(w, 8);
    w->held[0] = true;
    put_in(w, 0, board_with(w, ""));
    pass(120);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_PORT_BUSY);
    assert_true(snap.slot[0].retry_at == KL_NEVER);
    assert_int_equal(snap.failed, 1);
    tries = snap.slot[0].tries;

    /* Somebody else was quicker: that is one more turn, and then it rests again. */
    say_free(w, 0, w->now);
    pass(120);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_PORT_BUSY);
    assert_int_equal(snap.slot[0].tries, 2 * tries);

    w->held[0] = false;
    say_free(w, 0, w->now);
    wait_for(0, KL_ST_DONE, 60);
}

/* The station waits for its next try. It need not wait once the port is free. */
static void a_port_that_is_let_go_need_not_wait(void **state)
{
    kl_us at;

    (void)state;
    world_start(w, 8);
    w->held[0] = true;
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FAILED, 20);
    at = snap.slot[0].retry_at;
    assert_true(at != KL_NEVER);
    w->held[0] = false;
    say_free(w, 0, w->now);
    step_until(w, w->now + KL_MS(20));
    kl_station_look(w->st, &snap);
    assert_true(w->now < at);
    assert_int_not_equal(snap.slot[0].state, KL_ST_FAILED);
    wait_for(0, KL_ST_DONE, 60);
}

/* A free port is no reason to start a board that failed of something else, was set aside, or has
   had the one turn that --once gives. */
static void a_port_that_is_let_go_starts_nothing_else(void **state)
{
    (void)state;
    w->config.once = true;
    world_start(w, 8);
    w->held[0] = true;
    put_in(w, 0, board_with(w, ""));
    put_in(w, 1, board_with(w, "mute"));
    pass(120);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_PORT_BUSY);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_NO_SYNC);
    w->held[0] = false;
    for (unsigned i = 0; i < 3; i++)
        say_free(w, i, w->now);
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[1].state, KL_ST_FAILED);
    assert_int_equal(snap.failed, 3); /* with the empty slot */
}

static void a_port_that_is_let_go_leaves_skipped_alone(void **state)
{
    (void)state;
    world_start(w, 8);
    w->held[0] = true;
    put_in(w, 0, board_with(w, ""));
    pass(120);
    world_command(w, KL_CMD_SKIP, 0);
    w->held[0] = false;
    say_free(w, 0, w->now + KL_SEC(1));
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_port_that_is_let_go_is_tried_again, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(a_port_that_is_let_go_need_not_wait, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(a_port_that_is_let_go_starts_nothing_else, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(a_port_that_is_let_go_leaves_skipped_alone, open_bench,
                                        close_bench),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    sim_images_free();
    return failed;
}
