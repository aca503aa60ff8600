/*
 * adapter.h: an emulated USB serial adapter with a virtual board behind it, plugged into a real
 * kernel: the far end of vhci_hcd's USB/IP connection. The kernel's own driver sits on it.
 */
#ifndef KEYLINE_TESTS_VM_ADAPTER_H
#define KEYLINE_TESTS_VM_ADAPTER_H

#include "keyline/vboard.h"
#include "phase.h"

enum adapter_kind {
    ADAPTER_CP2102N,
    ADAPTER_CH340,
    ADAPTER_FT232R,
    ADAPTER_JTAG, /* an ESP's built-in USB-Serial/JTAG: CDC-ACM */
    ADAPTER_KINDS
};

enum {
    /* Debian's vhci_hcd has 8 controllers of 15 sockets for full speed, and as many for super
       speed, which no such adapter has. */
    CONTROLLER_SOCKETS = 15,
    SOCKETS = 8 * CONTROLLER_SOCKETS,
    PLACE_TEXT = 16,
};

struct adapter;

kl_us adapter_now(void);
bool adapter_kind_of(const char *word, enum adapter_kind *out);
/* The kernel's name of a socket: "1-3", the first socket of the second controller is "3-1". */
void adapter_place(unsigned socket, char out[PLACE_TEXT]);

/* Plugs it into a socket of the virtual hub; NULL: the kernel does not take it there (yet). The
   board is powered from now on. */
struct adapter *adapter_plug(enum adapter_kind kind, const char *serial, unsigned socket,
                             struct kl_vboard *board);
/* A chip with its own USB left the bus to reset: unplug it with its power on, and plug it again. */
bool adapter_left(const struct adapter *a);
/* Pulls it out and frees it; the board stays the caller's. */
void adapter_unplug(struct adapter *a, bool power);

/* From now on it answers nothing, but stays on the bus. */
void adapter_freeze(struct adapter *a);

int adapter_fd(const struct adapter *a);
/* The kernel wrote: false if it has gone. */
bool adapter_read(struct adapter *a);
/* Moves on what the board has to say by now. */
void adapter_tick(struct adapter *a);

enum phase adapter_phase(const struct adapter *a);
/* Bytes both ways since it was plugged in. */
unsigned adapter_traffic(const struct adapter *a);
/* How long it collects bytes, ms, as it was set last; 0 = it has no such timer. */
unsigned adapter_latency(const struct adapter *a);
/* For a person who wonders why nothing happens. */
void adapter_describe(const struct adapter *a, char *out, size_t size);

#endif
