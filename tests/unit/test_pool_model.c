/*
 * The pool against a small model of the world: a CSV, a ledger, boards, another tool, operators and
 * power cuts. The model shares no code with the pool and watches promises 1 and 2 of
 * docs/custody.md after each step: short sequences of steps all of them, long ones at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyline/pool.h"
#include "pool_room.h"

enum {
    KEYS = 5,   /* the last one has the label of the first */
    BOARDS = 4, /* the last one never comes to this bench */
    ROWS = 12,
    ASKED_MAX = 16,
    NOBODY = -1,
    CAPACITY = 32,
    DEPTH_MAX = 64
};

/* ---- where choices come from: all of them in turn, or a seed ---- */

static struct {
    bool exhaustive;
    uint32_t random;
    unsigned value[DEPTH_MAX], limit[DEPTH_MAX], depth, used;
} choices;

static unsigned choose(unsigned below)
{
    if (!choices.exhaustive) {
        choices.random ^= choices.random << 13;
        choices.random ^= choices.random >> 17;
        choices.random ^= choices.random << 5;
        return choices.random % below;
    }
    if (choices.used == choices.depth) {
        assert_true(choices.depth < DEPTH_MAX);
        choices.value[choices.depth] = 0;
        choices.limit[choices.depth++] = below;
    }
    return choices.value[choices.used++];
}

/* The next sequence of choices; false after the last. */
static bool next_sequence(void)
{
    while (choices.depth > 0 &&
           choices.value[choices.depth - 1] + 1 == choices.limit[choices.depth - 1])
        choices.depth--;
    choices.used = 0;
    if (choices.depth == 0)
        return false;
    choices.value[choices.depth - 1]++;
    return true;
}

/* ---- the world ---- */

enum ledger_state {
    NOTHING,
    RESERVED,
    PROVISIONED
};

enum op {
    RESERVE,
    RELEASE,
    PROVISION
};

struct request {
    enum op op;
    int key, board;
    bool done, ok, refused;
};

enum session_state {
    IDLE,
    RESERVING,
    READY,
    SENT,
    RECORDING
};

static struct {
    struct { /* the file */
        int key;
        bool bad;
    } row[ROWS];
    int rows;
    bool marked[KEYS]; /* survives the row's absence: whoever puts it back keeps the mark */
    struct {           /* the disk */
        enum ledger_state state;
        int board;
    } ledger[KEYS];
    struct request asked[ASKED_MAX];
    int asked_count;
    int held_by[KEYS]; /* what is really in the boards' flash */
    bool sent[KEYS];   /* a byte of it left the host, and no operator released it since */
    struct {
        enum session_state state;
        int key;
    } session[BOARDS];
} w;

static struct pool_room room;
static struct kl_pool pool;
static char story[4096]; /* told when something fails */

#define TELL(...) snprintf(story + strlen(story), sizeof story - strlen(story), __VA_ARGS__)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s\nafter: %s", #condition, story);                                          \
    } while (0)

static const char *const labels[KEYS] = {"a", "b", "c", "d", "a"};

static struct kl_fingerprint fp(int key)
{
    return (struct kl_fingerprint){{(uint8_t)(key + 1), 0, 0, 0, 7}};
}

static struct kl_mac mac(int board)
{
    return (struct kl_mac){{0x24, 0x6f, 0x28, 0, 0, (uint8_t)(board + 1)}};
}

static uint32_t index_of(int key)
{
    struct kl_fingerprint f = fp(key);
    return kl_pool_find(&pool, &f);
}

static int key_of(uint32_t index)
{
    return kl_pool_row_of(&pool, index)->fingerprint.b[0] - 1;
}

static int board_of(uint32_t index)
{
    const struct kl_mac *m = kl_pool_mac(&pool, index);

    return kl_mac_is_set(m) ? m->b[5] - 1 : NOBODY;
}

static int key_held(int board)
{
    for (int k = 0; k < KEYS; k++)
        if (w.held_by[k] == board)
            return k;
    return NOBODY;
}

