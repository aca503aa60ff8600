/* fleet_told.c: what the pool is told of this station's keys: results, all that it holds, what it
   gives back. */
#include <stdlib.h>
#include <string.h>

#include "adapters/store/fleet_history.h"
#include "fleet_hand.h"

/* ---- results ---- */

struct item_text {
    char how[64], bundle[80], chip[24], slot[KL_NAME_MAX], reason[KL_TEXT_MAX];
};

struct reporting {
    struct kl_fleet_hand *hand;
    struct kl_fdb_item item[KL_FDB_REPORT_MAX];
    struct item_text text[KL_FDB_REPORT_MAX];
    uint32_t count;
    int64_t last; /* entry that was looked at */
};

static bool what_of(const struct kl_fleet_entry *e, enum kl_fdb_what *out)
{
    static const struct {
        const char *word;
        enum kl_fdb_what what;
    } words[] = {
        {"reserved", KL_FDB_RESERVED},   {"provisioned", KL_FDB_PROVISIONED},
        {"adopted", KL_FDB_PROVISIONED}, {"released", KL_FDB_RELEASED},
        {"attempt", KL_FDB_ATTEMPT},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(e->what, words[i].word) != 0)
            continue;
        *out = words[i].what;
        return kl_mac_is_set(&e->mac) &&
               (*out == KL_FDB_ATTEMPT || kl_fingerprint_is_set(&e->fingerprint));
    }
    return false;
}

static void take_entry(void *ctx, const struct kl_fleet_entry *e)
{
    struct reporting *r = ctx;
    struct kl_fdb_item *item = &r->item[r->count];
    struct item_text *text = &r->text[r->count];
    enum kl_fdb_what what;

    r->last = e->id;
    if (!what_of(e, &what))
        return; /* what concerns this machine alone */
    kl_copy(text->how, sizeof text->how, what == KL_FDB_ATTEMPT ? e->result : e->how);
    kl_copy(text->bundle, sizeof text->bundle, e->bundle);
    kl_copy(text->chip, sizeof text->chip, e->chip);
    kl_copy(text->slot, sizeof text->slot, e->slot);
    kl_copy(text->reason, sizeof text->reason, e->reason);
    *item = (struct kl_fdb_item){
        .seq = e->id,
        .wall = e->wall,
        .after = r->count == 0 ? r->hand->pool_seq : 0,
        .what = what,
        .fingerprint = e->fingerprint,
        .mac = e->mac,
        .offline = kl_fleet_file_was_offline(r->hand->file, &e->mac),
        .how = text->how,
        .bundle = text->bundle[0] ? text->bundle : NULL,
        .chip = text->chip[0] ? text->chip : NULL,
        .slot = text->slot[0] ? text->slot : NULL,
        .reason = text->reason,
    };
    r->count++;
}

static enum kl_fleet_result send_some(struct kl_fleet_hand *h, struct reporting *r)
{
    enum kl_fleet_result result;
    int64_t taken = 0;
    char error[KL_TEXT_MAX];

    r->last = h->kept.reported;
    r->count = 0;
    if (!kl_fleet_history(h->ledger, h->kept.reported, KL_FDB_REPORT_MAX, take_entry, r, error))
        return kl_fleet_hand_failed(h, error);
    if (r->count == 0)
        return KL_FLEET_OK;
    result = h->calls->report(h->db, KL_FLEET_CALL_MS, r->item, r->count, &taken,
                              kl_fleet_hand_alarm, h, &h->why);
    if (result == KL_FLEET_OK)
        h->pool_seq = taken;
    return result;
}

enum kl_fleet_result kl_fleet_hand_report(struct kl_fleet_hand *h, int64_t after, int64_t *reported)
{
    enum kl_fleet_result result = KL_FLEET_OK;
    struct reporting *r;
    char error[KL_TEXT_MAX];

    *reported = h->kept.reported;
    if (h->kept.reported > after)
        return KL_FLEET_OK; /* told already, before a claim */
    r = calloc(1, sizeof *r);
    KL_ASSERT(r);
    r->hand = h;
    result = send_some(h, r);
    if (result == KL_FLEET_OK && r->last == after)
        result = kl_fleet_hand_failed(h, "the history is shorter than it was");
    if (result == KL_FLEET_OK) {
        h->kept.reported = *reported = r->last;
        kl_fleet_file_save(h->file, &h->kept, error); /* if not: it is told once more */
    }
    free(r);
    return result;
}

