#include "keyline/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    STATUS_MS = 1000, /* at most one status in so long */
};

struct kl_notify {
    struct kl_shell *sh;
    uv_timer_t watchdog, status;
    bool ready, stopping;
    char said[KL_TEXT_MAX]; /* the last status */
    struct sockaddr_un to;
    socklen_t to_size;
    int fd;
};

static void send_text(struct kl_notify *n, const char *text)
{
    ssize_t sent;

    do {
        sent = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                      (const struct sockaddr *)&n->to, n->to_size);
    } while (sent < 0 && errno == EINTR);
}

void kl_notify_status(const struct kl_snapshot *s, char out[KL_TEXT_MAX])
{
    unsigned failed = 0, used = 0;
    size_t size;

    for (unsigned i = 0; i < s->slot_count; i++) {
        used += s->slot[i].state != KL_ST_EMPTY;
        failed += s->slot[i].state == KL_ST_FAILED;
    }
    size = kl_format(out, KL_TEXT_MAX, "%u slots, %u with a board, %u keys left", s->slot_count,
                     used, (unsigned)s->keys.free);
    if (failed > 0)
        size += kl_format(out + size, KL_TEXT_MAX - size, ", %u FAIL", failed);
    if (s->paused)
        size += kl_format(out + size, KL_TEXT_MAX - size, ", paused");
    if (s->warning[0])
        kl_format(out + size, KL_TEXT_MAX - size, "; %s", s->warning);
}

static void tell_status(struct kl_notify *n)
{
    struct kl_snapshot *s = malloc(sizeof *s);
    char status[KL_TEXT_MAX], text[KL_TEXT_MAX + 16];

    KL_ASSERT(s);
    kl_shell_look(n->sh, s);
    kl_notify_status(s, status);
    if (strcmp(status, n->said) != 0) {
        kl_copy(n->said, sizeof n->said, status);
        kl_format(text, sizeof text, "STATUS=%s", status);
        send_text(n, text);
    }
    if (s->stopping && !n->stopping) {
        n->stopping = true;
        send_text(n, "STOPPING=1");
    }
    free(s);
}

static void on_status(uv_timer_t *timer)
{
    tell_status(timer->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    send_text(timer->data, "WATCHDOG=1");
}

static void on_changed(void *ctx)
{
    struct kl_notify *n = ctx;

    if (!n->ready) {
        n->ready = true;
        send_text(n, "READY=1");
        tell_status(n);
    }
    if (!uv_is_closing((uv_handle_t *)&n->status) && !uv_is_active((uv_handle_t *)&n->status))
        uv_timer_start(&n->status, on_status, STATUS_MS, 0);
}

static void on_ending(void *ctx, int exit_status)
{
    struct kl_notify *n = ctx;

    (void)exit_status;
    if (!n->stopping)
        send_text(n, "STOPPING=1");
    n->stopping = true;
}

static const struct kl_listener listener = {
    .changed = on_changed,
    .ending = on_ending,
};

/* '@' stands for the NUL of an abstract name. */
static bool set_address(struct kl_notify *n, const char *name)
{
    size_t size = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof n->to.sun_path)
        return false;
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, name, size);
    if (name[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

/* Half of the time after which the service manager takes this process for dead; 0 = it does not
   watch. */
static uint64_t watchdog_ms(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!us || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    return strtoull(us, NULL, 10) / 2000;
}

struct kl_notify *kl_notify_create(struct kl_shell *sh)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct kl_notify *n = name ? calloc(1, sizeof *n) : NULL;
    uint64_t watch = watchdog_ms();

    if (!n || !set_address(n, name)) {
        free(n);
        return NULL;
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    n->sh = sh;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uv_timer_init(kl_shell_loop(sh), &n->watchdog);
    uv_timer_init(kl_shell_loop(sh), &n->status);
    n->watchdog.data = n->status.data = n;
    if (watch > 0)
        uv_timer_start(&n->watchdog, on_watchdog, watch, watch);
    kl_shell_listen(sh, &listener, n);
    return n;
}

void kl_notify_close(struct kl_notify *n)
{
    if (!n)
        return;
    uv_close((uv_handle_t *)&n->watchdog, NULL);
    uv_close((uv_handle_t *)&n->status, NULL);
}

void kl_notify_free(struct kl_notify *n)
{
    if (!n)
        return;
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}
