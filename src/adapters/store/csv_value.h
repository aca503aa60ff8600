/* csv_value.h: what one value of a CSV, or one column's name, looks like. Pure. */
#ifndef KEYLINE_ADAPTERS_CSV_VALUE_H
#define KEYLINE_ADAPTERS_CSV_VALUE_H

#include "csv_judge.h"

enum kl_value_trait {          /* bits */
    KL_VALUE_HEX = 1 << 0,     /* hex digits only */
    KL_VALUE_DECIMAL = 1 << 1, /* digits only */
    KL_VALUE_MIXED = 1 << 2,   /* 16 or more bytes, no blanks; small and large letters and digits */
    KL_VALUE_UTF8 = 1 << 3,    /* has a character of more than one byte */
    KL_VALUE_NOT_UTF8 = 1 << 4,
    KL_VALUE_DIGIT = 1 << 5, /* has a digit */
};

/* Traits, and in *kinds the bits (1 << kind) of what is wrong with it, if anything. DATE, BOOLEAN
   and PLACEHOLDER among them are wrong only where the column's other values differ. */
unsigned kl_value_look(struct kl_span value, bool label, uint32_t *kinds);

/* Has it hex digits only, or nothing? */
bool kl_value_is_hex(struct kl_span value);

enum {
    KL_VALUE_NAME_MAX = 32
};

enum kl_value_name {
    KL_NAME_NONE,
    KL_NAME_WORD,     /* holds a word that column names hold */
    KL_NAME_NUMBERED, /* is a column's name with a number behind it */
    KL_NAME_EXACT,    /* is a column's name */
};
/* What was found out about a name before the number behind it. All zero: nothing yet. Labels that
   only count on, bench-0001, bench-0002, are looked up once. */
struct kl_numbered_name {
    char name[KL_VALUE_NAME_MAX];
    size_t size;
    enum kl_value_name is;
};
/* `before`: of the same column's labels, which are public; NULL for values that may be secret. */
enum kl_value_name kl_value_name(struct kl_span value, struct kl_numbered_name *before);

/* The length of the invisible character at the front; 0 = none. */
size_t kl_value_invisible(const uint8_t *at, size_t size, bool label);
/* The length of the UTF-8 character at the front; 0 = it is none. */
size_t kl_value_utf8(const uint8_t *at, size_t size);

#endif
