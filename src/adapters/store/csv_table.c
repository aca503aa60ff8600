#include "csv_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "csv_namer.h"
#include "csv_value.h"
#include "keyline/bundle_load.h"
#include "keyline/nvs_schema.h"
#include "keyline/secret.h"
#include "leased_list.h"

enum {
    CHUNK = 1 << 16,
    LABEL_BLOCK = (1 << 18) - 64, /* with what malloc adds to it, whole pages */
    BAD_LABEL_MAX = KL_LABEL_MAX,
    LARGE = 1 << 20, /* bytes: such a file's keys get their names beside its reading */
    TAIL = 0x80,     /* of a good row's `why` while we read: it has empty fields at the end */
};

struct kl_label_block {
    struct kl_label_block *next;
    size_t used;
    char text[LABEL_BLOCK];
};

/* What lives only while we read a file. */
struct reading {
    struct kl_csv csv;
    struct kl_namer *namer;
    struct kl_key long_key;      /* such a file's keys get their names at once */
    struct kl_leased_row leased; /* of a leased list */
    struct kl_key_text text;
    struct kl_csv_judge *judge;
    unsigned form_fields;                     /* of the first row */
    uint32_t of_count[2][KL_COLUMNS_MAX + 1]; /* rows that could be keys, by number of fields; [1]:
                                                those with empty fields at the end */
    uint32_t separated;                       /* rows of one field with a ';', '|' or tab … */
    char separator;                           /* … in the first of them */
    uint32_t separator_line;
    char chunk[CHUNK];
};

