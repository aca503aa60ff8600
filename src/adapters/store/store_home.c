/* store_home.c: where a pool is at home, on what storage, and who works with it. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "store_state.h"

static const struct timespec beat = {.tv_nsec = 500 * 1000 * 1000};
enum {
    BEAT_SECONDS = 2,
    BEATS_WATCHED = 14, /* 7 s: a station on a network file system shows life every 2 s */
};

/* ---- storage ---- */

static bool can_be_written(const char *csv)
{
    char folder[PATH_MAX];

    kl_copy(folder, sizeof folder, csv);
    strrchr(folder, '/')[1] = '\0'; /* a real path has one */
    return access(folder, W_OK) == 0;
}

enum kl_store_open_result kl_store_settle_storage(struct kl_worker *w, bool answered,
                                                  char error[KL_TEXT_MAX])
{
    struct kl_storage *s = &w->witness.storage;

    kl_disk->look(w->csv.real, !w->look_only, s);
    if (kl_storage_is_mounted_file(w->csv.real)) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: the file itself is mounted here, so that it has two homes and two ledgers; "
                  "mount its folder instead",
                  kl_shown(w->csv.named));
        return KL_STORE_BROKEN;
    }
    if (w->look_only && !can_be_written(w->csv.real)) {
        kl_format(error, KL_TEXT_MAX, "%s: its folder can't be written, so no key can be recorded",
                  kl_shown(w->csv.named));
        return KL_STORE_BROKEN;
    }
    if (s->kind == KL_STORAGE_STRANGE) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: it lies on %s, and two benches would not see each other; move it to this "
                  "host's own disk, or to NFS or SMB",
                  kl_shown(w->csv.named), s->text);
        return KL_STORE_BROKEN;
    }
    if (s->kind == KL_STORAGE_KEEPS || s->kind == KL_STORAGE_SHARED || answered)
        return KL_STORE_OPENED;
    kl_format(error, KL_TEXT_MAX, "%s: it lies on %s", kl_shown(w->csv.named), s->text);
    return KL_STORE_DOUBT;
}

/* ---- home ---- */

static void find_home(struct kl_worker *w, struct kl_pool_home *home)
{
    struct kl_process self;

    kl_process_self(&self);
    kl_copy(home->machine, sizeof home->machine, self.machine);
    kl_copy(home->path, sizeof home->path, w->csv.real);
    kl_ledger_file(kl_ledger_file_path(w->ledger), home->file);
    /* On a network file system an inode does not stand for one file. */
    if (w->witness.storage.kind == KL_STORAGE_SHARED)
        home->file[0] = '\0';
}

static bool is_set(const struct kl_pool_id *id)
{
    static const struct kl_pool_id none;

    return memcmp(id, &none, sizeof none) != 0;
}

/* Tells what is not as a station left it; false if all is. */
static bool has_moved(const struct kl_pool_home *was, const struct kl_pool_home *is,
                      char why[KL_TEXT_MAX])
{
    if (strcmp(was->machine, is->machine) != 0)
        kl_copy(why, KL_TEXT_MAX, "this ledger was used on another machine last");
    else if (strcmp(was->path, is->path) != 0)
        kl_format(why, KL_TEXT_MAX,
                  "this ledger belongs to %s: it was copied, moved, or is reached another way",
                  kl_shown(was->path));
    else if (was->file[0] != '\0' && is->file[0] != '\0' && strcmp(was->file, is->file) != 0)
        kl_copy(why, KL_TEXT_MAX,
                "this ledger is not the file that a station left here: a copy was put back");
    else
        return false;
    return true;
}

