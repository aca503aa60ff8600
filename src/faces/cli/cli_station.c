/*
 * cli_station.c: `keyline [options]`: checks everything that can be wrong before it touches a
 * board, then runs the bench, headless or as a background process with a dashboard.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "about.h"
#include "build_watch.h"
#include "cli_answers.h"
#include "config_files.h"
#include "faces/dashboard/dashboard.h"
#include "faces/dashboard/terminal.h"
#include "faces/faces.h"
#include "keyline/cli.h"
#include "keyline/link.h"
#include "keyline/notify.h"
#include "keyline/shared_pool.h"
#include "keyline/slots_file.h"
#include "lock_phrase.h"
#include "nvs_plan.h"
#include "patterns.h"
#include "report.h"
#include "restart.h"
#include "station_options.h"
#include "stations.h"

enum {
    POOL_RETRY_MS = 2000,
};

/* Everything that the station works with. */
struct station {
    struct station_args args;
    FILE *human; /* where people read: standard output, unless the events go there */
    bool demo;
    int ready; /* told once the bench runs; -1 = nobody waits */
    struct kl_bundle *bundle;
    struct kl_bundle_options images; /* what it was read from */
    uint64_t images_signature;
    char waits[KL_TEXT_MAX];      /* what the start waits for, as last told */
    char phrase[LOCK_PHRASE_MAX]; /* that unlocks the dashboard; "" = no lock */
    struct kl_stubs *stubs;
    struct patterns patterns; /* the station keeps pointers into it */
    struct kl_store *store;
    struct kl_loaded_keys loaded;
    struct nvs_plan nvs;
    struct kl_shell_place places[KL_SLOTS_MAX];
    uint32_t usb_ids[OPTION_LIST_MAX];
    const char *serial[OPTION_LIST_MAX]; /* --port, the serial ones */
    struct kl_shell_options shell;
    struct kl_wire_hello said; /* what this run is, to whoever asks */
};

static void complain(const char *text)
{
    kl_report_error("%s", text);
}

static void complain_of(void *ctx, const char *text)
{
    (void)ctx;
    complain(text);
}

/* Reports an option that can't be meant; the caller goes on to check the rest. */
static int senseless(const char *text)
{
    complain(text);
    return KL_EXIT_USAGE;
}

static int first_trouble(int before, int now)
{
    return before != KL_EXIT_OK ? before : now;
}

/* ---- ports ---- */

static int add_place(struct station *s, const char *name, const char *target)
{
    struct kl_shell_place *p;

    if (s->shell.place_count == KL_SLOTS_MAX)
        return senseless("more ports than slots");
    p = &s->places[s->shell.place_count++];
    kl_copy(p->name, sizeof p->name, name);
    if (!kl_copy(p->target, sizeof p->target, target))
        return senseless("a port's name is too long");
    return KL_EXIT_OK;
}

static bool is_place(const char *target)
{
    return target[0] >= '0' && target[0] <= '9' &&
           strspn(target, "0123456789-.:") == strlen(target);
}

static int take_port(struct station *s, const char *target)
{
    enum kl_link_kind kind;
    char text[KL_TEXT_MAX];

    if (!kl_link_kind_of(target, &kind) && !is_place(target)) {
        kl_format(text, sizeof text,
                  "--port %s is no port: /dev/ttyUSB0, a USB place such as 1-1.4.2, "
                  "rfc2217://host:port or socket://host:port",
                  target);
        return senseless(text);
    }
    if (!strstr(target, "://"))
        s->serial[s->shell.rules.only_count++] = target;
    return add_place(s, "", target);
}

static int take_slots(struct station *s)
{
    static struct kl_slots_file file;
    char error[KL_TEXT_MAX];
    int status = KL_EXIT_OK;

    if (!kl_slots_read(s->args.slots, &file, error)) {
        complain(error);
        return KL_EXIT_INPUT;
    }
    for (unsigned i = 0; i < file.count && status == KL_EXIT_OK; i++)
        status = add_place(s, file.slot[i].name, file.slot[i].where);
    return status;
}

