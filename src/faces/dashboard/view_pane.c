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

/* ---- words ---- */

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
        snprintf(out, size, "key %s%s", s->label, s->already ? " (it held it before)" : "");
    else
        snprintf(out, size, "%s", "");
}

/* How long this state may take at most; 0 = no such limit. */
static kl_us limit_of(const struct kl_model *m, enum kl_state state)
{
    if (state == KL_ST_BOOTING)
        return m->prompt_timeout;
    if (state == KL_ST_TESTING)
        return m->expect_timeout;
    return state == KL_ST_SENDING || state == KL_ST_CONFIRMING ? m->ack_timeout : 0;
}

/* "17/30 s" */
static void time_words(const struct kl_model *m, const struct kl_slot_view *s, char *out,
                       size_t size)
{
    kl_us since = m->snap.at - s->since, limit = limit_of(m, s->state);
    char time[24];

    format_time(time, since);
    if (limit)
        snprintf(out, size, "%lld/%lld s", (long long)(since / 1000000),
                 (long long)(limit / 1000000));
    else
        snprintf(out, size, "%s", time);
}

static void state_words(const struct kl_model *m, const struct kl_slot_view *s, char *out,
                        size_t size)
{
    char time[48];

    time_words(m, s, time, sizeof time);
    if (s->state == KL_ST_FAILED && s->retry_at != KL_NEVER) {
        format_time(time, s->retry_at > m->snap.at ? s->retry_at - m->snap.at : 0);
        snprintf(out, size, "again in %s (try %u)", time, s->tries + 1);
    } else if (s->state == KL_ST_EMPTY || s->state == KL_ST_DONE || s->state == KL_ST_FAILED) {
        snprintf(out, size, "%s", kl_state_name(s->state));
    } else if (s->tries > 1) {
        snprintf(out, size, "%s %s try %u", kl_state_name(s->state), time, s->tries);
    } else {
        snprintf(out, size, "%s %s", kl_state_name(s->state), time);
    }
}

static void test_words(const struct kl_slot_view *s, char *out, size_t size)
{
    if (s->exam_due > 0)
        snprintf(out, size, "functional test: %u of %u texts came", s->exam_came, s->exam_due);
    else
        snprintf(out, size, "functional test: nothing rejected so far");
}

/* What a wait is for, once half of its time is over; NULL before. */
static const char *missing_words(const struct kl_model *m, unsigned slot)
{
    const struct kl_slot_view *s = slot_of(m, slot);
    kl_us waited = m->snap.at - s->since, limit = limit_of(m, s->state);
    bool heard = m->heard_at[slot] > s->since;

    if (s->state == KL_ST_CONNECTING && waited > KL_SEC(8))
        return "no answer yet: check power and cable; hold BOOT";
    if (!limit || waited < limit / 2 || s->state == KL_ST_TESTING)
        return NULL;
    if (s->state == KL_ST_BOOTING)
        return heard ? "it talks, but has not asked for a key yet: no line Provisioning so far"
                     : "silent so far: does the firmware print at 115200 baud?";
    return s->state == KL_ST_SENDING ? "the board has not said Provisioned yet"
                                     : "the board has not read its key back yet";
}

/* ---- parts of a pane ---- */

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

static void put_wrapped(struct area *a, enum kl_style style, const char *text)
{
    int used = draw_wrapped(a->g, a->row, a->col, a->rows, a->cols,
                            a->base != KL_STYLE_PLAIN ? a->base : style, text);

    a->row += used;
    a->rows -= used;
}

/* Draws the large word into the rows that the text leaves free. */
static void put_big(struct area *a, unsigned number, bool pass, int text_rows, enum glyphs glyphs)
{
    char word[16];
    int free_rows = a->rows - text_rows;
    int used = draw_big(a->g, a->row, a->col, free_rows, a->cols, a->base, number,
                        pass ? BIG_PASS : BIG_FAIL, glyphs == GLYPHS_ASCII);

    a->row += used;
    a->rows -= used;
    if (used || free_rows < 1)
        return;
    snprintf(word, sizeof word, "%s %s", state_symbol(pass ? KL_ST_DONE : KL_ST_FAILED, glyphs),
             pass ? "PASS" : "FAIL");
    put_row(a, KL_STYLE_STRONG, word);
}

