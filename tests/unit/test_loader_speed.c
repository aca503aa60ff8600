/* How long flashing takes, in virtual time: what the wire waits for, what is asked, how streams are
   divided. No figure here depends on the machine. */
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
    MEM_BEGIN = 0x05,
    MEM_END = 0x06,
    MEM_DATA = 0x07,
    READ_REG = 0x0A,
    MD5 = 0x13,
    DEFL_BEGIN = 0x10,
    DEFL_DATA = 0x11,
    DEFL_END = 0x12,
    APP = 12 * 32768 + 12000, /* its tail takes longer on the wire than a window in flash */
};

static struct wire_profile profile;

static void tasks(struct lb *b, const struct kl_bundle *bundle)
{
    memset(&profile, 0, sizeof profile);
    assert_int_equal(lb_whole(b, bundle), KL_FAULT_NONE);
    assert_true(lb_flash_is_right(b, bundle));
    assert_string_equal(kl_vboard_complaint(b->board), "");
}

static unsigned asked(enum kl_loader_task task, unsigned code)
{
    return wp_sum(&profile, task, code).count;
}

static uint64_t packed(const struct kl_bundle *b)
{
    uint64_t sum = 0;

    for (unsigned r = 0; r < b->region_count; r++)
        sum += b->region[r].image[0].packed_size;
    return sum;
}

static kl_us programming(uint32_t bytes)
{
    return (bytes + 255) / 256 * 400;
}

/* What no order of commands can hide: a stub writes the rest of each stream, less than a window of
   32 KiB, after its last byte has come. */
static kl_us tails(const struct kl_bundle *b)
{
    kl_us sum = 0;

    for (unsigned r = 0; r < b->region_count; r++)
        sum += programming((b->region[r].image[0].raw_size - 1) % 0x8000 + 1);
    return sum;
}

static void a_blank_board_waits_only_for_its_tails(void **state)
{
    static const uint32_t bauds[] = {460800, 921600};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, APP);

    (void)state;
    for (size_t i = 0; i < sizeof bauds / sizeof bauds[0]; i++) {
        struct lb b;
        lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                         .link = KL_LINK_SERIAL,
                                         .stub = true,
                                         .baud = bauds[i],
                                         .paced = true});
        b.profile = &profile;
        tasks(&b, bundle);
        struct wp_row all = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
        kl_us limit = (kl_us)(packed(bundle) * 10000000u / bauds[i]);
        print_message("%u baud: limit %lld, wire %lld, board %lld (tails %lld), answers %lld us\n",
                      bauds[i], (long long)limit, (long long)all.wire, (long long)all.board,
                      (long long)tails(bundle), (long long)all.answer);
        struct wp_row after = wp_sum(&profile, KL_LOADER_VERIFY, WP_CAUSES);
        unsigned asides = asked(KL_LOADER_FLASH, READ_REG);
        kl_us sums = all.board - tails(bundle) - KL_MS(4 + 3 + 3); /* nothing hides them */
        kl_us verify = sums + asides * KL_MS(6) + after.wire + after.board + after.answer;
        print_message("%u questions amid the streams: pauses %lld us, verifying %lld us\n", asides,
                      (long long)all.pause, (long long)verify);
        assert_true(asides > 2);
        assert_true(all.pause < asides * KL_MS(1));
        assert_true(verify < (all.wire + all.board + all.answer) / 20);
        assert_true(sums < KL_MS(100));
        /* SLIP doubles one byte in 128 of noise; heads of blocks; what keeps questions apart */
        assert_true(all.wire < limit + limit / 80 + asides * KL_MS(5));
        /* 1 ms of USB and 14 bytes for each answer */
        assert_true(all.answer < (kl_us)all.count * (KL_MS(1) + 16 * 10000000 / (kl_us)bauds[i]));
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

static void a_board_with_another_program_is_erased_while_bytes_come(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, APP), *old = lb_bundle_another(bundle);
    struct lb b;

    (void)state;
    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                     .link = KL_LINK_SERIAL,
                                     .stub = true,
                                     .baud = 460800,
                                     .paced = true});
    tasks(&b, old);
    b.profile = &profile;
    kl_us before = kl_vboard_flash_worked(b.board);
    tasks(&b, bundle);
    kl_us worked = kl_vboard_flash_worked(b.board) - before;
    struct wp_row all = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    print_message("flash worked %lld us, the wire waited %lld us for it\n", (long long)worked,
                  (long long)all.board);
    assert_true(worked > KL_SEC(1));
    /* sectors of the small regions, the tails, and sums while the flash still erases */
    assert_true(all.board < KL_MS(400));
    lb_close(&b);
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

