/* database.c: what the pool's SQL functions do, and what failovers make of it. See model.h. */
#include <string.h>

#include "model.h"

enum {
    CAP = 8, /* keys that one station may hold unreported */
};

#define YES(...) ((struct kl_fleet_answer){.result = KL_FLEET_OK, __VA_ARGS__})

static struct kl_fleet_answer no(enum kl_fleet_refusal why)
{
    return (struct kl_fleet_answer){.result = KL_FLEET_REFUSED, .refusal = why};
}

void db_init(struct server *s)
{
    memset(s, 0, sizeof *s);
    s->fence = s->fences = s->now.fence_pool = 1;
    for (int i = 0; i < KEYS; i++)
        s->now.key[i].station = s->now.key[i].mac = s->now.key[i].told_by = NOBODY;
    for (int i = 0; i < BOARDS; i++)
        s->now.board[i] = NOBODY;
}

/* Before each commit. */
static struct db *change(struct server *s)
{
    memmove(&s->before[1], &s->before[0], sizeof s->before - sizeof s->before[0]);
    s->before[0] = s->now;
    s->kept += s->kept < FORGETS;
    s->now.xid++;
    return &s->now;
}

static bool is_whole(const struct server *s)
{
    return s->now.fence_pool == s->fence;
}

/* A station that believes it never used a key which the pool has for a board is an old one. */
static bool is_behind(const struct db *db, const struct disk *d)
{
    for (int i = 0; i < KEYS; i++)
        if (is_untouched(d, i) && db->key[i].mac != NOBODY)
            return true;
    return false;
}

bool db_has_forgotten(const struct server *s, int station, const struct disk *d)
{
    for (int i = 0; i < KEYS; i++)
        if (d->fence == s->fence && is_untouched(d, i) &&
            (s->now.key[i].state == KEY_FREE ||
             (s->now.key[i].state == KEY_LEASED && s->now.key[i].station != station)))
            return true;
    return false;
}

void db_went_back(struct server *s)
{
    struct db *db = &s->now;
    if (!is_whole(s))
        return;
    db->fence_pool = 0;
    db->alarms++;
    memset(db->token, 0, sizeof db->token);
    for (int i = 0; i < STATIONS; i++)
        db->heard[i] &= db->lost[i];
    s->unnoticed = false;
}

struct kl_fleet_answer db_hello(struct server *s, int station, const struct disk *d)
{
    struct db *db = &s->now;
    bool same = d->fence == s->fence;
    if (db->lost[station])
        return no(KL_FLEET_NO_LOST);
    if (is_behind(db, d) || (same && db->token[station] != 0 && db->token[station] != d->token &&
                             db->token[station] != d->next_token))
        return no(KL_FLEET_NO_COPY);
    change(s);
    if (is_whole(s) && db_has_forgotten(s, station, d))
        db_went_back(s);
    db->token[station] = d->next_token;
    return YES(.same_database = same && db->heard[station], .may_lease = is_whole(s));
}

/* Tells whose a board is; the first who says so has it. */
static bool take_board(struct db *db, int mac, int station)
{
    if (db->board[mac] == NOBODY)
        db->board[mac] = station;
    return db->board[mac] == station;
}

static int key_of_board(const struct db *db, int mac, int but)
{
    for (int i = 0; i < KEYS; i++)
        if (i != but && db->key[i].mac == mac)
            return i;
    return NOBODY;
}

static void take_key(struct db *db, int key, int station, int mac)
{
    bool others = db->key[key].state != KEY_FREE && db->key[key].station != station;
    bool again = db->key[key].state == KEY_DONE && db->key[key].mac != mac;
    if (others || again) {
        db->alarms++;
        db->key[key].elsewhere |= others && db->key[key].state == KEY_LEASED;
        return;
    }
    int other = key_of_board(db, mac, key);
    if (other != NOBODY) { /* a board with two keys: nobody knows what becomes of this one */
        db->alarms++;
        if (db->key[key].state != KEY_DONE)
            db->key[key].state = KEY_LOST;
        return;
    }
    db->key[key].state = KEY_DONE;
    db->key[key].station = station;
    db->key[key].mac = mac;
    db->alarms += !take_board(db, mac, station);
}

/* It may have been sent: the board is this station's, unless another one says so as well. */
static void bind(struct db *db, int key, int mac, int station)
{
    bool ours = take_board(db, mac, station) && db->key[key].station == station;
    db->alarms += !ours;
    if (ours)
        db->key[key].mac = mac;
}

