/*
 * config_files.h: what is set before anything is typed: config files and the environment. Their
 * keys are the station's options.
 *
 * The command line wins over the environment, the environment over --config FILE, that over the
 * user's file, and that over the system's.
 */
#ifndef KEYLINE_CONFIG_FILES_H
#define KEYLINE_CONFIG_FILES_H

#include "options.h"

/* Where the files are. NULL, or a name of no file: there is none. */
struct config_places {
    const char *system, *user;
};

/* The places for this user. Valid until the next call. */
struct config_places config_places(void);

/* Reads what files, environment and argv set for the options of `t`. The files may set any option
   of `known`; its value is checked even if `t` lacks the option. Texts are valid until the next
   call. */
bool config_read(const struct option_table *t, const struct option_table *known,
                 const struct config_places *places, char **argv, struct option_settings *all,
                 struct option_list *words, char error[KL_TEXT_MAX]);

/* config_read from the usual places, with the station's options as `known`; then options_apply. */
bool config_parse(const struct option_table *t, char **argv, void *out, struct option_list *words,
                  char error[KL_TEXT_MAX]);

/* Whether the last config_parse found this option on the command line. */
bool config_typed(const struct option_table *t, const char *name);

/* "csv-file" -> "KEYLINE_CSV_FILE" */
void config_variable(const struct option *o, char out[64]);

#endif
