/* Tests of what people do with the store's files: what stops a start, and what an answer does. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "adapters/host/disk.h"
#include "adapters/host/machine.h"
#include "adapters/host/storage.h"
#include "store_folder.h"

/* The ledger that the first keyline made for these rows. */
static void put_old_ledger(void)
{
    char *sql = file_read(KL_SOURCE_DIR "/tests/custody/ledger-1.sql", NULL);
    sqlite3 *db;

    assert_non_null(sql);
    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    free(sql);
}

/* ---- a key is its secret ---- */

static void a_ledger_of_the_first_format_goes_on(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    put_old_ledger();
    opens(&b, 0);
    assert_true(entry(&b, "dev-1")->provisioned);
    assert_false(entry(&b, "dev-2")->provisioned);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], 2);
    assert_null(entry(&b, "dev-3"));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 9), KL_STORE_REFUSED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-3", 8), KL_STORE_OK);
    bench_close(&b);
    assert_int_equal(number("PRAGMA user_version"), 2);
    assert_int_equal(number("SELECT count(*) FROM keys WHERE form = 1 AND state <> 'released'"), 0);
}

static void its_keys_are_known_under_corrected_labels(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, edited(rows, "dev-2", "DEV-002"));
    put_old_ledger();
    stops(KL_DOUBT_RENAMED, "line 2: the key dev-2, which is reserved for 24:6f:28:00:00:02, is "
                            "called DEV-002 now");
    opens(&b, 1u << KL_DOUBT_RENAMED);
    assert_int_equal(entry(&b, "DEV-002")->mac.b[5], 2);
    bench_close(&b);
}

static void whoever_only_looks_changes_nothing_of_it(void **state)
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_LOOK};
    char error[KL_TEXT_MAX];
    struct kl_store *s;
    size_t size, after;
    char *was, *is;

    (void)state;
    file_put(csv, rows);
    put_old_ledger();
    was = file_read(ledger, &size);
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(s)->ledger_count, 2);
    assert_true(kl_fingerprint_equal(&kl_store_content(s)->ledger[1].fingerprint,
                                     &kl_store_content(s)->rows[1].fingerprint));
    kl_store_free(s);
    is = file_read(ledger, &after);
    assert_int_equal(size, after);
    assert_memory_equal(was, is, size);
    free(was);
    free(is);
}

static bool reloaded(struct store_bench *b, void *ctx)
{
    return b->reloads >= *(unsigned *)ctx;
}

static void a_row_that_comes_back_is_known(void **state)
{
    const char *line = strstr(rows, "dev-2");
    char without[1024];
    struct store_bench b;
    unsigned once = 1;

    (void)state;
    snprintf(without, sizeof without, "%.*s%s", (int)(line - rows), rows, strstr(rows, "dev-3"));
    file_put(csv, without);
    put_old_ledger();
    opens(&b, 0);
    file_put(csv, edited(rows, "dev-2", "DEV-002"));
    assert_true(bench_until(&b, reloaded, &once));
    assert_int_equal(entry(&b, "DEV-002")->mac.b[5], 2);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "DEV-002", 9), KL_STORE_REFUSED);
    bench_close(&b);
}

static void a_corrected_label_is_asked_about_and_recorded(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    file_put(csv, edited(rows, "dev-1", "DEV-001"));
    stops(KL_DOUBT_RENAMED, "dev-1");
    stops(KL_DOUBT_RENAMED, "dev-1"); /* nothing was answered by asking */
    opens(&b, 1u << KL_DOUBT_RENAMED);
    assert_string_equal(entry(&b, "DEV-001")->label, "DEV-001");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "DEV-001", 9), KL_STORE_REFUSED);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'renamed' AND label = "
                            "'DEV-001' AND reason LIKE 'was dev-1%'"),
                     1);
    opens(&b, 0); /* and it is asked once */
    bench_close(&b);
}

static bool is_asked(struct store_bench *b, void *words)
{
    return strstr(b->question.text, words) != NULL;
}

static void another_spelling_of_a_held_secret_is_refused(void **state)
{
    struct store_bench b;
    struct kl_fingerprint fp;
    unsigned once = 1;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    file_put(csv,
             edited(rows, "dev-1,0011223344556677,8899AABB", "new,00112233-44556677,8899aabb"));
    assert_true(bench_until(&b, is_asked, (char[]){"line 1, column 2"}));
    assert_true(kl_store_answer(b.store, b.question.id));
    assert_true(bench_until(&b, reloaded, &once));
    fp = bench_key(&b, "new");
    bench_submit(&b, KL_OP_RESERVE, &fp, 2);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_close(&b);
}

/* ---- copies ---- */

