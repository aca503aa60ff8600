/*
 * fleetsim.c: fleets at random: several stations on one pool whose database is failed over, cut off
 * and put back, and whose stations crash, come back with old disks, or are lost; people release
 * keys.
 *
 *     fleetsim LIVES [FIRST-SEED [STEPS [tell]]]
 *
 * Oracles: no key goes to two boards. No board gets two keys, but for one that went on without the
 * database (--offline), and that is told. A pool that is opened has no key as free that a station
 * holds. In the end no key that was sent is free, every board's key is in the pool under its MAC,
 * no board is a station's that holds nothing for it, and every kind of trouble has been met.
 *
 * A key that a person has released is taken for one that never came to its board, also where that
 * person was wrong: then only this person's word puts it on two boards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static const char *const met_names[MET_COUNT] = {
    "leases",
    "boards proved",
    "failovers that forgot a lease",
    "pools reopened",
    "stations lost",
    "old disks stopped",
    "boards that went on unchecked",
    "doubles told",
    "boards of other stations",
    "disputed keys",
    "leases repeated",
    "handed back",
    "crashes",
    "reports repeated",
    "leases cut to the cap",
    "keys released",
    "keys released wrongly",
    "releases that a database forgot",
    "boards that moved to another station",
    "keys adopted",
    "old copies of the database noticed",
    "old copies noticed by a key",
};

uint64_t draw(struct world *w, uint64_t below)
{
    w->draws++;
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 11) % below;
}

static bool telling;

void tell(const struct world *w, const char *what, int station, int key, int board)
{
    if (telling)
        printf("%9.1f  station %d  %-12s key %d board %d\n", (double)w->now / 1e6, station, what,
               key, board);
}

void wrong(struct world *w, const char *text)
{
    if (w->wrong == NULL)
        w->wrong = text;
}

static void tell_assertion(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
}

/* ---- what happens ---- */

static struct station *any_station(struct world *w)
{
    return &w->station[draw(w, STATIONS)];
}

static void put_in(struct world *w, struct station *s, unsigned slot, int board)
{
    w->board[board].at = s->id;
    s->slot[slot].board = board;
    s->slot[slot].unchecked = false;
    s->slot[slot].phase = SLOT_LOOKS;
}

static void plug(struct world *w)
{
    int board = (int)draw(w, BOARDS);
    struct station *s = any_station(w);
    /* What was released comes to another bench more often than by chance. */
    bool seeks = draw(w, 4) == 0;
    for (int i = 0; i < BOARDS && seeks && w->board[board].released_by == 0; i++)
        board = (board + 1) % BOARDS;
    unsigned slot = (unsigned)draw(w, SLOTS);
    if (!s->running || w->board[board].at != NOBODY || s->slot[slot].phase != SLOT_EMPTY)
        return;
    put_in(w, s, slot, board);
}

static void unplug(struct world *w)
{
    struct station *s = any_station(w);
    unsigned slot = (unsigned)draw(w, SLOTS);
    if (s->slot[slot].phase == SLOT_EMPTY)
        return;
    if (s->slot[slot].phase == SLOT_ASKS)
        kl_fleet_withdraw(&s->fleet, slot);
    w->board[s->slot[slot].board].at = NOBODY;
    s->slot[slot].phase = SLOT_EMPTY;
}

static void crash_station(struct world *w, struct station *s)
{
    int board[SLOTS];
    w->met[MET_CRASH]++;
    tell(w, "crashes", s->id, NOBODY, NOBODY);
    for (unsigned i = 0; i < SLOTS; i++)
        board[i] = s->slot[i].phase == SLOT_EMPTY ? NOBODY : s->slot[i].board;
    station_start(w, s);
    for (unsigned i = 0; i < SLOTS; i++)
        if (board[i] != NOBODY)
            put_in(w, s, i, board[i]);
}

static void crash(struct world *w)
{
    crash_station(w, any_station(w));
}

/* A board waits for the pool's word: the key is reserved, and nothing is agreed. */
static void crash_while_asking(struct world *w)
{
    struct station *s = any_station(w);
    for (unsigned i = 0; i < SLOTS; i++)
        if (s->slot[i].phase == SLOT_ASKS) {
            crash_station(w, s);
            return;
        }
}

static void take_image(struct world *w)
{
    struct station *s = any_station(w);
    s->image = s->disk;
    s->has_image = true;
}

static bool went_on_alone(const struct disk *d)
{
    for (int64_t i = d->reported; i < d->entries; i++)
        if (d->history[i].what == WAS_RELEASED)
            return true;
    for (int i = 0; i < BOARDS; i++)
        if (d->unchecked[i])
            return true;
    return false;
}

