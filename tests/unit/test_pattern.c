/* Tests of keyline/pattern.h, against the C library's regular expressions where those end. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/pattern.h"
#include "prng.h"

static struct kl_pattern p;
static char error[KL_TEXT_MAX];

static bool matches(const char *pattern, const char *text)
{
    assert_true(kl_pattern_compile(&p, pattern, error));
    return kl_pattern_match(&p, text, strlen(text));
}

static void what_operators_write(void **state)
{
    (void)state;
    assert_true(matches("SELFTEST OK", "I (812) app: SELFTEST OK"));
    assert_false(matches("SELFTEST OK", "SELFTEST FAIL"));
    assert_true(matches("^rssi: -[0-9]{2} dBm$", "rssi: -61 dBm"));
    assert_false(matches("^rssi: -[0-9]{2} dBm$", "rssi: -101 dBm"));
    assert_true(matches("(wifi|eth): (up|on)", "eth: on"));
    assert_true(matches("[[:space:]]E \\([0-9]+\\)", "x E (12)"));
    assert_true(matches("\\w+=\\S", "a_1=x"));
    assert_false(matches("^\\W$", "_"));
    assert_true(matches("[]x-]", "]"));
    assert_true(matches("[^a-z]", "aB"));
    assert_false(matches("[^a-z]", "ab"));
    assert_true(matches("^a{3}$", "aaa"));
    assert_false(matches("^a{3}$", "aa"));
    assert_false(matches("^a{3}$", "aaaa"));
    assert_true(matches("^(ab){1,}c{0,2}$", "ababcc"));
    assert_false(matches("^(ab){1,}c{0,2}$", "ababccc"));
    assert_true(matches("^a{0}b$", "b"));
}

static void what_is_wrong_is_told_with_its_column(void **state)
{
    static const struct {
        const char *pattern, *why;
    } all[] = {
        {"ok (open", "column 4: this ( has no )"},
        {"a[b", "column 2: this [ has no ]"},
        {"größe)", "column 6: this ) has no ("},
        {"end\\", "column 4: a \\ at the end"},
        {"a{2", "column 2: a count is {m}"},
        {"{\"ok\":1}", "column 1: a { that is no count is written \\{"},
        {"a{3,2}", "column 2: a count ends before it begins"},
        {"a{256}", "column 2: a count is 255 at most"},
        {"*", "column 1: nothing stands before it"},
        {"a|+b", "column 3: nothing stands before it"},
        {"^*", "column 2: ^ and $ can't be repeated"},
        {"(a)\\1", "column 4: back-references"},
        {"\\d+", "column 1: \\d is not taken"},
        {"\\bword", "column 1: this \\ means nothing"},
        {"[[:nope:]]", "column 2: there is no such class"},
        {"[z-a]", "column 2: a range ends"},
        {"(a{255}){255}", "it is too large"},
    };
    char long_one[KL_PATTERN_TEXT_MAX + 2];

    (void)state;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_false(kl_pattern_compile(&p, all[i].pattern, error));
        assert_non_null(strstr(error, all[i].why));
    }
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    assert_false(kl_pattern_compile(&p, long_one, error));
    assert_non_null(strstr(error, "longer than 128"));
    assert_true(kl_pattern_compile(&p, long_one + 1, error));
}

/* The C library ends soon for patterns as short as these. */
static void it_says_what_the_c_library_says(void **state)
{
    static const char letters[] = "ab.*+?|()[]^${}1,2-";
    struct prng rng = {7};
    unsigned matched = 0, compared = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        char pattern[12], text[9];
        unsigned size = 1 + (unsigned)(prng_next(&rng) % 9);
        regex_t libc;
        for (unsigned k = 0; k < size; k++)
            pattern[k] = letters[prng_next(&rng) % (sizeof letters - 1)];
        pattern[size] = '\0';
        /* The library forgets a ^ within a repeated group. */
        if (strstr(pattern, "(^") || !kl_pattern_compile(&p, pattern, error) ||
            regcomp(&libc, pattern, REG_EXTENDED | REG_NOSUB) != 0)
            continue;
        for (unsigned k = 0; k < 4; k++) {
            unsigned length = (unsigned)(prng_next(&rng) % 8);
            for (unsigned c = 0; c < length; c++)
                text[c] = "ab12-"[prng_next(&rng) % 5];
            text[length] = '\0';
            bool ours = kl_pattern_match(&p, text, length);
            if (ours != (regexec(&libc, text, 0, NULL, 0) == 0))
                fail_msg("/%s/ and \"%s\"", pattern, text);
            compared++;
            matched += ours;
        }
        regfree(&libc);
    }
    assert_true(compared > 5000 && matched > 500 && matched < compared);
}

/* Each of these takes a backtracking or a caching matcher minutes, gigabytes, or both. The test's
   own time limit is the oracle. */
static void no_pattern_takes_long(void **state)
{
    static const char *const slow[] = {
        "(a|b)*a(a|b){80}x", "((((((((((a+)+)+)+)+)+)+)+)+)+)+x",
        "(.*.*a){40}x",      "(a|aa)+x",
        "(a?){150}(a){150}", "a.{200}b.{200}x",
    };
    char line[512];
    struct prng rng = {3};

    (void)state;
    for (unsigned i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        assert_true(kl_pattern_compile(&p, slow[i], error));
        for (unsigned n = 0; n < 50; n++) {
            for (unsigned c = 0; c < sizeof line; c++)
                line[c] = "ab"[prng_next(&rng) & 1];
            kl_pattern_match(&p, line, sizeof line);
        }
    }
}

static void bytes_that_are_no_text_are_only_bytes(void **state)
{
    static const char bytes[] = {'a', '\0', (char)0xff, 'b'};

    (void)state;
    assert_true(kl_pattern_compile(&p, "^a..b$", error));
    assert_true(kl_pattern_match(&p, bytes, sizeof bytes));
    assert_false(kl_pattern_match(&p, bytes, sizeof bytes - 1));
    assert_false(kl_pattern_match(&p, "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_operators_write),
        cmocka_unit_test(what_is_wrong_is_told_with_its_column),
        cmocka_unit_test(it_says_what_the_c_library_says),
        cmocka_unit_test(no_pattern_takes_long),
        cmocka_unit_test(bytes_that_are_no_text_are_only_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
