/* Tests of the figures: boards and not turns, rates that mean something, a slot that is worse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faces/stream/stats.h"

#define SECOND ((int64_t)1000000)

static struct kl_stats *stats;
static struct kl_stats_view view;
static int64_t now;

static int start(void **state)
{
    (void)state;
    stats = kl_stats_create();
    now = 1000000 * SECOND;
    return stats ? 0 : 1;
}

static int finish(void **state)
{
    (void)state;
    kl_stats_free(stats);
    return 0;
}

static void result(const char *slot, unsigned board, bool done, unsigned tries)
{
    struct kl_stats_result r = {.slot = slot,
                                .mac = {{2, 0, 0, 0, (uint8_t)(board >> 8), (uint8_t)board}},
                                .result = done ? KL_ST_DONE : KL_ST_FAILED,
                                .reason = done ? KL_FAULT_NONE : KL_FAULT_NO_SYNC,
                                .tries = tries,
                                .baud = 921600,
                                .took = KL_SEC(10),
                                .wall = now};

    kl_stats_add(stats, &r);
}

static void look(void)
{
    kl_stats_look(stats, now, &view);
}

static void boards_are_counted_not_turns(void **state)
{
    (void)state;
    result("A1", 1, false, 3);
    result("A1", 1, false, 3);
    result("A2", 1, true, 1); /* the same board in another slot */
    result("A2", 2, true, 1);
    result("A2", 3, false, 1);
    look();
    assert_int_equal(view.done, 2);
    assert_int_equal(view.failed, 1);
    assert_int_equal(view.first_pass, 1); /* board 1 was done, but not in its first turn */
    assert_int_equal(view.slot_count, 2);
    assert_int_equal(view.slot[0].turns, 2);
    assert_int_equal(view.slot[0].reason[0].reason, KL_FAULT_NO_SYNC);
    assert_int_equal(view.slot[0].reason[0].count, 2);
    assert_int_equal(view.slot[1].median, KL_SEC(10));
}

static void many_boards_are_told_apart(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3000; n++)
        result("A1", n, n % 3 != 0, 1);
    for (unsigned n = 1; n <= 3000; n++)
        result("A1", n, true, 1);
    look();
    assert_int_equal(view.done, 3000);
    assert_int_equal(view.failed, 0);
    assert_int_equal(view.first_pass, 2000);
}

static void a_rate_comes_when_it_means_something(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        now += 10 * SECOND;
        result("A1", n, true, 1);
        look();
        assert_int_equal(view.boards_per_hour, 0);
    }
    now += 10 * SECOND;
    result("A1", 5, true, 1);
    look();
    assert_int_equal(view.boards_per_hour, 360);
}

static void a_slow_bench_has_a_rate_after_ten_minutes(void **state)
{
    (void)state;
    result("A1", 1, true, 1);
    now += 300 * SECOND;
    result("A1", 2, true, 1);
    look();
    assert_int_equal(view.boards_per_hour, 0);
    now += 300 * SECOND;
    result("A1", 3, true, 1);
    look();
    assert_in_range(view.boards_per_hour, 16, 19);
}

static void nights_are_no_work(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 100; n++) {
        now += 30 * SECOND;
        result("A1", n, true, 1);
    }
    now += 14 * 3600 * SECOND;
    look();
    assert_in_range(view.boards_per_hour, 115, 125);
    for (unsigned n = 101; n <= 110; n++) {
        now += 30 * SECOND;
        result("A1", n, true, 1);
    }
    look();
    assert_in_range(view.boards_per_hour, 115, 125);
}

static void a_slot_that_is_worse_by_more_than_chance(void **state)
{
    unsigned board = 0;

    (void)state;
    for (unsigned n = 0; n < 40; n++) {
        static const char *const names[] = {"A1", "A2", "A3", "A4"};
        for (unsigned i = 0; i < 4; i++)
            result(names[i], ++board, !(n % 20 == 0 || (i == 2 && n % 3 == 0)), 1);
    }
    look();
    assert_false(view.slot[0].worse);
    assert_false(view.slot[1].worse);
    assert_true(view.slot[2].worse);
    assert_false(view.slot[3].worse);
}

/* Whoever looks for a slot finds it where its name stands, not where it first had a result. The
   figures stay with their slot. */
static void rows_are_in_the_order_of_their_names(void **state)
{
    static const char *const came[] = {"A10", "1-1.10", "A2", "192.168.0.7:4000", "1-1.2"};
    static const char *const shown[] = {"1-1.2", "1-1.10", "192.168.0.7:4000", "A2", "A10"};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        for (unsigned n = 0; n <= i; n++)
            result(came[i], 10 * i + n, n > 0 || i != 0, 1);
    look();
    assert_int_equal(view.slot_count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_string_equal(view.slot[i].name, shown[i]);
    assert_int_equal(view.slot[4].failed, 1);
    assert_int_equal(view.slot[4].reason[0].count, 1);
    assert_int_equal(view.slot[1].turns, 2);
    assert_true(view.slot[1].median > 0);
}

static void few_fails_are_chance(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 10; n++) {
        result("A1", 2 * n, true, 1);
        result("A2", 2 * n + 1, n > 1, 1);
    }
    look();
    assert_false(view.slot[1].worse);
}

static void the_table_is_not_wider_than_a_terminal(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    for (unsigned n = 0; n < 1000; n++)
        result("a slot with quite a long name", n, n % 7 != 0, 1);
    look();
    kl_stats_print(&view, out);
    fclose(out);
    assert_non_null(strstr(text, "no_sync 143"));
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 1, 80);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(boards_are_counted_not_turns, start, finish),
        cmocka_unit_test_setup_teardown(many_boards_are_told_apart, start, finish),
        cmocka_unit_test_setup_teardown(a_rate_comes_when_it_means_something, start, finish),
        cmocka_unit_test_setup_teardown(a_slow_bench_has_a_rate_after_ten_minutes, start, finish),
        cmocka_unit_test_setup_teardown(nights_are_no_work, start, finish),
        cmocka_unit_test_setup_teardown(a_slot_that_is_worse_by_more_than_chance, start, finish),
        cmocka_unit_test_setup_teardown(rows_are_in_the_order_of_their_names, start, finish),
        cmocka_unit_test_setup_teardown(few_fails_are_chance, start, finish),
        cmocka_unit_test_setup_teardown(the_table_is_not_wider_than_a_terminal, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
