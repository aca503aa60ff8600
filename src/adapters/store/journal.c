#include "journal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "keyline/bundle_load.h"

enum {
    HEADER = 512,
    RECORD = 64,
    CHECKED = RECORD - 8, /* the rest is the checksum */
    STEP = 16384,         /* the file's size is a multiple of it */
    MAGIC = 8,
    PATH_AT = MAGIC + KL_POOL_ID,
    PATH_ROOM = HEADER - PATH_AT - 8,
    /* A label stands in records of its own before the record of its key. */
    LABEL = 4, /* kind of such a record */
    LABEL_AT = 2 + KL_FINGERPRINT,
    LABEL_ROOM = CHECKED - LABEL_AT,
    LABEL_PARTS = (KL_LINE_MAX + LABEL_ROOM) / LABEL_ROOM,
    LAST_PART = 0x80,
    LATELY = 256,
};
static_assert(LABEL_PARTS < LAST_PART, "a part's number has seven bits");
static const char magic[MAGIC + 1] = "kljourn1";
static const char suffix[] = ".journal";

struct kl_journal {
    char path[PATH_MAX];
    char of[PATH_ROOM + 1];
    struct kl_pool_id pool;
    int fd;
    off_t end;            /* behind the last good record */
    off_t size;           /* of the file: from `end` on only zeros or torn records */
    uint8_t last[RECORD]; /* the bytes before `end` */
    struct kl_journal_record *record;
    size_t count, capacity;
    uint32_t *index; /* fingerprint -> record + 1 */
    size_t index_size;
    int64_t last_change;
    bool unsynced;
    bool forgotten;
    struct { /* once forgotten: keys whose label was written lately, so that it is not again */
        struct kl_fingerprint key;
        uint64_t label;
    } lately[LATELY];
    unsigned lately_next;
    struct kl_fingerprint label_of; /* the label that was read last: of this key … */
    char label[KL_LINE_MAX + 1];
    unsigned label_parts; /* … and so many parts of it are here */
    bool label_whole;
};

/* ---- bytes ---- */

