/* serial_system.c: the real operating system under the serial link (docs/serial.md). */
#include <asm/termbits.h> /* termios2, which takes any rate; excludes <termios.h> */
#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <linux/serial.h>
#include <linux/tty_flags.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "adapters/host/serial_holder.h"
#include "serial_ops.h"

static int set_lines(const struct kl_serial_device *d, bool dtr, bool rts)
{
    int bits;
    if (ioctl(d->fd, TIOCMGET, &bits) != 0)
        return -errno;
    bits &= ~(TIOCM_DTR | TIOCM_RTS);
    bits |= (dtr ? TIOCM_DTR : 0) | (rts ? TIOCM_RTS : 0);
    /* One call for both lines: a board must not see one of them move alone. */
    return ioctl(d->fd, TIOCMSET, &bits) == 0 ? 0 : -errno;
}

static int wait_sent(int fd)
{
    return ioctl(fd, TCSBRK, 1) == 0 ? 0 : -errno;
}

/* Adapters round: within 3% it is the same rate to a UART. */
static int check_rate(int fd, uint32_t baud)
{
    struct termios2 now;
    if (ioctl(fd, TCGETS2, &now) != 0)
        return -errno;
    uint32_t difference = now.c_ospeed > baud ? now.c_ospeed - baud : baud - now.c_ospeed;
    return difference <= baud / 33 ? 0 : -EINVAL;
}

static void put_rate(struct termios2 *t, uint32_t baud)
{
    t->c_cflag &= ~(tcflag_t)(CBAUD | CBAUD << IBSHIFT);
    t->c_cflag |= BOTHER | BOTHER << IBSHIFT;
    t->c_ispeed = baud;
    t->c_ospeed = baud;
}

/* We ask the kernel, because libserialport's own setter writes the modem lines as well. */
static int set_baud(const struct kl_serial_device *d, uint32_t baud)
{
    struct termios2 t;
    int error = wait_sent(d->fd);
    if (error != 0)
        return error;
    if (ioctl(d->fd, TCGETS2, &t) != 0)
        return -errno;
    put_rate(&t, baud);
    if (ioctl(d->fd, TCSETS2, &t) != 0)
        return -errno;
    return check_rate(d->fd, baud);
}

static int set_raw(int fd, uint32_t baud)
{
    struct termios2 t;
    if (ioctl(fd, TCGETS2, &t) != 0)
        return -errno;
    t.c_iflag = 0;
    t.c_oflag = 0;
    t.c_lflag = 0;
    /* -HUPCL: closing leaves the lines where we put them. */
    t.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | CSTOPB | CRTSCTS | HUPCL);
    t.c_cflag |= CS8 | CREAD | CLOCAL;
    /* With this, a read of 0 bytes can only mean that the device is gone. */
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    put_rate(&t, baud);
    if (ioctl(fd, TCSETS2, &t) != 0)
        return -errno;
    return check_rate(fd, baud);
}

/* FTDI adapters collect bytes for 16 ms otherwise; drivers without a timer ignore it. */
static bool set_low_latency(int fd, bool on)
{
    struct serial_struct info;
    if (ioctl(fd, TIOCGSERIAL, &info) != 0 || ((info.flags & ASYNC_LOW_LATENCY) != 0) == on)
        return false;
    info.flags ^= (int)ASYNC_LOW_LATENCY;
    return ioctl(fd, TIOCSSERIAL, &info) == 0;
}

/* ---- opening ---- */

static enum kl_open_result explain(const char *path, int error, char text[KL_TEXT_MAX], bool *again)
{
    enum kl_open_result result = KL_OPEN_ERROR;
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case EIO:
        result = KL_OPEN_ABSENT;
        *again = true;
        break;
    case EACCES:
    case EPERM:
        result = KL_OPEN_DENIED;
        *again = true; /* udev sets the rights after the node has appeared */
        break;
    case EBUSY:
    case EWOULDBLOCK:
        result = KL_OPEN_BUSY;
        break;
    default:
        break;
    }
    kl_format(text, KL_TEXT_MAX, "%s: %s", path, strerror(error));
    return result;
}

