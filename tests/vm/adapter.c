/*
 * adapter.c: the kernel's USB/IP protocol (Documentation/usb/usbip_protocol.rst): transfers on one
 * side, a virtual board on the other, and the virtual hub's sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "usb.h"

enum {
    CMD_SUBMIT = 1,
    CMD_UNLINK = 2,
    RET_SUBMIT = 3,
    RET_UNLINK = 4,
    DIRECTION_IN = 1,
    FULL_SPEED = 2,
    HEADER = 48,
    PACKET = 64,
    QUIET_MS = 30,
    GONE_MS = 5000, /* bounds a kernel that does not let go */
};

#define HUB "/sys/devices/platform/vhci_hcd.0/"

static const struct model *const models[ADAPTER_KINDS] = {
    [ADAPTER_CP2102N] = &usb_cp2102n,
    [ADAPTER_CH340] = &usb_ch340,
    [ADAPTER_FT232R] = &usb_ft232r,
    [ADAPTER_JTAG] = &usb_jtag,
};

kl_us adapter_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (kl_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool adapter_kind_of(const char *word, enum adapter_kind *out)
{
    for (unsigned i = 0; i < ADAPTER_KINDS; i++)
        if (strcmp(models[i]->word, word) == 0) {
            *out = (enum adapter_kind)i;
            return true;
        }
    return false;
}

/* ---- transfers ---- */

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
    int n = usb_control(a, &r, out);
    if (n == STALLED)
        answer(a, RET_SUBMIT, seqnum, -EPIPE, NULL, 0);
    else
        answer(a, RET_SUBMIT, seqnum, 0, in ? out : NULL, n < r.size ? (size_t)n : r.size);
}

static void keep_waiting(struct adapter *a, uint32_t seqnum, uint32_t size, uint32_t endpoint,
                         bool in)
{
    if (a->waiting_count < WAITING_MAX)
        a->waiting[a->waiting_count++] = (struct waiting){seqnum, size, endpoint, in};
    else
        answer(a, RET_SUBMIT, seqnum, -EPIPE, NULL, 0);
}

/* A line for the firmware arrives in two halves, so that a plug can be pulled between them. */
static void pass_input(struct adapter *a, size_t size)
{
    enum phase before = a->watch.now;
    phase_heard(&a->watch, a->data, size);
    bool line = a->watch.now == PHASE_HANDOVER && before != PHASE_HANDOVER;
    a->rest_at = line ? size / 2 : size;
    a->rest = size - a->rest_at;
    a->bytes_out += (unsigned)size;
    kl_vboard_rx(a->board, a->data, a->rest_at, adapter_now());
}

static void pass_rest(struct adapter *a)
{
    if (a->rest > 0)
        kl_vboard_rx(a->board, a->data + a->rest_at, a->rest, adapter_now());
    a->rest = 0;
}

static void submit(struct adapter *a, const uint8_t *header)
{
    uint32_t seqnum = get(header, 1), endpoint = get(header, 4), size = get(header, 6);
    bool in = get(header, 3) == DIRECTION_IN;
    if (a->frozen || (endpoint != 0 && in)) {
        keep_waiting(a, seqnum, size, endpoint, in);
    } else if (endpoint == 0) {
        control(a, seqnum, header + 40, a->data);
    } else {
        pass_input(a, size);
        answer(a, RET_SUBMIT, seqnum, 0, NULL, size);
    }
}

static void forget(struct adapter *a, unsigned i)
{
    a->waiting_count--;
    memmove(&a->waiting[i], &a->waiting[i + 1], (a->waiting_count - i) * sizeof a->waiting[0]);
}

/* The host controller's business: a frozen device does not keep it from that. */
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
    pass_rest(a);
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
    for (unsigned i = 0; i < a->waiting_count; i++)
        if (a->waiting[i].in && a->waiting[i].endpoint == a->model->data_endpoint)
            return (int)i;
    return -1;
}

/* What the board says while nobody listens is lost. */
static void drop_output(struct adapter *a, kl_us now)
{
    uint8_t out[PACKET];
    while (kl_vboard_tx(a->board, out, sizeof out, now) > 0)
        ;
}

static void pass_output(struct adapter *a, kl_us now)
{
    uint8_t out[4096] = "\x31\x60";
    size_t prefix = a->model->prefix;
    for (int i; (i = waiting_for_data(a)) >= 0;) {
        size_t room = prefix > 0 ? PACKET : sizeof out;
        if (room > a->waiting[i].size)
            room = a->waiting[i].size;
        size_t n = kl_vboard_tx(a->board, out + prefix, room - prefix, now);
        if (n == 0)
            return;
        a->bytes_in += (unsigned)n;
        uint32_t seqnum = a->waiting[i].seqnum;
        forget(a, (unsigned)i);
        answer(a, RET_SUBMIT, seqnum, 0, out, n + prefix);
    }
}

