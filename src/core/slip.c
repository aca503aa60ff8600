#include "slip.h"

#include <string.h>

enum {
    END = 0xc0,
    ESC = 0xdb,
    ESC_END = 0xdc,
    ESC_ESC = 0xdd,
};

enum state {
    OUTSIDE, /* text, until an END */
    INSIDE,
    ESCAPED,
    BROKEN, /* a damaged frame: skip to its END */
};

void kl_slip_reset(struct kl_slip *s)
{
    s->size = 0;
    s->state = OUTSIDE;
}

static enum kl_slip_result store(struct kl_slip *s, uint8_t byte)
{
    KL_ASSERT(s->size <= sizeof s->frame);
    if (s->size == sizeof s->frame) {
        s->state = BROKEN;
        return KL_SLIP_BAD;
    }
    s->frame[s->size++] = byte;
    s->state = INSIDE;
    return KL_SLIP_MORE;
}

static enum kl_slip_result end(struct kl_slip *s)
{
    enum kl_slip_result result = KL_SLIP_MORE;

    switch ((enum state)s->state) {
    case OUTSIDE:
        s->size = 0;
        s->state = INSIDE;
        break;
    case INSIDE:
        /* An empty frame is two delimiters in a row: the second one opens the next (1.1). */
        if (s->size > 0) {
            s->state = OUTSIDE;
            result = KL_SLIP_FRAME;
        }
        break;
    case ESCAPED:
        s->state = OUTSIDE;
        result = KL_SLIP_BAD;
        break;
    case BROKEN:
        s->state = OUTSIDE;
        break;
    }
    return result;
}

enum kl_slip_result kl_slip_byte(struct kl_slip *s, uint8_t byte)
{
    if (byte == END)
        return end(s);
    switch ((enum state)s->state) {
    case OUTSIDE:
        return KL_SLIP_TEXT;
    case INSIDE:
        /* A frame that was handed out keeps its bytes until the next one begins. */
        if (byte == ESC) {
            s->state = ESCAPED;
            return KL_SLIP_MORE;
        }
        return store(s, byte);
    case ESCAPED:
        if (byte == ESC_END || byte == ESC_ESC)
            return store(s, byte == ESC_END ? END : ESC);
        s->state = BROKEN;
        return KL_SLIP_BAD;
    case BROKEN:
        break;
    }
    return KL_SLIP_MORE;
}

/* Where the byte stands next, or `stop`. */
static const uint8_t *next_of(const uint8_t *at, const uint8_t *stop, uint8_t byte)
{
    const uint8_t *found = at < stop ? memchr(at, byte, (size_t)(stop - at)) : NULL;

    return found ? found : stop;
}

size_t kl_slip_escape(uint8_t *out, size_t used, size_t capacity, const void *data, size_t size)
{
    const uint8_t *at = data, *stop = size > 0 ? at + size : at;
    const uint8_t *end = next_of(at, stop, END), *esc = next_of(at, stop, ESC);

    KL_ASSERT(used <= capacity);
    while (at < stop) {
        const uint8_t *special = end < esc ? end : esc;
        size_t run = (size_t)(special - at);
        if (run > capacity - used)
            return 0;
        memcpy(out + used, at, run);
        used += run;
        at = special;
        if (at == stop)
            break;
        if (capacity - used < 2)
            return 0;
        out[used++] = ESC;
        out[used++] = *at++ == END ? ESC_END : ESC_ESC;
        if (special == end)
            end = next_of(at, stop, END);
        else
            esc = next_of(at, stop, ESC);
    }
    return used;
}