/* One key reserved, one provisioned, and the store closed. */
static void work_a_little(void)
{
    struct store_bench b;

    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
}

static void reserve_one(const char *label, unsigned board)
{
    struct store_bench b;

    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, label, board), KL_STORE_OK);
    bench_close(&b);
}

static void yesterdays_ledger_is_an_old_copy(void **state)
{
    const uint32_t back = 1u << KL_DOUBT_MOVED;
    struct store_bench b;
    char old[240];

    (void)state;
    snprintf(old, sizeof old, "%s.old", ledger);
    work_a_little();
    copy_file(ledger, old);
    reserve_one("dev-2", 2);
    copy_file(old, ledger);
    stops(KL_DOUBT_MOVED, "a copy was put back");
    assert_int_equal(bench_open_answered(&b, csv, back), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, KL_DOUBT_OLD);
    assert_non_null(strstr(b.error, "it lacks dev-2 for 24:0a:c4:00:00:02"));
    opens(&b, back | 1u << KL_DOUBT_OLD);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], 2);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 9), KL_STORE_REFUSED);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'restored'"), 1);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'healed' AND reason LIKE "
                            "'%it lacks dev-2 for %'"),
                     1);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'moved'"), 1);
    opens(&b, 0); /* and nothing is left to ask */
    bench_close(&b);
}

static void a_ledger_that_is_gone_is_missed(void **state)
{
    struct store_bench b;

    (void)state;
    work_a_little();
    reserve_one("dev-2", 2);
    unlink(ledger);
    stops(KL_DOUBT_OLD, "has no ledger, but keys of it were given out");
    assert_int_equal(access(ledger, F_OK), -1);
    opens(&b, 1u << KL_DOUBT_OLD);
    assert_true(entry(&b, "dev-1")->provisioned);
    assert_int_equal(entry(&b, "dev-2")->mac.b[5], 2);
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'healed'"), 1);
}

static void so_are_keys_that_were_renamed_and_copied_without_it(void **state)
{
    (void)state;
    work_a_little();
    reserve_one("dev-2", 2);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "again.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    file_put(csv, edited(rows, "dev-2", "DEV-002"));
    stops(KL_DOUBT_OLD, "has no ledger, but keys of it were given out");
}

/* From here on the tests look at a copy of CSV and ledger. */
static void use_copy(const char *name)
{
    char from[2][220];

    snprintf(from[0], sizeof from[0], "%s", csv);
    snprintf(from[1], sizeof from[1], "%s", ledger);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, name));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    copy_file(from[0], csv);
    copy_file(from[1], ledger);
}

static void a_copy_and_its_original_know_of_each_other(void **state)
{
    char original[200];
    struct store_bench b;

    (void)state;
    work_a_little();
    snprintf(original, sizeof original, "%s", csv);
    use_copy("copy.csv");
    stops(KL_DOUBT_MOVED, "this ledger belongs to ");
    opens(&b, 1u << KL_DOUBT_MOVED);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
    /* The original runs again: it does not know what the copy gave out, and is told. */
    snprintf(csv, sizeof csv, "%s", original);
    stops(KL_DOUBT_OLD, "dev-2 for ");
}

static void another_machine_is_noticed(void **state)
{
    sqlite3 *db;

    (void)state;
    work_a_little();
    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE pool SET machine = 'another'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    stops(KL_DOUBT_MOVED, "another machine");
}

/* Reads the ledger and does not end: until the process does, the log is not taken in. */
static bool keeps_reading(void)
{
    sqlite3 *db;

    return sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
           sqlite3_exec(db, "BEGIN; SELECT count(*) FROM keys", NULL, NULL, NULL) == SQLITE_OK;
}

/* A station that is killed: whatever it had open stays. A slow one would get to take its log in. */
static void killed_after_reserving(const char *label, unsigned board)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct store_bench b;
        _exit(bench_open(&b, csv) != KL_STORE_OPENED || !keeps_reading() ||
              bench_ask(&b, KL_OP_RESERVE, label, board) != KL_STORE_OK);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void remove_logs(void)
{
    char path[240];

    snprintf(path, sizeof path, "%s-wal", ledger);
    unlink(path);
    snprintf(path, sizeof path, "%s-shm", ledger);
    unlink(path);
}

static void half_a_copy_is_known_as_one(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    killed_after_reserving("dev-1", 1);
    remove_logs();
    stops(KL_DOUBT_OLD, "it lacks dev-1 for ");
    /* even where no journal tells what is missing */
    char command[1024];
    snprintf(command, sizeof command, "rm -r '%s'", bench_journal(csv));
    assert_int_equal(system(command), 0);
    stops(KL_DOUBT_OLD, "its -wal file is missing");
    opens(&b, 1u << KL_DOUBT_OLD);
    bench_close(&b);
    opens(&b, 0);
    bench_close(&b);
}

