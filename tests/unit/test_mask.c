/* Tests of mask.h: no spelling of a key gets through, and what a person needs stays readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mask.h"
#include "keyline/bundle_load.h"

#define LABEL  "70B3D57ED0061A2B"
#define SECRET "D56789ab00EF01230456C0fe11dd22ee"
#define PHRASE "Hunter2-Is_fine"

static struct kl_key key;

static int build_key(void **state)
{
    static const char *const texts[] = {LABEL, SECRET, PHRASE, "x7"};
    struct kl_span fields[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        fields[i] = (struct kl_span){(const uint8_t *)texts[i], strlen(texts[i])};
    return kl_key_build(&key, fields, 4, kl_sha256) ? 0 : -1;
}

static char out[2048];

static const char *masked(const char *line, const struct kl_key *k)
{
    out[kl_mask_line(out, sizeof out - 1, line, strlen(line), k)] = '\0';
    return out;
}

#define KNOWN(in, expected)   assert_string_equal(masked(in, &key), expected)
#define UNKNOWN(in, expected) assert_string_equal(masked(in, NULL), expected)
#define BOTH(in, expected)                                                                         \
    do {                                                                                           \
        KNOWN(in, expected);                                                                       \
        UNKNOWN(in, expected);                                                                     \
    } while (0)

static void a_known_key_is_hidden_however_it_is_spelled(void **state)
{
    (void)state;
    KNOWN("got " SECRET " ok", "got [masked] ok");
    KNOWN("got d56789AB00ef01230456c0fe11dd22ee", "got [masked]");
    KNOWN("got D5:67:89:ab:00:EF:01:23:04:56:C0:fe:11:dd:22:ee.", "got [masked].");
    KNOWN("0xD5 0x67 0x89 0xab 0x00 0xEF 0x01 0x23 0x04 0x56 0xC0 0xfe 0x11 0xdd 0x22 0xee ",
          "[masked] ");
    KNOWN("{0xD5,0x67, 0x89,0xab,0x00,0xEF,0x01,0x23}", "{[masked]}");
    KNOWN("esc \\xD5\\x67\\x89\\xAB\\x00\\xEF", "esc \\x[masked]");
    KNOWN("unpadded D5 67 89 AB 0 EF 1 23 4 56 C0 FE 11 DD 22 EE", "unpadded [masked]");
    KNOWN("solid D56789AB0EF1234", "solid [masked]");
    KNOWN("as 213 103 137 171 0 239 1 35 4 86 192 254 17 221 34 238", "as [masked]");
    KNOWN("rev ee22dd11fec056042301ef00ab8967d5", "rev [masked]");
    KNOWN("words D56789ab 00EF0123 0456C0fe 11dd22ee", "words [masked]");
    KNOWN("b64 1WeJqwDvASMEVsD+Ed0i7g==", "b64 [masked]==");
    KNOWN("pw hunter2-is_FINE!", "pw [masked]!");
    KNOWN("pw 48 75 6e 74 65 72 32", "pw [masked]");
    KNOWN("pw 72 117 110 116 101 114 50 45 73", "pw [masked]");
    KNOWN("pw {72, 117, 110, 116}", "pw {[masked]}");
    KNOWN("pw 65 6e 69 66", "pw [masked]");
    KNOWN("tail x7 end, ax7 0x7", "tail [masked] end, ax7 0x7");
}

static void parts_of_a_known_key_are_hidden(void **state)
{
    (void)state;
    KNOWN("first D5 67 89 AB", "first [masked]");
    KNOWN("middle: ef0123 04", "middle: [masked]");
    KNOWN("cut D56789ab00E", "cut [masked]");
    KNOWN("unter2-Is", "[masked]");
    /* three bytes tell too little, and would hide too much else */
    KNOWN("short D5 67 89", "short D5 67 89");
}

static void the_label_stays_readable(void **state)
{
    (void)state;
    KNOWN("Key1: " LABEL, "Key1: " LABEL);
    KNOWN("joined as " LABEL " with " SECRET, "joined as " LABEL " with [masked]");
    UNKNOWN("joined as " LABEL, "joined as [masked]");
}

