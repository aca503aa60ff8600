/*
 * adapter.h: an emulated USB serial adapter with a virtual board behind it, plugged into a real
 * kernel: the far end of vhci_hcd's USB/IP connection. The kernel's own driver sits on it.
 */
#ifndef KEYLINE_TESTS_VM_ADAPTER_H
#define KEYLINE_TESTS_VM_ADAPTER_H

#include "keyline/vboard.h"

enum adapter_kind {
    ADAPTER_CP2102N,
    ADAPTER_CH340,
    ADAPTER_FT232R,
    ADAPTER_JTAG, /* an ESP's built-in USB-Serial/JTAG: CDC-ACM */
    ADAPTER_KINDS
};

struct adapter;

kl_us adapter_now(void);
bool adapter_kind_of(const char *word, enum adapter_kind *out);

/* Plugs it into a socket of the virtual hub; NULL: the kernel does not take it there (yet). The
   board is powered from now on. */
struct adapter *adapter_plug(enum adapter_kind kind, const char *serial, unsigned port,
                             struct kl_vboard *board);
/* A chip with its own USB left the bus to reset: unplug it with its power on, and plug it again. */
bool adapter_left(const struct adapter *a);
/* Pulls it out and frees it; the board stays the caller's. */
void adapter_unplug(struct adapter *a, bool power);

int adapter_fd(const struct adapter *a);
/* The kernel wrote: false if it has gone. */
bool adapter_read(struct adapter *a);
/* Moves on what the board has to say by now. */
void adapter_tick(struct adapter *a);
/* For a person who wonders why nothing happens. */
void adapter_describe(const struct adapter *a, char *out, size_t size);

#endif
