/*
 * view_keys.c: what each key does, as one table: the footer, the help screen and the table in
 * docs/operating.md are made from it. A letter has one meaning on all screens.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

enum deed {
    DO_MOVE, /* + enum move */
    DO_ZOOM = DO_MOVE + MOVE_LAST + 1,
    DO_BACK,
    DO_RETRY,
    DO_RETRY_FAILED,
    DO_SKIP,
    DO_ERASE,
    DO_PAUSE,
    DO_RESUME,
    DO_ADD_PORT,
    DO_REMOVE_PORT,
    DO_EVENTS,
    DO_IN_DOUBT,
    DO_ORDER,
    DO_COMPACT,
    DO_SEARCH,
    DO_SEARCH_UP,
    DO_SEARCH_DOWN,
    DO_FILTER,
    DO_NEXT_IN_NEED,
    DO_STATS,
    DO_WALL,
    DO_STORY,
    DO_RELEASE,
    DO_BIND,
    DO_ACCEPT,
    DO_LOCK,
    DO_HELP,
    DO_REDRAW,
    DO_QUIT, /* quits on the bench; goes back elsewhere */
};

/* Which screens a binding belongs to. */
enum {
    BENCH = 1,
    ZOOM = 2,
    LISTS = 4,
    KEYS = 8, /* the keys in doubt, and the story of one */
    WALL = 16,
    EVERYWHERE = BENCH | ZOOM | LISTS | KEYS | WALL
};

struct binding {
    int key, other; /* two keys for it; 0 = none */
    enum deed deed;
    unsigned screens;
    bool commands; /* changes something: refused with --read-only */
    bool unlocked; /* works while locked */
    const char *name, *footer, *help;
};

/* clang-format off */
static const struct binding bindings[] = {
    {KL_KEYCODE_UP, 0, DO_MOVE + MOVE_UP, EVERYWHERE, false, true, "arrows", NULL,
     "choose a board, or by its number; scroll logs, sideways too"},
    {KL_KEYCODE_DOWN, 0, DO_MOVE + MOVE_DOWN, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_LEFT, 0, DO_MOVE + MOVE_LEFT, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_RIGHT, 0, DO_MOVE + MOVE_RIGHT, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_ENTER, 0, DO_ZOOM, BENCH, false, true, "Enter", "zoom",
     "the board's whole log; End follows it"},
    {KL_KEYCODE_ENTER, 0, DO_STORY, KEYS, false, true, "Enter", "story", NULL},
    {KL_KEYCODE_ESCAPE, 0, DO_BACK, EVERYWHERE, false, true, "Esc", NULL, "back to the bench; on the bench: shows all again"},
    {'r', 0, DO_RETRY, BENCH | ZOOM, true, true, "r", "retry",
     "try the chosen board again; R: all failed ones"},
    {'R', 0, DO_RETRY_FAILED, EVERYWHERE, true, false, "R", "retry failed", NULL},
    {KL_KEYCODE_TAB, 0, DO_NEXT_IN_NEED, BENCH | ZOOM, false, true, "Tab", NULL,
     "the next board that needs a hand"},
    {'s', 0, DO_SKIP, BENCH | ZOOM, true, true, "s", "skip",
     "put the board aside (asks if it is being given its key)"},
    {'e', 0, DO_ERASE, BENCH | ZOOM, true, false, "e", "erase",
     "erase the board, start again, with its own key (asks)"},
    {'p', 0, DO_PAUSE, EVERYWHERE, true, false, "p", "pause",
     "finish what runs, start nothing new; P: go on"},
    {'P', 0, DO_RESUME, EVERYWHERE, true, false, "P", "go on", NULL},
    {'n', 0, DO_ADD_PORT, BENCH, true, false, "n", NULL,
     "add a network port: host:port, rfc2217:// or socket://"},
    {'x', 0, DO_REMOVE_PORT, BENCH, true, false, "x", NULL,
     "remove the chosen slot, if it is a network port (asks)"},
    {'b', 0, DO_BIND, BENCH | ZOOM, true, false, "b", NULL,
     "bind a label to the chosen board: scan it, or type it"},
    {'l', 0, DO_EVENTS, EVERYWHERE, false, true, "l", "events",
     "the bench's event log; a: answer about the list of keys"},
    {'a', 0, DO_ACCEPT, EVERYWHERE, true, false, "a", "answer", NULL},
    {'K', 0, DO_IN_DOUBT, EVERYWHERE, false, true, "K", "in doubt",
     "the keys in doubt; Enter: the story of one; u: release it"},
    {'u', 0, DO_RELEASE, KEYS, true, false, "u", "release", NULL},
    {'i', 0, DO_STATS, EVERYWHERE, false, true, "i", NULL,
     "figures, slot by slot: fails, first pass, seconds, rate"},
    {'w', 0, DO_WALL, EVERYWHERE, false, true, "w", NULL,
     "the wall: large, for a second screen"},
    {'t', 0, DO_COMPACT, BENCH, false, true, "t", "compact",
     "panes, or one line per board; o: by slot, need, age, fails"},
    {'o', 0, DO_ORDER, BENCH, false, true, "o", "order", NULL},
    {'/', 0, DO_FILTER, BENCH, false, true, "/", "filter",
     "show only some boards; in a log search: f above, F below"},
    {'/', 0, DO_SEARCH, ZOOM | LISTS | KEYS, false, true, "/", "search", NULL},
    {'f', 0, DO_SEARCH_UP, ZOOM | LISTS, false, true, "f", "above", NULL},
    {'F', KL_KEYCODE_F3, DO_SEARCH_DOWN, ZOOM | LISTS, false, true, "F", "below", NULL},
    {KL_KEYCODE_PAGE_UP, 0, DO_MOVE + MOVE_PAGE_UP, EVERYWHERE, false, true, "PgUp PgDn", NULL,
     "page; Home, End: the first, the last"},
    {KL_KEYCODE_PAGE_DOWN, ' ', DO_MOVE + MOVE_PAGE_DOWN, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_HOME, 0, DO_MOVE + MOVE_FIRST, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_END, 0, DO_MOVE + MOVE_LAST, EVERYWHERE, false, true, NULL, NULL, NULL},
    {'L', 0, DO_LOCK, EVERYWHERE, false, true, "L", NULL,
     "lock all keys but retry and skip; unlock with the phrase"},
    {'?', KL_KEYCODE_F1, DO_HELP, EVERYWHERE, false, true, "? F1", NULL, "this page"},
    {KL_KEYCODE_REDRAW, 0, DO_REDRAW, EVERYWHERE, false, true, "Ctrl-L", NULL,
     "draw the screen anew"},
    {'q', KL_KEYCODE_F10, DO_QUIT, EVERYWHERE, false, true, "q F10", NULL,
     "leave, or stop the station (asks); in a list: back"},
};
/* clang-format on */

