/* Tests of what becomes of a terminal's bytes: whole keys, pastes, bursts. Time is handed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "faces/dashboard/input.h"

static struct kl_input in;
static struct kl_input_event e;
static kl_us now;

static bool never(void *ctx, int key)
{
    (void)ctx;
    (void)key;
    return false;
}

static int start(void **state)
{
    (void)state;
    memset(&in, 0, sizeof in);
    now = KL_SEC(1000);
    return 0;
}

static void bytes(const char *data, size_t size)
{
    kl_input_bytes(&in, (const uint8_t *)data, size, now);
}

static void type(const char *text)
{
    bytes(text, strlen(text));
}

static bool next(void)
{
    return kl_input_next(&in, now, never, NULL, &e);
}

/* Long enough that nothing is held back any more. */
static void wait_long(void)
{
    now += KL_SEC(10);
}

static void expect_key(int key)
{
    if (!next())
        fail_msg("no key where %#x was meant", (unsigned)key);
    assert_int_equal(e.kind, KL_INPUT_KEY);
    assert_int_equal(e.key, key);
}

static const struct {
    const char *bytes;
    int key;
} spellings[] = {
    {"\033[A", KL_KEYCODE_UP},
    {"\033OA", KL_KEYCODE_UP},
    {"\033[1;5A", KL_KEYCODE_UP},
    {"\033\033[A", KL_KEYCODE_UP},
    {"\033[B", KL_KEYCODE_DOWN},
    {"\033OB", KL_KEYCODE_DOWN},
    {"\033[C", KL_KEYCODE_RIGHT},
    {"\033OC", KL_KEYCODE_RIGHT},
    {"\033[D", KL_KEYCODE_LEFT},
    {"\033OD", KL_KEYCODE_LEFT},
    {"\033O5D", KL_KEYCODE_LEFT},
    {"\033[H", KL_KEYCODE_HOME},
    {"\033OH", KL_KEYCODE_HOME},
    {"\033[1~", KL_KEYCODE_HOME},
    {"\033[7~", KL_KEYCODE_HOME},
    {"\033[1;2H", KL_KEYCODE_HOME},
    {"\033[F", KL_KEYCODE_END},
    {"\033OF", KL_KEYCODE_END},
    {"\033[4~", KL_KEYCODE_END},
    {"\033[8~", KL_KEYCODE_END},
    {"\033[4;5~", KL_KEYCODE_END},
    {"\033[5~", KL_KEYCODE_PAGE_UP},
    {"\033[5;3~", KL_KEYCODE_PAGE_UP},
    {"\033[6~", KL_KEYCODE_PAGE_DOWN},
    {"\033OP", KL_KEYCODE_F1},
    {"\033[11~", KL_KEYCODE_F1},
    {"\033[[A", KL_KEYCODE_F1},
    {"\033[21~", KL_KEYCODE_F10},
    {"\033[Z", KL_KEYCODE_BACK_TAB},
    {"\t", KL_KEYCODE_TAB},
    {"\r", KL_KEYCODE_ENTER},
    {"\033OM", KL_KEYCODE_ENTER},
    {"\177", KL_KEYCODE_BACKSPACE},
    {"\014", KL_KEYCODE_REDRAW},
    {"\003", KL_KEYCODE_INTERRUPT},
    {"\034", KL_KEYCODE_INTERRUPT},
    {"x", 'x'},
    {"\303\244", 0xe4},
    {"\342\234\224", 0x2714},
};

static void every_spelling_is_one_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        type(spellings[i].bytes);
        wait_long();
        expect_key(spellings[i].key);
        assert_false(next());
    }
}

static void a_sequence_may_come_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        size_t size = strlen(spellings[i].bytes);
        for (size_t cut = 1; cut < size; cut++) {
            bytes(spellings[i].bytes, cut);
            now += KL_MS(60);
            assert_false(next());
            bytes(spellings[i].bytes + cut, size - cut);
            wait_long();
            expect_key(spellings[i].key);
            assert_false(next());
        }
    }
}

static void what_is_not_known_is_dropped_whole(void **state)
{
    static const char *const dropped[] = {
        "\033[3~",
        "\033[2~",
        "\033[24~",
        "\033[15;5~",
        "\033[I",
        "\033[O",
        "\033[?1;2c",
        "\033[12;40R",
        "\033[27;5;9~",
        "\033]0;title\007",
        "\033]11;rgb:0/0/0\033\\",
        "\033P1$r0m\033\\",
        "\033x",
        "\033y",
        "\033e",
        "\033[<0;5;5m",
        "\033[<35;5;5M",
        "\033[M#!!",
        "\033[1;5Q\033Oj",
        "\033[200000000000000000000000000000000000000000000000000000000000000000000000~",
        "\033[\030",
        "\377",
        "\200\201",
        "\303",
        "\001\002\004",
        "\033[u",
        "\033[121;5u",
    };

    (void)state;
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        type(dropped[i]);
        wait_long();
        if (next())
            fail_msg("case %u was read as kind %d, key %#x", (unsigned)i, (int)e.kind,
                     (unsigned)e.key);
    }
}

static void escape_alone_is_a_key_after_a_while(void **state)
{
    (void)state;
    type("\033");
    assert_false(next());
    assert_true(kl_input_deadline(&in) == now + KL_MS(100));
    now += KL_MS(100);
    expect_key(KL_KEYCODE_ESCAPE);
    assert_true(kl_input_deadline(&in) == KL_NEVER);
}

