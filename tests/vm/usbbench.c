/*
 * usbbench.c: a bench of emulated USB adapters with virtual boards, on the real kernel that it runs
 * on, and a person who plugs and pulls them while a program (keyline) works on them.
 *
 *     usbbench make FOLDER CHIP KEYS          images and a CSV
 *     usbbench run --csv FILE [options] -- PROGRAM ARG…
 *
 * Ends with 0 if the program did and the custody check finds nothing: every marked row is in
 * exactly one board, and every board's key is a marked row. It shares no code with the pool.
 */
#include "adapter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyline/demo_images.h"

enum {
    BOARDS_MAX = 128,
    LIVE_MAX = 15, /* sockets of the virtual hub that take full speed */
    ROWS_MAX = 512,
    MOMENTS_MAX = 256,
    LINE_BYTES = 512,
    LOOK_MS = 300,
    PATIENCE_S = 30, /* then whoever stands there plugs the board again */
};

enum moment {
    PULL,
    PULL_ALL,
    SWAP
};

struct board {
    struct kl_vboard *vb;
    struct adapter *adapter; /* NULL: not plugged in */
    enum adapter_kind kind;
    unsigned port;
    char serial[18];
    kl_us plug_at;    /* if not plugged in */
    kl_us plugged_at; /* if plugged in */
    kl_us done_at;    /* its row was seen marked; 0 = not yet */
    bool gone;        /* replaced for good */
};

struct bench {
    const char *csv, *kinds;
    enum kl_chip_id chip;
    unsigned places, total, moments, all, swaps, hold_s;
    bool until_done; /* the bench says when it is enough, not the program */
    kl_us timeout, started, next_moment, next_look, enough_since;
    uint64_t seed;
    enum moment plan[MOMENTS_MAX];
    unsigned plan_count, planned;
    struct board board[BOARDS_MAX];
    unsigned count, replugs;
    pid_t program, holder;
    kl_us holder_until;
};

struct row {
    char text[LINE_BYTES];
    bool marked;
};

static struct row rows[ROWS_MAX];
static unsigned row_count;

static uint64_t draw(struct bench *b, uint64_t below)
{
    b->seed ^= b->seed << 13;
    b->seed ^= b->seed >> 7;
    b->seed ^= b->seed << 17;
    return b->seed % below;
}

static void say(const struct bench *b, const char *what, const struct board *board)
{
    printf("bench %6.2f  %s %s port %u\n", (double)(adapter_now() - b->started) / 1e6, what,
           board->serial, board->port);
    fflush(stdout);
}

