/*
 * hook.c: --on-result CMD and --power-hook CMD: a shell command per result, or per board whose
 * socket is to be switched, with the event as one line of JSON on its standard input. It can't slow
 * a board: a few commands run at a time, each for ten seconds at most, and a failure is only told.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faces/faces.h"

enum {
    RUNNING_MAX = 4,
    WAITING_MAX = 1000,
    LIMIT_MS = 10 * 1000,
    ERROR_MAX = 200,
};

struct run {
    struct hook *hook;
    char *json; /* NULL: slot not in use */
    char label[KL_LABEL_MAX + 1];
    uv_process_t process;
    uv_pipe_t in, err;
    uv_timer_t limit;
    uv_write_t write;
    unsigned open_handles;
    bool spawned, exited, late;
    int64_t status;
    int signal;
    char error[ERROR_MAX]; /* the beginning of the command's standard error */
    size_t error_size;
};

struct waiting {
    char *json;
    char label[KL_LABEL_MAX + 1];
    struct waiting *next;
};

struct hook {
    struct kl_shell *sh;
    enum kl_note_kind kind; /* runs for notes of this kind */
    const char *option;
    char *command;
    struct run run[RUNNING_MAX];
    unsigned running;
    struct waiting *first, **end;
    unsigned count;
};

static void start_next(struct hook *h);

/* ---- one run ---- */

static void tell_failure(struct run *r)
{
    char text[KL_TEXT_MAX], how[64];

    if (r->late)
        kl_copy(how, sizeof how, "took longer than 10 s and was stopped");
    else if (!r->spawned)
        kl_format(how, sizeof how, "can't be started: %s", uv_strerror((int)r->status));
    else if (r->signal)
        kl_format(how, sizeof how, "died of signal %d", r->signal);
    else
        kl_format(how, sizeof how, "ended with status %d", (int)r->status);
    r->error[r->error_size] = '\0';
    r->error[strcspn(r->error, "\r\n")] = '\0';
    for (char *c = r->error; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    kl_format(text, sizeof text, "%s for %s %s%s%s", r->hook->option, r->label, how,
              r->error[0] ? ": " : "", r->error);
    kl_shell_note(r->hook->sh, text);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct run *r = handle->data;
    struct hook *h = r->hook;

    if (--r->open_handles > 0)
        return;
    if (r->late || !r->spawned || r->status != 0 || r->signal != 0)
        tell_failure(r);
    free(r->json);
    r->json = NULL;
    h->running--;
    start_next(h);
}

static void close_run(struct run *r)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&r->process, (uv_handle_t *)&r->in,
                              (uv_handle_t *)&r->err, (uv_handle_t *)&r->limit};

    for (size_t i = 0; i < 4; i++)
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], on_handle_closed);
}

/* The command's last words may still be in the pipe. */
static void read_last_words(struct run *r)
{
    uv_os_fd_t fd;
    ssize_t n;

    if (uv_fileno((uv_handle_t *)&r->err, &fd) != 0 || r->error_size >= ERROR_MAX - 1)
        return;
    n = read(fd, r->error + r->error_size, ERROR_MAX - 1 - r->error_size);
    if (n > 0)
        r->error_size += (size_t)n;
}

static void on_exited(uv_process_t *process, int64_t status, int signal)
{
    struct run *r = process->data;

    r->status = status;
    r->signal = signal;
    read_last_words(r);
    close_run(r);
}

/* Kills the command's process group, so that its children go too. */
static void on_limit(uv_timer_t *timer)
{
    struct run *r = timer->data;

    r->late = true;
    kill(-r->process.pid, SIGKILL);
    uv_process_kill(&r->process, SIGKILL);
}

static void give_error_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    static char rest[1024];
    struct run *r = handle->data;
    size_t room = ERROR_MAX - 1 - r->error_size;

    (void)size;
    *buffer = room ? uv_buf_init(r->error + r->error_size, (unsigned)room)
                   : uv_buf_init(rest, sizeof rest);
}

static void on_error_text(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct run *r = stream->data;

    if (size < 0)
        uv_read_stop(stream);
    else if (buffer->base == r->error + r->error_size && r->error_size < ERROR_MAX - 1)
        r->error_size += (size_t)size;
}

