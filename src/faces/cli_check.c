#include "keyline/cli.h"

int kl_cli_check(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return KL_EXIT_USAGE;
}
