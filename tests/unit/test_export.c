/* Exports of provisioned keys: each form byte for byte, its traps, and what is refused. The texts
   that each form should give are in tests/export/golden; tests/export/validate.py reads them as the
   networks do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
#include "keyline/export.h"
#include "scratch.h"

#define APP_1 "0123456789abcdef0123456789abcd01"
#define APP_2 "0123456789ABCDEF0123456789ABCD02"
#define NWK_1 "fedcba9876543210fedcba9876543201"
#define UUID  "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
#define UUID2 "7c9e6679-7425-40de-944b-e07fc1f90ae7"

static const char *const header[] = {"label",  "DevEUI", "Join EUI", "lora/appKey:hex2bin",
                                     "NwkKey", "batch"};
static const char *const rows[][6] = {
    {"node-1", "70B3D57ED0000001", "70:b3:d5:7e:d0:00:00:00", APP_1, NWK_1, "b-7"},
    {"node \"2\"", "70-b3-d5-7e-d0-00-00-02", "0x70B3D57ED0000000", APP_2, NWK_1, "b;8"},
};

struct asked {
    enum kl_export_form form;
    bool secrets, public, headless;
    const char *maps[8], *sets[8], *template;
};

static char error[KL_TEXT_MAX];

static unsigned length(const char *const *list)
{
    unsigned n = 0;

    while (n < 8 && list[n])
        n++;
    return n;
}

static struct kl_export *new (const struct asked *a)
{
    struct kl_export_options o = {.form = a->form,
                                  .secrets = a->secrets,
                                  .public = a->public,
                                  .maps = a->maps,
                                  .map_count = length(a->maps),
                                  .sets = a->sets,
                                  .set_count = length(a->sets),
                                  .columns = header,
                                  .column_count = a->headless ? 0 : 6,
                                  .fields = 6,
                                  .template = a->template,
                                  .pool = "00112233445566778899aabbccddeeff",
                                  .now = 1767225600000000};

    return kl_export_new(&o, error);
}

static bool feed(struct kl_export *e, const char *const fields[6], unsigned number)
{
    struct kl_span span[6];
    struct kl_key key;
    struct kl_export_row row = {.line = number + 1,
                                .label = fields[0],
                                .eui64 = number == 1 ? "24:6f:28:ff:fe:00:00:01" : "",
                                .station = "bench, left",
                                .build = "d1ge57",
                                .how = "readback",
                                .mac = {{0x24, 0x6f, 0x28, 0, 0, (uint8_t)number}},
                                .provisioned = 1767225600000000 + number * 1000000};

    for (int i = 0; i < 6; i++)
        span[i] = (struct kl_span){(const uint8_t *)fields[i], strlen(fields[i])};
    assert_true(kl_key_build(&key, span, 6, kl_sha256));
    row.fingerprint = key.fingerprint;
    row.key = kl_export_needs_keys(e) ? &key : NULL;
    return kl_export_row(e, &row, error);
}

static char *text_of(const struct kl_export *e)
{
    struct kl_span text = kl_export_text(e);
    char *copy = malloc(text.size + 1);

    assert_non_null(copy);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static char *exported(const struct asked *a)
{
    struct kl_export *e = new (a);
    char *text;

    if (!e)
        fail_msg("refused: %s", error);
    for (unsigned i = 0; i < 2; i++)
        if (!feed(e, rows[i], i + 1))
            fail_msg("row %u: %s", i + 1, error);
    if (!kl_export_end(e, error))
        fail_msg("at the end: %s", error);
    assert_int_equal(kl_export_count(e), 2);
    text = text_of(e);
    kl_export_free(e);
    return text;
}

static void gives(const char *golden, const struct asked *a)
{
    char path[512], *text = exported(a), *expected;

    snprintf(path, sizeof path, "%s/tests/export/golden/%s", KL_SOURCE_DIR, golden);
    if (getenv("WRITE_GOLDEN"))
        file_put(path, text);
    expected = file_read(path, NULL);
    if (!expected || strcmp(text, expected) != 0)
        fail_msg("%s should be\n%sbut is\n%s", golden, expected ? expected : "there", text);
    free(expected);
    free(text);
}

static void refused(const char *why, const struct asked *a)
{
    struct kl_export *e = new (a);

    if (e || !strstr(error, why))
        fail_msg("should be refused with \"%s\", but: %s", why, e ? "it was not" : error);
}

/* ---- the forms ---- */

