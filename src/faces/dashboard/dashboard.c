/*
 * dashboard.c: the dashboard's process: a socket to the station, a terminal, and a frame at most 15
 * times a second, only when something changed.
 *
 * A child does the work, so that its parent can put the terminal right even after kill -9.
 */
#include "dashboard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "faces/stream/wire.h"
#include "keyline/cli.h"
#include "story.h"
#include "terminal.h"
#include "view.h"

enum {
    FRAME_MS = 67,       /* at most 15 frames a second, */
    PACE = 10,           /* at most about so many bytes per ms, */
    FRAME_MS_MAX = 1000, /* but at least one frame in so long */
    AGAIN_MS = 300,
    LOG_LINES = 2000,
};

struct dashboard {
    const struct kl_dashboard_options *options;
    uv_loop_t loop;
    uv_poll_t keys;
    uv_signal_t resize, hangup, terminate, interrupt, quit;
    uv_timer_t frame, clock, again, held, words;
    uv_pipe_t socket;
    bool socket_open, connected_once, frame_due, ended, said_bye;
    unsigned path_tried; /* which socket path is tried next */
    int64_t since;       /* wall clock: when the station began */
    uint64_t gives_up_at, drawn_at, snap_at, pause;
    int exit;
    char *input;
    size_t input_used;
    struct kl_snapshot snap; /* as the station sent it */
    struct kl_model model;
    struct kl_view view;
    struct kl_input typed;
    struct kl_grid grid, on_screen;
    char last_words[256];
};

static void connect_station(struct dashboard *d);

/* ---- frames ---- */

static bool is_moving(const struct kl_snapshot *s)
{
    for (unsigned i = 0; i < s->slot_count; i++)
        if (s->slot[i].state != KL_ST_EMPTY && s->slot[i].state != KL_ST_DONE &&
            s->slot[i].state != KL_ST_SKIPPED &&
            !(s->slot[i].state == KL_ST_FAILED && s->slot[i].retry_at == KL_NEVER))
            return true;
    return false;
}

static void swap(struct kl_grid *a, struct kl_grid *b)
{
    struct kl_grid was = *a;

    *a = *b;
    *b = was;
}

static kl_us clock_now(void)
{
    return (kl_us)(uv_hrtime() / 1000);
}

static void draw(uv_timer_t *timer);
static void second_passed(uv_timer_t *timer);

static void format_uptime(int64_t seconds, char *out, size_t size)
{
    long long s = seconds > 0 ? (long long)seconds : 0;

    snprintf(out, size, "%lld:%02lld h", s / 3600, s / 60 % 60);
}

static void draw_after(struct dashboard *d, uint64_t pause)
{
    uint64_t passed = uv_now(&d->loop) - d->drawn_at;

    d->frame_due = true;
    uv_timer_start(&d->frame, draw, passed >= pause ? 1 : pause - passed, 0);
}

/* Only the wall shows the time of day. */
static void set_clocks(struct dashboard *d)
{
    time_t now = time(NULL);
    int64_t up = (int64_t)now - d->since / 1000000;
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(d->model.clock, sizeof d->model.clock, "%H:%M", &tm);
    format_uptime(up, d->model.uptime, sizeof d->model.uptime);
}

static void draw(uv_timer_t *timer)
{
    struct dashboard *d = timer->data;
    uint64_t passed = uv_now(&d->loop) - d->snap_at;

    d->frame_due = false;
    d->drawn_at = uv_now(&d->loop);
    d->model.snap = d->snap;
    d->model.snap.at += (kl_us)passed * 1000;
    d->model.connected = d->socket_open;
    d->view.now = clock_now();
    set_clocks(d);
    kl_view_follow(&d->view, &d->model);
    kl_view_draw(&d->model, &d->view, &d->grid);
    d->pause = kl_grid_cost(&d->on_screen, &d->grid) / PACE;
    d->pause = d->pause < FRAME_MS ? FRAME_MS : d->pause < FRAME_MS_MAX ? d->pause : FRAME_MS_MAX;
    kl_term_draw(&d->grid);
    d->view.now = clock_now();
    kl_view_is_on_screen(&d->view);
    if (d->view.message[0] && d->view.now < d->view.message_until)
        uv_timer_start(&d->words, second_passed,
                       (uint64_t)(d->view.message_until - d->view.now) / 1000 + 1, 0);
    swap(&d->grid, &d->on_screen);
}

