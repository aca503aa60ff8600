/*
 * cli_complete.c: `keyline complete -- WORD … LAST`: what LAST may become, one candidate in a line,
 * a tab and its meaning behind it. The shells' completions ask it (src/packaging/completion), so
 * they know what this program knows. ":files" and ":folders" leave the rest to the shell.
 *
 * `keyline complete --man COMMAND [conf]` prints a command's options for the manual pages, as
 * scdoc.
 */
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_files.h"
#include "faces/stream/wire.h"
#include "keyline/ports.h"
#include "keyline/vboard.h"
#include "station_options.h"

enum {
    PORTS_MAX = 64,
    PATIENCE_MS = 500,
};

struct completing {
    const struct command *command; /* NULL = none yet */
    const struct option_table *table;
    const char *verb; /* the command's first word; "" = none */
    const char *csv;
    const char *begin;  /* "--port=" before each candidate, or "" */
    const char *prefix; /* what a candidate has to begin with */
};

static void offer(const struct completing *c, const char *text, size_t size, const char *meaning)
{
    size_t begun = strlen(c->prefix), first = strcspn(meaning, "\n");

    if (size < begun || strncmp(text, c->prefix, begun) != 0)
        return;
    printf("%s%.*s\t%.*s\n", c->begin, (int)size, text, (int)first, meaning);
}

static void offer_text(const struct completing *c, const char *text, const char *meaning)
{
    offer(c, text, strlen(text), meaning);
}

static void offer_choice(const struct completing *c, const char *words)
{
    while (*words) {
        size_t size = strcspn(words, "|");
        offer(c, words, size, "");
        words += size + (words[size] == '|');
    }
}

/* ---- from the running station ---- */

struct heard {
    struct kl_snapshot snap;
    struct kl_wire_message message;
    bool doubts; /* the keys in doubt are in `message` */
};

/* Takes whole lines out of `text`; the size of what is left. */
static size_t take_lines(struct heard *h, char *text, size_t size)
{
    char *at = text, *end = text + size, *newline;

    while (!h->doubts && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        if (!kl_wire_decode(at, (size_t)(newline - at), &h->snap, &h->message))
            return 0;
        h->doubts = h->message.kind == KL_WIRE_IN_DOUBT;
        at = newline + 1;
    }
    memmove(text, at, (size_t)(end - at));
    return (size_t)(end - at);
}

/* The bench and its keys in doubt; false if no station answers. */
static bool hear_station(const char *csv, struct heard *h)
{
    static char text[KL_WIRE_LINE_MAX];
    int fd = kl_wire_connect(csv);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t size = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    while (!h->doubts && size < sizeof text && poll(&wait, 1, PATIENCE_MS) > 0 &&
           (n = read(fd, text + size, sizeof text - size)) > 0)
        size = take_lines(h, text, size + (size_t)n);
    close(fd);
    return h->doubts;
}

static void offer_ports(const struct completing *c)
{
    static struct kl_port_info ports[PORTS_MAX];
    static struct heard h;
    const struct kl_port_rules rules = {0};
    int count = kl_ports_list(ports, PORTS_MAX, &rules);

    for (int i = 0; i < count && i < PORTS_MAX; i++) {
        offer_text(c, ports[i].path, ports[i].why);
        if (ports[i].topology[0])
            offer_text(c, ports[i].topology, ports[i].path);
    }
    if (!hear_station(c->csv, &h))
        return;
    for (unsigned i = 0; i < h.snap.slot_count; i++)
        if (h.snap.slot[i].network)
            offer_text(c, h.snap.slot[i].port, h.snap.slot[i].name);
}

/* Labels if `labels`, else MACs. */
static void offer_doubts(const struct completing *c, bool labels)
{
    static struct heard h;

    if (!hear_station(c->csv, &h))
        return;
    for (unsigned i = 0; i < h.message.u.in_doubt.count; i++) {
        const struct kl_in_doubt *d = &h.message.u.in_doubt.item[i];
        char mac[18];
        kl_mac_format(&d->mac, mac);
        offer_text(c, labels ? d->label : mac, labels ? mac : d->label);
    }
}

/* ---- values ---- */

static void offer_chips(const struct completing *c)
{
    for (int id = KL_CHIP_NONE + 1; id < KL_CHIP_COUNT; id++)
        offer_text(c, kl_chip((enum kl_chip_id)id)->slug, kl_chip((enum kl_chip_id)id)->name);
}

static void offer_virtual_faults(const struct completing *c)
{
    struct kl_vboard_fault_info info;

    for (unsigned i = 0; kl_vboard_fault_info(i, &info); i++)
        offer_text(c, info.name, info.text);
}

