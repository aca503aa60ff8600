/* One station's side of a shared pool (fleet.h): the order of calls, doubts, offline, parting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/fleet.h"

static struct kl_fleet f;
static struct kl_fleet_call call;
static kl_us now;

static const struct kl_fleet_config config = {.slots = 4, .lease_max = 100};
static const struct kl_fleet_config offline = {
    .slots = 4, .lease_max = 100, .offline = KL_SEC(3600)};
static const struct kl_fleet_memory fresh = {.silent = KL_NEVER};
static const struct kl_mac mac = {{2, 0, 0, 0, 0, 1}};
static const struct kl_mac other_mac = {{2, 0, 0, 0, 0, 2}};

static int setup(void **state)
{
    (void)state;
    now = KL_SEC(1000);
    kl_fleet_init(&f, &config, &fresh, now);
    return 0;
}

static enum kl_fleet_op next(void)
{
    kl_fleet_next(&f, now, &call);
    return call.op;
}

static void answer(struct kl_fleet_answer a)
{
    kl_fleet_answered(&f, now, &a);
}

#define ANSWER(...) answer((struct kl_fleet_answer){.result = KL_FLEET_OK, __VA_ARGS__})

static void refuse(enum kl_fleet_refusal why)
{
    answer((struct kl_fleet_answer){.result = KL_FLEET_REFUSED, .refusal = why});
}

static void connect(void)
{
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = true, .may_lease = true);
    assert_int_equal(f.state, KL_FLEET_UP);
}

static void get_keys(uint32_t rows)
{
    assert_int_equal(next(), KL_FLEET_REMEMBER);
    ANSWER(.request = {{7}});
    assert_int_equal(next(), KL_FLEET_LEASE);
    ANSWER(.rows = rows);
    assert_int_equal(next(), KL_FLEET_KEEP);
    ANSWER(.rows = rows);
}

static void keys_are_asked_for_in_the_order_that_custody_needs(void **state)
{
    (void)state;
    connect();
    assert_int_equal(next(), KL_FLEET_REMEMBER);
    assert_int_equal(call.count, 8); /* two for each slot */
    ANSWER(.request = {{7}});
    assert_int_equal(next(), KL_FLEET_LEASE);
    assert_int_equal(call.request.b[0], 7);
    assert_int_equal(call.count, 8);
    ANSWER(.rows = 8);
    assert_int_equal(next(), KL_FLEET_KEEP);
    ANSWER(.rows = 8);
    assert_int_equal(next(), KL_FLEET_STATUS);
    ANSWER(.may_lease = true);
    assert_int_equal(next(), KL_FLEET_NOTHING);
}

static void a_lease_in_doubt_is_asked_for_with_the_same_id(void **state)
{
    (void)state;
    connect();
    next();
    ANSWER(.request = {{9}});
    assert_int_equal(next(), KL_FLEET_LEASE);
    answer((struct kl_fleet_answer){.result = KL_FLEET_DOUBT});
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = call.until;
    connect();
    assert_int_equal(next(), KL_FLEET_LEASE);
    assert_int_equal(call.request.b[0], 9);
    assert_int_equal(call.count, 8);
}

static void a_request_of_an_earlier_run_is_finished(void **state)
{
    struct kl_fleet_memory memory = {.requested = true, .request = {{3}}, .count = 5};
    (void)state;
    kl_fleet_init(&f, &config, &memory, now);
    connect();
    assert_int_equal(next(), KL_FLEET_LEASE);
    assert_int_equal(call.request.b[0], 3);
    assert_int_equal(call.count, 5);
}

static void rows_that_the_disk_refused_are_kept_later(void **state)
{
    (void)state;
    connect();
    next();
    ANSWER(.request = {{7}});
    next();
    ANSWER(.rows = 8);
    assert_int_equal(next(), KL_FLEET_KEEP);
    answer((struct kl_fleet_answer){.result = KL_FLEET_DOWN});
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = call.until;
    assert_int_equal(next(), KL_FLEET_KEEP);
}