#define CHIRPSTACK_IDS "application_id=" UUID, "device_profile_id=" UUID2
#define AWS_IDS        "destination=uplinks", "device_profile_id=" UUID, "service_profile_id=" UUID2
#define V102           "lorawan_version=MAC_V1_0_2"
#define V104           "lorawan_version=MAC_V1_0_4"
#define V11            "lorawan_version=MAC_V1_1"

static void the_things_stack(void **state)
{
    (void)state;
    gives("tts-1.0.csv", &(struct asked){KL_EXPORT_TTS, .secrets = true,
                                         .sets = {V102, "frequency_plan_id=EU_863_870_TTN",
                                                  "lorawan_phy_version=PHY_V1_0_2_REV_B"}});
    gives("tts-1.1.csv", &(struct asked){KL_EXPORT_TTS, .secrets = true, .sets = {V11}});
    gives("tts-public.csv", &(struct asked){KL_EXPORT_TTS, .public = true});
}

/* The key of LoRaWAN 1.0 goes into the field that is named after another one. */
static void chirpstack(void **state)
{
    (void)state;
    gives("chirpstack-1.0.jsonl",
          &(struct asked){KL_EXPORT_CHIRPSTACK, .secrets = true, .sets = {V104, CHIRPSTACK_IDS}});
    gives("chirpstack-1.1.jsonl",
          &(struct asked){KL_EXPORT_CHIRPSTACK, .secrets = true, .maps = {"name=@mac"},
                          .sets = {V11, CHIRPSTACK_IDS}});
    gives("chirpstack-public.jsonl",
          &(struct asked){KL_EXPORT_CHIRPSTACK, .public = true, .sets = {CHIRPSTACK_IDS}});
}

static void aws_lorawan(void **state)
{
    (void)state;
    gives("aws-lorawan-1.0.2.jsonl",
          &(struct asked){KL_EXPORT_AWS_LORAWAN, .secrets = true, .sets = {V102, AWS_IDS}});
    gives("aws-lorawan-1.0.4.jsonl",
          &(struct asked){KL_EXPORT_AWS_LORAWAN, .secrets = true, .sets = {V104, AWS_IDS}});
    gives("aws-lorawan-1.1.jsonl",
          &(struct asked){KL_EXPORT_AWS_LORAWAN, .secrets = true, .sets = {V11, AWS_IDS}});
}

static void aws_things(void **state)
{
    (void)state;
    gives("aws-things.jsonl",
          &(struct asked){KL_EXPORT_AWS_THINGS, .secrets = true, .maps = {"ThingName=@mac,Batch=6"},
                          .sets = {"Type=sensor \"a\""}});
}

static void thingpark(void **state)
{
    (void)state;
    gives("thingpark.csv", &(struct asked){KL_EXPORT_THINGPARK, .secrets = true, .maps = {"name=1"},
                                           .sets = {V104, "model_id=LORA/Generic,A",
                                                    "connectivity_plan_id=tp/plan"}});
    gives("thingpark-short.csv", &(struct asked){KL_EXPORT_THINGPARK, .secrets = true,
                                                 .sets = {V104, "model_id=LORA/Generic"}});
}

static void who_got_what(void **state)
{
    (void)state;
    gives("list.csv", &(struct asked){KL_EXPORT_LIST, .headless = true});
    gives("list.jsonl", &(struct asked){KL_EXPORT_LINES, .headless = true});
    gives("list-qr.csv",
          &(struct asked){KL_EXPORT_LIST, .public = true, .sets = {"profile_id=aabb1122"}});
    gives("list-qr.jsonl",
          &(struct asked){KL_EXPORT_LINES, .public = true, .sets = {"profile_id=aabb1122"}});
}

/* Columns may be told by number; then no header is needed. */
static void columns_by_number(void **state)
{
    (void)state;
    gives("tts-1.0.csv", &(struct asked){KL_EXPORT_TTS, .secrets = true, .headless = true,
                                         .maps = {"dev_eui=2,join_eui=3", "app_key=4"},
                                         .sets = {V102, "frequency_plan_id=EU_863_870_TTN",
                                                  "lorawan_phy_version=PHY_V1_0_2_REV_B"}});
}

/* ---- traps ---- */

