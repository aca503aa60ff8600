/*
 * board_key.c: a board's life from its first word to done: everything that touches a key. What the
 * store answers is in board_store.c.
 *
 * The order is fixed: the board asks -> the pool decides -> reserve durably -> send -> the board
 * acknowledges -> reads back after its restart -> record durably -> done. Until the first byte is
 * sent, any sign that another board may be there means: identify again.
 */
#include "station_state.h"

#include <string.h>

/* A chip prints its banner at once: a banner later than this after our reset is another start. At a
   needle bed the limit is shorter: a person needs a second to exchange a board, and the adapter
   does not tell. */
static kl_us banner_due(const struct kl_station *st)
{
    return st->config.fixture ? KL_MS(700) : KL_MS(1500);
}

/* May this prompt be another board's? It comes later than one lost prompt explains. */
static bool may_be_exchanged(const struct kl_station *st, const struct kl_board *b)
{
    return st->config.fixture && (b->state == KL_ST_ASKING || b->state == KL_ST_RESERVING) &&
           st->now - b->program.asked_at > KL_MS(1100);
}

void kl_board_forget_key(struct kl_station *st, struct kl_board *b)
{
    if (kl_custody_has_key(&b->custody))
        kl_pool_leave(&st->pool, b->custody.index);
    kl_delivery_end(&b->delivery); /* the delivery borrowed the bytes: it lets go first */
    kl_custody_forget(&b->custody);
    kl_board_nvs_forget(st, b);
}

static void take_key(struct kl_station *st, struct kl_board *b, uint32_t key)
{
    kl_custody_name(&b->custody, key, kl_pool_row_of(&st->pool, key)->label);
}

static const struct kl_pool_key *pool_key(const struct kl_station *st, const struct kl_board *b)
{
    KL_ASSERT(kl_custody_has_key(&b->custody));
    return kl_pool_key(&st->pool, b->custody.index);
}

/* If the pool has a key for this MAC, fetches it. The key serves to mask it, to compare it with
   what the board shows, and to send it again if the board asks. */
void kl_board_recognise(struct kl_station *st, struct kl_board *b)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &b->identity.mac);

    KL_ASSERT(b->state == KL_ST_IDENTIFYING && !kl_custody_has_key(&b->custody));
    if (key == NO_KEY)
        return;
    take_key(st, b, key);
    kl_tell_key(st, b, "recognised", "this board was promised it before");
    kl_ask_store(st, b, KL_OP_FETCH, key, NULL);
}

void kl_board_listen(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->port.state == KL_PORT_OPEN && kl_mac_is_set(&b->identity.mac));
    kl_board_talk(b, KL_TALK_DELIVERY);
    if (b->state == KL_ST_CONFIRMING) {
        kl_console_open(&b->console);
        return; /* the same board, after its restart: the delivery goes on where it was */
    }
    b->program.banner = KL_BANNER_UNSEEN;
    /* At a needle bed the time counts from the board's last word in its loader: the answer to the
       reset may come late. */
    b->program.since = st->config.fixture ? b->since : st->now;
    kl_delivery_begin(&b->delivery, &st->config, &b->console, st->fields,
                      kl_board_nvs_prints(st) ? kl_board_nvs_printed(st, b) : &b->custody.key,
                      st->now);
}

/* ---- the key's way out ---- */

static void fail_as_spent(struct kl_station *st, struct kl_board *b)
{
    char detail[KL_TEXT_MAX];

    kl_format(detail, sizeof detail, "%s: another board shows this key, or its row was marked",
              b->custody.label);
    kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, detail);
}

