/* vloader.c: SLIP framing as the chips do it (§1.1), and what ROM loader and stub share. */
#include <stdlib.h>
#include <string.h>

#include <md5.h>

#include "vboard_inside.h"

enum {
    WINDOW = 0x8000,
    REARM_US = 20,
    DEAF_BYTES = 8,
    LONG_FRAME = 0x400,
};

uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

uint8_t loader_checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0xEF;
    uint64_t words = 0, word;

    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        memcpy(&word, data, sizeof word);
        words ^= word;
    }
    for (; words; words >>= 8)
        sum ^= (uint8_t)words;
    for (size_t i = 0; i < size; i++)
        sum ^= data[i];
    return sum;
}

void loader_forget_download(struct loader *l)
{
    l->into = INTO_NOTHING;
    l->window_used = 0;
    l->segments = 0;
}

/* The ROM loader begins: after a reset, with nothing known. */
void loader_start(struct kl_vboard *b)
{
    struct loader *l = &b->loader;

    l->locked = false;
    l->frame.open = l->frame.escape = l->frame.bad = false;
    l->frame.size = 0;
    l->next.waiting = false;
    l->busy_until = b->now;
    l->last_op = 0;
    l->last_error = 0;
    l->last_value = 0;
    l->attached = false;
    l->params_size = 0x200000; /* §2.2 */
    l->failure = 0;
    l->reading = false;
    memset(l->slow_read, 0, sizeof l->slow_read);
    loader_forget_download(l);
}

void loader_free(struct loader *l)
{
    if (l->inflate)
        inflateEnd(l->inflate);
    free(l->inflate);
    free(l->window);
    free(l->read_md5);
    free(l->frame.data);
    free(l->next.data);
    free(l->late.data);
}

/* ---- frames from the host ---- */

static bool is_sync(const uint8_t *frame, size_t size)
{
    return size >= 12 && frame[0] == 0 && frame[1] == 0x08 && get_u32(frame + 8) == 0x20120707;
}

static void dispatch(struct kl_vboard *b, const uint8_t *frame, size_t size)
{
    struct loader *l = &b->loader;

    b->work = b->now;
    if (b->mode == BOARD_STUB) {
        stub_frame(b, frame, size);
    } else {
        if (!l->locked && is_sync(frame, size)) {
            board_set_baud(b, l->rx_baud);
            l->found_baud = l->rx_baud;
            l->locked = true;
        } else if (!l->locked && !bauds_agree(l->rx_baud, b->chip_baud)) {
            return;
        }
        rom_frame(b, frame, size);
    }
    l->busy_until = b->work;
}

static void frame_done(struct kl_vboard *b)
{
    struct loader *l = &b->loader;

    if (l->frame.bad)
        return;
    stub_catch_up(b);
    if (b->mode == BOARD_ROM && fault_is(b, FAULT_ID_ROM_OVERRUN) && l->frame.size > LONG_FRAME &&
        b->chip_baud >= fault_figure(b, FAULT_ID_ROM_OVERRUN))
        l->frame.size--;
    if (l->busy_until <= b->now && !l->next.waiting) {
        dispatch(b, l->frame.data, l->frame.size);
        return;
    }
    if (l->next.waiting) { /* two buffers, both full (§1.1) */
        board_complain(b, "a third frame came while two were waiting: lost");
        return;
    }
    struct frame full = l->frame;
    l->frame = l->next;
    l->next = full;
    l->next.waiting = true;
}

static void put_byte(struct kl_vboard *b, struct frame *f, uint8_t byte)
{
    if (!f->data) {
        f->data = malloc(FRAME_MAX);
        KL_ASSERT(f->data);
    }
    if (f->size == FRAME_MAX) {
        if (!f->bad)
            board_complain(b, "a frame of more than 0x%x bytes is dropped", (unsigned)FRAME_MAX);
        f->bad = true;
        return;
    }
    f->data[f->size++] = byte;
}

/* Whether the stub's UART has a buffer. The stub gives it one when it next looks for a frame: not
   while a frame waits, and not in the very moment in which one is complete. Bytes that come before
   that are lost. */
