#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host/disk.h"

void kl_lock_init(struct kl_lock *l)
{
    memset(l, 0, sizeof *l);
    l->fd = l->csv_fd = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* "pid 812, user ada, host bench3, since 2026-03-01 07:55:10" */
static void say_who(int fd)
{
    char host[64] = "?", since[32], line[KL_TEXT_MAX], space[1024];
    struct passwd entry, *user = NULL;
    time_t now = time(NULL);
    struct tm local;
    int size;

    getpwuid_r(geteuid(), &entry, space, sizeof space, &user);
    gethostname(host, sizeof host - 1);
    localtime_r(&now, &local);
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &local);
    size = snprintf(line, sizeof line, "pid %ld, user %s, host %s, since %s\n", (long)getpid(),
                    !user ? "?" : user->pw_name, host, since);
    /* This line is for people only. A lock that can't name its holder is still a lock. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)size, 0) != size)
        return;
}

static void read_who(int fd, char text[KL_TEXT_MAX])
{
    ssize_t size = pread(fd, text, KL_TEXT_MAX - 1, 0);

    text[size > 0 ? size : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    if (text[0] == '\0')
        kl_copy(text, KL_TEXT_MAX, "a process that did not leave its name");
}

static int open_lock_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    /* Another user's file: we can't write it, but we can read who holds it. */
    if (fd < 0 && errno == EACCES)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd;
}

static bool same_file(int fd, const char *path)
{
    struct stat open_one, named_one;

    return fstat(fd, &open_one) == 0 && stat(path, &named_one) == 0 &&
           open_one.st_dev == named_one.st_dev && open_one.st_ino == named_one.st_ino;
}

static enum kl_lock_result take_lock_file(struct kl_lock *l, char text[KL_TEXT_MAX])
{
    /* A station that lets go removes the file, so we may have locked a file that is no longer
       there. */
    for (int tries = 0; tries < 100; tries++) {
        int fd = open_lock_file(l->path);

        if (fd < 0) {
            kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(l->path), strerror(errno));
            return KL_LOCK_FAILED;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            enum kl_lock_result result = errno == EWOULDBLOCK ? KL_LOCK_HELD : KL_LOCK_FAILED;
            if (result == KL_LOCK_HELD)
                read_who(fd, text);
            else
                kl_format(text, KL_TEXT_MAX, "%s: can't be locked: %s", kl_shown(l->path),
                          strerror(errno));
            close(fd);
            return result;
        }
        if (same_file(fd, l->path)) {
            l->fd = fd;
            say_who(fd);
            return KL_LOCK_TAKEN;
        }
        close(fd);
    }
    kl_format(text, KL_TEXT_MAX, "%s: comes and goes", kl_shown(l->path));
    return KL_LOCK_FAILED;
}

/* The process that holds a flock on this file, by the kernel's list; 0 = not found. */
static long holder_of(int fd)
{
    struct stat st;
    char line[256], wanted[64];
    FILE *locks = fopen("/proc/locks", "re");
    long pid = 0;

    if (!locks)
        return 0;
    if (fstat(fd, &st) == 0) {
        snprintf(wanted, sizeof wanted, " %02x:%02x:%llu ", major(st.st_dev), minor(st.st_dev),
                 (unsigned long long)st.st_ino);
        while (pid == 0 && fgets(line, sizeof line, locks)) {
            const char *write = strstr(line, "WRITE ");
            if (strstr(line, " FLOCK ") && write && strstr(line, wanted))
                pid = strtol(write + strlen("WRITE "), NULL, 10);
        }
    }
    fclose(locks);
    return pid;
}

void kl_lock_holder(const char *csv, char text[KL_TEXT_MAX])
{
    char path[PATH_MAX];
    int fd;

    text[0] = '\0';
    if ((size_t)snprintf(path, sizeof path, "%s.lock", csv) >= sizeof path ||
        (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
        return;
    if (holder_of(fd) != 0)
        read_who(fd, text);
    close(fd);
}

int kl_lock_open_csv(const char *csv)
{
    int fd = open(csv, O_RDONLY | O_CLOEXEC | O_NONBLOCK), writable;

    /* Network file systems lock only a file that is open for writing. Elsewhere we open it for
       reading, so that we can see whether others have it open for writing (lease.h). */
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EBADF)
        return fd;
    writable = open(csv, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (writable >= 0)
        close(fd);
    return writable >= 0 ? writable : fd;
}

enum kl_lock_result kl_lock_csv(struct kl_lock *l, int fd, char text[KL_TEXT_MAX])
{
    /* If the file system can't lock this file, the lock file beside it must do. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
        close_fd(&l->csv_fd);
        l->csv_fd = fd;
        return KL_LOCK_TAKEN;
    }
    kl_format(text, KL_TEXT_MAX, "pid %ld, through another name of the same file", holder_of(fd));
    close(fd);
    return KL_LOCK_HELD;
}

enum kl_lock_result kl_lock_take(struct kl_lock *l, const char *csv, char text[KL_TEXT_MAX])
{
    enum kl_lock_result result;
    int fd;

    if ((size_t)snprintf(l->path, sizeof l->path, "%s.lock", csv) >= sizeof l->path) {
        kl_copy(text, KL_TEXT_MAX, "the CSV's path is too long");
        return KL_LOCK_FAILED;
    }
    if ((result = take_lock_file(l, text)) != KL_LOCK_TAKEN)
        return result;
    if ((fd = kl_lock_open_csv(csv)) < 0) {
        kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(csv), strerror(errno));
        result = KL_LOCK_FAILED;
    } else {
        result = kl_lock_csv(l, fd, text);
    }
    if (result != KL_LOCK_TAKEN)
        kl_lock_drop(l);
    return result;
}

enum kl_lock_result kl_lock_keep(struct kl_lock *l, char text[KL_TEXT_MAX])
{
    int old = l->fd;
    enum kl_lock_result result;

    if (old >= 0 && same_file(old, l->path))
        return KL_LOCK_TAKEN;
    l->fd = -1;
    if ((result = take_lock_file(l, text)) == KL_LOCK_TAKEN)
        close_fd(&old);
    else
        l->fd = old;
    return result;
}

void kl_lock_drop(struct kl_lock *l)
{
    /* We remove it while we still hold it, so that a station that waits for it sees that it is
       gone. */
    if (l->fd >= 0 && same_file(l->fd, l->path))
        unlink(l->path);
    close_fd(&l->fd);
    close_fd(&l->csv_fd);
}
