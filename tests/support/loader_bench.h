/* loader_bench.h: kl_loader on one side, a virtual board on the other, and time that passes only as
   far as one of them waits. */
#ifndef KEYLINE_TEST_LOADER_BENCH_H
#define KEYLINE_TEST_LOADER_BENCH_H

#include "core/console.h"
#include "core/delivery.h"
#include "core/loader_state.h"
#include "keyline/vboard.h"

#include "wire_profile.h"

struct lb {
    struct kl_console console;
    struct kl_loader loader;
    struct kl_vboard *board;
    kl_us now;
    kl_us io_delay; /* from a LINES or BAUD request to its answer */
    bool io_dead;   /* such requests are never answered */
    bool lines_refused, baud_refused;
    uint32_t baud_limit;    /* above it the adapter refuses; 0 = none */
    uint32_t garbled_above; /* above it the cable turns every byte to rubbish; 0 = none */
    uint32_t baud;
    char text[8192]; /* what the board said, as the console shows it */
    size_t text_size;
    char notes[2048];
    uint64_t sent, received; /* bytes */
    struct kl_io pending[8];
    kl_us due[8];
    unsigned pending_count;
    bool dtr, rts;
    bool network; /* one line after the other */
    kl_us lump;   /* written bytes arrive only at multiples of this; 0 = at once */
    uint8_t held[2 * KL_LOADER_TX_MAX];
    size_t held_size;
    kl_us held_until;
    struct wire_profile *profile; /* NULL = nobody counts */
    bool prompt;                  /* the board puts nothing off (kl_vboard_catch_up) */
    kl_us give_up_at;             /* lb_run returns then; 0 = never */
};

struct lb_options {
    enum kl_chip_id chip;
    enum kl_link_kind link;
    bool stub;
    const struct kl_stubs *stubs; /* NULL = lb_stubs() */
    bool paced;
    uint32_t baud; /* 0 = 115200 */
    uint32_t flash_size;
    uint16_t revision;
    const char *faults; /* NULL = none */
};

void lb_open(struct lb *b, const struct lb_options *o);
void lb_close(struct lb *b);
/* Runs one task to its end; fails the test if that takes more than an hour of virtual time. */
enum kl_loader_status lb_run(struct lb *b, enum kl_loader_task task,
                             const struct kl_bundle *bundle);
/* By hand, as a person with two buttons. */
void lb_into_loader(struct lb *b);
/* Passes time without the loader; appends what the board says to b->text. */
void lb_listen(struct lb *b, kl_us time);
/* CONNECT … RUN; the reason of the first task that fails, or KL_FAULT_NONE. */
enum kl_reason lb_whole(struct lb *b, const struct kl_bundle *bundle);

/* After RUN: hands a key of three fields over as a station does whose store answers after `store`.
   The time until the board has proved it. */
kl_us lb_hand_over(struct lb *b, kl_us store);
/* The same by a host that answers the first letters of the prompt at once: the firmware's own part.
 */
kl_us lb_firmware_time(struct lb *b);

/* From the first reset until the key is read back, with keyline's own handover and a store that
   answers after 5 ms; and what no host can save. */
struct lb_cycle {
    kl_us all;
    kl_us wire;     /* what the compressed bytes need */
    kl_us chip;     /* what it erases, writes and starts, and nothing hides */
    kl_us firmware; /* from the reset into the program on, with a host that answers at once */
    kl_us limit;    /* the three together */
};
struct lb_cycle lb_cycle(const struct lb_options *o, const struct kl_bundle *bundle);

/* Images of made-up contents for the chip, compressed. Free with lb_bundle_free. */
struct kl_bundle *lb_bundle(enum kl_chip_id chip, uint32_t app_size);
void lb_bundle_add(struct kl_bundle *b, const char *name, uint32_t offset, const uint8_t *data,
                   uint32_t size);
/* Images of the same sizes in the same places, of which no byte is the same. */
struct kl_bundle *lb_bundle_another(const struct kl_bundle *bundle);
/* The same with `percent` of the program (the third region) changed: all in one place, or sectors
   here and there; and its descriptor. */
struct kl_bundle *lb_bundle_previous(const struct kl_bundle *bundle, unsigned percent,
                                     bool together);
void lb_bundle_free(struct kl_bundle *b);
/* True if the board's flash holds every region. */
bool lb_flash_is_right(const struct lb *b, const struct kl_bundle *bundle);
const struct kl_stubs *lb_stubs(void);

#endif
