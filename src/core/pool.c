#include "pool_private.h"

#include <string.h>

static struct kl_pool_key *key_at(struct kl_pool *p, uint32_t key)
{
    KL_ASSERT(key < p->count);
    return &p->memory.key[key];
}

const struct kl_pool_key *kl_pool_key(const struct kl_pool *p, uint32_t key)
{
    KL_ASSERT(key < p->count);
    return &p->memory.key[key];
}

const struct kl_pool_row *kl_pool_row_of(const struct kl_pool *p, uint32_t key)
{
    return kl_pool_row_at(p, kl_pool_key(p, key));
}

const struct kl_mac *kl_pool_mac(const struct kl_pool *p, uint32_t key)
{
    KL_ASSERT(key < p->count);
    return &p->memory.mac[key];
}

bool kl_pool_has_same_bundle(const struct kl_pool *p, uint32_t key)
{
    return kl_pool_key(p, key)->row & ROW_SAME_BUNDLE;
}

/* ---- tables ---- */

static uint32_t hash_of_mac(const struct kl_mac *mac)
{
    return kl_pool_fold(kl_hash(mac->b, sizeof mac->b)) * UINT32_C(0x9e3779b1);
}

uint32_t kl_pool_seek(const struct kl_pool *p, const struct kl_fingerprint *fp, uint32_t *place)
{
    const struct kl_index *x = &p->by_fingerprint;
    uint32_t hash = kl_pool_hash_fingerprint(fp), key;

    *place = kl_index_home(x, hash);
    while ((key = kl_index_seek(x, hash, place)) != UINT32_MAX &&
           !kl_fingerprint_equal(&kl_pool_row_of(p, key)->fingerprint, fp))
        *place = kl_index_step(x, *place);
    return key;
}

uint32_t kl_pool_find(const struct kl_pool *p, const struct kl_fingerprint *fp)
{
    uint32_t place;

    return p->count == 0 ? UINT32_MAX : kl_pool_seek(p, fp, &place);
}

/* This MAC's key, and the entry that holds it, or the empty one where it would go. */
static uint32_t seek_mac(const struct kl_pool *p, const struct kl_mac *mac, uint32_t *at)
{
    const struct kl_index *x = &p->by_mac;
    uint32_t hash = hash_of_mac(mac), key;

    *at = kl_index_home(x, hash);
    while ((key = kl_index_seek(x, hash, at)) != UINT32_MAX &&
           !kl_mac_equal(kl_pool_mac(p, key), mac))
        *at = kl_index_step(x, *at);
    return key;
}

uint32_t kl_pool_of_mac(const struct kl_pool *p, const struct kl_mac *mac)
{
    uint32_t at;

    return p->count == 0 || !kl_mac_is_set(mac) ? UINT32_MAX : seek_mac(p, mac, &at);
}

static int proof(const struct kl_pool_key *k)
{
    if (!kl_pool_is_held(k))
        return 0;
    return k->state == KL_KEY_PROVISIONED || k->state == KL_KEY_RECORDING ? 2 : 1;
}

void kl_pool_index_mac(struct kl_pool *p, uint32_t key)
{
    const struct kl_mac *mac = kl_pool_mac(p, key);
    const struct kl_pool_key *k = kl_pool_key(p, key);
    uint32_t at, other;

    if (!kl_mac_is_set(mac))
        return;
    other = seek_mac(p, mac, &at);
    if (other != UINT32_MAX && other != key && kl_pool_is_held(k) &&
        kl_pool_is_held(key_at(p, other)))
        key_at(p, other)->rival = key_at(p, key)->rival = true;
    if (other == UINT32_MAX || proof(k) >= proof(kl_pool_key(p, other)))
        kl_index_put(&p->by_mac, at, hash_of_mac(mac), key);
}

/* Empties a MAC's entry and moves later ones up, so that no search ends too early. */
static void unindex_mac(struct kl_pool *p, const struct kl_mac *mac)
{
    struct kl_index *x = &p->by_mac;
    uint32_t hole, size = x->size;

    KL_ASSERT(seek_mac(p, mac, &hole) != UINT32_MAX);
    x->entry[hole] = 0;
    for (uint32_t at = kl_index_step(x, hole); x->entry[at] != 0; at = kl_index_step(x, at)) {
        uint32_t home = kl_index_home(x, hash_of_mac(kl_pool_mac(p, kl_index_item(x, at))));
        uint32_t from_home = at >= home ? at - home : at + size - home;
        uint32_t from_hole = at >= hole ? at - hole : at + size - hole;
        if (from_home >= from_hole) {
            x->entry[hole] = x->entry[at];
            x->entry[at] = 0;
            hole = at;
        }
    }
}

