/* kl_loader against virtual boards, in virtual time: every chip, both loaders, and what goes wrong
   on the way. A task that never ends fails in lb_run. */
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

static void must_work(struct lb *b, const struct kl_bundle *bundle)
{
    enum kl_reason reason = lb_whole(b, bundle);

    tell(b, reason);
    assert_int_equal(reason, KL_FAULT_NONE);
    assert_true(lb_flash_is_right(b, bundle));
}

static void flash_one(const struct lb_options *o)
{
    struct lb b;
    struct kl_bundle *bundle = lb_bundle(o->chip, 100001);

    lb_open(&b, o);
    must_work(&b, bundle);
    assert_string_equal(kl_vboard_complaint(b.board), "");
    const struct kl_identity *id = kl_loader_identity(&b.loader);
    struct kl_mac mac = kl_vboard_mac(b.board);
    assert_true(kl_mac_equal(&id->mac, &mac));
    assert_int_equal(id->chip, o->chip);
    assert_int_equal(id->stub, o->stub);
    assert_int_equal(id->flash_size, o->flash_size ? o->flash_size : 4u << 20);
    const struct kl_loader_progress *p = kl_loader_progress(&b.loader);
    assert_int_equal(p->done, p->total);
    assert_int_equal(p->retries, 0);
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void every_chip_is_flashed_by_its_rom(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
        flash_one(&(struct lb_options){.chip = (enum kl_chip_id)chip, .link = KL_LINK_SERIAL});
        flash_one(&(struct lb_options){
            .chip = (enum kl_chip_id)chip, .link = KL_LINK_RFC2217, .baud = 921600, .paced = true});
    }
}

static void every_chip_is_flashed_by_its_stub(void **state)
{
    (void)state;
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
        flash_one(&(struct lb_options){
            .chip = (enum kl_chip_id)chip, .link = KL_LINK_RFC2217, .stub = true, .baud = 921600});
        flash_one(&(struct lb_options){.chip = (enum kl_chip_id)chip,
                                       .link = KL_LINK_SERIAL,
                                       .stub = true,
                                       .baud = 2000000,
                                       .flash_size = 8u << 20,
                                       .paced = true});
    }
}

static void native_usb_gets_blocks_that_it_takes(void **state)
{
    (void)state;
    for (int stub = 0; stub < 2; stub++) {
        flash_one(&(struct lb_options){
            .chip = KL_CHIP_ESP32S3, .link = KL_LINK_USB_OTG, .stub = stub, .baud = 921600});
        flash_one(&(struct lb_options){
            .chip = KL_CHIP_ESP32S2, .link = KL_LINK_USB_OTG, .stub = stub, .baud = 921600});
        flash_one(&(struct lb_options){
            .chip = KL_CHIP_ESP32C3, .link = KL_LINK_USB_JTAG, .stub = stub, .paced = true});
    }
}

