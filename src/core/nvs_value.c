/* nvs_value.c: numbers, strings, hexadecimal and base64 text, checked and turned into bytes. */
#include "nvs_value.h"

#include <string.h>

static const char *const words[KL_NVS_ENCODING_COUNT] = {
#define X(name, word) [KL_NVS_AS_##name] = word,
    KL_NVS_ENCODINGS(X)
#undef X
};

/* Numbers: the type, and how many bits of value it has. */
static const struct {
    enum kl_nvs_type type;
    unsigned bytes;
    bool is_signed;
} numbers[] = {
    [KL_NVS_AS_U8] = {KL_NVS_U8, 1, false},   [KL_NVS_AS_I8] = {KL_NVS_I8, 1, true},
    [KL_NVS_AS_U16] = {KL_NVS_U16, 2, false}, [KL_NVS_AS_I16] = {KL_NVS_I16, 2, true},
    [KL_NVS_AS_U32] = {KL_NVS_U32, 4, false}, [KL_NVS_AS_I32] = {KL_NVS_I32, 4, true},
    [KL_NVS_AS_U64] = {KL_NVS_U64, 8, false}, [KL_NVS_AS_I64] = {KL_NVS_I64, 8, true},
};

const char *kl_nvs_encoding_word(enum kl_nvs_encoding e)
{
    KL_ASSERT(e < KL_NVS_ENCODING_COUNT);
    return words[e];
}

static bool is_word(struct kl_span word, const char *other)
{
    KL_ASSERT(other && (word.data || !word.size));
    return word.size == strlen(other) && memcmp(word.data, other, word.size) == 0;
}

bool kl_nvs_encoding_of(struct kl_span word, enum kl_nvs_encoding *out)
{
    for (int e = 0; e < KL_NVS_ENCODING_COUNT; e++)
        if (is_word(word, words[e])) {
            *out = (enum kl_nvs_encoding)e;
            return true;
        }
    *out = KL_NVS_AS_BLOB;
    return is_word(word, "binary");
}

const char *kl_nvs_verdict_text(enum kl_nvs_verdict v)
{
    static const char *const texts[KL_NVS_VERDICT_COUNT] = {
#define X(name, text) [KL_NVS_##name] = text,
        KL_NVS_VERDICTS(X)
#undef X
    };

    KL_ASSERT(v < KL_NVS_VERDICT_COUNT);
    return texts[v];
}

enum kl_nvs_verdict kl_nvs_check_name(struct kl_span name)
{
    KL_ASSERT(name.data || !name.size);
    if (name.size == 0)
        return KL_NVS_NO_NAME;
    if (name.size > KL_NVS_NAME_MAX)
        return KL_NVS_LONG_NAME;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < ' ' || name.data[i] == 0x7F)
            return KL_NVS_ODD_NAME;
    return KL_NVS_OK;
}

bool nvs_is_number(enum kl_nvs_encoding e)
{
    KL_ASSERT(e < KL_NVS_ENCODING_COUNT);
    return e <= KL_NVS_AS_I64;
}

enum kl_nvs_type nvs_type_of(enum kl_nvs_encoding e)
{
    if (nvs_is_number(e))
        return numbers[e].type;
    return e == KL_NVS_AS_STRING ? KL_NVS_STRING : KL_NVS_BLOB;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- numbers ---- */

/* Sign and size of a whole number; a leading 0 is refused, since decimal and hexadecimal identities
   of one length look alike. */
static enum kl_nvs_verdict parse_number(struct kl_span text, bool *negative, uint64_t *size)
{
    const uint8_t *p = text.data, *end = text.data + text.size;
    unsigned base = 10;

    *negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x') {
        base = 16;
        p += 2;
    }
    if (p == end)
        return KL_NVS_NO_NUMBER;
    if (base == 10 && *p == '0' && end - p > 1)
        return KL_NVS_LEADING_ZERO;
    for (*size = 0; p < end; p++) {
        int digit = hex_digit(*p);
        if (digit < 0 || (unsigned)digit >= base)
            return KL_NVS_NO_NUMBER;
        if (*size > (UINT64_MAX - (unsigned)digit) / base)
            return KL_NVS_OUT_OF_RANGE;
        *size = *size * base + (unsigned)digit;
    }
    return KL_NVS_OK;
}

static enum kl_nvs_verdict check_number(enum kl_nvs_encoding e, struct kl_span text)
{
    unsigned bits = numbers[e].bytes * 8;
    uint64_t size, most = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    bool negative;
    enum kl_nvs_verdict v = parse_number(text, &negative, &size);

