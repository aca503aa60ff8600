/*
 * store_speed.c: what a CSV of a million rows costs beside one of a hundred: the memory and the
 * processor's time of a `keyline keys status`, which reads list and record as a start does, the
 * time to open a store, the memory it takes, the time per board (reserve and provision, each waited
 * for), how much the journal adds to that (the median of the boards, so that a slow moment of the
 * disk counts once), and when the last mark stands in the file if nothing else happens. Prints a
 * table; fails only if a memory is too large or the marks do not come.
 *
 * usage: store_speed KEYLINE [ROWS …]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "prng.h"
#include "scratch.h"
#include "store_bench.h"

enum {
    BOARDS = 50,
    ROWS_MAX = 1000 * 1000, /* for so many, keyline takes at most … */
    /* … this, its libraries included; and so does this process, whose store has served boards */
    MEMORY_MAX_KB = 100 * 1024,
};

static const char *keyline;

static double milliseconds(void)
{
    return (double)uv_hrtime() / 1e6;
}

/* ---- what the journal takes ---- */

static struct {
    double ms;
    unsigned writes, syncs;
} journal;

static bool is_journal(int fd)
{
    static const char suffix[] = ".journal";
    char link[64], path[4096];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    return n >= (ssize_t)sizeof suffix &&
           memcmp(path + n - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
}

static ssize_t timed_write(int fd, const void *data, size_t size)
{
    double start = milliseconds();
    ssize_t n = kl_disk_real.write(fd, data, size);

    if (is_journal(fd)) {
        journal.ms += milliseconds() - start;
        journal.writes++;
    }
    return n;
}

static int timed_sync_by(int fd, int (*sync)(int fd))
{
    bool counts = is_journal(fd);
    double start = milliseconds();
    int rc = sync(fd);

    if (counts) {
        journal.ms += milliseconds() - start;
        journal.syncs++;
    }
    return rc;
}

static int timed_sync(int fd)
{
    return timed_sync_by(fd, kl_disk_real.sync);
}

static int timed_sync_data(int fd)
{
    return timed_sync_by(fd, kl_disk_real.sync_data);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *list, size_t count)
{
    qsort(list, count, sizeof *list, by_size);
    return (list[(count - 1) / 2] + list[count / 2]) / 2;
}

static long memory_kb(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kb;
}

static bool write_rows(const char *path, unsigned long rows)
{
    struct prng prng = {7};
    FILE *file = fopen(path, "w");

    for (unsigned long i = 0; file != NULL && i < rows; i++)
        fprintf(file, "bench-%07lu,%016llx%016llx,%016llx%016llx\n", i,
                (unsigned long long)prng_next(&prng), (unsigned long long)prng_next(&prng),
                (unsigned long long)prng_next(&prng), (unsigned long long)prng_next(&prng));
    return file != NULL && fclose(file) == 0;
}

/* The most memory that keyline takes to read this CSV. -1 if it fails. */
static long status_kb(const char *csv, double *seconds)
{
    struct rusage used;
    pid_t child;
    int status;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL)
            execl(keyline, keyline, "keys", "status", "--csv-file", csv, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child || status != 0)
        return -1;
    *seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    return used.ru_maxrss;
}

/* A board gets the key of this row. */
static bool serve(struct store_bench *b, uint32_t row)
{
    static const enum kl_store_op ops[] = {KL_OP_RESERVE, KL_OP_PROVISION};
    struct kl_fingerprint fp = kl_store_content(b->store)->rows[row].fingerprint;

    for (unsigned i = 0; i < 2; i++) {
        bench_submit(b, ops[i], &fp, row + 1);
        bench_wait(b);
        if (b->status != KL_STORE_OK)
            return false;
    }
    return true;
}

/* Sets `added` to what the journal adds to the time of each board, in parts of the rest of it. */
static bool serve_boards(struct store_bench *b, double added[BOARDS])
{
    uint32_t middle = kl_store_content(b->store)->row_count / 2;

    for (unsigned i = 0; i < BOARDS; i++) {
        double start = milliseconds(), before = journal.ms, took;

        if (!serve(b, middle + i))
            return false;
        took = journal.ms - before;
        added[i] = took / (milliseconds() - start - took);
    }
    return true;
}

static unsigned count_marks(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];
    unsigned marks = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        marks += strstr(line, ",Provisioned\n") != NULL;
    if (file != NULL)
        fclose(file);
    return marks;
}

static bool has_all_marks(struct store_bench *b, void *ctx)
{
    (void)b;
    return count_marks(ctx) == BOARDS;
}

static bool measure(unsigned long rows)
{
    struct scratch dir;
    struct store_bench b;
    const char *csv;
    double start, opened, served, marked, added[BOARDS], processor = 0;
    long memory, status;
    bool good;

    scratch_make(&dir);
    csv = scratch_path(&dir, "keys.csv");
    good = write_rows(csv, rows);
    status = status_kb(csv, &processor);
    good = good && status >= 0 && (rows > ROWS_MAX || status < MEMORY_MAX_KB);
    start = milliseconds();
    if (!good || bench_open(&b, csv) != KL_STORE_OPENED)
        return false;
    opened = milliseconds();
    memset(&journal, 0, sizeof journal);
    good = serve_boards(&b, added);
    served = milliseconds();
    memory = memory_kb();
    good = good && bench_until(&b, has_all_marks, (char *)(uintptr_t)csv);
    marked = milliseconds();
    bench_close(&b);
    good = good && (rows > ROWS_MAX || memory < MEMORY_MAX_KB);
    printf(
        "%9lu rows: status %4.2f s and %5.1f MiB; open %6.0f ms, %5.1f ms per board (the journal "
        "adds %4.1f %%: %.2f writes, %.2f syncs), last mark after %5.0f ms of quiet, memory %4ld "
        "MiB%s\n",
        rows, processor, (double)status / 1024, opened - start, (served - opened) / BOARDS,
        100 * median(added, BOARDS), (double)journal.writes / BOARDS,
        (double)journal.syncs / BOARDS, marked - served, memory / 1024, good ? "" : "  WRONG");
    scratch_remove(&dir);
    return good;
}

int main(int argc, char **argv)
{
    static struct kl_disk timed;
    bool good = true;

    timed = kl_disk_real;
    timed.write = timed_write;
    timed.sync = timed_sync;
    timed.sync_data = timed_sync_data;
    kl_disk = &timed;
    keyline = argc > 1 ? argv[1] : "keyline";
    for (int i = 2; i < argc; i++)
        good &= measure(strtoul(argv[i], NULL, 10));
    return good ? 0 : 1;
}
