/*
 * options.h: command-line options as a table. Parsing, checking, --help, the config files, the
 * environment, `keyline config`, completion and the manual page come from the same rows.
 */
#ifndef KEYLINE_OPTIONS_H
#define KEYLINE_OPTIONS_H

#include <stdio.h>

#include "keyline/base.h"

enum option_type {
    OPT_HEADING, /* not an option: a line of --help */
    OPT_FLAG,    /* bool; --no-NAME takes it back */
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
    size_t at;         /* in the caller's struct */
    const char *value; /* names what it takes; completion goes by it: FILE, DIR, PORT, CHIP … */
    const char *help;  /* '\n' begins another line */
    double low, high;
    char letter;     /* 'h': -h is the same; 0 = none */
    bool typed_only; /* for this run only: config files and the environment can't set it */
};

/* Rows for a table; the file that uses them defines AT(member). Write a row out where none of these
   fits: {.name = "help", .type = OPT_FLAG, …} */
#define HEADING(text)                                                                              \
    {                                                                                              \
        .name = text, .type = OPT_HEADING                                                          \
    }
#define FLAG(n, member, h)                                                                         \
    {                                                                                              \
        .name = n, .type = OPT_FLAG, .at = AT(member), .help = h                                   \
    }
#define TYPED_FLAG(n, l, member, h)                                                                \
    {                                                                                              \
        .name = n, .type = OPT_FLAG, .at = AT(member), .help = h, .letter = l, .typed_only = true  \
    }
#define TEXT(n, member, v, h)                                                                      \
    {                                                                                              \
        .name = n, .type = OPT_TEXT, .at = AT(member), .value = v, .help = h                       \
    }
#define TYPED_TEXT(n, member, v, h)                                                                \
    {                                                                                              \
        .name = n, .type = OPT_TEXT, .at = AT(member), .value = v, .help = h, .typed_only = true   \
    }
#define LIST(n, member, v, h)                                                                      \
    {                                                                                              \
        .name = n, .type = OPT_LIST, .at = AT(member), .value = v, .help = h                       \
    }
#define NUMBER(n, member, v, least, most, h)                                                       \
    {                                                                                              \
        .name = n, .type = OPT_NUMBER, .at = AT(member), .value = v, .help = h, .low = least,      \
        .high = most                                                                               \
    }
#define SECONDS(n, member, least, most, h)                                                         \
    {                                                                                              \
        .name = n, .type = OPT_SECONDS, .at = AT(member), .value = "S", .help = h, .low = least,   \
        .high = most                                                                               \
    }
#define CHOICE(n, member, words, h)                                                                \
    {                                                                                              \
        .name = n, .type = OPT_CHOICE, .at = AT(member), .value = words, .help = h                 \
    }

struct option_table {
    const struct option *row;
    size_t count;
};
#define OPTION_TABLE(rows) (&(const struct option_table){rows, sizeof rows / sizeof rows[0]})

/* ---- what was set, and where ---- */

/* The later source wins. */
enum option_source {
    OPTION_DEFAULT,
    OPTION_SYSTEM, /* /etc/keyline/keyline.conf */
    OPTION_USER,   /* ~/.config/keyline/keyline.conf */
    OPTION_FILE,   /* --config FILE */
    OPTION_ENVIRONMENT,
    OPTION_TYPED,
};

struct option_setting {
    const struct option *option;
    const char *text; /* OPT_FLAG: "yes" or "no" */
    enum option_source source;
    const char *file; /* OPTION_SYSTEM … OPTION_FILE */
    unsigned line;
};

enum {
    OPTION_SETTINGS_MAX = 512
};

struct option_settings {
    struct option_setting item[OPTION_SETTINGS_MAX];
    unsigned count;
};

/* The option of this name, which has `size` letters; NULL if there is none. */
const struct option *options_find(const struct option_table *t, const char *name, size_t size);
/* Whether the option takes `text`; if not, `error` says what it takes: "--count takes …", with
   `dashes` before the name. */
bool options_check(const struct option *o, const char *text, const char *dashes,
                   char error[KL_TEXT_MAX]);
/* Adds one setting; false and a sentence if there are too many. */
bool options_add(struct option_settings *all, const struct option_setting *one,
                 char error[KL_TEXT_MAX]);
/* Reads and checks argv. Words that are no options go to `words`, and after "--" all words; without
   `words` they are refused. Pointers lead into argv. */
bool options_read(const struct option_table *t, char **argv, struct option_settings *all,
                  struct option_list *words, char error[KL_TEXT_MAX]);
/* Writes what was set into `out`. A list comes from the strongest source that names any item. */
void options_apply(const struct option_settings *all, void *out);
/* The setting that counts, of a list the first; NULL = the default. */
const struct option_setting *options_winner(const struct option_settings *all,
                                            const struct option *o);

/* options_read and options_apply. False and a sentence in `error` if something is wrong. */
bool options_parse(const struct option *table, size_t count, char **argv, void *out,
                   char error[KL_TEXT_MAX]);
void options_help(const struct option *table, size_t count, FILE *file);
/* "unknown option --cout: is --count meant?", with `dashes` for the --. */
void options_unknown(const struct option_table *t, const char *name, size_t size,
                     const char *dashes, char error[KL_TEXT_MAX]);

#endif
