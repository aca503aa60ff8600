/*
 * original.c: the original tool's example firmware as its users flash it, faults included. It takes
 * exactly three fields (more end up inside the second), asks every half second, reads a line only
 * after that, and has a receive buffer of 256 bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum {
    ASK_US = 500000,
    LINE_US = 1000000, /* readStringUntil gives up this long after the last byte */
};

struct original {
    bool reading;
    char fifo[UART_FIFO], line[4 * UART_FIFO];
    size_t fifo_size, line_size;
};

static void print(struct kl_vboard *b, const char *text)
{
    program_print(b, text, strlen(text));
}

static void get(const struct kl_vboard *b, const char *key, char out[KL_LINE_MAX + 1])
{
    size_t size = KL_LINE_MAX;

    if (!nvs_get(b, key, out, &size))
        size = 0;
    out[size] = '\0';
}

static bool done(const struct kl_vboard *b)
{
    char flag[KL_LINE_MAX + 1];

    get(b, "done", flag);
    return flag[0] == 1; /* a bool is a byte in NVS */
}

static void ask(struct kl_vboard *b)
{
    struct original *o = b->app->own;

    o->reading = false;
    print(b, "Provisioning\r\n");
    program_after(b, ASK_US);
}

static void start(struct kl_vboard *b)
{
    char value[KL_LINE_MAX + 1], line[KL_LINE_MAX + 32];

    b->app->own = calloc(1, sizeof(struct original));
    KL_ASSERT(b->app->own);
    if (!done(b)) {
        ask(b);
        return;
    }
    print(b, "Provisioned\r\n");
    for (int i = 1; i <= 3; i++) {
        char key[8];
        snprintf(key, sizeof key, "key%d", i);
        get(b, key, value);
        snprintf(line, sizeof line, "Key%d: %s\r\n", i, value);
        print(b, line);
    }
}

static void store(struct kl_vboard *b, const char *const start[3], const size_t size[3])
{
    program_store_begin(b);
    for (int i = 0; i < 3; i++) {
        char key[8];
        snprintf(key, sizeof key, "key%d", i + 1);
        program_put(b, key, start[i], size[i], true);
    }
    program_put(b, "done", "\1", 1, false);
    program_store_end(b);
    print(b, "Provisioned\r\n");
    program_restart(b);
}

static void parse(struct kl_vboard *b)
{
    struct original *o = b->app->own;
    char *line = o->line;

    while (o->line_size > 0 && (unsigned char)line[o->line_size - 1] <= ' ')
        o->line_size--;
    while (o->line_size > 0 && (unsigned char)line[0] <= ' ') {
        line++;
        o->line_size--;
    }
    line[o->line_size] = '\0';
    const char *first = strchr(line, ','), *last = strrchr(line, ',');
    o->line_size = 0;
    if (!first || first == line) {
        ask(b);
        return;
    }
    const char *middle = first < last ? first + 1 : last; /* substring() swaps its ends */
    const char *const starts[3] = {line, middle, last + 1};
    const size_t sizes[3] = {(size_t)(first - line), first < last ? (size_t)(last - middle) : 1,
                             strlen(last + 1)};
    store(b, starts, sizes);
}

/* Takes from the buffer what readStringUntil() would take. */
static void read_on(struct kl_vboard *b)
{
    struct original *o = b->app->own;
    char *end = memchr(o->fifo, '\n', o->fifo_size);
    size_t n = end ? (size_t)(end - o->fifo) : o->fifo_size;

    if (n > sizeof o->line - 1 - o->line_size)
        n = sizeof o->line - 1 - o->line_size;
    memcpy(o->line + o->line_size, o->fifo, n);
    o->line_size += n;
    if (end) {
        o->fifo_size -= (size_t)(end + 1 - o->fifo);
        memmove(o->fifo, end + 1, o->fifo_size);
        parse(b);
    } else {
        o->fifo_size = 0;
        program_after(b, LINE_US);
    }
}

static void rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    struct original *o = b->app->own;

    if (b->app->holding || b->app->doom != DOOM_NONE)
        return;
    if (size > sizeof o->fifo - o->fifo_size)
        size = sizeof o->fifo - o->fifo_size;
    memcpy(o->fifo + o->fifo_size, data, size);
    o->fifo_size += size;
    if (o->reading)
        read_on(b);
}

static void tick(struct kl_vboard *b)
{
    struct original *o = b->app->own;

    if (o->reading) {
        parse(b);
    } else if (o->fifo_size > 0) {
        o->reading = true;
        read_on(b);
    } else {
        ask(b);
    }
}

static void preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    for (unsigned i = 0; i < count && i < 3; i++) {
        char key[8];
        snprintf(key, sizeof key, "key%u", i + 1);
        nvs_put(b, key, fields[i].data, fields[i].size);
    }
    nvs_put(b, "done", "\1", 1);
}

static void stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    char value[3][KL_LINE_MAX + 1];

    out[0] = '\0';
    if (!done(b))
        return;
    for (int i = 0; i < 3; i++) {
        char key[8];
        snprintf(key, sizeof key, "key%d", i + 1);
        get(b, key, value[i]);
    }
    kl_format(out, KL_LINE_MAX + 1, "%s,%s,%s", value[0], value[1], value[2]);
}

const struct program program_original = {"original", start, rx, tick, preload, stored};

/* ---- a program that prints and hears nothing ---- */

static void silent_start(struct kl_vboard *b)
{
    (void)b;
}

static void silent_rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    (void)b;
    (void)data;
    (void)size;
}

static void silent_preload(struct kl_vboard *b, const struct kl_span *fields, unsigned count)
{
    (void)b;
    (void)fields;
    (void)count;
}

static void silent_stored(const struct kl_vboard *b, char out[KL_LINE_MAX + 1])
{
    (void)b;
    out[0] = '\0';
}

const struct program program_silent = {"silent",     silent_start,   silent_rx,
                                       silent_start, silent_preload, silent_stored};
