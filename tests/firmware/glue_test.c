/*
 * The Arduino sketch or the ESP-IDF example as a whole, against stand-in headers: what a board that
 * runs it says, keeps and forgets, through restarts and power cuts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sha2.h>

#include "world.h"

void program(void); /* one start of the board, up to its end */

static const char line[] =
    "board-1,00112233445566778899aabbccddeeff,ffeeddccbbaa99887766554433221100\n";
static const char other[] =
    "board-2,a0a1a2a3a4a5a6a7a8a9aaabacadaeaf,b0b1b2b3b4b5b6b7b8b9babbbcbdbebf\n";

static int fresh(void **state)
{
    (void)state;
    memset(world, 0, sizeof *world);
    world->operations_left = -1;
    return 0;
}

static enum world_end start(const char *input, uint32_t step_ms, uint32_t end_ms)
{
    world->input = input;
    world->input_at_ms = 700;
    world->input_step_ms = step_ms;
    world->end_ms = end_ms;
    return world_start(program);
}

/* What a board says that holds the key of `text`. */
static void expect_readback(const char *text)
{
    char fields[300], expected[600], hex[2][SHA256_DIGEST_STRING_LENGTH];
    char *rest = fields;

    snprintf(fields, sizeof fields, "%.*s", (int)strcspn(text, "\n"), text);
    const char *label = strsep(&rest, ",");
    for (int i = 0; i < 2; i++) {
        const char *field = strsep(&rest, ",");
        SHA256Data((const uint8_t *)field, strlen(field), hex[i]);
    }
    snprintf(expected, sizeof expected,
             "Provisioned\r\nuuid: %s\r\nnetwork key: sha256:%s\r\napp key: sha256:%s\r\n", label,
             hex[0], hex[1]);
    assert_string_equal(world->output, expected);
}

static bool is_asking(void)
{
    return strncmp(world->output, "Provisioning\r\n", 14) == 0;
}

/* A start in which nothing comes in tells what the board holds: 1 for `line`, 2 for `other`. */
static int what_it_holds(void)
{
    assert_int_equal(start(NULL, 0, 300), WORLD_TIME_UP);
    if (is_asking())
        return 0;
    bool first = strstr(world->output, "board-1") != NULL;
    expect_readback(first ? line : other);
    return first ? 1 : 2;
}

static void hold_button(uint32_t from_ms, uint32_t for_ms)
{
    world->button_from_ms = from_ms;
    world->button_until_ms = from_ms + for_ms;
}

static void asks_every_half_second(void **state)
{
    unsigned times = 0;

    (void)state;
    assert_int_equal(start(NULL, 0, 10000), WORLD_TIME_UP);
    for (const char *at = world->output; (at = strstr(at, "Provisioning\r\n")); at++)
        times++;
    assert_int_equal(world->output_size, 14 * times);
    assert_in_range(times, 19, 21);
}

static void takes_its_key_and_reads_it_back(void **state)
{
    (void)state;
    for (uint32_t step_ms = 0; step_ms < 12; step_ms += 4) {
        fresh(NULL);
        assert_int_equal(start(line, step_ms, 20000), WORLD_RESTARTED);
        assert_non_null(strstr(world->output, "\r\nProvisioned\r\n"));
        assert_null(strstr(world->output, "Error"));
        assert_int_equal(what_it_holds(), 1);
    }
}

static void keys_are_never_printed_and_the_product_runs_quietly(void **state)
{
    (void)state;
    start(line, 0, 20000);
    assert_null(strstr(world->output, "00112233"));
    assert_int_equal(start(other, 0, 30000), WORLD_TIME_UP);
    expect_readback(line);
    assert_int_equal(what_it_holds(), 1);
}

static void the_longest_line_fits(void **state)
{
    char longest[257];

    (void)state;
    memset(longest, 'x', 255);
    longest[60] = longest[120] = ',';
    longest[255] = '\n';
    longest[256] = '\0';
    assert_int_equal(start(longest, 0, 20000), WORLD_RESTARTED);
    start(NULL, 0, 300);
    expect_readback(longest);
}

static void other_lines_are_refused_and_forgotten(void **state)
{
    char input[300];

    (void)state;
    snprintf(input, sizeof input, "a,b\n%s", line);
    assert_int_equal(start(input, 0, 20000), WORLD_RESTARTED);
    assert_non_null(strstr(world->output, "Error: expected 3 fields, got 2\r\n"));
    assert_int_equal(what_it_holds(), 1);
}

static void the_button_must_be_held_for_five_seconds(void **state)
{
    (void)state;
    start(line, 0, 20000);
    hold_button(2000, 4500);
    assert_int_equal(start(NULL, 0, 20000), WORLD_TIME_UP);
    assert_int_equal(what_it_holds(), 1);
    hold_button(2000, 8000);
    world->button_up_ms = 5500;
    assert_int_equal(start(NULL, 0, 20000), WORLD_TIME_UP);
    assert_int_equal(what_it_holds(), 1);
}

