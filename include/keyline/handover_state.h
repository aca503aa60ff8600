/* handover_state.h: the inside of struct kl_handover, so that a board can embed it. Private to
   handover.c */
#ifndef KEYLINE_HANDOVER_STATE_H
#define KEYLINE_HANDOVER_STATE_H

struct kl_handover {
    struct kl_handover_setup setup;
    struct kl_bootlog boot;
    struct kl_key key;
};

#endif