void kl_board_send(struct kl_station *st, struct kl_board *b)
{
    const struct kl_key *key = kl_custody_key(&b->custody);
    uint32_t index = b->custody.index;

    /* Checked again at the last instant: the board is the identified one, it waits, and the key is
       durably reserved for it. */
    KL_ASSERT(key && b->port.state == KL_PORT_OPEN);
    KL_ASSERT(b->talker == (st->config.nvs ? KL_TALK_LOADER : KL_TALK_DELIVERY));
    KL_ASSERT(kl_mac_equal(kl_pool_mac(&st->pool, index), &b->identity.mac));
    KL_ASSERT(
        kl_fingerprint_equal(&kl_pool_row_of(&st->pool, index)->fingerprint, &key->fingerprint));
    if (st->config.nvs && !kl_board_nvs_prepare(st, b, key))
        return;
    if (!kl_pool_sending(&st->pool, b->custody.index)) {
        fail_as_spent(st, b);
        return;
    }
    kl_custody_send(&b->custody);
    kl_board_enter(st, b, KL_ST_SENDING);
    kl_tell_key(st, b, "sending", "");
    if (st->config.nvs)
        kl_board_nvs_send(st, b);
    else
        kl_delivery_send(&b->delivery, key, st->now);
}

/* At a needle bed a board counts as waiting only this long after its prompt. The next prompt tells
   whether it still waits. */
void kl_board_send_if_wanted(struct kl_station *st, struct kl_board *b)
{
    bool fresh = !st->config.fixture || st->now - b->program.asked_at < KL_MS(700);

    KL_ASSERT(b->state == KL_ST_RESERVING && kl_custody_key(&b->custody));
    b->deadline = KL_NEVER; /* the store has answered: the talk's own deadlines hold */
    b->fault = (struct kl_fault){0};
    if (st->config.nvs)
        kl_board_nvs_look(st, b);
    else if (fresh && kl_delivery_is_wanted(&b->delivery))
        kl_board_send(st, b);
}

/* Rows may be there that no board gets: then the operator learns which, and why. */
static void wait_for_keys(struct kl_station *st, struct kl_board *b)
{
    char kept_back[KL_TEXT_MAX];
    bool some = kl_pool_kept_back(&st->pool, kept_back);
    enum kl_reason why = st->keys_come ? KL_FAULT_POOL_WAIT : KL_FAULT_NO_KEYS;

    KL_ASSERT(b->state == KL_ST_ASKING && st->pool.counts.free == 0);
    if (st->config.once && !st->keys_come) {
        st->figures.without_key++;
        kl_board_fail(st, b, KL_FAULT_NO_KEYS, kept_back);
    } else if (b->fault.reason != why) {
        b->fault = (struct kl_fault){.reason = why};
        kl_copy(b->fault.detail, sizeof b->fault.detail, kept_back);
        kl_tell_key(st, b, "waiting",
                    some                ? kept_back
                    : st->keys_come     ? "the shared pool has not given new keys yet"
                    : st->config.pooled ? "the shared pool gives no more keys"
                                        : "no free key is left; add rows to the CSV");
    }
}

static void reserve(struct kl_station *st, struct kl_board *b, uint32_t key)
{
    KL_ASSERT(kl_mac_equal(kl_pool_mac(&st->pool, key), &b->identity.mac));
    take_key(st, b, key);
    if (b->state != KL_ST_RESERVING)
        kl_board_enter(st, b, KL_ST_RESERVING);
    b->deadline = st->now + KL_SEC(5);
    if (kl_pool_key(&st->pool, key)->state == KL_KEY_RESERVING)
        kl_ask_store(st, b, KL_OP_RESERVE, key, NULL);
    else if (kl_custody_key(&b->custody))
        kl_board_send_if_wanted(st, b);
    else
        kl_ask_store(st, b, KL_OP_FETCH, key, NULL);
}

/* asking -> reserving: the board asks for its key, the pool decides which. */
void kl_board_ask_pool(struct kl_station *st, struct kl_board *b)
{
    uint32_t key;

    KL_ASSERT(b->state == KL_ST_ASKING && kl_mac_is_set(&b->identity.mac));
    if (b->nvs_phase != KL_NVS_RESTS)
        return; /* its NVS is being read: ask once that is known */
    switch (kl_pool_ask(&st->pool, &b->identity.mac, &key)) {
    case KL_POOL_GIVE:
        reserve(st, b, key);
        break;
    case KL_POOL_EMPTY:
        wait_for_keys(st, b);
        break;
    case KL_POOL_CONFLICT:
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, b->custody.label);
        break;
    case KL_POOL_BUSY:
        break; /* the board's next prompt asks again */
    }
    if (st->config.nvs && b->state == KL_ST_ASKING)
        b->deadline = st->now + KL_SEC(2); /* the board says nothing by itself: read it again */
}

