/*
 * vstate.c: a board's durable state to and from a file: identity, flash, counts, lines seen.
 *
 * A header line, then sections "name size\n" and that many bytes, without blank flash sectors. The
 * file is written beside its name and renamed, so that a reader never sees half of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vboard_inside.h"

static const char header[] = "keyline virtual board 1\n";

static void write_section(FILE *f, const char *name, const void *data, size_t size)
{
    fprintf(f, "%s %zu\n", name, size);
    fwrite(data, 1, size, f);
}

static void write_all(const struct kl_vboard *b, FILE *f)
{
    char mac[18], text[64];

    kl_mac_format(&b->config.mac, mac);
    fputs(header, f);
    write_section(f, "chip", b->chip->slug, strlen(b->chip->slug));
    write_section(f, "mac", mac, strlen(mac));
    snprintf(text, sizeof text, "%u", b->store_count);
    write_section(f, "stores", text, strlen(text));
    for (unsigned i = 0; i < b->seen_count; i++)
        write_section(f, "seen", b->seen[i], strlen(b->seen[i]));
    for (uint32_t at = 0; at < b->flash_size; at += SECTOR) {
        uint32_t size = b->flash_size - at < SECTOR ? b->flash_size - at : SECTOR;
        if (flash_blank(b, at, size))
            continue;
        snprintf(text, sizeof text, "flash@%u", (unsigned)at);
        write_section(f, text, b->flash + at, size);
    }
    write_section(f, "end", "", 0);
}

bool kl_vboard_save(const struct kl_vboard *b, const char *path)
{
    char beside[4096];

    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside) {
        errno = ENAMETOOLONG;
        return false;
    }
    FILE *f = fopen(beside, "wb");
    if (!f)
        return false;
    write_all(board_settled(b), f);
    bool good = !ferror(f);
    int error = errno;
    if (fclose(f) != 0) {
        good = false;
        error = errno;
    }
    if (good && rename(beside, path) == 0)
        return true;
    if (good)
        error = errno;
    remove(beside);
    errno = error;
    return false;
}

static bool take_section(struct kl_vboard *b, const char *name, const uint8_t *data, size_t size)
{
    char text[32];

    if (strcmp(name, "seen") == 0) {
        app_remember(b, (const char *)data, size);
        return true;
    }
    if (strncmp(name, "flash@", 6) == 0) {
        unsigned long at = strtoul(name + 6, NULL, 10);
        if (at > b->flash_size || size > b->flash_size - at)
            return false;
        memcpy(b->flash + at, data, size);
        return true;
    }
    if (size >= sizeof text)
        return false;
    memcpy(text, data, size);
    text[size] = '\0';
    if (strcmp(name, "chip") == 0)
        return strcmp(text, b->chip->slug) == 0;
    if (strcmp(name, "mac") == 0)
        return kl_mac_parse(text, &b->config.mac);
    if (strcmp(name, "stores") == 0)
        b->store_count = (unsigned)strtoul(text, NULL, 10);
    return true;
}

/* "name size\n"; false at the end of the file and at anything else. */
static bool read_heading(FILE *f, char name[32], size_t *size)
{
    char line[64], *blank, *end;

    if (!fgets(line, sizeof line, f))
        return false;
    blank = strchr(line, ' ');
    if (!blank || blank - line >= 32)
        return false;
    *blank = '\0';
    kl_copy(name, 32, line);
    *size = strtoul(blank + 1, &end, 10);
    return end > blank + 1 && *end == '\n';
}

static bool read_all(struct kl_vboard *b, FILE *f)
{
    char first[sizeof header], name[32];
    uint8_t data[2 * SECTOR];
    size_t size;

    if (!fgets(first, sizeof first, f) || strcmp(first, header) != 0)
        return false;
    while (read_heading(f, name, &size)) {
        if (size > sizeof data || fread(data, 1, size, f) != size)
            return false;
        if (strcmp(name, "end") == 0)
            return true;
        if (!take_section(b, name, data, size))
            return false;
    }
    return false;
}

bool kl_vboard_load(struct kl_vboard *b, const char *path)
{
    FILE *f = fopen(path, "rb");

    if (!f)
        return false;
    flash_free(board_settled(b)->flash, b->flash_size);
    b->flash = flash_make(b->flash_size);
    KL_ASSERT(b->flash);
    bool good = read_all(b, f);
    fclose(f);
    if (!good) {
        errno = EINVAL;
        return false;
    }
    board_set_identity(b);
    app_refresh_stored(b);
    return true;
}
