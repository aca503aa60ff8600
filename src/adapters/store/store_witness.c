/* store_witness.c: compares the ledger and its journal. */
#include <stdlib.h>
#include <string.h>

#include "adapters/host/disk.h"
#include "csv_tag.h"
#include "store_state.h"

/* ---- comparing ---- */

static bool add(struct kl_journal_record **list, size_t *count, const struct kl_journal_record *r)
{
    if ((*count & (*count + 1)) == 0) { /* 0, 1, 3, 7 …: room for as many again */
        struct kl_journal_record *more = reallocarray(*list, 2 * *count + 1, sizeof *more);
        if (!more)
            return false;
        *list = more;
    }
    (*list)[*count] = *r;
    (*list)[*count].label = strdup(!r->label ? "" : r->label);
    return (*list)[(*count)++].label;
}

static void free_list(struct kl_journal_record *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)list[i].label); /* a copy: see add */
    free(list);
}

static struct kl_journal_record record_of(const struct kl_ledger_key *key)
{
    struct kl_journal_record r = {.kind = KL_JOURNAL_RELEASED,
                                  .mac = key->mac,
                                  .change = key->change,
                                  .fingerprint = key->fingerprint,
                                  .kin = key->kin,
                                  .label = key->label,
                                  .wall = key->released};

    if (strcmp(key->state, "reserved") == 0) {
        r.kind = KL_JOURNAL_RESERVED;
        r.wall = key->reserved;
    } else if (strcmp(key->state, "provisioned") == 0) {
        r.kind = KL_JOURNAL_PROVISIONED;
        r.wall = key->provisioned;
    }
    return r;
}

struct comparing {
    struct kl_ledger *ledger;
    const struct kl_journal *journal;
    const struct kl_journal_record *first;
    struct kl_difference *out;
    bool *seen;
    bool failed;
    char *error;
};

/* The journal knows an earlier change of this key, with another board. Did this ledger ever have
   that change? */
static bool contradicts(struct comparing *c, const struct kl_journal_record *r)
{
    bool tells = true;

    c->failed = !kl_ledger_tells(c->ledger, r, &tells, c->error);
    return !tells;
}

/* A copy that was healed has numbers of its own for what it got. Of a proved key they decide
   nothing any more. */
static bool tells_the_same(const struct kl_journal_record *a, const struct kl_journal_record *b)
{
    return a->kind == KL_JOURNAL_PROVISIONED && b->kind == a->kind &&
           kl_mac_equal(&a->mac, &b->mac);
}

static bool compare_key(void *ctx, const struct kl_ledger_key *key)
{
    struct comparing *c = ctx;
    const struct kl_journal_record *r =
        !c->journal ? NULL : kl_journal_find(c->journal, &key->fingerprint);
    struct kl_journal_record own = record_of(key);

    if (key->old_form)
        return true; /* the journal gets the key when it has its new form */
    if (r)
        c->seen[r - c->first] = true;
    /* Nothing takes a proved key from its board. If a later change did, an old copy made it. */
    bool proved = own.kind == KL_JOURNAL_PROVISIONED;
    if (r && !proved && (r->change > key->change || r->kind == KL_JOURNAL_PROVISIONED)) {
        c->failed = !add(&c->out->behind, &c->out->behind_count, r);
    } else if (!r || r->change < key->change || (proved && !tells_the_same(r, &own))) {
        if (r && !kl_mac_equal(&r->mac, &key->mac) && contradicts(c, r))
            c->out->contradictions++;
        c->failed |= !add(&c->out->ahead, &c->out->ahead_count, &own);
    } else if (strcmp(r->label, key->label) != 0) {
        c->failed = !add(&c->out->nameless, &c->out->nameless_count, &own);
    }
    return !c->failed;
}

/* Which of two journals of one key is right: what was proved stays, else the later one. */
static int by_weight(const struct kl_journal_record *x, const struct kl_journal_record *y)
{
    bool proved = x->kind == KL_JOURNAL_PROVISIONED;

    if (proved != (y->kind == KL_JOURNAL_PROVISIONED))
        return proved ? 1 : -1;
    return (x->wall > y->wall) - (x->wall < y->wall);
}

