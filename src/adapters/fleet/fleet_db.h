/*
 * fleet_db.h: the shared pool in PostgreSQL, as calls that block for at most as long as they are
 * told.
 *
 * The fleet's thread makes the station's calls; `keyline pool` and `keyline fleet` make the owner's
 * and the watcher's. One thread at a time uses a struct kl_fleet_db; only kl_fleet_db_interrupt()
 * may come from another. Nothing here knows the core, the loop or the store.
 *
 * Each call is one transaction and one round trip. It connects first if there is no connection,
 * also after a failure: the caller only repeats the call. All texts are from the database or about
 * it; none holds a byte of a key.
 *
 * Every answer is one of four (enum kl_fleet_result). What changes the pool counts only after
 * KL_FLEET_OK: COMMIT was acknowledged, and the server warned of nothing in between. After
 * KL_FLEET_DOUBT the same call with the same arguments is repeated until it gives OK or REFUSED;
 * all calls are made for that.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_DB_H
#define KEYLINE_ADAPTERS_FLEET_DB_H

#include "keyline/key.h"

enum {
    KL_FLEET_UUID = 16,
    KL_FLEET_SCHEMA = 1,          /* version of schema.sql that this program speaks */
    KL_FLEET_ROWS_MAX = 10000,    /* keys in one lease; rows in one call of any kind */
    KL_FLEET_REPORT_MAX = 500,    /* results in one report */
    KL_FLEET_BOX_MAX = 1024,      /* bytes of one sealed key */
    KL_FLEET_SEALED_KEY_MAX = 96, /* bytes of a pool key, sealed for one station */
    KL_FLEET_CURSOR_MAX = 80,     /* opaque text, NUL included */
    KL_FLEET_EPOCHS_MAX = 64,     /* pool keys that a station gets told at once, newest first */
};

enum kl_fleet_result {
    KL_FLEET_OK,      /* done, and durable as far as the database promises durability */
    KL_FLEET_DOUBT,   /* sent; whether it was done is not certain: repeat the same call */
    KL_FLEET_DOWN,    /* the database was not reached: nothing was done */
    KL_FLEET_REFUSED, /* the database says no: nothing was done */
};

/* Why it was not OK. X(NAME, heals, "for a person").
   heals: repeating the call later may well work without anybody doing anything at the pool. */
#define KL_FLEET_CAUSES(X)                                                                         \
    X(NONE, true, "")                                                                              \
    X(UNREACHABLE, true, "the database does not answer")                                           \
    X(SLOW, true, "the database takes too long")                                                   \
    X(INTERRUPTED, true, "the call was broken off")                                                \
    X(WARNED, true, "the database is not sure that the change is safe")                            \
    X(READ_ONLY, true, "the database is read-only: a standby, or switched over")                   \
    X(FULL, true, "the database's disk is full")                                                   \
    X(BUSY, true, "the database has no room for another session, or a lock is held")               \
    X(PASSWORD, false, "the database does not let this user in")                                   \
    X(TLS, false, "the connection is not safe: the server's certificate can't be verified")        \
    X(RIGHTS, false, "this user may not do that")                                                  \
    X(SETTING, false, "the service or connection text can't be used")                              \
    X(NO_POOL, false, "there is no keyline pool in this database")                                 \
    X(FENCE, false, "the database was failed over or restored; the pool has to be reopened")       \
    X(CLOSED, false, "the pool is closed")                                                         \
    X(LOST, false, "this station was declared lost")                                               \
    X(UNKNOWN, false, "this user is no station of the pool")                                       \
    X(CAP, false, "the station has as many keys as it may have")                                   \
    X(CONFLICT, false, "the pool knows otherwise")                                                 \
    X(SCHEMA, false, "the pool is of another version than this program")                           \
    X(OTHER, true, "the database refuses")

enum kl_fleet_cause {
#define X(name, heals, text) KL_FLEET_CAUSE_##name,
    KL_FLEET_CAUSES(X)
#undef X
    KL_FLEET_CAUSE_COUNT
};

