#include "pack.h"

#include <libdeflate.h>
#include <md5.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    PARTS_MIN = 0x20000 /* the loader writes smaller images as a whole */
};

/* Notes how much of the image the stream holds after each step. The loader tells from it how long a
   block may take, and how far it has come. */
static bool index_stream(struct kl_image *image)
{
    size_t steps = image->packed_size / KL_PACK_STEP + 2;
    uint32_t *at = calloc(steps, sizeof *at);
    uint8_t out[16384];
    z_stream z = {0};
    uint32_t known = 0;

    if (!at || inflateInit(&z) != Z_OK) {
        free(at);
        return false;
    }
    for (size_t n = 0; n < steps; n++) {
        size_t from = n * KL_PACK_STEP;
        size_t size = from >= image->packed_size ? 0 : image->packed_size - from;
        at[n] = known;
        z.next_in = (Bytef *)(uintptr_t)(image->packed + from);
        z.avail_in = (uInt)(size < KL_PACK_STEP ? size : KL_PACK_STEP);
        do {
            z.next_out = out;
            z.avail_out = sizeof out;
            inflate(&z, Z_NO_FLUSH);
            known += (uint32_t)(sizeof out - z.avail_out);
        } while (z.avail_out == 0);
    }
    at[steps - 1] = image->raw_size;
    inflateEnd(&z);
    image->inflated_at = at;
    return known == image->raw_size;
}

static bool deflate_all(struct kl_image *image)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(12);
    size_t bound = c ? libdeflate_zlib_compress_bound(c, image->raw_size) : 0;
    uint8_t *packed = c ? malloc(bound) : NULL;

    if (packed)
        image->packed_size =
            (uint32_t)libdeflate_zlib_compress(c, image->raw, image->raw_size, packed, bound);
    image->packed = packed;
    if (c)
        libdeflate_free_compressor(c);
    return image->packed_size > 0;
}

/* A full flush behind each sector lets its piece stand alone. */
static uint32_t deflate_parts(const struct kl_image *image, z_stream *z, uint32_t *at, size_t room)
{
    uint32_t sectors = (image->raw_size + KL_HEAD - 1) / KL_HEAD;

    for (uint32_t n = 0; n < sectors; n++) {
        uint32_t from = n * KL_HEAD, left = image->raw_size - from;
        at[n] = (uint32_t)z->total_out;
        z->next_in = (Bytef *)(uintptr_t)(image->raw + from);
        z->avail_in = left < KL_HEAD ? left : KL_HEAD;
        z->avail_out = (uInt)(room - z->total_out);
        if (deflate(z, Z_FULL_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
            return 0;
    }
    return at[sectors] = (uint32_t)z->total_out;
}

bool kl_pack_parts(struct kl_image *image)
{
    size_t sectors = (image->raw_size + KL_HEAD - 1) / KL_HEAD;
    size_t room = image->raw_size + sectors * 32 + 64;
    uint32_t *at = calloc(sectors + 1, sizeof *at), size = 0;
    uint8_t *parts = malloc(room), *fitting;
    z_stream z = {.next_out = parts};

    if (at && parts && deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK) {
        size = deflate_parts(image, &z, at, room);
        deflateEnd(&z);
    }
    if (size == 0) {
        free(at);
        free(parts);
        return false;
    }
    fitting = realloc(parts, size);
    if (fitting)
        parts = fitting;
    image->parts = parts;
    image->part_at = at;
    return true;
}

void kl_md5(const void *data, size_t size, uint8_t out[16])
{
    MD5_CTX md5;

    MD5Init(&md5);
    MD5Update(&md5, data, size);
    MD5Final(out, &md5);
}

bool kl_pack(struct kl_image *out, uint8_t *raw, uint32_t raw_size)
{
    *out = (struct kl_image){.raw = raw, .raw_size = raw_size};
    kl_md5(raw, raw_size, out->md5);
    kl_md5(raw, raw_size < KL_HEAD ? raw_size : KL_HEAD, out->head_md5);
    if (deflate_all(out) && index_stream(out) && (raw_size < PARTS_MIN || kl_pack_parts(out)))
        return true;
    kl_pack_free(out);
    return false;
}

void kl_pack_free(struct kl_image *image)
{
    free((void *)(uintptr_t)image->raw);
    free((void *)(uintptr_t)image->packed);
    free((void *)(uintptr_t)image->inflated_at);
    free((void *)(uintptr_t)image->parts);
    free((void *)(uintptr_t)image->part_at);
    *image = (struct kl_image){0};
}
