/* Tests of base.h: the core's own small text helpers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/base.h"

static void format_agrees_with_stdio(void **state)
{
    char ours[128], theirs[128];

    (void)state;
#define SAME(...)                                                                                  \
    do {                                                                                           \
        size_t n = kl_format(ours, sizeof ours, __VA_ARGS__);                                      \
        snprintf(theirs, sizeof theirs, __VA_ARGS__);                                              \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(n, strlen(theirs));                                                       \
    } while (0)
    SAME("plain");
    SAME("%d %d %d", 0, -1, INT32_MIN);
    SAME("%u %x %X %08x", 4294967295u, 0xbeefu, 0xbeefu, 0x1fu);
    SAME("%lld %llu %zu %ld", (long long)INT64_MIN, 18446744073709551615ull, (size_t)7, -3L);
    SAME("[%5s] [%-5s] [%.2s] [%c] %%", "ab", "ab", "abc", 'x');
    SAME("%3d|%-4d|%03d", 5, 5, 5);
}

static void format_cuts_and_terminates(void **state)
{
    char out[5];

    (void)state;
    assert_int_equal(kl_format(out, sizeof out, "%s", "abcdefgh"), 4);
    assert_string_equal(out, "abcd");
}

static void mac_round_trip(void **state)
{
    struct kl_mac mac;
    char text[18];

    (void)state;
    assert_true(kl_mac_parse("24:6f:28:AA:bb:0c", &mac));
    kl_mac_format(&mac, text);
    assert_string_equal(text, "24:6f:28:aa:bb:0c");
    assert_false(kl_mac_parse("24:6f:28:aa:bb", &mac));
    assert_false(kl_mac_parse("24:6f:28:aa:bb:0c:", &mac));
    assert_false(kl_mac_parse("", &mac));
    assert_false(kl_mac_parse("24-6f-28-aa-bb-0c", &mac));
}

static void an_eui64_is_written_like_a_mac(void **state)
{
    struct kl_eui64 eui = {{0x60, 0x55, 0xf9, 0xff, 0xfe, 0xf7, 0x2c, 0xa2}};
    char text[24];

    (void)state;
    kl_eui64_format(&eui, text);
    assert_string_equal(text, "60:55:f9:ff:fe:f7:2c:a2");
    kl_eui64_format(&(struct kl_eui64){{0}}, text);
    assert_string_equal(text, "");
}

static void wipe_leaves_nothing(void **state)
{
    char secret[16] = "0123456789abcde";

    (void)state;
    kl_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_agrees_with_stdio),
        cmocka_unit_test(format_cuts_and_terminates),
        cmocka_unit_test(mac_round_trip),
        cmocka_unit_test(an_eui64_is_written_like_a_mac),
        cmocka_unit_test(wipe_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
