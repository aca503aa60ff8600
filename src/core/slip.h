/*
 * slip.h: SLIP framing as the ESP loaders use it (docs/esp-serial-protocol.md 1.1).
 *
 * The decoder takes bytes in any portions, hands out whole frames, and keeps what stands outside of
 * frames as text: boot logs and panics arrive on the same wire.
 */
#ifndef KEYLINE_SLIP_H
#define KEYLINE_SLIP_H

#include "keyline/base.h"

enum {
    KL_SLIP_FRAME_MAX = 512
}; /* the longest reply keyline asks for is under 100 bytes */

enum kl_slip_result {
    KL_SLIP_MORE,  /* the byte was taken, nothing is complete */
    KL_SLIP_FRAME, /* frame[0 … size) is a whole frame, valid until the next byte */
    KL_SLIP_TEXT,  /* the byte is text, outside of any frame */
    KL_SLIP_BAD,   /* a frame was dropped: bad escape or too long */
};

struct kl_slip {
    uint8_t frame[KL_SLIP_FRAME_MAX];
    size_t size;
    uint8_t state;
};

void kl_slip_reset(struct kl_slip *s);
enum kl_slip_result kl_slip_byte(struct kl_slip *s, uint8_t byte);

/* Appends `size` bytes to a frame under construction at out[used …]; escaping only. Returns the new
   length, or 0 if `capacity` would be passed. A whole frame: put 0xC0, escape parts, put 0xC0. */
size_t kl_slip_escape(uint8_t *out, size_t used, size_t capacity, const void *data, size_t size);

#endif
