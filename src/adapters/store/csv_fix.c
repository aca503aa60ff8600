/*
 * csv_fix.c: makes a copy of a CSV and mends in it what it can.
 *
 * It first makes the text UTF-8 with commas, in secret memory. Then it rewrites the text row by row
 * as the judge's findings say, and has it judged again, until it can do nothing more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "csv_value.h"
#include "keyline/lint.h"
#include "keyline/secret.h"

enum {
    ROUNDS_MAX = 200, /* each round takes away a few rows of each kind */
    SIZES = KL_LINE_MAX + 1,
};

static const uint32_t rows_that_go =
    1u << KL_CSV_HEADER | 1u << KL_CSV_COMMENT | 1u << KL_CSV_DECORATION;

struct text { /* secret memory */
    uint8_t *data;
    size_t size, room;
};

struct fixing {
    struct text now, next;
    bool header; /* the first row is one, and stays */
    bool failed; /* no memory */
    struct kl_csv_verdict verdict;
    uint32_t kinds;                         /* in the verdict */
    uint32_t size_of[KL_FIELDS_MAX][SIZES]; /* hex values, by column and size */
    struct kl_csv csv;                      /* secret, like this whole struct */
    uint8_t value[KL_CSV_VALUES_MAX];
};

static void put(struct fixing *x, const void *data, size_t size)
{
    struct text *t = &x->next;

    if (t->size + size > t->room) {
        size_t room = (t->size + size) * 2 + 4096;
        uint8_t *more = kl_secret_grow(t->data, t->room, room);
        if (!more) {
            x->failed = true;
            return;
        }
        t->data = more;
        t->room = room;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static void put_byte(struct fixing *x, uint8_t byte)
{
    put(x, &byte, 1);
}

/* The text just written is the one to read next. */
static void turn(struct fixing *x)
{
    struct text old = x->now;

    x->now = x->next;
    x->next = old;
    x->next.size = 0;
}

static void put_code_point(struct fixing *x, uint32_t c)
{
    if (c < 0x80) {
        put_byte(x, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        put_byte(x, (uint8_t)(0xc0 | c >> 6));
    } else if (c < 0x10000) {
        put_byte(x, (uint8_t)(0xe0 | c >> 12));
        put_byte(x, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    } else {
        put_byte(x, (uint8_t)(0xf0 | c >> 18));
        put_byte(x, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        put_byte(x, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    }
    put_byte(x, (uint8_t)(0x80 | (c & 0x3f)));
}

/* ---- encoding and separators ---- */

/* 0, or which byte of each pair is the high one, plus 1. */
static unsigned utf16_order(const struct text *t)
{
    size_t zeros[2] = {0, 0};

    if (t->size >= 2 && t->data[0] == 0xff && t->data[1] == 0xfe)
        return 2;
    if (t->size >= 2 && t->data[0] == 0xfe && t->data[1] == 0xff)
        return 1;
    for (size_t i = 0; i < t->size && i < 512; i++)
        zeros[i % 2] += t->data[i] == 0;
    for (unsigned i = 0; i < 2; i++)
        if (zeros[i] * 3 > (t->size < 512 ? t->size : 512) && zeros[1 - i] == 0)
            return i + 1;
    return 0;
}

static void from_utf16(struct fixing *x, unsigned order)
{
    const uint8_t *d = x->now.data;
    uint32_t high = 0;

    for (size_t i = 0; i + 1 < x->now.size; i += 2) {
        uint32_t c = (uint32_t)d[i + order - 1] << 8 | d[i + 2 - order];

        if (c >= 0xd800 && c < 0xdc00) {
            high = c;
        } else if (c >= 0xdc00 && c < 0xe000 && high != 0) {
            put_code_point(x, 0x10000 + ((high - 0xd800) << 10) + (c - 0xdc00));
            high = 0;
        } else if (c != 0 && !(i == 0 && c == 0xfeff)) {
            put_code_point(x, c);
        }
    }
}

/* Takes bytes that are no UTF-8 for what Windows writes in the west. */
static void to_utf8(struct fixing *x)
{
    static const uint16_t windows[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    const struct text *t = &x->now;
    size_t at = t->size >= 3 && memcmp(t->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    while (at < t->size) {
        size_t length = kl_value_utf8(t->data + at, t->size - at);
        uint8_t c = t->data[at];

        if (length > 0 && c != 0)
            put(x, t->data + at, length);
        else if (c != 0)
            put_code_point(x, c < 0xa0 ? windows[c & 0x1f] : c);
        at += length > 0 ? length : 1;
    }
}

/* The separator if it is another one than a comma; 0 = commas are fine, or nobody can tell. */
static uint8_t other_separator(const struct text *t)
{
    static const uint8_t candidates[] = {';', '\t', '|'};
    size_t lines[4] = {0}, rows = 0;
    bool quoted = false, seen[4] = {false};

    for (size_t i = 0; i <= t->size; i++) {
        uint8_t c = i < t->size ? t->data[i] : '\n';

        if (c == '"')
            quoted = !quoted;
        for (unsigned k = 0; k < 3 && !quoted; k++)
            seen[k] |= c == candidates[k];
        seen[3] |= !quoted && c == ',';
        if (c != '\n' && c != '\r')
            continue;
        rows += seen[0] || seen[1] || seen[2] || seen[3];
        for (unsigned k = 0; k < 4; k++)
            lines[k] += seen[k];
        memset(seen, 0, sizeof seen);
    }
    for (unsigned k = 0; k < 3; k++)
        if (lines[k] * 2 > rows && lines[3] == 0)
            return candidates[k];
    return 0;
}

static void to_commas(struct fixing *x, uint8_t separator)
{
    bool quoted = false;

    for (size_t i = 0; i < x->now.size; i++) {
        uint8_t c = x->now.data[i];

        if (c == '"')
            quoted = !quoted;
        put_byte(x, c == separator && !quoted ? ',' : c);
    }
}

static void make_plain(struct fixing *x)
{
    unsigned order = utf16_order(&x->now);
    uint8_t separator;

    if (order > 0) {
        from_utf16(x, order);
        turn(x);
    }
    to_utf8(x);
    turn(x);
    if ((separator = other_separator(&x->now)) != 0) {
        to_commas(x, separator);
        turn(x);
    }
}

/* ---- values ---- */

static struct kl_span inside(struct kl_span v, size_t front, size_t back)
{
    return (struct kl_span){v.data + front, v.size - front - back};
}

/* Copies a value without invisible characters. In a label, blanks of all kinds become plain
   ones. */
static struct kl_span visible(struct fixing *x, struct kl_span v, bool label)
{
    size_t n = 0;

    for (size_t i = 0; i < v.size;) {
        size_t gone = kl_value_invisible(v.data + i, v.size - i, label);
        bool blank = gone > 0 && label &&
                     (memcmp(v.data + i, "\xc2\xa0", 2) == 0 ||
                      (memcmp(v.data + i, "\xe2\x80", 2) == 0 && v.data[i + 2] < 0x8b));

        if (gone == 0)
            x->value[n++] = v.data[i++];
        else if (blank)
            x->value[n++] = ' ';
        i += gone;
    }
    return (struct kl_span){x->value, n};
}

static struct kl_span without_quotes(struct kl_span v)
{
    size_t front = kl_value_utf8(v.data, v.size), back = 1;

    while (back < v.size && (v.data[v.size - back] & 0xc0) == 0x80)
        back++;
    return front > 0 && front + back < v.size ? inside(v, front, back) : v;
}

static struct kl_span without_formula(struct kl_span v)
{
    if (v.data[0] == '\'')
        return inside(v, 1, 0);
    return v.data[1] == '"' ? inside(v, 2, 1) : v;
}

static struct kl_span with_zeros(struct fixing *x, unsigned column, struct kl_span v)
{
    unsigned usual = 0;
    size_t zeros;

    for (unsigned size = 1; size < SIZES; size++)
        if (x->size_of[column][size] > x->size_of[column][usual])
            usual = size;
    if (v.size >= usual || v.size + 4 < usual)
        return v;
    zeros = usual - v.size;
    memmove(x->value + zeros, v.data, v.size);
    memset(x->value, '0', zeros);
    return (struct kl_span){x->value, usual};
}

static bool has_finding(const struct fixing *x, enum kl_csv_kind kind, unsigned column)
{
    for (unsigned i = 0; i < x->verdict.count; i++)
        if (x->verdict.finding[i].kind == kind && x->verdict.finding[i].column == column + 1)
            return true;
    return false;
}

static struct kl_span mend(struct fixing *x, unsigned column, struct kl_span v)
{
    uint32_t kinds;
    unsigned traits;

    kl_value_look(v, column == 0, &kinds);
    if (kinds & 1u << KL_CSV_INVISIBLE) {
        v = visible(x, v, column == 0);
        kl_value_look(v, column == 0, &kinds);
    }
    if (kinds & 1u << KL_CSV_QUOTES)
        v = without_quotes(v);
    traits = kl_value_look(v, column == 0, &kinds);
    if (kinds & 1u << KL_CSV_FORMULA)
        v = without_formula(v);
    if (kinds & 1u << KL_CSV_FRACTION)
        v = inside(v, 0, 2);
    if (traits & KL_VALUE_DECIMAL && has_finding(x, KL_CSV_ZEROS, column))
        v = with_zeros(x, column, v);
    return v;
}

/* ---- rows ---- */

static void put_value(struct fixing *x, struct kl_span v)
{
    bool quotes = v.size == 0 || v.data[0] == ' ' || v.data[v.size - 1] == ' ';

    for (size_t i = 0; i < v.size; i++)
        quotes |= strchr(",\"\r\n", v.data[i]) && v.data[i] != '\0';
    if (!quotes || v.size == 0) {
        put(x, v.data, v.size);
        return;
    }
    put_byte(x, '"');
    for (size_t i = 0; i < v.size; i++) {
        if (v.data[i] == '"')
            put_byte(x, '"');
        put_byte(x, v.data[i]);
    }
    put_byte(x, '"');
}

static bool goes(const struct fixing *x, uint32_t line)
{
    for (unsigned i = 0; i < x->verdict.count; i++) {
        const struct kl_csv_finding *f = &x->verdict.finding[i];

        if (!(rows_that_go & 1u << f->kind))
            continue;
        for (unsigned k = 0; k < f->count && k < KL_CSV_LINES_MAX; k++)
            if (f->line[k] == line)
                return true;
    }
    return false;
}

static bool is_mark(struct kl_span v)
{
    static const char mark[] = KL_CSV_MARK;

    return v.size == sizeof mark - 1 && strncasecmp((const char *)v.data, mark, v.size) == 0;
}

static void put_row(struct fixing *x)
{
    const struct kl_csv_row_text *row = &x->csv.row;
    bool marked = row->marked, first = true;
    uint64_t end = row->start + row->size;

    if (row->cut || row->fields > KL_FIELDS_MAX) { /* no key: nothing to mend */
        put(x, x->now.data + row->start, (size_t)(end - row->start));
        put_byte(x, '\n');
        return;
    }
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span v = kl_csv_field(row, i);

        if (is_mark(v)) {
            marked = true;
            continue;
        }
        if (!first)
            put_byte(x, ',');
        first = false;
        put_value(x, mend(x, i, v));
    }
    if (x->kinds & 1u << KL_CSV_TAILS)
        for (uint32_t i = 0; i < row->empty_tail; i++)
            put_byte(x, ',');
    if (marked)
        put(x, first ? KL_CSV_MARK : "," KL_CSV_MARK, strlen(KL_CSV_MARK) + !first);
    put_byte(x, '\n');
}

static void count_sizes(struct fixing *x)
{
    const struct kl_csv_row_text *row = &x->csv.row;

    for (unsigned i = 0; !row->cut && i < row->fields && i < KL_FIELDS_MAX; i++) {
        struct kl_span v = kl_csv_field(row, i);
        uint32_t kinds;

        if (v.size < SIZES && kl_value_look(v, i == 0, &kinds) & KL_VALUE_HEX)
            x->size_of[i][v.size]++;
    }
}

/* Calls `each` for every row; false if the quotes are broken. */
static bool walk(struct fixing *x, struct kl_csv_judge *judge,
                 void (*each)(struct fixing *x, struct kl_csv_judge *judge, bool header))
{
    bool header = x->header;

    kl_csv_begin(&x->csv);
    for (size_t at = 0; at < x->now.size && x->csv.error == KL_CSV_FINE;) {
        at += kl_csv_feed(&x->csv, x->now.data + at, x->now.size - at);
        if (x->csv.row_ready) {
            each(x, judge, header);
            header = false;
        }
    }
    kl_csv_end(&x->csv);
    if (x->csv.row_ready)
        each(x, judge, header);
    return x->csv.error == KL_CSV_FINE;
}

static void judge_one(struct fixing *x, struct kl_csv_judge *judge, bool header)
{
    if (header)
        kl_csv_judge_header(judge, &x->csv.row);
    else if (!kl_csv_judge_row(judge, &x->csv.row))
        x->failed = true;
    count_sizes(x);
}

static void rewrite_one(struct fixing *x, struct kl_csv_judge *judge, bool header)
{
    (void)judge;
    if (header || !goes(x, x->csv.row.line))
        put_row(x);
}

static bool judge(struct fixing *x, char error[KL_TEXT_MAX])
{
    struct kl_csv_judge *j = kl_csv_judge_new();
    bool fine;

    if (!j) {
        x->failed = true;
        return false;
    }
    memset(x->size_of, 0, sizeof x->size_of);
    kl_csv_judge_bytes(j, x->now.data, x->now.size);
    fine = walk(x, j, judge_one);
    if (!fine)
        kl_format(error, KL_TEXT_MAX, "line %u: %s: correct that first",
                  (unsigned)x->csv.error_line, kl_csv_error_text(x->csv.error));
    if (!kl_csv_judge_end(j, false, &x->verdict)) {
        x->failed = true;
        fine = false;
    }
    kl_csv_judge_free(j);
    x->kinds = 0;
    for (unsigned i = 0; i < x->verdict.count; i++)
        x->kinds |= 1u << x->verdict.finding[i].kind;
    return fine;
}

static bool mend_all(struct fixing *x, char error[KL_TEXT_MAX])
{
    make_plain(x);
    for (unsigned round = 0; round < ROUNDS_MAX && !x->failed; round++) {
        if (!judge(x, error))
            return false;
        walk(x, NULL, rewrite_one);
        if (x->next.size == x->now.size &&
            (x->now.size == 0 || memcmp(x->next.data, x->now.data, x->now.size) == 0))
            break;
        turn(x);
    }
    if (x->failed)
        kl_copy(error, KL_TEXT_MAX, "too large for this machine's memory");
    return !x->failed;
}

/* ---- files ---- */

static bool read_all(struct fixing *x, const char *path, char error[KL_TEXT_MAX])
{
    const char *trouble = "it changed while it was read";
    int fd = kl_open_regular(path, &trouble);
    struct stat st;
    ssize_t n = 0;

    if (fd < 0 || fstat(fd, &st) != 0)
        goto failed;
    x->now.room = (size_t)st.st_size + 1;
    if (!(x->now.data = kl_secret_alloc(x->now.room))) {
        trouble = "too large for this machine's memory";
        goto failed;
    }
    trouble = "it changed while it was read";
    while (x->now.size < x->now.room &&
           (n = read(fd, x->now.data + x->now.size, x->now.room - x->now.size)) > 0)
        x->now.size += (size_t)n;
    if (n < 0)
        trouble = strerror(errno);
    if (n == 0 && x->now.size == (size_t)st.st_size) {
        close(fd);
        return true;
    }
failed:
    if (fd >= 0)
        close(fd);
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), trouble);
    return false;
}

static bool write_all(const struct fixing *x, const char *to, char error[KL_TEXT_MAX])
{
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok;

    if (fd < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(to), strerror(errno));
        return false;
    }
    ok = fchmod(fd, 0600) == 0 && kl_disk_write_all(fd, x->now.data, x->now.size) &&
         kl_disk->sync(fd) == 0;
    if (!ok) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(to), strerror(errno));
        unlink(to);
    }
    close(fd);
    return ok;
}

bool kl_csv_fix(const char *path, bool header, const char *to, char error[KL_TEXT_MAX])
{
    struct fixing *x = kl_secret_alloc(sizeof *x);
    char why[KL_TEXT_MAX] = "";
    bool ok = false;

    error[0] = '\0';
    if (!x) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return false;
    }
    x->header = header;
    if (read_all(x, path, error)) {
        ok = mend_all(x, why);
        if (!ok)
            kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), why);
        ok = ok && write_all(x, to, error);
    }
    kl_secret_free(x->now.data, x->now.room);
    kl_secret_free(x->next.data, x->next.room);
    kl_secret_free(x, sizeof *x);
    return ok;
}
