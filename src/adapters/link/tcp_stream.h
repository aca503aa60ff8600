/*
 * tcp_stream.h: one TCP connection to a named host: resolves, tries its addresses in turn, connects
 * in bounded time, notices a dead peer. Below the raw and the RFC 2217 link.
 */
#ifndef KEYLINE_ADAPTERS_TCP_STREAM_H
#define KEYLINE_ADAPTERS_TCP_STREAM_H

#include <uv.h>

#include "keyline/station.h"

enum {
    KL_TCP_RATE = 512 * 1024,  /* bytes a second: 5 Mbaud */
    KL_TCP_BURST = 256 * 1024, /* bytes that may come at once */
};

/* The link is lost if a peer sends more than we read for so long. Tests shorten it. */
extern uint64_t kl_tcp_flood_ms;

struct kl_tcp_events {
    void (*opened)(void *owner, enum kl_open_result result, const char *text);
    void (*rx)(void *owner, const uint8_t *data, size_t size);
    void (*drained)(void *owner); /* the kernel has taken everything that we wrote */
    void (*lost)(void *owner, const char *text);
    void (*closed)(void *owner);
};

struct kl_tcp {
    uv_loop_t *loop;
    const struct kl_tcp_events *events;
    void *owner;
    char name[KL_PORT_MAX]; /* "host:port", for messages */
    uv_getaddrinfo_t resolve;
    struct addrinfo *found, *next;
    uv_tcp_t socket;
    uv_connect_t connect;
    uv_timer_t timer;
    unsigned busy;     /* things that end by a callback: the look-up and the open handles */
    bool socket_taken; /* the socket is initialised */
    bool connected, closing, over;
    int error;            /* the last attempt's */
    size_t unsent;        /* writes that the kernel has not taken yet … */
    size_t unsent_bytes;  /* … and their bytes */
    uint32_t rate;        /* bytes a second that we read on the average */
    int64_t allowance;    /* bytes that we may read now */
    uint64_t counted_at;  /* ms: when we last counted the allowance */
    uint64_t flood_since; /* ms: since when more comes than we may read; 0 = no flood */
    uint8_t rx[4096];
};

void kl_tcp_init(struct kl_tcp *t, uv_loop_t *loop, const struct kl_tcp_events *events,
                 void *owner);
/* Sets a rate that a serial port can't exceed. Bytes above it wait in the network, and a peer that
   keeps on is lost. Without this call the rate is KL_TCP_RATE. */
void kl_tcp_limit(struct kl_tcp *t, uint32_t bytes_per_second);
/* Answers by `opened`, later. */
void kl_tcp_open(struct kl_tcp *t, const char *host, const char *port);

/* Fill data and size (up to the capacity that you asked for), then hand it over. */
struct kl_tcp_write {
    uv_write_t request;
    struct kl_tcp *stream;
    size_t secret; /* 0, or how many bytes of secret memory this takes */
    size_t size;
    uint8_t data[];
};
struct kl_tcp_write *kl_tcp_write_new(size_t capacity, bool secret); /* NULL if memory is out */
/* False if the connection is broken. Frees the write either way. */
bool kl_tcp_write(struct kl_tcp *t, struct kl_tcp_write *write);
/* Answers by `closed`, later. */
void kl_tcp_close(struct kl_tcp *t);

#endif
