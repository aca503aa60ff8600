/*
 * board_key.c: a board's life from its first word to done: everything that touches a key.
 *
 * The order is fixed: the board asks -> the pool decides -> reserve durably -> send -> the board
 * acknowledges -> reads back after its restart -> record durably -> done. Whatever could mean that
 * another board stands there before the first byte is sent means: identify again.
 */
#include "station_state.h"

#include <string.h>

/* A chip prints its banner at once; what comes later than this after our reset is another start. At
   a needle bed hands need a second to exchange a board, and the adapter would not tell. */
static kl_us banner_due(const struct kl_station *st)
{
    return st->config.fixture ? KL_MS(700) : KL_MS(1500);
}

/* … as may be a prompt that comes later than one lost prompt explains. */
static bool may_be_exchanged(const struct kl_station *st, const struct kl_board *b)
{
    return st->config.fixture && (b->state == KL_ST_ASKING || b->state == KL_ST_RESERVING) &&
           st->now - b->asked_at > KL_MS(1100);
}

void kl_board_forget_key(struct kl_station *st, struct kl_board *b)
{
    if (b->key != NO_KEY)
        kl_pool_leave(&st->pool, b->key);
    b->key = NO_KEY;
    b->awaited = 0;
    b->have_secret = false;
    b->fetching = false;
    b->handed_over = false;
    b->store_retry_at = KL_NEVER;
    b->acknowledged_only = false;
    b->label[0] = '\0';
    kl_wipe(&b->secret, sizeof b->secret);
}

static void take_key(struct kl_station *st, struct kl_board *b, uint32_t key)
{
    b->key = key;
    kl_copy(b->label, sizeof b->label, kl_pool_key(&st->pool, key)->label);
}

/* The MAC is known now. If the pool knows it too, its own key is fetched: to mask it, to compare it
   with what the board shows, and to send it again if the board asks. */
void kl_board_recognise(struct kl_station *st, struct kl_board *b)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &b->identity.mac);

    if (key == NO_KEY)
        return;
    take_key(st, b, key);
    b->fetching = true;
    kl_note_key(st, b, "recognised", "this board has a key already");
    kl_ask_store(st, b, KL_OP_FETCH, key, NULL);
}

/* The chip was reset into its program. */
void kl_board_listen(struct kl_station *st, struct kl_board *b)
{
    struct kl_handover_setup setup = {
        .prompt_timeout = st->config.prompt_timeout,
        .ack_timeout = st->config.ack_timeout,
        .confirm = st->config.confirm,
        .fields = st->fields,
        .sha256 = st->config.sha256,
    };

    b->talker = TALK_HANDOVER;
    if (b->state == KL_ST_CONFIRMING)
        return; /* followed through its restart: the handover goes on where it was */
    b->banner_seen = b->banner_again = false;
    /* At a needle bed the time counts from the board's last word in its loader: that it is reset
       may be answered late. */
    b->listening_since = st->config.fixture ? b->since : st->now;
    kl_handover_init(&b->handover, &setup);
    kl_handover_listen(&b->handover, b->have_secret ? &b->secret : NULL, st->now);
}

/* ---- the key's way out ------------------------------------------------------------------------
 */

static void send(struct kl_station *st, struct kl_board *b)
{
    uint32_t key = b->key;

    /* Checked again at the last instant: the board is the one identified, it is waiting, and the
       key is durably its own. */
    KL_ASSERT(b->have_secret && b->talker == TALK_HANDOVER && b->port.state == KL_PORT_OPEN);
    KL_ASSERT(kl_mac_equal(&kl_pool_key(&st->pool, key)->mac, &b->identity.mac));
    KL_ASSERT(
        kl_fingerprint_equal(&kl_pool_key(&st->pool, key)->fingerprint, &b->secret.fingerprint));
    if (!kl_pool_sending(&st->pool, key)) {
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, b->label);
        return;
    }
    b->handed_over = true;
    kl_board_enter(st, b, KL_ST_SENDING);
    kl_note_key(st, b, "sending", "");
    kl_handover_send(&b->handover, &b->secret, st->now);
}

/* At a needle bed a board counts as waiting only for so long after its prompt; the next one will
   tell whether it still does. */
