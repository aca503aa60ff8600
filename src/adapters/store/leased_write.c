/* leased_write.c: makes a leased list and adds rows to it, so that a power cut leaves whole rows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "leased_list.h"

enum {
    ROW_TEXT_MAX = 2048,
    CHUNK = 1 << 16,
};

/* ---- reading ---- */

struct reading {
    struct kl_csv csv;
    struct kl_leased_row row;
    const struct kl_leased *list;
    bool headed;
    uint64_t whole; /* where the last whole row ends */
    char chunk[CHUNK];
};

typedef bool each_fn(void *ctx, const struct kl_leased_row *row, bool spent);

static bool take_row(struct reading *r, each_fn *each, void *ctx, bool *go_on,
                     char error[KL_TEXT_MAX])
{
    unsigned fields;

    if (!r->headed) {
        r->headed = true;
        return kl_leased_read_head(r->list, &r->csv.row, &fields, error);
    }
    if (kl_leased_read_row(&r->csv.row, &r->row) && !each(ctx, &r->row, r->csv.row.marked))
        *go_on = false;
    return true;
}

static bool read_rows(struct reading *r, int fd, each_fn *each, void *ctx, char error[KL_TEXT_MAX])
{
    bool go_on = true;
    ssize_t size;

    kl_csv_begin(&r->csv);
    while (go_on && (size = read(fd, r->chunk, sizeof r->chunk)) != 0) {
        if (size < 0) {
            kl_copy(error, KL_TEXT_MAX, strerror(errno));
            return false;
        }
        for (ssize_t at = 0; at < size && go_on;) {
            at += (ssize_t)kl_csv_feed(&r->csv, r->chunk + at, (size_t)(size - at));
            if (r->csv.error != KL_CSV_FINE) {
                kl_copy(error, KL_TEXT_MAX, kl_csv_error_text(r->csv.error));
                return false;
            }
            if (!r->csv.row_ready)
                continue;
            r->whole = r->csv.offset;
            if (!take_row(r, each, ctx, &go_on, error))
                return false;
        }
    }
    if (!r->headed)
        kl_copy(error, KL_TEXT_MAX, "its first line is missing");
    return r->headed;
}

/* `whole`: where its last whole row ends, if all of it was read. */
static bool read_list(const struct kl_leased *l, int fd, each_fn *each, void *ctx, uint64_t *whole,
                      char error[KL_TEXT_MAX])
{
    struct reading *r = calloc(1, sizeof *r);
    bool ok;

    KL_ASSERT(r);
    r->list = l;
    ok = read_rows(r, fd, each, ctx, error);
    *whole = r->whole;
    free(r);
    return ok;
}

static bool failed(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: %s: %s", kl_shown(path), what, strerror(errno));
    return false;
}

bool kl_list_each(const struct kl_leased *l, const char *path, each_fn *each, void *ctx,
                  char error[KL_TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char why[KL_TEXT_MAX];
    uint64_t whole;
    bool ok;

    if (fd < 0)
        return failed(path, "reading it", error);
    ok = read_list(l, fd, each, ctx, &whole, why);
    if (!ok)
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), why);
    close(fd);
    return ok;
}

/* ---- making ---- */

/* Puts a whole new file in place of the list. */
static bool put(const char *path, const char *text, size_t size, char error[KL_TEXT_MAX])
{
    char name[4096];
    bool ok;
    int fd;

    if ((size_t)snprintf(name, sizeof name, "%s.new", path) >= sizeof name) {
        errno = ENAMETOOLONG;
        return failed(path, "making it", error);
    }
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(name, "making it", error);
    ok = kl_disk_write_all(fd, text, size) && kl_disk->sync(fd) == 0;
    close(fd);
    if (!ok || kl_disk->rename(name, path) != 0 || kl_disk->sync_folder(path) != 0)
        return failed(path, "making it", error);
    return true;
}

bool kl_list_create(const char *path, const char *pool, unsigned fields, char error[KL_TEXT_MAX])
{
    char head[128];

    if (access(path, F_OK) == 0)
        return true;
    KL_ASSERT(fields > 0 && fields <= KL_FIELDS_MAX && strlen(pool) < KL_POOL_ID_TEXT);
    snprintf(head, sizeof head, "keyline-leased-list,1,%s,%u\n", pool, fields);
    return put(path, head, strlen(head), error);
}

/* ---- adding ---- */

static size_t put_hex(char *out, const struct kl_fingerprint *fp)
{
    for (size_t i = 0; i < sizeof fp->b; i++)
        kl_format(out + 2 * i, 3, "%02x", fp->b[i]);
    return 2 * sizeof fp->b;
}

static size_t put_base64(char *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= i + 2 < size ? data[i + 2] : 0;
        out[n++] = digits[bits >> 18];
        out[n++] = digits[bits >> 12 & 63];
        out[n++] = i + 1 < size ? digits[bits >> 6 & 63] : '=';
        out[n++] = i + 2 < size ? digits[bits & 63] : '=';
    }
    return n;
}

/* No quotes in this file: after a power cut half a row may stand there, and an open quote would
   swallow all that follows. */
static size_t put_label(char *out, const char *label)
{
    size_t n = 0;

    for (; *label; label++) {
        unsigned char c = (unsigned char)*label;
        if (c <= ' ' || c == '"' || c == '%' || c == ',' || c == 0x7f)
            n += kl_format(out + n, 4, "%%%02x", c);
        else
            out[n++] = *label;
    }
    return n;
}

