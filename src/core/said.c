#include "said.h"

#include <string.h>

enum {
    NAME_MAX_SIZE = 48, /* longer ones are sentences */
    DIGEST = 32,
};

static const char ASKS[] = "Provisioning";
static const char PROVISIONED[] = "Provisioned";
static const char ERROR[] = "Error:";
static const char SHA256[] = "sha256:";

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
    while (s.size && is_blank(s.data[s.size - 1]))
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

/* The whole line is this word; garbage before it does not count. An ESP8266 prints its boot log at
   74880 baud, and what it looks like at 115200 ends in no newline. */
static bool is_word(struct kl_span s, const char *word, struct kl_span *out)
{
    size_t size = strlen(word);

    KL_ASSERT(size > 0);
    if (s.size < size || memcmp(s.data + s.size - size, word, size) != 0)
        return false;
    *out = (struct kl_span){s.data + s.size - size, size};
    return s.size == size || is_garbled((struct kl_span){s.data, s.size - size});
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

struct kl_said kl_said_read(const char *line, size_t size)
{
    KL_ASSERT(line || size == 0);
    struct kl_span s = trimmed((struct kl_span){(const uint8_t *)line, size});
    struct kl_said text = {.kind = KL_SAID_OTHER, .text = line, .size = size};

    if (is_word(s, ASKS, &text.word))
        text.kind = KL_SAID_ASKS;
    else if (is_word(s, PROVISIONED, &text.word))
        text.kind = KL_SAID_PROVISIONED;
    else if (starts_with(s, ERROR))
        text.kind = KL_SAID_ERROR;
    else if (read_field(s, &text))
        text.kind = KL_SAID_FIELD;
    return text;
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
    KL_ASSERT(sha256 && (value.data || value.size == 0));
    if (!read_digest(value, out))
        sha256(value.data, value.size, out);
}