static void load(void)
{
    struct kl_pool_row rows[ROWS];
    struct kl_ledger_row ledger[KEYS];
    uint32_t ledger_count = 0;

    for (int i = 0; i < w.rows; i++)
        rows[i] = (struct kl_pool_row){.line = (uint32_t)i + 1,
                                       .label = labels[w.row[i].key],
                                       .fingerprint = fp(w.row[i].key),
                                       .marked = w.marked[w.row[i].key],
                                       .bad = w.row[i].bad};
    for (int k = 0; k < KEYS; k++)
        if (w.ledger[k].state != NOTHING)
            ledger[ledger_count++] =
                (struct kl_ledger_row){.label = labels[k],
                                       .fingerprint = fp(k),
                                       .provisioned = w.ledger[k].state == PROVISIONED,
                                       .mac = mac(w.ledger[k].board)};
    pool_room_load(&room, &pool, rows, (uint32_t)w.rows, ledger, ledger_count);
}

static bool row_exists(int key)
{
    for (int i = 0; i < w.rows; i++)
        if (w.row[i].key == key)
            return true;
    return false;
}

/* ---- the store ---- */

static bool is_pending(int key)
{
    for (int i = 0; i < w.asked_count; i++)
        if (w.asked[i].key == key)
            return true;
    return false;
}

static void ask_store(enum op op, int key, int board)
{
    CHECK(w.asked_count < ASKED_MAX);
    w.asked[w.asked_count++] = (struct request){.op = op, .key = key, .board = board};
}

/* The ledger refuses what contradicts it, and a second key for one board. */
static bool contradicts(const struct request *r)
{
    if (w.ledger[r->key].state != NOTHING && w.ledger[r->key].board != r->board)
        return true;
    for (int k = 0; k < KEYS && r->op != RELEASE; k++)
        if (k != r->key && w.ledger[k].state != NOTHING && w.ledger[k].board == r->board)
            return true;
    return false;
}

/* Makes the oldest request durable, or not. */
static void commit(bool disk_works)
{
    for (int i = 0; i < w.asked_count; i++) {
        struct request *r = &w.asked[i];
        if (r->done)
            continue;
        TELL(" commit(%d%s)", r->key, disk_works ? "" : " fails");
        r->done = true;
        r->refused = contradicts(r);
        r->ok = disk_works && !r->refused;
        if (!r->ok)
            return;
        if (r->op == RELEASE) {
            w.ledger[r->key].state = NOTHING;
            w.sent[r->key] = false;
            return;
        }
        if (r->op == PROVISION)
            w.ledger[r->key].state = PROVISIONED;
        else if (w.ledger[r->key].state == NOTHING)
            w.ledger[r->key].state = RESERVED;
        w.ledger[r->key].board = r->board;
        if (r->op == PROVISION)
            w.marked[r->key] = true;
        return;
    }
}

static void leave(int board)
{
    if (w.session[board].state != IDLE) {
        uint32_t index = index_of(w.session[board].key);
        kl_pool_leave(&pool, index);
        if (kl_pool_release(&pool, index))
            ask_store(RELEASE, w.session[board].key, board);
    }
    w.session[board].state = IDLE;
}

static void answer_reserve(const struct request *r, uint32_t index)
{
    bool waits = w.session[r->board].state == RESERVING && w.session[r->board].key == r->key;

    if (!r->refused)
        kl_pool_reserved(&pool, index, r->ok);
    if (waits)
        w.session[r->board].state = r->ok ? READY : IDLE;
    else if (r->ok && kl_pool_release(&pool, index))
        ask_store(RELEASE, r->key, r->board);
}

