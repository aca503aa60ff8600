#include "said.h"

#include <string.h>

enum {
    NAME_MAX_SIZE = 48, /* longer ones are sentences */
    FRAME_MAX = 48,     /* longest text that may stand before a word */
    DIGEST = 32,
};

static const char ASKS[] = "Provisioning";
static const char PROVISIONED[] = "Provisioned";
static const char ERROR[] = "Error:";
static const char SHA256[] = "sha256:";
static const char MORE[] = "\xe2\x80\xa6"; /* … */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct kl_span trimmed(struct kl_span s)
{
    while (s.size && is_blank(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size && (is_blank(s.data[s.size - 1]) || s.data[s.size - 1] == '\0'))
        s.size--;
    return s;
}

static bool starts_with(struct kl_span s, const char *text)
{
    size_t size = strlen(text);
    return s.size >= size && memcmp(s.data, text, size) == 0;
}

/* Bytes that no program prints: noise at power-up, or a boot log at another rate. */
static bool is_garbled(struct kl_span s)
{
    KL_ASSERT(s.data || s.size == 0);
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
        if ((c < ' ' && c != '\t') || c == 0x7f || (c >= 0x80 && more == 0) || more >= s.size - i)
            return true;
        for (; more > 0; more--)
            if ((s.data[++i] & 0xc0) != 0x80)
                return true;
    }
    return false;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

size_t kl_said_find(const char *text, size_t size, const char *word)
{
    size_t length = strlen(word);

    KL_ASSERT(length > 0 && (text || size == 0));
    for (size_t at = 0; at + length <= size; at++) {
        size_t n = 0;
        while (n < length && lower((uint8_t)text[at + n]) == lower((uint8_t)word[n]))
            n++;
        if (n == length)
            return at;
    }
    return size;
}

/* ---- what a firmware puts before its lines ---- */

static void add_to_frame(struct kl_said_frame *f, uint8_t c)
{
    if (is_digit(c) || is_blank(c))
        return;
    f->hash = (uint32_t)kl_hash_more(f->hash, &c, 1);
    f->count++;
}

static struct kl_said_frame frame_of(struct kl_span before)
{
    struct kl_said_frame f = {0, 0};

    KL_ASSERT(before.size <= FRAME_MAX);
    for (size_t i = 0; i < before.size; i++)
        add_to_frame(&f, before.data[i]);
    return f;
}

/* Takes the frame off if `s` begins with it. */
static void strip_frame(struct kl_span *s, struct kl_said_frame frame)
{
    struct kl_said_frame f = {0, 0};

    for (size_t i = 0; i < s->size && i < FRAME_MAX && f.count < frame.count; i++) {
        add_to_frame(&f, s->data[i]);
        if (f.count == frame.count && f.hash == frame.hash) {
            *s = trimmed((struct kl_span){s->data + i + 1, s->size - i - 1});
            return;
        }
    }
}

/* ---- words ---- */

/* "I (312) app: ", "[main] ", "APP> ": a frame ends in a sign that parts it from the word. A
   sentence ("Start ") is no frame. */
static bool is_frame(struct kl_span before)
{
    struct kl_span s = trimmed(before);

    return s.size > 0 && before.size <= FRAME_MAX && memchr(":>])|=-#", s.data[s.size - 1], 8);
}

static bool is_trail(struct kl_span after)
{
    size_t i = 0;

    while (i < after.size) {
        size_t step = after.size - i >= 3 && memcmp(after.data + i, MORE, 3) == 0 ? 3 : 1;
        if (step == 1 && after.data[i] != '.' && after.data[i] != '!')
            return false;
        i += step;
    }
    return true;
}

/* Is the line this word? Garbage before it does not count: an ESP8266 prints its boot log at 74880
   baud, which at 115200 is garbage without a newline. Anything else around the word makes it
   loose. */
static bool read_word(struct kl_span s, const char *word, struct kl_said *out)
{
    size_t length = strlen(word), at = kl_said_find((const char *)s.data, s.size, word);

    if (at == s.size)
        return false;
    struct kl_span before = {s.data, at};
    struct kl_span after = {s.data + at + length, s.size - at - length};
    bool exact = memcmp(s.data + at, word, length) == 0 && after.size == 0;
    bool framed = before.size > 0 && is_frame(before);
    out->word = (struct kl_span){s.data + at, length};
    out->loose = !exact || before.size > 0;
    if (exact && (before.size == 0 || is_garbled(before))) {
        out->loose = false;
        return true;
    }
    if ((before.size > 0 && !framed) || !is_trail(after))
        return false;
    if (framed)
        out->frame = frame_of(before);
    return true;
}

static bool matches(const struct kl_words *words, const void *pattern, struct kl_span s)
{
    return words && pattern && words->match(pattern, (const char *)s.data, s.size);
}

/* "I (1234) wifi: …" of ESP-IDF and "[  1234][I][…] …" of Arduino */
static bool is_log_line(struct kl_span s)
{
    size_t i = 3;

    if (s.size > 0 && s.data[0] == '[')
        return true;
    if (s.size < 5 || !memchr("IWEDV", s.data[0], 5) || s.data[1] != ' ' || s.data[2] != '(')
        return false;
    while (i < s.size && (is_digit(s.data[i]) || s.data[i] == ':' || s.data[i] == '.'))
        i++;
    return i > 3 && i < s.size && s.data[i] == ')';
}

static bool read_field(struct kl_span s, struct kl_said *out)
{
    const uint8_t *colon = memchr(s.data, ':', s.size);

    if (!colon || is_log_line(s))
        return false;
    size_t name = (size_t)(colon - s.data);
    KL_ASSERT(name < s.size);
    if (name + 1 < s.size && !is_blank(colon[1]))
        return false;
    out->name = trimmed((struct kl_span){s.data, name});
    out->value = trimmed((struct kl_span){colon + 1, s.size - name - 1});
    return out->name.size > 0 && out->name.size <= NAME_MAX_SIZE;
}

/* The operator has said what fields are called: anything may precede such a name, and a colon or an
   equals sign follows it. */
static bool read_named_field(struct kl_span s, const struct kl_words *words, struct kl_said *out)
{
    size_t start = 0;

    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] != ':' && s.data[i] != '=')
            continue;
        out->name = trimmed((struct kl_span){s.data + start, i - start});
        out->value = trimmed((struct kl_span){s.data + i + 1, s.size - i - 1});
        if (out->name.size > 0 && out->name.size <= NAME_MAX_SIZE &&
            matches(words, words->fields, out->name))
            return true;
        start = i + 1;
    }
    return false;
}

