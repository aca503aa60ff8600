#include "csv_judge.h"

#include <stdlib.h>
#include <string.h>

#include "csv_head.h"
#include "csv_seen.h"
#include "csv_value.h"

enum {
    SIZES = KL_LINE_MAX + 1,
    HEAD_MAX = 256,
    HEADERS_MAX = 16,
    STAGES = 2,
};

struct column {
    uint32_t rows;  /* rows that have a value here */
    uint32_t words; /* of them, those that look like a column's name */
    struct kl_tally empty;
    struct kl_tally kind[KL_CSV_KIND_COUNT];
    struct kl_tally plain;       /* neither hex nor wrong in any way */
    struct kl_tally hex[SIZES];  /* hex digits only, by size */
    struct kl_tally bare[SIZES]; /* of these: decimal digits only, no zero in front */
    uint32_t letters[SIZES];     /* of `hex`: with letters */
    uint32_t any[SIZES];         /* all values */
    struct kl_tally rounded;     /* 16 or more decimal digits, zeros from the 16th on … */
    uint32_t precise, excess;    /* … not so; digits from the 16th on */
    uint64_t first;              /* hash of the first value … */
    bool varies;                 /* … and not all are the same */
    uint32_t long_ones, secrets; /* values that are long; those of 24 bytes and more */
};

/* The last row, or the one that --csv-header skipped. */
struct row_look {
    uint32_t line, fields;
    uint16_t size[KL_FIELDS_MAX];
    bool hex[KL_FIELDS_MAX], digit[KL_FIELDS_MAX];
    uint64_t hash; /* of skipped alone */
    bool marked, total;
};

/* One value of the row that is being looked at. */
struct value_look {
    struct kl_span value;
    unsigned traits;
    uint32_t kinds;
    enum kl_value_name name;
};

struct candidate {
    uint32_t line, fields;
    bool strict; /* every field is a column's name */
};

struct kl_csv_judge {
    uint32_t rows;  /* without rows whose looks alone tell that they are no keys */
    uint32_t wordy; /* of these, but for the first: rows with a field that has no digit */
    uint32_t shapes[STAGES][KL_FIELDS_MAX + 1]; /* rows by field count; [1]: last fields empty */
    uint32_t shape_line[STAGES][KL_FIELDS_MAX + 1];
    struct candidate header[HEADERS_MAX];
    uint32_t headers;
    struct row_look first, last, skipped;
    struct kl_numbered_name numbered; /* of labels */
    struct kl_tally hash_mark, conflict_middle, utf8, not_utf8;
    bool bom, binary, markup;
    uint8_t head[HEAD_MAX];
    size_t head_size;
    struct column column[KL_FIELDS_MAX];
    struct kl_csv_seen seen;
    struct kl_tally found[KL_CSV_KIND_COUNT][KL_FIELDS_MAX + 1];
};

/* ---- counting ---- */

static uint64_t hash_of(struct kl_span v)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = v.size * odd, part = 0;

    for (; v.size > 0; v = (struct kl_span){v.data + sizeof part, v.size - sizeof part}) {
        part = 0;
        memcpy(&part, v.data, v.size < sizeof part ? v.size : sizeof part);
        h = (h ^ part) * odd;
        h ^= h >> 29;
        if (v.size <= sizeof part)
            break;
    }
    h = (h ^ (h >> 32)) * odd;
    return h ^ (h >> 29);
}

static bool is_mark(struct kl_span v)
{
    static const char mark[] = KL_CSV_MARK;

    if (v.size != sizeof mark - 1)
        return false;
    for (size_t i = 0; i < v.size; i++)
        if ((v.data[i] | 0x20) != (mark[i] | 0x20))
            return false;
    return true;
}

static void look_at_digits(struct column *c, struct kl_span v, unsigned traits, uint32_t line)
{
    bool zeros = true;

    kl_tally_count(&c->hex[v.size], line);
    if (!(traits & KL_VALUE_DECIMAL)) {
        c->letters[v.size]++;
        return;
    }
    if (v.data[0] == '0')
        return;
    kl_tally_count(&c->bare[v.size], line);
    if (v.size < 16)
        return;
    for (size_t i = 15; i < v.size; i++)
        zeros &= v.data[i] == '0';
    c->excess += (uint32_t)v.size - 15;
    if (zeros)
        kl_tally_count(&c->rounded, line);
    else
        c->precise++;
}

