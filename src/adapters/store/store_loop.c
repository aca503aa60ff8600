/* store_loop.c: the loop's half: takes requests, sends the worker out, hands on what it brings. */
#include <stdlib.h>
#include <string.h>

#include "keyline/secret.h"
#include "store_state.h"

enum {
    TICK_MS = 500,    /* how soon we notice changes by others */
    SOON_MS = 100,    /* while marks wait */
    FROZEN_MS = 5000, /* a job that takes longer waits for its disk */
};

/* ---- requests ---- */

static void pump(struct kl_csv_store *s);
static void on_tick(uv_timer_t *timer);

static struct kl_request *copy_request(const struct kl_action *action)
{
    struct kl_request *r = calloc(1, sizeof *r);

    KL_ASSERT(r && action->kind == KL_AC_STORE);
    r->action = *action;
    kl_copy(r->label, sizeof r->label, !action->u.store.label ? "" : action->u.store.label);
    kl_copy(r->reason, sizeof r->reason, !action->u.store.reason ? "" : action->u.store.reason);
    r->action.u.store.label = r->label;
    r->action.u.store.reason = r->reason;
    if (action->u.store.op == KL_OP_ATTEMPT) {
        KL_ASSERT(action->u.store.attempt);
        r->attempt = *action->u.store.attempt;
    }
    r->action.u.store.attempt = &r->attempt;
    return r;
}

void kl_csv_store_submit(struct kl_store *store, const struct kl_action *request)
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;
    struct kl_request *r = copy_request(request);

    KL_ASSERT(s->loop && !s->closing);
    *s->queue_end = r;
    s->queue_end = &r->next;
    pump(s);
}

static void answer_requests(struct kl_csv_store *s, struct kl_request *first)
{
    while (first) {
        struct kl_request *r = first;

        first = r->next;
        s->events->stored(s->ctx, &r->action, r->status, r->key, r->text);
        if (r->key)
            kl_key_wipe(r->key);
        free(r);
    }
}

static void tell_trouble(struct kl_csv_store *s, const char *text)
{
    if (strcmp(text, s->trouble) == 0)
        return;
    kl_copy(s->trouble, sizeof s->trouble, text);
    s->events->trouble(s->ctx, s->trouble);
}

static void tell_question(struct kl_csv_store *s, const struct kl_store_question *question)
{
    if (strcmp(question->id, s->question.id) == 0)
        return;
    s->question = *question;
    if (s->events->asks && !s->closing)
        s->events->asks(s->ctx, &s->question);
}

/* Answers go out first: the pool takes in the news when it knows what became of its own wishes.
   While the store closes, nobody takes in news, and people may still look at the old contents. */
static void tell_news(struct kl_csv_store *s, struct kl_shown *news)
{
    struct kl_shown *old = s->shown;

    if (!news)
        return;
    if (s->closing) {
        kl_shown_free(news);
        return;
    }
    s->shown = news;
    s->events->reloaded(s->ctx);
    if (s->closing)
        s->left = old; /* that ended the bench, perhaps before it took in the news */
    else
        kl_shown_free(old);
}

static void closed_all(uv_handle_t *handle)
{
    struct kl_csv_store *s = handle->data;

    s->closed(s->closed_ctx);
}

/* ---- marks beside the other jobs ---- */

static void take_in_marks(struct kl_csv_store *s)
{
    struct kl_marking_job *m = &s->marking;

    if (!m->done)
        return;
    kl_csv_file_marked(&s->worker->csv, m->marks);
    m->marks = NULL;
    m->done = false;
}

static void on_marking(uv_work_t *work)
{
    const struct kl_csv_store *s = work->data;

    kl_secret_stack();
    kl_marking_run(s->marking.marks);
}

static void on_marking_done(uv_work_t *work, int status)
{
    struct kl_csv_store *s = work->data;

    KL_ASSERT(status == 0);
    s->marking.done = true;
    if (!s->worker)
        return; /* the end of the running job takes the marks in */
    take_in_marks(s);
    s->look = true; /* the next round tells what went wrong, if anything did */
    pump(s);
}