static int by_change(const void *a, const void *b)
{
    const struct kl_journal_record *x = a, *y = b;

    return (x->change > y->change) - (x->change < y->change);
}

bool kl_store_compare(struct kl_ledger *l, const struct kl_journal *j, struct kl_difference *out,
                      char error[KL_TEXT_MAX])
{
    struct comparing c = {.ledger = l, .journal = j, .out = out, .error = error};
    size_t count = 0;

    memset(out, 0, sizeof *out);
    error[0] = '\0';
    if (j)
        c.first = kl_journal_records(j, &count);
    c.seen = calloc(count + 1, sizeof *c.seen);
    c.failed = !c.seen;
    if (!c.failed && !kl_ledger_keys(l, compare_key, &c, error))
        c.failed = true;
    for (size_t i = 0; !c.failed && i < count; i++)
        if (!c.seen[i] && c.first[i].kind != KL_JOURNAL_RELEASED)
            c.failed = !add(&out->behind, &out->behind_count, &c.first[i]);
    free(c.seen);
    if (c.failed && error[0] == '\0')
        kl_copy(error, KL_TEXT_MAX, "no memory for the journal");
    if (out->behind_count > 0)
        qsort(out->behind, out->behind_count, sizeof *out->behind, by_change);
    return !c.failed;
}

void kl_difference_free(struct kl_difference *d)
{
    free_list(d->behind, d->behind_count);
    free_list(d->ahead, d->ahead_count);
    free_list(d->nameless, d->nameless_count);
    memset(d, 0, sizeof *d);
}

/* ---- saying it ---- */

/* The row of a key, in whatever spelling; UINT32_MAX if there is none. */
static uint32_t row_of(const struct kl_table *t, const struct kl_journal_record *r)
{
    uint32_t row = !t ? UINT32_MAX : kl_table_find(t, &r->fingerprint);

    for (uint32_t i = 0; t && row == UINT32_MAX && i < t->count; i++)
        if (!t->row[i].bad && kl_fingerprint_equal(&t->row[i].kin, &r->kin))
            row = i;
    return row;
}

/* As its row is called, else as the journal calls it. `t`: NULL = the CSV was not read. */
static const char *label_of(const struct kl_table *t, const struct kl_journal_record *r)
{
    uint32_t row = row_of(t, r);

    if (row != UINT32_MAX)
        return t->row[row].label;
    if (r->label && r->label[0] != '\0')
        return r->label;
    return t ? "a key that is not in the CSV" : "a key";
}

/* "dev-3 for 24:6f:… and 2 more" */
static void name_some(const struct kl_table *t, const struct kl_journal_record *list, size_t count,
                      char out[KL_TEXT_MAX])
{
    char mac[18];

    kl_mac_format(&list[0].mac, mac);
    kl_format(out, KL_TEXT_MAX, "%.40s for %s", label_of(t, &list[0]), mac);
    if (count > 1)
        kl_format(out + strlen(out), KL_TEXT_MAX - strlen(out), " and %zu more", count - 1);
}

/* Keeps for the history what a person was asked and answered with yes. */
static void take_answer(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    kl_copy(w->witness.healed, sizeof w->witness.healed, error);
    error[0] = '\0';
}

/* ---- keys that were given out from another CSV ---- */

static const char *journal_option(const struct kl_worker *w)
{
    return w->journal[0] == '\0' ? NULL : w->journal;
}

/* Keys, each as its fingerprint and its kin, in order. A kin leads to the secret in whatever
   spelling; the fingerprint leads to the very row even if an earlier version took another kin. */
struct kins {
    struct kl_fingerprint *kin;
    size_t count, room;
};

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct kl_fingerprint));
}

