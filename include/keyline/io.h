/*
 * io.h: what the core asks of the open link to one board, and what it hears back.
 *
 * Requests are done strictly in order. The link answers LINES and BAUD by KL_EV_IO_DONE with the
 * request's id once the far end has them (RFC 2217: once it said so). A BAUD takes hold only after
 * everything written before has left. WRITE gets no answer.
 */
#ifndef KEYLINE_IO_H
#define KEYLINE_IO_H

#include "keyline/base.h"

enum kl_io_kind {
    KL_IO_WRITE,
    KL_IO_LINES, /* both modem lines at once where the link can */
    KL_IO_BAUD,
};

struct kl_io {
    enum kl_io_kind kind;
    const uint8_t *data; /* WRITE: valid until the next feed or next; the link copies */
    size_t size;
    bool secret;   /* WRITE: key material: never traced, wiped from the link's buffer */
    bool dtr, rts; /* LINES: true = asserted = pin at 0 V */
    uint32_t baud; /* BAUD */
};

/* How a link can move the modem lines; decides the reset sequences (docs/esp-serial-protocol.md
   5.3). */
enum kl_link_kind {
    KL_LINK_SERIAL,   /* both lines in one call */
    KL_LINK_USB_JTAG, /* Espressif USB-Serial/JTAG (303a:1001) */
    KL_LINK_USB_OTG,  /* Espressif USB-OTG CDC: blocks of 0x800 at most */
    KL_LINK_RFC2217,  /* one line after the other, pipelined */
    KL_LINK_RAW,      /* no lines, no rate: the board must be in its loader already */
};

#endif
