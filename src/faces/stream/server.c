/*
 * server.c: dashboards over a Unix socket. Each dashboard has a bounded buffer of lines to send. A
 * dashboard that reads too slowly, or not at all, loses log lines and gets a newer snapshot later;
 * nothing else notices.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faces/face_text.h"
#include "faces/faces.h"
#include "keyline/buffer.h"

enum {
    LOGS = KL_SLOTS_MAX + 1, /* one per slot and the bench's */
    LOG_LINES = 500,
    CLIENTS_MAX = 16,
    BUFFER_MAX = 1 << 20, /* a client that is further behind loses lines */
    PUBLISH_MS = 80,      /* at most 12 snapshots a second */
    FAREWELL_MS = 1000,   /* for last words to a client that does not read */
    REQUEST_MAX = 4096,
};

struct log {
    char *line[LOG_LINES];
    unsigned head, count;
};

struct client {
    struct server *server;
    uv_pipe_t pipe;
    uv_write_t write;
    struct kl_buffer waiting, leaving;
    bool writing, closing, due; /* due: it waits for a snapshot */
    uint64_t gap[LOGS];         /* lines that were left out */
    bool has_gap;
    struct kl_snapshot *sent;  /* the last snapshot it was sent; NULL = none yet */
    uint64_t in_doubt_version; /* the server's version when the list was sent */
    uint64_t results;          /* the server's count when the figures were sent */
    unsigned protocol;         /* 1 until its hello says otherwise */
    char operator_name[KL_NAME_MAX];
    char request[REQUEST_MAX];
    size_t request_size;
    struct client *next;
};

struct server {
    struct kl_shell *sh;
    struct kl_wire_hello hello;
    uv_pipe_t pipe;
    uv_timer_t timer;
    bool closing, for_group, build_stale;
    struct client *clients;
    unsigned client_count;
    struct log log[LOGS];
    struct kl_snapshot *now;
    struct kl_in_doubt in_doubt[KL_WIRE_IN_DOUBT_MAX];
    unsigned in_doubt_count;
    uint64_t in_doubt_version; /* of the snapshot that `in_doubt` belongs to */
    uint64_t published_at, farewell_at;
    struct kl_stats *stats;
    struct kl_stats_view figures;
    int64_t wall;     /* of the last result */
    uint64_t results; /* how many it was fed */
};

/* ---- to one client ---- */

static void close_client(struct client *c);
static void send_snapshot(struct client *c);

static void start_write(struct client *c);

static void send_gaps(struct client *c)
{
    for (unsigned i = 0; i < LOGS && c->has_gap; i++) {
        char *line = c->gap[i] ? kl_wire_log_gap(i, c->gap[i]) : NULL;
        if (line)
            kl_buffer_add(&c->waiting, line, strlen(line));
        free(line);
        c->gap[i] = 0;
    }
    c->has_gap = false;
}

static void on_written(uv_write_t *write, int status)
{
    struct client *c = write->data;

    c->writing = false;
    c->leaving.size = 0;
    if (status < 0) {
        close_client(c);
        return;
    }
    if (c->waiting.size == 0) {
        send_gaps(c);
        if (c->due)
            send_snapshot(c);
    }
    start_write(c);
}

static void start_write(struct client *c)
{
    struct kl_buffer empty = c->leaving;
    uv_buf_t buffer;

    if (c->writing || c->closing || c->waiting.size == 0)
        return;
    c->leaving = c->waiting;
    c->waiting = empty;
    c->writing = true;
    c->write.data = c;
    buffer = uv_buf_init(c->leaving.data, (unsigned)c->leaving.size);
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buffer, 1, on_written) != 0) {
        c->writing = false;
        close_client(c);
    }
}

/* Takes `line` over. False if there was no room. */
static bool send_line(struct client *c, char *line)
{
    size_t size = line ? strlen(line) : 0;
    bool room = c->waiting.size + size <= BUFFER_MAX;

    if (room && size > 0 && !c->closing) {
        kl_buffer_add(&c->waiting, line, size);
        start_write(c);
    }
    free(line);
    return room;
}