static bool put_kin(struct kins *k, const struct kl_fingerprint *kin)
{
    if (k->count == k->room) {
        size_t room = 2 * k->room + 64;
        struct kl_fingerprint *more = reallocarray(k->kin, room, sizeof *more);
        if (!more)
            return false;
        k->kin = more;
        k->room = room;
    }
    k->kin[k->count++] = *kin;
    return true;
}

static bool put_key(struct kins *k, const struct kl_fingerprint *fp,
                    const struct kl_fingerprint *kin)
{
    return put_kin(k, fp) && put_kin(k, kin);
}

static void sort_kins(struct kins *k)
{
    if (k->count > 0)
        qsort(k->kin, k->count, sizeof *k->kin, by_bytes);
}

static bool has_kin(const struct kins *k, const struct kl_fingerprint *kin)
{
    return k->count > 0 && bsearch(kin, k->kin, k->count, sizeof *k->kin, by_bytes);
}

static bool has_key(const struct kins *k, const struct kl_fingerprint *fp,
                    const struct kl_fingerprint *kin)
{
    return has_kin(k, fp) || has_kin(k, kin);
}

/* What this ledger says of a key that no proof binds to a board: another journal may know better.
 */
struct own_record {
    struct kl_fingerprint kin; /* or its fingerprint: it is found by both */
    struct kl_journal_record record;
};

struct knowing {
    struct kins proved;
    struct own_record *other;
    size_t count, room;
    bool failed;
};

static int by_kin(const void *a, const void *b)
{
    const struct own_record *x = a, *y = b;

    return memcmp(&x->kin, &y->kin, sizeof x->kin);
}

static bool put_own(struct knowing *k, const struct kl_fingerprint *kin,
                    const struct kl_journal_record *r)
{
    if (k->count == k->room) {
        size_t room = 2 * k->room + 64;
        struct own_record *more = reallocarray(k->other, room, sizeof *more);
        if (!more)
            return false;
        k->other = more;
        k->room = room;
    }
    k->other[k->count] = (struct own_record){*kin, *r};
    k->other[k->count++].record.label = NULL; /* the ledger's, and only for now */
    return true;
}

static bool know_key(void *ctx, const struct kl_ledger_key *key)
{
    struct knowing *k = ctx;
    struct kl_journal_record r = record_of(key);

    if (r.kind == KL_JOURNAL_PROVISIONED)
        k->failed = !put_key(&k->proved, &key->fingerprint, &key->kin);
    else
        k->failed = !put_own(k, &key->fingerprint, &r) ||
                    (kl_fingerprint_is_set(&key->kin) && !put_own(k, &key->kin, &r));
    return !k->failed;
}

static void forget_known(struct knowing *k)
{
    free(k->proved.kin);
    free(k->other);
}

static const struct kl_journal_record *find_other(const struct knowing *k,
                                                  const struct kl_fingerprint *kin)
{
    struct own_record wanted = {.kin = *kin};
    const struct own_record *found =
        k->count == 0 ? NULL : bsearch(&wanted, k->other, k->count, sizeof wanted, by_kin);

    return !found ? NULL : &found->record;
}

/* NULL: the ledger does not know the key. */
static const struct kl_journal_record *own_record(const struct knowing *k,
                                                  const struct kl_journal_record *r)
{
    const struct kl_journal_record *own = find_other(k, &r->fingerprint);

    return own || !kl_fingerprint_is_set(&r->kin) ? own : find_other(k, &r->kin);
}

/* Another list's bench has known this for less time than this ledger knows what it says. */
static bool is_news(const struct kl_journal_record *own, const struct kl_journal_record *r)
{
    if (!own || own->kind == KL_JOURNAL_RELEASED)
        return r->kind == KL_JOURNAL_PROVISIONED ||
               (r->kind == KL_JOURNAL_RESERVED && (!own || r->wall > own->wall));
    if (r->kind == KL_JOURNAL_RESERVED && kl_mac_equal(&own->mac, &r->mac))
        return false;
    return r->kind == KL_JOURNAL_PROVISIONED || r->wall > own->wall;
}

static const struct kl_fingerprint *secret_of(const struct kl_journal_record *r)
{
    return kl_fingerprint_is_set(&r->kin) ? &r->kin : &r->fingerprint;
}

