/* pq_module.c: postgresql.so, which is linked to libpq; see pq.h. No part of the adapters' library.
 */
#include "pq.h"

#include "keyline/versions.h"

__attribute__((visibility("default"))) const struct kl_pq_module kl_pq_module = {
    .words = KL_PQ_WORDS,
    .version = KEYLINE_VERSION,
    .commit = kl_commit,
    .table =
        {
#define X(name) .name = PQ##name,
            KL_PQ_FUNCTIONS(X)
#undef X
        },
};
