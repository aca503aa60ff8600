#include "fault_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "prng.h"

enum {
    FILES_MAX = 64,
    NAMES_MAX = 256,
    SECTOR = 512,
};

/* A write (data) or a truncation (data NULL) that is not synced. */
struct change {
    struct change *next;
    size_t at, size;
    uint8_t *data;
};

/* One file's bytes, whatever its name is at the moment. */
struct image {
    uint8_t *durable;
    size_t size;
    mode_t mode;
    struct change *first, **last;
    bool used;
};

/* A name that changed since the folder was synced: it leads to another image, or to none. */
struct renaming {
    char path[PATH_MAX];
    int image; /* -1 = none */
};

static struct image images[FILES_MAX];
static struct renaming durable_names[NAMES_MAX], changed_names[NAMES_MAX];
static unsigned durable_count, changed_count;

static uint32_t steps, fail_at, fail_count, crash_at;
static enum fault_kind fail_kind;
static struct prng prng;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fault_disk: %s: %s\n", what, strerror(errno));
    abort();
}

/* ---- names ---- */

static struct renaming *find_name(struct renaming *names, unsigned count, const char *path)
{
    for (unsigned i = count; i-- > 0;)
        if (strcmp(names[i].path, path) == 0)
            return &names[i];
    return NULL;
}

static void put_name(struct renaming *names, unsigned *count, const char *path, int image)
{
    must(*count < NAMES_MAX, "too many names");
    snprintf(names[*count].path, sizeof names[*count].path, "%s", path);
    names[(*count)++].image = image;
}

static int new_image(mode_t mode)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (images[i].used)
            continue;
        images[i] = (struct image){.mode = mode, .used = true};
        images[i].last = &images[i].first;
        return i;
    }
    must(false, "too many files");
    return -1;
}

static int load_image(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), image;
    struct stat st;

    if (fd < 0)
        return -1;
    must(fstat(fd, &st) == 0, path);
    image = new_image(st.st_mode & 07777);
    images[image].size = (size_t)st.st_size;
    images[image].durable = malloc((size_t)st.st_size + 1);
    must(pread(fd, images[image].durable, (size_t)st.st_size, 0) == st.st_size, path);
    close(fd);
    return image;
}

/* The image behind a name. A file that existed before the test saw it is durable; the name of one
   that `is_new` is not durable yet. */
static int image_of(const char *path, bool is_new)
{
    struct renaming *name = find_name(changed_names, changed_count, path);
    bool changed = name != NULL;
    int image;

    if (name == NULL)
        name = find_name(durable_names, durable_count, path);
    if (name != NULL && name->image >= 0 && !is_new)
        return name->image;
    if (is_new || changed) {
        image = is_new ? new_image(0600) : load_image(path);
        put_name(changed_names, &changed_count, path, image);
    } else if ((image = load_image(path)) >= 0) {
        put_name(durable_names, &durable_count, path, image);
    }
    return image;
}

static void names_are_durable(void)
{
    for (unsigned i = 0; i < changed_count; i++) {
        struct renaming *name = find_name(durable_names, durable_count, changed_names[i].path);
        if (name != NULL)
            name->image = changed_names[i].image;
        else
            put_name(durable_names, &durable_count, changed_names[i].path, changed_names[i].image);
    }
    changed_count = 0;
}

/* ---- bytes ---- */

static void grow(struct image *image, size_t size)
{
    if (size <= image->size)
        return;
    image->durable = realloc(image->durable, size + 1);
    must(image->durable != NULL, "memory");
    memset(image->durable + image->size, 0, size - image->size);
    image->size = size;
}

static void note_change(int image, size_t at, const void *data, size_t size)
{
    struct change *c = calloc(1, sizeof *c);

    must(c != NULL && image >= 0, "a write to a file that was never opened");
    c->at = at;
    c->size = size;
    if (data != NULL) {
        must((c->data = malloc(size + 1)) != NULL, "memory");
        memcpy(c->data, data, size);
    }
    *images[image].last = c;
    images[image].last = &c->next;
}

static void apply(struct image *image, const struct change *c, size_t from, size_t size)
{
    if (c->data == NULL) {
        grow(image, c->at);
        image->size = c->at;
        return;
    }
    grow(image, c->at + from + size);
    memcpy(image->durable + c->at + from, c->data + from, size);
}

static void drop_changes(struct image *image)
{
    while (image->first != NULL) {
        struct change *next = image->first->next;
        free(image->first->data);
        free(image->first);
        image->first = next;
    }
    image->last = &image->first;
}

