/* Tests of pool.h, case by case: the reconciliation table and the in-doubt cases of
   docs/custody.md. Random sequences are in test_pool_model.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
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

static struct kl_pool_row marked(uint32_t line, const char *label, unsigned f)
{
    struct kl_pool_row r = row(line, label, f);
    r.marked = true;
    return r;
}

static struct kl_ledger_row ledger(const char *label, unsigned f, bool provisioned, unsigned m)
{
    return (struct kl_ledger_row){
        .label = label, .fingerprint = fp(f), .provisioned = provisioned, .mac = mac(m)};
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

static const struct kl_pool_row three[] = {
    {.line = 1, .label = "a", .fingerprint = {{1, 0, 0, 0, 0x5a}}},
    {.line = 2, .label = "b", .fingerprint = {{2, 0, 0, 0, 0x5a}}},
    {.line = 3, .label = "c", .fingerprint = {{3, 0, 0, 0, 0x5a}}},
};

static void keys_are_given_in_the_order_of_the_file(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(pool.counts.free, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(reserve(i + 1), i);
    assert_int_equal(ask(9, &key), KL_POOL_EMPTY);
    assert_int_equal(pool.counts.free, 0);
    assert_int_equal(pool.counts.reserved, 3);
    assert_int_equal(pool.counts.in_doubt, 0);
}

static void one_board_from_asking_to_done(void **state)
{
    uint32_t key, same;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(ask(1, &same), KL_POOL_BUSY);
    kl_pool_reserved(&pool, key, true);
    assert_int_equal(ask(1, &same), KL_POOL_GIVE);
    assert_int_equal(same, key);
    assert_true(kl_pool_sending(&pool, key));
    assert_false(kl_pool_release(&pool, key));
    assert_int_equal(claim(1, 1, &same), KL_CLAIM_OWN);
    assert_int_equal(same, key);
    assert_int_equal(look(1)->state, KL_KEY_RECORDING);
    kl_pool_recorded(&pool, key, false);
    assert_int_equal(look(1)->state, KL_KEY_RECORDING);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(pool.counts.provisioned, 1);
    assert_int_equal(claim(1, 1, &same), KL_CLAIM_OWN);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(claim(2, 1, &same), KL_CLAIM_OTHERS);
}

static void an_erased_board_gets_its_own_key_again(void **state)
{
    uint32_t key, again;

    (void)state;
    start(three, 3, (const struct kl_ledger_row[]){ledger("b", 2, true, 7)}, 1);
    assert_int_equal(ask(7, &again), KL_POOL_GIVE);
    key = find(2);
    assert_int_equal(again, key);
    assert_int_equal(look(2)->state, KL_KEY_PROVISIONED);
    assert_true(kl_pool_sending(&pool, key));
    kl_pool_recording(&pool, key);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(pool.counts.provisioned, 1);
    assert_int_equal(pool.counts.free, 2);
}

static void a_reservation_that_failed_frees_the_key_and_the_mac(void **state)
{
    uint32_t key, other;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    kl_pool_reserved(&pool, key, false);
    assert_int_equal(pool.counts.free, 3);
    assert_int_equal(ask(2, &other), KL_POOL_GIVE);
    assert_int_equal(other, key);
    struct kl_mac first = mac(1);
    assert_int_equal(kl_pool_of_mac(&pool, &first), UINT32_MAX);
}

static void an_unsent_key_can_be_released_a_sent_one_never(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    key = reserve(1);
    assert_true(kl_pool_release(&pool, key));
    assert_int_equal(ask(1, &key), KL_POOL_BUSY);
    kl_pool_released(&pool, key, false);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_true(kl_pool_release(&pool, key));
    kl_pool_released(&pool, key, true);
    assert_int_equal(look(1)->state, KL_KEY_FREE);

    key = reserve(2);
    assert_true(kl_pool_sending(&pool, key));
    assert_false(kl_pool_release(&pool, key));
    /* nor one that an earlier run may have sent */
    start(three, 3, (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_false(kl_pool_release(&pool, key));
}

static void a_board_that_leaves_keeps_its_key_in_doubt(void **state)
{
    uint32_t key, again;

    (void)state;
    start(three, 3, NULL, 0);
    key = reserve(1);
    assert_true(kl_pool_sending(&pool, key));
    kl_pool_leave(&pool, key);
    assert_int_equal(pool.counts.in_doubt, 1);
    for (unsigned m = 2; m < 4; m++)
        assert_int_not_equal(reserve(m), key);
    assert_int_equal(ask(1, &again), KL_POOL_GIVE);
    assert_int_equal(again, key);
    assert_int_equal(pool.counts.in_doubt, 0);
}

static void restart_leaves_reservations_with_their_boards(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3,
          (const struct kl_ledger_row[]){ledger("a", 1, false, 1), ledger("b", 2, true, 2)}, 2);
    assert_int_equal(pool.counts.free, 1);
    assert_int_equal(pool.counts.reserved, 1);
    assert_int_equal(pool.counts.in_doubt, 1);
    assert_int_equal(pool.counts.provisioned, 1);
    assert_int_equal(pool.counts.unmarked, 1);
    assert_int_equal(ask(3, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(3));
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(1));
}

