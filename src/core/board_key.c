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
static bool may_be_exchanged(const struct kl_station *st, const struct slot *s)
{
    return st->config.fixture && (s->state == KL_ST_ASKING || s->state == KL_ST_RESERVING) &&
           st->now - s->asked_at > KL_MS(1100);
}

void kl_board_forget_key(struct kl_station *st, struct slot *s)
{
    if (s->key != NO_KEY)
        kl_pool_leave(&st->pool, s->key);
    s->key = NO_KEY;
    s->awaited = 0;
    s->have_secret = false;
    s->fetching = false;
    s->handed_over = false;
    s->store_retry_at = KL_NEVER;
    s->acknowledged_only = false;
    s->label[0] = '\0';
    kl_wipe(&s->secret, sizeof s->secret);
}

static void take_key(struct kl_station *st, struct slot *s, uint32_t key)
{
    s->key = key;
    kl_copy(s->label, sizeof s->label, kl_pool_key(&st->pool, key)->label);
}

/* The MAC is known now. If the pool knows it too, its own key is fetched: to mask it, to compare it
   with what the board shows, and to send it again if the board asks. */
void kl_board_recognise(struct kl_station *st, struct slot *s)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &s->identity.mac);

    if (key == NO_KEY)
        return;
    take_key(st, s, key);
    s->fetching = true;
    kl_note_key(st, s, "recognised", "this board has a key already");
    kl_ask_store(st, s, KL_OP_FETCH, key, NULL);
}

/* The chip was reset into its program. */
void kl_board_listen(struct kl_station *st, struct slot *s)
{
    struct kl_handover_setup setup = {
        .prompt_timeout = st->config.prompt_timeout,
        .ack_timeout = st->config.ack_timeout,
        .confirm = st->config.confirm,
        .fields = st->fields,
        .sha256 = st->config.sha256,
    };

    s->talker = TALK_HANDOVER;
    if (s->state == KL_ST_CONFIRMING)
        return; /* followed through its restart: the handover goes on where it was */
    s->banner_seen = s->banner_again = false;
    /* At a needle bed the time counts from the board's last word in its loader: that it is reset
       may be answered late. */
    s->listening_since = st->config.fixture ? s->since : st->now;
    kl_handover_init(&s->handover, &setup);
    kl_handover_listen(&s->handover, s->have_secret ? &s->secret : NULL, st->now);
}

/* ---- the key's way out ------------------------------------------------------------------------
 */

static void send(struct kl_station *st, struct slot *s)
{
    uint32_t key = s->key;

    /* Checked again at the last instant: the board is the one identified, it is waiting, and the
       key is durably its own. */
    KL_ASSERT(s->have_secret && s->talker == TALK_HANDOVER && s->link == LINK_OPEN);
    KL_ASSERT(kl_mac_equal(&kl_pool_key(&st->pool, key)->mac, &s->identity.mac));
    KL_ASSERT(
        kl_fingerprint_equal(&kl_pool_key(&st->pool, key)->fingerprint, &s->secret.fingerprint));
    if (!kl_pool_sending(&st->pool, key)) {
        kl_board_fail(st, s, KL_FAULT_KEY_CONFLICT, s->label);
        return;
    }
    s->handed_over = true;
    kl_board_enter(st, s, KL_ST_SENDING);
    kl_note_key(st, s, "sending", "");
    kl_handover_send(&s->handover, &s->secret, st->now);
}

/* At a needle bed a board counts as waiting only for so long after its prompt; the next one will
   tell whether it still does. */
static void send_if_asked(struct kl_station *st, struct slot *s)
{
    bool fresh = !st->config.fixture || st->now - s->asked_at < KL_MS(700);

    if (fresh && kl_handover_phase(&s->handover) == KL_HO_ASKED)
        send(st, s);
}

static void wait_for_keys(struct kl_station *st, struct slot *s)
{
    if (st->config.once) {
        st->no_keys++;
        kl_board_fail(st, s, KL_FAULT_NO_KEYS, "");
    } else if (s->fault.reason != KL_FAULT_NO_KEYS) {
        s->fault = (struct kl_fault){.reason = KL_FAULT_NO_KEYS};
        kl_note_key(st, s, "waiting", "no free key is left; add rows to the CSV");
    }
}

