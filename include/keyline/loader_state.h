/* loader_state.h: the inside of struct kl_loader, so that a board can embed it. Private to
 * loader*.c */
#ifndef KEYLINE_LOADER_STATE_H
#define KEYLINE_LOADER_STATE_H

struct kl_loader {
    struct kl_loader_setup setup;
    struct kl_identity identity;
    struct kl_loader_progress progress;
    struct kl_fault fault;
    uint8_t tx[KL_LOADER_TX_MAX];
};

#endif
