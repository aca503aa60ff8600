/* Virtual boards as a host meets them: reset circuit, flash, boot log, firmware, faults, pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "vb.h"

static const struct kl_vboard_config esp32 = {
    .chip = KL_CHIP_ESP32, .mac = {{0x24, 0x6F, 0x28, 1, 2, 3}}, .flash_size = 0x100000};

static struct kl_vboard_config with(const char *faults)
{
    struct kl_vboard_config config = esp32;

    config.faults = faults;
    return config;
}

static bool says(const struct vb *v, const char *text)
{
    return strstr(v->text, text) != NULL;
}

static unsigned times(const struct vb *v, const char *text)
{
    unsigned n = 0;

    for (const char *at = v->text; (at = strstr(at, text)) != NULL; at += strlen(text))
        n++;
    return n;
}

/* Flashed and started. */
static void ready(struct vb *v, const struct kl_vboard_config *config)
{
    vb_open(v, config);
    vb_into_loader(v);
    assert_int_equal(vb_sync(v), 0);
    vb_flash_firmware(v, config->chip);
    vb_clear(v);
    vb_into_program(v);
}

/* ---- the reset circuit ---- */

static void both_lines_at_once_reach_the_loader(void **state)
{
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    vb_into_loader(&v);
    assert_true(says(&v, "waiting for download"));
    assert_int_equal(vb_sync(&v), 0);
    assert_int_equal(v.frames, 8);
    vb_close(&v);
}

static void one_line_after_the_other_works_within_the_rise_of_en(void **state)
{
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    kl_vboard_lines(v.board, false, true, v.now);
    vb_wait(&v, KL_MS(100));
    kl_vboard_lines(v.board, true, true, v.now); /* EN let go, IO0 still high */
    vb_wait(&v, 1500);
    kl_vboard_lines(v.board, true, false, v.now);
    vb_wait(&v, KL_MS(50));
    assert_true(says(&v, "waiting for download"));
    vb_close(&v);
}

static void both_lines_on_for_long_start_the_program(void **state)
{
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    kl_vboard_lines(v.board, false, true, v.now);
    vb_wait(&v, KL_MS(100));
    vb_clear(&v);
    kl_vboard_lines(v.board, true, true, v.now);
    vb_wait(&v, KL_MS(50));
    kl_vboard_lines(v.board, true, false, v.now);
    vb_wait(&v, KL_MS(50));
    assert_true(says(&v, "SPI_FAST_FLASH_BOOT"));
    assert_int_equal(vb_sync(&v), -1);
    vb_close(&v);
}

static void a_short_let_go_of_en_does_not_start_the_chip(void **state)
{
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    kl_vboard_lines(v.board, false, true, v.now);
    vb_wait(&v, KL_MS(10));
    vb_clear(&v);
    kl_vboard_lines(v.board, false, false, v.now);
    vb_wait(&v, 1000);
    kl_vboard_lines(v.board, false, true, v.now);
    vb_wait(&v, KL_MS(500));
    assert_int_equal(v.text_size, 0);
    vb_close(&v);
}

/* ---- the loader ---- */

static void words_of(uint8_t *out, const uint32_t *values, size_t n)
{
    for (size_t i = 0; i < 4 * n; i++)
        out[i] = (uint8_t)(values[i / 4] >> 8 * (i % 4));
}

