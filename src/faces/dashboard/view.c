/*
 * view.c: the bench screen: layout and footer. The header is in view_header.c, panes in
 * view_pane.c, the other screens in view_screens.c, keys in view_keys.c.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

/* ---- small parts ---- */

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

enum glyphs glyphs_of(const struct kl_view *v)
{
    return v->ascii ? GLYPHS_ASCII : v->console ? GLYPHS_CONSOLE : GLYPHS_ALL;
}

const char *state_symbol(enum kl_state s, enum glyphs glyphs)
{
    static const char *const symbols[][2] = {
#define X(name, word, utf8, plain) [KL_ST_##name] = {utf8, plain},
        KL_STATES(X)
#undef X
    };
    return symbols[s][glyphs != GLYPHS_ALL];
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
              enum glyphs glyphs, bool heavy)
{
    static const char *const parts[][2][6] = {
        [GLYPHS_ALL] = {{"┌", "┐", "└", "┘", "─", "│"}, {"┏", "┓", "┗", "┛", "━", "┃"}},
        [GLYPHS_CONSOLE] = {{"┌", "┐", "└", "┘", "─", "│"}, {"╔", "╗", "╚", "╝", "═", "║"}},
        [GLYPHS_ASCII] = {{"+", "+", "+", "+", "-", "|"}, {"#", "#", "#", "#", "=", "#"}},
    };
    const char *const *p = parts[glyphs][heavy];

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

/* How many bytes of `text` fit into a row; breaks at a space if there is one. */
static size_t row_of(const char *text, int cols)
{
    size_t fits = 0, space = 0;
    char part[512];

    for (size_t n = 0; n < sizeof part - 1 && text[n];) {
        memcpy(part, text, n + 1);
        part[n + 1] = '\0';
        if (kl_text_width(part) > cols)
            break;
        n++;
        fits = n;
        if (text[n] == ' ' || text[n] == '\0')
            space = n;
    }
    return space ? space : fits ? fits : 1;
}

int wrapped_rows(const char *text, int cols)
{
    int rows = 0;

    while (*text && cols > 0) {
        text += row_of(text, cols);
        text += strspn(text, " ");
        rows++;
    }
    return rows;
}

int draw_wrapped(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
                 const char *text)
{
    int used = 0;
    char part[512];

    while (*text && used < rows && cols > 0) {
        size_t size = row_of(text, cols);
        if (used == rows - 1) { /* kl_grid_text marks the last line if it is cut */
            kl_grid_text(g, row + used, col, cols, style, text);
            return rows;
        }
        memcpy(part, text, size);
        part[size] = '\0';
        kl_grid_text(g, row + used, col, cols, style, part);
        text += size;
        text += strspn(text, " ");
        used++;
    }
    return used;
}

/* ---- layout ---- */

/* What needs a hand comes first: 0 is the most urgent. */
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

/* Does slot a come before slot b? */
static bool comes_before(const struct kl_slot_view *a, const struct kl_slot_view *b,
                         enum kl_order order)
{
    if (order == KL_ORDER_NEED)
        return urgency(a) < urgency(b);
    if (order == KL_ORDER_AGE)
        return a->since < b->since;
    return order == KL_ORDER_FAILS && a->boards_failed > b->boards_failed;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t n = 0;
        while (part[n] && lower(text[n]) == lower(part[n]))
            n++;
        if (!part[n])
            return true;
    }
    return false;
}

/* By slot, MAC, label, state, reason. */
static bool passes_filter(const struct kl_slot_view *s, unsigned slot, const char *filter)
{
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    char mac[18] = "", text[1024];

    if (!filter[0])
        return true;
    if (kl_mac_is_set(&s->identity.mac))
        kl_mac_format(&s->identity.mac, mac);
    snprintf(text, sizeof text, "%u %s %s %s %s %s %s %s %s", slot + 1, s->name, s->port, mac,
             s->label, kl_state_name(s->state),
             s->state == KL_ST_DONE     ? "PASS"
             : s->state == KL_ST_FAILED ? "FAIL"
                                        : "",
             info.name, info.text);
    return contains(text, filter);
}

static void order_slots(struct layout *l, const struct kl_model *m, const struct kl_view *v)
{
    l->count = 0;
    for (unsigned i = 0; i < m->snap.slot_count; i++) {
        unsigned at = l->count;
        if (!passes_filter(&m->snap.slot[i], i, v->filter))
            continue;
        while (at > 0 &&
               comes_before(&m->snap.slot[i], &m->snap.slot[l->order[at - 1]], v->order)) {
            l->order[at] = l->order[at - 1];
            at--;
        }
        l->order[at] = i;
        l->count++;
    }
}

/* The rows of the longest reason and its advice in so many columns; no pane is smaller. */
static int advice_rows(int cols)
{
    static unsigned char known[KL_GRID_COLS_MAX + 1];
    char text[KL_TEXT_MAX];

    if (cols < 1 || cols > KL_GRID_COLS_MAX)
        return 1;
    if (known[cols])
        return known[cols];
    for (int r = KL_FAULT_NONE + 1; r < KL_FAULT_COUNT; r++) {
        struct kl_fault_info info = kl_fault_info((enum kl_reason)r);
        int rows = wrapped_rows(info.text, cols);
        snprintf(text, sizeof text, "> %s", info.advice);
        rows += wrapped_rows(text, cols);
        if (rows > known[cols])
            known[cols] = (unsigned char)rows;
    }
    return known[cols];
}