/* The same request always has the same token; a request that differs in anything has another. */
static void tokens_of_aws(void **state)
{
    const struct asked one = {KL_EXPORT_AWS_LORAWAN, .secrets = true, .sets = {V104, AWS_IDS}};
    struct asked other = one;
    char *a = exported(&one), *b = exported(&one), *c;

    (void)state;
    other.sets[1] = "destination=elsewhere";
    c = exported(&other);
    assert_string_equal(a, b);
    const char *token = strstr(a, "\"ClientRequestToken\":\"");
    assert_non_null(token);
    assert_int_not_equal(strncmp(token, strstr(c, "\"ClientRequestToken\":\""), 60), 0);
    token += strlen("\"ClientRequestToken\":\"");
    assert_int_equal(strcspn(token, "\""), 40);
    assert_null(memmem(strstr(token + 60, "ClientRequestToken"), 64, token, 40));
    free(a);
    free(b);
    free(c);
}

static void which_lorawan_it_is(void **state)
{
    (void)state;
    refused("there is an nwk_key",
            &(struct asked){KL_EXPORT_TTS, .secrets = true, .maps = {"nwk_key=5"}});
    refused("LoRaWAN 1.0 has no nwk_key",
            &(struct asked){KL_EXPORT_TTS, .secrets = true, .maps = {"nwk_key=5"}, .sets = {V102}});
    refused("nwk_key", &(struct asked){KL_EXPORT_TTS, .secrets = true, .headless = true,
                                       .maps = {"dev_eui=2,join_eui=3,app_key=4"}, .sets = {V11}});
    refused("1.0 only",
            &(struct asked){KL_EXPORT_THINGPARK, .secrets = true, .sets = {V11, "model_id=m"}});
    refused("MAC_V1_0",
            &(struct asked){KL_EXPORT_TTS, .secrets = true, .sets = {"lorawan_version=1.0.2"}});
}

/* ---- secrets ---- */

/* Nothing secret comes into a text that nobody has called secret. */
static void secrets_have_to_be_asked_for(void **state)
{
    (void)state;
    refused("(app_key): say --secrets", &(struct asked){KL_EXPORT_TTS, .sets = {V102}});
    refused("(Batch): say --secrets",
            &(struct asked){KL_EXPORT_AWS_THINGS, .maps = {"Batch=batch"}});
    refused("line 3 of the template: this is secret",
            &(struct asked){KL_EXPORT_TEMPLATE,
                            .template = "%keyline-template raw\n%row\n{field:batch}\n"});
    refused("this is secret",
            &(struct asked){KL_EXPORT_TEMPLATE, .public = true,
                            .template = "%keyline-template raw\n%row\n{field:app_key}\n"});
    refused("makes no sense without keys",
            &(struct asked){KL_EXPORT_AWS_LORAWAN, .public = true, .sets = {AWS_IDS}});
    refused("app_key",
            &(struct asked){KL_EXPORT_TTS, .headless = true, .maps = {"dev_eui=2,join_eui=3"}});
}

/* A public export leaves out every column but the label and the public ids, whatever is mapped. */
static void public_means_public(void **state)
{
    char *text = exported(&(struct asked){KL_EXPORT_TTS, .public = true,
                                          .maps = {"description=6,app_key=4"}, .sets = {V102}});

    (void)state;
    assert_null(strstr(text, APP_1));
    assert_null(strstr(text, "b-7"));
    assert_null(strstr(text, "app_key"));
    assert_null(strstr(text, "description"));
    assert_non_null(strstr(text, "70B3D57ED0000001"));
    free(text);
}

/* ---- rows that can't be exported ---- */

static void row_refused(const char *why, unsigned column, const char *value)
{
    struct kl_export *e = new (
        &(struct asked){KL_EXPORT_TTS, .secrets = true, .maps = {"description=6"}, .sets = {V102}});
    const char *fields[6];

    assert_non_null(e);
    memcpy(fields, rows[0], sizeof fields);
    fields[column - 1] = value;
    assert_true(feed(e, rows[1], 3));
    if (feed(e, fields, 7) || strcmp(error, why) != 0)
        fail_msg("should say \"%s\", but \"%s\"", why, error);
    if (column > 1)
        assert_null(strstr(error, value));
    assert_false(kl_export_end(e, error));
    kl_export_free(e);
}

