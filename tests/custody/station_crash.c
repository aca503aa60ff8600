/*
 * station_crash.c: whole stations over virtual boards, brought down in every way; after each fall
 * the independent checker looks at CSV, ledger and boards, and so it does when the station has been
 * started again and has come to its end.
 *
 *   crash   power cut at the N-th durable step, N = 1, 2, 3 … until it is never reached
 *   twice   the same, and a second one at a step of the recovery, drawn at random
 *   kill    kill -9 at random instants, up to three times, 200 rounds
 *   faults  some steps from the N-th on fail, in each way disks fail: the station waits and then
 *           comes to its end by itself
 *   race    two stations at the same instant on one CSV, each with boards of its own, 100 rounds
 *
 * nvs_crash, nvs_twice and nvs_kill do the same where keys are written into the boards' NVS.
 *
 * usage: station_crash KEYLINE KEYLINE_CRASH CHECKER crash|twice|kill|faults|race|nvs_… [STRIDE]
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_disk.h"
#include "keyline/demo_images.h"
#include "prng.h"
#include "scratch.h"

enum {
    BOARDS = 4,
    KEYS = 10,
    JOBS = 4,       /* worlds at a time: they mostly wait */
    PATIENCE = 200, /* seconds until a station counts as stuck */
};

static const char *keyline, *keyline_crash, *checker;
static bool in_nvs; /* --deliver nvs */

struct world {
    struct scratch dir;
    char csv[256], original[256], ledger[256], firmware[256], state[256], log[256];
    pid_t server;
    char port[BOARDS][64];
    char what[128]; /* what is done to it, for a failure's words */
};

