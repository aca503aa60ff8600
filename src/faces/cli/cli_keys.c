/* cli_keys.c: `keyline keys …`: what became of each key, also while a station runs. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli_keys.h"
#include "keyline/cli.h"

static const char usage[] =
    "usage: keyline keys COMMAND [--csv-file FILE] [options]\n"
    "\n"
    "  status                       how many keys are free, reserved, provisioned, in doubt\n"
    "  list [--state S]             every key; S: free, reserved, provisioned, blocked\n"
    "  history [--mac M] [--label L]   every attempt and every change, oldest first\n"
    "  release LABEL --reason TEXT [--mac M]\n"
    "                               makes a reserved key free again; the reason is kept.\n"
    "                               Be sure that the board it was reserved for did not get\n"
    "                               it. Refused while that board is on the bench.\n"
    "  export                       who got what: label, MAC, time, bundle, station\n"
    "  lint [FILE] [--fix]          rows that can't be keys, and why; --fix writes what can be\n"
    "                               mended to FILE.fixed, beside it\n"
    "\n"
    "  --csv-file FILE, --csv_file FILE   the keys (default: keys.csv)\n"
    "  --csv-header                 its first row is a header\n"
    "  --json                       as JSON\n"
    "  --csv                        as CSV (history, export)\n"
    "\n"
    "exit status: 0 done, 2 usage, 3 no such key or a bad CSV, 4 the station refused,\n"
    "             6 the ledger can't be read or written\n";

struct command {
    const char *name;
    int (*run)(const struct keys_args *a);
    const char *takes; /* the options that mean something to it */
};

static const struct command commands[] = {
    {"status", keys_status, "hj"},     {"list", keys_list, "hjs"},
    {"history", keys_history, "jcml"}, {"release", keys_release, "mrl"},
    {"export", keys_export, "jc"},     {"lint", keys_lint, "x"},
};

static const struct option options[] = {
    {"csv-file", required_argument, NULL, 'f'},
    {"csv_file", required_argument, NULL, 'f'},
    {"csv-header", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, 'j'},
    {"csv", no_argument, NULL, 'c'},
    {"state", required_argument, NULL, 's'},
    {"mac", required_argument, NULL, 'm'},
    {"label", required_argument, NULL, 'l'},
    {"reason", required_argument, NULL, 'r'},
    {"fix", no_argument, NULL, 'x'},
    {"help", no_argument, NULL, '?' + 256},
    {NULL, 0, NULL, 0},
};

static int wrong(const char *what, const char *which)
{
    fprintf(stderr, "keyline keys: %s%s\ntry: keyline keys --help\n", what, which);
    return KL_EXIT_USAGE;
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

static void take_option(struct keys_args *a, int option)
{
    switch (option) {
    case 'f':
        a->csv = optarg;
        break;
    case 'h':
        a->header = true;
        break;
    case 'j':
        a->format = KEYS_JSON;
        break;
    case 'c':
        a->format = KEYS_CSV;
        break;
    case 's':
        a->state = optarg;
        break;
    case 'l':
        a->label = optarg;
        break;
    case 'r':
        a->reason = optarg;
        break;
    case 'x':
        a->fix = true;
        break;
    }
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static bool is_for_lint(char **words)
{
    while (*words != NULL && strcmp(*words, "lint") != 0)
        words++;
    return *words != NULL;
}

/* One word behind the command: a label, or lint's file. */
static int take_word(struct keys_args *a, const struct command *command, char **words)
{
    if (words[0] == NULL)
        return KL_EXIT_OK;
    if (command->run == keys_lint && words[1] == NULL) {
        a->csv = words[0];
        return KL_EXIT_OK;
    }
    if (command->run != keys_release)
        return wrong("what is meant by ", words[command->run == keys_lint]);
    if (words[1] != NULL || a->label != NULL)
        return wrong("one label at a time", "");
    a->label = words[0];
    return KL_EXIT_OK;
}

int kl_cli_keys(int argc, char **argv)
{
    struct keys_args a = {.csv = "keys.csv"};
    const struct command *command;
    char given[32] = "";
    int option, rc;

    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?' + 256) {
            fputs(usage, stdout);
            if (is_for_lint(argv))
                keys_lint_help();
            return keys_printed();
        }
        if (option == '?')
            return wrong("that option is not known, or lacks its value", "");
        if (option == 'm' && !take_mac(&a, optarg))
            return wrong("this is no MAC like 24:0a:c4:00:00:01: ", optarg);
        take_option(&a, option);
        if (option != 'f' && option != 'h' && strlen(given) + 1 < sizeof given)
            given[strlen(given)] = (char)option;
    }
    if ((command = find_command(argv[optind])) == NULL)
        return wrong("which? status, list, history, release, export or lint", "");
    if ((rc = take_word(&a, command, argv + optind + 1)) != KL_EXIT_OK)
        return rc;
    if (given[strspn(given, command->takes)] != '\0')
        return wrong("an option does not go with ", command->name);
    return command->run(&a);
}
