/* Tests of bootlog.h with text as real boards print it (docs/esp-serial-protocol.md 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/bootlog.h"

static struct kl_bootlog b;
static kl_us now;

static char detail[KL_TEXT_MAX]; /* the line that named the reason */

static bool take(const char *text, size_t size)
{
    now += KL_MS(5);
    bool start = kl_bootlog_line(&b, text, size, now);
    if (b.named)
        snprintf(detail, sizeof detail, "%.*s", (int)size, text);
    return start;
}

static bool line(const char *text)
{
    return take(text, strlen(text));
}

static unsigned lines(const char *text)
{
    unsigned starts = 0;

    while (*text) {
        size_t n = strcspn(text, "\n");
        starts += take(text, n);
        text += n + (text[n] == '\n');
    }
    return starts;
}

static int begin(void **state)
{
    (void)state;
    now = KL_SEC(1);
    kl_bootlog_reset(&b);
    return 0;
}

#define ESP32_BANNER                                                                               \
    "ets Jul 29 2019 12:21:46\n\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
#define ESP32_ROM                                                                                  \
    "configsip: 0, SPIWP:0xee\n"                                                                   \
    "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\n"                    \
    "mode:DIO, clock div:2\nload:0x3fff0030,len:1344\nload:0x40078000,len:13964\n"                 \
    "entry 0x400805e4\n"
#define C3_BANNER                                                                                  \
    "ESP-ROM:esp32c3-api1-20210207\nBuild:Feb  7 2021\n"                                           \
    "rst:0x15 (USB_UART_CHIP_RESET),boot:0xd (SPI_FAST_FLASH_BOOT)\n"

static void the_two_lines_of_a_banner_are_one_start(void **state)
{
    (void)state;
    assert_int_equal(lines(ESP32_BANNER ESP32_ROM), 1);
    assert_int_equal(b.banners, 1);
    assert_int_equal(b.mode, KL_BOOT_FLASH);
    assert_int_equal(b.reset_reason, 1);
    assert_int_equal(b.reason, KL_FAULT_NONE);
    assert_int_equal(lines(C3_BANNER "SPIWP:0xee\nmode:DIO, clock div:1\n"), 1);
    assert_int_equal(b.banners, 2);
    assert_int_equal(b.reset_reason, 0x15);
    assert_int_equal(b.mode, KL_BOOT_FLASH);
}

static void half_a_banner_is_a_start_too(void **state)
{
    (void)state;
    assert_true(line("ets Jun  8 2016 00:22:57"));
    now += KL_SEC(1);
    assert_true(line("rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"));
    assert_true(line("rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"));
    assert_true(line("\xfe\x01st:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"));
    assert_int_equal(b.banners, 4);
}

static void a_banner_is_found_behind_half_a_line(void **state)
{
    (void)state;
    assert_true(line("Provisioniets Jul 29 2019 12:21:46"));
    assert_true(line("ProvisESP-ROM:esp32s3-20210327"));
}

static void text_of_programs_is_no_banner(void **state)
{
    static const char *const plain[] = {
        "ets are fine",
        "assets Jul",
        "last rst:0x1 was odd",
        "boot:0x",
        "ets_main.c 371",
        "I (29) boot: ESP-IDF v4.4 2nd stage bootloader",
        "ESP-ROM",
        "first:0x12",
        "rst cause:",
        "reboot:0x12 (x) now",
    };

    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        assert_false(line(plain[i]));
    assert_int_equal(b.banners, 0);
    assert_int_equal(b.app_lines, sizeof plain / sizeof plain[0]);
}

static void modes_tell_what_the_chip_started(void **state)
{
    (void)state;
    line("rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))");
    assert_int_equal(b.mode, KL_BOOT_DOWNLOAD);
    line("waiting for download");
    assert_true(b.waiting_for_download);
    assert_int_equal(b.reason, KL_FAULT_STILL_IN_LOADER);
    assert_true(b.conclusive);
    line("rst:0x1 (POWERON),boot:0x0 (DOWNLOAD(USB/UART0))");
    assert_int_equal(b.mode, KL_BOOT_DOWNLOAD);
    kl_bootlog_reset(&b);
    line("rst:0x1 (POWERON_RESET),boot:0x33 (SPI_FLASH_BOOT)");
    assert_int_equal(b.mode, KL_BOOT_OTHER);
    assert_int_equal(b.reason, KL_FAULT_BAD_STRAPS);
    assert_false(b.conclusive);
}

static void the_esp8266_has_a_banner_of_its_own(void **state)
{
    (void)state;
    assert_true(line(" ets Jan  8 2013,rst cause:2, boot mode:(3,6)"));
    assert_int_equal(b.mode, KL_BOOT_FLASH);
    assert_int_equal(b.reset_reason, 2);
    assert_true(line("ets Jan  8 2013,rst cause:1, boot mode:(1,7)"));
    assert_int_equal(b.mode, KL_BOOT_DOWNLOAD);
    assert_true(line("ets Jan  8 2013,rst cause:4, boot mode:(0,7)"));
    assert_int_equal(b.mode, KL_BOOT_OTHER);
    assert_int_equal(b.banners, 3);
}

