/*
 * pool.h: all keys and what became of each. Only the pool decides which board gets which key.
 *
 * Pure: the store does what the pool decided and says when it is durable. Promises 1 and 2 of
 * docs/custody.md live here. The caller owns all memory.
 */
#ifndef KEYLINE_POOL_H
#define KEYLINE_POOL_H

#include "keyline/index.h"
#include "keyline/key.h"

enum kl_key_state {
    KL_KEY_FREE,
    KL_KEY_RESERVING, /* the store was asked, nothing durable yet: no byte may leave */
    KL_KEY_RESERVED,  /* durable for a MAC; from here on software alone never frees it … */
    KL_KEY_RELEASING, /* … except unsent in this very run (skip), durable when the store says so */
    KL_KEY_RECORDING,   /* proved by the board, the store was asked */
    KL_KEY_PROVISIONED, /* durable */
    KL_KEY_BLOCKED,     /* can't be handed out: see trouble */
};

/* Why a row or key is not handed out, or needs a person. */
enum kl_key_trouble {
    KL_TROUBLE_NONE,
    KL_TROUBLE_COPY,     /* exact copy of an earlier row: counts as one key */
    KL_TROUBLE_CONFLICT, /* one label on two keys, or one key under two labels: stops the start */
    KL_TROUBLE_BAD_LINE, /* the firmware could not take it (length, characters, field count) */
    KL_TROUBLE_FOREIGN,  /* marked Provisioned, but the ledger does not know for which board */
    KL_TROUBLE_VANISHED, /* in the ledger, no longer in the CSV */
    KL_TROUBLE_CHANGED,  /* the ledger knows this label, or this secret in another spelling, with
                            other fields than the CSV has */
    KL_TROUBLE_RENAMED,  /* the ledger has this key under another label: not confirmed yet */
    KL_TROUBLE_REFUSED,  /* the ledger said otherwise than this pool: blocked until the next load */
};

/* One key as the store's list has it. A list has a million of them: 48 bytes each. */
struct kl_pool_row {
    const char *label;                 /* in full; the store's */
    struct kl_fingerprint fingerprint; /* all zero: none (only of a bad row) */
    struct kl_fingerprint kin;         /* all zero: not known */
    uint32_t line;                     /* where it stands in the list, from 1 */
    uint32_t size : 22;                /* the store's own: bytes in the list's file */
    uint32_t why : 8;                  /* bad: the store's own, see kl_store_row_why() */
    bool marked : 1;
    bool bad : 1; /* KL_TROUBLE_BAD_LINE */
};

enum {
    KL_ROW_SIZE_MAX = (1 << 22) - 1,
};

/* One key as the ledger has it. */
struct kl_ledger_row {
    const char *label;
    struct kl_fingerprint fingerprint;
    bool provisioned; /* else reserved */
    struct kl_mac mac;
    struct kl_fingerprint kin; /* all zero: not known */
    bool same_bundle;          /* its board was flashed with the very images of this run */
    bool
        listed; /* the list has this fingerprint; where it is not known, false: that takes memory */
};

/* 8 bytes: a pool has a million of them. What is the same for the whole life of a key is in
   kl_pool_row_of(). */
struct kl_pool_key {
    uint32_t at;         /* the pool's own: where its row is */
    uint8_t state : 3;   /* enum kl_key_state */
    uint8_t trouble : 4; /* enum kl_key_trouble */
    bool listed : 1;     /* it is in the CSV */
    bool sent : 1;       /* a byte of it may have left the host */
    bool live : 1;       /* its board is at work on a slot of this run: see kl_pool_leave */
    bool rival : 1;      /* its MAC has another key too: neither is sent, an operator decides */
    bool bound : 1;      /* a person chose its board: it stays reserved if nothing was sent */
    bool marked : 1;     /* the CSV row carries the mark, or will at once */
    uint8_t row;         /* the pool's own: what CSV and ledger say of it */
    uint8_t label_hash;  /* the pool's own */
};

/* Memory for `capacity` keys, and for `own_capacity` of them that may not be in the list, with
   their labels; all of it zero. */
