/* station.c: a station above keyline/fleet.h: its disk, its slots, its calls. See model.h. */
#include <string.h>

#include "model.h"

static const char *const call_names[] = {"nothing", "hello",  "reassert", "remember",
                                         "lease",   "keep",   "claim",    "check",
                                         "report",  "status", "hand back"};

static struct kl_mac mac_of(int board)
{
    return (struct kl_mac){{2, 0, 0, 0, 0, (uint8_t)(board + 1)}};
}

static uint32_t free_keys(const struct disk *d)
{
    uint32_t n = 0;
    for (int i = 0; i < KEYS; i++)
        n += d->list[i] && d->ledger[i] == NOT_THERE;
    return n;
}

bool is_unused(const struct disk *d, int key)
{
    return d->list[key] && d->ledger[key] == NOT_THERE && !d->ever_agreed[key];
}

bool is_untouched(const struct disk *d, int key)
{
    return d->list[key] && !d->ever_reserved[key];
}

bool is_agreed(const struct disk *d, int key)
{
    bool released = false;
    for (unsigned i = d->agreed_at[key]; i < d->entries; i++)
        released |= d->history[i].what == WAS_RELEASED && d->history[i].key == key;
    return d->agreed_to[key] == d->mac[key] + 1 && !released;
}

static void note(struct disk *d, int what, int key)
{
    KL_ASSERT(d->entries < HISTORY);
    d->history[d->entries].what = what;
    d->history[d->entries].key = key;
    d->history[d->entries++].mac = d->mac[key];
}

static uint32_t unchecked(const struct disk *d)
{
    uint32_t n = 0;
    for (int i = 0; i < BOARDS; i++)
        n += d->unchecked[i];
    return n;
}

static void tell_bench(struct station *s)
{
    struct kl_fleet_bench bench = {
        .free = free_keys(&s->disk), .per_hour = 5, .history = s->disk.entries};
    kl_fleet_tell_bench(&s->fleet, &bench);
}

void station_start(struct world *w, struct station *s)
{
    const struct disk *d = &s->disk;
    struct kl_fleet_config config = {.slots = SLOTS, .lease_max = 6, .offline = s->offline};
    struct kl_fleet_memory memory = {
        .requested = d->requested,
        .request = d->request,
        .count = d->count,
        .reported = d->reported,
        .unchecked = unchecked(d),
        .barred = d->barred,
        .silent = d->heard == KL_NEVER ? KL_NEVER : w->now - d->heard,
    };
    kl_fleet_init(&s->fleet, &config, &memory, w->now);
    s->call.op = KL_FLEET_NOTHING;
    memset(s->rows, 0, sizeof s->rows);
    memset(s->slot, 0, sizeof s->slot);
    memset(s->unagreed, 0, sizeof s->unagreed);
    s->running = true;
    tell_bench(s);
}

/* ---- boards ---- */

static int own_key(const struct disk *d, int board)
{
    for (int i = 0; i < KEYS; i++)
        if (d->ledger[i] != NOT_THERE && d->mac[i] == board)
            return i;
    return NOBODY;
}

static int free_key(const struct disk *d)
{
    for (int i = 0; i < KEYS; i++)
        if (d->list[i] && d->ledger[i] == NOT_THERE)
            return i;
    return NOBODY;
}

/* The moment that can't be undone. */
static void send_key(struct world *w, struct station *s, unsigned slot)
{
    struct board *b = &w->board[s->slot[slot].board];
    int key = s->slot[slot].key, board = s->slot[slot].board;
    tell(w, "sends", s->id, key, board);
    if (w->agreed_to[key] != board)
        wrong(w, "a key was sent to a board of which the database never heard");
    if (w->sent_to[key] != NOBODY && w->sent_to[key] != board)
        wrong(w, "one key went to two boards");
    if (b->first_key != NOBODY && b->first_key != key) {
        b->doubled = true;
        /* A failover can forget the claims of a station that is lost, and nobody can tell again. */
        if (!b->unchecked && !s->slot[slot].unchecked && !w->station[b->first_station].destroyed)
            wrong(w, "a board got two keys, and both stations had asked");
    }
    w->met[MET_BOARD_MOVED] += b->released_by > 0 && b->released_by != s->id + 1;
    b->released_by = 0;
    if (b->first_key == NOBODY)
        b->first_station = s->id;
    b->unchecked |= s->slot[slot].unchecked;
    b->first_key = b->first_key == NOBODY ? key : b->first_key;
    w->sent_to[key] = board;
    b->key = key;
}

