/* store_show.c: what the store shows to others: its list and what the ledger says, at one instant.
 */
#include <stdlib.h>
#include <string.h>

#include "store_state.h"

static const char *keep_label(struct kl_shown *shown, const char *label)
{
    char *copy = strdup(label);

    if (shown->label_count == shown->label_capacity) {
        uint32_t capacity = shown->label_capacity == 0 ? 64 : shown->label_capacity * 2;
        char **more = reallocarray(shown->label, capacity, sizeof *more);
        if (!more) {
            free(copy);
            return NULL;
        }
        shown->label = more;
        shown->label_capacity = capacity;
    }
    if (copy)
        shown->label[shown->label_count++] = copy;
    return copy;
}

/* Gives back the room for rows that did not come. */
static void fit_ledger(struct kl_shown *shown)
{
    uint32_t count = shown->content.ledger_count;
    struct kl_ledger_row *fit = count == 0 ? NULL : reallocarray(shown->ledger, count, sizeof *fit);

    if (!fit)
        return;
    shown->ledger = fit;
    shown->ledger_capacity = count;
}

static bool grow_ledger(struct kl_shown *shown)
{
    uint32_t capacity = shown->ledger_capacity == 0 ? 256 : shown->ledger_capacity * 2;
    struct kl_ledger_row *more = reallocarray(shown->ledger, capacity, sizeof *more);

    if (!more)
        return false;
    shown->ledger = more;
    shown->ledger_capacity = capacity;
    return true;
}

struct collecting {
    struct kl_worker *worker;
    struct kl_shown *shown;
    bool failed;
};

static bool collect(void *ctx, const struct kl_ledger_key *key)
{
    struct collecting *c = ctx;
    struct kl_shown *shown = c->shown;
    const struct kl_table *t = shown->table;
    bool provisioned = strcmp(key->state, "provisioned") == 0;
    const struct kl_old_form *form;
    struct kl_fingerprint fp = key->fingerprint, kin = key->kin;
    struct kl_ledger_row *row;
    uint32_t at;

    if (strcmp(key->state, "released") == 0)
        return true;
    c->failed = shown->content.ledger_count == shown->ledger_capacity && !grow_ledger(shown);
    if (c->failed)
        return false;
    form = key->old_form ? kl_old_form(&c->worker->forms, &fp) : NULL;
    if (form && form->known) {
        fp = form->now;
        kin = form->kin;
    }
    at = kl_table_find(t, &fp);
    row = &shown->ledger[shown->content.ledger_count++];
    *row = (struct kl_ledger_row){
        .label = at != UINT32_MAX && strcmp(t->row[at].label, key->label) == 0
                     ? t->row[at].label
                     : keep_label(shown, key->label),
        .fingerprint = fp,
        .kin = kin,
        .provisioned = provisioned,
        .listed = at != UINT32_MAX,
        .mac = key->mac,
        .same_bundle = c->worker->bundle[0] != '\0' && strcmp(key->bundle, c->worker->bundle) == 0,
    };
    c->failed = !row->label;
    if (provisioned && at != UINT32_MAX && !c->worker->look_only)
        c->failed |= !kl_csv_file_want_mark(&c->worker->csv, &fp);
    return !c->failed;
}

static void say_what_is_suspicious(const struct kl_worker *w, struct kl_shown *shown)
{
    const struct kl_csv_verdict *v = &w->csv.table->verdict;
    char kinds[KL_TEXT_MAX];

    if (w->look_only) {
        kl_csv_refused(v, 0, shown->content.warning);
    } else if (v->count > 0) {
        kl_csv_verdict_words(v, kinds);
        kl_format(shown->content.warning, KL_TEXT_MAX, "let pass by --accept: %s", kinds);
    }
}

struct kl_shown *kl_store_show(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_shown *shown = calloc(1, sizeof *shown);
    struct collecting c = {.worker = w, .shown = shown};
    const struct kl_table *t = w->csv.table;

    error[0] = '\0';
    w->csv.owed.count = 0; /* the look at the ledger finds them again */
    if (shown) {
        shown->table = kl_table_hold(w->csv.table);
        if (w->ledger && !kl_ledger_keys(w->ledger, collect, &c, error))
            c.failed = true;
    }
    if (!shown || c.failed) {
        if (error[0] == '\0')
            kl_copy(error, KL_TEXT_MAX, "no memory for the ledger's rows");
        kl_shown_free(shown);
        return NULL;
    }
    fit_ledger(shown);
    shown->content.rows = t->row;
    shown->content.row_count = t->count;
    shown->content.ledger = shown->ledger;
    shown->content.fields = t->fields;
    shown->content.verdict = &t->verdict;
    if (w->witness.storage.kind >= KL_STORAGE_FORGETS)
        kl_copy(shown->content.forgets, KL_TEXT_MAX, w->witness.storage.text);
    say_what_is_suspicious(w, shown);
    return shown;
}

void kl_shown_free(struct kl_shown *shown)
{
    if (!shown)
        return;
    for (uint32_t i = 0; i < shown->label_count; i++)
        free(shown->label[i]);
    free(shown->label);
    free(shown->ledger);
    kl_table_free(shown->table);
    free(shown);
}

bool kl_store_same_ledger(const struct kl_store_content *a, const struct kl_store_content *b)
{
    if (a->ledger_count != b->ledger_count)
        return false;
    for (uint32_t i = 0; i < a->ledger_count; i++)
        if (!kl_fingerprint_equal(&a->ledger[i].fingerprint, &b->ledger[i].fingerprint) ||
            !kl_mac_equal(&a->ledger[i].mac, &b->ledger[i].mac) ||
            a->ledger[i].provisioned != b->ledger[i].provisioned)
            return false;
    return true;
}
