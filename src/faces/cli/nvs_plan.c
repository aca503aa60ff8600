/* nvs_plan.c: schema, partition and rows for --deliver nvs. See nvs_plan.h. */
#include "nvs_plan.h"

#include "cli_nvs.h"

enum {
    NAMED_MAX = 20, /* rows that are named one by one */
};

struct rows {
    const struct nvs_plan *plan;
    const char *csv;
    bool printed; /* --confirm readback */
    void (*complain)(void *ctx, const char *text);
    void *ctx;
    uint32_t misfits;
};

/* The store reports rows that can't be keys at all. */
static bool look(void *ctx, const struct kl_nvs_row *row)
{
    struct rows *r = ctx;
    struct kl_nvs_misfit why;
    char text[KL_TEXT_MAX];

    /* No board is there yet: its room's memory serves to build the whole image. */
    const struct kl_nvs_delivery *d = r->plan->delivery;
    if (!row->key || row->marked)
        return true;
    bool fits = kl_nvs_schema_build(d->schema, row->key, d->room[0].image, d->size, &why);
    bool silent = r->printed && row->key->text;
    if ((fits && !silent) || ++r->misfits > NAMED_MAX)
        return true;
    if (fits)
        kl_format(text, sizeof text,
                  "%s line %u: --confirm readback: keys of more than 32 fields or 255 bytes are "
                  "not printed",
                  r->csv, (unsigned)row->line);
    else
        nvs_say_misfit(r->plan->schema, r->csv, row->line, &why, text);
    r->complain(r->ctx, text);
    return true;
}

static bool check_rows(const struct nvs_plan *plan, const struct station_args *a,
                       void (*complain)(void *ctx, const char *text), void *ctx)
{
    const char *csv = a->csv;
    struct rows r = {.plan = plan,
                     .csv = csv,
                     .printed = a->confirm == CONFIRM_READBACK,
                     .complain = complain,
                     .ctx = ctx};
    char text[KL_TEXT_MAX];

    bool read = kl_nvs_rows(csv, look, &r, text);

    kl_wipe(plan->delivery->room[0].image, plan->delivery->size);
    if (!read) {
        complain(ctx, text);
        return false;
    }
    if (r.misfits > NAMED_MAX) {
        kl_format(text, sizeof text, "%u more rows that can't be written",
                  (unsigned)(r.misfits - NAMED_MAX));
        complain(ctx, text);
    }
    return r.misfits == 0;
}

static bool writes_columns(const struct kl_nvs_schema *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->place[i].column != KL_NVS_CONSTANT)
            return true;
    return false;
}

bool nvs_plan_make(struct nvs_plan *plan, const struct station_args *a, const struct kl_bundle *b,
                   void (*complain)(void *ctx, const char *text), void *ctx)
{
    char error[KL_TEXT_MAX];

    *plan = (struct nvs_plan){.schema = NULL};
    if (a->deliver == 0)
        return true;
    if (a->secured == 1) {
        complain(ctx,
                 "--secured handover does not go with --deliver nvs: the loader of a locked board "
                 "can't be trusted with its NVS");
        return false;
    }
    if (a->pool && !a->nvs_schema) {
        complain(ctx, "--deliver nvs with --pool needs --nvs-schema: a pool has no header row");
        return false;
    }
    plan->schema = kl_nvs_schema_load(a->csv, a->nvs_schema, error);
    if (plan->schema)
        plan->delivery = kl_nvs_delivery_new(b, a->nvs_partition, plan->schema,
                                             (enum kl_nvs_policy)a->nvs, error);
    if (!plan->delivery) {
        complain(ctx, error);
        nvs_plan_free(plan);
        return false;
    }
    if (plan->delivery && plan->schema && a->confirm == CONFIRM_READBACK &&
        !writes_columns(plan->schema)) {
        complain(ctx, "--confirm readback: no column is written, so there is nothing to read back");
        nvs_plan_free(plan);
        return false;
    }
    if (a->pool || check_rows(plan, a, complain, ctx)) /* a pool's keys are sealed */
        return true;
    nvs_plan_free(plan);
    return false;
}

void nvs_plan_free(struct nvs_plan *plan)
{
    kl_nvs_delivery_free(plan->delivery);
    if (plan->schema)
        kl_nvs_schema_free(plan->schema);
    *plan = (struct nvs_plan){.schema = NULL};
}
