/* Bundles: what may be flashed, and everything that must be refused before a board is touched. */
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
#include <zlib.h>

#include "adapters/bundle/image.h"
#include "adapters/bundle/pack.h"
#include "bundle_folder.h"

static void images_beside_the_firmware_are_found(void **state)
{
    struct kl_bundle *b = load_firmware(in_folder("firmware.bin"));

    (void)state;
    if (!b)
        fail_msg("%s", bundle_report.problem[0]);
    assert_int_equal(b->chip, KL_CHIP_ESP32);
    assert_int_equal(b->region_count, 3);
    assert_int_equal(b->region[0].offset, 0x1000);
    assert_int_equal(b->region[1].offset, 0x8000);
    assert_int_equal(b->region[2].offset, 0x10000);
    assert_int_equal(b->flash_end, 0x110000);
    assert_int_equal(b->nvs_offset, 0x9000);
    assert_string_equal(b->project, "demo");
    assert_string_equal(b->file, "firmware.bin");
    kl_bundle_free(b);
}

static void packed_images_inflate_to_the_raw_ones(void **state)
{
    struct kl_bundle *b = load_firmware(in_folder("firmware.bin"));

    (void)state;
    assert_non_null(b);
    for (unsigned r = 0; r < b->region_count; r++) {
        const struct kl_image *image = kl_bundle_image(b, r, 4u << 20);
        uint8_t *out = malloc(image->raw_size);
        uLongf size = image->raw_size;
        size_t steps = image->packed_size / KL_PACK_STEP + 2;
        assert_int_equal(uncompress(out, &size, image->packed, image->packed_size), Z_OK);
        assert_int_equal(size, image->raw_size);
        assert_memory_equal(out, image->raw, size);
        assert_int_equal(image->raw_size % 4, 0);
        assert_int_equal(image->inflated_at[0], 0);
        assert_int_equal(image->inflated_at[steps - 1], image->raw_size);
        for (size_t n = 1; n < steps; n++)
            assert_true(image->inflated_at[n] >= image->inflated_at[n - 1]);
        free(out);
    }
    kl_bundle_free(b);
}

/* Any run of sectors is a stream of its own. */
static void sectors_inflate_without_those_before_them(void **state)
{
    enum {
        SIZE = 150000 / 4 * 4,
        SECTORS = (SIZE + KL_HEAD - 1) / KL_HEAD
    };
    struct kl_image image;
    uint8_t *raw = malloc(SIZE), *out = malloc(SIZE);
    uint32_t noise = 1;

    (void)state;
    for (uint32_t i = 0; i < SIZE; i++) {
        noise = noise * 1664525 + 1013904223;
        raw[i] = i / KL_HEAD % 3 == 0 ? (uint8_t)(noise >> 24) : (uint8_t)(i / 100);
    }
    assert_true(kl_pack(&image, raw, SIZE));
    assert_non_null(image.parts);
    for (uint32_t first = 0; first < SECTORS; first++)
        for (uint32_t end = first + 1; end <= SECTORS; end += first % 5 + 1) {
            uint32_t want = end == SECTORS ? SIZE - first * KL_HEAD : (end - first) * KL_HEAD;
            z_stream z = {.next_in = (Bytef *)(uintptr_t)(image.parts + image.part_at[first]),
                          .avail_in = image.part_at[end] - image.part_at[first],
                          .next_out = out,
                          .avail_out = SIZE};
            assert_int_equal(inflateInit2(&z, -15), Z_OK);
            assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
            assert_int_equal(z.total_out, want);
            assert_memory_equal(out, image.raw + first * KL_HEAD, want);
            inflateEnd(&z);
        }
    kl_pack_free(&image);
    free(out);
}