static void changed(struct dashboard *d)
{
    if (!d->frame_due && !d->ended)
        draw_after(d, d->pause);
}

/* The operator sees at once what he does, however much the boards do. */
static void touched(struct dashboard *d)
{
    if (!d->ended)
        draw_after(d, FRAME_MS);
}

static void second_passed(uv_timer_t *timer)
{
    changed(timer->data);
}

/* Draws every second while something moves, or on the wall, which has a clock. A bench at rest
   costs nothing. */
static void run_clock(struct dashboard *d)
{
    bool moving = is_moving(&d->snap) || d->view.screen == KL_SCREEN_WALL;

    if (moving && !uv_is_active((uv_handle_t *)&d->clock))
        uv_timer_start(&d->clock, second_passed, 1000, 1000);
    else if (!moving)
        uv_timer_stop(&d->clock);
}

static void new_size(struct dashboard *d)
{
    int rows, cols;

    kl_term_size(&rows, &cols);
    kl_grid_finish(&d->grid);
    kl_grid_finish(&d->on_screen);
    if (!kl_grid_init(&d->grid, rows, cols) || !kl_grid_init(&d->on_screen, rows, cols))
        abort();
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(struct dashboard *d, int status)
{
    if (d->ended)
        return;
    d->ended = true;
    d->exit = status;
    uv_walk(&d->loop, close_handle, NULL);
}

static unsigned boards_at_work(const struct kl_snapshot *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->slot_count; i++)
        n += s->slot[i].state > KL_ST_SETTLING && s->slot[i].state < KL_ST_DONE;
    return n;
}

/* The dashboard ends and the station does not: says what goes on, and how to see it again. */
static void leave(struct dashboard *d)
{
    unsigned n = boards_at_work(&d->snap);

    if (d->connected_once && !d->options->demo && !d->ended)
        snprintf(d->last_words, sizeof d->last_words,
                 "The station goes on, %u board%s at work: keyline attach --csv-file %.160s", n,
                 n == 1 ? "" : "s", d->options->csv);
    end(d, KL_EXIT_OK);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct dashboard *d = handle->data;

    if (number == SIGWINCH) {
        kl_term_resized();
        new_size(d);
        touched(d);
    } else {
        leave(d);
    }
}

/* ---- what the operator wants ---- */

struct outgoing {
    uv_write_t request;
    char *text;
};

static void sent(uv_write_t *request, int status)
{
    struct outgoing *o = request->data;

    (void)status;
    free(o->text);
    free(o);
}

/* Takes `text` over. */
static void send_line(struct dashboard *d, char *text)
{
    struct outgoing *o = text && d->socket_open ? malloc(sizeof *o) : NULL;
    uv_buf_t buffer;

    if (!o) {
        free(text);
        return;
    }
    o->text = text;
    o->request.data = o;
    buffer = uv_buf_init(text, (unsigned)strlen(text));
    if (uv_write(&o->request, (uv_stream_t *)&d->socket, &buffer, 1, sent) != 0)
        sent(&o->request, 0);
}

static void obey(struct dashboard *d, const struct kl_want *want)
{
    switch (want->kind) {
    case KL_WANT_NOTHING:
        break;
    case KL_WANT_COMMAND:
        send_line(d, kl_wire_command(&want->command));
        break;
    case KL_WANT_REDRAW:
        kl_term_redraw();
        break;
    case KL_WANT_STORY:
        dashboard_story(&d->model, d->view.chosen, d->options->csv);
        break;
    case KL_WANT_LEAVE:
        leave(d);
        break;
    }
}

