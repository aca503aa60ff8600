/*
 * station_state.h: the inside of struct kl_station, shared by station*.c and board*.c only.
 *
 *   station.c        what comes in: events, commands, slots; the station's four verbs
 *   station_queue.c  what goes out: actions and notes
 *   station_rules.c  what concerns more than one board: turns, figures, the end
 *   station_view.c   the snapshot
 *   board*.c         one board's life (board.h)
 */
#ifndef CORE_STATION_STATE_H
#define CORE_STATION_STATE_H

#include "board.h"

enum {
    ACTIONS_MAX = 8 * KL_SLOTS_MAX, /* waiting to be pulled: no event makes a board ask for more */
    NOTES_MAX = 8 * KL_SLOTS_MAX,
    NOTES_SPARE = 2 * KL_SLOTS_MAX, /* notes that log lines and progress leave free */
    RECENT_MAX = 512,               /* how many finished boards the figures look back at */
};

struct kl_actions {
    struct kl_action item[ACTIONS_MAX];
    unsigned head, count;
    unsigned rotor;                /* the board whose link is next to be asked */
    uint32_t request;              /* the last id of a request to the store about no board */
    char release_why[KL_TEXT_MAX]; /* an operator's reason, until it is pulled */
};

/* A note, and what its pointers lead to. */
struct kl_noted {
    struct kl_note note;
    struct kl_fault fault;
    struct kl_identity identity;
    struct kl_loader_progress progress;
    char label[KL_LABEL_MAX + 1], text[KL_TEXT_MAX];
};

struct kl_notes {
    struct kl_noted item[NOTES_MAX];
    unsigned head, count;
};

struct finished_board {
    kl_us at, took;
    bool done;
};

struct kl_figures {
    uint32_t done, failed, skipped;
    uint32_t first_pass;  /* done at the first try */
    uint32_t without_key; /* --once: failed because no key was free */
    struct finished_board recent[RECENT_MAX];
    unsigned recent_count, recent_head;
    kl_us median; /* of the done ones among them; 0 = none yet */
};

enum {
    KL_FLASHED_MAX = 1024
};

struct kl_station {
    struct kl_station_config config;
    struct kl_bundle erase_bundle;         /* the same images with erase_all */
    struct kl_mac flashed[KL_FLASHED_MAX]; /* boards of this run, the newest over the oldest */
    unsigned flashed_count;
    struct kl_bundle keyed_bundle; /* the part of the images that a board with a key gets */
    kl_us now, began;
    int64_t wall;
    uint64_t version;

    struct kl_pool pool;
    bool have_keys;              /* the CSV was read: boards may start */
    bool keys_come;              /* more come by themselves, from a shared pool */
    unsigned fields;             /* of its keys */
    char kept_back[KL_TEXT_MAX]; /* which of its rows no board gets; "" = none */

    struct kl_board board[KL_SLOTS_MAX];
    unsigned board_count;

    struct kl_actions actions;
    struct kl_notes notes;

    struct {
        unsigned pending; /* answers outstanding */
        bool trouble;     /* the store's last answer told of trouble */
    } store;

    struct {
        bool paused;   /* nothing new is started */
        bool stopping; /* boards end where they may */
        bool rested;   /* KL_AC_REST was asked for */
        bool few_told; /* the operator was told that few keys are left */
    } mode;

    struct kl_figures figures;
    struct {
        char text[KL_TEXT_MAX];
        kl_us until;
    } warning;
};

/* station.c */
/* Keys may have become free: boards that wait for one ask again. */
void kl_station_serve_waiting(struct kl_station *st);

/* station_queue.c */
struct kl_action *kl_ask(struct kl_station *st, const struct kl_board *b, enum kl_action_kind kind);
/* `b` = NULL: an operator releases a key whose board is not here. `reason` is a string that stays,
   or an operator's, which is copied. */
void kl_ask_store(struct kl_station *st, struct kl_board *b, enum kl_store_op op, uint32_t key,
                  const char *reason);
/* `b` = NULL: about the bench. NULL if a log line or progress found no room: then it is not
   told. */
struct kl_noted *kl_tell(struct kl_station *st, const struct kl_board *b, enum kl_note_kind kind);
void kl_tell_text(struct kl_station *st, const struct kl_board *b, enum kl_note_kind kind,
                  const char *text);
void kl_tell_key(struct kl_station *st, const struct kl_board *b, const char *what,
                 const char *text);

/* station_rules.c */
/* May this board begin (or try again) now? */
bool kl_may_start(const struct kl_station *st, const struct kl_board *b);
/* A board's turn is over; b->attempts.ended tells how. */
void kl_board_finished(struct kl_station *st, struct kl_board *b, enum kl_state result);
void kl_look_for_common_cause(struct kl_station *st);
void kl_check_keys_left(struct kl_station *st);
void kl_station_stop(struct kl_station *st);
void kl_rest_if_all_done(struct kl_station *st);

#endif