static void any_long_row_of_hex_is_hidden(void **state)
{
    (void)state;
    UNKNOWN("k 00112233445566778899aabbccddeeff.", "k [masked].");
    UNKNOWN("k 0x0011223344556677", "k [masked]");
    UNKNOWN("x00112233445566778899y", "x[masked]y");
    UNKNOWN("00 11 22 33 44 55 66 77", "[masked]");
    UNKNOWN("00-11-22-33-44-55-66-77-88", "[masked]");
    UNKNOWN("00, 11, 22, 33, 44, 55, 66, 77", "[masked]");
    UNKNOWN("0 1 2 3 4 5 6 a", "[masked]");
    UNKNOWN("d567 89ab cdef 0123 45", "[masked]");
    UNKNOWN("d56789ab:cdef0123", "[masked]");
    UNKNOWN("12:d5 67 89 ab cd ef 01 23", "12:[masked]");
    UNKNOWN("550e8400-e29b-41d4-a716-446655440000", "[masked]");
    UNKNOWN("0x3ffb1234   d5 67 89 ab cd ef 01 23  45 67 89 ab 63 64 65 66  |.g......Eg..cdef|",
            "0x3ffb1234   [masked]  [masked]");
}

static void words_that_announce_a_secret_hide_what_follows(void **state)
{
    (void)state;
    UNKNOWN("Key2: correct horse", "Key2: [masked]");
    UNKNOWN("app_key=abc next=1", "app_key=[masked] next=1");
    UNKNOWN("WiFi Password:   hello", "WiFi Password:   [masked]");
    UNKNOWN("Token:", "Token:");
}

static void what_a_person_needs_stays(void **state)
{
    static const char *const plain[] = {
        "",
        "Provisioned",
        "MAC: 24:6f:28:aa:bb:cc",
        "mac 24-6F-28-AA-BB-CC rssi -61",
        "mac 246f28aabbcc",
        "ets Jul 29 2019 12:21:46",
        "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
        "configsip: 0, SPIWP:0xee",
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00",
        "mode:DIO, clock div:2",
        "load:0x3fff0030,len:1344",
        "load:0x40078000,len:13964",
        "entry 0x400805e4",
        "I (29) boot: ESP-IDF v5.1.2 2nd stage bootloader",
        "I (57) boot:  0 nvs              WiFi data        01 02 00009000 00006000",
        "I (83) esp_image: segment 0: paddr=00010020 vaddr=3f400020 size=0a3d4h ( 41940) map",
        "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.",
        "PC      : 0x400d1234  PS      : 0x00060730  A0      : 0x800d5678  A1      : 0x3ffb1f60",
        "Backtrace: 0x400d1231:0x3ffb1f60 0x400d5675:0x3ffb1f80 0x40088b7d:0x3ffb1fa0",
        "invalid header: 0xffffffff",
        "wifi:new:<6,0>, old:<1,0>, ap:<255,255>, sta:<6,0>, prof:1",
        "2024-01-31 12:34:56 up",
        "ip 192.168.1.17 gw 192.168.1.1",
        "Prüfung läuft … 20 °C",
    };

    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        BOTH(plain[i], plain[i]);
}

static void what_is_not_text_is_made_harmless(void **state)
{
    (void)state;
    UNKNOWN("a\tb\x1b[31mred\x07", "a b.[31mred.");
    UNKNOWN("\xff\xc3\x28\xe2\x82", "?\x3f(?\x3f");
    UNKNOWN("\xc2\x9b"
            "31m",
            "??31m"); /* a control character in UTF-8 */
    UNKNOWN("\xe2\x80\xae"
            "gpj",
            "???gpj"); /* right-to-left override */
    UNKNOWN("\xed\xa0\x80 \xf4\x90\x80\x80", "??? ????");
    KNOWN("D5\x01"
          "67\x02"
          "89\x03"
          "AB",
          "[masked]");
}

static void escapes_are_stripped(void **state)
{
    char line[] = "\x1b[0;32mI (29) boot\x1b[0m\x1b[";
    size_t size = kl_mask_strip_escapes(line, strlen(line));

    (void)state;
    line[size] = '\0';
    assert_string_equal(line, "I (29) boot");
}

