/*
 * exam_watch.h: a board's functional test: which of the expected texts its log has said, and
 * whether it said one that it must not (keyline/exam.h).
 *
 * A value that asks nobody and keeps no text. The console shows it every line, so it sees what
 * nobody else may see, and hands out numbers only. It listens from the start of the program with
 * the key, or from the board's acknowledgement. The texts to expect must come within one start of
 * the chip: a restart forgets those that came. A text to reject counts from the beginning.
 */
#ifndef CORE_EXAM_WATCH_H
#define CORE_EXAM_WATCH_H

#include "keyline/exam.h"

enum kl_watch_verdict {
    KL_WATCH_WAITS,
    KL_WATCH_PASSES,
    KL_WATCH_REJECTED, /* see kl_watch_rejected() */
    KL_WATCH_LATE,     /* see kl_watch_missing() */
};

struct kl_watch {
    const struct kl_exam *exam; /* NULL: no test is wanted */
    bool listens;
    uint32_t came;     /* bit i: exam->expect[i] did */
    int rejected;      /* the first one that came, an index into exam->reject; -1 = none */
    unsigned restarts; /* of the chip, since the test's time runs */
    kl_us until;       /* the end of that time; KL_NEVER: it does not run */
};

void kl_watch_init(struct kl_watch *w, const struct kl_exam *exam);
/* The board's program starts, or has its key now: forgets what came before. */
void kl_watch_begin(struct kl_watch *w);
/* All else is done: from now on the test takes its time. What came since begin counts. */
void kl_watch_run(struct kl_watch *w, kl_us now);
void kl_watch_end(struct kl_watch *w);
bool kl_watch_runs(const struct kl_watch *w);

/* What the console hears: a chip that starts again, and each line. */
void kl_watch_restart(struct kl_watch *w);
void kl_watch_line(struct kl_watch *w, const char *text, size_t size);

/* While it runs. A text to reject counts more than all that came. */
enum kl_watch_verdict kl_watch_verdict(const struct kl_watch *w, kl_us now);
/* Texts to expect that came since the last start. */
unsigned kl_watch_came(const struct kl_watch *w);
/* The first text to expect that did not come. */
unsigned kl_watch_missing(const struct kl_watch *w);
unsigned kl_watch_rejected(const struct kl_watch *w);

#endif
