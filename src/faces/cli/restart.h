/*
 * restart.h: `keyline` on a CSV on which a station works already. If that station has other options
 * or images, keyline says what differs, and a person chooses.
 */
#ifndef KEYLINE_RESTART_H
#define KEYLINE_RESTART_H

#include <stdio.h>

#include "faces/stream/wire.h"
#include "station_options.h"

enum restart_choice {
    RESTART_ATTACH, /* a person chose it, or nothing differs */
    RESTART_FINISH, /* what runs is finished; then this one starts */
    RESTART_CANCEL,
};

/* What a station works with, as lines of "option=value", without the dashboard's options. Cut if
   there is no room. */
void restart_settings(const struct station_args *a, char *out, size_t size);
/* Writes a line for each difference; returns how many there are. */
unsigned restart_compare(const struct kl_wire_hello *running, const struct kl_wire_hello *wanted,
                         FILE *out);
/* Says what differs and asks on the terminal. */
enum restart_choice restart_choose(const struct kl_wire_hello *running,
                                   const struct kl_wire_hello *wanted);
/* Stops the station, waits until it is gone; false if it does not go. */
bool restart_finish(const char *csv);

#endif