static int take_usb_ids(struct station *s)
{
    int status = KL_EXIT_OK;
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < s->args.usb_ids.count; i++) {
        if (!kl_ports_parse_id(s->args.usb_ids.item[i], &s->usb_ids[i])) {
            kl_format(text, sizeof text, "--usb-id %s: it is written like 10c4:ea60",
                      s->args.usb_ids.item[i]);
            status = senseless(text);
        }
    }
    return status;
}

/* Uses the ports that were named and no others; without any, every USB port that is a board's. */
static int find_ports(struct station *s)
{
    const struct station_args *a = &s->args;
    int status = take_usb_ids(s);

    if (a->slots)
        status = first_trouble(status, take_slots(s));
    for (unsigned i = 0; i < a->ports.count; i++)
        status = first_trouble(status, take_port(s, a->ports.item[i]));
    s->shell.places = s->places;
    s->shell.rules.extra_ids = s->usb_ids;
    s->shell.rules.extra_id_count = a->usb_ids.count;
    s->shell.rules.exclude = a->exclude.item;
    s->shell.rules.exclude_count = a->exclude.count;
    s->shell.rules.only = s->serial;
    s->shell.hotplug = a->ports.count == 0 || s->shell.rules.only_count > 0;
    return status;
}

/* With --once a bench without a port would never end: no board could end it. */
static int look_for_any_port(const struct station *s)
{
    static struct kl_port_info ports[256];
    int count;

    if (!s->args.once || s->shell.place_count > 0)
        return KL_EXIT_OK;
    count = kl_ports_list(ports, 256, &s->shell.rules);
    for (int i = 0; i < count; i++)
        if (ports[i].usable)
            return KL_EXIT_OK;
    complain(
        "--once: no board is plugged in and no --port is named; keyline ports shows every port "
        "and why it is not used");
    return KL_EXIT_USAGE;
}

/* ---- what is read before any board is touched ---- */

static void print_bundle(FILE *out, const struct kl_bundle *b)
{
    fprintf(out, "%s: ", b->file);
    if (b->project[0])
        fprintf(out, "%s %s, ", b->project, b->version);
    fprintf(out, "%s, %u image%s, %llu bytes, %llu compressed\n", kl_chip(b->chip)->name,
            b->region_count, b->region_count == 1 ? "" : "s", (unsigned long long)b->raw_total,
            (unsigned long long)b->packed_total);
}

static int load_images(struct station *s, enum kl_chip_id chip)
{
    static struct kl_bundle_report report;
    const struct station_args *a = &s->args;
    char note[KL_TEXT_MAX] = "";

    s->images = station_bundle_options(a, chip);
    s->images_signature = build_watch_sign(&s->images);
    s->bundle = kl_bundle_load(&s->images, &report);
    for (unsigned i = 0; i < report.warning_count; i++)
        fprintf(stderr, "keyline: warning: %s\n", report.warning[i]);
    for (unsigned i = 0; i < report.problem_count; i++)
        complain(report.problem[i]);
    if (!s->bundle)
        return KL_EXIT_INPUT;
    print_bundle(s->human, s->bundle);
    for (unsigned i = 0; i < report.found_count; i++)
        fprintf(s->human, "  %s\n", report.found[i]);
    for (unsigned i = 0; i < report.left_out_count; i++)
        fprintf(s->human, "  left out: %s\n", report.left_out[i]);
    s->stubs = kl_stubs_load(a->stub, note);
    if (note[0])
        fprintf(s->human, "%s\n", note);
    return KL_EXIT_OK;
}

static void hex_of(const uint8_t digest[32], char out[65])
{
    for (size_t i = 0; i < 32; i++)
        kl_format(out + 2 * i, 3, "%02x", digest[i]);
}

