/* Boards that hold a program's previous version: only what differs is written, in a known time, and
   whatever goes wrong meanwhile, no byte counts as right that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader_bench.h"

enum {
    MD5 = 0x13,
};

static struct wire_profile profile;

static void tasks(struct lb *b, const struct kl_bundle *bundle)
{
    memset(&profile, 0, sizeof profile);
    assert_int_equal(lb_whole(b, bundle), KL_FAULT_NONE);
    assert_true(lb_flash_is_right(b, bundle));
    assert_string_equal(kl_vboard_complaint(b->board), "");
}

enum {
    PREVIOUS_SIZE = 900336,
    PREVIOUS_AT = 0x10000,
};

/* A function grew by 16 bytes: the linker moved all that stands behind it. */
static struct kl_bundle *shifted_from(const struct kl_bundle *bundle, unsigned percent)
{
    struct kl_bundle *b = calloc(1, sizeof *b);

    b->chip = bundle->chip;
    b->rev_max = 0xFFFF;
    for (unsigned r = 0; r < bundle->region_count; r++) {
        const struct kl_image *i = &bundle->region[r].image[0];
        uint8_t *data = malloc(i->raw_size);
        uint32_t from = i->raw_size / 100 * percent;
        memcpy(data, i->raw, i->raw_size);
        if (r == 2)
            memcpy(data + from, i->raw + from + 16, i->raw_size - from - 16);
        data[32] ^= r == 2; /* the descriptor */
        lb_bundle_add(b, bundle->region[r].name, bundle->region[r].offset, data, i->raw_size);
        free(data);
    }
    return b;
}

static kl_us time_over(const struct kl_bundle *bundle, const struct kl_bundle *old, uint64_t *wire)
{
    struct lb b;

    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                     .link = KL_LINK_SERIAL,
                                     .stub = true,
                                     .baud = 921600,
                                     .paced = true});
    b.profile = &profile;
    tasks(&b, old);
    tasks(&b, bundle);
    kl_us all = 0;
    for (int t = KL_LOADER_FLASH; t <= KL_LOADER_VERIFY; t++) {
        struct wp_row r = wp_sum(&profile, (enum kl_loader_task)t, WP_CAUSES);
        all += r.wire + r.board + r.answer + r.pause;
    }
    *wire = kl_loader_progress(&b.loader)->wire;
    lb_close(&b);
    return all;
}

/* What a user's new version may have changed, and the most that it may take of the time for a board
   with another program. The flash's own work, each byte summed up once, is 26 % for a tenth in one
   place and 36 % for a tenth here and there: docs/performance.md adds it up. */
static const struct change {
    const char *text;
    unsigned percent;
    bool together, shifted;
    unsigned percent_of_full;
} cases[] = {
    {"a tenth changed in one place", 10, true, false, 32},
    {"a tenth changed in sectors here and there", 10, false, false, 40},
    {"all moved behind 90 %", 90, false, true, 35},
    {"all moved behind 70 %", 70, false, true, 50},
    {"all moved behind 20 %", 20, false, true, 102},
    {"60 % changed here and there", 60, false, false, 102},
};

static void only_what_differs_is_written(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, PREVIOUS_SIZE);
    struct kl_bundle *foreign = lb_bundle_another(bundle);
    uint64_t wire;
    kl_us full = time_over(bundle, foreign, &wire);

    (void)state;
    print_message("foreign: %lld us, %llu bytes\n", (long long)full, (unsigned long long)wire);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct change *c = &cases[i];
        struct kl_bundle *old = c->shifted ? shifted_from(bundle, c->percent)
                                           : lb_bundle_previous(bundle, c->percent, c->together);
        kl_us time = time_over(bundle, old, &wire);
        print_message("%s: %lld us (%lld %%), %llu bytes\n", c->text, (long long)time,
                      (long long)(time * 100 / full), (unsigned long long)wire);
        assert_true(time < full * c->percent_of_full / 100);
        lb_bundle_free(old);
    }
    lb_bundle_free(foreign);
    lb_bundle_free(bundle);
}

