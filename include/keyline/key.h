/*
 * key.h: one key, with its secrets, and its public fingerprint.
 *
 * A struct kl_key is secret: it has one owner at a time, who wipes it in the end. Only the label
 * and the fingerprint may be kept, shown and compared.
 */
#ifndef KEYLINE_KEY_H
#define KEYLINE_KEY_H

#include "keyline/base.h"

enum {
    KL_FINGERPRINT = 16
};

struct kl_fingerprint {
    uint8_t b[KL_FINGERPRINT];
};

/* A key is its secret: its label is not part of the fingerprint. A row with one field only is its
   own secret. */
struct kl_key {
    struct kl_fingerprint fingerprint;
    struct kl_fingerprint kin;         /* the same for all spellings: without case, blanks,
                                          separators, and 0x before hex digits */
    uint8_t count;                     /* fields, 1 … KL_FIELDS_MAX */
    uint16_t start[KL_FIELDS_MAX + 1]; /* field i is line[start[i] … start[i + 1] - 1) */
    char line[KL_LINE_MAX + 1];        /* fields joined by commas, NUL-terminated, no newline */
};

/* Field `i`; not NUL-terminated. */
struct kl_span kl_key_field(const struct kl_key *key, unsigned i);

/* Builds a key from fields, without the blanks around each (firmware trims its line). False if
   there are none or too many, a field is empty or holds a byte that would break the line protocol
   (comma, control bytes), or the line is longer than KL_LINE_MAX. The fingerprint is filled in. */
bool kl_key_build(struct kl_key *key, const struct kl_span *fields, unsigned count,
                  kl_sha256_fn *sha256);

/*
 * The fingerprint is the first 16 bytes of SHA-256 over the SHA-256 digests of the fields behind
 * the label, one after the other. So a board that reads back digests instead of fields gives the
 * same fingerprint. `digests`: of all fields, the label's too.
 */
void kl_fingerprint_of_digests(struct kl_fingerprint *out, const uint8_t (*digests)[32],
                               unsigned count, kl_sha256_fn *sha256);
/* The fingerprint in ledgers of the first format: the label's digest comes first. */
void kl_fingerprint_with_label(struct kl_fingerprint *out, const uint8_t (*digests)[32],
                               unsigned count, kl_sha256_fn *sha256);
/* Of every field's value, the label's too. */
void kl_key_digests(const struct kl_key *key, uint8_t (*digests)[32], kl_sha256_fn *sha256);
bool kl_fingerprint_is_set(const struct kl_fingerprint *fp);
bool kl_fingerprint_equal(const struct kl_fingerprint *a, const struct kl_fingerprint *b);

#endif
