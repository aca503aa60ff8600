#include "keyline/command.h"

#include <string.h>

static const struct kl_command_info commands[KL_CMD_COUNT] = {
#define X(name, word, slot, argument, did) [KL_CMD_##name] = {word, slot, argument, did},
    KL_COMMANDS(X)
#undef X
};

struct kl_command_info kl_command_info(enum kl_command_kind kind)
{
    KL_ASSERT(kind >= 0 && kind < KL_CMD_COUNT);
    return commands[kind];
}

bool kl_command_named(const char *name, enum kl_command_kind *out)
{
    KL_ASSERT(name && out);
    for (int k = 0; k < KL_CMD_COUNT; k++) {
        if (strcmp(commands[k].name, name) != 0)
            continue;
        *out = (enum kl_command_kind)k;
        return true;
    }
    return false;
}
