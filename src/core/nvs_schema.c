/* nvs_schema.c: reads where values go, and puts a key's values there. */
#include "keyline/nvs_schema.h"

#include <string.h>

const char *kl_nvs_schema_error_text(const struct kl_nvs_schema_error *e)
{
    static const char *const texts[KL_NVS_SCHEMA_FAULT_COUNT] = {
#define X(name, text) [KL_NVS_SCHEMA_##name] = text,
        KL_NVS_SCHEMA_FAULTS(X)
#undef X
    };

    KL_ASSERT(e->fault < KL_NVS_SCHEMA_FAULT_COUNT);
    return e->verdict != KL_NVS_OK ? kl_nvs_verdict_text(e->verdict) : texts[e->fault];
}

static bool wrong(struct kl_nvs_schema_error *e, unsigned at, enum kl_nvs_schema_fault fault)
{
    KL_ASSERT(at >= 1 && fault != KL_NVS_SCHEMA_NONE);
    *e = (struct kl_nvs_schema_error){.fault = fault, .at = at};
    return false;
}

/* What stands before the first `mark` in `text`; the rest goes to `rest`. False: it has none. */
static bool split(struct kl_span text, char mark, struct kl_span *before, struct kl_span *rest)
{
    const uint8_t *at = text.size ? memchr(text.data, mark, text.size) : NULL;

    KL_ASSERT(before != &text && rest != &text);
    if (!at)
        return false;
    *before = (struct kl_span){text.data, (size_t)(at - text.data)};
    *rest = (struct kl_span){at + 1, text.size - before->size - 1};
    return true;
}

static struct kl_span trimmed(struct kl_span s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.size--;
    }
    while (s.size &&
           (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t' || s.data[s.size - 1] == '\r'))
        s.size--;
    return s;
}

static bool is_word(struct kl_span s, const char *word)
{
    KL_ASSERT(word);
    return s.size == strlen(word) && memcmp(s.data, word, s.size) == 0;
}

static bool take_name(char out[KL_NVS_NAME_MAX + 1], struct kl_span name, unsigned at,
                      struct kl_nvs_schema_error *e)
{
    enum kl_nvs_verdict v = kl_nvs_check_name(name);

    if (v != KL_NVS_OK) {
        *e = (struct kl_nvs_schema_error){KL_NVS_SCHEMA_NAME, v, at};
        return false;
    }
    memcpy(out, name.data, name.size);
    out[name.size] = '\0';
    return true;
}

/* Puts a place behind the last one of its namespace. */
static bool add(struct kl_nvs_schema *s, const struct kl_nvs_place *place, unsigned at,
                struct kl_nvs_schema_error *e)
{
    unsigned to = s->count;

    KL_ASSERT(s->count <= KL_NVS_ITEMS_MAX);
    if (s->count == KL_NVS_ITEMS_MAX)
        return wrong(e, at, KL_NVS_SCHEMA_MANY);
    for (unsigned i = 0; i < s->count; i++) {
        if (strcmp(s->place[i].namespace, place->namespace) != 0)
            continue;
        if (strcmp(s->place[i].name, place->name) == 0)
            return wrong(e, at, KL_NVS_SCHEMA_TWICE);
        to = i + 1;
    }
    memmove(&s->place[to + 1], &s->place[to], (s->count - to) * sizeof s->place[0]);
    s->place[to] = *place;
    s->count++;
    return true;
}

static bool add_constant(struct kl_nvs_schema *s, struct kl_nvs_place *place, struct kl_span value,
                         unsigned at, struct kl_nvs_schema_error *e)
{
    enum kl_nvs_verdict v = kl_nvs_check_value(place->encoding, value);

    if (v != KL_NVS_OK) {
        *e = (struct kl_nvs_schema_error){KL_NVS_SCHEMA_VALUE, v, at};
        return false;
    }
    if (value.size > KL_NVS_TEXT_MAX - s->text_size)
        return wrong(e, at, KL_NVS_SCHEMA_MANY);
    place->column = KL_NVS_CONSTANT;
    place->begin = (uint16_t)s->text_size;
    place->size = (uint16_t)value.size;
    if (value.size)
        memcpy(s->text + s->text_size, value.data, value.size);
    s->text_size += value.size;
    return add(s, place, at, e);
}

/* ---- the CSV's header ---- */

static bool is_place(struct kl_span cell)
{
    struct kl_span namespace, rest, name, type;

    return split(cell, '/', &namespace, &rest) && split(rest, ':', &name, &type);
}

bool kl_nvs_is_header(const struct kl_span *cells, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct kl_span namespace, rest, name, type, value;
        enum kl_nvs_encoding encoding;
        if (!split(trimmed(cells[i]), '/', &namespace, &rest) || !split(rest, ':', &name, &type))
            continue;
        if (split(type, '=', &type, &value))
            type = trimmed(type);
        if (kl_nvs_encoding_of(trimmed(type), &encoding))
            return true;
    }
    return false;
}

