/*
 * store_job.c: what the worker does for a batch of requests, in this order:
 *
 *   still the only station? -> CSV as it is now -> keys read from it -> one commit -> marks
 *
 * The worker answers nothing before all of it is done.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/host/disk.h"
#include "store_state.h"

enum {
    LATE_MAX = 10000, /* attempts that wait for a better disk */
};

int64_t kl_store_wall_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- requests ---- */

static void settle(struct kl_request *r, enum kl_store_status status, const char *text)
{
    r->status = status;
    r->settled = true;
    kl_copy(r->text, sizeof r->text, text);
}

/* Nobody asks a second time to write an attempt, so it waits here. */
static bool keep_for_later(struct kl_worker *w, const struct kl_request *r)
{
    struct kl_late *late, **end = &w->late;

    if (w->late_count == LATE_MAX || !(late = calloc(1, sizeof *late)))
        return false;
    late->attempt = r->attempt;
    late->wall = kl_store_wall_clock();
    while (*end)
        end = &(*end)->next;
    *end = late;
    w->late_count++;
    return true;
}

static void fail_all(struct kl_worker *w, struct kl_job *job, const char *text)
{
    for (struct kl_request *r = job->first; r; r = r->next) {
        bool later = r->action.u.store.op == KL_OP_ATTEMPT && keep_for_later(w, r);
        settle(r, later ? KL_STORE_OK : KL_STORE_FAILED, later ? "" : text);
    }
}

static bool wants_key(const struct kl_request *r)
{
    return r->action.u.store.op == KL_OP_RESERVE || r->action.u.store.op == KL_OP_FETCH;
}

/* Reads the secret before the round writes anything: a reservation helps nobody if we can't read
   its key. */
static void read_key(struct kl_worker *w, struct kl_request *r, size_t i, bool usable,
                     const char *trouble)
{
    struct kl_key *key = &w->secret->key[i];
    struct kl_key_text *long_text = w->texts ? &w->texts->text[i] : NULL;
    enum kl_table_result result;
    char text[KL_TEXT_MAX] = "";
    uint32_t row = kl_table_find(w->csv.table, &r->action.u.store.fingerprint);

    /* What a board was promised is its own, also while a person has to answer about other rows. */
    if (!usable && r->action.u.store.op == KL_OP_FETCH &&
        kl_csv_file_fetch_held(&w->csv, &r->action.u.store.fingerprint, key, long_text, text) ==
            KL_TABLE_OK) {
        r->key = key;
        return;
    }
    if (!usable) {
        bool asks = w->csv.asks.question.id[0] != '\0';
        settle(r, asks ? KL_STORE_ASKS : KL_STORE_FAILED, trouble);
        return;
    }
    if (row == UINT32_MAX) {
        /* We owe a new key to nobody: the pool picks another when it knows the new CSV. */
        settle(r, r->action.u.store.op == KL_OP_RESERVE ? KL_STORE_FAILED : KL_STORE_REFUSED,
               "the key's row is no longer in the CSV");
        return;
    }
    result = kl_csv_file_fetch(&w->csv, row, key, long_text, text);
    if (result == KL_TABLE_OK)
        r->key = key;
    else if (result == KL_TABLE_CHANGED)
        settle(r, KL_STORE_FAILED, "another program is writing to the CSV");
    else
        settle(r, KL_STORE_FAILED, text);
}

/* As its row is called; without a row, as the pool calls it. */
static const char *label_of(const struct kl_worker *w, const struct kl_request *r)
{
    uint32_t row = kl_table_find(w->csv.table, &r->action.u.store.fingerprint);

    return row != UINT32_MAX ? w->csv.table->row[row].label : r->label;
}

static enum kl_store_status apply(struct kl_worker *w, struct kl_request *r)
{
    uint32_t row = kl_table_find(w->csv.table, &r->action.u.store.fingerprint);
    struct kl_ledger_change c = {
        .fingerprint = r->action.u.store.fingerprint,
        .kin = row != UINT32_MAX ? w->csv.table->row[row].kin : (struct kl_fingerprint){{0}},
        .mac = r->action.u.store.mac,
        .label = label_of(w, r),
        .how = r->action.u.store.acknowledged_only ? "ack" : "readback",
        .reason = r->reason,
        .station = w->station,
        .bundle = w->bundle,
        .wall = kl_store_wall_clock(),
    };

