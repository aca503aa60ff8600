/* ports.c: see keyline/ports.h. */
#include "keyline/ports.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ports_private.h"

enum {
    ANY = -1,
    LISTED_MAX = 512,
};

/* docs/esp-serial-protocol.md 5.4; the first match counts. */
static const struct known_id {
    int vid, pid, interface;
    enum kl_link_kind link;
    const char *what;
    bool board;
} known_ids[] = {
    {0x303a, 0x1001, ANY, KL_LINK_USB_JTAG, "ESP built-in USB-Serial/JTAG", true},
    {0x303a, 0x0002, ANY, KL_LINK_USB_OTG, "ESP32-S2 loader on USB", true},
    {0x303a, 0x0009, ANY, KL_LINK_USB_OTG, "ESP32-S3 loader on USB", true},
    {0x303a, 0x0012, ANY, KL_LINK_USB_OTG, "ESP32-P4 loader on USB", true},
    {0x303a, 0x1002, ANY, KL_LINK_SERIAL, "Espressif USB bridge", true},
    {0x303a, ANY, ANY, KL_LINK_USB_OTG, "ESP program's own USB port", true},
    {0x10c4, 0xea60, ANY, KL_LINK_SERIAL, "CP210x bridge", true},
    {0x10c4, 0xea63, ANY, KL_LINK_SERIAL, "CP210x bridge", true},
    {0x10c4, 0xea70, ANY, KL_LINK_SERIAL, "CP2105 double bridge", true},
    {0x10c4, 0xea71, ANY, KL_LINK_SERIAL, "CP2108 fourfold bridge", true},
    {0x1a86, 0x7523, ANY, KL_LINK_SERIAL, "CH340 bridge", true},
    {0x1a86, 0x7522, ANY, KL_LINK_SERIAL, "CH340K bridge", true},
    {0x1a86, 0x5523, ANY, KL_LINK_SERIAL, "CH341 bridge", true},
    {0x1a86, 0x55d3, ANY, KL_LINK_SERIAL, "CH343 bridge", true},
    {0x1a86, 0x55d4, ANY, KL_LINK_SERIAL, "CH9102 bridge", true},
    {0x1a86, 0x55d2, ANY, KL_LINK_SERIAL, "CH9104 bridge", true},
    {0x1a86, 0x55d5, ANY, KL_LINK_SERIAL, "CH344 bridge", true},
    {0x1a86, 0x55d8, ANY, KL_LINK_SERIAL, "CH9101 bridge", true},
    {0x0403, 0x6001, ANY, KL_LINK_SERIAL, "FT232R bridge", true},
    {0x0403, 0x6010, 0, KL_LINK_SERIAL,
     "first half of an FT2232: JTAG; the second is the board's UART", false},
    {0x0403, 0x6010, ANY, KL_LINK_SERIAL, "FT2232 bridge", true},
    {0x0403, 0x6011, ANY, KL_LINK_SERIAL, "FT4232 bridge", true},
    {0x0403, 0x6014, ANY, KL_LINK_SERIAL, "FT232H bridge", true},
    {0x0403, 0x6015, ANY, KL_LINK_SERIAL, "FT-X bridge", true},
    {0x067b, 0x2303, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23a3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23b3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23c3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23d3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23e3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
    {0x067b, 0x23f3, ANY, KL_LINK_SERIAL, "PL2303 bridge", true},
};

bool kl_ports_known(uint16_t vid, uint16_t pid, int interface, enum kl_link_kind *kind,
                    const char **what)
{
    for (size_t i = 0; i < sizeof known_ids / sizeof known_ids[0]; i++) {
        const struct known_id *k = &known_ids[i];
        if (k->vid != vid || (k->pid != ANY && k->pid != pid) ||
            (k->interface != ANY && k->interface != interface))
            continue;
        *kind = k->link;
        *what = k->what;
        return k->board;
    }
    *kind = KL_LINK_SERIAL;
    *what = NULL;
    return false;
}

bool kl_ports_parse_id(const char *text, uint32_t *id)
{
    for (unsigned i = 0; i < 9; i++)
        if (i == 4 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
            return false;
    *id = (uint32_t)strtoul(text, NULL, 16) << 16 | (uint32_t)strtoul(text + 5, NULL, 16);
    return text[9] == '\0';
}

/* ---- rules ---- */

/* `name` is a topology, a path, or a link to one ("/dev/serial/by-id/…"). */
static bool is_named(const struct kl_port_info *port, const char *name)
{
    char real[PATH_MAX];
    if (strcmp(name, port->path) == 0)
        return true;
    if (name[0] != '/')
        return port->topology[0] != '\0' && strcmp(name, port->topology) == 0;
    return realpath(name, real) && strcmp(real, port->path) == 0;
}

static bool is_any_of(const struct kl_port_info *port, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_named(port, names[i]))
            return true;
    return false;
}

static bool is_extra(const struct kl_port_info *port, const struct kl_port_rules *rules)
{
    uint32_t id = (uint32_t)port->vid << 16 | port->pid;
    for (unsigned i = 0; i < rules->extra_id_count; i++)
        if (rules->extra_ids[i] == id)
            return port->topology[0] != '\0';
    return false;
}

static void decide(struct kl_port_info *port, bool usable, const char *why)
{
    port->usable = usable;
    kl_copy(port->why, sizeof port->why, why);
}

void kl_ports_judge(struct kl_port_info *port, int interface, const struct kl_port_rules *rules)
{
    const char *what;
    bool known = kl_ports_known(port->vid, port->pid, interface, &port->link, &what);
    if (is_any_of(port, rules->exclude, rules->exclude_count))
        decide(port, false, "excluded");
    else if (is_any_of(port, rules->only, rules->only_count))
        decide(port, true, what ? what : "named with --port");
    else if (rules->only_count > 0)
        decide(port, false, "other ports are named with --port");
    else if (known)
        decide(port, true, what);
    else if (is_extra(port, rules))
        decide(port, true, what ? what : "added with --usb-id");
    else if (what)
        decide(port, false, what);
    else if (port->topology[0] == '\0')
        decide(port, false, "not USB: used only if named with --port");
    else {
        port->usable = false;
        kl_format(port->why, sizeof port->why,
                  "not an ESP board or a usual bridge (--usb-id %04x:%04x adds it)", port->vid,
                  port->pid);
    }
}

/* ---- the list ---- */

int kl_place_compare(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *a_end, *b_end;
            unsigned long x = strtoul(a, &a_end, 10), y = strtoul(b, &b_end, 10);
            if (x != y)
                return x < y ? -1 : 1;
            a = a_end;
            b = b_end;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != '\0') - (*b != '\0');
}

