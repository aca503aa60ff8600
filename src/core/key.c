#include "keyline/key.h"

#include <string.h>

enum {
    DIGEST = 32
};

struct kl_span kl_key_field(const struct kl_key *key, unsigned i)
{
    const char *line = key->text ? key->text->bytes : key->line;

    KL_ASSERT(i < key->count);
    return (struct kl_span){(const uint8_t *)line + key->start[i],
                            (size_t)(key->start[i + 1] - 1 - key->start[i])};
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct kl_span trimmed(struct kl_span field)
{
    while (field.size && is_blank(field.data[0])) {
        field.data++;
        field.size--;
    }
    while (field.size && is_blank(field.data[field.size - 1]))
        field.size--;
    return field;
}

static bool is_sendable(struct kl_span field)
{
    bool unfit = false;

    for (size_t i = 0; i < field.size; i++)
        unfit |= field.data[i] < ' ' || field.data[i] == 0x7f || field.data[i] == ',';
    return !unfit && field.size > 0;
}

/* Behind its label a long key's field is not sent as text: it may hold anything that ends nowhere
   else. */
static bool is_writable(struct kl_span field)
{
    return field.size > 0 && !memchr(field.data, '\0', field.size);
}

static bool append_field(struct kl_key *key, size_t *used, struct kl_span field)
{
    char *line = key->text ? key->text->bytes : key->line;
    size_t room = key->text ? KL_KEY_MAX : KL_LINE_MAX;
    bool is_label = key->count == 0;

    field = trimmed(field);
    if (key->text && !is_label ? !is_writable(field) : !is_sendable(field))
        return false;
    if (is_label && field.size > KL_LINE_MAX)
        return false;
    if (!is_label && *used < room)
        line[(*used)++] = ',';
    if (field.size > room || *used > room - field.size)
        return false;
    key->start[key->count++] = (uint16_t)*used;
    memcpy(line + *used, field.data, field.size);
    *used += field.size;
    key->start[key->count] = (uint16_t)(*used + 1);
    return true;
}

/* Bytes that people and programs add or drop without meaning another key. */
static bool is_spelling(uint8_t c)
{
    return is_blank(c) || c == ':' || c == '-' || c == '.' || c == '_';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static unsigned first_secret(unsigned count)
{
    return count > 1 ? 1 : 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* The size of a 0x at `at`, where a group of hex digits may begin. */
static size_t prefix_at(struct kl_span field, size_t at)
{
    bool begins = at == 0 || is_spelling(field.data[at - 1]);

    return begins && at + 2 < field.size && field.data[at] == '0' &&
                   lower(field.data[at + 1]) == 'x' && is_hex(field.data[at + 2])
               ? 2
               : 0;
}

/* Nothing but hex digits, whatever stands between them. */
static bool is_number(struct kl_span field)
{
    for (size_t n = 0; n < field.size; n++) {
        n += prefix_at(field, n);
        if (!is_spelling(field.data[n]) && !is_hex(field.data[n]))
            return false;
    }
    return true;
}

/* In small letters; 0: spelling. A table, because a start needs it for every byte of the CSV. */
static uint8_t plain_byte(uint8_t c)
{
    static const uint8_t plain[128] = {
        0,   1,   2,   3,   4,   5,   6,   7,   8,   0,   10,  11,  12,  13,  14,  15,
        16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  26,  27,  28,  29,  30,  31,
        0,   33,  34,  35,  36,  37,  38,  39,  40,  41,  42,  43,  44,  0,   0,   47,
        48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  0,   59,  60,  61,  62,  63,
        64,  97,  98,  99,  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 91,  92,  93,  94,  0,
        96,  97,  98,  99,  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
    };

    return c < sizeof plain ? plain[c] : c;
}

/* Writes the field without what is only its spelling, and returns how many bytes that are. Most
   fields are spelled plainly. */
static size_t put_plain(uint8_t *out, struct kl_span field)
{
    bool spelled = prefix_at(field, 0) > 0, number;
    size_t size = 0;

    for (size_t n = 0; n < field.size; n++) {
        out[n] = plain_byte(field.data[n]);
        spelled |= out[n] == 0;
    }
    if (!spelled)
        return field.size;
    number = is_number(field);
    for (size_t n = 0; n < field.size; n++) {
        n += number ? prefix_at(field, n) : 0;
        if (!is_spelling(field.data[n]))
            out[size++] = lower(field.data[n]);
    }
    return size;
}

static void find_kin(struct kl_key *key, kl_sha256_fn *sha256)
{
    uint8_t plain[KL_KEY_MAX + 1], whole[DIGEST];
    size_t size = 0;

    for (unsigned i = first_secret(key->count); i < key->count; i++) {
        struct kl_span field = kl_key_field(key, i);
        KL_ASSERT(field.size < sizeof plain - size);
        size += put_plain(plain + size, field);
        plain[size++] = ',';
    }
    sha256(plain, size, whole);
    memcpy(key->kin.b, whole, sizeof key->kin.b);
    kl_wipe(plain, size);
}

static void digest_fields(const struct kl_key *key, unsigned first, uint8_t (*digests)[DIGEST],
                          kl_sha256_fn *sha256)
{
    for (unsigned i = first; i < key->count; i++) {
        struct kl_span field = kl_key_field(key, i);
        sha256(field.data, field.size, digests[i]);
    }
}

static bool take(struct kl_key *key, struct kl_key_text *text, const struct kl_span *fields,
                 unsigned count)
{
    size_t used = 0;

    memset(key, 0, sizeof *key);
    key->text = text;
    if (count < 1 || count > (text ? KL_COLUMNS_MAX : KL_FIELDS_MAX))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!append_field(key, &used, fields[i])) {
            kl_key_wipe(key);
            return false;
        }
    }
    return true;
}

bool kl_key_take(struct kl_key *key, const struct kl_span *fields, unsigned count)
{
    return take(key, NULL, fields, count);
}

void kl_key_name(struct kl_key *key, kl_sha256_fn *sha256)
{
    uint8_t digests[KL_COLUMNS_MAX][DIGEST];

    KL_ASSERT(key->count >= 1 && key->count <= KL_COLUMNS_MAX);
    digest_fields(key, first_secret(key->count), digests, sha256);
    kl_fingerprint_of_digests(&key->fingerprint, (const uint8_t(*)[DIGEST])digests, key->count,
                              sha256);
    kl_wipe(digests, key->count * sizeof digests[0]);
    find_kin(key, sha256);
}

static bool build(struct kl_key *key, struct kl_key_text *text, const struct kl_span *fields,
                  unsigned count, kl_sha256_fn *sha256)
{
    if (!take(key, text, fields, count))
        return false;
    kl_key_name(key, sha256);
    return true;
}

bool kl_key_build(struct kl_key *key, const struct kl_span *fields, unsigned count,
                  kl_sha256_fn *sha256)
{
    return build(key, NULL, fields, count, sha256);
}

bool kl_key_build_long(struct kl_key *key, struct kl_key_text *text, const struct kl_span *fields,
                       unsigned count, kl_sha256_fn *sha256)
{
    KL_ASSERT(text);
    if (kl_key_build(key, fields, count, sha256))
        return true;
    return build(key, text, fields, count, sha256);
}

void kl_key_copy(struct kl_key *to, struct kl_key_text *text, const struct kl_key *from)
{
    KL_ASSERT(!from->text || (text && text != from->text));
    *to = *from;
    if (!from->text)
        return;
    to->text = text;
    memcpy(text->bytes, from->text->bytes, from->start[from->count]);
}

void kl_key_wipe(struct kl_key *key)
{
    if (key->text)
        kl_wipe(key->text, sizeof *key->text);
    kl_wipe(key, sizeof *key);
}

void kl_key_digests(const struct kl_key *key, uint8_t (*digests)[32], kl_sha256_fn *sha256)
{
    KL_ASSERT(key->count >= 1 && key->count <= KL_COLUMNS_MAX);
    digest_fields(key, 0, digests, sha256);
}

void kl_fingerprint_with_label(struct kl_fingerprint *out, const uint8_t (*digests)[32],
                               unsigned count, kl_sha256_fn *sha256)
{
    uint8_t whole[DIGEST];

    KL_ASSERT(count >= 1 && count <= KL_COLUMNS_MAX);
    sha256(digests, (size_t)count * DIGEST, whole);
    memcpy(out->b, whole, sizeof out->b);
}

void kl_fingerprint_of_digests(struct kl_fingerprint *out, const uint8_t (*digests)[32],
                               unsigned count, kl_sha256_fn *sha256)
{
    unsigned first = first_secret(count);

    kl_fingerprint_with_label(out, digests + first, count - first, sha256);
}

bool kl_fingerprint_is_set(const struct kl_fingerprint *fp)
{
    static const struct kl_fingerprint none;

    return !kl_fingerprint_equal(fp, &none);
}

bool kl_fingerprint_equal(const struct kl_fingerprint *a, const struct kl_fingerprint *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
