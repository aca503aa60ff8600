/*
 * link_serial.c: a serial device on this machine (docs/serial.md).
 *
 * Data moves on the loop, without blocking. A call that asks the adapter something (opening, lines,
 * rate, closing) can block for seconds when the adapter is frozen. So it runs on a thread of its
 * own, one job at a time (serial_job.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "link_private.h"
#include "serial_job.h"
#include "serial_ops.h"

enum {
    OPEN_TRIES = 10, /* a device node just plugged in gets its rights a moment later */
    OPEN_AGAIN_MS = 100,
    DRAIN_MS = 1,
    STUCK_MS = 3000, /* output that does not shrink for so long never will */
    READS = 16,      /* reads before other links have their turn */
};

struct serial_link {
    struct kl_link base;
    const struct kl_serial_ops *ops;
    char path[KL_PORT_MAX];
    struct kl_serial_device device;
    uint32_t baud;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned parts;  /* handles not closed yet */
    bool opened;     /* `device` is open */
    bool poll_taken; /* `poll` is initialised */
    bool listening, listening_writable;
    unsigned tries;

    struct kl_serial_job job;
    bool working;
    int job_result;
    enum kl_open_result open_result;
    bool open_again;
    char open_text[KL_TEXT_MAX];

    int drain_left;
    uint64_t drain_since;
    uint8_t rx[4096];
};

static void start_closing(struct serial_link *s);
static void start_opening(struct serial_link *s);

/* ---- reading and writing ---- */

static void lose(struct serial_link *s, const char *why)
{
    char text[KL_TEXT_MAX];
    uv_poll_stop(&s->poll);
    uv_timer_stop(&s->timer);
    kl_format(text, sizeof text, "%s: %s", s->path, why);
    kl_link_lost(&s->base, text);
}

/* False when the device is gone: an end of file, or an error. `hung_up`: no poll comes after this
   one, so read all that is left; silence is the end. */
static bool read_all(struct serial_link *s, bool hung_up)
{
    for (unsigned i = 0; (hung_up || i < READS) && kl_link_live(&s->base); i++) {
        ssize_t n = s->ops->read(s->device.fd, s->rx, sizeof s->rx);
        if (n > 0)
            kl_link_rx(&s->base, s->rx, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno == EAGAIN && !hung_up)
            return true;
        else if (n <= 0)
            return false;
    }
    return true;
}

static void poll_ready(uv_poll_t *poll, int status, int events);

static void listen_for(struct serial_link *s, bool writable)
{
    if (s->listening && s->listening_writable == writable)
        return;
    s->listening = true;
    s->listening_writable = writable;
    uv_poll_start(&s->poll, UV_READABLE | UV_DISCONNECT | (writable ? UV_WRITABLE : 0), poll_ready);
}

static void write_more(struct serial_link *s, struct kl_link_op *op)
{
    while (op->sent < op->size) {
        ssize_t n = s->ops->write(s->device.fd, op->data + op->sent, op->size - op->sent);
        if (n > 0) {
            op->sent += (size_t)n;
        } else if (n == 0 || errno == EAGAIN) {
            listen_for(s, true);
            return;
        } else if (errno != EINTR) {
            lose(s, uv_strerror(-errno));
            return;
        }
    }
    listen_for(s, false);
    kl_link_op_done(&s->base, true);
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    struct serial_link *s = poll->data;
    bool hung_up = status < 0 || (events & UV_DISCONNECT) != 0;
    if ((hung_up || (events & UV_READABLE) != 0) && !read_all(s, hung_up)) {
        lose(s, "the device is gone");
        return;
    }
    if ((events & UV_WRITABLE) == 0 || !kl_link_live(&s->base))
        return;
    struct kl_link_op *op = s->base.first;
    if (op && s->base.begun && op->kind == KL_IO_WRITE)
        write_more(s, op);
    else
        listen_for(s, false);
}

/* ---- requests that ask the adapter ---- */

static void job_io(void *ctx)
{
    struct serial_link *s = ctx;
    const struct kl_link_op *op = s->base.first;
    if (op->kind == KL_IO_LINES)
        s->job_result = s->ops->lines(&s->device, op->dtr, op->rts);
    else
        s->job_result = s->ops->baud(&s->device, op->baud);
}

static void io_over(void *ctx)
{
    struct serial_link *s = ctx;
    s->working = false;
    if (s->base.closing) {
        start_closing(s);
        return;
    }
    if (!s->base.lost)
        kl_link_op_done(&s->base, s->job_result == 0);
}

