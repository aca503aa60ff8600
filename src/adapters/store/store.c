/* store.c: a store of whatever kind: a CSV with its ledger, or the same with a shared pool behind
   it. */
#include "keyline/store.h"

#include "adapters/fleet/pool_store.h"
#include "csv.h"
#include "store_kind.h"

struct kl_doubt_info kl_doubt_info(enum kl_doubt doubt)
{
    static const struct kl_doubt_info infos[] = {
#define X(name, option, question) {option, question},
        KL_DOUBTS(X)
#undef X
    };

    KL_ASSERT(doubt < KL_DOUBT_COUNT);
    return infos[doubt];
}

enum kl_store_open_result kl_store_open(const struct kl_store_options *options,
                                        struct kl_store **out, char error[KL_TEXT_MAX])
{
    return options->shared ? kl_pool_store_open(options, &kl_fleet_calls_real, out, error)
                           : kl_csv_store_open(options, out, error);
}

void kl_store_holder(const char *csv, char text[KL_TEXT_MAX])
{
    kl_csv_store_holder(csv, text);
}

const struct kl_store_content *kl_store_content(const struct kl_store *s)
{
    return s->kind->content(s);
}

const char *kl_store_row_why(const struct kl_pool_row *row)
{
    return kl_csv_unfit_text((enum kl_csv_unfit)row->why);
}

void kl_store_fleet(const struct kl_store *s, struct kl_fleet_view *out)
{
    *out = (struct kl_fleet_view){.there = false};
    if (s->kind->fleet)
        s->kind->fleet(s, out);
}

void kl_store_bench(struct kl_store *s, uint32_t per_hour, const char *json)
{
    if (s->kind->bench)
        s->kind->bench(s, per_hour, json);
}

void kl_store_start(struct kl_store *s, uv_loop_t *loop, const struct kl_store_events *events,
                    void *ctx)
{
    s->kind->start(s, loop, events, ctx);
}

void kl_store_submit(struct kl_store *s, const struct kl_action *request)
{
    s->kind->submit(s, request);
}

bool kl_store_answer(struct kl_store *s, const char *id)
{
    return s->kind->answer && s->kind->answer(s, id);
}

void kl_store_close(struct kl_store *s, void (*closed)(void *ctx), void *ctx)
{
    s->kind->close(s, closed, ctx);
}

void kl_store_free(struct kl_store *s)
{
    if (s)
        s->kind->free(s);
}

bool kl_store_has_record(const struct kl_store *s)
{
    return s->kind->has_record(s);
}

bool kl_store_keys(struct kl_store *s, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                   void *ctx, char error[KL_TEXT_MAX])
{
    return s->kind->keys(s, each, ctx, error);
}

bool kl_store_history(struct kl_store *s, const char *mac, const char *label,
                      bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                      char error[KL_TEXT_MAX])
{
    return s->kind->history(s, mac, label, each, ctx, error);
}

bool kl_store_audit(struct kl_store *s, void (*each)(void *ctx, const struct kl_audit_finding *f),
                    void *ctx, char error[KL_TEXT_MAX])
{
    return s->kind->audit(s, each, ctx, error);
}

bool kl_store_release(struct kl_store *s, const struct kl_ledger_key *key, const char *reason,
                      char error[KL_TEXT_MAX])
{
    return s->kind->release(s, key, reason, error);
}

bool kl_store_note(struct kl_store *s, const char *what, const char *text, char error[KL_TEXT_MAX])
{
    return s->kind->note(s, what, text, error);
}

bool kl_store_pool(struct kl_store *s, char id[33], char error[KL_TEXT_MAX])
{
    return s->kind->pool(s, id, error);
}

enum kl_store_read kl_store_read_key(struct kl_store *s, const struct kl_ledger_key *key,
                                     struct kl_key *out, struct kl_key_text *text, uint32_t *line,
                                     char error[KL_TEXT_MAX])
{
    return s->kind->read_key(s, key, out, text, line, error);
}

bool kl_store_header(struct kl_store *s, void (*each)(void *ctx, const char *name), void *ctx,
                     char error[KL_TEXT_MAX])
{
    return s->kind->header(s, each, ctx, error);
}
