/* main.c: hands the command line to the face that was asked for (src/faces/cli.c). */
#include "keyline/cli.h"

int main(int argc, char **argv)
{
    return kl_cli_main(argc, argv);
}
