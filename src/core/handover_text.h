/* handover_text.h: what one line of the firmware means (docs/firmware.md). Pure. */
#ifndef KEYLINE_HANDOVER_TEXT_H
#define KEYLINE_HANDOVER_TEXT_H

#include "keyline/key.h"

enum kl_ho_text_kind {
    KL_HO_TEXT_OTHER,
    KL_HO_TEXT_ASKS,        /* "Provisioning" */
    KL_HO_TEXT_PROVISIONED, /* "Provisioned" */
    KL_HO_TEXT_ERROR,       /* "Error: …" */
    KL_HO_TEXT_FIELD,       /* "name: value" */
};

struct kl_ho_text {
    enum kl_ho_text_kind kind;
    struct kl_span name, value; /* FIELD: without blanks around; the value may be empty */
};

struct kl_ho_text kl_ho_read_text(const char *line, size_t size);

/* SHA-256 of a value as it was read back, or the one that it spells ("sha256:" and 64 hex digits);
   true in the second case. */
bool kl_ho_digest(struct kl_span value, kl_sha256_fn *sha256, uint8_t out[32]);

/* May a first value of a key that we don't know be shown? Not if it looks like key material. */
bool kl_ho_is_showable(struct kl_span value);

uint32_t kl_ho_hash(struct kl_span text);

#endif
