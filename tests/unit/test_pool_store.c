/* A station's store on a shared pool (pool_store.h), with a pool in memory. */
#include "shared_bench.h"

static void keys_come_are_given_and_reported(void **state)
{
    struct store_bench b;
    struct kl_fleet_view view;

    (void)state;
    open_pool(&b);
    assert_int_equal(kl_store_content(b.store)->fields, 2);
    wait_for_keys(&b, 8); /* two for each slot */
    assert_int_equal(reserve(&b, "dev-0003", 1), KL_STORE_OK);
    assert_true(b.has_key);
    assert_non_null(strstr(b.key.line, fake_find(&pool, "dev-0003")->secret));
    assert_int_equal(pool.boards, 1);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0003", 1), KL_STORE_OK);
    wait_until_provisioned(&b, "dev-0003");
    kl_store_fleet(b.store, &view);
    assert_true(view.there && view.online && view.gives);
    assert_string_equal(view.name, "lamps");
    assert_string_equal(view.station, "bench-1");
    assert_string_equal(view.trouble, "");
    bench_close(&b);
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 0); /* the others went back */
    assert_int_equal(fake_count(&pool, FAKE_PROVISIONED), 1);
}

static void without_the_database_known_boards_go_on_and_new_ones_wait(void **state)
{
    bool yes = true, no = false;
    struct kl_fingerprint fp;
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    fake_set(&pool, &pool.silent, true);
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, &yes));
    fp = bench_key(&b, "dev-0002");
    bench_submit(&b, KL_OP_RESERVE, &fp, 2);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(b.status, KL_STORE_WAITS);
    assert_non_null(strstr(b.text, "does not answer"));
    fake_set(&pool, &pool.silent, false);
    assert_true(bench_until(&b, has_trouble, &no));
    assert_int_equal(reserve(&b, "dev-0002", 2), KL_STORE_OK);
    wait_until_provisioned(&b, "dev-0001");
    bench_close(&b);
}

static void another_stations_board_gets_no_key(void **state)
{
    struct store_bench b;

    (void)state;
    pool.board[0].mac = bench_mac(7);
    strcpy(pool.board[0].station, "bench-2");
    pool.boards = 1;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 7), KL_STORE_ELSEWHERE);
    assert_false(b.has_key);
    assert_non_null(strstr(b.text, "bench-2"));
    assert_non_null(strstr(b.text, "dev-9999"));
    assert_int_equal(reserve(&b, "dev-0001", 7), KL_STORE_ELSEWHERE); /* asked once more */
    assert_non_null(strstr(b.text, "bench-2"));
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 7), KL_STORE_OK);
    assert_int_equal(reserve(&b, "dev-0001", 8), KL_STORE_OK);
    bench_close(&b);
}

/* The pool has this key for another board: it stays reserved here, and nothing of it leaves. */
static void a_disputed_key_is_not_sent(void **state)
{
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    uv_mutex_lock(&pool.lock);
    pool.key[0].mac = bench_mac(99);
    uv_mutex_unlock(&pool.lock);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_DISPUTED);
    assert_false(b.has_key);
    assert_non_null(strstr(b.text, "another owner"));
    bench_close(&b);
}

/* A key that was reserved and given back goes to another board: the pool hears of the first one's
   end before it is asked for the second. */
