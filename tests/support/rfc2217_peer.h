/*
 * rfc2217_peer.h: a scripted RFC 2217 server on the test's own loop. It notes every request and
 * answers as real servers do, faulty ones included.
 */
#ifndef KEYLINE_TESTS_RFC2217_PEER_H
#define KEYLINE_TESTS_RFC2217_PEER_H

#include <uv.h>

#include "keyline/telnet.h"

struct rfc2217_peer {
    /* How it behaves; set before a client comes. */
    bool plain;       /* raw TCP: no Telnet at all */
    bool offers;      /* WILL 44 and more at once, as pyserial's server */
    bool offers_only; /* … and never acknowledges the client's */
    bool refuses;     /* DONT 44 */
    bool silent;      /* accepts, says nothing */
    bool mute_control, mute_baud;
    bool control_is_one;  /* sredird: [105 1] to everything */
    bool padded;          /* zero bytes after every value */
    bool byte_by_byte;    /* every answer in pieces of one byte */
    uint32_t other_baud;  /* answers this rate to everything */
    const char *greeting; /* text, then closes */

    uv_tcp_t server, client;
    bool accepted, gone;
    struct kl_telnet telnet;
    uint8_t received[65536];
    size_t received_size;
    /* "will 44 | baud 115200 control 1 |": a bar after each read. */
    char log[8192];
    size_t log_size;
    char url[64];
};

/* Listens on a free port of 127.0.0.1; `url` is what to open. */
void rfc2217_peer_start(struct rfc2217_peer *p, uv_loop_t *loop);
void rfc2217_peer_send(void *peer, const uint8_t *data, size_t size); /* as data */
void rfc2217_peer_answer(struct rfc2217_peer *p, uint8_t command, const uint8_t *value,
                         size_t size);
size_t rfc2217_peer_received(void *peer, const uint8_t **data);
void rfc2217_peer_drop(void *peer);
void rfc2217_peer_stop(struct rfc2217_peer *p);

#endif