static void the_bootloader_names_each_flash_size(void **state)
{
    struct kl_bundle *b = load_firmware(in_folder("firmware.bin"));
    char why[KL_TEXT_MAX];

    (void)state;
    assert_non_null(b);
    for (uint32_t size = 1u << 20; size <= 16u << 20; size <<= 1) {
        const struct kl_image *image = kl_bundle_image(b, 0, size);
        struct kl_image_info info;
        assert_null(kl_image_read(image->raw, image->raw_size, &info, why)); /* digest too */
        assert_int_equal(kl_chip_flash_size_bytes(kl_chip(KL_CHIP_ESP32), info.size_freq), size);
    }
    assert_ptr_equal(kl_bundle_image(b, 2, 1u << 20)->raw, kl_bundle_image(b, 2, 16u << 20)->raw);
    kl_bundle_free(b);
}

static void every_chip_has_its_bootloader_place(void **state)
{
    struct kl_demo_app app = {.payload = 1000};

    (void)state;
    for (int id = KL_CHIP_ESP32; id < KL_CHIP_COUNT; id++) {
        assert_true(kl_demo_write(bundle_folder(), (enum kl_chip_id)id, &app));
        struct kl_bundle *b = load_firmware(in_folder("firmware.bin"));
        if (!b)
            fail_msg("%s: %s", kl_chip((enum kl_chip_id)id)->name, bundle_report.problem[0]);
        assert_int_equal(b->chip, id);
        assert_int_equal(b->region[0].offset, kl_chip((enum kl_chip_id)id)->bootloader_offset);
        kl_bundle_free(b);
    }
}

static void an_esp8266_firmware_stands_alone(void **state)
{
    struct kl_demo_app app = {.payload = 1000};
    struct kl_demo_image image;

    (void)state;
    assert_true(kl_demo_app(KL_CHIP_ESP8266, &app, &image));
    put_file("alone.bin", image.data, image.size);
    struct kl_bundle *b = load_firmware(in_folder("alone.bin"));
    if (!b)
        fail_msg("%s", bundle_report.problem[0]);
    assert_int_equal(b->chip, KL_CHIP_ESP8266);
    assert_int_equal(b->region[0].offset, 0);
    kl_bundle_free(b);
    free(image.data);
}

static void a_build_folder_and_flasher_args_work(void **state)
{
    static const char args[] =
        "{\"flash_settings\": {\"flash_mode\": \"dio\"}, \"flash_files\": {\"0x1000\": "
        "\"bootloader.bin\", \"0x8000\": \"partitions.bin\", \"0x10000\": \"firmware.bin\"}, "
        "\"extra_esptool_args\": {\"chip\": \"esp32\"}}";
    struct kl_bundle *b = load_firmware(bundle_folder());

    (void)state;
    assert_non_null(b);
    assert_int_equal(b->region_count, 3);
    kl_bundle_free(b);
    put_file("flasher_args.json", args, sizeof args - 1);
    b = load_firmware(in_folder("flasher_args.json"));
    if (!b)
        fail_msg("%s", bundle_report.problem[0]);
    assert_int_equal(b->region_count, 3);
    kl_bundle_free(b);
    put_file("flasher_args.json", "{\"flash_files\": {", 17);
    expect_problem(load_firmware(in_folder("flasher_args.json")), "flasher_args.json");
}

static void named_images_work_and_are_checked(void **state)
{
#define NAMED(...) load_images((const char *const[]){__VA_ARGS__, NULL})
    (void)state;
    kl_bundle_free(expect_good(
        NAMED("0x1000:bootloader.bin", "32768:partitions.bin", "0x10000:firmware.bin")));
    expect_problem(NAMED("0x8000:partitions.bin", "0x20000:firmware.bin"),
                   "does not begin where its partition factory begins; use offset 0x10000");
    expect_problem(NAMED("0x8000:partitions.bin", "0x10000:firmware.bin", "0x18000:firmware.bin"),
                   "overlap");
    expect_problem(NAMED("0x8000:partitions.bin", "0x10100:firmware.bin"), "not a multiple");
    expect_problem(NAMED("0x8000:partitions.bin", "0x200000:firmware.bin"), "in no app partition");
    expect_problem(NAMED("nonsense"), "OFFSET:FILE");
    expect_problem(NAMED("-1:firmware.bin"), "OFFSET:FILE");
    expect_problem(NAMED("0x100000000:firmware.bin"), "OFFSET:FILE");
    expect_problem(NAMED("0x2000:bootloader.bin", "0x8000:partitions.bin"),
                   "the ESP32 looks for it at 0x1000");
}

