/* Tests of the store as the shell uses it: what is answered, and what then stands on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault_disk.h"
#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static const char *csv;

static int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    csv = scratch_path(&dir, "keys.csv");
    csv = strdup(csv);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    free((char *)(uintptr_t)csv);
    return 0;
}

static const char three_rows[] = "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n";

static void a_key_goes_its_way(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(b.store)->row_count, 3);
    assert_int_equal(kl_store_content(b.store)->fields, 3);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 1), KL_STORE_OK);
    assert_true(b.has_key);
    assert_string_equal(b.key.line, "dev-2,aa02,bb02");
    assert_true(file_is(csv, three_rows));
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 1), KL_STORE_OK);
    assert_false(b.has_key);
    assert_true(file_is(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02,Provisioned\ndev-3,aa03,bb03\n"));
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-2", 1), KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-2,aa02,bb02");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-3", 2), KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-3,aa03,bb03"); /* found behind the mark */
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-3", 2), KL_STORE_OK);
    bench_close(&b);

    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 2);
    bench_close(&b);
}

static bool is_marked(struct store_bench *b, void *label)
{
    char *text = file_read(csv, NULL), *row = strstr(text, label);
    bool marked = strncmp(row + strcspn(row, ",") + 33, ",Provisioned", 12) == 0;

    (void)b;
    free(text);
    return marked;
}

/* Its own job puts marks into a large file, while requests go on. */
static void a_large_file_is_marked_beside_the_requests(void **state)
{
    enum {
        ROWS = 30000,
        BOARDS = 40
    };
    char *text = malloc(ROWS * 64), *expected = malloc(ROWS * 64);
    size_t n = 0, m = 0;
    struct store_bench b;
    char label[32];

    (void)state;
    for (int i = 0; i < ROWS; i++) {
        char row[64];
        snprintf(row, sizeof row, "dev-%06d,%032x", i, (unsigned)i);
        n += (size_t)sprintf(text + n, "%s\n", row);
        m += (size_t)sprintf(expected + m, "%s%s\n", row,
                             i % 100 == 7 && i < 100 * BOARDS ? ",Provisioned" : "");
    }
    file_write(csv, text, n);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    for (unsigned i = 0; i < BOARDS; i++) {
        snprintf(label, sizeof label, "dev-%06u", 100 * i + 7);
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, label, i), KL_STORE_OK);
        assert_int_equal(b.key.line[9], label[9]);
        assert_int_equal(bench_ask(&b, KL_OP_PROVISION, label, i), KL_STORE_OK);
        if (i == BOARDS / 2)
            assert_true(bench_until(&b, is_marked, label));
    }
    bench_close(&b);
    assert_true(file_is(csv, expected));
    free(text);
    free(expected);
}

static void refused(struct store_bench *b, const char *words)
{
    assert_int_equal(b->status, KL_STORE_REFUSED);
    assert_false(b->has_key);
    if (strstr(b->text, words) == NULL)
        fail_msg("%s", b->text);
}

static void the_ledger_decides_whose_a_key_is(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK); /* asked again */
    assert_true(b.has_key);
    bench_ask(&b, KL_OP_RESERVE, "dev-1", 2); /* another board */
    refused(&b, "24:0a:c4:00:00:01");
    bench_ask(&b, KL_OP_RESERVE, "dev-2", 1); /* another key for the same board */
    refused(&b, "dev-1");
    bench_ask(&b, KL_OP_FETCH, "dev-1", 2);
    refused(&b, "24:0a:c4:00:00:01");
    bench_ask(&b, KL_OP_FETCH, "dev-3", 3); /* nobody's */
    refused(&b, "nobody");
    bench_ask(&b, KL_OP_PROVISION, "dev-1", 2);
    refused(&b, "24:0a:c4:00:00:01");
    bench_ask(&b, KL_OP_RELEASE, "dev-1", 2);
    refused(&b, "24:0a:c4:00:00:01");
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_ask(&b, KL_OP_RELEASE, "dev-1", 1);
    refused(&b, "provisioned");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK); /* its own, again */
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
}

static void a_released_key_is_anybodys(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-1", 1), KL_STORE_OK); /* was free */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, three_rows));
}

