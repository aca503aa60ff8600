/*
 * older.c: a station says once that another program has replaced its own. It goes on as it is, but
 * people have to know that the installed version is another one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faces/faces.h"

struct older {
    struct kl_shell *sh;
    uv_fs_event_t watch;
};

static bool is_replaced(void)
{
    static const char gone[] = " (deleted)";
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);

    return n >= (ssize_t)sizeof gone &&
           memcmp(path + n + 1 - sizeof gone, gone, sizeof gone - 1) == 0;
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct older *o = watch->data;

    (void)name;
    (void)events;
    (void)status;
    if (!is_replaced())
        return;
    uv_fs_event_stop(watch);
    kl_shell_note(
        o->sh, "keyline was replaced by another version: this station goes on as " KEYLINE_VERSION
               " until it is started again");
}

struct older *older_create(struct kl_shell *sh)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    struct older *o = n > 0 ? calloc(1, sizeof *o) : NULL;

    if (!o)
        return NULL;
    path[n] = '\0';
    o->sh = sh;
    o->watch.data = o;
    uv_fs_event_init(kl_shell_loop(sh), &o->watch);
    uv_fs_event_start(&o->watch, on_change, path,
                      0); /* if this fails, only the notice is missing */
    return o;
}

void older_close(struct older *o)
{
    if (o)
        uv_close((uv_handle_t *)&o->watch, NULL);
}

void older_free(struct older *o)
{
    free(o);
}
