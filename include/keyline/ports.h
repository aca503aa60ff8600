/*
 * ports.h: which serial ports exist, where they are plugged in, and which of them are boards.
 *
 * kl_ports_list blocks (it reads sysfs): call it on a worker. It opens no port.
 */
#ifndef KEYLINE_PORTS_H
#define KEYLINE_PORTS_H

#include "keyline/io.h"

struct kl_port_info {
    char path[KL_PORT_MAX];     /* /dev/ttyUSB0 */
    char topology[KL_NAME_MAX]; /* "1-1.4.2" or "1-1.4.2:1.1" (interface, if not the first), with
                                   "#1" for an interface's second port; "" if not USB */
    char driver[32];            /* "cp210x", "" if unknown */
    char serial[64], manufacturer[64], product[64];
    uint16_t vid, pid; /* 0 if not USB */
    enum kl_link_kind link;
    bool usable;           /* by the table and the rules below */
    char why[KL_TEXT_MAX]; /* in words: "CP210x bridge", "not an ESP or bridge: …" */
};

struct kl_port_rules {
    const uint32_t *extra_ids; /* --usb-id: vid << 16 | pid */
    unsigned extra_id_count;
    const char *const *exclude; /* --exclude: path or topology */
    unsigned exclude_count;
    const char *const *only; /* --port: paths or topologies; if any, no others are used */
    unsigned only_count;
};

/* Fills up to `capacity` ports, sorted by topology, then path. Returns how many there are, or
   -1. */
int kl_ports_list(struct kl_port_info *out, int capacity, const struct kl_port_rules *rules);
/* The order of places as people read them: 1-1.10 comes after 1-1.2, A10 after A2. Like strcmp. */
int kl_place_compare(const char *a, const char *b);
/* The table's word on one USB id and interface; false if it is no board. */
bool kl_ports_known(uint16_t vid, uint16_t pid, int interface, enum kl_link_kind *kind,
                    const char **what);
/* Does a program have this device open, as far as this user may see? Reads all of /proc, on a
   worker. Opening the port to find out could reset the board that the program talks with. */
bool kl_port_is_held(const char *path);
/* "10c4:ea60", for --usb-id. */
bool kl_ports_parse_id(const char *text, uint32_t *id);

#endif
