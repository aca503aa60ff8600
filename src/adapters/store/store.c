#include "keyline/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "csv_mark.h"
#include "keyline/secret.h"
#include "store_state.h"

enum {
    TICK_MS = 500, /* how soon changes by others are noticed */
    SOON_MS = 100, /* while marks wait */
};

/* ---- opening ----------------------------------------------------------------------------------
 */

static enum kl_store_open_result find_file(struct kl_store *s, const struct kl_store_options *o,
                                           char error[KL_TEXT_MAX])
{
    char here[PATH_MAX] = "";

    if (realpath(o->csv, s->real) == NULL ||
        (o->csv[0] != '/' && getcwd(here, sizeof here) == NULL)) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(o->csv), strerror(errno));
        return KL_STORE_BAD_CSV;
    }
    kl_copy(s->csv, sizeof s->csv, o->csv);
    snprintf(s->watched, sizeof s->watched, o->csv[0] == '/' ? "%.0s%s" : "%s/%s", here, o->csv);
    if (!kl_ledger_path(s->real, s->ledger_path)) {
        kl_format(error, KL_TEXT_MAX, "%s: the path is too long", kl_shown(o->csv));
        return KL_STORE_BAD_CSV;
    }
    return KL_STORE_OPENED;
}

static enum kl_store_open_result take_lock(struct kl_store *s, char error[KL_TEXT_MAX])
{
    char text[KL_TEXT_MAX];

    switch (kl_lock_take(&s->lock, s->real, text)) {
    case KL_LOCK_TAKEN:
        kl_csv_mark_clean(s->real);
        return KL_STORE_OPENED;
    case KL_LOCK_HELD:
        kl_format(error, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(s->csv), text);
        return KL_STORE_HELD;
    default:
        kl_copy(error, KL_TEXT_MAX, text);
        return KL_STORE_BROKEN;
    }
}

struct kl_station_lock {
    struct kl_lock lock;
};

enum kl_store_open_result kl_store_lock(const char *csv, struct kl_station_lock **out,
                                        char error[KL_TEXT_MAX])
{
    struct kl_station_lock *l = calloc(1, sizeof *l);
    enum kl_lock_result result;
    char real[PATH_MAX];

    *out = NULL;
    if (l == NULL || realpath(csv, real) == NULL) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(csv), strerror(errno));
        free(l);
        return KL_STORE_BAD_CSV;
    }
    kl_lock_init(&l->lock);
    if ((result = kl_lock_take(&l->lock, real, error)) != KL_LOCK_TAKEN) {
        free(l);
        return result == KL_LOCK_HELD ? KL_STORE_HELD : KL_STORE_BROKEN;
    }
    *out = l;
    return KL_STORE_OPENED;
}

void kl_store_unlock(struct kl_station_lock *l)
{
    if (l == NULL)
        return;
    kl_lock_drop(&l->lock);
    free(l);
}

void kl_store_holder(const char *csv, char text[KL_TEXT_MAX])
{
    char real[PATH_MAX];

    text[0] = '\0';
    if (realpath(csv, real) != NULL)
        kl_lock_holder(real, text);
}

static enum kl_store_open_result load_csv(struct kl_store *s, char error[KL_TEXT_MAX])
{
    enum kl_table_result result;
    struct stat st;

    for (int tries = 0; tries < 5; tries++) {
        result = kl_table_load(s->real, s->header, &s->table, error);
        if (result != KL_TABLE_CHANGED)
            break;
        usleep(100 * 1000);
    }
    if (result != KL_TABLE_OK)
        return KL_STORE_BAD_CSV;
    if (!s->read_only && stat(s->real, &st) == 0 && st.st_nlink > 1) {
        kl_format(error, KL_TEXT_MAX,
                  "%s has %u names (hard links), and marking it would leave the others unmarked: "
                  "remove them, or use symbolic links",
                  kl_shown(s->csv), (unsigned)st.st_nlink);
        return KL_STORE_BAD_CSV;
    }
    return KL_STORE_OPENED;
}

