/* main.c: hands the command line to the face that it asks for (src/faces/cli/cli.c). */
#include <signal.h>

#include "keyline/cli.h"
#include "keyline/secret.h"

int main(int argc, char **argv)
{
    /* If a peer leaves, the write to it fails, and the program goes on. */
    signal(SIGPIPE, SIG_IGN);
    /* A file at its size limit counts as a full disk: the store waits for room. */
    signal(SIGXFSZ, SIG_IGN);
    kl_secret_process();
    return kl_cli_main(argc, argv);
}
