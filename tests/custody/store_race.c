/*
 * store_race.c: processes that race for one CSV.
 *
 *   alone    of two that start at the same instant, through different names of the file, exactly
 *            one gets it; when it is killed, the next one does, whatever the dead one's lease in
 *            the ledger looks like by then: its number is another process's now, or the machine was
 *            started anew. While a living process has the lease, both are refused
 *   turns    two that each wait for their turn, take keys for boards of their own, and die or close
 *            without notice: in the end no key has two boards and no board two keys
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "adapters/host/machine.h"
#include "scratch.h"
#include "store_bench.h"

enum {
    RACES = 1000,
    ROUNDS = 150, /* each with two that take a key */
    KEYS = 2 * ROUNDS,
};

static struct scratch dir;
static char csv[256], name[256];

static void write_keys(void)
{
    static char text[KEYS * 32];
    size_t n = 0;

    for (int i = 0; i < KEYS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "dev-%d,%08x\n", i, i * 2654435761u);
    file_put(csv, text);
}

/* In memory, if there is some: nothing here needs a disk, and each round syncs often. */
static int start(void **state)
{
    (void)state;
    if (!getenv("TMPDIR") && access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s/keys.csv", dir.folder);
    snprintf(name, sizeof name, "%s/name.csv", dir.folder);
    write_keys();
    return symlink("keys.csv", name);
}

static int stop(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

/* Waits for the start, opens, says how that went, and stays. */
static pid_t contender(const char *path, int go, int told)
{
    struct store_bench b;
    pid_t pid = fork();
    char word;

    if (pid != 0)
        return pid;
    word = read(go, &word, 1) == 1 ? (char)('0' + bench_open(&b, path)) : '?';
    if (write(told, &word, 1) != 1)
        _exit(1);
    if (word == '0' + KL_STORE_OPENED)
        pause();
    _exit(strstr(b.error, "pid ") != NULL ? 0 : 1);
}

static int exit_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What the lease in the ledger looks like when the next two start. */
enum lease {
    ALIVE,      /* its holder lives, although it has lost the kernel's locks */
    REUSED,     /* its number is that of a process that lives, and began at another time */
    OTHER_BOOT, /* the same number and begin, before the machine was started anew */
    ELSEWHERE,  /* of another machine: this disk is here now */
    AS_LEFT,    /* its holder was killed */
    LEASES
};

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

static void set_lease(enum lease lease)
{
    char ledger[300];
    struct kl_process p;
    sqlite3_stmt *s;
    sqlite3 *db;

    if (lease == AS_LEFT)
        return;
    kl_process_self(&p);
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    assert_int_equal(sqlite3_open(ledger, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 100000);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "INSERT OR REPLACE INTO lease (one, token, machine, boot, "
                                        "space, pid, started, who, beat) VALUES (1, ?1, ?2, ?3, "
                                        "?4, ?5, ?6, 'pid 1, a test', 7)",
                                        -1, &s, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob(s, 1, "0123456789abcdef", 16, SQLITE_STATIC);
    bind_text(s, 2, lease == ELSEWHERE ? "another-machine" : p.machine);
    bind_text(s, 3, lease == OTHER_BOOT ? "another-boot" : p.boot);
    bind_text(s, 4, p.space);
    sqlite3_bind_int64(s, 5, p.pid);
    sqlite3_bind_int64(s, 6, lease == REUSED ? p.started - 1 : p.started);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void race(int round, enum lease lease)
{
    int go[2], told[2];
    pid_t pid[2];
    char word[2];
    unsigned opened = 0, held = 0, wanted = lease == ALIVE ? 0 : 1;

    assert_int_equal(pipe(go) | pipe(told), 0);
    pid[0] = contender(csv, go[0], told[1]);
    pid[1] = contender(round % 2 == 0 ? name : csv, go[0], told[1]);
    assert_int_equal(write(go[1], "!!", 2), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read(told[0], &word[i], 1), 1);
        opened += word[i] == '0' + KL_STORE_OPENED;
        held += word[i] == '0' + KL_STORE_HELD;
    }
    if (opened != wanted || held != 2 - wanted)
        fail_msg("round %d, lease %d: answers %c and %c", round, (int)lease, word[0], word[1]);
    for (int i = 0; i < 2; i++)
        kill(pid[i], SIGKILL);
    for (int i = 0; i < 2; i++)
        exit_of(pid[i]);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(told[i]);
    }
}

static void one_of_two_gets_it(void **state)
{
    (void)state;
    race(0, AS_LEFT); /* makes the ledger */
    for (int round = 1; round < RACES; round++) {
        enum lease lease = (enum lease)(round % LEASES);
        set_lease(lease);
        race(round, lease);
    }
}

/* Takes the CSV as soon as it is free, and a key from it. */
static int take_a_key(unsigned board, bool neatly)
{
    const uint64_t patience = UINT64_C(300000000000); /* ns */
    const struct kl_store_content *c;
    struct store_bench b;
    uint32_t row = 0;
    bool taken = true;
    uint64_t start = uv_hrtime();

    while (bench_open(&b, board % 2 == 0 ? csv : name) != KL_STORE_OPENED)
        if (uv_hrtime() - start > patience) {
            fprintf(stderr, "%s\n", b.error);
            return 1;
        }
    c = kl_store_content(b.store);
    while (row < c->row_count && taken) {
        taken = c->rows[row].marked;
        for (uint32_t i = 0; i < c->ledger_count; i++)
            taken |= kl_fingerprint_equal(&c->ledger[i].fingerprint, &c->rows[row].fingerprint);
        row += taken;
    }
    bench_submit(&b, KL_OP_RESERVE, &c->rows[row].fingerprint, board);
    bench_wait(&b);
    if (b.status != KL_STORE_OK) {
        fprintf(stderr, "%s\n", b.text);
        return 1;
    }
    bench_submit(&b, KL_OP_PROVISION, &c->rows[row].fingerprint, board);
    if (!neatly)
        return 0; /* dies with that on its way */
    bench_wait(&b);
    bench_close(&b);
    return b.status != KL_STORE_OK;
}

static void turns_are_taken_in_order(void **state)
{
    struct store_bench b;
    const struct kl_store_content *c;
    bool has[KEYS + 1] = {false};

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t pid[2];

        for (unsigned i = 0; i < 2; i++)
            if ((pid[i] = fork()) == 0)
                _exit(take_a_key(2 * round + i + 1, (round + i) % 3 != 0));
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(exit_of(pid[i]), 0);
    }
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    c = kl_store_content(b.store);
    assert_int_equal(c->ledger_count, KEYS);
    for (uint32_t i = 0; i < c->ledger_count; i++) {
        unsigned board = c->ledger[i].mac.b[5] + 256u * c->ledger[i].mac.b[4];
        assert_in_range(board, 1, KEYS);
        assert_false(has[board]);
        has[board] = true;
    }
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_two_gets_it, start, stop),
        cmocka_unit_test_setup_teardown(turns_are_taken_in_order, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
