/* main.c: hands the command line to the face that it asks for (src/faces/cli/cli.c). */
#include <malloc.h>
#include <signal.h>

#include "keyline/cli.h"
#include "keyline/secret.h"

enum {
    OWN_PAGES = 1 << 17, /* memory of this size or more has pages of its own */
};

int main(int argc, char **argv)
{
    /* Then what a million rows took goes back to the system as soon as it is freed. glibc would
       raise the limit up to 32 MB by itself, and keep what lies below it. */
    mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
    mallopt(M_ARENA_MAX, 2); /* one for the loop, one for all workers */
    /* If a peer leaves, the write to it fails, and the program goes on. */
    signal(SIGPIPE, SIG_IGN);
    /* A file at its size limit counts as a full disk: the store waits for room. */
    signal(SIGXFSZ, SIG_IGN);
    kl_secret_process();
    return kl_cli_main(argc, argv);
}
