/* secret.h: memory for key bytes: zeroed, left out of core images, wiped when given back. */
#ifndef KEYLINE_ADAPTERS_SECRET_H
#define KEYLINE_ADAPTERS_SECRET_H

#include <stddef.h>

void *kl_secret_alloc(size_t size); /* NULL if there is none */
void kl_secret_free(void *memory, size_t size);

#endif
