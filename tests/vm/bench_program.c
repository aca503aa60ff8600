/* bench_program.c: see bench.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum {
    ASK_AGAIN_S = 10,
};

static void become(const struct bench *b, char **argv)
{
    gid_t user = b->want.user;
    if (b->want.user != 0 && (setgroups(1, &user) != 0 || setgid(user) != 0 || setuid(user) != 0))
        _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

bool bench_start_program(struct bench *b, char **argv)
{
    struct winsize size = {.ws_row = 40, .ws_col = 120};
    /* The station outlives its dashboard; it comes to us then. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    b->program = b->want.terminal ? forkpty(&b->terminal_fd, NULL, NULL, &size) : fork();
    if (b->program == 0)
        become(b, argv);
    if (b->terminal_fd >= 0)
        fcntl(b->terminal_fd, F_SETFL, O_NONBLOCK);
    return b->program > 0;
}

void bench_drain_terminal(struct bench *b)
{
    char bytes[4096];
    ssize_t n;
    while (b->terminal_fd >= 0 && (n = read(b->terminal_fd, bytes, sizeof bytes)) > 0)
        b->drawn += (unsigned)n;
}

static void type(const struct bench *b, const char *keys)
{
    if (write(b->terminal_fd, keys, strlen(keys)) < 0)
        perror("the terminal");
}

/* "q" asks whether to leave; "stop" answers: the station too. An answer that comes at once does not
   count. A second signal would make the station hurry. */
void bench_ask_to_end(struct bench *b, kl_us now)
{
    bool on_terminal = b->terminal_fd >= 0;

    if (on_terminal && b->asked_at != 0 && !b->answered && now - b->asked_at > KL_SEC(1)) {
        type(b, "stop\r");
        b->answered = true;
    }
    if (b->asked_at != 0 && (!on_terminal || now - b->asked_at < KL_SEC(ASK_AGAIN_S)))
        return;
    b->asked_at = now;
    b->answered = false;
    if (on_terminal)
        type(b, "q");
    else
        kill(b->program, SIGTERM);
}

bool bench_has_said(const struct bench *b, const char *one, const char *other)
{
    static char line[1 << 16];
    bool found = false;
    FILE *file = fopen(b->want.events, "r");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, one) != NULL && strstr(line, other) != NULL;
    if (file != NULL)
        fclose(file);
    return found;
}

static void take_status(struct bench *b, pid_t pid, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (pid == b->program) {
        b->ended = true;
        b->status = code;
        if (code != (int)b->want.status)
            bench_complain(b, "the program ended with another status than it should", "");
    } else if (b->want.terminal && code != 0) {
        bench_complain(b, "the station behind the dashboard did not end with 0", "");
    }
}

bool bench_program_is_over(struct bench *b)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        take_status(b, pid, status);
    return b->ended && (!b->want.terminal || (pid < 0 && errno == ECHILD));
}
