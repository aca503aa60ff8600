/* bench_person.c: a person who pulls plugs, at moments that cover a board's whole life. */
#include <stdio.h>

#include "bench.h"

/* Plugs are pulled in these, as the wire tells (phase.h). */
static const struct {
    enum phase phase;
    kl_us within; /* of its beginning, half of the times; the other half at once */
} pulled[] = {
    {PHASE_RESET, KL_MS(150)},   {PHASE_SYNC, KL_MS(60)},   {PHASE_STUB, KL_MS(150)},
    {PHASE_FLASH, KL_MS(400)},   {PHASE_VERIFY, KL_MS(60)}, {PHASE_HANDOVER, KL_MS(60)},
    {PHASE_READBACK, KL_MS(60)},
};

enum {
    PULLED = sizeof pulled / sizeof pulled[0],
    LEAST_EACH = 3, /* of 50 moments */
    FOUND_MAX = 64,
};

/* Without flasher stubs none is uploaded. */
static bool happens(const struct bench *b, unsigned i)
{
    return pulled[i].phase != PHASE_STUB || !b->want.no_stub;
}

kl_us bench_short_time(struct bench *b)
{
    return KL_MS(50) + (kl_us)bench_draw(b, 1200000);
}

/* ---- plugs ---- */

static kl_us delay(struct bench *b, enum phase phase)
{
    for (unsigned i = 0; i < PULLED; i++)
        if (pulled[i].phase == phase)
            return (kl_us)bench_draw(b, (uint64_t)pulled[i].within);
    return 0;
}

/* Not the first chance, not two at one time. */
void bench_phase_began(struct bench *b, struct board *board, kl_us now)
{
    unsigned *left = &b->moments_left[board->phase];
    if (*left == 0 || board->pull_at != 0 || now < b->next_pull || bench_draw(b, 2) == 0)
        return;
    board->meant = board->phase;
    board->pull_at = now + (*left % 2 == 0 ? delay(b, board->phase) : 0);
    b->next_pull = now + (kl_us)bench_draw(b, 400000);
    --*left;
}

static void pull_now(struct bench *b, struct board *board)
{
    unsigned socket = (unsigned)bench_draw(b, CONTROLLER_SOCKETS);
    b->moments_had[adapter_phase(board->adapter)]++;
    bench_say(b, phase_name(adapter_phase(board->adapter)), board);
    board->pull_at = 0;
    bench_pull(b, board, bench_short_time(b));
    if (bench_draw(b, 3) == 0 && bench_socket_is_free(b, socket))
        board->socket = socket;
}

static void pull_due(struct bench *b, kl_us now)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->board[i].adapter != NULL && b->board[i].pull_at != 0 && now >= b->board[i].pull_at)
            pull_now(b, &b->board[i]);
}

/* ---- more than one board ---- */

static struct board *any_plugged(struct bench *b, const struct board *other)
{
    struct board *found[FOUND_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < b->count && n < FOUND_MAX; i++)
        if (b->board[i].adapter != NULL && &b->board[i] != other)
            found[n++] = &b->board[i];
    return n > 0 ? found[bench_draw(b, n)] : NULL;
}

static bool swap_two(struct bench *b)
{
    struct board *one = any_plugged(b, NULL), *two = any_plugged(b, one);
    if (one == NULL || two == NULL)
        return false;
    bench_pull(b, one, bench_short_time(b));
    bench_pull(b, two, bench_short_time(b));
    unsigned socket = one->socket;
    one->socket = two->socket;
    two->socket = socket;
    return true;
}

/* The one with the highest ttyUSB number comes back first, and gets a lower one: so there must be
   one. */
static bool pull_all(struct bench *b)
{
    kl_us gap = bench_short_time(b);
    bench_look_at_host(b);
    for (unsigned i = 0; i < b->count; i++) {
        unsigned socket = b->board[i].socket;
        if (b->board[i].adapter == NULL || bench_number_at(socket) <= b->first_number)
            continue;
        b->first_number = bench_number_at(socket);
        b->first_socket = socket;
    }
    if (b->first_number == 0)
        b->first_number = -1;
    if (b->first_number < 0)
        return false;
    for (unsigned i = 0; i < b->count; i++)
        bench_pull(b, &b->board[i], gap);
    return true;
}

static void next_plan(struct bench *b, kl_us now)
{
    if (b->planned == b->plan_count || now < b->next_plan || b->first_number >= 0)
        return;
    b->planned += b->plan[b->planned](b);
    b->next_plan = now + KL_MS(300) + (kl_us)bench_draw(b, 3000000);
}

/* ---- the whole of it ---- */

void bench_make_plan(struct bench *b)
{
    for (unsigned i = 0; i < b->want.all + b->want.swaps && i < PLANS_MAX; i++)
        b->plan[b->plan_count++] = i < b->want.all ? pull_all : swap_two;
    for (unsigned i = b->plan_count; i > 1; i--) {
        unsigned j = (unsigned)bench_draw(b, i);
        bool (*act)(struct bench *) = b->plan[i - 1];
        b->plan[i - 1] = b->plan[j];
        b->plan[j] = act;
    }
    for (unsigned i = 0, n = 0; n < b->want.moments; i++) {
        if (!happens(b, i % PULLED))
            continue;
        b->moments_left[pulled[i % PULLED].phase]++;
        n++;
    }
    b->next_plan = b->started + KL_SEC(5);
}

bool bench_plan_is_done(const struct bench *b)
{
    for (unsigned i = 0; i < PHASES; i++)
        if (b->moments_left[i] > 0)
            return false;
    return b->planned == b->plan_count;
}

void bench_person_acts(struct bench *b, kl_us now)
{
    next_plan(b, now);
    pull_due(b, now);
}

void bench_check_moments(struct bench *b)
{
    unsigned sum = 0;
    printf("bench: pulled in");
    for (unsigned i = 0; i < PHASES; i++) {
        printf(" %s %u", phase_name((enum phase)i), b->moments_had[i]);
        sum += b->moments_had[i];
    }
    printf("\n");
    if (sum != b->want.moments)
        bench_complain(b, "not as many moments as asked for", "");
    for (unsigned i = 0; i < PULLED; i++)
        if (happens(b, i) && b->moments_had[pulled[i].phase] < LEAST_EACH * b->want.moments / 50)
            bench_complain(b, "too few plugs were pulled in", phase_name(pulled[i].phase));
}
