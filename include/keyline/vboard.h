/*
 * vboard.h: a simulated ESP board: reset circuit, strict ROM loader, flasher stub, flash, firmware.
 *
 * Sans-I/O too: the RFC 2217 server drives it in real time, the simulation in virtual time, the USB
 * adapters of tests/vm behind a real kernel driver. It is written from the protocol reference and
 * the recorded answers of real ROMs, never from what keyline's own loader sends.
 */
#ifndef KEYLINE_VBOARD_H
#define KEYLINE_VBOARD_H

#include "keyline/chip.h"
#include "keyline/key.h"

struct kl_vboard;

struct kl_vboard_config {
    enum kl_chip_id chip;
    struct kl_mac mac;
    uint32_t flash_size;  /* bytes; 0 = 4 MB */
    uint16_t revision;    /* 0 = the usual one */
    const char *faults;   /* --fault list, "" = none: docs/virtual.md */
    uint64_t seed;        /* for random faults */
    bool paced;           /* bytes take their wire time, flash takes datasheet time */
    kl_us usb_latency;    /* when paced */
    bool native_usb;      /* the chip is its own adapter: packets of 64 bytes, and no rate */
    unsigned fields;      /* how many fields the firmware expects; 0 = any */
    const char *firmware; /* which firmware side runs: "keyline" (code of firmware/, read back in
                             the clear), "digest" (the same, digests), "original" (the original
                             tool's example, faults included), "silent", or one that prints things
                             its own way (kl_vboard_firmware); NULL = "keyline". The caller's */
};
/* The names of all firmware; NULL past the last. */
const char *kl_vboard_firmware(unsigned i);

/* NULL only if `faults` is not a fault list. */
struct kl_vboard *kl_vboard_create(const struct kl_vboard_config *config);
void kl_vboard_destroy(struct kl_vboard *b);

/* Faults by name: "drop_rx=5000,never_asks" (docs/virtual.md). They add up. False and a sentence in
   `error` if the list has a mistake; faults before it hold. */
bool kl_vboard_fault(struct kl_vboard *b, const char *list, char error[KL_TEXT_MAX]);
bool kl_vboard_fault_check(const char *list, char error[KL_TEXT_MAX]);

struct kl_vboard_fault_info {
    const char *name, *form, *text; /* "drop_rx", "[=BYTE]", what it does */
    uint64_t usual;                 /* the figure if none is given; 0 = see text */
};
/* The whole list; false past its end. */
bool kl_vboard_fault_info(unsigned i, struct kl_vboard_fault_info *out);

/* Power: off loses RAM, keeps flash. A board is created without power. */
void kl_vboard_power(struct kl_vboard *b, bool on, kl_us now);
/* The adapter's modem lines as it sees them now (true = asserted). */
void kl_vboard_lines(struct kl_vboard *b, bool dtr, bool rts, kl_us now);
/* The adapter's own rate; bytes sent at a rate the chip does not listen at arrive as garbage. */
void kl_vboard_baud(struct kl_vboard *b, uint32_t baud, kl_us now);
/* Bytes from the host. All are taken. */
void kl_vboard_rx(struct kl_vboard *b, const uint8_t *data, size_t size, kl_us now);
/* Bytes that have reached the host by now. */
size_t kl_vboard_tx(struct kl_vboard *b, uint8_t *out, size_t size, kl_us now);
void kl_vboard_tick(struct kl_vboard *b, kl_us now);
kl_us kl_vboard_deadline(const struct kl_vboard *b);
/* A paced board puts off what keeps the host's processor busy: writing a block that it has
   acknowledged, a sum whose answer is not due. All other calls do it first wherever that could be
   seen. A driver in real time does it when nothing else is due. False: nothing was put off. */
bool kl_vboard_catch_up(struct kl_vboard *b);
bool kl_vboard_is_behind(const struct kl_vboard *b);
/* A fault took it off the bus: the adapter's side must drop the connection until re-plugged. */
bool kl_vboard_unplugged(const struct kl_vboard *b);

/* For checkers, which share no code with the pool. */
const uint8_t *kl_vboard_flash(const struct kl_vboard *b, uint32_t *size);
/* Puts bytes there as if they had always stood there; false: they lie outside. */
bool kl_vboard_put_flash(struct kl_vboard *b, uint32_t offset, const uint8_t *data, size_t size);
struct kl_mac kl_vboard_mac(const struct kl_vboard *b);
/* The stored fields: "f1,f2,f3", or "" if the board holds no key. */
const char *kl_vboard_stored(const struct kl_vboard *b);
/* Its loader may have written to its flash since the program ran last: looks there. True: what it
   holds has changed. */
bool kl_vboard_refresh(struct kl_vboard *b);
/* Where in the flash the program lies that the bootloader started last; 0 = none yet. */
uint32_t kl_vboard_started(const struct kl_vboard *b);
/* How many times anything was stored over the board's life, and every distinct line that reached
   its UART while the firmware ran. */
unsigned kl_vboard_store_count(const struct kl_vboard *b);
/* How many times its chip has started: power, the reset circuit, by itself. */
unsigned kl_vboard_start_count(const struct kl_vboard *b);
unsigned kl_vboard_lines_seen(const struct kl_vboard *b);
const char *kl_vboard_line_seen(const struct kl_vboard *b, unsigned i);
/* For profiles of paced boards: how long its flash erased and programmed so far; when the first
   byte of the answer that is under way left or will leave the chip (KL_NEVER: none is). */
kl_us kl_vboard_flash_worked(const struct kl_vboard *b);
kl_us kl_vboard_answers_at(const struct kl_vboard *b);
/* What the board refused as a real ROM would, for tests ("block of 0x2000 refused"); "" =
   nothing. */
const char *kl_vboard_complaint(const struct kl_vboard *b);
/* Everything durable (flash, NVS, eFuses), to and from a file; false with errno. */
bool kl_vboard_save(const struct kl_vboard *b, const char *path);
bool kl_vboard_load(struct kl_vboard *b, const char *path);

#endif
