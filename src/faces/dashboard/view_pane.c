/*
 * view_pane.c: one board: as a pane, and as a line.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

static const struct kl_slot_view *slot_of(const struct kl_model *m, unsigned slot)
{
    return &m->snap.slot[slot];
}

static bool is_flashing(const struct kl_slot_view *s)
{
    return s->state == KL_ST_FLASHING || s->state == KL_ST_VERIFYING;
}

static unsigned percent(const struct kl_slot_view *s)
{
    if (s->progress.total == 0)
        return 0;
    return (unsigned)(100 * s->progress.done / s->progress.total);
}

/* ---- words ------------------------------------------------------------------------------------
 */

static void chip_words(const struct kl_slot_view *s, char *out, size_t size)
{
    const struct kl_chip *chip = kl_chip(s->identity.chip);
    char mac[18] = "";

    if (kl_mac_is_set(&s->identity.mac))
        kl_mac_format(&s->identity.mac, mac);
    if (!chip)
        snprintf(out, size, "%s", mac);
    else if (s->identity.flash_size)
        snprintf(out, size, "%s  %s  %u MB", mac, chip->name, s->identity.flash_size >> 20);
    else
        snprintf(out, size, "%s  %s", mac, chip->name);
}

static void key_words(const struct kl_slot_view *s, char *out, size_t size)
{
    if (s->label[0])
        snprintf(out, size, "key %s%s", s->label, s->already ? " (held before)" : "");
    else
        snprintf(out, size, "%s", "");
}

static void state_words(const struct kl_model *m, const struct kl_slot_view *s, char *out,
                        size_t size)
{
    char time[24];
    kl_us since = m->snap.at - s->since;

    format_time(time, since);
    if (s->state == KL_ST_FAILED && s->retry_at != KL_NEVER) {
        format_time(time, s->retry_at > m->snap.at ? s->retry_at - m->snap.at : 0);
        snprintf(out, size, "failed, again in %s (try %u)", time, s->tries + 1);
    } else if (s->tries > 1 && s->state != KL_ST_DONE && s->state != KL_ST_EMPTY) {
        snprintf(out, size, "%s  try %u  %s", kl_state_name(s->state), s->tries, time);
    } else if (s->state == KL_ST_EMPTY || s->state == KL_ST_DONE || s->state == KL_ST_FAILED) {
        snprintf(out, size, "%s", kl_state_name(s->state));
    } else {
        snprintf(out, size, "%s  %s", kl_state_name(s->state), time);
    }
}

/* ---- parts of a pane --------------------------------------------------------------------------
 */

struct area {
    struct kl_grid *g;
    int row, col, rows, cols;
    enum kl_style base; /* PLAIN, or what fills the pane */
};

static void put_row(struct area *a, enum kl_style style, const char *text)
{
    if (a->rows <= 0)
        return;
    kl_grid_text(a->g, a->row, a->col, a->cols, a->base != KL_STYLE_PLAIN ? a->base : style, text);
    a->row++;
    a->rows--;
}

static void put_bar(struct area *a, const struct kl_slot_view *s, bool ascii)
{
    char text[64], time[24] = "";
    int width, filled;

    if (a->rows <= 0)
        return;
    if (s->left != KL_NEVER)
        format_time(time, s->left);
    if (s->bytes_per_second)
        snprintf(text, sizeof text, " %3u%% %u KB/s %s", percent(s), s->bytes_per_second / 1024,
                 time);
    else
        snprintf(text, sizeof text, " %3u%%", percent(s));
    width = a->cols - kl_text_width(text);
    if (width < 4)
        width = a->cols;
    filled = (int)((unsigned)width * percent(s) / 100);
    for (int i = 0; i < width; i++)
        kl_grid_text(a->g, a->row, a->col + i, 1, i < filled ? KL_STYLE_DONE : KL_STYLE_LEFT,
                     i < filled ? (ascii ? "#" : "█") : (ascii ? "." : "░"));
    if (width < a->cols)
        kl_grid_text(a->g, a->row, a->col + width, a->cols - width, KL_STYLE_PLAIN, text);
    a->row++;
    a->rows--;
}

