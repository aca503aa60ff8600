/*
 * app.c: runs a program on a virtual board. Between program and board stand the faults that real
 * firmware has: lines missed, acknowledgements lost, wrong read-backs, crashes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum {
    PANIC_US = 100000, /* from the crash to the next start */
    SEEN_MAX = 4096,
};

static const struct program *const programs[] = {&program_keyline,         &program_digest,
                                                 &program_original,        &program_selftest,
                                                 &program_silent_selftest, &program_silent};

enum {
    PROGRAMS = sizeof programs / sizeof programs[0],
};

static const struct program *program_of(const struct kl_vboard *b)
{
    const char *name = b->config.firmware ? b->config.firmware : "keyline";

    for (size_t i = 0; i < PROGRAMS; i++)
        if (strcmp(programs[i]->name, name) == 0)
            return programs[i];
    return &program_dialect;
}

const char *kl_vboard_firmware(unsigned i)
{
    return i < PROGRAMS ? programs[i]->name : dialect_name(i - PROGRAMS);
}

/* ---- for checkers ---- */

void app_remember(struct kl_vboard *b, const char *line, size_t size)
{
    if (size == 0 || b->seen_count == SEEN_MAX)
        return;
    for (unsigned i = 0; i < b->seen_count; i++)
        if (strlen(b->seen[i]) == size && memcmp(b->seen[i], line, size) == 0)
            return;
    b->seen = realloc(b->seen, (b->seen_count + 1) * sizeof *b->seen);
    char *copy = malloc(size + 1);
    KL_ASSERT(b->seen && copy);
    memcpy(copy, line, size);
    copy[size] = '\0';
    b->seen[b->seen_count++] = copy;
}

static void end_line(struct kl_vboard *b)
{
    app_remember(b, b->line, b->line_size);
    b->line_size = 0;
}

static void hear(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' || data[i] == '\r' || data[i] == 0)
            end_line(b);
        else if (b->line_size < sizeof b->line)
            b->line[b->line_size++] = (char)data[i];
    }
}

void app_refresh_stored(struct kl_vboard *b)
{
    program_of(b)->stored(b, b->stored);
}

void app_preload(struct kl_vboard *b, const char *fields)
{
    struct kl_span span[KL_FIELDS_MAX];
    unsigned count = 0;

    while (count < KL_FIELDS_MAX) {
        size_t size = strcspn(fields, ",");
        span[count++] = (struct kl_span){(const uint8_t *)fields, size};
        fields += size;
        if (!*fields++)
            break;
    }
    program_of(b)->preload(b, span, count);
    app_refresh_stored(b);
}

/* ---- crashes ---- */

static void crash(struct kl_vboard *b)
{
    if (b->chip->id == KL_CHIP_ESP8266)
        board_say(b, "\r\nFatal exception (28):\r\nepc1=0x40201010, epc2=0x00000000\r\n");
    else
        board_say(b, "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was "
                     "unhandled.\r\n\r\nBacktrace: 0x400d1f29:0x3ffb2280 0x400d2b11:0x3ffb22a0\r\n"
                     "\r\nRebooting...\r\n");
}

static void carry_out(struct kl_vboard *b)
{
    enum doom doom = b->app ? b->app->doom : DOOM_NONE;

    if (doom == DOOM_NONE)
        return;
    app_stop(b);
    if (doom == DOOM_PANIC)
        crash(b);
    else if (doom == DOOM_BROWNOUT)
        board_say(b, "\r\nBrownout detector was triggered\r\n\r\n");
    b->boot_ok = false;
    board_enter(b, BOARD_BOOT);
    b->cause = doom == DOOM_BROWNOUT ? CAUSE_BROWNOUT : CAUSE_SOFTWARE;
    b->timer_at = b->now + (doom == DOOM_RESTART ? 0 : PANIC_US);
    /* what the program printed leaves the UART first */
    if (b->tx.free_at > b->timer_at)
        b->timer_at = b->tx.free_at;
}

static void doom(struct kl_vboard *b, enum doom what)
{
    if (b->app->doom == DOOM_NONE)
        b->app->doom = what;
}

