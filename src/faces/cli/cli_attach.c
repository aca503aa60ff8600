/* cli_attach.c: `keyline attach`: the dashboard of a station that runs already. */
#include <stdio.h>
#include <unistd.h>

#include "faces/dashboard/dashboard.h"
#include "faces/dashboard/terminal.h"
#include "keyline/cli.h"
#include "options.h"

struct args {
    const char *csv, *phrase;
    bool ascii, no_colour, read_only, bell, help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    {"csv-file", OPT_TEXT, AT(csv), "FILE", "whose station (default keys.csv)", 0, 0},
    {"read-only", OPT_FLAG, AT(read_only), NULL, "only watch", 0, 0},
    {"lock", OPT_TEXT, AT(phrase), "PHRASE", "only retry and skip until PHRASE is typed", 0, 0},
    {"bell", OPT_FLAG, AT(bell), NULL, "ring on a failure and on the last key", 0, 0},
    {"ascii", OPT_FLAG, AT(ascii), NULL, "plain characters only", 0, 0},
    {"no-colour", OPT_FLAG, AT(no_colour), NULL, "no colours", 0, 0},
    {"help", OPT_FLAG, AT(help), NULL, "print this", 0, 0},
};

static int show(struct kl_dashboard_options *o, char error[KL_TEXT_MAX])
{
    char note[256];
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
    struct args a = {.csv = "keys.csv"};
    struct kl_dashboard_options o = {.wait_ms = 1000};
    char error[KL_TEXT_MAX] = "";
    int status;

    if (!options_parse(options, sizeof options / sizeof options[0], argv + (argc > 0), &a, error)) {
        fprintf(stderr, "keyline attach: %s\ntry: keyline attach --help\n", error);
        return KL_EXIT_USAGE;
    }
    if (a.help) {
        printf("usage: keyline attach [options]\n\nShows the station that works on a CSV.\n\n");
        options_help(options, sizeof options / sizeof options[0], stdout);
        return KL_EXIT_OK;
    }
    o.csv = a.csv;
    o.ascii = a.ascii;
    o.mono = a.no_colour;
    o.read_only = a.read_only;
    o.bell = a.bell;
    o.phrase = a.phrase;
    status = show(&o, error);
    if (error[0])
        fprintf(stderr, "keyline attach: %s\n", error);
    return status;
}
