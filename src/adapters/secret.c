#include "secret.h"

#include <sys/mman.h>

#include "keyline/base.h"

void *kl_secret_alloc(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

void kl_secret_free(void *memory, size_t size)
{
    if (memory == NULL)
        return;
    kl_wipe(memory, size);
    munmap(memory, size);
}
