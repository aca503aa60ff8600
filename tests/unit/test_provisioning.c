/* The board's half of the handover: what a product and a station may rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sha2.h>

#include "prov_bench.h"

static struct prov_bench b;

static int fresh(void **state)
{
    (void)state;
    prov_bench_init(&b);
    return 0;
}

static void announces_until_a_line_comes(void **state)
{
    (void)state;
    prov_bench_start(&b);
    for (uint32_t t = 0; t <= 1600; t += 50)
        kl_prov_tick(&b.prov, t);
    assert_string_equal(b.out, "Provisioning\r\nProvisioning\r\nProvisioning\r\nProvisioning\r\n");
}

static void stores_acknowledges_restarts_and_reads_back(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_type(&b, "  dev-1,aabb , ccdd\t\r\n");
    assert_string_equal(b.out, "Provisioning\r\nProvisioned\r\n");
    assert_int_equal(b.restarts, 1);
    prov_bench_start(&b);
    assert_string_equal(b.out, "Provisioned\r\nKey1: dev-1\r\nKey2: aabb\r\nKey3: ccdd\r\n");
    assert_true(kl_prov_is_done(&b.prov));
}

static void a_provisioned_board_keeps_its_key_and_says_nothing_more(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_type(&b, "dev-1,aabb,ccdd\n");
    prov_bench_start(&b);
    prov_bench_clear(&b);
    prov_bench_type(&b, "dev-2,1111,2222\n");
    for (uint32_t t = 0; t < 3000; t += 100)
        kl_prov_tick(&b.prov, t);
    assert_string_equal(b.out, "");
    assert_string_equal(b.field[0], "dev-1");
    assert_int_equal(b.restarts, 1);
}

static void the_product_reads_its_fields(void **state)
{
    char text[8];

    (void)state;
    prov_bench_start(&b);
    assert_false(kl_prov_field(&b.prov, 0, text, sizeof text));
    prov_bench_type(&b, "dev-1,a longer one\n");
    prov_bench_start(&b);
    assert_true(kl_prov_field(&b.prov, 0, text, sizeof text));
    assert_string_equal(text, "dev-1");
    assert_false(kl_prov_field(&b.prov, 1, text, sizeof text));
    assert_false(kl_prov_field(&b.prov, 2, text, sizeof text));
}

static void names_and_digests_are_the_products_choice(void **state)
{
    static const char *const names[] = {"uuid", "network key"};
    char hex[SHA256_DIGEST_STRING_LENGTH], expected[256];

    (void)state;
    b.config.names = names;
    b.config.name_count = 2;
    b.config.digest_fields = 2;
    b.config.sha256 = kl_prov_sha256;
    prov_bench_start(&b);
    prov_bench_type(&b, "dev-1,secret,third\n");
    prov_bench_start(&b);
    SHA256Data((const uint8_t *)"secret", 6, hex);
    snprintf(expected, sizeof expected,
             "Provisioned\r\nuuid: dev-1\r\nnetwork key: sha256:%s\r\nKey3: third\r\n", hex);
    assert_string_equal(b.out, expected);
}

static void refused(const char *line, size_t size, const char *answer, unsigned fields)
{
    char expected[128];

    prov_bench_init(&b);
    b.config.fields = fields;
    prov_bench_start(&b);
    prov_bench_bytes(&b, line, size, 10);
    snprintf(expected, sizeof expected, "Provisioning\r\nError: %s\r\n", answer);
    assert_string_equal(b.out, expected);
    assert_int_equal(b.count, 0);
    assert_int_equal(b.writes, 0);
    kl_prov_tick(&b.prov, 500);
    assert_non_null(strstr(b.out, "\r\nProvisioning\r\n"));
    prov_bench_type(&b, "a,b,c\n");
    assert_int_equal(b.count, 3);
}

static void malformed_lines_are_named_and_forgotten(void **state)
{
    char line[512];

    (void)state;
#define REFUSED(text, answer, fields) refused(text, sizeof(text) - 1, answer, fields)
    REFUSED("a,,c\n", "empty field", 0);
    REFUSED("a,b,\n", "empty field", 0);
    REFUSED("a,  ,c\n", "empty field", 0);
    REFUSED(",\n", "empty field", 0);
    REFUSED("a,b\n", "expected 3 fields, got 2", 3);
    REFUSED("a,b,c,d\n", "expected 3 fields, got 4", 3);
    REFUSED("a\x01,b,c\n", "line holds bytes that are no text", 0);
    REFUSED("a,\x1b[0mb,c\n", "line holds bytes that are no text", 0);
    REFUSED("a,b\tb,c\n", "line holds bytes that are no text", 0);
    REFUSED("a,b\0,c\n", "line holds bytes that are no text", 0);
    REFUSED("a,b\xff,c\n", "line holds bytes that are no text", 0);
    memset(line, 'x', sizeof line);
    line[256] = '\n';
    refused(line, 257, "line too long", 0);
    line[256] = 'x';
    line[sizeof line - 1] = '\n';
    refused(line, sizeof line, "line too long", 0);
    for (int i = 0; i < 33; i++)
        memcpy(line + 2 * i, "a,", 2);
    line[65] = '\n';
    refused(line, 66, "too many fields", 0);
    refused(line, 66, "too many fields", 3);
}

static void the_longest_line_and_the_most_fields_fit(void **state)
{
    char line[256];

    (void)state;
    memset(line, 'x', 255);
    line[100] = ',';
    line[255] = '\n';
    prov_bench_start(&b);
    prov_bench_bytes(&b, line, sizeof line, 10);
    assert_int_equal(b.count, 2);
    assert_int_equal(strlen(b.field[1]), 154);

    prov_bench_init(&b);
    prov_bench_start(&b);
    for (unsigned i = 0; i < 32; i++)
        prov_bench_type(&b, i < 31 ? "k," : "k\n");
    assert_int_equal(b.count, 32);
    prov_bench_start(&b);
    assert_non_null(strstr(b.out, "Key32: k\r\n"));
}

static void any_line_end_and_noise_before_a_line_will_do(void **state)
{
    static const char *const lines[] = {"a,b\n", "a,b\r", "a,b\r\n", "\r\n\n a,b\n",
                                        "\xff\x01\x7f\t a,b\n"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        prov_bench_init(&b);
        prov_bench_start(&b);
        prov_bench_bytes(&b, "\0", 1, 5);
        prov_bench_type(&b, lines[i]);
        assert_string_equal(b.out, "Provisioning\r\nProvisioned\r\n");
        assert_string_equal(b.field[0], "a");
        assert_string_equal(b.field[1], "b");
        assert_int_equal(b.count, 2);
    }
}

static void empty_lines_are_no_lines(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_type(&b, "\n\r\n  \t \n");
    kl_prov_tick(&b.prov, 1200);
    assert_string_equal(b.out, "Provisioning\r\nProvisioning\r\n");
}

static void a_line_has_one_second(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_bytes(&b, "a,b", 3, 10);
    kl_prov_tick(&b.prov, 1009);
    assert_null(strstr(b.out, "Error"));
    kl_prov_tick(&b.prov, 1010);
    assert_non_null(strstr(b.out, "Error: line incomplete\r\n"));
    /* The same if the line's end comes before anybody looked at the clock. */
    prov_bench_init(&b);
    prov_bench_start(&b);
    prov_bench_bytes(&b, "a,b", 3, 10);
    prov_bench_bytes(&b, "\n", 1, 1010);
    assert_int_equal(b.count, 0);
    assert_non_null(strstr(b.out, "Error: line incomplete\r\n"));
}

