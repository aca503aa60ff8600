/*
 * grid.h: a rectangle of character cells, each with a style: what a screen will show, as plain
 * data.
 */
#ifndef KEYLINE_GRID_H
#define KEYLINE_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kl_style {
    KL_STYLE_PLAIN,
    KL_STYLE_DIM,
    KL_STYLE_STRONG,
    KL_STYLE_BAR,     /* header and footer */
    KL_STYLE_BAR_KEY, /* a key's name in the footer */
    KL_STYLE_FRAME,
    KL_STYLE_SELECTED, /* the selected pane's frame, a selected line: also visible in mono */
    KL_STYLE_BUSY,
    KL_STYLE_WAIT,
    KL_STYLE_PASS, /* fills a pane */
    KL_STYLE_FAIL, /* fills a pane */
    KL_STYLE_WARN, /* one line that must be seen */
    KL_STYLE_DONE, /* the filled part of a progress bar */
    KL_STYLE_LEFT, /* the empty part */
    KL_STYLE_COUNT
};

enum {
    KL_CELL_BYTES = 8,
    KL_GRID_ROWS_MAX = 200,
    KL_GRID_COLS_MAX = 400
};

struct kl_cell {
    char text[KL_CELL_BYTES]; /* one character in UTF-8, NUL-terminated; "" = the right half of a
                                 wide one */
    uint8_t style;
};

struct kl_grid {
    int rows, cols;
    bool ascii;            /* a text that is cut ends in ">" instead of "…" */
    struct kl_cell *cells; /* rows * cols, owned by whoever called kl_grid_init */
};

/* False if out of memory. Sizes are clamped to 1 … the maxima above. */
bool kl_grid_init(struct kl_grid *g, int rows, int cols);
void kl_grid_finish(struct kl_grid *g);
void kl_grid_clear(struct kl_grid *g);

struct kl_cell *kl_grid_cell(struct kl_grid *g, int row, int col);

/* Writes text from (row, col) in at most `width` columns; control bytes become '.', broken UTF-8
   '?', combining marks are dropped; a text that does not fit ends in "…". Returns the columns used.
   Anything outside of the grid is dropped. */
int kl_grid_text(struct kl_grid *g, int row, int col, int width, enum kl_style style,
                 const char *text);
/* Right-aligned in `width` columns ending before column `end`; returns the first column used. */
int kl_grid_text_right(struct kl_grid *g, int row, int end, int width, enum kl_style style,
                       const char *text);
void kl_grid_fill(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style);
/* Changes only the style. */
void kl_grid_tint(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style);
/* Roughly the bytes that turn a terminal from one grid into the other, of the same size. */
size_t kl_grid_cost(const struct kl_grid *from, const struct kl_grid *to);
/* The text behind the first `columns` columns. */
const char *kl_text_behind(const char *text, int columns);
/* Columns that `text` takes. */
int kl_text_width(const char *text);

#endif
