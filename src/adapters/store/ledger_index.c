/*
 * ledger_index.c: the index of the log, which SQLite shares with readers as a mapped file (-shm).
 *
 * SQLite makes the file longer by one byte for each 4 KiB. On file systems with smaller blocks the
 * rest stays a hole, and on a full disk a write into a hole of a mapped file ends the process
 * (SIGBUS). So keyline has the kernel fill each part before SQLite writes to it.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "ledger_db.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
    REGION = 32768, /* of the index: fixed by SQLite's file format … */
    FRAMES = 4062, /* … and so many pages of the log the first one covers, later ones a few more */
    AHEAD = 2,     /* more than any round of the store writes */
};

/* Kernels that do not know the request leave it as it was. */
static bool fill(volatile void *region)
{
    return madvise((void *)(uintptr_t)region, REGION, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

static int regions_needed(const struct kl_ledger *l)
{
    char log[sizeof l->path + 8];
    struct stat st;

    kl_format(log, sizeof log, "%s-wal", l->path);
    return AHEAD + (stat(log, &st) != 0 ? 0 : (int)(st.st_size / (4096 * (off_t)FRAMES)));
}

bool kl_ledger_fill_index(struct kl_ledger *l, char error[KL_TEXT_MAX])
{
    sqlite3_file *file = NULL;
    volatile void *region = NULL;
    int needed, rc = SQLITE_OK;

    if (l->mode == KL_LEDGER_READ || l->shared ||
        sqlite3_file_control(l->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        !file->pMethods || file->pMethods->iVersion < 2)
        return true;
    needed = regions_needed(l);
    while (rc == SQLITE_OK && l->index_regions < needed) {
        rc = file->pMethods->xShmMap(file, l->index_regions, REGION, 1, &region);
        if (rc == SQLITE_OK && !fill(region))
            rc = SQLITE_FULL;
        if (rc == SQLITE_OK)
            l->index_regions++;
    }
    if (rc != SQLITE_OK)
        kl_ledger_say(l, rc, error);
    return rc == SQLITE_OK;
}
