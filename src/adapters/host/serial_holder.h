/* serial_holder.h: who has a device open. Reads /proc: for workers. */
#ifndef KEYLINE_ADAPTERS_SERIAL_HOLDER_H
#define KEYLINE_ADAPTERS_SERIAL_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* "name (pid 123)"; false if no process that this user may see has it open. */
bool kl_serial_holder(const char *path, char *out, size_t size);

#endif
