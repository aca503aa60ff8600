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
    unsigned rows[3][64]; /* of the last letters of `a`, in turn */
    size_t b_size = strlen(b);

    if (b_size >= 64)
        return 64;
    for (unsigned j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 0; i < a_size; i++) {
        const unsigned *before = rows[(i + 2) % 3], *above = rows[i % 3];
        unsigned *row = rows[(i + 1) % 3];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < b_size; j++) {
            unsigned change = above[j] + (fold(a[i]) != b[j]);
            unsigned least = row[j] < above[j + 1] ? row[j] + 1 : above[j + 1] + 1;
            bool swapped = i > 0 && j > 0 && fold(a[i]) == b[j - 1] && fold(a[i - 1]) == b[j];
            if (swapped && before[j - 1] + 1 < least)
                least = before[j - 1] + 1;
            row[j + 1] = change < least ? change : least;
        }
    }
    return rows[a_size % 3][b_size];
}

const struct option *options_find(const struct option_table *t, const char *name, size_t size)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->row[i].type != OPT_HEADING && strlen(t->row[i].name) == size &&
            distance(name, size, t->row[i].name) == 0)
            return &t->row[i];
    return NULL;
}

void options_unknown(const struct option_table *t, const char *name, size_t size,
                     const char *dashes, char error[KL_TEXT_MAX])
{
    const struct option *nearest = NULL;
    unsigned best = 4; /* a name that differs more is no help */

    for (size_t i = 0; i < t->count; i++) {
        const struct option *o = &t->row[i];
        unsigned d = o->type == OPT_HEADING ? 64 : distance(name, size, o->name);
        if (size >= 3 && d > 1 && o->type != OPT_HEADING && strncmp(o->name, name, size) == 0)
            d = 1; /* its beginning: --csv is more like --csv-file than like --nvs */
        /* Of names that are equally near, the one that begins in the same way. */
        bool begins = size > 0 && nearest && o->name[0] == name[0] && nearest->name[0] != name[0];
        if (d < best || (d == best && begins)) {
            best = d;
            nearest = o;
        }
    }
    snprintf(error, KL_TEXT_MAX, "unknown option %s%.*s%s%s%s%s", dashes, (int)size, name,
             nearest ? ": is " : "", nearest ? dashes : "", nearest ? nearest->name : "",
             nearest ? " meant?" : "");
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

/* The number; false if it is none, or out of bounds. */
static bool read_number(const struct option *o, const char *text, double *number)
{
    char *end;

    *number = strtod(text, &end);
    return end != text && *end == '\0' && *number >= o->low && *number <= o->high &&
           (o->type != OPT_NUMBER || *number == (double)(long)*number);
}

bool options_check(const struct option *o, const char *text, const char *dashes,
                   char error[KL_TEXT_MAX])
{
    double number;

    if ((o->type == OPT_NUMBER || o->type == OPT_SECONDS) && !read_number(o, text, &number)) {
        snprintf(error, KL_TEXT_MAX, "%s%s takes a %s from %.10g to %.10g, not \"%s\"", dashes,
                 o->name, o->type == OPT_NUMBER ? "whole number" : "number of seconds", o->low,
                 o->high, text);
        return false;
    }
    if (o->type == OPT_CHOICE && choice(o->value, text) < 0) {
        kl_format(error, KL_TEXT_MAX, "%s%s takes one of %s, not \"%s\"", dashes, o->name, o->value,
                  text);
        return false;
    }
    if (o->type == OPT_FLAG && choice("yes|no", text) < 0) {
        kl_format(error, KL_TEXT_MAX, "%s%s takes yes or no, not \"%s\"", dashes, o->name, text);
        return false;
    }
    return true;
}

bool options_add(struct option_settings *all, const struct option_setting *one,
                 char error[KL_TEXT_MAX])
{
    unsigned same = 0;

    for (unsigned i = 0; i < all->count; i++)
        if (all->item[i].option == one->option && all->item[i].source == one->source)
            same++;
    if (all->count == OPTION_SETTINGS_MAX ||
        (one->option->type == OPT_LIST && same == OPTION_LIST_MAX)) {
        kl_format(error, KL_TEXT_MAX, "%s is given too often", one->option->name);
        return false;
    }
    all->item[all->count++] = *one;
    return true;
}

/* ---- the command line ---- */

/* One argument that begins with a dash; `next` points to the argument after it. */
static bool read_option(const struct option_table *t, const char *word, char ***next,
                        struct option_settings *all, char error[KL_TEXT_MAX])
{
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    struct option_setting one = {options_find(t, name, size), NULL, OPTION_TYPED, NULL, 0};

    if (!one.option && size > 3 && strncmp(name, "no-", 3) == 0) {
        const struct option *flag = options_find(t, name + 3, size - 3);
        if (flag && flag->type == OPT_FLAG) {
            one.option = flag;
            one.text = "no";
        }
    }
    if (!one.option) {
        options_unknown(t, name, size, "--", error);
        return false;
    }
    if (one.option->type == OPT_FLAG) {
        if (name[size] == '=') {
            kl_format(error, KL_TEXT_MAX, "--%s takes no value", one.option->name);
            return false;
        }
        one.text = one.text ? one.text : "yes";
        return options_add(all, &one, error);
    }
    one.text = name[size] == '=' ? name + size + 1 : **next;
    if (!one.text) {
        kl_format(error, KL_TEXT_MAX, "--%s needs a value: %s", one.option->name,
                  one.option->value);
        return false;
    }
    *next += name[size] != '=';
    return options_check(one.option, one.text, "--", error) && options_add(all, &one, error);
}

/* "-h" -> "--help"; NULL if no option has this letter. */
static const char *long_name(const struct option_table *t, const char *word, char out[64])
{
    for (size_t i = 0; i < t->count && word[1] && !word[2]; i++) {
        if (t->row[i].letter == word[1]) {
            kl_format(out, 64, "--%s", t->row[i].name);
            return out;
        }
    }
    return NULL;
}

/* A file without its option is what tired hands type. */
static void unknown_word(const struct option_table *t, const char *word, char error[KL_TEXT_MAX])
{
    static const struct {
        const char *end, *option;
    } files[] = {{".csv", "csv-file"}, {".bin", "firmware"}, {".json", "firmware"}};
    const char *meant = NULL;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t size = strlen(word), end = strlen(files[i].end);
        if (size > end && strcmp(word + size - end, files[i].end) == 0 &&
            options_find(t, files[i].option, strlen(files[i].option)))
            meant = files[i].option;
    }
    kl_format(error, KL_TEXT_MAX, "\"%s\" is neither an option nor a command%s%s%s%s%s", word,
              meant ? ": is --" : "", meant ? meant : "", meant ? " " : "", meant ? word : "",
              meant ? " meant?" : "");
}