static int fail(const char *what)
{
    fprintf(stderr, "usbbench: %s\n", what);
    return 2;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static bool read_rows(const char *path)
{
    static const char mark[] = ",Provisioned";
    FILE *file = fopen(path, "r");
    row_count = 0;
    if (file == NULL)
        return false;
    while (row_count < ROWS_MAX && fgets(rows[row_count].text, LINE_BYTES, file) != NULL) {
        struct row *r = &rows[row_count++];
        r->text[strcspn(r->text, "\r\n")] = '\0';
        size_t n = strlen(r->text), m = sizeof mark - 1;
        r->marked = n > m && strcmp(r->text + n - m, mark) == 0;
        if (r->marked)
            r->text[n - m] = '\0';
    }
    fclose(file);
    return true;
}

static const struct row *row_of(const struct board *board)
{
    const char *stored = kl_vboard_stored(board->vb);
    for (unsigned i = 0; stored[0] != '\0' && i < row_count; i++)
        if (strcmp(rows[i].text, stored) == 0)
            return &rows[i];
    return NULL;
}

static unsigned complain(const char *text, const char *serial, unsigned row)
{
    printf("custody: %s (%s%s%u)\n", text, serial, serial[0] != '\0' ? "" : "row ", row);
    return 1;
}

/* How many mistakes there are. No key is printed. */
static unsigned check_custody(struct bench *b)
{
    unsigned wrong = 0, marked = 0;
    if (!read_rows(b->csv))
        return complain("the CSV is gone", "", 0);
    for (unsigned i = 0; i < row_count; i++) {
        unsigned holders = 0;
        for (unsigned j = 0; j < b->count; j++)
            holders += row_of(&b->board[j]) == &rows[i];
        marked += rows[i].marked;
        if (holders > 1)
            wrong += complain("several boards have one key", "", i + 1);
        if (rows[i].marked && holders == 0)
            wrong += complain("a marked key is in no board", "", i + 1);
        if (!rows[i].marked && holders > 0)
            wrong += complain("a board has a key that is not marked", "", i + 1);
    }
    for (unsigned j = 0; j < b->count; j++) {
        if (row_of(&b->board[j]) == NULL)
            wrong += complain("a board has no key of the CSV", b->board[j].serial, 0);
    }
    printf("custody: %u rows, %u marked, %u boards, %u mistakes\n", row_count, marked, b->count,
           wrong);
    return wrong;
}

/* ---- boards -----------------------------------------------------------------------------------
 */

static bool port_is_free(const struct bench *b, unsigned port)
{
    for (unsigned i = 0; i < b->count; i++)
        if (!b->board[i].gone && b->board[i].port == port)
            return false;
    return true;
}

static enum adapter_kind kind_at(const struct bench *b, unsigned place)
{
    char words[128];
    enum adapter_kind kind[ADAPTER_KINDS] = {ADAPTER_CP2102N};
    unsigned n = 0;
    kl_copy(words, sizeof words, b->kinds);
    for (char *w = strtok(words, ","); w != NULL && n < ADAPTER_KINDS; w = strtok(NULL, ","))
        if (adapter_kind_of(w, &kind[n]))
            n++;
    return kind[n > 0 ? place % n : 0];
}

static bool add_board(struct bench *b, unsigned port, kl_us plug_at)
{
    struct board *board = &b->board[b->count];
    struct kl_vboard_config config = {
        .chip = b->chip, .mac = {{0x24, 0x0a, 0xc4, 0, 1, (uint8_t)b->count}}, .faults = ""};
    *board = (struct board){.port = port, .plug_at = plug_at, .kind = kind_at(b, port)};
    if (board->kind == ADAPTER_JTAG)
        kl_mac_format(&config.mac, board->serial); /* by this it is known after a reset */
    else
        kl_format(board->serial, sizeof board->serial, "B%03u", b->count);
    config.seed = b->count + 1;
    board->vb = kl_vboard_create(&config);
    b->count += board->vb != NULL;
    return board->vb != NULL;
}

static void pull(struct bench *b, struct board *board, kl_us gap)
{
    if (board->adapter == NULL)
        return;
    say(b, "pulls", board);
    adapter_unplug(board->adapter, false);
    board->adapter = NULL;
    board->plug_at = adapter_now() + gap;
}

/* Its chip resets; the rest of the board does not notice. */
static void leave_bus(struct bench *b, struct board *board)
{
    say(b, "loses", board);
    adapter_unplug(board->adapter, true);
    board->adapter = NULL;
    board->plug_at = adapter_now() + KL_MS(150);
}

static void plug_due(struct bench *b, kl_us now)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct board *board = &b->board[i];
        if (board->gone || board->adapter != NULL || now < board->plug_at)
            continue;
        board->adapter = adapter_plug(board->kind, board->serial, board->port, board->vb);
        board->plug_at = now + KL_MS(20); /* the kernel is not done with the one before */
        if (board->adapter == NULL)
            continue;
        board->plugged_at = now;
        say(b, "plugs", board);
    }
}

/* ---- what the person does ---------------------------------------------------------------------
 */

static void make_plan(struct bench *b)
{
    const unsigned wanted[] = {[PULL] = b->moments, [PULL_ALL] = b->all, [SWAP] = b->swaps};
    for (unsigned kind = PULL; kind <= SWAP; kind++)
        for (unsigned i = 0; i < wanted[kind] && b->plan_count < MOMENTS_MAX; i++)
            b->plan[b->plan_count++] = (enum moment)kind;
    for (unsigned i = b->plan_count; i > 1; i--) {
        unsigned j = (unsigned)draw(b, i);
        enum moment swap = b->plan[i - 1];
        b->plan[i - 1] = b->plan[j];
        b->plan[j] = swap;
    }
}

static struct board *any_plugged(struct bench *b, const struct board *other)
{
    struct board *found[LIVE_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < b->count && n < LIVE_MAX; i++)
        if (b->board[i].adapter != NULL && &b->board[i] != other)
            found[n++] = &b->board[i];
    return n > 0 ? found[draw(b, n)] : NULL;
}

static kl_us short_time(struct bench *b)
{
    return KL_MS(50) + (kl_us)draw(b, 1200000);
}

static bool pull_one(struct bench *b)
{
    struct board *board = any_plugged(b, NULL);
    if (board == NULL)
        return false;
    pull(b, board, short_time(b));
    unsigned port = (unsigned)draw(b, LIVE_MAX);
    if (draw(b, 3) == 0 && port_is_free(b, port))
        board->port = port;
    return true;
}

