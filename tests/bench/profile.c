/*
 * profile.c: one board in virtual time, so that the figures don't depend on the machine: the time
 * that the compressed bytes need on the wire, and who is waited for beyond that.
 *
 *   profile FIRMWARE STUBS               a table over rates, loaders and what the flash held before
 *   profile FIRMWARE STUBS BAUD          where each task's time goes at that rate
 *   profile FIRMWARE STUBS usb           the same over native USB, which has no rate
 *   profile FIRMWARE STUBS BAUD own      ms: what connecting and identifying need for bytes and
 * chip, and what running waits; with the stub if there is one
 *   profile FIRMWARE STUBS BAUD flashing HELD s: flashing and verifying behind a network port a
 * board that held that before: blank, another, smaller or previous
 *   profile FIRMWARE STUBS held HELD FILE writes such a board's flash into a file
 *   profile FIRMWARE STUBS BAUD nvs      ms: what --deliver nvs adds, with the stub if there is one
 * and without
 *   profile FIRMWARE STUBS BAUD cycle    s: the whole cycle, its limit (wire, chip, firmware),
 * ratio
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/nvs_judge.h"
#include "keyline/bundle_load.h"
#include "loader_bench.h"

static struct wire_profile profile;

static void task(struct lb *b, enum kl_loader_task t, const struct kl_bundle *bundle)
{
    if (lb_run(b, t, bundle) != KL_LOADER_DONE) {
        fprintf(stderr, "profile: %s\n", kl_loader_fault(&b->loader)->detail);
        exit(1);
    }
}

struct flashed {
    kl_us worked;  /* its flash: erasing and writing */
    uint64_t sent; /* bytes of images, as they were sent */
};

/* What a board was flashed with before. */
static const char *const held[] = {"blank", "another", "smaller", "previous"};

enum {
    HELD = 4,
    ROM_HELD = 2,     /* a ROM erases all that it writes: more rows would be the same */
    SMALLER = 300000, /* bytes of a smaller program: behind it the flash is blank */
    CHANGED = 10,     /* percent of the previous version, in one place */
    FLASH_MAX = 4 << 20,
};

static void make_held(const struct kl_bundle *bundle, struct kl_bundle *before[HELD])
{
    before[0] = NULL;
    before[1] = lb_bundle_another(bundle);
    before[2] = lb_bundle(bundle->chip, SMALLER);
    before[3] = lb_bundle_previous(bundle, CHANGED, true);
}

static void free_held(struct kl_bundle *before[HELD])
{
    for (unsigned i = 1; i < HELD; i++)
        lb_bundle_free(before[i]);
}

static unsigned held_named(const char *name)
{
    for (unsigned i = 0; i < HELD; i++)
        if (strcmp(held[i], name) == 0)
            return i;
    fprintf(stderr, "profile: no board held '%s'\n", name);
    exit(2);
}

/* `before`: what the board was flashed with first; NULL = it is blank. */
static struct flashed measure(const struct lb_options *o, const struct kl_bundle *bundle,
                              const struct kl_bundle *before)
{
    struct flashed f;
    struct lb b;

    memset(&profile, 0, sizeof profile);
    lb_open(&b, o);
    for (int t = KL_LOADER_CONNECT; before && t <= KL_LOADER_RUN; t++)
        task(&b, (enum kl_loader_task)t, before);
    f.worked = kl_vboard_flash_worked(b.board);
    b.profile = &profile;
    for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_RUN; t++)
        task(&b, (enum kl_loader_task)t, bundle);
    f.worked = kl_vboard_flash_worked(b.board) - f.worked;
    f.sent = kl_loader_progress(&b.loader)->wire;
    lb_close(&b);
    return f;
}

static double s(kl_us time)
{
    return (double)time / 1e6;
}

static kl_us more(kl_us a, kl_us b)
{
    return a > b ? a : b;
}

