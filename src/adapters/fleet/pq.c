/* pq.c: see pq.h. */
#include "pq.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "keyline/versions.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct kl_pq *loaded; /* NULL: `trouble` says why */
static char trouble[KL_TEXT_MAX];

const struct kl_pq *kl_pq(void)
{
    KL_ASSERT(loaded);
    return loaded;
}

/* The program's own file, and the folder that it is in. */
struct program {
    struct stat file, folder;
};

static bool find_program(char folder[PATH_MAX], struct program *program)
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    char *slash;

    if (n <= 0)
        return false;
    folder[n] = '\0';
    slash = strrchr(folder, '/');
    if (!slash || stat(folder, &program->file) != 0)
        return false;
    *slash = '\0';
    return stat(folder, &program->folder) == 0;
}

/* The module's folder: of a build that the program is still in, else where both are installed. */
static bool find_folder(const char *program, char out[PATH_MAX])
{
    static const char *const builds[] = {".", ".."}; /* the latter for test programs */
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof builds / sizeof builds[0]; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s/CMakeCache.txt", program, builds[i]) <
                sizeof path &&
            access(path, F_OK) == 0)
            return (size_t)snprintf(out, PATH_MAX, "%s/%s", program, builds[i]) < PATH_MAX;
    }
    return (size_t)snprintf(out, PATH_MAX, "%s/%s", program, KEYLINE_LIB_FROM_BIN) < PATH_MAX;
}

/* May nobody change this who may not change the program's? */
static bool is_guarded(const char *path, const struct stat *like)
{
    struct stat st;
    mode_t others;

    if (stat(path, &st) != 0 || (st.st_mode & S_IFMT) != (like->st_mode & S_IFMT))
        return false;
    others = st.st_mode & (S_IWGRP | S_IWOTH);
    return (st.st_uid == 0 || st.st_uid == like->st_uid) && (others & ~like->st_mode) == 0 &&
           ((others & S_IWGRP) == 0 || st.st_gid == like->st_gid);
}

static void take(const struct kl_pq_module *m, const char *path)
{
    if (!m)
        kl_format(trouble, sizeof trouble,
                  "%s is no part of keyline: install keyline-postgresql again", kl_shown(path));
    else if (strcmp(m->version, KEYLINE_VERSION) != 0 || strcmp(m->commit(), kl_commit()) != 0 ||
             strcmp(m->words, KL_PQ_WORDS) != 0)
        kl_format(
            trouble, sizeof trouble,
            "%.80s is of keyline %.12s (%.20s), this program is %s (%.20s): install keyline and "
            "keyline-postgresql of one version",
            kl_shown(path), m->version, m->commit(), KEYLINE_VERSION, kl_commit());
    else
        loaded = &m->table;
}

static void load(void)
{
    char program[PATH_MAX] = "", folder[PATH_MAX], path[PATH_MAX];
    struct program own;
    void *module;

    if (!find_program(program, &own)) {
        kl_format(trouble, sizeof trouble, "where this program lies can't be found out: %s",
                  strerror(errno));
        return;
    }
    if (!find_folder(program, folder) ||
        (size_t)snprintf(path, sizeof path, "%s/postgresql.so", folder) >= sizeof path) {
        kl_copy(trouble, sizeof trouble, "the path of this program is too long");
        return;
    }
    if (access(path, F_OK) != 0) {
        kl_format(trouble, sizeof trouble,
                  "a shared pool needs the package keyline-postgresql: sudo apt install "
                  "keyline-postgresql (there is no %s)",
                  kl_shown(path));
        return;
    }
    if (!is_guarded(folder, &own.folder) || !is_guarded(path, &own.file)) {
        kl_format(trouble, sizeof trouble,
                  "%.100s is not loaded: others can change it than can change keyline. Install "
                  "keyline-postgresql again, and let root alone write it",
                  kl_shown(path));
        return;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module)
        take(dlsym(module, KL_PQ_SYMBOL), path);
    else
        kl_format(trouble, sizeof trouble,
                  "libpq can't be loaded: %.150s; install keyline-postgresql again", dlerror());
}

bool kl_pq_load(char error[KL_TEXT_MAX])
{
    pthread_once(&once, load);
    if (!loaded)
        kl_copy(error, KL_TEXT_MAX, trouble);
    return loaded != NULL;
}