/* Wherever a line is torn: its second part never becomes a key, and the next line does. */
static void the_rest_of_a_torn_line_is_no_line(void **state)
{
    static const char line[] = "dev-1,aabb,ccdd\n";
    const size_t size = sizeof line - 1;

    (void)state;
    for (size_t cut = 1; cut < size; cut++) {
        prov_bench_init(&b);
        prov_bench_start(&b);
        prov_bench_bytes(&b, line, cut, 10);
        prov_bench_bytes(&b, line + cut, size - cut, 1500);
        assert_int_equal(b.writes, 0);
        prov_bench_bytes(&b, line, size, 1600);
        assert_int_equal(b.count, 3);
        assert_string_equal(b.field[0], "dev-1");
    }
}

static void it_can_be_unprovisioned_and_provisioned_again(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_type(&b, "a,b,c\n");
    prov_bench_start(&b);
    assert_true(kl_prov_forget(&b.prov));
    assert_false(kl_prov_is_done(&b.prov));
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(b.field[i], "");
    prov_bench_start(&b);
    assert_string_equal(b.out, "Provisioning\r\n");
    prov_bench_type(&b, "d,e\n");
    prov_bench_start(&b);
    assert_string_equal(b.out, "Provisioned\r\nKey1: d\r\nKey2: e\r\n");
    /* A store without `erase` forgets as well. */
    b.config.store.erase = NULL;
    prov_bench_start(&b);
    assert_true(kl_prov_forget(&b.prov));
    prov_bench_start(&b);
    assert_string_equal(b.out, "Provisioning\r\n");
}

