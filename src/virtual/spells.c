/*
 * spells.c: firmware that prints its key for ever, each time in another way (the fault "spells").
 */
#include <stdio.h>
#include <string.h>

#include "program.h"

enum {
    EVERY_US = 40000,
};

struct field {
    const char *text;
    size_t size;
    uint8_t bytes[KL_LINE_MAX]; /* what its hex stands for; its characters if it is no hex */
    size_t count;
};

typedef size_t spell_fn(const struct field *f, char *out, size_t room);

static unsigned hex_digit(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20) - 'a' + 10;
}

static void take_bytes(struct field *f)
{
    char digits[KL_LINE_MAX];
    size_t n = 0;
    bool hex = true;

    for (size_t i = 0; i < f->size; i++) {
        if (f->text[i] == '-')
            continue;
        hex &= strchr("0123456789abcdefABCDEF", f->text[i]) != NULL;
        digits[n++] = f->text[i];
    }
    hex &= n % 2 == 0;
    f->count = hex ? n / 2 : f->size;
    for (size_t i = 0; i < f->count; i++)
        f->bytes[i] = hex ? (uint8_t)(hex_digit(digits[2 * i]) << 4 | hex_digit(digits[2 * i + 1]))
                          : (uint8_t)f->text[i];
}

static size_t as_stored(const struct field *f, char *out, size_t room)
{
    return (size_t)snprintf(out, room, "%.*s", (int)f->size, f->text);
}

static size_t other_case(const struct field *f, char *out, size_t room)
{
    size_t n = as_stored(f, out, room);

    for (size_t i = 0; i < n; i++)
        if ((out[i] | 0x20) >= 'a' && (out[i] | 0x20) <= 'z')
            out[i] ^= 0x20;
    return n;
}

/* Each byte by itself. */
#define SPELLING(name, format, backwards)                                                          \
    static size_t name(const struct field *f, char *out, size_t room)                              \
    {                                                                                              \
        size_t n = 0;                                                                              \
        for (size_t i = 0; i < f->count && n + 8 < room; i++)                                      \
            n += (size_t)snprintf(out + n, room - n, format,                                       \
                                  (unsigned)f->bytes[(backwards) ? f->count - 1 - i : i]);         \
        return n;                                                                                  \
    }
SPELLING(with_colons, "%02X:", false)
SPELLING(with_prefix, "0x%02X ", false)
SPELLING(as_array, "0x%02x, ", false)
SPELLING(with_blanks, "%02X ", false)
SPELLING(solid, "%02x", false)
SPELLING(unpadded, "%X", false)
SPELLING(decimal, "%u ", false)
SPELLING(decimal_list, "%u, ", false)
SPELLING(reversed, "%02X", true)
SPELLING(escaped, "\\x%02x", false)
#undef SPELLING

static size_t base64_of(const uint8_t *bytes, size_t count, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t i = 0; i < count; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 |
                         (i + 1 < count ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < count ? bytes[i + 2] : 0);
        for (unsigned k = 0; k < 4; k++)
            out[n++] = i + k > count ? '=' : digits[three >> (18 - 6 * k) & 63];
    }
    out[n] = '\0';
    return n;
}

static size_t base64(const struct field *f, char *out, size_t room)
{
    return room > 2 * KL_LINE_MAX ? base64_of(f->bytes, f->count, out) : 0;
}

static size_t base64_of_text(const struct field *f, char *out, size_t room)
{
    return room > 2 * KL_LINE_MAX ? base64_of((const uint8_t *)f->text, f->size, out) : 0;
}

static size_t half(const struct field *f, char *out, size_t room)
{
    return (size_t)snprintf(out, room, "%.*s", (int)(f->size / 2), f->text + f->size / 4);
}

static spell_fn *const spellings[] = {
    as_stored,    other_case, with_colons, with_prefix, as_array,
    with_blanks,  solid,      unpadded,    decimal,     reversed,
    decimal_list, base64,     escaped,     half,        base64_of_text,
};
enum {
    SPELLINGS = sizeof spellings / sizeof spellings[0],
};

/* Field `i` behind the label; false if there are not so many. */
static bool field_at(const char *stored, unsigned i, struct field *f)
{
    const char *at = strchr(stored, ',');

    for (; at && i > 0; i--)
        at = strchr(at + 1, ',');
    if (!at)
        return false;
    f->text = at + 1;
    f->size = strcspn(f->text, ",");
    take_bytes(f);
    return f->size > 0;
}

void spells_soon(struct kl_vboard *b)
{
    if (b->app && b->app->holding && fault_is(b, FAULT_ID_SPELLS))
        program_after(b, EVERY_US);
}

bool spells_tick(struct kl_vboard *b)
{
    char out[8 * KL_LINE_MAX];
    struct field f;

    if (!b->app->holding || !fault_is(b, FAULT_ID_SPELLS))
        return false;
    if (!field_at(b->stored, b->app->spelt / SPELLINGS, &f)) {
        b->app->spelt = 0;
        if (!field_at(b->stored, 0, &f))
            return true;
    }
    spellings[b->app->spelt++ % SPELLINGS](&f, out, sizeof out);
    board_say(b, "loop ");
    board_say(b, out);
    board_say(b, "\r\n");
    program_after(b, EVERY_US);
    return true;
}
