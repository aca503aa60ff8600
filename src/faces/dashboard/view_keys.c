/*
 * view_keys.c: what each key does, as one table: the footer and the help screen are made from it.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

enum deed {
    DO_UP,
    DO_UP_OR_IN_DOUBT, /* k: up, and where nothing is above, the keys */
    DO_DOWN,
    DO_LEFT,
    DO_RIGHT,
    DO_PAGE_UP,
    DO_PAGE_DOWN,
    DO_FIRST,
    DO_LAST,
    DO_ZOOM,
    DO_BACK,
    DO_RETRY,
    DO_RETRY_FAILED,
    DO_SKIP,
    DO_ERASE,
    DO_PAUSE,
    DO_ADD_PORT,
    DO_REMOVE_PORT,
    DO_EVENTS,
    DO_IN_DOUBT,
    DO_ORDER,
    DO_COMPACT,
    DO_SEARCH,
    DO_SEARCH_NEXT,
    DO_LOCK,
    DO_HELP,
    DO_REDRAW,
    DO_QUIT,
};

/* Which screens a binding belongs to. */
enum {
    BENCH = 1,
    ZOOM = 2,
    LISTS = 4,
    EVERYWHERE = BENCH | ZOOM | LISTS
};

struct binding {
    int key, other; /* two ways to say it; 0 = none */
    enum deed deed;
    unsigned screens;
    bool commands; /* changes something: not for a reader */
    bool unlocked; /* works while locked */
    const char *name, *footer, *help;
};

static const struct binding bindings[] = {
    {KL_KEYCODE_UP, 0, DO_UP, EVERYWHERE, false, true, "arrows hjkl", NULL,
     "choose a board, or by its number; scroll a log"},
    {KL_KEYCODE_DOWN, 'j', DO_DOWN, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_LEFT, 'h', DO_LEFT, BENCH, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_RIGHT, 0, DO_RIGHT, BENCH, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_ENTER, 0, DO_ZOOM, BENCH, false, true, "Enter", "zoom",
     "the board's whole log; / searches, End follows"},
    {KL_KEYCODE_ESCAPE, 0, DO_BACK, ZOOM | LISTS, false, true, "Esc", "back", "back to the bench"},
    {'r', 0, DO_RETRY, BENCH | ZOOM, true, true, "r", "retry",
     "try the chosen board again; R: all failed ones"},
    {'R', 0, DO_RETRY_FAILED, EVERYWHERE, true, false, "R", "retry failed", NULL},
    {'s', 0, DO_SKIP, BENCH | ZOOM, true, true, "s", "skip",
     "put the chosen board aside; its key goes back only if nothing was sent"},
    {'e', 0, DO_ERASE, BENCH | ZOOM, true, false, "e", "erase",
     "erase the chosen board and start again with its own key (asks)"},
    {'p', 0, DO_PAUSE, EVERYWHERE, true, false, "p", "pause",
     "finish what runs, start nothing new; again: go on"},
    {'n', 0, DO_ADD_PORT, BENCH, true, false, "n", NULL,
     "add a network port: host:port, rfc2217:// or socket://"},
    {'x', 0, DO_REMOVE_PORT, BENCH, true, false, "x", NULL,
     "remove the chosen slot, if it is a network port (asks)"},
    {'l', 0, DO_EVENTS, EVERYWHERE, false, true, "l", "events", "the bench's event log"},
    {'k', 0, DO_UP_OR_IN_DOUBT, EVERYWHERE, false, true, NULL, NULL, NULL},
    {'K', 0, DO_IN_DOUBT, EVERYWHERE, false, true, "K", "keys",
     "keys in doubt and what to do (also k in the top row)"},
    {'t', 0, DO_COMPACT, BENCH, false, true, "t", "compact",
     "panes, or one line per board; o: what needs a hand first"},
    {'o', 0, DO_ORDER, BENCH, false, true, "o", "order", NULL},
    {'/', 0, DO_SEARCH, ZOOM | LISTS, false, true, "/", "search",
     "search in a log; n: the next match upwards"},
    {'n', 0, DO_SEARCH_NEXT, ZOOM | LISTS, false, true, "n", "next", NULL},
    {KL_KEYCODE_PAGE_UP, 0, DO_PAGE_UP, EVERYWHERE, false, true, "PgUp PgDn", NULL,
     "page; Home, End: the first, the last; End follows a log"},
    {KL_KEYCODE_PAGE_DOWN, ' ', DO_PAGE_DOWN, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_HOME, 'g', DO_FIRST, EVERYWHERE, false, true, NULL, NULL, NULL},
    {KL_KEYCODE_END, 'G', DO_LAST, EVERYWHERE, false, true, NULL, NULL, NULL},
    {'L', 0, DO_LOCK, EVERYWHERE, false, true, "L", NULL,
     "lock all keys but retry and skip; unlock with the phrase (--lock)"},
    {'?', 0, DO_HELP, EVERYWHERE, false, true, "?", NULL, "this page"},
    {KL_KEYCODE_REDRAW, 0, DO_REDRAW, EVERYWHERE, false, true, "Ctrl-L", NULL,
     "draw the screen anew"},
    {'q', 0, DO_QUIT, EVERYWHERE, false, false, "q", NULL,
     "leave the dashboard or stop the station (asks)"},
};

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
    return s == KL_SCREEN_BENCH ? BENCH : s == KL_SCREEN_ZOOM ? ZOOM : LISTS;
}