static void a_key_given_back_unsent_serves_another_board(void **state)
{
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(reserve(&b, "dev-0001", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0001", 2), KL_STORE_OK);
    wait_until_provisioned(&b, "dev-0001");
    assert_int_equal(pool.boards, 1); /* the first one is nobody's again */
    bench_close(&b);
}

static bool beats_again(struct store_bench *b, void *ctx)
{
    bool again;

    (void)b;
    uv_mutex_lock(&pool.lock);
    again = pool.beats > *(unsigned *)ctx;
    uv_mutex_unlock(&pool.lock);
    return again;
}

/* A board waited for the pool, and left: the pool is not asked for it any more. It would bind the
   board to this station, and the key to a board that nobody gives it to. */
static void a_board_that_left_while_the_pool_was_silent_is_not_claimed(void **state)
{
    struct kl_fingerprint fp;
    struct store_bench b;
    unsigned beats = 0;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_true(bench_until(&b, beats_again, &beats));
    fake_set(&pool, &pool.silent, true);
    fp = bench_key(&b, "dev-0001");
    bench_submit(&b, KL_OP_RESERVE, &fp, 1);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(b.status, KL_STORE_WAITS);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    beats = pool.beats;
    fake_set(&pool, &pool.silent, false);
    assert_true(bench_until(&b, beats_again, &beats)); /* boards come before the heartbeat */
    assert_int_equal(pool.claims, 0);
    assert_int_equal(reserve(&b, "dev-0001", 2), KL_STORE_OK);
    bench_close(&b);
}

/* The same, if the board leaves at the moment at which the pool is asked. */
static void a_released_key_is_not_claimed(void **state)
{
    struct kl_fleet_call hello = {.op = KL_FLEET_HELLO}, call = {.op = KL_FLEET_CLAIM};
    struct kl_fingerprint released;
    struct kl_fleet_hand *h = calloc(1, sizeof *h);
    struct kl_fleet_answer a;
    struct kl_keyring *keyring;
    char path[4300], error[KL_TEXT_MAX];
    struct store_bench b;

    (void)state;
    assert_non_null(h);
    open_pool(&b);
    wait_for_keys(&b, 8);
    call.mac = bench_mac(1);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(reserve(&b, "dev-0002", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    released = bench_key(&b, "dev-0001");
    bench_close(&b);
    snprintf(path, sizeof path, "%s/station.key", folder);
    keyring = kl_keyring_open(path, error);
    assert_non_null(keyring);
    assert_true(kl_fleet_hand_open(h, folder, "lamps", &fake_calls, keyring, error));
    kl_fleet_hand_do(h, &hello, &a);
    assert_int_equal(a.result, KL_FLEET_OK);
    pool.claims = 0;
    h->claim_key = released;
    kl_fleet_hand_do(h, &call, &a);
    assert_int_equal(a.result, KL_FLEET_OK);
    assert_int_equal(a.owner, KL_FLEET_OTHERS);
    assert_int_equal(pool.claims, 0);
    call.mac = bench_mac(2); /* reserved still, but another key */
    kl_fleet_hand_do(h, &call, &a);
    assert_int_equal(pool.claims, 0);
    h->claim_key = pool.key[1].fingerprint;
    kl_fleet_hand_do(h, &call, &a);
    assert_int_equal(a.owner, KL_FLEET_OURS);
    assert_int_equal(pool.claims, 1);
    kl_fleet_hand_close(h);
    kl_keyring_free(keyring);
    free(h);
}

struct words {
    const char *text;
};

static bool says(struct store_bench *b, void *ctx)
{
    return strstr(b->note, ((const struct words *)ctx)->text) != NULL;
}

static bool has_few(struct store_bench *b)
{
    struct kl_fleet_view view;

    kl_store_fleet(b->store, &view);
    return view.few;
}

/* What counts is what boards can still get: the lease alone is small at any time. */
static void few_keys_are_told(void **state)
{
    struct words few = {"39 keys left for this station (7 leased, 32 to come from the pool)"};
    struct store_bench b;
    unsigned beats = 0;

    (void)state;
    shared.warn_keys = 39;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_true(bench_until(&b, beats_again, &beats));
    assert_false(has_few(&b)); /* 40 are left */
    assert_string_equal(b.note, "");
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, says, &few));
    assert_true(has_few(&b));
    b.note[0] = '\0';
    assert_int_equal(reserve(&b, "dev-0002", 2), KL_STORE_OK);
    assert_string_equal(b.note, ""); /* once */
    bench_close(&b);
    shared.warn_keys = 0;
    open_pool(&b);
    wait_for_keys(&b, 6);
    assert_true(bench_until(&b, beats_again, &beats));
    assert_string_equal(b.note, "");
    bench_close(&b);
}

static void a_pool_that_gives_no_more_leaves_few_keys(void **state)
{
    struct words few = {"0 leased keys left, and the pool gives none now: "};
    struct store_bench b;

    (void)state;
    shared.warn_keys = 10;
    pool.refuses_leases = KL_FLEET_NO_CAP;
    open_pool(&b);
    assert_true(bench_until(&b, says, &few));
    assert_true(has_few(&b));
    bench_close(&b);
}

/* While the database is silent, new boards wait for it; if they may go on, they need leased keys.
 */
static void few_leased_keys_are_told_where_boards_go_on_without_the_database(void **state)
{
    struct words few = {"8 leased keys left, and the pool gives none now: "};
    bool yes = true;
    struct store_bench b;

    (void)state;
    shared.warn_keys = 8;
    for (unsigned i = 0; i < 2; i++) {
        unsigned beats = pool.beats;
        shared.offline = i == 0 ? 0 : KL_SEC(3600);
        open_pool(&b);
        wait_for_keys(&b, 8);
        assert_true(bench_until(&b, beats_again, &beats));
        fake_set(&pool, &pool.silent, true);
        assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0001", 1), KL_STORE_OK);
        assert_true(bench_until(&b, has_trouble, &yes));
        if (i == 1)
            assert_true(bench_until(&b, says, &few));
        assert_int_equal(has_few(&b), i == 1);
        bench_close(&b);
        fake_set(&pool, &pool.silent, false);
    }
}

/* The station died between its reservation and the pool's agreement: its board gets no byte before
   the pool agrees. */
static void a_reservation_without_an_agreement_waits(void **state)
{
    struct kl_fingerprint fp;
    struct store_bench b;
    bool yes = true;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    fake_set(&pool, &pool.silent, true);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, &yes));
    fp = bench_key(&b, "dev-0001");
    bench_submit(&b, KL_OP_RESERVE, &fp, 1);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(b.status, KL_STORE_WAITS);
    bench_close(&b);
    open_pool(&b);
    bench_submit(&b, KL_OP_FETCH, &fp, 1);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(b.status, KL_STORE_WAITS);
    assert_false(b.has_key);
    fake_set(&pool, &pool.silent, false);
    do {
        bench_submit(&b, KL_OP_FETCH, &fp, 1);
        assert_true(bench_until(&b, is_answered, NULL));
    } while (b.status == KL_STORE_WAITS);
    assert_int_equal(b.status, KL_STORE_OK);
    assert_true(b.has_key);
    assert_true(kl_mac_is_set(&pool.key[0].mac));
    bench_close(&b);
}