static void the_batch_is_what_an_hour_needs(void **state)
{
    struct kl_fleet_bench bench = {.per_hour = 60, .free = 31};
    (void)state;
    connect();
    kl_fleet_tell_bench(&f, &bench);
    assert_int_equal(next(), KL_FLEET_STATUS); /* more than half an hour is left */
    ANSWER(.may_lease = true);
    bench.free = 30;
    kl_fleet_tell_bench(&f, &bench);
    assert_int_equal(next(), KL_FLEET_REMEMBER);
    assert_int_equal(call.count, 30);
    bench.per_hour = 5000;
    kl_fleet_tell_bench(&f, &bench);
    assert_int_equal(kl_fleet_wanted(&f), 100); /* --lease-max */
}

static void many_keys_come_in_parts_until_there_are_enough(void **state)
{
    const struct kl_fleet_config large = {.slots = 4, .lease_max = 10000};
    struct kl_fleet_bench bench = {.per_hour = 1500, .free = 750};
    (void)state;
    kl_fleet_init(&f, &large, &fresh, now);
    connect();
    kl_fleet_tell_bench(&f, &bench);
    get_keys(KL_FLEET_LEASE_MOST);
    assert_int_equal(call.count, 500);
    kl_fleet_ask(&f, 0, &mac, false); /* a board does not wait for all of them */
    assert_int_equal(next(), KL_FLEET_CLAIM);
    ANSWER(.owner = KL_FLEET_OURS);
    get_keys(250);
    assert_int_equal(call.count, 250);
    assert_int_equal(next(), KL_FLEET_STATUS);
}

static void a_pool_that_gives_fewer_is_not_pressed(void **state)
{
    struct kl_fleet_bench bench = {.per_hour = 100, .free = 50};
    (void)state;
    connect();
    kl_fleet_tell_bench(&f, &bench);
    get_keys(10);
    assert_int_equal(next(), KL_FLEET_STATUS);
    ANSWER(.may_lease = true);
    now += KL_SEC(60);
    while (next() == KL_FLEET_STATUS)
        ANSWER(.may_lease = true);
    assert_int_equal(call.op, KL_FLEET_NOTHING); /* more than half an hour is left */
}

static void an_empty_pool_is_asked_again_not_at_once(void **state)
{
    (void)state;
    connect();
    get_keys(0);
    assert_string_equal(kl_fleet_trouble(&f), kl_fleet_refusal_text(KL_FLEET_NO_EMPTY));
    assert_int_equal(next(), KL_FLEET_STATUS);
    ANSWER(.may_lease = true);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = KL_SEC(1015);
    while (next() == KL_FLEET_STATUS)
        ANSWER(.may_lease = true);
    assert_int_equal(call.op, KL_FLEET_REMEMBER);
}

static void a_board_waits_until_the_pool_knows_it(void **state)
{
    (void)state;
    kl_fleet_ask(&f, 2, &mac, false);
    assert_int_equal(kl_fleet_may(&f, 2, now), KL_FLEET_WAITS);
    connect();
    assert_int_equal(next(), KL_FLEET_CLAIM); /* before keys are fetched */
    assert_int_equal(call.slot, 2);
    assert_memory_equal(&call.mac, &mac, sizeof mac);
    ANSWER(.owner = KL_FLEET_OURS);
    assert_int_equal(kl_fleet_may(&f, 2, now), KL_FLEET_MAY);
}

static void another_stations_board_gets_nothing(void **state)
{
    (void)state;
    connect();
    kl_fleet_ask(&f, 1, &mac, false);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    ANSWER(.owner = KL_FLEET_OTHERS);
    assert_int_equal(kl_fleet_may(&f, 1, now), KL_FLEET_MAY_NOT);
}

static void a_key_that_the_pool_has_for_another_board_is_not_sent(void **state)
{
    (void)state;
    connect();
    kl_fleet_ask(&f, 1, &mac, false);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    refuse(KL_FLEET_NO_CONFLICT);
    assert_int_equal(kl_fleet_may(&f, 1, now), KL_FLEET_DISPUTED);
    assert_int_equal(f.state, KL_FLEET_UP); /* other boards go on */
}

