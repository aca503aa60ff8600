/* A product's functional test at the bench: what it costs a board that fails it, leaves, restarts
   or is exchanged meanwhile. The oracles of the simulation look on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static struct world *w;
static struct kl_snapshot snap;
static struct kl_exam own; /* for tests that expect something else than the simulation does */

static int open_bench(void **state)
{
    (void)state;
    w = calloc(1, sizeof *w);
    world_quiet(w, 2);
    w->config.exam = sim_exam();
    memset(&own, 0, sizeof own);
    own.timeout = KL_SEC(8);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    assert_string_equal(w->violation, "");
    world_finish(w);
    free(w);
    return 0;
}

static void pass(unsigned seconds)
{
    step_until(w, w->now + KL_SEC(seconds));
    oracle_boards(w);
    kl_station_look(w->st, &snap);
}

static void wait_for(enum kl_state state, unsigned seconds)
{
    kl_us until = w->now + KL_SEC(seconds);

    do {
        step_until(w, w->now + KL_MS(5));
        assert_string_equal(w->violation, "");
        kl_station_look(w->st, &snap);
    } while (snap.slot[0].state != state && w->now < until);
    assert_string_equal(kl_state_name(snap.slot[0].state), kl_state_name(state));
}

static int tested_board(const char *faults)
{
    return board_of(w, w->config.nvs ? "silent-selftest" : "selftest", faults);
}

static void add(struct kl_exam_text *list, unsigned *count, const char *pattern)
{
    char error[KL_TEXT_MAX];

    list[*count].source = pattern;
    assert_true(kl_pattern_compile(&list[(*count)++].pattern, pattern, error));
}

static void assert_failed(enum kl_reason reason)
{
    assert_string_equal(kl_fault_info(w->last[0].reason).name, kl_fault_info(reason).name);
    assert_int_equal(w->last[0].result, KL_ST_FAILED);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_FAILED);
}

/* Its key is recorded, it was given it once, and no other key is gone. */
static void assert_keeps_its_key(void)
{
    assert_true(w->key[0].provisioned && w->key[0].marked);
    assert_int_equal(snap.keys.provisioned, 1);
    if (!w->config.nvs)
        assert_int_equal(kl_vboard_store_count(w->board[0].v), 1);
}

static void a_board_passes_once_its_log_says_so(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_TESTING, 20);
    assert_true(w->key[0].provisioned); /* before, not after */
    assert_int_equal(snap.slot[0].exam_due, 2);
    wait_for(KL_ST_DONE, 5);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_PASSED);
    assert_int_equal(w->last[0].exam.came, 2);
    assert_true(w->last[0].took[KL_ST_TESTING] > 0);
}

static void a_board_that_fails_keeps_its_key_and_is_tested_again(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_fails=1"));
    wait_for(KL_ST_FAILED, 20);
    assert_failed(KL_FAULT_REJECT_CAME);
    assert_int_equal(w->last[0].tries, 1);
    assert_string_equal(w->last[0].detail, "a line matches \"SELFTEST FAIL\"");
    assert_keeps_its_key();
    world_command(w, KL_CMD_RETRY, 0);
    wait_for(KL_ST_DONE, 20);
    assert_true(w->last[0].already);
    assert_string_equal(w->last[0].label, "dev-0000");
    assert_keeps_its_key();
}

static void a_text_that_does_not_come_is_waited_for_and_named(void **state)
{
    (void)state;
    w->config.retries = 0;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_silent"));
    wait_for(KL_ST_FAILED, 30);
    assert_failed(KL_FAULT_EXPECT_MISSED);
    assert_int_equal(w->last[0].took[KL_ST_TESTING], sim_exam()->timeout);
    assert_string_equal(w->last[0].detail, "1 of 2 came within 8 s, not \"^SELFTEST OK$\"");
    assert_keeps_its_key();
}

