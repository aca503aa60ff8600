/* cases_boards.c: boards that behave: one, many, every chip, every firmware. */
#include <string.h>

#include "e2e.h"

static void check_done(struct bench *b, unsigned n)
{
    struct outcome o;

    bench_outcome(b, n, &o);
    CHECK(strcmp(o.result, "done") == 0, "board %u: %s %s", n, o.result, o.reason);
    CHECK(bench_stored(b, n)[0], "board %u is done and holds no key", n);
    bench_check_flash(b, n);
}

static void all_done(unsigned count, enum kl_chip_id chip, const char *const *board_options,
                     const char *const *station_options, unsigned fields)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, count + 3, fields);
    bench_images(&b, chip);
    bench_boards(&b, count, board_options);
    station_run(&b, &p, station_options);
    CHECK(p.status == 0, "exit status %d", p.status);
    for (unsigned i = 1; i <= count; i++)
        check_done(&b, i);
    CHECK(bench_check_custody(&b) == count, "the marks are not as many as the boards");
    CHECK(bench_events(&b, "summary", NULL) == 1, "no summary");
    forget(&p);
    bench_remove(&b);
}

static void one(void)
{
    all_done(1, KL_CHIP_ESP32, NULL, WORDS("--once"), 3);
}

static void rom_loader(void)
{
    all_done(1, KL_CHIP_ESP32, NULL, WORDS("--once", "--stub=none"), 3);
}

static void eight_at_once(void)
{
    all_done(8, KL_CHIP_ESP32, NULL, WORDS("--once"), 3);
}

static void sixty_four_at_once(void)
{
    all_done(64, KL_CHIP_ESP32, NULL, WORDS("--once"), 3);
}

static void staggered(void)
{
    all_done(6, KL_CHIP_ESP32, NULL, WORDS("--once", "--max-flashing", "2"), 3);
}

static void erased_first(void)
{
    all_done(2, KL_CHIP_ESP32, NULL, WORDS("--once", "--erase"), 3);
}

static void every_chip(void)
{
    static const enum kl_chip_id chips[] = {
        KL_CHIP_ESP8266, KL_CHIP_ESP32S2, KL_CHIP_ESP32S3, KL_CHIP_ESP32C2,  KL_CHIP_ESP32C3,
        KL_CHIP_ESP32C6, KL_CHIP_ESP32H2, KL_CHIP_ESP32C5, KL_CHIP_ESP32C61, KL_CHIP_ESP32P4};

    for (size_t i = 0; i < sizeof chips / sizeof chips[0]; i++) {
        const char *slug = kl_chip(chips[i])->slug;
        printf("%s\n", slug);
        all_done(2, chips[i], WORDS("--chip", slug), WORDS("--once"), 3);
    }
}

static void original_firmware(void)
{
    struct bench b;
    struct process p;
    struct outcome o;

    bench_make(&b);
    bench_keys(&b, 25, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 20, WORDS("--firmware", "original"));
    station_run(&b, &p, WORDS("--once"));
    CHECK(p.status == 0, "exit status %d", p.status);
    for (unsigned i = 1; i <= 20; i++) {
        bench_outcome(&b, i, &o);
        CHECK(strcmp(o.result, "done") == 0 && o.tries == 1, "board %u: %s %s after %d tries", i,
              o.result, o.reason, o.tries);
    }
    CHECK(bench_check_custody(&b) == 20, "not all are marked");
    forget(&p);
    bench_remove(&b);
}

/* Each says it in its own way, and it is clear what it means (docs/firmware.md). */
static void nearly_the_protocol(void)
{
    static const char names[] =
        "fields,localised,quoted,prefixed,dots,coloured,nul,lowercase,chatty,"
        "grumbling,echo";

    all_done(11, KL_CHIP_ESP32, WORDS("--firmware", names), WORDS("--once"), 4);
    all_done(1, KL_CHIP_ESP32, WORDS("--firmware", "foreign"),
             WORDS("--once", "--prompt", "^READY FOR", "--ack", "^OK, stored$", "--field-names",
                   "^cfg[.]"),
             4);
    all_done(1, KL_CHIP_ESP32, WORDS("--firmware", "json"),
             WORDS("--once", "--field-names", "serial|user|wifi|pin"), 4);
}

