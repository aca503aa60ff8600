/*
 * view_ask.c: questions. The operator confirms what destroys something by typing the slot's number;
 * no single key is an answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "view_draw.h"

struct kl_want view_command(enum kl_command_kind kind, unsigned slot)
{
    return (struct kl_want){.kind = KL_WANT_COMMAND, .command = {.kind = kind, .slot = slot}};
}

static struct kl_want nothing(void)
{
    return (struct kl_want){.kind = KL_WANT_NOTHING};
}

void view_ask(struct kl_view *v, const struct kl_model *m, enum kl_question question)
{
    v->asked = (struct kl_asked){
        .question = question,
        .slot = v->selected,
        .mac = m->snap.slot[v->selected].identity.mac,
        .stood_since = KL_NEVER,
    };
    if (question == KL_ASK_RELEASE && v->chosen < m->in_doubt_count)
        v->asked.fingerprint = m->in_doubt[v->chosen].fingerprint;
    if (question == KL_ASK_ACCEPT) {
        kl_copy(v->asked.id, sizeof v->asked.id, m->snap.question);
        kl_copy(v->asked.text, sizeof v->asked.text, m->snap.asks);
    }
    v->typed[0] = '\0';
}

bool kl_view_asks(const struct kl_view *v)
{
    return v->asked.question != KL_ASK_NOTHING && v->asked.question != KL_ASK_SEARCH &&
           v->asked.question != KL_ASK_FILTER;
}

void kl_view_is_on_screen(struct kl_view *v)
{
    if (v->asked.question != KL_ASK_NOTHING && v->asked.stood_since == KL_NEVER)
        v->asked.stood_since = v->now;
}

/* ---- what is typed ---- */

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

/* A field for text takes pasted text; a question never takes it for an answer. */
static void paste(struct kl_view *v, const struct kl_input_event *e)
{
    enum kl_question q = v->asked.question;

    if (q == KL_ASK_SEARCH || q == KL_ASK_FILTER || q == KL_ASK_UNLOCK || q == KL_ASK_ADD_PORT ||
        q == KL_ASK_RELEASE || q == KL_ASK_BIND)
        for (const char *c = e->text; *c; c++)
            type(v, *c);
    else
        kl_view_say(v, KL_MESSAGE_FOR, "pasted text is no answer");
}

/* ---- answers ---- */

/* host:port alone means RFC 2217. */
static struct kl_want add_port(const struct kl_view *v)
{
    struct kl_want w = view_command(KL_CMD_ADD_PORT, 0);

    if (!v->typed[0])
        return nothing();
    snprintf(w.command.argument, sizeof w.command.argument, "%s%s",
             strstr(v->typed, "://") ? "" : "rfc2217://", v->typed);
    return w;
}

static struct kl_want leave_or_stop(struct kl_view *v)
{
    if (v->typed[0] == '\0')
        return (struct kl_want){.kind = KL_WANT_LEAVE};
    if (strcmp(v->typed, "stop") != 0 || v->read_only) {
        kl_view_say(v, KL_MESSAGE_FOR, "neither left nor stopped: type nothing, or stop");
        return nothing();
    }
    return view_command(KL_CMD_STOP, 0);
}

/* Commands only if the number is right and the board that the question named is still there. */
static struct kl_want confirmed(struct kl_view *v, const struct kl_model *m)
{
    static const enum kl_command_kind kinds[] = {[KL_ASK_ERASE] = KL_CMD_ERASE,
                                                 [KL_ASK_SKIP] = KL_CMD_SKIP,
                                                 [KL_ASK_REMOVE_PORT] = KL_CMD_REMOVE_PORT};
    const struct kl_asked *a = &v->asked;
    char *end, text[KL_TEXT_MAX];
    unsigned long number = strtoul(v->typed, &end, 10);

    if (*end || number != a->slot + 1ul) {
        snprintf(text, sizeof text, "nothing done: that was not %u", a->slot + 1);
        kl_view_say(v, KL_MESSAGE_FOR, text);
        return nothing();
    }
    if (a->question != KL_ASK_REMOVE_PORT &&
        !kl_mac_equal(&a->mac, &m->snap.slot[a->slot].identity.mac)) {
        kl_view_say(v, KL_MESSAGE_FOR, "nothing done: another board is there now");
        return nothing();
    }
    return view_command(kinds[a->question], a->slot);
}