void adapter_tick(struct adapter *a)
{
    kl_us now = adapter_now();
    if (a->model->tick != NULL)
        a->model->tick(a, now);
    pass_rest(a);
    kl_vboard_tick(a->board, now);
    if (kl_vboard_store_count(a->board) != a->stores) {
        a->stores = kl_vboard_store_count(a->board);
        phase_stored(&a->watch);
    }
    if (!a->enabled)
        drop_output(a, now);
    else if (!a->frozen)
        pass_output(a, now);
}

/* ---- plugging ---- */

void adapter_place(unsigned socket, char out[PLACE_TEXT])
{
    /* Each controller has one bus for its sockets here, and one for super speed. */
    kl_format(out, PLACE_TEXT, "%u-%u", 1 + socket / CONTROLLER_SOCKETS * 2,
              1 + socket % CONTROLLER_SOCKETS);
}

static unsigned hub_port(unsigned socket)
{
    return socket / CONTROLLER_SOCKETS * 2 * CONTROLLER_SOCKETS + socket % CONTROLLER_SOCKETS;
}

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
static bool is_noticed(unsigned socket)
{
    char path[64], place[PLACE_TEXT];
    adapter_place(socket, place);
    kl_format(path, sizeof path, "/sys/bus/usb/devices/%s", place);
    return access(path, F_OK) != 0;
}

struct adapter *adapter_plug(enum adapter_kind kind, const char *serial, unsigned socket,
                             struct kl_vboard *board)
{
    int pair[2];
    char text[64];
    if (!is_noticed(socket) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return NULL;
    kl_format(text, sizeof text, "%u %d %u %d", hub_port(socket), pair[1], (1u << 16) + socket + 1,
              FULL_SPEED);
    bool taken = tell_hub(HUB "attach", text);
    close(pair[1]); /* the kernel keeps its own */
    struct adapter *a = taken ? calloc(1, sizeof *a) : NULL;
    if (a == NULL) {
        close(pair[0]);
        return NULL;
    }
    a->model = models[kind];
    a->board = board;
    a->socket = socket;
    a->fd = pair[0];
    a->latency = 16;
    a->stores = kl_vboard_store_count(board);
    kl_copy(a->serial, sizeof a->serial, serial);
    kl_vboard_power(board, true, adapter_now());
    if (!a->model->is_chip)
        usb_set_lines(a, false, false);
    return a;
}

bool adapter_left(const struct adapter *a)
{
    return a->left;
}

/* A host controller ends a device's transfers when it has gone. vhci_hcd lets control requests run
   into their time-outs, one after another, and a close wait 30 s for output to leave; its hub's
   thread waits for each. So they are all ended here, until the host asks nothing for so long, or
   closes the connection. */
static void end_requests(struct adapter *a, int quiet_ms)
{
    struct pollfd more = {.fd = a->fd, .events = POLLIN};
    a->frozen = true; /* what is asked from now on waits, and ends like this */
    do {
        for (unsigned i = a->waiting_count; i > 0; i--) {
            if (a->waiting[i - 1].endpoint != 0 && a->waiting[i - 1].in)
                continue;
            answer(a, RET_SUBMIT, a->waiting[i - 1].seqnum, -EPROTO, NULL, 0);
            forget(a, i - 1);
        }
    } while (poll(&more, 1, quiet_ms) == 1 && adapter_read(a));
}

void adapter_unplug(struct adapter *a, bool power)
{
    char text[16];
    a->rest = 0;
    end_requests(a, QUIET_MS);
    kl_format(text, sizeof text, "%u", hub_port(a->socket));
    tell_hub(HUB "detach", text);
    end_requests(a, GONE_MS);
    kl_vboard_power(a->board, power, adapter_now());
    close(a->fd);
    free(a);
}

void adapter_freeze(struct adapter *a)
{
    a->frozen = true;
}

/* ---- looking at it ---- */

int adapter_fd(const struct adapter *a)
{
    return a->fd;
}

enum phase adapter_phase(const struct adapter *a)
{
    return a->watch.now;
}

unsigned adapter_traffic(const struct adapter *a)
{
    return a->bytes_in + a->bytes_out;
}

unsigned adapter_latency(const struct adapter *a)
{
    return a->model == &usb_ft232r ? a->latency : 0;
}

void adapter_describe(const struct adapter *a, char *out, size_t size)
{
    kl_format(out, size,
              "%s %s%s, %s, DTR %d, RTS %d, %u baud, %u bytes in, %u out, %u transfers wait",
              a->model->word, a->enabled ? "open" : "not open", a->frozen ? ", frozen" : "",
              phase_name(a->watch.now), a->dtr, a->rts, (unsigned)a->rate, a->bytes_in,
              a->bytes_out, a->waiting_count);
}