static void an_answer_for_a_board_that_left_is_not_the_next_ones(void **state)
{
    (void)state;
    connect();
    kl_fleet_ask(&f, 1, &mac, false);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    kl_fleet_withdraw(&f, 1);
    kl_fleet_ask(&f, 1, &other_mac, false);
    ANSWER(.owner = KL_FLEET_OURS);
    assert_int_equal(kl_fleet_may(&f, 1, now), KL_FLEET_WAITS);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    assert_memory_equal(&call.mac, &other_mac, sizeof mac);
}

static void lose_database(void)
{
    while (next() != KL_FLEET_STATUS)
        ANSWER(.may_lease = true, .rows = call.count);
    answer((struct kl_fleet_answer){.result = KL_FLEET_DOWN});
    assert_int_equal(f.state, KL_FLEET_AWAY);
}

static void without_a_limit_boards_wait_for_the_database(void **state)
{
    (void)state;
    connect();
    lose_database();
    kl_fleet_ask(&f, 0, &mac, false);
    now += KL_SEC(1);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
    assert_string_equal(kl_fleet_trouble(&f), "the pool's database does not answer");
}

static void with_a_limit_they_go_on_and_are_checked_later(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    connect();
    lose_database();
    kl_fleet_ask(&f, 0, &mac, false);
    kl_fleet_ask(&f, 1, &other_mac, true);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_UNCHECKED);
    assert_int_equal(kl_fleet_may(&f, 1, now), KL_FLEET_MAY_NOT);
    kl_fleet_keep_unchecked(&f, 0);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_MAY);
    kl_fleet_withdraw(&f, 1);
    kl_fleet_withdraw(&f, 0);
    next();
    now = call.until;
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = true, .may_lease = true, .left = 1);
    assert_int_equal(next(), KL_FLEET_CHECK);
    ANSWER(.owner = KL_FLEET_OTHERS, .left = 0);
    assert_int_equal(f.doubles, 1);
}

static void the_limit_ends(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    connect();
    lose_database();
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(kl_fleet_may(&f, 0, now + KL_SEC(3599)), KL_FLEET_UNCHECKED);
    assert_int_equal(kl_fleet_may(&f, 0, now + KL_SEC(3601)), KL_FLEET_WAITS);
}

static void a_station_that_never_met_the_pool_is_not_offline(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
}

static void a_claim_on_its_way_is_not_overtaken(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    connect();
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
}

static void another_database_hears_first_what_is_held(void **state)
{
    (void)state;
    connect();
    kl_fleet_ask(&f, 0, &mac, false);
    next();
    ANSWER(.owner = KL_FLEET_OURS);
    lose_database();
    next();
    now = call.until;
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = false, .may_lease = false);
    assert_int_equal(next(), KL_FLEET_REASSERT);
    ANSWER(.left = 0);
    /* It may have forgotten the claim. */
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
    assert_int_equal(next(), KL_FLEET_STATUS); /* no claim, no lease, until a person reopened it */
    ANSWER(.may_lease = false);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_string_equal(kl_fleet_trouble(&f), kl_fleet_refusal_text(KL_FLEET_NO_FENCE));
    now = call.until;
    assert_int_equal(next(), KL_FLEET_STATUS);
    ANSWER(.may_lease = true);
    assert_int_equal(next(), KL_FLEET_CLAIM);
    ANSWER(.owner = KL_FLEET_OURS);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_MAY);
}

static void after_a_failover_boards_go_on_as_if_it_were_silent(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    connect();
    lose_database();
    next();
    now = call.until;
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = false, .may_lease = false);
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_UNCHECKED);
    kl_fleet_init(&f, &config, &fresh, now);
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = false, .may_lease = false);
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
}

static void a_failover_that_the_lease_meets_is_greeted(void **state)
{
    (void)state;
    connect();
    next();
    ANSWER(.request = {{7}});
    assert_int_equal(next(), KL_FLEET_LEASE);
    refuse(KL_FLEET_NO_FENCE);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = call.until;
    assert_int_equal(next(), KL_FLEET_HELLO);
}