static int by_key(const void *a, const void *b)
{
    const struct kl_journal_record *x = a, *y = b;
    int order = by_bytes(secret_of(x), secret_of(y));

    return order != 0 ? order : by_weight(y, x);
}

struct asking {
    const struct kl_worker *w;
    struct kl_difference *found;
    struct kins free;   /* secrets of the rows that a board could get */
    struct kins marked; /* … and of those that no board can get */
    struct knowing known;
    size_t loud; /* of the news: about rows that are not marked */
    char of[512];
    bool failed;
};

/* Several journals may know a key: each of a list that was worked on in several places. Keeps what
   the right one says, if it is news. */
static void keep_news(struct asking *a)
{
    const struct knowing *known = &a->known;
    struct kl_difference *d = a->found;
    struct kl_journal_record *r = d->behind;
    struct kl_fingerprint secret = {{0}};
    size_t kept = 0;

    if (d->behind_count > 0)
        qsort(r, d->behind_count, sizeof *r, by_key);
    for (size_t i = 0; i < d->behind_count; i++) {
        struct kl_journal_record one = r[i];
        bool first = i == 0 || by_bytes(&secret, secret_of(&one)) != 0;
        bool marked = has_key(&a->marked, &one.fingerprint, &one.kin);
        const struct kl_journal_record *own = own_record(known, &one);

        secret = *secret_of(&one);
        bool others = own && own->kind != KL_JOURNAL_RELEASED && !kl_mac_equal(&own->mac, &one.mac);

        if (!first || !is_news(own, &one) || (marked && others)) {
            free((char *)(uintptr_t)one.label);
            continue;
        }
        if (own)
            one.fingerprint = own->fingerprint; /* as this ledger spells it */
        a->loud += !marked;
        r[kept++] = one;
    }
    d->behind_count = kept;
}

static bool is_own(const struct kl_worker *w, const struct kl_journal *j)
{
    return w->ledger && kl_journal_is_of(j, &w->witness.home.id);
}

struct hearing {
    const struct kl_worker *w;
    struct kins told; /* keys of other CSVs' journals */
    bool failed;
};

static bool hear_journal(void *ctx, const struct kl_journal *j)
{
    struct hearing *h = ctx;
    size_t count;
    const struct kl_journal_record *r = kl_journal_records(j, &count);

    for (size_t i = 0; i < count && !h->failed && !is_own(h->w, j); i++)
        h->failed = !put_key(&h->told, &r[i].fingerprint, &r[i].kin);
    return !h->failed;
}

/* The rows among those that a journal tells of: nobody is asked about marked ones. Without a ledger
   we ask about these too: the journal knows which board has the key. */
static bool find_free(struct kl_worker *w, const struct kl_table *t, const struct kins *told,
                      struct asking *a, char error[KL_TEXT_MAX])
{
    struct knowing *known = &a->known;
    bool ok;

    error[0] = '\0';
    ok = (!w->ledger || kl_ledger_keys(w->ledger, know_key, known, error)) && !known->failed;
    sort_kins(&known->proved);
    if (known->count > 0)
        qsort(known->other, known->count, sizeof *known->other, by_kin);
    for (uint32_t i = 0; ok && i < t->count; i++) {
        const struct kl_pool_row *row = &t->row[i];
        if (!row->bad && has_key(told, &row->fingerprint, &row->kin) &&
            !has_key(&known->proved, &row->fingerprint, &row->kin))
            ok = put_key(w->ledger && row->marked ? &a->marked : &a->free, &row->fingerprint,
                         &row->kin);
    }
    sort_kins(&a->free);
    sort_kins(&a->marked);
    return ok;
}