enum {
    BINDINGS = sizeof bindings / sizeof bindings[0]
};

const char *kl_view_binding(unsigned i, const char **what)
{
    for (unsigned b = 0; b < BINDINGS; b++) {
        if (!bindings[b].help || i--)
            continue;
        *what = bindings[b].help;
        return bindings[b].name;
    }
    return NULL;
}

static unsigned screen_bit(enum kl_screen s)
{
    switch (s) {
    case KL_SCREEN_BENCH:
        return BENCH;
    case KL_SCREEN_ZOOM:
        return ZOOM;
    case KL_SCREEN_IN_DOUBT:
    case KL_SCREEN_STORY:
        return KEYS;
    case KL_SCREEN_WALL:
        return WALL;
    default:
        return LISTS;
    }
}

static struct kl_want nothing(void)
{
    return (struct kl_want){.kind = KL_WANT_NOTHING};
}

void kl_view_say(struct kl_view *v, kl_us how_long, const char *text)
{
    kl_copy(v->message, sizeof v->message, text);
    v->message_until = v->now + how_long;
}

/* ---- what can be done now ---- */

static const char *why_no_retry(enum kl_state s)
{
    if (s == KL_ST_EMPTY || s == KL_ST_CLOSING)
        return "no board is there";
    if (s == KL_ST_DONE)
        return "it has passed: e erases it and starts again";
    return s == KL_ST_FAILED || s == KL_ST_SKIPPED ? NULL : "it is at work already";
}

static const char *why_no_skip(enum kl_state s)
{
    if (s == KL_ST_EMPTY || s == KL_ST_CLOSING)
        return "no board is there";
    if (s == KL_ST_DONE || s == KL_ST_RECORDING)
        return "it has its key: there is nothing to skip";
    return s == KL_ST_SKIPPED ? "it is skipped already" : NULL;
}

static const char *why_no_erase(enum kl_state s)
{
    if (s == KL_ST_EMPTY || s == KL_ST_CLOSING)
        return "no board is there";
    return s == KL_ST_FAILED || s == KL_ST_SKIPPED || s == KL_ST_DONE
               ? NULL
               : "it is at work: skip it first, or wait";
}