static void a_mark_alone_spends_the_key(void **state)
{
    const struct kl_pool_row rows[] = {marked(1, "a", 1), row(2, "b", 2)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_FOREIGN);
    assert_int_equal(pool.counts.foreign, 1);
    assert_int_equal(pool.counts.unmarked, 0);
    assert_int_equal(reserve(1), find(2));
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
    assert_int_equal(claim(3, 1, &key), KL_CLAIM_ADOPT);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_NONE);
    assert_int_equal(pool.counts.foreign, 0);
}

/* Reserved for one board, then marked by another tool: nobody knows which board has it. */
static void a_marked_reservation_is_not_sent_again(void **state)
{
    const struct kl_pool_row rows[] = {marked(1, "a", 1), row(2, "b", 2)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_FOREIGN);
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_OWN);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_NONE);

    start(rows, COUNT(rows), (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_true(operator_release(1));
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(reserve(1), find(2));
}

static void copies_are_one_key(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "a", 1), row(2, "a", 1), row(3, "b", 2),
                                       marked(4, "b", 2), row(5, "b", 2)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.copies, 3);
    assert_int_equal(pool.counts.conflicts, 0);
    assert_int_equal(pool.counts.total, 2);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_COPY);
    assert_int_equal(row_of(1)->line, 1);
    assert_int_equal(look(2)->state, KL_KEY_PROVISIONED);
    reserve(1);
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
}

static void one_label_with_two_keys_is_a_conflict(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "x", 9), row(4, "a", 1), row(7, "a", 2)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.conflicts, 1);
    assert_int_equal(pool.counts.conflict_line_a, 4);
    assert_int_equal(pool.counts.conflict_line_b, 7);
    assert_int_equal(pool.counts.blocked, 2);
    reserve(1);
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
}

static void bad_rows_are_not_handed_out(void **state)
{
    struct kl_pool_row rows[] = {row(1, "a", 1), row(2, "b", 2), row(3, "c", 0), row(4, "d", 0)};
    uint32_t key;

    (void)state;
    rows[1].bad = rows[2].bad = rows[3].bad = true;
    rows[2].fingerprint = rows[3].fingerprint = (struct kl_fingerprint){{0}};
    start(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.bad_lines, 3);
    assert_int_equal(pool.counts.blocked, 3);
    assert_int_equal(pool.counts.copies, 0);
    assert_int_equal(look(2)->trouble, KL_TROUBLE_BAD_LINE);
    reserve(1);
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
    /* the row is mended while the bench runs */
    rows[1].bad = false;
    load(rows, COUNT(rows), NULL, 0);
    assert_int_equal(pool.counts.bad_lines, 2);
    assert_int_equal(ask(2, &key), KL_POOL_GIVE);
}