static uint32_t answers(const struct station_args *a)
{
    const bool said[KL_DOUBT_COUNT] = {
        [KL_DOUBT_STORAGE] = a->volatile_storage,
        [KL_DOUBT_MOVED] = a->moved,
        [KL_DOUBT_OLD] = a->heal,
        [KL_DOUBT_RENAMED] = a->renamed,
    };
    uint32_t bits = 0;

    for (unsigned i = 0; i < KL_DOUBT_COUNT; i++)
        bits |= (uint32_t)said[i] << i;
    return bits;
}

static const char *keys_name(const struct station *s)
{
    return s->args.pool ? s->args.pool : s->args.csv;
}

/* How many boards may be there at a time: a pool gives keys by that. */
static unsigned count_slots(const struct station *s)
{
    static struct kl_port_info ports[256];
    unsigned n = s->shell.place_count;
    int count = s->shell.hotplug ? kl_ports_list(ports, 256, &s->shell.rules) : 0;

    for (int i = 0; i < count; i++)
        n += ports[i].usable;
    n = n < 2 ? 2 : n;
    return n < KL_SLOTS_MAX ? n : KL_SLOTS_MAX;
}

/* For a person at a terminal. The reading end of `ready` is closed when he has had enough: then
   nobody is there to be told more. */
static bool wait_for_pool(void *ctx, const char *why)
{
    struct station *s = ctx;
    struct pollfd left = {.fd = s->ready};

    if (strcmp(why, s->waits) != 0)
        fprintf(stderr, "keyline: %s\nkeyline: waiting for it; Ctrl-C ends\n", why);
    kl_copy(s->waits, sizeof s->waits, why);
    if (poll(&left, 1, POOL_RETRY_MS) != 0)
        exit(KL_EXIT_STORE);
    return true;
}

static int open_store(struct station *s)
{
    char digest[65];
    struct kl_store_shared shared = {
        .service = s->args.pool,
        .slots = count_slots(s),
        .lease_max = (uint32_t)s->args.lease_max,
        .offline = s->args.offline_for,
        .warn_keys = (uint32_t)s->args.warn_keys,
    };
    struct kl_store_options options = {
        .csv = s->args.csv,
        .shared = s->args.pool ? &shared : NULL,
        .header = s->args.csv_header,
        .long_keys = s->args.deliver != 0,
        .accept = s->args.accepted,
        .bundle_digest = digest,
        .journal = s->args.journal,
        .answers = answers(&s->args),
    };
    enum kl_exit exit;

    hex_of(s->bundle->digest, digest);
    exit = answers_open(&options, !s->args.headless, s->ready < 0 ? NULL : wait_for_pool, s,
                        &s->store);
    if (exit == KL_EXIT_OK &&
        !kl_report_keys(s->human, keys_name(s), kl_store_content(s->store), &s->loaded))
        return KL_EXIT_INPUT;
    return exit;
}

/* Reports what is wrong with the keys although no station can start. Takes no lock, writes
   nothing. */
static int look_at_keys(const struct station *s)
{
    struct kl_store_options options = {.csv = s->args.csv,
                                       .header = s->args.csv_header,
                                       .long_keys = s->args.deliver != 0,
                                       .mode = KL_STORE_LOOK};
    struct kl_store *store = NULL;
    char error[KL_TEXT_MAX] = "";
    enum kl_store_open_result result;
    bool good;

    if (s->args.pool)
        return KL_EXIT_OK; /* the pool is asked when a station can start */
    result = kl_store_open(&options, &store, error);
    good = result == KL_STORE_OPENED;
    if (good)
        good = kl_report_keys(s->human, s->args.csv, kl_store_content(store), NULL);
    else
        complain(error);
    kl_store_free(store);
    return good ? KL_EXIT_OK : result == KL_STORE_BROKEN ? KL_EXIT_STORE : KL_EXIT_INPUT;
}