static enum kl_store_open_result open_ledger(struct kl_store *s, char error[KL_TEXT_MAX])
{
    enum kl_ledger_mode mode = s->read_only ? KL_LEDGER_READ : KL_LEDGER_CREATE;
    bool absent = access(s->ledger_path, F_OK) != 0 && errno == ENOENT;

    s->ledger = kl_ledger_open(s->ledger_path, mode, error);
    if (s->ledger == NULL && error[0] != '\0')
        return KL_STORE_BROKEN;
    s->shown = kl_store_show(s, error);
    if (s->shown == NULL)
        return KL_STORE_BROKEN;
    for (uint32_t i = 0; absent && i < s->table->count; i++)
        s->shown->content.lost_ledger |= s->table->row[i].marked;
    return KL_STORE_OPENED;
}

enum kl_store_open_result kl_store_open(const struct kl_store_options *options,
                                        struct kl_store **out, char error[KL_TEXT_MAX])
{
    struct kl_store *s = calloc(1, sizeof *s);
    enum kl_store_open_result result;

    *out = NULL;
    error[0] = '\0';
    if (s == NULL) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return KL_STORE_BROKEN;
    }
    kl_lock_init(&s->lock);
    uv_mutex_init(&s->table_lock);
    s->queue_end = &s->queue;
    s->mark_took = -1;
    s->old_fd = -1;
    s->header = options->header;
    s->read_only = options->read_only;
    if (options->station != NULL)
        kl_copy(s->station, sizeof s->station, options->station);
    else
        gethostname(s->station, sizeof s->station - 1);
    if (options->bundle_digest != NULL)
        kl_copy(s->bundle, sizeof s->bundle, options->bundle_digest);
    if ((result = find_file(s, options, error)) == KL_STORE_OPENED &&
        (s->read_only || (result = take_lock(s, error)) == KL_STORE_OPENED) &&
        (result = load_csv(s, error)) == KL_STORE_OPENED)
        result = open_ledger(s, error);
    if (result == KL_STORE_OPENED)
        *out = s;
    else
        kl_store_free(s);
    return result;
}

const struct kl_store_content *kl_store_content(const struct kl_store *s)
{
    return &s->shown->content;
}

