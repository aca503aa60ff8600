/*
 * fleet.h: one station's side of a pool that several stations share (docs/fleet.md).
 *
 * The database gives keys to stations; a station's own ledger gives them to boards. This decides
 * what the station says to the database, when, and what it may do while the database is silent. It
 * is pure: the caller carries out one call after the other, and hands in answers and time.
 *
 * The order that custody rests on: a request's id is durable on this machine (REMEMBER), then the
 * database hears it (LEASE), then the keys are durable on this machine (KEEP), and only then they
 * are keys of this station. What is not certain is said again with the same id, as a write: the
 * acknowledgement of a write proves everything before it.
 *
 * A board that this station never gave a key gets one in this order: the reservation is durable in
 * the station's ledger, then the database hears of board and key together (CLAIM), then it is
 * durable here that it agreed, and only then the first byte is sent. So the database knows which
 * board has which key even before it is told a result, and a station whose disk was put back can't
 * send a key a second time. A reservation without the agreement was never sent.
 */
#ifndef KEYLINE_FLEET_H
#define KEYLINE_FLEET_H

#include "keyline/base.h"

enum {
    KL_REQUEST_ID = 16,        /* bytes of a UUID */
    KL_FLEET_LEASE_MOST = 500, /* keys in one LEASE: more are asked for one LEASE after the other,
                                  so that no call is long, and boards get their turn in between */
};

struct kl_request_id {
    uint8_t b[KL_REQUEST_ID];
};

/* What the caller carries out. The local ones are durable before they are answered. */
enum kl_fleet_op {
    KL_FLEET_NOTHING, /* ask again at `until`, or after the next news */
    KL_FLEET_HELLO, /* connect, and ask: is it the same database? Has it heard of this station what
                       is not known here? For that, tell a token drawn for this call, the one
                       before, and the keys that are unused here */
    KL_FLEET_REASSERT, /* tell all that this station holds and has provisioned, then keep the
                          database's new identity here: local and database */
    KL_FLEET_REMEMBER, /* local: draw a request's id and keep it, with `count` */
    KL_FLEET_LEASE,    /* lease `count` keys under `request` */
    KL_FLEET_KEEP,     /* local: the leased rows into the list, then forget `request` */
    KL_FLEET_CLAIM,    /* this station is about to send `mac` the key that it reserved for the board
                          in `slot`; the agreement is durable here before it is handed in */
    KL_FLEET_CHECK,    /* claim one board that got its key while the database was silent */
    KL_FLEET_REPORT,   /* tell what happened behind `after` in the history */
    KL_FLEET_STATUS,   /* tell how this station is, hear how the pool is */
    KL_FLEET_HAND_BACK, /* local: take the unsent rows out of the list; then tell the database */
    KL_FLEET_OP_COUNT
};

struct kl_fleet_call {
    enum kl_fleet_op op;
    kl_us until; /* NOTHING; KL_NEVER = only after news */
    struct kl_request_id request;
    uint32_t count;
    unsigned slot;
    struct kl_mac mac;
    int64_t after;
};

enum kl_fleet_result {
    KL_FLEET_OK,      /* a database call: its COMMIT was acknowledged without a warning */
    KL_FLEET_DOUBT,   /* it may or may not have been done */
    KL_FLEET_DOWN,    /* it was not done: the database was not reached, or could not do it */
    KL_FLEET_REFUSED, /* the database said no, and why */
};

/* Why the database says no. X(NAME, "what it means to a person at the bench") */
#define KL_FLEET_REFUSALS(X)                                                                       \
    X(NONE, "")                                                                                    \
    X(FENCE, "the database was failed over or restored: the pool's owner has to reopen the pool")  \
    X(CLOSED, "the pool's owner has closed the pool")                                              \
    X(LOST, "this station was declared lost: it may not take keys any more")                       \
    X(UNKNOWN, "the pool does not know this station: its owner has to add it")                     \
    X(CAP, "this station holds as many keys as the pool's owner allows it")                        \
    X(EMPTY, "the pool has no free key left")                                                      \
    X(COPY, "another copy of this station, or a newer state of its disk, has spoken to the pool")  \
    X(VERSION, "the pool's schema is of another version of keyline")                               \
    X(CONFLICT, "the pool knows another owner of a key or a board")

enum kl_fleet_refusal {
#define X(name, text) KL_FLEET_NO_##name,
    KL_FLEET_REFUSALS(X)
#undef X
    KL_FLEET_NO_COUNT
};
const char *kl_fleet_refusal_text(enum kl_fleet_refusal refusal);

/* Who the pool says a board is. */
enum kl_fleet_owner {
    KL_FLEET_OURS,   /* claimed by this station, now or before */
    KL_FLEET_OTHERS, /* another station knows it: it must not get a second key */
};

struct kl_fleet_answer {
    enum kl_fleet_result result;
    enum kl_fleet_refusal refusal; /* of REFUSED */
    bool same_database;            /* HELLO: system identifier and timeline are those kept here */
    bool may_lease; /* HELLO, STATUS: the pool is open, and its fence is this database's: what it
                       says of keys and boards is the whole truth */
    struct kl_request_id request; /* REMEMBER: the id that was drawn */
    uint32_t rows;                /* LEASE: keys got, 0 … count; KEEP: kept */
    enum kl_fleet_owner owner;    /* CLAIM, CHECK */
    int64_t reported;             /* REPORT: the history is told up to here; HELLO: the same, and
                                     less than before if the database has forgotten some */
    uint32_t left;                /* CHECK: boards still to be checked; HELLO: the same */
};

