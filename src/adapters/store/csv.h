/*
 * csv.h: reads CSV as a stream and says where each row lies in the file, byte for byte, so that a
 * mark can be put in without touching anything else.
 *
 * Pure: bytes in, rows out; no file is opened here. It accepts RFC 4180 quotes with commas, quotes
 * and line ends inside them; LF, CRLF, CR and any mixture; a UTF-8 byte order mark; a missing last
 * line end; blanks around fields; empty lines.
 *
 *     feed -> row_ready -> look at row -> feed the rest …  -> end -> row_ready?
 */
#ifndef KEYLINE_CSV_H
#define KEYLINE_CSV_H

#include "keyline/base.h"

#define KL_CSV_MARK "Provisioned" /* the literal last field of a spent row, in any case */

enum {
    KL_CSV_VALUES_MAX = KL_KEY_MAX + 1, /* bytes of a row's values that are kept */
};

enum kl_csv_error {
    KL_CSV_FINE,
    KL_CSV_QUOTE_OPEN,      /* the file ends inside a quoted field */
    KL_CSV_QUOTE_INSIDE,    /* a quote inside a field that does not begin with one */
    KL_CSV_QUOTE_SEPARATOR, /* another separator than a comma after a closing quote */
    KL_CSV_QUOTE_TAIL,      /* something other than a comma or a line end after a closing quote */
};

struct kl_csv_row_text {
    uint64_t start;      /* offset of its first byte in the file */
    uint64_t size;       /* bytes up to its line end: the mark goes there */
    uint32_t line;       /* where it begins, from 1 */
    uint32_t fields;     /* the key's fields: without empty ones at the end, and the mark */
    uint32_t empty_tail; /* empty fields between the last one and mark or line end */
    bool marked;
    bool cut;                           /* values were too long to be kept: `field` can't be used */
    uint16_t begin[KL_COLUMNS_MAX + 1]; /* field i is value[begin[i] … begin[i + 1]) */
    char value[KL_CSV_VALUES_MAX];
};

struct kl_csv {
    struct kl_csv_row_text row;
    bool row_ready;
    enum kl_csv_error error;
    uint32_t error_line;
    /* private from here on */
    uint64_t offset; /* of the next byte */
    uint32_t line;   /* of the next byte */
    uint8_t state;
    uint8_t bom;      /* bytes of a byte order mark seen at the start */
    bool after_cr;    /* a line feed now belongs to the line end before it */
    uint32_t index;   /* of the field that is being read */
    uint32_t marks;   /* marks since the last field that is neither empty nor a mark */
    uint32_t mark_at; /* index of the first of them */
    size_t base;      /* where the field's value begins in row.value */
    size_t length;    /* its bytes so far, also those that did not fit */
    size_t solid;     /* its bytes without the blanks at the end */
    size_t like_mark; /* how many of its first bytes equal the mark's */
    size_t high;      /* bytes of row.value that were written */
    uint32_t quote_line;
};

/* Why a row can't be a key.   X(NAME, "text") */
#define KL_CSV_UNFIT(X)                                                                            \
    X(NOTHING, "")                                                                                 \
    X(NO_FIELDS, "it has the mark and nothing else")                                               \
    X(MANY_FIELDS, "it has more than 32 fields")                                                   \
    X(OTHER_COUNT, "its number of fields differs from the other rows'")                            \
    X(EMPTY_FIELD, "a field is empty")                                                             \
    X(COMMA, "a field holds a comma, which the line protocol can't carry")                         \
    X(CONTROL, "a field holds a control character or line end")                                    \
    X(LONG, "it is longer than the 255 bytes that the firmware takes")                             \
    X(OTHER, "the line protocol can't carry it")                                                   \
    X(MANY_COLUMNS, "it has more than 64 fields")                                                  \
    X(LONG_ROW, "it is longer than 16383 bytes")                                                   \
    X(LONG_LABEL, "its label is longer than 255 bytes")                                            \
    X(NUL, "a field holds a NUL")                                                                  \
    X(NOT_LEASED, "it is no row of a leased list")

enum kl_csv_unfit {
#define X(name, text) KL_UNFIT_##name,
    KL_CSV_UNFIT(X)
#undef X
};
const char *kl_csv_unfit_text(enum kl_csv_unfit why);
/* What keeps this row from being a key; NOTHING if the row alone shows no reason. */
enum kl_csv_unfit kl_csv_unfit(const struct kl_csv_row_text *row);
/* The same for a row that is written into NVS: it may be a long key. */
enum kl_csv_unfit kl_csv_unfit_long(const struct kl_csv_row_text *row);

void kl_csv_begin(struct kl_csv *c);
/* The same, for one row that begins at this place of the file. */
void kl_csv_begin_at(struct kl_csv *c, uint64_t offset, uint32_t line);
/* Takes bytes until a row is complete (row_ready), there is an error, or all are taken. Returns how
   many were taken. */
size_t kl_csv_feed(struct kl_csv *c, const void *data, size_t size);
/* The file ends here; a last row without a line end may become ready. */
void kl_csv_end(struct kl_csv *c);
void kl_csv_finish(struct kl_csv *c); /* wipes it: rows are secret */

/* Value of field `i` < row.fields, KL_COLUMNS_MAX. */
struct kl_span kl_csv_field(const struct kl_csv_row_text *row, unsigned i);
const char *kl_csv_error_text(enum kl_csv_error error);

#endif
