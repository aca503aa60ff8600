/*
 * look.h: a look at one chip through its ROM loader: who it is, and what its eFuses say. It writes
 * nothing, refuses no chip, and ends with the reset into the program.
 *
 * Sans-I/O like the rest of the core: bytes and completions go in with a time, requests come out.
 */
#ifndef KEYLINE_LOOK_H
#define KEYLINE_LOOK_H

#include "keyline/efuse.h"
#include "keyline/fault.h"
#include "keyline/io.h"
#include "keyline/loader.h"

struct kl_look;

size_t kl_look_size(void); /* bytes of memory that the caller gives it */
void kl_look_start(struct kl_look *k, enum kl_link_kind link, kl_us now);
void kl_look_rx(struct kl_look *k, const uint8_t *data, size_t size, kl_us now);
/* The oldest LINES or BAUD request is done, or was refused (ok = false). */
void kl_look_io_done(struct kl_look *k, bool ok, kl_us now);
void kl_look_tick(struct kl_look *k, kl_us now);
bool kl_look_next(struct kl_look *k, struct kl_io *out);
kl_us kl_look_deadline(const struct kl_look *k); /* KL_NEVER once it is over */

struct kl_look_result {
    bool over;                    /* the look asks nothing more of the link */
    const struct kl_fault *fault; /* reason NONE: identity and words are valid */
    struct kl_identity identity;  /* MAC zero in secure download mode; no flash id, no size */
    struct kl_efuse_words words;
};
void kl_look_result(const struct kl_look *k, struct kl_look_result *out);

#endif
