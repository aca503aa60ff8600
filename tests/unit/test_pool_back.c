/* A station's store on a shared pool whose database is another one than before, or an old copy of
   itself. */
#include "shared_bench.h"

#include <sqlite3.h>

/* Nobody leases from a database that was failed over; boards that hold keys go on, and the station
   tells all that it holds. */
static void after_a_failover_the_station_tells_what_it_holds(void **state)
{
    struct store_bench b;
    unsigned seven = 7;
    bool no = false;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    uv_mutex_lock(&pool.lock);
    pool.timeline = 2;
    /* It forgot the lease. */
    for (unsigned i = 0; i < 8; i++)
        pool.key[i].state = FAKE_FREE;
    pool.doubtful = NULL;
    pool.doubts = 1; /* the connection breaks */
    uv_mutex_unlock(&pool.lock);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, gives, &no));
    wait_until_provisioned(&b, "dev-0001");
    assert_true(bench_until(&b, has_leased, &seven));
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(fake_count(&pool, FAKE_LEASED), 7); /* nothing goes back either */
}

/* An old copy of the database's files is put back: it is the same database by all that it says of
   itself, and has keys as free that this station gave to boards. */
static void an_old_copy_of_the_database_hears_all_again(void **state)
{
    struct store_bench b;
    bool yes = true;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-0001", 1), KL_STORE_OK);
    wait_until_provisioned(&b, "dev-0001");
    fake_set(&pool, &pool.silent, true);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, &yes));
    uv_mutex_lock(&pool.lock);
    pool.items = pool.boards = 0;
    pool.key[0].state = FAKE_FREE;
    memset(&pool.key[0].mac, 0, sizeof pool.key[0].mac);
    pool.silent = false;
    uv_mutex_unlock(&pool.lock);
    wait_until_provisioned(&b, "dev-0001");
    assert_int_equal(pool.reasserts, 2); /* at the first greeting, and now */
    bench_close(&b);
}

static bool is_told(struct store_bench *b, void *ctx)
{
    bool told;

    (void)b;
    (void)ctx;
    uv_mutex_lock(&pool.lock);
    told = pool.told_timeline == pool.timeline && pool.boards == 0;
    uv_mutex_unlock(&pool.lock);
    return told;
}

/* A board left without its key, and the pool was told; a failover forgets that. The board is not
   this station's for ever: the release is told again, before all that is held. */
static void a_release_that_a_failover_forgot_is_told_again(void **state)
{
    struct store_bench b;
    bool yes = true;
    unsigned items;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    uv_mutex_lock(&pool.lock);
    items = pool.items;
    uv_mutex_unlock(&pool.lock);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, is_told, NULL));
    fake_set(&pool, &pool.silent, true);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0002", 2), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, &yes));
    uv_mutex_lock(&pool.lock);
    pool.items = items;
    pool.key[0].mac = pool.board[0].mac = bench_mac(1);
    pool.board[0].station[0] = '\0';
    pool.boards = 1;
    pool.timeline = 2;
    pool.silent = false;
    uv_mutex_unlock(&pool.lock);
    assert_true(bench_until(&b, is_told, NULL));
    assert_false(kl_mac_is_set(&pool.key[0].mac));
    bench_close(&b);
}

/* The pool agreed, a person released the key, and the pool heard that: another station may have the
   board now. The same key, kept for the same board again, waits for the pool, also after a start.
 */
static void an_agreement_ends_with_the_release(void **state)
{
    struct kl_fingerprint fp;
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    assert_true(bench_until(&b, is_told, NULL));
    fake_set(&pool, &pool.silent, true);
    fp = bench_key(&b, "dev-0001");
    bench_submit(&b, KL_OP_RESERVE, &fp, 1);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(b.status, KL_STORE_WAITS);
    bench_close(&b);
    pool.board[0].mac = bench_mac(1);
    kl_copy(pool.board[0].station, sizeof pool.board[0].station, "bench-2");
    pool.boards = 1;
    pool.silent = false;
    open_pool(&b);
    do
        assert_int_not_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_OK);
    while (b.status == KL_STORE_WAITS);
    assert_int_equal(b.status, KL_STORE_ELSEWHERE);
    bench_close(&b);
}

static bool is_asked_for(struct store_bench *b, void *ctx)
{
    bool asked;

    (void)b;
    (void)ctx;
    uv_mutex_lock(&pool.lock);
    asked = pool.claims > 0;
    uv_mutex_unlock(&pool.lock);
    return asked;
}

/* The pool has bound the key, its answer was lost, and the board left: the station is no copy of
   itself because it has that key unused now. */
static void a_board_that_left_while_its_claim_was_in_doubt_is_released(void **state)
{
    struct kl_fingerprint fp;
    struct store_bench b;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    uv_mutex_lock(&pool.lock);
    pool.doubtful = "claim";
    pool.doubts = 1;
    uv_mutex_unlock(&pool.lock);
    fp = bench_key(&b, "dev-0001");
    bench_submit(&b, KL_OP_RESERVE, &fp, 1);
    assert_true(bench_until(&b, is_asked_for, NULL));
    fake_set(&pool, &pool.silent, true);
    assert_true(bench_until(&b, is_answered, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_RELEASE, "dev-0001", 1), KL_STORE_OK);
    fake_set(&pool, &pool.silent, false);
    assert_int_equal(reserve(&b, "dev-0002", 2), KL_STORE_OK);
    bench_close(&b);
}

