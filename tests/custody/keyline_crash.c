/*
 * keyline_crash.c: the whole program on the disk of tests/support/fault_disk.h. It dies, as in a
 * power cut, at the durable step that KEYLINE_CRASH_AT names (KEYLINE_CRASH_SEED decides what is
 * lost), and tells the number of steps at its end in the file KEYLINE_CRASH_STEPS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fault_disk.h"
#include "keyline/cli.h"

static unsigned long number(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *steps = getenv("KEYLINE_CRASH_STEPS");
    int status;

    fault_install();
    fault_crash((uint32_t)number("KEYLINE_CRASH_AT"), number("KEYLINE_CRASH_SEED"));
    status = kl_cli_main(argc, argv);
    if (steps != NULL) {
        FILE *out = fopen(steps, "w");
        if (out == NULL)
            return 1;
        fprintf(out, "%u\n", fault_steps());
        fclose(out);
    }
    return status;
}
