/*
 * profile.c: one board in virtual time, so that the figures don't depend on the machine: the time
 * that the compressed bytes need on the wire, and who is waited for beyond that.
 *
 *   profile FIRMWARE STUBS               a table over rates, loaders and what the flash held before
 *   profile FIRMWARE STUBS BAUD          where each task's time goes at that rate
 *   profile FIRMWARE STUBS usb           the same over native USB, which has no rate
 *   profile FIRMWARE STUBS BAUD own      ms: what connecting and identifying need for bytes and
 * chip, and what running waits; with the stub if there is one
 *   profile FIRMWARE STUBS BAUD flashing s: flashing a blank board behind a network port
 *   profile FIRMWARE STUBS BAUD cycle    s: the whole cycle, its limit (wire, chip, firmware),
 * ratio
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
                      const struct kl_bundle *before)
{
    struct flashed m = measure(o, bundle, before);
    struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    kl_us limit = (kl_us)(bundle->packed_total * 10000000u / o->baud);
    kl_us sent = (kl_us)(m.sent * 10000000u / o->baud);
    kl_us all = f.wire + f.board + f.answer + f.pause;
    kl_us least = o->stub ? more(sent, m.worked) : sent + m.worked;

    printf("%8u  %-4s  %-7s %8.3f %7.3f %6.3f %7.3f %6.3f %6.3f %6.3f %6.3f %8.3f %6.3f  %s\n",
           o->baud, o->stub ? "stub" : "rom", before ? "another" : "blank", s(all), s(limit),
           (double)all / (double)limit, s(sent), s(f.wire - sent), s(f.answer + f.pause),
           s(f.board), s(m.worked), s(least), (double)all / (double)least,
           !o->stub          ? "wire + flash"
           : sent > m.worked ? "wire"
                             : "flash");
}

static void print_table(struct lb_options o, const struct kl_bundle *bundle)
{
    static const uint32_t bauds[] = {460800, 921600, 2000000};
    struct kl_bundle *old = lb_bundle_another(bundle);

    printf("    baud  with  flash   flashing   limit  ratio    sent frames answer  board worked    "
           "least  "
           "ratio  limited by\n");
    for (unsigned i = 0; i < 12; i++) {
        o.baud = bauds[i / 4];
        o.stub = i % 4 < 2;
        if (!o.stub || o.stubs)
            print_row(&o, bundle, i % 2 ? old : NULL);
    }
    lb_bundle_free(old);
}

/* Packets of 64 bytes, ten a frame; the flash sets the pace. */
static void print_usb(struct lb_options o, const struct kl_bundle *bundle)
{
    static const enum kl_link_kind links[] = {KL_LINK_USB_JTAG, KL_LINK_USB_OTG};
    struct kl_bundle *old = lb_bundle_another(bundle);
    bool has_stub = o.stub;

    printf("console  with  flash   flashing verify    sent worked   least  ratio\n");
    for (unsigned i = 0; i < 8; i++) {
        o.link = links[i / 4];
        o.stub = i % 4 < 2;
        if (o.stub && !has_stub)
            continue;
        struct flashed m = measure(&o, bundle, i % 2 ? old : NULL);
        struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
        struct wp_row v = wp_sum(&profile, KL_LOADER_VERIFY, WP_CAUSES);
        kl_us sent = (kl_us)(m.sent / 64 * 100), all = f.wire + f.board + f.answer + f.pause;
        kl_us least = o.stub ? more(sent, m.worked) : sent + m.worked;
        printf("%-8s %-4s  %-7s %8.3f %6.3f %7.3f %6.3f %7.3f %6.3f\n", i < 4 ? "JTAG" : "OTG",
               o.stub ? "stub" : "rom", i % 2 ? "another" : "blank", s(all),
               s(v.wire + v.board + v.answer), s(sent), s(m.worked), s(least),
               (double)all / (double)least);
    }
    lb_bundle_free(old);
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

static void print_flashing(const struct lb_options *o, const struct kl_bundle *bundle)
{
    struct lb_options network = *o;

    network.link = KL_LINK_RFC2217;
    measure(&network, bundle, NULL);
    struct wp_row f = wp_sum(&profile, KL_LOADER_FLASH, WP_CAUSES);
    printf("%.3f\n", s(f.wire + f.board + f.answer + f.pause));
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
    if (argc == 3) {
        print_table(lo, bundle);
    } else if (strcmp(argv[3], "usb") == 0) {
        print_usb(lo, bundle);
    } else if (argc == 5 && strcmp(argv[4], "cycle") == 0) {
        print_cycle(&lo, bundle);
    } else if (argc == 5 && strcmp(argv[4], "flashing") == 0) {
        print_flashing(&lo, bundle);
    } else if (argc == 5) {
        print_own(&lo, bundle);
    } else {
        measure(&lo, bundle, NULL);
        wp_print(&profile, stdout);
    }
    kl_stubs_free(stubs);
    kl_bundle_free(bundle);
    return 0;
}
