/* Bundles: mixed-up files, odd layouts, and what has to be refused, or done, about each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/bundle/image.h"
#include "bundle_folder.h"

#define NAMED(...) load_images((const char *const[]){__VA_ARGS__, NULL})
#define ROWS(rows) (rows), (unsigned)(sizeof(rows) / sizeof(rows)[0])

static const struct kl_demo_partition two_slots[] = {
    {"nvs", 1, 2, 0x9000, 0x5000},          {"otadata", 1, 0, 0xe000, 0x2000},
    {"app0", 0, 0x10, 0x10000, 0x140000},   {"app1", 0, 0x11, 0x150000, 0x140000},
    {"spiffs", 1, 0x82, 0x290000, 0x10000},
};
static const struct kl_demo_partition nvs_last[] = {
    {"factory", 0, 0, 0x10000, 0x100000},
    {"nvs", 1, 2, 0x110000, 0x6000},
};

static void put_app(const char *name, enum kl_chip_id chip)
{
    struct kl_demo_app app = {.payload = 3000};
    struct kl_demo_image image;

    assert_true(kl_demo_app(chip, &app, &image));
    put_image(name, image);
}

static void put_ones(const char *name, size_t size)
{
    uint8_t *data = malloc(size);

    assert_non_null(data);
    memset(data, 0x11, size);
    put_file(name, data, size);
    free(data);
}

/* What esptool's merge makes of the folder's files. */
static struct kl_demo_image merge(uint32_t boot_at)
{
    struct kl_demo_image boot = get_file("bootloader.bin"), table = get_file("partitions.bin"),
                         app = get_file("firmware.bin");
    struct kl_demo_image merged = {malloc(0x10000 + app.size), 0x10000 + app.size};

    assert_non_null(merged.data);
    memset(merged.data, 0xff, merged.size);
    memcpy(merged.data + boot_at, boot.data, boot.size);
    memcpy(merged.data + 0x8000, table.data, table.size);
    memcpy(merged.data + 0x10000, app.data, app.size);
    free(boot.data);
    free(table.data);
    free(app.data);
    return merged;
}

/* ---- which chip ---- */

static void an_unknown_chip_is_named_by_its_number(void **state)
{
    struct kl_demo_image app = get_file("firmware.bin");

    (void)state;
    app.data[12] = 99;
    kl_sha256(app.data, app.size - 32, app.data + app.size - 32);
    put_image("firmware.bin", app);
    expect_problem(load_firmware(in_folder("firmware.bin")), "does not know (id 99)");
}

static void a_mixed_set_names_both_chips(void **state)
{
    (void)state;
    put_app("firmware.bin", KL_CHIP_ESP32C6);
    expect_problem(load_firmware(in_folder("firmware.bin")), "is for ESP32, but ");
    expect_problem(load_firmware(in_folder("firmware.bin")), "says ESP32-C6");
}

static void a_program_in_the_bootloaders_place_is_refused(void **state)
{
    (void)state;
    put_app("bootloader.bin", KL_CHIP_ESP32);
    expect_problem(load_firmware(in_folder("firmware.bin")), "is a program, not a bootloader");
}

static void images_of_different_revisions_are_refused(void **state)
{
    struct kl_demo_image boot = get_file("bootloader.bin"), app = get_file("firmware.bin");

    (void)state;
    boot.data[15] = 0x2c; /* at least 3.0 */
    boot.data[16] = 0x01;
    kl_sha256(boot.data, boot.size - 32, boot.data + boot.size - 32);
    put_image("bootloader.bin", boot);
    app.data[17] = 0xc7; /* at most 1.99 */
    app.data[18] = 0x00;
    kl_sha256(app.data, app.size - 32, app.data + app.size - 32);
    put_image("firmware.bin", app);
    expect_problem(load_firmware(in_folder("firmware.bin")), "one needs 3.0 at least, one 1.99");
}

/* ---- files ---- */