static void missing_files_are_named(void **state)
{
    (void)state;
    expect_problem(load_firmware(in_folder("nothing.bin")), "no such file");
    unlink(in_folder("bootloader.bin"));
    unlink(in_folder("partitions.bin"));
    expect_problem(load_firmware(in_folder("firmware.bin")), "no bootloader.bin beside it");
    expect_problem(load_firmware(in_folder("firmware.bin")), "partitions.bin, partition.bin or");
    put_file("firmware.bin", "", 0);
    expect_problem(load_firmware(in_folder("firmware.bin")), "empty");
}

/* Cut anywhere, or with any byte of its contents changed, an image is refused. */
static void damaged_images_are_refused(void **state)
{
    struct kl_demo_image image = get_file("firmware.bin");

    (void)state;
    for (size_t cut = 1; cut < image.size; cut += 997) {
        put_file("firmware.bin", image.data, cut);
        assert_null(load_firmware(in_folder("firmware.bin")));
        assert_true(bundle_report.problem_count > 0);
    }
    for (size_t at = 24; at < image.size; at += 1009) {
        image.data[at] ^= 0x10;
        put_file("firmware.bin", image.data, image.size);
        assert_null(load_firmware(in_folder("firmware.bin")));
        image.data[at] ^= 0x10;
    }
    image.data[0] = 0;
    put_file("firmware.bin", image.data, image.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "no ESP image");
    free(image.data);
}

static void images_for_other_chips_are_refused(void **state)
{
    struct kl_demo_app app = {.payload = 1000};
    struct kl_demo_image image;
    struct kl_bundle_options o = {
        .firmware = in_folder("firmware.bin"), .chip = KL_CHIP_ESP32S3, .flash_mode = -1};

    (void)state;
    expect_problem(kl_bundle_load(&o, &bundle_report), "is for ESP32");
    assert_true(kl_demo_app(KL_CHIP_ESP32C3, &app, &image));
    put_file("firmware.bin", image.data, image.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "ESP32-C3");
    free(image.data);
}

static void a_program_must_fit_its_partition(void **state)
{
    static const struct kl_demo_partition rows[] = {{"nvs", 1, 2, 0x9000, 0x6000},
                                                    {"factory", 0, 0, 0x10000, 0x8000}};
    struct kl_demo_image table;

    (void)state;
    assert_true(kl_demo_partitions(rows, 2, &table));
    put_file("partitions.bin", table.data, table.size);
    expect_problem(load_firmware(in_folder("firmware.bin")),
                   "too many for its partition factory of 32768");
    free(table.data);
}

static void broken_partition_tables_are_refused(void **state)
{
    static const struct kl_demo_partition overlap[] = {{"nvs", 1, 2, 0x9000, 0x8000},
                                                       {"factory", 0, 0, 0x10000, 0x100000}};
    static const struct kl_demo_partition crooked[] = {{"factory", 0, 0, 0x11000, 0x100000}};
    static const struct kl_demo_partition huge[] = {{"factory", 0, 0, 0x10000, 0x20000000}};
    struct kl_demo_image table;

    (void)state;
    assert_true(kl_demo_partitions(overlap, 2, &table));
    put_file("partitions.bin", table.data, table.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "overlap: nvs and factory");
    table.data[5] ^= 1;
    put_file("partitions.bin", table.data, table.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "partitions.bin");
    free(table.data);
    assert_true(kl_demo_partitions(crooked, 1, &table));
    put_file("partitions.bin", table.data, table.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "not a multiple of 0x10000");
    free(table.data);
    assert_true(kl_demo_partitions(huge, 1, &table));
    put_file("partitions.bin", table.data, table.size);
    expect_problem(load_firmware(in_folder("firmware.bin")), "past any flash");
    free(table.data);
    put_file("partitions.bin", "nothing of the kind at all, really not one", 40);
    expect_problem(load_firmware(in_folder("firmware.bin")), "no partition table");
}

