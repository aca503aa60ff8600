/* export_template.c: text of a person's own, filled in for each row (docs/exports.md). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "export_private.h"

enum section {
    NOWHERE,
    HEADER,
    ROW,
    BETWEEN,
    FOOTER,
};

/* X(NAME, "name between braces", the sections that may have it: r = row, e = header and footer,
   f = footer) */
#define PLACES(X)                                                                                  \
    X(LABEL, "label", "r")                                                                         \
    X(MAC, "mac", "r")                                                                             \
    X(EUI64, "eui64", "r")                                                                         \
    X(TIME, "time", "r")                                                                           \
    X(STATION, "station", "r")                                                                     \
    X(BUILD, "build", "r")                                                                         \
    X(QR, "qr", "r")                                                                               \
    X(NOW, "now", "re")                                                                            \
    X(POOL, "pool", "re")                                                                          \
    X(COUNT, "count", "f")

enum part_kind {
    PART_TEXT,
    PART_FIELD,  /* of a name that is mapped or set */
    PART_COLUMN, /* a column as it is */
#define X(name, word, where) PART_##name,
    PLACES(X)
#undef X
};

struct template_part {
    enum section section;
    enum part_kind kind;
    const char *text; /* TEXT; leads into `kept` of the first part */
    size_t size;
    char name[64];   /* FIELD */
    unsigned column; /* COLUMN */
    char *kept;      /* of the first part: the whole template */
};

struct reading {
    struct kl_export *e;
    size_t room;
    unsigned line;
    enum section section;
    bool has_row;
    char *error;
};

static bool wrong(const struct reading *r, const char *what, const char *which)
{
    kl_format(r->error, KL_TEXT_MAX, "line %u of the template: %s%s", r->line, what, which);
    return false;
}

static struct template_part *add(struct reading *r, enum part_kind kind)
{
    struct kl_export *e = r->e;
    struct template_part *part;

    if (e->part_count == r->room) {
        size_t room = r->room == 0 ? 64 : r->room * 2;
        struct template_part *more = reallocarray(e->part, room, sizeof *more);
        if (!more)
            return NULL;
        e->part = more;
        r->room = room;
    }
    part = &e->part[e->part_count++];
    memset(part, 0, sizeof *part);
    part->section = r->section;
    part->kind = kind;
    return part;
}

static bool add_text(struct reading *r, const char *text, size_t size)
{
    struct template_part *part;

    if (size == 0)
        return true;
    if (!(part = add(r, PART_TEXT)))
        return wrong(r, "no memory", "");
    part->text = text;
    part->size = size;
    return true;
}

/* ---- what stands between braces ---- */

static bool add_field(struct reading *r, const char *name)
{
    const struct export_name *n = export_find(r->e, name);
    unsigned column = n ? 0 : export_column(r->e, name);
    struct template_part *part;

    if (r->section != ROW)
        return wrong(r, "only a row has fields: ", name);
    if (!n && column == 0)
        return wrong(r, "neither a column nor a field that is mapped or set: ", name);
    if (!r->e->secrets && (n ? export_is_secret(r->e, n) : export_column_is_secret(r->e, column)))
        return wrong(r, "this is secret, so say --secrets and -o FILE: ", name);
    if (!(part = add(r, n ? PART_FIELD : PART_COLUMN)))
        return wrong(r, "no memory", "");
    kl_copy(part->name, sizeof part->name, name);
    part->column = column;
    return true;
}

static bool may_stand_here(enum section section, const char *where)
{
    return (section == ROW && strchr(where, 'r')) ||
           ((section == HEADER || section == FOOTER) && strchr(where, 'e')) ||
           (section == FOOTER && strchr(where, 'f'));
}

