#include "mask.h"

#include <string.h>

/* Lines are short and come a few a second; everything here is bounded by KL_MASK_LINE_MAX. */
enum {
    LINE = KL_MASK_LINE_MAX,
    NEEDLE = 3 * KL_LINE_MAX, /* the longest spelling of a field: its bytes in decimal */
    PART = 8,                 /* so many characters of a spelling in a row are hidden */
    GRAM = 4,                 /* characters looked up at once */
    RUN_BYTES = 8,            /* hex bytes in a row that no log needs */
};

struct text {
    const char *line;
    size_t size;
    bool hide[LINE];
    bool label[LINE]; /* the public label stands here: it is never hidden */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool is_hex(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

static bool is_alnum(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool is_separator(char c)
{
    return (uint8_t)c <= ' ' || c == 0x7f || strchr(":-,._;|\\\"'[]{}()", c);
}

static unsigned hex_value(char c)
{
    KL_ASSERT(is_hex(c));
    return (unsigned)(is_digit(c) ? c - '0' : lower(c) - 'a' + 10);
}

static void hide(struct text *t, size_t from, size_t to)
{
    KL_ASSERT(from <= to && to <= t->size);
    for (size_t i = from; i < to; i++)
        t->hide[i] = !t->label[i];
}

/* Length of "0x" or the x of "\x" where a number starts, else 0. */
static size_t prefix_at(const char *s, size_t size, size_t i)
{
    bool starts = i == 0 || !is_alnum(s[i - 1]);

    KL_ASSERT(i <= size);
    if (starts && i + 2 < size && s[i] == '0' && lower(s[i + 1]) == 'x' && is_hex(s[i + 2]))
        return 2;
    if (i > 0 && s[i - 1] == '\\' && i + 1 < size && s[i] == 'x' && is_hex(s[i + 1]))
        return 1;
    return 0;
}

/* ---- first net: the known key ---- */

/* A line or a spelling without separators and prefixes, in lower case. */
struct compact {
    char text[LINE];
    uint16_t at[LINE]; /* where each character stood */
    size_t size;
    uint8_t grams[512]; /* which groups of GRAM characters occur, as a Bloom filter */
};

static unsigned gram(const char *s)
{
    uint32_t hash = (uint32_t)(uint8_t)s[0] | (uint32_t)(uint8_t)s[1] << 8 |
                    (uint32_t)(uint8_t)s[2] << 16 | (uint32_t)(uint8_t)s[3] << 24;
    return (hash * 2654435761u) >> 20;
}

static void compact(struct compact *c, const char *s, size_t size)
{
    KL_ASSERT(size <= LINE);
    c->size = 0;
    for (size_t i = 0; i < size; i++) {
        size_t prefix = prefix_at(s, size, i);
        if (prefix) {
            i += prefix - 1;
        } else if (!is_separator(s[i])) {
            c->text[c->size] = lower(s[i]);
            c->at[c->size++] = (uint16_t)i;
        }
    }
}

static void index_grams(struct compact *c)
{
    KL_ASSERT(c->size <= LINE);
    memset(c->grams, 0, sizeof c->grams);
    for (size_t i = 0; i + GRAM <= c->size; i++) {
        unsigned g = gram(c->text + i);
        c->grams[g / 8] |= (uint8_t)(1u << g % 8);
    }
}

static bool has_gram(const struct compact *c, const char *s)
{
    unsigned g = gram(s);
    return c->grams[g / 8] >> g % 8 & 1;
}

/* Hides each stretch of the line that equals a part of the needle starting at `from`. Stretches
   that began one character earlier are hidden already. */
static void hide_parts_from(struct text *t, const struct compact *line, const char *needle,
                            size_t size, size_t from)
{
    size_t enough = size < PART ? size : PART;

    KL_ASSERT(from < size && enough >= GRAM);
    for (size_t i = 0; i + enough <= line->size; i++) {
        size_t run = 0;
        if (i > 0 && from > 0 && line->text[i - 1] == needle[from - 1])
            continue;
        while (i + run < line->size && from + run < size &&
               line->text[i + run] == needle[from + run])
            run++;
        if (run >= enough)
            hide(t, line->at[i], line->at[i + run - 1] + 1u);
    }
}

/* A needle of two or three characters counts only as a whole word. */
static void hide_word(struct text *t, const char *word, size_t size)
{
    KL_ASSERT(size > 1 && size < GRAM);
    for (size_t i = 0; i + size <= t->size; i++) {
        size_t n = 0;
        if ((i > 0 && is_alnum(t->line[i - 1])) ||
            (i + size < t->size && is_alnum(t->line[i + size])))
            continue;
        while (n < size && lower(t->line[i + n]) == word[n])
            n++;
        if (n == size)
            hide(t, i, i + size);
    }
}

static void hide_needle(struct text *t, const struct compact *line, const char *needle, size_t size)
{
    KL_ASSERT(size <= NEEDLE && line->size <= t->size);
    if (size < GRAM) {
        if (size > 1)
            hide_word(t, needle, size);
        return;
    }
    for (size_t from = 0; from + GRAM <= size; from++)
        if (has_gram(line, needle + from))
            hide_parts_from(t, line, needle, size, from);
}

static const char HEX[] = "0123456789abcdef";

typedef size_t spell_fn(const uint8_t *bytes, size_t size, char *out);

static size_t spell_hex(const uint8_t *bytes, size_t size, char *out)
{
    KL_ASSERT(2 * size <= NEEDLE);
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
    return 2 * size;
}

/* Least significant byte first, as LoRaWAN stacks print keys and EUIs. */
static size_t spell_reversed(const uint8_t *bytes, size_t size, char *out)
{
    KL_ASSERT(2 * size <= NEEDLE);
    for (size_t i = 0; i < size; i++)
        spell_hex(bytes + size - 1 - i, 1, out + 2 * i);
    return 2 * size;
}

/* As Arduino's print(byte, HEX) does: without leading zeros. */
static size_t spell_unpadded(const uint8_t *bytes, size_t size, char *out)
{
    size_t n = 0;

    KL_ASSERT(2 * size <= NEEDLE);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] >> 4)
            out[n++] = HEX[bytes[i] >> 4];
        out[n++] = HEX[bytes[i] & 15];
    }
    return n;
}

