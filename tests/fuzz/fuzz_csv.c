/*
 * fuzz_csv.c: any bytes as a CSV. However they are cut into pieces, the rows are the same; they lie
 * one behind the other; and a mark put where a row says marks that row and changes no other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/store/csv.h"

enum {
    ROWS_MAX = 64,
    INPUT_MAX = 4096,
};

struct row {
    uint64_t start, end, values; /* values: a hash of them */
    uint32_t line, fields;
    bool marked, cut;
};

struct rows {
    struct row row[ROWS_MAX];
    unsigned count;
    enum kl_csv_error error;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint64_t hash_values(const struct kl_csv_row_text *text)
{
    uint64_t hash = 14695981039346656037u;

    for (unsigned i = 0; !text->cut && i < text->fields && i < KL_FIELDS_MAX; i++) {
        struct kl_span field = kl_csv_field(text, i);
        for (size_t k = 0; k <= field.size; k++)
            hash = (hash ^ (k < field.size ? field.data[k] : 256u)) * 1099511628211u;
    }
    return hash;
}

static void take_row(struct rows *rows, const struct kl_csv *csv)
{
    const struct kl_csv_row_text *text = &csv->row;

    if (rows->count == ROWS_MAX)
        return;
    kl_csv_unfit_text(kl_csv_unfit(text));
    rows->row[rows->count++] = (struct row){.start = text->start,
                                            .end = text->start + text->size,
                                            .values = hash_values(text),
                                            .line = text->line,
                                            .fields = text->fields,
                                            .marked = text->marked,
                                            .cut = text->cut};
}

static void read_rows(struct rows *rows, const uint8_t *data, size_t size, size_t piece)
{
    struct kl_csv csv;

    memset(rows, 0, sizeof *rows);
    kl_csv_begin(&csv);
    for (size_t at = 0; at < size;) {
        size_t left = size - at;
        at += kl_csv_feed(&csv, data + at, left < piece ? left : piece);
        if (csv.row_ready)
            take_row(rows, &csv);
    }
    kl_csv_end(&csv);
    if (csv.row_ready)
        take_row(rows, &csv);
    rows->error = csv.error;
    kl_csv_finish(&csv);
}

static void check_order(const struct rows *rows, size_t size)
{
    for (unsigned i = 0; i < rows->count; i++) {
        must(rows->row[i].start < rows->row[i].end && rows->row[i].end <= size);
        must(i == 0 || rows->row[i].start > rows->row[i - 1].end);
        must(i == 0 || rows->row[i].line > rows->row[i - 1].line);
    }
}

static void check_mark(const struct rows *rows, unsigned which, const uint8_t *data, size_t size)
{
    static const char mark[] = "," KL_CSV_MARK;
    static uint8_t marked[INPUT_MAX + sizeof mark];
    static struct rows after;
    size_t at = (size_t)rows->row[which].end;

    memcpy(marked, data, at);
    memcpy(marked + at, mark, sizeof mark - 1);
    memcpy(marked + at + sizeof mark - 1, data + at, size - at);
    read_rows(&after, marked, size + sizeof mark - 1, SIZE_MAX);
    must(after.error == KL_CSV_FINE && after.count == rows->count);
    for (unsigned i = 0; i < rows->count; i++) {
        must(after.row[i].marked == (i == which ? true : rows->row[i].marked));
        must(after.row[i].fields == rows->row[i].fields);
        must(after.row[i].values == rows->row[i].values);
        must(after.row[i].line == rows->row[i].line);
        must(after.row[i].end == rows->row[i].end + (i >= which ? sizeof mark - 1 : 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rows whole, pieces;

    if (size > INPUT_MAX)
        return 0;
    read_rows(&whole, data, size, SIZE_MAX);
    read_rows(&pieces, data, size, 1 + size % 7);
    must(memcmp(&whole, &pieces, sizeof whole) == 0);
    check_order(&whole, size);
    if (whole.error == KL_CSV_FINE && whole.count < ROWS_MAX)
        for (unsigned i = 0; i < whole.count; i += 1 + whole.count / 4)
            check_mark(&whole, i, data, size);
    return 0;
}
