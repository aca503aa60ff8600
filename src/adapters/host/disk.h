/*
 * disk.h: the steps that change what survives a power cut, as one table, so that a test can make
 * any of them fail, lie or be the last one. SQLite's own steps go through its VFS, where the tests
 * put a layer of theirs (tests/support/fault_vfs.h).
 */
#ifndef KEYLINE_ADAPTERS_DISK_H
#define KEYLINE_ADAPTERS_DISK_H

#include <stdbool.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct kl_storage;

struct kl_disk {
    ssize_t (*write)(int fd, const void *data, size_t size);
    int (*sync)(int fd);
    int (*sync_data)(int fd); /* bytes and size; owner, mode and times may come later */
    int (*rename)(const char *from, const char *to);
    int (*exchange)(const char *a, const char *b); /* both exist; EINVAL: not possible here */
    int (*lease)(int fd); /* on a file open for reading; EAGAIN: somebody has it open for writing */
    int (*room)(int fd, struct statvfs *out); /* the room on the disk that holds this file */
    int (*sync_folder)(const char *of_file);  /* the folder that holds this file */
    /* A new file in this folder that has no name yet; -1 and EOPNOTSUPP: not possible here. */
    int (*nameless)(const char *folder, mode_t mode);
    void (*look)(const char *path, bool probe, struct kl_storage *out); /* kl_storage_look */
};

extern const struct kl_disk kl_disk_real;
extern const struct kl_disk *kl_disk; /* kl_disk_real, unless a test says otherwise */

/* The end of a path: as much as a line for a person has room for. */
const char *kl_shown(const char *path);

/* Writes all of it, or returns false and sets errno. */
bool kl_disk_write_all(int fd, const void *data, size_t size);

#endif