static void a_board_that_shows_a_free_key_has_it(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-3", 7), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03,Provisioned\n"));
}

/* The board was promised dev-1, and shows dev-2: nobody else may get either. */
static void a_key_that_a_board_shows_is_spent_whatever_it_was_promised(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 1), KL_STORE_OK);
    bench_ask(&b, KL_OP_RESERVE, "dev-1", 2);
    refused(&b, "reserved for the board 24:0a:c4:00:00:01");
    bench_ask(&b, KL_OP_RESERVE, "dev-2", 2);
    refused(&b, "provisioned to the board 24:0a:c4:00:00:01");
    bench_ask(&b, KL_OP_RESERVE, "dev-3", 1); /* and it gets no third one */
    refused(&b, "24:0a:c4:00:00:01 has the key");
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-2", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02,Provisioned\ndev-3,aa03,bb03\n"));
}

static void many_requests_are_answered_in_order(void **state)
{
    struct store_bench b;
    char text[4096] = "", label[32];
    struct kl_fingerprint fp[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "d%02d,%04d\r\n", i, i * i);
    file_put(csv, text);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(label, sizeof label, "d%02u", i);
        fp[i] = bench_key(&b, label);
        bench_submit(&b, KL_OP_RESERVE, &fp[i], i);
        bench_submit(&b, KL_OP_PROVISION, &fp[i], i);
    }
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    bench_close(&b);
    text[0] = '\0';
    for (int i = 0; i < 64; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "d%02d,%04d,Provisioned\r\n", i,
                 i * i);
    assert_true(file_is(csv, text));
}

/* Durable steps (writes, syncs) that reserving this many keys at once takes. */
static uint32_t steps_of_reserving(struct store_bench *b, unsigned first, unsigned count)
{
    uint32_t before = fault_steps();
    char label[16];

    for (unsigned i = first; i < first + count; i++) {
        snprintf(label, sizeof label, "d%02u", i);
        struct kl_fingerprint fp = bench_key(b, label);
        bench_submit(b, KL_OP_RESERVE, &fp, i);
    }
    bench_wait(b);
    return fault_steps() - before;
}

/* In a process of its own: the disk that counts steps stays. */
static int count_steps(void)
{
    struct store_bench b;
    uint32_t one, many;

    fault_install();
    if (bench_open(&b, csv) != KL_STORE_OPENED)
        return 2;
    steps_of_reserving(&b, 0, 1);
    one = steps_of_reserving(&b, 1, 1);
    many = steps_of_reserving(&b, 2, 60);
    printf("one board: %u steps, sixty at once: %u\n", one, many);
    bench_close(&b);
    return one > 0 && many < 6 * one ? 0 : 1;
}

static void boards_that_ask_together_share_a_commit(void **state)
{
    char text[4096] = "";
    int status;
    pid_t child;

    (void)state;
    for (int i = 0; i < 64; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "d%02d,%04d\n", i, i * i);
    file_put(csv, text);
    if ((child = fork()) == 0) {
        status = count_steps();
        fflush(stdout);
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void copies_of_a_spent_row_are_marked_too(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, "a,1\nb,2\n\"a\",1\n");
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "a", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "a,1,Provisioned\nb,2\n\"a\",1,Provisioned\n"));
}

static void a_missing_mark_is_made_up_for(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    file_put(csv, three_rows); /* as if the power had failed before the mark */
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
}

