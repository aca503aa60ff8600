/* doctor_disk.c: can the place of the CSV and its ledger keep what keyline writes there? */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor_private.h"
#include "storage.h"

enum {
    LEAST_MIB = 64
};

/* The folder of the CSV: it may not exist yet. */
static void folder_of(const char *csv, char *out, size_t size)
{
    kl_copy(out, size, csv);
    char *slash = strrchr(out, '/');
    if (!slash)
        kl_copy(out, size, ".");
    else
        slash[slash == out ? 1 : 0] = '\0';
}

static void tell_space(struct doctor *d, const struct statvfs *v)
{
    char text[KL_TEXT_MAX];
    unsigned long long mib = (unsigned long long)v->f_bavail * v->f_frsize / (1024 * 1024);
    kl_format(text, sizeof text, "%llu MiB are free where the keys are", mib);
    doctor_tell(d, "disk_space", mib < LEAST_MIB ? KL_TROUBLE : KL_FINE, text,
                mib < LEAST_MIB ? "make room: without it no key can be recorded" : "");
}

void doctor_disk(struct doctor *d)
{
    char folder[PATH_MAX], text[KL_TEXT_MAX];
    struct kl_storage storage;
    struct statvfs v;
    folder_of(d->asked->csv, folder, sizeof folder);
    if (statvfs(folder, &v) != 0) {
        kl_format(text, sizeof text, "%s: %s", folder, strerror(errno));
        doctor_tell(d, "disk", KL_TROUBLE, text, "give the right file with --csv-file");
        return;
    }
    tell_space(d, &v);
    if ((v.f_flag & ST_RDONLY) != 0 || access(folder, W_OK) != 0) {
        kl_format(text, sizeof text, "%s can't be written: keys can't be recorded there", folder);
        doctor_tell(d, "disk", KL_TROUBLE, text, "move the CSV, or give this user the folder");
        return;
    }
    kl_storage_look(d->asked->csv, false, &storage);
    if (storage.kind != KL_STORAGE_KEEPS) {
        kl_format(text, sizeof text, "the keys are on %s", storage.text);
        doctor_tell(d, "disk", KL_TROUBLE, text, "move the CSV to the host's own disk (ext4)");
        return;
    }
    doctor_tell(d, "disk", KL_FINE, "the keys are on a local file system that can be written", "");
}
