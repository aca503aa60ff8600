/* What an NVS partition's bytes mean for a board's key (core/nvs_judge.h), and which pages are
   written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/nvs_judge.h"
#include "keyline/bundle_load.h"

enum {
    SIZE = 0x4000,
    PAGE = KL_NVS_PAGE
};

static uint8_t old[SIZE], image[SIZE], scratch[SIZE];
static struct kl_key_text text[2];
static struct kl_nvs_schema schema;
static struct kl_nvs_room room = {.old = old, .image = image, .text = &text[0]};
static struct kl_nvs_delivery delivery = {
    .schema = &schema, .offset = 0x9000, .size = SIZE, .room = &room};
static struct kl_key own, other;

/* The cells of a row without quotes. */
static unsigned cells_of(const char *row, struct kl_span cells[KL_COLUMNS_MAX])
{
    unsigned count = 0;

    for (const char *at = row; at; at = *at ? at + 1 : NULL) {
        size_t size = strcspn(at, ",");
        cells[count++] = (struct kl_span){(const uint8_t *)at, size};
        at += size;
        if (*at == '\0')
            break;
    }
    return count;
}

static struct kl_key key_of(const char *row)
{
    struct kl_span cells[KL_COLUMNS_MAX];
    struct kl_key key;

    assert_true(kl_key_build(&key, cells, cells_of(row, cells), kl_sha256));
    return key;
}

static void use(const char *header)
{
    struct kl_span cells[KL_COLUMNS_MAX];
    struct kl_nvs_schema_error error;
    unsigned columns;

    assert_true(kl_nvs_schema_header(&schema, cells, cells_of(header, cells), &columns, &error));
}

static int begin(void **state)
{
    (void)state;
    use("label,provision/key1:string,provision/key2:hex2bin,provision/done:u8=1");
    own = key_of("dev-1,5ecretA1,aabbcc");
    other = key_of("dev-2,5ecretA2,ddeeff");
    memset(old, 0xFF, sizeof old);
    memset(image, 0, sizeof image);
    return 0;
}

static void put_key(const struct kl_key *key)
{
    struct kl_nvs_misfit why;

    assert_true(kl_nvs_schema_build(&schema, key, old, SIZE, &why));
}

static struct kl_nvs_finding judge(const struct kl_key *mine)
{
    struct kl_nvs_finding f;

    kl_nvs_judge(&delivery, &room, mine, kl_sha256, &f);
    return f;
}

static void expect(const struct kl_key *mine, enum kl_nvs_holds holds)
{
    assert_int_equal(judge(mine).holds, holds);
}

/* ---- what it holds ---- */

static void a_blank_partition_holds_nothing(void **state)
{
    struct kl_nvs_build b;

    (void)state;
    expect(NULL, KL_NVS_HOLDS_NOTHING);
    expect(&own, KL_NVS_HOLDS_NOTHING);
    kl_nvs_begin(&b, old, SIZE); /* a first page without a value, as the chip's library leaves it */
    expect(NULL, KL_NVS_HOLDS_NOTHING);
}

static void the_own_key_is_known_by_its_values(void **state)
{
    (void)state;
    put_key(&own);
    expect(&own, KL_NVS_HOLDS_OWN);
    struct kl_key capitals = key_of("dev-1,5ecretA1,AABBCC");
    expect(&capitals, KL_NVS_HOLDS_OWN);
    struct kl_key renamed = key_of("dev-9,5ecretA1,aabbcc"); /* the label is not written */
    expect(&renamed, KL_NVS_HOLDS_OWN);
}

