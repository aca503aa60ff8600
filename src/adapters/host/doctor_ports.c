/* doctor_ports.c: may this user open the boards' ports, and who else wants them? */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor_private.h"

enum {
    PORT_NAME = 24, /* "ttyUSB4294967295" */
};

void doctor_ports(struct doctor *d)
{
    char text[KL_TEXT_MAX];
    unsigned used = 0;
    for (int i = 0; i < d->port_count; i++)
        used += d->ports[i].usable;
    if (d->port_count < 0)
        doctor_tell(d, "ports", KL_UNKNOWN, "the kernel lists no serial ports", "");
    else if (used == 0)
        doctor_tell(d, "ports", KL_NOTE, "no board is plugged in",
                    "plug one in and look again; keyline ports tells what is there");
    else {
        kl_format(text, sizeof text, "%u ports would be used", used);
        doctor_tell(d, "ports", KL_FINE, text, "");
    }
}

/* ---- rights ---- */

/* Finds this group's line, like "dialout:x:20:pi", and its number. */
static bool find_group(const char *text, const char *name, unsigned long *number)
{
    size_t size = strlen(name);
    for (const char *line = text; line && *line != '\0';) {
        if (strncmp(line, name, size) == 0 && line[size] == ':') {
            const char *colon = strchr(line + size + 1, ':');
            *number = colon ? strtoul(colon + 1, NULL, 10) : 0;
            return colon;
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return false;
}

/* The list behind "Groups:" or "Uid:" in /proc/self/status holds this number. */
static bool status_has(const char *status, const char *field, unsigned long number)
{
    const char *at = strstr(status, field);
    if (!at)
        return false;
    at += strlen(field);
    while (*at != '\0' && *at != '\n') {
        if (!isdigit((unsigned char)*at)) {
            at++;
            continue;
        }
        char *end;
        if (strtoul(at, &end, 10) == number)
            return true;
        at = end;
    }
    return false;
}

/* The first port that keyline would use and that this user can't open; NULL if there is none. */
static const char *first_denied(const struct doctor *d)
{
    char path[PATH_MAX];
    for (int i = 0; i < d->port_count; i++) {
        kl_format(path, sizeof path, "%s%s", d->asked->root, d->ports[i].path);
        if (d->ports[i].usable && access(path, R_OK | W_OK) != 0 && errno == EACCES)
            return d->ports[i].path;
    }
    return NULL;
}

void doctor_groups(struct doctor *d)
{
    static const char join[] = "sudo usermod -aG dialout $USER, then log out and in again";
    char status[4096], groups[16384], text[KL_TEXT_MAX];
    unsigned long dialout;
    const char *denied = first_denied(d);
    if (denied) {
        kl_format(text, sizeof text, "no permission to open %s", denied);
        doctor_tell(d, "groups", KL_TROUBLE, text, join);
    } else if (!doctor_read(d, "/proc/self/status", status, sizeof status)) {
        doctor_tell(d, "groups", KL_UNKNOWN, "/proc/self/status can't be read", "");
    } else if (status_has(status, "\nUid:", 0)) {
        doctor_tell(d, "groups", KL_FINE, "root may open every port", "");
    } else if (!doctor_read(d, "/etc/group", groups, sizeof groups) ||
               !find_group(groups, "dialout", &dialout)) {
        doctor_tell(d, "groups", KL_UNKNOWN, "there is no group dialout", "");
    } else if (!status_has(status, "\nGroups:", dialout)) {
        doctor_tell(d, "groups", KL_TROUBLE, "this user is not in the group dialout", join);
    } else {
        doctor_tell(d, "groups", KL_FINE, "this user is in the group dialout", "");
    }
}

/* ---- other programs ---- */

struct program {
    char name[32], pid[16];
};

/* A getty has its port as terminal, and so has the login that it becomes once a board says a word.
   Their arguments need not name the port. */
static bool prompts_on(const struct doctor *d, const struct program *p, char tty[PORT_NAME])
{
    enum {
        USB_MAJOR = 188,
        ACM_MAJOR = 166,
    };
    char path[64], text[512];
    unsigned device;
    kl_format(path, sizeof path, "/proc/%s/stat", p->pid);
    if ((!strstr(p->name, "getty") && strcmp(p->name, "login") != 0) ||
        !doctor_read(d, path, text, sizeof text))
        return false;
    /* "72 (agetty) S 1 72 72 48128 …": the name in brackets may hold any character. */
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at, ") %*c %*d %*d %*d %u", &device) != 1)
        return false;
    unsigned major = device >> 8 & 0xfff, minor = (device & 0xff) | (device >> 12 & ~0xffu);
    kl_format(tty, PORT_NAME, "%s%u", major == USB_MAJOR ? "ttyUSB" : "ttyACM", minor);
    return major == USB_MAJOR || major == ACM_MAJOR;
}

