/* eFuses: each chip's locks are where the table of chips has them too, and a look at a virtual
   board tells them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
#include "keyline/efuse.h"
#include "keyline/look.h"
#include "keyline/vboard.h"

static void set(const struct kl_chip *chip, struct kl_efuse_words *w, uint32_t reg, unsigned shift)
{
    uint32_t address[KL_EFUSE_WORDS_MAX];
    unsigned count = kl_efuse_addresses(chip, address);

    for (unsigned i = 0; i < count; i++)
        if (address[i] == reg) {
            w->word[i] |= 1u << shift;
            return;
        }
    fail_msg("%s: 0x%x is not among the words", chip->name, (unsigned)reg);
}

/* The words that IDENTIFY judges by, and those that are decoded, are the same. */
static void locks_are_where_the_loader_looks_for_them(void **state)
{
    struct kl_efuse_facts facts;

    (void)state;
    for (int id = KL_CHIP_ESP32; id < KL_CHIP_COUNT; id++) {
        const struct kl_chip *chip = kl_chip((enum kl_chip_id)id);
        struct kl_efuse_words w = {.block0 = true};
        kl_efuse_decode(chip, 300, &w, &facts);
        assert_false(facts.flash.encrypted || facts.boot.secure || facts.jtag.off ||
                     facts.download.off || facts.download.secure);
        set(chip, &w, chip->crypt_count.reg, chip->crypt_count.shift);
        kl_efuse_decode(chip, 300, &w, &facts);
        assert_true(facts.flash.encrypted && !facts.boot.secure && !facts.flash.release_mode);
        set(chip, &w, chip->secure_boot.reg, chip->secure_boot.shift);
        kl_efuse_decode(chip, 300, &w, &facts);
        assert_true(facts.flash.encrypted && facts.boot.secure);
        set(chip, &w, chip->crypt_count.reg, chip->crypt_count.shift + 1u);
        kl_efuse_decode(chip, 300, &w, &facts);
        assert_false(facts.flash.encrypted);
        assert_int_equal(facts.flash.crypt_count, 3);
    }
}

static void figures_of_each_kind_are_decoded(void **state)
{
    struct kl_efuse_words w = {.block0 = true};
    struct kl_efuse_facts facts;

    (void)state;
    w.word[1] = 1u << 0 | 1u << 16 | 1u << 19 | 1u << 20; /* an S3's */
    w.word[2] = 7u << 18 | 1u << 22 | 4u << 24 | 9u << 28;
    w.word[3] = 10u | 1u << 20 | 1u << 22;
    w.word[4] = 1u << 5;
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32S3), 1, &w, &facts);
    assert_true(facts.flash.encrypted && facts.flash.release_mode && facts.boot.secure);
    assert_true(facts.boot.revoked[1] && !facts.boot.revoked[0]);
    assert_true(facts.jtag.off && facts.jtag.soft_off && facts.jtag.usb_off);
    assert_true(facts.download.secure && facts.download.manual_encrypt_off && !facts.download.off);
    assert_string_equal(facts.key[0].purpose, "XTS_AES_128_KEY");
    assert_true(facts.key[0].read_protected && !facts.key[1].read_protected);
    assert_string_equal(facts.key[1].purpose, "SECURE_BOOT_DIGEST0");
    assert_string_equal(facts.key[2].purpose, "SECURE_BOOT_DIGEST1");
    assert_string_equal(facts.key[5].purpose, "USER");
    /* The P4 has a fifth bit elsewhere, from revision 3.0 on. */
    w = (struct kl_efuse_words){.block0 = true};
    w.word[4] = 1u << 27;
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32P4), 300, &w, &facts);
    assert_string_equal(facts.key[0].purpose, "ECDSA_KEY_P192");
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32P4), 100, &w, &facts);
    assert_string_equal(facts.key[0].purpose, "USER");
    /* The ESP32's second bit means nothing before revision 3.0. */
    w = (struct kl_efuse_words){.block0 = true};
    w.word[6] = 1u << 5;
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32), 100, &w, &facts);
    assert_false(facts.boot.secure);
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32), 300, &w, &facts);
    assert_true(facts.boot.secure && !facts.boot.secure_v1);
}

/* ---- on a board ---- */

/* `flash`: the sector at 0x9000 goes there. */
static void run(struct kl_look *look, struct kl_vboard *board, uint8_t *flash, kl_us *now)
{
    bool read = false;
    struct kl_look_result r;
    struct kl_io io;
    uint8_t bytes[512];

    kl_look_start(look, KL_LINK_SERIAL, flash != NULL, *now);
    for (unsigned turns = 0; turns < 100000; turns++) {
        size_t size;
        while (kl_look_next(look, &io)) {
            if (io.kind == KL_IO_WRITE) {
                kl_vboard_rx(board, io.data, io.size, *now);
                continue;
            }
            if (io.kind == KL_IO_LINES)
                kl_vboard_lines(board, io.dtr, io.rts, *now);
            else
                kl_vboard_baud(board, io.baud, *now);
            kl_look_io_done(look, true, *now);
        }
        kl_look_result(look, &r);
        if (r.over)
            return;
        if (r.ready) {
            struct kl_look_range range = {
                .offset = 0x9000, .size = 4096, .out = flash, .md5 = kl_md5};
            if (read)
                kl_look_leave(look, *now);
            else
                kl_look_read(look, &range, *now);
            read = true;
            continue;
        }
        if ((size = kl_vboard_tx(board, bytes, sizeof bytes, *now)) > 0) {
            kl_look_rx(look, bytes, size, *now);
            continue;
        }
        kl_us a = kl_look_deadline(look), b = kl_vboard_deadline(board);
        kl_us next = a < b ? a : b;
        *now = next > *now && next != KL_NEVER ? next : *now + 100;
        kl_vboard_tick(board, *now);
        kl_look_tick(look, *now);
    }
    fail_msg("the look takes for ever");
}

