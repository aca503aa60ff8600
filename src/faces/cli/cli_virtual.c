/* cli_virtual.c: `keyline virtual`: virtual boards as RFC 2217 ports (docs/virtual.md). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyline/cli.h"
#include "keyline/virtual_server.h"

enum {
    FAULTS_MAX = 64,
    LINE_MAX_SIZE = 4096,
};

struct app {
    uv_loop_t loop;
    struct kl_vserver *server;
    struct kl_vserver_config config;
    enum kl_chip_id chips[KL_VSERVER_BOARDS_MAX];
    const char *firmware[KL_VSERVER_BOARDS_MAX];
    const char *faults[FAULTS_MAX];
    char host[64];
    bool control;
    uv_signal_t interrupt, terminate;
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tty_t tty;
    } input;
    bool input_open, stopping;
    char line[LINE_MAX_SIZE];
    size_t line_size;
};

static const char usage[] =
    "usage: keyline virtual [options]\n"
    "\n"
    "Serves virtual ESP boards as RFC 2217 ports: ROM loader, stub, flash, firmware.\n"
    "\n"
    "  --boards N           how many (default 1, at most 64)\n"
    "  --listen HOST:PORT   board 1's port; the others follow (default 127.0.0.1:4000; 0 = any)\n"
    "  --chip LIST          esp32, or several, taken in turn: esp32,esp32s3,esp32c3\n"
    "  --flash-size MB      (default 4)\n"
    "  --mac MAC            of board 1; the others count up\n"
    "  --firmware LIST      keyline, digest, original, silent or a dialect, or several, taken in\n"
    "                       turn (default keyline); --list-firmware prints them all\n"
    "  --fields N           fields that the firmware expects (default any)\n"
    "  --state DIR          keeps what the boards hold, and says it to checkers\n"
    "  --pace               bytes, erasing and programming take their real time\n"
    "  --usb-latency MS     with --pace (default 1)\n"
    "  --fault [N:]LIST     faults for all boards, or for board N; may be given many times\n"
    "  --faults-stay        boards that replace others have the same faults\n"
    "  --list-faults        prints them all\n"
    "  --replace auto|S     takes a board that holds its key away, 3 or S seconds after the last\n"
    "                       word from the host, and plugs in a fresh one a second later\n"
    "  --replug S           a board that a fault unplugged comes back after S seconds\n"
    "  --seed N             for faults drawn at random\n"
    "  --control            takes commands on stdin: help prints them\n";

static const char commands[] =
    "unplug N | plug N | replace N | fault N LIST | flash N FILE | show N | quit\n";

/* ---- options ----------------------------------------------------------------------------------*/

static bool number(const char *text, unsigned long low, unsigned long high, unsigned long *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoul(text, &end, 0);
    return *end == '\0' && *out >= low && *out <= high;
}

static bool seconds(const char *text, kl_us *out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0.001 && value <= 86400))
        return false;
    *out = (kl_us)(value * 1e6);
    return true;
}

static bool take_listen(struct app *a, const char *text)
{
    const char *colon = strrchr(text, ':');
    unsigned long port;

    if (!colon || !number(colon + 1, 0, 65535, &port))
        return false;
    size_t size = (size_t)(colon - text);
    if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof a->host)
        return false;
    memcpy(a->host, text, size);
    a->host[size] = '\0';
    if (strcmp(a->host, "localhost") == 0)
        kl_copy(a->host, sizeof a->host, "127.0.0.1");
    a->config.port = (uint16_t)port;
    return true;
}

static bool take_chips(struct app *a, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, ",");
        char name[32];
        if (size >= sizeof name || a->config.chip_count == KL_VSERVER_BOARDS_MAX)
            return false;
        memcpy(name, text, size);
        name[size] = '\0';
        const struct kl_chip *chip = kl_chip_by_slug(name);
        if (!chip)
            return false;
        a->chips[a->config.chip_count++] = chip->id;
        text += size;
        text += *text == ',';
    }
    return a->config.chip_count > 0;
}

static const char *firmware_named(const char *text, size_t size)
{
    const char *name;

    for (unsigned i = 0; (name = kl_vboard_firmware(i)) != NULL; i++)
        if (strlen(name) == size && memcmp(name, text, size) == 0)
            return name;
    return NULL;
}