static void start_marking(struct kl_csv_store *s)
{
    struct kl_marking_job *m = &s->marking;
    const struct kl_owed_marks *owed = &s->worker->csv.owed;
    int rc;

    if (m->marks || s->closing)
        return;
    m->marks = kl_csv_file_mark_due(&s->worker->csv);
    if (!m->marks) {
        if (owed->count > 0 && owed->trouble[0] == '\0')
            uv_timer_start(&s->tick, on_tick, SOON_MS, TICK_MS);
        return;
    }
    m->work.data = s;
    rc = uv_queue_work(s->loop, &m->work, on_marking, on_marking_done);
    KL_ASSERT(rc == 0);
}

/* ---- jobs ---- */

static void on_work(uv_work_t *work)
{
    struct kl_csv_store *s = work->data;

    kl_secret_stack();
    kl_store_work(&s->job);
}

static void on_worked(uv_work_t *work, int status)
{
    struct kl_csv_store *s = work->data;
    struct kl_job job = s->job;

    KL_ASSERT(status == 0 && !s->worker);
    memset(&s->job, 0, sizeof s->job);
    tell_trouble(s, job.trouble);
    tell_question(s, &job.question);
    answer_requests(s, job.first);
    tell_news(s, job.news);
    s->worker = job.worker; /* not earlier: answers bring new requests */
    if (job.last) {
        uv_close((uv_handle_t *)&s->tick, closed_all);
        return;
    }
    take_in_marks(s);
    start_marking(s);
    pump(s);
}

/* The first requests that wait, as many as one round takes. */
static struct kl_request *take_batch(struct kl_csv_store *s, unsigned most)
{
    struct kl_request *first = s->queue, *r = first;

    for (unsigned n = 1; r && n < most; n++)
        r = r->next;
    if (!r) {
        s->queue = NULL;
        s->queue_end = &s->queue;
    } else {
        s->queue = r->next;
        r->next = NULL;
        if (!s->queue)
            s->queue_end = &s->queue;
    }
    return first;
}

static void pump(struct kl_csv_store *s)
{
    struct kl_job *job = &s->job;
    bool marking = s->marking.marks;
    int rc;

    if (!s->worker || (!s->queue && !s->look && (!s->closing || marking)))
        return;
    *job = (struct kl_job){.worker = s->worker, .shown = &s->shown->content};
    s->worker = NULL;
    job->first = take_batch(s, job->worker->texts ? KL_LONG_BATCH : KL_BATCH);
    job->last = s->closing && !marking && !s->queue;
    s->look = false;
    memcpy(job->answer, s->answer, sizeof job->answer);
    s->answer[0] = '\0';
    job->work.data = s;
    s->sent_at = uv_now(s->loop);
    rc = uv_queue_work(s->loop, &job->work, on_work, on_worked);
    KL_ASSERT(rc == 0);
}

static void on_tick(uv_timer_t *timer)
{
    struct kl_csv_store *s = timer->data;

    if (!s->worker && uv_now(s->loop) - s->sent_at >= FROZEN_MS)
        tell_trouble(s, "the disk of the keys does not answer: boards wait, nothing is lost");
    s->look = true;
    pump(s);
}

/* ---- from outside ---- */

const struct kl_store_content *kl_csv_store_content(const struct kl_store *store)
{
    const struct kl_csv_store *s = (const struct kl_csv_store *)store;

    KL_ASSERT(s->shown);
    return &s->shown->content;
}

void kl_csv_store_start(struct kl_store *store, uv_loop_t *loop,
                        const struct kl_store_events *events, void *ctx)
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;

    KL_ASSERT(!s->loop && s->shown && !s->worker->look_only);
    s->loop = loop;
    s->events = events;
    s->ctx = ctx;
    uv_timer_init(loop, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, 1, TICK_MS);
}

bool kl_csv_store_answer(struct kl_store *store, const char *id)
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;

    if (s->closing || id[0] == '\0' || strcmp(id, s->question.id) != 0)
        return false;
    memcpy(s->answer, s->question.id, sizeof s->answer);
    s->look = true;
    pump(s);
    return true;
}

void kl_csv_store_close(struct kl_store *store, void (*closed)(void *ctx), void *ctx)
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;

    KL_ASSERT(s->loop && !s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    uv_timer_stop(&s->tick);
    pump(s);
}