/* The whole disk, journal included. A database that forgets what was before could not tell, nor one
   that has not yet heard what was done without it: for that the journal is on another disk. */
static void put_back(struct world *w, struct station *s)
{
    if (!s->running || !s->has_image || w->server.unnoticed || s->image.fence != w->server.fence ||
        s->disk.fence != w->server.fence || s->image.token == 0 || s->fleet.heard == KL_NEVER ||
        went_on_alone(&s->disk))
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        if (s->slot[i].phase != SLOT_EMPTY)
            w->board[s->slot[i].board].at = NOBODY;
    tell(w, "old disk", s->id, NOBODY, NOBODY);
    w->troubled = true;
    s->disk = s->image;
    s->has_image = false;
    w->server.kept = 0;
    station_start(w, s);
    s->must_greet = s->put_back = true;
}

static void put_image_back(struct world *w)
{
    put_back(w, any_station(w));
}

/* At the worst moment: a key was bound to a board since, and no result of that is told; or one was
   released since. */
static void put_fresh_image_back(struct world *w)
{
    struct station *s = any_station(w);
    for (int i = 0; i < KEYS && s->has_image; i++)
        if ((is_untouched(&s->image, i) && w->server.now.key[i].mac != NOBODY &&
             w->server.now.last_seq[s->id] <= s->image.entries) ||
            (s->image.ledger[i] == RESERVED && s->disk.ledger[i] == NOT_THERE)) {
            put_back(w, s);
            return;
        }
}

/* While the database is asked about a board, another one takes its place. */
static void swap_board(struct world *w)
{
    struct station *s = any_station(w);
    unsigned slot = s->call.slot;
    int board = (int)draw(w, BOARDS);
    if (s->call.op != KL_FLEET_CLAIM || s->slot[slot].phase != SLOT_ASKS ||
        w->board[board].at != NOBODY)
        return;
    kl_fleet_withdraw(&s->fleet, slot);
    w->board[s->slot[slot].board].at = NOBODY;
    put_in(w, s, slot, board);
}

static bool greeting_is_due(const struct world *w)
{
    for (int i = 0; i < STATIONS; i++)
        if (w->station[i].running && w->station[i].must_greet)
            return true;
    return false;
}

static unsigned leased_keys(const struct world *w)
{
    unsigned n = 0;
    for (int i = 0; i < KEYS; i++)
        n += w->server.now.key[i].state == KEY_LEASED;
    return n;
}

static void fail_over(struct world *w)
{
    unsigned before = leased_keys(w);
    if (greeting_is_due(w))
        return;
    w->troubled = true;
    db_fail_over(&w->server, (unsigned)draw(w, FORGETS));
    tell(w, "failover", NOBODY, NOBODY, NOBODY);
    w->met[MET_FAILOVER_FORGOT_A_LEASE] += leased_keys(w) < before;
}

static bool may_notice(const struct world *w, const struct station *s, uint32_t xid)
{
    return s->running && !s->destroyed && s->disk.barred == KL_FLEET_NO_NONE &&
           s->disk.fence == w->server.fence && s->disk.xid > xid;
}

/* Somebody starts a copy of the server's data folder, on the same timeline. */
static void copy_back(struct world *w)
{
    struct server *server = &w->server;
    bool noticed = false;
    if (greeting_is_due(w) || server->unnoticed || server->kept == 0 ||
        server->now.fence_pool != server->fence)
        return;
    unsigned forgotten = 1 + (unsigned)draw(w, server->kept);
    const struct db *old = &server->before[forgotten - 1];
    for (int i = 0; i < STATIONS; i++)
        noticed |= may_notice(w, &w->station[i], old->xid) && !old->lost[i];
    if (!noticed || old->fence_pool != server->fence)
        return;
    w->troubled = true;
    db_copy_back(server, forgotten);
    tell(w, "old copy", NOBODY, (int)forgotten, NOBODY);
    for (int i = 0; i < STATIONS; i++) {
        w->station[i].broken = true;
        w->station[i].has_image = false; /* what tells it apart is forgotten */
    }
}

static bool is_on_bench(const struct station *s, int board)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (s->slot[i].phase != SLOT_EMPTY && s->slot[i].board == board)
            return true;
    return false;
}

/* One in eight does not look at the board. An old disk says so at the start, and nobody works with
 * it. */
static void release_key(struct world *w)
{
    struct station *s = any_station(w);
    int key = (int)draw(w, KEYS);
    bool looks = draw(w, 8) > 0;
    for (int i = 0; i < KEYS && s->disk.ledger[key] != RESERVED; i++)
        key = (key + 1) % KEYS;
    if (s->must_greet || s->disk.barred != KL_FLEET_NO_NONE || s->disk.ledger[key] != RESERVED ||
        is_on_bench(s, s->disk.mac[key]) || (looks && w->board[s->disk.mac[key]].key == key))
        return;
    station_release(w, s, key);
}

