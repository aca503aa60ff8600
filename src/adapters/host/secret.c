#include "keyline/secret.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "keyline/base.h"

/* The sanitizers' leak check has to look into the process. */
#if defined __SANITIZE_ADDRESS__
#define WATCHED
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define WATCHED
#endif
#endif

void *kl_secret_alloc(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_DONTDUMP);
    /* A page that nobody has written to holds no secret, and takes no memory until then. */
    if (mlock2(memory, size, MLOCK_ONFAULT) != 0)
        mlock(memory, size);
    return memory;
}

void kl_secret_free(void *memory, size_t size)
{
    if (!memory)
        return;
    kl_wipe(memory, size);
    munmap(memory, size);
}

void *kl_secret_grow(void *memory, size_t size, size_t new_size)
{
    void *larger = kl_secret_alloc(new_size);

    if (!larger)
        return NULL;
    if (memory)
        memcpy(larger, memory, size);
    kl_secret_free(memory, size);
    return larger;
}

void kl_secret_stack(void)
{
    static _Thread_local bool done;
    pthread_attr_t attributes;
    void *lowest;
    size_t size;

    if (done || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    /* The first thread's stack still grows. The kernel leaves what it grows into out of core dumps
       too. */
    if (pthread_attr_getstack(&attributes, &lowest, &size) == 0)
        madvise(lowest, size, MADV_DONTDUMP);
    pthread_attr_destroy(&attributes);
    done = true;
}

void kl_secret_process(void)
{
    static const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
#ifndef WATCHED
    prctl(PR_SET_DUMPABLE, 0);
#endif
    kl_secret_stack();
}
