/*
 * needles.h: the fields of keys in all their spellings, and where they occur in bytes or in the
 * memory of a process. Shares no code with what masks and wipes.
 */
#ifndef KEYLINE_TESTS_NEEDLES_H
#define KEYLINE_TESTS_NEEDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct needles;

struct needles *needles_new(void);
void needles_free(struct needles *n);
/* Any eight characters of the field or eight digits of its bytes, in any case; twelve where it is
   spelled reversed, without zeros, in decimal or in base64; `binary` of its bytes as they are. Rows
   of figures alone are left out. */
void needles_add(struct needles *n, const char *name, const char *field, unsigned binary);

/* The name of a field of which a part is in there, also between separators; NULL = none. */
const char *needles_in_text(const struct needles *n, const char *text, size_t size);

/* What a core image of the process would hold, and what the kernel would leave out of it. */
struct memory_look {
    int error;         /* of opening it: nothing was seen */
    unsigned left_out; /* parts of keys in memory that no core image holds … */
    unsigned kept;     /* … and in memory that one would */
    char where[512];   /* the first few of the latter: what of which key, in which mapping */
};
void needles_in_memory(const struct needles *n, pid_t pid, struct memory_look *out);

#endif