static void put_data(struct lb *b, uint32_t at, uint32_t size)
{
    struct kl_bundle *bundle = calloc(1, sizeof *bundle);
    uint8_t *data = calloc(1, size);

    bundle->chip = KL_CHIP_ESP32;
    bundle->rev_max = 0xFFFF;
    lb_bundle_add(bundle, "data", at, data, size);
    tasks(b, bundle);
    free(data);
    lb_bundle_free(bundle);
}

/* That of the virtual board: blank sectors are not erased, up to the first that is not blank. */
static void a_stub_erases_from_the_first_dirty_sector_on(void **state)
{
    struct lb b;

    (void)state;
    lb_open(&b, &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true, .paced = true});
    put_data(&b, 0x20000, 4096);
    kl_us before = kl_vboard_flash_worked(b.board);
    assert_int_equal(before, programming(4096));
    put_data(&b, 0x10000, 0x21000);
    assert_int_equal(kl_vboard_flash_worked(b.board) - before,
                     programming(0x21000) + KL_MS(150) + KL_MS(45));
    lb_close(&b);
}

/* A ROM does one thing at a time: beside the wire there is its flash, and little else. */
static void a_rom_adds_little_to_wire_and_flash(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, APP);
    struct lb b;

    (void)state;
    lb_open(&b, &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .baud = 921600, .paced = true});
    b.profile = &profile;
    tasks(&b, bundle);
    struct wp_row all = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    kl_us worked = kl_vboard_flash_worked(b.board);
    print_message("flash worked %lld us, the board was waited for %lld us, answers %lld us\n",
                  (long long)worked, (long long)all.board, (long long)all.answer);
    assert_int_equal(all.pause, 0);
    assert_true(all.board < worked + KL_MS(10));
    assert_true(all.answer < (kl_us)all.count * (KL_MS(1) + 16 * 10000000 / 921600));
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* Of a board's cycle outside of flashing, what neither bytes nor the chip need: pauses of reset and
   rate, and answers on their way. */
static void the_loader_itself_takes_an_eighth_of_a_second_of_a_cycle(void **state)
{
    static const enum kl_link_kind links[] = {KL_LINK_SERIAL, KL_LINK_RFC2217};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000);

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct lb b;
        kl_us own = 0;
        lb_open(&b, &(struct lb_options){.chip = i < 2 ? KL_CHIP_ESP32 : KL_CHIP_ESP32C3,
                                         .link = links[i % 2],
                                         .stub = true,
                                         .baud = 921600,
                                         .paced = true});
        b.profile = &profile;
        bundle->chip = i < 2 ? KL_CHIP_ESP32 : KL_CHIP_ESP32C3;
        tasks(&b, bundle);
        for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_RUN; t++) {
            struct wp_row r = wp_sum(&profile, (enum kl_loader_task)t, WP_CAUSES);
            own += t == KL_LOADER_FLASH ? 0 : r.pause + r.answer;
        }
        print_message("%s: %lld us\n", kl_chip(bundle->chip)->name, (long long)own);
        assert_true(own > 0 && own < KL_MS(150));
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

/* Its bytes at the ROM's higher rate, and the few milliseconds that it takes to start. */
static void a_stub_is_there_in_a_tenth_of_a_second(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000);
    static const unsigned upload[] = {MEM_BEGIN, MEM_END, MEM_DATA};
    struct lb b;
    kl_us all = 0;

    (void)state;
    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                     .link = KL_LINK_SERIAL,
                                     .stub = true,
                                     .baud = 921600,
                                     .paced = true});
    b.profile = &profile;
    tasks(&b, bundle);
    for (size_t i = 0; i < 3; i++) {
        struct wp_row r = wp_sum(&profile, KL_LOADER_IDENTIFY, upload[i]);
        all += r.wire + r.board + r.answer;
    }
    print_message("upload %lld us, %u registers read\n", (long long)all,
                  asked(KL_LOADER_IDENTIFY, READ_REG));
    assert_true(all > KL_MS(10) && all < KL_MS(130)); /* this one has 9.4 KB, the real one 6.7 */
    assert_true(asked(KL_LOADER_IDENTIFY, READ_REG) <= 32);
    lb_close(&b);
    lb_bundle_free(bundle);
}