bool options_read(const struct option_table *t, char **argv, struct option_settings *all,
                  struct option_list *words, char error[KL_TEXT_MAX])
{
    bool over = false; /* after "--" */

    for (char **arg = argv; *arg;) {
        char name[64];
        const char *word = *arg++;
        if (!over && words && strcmp(word, "--") == 0) {
            over = true;
            continue;
        }
        if (!over && word[0] == '-' && word[1] != '-' && long_name(t, word, name))
            word = name;
        if (!over && strncmp(word, "--", 2) == 0 && word[2] != '\0' && word[2] != '=') {
            if (!read_option(t, word, &arg, all, error))
                return false;
        } else if (words && (over || word[0] != '-') && words->count < OPTION_LIST_MAX) {
            words->item[words->count++] = word;
        } else {
            unknown_word(t, word, error);
            return false;
        }
    }
    return true;
}

/* ---- what comes of it ---- */

const struct option_setting *options_winner(const struct option_settings *all,
                                            const struct option *o)
{
    const struct option_setting *best = NULL;

    for (unsigned i = 0; i < all->count; i++) {
        const struct option_setting *s = &all->item[i];
        if (s->option == o && (!best || s->source > best->source ||
                               (s->source == best->source && o->type != OPT_LIST)))
            best = s;
    }
    return best;
}

static void apply(const struct option_setting *s, void *at)
{
    struct option_list *list = at;
    double number;

    switch (s->option->type) {
    case OPT_FLAG:
        *(bool *)at = strcmp(s->text, "yes") == 0;
        break;
    case OPT_NUMBER:
        read_number(s->option, s->text, &number);
        *(long *)at = (long)number;
        break;
    case OPT_SECONDS:
        read_number(s->option, s->text, &number);
        *(kl_us *)at = (kl_us)(number * 1e6);
        break;
    case OPT_CHOICE:
        *(int *)at = choice(s->option->value, s->text);
        break;
    case OPT_LIST:
        list->item[list->count++] = s->text;
        break;
    case OPT_TEXT:
        *(const char **)at = s->text;
        break;
    case OPT_HEADING:
        break;
    }
}

void options_apply(const struct option_settings *all, void *out)
{
    for (unsigned i = 0; i < all->count; i++) {
        const struct option_setting *s = &all->item[i];
        const struct option_setting *winner = options_winner(all, s->option);
        if (s == winner || (s->option->type == OPT_LIST && s->source == winner->source))
            apply(s, (char *)out + s->option->at);
    }
}

bool options_parse(const struct option *table, size_t count, char **argv, void *out,
                   char error[KL_TEXT_MAX])
{
    static struct option_settings all;
    const struct option_table t = {table, count};

    all.count = 0;
    if (!options_read(&t, argv, &all, NULL, error))
        return false;
    options_apply(&all, out);
    return true;
}

/* ---- --help ---- */

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
        int n = 0;
        if (o->letter)
            n = fprintf(file, "  -%c,", o->letter);
        n += fprintf(file, "%s--%s%s%s", n > 0 ? " " : "  ", o->name, o->value ? " " : "",
                     o->value ? o->value : "");
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
