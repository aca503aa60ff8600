#include "csv.h"

#include <string.h>

enum state {
    FIELD,       /* before a field: the parser skips blanks */
    PLAIN,       /* in a field without quotes */
    QUOTED,      /* between its quotes */
    QUOTE_SEEN,  /* a quote inside: the end, or the first of two */
    AFTER_QUOTE, /* blanks up to comma or line end */
    BROKEN,
};

static const unsigned char byte_order_mark[3] = {0xef, 0xbb, 0xbf};

void kl_csv_begin_at(struct kl_csv *c, uint64_t offset, uint32_t line)
{
    memset(c, 0, sizeof *c);
    c->offset = offset;
    c->line = line;
    c->row.start = offset;
    c->row.line = line;
    c->bom = sizeof byte_order_mark;
}

void kl_csv_begin(struct kl_csv *c)
{
    kl_csv_begin_at(c, 0, 1);
    c->bom = 0;
}

void kl_csv_finish(struct kl_csv *c)
{
    kl_wipe(c, sizeof *c);
}

struct kl_span kl_csv_field(const struct kl_csv_row_text *row, unsigned i)
{
    KL_ASSERT(i < row->fields && i < KL_COLUMNS_MAX && !row->cut);
    return (struct kl_span){(const uint8_t *)row->value + row->begin[i],
                            (size_t)(row->begin[i + 1] - row->begin[i])};
}

const char *kl_csv_error_text(enum kl_csv_error error)
{
    static const char *const text[] = {
        [KL_CSV_FINE] = "",
        [KL_CSV_QUOTE_OPEN] = "a quote is opened and never closed",
        [KL_CSV_QUOTE_INSIDE] = "a quote stands inside a field that does not begin with one",
        [KL_CSV_QUOTE_SEPARATOR] = "its fields are separated by ';' or '|'; save it with commas",
        [KL_CSV_QUOTE_TAIL] = "something stands between a closing quote and the next comma",
    };
    return text[error];
}

static bool is_blank(char b)
{
    return b == ' ' || b == '\t';
}

static const char mark[] = KL_CSV_MARK;
#define MARK_SIZE (sizeof mark - 1)

static void keep(struct kl_csv *c, char b, bool solid)
{
    if (c->base + c->length < KL_CSV_VALUES_MAX)
        c->row.value[c->base + c->length] = b;
    if (c->length == c->like_mark && c->length < MARK_SIZE &&
        (b | 0x20) == (mark[c->length] | 0x20))
        c->like_mark++;
    c->length++;
    if (solid)
        c->solid = c->length;
}

/* How many of the bytes continue a field without quotes and have no meaning of their own. */
static size_t plain_run(const char *bytes, size_t size)
{
    size_t n = 0;

    while (n < size && (unsigned char)bytes[n] > ' ' && bytes[n] != ',' && bytes[n] != '"')
        n++;
    return n;
}

/* The same as keep() for each byte, all of them solid. */
static void keep_run(struct kl_csv *c, const char *bytes, size_t size)
{
    size_t at, room;

    while (size > 0 && c->length == c->like_mark) {
        keep(c, *bytes++, true);
        size--;
    }
    if (size == 0)
        return;
    at = c->base + c->length;
    room = at < KL_CSV_VALUES_MAX ? KL_CSV_VALUES_MAX - at : 0;
    if (room > 0)
        memcpy(c->row.value + at, bytes, size < room ? size : room);
    c->length += size;
    c->solid = c->length;
}

static void end_field(struct kl_csv *c)
{
    struct kl_csv_row_text *row = &c->row;
    bool is_mark = c->like_mark == MARK_SIZE && c->solid == MARK_SIZE;
    bool fits = c->base + c->solid <= KL_CSV_VALUES_MAX;

    if (is_mark) {
        if (c->marks++ == 0)
            c->mark_at = c->index;
    } else if (c->solid > 0) {
        c->marks = 0;
        row->fields = c->index + 1;
    }
    row->cut |= !fits && !is_mark;
    if (c->high < c->base + c->length)
        c->high = c->base + c->length;
    if (fits)
        c->base += c->solid;
    if (c->index < KL_COLUMNS_MAX)
        row->begin[c->index + 1] = (uint16_t)c->base;
    c->index++;
    c->length = c->solid = c->like_mark = 0;
    c->state = FIELD;
}