/* The shared pool had not said whose this board is. Asks once more, and shows no change. */
void kl_board_ask_pool_again(struct kl_station *st, struct kl_board *b)
{
    uint32_t key;

    KL_ASSERT(b->state == KL_ST_RESERVING && b->fault.reason == KL_FAULT_POOL_WAIT);
    if (kl_pool_ask(&st->pool, &b->identity.mac, &key) == KL_POOL_GIVE) {
        reserve(st, b, key);
        return;
    }
    kl_board_enter(st, b, KL_ST_ASKING);
    kl_board_ask_pool(st, b);
}

const char *kl_station_unbindable(const struct kl_station *st, unsigned slot, const char *label)
{
    const struct kl_board *b = slot < st->board_count ? &st->board[slot] : NULL;
    uint32_t key;

    if (!b || b->state == KL_ST_EMPTY || b->state == KL_ST_CLOSING)
        return "no board is there";
    if (b->state == KL_ST_DONE || b->state == KL_ST_RECORDING || b->state == KL_ST_TESTING)
        return "this board has its key";
    if (!kl_mac_is_set(&b->identity.mac))
        return "this board is not identified yet: scan again when its MAC is shown";
    if (kl_custody_has_key(&b->custody))
        return "this board has been promised a key already";
    return kl_pool_unbindable(&st->pool, &b->identity.mac, label, &key);
}

void kl_board_bind(struct kl_station *st, struct kl_board *b, const char *label)
{
    const char *why = kl_station_unbindable(st, b->place.index, label);
    char text[KL_TEXT_MAX];
    uint32_t key = NO_KEY;

    if (why) {
        kl_format(text, sizeof text, "%s is not bound: %s", label, why);
        kl_tell_text(st, b, KL_NOTE_STATION, text);
        return;
    }
    kl_pool_unbindable(&st->pool, &b->identity.mac, label, &key);
    kl_pool_bind(&st->pool, &b->identity.mac, key);
    take_key(st, b, key);
    kl_tell_key(st, b, "bound", "an operator chose it for this board");
    kl_ask_store(st, b, KL_OP_RESERVE, key, NULL);
}

/* A board that is being sent a key which another board, or another tool's mark, has shown since: no
   more of it leaves. Whether the board has the key is for a person to find out. */
void kl_board_stop_sending_spent(struct kl_station *st)
{
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[i];
        if (b->state == KL_ST_SENDING && kl_pool_is_spent_elsewhere(&st->pool, b->custody.index))
            fail_as_spent(st, b);
    }
}

/* Gives a key back to the pool if no byte of it can have left the host. */
void kl_board_give_back_unsent(struct kl_station *st, struct kl_board *b, const char *reason)
{
    if (!kl_custody_has_key(&b->custody) || kl_custody_was_sent(&b->custody) ||
        pool_key(st, b)->bound)
        return;
    if (pool_key(st, b)->state == KL_KEY_RESERVED && kl_pool_release(&st->pool, b->custody.index))
        kl_ask_store(st, b, KL_OP_RELEASE, b->custody.index, reason);
    /* board_store.c gives back a reservation that is still on its way, once it arrives. */
}

/* ---- proof and record ---- */

/* We sent the board nothing in this talk, so a key that it shows is one that it held before. */
static bool was_just_started(const struct kl_board *b)
{
    return b->state == KL_ST_BOOTING || b->state == KL_ST_ASKING;
}

static bool is_confirming(const struct kl_board *b)
{
    return b->state == KL_ST_SENDING || b->state == KL_ST_CONFIRMING;
}

void kl_board_record(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->custody.state == KL_CUSTODY_RECORDING);
    if (b->state != KL_ST_RECORDING)
        kl_board_enter(st, b, KL_ST_RECORDING);
    b->custody.ask_again_at = KL_NEVER;
    kl_ask_store(st, b, KL_OP_PROVISION, b->custody.index, NULL);
    b->deadline = st->now + KL_SEC(5);
}

