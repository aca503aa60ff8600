/* Tests of key.h: what a key is, and its fingerprint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
#include "keyline/key.h"

static struct kl_span span(const char *text)
{
    return (struct kl_span){(const uint8_t *)text, strlen(text)};
}

static bool build(struct kl_key *key, unsigned count, const char *const *texts)
{
    struct kl_span fields[KL_FIELDS_MAX + 1] = {{NULL, 0}};

    for (unsigned i = 0; i < count; i++)
        fields[i] = span(texts[i]);
    return kl_key_build(key, fields, count, kl_sha256);
}

static void key_joins_its_fields(void **state)
{
    struct kl_key key;

    (void)state;
    assert_true(build(&key, 3, (const char *[]){"dev-1", "D56700FF", "cafe"}));
    assert_string_equal(key.line, "dev-1,D56700FF,cafe");
    assert_int_equal(key.count, 3);
    struct kl_span second = kl_key_field(&key, 1);
    assert_int_equal(second.size, 8);
    assert_memory_equal(second.data, "D56700FF", 8);
    struct kl_span last = kl_key_field(&key, 2);
    assert_int_equal(last.size, 4);
    assert_memory_equal(last.data, "cafe", 4);
}

/* Firmware trims its line, and a CSV written as `a, b, c` is common. */
static void blanks_around_fields_do_not_count(void **state)
{
    struct kl_key plain, padded;

    (void)state;
    assert_true(build(&plain, 2, (const char *[]){"a b", "c"}));
    assert_true(build(&padded, 2, (const char *[]){" a b\t", "  c "}));
    assert_string_equal(padded.line, "a b,c");
    assert_true(kl_fingerprint_equal(&plain.fingerprint, &padded.fingerprint));
}

static void what_firmware_could_not_take_is_no_key(void **state)
{
    struct kl_key key;
    char field[KL_LINE_MAX + 2];
    const char *many[KL_FIELDS_MAX + 1];

    (void)state;
    assert_false(build(&key, 0, NULL));
    assert_false(build(&key, 2, (const char *[]){"a", ""}));
    assert_false(build(&key, 2, (const char *[]){"a", "   "}));
    assert_false(build(&key, 2, (const char *[]){"a", "b,c"}));
    assert_false(build(&key, 2, (const char *[]){"a", "b\nc"}));
    assert_false(build(&key, 2, (const char *[]){"a", "b\x7f"}));
    assert_true(build(&key, 2, (const char *[]){"a", "\xc3\xa9t\xc3\xa9"}));

    memset(field, 'x', sizeof field);
    field[KL_LINE_MAX] = '\0';
    assert_true(build(&key, 1, (const char *[]){field}));
    assert_int_equal(strlen(key.line), KL_LINE_MAX);
    assert_false(build(&key, 2, (const char *[]){field, "a"}));
    field[KL_LINE_MAX] = 'x';
    field[KL_LINE_MAX + 1] = '\0';
    assert_false(build(&key, 1, (const char *[]){field}));
    field[KL_LINE_MAX - 2] = '\0';
    assert_true(build(&key, 2, (const char *[]){field, "a"}));
    assert_false(build(&key, 2, (const char *[]){field, "ab"}));

    for (int i = 0; i <= KL_FIELDS_MAX; i++)
        many[i] = "k";
    assert_true(build(&key, KL_FIELDS_MAX, many));
    assert_false(build(&key, KL_FIELDS_MAX + 1, many));
}

static void a_refused_key_leaves_no_secret_behind(void **state)
{
    struct kl_key key;

    (void)state;
    assert_false(build(&key, 3, (const char *[]){"dev", "SECRET", "bad,field"}));
    for (size_t i = 0; i < sizeof key; i++)
        assert_int_equal(((const uint8_t *)&key)[i], 0);
}

