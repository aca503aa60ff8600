/* bench.c: a folder with keys and images, virtual boards, and what is checked on them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e2e.h"
#include "keyline/demo_images.h"
#include "prng.h"

enum {
    WORDS_MAX = 400
};

void bench_make(struct bench *b)
{
    memset(b, 0, sizeof *b);
    scratch_make(&b->dir);
}

void bench_remove(struct bench *b)
{
    bench_boards_end(b);
    free(b->csv);
    scratch_remove(&b->dir);
}

void bench_keys(struct bench *b, unsigned rows, unsigned fields)
{
    struct prng random = {.state = 1234 + rows};
    FILE *file = fopen(scratch_path(&b->dir, "keys.csv"), "w");

    CHECK(file, "keys.csv");
    for (unsigned r = 1; r <= rows; r++) {
        fprintf(file, "dev-%u", r);
        for (unsigned f = 1; f < fields; f++)
            fprintf(file, ",%016llx%016llx", (unsigned long long)prng_next(&random),
                    (unsigned long long)prng_next(&random));
        fputc('\n', file);
    }
    fclose(file);
    free(b->csv);
    b->csv = file_read(scratch_path(&b->dir, "keys.csv"), NULL);
}

void bench_images(struct bench *b, enum kl_chip_id chip)
{
    struct kl_demo_app app = {.payload = 90 * 1024, .seed = 5, .noise_percent = 40};

    b->chip = chip;
    CHECK(kl_demo_write(b->dir.folder, chip, &app), "the images can't be written");
}

/* ---- boards ---- */

void bench_boards(struct bench *b, unsigned count, const char *const *options)
{
    const char *words[WORDS_MAX] = {KEYLINE, "virtual", "--boards"};
    char number[8], state[256];
    unsigned n = 3;

    b->count = count;
    snprintf(number, sizeof number, "%u", count);
    snprintf(state, sizeof state, "%s", scratch_path(&b->dir, "state"));
    words[n++] = number;
    words[n++] = "--listen";
    words[n++] = "127.0.0.1:0";
    words[n++] = "--control";
    words[n++] = "--state";
    words[n++] = state;
    for (; options && *options; options++)
        words[n++] = *options;
    words[n] = NULL;
    start(&b->boards, words);
    for (unsigned i = 1; i <= count; i++) {
        const char *line = wait_for(&b->boards, "board ");
        CHECK(sscanf(line, "board %*u %63s %*s %17s", b->url[i], b->mac[i]) == 2, "%s", line);
    }
    wait_for(&b->boards, "ready");
}

void bench_boards_end(struct bench *b)
{
    if (b->boards.pid == 0)
        return;
    say(&b->boards, "quit\n");
    finish(&b->boards);
    CHECK(b->boards.status == 0, "the boards ended with %d", b->boards.status);
    forget(&b->boards);
}

void bench_command(struct bench *b, const char *command)
{
    char line[512], ok[64], word[32] = "", number[8] = "";

    snprintf(line, sizeof line, "%s\n", command);
    sscanf(command, "%31s %7s", word, number);
    snprintf(ok, sizeof ok, "ok %s %s", word, number);
    say(&b->boards, line);
    wait_for(&b->boards, ok);
}

const char *bench_stored(struct bench *b, unsigned n)
{
    static char stored[1024];
    char command[32];

    snprintf(command, sizeof command, "show %u\n", n);
    say(&b->boards, command);
    snprintf(stored, sizeof stored, "%s", wait_for(&b->boards, "stored ") + strlen("stored "));
    wait_for(&b->boards, "ok show");
    return stored;
}

/* `patched`: its header names the flash size, and its digest follows from that. */
static void check_region(const char *flash, size_t flash_size, struct bench *b, const char *file,
                         size_t offset, bool patched)
{
    size_t size = 0;
    char *image = file_read(scratch_path(&b->dir, file), &size);
    size_t end = patched && b->chip != KL_CHIP_ESP8266 ? size - 32 : size;

    CHECK(image && offset + size <= flash_size, "%s does not fit", file);
    for (size_t i = 0; i < end; i++)
        CHECK(flash[offset + i] == image[i] || (patched && i == 3), "%s differs at byte 0x%zx",
              file, i);
    free(image);
}

void bench_check_flash(struct bench *b, unsigned n)
{
    char command[512];
    size_t size = 0;
    char *flash;

    snprintf(command, sizeof command, "flash %u %s", n, scratch_path(&b->dir, "flash.bin"));
    bench_command(b, command);
    flash = file_read(scratch_path(&b->dir, "flash.bin"), &size);
    CHECK(flash, "flash.bin");
    if (b->chip == KL_CHIP_ESP8266) {
        check_region(flash, size, b, "firmware.bin", 0, true);
    } else {
        check_region(flash, size, b, "bootloader.bin", kl_chip(b->chip)->bootloader_offset, true);
        check_region(flash, size, b, "partitions.bin", 0x8000, false);
        check_region(flash, size, b, "firmware.bin", 0x10000, false);
    }
    free(flash);
}

