/*
 * view.c: the bench screen: layout and footer. The header is in view_header.c, panes in
 * view_pane.c, the other screens in view_screens.c, keys in view_keys.c.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

/* ---- small parts ------------------------------------------------------------------------------
 */

enum kl_style state_style(enum kl_state s)
{
    switch (s) {
    case KL_ST_EMPTY:
    case KL_ST_CLOSING:
    case KL_ST_SKIPPED:
        return KL_STYLE_DIM;
    case KL_ST_DONE:
        return KL_STYLE_PASS;
    case KL_ST_FAILED:
        return KL_STYLE_FAIL;
    case KL_ST_SETTLING:
    case KL_ST_ASKING:
    case KL_ST_RESERVING:
    case KL_ST_RECORDING:
        return KL_STYLE_WAIT;
    default:
        return KL_STYLE_BUSY;
    }
}

const char *state_symbol(enum kl_state s, bool ascii)
{
    static const char *const symbols[][2] = {
#define X(name, word, utf8, plain) [KL_ST_##name] = {utf8, plain},
        KL_STATES(X)
#undef X
    };
    return symbols[s][ascii];
}

void format_time(char out[24], kl_us t)
{
    long long s = (t + 500000) / 1000000;

    if (s < 60)
        snprintf(out, 24, "%lld s", s);
    else if (s < 3600)
        snprintf(out, 24, "%lld:%02lld min", s / 60, s % 60);
    else
        snprintf(out, 24, "%lld:%02lld h", s / 3600, s / 60 % 60);
}

void draw_box(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
              bool ascii, bool heavy)
{
    static const char *const parts[3][6] = {
        {"+", "+", "+", "+", "-", "|"},
        {"┌", "┐", "└", "┘", "─", "│"},
        {"┏", "┓", "┗", "┛", "━", "┃"},
    };
    static const char *const heavy_ascii[6] = {"#", "#", "#", "#", "=", "#"};
    const char *const *p = ascii ? (heavy ? heavy_ascii : parts[0]) : parts[heavy ? 2 : 1];

    for (int c = col + 1; c < col + cols - 1; c++) {
        kl_grid_text(g, row, c, 1, style, p[4]);
        kl_grid_text(g, row + rows - 1, c, 1, style, p[4]);
    }
    for (int r = row + 1; r < row + rows - 1; r++) {
        kl_grid_text(g, r, col, 1, style, p[5]);
        kl_grid_text(g, r, col + cols - 1, 1, style, p[5]);
    }
    kl_grid_text(g, row, col, 1, style, p[0]);
    kl_grid_text(g, row, col + cols - 1, 1, style, p[1]);
    kl_grid_text(g, row + rows - 1, col, 1, style, p[2]);
    kl_grid_text(g, row + rows - 1, col + cols - 1, 1, style, p[3]);
}

int draw_wrapped(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
                 const char *text)
{
    int used = 0;
    char part[512];

    while (*text && used < rows && cols > 0) {
        size_t fits = 0, space = 0, n = 0;
        while (n < sizeof part - 1 && text[n]) {
            memcpy(part, text, n + 1);
            part[n + 1] = '\0';
            if (kl_text_width(part) > cols)
                break;
            n++;
            fits = n;
            if (text[n] == ' ' || text[n] == '\0')
                space = n;
        }
        if (space == 0)
            space = fits ? fits : 1;
        memcpy(part, text, space);
        part[space] = '\0';
        if (used == rows - 1)
            kl_grid_text(g, row + used, col, cols, style,
                         text); /* the last line tells if it is cut */
        else
            kl_grid_text(g, row + used, col, cols, style, part);
        text += space;
        while (*text == ' ')
            text++;
        used++;
    }
    return used;
}

/* ---- layout -----------------------------------------------------------------------------------
 */

/* What needs a hand comes first. */
static int urgency(const struct kl_slot_view *s)
{
    if (s->state == KL_ST_FAILED)
        return s->retry_at == KL_NEVER ? 0 : 2;
    if (s->state == KL_ST_DONE)
        return 1;
    if (s->state == KL_ST_EMPTY)
        return 5;
    return s->state == KL_ST_SKIPPED ? 4 : 3;
}

static void order_slots(struct layout *l, const struct kl_model *m, bool by_state)
{
    l->count = m->snap.slot_count;
    for (unsigned i = 0; i < l->count; i++) {
        unsigned at = i;
        while (by_state && at > 0 &&
               urgency(&m->snap.slot[i]) < urgency(&m->snap.slot[l->order[at - 1]])) {
            l->order[at] = l->order[at - 1];
            at--;
        }
        l->order[at] = i;
    }
}