/* With every chip's stub: what stands right behind the image, and in sectors that are the same,
 * stays. */
static void parts_leave_their_neighbours_alone(void **state)
{
    uint8_t keep[4096];

    (void)state;
    memset(keep, 0x3C, sizeof keep);
    for (int chip = 1; chip < KL_CHIP_COUNT; chip++) {
        struct kl_bundle *bundle = lb_bundle((enum kl_chip_id)chip, 150000);
        struct kl_bundle *old = lb_bundle_previous(bundle, 12, chip % 2);
        uint32_t behind = (PREVIOUS_AT + 150000 + 4095) / 4096 * 4096, size;
        struct lb b;
        lb_bundle_add(old, "behind", behind, keep, sizeof keep);
        lb_open(&b, &(struct lb_options){
                        .chip = (enum kl_chip_id)chip, .link = KL_LINK_SERIAL, .stub = true});
        assert_int_equal(lb_whole(&b, old), KL_FAULT_NONE);
        assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
        assert_true(lb_flash_is_right(&b, bundle));
        assert_string_equal(kl_vboard_complaint(b.board), "");
        assert_true(kl_loader_progress(&b.loader)->wire < 40000);
        assert_int_equal(kl_loader_progress(&b.loader)->done, kl_loader_progress(&b.loader)->total);
        assert_memory_equal(kl_vboard_flash(b.board, &size) + behind, keep, sizeof keep);
        lb_close(&b);
        lb_bundle_free(old);
        lb_bundle_free(bundle);
    }
}

/* One bad byte while parts are compared and written: the flash is right in the end, or a fault says
   so, and nothing beside the image is touched. */
static void a_bad_byte_among_the_parts_is_noticed(void **state)
{
    static const char *const kinds[] = {"drop_rx", "flip_rx", "double_rx",
                                        "drop_tx", "flip_tx", "double_tx"};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 150000);
    struct kl_bundle *old = lb_bundle_previous(bundle, 8, false);
    unsigned runs = 0, healed = 0;

    (void)state;
    for (unsigned k = 0; k < 6; k++)
        for (unsigned at = 600; at < (k < 3 ? 36000u : 2500u); at += k < 3 ? 397 : 23) {
            char fault[32], error[KL_TEXT_MAX];
            struct lb b;
            lb_open(&b, &(struct lb_options){
                            .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true});
            assert_int_equal(lb_whole(&b, old), KL_FAULT_NONE);
            uint64_t from = k < 3 ? b.sent : b.received;
            snprintf(fault, sizeof fault, "%s=%llu", kinds[k], (unsigned long long)from + at);
            assert_true(kl_vboard_fault(b.board, fault, error));
            enum kl_reason reason = lb_whole(&b, bundle);
            runs++;
            healed += reason == KL_FAULT_NONE;
            if (reason == KL_FAULT_NONE)
                assert_true(lb_flash_is_right(&b, bundle));
            lb_close(&b);
        }
    print_message("%u of %u mended\n", healed, runs);
    assert_true(healed * 100 >= runs * 98);
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

enum {
    EQUAL_FROM = 20, /* sectors of one content in the program, … */
    EQUAL_TO = 30,
    BETWEEN = 24, /* … and the one of them that the previous version held otherwise */
    OF_PROGRAM = 2,
};

static struct kl_bundle *program_with_equal_sectors(bool previous)
{
    struct kl_bundle *b = calloc(1, sizeof *b), *made = lb_bundle(KL_CHIP_ESP32, 150000);