static int find_chip(const struct station *s, const struct kl_chip **chip)
{
    char text[KL_TEXT_MAX];

    *chip = s->args.chip ? kl_chip_by_slug(s->args.chip) : NULL;
    if (!s->args.chip || *chip)
        return KL_EXIT_OK;
    kl_format(text, sizeof text, "--chip %s: no such chip; try esp32 or esp32s3", s->args.chip);
    return senseless(text);
}

static void say_what_to_try(int status)
{
    static const char *const next[] = {
        [KL_EXIT_USAGE] = "keyline --help",
        [KL_EXIT_INPUT] = "keyline check, with the same options",
        [KL_EXIT_HELD] = "keyline attach, with the same --csv-file",
        [KL_EXIT_STORE] = "keyline doctor, with the same --csv-file",
        [KL_EXIT_DOUBT] = "keyline check, with the same options",
    };

    KL_ASSERT((size_t)status < sizeof next / sizeof next[0] && next[status]);
    fprintf(stderr, "try: %s\n", next[status]);
}

static void say_what_differs(const struct station *s);

/* Reports all that is wrong at once; the first trouble gives the exit status. */
static int prepare(struct station *s)
{
    const struct kl_chip *chip;
    enum kl_confirm confirm;
    char error[KL_TEXT_MAX];
    int status = find_chip(s, &chip);

    if (!patterns_compile(&s->patterns, &s->args, complain_of, NULL))
        status = KL_EXIT_USAGE;
    if (!station_confirm(&s->args, &confirm, error))
        status = senseless(error);
    if (s->args.socket && !kl_wire_is_socket(s->args.socket))
        status = senseless("--socket: its name has to end in .socket");
    status = first_trouble(status, find_ports(s));
    status = first_trouble(status, look_for_any_port(s));
    status = first_trouble(status, load_images(s, chip ? chip->id : KL_CHIP_NONE));
    if (s->bundle && !nvs_plan_make(&s->nvs, &s->args, s->bundle, complain_of, NULL))
        status = first_trouble(status, KL_EXIT_INPUT);
    status = first_trouble(status, status == KL_EXIT_OK ? open_store(s) : look_at_keys(s));
    if (status == KL_EXIT_HELD)
        say_what_differs(s);
    if (status != KL_EXIT_OK) {
        if (!s->args.pool || status != KL_EXIT_STORE)
            say_what_to_try(status);
        return status;
    }
    s->shell.store = s->store;
    s->shell.loaded = &s->loaded;
    s->shell.station = (struct kl_station_config){
        .bundle = s->bundle,
        .stubs = s->stubs,
        .chip = chip ? chip->id : KL_CHIP_NONE,
        .baud_max = (uint32_t)s->args.baud,
        .confirm = confirm,
        .words = s->patterns.words,
        .exam = s->patterns.exam,
        .prompt_timeout = s->args.prompt_timeout,
        .ack_timeout = s->args.ack_timeout,
        .settle = s->args.settle,
        .retries = (int)s->args.retries,
        .once = s->args.once,
        .count = (uint32_t)s->args.count,
        .max_flashing = (unsigned)s->args.max_flashing,
        .warn_keys = s->args.pool ? 0 : (uint32_t)s->args.warn_keys,
        .pooled = s->args.pool != NULL,
        .power = s->args.power_hook != NULL,
        .fixture = s->args.fixture,
        .secured_handover = s->args.secured == 1,
        .nvs = s->nvs.delivery,
        .sha256 = kl_sha256,
    };
    return KL_EXIT_OK;
}

/* ---- running ---- */

struct faces {
    struct headless *headless;
    struct events *events;
    struct logdir *logdir;
    struct hook *hook, *power;
    struct server *server;
    struct build_watch *watch;
    struct kl_notify *notify;
    struct older *older;
    struct metrics *metrics;
    struct bench_status *status;
};

