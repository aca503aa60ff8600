/* tcp_stream.c: see tcp_stream.h. */
#include "tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "keyline/secret.h"

enum {
    LAST_ADDRESS_MS = 5000, /* time to connect if no other address is left */
    ADDRESS_MS = 2000,
    /* With these we notice after about 10 s, idle or not, that a peer vanished without a word. */
    KEEP_IDLE_S = 5,
    KEEP_INTERVAL_S = 2,
    KEEP_COUNT = 3,
    UNACKED_MS = 10000,
    SEND_BUFFER = 64 * 1024,
    PAUSE_MS = 20, /* so often we look at a flood */
};

uint64_t kl_tcp_flood_ms = 10000;

static void try_next(struct kl_tcp *t);

static void settle(struct kl_tcp *t)
{
    if (t->closing && t->busy == 0 && !t->over) {
        t->over = true;
        t->events->closed(t->owner);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    struct kl_tcp *t = handle->data;
    t->busy--;
    settle(t);
}

static void say_opened(struct kl_tcp *t, enum kl_open_result result, const char *why)
{
    char text[KL_TEXT_MAX];
    kl_format(text, sizeof text, "%s: %s", t->name, why);
    t->events->opened(t->owner, result, text);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct kl_tcp *t = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)t->rx, sizeof t->rx);
}

static void lose_because(struct kl_tcp *t, const char *why)
{
    char text[KL_TEXT_MAX];

    if (!t->connected || t->closing)
        return;
    t->connected = false;
    uv_timer_stop(&t->timer);
    uv_read_stop((uv_stream_t *)&t->socket);
    kl_format(text, sizeof text, "%s: %s", t->name, why);
    t->events->lost(t->owner, text);
}

static void lose(struct kl_tcp *t, int error)
{
    lose_because(t, error == UV_EOF ? "the connection was closed by the other end"
                                    : uv_strerror(error));
}

/* ---- floods ---- */

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

static void refill(struct kl_tcp *t)
{
    uint64_t now = uv_now(t->loop), passed = now - t->counted_at;

    t->counted_at = now;
    t->allowance += (int64_t)(passed > 10000 ? 10000 : passed) * t->rate / 1000;
    if (t->allowance > KL_TCP_BURST)
        t->allowance = KL_TCP_BURST;
    if (t->allowance > KL_TCP_BURST / 2)
        t->flood_since = 0;
}

static void read_on(uv_timer_t *timer)
{
    struct kl_tcp *t = timer->data;

    if (!t->connected || t->closing)
        return;
    refill(t);
    if (t->allowance < 0)
        uv_timer_start(&t->timer, read_on, PAUSE_MS, 0);
    else
        uv_read_start((uv_stream_t *)&t->socket, allocate, received);
}

static void count(struct kl_tcp *t, size_t size)
{
    char why[KL_TEXT_MAX];

    refill(t);
    t->allowance -= (int64_t)size;
    if (t->allowance >= 0 || !t->connected || t->closing)
        return;
    if (t->flood_since == 0)
        t->flood_since = t->counted_at;
    if (t->counted_at - t->flood_since >= kl_tcp_flood_ms) {
        kl_format(why, sizeof why,
                  "it sends without end, more than the %u kB/s of a serial port: what is there?",
                  (unsigned)(t->rate / 1000));
        lose_because(t, why);
        return;
    }
    uv_read_stop((uv_stream_t *)&t->socket);
    uv_timer_start(&t->timer, read_on, PAUSE_MS, 0);
}

void kl_tcp_limit(struct kl_tcp *t, uint32_t bytes_per_second)
{
    t->rate = bytes_per_second;
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct kl_tcp *t = stream->data;
    if (size < 0) {
        lose(t, (int)size);
    } else if (size > 0) {
        t->events->rx(t->owner, (const uint8_t *)buffer->base, (size_t)size);
        count(t, (size_t)size);
    }
}

