#include "bundle_files.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/host/regular.h"

enum {
    FILE_BYTES_MAX = 128 << 20 /* the largest flash that an image header can name */
};

__attribute__((format(printf, 3, 0))) static void
say(char lines[][KL_BUNDLE_LINE_MAX], unsigned *count, const char *format, va_list args)
{
    if (*count < KL_BUNDLE_PROBLEMS_MAX)
        vsnprintf(lines[(*count)++], KL_BUNDLE_LINE_MAX, format, args);
}

void problem(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->problem, &p->report->problem_count, format, args);
    va_end(args);
}

void warning(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->warning, &p->report->warning_count, format, args);
    va_end(args);
}

void found(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->found, &p->report->found_count, format, args);
    va_end(args);
}

void left_out(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->left_out, &p->report->left_out_count, format, args);
    va_end(args);
}

const char *as_word(struct parts *p, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:+=@%,-";
    char *out = p->word[p->next_word++ % 4];

    if (path[strspn(path, plain)] == '\0' || strchr(path, '\''))
        kl_copy(out, sizeof p->word[0], path);
    else
        snprintf(out, sizeof p->word[0], "'%s'", path);
    return out;
}

const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

const char *file_name(const struct part *part)
{
    return name_in(part->path);
}

struct part *part_with(struct parts *p, enum role role)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].role == role)
            return &p->part[i];
    return NULL;
}

uint64_t sector_of(const struct part *part)
{
    return part->offset / SECTOR * SECTOR;
}

uint64_t end_of(const struct part *part)
{
    return ((uint64_t)part->offset + part->size + SECTOR - 1) / SECTOR * SECTOR;
}

/* ---- files ---- */

static const char *unfit(const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return "it is a folder, not a file";
    if (!S_ISREG(st->st_mode))
        return "it is not a plain file";
    if (st->st_size == 0)
        return "the file is empty; build it again or copy it again";
    return st->st_size > FILE_BYTES_MAX ? "the file is larger than any flash" : NULL;
}

static uint8_t *read_open_file(FILE *file, size_t *size, const char **why)
{
    uint8_t *data = NULL;
    struct stat st;

    if (fstat(fileno(file), &st) != 0) {
        *why = strerror(errno);
        return NULL;
    }
    if ((*why = unfit(&st)))
        return NULL;
    *size = (size_t)st.st_size;
    *why = "out of memory";
    data = malloc(*size);
    if (data && fread(data, 1, *size, file) != *size) {
        *why = "it could not be read to its end";
        free(data);
        data = NULL;
    }
    return data;
}

uint8_t *read_whole_file(const char *path, size_t *size, const char **why)
{
    FILE *file = kl_fopen_regular(path, why);
    uint8_t *data;

    if (!file)
        return NULL;
    data = read_open_file(file, size, why);
    fclose(file);
    errno = 0;
    return data;
}

enum added add_part(struct parts *p, enum role role, const char *path, uint32_t offset)
{
    struct part *part = &p->part[p->count];
    const char *why = NULL;

    if (p->count == KL_IMAGES_MAX) {
        problem(p, "%s: keyline takes %d images at most", path, KL_IMAGES_MAX);
        return UNREADABLE;
    }
    *part = (struct part){.role = role, .offset = offset};
    if (!kl_copy(part->path, sizeof part->path, path)) {
        problem(p, "%.100s…: the path is too long", path);
        return UNREADABLE;
    }
    part->data = read_whole_file(path, &part->size, &why);
    if (part->data) {
        p->count++;
        return ADDED;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        return ABSENT;
    problem(p, "%s: %s", path, why);
    return UNREADABLE;
}

bool add_named(struct parts *p, enum role role, const char *path, uint32_t offset)
{
    enum added added = add_part(p, role, path, offset);

    if (added == ABSENT)
        problem(p, "%s: no such file; check the path, or build it first", path);
    return added == ADDED;
}

void drop_part(struct parts *p, unsigned index)
{
    free(p->part[index].data);
    memmove(&p->part[index], &p->part[index + 1], (p->count - index - 1) * sizeof p->part[0]);
    p->count--;
    p->part[p->count].data = NULL;
}

bool beside(char out[PATH_MAX], const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;

    return snprintf(out, PATH_MAX, "%.*s%s", folder, path, name) < PATH_MAX;
}

bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
