/*
 * simulation.c: plays benches in virtual time and stops at the first promise that is broken.
 *
 *   simulation --seed N [--trace]     one run, told line by line with --trace
 *   simulation --lives N [--from S]   runs from seed S on until N boards were plugged in
 *   simulation --hours H              runs for so long
 *   simulation --kept FILE            replays the seeds that failed once
 *   simulation --hashes N [--from S]  N runs from seed S on, each told as one line: the seed, what
 *                                     was asked for and what was told. Two builds that decide alike
 *                                     print the same
 *   simulation --people N [--from S] [--trace]
 *                                     N lives of benches with people at their files: people.c
 *   … --coverage                      lists what was met; --covered fails if something was not
 *
 * It plays every tenth run twice; both must give the same actions.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

static uint64_t lives, done, crashes, runs;

static uint64_t playing;

static void asserted(const char *condition, const char *file, int line)
{
    printf("seed %llu: assertion %s at %s:%d\nrepeat it with: simulation --seed %llu --trace\n",
           (unsigned long long)playing, condition, file, line, (unsigned long long)playing);
    fflush(stdout);
}

static bool play(uint64_t seed, bool trace, struct hashes *hash)
{
    struct world *w = calloc(1, sizeof *w);
    bool ok;

    playing = seed;

    world_init(w, seed, trace ? stdout : NULL);
    ok = world_play(w);
    *hash = w->hash;
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
    struct hashes first, second;

    if (!play(seed, trace, &first))
        return false;
    if (seed % 10 != 0 || trace)
        return true;
    if (!play(seed, false, &second))
        return false;
    if (memcmp(&first, &second, sizeof first) == 0)
        return true;
    printf("seed %llu: played twice, it gave different actions\n", (unsigned long long)seed);
    return false;
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

static int print_hashes(uint64_t from, uint64_t count)
{
    for (uint64_t seed = from; seed < from + count; seed++) {
        struct hashes h;
        if (!play(seed, false, &h))
            return 1;
        printf("%llu actions %016llx notes %016llx\n", (unsigned long long)seed,
               (unsigned long long)h.actions, (unsigned long long)h.notes);
    }
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
    uint64_t seed = 0, wanted = 1000, hashes = 0, people = 0, from = (uint64_t)time(NULL) * 1000;
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
        else if (strcmp(argv[i], "--hashes") == 0)
            hashes = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--people") == 0)
            people = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--hours") == 0)
            hours = strtod(value, NULL), i++;
        else if (strcmp(argv[i], "--kept") == 0)
            kept = value, i++;
        else
            return fprintf(stderr, "what is %s?\n", argv[i]), 2;
    }
    kl_assert_report = asserted;
    if (people)
        return people_play(from, (unsigned)people, trace);
    if (hashes)
        return print_hashes(from, hashes);
    if (kept || seed) {
        int status = kept ? play_kept(kept) : !play_seed(seed, trace);
        if (status == 0)
            summary();
        sim_images_free();
        return status;
    }
    printf("from seed %llu on\n", (unsigned long long)from);
    for (uint64_t s = from; hours > 0 ? difftime(time(NULL), began) < hours * 3600 : lives < wanted;
         s++)
        if (!play_seed(s, false))
            return 1;
    summary();
    sim_images_free();
    if (list)
        coverage(true);
    return covered && !coverage(false);
}