static size_t spell_decimal(const uint8_t *bytes, size_t size, char *out)
{
    size_t n = 0;

    KL_ASSERT(3 * size <= NEEDLE);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] >= 100)
            out[n++] = (char)('0' + bytes[i] / 100);
        if (bytes[i] >= 10)
            out[n++] = (char)('0' + bytes[i] / 10 % 10);
        out[n++] = (char)('0' + bytes[i] % 10);
    }
    return n;
}

static char base64_digit(unsigned value)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789+/";
    return digits[value & 63];
}

/* In lower case like everything compared here; without the padding. */
static size_t spell_base64(const uint8_t *bytes, size_t size, char *out)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned have = 0;

    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 6; have -= 6)
            out[n++] = base64_digit(bits >> (have - 6));
    }
    if (have)
        out[n++] = base64_digit(bits << (6 - have));
    return n;
}

/* The bytes that a field in hex stands for; 0 if it is no hex or too short to matter. */
static size_t bytes_of_hex(const struct compact *field, uint8_t *out)
{
    if (field->size % 2 != 0 || field->size < PART)
        return 0;
    for (size_t i = 0; i < field->size; i++)
        if (!is_hex(field->text[i]))
            return 0;
    for (size_t i = 0; i < field->size / 2; i++)
        out[i] = (uint8_t)(hex_value(field->text[2 * i]) << 4 | hex_value(field->text[2 * i + 1]));
    return field->size / 2;
}

static void hide_spellings(struct text *t, const struct compact *line, const uint8_t *bytes,
                           size_t size)
{
    static const struct {
        spell_fn *spell;
        size_t least; /* a shorter needle would hide digits by chance */
    } spellings[] = {{spell_hex, 1},
                     {spell_base64, 1},
                     {spell_reversed, PART},
                     {spell_unpadded, PART},
                     {spell_decimal, PART}};
    char needle[NEEDLE];

    KL_ASSERT(size <= KL_LINE_MAX);
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        size_t length = spellings[i].spell(bytes, size, needle);
        if (length >= spellings[i].least)
            hide_needle(t, line, needle, length);
    }
    kl_wipe(needle, sizeof needle);
}

static void hide_field(struct text *t, const struct compact *line, struct kl_span field)
{
    struct compact plain;
    uint8_t bytes[KL_LINE_MAX];

    KL_ASSERT(field.size > 0 && field.size <= KL_LINE_MAX);
    compact(&plain, (const char *)field.data, field.size);
    hide_needle(t, line, plain.text, plain.size);
    hide_spellings(t, line, field.data, field.size);
    hide_spellings(t, line, bytes, bytes_of_hex(&plain, bytes));
    kl_wipe(&plain, sizeof plain);
    kl_wipe(bytes, sizeof bytes);
}

/* A long field is looked for in pieces that overlap by more than PART characters of any spelling.
   Pieces begin where whole groups of hexadecimal and base64 digits do. */
static void hide_pieces(struct text *t, const struct compact *line, struct kl_span field)
{
    const size_t piece = 240, step = 192;

    KL_ASSERT(piece <= KL_LINE_MAX && step % 6 == 0 && field.size > 0);
    for (size_t at = 0;; at += step) {
        size_t left = field.size - at;
        hide_field(t, line, (struct kl_span){field.data + at, left < piece ? left : piece});
        if (left <= piece)
            return;
    }
}

