/* buffer.h: bytes that wait to be written somewhere. The buffer grows as it must, and ends the
   program if it can't. */
#ifndef KEYLINE_BUFFER_H
#define KEYLINE_BUFFER_H

#include <stddef.h>

/* All zero: empty. `data` is the buffer's own; it moves when bytes are added. */
struct kl_buffer {
    char *data;
    size_t size, capacity;
};

void kl_buffer_add(struct kl_buffer *b, const void *data, size_t size);
void kl_buffer_free(struct kl_buffer *b); /* empty again afterwards */

#endif