static void offer_virtual_firmware(const struct completing *c)
{
    for (unsigned i = 0; kl_vboard_firmware(i); i++)
        offer_text(c, kl_vboard_firmware(i), "");
}

/* The services of libpq that this user has. A pool's stations, labels and alarms are known to its
   database alone, which Tab never asks: it may be away, or want a password. */
static void offer_services(const struct completing *c)
{
    const char *given = getenv("PGSERVICEFILE"), *home = getenv("HOME");
    char path[4096], line[512];
    FILE *file;

    kl_format(path, sizeof path, "%s%s",
              given  ? given
              : home ? home
                     : "",
              given ? "" : "/.pg_service.conf");
    if (!(file = fopen(path, "re")))
        return;
    while (fgets(line, sizeof line, file)) {
        char *name = line + strspn(line, " \t"), *end = strchr(name, ']');
        if (*name == '[' && end)
            offer(c, name + 1, (size_t)(end - name - 1), "a service of PostgreSQL");
    }
    fclose(file);
}

/* --as means one thing to settle, and another to export. */
static void offer_word_of_pool(const struct completing *c)
{
    if (strcmp(c->verb, "settle") == 0)
        offer_choice(c, "provisioned|spent|free");
    else if (strcmp(c->verb, "export") == 0)
        offer_choice(c, options_find(kl_command_keys.options, "as", 2)->value);
}

/* The name of an option's value (FILE, PORT …) says what to offer for it. */
static void offer_value(const struct completing *c, const struct option *o)
{
    const char *value = o->value;

    if (o->type == OPT_CHOICE)
        offer_choice(c, value);
    else if (strcmp(value, "STATE") == 0)
        offer_choice(c, "free|reserved|provisioned|blocked");
    else if (strcmp(value, "NAMES") == 0)
        offer_virtual_firmware(c);
    else if (strcmp(value, "SERVICE") == 0)
        offer_services(c);
    else if (strcmp(value, "WORD") == 0)
        offer_word_of_pool(c);
    else if (strcmp(value, "PORT") == 0)
        offer_ports(c);
    else if (strcmp(value, "LABEL") == 0 || strcmp(value, "MAC") == 0)
        offer_doubts(c, strcmp(value, "LABEL") == 0);
    else if (strcmp(value, "RATE") == 0)
        offer_choice(c, "115200|230400|460800|921600|1500000|2000000");
    else if (strncmp(value, "CHIP", 4) == 0)
        offer_chips(c);
    else if (strcmp(value, "[N:]FAULTS") == 0)
        offer_virtual_faults(c);
    else if (strstr(value, "DIR"))
        puts(":folders");
    else if (strncmp(value, "FILE", 4) == 0)
        puts(":files");
    if (strstr(value, "|none"))
        offer_text(c, "none", "");
    if (strncmp(value, "auto|", 5) == 0 && o->type != OPT_CHOICE)
        offer_text(c, "auto", "");
}

/* ---- words ---- */

static void offer_options(const struct completing *c)
{
    for (size_t i = 0; i < c->table->count; i++) {
        const struct option *o = &c->table->row[i];
        char name[64];
        if (o->type == OPT_HEADING)
            continue;
        kl_format(name, sizeof name, "--%s", o->name);
        offer_text(c, name, o->help);
    }
}

static void offer_commands(const struct completing *c)
{
    for (size_t i = 1; kl_commands[i]; i++)
        offer_text(c, kl_commands[i]->name, kl_commands[i]->summary);
}

/* The benches that the system runs. */
static void offer_benches(const struct completing *c)
{
    DIR *dir = opendir(KEYLINE_RUN_DIR);

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (kl_wire_is_socket(e->d_name))
            offer(c, e->d_name, strlen(e->d_name) - strlen(".socket"), "a bench of this host");
    if (dir)
        closedir(dir);
}

/* A word that is no option: the command, or what follows it. `words` stand before it. */
static void offer_word(const struct completing *c, const struct option_list *words)
{
    unsigned after = words->count; /* words after the command's name */

    if (words->count > 0 && strcmp(words->item[0], "help") == 0) {
        offer_commands(c);
        return;
    }
    if (!c->command) {
        offer_commands(c);
        offer_text(c, "help", "what a command takes");
        return;
    }
    if (after == 1 && c->command->verbs)
        offer_choice(c, c->command->verbs);
    else if (after == 2 && strcmp(words->item[1], "release") == 0)
        offer_doubts(c, true);
    else if (after >= 2 && (c->command == &kl_command_nvs || strcmp(words->item[1], "import") == 0))
        puts(":files");
    else if (after == 1 && c->command == &kl_command_fleet)
        offer_services(c);
    else if (after == 1 && c->command == &kl_command_attach)
        offer_benches(c);
    for (size_t i = 0; i < c->table->count && c->command == &kl_command_config; i++)
        if (c->table->row[i].type != OPT_HEADING && !c->table->row[i].typed_only)
            offer_text(c, c->table->row[i].name, c->table->row[i].help);
}

