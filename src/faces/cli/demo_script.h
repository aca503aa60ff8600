/* demo_script.h: what happens to the boards of a demo: a process that commands them. */
#ifndef KEYLINE_DEMO_SCRIPT_H
#define KEYLINE_DEMO_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DEMO_KEYS = 24, /* rows at first, and for each refill */
};

/* Appends `count` rows, the first with the number `first`. */
bool demo_write_keys(const char *csv, unsigned first, unsigned count);
/* A line without its end; false at the end of what `fd` says. */
bool demo_read_line(int fd, char *line, size_t size);
/* Runs until the boards end: reads their reports from `events`, commands them through `control`. */
void demo_direct(int events, int control, unsigned places, const char *csv);

#endif
