#include "csv_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/lease.h"
#include "adapters/host/regular.h"
#include "keyline/secret.h"

enum {
    CHUNK = 1 << 17,
};

static const char mark[] = "," KL_CSV_MARK;
#define MARK_SIZE (sizeof mark - 1)

struct kl_csv_marking { /* secret: bytes of the file pass through */
    char chunk[CHUNK];
    size_t held; /* bytes in chunk that we have not written yet */
    struct kl_key key;
    struct kl_key_text text;
    const struct kl_table *table;
    const uint32_t *rows;
    uint32_t count;
    int from, to;
    char name[4096]; /* of the new file, until it has the old one's */
    bool placed;
    bool keep; /* the file of this name is somebody's work */
    enum kl_table_result result;
};

static bool new_name(const char *path, char out[4096])
{
    return (size_t)snprintf(out, 4096, "%s.marking", path) < 4096;
}

/* Counts whole rows of a file left behind that the CSV does not have. */
static uint32_t strange_rows(const struct kl_table *t, const struct kl_table *left)
{
    uint32_t rows = left->open_end && left->count > 0 ? left->count - 1 : left->count, n = 0;

    for (uint32_t i = 0; i < rows; i++)
        n += !left->row[i].bad && kl_table_find(t, &left->row[i].fingerprint) == UINT32_MAX;
    return n;
}

bool kl_csv_mark_clean(const struct kl_table *t, char error[KL_TEXT_MAX])
{
    char name[4096], why[KL_TEXT_MAX];
    struct kl_table *left = NULL;
    uint32_t strange = 0;
    struct stat st;

    if (!new_name(t->path, name) || lstat(name, &st) != 0)
        return true;
    if (S_ISREG(st.st_mode) &&
        (t->leased ? kl_table_load_leased(name, t->leased, &left, why)
                   : kl_table_load(name, t->layout, &left, why)) == KL_TABLE_OK) {
        strange = strange_rows(t, left);
        kl_table_free(left);
    }
    if (strange == 0) {
        unlink(name);
        return true;
    }
    kl_format(error, KL_TEXT_MAX,
              "%s has %u rows that the CSV lacks: somebody saved it when keyline was about to mark "
              "it, and it ended there; put those rows into the CSV and remove that file",
              kl_shown(name), (unsigned)strange);
    return false;
}

static enum kl_table_result failed(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: can't be marked: %s: %s", kl_shown(path), what,
              strerror(errno));
    return KL_TABLE_ABSENT;
}

/* ---- copying ---- */

static bool flush(struct kl_csv_marking *w)
{
    bool ok = kl_disk_write_all(w->to, w->chunk, w->held);

    w->held = 0;
    return ok;
}

static enum kl_table_result copy(struct kl_csv_marking *w, uint64_t at, uint64_t end,
                                 char error[KL_TEXT_MAX])
{
    while (at < end) {
        uint64_t left = end - at;
        size_t room = sizeof w->chunk - w->held;
        ssize_t n;

        n = pread(w->from, w->chunk + w->held, left < room ? (size_t)left : room, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(w->table->path, "reading it", error);
        if (n == 0)
            return KL_TABLE_CHANGED;
        at += (uint64_t)n;
        w->held += (size_t)n;
        if (w->held == sizeof w->chunk && !flush(w))
            return failed(w->table->path, "writing the new file", error);
    }
    return KL_TABLE_OK;
}

static enum kl_table_result put_mark(struct kl_csv_marking *w, char error[KL_TEXT_MAX])
{
    if (w->held + MARK_SIZE > sizeof w->chunk && !flush(w))
        return failed(w->table->path, "writing the new file", error);
    memcpy(w->chunk + w->held, mark, MARK_SIZE);
    w->held += MARK_SIZE;
    return KL_TABLE_OK;
}

static enum kl_table_result copy_and_mark(struct kl_csv_marking *w, char error[KL_TEXT_MAX])
{
    const struct kl_table *t = w->table;
    const uint32_t *rows = w->rows;
    enum kl_table_result result = KL_TABLE_OK;
    uint64_t at = 0;

    for (uint32_t i = 0; i < w->count && result == KL_TABLE_OK; i++) {
        uint64_t end = kl_table_start(t, rows[i]) + kl_table_size(t, rows[i]);
        bool marked;

        KL_ASSERT(!t->spent[rows[i]] && (i == 0 || rows[i] > rows[i - 1]));
        /* The last line of defence: is the row here the one that we mean? */
        if (!kl_table_read_row(t, w->from, rows[i], &w->key, &w->text, &marked) || marked)
            return KL_TABLE_CHANGED;
        if ((result = copy(w, at, end, error)) == KL_TABLE_OK)
            result = put_mark(w, error);
        at = end;
    }
    if (result == KL_TABLE_OK)
        result = copy(w, at, (uint64_t)t->id.size, error);
    if (result == KL_TABLE_OK && !flush(w))
        result = failed(t->path, "writing the new file", error);
    return result;
}

/* ---- putting it in place ---- */

static enum kl_table_result is_still(const struct kl_table *t, char error[KL_TEXT_MAX])
{
    struct kl_file_id id;
    struct stat st;

    if (stat(t->path, &st) != 0)
        return failed(t->path, "looking at it", error);
    id = kl_file_id_of(&st);
    if (!kl_file_id_equal(&id, &t->id))
        return KL_TABLE_CHANGED;
    if (st.st_nlink > 1) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: can't be marked: it has %u names (hard links), and only one would get the "
                  "marks; remove the others",
                  kl_shown(t->path), (unsigned)st.st_nlink);
        return KL_TABLE_ABSENT;
    }
    return KL_TABLE_OK;
}

