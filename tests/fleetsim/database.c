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
        s->now.key[i].station = s->now.key[i].mac = NOBODY;
    for (int i = 0; i < BOARDS; i++)
        s->now.board[i] = NOBODY;
}

/* Before each commit. */
static struct db *change(struct server *s)
{
    memmove(&s->before[1], &s->before[0], sizeof s->before - sizeof s->before[0]);
    s->before[0] = s->now;
    s->kept += s->kept < FORGETS;
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
        if (d->list[i] && d->ledger[i] == NOT_THERE && db->key[i].mac != NOBODY)
            return true;
    return false;
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
    change(s)->token[station] = d->next_token;
    return YES(.same_database = same, .may_lease = is_whole(s));
}

/* Tells whose a board is; the first who says so has it. */
static bool take_board(struct db *db, int mac, int station)
{
    if (db->board[mac] == NOBODY)
        db->board[mac] = station;
    return db->board[mac] == station;
}

static void take_key(struct db *db, int key, int station, int mac)
{
    bool others = db->key[key].state != KEY_FREE && db->key[key].station != station;
    bool again = db->key[key].state == KEY_DONE && db->key[key].mac != mac;
    if (others || again) {
        db->alarms++;
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
        if (!d->list[i] && d->ledger[i] == NOT_THERE)
            continue;
        if (db->key[i].state == KEY_FREE) {
            db->key[i].state = KEY_LEASED;
            db->key[i].station = station;
        } else if (db->key[i].station != station) {
            db->alarms++;
        }
        if (d->ledger[i] == RESERVED && d->agreed[i])
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

static bool is_bound_to_another(const struct db *db, int mac, int key)
{
    for (int i = 0; i < KEYS; i++)
        if (i != key && db->key[i].mac == mac && db->key[i].state != KEY_LOST)
            return true;
    return false;
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
        is_bound_to_another(db, mac, key)) {
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

struct kl_fleet_answer db_report(struct server *s, int station, const struct disk *d, int64_t after)
{
    KL_ASSERT(after < (int64_t)d->told_of);
    int key = d->history[after];
    if (s->now.lost[station])
        return no(KL_FLEET_NO_LOST);
    take_key(change(s), key, station, d->mac[key]);
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
            db->key[i].mac != NOBODY)
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
    memset(s->now.heard, 0, sizeof s->now.heard);
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
        unheard |= !s->now.heard[i];
    }
    struct db *db = change(s);
    for (int i = 0; unheard && i <= highest_key; i++) {
        if (db->key[i].state != KEY_FREE)
            continue;
        db->key[i].state = KEY_LOST;
        db->key[i].station = NOBODY;
    }
    db->fence_pool = s->fence;
    return true;
}
