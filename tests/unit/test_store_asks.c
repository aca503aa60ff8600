/* Tests of what a running store asks when its list changes: no key leaves before a person answers,
   and boards that have a key, or were promised one, go on. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "adapters/host/lease.h"
#include "scratch.h"
#include "store_bench.h"

#define K(n) "8899aabbccddeeff00112233445566" n

static const char rows[] = "dev-1,00112233445566a1," K("01") "\ndev-2,00112233445566a2," K(
    "02") "\n"
          "dev-3,00112233445566a3," K("03") "\ndev-4,00112233445566a4," K("04") "\n";

static struct scratch dir;
static char csv[200], ledger[220], text[1024];
static struct store_bench b;

static int start(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    file_put(csv, rows);
    return bench_open(&b, csv) == KL_STORE_OPENED ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    if (!b.closed)
        bench_close(&b);
    scratch_remove(&dir);
    return 0;
}

/* The CSV, with these rows behind the first ones. */
static void append(const char *more)
{
    char all[2048];

    snprintf(all, sizeof all, "%s%s", rows, more);
    file_put(csv, all);
}

static bool asks(struct store_bench *bench, void *words)
{
    return strstr(bench->question.text, words) != NULL;
}

static void is_asked(const char *words)
{
    char copy[KL_TEXT_MAX];

    kl_copy(copy, sizeof copy, words);
    if (!bench_until(&b, asks, copy))
        fail_msg("asked: %s; trouble: %s", b.question.text, b.trouble);
    assert_int_equal(strlen(b.question.id), 8);
}

static bool has_rows(struct store_bench *bench, void *count)
{
    return bench->question.id[0] == '\0' &&
           kl_store_content(bench->store)->row_count == *(uint32_t *)count;
}

/* Says yes; then so many rows are there, and nothing is asked. */
static void answer(uint32_t count)
{
    char id[KL_QUESTION_ID];

    kl_copy(id, sizeof id, b.question.id);
    assert_true(kl_store_answer(b.store, id));
    if (!bench_until(&b, has_rows, &count))
        fail_msg("asked: %s; trouble: %s", b.question.text, b.trouble);
    assert_string_equal(b.question.id, "");
    assert_false(kl_store_answer(b.store, id));
}

static int64_t number(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t value;

    assert_int_equal(sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 100000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

/* ---- rows that can't be keys ---- */

static void a_second_list_with_its_header_is_held_back(void **state)
{
    struct kl_fingerprint one = bench_key(&b, "dev-1"), two = bench_key(&b, "dev-2");

    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    append("id,dev_eui,app_key\nnew-1,00112233445566a5," K("05") "\n");
    is_asked("line 5: a header");
    bench_submit(&b, KL_OP_RESERVE, &two, 2);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_ASKS);
    /* what was promised is its board's */
    bench_submit(&b, KL_OP_FETCH, &one, 1);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-1,00112233445566a1," K("01"));
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_false(kl_store_answer(b.store, ""));
    assert_false(kl_store_answer(b.store, "00000000"));
    answer(6);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "new-1", 2), KL_STORE_OK);
}

static void a_corrected_list_needs_no_answer(void **state)
{
    uint32_t five = 5;

    (void)state;
    append("new-1,00112233445566a5,#NAME?\n");
    is_asked("line 5, column 3: a spreadsheet's error");
    append("new-1,00112233445566a5," K("05") "\n");
    assert_true(bench_until(&b, has_rows, &five));
    assert_string_equal(b.question.id, "");
    assert_string_equal(b.trouble, "");
}

static void an_answer_is_for_what_was_seen(void **state)
{
    char id[KL_QUESTION_ID];

    (void)state;
    append("new-1,00112233445566a5,#NAME?\n");
    is_asked("line 5, column 3");
    kl_copy(id, sizeof id, b.question.id);
    append("new-1,00112233445566a5,#NAME?\nnew-2,00112233445566a6,#NAME?\n");
    is_asked("lines 5 and 6, column 3");
    assert_string_not_equal(id, b.question.id);
    assert_false(kl_store_answer(b.store, id));
    answer(6);
    /* Good rows are no reason to ask again; one more of that kind is. */
    append("new-1,00112233445566a5,#NAME?\nnew-2,00112233445566a6,#NAME?\n"
           "new-3,00112233445566a7," K("07") "\n");
    assert_true(bench_until(&b, has_rows, &(uint32_t){7}));
    append("new-1,00112233445566a5,#NAME?\nnew-2,00112233445566a6,#NAME?\n"
           "new-3,00112233445566a7,#NAME?\n");
    is_asked("lines 5, 6 and 7, column 3");
}