static void a_vanished_reservation_is_kept_for_its_board(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "b", 2)};
    const struct kl_ledger_row l[] = {ledger("a", 1, false, 1), ledger("c", 3, true, 3)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), l, COUNT(l));
    assert_int_equal(pool.counts.vanished, 2);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_VANISHED);
    assert_int_equal(row_of(1)->line, 0);
    assert_string_equal(row_of(1)->label, "a");
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_int_equal(ask(3, &key), KL_POOL_CONFLICT);
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_OWN);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
}

static void a_released_key_without_a_row_is_gone(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "b", 2)};
    const struct kl_ledger_row l[] = {ledger("a", 1, false, 1)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), l, COUNT(l));
    assert_true(operator_release(1));
    assert_false(operator_release(1));
    assert_int_equal(pool.counts.total, 1);
    assert_int_equal(pool.counts.vanished, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(2));
    /* a board that shows it is told apart, and should the row come back it stays spent */
    assert_int_equal(claim(8, 1, &key), KL_CLAIM_UNKNOWN);
    const struct kl_pool_row back[] = {row(1, "b", 2), row(2, "a", 1)};
    load(back, COUNT(back), NULL, 0);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_FOREIGN);
}

static void a_changed_row_is_blocked_until_the_label_is_released(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "a", 5), row(2, "b", 2)};
    const struct kl_ledger_row l[] = {ledger("a", 1, false, 1)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), l, COUNT(l));
    assert_int_equal(pool.counts.changed, 1);
    assert_int_equal(pool.counts.blocked, 1);
    assert_int_equal(look(5)->trouble, KL_TROUBLE_CHANGED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_CHANGED);
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_int_equal(reserve(2), find(2));
    assert_int_equal(ask(3, &key), KL_POOL_EMPTY);
    assert_true(operator_release(1));
    assert_int_equal(look(5)->state, KL_KEY_FREE);
    assert_int_equal(pool.counts.changed, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(5));
}

static void the_label_of_a_provisioned_board_is_not_given_twice(void **state)
{
    const struct kl_pool_row rows[] = {row(1, "a", 5)};
    const struct kl_ledger_row l[] = {ledger("a", 1, true, 1)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), l, COUNT(l));
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
    assert_false(operator_release(1));
}

static void of_two_keys_of_one_mac_the_proved_one_counts(void **state)
{
    const struct kl_ledger_row l[] = {ledger("b", 2, true, 1), ledger("a", 1, false, 1),
                                      ledger("c", 3, false, 3)};
    uint32_t key;

    (void)state;
    start(three, 3, l, COUNT(l));
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT); /* it may have been sent both */
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(pool.counts.in_doubt, 2);
    assert_true(operator_release(1));
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(2));
}

static void of_two_reservations_the_other_one_stays_after_a_release(void **state)
{
    const struct kl_ledger_row l[] = {ledger("a", 1, false, 1), ledger("b", 2, false, 1)};
    uint32_t key;

    (void)state;
    start(three, 3, l, COUNT(l));
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_true(operator_release(1));
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(2));
    start(three, 3, l, COUNT(l));
    assert_true(operator_release(2));
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(1));
}

/* The case "it holds another known key": that key is nobody else's from now on, the one that was
   sent to it stays in doubt; should it ask again, an operator decides, for it may have had both. */
static void a_board_that_shows_another_free_key_adopts_it(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_int_equal(claim(1, 3, &key), KL_CLAIM_ADOPT);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(3)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_int_equal(reserve(2), find(2));
    assert_true(operator_release(1));
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(3));
}

