/*
 * station_memory.c: what a station with a CSV of a million rows takes: the most until it runs, the
 * most while it reads an edited CSV beside the old one, and what it keeps afterwards. All bounds
 * are bytes, so a busy machine changes nothing.
 *
 * usage: station_memory KEYLINE
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../e2e/e2e.h"
#include "keyline/demo_images.h"
#include "prng.h"

enum {
    ROWS = 1000 * 1000,
    MIB = 1024, /* in KiB */
    RUNS_MAX = 100 * MIB,
    EDIT_MAX = 198 * MIB,
    EDITED_MAX = 112 * MIB,
    TRIES = 200,
};
static const struct timespec moment = {.tv_nsec = 50 * 1000 * 1000};

static void write_rows(const char *path, unsigned rows)
{
    struct prng prng = {7};
    FILE *file = fopen(path, "w");

    CHECK(file, "%s", path);
    for (unsigned i = 0; i < rows; i++)
        fprintf(file, "bench-%07u,%016llx%016llx,%016llx%016llx\n", i,
                (unsigned long long)prng_next(&prng), (unsigned long long)prng_next(&prng),
                (unsigned long long)prng_next(&prng), (unsigned long long)prng_next(&prng));
    CHECK(fclose(file) == 0, "%s", path);
}

/* A number of KiB that the system tells about the process. */
static long told(const struct process *p, const char *what)
{
    char path[64], line[256];
    long kib = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
    CHECK((file = fopen(path, "r")), "%s", path);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, what, strlen(what)) == 0)
            sscanf(line + strlen(what), ": %ld", &kib);
    fclose(file);
    CHECK(kib > 0, "no %s", what);
    return kib;
}

/* Another program saves the CSV with one more row, and the station reads it. */
static void edit(struct scratch *dir, struct process *p)
{
    char fresh[1024];

    snprintf(fresh, sizeof fresh, "%s", scratch_path(dir, "fresh"));
    write_rows(fresh, ROWS + 1);
    CHECK(rename(fresh, scratch_path(dir, "keys.csv")) == 0, "rename");
    wait_for(p, "the CSV was read again");
}

int main(int argc, char **argv)
{
    struct kl_demo_app app = {.payload = 900000, .noise_percent = 55, .project = "bench"};
    struct process p;
    struct scratch dir;
    char csv[1024], image[1024], journal[1024];
    long runs, most, kept;

    if (argc != 2)
        return 2;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    snprintf(image, sizeof image, "%s", scratch_path(&dir, "firmware.bin"));
    snprintf(journal, sizeof journal, "%s", scratch_path(&dir, "journal"));
    write_rows(csv, ROWS);
    CHECK(kl_demo_write(dir.folder, KL_CHIP_ESP32, &app), "%s", dir.folder);
    /* Nobody listens there. The refusal is told once the station has its keys. */
    start(&p, WORDS(argv[1], "--headless", "--config", "none", "--csv-file", csv, "--firmware",
                    image, "--journal", journal, "--volatile", "--port", "socket://127.0.0.1:1"));
    wait_for(&p, "connection refused");
    runs = told(&p, "VmHWM");
    edit(&dir, &p);
    kept = told(&p, "VmRSS");
    for (unsigned i = 0; i < TRIES && kept >= EDITED_MAX;
         i++) { /* the line comes a moment before */
        nanosleep(&moment, NULL);
        kept = told(&p, "VmRSS");
    }
    most = told(&p, "VmHWM");
    kill(p.pid, SIGTERM);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    forget(&p);
    scratch_remove(&dir);
    printf("%d rows: %.1f MiB; while it reads an edited CSV %.1f, afterwards %.1f\n", ROWS,
           (double)runs / MIB, (double)most / MIB, (double)kept / MIB);
    CHECK(runs < RUNS_MAX, "a station takes %ld KiB, more than %d", runs, RUNS_MAX);
    CHECK(most < EDIT_MAX, "an edited CSV takes %ld KiB, more than %d", most, EDIT_MAX);
    CHECK(kept < EDITED_MAX, "an edited CSV leaves %ld KiB, more than %d", kept, EDITED_MAX);
    return 0;
}
