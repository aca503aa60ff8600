/* doctor_kernel.c: what the kernel noticed about the USB bus and the supply. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_private.h"

/* ---- the log ---- */

static const struct mark {
    const char *pattern, *text, *advice;
} marks[] = {
    {"over-current", "a USB port had over-current",
     "use a powered hub with more current; look for shorted boards"},
    {"ndervoltage detected", "the supply was too low",
     "use a stronger supply and a short, thick cable for the host"},
    {"nder-voltage detected", "the supply was too low",
     "use a stronger supply and a short, thick cable for the host"},
    {"insufficient available bus power", "a hub had no power left for a device",
     "use a powered hub, or set MaxPower right"},
    {"Not enough host controller resources", "the USB controller took no more devices",
     "spread the boards over more controllers; hubs count as devices too"},
    {"Max number of devices this xHCI host supports", "the USB controller took no more devices",
     "spread the boards over more controllers; hubs count as devices too"},
    {"Not enough bandwidth", "a USB bus had no bandwidth left",
     "spread the boards over more hubs with a transaction translator per port"},
    {"unable to enumerate USB device", "a USB device could not be set up",
     "try another cable, another port of the hub, fewer boards at once"},
    {"Maybe the USB cable is bad", "a USB port did not come up", "try another cable or port"},
};

enum {
    MARKS = sizeof marks / sizeof marks[0],
    RECORD_MAX = 8192
};

static void count_marks(const char *text, unsigned counts[MARKS])
{
    for (unsigned i = 0; i < MARKS; i++)
        for (const char *at = strstr(text, marks[i].pattern); at;
             at = strstr(at + 1, marks[i].pattern))
            counts[i]++;
}

/* Each read gives one record of the kernel's buffer; -1 if this user may not read it. */
static int read_log(const struct doctor *d, const char *path, unsigned counts[MARKS])
{
    char whole[PATH_MAX], record[RECORD_MAX];
    kl_format(whole, sizeof whole, "%s%s", d->asked->root, path);
    int fd = open(whole, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    for (;;) {
        ssize_t n = read(fd, record, sizeof record - 1);
        if (n < 0 && errno == EPIPE)
            continue; /* the kernel overwrote this record while we read: the next one is there */
        if (n <= 0)
            break;
        record[n] = '\0';
        count_marks(record, counts);
    }
    close(fd);
    return 0;
}

void doctor_kernel_log(struct doctor *d)
{
    unsigned counts[MARKS] = {0}, found = 0;
    char text[KL_TEXT_MAX];
    if (read_log(d, "/dev/kmsg", counts) != 0 && read_log(d, "/var/log/kern.log", counts) != 0) {
        doctor_tell(d, "kernel_log", KL_UNKNOWN, "the kernel's log can't be read by this user",
                    "sudo keyline doctor, or join the group adm");
        return;
    }
    for (unsigned i = 0; i < MARKS; i++) {
        if (counts[i] == 0)
            continue;
        kl_format(text, sizeof text, "%s (%u times in the kernel's log)", marks[i].text, counts[i]);
        doctor_tell(d, "kernel_log", KL_TROUBLE, text, marks[i].advice);
        found++;
    }
    if (found == 0)
        doctor_tell(d, "kernel_log", KL_FINE, "no USB or supply trouble in the kernel's log", "");
}

/* ---- the Raspberry Pi's supply ---- */

void doctor_power(struct doctor *d)
{
    char path[64], name[32], alarm[8] = "";
    bool found = false;
    for (unsigned i = 0; i < 32 && !found; i++) {
        kl_format(path, sizeof path, "/sys/class/hwmon/hwmon%u/name", i);
        if (!doctor_read(d, path, name, sizeof name) || strncmp(name, "rpi_volt", 8) != 0)
            continue;
        kl_format(path, sizeof path, "/sys/class/hwmon/hwmon%u/in0_lcrit_alarm", i);
        found = doctor_read(d, path, alarm, sizeof alarm);
    }
    if (!found)
        doctor_tell(d, "supply", KL_UNKNOWN, "this host does not measure its supply", "");
    else if (alarm[0] == '1')
        doctor_tell(d, "supply", KL_TROUBLE, "the Raspberry Pi's supply is or was too low",
                    "use its own supply and a powered hub for the boards");
    else
        doctor_tell(d, "supply", KL_FINE, "the Raspberry Pi's supply was never too low", "");
}

/* ---- drivers ---- */

/* Before Linux 5.8 the ch341 driver missed fast rates on several chips. */
void doctor_drivers(struct doctor *d)
{
    char release[64], text[KL_TEXT_MAX];
    unsigned ch341 = 0;
    for (int i = 0; i < d->port_count; i++)
        ch341 += d->ports[i].usable && strncmp(d->ports[i].driver, "ch341", 5) == 0;
    if (!doctor_read(d, "/proc/sys/kernel/osrelease", release, sizeof release)) {
        doctor_tell(d, "drivers", KL_UNKNOWN, "the kernel's version can't be read", "");
        return;
    }
    release[strcspn(release, "\n")] = '\0';
    char *dot;
    unsigned long major = strtoul(release, &dot, 10);
    unsigned long minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
    bool old = major < 5 || (major == 5 && minor < 8);
    if (old && ch341 > 0) {
        kl_format(text, sizeof text,
                  "%u CH340 adapters on Linux %s, whose driver misses fast rates", ch341, release);
        doctor_tell(d, "drivers", KL_TROUBLE, text,
                    "update the system, or use --baud 115200 with these adapters");
    } else {
        kl_format(text, sizeof text, "Linux %s", release);
        doctor_tell(d, "drivers", KL_FINE, text, "");
    }
}