/* Access lists and labels. We skip what the file system does not take. */
static void copy_attributes(int from, int to)
{
    char names[4096], value[4096];
    ssize_t size = flistxattr(from, names, sizeof names);

    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t length = fgetxattr(from, names + at, value, sizeof value);
        if (length >= 0 && fsetxattr(to, names + at, value, (size_t)length, 0) != 0)
            continue;
    }
}

static enum kl_table_result dress(const struct kl_table *t, int from, int to,
                                  char error[KL_TEXT_MAX])
{
    struct stat old, new;

    if (fstat(from, &old) != 0 || fstat(to, &new) != 0)
        return failed(t->path, "looking at it", error);
    if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
        fchown(to, old.st_uid, old.st_gid) != 0) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: can't be marked: its owner (uid %u, gid %u) could not be kept; run keyline "
                  "as that user, or give this user the file",
                  kl_shown(t->path), (unsigned)old.st_uid, (unsigned)old.st_gid);
        return KL_TABLE_ABSENT;
    }
    copy_attributes(from, to);
    if (fchmod(to, old.st_mode & 07777) != 0)
        return failed(t->path, "keeping its mode", error);
    return KL_TABLE_OK;
}

/* The rows behind each mark have moved. */
static void move_rows(struct kl_table *t, const uint32_t *rows, uint32_t count)
{
    uint32_t done = 0;

    for (uint32_t i = rows[0]; i < t->count; i++) {
        kl_table_move(t, i, kl_table_start(t, i) + (uint64_t)done * MARK_SIZE);
        if (done < count && rows[done] == i) {
            t->spent[i] = 1;
            done++;
        }
    }
}

/* A program that still writes would write into the old file once we replace it. */
static enum kl_table_result is_open_for_writing(const struct kl_table *t, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX,
              "%s: another program has it open for writing: it is marked once that is closed",
              kl_shown(t->path));
    return KL_TABLE_ABSENT;
}

static enum kl_table_result is_written(struct kl_csv_marking *w, char error[KL_TEXT_MAX])
{
    enum kl_lease lease = kl_lease_take(w->from);

    if (lease == KL_LEASE_WRITTEN)
        return is_open_for_writing(w->table, error);
    if (lease == KL_LEASE_TAKEN)
        kl_lease_drop(w->from); /* we retake it later: nobody waits meanwhile */
    return KL_TABLE_OK;
}

/* Locks the new file before others can see it, so that no other station gets in between. Opens it
   for reading only, as far as the file system locks such files (lock.c). */