/* A demo goes on until a key is pressed that the dashboard has no other use for. */
static bool ends_demo(const struct dashboard *d, const struct kl_input_event *e)
{
    return d->options->demo && e->kind == KL_INPUT_KEY &&
           d->view.asked.question == KL_ASK_NOTHING &&
           (((e->key == 'q' || (e->key == KL_KEYCODE_ESCAPE && !d->view.filter[0])) &&
             d->view.screen == KL_SCREEN_BENCH) ||
            e->key == ' ' || !kl_view_is_bound(&d->view, e->key));
}

static bool at_once(void *ctx, int key)
{
    return kl_view_is_at_once(&((struct dashboard *)ctx)->view, key);
}

static void take_event(struct dashboard *d, const struct kl_input_event *e)
{
    bool asked = kl_view_asks(&d->view);
    struct kl_want want;

    if (ends_demo(d, e)) {
        end(d, KL_EXIT_OK);
        return;
    }
    if (e->kind == KL_INPUT_KEY && e->key == KL_KEYCODE_INTERRUPT) {
        leave(d);
        return;
    }
    d->model.snap = d->snap;
    want = kl_view_input(&d->view, &d->model, e, d->grid.rows, d->grid.cols);
    if (!asked && kl_view_asks(&d->view)) {
        kl_input_forget(&d->typed);
        kl_term_forget();
    }
    obey(d, &want);
    run_clock(d);
    touched(d);
}

static void held_is_due(uv_timer_t *timer);

static void take_events(struct dashboard *d)
{
    struct kl_input_event e;
    kl_us due;

    d->view.now = clock_now();
    while (!d->ended && kl_input_next(&d->typed, d->view.now, at_once, d, &e))
        take_event(d, &e);
    due = kl_input_deadline(&d->typed);
    if (d->ended || due == KL_NEVER)
        return;
    due = due > d->view.now ? (due - d->view.now + 999) / 1000 : 1;
    uv_timer_start(&d->held, held_is_due, (uint64_t)due, 0);
}

static void held_is_due(uv_timer_t *timer)
{
    take_events(timer->data);
}

static void on_keys(uv_poll_t *handle, int status, int events)
{
    struct dashboard *d = handle->data;
    uint8_t bytes[4096];
    long n;

    if (status < 0 || !(events & UV_READABLE)) {
        leave(d); /* the terminal is gone */
        return;
    }
    while ((n = kl_term_read(bytes, sizeof bytes)) > 0)
        kl_input_bytes(&d->typed, bytes, (size_t)n, clock_now());
    if (n < 0)
        leave(d);
    else
        take_events(d);
}

/* ---- what the station says ---- */

static void ring(struct dashboard *d, const struct kl_snapshot *before)
{
    bool failed = d->snap.failed > before->failed, done = d->snap.done > before->done;
    bool last_key = d->snap.keys.free == 0 && before->keys.free > 0;

    if (before->version == 0)
        return; /* the first snapshot shows what was there before: no news */
    if (d->options->alert == KL_ALERT_FLASH && (failed || done))
        kl_term_flash();
    else if ((d->options->alert == KL_ALERT_BELL && (failed || done)) ||
             (d->options->bell && (failed || last_key)))
        kl_term_bell();
}

/* "14:02", or with its day if that was not today. */
static void since_words(int64_t wall, char *out, size_t size)
{
    time_t then = (time_t)(wall / 1000000), today = time(NULL);
    struct tm a, b;

    localtime_r(&then, &a);
    localtime_r(&today, &b);
    strftime(out, size, a.tm_yday == b.tm_yday && a.tm_year == b.tm_year ? "%H:%M" : "%b %d %H:%M",
             &a);
}

