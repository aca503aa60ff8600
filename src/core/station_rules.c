/*
 * station_rules.c: what concerns more than one board: whose turn it is, what boards that fail
 * together mean, the figures, and the end.
 */
#include "station_state.h"

static bool is_busy_flashing(const struct kl_board *b)
{
    return (b->state >= KL_ST_CONNECTING && b->state <= KL_ST_VERIFYING) ||
           (b->state == KL_ST_SETTLING && b->port.state == KL_PORT_OPENING);
}

static bool is_running(const struct kl_board *b)
{
    return kl_state_is_live(b->state) || kl_attempts_is_lived(&b->attempts) ||
           (b->state == KL_ST_SETTLING && b->port.state == KL_PORT_OPENING) ||
           (b->state == KL_ST_FAILED && b->attempts.retry_at != KL_NEVER);
}

static unsigned finished_boards(const struct kl_station *st)
{
    return st->figures.done + st->figures.failed + st->figures.skipped;
}

bool kl_may_start(const struct kl_station *st, const struct kl_board *b)
{
    unsigned flashing = 0, running = 0;

    KL_ASSERT(b->state == KL_ST_SETTLING);
    if (st->mode.paused || st->mode.stopping || !st->have_keys || st->mode.rested)
        return false;
    if (st->config.once && b->place.had_turn)
        return false;
    for (unsigned i = 0; i < st->board_count; i++) {
        if (&st->board[i] == b)
            continue;
        flashing += is_busy_flashing(&st->board[i]);
        running += is_running(&st->board[i]);
    }
    if (st->config.max_flashing && flashing >= st->config.max_flashing)
        return false;
    return !st->config.count || finished_boards(st) + running < st->config.count;
}

static void warn(struct kl_station *st, const char *text)
{
    KL_ASSERT(text[0] && st->warning.until == KL_NEVER);
    kl_copy(st->warning.text, sizeof st->warning.text, text);
    st->warning.until = st->now + KL_SEC(60);
    kl_tell_text(st, NULL, KL_NOTE_STATION, text);
}

/* Several boards that fail together share a cause: the hub or the supply. */
void kl_look_for_common_cause(struct kl_station *st)
{
    unsigned together = 0;
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < st->board_count; i++) {
        const struct kl_board *b = &st->board[i];
        enum kl_reason r = b->attempts.ended.reason;
        bool of_that_kind = r == KL_FAULT_PORT_LOST || r == KL_FAULT_BROWNOUT ||
                            r == KL_FAULT_TIMEOUT || r == KL_FAULT_LINE_NOISE ||
                            r == KL_FAULT_LINK_STUCK;
        if (of_that_kind && b->place.failed_at > 0 && st->now - b->place.failed_at < KL_SEC(10))
            together++;
    }
    if (together >= 3 && st->warning.until == KL_NEVER) {
        kl_format(text, sizeof text,
                  "%u slots failed within 10 seconds: check the hub, its cable and its supply",
                  together);
        warn(st, text);
    }
}

/* The median time of the boards done among the recent ones. */
static kl_us median_of(const struct kl_figures *f)
{
    kl_us sorted[RECENT_MAX];
    unsigned n = 0;

    KL_ASSERT(f->recent_count <= RECENT_MAX);
    for (unsigned i = 0; i < f->recent_count; i++) {
        unsigned at = n;
        if (!f->recent[i].done)
            continue;
        for (; at > 0 && sorted[at - 1] > f->recent[i].took; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = f->recent[i].took;
        n++;
    }
    return n ? sorted[n / 2] : 0;
}

static void remember(struct kl_figures *f, const struct kl_attempt *a, kl_us now)
{
    KL_ASSERT(a->started <= a->ended && a->ended <= now);
    f->recent[f->recent_head] =
        (struct finished_board){now, a->ended - a->started, a->result == KL_ST_DONE};
    f->recent_head = (f->recent_head + 1) % RECENT_MAX;
    if (f->recent_count < RECENT_MAX)
        f->recent_count++;
    f->median = median_of(f);
}

void kl_check_keys_left(struct kl_station *st)
{
    char text[KL_TEXT_MAX];

    if (st->pool.counts.free > st->config.warn_keys) {
        st->mode.few_told = false;
    } else if (!st->mode.few_told && st->config.warn_keys > 0) {
        st->mode.few_told = true;
        kl_format(text, sizeof text, "%u keys left: add rows to the CSV", st->pool.counts.free);
        kl_tell_text(st, NULL, KL_NOTE_STATION, text);
    }
}

static void count(struct kl_figures *f, struct kl_place *place, const struct kl_attempt *a)
{
    KL_ASSERT(a->tries > 0);
    if (a->result == KL_ST_DONE) {
        f->done++;
        place->done++;
        f->first_pass += a->tries == 1;
    } else if (a->result == KL_ST_SKIPPED) {
        f->skipped++;
    } else if (a->reason != KL_FAULT_STOPPED) {
        f->failed++;
        place->failed++;
    }
}

void kl_board_finished(struct kl_station *st, struct kl_board *b, enum kl_state result)
{
    const struct kl_attempt *ended = &b->attempts.ended;

    KL_ASSERT(ended->result == result);
    kl_attempts_tell(&b->attempts);
    b->place.had_turn = true;
    b->place.failed_at = result == KL_ST_FAILED ? st->now : 0;
    count(&st->figures, &b->place, ended);
    if (result != KL_ST_SKIPPED)
        remember(&st->figures, ended, st->now);
    kl_tell(st, b, KL_NOTE_RESULT);
    if (result == KL_ST_FAILED)
        kl_look_for_common_cause(st);
    kl_check_keys_left(st);
}

/* ---- the end ---- */

static bool slot_has_ended(const struct kl_station *st, const struct kl_board *b)
{
    if (!b->place.exists)
        return true;
    if (!kl_board_rests(b) || b->attempts.retry_at != KL_NEVER)
        return st->mode.stopping && b->state == KL_ST_SETTLING;
    return !st->config.once || st->mode.stopping || b->place.had_turn;
}

static int exit_status(const struct kl_station *st)
{
    KL_ASSERT(st->store.pending == 0); /* the store has nothing left to make durable */
    if (st->mode.stopping)
        return 0;
    if (st->figures.without_key)
        return 5;
    return st->figures.failed ? 1 : 0;
}

void kl_rest_if_all_done(struct kl_station *st)
{
    bool wanted = st->mode.stopping || (st->config.once && st->board_count > 0 && st->have_keys) ||
                  (st->config.count && finished_boards(st) >= st->config.count);

    if (!wanted || st->mode.rested || st->store.pending > 0)
        return;
    for (unsigned i = 0; i < st->board_count; i++) {
        const struct kl_board *b = &st->board[i];
        bool counted_out = st->config.count && !is_running(b);
        if (!counted_out && !slot_has_ended(st, b))
            return;
    }
    st->mode.rested = true;
    kl_ask(st, NULL, KL_AC_REST)->u.exit = exit_status(st);
}

void kl_station_stop(struct kl_station *st)
{
    if (st->mode.stopping) {
        /* A second stop ends at once. Reserved and sent keys are safe as they are. */
        if (!st->mode.rested) {
            st->mode.rested = true;
            kl_ask(st, NULL, KL_AC_REST)->u.exit = 0;
        }
        return;
    }
    st->mode.stopping = true;
    kl_tell_text(st, NULL, KL_NOTE_STATION,
                 "stopping: boards that are being given a key finish first");
    for (unsigned i = 0; i < st->board_count; i++)
        kl_board_park(st, &st->board[i]);
}