static bool take_cell(struct kl_nvs_schema *s, struct kl_span cell, unsigned column, bool *constant,
                      struct kl_nvs_schema_error *e)
{
    struct kl_nvs_place place = {.column = (uint16_t)column};
    struct kl_span namespace, name, rest, type, value = {NULL, 0};

    if (!split(cell, '/', &namespace, &rest) || !split(rest, ':', &name, &type))
        return wrong(e, column + 1, KL_NVS_SCHEMA_NO_SLASH);
    rest = type;
    *constant = split(rest, '=', &type, &value);
    if (!take_name(place.namespace, trimmed(namespace), column + 1, e) ||
        !take_name(place.name, trimmed(name), column + 1, e))
        return false;
    if (!kl_nvs_encoding_of(trimmed(type), &place.encoding))
        return wrong(e, column + 1, KL_NVS_SCHEMA_TYPE);
    return *constant ? add_constant(s, &place, value, column + 1, e)
                     : add(s, &place, column + 1, e);
}

bool kl_nvs_schema_header(struct kl_nvs_schema *s, const struct kl_span *cells, unsigned count,
                          unsigned *columns, struct kl_nvs_schema_error *error)
{
    bool constants = false;

    KL_ASSERT(count <= KL_COLUMNS_MAX + KL_NVS_ITEMS_MAX);
    *s = (struct kl_nvs_schema){0};
    *error = (struct kl_nvs_schema_error){0};
    *columns = 0;
    for (unsigned i = 0; i < count; i++) {
        struct kl_span cell = trimmed(cells[i]);
        bool constant = false;
        if (is_place(cell) && !take_cell(s, cell, i, &constant, error))
            return false;
        if (constants && !constant)
            return wrong(error, i + 1, KL_NVS_SCHEMA_LATE_COLUMN);
        constants = constant;
        if (!constant)
            *columns = i + 1;
    }
    return s->count > 0 || wrong(error, 1, KL_NVS_SCHEMA_NOTHING);
}

/* ---- mfg_gen's form ---- */

struct config {
    char namespace[KL_NVS_NAME_MAX + 1]; /* "" = none yet */
    unsigned next;                       /* column from which on the next key is looked for */
};

static bool find_column(struct config *c, struct kl_span name, const struct kl_span *cells,
                        unsigned count, uint16_t *out)
{
    for (unsigned i = c->next; i < count; i++) {
        struct kl_span cell = trimmed(cells[i]);
        if (cell.size == name.size && memcmp(cell.data, name.data, name.size) == 0) {
            *out = (uint16_t)i;
            c->next = i + 1;
            return true;
        }
    }
    return false;
}

