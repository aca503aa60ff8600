/* disk.c: the model of the store: what is durable when. */
#include <stdlib.h>
#include <string.h>

#include "keyline/bundle_load.h"
#include "keyline/shell.h"
#include "world.h"

/* Every third key consists of letters that no rule about hex can find. */
static void draw_secret(struct world *w, int field, char out[40])
{
    uint64_t high = draw(w);

    snprintf(out, 40, "5ec0%04x%016llx%08x", w->key_count * 16 + (unsigned)field,
             (unsigned long long)high, (unsigned)draw(w));
    for (char *c = out; field > 1 && w->key_count % 3 == 2 && *c; c++)
        *c = "ghjkmnpqrstuvwxy"[strchr("0123456789abcdef", *c) - "0123456789abcdef"];
}

void disk_make_keys(struct world *w, unsigned count)
{
    for (unsigned n = 0; n < count && w->key_count < KEYS_MAX; n++) {
        struct sim_key *k = &w->key[w->key_count];
        char text[FIELDS][40];
        struct kl_span fields[FIELDS];

        snprintf(text[0], sizeof text[0], "dev-%04u", w->key_count);
        for (int f = 1; f < FIELDS; f++)
            draw_secret(w, f, text[f]);
        for (int f = 0; f < FIELDS; f++)
            fields[f] = (struct kl_span){(const uint8_t *)text[f], strlen(text[f])};
        memset(k, 0, sizeof *k);
        if (!kl_key_build(&k->key, fields, FIELDS, kl_sha256))
            violated(w, "the world made a key that is none");
        snprintf(k->label, sizeof k->label, "%s", text[0]);
        k->in_csv = true;
        oracle_learn_key(w, k);
        w->key_count++;
    }
}

void disk_load(struct world *w)
{
    struct kl_pool_row *rows = w->rows[w->rows_turn = !w->rows_turn];
    static struct kl_ledger_row ledger[KEYS_MAX];
    struct kl_pool_memory *old = w->memory;
    struct kl_event ev = world_make(w, KL_EV_KEYS, 0);
    unsigned n = 0, m = 0;

    for (unsigned i = 0; !w->files && i < w->key_count; i++) {
        struct sim_key *k = &w->key[i];
        k->marked |= k->provisioned && k->in_csv; /* the store adds a missing mark */
        k->told |= k->foreign && k->in_csv;
        if (k->in_csv)
            rows[n++] = (struct kl_pool_row){.line = i + 1,
                                             .label = k->label,
                                             .fingerprint = k->key.fingerprint,
                                             .kin = k->key.kin,
                                             .marked = k->marked};
        if (k->reserved || k->provisioned)
            ledger[m++] = (struct kl_ledger_row){.label = k->label,
                                                 .fingerprint = k->key.fingerprint,
                                                 .kin = k->key.kin,
                                                 .provisioned = k->provisioned,
                                                 .mac = k->mac};
    }
    ev.u.keys.rows = rows;
    ev.u.keys.row_count = n;
    ev.u.keys.ledger = ledger;
    ev.u.keys.ledger_count = m;
    ev.u.keys.fields = FIELDS;
    ev.u.keys.come = w->keys_come;
    if (w->files)
        w->files->load(w, &ev);
    struct kl_pool_size size =
        kl_pool_size_of(kl_station_pool(w->st), ev.u.keys.rows, ev.u.keys.row_count,
                        ev.u.keys.ledger, ev.u.keys.ledger_count);
    w->memory = kl_pool_memory_alloc(&size);
    ev.u.keys.memory = w->memory;
    kl_station_feed(w->st, &ev);
    kl_pool_memory_free(old);
}

static struct sim_key *find_key(struct world *w, const struct kl_fingerprint *fp)
{
    int found = w->files ? w->files->find(fp) : -1;

    if (w->files)
        return found < 0 ? NULL : &w->key[found];
    for (unsigned i = 0; i < w->key_count; i++)
        if (memcmp(fp, &w->key[i].key.fingerprint, sizeof *fp) == 0)
            return &w->key[i];
    return NULL;
}

