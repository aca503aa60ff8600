#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage.h"

static int sync_folder(const char *of_file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(of_file, '/');
    int length = !slash ? 0 : (int)(slash - of_file) + 1;
    int fd, rc, saved;

    snprintf(folder, sizeof folder, "%.*s.", length, of_file);
    if ((fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return -1;
    rc = fsync(fd);
    saved = errno;
    close(fd);
    errno = saved;
    /* Some network file systems can't sync a folder; their rename is durable by itself. */
    return rc < 0 && errno == EINVAL ? 0 : rc;
}

static int exchange(const char *a, const char *b)
{
    int rc = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);

    if (rc != 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
        errno = EINVAL;
    return rc;
}

static int lease(int fd)
{
    return fcntl(fd, F_SETLEASE, F_RDLCK);
}

static int nameless(const char *folder, mode_t mode)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

    /* What older kernels and other file systems say. */
    if (fd < 0 && (errno == EISDIR || errno == EINVAL || errno == ENOENT))
        errno = EOPNOTSUPP;
    return fd;
}

const struct kl_disk kl_disk_real = {
    .write = write,
    .sync = fsync,
    .sync_data = fdatasync,
    .rename = rename,
    .exchange = exchange,
    .lease = lease,
    .room = fstatvfs,
    .sync_folder = sync_folder,
    .nameless = nameless,
    .look = kl_storage_look,
};
const struct kl_disk *kl_disk = &kl_disk_real;

const char *kl_shown(const char *path)
{
    enum {
        ROOM = 120
    };
    size_t size = strlen(path);

    return path + (size > ROOM ? size - ROOM : 0);
}

bool kl_disk_write_all(int fd, const void *data, size_t size)
{
    const char *bytes = data;

    while (size > 0) {
        ssize_t n = kl_disk->write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}
