/*
 * exam.h: a product's functional test: what a board's log must say, and must not, before the board
 * passes (--expect, --reject, --expect-timeout; docs/exam.md).
 */
#ifndef KEYLINE_EXAM_H
#define KEYLINE_EXAM_H

#include "keyline/pattern.h"

enum {
    KL_EXAM_MAX = 16 /* texts to expect, and as many to reject */
};

/* One text of the log: a whole line matches, or a part of it. */
struct kl_exam_text {
    struct kl_pattern pattern;
    const char *source; /* as the operator wrote it */
};

/* All of it outlives the station. */
struct kl_exam {
    struct kl_exam_text expect[KL_EXAM_MAX], reject[KL_EXAM_MAX];
    unsigned expects, rejects; /* not both 0 */
    kl_us timeout;             /* without a text to expect: how long none may be rejected */
};

/* How the test of a board stands. X(NAME, "word in the event stream") */
#define KL_EXAM_RESULTS(X)                                                                         \
    X(NONE, "none")       /* none is wanted */                                                     \
    X(NOT_RUN, "not_run") /* the try ended before it */                                            \
    X(PASSED, "passed")                                                                            \
    X(FAILED, "failed") /* also: the board left before its end */

enum kl_exam_result {
#define X(name, word) KL_EXAM_##name,
    KL_EXAM_RESULTS(X)
#undef X
};
const char *kl_exam_result_name(enum kl_exam_result r);

struct kl_exam_score {
    enum kl_exam_result result;
    unsigned came, due; /* of the texts to expect */
};

#endif