static void prove(struct world *w, struct station *s, int board, int key)
{
    struct disk *d = &s->disk;
    if (d->ledger[key] == PROVISIONED)
        return;
    d->ledger[key] = PROVISIONED;
    d->mac[key] = board;
    note(d, WAS_PROVISIONED, key);
    w->met[MET_PROVED]++;
}

static bool reserve(struct station *s, unsigned slot)
{
    struct disk *d = &s->disk;
    int key = own_key(d, s->slot[slot].board);
    if (key == NOBODY && (key = free_key(d)) == NOBODY)
        return false;
    s->slot[slot].key = key;
    if (d->ledger[key] != NOT_THERE)
        return true;
    d->ledger[key] = RESERVED;
    d->mac[key] = s->slot[slot].board;
    d->ever_reserved[key] = s->unagreed[key] = true;
    note(d, WAS_RESERVED, key);
    return true;
}

static void agree(struct station *s, int key, int board)
{
    s->disk.agreed_to[key] = board + 1;
    s->disk.agreed_at[key] = s->disk.entries;
    s->disk.ever_agreed[key] = true;
    s->unagreed[key] = false;
}

static void release(struct station *s, int key)
{
    note(&s->disk, WAS_RELEASED, key);
    s->disk.ledger[key] = NOT_THERE;
    s->unagreed[key] = false;
}

void station_release(struct world *w, struct station *s, int key)
{
    int board = s->disk.mac[key];
    struct board *b = &w->board[board];
    tell(w, "releases", s->id, key, board);
    w->met[MET_RELEASED]++;
    w->met[MET_RELEASED_WRONGLY] += b->key == key;
    release(s, key);
    b->doubled = false; /* one of the two is left */
    w->sent_to[key] = w->sent_to[key] == board ? NOBODY : w->sent_to[key];
    w->agreed_to[key] = w->agreed_to[key] == board ? NOBODY : w->agreed_to[key];
    if (b->first_key == key) {
        b->first_key = NOBODY;
        b->released_by = s->id + 1;
        b->unchecked = false;
    }
    tell_bench(s);
}

/* A key of this station that it had for nobody: the board has it, so it is the board's. */
static void adopt(struct world *w, struct station *s, int board, int key)
{
    struct board *b = &w->board[board];
    w->met[MET_ADOPTED]++;
    w->sent_to[key] = w->agreed_to[key] = board;
    if (b->first_key == NOBODY)
        b->first_station = s->id;
    b->first_key = b->first_key == NOBODY ? key : b->first_key;
    prove(w, s, board, key);
}

static void look_at_board(struct world *w, struct station *s, unsigned slot)
{
    struct disk *d = &s->disk;
    int board = s->slot[slot].board, shown = w->board[board].key, own = own_key(d, board);
    struct kl_mac mac = mac_of(board);
    if (shown != NOBODY && own == shown)
        prove(w, s, board, shown);
    else if (shown != NOBODY && own == NOBODY && d->list[shown] && d->ledger[shown] == NOT_THERE &&
             d->barred == KL_FLEET_NO_NONE)
        adopt(w, s, board, shown);
    if (shown != NOBODY) { /* another's or an unknown key: the station gives it none */
        s->slot[slot].phase = SLOT_RESTS;
    } else if (reserve(s, slot)) {
        int key = s->slot[slot].key;
        bool known = d->ledger[key] == PROVISIONED ||
                     (d->barred == KL_FLEET_NO_NONE && !s->unagreed[key] && is_agreed(d, key));
        if (!known)
            kl_fleet_ask(&s->fleet, slot, &mac, false);
        s->slot[slot].phase = known ? SLOT_SENDS : SLOT_ASKS;
    }
}