static void revisions_are_read_and_rule_the_stub(void **state)
{
    static const struct {
        enum kl_chip_id chip;
        uint16_t revision;
        bool stub;
    } rows[] = {
        {KL_CHIP_ESP32, 0, true},     {KL_CHIP_ESP32, 100, true},   {KL_CHIP_ESP32, 301, true},
        {KL_CHIP_ESP32S3, 1, true},   {KL_CHIP_ESP32C3, 4, true},   {KL_CHIP_ESP32C3, 101, true},
        {KL_CHIP_ESP32C2, 100, true}, {KL_CHIP_ESP32P4, 103, true}, {KL_CHIP_ESP32P4, 300, true},
        {KL_CHIP_ESP32P4, 301, true}, {KL_CHIP_ESP32C6, 2, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct lb_options o = {.chip = rows[i].chip,
                               .link = KL_LINK_SERIAL,
                               .stub = true,
                               .revision = rows[i].revision};
        if (rows[i].revision == 0)
            continue;
        lb_open(&b, &o);
        assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
        enum kl_loader_status status = lb_run(&b, KL_LOADER_IDENTIFY, NULL);
        tell(&b, kl_loader_fault(&b.loader)->reason);
        assert_int_equal(status, KL_LOADER_DONE);
        assert_int_equal(kl_loader_identity(&b.loader)->revision, rows[i].revision);
        assert_int_equal(kl_loader_identity(&b.loader)->stub, rows[i].stub);
        lb_close(&b);
    }
}

static void what_is_there_is_not_written_again(void **state)
{
    (void)state;
    for (int stub = 0; stub < 2; stub++) {
        struct lb b;
        struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = stub};
        struct kl_bundle *bundle = lb_bundle(o.chip, 30001);
        lb_open(&b, &o);
        must_work(&b, bundle);
        assert_int_equal(kl_loader_progress(&b.loader)->skipped, 0);
        must_work(&b, bundle);
        const struct kl_loader_progress *p = kl_loader_progress(&b.loader);
        assert_int_equal(p->skipped, 3);
        assert_int_equal(p->wire, 0);
        assert_int_equal(p->done, p->total);
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

static void erasing_all_leaves_nothing_else(void **state)
{
    static const struct lb_options rows[] = {
        {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL},
        {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true},
        {.chip = KL_CHIP_ESP32C3, .link = KL_LINK_SERIAL},
        {.chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL, .flash_size = 2u << 20},
    };
    uint8_t old[5000];

    (void)state;
    memset(old, 0x5A, sizeof old);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct kl_bundle *first = lb_bundle(rows[i].chip, 30001);
        struct kl_bundle *second = lb_bundle(rows[i].chip, 20001);
        uint32_t size;
        lb_bundle_add(first, "old", 0x1F0000, old, sizeof old);
        lb_open(&b, &rows[i]);
        must_work(&b, first);
        second->erase_all = true;
        must_work(&b, second);
        const uint8_t *flash = kl_vboard_flash(b.board, &size);
        for (uint32_t at = 0x10000 + 20004; at < size; at++)
            assert_int_equal(flash[at], 0xFF);
        lb_close(&b);
        lb_bundle_free(first);
        lb_bundle_free(second);
    }
}

/* What the ROM writes beside the images, and what it erases, must not touch their neighbours. */
static void neighbours_keep_their_bytes(void **state)
{
    uint8_t keep[0x1000];

    (void)state;
    memset(keep, 0x3C, sizeof keep);
    for (int stub = 0; stub < 2; stub++) {
        for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
            struct lb b;
            if (chip == KL_CHIP_ESP8266 && !stub)
                continue; /* its ROM erases in pairs of sectors, whatever it is asked */
            struct lb_options o = {
                .chip = (enum kl_chip_id)chip, .link = KL_LINK_SERIAL, .stub = stub};
            struct kl_bundle *nvs = lb_bundle(o.chip, 20001), *update = lb_bundle(o.chip, 25001);
            uint32_t size;
            lb_bundle_add(nvs, "nvs", 0x9000, keep, sizeof keep);
            lb_bundle_add(nvs, "behind", 0x17000, keep, sizeof keep);
            lb_open(&b, &o);
            must_work(&b, nvs);
            must_work(&b, update);
            const uint8_t *flash = kl_vboard_flash(b.board, &size);
            assert_memory_equal(flash + 0x9000, keep, sizeof keep);
            assert_memory_equal(flash + 0x17000, keep, sizeof keep);
            lb_close(&b);
            lb_bundle_free(nvs);
            lb_bundle_free(update);
        }
    }
}

/* One damaged, lost or doubled byte anywhere: the flash is right in the end, or a fault says so. */
static void one_bad_byte_never_goes_unnoticed(void **state)
{
    static const char *const kinds[] = {"drop_rx", "flip_rx", "double_rx",
                                        "drop_tx", "flip_tx", "double_tx"};
    static const struct lb_options rows[] = {
        {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL},
        {.chip = KL_CHIP_ESP32, .link = KL_LINK_RFC2217, .stub = true, .baud = 921600},
        {.chip = KL_CHIP_ESP32C3, .link = KL_LINK_SERIAL, .baud = 460800},
        {.chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL},
    };
    unsigned runs = 0, healed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kl_bundle *bundle = lb_bundle(rows[i].chip, 3001);
        for (unsigned k = 0; k < 6; k++) {
            unsigned last = k < 3 ? 26000 : 1100, step = k < 3 ? 557 : 23;
            for (unsigned at = 1 + (unsigned)i * 7; at < last; at += step) {
                struct lb_options o = rows[i];
                struct lb b;
                char fault[32];
                snprintf(fault, sizeof fault, "%s=%u", kinds[k], at);
                o.faults = fault;
                lb_open(&b, &o);
                enum kl_reason reason = lb_whole(&b, bundle);
                if (reason == KL_FAULT_NONE)
                    assert_true(lb_flash_is_right(&b, bundle));
                struct kl_mac mac = kl_vboard_mac(b.board);
                if (kl_mac_is_set(&kl_loader_identity(&b.loader)->mac))
                    assert_true(kl_mac_equal(&kl_loader_identity(&b.loader)->mac, &mac));
                runs++;
                healed += reason == KL_FAULT_NONE;
                lb_close(&b);
            }
        }
        lb_bundle_free(bundle);
    }
    /* And nearly always it is mended on the spot. */
    assert_true(healed * 100 >= runs * 99);
}

