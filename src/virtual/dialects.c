/*
 * dialects.c: firmware built on firmware/provisioning whose authors printed things their own way:
 * other names and orders, lines that get lost, quotes, log prefixes, words of their own in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum order {
    AS_STORED,
    BACKWARDS,
    WITHOUT_FIRST, /* the line of the first field is lost */
};

struct dialect {
    const char *name;
    const char *value;          /* @ the value, # the field's number, ~ its name */
    const char *before, *after; /* around each word of the protocol and each value */
    const char *trail;          /* behind each word */
    const char *asks, *holds;   /* instead of Provisioning, Provisioned */
    enum order order;
    bool wordless;  /* its line that it is provisioned is lost at the start */
    bool lowercase; /* "provisioning" */
    bool nul;       /* each line ends in a NUL before its end */
    bool chatters;  /* prints log lines within its read-back */
    bool grumbles;  /* prints an error of its own before it acknowledges */
    bool echoes;    /* prints the line that it received */
};

static const struct dialect dialects[] = {
    {.name = "fields", .value = "Field#: @"},
    {.name = "backwards", .value = "~: @", .order = BACKWARDS},
    {.name = "headless", .value = "Key#: @", .order = WITHOUT_FIRST},
    {.name = "wordless", .value = "~: @", .wordless = true},
    {.name = "localised", .value = "Schl\xc3\xbcssel #: @"},
    {.name = "bare", .value = "@"},
    {.name = "bare-wordless", .value = "@", .wordless = true, .order = BACKWARDS},
    {.name = "json", .value = "{\"~\":\"@\"}"},
    {.name = "equals", .value = "~=@", .order = BACKWARDS},
    {.name = "quoted", .value = "~: \"@\""},
    {.name = "prefixed", .value = "~: @", .before = "I (312) app: "},
    {.name = "dots", .value = "~: @", .trail = "..."},
    {.name = "coloured", .value = "~: @", .before = "\x1b[0;32m", .after = "\x1b[0m"},
    {.name = "nul", .value = "~: @", .nul = true},
    {.name = "lowercase", .value = "~: @", .lowercase = true},
    {.name = "chatty", .value = "~: @", .chatters = true},
    {.name = "grumbling", .value = "~: @", .grumbles = true},
    {.name = "echo", .value = "~: @", .echoes = true},
    {.name = "versioned", .value = "~: @", .trail = " v2"},
    {.name = "foreign", .value = "cfg.#=@", .asks = "READY FOR KEY", .holds = "OK, stored"},
};

enum {
    DIALECTS = sizeof dialects / sizeof dialects[0],
};

/* Collects what the firmware prints at its start, until all of it has come. */
struct telling {
    const struct dialect *dialect;
    char line[KL_LINE_MAX + 64];
    size_t line_size;
    bool held; /* the firmware said that it holds a key */
    char value[KL_FIELDS_MAX][KL_LINE_MAX + 1];
    unsigned count;
};

const char *dialect_name(unsigned i)
{
    return i < DIALECTS ? dialects[i].name : NULL;
}

static const struct dialect *dialect_of(const struct kl_vboard *b)
{
    for (unsigned i = 0; i < DIALECTS; i++)
        if (strcmp(dialects[i].name, b->config.firmware) == 0)
            return &dialects[i];
    return &dialects[0];
}

static const char *field_name(unsigned field)
{
    static const char *const names[] = {"serial", "user", "wifi", "pin", "mqtt"};

    return names[field % (sizeof names / sizeof names[0])];
}

static size_t append(char *out, size_t used, size_t room, const char *text, size_t size)
{
    if (size > room - used)
        size = room - used;
    memcpy(out + used, text, size);
    return used + size;
}

static void print_line(struct kl_vboard *b, const struct dialect *d, const char *text, size_t size)
{
    char line[2 * KL_LINE_MAX];
    size_t used = 0, room = sizeof line - 4;

    if (d->before)
        used = append(line, used, room, d->before, strlen(d->before));
    used = append(line, used, room, text, size);
    if (d->after)
        used = append(line, used, room, d->after, strlen(d->after));
    if (d->nul)
        line[used++] = '\0';
    line[used++] = '\r';
    line[used++] = '\n';
    program_print(b, line, used);
}