static void the_button_takes_the_key_back(void **state)
{
    (void)state;
    start(line, 0, 20000);
    hold_button(2000, 6000);
    assert_int_equal(start(NULL, 0, 20000), WORLD_RESTARTED);
    hold_button(0, 0);
    for (size_t i = 0; i < WORLD_ITEMS; i++)
        assert_string_equal(world->item[i].name, "");
    assert_int_equal(what_it_holds(), 0);
    assert_int_equal(start(other, 0, 20000), WORLD_RESTARTED);
    assert_int_equal(what_it_holds(), 2);
}

static void a_power_cut_while_storing_leaves_nothing_or_all(void **state)
{
    unsigned cuts = 0;

    (void)state;
    for (int n = 0;; n++) {
        fresh(NULL);
        world->operations_left = n;
        enum world_end end = start(line, 0, 20000);
        world->operations_left = -1;
        if (end == WORLD_RESTARTED)
            break;
        assert_int_equal(end, WORLD_POWER_LOST);
        cuts++;
        assert_null(strstr(world->output, "Provisioned"));
        if (what_it_holds() == 0)
            assert_int_equal(start(other, 0, 20000), WORLD_RESTARTED);
        assert_int_not_equal(what_it_holds(), 0);
    }
    assert_int_equal(cuts, 4);
}

static void a_power_cut_while_forgetting_leaves_nothing_or_all(void **state)
{
    unsigned cuts = 0;

    (void)state;
    for (int n = 0;; n++) {
        fresh(NULL);
        start(line, 0, 20000);
        hold_button(1000, 9000);
        world->operations_left = n;
        enum world_end end = start(NULL, 0, 20000);
        world->operations_left = -1;
        hold_button(0, 0);
        if (end == WORLD_RESTARTED)
            break;
        assert_int_equal(end, WORLD_POWER_LOST);
        cuts++;
        if (what_it_holds() == 0)
            assert_int_equal(start(other, 0, 20000), WORLD_RESTARTED);
        assert_int_not_equal(what_it_holds(), 0);
    }
    assert_true(cuts >= 4);
}

static void broken_storage_is_said_and_nothing_acknowledged(void **state)
{
    (void)state;
    world->storage_is_broken = true;
    assert_int_equal(start(line, 0, 5000), WORLD_TIME_UP);
    assert_non_null(strstr(world->output, "Error: storing failed\r\n"));
    assert_null(strstr(world->output, "Provisioned"));
}

#ifdef GLUE_IS_ARDUINO
static void put_text(const char *name, const char *value)
{
    assert_true(world_put(name, value, strlen(value) + 1));
}

/* A board that the original tool's example stored a key in. */
static void keeps_the_key_of_the_original_example(void **state)
{
    char fields[sizeof line], *rest = fields;

    (void)state;
    snprintf(fields, sizeof fields, "%.*s", (int)sizeof line - 2, line);
    put_text("key1", strsep(&rest, ","));
    put_text("key2", strsep(&rest, ","));
    put_text("key3", rest);
    assert_true(world_put("done", "\1", 1));
    assert_int_equal(what_it_holds(), 1);
    for (int n = 0; n < 6; n++) {
        hold_button(1000, 9000);
        world->operations_left = n;
        start(NULL, 0, 20000);
        world->operations_left = -1;
        hold_button(0, 0);
        if (what_it_holds() == 0)
            break;
    }
    assert_int_equal(what_it_holds(), 0);
    start(other, 0, 20000);
    assert_int_equal(what_it_holds(), 2);
}
#else
/* Arduino's core makes NVS ready by itself, ESP-IDF leaves it to the product. */
static void a_partition_that_was_never_nvs_is_made_ready(void **state)
{
    (void)state;
    world->storage_is_rubbish = true;
    assert_int_equal(start(line, 0, 20000), WORLD_RESTARTED);
    assert_int_equal(what_it_holds(), 1);
}

static void a_uart_is_given_back_to_the_product(void **state)
{
    (void)state;
    start(line, 0, 20000);
    start(NULL, 0, 1000);
#ifdef CONFIG_ESP_CONSOLE_UART
    assert_false(world->console_open);
#else
    assert_true(world->console_open);
#endif
}
#endif

#define CASE(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(asks_every_half_second),
        CASE(takes_its_key_and_reads_it_back),
        CASE(keys_are_never_printed_and_the_product_runs_quietly),
        CASE(the_longest_line_fits),
        CASE(other_lines_are_refused_and_forgotten),
        CASE(the_button_must_be_held_for_five_seconds),
        CASE(the_button_takes_the_key_back),
        CASE(a_power_cut_while_storing_leaves_nothing_or_all),
        CASE(a_power_cut_while_forgetting_leaves_nothing_or_all),
        CASE(broken_storage_is_said_and_nothing_acknowledged),
#ifdef GLUE_IS_ARDUINO
        CASE(keeps_the_key_of_the_original_example),
#else
        CASE(a_partition_that_was_never_nvs_is_made_ready),
        CASE(a_uart_is_given_back_to_the_product),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