static void took_words(const struct kl_model *m, const struct kl_slot_view *s, char *out,
                       size_t size)
{
    char time[24];

    out[0] = '\0';
    for (unsigned i = 0; i < m->stats.slot_count; i++) {
        if (strcmp(m->stats.slot[i].name, s->name) != 0 || !m->stats.slot[i].last)
            continue;
        format_time(time, m->stats.slot[i].last);
        snprintf(out, size, "  in %s", time);
    }
}

static void fill_pass(struct area *a, const struct kl_model *m, const struct kl_slot_view *s,
                      unsigned slot, enum glyphs glyphs)
{
    char key[KL_TEXT_MAX], text[KL_TEXT_MAX + 40], took[40];

    put_big(a, slot + 1, true, 2, glyphs);
    key_words(s, key, sizeof key);
    took_words(m, s, took, sizeof took);
    snprintf(text, sizeof text, "%s%s", key, took);
    put_row(a, KL_STYLE_PASS, text);
    chip_words(s, text, sizeof text);
    put_row(a, KL_STYLE_PASS, text);
}

/* Reason and advice are always whole; the rest gets the rows that they leave. */
static void fill_fail(struct area *a, const struct kl_slot_view *s, const struct kl_log *log,
                      unsigned slot, enum glyphs glyphs)
{
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    char advice[KL_TEXT_MAX], chip[KL_TEXT_MAX];
    int rows, more;

    snprintf(advice, sizeof advice, "> %s", info.advice);
    chip_words(s, chip, sizeof chip);
    rows = wrapped_rows(info.text, a->cols) + wrapped_rows(advice, a->cols);
    more = (s->fault.detail[0] != '\0') + (chip[0] != '\0');
    put_big(a, slot + 1, false, a->rows - rows - more >= BIG_ROWS ? rows + more : rows, glyphs);
    put_wrapped(a, KL_STYLE_FAIL, info.text);
    put_wrapped(a, KL_STYLE_FAIL, advice);
    if (s->fault.detail[0])
        put_wrapped(a, KL_STYLE_FAIL, s->fault.detail);
    if (chip[0])
        put_row(a, KL_STYLE_FAIL, chip);
    put_log(a, log);
}