/* ---- what the program prints ---- */

/* Whether the line holds the word, with a large or a small first letter, whatever stands around
   it. */
static bool says(const struct app *app, const char *word)
{
    return memmem(app->out, app->out_size, word + 1, strlen(word) - 1);
}

/* Handles a field that is read back ("name: value"). True if the program should print it. */
static bool value_line(struct app *app)
{
    if (app->hide_values || (app->short_value && app->values >= 1))
        return false;
    app->values++;
    if (app->wrong_value && app->values == 1) {
        size_t last = app->out_size;
        while (last > 0 && (app->out[last - 1] == '\n' || app->out[last - 1] == '\r'))
            last--;
        if (last > 0)
            app->out[last - 1] = app->out[last - 1] == '0' ? '1' : '0';
    }
    return true;
}

static bool line_goes_out(struct kl_vboard *b)
{
    struct app *app = b->app;

    if (fault_is(b, FAULT_ID_SILENT_APP))
        return false;
    if (app->is_value)
        return value_line(app);
    if (says(app, "Provisioning")) {
        if (++app->asked >= 2 && fault_takes(b, FAULT_ID_RESTARTS))
            doom(b, DOOM_RESTART);
        return !fault_is(b, FAULT_ID_NEVER_ASKS);
    }
    if (says(app, "Provisioned")) {
        app->holding = true;
        return !(app->stored_now && fault_takes(b, FAULT_ID_ACK_LOST));
    }
    if (app->holding && memchr(app->out, ':', app->out_size))
        return value_line(app);
    return true;
}

static void print_line(struct kl_vboard *b)
{
    struct app *app = b->app;

    if (app->doom == DOOM_NONE) {
        if (fault_is(b, FAULT_ID_CHATTY))
            board_sayf(b, "I (%u) wifi: state: init -> auth (b0)\r\n",
                       (unsigned)(b->now / 1000 % 1000000));
        if (line_goes_out(b))
            board_send(b, (const uint8_t *)app->out, app->out_size, b->now);
    }
    app->out_size = 0;
}

void program_print(struct kl_vboard *b, const char *text, size_t size)
{
    struct app *app = b->app;

    for (size_t i = 0; i < size; i++) {
        app->out[app->out_size++] = text[i];
        if (text[i] == '\n' || app->out_size == sizeof app->out)
            print_line(b);
    }
}

/* ---- what the program stores ---- */

void program_store_begin(struct kl_vboard *b)
{
    struct app *app = b->app;

    app->storing = STORE_WELL;
    if (fault_takes(b, FAULT_ID_STORES_NOTHING))
        app->storing = STORE_NOTHING;
    else if (fault_takes(b, FAULT_ID_STORES_WRONG))
        app->storing = STORE_WRONG;
    else if (fault_takes(b, FAULT_ID_STORES_SHORT))
        app->storing = STORE_SHORT;
}

/* What becomes of a field on its way into the flash: its size there. */
static size_t spoil(struct app *app, uint8_t *value, size_t size)
{
    if (app->storing == STORE_SHORT) {
        app->storing = STORE_SHORT_NOW;
        return size;
    }
    if (app->storing == STORE_SHORT_NOW)
        size--;
    else if (app->storing == STORE_WRONG)
        value[size - 1] = value[size - 1] == 'f' ? '0' : 'f';
    app->storing = STORE_WELL;
    return size;
}

bool program_put(struct kl_vboard *b, const char *key, const void *value, size_t size, bool field)
{
    struct app *app = b->app;
    uint8_t copy[2048];

    if (app->doom != DOOM_NONE || size > sizeof copy)
        return false;
    if (app->storing == STORE_NOTHING)
        return true;
    memcpy(copy, value, size);
    if (field && size > 0)
        size = spoil(app, copy, size);
    if (fault_is(b, FAULT_ID_DIES_STORING) && fault_figure(b, FAULT_ID_DIES_STORING) > 0)
        doom(b, DOOM_BROWNOUT);
    return nvs_put(b, key, copy, size);
}