static bool is_one_file(struct store_bench *b, void *ctx)
{
    char path[240];
    struct stat st;

    (void)b;
    (void)ctx;
    snprintf(path, sizeof path, "%s-wal", ledger);
    return stat(path, &st) != 0 || st.st_size == 0;
}

static void on_a_quiet_bench_the_ledger_is_one_file(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_true(bench_until(&b, is_one_file, NULL));
    assert_int_equal(number("SELECT count(*) FROM keys WHERE state = 'reserved'"), 1);
    bench_close(&b);
    assert_true(is_one_file(NULL, NULL));
}

static void what_is_no_ledger_of_ours_is_not_touched(void **state)
{
    static const char *const texts[] = {"no database at all, and long enough to hold a header, "
                                        "so that it is looked at: one hundred bytes or more.",
                                        "PRAGMA user_version = 3; PRAGMA application_id = "
                                        "0x6b6c6e65; CREATE TABLE keys (a);",
                                        "CREATE TABLE t (a);"};

    (void)state;
    file_put(csv, rows);
    for (int i = 0; i < 3; i++) {
        struct store_bench b;
        size_t size, after;
        char *was, *is;
        struct stat st;
        sqlite3 *db;

        unlink(ledger);
        if (i == 0) {
            file_put(ledger, texts[i]);
        } else {
            assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, texts[i], NULL, NULL, NULL), SQLITE_OK);
            sqlite3_close(db);
        }
        assert_int_equal(chmod(ledger, 0644), 0);
        was = file_read(ledger, &size);
        assert_int_equal(bench_open(&b, csv), KL_STORE_BROKEN);
        is = file_read(ledger, &after);
        assert_int_equal(size, after);
        assert_memory_equal(was, is, size);
        assert_int_equal(stat(ledger, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        free(was);
        free(is);
    }
}

/* ---- one station ---- */

static void sql(const char *text)
{
    sqlite3 *db;
    char *error = NULL;

    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 100000);
    if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(db);
}

/* As another mount would show it, where the kernel's locks do not reach. */
static void lease_to(const struct kl_process *p)
{
    char text[600];

    snprintf(text, sizeof text,
             "INSERT OR REPLACE INTO lease VALUES (1, x'01010101010101010101010101010101', '%s', "
             "'%s', '%s', %lld, %lld, 'user ada, host bench9', 1)",
             p->machine, p->boot, p->space, (long long)p->pid, (long long)p->started);
    sql(text);
}

static void a_living_process_is_seen_without_any_lock(void **state)
{
    struct kl_process p;
    struct store_bench b;
    int status;
    pid_t pid;

    (void)state;
    work_a_little();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if ((pid = fork()) == 0) {
        kl_process_self(&p);
        _exit(write(ends[1], &p, sizeof p) != sizeof p || pause());
    }
    assert_int_equal(read(ends[0], &p, sizeof p), sizeof p);
    lease_to(&p);
    assert_int_equal(bench_open(&b, csv), KL_STORE_HELD);
    assert_non_null(strstr(b.error, "user ada, host bench9"));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    opens(&b, 0); /* it is gone: nobody has to clean up */
    bench_close(&b);
    close(ends[0]);
    close(ends[1]);
}

static void shared(const char *path, bool probe, struct kl_storage *out)
{
    (void)path;
    (void)probe;
    *out = (struct kl_storage){.kind = KL_STORAGE_SHARED, .text = "a network file system (NFS)"};
}

static void *show_life(void *stop)
{
    while (!*(volatile bool *)stop) {
        sql("UPDATE lease SET beat = beat + 1");
        usleep(100 * 1000);
    }
    return NULL;
}

static void another_machine_is_seen_by_its_signs_of_life(void **state)
{
    struct kl_disk disk = kl_disk_real;
    struct kl_process p = {.machine = "another", .boot = "b", .space = "s", .pid = 7, .started = 9};
    static volatile bool stop;
    struct store_bench b;
    pthread_t thread;

    (void)state;
    disk.look = shared;
    kl_disk = &disk;
    work_a_little();
    lease_to(&p);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, show_life, (void *)(uintptr_t)&stop), 0);
    assert_int_equal(bench_open(&b, csv), KL_STORE_HELD);
    stop = true;
    pthread_join(thread, NULL);
    kl_disk = &kl_disk_real;
}