/* Brings the oldest result to the pool. */
static bool answer(void)
{
    if (w.asked_count == 0 || !w.asked[0].done)
        return false;
    struct request r = w.asked[0];
    uint32_t index = index_of(r.key);

    TELL(" answer(%d)", r.key);
    memmove(&w.asked[0], &w.asked[1], (size_t)--w.asked_count * sizeof w.asked[0]);
    if (r.refused)
        kl_pool_refused(&pool, index);
    if (r.op == RESERVE) {
        answer_reserve(&r, index);
    } else if (r.op == RELEASE) {
        if (!r.refused)
            kl_pool_released(&pool, index, r.ok);
    } else {
        if (!r.refused)
            kl_pool_recorded(&pool, index, r.ok);
        if (!r.refused && !r.ok)
            ask_store(PROVISION, r.key, r.board);
        else if (w.session[r.board].key == r.key)
            w.session[r.board].state = IDLE;
    }
    return true;
}

/* A snapshot of CSV and ledger is taken after every answer that was given. */
static void reload(void)
{
    while (answer())
        ;
    load();
}

/* ---- steps ---- */

static void step_ask(int board)
{
    uint32_t index = UINT32_MAX;
    struct kl_mac m = mac(board);

    if (w.session[board].state != IDLE || key_held(board) != NOBODY)
        return;
    TELL(" ask(%d)", board);
    if (kl_pool_ask(&pool, &m, &index) != KL_POOL_GIVE)
        return;
    int key = key_of(index);
    const struct kl_pool_key *k = kl_pool_key(&pool, index);
    CHECK(row_exists(key));
    CHECK(board_of(index) == board);
    w.session[board].key = key;
    w.session[board].state = k->state == KL_KEY_RESERVING ? RESERVING : READY;
    if (k->state == KL_KEY_RESERVING) {
        CHECK(!w.marked[key] && w.ledger[key].state == NOTHING);
        ask_store(RESERVE, key, board);
    }
}

/* The line leaves the host; the board stores it or not, and says so or not. */
static void step_send(int board)
{
    int key = w.session[board].key;

    if (w.session[board].state != READY || key_held(board) != NOBODY)
        return;
    if (!kl_pool_sending(&pool, index_of(key))) {
        TELL(" withheld(%d)", board);
        leave(board);
        return;
    }
    bool stored = choose(2) == 0;
    TELL(" send(%d to %d%s)", key, board, stored ? "" : " lost");
    CHECK(w.ledger[key].state != NOTHING && w.ledger[key].board == board);
    CHECK(w.held_by[key] == NOBODY); /* promise 1, one half */
    for (int k = 0; k < KEYS; k++)   /* the other half */
        CHECK(k == key || w.ledger[k].state != PROVISIONED || w.ledger[k].board != board ||
              w.ledger[key].state == PROVISIONED);
    w.session[board].state = SENT;
    w.sent[key] = true;
    if (stored)
        w.held_by[key] = board;
}

static void step_show(int board)
{
    int key = key_held(board);
    uint32_t index;
    struct kl_mac m = mac(board);
    struct kl_fingerprint f;

    if (key == NOBODY || w.session[board].state == RECORDING)
        return;
    TELL(" show(%d by %d)", key, board);
    f = fp(key);
    if (w.session[board].state != IDLE && w.session[board].key != key)
        leave(board);
    switch (kl_pool_claim(&pool, &m, &f, &index)) {
    case KL_CLAIM_OWN:
    case KL_CLAIM_ADOPT:
        CHECK(key_of(index) == key);
        CHECK(w.ledger[key].state == NOTHING || w.ledger[key].board == board);
        w.session[board].key = key;
        w.session[board].state = IDLE;
        if (kl_pool_key(&pool, index)->state != KL_KEY_RECORDING)
            return;
        w.session[board].state = RECORDING;
        if (!is_pending(key))
            ask_store(PROVISION, key, board);
        return;
    case KL_CLAIM_OTHERS: /* two boards with one key: never by our doing */
        CHECK(w.ledger[key].state != PROVISIONED || w.ledger[key].board != board);
        return;
    case KL_CLAIM_UNKNOWN:
        CHECK(!row_exists(key));
        return;
    case KL_CLAIM_BUSY:
        CHECK(is_pending(key));
        return;
    }
}

