/*
 * cases_faults.c: a bench where every board has its own fault; then the faults are gone, and every
 * board comes to its key.
 */
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

struct row {
    const char *fault;
    const char *outcome; /* "done", or the reasons that are true, separated by blanks */
    bool spoiled;        /* what the board holds after it can't become right without a person */
};

static const struct row curable[] = {
    {"drop_rx=3000", "done", false},
    {"drop_tx=300", "done", false},
    {"flip_rx=20000", "done", false},
    {"flip_tx=500", "done", false},
    {"double_rx=2500", "done", false},
    {"double_tx=400", "done", false},
    {"noise_above=115200", "done", false},
    {"unplug_at=20000", "port_lost port_error", false},
    {"reset_at=20000", "done", false},
    {"slow=20", "done", false},
    {"chatter", "done", false},
    {"no_sync=3", "done", false},
    {"no_auto_reset=2", "done", false},
    {"boot_held", "still_in_loader", false},
    {"no_baud", "done", false},
    {"no_flash", "no_flash", false},
    {"bad_cell", "verify_failed write_failed", false},
    {"write_fails=1", "done", false},
    {"md5_wrong=1", "done", false},
    {"flash_encrypted", "flash_encrypted", false},
    {"secure_boot", "secure_boot", false},
    {"secure_download", "secure_download", false},
    {"mac_empty", "bad_mac", false},
    {"flash_read_err", "flash_read_err", false},
    {"brownout=1", "done", false},
    {"boot_loop", "boot_loop panic", false},
    {"panic=1", "done", false},
    {"panic_on_line=1", "done", false},
    {"slow_boot=1500", "done", false},
    {"never_asks", "never_asked", false},
    {"silent_app", "never_asked no_boot_output", false},
    {"misses_line=1", "done", false},
    {"refuses", "key_refused", false},
    {"restarts=1", "done", false},
    {"dies_storing=1", "done", false},
    {"dies_stored=1", "done", false},
    {"ack_lost=1", "done", false},
    {"stores_wrong", "readback_differs holds_unknown_key", true},
    {"stores_short=1", "done", false},
    {"stores_nothing", "readback_differs", false},
    {"no_readback", "holds_unreadable no_readback", false},
    {"reads_wrong=1", "done", false},
    {"reads_short=1", "done", false},
    {"leaks", "done", false},
    {"chatty", "done", false},
    {"spells", "done", false},
    {"provisioned", "holds_unknown_key", true},
    {NULL, NULL, false},
};

/* Boards that don't answer: each reset has to be waited for. */
static const struct row dead[] = {
    {"silent_after=500", "no_sync timeout port_lost", false},
    {"deaf_after=30000", "no_sync no_tx_path timeout", false},
    {"no_auto_reset", "wrong_boot_mode", false},
    {"deaf", "no_tx_path no_sync", false},
    {"mute", "no_sync", false},
    {NULL, NULL, false},
};

static bool is_among(const char *words, const char *word)
{
    const char *at = word[0] ? strstr(words, word) : NULL;
    size_t size = strlen(word);

    return at && (at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0');
}

/* All are shown before the first wrong one ends the test. */
static void check_outcomes(struct bench *b, const struct row *rows)
{
    unsigned wrong = 0;
    struct outcome o;

    for (unsigned n = 1; n <= b->count; n++) {
        const struct row *row = &rows[n - 1];
        bench_outcome(b, n, &o);
        bool good = strcmp(row->outcome, "done") == 0
                        ? strcmp(o.result, "done") == 0
                        : strcmp(o.result, "failed") == 0 && is_among(row->outcome, o.reason);
        fprintf(stderr, "%-20s %s %s (%d tries)%s%s\n", row->fault, o.result, o.reason, o.tries,
                good ? "" : ", but expected: ", good ? "" : row->outcome);
        wrong += !good;
    }
    CHECK(wrong == 0, "%u faults came out wrong", wrong);
}

/* Once the faults are gone, only a board that holds something foreign stays for a person. */
static void check_recovered(struct bench *b, const struct row *rows)
{
    unsigned wrong = 0;
    struct outcome o;

    for (unsigned n = 1; n <= b->count; n++) {
        const struct row *row = &rows[n - 1];
        bench_outcome(b, n, &o);
        bool good = strcmp(o.result, "done") == 0 ||
                    (row->spoiled && strcmp(o.reason, "holds_unknown_key") == 0);
        if (!good)
            fprintf(stderr, "after %s: %s %s\n", row->fault, o.result, o.reason);
        wrong += !good;
    }
    CHECK(wrong == 0, "%u boards do not recover", wrong);
}

static void play(const struct row *rows, const char *retries)
{
    static char list[BOARDS_MAX][64];
    const char *options[2 * BOARDS_MAX + 1] = {NULL};
    unsigned count = 0;
    struct bench b;
    struct process p;

    for (; rows[count].fault; count++) {
        snprintf(list[count], sizeof list[count], "%u:%s", count + 1, rows[count].fault);
        options[2 * count] = "--fault";
        options[2 * count + 1] = list[count];
    }
    bench_make(&b);
    bench_keys(&b, count + 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, count, options);
    station_run(&b, &p, WORDS("--once", "--prompt-timeout=3", "--ack-timeout=3", retries));
    CHECK(p.status == 1, "exit status %d", p.status);
    bench_check_custody(&b);
    check_outcomes(&b, rows);
    forget(&p);
    bench_boards_end(&b);

    bench_boards(&b, count, NULL);
    station_run(&b, &p, WORDS("--once"));
    bench_check_custody(&b);
    check_recovered(&b, rows);
    forget(&p);
    bench_remove(&b);
}

static void faults(void)
{
    play(curable, NULL);
}

static void dead_boards(void)
{
    play(dead, "--retries=0");
}

/* Two boards that show one MAC: at most one of them gets a key. */
static void shared_mac(void)
{
    struct bench b;
    struct process p;
    struct outcome o[3];

    bench_make(&b);
    bench_keys(&b, 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 2, WORDS("--fault", "mac_shared", "--pace"));
    station_run(&b, &p, WORDS("--once"));
    bench_outcome(&b, 1, &o[1]);
    bench_outcome(&b, 2, &o[2]);
    CHECK(strcmp(o[1].reason, "mac_live_twice") == 0 || strcmp(o[2].reason, "mac_live_twice") == 0,
          "%s %s, %s %s", o[1].result, o[1].reason, o[2].result, o[2].reason);
    CHECK(bench_check_custody(&b) <= 1, "two keys for one MAC");
    forget(&p);
    bench_remove(&b);
}

/* Pulled in the middle and plugged in again, the board gets its key all the same. */
static void unplugged_and_back(void)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 1, WORDS("--pace"));
    station_start(&b, &p, WORDS("--count", "2"));
    wait_for(&p, "flashing");
    bench_command(&b, "unplug 1");
    wait_for(&p, "empty");
    bench_command(&b, "plug 1");
    wait_for(&p, "PASS");
    CHECK(finish(&p) == 1, "exit status %d", p.status); /* the first try failed */
    CHECK(bench_check_custody(&b) == 1, "not one mark");
    bench_check_flash(&b, 1);
    forget(&p);
    bench_remove(&b);
}

const struct e2e_case cases_faults[] = {
    {"faults", faults},
    {"dead_boards", dead_boards},
    {"shared_mac", shared_mac},
    {"unplugged_and_back", unplugged_and_back},
    {NULL, NULL},
};
