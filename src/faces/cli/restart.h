/*
 * restart.h: `keyline` where a station works on this CSV already: does it work with what was asked
 * for now? If not, what differs is said, and a person chooses.
 */
#ifndef KEYLINE_RESTART_H
#define KEYLINE_RESTART_H

#include <stdio.h>

#include "faces/stream/wire.h"
#include "station_options.h"

enum restart_choice {
    RESTART_ATTACH, /* also if nothing differs */
    RESTART_FINISH, /* what runs is finished; then this one starts */
    RESTART_CANCEL,
};

/* What a station works with, as lines of "option=value"; the options of the dashboard are none of
   it. Cut if there is no room. */
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
