/*
 * pattern.c: extended regular expressions: a pattern becomes a short program, and all its threads
 * run over the text side by side (Thompson's way). See keyline/pattern.h.
 */
#include "keyline/pattern.h"

#include <string.h>

enum kind {
    STEP_BYTE,
    STEP_ANY,
    STEP_SET,
    STEP_BEGIN, /* ^ */
    STEP_END,   /* $ */
    STEP_JUMP,
    STEP_SPLIT, /* to the next step, and to the jump's */
    STEP_MATCH,
};

enum {
    COUNT_MAX = 255, /* in {m,n} */
    NEST_MAX = 24,   /* parentheses in parentheses */
    ENDLESS = COUNT_MAX + 1,
};

struct reader {
    struct kl_pattern *p;
    const char *text;
    size_t at;
    unsigned depth;
    const char *wrong; /* NULL = nothing so far */
    size_t wrong_at;
};

/* ---- what is wrong ---- */

static void refuse(struct reader *r, size_t at, const char *why)
{
    if (r->wrong)
        return;
    r->wrong = why;
    r->wrong_at = at;
}

static unsigned column_of(const char *text, size_t at)
{
    unsigned column = 1;

    for (size_t i = 0; i < at; i++)
        column += ((uint8_t)text[i] & 0xC0) != 0x80;
    return column;
}

/* ---- the program ---- */

static void emit(struct reader *r, enum kind kind, unsigned value, int jump)
{
    struct kl_pattern *p = r->p;

    if (p->steps == KL_PATTERN_STEPS_MAX) {
        refuse(r, r->at > 0 ? r->at - 1 : 0, "it is too large: its counts multiply");
        return;
    }
    p->step[p->steps++] = (struct kl_pattern_step){(uint8_t)kind, (uint8_t)value, (int16_t)jump};
}

/* Makes room for a split before the steps from `start` on. Jumps are relative, so they move
   along. */
static void insert_split(struct reader *r, unsigned start, int jump)
{
    struct kl_pattern *p = r->p;

    KL_ASSERT(start <= p->steps);
    emit(r, STEP_SPLIT, 0, jump);
    if (r->wrong)
        return;
    memmove(&p->step[start + 1], &p->step[start], (p->steps - 1 - start) * sizeof p->step[0]);
    p->step[start] = (struct kl_pattern_step){STEP_SPLIT, 0, (int16_t)jump};
}

/* ---- sets ---- */

static uint8_t *new_set(struct reader *r)
{
    struct kl_pattern *p = r->p;

    KL_ASSERT(p->sets < KL_PATTERN_SETS_MAX); /* each takes two bytes of the pattern */
    memset(p->set[p->sets], 0, sizeof p->set[0]);
    return p->set[p->sets++];
}

static void put(uint8_t *set, unsigned from, unsigned to)
{
    KL_ASSERT(to < 256);
    for (unsigned c = from; c <= to; c++)
        set[c / 8] |= (uint8_t)(1u << c % 8);
}

static void invert(uint8_t *set)
{
    for (unsigned i = 0; i < 32; i++)
        set[i] = (uint8_t)~set[i];
}

static bool put_class(uint8_t *set, const char *name, size_t size)
{
    static const struct {
        const char *name, *ranges; /* first and last of each */
    } classes[] = {
        {"alpha", "AZaz"},   {"digit", "09"},     {"alnum", "09AZaz"},
        {"upper", "AZ"},     {"lower", "az"},     {"xdigit", "09AFaf"},
        {"blank", "  \t\t"}, {"space", "\t\r  "}, {"punct", "!/:@[`{~"},
        {"print", " ~"},     {"graph", "!~"},     {"cntrl", "\x01\x1f\x7f\x7f"},
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strlen(classes[i].name) != size || memcmp(classes[i].name, name, size) != 0)
            continue;
        for (const char *range = classes[i].ranges; *range; range += 2)
            put(set, (uint8_t)range[0], (uint8_t)range[1]);
        return true;
    }
    return false;
}

