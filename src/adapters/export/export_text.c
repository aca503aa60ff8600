/* export_text.c: the text of an export, which may be secret. */
#include <string.h>
#include <time.h>

#include "export_private.h"
#include "keyline/secret.h"

enum {
    FIRST_ROOM = 1 << 16,
};

void export_put(struct export_text *t, const void *data, size_t size)
{
    if (t->failed)
        return;
    if (t->size + size > t->room) {
        size_t room = t->room == 0 ? FIRST_ROOM : t->room;
        char *more;

        while (room < t->size + size)
            room *= 2;
        if (!(more = kl_secret_grow(t->data, t->room, room))) {
            t->failed = true;
            return;
        }
        t->data = more;
        t->room = room;
    }
    if (size > 0)
        memcpy(t->data + t->size, data, size);
    t->size += size;
}

void export_puts(struct export_text *t, const char *text)
{
    export_put(t, text, strlen(text));
}

void export_text_free(struct export_text *t)
{
    kl_secret_free(t->data, t->room);
    memset(t, 0, sizeof *t);
}

struct kl_span export_span(const char *text)
{
    return (struct kl_span){(const uint8_t *)text, strlen(text)};
}

void export_time(int64_t wall, char out[32])
{
    time_t seconds = (time_t)(wall / 1000000);
    struct tm utc;

    out[0] = '\0';
    if (wall != 0 && gmtime_r(&seconds, &utc))
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* ---- CSV ---- */

static bool wants_quotes(struct kl_span v)
{
    for (size_t i = 0; i < v.size; i++)
        if (v.data[i] < ' ' || strchr(",;\"", v.data[i]))
            return true;
    return v.size > 0 && (v.data[0] == ' ' || v.data[v.size - 1] == ' ');
}

void export_csv(struct export_text *t, struct kl_span v)
{
    if (!wants_quotes(v)) {
        export_put(t, v.data, v.size);
        return;
    }
    export_puts(t, "\"");
    for (size_t i = 0; i < v.size; i++) {
        if (v.data[i] == '"')
            export_puts(t, "\"");
        export_put(t, &v.data[i], 1);
    }
    export_puts(t, "\"");
}

/* ---- JSON ---- */

/* Bytes of the UTF-8 character here; 0 = it is none. */
static size_t character(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80       ? 1
                  : p[0] >> 5 == 6  ? 2
                  : p[0] >> 4 == 14 ? 3
                  : p[0] >> 3 == 30 ? 4
                                    : 0;
    uint32_t code;

    if (size <= 1)
        return size;
    if (size > left)
        return 0;
    code = p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    return code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}

bool export_json(struct export_text *t, struct kl_span v)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0, size; i < v.size; i += size) {
        if ((size = character(v.data + i, v.size - i)) == 0)
            return false;
        if (v.data[i] < ' ') {
            char code[] = {'\\', 'u', '0', '0', hex[v.data[i] >> 4], hex[v.data[i] & 15]};
            export_put(t, code, sizeof code);
        } else {
            if (v.data[i] == '"' || v.data[i] == '\\')
                export_puts(t, "\\");
            export_put(t, v.data + i, size);
        }
    }
    return true;
}

bool export_member(struct export_text *t, const char *name, struct kl_span v)
{
    bool good;

    if (t->size > 0 && !t->failed && t->data[t->size - 1] != '{')
        export_puts(t, ",");
    export_puts(t, "\"");
    good = export_json(t, export_span(name));
    export_puts(t, "\":\"");
    good = export_json(t, v) && good;
    export_puts(t, "\"");
    return good;
}
