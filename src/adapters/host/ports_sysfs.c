/*
 * ports_sysfs.c: what the kernel says of a tty (docs/serial.md). keyline reads it here because
 * libserialport's list has no topology and opens on-board ports to see whether they exist.
 */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ports_private.h"

/* One attribute's text without its newline; "" if there is none. */
static void read_attribute(const char *folder, const char *name, char *out, size_t size)
{
    char path[PATH_MAX];
    out[0] = '\0';
    if (kl_format(path, sizeof path, "%s/%s", folder, name) + 1 >= sizeof path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    /* A descriptor can hold control characters, which must not reach a screen. */
    for (char *c = out; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
}

static uint16_t read_id(const char *folder, const char *name)
{
    char text[16];
    read_attribute(folder, name, text, sizeof text);
    return (uint16_t)strtoul(text, NULL, 16);
}

/* Whether a folder's name is a USB interface's: "1-1.4.2:1.0". */
static bool is_interface(const char *name)
{
    size_t n = strspn(name, "0123456789");
    if (n == 0 || name[n] != '-')
        return false;
    name += n + 1;
    n = strspn(name, "0123456789.");
    if (n == 0 || name[n] != ':')
        return false;
    name += n + 1;
    n = strspn(name, "0123456789");
    return n > 0 && name[n] == '.' && name[n + 1] != '\0' &&
           name[n + 1 + strspn(name + n + 1, "0123456789")] == '\0';
}

/* Cuts the last folder off and returns its name; NULL at the top. */
static const char *cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return NULL;
    *slash = '\0';
    return slash + 1;
}

static void read_driver(const char *device, char *out, size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    out[0] = '\0';
    if (kl_format(path, sizeof path, "%s/driver", device) + 1 >= sizeof path)
        return;
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    kl_copy(out, size, slash ? slash + 1 : target);
}

/* `path` is the tty's device: the USB interface (cdc-acm) or a port below it (usb-serial); the USB
   device is the folder above the interface. */
static void read_usb(char *path, unsigned port_number, struct kl_port_info *out, int *interface)
{
    const char *name;
    do {
        name = cut_last(path);
        if (!name)
            return;
    } while (!is_interface(name));
    const char *colon = strchr(name, ':');
    *interface = (int)strtol(strrchr(name, '.') + 1, NULL, 10);
    size_t n = (size_t)(colon - name);
    if (n >= sizeof out->topology)
        return;
    memcpy(out->topology, name, n);
    out->topology[n] = '\0';
    if (*interface > 0)
        n += kl_format(out->topology + n, sizeof out->topology - n, "%s", colon);
    if (port_number > 0)
        kl_format(out->topology + n, sizeof out->topology - n, "#%u", port_number);
    out->vid = read_id(path, "idVendor");
    out->pid = read_id(path, "idProduct");
    read_attribute(path, "serial", out->serial, sizeof out->serial);
    read_attribute(path, "manufacturer", out->manufacturer, sizeof out->manufacturer);
    read_attribute(path, "product", out->product, sizeof out->product);
}

bool kl_ports_read_sysfs(const char *sysfs, const char *tty, struct kl_port_info *out,
                         int *interface)
{
    char link[PATH_MAX], path[PATH_MAX], text[16];
    *out = (struct kl_port_info){.link = KL_LINK_SERIAL};
    *interface = 0;
    if (kl_format(link, sizeof link, "%s/class/tty/%s/device", sysfs, tty) + 1 >= sizeof link ||
        !realpath(link, path))
        return false; /* consoles and pseudo-terminals have no device */
    *strrchr(link, '/') = '\0';
    read_attribute(link, "type", text, sizeof text);
    if (strcmp(text, "0") == 0)
        return false; /* the 8250 driver makes more names than there are ports */
    kl_format(out->path, sizeof out->path, "/dev/%s", tty);
    read_driver(path, out->driver, sizeof out->driver);
    read_attribute(path, "port_number", text, sizeof text);
    read_usb(path, (unsigned)strtoul(text, NULL, 10), out, interface);
    return true;
}