/* asking -> reserving: the board asks for its key, the pool decides which. */
void kl_board_ask_pool(struct kl_station *st, struct slot *s)
{
    uint32_t key;

    KL_ASSERT(s->state == KL_ST_ASKING && kl_mac_is_set(&s->identity.mac));
    switch (kl_pool_ask(&st->pool, &s->identity.mac, &key)) {
    case KL_POOL_GIVE:
        take_key(st, s, key);
        kl_board_enter(st, s, KL_ST_RESERVING);
        s->deadline = st->now + KL_SEC(5);
        if (kl_pool_key(&st->pool, key)->state == KL_KEY_RESERVING)
            kl_ask_store(st, s, KL_OP_RESERVE, key, NULL);
        else if (s->have_secret)
            send_if_asked(st, s);
        else
            kl_ask_store(st, s, KL_OP_FETCH, key, NULL);
        break;
    case KL_POOL_EMPTY:
        wait_for_keys(st, s);
        break;
    case KL_POOL_CONFLICT:
        kl_board_fail(st, s, KL_FAULT_KEY_CONFLICT, s->label);
        break;
    case KL_POOL_BUSY:
        break; /* asked again with the board's next prompt */
    }
}

/* A key of which nothing can have left the host goes back to the pool. */
void kl_board_give_back_unsent(struct kl_station *st, struct slot *s, const char *reason)
{
    if (s->key == NO_KEY || s->handed_over)
        return;
    if (kl_pool_key(&st->pool, s->key)->state == KL_KEY_RESERVED &&
        kl_pool_release(&st->pool, s->key))
        kl_ask_store(st, s, KL_OP_RELEASE, s->key, reason);
    /* A reservation that is still on its way is given back when it arrives (key_stored). */
}

/* ---- proof and record -------------------------------------------------------------------------
 */

static void done(struct kl_station *st, struct slot *s)
{
    if (s->identity.baud && s->identity.baud < s->baud_limit)
        s->baud_limit = s->identity.baud; /* the fastest that was clean here */
    s->store_retry_at = KL_NEVER;
    kl_board_enter(st, s, KL_ST_DONE);
    kl_board_finish_attempt(st, s, KL_ST_DONE);
    kl_board_finished(st, s, KL_ST_DONE);
    if (s->left)
        kl_board_gone(st, s, "unplugged");
}

static void record(struct kl_station *st, struct slot *s)
{
    if (s->state != KL_ST_RECORDING)
        kl_board_enter(st, s, KL_ST_RECORDING);
    s->store_retry_at = KL_NEVER;
    kl_ask_store(st, s, KL_OP_PROVISION, s->key, NULL);
    s->deadline = st->now + KL_SEC(5);
}

/* The board has proved that it holds the key it was sent (or, as told, only acknowledged it). */
static void proved(struct kl_station *st, struct slot *s)
{
    if (kl_pool_key(&st->pool, s->key)->state == KL_KEY_PROVISIONED) {
        kl_note_key(st, s, "confirmed", "recorded before");
        done(st, s);
        return;
    }
    kl_pool_recording(&st->pool, s->key);
    record(st, s);
}

/* What it holds bears its own key's label and differs: bytes were lost on the way, or its flash is
   bad. Read twice, it is erased, and asks again. What bears another label is not ours to erase. */
static void holds_unknown(struct kl_station *st, struct slot *s, const char *label)
{
    if (!s->have_secret || !label[0] || strcmp(label, s->label) != 0) {
        kl_board_fail(st, s, KL_FAULT_HOLDS_UNKNOWN, label);
        return;
    }
    if (s->retries_used[KL_FAULT_READBACK_DIFFERS] > 0) {
        s->damaged = s->identity.mac;
        kl_note_key(st, s, "damaged", "the board is erased and gets the same key again");
    }
    kl_board_fail(st, s, KL_FAULT_READBACK_DIFFERS, label);
}

/* The secret is its own, the label is not: bytes were lost on the way, or the row has a new label
   since. Whether it is good as it is only a person can say. */
static bool bears_another_label(const struct kl_station *st, const struct slot *s,
                                const struct kl_handover_event *ev)
{
    uint32_t at = kl_pool_find(&st->pool, &ev->fingerprint);
    const struct kl_pool_key *key = at == NO_KEY ? NULL : kl_pool_key(&st->pool, at);
    uint8_t label[32];

    if (!key || !kl_mac_equal(&key->mac, &s->identity.mac))
        return false;
    st->config.sha256(key->label, strlen(key->label), label);
    return memcmp(label, ev->label_digest, sizeof label) != 0;
}

