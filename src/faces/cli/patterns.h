/*
 * patterns.h: the regular expressions of --prompt, --ack and --field-names, for the core, which has
 * none of its own (keyline/words.h).
 */
#ifndef KEYLINE_PATTERNS_H
#define KEYLINE_PATTERNS_H

#include <regex.h>

#include "keyline/base.h"
#include "keyline/words.h"

struct patterns {
    struct kl_words
        words; /* for the station; leads to the others, which must stay where they are */
    regex_t prompt, ack, fields;
};

/* Extended POSIX expressions that may match anywhere in a line; NULL = none. False and a sentence
   in `error` if one can't be read. Call patterns_free() in any case. */
bool patterns_compile(struct patterns *p, const char *prompt, const char *ack, const char *fields,
                      char error[KL_TEXT_MAX]);
void patterns_free(struct patterns *p);

#endif