/* NAME,namespace, or NAME,data,TYPE[,REPEAT] */
static bool take_line(struct kl_nvs_schema *s, struct config *c, struct kl_span line, unsigned at,
                      const struct kl_span *cells, unsigned count, struct kl_nvs_schema_error *e)
{
    struct kl_nvs_place place = {0};
    struct kl_span name, rest, kind, type, tail = {NULL, 0};

    if (!split(line, ',', &name, &rest))
        return wrong(e, at, KL_NVS_SCHEMA_LINE);
    name = trimmed(name);
    if (!split(rest, ',', &kind, &type))
        kind = rest, type = tail;
    kind = trimmed(kind);
    if (is_word(kind, "namespace"))
        return take_name(c->namespace, name, at, e);
    if (is_word(kind, "file"))
        return wrong(e, at, KL_NVS_SCHEMA_FILE);
    rest = type;
    if (split(rest, ',', &type, &tail))
        place.repeat = is_word(trimmed(tail), "REPEAT");
    if (!is_word(kind, "data") || (trimmed(tail).size && !place.repeat))
        return wrong(e, at, KL_NVS_SCHEMA_LINE);
    if (!c->namespace[0])
        return wrong(e, at, KL_NVS_SCHEMA_NO_NAMESPACE);
    if (!kl_nvs_encoding_of(trimmed(type), &place.encoding))
        return wrong(e, at, KL_NVS_SCHEMA_TYPE);
    if (!take_name(place.name, name, at, e))
        return false;
    if (!find_column(c, name, cells, count, &place.column))
        return wrong(e, at, KL_NVS_SCHEMA_NO_COLUMN);
    memcpy(place.namespace, c->namespace, sizeof place.namespace);
    return add(s, &place, at, e);
}

bool kl_nvs_schema_config(struct kl_nvs_schema *s, struct kl_span file, const struct kl_span *cells,
                          unsigned count, struct kl_nvs_schema_error *error)
{
    struct config c = {.namespace = ""};
    struct kl_span rest = file, line;
    unsigned at = 0;

    KL_ASSERT(count <= KL_COLUMNS_MAX + KL_NVS_ITEMS_MAX);
    *s = (struct kl_nvs_schema){0};
    *error = (struct kl_nvs_schema_error){0};
    if (rest.size >= 3 && memcmp(rest.data, "\xEF\xBB\xBF", 3) == 0)
        rest = (struct kl_span){rest.data + 3, rest.size - 3};
    while (rest.size > 0) {
        struct kl_span whole = rest;
        if (!split(whole, '\n', &line, &rest))
            line = whole, rest.size = 0;
        at++;
        line = trimmed(line);
        if (line.size && line.data[0] != '#' && !take_line(s, &c, line, at, cells, count, error))
            return false;
    }
    return s->count > 0 || wrong(error, at ? at : 1, KL_NVS_SCHEMA_NOTHING);
}

/* ---- keys ---- */

/* The value of a place; false if the key has no such column. */
static bool value_of(const struct kl_nvs_schema *s, const struct kl_nvs_place *place,
                     const struct kl_key *key, struct kl_span *out)
{
    if (place->column == KL_NVS_CONSTANT) {
        KL_ASSERT((size_t)place->begin + place->size <= s->text_size);
        *out = (struct kl_span){(const uint8_t *)s->text + place->begin, place->size};
        return true;
    }
    if (place->column >= key->count)
        return false;
    *out = kl_key_field(key, place->column);
    return true;
}

bool kl_nvs_schema_fits(const struct kl_nvs_schema *s, const struct kl_key *key,
                        struct kl_nvs_misfit *why)
{
    struct kl_span value;

    KL_ASSERT(s->count > 0 && s->count <= KL_NVS_ITEMS_MAX);
    for (unsigned i = 0; i < s->count; i++) {
        const struct kl_nvs_place *place = &s->place[i];
        enum kl_nvs_verdict v = value_of(s, place, key, &value)
                                    ? kl_nvs_check_value(place->encoding, value)
                                    : KL_NVS_NO_VALUE;
        *why = (struct kl_nvs_misfit){.place = i, .verdict = v};
        if (v != KL_NVS_OK)
            return false;
    }
    return true;
}

static bool put_own(const struct kl_nvs_schema *s, const struct kl_key *key, struct kl_nvs_build *b,
                    struct kl_nvs_misfit *why)
{
    struct kl_span value;

    KL_ASSERT(s->count > 0);
    for (unsigned i = 0; i < s->count; i++) {
        const struct kl_nvs_place *place = &s->place[i];
        enum kl_nvs_verdict v = kl_nvs_namespace(b, place->namespace);
        KL_ASSERT(value_of(s, place, key, &value));
        if (v == KL_NVS_OK)
            v = kl_nvs_put(b, place->name, place->encoding, value);
        *why = (struct kl_nvs_misfit){.place = i, .verdict = v};
        if (v != KL_NVS_OK)
            return false;
    }
    return true;
}