/* The board showed a stored key without having been sent one by us in this try. */
static void settle_claim(struct kl_station *st, struct slot *s, const struct kl_handover_event *ev)
{
    uint32_t key = NO_KEY;

    s->attempt.already = true;
    if (bears_another_label(st, s, ev)) {
        kl_board_fail(st, s, KL_FAULT_HOLDS_UNKNOWN, ev->label);
        return;
    }
    switch (kl_pool_claim(&st->pool, &s->identity.mac, &ev->fingerprint, &key)) {
    case KL_CLAIM_OWN:
        take_key(st, s, key);
        kl_note_key(st, s, "recognised", "the board holds its own key");
        if (kl_pool_key(&st->pool, key)->state == KL_KEY_PROVISIONED)
            done(st, s);
        else
            record(st, s);
        break;
    case KL_CLAIM_ADOPT:
        take_key(st, s, key);
        kl_note_key(st, s, "adopted", "the board holds a key of this CSV that nobody had recorded");
        record(st, s);
        break;
    case KL_CLAIM_OTHERS:
        kl_board_fail(st, s, KL_FAULT_HOLDS_OTHER_KEY, ev->label);
        break;
    case KL_CLAIM_UNKNOWN:
        holds_unknown(st, s, ev->label);
        break;
    case KL_CLAIM_BUSY:
        kl_board_identify_again(st, s, "its key is still on its way in the store");
        break;
    }
}

static bool key_is_own(const struct kl_station *st, const struct slot *s)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &s->identity.mac);

    return key != NO_KEY && key == s->key;
}

/* It says Provisioned and shows nothing. Enough only where the acknowledgement is, and only for a
   board that was sent its key by this CSV's stations. */
static void holds_unreadable(struct kl_station *st, struct slot *s)
{
    const struct kl_pool_key *key = s->key == NO_KEY ? NULL : kl_pool_key(&st->pool, s->key);

    if (st->config.confirm != KL_CONFIRM_ACK || !key || !key_is_own(st, s)) {
        kl_board_fail(st, s, KL_FAULT_HOLDS_UNREADABLE, "");
        return;
    }
    s->attempt.already = true;
    s->acknowledged_only = true;
    if (key->state == KL_KEY_RESERVED)
        proved(st, s);
    else if (key->state == KL_KEY_PROVISIONED)
        done(st, s);
}

/* ---- what the board says ----------------------------------------------------------------------
 */

static void on_restart(struct kl_station *st, struct slot *s)
{
    switch (s->state) {
    case KL_ST_BOOTING:
        /* Our own reset prints one banner; a second is somebody else's, or another board's. As
           long as it only starts, its boot log may still tell why; see is_somebody. */
        s->banner_again |= s->banner_seen || st->now - s->listening_since > banner_due(st);
        s->banner_seen = true;
        break;
    case KL_ST_ASKING:
    case KL_ST_RESERVING:
        kl_board_identify_again(st, s, "the board started again while it waited for its key");
        break;
    case KL_ST_SENDING:
        kl_board_fail(st, s, KL_FAULT_NO_ACK, "it started again before it acknowledged");
        break;
    default:
        break; /* CONFIRMING: that is what it should do */
    }
}

static void on_asks(struct kl_station *st, struct slot *s)
{
    if (may_be_exchanged(st, s)) {
        kl_board_identify_again(st, s, "the board stopped asking for a while");
        return;
    }
    s->asked_at = st->now;
    if (s->state == KL_ST_BOOTING)
        kl_board_enter(st, s, KL_ST_ASKING);
    if (s->state == KL_ST_ASKING)
        kl_board_ask_pool(st, s);
    else if (s->state == KL_ST_RESERVING && s->have_secret &&
             kl_pool_key(&st->pool, s->key)->state >= KL_KEY_RESERVED)
        send_if_asked(st, s);
    else if (s->state == KL_ST_CONFIRMING)
        kl_board_fail(st, s, KL_FAULT_READBACK_DIFFERS,
                      "it acknowledged, but asks again after its restart");
}

static void on_ack(struct kl_station *st, struct slot *s)
{
    if (s->state != KL_ST_SENDING)
        return;
    kl_board_enter(st, s, KL_ST_CONFIRMING);
    kl_note_key(st, s, "acknowledged", "");
    if (st->config.confirm == KL_CONFIRM_ACK) {
        s->acknowledged_only = true;
        proved(st, s);
    }
}

static void on_holds(struct kl_station *st, struct slot *s, const struct kl_handover_event *ev)
{
    if (s->state == KL_ST_SENDING || s->state == KL_ST_CONFIRMING) {
        if (ev->matches)
            proved(st, s);
        else
            kl_board_fail(st, s, KL_FAULT_READBACK_DIFFERS, "");
    } else if (s->state == KL_ST_BOOTING || s->state == KL_ST_ASKING) {
        settle_claim(st, s, ev);
    }
}

