/*
 * loader_parts.c: a run of an image's sectors as one compressed stream of its own.
 *
 * The bundle holds each sector's piece of deflate. Pieces stand alone, so those of any run make a
 * zlib stream: its head, the pieces as they are, an empty last block, and a sum over the raw bytes.
 */
#include "loader_private.h"

#include <string.h>

enum {
    ERASE_BLOCK = 0x10000,
    WINDOW = 0x8000, /* a stub writes in such units */
    ERASE_SECTOR_US = 45000,
    ERASE_BLOCK_US = 150000,
    WRITE_US = 51200, /* a window */
    FRAME = 30,       /* bytes around a block */
    ANSWER_US = 1200,
    HEAD = 2,
    END = 6, /* an empty last block, Adler-32 */
    ADLER = 65521,
    ADLER_RUN = 5552, /* so many bytes don't overflow 32 bits */
};

static uint32_t adler32(const uint8_t *data, size_t size)
{
    uint32_t a = 1, b = 0;

    for (size_t at = 0; at < size;) {
        size_t until = size - at < ADLER_RUN ? size : at + ADLER_RUN;
        for (; at < until; at++) {
            a += data[at];
            b += a;
        }
        a %= ADLER;
        b %= ADLER;
    }
    return b << 16 | a;
}

static const uint32_t *places(const struct kl_loader *l)
{
    return ldr_image(l, l->flash.region)->part_at + l->diff.parts.first;
}

/* Bytes of the pieces alone. */
static uint32_t pieces(const struct kl_loader *l)
{
    return places(l)[l->diff.parts.count] - places(l)[0];
}

bool ldr_parts_begin(struct kl_loader *l, uint32_t from, uint32_t until)
{
    const struct kl_image *i = ldr_image(l, l->flash.region);
    uint32_t sum;

    KL_ASSERT(from % SECTOR == 0 && from < until && until <= i->raw_size);
    l->diff.parts.on = false;
    if (!i->parts)
        return false;
    l->diff.parts.first = from / SECTOR;
    l->diff.parts.count = (until - from + SECTOR - 1) / SECTOR;
    if (ldr_parts_size(l) >= until - from)
        return false;
    sum = adler32(i->raw + from, until - from);
    l->diff.parts.end[0] = 0x03;
    l->diff.parts.end[1] = 0x00;
    for (int n = 0; n < 4; n++)
        l->diff.parts.end[2 + n] = (uint8_t)(sum >> (24 - 8 * n));
    l->diff.parts.on = true;
    return true;
}

uint32_t ldr_parts_size(const struct kl_loader *l)
{
    return HEAD + pieces(l) + END;
}

/* Copies what of the stream's stretch [at, at + size) lies in `bytes`, which begin at `begin`. */
static void copy(uint8_t *out, uint32_t at, uint32_t size, const uint8_t *bytes, uint32_t begin,
                 uint32_t length)
{
    uint32_t from = at > begin ? at : begin;
    uint32_t to = at + size < begin + length ? at + size : begin + length;

    if (from < to)
        memcpy(out + (from - at), bytes + (from - begin), to - from);
}

const uint8_t *ldr_parts_block(struct kl_loader *l, uint32_t at, uint32_t size)
{
    static const uint8_t head[HEAD] = {0x78, 0xDA};
    const struct kl_image *i = ldr_image(l, l->flash.region);
    uint32_t middle = pieces(l);

    KL_ASSERT(l->diff.parts.on && at + size <= ldr_parts_size(l));
    if (at >= HEAD && at + size <= HEAD + middle)
        return i->parts + places(l)[0] + (at - HEAD);
    KL_ASSERT(size <= sizeof l->diff.parts.block);
    copy(l->diff.parts.block, at, size, head, 0, HEAD);
    copy(l->diff.parts.block, at, size, i->parts + places(l)[0], HEAD, middle);
    copy(l->diff.parts.block, at, size, l->diff.parts.end, HEAD + middle, END);
    return l->diff.parts.block;
}

uint32_t ldr_parts_raw(const struct kl_loader *l, uint32_t sent)
{
    const uint32_t *at = places(l);
    uint32_t low = 0, high = l->diff.parts.count;

    KL_ASSERT(l->diff.parts.on);
    if (sent >= ldr_parts_size(l))
        return l->flash.until;
    while (low < high) { /* the last sector that is in as a whole */
        uint32_t middle = low + (high - low + 1) / 2;
        if (HEAD + at[middle] - at[0] <= sent)
            low = middle;
        else
            high = middle - 1;
    }
    uint32_t raw = l->flash.resume_at + low * SECTOR;
    return raw < l->flash.until ? raw : l->flash.until;
}

/* ---- how long blocks are ---- */

static uint32_t run_size(const struct kl_loader *l)
{
    return l->flash.until - l->flash.resume_at;
}

static void erase_next(const struct kl_loader *l, struct kl_loader_pace *p, kl_us now)
{
    uint32_t left = run_size(l) - p->erased;
    uint32_t at = l->bundle->region[l->flash.region].offset + l->flash.resume_at + p->erased;
    bool whole = at % ERASE_BLOCK == 0 && left >= ERASE_BLOCK;
    uint32_t step = whole ? ERASE_BLOCK : SECTOR;

    KL_ASSERT(left > 0);
    p->flash = (p->flash > now ? p->flash : now) + (whole ? ERASE_BLOCK_US : ERASE_SECTOR_US);
    p->erased += left < step ? left : step;
}

void ldr_parts_start(const struct kl_loader *l, struct kl_loader_stream *s)
{
    KL_ASSERT(l->diff.parts.on && s->sent == 0);
    s->pace = (struct kl_loader_pace){.taken = 0};
    erase_next(l, &s->pace, 0);
}

/* A stub starts one erase with each block, so blocks are short while it waits for them; and it
   takes none while it waits for its flash, so the one that comes then is long. */
uint32_t ldr_parts_len(const struct kl_loader *l, const struct kl_loader_stream *s)
{
    kl_us idle = s->pace.busy > s->pace.taken ? s->pace.busy - s->pace.taken : 0;
    uint32_t left = ldr_parts_size(l) - s->sent, most = ldr_bytes_in(l, idle);
    uint32_t least = s->block_size < SECTOR ? s->block_size : SECTOR;

    KL_ASSERT(s->block_size > 0 && left > 0);
    if (left <= least)
        return left;
    if (most > s->block_size)
        most = s->block_size;
    if (most > left - END) /* only short blocks hold what is not the image's */
        most = left - END;
    return most > least ? most : least;
}

void ldr_parts_pass(const struct kl_loader *l, struct kl_loader_stream *s, uint32_t len)
{
    struct kl_loader_pace *p = &s->pace;
    kl_us here = p->taken + (kl_us)(len + FRAME) * 10000000 / l->identity.baud;
    uint32_t raw = ldr_parts_raw(l, s->sent + len) - l->flash.resume_at;

    p->taken = (here > p->busy ? here : p->busy) + ANSWER_US;
    kl_us now = p->taken;
    if (p->flash <= now && p->erased < run_size(l))
        erase_next(l, p, now);
    while (raw - p->written >= WINDOW) {
        p->written += WINDOW;
        while (p->erased < p->written)
            erase_next(l, p, now);
        p->flash = (p->flash > now ? p->flash : now) + WRITE_US;
        now = p->flash;
    }
    p->busy = now;
}