/* ---- promises ---- */

/* The next line of `at` without its newline; NULL at the end. */
static const char *next_line(const char **at, char *out, size_t size)
{
    size_t length = strcspn(*at, "\n");

    if (**at == '\0')
        return NULL;
    CHECK(length < size, "a very long row");
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length + ((*at)[length] == '\n');
    return out;
}

/* What the board holds without a mark in the CSV must be reserved for exactly that board. */
static void check_reserved(struct bench *b, const char *row, const char *mac)
{
    struct process keys;
    char csv[256], label[64];
    const char *at;

    snprintf(csv, sizeof csv, "%s", scratch_path(&b->dir, "keys.csv"));
    snprintf(label, sizeof label, "\"%.*s\"", (int)strcspn(row, ","), row);
    start(&keys, WORDS(KEYLINE, "keys", "list", "--json", "--csv-file", csv));
    finish(&keys);
    at = strstr(keys.text[0], label);
    CHECK(at && strstr(at, mac), "%s is on %s and not reserved for it: %s", label, mac,
          keys.text[0]);
    forget(&keys);
}

static void check_row(struct bench *b, char (*stored)[1024], const char *row, bool marked)
{
    unsigned holders = 0, holder = 0;

    for (unsigned i = 1; i <= b->count; i++) {
        if (strcmp(stored[i], row) == 0) {
            holders++;
            holder = i;
        }
    }
    CHECK(holders <= 1, "%u boards hold the key %.12s", holders, row);
    if (holders == 1 && !marked)
        check_reserved(b, row, b->mac[holder]);
}

unsigned bench_check_custody(struct bench *b)
{
    char *now = file_read(scratch_path(&b->dir, "keys.csv"), NULL);
    const char *at = now, *first = b->csv;
    char row[1024], original[1024], mark[1100];
    static char stored[BOARDS_MAX + 1][1024];
    unsigned marks = 0;

    CHECK(now, "keys.csv is gone");
    for (unsigned i = 1; i <= b->count; i++)
        snprintf(stored[i], sizeof stored[i], "%s", bench_stored(b, i));
    while (next_line(&first, original, sizeof original)) {
        CHECK(next_line(&at, row, sizeof row), "the row %.12s is gone", original);
        snprintf(mark, sizeof mark, "%s,Provisioned", original);
        bool marked = strcmp(row, mark) == 0;
        CHECK(marked || strcmp(row, original) == 0, "the row %.12s was changed", original);
        check_row(b, stored, original, marked);
        marks += marked;
    }
    CHECK(*at == '\0', "the CSV grew");
    free(now);
    return marks;
}

void bench_wait_for_marks(struct bench *b, unsigned count)
{
    for (int i = 0; i < PATIENCE_S * 50; i++) {
        char *text = file_read(scratch_path(&b->dir, "keys.csv"), NULL);
        unsigned marks = 0;

        for (const char *at = text; at && (at = strstr(at, ",Provisioned")); at++)
            marks++;
        free(text);
        if (marks >= count)
            return;
        usleep(20000);
    }
    CHECK(false, "there are no %u marks", count);
}

void bench_check_secret(const struct bench *b, const char *what, const char *text)
{
    const char *at = b->csv;
    char row[1024];

    while (next_line(&at, row, sizeof row)) {
        char *field = strtok(row, ",");
        while ((field = strtok(NULL, ",")))
            CHECK(!strstr(text, field), "%s holds a secret of %s", what, row);
    }
}

/* ---- the station ---- */

void station_start(struct bench *b, struct process *p, const char *const *options)
{
    const char *words[WORDS_MAX] = {KEYLINE, "--headless", "--settle=0", "--volatile"};
    char csv[256], firmware[256], events[256];
    unsigned n = 4;

    snprintf(csv, sizeof csv, "%s", scratch_path(&b->dir, "keys.csv"));
    snprintf(firmware, sizeof firmware, "%s", scratch_path(&b->dir, "firmware.bin"));
    snprintf(events, sizeof events, "%s", scratch_path(&b->dir, "events.json"));
    words[n++] = "--csv_file";
    words[n++] = csv;
    words[n++] = "--firmware";
    words[n++] = firmware;
    words[n++] = "--events";
    words[n++] = events;
    for (unsigned i = 1; i <= b->count; i++) {
        words[n++] = "--port";
        words[n++] = b->url[i];
    }
    for (; options && *options; options++)
        words[n++] = *options;
    words[n] = NULL;
    remove(events);
    start(p, words);
}

int station_run(struct bench *b, struct process *p, const char *const *options)
{
    station_start(b, p, options);
    finish(p);
    bench_check_secret(b, "standard output", p->text[0]);
    bench_check_secret(b, "standard error", p->text[1]);
    return p->status;
}