static void send_if_asked(struct kl_station *st, struct kl_board *b)
{
    bool fresh = !st->config.fixture || st->now - b->asked_at < KL_MS(700);

    if (fresh && kl_handover_phase(&b->handover) == KL_HO_ASKED)
        send(st, b);
}

static void wait_for_keys(struct kl_station *st, struct kl_board *b)
{
    if (st->config.once) {
        st->no_keys++;
        kl_board_fail(st, b, KL_FAULT_NO_KEYS, "");
    } else if (b->fault.reason != KL_FAULT_NO_KEYS) {
        b->fault = (struct kl_fault){.reason = KL_FAULT_NO_KEYS};
        kl_note_key(st, b, "waiting", "no free key is left; add rows to the CSV");
    }
}

/* asking -> reserving: the board asks for its key, the pool decides which. */
void kl_board_ask_pool(struct kl_station *st, struct kl_board *b)
{
    uint32_t key;

    KL_ASSERT(b->state == KL_ST_ASKING && kl_mac_is_set(&b->identity.mac));
    switch (kl_pool_ask(&st->pool, &b->identity.mac, &key)) {
    case KL_POOL_GIVE:
        take_key(st, b, key);
        kl_board_enter(st, b, KL_ST_RESERVING);
        b->deadline = st->now + KL_SEC(5);
        if (kl_pool_key(&st->pool, key)->state == KL_KEY_RESERVING)
            kl_ask_store(st, b, KL_OP_RESERVE, key, NULL);
        else if (b->have_secret)
            send_if_asked(st, b);
        else
            kl_ask_store(st, b, KL_OP_FETCH, key, NULL);
        break;
    case KL_POOL_EMPTY:
        wait_for_keys(st, b);
        break;
    case KL_POOL_CONFLICT:
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, b->label);
        break;
    case KL_POOL_BUSY:
        break; /* asked again with the board's next prompt */
    }
}

/* A key of which nothing can have left the host goes back to the pool. */
void kl_board_give_back_unsent(struct kl_station *st, struct kl_board *b, const char *reason)
{
    if (b->key == NO_KEY || b->handed_over)
        return;
    if (kl_pool_key(&st->pool, b->key)->state == KL_KEY_RESERVED &&
        kl_pool_release(&st->pool, b->key))
        kl_ask_store(st, b, KL_OP_RELEASE, b->key, reason);
    /* A reservation that is still on its way is given back when it arrives (key_stored). */
}

/* ---- proof and record -------------------------------------------------------------------------
 */

static void done(struct kl_station *st, struct kl_board *b)
{
    if (b->identity.baud && b->identity.baud < b->baud_limit)
        b->baud_limit = b->identity.baud; /* the fastest that was clean here */
    b->store_retry_at = KL_NEVER;
    kl_board_enter(st, b, KL_ST_DONE);
    kl_board_finish_attempt(st, b, KL_ST_DONE);
    kl_board_finished(st, b, KL_ST_DONE);
    if (b->left)
        kl_board_gone(st, b, "unplugged");
}

static void record(struct kl_station *st, struct kl_board *b)
{
    if (b->state != KL_ST_RECORDING)
        kl_board_enter(st, b, KL_ST_RECORDING);
    b->store_retry_at = KL_NEVER;
    kl_ask_store(st, b, KL_OP_PROVISION, b->key, NULL);
    b->deadline = st->now + KL_SEC(5);
}

/* The board has proved that it holds the key it was sent (or, as told, only acknowledged it). */
static void proved(struct kl_station *st, struct kl_board *b)
{
    if (kl_pool_key(&st->pool, b->key)->state == KL_KEY_PROVISIONED) {
        kl_note_key(st, b, "confirmed", "recorded before");
        done(st, b);
        return;
    }
    kl_pool_recording(&st->pool, b->key);
    record(st, b);
}

/* What it holds bears its own key's label and differs: bytes were lost on the way, or its flash is
   bad. Read twice, it is erased, and asks again. What bears another label is not ours to erase. */
static void holds_unknown(struct kl_station *st, struct kl_board *b, const char *label)
{
    if (!b->have_secret || !label[0] || strcmp(label, b->label) != 0) {
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNKNOWN, label);
        return;
    }
    if (b->retries_used[KL_FAULT_READBACK_DIFFERS] > 0) {
        b->damaged = b->identity.mac;
        kl_note_key(st, b, "damaged", "the board is erased and gets the same key again");
    }
    kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS, label);
}

