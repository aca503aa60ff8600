#include "keyline/telnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Everything a stream says, written as one text: comparable, whatever the fragments were. */
struct heard {
    char text[8192];
    size_t size;
};

static void say(struct heard *h, const char *what, const uint8_t *bytes, size_t count)
{
    size_t room = sizeof h->text - h->size;
    size_t n = kl_format(h->text + h->size, room, "%s", what);
    for (size_t i = 0; i < count; i++)
        n += kl_format(h->text + h->size + n, room - n, "%02x", bytes[i]);
    h->size += n;
}

static void listen(struct kl_telnet *t, struct heard *h, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (kl_telnet_byte(t, bytes[i])) {
        case KL_TELNET_MORE:
            break;
        case KL_TELNET_DATA:
            say(h, " d", &t->byte, 1);
            break;
        case KL_TELNET_NEGOTIATE:
            say(h, " n", (uint8_t[]){t->verb, t->option}, 2);
            break;
        case KL_TELNET_SUB:
            say(h, " s", t->sub, t->sub_size);
            break;
        }
    }
}

static void expect_heard(const uint8_t *bytes, size_t count, const char *expected)
{
    struct kl_telnet t;
    struct heard h = {.size = 0};
    kl_telnet_init(&t);
    listen(&t, &h, bytes, count);
    assert_string_equal(h.text, expected);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void test_data_is_transparent(void **state)
{
    (void)state;
    expect_heard(BYTES('a', 0, '\r', '\n', '\r', 0, 0xfe), " d61 d00 d0d d0a d0d d00 dfe");
    expect_heard(BYTES(0xff, 0xff, 1, 0xff, 0xff), " dff d01 dff");
}

static void test_negotiation(void **state)
{
    (void)state;
    expect_heard(BYTES('x', 0xff, 0xfb, 0x2c, 'y', 0xff, 0xfe, 0xff, 'z'),
                 " d78 nfb2c d79 nfeff d7a");
}

static void test_commands_of_no_interest_are_skipped(void **state)
{
    (void)state;
    /* NOP, AYT, DM, BRK and an SE that ends nothing */
    expect_heard(BYTES('a', 0xff, 241, 0xff, 246, 0xff, 242, 'b', 0xff, 243, 0xff, 240, 'c'),
                 " d61 d62 d63");
}

static void test_subnegotiation_is_unescaped(void **state)
{
    (void)state;
    expect_heard(BYTES(0xff, 250, 44, 101, 0, 0, 0xff, 0xff, 1, 0xff, 240, 'q'),
                 " s2c650000ff01 d71");
}

static void test_empty_subnegotiation_says_nothing(void **state)
{
    (void)state;
    expect_heard(BYTES(0xff, 250, 0xff, 240, 'q'), " d71");
}

static void test_unended_subnegotiation_gives_way_to_a_command(void **state)
{
    (void)state;
    expect_heard(BYTES(0xff, 250, 44, 1, 0xff, 0xfd, 0, 'a', 0xff, 250, 44, 0xff, 250, 44, 5, 1,
                       0xff, 240, 'b'),
                 " nfd00 d61 s2c0501 d62");
}

static void test_long_subnegotiation_keeps_its_beginning(void **state)
{
    (void)state;
    struct kl_telnet t;
    kl_telnet_init(&t);
    kl_telnet_byte(&t, 0xff);
    kl_telnet_byte(&t, 250);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(kl_telnet_byte(&t, (uint8_t)(i % 200)), KL_TELNET_MORE);
    kl_telnet_byte(&t, 0xff);
    assert_int_equal(kl_telnet_byte(&t, 240), KL_TELNET_SUB);
    assert_int_equal(t.sub_size, KL_TELNET_SB_MAX);
    for (unsigned i = 0; i < KL_TELNET_SB_MAX; i++)
        assert_int_equal(t.sub[i], i);
    assert_int_equal(kl_telnet_byte(&t, 'a'), KL_TELNET_DATA);
}

static void test_endless_subnegotiation_ends(void **state)
{
    (void)state;
    struct kl_telnet t;
    unsigned n = 0;
    kl_telnet_init(&t);
    kl_telnet_byte(&t, 0xff);
    kl_telnet_byte(&t, 250);
    while (kl_telnet_byte(&t, 'x') == KL_TELNET_MORE && n <= KL_TELNET_SB_END)
        n++;
    assert_int_equal(n, KL_TELNET_SB_END);
    /* The same where its last byte is an escaped one. */
    kl_telnet_byte(&t, 0xff);
    kl_telnet_byte(&t, 250);
    for (n = 0; n < KL_TELNET_SB_END; n++) {
        kl_telnet_byte(&t, 0xff);
        kl_telnet_byte(&t, 0xff);
    }
    assert_int_equal(kl_telnet_byte(&t, 'x'), KL_TELNET_DATA);
}

static void test_com_port_commands(void **state)
{
    (void)state;
    uint8_t out[32];
    /* 0xff in a baud rate is doubled (docs/esp-serial-protocol.md 10.1). */
    size_t n = kl_telnet_com_port(out, KL_COM_SET_BAUDRATE, (const uint8_t[]){0, 0, 0xff, 7}, 4);
    const uint8_t expected[] = {0xff, 250, 44, 1, 0, 0, 0xff, 0xff, 7, 0xff, 240};
    assert_int_equal(n, sizeof expected);
    assert_memory_equal(out, expected, n);
    n = kl_telnet_com_port(out, KL_COM_SIGNATURE, NULL, 0);
    assert_int_equal(n, 6);
    n = kl_telnet_negotiate(out, KL_TELNET_WILL, KL_TELNET_COM_PORT);
    assert_int_equal(n, 3);
    assert_memory_equal(out, ((const uint8_t[]){0xff, 251, 44}), 3);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Whatever was said is heard again in order, cut into any fragments: here every message is made of
   random parts, and the parser sees them byte by byte with another stream's state in between. */
static void test_what_is_written_is_read_back(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        uint32_t r = seed;
        uint8_t wire[1024];
        size_t n = 0;
        struct heard said = {.size = 0};
        for (unsigned part = 0; part < 12; part++) {
            uint8_t raw[24];
            size_t size = next_random(&r) % sizeof raw;
            for (size_t i = 0; i < size; i++)
                raw[i] =
                    (uint8_t)(next_random(&r) % 3 ? 0xf0 + next_random(&r) % 16 : next_random(&r));
            switch (next_random(&r) % 3) {
            case 0:
                n += kl_telnet_escape(wire + n, raw, size);
                for (size_t i = 0; i < size; i++)
                    say(&said, " d", &raw[i], 1);
                break;
            case 1: {
                uint8_t verb = (uint8_t)(KL_TELNET_WILL + next_random(&r) % 4);
                uint8_t option = (uint8_t)next_random(&r);
                n += kl_telnet_negotiate(wire + n, verb, option);
                say(&said, " n", (uint8_t[]){verb, option}, 2);
                break;
            }
            default: {
                uint8_t command = (uint8_t)(next_random(&r) % 113);
                n += kl_telnet_com_port(wire + n, command, raw, size);
                say(&said, " s", (uint8_t[]){KL_TELNET_COM_PORT, command}, 2);
                say(&said, "", raw, size);
            }
            }
        }
        struct kl_telnet t;
        struct heard h = {.size = 0};
        kl_telnet_init(&t);
        size_t at = 0;
        while (at < n) {
            size_t piece = 1 + next_random(&r) % 7;
            if (piece > n - at)
                piece = n - at;
            listen(&t, &h, wire + at, piece);
            at += piece;
        }
        assert_string_equal(h.text, said.text);
    }
}

/* Any bytes at all leave the parser able to read what follows two ended subnegotiations. */
static void test_recovers_from_noise(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        uint32_t r = seed;
        struct kl_telnet t;
        kl_telnet_init(&t);
        for (unsigned i = 0; i < 300; i++) {
            kl_telnet_byte(
                &t, (uint8_t)(next_random(&r) % 2 ? 0xf0 + next_random(&r) % 16 : next_random(&r)));
            assert_true(t.sub_size <= KL_TELNET_SB_MAX);
        }
        static const uint8_t end[] = {'a', 0xff, 240, 'a'};
        for (size_t i = 0; i < sizeof end; i++)
            kl_telnet_byte(&t, end[i]);
        struct heard h = {.size = 0};
        listen(&t, &h, BYTES('o', 'k', 0xff, 0xfd, 0));
        assert_string_equal(h.text, " d6f d6b nfd00");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_is_transparent),
        cmocka_unit_test(test_negotiation),
        cmocka_unit_test(test_commands_of_no_interest_are_skipped),
        cmocka_unit_test(test_subnegotiation_is_unescaped),
        cmocka_unit_test(test_empty_subnegotiation_says_nothing),
        cmocka_unit_test(test_unended_subnegotiation_gives_way_to_a_command),
        cmocka_unit_test(test_long_subnegotiation_keeps_its_beginning),
        cmocka_unit_test(test_endless_subnegotiation_ends),
        cmocka_unit_test(test_com_port_commands),
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_recovers_from_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
