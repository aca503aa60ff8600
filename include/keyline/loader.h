/*
 * loader.h: the conversation with one chip's ROM loader, or with the flasher stub once it runs.
 *
 * Sans-I/O: bytes and completions go in with a time, kl_io requests come out, deadline() says when
 * tick() is due. One task runs at a time; the board starts them in the order of its states:
 *
 * CONNECT: reset sequences of the link's kind in turn, SYNC, until the loader answers.
 *
 * IDENTIFY: security state, chip, revision, MAC, crystal, console; refuses locked chips; then the
 * stub's upload (the ROM stays if it fails), rate with fallback, flash id, SPI parameters.
 *
 * FLASH: MD5 of each region first; what differs is erased and written, compressed if possible; the
 * stub's barrier.
 *
 * VERIFY: MD5 of every region.
 *
 * RUN: rate back to 115200, hard reset into the program.
 *
 * How, and which traps are avoided: docs/loader.md. Facts: docs/esp-serial-protocol.md.
 */
#ifndef KEYLINE_LOADER_H
#define KEYLINE_LOADER_H

#include "keyline/bundle.h"
#include "keyline/fault.h"
#include "keyline/io.h"
#include "keyline/slip.h"

enum {
    KL_BLOCK_MAX = 0x4000,
    /* header, data header and a block, every byte escaped, two delimiters and a spare one */
    KL_LOADER_TX_MAX = 2 * (8 + 16 + KL_BLOCK_MAX) + 3,
};

enum kl_loader_task {
    KL_LOADER_IDLE,
    KL_LOADER_CONNECT,
    KL_LOADER_IDENTIFY,
    KL_LOADER_FLASH,
    KL_LOADER_VERIFY,
    KL_LOADER_RUN,
};

enum kl_loader_status {
    KL_LOADER_BUSY,
    KL_LOADER_DONE,   /* the task is finished; start the next */
    KL_LOADER_FAILED, /* see fault */
};

/* How the chip is reset into its loader; data in src/core/reset.c (5.2). */
enum kl_reset_strategy {
    KL_RESET_AUTO,       /* the link kind's list, from the first */
    KL_RESET_TIGHT,      /* both lines at once, 50 ms */
    KL_RESET_TIGHT_LONG, /* 550 ms */
    KL_RESET_CLASSIC,
    KL_RESET_CLASSIC_LONG,
    KL_RESET_USB_JTAG,
    KL_RESET_RFC2217, /* classic, its last two changes pipelined */
    KL_RESET_RFC2217_LONG,
    KL_RESET_NONE,
    KL_RESET_COUNT
};
const char *kl_reset_name(enum kl_reset_strategy s);

struct kl_console;

struct kl_loader_setup {
    struct kl_console
        *console; /* hears the text that stands between frames; it outlives the loader */
    enum kl_link_kind link;
    enum kl_reset_strategy first; /* the one that worked last in this slot, or KL_RESET_AUTO */
    const struct kl_stubs *stubs; /* NULL: ROM loader alone */
    uint32_t baud_max;            /* fastest rate to try, 115200 = never change */
    unsigned connect_attempts;    /* resets before NO_SYNC; 0 = the default of 7 */
    bool reset_done;              /* it was reset into its loader before: try to talk first */
    bool allow_locked;            /* never set in production: tests of the refusal itself */
};

/* What is known of the chip; zero until IDENTIFY is done. */
struct kl_identity {
    enum kl_chip_id chip;
    struct kl_mac mac;
    uint16_t revision; /* major * 100 + minor */
    uint8_t package;
    uint8_t crystal_mhz;
    uint32_t flash_id;   /* RDID: byte 0 manufacturer, 1 type, 2 capacity */
    uint32_t flash_size; /* bytes; 0 = unknown id */
    bool flash_encrypted, secure_boot, secure_download;
    bool stub;     /* the stub runs */
    uint32_t baud; /* in use */
};

struct kl_loader_progress {
    unsigned region;      /* being written or verified */
    uint64_t done, total; /* raw bytes over all regions; skipped ones count as done */
    uint64_t wire;        /* packed bytes sent since FLASH began */
    uint32_t retries;     /* blocks sent again */
    unsigned skipped;     /* regions that already held the right bytes */
};

struct kl_loader; /* defined in loader_state.h, so that a board can embed it */
#include "keyline/loader_state.h"

void kl_loader_init(struct kl_loader *l, const struct kl_loader_setup *setup);
/* `bundle` is needed for FLASH and VERIFY and must outlive them; NULL otherwise. */
void kl_loader_start(struct kl_loader *l, enum kl_loader_task task, const struct kl_bundle *bundle,
                     kl_us now);
/* Text outside of frames (boot log, panics) goes to the console. After RUN is done, received bytes
   are no longer the loader's: feed them to the handover. */
void kl_loader_rx(struct kl_loader *l, const uint8_t *data, size_t size, kl_us now);
/* The oldest LINES, BAUD or FLUSH request is done (or refused by the adapter: ok = false). WRITE
   completions are not reported here. */
void kl_loader_io_done(struct kl_loader *l, bool ok, kl_us now);
void kl_loader_tick(struct kl_loader *l, kl_us now);
/* Pulls the next request; false if there is none now. */
bool kl_loader_next(struct kl_loader *l, struct kl_io *out);
kl_us kl_loader_deadline(const struct kl_loader *l);

enum kl_loader_status kl_loader_status(const struct kl_loader *l);
const struct kl_fault *kl_loader_fault(const struct kl_loader *l);
const struct kl_identity *kl_loader_identity(const struct kl_loader *l);
const struct kl_loader_progress *kl_loader_progress(const struct kl_loader *l);
enum kl_reset_strategy kl_loader_strategy(const struct kl_loader *l); /* that worked */
/* One line for the log about what was just done ("stub running", "921600 baud"); false if none. */
bool kl_loader_note(struct kl_loader *l, char out[KL_TEXT_MAX]);

#endif
