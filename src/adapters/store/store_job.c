/*
 * store_job.c: what the worker does for a batch of requests, in this order:
 *
 *   still the only station? -> CSV as it is now -> keys read from it -> one commit -> marks
 *
 * Nothing is answered before all of it is done.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/host/disk.h"
#include "store_state.h"

enum {
    LATE_MAX = 10000, /* attempts that wait for a better disk */
};

static int64_t wall_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static const char *keep_label(struct kl_shown *shown, const char *label)
{
    char *copy = strdup(label);

    if (shown->label_count == shown->label_capacity) {
        uint32_t capacity = shown->label_capacity == 0 ? 64 : shown->label_capacity * 2;
        char **more = reallocarray(shown->label, capacity, sizeof *more);
        if (more == NULL) {
            free(copy);
            return NULL;
        }
        shown->label = more;
        shown->label_capacity = capacity;
    }
    if (copy != NULL)
        shown->label[shown->label_count++] = copy;
    return copy;
}

static bool grow_ledger(struct kl_shown *shown)
{
    uint32_t capacity = shown->ledger_capacity == 0 ? 256 : shown->ledger_capacity * 2;
    struct kl_ledger_row *more = reallocarray(shown->ledger, capacity, sizeof *more);

    if (more == NULL)
        return false;
    shown->ledger = more;
    shown->ledger_capacity = capacity;
    return true;
}

struct collecting {
    struct kl_store *store;
    struct kl_shown *shown;
    bool failed;
};

static bool collect(void *ctx, const struct kl_ledger_key *key)
{
    struct collecting *c = ctx;
    struct kl_shown *shown = c->shown;
    const struct kl_table *t = shown->table;
    bool provisioned = strcmp(key->state, "provisioned") == 0;
    struct kl_ledger_row *row;
    uint32_t at;

    if (strcmp(key->state, "released") == 0)
        return true;
    c->failed = shown->content.ledger_count == shown->ledger_capacity && !grow_ledger(shown);
    if (c->failed)
        return false;
    at = kl_table_find(t, &key->fingerprint);
    row = &shown->ledger[shown->content.ledger_count++];
    *row = (struct kl_ledger_row){
        .label = at != UINT32_MAX ? t->row[at].label : keep_label(shown, key->label),
        .fingerprint = key->fingerprint,
        .provisioned = provisioned,
        .mac = key->mac,
    };
    c->failed = row->label == NULL;
    if (provisioned && at != UINT32_MAX && !c->store->read_only)
        c->failed |= !kl_store_want_mark(c->store, &key->fingerprint);
    return !c->failed;
}

struct kl_shown *kl_store_show(struct kl_store *s, char error[KL_TEXT_MAX])
{
    struct kl_shown *shown = calloc(1, sizeof *shown);
    struct collecting c = {.store = s, .shown = shown};

    error[0] = '\0';
    s->mark_count = 0; /* found again in the ledger */
    if (shown != NULL) {
        shown->table = s->table;
        if (s->ledger != NULL && !kl_ledger_keys(s->ledger, collect, &c, error))
            c.failed = true;
    }
    if (shown == NULL || c.failed) {
        if (error[0] == '\0')
            kl_copy(error, KL_TEXT_MAX, "no memory for the ledger's rows");
        kl_shown_free(shown, s->table);
        return NULL;
    }
    shown->content.rows = s->table->row;
    shown->content.row_count = s->table->count;
    shown->content.ledger = shown->ledger;
    shown->content.fields = s->table->fields;
    kl_copy(shown->content.warning, sizeof shown->content.warning, s->table->warning);
    return shown;
}

