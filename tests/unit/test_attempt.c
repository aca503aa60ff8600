/* A board's tries (core/attempt.h): how many are left, when the next one is, what is owed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/attempt.h"

#define NOW KL_SEC(100)

static struct kl_attempts attempts;

static int setup(void **state)
{
    (void)state;
    memset(&attempts, 0, sizeof attempts);
    return 0;
}

static void fail_one(void)
{
    kl_attempts_begin(&attempts, NOW, 0);
    kl_attempts_end(&attempts, KL_ST_FAILED, NOW + KL_SEC(2), 0);
}

static void retries_are_counted_for_each_reason(void **state)
{
    (void)state;
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, -1, NOW), NOW + KL_SEC(1));
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, -1, NOW), NOW + KL_SEC(2));
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, -1, NOW), KL_NEVER);
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_PANIC, -1, NOW), NOW + KL_SEC(1));
    assert_true(kl_attempts_retried(&attempts, KL_FAULT_PANIC));
    assert_false(kl_attempts_retried(&attempts, KL_FAULT_TIMEOUT));
    kl_attempts_renew(&attempts, KL_FLASHING_WRITES);
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, -1, NOW), NOW + KL_SEC(1));
}

static void a_number_of_retries_is_for_faults_that_a_retry_may_mend(void **state)
{
    (void)state;
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, 0, NOW), KL_NEVER);
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_WRONG_CHIP, 5, NOW), KL_NEVER);
    assert_int_equal(kl_attempts_take_retry(&attempts, KL_FAULT_NO_KEYS, 5, NOW), KL_NEVER);
}

static void the_wait_stops_doubling(void **state)
{
    kl_us at = 0;
    (void)state;

    for (int i = 0; i < 100; i++)
        at = kl_attempts_take_retry(&attempts, KL_FAULT_NO_ACK, 100, NOW);
    assert_int_equal(at, NOW + KL_SEC(64));
}

static void a_failure_is_owed_until_it_is_told(void **state)
{
    (void)state;
    assert_false(kl_attempts_owe_failure(&attempts));
    fail_one();
    assert_true(kl_attempts_owe_failure(&attempts));
    kl_attempts_begin(&attempts, NOW, 0); /* the next try is lived: told only if it is broken off */
    assert_true(kl_attempts_owe_failure(&attempts));
    kl_attempts_tell(&attempts);
    assert_false(kl_attempts_owe_failure(&attempts));
    assert_true(kl_attempts_is_lived(&attempts));
    kl_attempts_end(&attempts, KL_ST_DONE, NOW + 1, 0);
    assert_false(kl_attempts_owe_failure(&attempts));
}

static void a_record_tells_how_long_and_how_often(void **state)
{
    const struct kl_attempt *a;
    (void)state;

    fail_one();
    kl_attempts_begin(&attempts, NOW + KL_SEC(5), 7);
    kl_attempts_spend(&attempts, KL_ST_FLASHING, KL_SEC(3));
    kl_attempts_spend(&attempts, KL_ST_FLASHING, KL_SEC(1));
    a = kl_attempts_end(&attempts, KL_ST_DONE, NOW + KL_SEC(9), 11);
    assert_int_equal(a->tries, 2);
    assert_int_equal(a->took[KL_ST_FLASHING], KL_SEC(4));
    assert_int_equal(a->ended - a->started, KL_SEC(4));
    assert_int_equal(a->wall_started, 7);
    assert_int_equal(a->wall_ended, 11);
}

static void identified_again_only_so_often(void **state)
{
    (void)state;
    kl_attempts_begin(&attempts, NOW, 0);
    for (int i = 0; i < 3; i++)
        assert_true(kl_attempts_may_restart(&attempts));
    assert_false(kl_attempts_may_restart(&attempts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(retries_are_counted_for_each_reason, setup),
        cmocka_unit_test_setup(a_number_of_retries_is_for_faults_that_a_retry_may_mend, setup),
        cmocka_unit_test_setup(the_wait_stops_doubling, setup),
        cmocka_unit_test_setup(a_failure_is_owed_until_it_is_told, setup),
        cmocka_unit_test_setup(a_record_tells_how_long_and_how_often, setup),
        cmocka_unit_test_setup(identified_again_only_so_often, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
