/*
 * harmless.h: the lines that can be no part of a key, whatever board says them. Everything else
 * that a board which may hold a key says is hidden (console.h). To let another line be seen, add it
 * here.
 */
#ifndef KEYLINE_HARMLESS_H
#define KEYLINE_HARMLESS_H

#include "keyline/base.h"

/* A log line of ESP-IDF's own parts, a crash report's line without memory in it, an error that
   firmware/provisioning prints. */
bool kl_harmless(const char *line, size_t size);
/* A line of a chip's ROM or bootloader: only between a start-up banner and the program's first
   line, because programs may print the like of it. */
bool kl_harmless_at_start(const char *line, size_t size);
/* May this stand before a hidden value? Only well-known names: it could be a value itself. */
bool kl_harmless_name(struct kl_span name);

#endif
