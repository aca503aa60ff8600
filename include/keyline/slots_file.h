/*
 * slots_file.h: the file that names and orders the bench's slots, one `name = place` a line. A
 * place is a USB socket ("1-1.4.2"), a device ("/dev/…") or a network port ("rfc2217://host:port").
 */
#ifndef KEYLINE_SLOTS_FILE_H
#define KEYLINE_SLOTS_FILE_H

#include "keyline/ports.h"

struct kl_slot_place {
    char name[KL_NAME_MAX];
    char where[KL_PORT_MAX];
};

struct kl_slots_file {
    unsigned count;
    struct kl_slot_place slot[KL_SLOTS_MAX];
};

/* False with a sentence that names the line. Empty lines and lines from '#' on say nothing. */
bool kl_slots_parse(const char *text, size_t size, struct kl_slots_file *out,
                    char error[KL_TEXT_MAX]);
bool kl_slots_read(const char *path, struct kl_slots_file *out, char error[KL_TEXT_MAX]);
/* Replaces the file as a whole, or leaves it as it was. */
bool kl_slots_write(const char *path, const struct kl_slots_file *file, char error[KL_TEXT_MAX]);
/* The slot at this place; -1 if none has it. */
int kl_slots_find(const struct kl_slots_file *file, const char *where);

/* Learning a bench: a person plugs a board into one socket after another. */
struct kl_teach {
    struct kl_slots_file file;
    unsigned present_count;
    char present[KL_SLOTS_MAX][KL_NAME_MAX]; /* sockets with a board, at the last look */
    bool looked;
};
/* `ports` is what is there now. Returns the slot where a board was plugged in since the last look:
   a new one, added with the next free number as its name, or (*known) one that the file had; -1 if
   none. Call it again until then. Boards that were there at the first look count only once they are
   plugged in anew. */
int kl_teach_look(struct kl_teach *t, const struct kl_port_info *ports, int count, bool *known);
/* False if the name is taken or can't be one. */
bool kl_teach_rename(struct kl_teach *t, unsigned slot, const char *name);

#endif
