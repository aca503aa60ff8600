/* kl_loader's rates and stubs in virtual time: what it tries, what it gives up and how soon, and
   what the next board in the same place is spared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader_bench.h"

static void tell(const struct lb *b, enum kl_reason reason)
{
    const struct kl_fault *f = kl_loader_fault(&b->loader);

    if (reason != KL_FAULT_NONE)
        print_message("%s (%s), error 0x%04x, complaint \"%s\"\n%s", kl_fault_info(reason).name,
                      f->detail, f->chip_error, kl_vboard_complaint(b->board), b->notes);
}

static void must_work(struct lb *b, const struct kl_bundle *bundle)
{
    enum kl_reason reason = lb_whole(b, bundle);

    tell(b, reason);
    assert_int_equal(reason, KL_FAULT_NONE);
    assert_true(lb_flash_is_right(b, bundle));
}

/* The next board in the same place. */
static void next_board(struct lb *b, const struct lb_options *o)
{
    struct kl_loader_memory memory = *kl_loader_memory(&b->loader);

    lb_close(b);
    lb_open(b, o);
    b->loader.setup.memory = memory;
    kl_loader_init(&b->loader, &(struct kl_loader_setup){.console = &b->console,
                                                         .link = o->link,
                                                         .memory = memory,
                                                         .stubs = o->stub ? lb_stubs() : NULL,
                                                         .baud_max = o->baud});
}

static kl_us time_to_identify(struct lb *b)
{
    kl_us began = b->now;

    assert_int_equal(lb_run(b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    enum kl_loader_status status = lb_run(b, KL_LOADER_IDENTIFY, NULL);
    tell(b, kl_loader_fault(&b->loader)->reason);
    assert_int_equal(status, KL_LOADER_DONE);
    return b->now - began;
}

/* No rate and no stub works there: that must not take long to find out, and is not asked again at
   once. After a while it is. */
static void a_rom_that_hangs_is_soon_given_up(void **state)
{
    (void)state;
    for (int stub = 0; stub < 2; stub++)
        for (int network = 0; network < 2; network++) {
            struct lb b;
            struct lb_options o = {.chip = KL_CHIP_ESP32,
                                   .link = network ? KL_LINK_RFC2217 : KL_LINK_SERIAL,
                                   .stub = stub,
                                   .baud = 921600,
                                   .paced = true,
                                   .faults = "rom_hangs"};
            lb_open(&b, &o);
            assert_true(time_to_identify(&b) < KL_SEC(8));
            assert_int_equal(kl_loader_identity(&b.loader)->baud, 115200);
            assert_false(kl_loader_identity(&b.loader)->stub);
            assert_int_equal(lb_run(&b, KL_LOADER_RUN, NULL), KL_LOADER_DONE);
            next_board(&b, &o);
            assert_true(time_to_identify(&b) < KL_SEC(1));
            assert_int_equal(lb_run(&b, KL_LOADER_RUN, NULL), KL_LOADER_DONE);
            o.faults = NULL;
            for (int i = 0; i < 20; i++) {
                next_board(&b, &o);
                time_to_identify(&b);
                assert_int_equal(lb_run(&b, KL_LOADER_RUN, NULL), KL_LOADER_DONE);
            }
            next_board(&b, &o);
            time_to_identify(&b);
            assert_int_equal(kl_loader_identity(&b.loader)->baud, 921600);
            assert_int_equal(kl_loader_identity(&b.loader)->stub, stub);
            lb_close(&b);
        }
}

/* Nothing but the first rate passes: every rate is tried once, and the next board there is spared.
 */
static void a_wire_for_one_rate_is_soon_known(void **state)
{
    static const uint32_t bauds[] = {921600, 2000000};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct lb b;
        struct lb_options o = {.chip = KL_CHIP_ESP32,
                               .link = KL_LINK_RFC2217,
                               .stub = true,
                               .baud = bauds[i],
                               .paced = true};
        lb_open(&b, &o);
        b.garbled_above = 115200;
        kl_us time = time_to_identify(&b);
        print_message("%u baud: %lld us\n%s", bauds[i], (long long)time, b.notes);
        assert_true(time < KL_SEC(15));
        assert_int_equal(kl_loader_identity(&b.loader)->baud, 115200);
        assert_true(kl_loader_identity(&b.loader)->stub);
        assert_int_equal(lb_run(&b, KL_LOADER_RUN, NULL), KL_LOADER_DONE);
        next_board(&b, &o);
        b.garbled_above = 115200;
        assert_true(time_to_identify(&b) < KL_MS(1500));
        assert_true(kl_loader_identity(&b.loader)->stub);
        lb_close(&b);
    }
}

/* The upload goes at the ROM's higher rate; where the stub greets at the first one it is found
   there, and the next time at once. */
static void a_stub_is_found_at_whichever_rate_it_speaks(void **state)
{
    static const char *const faults[] = {NULL, "stub_returns", "crystal_26,clock_off",
                                         "clock_off,stub_returns"};

    (void)state;
    for (int chip = KL_CHIP_ESP32; chip < KL_CHIP_COUNT; chip++)
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            struct lb b;
            struct lb_options o = {.chip = (enum kl_chip_id)chip,
                                   .link = KL_LINK_SERIAL,
                                   .stub = true,
                                   .baud = 921600,
                                   .paced = true,
                                   .faults = faults[i]};
            lb_open(&b, &o);
            assert_true(time_to_identify(&b) < KL_MS(900));
            assert_true(kl_loader_identity(&b.loader)->stub);
            assert_int_equal(kl_loader_identity(&b.loader)->baud, 921600);
            next_board(&b, &o);
            kl_us time = time_to_identify(&b);
            if (time >= KL_MS(i % 2 ? 500 : 350))
                print_message("%s %s: %lld us\n%s", kl_chip((enum kl_chip_id)chip)->name,
                              faults[i] ? faults[i] : "", (long long)time, b.notes);
            assert_true(time < KL_MS(i % 2 ? 500 : 350));
            assert_true(kl_loader_identity(&b.loader)->stub);
            assert_int_equal(kl_loader_identity(&b.loader)->baud, 921600);
            lb_close(&b);
        }
}

