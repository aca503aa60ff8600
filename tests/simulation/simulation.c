/*
 * simulation.c: plays benches in virtual time and stops at the first promise that is broken.
 *
 *   simulation --seed N [--trace]     one run, told line by line with --trace
 *   simulation --lives N [--from S]   runs from seed S on until N boards were plugged in
 *   simulation --hours H              runs for so long
 *   simulation --kept FILE            replays the seeds that failed once
 *   … --coverage                      lists what was met; --covered fails if something was not
 *
 * Every tenth run is played twice and must give the same actions.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keyline/bundle_load.h"
#include "keyline/demo_images.h"
#include "loader_bench.h"
#include "world.h"

static struct kl_bundle *bundle;
static uint64_t lives, done, crashes, runs;

const struct kl_bundle *sim_bundle(void)
{
    return bundle;
}

const struct kl_stubs *sim_stubs(void)
{
    return lb_stubs();
}

static bool write_image(const char *folder, const char *name, struct kl_demo_image *image)
{
    char path[256];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    ok = file && fwrite(image->data, 1, image->size, file) == image->size;
    if (file)
        fclose(file);
    free(image->data);
    return ok;
}

/* Small images for a flash of 1 MB, so that a life takes little real time. */
static void make_bundle(void)
{
    static const struct kl_demo_partition rows[] = {{"nvs", 1, 2, 0x9000, 0x6000},
                                                    {"factory", 0, 0, 0x10000, 0x20000}};
    struct kl_demo_app app = {.payload = 6000, .noise_percent = 60};
    struct kl_bundle_report report;
    char folder[] = "/tmp/keyline-simulation-XXXXXX", firmware[256], command[256];
    struct kl_demo_image image;
    struct kl_bundle_options o = {.firmware = firmware, .flash_mode = -1};

    if (!mkdtemp(folder))
        exit(2);
    snprintf(firmware, sizeof firmware, "%s/firmware.bin", folder);
    if (!kl_demo_bootloader(KL_CHIP_ESP32, &image) ||
        !write_image(folder, "bootloader.bin", &image) || !kl_demo_partitions(rows, 2, &image) ||
        !write_image(folder, "partitions.bin", &image) ||
        !kl_demo_app(KL_CHIP_ESP32, &app, &image) || !write_image(folder, "firmware.bin", &image))
        exit(2);
    bundle = kl_bundle_load(&o, &report);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0 || !bundle) {
        fprintf(stderr, "no bundle: %s\n", report.problem[0]);
        exit(2);
    }
}

static uint64_t playing;

static void asserted(const char *condition, const char *file, int line)
{
    printf("seed %llu: assertion %s at %s:%d\nrepeat it with: simulation --seed %llu --trace\n",
           (unsigned long long)playing, condition, file, line, (unsigned long long)playing);
    fflush(stdout);
}

static bool play(uint64_t seed, bool trace, uint64_t *hash)
{
    struct world *w = calloc(1, sizeof *w);
    bool ok;

    playing = seed;

    world_init(w, seed, trace ? stdout : NULL);
    ok = world_play(w);
    *hash = w->action_hash;
    lives += w->lives;
    done += w->done;
    crashes += w->crashes;
    runs++;
    if (!ok)
        printf("seed %llu: %s\nrepeat it with: simulation --seed %llu --trace\n",
               (unsigned long long)seed, w->violation, (unsigned long long)seed);
    world_finish(w);
    free(w);
    return ok;
}

static bool play_seed(uint64_t seed, bool trace)
{
    uint64_t first, second;

    if (!play(seed, trace, &first))
        return false;
    if (seed % 10 != 0 || trace)
        return true;
    if (!play(seed, false, &second))
        return false;
    if (first != second)
        printf("seed %llu: played twice, it gave different actions\n", (unsigned long long)seed);
    return first == second;
}

static int play_kept(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];

    if (!file)
        return 2;
    while (fgets(line, sizeof line, file)) {
        uint64_t seed = strtoull(line, NULL, 10);
        if (seed && !play_seed(seed, false))
            return 1;
    }
    fclose(file);
    return 0;
}

static void summary(void)
{
    printf("%llu runs, %llu board lives, %llu done, %llu crashes, no promise broken\n",
           (unsigned long long)runs, (unsigned long long)lives, (unsigned long long)done,
           (unsigned long long)crashes);
}

int main(int argc, char **argv)
{
    uint64_t seed = 0, wanted = 1000, from = (uint64_t)time(NULL) * 1000;
    double hours = 0;
    bool trace = false, list = false, covered = false;
    const char *kept = NULL;
    time_t began = time(NULL);

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--coverage") == 0)
            list = true;
        else if (strcmp(argv[i], "--covered") == 0)
            covered = true;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--lives") == 0)
            wanted = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--from") == 0)
            from = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--hours") == 0)
            hours = strtod(value, NULL), i++;
        else if (strcmp(argv[i], "--kept") == 0)
            kept = value, i++;
        else
            return fprintf(stderr, "what is %s?\n", argv[i]), 2;
    }
    kl_assert_report = asserted;
    make_bundle();
    if (kept || seed) {
        int status = kept ? play_kept(kept) : !play_seed(seed, trace);
        if (status == 0)
            summary();
        kl_bundle_free(bundle);
        return status;
    }
    printf("from seed %llu on\n", (unsigned long long)from);
    for (uint64_t s = from; hours > 0 ? difftime(time(NULL), began) < hours * 3600 : lives < wanted;
         s++)
        if (!play_seed(s, false))
            return 1;
    summary();
    kl_bundle_free(bundle);
    if (list)
        coverage(true);
    return covered && !coverage(false);
}
