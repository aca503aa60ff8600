/* reset.h: reset sequences as data, private to loader*.c */
#ifndef KEYLINE_RESET_H
#define KEYLINE_RESET_H

#include "loader_state.h"

enum kl_reset_step_kind {
    RESET_END,
    RESET_LINES, /* dtr, rts */
    RESET_WAIT,  /* ms, counted from the completion of what came before */
};

struct kl_reset_step {
    enum kl_reset_step_kind kind;
    bool dtr, rts;
    uint16_t ms;
};

const struct kl_reset_step *kl_reset_steps(enum kl_reset_strategy s);
/* The sequence for the nth attempt, beginning with `first` if the link has it. */
enum kl_reset_strategy kl_reset_choose(enum kl_link_kind link, enum kl_reset_strategy first,
                                       unsigned attempt);
/* `brief_works`: in this place the chip started after EN was low for so short a time. */
const struct kl_reset_step *kl_reset_run_steps(enum kl_link_kind link, bool brief_works);
bool kl_reset_is_brief(enum kl_reset_strategy s);

#endif
