/* bench_custody.c: what the CSV says against what the boards hold. No key is printed. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum {
    ROWS_MAX = 512,
    LINE_BYTES = 512
};

struct row {
    char text[LINE_BYTES];
    bool marked;
};

static struct row rows[ROWS_MAX];
static unsigned row_count;

bool bench_read_rows(const char *path)
{
    static const char mark[] = ",Provisioned";
    FILE *file = fopen(path, "r");
    row_count = 0;
    if (file == NULL)
        return false;
    while (row_count < ROWS_MAX && fgets(rows[row_count].text, LINE_BYTES, file) != NULL) {
        struct row *r = &rows[row_count++];
        r->text[strcspn(r->text, "\r\n")] = '\0';
        size_t n = strlen(r->text), m = sizeof mark - 1;
        r->marked = n > m && strcmp(r->text + n - m, mark) == 0;
        if (r->marked)
            r->text[n - m] = '\0';
    }
    fclose(file);
    return true;
}

static const struct row *row_of(const struct board *board)
{
    const char *stored = kl_vboard_stored(board->vb);
    for (unsigned i = 0; stored[0] != '\0' && i < row_count; i++)
        if (strcmp(rows[i].text, stored) == 0)
            return &rows[i];
    return NULL;
}

bool bench_is_marked(const struct board *board)
{
    const struct row *row = row_of(board);
    return row != NULL && row->marked;
}

/* Whether a line that holds this key ever reached the board. */
static bool has_seen(const struct board *board, const struct row *row)
{
    for (unsigned i = 0; i < kl_vboard_lines_seen(board->vb); i++)
        if (strstr(kl_vboard_line_seen(board->vb, i), row->text) != NULL)
            return true;
    return false;
}

static void check_row(struct bench *b, const struct row *row)
{
    char name[16];
    unsigned holders = 0, seen = 0;
    for (unsigned j = 0; j < b->count; j++) {
        holders += row_of(&b->board[j]) == row;
        seen += has_seen(&b->board[j], row);
    }
    kl_format(name, sizeof name, "row %u", (unsigned)(row - rows) + 1);
    if (holders > 1)
        bench_complain(b, "several boards have one key", name);
    if (seen > 1)
        bench_complain(b, "several boards were sent one key", name);
    if (row->marked && holders == 0)
        bench_complain(b, "a marked key is in no board", name);
    if (!row->marked && holders > 0)
        bench_complain(b, "a board has a key that is not marked", name);
}

void bench_check_custody(struct bench *b)
{
    unsigned marked = 0, mistakes = b->mistakes;
    if (!bench_read_rows(b->want.csv))
        bench_complain(b, "the CSV is gone", b->want.csv);
    for (unsigned i = 0; i < row_count; i++) {
        marked += rows[i].marked;
        check_row(b, &rows[i]);
    }
    for (unsigned j = 0; j < b->count; j++)
        if (!b->board[j].lost && row_of(&b->board[j]) == NULL)
            bench_complain(b, "a board has no key of the CSV", b->board[j].serial);
    printf("custody: %u rows, %u marked, %u boards, %u mistakes\n", row_count, marked, b->count,
           b->mistakes - mistakes);
}