/* A ROM does one thing at a time; a stub works on a block while the next one comes. */
static void print_row(const struct lb_options *o, const struct kl_bundle *bundle,
                      const struct kl_bundle *before, const char *name)
{
    struct flashed m = measure(o, bundle, before);
    struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    struct wp_row v = wp_sum(&profile, KL_LOADER_VERIFY, WP_CAUSES);
    kl_us limit = (kl_us)(bundle->packed_total * 10000000u / o->baud);
    kl_us sent = (kl_us)(m.sent * 10000000u / o->baud);
    kl_us all = f.wire + f.board + f.answer + f.pause;
    kl_us least = o->stub ? more(sent, m.worked) : sent + m.worked;

    printf("%8u  %-4s  %-8s %8.3f %6.3f %7.3f %6.3f %7.3f %6.3f %6.3f %6.3f %6.3f %8.3f %6.3f  "
           "%s\n",
           o->baud, o->stub ? "stub" : "rom", name, s(all), s(v.wire + v.board + v.answer),
           s(limit), (double)all / (double)limit, s(sent), s(f.wire - sent), s(f.answer + f.pause),
           s(f.board), s(m.worked), s(least), (double)all / (double)least,
           !o->stub          ? "wire + flash"
           : sent > m.worked ? "wire"
                             : "flash");
}

static void print_table(struct lb_options o, const struct kl_bundle *bundle)
{
    static const uint32_t bauds[] = {460800, 921600, 2000000};
    struct kl_bundle *before[HELD];

    make_held(bundle, before);
    printf("    baud  with  flash    flashing verify   limit  ratio    sent frames answer  board "
           "worked    least  ratio  limited by\n");
    for (unsigned i = 0; i < 3 * 2 * HELD; i++) {
        o.baud = bauds[i / (2 * HELD)];
        o.stub = i / HELD % 2 == 0;
        if (o.stub ? o.stubs != NULL : i % HELD < ROM_HELD)
            print_row(&o, bundle, before[i % HELD], held[i % HELD]);
    }
    free_held(before);
}

/* Packets of 64 bytes, ten a frame; the flash sets the pace. */
static void print_usb(struct lb_options o, const struct kl_bundle *bundle)
{
    static const enum kl_link_kind links[] = {KL_LINK_USB_JTAG, KL_LINK_USB_OTG};
    struct kl_bundle *before[HELD];
    bool has_stub = o.stub;

    make_held(bundle, before);
    printf("console  with  flash    flashing verify    sent worked   least  ratio\n");
    for (unsigned i = 0; i < 2 * 2 * HELD; i++) {
        o.link = links[i / (2 * HELD)];
        o.stub = i / HELD % 2 == 0;
        if (o.stub ? !has_stub : i % HELD >= ROM_HELD)
            continue;
        struct flashed m = measure(&o, bundle, before[i % HELD]);
        struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
        struct wp_row v = wp_sum(&profile, KL_LOADER_VERIFY, WP_CAUSES);
        kl_us sent = (kl_us)(m.sent / 64 * 100), all = f.wire + f.board + f.answer + f.pause;
        kl_us least = o.stub ? more(sent, m.worked) : sent + m.worked;
        printf("%-8s %-4s  %-8s %8.3f %6.3f %7.3f %6.3f %7.3f %6.3f\n",
               i < 2 * HELD ? "JTAG" : "OTG", o.stub ? "stub" : "rom", held[i % HELD], s(all),
               s(v.wire + v.board + v.answer), s(sent), s(m.worked), s(least),
               (double)all / (double)least);
    }
    free_held(before);
}

static void print_own(const struct lb_options *o, const struct kl_bundle *bundle)
{
    kl_us theirs = 0;

    measure(o, bundle, NULL);
    for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_IDENTIFY; t++) {
        struct wp_row r = wp_sum(&profile, (enum kl_loader_task)t, WP_CAUSES);
        theirs += r.wire + r.board;
    }
    printf("%lld %lld\n", (long long)(theirs / 1000),
           (long long)(wp_sum(&profile, KL_LOADER_RUN, WP_CAUSES).pause / 1000));
}

static void print_cycle(const struct lb_options *o, const struct kl_bundle *bundle)
{
    struct lb_cycle c = lb_cycle(o, bundle);

    printf("%9llu %9llu %8u %8.3f %8.3f %8.3f %8.3f %8.3f %6.3f\n",
           (unsigned long long)bundle->raw_total, (unsigned long long)bundle->packed_total, o->baud,
           s(c.all), s(c.limit), s(c.wire), s(c.chip), s(c.firmware),
           (double)c.all / (double)c.limit);
}

