/*
 * ending.c: signals, and the way to the end: close the links, make everything durable, let the
 * faces say their last words. Being killed anywhere in it is safe.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyline/exit.h"
#include "keyline/secret.h"
#include "shell_private.h"

enum {
    LINKS_WAIT_S = 3, /* a frozen adapter blocks closing for 20 s */
    WORDS_WAIT_S = 12,
};
/* After the second signal: the time for an orderly end, and then for the last words. */
static const kl_us HURRY = KL_MS(500), HURRY_WORDS = KL_MS(300);

void kl_process_harden(void)
{
    kl_secret_process();
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    /* At most eight jobs are there at once: two of the store, the look for ports, output, events,
       logs, metrics, the look for a new build. libuv gives at most half of its workers to names of
       network ports, and serial ports have threads of their own. So no job waits for another that
       hangs. libuv reads this variable when it gets its first job. */
    setenv("UV_THREADPOOL_SIZE", "20", 1);
}

static void on_end_timer(uv_timer_t *timer);

static void on_signal(uv_signal_t *signal, int number)
{
    struct kl_shell *sh = signal->data;

    struct kl_command stop = {.kind = KL_CMD_STOP, .operator_name = "a signal"};
    char error[KL_TEXT_MAX];

    (void)number;
    if (++sh->signals > 2)
        _exit(sh->exit_status);
    if (sh->phase == PHASE_RUNNING)
        kl_shell_command(sh, &stop, error); /* at the second stop the core rests at once */
    if (sh->signals == 2) {
        sh->hurry_at = (kl_us)(uv_hrtime() / 1000);
        uv_timer_start(&sh->end_timer, on_end_timer, 1, 5);
    }
}

void catch_signals(struct kl_shell *sh)
{
    uv_signal_init(sh->loop, &sh->interrupt);
    uv_signal_init(sh->loop, &sh->terminate);
    sh->interrupt.data = sh->terminate.data = sh;
    uv_signal_start(&sh->interrupt, on_signal, SIGINT);
    uv_signal_start(&sh->terminate, on_signal, SIGTERM);
}

static bool faces_are_busy(struct kl_shell *sh)
{
    for (unsigned i = 0; i < sh->listener_count; i++)
        if (sh->listeners[i].listener->busy &&
            sh->listeners[i].listener->busy(sh->listeners[i].ctx))
            return true;
    return false;
}

static void say_last_words(struct kl_shell *sh)
{
    sh->phase = PHASE_LAST_WORDS;
    sh->ending_at = (kl_us)(uv_hrtime() / 1000);
    /* The CSV still lacks marks; the ledger has them, and the next start appends them. */
    if (sh->trouble[0] && sh->exit_status <= KL_EXIT_FAILED)
        sh->exit_status = KL_EXIT_STORE;
    for (unsigned i = 0; i < sh->listener_count; i++)
        if (sh->listeners[i].listener->ending)
            sh->listeners[i].listener->ending(sh->listeners[i].ctx, sh->exit_status);
}

/* A disk or a port may not answer any more. Ending anywhere is safe: what is durable stays durable,
   and the rest never happened. */
static void end_in_a_hurry(struct kl_shell *sh, kl_us passed)
{
    if (passed > HURRY && sh->phase != PHASE_LAST_WORDS && sh->phase != PHASE_OVER) {
        if (!sh->store_closed)
            sh->exit_status = KL_EXIT_STORE;
        say_last_words(sh);
    }
    if (passed > HURRY && (passed > HURRY + HURRY_WORDS || !faces_are_busy(sh)))
        _exit(sh->exit_status);
}

static void on_end_timer(uv_timer_t *timer)
{
    struct kl_shell *sh = timer->data;
    kl_us passed = (kl_us)(uv_hrtime() / 1000) - sh->ending_at;

    if (sh->hurry_at > 0)
        end_in_a_hurry(sh, (kl_us)(uv_hrtime() / 1000) - sh->hurry_at);
    if (sh->phase == PHASE_CLOSING && sh->store_closed &&
        (!sh->open_ports || passed > KL_SEC(LINKS_WAIT_S)))
        say_last_words(sh);
    if (sh->phase == PHASE_LAST_WORDS && (!faces_are_busy(sh) || passed > KL_SEC(WORDS_WAIT_S)))
        sh->phase = PHASE_OVER;
}

static void on_store_closed(void *ctx)
{
    struct kl_shell *sh = ctx;

    sh->store_closed = true;
}

void begin_ending(struct kl_shell *sh, int exit_status)
{
    if (sh->phase != PHASE_RUNNING)
        return;
    sh->phase = PHASE_CLOSING;
    sh->exit_status = exit_status;
    sh->ending_at = sh->now;
    stop_hotplug(sh);
    close_open_ports(sh);
    kl_store_close(sh->store, on_store_closed, sh);
    uv_timer_start(&sh->end_timer, on_end_timer, 1, 5);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->loop && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

void close_handles(struct kl_shell *sh)
{
    close_handle((uv_handle_t *)&sh->prepare);
    close_handle((uv_handle_t *)&sh->check);
    close_handle((uv_handle_t *)&sh->timer);
    close_handle((uv_handle_t *)&sh->end_timer);
    close_handle((uv_handle_t *)&sh->interrupt);
    close_handle((uv_handle_t *)&sh->terminate);
    close_handle((uv_handle_t *)&sh->hotplug.timer);
}
