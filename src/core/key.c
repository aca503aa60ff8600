#include "keyline/key.h"

#include <string.h>

enum {
    DIGEST = 32
};

struct kl_span kl_key_field(const struct kl_key *key, unsigned i)
{
    KL_ASSERT(i < key->count);
    return (struct kl_span){(const uint8_t *)key->line + key->start[i],
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
    for (size_t i = 0; i < field.size; i++)
        if (field.data[i] < ' ' || field.data[i] == 0x7f || field.data[i] == ',')
            return false;
    return field.size > 0;
}

static bool append_field(struct kl_key *key, size_t *used, struct kl_span field)
{
    field = trimmed(field);
    if (!is_sendable(field))
        return false;
    if (key->count > 0)
        key->line[(*used)++] = ',';
    if (field.size > KL_LINE_MAX || *used > KL_LINE_MAX - field.size)
        return false;
    key->start[key->count++] = (uint16_t)*used;
    memcpy(key->line + *used, field.data, field.size);
    *used += field.size;
    key->start[key->count] = (uint16_t)(*used + 1);
    return true;
}

bool kl_key_build(struct kl_key *key, const struct kl_span *fields, unsigned count,
                  kl_sha256_fn *sha256)
{
    uint8_t digests[KL_FIELDS_MAX][DIGEST];
    size_t used = 0;

    memset(key, 0, sizeof *key);
    if (count < 1 || count > KL_FIELDS_MAX)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!append_field(key, &used, fields[i])) {
            kl_wipe(key, sizeof *key);
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        struct kl_span field = kl_key_field(key, i);
        sha256(field.data, field.size, digests[i]);
    }
    kl_fingerprint_of_digests(&key->fingerprint, (const uint8_t(*)[DIGEST])digests, count, sha256);
    kl_wipe(digests, sizeof digests);
    return true;
}

void kl_fingerprint_of_digests(struct kl_fingerprint *out, const uint8_t (*digests)[32],
                               unsigned count, kl_sha256_fn *sha256)
{
    uint8_t whole[DIGEST];

    KL_ASSERT(count >= 1 && count <= KL_FIELDS_MAX);
    sha256(digests, (size_t)count * DIGEST, whole);
    memcpy(out->b, whole, sizeof out->b);
}

bool kl_fingerprint_equal(const struct kl_fingerprint *a, const struct kl_fingerprint *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
