/*
 * cli_station.c: `keyline [options]`: reads everything that can be wrong before any board is
 * touched, then runs the bench; headless, or as a background process with a dashboard.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli_answers.h"
#include "faces/dashboard/dashboard.h"
#include "faces/faces.h"
#include "keyline/cli.h"
#include "keyline/link.h"
#include "keyline/slots_file.h"
#include "report.h"
#include "station_options.h"

/* Everything that the station works with. */
struct station {
    struct station_args args;
    FILE *human; /* where people read: standard output, unless the events go there */
    bool demo;
    int ready; /* whom to tell that the bench runs; -1 = nobody */
    struct kl_bundle *bundle;
    struct kl_stubs *stubs;
    struct kl_store *store;
    struct kl_shell_place places[KL_SLOTS_MAX];
    uint32_t usb_ids[OPTION_LIST_MAX];
    const char *serial[OPTION_LIST_MAX]; /* --port, the serial ones */
    struct kl_shell_options shell;
};

static void complain(const char *text)
{
    fprintf(stderr, "keyline: %s\n", text);
}

static int usage(const char *text)
{
    fprintf(stderr, "keyline: %s\ntry: keyline --help\n", text);
    return KL_EXIT_USAGE;
}

/* ---- ports ------------------------------------------------------------------------------------
 */

static int add_place(struct station *s, const char *name, const char *target)
{
    struct kl_shell_place *p;

    if (s->shell.place_count == KL_SLOTS_MAX)
        return usage("more ports than slots");
    p = &s->places[s->shell.place_count++];
    kl_copy(p->name, sizeof p->name, name);
    if (!kl_copy(p->target, sizeof p->target, target))
        return usage("a port's name is too long");
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
        return usage(text);
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
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < s->args.usb_ids.count; i++) {
        if (!kl_ports_parse_id(s->args.usb_ids.item[i], &s->usb_ids[i])) {
            kl_format(text, sizeof text, "--usb-id %s: it is written like 10c4:ea60",
                      s->args.usb_ids.item[i]);
            return usage(text);
        }
    }
    return KL_EXIT_OK;
}

/* Ports that were named are the only ones; else every board's port on the USB. */
static int find_ports(struct station *s)
{
    const struct station_args *a = &s->args;
    int status = take_usb_ids(s);

    if (status == KL_EXIT_OK && a->slots)
        status = take_slots(s);
    for (unsigned i = 0; i < a->ports.count && status == KL_EXIT_OK; i++)
        status = take_port(s, a->ports.item[i]);
    s->shell.places = s->places;
    s->shell.rules.extra_ids = s->usb_ids;
    s->shell.rules.extra_id_count = a->usb_ids.count;
    s->shell.rules.exclude = a->exclude.item;
    s->shell.rules.exclude_count = a->exclude.count;
    s->shell.rules.only = s->serial;
    s->shell.hotplug = a->ports.count == 0 || s->shell.rules.only_count > 0;
    return status;
}

/* ---- what is read before any board is touched -------------------------------------------------
 */

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
    struct kl_bundle_options options = station_bundle_options(a, chip);
    char note[KL_TEXT_MAX] = "";

    s->bundle = kl_bundle_load(&options, &report);
    for (unsigned i = 0; i < report.warning_count; i++)
        fprintf(stderr, "keyline: warning: %s\n", report.warning[i]);
    for (unsigned i = 0; i < report.problem_count; i++)
        complain(report.problem[i]);
    if (!s->bundle)
        return KL_EXIT_INPUT;
    print_bundle(s->human, s->bundle);
    s->stubs = kl_stubs_load(a->stub, note);
    if (note[0])
        fprintf(s->human, "%s\n", note);
    return KL_EXIT_OK;
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

