/*
 * station.h: slots + pool + policy: the program's model, with no screen and no I/O.
 *
 * Feed events (each with a time), then pull notes and actions until there are none, then ask for
 * the next deadline. feed never calls out. An action asks for something and gets an answer. A note
 * only tells whoever listens. The pointers in both are valid until the next feed, and until the
 * next one is pulled. Equal inputs give equal outputs: no clock, no randomness, no addresses.
 */
#ifndef KEYLINE_STATION_H
#define KEYLINE_STATION_H

#include "keyline/bundle.h"
#include "keyline/command.h"
#include "keyline/exam.h"
#include "keyline/fault.h"
#include "keyline/io.h"
#include "keyline/loader.h"
#include "keyline/nvs_delivery.h"
#include "keyline/pool.h"
#include "keyline/words.h"

enum kl_confirm {
    KL_CONFIRM_READBACK, /* every field read back after the restart; with `nvs` besides FLASH */
    KL_CONFIRM_ACK,      /* the acknowledgement alone, for firmware that prints nothing back */
    KL_CONFIRM_FLASH,    /* with `nvs` only: what its loader reads of the flash */
};

/* A board's life. The names are shown, logged and documented as they stand here (docs/states.md).
   X(NAME, "word", symbol for UTF-8, symbol for ASCII) */
#define KL_STATES(X)                                                                               \
    X(EMPTY, "empty", "·", ".")                                                                    \
    X(SETTLING, "settling", "…", "~")                                                              \
    X(CONNECTING, "connecting", "⇄", "c")                                                          \
    X(IDENTIFYING, "identifying", "?", "?")                                                        \
    X(FLASHING, "flashing", "▶", ">")                                                              \
    X(VERIFYING, "verifying", "≡", "=")                                                            \
    X(BOOTING, "booting", "↻", "b")                                                                \
    X(ASKING, "asking", "☐", "a")                                                                  \
    X(RESERVING, "reserving", "⚿", "k")                                                            \
    X(SENDING, "sending", "→", "s")                                                                \
    X(CONFIRMING, "confirming", "←", "r")                                                          \
    X(RECORDING, "recording", "✎", "w")                                                            \
    X(TESTING, "testing", "⚙", "t")                                                                \
    X(DONE, "done", "✔", "+")                                                                      \
    X(FAILED, "failed", "✘", "!")                                                                  \
    X(SKIPPED, "skipped", "↷", "-")                                                                \
    X(CLOSING, "closing", "×", "x")

enum kl_state {
#define X(name, word, utf8, ascii) KL_ST_##name,
    KL_STATES(X)
#undef X
    KL_ST_COUNT
};
const char *kl_state_name(enum kl_state s);

/* ---- what comes in ---- */

enum kl_event_kind {
    KL_EV_TICK,      /* only the time */
    KL_EV_SLOT,      /* a slot exists from now on (u.slot); `slot` is the next unused index */
    KL_EV_SLOT_GONE, /* a network slot was removed by command and its link is closed */
    KL_EV_PLUGGED,   /* a port is there in this slot (u.port) */
    KL_EV_UNPLUGGED,
    KL_EV_PORT_FREE, /* another program held the port, and has let it go */
    KL_EV_OPENED,    /* answer to KL_AC_OPEN: u.opened */
    KL_EV_CLOSED,    /* answer to KL_AC_CLOSE, always comes */
    KL_EV_LOST,      /* the open link died (u.text: why); the core asks for KL_AC_CLOSE */
    KL_EV_RX,        /* u.rx */
    KL_EV_IO_DONE,   /* u.io: a LINES or BAUD is done */
    KL_EV_STORED,    /* answer to a store action: never dropped (u.stored) */
    KL_EV_KEYS,      /* the CSV was read (again): u.keys; the first one starts the bench */
    KL_EV_COMMAND,   /* an operator's command: u.command */
};

enum kl_open_result {
    KL_OPEN_OK,
    KL_OPEN_BUSY, /* somebody holds it, nobody knows who */
    KL_OPEN_HELD, /* a program holds it that can be seen to */
    KL_OPEN_DENIED,
    KL_OPEN_ABSENT,
    KL_OPEN_ERROR
};

