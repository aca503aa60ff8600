/* Chips with an 802.15.4 radio tell an EUI-64 beside their MAC; it is no other name for the board.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader_bench.h"

static void the_base_mac_is_who_it_is(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
        bool radio = chip == KL_CHIP_ESP32C5 || chip == KL_CHIP_ESP32C6 || chip == KL_CHIP_ESP32H2;
        struct lb_options o = {.chip = (enum kl_chip_id)chip, .link = KL_LINK_SERIAL};
        const struct kl_identity *id;
        struct kl_mac mac;
        struct lb b;

        lb_open(&b, &o);
        assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
        id = kl_loader_identity(&b.loader);
        mac = kl_vboard_mac(b.board);
        assert_true(kl_mac_equal(&id->mac, &mac));
        const uint8_t *m = mac.b;
        const uint8_t expected[8] = {m[0], m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
        const uint8_t none[8] = {0};
        assert_memory_equal(id->eui64.b, radio ? expected : none, 8);
        lb_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_base_mac_is_who_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