static void the_ledger_is_private_and_no_secret_is_in_it(void **state)
{
    static const char *const names[] = {"keys.csv.ledger", "keys.csv.ledger-wal",
                                        "keys.csv.ledger-shm"};
    struct store_bench b;
    struct stat st;

    (void)state;
    file_put(csv, "dev-1,s3cretAAAA,s3cretBBBB\ndev-2,s3cretCCCC,s3cretDDDD\n");
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-1", 1), KL_STORE_OK);
    for (int i = 0; i < 3; i++) {
        size_t size;
        char *data = file_read(scratch_path(&dir, names[i]), &size);
        assert_non_null(data);
        assert_null(memmem(data, size, "s3cret", 6));
        free(data);
        assert_int_equal(stat(scratch_path(&dir, names[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    bench_close(&b);
    assert_int_equal(access(scratch_path(&dir, names[1]), F_OK), -1);
    assert_int_equal(access(scratch_path(&dir, "keys.csv.lock"), F_OK), -1);
}

static void opens_as(const char *path, enum kl_store_open_result result, const char *words)
{
    struct store_bench b;

    assert_int_equal(bench_open(&b, path), result);
    if (strstr(b.error, words) == NULL)
        fail_msg("%s", b.error);
}

static void a_csv_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    opens_as(csv, KL_STORE_BAD_CSV, "keys.csv: No such file");
    opens_as(dir.folder, KL_STORE_BAD_CSV, "a folder, not a file");
    file_put(csv, "a,b\nc,\"d\n");
    opens_as(csv, KL_STORE_BAD_CSV, "keys.csv: line 2: a quote is opened");
    file_put(csv, "dev-1;5ecret;5ecret\r\ndev-2;5ecret;5ecret\r\n");
    opens_as(csv, KL_STORE_BAD_CSV, "keys.csv: line 1: its fields are separated by ';'");
    file_put(csv, "dev-1\t5ecret\t5ecret\n");
    opens_as(csv, KL_STORE_BAD_CSV, "keys.csv: line 1: its fields are separated by tabs");
    assert_int_equal(access(scratch_path(&dir, "keys.csv.ledger"), F_OK), -1);
    file_put(csv, "a,b\n");
    assert_int_equal(link(csv, scratch_path(&dir, "other.csv")), 0);
    opens_as(csv, KL_STORE_BAD_CSV, "hard links");
}

static bool is_acceptance(void *ctx, const struct kl_ledger_entry *e)
{
    unsigned *found = ctx;

    if (strcmp(e->what, "accepted") == 0) {
        assert_string_equal(e->reason, "header, repeated");
        assert_string_equal(e->station, "bench-1");
        ++*found;
    }
    return true;
}

/* A header, and one secret in all rows. */
static void suspicious_rows_need_a_person(void **state)
{
    static const char text[] = "id,app_key\ndev-1,00112233445566778899aabbccddee01\n"
                               "dev-2,00112233445566778899aabbccddee01\n";
    struct kl_store_options options = {.csv = csv, .accept = 1u << KL_CSV_HEADER};
    char error[KL_TEXT_MAX];
    unsigned found = 0;
    struct store_bench b;

    (void)state;
    file_put(csv, text);
    opens_as(csv, KL_STORE_BAD_CSV, "keys.csv: line 1: a header, not a key: use --csv-header");
    assert_int_equal(bench_open_with(&b, options), KL_STORE_BAD_CSV);
    assert_non_null(strstr(b.error, "line 3, column 2: a secret that another row has too"));
    assert_int_equal(access(scratch_path(&dir, "keys.csv.ledger"), F_OK), -1);
    options.accept |= 1u << KL_CSV_REPEATED;
    assert_int_equal(bench_open_with(&b, options), KL_STORE_OPENED);
    assert_non_null(strstr(kl_store_content(b.store)->warning, "header, repeated"));
    bench_close(&b);
    assert_true(file_is(csv, text));
    options.mode = KL_STORE_RECORD;
    assert_int_equal(kl_store_open(&options, &b.store, error), KL_STORE_OPENED);
    assert_true(kl_store_history(b.store, NULL, NULL, is_acceptance, &found, error));
    assert_int_equal(found, 1);
    kl_store_free(b.store);
}

static void a_ledger_that_is_damaged_stays_as_it_is(void **state)
{
    const char *ledger = scratch_path(&dir, "keys.csv.ledger");
    struct store_bench b;
    char *data;
    size_t size;

    (void)state;
    file_put(csv, three_rows);
    file_put(ledger, "");
    opens_as(csv, KL_STORE_BROKEN, "damaged");
    assert_true(file_is(ledger, ""));
    file_put(ledger, "this is not a database, and it is long enough to be told from one: "
                     "0123456789012345678901234567890123456789012345678901234567890123456789\n");
    opens_as(csv, KL_STORE_BROKEN, "damaged");
    unlink(ledger);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    data = file_read(ledger, &size);
    memset(data + 4096, 0x5a, 2048); /* the table of the keys */
    file_write(ledger, data, size);
    opens_as(csv, KL_STORE_BROKEN, "damaged");
    memset(data, 0, size / 2);
    file_write(ledger, data, size);
    opens_as(csv, KL_STORE_BROKEN, "damaged");
    free(data);
}

static void without_its_ledger_the_marks_still_count(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, "dev-1,aa01,Provisioned\ndev-2,aa02\n");
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_true(kl_store_content(b.store)->rows[0].marked);
    assert_true(kl_store_content(b.store)->lost_ledger);
    bench_ask(&b, KL_OP_RESERVE, "dev-1", 1);
    refused(&b, "mark of another tool");
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK); /* adopted */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,Provisioned\ndev-2,aa02\n"));
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_false(kl_store_content(b.store)->lost_ledger);
    bench_close(&b);
}

static void links_lead_to_the_real_file(void **state)
{
    const char *name = scratch_path(&dir, "link.csv");
    struct store_bench b;
    struct stat st;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(symlink("keys.csv", name), 0);
    assert_int_equal(bench_open(&b, name), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(lstat(name, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
    assert_int_equal(access(scratch_path(&dir, "keys.csv.ledger"), F_OK), 0);
}

static void a_reader_changes_nothing(void **state)
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_LOOK};
    char error[KL_TEXT_MAX];
    struct kl_store *s;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(s)->row_count, 3);
    assert_int_equal(kl_store_content(s)->ledger_count, 0);
    kl_store_free(s);
    assert_int_equal(access(scratch_path(&dir, "keys.csv.ledger"), F_OK), -1);
    assert_int_equal(access(scratch_path(&dir, "keys.csv.lock"), F_OK), -1);
}

static void a_reader_sees_what_a_station_does(void **state)
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_LOOK};
    char error[KL_TEXT_MAX];
    struct store_bench b;
    struct kl_store *s;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 5), KL_STORE_OK);
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(s)->ledger_count, 1);
    assert_string_equal(kl_store_content(s)->ledger[0].label, "dev-2");
    assert_int_equal(kl_store_content(s)->ledger[0].mac.b[5], 5);
    kl_store_free(s);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 5), KL_STORE_OK);
    bench_close(&b);
}

