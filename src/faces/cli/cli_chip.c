/* cli_chip.c: `keyline chip`: what one chip's eFuses say. Reads only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "commands.h"
#include "config_files.h"
#include "faces/stream/json_text.h"
#include "keyline/link.h"
#include "keyline/look.h"
#include "keyline/ports.h"
#include "keyline/secret.h"

struct args {
    const char *port, *config;
    bool json, help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TYPED_TEXT("port", port, "PORT",
               "where the board is: /dev/ttyUSB0, a USB place such as 1-1.4.2,\n"
               "rfc2217://host:port or socket://host:port"),
    TYPED_FLAG("json", 0, json, "as JSON"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_chip = {
    .name = "chip",
    .run = kl_cli_chip,
    .options = OPTION_TABLE(options),
    .words = "--port PORT [options]",
    .summary = "what a board's eFuses say: MAC, revision, locks",
    .about = "Shows which chip is at a port, and what its eFuses say: MAC, revision, flash\n"
             "encryption, secure boot, JTAG, download mode, what its key blocks are for. Reads\n"
             "only; the board is reset into its loader, and into its program again.",
    .after = "exit status: 0 shown, 1 the chip can't be read, 2 usage\n",
};

enum {
    PORTS_MAX = 256
};

/* ---- the look ---- */

struct session {
    uv_loop_t loop;
    uv_timer_t timer;
    struct kl_link *link;
    struct kl_look *look;
    enum kl_link_kind kind;
    uint32_t request;
    bool started, closing;
    char error[KL_TEXT_MAX];
};

static kl_us now_us(void)
{
    return (kl_us)(uv_hrtime() / 1000);
}

static void end(struct session *s)
{
    if (s->closing)
        return;
    s->closing = true;
    uv_close((uv_handle_t *)&s->timer, NULL);
    kl_link_close(s->link);
}

static void on_timer(uv_timer_t *timer);

/* Passes on what the look asks for, and sleeps until it wants to be woken. */
static void pump(struct session *s)
{
    struct kl_look_result result;
    struct kl_io io;
    kl_us wait;

    if (!s->started || s->closing)
        return;
    while (kl_look_next(s->look, &io))
        kl_link_io(s->link, ++s->request, &io);
    kl_look_result(s->look, &result);
    if (result.over) {
        end(s);
        return;
    }
    wait = kl_look_deadline(s->look) - now_us();
    uv_timer_start(&s->timer, on_timer, wait > 0 ? (uint64_t)(wait / 1000 + 1) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct session *s = timer->data;

    kl_look_tick(s->look, now_us());
    pump(s);
}

static void on_opened(void *ctx, enum kl_open_result result, const char *text)
{
    struct session *s = ctx;

    if (result != KL_OPEN_OK) {
        kl_copy(s->error, sizeof s->error, text && text[0] ? text : "the port can't be opened");
        end(s);
        return;
    }
    s->started = true;
    kl_look_start(s->look, s->kind, now_us());
    pump(s);
}

static void on_rx(void *ctx, const uint8_t *data, size_t size)
{
    struct session *s = ctx;

    if (s->started)
        kl_look_rx(s->look, data, size, now_us());
    pump(s);
}

static void on_io_done(void *ctx, uint32_t request, bool ok)
{
    struct session *s = ctx;

    (void)request; /* only one request at a time is under way */
    kl_look_io_done(s->look, ok, now_us());
    pump(s);
}

static void on_lost(void *ctx, const char *text)
{
    struct session *s = ctx;

    kl_copy(s->error, sizeof s->error, text && text[0] ? text : "the port vanished");
    end(s);
}

static void on_closed(void *ctx)
{
    ((struct session *)ctx)->link = NULL;
}

static const struct kl_link_events events = {
    .opened = on_opened, .rx = on_rx, .io_done = on_io_done, .lost = on_lost, .closed = on_closed};

/* A USB place becomes its device; a device's USB id tells how it is reset. */
static bool resolve(const char *port, char path[KL_PORT_MAX], enum kl_link_kind *kind)
{
    static struct kl_port_info found[PORTS_MAX];
    bool known = kl_link_kind_of(port, kind);
    int count;

    if (known && strstr(port, "://"))
        return kl_copy(path, KL_PORT_MAX, port);
    count = kl_ports_list(found, PORTS_MAX, &(struct kl_port_rules){.extra_id_count = 0});
    for (int i = 0; i < count && i < PORTS_MAX; i++) {
        if (strcmp(found[i].path, port) != 0 && strcmp(found[i].topology, port) != 0)
            continue;
        *kind = found[i].link;
        return kl_copy(path, KL_PORT_MAX, found[i].path);
    }
    return known && kl_copy(path, KL_PORT_MAX, port);
}

/* The memory of the look stays for its result. */
static bool look_at(struct session *s, const char *port)
{
    char path[KL_PORT_MAX];

    if (!resolve(port, path, &s->kind)) {
        kl_copy(s->error, sizeof s->error, "there is no such port; keyline ports lists them");
        return false;
    }
    if (uv_loop_init(&s->loop) != 0 || !(s->look = kl_secret_alloc(kl_look_size()))) {
        kl_copy(s->error, sizeof s->error, "out of memory");
        return false;
    }
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = s;
    s->link = kl_link_open(&s->loop, path, 115200, &events, s);
    if (!s->link) {
        kl_copy(s->error, sizeof s->error, "this is no port that keyline can open");
        uv_close((uv_handle_t *)&s->timer, NULL);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    return s->error[0] == '\0';
}

/* ---- what is shown ---- */

static const char *yes(bool on)
{
    return on ? "on" : "off";
}

static void show_locks(const struct kl_efuse_facts *f)
{
    printf("flash encryption  %s", yes(f->flash.encrypted));
    if (f->flash.encrypted)
        fputs(f->flash.release_mode ? " for good" : ", can be switched off", stdout);
    printf(" (count 0x%x)\nsecure boot       %s%s\n", f->flash.crypt_count, yes(f->boot.secure),
           f->boot.secure_v1 ? " (V1)" : "");
    for (unsigned i = 0; i < 3; i++)
        if (f->boot.revoked[i])
            printf("                  digest %u is revoked\n", i);
    printf("JTAG              %s%s\n",
           f->jtag.off        ? "off for good"
           : f->jtag.soft_off ? "off until a key opens it"
                              : "open",
           f->jtag.usb_off ? ", none over USB" : "");
    printf("download mode     %s%s%s\n",
           f->download.off      ? "off for good"
           : f->download.secure ? "secure: few commands"
                                : "open",
           f->download.manual_encrypt_off ? ", does not encrypt" : "",
           f->download.usb_serial_off ? ", no USB serial port" : "");
    for (unsigned i = 0; i < f->key_count; i++)
        printf("key block %u       %s%s\n", i, f->key[i].purpose,
               f->key[i].read_protected ? ", can't be read" : "");
}

static void show_lines(const struct kl_look_result *r, const struct kl_efuse_facts *f)
{
    char mac[18];

    kl_mac_format(&r->identity.mac, mac);
    printf("chip              %s", kl_chip(r->identity.chip)->name);
    if (r->words.block0 || r->identity.chip == KL_CHIP_ESP8266)
        printf(", revision %u.%u\nMAC               %s\n", r->identity.revision / 100u,
               r->identity.revision % 100u, mac);
    else
        printf("\nMAC               not told in secure download mode\n");
    if (r->words.block0 || r->words.info)
        show_locks(f);
    else
        puts("locks             this chip has none");
}

static json_t *keys_as_json(const struct kl_efuse_facts *f)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < f->key_count; i++)
        json_array_append_new(all, json_pack("{s:i, s:s, s:b}", "block", (int)i, "purpose",
                                             f->key[i].purpose, "read_protected",
                                             f->key[i].read_protected));
    return all;
}