/* libserialport knows no pseudo-terminals. Tests use them, so we open them directly. 0 or errno. */
static int open_device(const char *path, struct kl_serial_device *out)
{
    struct sp_port *port;
    if (strncmp(path, "/dev/pts/", 9) == 0) {
        out->fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        return out->fd >= 0 ? 0 : errno;
    }
    enum sp_return status = sp_get_port_by_name(path, &port);
    if (status != SP_OK) /* SP_ERR_ARG: sysfs does not have it (yet) */
        return status == SP_ERR_ARG ? ENODEV : ENOMEM;
    status = sp_open(port, SP_MODE_READ_WRITE);
    if (status != SP_OK) {
        int error = status == SP_ERR_FAIL ? sp_last_error_code() : EINVAL;
        sp_close(port);
        sp_free_port(port);
        return error != 0 ? error : EIO;
    }
    sp_get_port_handle(port, &out->fd);
    fcntl(out->fd, F_SETFD, FD_CLOEXEC);
    out->port = port;
    return 0;
}

static void release(struct kl_serial_device *d)
{
    if (d->port) {
        sp_close(d->port);
        sp_free_port(d->port);
    } else {
        close(d->fd);
    }
    *d = (struct kl_serial_device){.fd = -1};
}

static void system_close(struct kl_serial_device *d)
{
    ioctl(d->fd, TCFLSH, TCIOFLUSH); /* else closing waits for the output */
    set_lines(d, false, false);
    if (d->low_latency)
        set_low_latency(d->fd, false);
    release(d);
}

static enum kl_open_result say_held(const char *path, char text[KL_TEXT_MAX])
{
    char holder[64];
    bool seen = kl_serial_holder(path, holder, sizeof holder);
    kl_format(text, KL_TEXT_MAX, "%s: held by %s", path, seen ? holder : "another program");
    return seen ? KL_OPEN_HELD : KL_OPEN_BUSY;
}

static enum kl_open_result system_open(const char *path, uint32_t baud,
                                       struct kl_serial_device *out, char text[KL_TEXT_MAX],
                                       bool *again)
{
    char holder[64];
    *out = (struct kl_serial_device){.fd = -1};
    char *real = realpath(path, NULL); /* /dev/serial/by-id/… */
    if (!real)
        return explain(path, errno, text, again);
    /* We look before opening: a second open raises both lines while the first owner works, and
       nothing stops root. */
    bool held = kl_serial_holder(real, holder, sizeof holder);
    int error = held ? EBUSY : open_device(real, out);
    if (error == 0 && (flock(out->fd, LOCK_EX | LOCK_NB) != 0 || ioctl(out->fd, TIOCEXCL) != 0)) {
        error = errno;
        release(out);
    }
    bool busy = error == EBUSY || error == EWOULDBLOCK;
    enum kl_open_result result = busy ? say_held(real, text) : KL_OPEN_OK;
    free(real);
    if (busy)
        return result;
    if (error != 0)
        return explain(path, error, text, again);
    /* Opening raised both lines. One call takes both back, which resets no board. */
    set_lines(out, false, false);
    error = set_raw(out->fd, baud);
    if (error == 0) {
        out->low_latency = set_low_latency(out->fd, true);
        ioctl(out->fd, TCFLSH, TCIOFLUSH);
        return KL_OPEN_OK;
    }
    release(out);
    if (error != -EINVAL)
        return explain(path, -error, text, again);
    kl_format(text, KL_TEXT_MAX, "%s: the driver refuses %u baud", path, (unsigned)baud);
    return KL_OPEN_ERROR;
}

static int unsent(int fd)
{
    int left = 0;
    return ioctl(fd, TIOCOUTQ, &left) == 0 ? left : 0;
}

const struct kl_serial_ops kl_serial_system = {.open = system_open,
                                               .lines = set_lines,
                                               .baud = set_baud,
                                               .close = system_close,
                                               .read = read,
                                               .write = write,
                                               .unsent = unsent};