static void take_hello(struct dashboard *d, const struct kl_wire_hello *h)
{
    struct kl_model *m = &d->model;
    const char *slash = strrchr(h->csv, '/');

    kl_copy(m->csv, sizeof m->csv, slash ? slash + 1 : h->csv);
    kl_copy(m->firmware, sizeof m->firmware, h->firmware);
    kl_copy(m->project, sizeof m->project, h->project);
    kl_copy(m->version, sizeof m->version, h->project_version);
    kl_copy(m->chip, sizeof m->chip, h->chip);
    kl_copy(m->station, sizeof m->station, h->station);
    m->prompt_timeout = h->prompt_timeout;
    m->ack_timeout = h->ack_timeout;
    m->expect_timeout = h->expect_timeout;
    kl_copy(m->digest, 9, h->digest);
    d->since = h->since;
    since_words(h->since, m->since, sizeof m->since);
    m->build_stale = false;
}

static void take_in_doubt(struct dashboard *d, const struct kl_wire_message *msg)
{
    unsigned n = msg->u.in_doubt.count < KL_IN_DOUBT_MAX ? msg->u.in_doubt.count : KL_IN_DOUBT_MAX;

    d->model.in_doubt_count = n;
    memcpy(d->model.in_doubt, msg->u.in_doubt.item, n * sizeof d->model.in_doubt[0]);
}

static struct kl_log *log_of(struct dashboard *d, unsigned slot)
{
    return slot < KL_SLOTS_MAX ? &d->model.log[slot] : &d->model.events;
}

/* Lines that begin with -- tell what keyline did to the board, the others what the board says. */
static void take_log(struct dashboard *d, unsigned slot, const char *text)
{
    uint64_t passed = uv_now(&d->loop) - d->snap_at;

    if (slot < KL_SLOTS_MAX && strncmp(text, "-- ", 3) != 0)
        d->model.heard_at[slot] = d->snap.at + (kl_us)passed * 1000;
    kl_log_add(log_of(d, slot), text);
}

static void take_message(struct dashboard *d, const struct kl_wire_message *msg,
                         const struct kl_snapshot *before)
{
    char text[KL_TEXT_MAX];

    switch (msg->kind) {
    case KL_WIRE_NOTHING:
        break;
    case KL_WIRE_HELLO:
        if (kl_wire_is_foreign(&msg->u.hello, d->last_words))
            end(d, KL_EXIT_USAGE);
        else
            take_hello(d, &msg->u.hello);
        break;
    case KL_WIRE_SNAPSHOT:
        d->snap_at = uv_now(&d->loop);
        ring(d, before);
        run_clock(d);
        break;
    case KL_WIRE_LOG:
        take_log(d, msg->u.log.slot, msg->u.log.text);
        break;
    case KL_WIRE_LOG_GAP:
        snprintf(text, sizeof text, "(%llu lines left out)", (unsigned long long)msg->u.gap.lines);
        kl_log_add(log_of(d, msg->u.gap.slot), text);
        break;
    case KL_WIRE_IN_DOUBT:
        take_in_doubt(d, msg);
        break;
    case KL_WIRE_REFUSED:
        d->view.now = clock_now();
        kl_view_say(&d->view, KL_SEC(10), msg->u.text);
        break;
    case KL_WIRE_STATS:
        d->model.stats = msg->u.stats;
        break;
    case KL_WIRE_BUILD:
        d->model.build_stale = msg->u.stale;
        break;
    case KL_WIRE_BYE:
        snprintf(d->last_words, sizeof d->last_words, "%s", msg->u.bye.text);
        d->said_bye = true;
        end(d, msg->u.bye.exit);
        break;
    }
    changed(d);
}

static void lost(struct dashboard *d);

