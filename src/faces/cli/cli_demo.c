/*
 * cli_demo.c: `keyline demo`: the real station over virtual boards, in a folder of its own that is
 * gone afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "demo_script.h"
#include "faces/stream/wire.h"
#include "keyline/demo_images.h"

enum {
    BOARDS_MAX = 16,
    ARGS_MAX = 2 * BOARDS_MAX + 32,
    HEADLESS_BOARDS = 8,
    HEADLESS_KEYS = 200,
};

struct args {
    bool headless, help;
    long boards;
};

struct demo {
    struct args args;
    char folder[64], csv[PATH_MAX], firmware[PATH_MAX];
    char url[BOARDS_MAX][64];
    unsigned urls;
    pid_t boards, director;
    int control; /* the boards live until this is closed */
    int events;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    FLAG("headless", headless, "no dashboard: ends after eight boards"),
    NUMBER("boards", boards, "N", 1, BOARDS_MAX, "how many places (default 4)"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_demo = {
    .name = "demo",
    .run = kl_cli_demo,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "shows all of it with virtual boards",
    .about = "The station over virtual boards that come and go; q, Esc or Ctrl-C ends it, and\n"
             "nothing is left behind.",
    .after = "exit status: 0 all well, 1 a board failed or the demo could not start, 2 usage\n",
};

/* ---- the folder ---- */

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    char path[PATH_MAX];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static bool make_folder(struct demo *d)
{
    static const struct kl_demo_app app = {.project = "blinky",
                                           .version = "2.3",
                                           .payload = 180 * 1024,
                                           .seed = 7,
                                           .noise_percent = 45};
    const char *tmp = getenv("TMPDIR");

    snprintf(d->folder, sizeof d->folder, "%s/keyline-demo-XXXXXX",
             tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    if (!mkdtemp(d->folder))
        return false;
    snprintf(d->csv, sizeof d->csv, "%s/keys.csv", d->folder);
    snprintf(d->firmware, sizeof d->firmware, "%s/firmware.bin", d->folder);
    return demo_write_keys(d->csv, 1, d->args.headless ? HEADLESS_KEYS : DEMO_KEYS) &&
           kl_demo_write(d->folder, KL_CHIP_ESP32, &app);
}

/* ---- the boards: a process of their own ---- */

static void become_boards(struct demo *d, int in, int out)
{
    char number[8];
    snprintf(number, sizeof number, "%ld", d->args.boards);
    setpgid(0, 0); /* a Ctrl-C is for the station */
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execl("/proc/self/exe", "keyline", "virtual", "--boards", number, "--listen", "127.0.0.1:0",
          "--pace", "--replace", "auto", "--control", (char *)NULL);
    _exit(127);
}

/* "board 1 rfc2217://127.0.0.1:40001 esp32 24:0a:…", then "ready" */
static bool read_urls(struct demo *d)
{
    char line[256];

    while (demo_read_line(d->events, line, sizeof line)) {
        if (strcmp(line, "ready") == 0)
            return d->urls == (unsigned)d->args.boards;
        if (d->urls < BOARDS_MAX && sscanf(line, "board %*u %63s", d->url[d->urls]) == 1)
            d->urls++;
    }
    return false;
}

static bool start_boards(struct demo *d)
{
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || (d->boards = fork()) < 0)
        return false;
    if (d->boards == 0)
        become_boards(d, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    d->control = in[1];
    d->events = out[0];
    return read_urls(d);
}

/* On a terminal some boards have troubles and leave; headless all are well. */
static bool start_director(struct demo *d)
{
    if (d->args.headless)
        return true;
    d->director = fork();
    if (d->director == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        demo_direct(d->events, d->control, d->urls, d->csv);
        _exit(0);
    }
    return d->director > 0;
}

static void stop_boards(struct demo *d)
{
    if (d->director > 0) {
        kill(d->director, SIGTERM);
        waitpid(d->director, NULL, 0);
    }
    if (d->boards <= 0)
        return;
    close(d->control);
    waitpid(d->boards, NULL, 0);
}

/* ---- the station ---- */

/* The person has left the dashboard: the station must not outlive the demo. */
static void stop_station(const struct demo *d)
{
    int fd = kl_wire_connect(d->csv);
    char *stop = kl_wire_command(&(struct kl_command){.kind = KL_CMD_STOP}), rest[4096];

    if (fd < 0 || !stop) {
        free(stop);
        return;
    }
    /* The second stop ends the station at once. */
    for (int i = 0; i < 2; i++)
        if (write(fd, stop, strlen(stop)) < 0)
            break;
    while (read(fd, rest, sizeof rest) > 0) {
    }
    close(fd);
    free(stop);
}

struct words {
    char *word[ARGS_MAX];
    unsigned count;
};

static void add_word(struct words *w, const char *text)
{
    KL_ASSERT(w->count + 1 < ARGS_MAX);
    w->word[w->count] = strdup(text);
    KL_ASSERT(w->word[w->count]);
    w->count++;
}

static void add_words(struct words *w, const char *option, const char *value)
{
    add_word(w, option);
    add_word(w, value);
}

static int run_station(struct demo *d)
{
    static struct words w; /* the station keeps pointing to them */
    char number[8];
    int status;

    add_word(&w, "keyline");
    add_words(&w, "--config", "none");
    add_words(&w, "--csv-file", d->csv);
    add_words(&w, "--firmware", d->firmware);
    add_words(&w, "--journal", d->folder);
    add_word(&w, "--volatile"); /* the folder is gone afterwards anyway */
    for (unsigned i = 0; i < d->urls; i++)
        add_words(&w, "--port", d->url[i]);
    if (d->args.headless) {
        snprintf(number, sizeof number, "%d", HEADLESS_BOARDS);
        add_word(&w, "--headless");
        add_words(&w, "--count", number);
    } else {
        add_words(&w, "--prompt-timeout", "6");
        add_words(&w, "--ack-timeout", "3");
    }
    status = kl_cli_station_demo((int)w.count, w.word);
    for (unsigned i = 0; i < w.count; i++)
        free(w.word[i]);
    stop_station(d);
    return status;
}

static int run_demo(struct demo *d)
{
    int status = KL_EXIT_FAILED;

    if (!make_folder(d))
        fprintf(stderr, "keyline demo: %s: %s\n", d->folder, strerror(errno));
    else if (!start_boards(d) || !start_director(d))
        fprintf(stderr, "keyline demo: the virtual boards can't be started\n");
    else
        status = run_station(d);
    stop_boards(d);
    remove_folder(d->folder);
    return status;
}

int kl_cli_demo(int argc, char **argv)
{
    static struct demo d;
    char error[KL_TEXT_MAX] = "";

    d.args.boards = 4;
    if (!options_parse(options, sizeof options / sizeof options[0], argv + (argc > 0), &d.args,
                       error))
        return command_wrong(&kl_command_demo, error);
    if (d.args.help)
        return command_help(&kl_command_demo);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        d.args.headless = true;
    return run_demo(&d);
}
