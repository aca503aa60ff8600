/* operator.c: who sits at this terminal: a login, and where it came from if that is known. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

void kl_wire_operator(char out[KL_NAME_MAX])
{
    const char *sudo = getenv("SUDO_USER"), *ssh = getenv("SSH_CONNECTION");
    const struct passwd *user = getpwuid(geteuid());
    const char *name = sudo && sudo[0] ? sudo : user ? user->pw_name : NULL;
    int n = name ? snprintf(out, KL_NAME_MAX, "%.31s", name)
                 : snprintf(out, KL_NAME_MAX, "uid %u", (unsigned)geteuid());

    if (ssh && ssh[0])
        snprintf(out + n, (size_t)(KL_NAME_MAX - n), " (from %.*s)", (int)strcspn(ssh, " "), ssh);
}