static void take_input(struct dashboard *d)
{
    static struct kl_wire_message msg;
    static struct kl_snapshot before;
    char *at = d->input, *newline;
    size_t left = d->input_used;

    while (!d->ended && (newline = memchr(at, '\n', left))) {
        before = d->snap;
        if (!kl_wire_decode(at, (size_t)(newline - at), &d->snap, &msg)) {
            lost(d);
            return;
        }
        take_message(d, &msg, &before);
        left -= (size_t)(newline + 1 - at);
        at = newline + 1;
    }
    memmove(d->input, at, left);
    d->input_used = left;
}

static void give_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    struct dashboard *d = handle->data;

    (void)size;
    *buffer = uv_buf_init(d->input + d->input_used, (unsigned)(KL_WIRE_LINE_MAX - d->input_used));
}

static void on_input(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct dashboard *d = stream->data;

    (void)buffer;
    if (size < 0) {
        lost(d);
        return;
    }
    d->input_used += (size_t)size;
    take_input(d);
    if (d->input_used == KL_WIRE_LINE_MAX)
        lost(d);
}

/* ---- finding the station ---- */

static void try_again(uv_timer_t *timer)
{
    connect_station(timer->data);
}

static void closed(uv_handle_t *handle)
{
    struct dashboard *d = handle->data;

    if (d->ended)
        return;
    if (!d->connected_once && uv_now(&d->loop) >= d->gives_up_at) {
        snprintf(d->last_words, sizeof d->last_words,
                 "no station works on %s: start one with keyline --csv-file %s", d->options->csv,
                 d->options->csv);
        end(d, KL_EXIT_USAGE);
        return;
    }
    uv_timer_start(&d->again, try_again, d->connected_once ? AGAIN_MS : 50, 0);
}

static void lost(struct dashboard *d)
{
    d->socket_open = false;
    d->input_used = 0;
    if (!uv_is_closing((uv_handle_t *)&d->socket))
        uv_close((uv_handle_t *)&d->socket, closed);
    changed(d);
}

static void forget_logs(struct dashboard *d)
{
    for (unsigned i = 0; i <= KL_SLOTS_MAX; i++) {
        kl_log_finish(log_of(d, i));
        kl_log_init(log_of(d, i), LOG_LINES);
    }
    memset(d->model.heard_at, 0, sizeof d->model.heard_at);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct dashboard *d = request->data;
    char name[KL_NAME_MAX];

    free(request);
    if (d->ended)
        return;
    if (status < 0) {
        lost(d);
        return;
    }
    d->socket_open = d->connected_once = true;
    memset(&d->snap, 0, sizeof d->snap);
    forget_logs(d); /* the station sends what there is */
    kl_wire_operator(name);
    send_line(d, kl_wire_client_hello(name));
    uv_read_start((uv_stream_t *)&d->socket, give_buffer, on_input);
    changed(d);
}

static void connect_station(struct dashboard *d)
{
    char path[512];
    uv_connect_t *request = malloc(sizeof *request);

    uv_pipe_init(&d->loop, &d->socket, 0);
    d->socket.data = d;
    if (!kl_wire_socket_path(d->options->csv, d->path_tried, path, sizeof path)) {
        d->path_tried = 0;
        if (!kl_wire_socket_path(d->options->csv, 0, path, sizeof path)) {
            free(request);
            lost(d);
            return;
        }
    }
    d->path_tried++;
    if (!request)
        abort();
    request->data = d;
    uv_pipe_connect(request, &d->socket, path, on_connected);
}

/* ---- the worker ---- */

static void start_signals(struct dashboard *d)
{
    struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&d->resize, SIGWINCH},
                   {&d->hangup, SIGHUP},
                   {&d->terminate, SIGTERM},
                   {&d->interrupt, SIGINT},
                   {&d->quit, SIGQUIT}};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        uv_signal_init(&d->loop, signals[i].handle);
        signals[i].handle->data = d;
        uv_signal_start(signals[i].handle, on_signal, signals[i].number);
    }
}

