/*
 * store_crash.c: power cuts and faults at every durable step of the store.
 *
 *   crash      the N-th step is the last, for N = 1, 2, 3 … until the scenario passes untouched
 *   twice      the same, and then the M-th step of the recovery is the last
 *   faults     the N-th step fails, and perhaps some more, in each way disks fail; then the same,
 * and at some later step the power fails too
 *
 * usage: store_crash crash|twice|faults [STRIDE]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_disk.h"
#include "prng.h"
#include "scenario.h"
#include "scratch.h"

static struct scratch dir;
static char csv[256];
static volatile struct scenario_report *report;
static volatile uint32_t *steps_seen;

struct trouble {
    uint32_t crash_at;
    uint64_t seed;
    enum fault_kind kind;
    uint32_t fail_at;
    uint32_t fail_count;
};

static void fresh(void)
{
    scratch_remove(&dir);
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s/keys.csv", dir.folder);
    scenario_write_csv(csv);
    report->submitted = report->answered = 0;
}

static void child(const struct trouble *t, bool recover_only)
{
    fault_install();
    fault_crash(t->crash_at, t->seed);
    fault_fail(t->kind, t->fail_at, t->fail_count);
    if (recover_only ? !scenario_recover(csv) : !scenario_run(csv, report))
        _exit(1);
    *steps_seen = fault_steps();
    _exit(0);
}

/* True if it came to its end, false if it died where it was told to. */
static bool run(const struct trouble *t, bool recover_only)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        child(t, recover_only);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FAULT_EXIT)) {
        fprintf(stderr, "crash at %u (seed %llu), fault %d in %u steps from %u: status %x\n",
                t->crash_at, (unsigned long long)t->seed, t->kind, t->fail_count, t->fail_at,
                status);
        exit(1);
    }
    return WEXITSTATUS(status) == 0;
}

/* After any crash: what is durable, then the rest of the work with nothing in its way. */
static void settle(const struct trouble *t)
{
    static const struct trouble none;
    static char what[160];

    snprintf(what, sizeof what, "after crash at %u (seed %llu), fault %d in %u steps from %u\n",
             t->crash_at, (unsigned long long)t->seed, t->kind, t->fail_count, t->fail_at);
    setenv("SCENARIO", what, 1);
    scenario_check(csv, (const struct scenario_report *)(uintptr_t)report, false);
    if (!run(&none, true))
        exit(1);
    scenario_check(csv, (const struct scenario_report *)(uintptr_t)report, true);
    if (!run(&none, false))
        exit(1);
    scenario_check(csv, (const struct scenario_report *)(uintptr_t)report, true);
}

static void say_where(int signal_number)
{
    const char *what = getenv("SCENARIO");

    (void)signal_number;
    if (what != NULL && write(STDERR_FILENO, what, strlen(what)) < 0)
        _exit(1);
    _exit(1);
}

static unsigned crash(uint32_t stride)
{
    unsigned runs = 0;

    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (uint32_t n = 1;; n += stride, runs++) {
            struct trouble t = {.crash_at = n, .seed = seed * 1000003 + n};

            fresh();
            if (run(&t, false))
                break;
            settle(&t);
        }
    }
    return runs;
}

static unsigned twice(uint32_t stride)
{
    unsigned runs = 0;

    for (uint32_t n = 1;; n += stride) {
        for (uint32_t m = 1;; m++, runs++) {
            struct trouble first = {.crash_at = n, .seed = n};
            struct trouble second = {.crash_at = m, .seed = n * 1000 + m};

            fresh();
            if (run(&first, false))
                return runs;
            if (run(&second, true))
                break;
            settle(&second);
        }
    }
}

static unsigned faults(uint32_t stride)
{
    struct trouble none = {0};
    struct prng prng = {42};
    uint32_t steps;
    unsigned runs = 0;

    fresh();
    run(&none, false);
    steps = *steps_seen;
    for (uint32_t n = 1; n <= steps; n += stride) {
        for (int kind = FAULT_FULL; kind <= FAULT_READ_ONLY; kind++, runs += 2) {
            struct trouble t = {.kind = (enum fault_kind)kind, .fail_at = n};

            t.fail_count = 1 + (prng_below(&prng, 2) == 0 ? 0 : prng_below(&prng, 30));
            fresh();
            run(&t, false);
            scenario_check_history(csv);
            settle(&t);
            t.seed = prng_next(&prng);
            t.crash_at = n + t.fail_count + prng_below(&prng, steps);
            fresh();
            run(&t, false);
            settle(&t);
        }
    }
    return runs;
}

int main(int argc, char **argv)
{
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t stride = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    const char *what = argc > 1 ? argv[1] : "";
    unsigned runs;

    if (shared == MAP_FAILED || stride == 0)
        return 2;
    report = shared;
    steps_seen = (uint32_t *)((char *)shared + 1024);
    signal(SIGABRT, say_where);
    scratch_make(&dir);
    if (strcmp(what, "crash") == 0)
        runs = crash(stride);
    else if (strcmp(what, "twice") == 0)
        runs = twice(stride);
    else if (strcmp(what, "faults") == 0)
        runs = faults(stride);
    else
        return 2;
    scratch_remove(&dir);
    printf("%s: %u runs\n", what, runs);
    return runs > 0 ? 0 : 1;
}