int kl_ports_compare(const struct kl_port_info *a, const struct kl_port_info *b)
{
    bool a_usb = a->topology[0] != '\0', b_usb = b->topology[0] != '\0';
    if (a_usb != b_usb)
        return a_usb ? -1 : 1;
    int order = kl_place_compare(a->topology, b->topology);
    return order != 0 ? order : kl_place_compare(a->path, b->path);
}

static int compare_items(const void *a, const void *b)
{
    return kl_ports_compare(a, b);
}

int kl_ports_list_at(const char *sysfs, struct kl_port_info *out, int capacity,
                     const struct kl_port_rules *rules)
{
    char folder[PATH_MAX];
    kl_format(folder, sizeof folder, "%s/class/tty", sysfs);
    struct kl_port_info *all = malloc(LISTED_MAX * sizeof *all);
    DIR *dir = opendir(folder);
    int count = all && dir ? 0 : -1;
    struct dirent *e;
    while (count >= 0 && count < LISTED_MAX && (e = readdir(dir))) {
        int interface;
        if (e->d_name[0] == '.' || !kl_ports_read_sysfs(sysfs, e->d_name, &all[count], &interface))
            continue;
        kl_ports_judge(&all[count], interface, rules);
        count++;
    }
    if (count > 0) {
        qsort(all, (size_t)count, sizeof *all, compare_items);
        memcpy(out, all, (size_t)(count < capacity ? count : capacity) * sizeof *all);
    }
    if (dir)
        closedir(dir);
    free(all);
    return count;
}

int kl_ports_list(struct kl_port_info *out, int capacity, const struct kl_port_rules *rules)
{
    return kl_ports_list_at("/sys", out, capacity, rules);
}
