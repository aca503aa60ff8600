/* cli_pool.c: `keyline pool …`: what the owner of a pool that several stations share does with it.
 */
#include "cli_pool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "config_files.h"

#define AT(member) offsetof(struct pool_args, member)

/* clang-format off */
static const struct option options[] = {
    TEXT("pool", pool, "SERVICE", "the database: a service of libpq (pg_service.conf), a connection text or a URI"),
    TYPED_TEXT("owner", owner, "FILE",
         "the owner's key, or the recovery key: init makes it; import, station, lost,\n"
         "rekey and export --secrets need it"),
    TYPED_TEXT("recovery", recovery, "FILE", "init: makes the recovery key; keep it apart, off line"),
    TYPED_FLAG("plain", 0, plain, "init: no key files; who can read all of the database can read all keys"),
    TYPED_FLAG("upgrade", 0, upgrade, "init: bring the schema of a pool that is there to this version"),
    {.name = "lease-cap", .type = OPT_NUMBER, .at = AT(lease_cap), .value = "N", .low = 1, .high = 10000,
     .help = "init, station: keys that a station may hold unreported (default 5000)", .typed_only = true},
    FLAG("csv-header", header, "import: the list's first row is a header"),
    {.name = "accept", .type = OPT_LIST, .at = AT(accept), .value = "KIND",
     .help = "import: although rows are suspicious in this way (keyline keys lint)", .typed_only = true},
    TEXT("journal", journal, "DIR", "import: where the list's second record is, if its bench had --journal"),
    TYPED_FLAG("anew", 0, anew, "join: this station was declared lost: put what it had aside, make another key"),
    TYPED_TEXT("key", public_key, "PUBLIC", "station: its public key, as join prints it"),
    TYPED_TEXT("role", role, "ROLE", "station: the database role that it logs in with (default: its name)"),
    {.name = "allot", .type = OPT_NUMBER, .at = AT(allot), .value = "N", .low = 0, .high = 1e9,
     .help = "station: keys that it may get in all (default: no limit)", .typed_only = true},
    TYPED_TEXT("reason", reason, "TEXT", "lost, settle, reopen, close: why; the pool keeps it"),
    TYPED_TEXT("as", settle_as, "WORD",
         "settle: provisioned, spent or free; export: tts, chirpstack, aws-lorawan,\n"
         "aws-things, thingpark or template (docs/exports.md)"),
    TYPED_TEXT("mac", mac, "MAC", "settle --as provisioned: the board (default: the one it was kept for)"),
    {.name = "alarm", .type = OPT_NUMBER, .at = AT(alarm), .value = "N", .low = 1, .high = 1e15,
     .help = "settle: this alarm was looked into", .typed_only = true},
    {.name = "set-aside", .type = OPT_NUMBER, .at = AT(set_aside), .value = "N", .low = 0, .high = 1e9,
     .help = "reopen: the next N free keys become lost first", .typed_only = true},
    {.name = "map", .type = OPT_LIST, .at = AT(export.maps), .value = "FIELD=COLUMN",
     .help = "export: which column is what: dev_eui=2,app_key=4", .typed_only = true},
    {.name = "set", .type = OPT_LIST, .at = AT(export.sets), .value = "FIELD=VALUE",
     .help = "export: what is the same for all keys", .typed_only = true},
    TYPED_TEXT("template", export.template, "FILE", "export: a text of your own, --as template"),
    TYPED_FLAG("public", 0, export.public, "export: leave out what is secret; with texts for QR codes"),
    TYPED_FLAG("secrets", 0, export.secrets, "export: write secrets into a new file, readable by its owner only (-o)"),
    {.name = "output", .type = OPT_TEXT, .at = AT(export.output), .value = "FILE", .letter = 'o',
     .help = "export: a new file; one that exists is never written over", .typed_only = true},
    TYPED_FLAG("signed", 0, export.is_signed, "export: with a signature in FILE.minisig; needs --sign-key and -o"),
    TYPED_TEXT("sign-key", export.sign_key, "FILE", "export: the secret key, of keyline keys sign-key or minisign"),
    TYPED_TEXT("password-file", export.password_file, "FILE", "export: its first line is the signing key's password"),
    TYPED_FLAG("json", 0, json, "status, stations, export: as JSON"),
    TYPED_FLAG("csv", 0, as_csv, "export: as CSV"),
    TYPED_FLAG("yes", 0, yes, "no question before what can't be undone"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};
/* clang-format on */

const struct command kl_command_pool = {
    .name = "pool",
    .run = kl_cli_pool,
    .options = OPTION_TABLE(options),
    .words = "WHAT --pool SERVICE [options]",
    .verbs = "init|import|join|station|stations|status|lost|rekey|settle|reopen|close|export",
    .summary = "a pool of keys in PostgreSQL that several stations share",
    .about = "  init NAME --owner FILE --recovery FILE\n"
             "                    makes the pool in this database, and the two key files\n"
             "  import FILE.csv --owner FILE\n"
             "                    brings keys; all rows or none, twice does no harm\n"
             "  join              on a station: makes its key, prints the public half\n"
             "  station NAME --key PUBLIC --owner FILE\n"
             "                    lets a station in, or changes its limits\n"
             "  stations, status  who holds what; how the pool is, and its alarms\n"
             "  lost NAME --reason TEXT --owner FILE\n"
             "                    a station is gone for good: what it has not reported is lost\n"
             "                    until it is settled, and the free keys get a new pool key\n"
             "  rekey --owner FILE\n"
             "                    goes on with a new pool key, if lost was broken off\n"
             "  settle            lists the lost keys: what is to be settled\n"
             "  settle LABEL… --as provisioned|spent|free --reason TEXT\n"
             "                    a person has found out what became of lost keys\n"
             "  settle --alarm N --reason TEXT\n"
             "  reopen --reason TEXT\n"
             "                    after a failover, a restored backup, or close\n"
             "  close --reason TEXT\n"
             "                    no more leases until it is reopened\n"
             "  export            who got what; provisioned keys for a network: --as, --secrets\n"
             "docs/fleet.md tells the whole of it.",
    .after =
        "exit status: 0 done, 2 usage, 3 a bad list or key file, 6 the database does not answer,\n"
        "             or can't say whether it was done: the same command again tells,\n"
        "             7 the pool says no: a person has to decide\n",
};

static const struct verb {
    const char *name;
    int (*run)(const struct pool_args *a, const struct option_list *word);
    unsigned least, most; /* words behind it */
    bool reason;          /* needs --reason */
    const char *takes;    /* those options that only some verbs take and this one does */
} verbs[] = {
    {"init", pool_init, 0, 1, false, " owner recovery plain upgrade lease-cap "},
    {"import", pool_import, 1, 1, false, " owner accept "},
    {"join", pool_join, 0, 1, false, " anew yes "},
    {"station", pool_station, 1, 1, false, " owner key role lease-cap allot "},
    {"stations", pool_stations, 0, 0, false, " json "},
    {"status", pool_status, 0, 0, false, " json "},
    {"lost", pool_lost, 1, 1, true, " owner reason yes "},
    {"rekey", pool_rekey, 0, 0, false, " owner "},
    {"settle", pool_settle, 0, OPTION_LIST_MAX, false, " reason as mac alarm yes "},
    {"reopen", pool_reopen, 0, 0, true, " reason set-aside yes "},
    {"close", pool_close, 0, 0, true, " reason "},
    {"export", pool_export, 0, 0, false,
     " owner json csv as map set template public secrets output signed sign-key password-file "},
};

int pool_complain(const char *text, int exit)
{
    fprintf(stderr, "keyline pool: %s\n", text);
    return exit;
}

int pool_exit(enum kl_shared_result result, const char *error)
{
    switch (result) {
    case KL_SHARED_DONE:
        return KL_EXIT_OK;
    case KL_SHARED_INPUT:
        return pool_complain(error, KL_EXIT_INPUT);
    case KL_SHARED_NO:
        return pool_complain(error, KL_EXIT_DOUBT);
    case KL_SHARED_AWAY:
        return pool_complain(error, KL_EXIT_STORE);
    default:
        fprintf(
            stderr,
            "keyline pool: %s\nkeyline pool: it may have been done: the same command again tells\n",
            error);
        return KL_EXIT_STORE;
    }
}

int pool_open(const struct pool_args *a, struct kl_shared **out)
{
    char error[KL_TEXT_MAX];

    *out = NULL;
    if (!kl_shared_ready(error))
        return pool_complain(error, KL_EXIT_USAGE);
    return pool_exit(kl_shared_open(a->pool, out, error), error);
}

int pool_unlock(const struct pool_args *a, struct kl_shared *s)
{
    char error[KL_TEXT_MAX];
    enum kl_shared_result result = kl_shared_unlock(s, a->owner, error);

    if (result == KL_SHARED_INPUT && !a->owner)
        return pool_complain("this needs the owner's key: --owner FILE", KL_EXIT_USAGE);
    return pool_exit(result, error);
}

void pool_progress(const char *what, uint64_t done, uint64_t of)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (of > 0)
        fprintf(stderr, "\r%s: %llu of %llu ", what, (unsigned long long)done,
                (unsigned long long)of);
    else
        fprintf(stderr, "\r%s: %llu ", what, (unsigned long long)done);
    if (done >= of && of > 0)
        fputc('\n', stderr);
}

