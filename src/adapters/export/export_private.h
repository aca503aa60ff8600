/* export_private.h: what the parts of an export share. */
#ifndef KEYLINE_ADAPTERS_EXPORT_PRIVATE_H
#define KEYLINE_ADAPTERS_EXPORT_PRIVATE_H

#include "keyline/export.h"

/* ---- export_text.c: text in secret memory ---- */

struct export_text {
    char *data;
    size_t size, room;
    bool failed; /* no memory */
};

void export_put(struct export_text *t, const void *data, size_t size);
void export_puts(struct export_text *t, const char *text);
/* A value as a whole CSV field, quoted if need be. */
void export_csv(struct export_text *t, struct kl_span value);
/* What stands between the quotes of a JSON string. False: it is not UTF-8. */
bool export_json(struct export_text *t, struct kl_span value);
/* "NAME":"VALUE", with a comma before it unless it is an object's first. */
bool export_member(struct export_text *t, const char *name, struct kl_span value);
void export_text_free(struct export_text *t);
struct kl_span export_span(const char *text);
/* "2026-03-01T07:55:10Z"; "" for 0. */
void export_time(int64_t wall, char out[32]);

/* ---- export_names.c: which value a field gets ---- */

enum export_kind {
    EXPORT_TEXT,
    EXPORT_EUI,     /* 16 hex digits; public */
    EXPORT_KEY,     /* 32 hex digits */
    EXPORT_VERSION, /* MAC_V1_0_2 */
    EXPORT_UUID,
    EXPORT_PROFILE, /* 8 hex digits */
};

enum export_source {
    EXPORT_NONE,
    EXPORT_COLUMN,
    EXPORT_CONSTANT,
    EXPORT_LABEL,
    EXPORT_MAC,
    EXPORT_EUI64,
};

/* Where the value of one field comes from. */
struct export_name {
    char name[64];
    enum export_kind kind;
    enum export_source source;
    unsigned column; /* from 1 */
    bool chosen;     /* by --map or --set, not by the header */
    char constant[KL_TEXT_MAX];
};

struct export_eui {
    uint8_t b[8];
    uint32_t line;
};

struct template_part;

struct kl_export {
    enum kl_export_form form;
    bool secrets, public, is_11; /* is_11: LoRaWAN 1.1 */
    unsigned fields, column_count;
    char (*columns)[64];
    struct export_name name[KL_EXPORT_NAMES_MAX];
    unsigned name_count;
    char pool[33];
    int64_t now;
    struct template_part *part; /* of the template */
    size_t part_count;
    enum {
        ESCAPE_RAW,
        ESCAPE_CSV,
        ESCAPE_JSON
    } escape;
    struct export_text text;
    unsigned count;
    struct export_eui *eui; /* of all rows: each device comes once */
    size_t eui_room, eui_count;
    bool bad;
};

/* Reads maps and sets, and finds the rest by the header. False and a sentence. */
bool export_names(struct kl_export *e, const struct kl_export_options *o, char error[KL_TEXT_MAX]);
/* NULL: the field has no source. */
const struct export_name *export_find(const struct kl_export *e, const char *name);
bool export_has(const struct kl_export *e, const char *name);
/* The number of the column with this name or number; 0 = none. */
unsigned export_column(const struct kl_export *e, const char *name);
/* Whether a column's value is secret: all but the label and what is mapped as a public id. */
bool export_column_is_secret(const struct kl_export *e, unsigned column);
bool export_is_secret(const struct kl_export *e, const struct export_name *n);

/* The value of a field for this row, checked. `room` gets it where it has to be rewritten. False
   and a sentence naming line and column. */
struct export_value {
    struct kl_span span;
    char room[64];
};
bool export_value(const struct kl_export *e, const struct kl_export_row *row, const char *name,
                  bool upper, struct export_value *out, char error[KL_TEXT_MAX]);
/* "line 7, column 3 (app_key): WHAT" */
void export_say(const struct kl_export_row *row, const struct export_name *n, const char *what,
                char error[KL_TEXT_MAX]);
/* "LW:D0:…" for this row; false and a sentence. */
bool export_qr(const struct kl_export *e, const struct kl_export_row *row, char out[64],
               char error[KL_TEXT_MAX]);

/* ---- the forms: one row each ---- */

bool export_tts_head(struct kl_export *e);
bool export_tts_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX]);
bool export_thingpark_row(struct kl_export *e, const struct kl_export_row *row,
                          char error[KL_TEXT_MAX]);
bool export_list_head(struct kl_export *e);
bool export_list_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX]);
bool export_chirpstack_row(struct kl_export *e, const struct kl_export_row *row,
                           char error[KL_TEXT_MAX]);
bool export_aws_lorawan_row(struct kl_export *e, const struct kl_export_row *row,
                            char error[KL_TEXT_MAX]);
bool export_aws_things_row(struct kl_export *e, const struct kl_export_row *row,
                           char error[KL_TEXT_MAX]);
bool export_lines_row(struct kl_export *e, const struct kl_export_row *row,
                      char error[KL_TEXT_MAX]);

/* ---- export_template.c ---- */

bool export_template_read(struct kl_export *e, const char *text, char error[KL_TEXT_MAX]);
void export_template_free(struct kl_export *e);
bool export_template_needs_keys(const struct kl_export *e);
bool export_template_has_qr(const struct kl_export *e);
bool export_template_head(struct kl_export *e);
bool export_template_row(struct kl_export *e, const struct kl_export_row *row,
                         char error[KL_TEXT_MAX]);
void export_template_foot(struct kl_export *e);

#endif
