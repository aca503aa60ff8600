#include "csv_header.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    NAME_MAX_SIZE = 24 /* longer than this, a field is no column's name */
};

static bool holds_word(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"uuid",   "key",   "eui",  "label",  "name",  "serial",
                                        "secret", "token", "mac",  "device", "ident", "column",
                                        "field",  "psk",   "cert", "number"};
    char text[NAME_MAX_SIZE + 1];

    if (size > NAME_MAX_SIZE)
        return false;
    memcpy(text, data, size);
    text[size] = '\0';
    if (strcasecmp(text, "id") == 0 || strcasecmp(text, "sn") == 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(text, words[i]) != NULL)
            return true;
    return false;
}

static bool has_digit(const struct kl_csv_row_text *row)
{
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span field = kl_csv_field(row, i);
        for (size_t k = 0; k < field.size; k++)
            if (field.data[k] >= '0' && field.data[k] <= '9')
                return true;
    }
    return false;
}

/* Headers name things in words that their columns' values do not repeat, and mostly without the
   digits that keys are full of. */
static bool differs(const struct kl_header_guess *g, const struct kl_csv_row_text *second)
{
    if (!g->digits && has_digit(second))
        return true;
    for (unsigned i = 0; i < g->fields && i < second->fields; i++) {
        struct kl_span field = kl_csv_field(second, i);
        if (g->named[i] && !holds_word(field.data, field.size) && g->size[i] != field.size)
            return true;
    }
    return false;
}

void kl_header_look(struct kl_header_guess *g, const struct kl_csv_row_text *row)
{
    if (g->rows++ > 1 || row->cut || row->fields > KL_FIELDS_MAX)
        return;
    if (g->rows == 2) {
        g->likely = g->fields > 0 && !g->marked && differs(g, row);
        return;
    }
    g->line = row->line;
    g->fields = row->fields;
    g->marked = row->marked;
    g->digits = has_digit(row);
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span field = kl_csv_field(row, i);
        g->named[i] = holds_word(field.data, field.size);
        g->size[i] = (uint16_t)field.size;
    }
}

void kl_header_judge(const struct kl_header_guess *g, char warning[KL_TEXT_MAX])
{
    warning[0] = '\0';
    if (g->likely)
        snprintf(warning, KL_TEXT_MAX,
                 "line %u looks like a header, not a key: if it is one, use --csv-header", g->line);
}
