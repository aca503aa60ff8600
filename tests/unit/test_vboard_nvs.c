/* A virtual board's storage is NVS as the chips have it: keyline's own reader, which shares no code
   with it, finds in it what the firmware stored; and it lasts through use, torn writes and rubbish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/nvs.h"
#include "vb.h"
#include "virtual/vboard_inside.h"

enum {
    NVS_AT = 0x9000,
    NVS_SIZE = 0x5000,
};

static void open_board(struct vb *v, const char *faults)
{
    struct kl_vboard_config config = {
        .chip = KL_CHIP_ESP32, .mac = {{0x24, 0x6f, 0x28, 1, 2, 3}}, .faults = faults, .seed = 1};

    vb_open(v, &config);
    vb_into_loader(v);
    vb_sync(v);
    vb_flash_firmware(v, KL_CHIP_ESP32);
}

static struct kl_nvs_image image_of(const struct vb *v)
{
    uint32_t size;

    return (struct kl_nvs_image){kl_vboard_flash(v->board, &size) + NVS_AT, NVS_SIZE};
}

static void check_stored(const struct vb *v, const char *name, const char *text)
{
    struct kl_nvs_image image = image_of(v);
    struct kl_nvs_item item;
    char value[KL_NVS_STRING_MAX], own[512];
    size_t size = sizeof own - 1;

    if (!kl_nvs_find(image, "provision", name, &item))
        fail_msg("%s is not there", name);
    assert_int_equal(item.type, KL_NVS_STRING);
    assert_int_equal(item.size, strlen(text) + 1);
    kl_nvs_read(image, &item, 0, (uint8_t *)value, item.size);
    assert_string_equal(value, text);
    assert_true(nvs_get(v->board, name, own, &size));
    own[size] = '\0';
    assert_string_equal(own, text);
}

static void what_the_firmware_stores_can_be_read(void **state)
{
    static struct vb v;
    struct kl_nvs_item item;

    (void)state;
    open_board(&v, "");
    vb_into_program(&v);
    vb_wait(&v, KL_SEC(2));
    vb_send(&v, "dev-1,aabb,ccdd\n");
    vb_wait(&v, KL_SEC(5));
    assert_string_equal(kl_vboard_stored(v.board), "dev-1,aabb,ccdd");
    assert_int_equal(kl_nvs_look(image_of(&v)), KL_NVS_IS_SOUND);
    check_stored(&v, "key1", "dev-1");
    check_stored(&v, "key3", "ccdd");
    assert_true(kl_nvs_find(image_of(&v), "provision", "count", &item));
    assert_int_equal(item.type, KL_NVS_U8);
    vb_close(&v);
}

/* Many more values than the partition has room for, each of them the newest when it is read. */
static void it_lasts_through_use(void **state)
{
    static struct vb v;
    char name[8], text[300];

    (void)state;
    open_board(&v, "");
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "key%u", i % 7);
        snprintf(text, sizeof text, "%u-%0*u", i, (int)(i * 37 % 250), i);
        assert_true(nvs_put(v.board, name, text, strlen(text)));
        check_stored(&v, name, text);
        if (i % 97 == 0)
            assert_int_equal(kl_nvs_look(image_of(&v)), KL_NVS_IS_SOUND);
    }
    for (unsigned k = 0; k < 7; k++) {
        struct kl_nvs_item item;
        snprintf(name, sizeof name, "key%u", k);
        assert_true(kl_nvs_find(image_of(&v), "provision", name, &item));
    }
    vb_close(&v);
}

static void a_torn_write_leaves_the_old_value(void **state)
{
    static struct vb v;

    (void)state;
    open_board(&v, "");
    assert_true(nvs_put(v.board, "key1", "before", 6));
    vb_close(&v);
    open_board(&v, "dies_storing=1");
    assert_false(nvs_put(v.board, "key1", "torn to pieces", 14));
    assert_true(nvs_put(v.board, "key1", "after", 5));
    check_stored(&v, "key1", "after");
    vb_close(&v);
}

/* The firmware erases what it can't use, as the chips' library tells it to. */
static void rubbish_is_cleared(void **state)
{
    static struct vb v;
    static uint8_t rubbish[NVS_SIZE];

    (void)state;
    open_board(&v, "");
    memset(rubbish, 0x5a, sizeof rubbish);
    flash_erase(v.board, NVS_AT, NVS_SIZE);
    assert_true(flash_program(v.board, NVS_AT, rubbish, sizeof rubbish));
    assert_true(nvs_put(v.board, "key1", "fresh", 5));
    check_stored(&v, "key1", "fresh");
    assert_int_equal(kl_nvs_look(image_of(&v)), KL_NVS_IS_SOUND);
    vb_close(&v);
}

/* What another program wrote into the same namespace is found, and kept. */
static void images_made_elsewhere_are_read(void **state)
{
    static struct vb v;
    static uint8_t image[NVS_SIZE];
    struct kl_nvs_build b;
    char value[64];
    size_t size = sizeof value;

    (void)state;
    open_board(&v, "");
    kl_nvs_begin(&b, image, sizeof image);
    assert_int_equal(kl_nvs_namespace(&b, "other"), KL_NVS_OK);
    assert_int_equal(kl_nvs_namespace(&b, "provision"), KL_NVS_OK);
    assert_int_equal(
        kl_nvs_put(&b, "key1", KL_NVS_AS_STRING, (struct kl_span){(const uint8_t *)"dev-9", 5}),
        KL_NVS_OK);
    flash_erase(v.board, NVS_AT, NVS_SIZE);
    assert_true(flash_program(v.board, NVS_AT, image, sizeof image));
    assert_true(nvs_get(v.board, "key1", value, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(value, "dev-9", 5);
    assert_true(nvs_put(v.board, "key2", "more", 4));
    check_stored(&v, "key1", "dev-9");
    check_stored(&v, "key2", "more");
    vb_close(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_firmware_stores_can_be_read),
        cmocka_unit_test(it_lasts_through_use),
        cmocka_unit_test(a_torn_write_leaves_the_old_value),
        cmocka_unit_test(rubbish_is_cleared),
        cmocka_unit_test(images_made_elsewhere_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
