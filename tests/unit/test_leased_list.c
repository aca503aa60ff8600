/* The list of keys that a shared pool gave to a station (leased.h), under the store and alone. */
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
#include "keyline/bundle_load.h"
#include "keyline/leased.h"
#include "scratch.h"
#include "store_bench.h"

static const char pool[] = "0b8a7c1e-5d1f-4f0e-9a35-0d6f2f1f9e01";

static struct scratch dir;
static char list[256];
static uv_mutex_t writing;
static struct kl_leased leased;
static unsigned opened; /* boxes */

static bool build(struct kl_key *key, const char *label, const char *secret)
{
    struct kl_span field[2] = {{(const uint8_t *)label, strlen(label)},
                               {(const uint8_t *)secret, strlen(secret)}};

    return kl_key_build(key, field, 2, kl_sha256);
}

/* Stands in for the real seal: each byte is turned over. */
static bool open_box(void *ctx, const struct kl_leased_row *row, struct kl_key *key,
                     char error[KL_TEXT_MAX])
{
    char line[KL_LINE_MAX + 1], *comma;

    (void)ctx;
    opened++;
    if (row->epoch == 9) {
        kl_copy(error, KL_TEXT_MAX, "this station has no pool key of that epoch");
        return false;
    }
    for (size_t i = 0; i < row->box_size; i++)
        line[i] = (char)(row->box[i] ^ 0x55);
    line[row->box_size] = '\0';
    comma = strchr(line, ',');
    assert_non_null(comma);
    *comma = '\0';
    return build(key, line, comma + 1);
}

static int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    kl_copy(list, sizeof list, scratch_path(&dir, "keys.list"));
    uv_mutex_init(&writing);
    leased = (struct kl_leased){.open = open_box, .writing = &writing};
    kl_copy(leased.pool, sizeof leased.pool, pool);
    opened = 0;
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    uv_mutex_destroy(&writing);
    scratch_remove(&dir);
    return 0;
}

static struct kl_leased_row row_of(const char *label, const char *secret)
{
    struct kl_leased_row row = {.fields = 2, .epoch = 1};
    struct kl_key key;

    assert_true(build(&key, label, secret));
    kl_copy(row.label, sizeof row.label, label);
    row.fingerprint = key.fingerprint;
    row.kin = key.kin;
    row.box_size = (uint16_t)strlen(key.line);
    for (size_t i = 0; i < row.box_size; i++)
        row.box[i] = (uint8_t)(key.line[i] ^ 0x55);
    return row;
}

static void append(const struct kl_leased_row *rows, size_t count, bool spent)
{
    char error[KL_TEXT_MAX] = "";

    if (!kl_list_append(&leased, list, rows, count, spent, error))
        fail_msg("%s", error);
}

static void make_list(const struct kl_leased_row *rows, size_t count)
{
    char error[KL_TEXT_MAX] = "";

    if (!kl_list_create(list, pool, 2, error))
        fail_msg("%s", error);
    append(rows, count, false);
}

static enum kl_store_open_result open_list_answered(struct store_bench *b, uint32_t answers)
{
    enum kl_store_open_result result = bench_open_with(
        b, (struct kl_store_options){.csv = list, .leased = &leased, .answers = answers});

    return result;
}

static void open_list(struct store_bench *b)
{
    if (open_list_answered(b, 0) != KL_STORE_OPENED)
        fail_msg("%s", b->error);
}

static void three(struct kl_leased_row rows[3])
{
    rows[0] = row_of("dev-1", "00112233445566778899aabbccddee01");
    rows[1] = row_of("dev-2", "00112233445566778899aabbccddee02");
    rows[2] = row_of("dev \"3\" 50%", "00112233445566778899aabbccddee03");
}

static void a_key_of_a_pool_goes_its_way(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    char *text;

    (void)state;
    three(rows);
    make_list(rows, 3);
    open_list(&b);
    assert_int_equal(kl_store_content(b.store)->row_count, 3);
    assert_int_equal(kl_store_content(b.store)->fields, 2);
    assert_int_equal(opened, 0); /* nobody needs a key yet */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 1), KL_STORE_OK);
    assert_int_equal(opened, 1);
    assert_string_equal(b.key.line, "dev-2,00112233445566778899aabbccddee02");
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 1), KL_STORE_OK);
    assert_int_equal(opened, 1); /* a mark needs no key */
    bench_close(&b);
    text = file_read(list, NULL);
    assert_non_null(strstr(text, "dev-2,"));
    assert_non_null(strstr(text, ",Provisioned\n"));
    assert_null(strstr(text, "ddee0")); /* no secret stands there */
    free(text);
    open_list(&b);
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-2", 1), KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-2,00112233445566778899aabbccddee02");
    bench_close(&b);
}

static bool has_rows(struct store_bench *b, void *count)
{
    return kl_store_content(b->store)->row_count == *(uint32_t *)count;
}