#define words(out, ...)                                                                            \
    words_of(out, (const uint32_t[]){__VA_ARGS__},                                                 \
             sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void loader_takes_any_rate_that_sync_comes_at(void **state)
{
    struct vb v;
    uint8_t address[4];

    (void)state;
    vb_open(&v, &esp32);
    vb_into_loader(&v);
    kl_vboard_baud(v.board, 230400, v.now);
    assert_int_equal(vb_sync(&v), 0);
    kl_vboard_baud(v.board, 115200, v.now); /* found once, it stays */
    words(address, 0x40001000u);
    assert_int_equal(vb_command(&v, 0x0A, address, 4, 0, 4), -1);
    vb_close(&v);
}

static void wrong_rate_is_garbage_both_ways(void **state)
{
    struct kl_vboard_config config = esp32;
    struct vb v;

    (void)state;
    ready(&v, &config);
    vb_clear(&v);
    kl_vboard_baud(v.board, 74880, v.now);
    vb_wait(&v, KL_MS(600));
    assert_true(v.text_size > 0);
    assert_false(says(&v, "Provisioning"));
    vb_send(&v, "a,b,c\n");
    vb_wait(&v, KL_MS(1600));
    assert_string_equal(kl_vboard_stored(v.board), "");
    kl_vboard_baud(v.board, 115700, v.now); /* within tolerance */
    vb_clear(&v);
    vb_wait(&v, KL_MS(600));
    assert_true(says(&v, "Provisioning"));
    vb_close(&v);
}

static void programming_only_clears_bits(void **state)
{
    struct vb v;
    uint8_t begin[16], block[16 + 8] = {0};
    uint32_t size;

    (void)state;
    vb_open(&v, &esp32);
    vb_into_loader(&v);
    vb_sync(&v);
    memset(block + 16, 0xF0, 8);
    vb_flash(&v, 0x20000, block + 16, 8);
    words(begin, 0u, 1u, 0x400u, 0x20000u); /* nothing erased */
    assert_int_equal(vb_command(&v, 0x02, begin, 16, 0, 4) >> 8, 0);
    words(block, 8u, 0u);
    memset(block + 16, 0x3C, 8);
    assert_int_equal(vb_command(&v, 0x03, block, sizeof block, 0xEF, 4), 0x0108);
    assert_int_equal(kl_vboard_flash(v.board, &size)[0x20000], 0x30);
    assert_string_not_equal(kl_vboard_complaint(v.board), "");
    vb_close(&v);
}

/* As the genuine ROM of the ESP32 does: what is left in its window goes into the flash, too. */
static void a_rom_writes_a_whole_window_at_the_end_of_a_stream(void **state)
{
    static const uint8_t four_zeros[] = {0x78, 1, 1, 4, 0, 0xFB, 0xFF, 0, 0, 0, 0, 0, 4, 0, 1};
    uint8_t begin[16], block[16 + sizeof four_zeros] = {0}, neighbour[16], sum = 0xEF;
    uint32_t size;
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    vb_into_loader(&v);
    vb_sync(&v);
    memset(neighbour, 0x55, sizeof neighbour);
    vb_flash(&v, 0x27000, neighbour, sizeof neighbour);
    vb_flash(&v, 0x28000, neighbour, sizeof neighbour);
    words(begin, 0x1000u, 1u, 0x400u, 0x20000u);
    assert_int_equal(vb_command(&v, 0x10, begin, 16, 0, 4) >> 8, 0);
    words(block, (uint32_t)sizeof four_zeros, 0u);
    memcpy(block + 16, four_zeros, sizeof four_zeros);
    for (size_t i = 0; i < sizeof four_zeros; i++)
        sum ^= four_zeros[i];
    assert_int_equal(vb_command(&v, 0x11, block, sizeof block, sum, 4) >> 8, 0);
    assert_int_equal(kl_vboard_flash(v.board, &size)[0x27000], 0);
    assert_int_equal(kl_vboard_flash(v.board, &size)[0x28000], 0x55);
    vb_close(&v);
}

static void flash_begin_needs_attach_and_size(void **state)
{
    struct kl_vboard_config config = esp32;
    struct vb v;
    uint8_t begin[16], attach[8] = {0};

    (void)state;
    config.flash_size = 0x400000;
    vb_open(&v, &config);
    vb_into_loader(&v);
    vb_sync(&v);
    words(begin, 0x1000u, 1u, 0x400u, 0x10000u);
    assert_int_equal(vb_command(&v, 0x02, begin, 16, 0, 4), 0x0106);
    assert_int_equal(vb_command(&v, 0x0D, attach, 8, 0, 4) >> 8, 0);
    assert_int_equal(vb_command(&v, 0x02, begin, 16, 0, 4) >> 8, 0);
    words(begin, 0x1000u, 1u, 0x400u, 0x200000u); /* the ROM believes in 2 MB */
    assert_int_equal(vb_command(&v, 0x02, begin, 16, 0, 4), 0x0106);
    vb_close(&v);
}

static void esp8266_erases_too_much(void **state)
{
    struct kl_vboard_config config = esp32;
    static uint8_t data[0x8000];
    struct vb v;
    uint8_t begin[16];
    uint32_t size;

    (void)state;
    config.chip = KL_CHIP_ESP8266;
    vb_open(&v, &config);
    vb_into_loader(&v);
    vb_sync(&v);
    memset(data, 0, sizeof data);
    vb_flash(&v, 0x10000, data, sizeof data);
    words(begin, 0x2000u, 8u, 0x400u, 0x10000u);
    assert_int_equal(vb_command(&v, 0x02, begin, 16, 0, 2) >> 8, 0);
    const uint8_t *flash = kl_vboard_flash(v.board, &size);
    assert_int_equal(flash[0x13FFF], 0xFF); /* twice what was asked for */
    assert_int_equal(flash[0x14000], 0x00);
    vb_close(&v);
}

/* ---- boot and firmware ---- */

static void blank_board_says_so_and_loops(void **state)
{
    struct vb v;

    (void)state;
    vb_open(&v, &esp32);
    vb_wait(&v, KL_MS(1000));
    assert_true(says(&v, "invalid header: 0xffffffff"));
    assert_true(times(&v, "ets Jul 29 2019") >= 3);
    vb_close(&v);
}

static void damaged_flash_is_told_as_a_bootloader_tells_it(void **state)
{
    struct vb v;
    uint8_t zero[4096] = {0};

    (void)state;
    ready(&v, &esp32);
    vb_into_loader(&v);
    vb_sync(&v);
    vb_flash(&v, 0x10000, zero, sizeof zero);
    vb_clear(&v);
    vb_into_program(&v);
    assert_true(says(&v, "image at 0x10000 has invalid magic byte"));
    vb_into_loader(&v);
    vb_sync(&v);
    vb_flash(&v, 0x8000, zero, sizeof zero);
    vb_clear(&v);
    vb_into_program(&v);
    assert_true(says(&v, "partition 0 invalid magic number 0x0"));
    assert_false(says(&v, "Provisioning"));
    vb_close(&v);
}

static void images_for_another_chip_do_not_start(void **state)
{
    struct vb v;
    uint8_t image[4096];

    (void)state;
    ready(&v, &esp32);
    vb_into_loader(&v);
    vb_sync(&v);
    size_t size = vb_image(KL_CHIP_ESP32C3, image, sizeof image, 2048, 0x33);
    vb_flash(&v, 0x10000, image, (uint32_t)size);
    vb_clear(&v);
    vb_into_program(&v);
    assert_true(says(&v, "mismatch chip ID, expected 0, found 5"));
    vb_close(&v);
}

static void every_chip_takes_its_key_and_reads_it_back(void **state)
{
    (void)state;
    for (int id = KL_CHIP_ESP8266; id < KL_CHIP_COUNT; id++) {
        struct kl_vboard_config config = esp32;
        struct vb v;
        config.chip = (enum kl_chip_id)id;
        ready(&v, &config);
        assert_int_equal(times(&v, "Provisioning\r\n"), 1);
        vb_wait(&v, KL_MS(500));
        assert_int_equal(times(&v, "Provisioning\r\n"), 2);
        vb_clear(&v);
        vb_send(&v, "dev-1,00112233,44556677\n");
        vb_wait(&v, KL_MS(100));
        assert_int_equal(times(&v, "Provisioned\r\n"), 2);
        assert_true(says(&v, "Key1: dev-1\r\nKey2: 00112233\r\nKey3: 44556677\r\n"));
        assert_string_equal(kl_vboard_stored(v.board), "dev-1,00112233,44556677");
        assert_int_equal(kl_vboard_store_count(v.board), 1);
        assert_int_equal(kl_vboard_lines_seen(v.board), 1);
        assert_string_equal(kl_vboard_line_seen(v.board, 0), "dev-1,00112233,44556677");
        vb_close(&v);
    }
}

static void original_firmware_keeps_more_than_three_fields_wrongly(void **state)
{
    struct kl_vboard_config config = esp32;
    struct vb v;

    (void)state;
    config.firmware = "original";
    ready(&v, &config);
    vb_clear(&v);
    vb_send(&v, "a,b,c,d\n");
    vb_wait(&v, KL_MS(400));
    assert_false(says(&v, "Provisioned")); /* it looks only every half second */
    vb_wait(&v, KL_MS(200));
    assert_true(says(&v, "Key1: a\r\nKey2: b,c\r\nKey3: d\r\n"));
    vb_close(&v);
}

static void digest_firmware_shows_the_label_only(void **state)
{
    struct kl_vboard_config config = esp32;
    struct vb v;

    (void)state;
    config.firmware = "digest";
    ready(&v, &config);
    vb_clear(&v);
    vb_send(&v, "label,secret\n");
    vb_wait(&v, KL_MS(100));
    assert_true(says(&v, "Key1: label\r\nKey2: sha256:"));
    assert_false(says(&v, "secret"));
    vb_close(&v);
}

static void erasing_the_flash_erases_the_key(void **state)
{
    struct vb v;
    static const uint8_t blank[0x5000] = {0};

    (void)state;
    ready(&v, &esp32);
    vb_send(&v, "a,b\n");
    vb_wait(&v, KL_MS(10));
    vb_into_program(&v);
    assert_string_equal(kl_vboard_stored(v.board), "a,b");
    vb_into_loader(&v);
    vb_sync(&v);
    vb_flash(&v, 0x9000, blank, sizeof blank);
    vb_clear(&v);
    vb_into_program(&v);
    assert_true(says(&v, "Provisioning"));
    assert_string_equal(kl_vboard_stored(v.board), "");
    assert_int_equal(kl_vboard_lines_seen(v.board), 1); /* a checker still knows */
    vb_close(&v);
}

static void state_survives_in_a_file(void **state)
{
    struct scratch scratch;
    struct vb v;
    uint32_t size;

    (void)state;
    scratch_make(&scratch);
    const char *path = scratch_path(&scratch, "board.state");
    ready(&v, &esp32);
    vb_send(&v, "a,b\n");
    vb_wait(&v, KL_MS(10));
    assert_true(kl_vboard_save(v.board, path));
    struct kl_vboard_config config = esp32;
    config.mac.b[5] = 99;
    struct kl_vboard *copy = kl_vboard_create(&config);
    assert_true(kl_vboard_load(copy, path));
    struct kl_mac mac = kl_vboard_mac(copy);
    assert_true(kl_mac_equal(&mac, &esp32.mac));
    assert_string_equal(kl_vboard_stored(copy), "a,b");
    assert_int_equal(kl_vboard_store_count(copy), 1);
    assert_string_equal(kl_vboard_line_seen(copy, 0), "a,b");
    const uint8_t *before = kl_vboard_flash(v.board, &size), *after = kl_vboard_flash(copy, &size);
    assert_true(size > 0);
    assert_memory_equal(after, before, size);
    kl_vboard_destroy(copy);
    vb_close(&v);
    scratch_remove(&scratch);
}

/* ---- faults ---- */

static void fault_lists_are_checked(void **state)
{
    char error[KL_TEXT_MAX] = "";

    (void)state;
    assert_true(kl_vboard_fault_check("", error));
    assert_true(kl_vboard_fault_check("drop_rx=500,never_asks,provisioned=a|b|c", error));
    assert_false(kl_vboard_fault_check("drop_rx=x", error));
    assert_false(kl_vboard_fault_check("never_asks=1", error));
    assert_false(kl_vboard_fault_check("gremlins", error));
    assert_non_null(strstr(error, "gremlins"));
}

static void every_fault_is_documented(void **state)
{
    static char text[65536];
    struct kl_vboard_fault_info info;
    char error[KL_TEXT_MAX], row[128];
    unsigned i;

    (void)state;
    FILE *f = fopen(KL_SOURCE_DIR "/docs/virtual.md", "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (i = 0; kl_vboard_fault_info(i, &info); i++) {
        assert_true(kl_vboard_fault_check(info.name, error));
        snprintf(row, sizeof row, "| `%s%.2s", info.name, info.form[0] ? info.form : "` ");
        if (!strstr(text, row) || !strstr(text, info.text))
            fail_msg("docs/virtual.md lacks %s: %s", info.name, info.text);
    }
    assert_true(i >= 40);
}

static void key_faults_do_what_they_say(void **state)
{
    static const struct {
        const char *fault, *stored;
        unsigned acknowledged; /* "Provisioned" within two seconds */
        const char *shows, *hides;
    } cases[] = {
        {"never_asks", "a,b,c", 2, "Key1: a", "Provisioning"},
        {"misses_line=1", "", 0, "Provisioning", "Provisioned"},
        {"ack_lost", "a,b,c", 1, "Key3: c", NULL},
        {"stores_wrong", "f,b,c", 2, "Key1: f", "Key1: a"},
        {"stores_short", "a,,c", 2, "Key1: a", "Key2: b"},
        {"stores_nothing", "", 1, "Provisioning", "Key1"},
        {"no_readback", "a,b,c", 2, "Provisioned", "Key1"},
        {"reads_wrong", "a,b,c", 2, "Key1: 0", "Key1: a"},
        {"reads_short", "a,b,c", 2, "Key1: a", "Key2"},
        {"refuses", "", 0, "Error: ", "Provisioned"},
        {"panic_on_line", "", 0, "Guru Meditation", "Provisioned"},
        {"dies_stored", "a,b,c", 1, "Guru Meditation", NULL},
        {"dies_storing", "", 0, "Brownout", "Provisioned"},
        {"leaks", "a,b,c", 2, "rx: a,b,c\r\nrx: 0x61 2C 0x62", NULL},
        {"silent_app", "a,b,c", 0, "SPI_FAST_FLASH_BOOT", "Key1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kl_vboard_config config = with(cases[i].fault);
        struct vb v;
        ready(&v, &config);
        vb_clear(&v);
        vb_send(&v, "a,b,c\n");
        vb_wait(&v, KL_SEC(2));
        if (strcmp(kl_vboard_stored(v.board), cases[i].stored) != 0 ||
            times(&v, "Provisioned\r\n") != cases[i].acknowledged || !says(&v, cases[i].shows) ||
            (cases[i].hides && says(&v, cases[i].hides)))
            fail_msg("%s: stored '%s', says:\n%s", cases[i].fault, kl_vboard_stored(v.board),
                     v.text);
        vb_close(&v);
    }
}

static void boot_faults_do_what_they_say(void **state)
{
    static const char *const cases[][2] = {
        {"flash_read_err=1", "flash read err, 1000"},
        {"strapped=1", "SDIO_REI_FEO_V1_BOOT"},
        {"brownout=1", "Brownout detector was triggered"},
        {"panic=1", "Guru Meditation Error"},
        {"boot_loop", "Rebooting..."},
        {"boot_held=1", "waiting for download"},
        {"restarts", "SW_CPU_RESET"},
        {"provisioned=x|y", "Key2: y"},
        {"provisioned", "Key3: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vb v;
        char error[KL_TEXT_MAX];
        struct kl_vboard_config config = with(strncmp(cases[i][0], "prov", 4) ? NULL : cases[i][0]);
        ready(&v, &config);
        assert_true(kl_vboard_fault(v.board, cases[i][0], error));
        vb_clear(&v);
        vb_into_program(&v);
        vb_wait(&v, KL_MS(1500));
        if (!says(&v, cases[i][1]))
            fail_msg("%s: says:\n%s", cases[i][0], v.text);
        vb_close(&v);
    }
}

static void wire_faults_hit_the_byte_they_name(void **state)
{
    struct kl_vboard_config config = with("drop_rx=3");
    struct vb v;
    char error[KL_TEXT_MAX];

    (void)state;
    vb_open(&v, &config);
    vb_into_loader(&v);
    assert_int_equal(vb_sync(&v), 0x0105); /* the opcode is gone */
    assert_int_equal(vb_sync(&v), 0);
    vb_close(&v);

    vb_open(&v, &esp32);
    vb_into_loader(&v);
    assert_int_equal(vb_sync(&v), 0);
    assert_true(kl_vboard_fault(v.board, "unplug_at=100", error));
    assert_int_equal(vb_sync(&v), 0);
    assert_false(kl_vboard_unplugged(v.board));
    assert_int_equal(vb_sync(&v), -1);
    assert_true(kl_vboard_unplugged(v.board));
    kl_vboard_power(v.board, true, v.now);
    assert_false(kl_vboard_unplugged(v.board));
    vb_close(&v);
}

static void a_silent_board_talks_again_after_power_was_gone(void **state)
{
    struct kl_vboard_config config = with("silent_after=10");
    struct vb v;

    (void)state;
    vb_open(&v, &config);
    vb_wait(&v, KL_SEC(1));
    assert_int_equal(v.text_size, 10);
    kl_vboard_power(v.board, false, v.now);
    kl_vboard_power(v.board, true, v.now);
    vb_wait(&v, KL_SEC(1));
    assert_true(v.text_size > 100);
    vb_close(&v);
}

/* Something whole, entered inside what was loaded. */
static void stub_up(struct vb *v)
{
    uint8_t begin[16], block[20] = {0}, end[8];

    vb_into_loader(v);
    kl_vboard_baud(v->board, 115200, v->now);
    assert_int_equal(vb_sync(v), 0);
    words(begin, 4u, 1u, 0x1800u, 0x40080000u);
    assert_int_equal(vb_command(v, 0x05, begin, 16, 0, 4) >> 8, 0);
    words(block, 4u);
    assert_int_equal(vb_command(v, 0x07, block, 20, 0xEF, 4) >> 8, 0);
    words(end, 0u, 0x40080000u);
    vb_command(v, 0x06, end, 8, 0, 4);
    vb_wait(v, KL_MS(20));
}

/* Whatever comes over the wire, in every mode: under the sanitizers this is the test of bounds. */
static void rubbish_does_no_harm(void **state)
{
    static const uint8_t opcodes[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
                                      0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12,
                                      0x13, 0x14, 0xD0, 0xD1, 0xD2, 0xD3, 0xD5, 0x77};
    static const uint32_t figures[] = {0,      1,      4,        0x10,       0x40,       0x1000,
                                       0x1800, 0x4000, 0x100000, 0xFFFFFFFF, 0x80000000, 115200};
    struct vb v;
    uint32_t random = 12345;
    uint8_t data[300];

    (void)state;
    for (int round = 0; round < 40; round++) {
        vb_open(&v, &esp32);
        vb_into_loader(&v);
        vb_sync(&v);
        for (int i = 0; i < 250; i++) {
            unsigned words_in = (random >> 20) % 8;
            for (unsigned w = 0; w < sizeof data / 4; w++) {
                random = random * 1664525u + 1013904223u;
                words(data + 4 * w, figures[(random >> 16) % 12]);
            }
            uint8_t packet[310] = {0xC0, 0, opcodes[(random >> 8) % sizeof opcodes]};
            size_t size = (random >> 3) % 5 == 0 ? (random >> 24) : 4 * words_in;
            memcpy(packet + 9, data, size);
            packet[9 + size] = 0xC0;
            kl_vboard_rx(v.board, packet, 10 + size, v.now);
            if (i % 50 == 7)
                vb_send(&v, "\xC0\xC0rubbish,\xDB\n\xFF\x80\n");
            if (i % 20 == 19) /* most ways out of the loader end here */
                stub_up(&v);
            if (i % 40 == 19) {
                vb_into_loader(&v);
                vb_sync(&v);
            }
            vb_wait(&v, KL_MS(1));
            vb_clear(&v);
        }
        vb_into_program(&v);
        vb_wait(&v, KL_MS(100));
        vb_close(&v);
    }
}

/* ---- pace ---- */

static void paced_bytes_take_their_time(void **state)
{
    struct kl_vboard_config config = esp32;
    struct vb v;
    uint8_t begin[16], attach[8] = {0}, block[16 + 0x1000] = {0};

    (void)state;
    config.paced = true;
    config.usb_latency = KL_MS(1);
    vb_open(&v, &config);
    vb_into_loader(&v);
    vb_wait(&v, KL_MS(100));
    assert_int_equal(vb_sync(&v), 0);
    assert_int_equal(vb_command(&v, 0x0D, attach, 8, 0, 4) >> 8, 0);
    words(begin, 0x1000u, 1u, 0x1000u, 0x10000u);
    while (kl_vboard_deadline(v.board) < v.now + KL_MS(100))
        vb_wait(&v, KL_MS(100));
    kl_us before = v.now;
    vb_clear(&v);
    uint8_t packet[8 + 16 + 2] = {0xC0, 0, 0x02, 16};
    memcpy(packet + 9, begin, 16);
    packet[25] = 0xC0;
    kl_vboard_rx(v.board, packet, sizeof packet, v.now);
    while (v.frames == 0)
        vb_wait(&v, 100);
    /* 26 bytes there, one sector erased, 14 bytes back at 115200, one millisecond of USB */
    kl_us took = v.now - before, wire = (26 + 14) * 10 * 1000000 / 115200;
    assert_in_range(took, wire + KL_MS(46), wire + KL_MS(46) + 200);
    words(block, 0x1000u, 0u);
    before = v.now;
    assert_int_equal(vb_command(&v, 0x03, block, sizeof block, 0xEF, 4) >> 8, 0);
    took = v.now - before; /* in steps of 100 ms */
    assert_in_range(took, KL_MS(300), KL_MS(500));
    vb_close(&v);
}

/* Equal inputs at equal times: equal outputs, however often the clock is asked. */
static void ticking_more_often_changes_nothing(void **state)
{
    struct kl_vboard_config config = with("noise=400");
    struct vb a, b;

    (void)state;
    config.paced = true;
    config.usb_latency = KL_MS(1);
    vb_open(&a, &config);
    vb_open(&b, &config);
    vb_into_loader(&a);
    vb_into_loader(&b);
    vb_clear(&a);
    vb_clear(&b);
    for (int round = 0; round < 20; round++) {
        static const uint8_t sync[] = "\xC0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20"
                                      "UUUUUUUUUUUUUUUUUUUUUUUUUUUUUUUU\xC0";
        kl_vboard_rx(a.board, sync, sizeof sync - 1, a.now);
        kl_vboard_rx(b.board, sync, sizeof sync - 1, b.now);
        vb_wait(&a, KL_MS(50));
        for (int i = 0; i < 500; i++)
            vb_wait(&b, 100);
    }
    assert_int_equal(a.frames, b.frames);
    assert_true(a.frames > 0);
    assert_string_equal(a.text, b.text);
    vb_close(&a);
    vb_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_lines_at_once_reach_the_loader),
        cmocka_unit_test(one_line_after_the_other_works_within_the_rise_of_en),
        cmocka_unit_test(both_lines_on_for_long_start_the_program),
        cmocka_unit_test(a_short_let_go_of_en_does_not_start_the_chip),
        cmocka_unit_test(loader_takes_any_rate_that_sync_comes_at),
        cmocka_unit_test(wrong_rate_is_garbage_both_ways),
        cmocka_unit_test(programming_only_clears_bits),
        cmocka_unit_test(a_rom_writes_a_whole_window_at_the_end_of_a_stream),
        cmocka_unit_test(flash_begin_needs_attach_and_size),
        cmocka_unit_test(esp8266_erases_too_much),
        cmocka_unit_test(blank_board_says_so_and_loops),
        cmocka_unit_test(damaged_flash_is_told_as_a_bootloader_tells_it),
        cmocka_unit_test(images_for_another_chip_do_not_start),
        cmocka_unit_test(every_chip_takes_its_key_and_reads_it_back),
        cmocka_unit_test(original_firmware_keeps_more_than_three_fields_wrongly),
        cmocka_unit_test(digest_firmware_shows_the_label_only),
        cmocka_unit_test(erasing_the_flash_erases_the_key),
        cmocka_unit_test(state_survives_in_a_file),
        cmocka_unit_test(fault_lists_are_checked),
        cmocka_unit_test(every_fault_is_documented),
        cmocka_unit_test(key_faults_do_what_they_say),
        cmocka_unit_test(boot_faults_do_what_they_say),
        cmocka_unit_test(wire_faults_hit_the_byte_they_name),
        cmocka_unit_test(a_silent_board_talks_again_after_power_was_gone),
        cmocka_unit_test(rubbish_does_no_harm),
        cmocka_unit_test(paced_bytes_take_their_time),
        cmocka_unit_test(ticking_more_often_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