static void put_number(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_number(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* The checksum covers the pool's id too, so a record of another pool never fits. */
static void checksum(const struct kl_pool_id *pool, const uint8_t *bytes, size_t size,
                     uint8_t out[8])
{
    uint8_t all[HEADER + KL_POOL_ID], digest[32];

    KL_ASSERT(size <= HEADER);
    memcpy(all, pool->b, sizeof pool->b);
    memcpy(all + sizeof pool->b, bytes, size);
    kl_sha256(all, sizeof pool->b + size, digest);
    memcpy(out, digest, 8);
}

/* kind, 0, MAC, change, time, fingerprint, kin, checksum */
static void pack(const struct kl_journal *j, const struct kl_journal_record *r, uint8_t out[RECORD])
{
    out[0] = (uint8_t)r->kind;
    out[1] = 0;
    memcpy(out + 2, r->mac.b, 6);
    put_number(out + 8, (uint64_t)r->change);
    put_number(out + 16, (uint64_t)r->wall);
    memcpy(out + 24, r->fingerprint.b, KL_FINGERPRINT);
    memcpy(out + 40, r->kin.b, KL_FINGERPRINT);
    checksum(&j->pool, out, CHECKED, out + CHECKED);
}

/* Writes the label's records; returns how many. */
static size_t pack_label(const struct kl_journal *j, const struct kl_journal_record *r,
                         uint8_t out[LABEL_PARTS * RECORD])
{
    size_t size = strlen(r->label), parts = 0, at = 0;

    KL_ASSERT(size > 0 && size <= KL_LINE_MAX);
    while (at < size) {
        uint8_t *record = out + parts * RECORD;
        size_t n = size - at < LABEL_ROOM ? size - at : LABEL_ROOM;

        memset(record, 0, RECORD);
        record[0] = LABEL;
        record[1] = (uint8_t)(parts++ | (at + n == size ? LAST_PART : 0u));
        memcpy(record + 2, r->fingerprint.b, KL_FINGERPRINT);
        memcpy(record + LABEL_AT, r->label + at, n);
        checksum(&j->pool, record, CHECKED, record + CHECKED);
        at += n;
    }
    return parts;
}

static bool is_sound(const struct kl_journal *j, const uint8_t bytes[RECORD])
{
    uint8_t sum[8];

    checksum(&j->pool, bytes, CHECKED, sum);
    return memcmp(sum, bytes + CHECKED, sizeof sum) == 0;
}

/* Takes one part of a label, if it follows the part before it. */
static void unpack_label(struct kl_journal *j, const uint8_t bytes[RECORD])
{
    unsigned part = bytes[1] & (LAST_PART - 1u);

    if (part == 0) {
        memset(j->label, 0, sizeof j->label);
        memcpy(j->label_of.b, bytes + 2, KL_FINGERPRINT);
        j->label_parts = 0;
    }
    j->label_whole = false;
    if (part != j->label_parts || part >= LABEL_PARTS ||
        memcmp(j->label_of.b, bytes + 2, KL_FINGERPRINT) != 0)
        return;
    for (size_t i = 0, at = part * (size_t)LABEL_ROOM; i < LABEL_ROOM && at < KL_LINE_MAX; i++)
        j->label[at++] = (char)bytes[LABEL_AT + i];
    j->label_parts++;
    j->label_whole = (bytes[1] & LAST_PART) != 0;
}

static bool unpack(const struct kl_journal *j, const uint8_t bytes[RECORD],
                   struct kl_journal_record *r)
{
    if (bytes[0] < KL_JOURNAL_RESERVED || bytes[0] > KL_JOURNAL_RELEASED)
        return false;
    r->label = "";
    r->kind = (enum kl_journal_kind)bytes[0];
    memcpy(r->mac.b, bytes + 2, 6);
    r->change = (int64_t)get_number(bytes + 8);
    r->wall = (int64_t)get_number(bytes + 16);
    memcpy(r->fingerprint.b, bytes + 24, KL_FINGERPRINT);
    memcpy(r->kin.b, bytes + 40, KL_FINGERPRINT);
    if (j->label_whole && kl_fingerprint_equal(&j->label_of, &r->fingerprint))
        r->label = j->label;
    return true;
}

/* ---- the last record of each key ---- */

static size_t place_of(const struct kl_journal *j, const struct kl_fingerprint *fp)
{
    size_t mask = j->index_size - 1, at;
    uint32_t hash;

    memcpy(&hash, fp->b, sizeof hash);
    for (at = hash & mask; j->index[at] != 0; at = (at + 1) & mask)
        if (kl_fingerprint_equal(&j->record[j->index[at] - 1].fingerprint, fp))
            break;
    return at;
}

static bool grow(struct kl_journal *j)
{
    size_t capacity = j->capacity == 0 ? 256 : 2 * j->capacity;
    struct kl_journal_record *more = reallocarray(j->record, capacity, sizeof *more);
    uint32_t *index = calloc(2 * capacity, sizeof *index);

    if (more)
        j->record = more;
    if (!more || !index) {
        free(index);
        return false;
    }
    free(j->index);
    j->index = index;
    j->index_size = 2 * capacity;
    j->capacity = capacity;
    for (size_t i = 0; i < j->count; i++)
        j->index[place_of(j, &j->record[i].fingerprint)] = (uint32_t)i + 1;
    return true;
}

static bool knows_label(const struct kl_journal_record *r)
{
    return r->label && r->label[0] != '\0';
}

static void free_label(const struct kl_journal_record *r)
{
    if (knows_label(r))
        free((char *)(uintptr_t)r->label); /* ours: see put */
}

/* Puts it in the place of the key's last record, with a label of its own; a label that is known
   stays. */
static bool put(struct kl_journal_record *at, const struct kl_journal_record *r)
{
    struct kl_journal_record old = *at;

    *at = *r;
    if (!knows_label(r) || (knows_label(&old) && strcmp(old.label, r->label) == 0)) {
        at->label = knows_label(&old) ? old.label : "";
        return true;
    }
    at->label = strdup(r->label);
    free_label(&old);
    if (!at->label)
        at->label = "";
    return knows_label(at);
}

static bool take(struct kl_journal *j, const struct kl_journal_record *r)
{
    size_t at;

    if (j->count == j->capacity && !grow(j))
        return false;
    at = place_of(j, &r->fingerprint);
    if (j->index[at] == 0) {
        memset(&j->record[j->count], 0, sizeof j->record[0]);
        j->index[at] = (uint32_t)++j->count;
    }
    if (r->change >= j->record[j->index[at] - 1].change && !put(&j->record[j->index[at] - 1], r))
        return false;
    if (r->change > j->last_change)
        j->last_change = r->change;
    return true;
}

static void free_records(struct kl_journal *j)
{
    for (size_t i = 0; i < j->count; i++)
        free_label(&j->record[i]);
    free(j->record);
    free(j->index);
    j->record = NULL;
    j->index = NULL;
    j->count = j->capacity = j->index_size = 0;
}

void kl_journal_forget(struct kl_journal *j)
{
    free_records(j);
    j->forgotten = true;
}

bool kl_journal_has_forgotten(const struct kl_journal *j)
{
    return j->forgotten;
}

static bool wrote_lately(const struct kl_journal *j, const struct kl_journal_record *r)
{
    uint64_t label = kl_hash(r->label, strlen(r->label));

    for (unsigned i = 0; i < LATELY; i++)
        if (j->lately[i].label == label && kl_fingerprint_equal(&j->lately[i].key, &r->fingerprint))
            return true;
    return false;
}

static bool note(struct kl_journal *j, const struct kl_journal_record *r, bool new_label)
{
    if (!j->forgotten)
        return take(j, r);
    if (new_label) {
        j->lately[j->lately_next].key = r->fingerprint;
        j->lately[j->lately_next].label = kl_hash(r->label, strlen(r->label));
        j->lately_next = (j->lately_next + 1) % LATELY;
    }
    if (r->change > j->last_change)
        j->last_change = r->change;
    return true;
}

const struct kl_journal_record *kl_journal_records(const struct kl_journal *j, size_t *count)
{
    KL_ASSERT(!j->forgotten);
    *count = j->count;
    return j->record;
}

const struct kl_journal_record *kl_journal_find(const struct kl_journal *j,
                                                const struct kl_fingerprint *fp)
{
    size_t at;

    KL_ASSERT(!j->forgotten);
    if (j->count == 0)
        return NULL;
    at = place_of(j, fp);
    return j->index[at] == 0 ? NULL : &j->record[j->index[at] - 1];
}

int64_t kl_journal_last_change(const struct kl_journal *j)
{
    return j->last_change;
}

bool kl_journal_is_of(const struct kl_journal *j, const struct kl_pool_id *pool)
{
    return memcmp(j->pool.b, pool->b, sizeof pool->b) == 0;
}

const char *kl_journal_of(const struct kl_journal *j)
{
    return j->of;
}

/* ---- the folder ---- */

static bool may_keep(const char *folder, bool make)
{
    char part[PATH_MAX];

    for (const char *p = folder + 1; make && p; p++) {
        p = strchr(p, '/');
        kl_copy(part, sizeof part, folder);
        if (p)
            part[p - folder] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
        if (!p)
            break;
    }
    return access(folder, make ? W_OK | X_OK : X_OK) == 0;
}

bool kl_journal_folder(const char *wanted, bool make, char out[4096], char error[KL_TEXT_MAX])
{
    static const char of_host[] = "/var/lib/keyline";
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    out[0] = '\0';
    if (wanted)
        kl_copy(out, 4096, wanted);
    else if (state && state[0] == '/')
        snprintf(out, 4096, "%s/keyline", state);
    else if (access(of_host, W_OK | X_OK) == 0 || geteuid() == 0)
        kl_copy(out, 4096, of_host);
    else if (home && home[0] == '/')
        snprintf(out, 4096, "%s/.local/state/keyline", home);
    if (out[0] != '\0' && may_keep(out, make))
        return true;
    kl_format(error, KL_TEXT_MAX,
              "%s: the journal of keys can't be kept there: %s; name another "
              "folder with --journal, best on another disk than the keys",
              out[0] == '\0' ? "no home folder" : kl_shown(out), strerror(errno));
    return false;
}

static bool name_it(struct kl_journal *j, const char *folder)
{
    char id[2 * KL_POOL_ID + 1];

    for (int i = 0; i < KL_POOL_ID; i++)
        snprintf(id + 2 * i, 3, "%02x", j->pool.b[i]);
    return (size_t)snprintf(j->path, sizeof j->path, "%s/%s%s", folder, id, suffix) <
           sizeof j->path;
}

static bool cant(const struct kl_journal *j, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: the journal %s: %s", kl_shown(j->path), what,
              strerror(errno));
    return false;
}

/* ---- reading ---- */

static bool read_header(struct kl_journal *j)
{
    uint8_t header[HEADER], sum[8];
    struct kl_pool_id pool;

    if (pread(j->fd, header, sizeof header, 0) != sizeof header ||
        memcmp(header, magic, MAGIC) != 0)
        return false;
    memcpy(pool.b, header + MAGIC, sizeof pool.b);
    checksum(&pool, header, HEADER - 8, sum);
    if (memcmp(sum, header + HEADER - 8, sizeof sum) != 0)
        return false;
    j->pool = pool;
    memcpy(j->of, header + PATH_AT, PATH_ROOM);
    j->of[PATH_ROOM] = '\0';
    memcpy(j->last, header + HEADER - RECORD, RECORD);
    return true;
}

/* Skips the zeros that wait for records, and a torn record: the station was writing it when the
   power went. */
static bool read_records(struct kl_journal *j)
{
    static const size_t chunk = 1024 * (size_t)RECORD;
    uint8_t *bytes = malloc(chunk);
    bool ok = bytes;
    off_t at = HEADER;
    ssize_t size;

    j->end = HEADER;
    while (ok && (size = pread(j->fd, bytes, chunk, at)) >= RECORD) {
        for (ssize_t i = 0; ok && i + RECORD <= size; i += RECORD) {
            struct kl_journal_record r;
            if (!is_sound(j, bytes + i))
                continue;
            if (bytes[i] == LABEL)
                unpack_label(j, bytes + i);
            else if (unpack(j, bytes + i, &r))
                ok = take(j, &r);
            else
                continue;
            j->end = at + i + RECORD;
            memcpy(j->last, bytes + i, RECORD);
        }
        at += size - size % RECORD;
    }
    j->size = at;
    free(bytes);
    return ok;
}

static struct kl_journal *read_file(const char *path, char error[KL_TEXT_MAX])
{
    struct kl_journal *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    kl_copy(j->path, sizeof j->path, path);
    j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (j->fd < 0 && (errno == EACCES || errno == EROFS))
        j->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (j->fd < 0 && errno == ENOENT) {
        free(j);
        return NULL;
    }
    if (j->fd < 0) {
        cant(j, "can't be opened", error);
    } else if (!read_header(j)) {
        errno = EILSEQ;
        cant(j, "is damaged", error);
    } else if (!read_records(j)) {
        cant(j, "can't be read", error);
    } else {
        j->unsynced = true; /* whoever wrote it may not have come to that */
        return j;
    }
    kl_journal_close(j);
    return NULL;
}

struct kl_journal *kl_journal_open(const char *folder, const struct kl_pool_id *pool,
                                   char error[KL_TEXT_MAX])
{
    struct kl_journal named = {.pool = *pool};
    struct kl_journal *j;

    error[0] = '\0';
    if (!name_it(&named, folder)) {
        errno = ENAMETOOLONG;
        cant(&named, "can't be opened", error);
        return NULL;
    }
    j = read_file(named.path, error);
    if (j && memcmp(j->pool.b, pool->b, sizeof pool->b) != 0) {
        errno = EILSEQ;
        cant(j, "is another pool's", error);
        kl_journal_close(j);
        return NULL;
    }
    return j;
}

void kl_journal_close(struct kl_journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free_records(j);
    free(j);
}

void kl_journal_each(const char *folder, bool (*each)(void *ctx, const struct kl_journal *j),
                     void *ctx)
{
    DIR *dir = opendir(folder);
    char path[PATH_MAX], error[KL_TEXT_MAX];
    struct dirent *entry;
    bool more = true;

    while (more && dir && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);
        struct kl_journal *j;
        if (length < sizeof suffix ||
            strcmp(entry->d_name + length + 1 - sizeof suffix, suffix) != 0 ||
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path ||
            !(j = read_file(path, error)))
            continue;
        more = each(ctx, j);
        kl_journal_close(j);
    }
    if (dir)
        closedir(dir);
}

