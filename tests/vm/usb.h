/*
 * usb.h: what the kinds of adapters share. Each kind is one `struct model` in a file of its own:
 * descriptors, and what the kernel's driver asks of it.
 */
#ifndef KEYLINE_TESTS_VM_USB_H
#define KEYLINE_TESTS_VM_USB_H

#include <string.h>

#include "adapter.h"

enum {
    TRANSFER_MAX = 1 << 16,
    WAITING_MAX = 64,
    STALLED = -1, /* a control request's answer */
};

/* A transfer that waits: for something to say, or for ever, of a frozen adapter. */
struct waiting {
    uint32_t seqnum, size, endpoint;
    bool in;
};

struct request {
    uint8_t type, request;
    uint16_t value, index, size;
    const uint8_t *data; /* of an OUT request */
};

struct model {
    const char *word;
    uint16_t vid, pid, release;
    uint8_t device_class;
    const char *product;
    const uint8_t *config;
    size_t config_size;
    unsigned data_endpoint; /* for what the board says */
    size_t prefix;          /* status bytes before each 64-byte packet's data */
    bool is_chip;           /* the chip's own USB: its lines are no wires */
    /* Answers a class or vendor request: bytes of `out`, or STALLED. */
    int (*control)(struct adapter *a, const struct request *r, uint8_t *out);
    void (*tick)(struct adapter *a, kl_us now); /* may be NULL */
};

struct adapter {
    const struct model *model;
    struct kl_vboard *board;
    char serial[32];
    unsigned socket;
    int fd;
    bool dtr, rts;
    bool enabled; /* its UART: what a board says to a disabled one is lost */
    bool frozen;
    uint8_t latency;        /* FT232R, ms */
    uint8_t divisor[2];     /* CH340 */
    uint8_t line_coding[7]; /* CDC-ACM */
    bool download;          /* the chip's next reset enters the loader */
    bool left;              /* the bus, as this chip does when it resets */
    kl_us release_at;       /* the reset ends; 0 = none */
    struct waiting waiting[WAITING_MAX];
    unsigned waiting_count;
    unsigned bytes_in, bytes_out; /* as the host sees it */
    unsigned stores;              /* of the board, as it was last */
    uint32_t rate;
    struct phase_watch watch;
    size_t rest_at, rest; /* of `data`: the second half of a line for the firmware */
    uint8_t data[TRANSFER_MAX];
};

extern const struct model usb_cp2102n, usb_ch340, usb_ft232r, usb_jtag;

void usb_set_lines(struct adapter *a, bool dtr, bool rts);
void usb_set_rate(struct adapter *a, uint32_t rate);

/* Whatever is asked of endpoint 0: bytes of `out`, or STALLED (usb_device.c). */
int usb_control(struct adapter *a, const struct request *r, uint8_t *out);

static inline uint32_t usb_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Descriptors, as bytes. */
#define USB_CONFIG(size, interfaces) 9, 2, size, 0, interfaces, 1, 0, 0x80, 50
#define USB_INTERFACE(n, endpoints, class, subclass, protocol)                                     \
    9, 4, n, 0, endpoints, class, subclass, protocol, 0
#define USB_ENDPOINT(address, type, size) 7, 5, address, type, size, 0, type == 3 ? 1 : 0

#endif
