/*
 * scale.c: stations of a shared pool by the hundred, for scale.sh: each is the product's core
 * (keyline/fleet.h) above the product's calls (fleet_db.h), with a connection and a thread of its
 * own. Their boards and disks are memory: what is measured is the database, and what the calls
 * take.
 *
 *   scale play CONNECTION STATIONS BOARDS-PER-HOUR SECONDS LEASE-MAX [FIRST-BOARD [BOARD-MS]]
 *     roles s0 … ; every station begins with what it would hold at this rate, then serves boards.
 *     Prints "CALL ms COUNT LEAST P50 P99 MAX" for each kind of call, "boards N", "waited N".
 *   scale lease CONNECTION FIRST-STATION TIMES SIZE…
 *     TIMES stations lease SIZE keys, one after the other: the same lines
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/fleet/fleet_db.h"

enum {
    STATIONS_MAX = 1000,
    SLOTS = 32,
    KEYS = 2 * KL_FDB_ROWS_MAX,
    HISTORY = 4096, /* entries that wait to be told; a ring */
    SAMPLES = 1 << 20,
    CALL_MS = 30000,
    BOARD_MS = 10000, /* from its key to the proof of it */
};

/* ---- what was measured ---- */

static const char *const op_name[] = {"nothing", "hello",  "reassert", "remember",
                                      "lease",   "keep",   "claim",    "check",
                                      "report",  "status", "hand-back"};

struct samples {
    pthread_mutex_t lock;
    float *ms[KL_FLEET_OP_COUNT];
    unsigned count[KL_FLEET_OP_COUNT];
};
static struct samples samples = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_uint boards_done, boards_waited, keys_leased;
static atomic_bool measuring;

