/*
 * link_rfc2217.c: rfc2217://host:port: a serial port at the other end of a TCP connection
 * (docs/esp-serial-protocol.md 10).
 *
 * The link sends all parts of a request in one write. The request is done when the server has
 * answered every part, or its time is over. Servers differ too much to insist on answers: see
 * docs/serial.md.
 */
#include <stdlib.h>
#include <string.h>

#include "keyline/telnet.h"
#include "link_private.h"
#include "tcp_stream.h"

enum {
    NEGOTIATE_MS = 3000,
    ANSWER_MS = 1000,
    MUTE_MS = 100, /* for commands that this server did not answer before */
    AWAITED_MAX = 8,
    COMMANDS = KL_COM_PURGE + 1,
    UNREAD_MAX = 4096,    /* bytes of answers to options */
    RATE_MIN = 64 * 1024, /* bytes a second that a server may send, whatever the baud rate */
    OPTION_NUMBERS = 256,
};

static const char UNREAD[] = "the server asks for Telnet options and does not read the answers";
static const char CANT_SEND[] = "the connection does not take data";

enum { /* values of SET-CONTROL */
    FLOW_NONE = 1,
    DTR_ON = 8,
    DTR_OFF = 9,
    RTS_ON = 11,
    RTS_OFF = 12,
};

enum phase {
    CONNECTING,
    NEGOTIATING, /* until the server agrees to option 44 */
    SETTING_UP,  /* rate, 8N1, no flow control, both lines off */
    READY,
    ENDED,
};

enum side {
    NO,
    ASKED,
    YES,
};

/* Telnet options that we know. Each side may switch its own on. */
static const struct {
    uint8_t option;
    bool we, they;             /* whose side may be on */
    bool we_start, they_start; /* whose side we ask for at once */
} options[] = {
    {KL_TELNET_COM_PORT, true, true, true, false},
    {KL_TELNET_BINARY, true, true, true, true},
    {KL_TELNET_SGA, true, true, true, true},
    {KL_TELNET_ECHO, false, true, false, false},
};

enum {
    OPTIONS = sizeof options / sizeof options[0],
    COM_PORT = 0, /* index in options */
};

struct awaited {
    uint8_t command, value;
    bool answered;
};

struct rfc2217_link {
    struct kl_link base;
    struct kl_tcp tcp;
    struct kl_telnet telnet;
    struct kl_net_target target;
    uv_timer_t timer;
    unsigned open_parts; /* timer and stream, until closed */
    enum phase phase;
    enum side we[OPTIONS], they[OPTIONS];
    struct awaited awaited[AWAITED_MAX];
    unsigned awaited_count;
    bool waiting;        /* for the answers to `awaited` */
    bool mute[COMMANDS]; /* this server does not answer these commands */
    bool refused;        /* the server keeps another rate */
    bool refused_us[OPTION_NUMBERS], refused_them[OPTION_NUMBERS]; /* said so already */
    uint32_t baud, baud_in_force;
    bool dtr, rts, lines_known;
    char said[128]; /* what the peer says before it agrees to option 44: perhaps why it can't */
    size_t said_size;
};

static void timed_out(uv_timer_t *timer);

/* ---- sending ---- */

/* False if our answers pile up because the server does not read them. */
static bool is_read(const struct rfc2217_link *r)
{
    return r->tcp.unsent_bytes <= UNREAD_MAX;
}

static bool transmit(struct rfc2217_link *r, const uint8_t *data, size_t size)
{
    struct kl_tcp_write *w = kl_tcp_write_new(size, false);
    if (!w)
        return false;
    memcpy(w->data, data, size);
    w->size = size;
    return kl_tcp_write(&r->tcp, w);
}

/* Commands of one request, collected to leave in one segment. */
struct batch {
    uint8_t bytes[AWAITED_MAX * 16];
    size_t size;
};

static void add(struct rfc2217_link *r, struct batch *b, uint8_t command, uint8_t value)
{
    KL_ASSERT(r->awaited_count < AWAITED_MAX);
    r->awaited[r->awaited_count++] = (struct awaited){.command = command, .value = value};
    b->size += kl_telnet_com_port(b->bytes + b->size, command, &value, 1);
}

static void add_baud(struct rfc2217_link *r, struct batch *b, uint32_t baud)
{
    const uint8_t value[4] = {(uint8_t)(baud >> 24), (uint8_t)(baud >> 16), (uint8_t)(baud >> 8),
                              (uint8_t)baud};
    r->baud = baud;
    r->baud_in_force = baud;
    kl_tcp_limit(&r->tcp, baud / 5 > RATE_MIN ? baud / 5 : RATE_MIN); /* twice what it carries */
    r->awaited[r->awaited_count++] = (struct awaited){.command = KL_COM_SET_BAUDRATE};
    b->size += kl_telnet_com_port(b->bytes + b->size, KL_COM_SET_BAUDRATE, value, 4);
}