static void run_job(struct serial_link *s, void (*run)(void *ctx), void (*over)(void *ctx))
{
    KL_ASSERT(!s->working);
    s->working = true;
    kl_serial_job_start(&s->job, run, over);
}

/* Waits on the loop until the driver holds no more output. A wait in the driver would have no end
   on a frozen adapter. */
static void drain(uv_timer_t *timer)
{
    struct serial_link *s = timer->data;
    int left = s->ops->unsent(s->device.fd);
    uint64_t now = uv_now(s->base.loop);
    if (left <= 0) {
        run_job(s, job_io, io_over);
        return;
    }
    if (left < s->drain_left) {
        s->drain_left = left;
        s->drain_since = now;
    }
    if (now - s->drain_since < STUCK_MS)
        uv_timer_start(&s->timer, drain, DRAIN_MS, 0);
    else
        kl_link_op_done(&s->base, false);
}

static void begin(struct kl_link *link, struct kl_link_op *op)
{
    struct serial_link *s = (struct serial_link *)link;
    if (op->kind == KL_IO_WRITE) {
        write_more(s, op);
    } else {
        s->drain_left = INT32_MAX;
        s->drain_since = uv_now(link->loop);
        drain(&s->timer);
    }
}

/* ---- opening ---- */

static void job_open(void *ctx)
{
    struct serial_link *s = ctx;
    s->open_text[0] = '\0';
    s->open_again = false;
    s->open_result = s->ops->open(s->path, s->baud, &s->device, s->open_text, &s->open_again);
}

static void open_again(uv_timer_t *timer)
{
    start_opening(timer->data);
}

static void open_over(void *ctx)
{
    struct serial_link *s = ctx;
    s->working = false;
    s->opened = s->open_result == KL_OPEN_OK;
    if (s->base.closing) {
        start_closing(s);
        return;
    }
    if (s->open_again && ++s->tries < OPEN_TRIES) {
        uv_timer_start(&s->timer, open_again, OPEN_AGAIN_MS, 0);
        return;
    }
    int error = s->opened ? uv_poll_init(s->base.loop, &s->poll, s->device.fd) : 0;
    if (error != 0) {
        kl_link_opened(&s->base, KL_OPEN_ERROR, uv_strerror(error));
        return;
    }
    if (s->opened) {
        s->poll.data = s;
        s->poll_taken = true;
        s->parts++;
        listen_for(s, false);
    }
    kl_link_opened(&s->base, s->open_result, s->open_text);
}

static void start_opening(struct serial_link *s)
{
    run_job(s, job_open, open_over);
}

static void open_link(struct kl_link *link)
{
    start_opening((struct serial_link *)link);
}

/* ---- closing ---- */

static void part_closed(uv_handle_t *handle)
{
    struct serial_link *s = handle->data;
    if (--s->parts == 0)
        kl_link_closed(&s->base);
}

static void close_rest(struct serial_link *s)
{
    kl_serial_job_close(&s->job, part_closed);
    uv_close((uv_handle_t *)&s->timer, part_closed);
}

static void job_close(void *ctx)
{
    struct serial_link *s = ctx;
    s->ops->close(&s->device);
}

static void close_over(void *ctx)
{
    close_rest(ctx);
}

/* The poll closes before the descriptor, because another file may get the descriptor's number at
   once. Timer and job close last, and `parts` is above zero until then. */
static void start_closing(struct serial_link *s)
{
    if (s->poll_taken)
        uv_close((uv_handle_t *)&s->poll, part_closed);
    if (s->opened)
        run_job(s, job_close, close_over);
    else
        close_rest(s);
}

static void close_link(struct kl_link *link)
{
    struct serial_link *s = (struct serial_link *)link;
    uv_timer_stop(&s->timer);
    if (!s->working)
        start_closing(s);
    else if (s->poll_taken)
        uv_poll_stop(&s->poll); /* the end of the running job goes on with closing */
}

static const struct kl_link_class class = {.open = open_link, .begin = begin, .close = close_link};

struct kl_link *kl_link_serial_create(uv_loop_t *loop, const char *path, uint32_t baud,
                                      const struct kl_serial_ops *ops,
                                      const struct kl_link_events *events, void *ctx)
{
    struct serial_link *s = kl_link_new(sizeof *s, &class, loop, events, ctx);
    if (!s)
        return NULL;
    kl_copy(s->path, sizeof s->path, path);
    s->ops = ops;
    s->baud = baud;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    kl_serial_job_init(&s->job, loop, s);
    s->parts = 2;
    return &s->base;
}