static void set_options(struct kl_tcp *t)
{
    const int idle = KEEP_IDLE_S, interval = KEEP_INTERVAL_S, probes = KEEP_COUNT;
    const int send_buffer = SEND_BUFFER;
    const unsigned unacked = UNACKED_MS;
    uv_os_fd_t fd;
    uv_tcp_nodelay(&t->socket, 1);
    uv_tcp_keepalive(&t->socket, 1, (unsigned)idle);
    if (uv_fileno((const uv_handle_t *)&t->socket, &fd) != 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    /* More than any serial port has on its way, and so little that we soon see that a peer does not
       read. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof unacked);
}

static void attempt_closed(uv_handle_t *handle)
{
    struct kl_tcp *t = handle->data;
    t->busy--;
    t->socket_taken = false;
    if (t->closing)
        settle(t);
    else
        try_next(t);
}

static void attempt_failed(struct kl_tcp *t, int error)
{
    t->error = error;
    uv_timer_stop(&t->timer);
    if (!uv_is_closing((uv_handle_t *)&t->socket))
        uv_close((uv_handle_t *)&t->socket, attempt_closed);
}

static void connected(uv_connect_t *request, int status)
{
    struct kl_tcp *t = request->data;
    if (uv_is_closing((uv_handle_t *)&t->socket))
        return; /* we gave this attempt up: attempt_closed goes on */
    if (status != 0) {
        attempt_failed(t, status);
        return;
    }
    uv_timer_stop(&t->timer);
    set_options(t);
    t->connected = true;
    t->counted_at = uv_now(t->loop);
    uv_read_start((uv_stream_t *)&t->socket, allocate, received);
    t->events->opened(t->owner, KL_OPEN_OK, "");
}

static void attempt_timed_out(uv_timer_t *timer)
{
    attempt_failed(timer->data, UV_ETIMEDOUT);
}

static void try_next(struct kl_tcp *t)
{
    struct addrinfo *address = t->next;
    if (!address) {
        bool ours = t->error == UV_EMFILE || t->error == UV_ENFILE || t->error == UV_ENOMEM;
        say_opened(t, ours ? KL_OPEN_ERROR : KL_OPEN_ABSENT, uv_strerror(t->error));
        return;
    }
    t->next = address->ai_next;
    uv_tcp_init(t->loop, &t->socket);
    t->socket.data = t;
    t->socket_taken = true;
    t->busy++;
    t->connect.data = t;
    int error = uv_tcp_connect(&t->connect, &t->socket, address->ai_addr, connected);
    if (error != 0)
        attempt_failed(t, error);
    else
        uv_timer_start(&t->timer, attempt_timed_out, !t->next ? LAST_ADDRESS_MS : ADDRESS_MS, 0);
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct kl_tcp *t = request->data;
    t->busy--;
    if (t->closing) {
        uv_freeaddrinfo(found);
        settle(t);
        return;
    }
    t->found = found;
    t->next = found;
    if (status != 0)
        say_opened(t, KL_OPEN_ABSENT, uv_strerror(status));
    else
        try_next(t);
}

static void look_up_failed(uv_timer_t *timer)
{
    struct kl_tcp *t = timer->data;
    say_opened(t, KL_OPEN_ERROR, uv_strerror(t->error));
}

void kl_tcp_init(struct kl_tcp *t, uv_loop_t *loop, const struct kl_tcp_events *events, void *owner)
{
    memset(t, 0, sizeof *t);
    t->loop = loop;
    t->events = events;
    t->owner = owner;
    t->rate = KL_TCP_RATE;
    t->allowance = KL_TCP_BURST;
    uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    t->busy = 1;
}

void kl_tcp_open(struct kl_tcp *t, const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    kl_format(t->name, sizeof t->name, "%s:%s", host, port);
    t->resolve.data = t;
    t->error = uv_getaddrinfo(t->loop, &t->resolve, resolved, host, port, &hints);
    if (t->error == 0)
        t->busy++;
    else
        uv_timer_start(&t->timer, look_up_failed, 0, 0);
}

struct kl_tcp_write *kl_tcp_write_new(size_t capacity, bool secret)
{
    size_t size = sizeof(struct kl_tcp_write) + capacity;
    struct kl_tcp_write *w = secret ? kl_secret_alloc(size) : malloc(size);
    if (w) {
        memset(w, 0, sizeof *w);
        w->secret = secret ? size : 0;
    }
    return w;
}

static void free_write(struct kl_tcp_write *w)
{
    if (w->secret > 0)
        kl_secret_free(w, w->secret);
    else
        free(w);
}

static void written(uv_write_t *request, int status)
{
    struct kl_tcp_write *w = request->data;
    struct kl_tcp *t = w->stream;
    t->unsent--;
    t->unsent_bytes -= w->size;
    free_write(w);
    if (status != 0)
        lose(t, status);
    else if (t->unsent == 0 && t->connected && !t->closing)
        t->events->drained(t->owner);
}

bool kl_tcp_write(struct kl_tcp *t, struct kl_tcp_write *w)
{
    uv_buf_t buffer = uv_buf_init((char *)w->data, (unsigned)w->size);
    w->stream = t;
    w->request.data = w;
    if (!t->connected ||
        uv_write(&w->request, (uv_stream_t *)&t->socket, &buffer, 1, written) != 0) {
        free_write(w);
        return false;
    }
    t->unsent++;
    t->unsent_bytes += buffer.len;
    return true;
}

void kl_tcp_close(struct kl_tcp *t)
{
    t->closing = true;
    t->connected = false;
    uv_cancel((uv_req_t *)&t->resolve); /* fails if it runs or is over; it ends anyway */
    uv_close((uv_handle_t *)&t->timer, handle_closed);
    if (t->socket_taken && !uv_is_closing((uv_handle_t *)&t->socket))
        uv_close((uv_handle_t *)&t->socket, attempt_closed);
    uv_freeaddrinfo(t->found);
    t->found = NULL;
    t->next = NULL;
}
