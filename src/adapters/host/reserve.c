#include "keyline/reserve.h"

#include <string.h>
#include <sys/stat.h>

#include "disk.h"

static const uint64_t MOST = 64 << 20;

uint64_t kl_reserve_of(uint64_t disk)
{
    return disk / 10 < MOST ? disk / 10 : MOST;
}

bool kl_reserve_allows(int fd, size_t size)
{
    struct stat st;
    struct statvfs disk;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || kl_disk->room(fd, &disk) != 0 ||
        disk.f_blocks == 0)
        return true;
    return (uint64_t)disk.f_bavail * disk.f_frsize >=
           size + kl_reserve_of((uint64_t)disk.f_blocks * disk.f_frsize);
}

const char *kl_reserve_error(int error)
{
    return error == KL_RESERVE_KEPT ? "the disk is nearly full, and what is left is for the keys"
                                    : strerror(error);
}