static bool add_place(struct reading *r, const char *name)
{
    static const struct {
        enum part_kind kind;
        const char *word, *where;
    } places[] = {
#define X(name, word, where) {PART_##name, word, where},
        PLACES(X)
#undef X
    };

    if (strncmp(name, "field:", 6) == 0)
        return add_field(r, name + 6);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(places[i].word, name) != 0)
            continue;
        if (!may_stand_here(r->section, places[i].where))
            return wrong(r, "this can't stand in this section: ", name);
        if (places[i].kind == PART_QR &&
            !(export_has(r->e, "dev_eui") && export_has(r->e, "join_eui") &&
              export_has(r->e, "profile_id")))
            return wrong(r, "qr needs dev_eui, join_eui and profile_id, mapped or set", "");
        return add(r, places[i].kind) ? true : wrong(r, "no memory", "");
    }
    return wrong(r, "there is no ", name);
}

/* A brace begins a name only if a small letter follows; two braces are one. */
static bool read_text(struct reading *r, const char *text, size_t size)
{
    size_t from = 0;

    for (size_t at = 0; at < size; at++) {
        char name[64];
        size_t length;

        if (text[at] != '{' || at + 1 == size)
            continue;
        if (text[at + 1] == '{') {
            if (!add_text(r, text + from, at + 1 - from))
                return false;
            from = ++at + 1;
            continue;
        }
        if (!islower((unsigned char)text[at + 1]))
            continue;
        length = strcspn(text + at, "}\n");
        if (at + length >= size || text[at + length] != '}')
            return wrong(r, "a { is not closed; two of them are one that stays", "");
        if (length - 1 >= sizeof name)
            return wrong(r, "a name is too long", "");
        kl_format(name, sizeof name, "%.*s", (int)(length - 1), text + at + 1);
        if (!add_text(r, text + from, at - from) || !add_place(r, name))
            return false;
        at += length;
        from = at + 1;
    }
    return add_text(r, text + from, size - from);
}

/* ---- its sections ---- */

static bool first_line(struct reading *r, const char *line)
{
    static const char *const words[] = {
        [ESCAPE_RAW] = "%keyline-template raw",
        [ESCAPE_CSV] = "%keyline-template csv",
        [ESCAPE_JSON] = "%keyline-template json",
    };

    for (int i = ESCAPE_RAW; i <= ESCAPE_JSON; i++) {
        if (strcmp(line, words[i]) != 0)
            continue;
        r->e->escape = i;
        return true;
    }
    return wrong(r, "it should be %keyline-template csv, or json, or raw", "");
}

static bool directive(struct reading *r, const char *line)
{
    static const char *const words[] = {
        [HEADER] = "%header", [ROW] = "%row", [BETWEEN] = "%between", [FOOTER] = "%footer"};

    if (r->line == 1)
        return first_line(r, line);
    if (line[1] == '#')
        return true;
    for (int i = HEADER; i <= FOOTER; i++) {
        if (strcmp(line, words[i]) != 0)
            continue;
        r->section = i;
        r->has_row |= i == ROW;
        return true;
    }
    return wrong(r,
                 "a line that begins with % is %header, %row, %between, %footer or %# …; %% is "
                 "a % that stays",
                 "");
}

static bool read_line(struct reading *r, const char *text, size_t size)
{
    char line[64];

    r->line++;
    if (size >= 2 && text[0] == '%' && text[1] == '%')
        return read_text(r, text + 1, size - 1);
    if (text[0] == '%') {
        kl_format(line, sizeof line, "%.*s", (int)size, text);
        line[strcspn(line, "\r\n")] = '\0';
        return directive(r, line);
    }
    if (r->line == 1)
        return first_line(r, "");
    if (r->section == NOWHERE && text[strspn(text, " \t\r\n")] != '\0' && size > 1)
        return wrong(r, "text before the first section: %header or %row", "");
    return r->section == NOWHERE || read_text(r, text, size);
}

bool export_template_read(struct kl_export *e, const char *text, char error[KL_TEXT_MAX])
{
    struct reading r = {.e = e, .error = error};
    char *kept = text ? strdup(text) : NULL;
    struct template_part *first;

    if (!text) {
        kl_copy(error, KL_TEXT_MAX, "template needs --template FILE");
        return false;
    }
    if (!kept || !(first = add(&r, PART_TEXT))) {
        free(kept);
        return wrong(&r, "no memory", "");
    }
    first->kept = kept;
    first->text = "";
    for (const char *p = kept; *p != '\0';) {
        size_t size = strcspn(p, "\n");
        size += p[size] == '\n';
        if (!read_line(&r, p, size))
            return false;
        p += size;
    }
    return r.has_row || wrong(&r, "it has no %row", "");
}

