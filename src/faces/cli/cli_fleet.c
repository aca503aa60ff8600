/*
 * cli_fleet.c: `keyline fleet`: all stations of a shared pool, from its database. It looks and
 * changes nothing. A thread asks the database, so that the screen never waits for it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "commands.h"
#include "config_files.h"
#include "faces/dashboard/fleet_view.h"
#include "faces/dashboard/input.h"
#include "faces/dashboard/terminal.h"
#include "keyline/exit.h"
#include "keyline/shared_pool.h"

enum {
    ASK_MS = 2000,
    LOOK_MS = 100,
};

struct args {
    const char *config;
    bool json, ascii, no_colour, help;
    int color;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TYPED_FLAG("json", 0, json, "the same once, as JSON: the pool and its stations"),
    FLAG("ascii", ascii, "plain characters only"),
    CHOICE("color", color, "auto|always|never", "colours (default auto)"),
    FLAG("no-colour", no_colour, "no colours"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_fleet = {
    .name = "fleet",
    .run = kl_cli_fleet,
    .options = OPTION_TABLE(options),
    .words = "[options] SERVICE",
    .summary = "all stations of a shared pool",
    .about = "Shows every station of a shared pool from its database: who is there, what it has\n"
             "done, what it holds. SERVICE is as for --pool. Without a terminal it prints once.",
    .after = "exit status: 0 all well, 2 usage, 6 the database does not answer\n",
};

/* ---- asking ---- */

struct asker {
    const char *service;
    struct kl_shared *pool;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    char history[KL_NAME_MAX]; /* whose history is wanted */
    bool stop, news;
    struct fleet_model fresh; /* until the screen takes it */
};

/* NULL and a sentence if there is no answer. */
static json_t *ask(struct kl_shared *pool, const char *what, const char *name,
                   char error[KL_TEXT_MAX])
{
    char *text = NULL;
    json_t *answer = NULL;

    if (kl_shared_look(pool, what, name, &text, error) == KL_SHARED_DONE && text &&
        !(answer = json_loads(text, 0, NULL)))
        kl_copy(error, KL_TEXT_MAX, "the pool's answer makes no sense to this program");
    free(text);
    return answer;
}

static void forget(struct fleet_model *m)
{
    json_decref(m->pool);
    json_decref(m->stations);
    json_decref(m->station);
    *m = (struct fleet_model){.pool = NULL};
}

static void ask_all(struct kl_shared *pool, const char *history, struct fleet_model *out)
{
    *out = (struct fleet_model){.pool = NULL};
    out->pool = ask(pool, "pool", NULL, out->trouble);
    if (out->pool)
        out->stations = ask(pool, "stations", NULL, out->trouble);
    if (out->stations && history[0])
        out->station = ask(pool, "station", history, out->trouble);
}

static bool open_pool(struct asker *a, char error[KL_TEXT_MAX])
{
    return a->pool || kl_shared_open(a->service, &a->pool, error) == KL_SHARED_DONE;
}

static void ask_once(struct asker *a)
{
    char history[KL_NAME_MAX], error[KL_TEXT_MAX] = "";
    struct fleet_model m = {.pool = NULL};

    uv_mutex_lock(&a->lock);
    kl_copy(history, sizeof history, a->history);
    uv_mutex_unlock(&a->lock);
    if (open_pool(a, error))
        ask_all(a->pool, history, &m);
    else
        kl_copy(m.trouble, sizeof m.trouble, error);
    uv_mutex_lock(&a->lock);
    forget(&a->fresh);
    a->fresh = m;
    a->news = true;
    uv_mutex_unlock(&a->lock);
}

static void run_asker(void *arg)
{
    struct asker *a = arg;
    char asked[KL_NAME_MAX];
    bool stop = false;

    while (!stop) {
        uv_mutex_lock(&a->lock);
        kl_copy(asked, sizeof asked, a->history);
        uv_mutex_unlock(&a->lock);
        ask_once(a);
        uv_mutex_lock(&a->lock);
        if (!a->stop && strcmp(asked, a->history) == 0)
            uv_cond_timedwait(&a->wake, &a->lock, (uint64_t)ASK_MS * 1000000);
        stop = a->stop;
        uv_mutex_unlock(&a->lock);
    }
}

/* ---- the screen ---- */

static volatile sig_atomic_t resized, ended;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        ended = 1;
}

static kl_us now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return KL_SEC(t.tv_sec) + t.tv_nsec / 1000;
}

/* What is not answered now stays as it was last heard. */
static bool take_news(struct asker *a, struct fleet_model *m)
{
    bool news;

    uv_mutex_lock(&a->lock);
    news = a->news;
    a->news = false;
    if (news && a->fresh.stations) {
        forget(m);
        *m = a->fresh;
        a->fresh = (struct fleet_model){.pool = NULL};
    } else if (news) {
        kl_copy(m->trouble, sizeof m->trouble, a->fresh.trouble);
        forget(&a->fresh);
    }
    uv_mutex_unlock(&a->lock);
    return news;
}