static void output_is_cut_at_its_capacity(void **state)
{
    (void)state;
    assert_int_equal(kl_mask_line(out, 15, "1,2,3,4,5,6,7,8", 15, NULL), 8);
    assert_int_equal(kl_mask_line(out, 10, "x7 x7 x7", 8, &key), 9);
    assert_memory_equal(out, "[masked] ", 9);
    assert_int_equal(kl_mask_line(out, 4, "x7", 2, &key), 0);
    assert_int_equal(kl_mask_line(out, 4, "ab\xc3\xa4\xc3\xb6", 6, &key), 4);
    assert_int_equal(kl_mask_line(out, 3, "ab\xc3\xa4\xc3\xb6", 6, &key), 2);
}

/* Every field in every spelling, at every place of lines of every length near the limits. */
static void a_key_is_hidden_anywhere_in_a_long_line(void **state)
{
    char line[1400];

    (void)state;
    for (size_t before = 0; before < 1200; before += 7) {
        size_t size = before + strlen(SECRET) + 40;
        memset(line, '.', sizeof line);
        memcpy(line + before, SECRET, strlen(SECRET));
        size = kl_mask_line(out, sizeof out, line, size, &key);
        assert_true(size <= KL_MASK_LINE_MAX + 8);
        for (size_t i = 0; i + 8 <= size; i++)
            assert_memory_not_equal(out + i, SECRET, 8);
    }
}

/* Long rows of equal characters are the worst case of any search for parts. */
static void masking_stays_quick_on_hostile_lines(void **state)
{
    char zeros[240];
    struct kl_span fields[2] = {{(const uint8_t *)"label", 5}, {(const uint8_t *)zeros, 240}};
    struct kl_key k;
    char line[KL_MASK_LINE_MAX];

    (void)state;
    memset(zeros, '0', sizeof zeros);
    assert_true(kl_key_build(&k, fields, 2, kl_sha256));
    for (int i = 0; i < 20; i++) {
        memset(line, '0', sizeof line);
        assert_int_equal(kl_mask_line(out, sizeof out, line, sizeof line, &k), 8);
        assert_memory_equal(out, "[masked]", 8);
    }
}

/* A certificate of several lines, as it stands in a cell of the CSV; the firmware prints it line by
   line, or as one. Wherever a line of it begins in the field, it is hidden. */
static void a_long_key_is_hidden_wherever_it_is_cut(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static struct kl_key_text text;
    static char pem[4000];
    struct kl_span fields[2] = {{(const uint8_t *)"label", 5}, {(const uint8_t *)pem, sizeof pem}};
    struct kl_key k;
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof pem; i++) {
        random = random * 1664525 + 1013904223;
        pem[i] = i % 65 == 64 ? '\n' : digits[random >> 26];
    }
    assert_true(kl_key_build_long(&k, &text, fields, 2, kl_sha256));
    for (size_t at = 0; at + 40 <= sizeof pem; at += 7) {
        char line[64] = "";
        memcpy(line, pem + at, 40);
        for (size_t i = 0; i < 40; i++)
            if (line[i] == '\n')
                line[i] = ' ';
        if (line[0] != ' ' && line[39] != ' ')
            assert_string_equal(masked(line, &k), "[masked]");
    }
    for (size_t at = 0; at + 12 <= sizeof pem; at += 6) {
        char line[32] = "";
        for (size_t i = 0; i < 10; i++)
            snprintf(line + 2 * i, 3, "%02x", (unsigned)(uint8_t)pem[at + i]);
        assert_string_equal(masked(line, &k), "[masked]");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_key_is_hidden_however_it_is_spelled),
        cmocka_unit_test(parts_of_a_known_key_are_hidden),
        cmocka_unit_test(the_label_stays_readable),
        cmocka_unit_test(any_long_row_of_hex_is_hidden),
        cmocka_unit_test(words_that_announce_a_secret_hide_what_follows),
        cmocka_unit_test(what_a_person_needs_stays),
        cmocka_unit_test(what_is_not_text_is_made_harmless),
        cmocka_unit_test(escapes_are_stripped),
        cmocka_unit_test(output_is_cut_at_its_capacity),
        cmocka_unit_test(a_key_is_hidden_anywhere_in_a_long_line),
        cmocka_unit_test(masking_stays_quick_on_hostile_lines),
        cmocka_unit_test(a_long_key_is_hidden_wherever_it_is_cut),
    };
    return cmocka_run_group_tests(tests, build_key, NULL);
}
