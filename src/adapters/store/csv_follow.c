/* csv_follow.c: follows the CSV when others change it, and puts the marks in. */
#include "csv_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/lease.h"
#include "adapters/host/regular.h"
#include "csv_mark.h"
#include "csv_tag.h"
#include "leased_list.h"

enum {
    SMALL_FILE = 1 << 20,
    SETTLE_TRIES = 20,
    LOAD_TRIES = 5,
};
static const kl_us QUICK = KL_MS(20);       /* a replacement starts at once if it takes no longer */
static const kl_us REST_PER_WORK = 19;      /* 5 % of the time, for a file of any size … */
static const kl_us QUIET_PER_WORK = 2;      /* … but on a quiet bench it starts at once */
static const kl_us RETRY_AFTER = KL_SEC(2); /* after a replacement that failed */
static const kl_us GATHER = KL_MS(300);
static const kl_us HALF_RESTS = KL_SEC(2);
static const kl_us ASK_AFTER = KL_SEC(1);
static const kl_us UNKNOWN_RESTS = KL_SEC(10); /* where we can't tell who has the file open */
static const struct timespec moment = {.tv_nsec = 25 * 1000 * 1000};
static const struct timespec load_pause = {.tv_nsec = 100 * 1000 * 1000};

static kl_us now_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return KL_SEC(t.tv_sec) + t.tv_nsec / 1000;
}

/* ---- the file ---- */

bool kl_csv_file_init(struct kl_csv_file *f, const char *csv, unsigned layout, struct kl_lock *lock,
                      char error[KL_TEXT_MAX])
{
    char here[PATH_MAX] = "";

    memset(f, 0, sizeof *f);
    f->layout = layout;
    f->lock = lock;
    f->old_fd = -1;
    f->owed.took = -1;
    uv_mutex_init(&f->guard);
    kl_copy(f->named, sizeof f->named, csv);
    if (!realpath(csv, f->real) || (csv[0] != '/' && !getcwd(here, sizeof here))) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(csv), strerror(errno));
        return false;
    }
    snprintf(f->watched, sizeof f->watched, csv[0] == '/' ? "%.0s%s" : "%s/%s", here, csv);
    return true;
}

void kl_csv_file_free(struct kl_csv_file *f)
{
    KL_ASSERT(!f->out);
    kl_table_free(f->table);
    kl_csv_ask_nothing(&f->asks);
    if (f->old_fd >= 0)
        close(f->old_fd);
    uv_mutex_destroy(&f->guard);
    free(f->owed.key);
}

/* True if the table has something suspicious that no person has accepted. */
static bool is_refused(const struct kl_csv_file *f, const struct kl_table *t,
                       char text[KL_TEXT_MAX])
{
    char why[KL_TEXT_MAX];

    if (!kl_csv_is_suspicious(&f->asks, &t->verdict, f->accepted, why))
        return false;
    kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(f->named), why);
    return true;
}

static enum kl_table_result load(const struct kl_csv_file *f, struct kl_table **out,
                                 char error[KL_TEXT_MAX])
{
    return f->leased ? kl_table_load_leased(f->real, f->leased, out, error)
                     : kl_table_load(f->real, f->layout, out, error);
}

enum kl_table_result kl_csv_file_load(struct kl_csv_file *f, char error[KL_TEXT_MAX])
{
    enum kl_table_result result = KL_TABLE_CHANGED;

    KL_ASSERT(!f->table);
    for (int tries = 0; tries < LOAD_TRIES; tries++) {
        result = load(f, &f->table, error);
        if (result != KL_TABLE_CHANGED)
            break;
        nanosleep(&load_pause, NULL);
    }
    return result == KL_TABLE_OK && is_refused(f, f->table, error) ? KL_TABLE_BROKEN : result;
}

enum kl_table_result kl_csv_file_fetch(struct kl_csv_file *f, uint32_t row, struct kl_key *key,
                                       struct kl_key_text *long_text, char text[KL_TEXT_MAX])
{
    enum kl_table_result result;

    uv_mutex_lock(&f->guard);
    result = kl_table_fetch(f->table, row, key, long_text, text);
    uv_mutex_unlock(&f->guard);
    return result;
}

bool kl_csv_file_is_spent(struct kl_csv_file *f, uint32_t row)
{
    uint32_t copies, at = kl_table_copies(f->table, row, &copies);
    bool spent;

    uv_mutex_lock(&f->guard);
    spent = f->table->spent[row];
    for (uint32_t i = 0; i < copies; i++)
        spent |= f->table->spent[f->table->copy[at + i].row];
    uv_mutex_unlock(&f->guard);
    return spent;
}

