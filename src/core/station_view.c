/*
 * station_view.c: the snapshot and the bench's figures. Nothing here changes the station.
 */
#include "station_state.h"

#include <string.h>

static void look_at_slot(const struct kl_board *b, struct kl_slot_view *v)
{
    const struct kl_loader_progress *p = kl_loader_progress(&b->loader);

    *v = (struct kl_slot_view){
        .network = b->port.network,
        .plugged = b->port.plugged,
        .state = b->state,
        .since = b->since,
        .retry_at = b->attempts.retry_at,
        .fault = b->fault,
        .identity = b->identity,
        .left = KL_NEVER,
        .tries = b->attempts.tries,
        .already = b->attempts.lived.already,
        .exam_came = kl_watch_came(&b->watch),
        .exam_due = b->watch.exam ? b->watch.exam->expects : 0,
        .boards_done = b->place.done,
        .boards_failed = b->place.failed,
    };
    kl_copy(v->name, sizeof v->name, b->place.name);
    kl_copy(v->port, sizeof v->port, b->port.path);
    kl_copy(v->label, sizeof v->label, b->custody.label);
    if (b->state != KL_ST_EMPTY && b->state != KL_ST_SETTLING)
        v->progress = *p;
    if (b->state == KL_ST_FLASHING && b->pace.bytes_per_second > 0) {
        v->bytes_per_second = b->pace.bytes_per_second;
        v->left = (kl_us)((p->total - p->done) * 1000000u / b->pace.bytes_per_second);
    }
}

/* Boards done per hour: over the last hour, or since the first start if that is shorter. */
static uint32_t boards_per_hour(const struct kl_station *st)
{
    kl_us span = st->now - st->began;
    unsigned n = 0;

    KL_ASSERT(span >= 0 && st->figures.recent_count <= RECENT_MAX);
    if (span > KL_SEC(3600))
        span = KL_SEC(3600);
    if (span < KL_SEC(1))
        return 0;
    for (unsigned i = 0; i < st->figures.recent_count; i++)
        n += st->figures.recent[i].done && st->now - st->figures.recent[i].at <= span;
    return (uint32_t)((uint64_t)n * KL_SEC(3600) / (uint64_t)span);
}

void kl_station_look(const struct kl_station *st, struct kl_snapshot *out)
{
    KL_ASSERT(st->board_count <= KL_SLOTS_MAX);
    memset(out, 0, sizeof *out);
    out->version = st->version;
    out->at = st->now;
    out->slot_count = st->board_count;
    for (unsigned i = 0; i < st->board_count; i++)
        look_at_slot(&st->board[i], &out->slot[i]);
    out->keys = st->pool.counts;
    out->done = st->figures.done;
    out->failed = st->figures.failed;
    out->skipped = st->figures.skipped;
    out->first_pass = st->figures.first_pass;
    out->boards_per_hour = boards_per_hour(st);
    out->median_board = st->figures.median;
    out->keys_empty_in =
        out->boards_per_hour
            ? (kl_us)((uint64_t)out->keys.free * KL_SEC(3600) / out->boards_per_hour)
            : KL_NEVER;
    out->paused = st->mode.paused;
    out->stopping = st->mode.stopping;
    out->few_keys = st->have_keys && out->keys.free <= st->config.warn_keys;
    out->store_trouble = st->store.trouble;
    kl_copy(out->warning, sizeof out->warning, st->warning.text);
    kl_copy(out->kept_back, sizeof out->kept_back, st->kept_back);
    out->in_doubt_version = st->pool.doubts;
}

const struct kl_pool *kl_station_pool(const struct kl_station *st)
{
    return &st->pool;
}

unsigned kl_station_in_doubt(const struct kl_station *st, struct kl_in_doubt *out,
                             unsigned capacity)
{
    uint32_t left = st->pool.counts.in_doubt;
    unsigned n = 0;

    for (uint32_t i = 0; i < st->pool.count && n < capacity && left > 0; i++) {
        const struct kl_pool_key *k = kl_pool_key(&st->pool, i);
        if (k->state != KL_KEY_RESERVED || k->live)
            continue;
        out[n].fingerprint = kl_pool_row_of(&st->pool, i)->fingerprint;
        kl_copy(out[n].label, sizeof out[n].label, kl_pool_row_of(&st->pool, i)->label);
        out[n++].mac = *kl_pool_mac(&st->pool, i);
        left--;
    }
    KL_ASSERT(n <= capacity);
    return n;
}
