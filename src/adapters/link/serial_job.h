/*
 * serial_job.h: calls into a serial driver that may block for as long as its adapter is frozen.
 * Each runs on a thread of its own, which ends with it: no number of frozen adapters keeps the
 * store, or anything else that libuv's workers do, waiting. The loop starts jobs and hears of their
 * end.
 */
#ifndef KEYLINE_ADAPTERS_SERIAL_JOB_H
#define KEYLINE_ADAPTERS_SERIAL_JOB_H

#include <stdatomic.h>
#include <uv.h>

struct kl_serial_job {
    uv_async_t over;  /* first */
    atomic_bool done; /* hands what the job wrote to the loop */
    uv_work_t work;   /* where the system gives no thread: one of libuv's workers */
    void (*run)(void *ctx), (*ended)(void *ctx);
    void *ctx;
};

void kl_serial_job_init(struct kl_serial_job *job, uv_loop_t *loop, void *ctx);
/* Calls `run` on the thread, and then `ended` on the loop. One at a time. */
void kl_serial_job_start(struct kl_serial_job *job, void (*run)(void *ctx),
                         void (*ended)(void *ctx));
/* Not while one runs. `closed` gets the handle, whose data is `ctx`; the job may be freed then. */
void kl_serial_job_close(struct kl_serial_job *job, uv_close_cb closed);

#endif
