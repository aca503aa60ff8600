/* lock_phrase.h: the phrase that unlocks a dashboard: from a file, a prompt or a config file, never
   from the command line, which every user of the host can read. */
#ifndef KEYLINE_LOCK_PHRASE_H
#define KEYLINE_LOCK_PHRASE_H

#include "options.h"

enum {
    LOCK_PHRASE_MAX = 64
};

/* `lock`: --lock, a file or "ask"; `phrase`: lock-phrase, which must not be `typed`. Both NULL: no
   lock, "". False and a sentence if there is no phrase to be had. */
bool lock_phrase(const char *lock, const char *phrase, bool typed, char out[LOCK_PHRASE_MAX],
                 char error[KL_TEXT_MAX]);

#endif
