/*
 * stations.h: the stations of this user. Each leaves a link to its CSV in the user's state folder
 * while it runs. Whoever finds the link of a dead one removes it.
 */
#ifndef KEYLINE_STATIONS_H
#define KEYLINE_STATIONS_H

#include "faces/stream/wire.h"

enum {
    STATIONS_MAX = 32
};

struct stations {
    unsigned count;
    struct {
        char csv[4096];
        unsigned slots, busy, keys_left;
        bool forgets;  /* a demonstration */
        int64_t since; /* wall clock, microseconds */
        char project[32], version[32];
    } item[STATIONS_MAX];
};

/* Leaves the link. A station without one works all the same, but nobody finds it without its CSV's
   name. */
void stations_enter(const char *csv);
void stations_leave(const char *csv);
/* Asks every station that left a link; returns those that answer. */
void stations_find(struct stations *out);
/* What the station on this CSV says of itself; `snap` may be NULL. False if none answers. */
bool stations_ask(const char *csv, struct kl_wire_hello *hello, struct kl_snapshot *snap);

#endif