/* The board showed a stored key without having been sent one by us in this try. */
static void settle_claim(struct kl_station *st, struct kl_board *b,
                         const struct kl_handover_event *ev)
{
    uint32_t key = NO_KEY;

    b->attempt.already = true;
    switch (kl_pool_claim(&st->pool, &b->identity.mac, &ev->fingerprint, &key)) {
    case KL_CLAIM_OWN:
        take_key(st, b, key);
        kl_note_key(st, b, "recognised", "the board holds its own key");
        if (kl_pool_key(&st->pool, key)->state == KL_KEY_PROVISIONED)
            done(st, b);
        else
            record(st, b);
        break;
    case KL_CLAIM_ADOPT:
        take_key(st, b, key);
        kl_note_key(st, b, "adopted", "the board holds a key of this CSV that nobody had recorded");
        record(st, b);
        break;
    case KL_CLAIM_OTHERS:
        kl_board_fail(st, b, KL_FAULT_HOLDS_OTHER_KEY, ev->label);
        break;
    case KL_CLAIM_UNKNOWN:
        holds_unknown(st, b, ev->label);
        break;
    case KL_CLAIM_BUSY:
        kl_board_identify_again(st, b, "its key is still on its way in the store");
        break;
    }
}

static bool key_is_own(const struct kl_station *st, const struct kl_board *b)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &b->identity.mac);

    return key != NO_KEY && key == b->key;
}

/* It says Provisioned and shows nothing. Enough only where the acknowledgement is, and only for a
   board that was sent its key by this CSV's stations. */
static void holds_unreadable(struct kl_station *st, struct kl_board *b)
{
    const struct kl_pool_key *key = b->key == NO_KEY ? NULL : kl_pool_key(&st->pool, b->key);

    if (st->config.confirm != KL_CONFIRM_ACK || !key || !key_is_own(st, b)) {
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNREADABLE, "");
        return;
    }
    b->attempt.already = true;
    b->acknowledged_only = true;
    if (key->state == KL_KEY_RESERVED)
        proved(st, b);
    else if (key->state == KL_KEY_PROVISIONED)
        done(st, b);
}

/* ---- what the board says ----------------------------------------------------------------------
 */

static void on_restart(struct kl_station *st, struct kl_board *b)
{
    switch (b->state) {
    case KL_ST_BOOTING:
        /* Our own reset prints one banner; a second is somebody else's, or another board's. As
           long as it only starts, its boot log may still tell why; see is_somebody. */
        b->banner_again |= b->banner_seen || st->now - b->listening_since > banner_due(st);
        b->banner_seen = true;
        break;
    case KL_ST_ASKING:
    case KL_ST_RESERVING:
        kl_board_identify_again(st, b, "the board started again while it waited for its key");
        break;
    case KL_ST_SENDING:
        kl_board_fail(st, b, KL_FAULT_NO_ACK, "it started again before it acknowledged");
        break;
    default:
        break; /* CONFIRMING: that is what it should do */
    }
}

static void on_asks(struct kl_station *st, struct kl_board *b)
{
    if (may_be_exchanged(st, b)) {
        kl_board_identify_again(st, b, "the board stopped asking for a while");
        return;
    }
    b->asked_at = st->now;
    if (b->state == KL_ST_BOOTING)
        kl_board_enter(st, b, KL_ST_ASKING);
    if (b->state == KL_ST_ASKING)
        kl_board_ask_pool(st, b);
    else if (b->state == KL_ST_RESERVING && b->have_secret &&
             kl_pool_key(&st->pool, b->key)->state >= KL_KEY_RESERVED)
        send_if_asked(st, b);
    else if (b->state == KL_ST_CONFIRMING)
        kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS,
                      "it acknowledged, but asks again after its restart");
}

static void on_ack(struct kl_station *st, struct kl_board *b)
{
    if (b->state != KL_ST_SENDING)
        return;
    kl_board_enter(st, b, KL_ST_CONFIRMING);
    kl_note_key(st, b, "acknowledged", "");
    if (st->config.confirm == KL_CONFIRM_ACK) {
        b->acknowledged_only = true;
        proved(st, b);
    }
}