static void bytes_are_durable(struct image *image)
{
    for (struct change *c = image->first; c != NULL; c = c->next)
        apply(image, c, 0, c->size);
    drop_changes(image);
}

/* ---- the power cut ---- */

static void lose_some_bytes(struct image *image)
{
    for (struct change *c = image->first; c != NULL; c = c->next) {
        uint32_t fate = prng_below(&prng, 3); /* lost, kept, torn */

        if (fate == 0)
            continue;
        if (fate == 1 || c->data == NULL) {
            apply(image, c, 0, c->size);
            continue;
        }
        for (size_t from = 0; from < c->size;) {
            size_t size = SECTOR - (c->at + from) % SECTOR;
            if (size > c->size - from)
                size = c->size - from;
            if (prng_below(&prng, 2) == 0)
                apply(image, c, from, size);
            from += size;
        }
    }
    drop_changes(image);
}

static void write_out(const struct renaming *name)
{
    const struct image *image;
    int fd;

    unlink(name->path);
    if (name->image < 0)
        return;
    image = &images[name->image];
    fd = open(name->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, image->mode);
    must(fd >= 0 && write(fd, image->durable, image->size) == (ssize_t)image->size, name->path);
    close(fd);
}

static _Noreturn void power_cut(void)
{
    /* Gives names whose change is not durable back what they led to. */
    for (unsigned i = 0; i < changed_count; i++)
        if (find_name(durable_names, durable_count, changed_names[i].path) == NULL)
            put_name(durable_names, &durable_count, changed_names[i].path, -1);
    changed_count = changed_count == 0 ? 0 : prng_below(&prng, changed_count + 1);
    names_are_durable();
    for (int i = 0; i < FILES_MAX; i++)
        if (images[i].used)
            lose_some_bytes(&images[i]);
    for (unsigned i = 0; i < durable_count; i++)
        write_out(&durable_names[i]);
    _exit(FAULT_EXIT);
}

/* ---- steps ---- */

/* The first thread opens the store; once there is a bench, others write. */
static _Noreturn void freeze(void)
{
    const char *words = gettid() == getpid() ? FAULT_FROZE_AT_START : "the disk freezes\n";

    must(write(STDERR_FILENO, words, strlen(words)) > 0, "stderr");
    for (;;)
        pause();
}

/* 0, or the errno with which this step fails. */
static int step(void)
{
    static const int as_errno[] = {
        [FAULT_FULL] = ENOSPC, [FAULT_IO] = EIO, [FAULT_READ_ONLY] = EROFS};

    steps++;
    if (fail_kind == FAULT_FREEZE && fail_at != 0 && steps >= fail_at)
        freeze();
    if (fail_at != 0 && steps >= fail_at && steps - fail_at < fail_count)
        return as_errno[fail_kind];
    return 0;
}

static void end_here(void)
{
    if (crash_at != 0 && steps >= crash_at)
        power_cut();
}

uint32_t fault_steps(void)
{
    return steps;
}

void fault_fail(enum fault_kind kind, uint32_t at, uint32_t count)
{
    fail_kind = kind;
    fail_at = at;
    fail_count = count;
}

void fault_crash(uint32_t at, uint64_t seed)
{
    crash_at = at;
    prng.state = seed;
}

static void path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    ssize_t size;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, PATH_MAX - 1);
    must(size > 0, link);
    path[size] = '\0';
}

/* Takes a write at a file's beginning for a new file: so the store makes files. */
static ssize_t disk_write(int fd, const void *data, size_t size)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    char path[PATH_MAX];
    int error = step();

    if (error != 0) {
        errno = error;
        return -1;
    }
    path_of(fd, path);
    note_change(image_of(path, at == 0), (size_t)at, data, size);
    end_here();
    return write(fd, data, size);
}

static int disk_sync_data(int fd)
{
    char path[PATH_MAX];
    struct image *image;
    int error = step();

    path_of(fd, path);
    image = &images[image_of(path, false)];
    end_here();
    if (error != 0) {
        drop_changes(image);
        errno = error;
        return -1;
    }
    bytes_are_durable(image);
    return 0;
}

static int disk_sync(int fd)
{
    char path[PATH_MAX];
    struct stat st;

    if (disk_sync_data(fd) != 0)
        return -1;
    path_of(fd, path);
    must(fstat(fd, &st) == 0, path);
    images[image_of(path, false)].mode = st.st_mode & 07777;
    return 0;
}