struct told {
    int64_t until;
    bool some;
};

static void look_for_told(void *ctx, const struct kl_fleet_entry *e)
{
    struct told *t = ctx;
    enum kl_fdb_what what;

    t->some |= e->id <= t->until && what_of(e, &what);
}

bool kl_fleet_hand_forgot(struct kl_fleet_hand *h, int64_t last_seq)
{
    struct told t = {.until = h->kept.reported};
    char error[KL_TEXT_MAX];

    return last_seq < t.until &&
           kl_fleet_history(h->ledger, last_seq, UINT32_MAX, look_for_told, &t, error) && t.some;
}

bool kl_fleet_hand_went_back(struct kl_fleet_hand *h, const struct kl_fdb_state *state)
{
    const struct kl_fleet_kept *k = &h->kept;

    if (k->timeline != state->server.timeline ||
        k->system_identifier != state->server.system_identifier ||
        !kl_fleet_hand_is_pool(h, state->pool))
        return false; /* it does not look the same */
    return (k->born != 0 && state->born != 0 && state->born != k->born) ||
           (state->xid > 0 && state->xid <= k->xid) || kl_fleet_hand_forgot(h, state->last_seq);
}

enum kl_fleet_result kl_fleet_hand_tell_went_back(struct kl_fleet_hand *h,
                                                  const struct kl_fdb_state *state)
{
    struct kl_fdb_state after;
    enum kl_fleet_result result;

    kl_fleet_hand_note(h, "ALARM: the pool's database knows less than it has said, or was told, "
                          "before: was an old copy put back? It hears all again");
    if (!kl_fdb_fence_equal(&state->server, &state->pool_fence))
        return KL_FLEET_OK; /* another station was first */
    result = h->calls->status(h->db, KL_FLEET_CALL_MS, "{\"went_back\":true}", &after,
                              kl_fleet_hand_alarm, h, &h->why);
    /* The same: it was closed in between. */
    if (result == KL_FLEET_REFUSED && h->why.refusal == KL_FLEET_NO_FENCE)
        result = KL_FLEET_OK;
    return result;
}

enum kl_fleet_result kl_fleet_hand_ledger_is_whole(struct kl_fleet_hand *h, int64_t last_seq)
{
    int64_t end = kl_fleet_history_end(h->ledger);

    if (end < 0)
        return kl_fleet_hand_failed(h, "the ledger can't be read");
    if (end >= last_seq)
        return KL_FLEET_OK;
    h->why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_REFUSED, .refusal = KL_FLEET_NO_COPY};
    kl_format(
        h->why.text, sizeof h->why.text,
        "the pool knows this station's history up to number %lld, and its ledger ends at %lld",
        (long long)last_seq, (long long)end);
    return KL_FLEET_REFUSED;
}

static void look_for_release(void *ctx, const struct kl_fleet_entry *e)
{
    *(bool *)ctx |= strcmp(e->what, "released") == 0;
}

enum kl_fleet_result kl_fleet_hand_tell_released(struct kl_fleet_hand *h)
{
    enum kl_fleet_result result = KL_FLEET_OK;
    char error[KL_TEXT_MAX];
    bool released = kl_fleet_history_end(h->ledger) != 0;
    int64_t reported;

    while (result == KL_FLEET_OK && released) {
        released = false;
        if (!kl_fleet_history(h->ledger, h->kept.reported, UINT32_MAX, look_for_release, &released,
                              error))
            return kl_fleet_hand_failed(h, error);
        if (released)
            result = kl_fleet_hand_report(h, h->kept.reported, &reported);
    }
    return result;
}

/* ---- all that is here ---- */

struct held {
    struct kl_fdb_held *item;
    uint32_t count, room;
};

static struct kl_fdb_held *add(struct held *a)
{
    if (a->count == a->room) {
        a->room = a->room == 0 ? 256 : 2 * a->room;
        a->item = reallocarray(a->item, a->room, sizeof *a->item);
        KL_ASSERT(a->item);
    }
    a->item[a->count] = (struct kl_fdb_held){.provisioned = false};
    return &a->item[a->count++];
}