static const char *why_no_bind(const struct kl_slot_view *s)
{
    if (s->state == KL_ST_EMPTY)
        return "no board is there";
    if (s->state == KL_ST_DONE)
        return "it has its key already";
    return kl_mac_is_set(&s->identity.mac) ? NULL : "it is not identified yet: wait for its MAC";
}

static bool any_failed(const struct kl_model *m)
{
    for (unsigned i = 0; i < m->snap.slot_count; i++)
        if (m->snap.slot[i].state == KL_ST_FAILED)
            return true;
    return false;
}

/* Why the deed would do nothing on this board at this moment; NULL = it would do something. */
static const char *why_not(const struct kl_view *v, const struct kl_model *m, enum deed deed)
{
    bool some = v->selected < m->snap.slot_count;
    const struct kl_slot_view *s = &m->snap.slot[v->selected];

    if (!some && (deed == DO_RETRY || deed == DO_SKIP || deed == DO_ERASE ||
                  deed == DO_REMOVE_PORT || deed == DO_ZOOM || deed == DO_BIND))
        return "there is no slot yet";
    switch (deed) {
    case DO_RETRY:
        return why_no_retry(s->state);
    case DO_SKIP:
        return why_no_skip(s->state);
    case DO_ERASE:
        return why_no_erase(s->state);
    case DO_RETRY_FAILED:
        return any_failed(m) ? NULL : "no board has failed";
    case DO_PAUSE:
        return m->snap.paused ? "it is paused already: P goes on" : NULL;
    case DO_RESUME:
        return m->snap.paused ? NULL : "it is not paused";
    case DO_REMOVE_PORT:
        return s->network ? NULL : "only a network port can be removed";
    case DO_BIND:
        return why_no_bind(s);
    case DO_STORY:
    case DO_RELEASE:
        return v->chosen < m->in_doubt_count ? NULL : "no key is in doubt";
    case DO_ACCEPT:
        return m->snap.question[0] ? NULL : "the station asks nothing";
    case DO_LOCK:
        return v->phrase[0] ? NULL : "start with --lock to use the lock";
    case DO_SEARCH:
    case DO_SEARCH_UP:
    case DO_SEARCH_DOWN:
        if (v->screen != KL_SCREEN_ZOOM && v->screen != KL_SCREEN_EVENTS &&
            v->screen != KL_SCREEN_STORY)
            return "there is no log to search on this page";
        return deed == DO_SEARCH || v->search[0] ? NULL : "nothing was searched for yet: /";
    default:
        return NULL;
    }
}

/* Why panes and lines would look the same. */
static const char *why_no_panes(const struct kl_view *v, const struct kl_model *m, int rows,
                                int cols)
{
    struct kl_view with_panes = *v;
    struct layout l;

    with_panes.compact = false;
    lay_out(&l, m, &with_panes, rows, cols);
    if (l.count == 0)
        return "there is no slot yet";
    return l.compact ? "no room for panes: make the window larger, or filter the boards with /"
                     : NULL;
}

static const char *forbidden(const struct kl_view *v, const struct binding *b)
{
    if (b->commands && v->read_only)
        return "read only: this dashboard can't command";
    if (v->locked && (!b->unlocked || (b->deed == DO_QUIT && v->screen == KL_SCREEN_BENCH)))
        return "locked: only retry and skip (L unlocks)";
    return NULL;
}

/* ---- the footer ---- */

/* Writes one key and what it does; returns the column behind it, or `col` if it does not fit. */
static int put_key(struct kl_grid *g, int row, int col, int end, const char *name, const char *what)
{
    int needed = kl_text_width(name) + 1 + kl_text_width(what);

    if (col + needed > end)
        return col;
    col += kl_grid_text(g, row, col, end - col, KL_STYLE_BAR_KEY, name);
    return col + 1 + kl_grid_text(g, row, col + 1, end - col - 1, KL_STYLE_BAR, what) + 2;
}

/* Shows the keys that do something now. The keys for help and for leaving are never cut off. */
void draw_footer_keys(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g, int row)
{
    const char *mark = v->locked ? "LOCKED (L) " : v->read_only ? "READ ONLY " : "";
    const char *leave = v->screen == KL_SCREEN_BENCH ? "quit" : "back";
    int end = kl_grid_text_right(g, row, g->cols, 12, KL_STYLE_BAR_KEY, mark);
    int col = 1;

    end -= 16;
    put_key(g, row, end, end + 8, "?", "help");
    if (!v->locked || v->screen != KL_SCREEN_BENCH)
        put_key(g, row, end + 8, end + 16, "q", leave);
    for (unsigned i = 0; i < BINDINGS; i++) {
        const struct binding *b = &bindings[i];
        if (b->deed == DO_COMPACT && why_no_panes(v, m, g->rows, g->cols))
            continue;
        if (b->footer && (b->screens & screen_bit(v->screen)) && !forbidden(v, b) &&
            !why_not(v, m, b->deed))
            col = put_key(g, row, col, end - 2, b->name, b->footer);
    }
}