static bool is_armed(const struct kl_vboard *b)
{
    const struct loader *l = &b->loader;

    if (l->next.waiting)
        return false;
    return b->config.paced ? b->now >= l->armed_at : l->deaf_bytes == 0;
}

/* To the stub an empty frame is a whole one. So after a lost delimiter it takes each beginning for
   an end (recorded: "md5 and defl data 2" in one segment, then silence). */
static void stub_delimiter(struct kl_vboard *b)
{
    struct loader *l = &b->loader;
    struct frame *f = &l->frame;

    if (!f->open) {
        f->open = is_armed(b);
    } else {
        f->open = false;
        if (f->size > 0) {
            l->deaf_bytes = DEAF_BYTES;
            bool deaf = fault_is(b, FAULT_ID_DEAF_AMID) && l->into == INTO_DEFLATE && f->size > 1 &&
                        f->data[1] == 0x13;
            frame_done(b);
            l->armed_at = (l->next.waiting ? l->busy_until : b->now) +
                          (deaf ? KL_MS((kl_us)fault_figure(b, FAULT_ID_DEAF_AMID)) : REARM_US);
        }
    }
    f = &l->frame; /* the buffers may have changed places */
    f->size = 0;
    f->bad = f->escape = false;
}

static void frame_byte(struct kl_vboard *b, uint8_t byte)
{
    struct frame *f = &b->loader.frame;

    if (b->loader.deaf_bytes > 0)
        b->loader.deaf_bytes--;
    if (byte == 0xC0 && b->mode == BOARD_STUB) {
        stub_delimiter(b);
    } else if (byte == 0xC0) {
        bool whole = f->open && f->size > 0;
        if (whole)
            frame_done(b);
        f = &b->loader.frame; /* the buffers may have changed places */
        f->size = 0;
        f->bad = f->escape = false;
        f->open = !whole;
    } else if (!f->open) {
        return;
    } else if (f->escape) {
        f->escape = false;
        if (byte != 0xDC && byte != 0xDD && b->mode == BOARD_STUB)
            f->bad = true;
        /* the ROM takes any other byte as it is (recorded: "broken escape") */
        put_byte(b, f, byte == 0xDC ? 0xC0 : byte == 0xDD ? 0xDB : byte);
    } else if (byte == 0xDB) {
        f->escape = true;
    } else {
        put_byte(b, f, byte);
    }
}

/* Takes at once the bytes amid a frame that mean nothing but themselves. How many they were. */
static size_t plain_bytes(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    struct loader *l = &b->loader;
    struct frame *f = &l->frame;

    if (!f->open || f->escape || !f->data)
        return 0;
    const uint8_t *end = memchr(data, 0xC0, size);
    size_t n = end ? (size_t)(end - data) : size;
    end = memchr(data, 0xDB, n);
    n = end ? (size_t)(end - data) : n;
    if (n > FRAME_MAX - f->size)
        return 0;
    memcpy(f->data + f->size, data, n);
    f->size += n;
    l->deaf_bytes = n < l->deaf_bytes ? (uint8_t)(l->deaf_bytes - n) : 0;
    return n;
}

void loader_rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    while (size > 0 && (b->mode == BOARD_ROM || b->mode == BOARD_STUB)) {
        size_t n = plain_bytes(b, data, size);
        if (n == 0)
            frame_byte(b, data[n++]);
        data += n;
        size -= n;
    }
}

kl_us loader_next(const struct kl_vboard *b)
{
    return b->loader.next.waiting ? b->loader.busy_until : KL_NEVER;
}

void loader_idle(struct kl_vboard *b)
{
    struct frame waiting = b->loader.next;

    /* empty the slot first: the command may need it */
    b->loader.next.waiting = false;
    dispatch(b, waiting.data, waiting.size);
}

/* ---- frames to the host ---- */