void export_template_free(struct kl_export *e)
{
    if (e->part_count > 0)
        free(e->part[0].kept);
    free(e->part);
    e->part = NULL;
    e->part_count = 0;
}

bool export_template_needs_keys(const struct kl_export *e)
{
    for (size_t i = 0; i < e->part_count; i++)
        if (e->part[i].kind == PART_COLUMN)
            return true;
    return false;
}

bool export_template_has_qr(const struct kl_export *e)
{
    for (size_t i = 0; i < e->part_count; i++)
        if (e->part[i].kind == PART_QR)
            return true;
    return false;
}

/* ---- filling in ---- */

static bool put(struct kl_export *e, const struct kl_export_row *row, struct kl_span value,
                char error[KL_TEXT_MAX])
{
    if (e->escape == ESCAPE_CSV)
        export_csv(&e->text, value);
    else if (e->escape == ESCAPE_RAW)
        export_put(&e->text, value.data, value.size);
    else if (!export_json(&e->text, value)) {
        export_say(row, NULL, "a value is not UTF-8, and JSON can't hold it", error);
        return false;
    }
    return true;
}

static bool put_part(struct kl_export *e, const struct template_part *part,
                     const struct kl_export_row *row, char error[KL_TEXT_MAX])
{
    struct export_value v;
    char text[64];

    switch (part->kind) {
    case PART_TEXT:
        export_put(&e->text, part->text, part->size);
        return true;
    case PART_FIELD:
        return export_value(e, row, part->name, true, &v, error) && put(e, row, v.span, error);
    case PART_COLUMN:
        if (!row->key || part->column > row->key->count) {
            export_say(row, NULL, "it has fewer columns than the template wants", error);
            return false;
        }
        return put(e, row, kl_key_field(row->key, part->column - 1), error);
    case PART_LABEL:
        return put(e, row, export_span(row->label), error);
    case PART_MAC:
        kl_mac_format(&row->mac, text);
        return put(e, row, export_span(text), error);
    case PART_EUI64:
        return put(e, row, export_span(row->eui64), error);
    case PART_TIME:
        export_time(row->provisioned, text);
        return put(e, row, export_span(text), error);
    case PART_STATION:
        return put(e, row, export_span(row->station), error);
    case PART_BUILD:
        return put(e, row, export_span(row->build), error);
    case PART_QR:
        return export_qr(e, row, text, error) && put(e, row, export_span(text), error);
    case PART_NOW:
        export_time(e->now, text);
        return put(e, row, export_span(text), error);
    case PART_POOL:
        return put(e, row, export_span(e->pool), error);
    case PART_COUNT:
        kl_format(text, sizeof text, "%u", e->count);
        return put(e, row, export_span(text), error);
    }
    return true;
}

static bool put_section(struct kl_export *e, enum section section, const struct kl_export_row *row,
                        char error[KL_TEXT_MAX])
{
    for (size_t i = 0; i < e->part_count; i++)
        if (e->part[i].section == section && !put_part(e, &e->part[i], row, error))
            return false;
    return true;
}

/* For the sections that belong to no row. */
static const struct kl_export_row no_row = {
    .label = "", .eui64 = "", .station = "", .build = "", .how = ""};

bool export_template_head(struct kl_export *e)
{
    char error[KL_TEXT_MAX];

    return put_section(e, HEADER, &no_row, error);
}

bool export_template_row(struct kl_export *e, const struct kl_export_row *row,
                         char error[KL_TEXT_MAX])
{
    if (e->count > 0 && !put_section(e, BETWEEN, &no_row, error))
        return false;
    return put_section(e, ROW, row, error);
}

void export_template_foot(struct kl_export *e)
{
    char error[KL_TEXT_MAX];

    put_section(e, FOOTER, &no_row, error);
}