void kl_store_free(struct kl_store *s)
{
    if (s == NULL)
        return;
    KL_ASSERT(!s->working && !s->marking);
    if (s->shown == NULL || s->shown->table != s->table)
        kl_table_free(s->table);
    kl_shown_free(s->shown, NULL);
    kl_ledger_close(s->ledger);
    if (s->old_fd >= 0)
        close(s->old_fd);
    kl_lock_drop(&s->lock);
    uv_mutex_destroy(&s->table_lock);
    free(s->mark);
    free(s);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void pump(struct kl_store *s);
static void on_tick(uv_timer_t *timer);

static struct kl_request *copy_request(const struct kl_action *action)
{
    struct kl_request *r = calloc(1, sizeof *r);

    KL_ASSERT(r != NULL && action->kind == KL_AC_STORE);
    r->action = *action;
    kl_copy(r->label, sizeof r->label, action->u.store.label == NULL ? "" : action->u.store.label);
    kl_copy(r->reason, sizeof r->reason,
            action->u.store.reason == NULL ? "" : action->u.store.reason);
    r->action.u.store.label = r->label;
    r->action.u.store.reason = r->reason;
    if (action->u.store.op == KL_OP_ATTEMPT) {
        KL_ASSERT(action->u.store.attempt != NULL);
        r->attempt = *action->u.store.attempt;
    }
    r->action.u.store.attempt = &r->attempt;
    return r;
}

void kl_store_submit(struct kl_store *s, const struct kl_action *request)
{
    struct kl_request *r = copy_request(request);

    KL_ASSERT(s->loop != NULL && !s->closing);
    *s->queue_end = r;
    s->queue_end = &r->next;
    pump(s);
}

static void answer_requests(struct kl_store *s, struct kl_request *first)
{
    while (first != NULL) {
        struct kl_request *r = first;

        first = r->next;
        s->events->stored(s->ctx, &r->action, r->status, r->key, r->text);
        free(r);
    }
}

static void tell_trouble(struct kl_store *s, const char *text)
{
    if (strcmp(text, s->trouble) == 0)
        return;
    kl_copy(s->trouble, sizeof s->trouble, text);
    s->events->trouble(s->ctx, s->trouble);
}

/* Answers come first: the pool takes in the news knowing what became of its own wishes. At the end
   nobody takes in anything, and what was shown before may still be looked at. */
static void tell_news(struct kl_store *s, struct kl_shown *news)
{
    struct kl_shown *old = s->shown;

    if (news == NULL)
        return;
    if (s->closing) {
        kl_shown_free(news, s->table);
        return;
    }
    s->shown = news;
    s->events->reloaded(s->ctx);
    kl_shown_free(old, s->table);
}

static void closed_all(uv_handle_t *handle)
{
    struct kl_store *s = handle->data;

    s->closed(s->closed_ctx);
}

static void take_in_marks(struct kl_store *s)
{
    if (!s->marked)
        return;
    s->marked = s->marking = false;
    kl_store_marked(s, &s->background);
}

static void on_marking(uv_work_t *work)
{
    kl_secret_stack();
    kl_store_mark_there(work->data);
}

static void on_marking_done(uv_work_t *work, int status)
{
    struct kl_store *s = work->data;

    KL_ASSERT(status == 0);
    s->marked = true;
    if (s->working)
        return; /* taken in when that job is done */
    take_in_marks(s);
    s->look = true; /* tells what went wrong, if anything did */
    pump(s);
}

static void start_marking(struct kl_store *s)
{
    int rc;

    if (s->marking || s->closing)
        return;
    if (!kl_store_mark_due(s)) {
        if (s->mark_count > 0 && s->mark_trouble[0] == '\0')
            uv_timer_start(&s->tick, on_tick, SOON_MS, TICK_MS);
        return;
    }
    s->marking = true;
    s->marking_work.data = s;
    rc = uv_queue_work(s->loop, &s->marking_work, on_marking, on_marking_done);
    KL_ASSERT(rc == 0);
}

static void on_work(uv_work_t *work)
{
    kl_secret_stack();
    kl_store_work(work->data);
}

static void on_worked(uv_work_t *work, int status)
{
    struct kl_store *s = work->data;
    struct kl_job job = s->job;

    KL_ASSERT(status == 0);
    memset(&s->job, 0, sizeof s->job);
    tell_trouble(s, job.trouble);
    answer_requests(s, job.first);
    kl_secret_free(job.secret, job.secret_size);
    tell_news(s, job.news);
    s->working = false; /* not before: answers bring new requests */
    if (job.last) {
        uv_close((uv_handle_t *)&s->tick, closed_all);
        return;
    }
    take_in_marks(s);
    start_marking(s);
    pump(s);
}

static void pump(struct kl_store *s)
{
    struct kl_job *job = &s->job;
    size_t count = 0;
    int rc;

    if (s->working || (s->queue == NULL && !s->look && (!s->closing || s->marking)))
        return;
    job->first = s->queue;
    job->last = s->closing && !s->marking;
    s->queue = NULL;
    s->queue_end = &s->queue;
    s->look = false;
    for (const struct kl_request *r = job->first; r != NULL; r = r->next)
        count++;
    job->secret_size = count * sizeof *job->secret;
    if (count > 0)
        job->secret = kl_secret_alloc(job->secret_size);
    KL_ASSERT(count == 0 || job->secret != NULL);
    s->working = true;
    s->work.data = s;
    rc = uv_queue_work(s->loop, &s->work, on_work, on_worked);
    KL_ASSERT(rc == 0);
}

static void on_tick(uv_timer_t *timer)
{
    struct kl_store *s = timer->data;

    s->look = true;
    pump(s);
}

void kl_store_start(struct kl_store *s, uv_loop_t *loop, const struct kl_store_events *events,
                    void *ctx)
{
    KL_ASSERT(s->loop == NULL && !s->read_only);
    s->loop = loop;
    s->events = events;
    s->ctx = ctx;
    uv_timer_init(loop, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, 1, TICK_MS);
}

void kl_store_close(struct kl_store *s, void (*closed)(void *ctx), void *ctx)
{
    KL_ASSERT(s->loop != NULL && !s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    uv_timer_stop(&s->tick);
    pump(s);
}
