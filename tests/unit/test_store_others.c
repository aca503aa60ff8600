/* Tests of keys that were given out by another list, another spelling of it, or an old copy. */
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

#include "adapters/store/csv_tag.h"
#include "adapters/store/journal.h"
#include "store_folder.h"

static void sql(const char *text)
{
    sqlite3 *db;
    char *error = NULL;

    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 100000);
    if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(db);
}

/* One key reserved, one provisioned, and the store closed. */
static void work_a_little(void)
{
    struct store_bench b;

    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
}

static void reserve_one(const char *label, unsigned board)
{
    struct store_bench b;

    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, label, board), KL_STORE_OK);
    bench_close(&b);
}

/* ---- other lists ---- */

/* A spreadsheet wrote the secrets of the copy in another spelling. */
static void keys_in_another_spelling_are_known(void **state)
{
    struct store_bench b;

    (void)state;
    work_a_little();
    reserve_one("dev-2", 2);
    unlink(ledger);
    file_put(csv, edited(rows, "8899AABBCCDDEEFF0011223344556602",
                         "8899aabb:ccddeeff:00112233:44556602"));
    stops(KL_DOUBT_OLD, "has no ledger, but keys of it were given out");
    file_put(csv, edited("dev-2,0011223344556678,8899AABBCCDDEEFF0011223344556602\n", "8899AABB",
                         "8899aabb"));
    stops(KL_DOUBT_OLD, "dev-2 for ");
    opens(&b, 1u << KL_DOUBT_OLD);
    assert_int_equal(number("SELECT count(*) FROM keys WHERE state = 'reserved'"), 1);
    bench_close(&b);
}

static void rows_of_another_list_are_known_to_be_given_out(void **state)
{
    char other[400], all[1024];
    struct store_bench b;

    (void)state;
    work_a_little(); /* dev-1 */
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "other.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    snprintf(other, sizeof other, "new-1,00112233445566a0,8899AABBCCDDEEFF00112233445566A0\n");
    file_put(csv, other);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "new-1", 7), KL_STORE_OK);
    bench_close(&b);
    /* The rest of the first list, as it was once, is put behind the second one. */
    snprintf(all, sizeof all, "%s%s", other, rows);
    file_put(csv, all);
    stops(KL_DOUBT_OLD, "dev-1 for ");
    opens(&b, 1u << KL_DOUBT_OLD);
    assert_true(entry(&b, "dev-1")->provisioned);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 8), KL_STORE_OK);
    bench_close(&b);
    opens(&b, 0); /* asked once */
    bench_close(&b);
}

static void marked_rows_of_another_list_are_spent_without_a_question(void **state)
{
    char all[1024];
    struct store_bench b;

    (void)state;
    work_a_little();
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "other.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    file_put(csv, "new-1,00112233445566a0,8899AABBCCDDEEFF00112233445566A0\n");
    opens(&b, 0);
    bench_close(&b);
    snprintf(all, sizeof all, "%s%s", "new-1,00112233445566a0,8899AABBCCDDEEFF00112233445566A0\n",
             edited(rows, "6601\n", "6601,Provisioned\n"));
    file_put(csv, all);
    opens(&b, 0);
    bench_close(&b);
}

/* Their boards get no second key, even if somebody erases them. */
static void the_boards_of_marked_rows_are_known_from_another_list(void **state)
{
    struct kl_mac mac = bench_mac(1);
    struct store_bench b;
    char other[220];

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    bench_close(&b);
    snprintf(other, sizeof other, "%s", scratch_path(&dir, "other.csv"));
    assert_int_equal(rename(csv, other), 0); /* its ledger stays */
    assert_int_equal(bench_open(&b, other), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(rename(other, csv), 0); /* … and is beside the list again */
    opens(&b, 0);
    assert_non_null(entry(&b, "dev-1"));
    assert_true(entry(&b, "dev-1")->provisioned);
    assert_memory_equal(&entry(&b, "dev-1")->mac, &mac, sizeof mac);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 1), KL_STORE_REFUSED);
    bench_close(&b);
    opens(&b, 0);
    bench_close(&b);
}

/* Earlier versions took 0x for a part of the secret. What they wrote still leads to the key. */
static void keys_of_an_earlier_version_are_known_in_every_spelling(void **state)
{
    static const char spelled[] = "dev-1,0x0011223344556677,0x8899AABBCCDDEEFF0011223344556601\n";
    struct store_bench b;

    (void)state;
    file_put(csv, spelled);
    reserve_one("dev-1", 1);
    sql("UPDATE keys SET kin = x'00112233445566778899aabbccddeeff'");
    opens(&b, 0);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM keys WHERE kin <> x'00112233445566778899aabbcc"
                            "ddeeff'"),
                     1);
    file_put(csv, rows); /* without 0x */
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 2), KL_STORE_REFUSED);
    bench_close(&b);
}