/* A ROM that does not come along has its stub all the same, at the full rate, and the next board in
   that place is not asked. */
static void a_rom_that_refuses_a_rate_gets_its_stub_slowly(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32C3,
                           .link = KL_LINK_SERIAL,
                           .stub = true,
                           .baud = 921600,
                           .paced = true,
                           .faults = "no_baud=1"};

    (void)state;
    lb_open(&b, &o);
    time_to_identify(&b);
    assert_true(kl_loader_identity(&b.loader)->stub);
    assert_int_equal(kl_loader_identity(&b.loader)->baud, 921600);
    assert_non_null(strstr(b.notes, "the loader refuses 921600 baud"));
    assert_int_equal(kl_loader_memory(&b.loader)->rom_stays, KL_CHIP_ESP32C3);
    o.faults = NULL;
    next_board(&b, &o);
    time_to_identify(&b);
    assert_non_null(strstr(b.notes, "stub running\n921600 baud")); /* in this order */
    lb_close(&b);
}

/* A ROM that answers at a rate but loses blocks at it gets its stub slowly. */
static void a_rom_that_loses_blocks_gets_its_stub_slowly(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32S3,
                           .link = KL_LINK_SERIAL,
                           .stub = true,
                           .baud = 921600,
                           .paced = true,
                           .faults = "rom_overrun"};
    struct kl_bundle *bundle = lb_bundle(o.chip, 3001);

    (void)state;
    lb_open(&b, &o);
    must_work(&b, bundle);
    assert_true(b.now < KL_SEC(6));
    assert_true(kl_loader_identity(&b.loader)->stub);
    assert_non_null(strstr(b.notes, "stub running\n921600 baud"));
    assert_int_equal(kl_loader_memory(&b.loader)->rom_stays, KL_CHIP_ESP32S3);
    assert_int_equal(kl_loader_memory(&b.loader)->stub_deaths, 0);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* It is not loaded again and again: the ROM does the job. */