bool kl_fleet_hand_agreed(struct kl_fleet_hand *h, const struct kl_fleet_pair *pair)
{
    int64_t at = kl_fleet_file_agreed_at(h->file, pair), released;

    if (at < 0)
        return false;
    released = kl_fleet_history_released(h->ledger, &pair->key, &pair->mac);
    return released >= 0 && released <= at;
}

struct held_by_ledger {
    struct held *held;
    struct kl_fleet_hand *hand;
};

/* Of a key that is reserved without an agreement, nothing was sent. */
static void add_of_ledger(void *ctx, const struct kl_fingerprint *fp, const struct kl_mac *mac,
                          const char *state)
{
    const struct held_by_ledger *l = ctx;
    struct kl_fleet_pair pair = {*fp, *mac};
    struct kl_fdb_held *item;

    if (strcmp(state, "released") == 0)
        return;
    item = add(l->held);
    item->fingerprint = *fp;
    item->provisioned = strcmp(state, "provisioned") == 0;
    if (item->provisioned || kl_fleet_hand_agreed(l->hand, &pair))
        item->mac = *mac;
}

static int by_fingerprint(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct kl_fingerprint));
}

static bool is_among(const struct kl_fdb_held *sorted, uint32_t count,
                     const struct kl_fingerprint *fp)
{
    return count > 0 && bsearch(fp, sorted, count, sizeof *sorted, by_fingerprint);
}

struct listing {
    struct held *held;
    uint32_t of_ledger; /* the first ones, sorted */
};

/* A marked row that the ledger does not know: nobody can say which board has it. */
static bool add_of_list(void *ctx, const struct kl_leased_row *row, bool spent)
{
    struct listing *l = ctx;

    if (!spent && !is_among(l->held->item, l->of_ledger, &row->fingerprint))
        add(l->held)->fingerprint = row->fingerprint;
    return true;
}

static bool add_leaving(struct kl_fleet_hand *h, struct held *a)
{
    struct kl_fingerprint *keys = calloc(KL_FDB_ROWS_MAX, sizeof *keys);
    uint32_t n;

    KL_ASSERT(keys);
    n = kl_fleet_file_leaving(h->file, keys, KL_FDB_ROWS_MAX);
    for (uint32_t i = 0; i < n; i++)
        add(a)->fingerprint = keys[i];
    free(keys);
    return true;
}

static enum kl_fleet_result tell_parts(struct kl_fleet_hand *h, const struct held *a)
{
    enum kl_fleet_result result = KL_FLEET_OK;
    uint32_t at = 0;

    do {
        uint32_t n = a->count - at < KL_FDB_ROWS_MAX ? a->count - at : KL_FDB_ROWS_MAX;
        result = h->calls->reassert(h->db, KL_FLEET_CALL_MS, n > 0 ? a->item + at : NULL, n,
                                    at == 0, at + n == a->count, kl_fleet_hand_alarm, h, &h->why);
        at += n;
    } while (result == KL_FLEET_OK && at < a->count);
    return result;
}

enum kl_fleet_result kl_fleet_hand_reassert(struct kl_fleet_hand *h)
{
    struct held a = {0};
    struct held_by_ledger ledger = {&a, h};
    struct listing l = {.held = &a};
    enum kl_fleet_result result = kl_fleet_hand_tell_released(h);
    char error[KL_TEXT_MAX];

    if (result != KL_FLEET_OK)
        return result;
    if (!kl_fleet_history_keys(h->ledger, add_of_ledger, &ledger, error)) {
        free(a.item);
        return kl_fleet_hand_failed(h, error);
    }
    l.of_ledger = a.count;
    if (a.count > 0)
        qsort(a.item, a.count, sizeof *a.item, by_fingerprint);
    if (!kl_list_each(&h->leased, h->list, add_of_list, &l, error)) {
        free(a.item);
        return kl_fleet_hand_failed(h, error);
    }
    add_leaving(h, &a);
    result = tell_parts(h, &a);
    free(a.item);
    if (result != KL_FLEET_OK)
        return result;
    h->kept.system_identifier = h->server.system_identifier;
    h->kept.timeline = h->server.timeline;
    return kl_fleet_file_save(h->file, &h->kept, error) ? KL_FLEET_OK
                                                        : kl_fleet_hand_failed(h, error);
}

/* ---- giving back ---- */

/* Keys that the ledger never heard of, or whose reservation ended without the pool's agreement:
   nothing of them was sent. */
