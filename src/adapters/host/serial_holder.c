/* serial_holder.c: see serial_holder.h. */
#include "serial_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyline/ports.h"

static bool is_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool has_open(const char *pid, const char *path)
{
    char name[288], target[KL_PORT_MAX];
    bool found = false;
    kl_format(name, sizeof name, "/proc/%s/fd", pid);
    DIR *dir = opendir(name);
    if (!dir)
        return false;
    for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        found = strcmp(target, path) == 0;
    }
    closedir(dir);
    return found;
}

static void describe(const char *pid, char *out, size_t size)
{
    char name[288], comm[32] = "a program";
    kl_format(name, sizeof name, "/proc/%s/comm", pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, comm, sizeof comm - 1);
        if (n > 0) {
            comm[n] = '\0';
            comm[strcspn(comm, "\n")] = '\0';
        }
        close(fd);
    }
    kl_format(out, size, "%s (pid %s)", comm, pid);
}

bool kl_serial_holder(const char *path, char *out, size_t size)
{
    bool found = false;
    DIR *dir = opendir("/proc");
    if (!dir)
        return false;
    for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
        found = is_number(e->d_name) && has_open(e->d_name, path);
        if (found)
            describe(e->d_name, out, size);
    }
    closedir(dir);
    return found;
}

bool kl_port_is_held(const char *path)
{
    char holder[KL_NAME_MAX], real[PATH_MAX];
    return realpath(path, real) && kl_serial_holder(real, holder, sizeof holder);
}
