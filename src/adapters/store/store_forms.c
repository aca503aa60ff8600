/*
 * store_forms.c: keys of a ledger of the first format. There a key's fingerprint holds its label,
 * so a corrected label made another key of it. The CSV's rows tell which of today's keys each of
 * them is: we try a row with its own label, and with the ledger's labels.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyline/bundle_load.h"
#include "store_state.h"

enum {
    DIGEST = 32,
    GUESSES_MAX = 20 * 1000 * 1000, /* so many labels we try on rows */
};

struct collecting {
    struct kl_old_forms *forms;
    bool failed;
};

static bool collect(void *ctx, const struct kl_ledger_key *key)
{
    struct collecting *c = ctx;
    struct kl_old_forms *f = c->forms;

    if (!key->old_form || strcmp(key->state, "released") == 0)
        return true;
    if ((f->count & (f->count + 1)) == 0) { /* 0, 1, 3, 7 …: room for as many again */
        struct kl_old_form *more = realloc(f->item, (2 * (size_t)f->count + 1) * sizeof *more);
        if (!more) {
            c->failed = true;
            return false;
        }
        f->item = more;
    }
    f->item[f->count] = (struct kl_old_form){.old = key->fingerprint};
    kl_sha256(key->label, strlen(key->label), f->item[f->count].label);
    f->count++;
    return true;
}

static int by_old(const void *a, const void *b)
{
    const struct kl_old_form *x = a, *y = b;

    return memcmp(&x->old, &y->old, sizeof x->old);
}

struct kl_old_form *kl_old_form(const struct kl_old_forms *f, const struct kl_fingerprint *old)
{
    struct kl_old_form wanted = {.old = *old};

    return f->count == 0 ? NULL : bsearch(&wanted, f->item, f->count, sizeof wanted, by_old);
}

static bool take(struct kl_old_forms *f, const struct kl_key *key, const uint8_t (*digests)[DIGEST])
{
    struct kl_fingerprint old;
    struct kl_old_form *form;

    kl_fingerprint_with_label(&old, digests, key->count, kl_sha256);
    form = kl_old_form(f, &old);
    if (!form || form->known)
        return form;
    form->known = true;
    form->now = key->fingerprint;
    form->kin = key->kin;
    f->unknown--;
    return true;
}

static void try_row(struct kl_old_forms *f, const struct kl_key *key, bool other_labels)
{
    uint8_t digests[KL_COLUMNS_MAX][DIGEST];

    kl_key_digests(key, digests, kl_sha256);
    if (!take(f, key, (const uint8_t(*)[DIGEST])digests) && other_labels) {
        for (uint32_t i = 0; i < f->count; i++) {
            if (f->item[i].known)
                continue;
            memcpy(digests[0], f->item[i].label, DIGEST);
            take(f, key, (const uint8_t(*)[DIGEST])digests);
        }
    }
    kl_wipe(digests, sizeof digests);
}

static void try_rows(struct kl_worker *w, bool other_labels)
{
    const struct kl_table *t = w->csv.table;
    struct kl_old_forms *f = &w->forms;
    struct kl_key key;
    bool marked;
    int fd = open(w->csv.real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    for (uint32_t i = 0; fd >= 0 && i < t->count && f->unknown > 0; i++)
        if (!t->row[i].bad && kl_table_read_row(t, fd, i, &key, NULL, &marked))
            try_row(f, &key, other_labels);
    kl_wipe(&key, sizeof key);
    if (fd >= 0)
        close(fd);
}

bool kl_store_find_forms(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_old_forms *f = &w->forms;
    struct collecting c = {.forms = f};

    f->count = 0;
    if (w->ledger && !kl_ledger_keys(w->ledger, collect, &c, error))
        return false;
    if (c.failed) {
        kl_copy(error, KL_TEXT_MAX, "no memory for the ledger's rows");
        return false;
    }
    f->unknown = f->count;
    if (f->count == 0)
        return true;
    qsort(f->item, f->count, sizeof *f->item, by_old);
    try_rows(w, false);
    if (f->unknown > 0 && (uint64_t)f->unknown * w->csv.table->count <= GUESSES_MAX)
        try_rows(w, true);
    return true;
}

bool kl_store_keep_forms(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    const struct kl_old_forms *f = &w->forms;

    KL_ASSERT(!w->look_only);
    if (f->count == f->unknown)
        return true;
    if (!kl_ledger_begin(w->ledger, error))
        return false;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct kl_old_form *form = &f->item[i];
        if (form->known &&
            !kl_ledger_new_form(w->ledger, &form->old, &form->now, &form->kin, error)) {
            kl_ledger_rollback(w->ledger);
            return false;
        }
    }
    return kl_ledger_commit(w->ledger, error);
}

/* ---- kins of an earlier version ---- */

struct kinless {
    const struct kl_table *table;
    uint32_t *row, count, capacity; /* rows whose kin the ledger has otherwise */
    bool failed;
};

static bool collect_kinless(void *ctx, const struct kl_ledger_key *key)
{
    struct kinless *k = ctx;
    uint32_t row = kl_table_find(k->table, &key->fingerprint);

    if (key->old_form || row == UINT32_MAX ||
        kl_fingerprint_equal(&k->table->row[row].kin, &key->kin))
        return true;
    if (k->count == k->capacity) {
        uint32_t capacity = 2 * k->capacity + 16;
        uint32_t *more = reallocarray(k->row, capacity, sizeof *more);
        if (!more) {
            k->failed = true;
            return false;
        }
        k->row = more;
        k->capacity = capacity;
    }
    k->row[k->count++] = row;
    return true;
}

static bool write_kins(struct kl_worker *w, const struct kinless *k, char error[KL_TEXT_MAX])
{
    if (!kl_ledger_begin(w->ledger, error))
        return false;
    for (uint32_t i = 0; i < k->count; i++) {
        const struct kl_pool_row *row = &k->table->row[k->row[i]];
        if (!kl_ledger_new_kin(w->ledger, &row->fingerprint, &row->kin, error)) {
            kl_ledger_rollback(w->ledger);
            return false;
        }
    }
    return kl_ledger_commit(w->ledger, error);
}

bool kl_store_keep_kins(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kinless k = {.table = w->csv.table};
    bool ok;

    KL_ASSERT(!w->look_only);
    ok = kl_ledger_keys(w->ledger, collect_kinless, &k, error);
    if (ok && k.failed) {
        kl_copy(error, KL_TEXT_MAX, "no memory for the ledger's rows");
        ok = false;
    }
    ok = ok && (k.count == 0 || write_kins(w, &k, error));
    free(k.row);
    return ok;
}