static struct kl_want release(struct kl_view *v, const struct kl_model *m)
{
    struct kl_want w = view_command(KL_CMD_RELEASE, 0);

    if (v->chosen >= m->in_doubt_count || strspn(v->typed, " ") == strlen(v->typed)) {
        kl_view_say(v, KL_MESSAGE_FOR, "not released: a reason is needed");
        return nothing();
    }
    w.command.fingerprint = v->asked.fingerprint;
    kl_copy(w.command.argument, sizeof w.command.argument, v->typed);
    return w;
}

/* The station decides whether the label can be this board's. */
static struct kl_want bind(struct kl_view *v, const struct kl_model *m)
{
    struct kl_want w = view_command(KL_CMD_BIND, v->asked.slot);

    if (!v->typed[0])
        return nothing();
    if (!kl_mac_equal(&v->asked.mac, &m->snap.slot[v->asked.slot].identity.mac)) {
        kl_view_say(v, KL_MESSAGE_FOR, "not bound: another board is there now");
        return nothing();
    }
    kl_copy(w.command.argument, sizeof w.command.argument, v->typed);
    return w;
}

/* The station refuses it if the list has changed since the question was put. */
static struct kl_want accept_list(struct kl_view *v)
{
    struct kl_want w = view_command(KL_CMD_ACCEPT, 0);

    if (strcmp(v->typed, "yes") != 0) {
        kl_view_say(v, KL_MESSAGE_FOR, "nothing done: that was not yes");
        return nothing();
    }
    kl_copy(w.command.argument, sizeof w.command.argument, v->asked.id);
    return w;
}

static struct kl_want take(struct kl_view *v, const struct kl_model *m)
{
    struct kl_want w = nothing();

    switch (v->asked.question) {
    case KL_ASK_ERASE:
    case KL_ASK_SKIP:
    case KL_ASK_REMOVE_PORT:
        w = confirmed(v, m);
        break;
    case KL_ASK_QUIT:
        w = leave_or_stop(v);
        break;
    case KL_ASK_ADD_PORT:
        w = add_port(v);
        break;
    case KL_ASK_SEARCH:
        kl_copy(v->search, sizeof v->search, v->typed);
        view_search(v, m, true);
        break;
    case KL_ASK_FILTER:
        kl_copy(v->filter, sizeof v->filter, v->typed);
        break;
    case KL_ASK_RELEASE:
        w = release(v, m);
        break;
    case KL_ASK_BIND:
        w = bind(v, m);
        break;
    case KL_ASK_ACCEPT:
        w = accept_list(v);
        break;
    case KL_ASK_UNLOCK:
        v->locked = strcmp(v->typed, v->phrase) != 0;
        if (v->locked)
            kl_view_say(v, KL_MESSAGE_FOR, "that is not the phrase");
        break;
    case KL_ASK_NOTHING:
        break;
    }
    kl_wipe(v->typed, sizeof v->typed);
    v->asked.question = KL_ASK_NOTHING;
    return w;
}

/* One whole line, as a scanner types it. No other input may come that fast. */
static bool is_scanned(const struct kl_view *v, const struct kl_input_event *e)
{
    return v->asked.question == KL_ASK_BIND && !e->bracketed && e->ends_line && e->line_ends == 1 &&
           e->whole;
}

struct kl_want view_answer(struct kl_view *v, const struct kl_model *m,
                           const struct kl_input_event *e)
{
    kl_us stood = v->asked.stood_since;
    bool early = stood == KL_NEVER || e->at < stood + KL_ANSWER_AFTER;

    if (e->kind == KL_INPUT_PASTE) {
        paste(v, e);
        if (is_scanned(v, e) && !early)
            return take(v, m);
    }
    if (e->kind != KL_INPUT_KEY || (early && kl_view_asks(v)))
        return nothing();
    if (e->key == KL_KEYCODE_ESCAPE) {
        kl_wipe(v->typed, sizeof v->typed);
        v->asked.question = KL_ASK_NOTHING;
        return nothing();
    }
    if (e->key == KL_KEYCODE_ENTER)
        return take(v, m);
    type(v, e->key);
    return nothing();
}