/* Every write is done once and answered with a doubt: each is said again, and nothing happens
   twice. */
static void what_is_in_doubt_is_said_again(void **state)
{
    static const char *const calls[] = {"hello", "lease", "claim", "report"};
    struct store_bench b;
    unsigned leased;

    (void)state;
    /* The first start says hello before it goes on: a doubt would end it. */
    open_pool(&b);
    bench_close(&b);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        char label[16];
        pool.doubts = 1; /* before there is a thread that calls */
        pool.doubtful = calls[i];
        open_pool(&b);
        wait_for_keys(&b, 8);
        leased = fake_count(&pool, FAKE_LEASED);
        assert_int_equal(leased, 8);
        snprintf(label, sizeof label, "dev-%04u", (unsigned)i + 1);
        assert_int_equal(reserve(&b, label, (unsigned)i), KL_STORE_OK);
        assert_int_equal(bench_ask(&b, KL_OP_PROVISION, label, (unsigned)i), KL_STORE_OK);
        wait_until_provisioned(&b, label);
        bench_close(&b);
        assert_int_equal(pool.doubts, 0);
    }
    /* An end that comes while a report is in doubt leaves the rest to the next start. */
    open_pool(&b);
    wait_for_keys(&b, 8);
    bench_close(&b);
    assert_int_equal(fake_count(&pool, FAKE_PROVISIONED), 4);
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 0);
}

static void offline_boards_are_checked_later(void **state)
{
    bool yes = true;
    struct store_bench b;
    struct kl_fleet_view view;

    (void)state;
    shared.offline = KL_SEC(3600);
    pool.board[0].mac = bench_mac(7);
    strcpy(pool.board[0].station, "bench-2");
    pool.boards = 1;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_true(bench_until(&b, reaches, &pool.beats));
    fake_set(&pool, &pool.silent, true);
    kl_store_bench(b.store, 0, "{}");
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0001", 1),
                     KL_STORE_OK); /* something to tell */
    assert_true(bench_until(&b, has_trouble, &yes));
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);        /* unknown everywhere */
    assert_int_equal(reserve(&b, "dev-0002", 7), KL_STORE_ELSEWHERE); /* known as another's */
    assert_non_null(strstr(b.text, "bench-2"));
    kl_store_fleet(b.store, &view);
    assert_int_equal(view.unchecked, 1);
    /* Meanwhile another station gave that board a key. */
    uv_mutex_lock(&pool.lock);
    pool.board[1].mac = bench_mac(1);
    strcpy(pool.board[1].station, "bench-3");
    pool.boards = 2;
    pool.silent = false;
    pool.claims = 0;
    uv_mutex_unlock(&pool.lock);
    assert_true(bench_until(&b, reaches, &pool.claims));
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0001", 1), KL_STORE_OK);
    bench_close(&b);
    assert_true(pool.alarm);
    for (unsigned i = 0; i < pool.items; i++)
        if (pool.item[i].what == KL_FDB_PROVISIONED)
            assert_true(pool.item[i].offline);
}

static bool has_alarm(struct store_bench *b, void *wanted)
{
    struct kl_fleet_view view;

    kl_store_fleet(b->store, &view);
    return (view.alarms > 0) == *(bool *)wanted;
}

static void an_alarm_stays_until_it_is_settled(void **state)
{
    bool yes = true;
    struct store_bench b;
    struct kl_fleet_view view;

    (void)state;
    pool.alarm = true;
    open_pool(&b);
    assert_true(bench_until(&b, has_alarm, &yes));
    kl_store_fleet(b.store, &view);
    assert_non_null(strstr(view.alarm, "bench-2"));
    assert_non_null(strstr(b.note, "ALARM"));
    bench_close(&b);
}