static void put_log(struct area *a, const struct kl_log *log)
{
    unsigned rows = a->rows > 0 ? (unsigned)a->rows : 0;
    unsigned first = log->count > rows ? log->count - rows : 0;

    for (unsigned i = first; i < log->count; i++)
        put_row(a, KL_STYLE_DIM, kl_log_line(log, i));
}

/* A word that is seen from across the room, where there is room for it. */
static void put_big(struct area *a, const char *word)
{
    static const char *const font[][5] = {
        ['A' - 'A'] = {" ## ", "#  #", "####", "#  #", "#  #"},
        ['F' - 'A'] = {"####", "#   ", "### ", "#   ", "#   "},
        ['I' - 'A'] = {"###", " # ", " # ", " # ", "###"},
        ['L' - 'A'] = {"#   ", "#   ", "#   ", "#   ", "####"},
        ['P' - 'A'] = {"### ", "#  #", "### ", "#   ", "#   "},
        ['S' - 'A'] = {" ###", "#   ", " ## ", "   #", "### "},
    };
    int width = (int)strlen(word) * 6;

    int spare = a->rows >= 10 ? 1 : 0;

    if (a->rows < 7 || a->cols < width + 2) {
        put_row(a, KL_STYLE_STRONG, word);
        return;
    }
    a->row += spare;
    a->rows -= spare;
    for (int line = 0; line < 5; line++) {
        int col = a->col + (a->cols - width) / 2;
        for (const char *c = word; *c; c++, col += 6)
            for (int i = 0; font[*c - 'A'][line][i]; i++)
                if (font[*c - 'A'][line][i] == '#')
                    kl_grid_text(a->g, a->row, col + i, 1, a->base, "#");
        a->row++;
        a->rows--;
    }
    a->row += spare;
    a->rows -= spare;
}

static void put_wrapped(struct area *a, enum kl_style style, const char *text)
{
    int used = draw_wrapped(a->g, a->row, a->col, a->rows, a->cols,
                            a->base != KL_STYLE_PLAIN ? a->base : style, text);

    a->row += used;
    a->rows -= used;
}

static void fill_pass(struct area *a, const struct kl_slot_view *s)
{
    char text[KL_TEXT_MAX];

    put_big(a, "PASS");
    key_words(s, text, sizeof text);
    put_row(a, KL_STYLE_PASS, text);
    chip_words(s, text, sizeof text);
    put_row(a, KL_STYLE_PASS, text);
}

static void fill_fail(struct area *a, const struct kl_slot_view *s, const struct kl_log *log)
{
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    char text[KL_TEXT_MAX];

    put_big(a, "FAIL");
    put_wrapped(a, KL_STYLE_FAIL, info.text);
    snprintf(text, sizeof text, "> %s", info.advice);
    put_wrapped(a, KL_STYLE_FAIL, text);
    if (s->fault.detail[0])
        put_wrapped(a, KL_STYLE_FAIL, s->fault.detail);
    chip_words(s, text, sizeof text);
    if (text[0])
        put_row(a, KL_STYLE_FAIL, text);
    put_log(a, log);
}

static void fill_running(struct area *a, const struct kl_slot_view *s, const struct kl_log *log,
                         const struct kl_model *m, bool ascii)
{
    char words[128], text[KL_TEXT_MAX];

    state_words(m, s, words, sizeof words);
    snprintf(text, sizeof text, "%s %s", state_symbol(s->state, ascii), words);
    put_row(a, state_style(s->state), text);
    chip_words(s, text, sizeof text);
    if (text[0])
        put_row(a, KL_STYLE_PLAIN, text);
    if (is_flashing(s))
        put_bar(a, s, ascii);
    key_words(s, text, sizeof text);
    if (text[0])
        put_row(a, KL_STYLE_STRONG, text);
    if (s->fault.reason != KL_FAULT_NONE) {
        struct kl_fault_info info = kl_fault_info(s->fault.reason);
        snprintf(text, sizeof text, "%s: %s", info.text, info.advice);
        put_wrapped(a, KL_STYLE_WAIT, text);
    }
    put_log(a, log);
}

