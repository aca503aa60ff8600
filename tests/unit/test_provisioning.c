/* The board's half of the handover: what a product may rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sha2.h>

#include "provisioning.h"

/* A store whose power can fail before its nth write, and a console. */
struct board {
    char field[32][256];
    unsigned count;
    int writes_left; /* -1 = as many as wanted */
    bool off;
    char out[8192];
    unsigned restarts;
    struct kl_prov prov;
};

static bool may_write(struct board *b)
{
    if (b->off || b->writes_left == 0) {
        b->off = true;
        return false;
    }
    if (b->writes_left > 0)
        b->writes_left--;
    return true;
}

static unsigned store_count(void *ctx)
{
    return ((struct board *)ctx)->count;
}

static bool store_set_count(void *ctx, unsigned count)
{
    struct board *b = ctx;
    if (!may_write(b))
        return false;
    b->count = count;
    return true;
}

static bool store_write(void *ctx, unsigned field, const char *text, size_t size)
{
    struct board *b = ctx;
    if (!may_write(b))
        return false;
    memcpy(b->field[field], text, size);
    b->field[field][size] = '\0';
    return true;
}

static bool store_read(void *ctx, unsigned field, char *out, size_t size)
{
    struct board *b = ctx;
    size_t n = strlen(b->field[field]);
    if (n >= size)
        return false;
    memcpy(out, b->field[field], n + 1);
    return true;
}

static void console(void *ctx, const char *text, size_t size)
{
    struct board *b = ctx;
    size_t used = strlen(b->out);
    if (!b->off && used + size < sizeof b->out)
        memcpy(b->out + used, text, size);
}

static void restarted(void *ctx)
{
    ((struct board *)ctx)->restarts++;
}

static struct kl_prov_config config_of(struct board *b)
{
    return (struct kl_prov_config){
        .store = {b, store_count, store_set_count, store_write, store_read},
        .ctx = b,
        .print = console,
        .restart = restarted,
    };
}

static struct board *fresh(void)
{
    struct board *b = calloc(1, sizeof *b);
    b->writes_left = -1;
    return b;
}

static void start(struct board *b, const struct kl_prov_config *config)
{
    memset(b->out, 0, sizeof b->out);
    b->off = false;
    kl_prov_start(&b->prov, config, 0);
}

static void type(struct board *b, const char *text)
{
    for (; *text; text++)
        kl_prov_feed(&b->prov, (uint8_t)*text, 10);
}

static void announces_until_a_line_comes(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    (void)state;
    start(b, &c);
    for (uint32_t t = 0; t <= 1600; t += 50)
        kl_prov_tick(&b->prov, t);
    assert_string_equal(b->out, "Provisioning\r\nProvisioning\r\nProvisioning\r\nProvisioning\r\n");
    free(b);
}

static void stores_acknowledges_restarts_and_reads_back(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    (void)state;
    start(b, &c);
    type(b, "  dev-1,aabb,ccdd \r\n");
    assert_non_null(strstr(b->out, "\r\nProvisioned\r\n"));
    assert_int_equal(b->restarts, 1);
    start(b, &c);
    assert_string_equal(b->out, "Provisioned\r\nKey1: dev-1\r\nKey2: aabb\r\nKey3: ccdd\r\n");
    assert_true(kl_prov_is_done(&b->prov));
    /* A second line changes nothing. */
    type(b, "dev-2,1111,2222\n");
    assert_string_equal(b->field[0], "dev-1");
    assert_int_equal(b->restarts, 1);
    free(b);
}

static void names_and_digests_are_the_products_choice(void **state)
{
    static const char *const names[] = {"uuid", "network key"};
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);
    char hex[SHA256_DIGEST_STRING_LENGTH], expected[256];

    (void)state;
    c.names = names;
    c.digest_fields = 2;
    c.sha256 = kl_prov_sha256;
    start(b, &c);
    type(b, "dev-1,secret\n");
    start(b, &c);
    SHA256Data((const uint8_t *)"secret", 6, hex);
    snprintf(expected, sizeof expected, "Provisioned\r\nuuid: dev-1\r\nnetwork key: sha256:%s\r\n",
             hex);
    assert_string_equal(b->out, expected);
    free(b);
}