static void all_problems_are_told_at_once(void **state)
{
    (void)state;
    put_file("bootloader.bin", "", 0);
    put_file("partitions.bin", "\xaa\x51", 2);
    put_app("firmware.bin", KL_CHIP_ESP32S3);
    expect_problem(load_firmware(in_folder("firmware.bin")), "bootloader.bin: the file is empty");
    expect_problem(load_firmware(in_folder("firmware.bin")), "does not begin with AA 50");
    assert_int_equal(bundle_report.problem_count, 2);
}

static void project_folders_are_searched(void **state)
{
    char folder[256];

    (void)state;
    assert_int_equal(mkdir(in_folder(".pio"), 0700), 0);
    assert_int_equal(mkdir(in_folder(".pio/build"), 0700), 0);
    assert_int_equal(mkdir(in_folder(".pio/build/one[1]"), 0700), 0);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"bootloader.bin", "partitions.bin", "firmware.bin"};
        char to[64];
        snprintf(to, sizeof to, ".pio/build/one[1]/%s", names[i]);
        assert_int_equal(rename(in_folder(names[i]), in_folder(to)), 0);
    }
    kl_bundle_free(expect_good(load_firmware(bundle_folder())));
    snprintf(folder, sizeof folder, "%s", in_folder(".pio/build/one[1]"));
    kl_bundle_free(expect_good(load_firmware(folder)));
    assert_int_equal(mkdir(in_folder(".pio/build/two"), 0700), 0);
    put_app(".pio/build/two/firmware.bin", KL_CHIP_ESP32);
    expect_problem(load_firmware(bundle_folder()), "holds 2 builds");
    expect_problem(load_firmware(in_folder(".pio")), "holds no flasher_args.json and no");
}

static void flasher_args_are_checked(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "the file is empty"},
        {"[]", "has no flash_files"},
        {"{\"flash_files\": {}}", "has no flash_files"},
        {"{\"flash_files\": {\"0x1000\": 5}}", "no \"offset\": \"file\""},
        {"{\"flash_files\": {\"here\": \"firmware.bin\"}}", "no \"offset\": \"file\""},
        {"{\"flash_files\": {\"0x1000\": \"a\", \"0x1000\": \"b\"}}", "is no JSON"},
        {"{\"flash_files\": {\"0x1000\": \"gone.bin\"}}", "gone.bin: no such file"},
        {"{\"flash_files\": {\"0x1000\": \"bootloader.bin\"}, \"extra_esptool_args\": {\"chip\": "
         "\"esp77\"}}",
         "is for esp77, a chip that keyline does not know"},
        {"{\"flash_files\": {\"0x1000\": \"bootloader.bin\"}, \"extra_esptool_args\": {\"chip\": "
         "\"esp32s2\"}}",
         "is for ESP32, but --chip or flasher_args.json says ESP32-S2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_file("flasher_args.json", cases[i].text, strlen(cases[i].text));
        expect_problem(load_firmware(in_folder("flasher_args.json")), cases[i].words);
    }
}

static void too_many_images_are_refused(void **state)
{
    char text[4096] = "{\"flash_files\": {";

    (void)state;
    for (int i = 0; i <= KL_IMAGES_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"0x%x\": \"firmware.bin\"",
                 i ? ", " : "", 0x10000 * (i + 1));
    strcat(text, "}}");
    put_file("flasher_args.json", text, strlen(text));
    expect_problem(load_firmware(in_folder("flasher_args.json")), "keyline takes 64 at most");
}

/* ---- the partition table ---- */

