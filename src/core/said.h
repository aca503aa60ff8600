/*
 * said.h: one line as a board said it, and what it means (docs/firmware.md). Pure.
 *
 * Such a line may be a part of a key. Only console.c, handover.c and bootlog.c look at one, and
 * only console.c shows any (tests/lint/lint.sh).
 */
#ifndef KEYLINE_SAID_H
#define KEYLINE_SAID_H

#include "keyline/key.h"
#include "keyline/words.h"

enum kl_said_kind {
    KL_SAID_OTHER,
    KL_SAID_ASKS,        /* "Provisioning" */
    KL_SAID_PROVISIONED, /* "Provisioned" */
    KL_SAID_ERROR,       /* "Error: …" */
    KL_SAID_FIELD,       /* "name: value" */
};

/* What a firmware prints before each of its lines ("I (312) app: "), without digits and blanks, as
   a hash. Count 0: nothing. */
struct kl_said_frame {
    uint32_t hash, count;
};

struct kl_said {
    enum kl_said_kind kind;
    const char *text; /* without terminal colours and line end; not NUL-terminated */
    size_t size;
    struct kl_span name, value; /* FIELD: without blanks around; the value may be empty */
    struct kl_span word;        /* ASKS, PROVISIONED: without what stands around it */
    struct kl_said_frame frame; /* ASKS, PROVISIONED */
    bool loose;                 /* ASKS, PROVISIONED: not the bare word of the protocol */
    bool known;                 /* set by the console: the line is one of harmless.h */
    bool restart;               /* the first line of a new start: see kl_bootlog_line() */
};

/* `frame` is what stood before the last "Provisioned": fields may have the same before them. */
struct kl_said kl_said_read(const char *line, size_t size, struct kl_said_frame frame,
                            const struct kl_words *words);

/* SHA-256 of a value as it was read back, or the one that it spells ("sha256:" and 64 hex
   digits). */
void kl_said_digest(struct kl_span value, kl_sha256_fn *sha256, uint8_t out[32]);

/* The value without the quotes around it; the same if there are none. */
struct kl_span kl_said_unquoted(struct kl_span value);

/* Where the text holds the word, in either case; the size of the text if it does not. */
size_t kl_said_find(const char *text, size_t size, const char *word);

#endif
