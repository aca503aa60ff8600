/*
 * hotplug.c: every 250 ms, on a worker: did anything about the serial ports change, and if so, what
 * is there now? Listing them costs 20 ms and more. So hotplug lists them only when the tty devices
 * of sysfs or their nodes in /dev look different than before, and now and then to be sure.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell_private.h"

enum {
    POLL_MS = 250,
    LIST_ANYWAY_S = 5,
    DENIED_S = 2,
    HOLDER_S = 1,
};

/* ---- on the worker ---- */

/* Tells one appearance of a device node from the next; 0 if there is none. */
static uint64_t node_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISCHR(st.st_mode))
        return 0;
    return kl_hash_more(kl_hash(&st.st_ino, sizeof st.st_ino), &st.st_rdev, sizeof st.st_rdev);
}

static uint64_t mix_device(uint64_t hash, const char *path)
{
    uint64_t node = node_of(path);
    int access_now = access(path, R_OK | W_OK);

    hash = kl_hash_more(hash, &node, sizeof node);
    return kl_hash_more(hash, &access_now, sizeof access_now);
}

/* tty0, tty63: the consoles, of which there are many and none is a port. */
static bool is_console(const char *name)
{
    return name[0] == '.' ||
           (strncmp(name, "tty", 3) == 0 && strspn(name + 3, "0123456789") == strlen(name + 3));
}

static uint64_t world_signature(const struct hotplug *h)
{
    DIR *dir = opendir("/sys/class/tty");
    uint64_t hash = KL_HASH_START;
    char path[PATH_MAX], target[PATH_MAX];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (is_console(e->d_name))
            continue;
        snprintf(path, sizeof path, "/sys/class/tty/%s", e->d_name);
        ssize_t size = readlink(path, target, sizeof target);
        hash = kl_hash_more(hash, target, size > 0 ? (size_t)size : 0);
        snprintf(path, sizeof path, "/dev/%s", e->d_name);
        hash = mix_device(hash, path);
    }
    if (dir)
        closedir(dir);
    for (unsigned i = 0; i < h->path_count; i++)
        hash = mix_device(hash, h->paths[i]);
    return hash;
}

static bool is_denied(const char *path)
{
    return access(path, R_OK | W_OK) != 0;
}

/* udev gives a new node its group a moment after the node has appeared. Until then we wait with the
   port. */
static bool is_ready(struct hotplug *h, bool denied, kl_us now)
{
    if (!denied || now - h->changed_at > KL_SEC(DENIED_S))
        return true;
    h->look_again = true;
    return false;
}

static int see_listed(struct hotplug *h, kl_us now)
{
    struct kl_port_info *info = calloc(HOTPLUG_PORTS_MAX, sizeof *info);
    int listed = info ? kl_ports_list(info, HOTPLUG_PORTS_MAX, h->rules) : -1;
    int count = 0;

    for (int i = 0; i < listed && i < HOTPLUG_PORTS_MAX; i++) {
        uint64_t node = node_of(info[i].path);
        bool denied = is_denied(info[i].path);
        if (node && is_ready(h, denied, now))
            h->seen[count++] = (struct seen_port){info[i], -1, node, denied};
    }
    free(info);
    return listed < 0 ? -1 : count;
}

/* We use a device file that the operator named, whatever it is, also through a symbolic link. */
static bool see_named(struct hotplug *h, int named, int listed, kl_us now, struct seen_port *out)
{
    char real[PATH_MAX];
    uint64_t node;
    bool denied;

    if (!realpath(h->paths[named], real) || !(node = node_of(real)))
        return false;
    denied = is_denied(real);
    if (!is_ready(h, denied, now))
        return false;
    *out = (struct seen_port){.named = named, .node = node, .denied = denied};
    for (int i = 0; i < listed; i++)
        if (strcmp(h->seen[i].info.path, real) == 0)
            out->info = h->seen[i].info;
    if (!out->info.path[0])
        out->info.link = KL_LINK_SERIAL;
    kl_copy(out->info.path, sizeof out->info.path, real);
    out->info.usable = true;
    return true;
}

static void look_at_ports(struct hotplug *h)
{
    kl_us now = (kl_us)(uv_hrtime() / 1000);
    uint64_t signature = world_signature(h);
    int listed, count;

    if (signature == h->signature && !h->look_again && now - h->listed_at < KL_SEC(LIST_ANYWAY_S))
        return;
    if (signature != h->signature)
        h->changed_at = now;
    h->look_again = false;
    listed = count = see_listed(h, now);
    if (listed < 0)
        return;
    for (unsigned i = 0; i < h->path_count; i++)
        count += see_named(h, (int)i, listed, now, &h->seen[count]);
    h->count = count;
    h->signature = signature;
    h->listed_at = now;
}

static void on_work(uv_work_t *work)
{
    struct hotplug *h = work->data;

    h->count = -1;
    look_at_ports(h);
    if (h->watched.path[0])
        h->watched.held = kl_port_is_held(h->watched.path);
}

/* ---- on the loop ---- */

/* One busy port at a time: to find out who holds it all of /proc is read. */
static void choose_watched(struct kl_shell *sh, struct hotplug *h)
{
    h->watched.path[0] = '\0';
    if (sh->now - h->watched_at < KL_SEC(HOLDER_S) ||
        !bench_busy_port(sh, h->watched_slot, &h->watched))
        return;
    h->watched_at = sh->now;
    h->watched_slot = h->watched.slot;
}

static void on_worked(uv_work_t *work, int status)
{
    struct hotplug *h = work->data;
    struct kl_shell *sh = h->timer.data;

    (void)status;
    h->working = false;
    if (h->count >= 0 && !h->stopped)
        bench_saw(sh, h->seen, (unsigned)h->count);
    if (h->watched.path[0] && !h->stopped)
        bench_saw_holder(sh, &h->watched);
}

static void on_timer(uv_timer_t *timer)
{
    struct kl_shell *sh = timer->data;
    struct hotplug *h = &sh->hotplug;

    if (h->working)
        return;
    choose_watched(sh, h);
    h->working = true;
    uv_queue_work(timer->loop, &h->work, on_work, on_worked);
}

void start_hotplug(struct kl_shell *sh)
{
    struct hotplug *h = &sh->hotplug;

    h->rules = &sh->options.rules;
    h->work.data = h;
    uv_timer_init(sh->loop, &h->timer);
    h->timer.data = sh;
    uv_timer_start(&h->timer, on_timer, 1, POLL_MS);
}

void stop_hotplug(struct kl_shell *sh)
{
    sh->hotplug.stopped = true;
    if (sh->hotplug.timer.loop)
        uv_timer_stop(&sh->hotplug.timer);
}
