/*
 * board_end.c: how a try ends: done, failed, skipped or stopped; what the station tells, and when
 * it tries again.
 */
#include "station_state.h"

/* ---- the record of a try ---- */

/* Closes the record and hands it to the ledger's history. */
void kl_board_finish_attempt(struct kl_station *st, struct kl_board *b, enum kl_state result)
{
    const struct kl_fault *f = &b->fault;
    struct kl_attempt *a;

    if (!kl_attempts_is_lived(
            &b->attempts)) /* the try failed before it began: the port can't be opened */
        kl_attempts_begin(&b->attempts, st->now, st->wall);
    kl_attempts_spend(&b->attempts, b->state, st->now - b->since);
    a = kl_attempts_end(&b->attempts, result, st->now, st->wall);
    a->mac = b->identity.mac;
    a->eui64 = b->identity.eui64;
    a->chip = b->identity.chip;
    a->revision = b->identity.revision;
    a->flash_id = b->identity.flash_id;
    a->flash_size = b->identity.flash_size;
    a->baud = b->identity.baud;
    a->reason = result == KL_ST_FAILED ? f->reason : KL_FAULT_NONE;
    a->chip_error = f->chip_error;
    a->acknowledged_only = b->custody.proof == KL_PROOF_ACKNOWLEDGED;
    a->exam = kl_board_exam_score(b, result);
    kl_copy(a->detail, sizeof a->detail, f->detail);
    kl_copy(a->label, sizeof a->label, b->custody.label);
    kl_copy(a->port, sizeof a->port, b->port.path);
    kl_copy(a->slot, sizeof a->slot, b->place.name);
    kl_ask_store(st, b, KL_OP_ATTEMPT, NO_KEY, NULL);
}

/* A failed board gets no other try after all: its failure is told now. */
void kl_board_tell_failure(struct kl_station *st, struct kl_board *b)
{
    if (kl_attempts_owe_failure(&b->attempts))
        kl_board_finished(st, b, KL_ST_FAILED);
}

bool kl_board_was_switched(const struct kl_board *b, kl_us now, kl_us within)
{
    KL_ASSERT(b->place.powered_at <= now || b->place.powered_at == 1);
    return b->place.powered_at > 0 && now - b->place.powered_at < within;
}

/* ---- done ---- */

void kl_board_done(struct kl_station *st, struct kl_board *b)
{
    bool left = b->stage == KL_STAGE_LEFT;

    KL_ASSERT(b->custody.state == KL_CUSTODY_RECORDED);
    if (kl_board_nvs_starts(st, b) || kl_board_exam_begins(st, b))
        return;
    if (left && b->state == KL_ST_RECORDING && kl_board_nvs_prints(st)) {
        kl_board_gone(st, b, "it left before its firmware showed its key");
        return;
    }
    KL_ASSERT(kl_pool_key(&st->pool, b->custody.index)->state == KL_KEY_PROVISIONED);
    if (b->identity.baud && b->identity.baud < b->place.baud_limit)
        b->place.baud_limit = b->identity.baud; /* the fastest rate that was clean here */
    b->custody.ask_again_at = KL_NEVER;
    b->place.powered_at = 0;
    kl_board_enter(st, b, KL_ST_DONE);
    kl_board_finish_attempt(st, b, KL_ST_DONE);
    kl_board_finished(st, b, KL_ST_DONE);
    if (left)
        kl_board_gone(st, b, "unplugged");
}

/* ---- failing ---- */

static uint32_t lower_baud(uint32_t baud)
{
    static const uint32_t ladder[] = {2000000, 1500000, 921600, 460800, 230400, 115200};

    KL_ASSERT(baud >= 115200);
    for (size_t i = 0; i < sizeof ladder / sizeof ladder[0]; i++)
        if (ladder[i] < baud)
            return ladder[i];
    return 115200;
}