/* `b`: NULL = the images can't be used */
static void hello(const struct station *s, const struct kl_bundle *b, struct kl_wire_hello *h)
{
    uv_timeval64_t now;

    *h = (struct kl_wire_hello){.protocol = KL_WIRE_PROTOCOL, .version = KEYLINE_VERSION};
    uv_gettimeofday(&now);
    h->since = now.tv_sec * 1000000 + now.tv_usec;
    kl_copy(h->csv, sizeof h->csv, s->args.csv);
    /* Keys that are written into flash: firmware is waited for only if it is to print them. */
    if (s->args.deliver == 0 || s->args.confirm == CONFIRM_READBACK) {
        h->prompt_timeout = s->args.prompt_timeout;
        h->ack_timeout = s->args.ack_timeout;
    }
    h->expect_timeout = s->args.expect_timeout;
    restart_settings(&s->args, h->settings, sizeof h->settings);
    gethostname(h->station, sizeof h->station - 1);
    if (!b)
        return;
    hex_of(b->digest, h->digest);
    kl_copy(h->firmware, sizeof h->firmware, b->file);
    kl_copy(h->project, sizeof h->project, b->project);
    kl_copy(h->project_version, sizeof h->project_version, b->version);
    kl_copy(h->chip, sizeof h->chip, kl_chip(b->chip)->name);
}

/* Without a terminal keyline can't ask: it names the choices. */
static void say_what_differs(const struct station *s)
{
    static struct kl_wire_hello running, wanted;

    if (!stations_ask(s->args.csv, &running, NULL))
        return;
    hello(s, s->bundle, &wanted);
    if (restart_compare(&running, &wanted, stderr) > 0)
        fprintf(stderr,
                "Show it as it is: keyline attach --csv-file %s. Or stop it (SIGTERM to its "
                "process finishes what runs) and start again.\n",
                s->args.csv);
}

/* The dashboard covers what the start printed, so warnings are told once more. */
static void tell_warnings(const struct station *s, struct kl_shell *sh)
{
    const struct kl_store_content *content = kl_store_content(s->store);
    char text[KL_TEXT_MAX];

    kl_report_lost_ledger(s->args.csv, content, text);
    if (text[0])
        kl_shell_note(sh, text);
    if (content->warning[0])
        kl_shell_note(sh, content->warning);
    if (content->forgets[0]) {
        kl_format(text, sizeof text, "for demonstrations only: the keys lie on %s",
                  content->forgets);
        kl_shell_note(sh, text);
    }
}

static void build_changed(void *ctx, bool stale)
{
    server_build_changed(ctx, stale);
}

/* Commands that know only the CSV find the socket through a link beside it. */
static void link_socket(const struct station_args *a)
{
    char place[KL_TEXT_MAX];

    if (!kl_wire_socket_path(a->csv, 0, place, sizeof place) || !place[0])
        return;
    unlink(place);
    if (symlink(a->socket, place) != 0)
        fprintf(stderr, "keyline: %s: %s: only --socket leads to this station\n", place,
                strerror(errno));
}

static int create_server(struct station *s, struct kl_shell *sh, struct faces *f)
{
    const struct station_args *a = &s->args;
    char error[KL_TEXT_MAX] = "";

    hello(s, s->bundle, &s->said);
    f->server = server_create(sh, a->socket ? a->socket : a->csv, &s->said, error);
    if (f->server && a->socket)
        link_socket(a);
    if (!f->server) {
        complain(error);
        if (s->ready >= 0 || a->socket)
            return KL_EXIT_STORE; /* no dashboard could reach this station */
    }
    if (f->server)
        stations_enter(a->csv);
    if (f->server)
        f->watch = build_watch_create(kl_shell_loop(sh), &s->images, s->bundle, s->images_signature,
                                      build_changed, f->server);
    return KL_EXIT_OK;
}

