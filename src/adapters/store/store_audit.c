/* store_audit.c: compares CSV, marks, ledger and journal, for the owner of the keys. */
#include <stdlib.h>
#include <string.h>

#include "store_state.h"

struct audit {
    struct kl_worker *worker;
    void (*each)(void *ctx, const struct kl_audit_finding *f);
    void *ctx;
    struct kin *kin; /* of the keys that boards have or may have */
    size_t kin_count;
    bool failed;
};

struct kin {
    struct kl_fingerprint kin;
    struct kl_mac mac;
    char label[KL_LABEL_MAX + 1];
};

static void tell(struct audit *a, enum kl_audit_kind kind, const char *label,
                 const struct kl_mac *mac, const char *text)
{
    struct kl_audit_finding f = {.kind = kind, .label = label, .text = text};

    if (mac)
        f.mac = *mac;
    a->each(a->ctx, &f);
}

/* ---- the ledger's keys ---- */

static void audit_provisioned(struct audit *a, const struct kl_ledger_key *key, uint32_t row)
{
    const struct kl_table *t = a->worker->csv.table;
    bool proved = strcmp(key->how, "readback") == 0;

    if (proved)
        tell(a, KL_AUDIT_CERTAIN, "", NULL, "");
    else if (strcmp(key->how, "ack") == 0)
        tell(a, KL_AUDIT_DOUBT, key->label, &key->mac,
             "its board said that it stored it, and has not read it back (--confirm ack)");
    else
        tell(a, KL_AUDIT_DOUBT, key->label, &key->mac,
             "spent by the journal's word; the ledger that knew how is lost");
    if (row == UINT32_MAX)
        tell(a, KL_AUDIT_NOTE, key->label, &key->mac,
             "a board has it, and the CSV no longer lists it: it can't be given to it again");
    else if (!t->spent[row])
        tell(a, KL_AUDIT_NOTE, key->label, &key->mac,
             "a board has it, and its row lacks the mark: another tool would give it out again; "
             "the next start adds the mark");
}

static void audit_reserved(struct audit *a, const struct kl_ledger_key *key, uint32_t row)
{
    const struct kl_table *t = a->worker->csv.table;

    if (row != UINT32_MAX && t->spent[row])
        tell(a, KL_AUDIT_DOUBT, key->label, &key->mac,
             "it was promised to this board, and another tool has marked it: two may have it");
    else
        tell(a, KL_AUDIT_DOUBT, key->label, &key->mac,
             row == UINT32_MAX
                 ? "it may be on this board, and the CSV no longer lists it"
                 : "it may be on this board: plug it in, or release it if it did not get it");
}

static bool keep_kin(struct audit *a, const struct kl_ledger_key *key)
{
    if (!kl_fingerprint_is_set(&key->kin))
        return true;
    if ((a->kin_count & (a->kin_count + 1)) == 0) { /* 0, 1, 3, 7 …: room for as many again */
        struct kin *more = reallocarray(a->kin, 2 * a->kin_count + 1, sizeof *more);
        if (!more)
            return false;
        a->kin = more;
    }
    a->kin[a->kin_count] = (struct kin){.kin = key->kin, .mac = key->mac};
    kl_copy(a->kin[a->kin_count].label, sizeof a->kin[0].label, key->label);
    a->kin_count++;
    return true;
}

static bool audit_key(void *ctx, const struct kl_ledger_key *key)
{
    struct audit *a = ctx;
    const struct kl_old_form *form =
        key->old_form ? kl_old_form(&a->worker->forms, &key->fingerprint) : NULL;
    uint32_t row =
        kl_table_find(a->worker->csv.table, form && form->known ? &form->now : &key->fingerprint);

    if (strcmp(key->state, "released") == 0)
        return true;
    if (strcmp(key->state, "provisioned") == 0)
        audit_provisioned(a, key, row);
    else
        audit_reserved(a, key, row);
    a->failed = !keep_kin(a, key);
    return !a->failed;
}

static int by_kin(const void *a, const void *b)
{
    const struct kin *x = a, *y = b;

    return memcmp(&x->kin, &y->kin, sizeof x->kin);
}