    b->chip = made->chip;
    b->rev_max = 0xFFFF;
    for (unsigned r = 0; r < made->region_count; r++) {
        const struct kl_image *i = &made->region[r].image[0];
        uint8_t *data = malloc(i->raw_size);
        memcpy(data, i->raw, i->raw_size);
        if (r == OF_PROGRAM)
            memset(data + EQUAL_FROM * 4096, 0, (EQUAL_TO - EQUAL_FROM) * 4096);
        if (r == OF_PROGRAM && previous)
            data[BETWEEN * 4096 + 1000] = 1;
        lb_bundle_add(b, made->region[r].name, made->region[r].offset, data, i->raw_size);
        free(data);
    }
    lb_bundle_free(made);
    return b;
}

/* Questions for sectors go out one behind the other. If an answer is lost, the next one must not
   prove a sector that it is not of, however equal their contents are. */
static void a_lost_answer_proves_nothing(void **state)
{
    static const char *const kinds[] = {"drop_tx", "flip_tx", "drop_rx"};
    struct kl_bundle *bundle = program_with_equal_sectors(false);
    struct kl_bundle *old = program_with_equal_sectors(true);
    unsigned given_up = 0;

    (void)state;
    for (unsigned k = 0; k < 3; k++)
        for (unsigned at = 900; at < (k < 2 ? 2100u : 4000u); at += k < 2 ? 13 : 23) {
            char fault[32], error[KL_TEXT_MAX];
            struct lb b;
            lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                             .link = KL_LINK_SERIAL,
                                             .stub = true,
                                             .baud = 921600,
                                             .paced = true});
            assert_int_equal(lb_whole(&b, old), KL_FAULT_NONE);
            uint64_t from = k < 2 ? b.received : b.sent;
            snprintf(fault, sizeof fault, "%s=%llu", kinds[k], (unsigned long long)from + at);
            assert_true(kl_vboard_fault(b.board, fault, error));
            if (lb_whole(&b, bundle) == KL_FAULT_NONE)
                assert_true(lb_flash_is_right(&b, bundle));
            given_up += kl_loader_memory(&b.loader)->plain_verify;
            lb_close(&b);
        }
    print_message("%u times an answer was missed\n", given_up);
    assert_true(given_up > 10);
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

/* Where such questions led to trouble, the next board is asked one at a time. On a link that lumps
   they do not. */
static void sectors_are_asked_for_ahead_only_where_that_works(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 150000);
    struct kl_bundle *old = lb_bundle_previous(bundle, 12, false);
    kl_us time[2];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct lb b;
        lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                         .link = i % 2 ? KL_LINK_RFC2217 : KL_LINK_SERIAL,
                                         .stub = true,
                                         .baud = 921600,
                                         .paced = true});
        b.profile = &profile;
        b.lump = i < 2 ? KL_MS(30) : 0;
        tasks(&b, old);
        b.loader.setup.memory.plain_verify = i == 3;
        tasks(&b, bundle);
        assert_int_equal(kl_loader_progress(&b.loader)->retries, 0);
        assert_null(strstr(b.notes, "comparing only after writing"));
        struct wp_row sums = wp_sum(&profile, KL_LOADER_FLASH, MD5);
        if (i >= 2)
            time[i - 2] = sums.wire + sums.board + sums.answer;
        lb_close(&b);
    }
    print_message("sums ahead: %lld us, one at a time: %lld us\n", (long long)time[0],
                  (long long)time[1]);
    assert_true(time[0] < time[1] - 20 * KL_MS(1));
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

/* Pages that a blank board's flash programs for it. */
static unsigned pages_of(const struct kl_bundle *b)
{
    unsigned pages = 0;

    for (unsigned r = 0; r < b->region_count; r++)
        pages += (b->region[r].image[0].raw_size + 255) / 256;
    return pages;
}

