/*
 * board_store.c: what the store answers. An answer belongs to the key: the pool hears it even if
 * the board that asked is long gone.
 */
#include "station_state.h"

/* The store made nothing durable: the board asks again soon, and shows for what it waits. */
static void store_failed(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    bool asks = ev->u.stored.status == KL_STORE_ASKS;
    enum kl_reason why = asks ? KL_FAULT_LIST_ASKS : KL_FAULT_STORE_TROUBLE;

    KL_ASSERT(b->state == KL_ST_RESERVING || b->state == KL_ST_RECORDING);
    if (b->fault.reason != why)
        kl_tell_key(st, b, "waiting", ev->u.stored.text);
    b->fault = (struct kl_fault){.reason = why};
    kl_copy(b->fault.detail, sizeof b->fault.detail, ev->u.stored.text);
    b->custody.ask_again_at = st->now + KL_SEC(2);
}

/* The shared pool has not agreed yet: the board keeps its place and its key, and gets no byte. */
static void pool_waits(struct kl_station *st, struct kl_board *b, const char *text)
{
    KL_ASSERT(b->state == KL_ST_RESERVING);
    if (b->fault.reason != KL_FAULT_POOL_WAIT)
        kl_tell_key(st, b, "waiting", text);
    b->fault = (struct kl_fault){.reason = KL_FAULT_POOL_WAIT};
    kl_copy(b->fault.detail, sizeof b->fault.detail, text);
    b->custody.ask_again_at = st->now + KL_SEC(1);
}

static bool is_the_pools(enum kl_store_status status)
{
    return status == KL_STORE_WAITS || status == KL_STORE_ELSEWHERE || status == KL_STORE_DISPUTED;
}

/* What the shared pool says to a board that waits for its key, which is reserved for it. */
static void pool_says(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    if (ev->u.stored.status == KL_STORE_WAITS) {
        pool_waits(st, b, ev->u.stored.text);
        return;
    }
    if (ev->u.stored.status == KL_STORE_DISPUTED) {
        kl_board_fail(st, b, KL_FAULT_POOL_DISPUTE, ev->u.stored.text);
        return;
    }
    kl_board_give_back_unsent(st, b, "another station of the pool has this board");
    kl_pool_leave(&st->pool, b->custody.index);
    kl_custody_disown(&b->custody);
    kl_board_fail(st, b, KL_FAULT_BOARD_ELSEWHERE, ev->u.stored.text);
}

/* A person chose this key for a board before it asked: the board keeps it, even unplugged. */
static void bound_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                           bool awaits)
{
    enum kl_store_status status = ev->u.stored.status;
    bool ok = status == KL_STORE_OK;

    if (status == KL_STORE_ELSEWHERE || status == KL_STORE_DISPUTED)
        kl_tell_text(st, b, KL_NOTE_STATION,
                     "a label is bound to a board that the shared pool knows otherwise");
    else if (!ok && status != KL_STORE_WAITS)
        kl_tell_text(st, b, KL_NOTE_STATION,
                     "a label could not be bound to its board: the reservation can't be written");
    if (!awaits)
        return;
    if (ok)
        kl_custody_bring(&b->custody, ev->u.stored.key);
    else
        kl_custody_miss(&b->custody);
    kl_board_loader_step(st, b); /* may have waited for this */
}

static void reserve_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                             uint32_t key)
{
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool durable = ok || is_the_pools(ev->u.stored.status);
    bool awaits = kl_custody_awaits(&b->custody, key, ev->request);
    bool waiting = awaits && b->state == KL_ST_RESERVING;
    bool bound = kl_pool_key(&st->pool, key)->bound;

    if (ev->u.stored.status == KL_STORE_REFUSED)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_reserved(&st->pool, key, durable);
    if (bound && !waiting) {
        bound_answered(st, b, ev, awaits);
        return;
    }
    if (!waiting) {
        /* The board has gone or failed meanwhile; nothing was sent. */
        if (durable && ev->u.stored.status != KL_STORE_DISPUTED && kl_pool_release(&st->pool, key))
            kl_ask_store(st, b, KL_OP_RELEASE, key, "its board left before anything was sent");
        return;
    }
    if (ok) {
        kl_custody_bring(&b->custody, ev->u.stored.key);
        kl_tell_key(st, b, "reserved", "");
        kl_board_send_if_wanted(st, b);
        return;
    }
    kl_custody_miss(&b->custody);
    if (durable) {
        pool_says(st, b, ev);
        return;
    }
    /* The ledger knows more than the pool: a reservation that the store reported as failed is there
       after all. The pool will hear of it soon, and then has another key for this board. */
    if (ev->u.stored.status != KL_STORE_REFUSED || kl_attempts_may_restart(&b->attempts))
        store_failed(st, b, ev);
    else
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
}

