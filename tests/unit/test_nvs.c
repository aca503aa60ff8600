/*
 * NVS images: byte for byte what Espressif's generator made of the same values (tests/nvs/vectors),
 * and read back by code that shares nothing with the builder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyline/nvs.h"

enum {
    SIZE_MAX_HERE = 0x20000
};

static uint8_t image[SIZE_MAX_HERE];

static struct kl_span span(const char *text)
{
    return (struct kl_span){(const uint8_t *)text, strlen(text)};
}

static struct kl_nvs_image whole(uint32_t size)
{
    return (struct kl_nvs_image){image, size};
}

static void put(struct kl_nvs_build *b, const char *name, enum kl_nvs_encoding e, const char *text)
{
    assert_string_equal(kl_nvs_verdict_text(kl_nvs_put(b, name, e, span(text))), "");
}

static void expect(uint32_t size, const char *namespace, const char *name, enum kl_nvs_encoding e,
                   const char *text)
{
    struct kl_nvs_item item;

    if (!kl_nvs_find(whole(size), namespace, name, &item))
        fail_msg("%s/%s is not found", namespace, name);
    if (!kl_nvs_equals(whole(size), &item, e, span(text)))
        fail_msg("%s/%s is another value", namespace, name);
}

/* ---- the generator's own images ---- */

/*
 * vectors.txt: an image's values, then its size and its SHA-256 as the generator wrote it:
 *   namespace NAME | put NAME ENCODING VALUE | fill N (so many u8) | image SIZE HASH
 * A value "@N" is N bytes of text, "#N" is 2 N hexadecimal digits: long values stay short.
 */
static const char *value_of(const char *text)
{
    static char made[70000];
    size_t n = strtoul(text + 1, NULL, 10);

    if (text[0] != '@' && text[0] != '#')
        return text;
    if (text[0] == '#')
        n *= 2;
    assert_true(n < sizeof made);
    for (size_t i = 0; i < n; i++)
        made[i] = text[0] == '@' ? (char)('a' + i % 26) : "0123456789abcdef"[i % 13];
    made[n] = '\0';
    return made;
}

static void check_read_back(char lines[][128], unsigned count, uint32_t size)
{
    char namespace[32] = "", name[32], encoding[32], value[64];
    enum kl_nvs_encoding e;

    assert_int_equal(kl_nvs_look(whole(size)), KL_NVS_IS_SOUND);
    for (unsigned i = 0; i < count; i++) {
        if (sscanf(lines[i], "namespace %31s", namespace) == 1 || lines[i][0] == 'f')
            continue;
        assert_int_equal(sscanf(lines[i], "put %31s %31s %63s", name, encoding, value), 3);
        assert_true(kl_nvs_encoding_of(span(encoding), &e));
        expect(size, namespace, name, e, value_of(value));
    }
}

static void play(struct kl_nvs_build *b, const char *line, enum kl_nvs_verdict *v)
{
    char name[32], encoding[32], value[64];
    enum kl_nvs_encoding e;
    unsigned n = 0;

    if (*v != KL_NVS_OK)
        return;
    if (sscanf(line, "namespace %31s", name) == 1) {
        *v = kl_nvs_namespace(b, name);
    } else if (sscanf(line, "fill %u", &n) == 1) {
        for (unsigned i = 0; i < n; i++) {
            snprintf(name, sizeof name, "f%u", i);
            snprintf(value, sizeof value, "%u", i % 256);
            put(b, name, KL_NVS_AS_U8, value);
        }
    } else {
        assert_int_equal(sscanf(line, "put %31s %31s %63s", name, encoding, value), 3);
        assert_true(kl_nvs_encoding_of(span(encoding), &e));
        *v = kl_nvs_put(b, name, e, span(value_of(value)));
    }
}

static void the_generators_images(void **state)
{
    static char lines[400][128];
    struct kl_nvs_build b;
    char hash[65], wanted[65];
    unsigned count = 0, images = 0, number = 0, size;
    const char *path = getenv("KL_NVS_VECTORS");
    FILE *f = fopen(path ? path : KL_SOURCE_DIR "/tests/nvs/vectors.txt", "r");

    (void)state;
    assert_non_null(f);
    while (fgets(lines[count], sizeof lines[count], f)) {
        enum kl_nvs_verdict v = KL_NVS_OK;
        number++;
        if (sscanf(lines[count], "image %x %64s", &size, wanted) != 2) {
            count += lines[count][0] != '#';
            assert_true(count < 400);
            continue;
        }
        kl_nvs_begin(&b, image, size);
        for (unsigned i = 0; i < count; i++)
            play(&b, lines[i], &v);
        if (strcmp(wanted, "full") == 0) {
            if (v != KL_NVS_FULL)
                fail_msg("line %u: the generator has no room, we say «%s»", number,
                         kl_nvs_verdict_text(v));
        } else {
            if (v != KL_NVS_OK)
                fail_msg("line %u: %s", number, kl_nvs_verdict_text(v));
            SHA256Data(image, size, hash);
            if (strcmp(hash, wanted) != 0)
                fail_msg("line %u: other bytes than the generator's", number);
            check_read_back(lines, count, size);
        }
        count = 0;
        images++;
    }
    fclose(f);
    assert_true(images >= 60);
}