static bool is_long(struct kl_span v, unsigned traits)
{
    return (traits & KL_VALUE_MIXED) || ((traits & KL_VALUE_HEX) && v.size >= 16);
}

static bool look_at_value(struct kl_csv_judge *j, unsigned at, const struct value_look *look,
                          uint32_t line)
{
    struct column *c = &j->column[at];
    struct kl_span v = look->value;
    unsigned traits = look->traits;
    uint32_t kinds = look->kinds;

    if (v.size == 0) {
        kl_tally_count(&c->empty, line);
        return true;
    }
    if (is_mark(v))
        kinds |= 1u << KL_CSV_MARK_INSIDE;
    c->words += c->rows > 0 || kinds == 0 ? look->name != KL_NAME_NONE : 0;
    c->rows++;
    c->any[v.size]++;
    for (unsigned kind = 0; kinds >> kind != 0; kind++)
        if (kinds & 1u << kind)
            kl_tally_count(&c->kind[kind], line);
    if (traits & KL_VALUE_HEX)
        look_at_digits(c, v, traits, line);
    else if (kinds == 0)
        kl_tally_count(&c->plain, line);
    if (c->rows == 1)
        c->first = hash_of(v);
    else if (!c->varies)
        c->varies = hash_of(v) != c->first;
    if (at == 0 || !is_long(v, traits))
        return true;
    c->long_ones++;
    c->secrets += v.size >= 24;
    return kl_csv_seen_value(&j->seen, at, hash_of(v));
}

/* ---- rows that are told from their looks ---- */

static bool begins(struct kl_span v, const char *text)
{
    return v.size >= strlen(text) && memcmp(v.data, text, strlen(text)) == 0;
}

static bool is_ruler(const struct kl_csv_row_text *row)
{
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span v = kl_csv_field(row, i);

        if (v.size < 3)
            return false;
        for (size_t k = 0; k < v.size; k++)
            if (!memchr("-=_+", v.data[k], 4))
                return false;
    }
    return true;
}

/* "sep=;", for Excel, which makes a row of it. */
static bool is_separator(const struct kl_csv_row_text *row)
{
    return row->fields == 1 && begins(kl_csv_field(row, 0), "sep=");
}

/* "Total", or "(12 rows affected)" */
static bool is_total(const struct kl_csv_row_text *row)
{
    static const char *const words[] = {"total",  "totals", "sum",    "summe",
                                        "gesamt", "count",  "anzahl", "grand total"};
    struct kl_span v = kl_csv_field(row, 0);
    size_t at = v.size > 0 && v.data[0] == '(', digits = at;

    while (v.size > 0 && v.data[v.size - 1] == ':')
        v.size--;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t k = 0;
        while (k < v.size && (v.data[k] | 0x20) == (uint8_t)(words[i][k] | 0x20) && words[i][k])
            k++;
        if (k == v.size && words[i][k] == '\0')
            return true;
    }
    while (digits < v.size && v.data[digits] >= '0' && v.data[digits] <= '9')
        digits++;
    return row->fields == 1 && digits > at &&
           begins((struct kl_span){v.data + digits, v.size - digits}, " row");
}

static bool is_conflict(struct kl_csv_judge *j, const struct kl_csv_row_text *row)
{
    struct kl_span v = kl_csv_field(row, 0);

    if (begins(v, "<<<<<<< ") || begins(v, ">>>>>>> ") || begins(v, "||||||| ")) {
        kl_tally_count(&j->found[KL_CSV_CONFLICT][0], row->line);
        return true;
    }
    if (row->fields == 1 && v.size == 7 && begins(v, "=======")) {
        kl_tally_count(&j->conflict_middle, row->line);
        return true;
    }
    return false;
}

static uint64_t hash_of_row(const struct kl_csv_row_text *row)
{
    return hash_of((struct kl_span){(const uint8_t *)row->value, row->begin[row->fields]});
}