static void rows_of_another_form_are_held_back(void **state)
{
    (void)state;
    append("new-1," K("05") "," K("06") "\nnew-2," K("07") "," K("08") "\n");
    is_asked("line 5, column 2: not the 16 hex digits of all rows before");
    answer(6);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "new-1", 2), KL_STORE_OK);
}

static void a_list_with_other_columns_is_held_back(void **state)
{
    (void)state;
    append("n-1,00,11,22\nn-2,33,44,55\nn-3,66,77,88\nn-4,99,aa,bb\nn-5,cc,dd,ee\n");
    is_asked("most rows have 4 fields now, and had 3");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_ASKS);
    answer(9);
}

/* ---- rows that are missing ---- */

static void a_person_may_say_that_a_shorter_file_is_whole(void **state)
{
    static const char less[] = "dev-1,00112233445566a1," K("01") "\n";
    int fd = open(csv, O_WRONLY | O_TRUNC | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, less, sizeof less - 1), sizeof less - 1);
    /* The editor keeps it open: it never comes to rest. */
    is_asked("3 rows that were there are missing");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_ASKS);
    answer(1);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    close(fd);
}

/* Editors save in steps, and people take rows out: where it can be seen that nobody writes, the
   store waits for two seconds and asks nobody. */
static void rows_that_are_taken_out_are_asked_of_nobody(void **state)
{
    int fd = open(csv, O_RDONLY | O_CLOEXEC);
    enum kl_lease lease = kl_lease_take(fd);

    (void)state;
    if (lease == KL_LEASE_TAKEN)
        kl_lease_drop(fd);
    close(fd);
    if (lease != KL_LEASE_TAKEN)
        skip(); /* here nobody can see it, and the store asks */
    file_put(csv, "dev-1,00112233445566a1," K("01") "\n");
    assert_true(bench_until(&b, has_rows, &(uint32_t){1}));
    assert_int_equal(b.questions, 0);
}

/* ---- keys that a board may have already ---- */

/* Gives out the key `label` of a list of its own. */
static void give_out(const char *list, const char *label)
{
    struct store_bench other;
    const char *path = scratch_path(&dir, "other.csv");

    file_put(path, list);
    assert_int_equal(bench_open(&other, path), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&other, KL_OP_RESERVE, label, 77), KL_STORE_OK);
    bench_close(&other);
}

static void rows_that_another_list_gave_out_are_held_back(void **state)
{
    static const char other[] =
        "old-1,00112233445566b1," K("b1") "\nold-2,00112233445566b2," K("b2") "\n";
    struct kl_fingerprint old;

    (void)state;
    give_out(other, "old-1");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    append(other);
    is_asked("given out on this host from ");
    assert_non_null(strstr(b.question.text, "old-1 for "));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_ASKS);
    answer(6);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "old-2", 3), KL_STORE_OK);
    old = bench_key(&b, "old-1");
    bench_submit(&b, KL_OP_RESERVE, &old, 4);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'restored'"), 1);
    /* What was answered is in the journal too: the next start has nothing to ask. */
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
}

static void a_label_that_is_corrected_while_a_station_runs_is_asked_about(void **state)
{
    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    snprintf(text, sizeof text, "DEV-001%s", strchr(rows, ','));
    file_put(csv, text);
    is_asked("line 1: the key dev-1, which is reserved for ");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_ASKS);
    answer(4);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "DEV-001", 1), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM keys WHERE label = 'DEV-001' AND state = "
                            "'provisioned'"),
                     1);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'renamed'"), 1);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
}

static void one_question_comes_after_the_other(void **state)
{
    static const char other[] = "old-1,00112233445566b1," K("b1") "\n";
    char first[KL_QUESTION_ID];

    (void)state;
    give_out(other, "old-1");
    snprintf(text, sizeof text, "id,dev_eui,app_key\n%s", other);
    append(text);
    is_asked("line 5: a header");
    kl_copy(first, sizeof first, b.question.id);
    assert_true(kl_store_answer(b.store, first));
    is_asked("given out on this host from ");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_ASKS);
    answer(6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
        TEST(a_second_list_with_its_header_is_held_back),
        TEST(a_corrected_list_needs_no_answer),
        TEST(an_answer_is_for_what_was_seen),
        TEST(rows_of_another_form_are_held_back),
        TEST(a_list_with_other_columns_is_held_back),
        TEST(a_person_may_say_that_a_shorter_file_is_whole),
        TEST(rows_that_are_taken_out_are_asked_of_nobody),
        TEST(rows_that_another_list_gave_out_are_held_back),
        TEST(a_label_that_is_corrected_while_a_station_runs_is_asked_about),
        TEST(one_question_comes_after_the_other),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