/* An agreement is durable before the first byte leaves. */
static void ask_again(struct world *w, struct station *s, unsigned slot)
{
    struct disk *d = &s->disk;
    int key = s->slot[slot].key;
    switch (kl_fleet_may(&s->fleet, slot, w->now)) {
    case KL_FLEET_MAY:
        agree(s, key, d->mac[key]);
        kl_fleet_withdraw(&s->fleet, slot);
        s->slot[slot].phase = SLOT_SENDS;
        break;
    case KL_FLEET_UNCHECKED:
        if (s->offline == 0)
            wrong(w, "a board went on without the database, though it was to wait");
        if (d->barred != KL_FLEET_NO_NONE)
            wrong(w, "a board went on at a station that is barred");
        w->agreed_to[key] = s->slot[slot].board;
        d->unchecked[s->slot[slot].board] = true;
        agree(s, key, d->mac[key]);
        kl_fleet_keep_unchecked(&s->fleet, slot);
        s->slot[slot].unchecked = w->board[s->slot[slot].board].unchecked = true;
        w->met[MET_UNCHECKED]++;
        break;
    case KL_FLEET_MAY_NOT:
        w->met[MET_OTHERS_BOARD]++;
        kl_fleet_withdraw(&s->fleet, slot);
        release(s, key);
        s->slot[slot].phase = SLOT_RESTS;
        break;
    case KL_FLEET_DISPUTED:
        w->met[MET_DISPUTED]++;
        if (!w->troubled)
            wrong(w, "a key is disputed for nothing");
        kl_fleet_withdraw(&s->fleet, slot);
        s->slot[slot].phase = SLOT_RESTS;
        break;
    default:
        break;
    }
}

static void slot_step(struct world *w, struct station *s, unsigned slot)
{
    switch (s->slot[slot].phase) {
    case SLOT_LOOKS:
        look_at_board(w, s, slot);
        break;
    case SLOT_ASKS:
        ask_again(w, s, slot);
        break;
    case SLOT_SENDS:
        send_key(w, s, slot);
        s->slot[slot].phase = SLOT_PROVES;
        break;
    case SLOT_PROVES:
        prove(w, s, s->slot[slot].board, s->slot[slot].key);
        s->slot[slot].phase = SLOT_RESTS;
        break;
    default:
        break;
    }
    tell_bench(s);
}

/* ---- calls ---- */

static struct kl_fleet_answer remember(struct world *w, struct station *s)
{
    uint32_t id = ++w->ids;
    memset(&s->disk.request, 0, sizeof s->disk.request);
    memcpy(&s->disk.request, &id, sizeof id);
    s->disk.requested = true;
    s->disk.count = s->call.count;
    return (struct kl_fleet_answer){.request = s->disk.request};
}

static struct kl_fleet_answer keep(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = {0};
    for (int i = 0; i < KEYS; i++) {
        if (!s->rows[i])
            continue;
        tell(w, "keeps", s->id, i, NOBODY);
        a.rows += !s->disk.list[i];
        s->disk.list[i] = true;
        s->disk.handing_back[i] = false;
        w->highest_leased = i > w->highest_leased ? i : w->highest_leased;
    }
    memset(s->rows, 0, sizeof s->rows);
    s->disk.requested = false;
    return a;
}

static int first_unchecked(const struct disk *d)
{
    for (int i = 0; i < BOARDS; i++)
        if (d->unchecked[i])
            return i;
    return 0;
}

static void take_out(struct disk *d)
{
    for (int i = 0; i < KEYS; i++) {
        if (!is_unused(d, i))
            continue;
        d->list[i] = false;
        d->handing_back[i] = true;
    }
}

/* The entry behind what was reported. */
static struct kl_fleet_answer report(struct world *w, struct station *s)
{
    struct disk *d = &s->disk;
    struct kl_fleet_answer a = db_report(&w->server, s->id, d, d->reported, s->pool_has);
    if (a.result != KL_FLEET_OK)
        return a;
    d->reported = s->pool_has = a.reported;
    return a;
}

static struct kl_fleet_answer tell_released(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = {.result = KL_FLEET_OK};
    int64_t last = 0;
    for (int64_t i = s->disk.reported; i < s->disk.entries; i++)
        if (s->disk.history[i].what == WAS_RELEASED)
            last = i + 1;
    while (s->disk.reported < last && a.result == KL_FLEET_OK)
        a = report(w, s);
    return a;
}

static struct kl_fleet_answer claim(struct world *w, struct station *s)
{
    int mac = s->call.mac.b[5] - 1, key = own_key(&s->disk, mac);
    struct kl_fleet_answer told = tell_released(w, s);
    if (told.result != KL_FLEET_OK)
        return told;
    if (key == NOBODY) /* the board left, and its reservation with it */
        return (struct kl_fleet_answer){.result = KL_FLEET_DOWN};
    struct kl_fleet_answer a = db_claim(&w->server, s->id, mac, key);
    if (a.result == KL_FLEET_OK && a.owner == KL_FLEET_OURS)
        w->agreed_to[key] = mac;
    return a;
}

