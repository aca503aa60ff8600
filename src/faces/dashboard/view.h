/*
 * view.h: the dashboard as a pure function: (model, view state, size) -> grid of cells, and
 * (view state, key) -> what the operator wants. No terminal, no clock, no socket.
 */
#ifndef KEYLINE_VIEW_H
#define KEYLINE_VIEW_H

#include "faces/stream/stats.h"
#include "grid.h"
#include "input.h"
#include "keyline/station.h"

/* The log of one slot, or of the station: newest last. */
struct kl_log {
    char **line; /* ring of `size` */
    unsigned size, head, count;
    uint64_t dropped; /* old lines that the ring has lost */
};

bool kl_log_init(struct kl_log *log, unsigned size);
void kl_log_add(struct kl_log *log, const char *text);
/* Line `i` from the oldest kept; NULL past the end. */
const char *kl_log_line(const struct kl_log *log, unsigned i);
void kl_log_finish(struct kl_log *log);

enum {
    KL_IN_DOUBT_MAX = 64
};

/* Everything the dashboard knows. */
struct kl_model {
    struct kl_snapshot snap;
    bool connected; /* to the station */
    char csv[KL_PORT_MAX], firmware[KL_NAME_MAX], project[32], version[32], chip[24];
    char station[KL_NAME_MAX];
    char digest[12]; /* of the images, its beginning */
    char since[24];  /* when the station began, for people */
    kl_us prompt_timeout, ack_timeout, expect_timeout;
    kl_us heard_at[KL_SLOTS_MAX]; /* when the slot's board last said something; 0 = never */
    bool build_stale;             /* the images on disk differ from those being flashed */
    struct kl_log log[KL_SLOTS_MAX], events, story;
    char clock[8], uptime[24]; /* for the wall */
    struct kl_in_doubt in_doubt[KL_IN_DOUBT_MAX];
    unsigned in_doubt_count;
    struct kl_stats_view stats;
};

enum kl_screen {
    KL_SCREEN_BENCH,
    KL_SCREEN_ZOOM, /* one slot's whole log */
    KL_SCREEN_EVENTS,
    KL_SCREEN_IN_DOUBT,
    KL_SCREEN_STORY, /* of a key in doubt */
    KL_SCREEN_STATS, /* slot by slot */
    KL_SCREEN_WALL,  /* large, for a screen that is read from afar */
    KL_SCREEN_HELP,
};

/* A question on top of everything. The operator answers with the text below and Enter; Esc
   cancels. */
enum kl_question {
    KL_ASK_NOTHING,
    KL_ASK_ERASE,       /* the slot's number */
    KL_ASK_SKIP,        /* the slot's number */
    KL_ASK_REMOVE_PORT, /* the slot's number */
    KL_ASK_QUIT,        /* nothing: leave; "stop": stop the station too */
    KL_ASK_SEARCH,
    KL_ASK_FILTER,
    KL_ASK_UNLOCK,
    KL_ASK_ADD_PORT,
    KL_ASK_RELEASE, /* the reason */
    KL_ASK_BIND,    /* a label, typed or scanned */
    KL_ASK_ACCEPT,  /* "yes": the list of keys is right */
};

enum kl_order {
    KL_ORDER_SLOT,
    KL_ORDER_NEED,  /* what needs a hand first */
    KL_ORDER_AGE,   /* longest in its state first */
    KL_ORDER_FAILS, /* most failed boards first */
    KL_ORDER_COUNT
};

/* An answer counts if it comes at least so long after its question stood on the screen. */
#define KL_ANSWER_AFTER KL_MS(300)
/* A word in the footer about a key that did nothing. */
#define KL_MESSAGE_FOR KL_SEC(2)

struct kl_asked {
    enum kl_question question;
    unsigned slot;
    struct kl_mac mac;                 /* of the board that the question is about */
    struct kl_fingerprint fingerprint; /* RELEASE: of the key */
    char id[12], text[KL_TEXT_MAX];    /* ACCEPT: what the station asks */
    kl_us stood_since;                 /* KL_NEVER: it was not drawn yet */
};

struct kl_view {
    kl_us now; /* the caller's clock; the caller sets it before each call */
    enum kl_screen screen;
    struct kl_asked asked;
    unsigned selected; /* slot index */
    bool compact;      /* one line per board, chosen by hand */
    enum kl_order order;
    unsigned chosen; /* of the keys in doubt */
    bool ascii, mono;
    bool console; /* only what the fonts of a Linux console have */
    bool read_only;
    bool locked;     /* only retry and skip */
    char phrase[64]; /* what unlocks; "" = nothing is ever locked */
    unsigned shift;  /* of a log: columns to the right */
    unsigned scroll; /* lines from the newest upwards; 0 = follow */
    char search[64], filter[64];
    char typed[192];
    char message[KL_TEXT_MAX]; /* in the footer until `message_until` */
    kl_us message_until;
    char number[4]; /* digits typed to jump */
};

void kl_view_draw(const struct kl_model *m, const struct kl_view *v, struct kl_grid *g);

enum kl_want_kind {
    KL_WANT_NOTHING,
    KL_WANT_COMMAND, /* `command`, of the station */
    KL_WANT_REDRAW,  /* the whole terminal */
    KL_WANT_STORY,   /* the history of the key in doubt `chosen`, into the model */
    KL_WANT_LEAVE,   /* end the dashboard, the station goes on */
};

struct kl_want {
    enum kl_want_kind kind;
    struct kl_command command;
};

/* Rows and columns are those of the terminal: paging and moving depend on them. */
struct kl_want kl_view_input(struct kl_view *v, const struct kl_model *m,
                             const struct kl_input_event *e, int rows, int cols);
/* True if the key can't change anything at the bench, so that it need not wait (input.h). */
bool kl_view_is_at_once(const struct kl_view *v, int key);
/* True if the key does something on the screen shown. */
bool kl_view_is_bound(const struct kl_view *v, int key);
/* The grid that was drawn is on the screen now; a question in it stands from now on. */
void kl_view_is_on_screen(struct kl_view *v);
/* True while a question is open whose answer changes the bench. Keys typed before it opened are no
   answer. */
bool kl_view_asks(const struct kl_view *v);
/* Shows a sentence in the footer, for a while. */
void kl_view_say(struct kl_view *v, kl_us how_long, const char *text);
/* After every new snapshot: keeps the selection on an existing slot. */
void kl_view_follow(struct kl_view *v, const struct kl_model *m);

/* One line per binding, as `?` shows it; NULL past the end. */
const char *kl_view_binding(unsigned i, const char **what);

#endif