/* The tag changes the file's ctime and nothing else: it stays the file that we know. */
void kl_csv_file_tag(struct kl_csv_file *f, const struct kl_pool_id *id)
{
    struct kl_file_id before, after;
    struct stat st;

    if (stat(f->real, &st) != 0)
        return;
    before = kl_file_id_of(&st);
    if (!kl_file_id_equal(&before, &f->table->id) || !kl_csv_tag_write(f->real, id) ||
        stat(f->real, &st) != 0)
        return;
    after = kl_file_id_of(&st);
    before.ctim = after.ctim;
    if (kl_file_id_equal(&before, &after))
        f->table->id = after;
}

/* ---- changes by others ---- */

static bool look_at(struct kl_csv_file *f, struct stat *st, char text[KL_TEXT_MAX])
{
    if (stat(f->real, st) == 0)
        return true;
    kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(f->named), strerror(errno));
    return false;
}

static bool same(const struct stat *st, const struct kl_file_id *id)
{
    struct kl_file_id now = kl_file_id_of(st);

    return kl_file_id_equal(&now, id);
}

/* Another program may still be writing the file: wait until it rests for a moment. */
static bool settled(struct kl_csv_file *f, struct stat *st, char text[KL_TEXT_MAX])
{
    for (int i = 0; i < SETTLE_TRIES; i++) {
        struct kl_file_id before = kl_file_id_of(st);

        nanosleep(&moment, NULL);
        if (!look_at(f, st, text))
            return false;
        if (same(st, &before))
            return true;
    }
    kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(f->named));
    return false;
}

static enum kl_lease writers_of(const struct kl_csv_file *f)
{
    enum kl_lease lease = KL_LEASE_UNKNOWN;
    const char *trouble;
    int fd = kl_open_regular(f->real, &trouble);

    if (fd >= 0)
        lease = kl_lease_take(fd);
    if (fd >= 0)
        close(fd);
    return lease;
}

static uint32_t missing_rows(const struct kl_table *old, const struct kl_table *fresh)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < old->count; i++)
        n += !old->row[i].bad && kl_table_find(fresh, &old->row[i].fingerprint) == UINT32_MAX;
    return n;
}

/* A last row without its line end may be half a row, and a file that lacks rows may be half a file.
   We believe such a file once nobody has it open for writing and it has rested. Its own time says
   nothing, because it may come from another machine's clock. */
static bool half_written(struct kl_csv_file *f, const struct kl_table *fresh,
                         char text[KL_TEXT_MAX])
{
    uint32_t missing = missing_rows(f->table, fresh);
    kl_us now = now_us(CLOCK_MONOTONIC), rests = HALF_RESTS;
    enum kl_lease writers;

    if (kl_csv_is_answered(&f->asks, KL_ASKS_WHOLE, &fresh->id))
        missing = 0;
    if (!fresh->open_end && missing == 0)
        return false;
    if (!kl_file_id_equal(&fresh->id, &f->rest_id)) {
        f->rest_id = fresh->id;
        f->rest_since = now;
    }
    writers = writers_of(f);
    if (writers == KL_LEASE_UNKNOWN && missing > 0)
        rests = UNKNOWN_RESTS;
    if (missing == 0)
        kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(f->named));
    else
        kl_format(text, KL_TEXT_MAX,
                  "%s: another program is writing to it: %u rows that were there are missing; no "
                  "new key until %s",
                  kl_shown(f->named), (unsigned)missing,
                  writers == KL_LEASE_WRITTEN ? "it is closed" : "it has rested");
    if (writers != KL_LEASE_WRITTEN && now - f->rest_since >= rests)
        return false;
    /* Nobody is asked about what passes by itself before anybody can answer. */
    if (missing > 0 && writers != KL_LEASE_TAKEN && now - f->rest_since >= ASK_AFTER)
        kl_csv_ask(&f->asks, KL_ASKS_WHOLE, &fresh->id, text);
    return true;
}

static bool lock_anew(struct kl_csv_file *f, const struct kl_table *fresh, char text[KL_TEXT_MAX])
{
    char who[KL_TEXT_MAX];
    struct stat locked;
    int fd;

    if (fstat(f->lock->csv_fd, &locked) == 0 && locked.st_dev == fresh->id.dev &&
        locked.st_ino == fresh->id.ino)
        return true;
    if ((fd = kl_lock_open_csv(f->real)) < 0) {
        kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(f->named), strerror(errno));
        return false;
    }
    if (kl_lock_csv(f->lock, fd, who) == KL_LOCK_TAKEN)
        return true;
    kl_format(text, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(f->named), who);
    return false;
}

