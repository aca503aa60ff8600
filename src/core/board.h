/*
 * board.h: one place of the bench and the board in it, composed of rooms:
 *
 *   port.h       the port and the link through it
 *   console.h    all that the board says, and what of it may be seen
 *   attempt.h    tries, retries, results
 *   custody.h    the hold on its key
 *   delivery.h   how the key gets in
 *   presence.h   needle beds: is somebody there?
 *   exam_watch.h  what its log says of its functional test
 *   keyline/loader.h  the conversation with the chip's loader
 *
 * A room never calls out: the board tells it what happened, and it answers with a verdict. The
 * files board*.c turn verdicts into the life of a board; only they and station*.c speak to the
 * pool, to the queues and about other boards:
 *
 *   board.c           the table of states, beginning a try, what is due
 *   board_port.c      the port opens, closes, goes away
 *   board_flash.c     the loader's part, from connecting to the start of the program
 *   board_key.c       from the board's first word to done: everything that touches a key
 *   board_nvs.c       the same, where the key is written into its NVS instead
 *   board_store.c     what the store answers about a key
 *   board_exam.c      the functional test, between its key and done
 *   board_end.c       a try ends: done, failed, skipped, stopped; and is tried again
 *   board_presence.c  boards that come and go at a needle bed
 */
#ifndef CORE_BOARD_H
#define CORE_BOARD_H

#include "attempt.h"
#include "console.h"
#include "custody.h"
#include "delivery.h"
#include "exam_watch.h"
#include "loader_state.h"
#include "nvs_judge.h"
#include "port.h"
#include "presence.h"

/* Who hears the bytes of the open link, and may send some. */
enum kl_talker {
    KL_TALK_NONE,
    KL_TALK_LOADER,
    KL_TALK_PRESENCE, /* the loader again, for a needle bed */
    KL_TALK_DELIVERY,
};

/* Where within its state a board is; entering a state makes it FRESH. */
enum kl_stage {
    KL_STAGE_FRESH,
    KL_STAGE_SETTLED, /* SETTLING: the contacts are still; the board waits for its turn */
    KL_STAGE_SECURED, /* IDENTIFYING: locked, so not flashed; the board waits for its own key */
    KL_STAGE_SECURED_HERE, /* IDENTIFYING: its key is here; the board must prove that it is still
                              there */
    KL_STAGE_VERIFY_AGAIN, /* VERIFYING: the board waited for its key; it must prove that it is
                              still there */
    KL_STAGE_LEFT, /* RECORDING: unplugged already; the board leaves once its key is recorded */
};

/* Which starts of the program we have heard since our reset. */
enum kl_banner {
    KL_BANNER_UNSEEN,
    KL_BANNER_SEEN,  /* the one that our own reset causes */
    KL_BANNER_AGAIN, /* a second one, or a late one: perhaps another board's */
};

/* --deliver nvs: what the loader is doing about the key. */
enum kl_nvs_phase {
    KL_NVS_RESTS,
    KL_NVS_READS,
    KL_NVS_LOOKS, /* reads again, now that the key is reserved for the board */
    KL_NVS_WRITES,
    KL_NVS_VERIFIES,
    KL_NVS_PROVES,
    KL_NVS_STARTS,
};

struct kl_place {
    unsigned index;
    char name[KL_NAME_MAX];
    bool exists;   /* a network port may be removed */
    bool had_turn; /* --once */

    /* what we learned about the place, kept from board to board */
    struct kl_loader_memory memory; /* of the loaders of the boards here */
    uint32_t baud_limit;            /* fastest rate that is still trusted here */
    unsigned done, failed;
    kl_us failed_at;  /* when the last board here failed; 0 = it did not */
    kl_us powered_at; /* when its socket was last switched; 0 = not since a board was done here */
};

/* How fast it is flashed. */
struct kl_pace {
    kl_us told_at;
    kl_us measured_at;
    uint64_t done; /* raw bytes, then */
    uint32_t bytes_per_second;
};

struct kl_board {
    struct kl_place place;
    struct kl_port port;

    enum kl_state state;
    enum kl_stage stage;
    kl_us since, deadline;
    struct kl_fault fault; /* why it failed, or why it waits */
    struct kl_identity identity;

