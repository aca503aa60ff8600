/* touch.c: see touch.h. A board that runs must not notice. */
#include "touch.h"

#include <stdio.h>

#include "keyline/link.h"
#include "keyline/ports.h"

enum {
    PORTS_MAX = 64,
    LISTEN_MS = 100, /* with the port open */
};

struct visit {
    uv_loop_t loop;
    uv_timer_t timer;
    struct kl_link *link;
    const char *path;
    unsigned opened;
};

static void leave(uv_timer_t *timer)
{
    struct visit *v = timer->data;
    kl_link_close(v->link);
}

static void opened(void *ctx, enum kl_open_result result, const char *text)
{
    struct visit *v = ctx;
    v->opened += result == KL_OPEN_OK;
    if (result != KL_OPEN_OK)
        fprintf(stderr, "touch: %s\n", text);
    uv_timer_start(&v->timer, leave, LISTEN_MS, 0);
}

static void received(void *ctx, const uint8_t *data, size_t size)
{
    (void)ctx;
    (void)data;
    (void)size;
}

static void done(void *ctx, uint32_t request, bool ok)
{
    (void)ctx;
    (void)request;
    (void)ok;
}

static void lost(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "touch: %s\n", text);
}

static void closed(void *ctx)
{
    struct visit *v = ctx;
    v->link = NULL;
}

static const struct kl_link_events events = {opened, received, done, lost, closed};

static void visit(struct visit *v)
{
    v->link = kl_link_open(&v->loop, v->path, 115200, &events, v);
    if (v->link != NULL)
        uv_run(&v->loop, UV_RUN_DEFAULT);
}

int touch_ports(unsigned times)
{
    static struct kl_port_info ports[PORTS_MAX];
    static struct visit v;
    unsigned wanted = 0;
    int count = kl_ports_list(ports, PORTS_MAX, &(const struct kl_port_rules){0});
    uv_loop_init(&v.loop);
    uv_timer_init(&v.loop, &v.timer);
    v.timer.data = &v;
    for (int i = 0; i < count; i++) {
        v.path = ports[i].path;
        wanted += ports[i].usable ? times : 0;
        for (unsigned k = 0; ports[i].usable && k < times; k++)
            visit(&v);
    }
    printf("touch: opened and closed %u of %u times\n", v.opened, wanted);
    return v.opened == wanted && wanted > 0 ? 0 : 1;
}