static void print_flashing(const struct lb_options *o, const struct kl_bundle *bundle,
                           const char *name)
{
    struct lb_options network = *o;
    struct kl_bundle *before[HELD];

    network.link = KL_LINK_RFC2217;
    make_held(bundle, before);
    measure(&network, bundle, before[held_named(name)]);
    struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    struct wp_row v = wp_sum(&profile, KL_LOADER_VERIFY, WP_CAUSES);
    printf("%.3f %.3f\n", s(f.wire + f.board + f.answer + f.pause),
           s(v.wire + v.board + v.answer + v.pause));
    free_held(before);
}

/* From the beginning of the flash to the last byte that it held. */
static bool write_held(const struct kl_bundle *bundle, const char *name, const char *path)
{
    static uint8_t flash[FLASH_MAX];
    struct kl_bundle *before[HELD];
    size_t size = 0;

    make_held(bundle, before);
    const struct kl_bundle *b = before[held_named(name)];
    memset(flash, 0xFF, sizeof flash);
    for (unsigned r = 0; b && r < b->region_count; r++) {
        const struct kl_image *i = &b->region[r].image[0];
        size_t end = (size_t)b->region[r].offset + i->raw_size;
        KL_ASSERT(end <= sizeof flash);
        memcpy(flash + b->region[r].offset, i->raw, i->raw_size);
        size = end > size ? end : size;
    }
    free_held(before);
    FILE *f = fopen(path, "wb");
    bool good = f && fwrite(flash, 1, size, f) == size;
    return f && fclose(f) == 0 && good;
}

/* ---- --deliver nvs ---- */

enum {
    NVS_AT = 0x9000,
    NVS_SIZE = 0x6000
};

static const struct kl_nvs_delivery *delivery(struct kl_key *key)
{
    static const char *const names[] = {"label", "provision/key1:string", "provision/key2:string",
                                        "provision/key3:string", "provision/done:u8=1"};
    static const char *const values[] = {"bench-1", "0123456789abcdef0123456789abcdef",
                                         "fedcba9876543210fedcba9876543210", "5ecret-0001"};
    static uint8_t old[NVS_SIZE], image[NVS_SIZE];
    static struct kl_nvs_schema schema;
    static struct kl_nvs_room room = {.old = old, .image = image};
    static const struct kl_nvs_delivery d = {
        .schema = &schema, .offset = NVS_AT, .size = NVS_SIZE, .room = &room};
    struct kl_nvs_schema_error error;
    struct kl_span cells[5];
    unsigned columns;

    for (unsigned i = 0; i < 5; i++)
        cells[i] = (struct kl_span){(const uint8_t *)names[i], strlen(names[i])};
    KL_ASSERT(kl_nvs_schema_header(&schema, cells, 5, &columns, &error));
    for (unsigned i = 0; i < 4; i++)
        cells[i] = (struct kl_span){(const uint8_t *)values[i], strlen(values[i])};
    KL_ASSERT(kl_key_build(key, cells, 4, kl_sha256));
    return &d;
}

static void read_nvs(struct lb *b, const struct kl_nvs_delivery *d)
{
    struct kl_loader_range range = {
        .offset = d->offset, .size = d->size, .out = d->room->old, .md5 = kl_md5};

    kl_loader_read_into(&b->loader, &range);
    task(b, KL_LOADER_READ, NULL);
}

/* What board_nvs.c lets the loader do: reads, looks again, writes, verifies, reads back. */
static void deliver(struct lb *b, const struct kl_nvs_delivery *d, const struct kl_key *key)
{
    read_nvs(b, d);
    read_nvs(b, d);
    KL_ASSERT(kl_nvs_prepare(d, d->room, key, b->loader.identity.chip, kl_md5, false));
    task(b, KL_LOADER_FLASH, &d->room->bundle);
    task(b, KL_LOADER_VERIFY, &d->room->bundle);
    read_nvs(b, d);
    KL_ASSERT(kl_nvs_proves(d, d->room, key));
}