struct kl_pool_memory {
    struct kl_pool_key *key;
    struct kl_mac *mac; /* of each key */
    uint32_t capacity;
    uint32_t *by_fingerprint, *by_mac; /* kl_index_size(capacity) entries each */
    struct kl_pool_row *own;
    uint32_t own_capacity;
    char *text;
    size_t text_size;
};

/* What a load takes at most. */
struct kl_pool_size {
    uint64_t keys, own;
    size_t text; /* bytes of the labels of `own`, each with its NUL */
};

struct kl_pool_counts {
    uint32_t free, reserved, provisioned, blocked; /* reserved: RESERVING … RECORDING */
    uint32_t in_doubt;                             /* RESERVED and not live on a slot of this run */
    uint32_t copies, conflicts, twins, bad_lines, foreign, vanished, changed, renamed, total;
    uint32_t conflict_line_a, conflict_line_b; /* the first two keys with one label */
    uint32_t twin_line_a, twin_line_b;         /* the first two labels on one key */
    uint32_t changed_line; /* the first row that a key of the ledger keeps back; 0 = none */
    uint32_t bad_line;     /* the first row that can't be a key; 0 = none */
    uint32_t
        unmarked; /* provisioned by the ledger, mark missing in the CSV: the store appends it */
};

/* Where the rows of keys are: in the list, or among the pool's own. */
struct kl_pool_rows {
    const struct kl_pool_row *listed, *own;
    uint32_t count; /* of the list */
};

struct kl_pool {
    struct kl_pool_memory memory;
    struct kl_index by_fingerprint, by_mac;
    struct kl_pool_rows rows, before; /* before: only while a load runs */
    uint32_t own_used;
    size_t text_used;
    uint32_t count;
    uint32_t next_free; /* no FREE key lies below this index */
    struct kl_pool_counts counts;
    uint64_t doubts; /* changes whenever the set of keys in doubt may have changed */
};

/*
 * Reconciles CSV and ledger into an empty pool (all zero), or into a running one whose CSV changed:
 * a key is spent if either says so. Keys keep their index and their state; live reservations are
 * never touched. A key does not become free because the ledger no longer has it.
 *
 * `memory` must be new and as large as kl_pool_size_of says. The pool copies keys over, so the old
 * memory must stay valid until this returns. Rows and ledger are one snapshot, taken after every
 * answer of the store that the pool was told. The pool refers to the rows until the next load has
 * returned, and keeps nothing of the ledger.
 */
struct kl_pool_size kl_pool_size_of(const struct kl_pool *p, const struct kl_pool_row *rows,
                                    uint32_t row_count, const struct kl_ledger_row *ledger,
                                    uint32_t ledger_count);
void kl_pool_load(struct kl_pool *p, const struct kl_pool_memory *memory,
                  const struct kl_pool_row *rows, uint32_t row_count,
                  const struct kl_ledger_row *ledger, uint32_t ledger_count);

enum kl_pool_answer {
    KL_POOL_GIVE,     /* *key is this MAC's. RESERVING: it is new, KL_OP_RESERVE it. RESERVED or
                         PROVISIONED: the ledger has it so already, KL_OP_FETCH it */
    KL_POOL_EMPTY,    /* no free key */
    KL_POOL_CONFLICT, /* this MAC's own key changed or vanished, or another board may hold it */
    KL_POOL_BUSY,     /* this MAC's key is on its way in the store: wait, then ask again */
};
/* The board with this MAC asks. It gets its own key again, whatever that key's state, and a new one
   only if it never had one. */
enum kl_pool_answer kl_pool_ask(struct kl_pool *p, const struct kl_mac *mac, uint32_t *key);

/* Why the key with this label, in full, can't become this MAC's; NULL = it can: *key, which is
   FREE. */
const char *kl_pool_unbindable(const struct kl_pool *p, const struct kl_mac *mac, const char *label,
                               uint32_t *key);
/* Gives this MAC that key and no other: FREE -> RESERVING, bound; KL_OP_RESERVE it. */
void kl_pool_bind(struct kl_pool *p, const struct kl_mac *mac, uint32_t key);

