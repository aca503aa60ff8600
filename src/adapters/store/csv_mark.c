#include "csv_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "keyline/secret.h"

enum {
    CHUNK = 1 << 17,
};

static const char mark[] = "," KL_CSV_MARK;
#define MARK_SIZE (sizeof mark - 1)

struct kl_csv_marking { /* secret: bytes of the file pass through */
    char chunk[CHUNK];
    size_t held; /* bytes in chunk that are not written yet */
    struct kl_key key;
    const struct kl_table *table;
    const uint32_t *rows;
    uint32_t count;
    int from, to;
    char name[4096]; /* of the new file, until it has the old one's */
    bool placed;
    enum kl_table_result result;
};

static bool new_name(const char *path, char out[4096])
{
    return (size_t)snprintf(out, 4096, "%s.marking", path) < 4096;
}

void kl_csv_mark_clean(const char *path)
{
    char name[4096];

    if (new_name(path, name))
        unlink(name);
}

static enum kl_table_result failed(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: can't be marked: %s: %s", kl_shown(path), what,
              strerror(errno));
    return KL_TABLE_ABSENT;
}

/* ---- copying ----------------------------------------------------------------------------------
 */

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
        uint64_t end = t->start[rows[i]] + t->size[rows[i]];
        bool marked;

        KL_ASSERT(!t->spent[rows[i]] && (i == 0 || rows[i] > rows[i - 1]));
        /* The last line of defence: the row here is the one that is meant. */
        if (!kl_table_read_row(t, w->from, rows[i], &w->key, &marked) || marked)
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

/* ---- putting it in place ----------------------------------------------------------------------
 */

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

/* Access lists and labels; whatever the file system does not take is none of ours. */
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
        t->start[i] += done * MARK_SIZE;
        if (done < count && rows[done] == i) {
            t->size[i] += MARK_SIZE;
            t->spent[i] = 1;
            done++;
        }
    }
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
    unlink(w->name);
    if ((w->to = open(w->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return failed(t->path, "making a new file beside it", error);
    if ((result = is_still(t, error)) != KL_TABLE_OK ||
        (result = copy_and_mark(w, error)) != KL_TABLE_OK ||
        (result = dress(t, w->from, w->to, error)) != KL_TABLE_OK)
        return result;
    if (kl_disk->sync(w->to) != 0)
        return failed(t->path, "syncing the new file", error);
    /* Locked before it can be seen, so that no other station gets in between. */
    if (flock(w->to, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return failed(t->path, "locking the new file", error);
    return KL_TABLE_OK;
}

struct kl_csv_marking *kl_csv_mark_write(const struct kl_table *t, const uint32_t *rows,
                                         uint32_t count, char error[KL_TEXT_MAX])
{
    struct kl_csv_marking *w = kl_secret_alloc(sizeof *w);

    KL_ASSERT(count > 0);
    error[0] = '\0';
    if (w == NULL || !new_name(t->path, w->name)) {
        errno = w == NULL ? ENOMEM : ENAMETOOLONG;
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

static enum kl_table_result place(struct kl_csv_marking *w, struct kl_table *t,
                                  char error[KL_TEXT_MAX])
{
    enum kl_table_result result;
    struct stat before, after;

    if (fstat(w->to, &before) != 0)
        return failed(t->path, "looking at the new file", error);
    if ((result = is_still(t, error)) != KL_TABLE_OK)
        return result;
    if (kl_disk->rename(w->name, t->path) != 0)
        return failed(t->path, "putting the new file in its place", error);
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
    } else if (w->to >= 0) {
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
    if (w == NULL)
        return KL_TABLE_ABSENT;
    kl_csv_mark_place(w, t, error);
    return kl_csv_mark_end(w, fd, error);
}
