/* A board's hold on its key (core/custody.h): when its bytes are lent, and to whom they belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/custody.h"
#include "keyline/bundle_load.h"

static struct kl_custody custody;
static struct kl_key key;

static int setup(void **state)
{
    (void)state;
    kl_custody_init(&custody, NULL);
    memset(&key, 0, sizeof key);
    key.count = 2;
    memcpy(key.line, "dev-1,5ec0", 11);
    return 0;
}

static void bring(uint32_t index, uint32_t request)
{
    kl_custody_name(&custody, index, "dev-1");
    kl_custody_ask(&custody, request);
    kl_custody_bring(&custody, &key);
}

static bool holds(const void *bytes, size_t size, const char *text)
{
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void bytes_are_lent_once_they_are_here(void **state)
{
    (void)state;
    kl_custody_name(&custody, 7, "dev-1");
    assert_null(kl_custody_key(&custody));
    kl_custody_ask(&custody, 3);
    assert_null(kl_custody_key(&custody));
    kl_custody_bring(&custody, &key);
    assert_string_equal(kl_custody_key(&custody)->line, "dev-1,5ec0");
    kl_custody_send(&custody);
    assert_true(kl_custody_was_sent(&custody));
    kl_custody_forget(&custody);
    assert_null(kl_custody_key(&custody));
    assert_false(holds(&custody, sizeof custody, "5ec0"));
}

/* A long key's bytes are copied into the custody's own memory, and wiped there. */
static void a_long_key_has_its_own_memory(void **state)
{
    static struct kl_key_text theirs, ours;
    static struct kl_key long_key;
    static uint8_t secret[5000];
    struct kl_span fields[2] = {{(const uint8_t *)"dev-1", 5}, {secret, sizeof secret}};

    (void)state;
    memset(secret, 's', sizeof secret);
    memcpy(secret + 4000, "5ec0\n,5ec1", 10);
    assert_true(kl_key_build_long(&long_key, &theirs, fields, 2, kl_sha256));
    assert_ptr_equal(long_key.text, &theirs);
    kl_custody_init(&custody, &ours);
    kl_custody_name(&custody, 7, "dev-1");
    kl_custody_ask(&custody, 3);
    kl_custody_bring(&custody, &long_key);
    kl_key_wipe(&long_key);
    assert_false(holds(&theirs, sizeof theirs, "5ec0"));
    const struct kl_key *held = kl_custody_key(&custody);
    assert_int_equal(kl_key_field(held, 1).size, sizeof secret);
    assert_memory_equal(kl_key_field(held, 1).data, secret, sizeof secret);
    assert_string_equal(held->line, "");
    kl_custody_forget(&custody);
    assert_false(holds(&ours, sizeof ours, "5ec0"));
    assert_null(kl_custody_key(&custody));
    bring(8, 4); /* a short one does not need it */
    assert_string_equal(kl_custody_key(&custody)->line, "dev-1,5ec0");
}

static void only_the_answer_that_is_awaited_counts(void **state)
{
    (void)state;
    kl_custody_name(&custody, 7, "dev-1");
    assert_false(kl_custody_awaits(&custody, 7, 0));
    kl_custody_ask(&custody, 3);
    assert_true(kl_custody_awaits(&custody, 7, 3));
    assert_false(kl_custody_awaits(&custody, 7, 2));
    assert_false(kl_custody_awaits(&custody, 8, 3));
    kl_custody_ask(&custody, 4); /* asked again: the first answer is late */
    assert_false(kl_custody_awaits(&custody, 7, 3));
    kl_custody_bring(&custody, &key);
    assert_false(kl_custody_awaits(&custody, 7, 4));
}

static void a_late_answer_is_still_taken(void **state)
{
    (void)state;
    kl_custody_name(&custody, 7, "dev-1");
    kl_custody_ask(&custody, 3);
    kl_custody_go_on(&custody);
    assert_true(kl_custody_awaits(&custody, 7, 3));
    kl_custody_bring(&custody, &key);
    assert_int_equal(custody.state, KL_CUSTODY_HELD);
}

static void another_key_is_not_the_one_held(void **state)
{
    (void)state;
    bring(7, 3);
    kl_custody_name(&custody, 7, "dev-1"); /* the same: nothing is fetched twice */
    assert_non_null(kl_custody_key(&custody));
    kl_custody_name(&custody, 8, "dev-2");
    assert_null(kl_custody_key(&custody));
    assert_false(holds(&custody, sizeof custody, "5ec0"));
    assert_string_equal(custody.label, "dev-2");
}

static void a_lost_key_is_lent_to_nobody(void **state)
{
    (void)state;
    bring(7, 3);
    kl_custody_disown(&custody);
    assert_false(kl_custody_has_key(&custody));
    assert_null(kl_custody_key(&custody));
    assert_string_equal(custody.label, "");
}

static void a_board_may_prove_a_key_that_was_never_fetched(void **state)
{
    (void)state;
    kl_custody_name(&custody, 7, "dev-1");
    kl_custody_prove(&custody, KL_PROOF_READ_BACK);
    assert_int_equal(custody.state, KL_CUSTODY_RECORDING);
    assert_true(kl_custody_was_sent(&custody)); /* it is not given back to the pool */
    kl_custody_recorded(&custody);
    assert_int_equal(custody.state, KL_CUSTODY_RECORDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_long_key_has_its_own_memory, setup),
        cmocka_unit_test_setup(bytes_are_lent_once_they_are_here, setup),
        cmocka_unit_test_setup(only_the_answer_that_is_awaited_counts, setup),
        cmocka_unit_test_setup(a_late_answer_is_still_taken, setup),
        cmocka_unit_test_setup(another_key_is_not_the_one_held, setup),
        cmocka_unit_test_setup(a_lost_key_is_lent_to_nobody, setup),
        cmocka_unit_test_setup(a_board_may_prove_a_key_that_was_never_fetched, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
