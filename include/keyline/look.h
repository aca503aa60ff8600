/*
 * look.h: a look at one chip through its ROM loader. It writes nothing, and ends with the reset
 * into the program, also where it fails after the chip has answered. Either it is at the eFuses:
 * who the chip is, and what they say; that refuses no chip. Or it is at the flash: once the chip is
 * identified, and after each range, it is ready; its caller names the next range, or lets it end. A
 * locked chip is refused there.
 *
 * Sans-I/O like the rest of the core: bytes and completions go in with a time, requests come out.
 */
#ifndef KEYLINE_LOOK_H
#define KEYLINE_LOOK_H

#include "keyline/bundle.h"
#include "keyline/efuse.h"
#include "keyline/fault.h"
#include "keyline/io.h"
#include "keyline/loader.h"

struct kl_look;

size_t kl_look_size(void); /* bytes of memory that the caller gives it */
/* `flash`: not the eFuses, but the flash. */
void kl_look_start(struct kl_look *k, enum kl_link_kind link, bool flash, kl_us now);
void kl_look_rx(struct kl_look *k, const uint8_t *data, size_t size, kl_us now);
/* The oldest LINES or BAUD request is done, or was refused (ok = false). */
void kl_look_io_done(struct kl_look *k, bool ok, kl_us now);
void kl_look_tick(struct kl_look *k, kl_us now);
bool kl_look_next(struct kl_look *k, struct kl_io *out);
kl_us kl_look_deadline(const struct kl_look *k); /* KL_NEVER once it is over */

/* Sectors of the flash: multiples of 4096 bytes. */
struct kl_look_range {
    uint32_t offset, size;
    uint8_t *out; /* `size` bytes; may be secret */
    kl_md5_fn *md5;
};
/* Only while it is ready. */
void kl_look_read(struct kl_look *k, const struct kl_look_range *range, kl_us now);
void kl_look_leave(struct kl_look *k, kl_us now);

struct kl_look_result {
    bool over;                    /* the look asks nothing more of the link */
    bool ready;                   /* flash: it waits for kl_look_read or kl_look_leave */
    const struct kl_fault *fault; /* reason NONE: identity and words are valid */
    struct kl_identity identity;  /* MAC zero in secure download mode; no flash id, no size */
    struct kl_efuse_words words;  /* of a look at the eFuses */
};
void kl_look_result(const struct kl_look *k, struct kl_look_result *out);

#endif
