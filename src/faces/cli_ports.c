#include "keyline/cli.h"

int kl_cli_ports(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return KL_EXIT_USAGE;
}
