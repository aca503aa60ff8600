/*
 * secret.h: where key bytes may be: in memory that no core image holds, that is not swapped out
 * where the limits allow it, and that is wiped when it is given back.
 *
 * Key bytes pass over stacks, and nobody wipes what they leave there. So core images leave out
 * stacks as a whole.
 */
#ifndef KEYLINE_SECRET_H
#define KEYLINE_SECRET_H

#include <stddef.h>

/* Zeroed; whole pages, so few and large. NULL if there is none. */
void *kl_secret_alloc(size_t size);
void kl_secret_free(void *memory, size_t size);
/* Moves the bytes and wipes the old memory. NULL if there is no memory; the old one stays then. */
void *kl_secret_grow(void *memory, size_t size, size_t new_size);

/* For each thread that handles keys, before the first; costs nothing from the second call on. */
void kl_secret_stack(void);
/* For the process, in its first thread: no core images, and only root can look into it. */
void kl_secret_process(void);

#endif