static int open_store(struct station *s)
{
    char digest[65];
    struct kl_store_options options = {
        .csv = s->args.csv,
        .header = s->args.csv_header,
        .bundle_digest = digest,
        .journal = s->args.journal,
        .answers = answers(&s->args),
    };
    enum kl_exit exit;

    for (size_t i = 0; i < 32; i++)
        kl_format(digest + 2 * i, 3, "%02x", s->bundle->digest[i]);
    exit = answers_open(&options, !s->args.headless, &s->store);
    if (exit == KL_EXIT_OK && !kl_report_keys(s->human, s->args.csv, kl_store_content(s->store)))
        return KL_EXIT_INPUT;
    return exit;
}

static int prepare(struct station *s)
{
    const struct kl_chip *chip = s->args.chip ? kl_chip_by_slug(s->args.chip) : NULL;
    char text[KL_TEXT_MAX];
    int status;

    if (s->args.chip && !chip) {
        kl_format(text, sizeof text, "--chip %s: no such chip; try esp32 or esp32s3", s->args.chip);
        return usage(text);
    }
    if ((status = find_ports(s)) != KL_EXIT_OK ||
        (status = load_images(s, chip ? chip->id : KL_CHIP_NONE)) != KL_EXIT_OK ||
        (status = open_store(s)) != KL_EXIT_OK)
        return status;
    s->shell.store = s->store;
    s->shell.station = (struct kl_station_config){
        .bundle = s->bundle,
        .stubs = s->stubs,
        .chip = chip ? chip->id : KL_CHIP_NONE,
        .baud_max = (uint32_t)s->args.baud,
        .confirm = s->args.confirm ? KL_CONFIRM_ACK : KL_CONFIRM_READBACK,
        .prompt_timeout = s->args.prompt_timeout,
        .ack_timeout = s->args.ack_timeout,
        .settle = s->args.settle,
        .retries = (int)s->args.retries,
        .once = s->args.once,
        .count = (uint32_t)s->args.count,
        .max_flashing = (unsigned)s->args.max_flashing,
        .warn_keys = (uint32_t)s->args.warn_keys,
        .fixture = s->args.fixture,
        .sha256 = kl_sha256,
    };
    return KL_EXIT_OK;
}

/* ---- running ----------------------------------------------------------------------------------
 */

struct faces {
    struct headless *headless;
    struct events *events;
    struct logdir *logdir;
    struct hook *hook;
    struct server *server;
};

static void hello(const struct station *s, struct kl_wire_hello *h)
{
    *h = (struct kl_wire_hello){.protocol = KL_WIRE_PROTOCOL, .version = KEYLINE_VERSION};
    kl_copy(h->csv, sizeof h->csv, s->args.csv);
    kl_copy(h->firmware, sizeof h->firmware, s->bundle->file);
    kl_copy(h->project, sizeof h->project, s->bundle->project);
    kl_copy(h->project_version, sizeof h->project_version, s->bundle->version);
    kl_copy(h->chip, sizeof h->chip, kl_chip(s->bundle->chip)->name);
    gethostname(h->station, sizeof h->station - 1);
}

/* What was printed at the start lies under the dashboard. */
static void tell_warnings(const struct station *s, struct kl_shell *sh)
{
    const struct kl_store_content *content = kl_store_content(s->store);
    char text[KL_TEXT_MAX];

    kl_report_lost_ledger(s->args.csv, content, text);
    if (text[0])
        kl_shell_tell(sh, text);
    if (content->warning[0])
        kl_shell_tell(sh, content->warning);
}

static int create_faces(struct station *s, struct kl_shell *sh, struct faces *f)
{
    const struct station_args *a = &s->args;
    struct kl_wire_hello h;
    char error[KL_TEXT_MAX] = "";

    hello(s, &h);
    f->server = server_create(sh, a->csv, &h, error);
    if (!f->server) {
        complain(error);
        if (s->ready >= 0)
            return KL_EXIT_STORE; /* nobody could reach this station */
    }
    if (a->events && !(f->events = events_create(sh, a->events, error))) {
        complain(error);
        return KL_EXIT_USAGE;
    }
    if (a->log_dir && !(f->logdir = logdir_create(sh, a->log_dir, error))) {
        complain(error);
        return KL_EXIT_USAGE;
    }
    if (a->on_result)
        f->hook = hook_create(sh, a->on_result);
    if (s->ready < 0)
        f->headless = headless_create(sh, fileno(s->human));
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
    if (f->server)
        server_free(f->server);
    return gone;
}