/* The process dies at some instant after its keys came; the next start loses none and gives none
   twice. */
static void a_start_after_a_kill_goes_on(void **state)
{
    struct store_bench b;
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        open_pool(&b);
        wait_for_keys(&b, 8);
        if (reserve(&b, "dev-0001", 1) != KL_STORE_OK)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    uv_mutex_init(&pool.lock); /* the child may have held it */
    open_pool(&b);
    assert_int_equal(kl_store_content(b.store)->row_count, 8);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 1);
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(reserve(&b, "dev-0002", 2), KL_STORE_OK);
    bench_close(&b);
    /* Two may have been sent: they stay this station's. */
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 2);
}

static void keys_on_their_way_back_are_nobodys_here(void **state)
{
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    uv_mutex_lock(&pool.lock);
    pool.doubtful = "hand_back";
    pool.doubts = 1;
    uv_mutex_unlock(&pool.lock);
    bench_close(&b);
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 0); /* it was done, in doubt for the station */
    pool.key[0].state = FAKE_LEASED;                     /* another station's by now … */
    pool.key[0].request.b[0] = 99;
    pool.key[0].state = FAKE_PROVISIONED;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_null(strstr(kl_store_content(b.store)->rows[0].label, "dev-0001"));
    bench_close(&b);
    assert_int_equal(pool.key[0].state, FAKE_PROVISIONED);
}

static void a_copy_of_the_station_gets_nothing(void **state)
{
    bool yes = true;
    struct store_bench b;
    struct kl_fleet_view view;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    bench_close(&b);
    pool.token.b[3] ^= 1; /* a copy of this disk has spoken meanwhile */
    open_pool(&b);
    assert_true(bench_until(&b, has_trouble, &yes));
    kl_store_fleet(b.store, &view);
    assert_non_null(strstr(view.trouble, "another copy of this station"));
    assert_false(view.gives);
    /* What was agreed to may have been released since, by the newer one. */
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_WAITS);
    assert_non_null(strstr(b.text, "another copy of this station"));
    bench_close(&b);
}

static void the_first_start_needs_the_database(void **state)
{
    struct store_bench b;
    char key[4300];

    (void)state;
    pool.silent = true;
    assert_int_equal(try_open(&b), KL_STORE_AWAY);
    assert_non_null(strstr(b.error, "the first start needs the database of the pool lamps"));
    assert_non_null(strstr(b.error, "could not connect"));
    pool.silent = false;
    open_pool(&b);
    wait_for_keys(&b, 8);
    bench_close(&b);
    pool.silent = true; /* later ones do not */
    open_pool(&b);
    bench_close(&b);
    snprintf(key, sizeof key, "%s/station.key", folder);
    unlink(key);
    assert_int_equal(try_open(&b), KL_STORE_BROKEN);
    assert_non_null(strstr(b.error, "keyline pool join --pool lamps"));
}

static void one_station_at_a_time(void **state)
{
    struct store_bench b, second;

    (void)state;
    open_pool(&b);
    assert_int_equal(try_open(&second), KL_STORE_HELD);
    bench_close(&b);
}

/* The database hangs in the very call that runs at the end: the station ends all the same. */
static void a_database_that_hangs_does_not_hold_the_end_up(void **state)
{
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    fake_set(&pool, &pool.hangs, true);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0001", 1), KL_STORE_OK);
    bench_close(&b);
    fake_set(&pool, &pool.hangs, false);
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 8); /* the next start goes on */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_pool, remove_pool)
    const struct CMUnitTest tests[] = {
        T(keys_come_are_given_and_reported),
        T(without_the_database_known_boards_go_on_and_new_ones_wait),
        T(another_stations_board_gets_no_key),
        T(a_disputed_key_is_not_sent),
        T(a_key_given_back_unsent_serves_another_board),
        T(a_board_that_left_while_the_pool_was_silent_is_not_claimed),
        T(a_released_key_is_not_claimed),
        T(few_keys_are_told),
        T(a_pool_that_gives_no_more_leaves_few_keys),
        T(few_leased_keys_are_told_where_boards_go_on_without_the_database),
        T(a_reservation_without_an_agreement_waits),
        T(what_is_in_doubt_is_said_again),
        T(offline_boards_are_checked_later),
        T(an_alarm_stays_until_it_is_settled),
        T(a_start_after_a_kill_goes_on),
        T(keys_on_their_way_back_are_nobodys_here),
        T(a_copy_of_the_station_gets_nothing),
        T(the_first_start_needs_the_database),
        T(one_station_at_a_time),
        T(a_database_that_hangs_does_not_hold_the_end_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