/* A row that has nothing but blanks is no row, and neither is one that a spreadsheet made of empty
   cells. */
static void end_row(struct kl_csv *c)
{
    struct kl_csv_row_text *row = &c->row;
    uint32_t before_mark;

    end_field(c);
    if (row->fields == 0 && c->marks == 0)
        return;
    before_mark = c->marks > 0 ? c->mark_at : c->index;
    row->marked = c->marks > 0;
    row->empty_tail = before_mark - row->fields;
    row->size = c->offset - row->start;
    c->row_ready = true;
}

static void next_row(struct kl_csv *c)
{
    struct kl_csv_row_text *row = &c->row;

    kl_wipe(row->value, c->high < KL_CSV_VALUES_MAX ? c->high : KL_CSV_VALUES_MAX);
    row->start = c->offset;
    row->line = c->line;
    row->size = 0;
    row->fields = row->empty_tail = 0;
    row->marked = row->cut = false;
    c->row_ready = false;
    c->index = c->marks = 0;
    c->base = c->high = 0;
    c->state = FIELD;
}

static void broken(struct kl_csv *c, enum kl_csv_error error, uint32_t line)
{
    c->error = error;
    c->error_line = line;
    c->state = BROKEN;
}

static void unquoted(struct kl_csv *c, char b)
{
    if (b == '"' && c->state == FIELD) {
        c->state = QUOTED;
        c->quote_line = c->line;
    } else if (b == '"') {
        broken(c, KL_CSV_QUOTE_INSIDE, c->line);
    } else if (c->state == PLAIN || !is_blank(b)) {
        c->state = PLAIN;
        keep(c, b, !is_blank(b));
    }
}

static void closed(struct kl_csv *c, char b)
{
    if (b == '"' && c->state == QUOTE_SEEN) {
        c->state = QUOTED;
        keep(c, b, true);
    } else if (is_blank(b)) {
        c->state = AFTER_QUOTE;
    } else if (b == ';' || b == '|') {
        broken(c, KL_CSV_QUOTE_SEPARATOR, c->line);
    } else {
        broken(c, KL_CSV_QUOTE_TAIL, c->line);
    }
}

/* Takes one byte; true if it ends a row. */
static bool take(struct kl_csv *c, char b)
{
    bool line_end = b == '\n' || b == '\r';

    if (c->state == QUOTED) {
        if (b == '"')
            c->state = QUOTE_SEEN;
        else
            keep(c, b, true);
    } else if (line_end) {
        end_row(c);
        return true;
    } else if (b == ',') {
        end_field(c);
    } else if (c->state == FIELD || c->state == PLAIN) {
        unquoted(c, b);
    } else {
        closed(c, b);
    }
    return false;
}

/* CR, LF and CR LF end a line, inside quotes too. */
static void count_line(struct kl_csv *c, char b)
{
    if (b == '\r' || (b == '\n' && !c->after_cr))
        c->line++;
    c->after_cr = b == '\r';
}

static bool skip_bom(struct kl_csv *c, char b)
{
    if (c->bom == sizeof byte_order_mark)
        return false;
    KL_ASSERT(c->bom < sizeof byte_order_mark);
    if (c->offset == c->bom && (unsigned char)b == byte_order_mark[c->bom]) {
        c->bom++;
        c->offset++;
        if (c->bom == sizeof byte_order_mark)
            c->row.start = c->offset;
        return true;
    }
    /* It is no byte order mark after all: the skipped bytes belong to the first field. */
    for (unsigned i = 0; i < c->bom && i < sizeof byte_order_mark; i++)
        unquoted(c, (char)byte_order_mark[i]);
    c->bom = sizeof byte_order_mark;
    return false;
}

