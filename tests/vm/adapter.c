/*
 * adapter.c: the kernel's USB/IP protocol (Documentation/usb/usbip_protocol.rst) and four adapters'
 * vendor requests, as the drivers cp210x, ch341, ftdi_sio and cdc_acm of kernel 6.1 send them.
 */
#include "adapter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CMD_SUBMIT = 1,
    CMD_UNLINK = 2,
    RET_SUBMIT = 3,
    RET_UNLINK = 4,
    DIRECTION_IN = 1,
    FULL_SPEED = 2,
    HEADER = 48,
    TRANSFER_MAX = 1 << 16,
    WAITING_MAX = 64,
    SILENT = -1, /* a stalled control request */
};

#define HUB "/sys/devices/platform/vhci_hcd.0/"

/* A transfer that waits for something to say. */
struct waiting {
    uint32_t seqnum, size, endpoint;
};

struct request {
    uint8_t type, request;
    uint16_t value, index, size;
    const uint8_t *data; /* of an OUT request */
};

struct adapter {
    const struct model *model;
    struct kl_vboard *board;
    char serial[32];
    unsigned port;
    int fd;
    bool dtr, rts;
    bool enabled;           /* its UART: what a board says to a disabled one is lost */
    uint8_t divisor[2];     /* CH340 */
    uint8_t line_coding[7]; /* CDC-ACM */
    bool download;          /* the chip's next reset enters the loader */
    bool left;              /* the bus, as this chip does when it resets */
    kl_us release_at;       /* the reset ends; 0 = none */
    struct waiting waiting[WAITING_MAX];
    unsigned waiting_count;
    unsigned bytes_in, bytes_out; /* as the host sees it */
    uint32_t rate;
    uint8_t data[TRANSFER_MAX];
};

struct model {
    const char *word;
    uint16_t vid, pid, release;
    uint8_t device_class;
    const char *product;
    const uint8_t *config;
    size_t config_size;
    size_t prefix; /* status bytes before each 64-byte packet's data */
    /* Answers a class or vendor request: bytes of `out`, or SILENT. */
    int (*control)(struct adapter *a, const struct request *r, uint8_t *out);
};

