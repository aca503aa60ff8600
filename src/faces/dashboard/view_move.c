/* view_move.c: chooses a board, scrolls a list or a log, searches in it. Changes no board. */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

enum {
    SHIFT = 20, /* columns */
    SHIFT_MAX = 1000,
};

static void move_to(struct kl_view *v, const struct layout *l, int position)
{
    if (l->count == 0)
        return;
    if (position < 0)
        position = 0;
    if (position >= (int)l->count)
        position = (int)l->count - 1;
    v->selected = l->order[position];
}

static const struct kl_log *log_of(const struct kl_view *v, const struct kl_model *m)
{
    if (v->screen == KL_SCREEN_STORY)
        return &m->story;
    if (v->screen == KL_SCREEN_ZOOM)
        return &m->log[v->selected];
    return v->screen == KL_SCREEN_EVENTS ? &m->events : NULL;
}

/* Logs count from the newest line upwards, lists from the first line downwards. */
static void scroll_by(struct kl_view *v, const struct kl_model *m, int lines_up)
{
    const struct kl_log *log = log_of(v, m);
    bool keys = v->screen == KL_SCREEN_IN_DOUBT;
    long limit = log ? (long)log->count : keys ? (long)m->in_doubt_count : 32;
    long to = (long)v->scroll + (log ? lines_up : -lines_up);

    if (to > limit - 1)
        to = limit - 1;
    v->scroll = to < 0 ? 0 : (unsigned)to;
}

static void move_on_bench(struct kl_view *v, const struct kl_model *m, enum move move, int rows,
                          int cols)
{
    struct layout l;
    int position;

    lay_out(&l, m, v, rows, cols);
    position = (int)position_of(&l, v->selected);
    switch (move) {
    case MOVE_UP:
    case MOVE_DOWN:
        move_to(v, &l, position + (move == MOVE_DOWN ? l.columns : -l.columns));
        break;
    case MOVE_LEFT:
    case MOVE_RIGHT:
        move_to(v, &l, position + (move == MOVE_RIGHT ? 1 : -1));
        break;
    case MOVE_PAGE_UP:
    case MOVE_PAGE_DOWN:
        move_to(v, &l, position + (move == MOVE_PAGE_DOWN ? 1 : -1) * (int)l.per_page);
        break;
    case MOVE_FIRST:
    case MOVE_LAST:
        move_to(v, &l, move == MOVE_FIRST ? 0 : (int)l.count - 1);
        break;
    }
}

static void choose_key(struct kl_view *v, const struct kl_model *m, int step)
{
    if (step < 0 && v->chosen > 0)
        v->chosen--;
    else if (step > 0 && v->chosen + 1 < m->in_doubt_count)
        v->chosen++;
    if (v->scroll > v->chosen)
        v->scroll = v->chosen;
    if (v->chosen >= v->scroll + 8)
        v->scroll = v->chosen - 7;
}

static bool needs_a_hand(const struct kl_slot_view *s, bool passed)
{
    return passed ? s->state == KL_ST_DONE : s->state == KL_ST_FAILED && s->retry_at == KL_NEVER;
}

void view_next_in_need(struct kl_view *v, const struct kl_model *m, int rows, int cols)
{
    struct layout l;
    unsigned here;

    lay_out(&l, m, v, rows, cols);
    here = position_of(&l, v->selected);
    for (int passed = 0; passed < 2; passed++) {
        for (unsigned i = 1; i <= l.count; i++) {
            unsigned slot = l.order[(here + i) % l.count];
            if (!needs_a_hand(&m->snap.slot[slot], passed != 0))
                continue;
            v->selected = slot;
            return;
        }
    }
    kl_view_say(v, KL_MESSAGE_FOR, "no board needs a hand");
}

void view_move(struct kl_view *v, const struct kl_model *m, enum move move, int rows, int cols)
{
    int page = rows - HEADER_ROWS - FOOTER_ROWS - 2;

    if (page < 1)
        page = 1;
    if (v->screen == KL_SCREEN_BENCH) {
        move_on_bench(v, m, move, rows, cols);
        return;
    }
    if (v->screen == KL_SCREEN_IN_DOUBT && (move == MOVE_UP || move == MOVE_DOWN)) {
        choose_key(v, m, move == MOVE_DOWN ? 1 : -1);
        return;
    }
    switch (move) {
    case MOVE_UP:
    case MOVE_DOWN:
        scroll_by(v, m, move == MOVE_UP ? 1 : -1);
        break;
    case MOVE_PAGE_UP:
    case MOVE_PAGE_DOWN:
        scroll_by(v, m, move == MOVE_PAGE_UP ? page : -page);
        break;
    case MOVE_FIRST:
    case MOVE_LAST:
        if (log_of(v, m))
            scroll_by(v, m, move == MOVE_FIRST ? 1 << 20 : -(1 << 20));
        else
            v->scroll = 0;
        break;
    case MOVE_LEFT:
        v->shift -= v->shift < SHIFT ? v->shift : SHIFT;
        break;
    case MOVE_RIGHT:
        v->shift += v->shift < SHIFT_MAX ? SHIFT : 0;
        break;
    }
}

void view_jump(struct kl_view *v, const struct kl_model *m, int digit)
{
    size_t n = strlen(v->number);
    unsigned slot;

    if (n >= 2)
        n = 0;
    v->number[n] = (char)digit;
    v->number[n + 1] = '\0';
    if (sscanf(v->number, "%u", &slot) != 1 || slot == 0 || slot > m->snap.slot_count) {
        v->number[0] = (char)digit;
        v->number[1] = '\0';
        if (sscanf(v->number, "%u", &slot) != 1 || slot == 0 || slot > m->snap.slot_count)
            return;
    }
    v->selected = slot - 1;
}

void view_search(struct kl_view *v, const struct kl_model *m, bool upwards)
{
    const struct kl_log *log = log_of(v, m);
    char text[KL_TEXT_MAX];
    unsigned up = v->scroll;

    if (!log || !v->search[0])
        return;
    while (upwards ? ++up < log->count : up-- > 0) {
        if (strstr(kl_log_line(log, log->count - 1 - up), v->search)) {
            v->scroll = up;
            return;
        }
    }
    snprintf(text, sizeof text, "no further '%s' %s", v->search, upwards ? "above" : "below");
    kl_view_say(v, KL_MESSAGE_FOR, text);
}
