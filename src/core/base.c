#include "keyline/base.h"

#include <stdio.h> /* vsnprintf alone: it formats into a buffer, and does no I/O */
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

void kl_eui64_format(const struct kl_eui64 *eui, char out[24])
{
    uint8_t any = 0;
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < sizeof eui->b; i++)
        any |= eui->b[i];
    for (unsigned i = 0; any != 0 && i < sizeof eui->b; i++)
        n += kl_format(out + n, 24 - n, i == 0 ? "%02x" : ":%02x", eui->b[i]);
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

size_t kl_vformat(char *text, size_t size, const char *format, va_list args)
{
    int length = vsnprintf(text, size, format, args);

    KL_ASSERT(size > 0 && length >= 0);
    return (size_t)length < size ? (size_t)length : size - 1;
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
