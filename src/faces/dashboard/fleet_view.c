#include "fleet_view.h"

#include <stdio.h>
#include <string.h>

#include "input.h"

/* ---- what the answers say ---- */

static const json_t *at(const json_t *o, const char *name)
{
    return json_object_get(o, name);
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(at(o, name));

    return text ? text : "";
}

static long long number_of(const json_t *o, const char *name)
{
    return (long long)json_number_value(at(o, name));
}

static bool is_online(const json_t *station)
{
    return strcmp(text_of(station, "state"), "active") == 0 &&
           json_is_number(at(station, "silent_s")) &&
           number_of(station, "silent_s") < FLEET_SILENT_S;
}

/* "12 s", "5 min", "3 h", "9 d" */
static void span_text(long long seconds, char *out, size_t size)
{
    if (seconds < 100)
        snprintf(out, size, "%lld s", seconds);
    else if (seconds < 6000)
        snprintf(out, size, "%lld min", seconds / 60);
    else if (seconds < 100 * 3600)
        snprintf(out, size, "%lld h", seconds / 3600);
    else
        snprintf(out, size, "%lld d", seconds / 86400);
}

static void seen_text(const json_t *station, char *out, size_t size)
{
    char span[32];

    if (strcmp(text_of(station, "state"), "active") != 0) {
        snprintf(out, size, "LOST");
    } else if (is_online(station)) {
        snprintf(out, size, "on-line");
    } else if (!json_is_number(at(station, "silent_s"))) {
        snprintf(out, size, "never");
    } else {
        span_text(number_of(station, "silent_s"), span, sizeof span);
        snprintf(out, size, "away %s", span);
    }
}

/* How old the oldest result was that the station had not sent at its last sign of life. */
static void unsent_text(const json_t *station, char *out, size_t size)
{
    const json_t *status = at(station, "status");
    long long unsent = number_of(status, "unsent");
    char span[32];

    out[0] = '\0';
    if (unsent == 0)
        return;
    span_text(number_of(status, "oldest_unsent_s") + number_of(station, "silent_s"), span,
              sizeof span);
    snprintf(out, size, "%lld, %s", unsent, span);
}

static void build_text(const json_t *status, char *out, size_t size)
{
    snprintf(out, size, "%.8s %s %s", text_of(status, "build"), text_of(status, "project"),
             text_of(status, "project_version"));
}

/* ---- the table ---- */

enum {
    COLUMNS = 12,
};

static const struct {
    const char *head;
    int width;
    bool left;
} columns[COLUMNS] = {
    {"station", 16, true}, {"seen", 11, true},   {"slots", 6, false},   {"busy", 5, false},
    {"done", 8, false},    {"failed", 7, false}, {"yield", 6, false},   {"per h", 6, false},
    {"leased", 7, false},  {"alarms", 7, false}, {"unsent", 14, false}, {"build", 30, true},
};

static void cells_of(const json_t *station, char cell[COLUMNS][64])
{
    const json_t *status = at(station, "status"), *slots = at(status, "slots");
    long long done = number_of(station, "provisioned"), failed = number_of(station, "failed");

    memset(cell, 0, sizeof(char[COLUMNS][64]));
    snprintf(cell[0], 64, "%s", text_of(station, "name"));
    seen_text(station, cell[1], 64);
    if (slots) {
        snprintf(cell[2], 64, "%lld", number_of(slots, "all"));
        snprintf(cell[3], 64, "%lld", is_online(station) ? number_of(slots, "busy") : 0);
    }
    snprintf(cell[4], 64, "%lld", done);
    snprintf(cell[5], 64, "%lld", failed);
    if (done + failed > 0)
        snprintf(cell[6], 64, "%lld%%", 100 * done / (done + failed));
    snprintf(cell[7], 64, "%lld", number_of(station, "per_hour"));
    snprintf(cell[8], 64, "%lld", number_of(station, "leased"));
    snprintf(cell[9], 64, "%lld", number_of(station, "alarms"));
    unsent_text(station, cell[10], 64);
    build_text(status, cell[11], 64);
}

static enum kl_style style_of(const json_t *station)
{
    if (number_of(station, "alarms") > 0 || strcmp(text_of(station, "state"), "active") != 0)
        return KL_STYLE_WARN;
    return is_online(station) ? KL_STYLE_PLAIN : KL_STYLE_DIM;
}

static void draw_row(struct kl_grid *g, int row, const char *const cell[COLUMNS],
                     enum kl_style style)
{
    int col = 1;

    for (int i = 0; i < COLUMNS && col < g->cols; i++) {
        int width = columns[i].width < g->cols - col ? columns[i].width : g->cols - col;
        if (columns[i].left)
            kl_grid_text(g, row, col, width, style, cell[i]);
        else
            kl_grid_text_right(g, row, col + width, width, style, cell[i]);
        col += columns[i].width + 1;
    }
}