enum kl_store_status {
    KL_STORE_OK,
    KL_STORE_FAILED,  /* nothing was made durable; may be asked again (disk full, read-only …) */
    KL_STORE_ASKS,    /* the same: a person has to answer about the list of keys first */
    KL_STORE_REFUSED, /* what is durable says otherwise: u.stored.text tells */
    /* Of RESERVE and FETCH, with a pool that several stations share. The key is reserved for this
       board, durably, and its bytes stay in the store: */
    KL_STORE_WAITS,     /* the pool has not agreed yet; ask again */
    KL_STORE_ELSEWHERE, /* another station has this board: give the key back */
    KL_STORE_DISPUTED,  /* the pool has another owner for this key or this board: it stays reserved
                         */
};

enum kl_store_op {
    KL_OP_RESERVE,
    KL_OP_RELEASE,
    KL_OP_PROVISION,
    KL_OP_FETCH,
    KL_OP_ATTEMPT,
    KL_OP_COMMAND, /* what an operator did: the shell's, never the core's */
};

/* Instead of a slot number: the bench, or a board that is not on it. */
enum {
    KL_BENCH = KL_SLOTS_MAX
};

struct kl_event {
    enum kl_event_kind kind;
    kl_us at;     /* never lower than the event before */
    int64_t wall; /* wall clock, microseconds since 1970, for records only */
    unsigned slot;
    uint32_t generation; /* OPENED, CLOSED, LOST, RX, IO_DONE, STORED: of the action it answers */
    uint32_t request;    /* IO_DONE, STORED, OPENED: the action's id */
    union {
        struct {
            char name[KL_NAME_MAX]; /* "A1", "1-1.4.2", "host:port" */
            bool network;
        } slot;
        struct {
            char path[KL_PORT_MAX]; /* "/dev/ttyUSB0", "rfc2217://host:port" */
            enum kl_link_kind link;
            uint16_t vid, pid; /* 0 if not USB */
            char serial[64];   /* USB serial number; for USB-Serial/JTAG it is the MAC; "" = none */
        } port;
        struct {
            enum kl_open_result result;
            char text[KL_TEXT_MAX];
        } opened;
        char text[KL_TEXT_MAX];
        struct {
            const uint8_t *data;
            size_t size;
        } rx;
        struct {
            bool ok;
        } io;
        struct {
            enum kl_store_op op;
            enum kl_store_status status;
            struct kl_fingerprint fingerprint;
            const struct kl_key *key; /* RESERVE, FETCH: the secret, valid during the feed */
            char text[KL_TEXT_MAX];
        } stored;
        struct {
            const struct kl_pool_memory *memory; /* for kl_pool_size_of(kl_station_pool(), …) */
            const struct kl_pool_row *rows;
            uint32_t row_count;
            const struct kl_ledger_row *ledger;
            uint32_t ledger_count;
            unsigned fields;              /* of the CSV's rows */
            bool come;                    /* more keys come by themselves: nobody has to add rows */
            const struct kl_pool *loaded; /* the first time: a pool into which somebody has loaded
                                             all this already, in `memory`; NULL = nobody has */
        } keys;
        struct kl_command command; /* not ADD_PORT and REMOVE_PORT: those are the shell's */
    } u;
};

/* ---- what goes out ---- */

enum kl_action_kind {
    KL_AC_OPEN, /* open the slot's port at u.baud */
    KL_AC_CLOSE,
    KL_AC_IO,    /* u.io */
    KL_AC_STORE, /* u.store */
    KL_AC_REST,  /* all boards rest as asked (--once, --count, stop): the program may end; u.exit */
};

struct kl_action {
    enum kl_action_kind kind;
    unsigned slot;       /* KL_BENCH: STORE about a key whose board is not here, REST */
    uint32_t generation; /* of the slot's occupant; completions bring it back */
    uint32_t request;
    union {
        uint32_t baud;
        struct kl_io io;
        struct {
            enum kl_store_op op;
            struct kl_fingerprint fingerprint;
            struct kl_mac mac;
            const char *label;
            bool acknowledged_only;           /* PROVISION */
            const char *reason;               /* RELEASE; COMMAND: who, and more; valid until all
                                                 actions are pulled */
            enum kl_command_kind command;     /* COMMAND */
            const struct kl_attempt *attempt; /* ATTEMPT */
        } store;
        int exit; /* exit status of --help */
    } u;
};

