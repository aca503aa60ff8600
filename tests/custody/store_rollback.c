/*
 * store_rollback.c: ledger and journal, each of them lost or put back to any earlier state, at
 * every moment of a station's life; and the station killed there or ended in peace. After a
 * person's answers, whatever either of the two ever knew is held for its board: no key can leave
 * twice.
 *
 * What is kept of each moment is a copy of the files, as a person makes it; of a station that runs,
 * too, so that the copy may be half. The store refuses a ledger whose pages belong to two moments
 * as damaged, and then the person takes it away.
 */
#include <dirent.h>
#include <setjmp.h>
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

#include "scratch.h"
#include "store_bench.h"

enum {
    KEYS = 6,
    MOMENTS = 10,
};

/* What happens from one moment to the next. */
static const struct {
    enum kl_store_op op;
    unsigned key, board;
} deeds[MOMENTS] = {
    {KL_OP_RESERVE, 1, 1},   {KL_OP_PROVISION, 1, 1}, {KL_OP_RESERVE, 2, 2}, {KL_OP_RELEASE, 2, 2},
    {KL_OP_RESERVE, 2, 3},   {KL_OP_RESERVE, 3, 4},   {KL_OP_RELEASE, 3, 4}, {KL_OP_RESERVE, 4, 4},
    {KL_OP_PROVISION, 4, 4}, {KL_OP_PROVISION, 5, 5},
};

enum loss {
    LEDGER_BACK, /* an earlier copy of the ledger with its log */
    LEDGER_HALF, /* an earlier copy of the ledger without its log */
    LEDGER_TORN, /* a copy whose end was never written */
    LEDGER_GONE,
    JOURNAL_BACK,
    JOURNAL_GONE,
    LOSSES
};

static struct scratch dir;
static char csv[200];

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
    char command[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void write_csv(void)
{
    char text[1024];
    size_t n = 0;

    for (unsigned i = 1; i <= KEYS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "dev-%u,aa%02u,bb%02u\n", i, i, i);
    file_put(csv, text);
}

/* The store may replace a file between its listing and its copying: then all is copied again. */
static void keep_moment(unsigned moment)
{
    run("cd '%s' && for try in $(seq 50); do mkdir m%u && cp -p keys.csv.ledger* m%u/ && "
        "cp -rp journal m%u/ && exit; rm -r m%u; done; exit 1",
        dir.folder, moment, moment, moment, moment);
}

/* Plays the first `count` deeds, keeping every moment, and dies or ends. */
static void play(unsigned count, bool neatly)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct store_bench b;
        assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
        keep_moment(0);
        for (unsigned i = 0; i < count; i++) {
            char label[16];
            snprintf(label, sizeof label, "dev-%u", deeds[i].key);
            assert_int_equal(bench_ask(&b, deeds[i].op, label, deeds[i].board), KL_STORE_OK);
            keep_moment(i + 1);
        }
        if (neatly)
            bench_close(&b);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void lose(enum loss loss, unsigned back_to)
{
    switch (loss) {
    case LEDGER_BACK:
        run("cd '%s' && rm keys.csv.ledger* && cp m%u/keys.csv.ledger* .", dir.folder, back_to);
        break;
    case LEDGER_HALF:
        run("cd '%s' && rm keys.csv.ledger* && cp m%u/keys.csv.ledger .", dir.folder, back_to);
        break;
    case LEDGER_TORN:
        run("cd '%s' && rm keys.csv.ledger* && cp m%u/keys.csv.ledger . && "
            "truncate -s 8192 keys.csv.ledger && truncate -s 65536 keys.csv.ledger",
            dir.folder, back_to);
        break;
    case LEDGER_GONE:
        run("cd '%s' && rm keys.csv.ledger*", dir.folder);
        break;
    case JOURNAL_BACK:
        run("cd '%s' && rm -r journal && cp -r m%u/journal .", dir.folder, back_to);
        break;
    default:
        run("cd '%s' && rm -r journal", dir.folder);
    }
}

static void check_held(const struct store_bench *b, unsigned count, const char *what)
{
    const struct kl_store_content *c = kl_store_content(b->store);
    unsigned board[KEYS + 1] = {0};

    for (unsigned i = 0; i < count; i++)
        board[deeds[i].key] = deeds[i].op == KL_OP_RELEASE ? 0 : deeds[i].board;
    for (unsigned key = 1; key <= KEYS; key++) {
        const struct kl_fingerprint *fp = &c->rows[key - 1].fingerprint;
        unsigned holder = 0;
        for (uint32_t i = 0; i < c->ledger_count; i++)
            if (kl_fingerprint_equal(&c->ledger[i].fingerprint, fp))
                holder = c->ledger[i].mac.b[5];
        /* A mark in the CSV spends it, too. */
        if (board[key] != 0 && holder != board[key] && !c->rows[key - 1].marked)
            fail_msg("%s: dev-%u is board %u's, and the store says %u", what, key, board[key],
                     holder);
    }
}

/* A ledger that the store calls damaged is taken away, and the start is tried again. Only a copy
   can be damaged. */
static enum kl_store_open_result open_as_a_person(struct store_bench *b, enum loss loss,
                                                  uint32_t answers)
{
    enum kl_store_open_result result = bench_open_answered(b, csv, answers);
    bool damaged = result == KL_STORE_BROKEN && strstr(b->error, "it is damaged") != NULL;

    if (loss == LEDGER_TORN && !damaged)
        fail_msg("a torn ledger: %d, %s", (int)result, b->error);
    if (!damaged || loss > LEDGER_TORN)
        return result;
    lose(LEDGER_GONE, 0);
    return bench_open_answered(b, csv, answers);
}

static void one_life(unsigned count, bool neatly, enum loss loss, unsigned back_to)
{
    const uint32_t moved = 1u << KL_DOUBT_MOVED, old = 1u << KL_DOUBT_OLD;
    char what[128];
    struct store_bench b;
    enum kl_store_open_result result;
    enum loss other;

    snprintf(what, sizeof what, "%u deeds, %s, loss %d, back to %u", count,
             neatly ? "ended" : "killed", (int)loss, back_to);
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    write_csv();
    play(count, neatly);
    lose(loss, back_to);
    result = open_as_a_person(&b, loss, loss <= LEDGER_HALF ? moved : 0);
    if (result == KL_STORE_DOUBT && b.doubt == KL_DOUBT_OLD && loss <= LEDGER_GONE)
        result = bench_open_answered(&b, csv, moved | old);
    if (result != KL_STORE_OPENED)
        fail_msg("%s: %s", what, b.error);
    check_held(&b, count, what);
    bench_close(&b);
    /* What was put right stays right: now the other one goes. */
    other = loss >= JOURNAL_BACK ? LEDGER_BACK : JOURNAL_GONE;
    lose(other, back_to);
    result = open_as_a_person(&b, other, moved | old);
    if (result != KL_STORE_OPENED)
        fail_msg("%s, then the other: %s", what, b.error);
    check_held(&b, count, what);
    bench_close(&b);
    scratch_remove(&dir);
}

static void nothing_is_forgotten(void **state)
{
    (void)state;
    for (unsigned count = 0; count <= MOMENTS; count++)
        for (int loss = 0; loss < LOSSES; loss++)
            for (unsigned back = 0; back <= count; back++) {
                one_life(count, (count + back) % 2 == 0, (enum loss)loss, back);
                if (loss == LEDGER_TORN || loss == LEDGER_GONE || loss == JOURNAL_GONE)
                    break; /* no earlier state is put back */
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_forgotten)};

    /* Nobody cuts the power here: a disk would only be slow. */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