static void declare_lost(struct world *w, struct station *s)
{
    tell(w, "is lost", s->id, NOBODY, NOBODY);
    w->troubled = true;
    db_declare_lost(&w->server, s->id);
    if (!s->destroyed)
        w->met[MET_LOST]++;
    s->destroyed = true;
}

/* At least two stay. A lost one may run on, and not know. */
static void lose_station(struct world *w)
{
    struct station *s = any_station(w);
    unsigned left = 0;
    for (int i = 0; i < STATIONS; i++)
        left += !w->station[i].destroyed;
    if (left > 2 && !s->destroyed && !w->server.unnoticed)
        declare_lost(w, s);
}

/* Whatever a station holds is no other's to get. */
static void check_opened(struct world *w)
{
    for (int i = 0; i < STATIONS; i++)
        for (int key = 0; key < KEYS; key++)
            if (w->station[i].disk.list[key] && w->station[i].disk.barred == KL_FLEET_NO_NONE &&
                w->server.now.key[key].state == KEY_FREE)
                wrong(w, "the pool was opened with a key as free that a station holds");
}

static void owner_acts(struct world *w)
{
    if (w->server.fence == w->server.now.fence_pool)
        return;
    for (int i = 0; i < STATIONS; i++)
        if ((w->station[i].destroyed || w->station[i].disk.barred == KL_FLEET_NO_COPY) &&
            !w->server.now.lost[i])
            declare_lost(w, &w->station[i]);
    if (db_reopen(&w->server, w->highest_leased)) {
        check_opened(w);
        w->met[MET_REOPENED]++;
        tell(w, "reopened", NOBODY, w->highest_leased, NOBODY);
    }
}

static void erase_board(struct world *w)
{
    int board = (int)draw(w, BOARDS);
    if (w->board[board].at == NOBODY)
        w->board[board].key = NOBODY;
}

static void cut_network(struct world *w)
{
    any_station(w)->cut_until = w->now + KL_SEC(60) + (kl_us)draw(w, 4 * 3600 * 1000000ull);
}

static void happen(struct world *w)
{
    static const struct {
        unsigned weight;
        void (*act)(struct world *);
    } things[] = {
        {120, plug},
        {160, unplug},
        {4, crash},
        {20, take_image},
        {3, put_image_back},
        {3, fail_over},
        {1, lose_station},
        {12, owner_acts},
        {6, erase_board},
        {4, cut_network},
        {3, copy_back},
        {20, release_key},
        {20, put_fresh_image_back},
        {30, swap_board},
        {20, crash_while_asking},
    };
    uint64_t sum = 0, which;
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++)
        sum += things[i].weight;
    which = draw(w, 4 * sum);
    for (size_t i = 0; which < sum; i++) {
        if (which < things[i].weight) {
            things[i].act(w);
            return;
        }
        which -= things[i].weight;
        sum -= things[i].weight;
        if (i + 1 == sizeof things / sizeof things[0])
            return;
    }
}

static void step(struct world *w)
{
    w->now += 1 + (kl_us)draw(w, draw(w, 20) == 0 ? 120000000 : 2000000);
    happen(w);
    for (int i = 0; i < STATIONS; i++)
        for (uint64_t n = draw(w, 4); n > 0; n--)
            station_step(w, &w->station[i]);
}

/* ---- the end ---- */

static void heal(struct world *w)
{
    w->healing = true;
    for (int i = 0; i < STATIONS; i++) {
        w->station[i].cut_until = 0;
        for (unsigned slot = 0; slot < SLOTS; slot++)
            if (w->station[i].slot[slot].phase == SLOT_ASKS) {
                kl_fleet_withdraw(&w->station[i].fleet, slot);
                w->station[i].slot[slot].phase = SLOT_RESTS;
            }
    }
    for (unsigned n = 0; n < 4000; n++) {
        bool quiet = true;
        w->now += KL_SEC(1);
        owner_acts(w);
        for (int i = 0; i < STATIONS; i++) {
            struct station *s = &w->station[i];
            if (n == 1000 && s->running) {
                station_start(w, s);
                kl_fleet_part(&s->fleet);
            }
            station_step(w, s);
            quiet &= station_is_quiet(s);
        }
        if (quiet && n > 1000)
            return;
    }
    wrong(w, "a station does not come to rest");
}

