/*
 * vserver_state.c: the state folder (docs/virtual.md):
 *
 *   places.txt          which board is in which place, and how many were ever made
 *   board-<mac>.txt     what this board holds and heard, for custody checkers; kept for ever
 *   board-<mac>.state   its flash and all, to go on from (kl_vboard_save)
 *
 * The server writes each file beside its name and renames it: a reader in another process never
 * sees half of one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vserver_inside.h"

enum {
    PATH_ROOM = 1024
};

static void board_path(const struct place *p, const char *ending, char out[PATH_ROOM])
{
    const uint8_t *m = p->mac.b;

    snprintf(out, PATH_ROOM, "%s/board-%02x%02x%02x%02x%02x%02x.%s", p->server->state, m[0], m[1],
             m[2], m[3], m[4], m[5], ending);
}

static FILE *open_beside(const char *path, char beside[PATH_ROOM + 8])
{
    snprintf(beside, PATH_ROOM + 8, "%s.new", path);
    return fopen(beside, "w");
}

static void put_in_place(FILE *f, const char *beside, const char *path)
{
    bool good = !ferror(f);

    if (fclose(f) != 0 || !good || rename(beside, path) != 0)
        fprintf(stderr, "keyline virtual: %s: %s\n", path, strerror(errno));
}

bool state_open(struct kl_vserver *s, char error[KL_TEXT_MAX])
{
    char path[PATH_ROOM], line[256];

    if (mkdir(s->state, 0700) != 0 && errno != EEXIST) {
        kl_format(error, KL_TEXT_MAX, "%s can't be made: %s", s->state, strerror(errno));
        return false;
    }
    snprintf(path, sizeof path, "%s/places.txt", s->state);
    FILE *f = fopen(path, "r");
    if (!f)
        return true;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "made ", 5) == 0)
            s->made = (unsigned)strtoul(line + 5, NULL, 10);
    }
    fclose(f);
    return true;
}

/* "place NUMBER MAC CHIP PORT" */
static void take_place_line(struct place *p, char *line)
{
    char *rest = NULL, *word = strtok_r(line, " \n", &rest);
    struct kl_mac mac;

    if (!word || strcmp(word, "place") != 0)
        return;
    word = strtok_r(NULL, " \n", &rest);
    if (!word || strtoul(word, NULL, 10) != p->index + 1)
        return;
    word = strtok_r(NULL, " \n", &rest);
    if (!word || !kl_mac_parse(word, &mac))
        return;
    word = strtok_r(NULL, " \n", &rest);
    const struct kl_chip *chip = word ? kl_chip_by_slug(word) : NULL;
    if (chip) {
        p->chip = chip->id;
        p->mac = mac;
    }
}

void state_restore_place(struct place *p)
{
    char path[PATH_ROOM], line[256];

    if (!p->server->state)
        return;
    snprintf(path, sizeof path, "%s/places.txt", p->server->state);
    FILE *f = fopen(path, "r");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        take_place_line(p, line);
    }
    fclose(f);
}

bool state_restore_board(struct place *p, char error[KL_TEXT_MAX])
{
    char path[PATH_ROOM];

    if (!p->server->state)
        return true;
    board_path(p, "state", path);
    if (kl_vboard_load(p->board, path) || errno == ENOENT)
        return true;
    kl_format(error, KL_TEXT_MAX, "%s is no state of this board: remove it or name another folder",
              path);
    return false;
}

void state_save_places(struct kl_vserver *s)
{
    char path[PATH_ROOM], beside[PATH_ROOM + 8], mac[18];

    if (!s->state)
        return;
    snprintf(path, sizeof path, "%s/places.txt", s->state);
    FILE *f = open_beside(path, beside);
    if (!f)
        return;
    fprintf(f, "made %u\n", s->made);
    for (unsigned i = 0; i < s->place_count; i++) {
        const struct place *p = &s->place[i];
        kl_mac_format(&p->mac, mac);
        fprintf(f, "place %u %s %s %u\n", i + 1, mac, kl_chip(p->chip)->slug, p->port);
    }
    put_in_place(f, beside, path);
}

/* A line that came over the wire may hold any byte. */
static void put_escaped(FILE *f, const char *name, const char *text)
{
    fprintf(f, "%s ", name);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c >= 0x20 && *c < 0x7F && *c != '\\')
            fputc(*c, f);
        else
            fprintf(f, "\\x%02x", *c);
    fputc('\n', f);
}

void state_save_record(struct place *p)
{
    char path[PATH_ROOM], beside[PATH_ROOM + 8], mac[18];

    if (!p->server->state)
        return;
    board_path(p, "txt", path);
    FILE *f = open_beside(path, beside);
    if (!f)
        return;
    struct kl_mac shown = kl_vboard_mac(p->board);
    kl_mac_format(&shown, mac);
    fprintf(f, "mac %s\nchip %s\nplace %u\nplugged %s\nstores %u\n", mac, kl_chip(p->chip)->slug,
            p->index + 1, p->plugged ? "yes" : "no", kl_vboard_store_count(p->board));
    put_escaped(f, "stored", kl_vboard_stored(p->board));
    for (unsigned i = 0; i < kl_vboard_lines_seen(p->board); i++)
        put_escaped(f, "seen", kl_vboard_line_seen(p->board, i));
    put_in_place(f, beside, path);
}

void state_save_image(struct place *p)
{
    char path[PATH_ROOM];

    if (!p->server->state)
        return;
    board_path(p, "state", path);
    if (!kl_vboard_save(p->board, path))
        fprintf(stderr, "keyline virtual: %s: %s\n", path, strerror(errno));
}

void state_forget_image(struct place *p)
{
    char path[PATH_ROOM];

    if (!p->server->state)
        return;
    board_path(p, "state", path);
    remove(path);
}
