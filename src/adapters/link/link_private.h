/*
 * link_private.h: what the kinds of link share: the queue of requests, and the callbacks. The loop
 * always makes the callbacks, never a kl_link function.
 */
#ifndef KEYLINE_ADAPTERS_LINK_PRIVATE_H
#define KEYLINE_ADAPTERS_LINK_PRIVATE_H

#include "keyline/link.h"

/* One queued request. */
struct kl_link_op {
    struct kl_link_op *next;
    uint32_t request;
    enum kl_io_kind kind;
    bool secret, dtr, rts;
    uint32_t baud;
    size_t size, sent;
    uint8_t data[];
};

struct kl_link_class {
    /* Starts what kl_link_create's caller prepared; tells failures later. */
    void (*open)(struct kl_link *link);
    /* Begins `op`, the oldest request. The loop calls this for one request at a time: the next
       comes after kl_link_op_done. */
    void (*begin)(struct kl_link *link, struct kl_link_op *op);
    /* Lets go of everything, then calls kl_link_closed. */
    void (*close)(struct kl_link *link);
};

/* First member of every kind's own struct. */
struct kl_link {
    const struct kl_link_class *class;
    size_t size; /* of the kind's own struct */
    uv_loop_t *loop;
    struct kl_link_events events;
    void *ctx;
    uv_idle_t kick; /* does what is due in the loop's next turn, not in the caller's */
    struct kl_link_op *first, *last;
    bool open, lost, closing;
    bool begun;          /* the first op has begun */
    const char *trouble; /* why the link is lost; the kick tells the owner */
};

/* Where a network port is. */
struct kl_net_target {
    enum kl_link_kind kind;
    char host[128], port[8];
    bool ign_set_control;
};
/* False if it is neither "rfc2217://host:port[?ign_set_control]" nor "socket://host:port". */
bool kl_net_target_parse(const char *text, struct kl_net_target *out);

/* A kind's own struct, zeroed but for its first member; NULL if memory is out. What boards say
   passes through the struct, so it lies in secret memory. */
void *kl_link_new(size_t size, const struct kl_link_class *class, uv_loop_t *loop,
                  const struct kl_link_events *events, void *ctx);
void kl_link_opened(struct kl_link *link, enum kl_open_result result, const char *text);
void kl_link_rx(struct kl_link *link, const uint8_t *data, size_t size);
/* The first request is done: frees it and wipes its data. */
void kl_link_op_done(struct kl_link *link, bool ok);
void kl_link_lost(struct kl_link *link, const char *text);
/* The kind calls this when all of its own handles are closed. It ends the link: `link` is gone
   afterwards. */
void kl_link_closed(struct kl_link *link);
/* True while the owner wants to hear of this link. */
bool kl_link_live(const struct kl_link *link);

/* The kinds. NULL if memory is out. */
struct kl_link *kl_link_rfc2217_create(uv_loop_t *loop, const struct kl_net_target *target,
                                       uint32_t baud, const struct kl_link_events *events,
                                       void *ctx);
struct kl_link *kl_link_raw_create(uv_loop_t *loop, const struct kl_net_target *target,
                                   const struct kl_link_events *events, void *ctx);
struct kl_serial_ops;
struct kl_link *kl_link_serial_create(uv_loop_t *loop, const char *path, uint32_t baud,
                                      const struct kl_serial_ops *ops,
                                      const struct kl_link_events *events, void *ctx);

#endif
