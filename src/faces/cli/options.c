#include "options.h"

#include <stdlib.h>
#include <string.h>

static char fold(char c)
{
    return c == '_' ? '-' : c;
}

/* How many letters have to change to make one name of the other; only small figures matter. */
static unsigned distance(const char *a, size_t a_size, const char *b)
{
    unsigned row[64];
    size_t b_size = strlen(b);

    if (b_size >= 64)
        return 64;
    for (unsigned j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 0; i < a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < b_size; j++) {
            unsigned change = diagonal + (fold(a[i]) != b[j]);
            unsigned least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[b_size];
}

static const struct option *find(const struct option *table, size_t count, const char *name,
                                 size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].type != OPT_HEADING && strlen(table[i].name) == size &&
            distance(name, size, table[i].name) == 0)
            return &table[i];
    return NULL;
}

static void say_unknown(const struct option *table, size_t count, const char *name, size_t size,
                        char error[KL_TEXT_MAX])
{
    const struct option *nearest = NULL;
    unsigned best = 4; /* farther ones are no help */

    for (size_t i = 0; i < count; i++) {
        unsigned d = table[i].type == OPT_HEADING ? 64 : distance(name, size, table[i].name);
        if (d < best) {
            best = d;
            nearest = &table[i];
        }
    }
    snprintf(error, KL_TEXT_MAX, "unknown option --%.*s%s%s%s", (int)size, name,
             nearest ? ": is --" : "", nearest ? nearest->name : "", nearest ? " meant?" : "");
}

/* The index of `text` among "one|two|three"; -1 if it is none. */
static int choice(const char *words, const char *text)
{
    for (int i = 0;; i++) {
        size_t size = strcspn(words, "|");
        if (strlen(text) == size && strncmp(words, text, size) == 0)
            return i;
        if (words[size] == '\0')
            return -1;
        words += size + 1;
    }
}

static bool take_number(const struct option *o, const char *text, void *at, char error[KL_TEXT_MAX])
{
    char *end;
    double number = strtod(text, &end);
    bool whole = o->type == OPT_NUMBER;

    if (end == text || *end || !(number >= o->low && number <= o->high) ||
        (whole && number != (double)(long)number)) {
        kl_format(error, KL_TEXT_MAX, "--%s takes a %s from %ld to %ld, not \"%s\"", o->name,
                  whole ? "whole number" : "number of seconds", (long)o->low, (long)o->high, text);
        return false;
    }
    if (whole)
        *(long *)at = (long)number;
    else
        *(kl_us *)at = (kl_us)(number * 1e6);
    return true;
}

static bool take_value(const struct option *o, const char *text, void *at, char error[KL_TEXT_MAX])
{
    struct option_list *list = at;

    if (o->type == OPT_NUMBER || o->type == OPT_SECONDS)
        return take_number(o, text, at, error);
    if (o->type == OPT_CHOICE) {
        int i = choice(o->value, text);
        *(int *)at = i;
        if (i < 0)
            kl_format(error, KL_TEXT_MAX, "--%s takes one of %s, not \"%s\"", o->name, o->value,
                      text);
        return i >= 0;
    }
    if (o->type == OPT_LIST) {
        if (list->count == OPTION_LIST_MAX) {
            kl_format(error, KL_TEXT_MAX, "--%s is given too often", o->name);
            return false;
        }
        list->item[list->count++] = text;
        return true;
    }
    *(const char **)at = text;
    return true;
}

bool options_parse(const struct option *table, size_t count, char **argv, void *out,
                   char error[KL_TEXT_MAX])
{
    for (char **arg = argv; *arg; arg++) {
        const char *word = strcmp(*arg, "-h") == 0 ? "--help" : *arg;
        const char *name = strncmp(word, "--", 2) == 0 ? word + 2 : "";
        size_t size = strcspn(name, "=");
        const char *value = NULL;
        if (size == 0) {
            kl_format(error, KL_TEXT_MAX, "\"%s\" is neither an option nor a command", *arg);
            return false;
        }
        const struct option *o = find(table, count, name, size);
        if (!o) {
            say_unknown(table, count, name, size, error);
            return false;
        }
        void *at = (char *)out + o->at;
        if (o->type == OPT_FLAG) {
            if (name[size] == '=') {
                kl_format(error, KL_TEXT_MAX, "--%s takes no value", o->name);
                return false;
            }
            *(bool *)at = true;
            continue;
        }
        value = name[size] == '=' ? name + size + 1 : *++arg;
        if (!value) {
            kl_format(error, KL_TEXT_MAX, "--%s needs a value: %s", o->name, o->value);
            return false;
        }
        if (!take_value(o, value, at, error))
            return false;
    }
    return true;
}

void options_help(const struct option *table, size_t count, FILE *file)
{
    enum {
        COLUMN = 30
    };

    for (size_t i = 0; i < count; i++) {
        const struct option *o = &table[i];
        if (o->type == OPT_HEADING) {
            fprintf(file, "\n%s\n", o->name);
            continue;
        }
        int n = fprintf(file, "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        fprintf(file, n < COLUMN - 1 ? "%*s" : "\n%*s", n < COLUMN - 1 ? COLUMN - n : COLUMN, "");
        for (const char *line = o->help; line;) {
            size_t size = strcspn(line, "\n");
            fprintf(file, "%.*s\n", (int)size, line);
            line = line[size] ? line + size + 1 : NULL;
            if (line)
                fprintf(file, "%*s", COLUMN, "");
        }
    }
}