static void on_trouble(struct kl_station *st, struct slot *s, const struct kl_handover_event *ev)
{
    if (s->state == KL_ST_BOOTING || s->state == KL_ST_ASKING || s->state == KL_ST_CONFIRMING)
        kl_board_fail(st, s, ev->reason, ev->text);
}

static void on_timeout(struct kl_station *st, struct slot *s, const struct kl_handover_event *ev)
{
    if (s->state == KL_ST_ASKING || s->state == KL_ST_RESERVING)
        kl_board_identify_again(st, s, "the board stopped asking");
    else if (kl_state_is_live(s->state) && s->state != KL_ST_RECORDING)
        kl_board_fail(st, s, ev->reason, ev->text);
}

/* A board that started more often than we made it start, or later than our reset can explain, wants
   something: who is it? At a needle bed a board whose start is not seen at all must be quick. */
static bool is_somebody(const struct kl_station *st, const struct slot *s,
                        const struct kl_handover_event *ev)
{
    bool unseen =
        st->config.fixture && !s->banner_seen && st->now - s->listening_since > 2 * banner_due(st);

    return s->state == KL_ST_BOOTING && (s->banner_again || unseen) &&
           (ev->kind == KL_HO_ASKS || ev->kind == KL_HO_HOLDS || ev->kind == KL_HO_HOLDS_BARE);
}

static void handle(struct kl_station *st, struct slot *s, const struct kl_handover_event *ev)
{
    if (is_somebody(st, s, ev)) {
        kl_board_identify_again(st, s, "the board started again by itself before it asked");
        return;
    }
    switch (ev->kind) {
    case KL_HO_LINE:
        kl_note_text(st, s, KL_NOTE_LOG, ev->text);
        break;
    case KL_HO_RESTART:
        on_restart(st, s);
        break;
    case KL_HO_ASKS:
        on_asks(st, s);
        break;
    case KL_HO_ACK:
        on_ack(st, s);
        break;
    case KL_HO_HOLDS:
        on_holds(st, s, ev);
        break;
    case KL_HO_HOLDS_BARE:
        if (s->state == KL_ST_BOOTING || s->state == KL_ST_ASKING)
            holds_unreadable(st, s);
        break;
    case KL_HO_ERROR:
        if (s->state == KL_ST_SENDING)
            kl_board_fail(st, s, KL_FAULT_KEY_REFUSED, ev->text);
        break;
    case KL_HO_TROUBLE:
        on_trouble(st, s, ev);
        break;
    case KL_HO_TIMEOUT:
        on_timeout(st, s, ev);
        break;
    }
}

void kl_board_handover_step(struct kl_station *st, struct slot *s)
{
    struct kl_handover_event ev;

    while (s->talker == TALK_HANDOVER && kl_handover_event(&s->handover, &ev))
        handle(st, s, &ev);
    kl_wipe(&ev, sizeof ev);
}

/* ---- what the store says ----------------------------------------------------------------------
 */

static bool waits_for(const struct slot *s, const struct kl_event *ev, uint32_t key)
{
    return s->key == key && s->awaited == ev->request;
}

static void store_failed(struct kl_station *st, struct slot *s, const char *text)
{
    if (s->fault.reason != KL_FAULT_STORE_TROUBLE)
        kl_note_key(st, s, "waiting", text);
    s->fault = (struct kl_fault){.reason = KL_FAULT_STORE_TROUBLE};
    kl_copy(s->fault.detail, sizeof s->fault.detail, text);
    s->store_retry_at = st->now + KL_SEC(2);
}