static void refused(const char *line, const char *answer, unsigned fields)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    c.fields = fields;
    start(b, &c);
    type(b, line);
    if (!strstr(b->out, answer))
        fail_msg("'%s' was answered with '%s'", line, b->out);
    assert_int_equal(b->count, 0);
    assert_int_equal(b->restarts, 0);
    /* It goes on as if nothing had been. */
    type(b, "a,b,c\n");
    assert_int_equal(b->count, 3);
    free(b);
}

static void malformed_lines_are_named_and_forgotten(void **state)
{
    char longest[400];

    (void)state;
    refused("a,,c\n", "Error: empty field\r\n", 0);
    refused(",\n", "Error: empty field\r\n", 0);
    refused("a,b\n", "Error: expected 3 fields, got 2\r\n", 3);
    refused("a\x01,b,c\n", "Error: line holds bytes that are no text\r\n", 0);
    memset(longest, 'x', 256);
    memcpy(longest + 256, "\n", 2);
    refused(longest, "Error: line too long\r\n", 0);
    for (int i = 0; i < 33; i++)
        memcpy(longest + 2 * i, "a,", 2);
    memcpy(longest + 65, "\n", 2);
    refused(longest, "Error: too many fields\r\n", 0);
}

static void the_longest_line_fits(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);
    char line[300];

    (void)state;
    memset(line, 'x', 255);
    line[100] = ',';
    memcpy(line + 255, "\n", 2);
    start(b, &c);
    type(b, line);
    assert_int_equal(b->count, 2);
    assert_int_equal(strlen(b->field[1]), 154);
    free(b);
}

static void a_line_has_one_second(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    (void)state;
    start(b, &c);
    type(b, "a,b");
    kl_prov_tick(&b->prov, 1009);
    assert_null(strstr(b->out, "Error"));
    kl_prov_tick(&b->prov, 1010);
    assert_non_null(strstr(b->out, "Error: line incomplete"));
    type(b, "d,e,f\n");
    assert_string_equal(b->field[0], "d");
    free(b);
}

/* Power goes before the nth write: afterwards all or nothing is there, and all can still come. */
static void a_power_cut_leaves_nothing_or_all(void **state)
{
    (void)state;
    for (int n = 0; n < 6; n++) {
        struct board *b = fresh();
        struct kl_prov_config c = config_of(b);
        start(b, &c);
        b->writes_left = n;
        type(b, "a,b,c\n");
        b->writes_left = -1;
        start(b, &c);
        if (b->count == 0)
            assert_string_equal(b->out, "Provisioning\r\n");
        else
            assert_string_equal(b->out, "Provisioned\r\nKey1: a\r\nKey2: b\r\nKey3: c\r\n");
        assert_true(b->count == (n < 4 ? 0u : 3u));
        type(b, "a,b,c\n");
        assert_int_equal(b->count, 3);
        free(b);
    }
}

static void it_can_be_unprovisioned(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    (void)state;
    start(b, &c);
    type(b, "a,b,c\n");
    assert_true(kl_prov_forget(&b->prov));
    start(b, &c);
    assert_string_equal(b->out, "Provisioning\r\n");
    free(b);
}

static void the_clock_may_wrap_around(void **state)
{
    struct board *b = fresh();
    struct kl_prov_config c = config_of(b);

    (void)state;
    kl_prov_start(&b->prov, &c, UINT32_MAX - 100);
    memset(b->out, 0, sizeof b->out);
    kl_prov_tick(&b->prov, 300);
    assert_string_equal(b->out, "");
    kl_prov_tick(&b->prov, 400);
    assert_string_equal(b->out, "Provisioning\r\n");
    free(b);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announces_until_a_line_comes),
        cmocka_unit_test(stores_acknowledges_restarts_and_reads_back),
        cmocka_unit_test(names_and_digests_are_the_products_choice),
        cmocka_unit_test(malformed_lines_are_named_and_forgotten),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(a_line_has_one_second),
        cmocka_unit_test(a_power_cut_leaves_nothing_or_all),
        cmocka_unit_test(it_can_be_unprovisioned),
        cmocka_unit_test(the_clock_may_wrap_around),
        cmocka_unit_test(its_sha256_agrees_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