static void step_unplug(int board)
{
    if (w.session[board].state == IDLE)
        return;
    TELL(" unplug(%d)", board);
    leave(board);
}

static void step_erase(int board)
{
    int key = key_held(board);

    if (key == NOBODY || w.session[board].state != IDLE)
        return;
    TELL(" erase(%d)", board);
    w.held_by[key] = NOBODY;
}

static void step_csv(int key)
{
    unsigned what = choose(3);

    if (what == 0 && w.rows < ROWS) {
        TELL(" add(%d)", key);
        w.row[w.rows].bad = choose(4) == 0;
        w.row[w.rows++].key = key;
    } else if (what == 1) {
        TELL(" remove(%d)", key);
        int n = 0;
        for (int i = 0; i < w.rows; i++)
            if (w.row[i].key != key)
                w.row[n++] = w.row[i];
        w.rows = n;
    } else {
        TELL(" reload");
    }
    reload();
}

/* The original tool, on the same file: takes a row without a mark, gives it to an empty board. It
   knows nothing of reservations; those it would break are left out. */
static void step_other_tool(int key)
{
    int board = (int)choose(BOARDS);

    if (!row_exists(key) || w.marked[key] || w.ledger[key].state != NOTHING ||
        w.held_by[key] != NOBODY || key_held(board) != NOBODY)
        return;
    TELL(" other_tool(%d to %d)", key, board);
    w.marked[key] = true;
    w.held_by[key] = board;
    reload();
}

/* Only of keys that are really on no board, and with nothing on its way. The board may come back
   before it is durable. */
static void step_operator(int key)
{
    struct kl_fingerprint f = fp(key);

    if (w.held_by[key] != NOBODY || w.ledger[key].state != RESERVED || is_pending(key))
        return;
    uint32_t index = kl_pool_find(&pool, &f);
    if (index != UINT32_MAX && kl_pool_operator_release(&pool, index)) {
        TELL(" operator_release(%d)", key);
        ask_store(RELEASE, key, w.ledger[key].board);
    }
}

static void step_crash(void)
{
    TELL(" crash");
    w.asked_count = 0;
    for (int b = 0; b < BOARDS; b++)
        w.session[b].state = IDLE;
    memset(&pool, 0, sizeof pool);
    load();
}

/* ---- what must hold after each step ---- */

static void check_counts(void)
{
    struct kl_pool_counts c = {0};
    bool free_seen = false;

    for (uint32_t i = 0; i < pool.count; i++) {
        const struct kl_pool_key *k = kl_pool_key(&pool, i);
        c.free += k->state == KL_KEY_FREE;
        c.reserved += k->state >= KL_KEY_RESERVING && k->state <= KL_KEY_RECORDING;
        c.provisioned += k->state == KL_KEY_PROVISIONED;
        c.blocked += k->state == KL_KEY_BLOCKED && k->trouble != KL_TROUBLE_VANISHED;
        c.in_doubt += k->state == KL_KEY_RESERVED && !k->live;
        free_seen |= k->state == KL_KEY_FREE;
        CHECK(!free_seen || pool.next_free <= i);
    }
    CHECK(c.free == pool.counts.free && c.reserved == pool.counts.reserved);
    CHECK(c.provisioned == pool.counts.provisioned && c.blocked == pool.counts.blocked);
    CHECK(c.in_doubt == pool.counts.in_doubt);
    CHECK(pool.counts.total == c.free + c.reserved + c.provisioned + c.blocked);
}