static void audit_kin(struct audit *a)
{
    if (a->kin_count > 0)
        qsort(a->kin, a->kin_count, sizeof *a->kin, by_kin);
    for (size_t i = 1; i < a->kin_count; i++)
        if (kl_fingerprint_equal(&a->kin[i].kin, &a->kin[i - 1].kin))
            tell(a, KL_AUDIT_DOUBT, a->kin[i].label, &a->kin[i].mac,
                 "another board has or may have the same secret, in another spelling");
}

/* ---- the CSV's rows ---- */

static int by_print(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct kl_fingerprint));
}

static bool audit_rows(struct audit *a, const struct kl_store_content *c)
{
    struct kl_fingerprint *known = calloc((size_t)c->ledger_count + 1, sizeof *known);

    if (!known)
        return false;
    for (uint32_t i = 0; i < c->ledger_count; i++)
        known[i] = c->ledger[i].fingerprint;
    qsort(known, c->ledger_count, sizeof *known, by_print);
    for (uint32_t i = 0; i < c->row_count; i++)
        if (!c->rows[i].bad && c->rows[i].marked &&
            !bsearch(&c->rows[i].fingerprint, known, c->ledger_count, sizeof *known, by_print))
            tell(a, KL_AUDIT_DOUBT, c->rows[i].label, NULL,
                 "it is marked as spent, and the ledger does not know which board has it");
    free(known);
    return true;
}

/* ---- the journal ---- */

static void audit_missing(struct audit *a, const struct kl_journal_record *r)
{
    const struct kl_table *t = a->worker->csv.table;
    uint32_t row = kl_table_find(t, &r->fingerprint);

    const char *named = r->label[0] != '\0' ? r->label : "?";

    tell(a, KL_AUDIT_DOUBT, row == UINT32_MAX ? named : t->row[row].label, &r->mac,
         r->kind == KL_JOURNAL_PROVISIONED
             ? "by the journal this board has it, and the ledger does not know: it is an old copy"
             : "by the journal this board was promised it or gave it back, and the ledger does not "
               "know: it is an old copy");
}

static bool audit_journal(struct audit *a, char error[KL_TEXT_MAX])
{
    const struct kl_worker *w = a->worker;
    struct kl_difference d;

    if (!w->ledger)
        return true;
    if (!w->witness.journal) {
        tell(a, KL_AUDIT_NOTE, "", NULL,
             "there is no journal of these keys here (see --journal): only the ledger bears "
             "witness, and whether it is an old copy can't be known");
        return true;
    }
    if (!kl_store_compare(w->ledger, w->witness.journal, &d, error))
        return false;
    for (size_t i = 0; i < d.behind_count; i++)
        audit_missing(a, &d.behind[i]);
    if (d.contradictions > 0)
        tell(a, KL_AUDIT_DOUBT, "", NULL,
             "ledger and journal tell different stories of the same change: both an original and a "
             "copy were worked with, and keys may be on two boards");
    kl_difference_free(&d);
    return true;
}

bool kl_csv_store_audit(struct kl_store *store,
                        void (*each)(void *ctx, const struct kl_audit_finding *f), void *ctx,
                        char error[KL_TEXT_MAX])
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;
    struct audit a = {.worker = s->worker, .each = each, .ctx = ctx};
    const struct kl_store_content *c = kl_csv_store_content(store);
    bool ok;

    KL_ASSERT(s->worker && s->worker->look_only);
    error[0] = '\0';
    ok = (!s->worker->ledger || kl_ledger_keys(s->worker->ledger, audit_key, &a, error)) &&
         !a.failed && audit_journal(&a, error) && audit_rows(&a, c);
    if (ok) {
        audit_kin(&a);
        if (c->doubt[0] != '\0')
            tell(&a, KL_AUDIT_DOUBT, "", NULL, c->doubt);
    } else if (error[0] == '\0') {
        kl_copy(error, KL_TEXT_MAX, "no memory");
    }
    free(a.kin);
    return ok;
}