/* Takes the MAC off a key. True if the key was the one that the MAC would have got. */
static bool detach(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);
    bool own = kl_pool_of_mac(p, kl_pool_mac(p, key)) == key;

    if (own)
        unindex_mac(p, kl_pool_mac(p, key));
    p->memory.mac[key] = (struct kl_mac){{0}};
    k->sent = false;
    k->live = false;
    k->rival = false;
    k->bound = false;
    return own;
}

/* ---- states and counts ---- */

static void add(uint32_t *count, bool applies, int sign)
{
    KL_ASSERT(!applies || sign > 0 || *count > 0);
    if (applies)
        *count += (uint32_t)sign;
}

void kl_pool_tally(struct kl_pool *p, const struct kl_pool_key *k, int sign)
{
    struct kl_pool_counts *c = &p->counts;
    bool reserved = k->state >= KL_KEY_RESERVING && k->state <= KL_KEY_RECORDING;
    bool provisioned = k->state == KL_KEY_PROVISIONED;
    bool in_doubt = k->state == KL_KEY_RESERVED && !k->live;

    if (kl_pool_is_gone(k))
        return;
    add(&c->total, true, sign);
    add(&c->free, k->state == KL_KEY_FREE, sign);
    add(&c->reserved, reserved, sign);
    add(&c->provisioned, provisioned, sign);
    add(&c->blocked, k->state == KL_KEY_BLOCKED, sign);
    add(&c->in_doubt, in_doubt, sign);
    p->doubts += in_doubt;
    add(&c->foreign, k->trouble == KL_TROUBLE_FOREIGN, sign);
    add(&c->vanished, k->trouble == KL_TROUBLE_VANISHED, sign);
    add(&c->changed, k->trouble == KL_TROUBLE_CHANGED && !k->listed, sign);
    add(&c->unmarked, provisioned && kl_pool_is_held(k) && k->listed && !k->marked, sign);
}

static enum kl_key_trouble trouble_of_held(const struct kl_pool_key *k)
{
    KL_ASSERT(kl_pool_is_held(k));
    if (k->row & ROW_SPENT)
        return KL_TROUBLE_FOREIGN;
    if (!k->listed)
        return k->row & ROW_CHANGED ? KL_TROUBLE_CHANGED : KL_TROUBLE_VANISHED;
    if (k->row & ROW_CONFLICT)
        return KL_TROUBLE_CONFLICT;
    if (k->row & ROW_RENAMED)
        return KL_TROUBLE_RENAMED;
    return k->row & ROW_COPY ? KL_TROUBLE_COPY : KL_TROUBLE_NONE;
}

/* Gravest first. A copy only gets a remark: the key itself can be handed out. */
static enum kl_key_trouble trouble_of_loose(const struct kl_pool_key *k)
{
    KL_ASSERT(!kl_pool_is_held(k));
    if (!k->listed)
        return KL_TROUBLE_VANISHED;
    if (k->row & ROW_CONFLICT)
        return KL_TROUBLE_CONFLICT;
    if (k->row & ROW_BAD)
        return KL_TROUBLE_BAD_LINE;
    if (k->row & ROW_CHANGED)
        return KL_TROUBLE_CHANGED;
    return k->row & ROW_COPY ? KL_TROUBLE_COPY : KL_TROUBLE_NONE;
}

static void set_state(struct kl_pool_key *k, enum kl_key_state state)
{
    k->state = (unsigned)state & 7;
}

static void set_trouble(struct kl_pool_key *k, enum kl_key_trouble trouble)
{
    k->trouble = (unsigned)trouble & 15;
}

void kl_pool_settle(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);

    KL_ASSERT(k->state <= KL_KEY_BLOCKED);
    if (kl_pool_is_held(k)) {
        set_trouble(k, trouble_of_held(k));
        return;
    }
    if (k->row & ROW_SPENT && (k->listed || kl_mac_is_set(kl_pool_mac(p, key)))) {
        k->state = KL_KEY_PROVISIONED;
        k->trouble = KL_TROUBLE_FOREIGN;
        return;
    }
    set_trouble(k, trouble_of_loose(k));
    k->state = k->trouble == KL_TROUBLE_NONE || k->trouble == KL_TROUBLE_COPY ? KL_KEY_FREE
                                                                              : KL_KEY_BLOCKED;
}

