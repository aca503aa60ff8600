/* Tests of the names of a CSV's keys: whoever computes them, and wherever, they are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/host/disk.h"
#include "adapters/store/csv_namer.h"
#include "adapters/store/csv_table.h"
#include "keyline/bundle_load.h"
#include "scratch.h"

enum {
    ROWS = 40000, /* more than a megabyte */
    TEXT = 80,
};

static void key_of(struct kl_key *key, uint32_t i, bool named)
{
    char label[32], secret[40];
    struct kl_span field[2];

    snprintf(label, sizeof label, "dev-%06u", (unsigned)i);
    snprintf(secret, sizeof secret, "%032x", (unsigned)i);
    field[0] = (struct kl_span){(const uint8_t *)label, strlen(label)};
    field[1] = (struct kl_span){(const uint8_t *)secret, strlen(secret)};
    assert_true(named ? kl_key_build(key, field, 2, kl_sha256) : kl_key_take(key, field, 2));
}

static void named(void *ctx, uint32_t row, const struct kl_key *key)
{
    uint32_t *next = ctx;
    struct kl_key expected;

    assert_int_equal(row, *next);
    key_of(&expected, row, true);
    assert_true(kl_fingerprint_equal(&key->fingerprint, &expected.fingerprint));
    assert_true(kl_fingerprint_equal(&key->kin, &expected.kin));
    ++*next;
}

static void names_come_in_the_order_of_the_rows(void **state)
{
    static const uint32_t counts[] = {0, 1, 255, 256, 257, 512, 513, 3000};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof counts / sizeof counts[0]; i++) {
        uint32_t next = 0, count = counts[i / 2];
        struct kl_namer *n = kl_namer_new(i % 2 == 0, named, &next);

        assert_non_null(n);
        for (uint32_t row = 0; row < count; row++) {
            key_of(kl_namer_next(n), row, false);
            kl_namer_add(n, row);
        }
        kl_namer_finish(n);
        assert_int_equal(next, count);
        kl_namer_free(n);
    }
}

/* The reading may have broken off. */
static void a_namer_ends_in_the_middle(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 600; count += 150) {
        uint32_t next = 0;
        struct kl_namer *n = kl_namer_new(true, named, &next);

        for (uint32_t row = 0; row < count; row++) {
            key_of(kl_namer_next(n), row, false);
            kl_namer_add(n, row);
        }
        kl_namer_free(n);
        assert_true(next <= count);
    }
}

static bool is_bad(uint32_t row)
{
    return row % 1000 == 7;
}

static void a_large_file_has_the_same_names_as_a_small_one(void **state)
{
    char *text = malloc((size_t)ROWS * TEXT), error[KL_TEXT_MAX];
    struct scratch dir;
    struct kl_table *t;
    size_t size = 0;

    (void)state;
    scratch_make(&dir);
    for (uint32_t i = 0; i < ROWS; i++)
        size += (size_t)snprintf(text + size, TEXT, "dev-%06u%s,%032x\n", (unsigned)i,
                                 is_bad(i) ? "," : "", (unsigned)i);
    assert_true(size > 1 << 20);
    file_write(scratch_path(&dir, "keys.csv"), text, size);
    assert_int_equal(kl_table_load(scratch_path(&dir, "keys.csv"), KL_CSV_PLAIN, &t, error),
                     KL_TABLE_OK);
    assert_int_equal(t->count, ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct kl_key key;

        assert_int_equal(t->row[i].bad, is_bad(i));
        if (is_bad(i)) {
            assert_false(kl_fingerprint_is_set(&t->row[i].fingerprint));
            continue;
        }
        key_of(&key, i, true);
        assert_true(kl_fingerprint_equal(&t->row[i].fingerprint, &key.fingerprint));
        assert_true(kl_fingerprint_equal(&t->row[i].kin, &key.kin));
        assert_int_equal(kl_table_find(t, &key.fingerprint), i);
    }
    kl_table_free(t);
    scratch_remove(&dir);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_the_order_of_the_rows),
        cmocka_unit_test(a_namer_ends_in_the_middle),
        cmocka_unit_test(a_large_file_has_the_same_names_as_a_small_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
