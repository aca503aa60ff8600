/* cli_keys.c: `keyline keys …`: what became of each key, also while a station runs. */
#include "cli_keys.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "config_files.h"

struct args {
    const char *csv, *journal, *state, *mac, *label, *reason, *config;
    bool header, json, as_csv, fix, help;
    struct keys_export_args export;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE", "the keys (default keys.csv); --csv_file too"),
    FLAG("csv-header", header, "its first row is a header"),
    TEXT("journal", journal, "DIR", "where their second record is, if the station has --journal"),
    TYPED_FLAG("json", 0, json, "as JSON"),
    TYPED_FLAG("csv", 0, as_csv, "as CSV (history, export)"),
    TYPED_TEXT("state", state, "STATE", "list: only free, reserved, provisioned or blocked keys"),
    TYPED_TEXT("mac", mac, "MAC", "history, release: only this board"),
    TYPED_TEXT("label", label, "LABEL", "history: only this key; release: the one to release"),
    TYPED_TEXT("reason", reason, "TEXT", "release: why; the ledger keeps it"),
    {.name = "as",
     .type = OPT_CHOICE,
     .at = AT(export.as),
     .value = "tts|chirpstack|aws-lorawan|aws-things|thingpark|template",
     .help = "export: in the form that this network takes (docs/exports.md);\nlint: whether all "
             "rows fit that form",
     .typed_only = true},
    {.name = "map",
     .type = OPT_LIST,
     .at = AT(export.maps),
     .value = "FIELD=COLUMN",
     .help = "export, lint: which column is what, any number of times: dev_eui=2,app_key=4",
     .typed_only = true},
    {.name = "set",
     .type = OPT_LIST,
     .at = AT(export.sets),
     .value = "FIELD=VALUE",
     .help = "export, lint: what is the same for all keys, any number of times",
     .typed_only = true},
    TYPED_TEXT("template", export.template, "FILE",
               "export, lint: a text of your own, --as template"),
    TYPED_FLAG("public", 0, export.public,
               "export: leave out what is secret; with texts for QR codes"),
    TYPED_FLAG("secrets", 0, export.secrets,
               "export: write secrets into a new file, readable by its owner only (-o)"),
    {.name = "output",
     .type = OPT_TEXT,
     .at = AT(export.output),
     .value = "FILE",
     .help = "export, sign-key: a new file; one that exists is never written over",
     .letter = 'o',
     .typed_only = true},
    TYPED_TEXT("since", export.since, "TIME",
               "export: only keys proved since then, UTC: 2026-03-01 or 2026-03-01T07:55:10Z"),
    TYPED_FLAG("signed", 0, export.is_signed,
               "export: with a signature in FILE.minisig; needs --sign-key and -o"),
    TYPED_TEXT("sign-key", export.sign_key, "FILE",
               "export: the secret key, of sign-key or minisign"),
    TYPED_TEXT("password-file", export.password_file, "FILE",
               "export, sign-key: its first line is the key's password"),
    TYPED_FLAG("no-password", 0, export.no_password, "sign-key: do not encrypt the new key"),
    TYPED_FLAG("fix", 0, fix, "lint: write what can be mended to FILE.fixed, beside the file"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_keys = {
    .name = "keys",
    .run = kl_cli_keys,
    .options = OPTION_TABLE(options),
    .words = "WHAT [--csv-file FILE] [options]",
    .verbs = "status|list|history|release|export|sign-key|audit|accept|lint",
    .summary = "what became of each key",
    .about =
        "  status            how many keys are free, reserved, provisioned, in doubt\n"
        "  list              every key and its state\n"
        "  history           every attempt and every change, oldest first\n"
        "  release LABEL --reason TEXT [--mac M]\n"
        "                    makes a reserved key free again; the reason is kept.\n"
        "                    Be sure that the board it was reserved for did not get it.\n"
        "                    Refused while that board is on the bench.\n"
        "  export            who got what: label, MAC, time, bundle, station; or\n"
        "                    provisioned keys for a network: --as, --secrets\n"
        "  sign-key          a new pair of keys to sign exports with: NAME.key, NAME.pub\n"
        "  audit             what is certain, what is in doubt and why\n"
        "  accept [NUMBER]   says yes to what a running station asks about its list: rows that\n"
        "                    can't be keys, rows that are missing, another list, a new label.\n"
        "                    Without a terminal it takes the number that it shows\n"
        "  lint [FILE]       rows that can't be keys, and why",
    .after = "exit status: 0 done, 2 usage, 3 no such key or a bad CSV, 4 the station refused,\n"
             "             6 the ledger can't be read or written, 7 audit: something is in doubt,\n"
             "             accept: nothing was answered\n"
             "\n"
             "What lint finds, and the station's --accept takes:\n"
#define X(name, word, text, advice) "  " word ": " text "\n"
    KL_CSV_KINDS(X)
#undef X
        ,
};

struct verb {
    const char *name;
    int (*run)(const struct keys_args *a);
    const char *takes; /* those options that only some verbs take and this one does */
};

static const struct verb verbs[] = {
    {"status", keys_status, " json "},
    {"list", keys_list, " json state "},
    {"history", keys_history, " json csv mac label "},
    {"release", keys_release, " mac reason label "},
    {"export", keys_export,
     " json csv as map set template public secrets output signed sign-key password-file since "},
    {"sign-key", keys_sign_key, " output password-file no-password "},
    {"audit", keys_audit, " json "},
    {"accept", keys_accept, " "},
    {"lint", keys_lint, " fix as map set template public "},
};

static int wrong(const char *what, const char *which)
{
    char text[KL_TEXT_MAX];

    kl_format(text, sizeof text, "%s%s", what, which);
    return command_wrong(&kl_command_keys, text);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* The first typed option that this verb does not take; NULL if there is none. */
static const char *senseless(const struct verb *verb)
{
    static const char *const some[] = {
        "json",   "csv",      "state",         "mac",         "label",  "reason",  "fix",
        "as",     "map",      "set",           "template",    "public", "secrets", "output",
        "signed", "sign-key", "password-file", "no-password", "since"};

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        char word[32];
        kl_format(word, sizeof word, " %s ", some[i]);
        if (!strstr(verb->takes, word) && config_typed(kl_command_keys.options, some[i]))
            return some[i];
    }
    return NULL;
}

static bool take_mac(struct keys_args *a, const char *text)
{
    struct kl_mac mac;

    if (!kl_mac_parse(text, &mac))
        return false;
    kl_mac_format(&mac, a->mac_text);
    a->mac = a->mac_text;
    return true;
}

static int run_verb(const struct args *args, const struct option_list *words)
{
    const struct verb *verb = words->count ? find_verb(words->item[0]) : NULL;
    struct keys_args a = {.csv = args->csv,
                          .journal = args->journal,
                          .header = args->header,
                          .format = args->as_csv ? KEYS_CSV
                                    : args->json ? KEYS_JSON
                                                 : KEYS_TEXT,
                          .state = args->state,
                          .label = args->label,
                          .reason = args->reason,
                          .fix = args->fix,
                          .export = args->export};

    if (args->mac && !take_mac(&a, args->mac))
        return wrong("this is no MAC like 24:0a:c4:00:00:01: ", args->mac);
    if (!verb)
        return wrong(
            "which? status, list, history, release, export, sign-key, audit, accept or lint", "");
    if (verb->run == keys_release && words->count > 1) {
        if (words->count > 2 || a.label)
            return wrong("one label at a time", "");
        a.label = words->item[1];
    } else if (verb->run == keys_lint && words->count == 2) {
        a.csv = words->item[1];
    } else if (verb->run == keys_accept && words->count == 2) {
        a.question = words->item[1];
    } else if (words->count > 1) {
        return wrong("what is meant by ", words->item[words->count - 1]);
    }
    if (senseless(verb))
        return wrong("this option does not go with that command: --", senseless(verb));
    if (args->json && args->as_csv)
        return wrong("--json or --csv, not both", "");
    return verb->run(&a);
}

int kl_cli_keys(int argc, char **argv)
{
    struct args args = {.csv = "keys.csv", .export.as = -1};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_keys.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_keys, error);
    return args.help ? command_help(&kl_command_keys) : run_verb(&args, &words);
}
