/* Tests of several copies of one list on one host: each learns what became of keys in another. */
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
#include <sqlite3.h>

#include "store_folder.h"

static void ask(struct store_bench *b, enum kl_store_op op, const char *label, unsigned board)
{
    enum kl_store_status status = bench_ask(b, op, label, board);

    if (status != KL_STORE_OK)
        fail_msg("%s: %s", label, b->text);
}

/* From here on the tests look at this list. */
static void use(const char *name)
{
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, name));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
}

/* … which is a copy of the other one, with its ledger or without. */
static void use_copy(const char *name, bool with_ledger)
{
    char from[2][220];

    snprintf(from[0], sizeof from[0], "%s", csv);
    snprintf(from[1], sizeof from[1], "%s", ledger);
    use(name);
    file_put(csv, rows);
    if (with_ledger)
        copy_file(from[1], ledger);
}

static const uint32_t heal = 1u << KL_DOUBT_OLD, moved = 1u << KL_DOUBT_MOVED;

static void start_with(const char *label, unsigned board)
{
    struct store_bench b;

    file_put(csv, rows);
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, label, board);
    bench_close(&b);
}

/* dev-2 is this board's, and nobody is asked a second time. */
static void has_dev_2(unsigned board)
{
    struct store_bench b;

    opens(&b, heal);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], board);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 9), KL_STORE_REFUSED);
    bench_close(&b);
    opens(&b, 0);
    bench_close(&b);
}

static void a_key_given_back_here_was_given_out_there(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, "dev-2", 2);
    ask(&b, KL_OP_RELEASE, "dev-2", 2);
    bench_close(&b);
    use_copy("again.csv", false);
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, "dev-2", 3);
    bench_close(&b);
    use("keys.csv");
    stops(KL_DOUBT_OLD, "its ledger does not know were given out on this host from ");
    stops(KL_DOUBT_OLD, "dev-2 for 24:0a:c4:00:00:03");
    has_dev_2(3);
}

static void a_key_reserved_here_was_given_to_another_board_there(void **state)
{
    struct store_bench b;

    (void)state;
    start_with("dev-2", 2);
    use_copy("again.csv", false);
    opens(&b, heal);
    ask(&b, KL_OP_RELEASE, "dev-2", 2);
    ask(&b, KL_OP_RESERVE, "dev-2", 3);
    bench_close(&b);
    use("keys.csv");
    stops(KL_DOUBT_OLD, "dev-2 for 24:0a:c4:00:00:03");
    has_dev_2(3);
}

static void a_key_reserved_here_was_released_there(void **state)
{
    struct store_bench b;

    (void)state;
    start_with("dev-2", 2);
    use_copy("again.csv", false);
    opens(&b, heal);
    ask(&b, KL_OP_RELEASE, "dev-2", 2);
    bench_close(&b);
    use("keys.csv");
    stops(KL_DOUBT_OLD, "its ledger still holds were released on this host from ");
    opens(&b, heal);
    assert_null(entry(&b, "dev-2"));
    ask(&b, KL_OP_RESERVE, "dev-2", 3);
    bench_close(&b);
}

static void of_two_journals_the_one_with_the_proof_is_right(void **state)
{
    struct store_bench b;
    char name[16];

    (void)state;
    start_with("dev-1", 1);
    use_copy("again.csv", false);
    opens(&b, heal);
    ask(&b, KL_OP_PROVISION, "dev-1", 1);
    bench_close(&b);
    for (int i = 0; i < 8; i++) { /* each makes one more journal; they are read in any order */
        snprintf(name, sizeof name, "more-%d.csv", i);
        use_copy(name, false);
        opens(&b, heal);
        assert_true(entry(&b, "dev-1")->provisioned);
        bench_close(&b);
    }
}

