/* demo_script.h: what happens to the boards of a demo: a process that tells them. */
#ifndef KEYLINE_DEMO_SCRIPT_H
#define KEYLINE_DEMO_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DEMO_KEYS = 24, /* at first, and as many more whenever they run out */
};

/* Appends `count` rows, the first with the number `first`. */
bool demo_write_keys(const char *csv, unsigned first, unsigned count);
/* A line without its end; false at the end of what `fd` says. */
bool demo_read_line(int fd, char *line, size_t size);
/* Until the boards end: reads what they tell from `events`, commands them through `control`. */
void demo_direct(int events, int control, unsigned places, const char *csv);

#endif
