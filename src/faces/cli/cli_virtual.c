/* cli_virtual.c: `keyline virtual`: virtual boards as RFC 2217 ports (docs/virtual.md). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "keyline/demo_images.h"
#include "keyline/virtual_server.h"

enum {
    LINE_MAX_SIZE = 4096,
};

struct app {
    uv_loop_t loop;
    struct kl_vserver *server;
    struct kl_vserver_config config;
    enum kl_chip_id chips[KL_VSERVER_BOARDS_MAX];
    const char *firmware[KL_VSERVER_BOARDS_MAX];
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

struct args {
    const char *images, *listen, *chip, *mac, *firmware, *state, *replace;
    struct option_list faults;
    long boards, flash_size, fields, usb_latency, seed;
    kl_us replug;
    bool pace, faults_stay, list_faults, list_firmware, control, help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    NUMBER("boards", boards, "N", 1, KL_VSERVER_BOARDS_MAX, "how many (default 1)"),
    TEXT("listen", listen, "HOST:PORT",
         "board 1's port; the others follow (default 127.0.0.1:4000; 0 = any)"),
    TEXT("chip", chip, "CHIPS", "esp32, or several, taken in turn: esp32,esp32s3,esp32c3"),
    NUMBER("flash-size", flash_size, "MB", 1, 128, "of each board's flash (default 4)"),
    TEXT("mac", mac, "MAC", "of board 1; the others count up"),
    TEXT("firmware", firmware, "NAMES",
         "keyline, digest, original, silent or one that prints things its own way;\n"
         "several are taken in turn (default keyline)"),
    TYPED_FLAG("list-firmware", 0, list_firmware, "prints all names for --firmware"),
    NUMBER("fields", fields, "N", 1, KL_FIELDS_MAX,
           "fields that the firmware expects (default any)"),
    TEXT("state", state, "DIR", "keeps what the boards hold, and says it to checkers"),
    FLAG("pace", pace, "bytes, erasing and programming take their real time"),
    NUMBER("usb-latency", usb_latency, "MS", 0, 1000, "with --pace (default 1)"),
    LIST("fault", faults, "[N:]FAULTS",
         "faults for all boards, or for board N; may be given many times"),
    FLAG("faults-stay", faults_stay, "boards that replace others have the same faults"),
    TYPED_FLAG("list-faults", 0, list_faults, "prints them all"),
    TEXT("replace", replace, "auto|S",
         "takes a board that holds its key away, 3 or S seconds after the last\n"
         "word from the host, and plugs in a fresh one a second later"),
    SECONDS("replug", replug, 0.001, 86400,
            "a board that a fault unplugged comes back after S seconds"),
    NUMBER("seed", seed, "N", 0, INT32_MAX, "for faults drawn at random"),
    TYPED_TEXT("images", images, "DIR",
               "writes a firmware.bin that these boards run, with its bootloader and\n"
               "partition table, for the first --chip; then ends"),
    FLAG("control", control, "takes commands on stdin: help prints them"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_virtual = {
    .name = "virtual",
    .run = kl_cli_virtual,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "virtual boards as network ports",
    .about = "Serves virtual ESP boards as RFC 2217 ports: ROM loader, stub, flash, firmware.",
    .after =
        "exit status: 0 ended by a signal or quit, 2 usage, 3 a port can't be had, or a list of\n"
        "             faults or the state folder is bad\n",
};

static const char commands[] =
    "unplug N | plug N | replace N | fault N LIST | flash N FILE | put N OFFSET FILE | show N |\n"
    "quit\n";

/* ---- options ---- */

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

    for (unsigned i = 0; (name = kl_vboard_firmware(i)); i++)
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