static void a_copy_of_the_station_is_stopped(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &fresh, now);
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(next(), KL_FLEET_HELLO);
    refuse(KL_FLEET_NO_COPY);
    assert_int_equal(f.state, KL_FLEET_BARRED);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
    assert_string_equal(kl_fleet_trouble(&f), kl_fleet_refusal_text(KL_FLEET_NO_COPY));
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_int_equal(call.until, KL_NEVER); /* a later failover may not know it any more */
    kl_fleet_init(&f, &offline, &(struct kl_fleet_memory){.barred = KL_FLEET_NO_COPY}, now);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_string_equal(kl_fleet_trouble(&f), kl_fleet_refusal_text(KL_FLEET_NO_COPY));
    kl_fleet_part(&f);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_int_equal(f.state, KL_FLEET_GONE);
}

static void a_barred_station_stays_so_while_the_database_is_down(void **state)
{
    (void)state;
    kl_fleet_init(&f, &offline, &(struct kl_fleet_memory){.silent = KL_SEC(1)}, now);
    kl_fleet_ask(&f, 0, &mac, false);
    assert_int_equal(next(), KL_FLEET_HELLO);
    refuse(KL_FLEET_NO_VERSION);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = call.until;
    assert_int_equal(next(), KL_FLEET_HELLO);
    answer((struct kl_fleet_answer){.result = KL_FLEET_DOWN});
    assert_int_equal(f.state, KL_FLEET_BARRED);
    assert_int_equal(kl_fleet_may(&f, 0, now), KL_FLEET_WAITS);
}

static void a_station_that_was_not_known_asks_again(void **state)
{
    (void)state;
    assert_int_equal(next(), KL_FLEET_HELLO);
    refuse(KL_FLEET_NO_UNKNOWN);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    now = call.until;
    connect();
    assert_string_equal(kl_fleet_trouble(&f), "");
}

static void results_are_told_in_order(void **state)
{
    struct kl_fleet_bench bench = {.free = 50, .history = 12};
    struct kl_fleet_memory memory = {.reported = 10};
    (void)state;
    kl_fleet_init(&f, &config, &memory, now);
    kl_fleet_tell_bench(&f, &bench);
    assert_int_equal(kl_fleet_unsent(&f), 2);
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = true, .may_lease = true, .reported = 10);
    assert_int_equal(next(), KL_FLEET_REPORT);
    assert_int_equal(call.after, 10);
    ANSWER(.reported = 11);
    assert_int_equal(next(), KL_FLEET_REPORT);
    assert_int_equal(call.after, 11);
    ANSWER(.reported = 12);
    assert_int_equal(kl_fleet_unsent(&f), 0);
}

/* A database that has forgotten results hears them again. */
static void forgotten_results_are_told_again(void **state)
{
    struct kl_fleet_bench bench = {.free = 50, .history = 12};
    struct kl_fleet_memory memory = {.reported = 12};
    (void)state;
    kl_fleet_init(&f, &config, &memory, now);
    kl_fleet_tell_bench(&f, &bench);
    assert_int_equal(next(), KL_FLEET_HELLO);
    ANSWER(.same_database = false, .may_lease = false, .reported = 9);
    assert_int_equal(next(), KL_FLEET_REASSERT);
    ANSWER(.left = 0);
    assert_int_equal(next(), KL_FLEET_REPORT);
    assert_int_equal(call.after, 9);
    assert_int_equal(kl_fleet_unsent(&f), 3);
}

static void the_end_reports_and_hands_back(void **state)
{
    struct kl_fleet_bench bench = {.free = 50, .history = 1};
    (void)state;
    kl_fleet_tell_bench(&f, &bench);
    connect();
    kl_fleet_part(&f);
    assert_int_equal(next(), KL_FLEET_REPORT);
    ANSWER(.reported = 1);
    assert_int_equal(next(), KL_FLEET_HAND_BACK);
    ANSWER(.left = 0);
    assert_int_equal(f.state, KL_FLEET_GONE);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_int_equal(call.until, KL_NEVER);
}

static void what_was_promised_comes_here_before_it_is_handed_back(void **state)
{
    (void)state;
    connect();
    next();
    ANSWER(.request = {{7}});
    kl_fleet_part(&f);
    assert_int_equal(next(), KL_FLEET_LEASE);
    ANSWER(.rows = 8);
    assert_int_equal(next(), KL_FLEET_KEEP);
    ANSWER(.rows = 8);
    assert_int_equal(next(), KL_FLEET_HAND_BACK);
}

