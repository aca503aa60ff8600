/*
 * station_state.h: the inside of struct kl_station, shared by station*.c and board*.c only.
 *
 * Who does what:
 *   station.c       what comes in and goes out: events, actions, deadlines, commands, slots
 *   board.c         a board's life up to its start: the table of states, loader, failing
 *   board_port.c    its port: opening, closing, going away
 *   board_presence.c  presence and absence where the adapter stays
 *   board_key.c     a board's life from its first word to done: everything that touches a key
 *   station_view.c  the snapshot and the bench's figures
 */
#ifndef KEYLINE_STATION_STATE_H
#define KEYLINE_STATION_STATE_H

#include "keyline/station.h"
#include "port.h"

enum {
    QUEUE_SIZE = 512,  /* actions and notes waiting to be pulled */
    QUEUE_SPARE = 128, /* kept free of log lines and progress */
    RECENT_MAX = 512,  /* finished boards that the figures look back at */
    RESTARTS_MAX = 3,  /* identified again because another board may have come */
};

#define NO_KEY UINT32_MAX

/* Who hears the bytes of the open link. */
enum talker {
    TALK_NONE,
    TALK_LOADER,
    TALK_HANDOVER,
};

struct kl_board {
    /* the place */
    unsigned index;
    char name[KL_NAME_MAX];
    bool exists;
    struct kl_port port;

    /* what the place has taught us, kept from board to board */
    enum kl_reset_strategy strategy; /* that worked last */
    uint32_t baud_limit;             /* fastest rate that is still trusted here */
    unsigned done, failed;
    kl_us failed_at;
    bool finished_once; /* --once: had its turn */

    /* the board */
    enum kl_state state;
    kl_us since, deadline;
    struct kl_fault fault; /* why it failed, or why it waits */
    kl_us retry_at;        /* FAILED: by itself; KL_NEVER = a person decides */
    unsigned tries;        /* of this board, 1 = the first */
    unsigned retries_used[KL_FAULT_COUNT];
    unsigned restarts;     /* times it was identified again within this try */
    bool erase;            /* the next flashing erases everything first */
    struct kl_mac damaged; /* this board twice showed its own key damaged: it is to be erased */
    bool settled;          /* SETTLING: only waiting for its turn */
    bool verify_again;     /* VERIFYING: it waited; the board must prove that it is still there */
    kl_us heard_at;        /* last byte from the board */
    bool left;             /* RECORDING: unplugged already; leaves when recorded */
    enum talker talker;
    struct kl_identity identity;
    struct kl_mac seen;         /* who was last identified in this place */
    struct kl_attempt attempt;  /* being lived */
    struct kl_attempt finished; /* last one ended: what notes and store point to */
    bool attempt_open, attempt_unsaved;
    bool result_told; /* finished was a board's last try, and is in the figures */

    /* --fixture */
    bool probe_identifies;
    unsigned probe_misses;
    kl_us probe_at;

    /* its key */
    uint32_t key;
    uint32_t awaited; /* request whose answer brings its secret; 0 = none */
    bool have_secret, fetching, handed_over;
    struct kl_key secret;
    char label[KL_LABEL_MAX + 1];
    kl_us store_retry_at;
    kl_us listening_since, asked_at;
    bool banner_seen;  /* the one start that our own reset causes */
    bool banner_again; /* another one: the board is identified again before it is given a key */
    bool acknowledged_only;

    /* text of the loader, until its line is complete */
    char line[KL_TEXT_MAX];
    size_t line_size;

    /* figures */
    kl_us progress_noted;
    uint64_t rate_done;
    kl_us rate_at;
    uint32_t rate;

    struct kl_loader loader;
    struct kl_handover handover;
};

struct queued {
    struct kl_action action;
    char text[KL_TEXT_MAX], label[KL_LABEL_MAX + 1];
    struct kl_fault fault;
    struct kl_identity identity;
    struct kl_loader_progress progress;
};

struct finished_board {
    kl_us at, took;
    bool done;
};

struct kl_station {
    struct kl_station_config config;
    struct kl_bundle erase_bundle; /* the same images with erase_all */
    kl_us now, began;
    int64_t wall;
    struct kl_pool pool;
    bool have_keys;
    unsigned fields;
    struct kl_board board[KL_SLOTS_MAX];
    unsigned slot_count;

    struct queued queue[QUEUE_SIZE];
    unsigned head, queued;
    unsigned rotor; /* slot whose link is asked next */
    uint64_t notes_dropped, stale;

    unsigned store_pending; /* answers outstanding */

    bool paused, stopping, rest_said, few_said, store_trouble;
    uint32_t done, failed, skipped, first_pass, no_keys;
    struct finished_board recent[RECENT_MAX];
    unsigned recent_count, recent_head;
    kl_us median;
    char warning[KL_TEXT_MAX];
    kl_us warning_until;
    uint64_t version;
};

