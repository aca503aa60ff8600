/*
 * test_journal.c: the file of the second witness. Zeros stand behind its records, so that an append
 * does not make it longer; it is read as far as it goes, whoever cut, copied or wrote it, and
 * whenever the power went.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/host/disk.h"
#include "adapters/store/journal.h"
#include "fault_disk.h"
#include "scratch.h"

enum {
    HEADER = 512,
    RECORD = 64,
    WITH_LABEL = 2 * RECORD, /* what each record of these tests takes */
    STEP = 16384,
};

static const struct kl_pool_id pool = {{7, 7, 7}};
static struct scratch dir;

/* Only the simulated power cuts lose anything, and they count on no sync of the real disk. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static int no_sync_folder(const char *of_file)
{
    (void)of_file;
    return 0;
}

static int make_folder(void **state)
{
    static struct kl_disk quick;

    (void)state;
    quick = kl_disk_real;
    quick.sync = quick.sync_data = no_sync;
    quick.sync_folder = no_sync_folder;
    kl_disk = &quick;
    scratch_make(&dir);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

static const char *path(void)
{
    return scratch_path(&dir, "07070700000000000000000000000000.journal");
}

static off_t size_of_file(void)
{
    struct stat st;

    assert_int_equal(stat(path(), &st), 0);
    return st.st_size;
}

/* Record `i`, with a label that fits into one record of its own. */
static struct kl_journal_record record(unsigned i)
{
    static char label[8][16];
    struct kl_journal_record r = {.kind = KL_JOURNAL_RESERVED,
                                  .mac = {{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}},
                                  .change = (int64_t)i + 1,
                                  .wall = 1000 + (int64_t)i,
                                  .label = label[i % 8]};

    snprintf(label[i % 8], sizeof label[0], "dev-%u", i);
    r.fingerprint.b[0] = (uint8_t)i;
    r.fingerprint.b[1] = (uint8_t)(i >> 8);
    r.fingerprint.b[15] = 1;
    return r;
}

static void make(unsigned count)
{
    char error[KL_TEXT_MAX];
    struct kl_journal *j = kl_journal_make(dir.folder, &pool, "/keys.csv", NULL, 0, error);

    assert_non_null(j);
    for (unsigned i = 0; i < count; i++) {
        struct kl_journal_record r = record(i);
        assert_true(kl_journal_append(j, &r, 1, error));
    }
    assert_true(kl_journal_sync(j, error));
    kl_journal_close(j);
}

static struct kl_journal *must_open(void)
{
    char error[KL_TEXT_MAX] = "it is not there";
    struct kl_journal *j = kl_journal_open(dir.folder, &pool, error);

    if (j == NULL)
        fail_msg("%s", error);
    return j;
}

static bool knows(const struct kl_journal *j, unsigned i)
{
    struct kl_journal_record wanted = record(i);
    const struct kl_journal_record *r = kl_journal_find(j, &wanted.fingerprint);

    return r != NULL && r->kind == wanted.kind && kl_mac_equal(&r->mac, &wanted.mac) &&
           r->change == wanted.change && r->wall == wanted.wall &&
           strcmp(r->label, wanted.label) == 0;
}

/* Appends record `i` to what is there, and finds it again with all of the first `count`. */
static void goes_on(unsigned count, unsigned i)
{
    struct kl_journal_record r = record(i);
    struct kl_journal *j = must_open();
    char error[KL_TEXT_MAX];

    assert_true(kl_journal_append(j, &r, 1, error));
    assert_true(kl_journal_sync(j, error));
    assert_true(kl_journal_is_whole(j));
    kl_journal_close(j);
    j = must_open();
    for (unsigned k = 0; k < count; k++)
        assert_true(knows(j, k));
    assert_true(knows(j, i));
    kl_journal_close(j);
}

static void an_append_seldom_makes_the_file_longer(void **state)
{
    char error[KL_TEXT_MAX];
    struct kl_journal *j;
    unsigned longer = 0;

    (void)state;
    make(0);
    j = must_open();
    for (unsigned i = 0; i < 200; i++) {
        struct kl_journal_record r = record(i);
        off_t before = size_of_file();
        assert_true(kl_journal_append(j, &r, 1, error));
        assert_true(kl_journal_sync(j, error));
        longer += size_of_file() != before;
    }
    kl_journal_close(j);
    assert_true(longer <= 200 * WITH_LABEL / STEP + 1);
    j = must_open();
    for (unsigned i = 0; i < 200; i++)
        assert_true(knows(j, i));
    kl_journal_close(j);
}

/* Also a journal of an earlier version: it ends behind its last record. */
static void a_journal_is_read_as_far_as_it_goes(void **state)
{
    enum {
        COUNT = 4,
        END = HEADER + COUNT * WITH_LABEL
    };

    (void)state;
    make(COUNT);
    for (off_t size = 0; size <= END + RECORD; size += size < HEADER ? 64 : 13) {
        unsigned whole = size < HEADER ? 0 : (unsigned)(size - HEADER) / WITH_LABEL;
        char error[KL_TEXT_MAX];
        size_t count;

        if (whole > COUNT)
            whole = COUNT;
        assert_int_equal(truncate(path(), size), 0);
        if (size < HEADER) {
            assert_null(kl_journal_open(dir.folder, &pool, error));
            assert_non_null(strstr(error, "is damaged"));
        } else {
            struct kl_journal *j = must_open();
            kl_journal_records(j, &count);
            assert_int_equal(count, whole);
            kl_journal_close(j);
            goes_on(whole, COUNT + 1);
        }
        make(COUNT);
    }
    assert_int_equal(truncate(path(), END), 0);
    goes_on(COUNT, COUNT + 1);
}