static void close_old(struct kl_csv_file *f)
{
    if (f->old_fd >= 0)
        close(f->old_fd);
    f->old_fd = -1;
}

/* This stays true until our marks, or another program, replace the file once more. */
bool kl_csv_file_lost_rows(const struct kl_csv_file *f, char text[KL_TEXT_MAX])
{
    struct stat st;

    if (f->old_fd < 0 || fstat(f->old_fd, &st) != 0 ||
        (st.st_size == f->old_id.size && st.st_mtim.tv_sec == f->old_id.mtim.tv_sec &&
         st.st_mtim.tv_nsec == f->old_id.mtim.tv_nsec))
        return false;
    kl_format(text, KL_TEXT_MAX,
              "%s: a program writes into the file as it was before the last mark, and what it adds "
              "is lost: end it, and save those rows once more",
              kl_shown(f->named));
    return true;
}

static void put_table(struct kl_csv_file *f, struct kl_table *fresh)
{
    close_old(f);
    kl_table_free(f->table);
    f->table = fresh;
    f->fresh = true;
    /* The program that wrote the file may go on. Once we replace the file, it would write into the
       old one. */
    if (writers_of(f) == KL_LEASE_UNKNOWN)
        f->owed.not_before = now_us(CLOCK_MONOTONIC) + HALF_RESTS;
}

/* Remembers a file that we can't use, so that we do not read it again until somebody changes it. */
static void note_bad(struct kl_csv_file *f, const struct stat *st, const char *text)
{
    f->bad_id = kl_file_id_of(st);
    kl_copy(f->bad_text, sizeof f->bad_text, text);
}

/* Rows that have another form than all before, and whatever the rest of the store knows. */
static enum kl_csv_question look_further(struct kl_csv_file *f, const struct kl_table *fresh,
                                         bool *good, char text[KL_TEXT_MAX])
{
    enum kl_csv_question what = KL_ASKS_LIST;
    char why[KL_TEXT_MAX];

    *good = false;
    if (!kl_csv_is_answered(&f->asks, what, &fresh->id) &&
        kl_csv_is_other_list(f->table, fresh, why)) {
        kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(f->named), why);
        return what;
    }
    what = KL_ASKS_NOTHING;
    *good = !f->weigh || f->weigh(f->weigh_ctx, fresh, &what, text);
    return what;
}

/* We may use the file: it is whole, nobody is at work on it, and nothing about it is suspicious. */
static bool is_good(struct kl_csv_file *f, const struct stat *st, const struct kl_table *fresh,
                    char text[KL_TEXT_MAX])
{
    enum kl_csv_question what = KL_ASKS_KIND;
    bool good = false;

    if (fresh->count == 0 && f->table->count > 0) {
        kl_format(text, KL_TEXT_MAX, "%s: all rows are gone; what was read before is kept",
                  kl_shown(f->named));
        note_bad(f, st, text);
        return false;
    }
    if (half_written(f, fresh, text))
        return false;
    if (!is_refused(f, fresh, text))
        what = look_further(f, fresh, &good, text);
    if (good)
        return lock_anew(f, fresh, text);
    if (what == KL_ASKS_NOTHING)
        return false; /* it can't be looked at now */
    kl_csv_ask(&f->asks, what, &fresh->id, text);
    note_bad(f, st, text);
    return false;
}

static bool reload(struct kl_csv_file *f, const struct stat *st, char text[KL_TEXT_MAX])
{
    struct kl_table *fresh = NULL;
    enum kl_table_result result = load(f, &fresh, text);

    kl_csv_ask_nothing(&f->asks);
    if (result == KL_TABLE_BROKEN)
        note_bad(f, st, text);
    if (result == KL_TABLE_OK && is_good(f, st, fresh, text)) {
        put_table(f, fresh);
        return true;
    }
    if (f->asks.what != KL_ASKS_NOTHING)
        kl_csv_ask_hold(&f->asks, fresh);
    else
        kl_table_free(fresh);
    return false;
}

/* Nobody adds rows to a leased list meanwhile. */
static bool reload_alone(struct kl_csv_file *f, const struct stat *st, char text[KL_TEXT_MAX])
{
    bool ok;

    if (f->leased)
        uv_mutex_lock(f->leased->writing);
    ok = reload(f, st, text);
    if (f->leased)
        uv_mutex_unlock(f->leased->writing);
    return ok;
}