static bool take_firmware(struct app *a, const char *text)
{
    a->config.firmware_count = 0;
    while (*text) {
        size_t size = strcspn(text, ",");
        const char *name = firmware_named(text, size);
        if (!name || a->config.firmware_count == KL_VSERVER_BOARDS_MAX)
            return false;
        a->firmware[a->config.firmware_count++] = name;
        text += size;
        text += *text == ',';
    }
    return a->config.firmware_count > 0;
}

static bool take_fault(struct app *a, const char *text)
{
    if (a->config.fault_count == FAULTS_MAX)
        return false;
    a->faults[a->config.fault_count++] = text;
    return true;
}

static bool take_replace(struct app *a, const char *text)
{
    a->config.replace_gap = KL_SEC(1);
    if (strcmp(text, "auto") != 0)
        return seconds(text, &a->config.replace_after);
    a->config.replace_after = KL_SEC(3);
    return true;
}

enum option_id {
    BOARDS = 256,
    LISTEN,
    CHIP,
    FLASH_SIZE,
    MAC,
    FIRMWARE,
    FIELDS,
    STATE,
    PACE,
    USB_LATENCY,
    FAULT,
    FAULTS_STAY,
    LIST_FAULTS,
    LIST_FIRMWARE,
    REPLACE,
    REPLUG,
    SEED,
    CONTROL,
    HELP,
};

static const struct option options[] = {
    {"boards", required_argument, NULL, BOARDS},
    {"listen", required_argument, NULL, LISTEN},
    {"chip", required_argument, NULL, CHIP},
    {"flash-size", required_argument, NULL, FLASH_SIZE},
    {"mac", required_argument, NULL, MAC},
    {"firmware", required_argument, NULL, FIRMWARE},
    {"fields", required_argument, NULL, FIELDS},
    {"state", required_argument, NULL, STATE},
    {"pace", no_argument, NULL, PACE},
    {"usb-latency", required_argument, NULL, USB_LATENCY},
    {"fault", required_argument, NULL, FAULT},
    {"faults-stay", no_argument, NULL, FAULTS_STAY},
    {"list-faults", no_argument, NULL, LIST_FAULTS},
    {"list-firmware", no_argument, NULL, LIST_FIRMWARE},
    {"replace", required_argument, NULL, REPLACE},
    {"replug", required_argument, NULL, REPLUG},
    {"seed", required_argument, NULL, SEED},
    {"control", no_argument, NULL, CONTROL},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static bool take_figure(struct app *a, int id, const char *text)
{
    unsigned long n;

    switch (id) {
    case BOARDS:
        if (!number(text, 1, KL_VSERVER_BOARDS_MAX, &n))
            return false;
        a->config.boards = (unsigned)n;
        return true;
    case FLASH_SIZE:
        if (!number(text, 1, 128, &n))
            return false;
        a->config.board.flash_size = (uint32_t)n << 20;
        return true;
    case FIELDS:
        if (!number(text, 1, KL_FIELDS_MAX, &n))
            return false;
        a->config.board.fields = (unsigned)n;
        return true;
    case USB_LATENCY:
        if (!number(text, 0, 1000, &n))
            return false;
        a->config.board.usb_latency = KL_MS((kl_us)n);
        return true;
    default:
        if (!number(text, 0, UINT32_MAX, &n))
            return false;
        a->config.board.seed = n;
        return true;
    }
}

static bool take_option(struct app *a, int id, const char *text)
{
    switch (id) {
    case LISTEN:
        return take_listen(a, text);
    case CHIP:
        return take_chips(a, text);
    case MAC:
        return kl_mac_parse(text, &a->config.mac);
    case FIRMWARE:
        return take_firmware(a, text);
    case STATE:
        a->config.state = text;
        return true;
    case PACE:
        a->config.board.paced = true;
        return true;
    case FAULT:
        return take_fault(a, text);
    case FAULTS_STAY:
        a->config.faults_stay = true;
        return true;
    case REPLACE:
        return take_replace(a, text);
    case REPLUG:
        return seconds(text, &a->config.replug_after);
    case CONTROL:
        a->control = true;
        return true;
    default:
        return take_figure(a, id, text);
    }
}

static int list_firmware(void)
{
    for (unsigned i = 0; kl_vboard_firmware(i); i++)
        printf("%s\n", kl_vboard_firmware(i));
    return KL_EXIT_OK;
}

static int list_faults(void)
{
    struct kl_vboard_fault_info info;

    for (unsigned i = 0; kl_vboard_fault_info(i, &info); i++) {
        char name[48];
        snprintf(name, sizeof name, "%s%s", info.name, info.form);
        printf("%-28s %s", name, info.text);
        if (info.usual)
            printf(" (%llu)", (unsigned long long)info.usual);
        printf("\n");
    }
    return KL_EXIT_OK;
}

/* The exit status if there is nothing more to do, else -1. */
static int parse(struct app *a, int argc, char **argv)
{
    int id;

    optind = 1;
    opterr = 0;
    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (id == HELP) {
            fputs(usage, stdout);
            return KL_EXIT_OK;
        }
        if (id == LIST_FAULTS)
            return list_faults();
        if (id == LIST_FIRMWARE)
            return list_firmware();
        if (id == '?') {
            fprintf(stderr, "keyline virtual: %s: unknown, or its value is missing\n",
                    argv[optind - 1]);
            return KL_EXIT_USAGE;
        }
        if (!take_option(a, id, optarg)) {
            fprintf(stderr,
                    "keyline virtual: --%s does not take '%s': see keyline virtual --help\n",
                    options[id - BOARDS].name, optarg);
            return KL_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "keyline virtual: '%s' is not an option\n", argv[optind]);
        return KL_EXIT_USAGE;
    }
    return -1;
}