static void look_at_row(struct row_look *l, const struct kl_csv_row_text *row,
                        const struct value_look *look)
{
    memset(l, 0, sizeof *l);
    l->line = row->line;
    l->fields = row->fields;
    l->marked = row->marked;
    l->total = is_total(row);
    for (unsigned i = 0; i < row->fields; i++) {
        l->size[i] = row->begin[i + 1] - row->begin[i];
        l->hex[i] = look[i].traits & KL_VALUE_HEX;
        l->digit[i] = look[i].traits & KL_VALUE_DIGIT;
    }
}

/* Its fields are columns' names, all of them or nearly. */
static bool is_names(struct kl_csv_judge *j, const struct kl_csv_row_text *row,
                     const struct value_look *look)
{
    bool first = j->rows == 0 && j->headers == 0;
    unsigned exact = 0, some = 0;

    for (unsigned i = 0; i < row->fields; i++) {
        exact += look[i].name == KL_NAME_EXACT;
        some += look[i].name != KL_NAME_NONE;
    }
    if (row->fields == 1 ? !first || exact == 0
                         : exact == 0 || some < row->fields - (row->fields > 2))
        return false;
    if (j->headers < HEADERS_MAX)
        j->header[j->headers] =
            (struct candidate){row->line, row->fields, row->fields > 1 && exact == row->fields};
    j->headers++;
    return true;
}

static void look_at_values(struct kl_csv_judge *j, const struct kl_csv_row_text *row,
                           struct value_look look[KL_FIELDS_MAX])
{
    for (unsigned i = 0; i < row->fields; i++) {
        struct kl_span v = kl_csv_field(row, i);

        if (v.size > KL_LINE_MAX)
            v.size = KL_LINE_MAX; /* the rest of a long one tells nothing */
        look[i].value = v;
        look[i].traits = kl_value_look(v, i == 0, &look[i].kinds);
        /* No column's name, and no word in one, has only the letters of hex digits. */
        look[i].name = look[i].traits & KL_VALUE_HEX
                           ? KL_NAME_NONE
                           : kl_value_name(v, i == 0 && row->fields > 1 ? &j->numbered : NULL);
    }
}

void kl_csv_judge_header(struct kl_csv_judge *j, const struct kl_csv_row_text *row)
{
    struct value_look look[KL_FIELDS_MAX];

    if (row->cut || row->fields == 0 || row->fields > KL_FIELDS_MAX)
        return;
    look_at_values(j, row, look);
    look_at_row(&j->skipped, row, look);
    j->skipped.hash = hash_of_row(row);
}

static bool look_at_fields(struct kl_csv_judge *j, const struct kl_csv_row_text *row,
                           const struct value_look *look)
{
    unsigned traits = 0;

    if (!kl_csv_seen_row(&j->seen, (uint32_t)hash_of(kl_csv_field(row, 0)), row->line))
        return false;
    for (unsigned i = 0; i < row->fields; i++) {
        traits |= look[i].traits;
        if (!look_at_value(j, i, &look[i], row->line))
            return false;
    }
    if (traits & KL_VALUE_NOT_UTF8)
        kl_tally_count(&j->not_utf8, row->line);
    else if (traits & KL_VALUE_UTF8)
        kl_tally_count(&j->utf8, row->line);
    return true;
}

static bool has_digits(const struct row_look *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->fields; i++)
        n += l->digit[i];
    return n == l->fields;
}

bool kl_csv_judge_row(struct kl_csv_judge *j, const struct kl_csv_row_text *row)
{
    struct value_look look[KL_FIELDS_MAX];
    bool tail = row->empty_tail > 0;
    struct kl_span label;

    if (row->cut || row->fields == 0 || row->fields > KL_FIELDS_MAX || is_conflict(j, row))
        return true;
    look_at_values(j, row, look);
    look_at_row(&j->last, row, look);
    if (j->skipped.fields > 0 && hash_of_row(row) == j->skipped.hash) {
        kl_tally_count(&j->found[KL_CSV_HEADER][0], row->line);
        return true;
    }
    if (is_ruler(row) || is_separator(row)) {
        kl_tally_count(&j->found[KL_CSV_DECORATION][0], row->line);
        return true;
    }
    if (is_names(j, row, look))
        return true;
    if (j->rows++ == 0)
        j->first = j->last;
    else
        j->wordy += !has_digits(&j->last);
    label = kl_csv_field(row, 0);
    if (label.size > 0 && label.data[0] == '#')
        kl_tally_count(&j->hash_mark, row->line);
    if (j->shapes[tail][row->fields]++ == 0)
        j->shape_line[tail][row->fields] = row->line;
    return look_at_fields(j, row, look);
}