static bool is_allowed(const struct kl_view *v, const struct binding *b)
{
    return !(b->commands && v->read_only) && (b->unlocked || !v->locked);
}

/* Writes one key and what it does; returns the column behind it, or `col` if it does not fit. */
static int put_key(struct kl_grid *g, int row, int col, int end, const char *name, const char *what)
{
    int needed = kl_text_width(name) + 1 + kl_text_width(what);

    if (col + needed > end)
        return col;
    col += kl_grid_text(g, row, col, end - col, KL_STYLE_BAR_KEY, name);
    return col + 1 + kl_grid_text(g, row, col + 1, end - col - 1, KL_STYLE_BAR, what) + 2;
}

/* The keys that work now; how to get help and how to leave are never cut off. */
void draw_footer_keys(const struct kl_view *v, struct kl_grid *g, int row)
{
    const char *mark = v->locked ? "LOCKED (L) " : v->read_only ? "READ ONLY " : "";
    int end = kl_grid_text_right(g, row, g->cols, 12, KL_STYLE_BAR_KEY, mark);
    int col = 1;

    end -= 16;
    put_key(g, row, end, end + 8, "?", "help");
    if (!v->locked)
        put_key(g, row, end + 8, end + 16, "q", "quit");
    for (unsigned i = 0; i < BINDINGS; i++) {
        const struct binding *b = &bindings[i];
        if (b->footer && (b->screens & screen_bit(v->screen)) && is_allowed(v, b))
            col = put_key(g, row, col, end - 1, b->name, b->footer);
    }
}

/* ---- moving -----------------------------------------------------------------------------------
 */

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
    if (v->screen == KL_SCREEN_ZOOM)
        return &m->log[v->selected];
    return v->screen == KL_SCREEN_EVENTS ? &m->events : NULL;
}

/* Logs count from the newest line upwards, lists from the first line downwards. */
static void scroll_by(struct kl_view *v, const struct kl_model *m, int lines_up)
{
    const struct kl_log *log = log_of(v, m);
    long limit = log                               ? (long)log->count
                 : v->screen == KL_SCREEN_IN_DOUBT ? (long)m->in_doubt_count
                                                   : 32;
    long to = (long)v->scroll + (log ? lines_up : -lines_up);

    if (to > limit - 1)
        to = limit - 1;
    v->scroll = to < 0 ? 0 : (unsigned)to;
}

static void move(struct kl_view *v, const struct kl_model *m, const struct layout *l, enum deed a,
                 int rows)
{
    int position = (int)position_of(l, v->selected);
    int page = rows - HEADER_ROWS - FOOTER_ROWS - 2;
    static const int lines[] = {[DO_UP] = 1, [DO_DOWN] = -1};
    bool bench = v->screen == KL_SCREEN_BENCH;

    if (page < 1)
        page = 1;
    switch (a) {
    case DO_UP:
    case DO_DOWN:
        if (bench)
            move_to(v, l, position - lines[a] * l->columns);
        else
            scroll_by(v, m, lines[a]);
        break;
    case DO_LEFT:
    case DO_RIGHT:
        move_to(v, l, position + (a == DO_RIGHT ? 1 : -1));
        break;
    case DO_PAGE_UP:
    case DO_PAGE_DOWN:
        if (bench)
            move_to(v, l, position + (a == DO_PAGE_DOWN ? 1 : -1) * (int)l->per_page);
        else
            scroll_by(v, m, a == DO_PAGE_UP ? page : -page);
        break;
    default:
        if (bench)
            move_to(v, l, a == DO_FIRST ? 0 : (int)l->count - 1);
        else if (log_of(v, m))
            scroll_by(v, m, a == DO_FIRST ? 1 << 20 : -(1 << 20));
        else
            v->scroll = 0;
    }
}