static void on_written(uv_write_t *write, int status)
{
    struct run *r = write->data;

    (void)status; /* a command may choose not to read */
    if (!uv_is_closing((uv_handle_t *)&r->in)) {
        uv_close((uv_handle_t *)&r->in, on_handle_closed);
    }
}

static void init_handles(struct run *r)
{
    uv_loop_t *loop = kl_shell_loop(r->hook->sh);

    uv_pipe_init(loop, &r->in, 0);
    uv_pipe_init(loop, &r->err, 0);
    uv_timer_init(loop, &r->limit);
    r->in.data = r->err.data = r->limit.data = r->process.data = r;
    r->open_handles = 4;
}

static int spawn(struct run *r)
{
    char *args[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, r->hook->command, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&r->in},
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->err},
    };
    uv_process_options_t options = {
        .exit_cb = on_exited,
        .file = "/bin/sh",
        .args = args,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };

    return uv_spawn(kl_shell_loop(r->hook->sh), &r->process, &options);
}

static void start_run(struct run *r)
{
    uv_buf_t buffer;
    int rc;

    init_handles(r);
    rc = spawn(r);
    r->process.data = r;
    if (rc != 0) {
        r->status = rc;
        close_run(r);
        return;
    }
    r->spawned = true;
    r->write.data = r;
    buffer = uv_buf_init(r->json, (unsigned)strlen(r->json));
    uv_timer_start(&r->limit, on_limit, LIMIT_MS, 0);
    uv_read_start((uv_stream_t *)&r->err, give_error_buffer, on_error_text);
    if (uv_write(&r->write, (uv_stream_t *)&r->in, &buffer, 1, on_written) != 0)
        on_written(&r->write, 0);
}

/* ---- the queue ---- */

static struct run *free_run(struct hook *h)
{
    for (unsigned i = 0; i < RUNNING_MAX; i++)
        if (!h->run[i].json)
            return &h->run[i];
    return NULL;
}

static void start_next(struct hook *h)
{
    struct waiting *w = h->first;
    struct run *r = w ? free_run(h) : NULL;

    if (!r)
        return;
    h->first = w->next;
    if (!h->first)
        h->end = &h->first;
    h->count--;
    h->running++;
    memset(r, 0, sizeof *r);
    r->hook = h;
    r->json = w->json;
    kl_copy(r->label, sizeof r->label, w->label);
    free(w);
    start_run(r);
}

static char *json_line(const struct kl_noted *noted)
{
    json_t *o = event_object(noted);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    size_t size = text ? strlen(text) : 0;
    char *line = text ? realloc(text, size + 2) : NULL;

    json_decref(o);
    KL_ASSERT(line);
    memcpy(line + size, "\n", 2);
    return line;
}

static void on_note(void *ctx, const struct kl_noted *noted)
{
    struct hook *h = ctx;
    const struct kl_attempt *t = noted->note->attempt;
    struct waiting *w;

    if (noted->note->kind != h->kind)
        return;
    if (h->count >= WAITING_MAX) {
        char text[KL_TEXT_MAX];
        kl_format(text, sizeof text, "%s is too slow: %s was not handed to it", h->option,
                  noted->slot_name);
        kl_shell_note(h->sh, text);
        return;
    }
    w = calloc(1, sizeof *w);
    KL_ASSERT(w);
    w->json = json_line(noted);
    kl_copy(w->label, sizeof w->label, t && t->label[0] ? t->label : noted->slot_name);
    *h->end = w;
    h->end = &w->next;
    h->count++;
    start_next(h);
}

static bool on_busy(void *ctx)
{
    return ((struct hook *)ctx)->running > 0;
}

static const struct kl_listener listener = {
    .note = on_note,
    .busy = on_busy,
};

struct hook *hook_create(struct kl_shell *sh, const char *option, const char *command,
                         enum kl_note_kind kind)
{
    struct hook *h = calloc(1, sizeof *h);

    KL_ASSERT(h);
    h->sh = sh;
    h->kind = kind;
    h->option = option;
    h->command = strdup(command);
    KL_ASSERT(h->command);
    h->end = &h->first;
    kl_shell_listen(sh, &listener, h);
    return h;
}

bool hook_free(struct hook *h)
{
    if (!h)
        return true;
    if (h->running > 0)
        return false;
    while (h->first) {
        struct waiting *next = h->first->next;
        free(h->first->json);
        free(h->first);
        h->first = next;
    }
    free(h->command);
    free(h);
    return true;
}