    enum kl_talker talker;
    kl_us heard_at; /* the last byte from the board */
    struct {
        kl_us since; /* when we began to listen */
        kl_us asked_at;
        enum kl_banner banner;
    } program;

    struct kl_attempts attempts;
    struct kl_custody custody;
    struct kl_presence presence;
    struct kl_pace pace;
    struct kl_watch watch;

    struct kl_console console;
    struct kl_loader loader;
    struct kl_delivery delivery;
    enum kl_nvs_phase nvs_phase;
    bool nvs_keeps; /* keep what the partition holds beside the key */
};

struct kl_station;

/* board.c */
/* `config` outlives it. */
void kl_board_init(struct kl_board *b, unsigned index, const char *name, bool network,
                   const struct kl_station_config *config);
/* The one place where a board changes its state. */
void kl_board_enter(struct kl_station *st, struct kl_board *b, enum kl_state state);
bool kl_state_is_live(enum kl_state state); /* CONNECTING … TESTING */
bool kl_board_rests(const struct kl_board *b);
/* Waits for its turn, with still contacts. */
bool kl_board_is_settled(const struct kl_board *b);
void kl_board_talk(struct kl_board *b, enum kl_talker talker);
void kl_board_plugged(struct kl_station *st, struct kl_board *b);
/* The board's turn, as soon as there is one. */
void kl_board_try_start(struct kl_station *st, struct kl_board *b);
/* Begins a try on the open link; `reset_done`: the board is in its loader already. */
void kl_board_begin(struct kl_station *st, struct kl_board *b, bool reset_done);
/* Another board may have come: start from the beginning, without counting a failure. */
void kl_board_identify_again(struct kl_station *st, struct kl_board *b, const char *why);
/* Forgets the board that was here. */
void kl_board_forget(struct kl_station *st, struct kl_board *b);
void kl_board_tell_console(struct kl_station *st, struct kl_board *b);
void kl_board_rx(struct kl_station *st, struct kl_board *b, const uint8_t *data, size_t size);
void kl_board_io_done(struct kl_station *st, struct kl_board *b, uint32_t request, bool ok);
void kl_board_tick(struct kl_station *st, struct kl_board *b); /* everything that is due */
kl_us kl_board_deadline(const struct kl_board *b);

/* board_end.c */
void kl_board_finish_attempt(struct kl_station *st, struct kl_board *b, enum kl_state result);
void kl_board_fail(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                   const char *detail);
void kl_board_fail_with(struct kl_station *st, struct kl_board *b, const struct kl_fault *fault);
/* … and no automatic try follows, whatever the reason's policy says. */
void kl_board_give_up(struct kl_station *st, struct kl_board *b, enum kl_reason reason,
                      const char *detail);
void kl_board_tell_failure(struct kl_station *st, struct kl_board *b);
/* Was this place's socket switched off and on within that time? */
enum {
    KL_POWER_CYCLE = 15 * 1000 * 1000 /* microseconds: until the board is tried again */
};
bool kl_board_was_switched(const struct kl_board *b, kl_us now, kl_us within);
void kl_board_done(struct kl_station *st, struct kl_board *b);
void kl_board_skip(struct kl_station *st, struct kl_board *b);
void kl_board_retry(struct kl_station *st, struct kl_board *b, enum kl_flashing flashing);
void kl_board_park(struct kl_station *st, struct kl_board *b);

/* board_port.c */
void kl_board_open_port(struct kl_station *st, struct kl_board *b);
void kl_board_close_port(struct kl_station *st, struct kl_board *b);
void kl_board_watch_port(struct kl_station *st, struct kl_board *b); /* it rests, perhaps closed */
void kl_board_port_opened(struct kl_station *st, struct kl_board *b, const struct kl_event *ev);
void kl_board_port_free(struct kl_station *st, struct kl_board *b);
void kl_board_port_closed(struct kl_station *st, struct kl_board *b);
void kl_board_link_lost(struct kl_station *st, struct kl_board *b, const char *why);
void kl_board_unplugged(struct kl_station *st, struct kl_board *b);
void kl_board_gone(struct kl_station *st, struct kl_board *b, const char *why);
void kl_board_port_tick(struct kl_station *st, struct kl_board *b);

