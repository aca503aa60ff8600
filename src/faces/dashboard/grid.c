#include "grid.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

bool kl_grid_init(struct kl_grid *g, int rows, int cols)
{
    g->rows = clamp(rows, 1, KL_GRID_ROWS_MAX);
    g->cols = clamp(cols, 1, KL_GRID_COLS_MAX);
    g->cells = calloc((size_t)g->rows * (size_t)g->cols, sizeof *g->cells);
    if (!g->cells)
        return false;
    kl_grid_clear(g);
    return true;
}

void kl_grid_finish(struct kl_grid *g)
{
    free(g->cells);
    *g = (struct kl_grid){0};
}

void kl_grid_clear(struct kl_grid *g)
{
    kl_grid_fill(g, 0, 0, g->rows, g->cols, KL_STYLE_PLAIN);
}

struct kl_cell *kl_grid_cell(struct kl_grid *g, int row, int col)
{
    return &g->cells[row * g->cols + col];
}

size_t kl_grid_cost(const struct kl_grid *from, const struct kl_grid *to)
{
    enum {
        RUN_COST = 16 /* to move there and to set the colours */
    };
    size_t cost = 0;
    int last = -2;

    for (int i = 0; i < to->rows * to->cols; i++) {
        const struct kl_cell *a = &from->cells[i], *b = &to->cells[i];
        if (a->style == b->style && strcmp(a->text, b->text) == 0)
            continue;
        cost += strlen(b->text) + (i == last + 1 ? 0 : RUN_COST);
        last = i;
    }
    return cost;
}

/* One character of UTF-8: its bytes, and its code point or U+FFFD if it is none. */
static size_t decode(const char *text, uint32_t *code)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t n = t[0] < 0x80 ? 1 : t[0] >> 5 == 6 ? 2 : t[0] >> 4 == 14 ? 3 : t[0] >> 3 == 30 ? 4 : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    *code = 0xfffd;
    if (n == 0)
        return 1;
    uint32_t c = n == 1 ? t[0] : t[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (t[i] >> 6 != 2)
            return i;
        c = c << 6 | (t[i] & 0x3f);
    }
    if (c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff))
        *code = c;
    return n;
}

/* Writes what the screen shows for one character to `out`; returns its columns. */
static int as_shown(const char *text, size_t *bytes, char out[KL_CELL_BYTES])
{
    uint32_t code;
    int width;

    *bytes = decode(text, &code);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        memcpy(out, ".", 2);
        return 1;
    }
    width = code < 0x80 ? 1 : wcwidth((wchar_t)code);
    if (code == 0xfffd || width < 0) {
        memcpy(out, "?", 2);
        return 1;
    }
    memcpy(out, text, *bytes);
    out[*bytes] = '\0';
    return width;
}

static void set(struct kl_grid *g, int row, int col, enum kl_style style, const char *text)
{
    struct kl_cell *c;

    if (row < 0 || row >= g->rows || col < 0 || col >= g->cols)
        return;
    c = kl_grid_cell(g, row, col);
    memcpy(c->text, text, strlen(text) + 1);
    c->style = (uint8_t)style;
}

/* Marks a text that was cut, in its last column. */
static void cut(struct kl_grid *g, int row, int end, enum kl_style style)
{
    if (row < 0 || row >= g->rows || end < 2)
        return;
    if (!kl_grid_cell(g, row, end - 1)->text[0])
        set(g, row, end - 2, style, " "); /* a wide character would lose its right half */
    set(g, row, end - 1, style, g->ascii ? ">" : "…");
}

int kl_grid_text(struct kl_grid *g, int row, int col, int width, enum kl_style style,
                 const char *text)
{
    int used = 0;

    if (col + width > g->cols)
        width = g->cols - col;

    while (*text && used < width) {
        char one[KL_CELL_BYTES];
        size_t bytes;
        int columns = as_shown(text, &bytes, one);
        text += bytes;
        if (columns == 0)
            continue;
        if (columns == 2 && used + 2 > width) {
            set(g, row, col + used, style, g->ascii ? ">" : "…");
            return used + 1;
        }
        set(g, row, col + used, style, one);
        if (columns == 2)
            set(g, row, col + used + 1, style, "");
        used += columns;
    }
    if (*text && used >= width && width >= 2 && kl_text_width(text) > 0)
        cut(g, row, col + width, style);
    return used;
}

int kl_text_width(const char *text)
{
    int width = 0;

    while (*text) {
        char one[KL_CELL_BYTES];
        size_t bytes;
        width += as_shown(text, &bytes, one);
        text += bytes;
    }
    return width;
}

const char *kl_text_behind(const char *text, int columns)
{
    while (*text && columns > 0) {
        char one[KL_CELL_BYTES];
        size_t bytes;
        columns -= as_shown(text, &bytes, one);
        text += bytes;
    }
    return text;
}

int kl_grid_text_right(struct kl_grid *g, int row, int end, int width, enum kl_style style,
                       const char *text)
{
    int needed = kl_text_width(text);

    if (needed > width)
        needed = width;
    kl_grid_text(g, row, end - needed, needed, style, text);
    return end - needed;
}

void kl_grid_fill(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style)
{
    for (int r = row; r < row + rows; r++)
        for (int c = col; c < col + cols; c++)
            set(g, r, c, style, " ");
}

void kl_grid_tint(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style)
{
    for (int r = row; r < row + rows && r < g->rows; r++)
        for (int c = col; c < col + cols && c < g->cols; c++)
            if (r >= 0 && c >= 0)
                kl_grid_cell(g, r, c)->style = (uint8_t)style;
}