/* It looks like the one that this station knows, and says less. */
static bool is_old(const struct world *w, const struct disk *d, uint32_t xid, unsigned last_seq)
{
    return d->fence == w->server.fence && (xid <= d->xid || last_seq < d->reported);
}

static struct kl_fleet_answer hello(struct world *w, struct station *s)
{
    struct server *server = &w->server;
    struct disk *d = &s->disk;
    unsigned seq = server->now.last_seq[s->id];
    bool old = is_old(w, d, server->now.xid + 1, seq), unnoticed = server->unnoticed;
    struct kl_fleet_answer a = db_hello(server, s->id, d);
    w->met[MET_COPY_NOTICED_BY_A_KEY] += unnoticed && !server->unnoticed;
    if (a.result == KL_FLEET_REFUSED && a.refusal == KL_FLEET_NO_COPY && old) {
        w->met[MET_COPY_NOTICED] += server->unnoticed;
        db_went_back(server);
        a = db_hello(server, s->id, d);
    }
    if (a.result == KL_FLEET_OK && seq > d->entries) /* more than was ever told from here */
        a = (struct kl_fleet_answer){.result = KL_FLEET_REFUSED, .refusal = KL_FLEET_NO_COPY};
    if (a.result != KL_FLEET_OK)
        return a;
    if (old) {
        w->met[MET_COPY_NOTICED] += server->unnoticed;
        db_went_back(server);
        a.may_lease = false;
    }
    if (old || seq < d->reported) {
        d->fence = 0; /* until it has heard what is here */
        a.same_database = false;
    }
    for (int64_t i = seq; i < d->reported; i++)
        w->met[MET_RELEASE_FORGOTTEN] += d->history[i].what == WAS_RELEASED;
    if (seq < d->reported)
        d->reported = seq;
    a.reported = d->reported;
    s->pool_has = seq;
    return a;
}

static struct kl_fleet_answer reassert(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = tell_released(w, s);
    return a.result == KL_FLEET_OK ? db_reassert(&w->server, s->id, &s->disk) : a;
}

/* Who released it meanwhile does not want it bound. */
static struct kl_fleet_answer check(struct world *w, struct station *s)
{
    int board = first_unchecked(&s->disk), key = own_key(&s->disk, board);
    if (key == NOBODY)
        return (struct kl_fleet_answer){.owner = KL_FLEET_OURS};
    return db_check(&w->server, s->id, board, key);
}

static struct kl_fleet_answer ask_database(struct world *w, struct station *s)
{
    struct disk *d = &s->disk;
    switch (s->call.op) {
    case KL_FLEET_HELLO:
        return hello(w, s);
    case KL_FLEET_REASSERT:
        return reassert(w, s);
    case KL_FLEET_LEASE:
        return db_lease(&w->server, s->id, &s->call, s->rows);
    case KL_FLEET_CLAIM:
        return claim(w, s);
    case KL_FLEET_CHECK:
        return check(w, s);
    case KL_FLEET_REPORT:
        if (d->reported > s->call.after)
            return (struct kl_fleet_answer){.reported = d->reported};
        return report(w, s);
    case KL_FLEET_STATUS:
        return db_status(&w->server, s->id);
    default:
        KL_ASSERT(s->call.op == KL_FLEET_HAND_BACK);
        return db_hand_back(&w->server, s->id, d->handing_back);
    }
}

/* What the station keeps of an answer, before its core hears it. */
static void keep_answer(struct world *w, struct station *s, const struct kl_fleet_answer *a)
{
    struct disk *d = &s->disk;
    switch (s->call.op) {
    case KL_FLEET_HELLO:
        for (int i = 0; i < KEYS && s->must_greet; i++)
            if (is_untouched(d, i) && w->sent_to[i] != NOBODY)
                wrong(w, "an old disk was let in");
        d->token = d->next_token;
        d->next_token = 0;
        s->greeted = w->server.fence;
        d->xid = w->server.now.xid;
        s->must_greet = false;
        break;
    case KL_FLEET_STATUS:
        d->xid = w->server.now.xid;
        break;
    case KL_FLEET_REASSERT:
        d->fence = s->greeted;
        break;
    case KL_FLEET_LEASE:
        w->met[MET_LEASE]++;
        break;
    case KL_FLEET_CHECK:
        w->met[MET_DOUBLE_TOLD] += a->owner == KL_FLEET_OTHERS;
        d->unchecked[first_unchecked(d)] = false;
        break;
    case KL_FLEET_HAND_BACK:
        memset(d->handing_back, 0, sizeof d->handing_back);
        w->met[MET_HANDED_BACK]++;
        break;
    default:
        break;
    }
    if (s->fleet.may_lease)
        d->heard = w->now;
}

