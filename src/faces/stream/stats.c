#include "stats.h"

#include <stdlib.h>
#include <string.h>

#include "faces/face_text.h"
#include "keyline/ports.h"

enum {
    RECENT = 512, /* results that rates and medians look back on */
    ENOUGH_BOARDS = 5,
};

#define ENOUGH_TIME ((int64_t)600 * 1000000)
#define HOUR        ((int64_t)3600 * 1000000)
/* A longer pause between two results is no work: lunch, the night. */
#define PAUSE ((int64_t)600 * 1000000)

struct board {
    struct kl_mac mac;
    bool done, first_pass;
};

struct slot_times {
    kl_us took[64];
    unsigned head, count;
};

struct kl_stats {
    struct board *board; /* open addressing, by MAC */
    size_t board_count, board_capacity;
    struct kl_stats_view view; /* without rates, medians and judgements */
    struct slot_times times[KL_SLOTS_MAX];
    unsigned fails[KL_SLOTS_MAX][KL_FAULT_COUNT];
    int64_t done_at[RECENT];
    unsigned done_head, done_count;
    int64_t first_at;
};

struct kl_stats *kl_stats_create(void)
{
    struct kl_stats *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->board_capacity = 256;
    s->board = calloc(s->board_capacity, sizeof *s->board);
    if (!s->board) {
        free(s);
        return NULL;
    }
    return s;
}

void kl_stats_free(struct kl_stats *s)
{
    if (!s)
        return;
    free(s->board);
    free(s);
}

/* ---- boards ---- */

static size_t place_of(const struct kl_mac *mac, size_t capacity)
{
    size_t h = 0;

    for (size_t i = 0; i < sizeof mac->b; i++)
        h = h * 31 + mac->b[i];
    return h % capacity;
}

static struct board *find(struct board *all, size_t capacity, const struct kl_mac *mac)
{
    size_t at = place_of(mac, capacity);

    while (kl_mac_is_set(&all[at].mac) && !kl_mac_equal(&all[at].mac, mac))
        at = (at + 1) % capacity;
    return &all[at];
}

static void make_room(struct kl_stats *s)
{
    size_t capacity = 2 * s->board_capacity;
    struct board *more;

    if (s->board_count * 4 < s->board_capacity * 3)
        return;
    more = calloc(capacity, sizeof *more);
    KL_ASSERT(more);
    for (size_t i = 0; i < s->board_capacity; i++)
        if (kl_mac_is_set(&s->board[i].mac))
            *find(more, capacity, &s->board[i].mac) = s->board[i];
    free(s->board);
    s->board = more;
    s->board_capacity = capacity;
}

static void count_board(struct kl_stats *s, const struct kl_stats_result *r)
{
    struct board *b;
    bool done = r->result == KL_ST_DONE;

    if (!kl_mac_is_set(&r->mac))
        return;
    make_room(s);
    b = find(s->board, s->board_capacity, &r->mac);
    if (!kl_mac_is_set(&b->mac)) {
        b->mac = r->mac;
        b->first_pass = done && r->tries <= 1;
        s->board_count++;
        s->view.first_pass += b->first_pass;
    } else if (b->done) {
        s->view.done--;
    } else {
        s->view.failed--;
    }
    b->done = done;
    s->view.done += done;
    s->view.failed += !done;
}

/* ---- slots ---- */

static unsigned slot_of(struct kl_stats *s, const char *name)
{
    unsigned i = 0;

    while (i < s->view.slot_count && strcmp(s->view.slot[i].name, name) != 0)
        i++;
    if (i < s->view.slot_count)
        return i;
    if (s->view.slot_count == KL_SLOTS_MAX)
        return KL_SLOTS_MAX -
               1; /* the history tells of many benches: the last row takes the rest */
    kl_copy(s->view.slot[i].name, KL_NAME_MAX, name);
    s->view.slot_count++;
    return i;
}

static void count_in_slot(struct kl_stats *s, const struct kl_stats_result *r)
{
    unsigned i = slot_of(s, r->slot);
    struct kl_stats_slot *slot = &s->view.slot[i];
    struct slot_times *t = &s->times[i];
    unsigned size = sizeof t->took / sizeof t->took[0];

    slot->turns++;
    if (r->result != KL_ST_DONE) {
        slot->failed++;
        s->fails[i][r->reason < KL_FAULT_COUNT ? r->reason : KL_FAULT_NONE]++;
        return;
    }
    slot->done++;
    slot->first_pass += r->tries <= 1;
    slot->baud = r->baud ? r->baud : slot->baud;
    slot->last = r->took;
    t->took[t->head] = r->took;
    t->head = (t->head + 1) % size;
    t->count += t->count < size;
}

void kl_stats_add(struct kl_stats *s, const struct kl_stats_result *r)
{
    if (r->result != KL_ST_DONE && (r->result != KL_ST_FAILED || r->reason == KL_FAULT_STOPPED))
        return;
    if (s->first_at == 0)
        s->first_at = r->wall - r->took;
    count_board(s, r);
    count_in_slot(s, r);
    s->view.last_took = r->took;
    s->view.last_result = r->result;
    kl_copy(s->view.last_slot, KL_NAME_MAX, r->slot);
    if (r->result != KL_ST_DONE)
        return;
    s->done_at[s->done_head] = r->wall;
    s->done_head = (s->done_head + 1) % RECENT;
    s->done_count += s->done_count < RECENT;
}

/* ---- figures ---- */

/* Boards done in the last hour of work, long pauses left out. 0 until there are enough boards or
   time to tell. */
