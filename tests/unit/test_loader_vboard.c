/* kl_loader against virtual boards, in virtual time: every chip, both loaders, and what goes wrong
   on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void flash_one(const struct lb_options *o)
{
    struct lb b;
    struct kl_bundle *bundle = lb_bundle(o->chip, 200001);

    lb_open(&b, o);
    enum kl_reason reason = lb_whole(&b, bundle);
    tell(&b, reason);
    assert_int_equal(reason, KL_FAULT_NONE);
    assert_true(lb_flash_is_right(&b, bundle));
    assert_string_equal(kl_vboard_complaint(b.board), "");
    struct kl_mac mac = kl_vboard_mac(b.board);
    assert_true(kl_mac_equal(&kl_loader_identity(&b.loader)->mac, &mac));
    assert_int_equal(kl_loader_identity(&b.loader)->chip, o->chip);
    assert_int_equal(kl_loader_identity(&b.loader)->stub, o->stub);
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void every_chip_is_flashed_by_its_rom(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++)
        flash_one(&(struct lb_options){.chip = (enum kl_chip_id)chip, .link = KL_LINK_SERIAL});
}

static void every_chip_is_flashed_by_its_stub(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++)
        flash_one(&(struct lb_options){
            .chip = (enum kl_chip_id)chip, .link = KL_LINK_RFC2217, .stub = true, .baud = 921600});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_is_flashed_by_its_rom),
        cmocka_unit_test(every_chip_is_flashed_by_its_stub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