/* ---- the file as a whole ---- */

void kl_csv_judge_bytes(struct kl_csv_judge *j, const void *data, size_t size)
{
    size_t more = HEAD_MAX - j->head_size < size ? HEAD_MAX - j->head_size : size;

    if (size == 0)
        return;
    memcpy(j->head + j->head_size, data, more);
    j->head_size += more;
    j->binary |= memchr(data, '\0', size) != NULL;
}

/* ---- the verdict ---- */

static void judge_file(struct kl_csv_judge *j)
{
    struct kl_csv_head head;

    kl_csv_head_look((struct kl_span){j->head, j->head_size}, &head);
    kl_wipe(j->head, sizeof j->head);
    j->bom = head.bom;
    j->binary |= head.binary;
    j->markup = head.markup;
    if (j->binary)
        kl_tally_count(&j->found[KL_CSV_BINARY][0], 0);
    if (j->markup)
        kl_tally_count(&j->found[KL_CSV_MARKUP][0], 0);
    if (j->found[KL_CSV_CONFLICT][0].count > 0)
        kl_tally_merge(&j->found[KL_CSV_CONFLICT][0], &j->conflict_middle);
    if (j->not_utf8.count > 0 && (j->bom || j->utf8.count > 0))
        j->found[KL_CSV_ENCODING][0] =
            j->bom || j->not_utf8.count <= j->utf8.count ? j->not_utf8 : j->utf8;
}

/* The size that most of the hex values have; 0 = there are none. */
static unsigned usual_size(const struct column *c)
{
    unsigned best = 0;

    for (unsigned size = 1; size < SIZES; size++)
        if (c->hex[size].count > c->hex[best].count)
            best = size;
    return best;
}

/* All hex values but `but` have one size that is a secret's: 0, or that size. */
static unsigned uniform_size(const struct column *c, uint32_t but)
{
    unsigned size = usual_size(c);
    uint32_t rows = c->hex[size].count;

    return size >= 8 && rows + but >= c->rows && rows >= (size >= 16 ? 3u : 5u) ? size : 0;
}

/* In each of these columns most values do not look like a column's name. */
static bool unlike_others(const struct kl_csv_judge *j, uint32_t fields)
{
    for (unsigned i = 0; i < fields; i++)
        if (j->column[i].rows == 0 || j->column[i].words * 2 >= j->column[i].rows)
            return false;
    return true;
}

static void judge_headers(struct kl_csv_judge *j)
{
    uint32_t few = j->rows / 4 > 0 ? j->rows / 4 : 1, digits = 0;
    bool odd;

    for (uint32_t i = 0; i < j->headers && j->headers <= HEADERS_MAX; i++) {
        const struct candidate *h = &j->header[i];
        if (j->headers <= few &&
            (h->strict ? j->rows > 0 || j->headers == 1 : unlike_others(j, h->fields)))
            kl_tally_count(&j->found[KL_CSV_HEADER][0], h->line);
    }
    for (unsigned i = 0; i < j->first.fields; i++)
        digits += j->first.digit[i];
    odd = j->first.fields > 1 && digits == 0 && j->rows >= 4 && j->wordy == 0;
    for (unsigned i = 0; i < j->first.fields; i++) {
        const struct column *c = &j->column[i];
        odd |= c->plain.count == 1 && c->plain.line[0] == j->first.line && !j->first.digit[i] &&
               uniform_size(c, 1) > 0;
    }
    if (odd)
        kl_tally_count(&j->found[KL_CSV_HEADER][0], j->first.line);
    for (unsigned i = 0; i < j->skipped.fields; i++) {
        const struct column *c = &j->column[i];
        unsigned size = uniform_size(c, 0);
        if (size >= 16 && j->skipped.hex[i] && j->skipped.size[i] == size &&
            j->found[KL_CSV_NO_HEADER][0].count == 0)
            kl_tally_count(&j->found[KL_CSV_NO_HEADER][0], j->skipped.line);
    }
}

