/* export_file.c: a file that appears whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "keyline/export.h"

enum {
    TRIES = 100,
};

static bool cant(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: %s: %s", kl_shown(path), what, strerror(errno));
    return false;
}

static bool is_there(const char *path, char error[KL_TEXT_MAX])
{
    struct stat st;

    if (lstat(path, &st) != 0 && errno == ENOENT)
        return false;
    kl_format(error, KL_TEXT_MAX, "%s exists, and is never written over", kl_shown(path));
    return true;
}

/* Without a name, where the file system can; else under a name that nobody else has. */
static bool open_new(struct kl_export_file *f, mode_t mode)
{
    const char *slash = strrchr(f->path, '/');
    char folder[sizeof f->path + 2];

    snprintf(folder, sizeof folder, "%.*s.", slash ? (int)(slash - f->path) + 1 : 0, f->path);
    f->temporary[0] = '\0';
    f->fd = kl_disk->nameless(folder, mode);
    if (f->fd >= 0 || errno != EOPNOTSUPP)
        return f->fd >= 0;
    for (int i = 0; i < TRIES && f->fd < 0; i++) {
        snprintf(f->temporary, sizeof f->temporary, "%s.%ld-%d.new", f->path, (long)getpid(), i);
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (f->fd < 0 && errno != EEXIST)
            break;
    }
    if (f->fd < 0)
        f->temporary[0] = '\0';
    return f->fd >= 0;
}

void kl_export_file_drop(struct kl_export_file *f)
{
    if (f->temporary[0] != '\0')
        unlink(f->temporary);
    f->temporary[0] = '\0';
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

bool kl_export_file_write(struct kl_export_file *f, const char *path, bool secret, const void *data,
                          size_t size, char error[KL_TEXT_MAX])
{
    *f = (struct kl_export_file){.fd = -1};
    if (!kl_copy(f->path, sizeof f->path, path)) {
        kl_copy(error, KL_TEXT_MAX, "the path is too long");
        return false;
    }
    if (is_there(path, error))
        return false;
    if (!open_new(f, secret ? 0600 : 0644))
        return cant(path, "can't be made", error);
    if ((secret && fchmod(f->fd, 0600) != 0) || !kl_disk_write_all(f->fd, data, size) ||
        kl_disk->sync(f->fd) != 0) {
        cant(path, "can't be written, so nothing is", error);
        kl_export_file_drop(f);
        return false;
    }
    return true;
}

static int give_name(struct kl_export_file *f)
{
    char self[64];
    int rc;

    if (f->temporary[0] == '\0') {
        snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
        return linkat(AT_FDCWD, self, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW);
    }
    rc = renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_NOREPLACE);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS) && (rc = link(f->temporary, f->path)) == 0)
        unlink(f->temporary);
    if (rc == 0)
        f->temporary[0] = '\0';
    return rc;
}

bool kl_export_file_name(struct kl_export_file *f, char error[KL_TEXT_MAX])
{
    bool named = give_name(f) == 0;

    if (!named && errno == EEXIST)
        is_there(f->path, error);
    else if (!named)
        cant(f->path, "can't be named, so nothing is written", error);
    else if (kl_disk->sync_folder(f->path) != 0) {
        named = cant(f->path, "can't be made safe from a power cut, so nothing is written", error);
        unlink(f->path);
    }
    kl_export_file_drop(f);
    return named;
}