/* "[:digit:]" within brackets. False: there is none here. */
static bool take_class(struct reader *r, uint8_t *set)
{
    const char *name = r->text + r->at + 2, *end;

    if (strncmp(r->text + r->at, "[.", 2) == 0 || strncmp(r->text + r->at, "[=", 2) == 0)
        refuse(r, r->at, "[. and [= within brackets are not taken");
    if (strncmp(r->text + r->at, "[:", 2) != 0)
        return false;
    end = strstr(name, ":]");
    if (!end || !put_class(set, name, (size_t)(end - name))) {
        refuse(r, r->at, "there is no such class: [[:alpha:]] [[:digit:]] [[:space:]] …");
        return true;
    }
    r->at = (size_t)(end + 2 - r->text);
    return true;
}

static void take_range(struct reader *r, uint8_t *set)
{
    const char *at = r->text + r->at;
    bool range = at[1] == '-' && at[2] != '\0' && at[2] != ']';
    unsigned first = (uint8_t)at[0], last = range ? (uint8_t)at[2] : first;

    if (last < first)
        refuse(r, r->at, "a range ends before it begins");
    else
        put(set, first, last);
    r->at += range ? 3 : 1;
}

/* "[…]"; a ] that comes first is one of the set. */
static void take_set(struct reader *r)
{
    size_t open = r->at++;
    bool inverse = r->text[r->at] == '^';
    uint8_t *set = new_set(r);

    r->at += inverse;
    for (bool first = true; first || r->text[r->at] != ']'; first = false) {
        if (r->text[r->at] == '\0') {
            refuse(r, open, "this [ has no ]");
            return;
        }
        if (!take_class(r, set))
            take_range(r, set);
        if (r->wrong)
            return;
    }
    r->at++;
    if (inverse)
        invert(set);
    emit(r, STEP_SET, r->p->sets - 1, 0);
}

/* ---- atoms ---- */

static bool is_in(char c, const char *all)
{
    return c != '\0' && strchr(all, c) != NULL;
}

/* What stands behind a backslash. */
static void take_escape(struct reader *r)
{
    char c = r->text[r->at + 1];

    if (c == '\0') {
        refuse(r, r->at, "a \\ at the end means nothing");
    } else if (c >= '1' && c <= '9') {
        refuse(r, r->at, "back-references are not taken: they may take for ever");
    } else if (is_in(c, "wWsS")) {
        uint8_t *set = new_set(r);
        put_class(set, is_in(c, "wW") ? "alnum" : "space", 5);
        if (is_in(c, "wW"))
            put(set, '_', '_');
        if (is_in(c, "WS"))
            invert(set);
        emit(r, STEP_SET, r->p->sets - 1, 0);
    } else if (c == 'd' || c == 'D') {
        refuse(r, r->at, "\\d is not taken: write [0-9]");
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_in(c, "0<>`'")) {
        refuse(r, r->at,
               "this \\ means nothing here: it takes its meaning from . [ ( ) * + ? { | ^ $ \\");
    } else {
        emit(r, STEP_BYTE, (uint8_t)c, 0);
    }
    r->at += 2;
}

static void take_alternatives(struct reader *r);

static void take_group(struct reader *r)
{
    size_t open = r->at++;

    if (++r->depth > NEST_MAX) {
        refuse(r, open, "too many parentheses in parentheses");
        return;
    }
    take_alternatives(r);
    r->depth--;
    if (r->text[r->at] != ')')
        refuse(r, open, "this ( has no )");
    else
        r->at++;
}

