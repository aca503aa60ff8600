/* Tests of console.h: what of a board's words is told, line by line. What the lines mean to the
   conversation stands in test_handover.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/console.h"
#include "keyline/bundle_load.h"

#define SECRET1 "D56789ab00EF01230456C0fe11dd22ee"
#define SECRET2 "correct horse"
#define BANNER                                                                                     \
    "ets Jul 29 2019 12:21:46\r\n\r\nrst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
#define TOLD_BANNER                                                                                \
    "ets Jul 29 2019 12:21:46\nrst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
#define VALUES "Key1: dev-0001\r\nKey2: " SECRET1 "\r\nKey3: " SECRET2 "\r\n"

static struct kl_console c;
static struct kl_key key; /* as custody holds it */
static kl_us now;
static char text[16384];

static void hold_key(void)
{
    static const char *const texts[] = {"dev-0001", SECRET1, SECRET2};
    struct kl_span fields[3];

    for (int i = 0; i < 3; i++)
        fields[i] = (struct kl_span){(const uint8_t *)texts[i], strlen(texts[i])};
    assert_true(kl_key_build(&key, fields, 3, kl_sha256));
}

static int begin(void **state)
{
    (void)state;
    memset(&key, 0, sizeof key);
    kl_console_init(&c, &key, NULL);
    now = KL_SEC(100);
    return 0;
}

static void hear(const char *bytes, size_t size)
{
    struct kl_said line;
    char told[KL_TEXT_MAX];

    while (size > 0) {
        size_t taken = kl_console_take(&c, (const uint8_t *)bytes, size, now, &line);
        assert_true(taken > 0 && taken <= size);
        bytes += taken;
        size -= taken;
        while (kl_console_next(&c, told)) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s\n", told);
        }
    }
}

/* What is told of it. */
static const char *told_of(const char *bytes)
{
    text[0] = '\0';
    hear(bytes, strlen(bytes));
    return text;
}

#define TOLD(bytes, expected) assert_string_equal(told_of(bytes), expected)

static void a_line_is_told_once_whole(void **state)
{
    (void)state;
    TOLD("I (31) boot: ESP", "");
    TOLD("-IDF v5.1", "");
    TOLD("\r\n", "I (31) boot: ESP-IDF v5.1\n");
    TOLD("\n\r\n\r", "");
}

static void any_line_end_will_do(void **state)
{
    static const char *const ends[] = {"\n", "\r", "\r\n", "\n\r", "\r\r\n"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct kl_said said;
        char line[64];
        begin(state);
        size_t size = (size_t)snprintf(line, sizeof line, "Provisioning%s", ends[i]);
        kl_console_take(&c, (uint8_t *)line, size, now, &said);
        assert_int_equal(said.kind, KL_SAID_ASKS);
        told_of("\n");
        TOLD("hello\n", "hello\n");
    }
}

static void logs_show_the_label_and_nothing_else(void **state)
{
    (void)state;
    hold_key();
    TOLD("I (31) boot: ESP-IDF\nProvisioned\n" VALUES "Key3: later secret\nAt: home\n",
         "I (31) boot: ESP-IDF\nProvisioned\nKey1: dev-0001\nKey2: [masked]\nKey3: [masked]\n"
         "Key3: [masked]\n[masked]\n");
}

static void a_key_that_nobody_knows_is_not_shown_either(void **state)
{
    (void)state;
    TOLD("Provisioned\nA: dev-0009\nB: open sesame\n", "Provisioned\n[masked]\n");
    for (int i = 0; i < 100; i++)
        TOLD("A: dev-0009\r\nB: 00112233445566778899aabbccddeeff\r\nC: open sesame\r\n", "");
}

static void fields_are_hidden_whatever_they_are_called(void **state)
{
    static const char *const lines[] = {
        "Field2: hunter2",
        "user: hunter2",
        "Schl\xc3\xbcssel 2: hunter2",
        "hunter2",
        "hunter2: wifi",
        "{\"wifi\":\"hunter2\"}",
        "wifi=hunter2",
        "wifi: \"hunter2\"",
        "I (312) app: wifi: hunter2",
        "[  1204][I][main.cpp:30] setup(): hunter2",
        "correct horse battery staple",
        "Error: no network hunter2",
        "It is Provisioned with hunter2",
        "hunter2\xffProvisioned",
        "hunter2\xffProvisioning",
        "D5 67 89",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s\n", lines[i]);
        begin(state); /* heard from the middle on */
        assert_null(strstr(told_of(line), "hunter2"));
        assert_null(strstr(text, "horse"));
        begin(state);
        told_of("Provisioned\n");
        assert_null(strstr(told_of(line), "hunter2"));
        begin(state); /* its first line was lost */
        told_of(BANNER "entry 0x400805e4\n");
        assert_null(strstr(told_of(line), "hunter2"));
        assert_null(strstr(text, "horse"));
    }
}

static void between_a_banner_and_the_program_the_rom_is_heard(void **state)
{
    (void)state;
    TOLD("mode:DIO, clock div:2\n", "[masked]\n");
    TOLD(BANNER "mode:DIO, clock div:2\nload:0x3fff0030,len:1344\n",
         TOLD_BANNER "mode:DIO, clock div:2\nload:0x3fff0030,len:1344\n");
    TOLD("hello\nmode:DIO, clock div:2\n", "[masked]\n");
    TOLD(BANNER "entry 0x400805e4\n", TOLD_BANNER "entry 0x400805e4\n");
}

