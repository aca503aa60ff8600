/* phase.c: see phase.h; commands of the loader as in docs/esp-serial-protocol.md. */
#include "phase.h"

#include <ctype.h>

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASES] = {"quiet", "reset",  "sync",     "stub",
                                              "flash", "verify", "handover", "readback"};
    return names[phase];
}

void phase_reset(struct phase_watch *w)
{
    *w = (struct phase_watch){.now = PHASE_RESET};
}

void phase_stored(struct phase_watch *w)
{
    w->now = PHASE_READBACK;
}

static void command(struct phase_watch *w, uint8_t code)
{
    static const uint8_t of[256] = {
        [0x08] = PHASE_SYNC,  [0x05] = PHASE_STUB,  [0x06] = PHASE_STUB,
        [0x07] = PHASE_STUB,  [0x02] = PHASE_FLASH, [0x03] = PHASE_FLASH,
        [0x10] = PHASE_FLASH, [0x11] = PHASE_FLASH, [0x13] = PHASE_VERIFY,
    };
    enum phase next = (enum phase)of[code];
    w->flashed |= next == PHASE_FLASH;
    /* An MD5 before anything was written only asks what the flash holds already. */
    if (next != PHASE_QUIET && (next != PHASE_VERIFY || w->flashed))
        w->now = next;
}

void phase_heard(struct phase_watch *w, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0xc0) {
            w->in_frame = !w->in_frame || w->at == 0;
            w->at = 0;
        } else if (w->in_frame) {
            if (++w->at == 2)
                command(w, data[i]);
        } else if (isalnum(data[i])) {
            w->now = PHASE_HANDOVER;
        }
    }
}
