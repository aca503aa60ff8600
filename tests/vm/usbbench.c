/*
 * usbbench.c: a bench of emulated USB adapters with virtual boards, on the real kernel that it runs
 * on, and a person who plugs and pulls them while a program (keyline) works on them.
 *
 *     usbbench make FOLDER CHIP KEYS          images and a CSV
 *     usbbench run --csv FILE [options] -- PROGRAM ARG…
 *     usbbench touch TIMES                    opens and closes every port with keyline's own code
 *
 * Ends with 0 if the program did and the checks find nothing.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "keyline/demo_images.h"
#include "touch.h"

enum {
    LOOK_MS = 300,
    READS = 16, /* before other adapters have their turn */
};

uint64_t bench_draw(struct bench *b, uint64_t below)
{
    b->seed ^= b->seed << 13;
    b->seed ^= b->seed >> 7;
    b->seed ^= b->seed << 17;
    return b->seed % below;
}

void bench_say(const struct bench *b, const char *what, const struct board *board)
{
    char place[PLACE_TEXT];
    adapter_place(board->socket, place);
    printf("bench %6.2f  %s %s in %s\n", (double)(adapter_now() - b->started) / 1e6, what,
           board->serial, place);
    fflush(stdout);
}

unsigned bench_complain(struct bench *b, const char *text, const char *whom)
{
    printf("bench: WRONG: %s%s%s%s\n", text, whom[0] != '\0' ? " (" : "", whom,
           whom[0] != '\0' ? ")" : "");
    return ++b->mistakes;
}

static int fail(const char *what)
{
    fprintf(stderr, "usbbench: %s\n", what);
    return 2;
}

/* ---- running ---- */

static void look_at_phase(struct bench *b, struct board *board)
{
    enum phase phase = adapter_phase(board->adapter);
    if (phase == board->phase)
        return;
    board->phase = phase;
    if (b->want.freeze && !b->froze && phase == PHASE_FLASH) {
        b->froze = true;
        bench_say(b, "freezes", board);
        board->frozen_at = adapter_now();
        adapter_freeze(board->adapter);
    }
    bench_phase_began(b, board, adapter_now());
}

static bool is_to_be_pulled(const struct board *board)
{
    return board->pull_at != 0 && adapter_now() >= board->pull_at;
}

static void serve(struct bench *b, struct board *board, struct pollfd *p)
{
    bool there = true;
    for (unsigned i = 0; there && (p->revents & POLLIN) != 0 && i < READS; i++) {
        if (is_to_be_pulled(board))
            return;
        there = adapter_read(board->adapter);
        p->revents = 0;
        poll(p, 1, 0);
        if (there)
            look_at_phase(b, board);
    }
    if (!there) {
        bench_pull(b, board, KL_SEC(1));
        return;
    }
    if (is_to_be_pulled(board))
        return;
    adapter_tick(board->adapter);
    look_at_phase(b, board);
    if (adapter_left(board->adapter))
        bench_leave_bus(b, board);
}

void bench_turn(struct bench *b)
{
    struct pollfd fds[SOCKETS];
    struct board *of[SOCKETS];
    nfds_t n = 0;
    kl_us now = adapter_now(), wake = now + KL_MS(20);
    for (unsigned i = 0; i < b->count && n < SOCKETS; i++) {
        struct board *board = &b->board[i];
        if (board->adapter == NULL)
            continue;
        kl_us due = kl_vboard_deadline(board->vb);
        wake = due < wake ? due : wake;
        wake = board->pull_at != 0 && board->pull_at < wake ? board->pull_at : wake;
        of[n] = board;
        fds[n++] = (struct pollfd){.fd = adapter_fd(board->adapter), .events = POLLIN};
    }
    poll(fds, n, wake > now ? (int)((wake - now + 999) / 1000) : 0);
    for (nfds_t i = 0; i < n; i++)
        serve(b, of[i], &fds[i]);
    bench_drain_terminal(b);
}

static void look(struct bench *b, kl_us now)
{
    if (now < b->next_look)
        return;
    b->next_look = now + KL_MS(LOOK_MS);
    bench_read_rows(b->want.csv);
    bench_tend(b, now);
    bench_thaw(b);
    bench_look_at_host(b);
    bench_give_rights(b);
    bench_let_go(b);
    if (!b->want.until_done || !bench_all_done(b))
        b->enough_since = 0;
    else if (b->enough_since == 0)
        b->enough_since = now;
    else if (now - b->enough_since > KL_SEC(2) && !b->ended)
        bench_ask_to_end(b, now);
}

static void check(struct bench *b)
{
    bench_check_starts(b);
    bench_check_host(b);
    bench_check_custody(b);
    if (b->want.moments > 0)
        bench_check_moments(b);
    if (b->want.terminal && b->drawn < 1000)
        bench_complain(b, "nothing was drawn on the terminal", "");
    if (b->stuck > 0)
        bench_complain(b, "nothing came of some boards", "");
}

/* Adapters that are there before the program, unless it is to see them come. */
static bool prepare(struct bench *b)
{
    bench_make_plan(b);
    for (unsigned i = 0; i < SOCKETS; i++)
        b->number[i] = -1;
    b->first_number = -1;
    if (!bench_wait_for_nodes(b, 0))
        return false; /* of the scenario before */
    for (unsigned i = 0; i < b->want.places; i++)
        bench_add_board(b, i, b->started);
    bool held = b->want.held_until != NULL, first = !b->want.until_done || held;
    return (!first || bench_wait_for_nodes(b, b->want.places)) && (!held || bench_hold_first(b));
}

