/*
 * view_header.c: the three lines above everything: what is flashed, what is left, how it goes.
 * Where room is short, the parts that matter least are left out first, as a whole.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

/* ---- parts of a line ---- */

enum {
    PARTS_MAX = 16
};

struct part {
    enum kl_style style;
    bool must; /* gets its room before those that need not be there */
    char text[KL_TEXT_MAX];
};

struct parts {
    struct part part[PARTS_MAX];
    unsigned count;
};

static void add(struct parts *p, enum kl_style style, const char *text)
{
    KL_ASSERT(p->count < PARTS_MAX);
    if (!text[0])
        return;
    p->part[p->count] = (struct part){.style = style};
    kl_copy(p->part[p->count++].text, KL_TEXT_MAX, text);
}

/* The part added last must be there. */
static void must(struct parts *p)
{
    KL_ASSERT(p->count > 0);
    p->part[p->count - 1].must = true;
}

/* The columns that the parts from `i` on take that must be there. */
static int least_width(const struct parts *p, unsigned i)
{
    int width = 0;

    for (; i < p->count; i++)
        if (p->part[i].must)
            width += kl_text_width(p->part[i].text) + 2;
    return width;
}

static void add_number(struct parts *p, enum kl_style style, const char *format, unsigned n)
{
    char text[64], *at = strchr(format, '#');

    snprintf(text, sizeof text, "%.*s%u%s", (int)(at - format), format, n, at + 1);
    add(p, style, text);
}

/* Writes parts from the left, as many as fit as a whole: those that must be there, and of the
   others the first; returns the column behind the last. */
static int put_parts(struct kl_grid *g, int row, int col, int end, const struct parts *p)
{
    bool full = false;

    for (unsigned i = 0; i < p->count; i++) {
        int width = kl_text_width(p->part[i].text);
        int behind = p->part[i].must ? 0 : least_width(p, i + 1);
        if ((full && !p->part[i].must) || col + width + behind > end) {
            full = true;
            continue;
        }
        col += kl_grid_text(g, row, col, width, p->part[i].style, p->part[i].text) + 2;
    }
    return col;
}

/* ---- what is flashed ---- */

static void build_words(const struct kl_model *m, struct parts *p)
{
    char text[KL_TEXT_MAX];

    if (m->project[0])
        snprintf(text, sizeof text, "%s %s", m->project, m->version);
    else
        snprintf(text, sizeof text, "%s", m->firmware);
    add(p, KL_STYLE_BAR, text);
    if (m->build_stale)
        add(p, KL_STYLE_WARN, " NOT the file on disk ");
    snprintf(text, sizeof text, "%s", m->digest);
    add(p, KL_STYLE_BAR, text);
    snprintf(text, sizeof text, "%s%s", m->since[0] ? "since " : "", m->since);
    add(p, KL_STYLE_BAR, text);
    snprintf(text, sizeof text, "%s%s", m->chip[0] ? "for " : "", m->chip);
    add(p, KL_STYLE_BAR, text);
    if (m->project[0])
        add(p, KL_STYLE_BAR, m->firmware);
    add(p, KL_STYLE_BAR, "keyline");
}

/* Where the keys come from: the CSV, or a shared pool and what it calls this station. */
static const char *source_of(const struct kl_model *m, char out[2 * KL_NAME_MAX + 16])
{
    const struct kl_fleet_view *f = &m->snap.fleet;

    if (!f->there)
        return m->csv;
    snprintf(out, 2 * KL_NAME_MAX + 16, "pool %s as %s", f->name, f->station);
    return out;
}

const char *volatile_word(int cols)
{
    return cols >= 100 ? " VOLATILE: a demonstration, its keys are forgotten " : " VOLATILE ";
}

/* Stands before everything else, at any size. Returns the column behind it. */
static int draw_volatile(const struct kl_model *m, struct kl_grid *g)
{
    const char *word = volatile_word(g->cols);

    if (!m->snap.forgets)
        return 1;
    return 3 + kl_grid_text(g, 0, 1, kl_text_width(word), KL_STYLE_WARN, word);
}

