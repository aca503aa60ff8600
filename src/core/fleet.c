/* fleet.c: see fleet.h. */
#include "keyline/fleet.h"

#include <string.h>

enum {
    RETRY_FIRST_S = 1,
    RETRY_DOUBLINGS = 5, /* up to 32 s */
    DENIED_S = 15,       /* before a lease is asked for again that the pool refused */
    BARRED_S = 60,       /* before a station that is not wanted asks again */
    STATUS_S = 10,
};

static const char *const refusal_text[] = {
#define X(name, text) text,
    KL_FLEET_REFUSALS(X)
#undef X
};

const char *kl_fleet_refusal_text(enum kl_fleet_refusal refusal)
{
    KL_ASSERT((unsigned)refusal < KL_FLEET_NO_COUNT);
    return refusal_text[refusal];
}

static bool is_for_good(enum kl_fleet_refusal refusal)
{
    return refusal == KL_FLEET_NO_COPY || refusal == KL_FLEET_NO_LOST;
}

/* A copy stays barred: a later failover could make the pool forget what told it apart. */
static void bar(struct kl_fleet *f, enum kl_fleet_refusal why, kl_us now)
{
    KL_ASSERT(why != KL_FLEET_NO_NONE);
    f->state = KL_FLEET_BARRED;
    f->barred = why;
    f->retry_at = is_for_good(why) ? KL_NEVER : now + KL_SEC(BARRED_S);
}

void kl_fleet_init(struct kl_fleet *f, const struct kl_fleet_config *config,
                   const struct kl_fleet_memory *memory, kl_us now)
{
    KL_ASSERT(config->slots > 0 && config->slots <= KL_SLOTS_MAX && config->lease_max > 0);
    KL_ASSERT(config->offline >= 0 && memory->silent >= 0);
    memset(f, 0, sizeof *f);
    f->config = *config;
    f->memory = *memory;
    f->heard = memory->silent == KL_NEVER ? KL_NEVER : now - memory->silent;
    f->retry_at = f->lease_at = f->status_at = now;
    if (memory->barred != KL_FLEET_NO_NONE)
        bar(f, memory->barred, now);
}

void kl_fleet_tell_bench(struct kl_fleet *f, const struct kl_fleet_bench *bench)
{
    KL_ASSERT(bench->history >= f->bench.history);
    /* A bench that used keys or got none needs no more patience than before: lease_at stays. */
    f->bench = *bench;
}

/* ---- boards ---- */

void kl_fleet_ask(struct kl_fleet *f, unsigned slot, const struct kl_mac *mac, bool others)
{
    KL_ASSERT(slot < KL_SLOTS_MAX && kl_mac_is_set(mac));
    struct kl_fleet_claim *c = &f->claim[slot];
    if (c->asked && kl_mac_equal(&c->mac, mac))
        return;
    *c = (struct kl_fleet_claim){.asked = true, .mac = *mac, .others = others};
}

void kl_fleet_withdraw(struct kl_fleet *f, unsigned slot)
{
    KL_ASSERT(slot < KL_SLOTS_MAX);
    f->claim[slot] = (struct kl_fleet_claim){0};
}

/* A database that was failed over may have forgotten whose boards there are: until every station
   has told it again, it is as silent about boards as one that is down. */
static bool is_silent(const struct kl_fleet *f)
{
    switch (f->state) {
    case KL_FLEET_AWAY:
    case KL_FLEET_GREETING:
        return f->failures > 0;
    case KL_FLEET_TELLING:
    case KL_FLEET_UP:
        return !f->may_lease;
    default:
        return false;
    }
}

/* A station that never heard the pool can't know whose boards there are. */
static bool may_go_on_offline(const struct kl_fleet *f, kl_us now)
{
    return is_silent(f) && f->heard != KL_NEVER && now - f->heard < f->config.offline;
}

enum kl_fleet_leave kl_fleet_may(struct kl_fleet *f, unsigned slot, kl_us now)
{
    KL_ASSERT(slot < KL_SLOTS_MAX && f->claim[slot].asked);
    const struct kl_fleet_claim *c = &f->claim[slot];
    bool out = f->calling == KL_FLEET_CLAIM && f->call.slot == slot;
    if (c->leave != KL_FLEET_WAITS || out || !may_go_on_offline(f, now))
        return c->leave;
    return c->others ? KL_FLEET_MAY_NOT : KL_FLEET_UNCHECKED;
}