struct kl_file_id kl_file_id_of(const struct stat *st)
{
    return (struct kl_file_id){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool time_equal(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool kl_file_id_equal(const struct kl_file_id *a, const struct kl_file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           time_equal(&a->mtim, &b->mtim) && time_equal(&a->ctim, &b->ctim);
}

static enum kl_csv_unfit unfit(const struct kl_table *t, const struct kl_csv_row_text *text)
{
    return t->layout == KL_CSV_LONG ? kl_csv_unfit_long(text) : kl_csv_unfit(text);
}

static void fields_of(const struct kl_csv_row_text *text, struct kl_span field[KL_COLUMNS_MAX])
{
    for (unsigned i = 0; i < text->fields; i++)
        field[i] = kl_csv_field(text, i);
}

/* `long_text`: for a long key; NULL: there are none. */
static bool key_of(const struct kl_table *t, const struct kl_csv_row_text *text, struct kl_key *key,
                   struct kl_key_text *long_text)
{
    struct kl_span field[KL_COLUMNS_MAX];

    fields_of(text, field);
    return t->layout == KL_CSV_LONG && long_text
               ? kl_key_build_long(key, long_text, field, text->fields, kl_sha256)
               : kl_key_build(key, field, text->fields, kl_sha256);
}

static bool has_places(const struct kl_csv_row_text *text)
{
    struct kl_span cell[KL_COLUMNS_MAX];
    unsigned count = text->fields < KL_COLUMNS_MAX ? text->fields : KL_COLUMNS_MAX;

    for (unsigned i = 0; !text->cut && i < count; i++)
        cell[i] = kl_csv_field(text, i);
    return !text->cut && kl_nvs_is_header(cell, count);
}

uint64_t kl_table_start(const struct kl_table *t, uint32_t row)
{
    return (uint64_t)t->start_high[row] << 32 | t->start_low[row];
}

uint32_t kl_table_size(const struct kl_table *t, uint32_t row)
{
    bool marked_since = t->spent[row] && !t->row[row].marked;

    return t->row[row].size + (marked_since ? (uint32_t)sizeof "," KL_CSV_MARK - 1 : 0);
}

void kl_table_move(struct kl_table *t, uint32_t row, uint64_t start)
{
    KL_ASSERT(start >> KL_TABLE_START_BITS == 0);
    t->start_low[row] = (uint32_t)start;
    t->start_high[row] = (uint8_t)(start >> 32);
}

/* ---- the index ---- */

/* A fingerprint is as good as random. */
static uint32_t hash_of(const struct kl_fingerprint *fp)
{
    uint32_t h;

    memcpy(&h, fp->b, sizeof h);
    return h;
}

static uint32_t seek(const struct kl_table *t, const struct kl_fingerprint *fp, uint32_t *at)
{
    uint32_t hash = hash_of(fp), row;

    *at = kl_index_home(&t->index, hash);
    while ((row = kl_index_seek(&t->index, hash, at)) != UINT32_MAX &&
           !kl_fingerprint_equal(&t->row[row].fingerprint, fp))
        *at = kl_index_step(&t->index, *at);
    return row;
}

uint32_t kl_table_find(const struct kl_table *t, const struct kl_fingerprint *fp)
{
    uint32_t at;

    return seek(t, fp, &at);
}

static bool note_copy(struct kl_table *t, uint32_t first, uint32_t row)
{
    if (t->copy_count == t->copy_capacity) {
        uint32_t capacity = t->copy_capacity == 0 ? 64 : t->copy_capacity * 2;
        struct kl_table_copy *more = reallocarray(t->copy, capacity, sizeof *more);
        if (!more)
            return false;
        t->copy = more;
        t->copy_capacity = capacity;
    }
    t->copy[t->copy_count++] = (struct kl_table_copy){first, row};
    return true;
}

static int by_first(const void *a, const void *b)
{
    const struct kl_table_copy *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

uint32_t kl_table_copies(const struct kl_table *t, uint32_t row, uint32_t *count)
{
    uint32_t low = 0, high = t->copy_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->copy[middle].first < row)
            low = middle + 1;
        else
            high = middle;
    }
    for (*count = 0; low + *count < t->copy_count && t->copy[low + *count].first == row; ++*count)
        continue;
    return low;
}

static bool build_index(struct kl_table *t)
{
    uint32_t *entry = calloc(kl_index_size(t->count), sizeof *entry);

    if (!entry)
        return false;
    kl_index_init(&t->index, entry, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct kl_fingerprint *fp = &t->row[i].fingerprint;
        uint32_t first, at;

        if (i + KL_INDEX_AHEAD < t->count)
            kl_index_expect(&t->index, hash_of(&t->row[i + KL_INDEX_AHEAD].fingerprint));
        if (t->row[i].bad)
            continue;
        first = seek(t, fp, &at);
        if (first == UINT32_MAX)
            kl_index_put(&t->index, at, hash_of(fp), i);
        else if (!note_copy(t, first, i))
            return false;
    }
    if (t->copy_count > 0)
        qsort(t->copy, t->copy_count, sizeof *t->copy, by_first);
    return true;
}

/* ---- reading ---- */

static const char *store_label(struct kl_table *t, const char *text, size_t size)
{
    struct kl_label_block *block = t->labels;
    char *label;

    if (!block || block->used + size + 1 > sizeof block->text) {
        if (!(block = malloc(sizeof *block)))
            return NULL;
        block->next = t->labels;
        block->used = 0;
        t->labels = block;
    }
    label = block->text + block->used;
    memcpy(label, text, size);
    label[size] = '\0';
    block->used += size + 1;
    return label;
}

static bool is_separator(uint8_t c)
{
    return c < ' ' || c == 0x7f || c == ',' || c == ';' || c == '|';
}

/* The label is public. In a row that is no key, or has one field only, the label ends before
   anything that its author may have taken for a comma. */
static const char *label_of(struct kl_table *t, const struct reading *r, const struct kl_key *key,
                            bool bad)
{
    const struct kl_csv_row_text *text = &r->csv.row;
    size_t size = 0;
    struct kl_span field;

    if (text->cut || text->fields == 0)
        return store_label(t, "", 0);
    field = bad ? kl_csv_field(text, 0) : kl_key_field(key, 0);
    while (size < field.size && !is_separator(field.data[size]))
        size++;
    if (!bad && text->fields > 1)
        size = field.size;
    if (bad && size > BAD_LABEL_MAX)
        size = BAD_LABEL_MAX;
    return store_label(t, (const char *)field.data, size);
}

static void look_for_separator(struct reading *r)
{
    const struct kl_csv_row_text *text = &r->csv.row;
    struct kl_span field;

    if (text->fields != 1 || text->cut)
        return;
    field = kl_csv_field(text, 0);
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] != ';' && field.data[i] != '|' && field.data[i] != '\t')
            continue;
        if (r->separated++ == 0) {
            r->separator = (char)field.data[i];
            r->separator_line = text->line;
        }
        return;
    }
}