static void print_nvs_row(const struct lb_options *o, const struct kl_bundle *bundle, bool dirty)
{
    static const enum kl_loader_task tasks[] = {KL_LOADER_READ, KL_LOADER_FLASH, KL_LOADER_VERIFY};
    struct kl_key key, other;
    const struct kl_nvs_delivery *d = delivery(&key);
    struct wp_row sum = {0};
    struct kl_span cells[4];
    struct lb b;

    memset(&profile, 0, sizeof profile);
    lb_open(&b, o);
    for (unsigned i = 0; i < 4; i++)
        cells[i] = i ? kl_key_field(&key, 4 - i) : kl_key_field(&key, 0);
    KL_ASSERT(kl_key_build(&other, cells, 4, kl_sha256));
    if (dirty) { /* another key stands there: its page is erased */
        KL_ASSERT(kl_nvs_prepare(d, d->room, &other, KL_CHIP_ESP32, kl_md5, false));
        KL_ASSERT(kl_vboard_put_flash(b.board, d->offset, d->room->image, d->size));
    }
    for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_VERIFY; t++)
        task(&b, (enum kl_loader_task)t, bundle);
    uint64_t sent = b.sent, received = b.received;
    b.profile = &profile;
    deliver(&b, d, &key);
    for (unsigned i = 0; i < 3; i++) {
        struct wp_row r = wp_sum(&profile, tasks[i], WP_CAUSES);
        sum.wire += r.wire;
        sum.board += r.board;
        sum.answer += r.answer + r.pause;
    }
    sent = b.sent - sent;
    received = b.received - received;
    printf("%-4s  %-7s %6llu %8llu %7.1f %8.1f %7.1f %7.1f\n", o->stub ? "stub" : "rom",
           dirty ? "another" : "blank", (unsigned long long)sent, (unsigned long long)received,
           (double)(sent + received) * 1e4 / o->baud, (double)sum.board / 1e3,
           (double)sum.answer / 1e3, (double)(sum.wire + sum.board + sum.answer) / 1e3);
    lb_close(&b);
}

static void print_nvs(struct lb_options o, const struct kl_bundle *bundle)
{
    bool has_stub = o.stub;

    printf("with  NVS       sent received wire ms    board  answer  all ms\n");
    for (unsigned i = 0; i < 4; i++) {
        o.stub = i < 2;
        if (has_stub || !o.stub)
            print_nvs_row(&o, bundle, i % 2);
    }
}

/* What `argv` asks for beyond firmware and stubs. */
static int answer(const struct lb_options *o, const struct kl_bundle *bundle, int argc, char **argv)
{
    const char *what = argc > 4 ? argv[4] : "";

    if (argc == 3)
        print_table(*o, bundle);
    else if (strcmp(argv[3], "usb") == 0)
        print_usb(*o, bundle);
    else if (argc == 6 && strcmp(argv[3], "held") == 0)
        return write_held(bundle, what, argv[5]) ? 0 : 1;
    else if (strcmp(what, "cycle") == 0)
        print_cycle(o, bundle);
    else if (strcmp(what, "nvs") == 0)
        print_nvs(*o, bundle);
    else if (argc == 6 && strcmp(what, "flashing") == 0)
        print_flashing(o, bundle, argv[5]);
    else if (strcmp(what, "own") == 0)
        print_own(o, bundle);
    else if (argc == 4) {
        measure(o, bundle, NULL);
        wp_print(&profile, stdout);
    } else
        return 2;
    return 0;
}

int main(int argc, char **argv)
{
    struct kl_bundle_options o = {.flash_mode = -1, .firmware = argc > 1 ? argv[1] : NULL};
    struct kl_bundle_report report;
    char note[KL_TEXT_MAX];

    if (argc < 3)
        return 2;
    struct kl_bundle *bundle = kl_bundle_load(&o, &report);
    if (!bundle) {
        fprintf(stderr, "profile: %s\n", report.problem[0]);
        return 2;
    }
    struct kl_stubs *stubs = kl_stubs_load(argv[2], note);
    bool has_stub = stubs && stubs->chip[bundle->chip];
    struct lb_options lo = {.chip = bundle->chip,
                            .link = KL_LINK_SERIAL,
                            .stub = has_stub,
                            .stubs = has_stub ? stubs : NULL,
                            .paced = true,
                            .baud = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0};
    int status = answer(&lo, bundle, argc, argv);
    kl_stubs_free(stubs);
    kl_bundle_free(bundle);
    return status;
}