static void draw_title(const struct kl_model *m, struct kl_grid *g)
{
    char source[2 * KL_NAME_MAX + 16];
    const char *right = m->connected ? source_of(m, source) : "STATION NOT REACHED, trying again";
    int end = g->cols - 1, width = kl_text_width(right), begin;
    int room = g->cols / 2;
    struct parts p = {0};

    kl_grid_fill(g, 0, 0, 1, g->cols, KL_STYLE_BAR);
    begin = draw_volatile(m, g);
    build_words(m, &p);
    if (m->build_stale && m->connected) /* what is flashed matters more than the list's name */
        room = g->cols - kl_text_width(p.part[0].text) - kl_text_width(p.part[1].text) - 4 - begin;
    if (room > g->cols - 2 - begin)
        room = g->cols - 2 - begin;
    if (width <= room)
        end = kl_grid_text_right(g, 0, g->cols - 1, width, KL_STYLE_BAR, right) - 2;
    put_parts(g, 0, begin, end, &p);
}

/* ---- what is left, and what is there now ---- */

struct there { /* boards, by what they are now */
    unsigned fail, pass, busy, empty;
};

static void count(struct there *t, const struct kl_slot_view *s)
{
    if (s->state == KL_ST_FAILED && s->retry_at == KL_NEVER)
        t->fail++;
    else if (s->state == KL_ST_DONE)
        t->pass++;
    else if (s->state == KL_ST_EMPTY || s->state == KL_ST_CLOSING || s->state == KL_ST_SKIPPED)
        t->empty += s->state != KL_ST_SKIPPED;
    else
        t->busy++;
}

static void add_there(struct parts *p, const struct there *t)
{
    if (t->fail) {
        add_number(p, KL_STYLE_FAIL, "FAIL #", t->fail);
        must(p);
    }
    if (t->pass)
        add_number(p, KL_STYLE_PASS, "PASS #", t->pass);
    if (t->busy)
        add_number(p, KL_STYLE_BUSY, "busy #", t->busy);
}

/* "page 2/5", and what is on the other pages, in at most `room` columns. */
static int draw_pages(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g,
                      int room)
{
    struct layout l;
    struct there t = {0};
    struct parts p = {0};
    char text[64];
    int width = 0, end = g->cols;

    lay_out(&l, m, v, g->rows, g->cols);
    if (v->screen != KL_SCREEN_BENCH || l.pages <= 1)
        return end;
    for (unsigned i = 0; i < l.count; i++)
        if (i / l.per_page != l.page)
            count(&t, &m->snap.slot[l.order[i]]);
    snprintf(text, sizeof text, "page %u/%u, elsewhere:", l.page + 1, l.pages);
    add(&p, KL_STYLE_STRONG, text);
    add_there(&p, &t);
    if (p.count == 1)
        snprintf(p.part[0].text, sizeof text, "page %u/%u", l.page + 1, l.pages);
    for (unsigned i = 0; i < p.count; i++)
        width += kl_text_width(p.part[i].text) + (i > 0 ? 2 : 0);
    if (width > room)
        width = room;
    if (p.count > 1 && kl_text_width(text) + 2 + kl_text_width(p.part[1].text) > width) {
        p.count = 1; /* nothing can be counted there: what fails on all pages matters more */
        snprintf(p.part[0].text, sizeof text, "page %u/%u", l.page + 1, l.pages);
        width = kl_text_width(p.part[0].text);
    }
    if (width > room)
        return end;
    put_parts(g, 1, end - width, end, &p);
    return end - width - 2;
}

const char *order_word(enum kl_order order)
{
    static const char *const words[] = {"slot", "need", "age", "fails"};

    return words[order];
}

/* What a shared pool still has, and what it has not heard yet. */
static void add_pool(struct parts *p, const struct kl_fleet_view *f)
{
    char text[64];

    if (!f->there)
        return;
    if (f->left >= 0) {
        snprintf(text, sizeof text, "pool %lld free%s", (long long)f->left,
                 f->online ? "" : ", as last heard");
        add(p, KL_STYLE_PLAIN, text);
    }
    if (f->unsent > 0) {
        snprintf(text, sizeof text, "%lld results unsent", (long long)f->unsent);
        add(p, f->online ? KL_STYLE_DIM : KL_STYLE_WAIT, text);
    }
    if (f->unchecked > 0)
        add_number(p, KL_STYLE_WARN, "# boards unchecked", f->unchecked);
}

/* The keys left, in words that leave room for the boards that failed. */
static void add_keys(struct parts *p, const struct kl_snapshot *s, unsigned failed, int cols)
{
    const char *words[] = {s->fleet.there ? " LEASED KEYS LEFT #" : " KEYS LEFT #", " KEYS #", "#"};
    struct parts there = {0};

    add_there(&there, &(struct there){.fail = failed});
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        p->count = 0;
        add_number(p, s->few_keys ? KL_STYLE_WARN : KL_STYLE_STRONG, words[i], s->keys.free);
        must(p);
        if (least_width(p, 0) + least_width(&there, 0) - 2 <= cols)
            break;
    }
}