bool kl_nvs_schema_build(const struct kl_nvs_schema *s, const struct kl_key *key, uint8_t *image,
                         uint32_t size, struct kl_nvs_misfit *why)
{
    struct kl_nvs_build b;

    if (!kl_nvs_schema_fits(s, key, why))
        return false;
    kl_nvs_begin(&b, image, size);
    return put_own(s, key, &b, why);
}

/* ---- what stands there already ---- */

static bool is_own(const struct kl_nvs_schema *s, const char *namespace, const char *name)
{
    KL_ASSERT(s->count > 0);
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->place[i].namespace, namespace) == 0 && strcmp(s->place[i].name, name) == 0)
            return true;
    return false;
}

/* The next item that the schema does not name, and its namespace. */
static bool next_foreign(const struct kl_nvs_schema *s, struct kl_nvs_image image,
                         struct kl_nvs_walk *walk, struct kl_nvs_item *item,
                         char namespace[KL_NVS_NAME_MAX + 1])
{
    while (kl_nvs_next(image, walk, item))
        if (kl_nvs_namespace_name(image, item->namespace, namespace) &&
            !is_own(s, namespace, item->name))
            return true;
    return false;
}

bool kl_nvs_schema_foreign(const struct kl_nvs_schema *s, struct kl_nvs_image image)
{
    char namespace[KL_NVS_NAME_MAX + 1];
    struct kl_nvs_walk walk = {0};
    struct kl_nvs_item item;

    return next_foreign(s, image, &walk, &item, namespace);
}

struct old_value {
    struct kl_nvs_image image;
    const struct kl_nvs_item *item;
};

static void read_old(const void *self, size_t offset, uint8_t *out, size_t n)
{
    const struct old_value *old = self;

    kl_nvs_read(old->image, old->item, offset, out, n);
}

static enum kl_nvs_verdict put_old(struct kl_nvs_build *b, struct kl_nvs_image image,
                                   const struct kl_nvs_item *item)
{
    struct old_value old = {image, item};
    struct kl_nvs_source source = {.size = item->size, .read = read_old, .self = &old};
    enum kl_nvs_verdict v;
    uint8_t data[8];

    if (item->type >= KL_NVS_STRING)
        return kl_nvs_put_bytes(b, item->name, item->type, &source);
    memset(data, 0xFF, sizeof data);
    kl_nvs_read(image, item, 0, data, item->size);
    v = kl_nvs_put_number(b, item->name, item->type, data);
    kl_wipe(data, sizeof data);
    return v;
}

bool kl_nvs_schema_merge(const struct kl_nvs_schema *s, const struct kl_key *key,
                         struct kl_nvs_image old, uint8_t *image, uint32_t size,
                         struct kl_nvs_misfit *why)
{
    char namespace[KL_NVS_NAME_MAX + 1];
    struct kl_nvs_walk walk = {0};
    struct kl_nvs_build b;
    struct kl_nvs_item item;

    KL_ASSERT(old.data != image && kl_nvs_look(old) != KL_NVS_IS_FOREIGN);
    if (!kl_nvs_schema_fits(s, key, why))
        return false;
    kl_nvs_begin(&b, image, size);
    while (next_foreign(s, old, &walk, &item, namespace)) {
        enum kl_nvs_verdict v = kl_nvs_namespace(&b, namespace);
        if (v == KL_NVS_OK)
            v = put_old(&b, old, &item);
        *why = (struct kl_nvs_misfit){.verdict = v};
        if (v != KL_NVS_OK)
            return false;
    }
    return put_own(s, key, &b, why);
}

bool kl_nvs_schema_matches(const struct kl_nvs_schema *s, const struct kl_key *key,
                           struct kl_nvs_image image)
{
    struct kl_nvs_item item;
    struct kl_span value;

    KL_ASSERT(s->count > 0 && s->count <= KL_NVS_ITEMS_MAX);
    for (unsigned i = 0; i < s->count; i++) {
        const struct kl_nvs_place *place = &s->place[i];
        if (!value_of(s, place, key, &value) ||
            !kl_nvs_find(image, place->namespace, place->name, &item) ||
            !kl_nvs_equals(image, &item, place->encoding, value))
            return false;
    }
    return true;
}

void kl_nvs_schema_finish(struct kl_nvs_schema *s)
{
    kl_wipe(s, sizeof *s);
}