/* The one place that changes a key's state while the bench runs. */
static void enter(struct kl_pool *p, uint32_t key, enum kl_key_state state)
{
    struct kl_pool_key *k = key_at(p, key);

    set_state(k, state);
    kl_pool_settle(p, key);
    if (k->state == KL_KEY_FREE && key < p->next_free)
        p->next_free = key;
    kl_pool_tally(p, k, +1);
}

static struct kl_pool_key *leave_state(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);

    kl_pool_tally(p, k, -1);
    return k;
}

static bool is_in_the_way(const struct kl_pool *p, const struct kl_pool_key *held,
                          const struct kl_pool_key *k)
{
    return kl_pool_same_label(p, held, k) || kl_pool_same_kin(p, held, k);
}

/* Does a key of the ledger that is not in the CSV forbid this one? */
static bool is_blocked_by_any(const struct kl_pool *p, const struct kl_pool_key *k)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const struct kl_pool_key *held = &p->memory.key[i];
        if (held != k && !held->listed && kl_pool_is_held(held) && is_in_the_way(p, held, k))
            return true;
    }
    return false;
}

/* Frees keys that only `gone` blocked, because it had their label or secret. Rare: the row changed
   under a reservation that came to nothing. */
static void unblock(struct kl_pool *p, const struct kl_pool_key *gone)
{
    KL_ASSERT(!gone->listed && !kl_pool_is_held(gone));
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        if (k == gone || !(k->row & ROW_CHANGED) || !is_in_the_way(p, gone, k) ||
            is_blocked_by_any(p, k))
            continue;
        leave_state(p, i);
        k->row &= (uint8_t)~ROW_CHANGED;
        enter(p, i, (enum kl_key_state)k->state);
    }
}

/* Takes the key from its board; the CSV decides whether it is free. */
static bool let_go(struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = leave_state(p, key);
    bool own = detach(p, key);

    enter(p, key, KL_KEY_FREE);
    if (!k->listed)
        unblock(p, k);
    return own;
}

static void set_live(struct kl_pool *p, uint32_t key, bool live)
{
    struct kl_pool_key *k = leave_state(p, key);

    k->live = live;
    kl_pool_tally(p, k, +1);
}

/* ---- asking and claiming ---- */

static uint32_t first_free(struct kl_pool *p)
{
    while (p->next_free < p->count && p->memory.key[p->next_free].state != KL_KEY_FREE)
        p->next_free++;
    return p->next_free;
}

static void begin_reserving(struct kl_pool *p, const struct kl_mac *mac, uint32_t key)
{
    struct kl_pool_key *k = leave_state(p, key);

    KL_ASSERT(k->state == KL_KEY_FREE && !kl_mac_is_set(kl_pool_mac(p, key)) && !k->sent &&
              !k->live);
    p->memory.mac[key] = *mac;
    k->live = true;
    enter(p, key, KL_KEY_RESERVING);
    kl_pool_index_mac(p, key);
}

static enum kl_pool_answer give_new(struct kl_pool *p, const struct kl_mac *mac, uint32_t *key)
{
    uint32_t i = first_free(p);

    if (i == p->count)
        return KL_POOL_EMPTY;
    begin_reserving(p, mac, i);
    *key = i;
    return KL_POOL_GIVE;
}

static const char *why_not_free(const struct kl_pool_key *k)
{
    switch ((enum kl_key_state)k->state) {
    case KL_KEY_FREE:
        return NULL;
    case KL_KEY_PROVISIONED:
        return "this label is spent: a board has its key";
    case KL_KEY_BLOCKED:
        return "the key with this label is kept back; see keyline keys status";
    default:
        return "the key with this label is promised to another board";
    }
}

const char *kl_pool_unbindable(const struct kl_pool *p, const struct kl_mac *mac, const char *label,
                               uint32_t *key)
{
    const char *why = "no key has this label";
    uint8_t hash = (uint8_t)kl_pool_hash_label(label);

    KL_ASSERT(kl_mac_is_set(mac));
    if (kl_pool_of_mac(p, mac) != UINT32_MAX)
        return "this board has been promised a key already";
    for (uint32_t i = 0; i < p->count; i++) {
        const struct kl_pool_key *k = kl_pool_key(p, i);
        if (k->label_hash != hash || strcmp(kl_pool_row_of(p, i)->label, label) != 0)
            continue;
        why = why_not_free(k);
        *key = i;
        if (!why)
            break;
    }
    return why;
}