static void endless_output_ends_with_the_time(void **state)
{
    (void)state;
    w->config.retries = 0;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_floods"));
    wait_for(KL_ST_FAILED, 30);
    assert_failed(KL_FAULT_EXPECT_MISSED);
    assert_int_equal(w->last[0].took[KL_ST_TESTING], sim_exam()->timeout);
}

/* ---- starting again ---- */

static void a_restart_begins_the_log_anew(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_restarts=1"));
    wait_for(KL_ST_TESTING, 20);
    pass(0);
    while (snap.slot[0].exam_came == 0)
        step_until(w, w->now + KL_MS(5)), kl_station_look(w->st, &snap);
    while (snap.slot[0].exam_came == 1)
        step_until(w, w->now + KL_MS(5)), kl_station_look(w->st, &snap);
    assert_int_equal(snap.slot[0].exam_came, 0); /* it restarted */
    wait_for(KL_ST_DONE, 5);
    assert_int_equal(w->last[0].tries, 1);
}

static void restarts_that_do_not_end_fail_it(void **state)
{
    (void)state;
    w->config.retries = 0;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_crashes=99"));
    wait_for(KL_ST_FAILED, 30);
    assert_failed(KL_FAULT_PANIC);
    assert_true(w->last[0].took[KL_ST_TESTING] < sim_exam()->timeout);
    assert_keeps_its_key();
}

/* All that is expected came, and it has crashed on the way. */
static void a_crash_is_no_pass(void **state)
{
    (void)state;
    w->config.retries = 0;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_crashes=1"));
    wait_for(KL_ST_FAILED, 30);
    assert_failed(KL_FAULT_PANIC);
    assert_keeps_its_key();
}

/* --confirm ack: the restart after the acknowledgement falls into the test. */
static void the_restart_after_an_acknowledgement_is_no_surprise(void **state)
{
    (void)state;
    w->config.confirm = KL_CONFIRM_ACK;
    w->fixture = true; /* where any other start would mean: identify again */
    world_start(w, 4);
    pass(2);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_DONE, 30);
    assert_true(w->last[0].acknowledged_only);
    assert_false(w->last[0].already); /* it was not identified again in between */
}

static void at_a_needle_bed_a_start_means_identify_again(void **state)
{
    (void)state;
    w->fixture = true;
    world_start(w, 4);
    pass(2);
    put_in(w, 0, tested_board("test_restarts=1"));
    wait_for(KL_ST_TESTING, 30);
    wait_for(KL_ST_CONNECTING, 5);
    wait_for(KL_ST_DONE, 30);
    assert_true(w->last[0].already);
    assert_int_equal(w->last[0].tries, 1);
    assert_keeps_its_key();
}

/* ---- leaving ---- */

static void unplugged_during_its_test_it_is_tested_when_it_is_back(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_TESTING, 20);
    take_out(w, 0);
    pass(2);
    assert_failed(KL_FAULT_PORT_LOST);
    assert_keeps_its_key();
    put_in(w, 0, 0);
    wait_for(KL_ST_DONE, 20);
    assert_true(w->last[0].already);
    assert_keeps_its_key();
}

static void unplugged_while_its_key_is_recorded_it_has_not_passed(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board("misses_line=1"));
    wait_for(KL_ST_SENDING, 20);
    w->w.disk_slow = 1000000;
    wait_for(KL_ST_RECORDING, 20);
    take_out(w, 0);
    w->w.disk_slow = 0;
    pass(20);
    assert_int_equal(w->last[0].result, KL_ST_FAILED);
    assert_int_equal(w->last[0].reason, KL_FAULT_PORT_LOST);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_NOT_RUN);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    assert_keeps_its_key();
    put_in(w, 0, 0);
    wait_for(KL_ST_DONE, 20);
    assert_keeps_its_key();
}