/* ---- writing ---- */

/* The journal does not have this label of this key yet, as far as it knows. Once more does no
   harm. */
static bool is_new_label(const struct kl_journal *j, const struct kl_journal_record *r)
{
    const struct kl_journal_record *known;

    if (!knows_label(r) || strlen(r->label) > KL_LINE_MAX)
        return false;
    if (j->forgotten)
        return !wrote_lately(j, r);
    known = kl_journal_find(j, &r->fingerprint);
    return !(known && knows_label(known) && strcmp(known->label, r->label) == 0);
}

/* Puts zeros behind the records, up to the next step. An append that writes over them changes
   neither the file's size nor its blocks: its sync has nothing to write but the data. Without room
   for them the next append makes the file longer itself, and its sync takes longer. */
static void grow_file(struct kl_journal *j)
{
    static const uint8_t zeros[STEP];

    if (j->end <= j->size)
        return;
    j->size = j->end;
    if (kl_disk_write_all(j->fd, zeros, (size_t)(STEP - j->end % STEP)))
        j->size += STEP - j->end % STEP;
}

static bool write_records(struct kl_journal *j, const struct kl_journal_record *records,
                          size_t count)
{
    enum {
        AT_ONCE = 64 + LABEL_PARTS
    };
    uint8_t bytes[AT_ONCE * RECORD];

    for (size_t i = 0; i < count;) {
        size_t n = 0;
        for (; n + LABEL_PARTS < AT_ONCE && i < count; i++) {
            bool new_label = is_new_label(j, &records[i]);
            if (new_label)
                n += pack_label(j, &records[i], bytes + n * RECORD);
            pack(j, &records[i], bytes + n++ * RECORD);
            if (!note(j, &records[i], new_label))
                return false;
        }
        if (!kl_disk_write_all(j->fd, bytes, n * RECORD))
            return false;
        j->end += (off_t)(n * RECORD);
        memcpy(j->last, bytes + (n - 1) * RECORD, RECORD);
    }
    grow_file(j);
    return true;
}