void kl_pool_bind(struct kl_pool *p, const struct kl_mac *mac, uint32_t key)
{
    KL_ASSERT(kl_mac_is_set(mac) && kl_pool_of_mac(p, mac) == UINT32_MAX);
    begin_reserving(p, mac, key);
    key_at(p, key)->bound = true;
}

enum kl_pool_answer kl_pool_ask(struct kl_pool *p, const struct kl_mac *mac, uint32_t *key)
{
    KL_ASSERT(kl_mac_is_set(mac));
    uint32_t own = kl_pool_of_mac(p, mac);
    if (own == UINT32_MAX)
        return give_new(p, mac, key);

    const struct kl_pool_key *k = kl_pool_key(p, own);
    KL_ASSERT(k->state != KL_KEY_FREE && k->state != KL_KEY_BLOCKED);
    *key = own;
    switch ((enum kl_key_state)k->state) {
    case KL_KEY_RESERVING:
    case KL_KEY_RELEASING:
    case KL_KEY_RECORDING:
        set_live(p, own, true);
        return KL_POOL_BUSY;
    case KL_KEY_RESERVED:
    case KL_KEY_PROVISIONED:
        if (!k->listed || k->row & ROW_SPENT || k->rival)
            return KL_POOL_CONFLICT;
        if (k->row & ROW_RENAMED && !k->live)
            return KL_POOL_CONFLICT;
        set_live(p, own, true);
        return KL_POOL_GIVE;
    case KL_KEY_FREE:
    case KL_KEY_BLOCKED:
        break;
    }
    return KL_POOL_CONFLICT;
}

/* Another board shows this key. Whatever the ledger says, sending it again could only do harm. */
static enum kl_pool_claim claim_of_others(struct kl_pool *p, uint32_t key)
{
    if (proof(kl_pool_key(p, key)) < 2) {
        struct kl_pool_key *k = leave_state(p, key);
        k->row |= ROW_SPENT;
        enter(p, key, (enum kl_key_state)k->state);
    }
    return KL_CLAIM_OTHERS;
}

static void start_recording(struct kl_pool *p, uint32_t key, const struct kl_mac *mac)
{
    struct kl_pool_key *k = leave_state(p, key);

    p->memory.mac[key] = *mac;
    k->sent = true;
    k->live = true;
    enter(p, key, KL_KEY_RECORDING);
    kl_pool_index_mac(p, key);
}

static enum kl_pool_claim claim_of_own(struct kl_pool *p, uint32_t key, const struct kl_mac *mac)
{
    const struct kl_pool_key *k = kl_pool_key(p, key);

    switch ((enum kl_key_state)k->state) {
    case KL_KEY_RESERVING:
    case KL_KEY_RELEASING:
        set_live(p, key, true);
        return KL_CLAIM_BUSY;
    case KL_KEY_RECORDING:
        set_live(p, key, true);
        break;
    case KL_KEY_PROVISIONED:
        if (k->row & ROW_SPENT)
            start_recording(p, key, mac);
        else
            set_live(p, key, true);
        break;
    default:
        start_recording(p, key, mac);
    }
    kl_pool_index_mac(p, key);
    return KL_CLAIM_OWN;
}

enum kl_pool_claim kl_pool_claim(struct kl_pool *p, const struct kl_mac *mac,
                                 const struct kl_fingerprint *fp, uint32_t *key)
{
    KL_ASSERT(kl_mac_is_set(mac));
    uint32_t found = kl_pool_find(p, fp);
    if (found == UINT32_MAX)
        return KL_CLAIM_UNKNOWN;

    struct kl_pool_key *k = key_at(p, found);
    if (kl_pool_is_gone(k)) {
        k->row |= ROW_SPENT; /* if its row comes back, the key must not be handed out */
        return KL_CLAIM_UNKNOWN;
    }
    *key = found;
    if (kl_mac_equal(kl_pool_mac(p, found), mac))
        return claim_of_own(p, found, mac);
    if (kl_mac_is_set(kl_pool_mac(p, found)))
        return claim_of_others(p, found);
    start_recording(p, found, mac);
    return KL_CLAIM_ADOPT;
}

/* ---- the store's answers, and turns ---- */

void kl_pool_reserved(struct kl_pool *p, uint32_t key, bool durable)
{
    KL_ASSERT(key_at(p, key)->state == KL_KEY_RESERVING);
    if (!durable) {
        let_go(p, key);
        return;
    }
    leave_state(p, key);
    enter(p, key, KL_KEY_RESERVED);
}