static void a_stub_that_greets_and_dies_leads_to_the_rom(void **state)
{
    static const uint32_t bauds[] = {115200, 921600};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct lb b;
        struct lb_options o = {.chip = KL_CHIP_ESP32,
                               .link = KL_LINK_SERIAL,
                               .stub = true,
                               .baud = bauds[i],
                               .paced = true,
                               .faults = "stub_dies"};
        struct kl_bundle *bundle = lb_bundle(o.chip, 20001);
        lb_open(&b, &o);
        must_work(&b, bundle);
        assert_non_null(strstr(b.notes, "the stub fell silent"));
        assert_false(kl_loader_identity(&b.loader)->stub);
        assert_true(b.now < KL_SEC(10));
        o.faults = NULL; /* one death proves nothing about the next board */
        next_board(&b, &o);
        must_work(&b, bundle);
        assert_true(kl_loader_identity(&b.loader)->stub);
        assert_int_equal(kl_loader_memory(&b.loader)->stub_deaths, 0);
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

/* Amid the work: that try fails, and the next one is the ROM's. */
static void a_stub_that_falls_silent_at_work_leads_to_the_rom(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32,
                           .link = KL_LINK_SERIAL,
                           .stub = true,
                           .baud = 115200,
                           .faults = "deaf_after=20000"};
    struct kl_bundle *bundle = lb_bundle(o.chip, 70001);

    (void)state;
    lb_open(&b, &o);
    assert_int_equal(lb_whole(&b, bundle), KL_FAULT_TIMEOUT);
    o.faults = NULL;
    next_board(&b, &o);
    must_work(&b, bundle);
    assert_false(kl_loader_identity(&b.loader)->stub);
    next_board(&b, &o);
    must_work(&b, bundle);
    assert_true(kl_loader_identity(&b.loader)->stub);
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void rates_fall_back_to_one_that_works(void **state)
{
    struct lb b;
    struct lb_options o = {
        .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true, .baud = 2000000};
    struct kl_bundle *bundle = lb_bundle(o.chip, 20001);

    (void)state;
    lb_open(&b, &o);
    b.baud_limit = 500000; /* the adapter refuses more, after the chip has already switched */
    must_work(&b, bundle);
    assert_non_null(strstr(b.notes, "460800 baud\n"));
    lb_close(&b);

    lb_open(&b, &o);
    b.garbled_above = 921600; /* the adapter takes it, the cable does not */
    must_work(&b, bundle);
    assert_non_null(strstr(b.notes, "2000000 baud does not work here"));
    assert_non_null(strstr(b.notes, "\n921600 baud\n"));
    lb_close(&b);

    o.baud = 1000000; /* what the operator asks for is tried even if it is in no table */
    lb_open(&b, &o);
    must_work(&b, bundle);
    assert_non_null(strstr(b.notes, "1000000 baud\n"));
    lb_close(&b);

    lb_open(&b, &o);
    b.baud_refused = true;
    assert_int_equal(lb_whole(&b, bundle), KL_FAULT_ADAPTER_SETTING);
    lb_close(&b);
    lb_bundle_free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rom_that_hangs_is_soon_given_up),
        cmocka_unit_test(a_wire_for_one_rate_is_soon_known),
        cmocka_unit_test(a_stub_is_found_at_whichever_rate_it_speaks),
        cmocka_unit_test(a_rom_that_refuses_a_rate_gets_its_stub_slowly),
        cmocka_unit_test(a_rom_that_loses_blocks_gets_its_stub_slowly),
        cmocka_unit_test(a_stub_that_greets_and_dies_leads_to_the_rom),
        cmocka_unit_test(a_stub_that_falls_silent_at_work_leads_to_the_rom),
        cmocka_unit_test(rates_fall_back_to_one_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
