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

/* ---- tables: open addressing, linear probing, at most half full ---- */

static uint32_t slot_of_fingerprint(const struct kl_pool *p, const struct kl_fingerprint *fp)
{
    uint32_t hash = (uint32_t)fp->b[0] | (uint32_t)fp->b[1] << 8 | (uint32_t)fp->b[2] << 16 |
                    (uint32_t)fp->b[3] << 24;
    return hash & (p->memory.table_size - 1);
}

static uint32_t slot_of_mac(const struct kl_pool *p, const struct kl_mac *mac)
{
    return kl_pool_fold(kl_hash(mac->b, sizeof mac->b)) & (p->memory.table_size - 1);
}

static uint32_t next_slot(const struct kl_pool *p, uint32_t slot)
{
    return (slot + 1) & (p->memory.table_size - 1);
}

uint32_t kl_pool_find(const struct kl_pool *p, const struct kl_fingerprint *fp)
{
    if (p->count == 0)
        return UINT32_MAX;
    for (uint32_t s = slot_of_fingerprint(p, fp);; s = next_slot(p, s)) {
        uint32_t entry = p->memory.by_fingerprint[s];
        if (entry == 0)
            return UINT32_MAX;
        if (kl_fingerprint_equal(&p->memory.key[entry - 1].fingerprint, fp))
            return entry - 1;
    }
}

void kl_pool_index_fingerprint(struct kl_pool *p, uint32_t key)
{
    uint32_t s = slot_of_fingerprint(p, &p->memory.key[key].fingerprint);

    KL_ASSERT(key < p->count && p->count <= p->memory.table_size / 2);
    while (p->memory.by_fingerprint[s] != 0)
        s = next_slot(p, s);
    p->memory.by_fingerprint[s] = key + 1;
}

/* The slot that holds this MAC's key, or the empty one where it would go. */
static uint32_t mac_slot(const struct kl_pool *p, const struct kl_mac *mac)
{
    uint32_t s = slot_of_mac(p, mac);
    uint32_t entry;

    while ((entry = p->memory.by_mac[s]) != 0 && !kl_mac_equal(&p->memory.key[entry - 1].mac, mac))
        s = next_slot(p, s);
    return s;
}

uint32_t kl_pool_of_mac(const struct kl_pool *p, const struct kl_mac *mac)
{
    if (p->count == 0 || !kl_mac_is_set(mac))
        return UINT32_MAX;
    uint32_t entry = p->memory.by_mac[mac_slot(p, mac)];
    return entry ? entry - 1 : UINT32_MAX;
}

static int proof(const struct kl_pool_key *k)
{
    if (!kl_pool_is_held(k))
        return 0;
    return k->state == KL_KEY_PROVISIONED || k->state == KL_KEY_RECORDING ? 2 : 1;
}

void kl_pool_index_mac(struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = kl_pool_key(p, key);

    if (!kl_mac_is_set(&k->mac))
        return;
    uint32_t *entry = &p->memory.by_mac[mac_slot(p, &k->mac)];
    if (*entry != 0 && *entry - 1 != key && kl_pool_is_held(k) &&
        kl_pool_is_held(key_at(p, *entry - 1)))
        key_at(p, *entry - 1)->rival = key_at(p, key)->rival = true;
    if (*entry == 0 || proof(k) >= proof(&p->memory.key[*entry - 1]))
        *entry = key + 1;
}

/* Empties a MAC's slot and moves later entries up, so that no search ends too early. */
static void unindex_mac(struct kl_pool *p, const struct kl_mac *mac)
{
    uint32_t *table = p->memory.by_mac;
    uint32_t hole = mac_slot(p, mac);

    KL_ASSERT(table[hole] != 0);
    table[hole] = 0;
    for (uint32_t s = next_slot(p, hole); table[s] != 0; s = next_slot(p, s)) {
        uint32_t home = slot_of_mac(p, &p->memory.key[table[s] - 1].mac);
        uint32_t mask = p->memory.table_size - 1;
        if (((s - home) & mask) >= ((s - hole) & mask)) {
            table[hole] = table[s];
            table[s] = 0;
            hole = s;
        }
    }
}

/* Takes the MAC off a key. True if the key was the one that the MAC would have got. */
static bool detach(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);
    bool own = kl_pool_of_mac(p, &k->mac) == key;

    if (own)
        unindex_mac(p, &k->mac);
    k->mac = (struct kl_mac){{0}};
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
    add(&c->changed, k->trouble == KL_TROUBLE_CHANGED && k->line == 0, sign);
    add(&c->unmarked, provisioned && kl_pool_is_held(k) && k->line != 0 && !k->marked, sign);
}

static enum kl_key_trouble trouble_of_held(const struct kl_pool_key *k)
{
    KL_ASSERT(kl_pool_is_held(k));
    if (k->row & ROW_SPENT)
        return KL_TROUBLE_FOREIGN;
    if (k->line == 0)
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
    if (k->line == 0)
        return KL_TROUBLE_VANISHED;
    if (k->row & ROW_CONFLICT)
        return KL_TROUBLE_CONFLICT;
    if (k->row & ROW_BAD)
        return KL_TROUBLE_BAD_LINE;
    if (k->row & ROW_CHANGED)
        return KL_TROUBLE_CHANGED;
    return k->row & ROW_COPY ? KL_TROUBLE_COPY : KL_TROUBLE_NONE;
}