static void a_station_that_was_taken_over_gives_no_more_keys(void **state)
{
    struct store_bench b;

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    sql("UPDATE lease SET token = x'02020202020202020202020202020202'");
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    assert_false(b.has_key);
    assert_non_null(strstr(b.text, "another station has taken"));
    bench_close(&b);
    assert_int_equal(number("SELECT count(*) FROM keys"), 1);
}

/* ---- the journal while a station runs ---- */

static void without_its_journal_no_key_leaves(void **state)
{
    struct store_bench b;
    char command[1024], folder[256];

    (void)state;
    file_put(csv, rows);
    opens(&b, 0);
    snprintf(folder, sizeof folder, "%s", bench_journal(csv));
    snprintf(command, sizeof command, "rm -r '%s' && touch '%s'", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_FAILED);
    assert_false(b.has_key);
    assert_non_null(strstr(b.trouble, "journal"));
    /* what boards prove is recorded all the same */
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-4", 4), KL_STORE_OK);
    snprintf(command, sizeof command, "rm '%s' && mkdir '%s'", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    bench_close(&b);
    /* … and the new journal has it, too */
    unlink(ledger);
    stops(KL_DOUBT_OLD, " and 1 more");
}

/* ---- storage ---- */

static void forgets(const char *path, bool probe, struct kl_storage *out)
{
    (void)path;
    (void)probe;
    *out = (struct kl_storage){.kind = KL_STORAGE_FORGETS, .text = "memory"};
}

static void strange(const char *path, bool probe, struct kl_storage *out)
{
    (void)path;
    (void)probe;
    *out = (struct kl_storage){.kind = KL_STORAGE_STRANGE, .text = "a FUSE mount"};
}

static void storage_that_forgets_is_asked_about(void **state)
{
    struct kl_disk disk = kl_disk_real;
    enum kl_doubt doubt;
    struct kl_store_options options = {.csv = csv, .journal = bench_journal(csv), .doubt = &doubt};
    char error[KL_TEXT_MAX];
    struct kl_store *s;

    (void)state;
    file_put(csv, rows);
    disk.look = forgets;
    kl_disk = &disk;
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_DOUBT);
    assert_int_equal(doubt, KL_DOUBT_STORAGE);
    assert_int_equal(access(ledger, F_OK), -1);
    options.answers = 1u << KL_DOUBT_STORAGE;
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_OPENED);
    assert_string_equal(kl_store_content(s)->forgets, "memory");
    kl_store_free(s);
    assert_int_equal(number("SELECT count(*) FROM history WHERE what = 'volatile'"), 1);
    disk.look = strange;
    assert_int_equal(kl_store_open(&options, &s, error), KL_STORE_BROKEN);
    kl_disk = &kl_disk_real;
}

static bool has_two_rows(struct store_bench *b, void *ctx)
{
    (void)ctx;
    return kl_store_content(b->store)->row_count == 2;
}

static void a_demonstration_stays_one_when_rows_are_added(void **state)
{
    struct kl_disk disk = kl_disk_real;
    struct store_bench b;

    (void)state;
    file_put(csv, "dev-1,aa01\n");
    disk.look = forgets;
    kl_disk = &disk;
    assert_int_equal(bench_open_answered(&b, csv, 1u << KL_DOUBT_STORAGE), KL_STORE_OPENED);
    file_put(csv, "dev-1,aa01\ndev-2,aa02\n");
    assert_true(bench_until(&b, has_two_rows, NULL));
    assert_string_equal(kl_store_content(b.store)->forgets, "memory");
    bench_close(&b);
    kl_disk = &kl_disk_real;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(a_ledger_of_the_first_format_goes_on),
        TEST(its_keys_are_known_under_corrected_labels),
        TEST(whoever_only_looks_changes_nothing_of_it),
        TEST(a_row_that_comes_back_is_known),
        TEST(a_corrected_label_is_asked_about_and_recorded),
        TEST(another_spelling_of_a_held_secret_is_refused),
        TEST(yesterdays_ledger_is_an_old_copy),
        TEST(a_ledger_that_is_gone_is_missed),
        TEST(so_are_keys_that_were_renamed_and_copied_without_it),
        TEST(a_copy_and_its_original_know_of_each_other),
        TEST(another_machine_is_noticed),
        TEST(half_a_copy_is_known_as_one),
        TEST(on_a_quiet_bench_the_ledger_is_one_file),
        TEST(what_is_no_ledger_of_ours_is_not_touched),
        TEST(a_living_process_is_seen_without_any_lock),
        TEST(another_machine_is_seen_by_its_signs_of_life),
        TEST(a_station_that_was_taken_over_gives_no_more_keys),
        TEST(without_its_journal_no_key_leaves),
        TEST(storage_that_forgets_is_asked_about),
        TEST(a_demonstration_stays_one_when_rows_are_added),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