static void reserve_answered(struct kl_station *st, struct slot *s, const struct kl_event *ev,
                             uint32_t key)
{
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool waiting = waits_for(s, ev, key) && s->state == KL_ST_RESERVING;

    if (ev->u.stored.status == KL_STORE_REFUSED)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_reserved(&st->pool, key, ok);
    if (!waiting) {
        /* Its board has gone or failed meanwhile; nothing was sent. */
        if (ok && kl_pool_release(&st->pool, key))
            kl_ask_store(st, s, KL_OP_RELEASE, key, "its board left before anything was sent");
        return;
    }
    if (ev->u.stored.status == KL_STORE_REFUSED) {
        kl_board_fail(st, s, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    } else if (!ok) {
        store_failed(st, s, ev->u.stored.text);
    } else {
        kl_note_key(st, s, "reserved", "");
        s->secret = *ev->u.stored.key;
        s->have_secret = true;
        send_if_asked(st, s);
    }
}

static void fetch_answered(struct kl_station *st, struct slot *s, const struct kl_event *ev,
                           uint32_t key)
{
    if (!waits_for(s, ev, key))
        return;
    s->fetching = false;
    if (ev->u.stored.status == KL_STORE_OK) {
        s->secret = *ev->u.stored.key;
        s->have_secret = true;
        if (s->state == KL_ST_RESERVING)
            send_if_asked(st, s);
    } else if (s->state == KL_ST_RESERVING) {
        if (ev->u.stored.status == KL_STORE_REFUSED)
            kl_board_fail(st, s, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
        else
            store_failed(st, s, ev->u.stored.text);
    }
    kl_board_loader_step(st, s); /* may have waited for this */
}

static void provision_answered(struct kl_station *st, struct slot *s, const struct kl_event *ev,
                               uint32_t key)
{
    bool ok = ev->u.stored.status == KL_STORE_OK;
    bool refused = ev->u.stored.status == KL_STORE_REFUSED;

    if (refused)
        kl_pool_refused(&st->pool, key);
    else
        kl_pool_recorded(&st->pool, key, ok);
    if (s->key != key || s->state != KL_ST_RECORDING)
        return;
    if (refused) {
        kl_board_fail(st, s, KL_FAULT_KEY_CONFLICT, ev->u.stored.text);
    } else if (ok) {
        kl_note_key(st, s, "recorded", s->acknowledged_only ? "acknowledged only" : "");
        done(st, s);
    } else {
        store_failed(st, s, ev->u.stored.text);
    }
}

/* Nobody may go on with a key that is not, or no longer, the one of its board's MAC. */
void kl_board_drop_lost_keys(struct kl_station *st)
{
    for (unsigned i = 0; i < st->slot_count; i++) {
        struct slot *s = &st->slot[i];
        bool fetching = s->fetching;
        if (s->key == NO_KEY ||
            kl_mac_equal(&kl_pool_key(&st->pool, s->key)->mac, &s->identity.mac))
            continue;
        s->key = NO_KEY;
        s->awaited = 0;
        s->have_secret = s->fetching = false;
        s->label[0] = '\0';
        kl_wipe(&s->secret, sizeof s->secret);
        if (fetching)
            kl_board_loader_step(st, s); /* it waited for this key's text */
    }
}

static void key_answered(struct kl_station *st, struct slot *s, const struct kl_event *ev)
{
    uint32_t key = kl_pool_find(&st->pool, &ev->u.stored.fingerprint);

    KL_ASSERT(key != NO_KEY);
    switch (ev->u.stored.op) {
    case KL_OP_RESERVE:
        reserve_answered(st, s, ev, key);
        break;
    case KL_OP_FETCH:
        fetch_answered(st, s, ev, key);
        break;
    case KL_OP_PROVISION:
        provision_answered(st, s, ev, key);
        break;
    case KL_OP_RELEASE:
        if (ev->u.stored.status == KL_STORE_REFUSED)
            kl_pool_refused(&st->pool, key);
        else
            kl_pool_released(&st->pool, key, ev->u.stored.status == KL_STORE_OK);
        break;
    case KL_OP_ATTEMPT:
    case KL_OP_COMMAND:
        break;
    }
    kl_board_drop_lost_keys(st);
}

/* Results of the store belong to the key: they are applied even if the board is long gone. */
void kl_board_key_stored(struct kl_station *st, const struct kl_event *ev)
{
    struct slot *s = &st->slot[ev->slot];

    st->store_trouble = ev->u.stored.status == KL_STORE_FAILED;
    if (ev->u.stored.op != KL_OP_ATTEMPT) {
        key_answered(st, s, ev);
        return;
    }
    s->attempt_unsaved = false;
    if (ev->u.stored.status != KL_STORE_OK)
        kl_note_text(st, s, KL_NOTE_LOG,
                     "the ledger's history lacks this try: it can't be written");
}

/* A request that failed is made again. */
static void ask_store_again(struct kl_station *st, struct slot *s)
{
    s->store_retry_at = KL_NEVER;
    if (s->state == KL_ST_RESERVING) {
        kl_board_enter(st, s, KL_ST_ASKING);
        kl_board_ask_pool(st, s);
    } else if (s->state == KL_ST_RECORDING) {
        record(st, s);
    }
}

void kl_board_key_tick(struct kl_station *st, struct slot *s)
{
    if (s->store_retry_at <= st->now)
        ask_store_again(st, s);
    if (s->talker == TALK_HANDOVER && kl_handover_deadline(&s->handover) <= st->now) {
        kl_handover_tick(&s->handover, st->now);
        kl_board_handover_step(st, s);
    }
    if (s->state == KL_ST_ASKING && s->fault.reason == KL_FAULT_NO_KEYS && st->pool.counts.free > 0)
        kl_board_ask_pool(st, s);
}
