#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "faces/cli/options.h"

struct args {
    bool once, help;
    const char *csv;
    struct option_list ports;
    long count;
    kl_us settle;
    int confirm;
};

#define AT(member) offsetof(struct args, member)

static const struct option table[] = {
    HEADING("Things"),
    FLAG("once", once, "one turn"),
    TEXT("csv-file", csv, "FILE", "the keys"),
    LIST("port", ports, "PORT", "a port"),
    NUMBER("count", count, "N", 1, 100, "how many"),
    SECONDS("settle", settle, 0, 60, "wait"),
    CHOICE("confirm", confirm, "readback|ack", "proof\nof storing"),
    TYPED_FLAG("help", 'h', help, "this"),
};

static struct args a;
static char error[KL_TEXT_MAX];

/* Words up to NULL. */
static bool parse(const char *first, ...)
{
    static char words[8][64];
    char *argv[9];
    unsigned n = 0;
    va_list list;

    va_start(list, first);
    for (const char *w = first; w; w = va_arg(list, const char *)) {
        assert_true(kl_copy(words[n], sizeof words[n], w));
        argv[n] = words[n];
        n++;
    }
    va_end(list);
    argv[n] = NULL;
    memset(&a, 0, sizeof a);
    error[0] = '\0';
    return options_parse(table, sizeof table / sizeof table[0], argv, &a, error);
}

static void both_ways_of_giving_a_value(void **state)
{
    (void)state;
    assert_true(parse("--csv-file", "a.csv", "--count=7", "--settle", "1.5", "--once", NULL));
    assert_string_equal(a.csv, "a.csv");
    assert_int_equal(a.count, 7);
    assert_int_equal(a.settle, KL_MS(1500));
    assert_true(a.once);
}

static void an_underscore_is_a_dash(void **state)
{
    (void)state;
    assert_true(parse("--csv_file=b.csv", NULL));
    assert_string_equal(a.csv, "b.csv");
}

static void lists_keep_their_order(void **state)
{
    (void)state;
    assert_true(parse("--port", "x", "--port=y", NULL));
    assert_int_equal(a.ports.count, 2);
    assert_string_equal(a.ports.item[0], "x");
    assert_string_equal(a.ports.item[1], "y");
}

static void choices(void **state)
{
    (void)state;
    assert_true(parse("--confirm", "ack", NULL));
    assert_int_equal(a.confirm, 1);
    assert_false(parse("--confirm", "readbac", NULL));
    assert_non_null(strstr(error, "readback|ack"));
}

static void short_help(void **state)
{
    (void)state;
    assert_true(parse("-h", NULL));
    assert_true(a.help);
}

static void a_flag_is_taken_back(void **state)
{
    (void)state;
    assert_true(parse("--once", "--no-once", NULL));
    assert_false(a.once);
    assert_true(parse("--no-once", "--once", NULL));
    assert_true(a.once);
    assert_false(parse("--no-count", NULL));
    assert_false(parse("--no-once=yes", NULL));
}

static void the_last_value_counts(void **state)
{
    (void)state;
    assert_true(parse("--count", "3", "--count", "4", NULL));
    assert_int_equal(a.count, 4);
}

static void a_list_has_room_for_64(void **state)
{
    const struct option_table t = {table, sizeof table / sizeof table[0]};
    struct option_settings all = {.count = 0};
    char name[] = "--port", value[] = "x", *argv[2 * OPTION_LIST_MAX + 3];

    (void)state;
    for (unsigned i = 0; i <= OPTION_LIST_MAX; i++) {
        argv[2 * i] = name;
        argv[2 * i + 1] = value;
    }
    argv[2 * OPTION_LIST_MAX] = NULL;
    assert_true(options_read(&t, argv, &all, NULL, error));
    argv[2 * OPTION_LIST_MAX] = name;
    argv[2 * OPTION_LIST_MAX + 2] = NULL;
    all.count = 0;
    assert_false(options_read(&t, argv, &all, NULL, error));
    assert_non_null(strstr(error, "too often"));
}

static void words_are_kept_apart(void **state)
{
    const struct option_table t = {table, sizeof table / sizeof table[0]};
    struct option_settings all = {.count = 0};
    struct option_list words = {.count = 0};
    char *argv[] = {(char[]){"list"}, (char[]){"--count"}, (char[]){"7"},    (char[]){"more"},
                    (char[]){"--"},   (char[]){"--once"},  (char[]){"-odd"}, NULL};

    (void)state;
    assert_true(options_read(&t, argv, &all, &words, error));
    assert_int_equal(all.count, 1);
    assert_int_equal(words.count, 4);
    assert_string_equal(words.item[0], "list");
    assert_string_equal(words.item[1], "more");
    assert_string_equal(words.item[2], "--once");
    assert_string_equal(words.item[3], "-odd");
}

static void the_nearest_name_is_suggested(void **state)
{
    (void)state;
    assert_false(parse("--cout=3", NULL));
    assert_non_null(strstr(error, "--count"));
    assert_false(parse("--csv-fil", "x", NULL));
    assert_non_null(strstr(error, "--csv-file"));
    assert_false(parse("--entirely-else", NULL));
    assert_null(strstr(error, "meant"));
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    assert_false(parse("--count", "101", NULL));
    assert_non_null(strstr(error, "1 to 100"));
    assert_false(parse("--count", "1.5", NULL));
    assert_false(parse("--count", "", NULL));
    assert_false(parse("--count", "7x", NULL));
    assert_false(parse("--settle", "nan", NULL));
    assert_false(parse("--settle", "-1", NULL));
    assert_false(parse("--csv-file", NULL));
    assert_non_null(strstr(error, "FILE"));
    assert_false(parse("--once=1", NULL));
    assert_false(parse("word", NULL));
    assert_false(parse("-x", NULL));
    assert_false(parse("--", NULL));
}

static void help_names_every_option(void **state)
{
    char text[4096] = "";
    FILE *file = fmemopen(text, sizeof text, "w");

    (void)state;
    assert_non_null(file);
    options_help(table, sizeof table / sizeof table[0], file);
    fclose(file);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_non_null(strstr(text, table[i].name));
    assert_non_null(strstr(text, "of storing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_of_giving_a_value),
        cmocka_unit_test(an_underscore_is_a_dash),
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(choices),
        cmocka_unit_test(short_help),
        cmocka_unit_test(a_flag_is_taken_back),
        cmocka_unit_test(the_last_value_counts),
        cmocka_unit_test(a_list_has_room_for_64),
        cmocka_unit_test(words_are_kept_apart),
        cmocka_unit_test(the_nearest_name_is_suggested),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
