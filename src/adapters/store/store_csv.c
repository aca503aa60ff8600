/* store_csv.c: follows the CSV when others change it, and puts the marks in. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "csv_mark.h"
#include "store_state.h"

enum {
    SMALL_FILE = 1 << 20,
    SETTLE_TRIES = 20,
};
static const kl_us QUICK = KL_MS(20);       /* a replacement that takes no longer is done at once */
static const kl_us REST_PER_WORK = 19;      /* 5 % of the time, whatever the file's size … */
static const kl_us QUIET_PER_WORK = 2;      /* … but once nobody asks for anything, at once */
static const kl_us RETRY_AFTER = KL_SEC(2); /* one that failed */
static const kl_us GATHER = KL_MS(300);
static const kl_us OPEN_END_RESTS = KL_SEC(2);
static const struct timespec moment = {.tv_nsec = 25 * 1000 * 1000};

static kl_us now_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return KL_SEC(t.tv_sec) + t.tv_nsec / 1000;
}

/* ---- changes by others ------------------------------------------------------------------------
 */

static bool look_at(struct kl_store *s, struct stat *st, char text[KL_TEXT_MAX])
{
    if (stat(s->real, st) == 0)
        return true;
    kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(s->csv), strerror(errno));
    return false;
}

static bool same(const struct stat *st, const struct kl_file_id *id)
{
    struct kl_file_id now = kl_file_id_of(st);

    return kl_file_id_equal(&now, id);
}

/* Whoever writes the file may not be done: wait until it rests for a moment. */
static bool settled(struct kl_store *s, struct stat *st, char text[KL_TEXT_MAX])
{
    for (int i = 0; i < SETTLE_TRIES; i++) {
        struct kl_file_id before = kl_file_id_of(st);

        nanosleep(&moment, NULL);
        if (!look_at(s, st, text))
            return false;
        if (same(st, &before))
            return true;
    }
    kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(s->csv));
    return false;
}

/* A last row without its line end may be half a row, until the file has rested. Its own time says
   nothing: it may come from another machine's clock. */
static bool half_written(struct kl_store *s, const struct kl_table *fresh)
{
    kl_us now = now_us(CLOCK_MONOTONIC);

    if (!fresh->open_end)
        return false;
    if (!kl_file_id_equal(&fresh->id, &s->open_id)) {
        s->open_id = fresh->id;
        s->open_since = now;
    }
    return now - s->open_since < OPEN_END_RESTS;
}

static bool lock_anew(struct kl_store *s, const struct kl_table *fresh, char text[KL_TEXT_MAX])
{
    char who[KL_TEXT_MAX];
    struct stat locked;
    int fd;

    if (fstat(s->lock.csv_fd, &locked) == 0 && locked.st_dev == fresh->id.dev &&
        locked.st_ino == fresh->id.ino)
        return true;
    if ((fd = kl_lock_open_csv(s->real)) < 0) {
        kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(s->csv), strerror(errno));
        return false;
    }
    if (kl_lock_csv(&s->lock, fd, who) == KL_LOCK_TAKEN)
        return true;
    kl_format(text, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(s->csv), who);
    return false;
}

static void close_old(struct kl_store *s)
{
    if (s->old_fd >= 0)
        close(s->old_fd);
    s->old_fd = -1;
}

/* Told until marks or somebody else replace the file once more. */
bool kl_store_lost_rows(const struct kl_store *s, char text[KL_TEXT_MAX])
{
    struct stat st;

    if (s->old_fd < 0 || fstat(s->old_fd, &st) != 0 ||
        (st.st_size == s->old_id.size && st.st_mtim.tv_sec == s->old_id.mtim.tv_sec &&
         st.st_mtim.tv_nsec == s->old_id.mtim.tv_nsec))
        return false;
    kl_format(text, KL_TEXT_MAX,
              "%s: a program writes into the file as it was before the last mark, and what it adds "
              "is lost: end it, and save those rows once more",
              kl_shown(s->csv));
    return true;
}

static void put_table(struct kl_store *s, struct kl_table *fresh)
{
    close_old(s);
    if (s->shown == NULL || s->table != s->shown->table)
        kl_table_free(s->table);
    s->table = fresh;
    s->unseen = true;
}

/* Not read again until somebody changes it once more. */
static void note_bad(struct kl_store *s, const struct stat *st, const char *text)
{
    s->bad_id = kl_file_id_of(st);
    kl_copy(s->bad_text, sizeof s->bad_text, text);
}