static void a_blank_board_is_looked_at_once(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000), *old = lb_bundle_another(bundle);

    (void)state;
    for (int stub = 0; stub < 2; stub++) {
        struct lb b;
        lb_open(&b,
                &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = stub, .paced = true});
        b.profile = &profile;
        unsigned amid; /* how often parts were summed up while others came */
        tasks(&b, old);
        assert_int_equal(asked(KL_LOADER_FLASH, MD5), 1);
        amid = asked(KL_LOADER_FLASH, READ_REG);
        assert_int_equal(amid, stub ? 2 : 0);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 3 - amid);
        tasks(&b, bundle); /* another program is there: each region may be the right one */
        assert_int_equal(asked(KL_LOADER_FLASH, MD5), 3);
        amid = asked(KL_LOADER_FLASH, READ_REG);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 3 - amid);
        lb_close(&b);
    }
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

static void what_was_just_compared_is_not_compared_again(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000), *old = lb_bundle_another(bundle);

    (void)state;
    for (int stub = 0; stub < 2; stub++) {
        struct lb b;
        lb_open(&b,
                &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = stub, .paced = true});
        b.profile = &profile;
        tasks(&b, bundle);
        tasks(&b, bundle);
        assert_int_equal(kl_loader_progress(&b.loader)->skipped, 3);
        assert_int_equal(asked(KL_LOADER_FLASH, MD5), 2 + 1 + 2);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 0);
        /* the proof is of one bundle, by one FLASH, for the VERIFY right behind it */
        assert_int_equal(lb_run(&b, KL_LOADER_CONNECT, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_IDENTIFY, NULL), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_FLASH, bundle), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_VERIFY, bundle), KL_LOADER_DONE);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 0);
        assert_int_equal(lb_run(&b, KL_LOADER_VERIFY, bundle), KL_LOADER_DONE);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 3);
        assert_int_equal(lb_run(&b, KL_LOADER_FLASH, bundle), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_VERIFY, old), KL_LOADER_FAILED);
        assert_int_equal(lb_run(&b, KL_LOADER_FLASH, bundle), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_FLASH, old), KL_LOADER_DONE);
        assert_int_equal(lb_run(&b, KL_LOADER_VERIFY, bundle), KL_LOADER_FAILED);
        lb_close(&b);
    }
    lb_bundle_free(old);
    lb_bundle_free(bundle);
}

/* An image that begins as blank flash does is told from blank flash; one that is all blank is there
   before anything is written. */
static void blank_images_are_found_in_place(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000);
    static uint8_t data[20000];
    struct lb b;

    (void)state;
    memset(data, 0xFF, sizeof data);
    lb_bundle_add(bundle, "otadata", 0xE000, data, 8192);
    data[15000] = 0;
    lb_bundle_add(bundle, "data", 0x100000, data, sizeof data);
    lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true});
    tasks(&b, bundle);
    assert_int_equal(kl_loader_progress(&b.loader)->skipped, 1);
    tasks(&b, bundle);
    assert_int_equal(kl_loader_progress(&b.loader)->skipped, 5);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* One region more than what is there: the others are skipped, and all are verified. */
static void one_written_region_has_all_verified(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 70000);
    uint8_t more[5000];
    struct lb b;

    (void)state;
    memset(more, 0x3C, sizeof more);
    lb_open(&b, &(struct lb_options){
                    .chip = KL_CHIP_ESP32, .link = KL_LINK_SERIAL, .stub = true, .paced = true});
    b.profile = &profile;
    tasks(&b, bundle);
    lb_bundle_add(bundle, "data", 0x100000, more, sizeof more);
    tasks(&b, bundle);
    assert_int_equal(kl_loader_progress(&b.loader)->skipped, 3);
    assert_int_equal(asked(KL_LOADER_VERIFY, MD5), 4);
    lb_close(&b);
    lb_bundle_free(bundle);
}

/* Sizes around the stub's window, and contents of all kinds: everything arrives, in as many blocks
   as were announced. */