static json_t *locks_as_json(const struct kl_efuse_facts *f)
{
    return json_pack(
        "{s:{s:b, s:b, s:i}, s:{s:b, s:b, s:[b,b,b]}, s:{s:b, s:b, s:b}, s:{s:b, s:b, s:b, s:b}, "
        "s:o}",
        "flash_encryption", "on", f->flash.encrypted, "for_good", f->flash.release_mode, "count",
        (int)f->flash.crypt_count, "secure_boot", "on", f->boot.secure, "v1", f->boot.secure_v1,
        "revoked", f->boot.revoked[0], f->boot.revoked[1], f->boot.revoked[2], "jtag", "off",
        f->jtag.off, "soft_off", f->jtag.soft_off, "usb_off", f->jtag.usb_off, "download", "off",
        f->download.off, "secure", f->download.secure, "encrypts", !f->download.manual_encrypt_off,
        "usb_serial_off", f->download.usb_serial_off, "keys", keys_as_json(f));
}

static void show_json(const char *port, const struct kl_look_result *r,
                      const struct kl_efuse_facts *f)
{
    bool told = r->words.block0 || r->identity.chip == KL_CHIP_ESP8266;
    json_t *root = json_object();
    char text[18];

    json_object_set_new(root, "port", kl_json_text(port));
    json_object_set_new(root, "chip", json_string(kl_chip(r->identity.chip)->slug));
    kl_mac_format(&r->identity.mac, text);
    json_object_set_new(root, "mac", told ? json_string(text) : json_null());
    snprintf(text, sizeof text, "%u.%u", r->identity.revision / 100u, r->identity.revision % 100u);
    json_object_set_new(root, "revision", told ? json_string(text) : json_null());
    json_object_set_new(root, "locks",
                        r->words.block0 || r->words.info ? locks_as_json(f) : json_null());
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static int show(const struct args *a, const struct session *s)
{
    struct kl_look_result r;
    struct kl_efuse_facts facts;

    kl_look_result(s->look, &r);
    if (r.fault->reason != KL_FAULT_NONE) {
        struct kl_fault_info info = kl_fault_info(r.fault->reason);
        fprintf(stderr, "keyline chip: %s: %s%s%s%s\n", a->port, info.text,
                r.fault->detail[0] ? " (" : "", r.fault->detail, r.fault->detail[0] ? ")" : "");
        fprintf(stderr, "What to do: %s\n", info.advice);
        return KL_EXIT_FAILED;
    }
    kl_efuse_decode(kl_chip(r.identity.chip), r.identity.revision, &r.words, &facts);
    if (a->json)
        show_json(a->port, &r, &facts);
    else
        show_lines(&r, &facts);
    return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}

int kl_cli_chip(int argc, char **argv)
{
    static struct session s;
    struct args a = {.port = NULL};
    char error[KL_TEXT_MAX];
    int status = KL_EXIT_FAILED;

    s = (struct session){.link = NULL};
    if (!config_parse(kl_command_chip.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_chip, error);
    if (a.help)
        return command_help(&kl_command_chip);
    if (!a.port)
        return command_wrong(&kl_command_chip, "say where the board is: --port PORT");
    if (look_at(&s, a.port))
        status = show(&a, &s);
    else
        fprintf(stderr, "keyline chip: %s: %s\n", a.port, s.error);
    kl_secret_free(s.look, kl_look_size());
    return status;
}