/* ---- what can't be stored ---- */

static void values_that_can_not_be(void **state)
{
    static const struct {
        enum kl_nvs_encoding e;
        const char *text;
        enum kl_nvs_verdict v;
    } cases[] = {
        {KL_NVS_AS_U8, "255", KL_NVS_OK},
        {KL_NVS_AS_U8, "256", KL_NVS_OUT_OF_RANGE},
        {KL_NVS_AS_U8, "-1", KL_NVS_OUT_OF_RANGE},
        {KL_NVS_AS_U8, "", KL_NVS_NO_NUMBER},
        {KL_NVS_AS_U8, "-", KL_NVS_NO_NUMBER},
        {KL_NVS_AS_U8, "0", KL_NVS_OK},
        {KL_NVS_AS_U8, "00", KL_NVS_LEADING_ZERO},
        {KL_NVS_AS_U8, "0x1f", KL_NVS_OK},
        {KL_NVS_AS_U8, "0x", KL_NVS_LEADING_ZERO},
        {KL_NVS_AS_U8, "1.5", KL_NVS_NO_NUMBER},
        {KL_NVS_AS_I8, "-128", KL_NVS_OK},
        {KL_NVS_AS_I8, "-129", KL_NVS_OUT_OF_RANGE},
        {KL_NVS_AS_I8, "128", KL_NVS_OUT_OF_RANGE},
        {KL_NVS_AS_I64, "-9223372036854775808", KL_NVS_OK},
        {KL_NVS_AS_I64, "9223372036854775808", KL_NVS_OUT_OF_RANGE},
        {KL_NVS_AS_U64, "18446744073709551615", KL_NVS_OK},
        {KL_NVS_AS_U64, "18446744073709551616", KL_NVS_OUT_OF_RANGE},
        /* A DevEUI without letters is hexadecimal all the same: nobody may guess. */
        {KL_NVS_AS_U64, "0011223344556677", KL_NVS_LEADING_ZERO},
        {KL_NVS_AS_U64, "0x0011223344556677", KL_NVS_OK},
        {KL_NVS_AS_U64, "70B3D57ED0050607", KL_NVS_NO_NUMBER},
        {KL_NVS_AS_HEX2BIN, "0aF", KL_NVS_ODD_HEX},
        {KL_NVS_AS_HEX2BIN, "0g", KL_NVS_NO_HEX},
        {KL_NVS_AS_BASE64, "QUI=", KL_NVS_OK},
        {KL_NVS_AS_BASE64, "QUJD", KL_NVS_OK},
        {KL_NVS_AS_BASE64, "QUJ", KL_NVS_NO_BASE64},
        {KL_NVS_AS_BASE64, "QUJ=", KL_NVS_NO_BASE64}, /* bits that belong to no byte */
        {KL_NVS_AS_BASE64, "Q===", KL_NVS_NO_BASE64},
        {KL_NVS_AS_BASE64, "Q=JD", KL_NVS_NO_BASE64},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (kl_nvs_check_value(cases[i].e, span(cases[i].text)) != cases[i].v)
            fail_msg("%s «%s»: %s", kl_nvs_encoding_word(cases[i].e), cases[i].text,
                     kl_nvs_verdict_text(kl_nvs_check_value(cases[i].e, span(cases[i].text))));
    assert_int_equal(kl_nvs_check_value(KL_NVS_AS_STRING, span(value_of("@3999"))), KL_NVS_OK);
    assert_int_equal(kl_nvs_check_value(KL_NVS_AS_STRING, span(value_of("@4000"))),
                     KL_NVS_LONG_STRING);
    assert_int_equal(kl_nvs_check_name(span("fifteen_letters")), KL_NVS_OK);
    assert_int_equal(kl_nvs_check_name(span("sixteen_letters_")), KL_NVS_LONG_NAME);
    assert_int_equal(kl_nvs_check_name(span("")), KL_NVS_NO_NAME);
}

/* The generator finds no page for a string of 3969 to 4000 bytes, the chip's library does. */
static void the_longest_string_fills_a_page(void **state)
{
    struct kl_nvs_build b;

    (void)state;
    kl_nvs_begin(&b, image, 0x3000);
    assert_int_equal(kl_nvs_namespace(&b, "n"), KL_NVS_OK);
    put(&b, "long", KL_NVS_AS_STRING, value_of("@3999"));
    expect(0x3000, "n", "long", KL_NVS_AS_STRING, value_of("@3999"));
    assert_int_equal(kl_nvs_look(whole(0x3000)), KL_NVS_IS_SOUND);
}

/* A namespace that is named again keeps its number: its values do not go into another one. */
static void a_namespace_named_again(void **state)
{
    struct kl_nvs_build b;

    (void)state;
    kl_nvs_begin(&b, image, 0x3000);
    assert_int_equal(kl_nvs_namespace(&b, "a"), KL_NVS_OK);
    put(&b, "x", KL_NVS_AS_U8, "1");
    assert_int_equal(kl_nvs_namespace(&b, "b"), KL_NVS_OK);
    put(&b, "x", KL_NVS_AS_U8, "2");
    assert_int_equal(kl_nvs_namespace(&b, "a"), KL_NVS_OK);
    put(&b, "y", KL_NVS_AS_U8, "3");
    expect(0x3000, "a", "x", KL_NVS_AS_U8, "1");
    expect(0x3000, "b", "x", KL_NVS_AS_U8, "2");
    expect(0x3000, "a", "y", KL_NVS_AS_U8, "3");
    assert_int_equal(b.namespace_count, 2);
}

/* ---- reading what others wrote ---- */

static void every_flipped_bit_is_noticed(void **state)
{
    struct kl_nvs_build b;
    struct kl_nvs_item item;

    (void)state;
    kl_nvs_begin(&b, image, 0x3000);
    assert_int_equal(kl_nvs_namespace(&b, "provision"), KL_NVS_OK);
    put(&b, "key1", KL_NVS_AS_STRING, "0011223344556677");
    put(&b, "key2", KL_NVS_AS_HEX2BIN, "8899aabbccddeeff");
    for (size_t at = 0; at < 64 + 9 * KL_NVS_ENTRY; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            image[at] ^= (uint8_t)(1u << bit);
            bool same =
                kl_nvs_find(whole(0x3000), "provision", "key1", &item) &&
                kl_nvs_equals(whole(0x3000), &item, KL_NVS_AS_STRING, span("0011223344556677")) &&
                kl_nvs_find(whole(0x3000), "provision", "key2", &item) &&
                kl_nvs_equals(whole(0x3000), &item, KL_NVS_AS_HEX2BIN, span("8899aabbccddeeff"));
            /* The bitmap's spare bits, the padding and a page's state may change without harm. */
            if (!same && kl_nvs_look(whole(0x3000)) == KL_NVS_IS_SOUND && at >= 64)
                fail_msg("bit %u of byte %zu changes a value unnoticed", bit, at);
            image[at] ^= (uint8_t)(1u << bit);
        }
}

static void states_of_an_image(void **state)
{
    struct kl_nvs_build b;

    (void)state;
    memset(image, 0xFF, 0x4000);
    assert_int_equal(kl_nvs_look(whole(0x4000)), KL_NVS_IS_BLANK);
    memset(image, 0x5A, 0x4000);
    assert_int_equal(kl_nvs_look(whole(0x4000)), KL_NVS_IS_FOREIGN);
    kl_nvs_begin(&b, image, 0x4000);
    assert_int_equal(kl_nvs_look(whole(0x4000)), KL_NVS_IS_SOUND);
    assert_int_equal(kl_nvs_namespace(&b, "n"), KL_NVS_OK);
    put(&b, "v", KL_NVS_AS_STRING, "value");
    for (unsigned i = 0; i < 96; i++) /* as encryption leaves headers and bitmaps in clear */
        image[64 + i] ^= (uint8_t)(i * 37 + 11);
    assert_int_equal(kl_nvs_look(whole(0x4000)), KL_NVS_IS_ENCRYPTED);
}

/* An entry that was erased does not count, nor one that a later page holds anew. */
static void the_newest_counts(void **state)
{
    struct kl_nvs_build b;
    struct kl_nvs_item item;

    (void)state;
    kl_nvs_begin(&b, image, 0x4000);
    assert_int_equal(kl_nvs_namespace(&b, "n"), KL_NVS_OK);
    put(&b, "v", KL_NVS_AS_U8, "1");
    put(&b, "fill", KL_NVS_AS_BLOB, value_of("@4000"));
    put(&b, "v", KL_NVS_AS_U8, "2");
    expect(0x4000, "n", "v", KL_NVS_AS_U8, "2");
    expect(0x4000, "n", "fill", KL_NVS_AS_BLOB, value_of("@4000"));
    /* The later page comes first in the partition: its number decides, not its place. */
    static uint8_t page[KL_NVS_PAGE];
    memcpy(page, image, sizeof page);
    memcpy(image, image + KL_NVS_PAGE, sizeof page);
    memcpy(image + KL_NVS_PAGE, page, sizeof page);
    expect(0x4000, "n", "v", KL_NVS_AS_U8, "2");
    expect(0x4000, "n", "fill", KL_NVS_AS_BLOB, value_of("@4000"));
    image[KL_NVS_PAGE + 32] &= 0xF3; /* the first v: erased */
    expect(0x4000, "n", "v", KL_NVS_AS_U8, "2");
    image[33] &= 0xFC; /* the other one too: the fifth entry of its page */
    assert_false(kl_nvs_find(whole(0x4000), "n", "v", &item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generators_images),
        cmocka_unit_test(values_that_can_not_be),
        cmocka_unit_test(the_longest_string_fills_a_page),
        cmocka_unit_test(a_namespace_named_again),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(states_of_an_image),
        cmocka_unit_test(the_newest_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