static void streams_of_every_size_are_divided_well(void **state)
{
    static const uint32_t sizes[] = {4, 32764, 32768, 32772, 65536, 131072, 163836, 163844};
    uint8_t *data = malloc(163844);

    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct kl_bundle *bundle = calloc(1, sizeof *bundle);
            struct lb b;
            uint32_t seed = 1;
            for (uint32_t n = 0; n < sizes[i]; n++) {
                seed = seed * 1664525 + 1013904223;
                bool zero = kind == 0 || (kind == 2 && n > sizes[i] / 2);
                data[n] = zero ? 0 : kind == 3 && n % 8 ? 7 : (uint8_t)(seed >> 24);
            }
            bundle->chip = KL_CHIP_ESP32S3;
            bundle->rev_max = 0xFFFF;
            lb_bundle_add(bundle, "data", 0x10000, data, sizes[i]);
            lb_open(&b, &(struct lb_options){
                            .chip = KL_CHIP_ESP32S3, .link = KL_LINK_SERIAL, .stub = true});
            tasks(&b, bundle);
            data[0] ^= 0xFF; /* and over something else */
            struct kl_bundle *other = calloc(1, sizeof *other);
            other->chip = bundle->chip;
            other->rev_max = 0xFFFF;
            lb_bundle_add(other, "data", 0x10000, data, sizes[i]);
            tasks(&b, other);
            assert_int_equal(kl_loader_progress(&b.loader)->retries, 0);
            lb_close(&b);
            lb_bundle_free(other);
            lb_bundle_free(bundle);
        }
    free(data);
}

/* A damaged byte anywhere in what was written is found, whenever it was summed up. */
static void every_byte_is_verified(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 300000);

    (void)state;
    for (uint32_t at = 0x1000; at < 0x10000 + 300000; at += 9973) {
        char fault[32];
        struct lb b;
        uint8_t want = 0xFF;
        for (unsigned r = 0; r < bundle->region_count; r++) {
            const struct kl_region *region = &bundle->region[r];
            if (at >= region->offset && at - region->offset < region->image[0].raw_size)
                want = region->image[0].raw[at - region->offset];
        }
        snprintf(fault, sizeof fault, "bad_cell=0x%x", at);
        lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                         .link = KL_LINK_SERIAL,
                                         .stub = true,
                                         .baud = 921600,
                                         .paced = true,
                                         .faults = fault});
        assert_int_equal(lb_whole(&b, bundle),
                         want == 0xFF ? KL_FAULT_NONE : KL_FAULT_VERIFY_FAILED);
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

/* A stub that loses the block behind a question, or gives a wrong sum once: the flash is right in
   the end, in bounded time, and the next board there is verified in the plain way. */
static void trouble_amid_a_stream_is_overcome(void **state)
{
    static const char *const faults[] = {"deaf_amid", "md5_wrong=9"};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 300000);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct lb b;
        struct lb_options o = {.chip = KL_CHIP_ESP32,
                               .link = KL_LINK_SERIAL,
                               .stub = true,
                               .baud = 921600,
                               .paced = true,
                               .faults = faults[i]};
        lb_open(&b, &o);
        b.profile = &profile;
        kl_us began = b.now;
        tasks(&b, bundle);
        print_message("%s: %lld us\n", faults[i], (long long)(b.now - began));
        assert_true(b.now - began < KL_SEC(5));
        assert_true(kl_loader_memory(&b.loader)->plain_verify);
        assert_non_null(strstr(b.notes, "comparing only after writing"));
        struct kl_loader_memory memory = *kl_loader_memory(&b.loader);
        lb_close(&b);
        lb_open(&b, &o);
        b.profile = &profile;
        kl_loader_init(&b.loader, &(struct kl_loader_setup){.console = &b.console,
                                                            .link = o.link,
                                                            .memory = memory,
                                                            .stubs = lb_stubs(),
                                                            .baud_max = o.baud});
        tasks(&b, bundle);
        assert_int_equal(asked(KL_LOADER_FLASH, READ_REG), 0);
        assert_int_equal(asked(KL_LOADER_VERIFY, MD5), i == 0 ? 3 : 4); /* one was wrong */
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

/* A network may bring question and block in one piece: the wire keeps them apart all the same.
   Without that a block is lost. */
static void a_link_that_lumps_loses_no_block(void **state)
{
    static const enum kl_link_kind links[] = {KL_LINK_SERIAL, KL_LINK_RFC2217};
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, 300000);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct lb b;
        lb_open(&b, &(struct lb_options){.chip = KL_CHIP_ESP32,
                                         .link = links[i],
                                         .stub = true,
                                         .baud = 921600,
                                         .paced = true});
        b.profile = &profile;
        b.lump = KL_MS(30);
        assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
        assert_true(lb_flash_is_right(&b, bundle));
        assert_null(strstr(b.notes, "comparing only after writing"));
        lb_close(&b);
    }
    lb_bundle_free(bundle);
}