/* If most rows use another separator, each row is one field: all of it would be the label, which
   faces show. */
static bool has_commas(const struct kl_table *t, const struct reading *r, char error[KL_TEXT_MAX])
{
    if (r->separated <= t->count / 2)
        return true;
    kl_format(error, KL_TEXT_MAX,
              "%s: line %u: its fields are separated by %s; save it with commas", kl_shown(t->path),
              r->separator_line,
              r->separator == ';'   ? "';'"
              : r->separator == '|' ? "'|'"
                                    : "tabs");
    return false;
}

static bool grow(struct kl_table *t)
{
    uint32_t capacity = t->capacity == 0 ? 1024 : t->capacity + t->capacity / 2;

#define GROW(array)                                                                                \
    do {                                                                                           \
        void *more = reallocarray(array, capacity, sizeof *(array));                               \
        if (!more)                                                                                 \
            return false;                                                                          \
        (array) = more;                                                                            \
    } while (0)
    GROW(t->row);
    GROW(t->start_low);
    GROW(t->start_high);
    GROW(t->spent);
#undef GROW
    t->capacity = capacity;
    return true;
}

static void look_at_form(struct kl_table *t, struct reading *r)
{
    const struct kl_csv_row_text *text = &r->csv.row;

    if (r->form_fields == 0)
        r->form_fields = text->fields;
    for (unsigned i = 0; text->fields == r->form_fields && i < text->fields; i++) {
        struct kl_column_form *c = &t->form[i];
        struct kl_span v = kl_csv_field(text, i);

        if (c->rows++ == 0) {
            c->size = (unsigned)v.size;
            c->hex = kl_value_is_hex(v);
            c->first_line = text->line;
        } else if (c->odd_line == 0 && (v.size != c->size || kl_value_is_hex(v) != c->hex)) {
            c->odd_line = text->line;
        }
    }
}

static void on_named(void *ctx, uint32_t row, const struct kl_key *key)
{
    struct kl_table *t = ctx;

    t->row[row].fingerprint = key->fingerprint;
    t->row[row].kin = key->kin;
}

/* Reads the row's key; its name comes later, but for a file of long keys. */
static bool take_key(const struct kl_table *t, struct reading *r, struct kl_key *key)
{
    struct kl_span field[KL_COLUMNS_MAX];

    if (t->layout == KL_CSV_LONG)
        return key_of(t, &r->csv.row, key, &r->text);
    fields_of(&r->csv.row, field);
    return kl_key_take(key, field, r->csv.row.fields);
}

/* What the row is called, and which key it is. */
static bool name_row(struct kl_table *t, struct reading *r, struct kl_pool_row *row)
{
    const struct kl_csv_row_text *text = &r->csv.row;
    struct kl_key *key = t->layout == KL_CSV_LONG ? &r->long_key : kl_namer_next(r->namer);
    enum kl_csv_unfit why = unfit(t, text);

    if (why == KL_UNFIT_NOTHING && !take_key(t, r, key))
        why = KL_UNFIT_OTHER;
    row->bad = why != KL_UNFIT_NOTHING;
    row->why = (uint8_t)why;
    if (!(row->label = label_of(t, r, key, row->bad)))
        return false;
    if (!row->bad) {
        if (key == &r->long_key)
            on_named(t, t->count, key);
        else
            kl_namer_add(r->namer, t->count);
        row->why = (uint8_t)(text->fields | (text->empty_tail > 0 ? TAIL : 0)); /* until the end */
        r->of_count[text->empty_tail > 0][text->fields]++;
        look_at_form(t, r);
    }
    return true;
}