/* Boards were swapped at the wrong instant: the key reserved for one shows up on another. */
static void a_key_seen_on_another_board_is_never_sent_again(void **state)
{
    uint32_t key, mine;

    (void)state;
    start(three, 3, NULL, 0);
    mine = reserve(1);
    assert_int_equal(claim(2, 1, &key), KL_CLAIM_OTHERS);
    assert_false(kl_pool_sending(&pool, mine));
    assert_int_equal(ask(1, &key), KL_POOL_CONFLICT);
    assert_true(kl_pool_release(&pool, mine));
    kl_pool_released(&pool, mine, true);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_FOREIGN);
    assert_int_equal(reserve(1), find(2));
}

static void only_its_own_labels_are_named(void **state)
{
    uint8_t digest[32];

    (void)state;
    start((struct kl_pool_row[]){row(1, "a", 1), row(2, "bb", 2)}, 2, NULL, 0);
    kl_sha256("bb", 2, digest);
    assert_string_equal(kl_pool_label(&pool, kl_hash("bb", 2), digest, kl_sha256), "bb");
    assert_string_equal(kl_pool_label(&pool, kl_hash("c", 1), digest, kl_sha256), "");
}

static void a_claim_waits_for_the_store(void **state)
{
    uint32_t key, same;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    assert_int_equal(claim(1, 1, &same), KL_CLAIM_BUSY);
    kl_pool_reserved(&pool, key, true);
    assert_int_equal(claim(1, 1, &same), KL_CLAIM_OWN);
    assert_int_equal(look(1)->state, KL_KEY_RECORDING);
}

static void an_unknown_key_is_unknown(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(claim(1, 77, &key), KL_CLAIM_UNKNOWN);
    memset(&pool, 0, sizeof pool);
    assert_int_equal(claim(1, 77, &key), KL_CLAIM_UNKNOWN);
}

static void a_refused_reservation_blocks_the_key_until_the_next_load(void **state)
{
    uint32_t key, other;

    (void)state;
    start(three, 3, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    kl_pool_refused(&pool, key);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_REFUSED);
    assert_int_equal(ask(1, &other), KL_POOL_GIVE);
    assert_int_not_equal(other, key);
    load(three, 3, (const struct kl_ledger_row[]){ledger("a", 1, false, 9)}, 1);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(look(2)->state, KL_KEY_RESERVING);
}

/* The ledger has another key for this board: until an operator decides, nobody gets either. */
static void a_refused_proof_is_not_forgotten(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, (const struct kl_ledger_row[]){ledger("c", 3, false, 1)}, 1);
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_ADOPT);
    kl_pool_refused(&pool, key);
    load(three, 3, (const struct kl_ledger_row[]){ledger("c", 3, false, 1)}, 1);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_FOREIGN);
    assert_int_equal(reserve(2), find(2));
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_ADOPT);
}

static void an_operator_can_not_release_what_is_live_or_proved(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    key = reserve(1);
    assert_false(operator_release(1));
    kl_pool_leave(&pool, key);
    assert_true(operator_release(1));
    assert_int_equal(look(1)->state, KL_KEY_FREE);
    key = reserve(1);
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_OWN);
    kl_pool_leave(&pool, key);
    assert_false(operator_release(1));
    kl_pool_recorded(&pool, key, true);
    assert_false(operator_release(1));
    assert_false(operator_release(2));
    assert_false(operator_release(99));
}

static void a_release_that_is_not_durable_changes_nothing(void **state)
{
    uint32_t key, other;

    (void)state;
    start(three, 3, NULL, 0);
    key = reserve(1);
    assert_true(kl_pool_sending(&pool, key));
    kl_pool_leave(&pool, key);
    assert_true(kl_pool_operator_release(&pool, key));
    assert_int_equal(look(1)->state, KL_KEY_RELEASING);
    assert_false(kl_pool_operator_release(&pool, key));
    /* its board comes back just now, and another one wants a key */
    assert_int_equal(ask(1, &other), KL_POOL_BUSY);
    assert_int_not_equal(reserve(2), key);
    kl_pool_released(&pool, key, false);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(ask(1, &other), KL_POOL_GIVE);
    assert_int_equal(other, key);
    assert_false(kl_pool_release(&pool, key)); /* it was sent all the same */
}

