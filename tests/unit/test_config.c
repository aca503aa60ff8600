/* Config files and the environment: who wins, what is refused and where it is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "faces/cli/config_files.h"
#include "faces/cli/restart.h"
#include "faces/cli/station_options.h"

static char folder[64], system_file[96], user_file[96], own_file[96], error[KL_TEXT_MAX];
static struct option_settings all;
static struct station_args args;

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int new_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/keyline-config-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(system_file, sizeof system_file, "%s/system.conf", folder);
    snprintf(user_file, sizeof user_file, "%s/user.conf", folder);
    snprintf(own_file, sizeof own_file, "%s/own.conf", folder);
    unsetenv("KEYLINE_CONFIG");
    unsetenv("KEYLINE_BAUD");
    unsetenv("KEYLINE_PORT");
    unsetenv("KEYLINE_ONCE");
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(system_file);
    unlink(user_file);
    unlink(own_file);
    return rmdir(folder);
}

/* Reads all of it for the station; the words are what is typed. */
static bool read_with(const char *first, ...)
{
    const struct config_places places = {system_file, user_file};
    static char words[8][128];
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
    station_defaults(&args);
    if (!config_read(&kl_station_options, &kl_station_options, &places, argv, &all, NULL, error))
        return false;
    options_apply(&all, &args);
    return true;
}

static void nothing_is_needed(void **state)
{
    (void)state;
    assert_true(read_with(NULL));
    assert_int_equal(args.baud, 921600);
    assert_int_equal(all.count, 0);
}

static void each_place_is_stronger_than_the_one_before(void **state)
{
    (void)state;
    put(system_file, "baud = 100001\n");
    assert_true(read_with(NULL));
    assert_int_equal(args.baud, 100001);
    put(user_file, "baud = 100002\n");
    assert_true(read_with(NULL));
    assert_int_equal(args.baud, 100002);
    put(own_file, "baud = 100003\n");
    assert_true(read_with("--config", own_file, NULL));
    assert_int_equal(args.baud, 100003);
    setenv("KEYLINE_BAUD", "100004", 1);
    assert_true(read_with("--config", own_file, NULL));
    assert_int_equal(args.baud, 100004);
    assert_true(read_with("--config", own_file, "--baud", "100005", NULL));
    assert_int_equal(args.baud, 100005);
    assert_true(read_with("--config", "none", NULL));
    assert_int_equal(args.baud, 100004);
    unsetenv("KEYLINE_BAUD");
    setenv("KEYLINE_CONFIG", own_file, 1);
    assert_true(read_with(NULL));
    assert_int_equal(args.baud, 100003);
}

static void a_list_comes_from_one_place(void **state)
{
    (void)state;
    put(system_file, "port = /dev/a\nport = /dev/b\n");
    assert_true(read_with(NULL));
    assert_int_equal(args.ports.count, 2);
    assert_string_equal(args.ports.item[1], "/dev/b");
    setenv("KEYLINE_PORT", "/dev/c  /dev/d /dev/e", 1);
    assert_true(read_with(NULL));
    assert_int_equal(args.ports.count, 3);
    assert_string_equal(args.ports.item[2], "/dev/e");
    assert_true(read_with("--port", "/dev/f", NULL));
    assert_int_equal(args.ports.count, 1);
    assert_string_equal(args.ports.item[0], "/dev/f");
}

static void a_flag_can_be_taken_back(void **state)
{
    (void)state;
    put(system_file, "once = yes\n");
    assert_true(read_with(NULL));
    assert_true(args.once);
    assert_true(read_with("--no-once", NULL));
    assert_false(args.once);
    setenv("KEYLINE_ONCE", "no", 1);
    assert_true(read_with(NULL));
    assert_false(args.once);
}