/* In a leased list the columns tell, and the box stays closed. */
static bool name_leased_row(struct kl_table *t, struct reading *r, struct kl_pool_row *row)
{
    row->bad = !kl_leased_read_row(&r->csv.row, &r->leased) || r->leased.fields != t->fields;
    row->why = row->bad ? KL_UNFIT_NOT_LEASED : KL_UNFIT_NOTHING;
    if (!row->bad) {
        row->fingerprint = r->leased.fingerprint;
        row->kin = r->leased.kin;
    }
    row->label =
        row->bad ? store_label(t, "", 0) : store_label(t, r->leased.label, strlen(r->leased.label));
    return row->label;
}

static bool add_row(struct kl_table *t, struct reading *r)
{
    const struct kl_csv_row_text *text = &r->csv.row;
    struct kl_pool_row *row;

    if (t->count == t->capacity && (t->count > KL_INDEX_ITEMS_MAX / 4 || !grow(t)))
        return false;
    row = &t->row[t->count];
    memset(row, 0, sizeof *row);
    row->line = text->line;
    row->marked = text->marked;
    if (t->leased ? !name_leased_row(t, r, row) : !name_row(t, r, row))
        return false;
    kl_table_move(t, t->count, text->start);
    row->size = text->size & KL_ROW_SIZE_MAX;
    t->spent[t->count] = text->marked;
    t->count++;
    if (t->leased)
        return true;
    look_for_separator(r);
    return kl_csv_judge_row(r->judge, text);
}

/* The number of fields that most rows have; 0 if there are none. */
static unsigned most_common(const uint32_t of_count[KL_COLUMNS_MAX + 1])
{
    unsigned best = 0;

    for (unsigned n = 1; n <= KL_COLUMNS_MAX; n++)
        if (of_count[n] > (best == 0 ? 0 : of_count[best]))
            best = n;
    return best;
}

/* Most rows decide how many fields a key has. Empty fields at the end do no harm where the rest
   fits. Spreadsheets put them there once only some rows have a mark, and they stay when the marks
   are gone. Rows without such fields tell the number best, unless they are fewer. */
static void judge_shapes(struct kl_table *t, const struct reading *r)
{
    unsigned best = most_common(r->of_count[0]), tailed = most_common(r->of_count[1]);

    if (best == 0 || (tailed > 0 && r->of_count[1][tailed] > r->of_count[0][best]))
        best = tailed;
    t->fields = best;
    for (uint32_t i = 0; i < t->count; i++) {
        struct kl_pool_row *row = &t->row[i];

        if (row->bad)
            continue;
        row->bad = (row->why & ~TAIL) != best;
        if (!row->bad) {
            row->why = KL_UNFIT_NOTHING;
            continue;
        }
        row->why = row->why & TAIL ? KL_UNFIT_EMPTY_FIELD : KL_UNFIT_OTHER_COUNT;
        memset(&row->fingerprint, 0, sizeof row->fingerprint);
    }
}

static enum kl_table_result out_of_memory(const char *path, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: too large for this machine's memory", kl_shown(path));
    return KL_TABLE_BROKEN;
}

static enum kl_table_result take_head(struct kl_table *t, const struct reading *r,
                                      char error[KL_TEXT_MAX])
{
    char why[KL_TEXT_MAX];

    if (kl_leased_read_head(t->leased, &r->csv.row, &t->fields, why))
        return KL_TABLE_OK;
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(t->path), why);
    return KL_TABLE_BROKEN;
}

