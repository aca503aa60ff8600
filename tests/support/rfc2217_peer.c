#include "rfc2217_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void note(struct rfc2217_peer *p, const char *what, unsigned value)
{
    p->log_size +=
        kl_format(p->log + p->log_size, sizeof p->log - p->log_size, "%s %u ", what, value);
}

static void write_some(struct rfc2217_peer *p, const uint8_t *data, size_t size)
{
    while (size > 0 && p->accepted && !p->gone) {
        size_t piece = p->byte_by_byte ? 1 : size;
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)data, (unsigned)piece);
        int n = uv_try_write((uv_stream_t *)&p->client, &buffer, 1);
        if (n < 0 && n != UV_EAGAIN)
            return; /* the client left */
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
}

void rfc2217_peer_send(void *peer, const uint8_t *data, size_t size)
{
    struct rfc2217_peer *p = peer;
    uint8_t out[8192];
    assert_true(size <= sizeof out / 2);
    if (p->plain)
        write_some(p, data, size);
    else
        write_some(p, out, kl_telnet_escape(out, data, size));
}

void rfc2217_peer_answer(struct rfc2217_peer *p, uint8_t command, const uint8_t *value, size_t size)
{
    uint8_t out[64], padded[8] = {0};
    memcpy(padded, value, size);
    write_some(p, out,
               kl_telnet_com_port(out, (uint8_t)(command + KL_COM_SERVER), padded,
                                  p->padded ? size + 3 : size));
}

static void say(struct rfc2217_peer *p, uint8_t verb, uint8_t option)
{
    uint8_t out[3];
    write_some(p, out, kl_telnet_negotiate(out, verb, option));
}

static void negotiated(struct rfc2217_peer *p, uint8_t verb, uint8_t option)
{
    static const char *const verbs[] = {"will", "wont", "do", "dont"};
    note(p, verbs[verb - KL_TELNET_WILL], option);
    if (p->silent)
        return;
    bool com_port = option == KL_TELNET_COM_PORT;
    if (verb == KL_TELNET_WILL && com_port && !p->offers_only)
        say(p, p->refuses ? KL_TELNET_DONT : KL_TELNET_DO, option);
    else if (verb == KL_TELNET_WILL && option == KL_TELNET_BINARY)
        say(p, KL_TELNET_DO, option);
    else if (verb == KL_TELNET_DO && option == KL_TELNET_BINARY)
        say(p, KL_TELNET_WILL, option);
}

static void asked(struct rfc2217_peer *p, const uint8_t *sub, size_t size)
{
    static const char *const names[] = {"signature", "baud",     "datasize",
                                        "parity",    "stopsize", "control"};
    assert_true(size >= 3 && sub[0] == KL_TELNET_COM_PORT);
    uint8_t command = sub[1];
    const uint8_t *value = sub + 2;
    if (command == KL_COM_SET_BAUDRATE) {
        assert_int_equal(size, 6);
        uint32_t rate = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 |
                        (uint32_t)value[2] << 8 | value[3];
        note(p, "baud", rate);
        if (p->other_baud != 0)
            rate = p->other_baud;
        const uint8_t answer[4] = {(uint8_t)(rate >> 24), (uint8_t)(rate >> 16),
                                   (uint8_t)(rate >> 8), (uint8_t)rate};
        if (!p->mute_baud)
            rfc2217_peer_answer(p, command, answer, 4);
        return;
    }
    assert_int_equal(size, 3);
    note(p, names[command], value[0]);
    bool mute = command == KL_COM_SET_CONTROL && p->mute_control;
    const uint8_t one = 1;
    if (!mute)
        rfc2217_peer_answer(p, command,
                            command == KL_COM_SET_CONTROL && p->control_is_one ? &one : value, 1);
}

static void heard(struct rfc2217_peer *p, uint8_t byte)
{
    enum kl_telnet_kind kind = KL_TELNET_DATA;
    if (p->plain)
        p->telnet.byte = byte;
    else
        kind = kl_telnet_byte(&p->telnet, byte);
    if (kind == KL_TELNET_NEGOTIATE)
        negotiated(p, p->telnet.verb, p->telnet.option);
    else if (kind == KL_TELNET_SUB)
        asked(p, p->telnet.sub, p->telnet.sub_size);
    else if (kind == KL_TELNET_DATA) {
        assert_true(p->received_size < sizeof p->received);
        p->received[p->received_size++] = p->telnet.byte;
    }
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char bytes[65536];
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void read_some(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct rfc2217_peer *p = stream->data;
    for (ssize_t i = 0; i < size; i++)
        heard(p, (uint8_t)buffer->base[i]);
    if (size < 0)
        rfc2217_peer_drop(p);
    else if (p->log_size > 0 && p->log[p->log_size - 1] == ' ')
        p->log_size += kl_format(p->log + p->log_size, sizeof p->log - p->log_size, "| ");
}

static void came(uv_stream_t *server, int status)
{
    struct rfc2217_peer *p = server->data;
    assert_int_equal(status, 0);
    assert_false(p->accepted);
    uv_tcp_init(server->loop, &p->client);
    p->client.data = p;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&p->client), 0);
    p->accepted = true;
    uv_tcp_nodelay(&p->client, 1);
    if (p->greeting != NULL) {
        rfc2217_peer_send(p, (const uint8_t *)p->greeting, strlen(p->greeting));
        rfc2217_peer_drop(p);
        return;
    }
    if (p->offers) {
        say(p, KL_TELNET_WILL, KL_TELNET_ECHO);
        say(p, KL_TELNET_WILL, KL_TELNET_SGA);
        say(p, KL_TELNET_DO, KL_TELNET_BINARY);
        say(p, KL_TELNET_WILL, KL_TELNET_COM_PORT);
        say(p, KL_TELNET_DO, 24); /* terminal type, which the client does not want */
    }
    uv_read_start((uv_stream_t *)&p->client, allocate, read_some);
}

void rfc2217_peer_start(struct rfc2217_peer *p, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int size = sizeof address;
    kl_telnet_init(&p->telnet);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &p->server);
    p->server.data = p;
    assert_int_equal(uv_tcp_bind(&p->server, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->server, 4, came), 0);
    uv_tcp_getsockname(&p->server, (struct sockaddr *)&address, &size);
    unsigned port = (unsigned)(address.sin_port >> 8 | (address.sin_port & 0xff) << 8);
    kl_format(p->url, sizeof p->url, "%s://127.0.0.1:%u", p->plain ? "socket" : "rfc2217", port);
}

size_t rfc2217_peer_received(void *peer, const uint8_t **data)
{
    struct rfc2217_peer *p = peer;
    *data = p->received;
    return p->received_size;
}

void rfc2217_peer_drop(void *peer)
{
    struct rfc2217_peer *p = peer;
    if (p->accepted && !p->gone)
        uv_close((uv_handle_t *)&p->client, NULL);
    p->gone = true;
}

void rfc2217_peer_stop(struct rfc2217_peer *p)
{
    rfc2217_peer_drop(p);
    uv_close((uv_handle_t *)&p->server, NULL);
}