static void rows_added_while_running_can_be_had(void **state)
{
    const struct kl_pool_row more[] = {row(1, "z", 9), row(2, "a", 1), row(3, "b", 2)};
    uint32_t key;

    (void)state;
    start(&three[0], 1, NULL, 0);
    key = reserve(1);
    assert_true(kl_pool_sending(&pool, key));
    assert_int_equal(ask(2, &key), KL_POOL_EMPTY);
    load(more, COUNT(more), (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_int_equal(find(1), 0);
    assert_int_equal(row_of(1)->line, 2);
    assert_true(look(1)->live);
    assert_int_equal(ask(2, &key), KL_POOL_GIVE);
    assert_int_equal(key, find(9));
    assert_int_equal(pool.counts.free, 1);
}

static void a_file_replaced_under_live_boards_disturbs_none(void **state)
{
    const struct kl_pool_row other[] = {row(1, "p", 21), row(2, "a", 22)};
    uint32_t reserving, sent, key;

    (void)state;
    start(three, 3, NULL, 0);
    sent = reserve(1);
    assert_true(kl_pool_sending(&pool, sent));
    assert_int_equal(ask(2, &reserving), KL_POOL_GIVE);
    load(other, COUNT(other), (const struct kl_ledger_row[]){ledger("a", 1, false, 1)}, 1);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_CHANGED);
    assert_int_equal(look(22)->state, KL_KEY_BLOCKED);
    assert_int_equal(look(2)->state, KL_KEY_RESERVING);
    kl_pool_reserved(&pool, reserving, true);
    assert_int_equal(claim(1, 1, &key), KL_CLAIM_OWN);
    kl_pool_recorded(&pool, key, true);
    assert_int_equal(look(3)->state, KL_KEY_BLOCKED);
    assert_int_equal(pool.counts.total, 4);
    assert_int_equal(reserve(5), find(21));
    /* the old file comes back */
    load(three, 3,
         (const struct kl_ledger_row[]){ledger("a", 1, true, 1), ledger("b", 2, false, 2),
                                        ledger("p", 21, false, 5)},
         3);
    assert_int_equal(look(1)->trouble, KL_TROUBLE_NONE);
    assert_int_equal(reserve(6), find(3));
}

static void a_mark_that_was_seen_once_is_not_forgotten_in_this_run(void **state)
{
    const struct kl_pool_row rows[] = {marked(1, "a", 1)};
    uint32_t key;

    (void)state;
    start(rows, COUNT(rows), NULL, 0);
    load(three, 1, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_EMPTY);
}

static void a_mark_by_another_tool_stops_an_unsent_key(void **state)
{
    const struct kl_pool_row rows[] = {marked(1, "a", 1), row(2, "b", 2)};
    uint32_t key;

    (void)state;
    start(three, 2, NULL, 0);
    assert_int_equal(ask(1, &key), KL_POOL_GIVE);
    load(rows, COUNT(rows), NULL, 0);
    kl_pool_reserved(&pool, key, true);
    assert_false(kl_pool_sending(&pool, key));
    assert_true(kl_pool_release(&pool, key));
    kl_pool_released(&pool, key, true);
    assert_int_equal(look(1)->state, KL_KEY_PROVISIONED);
    assert_int_equal(reserve(1), find(2));
}

static void an_empty_ledger_frees_nothing(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    key = reserve(1);
    kl_pool_leave(&pool, key);
    load(three, 3, NULL, 0);
    assert_int_equal(look(1)->state, KL_KEY_RESERVED);
    assert_int_not_equal(reserve(2), key);
}

static void keys_move_to_bigger_memory(void **state)
{
    static struct kl_pool_row rows[300];
    static char labels[300][8];

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        snprintf(labels[i], sizeof labels[i], "k%u", i);
        rows[i] = row(i + 1, labels[i], i + 1);
    }
    start(rows, 200, NULL, 0);
    uint32_t key = reserve(1);
    load(rows, 300, NULL, 0);
    assert_int_equal(pool.counts.free, 299);
    struct kl_mac one = mac(1);
    assert_int_equal(kl_pool_of_mac(&pool, &one), key);
    for (unsigned i = 2; i <= 300; i++)
        reserve(i);
    for (unsigned i = 1; i <= 300; i++) {
        struct kl_mac x = mac(i);
        assert_int_equal(kl_pool_of_mac(&pool, &x), i - 1);
    }
}

