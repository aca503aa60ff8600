/*
 * fleet_db.h: the shared pool in PostgreSQL, as calls that block for at most as long as they are
 * told.
 *
 * The fleet's thread makes the station's calls; `keyline pool` and `keyline fleet` make the owner's
 * and the watcher's. One thread at a time uses a struct kl_fdb; only kl_fdb_interrupt()
 * may come from another. Nothing here knows the core, the loop or the store.
 *
 * Each call is one transaction and one round trip. It connects first if there is no connection,
 * also after a failure: the caller only repeats the call. All texts are from the database or about
 * it; none holds a byte of a key.
 *
 * Every answer is one of keyline/fleet.h:
 *   OK       COMMIT was acknowledged, and the server warned of nothing in between
 *   DOUBT    sent; whether it was done is not certain. The same call with the same arguments is
 *            repeated until it gives OK or REFUSED; all calls are made for that
 *   DOWN     not done: not reached, or the database can't do it now
 *   REFUSED  not done: the pool says no, and `refusal` says why
 */
#ifndef KEYLINE_ADAPTERS_FLEET_DB_H
#define KEYLINE_ADAPTERS_FLEET_DB_H

#include "keyline/fleet.h"
#include "keyline/key.h"

enum {
    KL_FDB_UUID = 16,
    KL_FDB_SCHEMA = 2,           /* version of schema.sql that this program speaks */
    KL_FDB_ROWS_MAX = 10000,     /* keys in one lease; rows in one call of any kind */
    KL_FDB_REPORT_MAX = 500,     /* results in one report */
    KL_FDB_BOX_MAX = 1024,       /* bytes of one sealed key */
    KL_FDB_SEALED_KEY_MAX = 128, /* bytes of a pool key, sealed for one station */
    KL_FDB_CURSOR_MAX = 80,      /* opaque text, NUL included */
    KL_FDB_EPOCHS_MAX = 64,      /* pool keys that a station gets told at once, newest first */
};

/* Why it was not OK. X(NAME, "for a person") */
#define KL_FDB_CAUSES(X)                                                                           \
    X(NONE, "")                                                                                    \
    X(UNREACHABLE, "the database does not answer")                                                 \
    X(SLOW, "the database takes too long")                                                         \
    X(INTERRUPTED, "the call was broken off")                                                      \
    X(WARNED, "the database is not sure that its standby has the change")                          \
    X(READ_ONLY, "the database is read-only: a standby, or switched over")                         \
    X(FULL, "the database's disk is full")                                                         \
    X(BUSY, "the database has no room for another session, or a lock is held there")               \
    X(PASSWORD, "the database does not let this user in")                                          \
    X(TLS, "the connection is not safe: the server's certificate can't be verified")               \
    X(RIGHTS, "this user may not do that")                                                         \
    X(SETTING, "the service or connection text can't be used")                                     \
    X(NO_POOL, "there is no keyline pool in this database")                                        \
    X(REFUSED, "the pool says no")                                                                 \
    X(OTHER, "the database reports an error")

enum kl_fdb_cause {
#define X(name, text) KL_FDB_CAUSE_##name,
    KL_FDB_CAUSES(X)
#undef X
    KL_FDB_CAUSE_COUNT
};

struct kl_fdb_why {
    enum kl_fdb_cause cause;
    enum kl_fleet_refusal refusal; /* of REFUSED, else NONE */
    char sqlstate[6];              /* "" = there is none */
    char text[KL_TEXT_MAX];        /* a sentence for a person, with the server's own words */
};
const char *kl_fdb_cause_text(enum kl_fdb_cause cause);

struct kl_fdb;

/* ---- the connection ---- */

/*
 * `service`: a name in libpq's service file, or a connection text ("host=… dbname=…") or URI. The
 * environment (PG*), ~/.pgpass and the service files count as for every libpq program. Who says
 * nothing about sslmode gets verify-full, but for hosts that are this machine.
 * Connects once, to tell early what is wrong. `*out` is made and kept also if the answer is DOUBT,
 * DOWN or REFUSED (the next call connects again), and NULL only if the text itself can't be used
 * (DOWN, SETTING) or there is no memory.
 * libpq looks names up with the system's resolver: that alone can take longer than `within_ms`.
 */
