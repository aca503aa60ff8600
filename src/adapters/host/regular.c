#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder, not a file";
    case S_IFIFO:
        return "a named pipe, not a file";
    case S_IFSOCK:
        return "a socket, not a file";
    default:
        return "a device, not a file";
    }
}

int kl_open_regular(const char *path, const char **trouble)
{
    struct stat st;
    int fd, flags;

    *trouble = "";
    /* We do not open what stat shows to be something else: opening alone moves some devices. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        *trouble = kind_of(st.st_mode);
        errno = EINVAL;
        return -1;
    }
    /* Without O_NONBLOCK, a pipe that has just taken the file's place would hold us here. */
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0) {
        *trouble = strerror(errno);
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        *trouble = kind_of(st.st_mode);
        close(fd);
        errno = EINVAL;
        return -1;
    }
    if ((flags = fcntl(fd, F_GETFL)) >= 0)
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

FILE *kl_fopen_regular(const char *path, const char **trouble)
{
    int fd = kl_open_regular(path, trouble);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");

    if (fd >= 0 && !file) {
        *trouble = strerror(errno);
        close(fd);
    }
    return file;
}
