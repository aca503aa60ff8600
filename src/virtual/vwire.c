/* vwire.c: the two directions of the UART: rates, wire time, USB latency, and faults on the way. */
#include <stdlib.h>
#include <string.h>

#include "vboard_inside.h"

enum {
    RUN_MAX = 4096,
    PACKET = 64,     /* bulk packets of a full-speed device … */
    PACKET_US = 100, /* … that empties its one buffer by hand: ten a frame of 1 ms */
};

bool bauds_agree(uint32_t a, uint32_t b)
{
    uint64_t high = a > b ? a : b, low = a > b ? b : a;

    return (high - low) * 100 <= high * 3;
}

/* When byte `n` of a stretch (from 0) has passed, 8N1. */
static kl_us passed(const struct kl_vboard *b, const struct stretch *s, size_t n)
{
    if (!b->config.paced)
        return s->start;
    if (b->config.native_usb)
        return s->start + (kl_us)(n / PACKET + 1) * PACKET_US;
    return s->start + (kl_us)((uint64_t)(n + 1) * 10000000u / s->baud);
}

/* How many bytes of a stretch have passed by `at`. */
static size_t passed_by(const struct kl_vboard *b, const struct stretch *s, kl_us at)
{
    size_t low = s->done, high = s->size;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (passed(b, s, middle) <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(struct lane *lane, size_t size)
{
    size_t used = lane->tail - lane->head;

    if (lane->head > 0) {
        memmove(lane->bytes, lane->bytes + lane->head, used);
        lane->head = 0;
        lane->tail = used;
    }
    if (used + size > lane->capacity) {
        size_t capacity = lane->capacity ? lane->capacity : 256;
        while (capacity < used + size)
            capacity *= 2;
        lane->bytes = realloc(lane->bytes, capacity);
        KL_ASSERT(lane->bytes);
        lane->capacity = capacity;
    }
}

static struct stretch *new_stretch(struct lane *lane)
{
    if (lane->first > 0 && lane->last == lane->room) {
        memmove(lane->stretch, lane->stretch + lane->first,
                (lane->last - lane->first) * sizeof *lane->stretch);
        lane->last -= lane->first;
        lane->first = 0;
    }
    if (lane->last == lane->room) {
        lane->room = lane->room ? 2 * lane->room : 8;
        lane->stretch = realloc(lane->stretch, lane->room * sizeof *lane->stretch);
        KL_ASSERT(lane->stretch);
    }
    return &lane->stretch[lane->last++];
}

void lane_put(struct kl_vboard *b, struct lane *lane, const uint8_t *data, size_t size, kl_us ready,
              uint32_t baud)
{
    if (size == 0)
        return;
    if (lane->tail + size > lane->capacity)
        make_room(lane, size);
    memcpy(lane->bytes + lane->tail, data, size);
    lane->tail += size;
    struct stretch *s = new_stretch(lane);
    *s = (struct stretch){
        .size = size, .start = ready > lane->free_at ? ready : lane->free_at, .baud = baud};
    lane->free_at = passed(b, s, size - 1);
}

void lane_free(struct lane *lane)
{
    free(lane->bytes);
    free(lane->stretch);
    lane->bytes = NULL;
    lane->stretch = NULL;
}

static void take_bytes(struct lane *lane, size_t size)
{
    struct stretch *s = &lane->stretch[lane->first];

    lane->head += size;
    s->done += size;
    if (s->done == s->size)
        lane->first++;
    if (lane->first == lane->last) {
        lane->first = lane->last = 0;
        lane->head = lane->tail = 0;
    }
}

void lane_drop_from(struct kl_vboard *b, struct lane *lane, kl_us at)
{
    size_t keep = 0, i;

    for (i = lane->first; i < lane->last; i++) {
        struct stretch *s = &lane->stretch[i];
        size_t by = passed_by(b, s, at);
        keep += by - s->done;
        if (by < s->size) {
            s->size = by;
            i += by > s->done;
            break;
        }
    }
    lane->last = i;
    lane->tail = lane->head + keep;
    if (lane->first == lane->last)
        lane->first = lane->last = lane->head = lane->tail = 0;
    if (lane->free_at > at)
        lane->free_at = at;
    lane->run = 0;
}

/* ---- from the host ---- */

/* Finds where the run ends: at the next byte that can make the chip act. */
static size_t find_run(const struct kl_vboard *b, const struct lane *lane)
{
    const struct stretch *s = &lane->stretch[lane->first];
    size_t left = s->size - s->done;
    size_t look = left < RUN_MAX ? left : RUN_MAX;
    const uint8_t *from = lane->bytes + lane->head;
    const uint8_t *end = memchr(from, b->mode == BOARD_APP ? '\n' : 0xC0, look);

    return end ? (size_t)(end - from) + 1 : look;
}

kl_us rx_next(struct kl_vboard *b)
{
    struct lane *lane = &b->rx;

    if (lane->first == lane->last)
        return KL_NEVER;
    if (lane->run == 0)
        lane->run = find_run(b, lane);
    const struct stretch *s = &lane->stretch[lane->first];
    return passed(b, s, s->done + lane->run - 1);
}

/* What a byte looks like to a receiver at another rate. */
static uint8_t garble(uint8_t byte, uint32_t from, uint32_t to)
{
    uint8_t out = (uint8_t)(byte * 167u + from / 300u * 31u + to / 300u);

    out = (uint8_t)(out | (from > to ? 0x80 : 0x60));
    return out == 0xC0 ? 0xF8 : out;
}

static void chip_hears(struct kl_vboard *b, uint8_t *data, size_t size, uint32_t baud)
{
    bool loading = b->mode == BOARD_ROM || b->mode == BOARD_STUB;
    bool any_rate = b->config.native_usb || (b->mode == BOARD_ROM && !b->loader.locked);

    if (b->dead_wire_rx || fault_is(b, FAULT_ID_DEAF))
        return;
    if (!any_rate && !bauds_agree(baud, b->chip_baud))
        for (size_t i = 0; i < size; i++)
            data[i] = garble(data[i], baud, b->chip_baud);
    b->loader.rx_baud = baud;
    if (loading)
        loader_rx(b, data, size);
    else if (b->mode == BOARD_MONITOR)
        for (size_t i = 0; i < size; i++)
            monitor_rx(b, data[i]);
    else if (b->mode == BOARD_APP || b->mode == BOARD_BOOT)
        app_rx(b, data, size);
}

static void chip_hears_through_faults(struct kl_vboard *b, const uint8_t *data, size_t size,
                                      uint32_t baud)
{
    uint8_t copy[256], out[2];

    while (size > 0 && b->mode != BOARD_OFF) {
        uint64_t clean = b->rx.trouble > b->rx.count ? b->rx.trouble - b->rx.count - 1 : UINT64_MAX;
        size_t n = size < sizeof copy ? size : sizeof copy;
        if (clean < n)
            n = (size_t)clean;
        if (n > 0) {
            memcpy(copy, data, n);
            b->rx.count += n;
            chip_hears(b, copy, n, baud);
        } else {
            n = 1;
            unsigned left = fault_byte(b, &b->rx, data[0], out);
            if (b->mode != BOARD_OFF)
                chip_hears(b, out, left, baud);
        }
        data += n;
        size -= n;
    }
}

/* Hands over what has arrived by `until`: all of it, or whole runs only. */
void rx_run(struct kl_vboard *b, kl_us until, bool whole_runs)
{
    struct lane *lane = &b->rx;

    while (lane->first < lane->last) {
        struct stretch *s = &lane->stretch[lane->first];
        size_t by = passed_by(b, s, until) - s->done;
        if (lane->run == 0)
            lane->run = find_run(b, lane);
        size_t n = by < lane->run ? by : lane->run;
        if (n == 0 || (whole_runs && n < lane->run))
            break;
        uint8_t bytes[RUN_MAX];
        uint32_t baud = s->baud;
        memcpy(bytes, lane->bytes + lane->head, n);
        take_bytes(lane, n);
        lane->run = 0;
        chip_hears_through_faults(b, bytes, n, baud);
        if (whole_runs)
            break;
    }
}

/* ---- to the host ---- */

static kl_us latency(const struct kl_vboard *b)
{
    return b->config.paced ? b->config.usb_latency : 0;
}

kl_us tx_next(const struct kl_vboard *b)
{
    const struct lane *lane = &b->tx;

    if (lane->first == lane->last)
        return KL_NEVER;
    const struct stretch *s = &lane->stretch[lane->first];
    return passed(b, s, s->size - 1) + latency(b);
}

kl_us kl_vboard_answers_at(const struct kl_vboard *b)
{
    (void)board_settled(b);
    return b->tx.first == b->tx.last ? KL_NEVER : b->tx.stretch[b->tx.first].start;
}

void tx_settle(struct kl_vboard *b)
{
    struct lane *lane = &b->tx;

    for (size_t i = lane->first; i < lane->last; i++)
        if (!lane->stretch[i].heard_at && passed(b, &lane->stretch[i], 0) <= b->now)
            lane->stretch[i].heard_at = b->host_baud;
}

size_t tx_take(struct kl_vboard *b, uint8_t *out, size_t size)
{
    struct lane *lane = &b->tx;
    size_t total = 0;

    while (total < size && lane->first < lane->last) {
        const struct stretch *s = &lane->stretch[lane->first];
        size_t n = passed_by(b, s, b->now - latency(b)) - s->done;
        uint32_t heard_at = s->heard_at ? s->heard_at : b->host_baud, baud = s->baud;
        if (n > size - total)
            n = size - total;
        if (n == 0)
            break;
        memcpy(out + total, lane->bytes + lane->head, n);
        take_bytes(lane, n);
        for (size_t i = total;
             !b->config.native_usb && !bauds_agree(heard_at, baud) && i < total + n; i++)
            out[i] = garble(out[i], baud, heard_at);
        total += n;
    }
    return total;
}