static size_t put_row(char out[ROW_TEXT_MAX], const struct kl_leased_row *row, bool spent)
{
    size_t n = put_label(out, row->label);

    out[n++] = ',';
    n += put_hex(out + n, &row->fingerprint);
    out[n++] = ',';
    n += put_hex(out + n, &row->kin);
    n += kl_format(out + n, ROW_TEXT_MAX - n, ",%u,%u,", row->fields, row->epoch);
    n += put_base64(out + n, row->box, row->box_size);
    n += kl_format(out + n, ROW_TEXT_MAX - n, "%s\n", spent ? "," KL_CSV_MARK : "");
    return n;
}

struct missing {
    const struct kl_leased_row *rows;
    size_t count;
    bool *there;
};

static bool note_there(void *ctx, const struct kl_leased_row *row, bool spent)
{
    struct missing *m = ctx;

    (void)spent;
    for (size_t i = 0; i < m->count; i++)
        m->there[i] |= kl_fingerprint_equal(&m->rows[i].fingerprint, &row->fingerprint);
    return true;
}

static char *text_of(const struct missing *m, bool spent, size_t *size)
{
    char *text = malloc(m->count * ROW_TEXT_MAX + 1);

    KL_ASSERT(text);
    *size = 0;
    for (size_t i = 0; i < m->count; i++)
        if (!m->there[i])
            *size += put_row(text + *size, &m->rows[i], spent);
    return text;
}

/* A power cut, or a full disk, may have left a piece of a row at the end. No reader took it for a
   row, so it goes. */
static bool write_at_end(int fd, uint64_t end, const char *text, size_t size)
{
    int why;

    if (ftruncate(fd, (off_t)end) != 0 || lseek(fd, (off_t)end, SEEK_SET) < 0)
        return false;
    if (size == 0 || (kl_disk_write_all(fd, text, size) && kl_disk->sync(fd) == 0))
        return true;
    why = errno;
    if (ftruncate(fd, (off_t)end) != 0)
        return false;
    errno = why;
    return false;
}

static bool append(int fd, struct missing *m, const struct kl_leased *l, bool spent,
                   char why[KL_TEXT_MAX])
{
    uint64_t end;
    size_t size;
    char *text;
    bool ok;

    if (!read_list(l, fd, note_there, m, &end, why))
        return false;
    text = text_of(m, spent, &size);
    ok = write_at_end(fd, end, text, size);
    if (!ok)
        kl_copy(why, KL_TEXT_MAX, strerror(errno));
    free(text);
    return ok;
}

bool kl_list_append(const struct kl_leased *l, const char *path, const struct kl_leased_row *rows,
                    size_t count, bool spent, char error[KL_TEXT_MAX])
{
    struct missing m = {rows, count, calloc(count + 1, sizeof *m.there)};
    char why[KL_TEXT_MAX] = "";
    bool ok = false;
    int fd;

    KL_ASSERT(m.there);
    uv_mutex_lock(l->writing);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        kl_copy(why, sizeof why, strerror(errno));
    else
        ok = append(fd, &m, l, spent, why);
    if (fd >= 0)
        close(fd);
    uv_mutex_unlock(l->writing);
    free(m.there);
    if (!ok)
        kl_format(error, KL_TEXT_MAX, "%s: the leased keys can't be added: %s", kl_shown(path),
                  why);
    return ok;
}

/* ---- taking out ---- */

struct taking {
    const struct kl_fingerprint *keys;
    size_t count;
    char *text;
    size_t size, kept;
};

static bool is_one_of(const struct taking *t, const struct kl_fingerprint *fp)
{
    for (size_t i = 0; i < t->count; i++)
        if (kl_fingerprint_equal(&t->keys[i], fp))
            return true;
    return false;
}

/* Moves the rows that stay to the front. */
static void take_out(struct taking *t)
{
    struct kl_csv *csv = calloc(1, sizeof *csv);
    struct kl_leased_row *row = calloc(1, sizeof *row);
    size_t from = 0;

    KL_ASSERT(csv && row);
    kl_csv_begin(csv);
    while (from < t->size) {
        size_t n = kl_csv_feed(csv, t->text + from, t->size - from);
        if (csv->error != KL_CSV_FINE || !csv->row_ready)
            break; /* a piece of a row at the end goes */
        if (!kl_leased_read_row(&csv->row, row) || !is_one_of(t, &row->fingerprint)) {
            memmove(t->text + t->kept, t->text + from, n);
            t->kept += n;
        }
        from += n;
    }
    free(row);
    free(csv);
}

static char *read_whole(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    char *text = NULL;

    if (fd >= 0 && fstat(fd, &st) == 0 && (text = malloc((size_t)st.st_size + 1))) {
        *size = (size_t)st.st_size;
        if (read(fd, text, *size) != st.st_size) {
            free(text);
            text = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    return text;
}

bool kl_list_remove(const struct kl_leased *l, const char *path, const struct kl_fingerprint *keys,
                    size_t count, char error[KL_TEXT_MAX])
{
    struct taking t = {.keys = keys, .count = count};
    bool ok;

    if (count == 0)
        return true;
    uv_mutex_lock(l->writing);
    t.text = read_whole(path, &t.size);
    if (t.text) {
        take_out(&t);
        ok = put(path, t.text, t.kept, error);
    } else {
        ok = failed(path, "reading it", error);
    }
    uv_mutex_unlock(l->writing);
    free(t.text);
    return ok;
}