bool kl_journal_append(struct kl_journal *j, const struct kl_journal_record *records, size_t count,
                       char error[KL_TEXT_MAX])
{
    if (count == 0)
        return true;
    /* We write over what a power cut left behind the last good record. */
    if (lseek(j->fd, j->end, SEEK_SET) != j->end || !write_records(j, records, count))
        return cant(j, "can't be written", error);
    j->unsynced = true;
    return true;
}

bool kl_journal_sync(struct kl_journal *j, char error[KL_TEXT_MAX])
{
    if (j->unsynced && kl_disk->sync_data(j->fd) != 0)
        return cant(j, "can't be synced", error);
    j->unsynced = false;
    return true;
}

static bool fill(struct kl_journal *j, const char *name, const char *of,
                 const struct kl_journal_record *records, size_t count)
{
    uint8_t header[HEADER] = {0};

    memcpy(header, magic, MAGIC);
    memcpy(header + MAGIC, j->pool.b, KL_POOL_ID);
    kl_copy((char *)header + PATH_AT, PATH_ROOM,
            of + (strlen(of) < PATH_ROOM ? 0 : strlen(of) - PATH_ROOM + 1));
    kl_copy(j->of, sizeof j->of, (char *)header + PATH_AT);
    checksum(&j->pool, header, HEADER - 8, header + HEADER - 8);
    unlink(name);
    j->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    j->end = HEADER;
    memcpy(j->last, header + HEADER - RECORD, RECORD);
    return j->fd >= 0 && kl_disk_write_all(j->fd, header, sizeof header) &&
           write_records(j, records, count) && kl_disk->sync(j->fd) == 0 &&
           kl_disk->rename(name, j->path) == 0 && kl_disk->sync_folder(j->path) == 0;
}

struct kl_journal *kl_journal_make(const char *folder, const struct kl_pool_id *pool,
                                   const char *path, const struct kl_journal_record *records,
                                   size_t count, char error[KL_TEXT_MAX])
{
    struct kl_journal *j = calloc(1, sizeof *j);
    char name[PATH_MAX + 8];

    if (!j) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return NULL;
    }
    j->pool = *pool;
    j->fd = -1;
    if (name_it(j, folder)) {
        snprintf(name, sizeof name, "%s.new", j->path);
        if (fill(j, name, path, records, count))
            return j;
    } else {
        errno = ENAMETOOLONG;
    }
    cant(j, "can't be made", error);
    kl_journal_close(j);
    return NULL;
}

bool kl_journal_is_whole(const struct kl_journal *j)
{
    struct stat open_one, named_one;
    uint8_t last[RECORD];

    return fstat(j->fd, &open_one) == 0 && stat(j->path, &named_one) == 0 &&
           open_one.st_dev == named_one.st_dev && open_one.st_ino == named_one.st_ino &&
           open_one.st_size >= j->size &&
           pread(j->fd, last, sizeof last, j->end - RECORD) == RECORD &&
           memcmp(last, j->last, sizeof last) == 0;
}
