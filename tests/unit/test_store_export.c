/* What an export takes from a store: keys with their lines, the header, the pool's id; and the
   record of it. */
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
static char csv[200], error[KL_TEXT_MAX];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
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

static struct kl_store *look(bool header)
{
    struct kl_store_options o = {
        .csv = csv, .header = header, .journal = bench_journal(csv), .mode = KL_STORE_LOOK};
    struct kl_store *s;

    if (kl_store_open(&o, &s, error) != KL_STORE_OPENED)
        fail_msg("%s", error);
    return s;
}

static void opens(struct store_bench *b)
{
    if (bench_open(b, csv) != KL_STORE_OPENED)
        fail_msg("%s", b->error);
}

static struct kl_ledger_key named(const struct kl_store *s, const char *label)
{
    const struct kl_store_content *c = kl_store_content(s);

    for (uint32_t i = 0; i < c->row_count; i++)
        if (strcmp(c->rows[i].label, label) == 0)
            return (struct kl_ledger_key){.fingerprint = c->rows[i].fingerprint, .label = label};
    fail_msg("no row %s", label);
    return (struct kl_ledger_key){.label = ""};
}

static void reads(struct kl_store *s, const char *label, uint32_t at, const char *text)
{
    struct kl_ledger_key key = named(s, label);
    struct kl_key read;
    uint32_t line;

    assert_int_equal(kl_store_read_key(s, &key, &read, NULL, &line, error), KL_READ_DONE);
    assert_int_equal(line, at);
    assert_string_equal(read.line, text);
}

static void keys_come_with_their_lines(void **state)
{
    struct kl_ledger_key other = {.label = "x", .fingerprint = {{1, 2, 3}}};
    static const struct kl_key blank;
    struct kl_store *s;
    struct kl_key read;
    uint32_t line;

    (void)state;
    file_put(csv, rows);
    s = look(false);
    reads(s, "dev-3", 3, "dev-3,0011223344556679,8899AABBCCDDEEFF0011223344556603");
    reads(s, "dev-1", 1, "dev-1,0011223344556677,8899AABBCCDDEEFF0011223344556601");
    memset(&read, 7, sizeof read);
    assert_int_equal(kl_store_read_key(s, &other, &read, NULL, &line, error), KL_READ_ABSENT);
    assert_memory_equal(&read, &blank, sizeof read);
    kl_store_free(s);
}

/* A station replaces the file with each mark. Whoever has begun to read goes on with the old one;
   whoever has not is told to open again. */
static void marks_do_not_disturb_a_reader(void **state)
{
    struct kl_store *early, *late;
    struct kl_ledger_key key;
    struct store_bench b;
    struct kl_key read;
    uint32_t line;
    char *now;

    (void)state;
    file_put(csv, rows);
    opens(&b);
    early = look(false);
    late = look(false);
    reads(early, "dev-1", 1, "dev-1,0011223344556677,8899AABBCCDDEEFF0011223344556601");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
    now = file_read(csv, NULL);
    assert_string_not_equal(now, rows);
    free(now);
    reads(early, "dev-2", 2, "dev-2,0011223344556678,8899AABBCCDDEEFF0011223344556602");
    reads(early, "dev-4", 4, "dev-4,001122334455667a,8899AABBCCDDEEFF0011223344556604");
    key = named(late, "dev-4");
    assert_int_equal(kl_store_read_key(late, &key, &read, NULL, &line, error), KL_READ_CHANGED);
    kl_store_free(early);
    kl_store_free(late);
    late = look(false);
    reads(late, "dev-4", 4, "dev-4,001122334455667a,8899AABBCCDDEEFF0011223344556604");
    kl_store_free(late);
}

/* A ledger of the first format has fingerprints of its own. */
static bool read_provisioned(void *ctx, const struct kl_ledger_key *key)
{
    struct kl_key read;
    uint32_t line;

    if (strcmp(key->state, "provisioned") != 0)
        return true;
    assert_int_equal(kl_store_read_key(ctx, key, &read, NULL, &line, error), KL_READ_DONE);
    assert_string_equal(read.line, "dev-1,0011223344556677,8899AABBCCDDEEFF0011223344556601");
    assert_int_equal(line, 1);
    return true;
}

static void keys_of_old_ledgers_are_found(void **state)
{
    char *sql = file_read(KL_SOURCE_DIR "/tests/custody/ledger-1.sql", NULL), id[33];
    struct kl_store *s;
    sqlite3 *db;

    (void)state;
    file_put(csv, rows);
    assert_int_equal(sqlite3_open(scratch_path(&dir, "keys.csv.ledger"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    s = look(false);
    assert_true(kl_store_keys(s, read_provisioned, s, error));
    assert_true(kl_store_pool(s, id, error));
    assert_string_equal(id, "");
    kl_store_free(s);
    free(sql);
}

/* ---- the header ---- */

static void add_name(void *ctx, const char *name)
{
    strncat(ctx, name, 100);
    strncat(ctx, "|", 2);
}

static void header_gives(const char *text, const char *expected)
{
    char names[1024] = "";
    struct kl_store *s;

    file_put(csv, text);
    s = look(true);
    if (!kl_store_header(s, add_name, names, error))
        fail_msg("%s", error);
    assert_string_equal(names, expected);
    kl_store_free(s);
}

static void headers(void **state)
{
    (void)state;
    header_gives("label,DevEUI, App Key \na,b,c\n", "label|DevEUI|App Key|");
    header_gives("\xef\xbb\xbflabel,\"Dev\nEUI\",\"a,b\"\r\nx,y,z\r\n", "label|Dev\nEUI|a,b|");
    header_gives("label,DevEUI,AppKey", "label|DevEUI|AppKey|");
}

/* ---- the record ---- */

static bool count_exports(void *ctx, const struct kl_ledger_entry *e)
{
    unsigned *count = ctx;

    *count += strcmp(e->what, "export") == 0 && strcmp(e->reason, "by me: all of it") == 0;
    return true;
}

static void an_export_is_recorded(void **state)
{
    struct kl_store_options o = {.csv = csv, .mode = KL_STORE_MEND, .journal = bench_journal(csv)};
    struct store_bench b;
    struct kl_store *s;
    unsigned count = 0;
    char id[33];

    (void)state;
    file_put(csv, rows);
    assert_int_equal(kl_store_open(&o, &s, error), KL_STORE_BROKEN); /* there is no ledger */
    opens(&b);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(kl_store_open(&o, &s, error), KL_STORE_HELD);
    bench_close(&b);
    assert_int_equal(kl_store_open(&o, &s, error), KL_STORE_OPENED);
    assert_true(kl_store_note(s, "export", "by me: all of it", error));
    assert_true(kl_store_pool(s, id, error));
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    kl_store_free(s);

    opens(&b); /* without a question */
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    s = look(false);
    assert_true(kl_store_history(s, "00:00:00:00:00:00", NULL, count_exports, &count, error));
    assert_int_equal(count, 1);
    kl_store_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(keys_come_with_their_lines),    TEST(marks_do_not_disturb_a_reader),
        TEST(keys_of_old_ledgers_are_found), TEST(headers),
        TEST(an_export_is_recorded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
