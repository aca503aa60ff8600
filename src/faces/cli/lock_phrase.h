/* lock_phrase.h: the phrase that unlocks a dashboard. It comes from a file, a prompt or a config
   file, never from the command line, which every user of the host can read. */
#ifndef KEYLINE_LOCK_PHRASE_H
#define KEYLINE_LOCK_PHRASE_H

#include "options.h"

enum {
    LOCK_PHRASE_MAX = 64
};

/* `lock`: --lock, a file or "ask". `phrase`: lock-phrase; refused if it was `typed`. Both NULL: no
   lock, "". False and a sentence if it can't get a phrase. */
bool lock_phrase(const char *lock, const char *phrase, bool typed, char out[LOCK_PHRASE_MAX],
                 char error[KL_TEXT_MAX]);

#endif
