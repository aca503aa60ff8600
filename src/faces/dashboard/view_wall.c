/*
 * view_wall.c: the bench for a second screen that is read from five metres: numbers, colours, large
 * words, and nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

enum {
    TOP_ROWS = 2,
    CELL_ROWS_MIN = 3,
    CELL_COLS_MIN = 10,
};

static bool is_failed(const struct kl_slot_view *s)
{
    return s->state == KL_ST_FAILED && s->retry_at == KL_NEVER;
}

static void word_of(const struct kl_slot_view *s, char *out, size_t size)
{
    if (s->state == KL_ST_DONE)
        snprintf(out, size, "PASS");
    else if (is_failed(s))
        snprintf(out, size, "FAIL");
    else if (s->state == KL_ST_FLASHING && s->progress.total)
        snprintf(out, size, "%u%%", (unsigned)(100 * s->progress.done / s->progress.total));
    else if (s->state == KL_ST_EMPTY)
        out[0] = '\0';
    else
        snprintf(out, size, "%s", kl_state_name(s->state));
}

static void draw_cell(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g,
                      unsigned slot, int row, int col, int rows, int cols)
{
    const struct kl_slot_view *s = &m->snap.slot[slot];
    bool done = s->state == KL_ST_DONE, failed = is_failed(s);
    enum kl_style style = done ? KL_STYLE_PASS : failed ? KL_STYLE_FAIL : state_style(s->state);
    char word[32], text[48];
    int width;

    draw_box(g, row, col, rows, cols, KL_STYLE_FRAME, glyphs_of(v), false);
    word_of(s, word, sizeof word);
    if (done || failed) {
        kl_grid_fill(g, row + 1, col + 1, rows - 2, cols - 2, style);
        if (draw_big(g, row + 1, col + 1, rows - 2, cols - 2, style, slot + 1,
                     done ? BIG_PASS : BIG_FAIL, v->ascii))
            return;
    }
    if (!done && !failed &&
        draw_big(g, row + 1, col + 1, rows - 3, cols - 2, style, slot + 1, BIG_NUMBER, v->ascii)) {
        width = kl_text_width(word);
        width = width < cols - 2 ? width : cols - 2;
        kl_grid_text(g, row + rows - 2, col + (cols - width) / 2, width, style, word);
        return;
    }
    snprintf(text, sizeof text, "%u %s", slot + 1, word);
    width = kl_text_width(text) > cols - 4 ? 1 : 2; /* PASS and FAIL are never cut */
    kl_grid_text(g, row + rows / 2, col + width, cols - 2 * width, style, text);
}

/* Clock, progress and the last result, the most important first. */
static void draw_top(const struct kl_model *m, struct kl_grid *g)
{
    const struct kl_stats_view *f = &m->stats;
    char text[256], last[96] = "";

    if (f->last_took)
        snprintf(last, sizeof last, "   last: %s %.40s",
                 f->last_result == KL_ST_DONE ? "PASS" : "FAIL", f->last_slot);
    snprintf(text, sizeof text, " %s   done %u of %u   failed %u%s   up %s", m->clock, f->done,
             f->done + m->snap.keys.free + m->snap.keys.reserved, f->failed, last, m->uptime);
    kl_grid_fill(g, 0, 0, 1, g->cols, KL_STYLE_BAR);
    kl_grid_text(g, 0, 0, g->cols, KL_STYLE_BAR, text);
    if (m->snap.forgets)
        kl_grid_text_right(g, 1, g->cols - 1, 10, KL_STYLE_WARN, volatile_word(0));
    if (!m->connected)
        kl_grid_text(g, 1, 1, g->cols - 1, KL_STYLE_WARN, " STATION NOT REACHED ");
    else if (m->snap.question[0])
        kl_grid_text(g, 1, 1, g->cols - 1, KL_STYLE_FAIL, " THE LIST OF KEYS NEEDS AN ANSWER ");
    else if (m->snap.paused)
        kl_grid_text(g, 1, 1, g->cols - 1, KL_STYLE_WARN, " PAUSED ");
    else if (m->snap.few_keys) {
        if (m->snap.fleet.there)
            snprintf(text, sizeof text, " FEW KEYS LEFT IN THE POOL ");
        else
            snprintf(text, sizeof text, " KEYS LEFT %u ", m->snap.keys.free);
        kl_grid_text(g, 1, 1, g->cols - 1, KL_STYLE_WARN, text);
    }
}

/* No cells: says at least how many boards failed. */
static void draw_no_room(const struct kl_model *m, struct kl_grid *g)
{
    unsigned failed = 0;
    char text[48];
    int col = 1;

    for (unsigned i = 0; i < m->snap.slot_count; i++)
        failed += is_failed(&m->snap.slot[i]);
    if (failed) {
        snprintf(text, sizeof text, " FAIL %u ", failed);
        col += 1 + kl_grid_text(g, TOP_ROWS, col, g->cols - 2, KL_STYLE_FAIL, text);
    }
    kl_grid_text(g, TOP_ROWS, col, g->cols - 1 - col, KL_STYLE_STRONG,
                 "too small for so many boards: w goes back");
}

/* Takes the largest cells of which all fit. */
void draw_wall(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    unsigned n = m->snap.slot_count;
    int rows = g->rows - TOP_ROWS - FOOTER_ROWS, best = 0, columns = 1, height = 0, width = 0;

    draw_top(m, g);
    for (int c = 1; c <= (int)n && g->cols / c >= CELL_COLS_MIN; c++) {
        int lines = ((int)n + c - 1) / c, h = rows / lines, w = g->cols / c;
        int score = (h < w / 3 ? h : w / 3) * 100 + w;
        if (h < CELL_ROWS_MIN || score <= best)
            continue;
        best = score;
        columns = c;
        height = h;
        width = w;
    }
    if (best == 0) {
        draw_no_room(m, g);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        draw_cell(m, v, g, i, TOP_ROWS + (int)i / columns * height, (int)i % columns * width,
                  height, width);
}