static struct kl_look_result look_at(enum kl_chip_id chip, const char *faults,
                                     struct kl_look **look)
{
    struct kl_vboard_config config = {
        .chip = chip, .mac = {{0x24, 0x6f, 0x28, 1, 2, 3}}, .faults = faults, .seed = 1};
    struct kl_vboard *board = kl_vboard_create(&config);
    struct kl_look_result r;
    kl_us now = KL_SEC(1);

    assert_non_null(board);
    *look = calloc(1, kl_look_size());
    kl_vboard_power(board, true, now);
    kl_vboard_baud(board, 115200, now);
    run(*look, board, NULL, &now);
    kl_look_result(*look, &r);
    kl_vboard_destroy(board);
    return r;
}

static void every_chip_tells_its_locks(void **state)
{
    struct kl_efuse_facts facts;
    struct kl_look *look;

    (void)state;
    for (int id = 1; id < KL_CHIP_COUNT; id++) {
        struct kl_look_result r = look_at((enum kl_chip_id)id, "", &look);
        assert_int_equal(r.fault->reason, KL_FAULT_NONE);
        assert_int_equal(r.identity.chip, id);
        assert_true(kl_mac_is_set(&r.identity.mac));
        assert_int_equal(r.words.block0, id != KL_CHIP_ESP8266);
        free(look);
        if (id == KL_CHIP_ESP8266)
            continue;
        r = look_at((enum kl_chip_id)id, "flash_encrypted,secure_boot", &look);
        kl_efuse_decode(kl_chip((enum kl_chip_id)id), r.identity.revision, &r.words, &facts);
        assert_int_equal(r.fault->reason, KL_FAULT_NONE);
        assert_true(facts.flash.encrypted && facts.boot.secure);
        assert_true(kl_mac_is_set(&r.identity.mac));
        free(look);
    }
}

static void secure_download_mode_tells_what_the_rom_tells(void **state)
{
    struct kl_efuse_facts facts;
    struct kl_look *look;
    struct kl_look_result r = look_at(KL_CHIP_ESP32C3, "secure_download", &look);

    (void)state;
    assert_int_equal(r.fault->reason, KL_FAULT_NONE);
    assert_false(r.words.block0);
    kl_efuse_decode(kl_chip(KL_CHIP_ESP32C3), 0, &r.words, &facts);
    assert_true(facts.download.secure);
    assert_int_equal(facts.key_count, 6);
    free(look);
}

static void a_silent_port_ends_with_its_reason(void **state)
{
    struct kl_look *look;
    struct kl_look_result r = look_at(KL_CHIP_ESP32, "mute", &look);

    (void)state;
    assert_true(r.over);
    assert_int_not_equal(r.fault->reason, KL_FAULT_NONE);
    free(look);
}

/* How the chip started last, as it says itself. */
static bool runs_its_program(struct kl_vboard *board, kl_us now)
{
    char text[4096] = "";
    size_t used = 0;

    for (unsigned i = 0; i < 100; i++, now += KL_MS(20)) {
        kl_vboard_tick(board, now);
        used += kl_vboard_tx(board, (uint8_t *)text + used, sizeof text - 1 - used, now);
    }
    return strstr(text, "SPI_FAST_FLASH_BOOT") && !strstr(text, "DOWNLOAD");
}

/* A look at the flash gives its bytes, and leaves the board running; a locked one too. */
static void the_flash_is_read_and_the_program_runs_again(void **state)
{
    static const char *const faults[] = {"", "md5_wrong=1", "flash_encrypted"};
    uint8_t told[4096], got[4096];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct kl_vboard_config config = {.chip = KL_CHIP_ESP32,
                                          .mac = {{0x24, 0x6f, 0x28, 1, 2, 3}},
                                          .faults = faults[i],
                                          .seed = 1};
        struct kl_vboard *board = kl_vboard_create(&config);
        struct kl_look *look = calloc(1, kl_look_size());
        struct kl_look_result r;
        kl_us now = KL_SEC(1);

        for (unsigned n = 0; n < sizeof told; n++)
            told[n] = (uint8_t)(n * 7 + n / 256);
        memset(got, 0, sizeof got);
        assert_true(kl_vboard_put_flash(board, 0x9000, told, sizeof told));
        kl_vboard_power(board, true, now);
        kl_vboard_baud(board, 115200, now);
        run(look, board, got, &now);
        kl_look_result(look, &r);
        assert_int_equal(r.fault->reason, i == 2 ? KL_FAULT_FLASH_ENCRYPTED : KL_FAULT_NONE);
        assert_int_equal(memcmp(got, told, sizeof got) == 0, i != 2);
        assert_true(runs_its_program(board, now));
        free(look);
        kl_vboard_destroy(board);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_are_where_the_loader_looks_for_them),
        cmocka_unit_test(figures_of_each_kind_are_decoded),
        cmocka_unit_test(every_chip_tells_its_locks),
        cmocka_unit_test(secure_download_mode_tells_what_the_rom_tells),
        cmocka_unit_test(a_silent_port_ends_with_its_reason),
        cmocka_unit_test(the_flash_is_read_and_the_program_runs_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