enum kl_fleet_result kl_fdb_open(const char *service, int within_ms, struct kl_fdb **out,
                                 struct kl_fdb_why *why);
void kl_fdb_close(struct kl_fdb *db);
/* From any thread: the call that runs, or else the next one, ends soon with DOWN or DOUBT
   (INTERRUPTED). */
void kl_fdb_interrupt(struct kl_fdb *db);
/* Gives the connection up; the next call makes a new one. */
void kl_fdb_drop(struct kl_fdb *db);
/* "pool.example.org:5432/keys" for a person; without user and password. */
const char *kl_fdb_name(const struct kl_fdb *db);

/* ---- the station's calls ---- */

/* Which database this is, as of now or as the pool was last opened on it. */
struct kl_fdb_fence {
    int64_t system_identifier;
    uint32_t timeline;
};
bool kl_fdb_fence_equal(const struct kl_fdb_fence *a, const struct kl_fdb_fence *b);

/* How the pool stands, and this station in it. */
struct kl_fdb_state {
    bool open; /* by its owner */
    bool told; /* this station has told what it holds, since the fence last changed */
    struct kl_fdb_fence server, pool_fence; /* keys are leased only if they are equal */
    uint32_t epoch;          /* of the pool key in use; a new one: hello again, for that */
    uint32_t lease_cap;      /* keys that this station may hold unreported */
    uint32_t leased;         /* that it holds so, as the pool knows */
    int64_t free_keys;       /* in the pool */
    int64_t left_to_station; /* keys that it may still be given in all; -1 = as many as there are */
    int64_t last_seq;        /* of the newest result that the pool has of this station; 0 = none */
    int64_t xid;   /* of this call: in one database each call's is higher than all before; 0 = the
                      pool is of an older version, and does not say */
    uint32_t born; /* differs between databases loaded from dumps of each other; 0 = not said */
    uint8_t pool[KL_FDB_UUID]; /* which pool; all zero = not said */
    char closed_why[KL_TEXT_MAX];
};

struct kl_fdb_hello {
    uint8_t pool[KL_FDB_UUID];
    char pool_name[KL_NAME_MAX], station[KL_NAME_MAX];
    unsigned fields; /* of a key, label included; 0 = no keys came yet */
    bool plain;      /* the pool key lies in the database, for all to read who can read that */
    uint32_t alarms; /* open ones that name this station */
    struct kl_fdb_state state;
    unsigned key_count; /* pool keys sealed for this station, newest first */
    struct kl_fdb_sealed_key {
        uint32_t epoch, size;
        uint8_t box[KL_FDB_SEALED_KEY_MAX]; /* crypto_box_seal: kl_seal_open_pool_key() */
    } key[KL_FDB_EPOCHS_MAX];
};

/*
 * So that two copies of one station's disk, or an old one, can't both take keys: the pool keeps one
 * random token for each station. A station draws a new one before each hello, makes it durable
 * beside the old one, says both, and forgets the old one after OK.
 */
struct kl_fdb_greeting {
    struct kl_fdb_fence seen;         /* as of the last hello that was OK; all zero = none */
    struct kl_request_id before, now; /* tokens; `before` all zero = none yet */
    /* Keys that lie here unused: leased, and never reserved for a board; at most
       KL_FDB_ROWS_MAX. */
    const struct kl_fingerprint *unused;
    uint32_t unused_count;
};
/* The first call on a pool; asks for the version too. REFUSED with VERSION, UNKNOWN, LOST, and
   COPY: on the database last seen, another copy of this station, or a newer state of its disk, has
   spoken. */
enum kl_fleet_result kl_fdb_hello(struct kl_fdb *db, int within_ms,
                                  const struct kl_fdb_greeting *greeting, struct kl_fdb_hello *out,
                                  struct kl_fdb_why *why);