/* The station gave it back, and the database has forgotten; or another one told of it. */
static void settle_untold(struct db *db, int key, int station)
{
    if (db->key[key].state != KEY_LEASED || db->key[key].station != station)
        return;
    if (db->key[key].told_by != NOBODY) {
        db->key[key].station = db->key[key].told_by;
        db->key[key].told_by = NOBODY;
        db->key[key].elsewhere = false;
    } else {
        db->key[key].state = KEY_LOST;
        db->alarms++;
    }
}

struct kl_fleet_answer db_reassert(struct server *s, int station, const struct disk *d)
{
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    struct db *db = change(s);
    for (int i = 0; i < KEYS; i++) {
        if (d->ledger[i] == PROVISIONED) {
            take_key(db, i, station, d->mac[i]);
            continue;
        }
        if (!d->list[i] && d->ledger[i] == NOT_THERE && !d->handing_back[i]) {
            settle_untold(db, i, station);
            continue;
        }
        if (db->key[i].state == KEY_FREE) {
            db->key[i].state = KEY_LEASED;
            db->key[i].station = station;
        } else if (db->key[i].station != station) {
            db->alarms++;
            db->key[i].told_by = station;
            db->key[i].elsewhere = true;
        }
        if (d->ledger[i] == RESERVED && is_agreed(d, i))
            bind(db, i, d->mac[i], station);
    }
    db->heard[station] = true;
    return YES(.left = 0);
}

static unsigned rows_of(const struct db *db, int station, const struct kl_request_id *id,
                        bool rows[KEYS])
{
    unsigned n = 0;
    for (int i = 0; i < KEYS; i++) {
        rows[i] = db->key[i].station == station && db->key[i].state == KEY_LEASED &&
                  memcmp(&db->key[i].request, id, sizeof *id) == 0;
        n += rows[i];
    }
    return n;
}

/* A station that asks again never had the rows, so it can't have used one. */
static bool is_used(const struct db *db, int station, const struct kl_request_id *id)
{
    for (int i = 0; i < KEYS; i++)
        if (db->key[i].station == station && db->key[i].mac != NOBODY &&
            memcmp(&db->key[i].request, id, sizeof *id) == 0)
            return true;
    return false;
}

static bool is_known(const struct db *db, const struct kl_request_id *id)
{
    for (unsigned i = 0; i < db->leases; i++)
        if (memcmp(&db->lease[i].id, id, sizeof *id) == 0)
            return true;
    return false;
}

static unsigned held(const struct db *db, int station)
{
    unsigned n = 0;
    for (int i = 0; i < KEYS; i++)
        n += db->key[i].state == KEY_LEASED && db->key[i].station == station;
    return n;
}

struct kl_fleet_answer db_lease(struct server *s, int station, const struct kl_fleet_call *call,
                                bool rows[KEYS])
{
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    if (!is_whole(s))
        return no(KL_FLEET_NO_FENCE);
    if (is_used(&s->now, station, &call->request))
        return no(KL_FLEET_NO_COPY);
    if (is_known(&s->now, &call->request)) {
        change(s);
        return YES(.rows = rows_of(&s->now, station, &call->request, rows));
    }
    unsigned has = held(&s->now, station);
    if (has >= CAP)
        return no(KL_FLEET_NO_CAP);
    /* Fewer than it asked for are of more use to a bench than none. */
    uint32_t n = 0, room = call->count < CAP - has ? call->count : CAP - has;
    struct db *db = change(s);
    s->capped += room < call->count;
    for (int i = 0; i < KEYS && n < room; i++) {
        if (db->key[i].state != KEY_FREE)
            continue;
        db->key[i].state = KEY_LEASED;
        db->key[i].station = station;
        db->key[i].request = call->request;
        n++;
    }
    KL_ASSERT(db->leases < LEASES);
    db->lease[db->leases].id = call->request;
    db->lease[db->leases++].station = station;
    return YES(.rows = rows_of(db, station, &call->request, rows));
}

struct kl_fleet_answer db_claim(struct server *s, int station, int mac, int key)
{
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    if (!is_whole(s))
        return no(KL_FLEET_NO_FENCE);
    struct db *db = change(s);
    if (db->board[mac] != NOBODY && db->board[mac] != station)
        return YES(.owner = KL_FLEET_OTHERS);
    if (db->key[key].station != station || db->key[key].state == KEY_LOST ||
        (db->key[key].mac != NOBODY && db->key[key].mac != mac) ||
        key_of_board(db, mac, key) != NOBODY ||
        (db->key[key].mac == NOBODY && db->key[key].elsewhere)) {
        db->alarms++;
        return no(KL_FLEET_NO_CONFLICT);
    }
    db->board[mac] = station;
    db->key[key].mac = mac;
    return YES(.owner = KL_FLEET_OURS);
}