struct kl_fleet_why {
    enum kl_fleet_cause cause;
    char sqlstate[6];       /* "" = there is none */
    char text[KL_TEXT_MAX]; /* a sentence for a person, with the server's own words where there are
                             */
};
bool kl_fleet_cause_heals(enum kl_fleet_cause cause);
const char *kl_fleet_cause_text(enum kl_fleet_cause cause);

struct kl_fleet_db;

/* ---- the connection ---- */

/*
 * `service`: a name in libpq's service file, or a connection text ("host=… dbname=…") or URI. The
 * environment (PG*), ~/.pgpass and the service files count as for every libpq program. Who says
 * nothing about sslmode gets verify-full, but for hosts that are this machine.
 * Connects once, to tell early what is wrong. `*out` is made and kept also if the answer is DOUBT,
 * DOWN or REFUSED (the next call connects again), and NULL only if the text itself can't be used
 * (REFUSED, SETTING) or there is no memory.
 * libpq looks names up with the system's resolver: that alone can take longer than `within_ms`.
 */
enum kl_fleet_result kl_fleet_db_open(const char *service, int within_ms, struct kl_fleet_db **out,
                                      struct kl_fleet_why *why);
void kl_fleet_db_close(struct kl_fleet_db *db);
/* From any thread: the call that runs, or else the next one, ends soon with DOWN or DOUBT
   (INTERRUPTED). */
void kl_fleet_db_interrupt(struct kl_fleet_db *db);
/* Gives the connection up; the next call makes a new one. */
void kl_fleet_db_drop(struct kl_fleet_db *db);
/* "pool.example.org:5432/keys" for a person; without user and password. */
const char *kl_fleet_db_name(const struct kl_fleet_db *db);

/* ---- the station's calls ---- */

/* Which database this is, as of now or as the pool was last opened on it. */
struct kl_fleet_fence {
    int64_t system_identifier;
    uint32_t timeline;
};
bool kl_fleet_fence_equal(const struct kl_fleet_fence *a, const struct kl_fleet_fence *b);

struct kl_fleet_hello {
    uint8_t pool[KL_FLEET_UUID];
    char pool_name[KL_NAME_MAX], station[KL_NAME_MAX];
    unsigned fields; /* of a key, label included */
    uint32_t epoch;  /* of the pool key that new boxes are sealed under */
    bool plain;      /* the pool key lies in the database, for all to read who can read that */
    bool open;       /* the pool gives out leases */
    bool told;       /* this station has told what it holds since the fence last changed */
    char closed_why[KL_TEXT_MAX];
    struct kl_fleet_fence server, pool_fence; /* leases are given only if they are equal */
    uint32_t lease_cap;                       /* keys that this station may hold unreported */
    uint32_t leased;                          /* that it holds so, as the pool knows */
    int64_t left_to_station; /* keys that it may still be given in all; -1 = as many as there are */
    int64_t free_keys;       /* in the pool */
    int64_t last_seq;        /* of the newest result that the pool has of this station; 0 = none */
    uint32_t alarms;         /* open ones that name this station */
    unsigned key_count;      /* pool keys sealed for this station, newest first */
    struct kl_fleet_sealed_key {
        uint32_t epoch, size;
        uint8_t box[KL_FLEET_SEALED_KEY_MAX]; /* crypto_box_seal: kl_seal_open_pool_key() */
    } key[KL_FLEET_EPOCHS_MAX];
};
/* The first call on a pool; asks the version too (SCHEMA). */
enum kl_fleet_result kl_fleet_hello(struct kl_fleet_db *db, int within_ms,
                                    struct kl_fleet_hello *out, struct kl_fleet_why *why);

