/*
 * profile.c: one board's flashing in virtual time, so that the figures don't depend on the machine:
 * the time that the compressed bytes need on the wire, what the flash chip works, and what is
 * above.
 *
 *   profile FIRMWARE [STUBS]       a table over rates, loaders and what the flash held before
 *   profile FIRMWARE [STUBS] BAUD  where each task's time goes at that rate
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"
#include "loader_bench.h"

static kl_us task(struct lb *b, enum kl_loader_task t, const struct kl_bundle *bundle)
{
    kl_us from = b->now;

    if (lb_run(b, t, bundle) != KL_LOADER_DONE) {
        fprintf(stderr, "profile: %s\n", kl_loader_fault(&b->loader)->detail);
        exit(1);
    }
    return b->now - from;
}

/* `before`: what the board was flashed with first; NULL = it is blank. Returns how long its flash
   erased and programmed. */
static kl_us measure(const struct lb_options *o, const struct kl_bundle *bundle,
                     const struct kl_bundle *before, struct wire_profile *p)
{
    struct lb b;
    kl_us worked;

    lb_open(&b, o);
    for (int t = KL_LOADER_CONNECT; before && t <= KL_LOADER_RUN; t++)
        task(&b, (enum kl_loader_task)t, before);
    worked = kl_vboard_flash_worked(b.board);
    b.profile = p;
    for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_RUN; t++)
        task(&b, (enum kl_loader_task)t, bundle);
    worked = kl_vboard_flash_worked(b.board) - worked;
    lb_close(&b);
    return worked;
}

static double s(kl_us time)
{
    return (double)time / 1e6;
}

static void row(const struct lb_options *o, const struct kl_bundle *bundle,
                const struct kl_bundle *before)
{
    static struct wire_profile p;

    memset(&p, 0, sizeof p);
    kl_us worked = measure(o, bundle, before, &p);
    struct wp_row f = wp_sum(&p, KL_LOADER_FLASH, WP_CAUSES);
    kl_us limit = (kl_us)(bundle->packed_total * 10000000u / o->baud);
    kl_us all = f.wire + f.board + f.answer;

    printf("%8u %5s %6s %8.3f %8.3f %8.3f %8.3f %8.3f %6.3f %8.3f\n", o->baud,
           o->stub ? "stub" : "rom", before ? "full" : "blank", s(all), s(limit), s(f.wire - limit),
           s(f.board), s(f.answer), (double)all / (double)limit, s(worked));
}

int main(int argc, char **argv)
{
    static const uint32_t bauds[] = {460800, 921600, 2000000};
    struct kl_bundle_options o = {.flash_mode = -1, .firmware = argv[1]};
    struct kl_bundle_report report;
    char note[KL_TEXT_MAX];

    if (argc < 2)
        return 2;
    struct kl_bundle *bundle = kl_bundle_load(&o, &report);
    struct kl_stubs *stubs = kl_stubs_load(argc > 2 ? argv[2] : "none", note);
    if (!bundle)
        return 2;
    struct lb_options lo = {.chip = bundle->chip,
                            .link = KL_LINK_SERIAL,
                            .stubs = stubs,
                            .paced = true,
                            .flash_size = 4u << 20};
    struct kl_bundle *old = lb_bundle_another(bundle);
    for (unsigned r = 0; argc == 3 && r < bundle->region_count; r++)
        printf("0x%06x %-16s %8u bytes, %8u packed\n", bundle->region[r].offset,
               bundle->region[r].name, bundle->region[r].image[4].raw_size,
               bundle->region[r].image[4].packed_size);
    if (argc == 3)
        printf("    baud  with  flash flashing    limit   frames    board  answers  ratio  flash "
               "worked\n");
    for (unsigned i = 0; i < 12; i++) {
        static struct wire_profile p;
        lo.stub = i % 2 == 0;
        lo.baud = bauds[i / 4];
        const struct kl_bundle *before = i / 2 % 2 ? old : NULL;
        if (argc > 3 && lo.baud != strtoul(argv[3], NULL, 10))
            continue;
        if (argc == 3) {
            row(&lo, bundle, before);
            continue;
        }
        memset(&p, 0, sizeof p);
        measure(&lo, bundle, before, &p);
        printf("\n%u baud, %s, %s\n", lo.baud, lo.stub ? "stub" : "ROM alone",
               before ? "another program is there" : "blank");
        wp_print(&p, stdout);
    }
    return 0;
}