void kl_fleet_keep_unchecked(struct kl_fleet *f, unsigned slot)
{
    KL_ASSERT(slot < KL_SLOTS_MAX && f->claim[slot].asked);
    KL_ASSERT(f->claim[slot].leave == KL_FLEET_WAITS);
    f->claim[slot].leave = KL_FLEET_MAY;
    f->memory.unchecked++;
}

/* The slot after the last one that had its turn; KL_SLOTS_MAX = no board waits. */
static unsigned waiting_claim(const struct kl_fleet *f)
{
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++) {
        unsigned slot = (f->next_claim + i) % KL_SLOTS_MAX;
        if (f->claim[slot].asked && f->claim[slot].leave == KL_FLEET_WAITS)
            return slot;
    }
    return KL_SLOTS_MAX;
}

/* ---- keys ---- */

uint32_t kl_fleet_wanted(const struct kl_fleet *f)
{
    uint32_t least = 2 * f->config.slots;
    uint32_t wanted = f->bench.per_hour > least ? f->bench.per_hour : least;
    return wanted < f->config.lease_max ? wanted : f->config.lease_max;
}

static bool needs_keys(const struct kl_fleet *f)
{
    uint32_t wanted = kl_fleet_wanted(f);
    /* In time: half of the hour is left. */
    return !f->parting && f->bench.free < wanted && (f->filling || f->bench.free <= wanted / 2);
}

int64_t kl_fleet_unsent(const struct kl_fleet *f)
{
    return f->bench.history > f->memory.reported ? f->bench.history - f->memory.reported : 0;
}

/* ---- what to call ---- */

static void call(struct kl_fleet *f, enum kl_fleet_op op, struct kl_fleet_call *out)
{
    KL_ASSERT(f->calling == KL_FLEET_NOTHING && op != KL_FLEET_NOTHING);
    out->op = op;
    out->request = f->memory.request;
    out->count = f->memory.count;
    out->after = f->memory.reported;
    f->calling = op;
    f->call = *out;
}

static void call_claim(struct kl_fleet *f, unsigned slot, struct kl_fleet_call *out)
{
    out->slot = slot;
    out->mac = f->claim[slot].mac;
    f->next_claim = (slot + 1) % KL_SLOTS_MAX;
    call(f, KL_FLEET_CLAIM, out);
}

/* What a board waits for comes first; then what was promised; then what is wanted. */
static bool call_if_up(struct kl_fleet *f, kl_us now, struct kl_fleet_call *out)
{
    unsigned slot = f->may_lease ? waiting_claim(f) : KL_SLOTS_MAX;
    bool may = f->may_lease && now >= f->lease_at;
    if (f->leased)
        call(f, KL_FLEET_KEEP, out);
    else if (slot < KL_SLOTS_MAX)
        call_claim(f, slot, out);
    else if (f->memory.requested && may)
        call(f, KL_FLEET_LEASE, out);
    else if (f->memory.unchecked > 0 && f->may_lease)
        call(f, KL_FLEET_CHECK, out);
    else if (!f->memory.requested && may && needs_keys(f)) {
        f->memory.count = kl_fleet_wanted(f) - f->bench.free;
        if (f->memory.count > KL_FLEET_LEASE_MOST)
            f->memory.count = KL_FLEET_LEASE_MOST;
        f->filling = true;
        call(f, KL_FLEET_REMEMBER, out);
    } else if (kl_fleet_unsent(f) > 0)
        call(f, KL_FLEET_REPORT, out);
    else if (now >= f->status_at)
        call(f, KL_FLEET_STATUS, out);
    return f->calling != KL_FLEET_NOTHING;
}

/* A request that was remembered may have been granted: its keys have to be here before they can be
   handed back. */
static void call_if_parting(struct kl_fleet *f, struct kl_fleet_call *out)
{
    if (f->leased)
        call(f, KL_FLEET_KEEP, out);
    else if (f->memory.requested && f->may_lease)
        call(f, KL_FLEET_LEASE, out);
    else if (f->memory.unchecked > 0 && f->may_lease)
        call(f, KL_FLEET_CHECK, out);
    else if (kl_fleet_unsent(f) > 0)
        call(f, KL_FLEET_REPORT, out);
    else if (!f->may_lease)
        f->state = KL_FLEET_GONE; /* another database would not know what is handed back */
    else
        call(f, KL_FLEET_HAND_BACK, out);
}