/* From here on nobody's terminal is ours. */
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
    KL_ASSERT(sh != NULL);
    status = create_faces(s, sh, &faces);
    fflush(s->human);
    if (status != KL_EXIT_OK)
        _exit(status); /* nothing was begun */
    if (s->ready >= 0)
        leave_terminal(s);
    status = kl_shell_run(sh);
    if (faces.server)
        server_close(faces.server);
    if (!kl_shell_destroy(sh) || !free_faces(&faces))
        _exit(status); /* a worker hangs in a port or a pipe: what is durable stays durable */
    uv_loop_close(&loop);
    return status;
}

static int run_station(struct station *s)
{
    int status;

    kl_process_harden();
    status = prepare(s);
    if (status == KL_EXIT_OK)
        status = run_bench(s);
    else if (s->store)
        kl_store_free(s->store);
    kl_stubs_free(s->stubs);
    kl_bundle_free(s->bundle);
    return status;
}

/* ---- with a dashboard -------------------------------------------------------------------------
 */

static int show_dashboard(const struct station *s)
{
    const struct station_args *a = &s->args;
    struct kl_dashboard_options options = {
        .csv = a->csv,
        .ascii = a->ascii,
        .mono = a->no_colour,
        .read_only = a->read_only,
        .bell = a->bell,
        .phrase = a->phrase,
        .demo = s->demo,
        .wait_ms = 2000,
    };
    char error[256] = "";
    int status = kl_dashboard_run(&options, error);

    if (error[0])
        complain(error);
    return status;
}

static int run_behind_dashboard(struct station *s)
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
        return show_dashboard(s);
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        return WEXITSTATUS(status);
    return KL_EXIT_STORE;
}

static int list_faults(void)
{
    printf("| reason | what happened | what to do | by itself |\n| --- | --- | --- | --- |\n");
    for (int r = KL_FAULT_NONE + 1; r < KL_FAULT_COUNT; r++) {
        struct kl_fault_info info = kl_fault_info((enum kl_reason)r);
        static const char *const ways[] = {
            [KL_POLICY_STOP] = "stays for a person",
            [KL_POLICY_RECONNECT] = "again with the next reset sequence",
            [KL_POLICY_SLOWER] = "again, one baud rate lower",
            [KL_POLICY_AGAIN] = "again",
            [KL_POLICY_WAIT] = "waits until it clears",
        };
        printf("| `%s` | %s | %s | %s", info.name, info.text, info.advice, ways[info.policy]);
        if (info.retries > 0)
            printf(", %u times", info.retries);
        printf(" |\n");
    }
    return KL_EXIT_OK;
}

static bool a_station_runs(const char *csv)
{
    int fd = kl_wire_connect(csv);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int start(int argc, char **argv, bool demo)
{
    static struct station s;
    char error[KL_TEXT_MAX] = "";

    s.demo = demo;
    s.ready = -1;
    if (!station_options_parse(argv + (argc > 0), &s.args, error))
        return usage(error);
    s.human = s.args.events && strcmp(s.args.events, "-") == 0 ? stderr : stdout;
    if (s.args.help) {
        station_options_help();
        return KL_EXIT_OK;
    }
    if (s.args.version) {
        printf("keyline %s\n", KEYLINE_VERSION);
        return KL_EXIT_OK;
    }
    if (s.args.list_faults)
        return list_faults();
    if (s.args.headless || s.human == stderr || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return run_station(&s);
    if (a_station_runs(s.args.csv))
        return show_dashboard(&s);
    return run_behind_dashboard(&s);
}

int kl_cli_station(int argc, char **argv)
{
    return start(argc, argv, false);
}

int kl_cli_station_demo(int argc, char **argv)
{
    return start(argc, argv, true);
}
