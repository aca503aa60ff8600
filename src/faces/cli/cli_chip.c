/* cli_chip.c: `keyline chip`: what one chip's eFuses say. Reads only. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "config_files.h"
#include "faces/stream/json_text.h"
#include "look_port.h"

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

static int show(const struct args *a, const struct look_port *s)
{
    struct kl_look_result r;
    struct kl_efuse_facts facts;

    kl_look_result(s->look, &r);
    if (r.fault->reason != KL_FAULT_NONE) {
        look_port_complain("chip", a->port, r.fault);
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
    static struct look_port s;
    struct args a = {.port = NULL};
    char error[KL_TEXT_MAX];
    int status = KL_EXIT_FAILED;

    s = (struct look_port){.link = NULL};
    if (!config_parse(kl_command_chip.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_chip, error);
    if (a.help)
        return command_help(&kl_command_chip);
    if (!a.port)
        return command_wrong(&kl_command_chip, "say where the board is: --port PORT");
    if (look_port(&s, a.port))
        status = show(&a, &s);
    else
        fprintf(stderr, "keyline chip: %s: %s\n", a.port, s.error);
    look_port_free(&s);
    return status;
}