    KL_ASSERT(bits >= 8 && bits <= 64);
    if (v != KL_NVS_OK)
        return v;
    if (numbers[e].is_signed)
        most = (most >> 1) + negative;
    else if (negative && size > 0)
        return KL_NVS_OUT_OF_RANGE;
    return size > most ? KL_NVS_OUT_OF_RANGE : KL_NVS_OK;
}

void nvs_number(const struct nvs_text *t, uint8_t out[8])
{
    uint64_t size = 0;
    bool negative = false;

    KL_ASSERT(nvs_is_number(t->encoding));
    KL_ASSERT(parse_number(t->text, &negative, &size) == KL_NVS_OK);
    if (negative)
        size = 0 - size;
    memset(out, 0xFF, 8);
    for (unsigned i = 0; i < numbers[t->encoding].bytes; i++)
        out[i] = (uint8_t)(size >> 8 * i);
}

/* ---- bytes ---- */

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Characters of base64 without the padding. */
static size_t base64_length(struct kl_span text)
{
    size_t n = text.size;

    KL_ASSERT(text.data || !n);
    while (n > 0 && text.size - n < 2 && text.data[n - 1] == '=')
        n--;
    return n;
}

static enum kl_nvs_verdict check_base64(struct kl_span text)
{
    size_t n = base64_length(text);

    if (text.size % 4 != 0 || (text.size != n && n % 4 != 4 - (text.size - n)))
        return KL_NVS_NO_BASE64;
    for (size_t i = 0; i < n; i++)
        if (base64_digit(text.data[i]) < 0)
            return KL_NVS_NO_BASE64;
    /* Bits after the last whole byte would be lost. */
    if (n % 4 == 2 && base64_digit(text.data[n - 1]) & 15)
        return KL_NVS_NO_BASE64;
    if (n % 4 == 3 && base64_digit(text.data[n - 1]) & 3)
        return KL_NVS_NO_BASE64;
    return KL_NVS_OK;
}

static enum kl_nvs_verdict check_hex(struct kl_span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (hex_digit(text.data[i]) < 0)
            return KL_NVS_NO_HEX;
    return text.size % 2 ? KL_NVS_ODD_HEX : KL_NVS_OK;
}

enum kl_nvs_verdict kl_nvs_check_value(enum kl_nvs_encoding e, struct kl_span text)
{
    KL_ASSERT(text.data || !text.size);
    if (nvs_is_number(e))
        return check_number(e, text);
    switch (e) {
    case KL_NVS_AS_STRING:
        if (text.size && memchr(text.data, '\0', text.size))
            return KL_NVS_NUL_INSIDE;
        return text.size + 1 > KL_NVS_STRING_MAX ? KL_NVS_LONG_STRING : KL_NVS_OK;
    case KL_NVS_AS_HEX2BIN:
        return check_hex(text);
    case KL_NVS_AS_BASE64:
        return check_base64(text);
    default:
        return KL_NVS_OK;
    }
}

static size_t size_of(const struct nvs_text *t)
{
    switch (t->encoding) {
    case KL_NVS_AS_STRING:
        return t->text.size + 1;
    case KL_NVS_AS_HEX2BIN:
        return t->text.size / 2;
    case KL_NVS_AS_BASE64:
        return base64_length(t->text) * 3 / 4;
    default:
        return t->text.size;
    }
}

static uint8_t base64_byte(struct kl_span text, size_t i)
{
    size_t at = i / 3 * 4 + i % 3;
    unsigned shift = 2 + 2 * (unsigned)(i % 3);

    KL_ASSERT(at + 1 < text.size);
    int high = base64_digit(text.data[at]), low = base64_digit(text.data[at + 1]);
    KL_ASSERT(high >= 0 && low >= 0);
    return (uint8_t)(high << shift | low >> (6 - shift));
}

static uint8_t hex_byte(struct kl_span text, size_t i)
{
    int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

    KL_ASSERT(high >= 0 && low >= 0);
    return (uint8_t)(high << 4 | low);
}

static void read_text(const void *self, size_t offset, uint8_t *out, size_t n)
{
    const struct nvs_text *t = self;

    KL_ASSERT(offset <= size_of(t) && n <= size_of(t) - offset);
    for (size_t i = 0; i < n; i++) {
        size_t at = offset + i;
        if (t->encoding == KL_NVS_AS_HEX2BIN)
            out[i] = hex_byte(t->text, at);
        else if (t->encoding == KL_NVS_AS_BASE64)
            out[i] = base64_byte(t->text, at);
        else
            out[i] = at < t->text.size ? t->text.data[at] : 0;
    }
}

struct kl_nvs_source nvs_text_source(const struct nvs_text *t)
{
    KL_ASSERT(!nvs_is_number(t->encoding));
    return (struct kl_nvs_source){.size = size_of(t), .read = read_text, .self = t};
}