/* One key that this station has. Pointers live until `each` returns. */
struct kl_fleet_row {
    const char *label;
    struct kl_fingerprint fingerprint, kin;
    unsigned fields; /* label included */
    uint32_t epoch;
    struct kl_span box; /* sealed: kl_seal_open_fields() */
};
typedef void kl_fleet_row_fn(void *ctx, const struct kl_fleet_row *row);

/*
 * Leases `n` keys, fewer if the pool has fewer (also none). The same id gives the same rows again,
 * as far as this station still holds them unreported; `n` does not matter then.
 * REFUSED with FENCE, CLOSED, LOST, UNKNOWN, CAP. `each` is called after the commit only.
 */
enum kl_fleet_result kl_fleet_lease(struct kl_fleet_db *db, int within_ms,
                                    const uint8_t id[KL_FLEET_UUID], uint32_t n,
                                    kl_fleet_row_fn *each, void *ctx, struct kl_fleet_why *why);
/* All keys that the pool says this station holds unreported. Also a barrier: after OK, whatever was
   acknowledged or in doubt before is as safe as the database makes it. */
enum kl_fleet_result kl_fleet_mine(struct kl_fleet_db *db, int within_ms, kl_fleet_row_fn *each,
                                   void *ctx, struct kl_fleet_why *why);

