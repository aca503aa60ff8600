/* The chip table against the reference (docs/esp-serial-protocol.md 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keyline/chip.h"

static void every_chip_is_found_by_its_names(void **state)
{
    (void)state;
    for (int id = 1; id < KL_CHIP_COUNT; id++) {
        const struct kl_chip *c = kl_chip((enum kl_chip_id)id);
        assert_int_equal(c->id, id);
        assert_ptr_equal(kl_chip_by_slug(c->slug), c);
        assert_ptr_equal(kl_chip_by_slug(c->name), c);
        assert_ptr_equal(kl_chip_by_magic(c->magic[0]), c);
        if (c->image_chip_id >= 0)
            assert_ptr_equal(kl_chip_by_image_id(c->image_chip_id), c);
    }
    assert_null(kl_chip_by_slug("esp32s31"));
    assert_null(kl_chip_by_slug("esp3"));
    assert_null(kl_chip_by_image_id(-1));
    assert_null(kl_chip_by_image_id(4));
    assert_null(kl_chip_by_magic(0));
}

static void bootloaders_lie_where_each_chip_looks(void **state)
{
    static const struct {
        enum kl_chip_id id;
        uint32_t offset;
    } places[] = {
        {KL_CHIP_ESP8266, 0},      {KL_CHIP_ESP32, 0x1000},   {KL_CHIP_ESP32S2, 0x1000},
        {KL_CHIP_ESP32S3, 0},      {KL_CHIP_ESP32C2, 0},      {KL_CHIP_ESP32C3, 0},
        {KL_CHIP_ESP32C5, 0x2000}, {KL_CHIP_ESP32C6, 0},      {KL_CHIP_ESP32C61, 0},
        {KL_CHIP_ESP32H2, 0},      {KL_CHIP_ESP32P4, 0x2000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        assert_int_equal(kl_chip(places[i].id)->bootloader_offset, places[i].offset);
}

static void flash_ids_give_sizes(void **state)
{
    (void)state;
    assert_int_equal(kl_flash_size_from_id(0x164020), 4u << 20);
    assert_int_equal(kl_flash_size_from_id(0x1840ef), 16u << 20);
    assert_int_equal(kl_flash_size_from_id(0x2040ef), 64u << 20);
    assert_int_equal(kl_flash_size_from_id(0x00471f), 4u << 20); /* Adesto */
    assert_int_equal(kl_flash_size_from_id(0x4040ef), 0);
    assert_true(kl_flash_id_is_absent(0xffffff));
    assert_true(kl_flash_id_is_absent(0xffff3f));
    assert_true(kl_flash_id_is_absent(0));
    assert_false(kl_flash_id_is_absent(0x164020));
}

static void size_codes_round_trip(void **state)
{
    const struct kl_chip *esp32 = kl_chip(KL_CHIP_ESP32);
    const struct kl_chip *esp8266 = kl_chip(KL_CHIP_ESP8266);

    (void)state;
    assert_int_equal(kl_chip_flash_size_code(esp32, 4u << 20), 0x20);
    assert_int_equal(kl_chip_flash_size_code(esp8266, 4u << 20), 0x40);
    assert_int_equal(kl_chip_flash_size_code(esp8266, 16u << 20), 0x90);
    assert_int_equal(kl_chip_flash_size_code(esp32, 512u << 10), -1);
    for (uint32_t size = 1u << 20; size <= 128u << 20; size <<= 1)
        assert_int_equal(
            kl_chip_flash_size_bytes(esp32, (uint8_t)kl_chip_flash_size_code(esp32, size)), size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_is_found_by_its_names),
        cmocka_unit_test(bootloaders_lie_where_each_chip_looks),
        cmocka_unit_test(flash_ids_give_sizes),
        cmocka_unit_test(size_codes_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
