/*
 * log_rate.h: how much one board may add to a log. A board at 115200 baud never reaches the limit;
 * a faster one that prints without end does. Pure.
 */
#ifndef KEYLINE_FACES_LOG_RATE_H
#define KEYLINE_FACES_LOG_RATE_H

#include "keyline/base.h"

enum {
    LOG_RATE = 32 * 1024,   /* bytes a second, in the long run */
    LOG_BURST = 512 * 1024, /* bytes at once */
};

struct log_rate { /* all zero to begin with */
    kl_us at;
    int64_t used;      /* of the burst, at that time */
    uint64_t left_out; /* lines, since the last one that was taken */
};

/* Whether these bytes may be written now. `now` may come from any clock that never goes back. */
bool log_rate_take(struct log_rate *r, kl_us now, size_t size);
/* Writes "12 lines are left out here: …" and starts the count anew; false if no line is missing.
   Call it after a take that was granted, and at the end. */
bool log_rate_gap(struct log_rate *r, char text[KL_TEXT_MAX]);

#endif
