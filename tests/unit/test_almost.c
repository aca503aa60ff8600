/* Firmware that nearly speaks the protocol (docs/firmware.md): what is taken for a prompt, an
   acknowledgement, a read-back; what is not, and what is said of it then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/handover.h"
#include "keyline/bundle_load.h"

#define SECRET1 "D56789ab00EF01230456C0fe11dd22ee"
#define SECRET2 "correct horse"
#define LINE    "dev-0001," SECRET1 "," SECRET2
#define VALUES  "Key1: dev-0001\nKey2: " SECRET1 "\nKey3: " SECRET2 "\n"
#define BANNER  "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"

static struct kl_handover h;
static struct kl_console console;
static struct kl_key held, key;
static kl_us now;
static char events[4096];
static struct kl_handover_event last;

/* As --prompt and its like have it; here a pattern is a text that the line holds. */
static bool match(const void *pattern, const char *text, size_t size)
{
    return memmem(text, size, pattern, strlen(pattern)) != NULL;
}

static struct kl_words words = {.match = match};

static void begin_with(bool ack_alone, const struct kl_key *expected)
{
    struct kl_handover_setup setup = {.console = &console,
                                      .prompt_timeout = KL_SEC(30),
                                      .ack_timeout = KL_SEC(10),
                                      .fields = 3,
                                      .ack_alone = ack_alone,
                                      .sha256 = kl_sha256};

    now = KL_SEC(100);
    memset(&held, 0, sizeof held);
    if (expected)
        held = *expected;
    kl_console_init(&console, &held, &words);
    kl_handover_init(&h, &setup);
    kl_handover_listen(&h, &held, now);
}

static int begin(void **state)
{
    static const char *const texts[] = {"dev-0001", SECRET1, SECRET2};
    struct kl_span fields[3];

    (void)state;
    words = (struct kl_words){.match = match};
    for (int i = 0; i < 3; i++)
        fields[i] = (struct kl_span){(const uint8_t *)texts[i], strlen(texts[i])};
    assert_true(kl_key_build(&key, fields, 3, kl_sha256));
    begin_with(false, NULL);
    return 0;
}

static void pull(void)
{
    static const char *const names[] = {"restart", "asks",  "ack",     "holds",
                                        "bare",    "error", "trouble", "timeout"};
    char told[KL_TEXT_MAX];

    while (kl_console_next(&console, told))
        assert_null(strstr(told, SECRET2));
    while (kl_handover_event(&h, &last)) {
        size_t used = strlen(events);
        snprintf(events + used, sizeof events - used, "%s%s%s", used ? " " : "", names[last.kind],
                 last.kind != KL_HO_HOLDS ? ""
                 : last.matches           ? "="
                 : last.certain           ? "!"
                                          : "?");
        if (last.kind == KL_HO_TIMEOUT) {
            used = strlen(events);
            snprintf(events + used, sizeof events - used, ":%s", kl_fault_info(last.reason).name);
        }
    }
}

static const char *hears(const char *bytes, size_t size)
{
    events[0] = '\0';
    for (size_t at = 0; at < size;) {
        at += kl_handover_rx(&h, (const uint8_t *)bytes + at, size - at, now);
        pull();
    }
    return events;
}

static const char *wait(kl_us time)
{
    kl_us end = now + time;

    events[0] = '\0';
    while (kl_handover_deadline(&h) <= end) {
        now = kl_handover_deadline(&h);
        kl_handover_tick(&h, now);
        pull();
    }
    now = end;
    return events;
}

#define SAYS(bytes, expected) assert_string_equal(hears(bytes, strlen(bytes)), expected)
#define WAIT(time, expected)  assert_string_equal(wait(time), expected)

static void send_key(void)
{
    struct kl_io io;

    held = key;
    kl_handover_send(&h, &held, now);
    while (kl_handover_next(&h, &io))
        assert_memory_equal(io.data, LINE "\n", io.size);
}

static void asked(void)
{
    SAYS("Provisioning\n", "asks");
    send_key();
}