    switch (r->action.u.store.op) {
    case KL_OP_RESERVE:
        c.marked = kl_csv_file_is_spent(&w->csv, row);
        return kl_ledger_reserve(w->ledger, &c, r->text);
    case KL_OP_RELEASE:
        return kl_ledger_release(w->ledger, &c, r->text);
    case KL_OP_PROVISION:
        return kl_ledger_provision(w->ledger, &c, r->text);
    case KL_OP_FETCH:
        return kl_ledger_owns(w->ledger, &c, r->text);
    case KL_OP_ATTEMPT:
        return kl_ledger_attempt(w->ledger, &c, &r->attempt, r->text);
    case KL_OP_COMMAND:
        return kl_ledger_command(w->ledger, &c, r->action.u.store.command, r->text);
    }
    return KL_STORE_FAILED;
}

/* ---- the batch ---- */

static bool heal(struct kl_worker *w, char text[KL_TEXT_MAX])
{
    if (!kl_ledger_heal(w->ledger, text) || !kl_store_relearn(w, text))
        return false;
    w->sick = false;
    w->healed = true; /* the ledger may hold what we reported as failed */
    return true;
}

static bool begin(struct kl_worker *w, char text[KL_TEXT_MAX])
{
    if (w->sick && !heal(w, text))
        return false;
    if (kl_ledger_begin(w->ledger, text))
        return true;
    w->sick = true;
    return heal(w, text) && kl_ledger_begin(w->ledger, text);
}

static bool apply_late(struct kl_worker *w, char text[KL_TEXT_MAX])
{
    for (const struct kl_late *late = w->late; late; late = late->next) {
        struct kl_ledger_change c = {
            .station = w->station, .bundle = w->bundle, .wall = late->wall};
        if (kl_ledger_attempt(w->ledger, &c, &late->attempt, text) != KL_STORE_OK)
            return false;
    }
    return true;
}

static void drop_late(struct kl_worker *w)
{
    while (w->late) {
        struct kl_late *next = w->late->next;
        free(w->late);
        w->late = next;
    }
    w->late_count = 0;
}

/* Notes for the journal what the round has changed about this request's key. */
static bool note_change(struct kl_worker *w, const struct kl_request *r, size_t *count,
                        char text[KL_TEXT_MAX])
{
    struct kl_journal_record *record = &w->changed[*count];

    if (r->action.u.store.op == KL_OP_ATTEMPT)
        return true;
    KL_ASSERT(*count < KL_BATCH);
    if (!kl_ledger_record(w->ledger, &r->action.u.store.fingerprint, record, text))
        return false;
    record->wall = kl_store_wall_clock();
    record->label = label_of(w, r);
    if (record->change > w->witness.last_change)
        ++*count;
    return true;
}

static bool apply_all(struct kl_worker *w, struct kl_job *job, size_t *changed,
                      char text[KL_TEXT_MAX])
{
    for (struct kl_request *r = job->first; r; r = r->next) {
        if (r->settled)
            continue;
        r->status = apply(w, r);
        if (r->status == KL_STORE_REFUSED)
            w->unseen = true; /* what the pool believes is not what is durable */
        if (r->status == KL_STORE_FAILED)
            kl_copy(text, KL_TEXT_MAX, r->text);
        if (r->status == KL_STORE_FAILED || !note_change(w, r, changed, text))
            return false;
    }
    return true;
}

/* A proof alone may wait for the next sync: both witnesses say already that the key is its
   board's. */
static bool gives_keys(const struct kl_job *job)
{
    for (const struct kl_request *r = job->first; r; r = r->next)
        if (wants_key(r) || r->action.u.store.op == KL_OP_RELEASE)
            return true;
    return false;
}

/* Only the ledger knows of these reservations, and the journal does not. So no key leaves. The pool
   will see the keys reserved. */
static void hold_keys_back(struct kl_worker *w, struct kl_job *job, const char *text)
{
    for (struct kl_request *r = job->first; r; r = r->next)
        if (wants_key(r) && r->status == KL_STORE_OK)
            settle(r, KL_STORE_FAILED, text);
    w->healed = true;
}

/* False and `text` if it failed. The requests have their answers in any case. */
static bool commit_requests(struct kl_worker *w, struct kl_job *job, char text[KL_TEXT_MAX])
{
    struct kl_pool_guard after;
    size_t changed = 0;

    if (!begin(w, text)) {
        fail_all(w, job, text);
        return false;
    }
    if (!kl_store_still_ours(w, text)) {
        kl_ledger_rollback(w->ledger);
        fail_all(w, job, text);
        return false;
    }
    if (!apply_late(w, text) || !apply_all(w, job, &changed, text) ||
        !kl_ledger_guard(w->ledger, &after, text) || !kl_ledger_commit(w->ledger, text)) {
        kl_ledger_rollback(w->ledger);
        w->sick = true;
        fail_all(w, job, text);
        return false;
    }
    w->witness.last_change = after.last_change;
    w->witness.uneasy = true;
    drop_late(w);
    if (kl_store_witness_add(w, w->changed, changed, gives_keys(job), text))
        return true;
    hold_keys_back(w, job, text);
    return false;
}