void program_store_end(struct kl_vboard *b)
{
    struct app *app = b->app;

    if (app->doom != DOOM_NONE)
        return;
    app->stored_now = true;
    if (app->storing != STORE_NOTHING)
        b->store_count++;
    app->storing = STORE_WELL;
    app_refresh_stored(b);
    if (fault_takes(b, FAULT_ID_DIES_STORED))
        doom(b, DOOM_PANIC);
}

void program_restart(struct kl_vboard *b)
{
    doom(b, DOOM_RESTART);
}

void program_crash(struct kl_vboard *b)
{
    doom(b, DOOM_PANIC);
}

void program_after(struct kl_vboard *b, kl_us delay)
{
    b->timer_at = b->now + delay;
}

/* ---- what the program hears ---- */

static const enum fault line_faults[] = {FAULT_ID_MISSES_LINE, FAULT_ID_PANIC_ON_LINE,
                                         FAULT_ID_REFUSES};

static bool lines_are_watched(const struct kl_vboard *b)
{
    for (size_t i = 0; i < sizeof line_faults / sizeof line_faults[0]; i++)
        if (fault_is(b, line_faults[i]) && fault_figure(b, line_faults[i]) > 0)
            return true;
    return false;
}

/* Plays the faults on a whole line that came: the program misses it, crashes at it or refuses
   it. */
static void watched_line(struct kl_vboard *b)
{
    static const char refusal[] = "Error: expected other fields\r\n";

    if (fault_takes(b, FAULT_ID_MISSES_LINE))
        return;
    if (fault_takes(b, FAULT_ID_PANIC_ON_LINE))
        doom(b, DOOM_PANIC);
    else if (fault_takes(b, FAULT_ID_REFUSES))
        program_print(b, refusal, sizeof refusal - 1);
}

static void leak(struct kl_vboard *b)
{
    if (b->line_size == 0)
        return;
    board_sayf(b, "rx: %.*s\r\n", (int)b->line_size, b->line);
    board_say(b, "rx:");
    for (size_t i = 0; i < b->line_size; i++)
        board_sayf(b, i % 2 ? " %02X" : " 0x%02x", (unsigned)(uint8_t)b->line[i]);
    board_say(b, "\r\n");
}

void app_rx(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    bool ends = memchr(data, '\n', size) != NULL;
    struct app *app = b->app;

    if (app && ends && fault_is(b, FAULT_ID_LEAKS)) {
        hear(b, data, size - 1);
        leak(b);
        hear(b, data + size - 1, 1);
    } else {
        hear(b, data, size);
    }
    if (!app) /* still booting: nobody reads the UART */
        return;
    if (lines_are_watched(b)) {
        if (ends)
            watched_line(b);
    } else {
        app->program->rx(b, data, size);
    }
    carry_out(b);
}

void app_tick(struct kl_vboard *b)
{
    if (!spells_tick(b))
        b->app->program->tick(b);
    carry_out(b);
}

/* ---- start and stop ---- */

void app_start(struct kl_vboard *b)
{
    board_enter(b, BOARD_APP);
    board_set_baud(b, 115200);
    b->app = calloc(1, sizeof *b->app);
    KL_ASSERT(b->app);
    b->app->program = program_of(b);
    b->app->hide_values = fault_is(b, FAULT_ID_NO_READBACK);
    if (fault_takes(b, FAULT_ID_BROWNOUT)) {
        doom(b, DOOM_BROWNOUT);
    } else if (fault_is(b, FAULT_ID_BOOT_LOOP) || fault_takes(b, FAULT_ID_PANIC)) {
        doom(b, DOOM_PANIC);
    } else {
        app_refresh_stored(b);
        if (b->stored[0]) {
            b->app->wrong_value = fault_takes(b, FAULT_ID_READS_WRONG);
            b->app->short_value = fault_takes(b, FAULT_ID_READS_SHORT);
        }
        b->app->program->start(b);
        spells_soon(b);
    }
    carry_out(b);
}

void app_stop(struct kl_vboard *b)
{
    end_line(b);
    if (!b->app)
        return;
    free(b->app->telling);
    free(b->app->own);
    free(b->app);
    b->app = NULL;
}