static void rows_that_come_later_are_noticed(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    uint32_t count = 3;

    (void)state;
    three(rows);
    make_list(rows, 0);
    open_list(&b);
    assert_int_equal(kl_store_content(b.store)->row_count, 0);
    assert_int_equal(kl_store_content(b.store)->fields, 2);
    append(rows, 2, false);
    append(rows, 3, false); /* the same request again: what is there stays one row */
    assert_true(bench_until(&b, has_rows, &count));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_string_equal(b.trouble, "");
    bench_close(&b);
}

/* Rows come while marks go in: neither is lost. */
static void rows_come_while_marks_go_in(void **state)
{
    enum {
        ROUNDS = 30
    };
    struct kl_leased_row row;
    struct store_bench b;
    uint32_t count = ROUNDS;
    char label[16], secret[40], *text;
    unsigned marks = 0;

    (void)state;
    make_list(NULL, 0);
    open_list(&b);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t have = i + 1;
        snprintf(label, sizeof label, "dev-%u", i);
        snprintf(secret, sizeof secret, "%032x", i);
        row = row_of(label, secret);
        append(&row, 1, false);
        assert_true(bench_until(&b, has_rows, &have));
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, label, i), KL_STORE_OK);
        bench_submit(&b, KL_OP_PROVISION, &row.fingerprint, i);
    }
    bench_wait(&b);
    assert_true(bench_until(&b, has_rows, &count));
    bench_close(&b);
    text = file_read(list, NULL);
    for (char *at = text; (at = strstr(at, ",Provisioned")); at++)
        marks++;
    assert_int_equal(marks, ROUNDS);
    free(text);
}

static void spent_rows_are_nobodys(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;

    (void)state;
    three(rows);
    make_list(rows, 1);
    append(rows + 1, 1, true);
    open_list(&b);
    assert_false(kl_store_content(b.store)->rows[0].marked);
    assert_true(kl_store_content(b.store)->rows[1].marked);
    bench_ask(&b, KL_OP_RESERVE, "dev-2", 1);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_close(&b);
}

static void another_pools_list_is_refused(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    char error[KL_TEXT_MAX] = "";

    (void)state;
    three(rows);
    make_list(rows, 3);
    leased.pool[0] = 'f';
    assert_int_equal(open_list_answered(&b, 0), KL_STORE_BAD_CSV);
    assert_non_null(strstr(b.error, "another pool"));
    assert_false(kl_list_append(&leased, list, rows, 3, false, error));
    assert_non_null(strstr(error, "another pool"));
    leased.pool[0] = '0';
    file_put(list, "dev-1,aa\n");
    assert_int_equal(open_list_answered(&b, 0), KL_STORE_BAD_CSV);
    assert_non_null(strstr(b.error, "no list of keys"));
    file_put(list, "");
    assert_int_equal(open_list_answered(&b, 0), KL_STORE_BAD_CSV);
}

/* What a power cut can leave behind an append. */
static void a_piece_of_a_row_is_no_row(void **state)
{
    struct kl_leased_row rows[3];
    char *whole, *cut;
    struct store_bench b;
    size_t size, before;

    (void)state;
    three(rows);
    make_list(rows, 2);
    whole = file_read(list, &before);
    free(whole);
    append(rows + 2, 1, false);
    whole = file_read(list, &size);
    for (size_t end = before + 1; end < size; end++) {
        file_write(list, whole, end);
        open_list(&b);
        assert_int_equal(kl_store_content(b.store)->row_count, 2);
        bench_close(&b);
        append(rows + 2, 1, false);
        cut = file_read(list, NULL);
        assert_string_equal(cut, whole);
        free(cut);
    }
    free(whole);
}

static void a_box_that_does_not_open_gives_no_key(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;

    (void)state;
    three(rows);
    rows[0].epoch = 9;
    rows[1].box[2] ^= 1;                    /* another label */
    rows[2].box[rows[2].box_size - 1] ^= 1; /* another secret */
    make_list(rows, 3);
    open_list(&b);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_FAILED);
    assert_non_null(strstr(b.text, "epoch"));
    assert_false(b.has_key);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev \"3\" 50%", 1), KL_STORE_FAILED);
    assert_non_null(strstr(b.text, "another key"));
    bench_close(&b);
}

struct seen {
    unsigned count, spent;
    char last[KL_LINE_MAX + 1];
};

static bool see(void *ctx, const struct kl_leased_row *row, bool spent)
{
    struct seen *s = ctx;

    s->count++;
    s->spent += spent;
    kl_copy(s->last, sizeof s->last, row->label);
    return true;
}

static void the_list_is_told_row_by_row(void **state)
{
    struct kl_leased_row rows[3];
    struct seen s = {0};
    char error[KL_TEXT_MAX] = "";

    (void)state;
    three(rows);
    make_list(rows, 1);
    append(rows + 1, 2, true);
    assert_true(kl_list_each(&leased, list, see, &s, error));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.spent, 2);
    assert_string_equal(s.last, "dev \"3\" 50%");
}