static void what_a_copy_gave_back_and_the_original_gave_out_stays_given(void **state)
{
    struct store_bench b;

    (void)state;
    start_with("dev-1", 1);
    use_copy("copy.csv", true);
    opens(&b, moved);
    ask(&b, KL_OP_RESERVE, "dev-2", 2);
    ask(&b, KL_OP_RELEASE, "dev-2", 2);
    ask(&b, KL_OP_RESERVE, "dev-3", 2);
    ask(&b, KL_OP_RELEASE, "dev-3", 2);
    bench_close(&b);
    use("keys.csv");
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, "dev-2", 2); /* the same board */
    bench_close(&b);
    use("copy.csv");
    stops(KL_DOUBT_OLD, "dev-2 for 24:0a:c4:00:00:02");
    has_dev_2(2);
}

static void what_a_copy_was_told_is_no_news_for_the_original(void **state)
{
    struct store_bench b;

    (void)state;
    start_with("dev-1", 1);
    use_copy("copy.csv", true);
    use("keys.csv");
    opens(&b, 0);
    ask(&b, KL_OP_PROVISION, "dev-1", 1);
    ask(&b, KL_OP_PROVISION, "dev-2", 2);
    bench_close(&b);
    use("copy.csv");
    opens(&b, moved | heal);
    bench_close(&b);
    use("keys.csv");
    opens(&b, 0);
    bench_close(&b);
}

static void a_proof_forgets_no_spelling(void **state)
{
    struct store_bench b;
    struct kl_fingerprint fp;

    (void)state;
    start_with("dev-2", 2);
    file_put(csv, edited(rows, "0011223344556678,8899AABB", "00112233-44556678,8899aabb"));
    opens(&b, 0);
    fp = kl_store_content(b.store)->ledger[0].fingerprint;
    bench_submit(&b, KL_OP_PROVISION, &fp, 2);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    assert_int_equal(number("SELECT length(kin) FROM keys"), 16);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 9), KL_STORE_REFUSED);
    bench_close(&b);
}

/* Reads the ledger and does not end: until the process does, the log is not taken in. */
static bool keeps_reading(void)
{
    static sqlite3 *db;

    return sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
           sqlite3_exec(db, "BEGIN; SELECT count(*) FROM keys", NULL, NULL, NULL) == SQLITE_OK;
}

static void a_new_ledger_takes_no_log_of_an_old_one(void **state)
{
    struct store_bench b;
    char command[8192];
    int status;
    pid_t pid;

    (void)state;
    file_put(csv, rows);
    if ((pid = fork()) == 0)
        _exit(bench_open(&b, csv) != KL_STORE_OPENED || !keeps_reading() ||
              bench_ask(&b, KL_OP_RESERVE, "dev-1", 1) != KL_STORE_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(command, sizeof command, "test -s '%s-wal' && rm -r '%s' '%s'", ledger, ledger,
             bench_journal(csv));
    assert_int_equal(system(command), 0);
    opens(&b, heal);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 0);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'reserved'"), 0);
}

/* SQLite takes the newer log into the older file: keys of one, and their index of the other. */
static void an_old_ledger_beside_a_newer_log_is_damaged(void **state)
{
    struct store_bench b;
    char old[240];
    int status;
    pid_t pid;

    (void)state;
    snprintf(old, sizeof old, "%s.old", ledger);
    file_put(csv, rows);
    opens(&b, 0);
    bench_close(&b);
    copy_file(ledger, old);
    start_with("dev-1", 1);
    start_with("dev-2", 2);
    if ((pid = fork()) == 0)
        _exit(bench_open(&b, csv) != KL_STORE_OPENED || !keeps_reading() ||
              bench_ask(&b, KL_OP_PROVISION, "dev-1", 1) != KL_STORE_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    copy_file(old, ledger);
    assert_int_equal(bench_open_answered(&b, csv, heal | moved), KL_STORE_BROKEN);
    assert_non_null(strstr(b.error, "damaged"));
    assert_int_equal(bench_open_answered(&b, csv, heal | moved), KL_STORE_BROKEN);
    unlink(ledger);
    has_dev_2(2);
}

static void the_folder_of_journals_is_made_again(void **state)
{
    struct store_bench b;
    char command[8192];

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, "dev-2", 2);
    snprintf(command, sizeof command, "rm -r '%s'", bench_journal(csv));
    assert_int_equal(system(command), 0);
    ask(&b, KL_OP_RESERVE, "dev-3", 3);
    bench_close(&b);
    unlink(ledger);
    stops(KL_DOUBT_OLD, " and 1 more");
    has_dev_2(2);
}