/* Changes what the next try does, as the fault's policy says. */
static void adapt(struct kl_station *st, struct kl_board *b, enum kl_policy policy)
{
    char text[KL_TEXT_MAX];

    if (policy == KL_POLICY_RECONNECT) {
        b->place.memory.reset = KL_RESET_AUTO;
    } else if (policy == KL_POLICY_SLOWER) {
        uint32_t used = b->identity.baud ? b->identity.baud : b->place.baud_limit;
        uint32_t limit = used < st->config.baud_max ? used : st->config.baud_max;
        b->place.baud_limit = lower_baud(limit);
        kl_format(text, sizeof text, "next try at %u baud", b->place.baud_limit);
        kl_tell_text(st, b, KL_NOTE_LOG, text);
    }
}

/* When the board is tried again automatically; KL_NEVER = never. */
static kl_us next_try(struct kl_station *st, struct kl_board *b, enum kl_reason reason)
{
    kl_us at = KL_NEVER;

    KL_ASSERT(reason != KL_FAULT_NONE && b->attempts.state == KL_ATTEMPTS_BETWEEN);
    if (!st->mode.stopping)
        at = kl_attempts_take_retry(&b->attempts, reason, st->config.retries, st->now);
    if (at != KL_NEVER)
        adapt(st, b, kl_fault_info(reason).policy);
    return at;
}

static bool is_about_the_link(enum kl_reason reason)
{
    return reason == KL_FAULT_PORT_LOST || reason == KL_FAULT_PORT_ERROR ||
           reason == KL_FAULT_PORT_BUSY || reason == KL_FAULT_PORT_DENIED ||
           reason == KL_FAULT_LINK_STUCK || reason == KL_FAULT_ADAPTER_SETTING;
}

/* A board that says nothing, or nothing sensible, may recover when it loses its power. */
static bool is_silence(enum kl_reason reason)
{
    return reason == KL_FAULT_NO_SYNC || reason == KL_FAULT_LINK_STUCK ||
           reason == KL_FAULT_TIMEOUT || reason == KL_FAULT_NO_BOOT_OUTPUT;
}

/* No retry is left: switches a silent board's socket off and on, for one more try. This is safe
   after the key's first bytes have left: the key stays reserved for the board. */
static kl_us switch_power(struct kl_station *st, struct kl_board *b, enum kl_reason reason)
{
    KL_ASSERT(b->attempts.state == KL_ATTEMPTS_BETWEEN);
    if (!st->config.power || st->mode.stopping || !is_silence(reason) ||
        kl_board_was_switched(b, st->now, KL_SEC(600)))
        return KL_NEVER;
    b->place.powered_at = st->now > 0 ? st->now : 1;
    kl_tell_text(st, b, KL_NOTE_POWER,
                 "silent after all retries: its socket is switched off and on");
    return st->now + KL_POWER_CYCLE;
}

/* The try is over. A board that failed or was skipped may go on asking, and another one may be put
   in its place: neither gets a byte. Its log is still shown. */
static void only_listen(struct kl_board *b)
{
    if (b->talker == KL_TALK_DELIVERY)
        kl_delivery_stop(&b->delivery);
    else
        kl_board_talk(b, KL_TALK_NONE);
}

enum mercy {
    MERCY_BY_POLICY,
    MERCY_NONE, /* no retry by itself */
};

static void fail(struct kl_station *st, struct kl_board *b, const struct kl_fault *fault,
                 enum mercy mercy)
{
    kl_us again;

    KL_ASSERT(fault->reason != KL_FAULT_NONE);
    b->fault = *fault;
    kl_board_finish_attempt(st, b, KL_ST_FAILED);
    if (kl_custody_has_key(&b->custody))
        kl_pool_leave(&st->pool, b->custody.index);
    again = mercy == MERCY_NONE ? KL_NEVER : next_try(st, b, fault->reason);
    if (again == KL_NEVER && mercy == MERCY_BY_POLICY)
        again = switch_power(st, b, fault->reason);
    only_listen(b);
    kl_board_enter(st, b, KL_ST_FAILED);
    b->place.failed_at = st->now;
    kl_look_for_common_cause(st);
    kl_port_unfollow(&b->port);
    b->attempts.retry_at = again;
    if (is_about_the_link(fault->reason))
        kl_board_close_port(st, b);
    if (again != KL_NEVER)
        return;
    kl_board_finished(st, b, KL_ST_FAILED);
    kl_board_watch_port(st, b);
}

