/* story.h: what became of one key in doubt, from the ledger, as lines of the model. */
#ifndef KEYLINE_STORY_H
#define KEYLINE_STORY_H

#include "view.h"

/* Reads the ledger of this CSV, and what the board said last if it is on the bench. */
void dashboard_story(struct kl_model *m, unsigned chosen, const char *csv);

#endif