struct kl_fleet_answer db_check(struct server *s, int station, int mac, int key)
{
    struct kl_fleet_answer a = db_claim(s, station, mac, key);
    s->now.alarms += a.result == KL_FLEET_OK && a.owner == KL_FLEET_OTHERS;
    if (a.result == KL_FLEET_REFUSED && a.refusal == KL_FLEET_NO_CONFLICT)
        return YES(.owner = KL_FLEET_OTHERS);
    return a;
}

/* Each is free of the other, and any station may claim the board. */
static void release(struct db *db, int key, int station, int mac)
{
    if (db->key[key].state != KEY_LEASED || db->key[key].station != station ||
        db->key[key].mac != mac)
        return;
    db->key[key].mac = NOBODY;
    if (db->board[mac] == station)
        db->board[mac] = NOBODY;
}

struct kl_fleet_answer db_report(struct server *s, int station, const struct disk *d, int64_t after,
                                 int64_t has)
{
    KL_ASSERT(after < (int64_t)d->entries);
    const struct entry *e = &d->history[after];
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    if (has > s->now.last_seq[station])
        return no(KL_FLEET_NO_FENCE);
    struct db *db = change(s);
    bool fresh = after >= db->last_seq[station];
    if (e->what == WAS_PROVISIONED)
        take_key(db, e->key, station, e->mac);
    else if (e->what == WAS_RELEASED && fresh)
        release(db, e->key, station, e->mac);
    if (fresh)
        db->last_seq[station] = (unsigned)after + 1;
    return YES(.reported = after + 1);
}

struct kl_fleet_answer db_status(struct server *s, int station)
{
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    if (!s->now.heard[station] && !is_whole(s))
        return no(KL_FLEET_NO_FENCE);
    return YES(.may_lease = is_whole(s));
}

struct kl_fleet_answer db_hand_back(struct server *s, int station, const bool rows[KEYS])
{
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    if (!is_whole(s))
        return no(KL_FLEET_NO_FENCE);
    struct db *db = change(s);
    for (int i = 0; i < KEYS; i++) {
        if (!rows[i] || db->key[i].state != KEY_LEASED || db->key[i].station != station ||
            db->key[i].mac != NOBODY || db->key[i].elsewhere)
            continue;
        db->key[i].state = KEY_FREE;
        db->key[i].station = NOBODY;
        memset(&db->key[i].request, 0, sizeof db->key[i].request);
    }
    return YES(.left = 0);
}

void db_fail_over(struct server *s, unsigned forgotten)
{
    if (forgotten > s->kept)
        forgotten = s->kept;
    if (forgotten > 0)
        s->now = s->before[forgotten - 1];
    s->kept = 0;
    s->fence = ++s->fences;
    s->unnoticed = false;
    memset(s->now.heard, 0, sizeof s->now.heard);
}

void db_copy_back(struct server *s, unsigned forgotten)
{
    KL_ASSERT(forgotten > 0 && forgotten <= s->kept);
    s->now = s->before[forgotten - 1];
    s->kept = 0;
    s->unnoticed = true;
}

void db_declare_lost(struct server *s, int station)
{
    struct db *db = change(s);
    db->lost[station] = true;
    for (int i = 0; i < KEYS; i++)
        if (db->key[i].state == KEY_LEASED && db->key[i].station == station)
            db->key[i].state = KEY_LOST;
}

/* Keys are leased in ascending order, so what a lost station may have got in commits that are
   forgotten lies at or below the highest that was ever leased. */
bool db_reopen(struct server *s, int highest_key)
{
    bool unheard = false;
    for (int i = 0; i < STATIONS; i++) {
        if (!s->now.heard[i] && !s->now.lost[i])
            return false;
        unheard |= !s->now.heard[i] && s->now.lost[i];
    }
    struct db *db = change(s);
    for (int i = 0; i < KEYS; i++) {
        if (db->key[i].state == KEY_LEASED && db->key[i].told_by != NOBODY)
            db->key[i].state = KEY_LOST;
        db->key[i].told_by = NOBODY;
    }
    for (int i = 0; unheard && i <= highest_key; i++) {
        if (db->key[i].state != KEY_FREE)
            continue;
        db->key[i].state = KEY_LOST;
        db->key[i].station = NOBODY;
    }
    db->fence_pool = s->fence;
    return true;
}