static enum kl_table_result take_row(struct kl_table *t, struct reading *r, bool *header,
                                     char error[KL_TEXT_MAX])
{
    if (r->csv.row.start >> (KL_TABLE_START_BITS - 1) != 0) /* marks may move it */
        return out_of_memory(t->path, error);
    if (r->csv.row.size > KL_ROW_SIZE_MAX) {
        kl_format(error, KL_TEXT_MAX, "%s: line %u: the row is too long", kl_shown(t->path),
                  r->csv.row.line);
        return KL_TABLE_BROKEN;
    }
    if (*header && t->leased) {
        *header = false;
        return take_head(t, r, error);
    }
    if (*header) {
        *header = false;
        kl_csv_judge_header(r->judge, &r->csv.row);
        if (t->layout == KL_CSV_LONG_IF_PLACES)
            t->layout = has_places(&r->csv.row) ? KL_CSV_LONG : KL_CSV_HEADED;
        return KL_TABLE_OK;
    }
    return add_row(t, r) ? KL_TABLE_OK : out_of_memory(t->path, error);
}

static enum kl_table_result take_chunk(struct kl_table *t, struct reading *r, size_t size,
                                       bool *header, char error[KL_TEXT_MAX])
{
    enum kl_table_result result = KL_TABLE_OK;

    for (size_t at = 0; at < size && result == KL_TABLE_OK;) {
        at += kl_csv_feed(&r->csv, r->chunk + at, size - at);
        if (r->csv.row_ready)
            result = take_row(t, r, header, error);
    }
    return result;
}

static bool is_utf16(const char *data, size_t size)
{
    return size >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0);
}

static enum kl_table_result read_rows(struct kl_table *t, int fd, struct reading *r, bool header,
                                      char error[KL_TEXT_MAX])
{
    enum kl_table_result result = KL_TABLE_OK;
    bool first = true;
    ssize_t size;

    kl_csv_begin(&r->csv);
    while (result == KL_TABLE_OK && (size = read(fd, r->chunk, sizeof r->chunk)) != 0) {
        if (size < 0) {
            kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(t->path), strerror(errno));
            return KL_TABLE_ABSENT;
        }
        if (first && is_utf16(r->chunk, (size_t)size)) {
            kl_format(error, KL_TEXT_MAX, "%s: this is UTF-16; save it as UTF-8", t->path);
            return KL_TABLE_BROKEN;
        }
        first = false;
        if (!t->leased)
            kl_csv_judge_bytes(r->judge, r->chunk, (size_t)size);
        result = take_chunk(t, r, (size_t)size, &header, error);
    }
    if (result != KL_TABLE_OK)
        return result;
    if (t->leased && r->csv.error == KL_CSV_FINE && !header)
        return KL_TABLE_OK; /* a piece of a row at the end is no row: whoever adds rows cuts it */
    kl_csv_end(&r->csv);
    t->open_end = r->csv.row_ready;
    if (r->csv.row_ready && (result = take_row(t, r, &header, error)) != KL_TABLE_OK)
        return result;
    if (t->leased && header) {
        kl_format(error, KL_TEXT_MAX, "%s: its first line is missing", kl_shown(t->path));
        return KL_TABLE_BROKEN;
    }
    if (r->csv.error == KL_CSV_FINE)
        return KL_TABLE_OK;
    kl_format(error, KL_TEXT_MAX, "%s: line %u: %s", kl_shown(t->path), r->csv.error_line,
              kl_csv_error_text(r->csv.error));
    return KL_TABLE_BROKEN;
}

/* Reports a web page, or a file of another kind, as such, and not by the quotes in it. */
static enum kl_table_result judge_all(struct kl_table *t, struct reading *r,
                                      enum kl_table_result result, char error[KL_TEXT_MAX])
{
    char text[KL_TEXT_MAX];

