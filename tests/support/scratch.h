/* scratch.h: a folder of its own for a test, and whole files in and out of it. */
#ifndef KEYLINE_TESTS_SCRATCH_H
#define KEYLINE_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

struct scratch {
    char folder[128];
};

void scratch_make(struct scratch *s);
void scratch_remove(struct scratch *s); /* with everything in it */
/* "folder/name", in one of a few buffers that are used in turn. */
const char *scratch_path(const struct scratch *s, const char *name);

void file_write(const char *path, const void *data, size_t size);
void file_put(const char *path, const char *text);
/* All of it, with a NUL behind; the caller frees it. NULL if it is not there. */
char *file_read(const char *path, size_t *size);
bool file_is(const char *path, const char *text);

#endif