/*
 * RFC 2217 moves one line at a time. DTR goes on before RTS moves, and off after it. So no board
 * resets unasked (docs/esp-serial-protocol.md 5.1), and a chip with EN straight on RTS finds its
 * strap low when it starts. We do not send a line again that stays.
 */
static void add_lines(struct rfc2217_link *r, struct batch *b, bool dtr, bool rts)
{
    bool same = r->lines_known && r->dtr == dtr && r->rts == rts;
    bool send_dtr = same || !r->lines_known || r->dtr != dtr;
    bool send_rts = same || !r->lines_known || r->rts != rts;
    if (send_dtr && dtr)
        add(r, b, KL_COM_SET_CONTROL, DTR_ON);
    if (send_rts)
        add(r, b, KL_COM_SET_CONTROL, rts ? RTS_ON : RTS_OFF);
    if (send_dtr && !dtr)
        add(r, b, KL_COM_SET_CONTROL, DTR_OFF);
    r->dtr = dtr;
    r->rts = rts;
    r->lines_known = true;
}

/* ---- waiting for answers ---- */

static unsigned patience(const struct rfc2217_link *r)
{
    unsigned ms = MUTE_MS;
    for (unsigned i = 0; i < r->awaited_count; i++) {
        const struct awaited *a = &r->awaited[i];
        if (!a->answered && !r->mute[a->command])
            ms = ANSWER_MS;
    }
    return ms;
}

static void begin_waiting(struct rfc2217_link *r, const struct batch *b)
{
    r->waiting = true;
    if (!transmit(r, b->bytes, b->size))
        kl_link_lost(&r->base, CANT_SEND);
}

/* The stream calls this when the commands have left: the server's time starts now. */
static void drained(void *owner)
{
    struct rfc2217_link *r = owner;
    if (r->waiting && !uv_is_active((uv_handle_t *)&r->timer))
        uv_timer_start(&r->timer, timed_out, patience(r), 0);
}

static void finish_waiting(struct rfc2217_link *r)
{
    bool ok = !r->refused;
    uv_timer_stop(&r->timer);
    r->waiting = false;
    r->refused = false;
    r->awaited_count = 0;
    if (r->phase == READY) {
        kl_link_op_done(&r->base, ok);
        return;
    }
    r->phase = ok ? READY : ENDED;
    char text[KL_TEXT_MAX] = "";
    if (!ok)
        kl_format(text, sizeof text, "%s: the server stays at %u baud instead of %u", r->tcp.name,
                  (unsigned)r->baud_in_force, (unsigned)r->baud);
    kl_link_opened(&r->base, ok ? KL_OPEN_OK : KL_OPEN_ERROR, text);
}

/* Whether two rates are the same to a UART: adapters round (docs/serial.md). */
static bool same_rate(uint32_t a, uint32_t b)
{
    uint32_t difference = a > b ? a - b : b - a;
    return difference <= b / 33;
}

