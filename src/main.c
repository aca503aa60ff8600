/* main.c: hands the command line to the face that was asked for (src/faces/cli/cli.c). */
#include <signal.h>

#include "keyline/cli.h"
#include "keyline/secret.h"

int main(int argc, char **argv)
{
    /* A peer that left is an error of that write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    /* A file that may not grow is a full disk: the store waits for it. */
    signal(SIGXFSZ, SIG_IGN);
    kl_secret_process();
    return kl_cli_main(argc, argv);
}
