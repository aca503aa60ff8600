/*
 * link.h: the open byte stream to one board. Two families stand behind one interface: serial
 * devices (libserialport) and network ports (RFC 2217, raw TCP).
 *
 * Everything happens on one libuv loop; workers open and close serial devices. A link never blocks
 * the loop and never calls back from inside one of its own functions. The program ignores SIGPIPE,
 * and gives libuv a worker for every link and some more (UV_THREADPOOL_SIZE, docs/serial.md):
 * closing a frozen adapter takes one for 20 s.
 */
#ifndef KEYLINE_LINK_H
#define KEYLINE_LINK_H

#include <uv.h>

#include "keyline/io.h"
#include "keyline/station.h"

struct kl_link;

struct kl_link_events {
    /* Called once, after kl_link_open. If the result is not KL_OPEN_OK, no other callback follows
       but closed; the link then still needs kl_link_close. */
    void (*opened)(void *ctx, enum kl_open_result result, const char *text);
    void (*rx)(void *ctx, const uint8_t *data, size_t size);
    /* A LINES or BAUD request is done, in order. ok = false: the adapter refused it. */
    void (*io_done)(void *ctx, uint32_t request, bool ok);
    /* The port vanished or the connection broke; nothing more comes but closed. */
    void (*lost)(void *ctx, const char *text);
    /* Answers kl_link_close, always; the link is freed after it returns. */
    void (*closed)(void *ctx);
};

/* `target`: "/dev/…", "rfc2217://host:port[?ign_set_control]" or "socket://host:port". Always gives
   a link and later calls opened. NULL only if `target` is none of these or memory is out. */
struct kl_link *kl_link_open(uv_loop_t *loop, const char *target, uint32_t baud,
                             const struct kl_link_events *events, void *ctx);
/* Queues one request. Data is copied; if io->secret, copies are wiped after they left. */
void kl_link_io(struct kl_link *link, uint32_t request, const struct kl_io *io);
void kl_link_close(struct kl_link *link);

/* True and the kind if `target` has a form that kl_link_open takes. */
bool kl_link_kind_of(const char *target, enum kl_link_kind *kind);

#endif