    if (t->leased)
        return result;
    if (!kl_csv_judge_end(r->judge, t->open_end, &t->verdict))
        return out_of_memory(t->path, error);
    if (result != KL_TABLE_BROKEN || t->verdict.count == 0 ||
        t->verdict.finding[0].kind > KL_CSV_MARKUP)
        return result;
    kl_csv_finding_text(&t->verdict.finding[0], text);
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(t->path), text);
    return result;
}

/* NULL: no memory. */
static struct reading *start_reading(struct kl_table *t, off_t size)
{
    struct reading *r = kl_secret_alloc(sizeof *r);

    if (!r)
        return NULL;
    r->judge = kl_csv_judge_new();
    r->namer = t->leased ? NULL : kl_namer_new(size >= LARGE, on_named, t);
    if (r->judge && (t->leased || r->namer))
        return r;
    kl_csv_judge_free(r->judge);
    kl_namer_free(r->namer);
    kl_secret_free(r, sizeof *r);
    return NULL;
}

static enum kl_table_result read_all(struct kl_table *t, int fd, struct reading *r, bool header,
                                     char error[KL_TEXT_MAX])
{
    enum kl_table_result result = read_rows(t, fd, r, header, error);

    if (result == KL_TABLE_OK && !t->leased) {
        kl_namer_finish(r->namer);
        judge_shapes(t, r);
    }
    if (result == KL_TABLE_OK && !has_commas(t, r, error))
        result = KL_TABLE_BROKEN;
    result = judge_all(t, r, result, error);
    /* Before the index takes memory: */
    kl_csv_judge_free(r->judge);
    kl_namer_free(r->namer);
    return result;
}

static enum kl_table_result read_file(struct kl_table *t, int fd, bool header,
                                      char error[KL_TEXT_MAX])
{
    struct reading *r;
    enum kl_table_result result;
    struct stat before, after;

    if (fstat(fd, &before) != 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(t->path), strerror(errno));
        return KL_TABLE_ABSENT;
    }
    if (!(r = start_reading(t, before.st_size)))
        return out_of_memory(t->path, error);
    result = read_all(t, fd, r, header, error);
    if (result == KL_TABLE_OK && !build_index(t))
        result = out_of_memory(t->path, error);
    if (result == KL_TABLE_OK || result == KL_TABLE_BROKEN) {
        t->id = kl_file_id_of(&before);
        if (fstat(fd, &after) != 0 || after.st_size != before.st_size ||
            !time_equal(&after.st_mtim, &before.st_mtim)) {
            kl_format(error, KL_TEXT_MAX, "%s: another program is writing to it",
                      kl_shown(t->path));
            result = KL_TABLE_CHANGED;
        }
    }
    kl_secret_free(r, sizeof *r);
    return result;
}

static enum kl_table_result load(const char *path, unsigned layout, const struct kl_leased *leased,
                                 struct kl_table **out, char error[KL_TEXT_MAX])
{
    struct kl_table *t = calloc(1, sizeof *t);
    enum kl_table_result result;
    const char *trouble;
    int fd;

    *out = NULL;
    if (!t || !kl_copy(t->path, sizeof t->path, path)) {
        free(t);
        return out_of_memory(path, error);
    }
    if ((fd = kl_open_regular(path, &trouble)) < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), trouble);
        free(t);
        return KL_TABLE_ABSENT;
    }
    t->layout = layout;
    t->leased = leased;
    result = read_file(t, fd, layout != KL_CSV_PLAIN, error);
    close(fd);
    if (result == KL_TABLE_OK)
        *out = t;
    else
        kl_table_free(t);
    return result;
}

enum kl_table_result kl_table_load(const char *path, unsigned layout, struct kl_table **out,
                                   char error[KL_TEXT_MAX])
{
    return load(path, layout, NULL, out, error);
}

enum kl_table_result kl_table_load_leased(const char *path, const struct kl_leased *leased,
                                          struct kl_table **out, char error[KL_TEXT_MAX])
{
    return load(path, KL_CSV_HEADED, leased, out, error);
}