static kl_us now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (kl_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void keep_sample(enum kl_fleet_op op, kl_us took)
{
    if (!measuring)
        return;
    pthread_mutex_lock(&samples.lock);
    if (!samples.ms[op])
        samples.ms[op] = calloc(SAMPLES, sizeof *samples.ms[op]);
    if (samples.count[op] < SAMPLES)
        samples.ms[op][samples.count[op]++] = (float)took / 1000;
    pthread_mutex_unlock(&samples.lock);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void print_samples(const char *name, enum kl_fleet_op op)
{
    unsigned n = samples.count[op];
    float *ms = samples.ms[op];

    if (n == 0)
        return;
    qsort(ms, n, sizeof *ms, by_size);
    printf("%s ms %u %.1f %.1f %.1f %.1f\n", name, n, (double)ms[0], (double)ms[n / 2],
           (double)ms[n - 1 - n / 100], (double)ms[n - 1]);
    samples.count[op] = 0;
}

static void die(const char *what, const struct kl_fdb_why *why)
{
    fprintf(stderr, "scale: %s: %s\n", what, why ? why->text : "");
    exit(1);
}

/* ---- one station ---- */

struct station {
    unsigned index;
    struct kl_fleet fleet;
    struct kl_fdb *db;
    struct kl_fdb_fence fence;
    uint32_t ids;
    struct kl_fingerprint key[KEYS]; /* a ring of unused ones */
    uint64_t key_first, key_end;
    struct kl_fdb_item history[HISTORY];
    int64_t history_end;
    struct {
        bool busy, sent;
        struct kl_mac mac;
        struct kl_fingerprint key;
        kl_us asked, proved_at;
    } slot[SLOTS];
    kl_us next_board;
    uint64_t boards;
};

static struct {
    const char *connection;
    unsigned stations, per_hour, seconds, lease_max, first_board, board_ms;
} plan;
static struct station *stations;
static atomic_uint ready;
static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;
static kl_us play_begins, play_ends;

static struct kl_fdb *connect_as(unsigned index)
{
    char text[1024];
    struct kl_fdb_why why;
    struct kl_fdb *db;

    kl_format(text, sizeof text, "%.900s user=s%u", plan.connection, index);
    if (kl_fdb_open(text, CALL_MS, &db, &why) != KL_FLEET_OK)
        die(text, &why);
    return db;
}

static struct kl_request_id draw_id(struct station *s)
{
    struct kl_request_id id = {{0}};
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    memcpy(id.b, &t.tv_sec, 6);
    memcpy(id.b + 6, &s->index, 4);
    s->ids++;
    memcpy(id.b + 10, &s->ids, 4);
    return id;
}

static void take_row(void *ctx, const struct kl_fdb_row *row)
{
    struct station *s = ctx;

    s->key[s->key_end++ % KEYS] = row->fingerprint;
}

static void tell_history(struct station *s, enum kl_fdb_what what, unsigned slot)
{
    struct timespec t;
    struct kl_fdb_item *item = &s->history[++s->history_end % HISTORY];

    clock_gettime(CLOCK_REALTIME, &t);
    *item = (struct kl_fdb_item){
        .seq = s->history_end,
        .wall = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000,
        .what = what,
        .fingerprint = s->slot[slot].key,
        .mac = s->slot[slot].mac,
        .how = what == KL_FDB_ATTEMPT ? "done" : "readback",
        .bundle = "4f1a3c5e7b9d2046",
        .chip = "ESP32",
        .slot = "usb-1.2.3",
        .reason = "",
    };
}

static void tell_alarm(void *ctx, const struct kl_fdb_alarm *alarm)
{
    (void)ctx;
    fprintf(stderr, "scale: alarm %s: %s\n", alarm->kind, alarm->text);
    exit(1);
}

static enum kl_fleet_result report(struct station *s, int64_t after, int64_t *taken,
                                   struct kl_fdb_why *why)
{
    static _Thread_local struct kl_fdb_item item[KL_FDB_REPORT_MAX];
    uint32_t n = 0;

    while (n < KL_FDB_REPORT_MAX && after + n < s->history_end) {
        item[n] = s->history[(after + n + 1) % HISTORY];
        n++;
    }
    return kl_fdb_report(s->db, CALL_MS, item, n, taken, tell_alarm, NULL, why);
}

static enum kl_fleet_result greet(struct station *s, struct kl_fleet_answer *a,
                                  struct kl_fdb_why *why)
{
    struct kl_fdb_greeting greeting = {.seen = s->fence, .now = draw_id(s)};
    static _Thread_local struct kl_fdb_hello hello;
    enum kl_fleet_result result = kl_fdb_hello(s->db, CALL_MS, &greeting, &hello, why);

    if (result != KL_FLEET_OK)
        return result;
    s->fence = hello.state.server;
    a->same_database = a->may_lease = true;
    if (hello.state.last_seq > s->history_end)
        s->history_end = s->fleet.memory.reported = hello.state.last_seq;
    return result;
}

static const char status_text[] =
    "{\"slots\":32,\"busy\":20,\"waiting\":2,\"done\":12345,\"failed\":12,\"per_hour\":2000,"
    "\"bundle\":\"4f1a3c5e7b9d2046\",\"keyline\":\"1.1.0\",\"chips\":{\"ESP32\":12000},"
    "\"eta_s\":3600,\"lease\":{\"free\":712,\"leased\":733},\"alarms\":0,\"unsent\":0}";

static unsigned slot_of(const struct station *s, const struct kl_mac *mac)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (s->slot[i].busy && kl_mac_equal(&s->slot[i].mac, mac))
            return i;
    return SLOTS;
}

static enum kl_fleet_result carry_out(struct station *s, const struct kl_fleet_call *call,
                                      struct kl_fleet_answer *a, struct kl_fdb_why *why)
{
    uint64_t before = s->key_end;
    enum kl_fleet_result result;
    struct kl_fdb_claim claim;
    struct kl_fdb_state state;

    switch (call->op) {
    case KL_FLEET_HELLO:
        return greet(s, a, why);
    case KL_FLEET_REMEMBER:
        a->request = draw_id(s);
        return KL_FLEET_OK;
    case KL_FLEET_LEASE:
        result = kl_fdb_lease(s->db, CALL_MS, &call->request, call->count, take_row, s, why);
        a->rows = (uint32_t)(s->key_end - before);
        keys_leased += a->rows;
        return result;
    case KL_FLEET_KEEP:
        return KL_FLEET_OK;
    case KL_FLEET_CLAIM:
        result = kl_fdb_claim(s->db, CALL_MS, &call->mac, &s->slot[slot_of(s, &call->mac)].key,
                              false, &claim, why);
        a->owner = claim.kind == KL_FDB_CLAIM_OTHER ? KL_FLEET_OTHERS : KL_FLEET_OURS;
        return result;
    case KL_FLEET_REPORT:
        return report(s, call->after, &a->reported, why);
    case KL_FLEET_STATUS:
        result = kl_fdb_status(s->db, CALL_MS, status_text, &state, tell_alarm, NULL, why);
        a->may_lease = true;
        return result;
    default:
        KL_ASSERT(!"a station that stays needs no other call");
        return KL_FLEET_DOWN;
    }
}

static void tell_bench(struct station *s)
{
    struct kl_fleet_bench bench = {.free = (uint32_t)(s->key_end - s->key_first),
                                   .per_hour = plan.per_hour,
                                   .history = s->history_end};

    kl_fleet_tell_bench(&s->fleet, &bench);
}

/* The next call, if there is one now. */
static bool call_next(struct station *s)
{
    struct kl_fleet_answer answer = {.result = KL_FLEET_DOWN};
    struct kl_fleet_call call;
    struct kl_fdb_why why = {.cause = KL_FDB_CAUSE_NONE};
    kl_us begun = now_us();

    tell_bench(s);
    kl_fleet_next(&s->fleet, begun, &call);
    if (call.op == KL_FLEET_NOTHING)
        return false;
    answer.result = carry_out(s, &call, &answer, &why);
    if (answer.result != KL_FLEET_OK)
        die(op_name[call.op], &why);
    if (call.op != KL_FLEET_REMEMBER && call.op != KL_FLEET_KEEP)
        keep_sample(call.op, now_us() - begun);
    kl_fleet_answered(&s->fleet, now_us(), &answer);
    return true;
}

/* ---- its boards ---- */

static struct kl_mac mac_of(const struct station *s, uint64_t board)
{
    uint64_t n = plan.first_board + board;

    return (struct kl_mac){{2, (uint8_t)(s->index >> 8), (uint8_t)s->index, (uint8_t)(n >> 16),
                            (uint8_t)(n >> 8), (uint8_t)n}};
}

static void plug(struct station *s, kl_us now)
{
    unsigned slot = 0;

    s->next_board += (kl_us)3600 * 1000000 / plan.per_hour;
    while (slot < SLOTS && s->slot[slot].busy)
        slot++;
    if (slot == SLOTS || s->key_first == s->key_end) {
        boards_waited++;
        return;
    }
    s->slot[slot].busy = true;
    s->slot[slot].sent = false;
    s->slot[slot].asked = now;
    s->slot[slot].mac = mac_of(s, ++s->boards);
    s->slot[slot].key = s->key[s->key_first++ % KEYS];
    tell_history(s, KL_FDB_RESERVED, slot);
    kl_fleet_ask(&s->fleet, slot, &s->slot[slot].mac, false);
}

static void look_at_slots(struct station *s, kl_us now)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!s->slot[i].busy)
            continue;
        if (!s->slot[i].sent && kl_fleet_may(&s->fleet, i, now) == KL_FLEET_MAY) {
            kl_fleet_withdraw(&s->fleet, i);
            s->slot[i].sent = true;
            s->slot[i].proved_at = now + (kl_us)plan.board_ms * 1000;
        } else if (s->slot[i].sent && now >= s->slot[i].proved_at) {
            tell_history(s, KL_FDB_PROVISIONED, i);
            tell_history(s, KL_FDB_ATTEMPT, i);
            s->slot[i].busy = false;
            boards_done++;
        }
    }
}

