/*
 * nvs_schema.h: which column of a key goes where in a board's NVS.
 *
 * It is read from the CSV's header row,
 *     label,provision/key1:string,provision/key2:hex2bin,lora/devEui:u64,provision/done:u8=1
 * or from a file in the form of Espressif's mfg_gen (namespaces and keys, one a line) beside a
 * header row that names the keys (docs/nvs.md). The first column is the label, whether it is
 * written too or not. A column without a name of that form is not written.
 *
 * A schema holds constants, which may be secret: it lives where keys do.
 */
#ifndef KEYLINE_NVS_SCHEMA_H
#define KEYLINE_NVS_SCHEMA_H

#include "keyline/key.h"
#include "keyline/nvs.h"

enum {
    KL_NVS_ITEMS_MAX = 64,    /* values in one image */
    KL_NVS_TEXT_MAX = 4096,   /* bytes of all constants together */
    KL_NVS_CONSTANT = 0xFFFF, /* instead of a column: the value is the same for all boards */
};

struct kl_nvs_place {
    char namespace[KL_NVS_NAME_MAX + 1], name[KL_NVS_NAME_MAX + 1];
    enum kl_nvs_encoding encoding;
    uint16_t column;      /* of the CSV, 0 = the label; or KL_NVS_CONSTANT */
    uint16_t begin, size; /* of a constant: its bytes in the schema's text */
    bool repeat;          /* the first row's value holds for all rows */
};

/* Places stand by namespace, in the order in which the namespaces were first named. */
struct kl_nvs_schema {
    unsigned count;
    struct kl_nvs_place place[KL_NVS_ITEMS_MAX];
    size_t text_size;
    char text[KL_NVS_TEXT_MAX];
};

/* Why a schema can't be. X(NAME, "text") */
#define KL_NVS_SCHEMA_FAULTS(X)                                                                    \
    X(NONE, "")                                                                                    \
    X(NAME, "")                                                                                    \
    X(VALUE, "")                                                                                   \
    X(NO_SLASH, "a place is written NAMESPACE/NAME:TYPE")                                          \
    X(TYPE, "the type is none of u8 i8 u16 i16 u32 i32 u64 i64 string hex2bin base64 blob")        \
    X(TWICE, "this place is named twice")                                                          \
    X(MANY, "there are more than 64 places, or more than 4096 bytes of constants")                 \
    X(NOTHING, "it names no place at all")                                                         \
    X(LATE_COLUMN, "a column stands behind a constant: constants come last")                       \
    X(NO_NAMESPACE, "a key stands before the first namespace")                                     \
    X(LINE, "a line is NAME,namespace, or NAME,data,TYPE or NAME,data,TYPE,REPEAT")                \
    X(FILE, "the type `file` is not taken: put the file's content into the CSV, as base64")        \
    X(NO_COLUMN, "the CSV's header has no such column, or not in this order")

enum kl_nvs_schema_fault {
#define X(name, text) KL_NVS_SCHEMA_##name,
    KL_NVS_SCHEMA_FAULTS(X)
#undef X
    KL_NVS_SCHEMA_FAULT_COUNT
};

struct kl_nvs_schema_error {
    enum kl_nvs_schema_fault fault;
    enum kl_nvs_verdict verdict; /* NAME, VALUE: what is wrong with it */
    unsigned at;                 /* column of the header, or line of the file, from 1 */
};
/* A sentence for a person; names no value. */
const char *kl_nvs_schema_error_text(const struct kl_nvs_schema_error *e);

/* Does any cell look like a place? Then the row is a header and no key. */
bool kl_nvs_is_header(const struct kl_span *cells, unsigned count);
/* Reads the header's cells. `column_count` is how many of them are columns of the rows. False: see
   `error`. */
bool kl_nvs_schema_header(struct kl_nvs_schema *s, const struct kl_span *cells, unsigned count,
                          unsigned *column_count, struct kl_nvs_schema_error *error);
/* Reads a file in mfg_gen's form; the header's cells name the keys. */
bool kl_nvs_schema_config(struct kl_nvs_schema *s, struct kl_span file, const struct kl_span *cells,
                          unsigned count, struct kl_nvs_schema_error *error);

/* A value that stands in no image: which place, and why. */
struct kl_nvs_misfit {
    unsigned place; /* index into the schema's places */
    enum kl_nvs_verdict verdict;
};
/* Can this key be written? False: see `why`. */
bool kl_nvs_schema_fits(const struct kl_nvs_schema *s, const struct kl_key *key,
                        struct kl_nvs_misfit *why);
/* Writes a key's whole image; `size` bytes, as for kl_nvs_begin. False: see `why`. */
bool kl_nvs_schema_build(const struct kl_nvs_schema *s, const struct kl_key *key, uint8_t *image,
                         uint32_t size, struct kl_nvs_misfit *why);
/* The same, but keeps what `old` holds beside the schema's places. `old` must be sound, and other
   memory than `image`. */
bool kl_nvs_schema_merge(const struct kl_nvs_schema *s, const struct kl_key *key,
                         struct kl_nvs_image old, uint8_t *image, uint32_t size,
                         struct kl_nvs_misfit *why);
/* Does the image hold anything beside the schema's places? */
bool kl_nvs_schema_foreign(const struct kl_nvs_schema *s, struct kl_nvs_image image);
/* Does the image hold all of this key's values? */
bool kl_nvs_schema_matches(const struct kl_nvs_schema *s, const struct kl_key *key,
                           struct kl_nvs_image image);
void kl_nvs_schema_finish(struct kl_nvs_schema *s); /* wipes it */

#endif
