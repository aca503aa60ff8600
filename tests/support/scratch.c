#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

void scratch_make(struct scratch *s)
{
    const char *base = getenv("TMPDIR");
    char state[sizeof s->folder + 8];

    snprintf(s->folder, sizeof s->folder, "%s/keyline-test-XXXXXX", base == NULL ? "/tmp" : base);
    must(mkdtemp(s->folder) != NULL, "mkdtemp");
    /* Keeps the journals of keys here: a test must not find another's, nor leave any. */
    snprintf(state, sizeof state, "%s/state", s->folder);
    must(setenv("XDG_STATE_HOME", state, 1) == 0, "setenv");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void scratch_remove(struct scratch *s)
{
    nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const struct scratch *s, const char *name)
{
    static char out[8][256];
    static unsigned next;
    char *path = out[next++ % 8];

    snprintf(path, sizeof out[0], "%s/%s", s->folder, name);
    return path;
}

void file_write(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0, path);
}

void file_put(const char *path, const char *text)
{
    file_write(path, text, strlen(text));
}

char *file_read(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;

    if (fd < 0)
        return NULL;
    must(fstat(fd, &st) == 0, path);
    data = malloc((size_t)st.st_size + 1);
    must(data != NULL && read(fd, data, (size_t)st.st_size) == st.st_size, path);
    data[st.st_size] = '\0';
    close(fd);
    if (size != NULL)
        *size = (size_t)st.st_size;
    return data;
}

bool file_is(const char *path, const char *text)
{
    size_t size;
    char *data = file_read(path, &size);
    bool same = data != NULL && size == strlen(text) && memcmp(data, text, size) == 0;

    if (!same)
        fprintf(stderr, "%s holds:\n%s\nnot:\n%s\n", path, data == NULL ? "(nothing)" : data, text);
    free(data);
    return same;
}
