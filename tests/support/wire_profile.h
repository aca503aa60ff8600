/* wire_profile.h: where the time of a loader's tasks goes: what was under way meanwhile, and who
   kept the loader waiting. */
#ifndef KEYLINE_TEST_WIRE_PROFILE_H
#define KEYLINE_TEST_WIRE_PROFILE_H

#include <stdio.h>

#include "core/loader_state.h"

enum { /* beside the opcodes, which are smaller */
    WP_LINES = 0x100,
    WP_PAUSE,
    WP_CAUSES,
};

struct wp_row {
    unsigned count;
    kl_us wire;   /* a request was on its way to the board */
    kl_us board;  /* the board worked and had not answered yet */
    kl_us answer; /* its answer was on its way */
    kl_us pause;  /* no request was open */
};

struct wire_profile {
    struct wp_row row[KL_LOADER_SAME + 1][WP_CAUSES];
    kl_us free_at; /* when the last byte of what was written is out */
    unsigned written;
};

/* Whoever drives the loader calls these: when the adapter gets bytes, and before time passes. */
void wp_written(struct wire_profile *p, size_t size, uint32_t baud, kl_us now);
void wp_passes(struct wire_profile *p, const struct kl_loader *l, kl_us answers_at, kl_us from,
               kl_us to);

/* Sums over a task; code WP_CAUSES = all of them. */
struct wp_row wp_sum(const struct wire_profile *p, enum kl_loader_task task, unsigned code);
/* One line for each cause, in milliseconds. */
void wp_print(const struct wire_profile *p, FILE *out);

#endif