/* The power fails amid every `stride`-th step of erasing and writing: how often it did. */
static unsigned cut_power(const struct kl_bundle *bundle, const struct kl_bundle *old,
                          unsigned stride)
{
    for (unsigned step = 1;; step += stride) {
        char fault[32], error[KL_TEXT_MAX];
        struct lb b;
        lb_open(&b,
                &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true, .baud = 2000000});
        assert_int_equal(lb_whole(&b, old), KL_FAULT_NONE);
        snprintf(fault, sizeof fault, "dies_writing=%u", pages_of(old) + step);
        assert_true(kl_vboard_fault(b.board, fault, error));
        bool died = lb_whole(&b, bundle) != KL_FAULT_NONE;
        if (died)
            kl_vboard_power(b.board, true, b.now);
        assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
        assert_true(lb_flash_is_right(&b, bundle));
        lb_close(&b);
        if (!died)
            return step / stride;
    }
}

/* Then the board holds neither version; it is written as a whole or in parts, and right in the end.
 */
static void a_power_cut_amid_the_runs_is_mended(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 200000);
    struct kl_bundle *old = lb_bundle_previous(bundle, 12, true);
    struct kl_bundle *like = lb_bundle(KL_CHIP_ESP32, 50000), *small = lb_bundle_another(like);
    unsigned parts = cut_power(bundle, old, 9), halves = cut_power(bundle, small, 53);

    (void)state;
    print_message("%u and %u cuts\n", parts, halves);
    assert_true(parts > 10);
    assert_true(halves > 10);
    lb_bundle_free(small);
    lb_bundle_free(like);
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

/* A board with a smaller program: behind it the flash is blank, and is not erased where erasing
   would be waited for. */
static void what_is_blank_behind_a_smaller_program_is_not_erased(void **state)
{
    static const struct {
        enum kl_chip_id chip;
        enum kl_link_kind link;
        uint32_t baud, small;
        bool skips;
    } way[] = {
        {KL_CHIP_ESP32, KL_LINK_SERIAL, 2000000, 300000, true},
        {KL_CHIP_ESP32, KL_LINK_SERIAL, 2000000, 250, false}, /* only its head is not blank */
        {KL_CHIP_ESP32, KL_LINK_SERIAL, 2000000, 890000, false},
        {KL_CHIP_ESP32, KL_LINK_SERIAL, 921600, 300000, false},
        {KL_CHIP_ESP32S3, KL_LINK_USB_JTAG, 0, 300000, true},
        {KL_CHIP_ESP32S3, KL_LINK_USB_OTG, 0, 500000, true},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof way / sizeof way[0]; i++) {
        struct kl_bundle *bundle = lb_bundle(way[i].chip, PREVIOUS_SIZE);
        struct kl_bundle *like = lb_bundle(way[i].chip, way[i].small);
        struct kl_bundle *small = lb_bundle_another(like);
        struct lb b;
        lb_open(&b, &(struct lb_options){.chip = way[i].chip,
                                         .link = way[i].link,
                                         .stub = true,
                                         .baud = way[i].baud,
                                         .paced = true});
        b.profile = &profile;
        tasks(&b, small);
        kl_us before = kl_vboard_flash_worked(b.board);
        tasks(&b, bundle);
        kl_us worked = kl_vboard_flash_worked(b.board) - before;
        struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
        print_message("%u KB before: flash worked %lld us, flashing %lld us\n", way[i].small / 1024,
                      (long long)worked, (long long)(f.wire + f.board + f.answer + f.pause));
        if (way[i].skips)
            assert_true(worked <
                        KL_MS(1440 + 270) + (way[i].small + 0x20000) / 0x10000 * KL_MS(150));
        lb_close(&b);
        lb_bundle_free(small);
        lb_bundle_free(like);
        lb_bundle_free(bundle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_differs_is_written),
        cmocka_unit_test(parts_leave_their_neighbours_alone),
        cmocka_unit_test(a_bad_byte_among_the_parts_is_noticed),
        cmocka_unit_test(a_power_cut_amid_the_runs_is_mended),
        cmocka_unit_test(what_is_blank_behind_a_smaller_program_is_not_erased),
        cmocka_unit_test(a_lost_answer_proves_nothing),
        cmocka_unit_test(sectors_are_asked_for_ahead_only_where_that_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