static void print_value(struct kl_vboard *b, const struct dialect *d, unsigned field,
                        const char *value)
{
    char line[KL_LINE_MAX + 64], number[12];
    size_t used = 0;

    snprintf(number, sizeof number, "%u", field + 1);
    for (const char *c = d->value; *c; c++) {
        const char *part = *c == '@'   ? value
                           : *c == '#' ? number
                           : *c == '~' ? field_name(field)
                                       : NULL;
        used = append(line, used, sizeof line, part ? part : c, part ? strlen(part) : 1);
    }
    if (d->chatters)
        program_print(b, "I (523) wifi: state: init -> auth (b0)\r\n", 40);
    b->app->is_value = true;
    print_line(b, d, line, used);
    b->app->is_value = false;
}

/* ---- between the firmware's code and the wire ---- */

static void take_line(struct kl_vboard *b, struct telling *t)
{
    static const char error[] = "Error: sensor not found\r\n";
    const char *colon = memchr(t->line, ':', t->line_size);
    bool provisioned = strncmp(t->line, "Provisioned", 11) == 0;

    if (t->held && colon && t->count < KL_FIELDS_MAX) {
        const char *value = colon + 1 + (colon[1] == ' ');
        snprintf(t->value[t->count++], sizeof t->value[0], "%.*s",
                 (int)(t->line + t->line_size - value), value);
        return;
    }
    if (provisioned && !b->app->stored_now) {
        t->held = true;
        b->app->holding = true;
        if (t->dialect->wordless)
            return;
    }
    if (provisioned && b->app->stored_now && t->dialect->grumbles) {
        program_print(b, error, sizeof error - 1);
        program_print(b, error, sizeof error - 1);
    }
    if (t->dialect->lowercase && t->line_size > 0)
        t->line[0] |= 0x20;
    const char *other = provisioned                                 ? t->dialect->holds
                        : strncmp(t->line, "Provisioning", 12) == 0 ? t->dialect->asks
                                                                    : NULL;
    if (other)
        t->line_size = append(t->line, 0, sizeof t->line, other, strlen(other));
    if (t->dialect->trail && strncmp(t->line, "Provision", 9) == 0)
        t->line_size = append(t->line, t->line_size, sizeof t->line, t->dialect->trail,
                              strlen(t->dialect->trail));
    print_line(b, t->dialect, t->line, t->line_size);
}

static void dialect_print(void *ctx, const char *text, size_t size)
{
    struct kl_vboard *b = ctx;
    struct telling *t = b->app->telling;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            t->line[t->line_size] = '\0';
            take_line(b, t);
            t->line_size = 0;
        } else if (text[i] != '\r' && t->line_size < sizeof t->line - 1) {
            t->line[t->line_size++] = text[i];
        }
    }
}

static void start(struct kl_vboard *b)
{
    struct telling *t = calloc(1, sizeof *t);

    KL_ASSERT(t);
    t->dialect = dialect_of(b);
    b->app->telling = t;
    provisioned_start(b, dialect_print);
    unsigned first = t->dialect->order == WITHOUT_FIRST ? 1 : 0;
    for (unsigned i = first; i < t->count; i++) {
        unsigned field = t->dialect->order == BACKWARDS ? t->count - 1 - i : i;
        print_value(b, t->dialect, field, t->value[field]);
    }
    memset(t->value, 0, sizeof t->value);
    t->held = false;
}

static void rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    if (b->app->telling->dialect->echoes && !b->app->holding)
        program_print(b, (const char *)data, size);
    program_keyline.rx(b, data, size);
}

static void tick(struct kl_vboard *b)
{
    program_keyline.tick(b);
}

static void preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    program_keyline.preload(b, fields, count);
}

static void stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    program_keyline.stored(b, out);
}

const struct program program_dialect = {"dialect", start, rx, tick, preload, stored};
