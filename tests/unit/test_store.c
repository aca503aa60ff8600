/* Tests of the store as the shell uses it: what is answered, and what then stands on disk. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_goes_its_way, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