void kl_csv_file_answer(struct kl_csv_file *f, const char *id)
{
    if (f->asks.held && kl_csv_take_answer(&f->asks, id, &f->asks.held->id))
        memset(&f->bad_id, 0, sizeof f->bad_id);
}

enum kl_table_result kl_csv_file_fetch_held(struct kl_csv_file *f, const struct kl_fingerprint *fp,
                                            struct kl_key *key, struct kl_key_text *long_text,
                                            char text[KL_TEXT_MAX])
{
    uint32_t row = !f->asks.held ? UINT32_MAX : kl_table_find(f->asks.held, fp);

    if (row != UINT32_MAX)
        return kl_table_fetch(f->asks.held, row, key, long_text, text);
    return KL_TABLE_ABSENT;
}

static bool leads_elsewhere(struct kl_csv_file *f, char text[KL_TEXT_MAX])
{
    char real[PATH_MAX];

    if (!realpath(f->watched, real) || strcmp(real, f->real) == 0)
        return false;
    kl_format(text, KL_TEXT_MAX, "%s: the name leads to another file now: stop and start keyline",
              kl_shown(f->named));
    return true;
}

static bool is_unchanged(struct kl_csv_file *f, struct stat *st, char text[KL_TEXT_MAX],
                         bool *there)
{
    bool unchanged;

    uv_mutex_lock(&f->guard);
    *there = look_at(f, st, text);
    unchanged = *there && same(st, &f->table->id);
    uv_mutex_unlock(&f->guard);
    return unchanged;
}

static bool refresh(struct kl_csv_file *f, bool *asks, char text[KL_TEXT_MAX])
{
    struct stat st;
    bool there;

    *asks = false;
    if (leads_elsewhere(f, text))
        return false;
    if (is_unchanged(f, &st, text, &there))
        return true;
    if (!there)
        return false;
    if (f->out) {
        /* Another thread is putting marks into the file as it was. It will notice the change
           itself. */
        kl_format(text, KL_TEXT_MAX, "%s: another program is writing to it", kl_shown(f->named));
        return false;
    }
    *asks = true;
    if (same(&st, &f->bad_id)) {
        kl_copy(text, KL_TEXT_MAX, f->bad_text);
        return false;
    }
    *asks = settled(f, &st, text);
    return *asks && reload_alone(f, &st, text);
}

bool kl_csv_file_refresh(struct kl_csv_file *f, char text[KL_TEXT_MAX])
{
    bool asks, good = refresh(f, &asks, text);

    if (good || !asks)
        kl_csv_ask_nothing(&f->asks);
    return good;
}

/* ---- marks ---- */

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