size_t kl_csv_feed(struct kl_csv *c, const void *data, size_t size)
{
    const char *bytes = data;

    if (c->row_ready)
        next_row(c);
    for (size_t i = 0; i < size && c->state != BROKEN; i++) {
        size_t run = c->state == PLAIN ? plain_run(bytes + i, size - i) : 0;
        if (run > 0) {
            keep_run(c, bytes + i, run);
            c->after_cr = false;
            c->offset += run;
            i += run - 1;
            continue;
        }
        char b = bytes[i];
        bool second_of_crlf = b == '\n' && c->after_cr && c->state != QUOTED;
        bool row_end;

        if (c->bom < sizeof byte_order_mark && skip_bom(c, b))
            continue;
        if (second_of_crlf) {
            c->after_cr = false;
            c->row.start = ++c->offset;
            continue;
        }
        row_end = take(c, b);
        count_line(c, b);
        c->offset++;
        if (c->row_ready)
            return i + 1;
        if (row_end)
            next_row(c);
    }
    return size;
}

void kl_csv_end(struct kl_csv *c)
{
    if (c->row_ready)
        next_row(c);
    if (c->bom < sizeof byte_order_mark && c->bom > 0 && c->offset == c->bom)
        skip_bom(c, '\0');
    if (c->state == QUOTED)
        broken(c, KL_CSV_QUOTE_OPEN, c->quote_line);
    if (c->state != BROKEN)
        end_row(c);
}

const char *kl_csv_unfit_text(enum kl_csv_unfit why)
{
    static const char *const texts[] = {
#define X(name, text) [KL_UNFIT_##name] = (text),
        KL_CSV_UNFIT(X)
#undef X
    };
    return texts[why];
}

static enum kl_csv_unfit field_unfit(struct kl_span field)
{
    enum kl_csv_unfit why = field.size == 0 ? KL_UNFIT_EMPTY_FIELD : KL_UNFIT_NOTHING;

    for (size_t i = 0; i < field.size && why == KL_UNFIT_NOTHING; i++) {
        if (field.data[i] == ',')
            why = KL_UNFIT_COMMA;
        else if (field.data[i] < ' ' || field.data[i] == 0x7f)
            why = KL_UNFIT_CONTROL;
    }
    return why;
}

enum kl_csv_unfit kl_csv_unfit(const struct kl_csv_row_text *row)
{
    enum kl_csv_unfit why = KL_UNFIT_NOTHING;
    size_t line = 0;

    if (row->fields == 0)
        return KL_UNFIT_NO_FIELDS;
    if (row->fields > KL_FIELDS_MAX)
        return KL_UNFIT_MANY_FIELDS;
    if (row->cut)
        return KL_UNFIT_LONG;
    for (unsigned i = 0; i < row->fields && why == KL_UNFIT_NOTHING; i++) {
        struct kl_span field = kl_csv_field(row, i);
        why = field_unfit(field);
        line += field.size + (i > 0);
    }
    return why == KL_UNFIT_NOTHING && line > KL_LINE_MAX ? KL_UNFIT_LONG : why;
}

enum kl_csv_unfit kl_csv_unfit_long(const struct kl_csv_row_text *row)
{
    size_t line = 0;

    if (row->fields == 0)
        return KL_UNFIT_NO_FIELDS;
    if (row->fields > KL_COLUMNS_MAX)
        return KL_UNFIT_MANY_COLUMNS;
    if (row->cut)
        return KL_UNFIT_LONG_ROW;
    if (field_unfit(kl_csv_field(row, 0)) != KL_UNFIT_NOTHING)
        return field_unfit(kl_csv_field(row, 0));
    if (kl_csv_field(row, 0).size > KL_LINE_MAX)
        return KL_UNFIT_LONG_LABEL;
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span field = kl_csv_field(row, i);
        if (field.size == 0)
            return KL_UNFIT_EMPTY_FIELD;
        if (memchr(field.data, '\0', field.size))
            return KL_UNFIT_NUL;
        line += field.size + (i > 0);
    }
    return line > KL_KEY_MAX ? KL_UNFIT_LONG_ROW : KL_UNFIT_NOTHING;
}