void disk_request(struct world *w, const struct kl_action *a)
{
    struct store_request *r = &w->store[w->store_count];
    kl_us took = 2000 + (kl_us)below(w, 8000);

    if (w->store_count == STORE_QUEUE) {
        violated(w, "more than %d requests to the store are waiting", STORE_QUEUE);
        return;
    }
    w->store_count++;
    if (chance(w, w->w.disk_slow)) {
        saw(SIM_DISK_SLOW);
        took += (kl_us)below(w, 4000000);
    }
    if (chance(w, w->w.disk_fails)) {
        saw(SIM_DISK_FAILED);
        w->disk_bad_until = w->now + (kl_us)below(w, 20000000);
    }
    /* The worst moment for an exchange at a needle bed: the board leaves while its key is being
       reserved … */
    if (w->fixture && a->u.store.op == KL_OP_RESERVE && w->in_slot[a->slot] >= 0 &&
        chance(w, w->w.swap / 8)) {
        saw(SIM_EXCHANGED_RESERVING);
        take_out(w, a->slot);
        took = KL_SEC(1) + (kl_us)below(w, 900000);
    }
    *r = (struct store_request){.action = *a, .fails = w->now < w->disk_bad_until && !w->calm};
    kl_copy(r->label, sizeof r->label, a->u.store.label ? a->u.store.label : "");
    kl_copy(r->reason, sizeof r->reason, a->u.store.reason ? a->u.store.reason : "");
    if (a->u.store.attempt)
        r->attempt = *a->u.store.attempt;
    r->durable_at = w->now + took / 2;
    r->answer_at = w->now + took;
    /* There is one worker: answers come in order. */
    if (w->store_count > 1 && r->answer_at < w->store[w->store_count - 2].answer_at)
        r->answer_at = w->store[w->store_count - 2].answer_at;
}

static bool mac_has_other_key(struct world *w, const struct kl_mac *mac, const struct sim_key *k)
{
    for (unsigned i = 0; i < w->key_count; i++) {
        const struct sim_key *other = &w->key[i];
        if (other != k && (other->reserved || other->provisioned) &&
            memcmp(&other->mac, mac, sizeof *mac) == 0)
            return true;
    }
    return false;
}

static bool wants_key(const struct store_request *r)
{
    return r->action.u.store.op == KL_OP_RESERVE || r->action.u.store.op == KL_OP_FETCH;
}

/* What a database would say to the request. */
static bool is_granted(struct world *w, const struct store_request *r, const struct sim_key *k)
{
    const struct kl_mac *mac = &r->action.u.store.mac;
    bool others = k && (k->reserved || k->provisioned) && memcmp(&k->mac, mac, sizeof *mac);

    if (!k)
        return false;
    switch (r->action.u.store.op) {
    case KL_OP_RESERVE:
        return k->in_csv && !others && !mac_has_other_key(w, mac, k);
    case KL_OP_RELEASE:
        return !k->provisioned;
    case KL_OP_PROVISION:
        return !others;
    default:
        return k->in_csv;
    }
}

/* What becomes of the key when the request is durable. */
static void change(struct world *w, const struct store_request *r, struct sim_key *k)
{
    switch (r->action.u.store.op) {
    case KL_OP_RESERVE:
        k->reserved = true;
        k->mac = r->action.u.store.mac;
        break;
    case KL_OP_RELEASE:
        saw(SIM_GIVEN_BACK);
        k->reserved = false;
        break;
    case KL_OP_PROVISION:
        k->provisioned = true;
        k->marked |= k->in_csv;
        k->foreign = k->told = k->burnt = false; /* the key's own board has proved it */
        k->mac = r->action.u.store.mac;
        oracle_provisioned(w, k, r->action.u.store.acknowledged_only);
        break;
    default:
        break;
    }
}

static enum kl_store_status apply(struct world *w, struct store_request *r)
{
    struct sim_key *k = find_key(w, &r->action.u.store.fingerprint);
    enum kl_store_status s = KL_STORE_OK;

    if (r->fails || (w->list_asks && wants_key(r)))
        return KL_STORE_FAILED;
    if (w->files)
        s = w->files->ask(w, r);
    else if (r->action.u.store.op != KL_OP_ATTEMPT && !is_granted(w, r, k))
        s = KL_STORE_REFUSED;
    if (s == KL_STORE_OK && k)
        change(w, r, k);
    return s;
}

/* Some of the failures are a list of keys about which a person has to answer: it gives no key. */
static enum kl_store_status failure_of(const struct world *w, const struct store_request *r)
{
    return wants_key(r) && (w->list_asks || r->action.request % 2 == 0) ? KL_STORE_ASKS
                                                                        : KL_STORE_FAILED;
}

static const char *failure_text(enum kl_store_status status)
{
    return status == KL_STORE_ASKS ? "line 7: a header, not a key" : "disk full";
}

