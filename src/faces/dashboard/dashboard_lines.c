/*
 * dashboard_lines.c: a station on a terminal that can only show lines: one line for each thing that
 * happens. It can't command.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dashboard.h"
#include "faces/stream/wire.h"
#include "keyline/exit.h"

struct watcher {
    int fd, exit;
    char *text;
    size_t used;
    struct kl_snapshot snap;
    struct kl_wire_message message;
    bool over;
};

static volatile sig_atomic_t asked_to_leave;

static void on_signal(int number)
{
    (void)number;
    asked_to_leave = 1;
}

/* Ctrl-C ends the watching, not the station: it makes a waiting read return. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT};
    struct sigaction leave = {.sa_handler = on_signal};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &leave, NULL);
}

static void take(struct watcher *w, char *error)
{
    const struct kl_wire_message *m = &w->message;

    if (m->kind == KL_WIRE_HELLO && kl_wire_is_foreign(&m->u.hello, error)) {
        w->over = true;
        w->exit = KL_EXIT_USAGE;
    } else if (m->kind == KL_WIRE_LOG && m->u.log.slot == KL_WIRE_BENCH) {
        printf("%s\n", m->u.log.text);
        fflush(stdout);
    } else if (m->kind == KL_WIRE_BYE) {
        snprintf(error, 256, "%s", m->u.bye.text);
        w->over = true;
        w->exit = m->u.bye.exit;
    }
}

static void take_lines(struct watcher *w, char *error)
{
    char *newline;

    while (!w->over && (newline = memchr(w->text, '\n', w->used))) {
        size_t size = (size_t)(newline - w->text);
        if (kl_wire_decode(w->text, size, &w->snap, &w->message))
            take(w, error);
        w->used -= size + 1;
        memmove(w->text, newline + 1, w->used);
    }
}

static void watch(struct watcher *w, const char *csv, char *error)
{
    while (!w->over && !asked_to_leave && w->used < KL_WIRE_LINE_MAX) {
        ssize_t n = read(w->fd, w->text + w->used, KL_WIRE_LINE_MAX - w->used);
        if (n <= 0)
            break;
        w->used += (size_t)n;
        take_lines(w, error);
    }
    if (w->over)
        return;
    if (asked_to_leave) {
        w->exit = KL_EXIT_OK;
        snprintf(error, 256, "The station goes on: keyline attach --csv-file %.160s", csv);
    } else {
        snprintf(error, 256, "the station is gone");
    }
}

int kl_dashboard_lines(const struct kl_dashboard_options *options, char error[256])
{
    struct watcher *w = calloc(1, sizeof *w);
    int status = KL_EXIT_USAGE;

    error[0] = '\0';
    if (!w || !(w->text = malloc(KL_WIRE_LINE_MAX)))
        abort();
    w->fd = kl_wire_connect(options->csv);
    if (w->fd < 0) {
        snprintf(error, 256, "no station works on %.90s: start one with keyline --csv-file %.90s",
                 options->csv, options->csv);
    } else {
        w->exit = KL_EXIT_FAILED;
        catch_signals();
        watch(w, options->csv, error);
        status = w->exit;
        close(w->fd);
    }
    free(w->text);
    free(w);
    return status;
}
