#include "build_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOK_MS = 2000
};

struct build_watch {
    uv_timer_t timer;
    uv_work_t work;
    bool working, closing, stale, found_stale;
    const struct kl_bundle_options *options;
    uint8_t digest[32];
    uint64_t signature; /* of the files when they were last read */
    struct kl_bundle_report report;
    void (*changed)(void *ctx, bool stale);
    void *ctx;
};

static uint64_t mix(uint64_t h, const void *data, size_t size)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < size; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

static uint64_t mix_file(uint64_t h, int folder, const char *name)
{
    struct stat st;

    if (fstatat(folder, name, &st, 0) != 0 || !S_ISREG(st.st_mode))
        return h;
    h = mix(h, name, strlen(name));
    h = mix(h, &st.st_size, sizeof st.st_size);
    h = mix(h, &st.st_ino, sizeof st.st_ino);
    return mix(h, &st.st_mtim, sizeof st.st_mtim);
}

static bool is_image(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot &&
           (strcmp(dot, ".bin") == 0 || strcmp(dot, ".json") == 0 || strcmp(dot, ".hex") == 0);
}

/* The order of the files must not count: a folder lists them in any order. */
static uint64_t mix_folder(uint64_t h, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (is_image(e->d_name))
            h ^= mix_file(0xcbf29ce484222325u, dirfd(dir), e->d_name);
    if (dir)
        closedir(dir);
    return h;
}

/* For a file, all images beside it count too: bootloader and partition table lie there. */
static uint64_t mix_path(uint64_t h, const char *path)
{
    char copy[PATH_MAX];
    struct stat st;

    h = mix_file(h, AT_FDCWD, path);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return mix_folder(h, path);
    kl_copy(copy, sizeof copy, path);
    return mix_folder(h, dirname(copy));
}

uint64_t build_watch_sign(const struct kl_bundle_options *o)
{
    uint64_t h = 0xcbf29ce484222325u;

    if (o->firmware)
        h = mix_path(h, o->firmware);
    for (unsigned i = 0; i < o->image_count; i++) {
        const char *colon = strchr(o->images[i], ':');
        h = mix_file(h, AT_FDCWD, colon ? colon + 1 : o->images[i]);
    }
    return h;
}

static void look(uv_work_t *work)
{
    struct build_watch *w = work->data;
    uint64_t signature = build_watch_sign(w->options);
    struct kl_bundle *b;

    if (signature == w->signature)
        return;
    b = kl_bundle_load(w->options, &w->report);
    w->found_stale = !b || memcmp(b->digest, w->digest, sizeof w->digest) != 0;
    kl_bundle_free(b);
    w->signature = signature; /* a write since then changes the signature again */
}

static void looked(uv_work_t *work, int status)
{
    struct build_watch *w = work->data;

    (void)status;
    w->working = false;
    if (w->closing || w->found_stale == w->stale)
        return;
    w->stale = w->found_stale;
    w->changed(w->ctx, w->stale);
}

static void on_timer(uv_timer_t *timer)
{
    struct build_watch *w = timer->data;

    if (!w->working)
        w->working = uv_queue_work(timer->loop, &w->work, look, looked) == 0;
}

struct build_watch *build_watch_create(uv_loop_t *loop, const struct kl_bundle_options *options,
                                       const struct kl_bundle *flashed, uint64_t signature,
                                       void (*changed)(void *ctx, bool stale), void *ctx)
{
    struct build_watch *w = calloc(1, sizeof *w);

    KL_ASSERT(w);
    w->options = options;
    memcpy(w->digest, flashed->digest, sizeof w->digest);
    w->signature = signature;
    w->changed = changed;
    w->ctx = ctx;
    w->work.data = w;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_timer, LOOK_MS, LOOK_MS);
    return w;
}

void build_watch_close(struct build_watch *w)
{
    w->closing = true;
    uv_close((uv_handle_t *)&w->timer, NULL);
}

bool build_watch_free(struct build_watch *w)
{
    bool gone = !w->working;

    if (gone)
        free(w);
    return gone;
}