static void a_banner_shows_nothing_of_the_line_that_it_ended(void **state)
{
    (void)state;
    TOLD("Provisioned\nuser: hunter2ets Jul 29 2019 12:21:46\n",
         "Provisioned\nets Jul 29 2019 12:21:46\n");
}

/* A board that asks holds no key: what else it says may be read. */
static void a_board_that_asks_may_talk(void **state)
{
    (void)state;
    TOLD("Provisioning\nI (12) app: battery: 3\nhello\n",
         "Provisioning\nI (12) app: battery: 3\nhello\n");
    now += KL_MS(1999);
    TOLD("still here\n", "still here\n");
    now += KL_MS(2);
    TOLD("another board: hunter2\n", "[masked]\n");
    TOLD("Provisioning\nhello\nProvisioned\nhello\n",
         "Provisioning\nhello\nProvisioned\n[masked]\n");
}

static void the_key_is_masked_in_whatever_the_board_says(void **state)
{
    (void)state;
    hold_key();
    TOLD("Provisioning\ngot dev-0001," SECRET1 "," SECRET2
         "\nD5 67 89 AB 00 EF 01 23 04 56\nCORRECT HORSE\n",
         "Provisioning\ngot dev-0001,[masked],[masked]\n[masked]\n[masked]\n");
}

static void crashes_stay_readable(void **state)
{
    (void)state;
    TOLD("Provisioned\nGuru Meditation Error: Core  1 panic'ed (LoadProhibited)\n"
         "Backtrace: 0x400d1231:0x3ffb1f60\nRebooting...\n",
         "Provisioned\nGuru Meditation Error: Core  1 panic'ed (LoadProhibited)\n"
         "Backtrace: 0x400d1231:0x3ffb1f60\nRebooting...\n");
    /* … but not the memory that they dump */
    TOLD("3ffb1f60: 0x68756e74 0x65723200\n", "[masked]\n");
}

static void the_line_that_names_a_fault_is_kept_as_it_may_be_shown(void **state)
{
    (void)state;
    told_of("flash read err, 1000\n");
    assert_string_equal(kl_console_detail(&c), "flash read err, 1000");
    begin(state);
    told_of("user: hunter2 csum err\n");
    assert_int_equal(kl_console_boot(&c)->reason, KL_FAULT_FLASH_READ_ERR);
    assert_string_equal(kl_console_detail(&c), "[masked]");
    kl_console_alive(&c);
    assert_string_equal(kl_console_detail(&c), "");
}

static void odd_bytes_are_made_printable_and_the_line_is_cut(void **state)
{
    char line[600];

    (void)state;
    memset(line, 0x80, sizeof line);
    memcpy(line, "flash read err, \x01", 17);
    line[sizeof line - 1] = '\n';
    text[0] = '\0';
    hear(line, sizeof line);
    assert_int_equal(strlen(text), KL_TEXT_MAX);
    assert_memory_equal(kl_console_detail(&c), "flash read err, .????", 21);
}

static void the_key_may_come_and_go(void **state)
{
    (void)state;
    told_of("Provisioning\n");
    TOLD("got unit: " SECRET2 "\n", "got unit: " SECRET2 "\n");
    hold_key();
    TOLD("got unit: " SECRET2 "\n", "got unit: [masked]\n");
    memset(&key, 0, sizeof key); /* custody let it go */
    TOLD("Provisioning\nhello\n", "Provisioning\nhello\n");
}

static void after_a_gap_nothing_is_known(void **state)
{
    (void)state;
    told_of("Provisioning\nuser: hunt");
    kl_console_open(&c);
    TOLD("er2\n", "[masked]\n");
    told_of(BANNER);
    kl_console_open(&c);
    TOLD("mode:DIO, clock div:2\n", "[masked]\n");
}

static void only_the_newest_lines_wait(void **state)
{
    struct kl_said line;
    char told[KL_TEXT_MAX];
    unsigned n = 0;

    (void)state;
    told_of("Provisioning\n");
    for (unsigned i = 0; i < 100; i++) {
        char words[32];
        size_t size = (size_t)snprintf(words, sizeof words, "line %u\n", i);
        assert_int_equal(kl_console_take(&c, (uint8_t *)words, size, now, &line), size);
    }
    while (kl_console_next(&c, told))
        n++;
    assert_int_equal(n, KL_CONSOLE_TOLD);
    assert_string_equal(told, "line 99");
}

#define CASE(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_line_is_told_once_whole),
        CASE(any_line_end_will_do),
        CASE(logs_show_the_label_and_nothing_else),
        CASE(a_key_that_nobody_knows_is_not_shown_either),
        CASE(fields_are_hidden_whatever_they_are_called),
        CASE(between_a_banner_and_the_program_the_rom_is_heard),
        CASE(a_banner_shows_nothing_of_the_line_that_it_ended),
        CASE(a_board_that_asks_may_talk),
        CASE(the_key_is_masked_in_whatever_the_board_says),
        CASE(crashes_stay_readable),
        CASE(the_line_that_names_a_fault_is_kept_as_it_may_be_shown),
        CASE(odd_bytes_are_made_printable_and_the_line_is_cut),
        CASE(the_key_may_come_and_go),
        CASE(after_a_gap_nothing_is_known),
        CASE(only_the_newest_lines_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
