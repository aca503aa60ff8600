#include "csv_seen.h"

#include <stdlib.h>
#include <string.h>

#include "keyline/index.h"

/* A table holds one part of the values after the other, so that it is small. */
enum {
    PARTS = 8,
    FAR = PARTS * KL_INDEX_AHEAD,
};

/* Rows whose lines follow each other: from the row with this number on, as long as no line was
   blank or belonged to the row before it. */
struct kl_csv_run {
    uint32_t row, line;
};

void kl_tally_count(struct kl_tally *t, uint32_t line)
{
    if (t->count < KL_CSV_LINES_MAX)
        t->line[t->count] = line;
    t->count++;
}

void kl_tally_merge(struct kl_tally *to, const struct kl_tally *from)
{
    uint32_t have = to->count < KL_CSV_LINES_MAX ? to->count : KL_CSV_LINES_MAX;

    for (uint32_t i = 0; i < from->count && i < KL_CSV_LINES_MAX; i++) {
        uint32_t at = have;
        while (at > 0 && to->line[at - 1] > from->line[i])
            at--;
        if (at >= KL_CSV_LINES_MAX)
            continue;
        if (have < KL_CSV_LINES_MAX)
            have++;
        memmove(&to->line[at + 1], &to->line[at], (have - at - 1) * sizeof to->line[0]);
        to->line[at] = from->line[i];
    }
    to->count += from->count;
}

static bool keep_line(struct kl_csv_seen *s, uint32_t line)
{
    const struct kl_csv_run *last = s->run_count > 0 ? &s->run[s->run_count - 1] : NULL;

    if (last && line - last->line == s->rows - last->row)
        return true;
    if (!s->run || s->run_count == s->run_capacity) {
        uint32_t capacity = 2 * s->run_capacity + 1;
        struct kl_csv_run *more = reallocarray(s->run, capacity, sizeof *more);
        if (!more)
            return false;
        s->run = more;
        s->run_capacity = capacity;
    }
    s->run[s->run_count++] = (struct kl_csv_run){s->rows, line};
    return true;
}

static uint32_t line_of(const struct kl_csv_seen *s, uint32_t row)
{
    uint32_t low = 0, high = s->run_count;

    KL_ASSERT(s->run && row < s->rows);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (s->run[middle].row <= row)
            low = middle;
        else
            high = middle;
    }
    return s->run[low].line + (row - s->run[low].row);
}

static bool make_room(struct kl_csv_seen *s)
{
    uint32_t capacity = 2 * s->capacity + 64, *label;

    if (s->rows < s->capacity)
        return true;
    if (s->capacity > KL_INDEX_ITEMS_MAX / 4 ||
        !(label = reallocarray(s->label, capacity, sizeof *label)))
        return false;
    s->label = label;
    for (unsigned i = 0; i < KL_FIELDS_MAX; i++) {
        uint64_t *value;
        if (!s->value[i])
            continue;
        if (!(value = reallocarray(s->value[i], capacity, sizeof *value)))
            return false;
        s->value[i] = value;
    }
    s->capacity = capacity;
    return true;
}

bool kl_csv_seen_row(struct kl_csv_seen *s, uint32_t label, uint32_t line)
{
    if (!make_room(s) || !keep_line(s, line))
        return false;
    s->label[s->rows] = label;
    for (unsigned i = 0; i < KL_FIELDS_MAX; i++)
        if (s->value[i])
            s->value[i][s->rows] = 0;
    s->rows++;
    return true;
}

bool kl_csv_seen_value(struct kl_csv_seen *s, unsigned column, uint64_t hash)
{
    uint64_t **value = &s->value[column];

    if (!*value && !(*value = calloc(s->capacity, sizeof **value)))
        return false;
    (*value)[s->rows - 1] = hash == 0 ? 1 : hash;
    return true;
}

static void find_repeats(const struct kl_csv_seen *s, const uint64_t *value, unsigned part,
                         struct kl_index *x, struct kl_tally *t)
{
    for (uint32_t i = 0; i < s->rows; i++) {
        uint32_t hash = (uint32_t)(value[i] >> 32), at = kl_index_home(x, hash), first;

        if (i + FAR < s->rows && value[i + FAR] % PARTS == part)
            kl_index_expect(x, (uint32_t)(value[i + FAR] >> 32));
        if (value[i] == 0 || value[i] % PARTS != part)
            continue;
        while ((first = kl_index_seek(x, hash, &at)) != UINT32_MAX && value[first] != value[i])
            at = kl_index_step(x, at);
        if (first == UINT32_MAX) {
            kl_index_put(x, at, hash, i);
        } else if (s->label[first] != s->label[i]) {
            struct kl_tally one = {.count = 1, .line = {line_of(s, i)}};
            kl_tally_merge(t, &one);
        }
    }
}

bool kl_csv_seen_repeats(const struct kl_csv_seen *s, unsigned column, struct kl_tally *t)
{
    const uint64_t *value = s->value[column];
    uint32_t rows[PARTS] = {0}, most = 0, *table;

    if (!value)
        return true;
    for (uint32_t i = 0; i < s->rows; i++)
        rows[value[i] % PARTS] += value[i] != 0;
    for (unsigned part = 0; part < PARTS; part++)
        most = rows[part] > most ? rows[part] : most;
    if (!(table = malloc(kl_index_size(most) * sizeof *table)))
        return false;
    for (unsigned part = 0; part < PARTS; part++) {
        struct kl_index x;
        kl_index_init(&x, table, s->rows);
        x.size = kl_index_size(rows[part]);
        memset(table, 0, x.size * sizeof *table);
        find_repeats(s, value, part, &x, t);
    }
    free(table);
    return true;
}

void kl_csv_seen_free(struct kl_csv_seen *s)
{
    for (unsigned i = 0; i < KL_FIELDS_MAX; i++)
        free(s->value[i]);
    free(s->label);
    free(s->run);
    *s = (struct kl_csv_seen){0};
}
