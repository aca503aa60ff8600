#include "keyline/cli.h"

#include <stdio.h>
#include <string.h>

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const struct subcommand subcommands[] = {
    {"virtual", kl_cli_virtual}, {"ports", kl_cli_ports}, {"doctor", kl_cli_doctor},
    {"keys", kl_cli_keys},       {"check", kl_cli_check}, {"attach", kl_cli_attach},
    {"demo", kl_cli_demo},
};

int kl_cli_main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    return kl_cli_station(argc, argv);
}