static void partitions_over_what_starts_the_chip_are_refused(void **state)
{
    static const struct kl_demo_partition over_table[] = {{"nvs", 1, 2, 0x8000, 0x6000},
                                                          {"factory", 0, 0, 0x10000, 0x100000}};
    static const struct kl_demo_partition over_boot[] = {{"nvs", 1, 2, 0x4000, 0x4000},
                                                         {"factory", 0, 0, 0x10000, 0x100000}};

    (void)state;
    put_table(ROWS(over_table));
    expect_problem(load_firmware(in_folder("firmware.bin")), "lies over the partition table");
    put_table(ROWS(over_boot));
    expect_problem(load_firmware(in_folder("firmware.bin")), "lies over the bootloader");
}

/* ESP-IDF can move the table, and newer ones list bootloader and table as partitions. */
static void a_table_elsewhere_is_fine(void **state)
{
    static const struct kl_demo_partition rows[] = {{"bootloader", 2, 0, 0x1000, 0xb000},
                                                    {"table", 3, 0, 0xc000, 0x1000},
                                                    {"nvs", 1, 2, 0xd000, 0x3000},
                                                    {"factory", 0, 0, 0x10000, 0x100000}};
    struct kl_bundle *b;

    (void)state;
    put_table(ROWS(rows));
    b = expect_good(
        NAMED("0x1000:bootloader.bin", "0xc000:partitions.bin", "0x10000:firmware.bin"));
    assert_int_equal(b->nvs_offset, 0xd000);
    kl_bundle_free(b);
    expect_problem(NAMED("0xd000:partitions.bin", "0x10000:firmware.bin"),
                   "partition nvs (0xd000) lies over the partition table itself (0xd000)");
}

static void tables_without_a_program_or_in_two_are_refused(void **state)
{
    static const struct kl_demo_partition rows[] = {{"nvs", 1, 2, 0x9000, 0x6000}};

    (void)state;
    expect_problem(NAMED("0x8000:partitions.bin", "0x20000:partitions.bin"),
                   "a second partition table");
    put_table(ROWS(rows));
    expect_problem(load_firmware(in_folder("firmware.bin")), "has no app partition");
}

static void every_nvs_partition_is_kept(void **state)
{
    static const struct kl_demo_partition rows[] = {{"nvs", 1, 2, 0x9000, 0x6000},
                                                    {"factory", 0, 0, 0x10000, 0x100000},
                                                    {"keys", 1, 2, 0x110000, 0x4000}};

    (void)state;
    put_table(ROWS(rows));
    put_ones("data.bin", 100);
    expect_problem(NAMED("0x8000:partitions.bin", "0x113000:data.bin"),
                   "over the NVS partition (keys, 0x110000 to 0x114000)");
    expect_problem(NAMED("0x8000:partitions.bin", "0x9000:data.bin"), "leave it out");
}

/* Erasing goes by sectors of 4 KiB: an image may end before NVS, and still clear its beginning. */
static void nvs_is_safe_from_rounding_too(void **state)
{
    static const struct kl_demo_partition rows[] = {{"x", 1, 0x40, 0x9000, 0x1000},
                                                    {"nvs", 1, 2, 0xa000, 0x6000},
                                                    {"factory", 0, 0, 0x10000, 0x100000}};

    (void)state;
    put_table(ROWS(rows));
    put_ones("data.bin", 0x1000);
    kl_bundle_free(
        expect_good(NAMED("0x8000:partitions.bin", "0x9000:data.bin", "0x10000:firmware.bin")));
    put_ones("data.bin", 0x1001);
    expect_problem(NAMED("0x8000:partitions.bin", "0x9000:data.bin"), "it is padded from 0x9000");
}

static void data_must_fit_its_partition(void **state)
{
    (void)state;
    put_table(ROWS(two_slots));
    put_ones("spiffs.bin", 0x10000);
    kl_bundle_free(
        expect_good(NAMED("0x8000:partitions.bin", "0x10000:firmware.bin", "0x290000:spiffs.bin")));
    put_ones("spiffs.bin", 0x10001);
    expect_problem(NAMED("0x8000:partitions.bin", "0x290000:spiffs.bin"),
                   "too many for its partition spiffs of 65536");
}

