/* csv_header.h: does the first row look like a header rather than a key? Only ever a warning. */
#ifndef KEYLINE_ADAPTERS_CSV_HEADER_H
#define KEYLINE_ADAPTERS_CSV_HEADER_H

#include "keyline/csv.h"

struct kl_header_guess { /* all zero to begin with */
    uint32_t rows;
    uint32_t line;
    uint32_t fields;
    uint16_t size[KL_FIELDS_MAX];
    bool named[KL_FIELDS_MAX]; /* the field holds a word that headers use */
    bool digits, marked, likely;
};

/* Shows it the rows in order; it looks at the first two. */
void kl_header_look(struct kl_header_guess *g, const struct kl_csv_row_text *row);
/* "" or a sentence. */
void kl_header_judge(const struct kl_header_guess *g, char warning[KL_TEXT_MAX]);

#endif