/* An old copy of the database, put back, has forgotten the lease alone: no result says so. Its own
   numbers do, and nobody leases until the pool is reopened. It is older than the station's last
   greeting, too: the station is not taken for a copy of itself. */
static void a_copy_of_the_database_that_forgot_only_leases_is_noticed(void **state)
{
    unsigned eight = 8;
    struct store_bench b;
    bool yes = true;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    fake_set(&pool, &pool.silent, true);
    assert_int_equal(bench_ask(&b, KL_OP_ATTEMPT, "dev-0002", 2), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, &yes));
    uv_mutex_lock(&pool.lock);
    pool.xid = 0;
    for (unsigned i = 0; i < 8; i++)
        pool.key[i].state = FAKE_FREE;
    memset(&pool.token, 0x33, sizeof pool.token);
    pool.leases = 0;
    pool.silent = false;
    uv_mutex_unlock(&pool.lock);
    assert_true(bench_until(&b, has_leased, &eight));
    assert_int_equal(pool.backs, 1);
    assert_int_equal(pool.pool_timeline, 0);
    assert_int_equal(pool.leases, 0);
    bench_close(&b);
    pool.pool_timeline = pool.timeline; /* a person looked */
    open_pool(&b);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(pool.backs, 1);
    bench_close(&b);
}

/* The heartbeat finds it too, if no connection broke, and a database that was loaded from a dump. A
   greeting does, whose token the copy knows. */
static void a_copy_of_the_database_behind_a_pooler_is_noticed(void **state)
{
    struct kl_fleet_call hello = {.op = KL_FLEET_HELLO}, tell = {.op = KL_FLEET_REASSERT},
                         beat = {.op = KL_FLEET_STATUS};
    struct kl_fleet_hand *h = calloc(1, sizeof *h);
    struct kl_fleet_answer a;
    struct kl_keyring *keyring;
    char path[4300], error[KL_TEXT_MAX];

    (void)state;
    assert_non_null(h);
    snprintf(path, sizeof path, "%s/station.key", folder);
    keyring = kl_keyring_open(path, error);
    assert_non_null(keyring);
    assert_true(kl_fleet_hand_open(h, folder, "lamps", &fake_calls, keyring, error));
    kl_fleet_hand_do(h, &hello, &a);
    assert_true(kl_list_create(h->list, "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a", 2, error));
    for (unsigned i = 0; i < 3; i++) {
        kl_fleet_hand_do(h, &tell, &a);
        assert_int_equal(a.result, KL_FLEET_OK);
        pool.pool_timeline = pool.timeline;
        kl_fleet_hand_do(h, &beat, &a);
        assert_int_equal(a.result, KL_FLEET_OK);
        assert_true(a.may_lease);
        pool.xid = i == 1 ? pool.xid : 0;
        pool.born += i == 1;
        if (i < 2) {
            kl_fleet_hand_do(h, &beat, &a);
            assert_int_equal(a.result, KL_FLEET_REFUSED);
            assert_int_equal(a.refusal, KL_FLEET_NO_FENCE);
            assert_int_equal(pool.backs, i + 1);
        }
        kl_fleet_hand_do(h, &hello, &a);
        assert_int_equal(a.result, KL_FLEET_OK);
        assert_false(a.same_database);
        assert_false(a.may_lease);
        assert_int_equal(pool.backs, i + 1);
    }
    /* Nor is one let in whose ledger is older than what the pool knows of it. */
    pool.item[pool.items++] = (struct kl_fdb_item){.seq = 500};
    kl_fleet_hand_do(h, &hello, &a);
    assert_int_equal(a.result, KL_FLEET_REFUSED);
    assert_int_equal(a.refusal, KL_FLEET_NO_COPY);
    kl_fleet_hand_close(h);
    kl_keyring_free(keyring);
    free(h);
}

/* The file of a station that had version 1.1.0. */
static void an_older_file_goes_on(void **state)
{
    struct store_bench b;
    char path[4300];
    sqlite3 *db;

    (void)state;
    open_pool(&b);
    wait_for_keys(&b, 8);
    assert_int_equal(reserve(&b, "dev-0001", 1), KL_STORE_OK);
    bench_close(&b);
    snprintf(path, sizeof path, "%s/fleet.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "ALTER TABLE kept DROP COLUMN xid;"
                                  "ALTER TABLE kept DROP COLUMN born;"
                                  "ALTER TABLE agreed DROP COLUMN at",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    open_pool(&b);
    assert_int_equal(bench_ask(&b, KL_OP_FETCH, "dev-0001", 1), KL_STORE_OK);
    assert_int_equal(pool.reasserts, 1);
    bench_close(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_pool, remove_pool)
    const struct CMUnitTest tests[] = {
        T(after_a_failover_the_station_tells_what_it_holds),
        T(an_old_copy_of_the_database_hears_all_again),
        T(a_release_that_a_failover_forgot_is_told_again),
        T(a_copy_of_the_database_that_forgot_only_leases_is_noticed),
        T(a_copy_of_the_database_behind_a_pooler_is_noticed),
        T(an_agreement_ends_with_the_release),
        T(a_board_that_left_while_its_claim_was_in_doubt_is_released),
        T(an_older_file_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
