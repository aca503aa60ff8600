#include "face_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void kl_iso_time(int64_t wall, char out[32])
{
    time_t seconds = (time_t)(wall / 1000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(wall / 1000 % 1000));
}

void kl_clock_time(int64_t wall, char out[16])
{
    time_t seconds = (time_t)(wall / 1000000);
    struct tm tm;

    localtime_r(&seconds, &tm);
    strftime(out, 16, "%H:%M:%S", &tm);
}

void kl_duration(kl_us time, char *out, size_t size)
{
    long long seconds = (long long)(time / 1000000);

    if (time == KL_NEVER)
        snprintf(out, size, "unknown");
    else if (seconds < 100)
        snprintf(out, size, "%lld.%lld s", seconds, (long long)(time / 100000 % 10));
    else if (seconds < 6000)
        snprintf(out, size, "%lld min %lld s", seconds / 60, seconds % 60);
    else
        snprintf(out, size, "%lld h %lld min", seconds / 3600, seconds / 60 % 60);
}

static void flash_text(const struct kl_identity *id, char *out, size_t size)
{
    if (id->flash_size >= 1 << 20)
        snprintf(out, size, "%u MB flash", (unsigned)(id->flash_size >> 20));
    else if (id->flash_size)
        snprintf(out, size, "%u KB flash", (unsigned)(id->flash_size >> 10));
    else
        snprintf(out, size, "flash id %06x", (unsigned)id->flash_id);
}

void kl_identity_text(const struct kl_identity *id, char *out, size_t size)
{
    const struct kl_chip *chip = kl_chip(id->chip);
    char mac[18], flash[32];

    kl_mac_format(&id->mac, mac);
    flash_text(id, flash, sizeof flash);
    snprintf(out, size, "%s rev %u.%u, %s, %s, %s at %u baud", chip ? chip->name : "chip",
             id->revision / 100u, id->revision % 100u, mac, flash, id->stub ? "stub" : "ROM loader",
             (unsigned)id->baud);
}

void kl_fault_text(const struct kl_fault *fault, char *out, size_t size)
{
    struct kl_fault_info info = kl_fault_info(fault->reason);
    int n = snprintf(out, size, "%s", info.text);

    if (fault->detail[0] && n >= 0 && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, " (%s)", fault->detail);
    if (fault->chip_error && n >= 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, " [chip error %04x]", fault->chip_error);
}

static void pool_text(const struct kl_fleet_view *f, char *out, size_t size)
{
    int n = snprintf(out, size, "; pool %s", f->name);

    if (f->left >= 0)
        n += snprintf(out + n, size - (size_t)n, ": %lld free", (long long)f->left);
    if (f->unsent > 0)
        n += snprintf(out + n, size - (size_t)n, ", %lld results unsent", (long long)f->unsent);
    if (f->unchecked > 0)
        n += snprintf(out + n, size - (size_t)n, ", %u boards unchecked", f->unchecked);
    if (f->alarms > 0)
        snprintf(out + n, size - (size_t)n, ", %u ALARMS", f->alarms);
}

void kl_summary_text(const struct kl_snapshot *s, char *out, size_t size)
{
    uint32_t tried = s->done + s->failed;
    char median[32] = "";
    int n = snprintf(out, size, "%u done, %u failed, %u skipped", s->done, s->failed, s->skipped);

    if (tried > 0) {
        kl_duration(s->median_board, median, sizeof median);
        n += snprintf(out + n, size - (size_t)n,
                      "; %u%% at the first try, %u boards per hour, %s per board",
                      100 * s->first_pass / tried, s->boards_per_hour, median);
    }
    n += snprintf(out + n, size - (size_t)n, "; keys: %u free, %u reserved, %u provisioned",
                  s->keys.free, s->keys.reserved, s->keys.provisioned);
    if (s->fleet.there)
        pool_text(&s->fleet, out + n, size - (size_t)n);
}