static int create_faces(struct station *s, struct kl_shell *sh, struct faces *f)
{
    const struct station_args *a = &s->args;
    char error[KL_TEXT_MAX] = "";
    int status = create_server(s, sh, f);

    if (status != KL_EXIT_OK)
        return status;
    if (a->events && !(f->events = events_create(sh, a->events, error))) {
        complain(error);
        return KL_EXIT_USAGE;
    }
    if (a->log_dir && !(f->logdir = logdir_create(sh, a->log_dir, error))) {
        complain(error);
        return KL_EXIT_USAGE;
    }
    if (a->on_result)
        f->hook = hook_create(sh, "--on-result", a->on_result, KL_NOTE_RESULT);
    if (a->power_hook)
        f->power = hook_create(sh, "--power-hook", a->power_hook, KL_NOTE_POWER);
    if (s->ready < 0)
        f->headless = headless_create(sh, fileno(s->human));
    f->notify = kl_notify_create(sh);
    f->older = older_create(sh);
    if (a->metrics)
        f->metrics = metrics_create(sh, a->metrics);
    if (a->pool)
        f->status = bench_status_create(sh, s->store, &s->said);
    tell_warnings(s, sh);
    return KL_EXIT_OK;
}

/* False if something still hangs in a port or a write. */
static bool free_faces(struct faces *f)
{
    bool gone = headless_free(f->headless);

    gone &= events_free(f->events);
    gone &= logdir_free(f->logdir);
    gone &= hook_free(f->hook);
    gone &= hook_free(f->power);
    gone &= metrics_free(f->metrics);
    gone &= !f->watch || build_watch_free(f->watch);
    if (f->server)
        server_free(f->server);
    kl_notify_free(f->notify);
    older_free(f->older);
    bench_status_free(f->status);
    return gone;
}

/* From here on the station has no terminal. */
static void leave_terminal(struct station *s)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ssize_t told;

    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    told = write(s->ready, "R", 1);
    (void)told;
    close(s->ready);
}

static int run_bench(struct station *s)
{
    uv_loop_t loop;
    struct kl_shell *sh;
    struct faces faces = {0};
    int status;

    uv_loop_init(&loop);
    sh = kl_shell_create(&loop, &s->shell);
    KL_ASSERT(sh);
    status = create_faces(s, sh, &faces);
    fflush(s->human);
    if (status != KL_EXIT_OK)
        _exit(status); /* nothing was begun */
    if (s->ready >= 0)
        leave_terminal(s);
    status = kl_shell_run(sh);
    if (faces.server) {
        server_close(faces.server);
        stations_leave(s->args.csv);
    }
    if (faces.watch)
        build_watch_close(faces.watch);
    kl_notify_close(faces.notify);
    older_close(faces.older);
    metrics_close(faces.metrics);
    bench_status_close(faces.status);
    if (!kl_shell_destroy(sh) || !free_faces(&faces))
        _exit(status); /* a worker hangs in a port or a pipe; what is durable is safe */
    uv_loop_close(&loop);
    return status;
}

static int run_station(struct station *s)
{
    char error[KL_TEXT_MAX];
    int status;

    kl_process_harden();
    if (s->args.pool && !kl_shared_ready(error))
        return senseless(error);
    status = prepare(s);
    if (status == KL_EXIT_OK)
        status = run_bench(s);
    else if (s->store)
        kl_store_free(s->store);
    kl_pool_memory_free(s->loaded.memory); /* if no shell took it */
    kl_stubs_free(s->stubs);
    nvs_plan_free(&s->nvs);
    kl_bundle_free(s->bundle);
    return status;
}

/* ---- with a dashboard ---- */