/* One piece without what says how often. False: that can't be repeated. */
static bool take_atom(struct reader *r)
{
    char c = r->text[r->at];

    switch (c) {
    case '(':
        take_group(r);
        return true;
    case '[':
        take_set(r);
        return true;
    case '\\':
        take_escape(r);
        return true;
    case '^':
    case '$':
        emit(r, c == '^' ? STEP_BEGIN : STEP_END, 0, 0);
        r->at++;
        return false;
    case '*':
    case '+':
    case '?':
        refuse(r, r->at, "nothing stands before it that it could repeat");
        return false;
    case '{':
        refuse(r, r->at, "a { that is no count is written \\{");
        return false;
    case ')':
        refuse(r, r->at, "this ) has no (; a ) by itself is written \\)");
        return false;
    default:
        emit(r, c == '.' ? STEP_ANY : STEP_BYTE, (uint8_t)c, 0);
        r->at++;
        return true;
    }
}

/* ---- how often ---- */

/* A number; -1 if there is none. */
static int take_number(struct reader *r)
{
    int n = -1;

    while (r->text[r->at] >= '0' && r->text[r->at] <= '9' && n <= COUNT_MAX)
        n = (n < 0 ? 0 : 10 * n) + (r->text[r->at++] - '0');
    return n;
}

/* "{m}", "{m,}", "{m,n}" */
static void take_count(struct reader *r, unsigned *least, unsigned *most)
{
    size_t open = r->at++;
    int from = take_number(r), to = from;

    if (r->text[r->at] == ',') {
        r->at++;
        to = r->text[r->at] == '}' ? ENDLESS : take_number(r);
    }
    *least = *most = 1;
    if (from < 0 || to < 0 || r->text[r->at] != '}') {
        refuse(r, open, "a count is {m}, {m,} or {m,n}; a { by itself is written \\{");
    } else if (from > COUNT_MAX || (to > COUNT_MAX && to != ENDLESS)) {
        refuse(r, open, "a count is 255 at most");
    } else if (to < from) {
        refuse(r, open, "a count ends before it begins");
    } else {
        *least = (unsigned)from;
        *most = (unsigned)to;
        r->at++;
    }
}

static bool take_how_often(struct reader *r, unsigned *least, unsigned *most)
{
    char c = r->text[r->at];

    if (!is_in(c, "*+?{"))
        return false;
    if (c == '{') {
        take_count(r, least, most);
        return true;
    }
    r->at++;
    *least = c == '+';
    *most = c == '?' ? 1 : ENDLESS;
    return true;
}

/* The steps from `start` on become so many of themselves. */
static void repeat(struct reader *r, unsigned start, unsigned least, unsigned most)
{
    struct kl_pattern_step once[KL_PATTERN_STEPS_MAX];
    struct kl_pattern *p = r->p;
    unsigned size = p->steps - start, copies = most == ENDLESS ? (least > 0 ? least : 1) : most;

    KL_ASSERT(start <= p->steps);
    memcpy(once, &p->step[start], size * sizeof once[0]);
    p->steps = start;
    for (unsigned i = 0; i < copies && !r->wrong; i++) {
        unsigned at = p->steps;
        for (unsigned k = 0; k < size; k++)
            emit(r, (enum kind)once[k].kind, once[k].value, once[k].jump);
        if (most == ENDLESS && i + 1 == copies)
            emit(r, STEP_SPLIT, 0, -(int)size);
        if (i >= least)
            insert_split(r, at, (int)(p->steps - at + 1));
    }
}

static void take_piece(struct reader *r)
{
    unsigned start = r->p->steps, least, most;
    bool repeats = take_atom(r);
    size_t at = r->at;

    while (!r->wrong && take_how_often(r, &least, &most)) {
        if (!repeats)
            refuse(r, at, "^ and $ can't be repeated");
        else if (!r->wrong)
            repeat(r, start, least, most);
        at = r->at;
    }
}

static void take_branch(struct reader *r)
{
    while (!r->wrong && r->text[r->at] != '\0' && r->text[r->at] != '|' &&
           !(r->text[r->at] == ')' && r->depth > 0))
        take_piece(r);
}

