#include "fleet_db_text.h"

#include <stdlib.h>
#include <string.h>

void kl_fdb_hex(const uint8_t *bytes, size_t size, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *out++ = digit[bytes[i] >> 4];
        *out++ = digit[bytes[i] & 15];
    }
    *out = '\0';
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

size_t kl_fdb_unhex(const char *hex, uint8_t *out, size_t room)
{
    size_t n = strlen(hex);

    if (n % 2 != 0 || n / 2 > room)
        return 0;
    for (size_t i = 0; i < n / 2; i++) {
        int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return n / 2;
}

void kl_fdb_write_uuid(const uint8_t uuid[KL_FDB_UUID], char out[37])
{
    char hex[2 * KL_FDB_UUID + 1];

    kl_fdb_hex(uuid, KL_FDB_UUID, hex);
    kl_format(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

bool kl_fdb_read_uuid(const char *text, uint8_t out[KL_FDB_UUID])
{
    char hex[2 * KL_FDB_UUID + 1];
    size_t n = 0;

    for (; *text != '\0' && n < sizeof hex - 1; text++)
        if (*text != '-')
            hex[n++] = *text;
    hex[n] = '\0';
    return *text == '\0' && n == sizeof hex - 1 && kl_fdb_unhex(hex, out, KL_FDB_UUID) > 0;
}

int64_t kl_fdb_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *kl_fdb_string(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

int64_t kl_fdb_int64(const json_t *object, const char *name)
{
    return strtoll(kl_fdb_string(object, name), NULL, 10);
}