static _Noreturn void give_up(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static _Noreturn void give_up(struct world *w, const char *format, ...)
{
    char *log = file_read(w->log, NULL);
    va_list args;

    fprintf(stderr, "%s: ", w->what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nleft in %s; the station said:\n%s\n", w->dir.folder, log == NULL ? "" : log);
    if (w->server > 0)
        kill(w->server, SIGKILL);
    exit(1);
}

/* ---- processes ---- */

static pid_t start(struct world *w, const char *const argv[], int out)
{
    pid_t pid = fork();
    int log;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind if a test is stopped */
    log = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(out >= 0 ? out : log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void pause_us(uint32_t us)
{
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};

    nanosleep(&t, NULL);
}

/* Exit status; 128 + signal. */
static int wait_for(struct world *w, pid_t pid)
{
    for (int waited = 0; waited < PATIENCE * 200; waited++) {
        int status;
        pid_t done = waitpid(pid, &status, WNOHANG);

        if (done == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        pause_us(5000);
    }
    kill(pid, SIGKILL);
    give_up(w, "the station does not come to its end");
}

static pid_t start_station(struct world *w, const char *program, unsigned first, unsigned boards)
{
    /* After a power cut the files are new ones, as after putting a copy back. */
    const char *argv[14 + 2 * BOARDS + 1] = {
        program,  "--headless", "--once",   "--csv-file", w->csv,    "--firmware", w->firmware,
        "--stub", "none",       "--settle", "0.01",       "--moved", "--volatile"};
    unsigned n = 13;

    if (in_nvs)
        argv[n++] = "--deliver=nvs";
    for (unsigned i = first; i < first + boards; i++) {
        argv[n++] = "--port";
        argv[n++] = w->port[i];
    }
    return start(w, argv, -1);
}

static void check(struct world *w, const char *when, bool final)
{
    const char *argv[] = {checker, w->original, w->csv, w->ledger, w->state, final ? "final" : NULL,
                          NULL};
    int status = wait_for(w, start(w, argv, -1));

    if (status != 0)
        give_up(w, "custody is broken %s", when);
}

/* ---- a world ---- */

static void write_files(struct world *w)
{
    static const struct kl_demo_app app = {.project = "crash", .version = "1"};
    char text[KEYS * 64 + 128] = "";
    size_t n = 0;

    if (in_nvs) /* the names under which the boards' firmware looks for its key */
        n = (size_t)snprintf(text, sizeof text,
                             "provision/key1:string,provision/key2:string,provision/key3:string,"
                             "provision/done:u8=1\r\n");

    for (int i = 1; i <= KEYS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              i % 3 == 0 ? "\"dev-%d\",%08x , %08x\r\n" : "dev-%d,%08x,%08x\r\n", i,
                              0x1234567u * (unsigned)i, 0x89abcdu * (unsigned)i);
    file_put(w->csv, text);
    file_put(w->original, text);
    if (!kl_demo_write(w->dir.folder, KL_CHIP_ESP32, &app))
        give_up(w, "no images");
}

static void start_boards(struct world *w)
{
    char boards[8], line[256];
    const char *argv[] = {keyline,   "virtual",  "--boards",
                          boards,    "--listen", "127.0.0.1:0",
                          "--state", w->state,   in_nvs ? "--firmware=original" : NULL,
                          NULL};
    int pipes[2];
    FILE *out;

    snprintf(boards, sizeof boards, "%d", BOARDS);
    if (pipe2(pipes, O_CLOEXEC) != 0)
        give_up(w, "no pipe");
    w->server = start(w, argv, pipes[1]);
    close(pipes[1]);
    out = fdopen(pipes[0], "r");
    while (out != NULL && fgets(line, sizeof line, out) != NULL && strcmp(line, "ready\n") != 0) {
        unsigned board;
        char port[64];
        if (sscanf(line, "board %u %63s", &board, port) == 2 && board >= 1 && board <= BOARDS)
            snprintf(w->port[board - 1], sizeof w->port[0], "%s", port);
    }
    if (out == NULL || strcmp(line, "ready\n") != 0)
        give_up(w, "no virtual boards");
    fclose(out);
}

static void begin(struct world *w)
{
    scratch_make(&w->dir);
    snprintf(w->csv, sizeof w->csv, "%s/keys.csv", w->dir.folder);
    snprintf(w->original, sizeof w->original, "%s/original.csv", w->dir.folder);
    snprintf(w->ledger, sizeof w->ledger, "%s/keys.csv.ledger", w->dir.folder);
    snprintf(w->firmware, sizeof w->firmware, "%s/firmware.bin", w->dir.folder);
    snprintf(w->state, sizeof w->state, "%s/boards", w->dir.folder);
    snprintf(w->log, sizeof w->log, "%s/log", w->dir.folder);
    write_files(w);
    start_boards(w);
}

static void end(struct world *w)
{
    kill(w->server, SIGTERM);
    waitpid(w->server, NULL, 0);
    scratch_remove(&w->dir);
}

/* Nothing stands in its way any more. */
static void finish(struct world *w)
{
    int status = wait_for(w, start_station(w, keyline, 0, BOARDS));

    if (status != 0)
        give_up(w, "the last run ended with %d", status);
    check(w, "at the end", true);
}

/* ---- what is done to it ---- */

static void tell(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

/* True if it died at that step. */
static bool crash_at(struct world *w, uint32_t step, uint64_t seed)
{
    int status;

    tell("KEYLINE_CRASH_AT", step);
    tell("KEYLINE_CRASH_SEED", seed);
    status = wait_for(w, start_station(w, keyline_crash, 0, BOARDS));
    if (status != 0 && status != FAULT_EXIT)
        give_up(w, "the station that should die at step %u ended with %d", step, status);
    check(w, "after a power cut", false);
    return status == FAULT_EXIT;
}

static bool round_of_crash(struct world *w, unsigned n)
{
    return crash_at(w, n + 1, n);
}

static bool round_of_twice(struct world *w, unsigned n)
{
    struct prng prng = {n};
    bool died = crash_at(w, n + 1, n);

    if (died)
        crash_at(w, 1 + prng_below(&prng, 60), n + 1000);
    return died;
}

static bool round_of_kill(struct world *w, unsigned n)
{
    struct prng prng = {n};

    for (uint32_t kills = 1 + prng_below(&prng, 3); kills > 0; kills--) {
        pid_t station = start_station(w, keyline, 0, BOARDS);
        pause_us(prng_below(&prng, 500000));
        kill(station, SIGKILL);
        wait_for(w, station);
        check(w, "after kill -9", false);
    }
    return n + 1 < 200;
}

static bool has_said(struct world *w, const char *words)
{
    char *log = file_read(w->log, NULL);
    bool said = log != NULL && strstr(log, words) != NULL;

    free(log);
    return said;
}

static bool round_of_faults(struct world *w, unsigned n)
{
    enum {
        EXIT_STORE = 6
    };
    struct prng prng = {n};
    int status;

    tell("KEYLINE_FAIL_AT", n + 1);
    tell("KEYLINE_FAIL_KIND", prng_below(&prng, 3));
    tell("KEYLINE_FAIL_COUNT", 1 + prng_below(&prng, 6));
    status = wait_for(w, start_station(w, keyline_crash, 0, BOARDS));
    /* 6 is right if the disk failed at the start, or to the very end. */
    if (status != 0 &&
        (status != EXIT_STORE || (has_said(w, "settling") && !has_said(w, "4 done"))))
        give_up(w, "with a failing disk the station ended with %d", status);
    check(w, "after disk faults", status == 0);
    return n < 150;
}

/* A disk that freezes is named, and a station that waits for it can be ended all the same. */
static bool round_of_frozen(struct world *w, unsigned n)
{
    enum {
        EXIT_STORE = 6
    };
    pid_t station;
    int status = -1, left;

    tell("KEYLINE_FAIL_AT", 60 + 8 * n);
    tell("KEYLINE_FAIL_KIND", FAULT_FREEZE);
    tell("KEYLINE_FAIL_COUNT", 1);
    station = start_station(w, keyline_crash, 0, BOARDS);
    for (left = PATIENCE * 20; left > 0; left--) {
        if (has_said(w, "the disk of the keys does not answer"))
            break;
        if (has_said(w, FAULT_FROZE_AT_START)) {
            kill(station, SIGKILL); /* before there was a bench */
            wait_for(w, station);
            if (n == 3)
                give_up(w, "it takes more steps to start than this test knows");
            return true;
        }
        if (waitpid(station, &status, WNOHANG) == station) {
            if (n < 2 || status != 0)
                give_up(w, "the station ended with %d before its disk froze", status);
            return false; /* it does not take that many steps */
        }
        pause_us(50000);
    }
    if (left == 0)
        give_up(w, "a frozen disk is not named");
    check(w, "while the disk is frozen", false);
    kill(station, SIGINT); /* two of one kind may become one on a busy machine */
    kill(station, SIGTERM);
    for (left = PATIENCE * 20; left > 0 && waitpid(station, &status, WNOHANG) != station; left--)
        pause_us(50000);
    if (left == 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_STORE)
        give_up(w, "the second signal did not end it with 6 (%d, %d)", left, status);
    check(w, "after the end beside a frozen disk", false);
    return n < 4;
}

static bool round_of_race(struct world *w, unsigned n)
{
    pid_t one = start_station(w, keyline, 0, BOARDS / 2);
    pid_t two = start_station(w, keyline, BOARDS / 2, BOARDS / 2);
    int first = wait_for(w, one), second = wait_for(w, two);

    /* On a quick machine one may have ended before the other looks: then both have worked. */
    if ((first != 0 && first != 4) || (second != 0 && second != 4) || first + second == 8)
        give_up(w, "the two stations ended with %d and %d", first, second);
    check(w, "after the race", false);
    return n + 1 < 100;
}

struct mode {
    const char *name;
    bool (*round)(struct world *w, unsigned n); /* false: there is nothing more to come */
};

static const struct mode modes[] = {
    {"crash", round_of_crash},   {"twice", round_of_twice}, {"kill", round_of_kill},
    {"faults", round_of_faults}, {"race", round_of_race},   {"frozen", round_of_frozen},
};
static const char NVS[] = "nvs_";

/* Every JOBS-th round. What a step does differs a little from run to run: three rounds that find
   nothing more are the end. */
static int work(const struct mode *mode, unsigned job, unsigned stride)
{
    unsigned rounds = 0, idle = 0;

    for (unsigned n = job * stride; idle < 3; n += JOBS * stride, rounds++) {
        struct world w = {0};

        snprintf(w.what, sizeof w.what, "%s, round %u", mode->name, n);
        begin(&w);
        idle = mode->round(&w, n) ? 0 : idle + 1;
        finish(&w);
        end(&w);
        if (mode->round != round_of_crash && mode->round != round_of_twice)
            idle *= 3; /* these know their end */
    }
    printf("%s: job %u did %u rounds\n", mode->name, job, rounds);
    return 0;
}

int main(int argc, char **argv)
{
    const struct mode *mode = NULL;
    unsigned stride = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
    int failed = 0, status;

    in_nvs = argc > 4 && strncmp(argv[4], NVS, strlen(NVS)) == 0;
    for (size_t i = 0; argc > 4 && i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(argv[4] + (in_nvs ? strlen(NVS) : 0), modes[i].name) == 0)
            mode = &modes[i];
    if (mode == NULL || stride == 0)
        return 2;
    keyline = argv[1];
    keyline_crash = argv[2];
    checker = argv[3];
    for (unsigned job = 0; job < JOBS; job++)
        if (fork() == 0)
            exit(work(mode, job, stride));
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}
