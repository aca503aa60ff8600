/*
 * view_screens.c: the screens beside the bench: zoom, events, keys in doubt, help.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

/* Draws a line from `shift` columns on; a mark stands for what is left out. */
static void draw_shifted(struct kl_grid *g, int row, unsigned shift, enum kl_style style,
                         const char *line)
{
    if (shift == 0) {
        kl_grid_text(g, row, 1, g->cols - 2, style, line);
        return;
    }
    kl_grid_text(g, row, 1, 1, KL_STYLE_DIM, g->ascii ? "<" : "…");
    kl_grid_text(g, row, 2, g->cols - 3, style, kl_text_behind(line, (int)shift));
}

/* A log from the newest line upwards, `scroll` lines further up; lines that hold the search text
   stand out. */
static void draw_log(const struct kl_log *log, const struct kl_view *v, struct kl_grid *g, int row,
                     int rows)
{
    unsigned shown = rows > 0 ? (unsigned)rows : 0;
    unsigned last = log->count > v->scroll ? log->count - v->scroll : 0;
    unsigned first = last > shown ? last - shown : 0;

    for (unsigned i = first; i < last; i++) {
        const char *line = kl_log_line(log, i);
        bool hit = v->search[0] && strstr(line, v->search);
        draw_shifted(g, row++, v->shift, hit ? KL_STYLE_STRONG : KL_STYLE_PLAIN, line);
    }
}

static void draw_scroll_state(const struct kl_log *log, const struct kl_view *v, struct kl_grid *g,
                              int row)
{
    char text[128];

    if (v->scroll)
        snprintf(text, sizeof text, " %u lines below, End follows ", v->scroll);
    else
        snprintf(text, sizeof text, " following, %u lines ", log->count);
    kl_grid_text_right(g, row, g->cols - 1, g->cols - 2, KL_STYLE_DIM, text);
}

void draw_zoom(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    const struct kl_log *log = &m->log[v->selected];
    int body = g->rows - HEADER_ROWS - FOOTER_ROWS;
    int top = body / 3 < 9 ? body / 3 : 9;

    if (top < PANE_ROWS_MIN)
        top = 1;
    if (top == 1)
        draw_line(m, v, g, v->selected, HEADER_ROWS, g->cols);
    else
        draw_pane(m, v, g, v->selected, HEADER_ROWS, 0, top, g->cols);
    draw_scroll_state(log, v, g, HEADER_ROWS + top);
    draw_log(log, v, g, HEADER_ROWS + top + 1, body - top - 1);
}

void draw_events(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    kl_grid_text(g, HEADER_ROWS, 1, g->cols - 2, KL_STYLE_STRONG, "Events");
    draw_scroll_state(&m->events, v, g, HEADER_ROWS);
    draw_log(&m->events, v, g, HEADER_ROWS + 1, g->rows - HEADER_ROWS - FOOTER_ROWS - 1);
}

/* The list of keys and the chosen one matter more than the advice below them. */
static int rows_for_keys(const struct kl_model *m, int rows)
{
    int least = m->in_doubt_count < 3 ? (int)m->in_doubt_count : 3;
    int some = rows - 5 > least ? rows - 5 : least;

    return some < rows ? some : rows;
}

void draw_in_doubt(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    int row = HEADER_ROWS;
    int end = g->rows - FOOTER_ROWS, rows, below;
    unsigned first = v->scroll;

    kl_grid_text(g, row, 1, g->cols - 2, KL_STYLE_STRONG,
                 "Keys in doubt: reserved for a board that has not proved that it holds them");
    row += end - row > 3 ? 2 : 1;
    if (m->in_doubt_count == 0)
        kl_grid_text(g, row++, 3, g->cols - 4, KL_STYLE_PLAIN, "None.");
    rows = rows_for_keys(m, end - row);
    if (rows > 0 && v->chosen >= first + (unsigned)rows)
        first = v->chosen - (unsigned)rows + 1;
    below = row + rows;
    for (unsigned i = first; i < m->in_doubt_count && row < below; i++, row++) {
        char text[256], mac[18];
        bool chosen = i == v->chosen;
        kl_mac_format(&m->in_doubt[i].mac, mac);
        snprintf(text, sizeof text, "%s %-24s board %s", chosen ? ">" : " ", m->in_doubt[i].label,
                 mac);
        kl_grid_text(g, row, 1, g->cols - 2, chosen ? KL_STYLE_SELECTED : KL_STYLE_WAIT, text);
    }
    row++;
    row += draw_wrapped(g, row, 1, end - row, g->cols - 2, KL_STYLE_PLAIN,
                        "Plug in the board with that MAC: it settles the key by itself, and nobody "
                        "else gets it.");
    draw_wrapped(g, row, 1, end - row, g->cols - 2, KL_STYLE_PLAIN,
                 "Enter shows the key's story. Only if the board is lost for good: u releases it.");
}

void draw_story(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    char text[128];

    snprintf(text, sizeof text, "The story of key %s",
             v->chosen < m->in_doubt_count ? m->in_doubt[v->chosen].label : "");
    kl_grid_text(g, HEADER_ROWS, 1, g->cols - 2, KL_STYLE_STRONG, text);
    draw_log(&m->story, v, g, HEADER_ROWS + 1, g->rows - HEADER_ROWS - FOOTER_ROWS - 1);
}

void draw_stats(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    const struct kl_stats_view *f = &m->stats;
    int row = HEADER_ROWS, name = 16;
    char text[256];

    kl_grid_text(g, row, 1, name, KL_STYLE_STRONG, "slot");
    kl_grid_text(g, row++, 2 + name, g->cols - name - 3, KL_STYLE_STRONG, KL_STATS_HEADING);
    if (f->slot_count == 0)
        kl_grid_text(g, row, 1, g->cols - 2, KL_STYLE_PLAIN, "No result yet.");
    for (unsigned i = v->scroll; i < f->slot_count && row < g->rows - FOOTER_ROWS; i++) {
        const struct kl_stats_slot *s = &f->slot[i];
        size_t room = (size_t)(g->cols - name - 3);
        kl_stats_slot_text(s, text, room >= 44 && room < sizeof text ? room : sizeof text);
        kl_grid_text(g, row, 1, name, s->worse ? KL_STYLE_WARN : KL_STYLE_STRONG, s->name);
        kl_grid_text(g, row++, 2 + name, g->cols - name - 3, KL_STYLE_PLAIN, text);
        if (s->worse && row < g->rows - FOOTER_ROWS)
            kl_grid_text(g, row++, 3, g->cols - 4, KL_STYLE_WAIT,
                         "worse than the others by more than chance: its cable, its needle?");
    }
}

/* The page takes the whole screen: all of it fits 24 rows. */
void draw_help(const struct kl_view *v, struct kl_grid *g)
{
    int row = 0;
    const char *what, *keys;

    kl_grid_fill(g, row, 0, 1, g->cols, KL_STYLE_BAR);
    kl_grid_text(g, row++, 1, g->cols - 2, KL_STYLE_BAR, "Keys");
    for (unsigned i = v->scroll; (keys = kl_view_binding(i, &what)) && row < g->rows - 1; i++) {
        kl_grid_text(g, row, 3, 16, KL_STYLE_STRONG, keys);
        kl_grid_text(g, row++, 20, g->cols - 21, KL_STYLE_PLAIN, what);
    }
}
