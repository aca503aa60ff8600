/*
 * input.h: turns what a terminal sends into whole keys. The caller hands in bytes and times: no
 * terminal, no clock.
 *
 * Escape sequences are read whole, also when they come in pieces; unknown ones are dropped. A key
 * that could change something waits KL_INPUT_HOLD: if more than KL_INPUT_BURST keys come within
 * that time, no hands typed them, and together they are one paste.
 */
#ifndef KEYLINE_INPUT_H
#define KEYLINE_INPUT_H

#include "keyline/base.h"

/* Keys: characters as themselves (Unicode), the others as below. */
enum kl_key_code {
    KL_KEYCODE_UP = 0x110000,
    KL_KEYCODE_DOWN,
    KL_KEYCODE_LEFT,
    KL_KEYCODE_RIGHT,
    KL_KEYCODE_PAGE_UP,
    KL_KEYCODE_PAGE_DOWN,
    KL_KEYCODE_HOME,
    KL_KEYCODE_END,
    KL_KEYCODE_ENTER,
    KL_KEYCODE_ESCAPE,
    KL_KEYCODE_BACKSPACE,
    KL_KEYCODE_TAB,
    KL_KEYCODE_BACK_TAB,
    KL_KEYCODE_F1,
    KL_KEYCODE_F3,
    KL_KEYCODE_F10,
    KL_KEYCODE_REDRAW,    /* Ctrl-L */
    KL_KEYCODE_INTERRUPT, /* Ctrl-C, Ctrl-\ */
};

#define KL_INPUT_HOLD KL_MS(100)

enum {
    KL_INPUT_BURST = 12,
    KL_INPUT_TEXT = 160, /* of a paste, NUL included: no field takes more */
    KL_INPUT_PARAMETERS = 32,
};

enum kl_input_kind {
    KL_INPUT_KEY,
    KL_INPUT_PASTE, /* bracketed by the terminal, or faster than hands type */
    KL_INPUT_CLICK, /* the left button, at row and col */
    KL_INPUT_WHEEL_UP,
    KL_INPUT_WHEEL_DOWN,
};

struct kl_input_event {
    enum kl_input_kind kind;
    int key;                  /* KEY */
    kl_us at;                 /* when it came */
    int row, col;             /* CLICK, WHEEL: from 0 */
    char text[KL_INPUT_TEXT]; /* PASTE: its printable ASCII, cut; "" if there is none */
    unsigned line_ends;       /* PASTE: line ends in it */
    bool ends_line;           /* PASTE: its last byte ended a line */
    bool whole;               /* PASTE: `text` holds all of it but line ends */
    bool bracketed;           /* PASTE: the terminal says so */
};

enum kl_input_state {
    KL_IN_GROUND,
    KL_IN_ESCAPE,   /* ESC; alone it is the key */
    KL_IN_CSI,      /* ESC [ */
    KL_IN_SS3,      /* ESC O */
    KL_IN_STRING,   /* ESC ] and its like, to BEL or ESC \ */
    KL_IN_LINUX_FN, /* ESC [ [ */
    KL_IN_X10,      /* ESC [ M: three bytes follow */
};

struct kl_input_queue {
    struct kl_input_event item[32];
    unsigned head, count;
};

/* The caller zeroes it at the start. The members are input.c's own. */
struct kl_input {
    struct {
        enum kl_input_state state;
        char parameters[KL_INPUT_PARAMETERS];
        unsigned parameter_count, x10_count;
        uint8_t x10[3];
        bool drop;          /* the sequence's ESC was taken for the key already */
        uint32_t character; /* the part that has come of a UTF-8 character */
        unsigned more;
        kl_us since;      /* when the last byte came */
        kl_us escaped_at; /* when an ESC alone was taken for the key; 0 = never */
    } decoder;
    struct kl_input_event paste; /* what has come of a paste */
    bool in_brackets, in_burst;
    kl_us recent[KL_INPUT_BURST]; /* when the last keys came */
    unsigned recent_head;
    struct kl_input_queue queue;
};

void kl_input_bytes(struct kl_input *in, const uint8_t *data, size_t size, kl_us now);
/* Takes the next event that is due. `at_once` says whether a key can't change anything. */
bool kl_input_next(struct kl_input *in, kl_us now, bool (*at_once)(void *ctx, int key), void *ctx,
                   struct kl_input_event *out);
/* When to call kl_input_next again even if no byte comes; KL_NEVER = nothing waits. */
kl_us kl_input_deadline(const struct kl_input *in);
/* Throws away the events that wait: a question has opened, and they are no answer to it. */
void kl_input_forget(struct kl_input *in);

#endif