/* Each was found by trying every byte. */
static void these_bad_bytes_are_mended(void **state)
{
    static const struct {
        struct lb_options o;
        const char *why;
    } rows[] = {
        {{.chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL, .faults = "flip_rx=4953"},
         "a block that lost its end was refused, and the refusal taken for \"I have it\""},
        {{.chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL, .faults = "flip_rx=25458"},
         "the same with the last block"},
        {{.chip = KL_CHIP_ESP8266,
          .link = KL_LINK_SERIAL,
          .stub = true,
          .baud = 460800,
          .faults = "flip_tx=355"},
         "the rate was changed, but the answer said no"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct kl_bundle *bundle = lb_bundle(rows[i].o.chip, 3001);
        lb_open(&b, &rows[i].o);
        must_work(&b, bundle);
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

/* Without MD5 a begin that went astray would leave the old bytes, and no complaint. */
static void a_rom_without_md5_is_still_verified(void **state)
{
    struct lb b;
    struct lb_options o = {
        .chip = KL_CHIP_ESP8266, .link = KL_LINK_SERIAL, .faults = "flip_rx=711"};
    struct kl_bundle *bundle = lb_bundle(o.chip, 3001);

    (void)state;
    lb_open(&b, &o);
    enum kl_reason reason = lb_whole(&b, bundle);
    assert_true(reason == KL_FAULT_NONE ? lb_flash_is_right(&b, bundle)
                                        : reason == KL_FAULT_VERIFY_FAILED);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* A ROM that is busy elsewhere loses a byte now and then. */
static void a_rom_gets_through_a_line_that_loses_some(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 150001);
    struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_RFC2217, .faults = "noise=20000"};
    struct lb b;

    (void)state;
    lb_open(&b, &o);
    must_work(&b, bundle);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* Each change of the lines takes seconds: seven attempts would take minutes. */
static void a_slow_port_with_a_deaf_board_is_given_up_in_time(void **state)
{
    struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_RFC2217, .faults = "deaf"};
    struct lb b;

    (void)state;
    lb_open(&b, &o);
    b.network = true;
    b.io_delay = KL_SEC(4);
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_FAILED);
    assert_int_equal(b.loader.fault.reason, KL_FAULT_NO_TX_PATH);
    assert_true(b.now > KL_SEC(60));
    assert_true(b.now < KL_SEC(90));
    lb_close(&b);
}

static void faults_have_their_names(void **state)
{
    static const struct {
        const char *faults;
        enum kl_chip_id chip;
        bool stub;
        enum kl_reason reason;
    } rows[] = {
        {"no_sync=3", KL_CHIP_ESP32, false, KL_FAULT_NONE},
        {"no_sync", KL_CHIP_ESP32, false, KL_FAULT_NO_TX_PATH},
        {"mute", KL_CHIP_ESP32, false, KL_FAULT_NO_SYNC},
        {"deaf", KL_CHIP_ESP32C3, false, KL_FAULT_NO_TX_PATH},
        {"no_auto_reset=2", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"no_auto_reset", KL_CHIP_ESP32S3, false, KL_FAULT_WRONG_BOOT_MODE},
        {"flash_encrypted", KL_CHIP_ESP32, true, KL_FAULT_FLASH_ENCRYPTED},
        {"flash_encrypted", KL_CHIP_ESP32C6, true, KL_FAULT_FLASH_ENCRYPTED},
        {"secure_boot", KL_CHIP_ESP32, true, KL_FAULT_SECURE_BOOT},
        {"secure_boot", KL_CHIP_ESP32S2, true, KL_FAULT_SECURE_BOOT},
        {"secure_download", KL_CHIP_ESP32C3, true, KL_FAULT_SECURE_DOWNLOAD},
        {"secure_download", KL_CHIP_ESP32S2, true, KL_FAULT_SECURE_DOWNLOAD},
        {"mac_empty", KL_CHIP_ESP32H2, true, KL_FAULT_BAD_MAC},
        {"no_flash", KL_CHIP_ESP32, true, KL_FAULT_NO_FLASH},
        {"no_flash", KL_CHIP_ESP8266, false, KL_FAULT_NO_FLASH},
        {"stub_fails=1", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"stub_fails", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"rom_hangs", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"stub_dies", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"stub_returns", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"crystal_26", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"no_baud", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"write_fails=2", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"write_fails=2", KL_CHIP_ESP32, false, KL_FAULT_NONE},
        {"write_fails", KL_CHIP_ESP32, true, KL_FAULT_WRITE_FAILED},
        {"write_fails", KL_CHIP_ESP32C3, false, KL_FAULT_WRITE_FAILED},
        {"bad_cell=0x10100", KL_CHIP_ESP32, false, KL_FAULT_WRITE_FAILED},
        {"bad_cell=0x10100", KL_CHIP_ESP32, true, KL_FAULT_VERIFY_FAILED},
        {"md5_wrong=1", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"md5_wrong", KL_CHIP_ESP32, true, KL_FAULT_VERIFY_FAILED},
        {"silent_after=900", KL_CHIP_ESP32, true, KL_FAULT_TIMEOUT},
        {"deaf_after=9000", KL_CHIP_ESP32, false, KL_FAULT_TIMEOUT},
        {"reset_at=5000", KL_CHIP_ESP32, false, KL_FAULT_BOARD_CHANGED},
        {"slow=150,chatter", KL_CHIP_ESP32, true, KL_FAULT_NONE},
        {"noise=400", KL_CHIP_ESP32, true, KL_FAULT_LINE_NOISE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct lb_options o = {.chip = rows[i].chip,
                               .link = KL_LINK_SERIAL,
                               .stub = rows[i].stub,
                               .faults = rows[i].faults};
        struct kl_bundle *bundle = lb_bundle(rows[i].chip, 20001);
        lb_open(&b, &o);
        enum kl_reason reason = lb_whole(&b, bundle);
        if (reason != rows[i].reason) {
            print_message("with %s on %s:\n", rows[i].faults, kl_chip(rows[i].chip)->name);
            tell(&b, reason);
        }
        assert_int_equal(reason, rows[i].reason);
        if (reason == KL_FAULT_NONE)
            assert_true(lb_flash_is_right(&b, bundle));
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

static void waits_count_from_completion(void **state)
{
    static const kl_us delays[] = {KL_MS(1), KL_MS(80), KL_MS(700)};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 20001);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct lb b;
        struct lb_options o = {
            .chip = KL_CHIP_ESP32, .link = KL_LINK_RFC2217, .stub = true, .baud = 921600};
        lb_open(&b, &o);
        b.io_delay = delays[i];
        must_work(&b, bundle);
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

static void an_adapter_that_hangs_is_named(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL};

    (void)state;
    lb_open(&b, &o);
    b.io_dead = true;
    assert_int_equal(lb_whole(&b, NULL), KL_FAULT_LINK_STUCK);
    /* And once it lives again, so does the loader. */
    b.io_dead = false;
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    lb_close(&b);
}

static void an_adapter_without_lines_needs_a_board_in_its_loader(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL};

    (void)state;
    lb_open(&b, &o);
    b.lines_refused = true;
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_FAILED);
    lb_into_loader(&b);
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
    lb_close(&b);
}

static void a_stub_from_before_is_used_again(void **state)
{
    struct lb b;
    struct lb_options o = {.chip = KL_CHIP_ESP32C3, .link = KL_LINK_RAW, .stub = true};
    struct kl_bundle *bundle = lb_bundle(o.chip, 20001);

    (void)state;
    lb_open(&b, &o);
    lb_into_loader(&b);
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
    assert_non_null(strstr(b.notes, "stub running"));
    b.notes[0] = '\0';
    must_work(&b, bundle);
    assert_null(strstr(b.notes, "stub running"));
    assert_non_null(strstr(b.notes, "a stub from before"));
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void wrong_boards_are_refused_before_anything_is_written(void **state)
{
    static const struct {
        enum kl_chip_id images;
        uint16_t rev_min, rev_max;
        uint32_t flash_end;
        enum kl_reason reason;
    } rows[] = {
        {KL_CHIP_ESP32S3, 0, 0xFFFF, 0, KL_FAULT_WRONG_CHIP},
        {KL_CHIP_ESP32, 400, 0xFFFF, 0, KL_FAULT_CHIP_REVISION},
        {KL_CHIP_ESP32, 0, 99, 0, KL_FAULT_CHIP_REVISION},
        {KL_CHIP_ESP32, 0, 0xFFFF, (4u << 20) + 1, KL_FAULT_FLASH_TOO_SMALL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct lb_options o = {.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true};
        struct kl_bundle *bundle = lb_bundle(rows[i].images, 20001);
        uint32_t size;
        bundle->rev_min = rows[i].rev_min;
        bundle->rev_max = rows[i].rev_max;
        if (rows[i].flash_end)
            bundle->flash_end = rows[i].flash_end;
        lb_open(&b, &o);
        assert_int_equal(lb_whole(&b, bundle), rows[i].reason);
        const uint8_t *flash = kl_vboard_flash(b.board, &size);
        for (uint32_t at = 0; at < size; at++)
            assert_int_equal(flash[at], 0xFF);
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

static void the_program_is_heard_from_its_first_line(void **state)
{
    static const struct lb_options rows[] = {
        {.chip = KL_CHIP_ESP32,
         .link = KL_LINK_SERIAL,
         .baud = 921600,
         .stub = true,
         .paced = true},
        {.chip = KL_CHIP_ESP32C3, .link = KL_LINK_RFC2217, .baud = 921600, .paced = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lb b;
        struct kl_bundle *bundle = lb_bundle(rows[i].chip, 20001);
        lb_open(&b, &rows[i]);
        must_work(&b, bundle);
        assert_int_equal(kl_loader_identity(&b.loader)->baud, 115200);
        b.text_size = 0;
        lb_listen(&b, KL_MS(300)); /* what comes after RUN is the handover's; here it is kept */
        assert_non_null(strstr(b.text, "SPI_FAST_FLASH_BOOT"));
        lb_close(&b);
        lb_bundle_free(bundle);
    }
}

/* A chip with its own USB left the bus because of the reset: another would throw it off again. */
static void a_board_that_was_reset_is_talked_to_first(void **state)
{
    struct lb b;

    (void)state;
    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32C3, .link = KL_LINK_USB_JTAG});
    lb_into_loader(&b);
    b.loader.setup.reset_done = true;
    b.lines_refused = true; /* it would say so if a line were moved */
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_null(strstr(b.notes, "modem lines"));
    lb_close(&b);

    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32C3, .link = KL_LINK_SERIAL});
    b.loader.setup.reset_done = true; /* but its program runs */
    assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
    assert_non_null(strstr(b.notes, "connected at attempt 2"));
    lb_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_is_flashed_by_its_rom),
        cmocka_unit_test(every_chip_is_flashed_by_its_stub),
        cmocka_unit_test(native_usb_gets_blocks_that_it_takes),
        cmocka_unit_test(revisions_are_read_and_rule_the_stub),
        cmocka_unit_test(what_is_there_is_not_written_again),
        cmocka_unit_test(erasing_all_leaves_nothing_else),
        cmocka_unit_test(neighbours_keep_their_bytes),
        cmocka_unit_test(one_bad_byte_never_goes_unnoticed),
        cmocka_unit_test(these_bad_bytes_are_mended),
        cmocka_unit_test(a_rom_without_md5_is_still_verified),
        cmocka_unit_test(a_rom_gets_through_a_line_that_loses_some),
        cmocka_unit_test(a_slow_port_with_a_deaf_board_is_given_up_in_time),
        cmocka_unit_test(faults_have_their_names),
        cmocka_unit_test(waits_count_from_completion),
        cmocka_unit_test(an_adapter_that_hangs_is_named),
        cmocka_unit_test(an_adapter_without_lines_needs_a_board_in_its_loader),
        cmocka_unit_test(a_stub_from_before_is_used_again),
        cmocka_unit_test(wrong_boards_are_refused_before_anything_is_written),
        cmocka_unit_test(the_program_is_heard_from_its_first_line),
        cmocka_unit_test(a_board_that_was_reset_is_talked_to_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