enum kl_pool_claim {
    KL_CLAIM_OWN,     /* reserved for or provisioned to this MAC: record it (again) */
    KL_CLAIM_ADOPT,   /* free, or marked by another tool: now RECORDING for this MAC */
    KL_CLAIM_OTHERS,  /* belongs to another MAC; it is not sent to anyone any more */
    KL_CLAIM_UNKNOWN, /* not in the pool */
    KL_CLAIM_BUSY,    /* being reserved or released for this MAC: claim again after the answer */
};
/* The board proved that it holds this key. OWN and ADOPT make it RECORDING unless it is
   PROVISIONED already. */
enum kl_pool_claim kl_pool_claim(struct kl_pool *p, const struct kl_mac *mac,
                                 const struct kl_fingerprint *fp, uint32_t *key);

/* State changes, each legal only from the states named; anything else fails an assertion. `durable`
   is false when nothing was made durable. */
void kl_pool_reserved(struct kl_pool *p, uint32_t key,
                      bool durable); /* RESERVING -> RESERVED/FREE */
/* RESERVED or PROVISIONED: the first byte is about to leave. False: another tool or another board
   turned out to have this key meanwhile; don't send it. */
bool kl_pool_sending(struct kl_pool *p, uint32_t key);
/* Did that turn out after the first byte left? Then no more of the key may leave. */
bool kl_pool_is_spent_elsewhere(const struct kl_pool *p, uint32_t key);
bool kl_pool_release(struct kl_pool *p,
                     uint32_t key); /* RESERVED and unsent -> RELEASING; else no */
void kl_pool_released(struct kl_pool *p, uint32_t key, bool durable); /* -> FREE / RESERVED */
void kl_pool_recording(struct kl_pool *p, uint32_t key); /* RESERVED, PROVISIONED -> RECORDING */
void kl_pool_recorded(struct kl_pool *p, uint32_t key,
                      bool durable); /* -> PROVISIONED / RECORDING
                                        again: the caller retries */
/* The store refused: what is durable says otherwise. RESERVING, RELEASING, RECORDING -> BLOCKED
   until the next load settles it. */
void kl_pool_refused(struct kl_pool *p, uint32_t key);
/* The board of this key left its slot or was given up: a reserved key is in doubt from now on.
   Legal in every state; asking or claiming makes the key live again. */
void kl_pool_leave(struct kl_pool *p, uint32_t key);
/* An operator releases any reserved key that is not live, even a sent one, with a reason that the
   ledger keeps. -> RELEASING. Once durable, a key in the CSV is free; any other is gone. */
bool kl_pool_may_release(const struct kl_pool *p, uint32_t key);
bool kl_pool_operator_release(struct kl_pool *p, uint32_t key);

/* The key that belongs to a MAC; UINT32_MAX if none. */
uint32_t kl_pool_of_mac(const struct kl_pool *p, const struct kl_mac *mac);
uint32_t kl_pool_find(const struct kl_pool *p, const struct kl_fingerprint *fp);
const struct kl_pool_key *kl_pool_key(const struct kl_pool *p, uint32_t key);
/* Label, fingerprint and kin; line 0 = it is not in the CSV. Valid until the next load. */
const struct kl_pool_row *kl_pool_row_of(const struct kl_pool *p, uint32_t key);
/* RESERVING … PROVISIONED; may be unknown (all zero) for FOREIGN. */
const struct kl_mac *kl_pool_mac(const struct kl_pool *p, uint32_t key);
/* Was its board flashed with the very images of this run, by the ledger? */
bool kl_pool_has_same_bundle(const struct kl_pool *p, uint32_t key);
/* Names the first rows of the list that are kept back, why, and the way out. False and "" if no row
   is, but for marked ones. */
bool kl_pool_kept_back(const struct kl_pool *p, char text[KL_TEXT_MAX]);
/* The label of this pool with that kl_hash() and that SHA-256, in the pool's own words; "" if there
   is none. So keyline names a board's first value only if it is a label, and never in the board's
   words. */
const char *kl_pool_label(const struct kl_pool *p, uint64_t hash, const uint8_t digest[32],
                          kl_sha256_fn *sha256);

#endif
