/*
 * console.h: everything that a board says, put together into lines once, from the first byte to the
 * last: boot text, log, read-back. Loader and handover feed it the bytes they hear and get lines.
 *
 * It is the only way for a board's text to the outside (tests/lint/lint.sh proves that): to the log
 * by kl_console_next(), into a fault by kl_console_detail() and
 * those after it. What leaves is
 * shown only where it cannot be a part of a key:
 *
 *   - known lines (harmless.h), at any time;
 *   - the ROM's and the bootloader's lines, from a start-up banner to the program's first line;
 *   - any line, for two seconds from each prompt: a board that asks holds no key.
 *
 * All else is hidden, whatever its fields are called. What is shown is masked all the same
 * (mask.h).
 *
 * A struct kl_console holds secrets: it lives in secret memory, and kl_console_finish() wipes it.
 */
#ifndef KEYLINE_CONSOLE_H
#define KEYLINE_CONSOLE_H

#include "bootlog.h"
#include "exam_watch.h"
#include "keyline/key.h"
#include "said.h"

enum {
    KL_CONSOLE_LINE_MAX = 512, /* bytes of a line that are looked at; the rest is dropped */
    KL_CONSOLE_TOLD = 12,      /* lines that wait to be told; then the oldest goes */
};

/* What the board may be talking of. */
enum kl_console_state {
    KL_CONSOLE_UNSURE, /* perhaps its key: only known lines are shown */
    KL_CONSOLE_STARTS, /* it has started, and no program has spoken yet */
    KL_CONSOLE_ASKS,   /* it asked just now: it holds no key */
};

/* A line as it is being heard. */
struct kl_console_heard {
    char text[KL_CONSOLE_LINE_MAX];
    size_t size;
    bool overlong;
    bool whole; /* the line was handed out: the next byte begins another one */
};

/* What firmware said that nearly speaks the protocol. The operator sees it when the try fails. */
struct kl_console_almost {
    struct kl_said_frame frame; /* of the last loose prompt … */
    kl_us at;                   /* … and when it came; KL_NEVER = none */
    bool awaits_answer;         /* our line has left */
    char prompt[KL_TEXT_MAX];   /* a line that looks like a prompt and is none */
    char answer[KL_TEXT_MAX];   /* the program's last own line after ours */
    char refusal[KL_TEXT_MAX];  /* the last "Error: …" */
};

struct kl_console {
    const struct kl_key *key;     /* custody's, or NULL; a count of 0 means: none at present */
    const struct kl_words *words; /* the operator's, or NULL */
    struct kl_watch *watch;       /* sees every line; or NULL */
    struct kl_said_frame frame;   /* what stood before the last "Provisioned" */
    struct kl_console_almost almost;
    enum kl_console_state state;
    kl_us asked_at; /* ASKS */
    struct kl_bootlog boot;
    struct kl_console_heard heard;
    bool hides; /* the last line told was all hidden: a second such line is not told */
    unsigned told_first, told_count;
    char told[KL_CONSOLE_TOLD][KL_TEXT_MAX];
    char detail[KL_TEXT_MAX]; /* the line that named boot.reason */
};

/* `key` is where custody keeps the key of the board at hand, for as long as the console lives.
   `words` may be NULL. */
void kl_console_init(struct kl_console *c, const struct kl_key *key, const struct kl_words *words);
void kl_console_finish(struct kl_console *c);
/* From now on `watch` sees every line; it outlives the console. */
void kl_console_show_all(struct kl_console *c, struct kl_watch *watch);

/* Bytes were lost, or another board may be there. The console forgets what it heard so far and the
   lines not yet told. It hides all until the board says what it is doing. */
void kl_console_open(struct kl_console *c);
/* The chip is being reset on purpose: forgets its earlier starts. */
void kl_console_restart(struct kl_console *c);
/* The half line heard so far is noise. */
void kl_console_drop_line(struct kl_console *c);
/* Our line leaves now: what the program says next is its answer. */
void kl_console_await_answer(struct kl_console *c);
/* The program runs and speaks, so what its boot text named did no harm. */
void kl_console_alive(struct kl_console *c);

/* Takes bytes up to the end of one line and returns how many. `out` is that line; without one (size
   0), all bytes were taken. The line is secret and valid until the next call. */
size_t kl_console_take(struct kl_console *c, const uint8_t *data, size_t size, kl_us now,
                       struct kl_said *out);

/* The next line for the log; false if there is none. */
bool kl_console_next(struct kl_console *c, char out[KL_TEXT_MAX]);
const struct kl_bootlog *kl_console_boot(const struct kl_console *c);
/* As far as they may be shown; "" if there is none: the line that named kl_console_boot()->reason,
 * … */
const char *kl_console_detail(const struct kl_console *c);
/* … a line since our last reset that looks like a prompt and is none, … */
const char *kl_console_near_prompt(const struct kl_console *c);
/* … the program's last own line after ours, … */
const char *kl_console_answer(const struct kl_console *c);
/* … and the last "Error: …". */
const char *kl_console_refusal(const struct kl_console *c);
/* What an operator wrote, as a board's line would be shown: without parts of the key at hand. */
void kl_console_cleanse(const struct kl_console *c, const char *text, char out[KL_TEXT_MAX]);

#endif