/* board_flash.c */
void kl_board_connect(struct kl_station *st, struct kl_board *b, bool reset_done);
void kl_board_loader_step(struct kl_station *st, struct kl_board *b); /* it may have moved on */

/* board_key.c */
void kl_board_recognise(struct kl_station *st, struct kl_board *b); /* after identification */
void kl_board_listen(struct kl_station *st, struct kl_board *b);    /* the delivery takes over */
void kl_board_delivery_step(struct kl_station *st, struct kl_board *b);
void kl_board_ask_pool(struct kl_station *st, struct kl_board *b);
void kl_board_ask_pool_again(struct kl_station *st, struct kl_board *b);
/* RESERVING, with the key's bytes here. */
void kl_board_send(struct kl_station *st, struct kl_board *b);
void kl_board_send_if_wanted(struct kl_station *st, struct kl_board *b);
/* The board holds this key, whether or not the pool knows it, and got none in this try. */
void kl_board_settle(struct kl_station *st, struct kl_board *b, const struct kl_fingerprint *fp,
                     const char *label);
void kl_board_proved(struct kl_station *st, struct kl_board *b, enum kl_proof proof);
void kl_board_record(struct kl_station *st, struct kl_board *b);
/* Reserves the key with this label for this board and no other, if the pool allows it. */
void kl_board_bind(struct kl_station *st, struct kl_board *b, const char *label);
void kl_board_give_back_unsent(struct kl_station *st, struct kl_board *b, const char *reason);
void kl_board_forget_key(struct kl_station *st, struct kl_board *b);

/* board_nvs.c */
void kl_board_nvs_begin(struct kl_station *st, struct kl_board *b); /* the images are verified */
void kl_board_nvs_read_again(struct kl_station *st, struct kl_board *b);
/* False: the key can't be written; the board has failed. */
bool kl_board_nvs_prepare(struct kl_station *st, struct kl_board *b, const struct kl_key *key);
/* The key is durably reserved. Asks whether the board is still there; if so, the key is sent. */
void kl_board_nvs_look(struct kl_station *st, struct kl_board *b);
void kl_board_nvs_send(struct kl_station *st, struct kl_board *b);
bool kl_board_nvs_starts(struct kl_station *st, struct kl_board *b);
/* The loader has finished a task, or rests. False: the delivery had not started the task. */
bool kl_board_nvs_step(struct kl_station *st, struct kl_board *b);
void kl_board_nvs_forget(struct kl_station *st, struct kl_board *b);
/* --confirm readback: the program must print what it reads in its NVS. */
bool kl_board_nvs_prints(const struct kl_station *st);
/* What it must print, as a key; a count of 0: the bytes are not here. */
const struct kl_key *kl_board_nvs_printed(struct kl_station *st, struct kl_board *b);
void kl_board_nvs_news(struct kl_station *st, struct kl_board *b,
                       const struct kl_delivery_news *news);

/* board_store.c */
void kl_board_stored(struct kl_station *st, const struct kl_event *ev);
void kl_board_ask_store_again(struct kl_station *st, struct kl_board *b);
void kl_board_drop_lost_keys(struct kl_station *st);     /* after a key may have been freed */
void kl_board_stop_sending_spent(struct kl_station *st); /* after a key may have been spent */

/* board_exam.c */
/* The board has its key and that is recorded. True: its test begins now, or has failed. */
bool kl_board_exam_begins(struct kl_station *st, struct kl_board *b);
/* Its log or the time went on. */
void kl_board_exam_step(struct kl_station *st, struct kl_board *b);
/* … of a try that ends in this state. */
struct kl_exam_score kl_board_exam_score(const struct kl_board *b, enum kl_state ends);

/* board_presence.c */
bool kl_presence_watches(const struct kl_station *st, const struct kl_board *b);
void kl_board_presence_step(struct kl_station *st, struct kl_board *b); /* the loader moved on */
void kl_board_presence_tick(struct kl_station *st, struct kl_board *b);

#endif