/* What does not mean it for certain is named, and how to tell keyline. */
static void not_the_protocol(void)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 3, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 1, WORDS("--firmware", "versioned"));
    station_run(&b, &p, WORDS("--once", "--retries=0", "--prompt-timeout=2"));
    CHECK(p.status == 1, "exit status %d", p.status);
    CHECK(
        strstr(p.text[0], "the board said \"Provisioning v2\"; that is no prompt; --prompt REGEX"),
        "%s", p.text[0]);
    forget(&p);
    station_run(&b, &p,
                WORDS("--once", "--retries=0", "--ack-timeout=2", "--prompt", "^Provisioning v2$"));
    CHECK(strstr(p.text[0], "the board said \"Provisioned v2\"; that is no acknowledgement; --ack"),
          "%s", p.text[0]);
    forget(&p);
    bench_remove(&b);
}

static void digests(void)
{
    all_done(2, KL_CHIP_ESP32, WORDS("--firmware", "digest"), WORDS("--once"), 5);
}

static void one_field_and_many(void)
{
    all_done(2, KL_CHIP_ESP32, NULL, WORDS("--once"), 1);
    all_done(2, KL_CHIP_ESP32, NULL, WORDS("--once"), 7);
}

static void acknowledged_only(void)
{
    all_done(2, KL_CHIP_ESP32, WORDS("--fault", "no_readback"), WORDS("--once", "--confirm=ack"),
             3);
}

/* The same boards again: they keep their keys, nothing is written, no key is used. */
static void again(void)
{
    struct bench b;
    struct process p;
    struct outcome first[4], second;

    bench_make(&b);
    bench_keys(&b, 10, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 3, NULL);
    station_run(&b, &p, WORDS("--once"));
    for (unsigned i = 1; i <= 3; i++)
        bench_outcome(&b, i, &first[i]);
    forget(&p);
    station_run(&b, &p, WORDS("--once"));
    CHECK(p.status == 0, "exit status %d", p.status);
    for (unsigned i = 1; i <= 3; i++) {
        bench_outcome(&b, i, &second);
        CHECK(strcmp(second.result, "done") == 0 && second.already, "board %u: %s", i,
              second.result);
        CHECK(strcmp(first[i].label, second.label) == 0, "board %u has %s, then %s", i,
              first[i].label, second.label);
    }
    CHECK(bench_check_custody(&b) == 3, "a second key was used");
    forget(&p);
    bench_remove(&b);
}

/* Boards that come and go on three ports. */
static void count(void)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 20, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 3, WORDS("--replace", "0.1"));
    station_run(&b, &p, WORDS("--count", "9"));
    CHECK(p.status == 0, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 9, "not nine marks");
    CHECK(strstr(p.text[0], "9 done, 0 failed"), "%s", p.text[0]);
    forget(&p);
    bench_remove(&b);
}

const struct e2e_case cases_boards[] = {
    {"one", one},
    {"rom_loader", rom_loader},
    {"eight_at_once", eight_at_once},
    {"sixty_four_at_once", sixty_four_at_once},
    {"staggered", staggered},
    {"erased_first", erased_first},
    {"every_chip", every_chip},
    {"original_firmware", original_firmware},
    {"nearly_the_protocol", nearly_the_protocol},
    {"not_the_protocol", not_the_protocol},
    {"digests", digests},
    {"one_field_and_many", one_field_and_many},
    {"acknowledged_only", acknowledged_only},
    {"again", again},
    {"count", count},
    {NULL, NULL},
};