/* ---- what is asked ---- */

static void words_about_slot(const struct kl_model *m, const struct kl_view *v, char *text,
                             size_t size)
{
    static const char *const asks[][2] = {
        [KL_ASK_ERASE] = {"Erase all flash of the board in",
                          "and start again? It gets its own key again."},
        [KL_ASK_SKIP] = {"Skip the board in",
                         "? It is being given a key: the key stays reserved for it."},
        [KL_ASK_REMOVE_PORT] = {"Remove the network port in", "? What runs there is broken off."},
    };
    const char *const *ask = asks[v->asked.question];
    unsigned slot = v->asked.slot;

    snprintf(text, size, "%s %u %s%s%s", ask[0], slot + 1, m->snap.slot[slot].name,
             ask[1][0] == '?' ? "" : " ", ask[1]);
}

static void question_words(const struct kl_model *m, const struct kl_view *v, char *text,
                           size_t size, char *answers, size_t answers_size)
{
    const char *fixed = "Enter does it    Esc no";

    switch (v->asked.question) {
    case KL_ASK_ERASE:
    case KL_ASK_SKIP:
    case KL_ASK_REMOVE_PORT:
        words_about_slot(m, v, text, size);
        snprintf(answers, answers_size, "Esc no    yes: type %u and Enter: %.120s_",
                 v->asked.slot + 1, v->typed);
        return;
    case KL_ASK_QUIT:
        snprintf(text, size, "%s",
                 v->read_only ? "Leave the dashboard? The station goes on."
                              : "Leave the dashboard? The station goes on. To stop it too, type "
                                "stop first.");
        snprintf(answers, answers_size, "Enter leave it running    Esc stay    %.120s_", v->typed);
        return;
    case KL_ASK_SEARCH:
        snprintf(text, size, "Search: %.120s_", v->typed);
        break;
    case KL_ASK_FILTER:
        snprintf(text, size, "Show only boards with (slot, MAC, label, state, reason): %.120s_",
                 v->typed);
        break;
    case KL_ASK_RELEASE:
        snprintf(text, size,
                 "Release key %.40s? Only if its board is lost for good: another board gets it. "
                 "Why: %.160s_",
                 v->chosen < m->in_doubt_count ? m->in_doubt[v->chosen].label : "", v->typed);
        break;
    case KL_ASK_BIND:
        snprintf(text, size,
                 "The board in %u %.40s gets the key with this label (scan it): %.160s_",
                 v->asked.slot + 1, m->snap.slot[v->asked.slot].name, v->typed);
        break;
    case KL_ASK_ACCEPT:
        snprintf(text, size, "%s", v->asked.text);
        snprintf(answers, answers_size,
                 "Is it right as it is?  Esc no    yes: type yes and Enter: %.120s_", v->typed);
        return;
    case KL_ASK_UNLOCK:
        snprintf(text, size, "Unlock: %.*s_", (int)strlen(v->typed),
                 "*******************************************************************************");
        break;
    case KL_ASK_ADD_PORT:
        snprintf(text, size, "Network port (host:port): %.160s_", v->typed);
        break;
    case KL_ASK_NOTHING:
        text[0] = '\0';
    }
    snprintf(answers, answers_size, "%s", fixed);
}

void draw_question(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    char text[512], answers[256];
    int cols = g->cols < 66 ? g->cols : 66;
    int wanted = v->asked.question == KL_ASK_ACCEPT ? 11 : 8;
    int rows = g->rows < wanted ? g->rows : wanted;
    int row = (g->rows - rows) / 2, col = (g->cols - cols) / 2, used;

    question_words(m, v, text, sizeof text, answers, sizeof answers);
    kl_grid_fill(g, row, col, rows, cols, KL_STYLE_PLAIN);
    draw_box(g, row, col, rows, cols, KL_STYLE_SELECTED, glyphs_of(v), true);
    used = draw_wrapped(g, row + 1, col + 2, rows - 4, cols - 4, KL_STYLE_STRONG, text);
    draw_wrapped(g, row + 1 + used, col + 2, rows - 2 - used, cols - 4, KL_STYLE_PLAIN, answers);
}