/* What two boards hold and said, of which one puts nothing off. */
static void assert_alike(const struct lb *a, const struct lb *b)
{
    uint32_t size;
    const uint8_t *flash = kl_vboard_flash(a->board, &size);

    assert_memory_equal(flash, kl_vboard_flash(b->board, &size), size);
    assert_int_equal(a->now, b->now);
    assert_int_equal(a->received, b->received);
    assert_int_equal(kl_vboard_flash_worked(a->board), kl_vboard_flash_worked(b->board));
    assert_string_equal(kl_vboard_complaint(a->board), kl_vboard_complaint(b->board));
}

static void what_a_board_puts_off_changes_nothing(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, APP);
    struct kl_bundle *before[] = {bundle, lb_bundle_another(bundle)};
    static const char *const faults[] = {
        "",          "md5_wrong=2",   "write_fails=2",  "bad_cell=0x20100",
        "deaf_amid", "drop_rx=90000", "unplug_at=90000"};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        struct lb_options o = {.chip = KL_CHIP_ESP32,
                               .link = KL_LINK_SERIAL,
                               .stub = true,
                               .baud = i % 2 ? 2000000 : 921600,
                               .paced = true,
                               .faults = faults[i / 2]};
        struct lb b[2];
        for (int k = 0; k < 2; k++) {
            lb_open(&b[k], &o);
            b[k].prompt = k == 1;
        }
        for (int n = 0; n < 3; n++) {
            assert_int_equal(lb_whole(&b[0], before[n % 2]), lb_whole(&b[1], before[n % 2]));
            assert_alike(&b[0], &b[1]);
        }
        lb_close(&b[0]);
        lb_close(&b[1]);
    }
    lb_bundle_free(before[1]);
    lb_bundle_free(bundle);
}

/* The power fails, the chip is reset or somebody looks at the flash, at any moment. */
static void what_was_put_off_is_done_when_it_can_be_seen(void **state)
{
    struct kl_bundle *bundle = lb_bundle(KL_CHIP_ESP32, APP);
    unsigned behind = 0;

    (void)state;
    for (kl_us at = KL_MS(1); at < KL_MS(1000); at += 36011) {
        struct lb b[2];
        for (int k = 0; k < 2; k++) {
            lb_open(&b[k], &(struct lb_options){.chip = KL_CHIP_ESP32,
                                                .link = KL_LINK_SERIAL,
                                                .stub = true,
                                                .baud = 2000000,
                                                .paced = true});
            b[k].prompt = k == 1;
            for (int t = KL_LOADER_CONNECT; t < KL_LOADER_FLASH; t++)
                assert_int_equal(lb_run(&b[k], (enum kl_loader_task)t, bundle), KL_LOADER_DONE);
            b[k].give_up_at = b[k].now + at;
            assert_int_equal(lb_run(&b[k], KL_LOADER_FLASH, bundle), KL_LOADER_BUSY);
        }
        assert_int_equal(kl_vboard_is_behind(b[1].board), 0);
        behind += kl_vboard_is_behind(b[0].board);
        for (int k = 0; k < 2 && at % 3; k++) {
            if (at % 3 == 1)
                kl_vboard_power(b[k].board, false, b[k].now);
            else
                kl_vboard_lines(b[k].board, false, true, b[k].now);
            assert_false(kl_vboard_is_behind(b[k].board));
        }
        assert_alike(&b[0], &b[1]);
        lb_close(&b[0]);
        lb_close(&b[1]);
    }
    assert_true(behind > 3);
    lb_bundle_free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blank_board_waits_only_for_its_tails),
        cmocka_unit_test(a_board_with_another_program_is_erased_while_bytes_come),
        cmocka_unit_test(a_stub_erases_from_the_first_dirty_sector_on),
        cmocka_unit_test(a_rom_adds_little_to_wire_and_flash),
        cmocka_unit_test(the_loader_itself_takes_an_eighth_of_a_second_of_a_cycle),
        cmocka_unit_test(a_stub_is_there_in_a_tenth_of_a_second),
        cmocka_unit_test(a_blank_board_is_looked_at_once),
        cmocka_unit_test(what_was_just_compared_is_not_compared_again),
        cmocka_unit_test(every_byte_is_verified),
        cmocka_unit_test(trouble_amid_a_stream_is_overcome),
        cmocka_unit_test(a_link_that_lumps_loses_no_block),
        cmocka_unit_test(blank_images_are_found_in_place),
        cmocka_unit_test(one_written_region_has_all_verified),
        cmocka_unit_test(streams_of_every_size_are_divided_well),
        cmocka_unit_test(what_a_board_puts_off_changes_nothing),
        cmocka_unit_test(what_was_put_off_is_done_when_it_can_be_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
