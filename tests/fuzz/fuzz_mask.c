/* Fuzzes kl_mask_line: whatever a board prints, eight characters of a secret never get through, and
   what does is printable. The input is a list of pieces: text of its own, or parts of the key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mask.h"
#include "keyline/bundle_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {"unit-7Z", "D56789ab00EF01230456C0fe11dd22ee",
                                     "OpenSesame42xyz"};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool holds(const char *line, size_t size, const char *part, size_t part_size)
{
    for (size_t i = 0; i + part_size <= size; i++) {
        size_t n = 0;
        while (n < part_size && lower(line[i + n]) == lower(part[n]))
            n++;
        if (n == part_size)
            return true;
    }
    return false;
}

static void check(const char *line, size_t size, bool known)
{
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)line[i] < ' ' || line[i] == 0x7f)
            abort();
    for (int f = 1; known && f < 3; f++)
        for (size_t i = 0; i + 8 <= strlen(fields[f]); i++)
            if (holds(line, size, fields[f] + i, 8))
                abort();
}

static size_t put_piece(char *line, size_t used, size_t capacity, const char *piece, size_t size,
                        uint8_t how)
{
    static const char *const between[] = {"", " ", ":", "-", ", ", " 0x", "\\x", "\x1b[1m"};

    for (size_t i = 0; i < size && used + 6 < capacity; i++) {
        if (i % 2 == 0 && i > 0) {
            size_t n = strlen(between[how % 8]);
            memcpy(line + used, between[how % 8], n);
            used += n;
        }
        line[used++] = how & 8 ? lower(piece[i]) : piece[i];
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_span spans[3];
    struct kl_key key;
    char line[1600], out[1600];
    size_t used = 0;

    for (int i = 0; i < 3; i++)
        spans[i] = (struct kl_span){(const uint8_t *)fields[i], strlen(fields[i])};
    if (!kl_key_build(&key, spans, 3, kl_sha256) || size < 2)
        return 0;
    size_t capacity = sizeof line - data[0];
    bool known = data[1] & 1;
    for (size_t i = 2; i < size && used < capacity; i++) {
        if (data[i] < 0xf0 || i + 2 >= size) {
            line[used++] = (char)data[i];
            continue;
        }
        const char *field = fields[1 + data[i] % 2];
        size_t from = data[i + 1] % strlen(field);
        used = put_piece(line, used, capacity, field + from, strlen(field) - from, data[i + 2]);
        i += 2;
    }
    if (data[1] & 2)
        used = kl_mask_strip_escapes(line, used);
    used = kl_mask_line(out, capacity, line, used, known ? &key : NULL);
    if (used > capacity)
        abort();
    check(out, used, known);
    return 0;
}