void kl_shown_free(struct kl_shown *shown, const struct kl_table *keep)
{
    if (shown == NULL)
        return;
    for (uint32_t i = 0; i < shown->label_count; i++)
        free(shown->label[i]);
    free(shown->label);
    free(shown->ledger);
    if (shown->table != keep)
        kl_table_free(shown->table);
    free(shown);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void settle(struct kl_request *r, enum kl_store_status status, const char *text)
{
    r->status = status;
    r->settled = true;
    kl_copy(r->text, sizeof r->text, text);
}

/* Nobody asks for an attempt to be written again, so it waits here. */
static bool keep_for_later(struct kl_store *s, const struct kl_request *r)
{
    struct kl_late *late, **end = &s->late;

    if (s->late_count == LATE_MAX || (late = calloc(1, sizeof *late)) == NULL)
        return false;
    late->attempt = r->attempt;
    late->wall = wall_clock();
    while (*end != NULL)
        end = &(*end)->next;
    *end = late;
    s->late_count++;
    return true;
}

static void fail_all(struct kl_store *s, struct kl_job *job, const char *text)
{
    for (struct kl_request *r = job->first; r != NULL; r = r->next) {
        bool later = r->action.u.store.op == KL_OP_ATTEMPT && keep_for_later(s, r);
        settle(r, later ? KL_STORE_OK : KL_STORE_FAILED, later ? "" : text);
    }
}

static bool wants_key(const struct kl_request *r)
{
    return r->action.u.store.op == KL_OP_RESERVE || r->action.u.store.op == KL_OP_FETCH;
}

/* The secret is read before anything is written: a reservation of a key that can't be read helps
   nobody. */
static void read_key(struct kl_store *s, struct kl_request *r, struct kl_key *key, bool usable,
                     const char *trouble)
{
    enum kl_table_result result;
    char text[KL_TEXT_MAX] = "";
    uint32_t row = kl_table_find(s->table, &r->action.u.store.fingerprint);

    if (!usable) {
        settle(r, KL_STORE_FAILED, trouble);
        return;
    }
    if (row == UINT32_MAX) {
        /* A new key is not owed to anybody: the pool picks another when it knows the new CSV. */
        settle(r, r->action.u.store.op == KL_OP_RESERVE ? KL_STORE_FAILED : KL_STORE_REFUSED,
               "the key's row is no longer in the CSV");
        return;
    }
    uv_mutex_lock(&s->table_lock);
    result = kl_table_fetch(s->table, row, key, text);
    uv_mutex_unlock(&s->table_lock);
    if (result == KL_TABLE_OK)
        r->key = key;
    else if (result == KL_TABLE_CHANGED)
        settle(r, KL_STORE_FAILED, "another program is writing to the CSV");
    else
        settle(r, KL_STORE_FAILED, text);
}

/* The row, or an exact copy of it, carries a mark. */
static bool is_spent(struct kl_store *s, uint32_t row)
{
    uint32_t copies, at = kl_table_copies(s->table, row, &copies);
    bool spent;

    uv_mutex_lock(&s->table_lock);
    spent = s->table->spent[row];
    for (uint32_t i = 0; i < copies; i++)
        spent |= s->table->spent[s->table->copy[at + i].row];
    uv_mutex_unlock(&s->table_lock);
    return spent;
}

static enum kl_store_status apply(struct kl_store *s, struct kl_request *r)
{
    uint32_t row = kl_table_find(s->table, &r->action.u.store.fingerprint);
    struct kl_ledger_change c = {
        .fingerprint = r->action.u.store.fingerprint,
        .mac = r->action.u.store.mac,
        .label = row != UINT32_MAX ? s->table->row[row].label : r->label,
        .how = r->action.u.store.acknowledged_only ? "ack" : "readback",
        .reason = r->reason,
        .station = s->station,
        .bundle = s->bundle,
        .wall = wall_clock(),
    };

    switch (r->action.u.store.op) {
    case KL_OP_RESERVE:
        c.marked = is_spent(s, row);
        return kl_ledger_reserve(s->ledger, &c, r->text);
    case KL_OP_RELEASE:
        return kl_ledger_release(s->ledger, &c, r->text);
    case KL_OP_PROVISION:
        return kl_ledger_provision(s->ledger, &c, r->text);
    case KL_OP_FETCH:
        return kl_ledger_owns(s->ledger, &c, r->text);
    case KL_OP_ATTEMPT:
        return kl_ledger_attempt(s->ledger, &c, &r->attempt, r->text);
    }
    return KL_STORE_FAILED;
}

/* ---- the batch --------------------------------------------------------------------------------
 */

static bool heal(struct kl_store *s, char text[KL_TEXT_MAX])
{
    if (!kl_ledger_heal(s->ledger, text))
        return false;
    s->sick = false;
    s->healed = true; /* what was reported as failed may be there */
    return true;
}

static bool begin(struct kl_store *s, char text[KL_TEXT_MAX])
{
    if (s->sick && !heal(s, text))
        return false;
    if (kl_ledger_begin(s->ledger, text))
        return true;
    s->sick = true;
    return heal(s, text) && kl_ledger_begin(s->ledger, text);
}

static bool apply_late(struct kl_store *s, char text[KL_TEXT_MAX])
{
    for (const struct kl_late *late = s->late; late != NULL; late = late->next) {
        struct kl_ledger_change c = {
            .station = s->station, .bundle = s->bundle, .wall = late->wall};
        if (kl_ledger_attempt(s->ledger, &c, &late->attempt, text) != KL_STORE_OK)
            return false;
    }
    return true;
}

static void drop_late(struct kl_store *s)
{
    while (s->late != NULL) {
        struct kl_late *next = s->late->next;
        free(s->late);
        s->late = next;
    }
    s->late_count = 0;
}

/* False and `text` if nothing came of it; the requests have their answers in any case. */
static bool commit_requests(struct kl_store *s, struct kl_job *job, char text[KL_TEXT_MAX])
{
    if (!begin(s, text)) {
        fail_all(s, job, text);
        return false;
    }
    if (!apply_late(s, text))
        goto failed;
    for (struct kl_request *r = job->first; r != NULL; r = r->next) {
        if (r->settled)
            continue;
        r->status = apply(s, r);
        if (r->status == KL_STORE_REFUSED)
            s->unseen = true; /* the pool believes something else than what is durable */
        if (r->status == KL_STORE_FAILED) {
            kl_copy(text, KL_TEXT_MAX, r->text);
            goto failed;
        }
    }
    if (kl_ledger_commit(s->ledger, text)) {
        drop_late(s);
        return true;
    }
failed:
    kl_ledger_rollback(s->ledger);
    s->sick = true;
    fail_all(s, job, text);
    return false;
}

static void drop_keys_of_failed(struct kl_job *job)
{
    for (struct kl_request *r = job->first; r != NULL; r = r->next) {
        if (r->key == NULL || r->status == KL_STORE_OK)
            continue;
        kl_wipe(r->key, sizeof *r->key);
        r->key = NULL;
    }
}

static void want_marks(struct kl_store *s, struct kl_job *job)
{
    for (struct kl_request *r = job->first; r != NULL; r = r->next)
        if (r->action.u.store.op == KL_OP_PROVISION && r->status == KL_STORE_OK &&
            !kl_store_want_mark(s, &r->action.u.store.fingerprint))
            s->unseen = true; /* then it is found in the ledger again */
}

static void do_requests(struct kl_store *s, struct kl_job *job, bool usable, const char *trouble)
{
    char text[KL_TEXT_MAX];
    size_t i = 0;

    for (struct kl_request *r = job->first; r != NULL; r = r->next, i++)
        if (wants_key(r))
            read_key(s, r, &job->secret[i], usable, trouble);
    commit_requests(s, job, text);
    drop_keys_of_failed(job);
    want_marks(s, job);
}

static bool still_alone(struct kl_store *s, char text[KL_TEXT_MAX])
{
    char who[KL_TEXT_MAX];

    switch (kl_lock_keep(&s->lock, who)) {
    case KL_LOCK_TAKEN:
        return true;
    case KL_LOCK_HELD:
        kl_format(text, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(s->csv), who);
        return false;
    default:
        kl_copy(text, KL_TEXT_MAX, who);
        return false;
    }
}

/* A ledger that was deleted is noticed and written again even while no board asks for anything. */
static void look_after_ledger(struct kl_store *s, struct kl_job *job)
{
    if (s->late != NULL)
        commit_requests(s, job, job->trouble);
    else if (begin(s, job->trouble))
        kl_ledger_rollback(s->ledger);
}

static bool same_ledger(const struct kl_store_content *a, const struct kl_store_content *b)
{
    if (a->ledger_count != b->ledger_count)
        return false;
    for (uint32_t i = 0; i < a->ledger_count; i++)
        if (!kl_fingerprint_equal(&a->ledger[i].fingerprint, &b->ledger[i].fingerprint) ||
            !kl_mac_equal(&a->ledger[i].mac, &b->ledger[i].mac) ||
            a->ledger[i].provisioned != b->ledger[i].provisioned)
            return false;
    return true;
}

/* A disk that fails again and again is no news as long as nothing came of it. */
static void look_for_news(struct kl_store *s, struct kl_job *job)
{
    char text[KL_TEXT_MAX];
    struct kl_shown *news = kl_store_show(s, text);

    if (news == NULL)
        return;
    if (s->unseen || !same_ledger(&news->content, &s->shown->content))
        job->news = news;
    else
        kl_shown_free(news, s->table);
    s->unseen = s->healed = false;
}

static void work(struct kl_store *s)
{
    struct kl_job *job = &s->job;
    bool usable;

    if (!still_alone(s, job->trouble)) {
        fail_all(s, job, job->trouble);
        return;
    }
    usable = kl_store_refresh(s, job->trouble);
    if (job->first != NULL)
        do_requests(s, job, usable, job->trouble);
    else
        look_after_ledger(s, job);
    if ((s->unseen || s->healed) && !s->sick)
        look_for_news(s, job);
    kl_store_mark_here(s, job->last);
    if (job->trouble[0] == '\0')
        kl_copy(job->trouble, sizeof job->trouble, s->mark_trouble);
    if (job->trouble[0] == '\0')
        kl_store_lost_rows(s, job->trouble);
}

void kl_store_work(struct kl_store *s)
{
    work(s);
    if (!s->job.last)
        return;
    drop_late(s);
    kl_ledger_close(s->ledger); /* checkpoints and syncs: not on the loop's thread */
    s->ledger = NULL;
    kl_lock_drop(&s->lock);
}
