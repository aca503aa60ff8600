#include "fake_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/bundle_load.h"

static struct fake_pool *here;

void fake_use(struct fake_pool *p)
{
    here = p;
}

void fake_set(struct fake_pool *p, bool *flag, bool value)
{
    uv_mutex_lock(&p->lock);
    *flag = value;
    uv_mutex_unlock(&p->lock);
}

struct fake_key *fake_find(struct fake_pool *p, const char *label)
{
    for (unsigned i = 0; i < p->keys; i++)
        if (strcmp(p->key[i].label, label) == 0)
            return &p->key[i];
    return NULL;
}

unsigned fake_count(struct fake_pool *p, int state)
{
    unsigned n = 0;

    uv_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->keys; i++)
        n += (int)p->key[i].state == state;
    uv_mutex_unlock(&p->lock);
    return n;
}

static void make_key(struct fake_pool *p, unsigned i)
{
    struct fake_key *k = &p->key[i];
    struct kl_span field[2];
    struct kl_key key;

    snprintf(k->label, sizeof k->label, "dev-%04u", i + 1);
    snprintf(k->secret, sizeof k->secret, "%08x%08x%08x%08x", 0xa0b0c0d0u + i, i * 77u, i, ~i);
    field[0] = (struct kl_span){(const uint8_t *)k->label, strlen(k->label)};
    field[1] = (struct kl_span){(const uint8_t *)k->secret, strlen(k->secret)};
    assert_true(kl_key_build(&key, field, 2, kl_sha256));
    k->fingerprint = key.fingerprint;
    k->kin = key.kin;
    k->box_size = kl_seal_fields(&key, &p->pool_key, p->id, k->box);
    assert_true(k->box_size > 0);
}

void fake_make(struct fake_pool *p, const char *folder, unsigned keys)
{
    struct kl_seal_pair pair;
    char path[512], error[KL_TEXT_MAX];

    memset(p, 0, sizeof *p);
    uv_mutex_init(&p->lock);
    assert_true(kl_seal_start());
    memset(p->id, 0x5a, sizeof p->id);
    kl_seal_pool_key_make(1, &p->pool_key);
    snprintf(path, sizeof path, "%s/station.key", folder);
    if (!kl_seal_pair_make(path, "station", "bench-1", &pair, error))
        fail_msg("%s", error);
    p->station = pair.public;
    p->timeline = p->pool_timeline = p->told_timeline = 1;
    p->born = 7;
    p->keys = keys;
    for (unsigned i = 0; i < keys; i++)
        make_key(p, i);
    here = p;
}

void fake_end(struct fake_pool *p)
{
    uv_mutex_destroy(&p->lock);
}

/* ---- calls ---- */

/* Takes the lock if the call may go on. */
static bool enter(enum kl_fleet_result *result, struct kl_fdb_why *why)
{
    struct fake_pool *p = here;

    memset(why, 0, sizeof *why);
    uv_mutex_lock(&p->lock);
    while (p->hangs && !p->interrupted) {
        uv_mutex_unlock(&p->lock);
        usleep(2000);
        uv_mutex_lock(&p->lock);
    }
    *result = KL_FLEET_OK;
    if (!p->silent && !p->interrupted)
        return true;
    p->interrupted = false;
    uv_mutex_unlock(&p->lock);
    *result = KL_FLEET_DOWN;
    why->cause = KL_FDB_CAUSE_UNREACHABLE;
    kl_copy(why->text, sizeof why->text, "could not connect to server");
    return false;
}

static enum kl_fleet_result leave(const char *call, enum kl_fleet_result result)
{
    struct fake_pool *p = here;

    if (result == KL_FLEET_OK && p->doubts > 0 && (!p->doubtful || !strcmp(p->doubtful, call))) {
        p->doubts--;
        result = KL_FLEET_DOUBT;
    }
    uv_mutex_unlock(&p->lock);
    return result;
}