static void hide_key(struct text *t, const struct kl_key *key)
{
    struct compact line;

    KL_ASSERT(key->count > 0 && key->count <= KL_COLUMNS_MAX);
    compact(&line, t->line, t->size);
    index_grams(&line);
    for (unsigned i = 1; i < key->count; i++)
        hide_pieces(t, &line, kl_key_field(key, i));
    kl_wipe(&line, sizeof line);
}

/* Shorter labels could stand inside a key by chance. */
static void note_label(struct text *t, struct kl_span label)
{
    if (label.size < GRAM)
        return;
    for (size_t i = 0; i + label.size <= t->size; i++) {
        bool alone = (i == 0 || !is_alnum(t->line[i - 1])) &&
                     (i + label.size == t->size || !is_alnum(t->line[i + label.size]));
        if (alone && memcmp(t->line + i, label.data, label.size) == 0)
            memset(t->label + i, true, label.size);
    }
}

/* ---- second net: any long row of hex bytes ---- */

static bool is_loose_hex(const struct text *t, size_t i)
{
    return i < t->size && !t->label[i] && is_hex(t->line[i]);
}

static void hide_solid_hex(struct text *t)
{
    for (size_t i = 0; i < t->size; i++) {
        size_t end = i;
        while (is_loose_hex(t, end))
            end++;
        if (end - i >= 2 * RUN_BYTES)
            hide(t, i, end);
        if (end > i)
            i = end;
    }
}

struct group { /* a number in hex that stands alone */
    size_t start, end;
    size_t digits;
    uint32_t value;
};

/* The group that starts the first word at or after `from`; false if that word is no hex number. */
static bool group_at(const struct text *t, size_t from, struct group *g)
{
    size_t i = from;

    while (i < t->size && !is_alnum(t->line[i]))
        i++;
    g->start = i;
    i += prefix_at(t->line, t->size, i);
    size_t first = i;
    for (g->value = 0; is_loose_hex(t, i); i++)
        g->value = g->value << 4 | hex_value(t->line[i]);
    g->digits = i - first;
    g->end = i;
    return g->digits > 0 && (i == t->size || !is_alnum(t->line[i]));
}

/* The one character that parts two groups (blanks around it don't count); 0 if it is more. */
static char separator_between(const struct text *t, size_t from, size_t to)
{
    char kind = ' ';

    KL_ASSERT(from <= to && to <= t->size);
    for (size_t i = from; i < to; i++) {
        if ((uint8_t)t->line[i] <= ' ' || t->line[i] == '\\')
            continue;
        if (kind != ' ' || !is_separator(t->line[i]))
            return 0;
        kind = t->line[i];
    }
    return kind;
}

/* Dumps have groups of one width; a byte may lack its leading zero. Only a UUID mixes them. */
static unsigned width_of(const struct group *g)
{
    return g->digits <= 2 ? 1 : g->digits <= 4 ? 2 : g->digits <= 8 ? 4 : 8;
}

/* Code and data addresses of all chips, flash offsets and sizes stay visible, so that backtraces
   and partition tables are readable. */
static bool looks_like_address(const struct group *g)
{
    return g->digits > 4 && g->digits <= 8 &&
           (g->value < 0x02000000 || (g->value >= 0x3c000000 && g->value < 0x60100000));
}

static size_t word_end(const struct text *t, size_t i)
{
    while (i < t->size && !is_alnum(t->line[i]))
        i++;
    while (i < t->size && is_alnum(t->line[i]))
        i++;
    return i;
}

/* The column of characters beside a dump spells the same bytes. */
static void hide_character_column(struct text *t, size_t from)
{
    while (from < t->size && t->line[from] != '|')
        from++;
    if (from + 1 < t->size && t->line[t->size - 1] == '|')
        hide(t, from, t->size);
}

/* Follows a row from its first group and hides it if it is long. Returns where it ends. */
static size_t hide_row(struct text *t, struct group first)
{
    KL_ASSERT(first.start < first.end && first.end <= t->size && first.digits > 0);
    struct group g = first, next;
    size_t bytes = (first.digits + 1) / 2;
    bool addresses = looks_like_address(&first);
    char kind = 0;

    while (group_at(t, g.end, &next)) {
        char between = separator_between(t, g.end, next.start);
        bool uniform = between == '-' || width_of(&next) == width_of(&first);
        if (between == 0 || (kind != 0 && between != kind) || !uniform)
            break;
        kind = between;
        g = next;
        bytes += (g.digits + 1) / 2;
        addresses = addresses && looks_like_address(&g);
    }
    if (bytes < RUN_BYTES || addresses)
        return g.end;
    /* a dump's last group may be narrower */
    while (group_at(t, g.end, &next) && separator_between(t, g.end, next.start) == kind)
        g = next;
    hide(t, first.start, g.end);
    hide_character_column(t, g.end);
    return g.end;
}