static void rows_are_named_by_line_and_column(void **state)
{
    (void)state;
    row_refused("line 8, column 2 (dev_eui): it is not 16 hexadecimal digits", 2,
                "70B3D57ED000000");
    row_refused("line 8, column 2 (dev_eui): it is not 16 hexadecimal digits", 2,
                "70B3D57ED00000011");
    row_refused("line 8, column 3 (join_eui): it is not 16 hexadecimal digits", 3,
                "70B3D57ED000000g");
    row_refused("line 8, column 4 (app_key): it is not 32 hexadecimal digits", 4,
                "70B3D57ED0000001");
    row_refused("line 8: the name is longer than the 50 bytes that tts takes; --map name=COLUMN "
                "or @mac",
                1, "a name of more than fifty letters is too long for it");
}

static void one_device_comes_once(void **state)
{
    struct kl_export *e = new (&(struct asked){KL_EXPORT_TTS, .secrets = true, .sets = {V102}});
    const char *fields[6];

    (void)state;
    assert_non_null(e);
    memcpy(fields, rows[1], sizeof fields);
    fields[1] = "70b3d57ed0000001";
    assert_true(feed(e, rows[0], 1));
    assert_true(feed(e, fields, 5));
    assert_false(kl_export_end(e, error));
    assert_string_equal(error, "lines 2 and 6 have one dev_eui");
    kl_export_free(e);
}

static void json_is_utf8(void **state)
{
    struct kl_export *e = new (
        &(struct asked){KL_EXPORT_AWS_THINGS, .secrets = true, .maps = {"ThingName=@mac,Batch=6"}});
    const char *fields[6];

    (void)state;
    assert_non_null(e);
    memcpy(fields, rows[0], sizeof fields);
    fields[5] = "caf\xc3\xa9";
    assert_true(feed(e, fields, 1));
    fields[5] = "caf\xe9";
    assert_false(feed(e, fields, 2));
    assert_string_equal(error, "line 3, column 6 (Batch): it is not UTF-8, and JSON can't hold it");
    kl_export_free(e);
}

static void names_of_things(void **state)
{
    struct kl_export *e = new (&(struct asked){KL_EXPORT_AWS_THINGS, .secrets = true});

    (void)state;
    assert_non_null(e);
    assert_true(feed(e, rows[0], 1));
    assert_false(feed(e, rows[1], 2));
    assert_non_null(strstr(error, "a thing's name"));
    kl_export_free(e);
}

/* ---- what is typed ---- */

static void options_are_checked(void **state)
{
    (void)state;
    refused("tts has no field colour", &(struct asked){KL_EXPORT_TTS, .sets = {"colour=red"}});
    refused("dev_eui is given twice",
            &(struct asked){KL_EXPORT_TTS, .maps = {"dev_eui=2,dev_eui=3"}});
    refused("join_eui is given twice",
            &(struct asked){KL_EXPORT_TTS, .maps = {"join_eui=2,app_eui=3"}});
    refused("no column 7", &(struct asked){KL_EXPORT_TTS, .maps = {"dev_eui=7"}});
    refused("no column 0", &(struct asked){KL_EXPORT_TTS, .maps = {"dev_eui=0"}});
    refused("no column Eui", &(struct asked){KL_EXPORT_TTS, .maps = {"dev_eui=Eui"}});
    refused("names need --csv-header",
            &(struct asked){KL_EXPORT_TTS, .headless = true, .maps = {"dev_eui=DevEUI"}});
    refused("--map takes", &(struct asked){KL_EXPORT_TTS, .maps = {"dev_eui"}});
    refused("--set takes", &(struct asked){KL_EXPORT_TTS, .sets = {"join_eui"}});
    refused("16 hexadecimal digits", &(struct asked){KL_EXPORT_TTS, .sets = {"join_eui=12"}});
    refused("map it to a column", &(struct asked){KL_EXPORT_TTS, .sets = {"app_key=" APP_1}});
    refused("map it to a column",
            &(struct asked){KL_EXPORT_TTS, .sets = {"dev_eui=70B3D57ED0000001"}});
    refused("an id like", &(struct asked){KL_EXPORT_CHIRPSTACK, .sets = {"application_id=7"}});
    refused("chirpstack needs application_id",
            &(struct asked){KL_EXPORT_CHIRPSTACK, .secrets = true, .sets = {V102}});
    refused("control character", &(struct asked){KL_EXPORT_TTS, .sets = {"brand_id=a\nb"}});
}

