/*
 * words.h: what an operator says about the words of firmware that does not quite keep to
 * docs/firmware.md (--prompt, --ack, --field-names).
 */
#ifndef KEYLINE_WORDS_H
#define KEYLINE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* The patterns are the caller's, compiled by whoever has regular expressions, and outlive the
   station; NULL = none. match() looks at them and the text alone. */
struct kl_words {
    bool (*match)(const void *pattern, const char *text, size_t size);
    const void *prompt; /* a line that asks for a key, besides Provisioning */
    const void *ack;    /* a line that says that a key is stored, besides Provisioned */
    const void *fields; /* the name before a value: only such lines are read back */
};

#endif
