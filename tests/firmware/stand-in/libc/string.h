/* What firmware/provisioning uses of a board's C library, for compilers that come without one. */
#ifndef STAND_IN_STRING_H
#define STAND_IN_STRING_H

#include <stddef.h>

void *memchr(const void *data, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *data, int byte, size_t size);
size_t strlen(const char *text);

#endif