static void each_fault_has_its_reason(void **state)
{
    static const struct {
        const char *text;
        enum kl_reason reason;
        bool at_once;
    } cases[] = {
        {"flash read err, 1000", KL_FAULT_FLASH_READ_ERR, false},
        {"csum err:0x9a!=0x5b", KL_FAULT_FLASH_READ_ERR, false},
        {"invalid header: 0xffffffff", KL_FAULT_INVALID_HEADER, false},
        {"E (378) esp_image: image at 0x10000 has invalid magic byte (nothing flashed here?)",
         KL_FAULT_BAD_APP, false},
        {"E (89) boot: No bootable app partitions in the partition table", KL_FAULT_BAD_APP, true},
        {"E (57) flash_parts: partition 3 invalid - offset 0x210000 size 0x1f0000 exceeds flash "
         "chip size 0x200000",
         KL_FAULT_BAD_PARTITIONS, true},
        {"E (60) flash_parts: partition 0 invalid magic number 0xffff", KL_FAULT_BAD_PARTITIONS,
         true},
        {"E (314) spi_flash: Detected size(2048k) smaller than the size in the binary image "
         "header(4096k). Probe failed.",
         KL_FAULT_BAD_PARTITIONS, true},
        {"E (41) boot_comm: Image requires chip rev >= v3.0, but chip is v1.0",
         KL_FAULT_CHIP_REVISION, true},
        {"Brownout detector was triggered", KL_FAULT_BROWNOUT, false},
        {"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.",
         KL_FAULT_PANIC, false},
        {"uru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0).", KL_FAULT_PANIC,
         false},
        {"Fatal exception (28):", KL_FAULT_PANIC, false},
        {"abort() was called at PC 0x400d1234 on core 0", KL_FAULT_PANIC, false},
        {"assert failed: app_main main.c:12 (0)", KL_FAULT_PANIC, false},
        {"E (500) secure_boot: Secure boot signature verification failed", KL_FAULT_SECURE_BOOT,
         true},
        {"Signature verification failed", KL_FAULT_SECURE_BOOT, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kl_bootlog_reset(&b);
        lines(ESP32_BANNER);
        assert_false(line(cases[i].text));
        assert_int_equal(b.reason, cases[i].reason);
        assert_string_equal(detail, cases[i].text);
        assert_int_equal(b.conclusive, cases[i].at_once);
        now += KL_SEC(20);
        lines(ESP32_BANNER);
        line(cases[i].text);
        assert_true(b.conclusive);
    }
}

static void harmless_text_is_no_fault(void **state)
{
    (void)state;
    lines(ESP32_BANNER ESP32_ROM
          "I (12) boot: ESP-IDF v5.1 2nd stage bootloader\n"
          "I (18) boot: chip revision: v3.0\n"
          "I (40) boot: Partition Table:\n"
          "W (300) spi_flash: Detected size(4096k) larger than the size in the binary image "
          "header(2048k). Using the size in the binary image header.\n"
          "Provisioning\n");
    assert_int_equal(b.reason, KL_FAULT_NONE);
}

static void one_crash_of_many_lines_counts_once(void **state)
{
    (void)state;
    lines(ESP32_BANNER
          "Guru Meditation Error: Core  1 panic'ed (StoreProhibited). Exception was unhandled.\n"
          "Core  1 register dump:\n"
          "PC      : 0x400d1234  PS      : 0x00060730\n"
          "Backtrace: 0x400d1231:0x3ffb1f60 0x400d5675:0x3ffb1f80\n"
          "Rebooting...\n");
    assert_int_equal(b.reason, KL_FAULT_PANIC);
    assert_false(b.conclusive);
    assert_memory_equal(detail, "Guru", 4);
}

static void graver_reasons_stay(void **state)
{
    (void)state;
    line("Guru Meditation Error: Core  1 panic'ed (x)");
    line("Brownout detector was triggered");
    assert_int_equal(b.reason, KL_FAULT_BROWNOUT);
    line("Guru Meditation Error: Core  1 panic'ed (x)");
    assert_int_equal(b.reason, KL_FAULT_BROWNOUT);
    assert_string_equal(detail, "Brownout detector was triggered");
}

static void a_brownout_shows_in_the_reset_reason_too(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_false(b.conclusive);
        lines("ets Jun  8 2016 00:22:57\nrst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 "
              "(SPI_FAST_FLASH_BOOT)\n");
        assert_int_equal(b.reason, KL_FAULT_BROWNOUT);
    }
    assert_true(b.conclusive);
}

static void quick_restarts_are_a_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        lines(ESP32_BANNER ESP32_ROM);
        now += KL_SEC(2);
        assert_int_equal(b.reason, KL_FAULT_NONE);
    }
    lines(ESP32_BANNER);
    assert_int_equal(b.reason, KL_FAULT_BOOT_LOOP);
    assert_true(b.conclusive);
    kl_bootlog_alive(&b);
    assert_int_equal(b.reason, KL_FAULT_NONE);
    assert_int_equal(b.banners, 4);
}

static void slow_restarts_are_none(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        lines(ESP32_BANNER ESP32_ROM);
        now += KL_SEC(4);
    }
    assert_int_equal(b.reason, KL_FAULT_NONE);
}

static void a_loop_with_a_cause_names_the_cause(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        lines(ESP32_BANNER "invalid header: 0xffffffff\n");
        now += KL_MS(300);
    }
    assert_int_equal(b.reason, KL_FAULT_INVALID_HEADER);
    assert_true(b.conclusive);
}

#define CASE(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_two_lines_of_a_banner_are_one_start),
        CASE(half_a_banner_is_a_start_too),
        CASE(a_banner_is_found_behind_half_a_line),
        CASE(text_of_programs_is_no_banner),
        CASE(modes_tell_what_the_chip_started),
        CASE(the_esp8266_has_a_banner_of_its_own),
        CASE(each_fault_has_its_reason),
        CASE(harmless_text_is_no_fault),
        CASE(one_crash_of_many_lines_counts_once),
        CASE(graver_reasons_stay),
        CASE(a_brownout_shows_in_the_reset_reason_too),
        CASE(quick_restarts_are_a_loop),
        CASE(slow_restarts_are_none),
        CASE(a_loop_with_a_cause_names_the_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