/* ---- templates ---- */

static void template_gives(const char *template, const char *expected)
{
    char *text = exported(&(struct asked){KL_EXPORT_TEMPLATE, .secrets = true,
                                          .sets = {"profile_id=AABB1122", "site=north"},
                                          .template = template});

    if (strcmp(text, expected) != 0)
        fail_msg("should be\n%sbut is\n%s", expected, text);
    free(text);
}

static void templates(void **state)
{
    (void)state;
    template_gives("%keyline-template csv\n%header\n\n%% {pool} {now}\n%row\n"
                   "{label},{mac},{eui64},{station},{build},{field:6},{field:site}\n"
                   "%footer\n{count} {{x} }\n",
                   "\n% 00112233445566778899aabbccddeeff 2026-01-01T00:00:00Z\n"
                   "node-1,24:6f:28:00:00:01,24:6f:28:ff:fe:00:00:01,\"bench, left\",d1ge57,b-7,"
                   "north\n"
                   "\"node \"\"2\"\"\",24:6f:28:00:00:02,,\"bench, left\",d1ge57,\"b;8\",north\n"
                   "2 {x} }\n");
    template_gives("%keyline-template json\n%# devices\n%header\n[\n%row\n"
                   "{\"n\":\"{label}\",\"k\":\"{field:app_key}\"}\n%between\n,\n%footer\n]\n",
                   "[\n{\"n\":\"node-1\",\"k\":\"0123456789ABCDEF0123456789ABCD01\"}\n,\n"
                   "{\"n\":\"node \\\"2\\\"\",\"k\":\"0123456789ABCDEF0123456789ABCD02\"}\n]\n");
    template_gives("%keyline-template raw\r\n%row\r\n{time} {qr}",
                   "2026-01-01T00:00:01Z LW:D0:70B3D57ED0000000:70B3D57ED0000001:AABB1122"
                   "2026-01-01T00:00:02Z LW:D0:70B3D57ED0000000:70B3D57ED0000002:AABB1122");
}

static void template_refused(const char *template, const char *why)
{
    refused(why, &(struct asked){KL_EXPORT_TEMPLATE, .secrets = true, .template = template});
}

static void templates_are_checked(void **state)
{
    (void)state;
    refused("--template FILE", &(struct asked){KL_EXPORT_TEMPLATE, .secrets = true});
    template_refused("", "it has no %row");
    template_refused("{label}\n", "line 1 of the template");
    template_refused("%keyline-template xml\n%row\n", "line 1 of the template");
    template_refused("%keyline-template csv\n%header\nx\n", "it has no %row");
    template_refused("%keyline-template csv\nlabel\n%row\n", "line 2 of the template: text before");
    template_refused("%keyline-template csv\n%row\n{lable}\n", "there is no lable");
    template_refused("%keyline-template csv\n%row\n{label\n", "line 3 of the template: a { is not");
    template_refused("%keyline-template csv\n%row\n{field:colour}\n", "colour");
    template_refused("%keyline-template csv\n%row\n{field:7}\n", "7");
    template_refused("%keyline-template csv\n%header\n{label}\n%row\n", "can't stand in this");
    template_refused("%keyline-template csv\n%header\n{field:1}\n%row\n", "only a row has fields");
    template_refused("%keyline-template csv\n%row\n{count}\n", "can't stand in this");
    template_refused("%keyline-template csv\n%row\n{qr}\n", "qr needs");
    template_refused("%keyline-template csv\n%rwo\n", "a line that begins with %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_things_stack),
        cmocka_unit_test(chirpstack),
        cmocka_unit_test(aws_lorawan),
        cmocka_unit_test(aws_things),
        cmocka_unit_test(thingpark),
        cmocka_unit_test(who_got_what),
        cmocka_unit_test(columns_by_number),
        cmocka_unit_test(tokens_of_aws),
        cmocka_unit_test(which_lorawan_it_is),
        cmocka_unit_test(secrets_have_to_be_asked_for),
        cmocka_unit_test(public_means_public),
        cmocka_unit_test(rows_are_named_by_line_and_column),
        cmocka_unit_test(one_device_comes_once),
        cmocka_unit_test(json_is_utf8),
        cmocka_unit_test(names_of_things),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(templates),
        cmocka_unit_test(templates_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