struct unsent {
    struct kl_fleet_file *file; /* NULL: those too whose reservation ended are known */
    struct held *ledger;        /* sorted: the others that it knows */
    struct kl_fingerprint *key;
    uint32_t count, room;
};

static void add_ever(void *ctx, const struct kl_fingerprint *fp, const struct kl_mac *mac,
                     const char *state)
{
    struct unsent *u = ctx;

    (void)mac;
    if (!u->file || strcmp(state, "released") != 0 || kl_fleet_file_ever_agreed(u->file, fp))
        add(u->ledger)->fingerprint = *fp;
}

static bool add_unsent(void *ctx, const struct kl_leased_row *row, bool spent)
{
    struct unsent *u = ctx;

    if (spent || is_among(u->ledger->item, u->ledger->count, &row->fingerprint))
        return true;
    if (u->count == u->room) {
        u->room = u->room == 0 ? 256 : 2 * u->room;
        u->key = reallocarray(u->key, u->room, sizeof *u->key);
        KL_ASSERT(u->key);
    }
    u->key[u->count++] = row->fingerprint;
    return true;
}

static bool find_unsent(struct kl_fleet_hand *h, struct unsent *u, char error[KL_TEXT_MAX])
{
    if (!kl_fleet_history_keys(h->ledger, add_ever, u, error))
        return false;
    if (u->ledger->count > 0)
        qsort(u->ledger->item, u->ledger->count, sizeof *u->ledger->item, by_fingerprint);
    return kl_list_each(&h->leased, h->list, add_unsent, u, error);
}

bool kl_fleet_hand_unused(struct kl_fleet_hand *h, struct kl_fingerprint **keys, uint32_t *count,
                          char error[KL_TEXT_MAX])
{
    struct held ledger = {0};
    struct unsent u = {.ledger = &ledger};
    /* The pool may have bound a key that was released before its answer came. */
    bool ok = find_unsent(h, &u, error);

    free(ledger.item);
    if (!ok) {
        free(u.key);
        return false;
    }
    *keys = u.key;
    *count = u.count;
    return true;
}

/* Durable here first: from then on no board of this station gets them. */
static bool part_with(struct kl_fleet_hand *h, char error[KL_TEXT_MAX])
{
    struct held ledger = {0};
    struct unsent u = {.file = h->file, .ledger = &ledger};
    bool ok;

    ok = find_unsent(h, &u, error) &&
         (u.count == 0 || (kl_fleet_file_add_leaving(h->file, u.key, u.count, error) &&
                           kl_list_remove(&h->leased, h->list, u.key, u.count, error)));
    if (ok)
        h->list_rows -= u.count;
    free(ledger.item);
    free(u.key);
    return ok;
}

enum kl_fleet_result kl_fleet_hand_return_leaving(struct kl_fleet_hand *h)
{
    struct kl_fingerprint *keys = calloc(KL_FDB_ROWS_MAX, sizeof *keys);
    enum kl_fleet_result result = KL_FLEET_OK;
    char error[KL_TEXT_MAX];
    uint32_t n, freed;

    KL_ASSERT(keys);
    while (result == KL_FLEET_OK &&
           (n = kl_fleet_file_leaving(h->file, keys, KL_FDB_ROWS_MAX)) > 0) {
        result = h->calls->hand_back(h->db, KL_FLEET_CALL_MS, keys, n, &freed, &h->why);
        if (result == KL_FLEET_OK && !kl_fleet_file_left(h->file, keys, n, error))
            result = kl_fleet_hand_failed(h, error);
    }
    free(keys);
    return result;
}

enum kl_fleet_result kl_fleet_hand_give_back(struct kl_fleet_hand *h)
{
    char error[KL_TEXT_MAX];

    if (!part_with(h, error))
        return kl_fleet_hand_failed(h, error);
    return kl_fleet_hand_return_leaving(h);
}

bool kl_fleet_hand_tidy(struct kl_fleet_hand *h, char error[KL_TEXT_MAX])
{
    struct kl_fingerprint *keys = calloc(KL_FDB_ROWS_MAX, sizeof *keys);
    bool ok;

    KL_ASSERT(keys);
    ok = kl_list_remove(&h->leased, h->list, keys,
                        kl_fleet_file_leaving(h->file, keys, KL_FDB_ROWS_MAX), error);
    free(keys);
    return ok;
}