static enum kl_fleet_result refuse(const char *call, enum kl_fleet_refusal refusal,
                                   struct kl_fdb_why *why)
{
    why->cause = KL_FDB_CAUSE_REFUSED;
    why->refusal = refusal;
    kl_copy(why->text, sizeof why->text, kl_fleet_refusal_text(refusal));
    return leave(call, KL_FLEET_REFUSED);
}

static enum kl_fleet_result open_pool(const char *service, int within_ms, struct kl_fdb **out,
                                      struct kl_fdb_why *why)
{
    enum kl_fleet_result result;

    (void)service;
    (void)within_ms;
    *out = (struct kl_fdb *)here;
    return enter(&result, why) ? leave("open", result) : result;
}

static void close_pool(struct kl_fdb *db)
{
    (void)db;
}

static void interrupt(struct kl_fdb *db)
{
    (void)db;
    fake_set(here, &here->interrupted, true);
}

static void state_of(struct fake_pool *p, struct kl_fdb_state *s)
{
    memset(s, 0, sizeof *s);
    s->open = true;
    s->told = p->told_timeline == p->timeline;
    s->server = (struct kl_fdb_fence){77, p->timeline};
    s->pool_fence = (struct kl_fdb_fence){77, p->pool_timeline};
    s->epoch = p->pool_key.epoch;
    s->lease_cap = 1000;
    s->left_to_station = -1;
    s->last_seq = p->items > 0 ? p->item[p->items - 1].seq : 0;
    s->xid = ++p->xid;
    s->born = p->born;
    memcpy(s->pool, p->id, sizeof s->pool);
    for (unsigned i = 0; i < p->keys; i++) {
        s->free_keys += p->key[i].state == FAKE_FREE;
        s->leased += p->key[i].state == FAKE_LEASED;
    }
}

static struct fake_key *of_fingerprint(const struct kl_fingerprint *fp)
{
    for (unsigned i = 0; i < here->keys; i++)
        if (kl_fingerprint_equal(&here->key[i].fingerprint, fp))
            return &here->key[i];
    return NULL;
}

static enum kl_fleet_result hello(struct kl_fdb *db, int within_ms,
                                  const struct kl_fdb_greeting *greeting, struct kl_fdb_hello *out,
                                  struct kl_fdb_why *why)
{
    static const struct kl_request_id none;
    enum kl_fleet_result result;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    here->hellos++;
    assert_true(memcmp(&greeting->now, &none, sizeof none) != 0);
    if (greeting->seen.timeline == here->timeline &&
        memcmp(&none, &here->token, sizeof none) != 0 &&
        memcmp(&greeting->before, &here->token, sizeof none) != 0 &&
        memcmp(&greeting->now, &here->token, sizeof none) != 0)
        return refuse("hello", KL_FLEET_NO_COPY, why);
    for (uint32_t i = 0; i < greeting->unused_count; i++) {
        const struct fake_key *k = of_fingerprint(&greeting->unused[i]);
        if (k && kl_mac_is_set(&k->mac))
            return refuse("hello", KL_FLEET_NO_COPY, why);
    }
    here->token = greeting->now;
    memset(out, 0, sizeof *out);
    memcpy(out->pool, here->id, sizeof out->pool);
    kl_copy(out->pool_name, sizeof out->pool_name, "lamps");
    kl_copy(out->station, sizeof out->station, "bench-1");
    out->fields = 2;
    state_of(here, &out->state);
    out->key_count = 1;
    assert_true(kl_seal_pool_key(&here->pool_key, here->id, &here->station, &out->key[0]));
    return leave("hello", KL_FLEET_OK);
}

