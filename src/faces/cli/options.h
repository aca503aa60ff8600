/*
 * options.h: command-line options as a table: parsing, checking and --help come from the same rows.
 */
#ifndef KEYLINE_OPTIONS_H
#define KEYLINE_OPTIONS_H

#include <stdio.h>

#include "keyline/base.h"

enum option_type {
    OPT_HEADING, /* not an option: a line of --help */
    OPT_FLAG,    /* bool */
    OPT_TEXT,    /* const char * */
    OPT_LIST,    /* struct option_list: may be given many times */
    OPT_NUMBER,  /* long, low … high */
    OPT_SECONDS, /* kl_us, low … high in seconds */
    OPT_CHOICE,  /* int: index of the word in `value`, "one|two|three" */
};

enum {
    OPTION_LIST_MAX = 64
};

struct option_list {
    const char *item[OPTION_LIST_MAX];
    unsigned count;
};

struct option {
    const char *name; /* without dashes; '_' may be written for '-' */
    enum option_type type;
    size_t at; /* in the caller's struct */
    const char *value;
    const char *help; /* '\n' begins another line */
    double low, high;
};

/* Writes a sentence for a person into `error` and returns false if something is wrong. Pointers
   lead into argv. */
bool options_parse(const struct option *table, size_t count, char **argv, void *out,
                   char error[KL_TEXT_MAX]);
void options_help(const struct option *table, size_t count, FILE *file);

#endif