static uint32_t rate(const struct kl_stats *s, int64_t wall)
{
    int64_t later = wall, worked = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < s->done_count; i++) {
        int64_t at = s->done_at[(s->done_head + RECENT - 1 - i) % RECENT];
        int64_t gap = later > at ? later - at : 0;
        if (gap < PAUSE) {
            if (worked + gap > HOUR)
                break;
            worked += gap;
        }
        later = at;
        n++;
    }
    if (n > 0 && n == s->done_count && later > s->first_at && later - s->first_at < PAUSE)
        worked += later - s->first_at; /* the time that the first board took */
    if (worked <= 0 || (n < ENOUGH_BOARDS && worked < ENOUGH_TIME))
        return 0;
    return (uint32_t)((n * HOUR + worked / 2) / worked);
}

static int by_length(const void *a, const void *b)
{
    kl_us x = *(const kl_us *)a, y = *(const kl_us *)b;

    return (x > y) - (x < y);
}

static kl_us median(const struct slot_times *t)
{
    struct slot_times sorted = *t;

    if (t->count == 0)
        return 0;
    qsort(sorted.took, t->count, sizeof sorted.took[0], by_length);
    return sorted.took[t->count / 2];
}

static void find_reasons(const unsigned fails[KL_FAULT_COUNT], struct kl_stats_slot *out)
{
    bool taken[KL_FAULT_COUNT] = {false};

    for (unsigned n = 0; n < KL_STATS_REASONS; n++) {
        int best = -1;
        for (int r = 0; r < KL_FAULT_COUNT; r++)
            if (!taken[r] && fails[r] > 0 && (best < 0 || fails[r] > fails[best]))
                best = r;
        out->reason[n].count = best < 0 ? 0 : fails[best];
        out->reason[n].reason = best < 0 ? KL_FAULT_NONE : (enum kl_reason)best;
        if (best >= 0)
            taken[best] = true;
    }
}

/* The chance that `failed` or more of `turns` fail, if each fails with probability p. */
static double chance_of(unsigned failed, unsigned turns, double p)
{
    double one = 1, below = 0;

    for (unsigned i = 0; i < turns; i++)
        one *= 1 - p;
    for (unsigned k = 0; k < failed; k++) {
        below += one;
        one *= (double)(turns - k) / (double)(k + 1) * (p / (1 - p));
    }
    return below < 1 ? 1 - below : 0;
}

/* True if the slot fails so often that, were all slots alike, the chance of it would be below
   0.001. */
static bool is_worse(const struct kl_stats_view *v, const struct kl_stats_slot *slot)
{
    unsigned turns = 0, failed = 0, n = slot->turns, f = slot->failed;
    double p;

    for (unsigned i = 0; i < v->slot_count; i++) {
        turns += v->slot[i].turns;
        failed += v->slot[i].failed;
    }
    turns -= n;
    failed -= f;
    if (f < 3 || turns < 5)
        return false;
    p = (failed + 1.0) / (turns + 2.0);
    while (n > 500) { /* counts of that size need not be exact */
        n /= 2;
        f /= 2;
    }
    return f > n * p && chance_of(f, n, p) < 0.001;
}

static int by_name(const void *a, const void *b)
{
    const struct kl_stats_slot *x = a, *y = b;

    return kl_place_compare(x->name, y->name);
}

void kl_stats_look(const struct kl_stats *s, int64_t wall, struct kl_stats_view *out)
{
    *out = s->view;
    out->boards_per_hour = rate(s, wall);
    for (unsigned i = 0; i < out->slot_count; i++) {
        out->slot[i].median = median(&s->times[i]);
        find_reasons(s->fails[i], &out->slot[i]);
    }
    for (unsigned i = 0; i < out->slot_count; i++)
        out->slot[i].worse = is_worse(&s->view, &s->view.slot[i]);
    qsort(out->slot, out->slot_count, sizeof out->slot[0], by_name);
}

/* ---- words ---- */

void kl_stats_slot_text(const struct kl_stats_slot *s, char *out, size_t size)
{
    char median_words[24] = "-", baud[16] = "-";
    int n;

    if (s->median)
        kl_duration(s->median, median_words, sizeof median_words);
    if (s->baud)
        snprintf(baud, sizeof baud, "%u", s->baud);
    n = snprintf(out, size, "%5u %5u %5u %4u%% %9s %7s ", s->turns, s->done, s->failed,
                 100 * s->first_pass / (s->turns ? s->turns : 1), median_words, baud);
    for (unsigned i = 0; i < KL_STATS_REASONS && s->reason[i].count > 0; i++) {
        char one[64];
        int length = snprintf(one, sizeof one, " %s %u", kl_fault_info(s->reason[i].reason).name,
                              s->reason[i].count);
        if (n + length >= (int)size)
            break;
        n += snprintf(out + n, size - (size_t)n, "%s", one);
    }
}

void kl_stats_print(const struct kl_stats_view *v, FILE *out)
{
    uint32_t boards = v->done + v->failed;
    char text[64];

    if (v->slot_count == 0)
        return;
    fprintf(out, "%-16s %s\n", "slot", KL_STATS_HEADING);
    for (unsigned i = 0; i < v->slot_count; i++) {
        kl_stats_slot_text(&v->slot[i], text, sizeof text);
        fprintf(out, "%-16.16s %s\n", v->slot[i].name, text);
        if (v->slot[i].worse)
            fprintf(out, "  ^ worse than the others by more than chance: its cable, its needle?\n");
    }
    fprintf(out, "%u boards: %u done, %u failed", boards, v->done, v->failed);
    if (boards > 0)
        fprintf(out, "; %u%% done at the first try", 100 * v->first_pass / boards);
    if (v->boards_per_hour)
        fprintf(out, "\n%u boards an hour of work", v->boards_per_hour);
    fprintf(out, "\n");
}