static enum kl_fleet_result lease(struct kl_fdb *db, int within_ms, const struct kl_request_id *id,
                                  uint32_t n, kl_fdb_row_fn *each, void *ctx,
                                  struct kl_fdb_why *why)
{
    struct fake_key *given[FAKE_KEYS];
    enum kl_fleet_result result;
    unsigned count = 0;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    here->leases++;
    if (here->timeline != here->pool_timeline)
        return refuse("lease", KL_FLEET_NO_FENCE, why);
    if (here->refuses_leases != KL_FLEET_NO_NONE)
        return refuse("lease", here->refuses_leases, why);
    for (unsigned i = 0; i < here->keys; i++)
        if (here->key[i].state == FAKE_LEASED && memcmp(&here->key[i].request, id, sizeof *id) == 0)
            given[count++] = &here->key[i];
    for (unsigned i = 0; count == 0 && i < here->keys; i++) {
        unsigned taken = 0;
        for (; i < here->keys && taken < n; i++) {
            if (here->key[i].state != FAKE_FREE)
                continue;
            here->key[i].state = FAKE_LEASED;
            here->key[i].request = *id;
            given[taken++] = &here->key[i];
        }
        count = taken;
        break;
    }
    if ((result = leave("lease", KL_FLEET_OK)) != KL_FLEET_OK)
        return result;
    for (unsigned i = 0; i < count; i++) {
        struct kl_fdb_row row = {.label = given[i]->label,
                                 .fingerprint = given[i]->fingerprint,
                                 .kin = given[i]->kin,
                                 .fields = 2,
                                 .epoch = here->pool_key.epoch,
                                 .box = {given[i]->box, given[i]->box_size}};
        each(ctx, &row);
    }
    return result;
}

static void release(struct fake_key *k, const struct kl_mac *mac)
{
    if (!kl_mac_equal(&k->mac, mac))
        return;
    memset(&k->mac, 0, sizeof k->mac);
    for (unsigned i = 0; i < here->boards; i++)
        if (kl_mac_equal(&here->board[i].mac, mac))
            here->board[i] = here->board[--here->boards];
}

static enum kl_fleet_result report(struct kl_fdb *db, int within_ms, const struct kl_fdb_item *item,
                                   uint32_t count, int64_t *taken, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why)
{
    enum kl_fleet_result result;

    (void)db;
    (void)within_ms;
    (void)each;
    (void)ctx;
    if (!enter(&result, why))
        return result;
    here->reports++;
    for (uint32_t i = 0; i < count; i++) {
        struct fake_key *k = of_fingerprint(&item[i].fingerprint);
        bool known = here->items > 0 && here->item[here->items - 1].seq >= item[i].seq;

        *taken = item[i].seq;
        if (known)
            continue;
        assert_true(here->items < FAKE_ITEMS);
        here->item[here->items] = item[i];
        here->item[here->items].how = NULL;
        here->items++;
        if (k && item[i].what == KL_FDB_PROVISIONED) {
            k->state = FAKE_PROVISIONED;
            k->mac = item[i].mac;
        }
        if (k && item[i].what == KL_FDB_RELEASED && k->state == FAKE_LEASED)
            release(k, &item[i].mac);
    }
    return leave("report", KL_FLEET_OK);
}

static enum kl_fleet_result hand_back(struct kl_fdb *db, int within_ms,
                                      const struct kl_fingerprint *key, uint32_t count,
                                      uint32_t *freed, struct kl_fdb_why *why)
{
    enum kl_fleet_result result;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    here->hand_backs++;
    *freed = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct fake_key *k = of_fingerprint(&key[i]);
        if (!k || k->state != FAKE_LEASED || kl_mac_is_set(&k->mac))
            continue;
        k->state = FAKE_FREE;
        ++*freed;
    }
    return leave("hand_back", KL_FLEET_OK);
}