static bool write_home(struct kl_worker *w, const struct kl_pool_home *home, const char *reason,
                       char error[KL_TEXT_MAX])
{
    struct kl_ledger_change c = {
        .label = "", .reason = reason, .station = w->station, .wall = kl_store_wall_clock()};

    if (kl_ledger_begin(w->ledger, error) &&
        (reason[0] == '\0' || kl_ledger_note(w->ledger, "moved", &c, error) == KL_STORE_OK) &&
        kl_ledger_set_home(w->ledger, home, error) && kl_ledger_commit(w->ledger, error)) {
        w->witness.home = *home;
        return true;
    }
    kl_ledger_rollback(w->ledger);
    return false;
}

enum kl_store_open_result kl_store_settle_home(struct kl_worker *w, bool answered,
                                               char error[KL_TEXT_MAX])
{
    struct kl_pool_home was, is = {.open = false};
    char why[KL_TEXT_MAX] = "";
    bool moved;

    if (!kl_ledger_home(w->ledger, &was, error))
        return KL_STORE_BROKEN;
    find_home(w, &is);
    w->witness.home = was;
    w->witness.cut |= was.open && kl_ledger_lacked_log(w->ledger);
    moved = is_set(&was.id) && has_moved(&was, &is, why);
    if (moved && !answered) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(w->csv.named), why);
        return KL_STORE_DOUBT;
    }
    if (w->look_only || (is_set(&was.id) && !moved))
        return KL_STORE_OPENED;
    is.id = was.id;
    if (!is_set(&is.id) && !kl_random(is.id.b, sizeof is.id.b)) {
        kl_copy(error, KL_TEXT_MAX, "this host has no randomness");
        return KL_STORE_BROKEN;
    }
    return write_home(w, &is, why, error) ? KL_STORE_OPENED : KL_STORE_BROKEN;
}

/* ---- who works with it ---- */

static bool is_somebodys(const struct kl_lease *lease)
{
    static const struct kl_lease none;

    return memcmp(lease->token, none.token, sizeof none.token) != 0;
}

/* Watches whether a station on another machine, or in another container, shows life. */
static bool shows_life(struct kl_worker *w, const struct kl_lease *was)
{
    char error[KL_TEXT_MAX];
    struct kl_lease now;

    for (int i = 0; i < BEATS_WATCHED; i++) {
        nanosleep(&beat, NULL);
        if (kl_ledger_lease(w->ledger, &now, error) &&
            (now.beat != was->beat || memcmp(now.token, was->token, sizeof now.token) != 0))
            return is_somebodys(&now);
    }
    return false;
}

static bool is_held(struct kl_worker *w, const struct kl_lease *lease)
{
    struct kl_process self;

    if (!is_somebodys(lease))
        return false;
    kl_process_self(&self);
    if (kl_process_lives(&lease->process))
        return lease->process.pid != self.pid;
    /* On this host's disk the kernel keeps the lock: a station that does not hold it is gone. */
    return w->witness.storage.kind == KL_STORAGE_SHARED && shows_life(w, lease);
}

static void make_lease(struct kl_lease *lease)
{
    char host[64] = "?", since[32], space[1024];
    struct passwd entry, *user = NULL;
    time_t now = time(NULL);
    struct tm local;

    kl_process_self(&lease->process);
    getpwuid_r(geteuid(), &entry, space, sizeof space, &user);
    gethostname(host, sizeof host - 1);
    localtime_r(&now, &local);
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &local);
    kl_format(lease->who, sizeof lease->who, "pid %lld, user %s, host %s, since %s",
              (long long)lease->process.pid, !user ? "?" : user->pw_name, host, since);
}

static bool write_lease(struct kl_worker *w, const struct kl_lease *lease, bool open,
                        char error[KL_TEXT_MAX])
{
    struct kl_pool_guard guard;

    if (kl_ledger_begin(w->ledger, error) && kl_ledger_set_lease(w->ledger, lease, error) &&
        kl_ledger_set_open(w->ledger, open, error) && kl_ledger_guard(w->ledger, &guard, error) &&
        kl_ledger_commit(w->ledger, error)) {
        w->witness.last_change = guard.last_change;
        return true;
    }
    kl_ledger_rollback(w->ledger);
    return false;
}

