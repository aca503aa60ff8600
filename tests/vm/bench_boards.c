/* bench_boards.c: see bench.h. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

bool bench_socket_is_free(const struct bench *b, unsigned socket)
{
    for (unsigned i = 0; i < b->count; i++)
        if (!b->board[i].gone && b->board[i].socket == socket)
            return false;
    return true;
}

/* The kinds in turn: "cp2102n,ch340". */
static enum adapter_kind kind_at(const struct bench *b, unsigned socket)
{
    char words[128], *save = NULL;
    enum adapter_kind kind[ADAPTER_KINDS] = {ADAPTER_CP2102N};
    unsigned n = 0;
    kl_copy(words, sizeof words, b->want.kinds);
    for (char *w = strtok_r(words, ",", &save); w != NULL && n < ADAPTER_KINDS;
         w = strtok_r(NULL, ",", &save))
        if (adapter_kind_of(w, &kind[n]))
            n++;
    return kind[n > 0 ? socket % n : 0];
}

bool bench_add_board(struct bench *b, unsigned socket, kl_us plug_at)
{
    struct board *board = &b->board[b->count];
    unsigned number = b->count + 1;
    struct kl_vboard_config config = {
        .chip = b->want.chip,
        .mac = {{0x24, 0x0a, 0xc4, 0, 1, (uint8_t)number}},
        .faults = number == b->want.mute ? "mute" : "",
        .seed = number,
    };
    *board = (struct board){.socket = socket, .plug_at = plug_at, .kind = kind_at(b, socket)};
    board->lost = number == b->want.mute;
    if (board->kind == ADAPTER_JTAG)
        kl_mac_format(&config.mac, board->serial); /* by this it is known after a reset */
    else
        kl_format(board->serial, sizeof board->serial, "B%03u", number);
    board->vb = kl_vboard_create(&config);
    b->count += board->vb != NULL;
    return board->vb != NULL;
}

/* A board that is done is left alone. */
static void check_starts(struct bench *b, const struct board *board)
{
    if (board->starts != 0 && kl_vboard_start_count(board->vb) != board->starts)
        bench_complain(b, "a finished board was started again", board->serial);
}

void bench_check_starts(struct bench *b)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->board[i].adapter != NULL)
            check_starts(b, &b->board[i]);
}

void bench_pull(struct bench *b, struct board *board, kl_us gap)
{
    if (board->adapter == NULL)
        return;
    check_starts(b, board);
    bench_say(b, "pulls", board);
    adapter_unplug(board->adapter, false);
    board->adapter = NULL;
    if (board->pull_at != 0)
        b->moments_left[board->meant]++; /* that moment is still to come */
    board->pull_at = 0;
    board->plug_at = adapter_now() + gap;
}

/* Its chip resets; the rest of the board does not notice. */
void bench_leave_bus(struct bench *b, struct board *board)
{
    bench_say(b, "loses", board);
    adapter_unplug(board->adapter, true);
    board->adapter = NULL;
    board->plug_at = adapter_now() + KL_MS(150);
}

/* The board of the socket whose number is to become another one. An adapter that is plugged has a
   new number or none: the kernel was done with the one before. If its number is the old one, a
   program still had those below open: it is plugged once more. */
static void look_at_first(struct bench *b)
{
    struct board *first = NULL;
    for (unsigned i = 0; i < b->count; i++)
        if (b->board[i].adapter != NULL && b->board[i].socket == b->first_socket)
            first = &b->board[i];
    int number = first != NULL ? bench_number_at(b->first_socket) : -1;
    if (number == b->first_number) {
        bench_pull(b, first, bench_short_time(b));
    } else if (number >= 0) {
        bench_look_at_host(b);
        b->first_number = -1;
    }
}

static bool waits_for_first(const struct bench *b, const struct board *board)
{
    return b->first_number >= 0 && board->socket != b->first_socket;
}

void bench_plug_due(struct bench *b, kl_us now)
{
    if (b->first_number >= 0)
        look_at_first(b);
    for (unsigned i = 0; i < b->count; i++) {
        struct board *board = &b->board[i];
        const char *serial = b->want.serial != NULL ? b->want.serial : board->serial;
        if (board->gone || board->adapter != NULL || now < board->plug_at ||
            waits_for_first(b, board))
            continue;
        board->adapter = adapter_plug(board->kind, serial, board->socket, board->vb);
        board->plug_at = now + KL_MS(20); /* the kernel is not done with the one before */
        if (board->adapter == NULL)
            continue;
        board->busy_at = now;
        board->traffic = 0;
        board->phase = PHASE_QUIET;
        board->starts = 0;
        bench_say(b, "plugs", board);
    }
}

static void replace(struct bench *b, struct board *board, kl_us now)
{
    bench_pull(b, board, 0);
    board->gone = true;
    bench_add_board(b, board->socket, now + bench_short_time(b));
}

/* One that gets nowhere is plugged again by whoever stands there; it should not come to that. */
static void look_for_stuck(struct bench *b, struct board *board, kl_us now)
{
    char text[160];
    if (adapter_traffic(board->adapter) != board->traffic) {
        board->traffic = adapter_traffic(board->adapter);
        board->busy_at = now;
    }
    if (board->lost || board->frozen_at != 0 || now - board->busy_at < KL_SEC(PATIENCE_S))
        return;
    adapter_describe(board->adapter, text, sizeof text);
    printf("bench: nothing comes of %s: %s\n", board->serial, text);
    b->stuck++;
    bench_pull(b, board, KL_SEC(1));
}

/* A finished board makes room for a fresh one. */
void bench_tend(struct bench *b, kl_us now)
{
    unsigned count = b->count;
    for (unsigned i = 0; i < count; i++) {
        struct board *board = &b->board[i];
        if (board->gone || board->adapter == NULL)
            continue;
        if (board->done_at == 0 && bench_is_marked(board)) {
            board->done_at = now;
            if (board->phase == PHASE_READBACK)
                board->starts = kl_vboard_start_count(board->vb);
        }
        bool more = b->count < b->want.total || !bench_plan_is_done(b);
        if (board->done_at == 0)
            look_for_stuck(b, board, now);
        else if (more && now - board->done_at > KL_MS(500) && b->count < BOARDS_MAX)
            replace(b, board, now);
    }
}

static bool others_are_done(const struct bench *b, const struct board *frozen)
{
    for (unsigned i = 0; i < b->count; i++) {
        const struct board *board = &b->board[i];
        if (board != frozen && !board->gone && !board->lost &&
            (board->adapter == NULL || board->done_at == 0))
            return false;
    }
    return true;
}

bool bench_all_done(const struct bench *b)
{
    return bench_plan_is_done(b) && b->count >= b->want.total && others_are_done(b, NULL);
}

void bench_thaw(struct bench *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct board *board = &b->board[i];
        if (board->frozen_at == 0 || !others_are_done(b, board))
            continue;
        if (b->want.freeze)
            printf("bench: the others are done beside a frozen adapter, after %.1f s\n",
                   (double)(adapter_now() - board->frozen_at) / 1e6);
        b->want.freeze = false; /* that is said once */
        if (adapter_now() - board->frozen_at < KL_SEC(FREEZE_S) ||
            !bench_has_said(b, "\"reason\"", "link_stuck"))
            continue;
        board->frozen_at = 0;
        bench_pull(b, board, KL_SEC(1));
    }
}
