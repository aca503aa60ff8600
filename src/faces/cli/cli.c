/* cli.c: which command is meant, and the habits that all of them share. */
#include "keyline/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "faces/faces.h"

const struct command *const kl_commands[] = {
    &kl_command_station,
    &kl_command_attach,
    &kl_command_list,
    &kl_command_report,
    &kl_command_keys,
    &kl_command_ports,
    &kl_command_check,
    &kl_command_chip,
    &kl_command_nvs,
    &kl_command_config,
    &kl_command_doctor,
    &kl_command_demo,
    &kl_command_verify,
    &kl_command_virtual,
    &kl_command_pool,
    &kl_command_fleet,
    NULL,
};

const struct command *command_find(const char *name)
{
    if (strcmp(name, kl_command_complete.name) == 0)
        return &kl_command_complete;
    for (size_t i = 1; kl_commands[i]; i++)
        if (strcmp(name, kl_commands[i]->name) == 0)
            return kl_commands[i];
    return NULL;
}

/* ---- --help ---- */

static int printed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: can't write the answer: %s\n", strerror(errno));
    return KL_EXIT_FAILED;
}

static void print_commands(void)
{
    puts("\nCommands (keyline help COMMAND tells more)");
    for (size_t i = 1; kl_commands[i]; i++)
        printf("  %-10s %s\n", kl_commands[i]->name, kl_commands[i]->summary);
}

int command_help(const struct command *c)
{
    const char *between = c->name[0] ? " " : "";

    printf("usage: keyline%s%s %s\n\n%s\n", between, c->name, c->words,
           c->about[0] ? c->about : c->summary);
    if (!c->name[0])
        print_commands();
    if (c->options->row[0].type != OPT_HEADING)
        putchar('\n');
    options_help(c->options->row, c->options->count, stdout);
    printf("\n%s", c->after);
    return printed();
}

int command_wrong(const struct command *c, const char *text)
{
    const char *between = c->name[0] ? " " : "";

    const char *level = headless_goes_to_journal(STDERR_FILENO) ? "<3>" : "";

    fprintf(stderr, "%skeyline%s%s: %s\n%stry: keyline%s%s --help\n", level, between, c->name, text,
            level, between, c->name);
    return KL_EXIT_USAGE;
}

bool command_colours(int when, FILE *file)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (when != 0)
        return when == 1;
    return isatty(fileno(file)) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

/* ---- which command ---- */

bool command_takes_value(const char *name, size_t size)
{
    for (size_t i = 0; kl_commands[i]; i++) {
        const struct option *o = options_find(kl_commands[i]->options, name, size);
        if (o)
            return o->type != OPT_FLAG;
    }
    return false;
}

/* The index of the first word that is neither an option nor its value; argc if there is none. */
static int first_word(int argc, char **argv)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0) {
        const char *name = argv[i] + strspn(argv[i], "-");
        size_t size = strcspn(name, "=");
        bool apart = argv[i][1] == '-' && name[size] == '\0' && command_takes_value(name, size);
        i += apart ? 2 : 1;
    }
    return i < argc ? i : argc;
}

static int help(int argc, char **argv, int at)
{
    const struct command *c = &kl_command_station;
    char text[KL_TEXT_MAX];

    if (at + 1 < argc && !(c = command_find(argv[at + 1]))) {
        kl_format(text, sizeof text, "there is no command \"%s\"", argv[at + 1]);
        return command_wrong(&kl_command_station, text);
    }
    return command_help(c);
}

int kl_cli_main(int argc, char **argv)
{
    int at = first_word(argc, argv);
    const struct command *c = at < argc ? command_find(argv[at]) : NULL;

    if (at < argc && strcmp(argv[at], "help") == 0)
        return help(argc, argv, at);
    if (!c)
        return kl_command_station.run(argc, argv);
    /* The options that stand before the command go behind it. */
    char *name = argv[at];
    for (int i = at; i > 1; i--)
        argv[i] = argv[i - 1];
    argv[1] = name;
    return c->run(argc - 1, argv + 1);
}
