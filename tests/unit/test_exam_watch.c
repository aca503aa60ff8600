/* Tests of core/exam_watch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/exam_watch.h"

static struct kl_exam exam;
static struct kl_watch w;

static void add(struct kl_exam_text *list, unsigned *count, const char *pattern)
{
    char error[KL_TEXT_MAX];

    list[*count].source = pattern;
    assert_true(kl_pattern_compile(&list[(*count)++].pattern, pattern, error));
}

static void says(const char *line)
{
    kl_watch_line(&w, line, strlen(line));
}

static int fresh(void **state)
{
    (void)state;
    memset(&exam, 0, sizeof exam);
    exam.timeout = KL_SEC(10);
    add(exam.expect, &exam.expects, "wifi up");
    add(exam.expect, &exam.expects, "^SELFTEST OK$");
    add(exam.reject, &exam.rejects, "warn");
    add(exam.reject, &exam.rejects, "FAIL");
    kl_watch_init(&w, &exam);
    return 0;
}

static void it_passes_once_all_came_in_any_order(void **state)
{
    (void)state;
    kl_watch_begin(&w);
    says("SELFTEST OK");
    kl_watch_run(&w, KL_SEC(1));
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(2)), KL_WATCH_WAITS);
    assert_int_equal(kl_watch_missing(&w), 0);
    says("SELFTEST OK");
    assert_int_equal(kl_watch_came(&w), 1);
    says("I (3): wifi up, -61 dBm");
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(2)), KL_WATCH_PASSES);
}

static void what_comes_before_it_begins_or_after_its_end_does_not_count(void **state)
{
    (void)state;
    says("FAIL");
    says("wifi up");
    kl_watch_begin(&w);
    kl_watch_run(&w, 0);
    assert_int_equal(kl_watch_verdict(&w, 1), KL_WATCH_WAITS);
    assert_int_equal(kl_watch_came(&w), 0);
    kl_watch_end(&w);
    says("wifi up");
    says("FAIL");
    assert_false(kl_watch_runs(&w));
    assert_int_equal(kl_watch_came(&w), 0);
    assert_int_equal(w.rejected, -1);
}

static void a_rejected_text_counts_more_than_all_that_came(void **state)
{
    (void)state;
    kl_watch_begin(&w);
    says("sensor: FAIL");
    says("a late warning");
    says("SELFTEST OK");
    says("wifi up");
    kl_watch_run(&w, 0);
    assert_int_equal(kl_watch_verdict(&w, 1), KL_WATCH_REJECTED);
    assert_int_equal(kl_watch_rejected(&w), 1);
}

static void a_restart_forgets_what_came_and_gives_no_more_time(void **state)
{
    (void)state;
    kl_watch_begin(&w);
    kl_watch_run(&w, 0);
    says("wifi up");
    kl_watch_restart(&w);
    says("SELFTEST OK");
    assert_int_equal(kl_watch_came(&w), 1);
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(10) - 1), KL_WATCH_WAITS);
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(10)), KL_WATCH_LATE);
    assert_int_equal(kl_watch_missing(&w), 0);
    assert_int_equal(w.restarts, 1);
}

static void with_nothing_to_expect_it_passes_when_its_time_is_over(void **state)
{
    (void)state;
    exam.expects = 0;
    kl_watch_begin(&w);
    kl_watch_run(&w, 0);
    says("SELFTEST OK");
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(10) - 1), KL_WATCH_WAITS);
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(10)), KL_WATCH_PASSES);
    says("FAIL");
    assert_int_equal(kl_watch_verdict(&w, KL_SEC(10)), KL_WATCH_REJECTED);
}

static void without_a_test_nothing_is_watched(void **state)
{
    (void)state;
    kl_watch_init(&w, NULL);
    kl_watch_begin(&w);
    says("FAIL");
    kl_watch_end(&w);
    assert_false(kl_watch_runs(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_passes_once_all_came_in_any_order, fresh),
        cmocka_unit_test_setup(what_comes_before_it_begins_or_after_its_end_does_not_count, fresh),
        cmocka_unit_test_setup(a_rejected_text_counts_more_than_all_that_came, fresh),
        cmocka_unit_test_setup(a_restart_forgets_what_came_and_gives_no_more_time, fresh),
        cmocka_unit_test_setup(with_nothing_to_expect_it_passes_when_its_time_is_over, fresh),
        cmocka_unit_test_setup(without_a_test_nothing_is_watched, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