static void drop_keys_of_failed(struct kl_job *job)
{
    for (struct kl_request *r = job->first; r; r = r->next) {
        if (!r->key || r->status == KL_STORE_OK)
            continue;
        kl_key_wipe(r->key);
        r->key = NULL;
    }
}

static void want_marks(struct kl_worker *w, struct kl_job *job)
{
    for (struct kl_request *r = job->first; r; r = r->next)
        if (r->action.u.store.op == KL_OP_PROVISION && r->status == KL_STORE_OK &&
            !kl_csv_file_want_mark(&w->csv, &r->action.u.store.fingerprint))
            w->unseen = true; /* then the next look at the ledger finds it */
}

static void do_requests(struct kl_worker *w, struct kl_job *job, bool usable, const char *trouble)
{
    char text[KL_TEXT_MAX] = "";
    bool witnessed = kl_store_witness_ready(w, job->trouble);
    size_t i = 0;

    if (usable)
        kl_store_tag(w);

    for (struct kl_request *r = job->first; r; r = r->next, i++) {
        KL_ASSERT(i < (w->texts ? KL_LONG_BATCH : KL_BATCH));
        if (wants_key(r) && !witnessed)
            settle(r, KL_STORE_FAILED, job->trouble);
        else if (wants_key(r))
            read_key(w, r, i, usable, trouble);
    }
    if (!commit_requests(w, job, text) && job->trouble[0] == '\0')
        kl_copy(job->trouble, sizeof job->trouble, text);
    drop_keys_of_failed(job);
    want_marks(w, job);
}

static bool still_alone(struct kl_worker *w, char text[KL_TEXT_MAX])
{
    char who[KL_TEXT_MAX];

    switch (kl_lock_keep(&w->lock, who)) {
    case KL_LOCK_TAKEN:
        return true;
    case KL_LOCK_HELD:
        kl_format(text, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(w->csv.named),
                  who);
        return false;
    default:
        kl_copy(text, KL_TEXT_MAX, who);
        return false;
    }
}

/* Notices, even while no board asks for anything, that somebody deleted the ledger, and writes it
   again. Notices too if another station has taken it over. */
static void look_after_ledger(struct kl_worker *w, struct kl_job *job)
{
    if (w->late) {
        commit_requests(w, job, job->trouble);
    } else if (begin(w, job->trouble)) {
        kl_store_still_ours(w, job->trouble);
        kl_ledger_rollback(w->ledger);
    }
    kl_store_rest(w);
    kl_store_witness_rest(w);
    kl_store_show_life(w);
}

/* A disk that fails again and again is no news as long as the contents stay. */
static void look_for_news(struct kl_worker *w, struct kl_job *job)
{
    char text[KL_TEXT_MAX];
    struct kl_shown *news;

    /* A row that comes back may be a key that the ledger has in its old form. */
    if (w->csv.fresh && w->forms.unknown > 0 &&
        (!kl_store_find_forms(w, text) || !kl_store_keep_forms(w, text)))
        return;
    news = kl_store_show(w, text);
    if (!news)
        return;
    if (w->csv.fresh || w->unseen || !kl_store_same_ledger(&news->content, job->shown))
        job->news = news;
    else
        kl_shown_free(news);
    w->csv.fresh = w->unseen = w->healed = false;
}

static void work(struct kl_worker *w, struct kl_job *job)
{
    bool usable;

    if (!still_alone(w, job->trouble)) {
        fail_all(w, job, job->trouble);
        return;
    }
    if (job->answer[0] != '\0')
        kl_csv_file_answer(&w->csv, job->answer);
    usable = kl_csv_file_refresh(&w->csv, job->trouble);
    if (job->first)
        do_requests(w, job, usable, job->trouble);
    else
        look_after_ledger(w, job);
    if ((w->csv.fresh || w->unseen || w->healed) && !w->sick)
        look_for_news(w, job);
    kl_csv_file_mark_here(&w->csv, job->first, job->last);
    job->question = w->csv.asks.question;
    if (job->trouble[0] == '\0')
        kl_copy(job->trouble, sizeof job->trouble, w->csv.owed.trouble);
    if (job->trouble[0] == '\0')
        kl_csv_file_lost_rows(&w->csv, job->trouble);
}

void kl_store_work(struct kl_job *job)
{
    struct kl_worker *w = job->worker;

    work(w, job);
    if (!job->last)
        return;
    drop_late(w);
    kl_store_witness_rest(w);
    kl_store_leave_home(w);
    kl_ledger_close(w->ledger); /* checkpoints and syncs: not on the loop's thread */
    w->ledger = NULL;
    kl_lock_drop(&w->lock);
}