/* ---- running ----------------------------------------------------------------------------------*/

static void stop(struct app *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    kl_vserver_close(a->server, NULL, NULL);
    uv_close((uv_handle_t *)&a->interrupt, NULL);
    uv_close((uv_handle_t *)&a->terminate, NULL);
    if (a->input_open)
        uv_close((uv_handle_t *)&a->input, NULL);
}

static void on_signal(uv_signal_t *signal, int number_of_it)
{
    (void)number_of_it;
    stop(signal->data);
}

static void print_board(const struct app *a, unsigned n)
{
    struct kl_mac mac = kl_vboard_mac(kl_vserver_board(a->server, n));
    bool six = strchr(a->host, ':') != NULL;
    char text[18];

    kl_mac_format(&mac, text);
    printf("board %u rfc2217://%s%s%s:%u %s %s\n", n, six ? "[" : "", a->host, six ? "]" : "",
           kl_vserver_port(a->server, n), kl_chip(kl_vserver_chip(a->server, n))->slug, text);
}

static void on_event(void *ctx, unsigned board, enum kl_vserver_event_kind kind)
{
    static const char *const words[] = {[KL_VS_CONNECTED] = "connected",
                                        [KL_VS_DISCONNECTED] = "disconnected",
                                        [KL_VS_STORED] = "stored",
                                        [KL_VS_UNPLUGGED] = "unplugged",
                                        [KL_VS_PLUGGED] = "plugged"};
    struct app *a = ctx;

    if (!a->control)
        return;
    printf("event %u %s\n", board, words[kind]);
    if (kind == KL_VS_PLUGGED)
        print_board(a, board);
    fflush(stdout);
}

/* ---- commands on stdin ------------------------------------------------------------------------*/

static bool dump_flash(const struct app *a, unsigned n, const char *path)
{
    uint32_t size;
    const uint8_t *flash = kl_vboard_flash(kl_vserver_board(a->server, n), &size);
    FILE *f = fopen(path, "wb");

    if (!f)
        return false;
    bool good = fwrite(flash, 1, size, f) == size;
    return fclose(f) == 0 && good;
}

static void show(const struct app *a, unsigned n)
{
    const struct kl_vboard *b = kl_vserver_board(a->server, n);

    print_board(a, n);
    printf("plugged %s\nstores %u\nstored %s\ncomplaint %s\n",
           kl_vserver_plugged(a->server, n) ? "yes" : "no", kl_vboard_store_count(b),
           kl_vboard_stored(b), kl_vboard_complaint(b));
}

static bool run_on_board(struct app *a, const char *word, unsigned n, const char *rest,
                         char error[KL_TEXT_MAX])
{
    kl_copy(error, KL_TEXT_MAX, "it did not work");
    if (strcmp(word, "unplug") == 0)
        kl_vserver_unplug(a->server, n);
    else if (strcmp(word, "plug") == 0)
        return kl_vserver_plug(a->server, n);
    else if (strcmp(word, "replace") == 0)
        return kl_vserver_replace(a->server, n);
    else if (strcmp(word, "fault") == 0)
        return kl_vserver_fault(a->server, n, rest, error);
    else if (strcmp(word, "flash") == 0)
        return dump_flash(a, n, rest);
    else if (strcmp(word, "show") == 0)
        show(a, n);
    else {
        kl_copy(error, KL_TEXT_MAX, "unknown command: help lists them");
        return false;
    }
    return true;
}