/* One key that this station has. Pointers live until `each` returns. */
struct kl_fdb_row {
    const char *label;
    struct kl_fingerprint fingerprint, kin;
    unsigned fields; /* label included */
    uint32_t epoch;
    struct kl_span box; /* sealed: kl_seal_open_fields() */
};
typedef void kl_fdb_row_fn(void *ctx, const struct kl_fdb_row *row);

/*
 * Leases `n` keys, fewer if the pool has fewer (also none). The same id gives the same rows again,
 * as far as this station still holds them unreported; `n` does not matter then.
 * REFUSED with FENCE, CLOSED, LOST, UNKNOWN, CAP. `each` is called after the commit only.
 */
enum kl_fleet_result kl_fdb_lease(struct kl_fdb *db, int within_ms, const struct kl_request_id *id,
                                  uint32_t n, kl_fdb_row_fn *each, void *ctx,
                                  struct kl_fdb_why *why);
/* All keys that the pool says this station holds unreported. Also a barrier: after OK, whatever was
   acknowledged or in doubt before is as safe as the database makes it. */
enum kl_fleet_result kl_fdb_mine(struct kl_fdb *db, int within_ms, kl_fdb_row_fn *each, void *ctx,
                                 struct kl_fdb_why *why);

enum kl_fdb_what {
    KL_FDB_RESERVED,    /* this key is kept for this board; for the history: claims bind */
    KL_FDB_PROVISIONED, /* this board has this key */
    KL_FDB_RELEASED,    /* a person has said that the board did not get it */
    KL_FDB_ATTEMPT,     /* a board's try ended without a change of keys; for the figures */
};
struct kl_fdb_item {
    int64_t seq;   /* number in the station's history; rises, gaps are fine */
    int64_t wall;  /* microseconds since 1970, by the station's clock */
    int64_t after; /* the pool has said that it has this one; 0 = not said. REFUSED with FENCE if it
                      has not */
    enum kl_fdb_what what;
    struct kl_fingerprint fingerprint; /* not of an ATTEMPT */
    struct kl_mac mac;
    bool offline;    /* the board was not claimed before it got its key (--offline) */
    const char *how; /* "readback" …; an attempt's result: "done", "no-answer" …; NULL = "" */
    const char *bundle; /* hex digest of what was flashed; NULL = not known */
    const char *chip;   /* NULL = not known */
    const char *slot;   /* NULL = not known */
    const char *reason; /* RELEASED: why */
};

/* Something that must not be: shown on both stations, kept in the pool until a person settles it.
 */
struct kl_fdb_alarm {
    int64_t id, seq;     /* seq: of the result that showed it; 0 = none of this station's */
    const char *kind;    /* "key-on-two-boards", "board-has-two-keys", "key-of-another-station",
                            "unknown-key", "old-ledger" … (docs/fleet.md) */
    const char *label;   /* "" = none */
    struct kl_mac mac;   /* all zero = none */
    const char *station; /* who told what does not fit */
    const char *other;   /* the other station's name; "" = none */
    const char *text;    /* a sentence for a person */
};
typedef void kl_fdb_alarm_fn(void *ctx, const struct kl_fdb_alarm *alarm);

/*
 * Results in rising order of seq, at most KL_FDB_REPORT_MAX. Idempotent: what the pool has
 * already is skipped. `*taken` is the highest seq that the pool has now. A contradiction refuses
 * nothing: it becomes an alarm in the pool, told to `each` (may be NULL) each time it is met. Goes
 * on while the pool is closed or fenced. REFUSED with LOST, UNKNOWN.
 */
enum kl_fleet_result kl_fdb_report(struct kl_fdb *db, int within_ms, const struct kl_fdb_item *item,
                                   uint32_t count, int64_t *taken, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why);
/* Keys that were never sent are free again. Skips, without an error, those that are not leased to
   this station (so it can be repeated); `*freed` counts the others. A key that was reported
   RESERVED and not RELEASED stays. REFUSED with FENCE too: keep them then. */
enum kl_fleet_result kl_fdb_hand_back(struct kl_fdb *db, int within_ms,
                                      const struct kl_fingerprint *key, uint32_t count,
                                      uint32_t *freed, struct kl_fdb_why *why);

