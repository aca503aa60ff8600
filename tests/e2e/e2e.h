/*
 * e2e.h: the real program, over virtual boards in a process of their own, looked at from outside:
 * exit status, output, events, the CSV, and what the boards hold.
 *
 * A check that fails prints what was seen and ends the process; every process that was started ends
 * with it.
 */
#ifndef KEYLINE_E2E_H
#define KEYLINE_E2E_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "keyline/chip.h"
#include "scratch.h"

enum {
    BOARDS_MAX = 64,
    PATIENCE_S = 150, /* for anything; only a failure ever waits that long */
};

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                             \
    } while (0)
_Noreturn void check_failed(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- processes ---- */

struct process {
    pid_t pid;
    int in, out, err;
    char *text[2]; /* standard output and error so far */
    size_t size[2];
    size_t looked; /* standard output that wait_for has passed */
    int status;    /* exit status, or 128 + signal */
};

/* Words up to NULL; the first is the program. */
void start(struct process *p, const char *const *words);
/* Until it ends; its output is complete then. */
int finish(struct process *p);
/* Until a line of standard output that holds `text` came; returns it, valid until the next call. */
const char *wait_for(struct process *p, const char *text);
void say(struct process *p, const char *line);
void forget(struct process *p); /* kills it if it still runs */

/* ---- a bench ---- */

struct bench {
    struct scratch dir;
    struct process boards;
    enum kl_chip_id chip; /* that the images are for */
    unsigned count;
    char url[BOARDS_MAX + 1][64]; /* from 1 */
    char mac[BOARDS_MAX + 1][18];
    char *csv; /* as it was at first */
};

void bench_make(struct bench *b);
void bench_remove(struct bench *b);
/* `rows` keys of `fields` fields, random but for the label "dev-N". */
void bench_keys(struct bench *b, unsigned rows, unsigned fields);
void bench_images(struct bench *b, enum kl_chip_id chip);
/* `options`: words for keyline virtual, up to NULL; may be NULL. */
void bench_boards(struct bench *b, unsigned count, const char *const *options);
void bench_boards_end(struct bench *b);
/* One command to the boards ("unplug 2"); it must be taken. */
void bench_command(struct bench *b, const char *command);
/* The fields that board n holds, joined by commas; "" = none. Valid until the next call. */
const char *bench_stored(struct bench *b, unsigned n);
/* Checks that board n's flash holds the images, byte for byte. */
void bench_check_flash(struct bench *b, unsigned n);
/* Checks the promises from outside: the CSV differs from the first one by marks alone; what a board
   holds is a row that is marked or reserved for it; no two hold the same. Returns the marks. */
unsigned bench_check_custody(struct bench *b);
/* Until so many rows of the CSV are marked. What a person saves while a mark is being put in may be
   lost, and keyline says so: whoever tests something else waits for the mark first. */
void bench_wait_for_marks(struct bench *b, unsigned count);
/* No field but the label anywhere in `text`. */
void bench_check_secret(const struct bench *b, const char *what, const char *text);

/* keyline --headless over the bench's boards, with more words up to NULL. */
void station_start(struct bench *b, struct process *p, const char *const *options);
/* The same from start to end; `events` of the run are in the bench's events.json. */
int station_run(struct bench *b, struct process *p, const char *const *options);

/* ---- events ---- */

/* The last result of a board in the run's events; empty strings if there was none. */
struct outcome {
    char result[16], reason[32], label[80], mac[24];
    int tries;
    bool already;
};
void bench_outcome(struct bench *b, unsigned n, struct outcome *out);
/* How many events of this kind (and of this `what`, if not NULL) there were. */
unsigned bench_events(struct bench *b, const char *event, const char *what);

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* ---- cases ---- */

struct e2e_case {
    const char *name;
    void (*run)(void);
};

extern const struct e2e_case cases_boards[], cases_input[], cases_faults[], cases_bench[],
    cases_images[];

#endif