void loader_send(struct kl_vboard *b, const uint8_t *frame, size_t size)
{
    uint8_t out[2 * 4200 + 2];
    size_t n = 0;

    KL_ASSERT(size <= 4200);
    if (fault_is(b, FAULT_ID_SLOW))
        b->work += KL_MS((kl_us)fault_figure(b, FAULT_ID_SLOW));
    if (fault_is(b, FAULT_ID_CHATTER))
        board_send(b, (const uint8_t *)"\x1b[0;33mW (1) \xdb\xff\x80?\r\n", 18, b->work);
    out[n++] = 0xC0;
    for (size_t i = 0; i < size; i++) {
        bool escape = frame[i] == 0xC0 || frame[i] == 0xDB;
        if (escape)
            out[n++] = 0xDB;
        out[n++] = escape ? (frame[i] == 0xC0 ? 0xDC : 0xDD) : frame[i];
    }
    out[n++] = 0xC0;
    board_send(b, out, n, b->work);
}

/* ---- answers that both give ---- */

void loader_security_info(const struct kl_vboard *b, uint8_t out[20], size_t *size)
{
    bool encrypted = fault_is(b, FAULT_ID_FLASH_ENCRYPTED);

    memset(out, 0, 20);
    put_u32(out, (fault_is(b, FAULT_ID_SECURE_BOOT) ? 1u : 0u) |
                     (fault_is(b, FAULT_ID_SECURE_DOWNLOAD) ? 4u : 0u));
    out[4] = encrypted ? 1 : 0;
    out[5] = encrypted ? 4 : 0; /* key block 0: XTS-AES-128 (§4.7) */
    out[11] = 0x0C;             /* recorded: the unused seventh purpose */
    put_u32(out + 12, (uint32_t)b->chip->image_chip_id);
    put_u32(out + 16, b->v->security_version);
    *size = b->v->security_short ? 12 : 20;
}

void md5_of_flash(struct kl_vboard *b, uint32_t address, uint32_t size, uint8_t out[16])
{
    static const uint8_t nothing[256] = {0};
    MD5_CTX md5;

    MD5Init(&md5);
    if (fault_is(b, FAULT_ID_NO_FLASH) || address >= b->flash_size)
        address = b->flash_size;
    uint32_t inside = size < b->flash_size - address ? size : b->flash_size - address;
    MD5Update(&md5, b->flash + address, inside);
    for (uint32_t left = size - inside; left > 0;) {
        uint32_t n = left < sizeof nothing ? left : (uint32_t)sizeof nothing;
        MD5Update(&md5, nothing, n);
        left -= n;
        if (left > b->flash_size) /* nobody waits for the sum of gigabytes */
            break;
    }
    MD5Final(out, &md5);
    if (fault_takes(b, FAULT_ID_MD5_WRONG))
        out[0] ^= 1;
}

void loader_inflate_start(struct kl_vboard *b)
{
    struct loader *l = &b->loader;

    if (!l->inflate) {
        l->inflate = calloc(1, sizeof *l->inflate);
        l->window = calloc(1, WINDOW);
        KL_ASSERT(l->inflate && l->window && inflateInit(l->inflate) == Z_OK);
    } else {
        inflateReset(l->inflate);
    }
    l->window_used = 0;
}

/* Inflates one packet. `write` gets each full window, and the rest at the end: a stub ends with the
   stream, a ROM with the window (§2.2). */
enum inflated loader_inflate(struct kl_vboard *b, const uint8_t *data, size_t size,
                             bool (*write)(struct kl_vboard *, const uint8_t *, size_t),
                             bool whole_windows)
{
    struct loader *l = &b->loader;
    z_stream *z = l->inflate;

    z->next_in = data;
    z->avail_in = (unsigned)size;
    for (;;) {
        z->next_out = l->window + l->window_used;
        z->avail_out = (unsigned)(WINDOW - l->window_used);
        int result = inflate(z, Z_NO_FLUSH);
        if (result == Z_DATA_ERROR)
            return z->msg && strcmp(z->msg, "incorrect data check") == 0 ? INFLATE_ADLER
                                                                         : INFLATE_BROKEN;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return INFLATE_BROKEN;
        size_t used = WINDOW - z->avail_out;
        bool ended = result == Z_STREAM_END, flush = used == WINDOW || ended;
        l->window_used = flush ? 0 : used;
        if (ended && whole_windows)
            used = WINDOW;
        if (flush && used > 0 && !write(b, l->window, used))
            return INFLATE_FLASH;
        if (ended || (z->avail_in == 0 && used < WINDOW))
            return INFLATED;
        if (result == Z_BUF_ERROR && !flush)
            return INFLATED;
    }
}
