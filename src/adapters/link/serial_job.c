#include "serial_job.h"

#include <pthread.h>

#include "keyline/base.h"

enum {
    STACK = 256 * 1024,
};

static void on_over(uv_async_t *over)
{
    struct kl_serial_job *job = (struct kl_serial_job *)over;

    if (!atomic_exchange(&job->done, false))
        return;
    uv_unref((uv_handle_t *)over);
    job->ended(job->ctx);
}

static void *on_thread(void *arg)
{
    struct kl_serial_job *job = arg;

    job->run(job->ctx);
    atomic_store(&job->done, true);
    uv_async_send(&job->over);
    return NULL;
}

static void on_worker(uv_work_t *work)
{
    struct kl_serial_job *job = work->data;

    job->run(job->ctx);
    atomic_store(&job->done, true);
}

static void on_worked(uv_work_t *work, int status)
{
    struct kl_serial_job *job = work->data;

    (void)status;
    on_over(&job->over);
}

void kl_serial_job_init(struct kl_serial_job *job, uv_loop_t *loop, void *ctx)
{
    int rc = uv_async_init(loop, &job->over, on_over);

    KL_ASSERT(rc == 0);
    uv_unref((uv_handle_t *)&job->over);
    job->over.data = job->ctx = ctx;
    job->work.data = job;
}

static bool start_thread(struct kl_serial_job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool good;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    good = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
           pthread_attr_setstacksize(&attributes, STACK) == 0 &&
           pthread_create(&thread, &attributes, on_thread, job) == 0;
    pthread_attr_destroy(&attributes);
    return good;
}

void kl_serial_job_start(struct kl_serial_job *job, void (*run)(void *ctx),
                         void (*ended)(void *ctx))
{
    job->run = run;
    job->ended = ended;
    uv_ref((uv_handle_t *)&job->over); /* the loop waits for it */
    if (!start_thread(job))
        uv_queue_work(job->over.loop, &job->work, on_worker, on_worked);
}

void kl_serial_job_close(struct kl_serial_job *job, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&job->over, closed);
}