void kl_pool_settle(struct kl_pool_key *k)
{
    KL_ASSERT(k->state <= KL_KEY_BLOCKED);
    if (kl_pool_is_held(k)) {
        k->trouble = (uint8_t)trouble_of_held(k);
        return;
    }
    if (k->row & ROW_SPENT && (k->line != 0 || kl_mac_is_set(&k->mac))) {
        k->state = KL_KEY_PROVISIONED;
        k->trouble = KL_TROUBLE_FOREIGN;
        return;
    }
    k->trouble = (uint8_t)trouble_of_loose(k);
    k->state = k->trouble == KL_TROUBLE_NONE || k->trouble == KL_TROUBLE_COPY ? KL_KEY_FREE
                                                                              : KL_KEY_BLOCKED;
}

/* The one place that changes a key's state while the bench runs. */
static void enter(struct kl_pool *p, uint32_t key, enum kl_key_state state)
{
    struct kl_pool_key *k = key_at(p, key);

    k->state = (uint8_t)state;
    kl_pool_settle(k);
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

static bool is_in_the_way(const struct kl_pool_key *held, const struct kl_pool_key *k)
{
    return kl_pool_same_label(held, k) || kl_pool_same_kin(held, k);
}

/* Does a key of the ledger that is not in the CSV forbid this one? */
static bool is_blocked_by_any(const struct kl_pool *p, const struct kl_pool_key *k)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const struct kl_pool_key *held = &p->memory.key[i];
        if (held != k && held->line == 0 && kl_pool_is_held(held) && is_in_the_way(held, k))
            return true;
    }
    return false;
}

/* Frees keys that only `gone` blocked, because it had their label or secret. Rare: the row changed
   under a reservation that came to nothing. */
static void unblock(struct kl_pool *p, const struct kl_pool_key *gone)
{
    KL_ASSERT(gone->line == 0 && !kl_pool_is_held(gone));
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        if (k == gone || !(k->row & ROW_CHANGED) || !is_in_the_way(gone, k) ||
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
    if (k->line == 0)
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

    KL_ASSERT(k->state == KL_KEY_FREE && !kl_mac_is_set(&k->mac) && !k->sent && !k->live);
    k->mac = *mac;
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

    KL_ASSERT(kl_mac_is_set(mac));
    if (kl_pool_of_mac(p, mac) != UINT32_MAX)
        return "this board has been promised a key already";
    for (uint32_t i = 0; i < p->count; i++) {
        const struct kl_pool_key *k = kl_pool_key(p, i);
        if (strcmp(k->label, label) != 0)
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
        if (k->line == 0 || k->row & ROW_SPENT || k->rival)
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

    k->mac = *mac;
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
    if (kl_mac_equal(&k->mac, mac))
        return claim_of_own(p, found, mac);
    if (kl_mac_is_set(&k->mac))
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
    KL_ASSERT(kl_mac_is_set(&k->mac));
    if (kl_pool_is_spent_elsewhere(p, key))
        return false;
    k->sent = true;
    return true;
}

bool kl_pool_is_spent_elsewhere(const struct kl_pool *p, uint32_t key)
{
    const struct kl_pool_key *k = kl_pool_key(p, key);

    KL_ASSERT(kl_mac_is_set(&k->mac));
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
        if (!kl_mac_equal(&p->memory.key[i].mac, mac))
            continue;
        key_at(p, i)->rival = false;
        kl_pool_index_mac(p, i);
    }
}

void kl_pool_released(struct kl_pool *p, uint32_t key, bool durable)
{
    const struct kl_pool_key *k = key_at(p, key);
    struct kl_mac mac = k->mac;
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
    KL_ASSERT(kl_mac_is_set(&k->mac));
    struct kl_mac mac = k->mac;
    start_recording(p, key, &mac);
}

void kl_pool_recorded(struct kl_pool *p, uint32_t key, bool durable)
{
    KL_ASSERT(key_at(p, key)->state == KL_KEY_RECORDING);
    if (!durable)
        return;
    struct kl_pool_key *k = leave_state(p, key);
    k->row &= (uint8_t)~ROW_SPENT;
    k->marked = k->line != 0; /* the store writes the mark by itself */
    enter(p, key, KL_KEY_PROVISIONED);
}

void kl_pool_refused(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = key_at(p, key);
    struct kl_mac mac = k->mac;
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
    bool foreign = k->state == KL_KEY_PROVISIONED && !kl_pool_is_held(k) && kl_mac_is_set(&k->mac);

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
        const struct kl_pool_key *k = kl_pool_key(p, i);
        if (k->label_hash != kl_pool_fold(hash) || !k->label[0])
            continue;
        sha256(k->label, strlen(k->label), own);
        if (memcmp(own, digest, sizeof own) == 0)
            return k->label;
    }
    return "";
}