void draw_pane(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g, unsigned slot,
               int row, int col, int rows, int cols)
{
    const struct kl_slot_view *s = slot_of(m, slot);
    bool selected = v->selected == slot;
    bool failed = s->state == KL_ST_FAILED && s->retry_at == KL_NEVER;
    bool passed = s->state == KL_ST_DONE;
    struct area a = {g, row + 1, col + 1, rows - 2, cols - 2, KL_STYLE_PLAIN};
    char title[KL_NAME_MAX + 16];

    draw_box(g, row, col, rows, cols, selected ? KL_STYLE_SELECTED : KL_STYLE_FRAME, v->ascii,
             selected);
    snprintf(title, sizeof title, selected ? ">%u %s<" : " %u %s ", slot + 1, s->name);
    kl_grid_text(g, row, col + 2, cols - 4, selected ? KL_STYLE_SELECTED : KL_STYLE_STRONG, title);
    if (cols - 8 > kl_text_width(title) + kl_text_width(s->port) && strcmp(s->port, s->name) != 0)
        kl_grid_text_right(g, row, col + cols - 2, cols / 2, KL_STYLE_FRAME, s->port);
    if (passed || failed) {
        a.base = passed ? KL_STYLE_PASS : KL_STYLE_FAIL;
        kl_grid_fill(g, a.row, a.col, a.rows, a.cols, a.base);
    }
    if (passed)
        fill_pass(&a, s);
    else if (failed)
        fill_fail(&a, s, &m->log[slot]);
    else
        fill_running(&a, s, &m->log[slot], m, v->ascii);
}

/* ---- one line ---------------------------------------------------------------------------------
 */

static void line_tail(const struct kl_model *m, const struct kl_slot_view *s, unsigned slot,
                      char *out, size_t size)
{
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    const struct kl_log *log = &m->log[slot];

    if (s->fault.reason != KL_FAULT_NONE)
        snprintf(out, size, "%s: %s", info.text, info.advice);
    else if (is_flashing(s))
        snprintf(out, size, "%3u%%  %u KB/s", percent(s), s->bytes_per_second / 1024);
    else if (s->label[0])
        key_words(s, out, size);
    else
        snprintf(out, size, "%s", log->count ? kl_log_line(log, log->count - 1) : "");
}

/* Of a name that is too long the end tells more: "host:4001". */
static const char *end_of(const char *name, int cols)
{
    while (kl_text_width(name) > cols)
        do
            name++;
        while (((unsigned char)*name & 0xc0) == 0x80);
    return name;
}

void draw_line(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g, unsigned slot,
               int row, int name_cols)
{
    const struct kl_slot_view *s = slot_of(m, slot);
    bool selected = v->selected == slot;
    enum kl_style style = state_style(s->state);
    char text[512], words[128], chip[128];
    int col, cols = g->cols;

    snprintf(text, sizeof text, "%s%2u %s", selected ? ">" : " ", slot + 1,
             end_of(s->name, name_cols));
    kl_grid_text(g, row, 0, cols, selected ? KL_STYLE_SELECTED : KL_STYLE_STRONG, text);
    col = 4 + name_cols + 1;
    state_words(m, s, words, sizeof words);
    snprintf(text, sizeof text, "%s %s", state_symbol(s->state, v->ascii),
             s->state == KL_ST_DONE     ? "PASS"
             : s->state == KL_ST_FAILED ? "FAIL"
                                        : words);
    kl_grid_fill(g, row, col, 1, 22, style);
    kl_grid_text(g, row, col, 22, style, text);
    col += 23;
    if (cols >= 100) {
        chip_words(s, chip, sizeof chip);
        kl_grid_text(g, row, col, 38, KL_STYLE_PLAIN, chip);
        col += 39;
    } else if (kl_mac_is_set(&s->identity.mac)) {
        kl_mac_format(&s->identity.mac, chip);
        kl_grid_text(g, row, col, 17, KL_STYLE_PLAIN, chip);
        col += 18;
    }
    line_tail(m, s, slot, text, sizeof text);
    kl_grid_text(g, row, col, cols - col, KL_STYLE_PLAIN, text);
}