static void check_baud(struct rfc2217_link *r, const uint8_t *value, size_t size)
{
    if (size < 4)
        return; /* old servers answer a code of one byte */
    uint32_t rate =
        (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
    if (rate == 0 || same_rate(rate, r->baud))
        return;
    r->refused = true;
    r->baud_in_force = rate;
}

/* The part that this answer belongs to: the one with this value. Some servers answer other values:
   then the oldest part that waits. */
static struct awaited *find_awaited(struct rfc2217_link *r, uint8_t command, uint8_t value)
{
    struct awaited *oldest = NULL;
    for (unsigned i = r->awaited_count; i-- > 0;) {
        struct awaited *a = &r->awaited[i];
        if (a->answered || a->command != command)
            continue;
        if (a->value == value)
            return a;
        oldest = a;
    }
    return oldest;
}

static void answered(struct rfc2217_link *r, uint8_t command, const uint8_t *value, size_t size)
{
    if (!r->waiting || command >= COMMANDS)
        return;
    struct awaited *a = find_awaited(r, command, size > 0 ? value[0] : 0);
    if (!a)
        return;
    a->answered = true;
    r->mute[command] = command == KL_COM_SET_CONTROL && r->target.ign_set_control;
    if (command == KL_COM_SET_BAUDRATE)
        check_baud(r, value, size);
    for (unsigned i = 0; i < r->awaited_count; i++)
        if (!r->awaited[i].answered)
            return;
    finish_waiting(r);
}

/* ---- opening ---- */

static void fail_open(struct rfc2217_link *r, enum kl_open_result result, const char *why)
{
    char text[KL_TEXT_MAX];
    kl_format(text, sizeof text, "%s: %s", r->tcp.name, why);
    uv_timer_stop(&r->timer);
    r->phase = ENDED;
    kl_link_opened(&r->base, result, text);
}

static void set_up(struct rfc2217_link *r)
{
    struct batch b = {.size = 0};
    r->phase = SETTING_UP;
    uv_timer_stop(&r->timer);
    add_baud(r, &b, r->baud);
    add(r, &b, KL_COM_SET_DATASIZE, 8);
    add(r, &b, KL_COM_SET_PARITY, 1);
    add(r, &b, KL_COM_SET_STOPSIZE, 1);
    add(r, &b, KL_COM_SET_CONTROL, FLOW_NONE);
    /* With ign_set_control, the server starts a whole reset whenever we change a line. */
    if (!r->target.ign_set_control)
        add_lines(r, &b, false, false);
    begin_waiting(r, &b);
}

static void timed_out(uv_timer_t *timer)
{
    struct rfc2217_link *r = timer->data;
    if (r->phase == NEGOTIATING && r->they[COM_PORT] == YES) {
        set_up(r); /* the server offered the option; not every server also acknowledges ours */
        return;
    }
    if (r->phase == NEGOTIATING) {
        fail_open(r, KL_OPEN_ERROR,
                  "no RFC 2217 server answers there (for plain TCP use socket://)");
        return;
    }
    for (unsigned i = 0; i < r->awaited_count; i++)
        if (!r->awaited[i].answered)
            r->mute[r->awaited[i].command] = true;
    finish_waiting(r);
}

static void opened(void *owner, enum kl_open_result result, const char *text)
{
    struct rfc2217_link *r = owner;
    if (result != KL_OPEN_OK) {
        r->phase = ENDED;
        kl_link_opened(&r->base, result, text);
        return;
    }
    uint8_t bytes[OPTIONS * 6];
    size_t n = 0;
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (options[i].we_start)
            n += kl_telnet_negotiate(bytes + n, KL_TELNET_WILL, options[i].option);
        if (options[i].they_start)
            n += kl_telnet_negotiate(bytes + n, KL_TELNET_DO, options[i].option);
        r->we[i] = options[i].we_start ? ASKED : NO;
        r->they[i] = options[i].they_start ? ASKED : NO;
    }
    r->phase = NEGOTIATING;
    uv_timer_start(&r->timer, timed_out, NEGOTIATE_MS, 0);
    if (!transmit(r, bytes, n))
        fail_open(r, KL_OPEN_ERROR, "the connection broke");
}

/* The server says yes or no to one side of one option. We answer only what changes something, so
   that two ends never answer each other for ever (RFC 854). */
static void settle_side(struct rfc2217_link *r, enum side *side, bool wanted, bool allowed,
                        uint8_t yes, uint8_t no, uint8_t option)
{
    enum side before = *side;
    uint8_t bytes[3];
    *side = wanted && allowed ? YES : NO;
    bool answer = before == NO ? wanted : before == YES && !wanted;
    if (answer)
        transmit(r, bytes, kl_telnet_negotiate(bytes, *side == YES ? yes : no, option));
}

/* Says no to an option that we don't know: once, however often the server asks. */
static void refuse(struct rfc2217_link *r, bool about_us, uint8_t option)
{
    bool *told = about_us ? &r->refused_us[option] : &r->refused_them[option];
    uint8_t bytes[3];

    if (!*told)
        transmit(r, bytes,
                 kl_telnet_negotiate(bytes, about_us ? KL_TELNET_WONT : KL_TELNET_DONT, option));
    *told = true;
}

static void negotiate(struct rfc2217_link *r, uint8_t verb, uint8_t option)
{
    bool about_us = verb == KL_TELNET_DO || verb == KL_TELNET_DONT;
    bool wanted = verb == KL_TELNET_DO || verb == KL_TELNET_WILL;
    unsigned i = 0;
    while (i < OPTIONS && options[i].option != option)
        i++;
    if (i == OPTIONS && wanted)
        refuse(r, about_us, option);
    else if (i < OPTIONS && about_us)
        settle_side(r, &r->we[i], wanted, options[i].we, KL_TELNET_WILL, KL_TELNET_WONT, option);
    else if (i < OPTIONS)
        settle_side(r, &r->they[i], wanted, options[i].they, KL_TELNET_DO, KL_TELNET_DONT, option);
    if (r->phase != NEGOTIATING || i != COM_PORT || !about_us)
        return;
    if (wanted)
        set_up(r);
    else
        fail_open(r, KL_OPEN_ERROR, "this Telnet server refuses RFC 2217 (the COM-PORT option)");
}

/* ---- receiving ---- */

static void data_byte(struct rfc2217_link *r, uint8_t byte, uint8_t *out, size_t *n)
{
    if (r->phase == READY)
        out[(*n)++] = byte;
    else if (r->phase == NEGOTIATING && r->said_size + 1 < sizeof r->said)
        r->said[r->said_size++] = (char)byte;
}