static kl_us due_when_up(const struct kl_fleet *f, kl_us now)
{
    bool wants = f->may_lease && (f->memory.requested || needs_keys(f));
    return wants && f->lease_at > now && f->lease_at < f->status_at ? f->lease_at : f->status_at;
}

void kl_fleet_next(struct kl_fleet *f, kl_us now, struct kl_fleet_call *out)
{
    *out = (struct kl_fleet_call){.until = KL_NEVER};
    if (f->calling != KL_FLEET_NOTHING)
        return;
    switch (f->state) {
    case KL_FLEET_AWAY:
    case KL_FLEET_BARRED:
        if (f->parting && (f->failures > 0 || f->retry_at == KL_NEVER))
            f->state = KL_FLEET_GONE;
        else if (now < f->retry_at)
            out->until = f->retry_at;
        else if (f->leased)
            call(f, KL_FLEET_KEEP, out);
        else {
            f->state = f->state == KL_FLEET_AWAY ? KL_FLEET_GREETING : f->state;
            call(f, KL_FLEET_HELLO, out);
        }
        return;
    case KL_FLEET_TELLING:
        call(f, KL_FLEET_REASSERT, out);
        return;
    case KL_FLEET_UP:
        if (!f->parting) {
            if (!call_if_up(f, now, out))
                out->until = due_when_up(f, now);
            return;
        }
        f->state = KL_FLEET_PARTING;
        call_if_parting(f, out);
        return;
    case KL_FLEET_PARTING:
        call_if_parting(f, out);
        return;
    default:
        KL_ASSERT(f->state == KL_FLEET_GONE);
        return;
    }
}

/* ---- what comes back ---- */

static void go_away(struct kl_fleet *f, kl_us now)
{
    if (f->state == KL_FLEET_BARRED) { /* a database that is down does not let it in */
        bar(f, f->barred, now);
        return;
    }
    unsigned doublings = f->failures < RETRY_DOUBLINGS ? f->failures : RETRY_DOUBLINGS;
    f->failures++;
    f->retry_at = now + KL_SEC(RETRY_FIRST_S << doublings);
    f->state = KL_FLEET_AWAY;
}

static bool bars(enum kl_fleet_refusal refusal)
{
    return refusal == KL_FLEET_NO_LOST || refusal == KL_FLEET_NO_UNKNOWN ||
           refusal == KL_FLEET_NO_COPY || refusal == KL_FLEET_NO_VERSION;
}

static void settle_claim(struct kl_fleet *f, enum kl_fleet_leave leave)
{
    struct kl_fleet_claim *c = &f->claim[f->call.slot];
    /* Another board may have come meanwhile. */
    if (c->asked && kl_mac_equal(&c->mac, &f->call.mac))
        c->leave = leave;
}

static void refused(struct kl_fleet *f, enum kl_fleet_op op, enum kl_fleet_refusal refusal,
                    kl_us now)
{
    KL_ASSERT(refusal != KL_FLEET_NO_NONE);
    if (refusal == KL_FLEET_NO_FENCE)
        f->may_lease = false;
    if (bars(refusal)) {
        bar(f, refusal, now);
        f->failures++; /* a station that parts does not wait for a person */
    } else if (op == KL_FLEET_CLAIM && refusal == KL_FLEET_NO_CONFLICT) {
        settle_claim(f, KL_FLEET_DISPUTED);
    } else if (f->state == KL_FLEET_PARTING) {
        f->state = KL_FLEET_GONE; /* the next start goes on */
    } else if (op == KL_FLEET_LEASE) {
        f->denied = refusal;
        f->lease_at = now + KL_SEC(DENIED_S);
        if (refusal == KL_FLEET_NO_FENCE) /* another database: it has to hear what is here */
            go_away(f, now);
    } else {
        f->denied = refusal;
        go_away(f, now);
    }
}

/* A database that was failed over may have forgotten what it last said. */
static void claim_again(struct kl_fleet *f)
{
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        if (f->claim[i].asked && f->claim[i].leave == KL_FLEET_MAY)
            f->claim[i].leave = KL_FLEET_WAITS;
}