static void a_dressed_prompt_counts_when_it_comes_again(void **state)
{
    static const char *const pairs[][2] = {
        {"I (312) app: Provisioning\n", "I (813) app: Provisioning\n"},
        {"[  1204][I][main.cpp:30] setup(): Provisioning\n",
         "[  1705][I][main.cpp:30] setup(): Provisioning\n"},
        {"Provisioning...\n", "Provisioning...\n"},
        {"Provisioning\xe2\x80\xa6\n", "Provisioning\xe2\x80\xa6\n"},
        {"APP> Provisioning\n", "APP> Provisioning\n"},
        {"provisioning\n", "provisioning\n"},
        {"PROVISIONING!\n", "PROVISIONING!\n"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        begin(state);
        SAYS(pairs[i][0], "");
        WAIT(KL_MS(500), "");
        SAYS(pairs[i][1], "asks");
        WAIT(KL_MS(500), "");
        SAYS(pairs[i][1], "asks");

        begin(state); /* too seldom for a prompt */
        SAYS(pairs[i][0], "");
        WAIT(KL_MS(2001), "");
        SAYS(pairs[i][1], "");
    }
    begin(state); /* two programs' lines */
    SAYS("I (1) app: Provisioning\nI (2) wifi: Provisioning\n", "");
}

static void what_is_no_part_of_a_line_does_not_count(void **state)
{
    static const char nul[] = "Provisioning\0\r\n";

    (void)state;
    assert_string_equal(hears(nul, sizeof nul - 1), "asks");
    begin(state);
    SAYS("\x1b[0;32mProvisioning\x1b[0m\n", "asks");
}

static void only_what_follows_our_line_acknowledges_it(void **state)
{
    static const char *const acks[] = {
        "I (900) app: Provisioned\n", "Provisioned.\n",     "PROVISIONED\n",
        "app: provisioned!\n",        LINE "Provisioned\n", /* an echo of our line, its end lost */
    };

    for (size_t i = 0; i < sizeof acks / sizeof acks[0]; i++) {
        begin(state);
        SAYS("Provisioning\n", "asks");
        SAYS(acks[i], "");
        send_key();
        SAYS(LINE "\n", "");
        SAYS(acks[i], "ack");
        SAYS(BANNER "Provisioned\n" VALUES, "restart holds=");
    }
}

static void without_a_read_back_only_the_bare_word_will_do(void **state)
{
    (void)state;
    begin_with(true, NULL);
    asked();
    SAYS("I (900) app: Provisioned\nProvisioned...\n", "");
    SAYS("Provisioned\n", "ack");
}

static void errors_of_the_programs_own_refuse_nothing(void **state)
{
    (void)state;
    asked();
    SAYS("Error: sensor not found\nError: no SSID configured\nError: again\nProvisioned\n", "ack");

    begin(state);
    asked();
    SAYS("Error: sensor not found\nError: no SSID configured\n", "");
    SAYS("Provisioning\n", "asks"); /* one refusal, whatever it said */
    SAYS("Provisioning\n", "asks");
    SAYS("Error: sensor not found\nProvisioning\n", "asks error");

    begin(state); /* what our own firmware says is clear at once */
    asked();
    SAYS("Error: expected 3 fields, got 2\n", "");
    SAYS("Error: expected 3 fields, got 2\n", "error");
    assert_string_equal(kl_console_refusal(&console), "Error: expected 3 fields, got 2");
}

static void its_own_lines_may_stand_between_those_of_a_read_back(void **state)
{
    (void)state;
    begin_with(false, &key);
    SAYS("Provisioned\nheap: 182344\nKey1: dev-0001\nIP: 10.0.0.7\nrssi: -61\nKey2: " SECRET1
         "\nI (523) wifi: mode: sta\nuptime: 3\nKey3: " SECRET2 "\n",
         "holds=");
    begin_with(false, &key); /* one of them was lost: it says all of it again */
    SAYS("Provisioned\nKey1: dev-0001\nheap: 1\nKey3: " SECRET2 "\nKey1: dev-0001\nheap: 2\n"
         "Key2: " SECRET1 "\nKey3: " SECRET2 "\n",
         "holds=");
}

static void lines_that_may_be_its_log_are_no_wrong_key(void **state)
{
    (void)state;
    begin_with(false, &key);
    SAYS("Provisioned\nKey1: dev-0001\nheap: 182344\nKey2: D56789\nKey3: " SECRET2 "\n", "");
    WAIT(KL_SEC(2), "timeout:no_readback");
    assert_non_null(strstr(last.why, "--field-names"));

    begin_with(false, &key); /* only these, and then silence: that is what it holds */
    SAYS("Provisioned\nKey1: dev-0001\nKey2: D56789\nKey3: " SECRET2 "\n", "");
    WAIT(KL_SEC(2), "holds!");

    begin_with(false, NULL); /* of a key that nobody knows, any lines may be the ones */
    SAYS("Provisioned\nheap: 1\nIP: 10.0.0.7\nKey1: dev-0001\n", "holds?");
    SAYS("Key2: " SECRET1 "\nKey3: " SECRET2 "\n", "holds? holds?");
    assert_true(kl_fingerprint_equal(&last.fingerprint, &key.fingerprint));
    WAIT(KL_SEC(2), "timeout:no_readback");
    begin_with(false, NULL);
    SAYS("Provisioned\n" VALUES, "holds?");
    WAIT(KL_SEC(2), "holds!");
}

static void values_may_stand_in_quotes(void **state)
{
    (void)state;
    begin_with(false, &key);
    SAYS("Provisioned\nKey1: \"dev-0001\"\nKey2: '" SECRET1 "'\nKey3: " SECRET2 "\n", "holds=");
}

static void a_prefix_may_stand_before_values_too(void **state)
{
    (void)state;
    begin_with(false, &key);
    SAYS("I (900) app: Provisioned\nI (901) app: Key1: dev-0001\nI (902) wifi: mode: sta\n"
         "I (903) app: Key2: " SECRET1 "\nI (1003) app: Key3: " SECRET2 "\n",
         "holds=");
    begin_with(false, &key); /* or before the words alone */
    SAYS("I (900) app: Provisioned\n" VALUES, "holds=");
}

static void a_word_in_a_log_is_no_bare_key(void **state)
{
    (void)state;
    SAYS("wifi: Provisioned\nhello\n", "");
    WAIT(KL_SEC(31), "timeout:never_asked");
}

static void what_looks_like_a_prompt_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"Provisioning v2\n", "Provisioning v2"},
        {"Waiting for Provisioning data\n", "Waiting for Provisioning data"},
        {"Provisioning with 5ec0aa77 now\n", "Provisioning with [masked] now"},
        {"Provisioning:hunter2secret\n", "[masked]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(state);
        SAYS(cases[i][0], "");
        assert_string_equal(kl_console_near_prompt(&console), cases[i][1]);
        WAIT(KL_SEC(31), "timeout:never_asked");
    }
    begin(state);
    SAYS("hello\n", "");
    assert_string_equal(kl_console_near_prompt(&console), "");
}

