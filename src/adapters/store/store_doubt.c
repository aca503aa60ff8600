/* store_doubt.c: what the store asks a person before a key leaves, and what it does with the
   answer: at the start, and when the CSV changes while a station runs. */
#include <stdlib.h>
#include <string.h>

#include "adapters/host/disk.h"
#include "store_state.h"

/* ---- labels ---- */

/* A key that has another label in the CSV than in the ledger. */
struct renamed {
    struct kl_fingerprint fingerprint;
    struct kl_mac mac;
    bool provisioned;
    uint32_t row; /* of the CSV */
    char *label;  /* by the ledger */
};

struct finding {
    const struct kl_worker *worker;
    const struct kl_table *table;
    struct renamed *item;
    uint32_t count, capacity;
    bool failed;
};

static bool grow(struct finding *f)
{
    uint32_t capacity = 2 * f->capacity + 16;
    struct renamed *more = reallocarray(f->item, capacity, sizeof *more);

    if (!more)
        return false;
    f->item = more;
    f->capacity = capacity;
    return true;
}

static bool find_renamed(void *ctx, const struct kl_ledger_key *key)
{
    struct finding *f = ctx;
    const struct kl_old_form *form =
        key->old_form ? kl_old_form(&f->worker->forms, &key->fingerprint) : NULL;
    struct kl_fingerprint fp = form && form->known ? form->now : key->fingerprint;
    uint32_t row = kl_table_find(f->table, &fp);

    if (row == UINT32_MAX || strcmp(key->state, "released") == 0 ||
        strcmp(f->table->row[row].label, key->label) == 0)
        return true;
    f->failed = f->count == f->capacity && !grow(f);
    if (f->failed)
        return false;
    f->item[f->count] = (struct renamed){.fingerprint = fp,
                                         .mac = key->mac,
                                         .provisioned = strcmp(key->state, "provisioned") == 0,
                                         .row = row,
                                         .label = strdup(key->label)};
    f->failed = !f->item[f->count++].label;
    return !f->failed;
}

static void forget(struct finding *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        free(f->item[i].label);
    free(f->item);
}

static bool rename_all(struct kl_worker *w, const struct finding *f, char error[KL_TEXT_MAX])
{
    bool ok =
        kl_ledger_begin(w->ledger, error) && (!w->witness.holds || kl_store_still_ours(w, error));

    for (uint32_t i = 0; ok && i < f->count; i++) {
        char reason[KL_TEXT_MAX];
        struct kl_ledger_change c = {.fingerprint = f->item[i].fingerprint,
                                     .mac = f->item[i].mac,
                                     .label = f->table->row[f->item[i].row].label,
                                     .reason = reason,
                                     .station = w->station,
                                     .wall = kl_store_wall_clock()};

        kl_format(reason, sizeof reason, "was %s; confirmed by a person", f->item[i].label);
        ok = kl_ledger_rename(w->ledger, &c, error) == KL_STORE_OK;
    }
    if (ok && kl_ledger_commit(w->ledger, error))
        return true;
    kl_ledger_rollback(w->ledger);
    return false;
}

static void say_renamed(const struct kl_worker *w, const struct finding *f, char error[KL_TEXT_MAX])
{
    const struct renamed *r = &f->item[0];
    char mac[18];

    kl_mac_format(&r->mac, mac);
    kl_format(error, KL_TEXT_MAX, "%s: line %u: the key %.40s, which is %s %s, is called %.40s now",
              kl_shown(w->csv.named), f->table->row[r->row].line, r->label,
              r->provisioned ? "provisioned to" : "reserved for", mac, f->table->row[r->row].label);
    if (f->count > 1)
        kl_format(error + strlen(error), KL_TEXT_MAX - strlen(error), ", and %u more like that",
                  f->count - 1);
}

static enum kl_store_open_result settle_names(struct kl_worker *w, const struct kl_table *table,
                                              bool answered, char error[KL_TEXT_MAX])
{
    struct finding f = {.worker = w, .table = table};
    enum kl_store_open_result result = KL_STORE_OPENED;

    if (!w->ledger)
        return KL_STORE_OPENED;
    error[0] = '\0';
    if (!kl_ledger_keys(w->ledger, find_renamed, &f, error) || f.failed) {
        result = KL_STORE_BROKEN;
        if (error[0] == '\0')
            kl_copy(error, KL_TEXT_MAX, "no memory for the ledger's rows");
    } else if (f.count > 0 && answered) {
        result = rename_all(w, &f, error) ? KL_STORE_OPENED : KL_STORE_BROKEN;
    } else if (f.count > 0) {
        say_renamed(w, &f, error);
        result = KL_STORE_DOUBT;
    }
    forget(&f);
    return result;
}

enum kl_store_open_result kl_store_settle_names(struct kl_worker *w, bool answered,
                                                char error[KL_TEXT_MAX])
{
    return settle_names(w, w->csv.table, answered, error);
}

/* ---- while a station runs ---- */

/* What a person let pass is durable and in the journal before the rows count. */
static bool keep_answer(struct kl_worker *w, char text[KL_TEXT_MAX])
{
    w->unseen = true;
    return kl_store_relearn(w, text);
}

static bool settle_given(struct kl_worker *w, const struct kl_table *fresh, bool answered,
                         enum kl_csv_question *what, char text[KL_TEXT_MAX])
{
    struct kl_difference found;
    enum kl_store_open_result result = kl_store_ask_about(w, fresh, answered, &found, text);

    if (result == KL_STORE_DOUBT)
        *what = KL_ASKS_GIVEN;
    if (result == KL_STORE_OPENED && found.behind_count > 0 &&
        (!kl_store_take_over(w, fresh, &found, text) || !keep_answer(w, text)))
        result = KL_STORE_BROKEN;
    kl_difference_free(&found);
    return result == KL_STORE_OPENED;
}

static bool settle_all(struct kl_worker *w, const struct kl_table *fresh,
                       enum kl_csv_question *what, char text[KL_TEXT_MAX])
{
    const struct kl_csv_asks *a = &w->csv.asks;
    bool renamed = kl_csv_is_answered(a, KL_ASKS_RENAMED, &fresh->id);
    enum kl_store_open_result result;

    if (!settle_given(w, fresh, kl_csv_is_answered(a, KL_ASKS_GIVEN, &fresh->id), what, text))
        return false;
    result = settle_names(w, fresh, renamed, text);
    if (result == KL_STORE_DOUBT)
        *what = KL_ASKS_RENAMED;
    return result == KL_STORE_OPENED && (!renamed || keep_answer(w, text));
}

bool kl_store_weigh_list(void *ctx, const struct kl_table *fresh, enum kl_csv_question *what,
                         char text[KL_TEXT_MAX])
{
    struct kl_worker *w = ctx;

    *what = KL_ASKS_NOTHING;
    if (w->sick) {
        kl_copy(text, KL_TEXT_MAX, "the ledger can't be read");
        return false;
    }
    if (settle_all(w, fresh, what, text))
        return true;
    w->sick = *what == KL_ASKS_NOTHING; /* nobody knows what is on disk */
    return false;
}
