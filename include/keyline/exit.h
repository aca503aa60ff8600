/* exit.h: how the program ends; documented in --help. */
#ifndef KEYLINE_EXIT_H
#define KEYLINE_EXIT_H

enum kl_exit {
    KL_EXIT_OK = 0,     /* all well */
    KL_EXIT_FAILED = 1, /* some board failed */
    KL_EXIT_USAGE = 2,
    KL_EXIT_INPUT = 3,   /* bad CSV or images */
    KL_EXIT_HELD = 4,    /* another station holds this CSV */
    KL_EXIT_NO_KEYS = 5, /* keys ran out */
    KL_EXIT_STORE = 6,   /* the store can't write */
    KL_EXIT_DOUBT = 7,   /* something about the keys has to be answered first */
};

#endif
