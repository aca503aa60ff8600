/*
 * phase.h: how far a station is with a board, told from the wire alone: the modem lines, the
 * loader's commands, a line for the firmware. keyline's own words are not asked.
 */
#ifndef KEYLINE_TESTS_VM_PHASE_H
#define KEYLINE_TESTS_VM_PHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum phase {
    PHASE_QUIET,    /* plugged in, not touched yet */
    PHASE_RESET,    /* EN is low, or was last */
    PHASE_SYNC,     /* SYNC was sent */
    PHASE_STUB,     /* the stub is on its way into RAM */
    PHASE_FLASH,    /* blocks are written */
    PHASE_VERIFY,   /* after that, MD5 is asked for */
    PHASE_HANDOVER, /* the key's line leaves the host */
    PHASE_READBACK, /* the board has stored it */
    PHASES
};

struct phase_watch {
    enum phase now;
    bool in_frame, flashed;
    unsigned at; /* bytes into the frame */
};

const char *phase_name(enum phase phase);
void phase_reset(struct phase_watch *w);
void phase_stored(struct phase_watch *w);
void phase_heard(struct phase_watch *w, const uint8_t *data, size_t size);

#endif