/* Whatever the pool thinks, the values tell whose key it is. */
static void another_key_is_told_by_its_fingerprint(void **state)
{
    struct kl_nvs_finding f;

    (void)state;
    put_key(&other);
    f = judge(&own);
    assert_int_equal(f.holds, KL_NVS_HOLDS_KEY);
    assert_memory_equal(&f.fingerprint[0], &other.fingerprint, sizeof other.fingerprint);
    f = judge(NULL);
    assert_int_equal(f.holds, KL_NVS_HOLDS_KEY);
    assert_memory_equal(&f.fingerprint[0], &other.fingerprint, sizeof other.fingerprint);
    struct kl_key capitals = key_of("dev-2,5ecretA2,DDEEFF");
    assert_memory_equal(&f.fingerprint[1], &capitals.fingerprint, sizeof other.fingerprint);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(image[i], 0); /* what it wrote down there is wiped */
}

static void every_type_is_written_down_as_a_row_has_it(void **state)
{
    struct kl_nvs_finding f;

    (void)state;
    use("label,a/n:i16,a/m:u64,b/text:blob,b/b64:base64,a/h:hex2bin");
    struct kl_key key = key_of("dev-1,-3,18446744073709551615,plain text,AQIDBA==,0f");
    put_key(&key);
    f = judge(NULL);
    assert_memory_equal(&f.fingerprint[0], &key.fingerprint, sizeof key.fingerprint);
    use("label,a/b64:base64");
    for (unsigned n = 1; n <= 60; n++) { /* every remainder, over the pieces' borders */
        static const char digits[] = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJz"
                                     "dHV2d3h5ejAxMjM0NTY3ODk=";
        char row[128];
        unsigned whole = n / 3 * 4;
        snprintf(row, sizeof row, "dev-1,%.*s%s", (int)whole, digits,
                 n % 3 == 0   ? ""
                 : n % 3 == 1 ? "QQ=="
                              : "QUI=");
        key = key_of(row);
        put_key(&key);
        f = judge(NULL);
        assert_memory_equal(&f.fingerprint[0], &key.fingerprint, sizeof key.fingerprint);
    }
}

/* A column of the row that is not written can't be read back: the key is another, and unknown. */
static void values_that_do_not_tell_give_no_fingerprint(void **state)
{
    (void)state;
    use("label,provision/key1:string,batch,provision/key3:string");
    struct kl_key key = key_of("dev-1,5ecretA1,B7,x");
    put_key(&key);
    assert_int_equal(judge(NULL).holds, KL_NVS_HOLDS_KEY);
    assert_false(kl_fingerprint_is_set(&judge(NULL).fingerprint[0]));
    expect(&key, KL_NVS_HOLDS_OWN);
}

static void a_long_key_is_told_too(void **state)
{
    static char value[3000], hex[4000];
    struct kl_key key;
    struct kl_span cells[3] = {{(const uint8_t *)"dev-1", 5},
                               {(const uint8_t *)value, sizeof value},
                               {(const uint8_t *)hex, sizeof hex}};

    (void)state;
    use("label,a/cert:string,a/blob:hex2bin");
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = i % 65 == 64 ? '\n' : (char)('A' + i * 7 % 26);
    for (size_t i = 0; i < sizeof hex; i++)
        hex[i] = "0123456789abcdef"[i * 5 % 13];
    assert_true(kl_key_build_long(&key, &text[1], cells, 3, kl_sha256));
    put_key(&key);
    expect(&key, KL_NVS_HOLDS_OWN);
    assert_memory_equal(&judge(NULL).fingerprint[0], &key.fingerprint, sizeof key.fingerprint);
    hex[3999] = hex[3999] == '0' ? '1' : '0';
    assert_true(kl_key_build_long(&key, &text[1], cells, 3, kl_sha256));
    expect(&key, KL_NVS_HOLDS_KEY);
}

/* ---- what is not keyline's ---- */

static void add_foreign(void)
{
    struct kl_nvs_build b;

    kl_nvs_begin(&b, old, SIZE);
    assert_int_equal(kl_nvs_namespace(&b, "wifi"), KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "ssid", KL_NVS_AS_STRING, (struct kl_span){(const uint8_t *)"home", 4}),
        KL_NVS_OK);
}