static void a_damaged_program_in_an_app_partition_is_noticed(void **state)
{
    (void)state;
    put_table(ROWS(two_slots));
    put_ones("app.bin", 5000);
    expect_problem(NAMED("0x8000:partitions.bin", "0x150000:app.bin"), "app.bin is no ESP image");
}

static void the_flash_size_that_the_header_keeps_must_suffice(void **state)
{
    static const struct kl_demo_partition rows[] = {{"factory", 0, 0, 0x10000, 0x100000},
                                                    {"spiffs", 1, 0x82, 0x110000, 0x400000}};
    struct kl_bundle_options o = {
        .firmware = in_folder("firmware.bin"), .flash_mode = -1, .keep_size = true};

    (void)state;
    put_table(ROWS(rows));
    expect_problem(kl_bundle_load(&o, &bundle_report),
                   "says that the flash has 4096 KB, but partition spiffs reaches to 0x510000");
    o.keep_size = false; /* then each board's own size is put in */
    o.firmware = in_folder("firmware.bin");
    struct kl_bundle *b = expect_good(kl_bundle_load(&o, &bundle_report));
    assert_int_equal(b->flash_end, 0x510000);
    kl_bundle_free(b);
}

/* Each chip has frequencies of its own, and its own values for them (§4.3). */
static void flash_frequencies_are_the_chips_own(void **state)
{
    static const struct {
        enum kl_chip_id chip;
        unsigned mhz;
        int code;
    } cases[] = {
        {KL_CHIP_ESP32, 80, 0xf},   {KL_CHIP_ESP32, 40, 0},    {KL_CHIP_ESP32, 60, -1},
        {KL_CHIP_ESP32C6, 80, 0},   {KL_CHIP_ESP32C6, 20, 2},  {KL_CHIP_ESP32C6, 26, -1},
        {KL_CHIP_ESP32C2, 60, 0xf}, {KL_CHIP_ESP32C2, 20, 1},  {KL_CHIP_ESP32H2, 48, 0xf},
        {KL_CHIP_ESP32H2, 12, 2},   {KL_CHIP_ESP32C5, 26, -1}, {KL_CHIP_ESP32P4, 80, 0xf},
    };
    struct kl_bundle_options o = {
        .firmware = in_folder("firmware.bin"), .flash_mode = -1, .flash_mhz = 60};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(kl_image_freq_code(cases[i].chip, cases[i].mhz), cases[i].code);
    expect_problem(kl_bundle_load(&o, &bundle_report), "ESP32 can't run its flash at 60 MHz");
}

/* ---- updates over the air ---- */

static void arduinos_choice_of_slot_is_taken(void **state)
{
    struct kl_bundle *b;

    (void)state;
    put_table(ROWS(two_slots));
    put_ones("boot_app0.bin", 0x2000);
    b = expect_good(load_firmware(in_folder("firmware.bin")));
    assert_int_equal(b->region[region_at(b, 0xe000)].image[0].raw[0], 0x11);
    assert_int_equal(b->region_count, 4);
    kl_bundle_free(b);
}

/* Else a board that had been updated before would start its old program. */
static void without_one_the_choice_is_emptied(void **state)
{
    struct kl_bundle *b;

    (void)state;
    put_table(ROWS(two_slots));
    b = expect_good(load_firmware(in_folder("firmware.bin")));
    const struct kl_image *image = &b->region[region_at(b, 0xe000)].image[0];
    assert_int_equal(image->raw_size, 0x2000);
    for (uint32_t i = 0; i < image->raw_size; i++)
        assert_int_equal(image->raw[i], 0xff);
    kl_bundle_free(b);
    b = expect_good(NAMED("0x8000:partitions.bin", "0x10000:firmware.bin"));
    assert_int_equal(b->region[region_at(b, 0xe000)].image[0].raw_size, 0x2000);
    kl_bundle_free(b);
}