enum kl_fdb_claim_kind {
    KL_FDB_CLAIM_NEW,   /* nobody knew this board; it is this station's now, and the key is its */
    KL_FDB_CLAIM_OURS,  /* both were so before, or the board was this station's */
    KL_FDB_CLAIM_OTHER, /* another station knows it: no key for it here */
};
struct kl_fdb_claim {
    enum kl_fdb_claim_kind kind;
    char station[KL_NAME_MAX];    /* who knows it; "" = this one */
    char label[KL_LABEL_MAX + 4]; /* the key that it had or was kept for it; "" = none known */
    int64_t since;                /* of the claim, microseconds since 1970 */
};
/* `key` is durably reserved here for a MAC that this station had not had; none of it is sent before
   the answer. NEW and OURS bind board and key to each other in the pool. `offline`: it was sent
   already, while the database was silent; if the board is another's, that is an alarm on both.
   REFUSED with FENCE while the pool is not reopened: it may have forgotten; with CONFLICT (and an
   alarm in the pool) if the key is not this station's, or key or board belong to others of their
   kind: send nothing. */
enum kl_fleet_result kl_fdb_claim(struct kl_fdb *db, int within_ms, const struct kl_mac *mac,
                                  const struct kl_fingerprint *key, bool offline,
                                  struct kl_fdb_claim *out, struct kl_fdb_why *why);

/* What this station's own ledger says that it has. */
struct kl_fdb_held {
    struct kl_fingerprint fingerprint;
    struct kl_mac mac; /* provisioned on this board, or reserved and claimed (or sent unchecked) for
                          it; all zero = nothing of it was sent */
    bool provisioned;
};
/*
 * Tells all that this station holds and has used, in parts of at most KL_FDB_ROWS_MAX: `first`
 * with the first part, `last` with the last one (both with an only one; count may be 0). With the
 * last part the station counts as heard for the present fence, and keys that the pool thought were
 * its own but that it did not tell of are marked as doubtful. Needed after the fence changed and
 * after kl_fdb_hello says !told; harmless at any other time. If a part fails, start again with
 * the first. Contradictions are alarms, as in kl_fdb_report().
 */
enum kl_fleet_result kl_fdb_reassert(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_held *held, uint32_t count, bool first,
                                     bool last, kl_fdb_alarm_fn *each, void *ctx,
                                     struct kl_fdb_why *why);

/* The heartbeat, every some ten seconds. `json`: what the dashboard of the fleet shows of this
   station (docs/fleet.md), an object of at most 8 KiB; numbers and public names only. With the
   member "went_back" it says instead that this database is an old copy of itself: the pool
   closes as after a failover, once. `each` gets
   the open alarms that name this station. REFUSED with FENCE if the database changed and this
   station has not told it what it holds: hello, reassert. */
enum kl_fleet_result kl_fdb_status(struct kl_fdb *db, int within_ms, const char *json,
                                   struct kl_fdb_state *out, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why);

/*
 * MACs that stations have claimed or provisioned since `cursor` ("" = all), own ones too, at most
 * KL_FDB_ROWS_MAX; some may come twice. Writes the cursor to go on from; `*more` = call again
 * now. A cursor of another pool or from before a reopening starts anew: `*anew`, forget what you
 * have.
 */
enum kl_fleet_result
kl_fdb_boards(struct kl_fdb *db, int within_ms, char cursor[KL_FDB_CURSOR_MAX], bool *more,
              bool *anew, void (*each)(void *ctx, const struct kl_mac *mac, const char *station),
              void *ctx, struct kl_fdb_why *why);

/* ---- for people: the owner of the pool, or a member of the role keyline_watch ---- */

/*
 * What `keyline fleet` and `keyline pool status` show, as JSON of the server's making, for jansson.
 * `what`: "pool" (name, state, fence, counts, rates), "stations" (array, one object each, with its
 * last status and figures), "station" (`name`: its last results and events), "alarms". The text is
 * the caller's: free().
 */
enum kl_fleet_result kl_fdb_json(struct kl_fdb *db, int within_ms, const char *what,
                                 const char *name, char **json, struct kl_fdb_why *why);

#endif