static int run(struct bench *b, char **argv)
{
    b->started = adapter_now();
    if (!prepare(b))
        return fail("the kernel's driver makes no device nodes");
    if (!bench_start_program(b, argv))
        return fail("the program can't be started");
    while (!bench_program_is_over(b)) {
        kl_us now = adapter_now();
        if (now - b->started > b->want.timeout) {
            bench_complain(b, "time is up", "");
            kill(b->program, SIGKILL);
            break;
        }
        bench_person_acts(b, now);
        bench_plug_due(b, now);
        look(b, now);
        bench_turn(b);
    }
    printf("bench: %.1f s, the program's status %d\n", (double)(adapter_now() - b->started) / 1e6,
           b->status);
    check(b);
    return b->mistakes == 0 ? 0 : 1;
}

/* ---- the command line ---- */

static int make(const char *folder, const char *chip_word, unsigned keys)
{
    static const struct kl_demo_app app = {.payload = 48 * 1024, .seed = 7, .noise_percent = 40};
    const struct kl_chip *chip = kl_chip_by_slug(chip_word);
    char path[256];
    snprintf(path, sizeof path, "%s/keys.csv", folder);
    if (chip == NULL || !kl_demo_write(folder, chip->id, &app))
        return fail("the images can't be written");
    FILE *file = fopen(path, "w");
    for (unsigned i = 1; file != NULL && i <= keys; i++)
        fprintf(file, "unit-%04u,%08x,%08x\n", i, i * 2654435761u, i * 40503u);
    return file != NULL && fclose(file) == 0 ? 0 : fail("the keys can't be written");
}

static bool take_number(struct wanted *w, const char *name, unsigned number)
{
    const struct {
        const char *name;
        unsigned *to;
    } numbers[] = {{"--boards", &w->places}, {"--total", &w->total}, {"--moments", &w->moments},
                   {"--all", &w->all},       {"--swaps", &w->swaps}, {"--mute", &w->mute},
                   {"--moved", &w->moved},   {"--user", &w->user},   {"--status", &w->status}};
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = number;
            return true;
        }
    return false;
}

static bool take_word(struct wanted *w, const char *name, const char *value)
{
    const struct {
        const char *name, **to;
    } words[] = {{"--csv", &w->csv},         {"--kinds", &w->kinds},
                 {"--serial", &w->serial},   {"--events", &w->events},
                 {"--held", &w->held_until}, {"--rights", &w->rights_after}};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(name, words[i].name) == 0) {
            *words[i].to = value;
            return true;
        }
    return false;
}

/* Options with a value; flags are below. */
static bool take(struct bench *b, const char *name, const char *value)
{
    struct wanted *w = &b->want;
    unsigned long number = strtoul(value, NULL, 10);
    if (take_number(w, name, (unsigned)number) || take_word(w, name, value))
        return true;
    if (strcmp(name, "--chip") == 0)
        w->chip = kl_chip_by_slug(value) != NULL ? kl_chip_by_slug(value)->id : KL_CHIP_NONE;
    else if (strcmp(name, "--seed") == 0)
        b->seed = (number + 1) * 0x9e3779b97f4a7c15u;
    else if (strcmp(name, "--timeout") == 0)
        w->timeout = KL_SEC(number);
    else
        return false;
    return true;
}

static bool take_flag(struct wanted *w, const char *name)
{
    const struct {
        const char *name;
        bool *to;
    } flags[] = {{"--until-done", &w->until_done},
                 {"--terminal", &w->terminal},
                 {"--latency", &w->latency},
                 {"--no-stub", &w->no_stub},
                 {"--freeze", &w->freeze}};
    for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(name, flags[i].name) == 0)
            return *flags[i].to = true;
    return false;
}

int main(int argc, char **argv)
{
    static struct bench b = {.want = {.csv = "keys.csv",
                                      .kinds = "cp2102n",
                                      .chip = KL_CHIP_ESP32,
                                      .places = 8,
                                      .timeout = KL_SEC(900)},
                             .seed = 0x9e3779b97f4a7c15u,
                             .terminal_fd = -1};
    struct wanted *w = &b.want;
    int i = 2;
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "touch") == 0)
        return touch_ports((unsigned)strtoul(argv[2], NULL, 10));
    if (argc < 3 || strcmp(argv[1], "run") != 0)
        return fail("make FOLDER CHIP KEYS, run [options] -- PROGRAM, or touch TIMES");
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (take_flag(w, argv[i]))
            continue;
        if (i + 1 >= argc || !take(&b, argv[i], argv[i + 1]))
            return fail(argv[i]);
        i++;
    }
    w->total = w->total > w->places ? w->total : w->places;
    if (i + 1 >= argc || w->places == 0 || w->places > SOCKETS || w->total > BOARDS_MAX ||
        w->chip == KL_CHIP_NONE ||
        (w->events == NULL && (w->held_until != NULL || w->rights_after != NULL || w->freeze)))
        return fail("the options make no sense");
    return run(&b, argv + i + 1);
}