void kl_board_fail_with(struct kl_station *st, struct kl_board *b, const struct kl_fault *fault)
{
    fail(st, b, fault, MERCY_BY_POLICY);
}

static struct kl_fault fault_of(enum kl_reason reason, const char *detail)
{
    struct kl_fault fault = {.reason = reason};

    KL_ASSERT((unsigned)reason < KL_FAULT_COUNT);
    kl_copy(fault.detail, sizeof fault.detail, detail);
    return fault;
}

void kl_board_fail(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                   const char *detail)
{
    struct kl_fault fault = fault_of(reason, detail);

    fail(st, b, &fault, MERCY_BY_POLICY);
}

void kl_board_give_up(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                      const char *detail)
{
    struct kl_fault fault = fault_of(reason, detail);

    fail(st, b, &fault, MERCY_NONE);
}

/* ---- what an operator ends, or begins anew ---- */

void kl_board_skip(struct kl_station *st, struct kl_board *b)
{
    if (b->state == KL_ST_EMPTY || b->state == KL_ST_CLOSING || b->state == KL_ST_DONE ||
        b->state == KL_ST_SKIPPED || b->state == KL_ST_RECORDING)
        return; /* RECORDING: the board has proved its key; it is too late to skip it */
    kl_board_give_back_unsent(st, b, "skipped before anything was sent");
    if (b->state != KL_ST_FAILED)
        kl_board_finish_attempt(st, b, KL_ST_SKIPPED);
    only_listen(b);
    kl_board_enter(st, b, KL_ST_SKIPPED);
    b->attempts.ended.result = KL_ST_SKIPPED;
    b->attempts.ended.reason = KL_FAULT_NONE;
    kl_board_finished(st, b, KL_ST_SKIPPED);
    kl_board_watch_port(st, b);
    kl_port_look_now(&b->port, st->now); /* a board that left the bus may still come back */
}

/* The operator asked for a stop: a board that got no key byte ends here, the others finish. */
void kl_board_park(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(st->mode.stopping);
    if (b->state == KL_ST_SENDING || b->state == KL_ST_CONFIRMING || b->state == KL_ST_RECORDING)
        return;
    if (b->state == KL_ST_TESTING ||
        (b->state == KL_ST_BOOTING && b->custody.state == KL_CUSTODY_RECORDED))
        return; /* it has its key and only has to start, and to pass its test */
    if (b->state == KL_ST_FAILED)
        kl_board_tell_failure(st, b);
    b->attempts.retry_at = KL_NEVER;
    kl_port_rest(&b->port);
    if (b->state == KL_ST_SETTLING || kl_state_is_live(b->state)) {
        kl_board_give_back_unsent(st, b, "stopped before anything was sent");
        kl_board_fail(st, b, KL_FAULT_STOPPED, "");
    }
}

void kl_board_retry(struct kl_station *st, struct kl_board *b, enum kl_flashing flashing)
{
    bool done_over = flashing == KL_FLASHING_ERASES && b->state == KL_ST_DONE;

    if (b->state != KL_ST_FAILED && b->state != KL_ST_SKIPPED && !done_over)
        return;
    KL_ASSERT(!kl_attempts_is_lived(&b->attempts));
    kl_attempts_renew(&b->attempts, flashing);
    b->place.had_turn = false;
    b->place.powered_at = 0;
    kl_port_unfollow(&b->port);
    kl_port_renew(&b->port);
    kl_board_enter(st, b, KL_ST_SETTLING);
    kl_board_try_start(st, b);
}
