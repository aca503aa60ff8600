/*
 * handover.h: the line conversation with the running firmware that gives a board its key and reads
 * it back. The protocol is specified in docs/firmware.md.
 *
 * Sans-I/O, like the loader. It only talks; which key, and whether at all, is the board's and the
 * pool's decision. It holds the key from kl_handover_send() to kl_handover_finish(), and wipes it.
 */
#ifndef KEYLINE_HANDOVER_H
#define KEYLINE_HANDOVER_H

#include "keyline/bootlog.h"
#include "keyline/io.h"
#include "keyline/key.h"

enum kl_confirm {
    KL_CONFIRM_READBACK, /* every field read back after the restart */
    KL_CONFIRM_ACK,      /* the acknowledgement alone, for firmware that prints nothing back */
};

struct kl_handover_setup {
    kl_us prompt_timeout; /* until the firmware asks, or shows its key */
    kl_us ack_timeout;    /* until it acknowledges, and again until it has read back */
    enum kl_confirm confirm;
    unsigned fields; /* the CSV's number of fields: how long a read-back is; 0 = unknown */
    kl_sha256_fn *sha256;
};

enum kl_handover_event_kind {
    KL_HO_LINE,    /* a line for the log: masked, printable */
    KL_HO_RESTART, /* the chip started again (a ROM banner); expected after the acknowledgement */
    KL_HO_ASKS,    /* "Provisioning": the board wants a key (every time it says so) */
    KL_HO_ACK,     /* "Provisioned" after our line: it has stored something */
    KL_HO_HOLDS,   /* it read its stored fields back: fingerprint, fields, label */
    KL_HO_HOLDS_BARE, /* it says Provisioned and prints no fields */
    KL_HO_ERROR,      /* "Error: …" as an answer to our line, twice; reason in `text` */
    KL_HO_TROUBLE,    /* boot text names a fault: `reason`, `text` */
    KL_HO_TIMEOUT,    /* nothing of what was waited for came in time; see kl_handover_phase */
};

struct kl_handover_event {
    enum kl_handover_event_kind kind;
    enum kl_reason reason;             /* TROUBLE, TIMEOUT */
    char text[KL_TEXT_MAX];            /* LINE, ERROR, TROUBLE */
    struct kl_fingerprint fingerprint; /* HOLDS */
    uint8_t label_digest[32];          /* HOLDS: SHA-256 of the first value, the label */
    unsigned fields;                   /* HOLDS */
    char label[KL_LABEL_MAX + 1];      /* HOLDS: the first field if it was read back in the clear */
    bool matches;                      /* HOLDS: equals the key that was sent or expected */
};

enum kl_handover_phase {
    KL_HO_REST, /* nothing is waited for: before listen, after HOLDS and HOLDS_BARE, and after a
                   restart (or Provisioned, unsent) that may mean another board. Only LINE events */
    KL_HO_LISTENING,  /* for a prompt or a read-back; deadline prompt_timeout */
    KL_HO_ASKED,      /* it asked; the caller decides; asked again = still there; the deadline is
                         two silent seconds past its last prompt (KL_HO_TIMEOUT, BOARD_CHANGED) */
    KL_HO_SENDING,    /* our line is out, sent again if it asks twice and 1.5 s have passed */
    KL_HO_CONFIRMING, /* acknowledged, its restart and read-back are due */
};

#include "keyline/handover_state.h"

void kl_handover_init(struct kl_handover *h, const struct kl_handover_setup *setup);
/* The board was just reset into its program. `expected` (may be NULL) is the key that the pool
   knows for this MAC: it is masked, and a read-back is compared with it. It is copied. */
void kl_handover_listen(struct kl_handover *h, const struct kl_key *expected, kl_us now);
/* Sends the key. Only in KL_HO_ASKED; its reservation must be durable by now. */
void kl_handover_send(struct kl_handover *h, const struct kl_key *key, kl_us now);
void kl_handover_finish(struct kl_handover *h); /* wipes everything secret */
/* Pull the events after every 128 bytes or so: lines for the log that find no room are dropped. */
void kl_handover_rx(struct kl_handover *h, const uint8_t *data, size_t size, kl_us now);
void kl_handover_tick(struct kl_handover *h, kl_us now);
bool kl_handover_next(struct kl_handover *h, struct kl_io *out); /* key line, in pieces: secret */
bool kl_handover_event(struct kl_handover *h, struct kl_handover_event *out); /* until false */
kl_us kl_handover_deadline(const struct kl_handover *h);
enum kl_handover_phase kl_handover_phase(const struct kl_handover *h);

#endif