static bool swap_two(struct bench *b)
{
    struct board *one = any_plugged(b, NULL), *two = any_plugged(b, one);
    if (one == NULL || two == NULL)
        return false;
    pull(b, one, short_time(b));
    pull(b, two, short_time(b));
    unsigned port = one->port;
    one->port = two->port;
    two->port = port;
    return true;
}

static bool pull_all(struct bench *b)
{
    kl_us gap = short_time(b);
    for (unsigned i = 0; i < b->count; i++)
        pull(b, &b->board[i], gap);
    return true;
}

static void next_moment(struct bench *b, kl_us now)
{
    static bool (*const act[])(struct bench *
                               b) = {[PULL] = pull_one, [PULL_ALL] = pull_all, [SWAP] = swap_two};
    if (b->planned == b->plan_count || now < b->next_moment)
        return;
    b->planned += act[b->plan[b->planned]](b);
    b->next_moment = now + KL_MS(100) + (kl_us)draw(b, 1500000);
}

/* A finished board makes room for a fresh one; one that gets nowhere is plugged again. */
static void tend(struct bench *b, kl_us now)
{
    unsigned count = b->count;
    for (unsigned i = 0; i < count; i++) {
        struct board *board = &b->board[i];
        const struct row *row = row_of(board);
        if (board->gone || board->adapter == NULL)
            continue;
        if (row != NULL && row->marked && board->done_at == 0)
            board->done_at = now;
        bool done = board->done_at != 0 && now - board->done_at > KL_MS(500);
        if (done && b->count < b->total) {
            pull(b, board, 0);
            board->gone = true;
            add_board(b, board->port, now + short_time(b));
        } else if (board->done_at == 0 && now - board->plugged_at > KL_SEC(PATIENCE_S)) {
            char text[160];
            adapter_describe(board->adapter, text, sizeof text);
            printf("bench: nothing comes of %s: %s\n", board->serial, text);
            b->replugs++;
            pull(b, board, KL_SEC(1));
        }
    }
}

static bool all_done(const struct bench *b)
{
    if (b->planned < b->plan_count || b->count < b->total)
        return false;
    for (unsigned i = 0; i < b->count; i++)
        if (!b->board[i].gone && (b->board[i].adapter == NULL || b->board[i].done_at == 0))
            return false;
    return true;
}

static void look(struct bench *b, kl_us now)
{
    if (now < b->next_look)
        return;
    b->next_look = now + KL_MS(LOOK_MS);
    read_rows(b->csv);
    tend(b, now);
    if (!all_done(b) || !b->until_done)
        b->enough_since = 0;
    else if (b->enough_since == 0)
        b->enough_since = now;
    else if (now - b->enough_since > KL_SEC(2) && b->until_done) {
        b->until_done = false;
        kill(b->program, SIGTERM);
    }
}

/* ---- running ----------------------------------------------------------------------------------
 */

static void turn(struct bench *b)
{
    struct pollfd fds[BOARDS_MAX];
    struct board *of[BOARDS_MAX];
    nfds_t n = 0;
    kl_us now = adapter_now(), wake = now + KL_MS(20);
    for (unsigned i = 0; i < b->count; i++) {
        if (b->board[i].adapter == NULL)
            continue;
        kl_us due = kl_vboard_deadline(b->board[i].vb);
        wake = due < wake ? due : wake;
        of[n] = &b->board[i];
        fds[n++] = (struct pollfd){.fd = adapter_fd(b->board[i].adapter), .events = POLLIN};
    }
    poll(fds, n, wake > now ? (int)((wake - now + 999) / 1000) : 0);
    for (nfds_t i = 0; i < n; i++) {
        struct pollfd *p = &fds[i];
        bool there = true;
        for (unsigned k = 0; there && (p->revents & POLLIN) != 0 && k < 16; k++) {
            there = adapter_read(of[i]->adapter);
            p->revents = 0;
            poll(p, 1, 0);
        }
        if (there)
            adapter_tick(of[i]->adapter);
        else
            pull(b, of[i], KL_SEC(1));
        if (there && adapter_left(of[i]->adapter))
            leave_bus(b, of[i]);
    }
}

