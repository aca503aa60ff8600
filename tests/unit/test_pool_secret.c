/* Tests of pool.h: a key is its secret, whatever its label and its spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/pool.h"
#include "pool_room.h"

static struct pool_room room;
static struct kl_pool pool;

static struct kl_fingerprint fp(unsigned n)
{
    struct kl_fingerprint f = {{(uint8_t)n, (uint8_t)(n >> 8), 0, 0, 0x5a}};
    return f;
}

static struct kl_mac mac(unsigned n)
{
    return (struct kl_mac){{0x24, 0x6f, 0x28, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

static struct kl_pool_row row(uint32_t line, const char *label, unsigned f)
{
    return (struct kl_pool_row){.line = line, .label = label, .fingerprint = fp(f)};
}

static struct kl_ledger_row ledger(const char *label, unsigned f, bool provisioned, unsigned m)
{
    return (struct kl_ledger_row){
        .label = label, .fingerprint = fp(f), .provisioned = provisioned, .mac = mac(m)};
}

/* Spelling `s` of secret `f`. */
static struct kl_pool_row spelled(uint32_t line, const char *label, unsigned f, unsigned s)
{
    struct kl_pool_row r = row(line, label, f + 1000 * s);
    r.kin = fp(f);
    return r;
}

static struct kl_ledger_row ledger_spelled(const char *label, unsigned f, unsigned s,
                                           bool provisioned, unsigned m)
{
    struct kl_ledger_row r = ledger(label, f + 1000 * s, provisioned, m);
    r.kin = fp(f);
    return r;
}

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static void load(const struct kl_pool_row *rows, uint32_t n, const struct kl_ledger_row *l,
                 uint32_t m)
{
    pool_room_load(&room, &pool, rows, n, l, m);
}

static void start(const struct kl_pool_row *rows, uint32_t n, const struct kl_ledger_row *l,
                  uint32_t m)
{
    memset(&pool, 0, sizeof pool);
    load(rows, n, l, m);
}

static const struct kl_pool_key *look(unsigned f)
{
    struct kl_fingerprint x = fp(f);
    uint32_t key = kl_pool_find(&pool, &x);

    assert_int_not_equal(key, UINT32_MAX);
    return kl_pool_key(&pool, key);
}

static const struct kl_pool_row *row_of(unsigned f)
{
    struct kl_fingerprint x = fp(f);

    return kl_pool_row_of(&pool, kl_pool_find(&pool, &x));
}

static uint32_t find(unsigned f)
{
    struct kl_fingerprint x = fp(f);
    return kl_pool_find(&pool, &x);
}

static enum kl_pool_answer ask(unsigned m, uint32_t *key)
{
    struct kl_mac x = mac(m);
    return kl_pool_ask(&pool, &x, key);
}

static enum kl_pool_claim claim(unsigned m, unsigned f, uint32_t *key)
{
    struct kl_mac x = mac(m);
    struct kl_fingerprint y = fp(f);
    return kl_pool_claim(&pool, &x, &y, key);
}

static bool operator_release(unsigned f)
{
    struct kl_fingerprint x = fp(f);
    uint32_t key = kl_pool_find(&pool, &x);

    if (key == UINT32_MAX || !kl_pool_operator_release(&pool, key))
        return false;
    kl_pool_released(&pool, key, true);
    return true;
}

static uint32_t reserve(unsigned m)
{
    uint32_t key;

    assert_int_equal(ask(m, &key), KL_POOL_GIVE);
    assert_int_equal(kl_pool_key(&pool, key)->state, KL_KEY_RESERVING);
    kl_pool_reserved(&pool, key, true);
    return key;
}

static void one_secret_under_two_labels_is_a_conflict(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "x", 9), row(4, "a-1", 1), row(7, "a-2", 1)};

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.twins, 1);
    assert_int_equal(pool.counts.twin_line_a, 4);
    assert_int_equal(pool.counts.twin_line_b, 7);
    assert_int_equal(look(1)->state, KL_KEY_BLOCKED);
    assert_int_equal(pool.counts.free, 1);
}

static void so_is_one_secret_in_two_spellings(void **state)
{
    const struct kl_pool_row rows[] = {spelled(1, "a-1", 1, 0), spelled(3, "a-2", 1, 1)};
    const struct kl_pool_row same_label[] = {spelled(1, "a", 1, 0), spelled(3, "a", 1, 1)};

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.twins, 1);
    assert_int_equal(pool.counts.free, 0);
    start(same_label, COUNT(same_label), NULL, 0);
    assert_int_equal(pool.counts.conflicts, 1);
    assert_int_equal(pool.counts.free, 0);
}

