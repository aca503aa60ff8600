/*
 * program.h: what runs on a virtual board once it has booted, and what all programs share: output
 * by lines, storage, timers. app.c puts the faults of firmware between program and board.
 */
#ifndef KEYLINE_PROGRAM_H
#define KEYLINE_PROGRAM_H

#include "vboard_inside.h"

struct program {
    const char *name;
    void (*start)(struct kl_vboard *b);
    void (*rx)(struct kl_vboard *b, const uint8_t *data, size_t size);
    void (*tick)(struct kl_vboard *b);
    /* Stores fields as if the program had been provisioned with them. */
    void (*preload)(struct kl_vboard *b, const struct kl_span *fields, unsigned count);
    /* The stored fields joined by commas; "" if there are none. */
    void (*stored)(const struct kl_vboard *b, char out[KL_LINE_MAX + 1]);
};

extern const struct program program_keyline, program_digest, program_original, program_silent;
extern const struct program program_selftest, program_silent_selftest;
extern const struct program program_dialect; /* dialects.c: which one, the board's config says */
const char *dialect_name(unsigned i);        /* NULL past the last */

struct telling; /* dialects.c */

enum doom {
    DOOM_NONE,
    DOOM_RESTART,
    DOOM_PANIC,
    DOOM_BROWNOUT
};

struct app {
    const struct program *program;
    char out[1024]; /* the line being printed */
    size_t out_size;
    bool stored_now; /* the program stored something since it started */
    bool holding;    /* it said that it holds a key */
    bool is_value;   /* the line being printed is a field, read back */
    struct telling *telling;
    bool wrong_value, short_value, hide_values; /* drawn once per start */
    unsigned values, asked;
    unsigned spelt; /* spells.c, selftest.c: lines so far */
    enum {
        STORE_WELL,
        STORE_WRONG,
        STORE_SHORT, /* cuts the field after the next one */
        STORE_SHORT_NOW,
        STORE_NOTHING
    } storing;
    enum doom doom; /* app.c carries it out once the program returns */
    void *own;      /* the program's */
};

/* spells.c: with the fault "spells", prints the stored key once more in another way. */
void spells_soon(struct kl_vboard *b);
bool spells_tick(struct kl_vboard *b); /* false: the program gets the tick */

/* provisioned.c: starts the code of firmware/provisioning, with a way to print. */
void provisioned_start(struct kl_vboard *b,
                       void (*print)(void *ctx, const char *text, size_t size));

/* What programs call. */
void program_print(struct kl_vboard *b, const char *text, size_t size);
void program_after(struct kl_vboard *b, kl_us delay); /* tick is due then */
void program_store_begin(struct kl_vboard *b);
bool program_put(struct kl_vboard *b, const char *key, const void *value, size_t size, bool field);
void program_store_end(struct kl_vboard *b);
void program_restart(struct kl_vboard *b);
void program_crash(struct kl_vboard *b);

#endif
