/*
 * sink.h: text on its way to a file, a pipe or a terminal that may be slow, full or stopped: the
 * loop never waits for it.
 */
#ifndef KEYLINE_SINK_H
#define KEYLINE_SINK_H

#include <uv.h>

#include "keyline/base.h"

struct kl_sink;

/* Called on the loop when writing went wrong, once per kind of trouble, and with "" when it works
   again. */
typedef void kl_sink_trouble_fn(void *ctx, const char *text);

/* Takes `fd` over if `owned`. `name` is for the trouble's text. NULL if memory is out. */
struct kl_sink *kl_sink_create(uv_loop_t *loop, int fd, bool owned, const char *name,
                               kl_sink_trouble_fn *trouble, void *ctx);
/* Renames a file that has grown to `bytes` to PATH.1, the one of that name to PATH.2, up to `kept`
   of them, and begins a new one. Leaves alone a file that no longer has this name: somebody else
   looks after it. */
void kl_sink_rotate(struct kl_sink *s, const char *path, uint64_t bytes, unsigned kept);
/* Queues a copy of whole lines. The sink drops and counts what exceeds the limit of 4 MiB. */
void kl_sink_write(struct kl_sink *s, const char *lines, size_t size);
bool kl_sink_busy(const struct kl_sink *s);
/* False if a write still hangs; the sink then stays as it is, and only _exit ends the program. */
bool kl_sink_free(struct kl_sink *s);

#endif