static bool lock_new(struct kl_csv_marking *w)
{
    int fd = open(w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        close(w->to);
        w->to = fd;
        return true;
    }
    if (fd >= 0)
        close(fd);
    return flock(w->to, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static enum kl_table_result write_marked(struct kl_csv_marking *w, char error[KL_TEXT_MAX])
{
    const struct kl_table *t = w->table;
    enum kl_table_result result;
    const char *trouble;

    if ((w->from = kl_open_regular(t->path, &trouble)) < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: can't be marked: %s", kl_shown(t->path), trouble);
        return KL_TABLE_ABSENT;
    }
    if ((result = is_written(w, error)) != KL_TABLE_OK)
        return result;
    if (!kl_csv_mark_clean(t, error))
        return KL_TABLE_ABSENT;
    if ((w->to = open(w->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return failed(t->path, "making a new file beside it", error);
    if ((result = is_still(t, error)) != KL_TABLE_OK ||
        (result = copy_and_mark(w, error)) != KL_TABLE_OK ||
        (result = dress(t, w->from, w->to, error)) != KL_TABLE_OK)
        return result;
    if (kl_disk->sync(w->to) != 0)
        return failed(t->path, "syncing the new file", error);
    return lock_new(w) ? KL_TABLE_OK : failed(t->path, "locking the new file", error);
}

struct kl_csv_marking *kl_csv_mark_write(const struct kl_table *t, const uint32_t *rows,
                                         uint32_t count, char error[KL_TEXT_MAX])
{
    struct kl_csv_marking *w = kl_secret_alloc(sizeof *w);

    KL_ASSERT(count > 0);
    error[0] = '\0';
    if (!w || !new_name(t->path, w->name)) {
        errno = !w ? ENOMEM : ENAMETOOLONG;
        kl_secret_free(w, sizeof *w);
        failed(t->path, "starting", error);
        return NULL;
    }
    w->from = w->to = -1;
    w->table = t;
    w->rows = rows;
    w->count = count;
    w->result = write_marked(w, error);
    return w;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The file that was in the place is the one that we read. The exchange changes only its ctime. */
static bool displaced_is_known(const struct kl_csv_marking *w, const struct kl_table *t)
{
    struct kl_file_id id;
    struct stat st;

    if (lstat(w->name, &st) != 0)
        return false;
    id = kl_file_id_of(&st);
    id.ctim = t->id.ctim;
    return kl_file_id_equal(&id, &t->id);
}

/* Somebody saved the file in the instant before the exchange. We put their file back. If they save
   again meanwhile, another file comes out than we put in, and it is the newer one. */
static enum kl_table_result take_back(struct kl_csv_marking *w, const struct kl_table *t,
                                      char error[KL_TEXT_MAX])
{
    struct stat in_place, out;

    if (fstat(w->to, &in_place) != 0 || lstat(w->name, &out) != 0)
        goto failed;
    for (;;) {
        struct stat put = out;

        if (kl_disk->exchange(w->name, t->path) != 0 || lstat(w->name, &out) != 0)
            goto failed;
        if (same_inode(&out, &in_place))
            return KL_TABLE_CHANGED;
        in_place = put;
    }
failed:
    w->keep = true;
    kl_format(error, KL_TEXT_MAX, "%s: a file that somebody saved just now is %s: put it back: %s",
              kl_shown(t->path), kl_shown(strrchr(w->name, '/')), strerror(errno));
    return KL_TABLE_ABSENT;
}

static enum kl_table_result exchange(struct kl_csv_marking *w, const struct kl_table *t,
                                     char error[KL_TEXT_MAX])
{
    enum kl_lease lease = kl_lease_take(w->from);
    enum kl_table_result result = KL_TABLE_OK;

    if (lease == KL_LEASE_WRITTEN)
        return is_open_for_writing(t, error);
    if ((result = is_still(t, error)) == KL_TABLE_OK) {
        if (kl_disk->exchange(w->name, t->path) == 0) {
            if (!displaced_is_known(w, t) || (lease == KL_LEASE_TAKEN && kl_lease_wanted(w->from)))
                result = take_back(w, t, error);
        } else if (errno != EINVAL || kl_disk->rename(w->name, t->path) != 0) {
            result = failed(t->path, "putting the new file in its place", error);
        }
    }
    if (lease == KL_LEASE_TAKEN)
        kl_lease_drop(w->from);
    return result;
}

static enum kl_table_result place(struct kl_csv_marking *w, struct kl_table *t,
                                  char error[KL_TEXT_MAX])
{
    enum kl_table_result result;
    struct stat before, after;

    if (fstat(w->to, &before) != 0)
        return failed(t->path, "looking at the new file", error);
    if ((result = exchange(w, t, error)) != KL_TABLE_OK)
        return result;
    w->placed = true;
    /* The rename changed its ctime; anything else that changed was not us. */
    if (fstat(w->to, &after) == 0 && after.st_size == before.st_size &&
        after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
        after.st_mtim.tv_nsec == before.st_mtim.tv_nsec)
        before = after;
    t->id = kl_file_id_of(&before);
    move_rows(t, w->rows, w->count);
    return KL_TABLE_OK;
}

void kl_csv_mark_place(struct kl_csv_marking *w, struct kl_table *t, char error[KL_TEXT_MAX])
{
    if (w->result == KL_TABLE_OK)
        w->result = place(w, t, error);
}

enum kl_table_result kl_csv_mark_end(struct kl_csv_marking *w, int *fd, char error[KL_TEXT_MAX])
{
    enum kl_table_result result = w->result;

    *fd = -1;
    if (w->placed) {
        *fd = w->to;
        if (kl_disk->sync_folder(w->table->path) != 0)
            failed(w->table->path, "syncing its folder", error);
        unlink(w->name); /* after an exchange this is the old file */
    } else if (w->to >= 0) {
        if (!w->keep)
            unlink(w->name);
        close(w->to);
    }
    if (w->from >= 0)
        close(w->from);
    kl_secret_free(w, sizeof *w);
    return result;
}

enum kl_table_result kl_csv_mark(struct kl_table *t, const uint32_t *rows, uint32_t count, int *fd,
                                 char error[KL_TEXT_MAX])
{
    struct kl_csv_marking *w = kl_csv_mark_write(t, rows, count, error);

    *fd = -1;
    if (!w)
        return KL_TABLE_ABSENT;
    kl_csv_mark_place(w, t, error);
    return kl_csv_mark_end(w, fd, error);
}