static void a_native_usb_board_that_restarts_is_followed(void **state)
{
    (void)state;
    w->native[0] = true;
    world_start(w, 4);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_TESTING, 20);
    kl_vboard_power(in(w, 0), false, w->now);
    leave_bus(w, 0);
    pass(4);
    return_to_bus(w, 0);
    pass(1);
    kl_vboard_power(in(w, 0), true, w->now);
    wait_for(KL_ST_DONE, 20);
    assert_int_equal(w->last[0].tries, 1);
}

/* A native-USB board that holds a key of this CSV restarts while the key is recorded: its test
   begins when it is back. */
static void an_adopted_board_that_restarts_while_it_is_recorded_is_tested(void **state)
{
    char faults[300];

    (void)state;
    w->native[0] = true;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    w->w.disk_slow = 1000000;
    world_start(w, 4);
    snprintf(faults, sizeof faults, "provisioned=%s", w->key[2].key.line);
    for (char *c = faults; *c; c++)
        if (*c == ',')
            *c = '|';
    put_in(w, 0, tested_board(faults));
    wait_for(KL_ST_RECORDING, 60);
    kl_vboard_power(in(w, 0), false, w->now);
    leave_bus(w, 0);
    wait_for(KL_ST_TESTING, 20);
    return_to_bus(w, 0);
    pass(1);
    kl_vboard_power(in(w, 0), true, w->now);
    wait_for(KL_ST_DONE, 20);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_PASSED);
    assert_string_equal(w->last[0].label, w->key[2].label);
}

/* ---- the operator ---- */

static void a_stop_lets_the_test_end(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_TESTING, 20);
    world_command(w, KL_CMD_STOP, 0);
    pass(2);
    assert_int_equal(w->last[0].result, KL_ST_DONE);
    assert_true(w->rested);
}

static void skipped_during_its_test_it_has_its_key(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_silent"));
    wait_for(KL_ST_TESTING, 20);
    world_command(w, KL_CMD_SKIP, 0);
    pass(1);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_NOT_RUN);
    assert_keeps_its_key();
}

/* ---- other patterns ---- */

static void with_nothing_to_expect_the_time_decides(void **state)
{
    (void)state;
    add(own.reject, &own.rejects, "brown smoke");
    w->config.exam = &own;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_silent"));
    wait_for(KL_ST_DONE, 30);
    assert_int_equal(w->last[0].took[KL_ST_TESTING], own.timeout);
    assert_int_equal(w->last[0].exam.result, KL_EXAM_PASSED);
}

/* oracle_note() looks for secrets in what is told. */
static void a_secret_in_a_pattern_is_not_shown(void **state)
{
    (void)state;
    add(own.expect, &own.expects, "x");
    w->config.exam = &own;
    w->config.retries = 0;
    world_start(w, 4);
    own.expects = 0;
    add(own.expect, &own.expects, strchr(w->key[0].key.line, ',') + 1);
    put_in(w, 0, tested_board(""));
    wait_for(KL_ST_FAILED, 30);
    assert_failed(KL_FAULT_EXPECT_MISSED);
    assert_non_null(strstr(w->last[0].detail, "[masked]"));
}

/* ---- keys in NVS ---- */

static void written_keys_are_tested_alike(void **state)
{
    (void)state;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    w->config.confirm = KL_CONFIRM_FLASH;
    world_start(w, 4);
    put_in(w, 0, tested_board("test_fails=1"));
    wait_for(KL_ST_FAILED, 20);
    assert_failed(KL_FAULT_REJECT_CAME);
    assert_keeps_its_key();
    world_command(w, KL_CMD_RETRY, 0);
    wait_for(KL_ST_DONE, 20);
    assert_true(w->last[0].already);
    assert_keeps_its_key();
}