/* As `cp` puts it back: the file stays the same one, and no shorter. */
static void an_older_journal_is_written_over_the_one_in_use(void **state)
{
    struct store_bench b;
    char command[8192];

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    ask(&b, KL_OP_RESERVE, "dev-1", 1);
    snprintf(command, sizeof command, "cp -r '%s' '%s'", bench_journal(csv),
             scratch_path(&dir, "older"));
    assert_int_equal(system(command), 0);
    ask(&b, KL_OP_RESERVE, "dev-2", 2);
    snprintf(command, sizeof command, "cp '%s'/*.journal '%s'", scratch_path(&dir, "older"),
             bench_journal(csv));
    assert_int_equal(system(command), 0);
    ask(&b, KL_OP_RESERVE, "dev-3", 3);
    bench_close(&b);
    unlink(ledger);
    stops(KL_DOUBT_OLD, " and 2 more");
    has_dev_2(2);
}

static void move_journals(const char *from, const char *to)
{
    char command[8192];

    snprintf(command, sizeof command, "rm -rf '%s' && mv '%s' '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

/* Somebody else of this host, who has journals elsewhere, works with this list and proves a key.
   With the journals of here a copy of the list is worked with, and comes to tell of later changes.
   Nothing takes the proved key from its board. */
static void prove_while_a_copy_goes_on(unsigned board)
{
    struct store_bench b;
    char aside[220];

    snprintf(aside, sizeof aside, "%s", scratch_path(&dir, "aside"));
    start_with("dev-2", 2);
    use_copy("again.csv", true);
    use("keys.csv");
    move_journals(bench_journal(csv), aside);
    opens(&b, 0);
    ask(&b, KL_OP_PROVISION, "dev-2", 2);
    bench_close(&b);
    move_journals(aside, bench_journal(csv));
    use("again.csv");
    opens(&b, heal | moved);
    ask(&b, KL_OP_RELEASE, "dev-2", 2);
    ask(&b, KL_OP_RESERVE, "dev-2", board);
    bench_close(&b);
    use("keys.csv");
}

static void a_proved_key_stays_though_a_copy_tells_of_later_changes(void **state)
{
    struct store_bench b;

    (void)state;
    prove_while_a_copy_goes_on(2);
    opens(&b, heal | moved);
    assert_true(entry(&b, "dev-2")->provisioned);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], 2);
    bench_close(&b);
    has_dev_2(2);
}

static void a_proved_key_that_a_copy_gave_to_another_board_is_asked_about(void **state)
{
    struct store_bench b;

    (void)state;
    prove_while_a_copy_goes_on(3);
    assert_int_equal(bench_open_answered(&b, csv, moved), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_OLD);
    assert_non_null(strstr(b.error, "tell different stories of 1 keys"));
    opens(&b, heal | moved);
    assert_true(entry(&b, "dev-2")->provisioned);
    bench_close(&b);
    has_dev_2(2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(a_key_given_back_here_was_given_out_there),
        TEST(a_key_reserved_here_was_given_to_another_board_there),
        TEST(a_key_reserved_here_was_released_there),
        TEST(of_two_journals_the_one_with_the_proof_is_right),
        TEST(what_a_copy_gave_back_and_the_original_gave_out_stays_given),
        TEST(what_a_copy_was_told_is_no_news_for_the_original),
        TEST(a_proof_forgets_no_spelling),
        TEST(a_new_ledger_takes_no_log_of_an_old_one),
        TEST(an_old_ledger_beside_a_newer_log_is_damaged),
        TEST(the_folder_of_journals_is_made_again),
        TEST(an_older_journal_is_written_over_the_one_in_use),
        TEST(a_proved_key_stays_though_a_copy_tells_of_later_changes),
        TEST(a_proved_key_that_a_copy_gave_to_another_board_is_asked_about),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
