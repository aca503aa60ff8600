#include "keyline/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyline/buffer.h"
#include "keyline/reserve.h"

enum {
    LIMIT = 4 << 20
};

struct kl_sink {
    uv_loop_t *loop;
    uv_work_t work;
    int fd;
    bool owned, working, torn; /* torn: the last write ended inside a line */
    int error, told_error;
    struct kl_buffer waiting, leaving;
    uint64_t dropped;
    kl_sink_trouble_fn *trouble;
    void *ctx;
    char name[KL_PORT_MAX];
    char path[PATH_MAX]; /* "" = it may grow */
    uint64_t limit;
    unsigned kept;
};

struct kl_sink *kl_sink_create(uv_loop_t *loop, int fd, bool owned, const char *name,
                               kl_sink_trouble_fn *trouble, void *ctx)
{
    struct kl_sink *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->loop = loop;
    s->fd = fd;
    s->owned = owned;
    s->trouble = trouble;
    s->ctx = ctx;
    s->work.data = s;
    kl_copy(s->name, sizeof s->name, name);
    return s;
}

/* ---- on the worker ---- */

static bool write_all(struct kl_sink *s, const char *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = write(s->fd, data + done, size - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = s->fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            s->error = errno;
            s->torn |= done > 0;
            return false;
        }
    }
    return true;
}

static bool is_large(const struct kl_sink *s)
{
    struct stat open_one, named_one;

    return s->path[0] && fstat(s->fd, &open_one) == 0 && S_ISREG(open_one.st_mode) &&
           (uint64_t)open_one.st_size >= s->limit && stat(s->path, &named_one) == 0 &&
           open_one.st_dev == named_one.st_dev && open_one.st_ino == named_one.st_ino;
}

/* If anything goes wrong, the file just grows on. */
static void rotate(struct kl_sink *s)
{
    char from[PATH_MAX + 16], to[PATH_MAX + 16];
    int fd;

    for (unsigned i = s->kept; i-- > 0;) {
        snprintf(from, sizeof from, i > 0 ? "%s.%u" : "%s", s->path, i);
        snprintf(to, sizeof to, "%s.%u", s->path, i + 1);
        if (rename(from, to) != 0 && errno != ENOENT)
            return;
    }
    fd = open(s->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    dup3(fd, s->fd, O_CLOEXEC);
    close(fd);
    s->torn = false;
}

static void on_work(uv_work_t *work)
{
    struct kl_sink *s = work->data;

    if (is_large(s))
        rotate(s);
    s->error = kl_reserve_allows(s->fd, s->leaving.size) ? 0 : KL_RESERVE_KEPT;
    if (s->error != 0)
        return;
    if (s->torn && write_all(s, "\n", 1))
        s->torn = false;
    if (s->error == 0)
        write_all(s, s->leaving.data, s->leaving.size);
}

/* ---- on the loop ---- */

static void tell_trouble(struct kl_sink *s)
{
    char text[KL_TEXT_MAX] = "";

    if (s->error != s->told_error && s->trouble) {
        if (s->error)
            kl_format(text, sizeof text, "%s can't be written: %s", s->name,
                      kl_reserve_error(s->error));
        s->trouble(s->ctx, text);
    }
    s->told_error = s->error;
    if (s->dropped > 0 && s->trouble) {
        kl_format(text, sizeof text, "%s: %llu lines left out, because it is read too slowly",
                  s->name, (unsigned long long)s->dropped);
        s->dropped = 0;
        s->trouble(s->ctx, text);
    }
}

static void start(struct kl_sink *s);

static void on_worked(uv_work_t *work, int status)
{
    struct kl_sink *s = work->data;

    (void)status;
    s->working = false;
    s->leaving.size = 0;
    tell_trouble(s);
    start(s);
}

static void start(struct kl_sink *s)
{
    struct kl_buffer empty = s->leaving;

    if (s->working || s->waiting.size == 0)
        return;
    s->leaving = s->waiting;
    s->waiting = empty;
    s->working = true;
    uv_queue_work(s->loop, &s->work, on_work, on_worked);
}

void kl_sink_rotate(struct kl_sink *s, const char *path, uint64_t bytes, unsigned kept)
{
    KL_ASSERT(bytes > 0 && kept > 0);
    if (!kl_copy(s->path, sizeof s->path, path))
        s->path[0] = '\0';
    s->limit = bytes;
    s->kept = kept;
}

void kl_sink_write(struct kl_sink *s, const char *lines, size_t size)
{
    if (s->waiting.size + size > LIMIT) {
        s->dropped++;
        return;
    }
    kl_buffer_add(&s->waiting, lines, size);
    start(s);
}

bool kl_sink_busy(const struct kl_sink *s)
{
    return s->working;
}

bool kl_sink_free(struct kl_sink *s)
{
    if (!s)
        return true;
    if (s->working)
        return false;
    if (s->owned)
        close(s->fd);
    kl_buffer_free(&s->waiting);
    kl_buffer_free(&s->leaving);
    free(s);
    return true;
}
