#include "keyline/base.h"

#include <string.h>

static void report_nothing(const char *condition, const char *file, int line)
{
    (void)condition;
    (void)file;
    (void)line;
}

void (*kl_assert_report)(const char *condition, const char *file, int line) = report_nothing;

_Noreturn void kl_assert_failed(const char *condition, const char *file, int line)
{
    kl_assert_report(condition, file, line);
    __builtin_trap();
}

bool kl_mac_is_set(const struct kl_mac *mac)
{
    static const struct kl_mac none;
    return !kl_mac_equal(mac, &none);
}

bool kl_mac_equal(const struct kl_mac *a, const struct kl_mac *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

void kl_mac_format(const struct kl_mac *mac, char out[18])
{
    kl_format(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac->b[0], mac->b[1], mac->b[2], mac->b[3],
              mac->b[4], mac->b[5]);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool kl_mac_parse(const char *text, struct kl_mac *mac)
{
    struct kl_mac parsed;

    for (int i = 0; i < 6; i++) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        parsed.b[i] = (uint8_t)(high << 4 | low);
        text += 2;
        if (*text != (i < 5 ? ':' : '\0'))
            return false;
        text++;
    }
    *mac = parsed;
    return true;
}

bool kl_copy(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    bool fits = length < size;

    KL_ASSERT(size > 0);
    if (!fits)
        length = size - 1;
    memcpy(out, text, length);
    out[length] = '\0';
    return fits;
}

struct format_out {
    char *text;
    size_t size, used;
};

static void put(struct format_out *out, char c)
{
    if (out->used + 1 < out->size)
        out->text[out->used++] = c;
}

static void put_padded(struct format_out *out, const char *text, size_t length, size_t width,
                       char pad, bool left)
{
    for (size_t i = length; !left && i < width; i++)
        put(out, pad);
    for (size_t i = 0; i < length; i++)
        put(out, text[i]);
    for (size_t i = length; left && i < width; i++)
        put(out, ' ');
}

static size_t digits_of(unsigned long long value, unsigned base, bool upper, char *out)
{
    char reversed[24];
    size_t n = 0;

    do {
        unsigned digit = (unsigned)(value % base);
        reversed[n++] = (char)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
        value /= base;
    } while (value);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

struct format_spec {
    bool left, zero;
    size_t width, precision;
    int longs; /* number of l, or 2 for z */
    char conversion;
};

static const char *parse_spec(const char *f, struct format_spec *spec)
{
    *spec = (struct format_spec){.precision = SIZE_MAX};
    for (; *f == '-' || *f == '0'; f++) {
        spec->left |= *f == '-';
        spec->zero |= *f == '0';
    }
    for (; *f >= '0' && *f <= '9'; f++)
        spec->width = spec->width * 10 + (size_t)(*f - '0');
    if (*f == '.')
        for (f++, spec->precision = 0; *f >= '0' && *f <= '9'; f++)
            spec->precision = spec->precision * 10 + (size_t)(*f - '0');
    for (; *f == 'l' || *f == 'z'; f++)
        spec->longs += *f == 'z' ? 2 : 1;
    spec->conversion = *f;
    return *f ? f + 1 : f;
}

static long long signed_argument(va_list *args, int longs)
{
    if (longs >= 2)
        return va_arg(*args, long long);
    return longs == 1 ? va_arg(*args, long) : va_arg(*args, int);
}

static unsigned long long unsigned_argument(va_list *args, int longs)
{
    if (longs >= 2)
        return va_arg(*args, unsigned long long);
    return longs == 1 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

static void put_number(struct format_out *out, const struct format_spec *spec, va_list *args)
{
    char text[32];
    size_t n = 0;

    if (spec->conversion == 'd') {
        long long value = signed_argument(args, spec->longs);
        unsigned long long magnitude =
            value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
        if (value < 0)
            text[n++] = '-';
        n += digits_of(magnitude, 10, false, text + n);
    } else {
        unsigned base = spec->conversion == 'u' ? 10 : 16;
        n = digits_of(unsigned_argument(args, spec->longs), base, spec->conversion == 'X', text);
    }
    put_padded(out, text, n, spec->width, spec->zero && !spec->left ? '0' : ' ', spec->left);
}

static void put_string(struct format_out *out, const struct format_spec *spec, const char *text)
{
    size_t length = 0;

    while (length < spec->precision && text[length])
        length++;
    put_padded(out, text, length, spec->width, ' ', spec->left);
}

size_t kl_vformat(char *text, size_t size, const char *format, va_list arguments)
{
    struct format_out out = {text, size, 0};
    va_list args; /* a copy, because the address of a parameter of this type may not be one */

    KL_ASSERT(size > 0);
    va_copy(args, arguments);
    while (*format) {
        struct format_spec spec;
        if (*format != '%') {
            put(&out, *format++);
            continue;
        }
        format = parse_spec(format + 1, &spec);
        switch (spec.conversion) {
        case 'd':
        case 'u':
        case 'x':
        case 'X':
            put_number(&out, &spec, &args);
            break;
        case 's':
            put_string(&out, &spec, va_arg(args, const char *));
            break;
        case 'c': {
            char c = (char)va_arg(args, int);
            put_padded(&out, &c, 1, spec.width, ' ', spec.left);
            break;
        }
        case '%':
            put(&out, '%');
            break;
        default:
            KL_ASSERT(!"conversion that kl_format does not know");
        }
    }
    va_end(args);
    text[out.used] = '\0';
    return out.used;
}

size_t kl_format(char *text, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t used = kl_vformat(text, size, format, args);
    va_end(args);
    return used;
}

uint64_t kl_hash_more(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    KL_ASSERT(data || size == 0);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

uint64_t kl_hash(const void *data, size_t size)
{
    return kl_hash_more(KL_HASH_START, data, size);
}

static void *(*const volatile wipe_with)(void *, int, size_t) = memset;

void kl_wipe(void *data, size_t size)
{
    wipe_with(data, 0, size);
}