bool kl_csv_file_want_mark(struct kl_csv_file *f, const struct kl_fingerprint *fp)
{
    bool wants;

    uv_mutex_lock(&f->guard);
    wants = wants_mark(f->table, fp);
    uv_mutex_unlock(&f->guard);
    if (!wants)
        return true;
    if (f->owed.count == f->owed.capacity) {
        uint32_t capacity = f->owed.capacity == 0 ? 64 : f->owed.capacity * 2;
        struct kl_fingerprint *more = reallocarray(f->owed.key, capacity, sizeof *more);
        if (!more)
            return false;
        f->owed.key = more;
        f->owed.capacity = capacity;
    }
    if (f->owed.count == 0)
        f->owed.asked = now_us(CLOCK_MONOTONIC);
    f->owed.key[f->owed.count++] = *fp;
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The rows that still want a mark, exact copies included: a tool that only knows the CSV must not
   hand them out either. */
static uint32_t unmarked_rows(const struct kl_csv_file *f, uint32_t *rows)
{
    const struct kl_table *t = f->table;
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->owed.count; i++) {
        uint32_t row = kl_table_find(t, &f->owed.key[i]), copies, at;

        if (row == UINT32_MAX)
            continue; /* the mark becomes due again if the row ever comes back */
        at = kl_table_copies(t, row, &copies);
        for (uint32_t k = 0; k <= copies; k++) {
            uint32_t one = k == 0 ? row : t->copy[at + k - 1].row;
            if (t->spent[one])
                continue;
            if (rows)
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

/* Marking is quick enough to do it on the way, before the answers go out. */
static bool is_cheap(const struct kl_csv_file *f)
{
    return f->table->id.size <= SMALL_FILE || (f->owed.took >= 0 && f->owed.took < QUICK);
}

/* The rows that want a mark now, in order; `count` 0 if there are none. */
static uint32_t *take_rows(const struct kl_csv_file *f, uint32_t *count)
{
    uint32_t *rows;

    *count = unmarked_rows(f, NULL);
    rows = calloc((size_t)*count + 1, sizeof *rows);
    KL_ASSERT(rows);
    unmarked_rows(f, rows);
    *count = sort_rows(rows, *count);
    return rows;
}

void kl_marking_run(struct kl_marking *m)
{
    kl_us began = now_us(CLOCK_MONOTONIC);
    struct kl_csv_marking *file;

    if (m->writing)
        uv_mutex_lock(m->writing);
    m->fd = -1;
    m->result = KL_TABLE_ABSENT;
    file = kl_csv_mark_write(m->table, m->rows, m->count, m->text);
    if (file) {
        uv_mutex_lock(m->guard);
        m->was = m->table->id;
        kl_csv_mark_place(file, m->table, m->text);
        uv_mutex_unlock(m->guard);
        m->result = kl_csv_mark_end(file, &m->fd, m->text);
    }
    if (m->writing)
        uv_mutex_unlock(m->writing);
    m->took = now_us(CLOCK_MONOTONIC) - began;
}

static void take_in(struct kl_csv_file *f, struct kl_marking *m)
{
    kl_us now = now_us(CLOCK_MONOTONIC);
    char who[KL_TEXT_MAX];
    uint32_t left = 0;

    free(m->rows);
    m->rows = NULL;
    if (m->fd >= 0) {
        close_old(f);
        f->old_fd = f->lock->csv_fd;
        f->old_id = m->was;
        f->lock->csv_fd = -1;
        kl_lock_csv(f->lock, m->fd, who); /* the lock holds this file already */
    }
    kl_copy(f->owed.trouble, sizeof f->owed.trouble, m->text);
    if (m->result != KL_TABLE_OK) {
        f->owed.not_before = now + (m->result == KL_TABLE_CHANGED ? 0 : RETRY_AFTER);
        return;
    }
    f->owed.took = m->took;
    f->owed.rest = f->table->id.size <= SMALL_FILE ? now : now + REST_PER_WORK * m->took;
    for (uint32_t i = 0; i < f->owed.count; i++)
        if (wants_mark(f->table, &f->owed.key[i]))
            f->owed.key[left++] = f->owed.key[i];
    f->owed.count = left;
    f->owed.asked = now;
}

/* We may replace the file now. On a busy bench we do not replace a large one again and again. */
static bool may_mark(const struct kl_csv_file *f)
{
    kl_us now = now_us(CLOCK_MONOTONIC), quiet = now - f->owed.last_request;

    return now >= f->owed.not_before &&
           (now >= f->owed.rest || (quiet >= GATHER && quiet >= QUIET_PER_WORK * f->owed.took));
}

static struct kl_marking marking_of(struct kl_csv_file *f)
{
    struct kl_marking m = {.table = f->table,
                           .guard = &f->guard,
                           .writing = f->leased ? f->leased->writing : NULL,
                           .fd = -1};

    m.rows = take_rows(f, &m.count);
    return m;
}

void kl_csv_file_mark_here(struct kl_csv_file *f, bool busy, bool must)
{
    char text[KL_TEXT_MAX];

    if (busy)
        f->owed.last_request = now_us(CLOCK_MONOTONIC);
    if (f->out)
        return;
    if (f->owed.count == 0)
        f->owed.trouble[0] = '\0';
    if (f->owed.count == 0 || (!must && (!is_cheap(f) || !may_mark(f))))
        return;
    for (int tries = 0; tries < 4; tries++) {
        struct kl_marking m = marking_of(f);
        if (m.count > 0)
            kl_marking_run(&m);
        take_in(f, &m);
        if (m.result != KL_TABLE_CHANGED || !kl_csv_file_refresh(f, text))
            break;
    }
}

struct kl_marking *kl_csv_file_mark_due(struct kl_csv_file *f)
{
    struct kl_marking m;

    KL_ASSERT(!f->out);
    if (f->owed.count == 0 || is_cheap(f) || !may_mark(f) ||
        now_us(CLOCK_MONOTONIC) - f->owed.asked < GATHER)
        return NULL;
    m = marking_of(f);
    if (m.count == 0) {
        take_in(f, &m);
        return NULL;
    }
    f->out = malloc(sizeof *f->out);
    KL_ASSERT(f->out);
    *f->out = m;
    return f->out;
}

void kl_csv_file_marked(struct kl_csv_file *f, struct kl_marking *m)
{
    KL_ASSERT(f->out == m);
    f->out = NULL;
    take_in(f, m);
    free(m);
}
