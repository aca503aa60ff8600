/* Where values go: the CSV's header, mfg_gen's files, and a key's image by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

#include "keyline/nvs_schema.h"

static struct kl_nvs_schema schema;
static struct kl_nvs_schema_error error;
static uint8_t image[0x3000];

static unsigned cells_of(char *text, struct kl_span *cells)
{
    unsigned n = 0;

    for (char *at = text; at; n++) {
        char *end = strchr(at, ',');
        cells[n] = (struct kl_span){(uint8_t *)at, end ? (size_t)(end - at) : strlen(at)};
        at = end ? end + 1 : NULL;
    }
    return n;
}

static bool header(const char *text, unsigned *columns)
{
    char copy[512];
    struct kl_span cells[64];

    snprintf(copy, sizeof copy, "%s", text);
    return kl_nvs_schema_header(&schema, cells, cells_of(copy, cells), columns, &error);
}

static bool config(const char *file, const char *names)
{
    char copy[512];
    struct kl_span cells[64];
    struct kl_span text = {(const uint8_t *)file, strlen(file)};

    snprintf(copy, sizeof copy, "%s", names);
    return kl_nvs_schema_config(&schema, text, cells, cells_of(copy, cells), &error);
}

static void sha256(const void *data, size_t size, uint8_t out[32])
{
    SHA2_CTX ctx;

    SHA256Init(&ctx);
    SHA256Update(&ctx, data, size);
    SHA256Final(out, &ctx);
}

static struct kl_key key_of(const char *row)
{
    char copy[512];
    struct kl_span cells[KL_FIELDS_MAX];
    struct kl_key key;

    snprintf(copy, sizeof copy, "%s", row);
    assert_true(kl_key_build(&key, cells, cells_of(copy, cells), sha256));
    return key;
}

static void expect(const char *namespace, const char *name, enum kl_nvs_encoding e,
                   const char *text)
{
    struct kl_nvs_item item;
    struct kl_nvs_image whole = {image, sizeof image};
    struct kl_span span = {(const uint8_t *)text, strlen(text)};

    assert_true(kl_nvs_find(whole, namespace, name, &item));
    assert_true(kl_nvs_equals(whole, &item, e, span));
}

static void a_header_says_it_all(void **state)
{
    unsigned columns;
    struct kl_nvs_misfit why;

    (void)state;
    assert_true(header("label, provision/key1:string ,provision/key2:hex2bin,batch,lora/devEui:u64,"
                       "provision/done:u8=1",
                       &columns));
    assert_int_equal(columns, 5);
    assert_int_equal(schema.count, 4);
    struct kl_key key = key_of("dev-1,hello,00ff,B7,0x0102030405060708");
    assert_true(kl_nvs_schema_build(&schema, &key, image, sizeof image, &why));
    expect("provision", "key1", KL_NVS_AS_STRING, "hello");
    expect("provision", "key2", KL_NVS_AS_HEX2BIN, "00ff");
    expect("provision", "done", KL_NVS_AS_U8, "1");
    expect("lora", "devEui", KL_NVS_AS_U64, "0x0102030405060708");
    assert_true(kl_nvs_schema_matches(&schema, &key, (struct kl_nvs_image){image, sizeof image}));
    struct kl_key other = key_of("dev-1,hello,00fe,B7,0x0102030405060708");
    assert_false(
        kl_nvs_schema_matches(&schema, &other, (struct kl_nvs_image){image, sizeof image}));
}

static void the_label_may_be_written_too(void **state)
{
    unsigned columns;
    struct kl_nvs_misfit why;

    (void)state;
    assert_true(header("id/serial:string,id/key:string", &columns));
    struct kl_key key = key_of("dev-7,secret");
    assert_true(kl_nvs_schema_build(&schema, &key, image, sizeof image, &why));
    expect("id", "serial", KL_NVS_AS_STRING, "dev-7");
}

static void headers_that_can_not_be(void **state)
{
    static const struct {
        const char *text;
        enum kl_nvs_schema_fault fault;
        unsigned at;
    } cases[] = {
        {"label,key1,key2", KL_NVS_SCHEMA_NOTHING, 1},
        {"label,a/b:text", KL_NVS_SCHEMA_TYPE, 2},
        {"label,a/sixteen_letters_:u8", KL_NVS_SCHEMA_NAME, 2},
        {"label,/b:u8", KL_NVS_SCHEMA_NAME, 2},
        {"label,a/b:u8,a/b:u8", KL_NVS_SCHEMA_TWICE, 3},
        {"label,a/b:u8=1,a/c:u8", KL_NVS_SCHEMA_LATE_COLUMN, 3},
        {"label,a/b:u8=1,plain", KL_NVS_SCHEMA_LATE_COLUMN, 3},
        {"label,a/b:u8=300", KL_NVS_SCHEMA_VALUE, 2},
    };
    unsigned columns;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (header(cases[i].text, &columns))
            fail_msg("«%s» is taken", cases[i].text);
        if (error.fault != cases[i].fault || error.at != cases[i].at)
            fail_msg("«%s»: %s, at %u", cases[i].text, kl_nvs_schema_error_text(&error), error.at);
        assert_true(strlen(kl_nvs_schema_error_text(&error)) > 10);
    }
}

static void only_a_header_looks_like_one(void **state)
{
    char names[] = "label,a/b:string=x", url[] = "dev-1,http://host:80/x,12/31:59";
    struct kl_span cells[8];

    (void)state;
    assert_true(kl_nvs_is_header(cells, cells_of(names, cells)));
    assert_false(kl_nvs_is_header(cells, cells_of(url, cells)));
}

static void the_makers_file(void **state)
{
    struct kl_nvs_misfit why;

    (void)state;
    assert_true(config("\xEF\xBB\xBF"
                       "app,namespace,\r\n"
                       "firmware_key,data,hex2bin\r\n"
                       "\r\n"
                       "serial_no,data,string,REPEAT\r\n"
                       "# a remark\n"
                       "net,namespace,\n"
                       "serial_no,data,i32\n",
                       "id,firmware_key,serial_no,colour,serial_no"));
    assert_int_equal(schema.count, 3);
    assert_false(schema.place[0].repeat);
    assert_true(schema.place[1].repeat);
    struct kl_key key = key_of("dev-1,1a2b,A100,red,-7");
    assert_true(kl_nvs_schema_build(&schema, &key, image, sizeof image, &why));
    expect("app", "firmware_key", KL_NVS_AS_HEX2BIN, "1A2B");
    expect("app", "serial_no", KL_NVS_AS_STRING, "A100");
    expect("net", "serial_no", KL_NVS_AS_I32, "-7");
}

static void makers_files_that_can_not_be(void **state)
{
    static const struct {
        const char *file;
        enum kl_nvs_schema_fault fault;
        unsigned at;
    } cases[] = {
        {"", KL_NVS_SCHEMA_NOTHING, 1},
        {"app,namespace,\n", KL_NVS_SCHEMA_NOTHING, 1},
        {"key,data,u8\n", KL_NVS_SCHEMA_NO_NAMESPACE, 1},
        {"app,namespace,\nkey,file,binary\n", KL_NVS_SCHEMA_FILE, 2},
        {"app,namespace,\nkey,data,u8,TWICE\n", KL_NVS_SCHEMA_LINE, 2},
        {"app,namespace,\nkey\n", KL_NVS_SCHEMA_LINE, 2},
        {"app,namespace,\n\nlock,data,u8\n", KL_NVS_SCHEMA_NO_COLUMN, 3},
        {"app,namespace,\nother,data,u8\nkey,data,u8\n", KL_NVS_SCHEMA_NO_COLUMN, 3},
        {"app,namespace,\nkey,data,float\n", KL_NVS_SCHEMA_TYPE, 2},
        {"a_name_of_sixteen,namespace,\n", KL_NVS_SCHEMA_NAME, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (config(cases[i].file, "id,key,other"))
            fail_msg("«%s» is taken", cases[i].file);
        if (error.fault != cases[i].fault || error.at != cases[i].at)
            fail_msg("«%s»: %s, at %u", cases[i].file, kl_nvs_schema_error_text(&error), error.at);
    }
}

static void rows_that_do_not_fit(void **state)
{
    unsigned columns;
    struct kl_nvs_misfit why;

    (void)state;
    assert_true(header("label,a/n:u8,a/h:hex2bin", &columns));
    struct kl_key good = key_of("x,1,00"), big = key_of("x,256,00"), odd = key_of("x,1,0"),
                  few = key_of("x,1");
    assert_true(kl_nvs_schema_fits(&schema, &good, &why));
    assert_false(kl_nvs_schema_fits(&schema, &big, &why));
    assert_int_equal(why.place, 0);
    assert_int_equal(why.verdict, KL_NVS_OUT_OF_RANGE);
    assert_false(kl_nvs_schema_fits(&schema, &odd, &why));
    assert_int_equal(why.place, 1);
    assert_false(kl_nvs_schema_fits(&schema, &few, &why));
    assert_int_equal(why.verdict, KL_NVS_NO_VALUE);
}

static void what_others_wrote_is_kept(void **state)
{
    static uint8_t old[0x4000];
    static char certificate[3001];
    struct kl_nvs_image before = {old, sizeof old};
    struct kl_nvs_build b;
    struct kl_nvs_misfit why;
    unsigned columns;

    (void)state;
    memset(certificate, 'c', sizeof certificate - 1);
    kl_nvs_begin(&b, old, sizeof old);
    assert_int_equal(kl_nvs_namespace(&b, "phy"), KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "cal", KL_NVS_AS_BLOB, (struct kl_span){(const uint8_t *)certificate, 3000}),
        KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "n", KL_NVS_AS_I16, (struct kl_span){(const uint8_t *)"-300", 4}),
        KL_NVS_OK);
    assert_int_equal(kl_nvs_namespace(&b, "provision"), KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "key1", KL_NVS_AS_STRING, (struct kl_span){(const uint8_t *)"another", 7}),
        KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "boots", KL_NVS_AS_U8, (struct kl_span){(const uint8_t *)"9", 1}),
        KL_NVS_OK);

    assert_true(header("label,provision/key1:string", &columns));
    assert_true(kl_nvs_schema_foreign(&schema, before));
    struct kl_key key = key_of("dev-1,secret");
    assert_true(kl_nvs_schema_merge(&schema, &key, before, image, sizeof image, &why));
    assert_int_equal(kl_nvs_look((struct kl_nvs_image){image, sizeof image}), KL_NVS_IS_SOUND);
    expect("phy", "cal", KL_NVS_AS_BLOB, certificate);
    expect("phy", "n", KL_NVS_AS_I16, "-300");
    expect("provision", "boots", KL_NVS_AS_U8, "9");
    expect("provision", "key1", KL_NVS_AS_STRING, "secret");
    assert_true(kl_nvs_schema_build(&schema, &key, image, sizeof image, &why));
    assert_false(kl_nvs_schema_foreign(&schema, (struct kl_nvs_image){image, sizeof image}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_says_it_all),    cmocka_unit_test(the_label_may_be_written_too),
        cmocka_unit_test(headers_that_can_not_be), cmocka_unit_test(only_a_header_looks_like_one),
        cmocka_unit_test(the_makers_file),         cmocka_unit_test(makers_files_that_can_not_be),
        cmocka_unit_test(rows_that_do_not_fit),    cmocka_unit_test(what_others_wrote_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
