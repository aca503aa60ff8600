/* link_raw.c: socket://host:port: bytes over TCP; no lines, no rate. */
#include <stdlib.h>
#include <string.h>

#include "link_private.h"
#include "tcp_stream.h"

struct raw_link {
    struct kl_link base;
    struct kl_tcp tcp;
    struct kl_net_target target;
};

static void opened(void *owner, enum kl_open_result result, const char *text)
{
    kl_link_opened(owner, result, text);
}

static void rx(void *owner, const uint8_t *data, size_t size)
{
    kl_link_rx(owner, data, size);
}

static void drained(void *owner)
{
    (void)owner;
}

static void lost(void *owner, const char *text)
{
    kl_link_lost(owner, text);
}

static void closed(void *owner)
{
    kl_link_closed(owner);
}

static const struct kl_tcp_events stream_events = {
    .opened = opened, .rx = rx, .drained = drained, .lost = lost, .closed = closed};

static void raw_open(struct kl_link *link)
{
    struct raw_link *raw = (struct raw_link *)link;
    kl_tcp_open(&raw->tcp, raw->target.host, raw->target.port);
}

static void raw_write(struct raw_link *raw, const struct kl_link_op *op)
{
    struct kl_tcp_write *w = kl_tcp_write_new(op->size, op->secret);
    if (w) {
        memcpy(w->data, op->data, op->size);
        w->size = op->size;
    }
    if (!w || !kl_tcp_write(&raw->tcp, w))
        kl_link_lost(&raw->base, "the connection does not take data");
}

static void raw_begin(struct kl_link *link, struct kl_link_op *op)
{
    struct raw_link *raw = (struct raw_link *)link;
    if (op->kind == KL_IO_WRITE)
        raw_write(raw, op);
    if (!link->lost)
        kl_link_op_done(link, op->kind == KL_IO_WRITE);
}

static void raw_close(struct kl_link *link)
{
    kl_tcp_close(&((struct raw_link *)link)->tcp);
}

static const struct kl_link_class raw_class = {
    .open = raw_open, .begin = raw_begin, .close = raw_close};

struct kl_link *kl_link_raw_create(uv_loop_t *loop, const struct kl_net_target *target,
                                   const struct kl_link_events *events, void *ctx)
{
    struct raw_link *raw = kl_link_new(sizeof *raw, &raw_class, loop, events, ctx);
    if (!raw)
        return NULL;
    kl_tcp_init(&raw->tcp, loop, &stream_events, raw);
    raw->target = *target;
    return &raw->base;
}
