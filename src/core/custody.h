/*
 * custody.h: a board's hold on its key, from the pool's word to the durable record.
 *
 * It is the only owner of the key's bytes between the store and the wire: custody lends a pointer
 * (kl_custody_key) to whoever sends, compares or masks them; nobody keeps a copy. The bytes come
 * from the store (kl_custody_bring), and leave only by kl_custody_forget, which wipes them; so a
 * lent pointer is good for as long as one talk with one board lasts.
 *
 * A value that asks nobody: the pool's answers and the store's are brought by board_key.c, which
 * also asks for what the states say. Custody does not know how the key gets into the board
 * (delivery.h).
 */
#ifndef CORE_CUSTODY_H
#define CORE_CUSTODY_H

#include "keyline/key.h"

#define NO_KEY UINT32_MAX

enum kl_custody_state {
    KL_CUSTODY_NONE,  /* no key is this board's */
    KL_CUSTODY_NAMED, /* the pool has named the key; its bytes are not here */
    KL_CUSTODY_ASKED, /* the store was asked for them; the board waits */
    KL_CUSTODY_LATE,  /* … and is slow: the board goes on without, and still takes the answer */
    KL_CUSTODY_HELD,  /* the bytes are here, none has left the host */
    KL_CUSTODY_SENT,  /* some may have left */
    KL_CUSTODY_RECORDING, /* the board has proved that it holds its key; the store is told */
    KL_CUSTODY_RECORDED,  /* that is durable */
};

/* How we know that the board holds its key. */
enum kl_proof {
    KL_PROOF_NONE,
    KL_PROOF_ACKNOWLEDGED, /* by its word alone (--confirm ack) */
    KL_PROOF_READ_BACK,    /* every field was seen */
};

struct kl_custody {
    enum kl_custody_state state;
    uint32_t index;     /* in the pool; NO_KEY = none */
    uint32_t request;   /* ASKED, LATE: the one whose answer brings the bytes */
    kl_us ask_again_at; /* the store failed: ask it again then; KL_NEVER */
    enum kl_proof proof;
    struct kl_key key;            /* count 0 = not here */
    struct kl_key_text *text;     /* room for a long key; NULL: only short ones come */
    char label[KL_LABEL_MAX + 1]; /* "" = none */
};

/* `text`: secret memory for a long key, for as long as the custody lives; NULL where none comes. */
void kl_custody_init(struct kl_custody *c, struct kl_key_text *text);
/* Wipes the bytes: whoever was lent them must have let go. */
void kl_custody_forget(struct kl_custody *c);

/* The pool names the board's key. Its bytes stay if they are here already. */
void kl_custody_name(struct kl_custody *c, uint32_t index, const char *label);
/* The store was asked for the bytes of the named key. */
void kl_custody_ask(struct kl_custody *c, uint32_t request);
/* Does this answer of the store belong to what is held here? */
bool kl_custody_awaits(const struct kl_custody *c, uint32_t index, uint32_t request);
/* The board waits for the bytes no longer. */
void kl_custody_go_on(struct kl_custody *c);
/* The store's answer: the bytes, or that there are none (a failure, or a refusal). */
void kl_custody_bring(struct kl_custody *c, const struct kl_key *key);
void kl_custody_miss(struct kl_custody *c);
/* The key turned out not to be this board's. No more of it is sent. The bytes stay until
   kl_custody_forget, so that the console can still mask them. */
void kl_custody_disown(struct kl_custody *c);

/* HELD only: the first byte is about to leave. */
void kl_custody_send(struct kl_custody *c);
/* The board has proved that it holds the named key. */
void kl_custody_prove(struct kl_custody *c, enum kl_proof proof);
void kl_custody_recorded(struct kl_custody *c);

/* Lends the bytes; NULL if they are not here, or not this board's. */
const struct kl_key *kl_custody_key(const struct kl_custody *c);
bool kl_custody_has_key(const struct kl_custody *c); /* the pool has named one */
bool kl_custody_was_sent(const struct kl_custody *c);

#endif
