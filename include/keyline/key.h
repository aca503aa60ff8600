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

/* Where the fields of a long key are: secret memory of whoever owns the key. */
struct kl_key_text {
    char bytes[KL_KEY_MAX + 1];
};

/* A key is its secret: its label is not part of the fingerprint. A row with one field only is its
   own secret. */
struct kl_key {
    struct kl_fingerprint fingerprint;
    struct kl_fingerprint kin; /* the same for all spellings: without case, blanks, separators,
                                  and 0x before hex digits */
    uint8_t count;             /* fields, 1 … KL_FIELDS_MAX; of a long key KL_COLUMNS_MAX */
    uint16_t start[KL_COLUMNS_MAX + 1]; /* field i is line[start[i] … start[i + 1] - 1) */
    char line[KL_LINE_MAX + 1];         /* fields joined by commas, NUL-terminated, no newline */
    /* Not NULL: a long key. Its fields stand here instead, and hold any byte but NUL; `line` is
       "". No firmware takes such a line: it is written into NVS only. */
    struct kl_key_text *text;
};

/* Field `i`; not NUL-terminated. */
struct kl_span kl_key_field(const struct kl_key *key, unsigned i);

/* Builds a key from fields, without the blanks around each (firmware trims its line). False if
   there are none or too many, a field is empty or holds a byte that would break the line protocol
   (comma, control bytes), or the line is longer than KL_LINE_MAX. The fingerprint is filled in. */
bool kl_key_build(struct kl_key *key, const struct kl_span *fields, unsigned count,
                  kl_sha256_fn *sha256);

/* The two steps of kl_key_build: the fields, and what is computed of them. Until it has its name, a
   key's fingerprint and kin are all zero. */
bool kl_key_take(struct kl_key *key, const struct kl_span *fields, unsigned count);
void kl_key_name(struct kl_key *key, kl_sha256_fn *sha256);

/* The same for rows that are written into NVS. A key that kl_key_build does not take goes into
   `text`, which the key then refers to: up to KL_COLUMNS_MAX fields and KL_KEY_MAX bytes, any byte
   but NUL behind the label. */
bool kl_key_build_long(struct kl_key *key, struct kl_key_text *text, const struct kl_span *fields,
                       unsigned count, kl_sha256_fn *sha256);
/* A long key's fields go into `text`, the copy's own; other keys don't need it. */
void kl_key_copy(struct kl_key *to, struct kl_key_text *text, const struct kl_key *from);
/* Wipes a key, and its text. */
void kl_key_wipe(struct kl_key *key);

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