static int show_dashboard(const struct station *s, const char *note, bool dumb)
{
    const struct station_args *a = &s->args;
    const char *phrase = s->phrase;
    struct kl_dashboard_options options = {
        .csv = a->csv,
        .ascii = a->ascii,
        .mono = a->no_colour,
        .read_only = a->read_only,
        .bell = a->bell,
        .phrase = phrase[0] ? phrase : NULL,
        .no_mouse = a->no_mouse,
        .alert = (enum kl_alert)a->alert,
        .demo = s->demo,
        .note = note[0] ? note : NULL,
        .wait_ms = 2000,
    };
    char error[256] = "";
    int status = dumb ? kl_dashboard_lines(&options, error) : kl_dashboard_run(&options, error);

    if (error[0])
        complain(error);
    return status;
}

static int run_behind_dashboard(struct station *s, const char *note)
{
    int pipe_ends[2], status;
    char byte;
    pid_t child;

    if (pipe2(pipe_ends, O_CLOEXEC) != 0 || (child = fork()) < 0) {
        complain(strerror(errno));
        return KL_EXIT_STORE;
    }
    if (child == 0) {
        close(pipe_ends[0]);
        s->ready = pipe_ends[1];
        setsid();
        exit(run_station(s));
    }
    close(pipe_ends[1]);
    if (read(pipe_ends[0], &byte, 1) == 1)
        return show_dashboard(s, note, false);
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        return WEXITSTATUS(status);
    return KL_EXIT_STORE;
}

/* Does the running station do what this command line asks for? Reads the images again: a new build
   may have the old name. */
static enum restart_choice compare(const struct station *s, const struct kl_wire_hello *running)
{
    static struct kl_bundle_report report;
    static struct kl_wire_hello wanted;
    const struct kl_chip *chip = s->args.chip ? kl_chip_by_slug(s->args.chip) : NULL;
    struct kl_bundle_options images =
        station_bundle_options(&s->args, chip ? chip->id : KL_CHIP_NONE);
    struct kl_bundle *b = kl_bundle_load(&images, &report);

    hello(s, b, &wanted);
    kl_bundle_free(b);
    return restart_choose(running, &wanted);
}

/* Tries the terminal first: if it can't show a dashboard, no station may stay behind. */
static int start_on_terminal(struct station *s)
{
    static struct kl_wire_hello running;
    char note[256];
    enum kl_term_fitness fitness = kl_term_try(note);
    enum restart_choice choice;

    if (note[0])
        complain(note);
    if (fitness == KL_TERM_UNFIT)
        return KL_EXIT_USAGE;
    if (stations_ask(s->args.csv, &running, NULL)) {
        choice = s->demo ? RESTART_ATTACH : compare(s, &running);
        if (choice == RESTART_CANCEL)
            return KL_EXIT_HELD;
        if (choice == RESTART_ATTACH)
            return show_dashboard(s, note, fitness == KL_TERM_DUMB);
        if (!restart_finish(s->args.csv))
            return KL_EXIT_HELD;
    }
    if (fitness == KL_TERM_DUMB)
        return run_station(s);
    return run_behind_dashboard(s, note);
}

static int start(int argc, char **argv, bool demo)
{
    static struct station s;
    char error[KL_TEXT_MAX] = "";

    s.demo = demo;
    s.ready = -1;
    if (!station_options_parse(argv + (argc > 0), &s.args, error))
        return command_wrong(&kl_command_station, error);
    s.human = s.args.events && strcmp(s.args.events, "-") == 0 ? stderr : stdout;
    if (s.args.help)
        return command_help(&kl_command_station);
    if (s.args.version)
        return about_version(s.args.stub, s.args.json);
    if (s.args.list_faults)
        return about_faults(s.args.color, s.args.json);
    if (!lock_phrase(s.args.lock, s.args.lock_phrase,
                     config_typed(&kl_station_options, "lock-phrase"), s.phrase, error))
        return command_wrong(&kl_command_station, error);
    if (s.args.headless || s.human == stderr || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return run_station(&s);
    return start_on_terminal(&s);
}

int kl_cli_station(int argc, char **argv)
{
    return start(argc, argv, false);
}

int kl_cli_station_demo(int argc, char **argv)
{
    return start(argc, argv, true);
}
