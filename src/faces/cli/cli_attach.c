/* cli_attach.c: `keyline attach`: the dashboard of a station that runs already. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "config_files.h"
#include "faces/dashboard/dashboard.h"
#include "faces/dashboard/terminal.h"
#include "lock_phrase.h"
#include "stations.h"

struct args {
    const char *csv, *lock, *lock_phrase, *config;
    bool ascii, no_colour, read_only, bell, wall, no_mouse, help;
    int color, alert;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE",
         "whose station (default: that of keys.csv, else the only one that runs)"),
    FLAG("wall", wall, "numbers and large words only, for a second screen"),
    FLAG("read-only", read_only, "only watch"),
    TEXT("lock", lock, "FILE|ask",
         "only retry and skip until a phrase is typed: the first line of FILE, or asked\n"
         "for at the start"),
    TEXT("lock-phrase", lock_phrase, "PHRASE",
         "that phrase, in a config file; never on the command line"),
    FLAG("bell", bell, "ring on a failure and on the last key"),
    CHOICE("alert", alert, "off|bell|flash", "ring, or flash, at every result (default off)"),
    FLAG("no-mouse", no_mouse, "the terminal keeps the mouse: it marks text as ever"),
    FLAG("ascii", ascii, "plain characters only"),
    CHOICE("color", color, "auto|always|never", "colours (default auto)"),
    FLAG("no-colour", no_colour, "no colours"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_attach = {
    .name = "attach",
    .run = kl_cli_attach,
    .options = OPTION_TABLE(options),
    .words = "[options] [NAME]",
    .summary = "the dashboard of a station that runs",
    .about = "Shows the station that works on a CSV, or the one that the system runs under NAME\n"
             "(systemctl start keyline@NAME): for that you have to be in the group keyline.",
    .after = "exit status: that of the station if it ended meanwhile, else 0 left, 1 no station,\n"
             "             2 usage\n",
};

/* Where the station of keyline@NAME.service listens; false and a sentence if it can't be
   reached. */
static bool find_service(const char *name, char out[KL_PORT_MAX], char error[KL_TEXT_MAX])
{
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') || strlen(name) > 64) {
        kl_format(error, KL_TEXT_MAX, "\"%s\" is no bench's name", name);
        return false;
    }
    kl_format(out, KL_PORT_MAX, KEYLINE_RUN_DIR "/%s.socket", name);
    if (access(out, R_OK | W_OK) == 0)
        return true;
    if (errno == EACCES)
        kl_format(
            error, KL_TEXT_MAX,
            "you are not in the group that may attach to %s: sudo adduser $USER keyline, then "
            "log in again",
            name);
    else
        kl_format(error, KL_TEXT_MAX, "%s does not run: systemctl status keyline@%s", name, name);
    return false;
}

/* No CSV was named: takes keys.csv of this folder, else the only station there is, else asks. */
static bool choose(const char **csv)
{
    static struct stations all;
    static struct kl_wire_hello hello;
    char answer[16];
    unsigned n = 0;

    *csv = "keys.csv";
    if (stations_ask(*csv, &hello, NULL))
        return true;
    stations_find(&all);
    if (all.count == 0)
        return true; /* the caller says that no station works on keys.csv */
    if (all.count == 1) {
        *csv = all.item[0].csv;
        return true;
    }
    for (unsigned i = 0; i < all.count; i++)
        printf("  %u  %s: %u slots, %u keys left\n", i + 1, all.item[i].csv, all.item[i].slots,
               all.item[i].keys_left);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        fprintf(stderr, "keyline attach: several stations run: say which with --csv-file\n");
        return false;
    }
    printf("Which one? ");
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin) || sscanf(answer, "%u", &n) != 1 || n < 1 ||
        n > all.count)
        return false;
    *csv = all.item[n - 1].csv;
    return true;
}

static int show(struct kl_dashboard_options *o, char error[KL_TEXT_MAX])
{
    static char note[256]; /* `o` keeps pointing to it */
    enum kl_term_fitness fitness = kl_term_try(note);

    if (note[0])
        fprintf(stderr, "keyline attach: %s\n", note);
    o->note = note[0] ? note : NULL;
    if (fitness == KL_TERM_UNFIT)
        return KL_EXIT_USAGE;
    return fitness == KL_TERM_DUMB || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)
               ? kl_dashboard_lines(o, error)
               : kl_dashboard_run(o, error);
}

int kl_cli_attach(int argc, char **argv)
{
    struct args a = {.csv = NULL};
    struct kl_dashboard_options o = {.wait_ms = 1000};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX] = "", socket[KL_PORT_MAX], phrase[LOCK_PHRASE_MAX];
    int status;

    if (!config_parse(kl_command_attach.options, argv + (argc > 0), &a, &words, error))
        return command_wrong(&kl_command_attach, error);
    if (a.help)
        return command_help(&kl_command_attach);
    if (words.count > 1)
        return command_wrong(&kl_command_attach, "one bench at a time");
    if (words.count == 1 && !find_service(words.item[0], socket, error)) {
        fprintf(stderr, "keyline attach: %s\n", error);
        return KL_EXIT_FAILED;
    }
    if (words.count == 0 && !a.csv && !choose(&a.csv))
        return KL_EXIT_FAILED;
    if (!lock_phrase(a.lock, a.lock_phrase, config_typed(kl_command_attach.options, "lock-phrase"),
                     phrase, error))
        return command_wrong(&kl_command_attach, error);
    o.csv = words.count == 1 ? socket : a.csv;
    o.wall = a.wall;
    o.no_mouse = a.no_mouse;
    o.alert = (enum kl_alert)a.alert;
    o.ascii = a.ascii;
    o.mono = a.no_colour || a.color == 2;
    o.read_only = a.read_only;
    o.bell = a.bell;
    o.phrase = phrase[0] ? phrase : NULL;
    status = show(&o, error);
    if (error[0])
        fprintf(stderr, "keyline attach: %s\n", error);
    return status;
}