static void other_content_is_not_a_key(void **state)
{
    (void)state;
    add_foreign();
    expect(NULL, KL_NVS_HOLDS_OTHER);
    expect(&own, KL_NVS_HOLDS_OTHER);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    memset(old, 0x5A, SIZE);
    expect(NULL, KL_NVS_HOLDS_RUBBISH);
    put_key(&other);
    old[KL_NVS_FIRST_ENTRY + 2 * KL_NVS_ENTRY + 4] ^= 1; /* within an entry */
    assert_int_not_equal(judge(NULL).holds, KL_NVS_HOLDS_NOTHING);
    add_foreign();
    old[KL_NVS_FIRST_ENTRY + KL_NVS_ENTRY + 4] ^= 1;
    expect(NULL, KL_NVS_HOLDS_RUBBISH);
    add_foreign(); /* header and bitmap in clear, entries as cipher */
    for (size_t i = KL_NVS_FIRST_ENTRY; i < PAGE; i++)
        old[i] ^= 0x5A;
    expect(NULL, KL_NVS_HOLDS_CIPHER);
    expect(&own, KL_NVS_HOLDS_CIPHER);
}

/* ---- power cuts: every state in which a page can be left ---- */

/* Only bytes of a page that is being programmed or erased: what the board was promised is never
   taken for another board's, and nothing at all is only what is blank. */
static void a_write_that_was_cut_is_never_another_key(void **state)
{
    (void)state;
    put_key(&own);
    memcpy(scratch, old, SIZE);
    for (size_t cut = 0; cut <= PAGE; cut++) { /* programmed up to there */
        memset(old, 0xFF, SIZE);
        memcpy(old, scratch, cut);
        enum kl_nvs_holds holds = judge(&own).holds;
        if (holds != KL_NVS_HOLDS_PART && holds != KL_NVS_HOLDS_NOTHING &&
            holds != KL_NVS_HOLDS_OWN)
            fail_msg("programmed up to %zu it holds %d", cut, holds);
    }
    for (size_t cut = 0; cut <= PAGE; cut++) { /* erased up to there */
        memcpy(old, scratch, SIZE);
        memset(old, 0xFF, cut);
        enum kl_nvs_holds holds = judge(&own).holds;
        if (holds == KL_NVS_HOLDS_KEY || holds == KL_NVS_HOLDS_OTHER ||
            holds == KL_NVS_HOLDS_RUBBISH)
            fail_msg("erased up to %zu it holds %d", cut, holds);
    }
    /* Another board's key that was cut is nothing that a fresh board may be given a key over. */
    put_key(&other);
    memcpy(scratch, old, SIZE);
    for (size_t cut = 1; cut < PAGE; cut++) {
        memset(old, 0xFF, SIZE);
        memcpy(old, scratch, cut);
        enum kl_nvs_holds mine = judge(&own).holds;
        if (mine == KL_NVS_HOLDS_OWN)
            fail_msg("another key, cut at %zu, is taken for the own one", cut);
    }
}

/* ---- what is written ---- */

static const struct kl_region *region(unsigned i)
{
    assert_true(i < room.bundle.region_count);
    return &room.bundle.region[i];
}

/* Puts what is to be written into a copy of what was there: it must become the image, whatever it
   was. */
static void expect_image(void)
{
    memcpy(scratch, old, SIZE);
    for (unsigned i = 0; i < room.bundle.region_count; i++) {
        const struct kl_image *part = &region(i)->image[0];
        uint32_t at = region(i)->offset - 0x9000, size = part->raw_size;
        uint8_t md5[16];
        assert_int_equal(at % PAGE, 0);
        memset(scratch + at, 0xFF, (size + PAGE - 1) / PAGE * PAGE); /* whole sectors are erased */
        memcpy(scratch + at, part->raw, size);
        kl_md5(part->raw, size, md5);
        assert_memory_equal(part->md5, md5, sizeof md5);
    }
    assert_memory_equal(scratch, image, SIZE);
}