static void journals_of_an_earlier_version_know_the_very_row(void **state)
{
    struct kl_pool_id other = {{7}};
    struct kl_journal_record record = {.kind = KL_JOURNAL_PROVISIONED, .change = 1};
    char error[KL_TEXT_MAX];
    struct kl_journal *j;
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    record.fingerprint = bench_key(&b, "dev-3");
    record.mac = bench_mac(3);
    record.kin.b[0] = 1;
    bench_close(&b);
    j = kl_journal_make(bench_journal(csv), &other, "/elsewhere/keys.csv", &record, 1, error);
    assert_non_null(j);
    kl_journal_close(j);
    stops(KL_DOUBT_OLD, "dev-3 for ");
}

/* ---- another user, or another folder of journals ---- */

static enum kl_store_open_result opens_elsewhere(struct store_bench *b, uint32_t answers)
{
    static char other[200];

    snprintf(other, sizeof other, "%s", scratch_path(&dir, "other-journal"));
    return bench_open_with(
        b, (struct kl_store_options){.csv = csv, .journal = other, .answers = answers});
}

static void a_list_without_its_ledger_tells_that_it_was_worked_with(void **state)
{
    struct store_bench b;
    struct kl_pool_id id;

    (void)state;
    work_a_little(); /* a mark puts another file in the CSV's place */
    reserve_one("dev-2", 2);
    if (!kl_csv_tag_read(csv, &id))
        skip(); /* this file system keeps no attributes */
    unlink(ledger);
    assert_int_equal(opens_elsewhere(&b, 0), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_OLD);
    assert_non_null(strstr(b.error, "keys of it were given out with a ledger that is not here"));
    assert_int_equal(opens_elsewhere(&b, 1u << KL_DOUBT_OLD), KL_STORE_OPENED);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'healed'"), 1);
    assert_int_equal(opens_elsewhere(&b, 0), KL_STORE_OPENED); /* asked once */
    bench_close(&b);
}

static void a_list_that_is_put_in_anothers_place_tells_so(void **state)
{
    struct store_bench b;
    struct kl_pool_id id;
    char kept[200];

    (void)state;
    snprintf(kept, sizeof kept, "%s", scratch_path(&dir, "kept.csv"));
    work_a_little();
    if (!kl_csv_tag_read(csv, &id))
        skip();
    assert_int_equal(rename(csv, kept), 0);
    unlink(ledger);
    file_put(csv, "new-1,00112233445566a0,8899AABBCCDDEEFF00112233445566A0\n");
    assert_int_equal(opens_elsewhere(&b, 0), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "new-1", 5), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(rename(kept, csv), 0);
    assert_int_equal(opens_elsewhere(&b, 0), KL_STORE_DOUBT);
    assert_non_null(strstr(b.error, "with a ledger that is not here"));
}

static void a_list_that_gave_out_nothing_has_no_tag(void **state)
{
    struct store_bench b;
    struct kl_pool_id id;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    bench_close(&b);
    assert_false(kl_csv_tag_read(csv, &id));
    unlink(ledger);
    assert_int_equal(opens_elsewhere(&b, 0), KL_STORE_OPENED);
    bench_close(&b);
}

/* ---- old copies ---- */

/* Releases by hand, as `keyline keys release` does. */
static enum kl_store_open_result release_by_hand(const char *label, unsigned board,
                                                 char text[KL_TEXT_MAX])
{
    struct kl_store_options o = {
        .csv = csv, .mode = KL_STORE_MEND, .journal = bench_journal(csv), .station = "test"};
    struct kl_ledger_key key = {.mac = bench_mac(board), .label = label};
    enum kl_store_open_result result;
    struct kl_store *store;
    struct store_bench b;

    opens(&b, 0);
    key.fingerprint = bench_key(&b, label);
    bench_close(&b);
    if ((result = kl_store_open(&o, &store, text)) == KL_STORE_OPENED) {
        assert_true(kl_store_release(store, &key, "it is lost", text));
        kl_store_free(store);
    }
    return result;
}

/* Who releases a key that an old ledger knows as reserved does not know that a board has proved it
   since; and however many changes are made to such a copy, it stays one. */
static void on_an_old_copy_no_key_is_released(void **state)
{
    struct kl_store_options o = {.csv = csv, .mode = KL_STORE_MEND, .journal = bench_journal(csv)};
    const char *kept = scratch_path(&dir, "kept.ledger");
    char copy[220], text[KL_TEXT_MAX];
    struct kl_store *store;
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    snprintf(copy, sizeof copy, "%s", kept);
    reserve_one("dev-1", 1);
    assert_int_equal(release_by_hand("dev-1", 1, text), KL_STORE_OPENED); /* is no copy */
    reserve_one("dev-1", 1);
    copy_file(ledger, copy);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    copy_file(copy, ledger);
    assert_int_equal(kl_store_open(&o, &store, text), KL_STORE_DOUBT);
}