static void what_came_instead_of_an_acknowledgement_is_named(void **state)
{
    (void)state;
    asked();
    SAYS("I (12) boot: x\nkey stored in slot 3\n", "");
    assert_string_equal(kl_console_answer(&console), "key stored in slot 3");
    SAYS("got " SECRET2 "\n", "");
    assert_string_equal(kl_console_answer(&console), "got [masked]");
    SAYS("Provisioned v2 with 5ec0aa77\n", "");
    assert_string_equal(kl_console_answer(&console), "Provisioned v2 with [masked]");
}

static void the_operator_may_say_what_the_words_are(void **state)
{
    (void)state;
    words.prompt = "READY FOR KEY";
    words.ack = "OK stored";
    words.fields = "cfg.";
    begin_with(false, NULL);
    SAYS("> READY FOR KEY (v2)\n", "asks");
    send_key();
    SAYS("OK stored, 3 items\n", "ack");
    SAYS(BANNER "OK stored, 3 items\nheap: 1\ncfg.id=dev-0001\nuser: x\n", "restart");
    SAYS("I (7) app: cfg.key: " SECRET1 "\n{\"cfg.pass\":\"" SECRET2 "\"}\n", "holds=");
    begin_with(false, NULL);
    SAYS("Provisioning\n", "asks"); /* still one */
}

#define CASE(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_dressed_prompt_counts_when_it_comes_again),
        CASE(what_is_no_part_of_a_line_does_not_count),
        CASE(only_what_follows_our_line_acknowledges_it),
        CASE(without_a_read_back_only_the_bare_word_will_do),
        CASE(errors_of_the_programs_own_refuse_nothing),
        CASE(its_own_lines_may_stand_between_those_of_a_read_back),
        CASE(lines_that_may_be_its_log_are_no_wrong_key),
        CASE(values_may_stand_in_quotes),
        CASE(a_prefix_may_stand_before_values_too),
        CASE(a_word_in_a_log_is_no_bare_key),
        CASE(what_looks_like_a_prompt_is_named),
        CASE(what_came_instead_of_an_acknowledgement_is_named),
        CASE(the_operator_may_say_what_the_words_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