/* An old copy of the database is noticed by the first that calls, if that one has heard of it since
   the copy was made, or holds a key that it has forgotten. The others have to wait for that:
   docs/fleet.md says so to people. */
static bool is_kept_away(const struct world *w, const struct station *s)
{
    return w->server.unnoticed &&
           (s->disk.fence != w->server.fence || s->disk.xid <= w->server.now.xid) &&
           !db_has_forgotten(&w->server, s->id, &s->disk);
}

static void answer_database(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = {.result = KL_FLEET_DOWN};
    tell(w, call_names[s->call.op], s->id, (int)w->server.fence, (int)s->disk.fence);
    uint64_t luck = w->healing || s->must_greet ? 99 : draw(w, 100);
    if (s->call.op == KL_FLEET_HAND_BACK)
        take_out(&s->disk);
    if (luck < 8 || s->broken || is_kept_away(w, s) || (w->now < s->cut_until && !s->must_greet)) {
        s->broken = false;
        kl_fleet_answered(&s->fleet, w->now, &a);
        return;
    }
    struct disk before = s->disk;
    a = ask_database(w, s);
    if (luck < 20 && a.result == KL_FLEET_OK) {
        /* The commit's acknowledgement was lost, or it came with a warning. */
        w->met[MET_LEASE_REPEATED] += s->call.op == KL_FLEET_LEASE;
        w->met[MET_REPORT_REPEATED] += s->call.op == KL_FLEET_REPORT;
        memset(s->rows, 0, sizeof s->rows);
        s->disk.reported = before.reported;
        s->disk.fence = before.fence;
        a = (struct kl_fleet_answer){.result = KL_FLEET_DOUBT};
    }
    if (a.result == KL_FLEET_REFUSED) {
        s->must_greet = false;
        if (a.refusal == KL_FLEET_NO_COPY || a.refusal == KL_FLEET_NO_LOST)
            s->disk.barred = a.refusal;
        if (a.refusal == KL_FLEET_NO_COPY && !s->put_back)
            wrong(w, "a station was taken for a copy, and is none");
        w->met[MET_OLD_DISK_STOPPED] += a.refusal == KL_FLEET_NO_COPY;
    }
    if (a.result == KL_FLEET_OK)
        keep_answer(w, s, &a);
    if (s->call.op == KL_FLEET_HELLO || s->call.op == KL_FLEET_CHECK)
        a.left = unchecked(&s->disk);
    kl_fleet_answered(&s->fleet, w->now, &a);
}

static void answer_call(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = {.result = KL_FLEET_DOWN};
    bool local = s->call.op == KL_FLEET_REMEMBER || s->call.op == KL_FLEET_KEEP;
    if (!local) {
        answer_database(w, s);
    } else if (!w->healing && draw(w, 20) == 0) { /* the disk is full */
        kl_fleet_answered(&s->fleet, w->now, &a);
    } else {
        a = s->call.op == KL_FLEET_KEEP ? keep(w, s) : remember(w, s);
        kl_fleet_answered(&s->fleet, w->now, &a);
    }
    s->call.op = KL_FLEET_NOTHING;
    tell_bench(s);
}

static void begin_call(struct world *w, struct station *s)
{
    kl_fleet_next(&s->fleet, w->now, &s->call);
    /* One that was said once, without a certain answer, is said again. */
    if (s->call.op == KL_FLEET_HELLO && s->disk.next_token == 0)
        s->disk.next_token = ++w->ids;
}

void station_step(struct world *w, struct station *s)
{
    if (!s->running)
        return;
    uint64_t what = draw(w, SLOTS + 2);
    if (what < SLOTS && !s->must_greet)
        slot_step(w, s, (unsigned)what);
    else if (s->call.op == KL_FLEET_NOTHING)
        begin_call(w, s);
    else
        answer_call(w, s);
}

bool station_is_quiet(const struct station *s)
{
    if (!s->running || s->fleet.state == KL_FLEET_BARRED)
        return true;
    for (unsigned i = 0; i < SLOTS; i++)
        if (s->slot[i].phase != SLOT_EMPTY && s->slot[i].phase != SLOT_RESTS &&
            s->slot[i].phase != SLOT_ASKS)
            return false;
    return s->fleet.state == KL_FLEET_GONE;
}