bool kl_pool_sending(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);

    KL_ASSERT(k->state == KL_KEY_RESERVED || k->state == KL_KEY_PROVISIONED);
    KL_ASSERT(kl_mac_is_set(kl_pool_mac(p, key)));
    if (kl_pool_is_spent_elsewhere(p, key))
        return false;
    k->sent = true;
    return true;
}

bool kl_pool_is_spent_elsewhere(const struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = kl_pool_key(p, key);

    KL_ASSERT(kl_mac_is_set(kl_pool_mac(p, key)));
    return k->row & ROW_SPENT;
}

bool kl_pool_release(struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = key_at(p, key);

    if (k->state != KL_KEY_RESERVED || k->sent)
        return false;
    leave_state(p, key);
    enter(p, key, KL_KEY_RELEASING);
    return true;
}

/* A MAC with two keys lost the one that it would have got: the other takes its place. This is rare,
   so the search may look at every key. */
static void index_other_key(struct kl_pool *p, const struct kl_mac *mac)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (!kl_mac_equal(kl_pool_mac(p, i), mac))
            continue;
        key_at(p, i)->rival = false;
        kl_pool_index_mac(p, i);
    }
}

void kl_pool_released(struct kl_pool *p, uint32_t key, bool durable)
{
    const struct kl_pool_key *k = key_at(p, key);
    struct kl_mac mac = *kl_pool_mac(p, key);
    bool rival = k->rival;

    KL_ASSERT(k->state == KL_KEY_RELEASING);
    if (!durable) {
        leave_state(p, key);
        enter(p, key, KL_KEY_RESERVED);
    } else if (let_go(p, key) || rival) {
        index_other_key(p, &mac);
    }
}

void kl_pool_recording(struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = key_at(p, key);

    KL_ASSERT(k->state == KL_KEY_RESERVED || k->state == KL_KEY_PROVISIONED);
    KL_ASSERT(kl_mac_is_set(kl_pool_mac(p, key)));
    struct kl_mac mac = *kl_pool_mac(p, key);
    start_recording(p, key, &mac);
}

void kl_pool_recorded(struct kl_pool *p, uint32_t key, bool durable)
{
    KL_ASSERT(key_at(p, key)->state == KL_KEY_RECORDING);
    if (!durable)
        return;
    struct kl_pool_key *k = leave_state(p, key);
    k->row &= (uint8_t)~ROW_SPENT;
    k->marked = k->listed; /* the store writes the mark by itself */
    enter(p, key, KL_KEY_PROVISIONED);
}

void kl_pool_refused(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);
    struct kl_mac mac = *kl_pool_mac(p, key);
    bool rival = k->rival;

    KL_ASSERT(k->state == KL_KEY_RESERVING || k->state == KL_KEY_RELEASING ||
              k->state == KL_KEY_RECORDING);
    leave_state(p, key);
    if (k->state == KL_KEY_RECORDING)
        k->row |= ROW_SPENT; /* a board has shown the key, whatever the ledger says */
    bool own = detach(p, key);
    k->state = KL_KEY_BLOCKED;
    k->trouble = KL_TROUBLE_REFUSED;
    kl_pool_tally(p, k, +1);
    if (own || rival)
        index_other_key(p, &mac);
}

void kl_pool_leave(struct kl_pool *p, uint32_t key)
{
    set_live(p, key, false);
}

/* ---- an operator's release ---- */

bool kl_pool_may_release(const struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = kl_pool_key(p, key);
    bool reserved = k->state == KL_KEY_RESERVED;
    bool foreign =
        k->state == KL_KEY_PROVISIONED && !kl_pool_is_held(k) && kl_mac_is_set(kl_pool_mac(p, key));

    return !k->live && (reserved || foreign);
}

bool kl_pool_operator_release(struct kl_pool *p, uint32_t key)
{
    if (!kl_pool_may_release(p, key))
        return false;
    leave_state(p, key);
    enter(p, key, KL_KEY_RELEASING);
    return true;
}

const char *kl_pool_label(const struct kl_pool *p, uint64_t hash, const uint8_t digest[32],
                          kl_sha256_fn *sha256)
{
    uint8_t own[32];

    KL_ASSERT(digest && sha256);
    for (uint32_t i = 0; i < p->count; i++) {
        if (kl_pool_key(p, i)->label_hash != (uint8_t)kl_pool_fold(hash))
            continue;
        const char *label = kl_pool_row_of(p, i)->label;
        if (!label[0] || kl_pool_hash_label(label) != kl_pool_fold(hash))
            continue;
        sha256(label, strlen(label), own);
        if (memcmp(own, digest, sizeof own) == 0)
            return label;
    }
    return "";
}
