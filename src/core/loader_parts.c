/*
 * loader_parts.c: a run of an image's sectors as one compressed stream of its own.
 *
 * The bundle holds each sector's piece of deflate. Pieces stand alone, so those of any run make a
 * zlib stream: its head, the pieces as they are, an empty last block, and a sum over the raw bytes.
 */
#include "loader_private.h"

#include <string.h>

enum {
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

    KL_ASSERT(l->diff.parts.on && size <= sizeof l->diff.parts.block &&
              at + size <= ldr_parts_size(l));
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