static void look_at_program(struct doctor *d, const struct program *p, bool *modem, bool *brltty)
{
    char tty[PORT_NAME], text[KL_TEXT_MAX], advice[KL_TEXT_MAX];
    *modem |= strcmp(p->name, "ModemManager") == 0;
    *brltty |= strcmp(p->name, "brltty") == 0;
    if (!prompts_on(d, p, tty))
        return;
    kl_format(text, sizeof text, "a login prompt runs on %s", tty);
    kl_format(advice, sizeof advice, "sudo systemctl disable --now serial-getty@%s", tty);
    doctor_tell(d, "getty", KL_TROUBLE, text, advice);
}

static bool rules_installed(const struct doctor *d)
{
    static const char *const folders[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"};
    char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        kl_format(path, sizeof path, "%s/udev/rules.d/60-keyline.rules", folders[i]);
        if (doctor_exists(d, path))
            return true;
    }
    return false;
}

static void tell_programs(struct doctor *d, bool modem, bool brltty)
{
    if (!modem)
        doctor_tell(d, "modemmanager", KL_FINE, "ModemManager does not run", "");
    else if (rules_installed(d))
        doctor_tell(d, "modemmanager", KL_FINE,
                    "ModemManager runs, and keyline's udev rules keep it off the boards", "");
    else
        doctor_tell(d, "modemmanager", KL_TROUBLE,
                    "ModemManager opens every new port to see whether it is a modem",
                    "sudo systemctl disable --now ModemManager, or install keyline's udev rules");
    if (brltty)
        doctor_tell(d, "brltty", KL_TROUBLE,
                    "brltty takes CH340 and CP210x adapters for Braille displays",
                    "sudo apt remove brltty");
    else
        doctor_tell(d, "brltty", KL_FINE, "brltty does not run", "");
}

void doctor_programs(struct doctor *d)
{
    char path[PATH_MAX];
    bool modem = false, brltty = false;
    kl_format(path, sizeof path, "%s/proc", d->asked->root);
    DIR *dir = opendir(path);
    if (!dir) {
        doctor_tell(d, "programs", KL_UNKNOWN, "/proc can't be read", "");
        return;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct program p;
        if (!isdigit((unsigned char)e->d_name[0]) || !kl_copy(p.pid, sizeof p.pid, e->d_name))
            continue;
        kl_format(path, sizeof path, "/proc/%s/comm", p.pid);
        if (!doctor_read(d, path, p.name, sizeof p.name))
            continue;
        p.name[strcspn(p.name, "\n")] = '\0';
        look_at_program(d, &p, &modem, &brltty);
    }
    closedir(dir);
    tell_programs(d, modem, brltty);
}

/* ---- latency ---- */

void doctor_latency(struct doctor *d)
{
    char path[KL_PORT_MAX + 64], value[16], text[KL_TEXT_MAX];
    unsigned slow = 0, timers = 0;
    for (int i = 0; i < d->port_count; i++) {
        kl_format(path, sizeof path, "/sys/class/tty/%s/device/latency_timer",
                  strrchr(d->ports[i].path, '/') + 1);
        if (!d->ports[i].usable || !doctor_read(d, path, value, sizeof value))
            continue;
        timers++;
        slow += strtoul(value, NULL, 10) > 1;
    }
    if (slow > 0) {
        kl_format(text, sizeof text,
                  "%u adapters hold bytes back for some milliseconds; keyline lowers that while it "
                  "has them open",
                  slow);
        doctor_tell(d, "latency", KL_NOTE, text,
                    "install keyline's udev rules, then the setting stays");
    } else {
        doctor_tell(
            d, "latency", KL_FINE,
            timers > 0 ? "adapters pass bytes on at once" : "no adapter with a latency timer", "");
    }
}
