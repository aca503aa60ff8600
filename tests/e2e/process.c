/* process.c: child processes with all their output, each wait bounded. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "e2e.h"

enum {
    PROCESSES_MAX = 64
};

static struct process *running[PROCESSES_MAX];

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void check_failed(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
        if (!running[i])
            continue;
        fprintf(stderr, "--- output of process %d\n%s--- its errors\n%s", (int)running[i]->pid,
                running[i]->text[0] ? running[i]->text[0] : "",
                running[i]->text[1] ? running[i]->text[1] : "");
        kill(running[i]->pid, SIGKILL);
    }
    exit(1);
}

static void remember(struct process *p, bool there)
{
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
        if (running[i] == (there ? NULL : p)) {
            running[i] = there ? p : NULL;
            return;
        }
    }
    CHECK(!there, "too many processes");
}

void start(struct process *p, const char *const *words)
{
    int in[2], out[2], err[2];

    *p = (struct process){.status = -1};
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0,
          "pipe: %s", strerror(errno));
    p->pid = fork();
    CHECK(p->pid >= 0, "fork: %s", strerror(errno));
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execv(words[0], (char *const *)(size_t)words);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    p->in = in[1];
    p->out = out[0];
    p->err = err[0];
    for (unsigned i = 0; i < 2; i++)
        p->text[i] = calloc(1, 1);
    remember(p, true);
}

static void take_output(struct process *p, unsigned which, int *fd)
{
    char chunk[65536];
    ssize_t n = read(*fd, chunk, sizeof chunk);

    if (n <= 0) {
        close(*fd);
        *fd = -1;
        return;
    }
    p->text[which] = realloc(p->text[which], p->size[which] + (size_t)n + 1);
    CHECK(p->text[which], "out of memory");
    memcpy(p->text[which] + p->size[which], chunk, (size_t)n);
    p->size[which] += (size_t)n;
    p->text[which][p->size[which]] = '\0';
}

/* False once both ends are closed. */
static bool look(struct process *p, double until)
{
    struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
    double left = until - now();

    if (p->out < 0 && p->err < 0)
        return false;
    CHECK(left > 0, "process %d took longer than %d s", (int)p->pid, PATIENCE_S);
    poll(fds, 2, (int)(left * 1000) + 1);
    if (fds[0].revents)
        take_output(p, 0, &p->out);
    if (fds[1].revents)
        take_output(p, 1, &p->err);
    return true;
}

int finish(struct process *p)
{
    double until = now() + PATIENCE_S;
    int status;

    while (look(p, until)) {
    }
    CHECK(waitpid(p->pid, &status, 0) == p->pid, "waitpid: %s", strerror(errno));
    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close(p->in);
    return p->status;
}

const char *wait_for(struct process *p, const char *text)
{
    static char line[65536];
    double until = now() + PATIENCE_S;

    for (;;) {
        char *at = p->text[0] + p->looked, *end;
        while ((end = strchr(at, '\n'))) {
            size_t size = (size_t)(end - at);
            CHECK(size < sizeof line, "a very long line");
            memcpy(line, at, size);
            line[size] = '\0';
            p->looked += size + 1;
            at = end + 1;
            if (strstr(line, text))
                return line;
        }
        CHECK(look(p, until), "it ended without saying: %s", text);
    }
}

void say(struct process *p, const char *line)
{
    size_t size = strlen(line);

    CHECK(write(p->in, line, size) == (ssize_t)size, "write: %s", strerror(errno));
}

void forget(struct process *p)
{
    if (p->pid == 0)
        return;
    if (p->status < 0) {
        kill(p->pid, SIGKILL);
        finish(p);
    }
    remember(p, false);
    free(p->text[0]);
    free(p->text[1]);
    *p = (struct process){0};
}
