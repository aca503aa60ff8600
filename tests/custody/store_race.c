/*
 * store_race.c: processes that race for one CSV.
 *
 *   alone    of two that start at the same instant, through different names of the file, exactly
 *            one gets it; when it is killed, the next one does
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

#include "scratch.h"
#include "store_bench.h"

enum {
    ROUNDS = 100,
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

static int start(void **state)
{
    (void)state;
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

static void one_of_two_gets_it(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], told[2];
        pid_t pid[2];
        char word[2];
        unsigned opened = 0, held = 0;

        assert_int_equal(pipe(go) | pipe(told), 0);
        pid[0] = contender(csv, go[0], told[1]);
        pid[1] = contender(round % 2 == 0 ? name : csv, go[0], told[1]);
        assert_int_equal(write(go[1], "!!", 2), 2);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(read(told[0], &word[i], 1), 1);
            opened += word[i] == '0' + KL_STORE_OPENED;
            held += word[i] == '0' + KL_STORE_HELD;
        }
        if (opened != 1 || held != 1)
            fail_msg("round %d: answers %c and %c", round, word[0], word[1]);
        for (int i = 0; i < 2; i++)
            kill(pid[i], SIGKILL);
        for (int i = 0; i < 2; i++)
            exit_of(pid[i]);
        for (int i = 0; i < 2; i++) {
            close(go[i]);
            close(told[i]);
        }
    }
}

/* Takes the CSV as soon as it is free, and a key from it. */
static int take_a_key(unsigned board, bool neatly)
{
    const struct kl_store_content *c;
    struct store_bench b;
    uint32_t row = 0;
    bool taken = true;

    for (int tries = 0; bench_open(&b, board % 2 == 0 ? csv : name) != KL_STORE_OPENED; tries++)
        if (tries > 20000) {
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
