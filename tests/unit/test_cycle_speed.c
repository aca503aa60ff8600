/* The whole cycle, plug to key, in virtual time: no figure here depends on the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bundle_folder.h"
#include "loader_bench.h"

static const struct lb_options board = {
    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true, .paced = true, .baud = 921600};

/* A program that boots and asks for a key, with images that compress as the benchmark's do. */
static struct kl_bundle *program_of(size_t payload)
{
    struct kl_demo_app app = {.payload = payload, .noise_percent = 55, .project = "bench"};

    assert_true(kl_demo_write(bundle_folder(), KL_CHIP_ESP32, &app));
    struct kl_bundle *bundle = load_firmware(in_folder("firmware.bin"));
    assert_non_null(bundle);
    return bundle;
}

static void assert_cycle(size_t payload, unsigned percent)
{
    struct kl_bundle *bundle = program_of(payload);
    struct lb_cycle c = lb_cycle(&board, bundle);

    print_message("%llu bytes: cycle %lld us; wire %lld, chip %lld, firmware %lld: %lld %%\n",
                  (unsigned long long)bundle->packed_total, (long long)c.all, (long long)c.wire,
                  (long long)c.chip, (long long)c.firmware, (long long)(c.all * 100 / c.limit));
    assert_true(c.all > c.limit);
    assert_true(c.all * 100 <= c.limit * percent);
    kl_bundle_free(bundle);
}

static void a_cycle_takes_little_more_than_wire_chip_and_firmware(void **state)
{
    (void)state;
    assert_cycle(900000, 110);
    assert_cycle(175000, 125); /* 107 KB on the wire */
}

/* The firmware prompts every 500 ms. The key goes out as soon as its reservation is durable,
   whatever the point of that period, and after the acknowledgement only the board is waited for. */
static void a_handover_waits_for_store_and_firmware_alone(void **state)
{
    static const kl_us stores[] = {0, KL_MS(5), KL_MS(90), KL_MS(300), KL_MS(460)};
    struct kl_bundle *bundle = program_of(20000);
    struct lb b;

    (void)state;
    lb_open(&b, &board);
    assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
    kl_us own = lb_firmware_time(&b);
    lb_close(&b);
    for (unsigned i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        lb_open(&b, &board);
        assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
        kl_us time = lb_hand_over(&b, stores[i]);
        print_message("store %lld us: handover %lld us, the firmware's own part %lld us\n",
                      (long long)stores[i], (long long)time, (long long)own);
        assert_true(time < own + stores[i] + KL_MS(10));
        lb_close(&b);
    }
    kl_bundle_free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_takes_little_more_than_wire_chip_and_firmware),
        cmocka_unit_test(a_handover_waits_for_store_and_firmware_alone),
    };

    return cmocka_run_group_tests(tests, bundle_folder_new, bundle_folder_drop);
}