static bool reload(struct kl_store *s, const struct stat *st, char text[KL_TEXT_MAX])
{
    struct kl_table *fresh = NULL;
    enum kl_table_result result = kl_table_load(s->real, s->header, &fresh, text);

    if (result == KL_TABLE_OK && fresh->count == 0 && s->table->count > 0) {
        kl_format(text, KL_TEXT_MAX, "%s: all rows are gone; what was read before is kept",
                  kl_shown(s->csv));
        note_bad(s, st, text);
    } else if (result == KL_TABLE_BROKEN) {
        note_bad(s, st, text);
    } else if (result == KL_TABLE_OK && half_written(s, fresh)) {
        kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(s->csv));
    } else if (result == KL_TABLE_OK && lock_anew(s, fresh, text)) {
        put_table(s, fresh);
        return true;
    }
    kl_table_free(fresh);
    return false;
}

static bool leads_elsewhere(struct kl_store *s, char text[KL_TEXT_MAX])
{
    char real[PATH_MAX];

    if (realpath(s->watched, real) == NULL || strcmp(real, s->real) == 0)
        return false;
    kl_format(text, KL_TEXT_MAX, "%s: the name leads to another file now: stop and start keyline",
              kl_shown(s->csv));
    return true;
}

static bool is_unchanged(struct kl_store *s, struct stat *st, char text[KL_TEXT_MAX], bool *there)
{
    bool unchanged;

    uv_mutex_lock(&s->table_lock);
    *there = look_at(s, st, text);
    unchanged = *there && same(st, &s->table->id);
    uv_mutex_unlock(&s->table_lock);
    return unchanged;
}

bool kl_store_refresh(struct kl_store *s, char text[KL_TEXT_MAX])
{
    struct stat st;
    bool there;

    if (leads_elsewhere(s, text))
        return false;
    if (is_unchanged(s, &st, text, &there))
        return true;
    if (!there)
        return false;
    if (s->marking) {
        /* The marks that are being put in are for the file as it was: they will find that out. */
        kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(s->csv));
        return false;
    }
    if (same(&st, &s->bad_id)) {
        kl_copy(text, KL_TEXT_MAX, s->bad_text);
        return false;
    }
    return settled(s, &st, text) && reload(s, &st, text);
}

/* ---- marks ------------------------------------------------------------------------------------
 */

static bool wants_mark(const struct kl_table *t, const struct kl_fingerprint *fp)
{
    uint32_t row = kl_table_find(t, fp), copies, at;
    bool wants;

    if (row == UINT32_MAX)
        return false;
    wants = !t->spent[row];
    at = kl_table_copies(t, row, &copies);
    for (uint32_t i = 0; i < copies; i++)
        wants |= !t->spent[t->copy[at + i].row];
    return wants;
}

bool kl_store_want_mark(struct kl_store *s, const struct kl_fingerprint *fp)
{
    bool wants;

    uv_mutex_lock(&s->table_lock);
    wants = wants_mark(s->table, fp);
    uv_mutex_unlock(&s->table_lock);
    if (!wants)
        return true;
    if (s->mark_count == s->mark_capacity) {
        uint32_t capacity = s->mark_capacity == 0 ? 64 : s->mark_capacity * 2;
        struct kl_fingerprint *more = reallocarray(s->mark, capacity, sizeof *more);
        if (more == NULL)
            return false;
        s->mark = more;
        s->mark_capacity = capacity;
    }
    if (s->mark_count == 0)
        s->mark_asked = now_us(CLOCK_MONOTONIC);
    s->mark[s->mark_count++] = *fp;
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The rows that still want a mark, exact copies included: a tool that only knows the CSV must not
   hand them out either. */
static uint32_t unmarked_rows(const struct kl_store *s, uint32_t *rows)
{
    const struct kl_table *t = s->table;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->mark_count; i++) {
        uint32_t row = kl_table_find(t, &s->mark[i]), copies, at;

        if (row == UINT32_MAX)
            continue; /* comes back with the row, if ever */
        at = kl_table_copies(t, row, &copies);
        for (uint32_t k = 0; k <= copies; k++) {
            uint32_t one = k == 0 ? row : t->copy[at + k - 1].row;
            if (t->spent[one])
                continue;
            if (rows != NULL)
                rows[n] = one;
            n++;
        }
    }
    return n;
}

static uint32_t sort_rows(uint32_t *rows, uint32_t n)
{
    uint32_t kept = 0;

    qsort(rows, n, sizeof *rows, ascending);
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || rows[kept - 1] != rows[i])
            rows[kept++] = rows[i];
    return kept;
}

