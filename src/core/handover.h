/*
 * handover.h: the line conversation with the running firmware that gives a board its key and reads
 * it back. The protocol is specified in docs/firmware.md.
 *
 * Sans-I/O, like the loader. It only talks; which key, and whether at all, is the board's and the
 * pool's decision. Custody keeps the key: the handover looks at it there, to compare and to send,
 * and holds no more of it than the piece on the wire. It hears lines from the console and never
 * repeats their words: only the console knows what may be shown.
 */
#ifndef KEYLINE_HANDOVER_H
#define KEYLINE_HANDOVER_H

#include "console.h"
#include "keyline/fault.h"
#include "keyline/io.h"
#include "keyline/key.h"

enum {
    KL_HO_EVENTS = 8, /* events that wait to be pulled: a line or a tick makes three at most */
    KL_HO_PIECE = 64, /* half a UART's FIFO: over a network bytes may arrive faster than on a wire,
                         and a full FIFO loses them */
};

struct kl_handover_setup {
    struct kl_console *console; /* the board's; it outlives the handover */
    kl_us prompt_timeout;       /* until the firmware asks, or shows its key */
    kl_us ack_timeout;          /* until it acknowledges, and again until it has read back */
    unsigned fields; /* the CSV's number of fields: how long a read-back is; 0 = unknown */
    bool ack_alone;  /* no read-back follows as proof: the acknowledgement must be the bare word */
    kl_sha256_fn *sha256;
};

enum kl_handover_event_kind {
    KL_HO_RESTART, /* the chip started again (a ROM banner); expected after the acknowledgement */
    KL_HO_ASKS,    /* "Provisioning": the board wants a key (every time it says so) */
    KL_HO_ACK,     /* "Provisioned" after our line: it has stored something */
    KL_HO_HOLDS,   /* it read its stored fields back: fingerprint, fields, first value */
    KL_HO_HOLDS_BARE, /* it says Provisioned and prints no fields */
    KL_HO_ERROR,   /* our line was refused twice, and the board asks again: kl_console_refusal() */
    KL_HO_TROUBLE, /* boot text names a fault: `reason`; see kl_console_detail() */
    KL_HO_TIMEOUT, /* nothing that it waited for came in time; see kl_handover_phase */
};

/* The first value of a read-back: the label, if the firmware keeps to the order. It may just as
   well be a secret, so the caller asks the pool whether it knows that label (kl_pool_label). */
struct kl_handover_first {
    uint64_t hash;      /* kl_hash() */
    uint8_t digest[32]; /* SHA-256 */
};

struct kl_handover_event {
    enum kl_handover_event_kind kind;
    enum kl_reason reason; /* TROUBLE, TIMEOUT */
    const char *why;       /* TIMEOUT, HOLDS_BARE: our own words; NULL: see kl_console_detail() */
    struct kl_fingerprint fingerprint; /* HOLDS */
    unsigned fields;                   /* HOLDS */
    bool matches;                      /* HOLDS: equals the key that was sent or expected */
    bool certain; /* HOLDS: it read back nothing else; otherwise later lines may still turn out to
                     be its key */
    struct kl_handover_first label; /* HOLDS: of the values that the fingerprint is of */
};

enum kl_handover_phase {
    KL_HO_REST,      /* it waits for nothing: before listen, after HOLDS and HOLDS_BARE, and after a
                        restart (or Provisioned, unsent) that may mean another board */
    KL_HO_LISTENING, /* for a prompt or a read-back; deadline prompt_timeout */
    KL_HO_ASKED,     /* it asked; the caller decides; asked again = still there; the deadline is
                        two silent seconds past its last prompt (KL_HO_TIMEOUT, BOARD_CHANGED) */
    KL_HO_SENDING,   /* our line is out; it goes out again if the board asks twice and 1.5 s have
                        passed */
    KL_HO_CONFIRMING, /* the board acknowledged; its restart and read-back are due */
};

/* Our line on its way, piece by piece. */
struct kl_handover_line {
    bool due, sent;    /* a piece waits to be pulled; the whole line was pulled once */
    size_t at;         /* bytes that have left this time */
    kl_us sent_at;     /* the last piece */
    kl_us piece_at;    /* the next one is due then */
    kl_us again_at;    /* to be sent again then; KL_NEVER */
    unsigned again;    /* how often that was */
    unsigned prompts;  /* since it was sent */
    unsigned refusals; /* of our line, since the first time */
    bool erred;        /* "Error: …" came; if the board asks again, it meant our line */
    uint8_t piece[KL_HO_PIECE];
};

/* A read-back under way. */
struct kl_handover_values {
    bool reading;
    bool loose;                        /* it began with a loose "Provisioned" */
    kl_us read_by;                     /* silence until then ends it */
    unsigned due;                      /* how many values make one; 0 = as many as come */
    unsigned got;                      /* values since "Provisioned" */
    bool others;                       /* the program also printed lines that are no fields */
    unsigned next;                     /* how many of the key's values have come, in order */
    uint8_t digest[KL_FIELDS_MAX][32]; /* of the last values, value i at i modulo their number */
    uint64_t hash[KL_FIELDS_MAX];      /* of the same */
    struct kl_fingerprint first;       /* of the first values that make a whole read-back … */
    struct kl_handover_first label;    /* … and the first of them */
};

struct kl_handover {
    struct kl_handover_setup setup;
    enum kl_handover_phase phase;
    kl_us deadline;
    bool open;      /* between listen and finish */
    bool heard;     /* anything at all since listen */
    bool restarted; /* CONFIRMING: it restarted, so it reads back from its flash */
    bool trouble_told;
    const struct kl_key *key; /* custody's, expected or sent; a count of 0 means: none at present */
    struct kl_handover_line line;
    struct kl_handover_values values;
    struct kl_handover_event event[KL_HO_EVENTS];
    unsigned event_first, event_count;
};

void kl_handover_init(struct kl_handover *h, const struct kl_handover_setup *setup);
/* The board was just reset into its program. `key` is where custody keeps the key that the pool
   knows for this MAC, empty as long as there is none. The handover compares a read-back with it. */
void kl_handover_listen(struct kl_handover *h, const struct kl_key *key, kl_us now);
/* Sends the key. Only in KL_HO_ASKED; its reservation must be durable by now. */
void kl_handover_send(struct kl_handover *h, const struct kl_key *key, kl_us now);
/* The try is over: not one more byte leaves, and the console still shows what the board says. */
void kl_handover_rest(struct kl_handover *h);
void kl_handover_finish(struct kl_handover *h);
/* Takes bytes up to the end of one line and returns how many. Pull the events (and the console's
   lines) before the next call. */
size_t kl_handover_rx(struct kl_handover *h, const uint8_t *data, size_t size, kl_us now);
void kl_handover_tick(struct kl_handover *h, kl_us now);
bool kl_handover_next(struct kl_handover *h, struct kl_io *out); /* key line, in pieces: secret */
bool kl_handover_event(struct kl_handover *h, struct kl_handover_event *out); /* until false */
kl_us kl_handover_deadline(const struct kl_handover *h);
enum kl_handover_phase kl_handover_phase(const struct kl_handover *h);

#endif