/* The board has proved that it holds the key we sent, or acknowledged it where --confirm ack takes
   its word. */
void kl_board_proved(struct kl_station *st, struct kl_board *b, enum kl_proof proof)
{
    KL_ASSERT(kl_mac_equal(kl_pool_mac(&st->pool, b->custody.index), &b->identity.mac));
    kl_custody_prove(&b->custody, proof);
    if (pool_key(st, b)->state == KL_KEY_PROVISIONED) {
        kl_tell_key(st, b, "confirmed", "recorded before");
        kl_custody_recorded(&b->custody);
        kl_board_done(st, b);
        return;
    }
    kl_pool_recording(&st->pool, b->custody.index);
    kl_board_record(st, b);
}

/* If what the board holds bears its own key's label and differs, bytes were lost or its flash is
   bad. After a second such reading we erase the board, and it asks again. We never erase what bears
   another label. */
static void holds_unknown(struct kl_station *st, struct kl_board *b, const char *label)
{
    bool own_label = kl_custody_key(&b->custody) &&
                     strcmp(label, kl_pool_row_of(&st->pool, b->custody.index)->label) == 0;

    if (!own_label || !label[0]) {
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNKNOWN, label);
        return;
    }
    if (kl_attempts_retried(&b->attempts, KL_FAULT_READBACK_DIFFERS)) {
        b->attempts.damaged = b->identity.mac;
        kl_tell_key(st, b, "damaged", "the board is erased and gets the same key again");
    }
    kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS, label);
}

/* The board already holds its own key; we sent none in this try. */
static void holds_own(struct kl_station *st, struct kl_board *b, uint32_t key, enum kl_proof proof)
{
    KL_ASSERT(kl_mac_equal(kl_pool_mac(&st->pool, key), &b->identity.mac));
    take_key(st, b, key);
    kl_tell_key(st, b, "recognised", "the board holds its own key");
    kl_custody_prove(&b->custody, proof);
    if (kl_pool_key(&st->pool, key)->state == KL_KEY_PROVISIONED) {
        kl_custody_recorded(&b->custody);
        kl_board_done(st, b);
    } else {
        kl_board_record(st, b);
    }
}

static void adopt(struct kl_station *st, struct kl_board *b, uint32_t key, enum kl_proof proof)
{
    KL_ASSERT(kl_pool_key(&st->pool, key)->state == KL_KEY_RECORDING);
    take_key(st, b, key);
    kl_tell_key(st, b, "adopted", "the board holds a key of this CSV that nobody had recorded");
    kl_custody_prove(&b->custody, proof);
    kl_board_record(st, b);
}

/* The board holds its own secret under another label: bytes were lost, or the CSV row has a new
   label since. Only a person can say whether that is good. */
static bool bears_another_label(const struct kl_station *st, const struct kl_board *b,
                                const struct kl_delivery_news *news)
{
    uint32_t at = kl_pool_find(&st->pool, &news->fingerprint);
    uint8_t label[32];

    if (at == NO_KEY || !kl_mac_equal(kl_pool_mac(&st->pool, at), &b->identity.mac))
        return false;
    const char *named = kl_pool_row_of(&st->pool, at)->label;
    st->config.sha256(named, strlen(named), label);
    return memcmp(label, news->label.digest, sizeof label) != 0;
}

/* Do these values begin with the label of the key whose secret follows? */
static bool names_a_key(const struct kl_station *st, const struct kl_delivery_news *news)
{
    uint32_t at = kl_pool_find(&st->pool, &news->fingerprint);
    uint8_t label[32];

    if (at == NO_KEY)
        return false;
    const char *text = kl_pool_row_of(&st->pool, at)->label;
    st->config.sha256(text, strlen(text), label);
    return memcmp(label, news->label.digest, sizeof label) == 0;
}

/* The board showed a stored key, and we sent it none in this try. */
static void settle_claim(struct kl_station *st, struct kl_board *b,
                         const struct kl_delivery_news *news)
{
    const char *label =
        kl_pool_label(&st->pool, news->label.hash, news->label.digest, st->config.sha256);

    KL_ASSERT(was_just_started(b) && news->proof == KL_PROOF_READ_BACK);
    b->attempts.lived.already = true;
    if (bears_another_label(st, b, news)) {
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNKNOWN, label);
        return;
    }
    kl_board_settle(st, b, &news->fingerprint, label);
}