static void draw_head(struct kl_grid *g, int row)
{
    const char *heads[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        heads[i] = columns[i].head;
    draw_row(g, row, heads, KL_STYLE_STRONG);
}

static void draw_stations(const struct fleet_model *m, const struct fleet_screen *s,
                          struct kl_grid *g)
{
    int room = g->rows - 4, count = (int)json_array_size(m->stations);
    int first = (int)s->chosen >= room && room > 0 ? (int)s->chosen - room + 1 : 0;

    draw_head(g, 2);
    for (int i = first; i < count && i - first < room; i++) {
        const json_t *station = json_array_get(m->stations, (size_t)i);
        const char *cells[COLUMNS];
        char cell[COLUMNS][64];

        cells_of(station, cell);
        for (int k = 0; k < COLUMNS; k++)
            cells[k] = cell[k];
        draw_row(g, 3 + i - first, cells, style_of(station));
        if (i == (int)s->chosen)
            kl_grid_tint(g, 3 + i - first, 0, 1, g->cols, KL_STYLE_SELECTED);
    }
    if (count == 0 && m->stations)
        kl_grid_text(g, 4, 1, g->cols - 2, KL_STYLE_DIM,
                     "no station has joined yet: keyline pool join, keyline pool station");
}

/* ---- one station ---- */

static void result_line(const json_t *r, char *out, size_t size)
{
    snprintf(out, size, "%.19s  %-12s %-18s %-20s %s %s %s%s", text_of(r, "wall"),
             text_of(r, "what"), text_of(r, "mac"), text_of(r, "label"), text_of(r, "how"),
             text_of(r, "chip"), text_of(r, "slot"),
             json_is_true(at(r, "offline")) ? "  not claimed before" : "");
}

static void event_line(const json_t *e, char *out, size_t size)
{
    snprintf(out, size, "%.19s  %s: %s%s%s  %s", text_of(e, "at"), text_of(e, "who"),
             text_of(e, "what"), text_of(e, "label")[0] ? " " : "", text_of(e, "label"),
             text_of(e, "text"));
}

static unsigned history_lines(const struct fleet_model *m)
{
    return (unsigned)(json_array_size(at(m->station, "events")) +
                      json_array_size(at(m->station, "results")));
}

static void draw_history(const struct fleet_model *m, const struct fleet_screen *s,
                         struct kl_grid *g)
{
    const json_t *events = at(m->station, "events"), *results = at(m->station, "results");
    size_t event_count = json_array_size(events);
    char line[512];

    snprintf(line, sizeof line, "%s: what people did, then its last results, the newest first",
             s->history);
    kl_grid_text(g, 2, 1, g->cols - 2, KL_STYLE_STRONG, line);
    for (int row = 3; row < g->rows - 1; row++) {
        size_t i = s->scrolled + (size_t)(row - 3);
        if (i >= history_lines(m))
            break;
        if (i < event_count)
            event_line(json_array_get(events, i), line, sizeof line);
        else
            result_line(json_array_get(results, i - event_count), line, sizeof line);
        kl_grid_text(g, row, 1, g->cols - 2, i < event_count ? KL_STYLE_DIM : KL_STYLE_PLAIN, line);
    }
    if (!m->station)
        kl_grid_text(g, 3, 1, g->cols - 2, KL_STYLE_DIM, "asking the pool …");
}

/* ---- the whole ---- */

/* "41,200 keys free, 1,900 an hour: empty in 21 h" */
static void pool_text(const json_t *pool, char *out, size_t size)
{
    const json_t *keys = at(pool, "keys");
    long long free_keys = number_of(keys, "free"), rate = number_of(pool, "per_hour");
    char span[32];
    int n;

    n = snprintf(out, size, "%lld of %lld keys free, %lld provisioned, %lld leased", free_keys,
                 number_of(keys, "total"), number_of(keys, "provisioned"),
                 number_of(keys, "leased"));
    if (number_of(keys, "lost") > 0)
        n += snprintf(out + n, size - (size_t)n, ", %lld lost", number_of(keys, "lost"));
    if (rate > 0) {
        span_text(free_keys * 3600 / rate, span, sizeof span);
        snprintf(out + n, size - (size_t)n, "; %lld boards an hour: empty in %s", rate, span);
    }
}

static void warning_text(const struct fleet_model *m, char *out, size_t size)
{
    const json_t *pool = m->pool;

    out[0] = '\0';
    if (m->trouble[0])
        snprintf(out, size, "%s", m->trouble);
    else if (pool && !json_is_true(at(at(pool, "fence"), "holds")))
        snprintf(out, size, "failed over or restored: nobody leases until keyline pool reopen");
    else if (pool && !json_is_true(at(pool, "open")))
        snprintf(out, size, "closed: %s", text_of(pool, "closed_why"));
    else if (number_of(pool, "alarms") > 0)
        snprintf(out, size, "%lld ALARMS: keyline pool status", number_of(pool, "alarms"));
}

void fleet_draw(const struct fleet_model *m, const struct fleet_screen *s, struct kl_grid *g)
{
    char text[512], warning[512];

    kl_grid_clear(g);
    kl_grid_fill(g, 0, 0, 1, g->cols, KL_STYLE_BAR);
    snprintf(text, sizeof text, "pool %s%s", m->pool ? text_of(m->pool, "name") : "…",
             json_is_true(at(m->pool, "plain")) ? ", not sealed" : "");
    kl_grid_text(g, 0, 1, g->cols - 2, KL_STYLE_BAR, text);
    if (m->pool) {
        pool_text(m->pool, text, sizeof text);
        kl_grid_text(g, 1, 1, g->cols - 2, KL_STYLE_PLAIN, text);
    }
    warning_text(m, warning, sizeof warning);
    if (warning[0]) {
        int width = kl_text_width(warning) + 2;
        kl_grid_text_right(g, 0, g->cols, width < g->cols ? width : g->cols, KL_STYLE_WARN,
                           warning);
    }
    if (s->history[0])
        draw_history(m, s, g);
    else
        draw_stations(m, s, g);
    kl_grid_fill(g, g->rows - 1, 0, 1, g->cols, KL_STYLE_BAR);
    kl_grid_text(g, g->rows - 1, 1, g->cols - 2, KL_STYLE_BAR,
                 s->history[0] ? "Esc: all stations   arrows: scroll   q: leave"
                               : "Enter: a station's history   arrows: choose   q: leave");
}

static void move(unsigned *at_line, int by, unsigned count)
{
    long long to = (long long)*at_line + by, last = count > 0 ? (long long)count - 1 : 0;

    *at_line = (unsigned)(to < 0 ? 0 : to > last ? last : to);
}

enum fleet_want fleet_input(struct fleet_screen *s, const struct fleet_model *m, int key)
{
    unsigned count = (unsigned)json_array_size(m->stations);
    unsigned *line = s->history[0] ? &s->scrolled : &s->chosen;
    unsigned lines = s->history[0] ? history_lines(m) : count;

    if (key == 'q' || key == KL_KEYCODE_F10 || key == KL_KEYCODE_INTERRUPT)
        return FLEET_QUIT;
    if (key == KL_KEYCODE_ESCAPE || key == KL_KEYCODE_BACKSPACE || key == KL_KEYCODE_LEFT)
        s->history[0] = '\0';
    else if (key == KL_KEYCODE_UP || key == 'k')
        move(line, -1, lines);
    else if (key == KL_KEYCODE_DOWN || key == 'j')
        move(line, 1, lines);
    else if (key == KL_KEYCODE_PAGE_UP)
        move(line, -20, lines);
    else if (key == KL_KEYCODE_PAGE_DOWN || key == ' ')
        move(line, 20, lines);
    else if (key == KL_KEYCODE_HOME)
        *line = 0;
    else if (key == KL_KEYCODE_END)
        move(line, 1 << 20, lines);
    else if ((key == KL_KEYCODE_ENTER || key == KL_KEYCODE_RIGHT) && !s->history[0] &&
             s->chosen < count) {
        kl_copy(s->history, sizeof s->history,
                text_of(json_array_get(m->stations, s->chosen), "name"));
        s->scrolled = 0;
        return FLEET_HISTORY;
    }
    return FLEET_NOTHING;
}

void fleet_print(const struct fleet_model *m, FILE *out)
{
    char text[512], cell[COLUMNS][64];
    const json_t *station;
    size_t i;

    pool_text(m->pool, text, sizeof text);
    fprintf(out, "pool %s: %s\n", text_of(m->pool, "name"), text);
    warning_text(m, text, sizeof text);
    if (text[0])
        fprintf(out, "%s\n", text);
    for (int k = 0; k < COLUMNS; k++)
        fprintf(out, columns[k].left ? "%-*s%s" : "%*s%s", columns[k].width, columns[k].head,
                k + 1 < COLUMNS ? " " : "\n");
    json_array_foreach(m->stations, i, station)
    {
        cells_of(station, cell);
        for (int k = 0; k < COLUMNS; k++)
            fprintf(out, columns[k].left ? "%-*s%s" : "%*s%s", columns[k].width, cell[k],
                    k + 1 < COLUMNS ? " " : "\n");
    }
}