bool pool_confirm(const struct pool_args *a, const char *what, const char *word)
{
    char typed[KL_TEXT_MAX];

    if (a->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "keyline pool: %s\nkeyline pool: this can't be undone: say --yes\n", what);
        return false;
    }
    fprintf(stderr, "%s\nThis can't be undone. Type %s to go on: ", what, word);
    if (!fgets(typed, sizeof typed, stdin))
        return false;
    typed[strcspn(typed, "\n")] = '\0';
    if (strcmp(typed, word) == 0)
        return true;
    fputs("keyline pool: nothing was done\n", stderr);
    return false;
}

static int wrong(const char *what, const char *which)
{
    char text[KL_TEXT_MAX];

    kl_format(text, sizeof text, "%s%s", what, which);
    return command_wrong(&kl_command_pool, text);
}

/* The first typed option that this verb does not take; NULL if there is none. */
static const char *senseless(const struct verb *verb)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        static const char always[] = " pool csv-header journal config help ";
        char word[32];
        kl_format(word, sizeof word, " %s ", options[i].name);
        if (!strstr(always, word) && !strstr(verb->takes, word) &&
            config_typed(kl_command_pool.options, options[i].name))
            return options[i].name;
    }
    return NULL;
}

static int run_verb(const struct pool_args *a, const struct option_list *words)
{
    struct option_list behind = {.count = words->count > 0 ? words->count - 1 : 0};
    const struct verb *verb = NULL;

    for (size_t i = 0; words->count > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, words->item[0]) == 0)
            verb = &verbs[i];
    if (!verb)
        return wrong("which? ", kl_command_pool.verbs);
    for (unsigned i = 0; i < behind.count; i++)
        behind.item[i] = words->item[i + 1];
    if (behind.count < verb->least)
        return wrong("a name or file is missing behind ", verb->name);
    if (behind.count > verb->most)
        return wrong("what is meant by ", behind.item[behind.count - 1]);
    if (senseless(verb))
        return wrong("this option does not go with that command: --", senseless(verb));
    if (!a->pool || a->pool[0] == '\0')
        return wrong("which pool? --pool SERVICE", "");
    if (verb->reason && (!a->reason || a->reason[0] == '\0'))
        return wrong("why? --reason TEXT; the pool keeps it", "");
    return verb->run(a, &behind);
}

int kl_cli_pool(int argc, char **argv)
{
    struct pool_args args = {.allot = -1, .set_aside = -1, .alarm = -1, .export = {.as = -1}};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_pool.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_pool, error);
    return args.help ? command_help(&kl_command_pool) : run_verb(&args, &words);
}