/* ---- what is told ---- */

enum kl_note_kind {
    KL_NOTE_PORT,     /* plugged, unplugged, opened, lost: text */
    KL_NOTE_STATE,    /* state changed: state, before, fault if failed or waiting */
    KL_NOTE_CHIP,     /* identity known */
    KL_NOTE_PROGRESS, /* at most 10 a second and slot */
    KL_NOTE_KEY,      /* reserved, sent, acknowledged, recorded, adopted …: text, label */
    KL_NOTE_RESULT,   /* a board's attempt ended: done, failed or skipped */
    KL_NOTE_LOG,      /* one line from board or loader, masked: text */
    KL_NOTE_POWER,    /* the slot's socket is to be switched off and on: text */
    KL_NOTE_COMMAND,  /* what an operator did: command, text; from the shell */
    KL_NOTE_STATION,  /* about the bench, not one slot: text (hub trouble, few keys, paused) */
};

struct kl_attempt { /* one line of the ledger's history and of the event `result` */
    struct kl_mac mac;
    struct kl_eui64 eui64;
    enum kl_chip_id chip;
    uint16_t revision;
    uint32_t flash_id, flash_size;
    char label[KL_LABEL_MAX + 1];
    char port[KL_PORT_MAX];
    char slot[KL_NAME_MAX];
    kl_us started, ended; /* core time */
    int64_t wall_started, wall_ended;
    enum kl_state result; /* DONE, FAILED, SKIPPED */
    enum kl_reason reason;
    char detail[KL_TEXT_MAX];
    uint16_t chip_error;
    unsigned tries; /* 1 = at once */
    uint32_t baud;
    bool already;           /* the board already held its key before this attempt */
    bool acknowledged_only; /* --confirm ack */
    struct kl_exam_score exam;
    kl_us took[KL_ST_COUNT]; /* time spent in each state */
};

/* Something worth telling to the event stream, log files, the dashboard. */
struct kl_note {
    enum kl_note_kind kind;
    unsigned slot; /* KL_BENCH: about the bench */
    enum kl_state state, before;
    const struct kl_fault *fault;              /* NULL = none */
    const struct kl_identity *identity;        /* NULL: about the bench */
    const struct kl_loader_progress *progress; /* PROGRESS */
    const struct kl_attempt *attempt;          /* RESULT */
    const struct kl_command *command;          /* COMMAND */
    const char *what;                          /* KEY: reserved|sending|acknowledged|recorded|… */
    const char *label;                         /* "" = none */
    const char *text;                          /* "" = none */
};

/* ---- what it looks like ---- */

struct kl_slot_view {
    char name[KL_NAME_MAX], port[KL_PORT_MAX];
    bool network, plugged;
    enum kl_state state;
    kl_us since;           /* when the state was entered */
    kl_us retry_at;        /* FAILED: when the next automatic try is due; KL_NEVER */
    struct kl_fault fault; /* FAILED, or why it waits */
    struct kl_identity identity;
    struct kl_loader_progress progress;
    uint32_t bytes_per_second; /* raw, smoothed */
    kl_us left;                /* flashing: estimate, KL_NEVER = unknown */
    unsigned tries;
    char label[KL_LABEL_MAX + 1]; /* once reserved */
    bool already;
    unsigned exam_came, exam_due;        /* texts of its functional test; due 0: none */
    unsigned boards_done, boards_failed; /* in this slot, this run */
};

/* How the station stands with a pool that several stations share; the shell fills it in. */
struct kl_fleet_view {
    bool there;  /* the keys come from such a pool */
    bool online; /* its database answers */
    bool gives;  /* keys come when they are needed */
    bool barred; /* for good: what this station has reserved may be another's by now */
    char name[KL_NAME_MAX], station[KL_NAME_MAX]; /* the pool's, and what it calls this station */
    int64_t left;                                 /* free keys in the pool; -1 = not known */
    int64_t to_come; /* keys that its owner allows this station, or on their way; -1 = not known */
    bool few;        /* no more than --warn-keys are left: here, and to come */
    int64_t unsent;  /* results that it has not heard yet */
    uint32_t unchecked; /* boards that got a key while it was silent, not checked yet */
    uint32_t alarms;    /* open ones: a person has to look */
    char trouble[KL_TEXT_MAX], alarm[KL_TEXT_MAX]; /* "" = none */
};

