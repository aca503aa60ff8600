#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 4096,
    PROBES = 5,
};
static const kl_us AT_ONCE = 40; /* no spinning disk and no card is that fast */

static const struct kind {
    unsigned long magic;
    enum kl_storage_kind kind;
    const char *text;
} kinds[] = {
    {MSDOS_SUPER_MAGIC, KL_STORAGE_FORGETS, "a FAT file system: it does not survive a power loss"},
    {0x2011bab0, KL_STORAGE_FORGETS, "an exFAT file system: it does not survive a power loss"},
    {TMPFS_MAGIC, KL_STORAGE_FORGETS, "memory (tmpfs): gone after a restart"},
    {RAMFS_MAGIC, KL_STORAGE_FORGETS, "memory (ramfs): gone after a restart"},
    {NFS_SUPER_MAGIC, KL_STORAGE_SHARED, "a network file system (NFS)"},
    {SMB_SUPER_MAGIC, KL_STORAGE_SHARED, "a network file system (SMB)"},
    {0xff534d42, KL_STORAGE_SHARED, "a network file system (CIFS)"},
    {0xfe534d42, KL_STORAGE_SHARED, "a network file system (SMB2)"},
    {0x65735546, KL_STORAGE_STRANGE,
     "a FUSE mount (such as sshfs): its locks hold in this mount only"},
    {V9FS_MAGIC, KL_STORAGE_STRANGE, "a 9p mount of a virtual machine: its locks hold in it only"},
    {AFS_SUPER_MAGIC, KL_STORAGE_STRANGE, "AFS: its locks can't be relied on"},
    {CODA_SUPER_MAGIC, KL_STORAGE_STRANGE, "Coda: its locks can't be relied on"},
};

static void folder_of(const char *path, char out[PATH_MAX])
{
    kl_copy(out, PATH_MAX, path);
    char *slash = strrchr(out, '/');
    if (!slash)
        kl_copy(out, PATH_MAX, ".");
    else
        slash[slash == out ? 1 : 0] = '\0';
}

static const struct kind *kind_of(const char *path)
{
    struct statfs f;

    if (statfs(path, &f) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].magic == ((unsigned long)f.f_type & 0xffffffff))
            return &kinds[i];
    return NULL;
}

/* ---- what the mount says ---- */

struct mount {
    char point[LINE], type[64], options[LINE];
};

/* The kernel writes blanks in a mount point as \\040. */
static void unescape(char *text)
{
    char *out = text;

    for (const char *p = text; *p != '\0'; p++) {
        if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
            *out++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 3;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
}

/* "36 35 98:0 /root /mnt/point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue" */
static bool read_mount(char *line, struct mount *m)
{
    char *word[6], *rest = strstr(line, " - "), *save = NULL;

    if (!rest)
        return false;
    *rest = '\0';
    for (int i = 0; i < 6; i++)
        if (!(word[i] = strtok_r(i == 0 ? line : NULL, " ", &save)))
            return false;
    kl_copy(m->point, sizeof m->point, word[4]);
    unescape(m->point);
    snprintf(m->options, sizeof m->options, "%.2000s", word[5]);
    save = NULL;
    char *type = strtok_r(rest + 3, " ", &save), *source = strtok_r(NULL, " ", &save);
    char *more = !source ? NULL : strtok_r(NULL, " \n", &save);
    kl_copy(m->type, sizeof m->type, !type ? "" : type);
    if (more) {
        size_t used = strlen(m->options);
        snprintf(m->options + used, sizeof m->options - used, ",%.2000s", more);
    }
    return true;
}

static bool is_below(const char *path, const char *point)
{
    size_t size = strlen(point);

    return strncmp(path, point, size) == 0 &&
           (path[size] == '\0' || path[size] == '/' || (size == 1 && point[0] == '/'));
}

/* The mount that a real path lies in: the longest mount point, and of equal ones the last. */
static bool find_mount(const char *real, struct mount *out)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE];
    struct mount m;
    bool found = false;

    while (file && fgets(line, sizeof line, file)) {
        if (!read_mount(line, &m) || !is_below(real, m.point) ||
            (found && strlen(m.point) < strlen(out->point)))
            continue;
        *out = m;
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

static bool has_option(const char *options, const char *name)
{
    size_t size = strlen(name);

    for (const char *p = options; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, name, size) == 0 && (p[size] == '\0' || p[size] == ','))
            return true;
    }
    return false;
}

static void forgets(struct kl_storage *out, const char *text)
{
    out->kind = KL_STORAGE_FORGETS;
    kl_copy(out->text, sizeof out->text, text);
}

/* Makes a file without a name in this folder. Older overlays can't: then, if it `may`, the file has
   a name for an instant. */
static int open_nameless(const char *folder, bool may)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char name[PATH_MAX + 32];

    if (fd >= 0 || !may)
        return fd;
    snprintf(name, sizeof name, "%s/.keyline-probe-XXXXXX", folder);
    if ((fd = mkostemp(name, O_CLOEXEC)) >= 0)
        unlink(name);
    return fd;
}

