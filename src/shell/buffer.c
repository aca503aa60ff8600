/* buffer.c: see keyline/buffer.h. */
#include "keyline/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "keyline/base.h"

void kl_buffer_add(struct kl_buffer *b, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->data = realloc(b->data, b->capacity);
        KL_ASSERT(b->data);
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void kl_buffer_free(struct kl_buffer *b)
{
    free(b->data);
    *b = (struct kl_buffer){0};
}