static void send_news(struct client *c)
{
    struct server *sv = c->server;
    char *line = kl_wire_snapshot(sv->now, c->sent);

    if (!c->sent)
        c->sent = malloc(sizeof *c->sent);
    KL_ASSERT(c->sent);
    *c->sent = *sv->now;
    send_line(c, line);
    if (c->in_doubt_version != sv->in_doubt_version)
        send_line(c, kl_wire_in_doubt(sv->in_doubt, sv->in_doubt_count));
    c->in_doubt_version = sv->in_doubt_version;
    if (c->results != sv->results) {
        kl_stats_look(sv->stats, sv->wall, &sv->figures);
        send_line(c, kl_wire_stats(&sv->figures));
    }
    c->results = sv->results;
}

/* Sends it only to a client that has read everything before: no two wait in a row. */
static void send_snapshot(struct client *c)
{
    c->due = c->writing || c->waiting.size > 0;
    if (!c->due)
        send_news(c);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data, **at = &c->server->clients;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->server->client_count--;
    kl_buffer_free(&c->waiting);
    kl_buffer_free(&c->leaving);
    free(c->sent);
    free(c);
}

static void close_client(struct client *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

/* ---- from one client ---- */

/* A dashboard with another protocol may show what it gets, but it can't command: its words may mean
   something else here. */
static bool may_command(const struct client *c, char error[KL_TEXT_MAX])
{
    if (c->protocol == KL_WIRE_PROTOCOL)
        return true;
    kl_format(error, KL_TEXT_MAX,
              "this dashboard speaks protocol %u, the station (keyline %s) %u: leave it and attach "
              "with the station's keyline",
              c->protocol, c->server->hello.version, (unsigned)KL_WIRE_PROTOCOL);
    return false;
}

static void take_request(struct client *c, const char *line, size_t size)
{
    struct kl_wire_request request;
    char error[KL_TEXT_MAX] = "";
    bool good = kl_wire_decode_request(line, size, &request, error);

    if (good && request.is_hello) {
        c->protocol = request.protocol;
        kl_copy(c->operator_name, sizeof c->operator_name, request.command.operator_name);
        good = may_command(c, error);
    } else if (good) {
        kl_copy(request.command.operator_name, sizeof request.command.operator_name,
                c->operator_name);
        good = may_command(c, error) && kl_shell_command(c->server->sh, &request.command, error);
    }
    if (!good)
        send_line(c, kl_wire_refused(error));
}

static void give_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    struct client *c = handle->data;

    (void)size;
    *buffer = uv_buf_init(c->request + c->request_size, (unsigned)(REQUEST_MAX - c->request_size));
}

static void on_input(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    char *at = c->request, *newline;

    (void)buffer;
    if (size < 0) {
        close_client(c);
        return;
    }
    c->request_size += (size_t)size;
    while (!c->closing && (newline = memchr(at, '\n', c->request_size))) {
        take_request(c, at, (size_t)(newline - at));
        c->request_size -= (size_t)(newline + 1 - at);
        at = newline + 1;
    }
    memmove(c->request, at, c->request_size);
    if (c->request_size == REQUEST_MAX)
        close_client(c);
}

/* ---- all clients ---- */

static void send_backlog(struct client *c)
{
    for (unsigned i = 0; i < LOGS; i++) {
        const struct log *l = &c->server->log[i];
        for (unsigned n = 0; n < l->count; n++) {
            unsigned at = (l->head + LOG_LINES - l->count + n) % LOG_LINES;
            if (!send_line(c, kl_wire_log(i, l->line[at]))) {
                c->gap[i]++;
                c->has_gap = true;
            }
        }
    }
}

/* Brings up to date what clients see. Looks for the keys in doubt only if they may have changed:
   there may be a million keys to look through. */
static void look(struct server *sv)
{
    kl_shell_look(sv->sh, sv->now);
    if (sv->now->in_doubt_version == sv->in_doubt_version)
        return;
    sv->in_doubt_version = sv->now->in_doubt_version;
    sv->in_doubt_count = kl_shell_in_doubt(sv->sh, sv->in_doubt, KL_WIRE_IN_DOUBT_MAX);
}

