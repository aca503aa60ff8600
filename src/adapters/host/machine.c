#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void read_word(const char *path, char out[KL_MACHINE_TEXT])
{
    FILE *file = fopen(path, "re");

    out[0] = '\0';
    if (!file)
        return;
    if (!fgets(out, KL_MACHINE_TEXT, file))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

/* When the process started: the 22nd word; 0 = it does not run. The second word, in brackets, may
   hold any character. The third tells whether the process is dead and only waits for its parent. */
static int64_t started(int64_t pid)
{
    char path[64], line[1024];
    size_t size;
    FILE *file;
    char *p;

    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (!(file = fopen(path, "re")))
        return 0;
    size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    p = strrchr(line, ')');
    if (p && (p[1] == '\0' || p[2] == 'Z' || p[2] == 'X'))
        return 0;
    for (int word = 2; p && word < 22; word++)
        p = strchr(p + 1, ' ');
    return !p ? 0 : strtoll(p, NULL, 10);
}

void kl_process_self(struct kl_process *out)
{
    ssize_t size;

    memset(out, 0, sizeof *out);
    read_word("/etc/machine-id", out->machine);
    if (out->machine[0] == '\0')
        gethostname(out->machine, sizeof out->machine - 1);
    read_word("/proc/sys/kernel/random/boot_id", out->boot);
    size = readlink("/proc/self/ns/pid", out->space, sizeof out->space - 1);
    out->space[size > 0 ? size : 0] = '\0';
    out->pid = getpid();
    out->started = started(out->pid);
}

bool kl_process_lives(const struct kl_process *p)
{
    struct kl_process self;

    kl_process_self(&self);
    return strcmp(p->machine, self.machine) == 0 && strcmp(p->boot, self.boot) == 0 &&
           strcmp(p->space, self.space) == 0 && p->pid > 0 && p->started != 0 &&
           started(p->pid) == p->started;
}

bool kl_random(void *out, unsigned size)
{
    return getrandom(out, size, 0) == (ssize_t)size;
}
