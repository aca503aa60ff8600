/*
 * pattern.h: extended regular expressions, as POSIX has them, for lines that boards say.
 *
 * Boards may say anything for ever, so a match must cost little whatever the pattern and the text:
 * the time is at most the text's size times the pattern's steps, and nothing is allocated. That
 * rules out back-references, and the C library's regexec, which takes minutes and gigabytes for
 * some short patterns.
 *
 * Taken: literals, . [ ] with ranges and [:classes:], ( ) | * + ? {m} {m,} {m,n} ^ $, \ before a
 * character that would mean something else, \w \W \s \S. Bytes are compared, so a letter beyond
 * ASCII is several characters to [ ] and the dot. Nothing remembers what matched.
 */
#ifndef KEYLINE_PATTERN_H
#define KEYLINE_PATTERN_H

#include "keyline/base.h"

enum {
    KL_PATTERN_TEXT_MAX = 128,  /* bytes of a pattern */
    KL_PATTERN_STEPS_MAX = 512, /* of a compiled one: a{100} has a hundred */
    KL_PATTERN_SETS_MAX = KL_PATTERN_TEXT_MAX / 2,
};

struct kl_pattern_step {
    uint8_t kind;  /* pattern.c's own */
    uint8_t value; /* a byte, or the index of a set */
    int16_t jump;  /* to the step so many behind this one, or before it */
};

struct kl_pattern {
    struct kl_pattern_step step[KL_PATTERN_STEPS_MAX];
    uint8_t set[KL_PATTERN_SETS_MAX][32]; /* a bit for each byte */
    unsigned steps, sets;
};

/* False: it is none, or too large; `error` says what is wrong, and at which column (from 1). */
bool kl_pattern_compile(struct kl_pattern *p, const char *text, char error[KL_TEXT_MAX]);
/* Does any part of the text match? */
bool kl_pattern_match(const struct kl_pattern *p, const char *text, size_t size);

#endif