static void a_choice_without_a_partition_is_left_out(void **state)
{
    struct kl_bundle *b;

    (void)state;
    put_ones("boot_app0.bin", 0x2000);
    b = expect_good(load_firmware(in_folder("firmware.bin")));
    assert_int_equal(b->region_count, 3);
    kl_bundle_free(b);
}

/* ---- merged files ---- */

static void a_merged_file_that_spares_nvs_is_taken(void **state)
{
    char why[KL_TEXT_MAX];
    struct kl_image_info info;
    struct kl_bundle *b;

    (void)state;
    put_table(ROWS(nvs_last));
    put_image("all.bin", merge(0x1000));
    b = expect_good(load_firmware(in_folder("all.bin")));
    assert_int_equal(b->region[0].offset, 0);
    for (unsigned r = 1; r < b->region_count; r++) /* without a gap */
        assert_int_equal(b->region[r].offset,
                         b->region[r - 1].offset + b->region[r - 1].image[0].raw_size);
    assert_string_equal(b->project, "demo");
    const struct kl_image *image = kl_bundle_image(b, 0, 16u << 20);
    assert_null(kl_image_read(image->raw + 0x1000, image->raw_size - 0x1000, &info, why));
    assert_int_equal(kl_chip_flash_size_bytes(kl_chip(b->chip), info.size_freq), 16u << 20);
    kl_bundle_free(b);
    kl_bundle_free(expect_good(NAMED("0:all.bin")));
}

static void merged_files_are_looked_into(void **state)
{
    struct kl_demo_image merged;

    (void)state;
    put_table(ROWS(nvs_last));
    put_image("all.bin", merge(0));
    expect_problem(load_firmware(in_folder("all.bin")),
                   "puts the bootloader at 0x0, but the ESP32");
    merged = merge(0x1000);
    merged.data[0x10100] ^= 1;
    put_image("all.bin", merged);
    expect_problem(load_firmware(in_folder("all.bin")), "its program at 0x10000 is damaged");
    merged = merge(0x1000);
    merged.data[0x1100] ^= 1;
    put_image("all.bin", merged);
    expect_problem(load_firmware(in_folder("all.bin")), "its bootloader at 0x1000 is damaged");
    put_app("firmware.bin", KL_CHIP_ESP32S2);
    put_image("all.bin", merge(0x1000));
    expect_problem(load_firmware(in_folder("all.bin")), "for another chip than its bootloader");
}

/* ---- the ESP8266, and what is missing ---- */

static void the_esp8266s_header_names_its_flash_size(void **state)
{
    struct kl_bundle *b;

    (void)state;
    put_app("firmware.bin", KL_CHIP_ESP8266);
    b = expect_good(load_firmware(in_folder("firmware.bin")));
    assert_int_equal(kl_bundle_image(b, 0, 1u << 20)->raw[3] >> 4, 2);
    assert_int_equal(kl_bundle_image(b, 0, 512u << 10)->raw[3] >> 4, 0);
    assert_string_equal(b->region[0].name, "firmware");
    assert_string_equal(b->file, "firmware.bin");
    kl_bundle_free(b);
}

/* 0xEA, 4, the mapped segment, then an image of the usual form (§7.1). */
static void the_esp8266s_second_form_is_read(void **state)
{
    uint8_t image[16 + 64 + 8 + 8 + 16 + 16] = {0xea, 4};
    uint8_t *inner = image + 80, sum = 0xef;
    struct kl_bundle *b;

    (void)state;
    image[12] = 64;
    inner[0] = 0xe9;
    inner[1] = 1;
    inner[10] = 0x10;
    inner[11] = 0x40; /* instruction RAM */
    inner[12] = 16;
    for (int i = 0; i < 16; i++)
        sum ^= inner[16 + i] = (uint8_t)(3 * i);
    image[127] = sum;
    put_file("second.bin", image, sizeof image);
    b = expect_good(NAMED("0:second.bin"));
    assert_int_equal(b->chip, KL_CHIP_ESP8266);
    assert_memory_equal(kl_bundle_image(b, 0, 4u << 20)->raw, image, sizeof image);
    kl_bundle_free(b);
    image[127] ^= 1;
    put_file("second.bin", image, sizeof image);
    expect_problem(NAMED("0:second.bin"), "is damaged: checksum");
    image[12] = 200;
    put_file("second.bin", image, sizeof image);
    expect_problem(NAMED("0:second.bin"), "is cut short");
}