static bool ask_journal(void *ctx, const struct kl_journal *j)
{
    struct asking *a = ctx;
    size_t count;
    const struct kl_journal_record *r = kl_journal_records(j, &count);

    if (is_own(a->w, j))
        return true; /* kl_store_settle_witness compares our own journal */
    for (size_t i = 0; i < count && !a->failed; i++) {
        if (!has_key(&a->free, &r[i].fingerprint, &r[i].kin) &&
            (r[i].kind == KL_JOURNAL_RELEASED ||
             !has_key(&a->marked, &r[i].fingerprint, &r[i].kin)))
            continue;
        a->failed = !add(&a->found->behind, &a->found->behind_count, &r[i]);
    }
    return !a->failed;
}

/* Where the first of the news comes from. */
static bool find_source(void *ctx, const struct kl_journal *j)
{
    struct asking *a = ctx;
    const struct kl_journal_record *first = &a->found->behind[0];
    size_t count;
    const struct kl_journal_record *r = kl_journal_records(j, &count);

    for (size_t i = 0; i < count && a->of[0] == '\0' && !is_own(a->w, j); i++)
        if (by_bytes(secret_of(&r[i]), secret_of(first)) == 0 && r[i].wall == first->wall)
            kl_copy(a->of, sizeof a->of, kl_journal_of(j));
    return a->of[0] == '\0';
}

static void say_given(struct asking *a, const struct kl_table *fresh, char error[KL_TEXT_MAX])
{
    const struct kl_difference *d = a->found;
    const char *words = ": keys that its ledger does not know were given out";
    bool released = true;
    char some[KL_TEXT_MAX];

    for (size_t i = 0; i < d->behind_count; i++)
        released &= d->behind[i].kind == KL_JOURNAL_RELEASED;
    if (!a->w->ledger)
        words = " has no ledger, but keys of it were given out";
    else if (released)
        words = ": keys that its ledger still holds were released";
    kl_journal_each(a->w->witness.folder, find_source, a);
    name_some(fresh, d->behind, d->behind_count, some);
    kl_format(error, KL_TEXT_MAX, "%s%s on this host from %s: %s", kl_shown(a->w->csv.named), words,
              kl_shown(a->of), some);
}

enum kl_store_open_result kl_store_ask_about(struct kl_worker *w, const struct kl_table *fresh,
                                             bool answered, struct kl_difference *found,
                                             char error[KL_TEXT_MAX])
{
    struct asking a = {.w = w, .found = found};
    struct hearing heard = {.w = w};
    char some[KL_TEXT_MAX];

    memset(found, 0, sizeof *found);
    if (!kl_journal_folder(journal_option(w), false, w->witness.folder, some))
        return KL_STORE_OPENED; /* there are no journals */
    /* A CSV may have a million rows, and journals seldom tell of many: those are sorted. */
    kl_journal_each(w->witness.folder, hear_journal, &heard);
    sort_kins(&heard.told);
    a.failed =
        heard.failed || (heard.told.count > 0 && !find_free(w, fresh, &heard.told, &a, error));
    if (!a.failed && a.free.count + a.marked.count > 0)
        kl_journal_each(w->witness.folder, ask_journal, &a);
    free(heard.told.kin);
    keep_news(&a);
    free(a.free.kin);
    free(a.marked.kin);
    forget_known(&a.known);
    if (a.failed) {
        if (error[0] == '\0')
            kl_copy(error, KL_TEXT_MAX, "no memory for the journal");
        return KL_STORE_BROKEN;
    }
    if (a.loud == 0)
        return KL_STORE_OPENED;
    say_given(&a, fresh, error);
    if (!answered)
        return KL_STORE_DOUBT;
    take_answer(w, error);
    return KL_STORE_OPENED;
}

enum kl_store_open_result kl_store_ask_journals(struct kl_worker *w, bool answered,
                                                struct kl_difference *found,
                                                char error[KL_TEXT_MAX])
{
    return kl_store_ask_about(w, w->csv.table, answered, found, error);
}

/* ---- the CSV's tag ---- */

