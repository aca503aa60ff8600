#include "demo_script.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    PLACES_MAX = 16,
    TICK_MS = 250,
};

/* What is wrong with the nth board of the demo, and for how long it stays if it can't get a key. */
static const struct {
    unsigned board;
    const char *faults;
    int seconds;
} troubles[] = {
    {2, "md5_wrong=1", 0},         {6, "never_asks", 18}, {7, "panic_on_line=99", 24},
    {10, "noise_above=300000", 0}, {12, "ack_lost=1", 0}, {15, "boot_loop", 18},
    {18, "md5_wrong=1", 0},        {22, "mute", 18},      {25, "brownout=1", 0},
};

struct director {
    int control;
    const char *csv;
    unsigned boards, stored, keys;
    time_t leaves_at[PLACES_MAX + 1]; /* 0 = it leaves by itself, once it holds its key */
};

static void put_field(FILE *file)
{
    uint8_t bytes[16] = {0};
    ssize_t got = getrandom(bytes, sizeof bytes, 0);

    for (ssize_t i = 0; i < got; i++)
        fprintf(file, "%02x", bytes[i]);
}

bool demo_write_keys(const char *csv, unsigned first, unsigned count)
{
    FILE *file = fopen(csv, "a");

    if (!file)
        return false;
    for (unsigned i = first; i < first + count; i++) {
        fprintf(file, "demo-%04u,", i);
        put_field(file);
        fputc(',', file);
        put_field(file);
        fputc('\n', file);
    }
    return fclose(file) == 0;
}

bool demo_read_line(int fd, char *line, size_t size)
{
    size_t used = 0;
    char c = '\0';

    while (c != '\n') {
        if (read(fd, &c, 1) != 1)
            return false;
        if (c != '\n' && used + 1 < size)
            line[used++] = c;
    }
    line[used] = '\0';
    return true;
}

static time_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void board_came(struct director *d, unsigned place)
{
    unsigned cycle = troubles[sizeof troubles / sizeof troubles[0] - 1].board;

    d->boards++;
    d->leaves_at[place] = 0;
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        if ((d->boards - 1) % cycle + 1 != troubles[i].board)
            continue;
        dprintf(d->control, "fault %u %s\n", place, troubles[i].faults);
        if (troubles[i].seconds)
            d->leaves_at[place] = now() + troubles[i].seconds;
    }
}

/* Plays the person who adds rows when few keys are left. */
static void board_stored(struct director *d, unsigned place)
{
    d->leaves_at[place] = 0;
    if (++d->stored + 3 >= d->keys) {
        demo_write_keys(d->csv, d->keys + 1, DEMO_KEYS);
        d->keys += DEMO_KEYS;
    }
}

static void board_told(struct director *d, const char *line)
{
    char what[32];
    unsigned place;

    if (sscanf(line, "event %u %31s", &place, what) != 2 || place > PLACES_MAX)
        return;
    if (strcmp(what, "plugged") == 0)
        board_came(d, place);
    else if (strcmp(what, "stored") == 0)
        board_stored(d, place);
}

static void take_away(struct director *d, unsigned places)
{
    for (unsigned i = 1; i <= places; i++) {
        if (!d->leaves_at[i] || now() < d->leaves_at[i])
            continue;
        d->leaves_at[i] = 0;
        dprintf(d->control, "replace %u\n", i);
    }
}

void demo_direct(int events, int control, unsigned places, const char *csv)
{
    struct director d = {.control = control, .csv = csv, .keys = DEMO_KEYS};
    struct pollfd waits = {.fd = events, .events = POLLIN};
    char line[256];

    for (unsigned i = 1; i <= places; i++)
        board_came(&d, i);
    for (;;) {
        if (poll(&waits, 1, TICK_MS) > 0) {
            if (!demo_read_line(events, line, sizeof line))
                return;
            board_told(&d, line);
        }
        take_away(&d, places);
    }
}