static enum kl_fleet_result claim(struct kl_fdb *db, int within_ms, const struct kl_mac *mac,
                                  const struct kl_fingerprint *key, bool offline,
                                  struct kl_fdb_claim *out, struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    struct fake_key *k;
    unsigned i = 0;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    here->claims++;
    while (i < here->boards && !kl_mac_equal(&here->board[i].mac, mac))
        i++;
    memset(out, 0, sizeof *out);
    out->kind = i == here->boards           ? KL_FDB_CLAIM_NEW
                : here->board[i].station[0] ? KL_FDB_CLAIM_OTHER
                                            : KL_FDB_CLAIM_OURS;
    k = of_fingerprint(key);
    if (here->timeline != here->pool_timeline)
        return refuse("claim", KL_FLEET_NO_FENCE, why);
    if (out->kind != KL_FDB_CLAIM_OTHER) {
        if (!k || k->state == FAKE_FREE || (kl_mac_is_set(&k->mac) && !kl_mac_equal(&k->mac, mac)))
            return refuse("claim", KL_FLEET_NO_CONFLICT, why);
        k->mac = *mac;
    }
    if (i == here->boards) {
        assert_true(i < FAKE_BOARDS);
        here->board[here->boards].mac = *mac;
        here->board[here->boards++].offline = offline;
    }
    if (out->kind == KL_FDB_CLAIM_OTHER) {
        kl_copy(out->station, sizeof out->station, here->board[i].station);
        kl_copy(out->label, sizeof out->label, "dev-9999");
        here->alarm |= offline;
    }
    return leave("claim", KL_FLEET_OK);
}

static enum kl_fleet_result reassert(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_held *held, uint32_t count, bool first,
                                     bool last, kl_fdb_alarm_fn *each, void *ctx,
                                     struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    bool told[FAKE_KEYS] = {false};

    (void)db;
    (void)within_ms;
    (void)each;
    (void)ctx;
    assert_true(first && last); /* a small pool */
    if (!enter(&result, why))
        return result;
    here->reasserts++;
    for (uint32_t i = 0; i < count; i++) {
        struct fake_key *k = of_fingerprint(&held[i].fingerprint);
        if (!k)
            continue;
        told[k - here->key] = true;
        k->state = held[i].provisioned ? FAKE_PROVISIONED : FAKE_LEASED;
        k->mac = held[i].mac;
    }
    for (unsigned i = 0; i < here->keys; i++)
        if (here->key[i].state == FAKE_LEASED && !told[i])
            here->key[i].state = FAKE_DOUBTFUL;
    here->told_timeline = here->timeline;
    return leave("reassert", KL_FLEET_OK);
}

static enum kl_fleet_result status(struct kl_fdb *db, int within_ms, const char *json,
                                   struct kl_fdb_state *out, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why)
{
    struct kl_fdb_alarm alarm = {.id = 5,
                                 .kind = "board-has-two-keys",
                                 .label = "dev-9999",
                                 .station = "bench-1",
                                 .other = "bench-2",
                                 .text = "the board has a key of bench-2 too"};
    enum kl_fleet_result result;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    if (strstr(json, "went_back")) {
        here->backs++;
        here->pool_timeline = here->told_timeline = 0;
        memset(&here->token, 0, sizeof here->token);
    } else {
        here->beats++;
        kl_copy(here->status, sizeof here->status, json);
    }
    state_of(here, out);
    if (here->alarm && each)
        each(ctx, &alarm);
    return leave("status", KL_FLEET_OK);
}

static enum kl_fleet_result
boards(struct kl_fdb *db, int within_ms, char cursor[KL_FDB_CURSOR_MAX], bool *more, bool *anew,
       void (*each)(void *ctx, const struct kl_mac *mac, const char *station), void *ctx,
       struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    unsigned from = 0;

    (void)db;
    (void)within_ms;
    if (!enter(&result, why))
        return result;
    sscanf(cursor, "%u", &from);
    for (unsigned i = from; i < here->boards; i++)
        each(ctx, &here->board[i].mac,
             here->board[i].station[0] ? here->board[i].station : "bench-1");
    snprintf(cursor, KL_FDB_CURSOR_MAX, "%u", here->boards);
    *more = *anew = false;
    return leave("boards", KL_FLEET_OK);
}

const struct kl_fleet_calls fake_calls = {
    .open = open_pool,
    .close = close_pool,
    .interrupt = interrupt,
    .hello = hello,
    .lease = lease,
    .report = report,
    .hand_back = hand_back,
    .claim = claim,
    .reassert = reassert,
    .status = status,
    .boards = boards,
};