/* The columns that give the largest panes of a readable shape. */
static bool fit_panes(struct layout *l, int rows, int cols)
{
    int best = 0;

    for (int columns = 1; columns <= (int)l->count && columns * PANE_COLS_MIN <= cols; columns++) {
        int lines = ((int)l->count + columns - 1) / columns;
        int height = rows / lines, width = cols / columns;
        int score = (height < 14 ? height : 14) * 4 + (width < 60 ? width : 60);
        if (height < PANE_ROWS_MIN || score <= best || height < 2 + advice_rows(width - 2))
            continue;
        best = score;
        l->columns = columns;
        l->rows = lines;
        l->pane_rows = height;
        l->pane_cols = width;
    }
    return best > 0;
}

int slot_at(const struct kl_model *m, const struct kl_view *v, int rows, int cols, int row, int col)
{
    struct layout l;
    unsigned i;

    lay_out(&l, m, v, rows, cols);
    row -= HEADER_ROWS;
    if (row < 0 || col < 0 || row / l.pane_rows >= l.rows || col / l.pane_cols >= l.columns)
        return -1;
    i = l.page * l.per_page + (unsigned)(row / l.pane_rows * l.columns + col / l.pane_cols);
    return i < l.count ? (int)l.order[i] : -1;
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

int framed_rows(int cols)
{
    int rows = 2 + advice_rows(cols - 2);

    return rows < PANE_ROWS_MIN ? PANE_ROWS_MIN : rows;
}

static bool wants_a_hand(const struct kl_model *m, unsigned slot)
{
    return slot < m->snap.slot_count && m->snap.slot[slot].fault.reason != KL_FAULT_NONE;
}

/* Rows for the chosen board below the lines: advice about a failure does not fit into a line. A
   failure gets these rows at any size. */
static int detail_rows(const struct kl_model *m, unsigned selected, int spare, int rows, int cols)
{
    int framed = framed_rows(cols), plain = 1 + advice_rows(cols);

    if (spare >= framed)
        return clamp(spare, framed, DETAIL_ROWS_MAX);
    if (spare >= plain)
        return spare;
    if (wants_a_hand(m, selected))
        return clamp(plain, 0, rows - 1);
    return rows >= 4 * plain ? plain : 0;
}

static void lay_out_lines(struct layout *l, const struct kl_model *m, const struct kl_view *v,
                          int rows, int cols)
{
    int longest = 0;

    for (unsigned i = 0; i < l->count; i++) {
        int width = kl_text_width(m->snap.slot[i].name);
        longest = width > longest ? width : longest;
    }
    l->name_cols = clamp(longest, 3, cols >= 100 ? 22 : cols >= 60 ? 15 : 8);
    if (l->count > 0)
        l->detail_rows = detail_rows(m, v->selected, rows - (int)l->count, rows, cols);
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
    order_slots(l, m, v);
    if (body < 1)
        body = 1;
    l->compact = v->compact || l->count == 0 || !fit_panes(l, body, cols);
    if (l->compact)
        lay_out_lines(l, m, v, body, cols);
    l->per_page = (unsigned)(l->columns * l->rows);
    l->pages = l->count ? (l->count + l->per_page - 1) / l->per_page : 1;
    l->page = position_of(l, v->selected) / l->per_page;
}

/* ---- the bench ---- */

/* The bench has no slot to show: says what to do about that. */
static void draw_empty_bench(struct kl_grid *g)
{
    static const char *const lines[] = {
        "No board and no port yet.",
        "",
        "Plug in a board by USB: it is found within a second.",
        "Not found?        keyline ports    shows every port and why it is not used",
        "                  keyline doctor   looks for what is wrong with this host",
        "A network port:   n, then host:port",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (HEADER_ROWS + 1 + (int)i < g->rows - FOOTER_ROWS)
            kl_grid_text(g, HEADER_ROWS + 1 + (int)i, 2, g->cols - 3,
                         i == 0 ? KL_STYLE_STRONG : KL_STYLE_PLAIN, lines[i]);
}

static void draw_body(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    struct layout l;
    unsigned first;

    lay_out(&l, m, v, g->rows, g->cols);
    first = l.page * l.per_page;
    if (m->snap.slot_count == 0)
        draw_empty_bench(g);
    else if (l.count == 0)
        kl_grid_text(g, HEADER_ROWS + 1, 2, g->cols - 3, KL_STYLE_STRONG,
                     "No board matches the filter. Esc shows all.");
    for (unsigned i = 0; i < l.per_page && first + i < l.count; i++) {
        unsigned slot = l.order[first + i];
        int r = (int)i / l.columns, c = (int)i % l.columns;
        if (l.compact)
            draw_line(m, v, g, slot, HEADER_ROWS + (int)i, l.name_cols);
        else
            draw_pane(m, v, g, slot, HEADER_ROWS + r * l.pane_rows, c * l.pane_cols, l.pane_rows,
                      l.pane_cols);
    }
    if (l.detail_rows > 0 && l.count > 0)
        draw_detail(m, v, g, v->selected, g->rows - FOOTER_ROWS - l.detail_rows, l.detail_rows);
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
    g->ascii = glyphs_of(v) != GLYPHS_ALL;
    kl_grid_clear(g);
    if (g->rows < 4 || g->cols < 20) {
        kl_grid_text(g, 0, 0, g->cols, KL_STYLE_PLAIN, "too small");
        return;
    }
    if (v->screen != KL_SCREEN_WALL && v->screen != KL_SCREEN_HELP)
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
    case KL_SCREEN_STORY:
        draw_story(m, v, g);
        break;
    case KL_SCREEN_STATS:
        draw_stats(m, v, g);
        break;
    case KL_SCREEN_WALL:
        draw_wall(m, v, g);
        break;
    case KL_SCREEN_HELP:
        draw_help(v, g);
        break;
    }
    draw_footer(m, v, g);
    if (v->asked.question != KL_ASK_NOTHING)
        draw_question(m, v, g);
}