static void a_copy_with_a_hole_goes_on(void **state)
{
    char command[1024];

    (void)state;
    make(5);
    snprintf(command, sizeof command, "cd '%s' && cp --sparse=always '%s' copy && mv copy '%s'",
             dir.folder, path(), path());
    assert_int_equal(system(command), 0);
    goes_on(5, 6);
}

/* A station keeps no records in memory: it only writes. What it wrote is there for the next one. */
static void a_journal_that_has_forgotten_goes_on(void **state)
{
    char error[KL_TEXT_MAX];
    struct kl_journal *j;
    off_t end;

    (void)state;
    make(3);
    j = must_open();
    kl_journal_forget(j);
    assert_true(kl_journal_has_forgotten(j));
    assert_int_equal(kl_journal_last_change(j), 3);
    for (unsigned i = 3; i < 600; i++) {
        struct kl_journal_record r = record(i);
        assert_true(kl_journal_append(j, &r, 1, error));
    }
    assert_true(kl_journal_is_whole(j));
    assert_int_equal(kl_journal_last_change(j), 600);
    end = size_of_file();
    /* The label of a key at work is not written again, with each of its changes. */
    for (unsigned i = 0; i < 2 * STEP / RECORD; i++) {
        struct kl_journal_record r = record(599);
        assert_true(kl_journal_append(j, &r, 1, error));
    }
    assert_true(size_of_file() <= end + 2 * STEP);
    assert_true(kl_journal_sync(j, error));
    kl_journal_close(j);
    j = must_open();
    for (unsigned i = 0; i < 600; i++)
        assert_true(knows(j, i));
    kl_journal_close(j);
}

static void a_journal_that_others_wrote_to_is_not_whole(void **state)
{
    char error[KL_TEXT_MAX];
    struct kl_journal *j;
    size_t size;
    char *older;

    (void)state;
    make(3);
    older = file_read(path(), &size);
    j = must_open();
    assert_true(kl_journal_is_whole(j));
    for (unsigned i = 3; i < 5; i++) {
        struct kl_journal_record r = record(i);
        assert_true(kl_journal_append(j, &r, 1, error));
    }
    assert_true(kl_journal_is_whole(j));
    file_write(path(), older, size); /* as long as the newer one, and the same inode */
    assert_false(kl_journal_is_whole(j));
    kl_journal_close(j);
    j = must_open();
    assert_int_equal(truncate(path(), HEADER + WITH_LABEL), 0);
    assert_false(kl_journal_is_whole(j));
    kl_journal_close(j);
    free(older);
}

/* ---- power cuts ---- */

enum {
    BEFORE = 118, /* records: the second round below goes over the end of a step */
    AT_ONCE = 3,
    ROUNDS = 4,
};

static struct progress {
    unsigned appended, synced, steps;
} * progress;

static void child(unsigned crash_at, unsigned seed)
{
    struct kl_journal *j;
    char error[KL_TEXT_MAX];

    fault_install();
    fault_crash(crash_at, seed);
    if (!(j = kl_journal_open(dir.folder, &pool, error)))
        _exit(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct kl_journal_record r[AT_ONCE];
        for (unsigned i = 0; i < AT_ONCE; i++)
            r[i] = record(BEFORE + round * AT_ONCE + i);
        progress->appended += AT_ONCE;
        if (!kl_journal_append(j, r, AT_ONCE, error) || !kl_journal_sync(j, error))
            _exit(1);
        progress->synced += AT_ONCE;
    }
    progress->steps = fault_steps();
    _exit(0);
}

/* False if the power was cut. */
static bool run(unsigned crash_at, unsigned seed)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        child(crash_at, seed);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_EXIT);
    return WEXITSTATUS(status) == 0;
}

static void what_was_synced_survives_a_power_cut(void **state)
{
    (void)state;
    make(0);
    progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(progress, MAP_FAILED);
    for (unsigned seed = 1; seed <= 8; seed++) {
        for (unsigned step = 1;; step++) {
            struct kl_journal *j;
            size_t count;
            bool ended;

            make(BEFORE);
            assert_int_equal(size_of_file(), STEP);
            memset(progress, 0, sizeof *progress);
            ended = run(step, 1000 * seed + step);
            j = must_open();
            kl_journal_records(j, &count);
            assert_true(count <= BEFORE + progress->appended);
            for (unsigned i = 0; i < BEFORE + progress->synced; i++)
                assert_true(knows(j, i));
            kl_journal_close(j);
            goes_on(BEFORE + progress->synced, BEFORE + ROUNDS * AT_ONCE);
            if (!ended)
                continue;
            /* Each round wrote and synced; one of them made the file longer. */
            assert_int_equal(progress->steps, 2 * ROUNDS + 1);
            assert_int_equal(step, progress->steps + 1);
            assert_int_equal(size_of_file(), 2 * STEP);
            break;
        }
    }
    munmap(progress, sizeof *progress);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(an_append_seldom_makes_the_file_longer),
        TEST(a_journal_is_read_as_far_as_it_goes),
        TEST(a_copy_with_a_hole_goes_on),
        TEST(a_journal_that_has_forgotten_goes_on),
        TEST(a_journal_that_others_wrote_to_is_not_whole),
        TEST(what_was_synced_survives_a_power_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
