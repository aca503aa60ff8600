/*
 * keyline_crash.c: the whole program on the disk of tests/support/fault_disk.h. It dies, as in a
 * power cut, at the durable step that KEYLINE_CRASH_AT names (KEYLINE_CRASH_SEED decides what is
 * lost). KEYLINE_FAIL_COUNT steps from KEYLINE_FAIL_AT on fail, in the way that KEYLINE_FAIL_KIND
 * names (0 full, 1 I/O error, 2 read-only, 3 they never come back).
 */
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
    fault_install();
    fault_crash((uint32_t)number("KEYLINE_CRASH_AT"), number("KEYLINE_CRASH_SEED"));
    fault_fail((enum fault_kind)number("KEYLINE_FAIL_KIND"), (uint32_t)number("KEYLINE_FAIL_AT"),
               (uint32_t)number("KEYLINE_FAIL_COUNT"));
    return kl_cli_main(argc, argv);
}
