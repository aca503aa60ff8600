/*
 * cli_keys_accept.c: `keyline keys accept`: a person says that the list of keys is right, which a
 * running station doubts since it changed.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_keys.h"
#include "faces/stream/wire.h"
#include "keyline/cli.h"

enum {
    PATIENCE_MS = 10 * 1000,
};

/* What the station says, line by line. */
struct talk {
    int fd;
    char text[KL_WIRE_LINE_MAX];
    size_t size;
    struct kl_snapshot snap;
    struct kl_wire_message message;
    bool has_snapshot;
    char refused[KL_TEXT_MAX];
};

static void take_line(struct talk *t, size_t size)
{
    if (!kl_wire_decode(t->text, size, &t->snap, &t->message))
        return;
    if (t->message.kind == KL_WIRE_SNAPSHOT)
        t->has_snapshot = true;
    else if (t->message.kind == KL_WIRE_REFUSED)
        kl_copy(t->refused, sizeof t->refused, t->message.u.text);
    else if (t->message.kind == KL_WIRE_HELLO)
        kl_wire_is_foreign(&t->message.u.hello, t->refused);
}

/* False once the station has hung up, or says nothing for long. */
static bool hear(struct talk *t)
{
    struct pollfd wait = {.fd = t->fd, .events = POLLIN};
    char *newline;
    ssize_t n;

    if (poll(&wait, 1, PATIENCE_MS) <= 0)
        return false;
    if (t->size == sizeof t->text)
        t->size = 0; /* no line of interest is that long */
    n = read(t->fd, t->text + t->size, sizeof t->text - t->size);
    if (n <= 0)
        return false;
    t->size += (size_t)n;
    while ((newline = memchr(t->text, '\n', t->size))) {
        take_line(t, (size_t)(newline - t->text));
        t->size -= (size_t)(newline + 1 - t->text);
        memmove(t->text, newline + 1, t->size);
    }
    return true;
}

static bool says_yes(void)
{
    char line[16];

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr, "Is it right as it is? [y/N] ");
    fflush(stderr);
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int refused(const char *why)
{
    fprintf(stderr, "keyline: not accepted: %s\n", why);
    return KL_EXIT_HELD;
}

/* The answer counts once the station asks this no longer. */
static int send_answer(struct talk *t)
{
    struct kl_command accept = {.kind = KL_CMD_ACCEPT};
    char *line;
    bool sent;

    kl_copy(accept.argument, sizeof accept.argument, t->snap.question);
    line = kl_wire_command(&accept);
    sent = line && write(t->fd, line, strlen(line)) == (ssize_t)strlen(line);
    free(line);
    while (sent && !t->refused[0] && strcmp(t->snap.question, accept.argument) == 0)
        sent = hear(t);
    if (t->refused[0] || !sent)
        return refused(t->refused[0] ? t->refused : "the station did not do it; see its events");
    printf("accepted\n");
    if (t->snap.question[0])
        printf("it also asks about this: %s\n", t->snap.asks);
    return t->snap.question[0] ? KL_EXIT_DOUBT : keys_printed();
}

static int answer(struct talk *t, const char *id)
{
    while (!t->has_snapshot && !t->refused[0])
        if (!hear(t))
            return refused("the station does not answer");
    if (t->refused[0])
        return refused(t->refused);
    if (!t->snap.question[0]) {
        printf("the station asks nothing about its list\n");
        return id ? KL_EXIT_INPUT : keys_printed();
    }
    if (id && strcmp(id, t->snap.question) != 0)
        return refused("it asks something else by now; look again without the number");
    fprintf(stderr, "%s\n", t->snap.asks);
    if (id || says_yes())
        return send_answer(t);
    fprintf(stderr,
            "no key leaves before that is answered. If it is right: keyline keys accept %s\n",
            t->snap.question);
    return KL_EXIT_DOUBT;
}

int keys_accept(const struct keys_args *a)
{
    struct talk *t = calloc(1, sizeof *t);
    int exit;

    if (!t)
        abort();
    t->fd = kl_wire_connect(a->csv);
    if (t->fd < 0) {
        fprintf(stderr,
                "keyline: no station of this user works on %s; its start asks what there is to "
                "ask\n",
                a->csv);
        exit = KL_EXIT_HELD;
    } else {
        exit = answer(t, a->question);
        close(t->fd);
    }
    free(t);
    return exit;
}