static unsigned nodes(char first[64])
{
    DIR *dir = opendir("/dev");
    unsigned n = 0;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, "ttyUSB", 6) != 0 && strncmp(e->d_name, "ttyACM", 6) != 0)
            continue;
        if (n++ == 0)
            snprintf(first, 64, "/dev/%.50s", e->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* Opening needs the bench to answer meanwhile. */
static bool hold(struct bench *b, const char *path)
{
    int told[2];
    char byte;
    if (pipe2(told, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    b->holder = fork();
    if (b->holder == 0) {
        while (open(path, O_RDWR | O_NOCTTY | O_NONBLOCK) < 0)
            poll(NULL, 0, 20); /* a node can't be opened at once */
        if (write(told[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    while (read(told[0], &byte, 1) != 1) {
        if (adapter_now() - b->started > KL_SEC(60))
            return false;
        turn(b);
    }
    close(told[0]);
    close(told[1]);
    b->holder_until = adapter_now() + KL_SEC(b->hold_s);
    return true;
}

static bool wait_for_nodes(struct bench *b)
{
    char first[64];
    while (nodes(first) < b->places) {
        if (adapter_now() - b->started > KL_SEC(60))
            return false;
        plug_due(b, adapter_now());
        turn(b);
    }
    if (b->hold_s == 0)
        return true;
    printf("bench: another program holds %s\n", first);
    fflush(stdout);
    return hold(b, first);
}

static void let_go(struct bench *b, kl_us now)
{
    if (b->holder <= 0 || now < b->holder_until)
        return;
    printf("bench: lets it go\n");
    kill(b->holder, SIGKILL);
    b->holder = 0;
}

static int run(struct bench *b, char **argv)
{
    int status = 0;
    b->started = adapter_now();
    make_plan(b);
    for (unsigned i = 0; i < b->places; i++)
        add_board(b, i, b->started);
    if (!b->until_done && !wait_for_nodes(b))
        return fail("the kernel's driver makes no device nodes");
    if (b->hold_s > 0 && b->until_done && !wait_for_nodes(b))
        return fail("the kernel's driver makes no device nodes");
    b->program = fork();
    if (b->program == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    for (;;) {
        kl_us now = adapter_now();
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended == b->program)
            break;
        if (now - b->started > b->timeout) {
            kill(b->program, SIGKILL);
            check_custody(b);
            return fail("time is up");
        }
        let_go(b, now);
        next_moment(b, now);
        plug_due(b, now);
        look(b, now);
        turn(b);
    }
    printf("bench: %u moments, %u boards plugged again after %d s, the program's status %d\n",
           b->planned, b->replugs, PATIENCE_S, status);
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return check_custody(b) == 0 && clean ? 0 : 1;
}

/* ---- the command line -------------------------------------------------------------------------
 */

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

static bool take(struct bench *b, const char *name, const char *value)
{
    unsigned long number = strtoul(value, NULL, 10);
    const struct {
        const char *name;
        unsigned *to;
    } numbers[] = {{"--boards", &b->places}, {"--total", &b->total}, {"--moments", &b->moments},
                   {"--all", &b->all},       {"--swaps", &b->swaps}, {"--hold", &b->hold_s}};
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = (unsigned)number;
            return true;
        }
    if (strcmp(name, "--csv") == 0)
        b->csv = value;
    else if (strcmp(name, "--kinds") == 0)
        b->kinds = value;
    else if (strcmp(name, "--chip") == 0)
        b->chip = kl_chip_by_slug(value) != NULL ? kl_chip_by_slug(value)->id : KL_CHIP_NONE;
    else if (strcmp(name, "--seed") == 0)
        b->seed = (number + 1) * 0x9e3779b97f4a7c15u;
    else if (strcmp(name, "--timeout") == 0)
        b->timeout = KL_SEC(number);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct bench b = {.csv = "keys.csv",
                             .kinds = "cp2102n",
                             .chip = KL_CHIP_ESP32,
                             .places = 8,
                             .seed = 0x9e3779b97f4a7c15u,
                             .timeout = KL_SEC(120)};
    int i = 2;
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10));
    if (argc < 3 || strcmp(argv[1], "run") != 0)
        return fail("make FOLDER CHIP KEYS, or run [options] -- PROGRAM");
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--until-done") == 0)
            b.until_done = true;
        else if (i + 1 >= argc || !take(&b, argv[i], argv[i + 1]))
            return fail(argv[i]);
        else
            i++;
    }
    b.total = b.total > b.places ? b.total : b.places;
    if (i + 1 >= argc || b.places == 0 || b.places > LIVE_MAX || b.total > BOARDS_MAX ||
        b.chip == KL_CHIP_NONE)
        return fail("the options make no sense");
    return run(&b, argv + i + 1);
}