static int disk_rename(const char *from, const char *to)
{
    int error = step(), image = image_of(from, false);

    if (error != 0) {
        errno = error;
        return -1;
    }
    image_of(to, false);
    put_name(changed_names, &changed_count, to, image);
    put_name(changed_names, &changed_count, from, -1);
    end_here();
    return rename(from, to);
}

static int disk_exchange(const char *a, const char *b)
{
    int error = step(), image_a = image_of(a, false), image_b = image_of(b, false);

    if (error != 0) {
        errno = error;
        return -1;
    }
    put_name(changed_names, &changed_count, b, image_a);
    put_name(changed_names, &changed_count, a, image_b);
    end_here();
    return kl_disk_real.exchange(a, b);
}

static int disk_lease(int fd)
{
    return kl_disk_real.lease(fd);
}

static int disk_room(int fd, struct statvfs *out)
{
    return kl_disk_real.room(fd, out);
}

static int disk_sync_folder(const char *of_file)
{
    int error = step();

    (void)of_file;
    end_here();
    if (error != 0) {
        errno = error;
        return -1;
    }
    names_are_durable();
    return 0;
}

/* ---- under SQLite ---- */

struct fault_file {
    sqlite3_file base;
    int image;
    bool name_is_new;  /* its first sync syncs the folder too, as the real VFS does */
    sqlite3_file real; /* more memory behind it */
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real(sqlite3_file *f)
{
    return &((struct fault_file *)(void *)f)->real;
}

static int failure(int error, int io_error)
{
    if (error == 0)
        return SQLITE_OK;
    if (error == ENOSPC)
        return SQLITE_FULL;
    return error == EROFS ? SQLITE_READONLY : io_error;
}

static int file_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

static int file_read(sqlite3_file *f, void *data, int size, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), data, size, at);
}

static int file_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 at)
{
    struct fault_file *file = (struct fault_file *)(void *)f;
    int error = step();

    if (error != 0)
        return failure(error, SQLITE_IOERR_WRITE);
    note_change(file->image, (size_t)at, data, (size_t)size);
    end_here();
    return real(f)->pMethods->xWrite(real(f), data, size, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct fault_file *file = (struct fault_file *)(void *)f;
    int error = step();

    if (error != 0)
        return failure(error, SQLITE_IOERR_TRUNCATE);
    note_change(file->image, (size_t)size, NULL, 0);
    end_here();
    return real(f)->pMethods->xTruncate(real(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct fault_file *file = (struct fault_file *)(void *)f;
    int error = step();

    (void)flags;
    end_here();
    if (error != 0) {
        drop_changes(&images[file->image]);
        return failure(error, SQLITE_IOERR_FSYNC);
    }
    bytes_are_durable(&images[file->image]);
    if (file->name_is_new)
        names_are_durable();
    file->name_is_new = false;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real(f)->pMethods->xFileSize(real(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_check_lock(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int file_characteristics(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int delete)
{
    return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct fault_file *file = (struct fault_file *)(void *)f;
    bool is_new = name != NULL && access(name, F_OK) != 0;
    int rc = real_vfs->xOpen(real_vfs, name, &file->real, flags, out);

    (void)vfs;
    file->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    if (rc == SQLITE_OK && name != NULL) {
        file->image = image_of(name, is_new);
        file->name_is_new = is_new;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    int error = step();

    (void)vfs;
    if (error != 0)
        return failure(error, SQLITE_IOERR_DELETE);
    if (access(name, F_OK) == 0 && image_of(name, false) >= 0)
        put_name(changed_names, &changed_count, name, -1);
    end_here();
    if (sync_folder)
        names_are_durable();
    return real_vfs->xDelete(real_vfs, name, 0);
}

void fault_install(void)
{
    static sqlite3_vfs vfs;
    static struct kl_disk disk = {
        .write = disk_write,
        .sync = disk_sync,
        .sync_data = disk_sync_data,
        .rename = disk_rename,
        .exchange = disk_exchange,
        .lease = disk_lease,
        .room = disk_room,
        .sync_folder = disk_sync_folder,
    };
    disk.look = kl_disk_real.look;
    disk.nameless = kl_disk_real.nameless;

    kl_disk = &disk;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.pNext = NULL;
    vfs.zName = "fault";
    vfs.szOsFile = real_vfs->szOsFile + (int)sizeof(struct fault_file);
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    must(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK, "sqlite3_vfs_register");
}
