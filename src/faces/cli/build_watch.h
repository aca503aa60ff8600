/*
 * build_watch.h: are the images on disk still those that are being flashed? A worker looks every
 * two seconds, and reads the images only if one of the files has changed.
 */
#ifndef KEYLINE_BUILD_WATCH_H
#define KEYLINE_BUILD_WATCH_H

#include <uv.h>

#include "keyline/bundle_load.h"

struct build_watch;

/* What the files look like from outside; taken before they are read. */
uint64_t build_watch_sign(const struct kl_bundle_options *options);
/* `options` and what they point to have to stay. `changed` is called on the loop, whenever the
   answer changes. */
struct build_watch *build_watch_create(uv_loop_t *loop, const struct kl_bundle_options *options,
                                       const struct kl_bundle *flashed, uint64_t signature,
                                       void (*changed)(void *ctx, bool stale), void *ctx);
/* Close it before the loop's last run, free it after that run; false if a worker still reads. */
void build_watch_close(struct build_watch *w);
bool build_watch_free(struct build_watch *w);

#endif
