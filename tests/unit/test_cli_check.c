/* `keyline check`: what it says, how it ends, and that it leaves everything as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "keyline/cli.h"
#include "keyline/demo_images.h"

static char folder[64], csv[96], firmware[96], said[8192];

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int new_folder(void **state)
{
    struct kl_demo_app app = {.payload = 5000};

    (void)state;
    strcpy(folder, "/tmp/keyline-check-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(csv, sizeof csv, "%s/keys.csv", folder);
    snprintf(firmware, sizeof firmware, "%s/firmware.bin", folder);
    return kl_demo_write(folder, KL_CHIP_ESP32, &app) ? 0 : -1;
}

static int drop_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* Runs it with these arguments after --csv-file and --firmware, keeps what it prints. */
static int check(const char *extra, const char *value)
{
    const char *words[] = {"check",  "--csv-file", csv,   "--firmware", firmware,
                           "--stub", "none",       extra, value,        NULL};
    char *argv[sizeof words / sizeof words[0]];
    char path[128];
    int argc = extra ? (value ? 9 : 8) : 7, kept, exit_status;
    FILE *file;

    memcpy(argv, words, sizeof words);
    snprintf(path, sizeof path, "%s/said", folder);
    fflush(stdout);
    kept = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    exit_status = kl_cli_check(argc, argv);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    file = fopen(path, "r");
    assert_non_null(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    return exit_status;
}

static void expect(const char *words)
{
    if (!strstr(said, words))
        fail_msg("'%s' is not in:\n%s", words, said);
}

static void good_input_is_called_good(void **state)
{
    (void)state;
    put(csv, "dev1,k1,k2\ndev2,k3,k4\n");
    assert_int_equal(check(NULL, NULL), KL_EXIT_OK);
    expect("2 keys of 3 fields: 2 free");
    expect("for ESP32: demo 1.0; needs 1088 KB of flash");
    expect("0x001000");
    expect("nothing is wrong\n");
}

static void what_it_says_can_be_read_by_programs(void **state)
{
    json_t *root;

    (void)state;
    put(csv, "dev1,k1,k2\ndev2,k3,k4\n");
    assert_int_equal(check("--json", NULL), KL_EXIT_OK);
    root = json_loads(said, 0, NULL);
    assert_non_null(root);
    json_t *images = json_object_get(root, "images"), *starts = json_object_get(images, "starts");
    assert_true(json_is_true(json_object_get(root, "good")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "keys"), "free")), 2);
    assert_string_equal(json_string_value(json_object_get(starts, "partition")), "factory");
    assert_int_equal(json_array_size(json_object_get(images, "regions")), 3);
    json_decref(root);
    unlink(firmware);
    assert_int_equal(check("--json", NULL), KL_EXIT_INPUT);
    root = json_loads(said, 0, NULL);
    assert_non_null(root);
    assert_true(json_is_false(json_object_get(root, "good")));
    assert_int_equal(json_array_size(json_object_get(root, "problems")), 1);
    json_decref(root);
}

static void every_problem_is_said_at_once(void **state)
{
    char path[128];

    (void)state;
    put(csv, "dev1,k1,k2\ndev2,,k4\ndev1,k5,k6\n");
    snprintf(path, sizeof path, "%s/bootloader.bin", folder);
    unlink(path);
    assert_int_equal(check("--chip", "esp32c3"), KL_EXIT_INPUT);
    expect("line 2 can't be a key: a field is empty");
    expect("lines 1 and 3 have one label and different keys");
    expect("no bootloader.bin beside it");
    expect("firmware.bin is for ESP32");
    expect("4 problems\n");
}

static void suspicious_rows_are_problems_until_they_are_accepted(void **state)
{
    (void)state;
    put(csv, "uuid,nwkKey,appKey\n7a01,ff00,#NAME?\n");
    assert_int_equal(check(NULL, NULL), KL_EXIT_INPUT);
    expect("problem: line 1: a header, not a key");
    expect("problem: line 2, column 3: a spreadsheet's error");
    assert_int_equal(check("--accept", "header"), KL_EXIT_INPUT);
    expect("warning: line 1: a header, not a key (--accept)");
    put(csv, "uuid,nwkKey,appKey\n7a01,ff00,0011\n");
    assert_int_equal(check("--accept", "header"), KL_EXIT_OK);
    assert_int_equal(check("--accept", "haeder"), KL_EXIT_USAGE);
}

static void a_broken_quote_is_named_with_its_line(void **state)
{
    (void)state;
    put(csv, "dev1,k1,k2\ndev2,\"k3,k4\n");
    assert_int_equal(check(NULL, NULL), KL_EXIT_INPUT);
    expect("line 2");
}

static void no_key_is_ever_printed(void **state)
{
    (void)state;
    put(csv, "dev1,topsecret1,topsecret2\ndev1,topsecret3,topsecret4\ndev2,topsecret5\n");
    assert_int_equal(check(NULL, NULL), KL_EXIT_INPUT);
    assert_null(strstr(said, "topsecret"));
}

static void missing_files_are_bad_input(void **state)
{
    (void)state;
    unlink(firmware);
    assert_int_equal(check(NULL, NULL), KL_EXIT_INPUT);
    expect("keys.csv: No such file");
    expect("firmware.bin: no such file");
}

static void nothing_is_touched(void **state)
{
    static const char text[] = "dev1,k1,k2\r\ndev2,k3,k4";
    char ledger[128], now[64] = "";
    FILE *file;

    (void)state;
    put(csv, text);
    check(NULL, NULL);
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    assert_int_equal(access(ledger, F_OK), -1);
    file = fopen(csv, "r");
    assert_non_null(file);
    assert_int_equal(fread(now, 1, sizeof now, file), sizeof text - 1);
    fclose(file);
    assert_memory_equal(now, text, sizeof text - 1);
}

static void what_it_does_not_know_is_a_usage_error(void **state)
{
    (void)state;
    put(csv, "dev1,k1\n");
    assert_int_equal(check("--chip", "esp99"), KL_EXIT_USAGE);
    assert_int_equal(check("nonsense", NULL), KL_EXIT_USAGE);
    assert_int_equal(check("--help", NULL), KL_EXIT_OK);
    expect("usage: keyline check");
}

int main(void)
{
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, new_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(good_input_is_called_good),
        WITH_FOLDER(what_it_says_can_be_read_by_programs),
        WITH_FOLDER(every_problem_is_said_at_once),
        WITH_FOLDER(suspicious_rows_are_problems_until_they_are_accepted),
        WITH_FOLDER(a_broken_quote_is_named_with_its_line),
        WITH_FOLDER(no_key_is_ever_printed),
        WITH_FOLDER(missing_files_are_bad_input),
        WITH_FOLDER(nothing_is_touched),
        WITH_FOLDER(what_it_does_not_know_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
