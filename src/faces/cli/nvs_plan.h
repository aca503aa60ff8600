/* nvs_plan.h: what --deliver nvs needs, read and checked before any board is touched. */
#ifndef KEYLINE_FACES_CLI_NVS_PLAN_H
#define KEYLINE_FACES_CLI_NVS_PLAN_H

#include "keyline/nvs_load.h"
#include "station_options.h"

struct nvs_plan {
    struct kl_nvs_schema *schema;
    struct kl_nvs_delivery *delivery; /* NULL: keys are handed over */
};

/* True: all is well, or keys are handed over. Calls `complain` once for each thing that is wrong,
   with its line and column, never with a value. */
bool nvs_plan_make(struct nvs_plan *plan, const struct station_args *a, const struct kl_bundle *b,
                   void (*complain)(void *ctx, const char *text), void *ctx);
void nvs_plan_free(struct nvs_plan *plan);

#endif
