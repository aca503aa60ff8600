/* store_csv.c: follows the CSV when others change it, and puts the marks in. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "csv_mark.h"
#include "disk.h"
#include "store_state.h"

enum {
    SMALL_FILE = 1 << 20,
    SETTLE_TRIES = 20,
};
static const kl_us QUICK = KL_MS(20);       /* a replacement that takes no longer is done at once */
static const kl_us REST_PER_WORK = 19;      /* 5 % of the time, whatever the file's size */
static const kl_us RETRY_AFTER = KL_SEC(2); /* one that failed */
static const kl_us GATHER = KL_MS(300);
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

/* A last row without its line end may be half a row. */
static bool half_written(const struct kl_table *fresh)
{
    kl_us age = now_us(CLOCK_REALTIME) - KL_SEC(fresh->id.mtim.tv_sec);

    return fresh->open_end && age >= 0 && age < KL_SEC(2);
}

static bool lock_anew(struct kl_store *s, const struct kl_table *fresh, char text[KL_TEXT_MAX])
{
    char who[KL_TEXT_MAX];
    struct stat locked;
    int fd;

    if (fstat(s->lock.csv_fd, &locked) == 0 && locked.st_dev == fresh->id.dev &&
        locked.st_ino == fresh->id.ino)
        return true;
    if ((fd = open(s->real, O_RDONLY | O_CLOEXEC)) < 0) {
        kl_format(text, KL_TEXT_MAX, "%s: %s", kl_shown(s->csv), strerror(errno));
        return false;
    }
    if (kl_lock_csv(&s->lock, fd, who) == KL_LOCK_TAKEN)
        return true;
    kl_format(text, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(s->csv), who);
    return false;
}

static void put_table(struct kl_store *s, struct kl_table *fresh)
{
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
    } else if (result == KL_TABLE_OK && half_written(fresh)) {
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

bool kl_store_refresh(struct kl_store *s, char text[KL_TEXT_MAX])
{
    struct stat st;

    if (leads_elsewhere(s, text) || !look_at(s, &st, text))
        return false;
    if (same(&st, &s->table->id))
        return true;
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
    if (!wants_mark(s->table, fp))
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

static enum kl_table_result mark_once(struct kl_store *s, char text[KL_TEXT_MAX])
{
    uint32_t count = unmarked_rows(s, NULL);
    enum kl_table_result result;
    char who[KL_TEXT_MAX];
    uint32_t *rows;
    int fd = -1;

    text[0] = '\0';
    if (count == 0)
        return KL_TABLE_OK;
    if ((rows = calloc(count, sizeof *rows)) == NULL) {
        kl_copy(text, KL_TEXT_MAX, "no memory for the marks");
        return KL_TABLE_ABSENT;
    }
    unmarked_rows(s, rows);
    count = sort_rows(rows, count);
    result = kl_csv_mark(s->table, rows, count, &fd, text);
    if (fd >= 0)
        kl_lock_csv(&s->lock, fd, who); /* holds it already */
    free(rows);
    return result;
}

static bool is_due(const struct kl_store *s, bool busy, kl_us now)
{
    bool cheap = s->table->id.size <= SMALL_FILE || (s->mark_took >= 0 && s->mark_took < QUICK);

    if (now < s->mark_not_before)
        return false;
    return cheap || now - s->mark_asked >= (busy ? KL_SEC(1) : GATHER);
}

bool kl_store_mark(struct kl_store *s, bool now, bool busy, char text[KL_TEXT_MAX])
{
    kl_us began = now_us(CLOCK_MONOTONIC), ended;
    enum kl_table_result result;

    if (s->mark_count == 0 || (!now && !is_due(s, busy, began)))
        return true;
    for (int tries = 0; (result = mark_once(s, text)) == KL_TABLE_CHANGED && tries < 3; tries++)
        if (!kl_store_refresh(s, text))
            break;
    ended = now_us(CLOCK_MONOTONIC);
    s->mark_took = ended - began;
    s->mark_not_before =
        ended + (result == KL_TABLE_OK ? REST_PER_WORK * s->mark_took : RETRY_AFTER);
    if (s->table->id.size <= SMALL_FILE && result == KL_TABLE_OK)
        s->mark_not_before = ended;
    if (result == KL_TABLE_OK)
        s->mark_count = 0;
    return result == KL_TABLE_OK && text[0] == '\0';
}
