/* machine.h: which machine, and which process on it. */
#ifndef KEYLINE_ADAPTERS_MACHINE_H
#define KEYLINE_ADAPTERS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    KL_MACHINE_TEXT = 48,
};

/* A process, as others can find out whether it still lives. */
struct kl_process {
    char machine[KL_MACHINE_TEXT]; /* stays the same over restarts */
    char boot[KL_MACHINE_TEXT];    /* another after each */
    char space[KL_MACHINE_TEXT];   /* in which its number means something: containers differ */
    int64_t pid, started;          /* number; clock ticks since the machine started */
};

void kl_process_self(struct kl_process *out);
/* It can be seen from here, and runs. */
bool kl_process_lives(const struct kl_process *p);
/* `size` bytes that nobody can guess or draw twice. */
bool kl_random(void *out, unsigned size);

#endif
