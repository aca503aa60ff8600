/* leased_list.c: the rows of a leased list: reads them, and opens a box. */
#include "leased_list.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/regular.h"

static const char format_name[] = "keyline-leased-list";
static const char format_version[] = "1";

enum {
    LABEL,
    FINGERPRINT,
    KIN,
    FIELDS,
    EPOCH,
    BOX,
    COLUMNS,
    HEAD_COLUMNS = 4,
};

static bool equals(struct kl_span field, const char *text)
{
    return field.size == strlen(text) && memcmp(field.data, text, field.size) == 0;
}

static bool number_of(struct kl_span field, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] < '0' || field.data[i] > '9' || i > 9)
            return false;
        n = n * 10 + (uint64_t)(field.data[i] - '0');
    }
    *out = (uint32_t)n;
    return field.size > 0 && n <= max;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool fingerprint_of(struct kl_span field, struct kl_fingerprint *out)
{
    if (field.size != 2 * sizeof out->b)
        return false;
    for (size_t i = 0; i < sizeof out->b; i++) {
        int high = hex_digit(field.data[2 * i]), low = hex_digit(field.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

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

static bool box_of(struct kl_span field, struct kl_leased_row *out)
{
    uint32_t bits = 0;
    unsigned have = 0;

    out->box_size = 0;
    while (field.size > 0 && field.data[field.size - 1] == '=')
        field.size--;
    for (size_t i = 0; i < field.size; i++) {
        int digit = base64_digit(field.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if ((have += 6) < 8)
            continue;
        if (out->box_size == sizeof out->box)
            return false;
        have -= 8;
        out->box[out->box_size++] = (uint8_t)(bits >> have);
    }
    return out->box_size > 0;
}

static bool label_of(struct kl_span field, char out[KL_LINE_MAX + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < field.size; i++) {
        uint8_t c = field.data[i];
        if (c == '%') {
            int high = i + 2 < field.size ? hex_digit(field.data[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(field.data[i + 2]);
            if (low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || n == KL_LINE_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

bool kl_leased_read_row(const struct kl_csv_row_text *text, struct kl_leased_row *out)
{
    if (text->cut || text->fields != COLUMNS)
        return false;
    return label_of(kl_csv_field(text, LABEL), out->label) &&
           fingerprint_of(kl_csv_field(text, FINGERPRINT), &out->fingerprint) &&
           kl_fingerprint_is_set(&out->fingerprint) &&
           fingerprint_of(kl_csv_field(text, KIN), &out->kin) &&
           number_of(kl_csv_field(text, FIELDS), KL_FIELDS_MAX, &out->fields) && out->fields > 0 &&
           number_of(kl_csv_field(text, EPOCH), UINT32_MAX, &out->epoch) &&
           box_of(kl_csv_field(text, BOX), out);
}

bool kl_leased_read_head(const struct kl_leased *l, const struct kl_csv_row_text *text,
                         unsigned *fields, char error[KL_TEXT_MAX])
{
    if (text->cut || text->fields != HEAD_COLUMNS || !equals(kl_csv_field(text, 0), format_name))
        kl_copy(error, KL_TEXT_MAX, "this is no list of keys that a pool has given to a station");
    else if (!equals(kl_csv_field(text, 1), format_version))
        kl_copy(error, KL_TEXT_MAX, "this list is of a newer keyline: use that one");
    else if (!equals(kl_csv_field(text, 2), l->pool))
        kl_copy(error, KL_TEXT_MAX,
                "this list belongs to another pool: the database behind this service was made anew "
                "or exchanged");
    else if (!number_of(kl_csv_field(text, 3), KL_FIELDS_MAX, fields) || *fields == 0)
        kl_copy(error, KL_TEXT_MAX, "its first line is damaged");
    else
        return true;
    return false;
}

bool kl_leased_open(const struct kl_leased *l, const struct kl_leased_row *row, struct kl_key *key,
                    char error[KL_TEXT_MAX])
{
    bool ok = l->open(l->ctx, row, key, error);

    if (ok && (key->count != row->fields ||
               !kl_fingerprint_equal(&key->fingerprint, &row->fingerprint))) {
        kl_format(error, KL_TEXT_MAX, "the box of %.40s holds another key: tell the pool's owner",
                  row->label);
        ok = false;
    }
    if (!ok)
        kl_wipe(key, sizeof *key);
    return ok;
}

static bool stays_closed(void *ctx, const struct kl_leased_row *row, struct kl_key *key,
                         char error[KL_TEXT_MAX])
{
    (void)ctx;
    (void)key;
    kl_format(error, KL_TEXT_MAX, "the key %.40s is sealed: only its station opens it", row->label);
    return false;
}

/* A person's list begins with a key: what was read of it is wiped, and no stream keeps a copy. */
bool kl_leased_recognise(const char *path, struct kl_leased *out)
{
    char line[160], pool[KL_POOL_ID_TEXT + 1], version[8];
    const char *trouble;
    int fd = kl_open_regular(path, &trouble);
    ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    bool is = false;

    if (size > 0) {
        line[size] = '\0';
        is = sscanf(line, "keyline-leased-list,%7[0-9],%37[0-9a-f-],", version, pool) == 2 &&
             strlen(pool) == KL_POOL_ID_TEXT - 1;
    }
    kl_wipe(line, sizeof line);
    if (fd >= 0)
        close(fd);
    *out = (struct kl_leased){.open = stays_closed};
    if (is)
        kl_copy(out->pool, sizeof out->pool, pool);
    return is;
}