struct kl_table *kl_table_hold(struct kl_table *t)
{
    t->holders++;
    return t;
}

void kl_table_free(struct kl_table *t)
{
    if (!t || t->holders-- > 0)
        return;
    while (t->labels) {
        struct kl_label_block *next = t->labels->next;
        free(t->labels);
        t->labels = next;
    }
    free(t->row);
    free(t->start_low);
    free(t->start_high);
    free(t->spent);
    free(t->index.entry);
    free(t->copy);
    free(t);
}

/* ---- one key again ---- */

/* `why` gets what keeps the box of a leased row closed; NULL = nobody wants it opened. */
static bool is_row(const struct kl_table *t, const struct kl_csv_row_text *text, uint32_t row,
                   struct kl_key *key, struct kl_key_text *long_text, char why[KL_TEXT_MAX])
{
    struct kl_leased_row leased;

    if (!t->leased)
        return unfit(t, text) == KL_UNFIT_NOTHING && key_of(t, text, key, long_text) &&
               kl_fingerprint_equal(&key->fingerprint, &t->row[row].fingerprint);
    if (!kl_leased_read_row(text, &leased) ||
        !kl_fingerprint_equal(&leased.fingerprint, &t->row[row].fingerprint))
        return false;
    key->fingerprint = leased.fingerprint;
    key->kin = leased.kin;
    return !why || kl_leased_open(t->leased, &leased, key, why);
}

static bool read_row(const struct kl_table *t, int fd, uint32_t row, struct kl_key *key,
                     struct kl_key_text *long_text, bool *marked, char why[KL_TEXT_MAX])
{
    size_t text_size = kl_table_size(t, row), size = sizeof(struct kl_csv) + text_size;
    struct kl_csv *csv = kl_secret_alloc(size);
    char *text = (char *)(csv + 1);
    bool ok = false;

    if (!csv)
        return false;
    if (pread(fd, text, text_size, (off_t)kl_table_start(t, row)) == (ssize_t)text_size) {
        kl_csv_begin_at(csv, kl_table_start(t, row), t->row[row].line);
        if (kl_csv_feed(csv, text, text_size) == text_size)
            kl_csv_end(csv);
        ok = csv->row_ready && csv->error == KL_CSV_FINE && csv->row.size == text_size &&
             is_row(t, &csv->row, row, key, long_text, why);
        *marked = csv->row.marked;
    }
    if (!ok) {
        if (long_text)
            kl_wipe(long_text, sizeof *long_text);
        kl_wipe(key, sizeof *key);
    }
    kl_secret_free(csv, size);
    return ok;
}

bool kl_table_read_row(const struct kl_table *t, int fd, uint32_t row, struct kl_key *key,
                       struct kl_key_text *long_text, bool *marked)
{
    return read_row(t, fd, row, key, long_text, marked, NULL);
}

enum kl_table_result kl_table_fetch(const struct kl_table *t, uint32_t row, struct kl_key *key,
                                    struct kl_key_text *long_text, char error[KL_TEXT_MAX])
{
    enum kl_table_result result = KL_TABLE_CHANGED;
    const char *trouble = "can't be looked at";
    int fd = kl_open_regular(t->path, &trouble);
    char why[KL_TEXT_MAX] = "";
    struct kl_file_id id;
    struct stat st;
    bool marked;

    if (fd < 0 || fstat(fd, &st) != 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(t->path), trouble);
        result = KL_TABLE_ABSENT;
    } else {
        id = kl_file_id_of(&st);
        if (kl_file_id_equal(&id, &t->id) && read_row(t, fd, row, key, long_text, &marked, why))
            result = KL_TABLE_OK;
        else if (why[0] != '\0') {
            kl_format(error, KL_TEXT_MAX, "%s", why);
            result = KL_TABLE_ABSENT;
        }
    }
    if (fd >= 0)
        close(fd);
    return result;
}