void kl_board_settle(struct kl_station *st, struct kl_board *b, const struct kl_fingerprint *fp,
                     const char *label)
{
    uint32_t key = NO_KEY;

    KL_ASSERT(was_just_started(b));
    b->attempts.lived.already = true;
    switch (kl_pool_claim(&st->pool, &b->identity.mac, fp, &key)) {
    case KL_CLAIM_OWN:
        holds_own(st, b, key, KL_PROOF_READ_BACK);
        break;
    case KL_CLAIM_ADOPT:
        adopt(st, b, key, KL_PROOF_READ_BACK);
        break;
    case KL_CLAIM_OTHERS:
        kl_board_fail(st, b, KL_FAULT_HOLDS_OTHER_KEY, label);
        kl_board_stop_sending_spent(st);
        break;
    case KL_CLAIM_UNKNOWN:
        holds_unknown(st, b, label);
        break;
    case KL_CLAIM_BUSY:
        kl_board_identify_again(st, b, "its key is still on its way in the store");
        break;
    }
}

static bool key_is_own(const struct kl_station *st, const struct kl_board *b)
{
    uint32_t key = kl_pool_of_mac(&st->pool, &b->identity.mac);

    return key != NO_KEY && key == b->custody.index;
}

/* The board says that it has its key and shows nothing. That is enough only with --confirm ack, and
   only if a station of this CSV sent it its key. */
static void holds_unreadable(struct kl_station *st, struct kl_board *b, enum kl_proof proof,
                             const char *why)
{
    if (proof == KL_PROOF_NONE || !key_is_own(st, b)) {
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNREADABLE, why);
        return;
    }
    enum kl_key_state state = (enum kl_key_state)pool_key(st, b)->state;
    b->attempts.lived.already = true;
    if (state == KL_KEY_RESERVED) {
        kl_board_proved(st, b, proof);
    } else if (state == KL_KEY_PROVISIONED) {
        kl_custody_prove(&b->custody, proof);
        kl_custody_recorded(&b->custody);
        kl_board_done(st, b);
    }
}

/* ---- what the board says ---- */

static void on_start(struct kl_station *st, struct kl_board *b, const char *why)
{
    bool late = st->now - b->program.since > banner_due(st);

    KL_ASSERT(b->program.since <= st->now);
    switch (b->state) {
    case KL_ST_BOOTING:
        /* Our own reset prints one banner. A second one comes from another reset or another board.
           While the board only starts, its boot log may still tell why; see is_somebody. */
        b->program.banner =
            b->program.banner == KL_BANNER_UNSEEN && !late ? KL_BANNER_SEEN : KL_BANNER_AGAIN;
        break;
    case KL_ST_ASKING:
    case KL_ST_RESERVING:
        kl_board_identify_again(st, b, "the board started again while it waited for its key");
        break;
    case KL_ST_SENDING:
        kl_board_fail(st, b, KL_FAULT_NO_ACK, why);
        break;
    default:
        break; /* CONFIRMING: that is what it should do */
    }
}

static void on_wanted(struct kl_station *st, struct kl_board *b)
{
    if (may_be_exchanged(st, b)) {
        kl_board_identify_again(st, b, "the board stopped asking for a while");
        return;
    }
    b->program.asked_at = st->now;
    if (b->state == KL_ST_BOOTING)
        kl_board_enter(st, b, KL_ST_ASKING);
    if (b->state == KL_ST_ASKING)
        kl_board_ask_pool(st, b);
    else if (b->state == KL_ST_RESERVING && b->custody.state == KL_CUSTODY_HELD)
        kl_board_send_if_wanted(st, b);
    else if (b->state == KL_ST_CONFIRMING)
        kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS,
                      "it acknowledged, but asks again after its restart");
}

