/*
 * commands.h: what keyline can be told to do. Each command's file holds one of these; cli.c lists
 * them. --help, completion and the manual page are made from them.
 */
#ifndef KEYLINE_COMMANDS_H
#define KEYLINE_COMMANDS_H

#include "keyline/cli.h"
#include "options.h"

struct command {
    const char *name; /* "" = the station, which needs no word */
    int (*run)(int argc, char **argv);
    const struct option_table *options;
    const char *words;   /* what may follow it, for people: "[options] LABEL" */
    const char *verbs;   /* the words that its first word may be: "status|list"; NULL = none */
    const char *summary; /* one line */
    const char *about;   /* above the options of its --help; "" = the summary says all */
    const char *after;   /* below them: exit statuses; lines end */
};

extern const struct command kl_command_station, kl_command_attach, kl_command_keys,
    kl_command_ports, kl_command_check, kl_command_demo, kl_command_doctor, kl_command_virtual,
    kl_command_config, kl_command_complete, kl_command_chip, kl_command_list, kl_command_report,
    kl_command_nvs, kl_command_verify, kl_command_pool, kl_command_fleet;

/* All but the hidden ones, NULL at the end; the station is the first. */
extern const struct command *const kl_commands[];
/* NULL if there is none of this name. */
const struct command *command_find(const char *name);

/* The exit status: that of what was printed. */
int command_help(const struct command *c);
/* "keyline keys: TEXT", and how to get help; KL_EXIT_USAGE. */
int command_wrong(const struct command *c, const char *text);
/* Whether an option is followed by a value, whichever command it belongs to. */
bool command_takes_value(const char *name, size_t size);

/* Whether to colour what goes to this file: `when` is the index in "auto|always|never". */
bool command_colours(int when, FILE *file);

#endif