/* Whoever corrects a label has the same key as before. */
static void a_key_is_its_secret(void **state)
{
    struct kl_key key, other;

    (void)state;
    assert_true(build(&key, 3, (const char *[]){"dev-1", "00AB", "c1:d2:e3"}));
    assert_true(build(&other, 3, (const char *[]){"DEV-001", "00AB", "c1:d2:e3"}));
    assert_true(kl_fingerprint_equal(&other.fingerprint, &key.fingerprint));
    assert_true(build(&other, 3, (const char *[]){"dev-1", "00ac", "c1:d2:e3"}));
    assert_false(kl_fingerprint_equal(&other.fingerprint, &key.fingerprint));
    assert_false(kl_fingerprint_equal(&other.kin, &key.kin));
}

static void spellings_are_kin(void **state)
{
    const char *const spelled[] = {"C1D2E3",   "c1 d2 e3", "c1-d2-E3",       "c1:d2:e3",
                                   "c1.d2_e3", "0xc1d2e3", "0Xc1 0xD2 0xE3", "0xC1:d2:e3"};
    struct kl_key key, other;

    (void)state;
    assert_true(build(&key, 3, (const char *[]){"dev-1", "00ab", "c1d2e3"}));
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) {
        assert_true(build(&other, 3, (const char *[]){"dev-2", "00 AB", spelled[i]}));
        assert_false(kl_fingerprint_equal(&other.fingerprint, &key.fingerprint));
        assert_true(kl_fingerprint_equal(&other.kin, &key.kin));
    }
    assert_true(build(&other, 3, (const char *[]){"dev-2", "0x00AB", "c1d2e3"}));
    assert_true(kl_fingerprint_equal(&other.kin, &key.kin));
    /* where one field ends and the next begins is no spelling */
    assert_true(build(&other, 3, (const char *[]){"dev-1", "00abc1", "d2e3"}));
    assert_false(kl_fingerprint_equal(&other.kin, &key.kin));
}

/* What is no number in hex keeps its 0x: these are other secrets. */
static void a_0x_is_a_spelling_only_of_hex(void **state)
{
    static const char *const pairs[][2] = {
        {"0xhello", "hello"}, {"0x", "x"}, {"0x", "0"}, {"c10xd2", "c1d2"}, {"0xc1 zz", "c1 zz"}};
    struct kl_key key, other;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_true(build(&key, 2, (const char *[]){"dev-1", pairs[i][0]}));
        assert_true(build(&other, 2, (const char *[]){"dev-2", pairs[i][1]}));
        assert_false(kl_fingerprint_equal(&other.kin, &key.kin));
    }
}

static void a_single_field_is_its_own_secret(void **state)
{
    struct kl_key key, other;

    (void)state;
    assert_true(build(&key, 1, (const char *[]){"dev-1"}));
    assert_true(build(&other, 1, (const char *[]){"dev-2"}));
    assert_false(kl_fingerprint_equal(&other.fingerprint, &key.fingerprint));
    assert_false(kl_fingerprint_equal(&other.kin, &key.kin));
}

static void fingerprint_comes_from_digests_of_the_fields(void **state)
{
    struct kl_key key, other;
    struct kl_fingerprint fp;
    uint8_t digests[2][32];

    (void)state;
    assert_true(build(&key, 2, (const char *[]){"ab", "c"}));
    kl_sha256("ab", 2, digests[0]);
    kl_sha256("c", 1, digests[1]);
    kl_fingerprint_of_digests(&fp, (const uint8_t(*)[32])digests, 2, kl_sha256);
    assert_true(kl_fingerprint_equal(&fp, &key.fingerprint));
    assert_true(build(&other, 2, (const char *[]){"a", "bc"}));
    assert_false(kl_fingerprint_equal(&other.fingerprint, &key.fingerprint));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_joins_its_fields),
        cmocka_unit_test(blanks_around_fields_do_not_count),
        cmocka_unit_test(what_firmware_could_not_take_is_no_key),
        cmocka_unit_test(a_refused_key_leaves_no_secret_behind),
        cmocka_unit_test(a_key_is_its_secret),
        cmocka_unit_test(spellings_are_kin),
        cmocka_unit_test(a_0x_is_a_spelling_only_of_hex),
        cmocka_unit_test(a_single_field_is_its_own_secret),
        cmocka_unit_test(fingerprint_comes_from_digests_of_the_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