static void draw_counts(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    const struct kl_snapshot *s = &m->snap;
    char text[96];
    struct there t = {0};
    struct parts p = {0};

    for (unsigned i = 0; i < s->slot_count; i++)
        count(&t, &s->slot[i]);
    add_keys(&p, s, t.fail, g->cols);
    add_pool(&p, &s->fleet);
    add_there(&p, &t);
    if (s->keys.in_doubt) {
        add_number(&p, KL_STYLE_WAIT, "in doubt # (K)", s->keys.in_doubt);
        must(&p);
    }
    if (v->filter[0]) {
        snprintf(text, sizeof text, "filter: %s", v->filter);
        add(&p, KL_STYLE_WARN, text);
    }
    if (v->order != KL_ORDER_SLOT) {
        snprintf(text, sizeof text, "by %s", order_word(v->order));
        add(&p, KL_STYLE_DIM, text);
    }
    if (t.empty)
        add_number(&p, KL_STYLE_DIM, "empty #", t.empty);
    put_parts(g, 1, 0, draw_pages(m, v, g, g->cols - least_width(&p, 0)), &p);
}

/* All boards since the station began, each counted once, and the rate. */
static void draw_totals(const struct kl_model *m, struct kl_grid *g, int col)
{
    const struct kl_stats_view *f = &m->stats;
    struct parts p = {0};
    char text[64], time[24];

    add_number(&p, KL_STYLE_STRONG, "in total: done #", f->done);
    add_number(&p, f->failed ? KL_STYLE_WAIT : KL_STYLE_PLAIN, "failed #", f->failed);
    if (f->done + f->failed)
        add_number(&p, KL_STYLE_PLAIN, "first pass #%",
                   100 * f->first_pass / (f->done + f->failed));
    if (f->boards_per_hour) {
        add_number(&p, KL_STYLE_PLAIN, "#/h", f->boards_per_hour);
        format_time(time, (kl_us)m->snap.keys.free * KL_SEC(3600) / f->boards_per_hour);
        snprintf(text, sizeof text, "keys for %s", time);
        add(&p, KL_STYLE_PLAIN, m->snap.keys.free && !m->snap.fleet.there ? text : "");
    }
    put_parts(g, 2, col, g->cols, &p);
}

static const char *warning_of(const struct kl_model *m)
{
    const struct kl_snapshot *s = &m->snap;

    if (!m->connected)
        return "the station can't be reached; what runs goes on";
    if (s->fleet.alarms > 0)
        return s->fleet.alarm;
    if (s->stopping)
        return "stopping: boards that are being given a key finish first";
    if (s->question[0])
        return s->asks;
    if (s->store_trouble && !s->warning[0])
        return "the ledger can't be written: boards wait; free disk space or mount it writable";
    if (s->warning[0])
        return s->warning;
    if (s->fleet.trouble[0])
        return s->fleet.trouble;
    if (s->paused)
        return "paused: nothing new is started (P: go on)";
    if (s->kept_back[0] && (s->keys.conflicts > 0 || s->keys.twins > 0 || s->keys.free == 0))
        return s->kept_back;
    if (s->few_keys && s->fleet.there)
        return "few keys left, here and in the pool: its owner has to import more";
    if (s->few_keys && s->keys.free == 0)
        return "no keys left: add rows to the CSV, boards go on by themselves";
    if (s->few_keys)
        return "few keys left: add rows to the CSV";
    return "";
}

void draw_header(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g)
{
    static const char answer[] = " ANSWER (a) ";
    const char *warning = warning_of(m);
    int width = warning[0] ? kl_text_width(warning) + 2 : 0;
    int begin = 0;

    draw_title(m, g);
    draw_counts(m, v, g);
    if (m->snap.question[0] && m->connected)
        begin = kl_grid_text(g, 2, 0, kl_text_width(answer), KL_STYLE_FAIL, answer);
    if (warning[0]) {
        enum kl_style style =
            m->connected && m->snap.fleet.alarms > 0 ? KL_STYLE_FAIL : KL_STYLE_WARN;
        kl_grid_fill(g, 2, begin, 1, width, style);
        kl_grid_text(g, 2, begin + 1, width - 1, style, warning);
    }
    draw_totals(m, g, begin + width + 1);
}
