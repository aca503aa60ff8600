/* Tests of what people do with the store's files: what stops a start, and what an answer does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char csv[200], ledger[220];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

static const char rows[] = "dev-1,0011223344556677,8899AABBCCDDEEFF0011223344556601\n"
                           "dev-2,0011223344556678,8899AABBCCDDEEFF0011223344556602\n"
                           "dev-3,0011223344556679,8899AABBCCDDEEFF0011223344556603\n"
                           "dev-4,001122334455667a,8899AABBCCDDEEFF0011223344556604\n";

/* `text` with the first `from` replaced. */
static const char *edited(const char *text, const char *from, const char *to)
{
    static char out[1024];
    const char *at = strstr(text, from);

    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

/* The ledger that the first keyline made for these rows. */
static void put_old_ledger(void)
{
    char *sql = file_read(KL_SOURCE_DIR "/tests/custody/ledger-1.sql", NULL);
    sqlite3 *db;

    assert_non_null(sql);
    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    free(sql);
}

static int64_t number(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t value;

    assert_int_equal(sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

static void opens(struct store_bench *b, uint32_t answers)
{
    enum kl_store_open_result result =
        bench_open_with(b, (struct kl_store_options){.csv = csv, .answers = answers});

    if (result != KL_STORE_OPENED)
        fail_msg("%s", b->error);
}

static void stops(enum kl_doubt doubt, const char *words)
{
    struct store_bench b;

    assert_int_equal(bench_open(&b, csv), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, doubt);
    if (strstr(b.error, words) == NULL)
        fail_msg("%s", b.error);
}

static const struct kl_ledger_row *entry(const struct store_bench *b, const char *label)
{
    const struct kl_store_content *c = kl_store_content(b->store);
    struct kl_fingerprint fp = bench_key(b, label);

    for (uint32_t i = 0; i < c->ledger_count; i++)
        if (kl_fingerprint_equal(&c->ledger[i].fingerprint, &fp))
            return &c->ledger[i];
    return NULL;
}

/* ---- a key is its secret ---- */

static void a_ledger_of_the_first_format_goes_on(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    put_old_ledger();
    opens(&b, 0);
    assert_true(entry(&b, "dev-1")->provisioned);
    assert_false(entry(&b, "dev-2")->provisioned);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], 2);
    assert_null(entry(&b, "dev-3"));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 9), KL_STORE_REFUSED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-3", 8), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(number("PRAGMA user_version"), 2);
    assert_int_equal(number("SELECT count(*) FROM keys WHERE form = 1 AND state <> 'released'"), 0);
}

static void its_keys_are_known_under_corrected_labels(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, edited(rows, "dev-2", "DEV-002"));
    put_old_ledger();
    stops(KL_DOUBT_RENAMED, "line 2: the key dev-2, which is reserved for 24:6f:28:00:00:02, is "
                            "called DEV-002 now");
    opens(&b, 1u << KL_DOUBT_RENAMED);
    assert_int_equal(entry(&b, "DEV-002")->mac.b[5], 2);
    bench_close(&b);
}

static void whoever_only_looks_changes_nothing_of_it(void **state)
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_LOOK};
    char error[KL_TEXT_MAX];
    struct kl_store *s;
    size_t size, after;
    char *was, *is;

    (void)state;
    file_put(csv, rows);
    put_old_ledger();
    was = file_read(ledger, &size);
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(s)->ledger_count, 2);
    assert_true(kl_fingerprint_equal(&kl_store_content(s)->ledger[1].fingerprint,
                                     &kl_store_content(s)->rows[1].fingerprint));
    kl_store_free(s);
    is = file_read(ledger, &after);
    assert_int_equal(size, after);
    assert_memory_equal(was, is, size);
    free(was);
    free(is);
}

static bool reloaded(struct store_bench *b, void *ctx)
{
    return b->reloads >= *(unsigned *)ctx;
}

static void a_row_that_comes_back_is_known(void **state)
{
    const char *line = strstr(rows, "dev-2");
    char without[1024];
    struct store_bench b;
    unsigned once = 1;

    (void)state;
    snprintf(without, sizeof without, "%.*s%s", (int)(line - rows), rows, strstr(rows, "dev-3"));
    file_put(csv, without);
    put_old_ledger();
    opens(&b, 0);
    file_put(csv, edited(rows, "dev-2", "DEV-002"));
    assert_true(bench_until(&b, reloaded, &once));
    assert_int_equal(entry(&b, "DEV-002")->mac.b[5], 2);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "DEV-002", 9), KL_STORE_REFUSED);
    bench_close(&b);
}

static void a_corrected_label_is_asked_about_and_recorded(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    file_put(csv, edited(rows, "dev-1", "DEV-001"));
    stops(KL_DOUBT_RENAMED, "dev-1");
    stops(KL_DOUBT_RENAMED, "dev-1"); /* nothing was answered by asking */
    opens(&b, 1u << KL_DOUBT_RENAMED);
    assert_string_equal(entry(&b, "DEV-001")->label, "DEV-001");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "DEV-001", 9), KL_STORE_REFUSED);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'renamed' AND label = "
                            "'DEV-001' AND reason LIKE 'was dev-1%'"),
                     1);
    opens(&b, 0); /* and it is asked once */
    bench_close(&b);
}

static void another_spelling_of_a_held_secret_is_refused(void **state)
{
    struct store_bench b;
    struct kl_fingerprint fp;
    unsigned once = 1;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    file_put(csv,
             edited(rows, "dev-1,0011223344556677,8899AABB", "new,00112233-44556677,8899aabb"));
    assert_true(bench_until(&b, reloaded, &once));
    fp = bench_key(&b, "new");
    bench_submit(&b, KL_OP_RESERVE, &fp, 2);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(a_ledger_of_the_first_format_goes_on),
        TEST(its_keys_are_known_under_corrected_labels),
        TEST(whoever_only_looks_changes_nothing_of_it),
        TEST(a_row_that_comes_back_is_known),
        TEST(a_corrected_label_is_asked_about_and_recorded),
        TEST(another_spelling_of_a_held_secret_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