static void check_key(int key)
{
    uint32_t index = index_of(key);

    if (index == UINT32_MAX) {
        CHECK(w.ledger[key].state == NOTHING); /* promise 2: what is durable is known */
        return;
    }
    const struct kl_pool_key *k = kl_pool_key(&pool, index);
    bool bound = board_of(index) != NOBODY;
    CHECK(k->state != KL_KEY_FREE || (!bound && !k->live && row_exists(key)));
    CHECK(k->state != KL_KEY_RESERVED || bound);
    CHECK(k->state != KL_KEY_FREE || !w.sent[key]);
    if (k->state == KL_KEY_FREE && !is_pending(key)) {
        CHECK(w.ledger[key].state == NOTHING);
        CHECK(!w.marked[key]);
    }
    if (w.ledger[key].state != NOTHING && !is_pending(key) && k->state != KL_KEY_BLOCKED)
        CHECK(board_of(index) == w.ledger[key].board);
    if (w.ledger[key].state == PROVISIONED && !is_pending(key) && k->state != KL_KEY_BLOCKED)
        CHECK(k->state == KL_KEY_PROVISIONED);
}

static void check_macs(void)
{
    for (int b = 0; b < BOARDS; b++) {
        struct kl_mac m = mac(b);
        uint32_t index = kl_pool_of_mac(&pool, &m);
        bool any = false;
        for (uint32_t i = 0; i < pool.count; i++)
            any |= kl_mac_equal(kl_pool_mac(&pool, i), &m);
        CHECK(any == (index != UINT32_MAX));
        CHECK(!any || board_of(index) == b);
    }
}

static void step(void)
{
    int board = (int)choose(BOARDS - 1);

    switch (choose(14)) {
    case 0:
    case 1:
        step_ask(board);
        break;
    case 2:
    case 3:
        step_send(board);
        break;
    case 4:
    case 5:
        step_show(board);
        break;
    case 6:
        commit(true);
        break;
    case 7:
        commit(choose(2) == 0);
        break;
    case 8:
        answer();
        break;
    case 9:
        step_unplug(board);
        break;
    case 10:
        step_csv((int)choose(KEYS));
        break;
    case 11:
        step_other_tool((int)choose(KEYS));
        break;
    case 12:
        if (choose(2) == 0)
            step_operator((int)choose(KEYS));
        else
            step_erase(board);
        break;
    case 13:
        step_crash();
        break;
    }
}

static void check_world(void)
{
    check_counts();
    check_macs();
    for (int k = 0; k < KEYS; k++)
        check_key(k);
}

static void start_world(int rows)
{
    memset(&w, 0, sizeof w);
    memset(&pool, 0, sizeof pool);
    story[0] = '\0';
    for (w.rows = 0; w.rows < rows; w.rows++)
        w.row[w.rows].key = w.rows;
    for (int k = 0; k < KEYS; k++)
        w.held_by[k] = NOBODY;
    load();
}

static void long_lives_at_random(void **state)
{
    (void)state;
    choices.exhaustive = false;
    for (uint32_t seed = 1; seed <= 3000; seed++) {
        choices.random = seed * 2654435761u;
        start_world(1 + (int)choose(KEYS - 1));
        TELL("seed %u:", seed);
        for (int i = 0; i < 120; i++) {
            if (pool.count + ROWS + KEYS > CAPACITY || w.asked_count + 4 > ASKED_MAX)
                break;
            step();
            check_world();
        }
    }
}

/* Two boards, two keys, and every order of what can happen to them. */
static void short_step(void)
{
    switch (choose(9)) {
    case 0:
        step_ask(0);
        break;
    case 1:
        step_ask(1);
        break;
    case 2:
        commit(choose(2) == 0);
        answer();
        break;
    case 3:
        commit(true);
        break;
    case 4:
        step_send(0);
        break;
    case 5:
        step_show(0);
        break;
    case 6:
        step_unplug(0);
        break;
    case 7:
        step_other_tool(0);
        break;
    case 8:
        step_crash();
        break;
    }
}

static void short_lives_all_of_them(void **state)
{
    unsigned long lives = 0;

    (void)state;
    choices.exhaustive = true;
    choices.depth = choices.used = 0;
    do {
        start_world(2);
        for (int i = 0; i < 5; i++)
            short_step();
        check_world();
        lives++;
    } while (next_sequence());
    assert_true(lives > 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_lives_at_random),
        cmocka_unit_test(short_lives_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