static void a_refusal_ends_the_parting(void **state)
{
    (void)state;
    connect();
    next();
    ANSWER(.request = {{7}});
    kl_fleet_part(&f);
    assert_int_equal(next(), KL_FLEET_LEASE);
    refuse(KL_FLEET_NO_CAP);
    assert_int_equal(f.state, KL_FLEET_GONE);
}

static void without_a_database_the_end_is_now(void **state)
{
    (void)state;
    connect();
    lose_database();
    kl_fleet_part(&f);
    assert_int_equal(next(), KL_FLEET_NOTHING);
    assert_int_equal(f.state, KL_FLEET_GONE);
}

static void no_slot_starves(void **state)
{
    unsigned told[KL_SLOTS_MAX] = {0};
    (void)state;
    connect();
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned slot = 0; slot < 3; slot++)
            kl_fleet_ask(&f, slot, &mac, false);
        assert_int_equal(next(), KL_FLEET_CLAIM);
        told[call.slot]++;
        ANSWER(.owner = KL_FLEET_OURS);
        kl_fleet_withdraw(&f, call.slot);
    }
    assert_int_equal(told[0], 10);
    assert_int_equal(told[2], 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keys_are_asked_for_in_the_order_that_custody_needs, setup),
        cmocka_unit_test_setup(a_lease_in_doubt_is_asked_for_with_the_same_id, setup),
        cmocka_unit_test_setup(a_request_of_an_earlier_run_is_finished, setup),
        cmocka_unit_test_setup(rows_that_the_disk_refused_are_kept_later, setup),
        cmocka_unit_test_setup(the_batch_is_what_an_hour_needs, setup),
        cmocka_unit_test_setup(many_keys_come_in_parts_until_there_are_enough, setup),
        cmocka_unit_test_setup(a_pool_that_gives_fewer_is_not_pressed, setup),
        cmocka_unit_test_setup(an_empty_pool_is_asked_again_not_at_once, setup),
        cmocka_unit_test_setup(a_board_waits_until_the_pool_knows_it, setup),
        cmocka_unit_test_setup(another_stations_board_gets_nothing, setup),
        cmocka_unit_test_setup(a_key_that_the_pool_has_for_another_board_is_not_sent, setup),
        cmocka_unit_test_setup(an_answer_for_a_board_that_left_is_not_the_next_ones, setup),
        cmocka_unit_test_setup(without_a_limit_boards_wait_for_the_database, setup),
        cmocka_unit_test_setup(with_a_limit_they_go_on_and_are_checked_later, setup),
        cmocka_unit_test_setup(the_limit_ends, setup),
        cmocka_unit_test_setup(a_station_that_never_met_the_pool_is_not_offline, setup),
        cmocka_unit_test_setup(a_claim_on_its_way_is_not_overtaken, setup),
        cmocka_unit_test_setup(another_database_hears_first_what_is_held, setup),
        cmocka_unit_test_setup(after_a_failover_boards_go_on_as_if_it_were_silent, setup),
        cmocka_unit_test_setup(a_failover_that_the_lease_meets_is_greeted, setup),
        cmocka_unit_test_setup(a_copy_of_the_station_is_stopped, setup),
        cmocka_unit_test_setup(a_barred_station_stays_so_while_the_database_is_down, setup),
        cmocka_unit_test_setup(a_station_that_was_not_known_asks_again, setup),
        cmocka_unit_test_setup(results_are_told_in_order, setup),
        cmocka_unit_test_setup(forgotten_results_are_told_again, setup),
        cmocka_unit_test_setup(the_end_reports_and_hands_back, setup),
        cmocka_unit_test_setup(what_was_promised_comes_here_before_it_is_handed_back, setup),
        cmocka_unit_test_setup(a_refusal_ends_the_parting, setup),
        cmocka_unit_test_setup(without_a_database_the_end_is_now, setup),
        cmocka_unit_test_setup(no_slot_starves, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