static bool is_same(const struct kl_pool_id *a, const struct kl_pool_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

enum kl_store_open_result kl_store_ask_tag(struct kl_worker *w, bool answered,
                                           char error[KL_TEXT_MAX])
{
    char folder[PATH_MAX], why[KL_TEXT_MAX];
    struct kl_journal *j = NULL;
    struct kl_pool_id tag;
    bool known;

    if (!kl_csv_tag_read(w->csv.real, &tag) || is_same(&tag, &w->witness.home.id))
        return KL_STORE_OPENED;
    if (kl_journal_folder(journal_option(w), false, folder, why))
        j = kl_journal_open(folder, &tag, why);
    known = j != NULL;
    kl_journal_close(j);
    if (known)
        return KL_STORE_OPENED; /* kl_store_ask_journals asks it what was given out */
    kl_format(error, KL_TEXT_MAX,
              "%s: keys of it were given out with a ledger that is not here, and no journal tells "
              "which: put its ledger back, or name its journals with --journal",
              kl_shown(w->csv.named));
    if (!answered)
        return KL_STORE_DOUBT;
    take_answer(w, error);
    w->witness.must_tag = true;
    return KL_STORE_OPENED;
}

void kl_store_tag(struct kl_worker *w)
{
    struct kl_witness *v = &w->witness;
    struct kl_pool_id tag;

    if (v->tagged || w->csv.out)
        return; /* a thread that marks the file would take a new tag for somebody's change */
    v->tagged = true;
    if (!kl_csv_tag_read(w->csv.real, &tag) || !is_same(&tag, &v->home.id))
        kl_csv_file_tag(&w->csv, &v->home.id);
}

/* ---- a ledger and its journal ---- */

/* Whatever this ledger changes from here on gets a number behind `last`: it is later than all that
   the journal knows, also of another copy. */
static bool restore_all(struct kl_worker *w, const struct kl_table *rows,
                        const struct kl_difference *d, int64_t last, char error[KL_TEXT_MAX])
{
    if (d->behind_count == 0 && last == 0)
        return true;
    if (!kl_ledger_begin(w->ledger, error))
        return false;
    if ((w->witness.holds && !kl_store_still_ours(w, error)) ||
        !kl_ledger_skip_to(w->ledger, last, error))
        goto failed;
    for (size_t i = 0; i < d->behind_count; i++)
        if (!kl_ledger_restore(w->ledger, &d->behind[i], label_of(rows, &d->behind[i]), w->station,
                               kl_store_wall_clock(), error))
            goto failed;
    if (kl_ledger_commit(w->ledger, error))
        return true;
failed:
    kl_ledger_rollback(w->ledger);
    return false;
}

static void say_old(const struct kl_worker *w, const struct kl_difference *d,
                    char error[KL_TEXT_MAX])
{
    char some[KL_TEXT_MAX];

    if (d->behind_count > 0) {
        name_some(w->csv.table, d->behind, d->behind_count, some);
        kl_format(error, KL_TEXT_MAX, "%s: the ledger is an old copy: by its journal it lacks %s",
                  kl_shown(w->csv.named), some);
    } else if (d->contradictions > 0) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: ledger and journal tell different stories of %zu keys: both a copy and the "
                  "original were worked with; see keyline keys audit",
                  kl_shown(w->csv.named), d->contradictions);
    } else {
        kl_format(error, KL_TEXT_MAX,
                  "%s: the ledger was copied, or left in a hurry, and its -wal file is missing; no "
                  "journal tells what it lacks",
                  kl_shown(w->csv.named));
    }
}

/* Opens the journal, or leaves NULL: then another function makes it anew. A damaged one counts as
   lost. */
static bool open_journal(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;

    if (!kl_journal_folder(journal_option(w), !w->look_only, v->folder, error))
        return false;
    v->journal = kl_journal_open(v->folder, &v->home.id, error);
    return true;
}

static bool make_journal(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;
    struct kl_difference all;

    kl_journal_close(v->journal);
    v->journal = NULL;
    /* Somebody may have deleted the folder, too. */
    if (!kl_journal_folder(journal_option(w), true, v->folder, error))
        return false;
    if (kl_store_compare(w->ledger, NULL, &all, error))
        v->journal = kl_journal_make(v->folder, &v->home.id, v->home.path, all.ahead,
                                     all.ahead_count, error);
    kl_difference_free(&all);
    if (v->journal)
        kl_journal_forget(v->journal);
    return v->journal;
}