enum kl_fleet_what {
    KL_FLEET_RESERVED,    /* this key is kept for this board: it may have been sent */
    KL_FLEET_PROVISIONED, /* this board has this key */
    KL_FLEET_RELEASED,    /* a person has said that the board did not get it */
    KL_FLEET_ATTEMPT,     /* a board's try ended without a change of keys; for the figures */
};
struct kl_fleet_item {
    int64_t seq;  /* number in the station's history; rises, gaps are fine */
    int64_t wall; /* microseconds since 1970, by the station's clock */
    enum kl_fleet_what what;
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
struct kl_fleet_alarm {
    int64_t id, seq;   /* seq: of the result that showed it; 0 = none of this station's */
    const char *kind;  /* "key-on-two-boards", "board-has-two-keys", "key-of-another-station",
                          "unknown-key", "old-ledger" … (docs/fleet.md) */
    const char *label; /* "" = none */
    struct kl_mac mac; /* all zero = none */
    const char *other; /* the other station's name; "" = none */
    const char *text;  /* a sentence for a person */
};
typedef void kl_fleet_alarm_fn(void *ctx, const struct kl_fleet_alarm *alarm);

/*
 * Results in rising order of seq, at most KL_FLEET_REPORT_MAX. Idempotent: what the pool has
 * already is skipped. `*taken` is the highest seq that the pool has now. A contradiction refuses
 * nothing: it becomes an alarm in the pool, told to `each` (may be NULL) each time it is met. Goes
 * on while the pool is closed or fenced. REFUSED with LOST, UNKNOWN.
 */
enum kl_fleet_result kl_fleet_report(struct kl_fleet_db *db, int within_ms,
                                     const struct kl_fleet_item *item, uint32_t count,
                                     int64_t *taken, kl_fleet_alarm_fn *each, void *ctx,
                                     struct kl_fleet_why *why);
/* Keys that were never sent are free again. Skips, without an error, those that are not leased to
   this station (so it can be repeated); `*freed` counts the others. A key that was reported
   RESERVED and not RELEASED stays. REFUSED with FENCE too: keep them then. */
enum kl_fleet_result kl_fleet_hand_back(struct kl_fleet_db *db, int within_ms,
                                        const struct kl_fingerprint *key, uint32_t count,
                                        uint32_t *freed, struct kl_fleet_why *why);

enum kl_fleet_claim_kind {
    KL_FLEET_CLAIM_NEW,   /* nobody knew this board; it is this station's now */
    KL_FLEET_CLAIM_OURS,  /* it was this station's before */
    KL_FLEET_CLAIM_OTHER, /* another station knows it: no key for it here */
};
struct kl_fleet_claim {
    enum kl_fleet_claim_kind kind;
    char station[KL_NAME_MAX];    /* who knows it; "" = this one */
    char label[KL_LABEL_MAX + 4]; /* the key that it has or is kept for it; "" = none known */
    int64_t since;                /* of the claim, microseconds since 1970 */
};
/* Before a key is reserved for a MAC that this station has never had. `offline`: the board was
   already served without a claim; if it is another's, that is an alarm on both. */
enum kl_fleet_result kl_fleet_claim(struct kl_fleet_db *db, int within_ms, const struct kl_mac *mac,
                                    bool offline, struct kl_fleet_claim *out,
                                    struct kl_fleet_why *why);
/* A claimed board that certainly got no key may go to another station. Repeatable. REFUSED with
   CONFLICT if the pool knows of a key for it. */
enum kl_fleet_result kl_fleet_disclaim(struct kl_fleet_db *db, int within_ms,
                                       const struct kl_mac *mac, struct kl_fleet_why *why);

/* What this station's own ledger says that it has. */
struct kl_fleet_held {
    struct kl_fingerprint fingerprint;
    struct kl_mac mac; /* reserved for or provisioned on this board; all zero = held, not sent */
    bool provisioned;
};
/*
 * Tells all that this station holds and has used, in parts of at most KL_FLEET_ROWS_MAX: `first`
 * with the first part, `last` with the last one (both with an only one; count may be 0). With the
 * last part the station counts as heard for the present fence, and keys that the pool thought were
 * its own but that it did not tell of are marked as doubtful. Needed after the fence changed and
 * after kl_fleet_hello says !told; harmless at any other time. If a part fails, start again with
 * the first. Contradictions are alarms, as in kl_fleet_report().
 */
enum kl_fleet_result kl_fleet_reassert(struct kl_fleet_db *db, int within_ms,
                                       const struct kl_fleet_held *held, uint32_t count, bool first,
                                       bool last, kl_fleet_alarm_fn *each, void *ctx,
                                       struct kl_fleet_why *why);

struct kl_fleet_state {
    bool open, told, lost;
    struct kl_fleet_fence server, pool_fence;
    uint32_t epoch; /* a new one: hello again, for its pool key */
    uint32_t leased;
    int64_t free_keys, left_to_station, last_seq;
    char closed_why[KL_TEXT_MAX];
};
/* The heartbeat, every some ten seconds. `json`: what the dashboard of the fleet shows of this
   station (docs/fleet.md), an object of at most 8 KiB; numbers and public names only. `each` gets
   the open alarms that name this station. */
enum kl_fleet_result kl_fleet_status(struct kl_fleet_db *db, int within_ms, const char *json,
                                     struct kl_fleet_state *out, kl_fleet_alarm_fn *each, void *ctx,
                                     struct kl_fleet_why *why);

/*
 * MACs that stations have claimed or provisioned since `cursor` ("" = all), own ones too, at most
 * KL_FLEET_ROWS_MAX; some may come twice. Writes the cursor to go on from; `*more` = call again
 * now. A cursor of another pool or from before a reopening starts anew: `*anew`, forget what you
 * have.
 */
enum kl_fleet_result
kl_fleet_boards(struct kl_fleet_db *db, int within_ms, char cursor[KL_FLEET_CURSOR_MAX], bool *more,
                bool *anew, void (*each)(void *ctx, const struct kl_mac *mac, const char *station),
                void *ctx, struct kl_fleet_why *why);

/* ---- for people: the owner of the pool, or a member of the role keyline_watch ---- */

/*
 * What `keyline fleet` and `keyline pool status` show, as JSON of the server's making, for jansson.
 * `what`: "pool" (name, state, fence, counts, rates), "stations" (array, one object each, with its
 * last status and figures), "station" (`name`: its last results and events), "alarms". The text is
 * the caller's: free().
 */
enum kl_fleet_result kl_fleet_json(struct kl_fleet_db *db, int within_ms, const char *what,
                                   const char *name, char **json, struct kl_fleet_why *why);

#endif