static void sleep_us(kl_us us)
{
    if (us > 0)
        nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* At this rate a station holds something between half an hour's keys and an hour's. It got them
   over that time: here one station after the other does. */
static void begin(struct station *s)
{
    const struct kl_fleet_config config = {.slots = SLOTS, .lease_max = plan.lease_max};
    const struct kl_fleet_memory memory = {.silent = KL_NEVER};
    uint32_t wanted;

    s->db = connect_as(s->index);
    kl_fleet_init(&s->fleet, &config, &memory, now_us());
    pthread_mutex_lock(&beginning);
    while (call_next(s)) {
    }
    pthread_mutex_unlock(&beginning);
    wanted = kl_fleet_wanted(&s->fleet);
    s->key_first += (uint64_t)s->index * (wanted / 2) / plan.stations;
}

static void *run_station(void *arg)
{
    struct station *s = arg;
    kl_us now, step = (kl_us)3600 * 1000000 / plan.per_hour;

    begin(s);
    ready++;
    while (!measuring)
        sleep_us(1000);
    s->next_board = play_begins + step * s->index / plan.stations;
    while ((now = now_us()) < play_ends) {
        if (now >= s->next_board)
            plug(s, now);
        look_at_slots(s, now);
        if (!call_next(s))
            sleep_us(20000);
    }
    while (kl_fleet_unsent(&s->fleet) > 0 && call_next(s)) {
    }
    kl_fdb_close(s->db);
    return NULL;
}

static int play(void)
{
    static pthread_t thread[STATIONS_MAX];
    kl_us begun = now_us();

    stations = calloc(plan.stations, sizeof *stations);
    for (unsigned i = 0; i < plan.stations; i++) {
        stations[i].index = i;
        if (pthread_create(&thread[i], NULL, run_station, &stations[i]) != 0)
            die("no thread", NULL);
    }
    while (ready < plan.stations)
        sleep_us(10000);
    printf("all-start s %.1f keys %u\n", (double)(now_us() - begun) / 1e6, (unsigned)keys_leased);
    fflush(stdout);
    play_begins = now_us();
    play_ends = play_begins + KL_SEC(plan.seconds);
    measuring = true;
    for (unsigned i = 0; i < plan.stations; i++)
        pthread_join(thread[i], NULL);
    for (unsigned op = 0; op < KL_FLEET_OP_COUNT; op++)
        print_samples(op_name[op], (enum kl_fleet_op)op);
    printf("boards %u\nwaited %u\n", (unsigned)boards_done, (unsigned)boards_waited);
    free(stations);
    return 0;
}

/* ---- leases of one size after the other ---- */

/* By stations that have none of this size yet: each lease is of keys that nobody ever had. */
static void lease_by(unsigned index, uint32_t n)
{
    struct station *s = calloc(1, sizeof *s);
    struct kl_request_id id;
    struct kl_fdb_why why;
    kl_us begun;

    s->index = index;
    s->ids = n << 8;
    s->db = connect_as(index);
    /* A station keeps its connection: the server's plans are made. */
    id = draw_id(s);
    if (kl_fdb_lease(s->db, CALL_MS, &id, 1, take_row, s, &why) != KL_FLEET_OK)
        die("lease", &why);
    s->key_end = 0;
    id = draw_id(s);
    begun = now_us();
    if (kl_fdb_lease(s->db, CALL_MS, &id, n, take_row, s, &why) != KL_FLEET_OK)
        die("lease", &why);
    keep_sample(KL_FLEET_LEASE, now_us() - begun);
    if (s->key_end != n)
        die("fewer keys than were asked for", NULL);
    kl_fdb_close(s->db);
    free(s);
}

static int lease(unsigned first, unsigned times, char **sizes)
{
    char name[32];

    measuring = true;
    for (; *sizes; sizes++) {
        for (unsigned i = 0; i < times; i++)
            lease_by(first + i, (uint32_t)strtoul(*sizes, NULL, 10));
        kl_format(name, sizeof name, "lease-%.16s", *sizes);
        print_samples(name, KL_FLEET_LEASE);
        fflush(stdout);
    }
    return 0;
}

static unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        plan.connection = argv[2];
    if (argc > 5 && strcmp(argv[1], "lease") == 0)
        return lease(number(argv[3]), number(argv[4]), argv + 5);
    if (argc < 7 || strcmp(argv[1], "play") != 0)
        return 2;
    plan.stations = number(argv[3]);
    plan.per_hour = number(argv[4]);
    plan.seconds = number(argv[5]);
    plan.lease_max = number(argv[6]);
    plan.first_board = argc > 7 ? number(argv[7]) : 0;
    plan.board_ms = argc > 8 ? number(argv[8]) : BOARD_MS;
    if (plan.stations < 1 || plan.stations > STATIONS_MAX || plan.per_hour < 1 ||
        plan.lease_max < 1)
        return 2;
    return play();
}
