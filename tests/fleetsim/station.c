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
        .free = free_keys(&s->disk), .per_hour = 5, .history = s->disk.told_of};
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
    KL_ASSERT(d->told_of < HISTORY);
    d->ledger[key] = PROVISIONED;
    d->mac[key] = board;
    d->history[d->told_of++] = key;
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
    d->agreed[key] = false;
    return true;
}

static void look_at_board(struct world *w, struct station *s, unsigned slot)
{
    struct disk *d = &s->disk;
    int board = s->slot[slot].board, shown = w->board[board].key, own = own_key(d, board);
    struct kl_mac mac = mac_of(board);
    if (shown != NOBODY && own == shown)
        prove(w, s, board, shown);
    if (shown != NOBODY) { /* another's or an unknown key: the station gives it none */
        s->slot[slot].phase = SLOT_RESTS;
    } else if (reserve(s, slot)) {
        int key = s->slot[slot].key;
        bool known = d->ledger[key] == PROVISIONED || d->agreed[key];
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
        d->agreed[key] = true;
        kl_fleet_withdraw(&s->fleet, slot);
        s->slot[slot].phase = SLOT_SENDS;
        break;
    case KL_FLEET_UNCHECKED:
        if (s->offline == 0)
            wrong(w, "a board went on without the database, though it was to wait");
        if (d->barred != KL_FLEET_NO_NONE)
            wrong(w, "a board went on at a station that is barred");
        w->agreed_to[key] = s->slot[slot].board;
        d->unchecked[s->slot[slot].board] = d->agreed[key] = true;
        kl_fleet_keep_unchecked(&s->fleet, slot);
        s->slot[slot].unchecked = w->board[s->slot[slot].board].unchecked = true;
        w->met[MET_UNCHECKED]++;
        break;
    case KL_FLEET_MAY_NOT:
        w->met[MET_OTHERS_BOARD]++;
        kl_fleet_withdraw(&s->fleet, slot);
        d->ledger[key] = NOT_THERE;
        s->slot[slot].phase = SLOT_RESTS;
        break;
    case KL_FLEET_DISPUTED:
        w->met[MET_DISPUTED]++;
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
        if (!d->list[i] || d->ledger[i] != NOT_THERE)
            continue;
        d->list[i] = false;
        d->handing_back[i] = true;
    }
}

static struct kl_fleet_answer claim(struct world *w, struct station *s)
{
    int mac = s->call.mac.b[5] - 1, key = own_key(&s->disk, mac);
    if (key == NOBODY) /* the board left, and its reservation with it */
        return (struct kl_fleet_answer){.result = KL_FLEET_DOWN};
    struct kl_fleet_answer a = db_claim(&w->server, s->id, mac, key);
    if (a.result == KL_FLEET_OK && a.owner == KL_FLEET_OURS)
        w->agreed_to[key] = mac;
    return a;
}

static struct kl_fleet_answer ask_database(struct world *w, struct station *s)
{
    struct disk *d = &s->disk;
    switch (s->call.op) {
    case KL_FLEET_HELLO:
        return db_hello(&w->server, s->id, d);
    case KL_FLEET_REASSERT:
        return db_reassert(&w->server, s->id, d);
    case KL_FLEET_LEASE:
        return db_lease(&w->server, s->id, &s->call, s->rows);
    case KL_FLEET_CLAIM:
        return claim(w, s);
    case KL_FLEET_CHECK:
        return db_check(&w->server, s->id, first_unchecked(d), own_key(d, first_unchecked(d)));
    case KL_FLEET_REPORT:
        return db_report(&w->server, s->id, d, s->call.after);
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
        d->token = d->next_token;
        s->must_greet = false;
        break;
    case KL_FLEET_REASSERT:
        d->fence = w->server.fence;
        break;
    case KL_FLEET_LEASE:
        w->met[MET_LEASE]++;
        break;
    case KL_FLEET_CHECK:
        w->met[MET_DOUBLE_TOLD] += a->owner == KL_FLEET_OTHERS;
        d->unchecked[first_unchecked(d)] = false;
        break;
    case KL_FLEET_REPORT:
        d->reported = a->reported;
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

static void answer_database(struct world *w, struct station *s)
{
    struct kl_fleet_answer a = {.result = KL_FLEET_DOWN};
    tell(w, call_names[s->call.op], s->id, (int)w->server.fence, (int)s->disk.fence);
    uint64_t luck = w->healing || s->must_greet ? 99 : draw(w, 100);
    if (s->call.op == KL_FLEET_HAND_BACK)
        take_out(&s->disk);
    if (luck < 8 || (w->now < s->cut_until && !s->must_greet)) {
        kl_fleet_answered(&s->fleet, w->now, &a);
        return;
    }
    a = ask_database(w, s);
    if (luck < 20 && a.result == KL_FLEET_OK) {
        /* The commit's acknowledgement was lost, or it came with a warning. */
        w->met[MET_LEASE_REPEATED] += s->call.op == KL_FLEET_LEASE;
        w->met[MET_REPORT_REPEATED] += s->call.op == KL_FLEET_REPORT;
        memset(s->rows, 0, sizeof s->rows);
        a = (struct kl_fleet_answer){.result = KL_FLEET_DOUBT};
    }
    if (a.result == KL_FLEET_REFUSED) {
        s->must_greet = false;
        if (a.refusal == KL_FLEET_NO_COPY || a.refusal == KL_FLEET_NO_LOST)
            s->disk.barred = a.refusal;
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
    if (s->call.op == KL_FLEET_HELLO)
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