bool kl_store_complete_journal(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;
    struct kl_difference d;
    bool ok;

    if (v->journal && kl_journal_has_forgotten(v->journal)) {
        kl_journal_close(v->journal);
        v->journal = kl_journal_open(v->folder, &v->home.id, error);
        error[0] = '\0'; /* a damaged one is made anew */
    }
    if (!v->journal || strcmp(kl_journal_of(v->journal), v->home.path) != 0)
        return make_journal(w, error);
    ok = kl_store_compare(w->ledger, v->journal, &d, error) &&
         ((kl_journal_append(v->journal, d.ahead, d.ahead_count, error) &&
           kl_journal_append(v->journal, d.nameless, d.nameless_count, error) &&
           kl_journal_sync(v->journal, error)) ||
          make_journal(w, error));
    kl_difference_free(&d);
    if (v->journal)
        kl_journal_forget(v->journal); /* what follows is only written */
    return ok;
}

bool kl_store_restore(struct kl_worker *w, const struct kl_difference *found,
                      char error[KL_TEXT_MAX])
{
    return restore_all(w, w->csv.table, found, 0, error) && kl_store_complete_journal(w, error);
}

bool kl_store_take_over(struct kl_worker *w, const struct kl_table *rows,
                        const struct kl_difference *found, char error[KL_TEXT_MAX])
{
    return restore_all(w, rows, found, 0, error);
}

static enum kl_store_open_result weigh(struct kl_worker *w, bool answered,
                                       const struct kl_difference *d, char error[KL_TEXT_MAX])
{
    const struct kl_journal *j = w->witness.journal;
    bool suspicious = d->behind_count > 0 || d->contradictions > 0 || (w->witness.cut && !j);

    if (suspicious) {
        say_old(w, d, error);
        if (!answered)
            return KL_STORE_DOUBT;
        take_answer(w, error);
    }
    if (w->look_only || restore_all(w, w->csv.table, d, !j ? 0 : kl_journal_last_change(j), error))
        return KL_STORE_OPENED;
    return KL_STORE_BROKEN;
}

enum kl_store_open_result kl_store_settle_witness(struct kl_worker *w, bool answered,
                                                  const struct kl_difference *found,
                                                  char error[KL_TEXT_MAX])
{
    enum kl_store_open_result result;
    struct kl_difference d;

    if (!open_journal(w, error))
        return w->look_only ? KL_STORE_OPENED : KL_STORE_BROKEN;
    if (!kl_store_compare(w->ledger, w->witness.journal, &d, error)) {
        result = KL_STORE_BROKEN;
    } else {
        result = weigh(w, answered, &d, error);
        if (result == KL_STORE_OPENED && !w->look_only && !kl_store_restore(w, found, error))
            result = KL_STORE_BROKEN;
    }
    kl_difference_free(&d);
    return result;
}

/* ---- while a station runs ---- */

bool kl_store_witness_ready(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;

    return (v->journal && kl_journal_is_whole(v->journal)) || make_journal(w, error);
}

bool kl_store_witness_add(struct kl_worker *w, const struct kl_journal_record *records,
                          size_t count, bool now, char error[KL_TEXT_MAX])
{
    struct kl_witness *v = &w->witness;

    if (!v->journal)
        return make_journal(w, error);
    if (kl_journal_append(v->journal, records, count, error) &&
        (!now || kl_journal_sync(v->journal, error)))
        return true;
    kl_journal_close(v->journal);
    v->journal = NULL; /* nobody knows what is on disk */
    return false;
}

void kl_store_witness_rest(struct kl_worker *w)
{
    struct kl_witness *v = &w->witness;
    char error[KL_TEXT_MAX];

    if (!v->journal || kl_journal_sync(v->journal, error))
        return;
    kl_journal_close(v->journal);
    v->journal = NULL;
}
