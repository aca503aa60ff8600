/* cli_keys.h: what the parts of `keyline keys` share. */
#ifndef KEYLINE_FACES_CLI_KEYS_H
#define KEYLINE_FACES_CLI_KEYS_H

#include <jansson.h>

#include "keyline/store.h"
#include "options.h"

enum keys_format {
    KEYS_TEXT,
    KEYS_CSV,
    KEYS_JSON
};

/* What goes with `export` alone. */
struct keys_export_args {
    int as; /* enum kl_export_form; -1 = not said */
    bool public, secrets, is_signed, no_password;
    const char *output, *template, *sign_key, *password_file, *since;
    struct option_list maps, sets;
};

struct keys_args {
    const char *csv, *journal;
    bool header, fix;
    enum keys_format format;
    const char *state, *label, *mac, *reason;
    struct keys_export_args export;
    const char *question; /* the number of what the station asks; NULL = whatever it is */
    char mac_text[18];    /* `mac` as the ledger writes it */
};

/* cli_keys_show.c */
int keys_status(const struct keys_args *a);
int keys_list(const struct keys_args *a);
/* cli_keys_ledger.c */
int keys_history(const struct keys_args *a);
int keys_export(const struct keys_args *a);
/* The last thing known of a board's EUI-64; "" = it has none. */
void keys_eui64(struct kl_store *s, const struct kl_mac *mac, char out[24]);
int keys_store_exit(enum kl_store_open_result result);
/* KL_EXIT_OK, or the exit status after a word on stderr. Free it only after OK. */
int keys_open_record(const struct keys_args *a, struct kl_store **out);
/* A word on stderr if nothing was ever recorded. */
void keys_say_no_record(const struct keys_args *a, const struct kl_store *s);
/* cli_keys_audit.c */
int keys_audit(const struct keys_args *a);
/* cli_keys_release.c */
int keys_release(const struct keys_args *a);

/* cli_keys_accept.c */
int keys_accept(const struct keys_args *a);

/* cli_keys_lint.c */
int keys_lint(const struct keys_args *a);

/* cli_export.c */
/* Whether an export is more than the list on standard output. */
bool keys_export_is_special(const struct keys_args *a);
int keys_export_special(const struct keys_args *a);
/* A template's text, to be freed; NULL and a sentence. */
char *keys_read_template(const char *path, char error[KL_TEXT_MAX]);
/* Whether all rows of the list could be exported like that, also those that no board has yet. */
int keys_export_check(const struct keys_args *a);
/* cli_export_record.c */
/* Keeps in the history that keys with their secrets were written: by the station if one runs.
   KL_EXIT_OK once that is durable, or the exit status after a word on stderr. */
int keys_record_export(const struct keys_args *a, const char *what);
/* cli_sign_key.c */
int keys_sign_key(const struct keys_args *a);

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