/* The system decides who may write to a socket that is open to a group. */
static bool may_talk(const struct server *sv, uv_pipe_t *pipe)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    uv_os_fd_t fd;

    return uv_fileno((uv_handle_t *)pipe, &fd) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (sv->for_group || peer.uid == geteuid() || peer.uid == 0);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct server *sv = stream->data;
    struct client *c = status == 0 ? calloc(1, sizeof *c) : NULL;

    if (!c)
        return;
    c->server = sv;
    uv_pipe_init(stream->loop, &c->pipe, 0);
    c->pipe.data = c;
    c->next = sv->clients;
    sv->clients = c;
    sv->client_count++;
    if (uv_accept(stream, (uv_stream_t *)&c->pipe) != 0 || sv->client_count > CLIENTS_MAX ||
        !may_talk(sv, &c->pipe)) {
        close_client(c);
        return;
    }
    uv_read_start((uv_stream_t *)&c->pipe, give_buffer, on_input);
    look(sv);
    send_line(c, kl_wire_hello(&sv->hello));
    c->in_doubt_version = UINT64_MAX; /* the list has not been sent yet */
    c->protocol = 1;
    send_news(c);
    if (sv->build_stale)
        send_line(c, kl_wire_build(true));
    send_backlog(c);
}

static void publish(uv_timer_t *timer)
{
    struct server *sv = timer->data;

    sv->published_at = uv_now(timer->loop);
    look(sv);
    for (struct client *c = sv->clients; c; c = c->next)
        if (!c->closing)
            send_snapshot(c);
}

static void on_changed(void *ctx)
{
    struct server *sv = ctx;
    uint64_t passed = uv_now(sv->timer.loop) - sv->published_at;

    if (!sv->clients || sv->closing || uv_is_active((uv_handle_t *)&sv->timer))
        return;
    uv_timer_start(&sv->timer, publish, passed >= PUBLISH_MS ? 1 : PUBLISH_MS - passed, 0);
}

void server_build_changed(struct server *sv, bool stale)
{
    sv->build_stale = stale;
    for (struct client *c = sv->clients; c; c = c->next)
        send_line(c, kl_wire_build(stale));
    kl_shell_note(sv->sh, stale ? "the images on disk are no longer the ones that are being flashed"
                                : "the images on disk are the ones that are being flashed");
}

/* ---- logs ---- */

static void add_line(struct server *sv, unsigned log, const char *text)
{
    struct log *l = &sv->log[log];

    free(l->line[l->head]);
    l->line[l->head] = strdup(text);
    KL_ASSERT(l->line[l->head]);
    l->head = (l->head + 1) % LOG_LINES;
    if (l->count < LOG_LINES)
        l->count++;
    for (struct client *c = sv->clients; c; c = c->next) {
        if (!send_line(c, kl_wire_log(log, text))) {
            c->gap[log]++;
            c->has_gap = true;
        }
    }
}

static void take_result(struct server *sv, const struct kl_noted *noted)
{
    struct kl_stats_result r = stats_result(noted);

    sv->wall = noted->wall;
    sv->results++;
    kl_stats_add(sv->stats, &r);
}

static void on_note(void *ctx, const struct kl_noted *noted)
{
    enum kl_note_kind kind = noted->note->kind;
    char text[1024], line[1200], time[16];

    if (kind == KL_NOTE_RESULT)
        take_result(ctx, noted);
    if (kind == KL_NOTE_LOG) {
        add_line(ctx, noted->note->slot, noted->note->text);
        return;
    }
    if (!note_line(noted->note, text, sizeof text))
        return;
    kl_clock_time(noted->wall, time);
    if (noted->note->slot != KL_BENCH) {
        snprintf(line, sizeof line, "-- %s %s", time, text);
        add_line(ctx, noted->note->slot, line);
    }
    if (kind != KL_NOTE_STATE && kind != KL_NOTE_CHIP) {
        snprintf(line, sizeof line, "%s %-12s %s", time, noted->slot_name, text);
        add_line(ctx, KL_WIRE_BENCH, line);
    }
}

/* ---- the whole ---- */