static void rows_that_are_kept_back_are_named(void **state)
{
    const struct kl_pool_row twins[] = {row(1, "x", 9), row(4, "a-1", 1), row(7, "a-2", 1),
                                        row(9, "a-3", 1)};
    const struct kl_pool_row conflict[] = {row(2, "x", 9), row(3, "x", 8)};
    const struct kl_pool_row changed[] = {row(5, "dev-1", 4)};
    const struct kl_ledger_row held[] = {ledger("dev-1", 3, true, 7)};
    const struct kl_pool_row bad[] = {row(1, "x", 9),
                                      {.line = 6, .label = "", .bad = true},
                                      {.line = 8, .label = "", .bad = true}};
    const struct kl_pool_row good[] = {row(1, "x", 9), row(2, "x", 9)};
    char said[KL_TEXT_MAX];

    (void)state;
    start(twins, COUNT(twins), NULL, 0);
    assert_true(kl_pool_kept_back(&pool, said));
    assert_string_equal(said, "lines 4 and 7 have one secret under two labels, and 1 more like "
                              "that: kept back; give each key a secret of its own");
    start(conflict, COUNT(conflict), NULL, 0);
    assert_true(kl_pool_kept_back(&pool, said));
    assert_non_null(strstr(said, "lines 2 and 3 have one label and different keys: kept back"));
    start(changed, COUNT(changed), held, COUNT(held));
    assert_true(kl_pool_kept_back(&pool, said));
    assert_non_null(strstr(said, "line 5 has the label or the secret of a key"));
    start(bad, COUNT(bad), NULL, 0);
    assert_true(kl_pool_kept_back(&pool, said));
    assert_non_null(strstr(said, "line 6 can't be a key, and 1 more like that: kept back"));
    start(good, COUNT(good), NULL, 0);
    assert_false(kl_pool_kept_back(&pool, said));
    assert_string_equal(said, "");
}

static void a_corrected_label_stays_the_same_key(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "DEV-001", 1), row(2, "dev-2", 2)};
    struct kl_mac own = mac(5);
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), (const struct kl_ledger_row[]){ledger("dev-1", 1, false, 5)}, 1);
    assert_int_equal(pool.counts.renamed, 1);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_RENAMED);
    assert_string_equal(row_of(1)->label, "DEV-001");
    assert_int_equal(kl_pool_of_mac(&pool, &own), find(1));
    assert_int_equal(reserve(6), find(2));
    assert_int_equal(ask(7, &key), KL_POOL_EMPTY);
    /* until a person has said so, it is not sent again; its board may prove it */
    assert_int_equal(ask(5, &key), KL_POOL_CONFLICT);
    assert_int_equal(claim(5, 1, &key), KL_CLAIM_OWN);
    /* confirmed */
    start(rows, COUNT(rows), (const struct kl_ledger_row[]){ledger("DEV-001", 1, false, 5)}, 1);
    assert_int_equal(pool.counts.renamed, 0);
    assert_int_equal(ask(5, &key), KL_POOL_GIVE);
}

static void a_respelled_row_is_not_free_while_its_key_is_held(void **state)
{
    const struct kl_pool_row rows[] = {spelled(1, "DEV-001", 1, 1)};
    const struct kl_pool_row back[] = {spelled(1, "dev-1", 1, 0)};
    uint32_t key;

    (void)state;
    start(rows, 1, (const struct kl_ledger_row[]){ledger_spelled("dev-1", 1, 0, false, 5)}, 1);
    assert_int_equal(pool.counts.free, 0);
    assert_int_equal(pool.counts.changed, 1);
    assert_int_equal(look(1001)->trouble, KL_TROUBLE_CHANGED);
    assert_int_equal(ask(6, &key), KL_POOL_EMPTY);
    assert_int_equal(ask(5, &key), KL_POOL_CONFLICT);
    /* an operator releases it: the row is free */
    assert_true(operator_release(1));
    assert_int_equal(look(1001)->state, KL_KEY_FREE);
    /* or the row as it was comes back */
    start(rows, 1, (const struct kl_ledger_row[]){ledger_spelled("dev-1", 1, 0, false, 5)}, 1);
    load(back, 1, (const struct kl_ledger_row[]){ledger_spelled("dev-1", 1, 0, false, 5)}, 1);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_NONE);
    assert_int_equal(ask(5, &key), KL_POOL_GIVE);
}

/* The first in the order of rows is named, wherever labels and secrets lie in a table. */
static void of_many_conflicts_the_first_is_named(void **state)
{
    static struct kl_pool_row rows[200];
    static char labels[200][8];

    (void)state;
    for (unsigned first = 20; first < 60; first++) {
        for (unsigned i = 0; i < 200; i++) {
            unsigned like =
                i >= first && i < 80 ? i - 20 : i; /* each of them like an earlier one */
            snprintf(labels[i], sizeof labels[i], "k%u", like);
            rows[i] = row(i + 1, labels[i], i + 1);
            rows[i].kin = fp(i >= 100 + first && i < 180 ? i - 20 : i + 1000);
            rows[i].kin.b[KL_FINGERPRINT - 1] = (uint8_t)(like * 7);
            if (i >= 100 + first && i < 180)
                rows[i].kin = rows[i - 20].kin;
        }
        start(rows, 200, NULL, 0);
        assert_int_equal(pool.counts.conflict_line_a, first + 1 - 20);
        assert_int_equal(pool.counts.conflict_line_b, first + 1);
        assert_int_equal(pool.counts.twin_line_a, 100 + first + 1 - 20);
        assert_int_equal(pool.counts.twin_line_b, 100 + first + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_conflicts_the_first_is_named),
        cmocka_unit_test(one_secret_under_two_labels_is_a_conflict),
        cmocka_unit_test(so_is_one_secret_in_two_spellings),
        cmocka_unit_test(rows_that_are_kept_back_are_named),
        cmocka_unit_test(a_corrected_label_stays_the_same_key),
        cmocka_unit_test(a_respelled_row_is_not_free_while_its_key_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