/* Reservations that come and go must not fill the table by MAC. */
static void a_thousand_failed_reservations_leave_no_trace(void **state)
{
    uint32_t key;

    (void)state;
    start(three, 3, NULL, 0);
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(ask(i, &key), KL_POOL_GIVE);
        kl_pool_reserved(&pool, key, false);
    }
    for (unsigned i = 0; i < pool.by_mac.size; i++)
        assert_int_equal(pool.by_mac.entry[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_given_in_the_order_of_the_file),
        cmocka_unit_test(one_board_from_asking_to_done),
        cmocka_unit_test(an_erased_board_gets_its_own_key_again),
        cmocka_unit_test(a_reservation_that_failed_frees_the_key_and_the_mac),
        cmocka_unit_test(an_unsent_key_can_be_released_a_sent_one_never),
        cmocka_unit_test(a_board_that_leaves_keeps_its_key_in_doubt),
        cmocka_unit_test(restart_leaves_reservations_with_their_boards),
        cmocka_unit_test(a_mark_alone_spends_the_key),
        cmocka_unit_test(a_marked_reservation_is_not_sent_again),
        cmocka_unit_test(copies_are_one_key),
        cmocka_unit_test(one_label_with_two_keys_is_a_conflict),
        cmocka_unit_test(bad_rows_are_not_handed_out),
        cmocka_unit_test(a_vanished_reservation_is_kept_for_its_board),
        cmocka_unit_test(a_released_key_without_a_row_is_gone),
        cmocka_unit_test(a_changed_row_is_blocked_until_the_label_is_released),
        cmocka_unit_test(the_label_of_a_provisioned_board_is_not_given_twice),
        cmocka_unit_test(of_two_keys_of_one_mac_the_proved_one_counts),
        cmocka_unit_test(of_two_reservations_the_other_one_stays_after_a_release),
        cmocka_unit_test(a_board_that_shows_another_free_key_adopts_it),
        cmocka_unit_test(a_key_seen_on_another_board_is_never_sent_again),
        cmocka_unit_test(a_claim_waits_for_the_store),
        cmocka_unit_test(an_unknown_key_is_unknown),
        cmocka_unit_test(a_refused_reservation_blocks_the_key_until_the_next_load),
        cmocka_unit_test(a_refused_proof_is_not_forgotten),
        cmocka_unit_test(an_operator_can_not_release_what_is_live_or_proved),
        cmocka_unit_test(a_release_that_is_not_durable_changes_nothing),
        cmocka_unit_test(rows_added_while_running_can_be_had),
        cmocka_unit_test(a_file_replaced_under_live_boards_disturbs_none),
        cmocka_unit_test(a_mark_that_was_seen_once_is_not_forgotten_in_this_run),
        cmocka_unit_test(a_mark_by_another_tool_stops_an_unsent_key),
        cmocka_unit_test(an_empty_ledger_frees_nothing),
        cmocka_unit_test(keys_move_to_bigger_memory),
        cmocka_unit_test(only_its_own_labels_are_named),
        cmocka_unit_test(a_thousand_failed_reservations_leave_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