/* What a message says to type is one word for the shell, whatever the folder's name. */
static void advice_can_be_typed(void **state)
{
    struct kl_bundle_options o = {.flash_mode = -1};

    (void)state;
    assert_int_equal(mkdir(in_folder("my build"), 0700), 0);
    put_app("my build/firmware.bin", KL_CHIP_ESP32);
    put_image("my build/bootloader.bin", get_file("bootloader.bin"));
    o.firmware = in_folder("my build/bootloader.bin");
    expect_problem(kl_bundle_load(&o, &bundle_report), "my build/firmware.bin'");
    assert_non_null(strstr(bundle_report.problem[0], "--firmware '/"));
}

static void what_is_missing_is_warned_of(void **state)
{
    (void)state;
    expect_problem(NAMED("0x10000:firmware.bin"), "no partition table is among the images");
    kl_bundle_free(expect_good(NAMED("0x1000:bootloader.bin")));
    expect_warning("no partition table is among the images");
    kl_bundle_free(expect_good(NAMED("0x1000:bootloader.bin", "0x8000:partitions.bin")));
    expect_warning("no program is among the images");
    put_ones("data.bin", 100);
    expect_problem(NAMED("0x300000:data.bin"), "none of the images tells its chip; give --chip");
}

/* Nobody writes into that pipe: whoever waits for it waits for ever. */
static void pipes_are_named_and_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_folder("pipe.bin"), 0600), 0);
    assert_int_equal(mkfifo(in_folder("pipe.json"), 0600), 0);
    expect_problem(NAMED("0x10000:pipe.bin"), "a named pipe, not a file");
    expect_problem(load_firmware(in_folder("pipe.bin")), "a named pipe, not a file");
    expect_problem(load_firmware(in_folder("pipe.json")), "a named pipe, not a file");
    expect_problem(load_firmware("/dev/zero"), "a device, not a file");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bundle_folder_new, bundle_folder_drop)
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_chip_is_named_by_its_number),
        TEST(a_mixed_set_names_both_chips),
        TEST(a_program_in_the_bootloaders_place_is_refused),
        TEST(images_of_different_revisions_are_refused),
        TEST(all_problems_are_told_at_once),
        TEST(project_folders_are_searched),
        TEST(flasher_args_are_checked),
        TEST(too_many_images_are_refused),
        TEST(partitions_over_what_starts_the_chip_are_refused),
        TEST(a_table_elsewhere_is_fine),
        TEST(tables_without_a_program_or_in_two_are_refused),
        TEST(every_nvs_partition_is_kept),
        TEST(nvs_is_safe_from_rounding_too),
        TEST(data_must_fit_its_partition),
        TEST(a_damaged_program_in_an_app_partition_is_noticed),
        TEST(the_flash_size_that_the_header_keeps_must_suffice),
        TEST(flash_frequencies_are_the_chips_own),
        TEST(arduinos_choice_of_slot_is_taken),
        TEST(without_one_the_choice_is_emptied),
        TEST(a_choice_without_a_partition_is_left_out),
        TEST(a_merged_file_that_spares_nvs_is_taken),
        TEST(merged_files_are_looked_into),
        TEST(the_esp8266s_header_names_its_flash_size),
        TEST(the_esp8266s_second_form_is_read),
        TEST(advice_can_be_typed),
        TEST(what_is_missing_is_warned_of),
        TEST(pipes_are_named_and_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