/* Comments, blanks, signs that other readers of such files trip over. */
static void values_are_taken_as_they_stand(void **state)
{
    (void)state;
    put(system_file, "\xef\xbb\xbf# a bench\n; of ours\n\n  csv_file=/srv/my keys.csv\r\n"
                     "on-result = jq -r .label ; lp -d \"labels\" # x\n\tevents : a=b\n");
    assert_true(read_with(NULL));
    assert_string_equal(args.csv, "/srv/my keys.csv");
    assert_string_equal(args.on_result, "jq -r .label ; lp -d \"labels\" # x");
    assert_string_equal(args.events, "a=b");
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *where, *what;
    } bad[] = {
        {"baud = 115200\nprot = x\n", "system.conf:2: ", "is port meant?"},
        {"\n\nbaud = fast\n", "system.conf:3: ", "from 9600 to 5000000"},
        {"confirm = maybe\n", "system.conf:1: ", "readback|ack"},
        {"once = 1\n", "system.conf:1: ", "yes or no"},
        {"once\n", "system.conf:1: ", "NAME = VALUE"},
        {"[bench]\nbaud = 115200\n", "system.conf:1: ", "sections"},
        {"#\nversion = yes\n", "system.conf:2: ", "command line only"},
        {"config = /etc/x\n", "system.conf:1: ", "command line only"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(system_file, bad[i].text);
        assert_false(read_with(NULL));
        assert_non_null(strstr(error, bad[i].where));
        assert_non_null(strstr(error, bad[i].what));
    }
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    static char text[9000];

    (void)state;
    memset(text, 'x', sizeof text - 2);
    memcpy(text, "#\nevents = ", 11);
    text[sizeof text - 2] = '\n';
    put(system_file, text);
    assert_false(read_with(NULL));
    assert_non_null(strstr(error, "system.conf:2: "));
}

static void files_that_cannot_be_trusted_or_read(void **state)
{
    (void)state;
    put(user_file, "on-result = x\n");
    assert_int_equal(chmod(user_file, 0666), 0);
    assert_false(read_with(NULL));
    assert_non_null(strstr(error, "chmod o-w"));
    assert_int_equal(chmod(user_file, 0600), 0);
    assert_false(read_with("--config", "/nowhere/keyline.conf", NULL));
    assert_non_null(strstr(error, "/nowhere/keyline.conf"));
}

static void a_bad_variable_is_named(void **state)
{
    (void)state;
    setenv("KEYLINE_BAUD", "fast", 1);
    assert_false(read_with(NULL));
    assert_non_null(strstr(error, "KEYLINE_BAUD"));
}

/* A command that knows fewer options takes its own, and still refuses what nobody knows. */
static void other_commands_take_what_they_know(void **state)
{
    const struct config_places places = {system_file, NULL};
    struct {
        const char *csv;
    } some = {"keys.csv"};
    const struct option rows[] = {
        {.name = "csv-file", .type = OPT_TEXT, .at = 0, .value = "FILE", .help = ""},
    };
    const struct option_table t = {rows, 1};
    char *argv[] = {NULL};

    (void)state;
    put(system_file, "baud = 115200\ncsv-file = b.csv\n");
    assert_true(config_read(&t, &kl_station_options, &places, argv, &all, NULL, error));
    options_apply(&all, &some);
    assert_string_equal(some.csv, "b.csv");
    put(system_file, "baud = fast\n");
    assert_false(config_read(&t, &kl_station_options, &places, argv, &all, NULL, error));
}

/* Before its command an option is read without knowing the command: it has to mean one thing. */
static void options_of_one_name_are_of_one_kind(void **state)
{
    (void)state;
    for (size_t i = 0; kl_commands[i]; i++)
        for (size_t n = 0; n < kl_commands[i]->options->count; n++) {
            const struct option *o = &kl_commands[i]->options->row[n];
            if (o->type != OPT_HEADING)
                assert_int_equal(command_takes_value(o->name, strlen(o->name)),
                                 o->type != OPT_FLAG);
        }
}

/* A station that writes keys into NVS differs from one that hands them over, and in how. */
static void a_restart_tells_how_keys_are_delivered(void **state)
{
    static struct kl_wire_hello running, wanted;
    char text[8192] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    (void)state;
    put(system_file, "deliver = nvs\nnvs = merge\nnvs-partition = second\n");
    assert_true(read_with(NULL));
    restart_settings(&args, running.settings, sizeof running.settings);
    put(system_file, "deliver = nvs\nnvs-schema = other.csv\n");
    assert_true(read_with(NULL));
    restart_settings(&args, wanted.settings, sizeof wanted.settings);
    assert_int_equal(restart_compare(&running, &wanted, out), 3);
    fclose(out);
    assert_non_null(strstr(text, "merge"));
    assert_non_null(strstr(text, "second"));
    assert_non_null(strstr(text, "other.csv"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, new_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_needed),
        TEST(a_restart_tells_how_keys_are_delivered),
        TEST(each_place_is_stronger_than_the_one_before),
        TEST(a_list_comes_from_one_place),
        TEST(a_flag_can_be_taken_back),
        TEST(values_are_taken_as_they_stand),
        TEST(what_is_wrong_is_refused_with_its_line),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(files_that_cannot_be_trusted_or_read),
        TEST(a_bad_variable_is_named),
        TEST(other_commands_take_what_they_know),
        TEST(options_of_one_name_are_of_one_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
