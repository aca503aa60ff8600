/* original_tool.c: the store and the original Python tool on one CSV, in turns. Skipped without
 * python3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char csv[256];

static int start(void **state)
{
    (void)state;
    if (system("python3 -c 'import csv' 2>/dev/null") != 0)
        skip();
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s/keys.csv", dir.folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

/* The row that the tool took. */
static void tool_takes(const char *row)
{
    char command[1024], line[256] = "";
    FILE *tool;

    snprintf(command, sizeof command, "python3 %s/tests/custody/original_tool.py %s", KL_SOURCE_DIR,
             csv);
    tool = popen(command, "r");
    assert_non_null(tool);
    if (fgets(line, sizeof line, tool) != NULL)
        line[strcspn(line, "\n")] = '\0';
    assert_int_equal(pclose(tool), 0);
    assert_string_equal(line, row);
}

static const struct kl_pool_row *row_of(const struct store_bench *b, const char *label)
{
    const struct kl_store_content *c = kl_store_content(b->store);

    for (uint32_t i = 0; i < c->row_count; i++)
        if (strcmp(c->rows[i].label, label) == 0)
            return &c->rows[i];
    fail_msg("no row %s", label);
    return NULL;
}

static bool all_in_csv(const struct store_bench *b)
{
    const struct kl_store_content *c = kl_store_content(b->store);
    uint32_t found = 0;

    for (uint32_t i = 0; i < c->ledger_count; i++)
        for (uint32_t k = 0; k < c->row_count; k++)
            found += kl_fingerprint_equal(&c->ledger[i].fingerprint, &c->rows[k].fingerprint);
    return found == c->ledger_count;
}

static void take_turns(const char *text)
{
    struct store_bench b;

    file_put(csv, text);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-5", 5), KL_STORE_OK);
    bench_close(&b);
    tool_takes("dev-2|aa02|bb02");
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_true(row_of(&b, "dev-1")->marked && row_of(&b, "dev-2")->marked);
    assert_false(row_of(&b, "dev-3")->marked || row_of(&b, "dev-4")->marked);
    assert_true(all_in_csv(&b));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_REFUSED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-3", 3), KL_STORE_OK);
    bench_close(&b);
    tool_takes("dev-4|aa04|bb04");
}

static void plain_rows(void **state)
{
    (void)state;
    take_turns("dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,aa04,bb04\n"
               "dev-5,aa05,bb05\n");
}

static void quoted_rows_with_every_oddity(void **state)
{
    (void)state;
    take_turns("\"dev-1\",aa01,bb01  \r\ndev-2,\"aa02\",bb02\ndev-3,aa03,\"bb03\"\r\n\r\n"
               "dev-4,aa04 , bb04\r\ndev-5,aa05,bb05");
}

static bool knows_the_mark(struct store_bench *b, void *ctx)
{
    return row_of(b, ctx)->marked;
}

static void at_the_same_time(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, "dev-1,aa01\ndev-2,aa02\ndev-3,aa03\ndev-4,aa04\ndev-5,aa05\n");
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    tool_takes("dev-2|aa02");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_REFUSED);
    assert_true(bench_until(&b, knows_the_mark, (char[]){"dev-2"}));
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-3", 3), KL_STORE_OK);
    tool_takes("dev-4|aa04");
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-5", 5), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,Provisioned\r\ndev-2,aa02,Provisioned\r\n"
                             "dev-3,aa03,Provisioned\r\ndev-4,aa04,Provisioned\r\n"
                             "dev-5,aa05,Provisioned\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_rows, start, stop),
        cmocka_unit_test_setup_teardown(quoted_rows_with_every_oddity, start, stop),
        cmocka_unit_test_setup_teardown(at_the_same_time, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