static void jump(struct kl_view *v, const struct kl_model *m, int digit)
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

/* From the line above the last one shown, upwards. */
static void search(struct kl_view *v, const struct kl_model *m)
{
    const struct kl_log *log = log_of(v, m);

    if (!log || !v->search[0])
        return;
    for (unsigned up = v->scroll + 1; up < log->count; up++) {
        if (strstr(kl_log_line(log, log->count - 1 - up), v->search)) {
            v->scroll = up;
            return;
        }
    }
    snprintf(v->message, sizeof v->message, "no further '%s' above", v->search);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static struct kl_want want(enum kl_command_kind command, unsigned slot)
{
    return (struct kl_want){.kind = KL_WANT_COMMAND, .command = {.kind = command, .slot = slot}};
}

static struct kl_want nothing(void)
{
    return (struct kl_want){.kind = KL_WANT_NOTHING};
}

static void ask(struct kl_view *v, enum kl_question q)
{
    v->question = q;
    v->typed[0] = '\0';
}

static void show(struct kl_view *v, enum kl_screen screen)
{
    v->screen = v->screen == screen ? KL_SCREEN_BENCH : screen;
    v->scroll = 0;
}

static struct kl_want skip(struct kl_view *v, const struct kl_model *m)
{
    enum kl_state s = m->snap.slot[v->selected].state;

    if (s == KL_ST_SENDING || s == KL_ST_CONFIRMING || s == KL_ST_RESERVING) {
        ask(v, KL_ASK_SKIP);
        return nothing();
    }
    return want(KL_CMD_SKIP, v->selected);
}

static void toggle_lock(struct kl_view *v)
{
    if (v->locked)
        ask(v, KL_ASK_UNLOCK);
    else if (v->phrase[0])
        v->locked = true;
    else
        snprintf(v->message, sizeof v->message, "start with --lock PHRASE to use the lock");
}

static void ask_to_remove(struct kl_view *v, const struct kl_model *m)
{
    if (v->selected < m->snap.slot_count && m->snap.slot[v->selected].network)
        ask(v, KL_ASK_REMOVE_PORT);
    else
        snprintf(v->message, sizeof v->message, "only a network port can be removed");
}

static struct kl_want act(struct kl_view *v, const struct kl_model *m, const struct layout *l,
                          enum deed a, int rows)
{
    switch (a) {
    case DO_ZOOM:
        show(v, KL_SCREEN_ZOOM);
        break;
    case DO_BACK:
        show(v, v->screen);
        break;
    case DO_RETRY:
        return want(KL_CMD_RETRY, v->selected);
    case DO_RETRY_FAILED:
        return want(KL_CMD_RETRY_FAILED, 0);
    case DO_SKIP:
        return skip(v, m);
    case DO_ERASE:
        ask(v, KL_ASK_ERASE);
        break;
    case DO_PAUSE:
        return want(m->snap.paused ? KL_CMD_RESUME : KL_CMD_PAUSE, 0);
    case DO_ADD_PORT:
        ask(v, KL_ASK_ADD_PORT);
        break;
    case DO_REMOVE_PORT:
        ask_to_remove(v, m);
        break;
    case DO_EVENTS:
        show(v, KL_SCREEN_EVENTS);
        break;
    case DO_UP_OR_IN_DOUBT:
        if (v->screen == KL_SCREEN_BENCH && (int)position_of(l, v->selected) < l->columns)
            show(v, KL_SCREEN_IN_DOUBT);
        else
            move(v, m, l, DO_UP, rows);
        break;
    case DO_IN_DOUBT:
        show(v, KL_SCREEN_IN_DOUBT);
        break;
    case DO_HELP:
        show(v, KL_SCREEN_HELP);
        break;
    case DO_ORDER:
        v->by_state = !v->by_state;
        break;
    case DO_COMPACT:
        v->compact = !v->compact;
        break;
    case DO_SEARCH:
        ask(v, KL_ASK_SEARCH);
        break;
    case DO_SEARCH_NEXT:
        search(v, m);
        break;
    case DO_LOCK:
        toggle_lock(v);
        break;
    case DO_REDRAW:
        return (struct kl_want){.kind = KL_WANT_REDRAW};
    case DO_QUIT:
        ask(v, KL_ASK_QUIT);
        break;
    default:
        move(v, m, l, a, rows);
    }
    return nothing();
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void type(struct kl_view *v, int key)
{
    size_t n = strlen(v->typed);

    if (key == KL_KEYCODE_BACKSPACE) {
        if (n > 0)
            v->typed[n - 1] = '\0';
    } else if (key >= 0x20 && key < 0x7f && n + 1 < sizeof v->typed) {
        v->typed[n] = (char)key;
        v->typed[n + 1] = '\0';
    }
}

static void typed(struct kl_view *v, const struct kl_model *m, enum kl_question q)
{
    if (q == KL_ASK_SEARCH) {
        memcpy(v->search, v->typed, sizeof v->search);
        search(v, m);
    } else if (strcmp(v->typed, v->phrase) == 0) {
        v->locked = false;
    } else {
        snprintf(v->message, sizeof v->message, "that is not the phrase");
    }
    kl_wipe(v->typed, sizeof v->typed);
}

/* host:port alone means RFC 2217. */
static struct kl_want add_port(const struct kl_view *v)
{
    struct kl_want w = want(KL_CMD_ADD_PORT, 0);

    if (!v->typed[0])
        return nothing();
    snprintf(w.command.argument, sizeof w.command.argument, "%s%s",
             strstr(v->typed, "://") ? "" : "rfc2217://", v->typed);
    return w;
}

static bool is_typed(enum kl_question q)
{
    return q == KL_ASK_SEARCH || q == KL_ASK_UNLOCK || q == KL_ASK_ADD_PORT;
}

static struct kl_want answer(struct kl_view *v, const struct kl_model *m, int key)
{
    enum kl_question q = v->question;

    if (is_typed(q) && key != KL_KEYCODE_ENTER && key != KL_KEYCODE_ESCAPE) {
        type(v, key);
        return nothing();
    }
    v->question = KL_ASK_NOTHING;
    if (key == KL_KEYCODE_ESCAPE)
        return nothing();
    switch (q) {
    case KL_ASK_SEARCH:
    case KL_ASK_UNLOCK:
        typed(v, m, q);
        break;
    case KL_ASK_ADD_PORT:
        return add_port(v);
    case KL_ASK_REMOVE_PORT:
        if (key == 'y')
            return want(KL_CMD_REMOVE_PORT, v->selected);
        break;
    case KL_ASK_ERASE:
        if (key == 'y')
            return want(KL_CMD_ERASE, v->selected);
        break;
    case KL_ASK_SKIP:
        if (key == 'y')
            return want(KL_CMD_SKIP, v->selected);
        break;
    case KL_ASK_QUIT:
        if (key == 'l' || key == KL_KEYCODE_ENTER)
            return (struct kl_want){.kind = KL_WANT_LEAVE};
        if (key == 's' && !v->read_only)
            return want(KL_CMD_STOP, 0);
        break;
    case KL_ASK_NOTHING:
        break;
    }
    return nothing();
}

bool kl_view_is_bound(const struct kl_view *v, int key)
{
    if (key >= '0' && key <= '9')
        return true;
    for (unsigned i = 0; i < BINDINGS; i++)
        if (bindings[i].screens & screen_bit(v->screen) && key != 0 &&
            (key == bindings[i].key || key == bindings[i].other))
            return true;
    return false;
}

struct kl_want kl_view_key(struct kl_view *v, const struct kl_model *m, int key, int rows, int cols)
{
    struct layout l;

    v->message[0] = '\0';
    if (v->question != KL_ASK_NOTHING)
        return answer(v, m, key);
    lay_out(&l, m, v, rows, cols);
    if (key >= '0' && key <= '9') {
        jump(v, m, key);
        return nothing();
    }
    v->number[0] = '\0';
    for (unsigned i = 0; i < BINDINGS; i++) {
        const struct binding *b = &bindings[i];
        if (!(b->screens & screen_bit(v->screen)) || key == 0 || (key != b->key && key != b->other))
            continue;
        if (is_allowed(v, b))
            return act(v, m, &l, b->deed, rows);
        snprintf(v->message, sizeof v->message, "%s",
                 v->read_only ? "read only: this dashboard can't command"
                              : "locked: only retry and skip (L unlocks)");
        return nothing();
    }
    return nothing();
}

void kl_view_follow(struct kl_view *v, const struct kl_model *m)
{
    if (v->selected >= m->snap.slot_count)
        v->selected = m->snap.slot_count ? m->snap.slot_count - 1 : 0;
}
