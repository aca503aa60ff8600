/* wire_private.h: shared by wire*.c. */
#ifndef KEYLINE_WIRE_PRIVATE_H
#define KEYLINE_WIRE_PRIVATE_H

#include <jansson.h>

#include "wire.h"

/* A newline-ended line to free(); consumes `object`. NULL if memory is out. */
char *wire_line(json_t *object);
/* "" if there is no such text. */
const char *wire_text(const json_t *object, const char *name);
enum kl_state wire_state(const char *name);
enum kl_reason wire_reason(const char *name);

/* wire_stats.c */
void wire_decode_stats(const json_t *o, struct kl_stats_view *out);

#endif