static void take_alternatives(struct reader *r)
{
    unsigned start = r->p->steps, jump;

    take_branch(r);
    if (r->wrong || r->text[r->at] != '|')
        return;
    r->at++;
    insert_split(r, start, (int)(r->p->steps - start + 2));
    jump = r->p->steps;
    emit(r, STEP_JUMP, 0, 0);
    if (r->wrong)
        return;
    take_alternatives(r);
    r->p->step[jump].jump = (int16_t)(r->p->steps - jump);
}

bool kl_pattern_compile(struct kl_pattern *p, const char *text, char error[KL_TEXT_MAX])
{
    struct reader r = {.p = p, .text = text};

    p->steps = p->sets = 0;
    if (strlen(text) > KL_PATTERN_TEXT_MAX) {
        kl_format(error, KL_TEXT_MAX, "it is longer than %d bytes", (int)KL_PATTERN_TEXT_MAX);
        return false;
    }
    take_alternatives(&r);
    emit(&r, STEP_MATCH, 0, 0);
    if (!r.wrong)
        return true;
    kl_format(error, KL_TEXT_MAX, "column %u: %s", column_of(text, r.wrong_at), r.wrong);
    return false;
}

/* ---- matching ---- */

/* Steps that wait for the next byte, each once. */
struct threads {
    uint16_t at[KL_PATTERN_STEPS_MAX];
    unsigned count;
    uint32_t seen[KL_PATTERN_STEPS_MAX / 32];
};

static bool is_new(struct threads *t, unsigned at)
{
    uint32_t bit = 1u << at % 32;
    bool fresh = !(t->seen[at / 32] & bit);

    t->seen[at / 32] |= bit;
    return fresh;
}

/* Follows all steps that take no byte, from the first on. True: the pattern has matched. */
static bool follow(const struct kl_pattern *p, struct threads *t, unsigned first, bool begin,
                   bool end)
{
    uint16_t open[KL_PATTERN_STEPS_MAX + 1];
    unsigned count = 0;

    if (is_new(t, first))
        open[count++] = (uint16_t)first;
    while (count > 0) {
        KL_ASSERT(count <= KL_PATTERN_STEPS_MAX && t->count <= KL_PATTERN_STEPS_MAX);
        unsigned at = open[--count];
        const struct kl_pattern_step *s = &p->step[at];
        unsigned target = (unsigned)((int)at + s->jump);
        bool on = s->kind == STEP_SPLIT || (s->kind == STEP_BEGIN && begin) ||
                  (s->kind == STEP_END && end);
        if (s->kind == STEP_MATCH)
            return true;
        if (s->kind <= STEP_SET)
            t->at[t->count++] = (uint16_t)at;
        if ((s->kind == STEP_SPLIT || s->kind == STEP_JUMP) && is_new(t, target))
            open[count++] = (uint16_t)target;
        if (on && is_new(t, at + 1))
            open[count++] = (uint16_t)(at + 1);
    }
    return false;
}

static bool takes(const struct kl_pattern *p, const struct kl_pattern_step *s, uint8_t byte)
{
    if (s->kind == STEP_SET)
        return p->set[s->value][byte / 8] >> byte % 8 & 1;
    return s->kind == STEP_ANY || s->value == byte;
}

static void clear(struct threads *t)
{
    t->count = 0;
    memset(t->seen, 0, sizeof t->seen);
}

bool kl_pattern_match(const struct kl_pattern *p, const char *text, size_t size)
{
    struct threads lanes[2], *now = &lanes[0], *next = &lanes[1];

    KL_ASSERT(p->steps > 0 && p->steps <= KL_PATTERN_STEPS_MAX);
    clear(now);
    for (size_t i = 0;; i++) {
        if (follow(p, now, 0, i == 0, i == size))
            return true;
        if (i == size)
            return false;
        clear(next);
        for (unsigned k = 0; k < now->count; k++) {
            const struct kl_pattern_step *s = &p->step[now->at[k]];
            if (takes(p, s, (uint8_t)text[i]) &&
                follow(p, next, now->at[k] + 1u, false, i + 1 == size))
                return true;
        }
        struct threads *old = now;
        now = next;
        next = old;
    }
}
