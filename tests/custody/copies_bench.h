/*
 * copies_bench.h: a bench in a process of its own, over a real store: it can be killed, and whoever
 * copies its files meanwhile finds the signs of a living station in them.
 */
#ifndef KEYLINE_TESTS_COPIES_BENCH_H
#define KEYLINE_TESTS_COPIES_BENCH_H

#include <sys/types.h>

#include "keyline/store.h"

enum {
    FAR_ROWS = 64,
};

struct far_bench {
    pid_t pid; /* 0 = none */
    int fd;
};

enum far_op {
    FAR_GIVE,      /* the board asks for a key, as the pool would answer it */
    FAR_TRY,       /* any row is reserved, whatever it is: the store has to refuse */
    FAR_PROVISION, /* the board has proved its key */
    FAR_RELEASE,   /* its key is given back, or a person releases it */
    FAR_STORE,     /* what a station asks for: `action` */
    FAR_LOOK,      /* the store looks for what others changed */
    FAR_CLOSE,
};

struct far_ask {
    enum far_op op;
    unsigned board, hint;
    unsigned own; /* GIVE: 1 + number of the key that the board had before; 0 = none */
    struct kl_action action;
    char label[KL_LINE_MAX + 1], reason[KL_TEXT_MAX];
    struct kl_attempt attempt;
    kl_us at; /* the store's clock */
};

struct far_reply {
    enum kl_store_open_result result; /* of the start */
    enum kl_doubt doubt;
    enum kl_store_status status;
    bool has_key;
    struct kl_key key;
    bool news; /* STORE, LOOK: far_content() shows something else than before */
    char text[KL_TEXT_MAX];
};

/* What the store of the bench that started last shows. */
struct far_content {
    unsigned row_count, ledger_count, fields;
    struct kl_pool_row row[FAR_ROWS];
    struct kl_ledger_row ledger[FAR_ROWS];
    char row_label[FAR_ROWS][KL_LINE_MAX + 1], ledger_label[FAR_ROWS][KL_LINE_MAX + 1];
};
const struct far_content *far_content(void);

/* The clock of all stores; they never wait for it. It goes on by itself, too, a little with each
   request. */
extern kl_us far_now;

/* What is wrong with the content of a store that has just opened; NULL = nothing. */
typedef const char *far_check_fn(const struct kl_store_content *c);

/* Where a bench is, and whose. */
struct far_seat {
    const char *mounts; /* it sees this folder or file … */
    const char *at;     /* … here, by a mount of its own; NULL: where it lies */
    bool overlay;       /* … and what it writes there goes into memory */
    unsigned machine;   /* 0: this one */
    unsigned uid;       /* 0: as the test runs */
};

/* Whether benches may have such seats here. */
bool far_can_mount(bool overlay);
bool far_can_change_user(unsigned uid);

/* Starts; if the store does not open, the process is gone again. */
void far_start(struct far_bench *b, const struct far_seat *seat, const char *csv,
               const char *journal, uint32_t answers, far_check_fn *check, struct far_reply *out);
/* Tries to start, and ends at once. Nobody says here that keys may be forgotten. */
void far_try(const struct far_seat *seat, const char *csv, const char *journal,
             struct far_reply *out);
void far_ask(struct far_bench *b, const struct far_ask *ask, struct far_reply *out);
void far_close(struct far_bench *b);
void far_kill(struct far_bench *b);

/* `keyline keys release` for the key that is reserved for this board; false and `text` if nothing
   was released. */
bool far_mend(const struct far_seat *seat, const char *csv, const char *journal, unsigned board,
              char text[KL_TEXT_MAX]);

/* The number of the key with this label. */
unsigned far_number(const char *label);

#endif