static void greeted(struct kl_fleet *f, const struct kl_fleet_answer *a, kl_us now)
{
    f->state = a->same_database ? KL_FLEET_UP : KL_FLEET_TELLING;
    if (!a->same_database)
        claim_again(f);
    f->barred = KL_FLEET_NO_NONE;
    f->may_lease = a->may_lease;
    f->denied = a->may_lease ? KL_FLEET_NO_NONE : KL_FLEET_NO_FENCE;
    f->memory.unchecked = a->left;
    f->memory.reported = a->reported;
    f->status_at = now;
}

static void leased(struct kl_fleet *f, uint32_t rows, kl_us now)
{
    KL_ASSERT(rows <= f->memory.count);
    f->leased = true;
    f->denied = rows > 0 ? KL_FLEET_NO_NONE : KL_FLEET_NO_EMPTY;
    if (rows < f->memory.count) {
        f->lease_at = now + KL_SEC(DENIED_S);
        f->filling = false;
    }
}

static void done(struct kl_fleet *f, enum kl_fleet_op op, const struct kl_fleet_answer *a,
                 kl_us now)
{
    switch (op) {
    case KL_FLEET_HELLO:
        greeted(f, a, now);
        break;
    case KL_FLEET_REASSERT:
        f->state = KL_FLEET_UP;
        break;
    case KL_FLEET_REMEMBER:
        f->memory.requested = true;
        f->memory.request = a->request;
        break;
    case KL_FLEET_LEASE:
        leased(f, a->rows, now);
        break;
    case KL_FLEET_KEEP:
        f->leased = f->memory.requested = false;
        f->bench.free += a->rows;
        f->filling = f->filling && f->bench.free < kl_fleet_wanted(f);
        break;
    case KL_FLEET_CLAIM:
        settle_claim(f, a->owner == KL_FLEET_OURS ? KL_FLEET_MAY : KL_FLEET_MAY_NOT);
        break;
    case KL_FLEET_CHECK:
        f->memory.unchecked = a->left;
        f->doubles += a->owner == KL_FLEET_OTHERS;
        break;
    case KL_FLEET_REPORT:
        KL_ASSERT(a->reported > f->memory.reported);
        f->memory.reported = a->reported;
        break;
    case KL_FLEET_STATUS:
        f->may_lease = a->may_lease;
        f->denied = !a->may_lease                    ? KL_FLEET_NO_FENCE
                    : f->denied == KL_FLEET_NO_FENCE ? KL_FLEET_NO_NONE
                                                     : f->denied;
        f->status_at = now + KL_SEC(STATUS_S);
        break;
    default:
        KL_ASSERT(op == KL_FLEET_HAND_BACK);
        f->state = KL_FLEET_GONE;
        break;
    }
}

static bool is_local(enum kl_fleet_op op)
{
    return op == KL_FLEET_REMEMBER || op == KL_FLEET_KEEP;
}

void kl_fleet_answered(struct kl_fleet *f, kl_us now, const struct kl_fleet_answer *answer)
{
    enum kl_fleet_op op = f->calling;
    KL_ASSERT(op != KL_FLEET_NOTHING);
    f->calling = KL_FLEET_NOTHING;
    if (answer->result == KL_FLEET_OK) {
        done(f, op, answer, now);
        if (!is_local(op))
            f->failures = 0;
        if (!is_local(op) && f->may_lease)
            f->heard = now;
    } else if (answer->result == KL_FLEET_REFUSED) {
        refused(f, op, answer->refusal, now);
    } else if (is_local(op)) {
        /* The disk is full or ill: rows that came are kept when it is well; the id is drawn anew.
         */
        f->lease_at = now + KL_SEC(DENIED_S);
        go_away(f, now);
    } else {
        go_away(f, now);
    }
}

void kl_fleet_part(struct kl_fleet *f)
{
    f->parting = true;
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        f->claim[i] = (struct kl_fleet_claim){0};
}

const char *kl_fleet_trouble(const struct kl_fleet *f)
{
    if (f->state == KL_FLEET_BARRED)
        return refusal_text[f->barred];
    if (f->failures > 0 && (f->state == KL_FLEET_AWAY || f->state == KL_FLEET_GREETING))
        return "the pool's database does not answer";
    return refusal_text[f->denied];
}