static void written_keys_must_be_printed_if_asked_for(void **state)
{
    static const struct {
        const char *firmware, *faults;
        enum kl_reason reason;
    } cases[] = {
        {"original", "", KL_FAULT_NONE},
        {"original", "reads_wrong", KL_FAULT_READBACK_DIFFERS},
        {"original", "reads_short", KL_FAULT_NO_READBACK},
        {"original", "no_readback", KL_FAULT_NO_READBACK},
        {"original", "panic=99", KL_FAULT_PANIC},
        {"keyline", "", KL_FAULT_READBACK_DIFFERS}, /* sees no key, and asks */
        {"silent", "", KL_FAULT_NO_READBACK},
    };

    (void)state;
    w->config.exam = NULL;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    w->config.retries = 0;
    world_start(w, 12);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_in(w, 0, board_of(w, cases[i].firmware, cases[i].faults));
        wait_for(cases[i].reason == KL_FAULT_NONE ? KL_ST_DONE : KL_ST_FAILED, 60);
        assert_string_equal(kl_fault_info(w->last[0].reason).name,
                            kl_fault_info(cases[i].reason).name);
        assert_true(w->key[i].provisioned); /* the loader has proved it */
        take_out(w, 0);
        pass(3);
    }
}

/* Its firmware has to show the key, and had no time to. */
static void unplugged_before_it_printed_its_key_it_is_not_done(void **state)
{
    (void)state;
    w->config.exam = NULL;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    w->w.disk_slow = 1000000;
    world_start(w, 4);
    put_in(w, 0, board_of(w, "original", ""));
    wait_for(KL_ST_RECORDING, 60);
    take_out(w, 0);
    w->w.disk_slow = 0;
    pass(20);
    assert_int_equal(w->last[0].result, KL_ST_FAILED);
    assert_int_equal(w->last[0].reason, KL_FAULT_PORT_LOST);
    assert_true(w->key[0].provisioned);
    put_in(w, 0, 0);
    wait_for(KL_ST_DONE, 20);
    assert_true(w->last[0].already);
}

/* Another tool's key of this CSV: only its fingerprint is known when it is adopted. */
static void an_adopted_key_must_be_printed_too(void **state)
{
    char faults[300];

    (void)state;
    w->config.exam = NULL;
    w->config.nvs = sim_nvs(KL_NVS_REFUSE);
    world_start(w, 4);
    snprintf(faults, sizeof faults, "provisioned=%s", w->key[2].key.line);
    for (char *c = faults; *c; c++)
        if (*c == ',')
            *c = '|';
    put_in(w, 0, board_of(w, "original", faults));
    wait_for(KL_ST_DONE, 30);
    assert_string_equal(w->last[0].label, w->key[2].label);
    assert_true(w->last[0].already);
}

#define ON_BENCH(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(a_board_passes_once_its_log_says_so),
        ON_BENCH(a_board_that_fails_keeps_its_key_and_is_tested_again),
        ON_BENCH(a_text_that_does_not_come_is_waited_for_and_named),
        ON_BENCH(endless_output_ends_with_the_time),
        ON_BENCH(a_restart_begins_the_log_anew),
        ON_BENCH(restarts_that_do_not_end_fail_it),
        ON_BENCH(a_crash_is_no_pass),
        ON_BENCH(the_restart_after_an_acknowledgement_is_no_surprise),
        ON_BENCH(at_a_needle_bed_a_start_means_identify_again),
        ON_BENCH(unplugged_during_its_test_it_is_tested_when_it_is_back),
        ON_BENCH(unplugged_while_its_key_is_recorded_it_has_not_passed),
        ON_BENCH(a_native_usb_board_that_restarts_is_followed),
        ON_BENCH(an_adopted_board_that_restarts_while_it_is_recorded_is_tested),
        ON_BENCH(a_stop_lets_the_test_end),
        ON_BENCH(skipped_during_its_test_it_has_its_key),
        ON_BENCH(with_nothing_to_expect_the_time_decides),
        ON_BENCH(a_secret_in_a_pattern_is_not_shown),
        ON_BENCH(written_keys_are_tested_alike),
        ON_BENCH(written_keys_must_be_printed_if_asked_for),
        ON_BENCH(unplugged_before_it_printed_its_key_it_is_not_done),
        ON_BENCH(an_adopted_key_must_be_printed_too),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    sim_images_free();
    return failed;
}
