/* main.c: e2e NAME: runs one case; without a name: lists them. */
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

int main(int argc, char **argv)
{
    static const struct e2e_case *const all[] = {cases_boards, cases_input, cases_faults,
                                                 cases_bench, cases_images};

    setenv("XDG_STATE_HOME", "/dev/null/none", 1); /* no links in the home of whoever tests */
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (const struct e2e_case *c = all[i]; c->name; c++) {
            if (argc < 2)
                printf("%s\n", c->name);
            else if (strcmp(argv[1], c->name) == 0) {
                c->run();
                printf("%s: good\n", c->name);
                return 0;
            }
        }
    }
    return argc < 2 ? 0 : 2;
}
