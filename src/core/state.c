/* state.c: the names of the states, for whoever shows them. */
#include "keyline/station.h"

static const char *const state_names[KL_ST_COUNT] = {
#define X(id, word, utf8, ascii) [KL_ST_##id] = word,
    KL_STATES(X)
#undef X
};

const char *kl_state_name(enum kl_state s)
{
    KL_ASSERT((unsigned)s < KL_ST_COUNT);
    return state_names[s];
}
