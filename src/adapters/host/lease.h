/*
 * lease.h: does anybody have a file open for writing?
 *
 * While we hold a lease, a program that opens the file for writing waits in open (at most 45 s, by
 * the kernel's setting), and the lease shows it. Local file systems give leases to a file's owner
 * and to root.
 */
#ifndef KEYLINE_ADAPTERS_LEASE_H
#define KEYLINE_ADAPTERS_LEASE_H

#include <stdbool.h>

enum kl_lease {
    KL_LEASE_TAKEN,   /* nobody has it open for writing */
    KL_LEASE_WRITTEN, /* somebody has */
    KL_LEASE_UNKNOWN, /* this file system, or this user, can't tell */
};

/* `fd` is open for reading, and this process must not have the file open for writing anywhere. */
enum kl_lease kl_lease_take(int fd);
/* Somebody waits to open the file for writing. */
bool kl_lease_wanted(int fd);
void kl_lease_drop(int fd); /* closing the file drops the lease too */

#endif
