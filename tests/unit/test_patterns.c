/* Tests of faces/cli/patterns.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "faces/cli/patterns.h"

static struct patterns p;
static char error[KL_TEXT_MAX];

static bool matches(const void *pattern, const char *text)
{
    return p.words.match(pattern, text, strlen(text));
}

static void patterns_match_anywhere_and_nothing_behind_the_end(void **state)
{
    (void)state;
    assert_true(patterns_compile(&p, "^Ready( [0-9]+)?$", "stored|saved", NULL, error));
    assert_true(matches(p.words.prompt, "Ready 12"));
    assert_false(matches(p.words.prompt, "Ready or not"));
    assert_true(p.words.match(p.words.prompt, "Ready or not", 5));
    assert_true(matches(p.words.ack, "key saved, sir"));
    assert_false(matches(p.words.ack, "Saved"));
    assert_null(p.words.fields);
    patterns_free(&p);
    assert_null(p.words.prompt);
}

static void a_pattern_that_can_not_be_read_is_told(void **state)
{
    (void)state;
    assert_false(patterns_compile(&p, "fine", "(open", NULL, error));
    assert_non_null(strstr(error, "--ack (open: no regular expression"));
    patterns_free(&p);
    assert_false(patterns_compile(&p, NULL, NULL, "", error));
    assert_non_null(strstr(error, "--field-names"));
    patterns_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_anywhere_and_nothing_behind_the_end),
        cmocka_unit_test(a_pattern_that_can_not_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
