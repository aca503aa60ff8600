/* doctor.c: the list of checks, and the ones that need no more than a few lines. */
#include "keyline/doctor.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor_private.h"
#include "ports_private.h"

enum {
    BUILT_AFTER = 1735689600
}; /* 2025-01-01: a clock that shows less is wrong */

void doctor_tell(struct doctor *d, const char *check, enum kl_verdict verdict, const char *text,
                 const char *advice)
{
    struct kl_finding finding = {.check = check, .verdict = verdict};
    kl_copy(finding.text, sizeof finding.text, text);
    kl_copy(finding.advice, sizeof finding.advice, advice);
    if (verdict == KL_TROUBLE)
        d->troubles++;
    d->asked->tell(d->asked->ctx, &finding);
}

bool doctor_read(const struct doctor *d, const char *path, char *out, size_t size)
{
    char whole[PATH_MAX];
    size_t used = 0;
    ssize_t n = 0;
    kl_format(whole, sizeof whole, "%s%s", d->asked->root, path);
    int fd = open(whole, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (used < size - 1 && (n = read(fd, out + used, size - 1 - used)) > 0)
        used += (size_t)n;
    out[used] = '\0';
    close(fd);
    return n >= 0;
}

bool doctor_exists(const struct doctor *d, const char *path)
{
    char whole[PATH_MAX];
    kl_format(whole, sizeof whole, "%s%s", d->asked->root, path);
    return access(whole, F_OK) == 0;
}

/* Records carry times, and keyline tells a board's history by them. */
static void clock_is_right(struct doctor *d)
{
    if (d->asked->now < BUILT_AFTER)
        doctor_tell(d, "clock", KL_TROUBLE, "the clock shows a time long past",
                    "sudo timedatectl set-ntp true, or set it: sudo date -s '2030-01-31 12:00'");
    else if (!d->asked->clock_synchronised)
        doctor_tell(d, "clock", KL_NOTE,
                    "the clock is not synchronised: times in records may be off",
                    "sudo timedatectl set-ntp true");
    else
        doctor_tell(d, "clock", KL_FINE, "the clock is synchronised", "");
}

unsigned kl_doctor_run(const struct kl_doctor *asked)
{
    static void (*const checks[])(struct doctor *) = {
        doctor_ports, doctor_groups,     doctor_programs, doctor_latency, doctor_drivers,
        doctor_power, doctor_kernel_log, doctor_disk,     clock_is_right,
    };
    char sysfs[PATH_MAX];
    struct doctor *d = calloc(1, sizeof *d);
    KL_ASSERT(d);
    d->asked = asked;
    kl_format(sysfs, sizeof sysfs, "%s/sys", asked->root);
    int count =
        kl_ports_list_at(sysfs, d->ports, DOCTOR_PORTS_MAX, &(const struct kl_port_rules){0});
    d->port_count = count < DOCTOR_PORTS_MAX ? count : DOCTOR_PORTS_MAX;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](d);
    unsigned troubles = d->troubles;
    free(d);
    return troubles;
}
