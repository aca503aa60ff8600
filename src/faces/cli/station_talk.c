#include "station_talk.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faces/stream/wire.h"

enum {
    LOOK_MS = 100,
};

struct station_talk {
    int fd;
    size_t size;
    struct kl_wire_message message;
    struct kl_snapshot snap;
    char text[KL_WIRE_LINE_MAX];
};

struct station_talk *station_ask(const char *csv, const struct kl_command *command)
{
    struct station_talk *t = calloc(1, sizeof *t);
    char *line = kl_wire_command(command);
    bool sent;

    if (t)
        t->fd = kl_wire_connect(csv);
    sent = t && line && t->fd >= 0 && write(t->fd, line, strlen(line)) == (ssize_t)strlen(line);
    free(line);
    if (sent)
        return t;
    station_leave(t);
    return NULL;
}

void station_leave(struct station_talk *t)
{
    if (t && t->fd >= 0)
        close(t->fd);
    free(t);
}

bool station_hear(struct station_talk *t)
{
    struct pollfd wait = {.fd = t->fd, .events = POLLIN};
    ssize_t n;

    if (poll(&wait, 1, LOOK_MS) <= 0)
        return true;
    if (t->size == sizeof t->text)
        t->size = 0; /* no line of interest is that long */
    n = read(t->fd, t->text + t->size, sizeof t->text - t->size);
    if (n > 0)
        t->size += (size_t)n;
    return n > 0;
}

/* Other lines are news for dashboards. */
bool station_refused(struct station_talk *t, char why[KL_TEXT_MAX])
{
    char *newline;
    bool refused = false;

    while (!refused && (newline = memchr(t->text, '\n', t->size))) {
        bool good = kl_wire_decode(t->text, (size_t)(newline - t->text), &t->snap, &t->message);
        if (good && t->message.kind == KL_WIRE_REFUSED) {
            kl_copy(why, KL_TEXT_MAX, t->message.u.text);
            refused = true;
        }
        if (good && t->message.kind == KL_WIRE_HELLO)
            refused = kl_wire_is_foreign(&t->message.u.hello, why);
        t->size -= (size_t)(newline + 1 - t->text);
        memmove(t->text, newline + 1, t->size);
    }
    return refused;
}