static void start_handles(struct dashboard *d)
{
    uv_timer_t *timers[] = {&d->frame, &d->clock, &d->again, &d->held, &d->words};

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        uv_timer_init(&d->loop, timers[i]);
        timers[i]->data = d;
    }
    start_signals(d);
    uv_poll_init(&d->loop, &d->keys, STDIN_FILENO);
    kl_term_block(); /* libuv has made it non-blocking */
    d->keys.data = d;
    uv_poll_start(&d->keys, UV_READABLE | UV_DISCONNECT, on_keys);
}

static int work(const struct kl_dashboard_options *options, char error[256])
{
    struct dashboard *d = calloc(1, sizeof *d);
    struct kl_term_options term = {
        .ascii = options->ascii, .mono = options->mono, .no_mouse = options->no_mouse};
    int status = KL_EXIT_USAGE;

    if (!d || !(d->input = malloc(KL_WIRE_LINE_MAX)) || uv_loop_init(&d->loop) != 0)
        abort();
    d->options = options;
    if (!kl_term_open(&term, error)) {
        free(d->input);
        free(d);
        return status;
    }
    d->view = (struct kl_view){.ascii = term.ascii,
                               .console = term.console,
                               .mono = term.mono,
                               .read_only = options->read_only,
                               .locked = options->phrase != NULL,
                               .screen = options->wall ? KL_SCREEN_WALL : KL_SCREEN_BENCH};
    if (options->phrase)
        kl_copy(d->view.phrase, sizeof d->view.phrase, options->phrase);
    d->view.now = clock_now();
    if (options->note)
        kl_view_say(&d->view, KL_SEC(10), options->note);
    forget_logs(d);
    new_size(d);
    d->gives_up_at = uv_now(&d->loop) + options->wait_ms;
    start_handles(d);
    connect_station(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    kl_term_close();
    if (d->said_bye && !options->demo)
        kl_stats_print(&d->model.stats, stdout);
    fflush(stdout);
    status = d->exit;
    snprintf(error, 256, "%s", d->last_words);
    kl_grid_finish(&d->grid);
    kl_grid_finish(&d->on_screen);
    for (unsigned i = 0; i <= KL_SLOTS_MAX; i++)
        kl_log_finish(log_of(d, i));
    kl_log_finish(&d->model.story);
    free(d->input);
    free(d);
    return status;
}

static pid_t child;

static void pass_on(int number)
{
    if (child > 0)
        kill(child, number);
}

/* The child was killed and could not say its last words. */
static void say_what_goes_on(const char *csv, char error[256])
{
    int fd = kl_wire_connect(csv);

    snprintf(error, 256,
             fd >= 0
                 ? "The dashboard was killed. The station goes on: keyline attach --csv-file %.160s"
                 : "The dashboard was killed, and no station works on %.160s any more.",
             csv);
    if (fd >= 0)
        close(fd);
}

int kl_dashboard_run(const struct kl_dashboard_options *options, char error[256])
{
    struct kl_term_saved *saved = kl_term_save();
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT};
    int words[2], status = 0;
    pid_t elder;
    ssize_t n;

    error[0] = '\0';
    if (pipe(words) != 0)
        return KL_EXIT_USAGE;
    fflush(NULL);
    elder = getpid();
    child = fork();
    if (child == 0) {
        char text[256] = "";
        int result;
        prctl(PR_SET_PDEATHSIG, SIGHUP); /* if the parent dies, the shell takes the terminal back */
        result = work(options, text);
        if (getppid() != elder && text[0]) /* the parent is gone and can't say it */
            fprintf(stderr, "keyline: %s\n", text);
        n = write(words[1], text, strlen(text));
        _exit(n < 0 ? KL_EXIT_USAGE : result);
    }
    close(words[1]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], pass_on);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    n = read(words[0], error, 255);
    error[n > 0 ? n : 0] = '\0';
    close(words[0]);
    kl_term_restore(saved, WIFSIGNALED(status));
    if (WIFSIGNALED(status) && !options->demo)
        say_what_goes_on(options->csv, error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : KL_EXIT_FAILED;
}
