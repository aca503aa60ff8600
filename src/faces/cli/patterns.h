/*
 * patterns.h: the station's regular expressions: --prompt, --ack and --field-names for what
 * firmware says in its own words (keyline/words.h), --expect and --reject for its functional test
 * (keyline/exam.h).
 */
#ifndef KEYLINE_PATTERNS_H
#define KEYLINE_PATTERNS_H

#include "keyline/exam.h"
#include "keyline/words.h"
#include "station_options.h"

struct patterns {
    struct kl_words words; /* for the station; leads to the others, which stay where they are */
    const struct kl_exam *exam; /* the same; NULL = no functional test is wanted */
    struct kl_pattern prompt, ack, fields;
    struct kl_exam texts;
};

/* False if one can't be read, or would match every line; `complain` gets a sentence for each. */
bool patterns_compile(struct patterns *p, const struct station_args *a,
                      void (*complain)(void *ctx, const char *text), void *ctx);

#endif