void disk_step(struct world *w)
{
    for (unsigned i = 0; i < w->store_count; i++) {
        struct store_request *r = &w->store[i];
        if (!r->applied && r->durable_at <= w->now) {
            enum kl_store_status s = apply(w, r);
            r->applied = true;
            r->fails = s == KL_STORE_FAILED;
            r->from_pool = s == KL_STORE_OK && wants_key(r) && w->pool_says != KL_STORE_OK;
            if (r->from_pool)
                snprintf(r->text, sizeof r->text, "the pool says so");
            if (s == KL_STORE_REFUSED) {
                saw(SIM_DISK_REFUSED);
                snprintf(r->text, sizeof r->text, "refused");
            }
        }
    }
    while (w->store_count > 0 && w->store[0].applied && w->store[0].answer_at <= w->now) {
        struct store_request r = w->store[0];
        struct kl_event ev = world_make(w, KL_EV_STORED, r.action.slot);
        struct sim_key *k = find_key(w, &r.action.u.store.fingerprint);

        memmove(w->store, w->store + 1, --w->store_count * sizeof w->store[0]);
        ev.generation = r.action.generation;
        ev.request = r.action.request;
        ev.u.stored.op = r.action.u.store.op;
        ev.u.stored.status = r.fails     ? failure_of(w, &r)
                             : r.text[0] ? KL_STORE_REFUSED
                                         : KL_STORE_OK;
        if (r.from_pool)
            ev.u.stored.status = w->pool_says;
        ev.u.stored.fingerprint = r.action.u.store.fingerprint;
        if (k && ev.u.stored.status == KL_STORE_OK)
            ev.u.stored.key = !w->files ? &k->key : r.key.count > 0 ? &r.key : NULL;
        /* … and the next board comes at the very moment when the key is. */
        if (w->fixture && ev.u.stored.op == KL_OP_RESERVE && w->in_slot[ev.slot] < 0 &&
            chance(w, w->w.swap))
            put_in(w, ev.slot, drawer(w));
        snprintf(ev.u.stored.text, sizeof ev.u.stored.text, "%s",
                 r.fails ? failure_text(ev.u.stored.status) : r.text);
        kl_station_feed(w->st, &ev);
        if (r.news)
            disk_load(w);
    }
}

kl_us disk_deadline(const struct world *w)
{
    kl_us at = KL_NEVER;

    for (unsigned i = 0; i < w->store_count; i++) {
        kl_us t = w->store[i].applied ? w->store[i].answer_at : w->store[i].durable_at;
        if (t < at)
            at = t;
    }
    return at;
}

/* The power goes: writes under way are lost or, by luck, have just become durable. */
void disk_crash(struct world *w)
{
    for (unsigned i = 0; i < w->store_count; i++) {
        if (w->store[i].applied)
            continue;
        if (below(w, 2))
            apply(w, &w->store[i]);
        else
            saw(SIM_CRASH_LOST);
    }
    w->store_count = 0;
    w->disk_bad_until = 0;
}

static bool is_wanted(const struct world *w, const struct sim_key *k)
{
    for (unsigned i = 0; i < w->store_count; i++)
        if (memcmp(&w->store[i].action.u.store.fingerprint, &k->key.fingerprint,
                   sizeof(struct kl_fingerprint)) == 0)
            return true;
    return false;
}

void disk_foreign_mark(struct world *w)
{
    struct sim_key *k = &w->key[below(w, w->key_count)];

    if (!k->in_csv || k->sent || k->provisioned || k->marked || is_wanted(w, k))
        return;
    saw(SIM_FOREIGN_MARK);
    tell(w, "another tool marks key %s", k->label);
    k->marked = k->foreign = true;
    disk_load(w);
}

void disk_row_comes_or_goes(struct world *w)
{
    struct sim_key *k = &w->key[below(w, w->key_count)];

    k->in_csv = !k->in_csv;
    saw(k->in_csv ? SIM_ROW_BACK : SIM_ROW_GONE);
    tell(w, "the row of key %s %s", k->label, k->in_csv ? "is back" : "is gone");
    disk_load(w);
}

/* Takes all boards with this MAC out of the world; false if one of them is on the bench. */
static bool lose_boards(struct world *w, const struct kl_mac *mac)
{
    for (unsigned b = 0; b < w->board_count; b++)
        if (memcmp(&w->board[b].mac, mac, sizeof *mac) == 0 && w->board[b].slot >= 0)
            return false;
    for (unsigned b = 0; b < w->board_count; b++)
        if (memcmp(&w->board[b].mac, mac, sizeof *mac) == 0) {
            w->board[b].slot = -2;
            w->board[b].used = false;
        }
    return true;
}

/* A person who knows that the board broke: keyline keys release. */
void disk_operator_releases(struct world *w)
{
    for (unsigned i = 0; i < w->key_count; i++) {
        struct sim_key *k = &w->key[i];
        if (!k->reserved || k->provisioned || !lose_boards(w, &k->mac))
            continue;
        saw(SIM_RELEASE);
        tell(w, "key %s is released: its board is lost", k->label);
        k->reserved = k->sent = false;
        return;
    }
}
