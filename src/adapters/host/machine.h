/* machine.h: which machine, and which process on it. */
#ifndef KEYLINE_ADAPTERS_MACHINE_H
#define KEYLINE_ADAPTERS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    KL_MACHINE_TEXT = 48,
};

/* A process, with what others need to find out whether it still lives. */
struct kl_process {
    char machine[KL_MACHINE_TEXT]; /* stays the same over restarts */
    char boot[KL_MACHINE_TEXT];    /* changes with each restart */
    char space[KL_MACHINE_TEXT];   /* the pid namespace, which differs between containers */
    int64_t pid, started;          /* number; clock ticks since the machine started */
};

void kl_process_self(struct kl_process *out);
/* The process runs, and we can see it from here. */
bool kl_process_lives(const struct kl_process *p);
/* `size` bytes that nobody can guess or draw twice. */
bool kl_random(void *out, unsigned size);

#endif