static void on_acknowledged(struct kl_station *st, struct kl_board *b, enum kl_proof proof)
{
    KL_ASSERT(proof == KL_PROOF_NONE || st->config.confirm == KL_CONFIRM_ACK);
    if (b->state != KL_ST_SENDING)
        return;
    kl_board_enter(st, b, KL_ST_CONFIRMING);
    kl_tell_key(st, b, "acknowledged", "");
    if (proof != KL_PROOF_NONE)
        kl_board_proved(st, b, proof);
}

static void on_trouble(struct kl_station *st, struct kl_board *b,
                       const struct kl_delivery_news *news)
{
    KL_ASSERT(news->reason != KL_FAULT_NONE);
    if (was_just_started(b) || b->state == KL_ST_CONFIRMING)
        kl_board_fail(st, b, news->reason, news->text);
}

static void on_silence(struct kl_station *st, struct kl_board *b,
                       const struct kl_delivery_news *news)
{
    KL_ASSERT(news->reason != KL_FAULT_NONE);
    if (b->state == KL_ST_ASKING || b->state == KL_ST_RESERVING)
        kl_board_identify_again(st, b, "the board stopped asking");
    else if (kl_state_is_live(b->state) && b->state != KL_ST_RECORDING && b->state != KL_ST_TESTING)
        kl_board_fail(st, b, news->reason, news->text);
}

/* A board that started more often than we reset it, or later than our reset explains, may be
   another one: identify it. At a needle bed a board whose start we did not see must ask quickly. */
static bool is_somebody(const struct kl_station *st, const struct kl_board *b,
                        enum kl_delivery_news_kind kind)
{
    bool again = b->program.banner == KL_BANNER_AGAIN;
    bool unseen = st->config.fixture && b->program.banner == KL_BANNER_UNSEEN &&
                  st->now - b->program.since > 2 * banner_due(st);

    return b->state == KL_ST_BOOTING && (again || unseen) &&
           (kind == KL_DELIVERY_WANTED || kind == KL_DELIVERY_CLAIMS ||
            kind == KL_DELIVERY_MAY_CLAIM || kind == KL_DELIVERY_CLAIMS_BLIND);
}

static void handle(struct kl_station *st, struct kl_board *b, const struct kl_delivery_news *news)
{
    if (is_somebody(st, b, news->kind)) {
        kl_board_identify_again(st, b, "the board started again by itself before it asked");
        return;
    }
    switch (news->kind) {
    case KL_DELIVERY_STARTED:
        on_start(st, b, news->text);
        break;
    case KL_DELIVERY_WANTED:
        on_wanted(st, b);
        break;
    case KL_DELIVERY_ACKNOWLEDGED:
        on_acknowledged(st, b, news->proof);
        break;
    case KL_DELIVERY_PROVED:
        if (is_confirming(b))
            kl_board_proved(st, b, news->proof);
        break;
    case KL_DELIVERY_DIFFERS:
        if (is_confirming(b))
            kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS, "");
        break;
    case KL_DELIVERY_CLAIMS:
        if (was_just_started(b))
            settle_claim(st, b, news);
        break;
    case KL_DELIVERY_MAY_CLAIM:
        if (was_just_started(b) && names_a_key(st, news))
            settle_claim(st, b, news);
        break;
    case KL_DELIVERY_CLAIMS_BLIND:
        if (was_just_started(b))
            holds_unreadable(st, b, news->proof, news->text);
        break;
    case KL_DELIVERY_REFUSED:
        if (b->state == KL_ST_SENDING)
            kl_board_fail(st, b, KL_FAULT_KEY_REFUSED, news->text);
        break;
    case KL_DELIVERY_TROUBLE:
        on_trouble(st, b, news);
        break;
    case KL_DELIVERY_SILENT:
        on_silence(st, b, news);
        break;
    }
}

void kl_board_delivery_step(struct kl_station *st, struct kl_board *b)
{
    struct kl_delivery_news news;

    kl_board_tell_console(st, b);
    while (b->talker == KL_TALK_DELIVERY && kl_delivery_news(&b->delivery, &news))
        if (!st->config.nvs)
            handle(st, b, &news);
        else if (kl_board_nvs_prints(st))
            kl_board_nvs_news(st, b, &news);
    /* with NVS delivery keyline does not answer firmware that asks */
}