/* Quick enough to be done on the way, before the answers go out. */
static bool is_cheap(const struct kl_store *s)
{
    return s->table->id.size <= SMALL_FILE || (s->mark_took >= 0 && s->mark_took < QUICK);
}

/* The rows that want a mark now, in order; `count` 0 if there are none. */
static uint32_t *take_rows(const struct kl_store *s, uint32_t *count)
{
    uint32_t *rows;

    *count = unmarked_rows(s, NULL);
    rows = calloc((size_t)*count + 1, sizeof *rows);
    KL_ASSERT(rows != NULL);
    unmarked_rows(s, rows);
    *count = sort_rows(rows, *count);
    return rows;
}

static void mark_rows(struct kl_store *s, struct kl_marking *m)
{
    kl_us began = now_us(CLOCK_MONOTONIC);
    struct kl_csv_marking *file;

    m->fd = -1;
    m->result = KL_TABLE_ABSENT;
    file = kl_csv_mark_write(s->table, m->rows, m->count, m->text);
    if (file != NULL) {
        uv_mutex_lock(&s->table_lock);
        m->was = s->table->id;
        kl_csv_mark_place(file, s->table, m->text);
        uv_mutex_unlock(&s->table_lock);
        m->result = kl_csv_mark_end(file, &m->fd, m->text);
    }
    m->took = now_us(CLOCK_MONOTONIC) - began;
}

void kl_store_marked(struct kl_store *s, struct kl_marking *m)
{
    kl_us now = now_us(CLOCK_MONOTONIC);
    char who[KL_TEXT_MAX];
    uint32_t left = 0;

    free(m->rows);
    m->rows = NULL;
    if (m->fd >= 0) {
        close_old(s);
        s->old_fd = s->lock.csv_fd;
        s->old_id = m->was;
        s->lock.csv_fd = -1;
        kl_lock_csv(&s->lock, m->fd, who); /* holds it already */
    }
    kl_copy(s->mark_trouble, sizeof s->mark_trouble, m->text);
    if (m->result != KL_TABLE_OK) {
        s->mark_not_before = now + (m->result == KL_TABLE_CHANGED ? 0 : RETRY_AFTER);
        return;
    }
    s->mark_took = m->took;
    s->mark_rest = s->table->id.size <= SMALL_FILE ? now : now + REST_PER_WORK * m->took;
    for (uint32_t i = 0; i < s->mark_count; i++)
        if (wants_mark(s->table, &s->mark[i]))
            s->mark[left++] = s->mark[i];
    s->mark_count = left;
    s->mark_asked = now;
}

/* The file may be replaced now. A large one is not, again and again, on a busy bench. */
static bool may_mark(const struct kl_store *s)
{
    kl_us now = now_us(CLOCK_MONOTONIC), quiet = now - s->asked_at;

    return now >= s->mark_not_before &&
           (now >= s->mark_rest || (quiet >= GATHER && quiet >= QUIET_PER_WORK * s->mark_took));
}

void kl_store_mark_here(struct kl_store *s, bool must)
{
    struct kl_marking m = {0};
    char text[KL_TEXT_MAX];

    if (s->job.first != NULL)
        s->asked_at = now_us(CLOCK_MONOTONIC);
    if (s->marking)
        return;
    if (s->mark_count == 0)
        s->mark_trouble[0] = '\0';
    if (s->mark_count == 0 || (!must && (!is_cheap(s) || !may_mark(s))))
        return;
    for (int tries = 0; tries < 4; tries++) {
        m.rows = take_rows(s, &m.count);
        m.text[0] = '\0';
        if (m.count > 0)
            mark_rows(s, &m);
        else
            m.fd = -1;
        kl_store_marked(s, &m);
        if (m.result != KL_TABLE_CHANGED || !kl_store_refresh(s, text))
            break;
    }
}

bool kl_store_mark_due(struct kl_store *s)
{
    if (s->mark_count == 0 || is_cheap(s) || !may_mark(s) ||
        now_us(CLOCK_MONOTONIC) - s->mark_asked < GATHER)
        return false;
    s->background = (struct kl_marking){.fd = -1};
    s->background.rows = take_rows(s, &s->background.count);
    if (s->background.count > 0)
        return true;
    kl_store_marked(s, &s->background);
    return false;
}

void kl_store_mark_there(struct kl_store *s)
{
    mark_rows(s, &s->background);
}