static void a_proved_key_is_never_free_by_a_later_change_of_an_old_copy(void **state)
{
    struct store_bench b;
    char copy[220];

    (void)state;
    file_put(csv, rows);
    snprintf(copy, sizeof copy, "%s", scratch_path(&dir, "kept.ledger"));
    reserve_one("dev-1", 1);
    copy_file(ledger, copy);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    unlink(ledger);
    copy_file(copy, ledger);
    file_put(csv, rows);
    /* Whoever did it, with whatever tool: the copy's history is longer than the journal's. */
    sql("INSERT INTO history (at, what, mac, label, station, bundle) SELECT 1, 'note', '', '', '', "
        "''"
        " FROM history LIMIT 3");
    sql("UPDATE keys SET state = 'released', change = 99 WHERE label = 'dev-1'");
    assert_int_equal(bench_open_answered(&b, csv, 1u << KL_DOUBT_MOVED), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_OLD);
    opens(&b, 1u << KL_DOUBT_MOVED | 1u << KL_DOUBT_OLD);
    assert_true(entry(&b, "dev-1")->provisioned);
    bench_close(&b);
}

/* An old ledger is put back, and the rows of what it lacks are gone too: only the journal knows
   what these keys were called. */
static void a_restored_key_keeps_its_label_without_its_row(void **state)
{
    static const char name[] = "a-label-that-does-not-fit-into-one-record-of-the-journal-nor-into-"
                               "two-of-them-since-it-has-more-than-a-hundred-bytes";
    char copy[220], list[400];
    struct store_bench b;

    (void)state;
    snprintf(copy, sizeof copy, "%s", scratch_path(&dir, "kept.ledger"));
    snprintf(list, sizeof list, "%s%s,00112233445566aa,8899AABBCCDDEEFF00112233445566AA\n", rows,
             name);
    file_put(csv, list);
    opens(&b, 0);
    bench_close(&b);
    copy_file(ledger, copy);
    reserve_one("dev-1", 1);
    reserve_one(name, 2);
    copy_file(copy, ledger);
    file_put(csv, strchr(rows, '\n') + 1);
    assert_int_equal(bench_open_answered(&b, csv, 1u << KL_DOUBT_MOVED), KL_STORE_DOUBT);
    assert_non_null(strstr(b.error, "dev-1 for "));
    opens(&b, 1u << KL_DOUBT_MOVED | 1u << KL_DOUBT_OLD);
    bench_close(&b);
    snprintf(list, sizeof list, "SELECT count(*) FROM keys WHERE label IN ('dev-1', '%s')", name);
    assert_int_equal(number(list), 2);
}

/* The first start after the update gives the journal the labels that it lacks. */
static void a_journal_of_an_earlier_version_gets_its_labels(void **state)
{
    struct kl_pool_id pool;
    struct kl_journal_record record;
    const struct kl_journal_record *r;
    char error[KL_TEXT_MAX];
    struct store_bench b;
    struct kl_journal *j;
    sqlite3_stmt *s;
    sqlite3 *db;
    size_t count;

    (void)state;
    file_put(csv, rows);
    reserve_one("dev-2", 2);
    assert_int_equal(sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id FROM pool", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    memcpy(pool.b, sqlite3_column_blob(s, 0), sizeof pool.b);
    sqlite3_finalize(s);
    sqlite3_close(db);
    j = kl_journal_open(bench_journal(csv), &pool, error);
    assert_non_null(j);
    r = kl_journal_records(j, &count);
    assert_int_equal(count, 1);
    assert_string_equal(r->label, "dev-2");
    record = *r;
    record.label = NULL;
    kl_journal_close(j);
    j = kl_journal_make(bench_journal(csv), &pool, csv, &record, 1, error);
    assert_non_null(j);
    assert_string_equal(kl_journal_records(j, &count)->label, "");
    kl_journal_close(j);
    opens(&b, 0);
    bench_close(&b);
    j = kl_journal_open(bench_journal(csv), &pool, error);
    assert_non_null(j);
    r = kl_journal_records(j, &count);
    assert_int_equal(count, 1);
    assert_string_equal(r->label, "dev-2");
    assert_int_equal(r->change, record.change);
    kl_journal_close(j);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(keys_in_another_spelling_are_known),
        TEST(rows_of_another_list_are_known_to_be_given_out),
        TEST(marked_rows_of_another_list_are_spent_without_a_question),
        TEST(the_boards_of_marked_rows_are_known_from_another_list),
        TEST(keys_of_an_earlier_version_are_known_in_every_spelling),
        TEST(journals_of_an_earlier_version_know_the_very_row),
        TEST(a_list_without_its_ledger_tells_that_it_was_worked_with),
        TEST(a_list_that_is_put_in_anothers_place_tells_so),
        TEST(a_list_that_gave_out_nothing_has_no_tag),
        TEST(a_restored_key_keeps_its_label_without_its_row),
        TEST(a_journal_of_an_earlier_version_gets_its_labels),
        TEST(on_an_old_copy_no_key_is_released),
        TEST(a_proved_key_is_never_free_by_a_later_change_of_an_old_copy),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