static void only_what_holds_something_is_written(void **state)
{
    (void)state;
    assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, false));
    assert_int_equal(room.bundle.region_count, 1);
    assert_int_equal(region(0)->offset, 0x9000);
    assert_int_equal(region(0)->image[0].raw_size, 512);
    expect_image();
    memcpy(old, image, SIZE);
    assert_true(kl_nvs_proves(&delivery, &room, &own));
    assert_false(kl_nvs_proves(&delivery, &room, &other));
    old[KL_NVS_FIRST_ENTRY + 2 * KL_NVS_ENTRY] ^= 1;
    assert_false(kl_nvs_proves(&delivery, &room, &own));
}

/* The least byte that stands behind the new content is written over too. */
static void what_stood_there_is_gone_afterwards(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < SIZE; at += 509) {
        memset(old, 0xFF, SIZE);
        old[at] = 0xFE;
        assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, false));
        expect_image();
        old[at] = 0xFF;
        memset(old + at / PAGE * PAGE, 0, PAGE);
        assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, false));
        expect_image();
    }
}

static void merging_keeps_what_is_not_ours(void **state)
{
    struct kl_nvs_item item;
    struct kl_nvs_image whole = {image, SIZE};

    (void)state;
    add_foreign();
    assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, true));
    assert_true(kl_nvs_find(whole, "wifi", "ssid", &item));
    assert_true(kl_nvs_equals(whole, &item, KL_NVS_AS_STRING,
                              (struct kl_span){(const uint8_t *)"home", 4}));
    assert_true(kl_nvs_find(whole, "provision", "key1", &item));
    assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, false));
    assert_false(kl_nvs_find(whole, "wifi", "ssid", &item));
}

static void what_does_not_fit_is_not_written(void **state)
{
    static uint8_t much[10000];
    struct kl_nvs_build b;

    (void)state;
    kl_nvs_begin(&b, old, SIZE);
    assert_int_equal(kl_nvs_namespace(&b, "data"), KL_NVS_OK);
    memset(much, 'm', sizeof much);
    assert_int_equal(kl_nvs_put(&b, "much", KL_NVS_AS_BLOB, (struct kl_span){much, sizeof much}),
                     KL_NVS_OK);
    use("label,provision/key1:string");
    static char value[2500];
    struct kl_span cells[2] = {{(const uint8_t *)"dev-1", 5},
                               {(const uint8_t *)value, sizeof value}};
    struct kl_key key;
    memset(value, 'v', sizeof value);
    assert_true(kl_key_build_long(&key, &text[1], cells, 2, kl_sha256));
    assert_false(kl_nvs_prepare(&delivery, &room, &key, KL_CHIP_ESP32, kl_md5, true));
    assert_true(kl_nvs_prepare(&delivery, &room, &key, KL_CHIP_ESP32, kl_md5, false));
}

static void everything_is_wiped(void **state)
{
    (void)state;
    put_key(&own);
    assert_true(kl_nvs_prepare(&delivery, &room, &own, KL_CHIP_ESP32, kl_md5, false));
    kl_nvs_wipe(&delivery, &room);
    assert_null(memmem(old, SIZE, "5ecret", 6));
    assert_null(memmem(image, SIZE, "5ecret", 6));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(a_blank_partition_holds_nothing),
        TEST(the_own_key_is_known_by_its_values),
        TEST(another_key_is_told_by_its_fingerprint),
        TEST(every_type_is_written_down_as_a_row_has_it),
        TEST(values_that_do_not_tell_give_no_fingerprint),
        TEST(a_long_key_is_told_too),
        TEST(other_content_is_not_a_key),
        TEST(what_cannot_be_read_is_said),
        TEST(a_write_that_was_cut_is_never_another_key),
        TEST(only_what_holds_something_is_written),
        TEST(what_stood_there_is_gone_afterwards),
        TEST(merging_keeps_what_is_not_ours),
        TEST(what_does_not_fit_is_not_written),
        TEST(everything_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