/* A row ends where its separator changes; that group may start the next row. */
static void hide_rows(struct text *t)
{
    struct group g;

    for (size_t i = 0; i < t->size;) {
        if (!group_at(t, i, &g)) {
            i = word_end(t, i);
            continue;
        }
        size_t end = hide_row(t, g);
        size_t again = end;
        while (again > g.end && is_alnum(t->line[again - 1]))
            again--;
        i = again > g.end && !t->hide[again] ? again : end;
    }
}

/* ---- third net: words that announce a secret ---- */

static bool names_secret(const char *name, size_t size)
{
    static const char *const words[] = {"key", "secret", "passw", "token", "psk"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        for (size_t at = 0; at + length <= size; at++) {
            size_t n = 0;
            while (n < length && lower(name[at + n]) == words[i][n])
                n++;
            if (n == length)
                return true;
        }
    }
    return false;
}

/* "name: value" to the end of the line, "name=value" to the next blank. */
static void hide_value(struct text *t, size_t sign)
{
    KL_ASSERT(sign < t->size);
    size_t i = sign + 1;
    size_t end = t->size;

    while (i < t->size && t->line[i] == ' ')
        i++;
    if (t->line[sign] == '=')
        for (end = i; end < t->size && (uint8_t)t->line[end] > ' ';)
            end++;
    if (i < end)
        hide(t, i, end);
}

static void hide_named_values(struct text *t)
{
    for (size_t i = 1; i < t->size; i++) {
        size_t start = i;
        if (t->line[i] != ':' && t->line[i] != '=')
            continue;
        while (start > 0 && (is_alnum(t->line[start - 1]) || t->line[start - 1] == '_' ||
                             t->line[start - 1] == '-' || t->line[start - 1] == ' '))
            start--;
        if (names_secret(t->line + start, i - start))
            hide_value(t, i);
    }
}

/* ---- what is left, made printable ---- */

/* Length of the well-formed, printable UTF-8 character at s, or 0. */
static size_t utf8_length(const uint8_t *s, size_t size)
{
    KL_ASSERT(size > 0);
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    static const uint32_t lowest[] = {0, 0, 0xa0, 0x800, 0x10000};
    uint32_t code = s[0] & (0xffu >> (length + 1));

    if (length == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    /* marks that turn the direction of writing could make a line look like another */
    bool turning = (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                   (code >= 0x2060 && code <= 0x2069) || code == 0xfeff;
    return code < lowest[length] || code > 0x10ffff || surrogate || turning ? 0 : length;
}

static char printable(char c)
{
    if (c == '\t')
        return ' ';
    return (uint8_t)c < ' ' || c == 0x7f ? '.' : c;
}

static bool put_out(char *out, size_t *used, size_t capacity, const char *s, size_t size)
{
    KL_ASSERT(*used <= capacity && size > 0);
    if (size > capacity - *used)
        return false;
    memcpy(out + *used, s, size);
    *used += size;
    return true;
}

static size_t write_out(const struct text *t, char *out, size_t capacity)
{
    static const char masked[] = "[masked]";
    size_t used = 0;

    for (size_t i = 0; i < t->size;) {
        if (t->hide[i]) {
            while (i < t->size && t->hide[i])
                i++;
            if (!put_out(out, &used, capacity, masked, sizeof masked - 1))
                break;
            continue;
        }
        size_t length = utf8_length((const uint8_t *)t->line + i, t->size - i);
        for (size_t n = 1; n < length; n++)
            if (t->hide[i + n])
                length = 0;
        char c = length == 0 ? '?' : printable(t->line[i]);
        if (!put_out(out, &used, capacity, length > 1 ? t->line + i : &c, length ? length : 1))
            break;
        i += length ? length : 1;
    }
    return used;
}

size_t kl_mask_line(char *out, size_t capacity, const char *line, size_t size,
                    const struct kl_key *key)
{
    struct text t = {.line = line, .size = size < LINE ? size : LINE};

    KL_ASSERT(line + size <= out || out + capacity <= line);
    if (key) {
        note_label(&t, kl_key_field(key, 0));
        hide_key(&t, key);
    }
    hide_solid_hex(&t);
    hide_rows(&t);
    hide_named_values(&t);
    return write_out(&t, out, capacity);
}

size_t kl_mask_strip_escapes(char *line, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (line[i] == 0x1b && i + 1 < size && line[i + 1] == '[') {
            i += 2;
            while (i < size && ((uint8_t)line[i] < 0x40 || (uint8_t)line[i] > 0x7e))
                i++;
        } else {
            line[used++] = line[i];
        }
    }
    return used;
}
