/* Tests of index.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "keyline/index.h"
#include "prng.h"

static uint32_t *hash; /* of each item */

/* Finds an item as its owner would, who compares what the index only guesses. */
static uint32_t find(const struct kl_index *x, uint32_t wanted, uint32_t *at, unsigned *looks)
{
    uint32_t item;

    *at = kl_index_home(x, hash[wanted]);
    while ((item = kl_index_seek(x, hash[wanted], at)) != UINT32_MAX) {
        ++*looks;
        if (item == wanted)
            break;
        *at = kl_index_step(x, *at);
    }
    return item;
}

static void put_and_find_all(uint32_t items, unsigned looks_most)
{
    uint32_t *entry = calloc(kl_index_size(items), sizeof *entry), at;
    struct kl_index x;
    unsigned looks = 0;

    assert_non_null(entry);
    kl_index_init(&x, entry, items);
    for (uint32_t i = 0; i < items; i++) {
        assert_int_equal(find(&x, i, &at, &looks), UINT32_MAX);
        kl_index_put(&x, at, hash[i], i);
    }
    looks = 0;
    for (uint32_t i = 0; i < items; i++) {
        assert_int_equal(find(&x, i, &at, &looks), i);
        assert_int_equal(kl_index_item(&x, at), i);
    }
    assert_true(looks <= looks_most);
    free(entry);
}

static void each_item_is_found_at_the_first_look(void **state)
{
    enum {
        ITEMS = 40000
    };
    struct prng prng = {3};

    (void)state;
    assert_non_null(hash = calloc(ITEMS, sizeof *hash));
    for (uint32_t i = 0; i < ITEMS; i++)
        hash[i] = (uint32_t)prng_next(&prng);
    /* 16 bits of each hash stand in the table: one look in thousands is in vain. */
    put_and_find_all(ITEMS, ITEMS + ITEMS / 1000);
    for (uint32_t items = 0; items < 70; items++)
        put_and_find_all(items, 2 * items);
    free(hash);
}

static void equal_hashes_are_told_apart_by_their_owner(void **state)
{
    enum {
        ITEMS = 300
    };

    (void)state;
    assert_non_null(hash = calloc(ITEMS, sizeof *hash));
    for (unsigned k = 0; k < 3; k++) {
        static const uint32_t worst[] = {0, UINT32_MAX, 0x80000001};
        for (uint32_t i = 0; i < ITEMS; i++)
            hash[i] = worst[k];
        put_and_find_all(ITEMS, ITEMS * ITEMS);
    }
    free(hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_found_at_the_first_look),
        cmocka_unit_test(equal_hashes_are_told_apart_by_their_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