/* How the station stands with the database. */
enum kl_fleet_state {
    KL_FLEET_AWAY,     /* not connected; tries again at `retry_at` */
    KL_FLEET_GREETING, /* HELLO is on its way */
    KL_FLEET_TELLING,  /* another database than before: it has to hear what this station holds */
    KL_FLEET_UP,
    KL_FLEET_BARRED,  /* the database answers, and will not have this station: a person is needed */
    KL_FLEET_PARTING, /* hands back what was never sent */
    KL_FLEET_GONE,    /* all said; nothing more is called */
};

/* May the board in a slot be sent the key that is reserved for it? */
enum kl_fleet_leave {
    KL_FLEET_WAITS,     /* not yet: kl_fleet_trouble says why, if it takes long */
    KL_FLEET_MAY,       /* the pool knows that this board is this station's */
    KL_FLEET_UNCHECKED, /* the database is silent, and --offline lets it: keep it for CHECK,
                           durably, before the key is reserved */
    KL_FLEET_MAY_NOT,   /* another station's board: the reservation, never sent, is released */
    KL_FLEET_DISPUTED,  /* the pool has this key for another board, or another key for this board:
                           nothing is sent, the key stays reserved, a person has to look */
};

struct kl_fleet_config {
    unsigned slots;
    uint32_t lease_max; /* keys held unsent at most */
    kl_us offline;      /* --offline: how long after the last contact unknown boards may go on; 0 =
                           they wait */
};

/* What is durable on this machine, at the start. */
struct kl_fleet_memory {
    bool requested; /* a request was remembered and not kept: it is asked for again */
    struct kl_request_id request;
    uint32_t count;
    int64_t reported;             /* the history is told up to here */
    uint32_t unchecked;           /* boards for CHECK */
    enum kl_fleet_refusal barred; /* COPY or LOST, once the pool has said so: durable before the
                                     answer is handed in, and for good */
    kl_us silent; /* how long ago the database last told the whole truth; KL_NEVER = never */
};

/* What the caller hands in whenever it changed. */
struct kl_fleet_bench {
    uint32_t free;     /* keys of the list that were never reserved */
    uint32_t per_hour; /* boards done in the last hour */
    int64_t history;   /* number of the history's newest entry */
};

struct kl_fleet_claim {
    enum kl_fleet_leave leave;
    bool asked; /* a board waits for it */
    struct kl_mac mac;
    bool others; /* as last heard, another station knows this MAC */
};

struct kl_fleet {
    struct kl_fleet_config config;
    enum kl_fleet_state state;
    enum kl_fleet_op calling; /* NOTHING = no call is out */
    struct kl_fleet_call call;
    enum kl_fleet_refusal barred; /* BARRED: why */
    enum kl_fleet_refusal denied; /* why no key is leased although the database answers */
    kl_us retry_at, lease_at, status_at;
    unsigned failures; /* in a row, of connecting */
    kl_us heard;       /* when the database last told the whole truth; KL_NEVER = never */
    bool may_lease;

    struct kl_fleet_memory memory;
    bool leased;  /* the rows of memory.request came, and are to be kept */
    bool filling; /* keys are asked for until there are as many as are wanted */
    struct kl_fleet_bench bench;
    struct kl_fleet_claim claim[KL_SLOTS_MAX];
    unsigned next_claim; /* so that no slot starves */
    uint32_t doubles;    /* boards that turned out to have a key of another station too */
    bool parting;        /* kl_fleet_part was called */
};

void kl_fleet_init(struct kl_fleet *f, const struct kl_fleet_config *config,
                   const struct kl_fleet_memory *memory, kl_us now);
void kl_fleet_tell_bench(struct kl_fleet *f, const struct kl_fleet_bench *bench);

/* A board for which this station has a reservation without an agreement asks for it. `others`: the
   MACs that were last heard from the database have it as another station's. Asking again with the
   same MAC changes nothing.
 */
void kl_fleet_ask(struct kl_fleet *f, unsigned slot, const struct kl_mac *mac, bool others);
/* The board in this slot does not ask any more. */
void kl_fleet_withdraw(struct kl_fleet *f, unsigned slot);
enum kl_fleet_leave kl_fleet_may(struct kl_fleet *f, unsigned slot, kl_us now);
/* This board was kept for CHECK. */
void kl_fleet_keep_unchecked(struct kl_fleet *f, unsigned slot);

/* What to carry out now. The caller answers it before it asks for the next one; NOTHING needs no
   answer. */
void kl_fleet_next(struct kl_fleet *f, kl_us now, struct kl_fleet_call *out);
void kl_fleet_answered(struct kl_fleet *f, kl_us now, const struct kl_fleet_answer *answer);

/* The station ends: no board will be given a key any more. The last calls follow: report, hand
   back. State GONE = done, or not possible now (the next start goes on). */
void kl_fleet_part(struct kl_fleet *f);

/* What keeps boards waiting or keys away, for a person; "" = nothing. A constant. */
const char *kl_fleet_trouble(const struct kl_fleet *f);
/* Results that the database does not have yet. */
int64_t kl_fleet_unsent(const struct kl_fleet *f);
/* How many keys this bench wants to hold unsent. */
uint32_t kl_fleet_wanted(const struct kl_fleet *f);

#endif
