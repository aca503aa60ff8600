/*
 * fault_disk.h: a disk that fails, and that forgets what was not synced.
 *
 * It stands under SQLite (as the default VFS) and under the store's own steps (kl_disk). Every
 * write, truncation, sync, rename, deletion and folder sync is one durable step, counted from 1. A
 * test can make a step fail, or be the last one. After the last one the files are as a power cut
 * could leave them, and the process ends.
 *
 * What a power cut leaves, drawn from a seed:
 *   - of the writes to a file since its last sync, any subset, each of them torn at 512 bytes;
 *   - of the changes of names since the folder's last sync, any number of the first ones;
 *   - of a write whose sync failed, nothing, although it could still be read before: that is what
 *     kernels do.
 */
#ifndef KEYLINE_TESTS_FAULT_DISK_H
#define KEYLINE_TESTS_FAULT_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_FULL,
    FAULT_IO,
    FAULT_READ_ONLY,
    FAULT_FREEZE, /* the step never comes back; standard error tells of it */
};

/* What is told of it, if the first thread of the program froze: before there is a bench. */
#define FAULT_FROZE_AT_START "the disk freezes at the start\n"

enum {
    FAULT_EXIT = 99 /* exit status of a process that died at its step */
};

/* Installs the disk for the rest of the process. */
void fault_install(void);
/* Steps so far. */
uint32_t fault_steps(void);
/* Makes `count` steps fail, from step `at` on. 0 = none. */
void fault_fail(enum fault_kind kind, uint32_t at, uint32_t count);
/* Makes step `at` the last one. 0 = none. */
void fault_crash(uint32_t at, uint64_t seed);

#endif