/* Whoever still looks at the keys while the station ends finds them, news or no news. */
static void what_was_shown_outlives_the_end(void **state)
{
    const struct kl_store_content *shown;
    struct store_bench b;

    (void)state;
    file_put(csv, three_rows);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 5), KL_STORE_OK);
    shown = kl_store_content(b.store);
    const char *label = shown->rows[1].label;
    file_put(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,aa04,bb04\n");
    bench_end(&b);
    assert_ptr_equal(kl_store_content(b.store), shown);
    assert_int_equal(shown->row_count, 3);
    assert_ptr_equal(shown->rows[1].label, label);
    assert_string_equal(label, "dev-2");
    bench_close(&b);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_key_goes_its_way),
        IN_FOLDER(the_ledger_decides_whose_a_key_is),
        IN_FOLDER(a_released_key_is_anybodys),
        IN_FOLDER(a_board_that_shows_a_free_key_has_it),
        IN_FOLDER(a_large_file_is_marked_beside_the_requests),
        IN_FOLDER(a_key_that_a_board_shows_is_spent_whatever_it_was_promised),
        IN_FOLDER(many_requests_are_answered_in_order),
        IN_FOLDER(boards_that_ask_together_share_a_commit),
        IN_FOLDER(copies_of_a_spent_row_are_marked_too),
        IN_FOLDER(a_missing_mark_is_made_up_for),
        IN_FOLDER(the_ledger_is_private_and_no_secret_is_in_it),
        IN_FOLDER(a_csv_that_cannot_be_used_is_named),
        IN_FOLDER(suspicious_rows_need_a_person),
        IN_FOLDER(a_ledger_that_is_damaged_stays_as_it_is),
        IN_FOLDER(without_its_ledger_the_marks_still_count),
        IN_FOLDER(links_lead_to_the_real_file),
        IN_FOLDER(a_reader_changes_nothing),
        IN_FOLDER(a_reader_sees_what_a_station_does),
        IN_FOLDER(what_was_shown_outlives_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