static bool is_field(struct kl_span s, struct kl_said_frame frame, const struct kl_words *words,
                     struct kl_said *out)
{
    if (words && words->fields)
        return read_named_field(s, words, out);
    strip_frame(&s, frame); /* fields may lack the frame */
    return read_field(s, out);
}

struct kl_said kl_said_read(const char *line, size_t size, struct kl_said_frame frame,
                            const struct kl_words *words)
{
    KL_ASSERT(line && size <= INT32_MAX);
    struct kl_span s = trimmed((struct kl_span){(const uint8_t *)line, size});
    struct kl_said text = {.kind = KL_SAID_OTHER, .text = line, .size = size};

    if ((words && matches(words, words->prompt, s)) || (words && matches(words, words->ack, s))) {
        text.kind = matches(words, words->prompt, s) ? KL_SAID_ASKS : KL_SAID_PROVISIONED;
        text.word = s;
    } else if (read_word(s, ASKS, &text)) {
        text.kind = KL_SAID_ASKS;
    } else if (read_word(s, PROVISIONED, &text)) {
        text.kind = KL_SAID_PROVISIONED;
    } else if (starts_with(s, ERROR)) {
        text.kind = KL_SAID_ERROR;
    } else if (is_field(s, frame, words, &text)) {
        text.kind = KL_SAID_FIELD;
    }
    return text;
}

struct kl_span kl_said_unquoted(struct kl_span value)
{
    KL_ASSERT(value.data || value.size == 0);
    struct kl_span s = value;
    while (s.size > 0 && memchr(",} ", s.data[s.size - 1], 3)) /* of JSON */
        s.size--;
    if (s.size < 2 || s.data[0] != s.data[s.size - 1] || (s.data[0] != '"' && s.data[0] != '\''))
        return value;
    return (struct kl_span){s.data + 1, s.size - 2};
}

static bool read_digest(struct kl_span value, uint8_t out[DIGEST])
{
    if (!starts_with(value, SHA256) || value.size != strlen(SHA256) + (size_t)2 * DIGEST)
        return false;
    const uint8_t *digits = value.data + strlen(SHA256);
    KL_ASSERT(value.data + value.size == digits + (size_t)2 * DIGEST);
    for (int i = 0; i < DIGEST; i++) {
        int high = hex_value(digits[2 * i]), low = hex_value(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void kl_said_digest(struct kl_span value, kl_sha256_fn *sha256, uint8_t out[DIGEST])
{
    KL_ASSERT(sha256 && value.data);
    if (!read_digest(value, out))
        sha256(value.data, value.size, out);
}
