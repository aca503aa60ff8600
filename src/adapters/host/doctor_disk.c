/* doctor_disk.c: can the place of the CSV and its ledger keep what is written there? */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor_private.h"

enum {
    LEAST_MIB = 64
};

/* File systems that lose or forge what the store relies on. */
static const struct kind {
    unsigned long magic;
    const char *text;
} kinds[] = {
    {MSDOS_SUPER_MAGIC, "a FAT file system: it does not survive a power loss"},
    {0x2011bab0, "an exFAT file system: it does not survive a power loss"},
    {NFS_SUPER_MAGIC, "a network file system (NFS): its locks and flushes can't be relied on"},
    {SMB_SUPER_MAGIC, "a network file system (SMB): its locks and flushes can't be relied on"},
    {0xff534d42, "a network file system (CIFS): its locks and flushes can't be relied on"},
    {0xfe534d42, "a network file system (SMB2): its locks and flushes can't be relied on"},
    {TMPFS_MAGIC, "memory (tmpfs): gone after a restart"},
    {RAMFS_MAGIC, "memory (ramfs): gone after a restart"},
};

/* The folder of the CSV: it may not exist yet. */
static void folder_of(const char *csv, char *out, size_t size)
{
    kl_copy(out, size, csv);
    char *slash = strrchr(out, '/');
    if (slash == NULL)
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
    struct statvfs v;
    struct statfs f;
    folder_of(d->asked->csv, folder, sizeof folder);
    if (statvfs(folder, &v) != 0 || statfs(folder, &f) != 0) {
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
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].magic == ((unsigned long)f.f_type & 0xffffffff)) {
            kl_format(text, sizeof text, "the keys are on %s", kinds[i].text);
            doctor_tell(d, "disk", KL_TROUBLE, text, "move the CSV to the host's own disk (ext4)");
            return;
        }
    doctor_tell(d, "disk", KL_FINE, "the keys are on a local file system that can be written", "");
}