/* The columns that give the largest panes of a readable shape. */
static bool fit_panes(struct layout *l, int rows, int cols)
{
    int best = 0;

    for (int columns = 1; columns <= (int)l->count && columns * PANE_COLS_MIN <= cols; columns++) {
        int lines = ((int)l->count + columns - 1) / columns;
        int height = rows / lines, width = cols / columns;
        int score = (height < 14 ? height : 14) * 4 + (width < 60 ? width : 60);
        if (height < PANE_ROWS_MIN || score <= best)
            continue;
        best = score;
        l->columns = columns;
        l->rows = lines;
        l->pane_rows = height;
        l->pane_cols = width;
    }
    return best > 0;
}

unsigned position_of(const struct layout *l, unsigned slot)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->order[i] == slot)
            return i;
    return 0;
}

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* One line per board; the chosen one is shown in full below, where the lines leave room for it or
   there is plenty: what to do about a failure does not fit into a line. */
static void lay_out_lines(struct layout *l, const struct kl_model *m, int rows, int cols)
{
    int spare = rows - (int)l->count, longest = 0;

    for (unsigned i = 0; i < l->count; i++) {
        int width = kl_text_width(m->snap.slot[i].name);
        longest = width > longest ? width : longest;
    }
    l->name_cols = clamp(longest, 10, cols >= 100 ? 22 : 15);
    if (l->count > 0 && (spare >= PANE_ROWS_MIN || rows >= 3 * PANE_ROWS_MIN))
        l->detail_rows = clamp(spare, PANE_ROWS_MIN, DETAIL_ROWS_MAX);
    l->columns = 1;
    l->rows = rows - l->detail_rows;
    l->pane_rows = 1;
    l->pane_cols = cols;
}

void lay_out(struct layout *l, const struct kl_model *m, const struct kl_view *v, int rows,
             int cols)
{
    int body = rows - HEADER_ROWS - FOOTER_ROWS;

    *l = (struct layout){.columns = 1, .rows = 1};
    order_slots(l, m, v->by_state);
    if (body < 1)
        body = 1;
    l->compact = v->compact || l->count == 0 || !fit_panes(l, body, cols);
    if (l->compact)
        lay_out_lines(l, m, body, cols);
    l->per_page = (unsigned)(l->columns * l->rows);
    l->pages = l->count ? (l->count + l->per_page - 1) / l->per_page : 1;
    l->page = position_of(l, v->selected) / l->per_page;
}

/* ---- the bench --------------------------------------------------------------------------------
 */

static void draw_body(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    struct layout l;
    unsigned first;

    lay_out(&l, m, v, g->rows, g->cols);
    first = l.page * l.per_page;
    if (l.count == 0)
        kl_grid_text(g, HEADER_ROWS + 1, 2, g->cols - 2, KL_STYLE_DIM,
                     "no slots yet: plug in a board, or add a network port with n");
    for (unsigned i = 0; i < l.per_page && first + i < l.count; i++) {
        unsigned slot = l.order[first + i];
        int r = (int)i / l.columns, c = (int)i % l.columns;
        if (l.compact)
            draw_line(m, v, g, slot, HEADER_ROWS + (int)i, l.name_cols);
        else
            draw_pane(m, v, g, slot, HEADER_ROWS + r * l.pane_rows, c * l.pane_cols, l.pane_rows,
                      l.pane_cols);
    }
    if (l.detail_rows > 0)
        draw_pane(m, v, g, v->selected, g->rows - FOOTER_ROWS - l.detail_rows, 0, l.detail_rows,
                  g->cols);
}

static void draw_footer(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    int row = g->rows - 1;

    kl_grid_fill(g, row, 0, 1, g->cols, KL_STYLE_BAR);
    if (v->message[0] && v->now < v->message_until)
        kl_grid_text(g, row, 1, g->cols - 1, KL_STYLE_BAR, v->message);
    else
        draw_footer_keys(m, v, g, row);
}

void kl_view_draw(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    g->ascii = v->ascii;
    kl_grid_clear(g);
    if (g->rows < 4 || g->cols < 20) {
        kl_grid_text(g, 0, 0, g->cols, KL_STYLE_PLAIN, "too small");
        return;
    }
    draw_header(m, v, g);
    switch (v->screen) {
    case KL_SCREEN_BENCH:
        draw_body(m, v, g);
        break;
    case KL_SCREEN_ZOOM:
        draw_zoom(m, v, g);
        break;
    case KL_SCREEN_EVENTS:
        draw_events(m, v, g);
        break;
    case KL_SCREEN_IN_DOUBT:
        draw_in_doubt(m, v, g);
        break;
    case KL_SCREEN_HELP:
        draw_help(v, g);
        break;
    }
    draw_footer(m, v, g);
    if (v->asked.question != KL_ASK_NOTHING)
        draw_question(m, v, g);
}
