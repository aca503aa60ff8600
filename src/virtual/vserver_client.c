/*
 * vserver_client.c: the RFC 2217 side of one virtual board's port (docs/esp-serial-protocol.md 10).
 *
 * The protocol moves one modem line at a time, and some clients wait for each answer. Then both
 * lines are on for 50 ms and more between "EN low" and "IO0 low", and a strict circuit would start
 * the program. So the server holds back a DTR-on that comes while RTS holds the chip in reset. Once
 * RTS goes off, both reach the board together (§10.5).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vserver_inside.h"

enum {
    HOLD_US = 1000000,
    BACKLOG_MAX = 1 << 20, /* a client that reads nothing loses bytes, as with a real adapter */
    MODEM_STATE = 0x30,    /* DSR, CTS */
};

enum option_state {
    OPTION_OFF,
    OPTION_OFFERED,
    OPTION_ON
};

struct write {
    uv_write_t request;
    uint8_t data[];
};

/* ---- out ---- */

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* the reader notices a broken connection */
    free(request);
}

void client_flush(struct client *c)
{
    if (c->out_size == 0)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) < BACKLOG_MAX &&
        !uv_is_closing((uv_handle_t *)&c->tcp)) {
        struct write *w = malloc(sizeof *w + c->out_size);
        KL_ASSERT(w);
        memcpy(w->data, c->out, c->out_size);
        uv_buf_t buffer = uv_buf_init((char *)w->data, (unsigned)c->out_size);
        if (uv_write(&w->request, (uv_stream_t *)&c->tcp, &buffer, 1, on_written) != 0)
            free(w);
    }
    c->out_size = 0;
}

static void need(struct client *c, size_t size)
{
    if (c->out_size + size > sizeof c->out)
        client_flush(c);
}

void client_data(struct client *c, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t n = size < 1024 ? size : 1024;
        need(c, 2 * n);
        c->out_size += kl_telnet_escape(c->out + c->out_size, data, n);
        data += n;
        size -= n;
    }
}

static void negotiate(struct client *c, uint8_t verb, uint8_t option)
{
    need(c, 3);
    c->out_size += kl_telnet_negotiate(c->out + c->out_size, verb, option);
}

static void answer(struct client *c, uint8_t command, const void *value, size_t size)
{
    need(c, 2 * size + 6);
    c->out_size +=
        kl_telnet_com_port(c->out + c->out_size, (uint8_t)(command + KL_COM_SERVER), value, size);
}

static void answer_byte(struct client *c, uint8_t command, uint8_t value)
{
    answer(c, command, &value, 1);
}

/* ---- modem lines ---- */

static void apply_lines(struct place *p)
{
    p->held_until = 0;
    p->quiet_since = server_now();
    kl_vboard_lines(p->board, p->dtr, p->rts, p->quiet_since);
}

void client_lines_due(struct place *p)
{
    apply_lines(p);
}

static void set_dtr(struct place *p, bool on)
{
    bool in_reset = p->rts && !p->dtr;

    p->dtr = on;
    if (on && in_reset)
        p->held_until = server_now() + HOLD_US;
    else if (p->held_until && !on)
        p->held_until = 0; /* the board never saw the change */
    else if (!p->held_until)
        apply_lines(p);
}

static void set_rts(struct place *p, bool on)
{
    p->rts = on;
    apply_lines(p);
}

/* ---- COM-PORT-OPTION ---- */

static void set_control(struct client *c, uint8_t value)
{
    struct place *p = c->place;

    switch (value) {
    case 0: /* flow: what is in force */
        value = c->flow;
        break;
    case 1:
    case 2:
    case 3:
        c->flow = value;
        break;
    case 4: /* break: never on */
        value = 6;
        break;
    case 7:
        value = p->dtr ? 8 : 9;
        break;
    case 8:
    case 9:
        set_dtr(p, value == 8);
        break;
    case 10:
        value = p->rts ? 11 : 12;
        break;
    case 11:
    case 12:
        set_rts(p, value == 11);
        break;
    case 13: /* inbound flow: none */
        value = 14;
        break;
    default:
        break;
    }
    answer_byte(c, KL_COM_SET_CONTROL, value);
}

