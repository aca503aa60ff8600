/* cli_attach.c: `keyline attach`: the dashboard of a station that runs already. */
#include <stdio.h>

#include "commands.h"
#include "config_files.h"
#include "faces/dashboard/dashboard.h"

struct args {
    const char *csv, *phrase, *config;
    bool ascii, no_colour, read_only, bell, help;
    int color;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE", "whose station (default keys.csv)"),
    FLAG("read-only", read_only, "only watch"),
    TEXT("lock", phrase, "PHRASE", "only retry and skip until PHRASE is typed"),
    FLAG("bell", bell, "ring on a failure and on the last key"),
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
    .words = "[options]",
    .summary = "the dashboard of a station that runs",
    .about = "Shows the station that works on a CSV.",
    .after = "exit status: that of the station if it ended meanwhile, else 0 left, 1 no station,\n"
             "             2 usage\n",
};

int kl_cli_attach(int argc, char **argv)
{
    struct args a = {.csv = "keys.csv"};
    struct kl_dashboard_options o = {.wait_ms = 1000};
    char error[KL_TEXT_MAX] = "";
    int status;

    if (!config_parse(kl_command_attach.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_attach, error);
    if (a.help)
        return command_help(&kl_command_attach);
    o.csv = a.csv;
    o.ascii = a.ascii;
    o.mono = a.no_colour || a.color == 2;
    o.read_only = a.read_only;
    o.bell = a.bell;
    o.phrase = a.phrase;
    status = kl_dashboard_run(&o, error);
    if (error[0])
        fprintf(stderr, "keyline attach: %s\n", error);
    return status;
}
