/*
 * board_exam.c: a board's functional test (keyline/exam.h). It is the last thing before done: the
 * key is proved and recorded by then, and stays with the board whatever its log says. A try that
 * follows recognises that key, and tests the board again.
 *
 *   a text to expect is missing in the end    expect_missed, or what the boot text named
 *   a text to reject came                     reject_came
 *   the chip starts again                     what came is forgotten; a boot loop or a crash that
 *                                             the boot text names fails it at once
 *   at a needle bed                           … and it is identified again: it may be another board
 *   it leaves                                 port_lost; a native-USB board is followed
 */
#include "station_state.h"

static bool is_native(const struct kl_board *b)
{
    return b->port.kind == KL_LINK_USB_JTAG || b->port.kind == KL_LINK_USB_OTG;
}

/* Starts of the chip that come of what we did: with NVS our own reset's banner, after a mere
   acknowledgement the restart that follows it. */
static unsigned own_restarts(const struct kl_station *st, const struct kl_board *b)
{
    return st->config.nvs || b->custody.proof == KL_PROOF_ACKNOWLEDGED ? 1 : 0;
}

static unsigned restarts(const struct kl_station *st, const struct kl_board *b)
{
    unsigned own = own_restarts(st, b);

    return b->watch.restarts > own ? b->watch.restarts - own : 0;
}

struct kl_exam_score kl_board_exam_score(const struct kl_board *b, enum kl_state ends)
{
    const struct kl_exam *e = b->watch.exam;
    struct kl_exam_score score = {.result = e ? KL_EXAM_NOT_RUN : KL_EXAM_NONE};

    KL_ASSERT((unsigned)ends < KL_ST_COUNT);
    if (!e)
        return score;
    score.came = kl_watch_came(&b->watch);
    score.due = e->expects;
    if (ends == KL_ST_DONE)
        score.result = KL_EXAM_PASSED;
    else if (ends == KL_ST_FAILED && b->state == KL_ST_TESTING)
        score.result = KL_EXAM_FAILED;
    return score;
}

/* ---- it begins ---- */

/* It left the bus while its key was recorded. A native-USB board may only have restarted. */
static bool is_awaited(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->stage == KL_STAGE_LEFT);
    return is_native(b) && kl_port_leaves(&b->port, true, st->now) != KL_PORT_LEAVES_ON;
}

bool kl_board_exam_begins(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->custody.state == KL_CUSTODY_RECORDED);
    if (!b->watch.exam || b->state == KL_ST_TESTING)
        return false;
    if (b->stage == KL_STAGE_LEFT && !is_awaited(st, b)) {
        kl_board_gone(st, b, "it left before its functional test");
        return true;
    }
    kl_board_enter(st, b, KL_ST_TESTING);
    kl_board_exam_step(st, b);
    return true;
}

/* ---- it ends ---- */

static void fail_expected(struct kl_station *st, struct kl_board *b)
{
    const struct kl_exam *e = b->watch.exam;
    char text[KL_TEXT_MAX], again[40] = "", detail[KL_TEXT_MAX];
    unsigned n = restarts(st, b);

    kl_console_cleanse(&b->console, e->expect[kl_watch_missing(&b->watch)].source, text);
    if (n > 0)
        kl_format(again, sizeof again, "; it started again %u time%s", n, n == 1 ? "" : "s");
    kl_format(detail, sizeof detail, "%u of %u came within %u s, not \"%s\"%s",
              kl_watch_came(&b->watch), e->expects, (unsigned)(e->timeout / 1000000), text, again);
    kl_board_fail(st, b, KL_FAULT_EXPECT_MISSED, detail);
}

static void fail_rejected(struct kl_station *st, struct kl_board *b)
{
    const struct kl_exam *e = b->watch.exam;
    char text[KL_TEXT_MAX], detail[KL_TEXT_MAX];

    kl_console_cleanse(&b->console, e->reject[kl_watch_rejected(&b->watch)].source, text);
    kl_format(detail, sizeof detail, "a line matches \"%s\"", text);
    kl_board_fail(st, b, KL_FAULT_REJECT_CAME, detail);
}

/* What the boot text named is a better reason than a missing text, and no reason to pass. */
static bool fail_crashed(struct kl_station *st, struct kl_board *b)
{
    enum kl_reason reason = kl_console_boot(&b->console)->reason;

    if (reason != KL_FAULT_NONE)
        kl_board_fail(st, b, reason, kl_console_detail(&b->console));
    return reason != KL_FAULT_NONE;
}

void kl_board_exam_step(struct kl_station *st, struct kl_board *b)
{
    enum kl_watch_verdict verdict;

    if (b->state != KL_ST_TESTING)
        return;
    KL_ASSERT(kl_watch_runs(&b->watch));
    if (st->config.fixture && restarts(st, b) > 0) {
        kl_board_identify_again(st, b, "the board started again during its functional test");
        return;
    }
    verdict = kl_watch_verdict(&b->watch, st->now);
    if (verdict == KL_WATCH_REJECTED)
        fail_rejected(st, b);
    else if (verdict == KL_WATCH_WAITS && kl_console_boot(&b->console)->conclusive)
        fail_crashed(st, b);
    else if (verdict != KL_WATCH_WAITS && fail_crashed(st, b))
        return;
    else if (verdict == KL_WATCH_LATE)
        fail_expected(st, b);
    else if (verdict == KL_WATCH_PASSES)
        kl_board_done(st, b);
}