/* station.c */
struct queued *kl_queue_action(struct kl_station *st, const struct kl_board *b,
                               enum kl_action_kind kind);
/* NULL if a log line or progress found no room: then it is not told. */
struct queued *kl_queue_note(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind);
void kl_note_text(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind,
                  const char *text);
void kl_note_key(struct kl_station *st, struct kl_board *b, const char *what, const char *text);
void kl_station_warn(struct kl_station *st, const char *text);
void kl_ask_store(struct kl_station *st, struct kl_board *b, enum kl_store_op op, uint32_t key,
                  const char *reason);
/* May this slot begin (or try again) now? */
bool kl_may_start(const struct kl_station *st, const struct kl_board *b);
void kl_board_finished(struct kl_station *st, struct kl_board *b, enum kl_state result);
void kl_look_for_common_cause(struct kl_station *st);

/* board.c */
void kl_board_enter(struct kl_station *st, struct kl_board *b, enum kl_state state);
bool kl_state_is_live(enum kl_state state); /* CONNECTING … RECORDING */
void kl_board_fail(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                   const char *detail);
void kl_board_fail_with(struct kl_station *st, struct kl_board *b, const struct kl_fault *fault);
/* Another board may have come: start from the beginning, without counting a failure. */
void kl_board_identify_again(struct kl_station *st, struct kl_board *b, const char *why);
void kl_board_skip(struct kl_station *st, struct kl_board *b);
void kl_board_retry(struct kl_station *st, struct kl_board *b, bool erase);
void kl_board_park(struct kl_station *st, struct kl_board *b);
void kl_board_plugged(struct kl_station *st, struct kl_board *b);
/* A try, with the link open; `reset_done`: the board was reset into its loader already. */
void kl_board_begin(struct kl_station *st, struct kl_board *b, bool reset_done);
void kl_board_try_start(struct kl_station *st, struct kl_board *b);
void kl_board_rx(struct kl_station *st, struct kl_board *b, const uint8_t *data, size_t size);
void kl_board_io_done(struct kl_station *st, struct kl_board *b, uint32_t request, bool ok);
void kl_board_tick(struct kl_station *st, struct kl_board *b);
kl_us kl_board_deadline(const struct kl_board *b);
void kl_board_loader_step(struct kl_station *st, struct kl_board *b);
void kl_board_finish_attempt(struct kl_station *st, struct kl_board *b, enum kl_state result);
void kl_board_tell_failure(struct kl_station *st, struct kl_board *b);

/* board_port.c */
void kl_board_open_port(struct kl_station *st, struct kl_board *b);
void kl_board_watch_port(struct kl_station *st, struct kl_board *b); /* it rests, perhaps closed */
void kl_board_close_port(struct kl_station *st, struct kl_board *b);
void kl_board_port_opened(struct kl_station *st, struct kl_board *b, const struct kl_event *ev);
void kl_board_link_lost(struct kl_station *st, struct kl_board *b, const char *why);
void kl_board_port_closed(struct kl_station *st, struct kl_board *b);
void kl_board_port_tick(struct kl_station *st, struct kl_board *b);
void kl_board_unplugged(struct kl_station *st, struct kl_board *b);
void kl_board_gone(struct kl_station *st, struct kl_board *b, const char *why);

/* Only with --fixture: the link stays open. */
void kl_board_left_fixture(struct kl_station *st, struct kl_board *b, const char *why);

/* board_fixture.c */
bool kl_fixture_is_probing(const struct kl_board *b); /* the loader talks for the fixture */
bool kl_fixture_watches(const struct kl_station *st, const struct kl_board *b);
void kl_fixture_step(struct kl_station *st,
                     struct kl_board *b); /* the loader moved on while probing */
void kl_fixture_tick(struct kl_station *st, struct kl_board *b);

/* board_key.c */
void kl_board_forget_key(struct kl_station *st, struct kl_board *b);
void kl_board_drop_lost_keys(struct kl_station *st); /* after a key may have been freed */
void kl_board_recognise(struct kl_station *st, struct kl_board *b); /* after identification */
void kl_board_listen(struct kl_station *st,
                     struct kl_board *b); /* after the reset into the program */
void kl_board_handover_step(struct kl_station *st, struct kl_board *b);
void kl_board_ask_pool(struct kl_station *st, struct kl_board *b);
void kl_board_key_stored(struct kl_station *st, const struct kl_event *ev);
void kl_board_key_tick(struct kl_station *st, struct kl_board *b);
void kl_board_give_back_unsent(struct kl_station *st, struct kl_board *b, const char *reason);

#endif
