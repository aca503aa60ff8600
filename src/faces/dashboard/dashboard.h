/*
 * dashboard.h: the process that shows a station on a terminal. It talks to the station over its
 * Unix socket only; if it stalls, is killed or its SSH session dies, the bench goes on.
 */
#ifndef KEYLINE_DASHBOARD_H
#define KEYLINE_DASHBOARD_H

#include <stdbool.h>

/* What to do at every result. */
enum kl_alert {
    KL_ALERT_NONE,
    KL_ALERT_BELL,
    KL_ALERT_FLASH, /* of the whole screen */
};

struct kl_dashboard_options {
    const char *csv;  /* whose station */
    bool ascii, mono; /* plain characters, no colours */
    bool read_only;   /* can't command */
    bool wall;        /* begins with the wall view */
    bool no_mouse;    /* the terminal keeps the mouse */
    enum kl_alert alert;
    bool bell;          /* on a failure and on the last key */
    const char *phrase; /* --lock: starts locked; NULL = no lock */
    bool demo;          /* q and Esc leave without a question */
    const char *note;   /* said at first; NULL = nothing */
    unsigned wait_ms;   /* how long to look for the station at first */
};

/* Runs until the operator leaves or the station ends; then the terminal is as it was, also if this
   process's worker was killed. Returns an exit status (cli.h); the station's if it ended. `error`
   gets a sentence if no station was found or the terminal can't be used. */
int kl_dashboard_run(const struct kl_dashboard_options *options, char error[256]);

/* The same for a terminal that can only show lines: one line for each thing that happens. */
int kl_dashboard_lines(const struct kl_dashboard_options *options, char error[256]);

#endif
