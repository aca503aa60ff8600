/* look_port.c: a look at the chip behind one port, over a loop of its own. See look_port.h. */
#include "look_port.h"

#include <stdio.h>
#include <string.h>

#include "keyline/ports.h"
#include "keyline/secret.h"

enum {
    PORTS_MAX = 256
};

kl_us look_port_now(void)
{
    return (kl_us)(uv_hrtime() / 1000);
}

static void end(struct look_port *s)
{
    if (s->closing)
        return;
    s->closing = true;
    uv_close((uv_handle_t *)&s->timer, NULL);
    kl_link_close(s->link);
}

static void on_timer(uv_timer_t *timer);

/* Passes on what the look asks for, and sleeps until it wants to be woken. */
static void pump(struct look_port *s)
{
    struct kl_look_result result;
    struct kl_io io;
    kl_us wait;

    if (!s->started || s->closing)
        return;
    while (kl_look_next(s->look, &io))
        kl_link_io(s->link, ++s->request, &io);
    kl_look_result(s->look, &result);
    KL_ASSERT(!result.ready || s->ready);
    if (result.ready) {
        s->ready(s);
        while (kl_look_next(s->look, &io))
            kl_link_io(s->link, ++s->request, &io);
        kl_look_result(s->look, &result);
    }
    if (result.over) {
        end(s);
        return;
    }
    wait = kl_look_deadline(s->look) - look_port_now();
    uv_timer_start(&s->timer, on_timer, wait > 0 ? (uint64_t)(wait / 1000 + 1) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct look_port *s = timer->data;

    kl_look_tick(s->look, look_port_now());
    pump(s);
}

static void on_opened(void *ctx, enum kl_open_result result, const char *text)
{
    struct look_port *s = ctx;

    if (result != KL_OPEN_OK) {
        kl_copy(s->error, sizeof s->error, text && text[0] ? text : "the port can't be opened");
        end(s);
        return;
    }
    s->started = true;
    kl_look_start(s->look, s->kind, s->ready != NULL, look_port_now());
    pump(s);
}

static void on_rx(void *ctx, const uint8_t *data, size_t size)
{
    struct look_port *s = ctx;

    if (s->started)
        kl_look_rx(s->look, data, size, look_port_now());
    pump(s);
}

static void on_io_done(void *ctx, uint32_t request, bool ok)
{
    struct look_port *s = ctx;

    (void)request; /* only one request at a time is under way */
    kl_look_io_done(s->look, ok, look_port_now());
    pump(s);
}

static void on_lost(void *ctx, const char *text)
{
    struct look_port *s = ctx;

    kl_copy(s->error, sizeof s->error, text && text[0] ? text : "the port vanished");
    end(s);
}

static void on_closed(void *ctx)
{
    ((struct look_port *)ctx)->link = NULL;
}

static const struct kl_link_events events = {
    .opened = on_opened, .rx = on_rx, .io_done = on_io_done, .lost = on_lost, .closed = on_closed};

/* A USB place becomes its device; a device's USB id tells how it is reset. */
static bool resolve(const char *port, char path[KL_PORT_MAX], enum kl_link_kind *kind)
{
    static struct kl_port_info found[PORTS_MAX];
    bool known = kl_link_kind_of(port, kind);
    int count;

    if (known && strstr(port, "://"))
        return kl_copy(path, KL_PORT_MAX, port);
    count = kl_ports_list(found, PORTS_MAX, &(struct kl_port_rules){.extra_id_count = 0});
    for (int i = 0; i < count && i < PORTS_MAX; i++) {
        if (strcmp(found[i].path, port) != 0 && strcmp(found[i].topology, port) != 0)
            continue;
        *kind = found[i].link;
        return kl_copy(path, KL_PORT_MAX, found[i].path);
    }
    return known && kl_copy(path, KL_PORT_MAX, port);
}

bool look_port(struct look_port *s, const char *port)
{
    char path[KL_PORT_MAX];

    if (!resolve(port, path, &s->kind)) {
        kl_copy(s->error, sizeof s->error, "there is no such port; keyline ports lists them");
        return false;
    }
    if (uv_loop_init(&s->loop) != 0 || !(s->look = kl_secret_alloc(kl_look_size()))) {
        kl_copy(s->error, sizeof s->error, "out of memory");
        return false;
    }
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = s;
    s->link = kl_link_open(&s->loop, path, 115200, &events, s);
    if (!s->link) {
        kl_copy(s->error, sizeof s->error, "this is no port that keyline can open");
        uv_close((uv_handle_t *)&s->timer, NULL);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    return s->error[0] == '\0';
}

void look_port_free(struct look_port *s)
{
    kl_secret_free(s->look, kl_look_size());
    s->look = NULL;
}

void look_port_complain(const char *command, const char *port, const struct kl_fault *fault)
{
    struct kl_fault_info info = kl_fault_info(fault->reason);

    fprintf(stderr, "keyline %s: %s: %s%s%s%s\n", command, port, info.text,
            fault->detail[0] ? " (" : "", fault->detail, fault->detail[0] ? ")" : "");
    fprintf(stderr, "What to do: %s\n", info.advice);
}