kl_us adapter_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (kl_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void set_lines(struct adapter *a, bool dtr, bool rts)
{
    a->dtr = dtr;
    a->rts = rts;
    kl_vboard_lines(a->board, dtr, rts, adapter_now());
}

static void set_rate(struct adapter *a, uint32_t rate)
{
    a->rate = rate;
    kl_vboard_baud(a->board, rate, adapter_now());
}

static uint32_t get_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- CP2102N ----------------------------------------------------------------------------------
 */

static int cp2102n(struct adapter *a, const struct request *r, uint8_t *out)
{
    enum {
        IFC_ENABLE = 0x00,
        GET_LINE_CTL = 0x04,
        SET_MHS = 0x07,
        GET_MDMSTS = 0x08,
        SET_BAUDRATE = 0x1e,
        VENDOR = 0xff,
        GET_PARTNUM = 0x370b,
        GET_FW_VER = 0x0010,
        READ_CONFIG = 0x000e,
    };
    if (r->request == IFC_ENABLE)
        a->enabled = r->value != 0;
    else if (r->request == SET_BAUDRATE && r->size >= 4)
        set_rate(a, get_le32(r->data));
    else if (r->request == SET_MHS)
        set_lines(a, r->value & 0x100 ? r->value & 1 : a->dtr,
                  r->value & 0x200 ? (r->value & 2) != 0 : a->rts);
    else if (r->request == GET_MDMSTS)
        out[0] = (uint8_t)(a->dtr | a->rts << 1 | 0x30); /* CTS and DSR are on */
    else if (r->request == GET_LINE_CTL)
        out[1] = 8;
    else if (r->request == VENDOR && r->value == GET_PARTNUM)
        out[0] = 0x20; /* CP2102N, QFN28 */
    else if (r->request == VENDOR && r->value == GET_FW_VER)
        memcpy(out, "\x01\x00\x08", 3);
    else if (r->request == VENDOR && r->value == READ_CONFIG)
        return SILENT; /* no GPIO chip is wanted */
    return r->size;
}

/* ---- CH340 ------------------------------------------------------------------------------------
 */

static void ch340_rate(struct adapter *a)
{
    /* Divisor and prescaler as ch341_get_divisor makes them. */
    unsigned ps = a->divisor[0] & 3, fact = a->divisor[0] >> 2 & 1, div = 0x100u - a->divisor[1];
    set_rate(a, 48000000u / ((1u << (12 - 3 * ps - fact)) * div));
}

static int ch340(struct adapter *a, const struct request *r, uint8_t *out)
{
    enum {
        READ_VERSION = 0x5f,
        READ_REGISTER = 0x95,
        WRITE_REGISTER = 0x9a,
        SERIAL_INIT = 0xa1,
        MODEM_CONTROL = 0xa4,
        DIVISOR = 0x1312,
    };
    if (r->request == READ_VERSION)
        out[0] = 0x31;
    else if (r->request == READ_REGISTER && r->value == 0x0706)
        out[0] = 0x9f; /* modem status is inverted */
    else if (r->request == MODEM_CONTROL)
        set_lines(a, (~r->value & 0x20) != 0, (~r->value & 0x40) != 0);
    else if (r->request == SERIAL_INIT)
        a->enabled = true;
    else if (r->request == WRITE_REGISTER && r->value == DIVISOR) {
        a->divisor[0] = (uint8_t)r->index;
        a->divisor[1] = (uint8_t)(r->index >> 8);
        ch340_rate(a);
    }
    return r->size;
}

/* ---- FT232R -----------------------------------------------------------------------------------
 */

static uint32_t ftdi_rate(uint32_t divisor)
{
    static const uint8_t eighths[8] = {0, 4, 2, 1, 3, 5, 6, 7};
    if (divisor <= 1)
        return divisor == 0 ? 3000000 : 2000000;
    return 24000000 / ((divisor & 0x3fff) * 8 + eighths[divisor >> 14 & 7]);
}

static int ft232r(struct adapter *a, const struct request *r, uint8_t *out)
{
    enum {
        RESET = 0,
        MODEM_CONTROL = 1,
        SET_RATE = 3,
        GET_MODEM_STATUS = 5,
        GET_LATENCY = 10,
    };
    if (r->request == RESET)
        a->enabled = true;
    else if (r->request == MODEM_CONTROL)
        set_lines(a, r->value & 0x100 ? r->value & 1 : a->dtr,
                  r->value & 0x200 ? (r->value & 2) != 0 : a->rts);
    else if (r->request == SET_RATE)
        set_rate(a, ftdi_rate(r->value | (uint32_t)r->index << 16));
    else if (r->request == GET_MODEM_STATUS)
        memcpy(out, "\x31\x60", 2);
    else if (r->request == GET_LATENCY)
        out[0] = 16;
    return r->size;
}

/* ---- USB-Serial/JTAG --------------------------------------------------------------------------
 */

/* No transistors here: DTR alone asks for the loader, both off take that back, RTS alone
   resets, both do nothing; a reset takes it off the bus (docs/esp-serial-protocol.md 5.3). */
static void jtag_lines(struct adapter *a, bool dtr, bool rts)
{
    bool was_reset = a->rts && !a->dtr;
    a->dtr = dtr;
    a->rts = rts;
    if (!rts)
        a->download = dtr;
    if (!rts || dtr || was_reset)
        return;
    kl_us now = adapter_now();
    kl_vboard_lines(a->board, false, true, now);
    a->release_at = now + KL_MS(5);
}

static void jtag_release(struct adapter *a, kl_us now)
{
    if (a->release_at == 0 || now < a->release_at)
        return;
    a->release_at = 0;
    a->left = true;
    kl_vboard_lines(a->board, a->download, false, now);
}

static int jtag(struct adapter *a, const struct request *r, uint8_t *out)
{
    enum {
        SET_LINE_CODING = 0x20,
        GET_LINE_CODING = 0x21,
        SET_LINES = 0x22,
    };
    if (r->request == SET_LINE_CODING && r->size >= 7) {
        memcpy(a->line_coding, r->data, 7);
        set_rate(a, get_le32(r->data));
    } else if (r->request == GET_LINE_CODING) {
        memcpy(out, a->line_coding, 7);
    } else if (r->request == SET_LINES) {
        a->enabled = true;
        jtag_lines(a, r->value & 1, (r->value & 2) != 0);
    } else if ((r->type & 0x80) == 0) {
        return SILENT; /* break */
    }
    return r->size;
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

/* clang-format off */
#define CONFIG(size, interfaces) 9, 2, size, 0, interfaces, 1, 0, 0x80, 50
#define INTERFACE(n, endpoints, class, subclass, protocol) \
    9, 4, n, 0, endpoints, class, subclass, protocol, 0
#define ENDPOINT(address, type, size) 7, 5, address, type, size, 0, type == 3 ? 1 : 0
static const uint8_t bulk_pair[] = {
    CONFIG(32, 1), INTERFACE(0, 2, 0xff, 0, 0), ENDPOINT(0x81, 2, 64), ENDPOINT(0x02, 2, 64)};
static const uint8_t bulk_pair_and_status[] = {
    CONFIG(39, 1), INTERFACE(0, 3, 0xff, 1, 2), ENDPOINT(0x82, 2, 32), ENDPOINT(0x02, 2, 32),
    ENDPOINT(0x81, 3, 8)};
static const uint8_t cdc_acm[] = {
    CONFIG(75, 2), 8, 11, 0, 2, 2, 2, 0, 0, INTERFACE(0, 1, 2, 2, 0),
    5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, 1, 4, 0x24, 2, 2, 5, 0x24, 6, 0, 1,
    ENDPOINT(0x83, 3, 64), INTERFACE(1, 2, 10, 0, 0), ENDPOINT(0x01, 2, 64),
    ENDPOINT(0x81, 2, 64)};
/* clang-format on */

static const struct model models[ADAPTER_KINDS] = {
    {"cp2102n", 0x10c4, 0xea60, 0x0100, 0, "CP2102N USB to UART Bridge Controller", bulk_pair,
     sizeof bulk_pair, 0, cp2102n},
    {"ch340", 0x1a86, 0x7523, 0x0264, 0xff, "USB Serial", bulk_pair_and_status,
     sizeof bulk_pair_and_status, 0, ch340},
    {"ft232r", 0x0403, 0x6001, 0x0600, 0, "FT232R USB UART", bulk_pair, sizeof bulk_pair, 2,
     ft232r},
    {"jtag", 0x303a, 0x1001, 0x0101, 0xef, "USB JTAG/serial debug unit", cdc_acm, sizeof cdc_acm, 0,
     jtag},
};

bool adapter_kind_of(const char *word, enum adapter_kind *out)
{
    for (unsigned i = 0; i < ADAPTER_KINDS; i++)
        if (strcmp(models[i].word, word) == 0) {
            *out = (enum adapter_kind)i;
            return true;
        }
    return false;
}

static int device_descriptor(const struct model *m, uint8_t *out)
{
    bool composite = m->device_class == 0xef;
    const uint8_t device[18] = {18,
                                1,
                                0x00,
                                0x02,
                                m->device_class,
                                composite ? 2 : 0,
                                composite ? 1 : 0,
                                64,
                                (uint8_t)m->vid,
                                (uint8_t)(m->vid >> 8),
                                (uint8_t)m->pid,
                                (uint8_t)(m->pid >> 8),
                                (uint8_t)m->release,
                                (uint8_t)(m->release >> 8),
                                1,
                                2,
                                3,
                                1};
    memcpy(out, device, sizeof device);
    return sizeof device;
}

static int string_descriptor(const struct adapter *a, unsigned index, uint8_t *out)
{
    const char *texts[] = {NULL, "The bench", a->model->product, a->serial};
    out[1] = 3;
    if (index == 0) {
        memcpy(out, "\x04\x03\x09\x04", 4);
        return 4;
    }
    if (index >= sizeof texts / sizeof texts[0])
        return SILENT;
    size_t n = strlen(texts[index]);
    for (size_t i = 0; i < n; i++) {
        out[2 + 2 * i] = (uint8_t)texts[index][i];
        out[3 + 2 * i] = 0;
    }
    out[0] = (uint8_t)(2 + 2 * n);
    return out[0];
}

static int standard(struct adapter *a, const struct request *r, uint8_t *out)
{
    enum {
        GET_DESCRIPTOR = 6,
        DEVICE = 1,
        CONFIGURATION = 2,
        STRING = 3,
    };
    if (r->request != GET_DESCRIPTOR)
        return r->size;
    switch (r->value >> 8) {
    case DEVICE:
        return device_descriptor(a->model, out);
    case CONFIGURATION:
        memcpy(out, a->model->config, a->model->config_size);
        return (int)a->model->config_size;
    case STRING:
        return string_descriptor(a, r->value & 0xff, out);
    default:
        return SILENT;
    }
}

/* ---- transfers --------------------------------------------------------------------------------
 */

static void put(uint8_t *header, unsigned word, uint32_t value)
{
    value = htonl(value);
    memcpy(header + 4 * word, &value, 4);
}

static uint32_t get(const uint8_t *header, unsigned word)
{
    uint32_t value;
    memcpy(&value, header + 4 * word, 4);
    return ntohl(value);
}

/* A kernel that has gone is met by the next read. */
static void send_all(struct adapter *a, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(a->fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

static bool receive_all(struct adapter *a, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(a->fd, data, size, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* `data` NULL: an OUT transfer, of which `size` bytes were taken. */
static void answer(struct adapter *a, uint32_t command, uint32_t seqnum, int status,
                   const uint8_t *data, size_t size)
{
    uint8_t header[HEADER] = {0};
    put(header, 0, command);
    put(header, 1, seqnum);
    put(header, 5, (uint32_t)status);
    put(header, 6, (uint32_t)size);
    send_all(a, header, sizeof header);
    if (data != NULL)
        send_all(a, data, size);
}

static void control(struct adapter *a, uint32_t seqnum, const uint8_t *setup, const uint8_t *data)
{
    struct request r = {setup[0],
                        setup[1],
                        (uint16_t)(setup[2] | setup[3] << 8),
                        (uint16_t)(setup[4] | setup[5] << 8),
                        (uint16_t)(setup[6] | setup[7] << 8),
                        data};
    uint8_t out[TRANSFER_MAX] = {0};
    bool in = (r.type & 0x80) != 0;
    int n = (r.type & 0x60) == 0 ? standard(a, &r, out) : a->model->control(a, &r, out);
    if (n == SILENT)
        answer(a, RET_SUBMIT, seqnum, -EPIPE, NULL, 0);
    else
        answer(a, RET_SUBMIT, seqnum, 0, in ? out : NULL, n < r.size ? (size_t)n : r.size);
}

static void submit(struct adapter *a, const uint8_t *header)
{
    uint32_t seqnum = get(header, 1), endpoint = get(header, 4), size = get(header, 6);
    if (endpoint == 0) {
        control(a, seqnum, header + 40, a->data);
    } else if (get(header, 3) != DIRECTION_IN) {
        kl_vboard_rx(a->board, a->data, size, adapter_now());
        a->bytes_out += size;
        answer(a, RET_SUBMIT, seqnum, 0, NULL, size);
    } else if (a->waiting_count < WAITING_MAX) {
        a->waiting[a->waiting_count++] = (struct waiting){seqnum, size, endpoint};
    } else {
        answer(a, RET_SUBMIT, seqnum, -EPIPE, NULL, 0);
    }
}

static void forget(struct adapter *a, unsigned i)
{
    a->waiting_count--;
    memmove(&a->waiting[i], &a->waiting[i + 1], (a->waiting_count - i) * sizeof a->waiting[0]);
}

static void unlink_transfer(struct adapter *a, const uint8_t *header)
{
    uint32_t victim = get(header, 5);
    int status = 0; /* it was answered before */
    for (unsigned i = 0; i < a->waiting_count; i++)
        if (a->waiting[i].seqnum == victim) {
            forget(a, i);
            status = -ECONNRESET;
            break;
        }
    answer(a, RET_UNLINK, get(header, 1), status, NULL, 0);
}

bool adapter_read(struct adapter *a)
{
    uint8_t header[HEADER];
    if (!receive_all(a, header, sizeof header))
        return false;
    uint32_t command = get(header, 0);
    if (command == CMD_UNLINK) {
        unlink_transfer(a, header);
        return true;
    }
    if (command != CMD_SUBMIT || get(header, 6) > TRANSFER_MAX)
        return false;
    if (get(header, 3) != DIRECTION_IN && !receive_all(a, a->data, get(header, 6)))
        return false;
    submit(a, header);
    return true;
}

/* The transfer that waits for the board's bytes: not the one for changes of the modem lines. */
static int waiting_for_data(const struct adapter *a)
{
    uint32_t endpoint = a->model->config == bulk_pair_and_status ? 2 : 1;
    for (unsigned i = 0; i < a->waiting_count; i++)
        if (a->waiting[i].endpoint == endpoint)
            return (int)i;
    return -1;
}

void adapter_tick(struct adapter *a)
{
    uint8_t out[4096];
    kl_us now = adapter_now();
    jtag_release(a, now);
    kl_vboard_tick(a->board, now);
    for (;;) {
        int i = a->enabled ? waiting_for_data(a) : -1;
        if (a->enabled && i < 0)
            return;
        size_t prefix = a->model->prefix, room = i >= 0 ? a->waiting[i].size : sizeof out;
        if (prefix > 0 || room > sizeof out)
            room = prefix > 0 ? 64 : sizeof out;
        memcpy(out, "\x31\x60", 2);
        size_t n = kl_vboard_tx(a->board, out + prefix, room - prefix, now);
        if (n == 0)
            return;
        if (i < 0)
            continue;
        a->bytes_in += (unsigned)n;
        uint32_t seqnum = a->waiting[i].seqnum;
        forget(a, (unsigned)i);
        answer(a, RET_SUBMIT, seqnum, 0, out, n + prefix);
    }
}

/* ---- plugging ---------------------------------------------------------------------------------
 */

static bool tell_hub(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n > 0;
}

/* vhci_hcd leaves a port enabled when its device goes. Plugged again before the kernel has looked,
   a device like the one before would be taken for it, with nothing of it set up; no real hub does
   that. */
static bool is_noticed(unsigned port)
{
    char path[64];
    kl_format(path, sizeof path, "/sys/bus/usb/devices/1-%u", port + 1);
    return access(path, F_OK) != 0;
}

struct adapter *adapter_plug(enum adapter_kind kind, const char *serial, unsigned port,
                             struct kl_vboard *board)
{
    int pair[2];
    char text[64];
    if (!is_noticed(port) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return NULL;
    kl_format(text, sizeof text, "%u %d %u %d", port, pair[1], (1u << 16) + port + 1, FULL_SPEED);
    bool taken = tell_hub(HUB "attach", text);
    close(pair[1]); /* the kernel keeps its own */
    struct adapter *a = taken ? calloc(1, sizeof *a) : NULL;
    if (a == NULL) {
        close(pair[0]);
        return NULL;
    }
    a->model = &models[kind];
    a->board = board;
    a->port = port;
    a->fd = pair[0];
    kl_copy(a->serial, sizeof a->serial, serial);
    kl_vboard_power(board, true, adapter_now());
    if (kind != ADAPTER_JTAG)
        set_lines(a, false, false);
    return a;
}

bool adapter_left(const struct adapter *a)
{
    return a->left;
}

void adapter_unplug(struct adapter *a, bool power)
{
    char text[16];
    kl_format(text, sizeof text, "%u", a->port);
    tell_hub(HUB "detach", text);
    kl_vboard_power(a->board, power, adapter_now());
    close(a->fd);
    free(a);
}

int adapter_fd(const struct adapter *a)
{
    return a->fd;
}

void adapter_describe(const struct adapter *a, char *out, size_t size)
{
    kl_format(out, size, "%s %s, DTR %d, RTS %d, %u baud, %u bytes in, %u out, %u transfers wait",
              a->model->word, a->enabled ? "open" : "not open", a->dtr, a->rts, (unsigned)a->rate,
              a->bytes_in, a->bytes_out, a->waiting_count);
}