/* ---- doing ---- */

static void show(struct kl_view *v, enum kl_screen screen)
{
    v->screen = v->screen == screen ? KL_SCREEN_BENCH : screen;
    v->scroll = v->shift = 0;
}

static struct kl_want skip(struct kl_view *v, const struct kl_model *m)
{
    enum kl_state s = m->snap.slot[v->selected].state;

    if (s == KL_ST_SENDING || s == KL_ST_CONFIRMING || s == KL_ST_RESERVING) {
        view_ask(v, m, KL_ASK_SKIP);
        return nothing();
    }
    return view_command(KL_CMD_SKIP, v->selected);
}

/* Esc: from a story back to its list; on the bench it lifts the filter. */
static void back(struct kl_view *v)
{
    if (v->screen == KL_SCREEN_STORY)
        show(v, KL_SCREEN_IN_DOUBT);
    else if (v->screen == KL_SCREEN_BENCH)
        v->filter[0] = '\0';
    else
        show(v, v->screen);
}

static void show_screen(struct kl_view *v, const struct kl_model *m, enum deed deed)
{
    char text[64];

    switch (deed) {
    case DO_ZOOM:
        show(v, KL_SCREEN_ZOOM);
        break;
    case DO_BACK:
        back(v);
        break;
    case DO_STATS:
        show(v, KL_SCREEN_STATS);
        break;
    case DO_WALL:
        show(v, KL_SCREEN_WALL);
        break;
    case DO_EVENTS:
        show(v, KL_SCREEN_EVENTS);
        break;
    case DO_IN_DOUBT:
        show(v, KL_SCREEN_IN_DOUBT);
        break;
    case DO_HELP:
        show(v, KL_SCREEN_HELP);
        break;
    case DO_ORDER:
        v->order = (enum kl_order)((v->order + 1) % KL_ORDER_COUNT);
        snprintf(text, sizeof text, "order: by %s", order_word(v->order));
        kl_view_say(v, KL_MESSAGE_FOR, text);
        break;
    case DO_COMPACT:
        v->compact = !v->compact;
        break;
    case DO_SEARCH_UP:
    case DO_SEARCH_DOWN:
        view_search(v, m, deed == DO_SEARCH_UP);
        break;
    default:
        break;
    }
}

static struct kl_want act(struct kl_view *v, const struct kl_model *m, enum deed deed)
{
    switch (deed) {
    case DO_RETRY:
        return view_command(KL_CMD_RETRY, v->selected);
    case DO_RETRY_FAILED:
        return view_command(KL_CMD_RETRY_FAILED, 0);
    case DO_SKIP:
        return skip(v, m);
    case DO_PAUSE:
        return view_command(KL_CMD_PAUSE, 0);
    case DO_RESUME:
        return view_command(KL_CMD_RESUME, 0);
    case DO_REDRAW:
        return (struct kl_want){.kind = KL_WANT_REDRAW};
    case DO_ERASE:
        view_ask(v, m, KL_ASK_ERASE);
        break;
    case DO_ADD_PORT:
        view_ask(v, m, KL_ASK_ADD_PORT);
        break;
    case DO_REMOVE_PORT:
        view_ask(v, m, KL_ASK_REMOVE_PORT);
        break;
    case DO_SEARCH:
        view_ask(v, m, KL_ASK_SEARCH);
        break;
    case DO_FILTER:
        view_ask(v, m, KL_ASK_FILTER);
        break;
    case DO_BIND:
        view_ask(v, m, KL_ASK_BIND);
        break;
    case DO_RELEASE:
        view_ask(v, m, KL_ASK_RELEASE);
        break;
    case DO_ACCEPT:
        view_ask(v, m, KL_ASK_ACCEPT);
        break;
    case DO_STORY:
        show(v, KL_SCREEN_STORY);
        return (struct kl_want){.kind = KL_WANT_STORY};
    case DO_LOCK:
        if (v->locked)
            view_ask(v, m, KL_ASK_UNLOCK);
        v->locked = true;
        break;
    case DO_QUIT:
        if (v->screen == KL_SCREEN_BENCH)
            view_ask(v, m, KL_ASK_QUIT);
        else
            back(v);
        break;
    default:
        show_screen(v, m, deed);
    }
    return nothing();
}