/* What esptool's merge makes is one file from 0, with 0xFF where NVS lies: boards that hold a key
   get all of it but that. */
static void a_merged_image_over_nvs_spares_boards_with_a_key(void **state)
{
    struct kl_demo_image boot = get_file("bootloader.bin"), table = get_file("partitions.bin"),
                         app = get_file("firmware.bin");
    size_t size = 0x10000 + app.size;
    uint8_t *merged = malloc(size);
    static struct kl_bundle keyed;

    (void)state;
    memset(merged, 0xff, size);
    memcpy(merged + 0x1000, boot.data, boot.size);
    memcpy(merged + 0x8000, table.data, table.size);
    memcpy(merged + 0x10000, app.data, app.size);
    put_file("merged.bin", merged, size);
    struct kl_bundle *b = expect_good(load_firmware(in_folder("merged.bin")));
    const struct kl_region *nvs = &b->region[region_at(b, 0x9000)];
    assert_true(nvs->keep_if_keyed);
    assert_int_equal(nvs->image[0].raw_size, 0x6000);
    kl_bundle_for_keyed(b, &keyed);
    assert_int_equal(keyed.region_count, b->region_count - 1);
    for (unsigned r = 0; r < keyed.region_count; r++)
        assert_true(keyed.region[r].offset >= 0xf000 ||
                    keyed.region[r].offset + keyed.region[r].image[0].raw_size <= 0x9000);
    kl_bundle_free(b);
    free(merged);
    free(boot.data);
    free(table.data);
    free(app.data);
}

static void revisions_and_options_reach_the_bundle(void **state)
{
    struct kl_demo_image boot = get_file("bootloader.bin");
    struct kl_image_info info;
    struct kl_bundle_options o = {
        .firmware = in_folder("firmware.bin"), .flash_mode = 0, .flash_mhz = 80, .erase_all = true};
    char why[KL_TEXT_MAX];

    (void)state;
    boot.data[15] = 0x2c; /* at least 3.0 */
    boot.data[16] = 0x01;
    kl_sha256(boot.data, boot.size - 32, boot.data + boot.size - 32);
    put_file("bootloader.bin", boot.data, boot.size);
    struct kl_bundle *b = kl_bundle_load(&o, &bundle_report);
    assert_non_null(b);
    assert_int_equal(b->rev_min, 300);
    assert_int_equal(b->rev_max, 0xffff);
    assert_true(b->erase_all);
    const struct kl_image *image = kl_bundle_image(b, 0, 8u << 20);
    assert_null(kl_image_read(image->raw, image->raw_size, &info, why));
    assert_int_equal(info.mode, 0);
    assert_int_equal(info.size_freq, 0x3f);
    kl_bundle_free(b);
    free(boot.data);
}

static void stubs_are_read_strictly(void **state)
{
    static const char good[] =
        "{\"entry\": 1074429956, \"text\": \"AAECAwQ=\", \"text_start\": 1074429952, \"data\": "
        "\"/w==\", \"data_start\": 1073605556, \"bss_start\": 1073528832}";
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"entry\": 1}",
                                      "{\"entry\": 1, \"text\": \"***\", \"text_start\": 2}",
                                      "{\"entry\": -1, \"text\": \"AAAA\", \"text_start\": 2}",
                                      "{\"entry\": 2, \"text\": \"\", \"text_start\": 2}",
                                      "{\"entry\": 1, \"text\": \"AAAA\", \"text_start\": 2}",
                                      "{\"entry\": 6, \"text\": \"AAAA\", \"text_start\": 2}",
                                      "{\"entry\": 2, \"text\": \"AAA\", \"text_start\": 2}",
                                      "{\"entry\": 2, \"text\": \"A===\", \"text_start\": 2}",
                                      "{\"entry\": 2, \"text\": \"AA=A\", \"text_start\": 2}",
                                      "{\"entry\": 4294967293, \"text\": \"AAAA\", "
                                      "\"text_start\": 4294967293}",
                                      "{\"entry\": 2, \"text\": \"AAAA\", \"text_start\": 2, "
                                      "\"data\": \"AAAA\"}",
                                      "{\"entry\": 2, \"text\": \"AAAA\", \"text_start\": 2, "
                                      "\"data\": 7, \"data_start\": 9}"};
    char why[KL_TEXT_MAX];
    struct kl_stub *s = kl_stub_parse(good, sizeof good - 1, why);

    (void)state;
    assert_non_null(s);
    assert_int_equal(s->entry, 1074429956);
    assert_int_equal(s->text.size, 8);
    assert_memory_equal(s->text.data, "\0\1\2\3\4\0\0\0", 8);
    assert_int_equal(s->data.size, 4);
    kl_stub_free(s);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(kl_stub_parse(bad[i], strlen(bad[i]), why));
        assert_true(why[0] != '\0');
    }
}