/* The words before the last that are neither options nor their values; `pending` is the option
   whose value the last one is, NULL = none. */
static void look_at_words(char **argv, unsigned count, struct completing *c,
                          struct option_list *words, const struct option **pending)
{
    bool over = false;

    *pending = NULL;
    for (unsigned i = 0; i < count; i++) {
        const char *word = argv[i], *name = word + 2;
        if (*pending) {
            if (strcmp((*pending)->name, "csv-file") == 0)
                c->csv = word;
            *pending = NULL;
        } else if (!over && strcmp(word, "--") == 0) {
            over = true;
        } else if (over || word[0] != '-') {
            if (words->count == 0 && (c->command = command_find(word)))
                c->table = c->command->options;
            if (words->count < OPTION_LIST_MAX)
                words->item[words->count++] = word;
        } else if (strncmp(word, "--csv-file=", 11) == 0) {
            c->csv = word + 11;
        } else if (word[1] == '-' && name[strcspn(name, "=")] == '\0' &&
                   command_takes_value(name, strlen(name))) {
            *pending = options_find(c->table, name, strlen(name));
        }
    }
}

static void complete(char **argv, unsigned count)
{
    static struct station_args set;
    struct completing c = {.table = &kl_station_options, .begin = "", .prefix = argv[count - 1]};
    struct option_list words = {.count = 0};
    const struct option *pending;
    char error[KL_TEXT_MAX], begin[64];
    size_t name;

    c.csv = station_options_parse((char *[]){NULL}, &set, error) ? set.csv : "keys.csv";
    look_at_words(argv, count - 1, &c, &words, &pending);
    c.verb = words.count > 1 ? words.item[1] : "";
    name = strcspn(c.prefix, "=");
    if (!pending && strncmp(c.prefix, "--", 2) == 0 && c.prefix[name] == '=' &&
        name + 2 < sizeof begin) {
        pending = options_find(c.table, c.prefix + 2, name - 2);
        snprintf(begin, sizeof begin, "%.*s=", (int)name, c.prefix);
        c.begin = begin;
        c.prefix += name + 1;
    }
    if (pending && pending->type != OPT_FLAG)
        offer_value(&c, pending);
    else if (c.prefix[0] == '-')
        offer_options(&c);
    else
        offer_word(&c, &words);
}

/* ---- for the manual page ---- */

static void print_escaped(const char *text)
{
    for (bool at_start = true; *text; text++, at_start = false) {
        if (*text == '\n') {
            putchar(' ');
            continue;
        }
        if (strchr("_*\\#~[]<", *text) || (at_start && strchr("-.", *text)))
            putchar('\\');
        putchar(*text);
    }
}

/* `conf`: as keys of a config file, without those that are only typed. */
static int print_man(const char *name, bool conf)
{
    const struct command *c =
        strcmp(name, "keyline") == 0 ? &kl_command_station : command_find(name);

    if (!c)
        return KL_EXIT_USAGE;
    for (size_t i = 0; i < c->options->count; i++) {
        const struct option *o = &c->options->row[i];
        if (o->type == OPT_HEADING) {
            if (!conf || strcmp(o->name, "Help") != 0)
                printf("## %s\n\n", o->name);
            continue;
        }
        if (conf && o->typed_only)
            continue;
        if (o->letter)
            printf("*-%c*, ", o->letter);
        printf("*%s%s*", conf ? "" : "--", o->name);
        if (o->value || conf) {
            fputs(conf ? " = _" : " _", stdout);
            print_escaped(o->value ? o->value : "yes|no");
            putchar('_');
        }
        fputs("\n\t", stdout);
        print_escaped(o->help);
        fputs("\n\n", stdout);
    }
    return KL_EXIT_OK;
}

/* ---- the command ---- */

static const struct option options[] = {
    {.name = "man", .type = OPT_FLAG, .help = "print a command's options for its manual page"},
};

const struct command kl_command_complete = {
    .name = "complete",
    .run = kl_cli_complete,
    .options = OPTION_TABLE(options),
    .words = "[--man COMMAND [conf]] | -- WORD …",
    .summary = "for shells: what the last word may become",
    .about = "",
    .after = "exit status: 0 done, 2 usage\n",
};

int kl_cli_complete(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "--man") == 0)
        return print_man(argv[2], argc == 4);
    if (argc < 3 || strcmp(argv[1], "--") != 0)
        return command_wrong(&kl_command_complete, "after -- it takes the words of a command line");
    complete(argv + 2, (unsigned)argc - 2);
    return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}