static void on_ending(void *ctx, int exit_status)
{
    struct server *sv = ctx;
    char text[512], bye[KL_TEXT_MAX];

    look(sv);
    kl_summary_text(sv->now, text, sizeof text);
    kl_copy(bye, sizeof bye, text);
    sv->closing = true;
    sv->farewell_at = uv_now(sv->timer.loop);
    uv_timer_stop(&sv->timer);
    for (struct client *c = sv->clients; c; c = c->next) {
        if (c->sent) /* what has changed since may be what the client waits for */
            send_news(c);
        send_line(c, kl_wire_bye(exit_status, bye));
    }
}

static bool on_busy(void *ctx)
{
    const struct server *sv = ctx;

    if (uv_now(sv->timer.loop) - sv->farewell_at > FAREWELL_MS)
        return false;
    for (const struct client *c = sv->clients; c; c = c->next)
        if (!c->closing && (c->writing || c->waiting.size > 0))
            return true;
    return false;
}

static const struct kl_listener listener = {
    .note = on_note,
    .changed = on_changed,
    .ending = on_ending,
    .busy = on_busy,
};

static void make_folder_of(const char *path)
{
    char folder[PATH_MAX];
    char *slash;

    kl_copy(folder, sizeof folder, path);
    slash = strrchr(folder, '/');
    if (!slash)
        return;
    *slash = '\0';
    mkdir(folder, 0700);
}

/* This station holds the CSV's lock, so a socket that is left over belongs to a dead station. */
static int listen_at(struct server *sv, const char *path)
{
    int rc;

    make_folder_of(path);
    unlink(path);
    rc = uv_pipe_bind(&sv->pipe, path);
    if (rc == 0 && chmod(path, sv->for_group ? 0660 : 0600) != 0)
        rc = -errno;
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&sv->pipe, 8, on_connection);
    return rc;
}

static bool listen_somewhere(struct server *sv, const char *csv, char error[KL_TEXT_MAX])
{
    char path[PATH_MAX];
    int rc = -ENOENT;

    for (unsigned i = 0; kl_wire_socket_path(csv, i, path, sizeof path); i++) {
        if (!path[0])
            continue;
        uv_pipe_init(kl_shell_loop(sv->sh), &sv->pipe, 0);
        sv->pipe.data = sv;
        rc = listen_at(sv, path);
        if (rc == 0)
            return true;
        uv_close((uv_handle_t *)&sv->pipe, NULL);
        uv_run(kl_shell_loop(sv->sh), UV_RUN_NOWAIT);
    }
    kl_format(error, KL_TEXT_MAX, "no place for the dashboard's socket beside %s: %s", csv,
              uv_strerror(rc));
    return false;
}

struct server *server_create(struct kl_shell *sh, const char *csv,
                             const struct kl_wire_hello *hello, char error[KL_TEXT_MAX])
{
    struct server *sv = calloc(1, sizeof *sv);

    KL_ASSERT(sv);
    sv->sh = sh;
    sv->for_group = kl_wire_is_socket(csv);
    sv->hello = *hello;
    sv->now = calloc(1, sizeof *sv->now);
    sv->stats = kl_stats_create();
    KL_ASSERT(sv->now && sv->stats);
    if (!listen_somewhere(sv, csv, error)) {
        kl_stats_free(sv->stats);
        free(sv->now);
        free(sv);
        return NULL;
    }
    uv_timer_init(kl_shell_loop(sh), &sv->timer);
    sv->timer.data = sv;
    kl_shell_listen(sh, &listener, sv);
    return sv;
}

void server_close(struct server *sv)
{
    uv_close((uv_handle_t *)&sv->pipe, NULL); /* it also unlinks the socket */
    uv_close((uv_handle_t *)&sv->timer, NULL);
    for (struct client *c = sv->clients; c; c = c->next)
        close_client(c);
}

void server_free(struct server *sv)
{
    KL_ASSERT(!sv->clients);
    for (unsigned i = 0; i < LOGS; i++)
        for (unsigned n = 0; n < LOG_LINES; n++)
            free(sv->log[i].line[n]);
    kl_stats_free(sv->stats);
    free(sv->now);
    free(sv);
}
