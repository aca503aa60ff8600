/*
 * world.h: what stands behind the stand-in headers: a board's storage, console, clock and button,
 * so that the Arduino and ESP-IDF sources can not only be compiled but run, restarts and power cuts
 * included. Each start of the board is a process of its own: nothing but the storage survives it.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum world_end {
    WORLD_TIME_UP = 40, /* nothing more was to happen */
    WORLD_RESTARTED,
    WORLD_POWER_LOST,
};

enum {
    WORLD_ITEMS = 48,
    WORLD_VALUE = 260,
};

struct world_item {
    char name[16]; /* "" = free */
    char value[WORLD_VALUE];
    size_t size;
};

struct world {
    /* storage: what is durable */
    struct world_item item[WORLD_ITEMS];
    bool storage_is_rubbish; /* until it is erased */
    bool storage_is_broken;
    int operations_left; /* storage operations until the power fails; -1 = it does not */
    /* what happens during one start */
    const char *input;
    uint32_t input_at_ms;
    uint32_t input_step_ms; /* between two bytes; 0 = all at once */
    uint32_t button_from_ms, button_until_ms;
    uint32_t button_up_ms; /* from then on it is up for 100 ms */
    uint32_t end_ms;
    /* what was seen of it */
    uint32_t now_ms;
    char output[16384];
    size_t output_size;
    bool console_open; /* when it ended */
};

extern struct world *world; /* shared by all starts */

/* Runs `program` as one start of the board. Any other end of it than those above is a failure. */
enum world_end world_start(void (*program)(void));

/* For the stand-ins. */
void world_pass(uint32_t ms);
void world_restart(void);
void world_print(const void *text, size_t size);
size_t world_waiting(void); /* bytes that can be read now */
int world_read(void);       /* -1 = none */
bool world_button_is_down(void);
bool world_put(const char *name, const void *value, size_t size);
/* The item, or NULL. */
const struct world_item *world_get(const char *name);
bool world_remove(const char *name);
bool world_clear(void);

#ifdef __cplusplus
}
#endif

#endif
