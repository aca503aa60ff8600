/* exam_watch.c: see exam_watch.h. */
#include "exam_watch.h"

const char *kl_exam_result_name(enum kl_exam_result r)
{
    static const char *const names[] = {
#define X(name, word) [KL_EXAM_##name] = word,
        KL_EXAM_RESULTS(X)
#undef X
    };

    KL_ASSERT((unsigned)r < sizeof names / sizeof names[0]);
    return names[r];
}

void kl_watch_init(struct kl_watch *w, const struct kl_exam *exam)
{
    KL_ASSERT(!exam || (exam->timeout > 0 && exam->expects + exam->rejects > 0));
    KL_ASSERT(!exam || (exam->expects <= KL_EXAM_MAX && exam->rejects <= KL_EXAM_MAX));
    *w = (struct kl_watch){.exam = exam, .rejected = -1, .until = KL_NEVER};
}

void kl_watch_begin(struct kl_watch *w)
{
    KL_ASSERT(!kl_watch_runs(w));
    kl_watch_init(w, w->exam);
    w->listens = w->exam != NULL;
}

void kl_watch_run(struct kl_watch *w, kl_us now)
{
    KL_ASSERT(w->listens && !kl_watch_runs(w));
    w->restarts = 0;
    w->until = now + w->exam->timeout;
}

void kl_watch_end(struct kl_watch *w)
{
    KL_ASSERT(w->exam || !w->listens);
    w->listens = false;
    w->until = KL_NEVER;
}

bool kl_watch_runs(const struct kl_watch *w)
{
    return w->until != KL_NEVER;
}

void kl_watch_restart(struct kl_watch *w)
{
    KL_ASSERT(w->restarts < UINT32_MAX);
    w->came = 0;
    w->restarts++;
}

void kl_watch_line(struct kl_watch *w, const char *text, size_t size)
{
    const struct kl_exam *e = w->exam;

    KL_ASSERT(text && size > 0);
    if (!w->listens)
        return;
    for (unsigned i = 0; i < e->rejects && w->rejected < 0; i++)
        if (kl_pattern_match(&e->reject[i].pattern, text, size))
            w->rejected = (int)i;
    for (unsigned i = 0; i < e->expects; i++)
        if (!(w->came >> i & 1) && kl_pattern_match(&e->expect[i].pattern, text, size))
            w->came |= 1u << i;
}

unsigned kl_watch_came(const struct kl_watch *w)
{
    unsigned count = 0;

    for (unsigned i = 0; i < KL_EXAM_MAX; i++)
        count += w->came >> i & 1;
    KL_ASSERT(count == 0 || (w->exam && count <= w->exam->expects));
    return count;
}

unsigned kl_watch_missing(const struct kl_watch *w)
{
    unsigned i = 0;

    while (w->came >> i & 1)
        i++;
    KL_ASSERT(w->exam && i < w->exam->expects);
    return i;
}

unsigned kl_watch_rejected(const struct kl_watch *w)
{
    KL_ASSERT(w->rejected >= 0 && (unsigned)w->rejected < w->exam->rejects);
    return (unsigned)w->rejected;
}

enum kl_watch_verdict kl_watch_verdict(const struct kl_watch *w, kl_us now)
{
    bool late = w->until <= now;

    KL_ASSERT(kl_watch_runs(w));
    if (w->rejected >= 0)
        return KL_WATCH_REJECTED;
    if (w->exam->expects == 0)
        return late ? KL_WATCH_PASSES : KL_WATCH_WAITS;
    if (kl_watch_came(w) == w->exam->expects)
        return KL_WATCH_PASSES;
    return late ? KL_WATCH_LATE : KL_WATCH_WAITS;
}