static void set_baud(struct client *c, const uint8_t *value, size_t size)
{
    uint32_t baud = 0;
    uint8_t now[4];

    for (size_t i = 0; i < size && i < 4; i++)
        baud = baud << 8 | value[i];
    if (baud > 0 && size == 4) {
        c->baud = baud;
        kl_vboard_baud(c->place->board, baud, server_now());
    }
    for (int i = 0; i < 4; i++)
        now[i] = (uint8_t)(c->baud >> (24 - 8 * i));
    answer(c, KL_COM_SET_BAUDRATE, now, sizeof now);
}

/* 0 asks for the setting; any other value becomes the setting and is echoed. */
static void set_byte(struct client *c, uint8_t command, uint8_t *setting, uint8_t value)
{
    if (value != 0)
        *setting = value;
    answer_byte(c, command, *setting);
}

static void send_signature(struct client *c)
{
    char text[80], mac[18];

    kl_mac_format(&c->place->mac, mac);
    int size =
        snprintf(text, sizeof text, "keyline virtual %s %s", kl_chip(c->place->chip)->slug, mac);
    answer(c, KL_COM_SIGNATURE, text, (size_t)size);
}

static void com_port(struct client *c, uint8_t command, const uint8_t *value, size_t size)
{
    uint8_t first = size > 0 ? value[0] : 0;

    switch (command) {
    case KL_COM_SIGNATURE:
        if (size == 0)
            send_signature(c);
        break;
    case KL_COM_SET_BAUDRATE:
        set_baud(c, value, size);
        break;
    case KL_COM_SET_DATASIZE:
        set_byte(c, command, &c->data_size, first);
        break;
    case KL_COM_SET_PARITY:
        set_byte(c, command, &c->parity, first);
        break;
    case KL_COM_SET_STOPSIZE:
        set_byte(c, command, &c->stop_size, first);
        break;
    case KL_COM_SET_CONTROL:
        set_control(c, first);
        break;
    case KL_COM_NOTIFY_MODEMSTATE:
        answer_byte(c, command, MODEM_STATE);
        break;
    case KL_COM_LINESTATE_MASK:
    case KL_COM_MODEMSTATE_MASK:
    case KL_COM_PURGE: /* nothing waits here, so there is nothing to purge */
        answer_byte(c, command, first);
        break;
    default:
        break;
    }
}

/* ---- Telnet ---- */

static bool known(uint8_t option)
{
    return option == KL_TELNET_COM_PORT || option == KL_TELNET_BINARY || option == KL_TELNET_SGA;
}

static void announce_modem(struct client *c)
{
    if (c->com_port)
        return;
    c->com_port = true;
    answer_byte(c, KL_COM_NOTIFY_MODEMSTATE, MODEM_STATE);
}

/* The other side says yes (WILL, DO) to, or asks for, an option. */
static void agree(struct client *c, uint8_t *state, uint8_t yes, uint8_t no, uint8_t option)
{
    if (!known(option)) {
        negotiate(c, no, option);
        return;
    }
    if (*state == OPTION_OFF)
        negotiate(c, yes, option);
    *state = OPTION_ON;
    if (option == KL_TELNET_COM_PORT)
        announce_modem(c);
}

static void refuse(struct client *c, uint8_t *state, uint8_t no, uint8_t option)
{
    if (*state == OPTION_ON)
        negotiate(c, no, option);
    *state = OPTION_OFF;
}

static void on_option(struct client *c, uint8_t verb, uint8_t option)
{
    switch (verb) {
    case KL_TELNET_DO:
        agree(c, &c->ours[option], KL_TELNET_WILL, KL_TELNET_WONT, option);
        break;
    case KL_TELNET_WILL:
        agree(c, &c->theirs[option], KL_TELNET_DO, KL_TELNET_DONT, option);
        break;
    case KL_TELNET_DONT:
        refuse(c, &c->ours[option], KL_TELNET_WONT, option);
        break;
    default:
        refuse(c, &c->theirs[option], KL_TELNET_DONT, option);
        break;
    }
}