static unsigned most_common(const uint32_t *of_count, uint32_t *rows)
{
    unsigned best = 0;

    *rows = 0;
    for (unsigned n = 1; n <= KL_FIELDS_MAX; n++)
        if (of_count[n] > *rows) {
            best = n;
            *rows = of_count[n];
        }
    return best;
}

static void judge_shapes(struct kl_csv_judge *j)
{
    uint32_t full, tailed;
    unsigned best = most_common(j->shapes[0], &full), other = most_common(j->shapes[1], &tailed);

    if (full > 0 && tailed > full && best != other) {
        j->found[KL_CSV_TAILS][0].count = full;
        j->found[KL_CSV_TAILS][0].line[0] = j->shape_line[0][best];
        for (unsigned i = 1; i < full && i < KL_CSV_LINES_MAX; i++)
            j->found[KL_CSV_TAILS][0].line[i] = 0;
    }
    for (unsigned i = 0; i < KL_FIELDS_MAX; i++)
        if (j->column[i].empty.count >= 2 && j->column[i].empty.count * 3 >= j->rows)
            j->found[KL_CSV_BLANKS][i + 1] = j->column[i].empty;
}

/* The file ends without a line end, and its last row is shorter than all others. */
static void judge_last(struct kl_csv_judge *j, bool open_end)
{
    const struct row_look *l = &j->last;
    uint32_t full, tailed, rows = 0;
    unsigned usual = most_common(j->shapes[0], &full), same = 0;
    const struct column *c;

    most_common(j->shapes[1], &tailed);
    if (l->total && j->rows >= 3) {
        kl_tally_count(&j->found[KL_CSV_DECORATION][0], l->line);
        return;
    }
    if (!open_end || l->marked || l->fields == 0 || tailed > 0)
        return;
    c = &j->column[l->fields - 1];
    for (unsigned size = 0; size < SIZES; size++)
        if (c->any[size] > rows)
            rows = c->any[same = size];
    if (l->fields < usual ? full >= 2
                          : l->fields > 1 && l->size[l->fields - 1] < same && same >= 8 &&
                                rows + 1 == c->rows && rows >= (same >= 16 ? 2u : 8u))
        kl_tally_count(&j->found[KL_CSV_TRUNCATED][0], l->line);
}

/* ---- columns ---- */

/* Kinds of values that are wrong only where most values are of another kind. */
static bool needs_others(unsigned kind)
{
    return kind == KL_CSV_DATE || kind == KL_CSV_BOOLEAN || kind == KL_CSV_PLACEHOLDER;
}

static void judge_kinds(struct kl_csv_judge *j, unsigned at)
{
    const struct column *c = &j->column[at];

    for (unsigned kind = 0; kind < KL_CSV_KIND_COUNT; kind++) {
        uint32_t n = c->kind[kind].count;
        if (n > 0 && (!needs_others(kind) || (c->rows - n >= 3 && n * 4 <= c->rows)))
            j->found[kind][at + 1] = c->kind[kind];
    }
}

/* A spreadsheet strips the zeros in front of a number. Suspicious is a column of one width, with
   letters or with such zeros, whose shorter values are all numbers without them. */
static void judge_zeros(struct kl_csv_judge *j, unsigned at)
{
    const struct column *c = &j->column[at];
    unsigned usual = usual_size(c);
    uint32_t others = 0, letters = 0, padded = 0;
    struct kl_tally found = {0};

    if (usual < 8 || (uint64_t)c->hex[usual].count * 3 < (uint64_t)c->rows * 2)
        return;
    for (unsigned size = 1; size < SIZES; size++) {
        letters += c->letters[size];
        padded += c->hex[size].count - c->bare[size].count - c->letters[size];
        if (size == usual)
            continue;
        others += c->hex[size].count;
        if (size < usual && size + 4 >= usual)
            kl_tally_merge(&found, &c->bare[size]);
    }
    if (found.count > 0 && found.count == others && (letters > 0 || padded > 0))
        j->found[KL_CSV_ZEROS][at + 1] = found;
}

/* A spreadsheet keeps only 15 digits of a number. */
static void judge_rounded(struct kl_csv_judge *j, unsigned at)
{
    const struct column *c = &j->column[at];

    if (at > 0 && c->varies && c->precise == 0 && c->rounded.count >= 3 && c->excess >= 6 &&
        c->rounded.count == c->rows)
        j->found[KL_CSV_ROUNDED][at + 1] = c->rounded;
}