static void fill_running(struct area *a, const struct kl_slot_view *s, const struct kl_log *log,
                         const struct kl_model *m, enum glyphs glyphs, unsigned slot)
{
    char words[128], text[KL_TEXT_MAX];
    const char *missing = missing_words(m, slot);

    state_words(m, s, words, sizeof words);
    snprintf(text, sizeof text, "%s %s", state_symbol(s->state, glyphs), words);
    put_row(a, state_style(s->state), text);
    if (s->fault.reason != KL_FAULT_NONE) {
        struct kl_fault_info info = kl_fault_info(s->fault.reason);
        put_wrapped(a, KL_STYLE_WAIT, info.text);
        snprintf(text, sizeof text, "> %s", info.advice);
        put_wrapped(a, KL_STYLE_WAIT, text);
    } else if (missing) {
        put_wrapped(a, KL_STYLE_WAIT, missing);
    }
    if (s->state == KL_ST_TESTING) {
        test_words(s, text, sizeof text);
        put_wrapped(a, KL_STYLE_STRONG, text);
    }
    chip_words(s, text, sizeof text);
    if (text[0])
        put_row(a, KL_STYLE_PLAIN, text);
    if (is_flashing(s))
        put_bar(a, s, glyphs == GLYPHS_ASCII);
    key_words(s, text, sizeof text);
    if (text[0])
        put_row(a, KL_STYLE_STRONG, text);
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

    draw_box(g, row, col, rows, cols, selected ? KL_STYLE_SELECTED : KL_STYLE_FRAME, glyphs_of(v),
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
        fill_pass(&a, m, s, slot, glyphs_of(v));
    else if (failed)
        fill_fail(&a, s, &m->log[slot], slot, glyphs_of(v));
    else
        fill_running(&a, s, &m->log[slot], m, glyphs_of(v), slot);
}

void draw_detail(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g,
                 unsigned slot, int row, int rows)
{
    const struct kl_slot_view *s = slot_of(m, slot);
    struct area a = {g, row + 1, 0, rows - 1, g->cols, KL_STYLE_PLAIN};
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    static const char *const rules[] = {
        [GLYPHS_ALL] = "━", [GLYPHS_CONSOLE] = "═", [GLYPHS_ASCII] = "-"};
    char text[KL_TEXT_MAX];
    int used;

    if (rows >= framed_rows(g->cols)) {
        draw_pane(m, v, g, slot, row, 0, rows, g->cols);
        return;
    }
    snprintf(text, sizeof text, "%s%s %u %s ", rules[glyphs_of(v)], rules[glyphs_of(v)], slot + 1,
             s->name);
    used = kl_grid_text(g, row, 0, g->cols, KL_STYLE_SELECTED, text);
    for (int c = used; c < g->cols; c++)
        kl_grid_text(g, row, c, 1, KL_STYLE_SELECTED, rules[glyphs_of(v)]);
    if (s->fault.reason == KL_FAULT_NONE) {
        chip_words(s, text, sizeof text);
        put_row(&a, KL_STYLE_PLAIN, text);
        key_words(s, text, sizeof text);
        if (text[0])
            put_row(&a, KL_STYLE_STRONG, text);
        put_log(&a, &m->log[slot]);
        return;
    }
    put_wrapped(&a, KL_STYLE_WAIT, info.text);
    snprintf(text, sizeof text, "> %s", info.advice);
    put_wrapped(&a, KL_STYLE_STRONG, text);
    if (a.rows > 0 && s->fault.detail[0])
        put_row(&a, KL_STYLE_PLAIN, s->fault.detail);
}

/* ---- one line ---- */

/* Writes the advice only if all of it fits into `cols` columns. */
static void line_tail(const struct kl_model *m, const struct kl_slot_view *s, unsigned slot,
                      int cols, char *out, size_t size)
{
    struct kl_fault_info info = kl_fault_info(s->fault.reason);
    const struct kl_log *log = &m->log[slot];
    char key[KL_TEXT_MAX], took[40], left[24] = "";

    if (s->fault.reason != KL_FAULT_NONE) {
        snprintf(out, size, "%s: %s", info.text, info.advice);
        if (kl_text_width(out) > cols)
            snprintf(out, size, "%s", info.text);
    } else if (is_flashing(s)) {
        if (s->left != KL_NEVER)
            format_time(left, s->left);
        snprintf(out, size, "%3u%%  %u KB/s  %s", percent(s), s->bytes_per_second / 1024, left);
    } else if (s->state == KL_ST_TESTING) {
        test_words(s, out, size);
    } else if (s->label[0]) {
        key_words(s, key, sizeof key);
        took_words(m, s, took, sizeof took);
        snprintf(out, size, "%s%s", key, s->state == KL_ST_DONE ? took : "");
    } else {
        snprintf(out, size, "%s", log->count ? kl_log_line(log, log->count - 1) : "");
    }
}

/* Shortens a name at its beginning: the end tells more ("host:4001"). */
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
    bool selected = v->selected == slot, failed = s->state == KL_ST_FAILED;
    bool wide = g->cols >= 100;
    enum kl_style style = state_style(s->state);
    char text[512], words[128], chip[128] = "";
    int col, cols = g->cols, state_cols = failed && s->retry_at == KL_NEVER ? 8 : 22;

    snprintf(text, sizeof text, "%s%2u %s", selected ? ">" : " ", slot + 1,
             end_of(s->name, name_cols));
    kl_grid_text(g, row, 0, cols, selected ? KL_STYLE_SELECTED : KL_STYLE_STRONG, text);
    col = 4 + name_cols + 1;
    state_words(m, s, words, sizeof words);
    snprintf(text, sizeof text, "%s %s", state_symbol(s->state, glyphs_of(v)),
             s->state == KL_ST_DONE              ? "PASS"
             : failed && s->retry_at == KL_NEVER ? "FAIL"
                                                 : words);
    kl_grid_fill(g, row, col, 1, state_cols, style);
    kl_grid_text(g, row, col, state_cols, style, text);
    col += state_cols + 1;
    if (wide)
        chip_words(s, chip, sizeof chip);
    else if (kl_mac_is_set(&s->identity.mac) && s->fault.reason == KL_FAULT_NONE && cols >= 70)
        kl_mac_format(&s->identity.mac, chip);
    if (chip[0] || wide) { /* in few columns the reason matters more than the MAC */
        kl_grid_text(g, row, col, wide ? 38 : 17, KL_STYLE_PLAIN, chip);
        col += wide ? 39 : 18;
    }
    line_tail(m, s, slot, cols - col, text, sizeof text);
    kl_grid_text(g, row, col, cols - col, KL_STYLE_PLAIN, text);
}
