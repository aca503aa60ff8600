/* What a store keeps in memory for each key: counted by malloc, so no other load changes it. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store/ledger.h"
#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char csv[4096];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    kl_copy(csv, sizeof csv, scratch_path(&dir, "keys.csv"));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

static void write_rows(unsigned count)
{
    char *text = malloc(count * (size_t)64);
    size_t n = 0;

    for (unsigned i = 0; i < count; i++)
        n += (size_t)sprintf(text + n, "dev-%06u,%032x\n", i, i + 1);
    file_write(csv, text, n);
    free(text);
}

/* All keys are on boards, by the ledger. */
static void spend(const struct kl_pool_row *rows, unsigned count)
{
    struct kl_ledger *l;
    char path[4096], label[32], error[KL_TEXT_MAX];

    assert_true(kl_ledger_path(csv, path));
    l = kl_ledger_open(path, KL_LEDGER_CHANGE, false, error);
    assert_non_null(l);
    assert_true(kl_ledger_begin(l, error));
    for (unsigned i = 0; i < count; i++) {
        struct kl_ledger_change c = {
            .fingerprint = rows[i].fingerprint,
            .kin = rows[i].kin,
            .mac = {{2, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i}},
            .label = label,
            .how = "readback",
            .station = "north",
            .bundle = "",
            .wall = 1000 + i,
        };
        snprintf(label, sizeof label, "dev-%06u", i);
        assert_int_equal(kl_ledger_reserve(l, &c, error), KL_STORE_OK);
        assert_int_equal(kl_ledger_provision(l, &c, error), KL_STORE_OK);
    }
    assert_true(kl_ledger_commit(l, error));
    kl_ledger_close(l);
}

static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

/* Bytes of an open store whose `count` keys are all on boards. */
static size_t memory_with(unsigned count)
{
    struct kl_pool_row *rows = calloc(count, sizeof *rows);
    struct store_bench b;
    size_t before, taken;

    write_rows(count);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED); /* makes the ledger */
    assert_int_equal(kl_store_content(b.store)->row_count, count);
    memcpy(rows, kl_store_content(b.store)->rows, count * sizeof *rows);
    bench_close(&b);
    spend(rows, count);
    free(rows);

    before = in_use();
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(b.store)->ledger_count, count);
    taken = in_use() - before;
    bench_close(&b);
    return taken;
}

/* A station that has served a million boards has to fit beside others. */
static void a_key_on_a_board_takes_little_memory(void **state)
{
    enum {
        FEW = 3456, /* as many rows as the table has room for, then and … */
        MANY = 7776,
        MOST =
            150, /* row, label, where it is in the file, what the ledger says, a mark that is due */
    };
    size_t few = memory_with(FEW), many;

    (void)state;
    remove_folder(NULL);
    make_folder(NULL);
    many = memory_with(MANY);
    if (few == 0)
        skip(); /* a sanitizer has an allocator of its own */
    assert_in_range((many - few) / (MANY - FEW), 50, MOST);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_on_a_board_takes_little_memory, make_folder,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
