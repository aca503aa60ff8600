/* Tests of `keyline keys`: what it prints, what it changes, how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "adapters/store/ledger.h"
#include "keyline/cli.h"
#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char csv[256], out[256], err[256];
static char *said, *complained; /* by the last command */

static const char rows[] = "uuid,nwkkey,appkey\n"
                           "dev-1,5ecretA1,5ecretB1\n"
                           "dev-2,5ecretA2,5ecretB2\n"
                           "dev-3,5ecretA3,5ecretB3\n"
                           "dev-3,5ecretA3,5ecretB3\n"
                           "dev-4,5ecretA4\n"
                           "dev-5,5ecretA5,5ecretB5,Provisioned\n";

static void write_ledger(void)
{
    struct store_bench b;

    assert_int_equal(bench_open_with(&b, (struct kl_store_options){.csv = csv, .header = true}),
                     KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
}

static int start(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s/keys.csv", dir.folder);
    snprintf(out, sizeof out, "%s/out", dir.folder);
    snprintf(err, sizeof err, "%s/err", dir.folder);
    file_put(csv, rows);
    said = complained = NULL;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(said);
    free(complained);
    scratch_remove(&dir);
    return 0;
}

/* Runs `keyline keys …` on the CSV, in a process of its own; NULL ends the words. */
static int keys(const char *first, ...)
{
    const char *argv[24] = {"keys", "--csv-file", csv, "--csv-header"};
    int argc = 4, status;
    va_list words;
    pid_t pid;

    va_start(words, first);
    for (const char *word = first; word != NULL; word = va_arg(words, const char *))
        argv[argc++] = word;
    va_end(words);
    fflush(NULL);
    if ((pid = fork()) == 0) {
        if (freopen(out, "w", stdout) == NULL || freopen(err, "w", stderr) == NULL)
            _exit(99);
        status = kl_cli_keys(argc, (char **)(uintptr_t)argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(said);
    free(complained);
    said = file_read(out, NULL);
    complained = file_read(err, NULL);
    assert_null(strstr(said, "5ecret"));
    assert_null(strstr(complained, "5ecret"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void says(const char *words)
{
    if (strstr(said, words) == NULL)
        fail_msg("not said: %s\n%s%s", words, said, complained);
}

static void complains(const char *words)
{
    if (strstr(complained, words) == NULL)
        fail_msg("no complaint: %s\n%s%s", words, said, complained);
}

static json_t *answer(void)
{
    json_error_t error;
    json_t *json = json_loads(said, 0, &error);

    if (json == NULL)
        fail_msg("no JSON: %s\n%s", error.text, said);
    return json;
}

static void status_counts(void **state)
{
    json_t *json;

    (void)state;
    write_ledger();
    assert_int_equal(keys("status", NULL), KL_EXIT_OK);
    says("dev-1");
    says("24:0a:c4:00:00:01");
    assert_int_equal(keys("status", "--json", NULL), KL_EXIT_OK);
    json = answer();
    assert_int_equal(json_integer_value(json_object_get(json, "free")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "reserved")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "provisioned")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "copies")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "bad_lines")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "foreign")), 1);
    assert_int_equal(json_array_size(json_object_get(json, "in_doubt")), 1);
    json_decref(json);
}

static void list_shows_every_row(void **state)
{
    json_t *json, *one;

    (void)state;
    write_ledger();
    assert_int_equal(keys("list", "--json", NULL), KL_EXIT_OK);
    json = answer();
    assert_int_equal(json_array_size(json), 6);
    json_decref(json);
    assert_int_equal(keys("list", "--state", "provisioned", "--json", NULL), KL_EXIT_OK);
    json = answer();
    assert_int_equal(json_array_size(json), 2);
    one = json_array_get(json, 0);
    assert_string_equal(json_string_value(json_object_get(one, "label")), "dev-2");
    assert_string_equal(json_string_value(json_object_get(one, "mac")), "24:0a:c4:00:00:02");
    assert_int_equal(json_integer_value(json_object_get(one, "line")), 3);
    json_decref(json);
    assert_int_equal(keys("list", "--state", "blocked", NULL), KL_EXIT_OK);
    says("line 6  bad_line: its number of fields differs");
    says("line 5  copy");
    assert_int_equal(keys("list", "--state", "lost", NULL), KL_EXIT_USAGE);
}

static void history_tells_what_happened(void **state)
{
    json_t *json;

    (void)state;
    assert_int_equal(keys("history", "--json", NULL), KL_EXIT_OK); /* no ledger yet */
    complains("no ledger yet");
    json_decref(answer());
    write_ledger();
    assert_int_equal(keys("history", NULL), KL_EXIT_OK);
    says("reserved");
    says("adopted");
    says("done");
    assert_int_equal(keys("history", "--label", "dev-1", "--json", NULL), KL_EXIT_OK);
    json = answer();
    assert_int_equal(json_array_size(json), 1);
    json_decref(json);
    assert_int_equal(keys("history", "--mac", "24:0A:C4:00:00:02", "--csv", NULL), KL_EXIT_OK);
    says("time,event,mac,");
    says(",attempt,24:0a:c4:00:00:02,");
    assert_null(strstr(said, "24:0a:c4:00:00:01"));
    assert_int_equal(keys("history", "--mac", "24:0a", NULL), KL_EXIT_USAGE);
}

/* Order is by what came first, whatever the clock said then. */
static void a_clock_that_jumps_back_changes_nothing(void **state)
{
    struct kl_ledger_change c = {.fingerprint = {{1, 2, 3}},
                                 .mac = {{0x24, 0x6f, 0x28, 0, 0, 1}},
                                 .label = "dev-1",
                                 .how = "readback",
                                 .reason = "",
                                 .station = "s",
                                 .bundle = "b",
                                 .wall = INT64_C(1700000000000000)};
    char path[300], text[KL_TEXT_MAX];
    struct kl_ledger *l;
    const char *first, *second;

    (void)state;
    snprintf(path, sizeof path, "%s.ledger", csv);
    l = kl_ledger_open(path, KL_LEDGER_CREATE, false, text);
    assert_non_null(l);
    assert_true(kl_ledger_begin(l, text));
    assert_int_equal(kl_ledger_reserve(l, &c, text), KL_STORE_OK);
    c.wall = 1000000; /* a machine without a clock of its own starts in 1970 */
    assert_int_equal(kl_ledger_provision(l, &c, text), KL_STORE_OK);
    assert_true(kl_ledger_commit(l, text));
    kl_ledger_close(l);
    assert_int_equal(keys("history", "--csv", NULL), KL_EXIT_OK);
    first = strstr(said, "2023-11-14T22:13:20Z,reserved");
    second = strstr(said, "1970-01-01T00:00:01Z,provisioned");
    assert_true(first != NULL && second != NULL && first < second);
    assert_int_equal(keys("export", NULL), KL_EXIT_OK);
    says("dev-1,24:6f:28:00:00:01,1970-01-01T00:00:01Z");
}

static void export_is_for_the_customer(void **state)
{
    json_t *json;

    (void)state;
    write_ledger();
    assert_int_equal(keys("export", NULL), KL_EXIT_OK);
    says("label,mac,provisioned,bundle,station,confirmed,fingerprint,eui64\n"
         "dev-2,24:0a:c4:00:00:02,20");
    says(",abcdef,bench-1,readback,");
    says(",24:0a:c4:ff:fe:00:00:02\n");
    assert_null(strstr(said, "dev-1"));
    assert_int_equal(keys("history", "--csv", NULL), KL_EXIT_OK);
    says(",bench-1,24:0a:c4:ff:fe:00:00:02\n");
    assert_int_equal(keys("history", "--json", NULL), KL_EXIT_OK);
    says("\"eui64\":\"24:0a:c4:ff:fe:00:00:02\"");
    assert_int_equal(keys("export", "--json", NULL), KL_EXIT_OK);
    json = answer();
    assert_int_equal(json_array_size(json), 1);
    json_decref(json);
}

static void audit_says_what_is_certain_and_what_is_not(void **state)
{
    char folder[400];
    json_t *json;

    (void)state;
    write_ledger();
    snprintf(folder, sizeof folder, "%s", bench_journal(csv));
    assert_int_equal(keys("audit", "--journal", folder, NULL), KL_EXIT_DOUBT);
    says("in doubt  dev-1, 24:0a:c4:00:00:01: it may be on this board");
    says("in doubt  dev-5: it is marked as spent, and the ledger does not know which board has it");
    says("certain   1 keys: their boards have read them back");
    says("certain   1 keys are free");
    says("in doubt  2 in all");
    assert_null(strstr(said, "journal"));
    /* without the journal nobody can know that the ledger is no old copy */
    assert_int_equal(keys("audit", "--json", NULL), KL_EXIT_DOUBT);
    json = answer();
    assert_int_equal(json_array_size(json), 3);
    json_decref(json);
    says("there is no journal");
}

static void audit_of_fresh_keys_finds_nothing(void **state)
{
    (void)state;
    file_put(csv, "label,a,b\ndev-1,5ecretA1,5ecretB1\n");
    assert_int_equal(keys("audit", NULL), KL_EXIT_OK);
    says("nothing is in doubt");
}

static void release_needs_a_label_and_a_reason(void **state)
{
    (void)state;
    write_ledger();
    assert_int_equal(keys("release", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("release", "dev-1", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("release", "dev-1", "--reason", " ", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("release", "dev-2", "--reason", "why", NULL), KL_EXIT_INPUT);
    complains("for good");
    assert_int_equal(keys("release", "dev-3", "--reason", "why", NULL), KL_EXIT_INPUT);
    complains("not reserved");
    assert_int_equal(
        keys("release", "dev-1", "--reason", "why", "--mac", "24:0a:c4:00:00:02", NULL),
        KL_EXIT_INPUT);
    assert_int_equal(keys("list", "--state", "free", NULL), KL_EXIT_OK);
    assert_null(strstr(said, "dev-1"));
    assert_int_equal(keys("release", "dev-1", "--reason", "board scrapped", NULL), KL_EXIT_OK);
    says("dev-1 is free again");
    assert_int_equal(keys("list", "--state", "free", NULL), KL_EXIT_OK);
    says("dev-1");
    assert_int_equal(keys("history", "--label", "dev-1", NULL), KL_EXIT_OK);
    says("board scrapped");
}

static void while_a_station_runs_all_but_release_work(void **state)
{
    struct store_bench b;

    (void)state;
    write_ledger();
    assert_int_equal(bench_open_with(&b, (struct kl_store_options){.csv = csv, .header = true}),
                     KL_STORE_OPENED);
    assert_int_equal(keys("status", NULL), KL_EXIT_OK);
    says("a station is running: pid ");
    assert_int_equal(keys("list", NULL), KL_EXIT_OK);
    assert_int_equal(keys("history", NULL), KL_EXIT_OK);
    assert_int_equal(keys("export", NULL), KL_EXIT_OK);
    assert_int_equal(keys("release", "dev-1", "--reason", "why", NULL), KL_EXIT_HELD);
    complains("a station works on");
    bench_close(&b);
}

static void lint_explains_and_mends_a_copy(void **state)
{
    (void)state;
    assert_int_equal(keys("lint", NULL), KL_EXIT_INPUT);
    says("line 6 can't be a key: its number of fields");
    file_put(csv, "id,key\ndev-1,5ecret#NAME?\ndev-2,#NAME?\n#dev-3,5ecretA\ndev-4,5ecretB\n"
                  "dev-5,5ecretC\ndev-6,\"=\"\"5ecret\"\"\"\n");
    assert_int_equal(keys("lint", csv, NULL), KL_EXIT_INPUT);
    says("line 3, column 2: a spreadsheet's error");
    says("line 4: begins with #");
    says("line 7, column 2: a spreadsheet's formula");
    says("--accept each of: comment, formula, error-value");
    assert_int_equal(keys("lint", "--fix", NULL), KL_EXIT_INPUT);
    says("keys.csv.fixed: 5 rows");
    says("--accept each of: error-value");
    assert_int_equal(keys("lint", "--help", NULL), KL_EXIT_OK);
    says("\n  comment: begins with #");
}

/* A bench refuses such a list: whoever asks what is wrong with it is told of it. */
static void lint_tells_what_stands_twice(void **state)
{
    (void)state;
    file_put(csv, "id,key\ndev-1,5ecretA\ndev-2,5ecretA\ndev-3,5ecretB\ndev-3,5ecretC\n");
    assert_int_equal(keys("lint", csv, NULL), KL_EXIT_INPUT);
    says("lines 2 and 3 have one secret under two labels");
    says("lines 4 and 5 have one label and different keys");
    says("no station starts with this");
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    file_put(csv, "a,b\nc,\"d\n");
    assert_int_equal(keys("status", NULL), KL_EXIT_INPUT);
    complains("line 2");
    file_put(csv, rows);
    file_put(scratch_path(&dir, "keys.csv.ledger"), "rubbish, and more of it than a header has: "
                                                    "0123456789012345678901234567890123456789012"
                                                    "345678901234567890123456789\n");
    assert_int_equal(keys("status", NULL), KL_EXIT_STORE);
    complains("keys.csv.ledger");
    assert_int_equal(keys("history", NULL), KL_EXIT_STORE);
    assert_int_equal(keys("nonsense", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("status", "--reason", "why", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("status", "--fix", NULL), KL_EXIT_USAGE);
    assert_int_equal(keys("lint", "a.csv", "b.csv", NULL), KL_EXIT_USAGE);
}

int main(void)
{
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        ON_DISK(status_counts),
        ON_DISK(list_shows_every_row),
        ON_DISK(history_tells_what_happened),
        ON_DISK(a_clock_that_jumps_back_changes_nothing),
        ON_DISK(export_is_for_the_customer),
        ON_DISK(audit_says_what_is_certain_and_what_is_not),
        ON_DISK(audit_of_fresh_keys_finds_nothing),
        ON_DISK(release_needs_a_label_and_a_reason),
        ON_DISK(while_a_station_runs_all_but_release_work),
        ON_DISK(lint_explains_and_mends_a_copy),
        ON_DISK(lint_tells_what_stands_twice),
        ON_DISK(what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
