/* SLIP: framing survives any cutting of the stream, and keeps what stands outside of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/slip.h"

struct heard {
    uint8_t frames[16][64];
    size_t sizes[16];
    unsigned count, bad;
    char text[64];
    size_t text_size;
};

static void hear(struct heard *h, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    struct kl_slip s;

    kl_slip_reset(&s);
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < size; i++) {
        switch (kl_slip_byte(&s, bytes[i])) {
        case KL_SLIP_FRAME:
            memcpy(h->frames[h->count], s.frame, s.size);
            h->sizes[h->count++] = s.size;
            break;
        case KL_SLIP_TEXT:
            h->text[h->text_size++] = (char)bytes[i];
            break;
        case KL_SLIP_BAD:
            h->bad++;
            break;
        case KL_SLIP_MORE:
            break;
        }
    }
}

#define HEAR(h, literal) hear((h), (literal), sizeof(literal) - 1)

static void text_between_frames_is_kept(void **state)
{
    struct heard h;

    (void)state;
    HEAR(&h, "boot\xc0"
             "abc\xc0"
             "!\xc0"
             "de\xc0");
    assert_int_equal(h.count, 2);
    assert_memory_equal(h.frames[0], "abc", 3);
    assert_memory_equal(h.frames[1], "de", 2);
    assert_string_equal(h.text, "boot!");
}

static void consecutive_delimiters_resynchronise(void **state)
{
    struct heard h;

    (void)state;
    HEAR(&h, "\xc0\xc0\xc0"
             "a\xc0\xc0"
             "b\xc0");
    assert_int_equal(h.count, 2);
    assert_int_equal(h.sizes[0], 1);
    assert_int_equal(h.frames[1][0], 'b');
}

static void escapes_round_trip(void **state)
{
    static const uint8_t all[] = {0xc0, 0xdb, 0xdc, 0xdd, 0, 0xff};
    uint8_t wire[32];
    struct heard h;
    size_t n = 0;

    (void)state;
    wire[n++] = 0xc0;
    n = kl_slip_escape(wire, n, sizeof wire, all, sizeof all);
    assert_int_equal(n, 1 + sizeof all + 2);
    wire[n++] = 0xc0;
    hear(&h, wire, n);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.sizes[0], sizeof all);
    assert_memory_equal(h.frames[0], all, sizeof all);
}

static void a_bad_escape_drops_its_frame_only(void **state)
{
    struct heard h;

    (void)state;
    HEAR(&h, "\xc0"
             "a\xdb"
             "bcd\xc0\xc0"
             "ok\xc0");
    assert_int_equal(h.bad, 1);
    assert_int_equal(h.count, 1);
    assert_memory_equal(h.frames[0], "ok", 2);
}

static void an_overlong_frame_is_dropped(void **state)
{
    static uint8_t wire[KL_SLIP_FRAME_MAX + 10];
    struct heard h;

    (void)state;
    memset(wire, 'x', sizeof wire);
    wire[0] = 0xc0;
    memcpy(wire + sizeof wire - 5, "\xc0\xc0yz\xc0", 5);
    hear(&h, wire, sizeof wire);
    assert_int_equal(h.bad, 1);
    assert_int_equal(h.count, 1);
    assert_memory_equal(h.frames[0], "yz", 2);
}

static void escape_refuses_what_does_not_fit(void **state)
{
    uint8_t out[3];

    (void)state;
    assert_int_equal(kl_slip_escape(out, 0, sizeof out, "\xc0\xc0", 2), 0);
    assert_int_equal(kl_slip_escape(out, 0, sizeof out, "\xc0z", 2), 3);
    assert_int_equal(kl_slip_escape(out, 0, sizeof out, "xyz", 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_between_frames_is_kept),
        cmocka_unit_test(consecutive_delimiters_resynchronise),
        cmocka_unit_test(escapes_round_trip),
        cmocka_unit_test(a_bad_escape_drops_its_frame_only),
        cmocka_unit_test(an_overlong_frame_is_dropped),
        cmocka_unit_test(escape_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
