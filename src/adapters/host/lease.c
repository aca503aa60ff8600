#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "disk.h"

enum kl_lease kl_lease_take(int fd)
{
    /* The usual signal that tells of a waiting writer would end the process. By default a process
       ignores this one. */
    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return KL_LEASE_UNKNOWN;
    if (kl_disk->lease(fd) == 0)
        return KL_LEASE_TAKEN;
    return errno == EAGAIN ? KL_LEASE_WRITTEN : KL_LEASE_UNKNOWN;
}

bool kl_lease_wanted(int fd)
{
    return fcntl(fd, F_GETLEASE) != F_RDLCK;
}

void kl_lease_drop(int fd)
{
    fcntl(fd, F_SETLEASE, F_UNLCK);
}