static bool is_key_size(unsigned size)
{
    static const uint8_t sizes[] = {8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128};

    return memchr(sizes, (int)size, sizeof sizes);
}

static void judge_odd(struct kl_csv_judge *j, unsigned at)
{
    const struct column *c = &j->column[at];
    unsigned usual = usual_size(c);
    uint32_t limit = c->rows / 50 > 1 ? c->rows / 50 : 1;
    struct kl_tally found = c->plain;

    if (usual < 16 || c->hex[usual].count < 8 || c->rows - c->hex[usual].count > limit)
        return;
    for (unsigned size = 1; size < SIZES; size++)
        if ((size > usual || size + 3 < usual) && !is_key_size(size))
            kl_tally_merge(&found, &c->hex[size]);
    if (found.count == 0 || j->found[KL_CSV_HEADER][0].line[0] == found.line[0])
        return;
    if (j->found[KL_CSV_TRUNCATED][0].line[0] != found.line[0])
        j->found[KL_CSV_ODD][at + 1] = found;
}

/* People may mean a value that many rows share: a network's key, an application's id. The judge
   suspects it in a column whose other values differ, or where nothing else is secret. */
static bool judge_repeats(struct kl_csv_judge *j)
{
    struct kl_tally found[KL_FIELDS_MAX] = {0};
    bool own = false;

    for (unsigned i = 1; i < KL_FIELDS_MAX; i++) {
        const struct column *c = &j->column[i];

        if (!kl_csv_seen_repeats(&j->seen, i, &found[i]))
            return false;
        own |= c->secrets > 0 && c->secrets == c->rows && found[i].count * 4 <= c->rows;
    }
    for (unsigned i = 1; i < KL_FIELDS_MAX; i++) {
        const struct column *c = &j->column[i];
        uint32_t n = found[i].count;

        if (n == 0 || c->long_ones < c->rows)
            continue;
        if (n * 4 <= c->rows || (!own && usual_size(c) >= 32 && c->hex[usual_size(c)].count > n))
            j->found[KL_CSV_REPEATED][i + 1] = found[i];
    }
    return true;
}

/* ---- from outside ---- */

struct kl_csv_judge *kl_csv_judge_new(void)
{
    return calloc(1, sizeof(struct kl_csv_judge));
}

static void give(const struct kl_csv_judge *j, struct kl_csv_verdict *out)
{
    bool other_file = j->binary || j->markup; /* then its rows' looks mean nothing */

    out->count = 0;
    for (unsigned kind = 0; kind < (other_file ? KL_CSV_CONFLICT : KL_CSV_KIND_COUNT); kind++)
        for (unsigned column = 0; column <= KL_FIELDS_MAX; column++) {
            const struct kl_tally *t = &j->found[kind][column];
            struct kl_csv_finding *f = &out->finding[out->count];

            if (t->count == 0 || out->count == KL_CSV_FINDINGS_MAX)
                continue;
            *f = (struct kl_csv_finding){(enum kl_csv_kind)kind, column, t->count, {0}};
            memcpy(f->line, t->line, sizeof f->line);
            out->count++;
        }
}

bool kl_csv_judge_end(struct kl_csv_judge *j, bool open_end, struct kl_csv_verdict *out)
{
    judge_file(j);
    judge_headers(j);
    judge_shapes(j);
    judge_last(j, open_end);
    if (j->hash_mark.count > 0 && (uint64_t)j->hash_mark.count * 4 <= j->rows)
        j->found[KL_CSV_COMMENT][0] = j->hash_mark;
    for (unsigned i = 0; i < KL_FIELDS_MAX; i++) {
        judge_kinds(j, i);
        judge_zeros(j, i);
        judge_rounded(j, i);
        judge_odd(j, i);
    }
    out->count = 0;
    if (!judge_repeats(j))
        return false;
    give(j, out);
    return true;
}

void kl_csv_judge_free(struct kl_csv_judge *j)
{
    if (!j)
        return;
    kl_csv_seen_free(&j->seen);
    kl_wipe(j, sizeof *j);
    free(j);
}