static void lost(void *owner, const char *text);

static void rx(void *owner, const uint8_t *data, size_t size)
{
    struct rfc2217_link *r = owner;
    uint8_t out[sizeof r->tcp.rx];
    size_t n = 0;
    for (size_t i = 0; i < size && !r->base.closing && r->phase != ENDED; i++) {
        switch (kl_telnet_byte(&r->telnet, data[i])) {
        case KL_TELNET_MORE:
            break;
        case KL_TELNET_DATA:
            data_byte(r, r->telnet.byte, out, &n);
            break;
        case KL_TELNET_NEGOTIATE:
            negotiate(r, r->telnet.verb, r->telnet.option);
            if (!is_read(r))
                lost(r, UNREAD);
            break;
        case KL_TELNET_SUB:
            /* First deliver the bytes that came before this answer. */
            kl_link_rx(&r->base, out, n);
            n = 0;
            if (r->telnet.sub_size >= 2 && r->telnet.sub[0] == KL_TELNET_COM_PORT &&
                r->telnet.sub[1] >= KL_COM_SERVER)
                answered(r, (uint8_t)(r->telnet.sub[1] - KL_COM_SERVER), r->telnet.sub + 2,
                         r->telnet.sub_size - 2);
            break;
        }
    }
    kl_link_rx(&r->base, out, n);
}

static void lost(void *owner, const char *text)
{
    struct rfc2217_link *r = owner;
    uv_timer_stop(&r->timer);
    if (r->phase == READY)
        kl_link_lost(&r->base, text);
    else if (r->phase == ENDED)
        return;
    else if (text == UNREAD)
        fail_open(r, KL_OPEN_ERROR, text);
    else if (strstr(r->said, "in use")) /* ser2net's "Port already in use" */
        fail_open(r, KL_OPEN_BUSY, "the server says that the port is in use");
    else if (strstr(r->said, "open failure")) /* ser2net's "Device open failure" */
        fail_open(r, KL_OPEN_ABSENT, "the server can't open its device");
    else
        fail_open(r, KL_OPEN_ABSENT, "the server closed the connection at once (port in use?)");
    r->phase = ENDED;
}

/* ---- requests ---- */

static void write_data(struct rfc2217_link *r, const struct kl_link_op *op)
{
    struct kl_tcp_write *w = kl_tcp_write_new(2 * op->size, op->secret);
    if (w)
        w->size = kl_telnet_escape(w->data, op->data, op->size);
    if (w && kl_tcp_write(&r->tcp, w))
        kl_link_op_done(&r->base, true);
    else
        kl_link_lost(&r->base, CANT_SEND);
}

static void begin(struct kl_link *link, struct kl_link_op *op)
{
    struct rfc2217_link *r = (struct rfc2217_link *)link;
    struct batch b = {.size = 0};
    switch (op->kind) {
    case KL_IO_WRITE:
        write_data(r, op);
        return;
    case KL_IO_LINES:
        add_lines(r, &b, op->dtr, op->rts);
        break;
    case KL_IO_BAUD:
        add_baud(r, &b, op->baud);
        break;
    }
    begin_waiting(r, &b);
}

/* ---- life ---- */

static void open_link(struct kl_link *link)
{
    struct rfc2217_link *r = (struct rfc2217_link *)link;
    kl_tcp_open(&r->tcp, r->target.host, r->target.port);
}

static void part_closed(struct rfc2217_link *r)
{
    if (--r->open_parts == 0)
        kl_link_closed(&r->base);
}

static void timer_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void stream_closed(void *owner)
{
    part_closed(owner);
}

static void close_link(struct kl_link *link)
{
    struct rfc2217_link *r = (struct rfc2217_link *)link;
    r->phase = ENDED;
    uv_close((uv_handle_t *)&r->timer, timer_closed);
    kl_tcp_close(&r->tcp);
}

static const struct kl_link_class class = {.open = open_link, .begin = begin, .close = close_link};

static const struct kl_tcp_events stream_events = {
    .opened = opened, .rx = rx, .drained = drained, .lost = lost, .closed = stream_closed};

struct kl_link *kl_link_rfc2217_create(uv_loop_t *loop, const struct kl_net_target *target,
                                       uint32_t baud, const struct kl_link_events *events,
                                       void *ctx)
{
    struct rfc2217_link *r = kl_link_new(sizeof *r, &class, loop, events, ctx);
    if (!r)
        return NULL;
    kl_tcp_init(&r->tcp, loop, &stream_events, r);
    kl_telnet_init(&r->telnet);
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    r->open_parts = 2;
    r->target = *target;
    r->baud = baud;
    r->mute[KL_COM_SET_CONTROL] = target->ign_set_control;
    return &r->base;
}