enum kl_store_open_result kl_store_ask_lease(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_lease other;

    if (!kl_ledger_lease(w->ledger, &other, error))
        return KL_STORE_BROKEN;
    if (!is_held(w, &other))
        return KL_STORE_OPENED;
    kl_format(error, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(w->csv.named),
              other.who);
    return KL_STORE_HELD;
}

enum kl_store_open_result kl_store_take_lease(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;

    make_lease(&v->lease);
    if (!kl_random(v->lease.token, sizeof v->lease.token)) {
        kl_copy(error, KL_TEXT_MAX, "this host has no randomness");
        return KL_STORE_BROKEN;
    }
    if (!write_lease(w, &v->lease, true, error) || !kl_ledger_rest(w->ledger, error))
        return KL_STORE_BROKEN;
    v->holds = true;
    return KL_STORE_OPENED;
}

bool kl_store_still_ours(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;
    struct kl_pool_guard guard;

    if (!kl_ledger_guard(w->ledger, &guard, error))
        return false;
    if (memcmp(guard.id.b, v->home.id.b, sizeof guard.id.b) != 0)
        kl_format(error, KL_TEXT_MAX, "%s: another pool's ledger was put in its place",
                  kl_shown(w->csv.named));
    else if (memcmp(guard.token, v->lease.token, sizeof guard.token) != 0)
        kl_format(error, KL_TEXT_MAX,
                  "another station has taken %s over; this one gives no more keys: end it",
                  kl_shown(w->csv.named));
    else if (guard.last_change != v->last_change)
        kl_format(error, KL_TEXT_MAX,
                  "%s: the ledger is %s than this station left it; stop, and start again",
                  kl_shown(w->csv.named), guard.last_change < v->last_change ? "older" : "newer");
    else
        return true;
    return false;
}

bool kl_store_relearn(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;
    struct kl_pool_guard guard;
    struct kl_pool_home now = v->home;

    if (!kl_ledger_guard(w->ledger, &guard, error))
        return false;
    if (guard.last_change > v->last_change)
        v->last_change = guard.last_change;
    find_home(w, &now);
    if (!kl_store_still_ours(w, error) ||
        (strcmp(now.file, v->home.file) != 0 && !write_home(w, &now, "", error)))
        return false;
    return kl_store_complete_journal(w, error);
}

void kl_store_show_life(struct kl_worker *w)
{
    char error[KL_TEXT_MAX];
    time_t now = time(NULL);

    if (w->witness.storage.kind != KL_STORAGE_SHARED || w->sick || !w->witness.holds ||
        now - w->witness.last_beat < BEAT_SECONDS)
        return;
    w->witness.last_beat = now;
    w->witness.lease.beat++;
    if (kl_ledger_begin(w->ledger, error) && kl_store_still_ours(w, error) &&
        kl_ledger_set_lease(w->ledger, &w->witness.lease, error) &&
        kl_ledger_commit(w->ledger, error))
        return;
    kl_ledger_rollback(w->ledger);
}

void kl_store_leave_home(struct kl_worker *w)
{
    static const struct kl_lease nobody;
    char error[KL_TEXT_MAX];

    if (!w->witness.holds || !w->ledger || w->sick || !kl_ledger_begin(w->ledger, error))
        return;
    w->witness.holds = false;
    if (kl_store_still_ours(w, error) && kl_ledger_set_lease(w->ledger, &nobody, error) &&
        kl_ledger_set_open(w->ledger, false, error) && kl_ledger_commit(w->ledger, error))
        return;
    kl_ledger_rollback(w->ledger);
}

void kl_store_rest(struct kl_worker *w)
{
    char error[KL_TEXT_MAX];

    /* If a reader is in the way, the next round tries again. */
    if (w->witness.uneasy && !w->sick && kl_ledger_rest(w->ledger, error))
        w->witness.uneasy = false;
}