static void a_lost_field_is_shown_without_a_value(void **state)
{
    (void)state;
    b.config.digest_fields = 1u << 2;
    b.config.sha256 = kl_prov_sha256;
    prov_bench_start(&b);
    prov_bench_type(&b, "a,b,c\n");
    b.unreadable = 1u << 1 | 1u << 2;
    prov_bench_start(&b);
    assert_string_equal(b.out, "Provisioned\r\nKey1: a\r\nKey2: \r\nKey3: \r\n");
}

/* A count that is rubbish (a worn flash) leads to no access past the names or the fields. */
static void a_rubbish_count_does_no_harm(void **state)
{
    static const char *const names[] = {"uuid"};

    (void)state;
    b.config.names = names;
    b.config.name_count = 1;
    b.config.digest_fields = UINT32_MAX;
    b.config.sha256 = kl_prov_sha256;
    b.count = 255;
    prov_bench_start(&b);
    assert_non_null(strstr(b.out, "Key32: \r\n"));
    assert_null(strstr(b.out, "Key33"));
}

static void the_clock_may_wrap_around(void **state)
{
    (void)state;
    kl_prov_start(&b.prov, &b.config, UINT32_MAX - 100);
    prov_bench_clear(&b);
    kl_prov_tick(&b.prov, 300);
    assert_string_equal(b.out, "");
    kl_prov_tick(&b.prov, 400);
    assert_string_equal(b.out, "Provisioning\r\n");
    prov_bench_bytes(&b, "a,b", 3, UINT32_MAX);
    prov_bench_bytes(&b, "\n", 1, 900);
    assert_int_equal(b.count, 2);
}

static void nothing_of_a_key_stays_in_memory(void **state)
{
    (void)state;
    prov_bench_start(&b);
    prov_bench_type(&b, "secret,\x01\n");
    prov_bench_type(&b, "dev-1,secret\n");
    assert_null(memmem(&b.prov, sizeof b.prov, "secret", 6));
    prov_bench_start(&b);
    assert_null(memmem(&b.prov, sizeof b.prov, "secret", 6));
}

static void its_sha256_agrees_with_the_library(void **state)
{
    uint8_t data[300], ours[32], theirs[32];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n < sizeof data; n++) {
        SHA2_CTX ctx;
        SHA256Init(&ctx);
        SHA256Update(&ctx, data, n);
        SHA256Final(theirs, &ctx);
        kl_prov_sha256(data, n, ours);
        assert_memory_equal(ours, theirs, 32);
    }
}

#define CASE(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(announces_until_a_line_comes),
        CASE(stores_acknowledges_restarts_and_reads_back),
        CASE(a_provisioned_board_keeps_its_key_and_says_nothing_more),
        CASE(the_product_reads_its_fields),
        CASE(names_and_digests_are_the_products_choice),
        CASE(malformed_lines_are_named_and_forgotten),
        CASE(the_longest_line_and_the_most_fields_fit),
        CASE(any_line_end_and_noise_before_a_line_will_do),
        CASE(empty_lines_are_no_lines),
        CASE(a_line_has_one_second),
        CASE(the_rest_of_a_torn_line_is_no_line),
        CASE(it_can_be_unprovisioned_and_provisioned_again),
        CASE(a_lost_field_is_shown_without_a_value),
        CASE(a_rubbish_count_does_no_harm),
        CASE(the_clock_may_wrap_around),
        CASE(nothing_of_a_key_stays_in_memory),
        CASE(its_sha256_agrees_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