static bool take_replace(struct app *a, const char *text)
{
    a->config.replace_gap = KL_SEC(1);
    if (strcmp(text, "auto") != 0)
        return seconds(text, &a->config.replace_after);
    a->config.replace_after = KL_SEC(3);
    return true;
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

static bool take_all(struct app *a, const struct args *args, char error[KL_TEXT_MAX])
{
    const char *name = NULL, *text = NULL;

    if (args->listen && !take_listen(a, args->listen))
        name = "listen", text = args->listen;
    else if (args->chip && !take_chips(a, args->chip))
        name = "chip", text = args->chip;
    else if (args->mac && !kl_mac_parse(args->mac, &a->config.mac))
        name = "mac", text = args->mac;
    else if (args->firmware && !take_firmware(a, args->firmware))
        name = "firmware", text = args->firmware;
    else if (args->replace && !take_replace(a, args->replace))
        name = "replace", text = args->replace;
    if (name)
        kl_format(error, KL_TEXT_MAX, "--%s does not take '%s'", name, text);
    a->config.boards = (unsigned)args->boards;
    a->config.board.flash_size = (uint32_t)args->flash_size << 20;
    a->config.board.fields = (unsigned)args->fields;
    a->config.board.usb_latency = KL_MS((kl_us)args->usb_latency);
    a->config.board.seed = (uint64_t)args->seed;
    a->config.board.paced = args->pace;
    a->config.state = args->state;
    a->config.faults = args->faults.item;
    a->config.fault_count = args->faults.count;
    a->config.faults_stay = args->faults_stay;
    a->config.replug_after = args->replug;
    a->control = args->control;
    return !name;
}

static int write_images(const struct app *a, const char *folder)
{
    static const struct kl_demo_app app = {
        .project = "blinky", .version = "1.0", .payload = 60 * 1024, .seed = 7};
    enum kl_chip_id chip = a->config.chip_count > 0 ? a->chips[0] : KL_CHIP_ESP32;

    if (!kl_demo_write(folder, chip, &app)) {
        fprintf(stderr, "keyline virtual: %s: %s\n", folder, strerror(errno));
        return KL_EXIT_INPUT;
    }
    printf("%s/firmware.bin is for %s\n", folder, kl_chip(chip)->name);
    return KL_EXIT_OK;
}

/* The exit status if there is nothing more to do, else -1. */
static int parse(struct app *a, char **argv)
{
    static struct args args; /* the boards keep pointing to its texts */
    char error[KL_TEXT_MAX] = "";

    args = (struct args){.boards = 1, .usb_latency = 1};
    if (!options_parse(options, sizeof options / sizeof options[0], argv, &args, error))
        return command_wrong(&kl_command_virtual, error);
    if (args.help)
        return command_help(&kl_command_virtual);
    if (args.list_faults)
        return list_faults();
    if (args.list_firmware)
        return list_firmware();
    if (take_all(a, &args, error) && args.images)
        return write_images(a, args.images);
    return error[0] == '\0' ? -1 : command_wrong(&kl_command_virtual, error);
}

/* ---- running ---- */

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

/* ---- commands on stdin ---- */

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

/* OFFSET FILE */
static bool put_flash(const struct app *a, unsigned n, const char *words)
{
    char *end;
    unsigned long offset = strtoul(words, &end, 0);
    uint8_t piece[4096];
    size_t size;
    bool good = true;

    if (end == words || offset > UINT32_MAX)
        return false;
    FILE *f = fopen(end + strspn(end, " "), "rb");
    if (!f)
        return false;
    for (; good && (size = fread(piece, 1, sizeof piece, f)) > 0; offset += size)
        good = kl_vboard_put_flash(kl_vserver_board(a->server, n), (uint32_t)offset, piece, size);
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
    else if (strcmp(word, "put") == 0)
        return put_flash(a, n, rest);
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
    while (!a->stopping && (end = strchr(a->line, '\n'))) {
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

    *a = (struct app){.config = {.port = 4000,
                                 .host = a->host,
                                 .chips = a->chips,
                                 .firmware = a->firmware,
                                 .event = on_event,
                                 .ctx = a}};
    kl_copy(a->host, sizeof a->host, "127.0.0.1");
    int status = parse(a, argv + (argc > 0));
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
