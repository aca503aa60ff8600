/* view_draw.h: shared by view*.c only: where things go, and how figures look. */
#ifndef KEYLINE_VIEW_DRAW_H
#define KEYLINE_VIEW_DRAW_H

#include "view.h"

enum {
    HEADER_ROWS = 3,
    FOOTER_ROWS = 1,
    PANE_ROWS_MIN = 6,
    PANE_COLS_MIN = 26,
    DETAIL_ROWS_MAX = 14,
    BIG_ROWS = 5, /* the least that draw_big needs */
};

/* How the slots are laid out on the bench screen. */
struct layout {
    bool compact;             /* one line per board */
    int columns, rows;        /* of panes, or 1 and lines */
    int pane_cols, pane_rows; /* cells of one */
    int name_cols;            /* of a line */
    int detail_rows;          /* below the lines: the chosen board as a pane; 0 = no room */
    unsigned per_page, pages, page;
    unsigned order[KL_SLOTS_MAX]; /* slot index by position */
    unsigned count;
};

void lay_out(struct layout *l, const struct kl_model *m, const struct kl_view *v, int rows,
             int cols);
/* The slot whose pane or line is at this place; -1 = none. */
int slot_at(const struct kl_model *m, const struct kl_view *v, int rows, int cols, int row,
            int col);
/* Where the slot stands in the order. */
unsigned position_of(const struct layout *l, unsigned slot);

/* view_header.c */
const char *order_word(enum kl_order order);
/* Says that the keys lie on storage that forgets, as long as this many columns allow. */
const char *volatile_word(int cols);
void draw_header(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);

void draw_pane(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g, unsigned slot,
               int row, int col, int rows, int cols);
/* A pane of that width has at least so many rows: then no advice is cut. */
int framed_rows(int cols);
/* The chosen board below the lines: a pane, or in few rows what happened and what to do. */
void draw_detail(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g,
                 unsigned slot, int row, int rows);
enum big_word {
    BIG_NUMBER, /* the number alone */
    BIG_PASS,
    BIG_FAIL
};
/* view_big.c: a number and PASS or FAIL in block letters, as large as fits in the area, in the
   middle of it; returns the rows used, 0 if there is no room. */
int draw_big(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
             unsigned number, enum big_word what, bool ascii);
void draw_line(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g, unsigned slot,
               int row, int name_cols);
void draw_zoom(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_events(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_in_doubt(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_story(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_stats(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
/* view_wall.c */
void draw_wall(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_help(const struct kl_view *v, struct kl_grid *g);
void draw_question(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);
void draw_footer_keys(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g,
                      int row);

/* view_move.c */
enum move {
    MOVE_UP,
    MOVE_DOWN,
    MOVE_LEFT,
    MOVE_RIGHT,
    MOVE_PAGE_UP,
    MOVE_PAGE_DOWN,
    MOVE_FIRST,
    MOVE_LAST,
};
void view_move(struct kl_view *v, const struct kl_model *m, enum move move, int rows, int cols);
/* Takes a digit of a slot's number. */
void view_jump(struct kl_view *v, const struct kl_model *m, int digit);
/* Goes to the next board that needs a hand: one that failed or, if none has, one that passed. */
void view_next_in_need(struct kl_view *v, const struct kl_model *m, int rows, int cols);
/* Goes to the next line of the log that holds the search text, from the screen's last line on. */
void view_search(struct kl_view *v, const struct kl_model *m, bool upwards);

/* view_ask.c */
void view_ask(struct kl_view *v, const struct kl_model *m, enum kl_question question);
struct kl_want view_answer(struct kl_view *v, const struct kl_model *m,
                           const struct kl_input_event *e);
struct kl_want view_command(enum kl_command_kind kind, unsigned slot);

enum kl_style state_style(enum kl_state s);
/* What can be drawn. */
enum glyphs {
    GLYPHS_ALL,
    GLYPHS_CONSOLE, /* what the fonts of a Linux console have: blocks, single and double lines */
    GLYPHS_ASCII,
};
enum glyphs glyphs_of(const struct kl_view *v);
const char *state_symbol(enum kl_state s, enum glyphs glyphs);
/* "12 s", "1:05 min", "2:10 h" */
void format_time(char out[24], kl_us t);
void draw_box(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
              enum glyphs glyphs, bool heavy);
/* Rows that draw_wrapped takes. */
int wrapped_rows(const char *text, int cols);
/* Writes `text` over several lines, broken at spaces; returns the rows used, at most `rows`. */
int draw_wrapped(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
                 const char *text);

#endif