static void check_key(struct world *w, int key)
{
    const struct db *db = &w->server.now;
    int mac = w->sent_to[key];
    if (db->key[key].state == KEY_FREE) {
        if (mac != NOBODY)
            wrong(w, "a key that was sent is free");
        for (int i = 0; i < STATIONS; i++)
            if (w->station[i].disk.list[key] && w->station[i].disk.barred == KL_FLEET_NO_NONE &&
                !w->station[i].destroyed)
                wrong(w, "a free key is on a station's list");
    }
    if (db->key[key].state == KEY_DONE && db->key[key].mac != mac)
        wrong(w, "the pool has a key under another board");
}

/* What a station proved, and may still say, is in the pool. */
static void check_results(struct world *w, const struct station *s)
{
    const struct db *db = &w->server.now;
    for (int i = 0; i < KEYS && !s->destroyed && s->disk.barred == KL_FLEET_NO_NONE; i++)
        if (s->disk.ledger[i] == PROVISIONED &&
            (db->key[i].state != KEY_DONE || db->key[i].mac != s->disk.mac[i]) && db->alarms == 0)
            wrong(w, "a result never came to the pool");
}

/* A board is a station's that has, or had, something to do with it. */
static void check_board(struct world *w, int board)
{
    const struct db *db = &w->server.now;
    int station = db->board[board];
    bool has = false;
    if (station == NOBODY || w->station[station].destroyed ||
        w->station[station].disk.barred != KL_FLEET_NO_NONE || db->alarms > 0)
        return;
    for (int i = 0; i < KEYS; i++)
        has |= w->station[station].disk.ledger[i] != NOT_THERE &&
               w->station[station].disk.mac[i] == board;
    if (!has)
        wrong(w, "a board is kept for a station that released its key");
}

static void check_end(struct world *w)
{
    unsigned doubles = 0;
    if (w->server.fence != w->server.now.fence_pool)
        wrong(w, "the pool was not reopened");
    for (int i = 0; i < KEYS; i++)
        check_key(w, i);
    for (int i = 0; i < STATIONS; i++)
        check_results(w, &w->station[i]);
    for (int i = 0; i < BOARDS; i++)
        check_board(w, i);
    for (int i = 0; i < BOARDS; i++)
        doubles += w->board[i].doubled;
    if (doubles > 0 && w->server.now.alarms == 0) {
        bool gone = false; /* a station that may not speak can't tell */
        for (int i = 0; i < STATIONS; i++)
            gone |= w->station[i].destroyed || w->station[i].disk.barred == KL_FLEET_NO_COPY;
        if (!gone)
            wrong(w, "a double was never told");
    }
}

static const char *live(struct world *w, uint64_t seed, unsigned steps)
{
    unsigned met[32];
    memcpy(met, w->met, sizeof met);
    memset(w, 0, sizeof *w);
    memcpy(w->met, met, sizeof met);
    w->seed = seed * 0x9e3779b97f4a7c15u + 1;
    w->now = KL_SEC(1000);
    w->highest_leased = NOBODY;
    db_init(&w->server);
    for (int i = 0; i < KEYS; i++)
        w->sent_to[i] = w->agreed_to[i] = NOBODY;
    for (int i = 0; i < BOARDS; i++)
        w->board[i] = (struct board){.key = NOBODY, .at = NOBODY, .first_key = NOBODY};
    for (int i = 0; i < STATIONS; i++) {
        w->station[i].id = i;
        w->station[i].disk.heard = KL_NEVER;
        w->station[i].offline = draw(w, 2) == 0 ? KL_SEC(7200) : 0;
        station_start(w, &w->station[i]);
    }
    for (unsigned n = 0; n < steps && w->wrong == NULL; n++)
        step(w);
    if (w->wrong == NULL)
        heal(w);
    w->met[MET_CAPPED] += w->server.capped;
    if (w->wrong == NULL)
        check_end(w);
    return w->wrong;
}

int main(int argc, char **argv)
{
    static struct world w;
    uint64_t lives = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    unsigned steps = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 600;
    unsigned failed = 0;
    telling = argc > 4;
    kl_assert_report = tell_assertion;
    for (uint64_t seed = first; seed < first + lives; seed++) {
        const char *why = live(&w, seed, steps);
        if (why == NULL)
            continue;
        printf("seed %llu: %s\n", (unsigned long long)seed, why);
        if (++failed == 10)
            break;
    }
    for (unsigned i = 0; i < MET_COUNT; i++) {
        printf("%10u %s\n", w.met[i], met_names[i]);
        if (lives < 1000 || w.met[i] > 0 || i == MET_DISPUTED) /* rare: test_fleet.c has it */
            continue;
        printf("never met: %s\n", met_names[i]);
        failed++;
    }
    return failed > 0;
}