/* ---- keys ---- */

static const struct binding *binding_of(const struct kl_view *v, int key)
{
    for (unsigned i = 0; i < BINDINGS; i++)
        if (bindings[i].screens & screen_bit(v->screen) && key != 0 &&
            (key == bindings[i].key || key == bindings[i].other))
            return &bindings[i];
    return NULL;
}

bool kl_view_is_bound(const struct kl_view *v, int key)
{
    return (key >= '0' && key <= '9') || binding_of(v, key);
}

bool kl_view_is_at_once(const struct kl_view *v, int key)
{
    if (v->asked.question != KL_ASK_NOTHING)
        return key != KL_KEYCODE_ENTER && key != KL_KEYCODE_ESCAPE;
    return key >= '0' && key <= '9';
}

static void say_unbound(struct kl_view *v, int key)
{
    char text[KL_TEXT_MAX];

    if (key > 0x7e)
        snprintf(text, sizeof text, "that key does nothing here; ? shows the keys");
    else
        snprintf(text, sizeof text, "%c does nothing here; ? shows the keys", key);
    kl_view_say(v, KL_MESSAGE_FOR, text);
}

static struct kl_want press(struct kl_view *v, const struct kl_model *m, int key, int rows,
                            int cols)
{
    const struct binding *b = binding_of(v, key);
    const char *why;

    v->message[0] = '\0';
    if (key >= '0' && key <= '9') {
        view_jump(v, m, key);
        return nothing();
    }
    v->number[0] = '\0';
    if (!b) {
        say_unbound(v, key);
        return nothing();
    }
    why = forbidden(v, b);
    if (!why)
        why = why_not(v, m, b->deed);
    if (!why && b->deed == DO_COMPACT)
        why = why_no_panes(v, m, rows, cols);
    if (why) {
        kl_view_say(v, KL_MESSAGE_FOR, why);
        return nothing();
    }
    if (b->deed == DO_NEXT_IN_NEED) {
        view_next_in_need(v, m, rows, cols);
        return nothing();
    }
    if (b->deed <= DO_MOVE + MOVE_LAST) {
        view_move(v, m, (enum move)(b->deed - DO_MOVE), rows, cols);
        return nothing();
    }
    return act(v, m, b->deed);
}

/* The mouse: a click chooses, the wheel scrolls. */
static void point(struct kl_view *v, const struct kl_model *m, const struct kl_input_event *e,
                  int rows, int cols)
{
    int slot = v->screen == KL_SCREEN_BENCH ? slot_at(m, v, rows, cols, e->row, e->col) : -1;

    if (e->kind == KL_INPUT_CLICK && slot >= 0)
        v->selected = (unsigned)slot;
    for (int i = 0; e->kind != KL_INPUT_CLICK && i < (v->screen == KL_SCREEN_BENCH ? 1 : 3); i++)
        view_move(v, m, e->kind == KL_INPUT_WHEEL_UP ? MOVE_UP : MOVE_DOWN, rows, cols);
}

struct kl_want kl_view_input(struct kl_view *v, const struct kl_model *m,
                             const struct kl_input_event *e, int rows, int cols)
{
    if (v->asked.question != KL_ASK_NOTHING)
        return view_answer(v, m, e);
    if (e->kind == KL_INPUT_KEY)
        return press(v, m, e->key, rows, cols);
    if (e->kind == KL_INPUT_PASTE)
        kl_view_say(v, KL_MESSAGE_FOR, "pasted text does nothing here");
    else
        point(v, m, e, rows, cols);
    return nothing();
}

/* Never leaves a hidden board chosen: keys must not act on a board that nobody sees. */
static void follow_filter(struct kl_view *v, const struct kl_model *m)
{
    struct layout l;

    lay_out(&l, m, v, 24, 80);
    if (l.count > 0 && l.order[position_of(&l, v->selected)] != v->selected)
        v->selected = l.order[0];
}

void kl_view_follow(struct kl_view *v, const struct kl_model *m)
{
    if (v->chosen >= m->in_doubt_count)
        v->chosen = m->in_doubt_count ? m->in_doubt_count - 1 : 0;
    if (v->filter[0])
        follow_filter(v, m);
    if (v->selected >= m->snap.slot_count)
        v->selected = m->snap.slot_count ? m->snap.slot_count - 1 : 0;
}