static void offer(struct client *c)
{
    static const uint8_t options[] = {KL_TELNET_COM_PORT, KL_TELNET_BINARY, KL_TELNET_SGA};

    for (size_t i = 0; i < sizeof options; i++) {
        c->ours[options[i]] = OPTION_OFFERED;
        negotiate(c, KL_TELNET_WILL, options[i]);
    }
    c->theirs[KL_TELNET_BINARY] = OPTION_OFFERED;
    negotiate(c, KL_TELNET_DO, KL_TELNET_BINARY);
}

static void to_board(struct client *c, const uint8_t *data, size_t size)
{
    if (size == 0 || !c->place)
        return;
    c->place->quiet_since = server_now();
    kl_vboard_rx(c->place->board, data, size, c->place->quiet_since);
}

/* How many bytes of data follow one that was data. */
static size_t plain_bytes(const uint8_t *data, size_t size, size_t room)
{
    if (size > room)
        size = room;
    const uint8_t *command = memchr(data, 0xFF, size);
    return command ? (size_t)(command - data) : size;
}

static void take(struct client *c, const uint8_t *data, size_t size)
{
    uint8_t plain[4096];
    size_t n = 0;

    for (size_t i = 0; i < size && c->place; i++) {
        enum kl_telnet_kind kind = kl_telnet_byte(&c->telnet, data[i]);
        if (kind == KL_TELNET_DATA) {
            plain[n++] = c->telnet.byte;
            size_t run = plain_bytes(data + i + 1, size - i - 1, sizeof plain - n);
            memcpy(plain + n, data + i + 1, run);
            n += run;
            i += run;
        }
        if (kind == KL_TELNET_MORE)
            continue;
        if (n == sizeof plain || kind != KL_TELNET_DATA) {
            to_board(c, plain, n);
            n = 0;
        }
        if (kind == KL_TELNET_NEGOTIATE)
            on_option(c, c->telnet.verb, c->telnet.option);
        else if (kind == KL_TELNET_SUB && c->telnet.sub[0] == KL_TELNET_COM_PORT &&
                 c->telnet.sub_size >= 2)
            com_port(c, c->telnet.sub[1], c->telnet.sub + 2, c->telnet.sub_size - 2);
    }
    to_board(c, plain, n);
}

/* ---- connection ---- */

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    struct kl_vserver *s = c->server;

    free(c);
    server_handle_closed(s);
}

static void let_go(struct client *c)
{
    c->place = NULL;
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_client_closed);
}

/* The port closes: both lines fall together, the rate goes back. */
void client_drop(struct place *p)
{
    struct client *c = p->client;

    if (!c)
        return;
    p->client = NULL;
    p->dtr = p->rts = false;
    apply_lines(p);
    kl_vboard_baud(p->board, HOST_BAUD, server_now());
    client_flush(c);
    let_go(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct client *c = handle->data;

    (void)suggested;
    *buffer = uv_buf_init((char *)c->server->read_buffer, sizeof c->server->read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    struct place *p = c->place;

    if (!p)
        return;
    if (n > 0) {
        take(c, (const uint8_t *)buffer->base, (size_t)n);
        server_pump(p);
        server_run_due(p->server);
    } else if (n < 0) {
        client_drop(p);
        state_save_image(p);
        server_emit(p, KL_VS_DISCONNECTED);
    }
}

void client_accept(struct place *p, uv_stream_t *listener)
{
    struct client *c = calloc(1, sizeof *c);

    KL_ASSERT(c);
    c->server = p->server;
    uv_tcp_init(p->server->loop, &c->tcp);
    p->server->handles++;
    c->tcp.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || p->client) {
        let_go(c); /* one client at a time */
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, 20); /* a client that vanished loses the port after some time */
    c->place = p;
    c->baud = HOST_BAUD;
    c->data_size = 8;
    c->parity = c->stop_size = c->flow = 1;
    kl_telnet_init(&c->telnet);
    p->client = c;
    p->quiet_since = server_now();
    kl_vboard_baud(p->board, HOST_BAUD, p->quiet_since);
    offer(c);
    client_flush(c);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    server_emit(p, KL_VS_CONNECTED);
}