static void on_holds(struct kl_station *st, struct kl_board *b, const struct kl_handover_event *ev)
{
    if (b->state == KL_ST_SENDING || b->state == KL_ST_CONFIRMING) {
        if (ev->matches)
            proved(st, b);
        else
            kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS, "");
    } else if (b->state == KL_ST_BOOTING || b->state == KL_ST_ASKING) {
        settle_claim(st, b, ev);
    }
}

static void on_trouble(struct kl_station *st, struct kl_board *b,
                       const struct kl_handover_event *ev)
{
    if (b->state == KL_ST_BOOTING || b->state == KL_ST_ASKING || b->state == KL_ST_CONFIRMING)
        kl_board_fail(st, b, ev->reason, ev->text);
}

static void on_timeout(struct kl_station *st, struct kl_board *b,
                       const struct kl_handover_event *ev)
{
    if (b->state == KL_ST_ASKING || b->state == KL_ST_RESERVING)
        kl_board_identify_again(st, b, "the board stopped asking");
    else if (kl_state_is_live(b->state) && b->state != KL_ST_RECORDING)
        kl_board_fail(st, b, ev->reason, ev->text);
}

/* A board that started more often than we made it start, or later than our reset can explain, wants
   something: who is it? At a needle bed a board whose start is not seen at all must be quick. */
static bool is_somebody(const struct kl_station *st, const struct kl_board *b,
                        const struct kl_handover_event *ev)
{
    bool unseen =
        st->config.fixture && !b->banner_seen && st->now - b->listening_since > 2 * banner_due(st);

    return b->state == KL_ST_BOOTING && (b->banner_again || unseen) &&
           (ev->kind == KL_HO_ASKS || ev->kind == KL_HO_HOLDS || ev->kind == KL_HO_HOLDS_BARE);
}

static void handle(struct kl_station *st, struct kl_board *b, const struct kl_handover_event *ev)
{
    if (is_somebody(st, b, ev)) {
        kl_board_identify_again(st, b, "the board started again by itself before it asked");
        return;
    }
    switch (ev->kind) {
    case KL_HO_LINE:
        kl_note_text(st, b, KL_NOTE_LOG, ev->text);
        break;
    case KL_HO_RESTART:
        on_restart(st, b);
        break;
    case KL_HO_ASKS:
        on_asks(st, b);
        break;
    case KL_HO_ACK:
        on_ack(st, b);
        break;
    case KL_HO_HOLDS:
        on_holds(st, b, ev);
        break;
    case KL_HO_HOLDS_BARE:
        if (b->state == KL_ST_BOOTING || b->state == KL_ST_ASKING)
            holds_unreadable(st, b);
        break;
    case KL_HO_ERROR:
        if (b->state == KL_ST_SENDING)
            kl_board_fail(st, b, KL_FAULT_KEY_REFUSED, ev->text);
        break;
    case KL_HO_TROUBLE:
        on_trouble(st, b, ev);
        break;
    case KL_HO_TIMEOUT:
        on_timeout(st, b, ev);
        break;
    }
}

void kl_board_handover_step(struct kl_station *st, struct kl_board *b)
{
    struct kl_handover_event ev;

    while (b->talker == TALK_HANDOVER && kl_handover_event(&b->handover, &ev))
        handle(st, b, &ev);
    kl_wipe(&ev, sizeof ev);
}

/* ---- what the store says ----------------------------------------------------------------------
 */

static bool waits_for(const struct kl_board *b, const struct kl_event *ev, uint32_t key)
{
    return b->key == key && b->awaited == ev->request;
}

static void store_failed(struct kl_station *st, struct kl_board *b, const char *text)
{
    if (b->fault.reason != KL_FAULT_STORE_TROUBLE)
        kl_note_key(st, b, "waiting", text);
    b->fault = (struct kl_fault){.reason = KL_FAULT_STORE_TROUBLE};
    kl_copy(b->fault.detail, sizeof b->fault.detail, text);
    b->store_retry_at = st->now + KL_SEC(2);
}

static void reserve_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                             uint32_t key)
{
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool waiting = waits_for(b, ev, key) && b->state == KL_ST_RESERVING;

    if (ev->u.stored.status == KL_STORE_REFUSED)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_reserved(&st->pool, key, ok);
    if (!waiting) {
        /* Its board has gone or failed meanwhile; nothing was sent. */
        if (ok && kl_pool_release(&st->pool, key))
            kl_ask_store(st, b, KL_OP_RELEASE, key, "its board left before anything was sent");
        return;
    }
    if (ev->u.stored.status == KL_STORE_REFUSED) {
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    } else if (!ok) {
        store_failed(st, b, ev->u.stored.text);
    } else {
        kl_note_key(st, b, "reserved", "");
        b->secret = *ev->u.stored.key;
        b->have_secret = true;
        send_if_asked(st, b);
    }
}

