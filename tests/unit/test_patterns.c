/* Tests of faces/cli/patterns.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "faces/cli/patterns.h"

static struct patterns p;
static struct station_args a;
static char told[4 * KL_TEXT_MAX];
static unsigned complaints;

static void complain(void *ctx, const char *text)
{
    (void)ctx;
    kl_format(told + strlen(told), sizeof told - strlen(told), "%s\n", text);
    complaints++;
}

static bool compiled(void)
{
    told[0] = '\0';
    complaints = 0;
    return patterns_compile(&p, &a, complain, NULL);
}

static int fresh(void **state)
{
    (void)state;
    a = (struct station_args){.expect_timeout = KL_SEC(10)};
    return 0;
}

static bool matches(const void *pattern, const char *text)
{
    return p.words.match(pattern, text, strlen(text));
}

static void patterns_match_anywhere_and_nothing_behind_the_end(void **state)
{
    (void)state;
    a.prompt = "^Ready( [0-9]+)?$";
    a.ack = "stored|saved";
    assert_true(compiled());
    assert_true(matches(p.words.prompt, "Ready 12"));
    assert_false(matches(p.words.prompt, "Ready or not"));
    assert_true(p.words.match(p.words.prompt, "Ready or not", 5));
    assert_true(matches(p.words.ack, "key saved, sir"));
    assert_false(matches(p.words.ack, "Saved"));
    assert_null(p.words.fields);
    assert_null(p.exam);
}

static void a_pattern_that_can_not_be_read_is_told(void **state)
{
    (void)state;
    a.prompt = "fine";
    a.ack = "stored (open";
    a.field_names = "";
    assert_false(compiled());
    assert_non_null(strstr(told, "--ack stored (open: column 8: this ( has no )"));
    assert_non_null(strstr(told, "--field-names"));
    assert_int_equal(complaints, 2);
}

static void a_functional_test_is_what_is_expected_and_rejected(void **state)
{
    (void)state;
    a.expect = (struct option_list){{"^SELFTEST OK$", "wifi: (up|on)"}, 2};
    a.reject = (struct option_list){{"FAIL"}, 1};
    assert_true(compiled());
    assert_non_null(p.exam);
    assert_int_equal(p.exam->expects, 2);
    assert_int_equal(p.exam->rejects, 1);
    assert_int_equal(p.exam->timeout, KL_SEC(10));
    assert_string_equal(p.exam->expect[1].source, "wifi: (up|on)");
    assert_true(kl_pattern_match(&p.exam->expect[1].pattern, "I wifi: on", 10));
}

/* An expected text that every line matches would test nothing. */
static void a_text_that_every_line_matches_is_refused(void **state)
{
    static const char *const all[] = {"x*", "a|", "$", ""};

    (void)state;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        a.expect = (struct option_list){{all[i]}, 1};
        assert_false(compiled());
        assert_non_null(strstr(told, "would match every line"));
    }
}

static void more_texts_than_are_taken_are_refused(void **state)
{
    (void)state;
    for (a.reject.count = 0; a.reject.count < KL_EXAM_MAX + 1; a.reject.count++)
        a.reject.item[a.reject.count] = "bad";
    assert_false(compiled());
    a.reject.count--;
    assert_true(compiled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(patterns_match_anywhere_and_nothing_behind_the_end, fresh),
        cmocka_unit_test_setup(a_pattern_that_can_not_be_read_is_told, fresh),
        cmocka_unit_test_setup(a_functional_test_is_what_is_expected_and_rejected, fresh),
        cmocka_unit_test_setup(a_text_that_every_line_matches_is_refused, fresh),
        cmocka_unit_test_setup(more_texts_than_are_taken_are_refused, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