/* A file that we write here gets no blocks on any disk. */
static bool has_no_blocks(const char *folder, bool may)
{
    int fd = open_nameless(folder, may);
    struct fiemap map = {.fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC};
    bool none = fd >= 0 && write(fd, "keyline", 7) == 7 && ioctl(fd, FS_IOC_FIEMAP, &map) != 0 &&
                (errno == EOPNOTSUPP || errno == ENOTTY);

    if (fd >= 0)
        close(fd);
    return none;
}

/* Raspberry Pi OS offers, in its settings, an upper layer in memory. Often no path leads to that
   layer any more. */
static void look_at_overlay(const char *folder, bool probe, const struct mount *m,
                            struct kl_storage *out)
{
    const char *upper = strstr(m->options, "upperdir=");
    char path[LINE];
    const struct kind *k;

    if (has_option(m->options, "volatile")) {
        forgets(out, "an overlay that does not sync (volatile): gone after a power loss");
        return;
    }
    if (!upper)
        return;
    if (has_no_blocks(folder, probe)) {
        forgets(out, "an overlay whose upper layer is memory: gone after a restart");
        return;
    }
    kl_copy(path, sizeof path, upper + strlen("upperdir="));
    path[strcspn(path, ",")] = '\0';
    k = kind_of(path);
    if (k && k->kind == KL_STORAGE_FORGETS)
        forgets(out, "an overlay whose upper layer is memory: gone after a restart");
}

static void look_at_mount(const char *real, bool probe, struct kl_storage *out)
{
    struct mount m;

    if (!find_mount(real, &m))
        return;
    if (strcmp(m.type, "overlay") == 0) {
        look_at_overlay(real, probe, &m, out);
    } else if (has_option(m.options, "nobarrier") || has_option(m.options, "barrier=0")) {
        out->kind = KL_STORAGE_LIES;
        kl_copy(out->text, sizeof out->text,
                "mounted without barriers (nobarrier): a power loss undoes what was synced");
    }
}

/* ---- what a sync does ---- */

static bool sync_is_none(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    bool found = false;

    while (maps && !found && fgets(line, sizeof line, maps))
        found = strstr(line, "eatmydata");
    if (maps)
        fclose(maps);
    return found;
}

static bool read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    bool ok = file && fgets(out, (int)size, file);

    if (file)
        fclose(file);
    return ok;
}

/* A spinning disk or a card: its sync takes milliseconds. */
static bool is_slow_disk(dev_t dev)
{
    char path[128], real[PATH_MAX], word[16] = "";

    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(dev), minor(dev));
    if (!realpath(path, real))
        return false;
    if (strstr(real, "/mmcblk"))
        return true;
    if (strstr(real, "/virtio"))
        return false; /* whatever disk is behind it */
    for (int up = 0; up < 2; up++) {
        char name[PATH_MAX + 32];
        snprintf(name, sizeof name, "%s/queue/rotational", real);
        if (read_line(name, word, sizeof word))
            return word[0] == '1';
        char *slash = strrchr(real, '/');
        if (slash)
            *slash = '\0';
    }
    return false;
}

static kl_us now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return KL_SEC(t.tv_sec) + t.tv_nsec / 1000;
}

/* Writes a few new blocks and syncs each; returns the longest sync. */
static kl_us slowest_sync(const char *folder)
{
    int fd = open_nameless(folder, false);
    char block[4096] = {1};
    kl_us slowest = fd < 0 ? KL_NEVER : 0;

    for (int i = 0; fd >= 0 && i < PROBES; i++) {
        kl_us began = now_us();
        if (pwrite(fd, block, sizeof block, (off_t)i * (off_t)sizeof block) < 0 || fsync(fd) != 0)
            slowest = KL_NEVER;
        else if (now_us() - began > slowest)
            slowest = now_us() - began;
    }
    if (fd >= 0)
        close(fd);
    return slowest;
}

void kl_storage_look(const char *path, bool probe, struct kl_storage *out)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const struct kind *k;
    struct stat st;

    *out = (struct kl_storage){.kind = KL_STORAGE_KEEPS};
    folder_of(path, folder);
    if (!realpath(folder, real))
        return;
    if ((k = kind_of(real))) {
        out->kind = k->kind;
        kl_copy(out->text, sizeof out->text, k->text);
        return;
    }
    look_at_mount(real, probe, out);
    if (out->kind != KL_STORAGE_KEEPS)
        return;
    if (sync_is_none()) {
        out->kind = KL_STORAGE_LIES;
        kl_copy(out->text, sizeof out->text, "written through eatmydata: nothing is synced");
    } else if (probe && stat(real, &st) == 0 && is_slow_disk(st.st_dev) &&
               slowest_sync(real) < AT_ONCE) {
        out->kind = KL_STORAGE_LIES;
        kl_copy(out->text, sizeof out->text,
                "on a disk that says it has synced faster than it can");
    }
}

bool kl_storage_is_mounted_file(const char *path)
{
    struct mount m;

    return find_mount(path, &m) && strcmp(m.point, path) == 0;
}
