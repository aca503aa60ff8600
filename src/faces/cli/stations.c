#include "stations.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ANSWER_MS = 3000
};

/* ---- the links ---- */

static bool folder_of_links(char out[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;

    if (state && state[0] == '/')
        n = snprintf(out, PATH_MAX, "%s/keyline/stations", state);
    else if (home && home[0] == '/')
        n = snprintf(out, PATH_MAX, "%s/.local/state/keyline/stations", home);
    else
        return false;
    if (n < 0 || n >= PATH_MAX)
        return false;
    for (char *slash = strchr(out + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(out, 0700);
        *slash = '/';
    }
    mkdir(out, 0700);
    return access(out, W_OK | X_OK) == 0;
}

/* Two CSVs never share a link: its name is made of the path. */
static bool link_of(const char *csv, char real[PATH_MAX], char out[PATH_MAX])
{
    char folder[PATH_MAX];
    unsigned long long h = 0xcbf29ce484222325u;
    int n;

    if (!realpath(csv, real) || !folder_of_links(folder))
        return false;
    for (const char *c = real; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    n = snprintf(out, PATH_MAX, "%s/%016llx", folder, h);
    return n > 0 && n < PATH_MAX;
}

void stations_enter(const char *csv)
{
    char real[PATH_MAX], name[PATH_MAX];

    if (!link_of(csv, real, name))
        return;
    unlink(name);
    if (symlink(real, name) != 0)
        return; /* `keyline list` will not find this station */
}

void stations_leave(const char *csv)
{
    char real[PATH_MAX], name[PATH_MAX];

    if (link_of(csv, real, name))
        unlink(name);
}

/* ---- asking ---- */

static bool read_line(int fd, char *line)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    for (size_t used = 0; used + 1 < KL_WIRE_LINE_MAX; used++) {
        if (poll(&wait, 1, ANSWER_MS) != 1 || read(fd, line + used, 1) != 1)
            return false;
        line[used + 1] = '\0';
        if (line[used] == '\n')
            return true;
    }
    return false;
}

static bool next(int fd, char *line, struct kl_snapshot *snap, struct kl_wire_message *out,
                 enum kl_wire_kind kind)
{
    return read_line(fd, line) && kl_wire_decode(line, strlen(line) - 1, snap, out) &&
           out->kind == kind;
}

bool stations_ask(const char *csv, struct kl_wire_hello *hello, struct kl_snapshot *snap)
{
    static struct kl_wire_message message;
    static struct kl_snapshot seen;
    char *line = malloc(KL_WIRE_LINE_MAX);
    int fd = kl_wire_connect(csv);
    bool good;

    memset(&seen, 0, sizeof seen);
    good = line && fd >= 0 && next(fd, line, &seen, &message, KL_WIRE_HELLO);
    if (good)
        *hello = message.u.hello;
    if (good && snap) {
        good = next(fd, line, &seen, &message, KL_WIRE_SNAPSHOT);
        *snap = seen;
    }
    if (fd >= 0)
        close(fd);
    free(line);
    return good;
}

static unsigned busy_of(const struct kl_snapshot *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->slot_count; i++)
        n += s->slot[i].state > KL_ST_SETTLING && s->slot[i].state < KL_ST_DONE;
    return n;
}

static void look_at(struct stations *all, const char *csv)
{
    static struct kl_wire_hello hello;
    static struct kl_snapshot snap;

    if (!stations_ask(csv, &hello, &snap))
        return;
    kl_copy(all->item[all->count].csv, sizeof all->item[0].csv, csv);
    kl_copy(all->item[all->count].project, sizeof all->item[0].project, hello.project);
    kl_copy(all->item[all->count].version, sizeof all->item[0].version, hello.project_version);
    all->item[all->count].slots = snap.slot_count;
    all->item[all->count].busy = busy_of(&snap);
    all->item[all->count].keys_left = snap.keys.free;
    all->item[all->count].forgets = snap.forgets;
    all->item[all->count++].since = hello.since;
}

void stations_find(struct stations *out)
{
    char folder[PATH_MAX], csv[PATH_MAX];
    DIR *dir = folder_of_links(folder) ? opendir(folder) : NULL;
    struct dirent *e;

    out->count = 0;
    while (dir && (e = readdir(dir)) && out->count < STATIONS_MAX) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, csv, sizeof csv - 1);
        unsigned before = out->count;
        if (n <= 0)
            continue;
        csv[n] = '\0';
        look_at(out, csv);
        if (out->count == before)
            unlinkat(dirfd(dir), e->d_name, 0); /* its station is dead */
    }
    if (dir)
        closedir(dir);
}