static void fetch_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                           uint32_t key)
{
    bool reserving = b->state == KL_ST_RESERVING;

    if (!kl_custody_awaits(&b->custody, key, ev->request))
        return;
    if (ev->u.stored.status == KL_STORE_OK)
        kl_custody_bring(&b->custody, ev->u.stored.key);
    else
        kl_custody_miss(&b->custody);
    if (reserving && ev->u.stored.status == KL_STORE_OK)
        kl_board_send_if_wanted(st, b);
    else if (reserving && is_the_pools(ev->u.stored.status))
        pool_says(st, b, ev);
    else if (reserving && ev->u.stored.status == KL_STORE_REFUSED)
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    else if (reserving)
        store_failed(st, b, ev);
    kl_board_loader_step(st, b); /* may have waited for this */
}

static void provision_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                               uint32_t key)
{
    KL_ASSERT(ev->u.stored.op == KL_OP_PROVISION);
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool by_word = b->custody.proof == KL_PROOF_ACKNOWLEDGED;

    if (ev->u.stored.status == KL_STORE_REFUSED)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_recorded(&st->pool, key, ok);
    if (b->custody.index != key || b->state != KL_ST_RECORDING)
        return;
    if (ok) {
        kl_custody_recorded(&b->custody);
        kl_tell_key(st, b, "recorded", by_word ? "acknowledged only" : "");
        kl_board_done(st, b);
    } else if (ev->u.stored.status == KL_STORE_REFUSED) {
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    } else {
        store_failed(st, b, ev);
    }
}

static void release_answered(struct kl_station *st, const struct kl_event *ev, uint32_t key)
{
    KL_ASSERT(ev->u.stored.op == KL_OP_RELEASE);
    if (ev->u.stored.status == KL_STORE_REFUSED)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_released(&st->pool, key, ev->u.stored.status == KL_STORE_OK);
}

/* A board must drop a key that does not, or no longer, belong to its MAC. */
void kl_board_drop_lost_keys(struct kl_station *st)
{
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[i];
        bool waited = b->custody.state == KL_CUSTODY_ASKED;
        if (!kl_custody_has_key(&b->custody) ||
            kl_mac_equal(kl_pool_mac(&st->pool, b->custody.index), &b->identity.mac))
            continue;
        kl_custody_disown(&b->custody);
        if (waited)
            kl_board_loader_step(st, b); /* the board waited for this key's text */
    }
}

static void key_answered(struct kl_station *st, const struct kl_event *ev)
{
    uint32_t key = kl_pool_find(&st->pool, &ev->u.stored.fingerprint);
    struct kl_board *b = ev->slot == KL_BENCH ? NULL : &st->board[ev->slot];

    KL_ASSERT(key != NO_KEY);
    KL_ASSERT(b || ev->u.stored.op == KL_OP_RELEASE);
    switch (ev->u.stored.op) {
    case KL_OP_RESERVE:
        reserve_answered(st, b, ev, key);
        break;
    case KL_OP_FETCH:
        fetch_answered(st, b, ev, key);
        break;
    case KL_OP_PROVISION:
        provision_answered(st, b, ev, key);
        break;
    case KL_OP_RELEASE:
        release_answered(st, ev, key);
        break;
    case KL_OP_ATTEMPT:
    case KL_OP_COMMAND:
        KL_ASSERT(!"this record is about no key");
        break;
    }
    kl_board_drop_lost_keys(st);
    kl_station_serve_waiting(st);
}

void kl_board_stored(struct kl_station *st, const struct kl_event *ev)
{
    KL_ASSERT(ev->slot < st->board_count || ev->slot == KL_BENCH);
    st->store.trouble = ev->u.stored.status == KL_STORE_FAILED;
    if (ev->u.stored.op != KL_OP_ATTEMPT) {
        key_answered(st, ev);
    } else if (ev->u.stored.status != KL_STORE_OK) {
        kl_tell_text(st, &st->board[ev->slot], KL_NOTE_LOG,
                     "the ledger's history lacks this try: it can't be written");
    }
}

/* Asks the store again after a failed request. */
void kl_board_ask_store_again(struct kl_station *st, struct kl_board *b)
{
    b->custody.ask_again_at = KL_NEVER;
    if (b->state == KL_ST_RESERVING && b->fault.reason == KL_FAULT_POOL_WAIT) {
        kl_board_ask_pool_again(st, b);
    } else if (b->state == KL_ST_RESERVING) {
        kl_board_enter(st, b, KL_ST_ASKING);
        kl_board_ask_pool(st, b);
    } else if (b->state == KL_ST_RECORDING) {
        kl_board_record(st, b);
    }
}