static void rows_that_go_back_leave_the_others(void **state)
{
    struct kl_leased_row rows[3];
    struct seen s = {0};
    struct store_bench b;
    char error[KL_TEXT_MAX] = "";

    (void)state;
    three(rows);
    make_list(rows, 3);
    open_list(&b);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(kl_list_remove(&leased, list, &rows[1].fingerprint, 1, error));
    assert_true(kl_list_each(&leased, list, see, &s, error));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.spent, 1);
    assert_string_equal(s.last, "dev \"3\" 50%");
    append(rows + 1, 1, false); /* the pool gives it to this station once more */
    open_list(&b);
    assert_int_equal(kl_store_content(b.store)->row_count, 3);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
}

/* What custody promises of every CSV holds here: the journal knows of keys that a ledger forgot. */
static void a_list_without_its_ledger_asks_a_person(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    char ledger[300];

    (void)state;
    three(rows);
    make_list(rows, 3);
    open_list(&b);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    snprintf(ledger, sizeof ledger, "%s.ledger", list);
    unlink(ledger);
    assert_int_equal(open_list_answered(&b, 0), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_OLD);
    assert_int_equal(open_list_answered(&b, 1u << KL_DOUBT_OLD), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 1);
    bench_ask(&b, KL_OP_RESERVE, "dev-1", 2);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_close(&b);
}

static void a_list_that_was_moved_asks_a_person(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    char to[300], from[300];

    (void)state;
    three(rows);
    make_list(rows, 3);
    open_list(&b);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    snprintf(to, sizeof to, "%s", scratch_path(&dir, "moved.list"));
    assert_int_equal(rename(list, to), 0);
    snprintf(from, sizeof from, "%s.ledger", list);
    kl_copy(list, sizeof list, to);
    snprintf(to, sizeof to, "%s.ledger", list);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(open_list_answered(&b, 0), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_MOVED);
    assert_int_equal(open_list_answered(&b, 1u << KL_DOUBT_MOVED), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
}

/* The process dies at any of the store's durable steps: the key is its board's, or nobody's. */
static void a_kill_at_any_step_gives_no_key_twice(void **state)
{
    struct kl_leased_row rows[3];
    struct store_bench b;
    bool crashed = true;

    (void)state;
    for (uint32_t step = 1; crashed && step < 200; step += 3) {
        pid_t child;
        int status;

        three(rows);
        make_list(rows, 3);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fault_install();
            fault_crash(step, step);
            if (open_list_answered(&b, 0) != KL_STORE_OPENED)
                _exit(1);
            bench_ask(&b, KL_OP_RESERVE, "dev-1", 1);
            bench_ask(&b, KL_OP_PROVISION, "dev-1", 1);
            bench_close(&b);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        crashed = WEXITSTATUS(status) == FAULT_EXIT;
        assert_true(crashed || WEXITSTATUS(status) == 0);
        assert_int_equal(open_list_answered(&b, 1u << KL_DOUBT_OLD | 1u << KL_DOUBT_MOVED),
                         KL_STORE_OPENED);
        if (kl_store_content(b.store)->ledger_count > 0) {
            assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-1", 1), KL_STORE_OK);
            bench_ask(&b, KL_OP_RESERVE, "dev-1", 2);
            assert_int_equal(b.status, KL_STORE_REFUSED);
        } else {
            assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 2), KL_STORE_OK);
        }
        bench_close(&b);
        remove_folder(NULL);
        make_folder(NULL);
    }
}

static unsigned rows_in_list(void)
{
    struct seen s = {0};
    char error[KL_TEXT_MAX] = "";

    if (!kl_list_each(&leased, list, see, &s, error))
        fail_msg("%s", error);
    return s.count;
}

/* The power is cut at every step of adding rows. The same request, said again, completes them. */
static void a_power_cut_while_rows_are_added_loses_none(void **state)
{
    char error[KL_TEXT_MAX] = "";
    struct kl_leased_row rows[3];
    bool crashed = true;

    (void)state;
    three(rows);
    make_list(rows, 1);
    for (uint32_t step = 1; crashed; step++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            pid_t child;
            int status;

            make_list(rows, 0);
            child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                fault_install();
                fault_crash(step, seed);
                _exit(kl_list_append(&leased, list, rows, 3, false, error) ? 0 : 1);
            }
            assert_int_equal(waitpid(child, &status, 0), child);
            crashed = WEXITSTATUS(status) == FAULT_EXIT;
            if (!crashed)
                assert_int_equal(WEXITSTATUS(status), 0);
            append(rows, 3, false);
            assert_true(rows_in_list() == 3);
            unlink(list);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(a_kill_at_any_step_gives_no_key_twice),
        T(a_list_without_its_ledger_asks_a_person),
        T(a_list_that_was_moved_asks_a_person),
        T(a_key_of_a_pool_goes_its_way),
        T(rows_that_come_later_are_noticed),
        T(rows_come_while_marks_go_in),
        T(spent_rows_are_nobodys),
        T(another_pools_list_is_refused),
        T(a_piece_of_a_row_is_no_row),
        T(a_box_that_does_not_open_gives_no_key),
        T(the_list_is_told_row_by_row),
        T(rows_that_go_back_leave_the_others),
        T(a_power_cut_while_rows_are_added_loses_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
