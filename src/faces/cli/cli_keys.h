/* cli_keys.h: what the parts of `keyline keys` share. */
#ifndef KEYLINE_FACES_CLI_KEYS_H
#define KEYLINE_FACES_CLI_KEYS_H

#include <jansson.h>

#include "keyline/ledger.h"

enum keys_format {
    KEYS_TEXT,
    KEYS_CSV,
    KEYS_JSON
};

struct keys_args {
    const char *csv;
    bool header;
    enum keys_format format;
    const char *state, *label, *mac, *reason;
    char mac_text[18]; /* `mac` as the ledger writes it */
};

/* cli_keys_show.c */
int keys_status(const struct keys_args *a);
int keys_list(const struct keys_args *a);
/* cli_keys_ledger.c */
int keys_history(const struct keys_args *a);
int keys_export(const struct keys_args *a);
/* NULL if it can't be read (`exit` says so) or there is none. */
struct kl_ledger *keys_open_ledger(const struct keys_args *a, enum kl_ledger_mode mode, int *exit);
/* cli_keys_release.c */
int keys_release(const struct keys_args *a);

/* cli_keys_print.c */
/* "2026-03-01T07:55:10Z"; "" for 0. */
void keys_time(int64_t wall, char out[32]);
/* Text as JSON, whatever bytes it holds. */
json_t *keys_json_text(const char *text);
/* One element of an array that is written as it comes; frees `object`. */
void keys_json_element(json_t *object, bool *first);
void keys_json_end(bool first);
/* A field of a CSV row, quoted if need be; `last` ends the row. */
void keys_csv_field(const char *text, bool last);
/* For people: nothing in it can move their cursor. */
void keys_print(const char *text, int width);
/* Flushes what was printed; KL_EXIT_OK, or KL_EXIT_FAILED with a word on stderr. */
int keys_printed(void);

#endif