static void stubs_are_found_where_they_may_lie(void **state)
{
    static const char good[] = "{\"entry\": 16, \"text\": \"AAECAw==\", \"text_start\": 16}";
    char note[KL_TEXT_MAX];
    struct kl_stubs *s;

    (void)state;
    put_file("esp32.json", good, sizeof good - 1);
    put_file("esp32c3.json", "{", 1);
    s = kl_stubs_load(bundle_folder(), note);
    assert_non_null(s);
    assert_non_null(s->chip[KL_CHIP_ESP32]);
    assert_null(s->chip[KL_CHIP_ESP32C3]);
    assert_non_null(strstr(note, "flasher stubs for 1 chips from"));
    assert_non_null(strstr(note, "esp32c3.json is no JSON"));
    kl_stubs_free(s);

    setenv("KEYLINE_STUB_DIR", bundle_folder(), 1);
    s = kl_stubs_load("auto", note);
    assert_non_null(s->chip[KL_CHIP_ESP32]);
    assert_non_null(strstr(note, bundle_folder()));
    kl_stubs_free(s);
    unsetenv("KEYLINE_STUB_DIR");

    assert_int_equal(unlink(in_folder("esp32c3.json")), 0);
    assert_int_equal(mkfifo(in_folder("esp32s3.json"), 0600), 0);
    s = kl_stubs_load(bundle_folder(), note);
    assert_non_null(strstr(note, "esp32s3.json is a named pipe, not a file"));
    kl_stubs_free(s);

    s = kl_stubs_load(in_folder("nowhere"), note);
    assert_non_null(s);
    assert_null(s->chip[KL_CHIP_ESP32]);
    assert_non_null(strstr(note, "no flasher stubs found in"));
    kl_stubs_free(s);
    assert_null(kl_stubs_load("none", note));
}

int main(void)
{
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, bundle_folder_new, bundle_folder_drop)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(images_beside_the_firmware_are_found),
        WITH_FOLDER(packed_images_inflate_to_the_raw_ones),
        WITH_FOLDER(sectors_inflate_without_those_before_them),
        WITH_FOLDER(the_bootloader_names_each_flash_size),
        WITH_FOLDER(every_chip_has_its_bootloader_place),
        WITH_FOLDER(an_esp8266_firmware_stands_alone),
        WITH_FOLDER(a_build_folder_and_flasher_args_work),
        WITH_FOLDER(named_images_work_and_are_checked),
        WITH_FOLDER(missing_files_are_named),
        WITH_FOLDER(damaged_images_are_refused),
        WITH_FOLDER(images_for_other_chips_are_refused),
        WITH_FOLDER(a_program_must_fit_its_partition),
        WITH_FOLDER(broken_partition_tables_are_refused),
        WITH_FOLDER(a_merged_image_over_nvs_spares_boards_with_a_key),
        WITH_FOLDER(revisions_and_options_reach_the_bundle),
        cmocka_unit_test(stubs_are_read_strictly),
        WITH_FOLDER(stubs_are_found_where_they_may_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