static void draw(const struct fleet_model *m, const struct fleet_screen *s, bool ascii)
{
    struct kl_grid g;
    int rows, cols;

    kl_term_size(&rows, &cols);
    if (!kl_grid_init(&g, rows, cols))
        return;
    g.ascii = ascii;
    fleet_draw(m, s, &g);
    kl_term_draw(&g);
    kl_grid_finish(&g);
}

static bool harmless(void *ctx, int key)
{
    (void)ctx;
    (void)key;
    return true;
}

static void want_history(struct asker *a, const char *name)
{
    uv_mutex_lock(&a->lock);
    kl_copy(a->history, sizeof a->history, name);
    uv_cond_signal(&a->wake);
    uv_mutex_unlock(&a->lock);
}

/* False: the person leaves. */
static bool take_keys(struct asker *a, struct kl_input *in, struct fleet_model *m,
                      struct fleet_screen *s, bool *changed)
{
    uint8_t bytes[256];
    struct kl_input_event e;
    long n = kl_term_read(bytes, sizeof bytes);

    if (n < 0)
        return false;
    kl_input_bytes(in, bytes, (size_t)n, now_us());
    while (kl_input_next(in, now_us(), harmless, NULL, &e)) {
        enum fleet_want want = FLEET_NOTHING;
        if (e.kind == KL_INPUT_KEY)
            want = fleet_input(s, m, e.key);
        *changed = true;
        if (e.kind == KL_INPUT_KEY && e.key == KL_KEYCODE_REDRAW)
            kl_term_redraw();
        if (want == FLEET_QUIT)
            return false;
        if (want == FLEET_HISTORY) {
            json_decref(m->station);
            m->station = NULL;
            want_history(a, s->history);
        } else if (!s->history[0] && a->history[0]) {
            want_history(a, "");
        }
    }
    return true;
}

static void show(struct asker *a, bool ascii)
{
    static struct kl_input in;
    struct fleet_model m = {.pool = NULL};
    struct fleet_screen s = {.chosen = 0};
    struct pollfd typed = {STDIN_FILENO, POLLIN, 0};
    bool changed = true;

    while (!ended) {
        changed |= take_news(a, &m);
        if (resized) {
            resized = 0;
            kl_term_resized();
            changed = true;
        }
        if (changed)
            draw(&m, &s, ascii);
        changed = false;
        poll(&typed, 1, LOOK_MS);
        if (!take_keys(a, &in, &m, &s, &changed))
            break;
    }
    forget(&m);
}

static int run_screen(struct asker *a, const struct args *args)
{
    static const int numbers[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT};
    struct kl_term_options term = {
        .ascii = args->ascii, .mono = args->no_colour || args->color == 2, .no_mouse = true};
    struct sigaction action = {.sa_handler = on_signal};
    char error[256] = "no thread can be started";

    uv_mutex_init(&a->lock);
    uv_cond_init(&a->wake);
    if (uv_thread_create(&a->thread, run_asker, a) != 0 || !kl_term_open(&term, error)) {
        fprintf(stderr, "keyline fleet: %s\n", error);
        return KL_EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    show(a, term.ascii);
    kl_term_close();
    return KL_EXIT_OK; /* the thread may hang in a call: the program ends without it */
}

/* ---- once ---- */

static int print_once(struct asker *a, bool as_json)
{
    struct fleet_model m = {.pool = NULL};
    char error[KL_TEXT_MAX] = "";
    json_t *all;

    if (open_pool(a, error)) {
        ask_all(a->pool, "", &m);
        kl_copy(error, sizeof error, m.trouble);
    }
    if (!m.stations) {
        fprintf(stderr, "keyline fleet: %s\n", error);
        forget(&m);
        return KL_EXIT_STORE;
    }
    if (as_json) {
        all = json_pack("{s:O,s:O}", "pool", m.pool, "stations", m.stations);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(all);
    } else {
        fleet_print(&m, stdout);
    }
    forget(&m);
    return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}

int kl_cli_fleet(int argc, char **argv)
{
    static struct asker a;
    struct option_list words = {.count = 0};
    struct args args = {.json = false};
    char error[KL_TEXT_MAX] = "", note[256] = "";

    if (!config_parse(kl_command_fleet.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_fleet, error);
    if (args.help)
        return command_help(&kl_command_fleet);
    if (words.count != 1)
        return command_wrong(&kl_command_fleet, "which pool? a service of libpq, or a connection");
    if (!kl_shared_ready(error)) {
        fprintf(stderr, "keyline fleet: %s\n", error);
        return KL_EXIT_USAGE;
    }
    a.service = words.item[0];
    if (args.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
        kl_term_try(note) != KL_TERM_FIT)
        return print_once(&a, args.json);
    return run_screen(&a, &args);
}