/* A line so slow that ESC was taken for the key: the rest is still no text. */
static void the_rest_of_a_late_sequence_is_dropped(void **state)
{
    (void)state;
    type("\033");
    now += KL_MS(200);
    expect_key(KL_KEYCODE_ESCAPE);
    now += KL_MS(200);
    type("[4~");
    wait_long();
    assert_false(next());
    type("4");
    wait_long();
    expect_key('4');
}

static void keys_wait_unless_they_are_harmless(void **state)
{
    (void)state;
    type("e");
    assert_false(next());
    assert_true(kl_input_deadline(&in) == now + KL_INPUT_HOLD);
    now += KL_INPUT_HOLD - 1;
    assert_false(next());
    now += 1;
    expect_key('e');
    type("\033[A"); /* moving is harmless by itself */
    expect_key(KL_KEYCODE_UP);
}

static void twelve_keys_are_typed_and_thirteen_are_pasted(void **state)
{
    (void)state;
    type("abcdefghijkl");
    now += KL_INPUT_HOLD;
    for (int c = 'a'; c <= 'l'; c++)
        expect_key(c);
    wait_long();
    type("abcdefghijklm");
    now += KL_INPUT_HOLD;
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_PASTE);
    assert_string_equal(e.text, "abcdefghijklm");
    assert_false(e.bracketed);
    assert_false(next());
}

/* One byte at a time, 5 ms apart: nothing of it is ever a key. */
static void a_burst_is_seen_before_its_first_key_acts(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        type("e");
        assert_false(next());
        now += KL_MS(5);
    }
    now += KL_INPUT_HOLD;
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_PASTE);
    assert_false(next());
    type("e"); /* hands again */
    now += KL_INPUT_HOLD;
    expect_key('e');
}

static void a_bracketed_paste_is_one_thing(void **state)
{
    (void)state;
    type("\033[200~key");
    wait_long();
    (void)next(); /* brackets that are not closed end by themselves */
    assert_int_equal(e.kind, KL_INPUT_PASTE);
    start(NULL);
    type("\033[200~line k\r\ny\033[A e\033[201~");
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_PASTE);
    assert_true(e.bracketed);
    assert_false(e.whole);
    assert_string_equal(e.text, "line k");
    wait_long();
    assert_false(next());
}

static void a_scanner_is_a_burst_that_ends_a_line(void **state)
{
    (void)state;
    type("dev-0042-ABCDEF\r");
    now += KL_INPUT_HOLD;
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_PASTE);
    assert_string_equal(e.text, "dev-0042-ABCDEF");
    assert_int_equal(e.line_ends, 1);
    assert_true(e.ends_line);
    assert_true(e.whole);
    assert_false(e.bracketed);
}

static void the_mouse_clicks_and_scrolls(void **state)
{
    (void)state;
    type("\033[<0;10;5M\033[<0;10;5m\033[<64;1;1M\033[<65;1;1M\033[M !!");
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_CLICK);
    assert_int_equal(e.row, 4);
    assert_int_equal(e.col, 9);
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_WHEEL_UP);
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_WHEEL_DOWN);
    assert_true(next());
    assert_int_equal(e.kind, KL_INPUT_CLICK);
    assert_int_equal(e.row, 0);
    assert_false(next());
}

static void what_waits_can_be_thrown_away(void **state)
{
    (void)state;
    type("ey\r");
    kl_input_forget(&in);
    wait_long();
    assert_false(next());
}

/* Ten thousand bytes of anything, in pieces of anything: never a single key that could act. */
static void random_bytes_are_never_typed(void **state)
{
    uint32_t seed = 4711;

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 10000; i++) {
            uint8_t byte;
            seed = seed * 1664525u + 1013904223u;
            byte = (uint8_t)(seed >> 24);
            kl_input_bytes(&in, &byte, 1, now);
            if (i % 97 == 0)
                now += KL_MS(1);
            while (next())
                assert_true(e.kind != KL_INPUT_KEY ||
                            (e.key >= KL_KEYCODE_UP && e.key <= KL_KEYCODE_END));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_spelling_is_one_key, start),
        cmocka_unit_test_setup(a_sequence_may_come_in_pieces, start),
        cmocka_unit_test_setup(what_is_not_known_is_dropped_whole, start),
        cmocka_unit_test_setup(escape_alone_is_a_key_after_a_while, start),
        cmocka_unit_test_setup(the_rest_of_a_late_sequence_is_dropped, start),
        cmocka_unit_test_setup(keys_wait_unless_they_are_harmless, start),
        cmocka_unit_test_setup(twelve_keys_are_typed_and_thirteen_are_pasted, start),
        cmocka_unit_test_setup(a_burst_is_seen_before_its_first_key_acts, start),
        cmocka_unit_test_setup(a_bracketed_paste_is_one_thing, start),
        cmocka_unit_test_setup(a_scanner_is_a_burst_that_ends_a_line, start),
        cmocka_unit_test_setup(the_mouse_clicks_and_scrolls, start),
        cmocka_unit_test_setup(what_waits_can_be_thrown_away, start),
        cmocka_unit_test_setup(random_bytes_are_never_typed, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