struct kl_snapshot {
    uint64_t version; /* changes whenever anything else does */
    kl_us at;
    unsigned slot_count;
    struct kl_slot_view slot[KL_SLOTS_MAX];
    struct kl_pool_counts keys;
    uint32_t done, failed, skipped, first_pass; /* boards, this run */
    uint32_t boards_per_hour;                   /* over the last hour or since start */
    kl_us median_board;                         /* connecting … done; 0 = none yet */
    kl_us keys_empty_in;                        /* at this pace; KL_NEVER = unknown */
    bool paused, stopping, few_keys, store_trouble;
    char warning[KL_TEXT_MAX]; /* hub or supply trouble, store trouble, …; "" = none */
    struct kl_fleet_view fleet;
    char kept_back[KL_TEXT_MAX]; /* which rows no board gets, and why; "" = none */
    char question[12]; /* names what the store asks a person before a key leaves; "" = nothing … */
    char asks[KL_TEXT_MAX]; /* … and says it. Both are the shell's */
    bool forgets; /* a demonstration: the keys lie on storage that forgets. The shell sets it */
    uint64_t in_doubt_version; /* changes when kl_station_in_doubt may give another list */
};

/* A key that we may have sent to a board that is not here: a person may have to look for it. */
struct kl_in_doubt {
    struct kl_fingerprint fingerprint;
    char label[KL_LABEL_MAX + 1];
    struct kl_mac mac;
};

/* ---- the station ---- */

struct kl_station_config {
    const struct kl_bundle *bundle; /* NULL: provision only, flash nothing */
    const struct kl_stubs *stubs;   /* NULL: ROM loader */
    enum kl_chip_id chip;           /* --chip: refuse others; NONE = the bundle's */
    uint32_t baud_max;
    enum kl_confirm confirm;
    struct kl_words words;      /* match may be NULL if there are no patterns */
    const struct kl_exam *exam; /* the product's functional test; NULL = none */
    kl_us prompt_timeout, ack_timeout, settle;
    int retries;           /* -1: the table's */
    bool once;             /* handle every slot once, then KL_AC_REST */
    uint32_t count;        /* boards to finish, then KL_AC_REST; 0 = go on */
    unsigned max_flashing; /* 0 = all */
    uint32_t warn_keys;    /* 0 = never */
    bool pooled;           /* the keys come from a shared pool: nobody adds rows */
    bool fixture;
    bool secured_handover; /* a board that has locked itself since this bundle was flashed gets its
                              key without being flashed again */
    const struct kl_nvs_delivery
        *nvs;   /* keys are written there; NULL: by handover. Needs a bundle */
    bool power; /* somebody listens to KL_NOTE_POWER: a silent board's socket can be switched */
    kl_sha256_fn *sha256;
};

struct kl_station; /* large: allocate kl_station_size() bytes */
size_t kl_station_size(void);
void kl_station_init(struct kl_station *st, const struct kl_station_config *config, kl_us now);
void kl_station_feed(struct kl_station *st, const struct kl_event *ev);
/* The next action; false: none. */
bool kl_station_next(struct kl_station *st, struct kl_action *out);
/* The next note; false: none. Notes come in the order of what happened. After each feed the caller
   pulls all notes before it does the actions, so that a result is told before the program may
   end. */
bool kl_station_note(struct kl_station *st, struct kl_note *out);
kl_us kl_station_deadline(const struct kl_station *st);
void kl_station_look(const struct kl_station *st, struct kl_snapshot *out);
const struct kl_pool *kl_station_pool(const struct kl_station *st);
/* The first `capacity` keys in doubt; returns how many were written. */
unsigned kl_station_in_doubt(const struct kl_station *st, struct kl_in_doubt *out,
                             unsigned capacity);
/* Why KL_CMD_RELEASE would do nothing; NULL = it would not. */
const char *kl_station_unreleasable(const struct kl_station *st, const struct kl_fingerprint *fp);
/* Why KL_CMD_BIND would do nothing; NULL = it would not. */
const char *kl_station_unbindable(const struct kl_station *st, unsigned slot, const char *label);
void kl_station_finish(struct kl_station *st); /* wipes secrets; before the pool memory goes */

#endif
