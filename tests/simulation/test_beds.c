/* Needle beds: the adapter stays, and only talking tells which board is there. The oracles of the
   simulation look on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "on_bench.h"

static void fixture(unsigned keys)
{
    w->fixture = true;
    world_start(w, keys);
    pass(2);
}

static void bed_cycle(void **state)
{
    int first;

    (void)state;
    fixture(8);
    pass(2);
    first = board_with(w, "");
    put_in(w, 0, first);
    wait_for(0, KL_ST_DONE, 20);
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE); /* the same board: its result stays */
    assert_int_equal(snap.done, 1);
    take_out(w, 0);
    pass(2);
    put_in(w, 0, board_with(w, "")); /* exchanged before the station noticed an empty bed */
    pass(20);
    assert_int_equal(snap.done, 2);
    take_out(w, 0);
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    put_in(w, 0, first);
    pass(20);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_string_equal(snap.slot[0].label, "dev-0000");
    assert_int_equal(snap.keys.free, 6);
}

/* At whatever instant it is skipped, also while it is being looked for. */
static void bed_skipped_and_exchanged(void **state)
{
    (void)state;
    fixture(40);
    for (unsigned i = 0; i < 30; i++) {
        put_in(w, 0, board_with(w, "never_asks"));
        pass(3);
        world_command(w, KL_CMD_PAUSE, 0);
        world_command(w, KL_CMD_SKIP, 0);
        world_command(w, KL_CMD_RETRY, 0);
        step_until(w, w->now + KL_SEC(2) + (kl_us)i * KL_MS(20));
        world_command(w, KL_CMD_SKIP, 0);
        world_command(w, KL_CMD_RESUME, 0);
        pass(5);
        assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
        take_out(w, 0);
        pass(1);
        put_in(w, 0, board_with(w, ""));
        wait_for(0, KL_ST_DONE, 20);
        take_out(w, 0);
        pass(8);
        assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    }
}

static void bed_exchanged_between_tries(void **state)
{
    (void)state;
    fixture(8);
    put_in(w, 0, board_with(w, "md5_wrong"));
    wait_for(0, KL_ST_FAILED, 20);
    take_out(w, 0);
    pass(1);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 30);
    assert_int_equal(snap.failed, 1);
    assert_int_equal(snap.done, 1);
    assert_int_equal(snap.slot[0].tries, 1);
}

/* Hands are quicker than the station: the board's old bed still shows its result. */
static void bed_to_bed(void **state)
{
    int board;

    (void)state;
    fixture(8);
    board = board_with(w, "");
    put_in(w, 0, board);
    wait_for(0, KL_ST_DONE, 20);
    take_out(w, 0);
    pass(1);
    put_in(w, 1, board);
    wait_for(1, KL_ST_DONE, 20);
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    assert_int_equal(snap.keys.free, 7);
}

static void bed_board_was_away(void **state)
{
    int board;

    (void)state;
    fixture(8);
    board = board_with(w, "");
    put_in(w, 0, board);
    wait_for(0, KL_ST_CONNECTING, 10);
    take_out(w, 0);
    wait_for(0, KL_ST_FAILED, 40);
    while (snap.slot[0].retry_at != KL_NEVER)
        pass(1);
    put_in(w, 0, board);
    wait_for(0, KL_ST_DONE, 30);
}

/* The board leaves its bed shortly before a slow disk answers: its reservation has come, and nobody
   asks any more. */
static void bed_left_on_a_slow_disk(void **state)
{
    (void)state;
    fixture(8);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 20);
    assert_int_equal(w->store_count, 1);
    w->store[0].durable_at = w->store[0].answer_at = w->now + KL_MS(4900);
    step_until(w, w->now + KL_MS(3900));
    take_out(w, 0);
    pass(1);
    assert_int_equal(snap.slot[0].state, KL_ST_RESERVING);
    pass(60);
    assert_false(w->key[0].sent);
    assert_int_equal(snap.keys.free, 8);
}

/* Its old bed still waits for it, and hears the next board: that is no proof of two boards with one
   MAC. */
static void bed_to_bed_while_its_key_is_reserved(void **state)
{
    int board;

    (void)state;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    w->config.confirm = KL_CONFIRM_FLASH;
    fixture(8);
    board = board_with(w, "");
    put_in(w, 0, board);
    wait_for(0, KL_ST_RESERVING, 20);
    w->store[0].durable_at = w->store[0].answer_at = w->now + KL_MS(500);
    take_out(w, 0);
    put_in(w, 1, board);
    wait_for(1, KL_ST_CONNECTING, 20);
    put_in(w, 0, board_with(w, ""));
    pass(90);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_int_equal(snap.slot[1].state, KL_ST_DONE);
    assert_int_equal(snap.keys.free, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(bed_cycle),
        ON_BENCH(bed_skipped_and_exchanged),
        ON_BENCH(bed_exchanged_between_tries),
        ON_BENCH(bed_to_bed),
        ON_BENCH(bed_board_was_away),
        ON_BENCH(bed_left_on_a_slow_disk),
        ON_BENCH(bed_to_bed_while_its_key_is_reserved),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    sim_images_free();
    return failed;
}