/* WORD [N [REST]] */
static void run_command(struct app *a, char *line)
{
    char error[KL_TEXT_MAX], *rest = NULL;
    const char *word = strtok_r(line, " \r\n", &rest);
    const char *figure = word ? strtok_r(NULL, " \r\n", &rest) : NULL;
    unsigned long n = 0;

    if (!word)
        return;
    rest += strspn(rest, " ");
    rest[strcspn(rest, "\r\n")] = '\0';
    if (strcmp(word, "quit") == 0) {
        stop(a);
    } else if (strcmp(word, "help") == 0) {
        fputs(commands, stdout);
    } else if (!figure || !number(figure, 1, a->config.boards, &n)) {
        printf("error no such board\n");
    } else if (run_on_board(a, word, (unsigned)n, rest, error)) {
        printf("ok %s %lu\n", word, n);
    } else {
        printf("error %s\n", error);
    }
    fflush(stdout);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct app *a = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(a->line + a->line_size, (unsigned)(sizeof a->line - 1 - a->line_size));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct app *a = stream->data;
    char *end;

    (void)buffer;
    if (n < 0) { /* whoever gave the commands is gone */
        stop(a);
        return;
    }
    a->line_size += (size_t)n;
    a->line[a->line_size] = '\0';
    while (!a->stopping && (end = strchr(a->line, '\n')) != NULL) {
        *end = '\0';
        run_command(a, a->line);
        a->line_size -= (size_t)(end + 1 - a->line);
        memmove(a->line, end + 1, a->line_size + 1);
    }
    if (a->line_size == sizeof a->line - 1)
        a->line_size = 0;
}

static void open_input(struct app *a)
{
    char line[LINE_MAX_SIZE];
    uv_handle_type kind = uv_guess_handle(0);

    if (kind == UV_TTY) {
        a->input_open = uv_tty_init(&a->loop, &a->input.tty, 0, 1) == 0;
    } else if (kind == UV_NAMED_PIPE) {
        uv_pipe_init(&a->loop, &a->input.pipe, 0);
        a->input_open = uv_pipe_open(&a->input.pipe, 0) == 0;
    } else {
        while (!a->stopping && fgets(line, sizeof line, stdin))
            run_command(a, line);
        return;
    }
    a->input.stream.data = a;
    if (a->input_open)
        uv_read_start(&a->input.stream, on_alloc, on_input);
}

static void on_left_over(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int serve(struct app *a)
{
    char error[KL_TEXT_MAX];

    a->server = kl_vserver_create(&a->loop, &a->config, error);
    if (!a->server) {
        fprintf(stderr, "keyline virtual: %s\n", error);
        uv_run(&a->loop, UV_RUN_DEFAULT); /* what was opened closes */
        return KL_EXIT_INPUT;
    }
    for (unsigned i = 1; i <= a->config.boards; i++)
        print_board(a, i);
    printf("ready\n");
    fflush(stdout);
    uv_signal_init(&a->loop, &a->interrupt);
    uv_signal_init(&a->loop, &a->terminate);
    a->interrupt.data = a->terminate.data = a;
    uv_signal_start(&a->interrupt, on_signal, SIGINT);
    uv_signal_start(&a->terminate, on_signal, SIGTERM);
    if (a->control)
        open_input(a);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    return KL_EXIT_OK;
}

int kl_cli_virtual(int argc, char **argv)
{
    static struct app app; /* too large for some stacks; there is one command per process */
    struct app *a = &app;

    *a = (struct app){.config = {.boards = 1,
                                 .port = 4000,
                                 .host = a->host,
                                 .chips = a->chips,
                                 .firmware = a->firmware,
                                 .faults = a->faults,
                                 .event = on_event,
                                 .ctx = a}};
    a->config.board.usb_latency = KL_MS(1);
    kl_copy(a->host, sizeof a->host, "127.0.0.1");
    int status = parse(a, argc, argv);
    if (status >= 0)
        return status;
    uv_loop_init(&a->loop);
    signal(SIGPIPE, SIG_IGN);
    status = serve(a);
    uv_walk(&a->loop, on_left_over, NULL);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_loop_close(&a->loop);
    return status;
}
