/* The loader reads flash: stub and ROM, blank sectors and full ones, and a board that leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
#include "loader_bench.h"

enum {
    AT = 0x9000,
    SIZE = 0x4000
};

static uint8_t got[SIZE];

/* A board whose flash holds an image of odd bytes, delimiters of frames among them, at AT. */
static struct kl_bundle *odd_bundle(enum kl_chip_id chip, uint8_t wanted[SIZE])
{
    struct kl_bundle *bundle = lb_bundle(chip, 1000);

    memset(wanted, 0xFF, SIZE);
    for (unsigned i = 0; i < 0x1000; i++)
        wanted[i] = (uint8_t)(i % 3 == 0 ? 0xC0 : i % 3 == 1 ? 0xDB : i * 7);
    for (unsigned i = 0; i < 0x1000; i++)
        wanted[0x2000 + i] = (uint8_t)(i * 31 + i / 256);
    lb_bundle_add(bundle, "odd", AT, wanted, SIZE);
    return bundle;
}

static enum kl_loader_status read_all(struct lb *b, const struct kl_bundle *bundle)
{
    struct kl_loader_range range = {.offset = AT, .size = SIZE, .out = got, .md5 = bundle->md5};

    memset(got, 0x55, sizeof got);
    kl_loader_read_into(&b->loader, &range);
    return lb_run(b, KL_LOADER_READ, NULL);
}

static void read_one(enum kl_chip_id chip, bool stub)
{
    struct lb b;
    uint8_t wanted[SIZE];
    struct kl_bundle *bundle = odd_bundle(chip, wanted);

    lb_open(&b, &(struct lb_options){.chip = chip, .link = KL_LINK_SERIAL, .stub = stub});
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_FLASH, bundle), KL_LOADER_DONE);
    assert_int_equal(read_all(&b, bundle), KL_LOADER_DONE);
    assert_memory_equal(got, wanted, SIZE);
    /* The loader serves other questions as before. */
    assert_int_equal(lb_run(&b, KL_LOADER_VERIFY, bundle), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_RUN, NULL), KL_LOADER_DONE);
    assert_string_equal(kl_vboard_complaint(b.board), "");
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void every_chip_is_read(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
        if (chip == KL_CHIP_ESP8266)
            continue;
        read_one((enum kl_chip_id)chip, true);
        read_one((enum kl_chip_id)chip, false);
    }
}

static void a_rom_without_md5_says_that_it_cant(void **state)
{
    struct lb b;
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP8266, 1000);

    (void)state;
    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL});
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
    assert_int_equal(read_all(&b, bundle), KL_LOADER_FAILED);
    assert_int_equal(kl_loader_fault(&b.loader)->reason, KL_FAULT_PROTOCOL);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* Nothing that was heard in part counts, and the wait ends. */
static void a_board_that_falls_silent_is_told(void **state)
{
    struct lb b;
    uint8_t wanted[SIZE];
    struct kl_bundle *bundle = odd_bundle(KL_CHIP_ESP32, wanted);

    (void)state;
    for (int stub = 0; stub < 2; stub++) {
        lb_open(&b,
                &(struct lb_options){.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = stub});
        assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_FLASH, bundle), KL_LOADER_DONE);
        b.garbled_above = 1; /* from here on every byte is rubbish */
        assert_int_equal(read_all(&b, bundle), KL_LOADER_FAILED);
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

/* Blank bytes at a sector's end are not read; blank ones before others are. */
static void only_what_is_not_blank_is_read(void **state)
{
    static const struct {
        unsigned from, to, most; /* bytes that are not blank; bytes of answers at most */
    } cases[] = {{0, 60, 1700},   {0, 500, 1700},   {0, 512, 6500},
                 {0, 4096, 6500}, {600, 700, 6500}, {4095, 4096, 6500}};
    uint8_t wanted[4096];
    struct lb b;

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        unsigned from = cases[i / 2].from, to = cases[i / 2].to;
        struct kl_loader_range range = {
            .offset = 0x9000, .size = sizeof wanted, .out = got, .md5 = kl_md5};
        lb_open(&b, &(struct lb_options){
                        .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = i % 2 == 0});
        memset(wanted, 0xFF, sizeof wanted);
        for (unsigned n = from; n < to; n++)
            wanted[n] = (uint8_t)(n * 31 % 255);
        assert_true(kl_vboard_put_flash(b.board, 0x9000, wanted, sizeof wanted));
        assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
        uint64_t before = b.received;
        memset(got, 0, sizeof got);
        kl_loader_read_into(&b.loader, &range);
        assert_int_equal(lb_run(&b, KL_LOADER_READ, NULL), KL_LOADER_DONE);
        assert_memory_equal(got, wanted, sizeof wanted);
        if (b.received - before > cases[i / 2].most)
            fail_msg("%u … %u took %u bytes", from, to, (unsigned)(b.received - before));
        lb_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_is_read),
        cmocka_unit_test(only_what_is_not_blank_is_read),
        cmocka_unit_test(a_rom_without_md5_says_that_it_cant),
        cmocka_unit_test(a_board_that_falls_silent_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
