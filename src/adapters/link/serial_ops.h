/*
 * serial_ops.h: what the serial link asks of the operating system, in one table, so that tests can
 * give it short writes, EAGAIN, EIO and adapters that hang.
 */
#ifndef KEYLINE_ADAPTERS_SERIAL_OPS_H
#define KEYLINE_ADAPTERS_SERIAL_OPS_H

#include <sys/types.h>

#include "keyline/station.h"

struct kl_serial_device {
    int fd;
    void *port;       /* libserialport's; NULL for a pseudo-terminal */
    bool low_latency; /* we set it, and put it back at close */
};

struct kl_serial_ops {
    /* These may block for seconds, so workers call them. All but open return 0 or -errno. */

    /* Opens it 8N1, raw, no flow control, locked against others, both lines off. `text` says why
       not. `again`: somebody may just have plugged it in, and it may work a moment later. */
    enum kl_open_result (*open)(const char *path, uint32_t baud, struct kl_serial_device *out,
                                char text[KL_TEXT_MAX], bool *again);
    int (*lines)(const struct kl_serial_device *d, bool dtr, bool rts);
    int (*baud)(const struct kl_serial_device *d, uint32_t baud);
    void (*close)(struct kl_serial_device *d);

    /* These don't block, so the loop calls them. Negative: they have set errno. */
    ssize_t (*read)(int fd, void *data, size_t size);
    ssize_t (*write)(int fd, const void *data, size_t size);
    int (*unsent)(int fd); /* bytes that the driver holds; 0 if it can't tell */
};

extern const struct kl_serial_ops kl_serial_system;

#endif
