/*
 * delivery.h: how a key gets into a board. Whatever the way, the station hears the same news.
 * Custody, pool, ledger and faces know nothing beyond them.
 *
 * Today's one way is the handover to the running firmware (delivery.c, handover.h):
 *
 *   when          after the boot: kl_delivery_after() is KL_ST_BOOTING
 *   sent          kl_delivery_send() was called: from then on bytes of the key may have left
 *   acknowledged  the firmware answered "Provisioned"
 *   proved        it read back every field after its restart; with --confirm ack its word is enough
 *
 * Another way answers these four questions in its own file, says in kl_delivery_after() when it
 * takes over, and gives the same news. Nothing above this header changes.
 *
 * A value that does no I/O, in the shape of the loader: bytes and time go in, requests to the link
 * and news come out. The key is lent by custody, and never kept past kl_delivery_end().
 */
#ifndef CORE_DELIVERY_H
#define CORE_DELIVERY_H

#include "custody.h"
#include "handover.h"
#include "keyline/station.h"

enum kl_delivery_news_kind {
    KL_DELIVERY_STARTED,      /* the chip started again; text: if it had to acknowledge first */
    KL_DELIVERY_WANTED,       /* the board waits for a key; repeated as long as it waits */
    KL_DELIVERY_ACKNOWLEDGED, /* it took what was sent; `proof` if its word is enough */
    KL_DELIVERY_PROVED,       /* it holds what was sent: proof */
    KL_DELIVERY_DIFFERS,      /* it holds something else than was sent */
    KL_DELIVERY_CLAIMS,       /* it shows a key, and was sent none: fingerprint, label, proof */
    KL_DELIVERY_MAY_CLAIM,    /* the same, unless these lines were its log: more may come */
    KL_DELIVERY_CLAIMS_BLIND, /* it says that it has a key and shows none: text; `proof` as above */
    KL_DELIVERY_REFUSED,      /* it does not take the key: text */
    KL_DELIVERY_TROUBLE,      /* the board told why it can't go on: reason, text */
    KL_DELIVERY_SILENT,       /* what we waited for did not come in time: reason, text */
};

struct kl_delivery_news {
    enum kl_delivery_news_kind kind;
    enum kl_proof proof;
    enum kl_reason reason;
    struct kl_fingerprint fingerprint;
    struct kl_handover_first label; /* CLAIMS, MAY_CLAIM: what it shows as its label */
    bool own;                       /* CLAIMS: it is the key that custody has here */
    char text[KL_TEXT_MAX];
};

enum kl_delivery_state {
    KL_DELIVERY_RESTS,
    KL_DELIVERY_LISTENS, /* nothing was sent in this talk */
    KL_DELIVERY_SENT,
};

struct kl_delivery {
    enum kl_delivery_state state;
    enum kl_confirm confirm;
    struct kl_handover handover;
};

/* The state after which this delivery takes over. */
enum kl_state kl_delivery_after(const struct kl_delivery *d);

/* Begins a talk with the board, through its console. `known` is where custody keeps the board's own
   key, to compare it with what the board shows; empty as long as there is none. `fields`: how many
   a key of this CSV has, 0 = unknown. */
void kl_delivery_begin(struct kl_delivery *d, const struct kl_station_config *config,
                       struct kl_console *console, unsigned fields, const struct kl_key *known,
                       kl_us now);
/* Would the board take a key at this very moment? */
bool kl_delivery_is_wanted(const struct kl_delivery *d);
/* Sends the key. Only if the board wants it and its reservation is durable. */
void kl_delivery_send(struct kl_delivery *d, const struct kl_key *key, kl_us now);
/* The try is over: no more of the key leaves. What the board says is still heard. */
void kl_delivery_stop(struct kl_delivery *d);
/* Ends the talk and lets go of the key. Legal in every state. */
void kl_delivery_end(struct kl_delivery *d);

/* Takes bytes up to the end of one line and returns how many; pull the news after each call. */
size_t kl_delivery_rx(struct kl_delivery *d, const uint8_t *data, size_t size, kl_us now);
void kl_delivery_tick(struct kl_delivery *d, kl_us now);
kl_us kl_delivery_deadline(const struct kl_delivery *d);
bool kl_delivery_next(struct kl_delivery *d, struct kl_io *out); /* a key's only way out */
bool kl_delivery_news(struct kl_delivery *d, struct kl_delivery_news *out); /* until false */

#endif