static void fetch_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                           uint32_t key)
{
    if (!waits_for(b, ev, key))
        return;
    b->fetching = false;
    if (ev->u.stored.status == KL_STORE_OK) {
        b->secret = *ev->u.stored.key;
        b->have_secret = true;
        if (b->state == KL_ST_RESERVING)
            send_if_asked(st, b);
    } else if (b->state == KL_ST_RESERVING) {
        if (ev->u.stored.status == KL_STORE_REFUSED)
            kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
        else
            store_failed(st, b, ev->u.stored.text);
    }
    kl_board_loader_step(st, b); /* may have waited for this */
}

static void provision_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev,
                               uint32_t key)
{
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool refused = ev->u.stored.status == KL_STORE_REFUSED;

    if (refused)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_recorded(&st->pool, key, ok);
    if (b->key != key || b->state != KL_ST_RECORDING)
        return;
    if (refused) {
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    } else if (ok) {
        kl_note_key(st, b, "recorded", b->acknowledged_only ? "acknowledged only" : "");
        done(st, b);
    } else {
        store_failed(st, b, ev->u.stored.text);
    }
}

/* Nobody may go on with a key that is not, or no longer, the one of its board's MAC. */
void kl_board_drop_lost_keys(struct kl_station *st)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        struct kl_board *b = &st->board[i];
        bool fetching = b->fetching;
        if (b->key == NO_KEY ||
            kl_mac_equal(&kl_pool_key(&st->pool, b->key)->mac, &b->identity.mac))
            continue;
        b->key = NO_KEY;
        b->awaited = 0;
        b->have_secret = b->fetching = false;
        b->label[0] = '\0';
        kl_wipe(&b->secret, sizeof b->secret);
        if (fetching)
            kl_board_loader_step(st, b); /* it waited for this key's text */
    }
}

static void key_answered(struct kl_station *st, struct kl_board *b, const struct kl_event *ev)
{
    uint32_t key = kl_pool_find(&st->pool, &ev->u.stored.fingerprint);

    KL_ASSERT(key != NO_KEY);
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
        if (ev->u.stored.status == KL_STORE_REFUSED)
            kl_pool_refused(&st->pool, key);
        else
            kl_pool_released(&st->pool, key, ev->u.stored.status == KL_STORE_OK);
        break;
    case KL_OP_ATTEMPT:
        break;
    }
    kl_board_drop_lost_keys(st);
}

/* Results of the store belong to the key: they are applied even if the board is long gone. */
void kl_board_key_stored(struct kl_station *st, const struct kl_event *ev)
{
    struct kl_board *b = &st->board[ev->slot];

    st->store_trouble = ev->u.stored.status == KL_STORE_FAILED;
    if (ev->u.stored.op != KL_OP_ATTEMPT) {
        key_answered(st, b, ev);
        return;
    }
    b->attempt_unsaved = false;
    if (ev->u.stored.status != KL_STORE_OK)
        kl_note_text(st, b, KL_NOTE_LOG,
                     "the ledger's history lacks this try: it can't be written");
}

/* A request that failed is made again. */
static void ask_store_again(struct kl_station *st, struct kl_board *b)
{
    b->store_retry_at = KL_NEVER;
    if (b->state == KL_ST_RESERVING) {
        kl_board_enter(st, b, KL_ST_ASKING);
        kl_board_ask_pool(st, b);
    } else if (b->state == KL_ST_RECORDING) {
        record(st, b);
    }
}

void kl_board_key_tick(struct kl_station *st, struct kl_board *b)
{
    if (b->store_retry_at <= st->now)
        ask_store_again(st, b);
    if (b->talker == TALK_HANDOVER && kl_handover_deadline(&b->handover) <= st->now) {
        kl_handover_tick(&b->handover, st->now);
        kl_board_handover_step(st, b);
    }
    if (b->state == KL_ST_ASKING && b->fault.reason == KL_FAULT_NO_KEYS && st->pool.counts.free > 0)
        kl_board_ask_pool(st, b);
}
