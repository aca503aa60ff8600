/* What the station decides where its keys come from a pool that several stations share. The oracles
   of the simulation look on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "on_bench.h"

/* The pool's database is silent: the board waits for as long as that takes, says why, and changes
   nothing meanwhile. */
static void a_board_waits_for_the_shared_pool(void **state)
{
    kl_us since;

    (void)state;
    w->pool_says = KL_STORE_WAITS;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 20);
    pass(1);
    since = snap.slot[0].since;
    pass(600);
    assert_int_equal(snap.slot[0].state, KL_ST_RESERVING);
    assert_true(snap.slot[0].since == since);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_POOL_WAIT);
    assert_string_equal(snap.slot[0].fault.detail, "the pool says so");
    assert_string_equal(snap.slot[0].label, "dev-0000");
    assert_false(snap.store_trouble);
    assert_int_equal(snap.keys.free, 3);
    assert_false(w->key[0].sent);
    w->pool_says = KL_STORE_OK;
    wait_for(0, KL_ST_DONE, 20);
    assert_int_equal(snap.first_pass, 1);
}

static void a_board_of_another_station_gets_no_key(void **state)
{
    (void)state;
    w->pool_says = KL_STORE_ELSEWHERE;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FAILED, 20);
    pass(60);
    assert_int_equal(snap.slot[0].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_BOARD_ELSEWHERE);
    assert_string_equal(snap.slot[0].fault.detail, "the pool says so");
    assert_string_equal(snap.slot[0].label, "");
    assert_true(snap.slot[0].retry_at == KL_NEVER);
    assert_int_equal(snap.keys.free, 4);
    assert_int_equal(snap.failed, 1);
    w->pool_says = KL_STORE_OK; /* its owner has settled it */
    world_command(w, KL_CMD_RETRY, 0);
    wait_for(0, KL_ST_DONE, 20);
}

/* The pool has another owner for the key, or for the board: nothing is sent, and nobody else gets
   that key. */
static void a_disputed_key_stays_reserved(void **state)
{
    (void)state;
    w->pool_says = KL_STORE_DISPUTED;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FAILED, 20);
    pass(60);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_POOL_DISPUTE);
    assert_true(snap.slot[0].retry_at == KL_NEVER);
    assert_true(w->key[0].reserved);
    assert_false(w->key[0].sent);
    take_out(w, 0);
    w->pool_says = KL_STORE_OK;
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 20);
    assert_string_equal(snap.slot[0].label, "dev-0001");
}

/* A person has to answer about the list of keys: a board says that it waits for that, and not for a
   disk, and goes on by itself. */
static void a_board_waits_for_an_answer_about_the_list(void **state)
{
    (void)state;
    w->list_asks = true;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 20);
    pass(60);
    assert_int_equal(snap.slot[0].state, KL_ST_RESERVING);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_LIST_ASKS);
    assert_string_equal(snap.slot[0].fault.detail, "line 7: a header, not a key");
    assert_false(w->key[0].reserved);
    assert_false(w->key[0].sent);
    w->list_asks = false;
    wait_for(0, KL_ST_DONE, 20);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_NONE);
    assert_int_equal(snap.first_pass, 1);
}

/* The operator stops a bench whose boards wait for the pool: it ends at once. */
static void a_bench_that_waits_for_the_pool_can_be_stopped(void **state)
{
    (void)state;
    w->pool_says = KL_STORE_WAITS;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 20);
    pass(5);
    world_command(w, KL_CMD_STOP, 0);
    pass(3);
    assert_int_equal(snap.slot[0].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_STOPPED);
    assert_int_equal(snap.keys.free, 4);
}

static void skipped_while_it_waits_for_the_pool(void **state)
{
    (void)state;
    w->pool_says = KL_STORE_WAITS;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 20);
    pass(5);
    world_command(w, KL_CMD_SKIP, 0);
    pass(5);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    take_out(w, 0);
    w->pool_says = KL_STORE_OK;
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 20);
    assert_int_equal(snap.keys.free, 3);
}

/* Keys that a pool will still give are waited for, with --once too; keys that it does not give are
   missing. */
static void keys_that_come_are_waited_for(void **state)
{
    (void)state;
    w->config.once = w->config.pooled = true;
    w->slots = 1;
    w->keys_come = true;
    world_start(w, 0);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_ASKING, 20);
    pass(20);
    assert_int_equal(snap.slot[0].state, KL_ST_ASKING);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_POOL_WAIT);
    w->keys_come = false;
    disk_load(w);
    pass(1);
    assert_int_equal(snap.slot[0].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_NO_KEYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(a_board_waits_for_the_shared_pool),
        ON_BENCH(a_board_of_another_station_gets_no_key),
        ON_BENCH(a_disputed_key_stays_reserved),
        ON_BENCH(a_bench_that_waits_for_the_pool_can_be_stopped),
        ON_BENCH(a_board_waits_for_an_answer_about_the_list),
        ON_BENCH(skipped_while_it_waits_for_the_pool),
        ON_BENCH(keys_that_come_are_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
