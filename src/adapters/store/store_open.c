/* store_open.c: opens and frees a store that is a CSV with a ledger beside it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "csv_mark.h"
#include "keyline/secret.h"
#include "leased_list.h"
#include "store_state.h"

static const struct kl_store_kind csv_store = {
    .content = kl_csv_store_content,
    .start = kl_csv_store_start,
    .submit = kl_csv_store_submit,
    .answer = kl_csv_store_answer,
    .close = kl_csv_store_close,
    .free = kl_csv_store_free,
    .has_record = kl_csv_store_has_record,
    .keys = kl_csv_store_keys,
    .history = kl_csv_store_history,
    .audit = kl_csv_store_audit,
    .release = kl_csv_store_release,
    .note = kl_csv_store_note,
    .pool = kl_csv_store_pool,
    .read_key = kl_csv_store_read_key,
    .header = kl_csv_store_header,
};

static bool holds(enum kl_store_mode mode)
{
    return mode == KL_STORE_WORK || mode == KL_STORE_MEND;
}

static enum kl_store_open_result take_lock(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    char text[KL_TEXT_MAX];

    switch (kl_lock_take(&w->lock, w->csv.real, text)) {
    case KL_LOCK_TAKEN:
        return KL_STORE_OPENED;
    case KL_LOCK_HELD:
        kl_format(error, KL_TEXT_MAX, "another station works on %s: %s", kl_shown(w->csv.named),
                  text);
        return KL_STORE_HELD;
    default:
        kl_copy(error, KL_TEXT_MAX, text);
        return KL_STORE_BROKEN;
    }
}

void kl_csv_store_holder(const char *csv, char text[KL_TEXT_MAX])
{
    char real[PATH_MAX];

    text[0] = '\0';
    if (realpath(csv, real))
        kl_lock_holder(real, text);
}

static enum kl_store_open_result load_csv(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    struct stat st;

    if (kl_csv_file_load(&w->csv, error) != KL_TABLE_OK)
        return KL_STORE_BAD_CSV;
    if (!w->look_only && stat(w->csv.real, &st) == 0 && st.st_nlink > 1) {
        kl_format(error, KL_TEXT_MAX,
                  "%s has %u names (hard links), and marking it would leave the others unmarked: "
                  "remove them, or use symbolic links",
                  kl_shown(w->csv.named), (unsigned)st.st_nlink);
        return KL_STORE_BAD_CSV;
    }
    return KL_STORE_OPENED;
}

static bool answered(const struct kl_store_options *o, enum kl_doubt doubt)
{
    return (o->answers >> doubt & 1) != 0;
}

/* A doubt stops a station. A person who only looks learns of the first doubt. */
static enum kl_store_open_result weigh(struct kl_csv_store *s, const struct kl_store_options *o,
                                       enum kl_doubt what, enum kl_store_open_result result,
                                       char error[KL_TEXT_MAX])
{
    if (result == KL_STORE_DOUBT && o->doubt)
        *o->doubt = what;
    if (result == KL_STORE_OPENED || !s->worker->look_only)
        return result;
    KL_ASSERT(s->shown);
    if (s->shown->content.doubt[0] == '\0')
        kl_copy(s->shown->content.doubt, sizeof s->shown->content.doubt, error);
    error[0] = '\0';
    return KL_STORE_OPENED;
}

static enum kl_store_open_result open_ledger(struct kl_worker *w, enum kl_store_mode mode,
                                             const char *path, char error[KL_TEXT_MAX])
{
    static const enum kl_ledger_mode how[] = {
        [KL_STORE_WORK] = KL_LEDGER_CREATE,
        [KL_STORE_LOOK] = KL_LEDGER_READ,
        [KL_STORE_RECORD] = KL_LEDGER_READ,
        [KL_STORE_MEND] = KL_LEDGER_CHANGE,
    };

    w->ledger =
        kl_ledger_open(path, how[mode], w->witness.storage.kind == KL_STORAGE_SHARED, error);
    return !w->ledger && error[0] != '\0' ? KL_STORE_BROKEN : KL_STORE_OPENED;
}

/* Records in the history what somebody let pass: it is part of what became of the keys. */
bool kl_store_record(struct kl_worker *w, const char *what, const char *why,
                     char error[KL_TEXT_MAX])
{
    struct kl_ledger_change c = {.label = "",
                                 .reason = why,
                                 .station = w->station,
                                 .bundle = w->bundle,
                                 .wall = kl_store_wall_clock()};

    if (kl_ledger_begin(w->ledger, error) &&
        kl_ledger_note(w->ledger, what, &c, error) == KL_STORE_OK &&
        kl_ledger_commit(w->ledger, error))
        return true;
    kl_ledger_rollback(w->ledger);
    return false;
}

static enum kl_store_open_result record_accepted(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    char kinds[KL_TEXT_MAX];

    if (w->csv.table->verdict.count > 0) {
        kl_csv_verdict_words(&w->csv.table->verdict, kinds);
        if (!kl_store_record(w, "accepted", kinds, error))
            return KL_STORE_BROKEN;
    }
    if (w->witness.storage.kind >= KL_STORAGE_FORGETS &&
        !kl_store_record(w, "volatile", w->witness.storage.text, error))
        return KL_STORE_BROKEN;
    if (w->witness.healed[0] != '\0' && !kl_store_record(w, "healed", w->witness.healed, error))
        return KL_STORE_BROKEN;
    return KL_STORE_OPENED;
}

static enum kl_store_open_result show(struct kl_csv_store *s, bool absent, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;
    const struct kl_table *t = w->csv.table;

    s->shown = kl_store_show(w, error);
    if (!s->shown)
        return KL_STORE_BROKEN;
    for (uint32_t i = 0; absent && i < t->count; i++)
        s->shown->content.lost_ledger |= t->row[i].marked;
    return KL_STORE_OPENED;
}

/* What may stop a station, in the order in which the store asks about it. The store writes nothing
   before it knows that nobody else works here and that this ledger is at home. */
static enum kl_store_open_result settle_all(struct kl_csv_store *s,
                                            const struct kl_store_options *o,
                                            const struct kl_difference *found,
                                            char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result;

    if ((result = kl_store_ask_lease(w, error)) != KL_STORE_OPENED && !w->look_only)
        return result;
    result = kl_store_settle_home(w, answered(o, KL_DOUBT_MOVED), error);
    if ((result = weigh(s, o, KL_DOUBT_MOVED, result, error)) != KL_STORE_OPENED)
        return result;
    if (!w->look_only && (!kl_store_find_forms(w, error) || !kl_store_keep_forms(w, error) ||
                          !kl_store_keep_kins(w, error)))
        return KL_STORE_BROKEN;
    result = kl_store_settle_witness(w, answered(o, KL_DOUBT_OLD), found, error);
    return weigh(s, o, KL_DOUBT_OLD, result, error);
}

static enum kl_store_open_result
settle_names(struct kl_csv_store *s, const struct kl_store_options *o, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;

    return weigh(s, o, KL_DOUBT_RENAMED,
                 kl_store_settle_names(w, answered(o, KL_DOUBT_RENAMED), error), error);
}

/* Rows that came here since the last start, and that a station gave out from another CSV of this
   host. */
static enum kl_store_open_result
settle_others(struct kl_csv_store *s, const struct kl_store_options *o, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result;
    struct kl_difference found;

    result = kl_store_ask_journals(w, answered(o, KL_DOUBT_OLD), &found, error);
    result = weigh(s, o, KL_DOUBT_OLD, result, error);
    if (result == KL_STORE_OPENED && !w->look_only && found.behind_count > 0 &&
        !kl_store_restore(w, &found, error))
        result = KL_STORE_BROKEN;
    kl_difference_free(&found);
    return result;
}

static enum kl_store_open_result
settle_tag(struct kl_csv_store *s, const struct kl_store_options *o, char error[KL_TEXT_MAX])
{
    return weigh(s, o, KL_DOUBT_OLD, kl_store_ask_tag(s->worker, answered(o, KL_DOUBT_OLD), error),
                 error);
}

/* For a station. */
static enum kl_store_open_result open_to_work(struct kl_csv_store *s,
                                              const struct kl_store_options *o, const char *path,
                                              char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result;
    struct kl_difference found = {0};
    bool absent;

    result = kl_store_settle_storage(w, answered(o, KL_DOUBT_STORAGE), error);
    if ((result = weigh(s, o, KL_DOUBT_STORAGE, result, error)) != KL_STORE_OPENED ||
        (result = load_csv(w, error)) != KL_STORE_OPENED)
        return result;
    if (!kl_csv_mark_clean(w->csv.table, error))
        return KL_STORE_BAD_CSV;
    absent = access(path, F_OK) != 0 && errno == ENOENT;
    result = absent ? kl_store_ask_journals(w, answered(o, KL_DOUBT_OLD), &found, error)
                    : KL_STORE_OPENED;
    if ((result = weigh(s, o, KL_DOUBT_OLD, result, error)) == KL_STORE_OPENED &&
        (!absent || (result = settle_tag(s, o, error)) == KL_STORE_OPENED) &&
        (result = open_ledger(w, o->mode, path, error)) == KL_STORE_OPENED &&
        (result = settle_all(s, o, &found, error)) == KL_STORE_OPENED &&
        (absent || ((result = settle_others(s, o, error)) == KL_STORE_OPENED &&
                    (result = settle_tag(s, o, error)) == KL_STORE_OPENED)) &&
        (result = settle_names(s, o, error)) == KL_STORE_OPENED &&
        (result = show(s, absent, error)) == KL_STORE_OPENED &&
        (result = record_accepted(w, error)) == KL_STORE_OPENED)
        result = kl_store_take_lease(w, error);
    if (result == KL_STORE_OPENED && w->witness.must_tag)
        kl_store_tag(w);
    w->csv.weigh = kl_store_weigh_list;
    w->csv.weigh_ctx = w;
    kl_difference_free(&found);
    return result;
}

/* Opens for people: writes nothing, and only tells what would stop a station. */
static enum kl_store_open_result open_to_look(struct kl_csv_store *s,
                                              const struct kl_store_options *o, const char *path,
                                              char error[KL_TEXT_MAX])
{
    static const struct kl_difference none;
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result, storage;
    char trouble[KL_TEXT_MAX] = "";
    bool absent = access(path, F_OK) != 0 && errno == ENOENT;

    storage = kl_store_settle_storage(w, false, trouble);
    if ((result = load_csv(w, error)) != KL_STORE_OPENED ||
        (result = open_ledger(w, o->mode, path, error)) != KL_STORE_OPENED)
        return result;
    if (!kl_store_find_forms(w, error))
        return KL_STORE_BROKEN;
    if ((result = show(s, absent, error)) != KL_STORE_OPENED)
        return result;
    weigh(s, o, KL_DOUBT_STORAGE, storage, trouble);
    if ((w->ledger && (result = settle_all(s, o, &none, error)) != KL_STORE_OPENED) ||
        (result = settle_others(s, o, error)) != KL_STORE_OPENED ||
        (result = settle_tag(s, o, error)) != KL_STORE_OPENED)
        return result;
    return settle_names(s, o, error);
}

/* An old copy, or another bench's ledger, may not know that a board has a key: a release would free
   it. A station asks a person about such a ledger. This refuses it, because it asks nobody. */
static enum kl_store_open_result open_to_mend(struct kl_csv_store *s,
                                              const struct kl_store_options *o, const char *path,
                                              char error[KL_TEXT_MAX])
{
    static const struct kl_difference none;
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result;

    kl_disk->look(path, false, &w->witness.storage);
    if ((result = open_ledger(w, o->mode, path, error)) != KL_STORE_OPENED || !w->ledger ||
        (result = kl_store_ask_lease(w, error)) != KL_STORE_OPENED)
        return result;
    w->look_only = true;
    if ((result = kl_store_settle_home(w, false, error)) == KL_STORE_OPENED)
        result = kl_store_settle_witness(w, false, &none, error);
    w->look_only = false;
    return result;
}

static enum kl_store_open_result
open_parts(struct kl_csv_store *s, const struct kl_store_options *o, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = s->worker;
    enum kl_store_open_result result;
    char path[PATH_MAX];

    /* A person may look at the record even if the CSV is gone. */
    unsigned layout = !o->header ? KL_CSV_PLAIN : o->long_keys ? KL_CSV_LONG : KL_CSV_HEADED;
    if (!kl_csv_file_init(&w->csv, o->csv, layout, &w->lock, error) && o->mode != KL_STORE_RECORD)
        return KL_STORE_BAD_CSV;
    w->csv.leased = o->leased;
    if (!o->leased && kl_leased_recognise(w->csv.real, &w->looked)) {
        if (o->mode == KL_STORE_WORK) {
            kl_format(
                error, KL_TEXT_MAX,
                "%s: these keys are sealed, and a shared pool gave them to this station: start "
                "it with --pool",
                kl_shown(w->csv.named));
            return KL_STORE_BAD_CSV;
        }
        w->csv.leased = &w->looked;
    }
    w->csv.accepted = o->mode == KL_STORE_WORK ? o->accept : UINT32_MAX;
    error[0] = '\0';
    if (!kl_ledger_path(w->csv.real[0] != '\0' ? w->csv.real : w->csv.named, path)) {
        kl_format(error, KL_TEXT_MAX, "%s: the path is too long", kl_shown(w->csv.named));
        return KL_STORE_BAD_CSV;
    }
    if (holds(o->mode) && (result = take_lock(w, error)) != KL_STORE_OPENED)
        return result;
    if (o->mode == KL_STORE_WORK)
        return open_to_work(s, o, path, error);
    if (o->mode == KL_STORE_LOOK)
        return open_to_look(s, o, path, error);
    if (o->mode == KL_STORE_MEND)
        return open_to_mend(s, o, path, error);
    kl_disk->look(path, false, &w->witness.storage);
    return open_ledger(w, o->mode, path, error);
}

enum kl_store_open_result kl_csv_store_open(const struct kl_store_options *options,
                                            struct kl_store **out, char error[KL_TEXT_MAX])
{
    struct kl_csv_store *s = calloc(1, sizeof *s);
    struct kl_worker *w = calloc(1, sizeof *w);
    enum kl_store_open_result result;

    *out = NULL;
    error[0] = '\0';
    if (!s || !w) {
        free(s);
        free(w);
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return KL_STORE_BROKEN;
    }
    s->store.kind = &csv_store;
    s->worker = w;
    s->queue_end = &s->queue;
    kl_lock_init(&w->lock);
    w->look_only = !holds(options->mode);
    if (options->doubt)
        *options->doubt = KL_DOUBT_NONE;
    if (options->journal)
        kl_copy(w->journal, sizeof w->journal, options->journal);
    if (options->station)
        kl_copy(w->station, sizeof w->station, options->station);
    else
        gethostname(w->station, sizeof w->station - 1);
    if (options->bundle_digest)
        kl_copy(w->bundle, sizeof w->bundle, options->bundle_digest);
    bool works = options->mode == KL_STORE_WORK;
    if ((works && !(w->secret = kl_secret_alloc(sizeof *w->secret))) ||
        (works && options->long_keys && !(w->texts = kl_secret_alloc(sizeof *w->texts)))) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        result = KL_STORE_BROKEN;
    } else {
        result = open_parts(s, options, error);
    }
    if (result == KL_STORE_OPENED)
        *out = &s->store;
    else
        kl_csv_store_free(&s->store);
    return result;
}

void kl_csv_store_free(struct kl_store *store)
{
    struct kl_csv_store *s = (struct kl_csv_store *)store;

    KL_ASSERT(s->worker && !s->marking.marks);
    kl_shown_free(s->shown);
    kl_shown_free(s->left);
    kl_store_stop_reading(s->worker);
    kl_csv_file_free(&s->worker->csv);
    kl_store_leave_home(s->worker);
    kl_ledger_close(s->worker->ledger);
    kl_journal_close(s->worker->witness.journal);
    kl_lock_drop(&s->worker->lock);
    free(s->worker->forms.item);
    kl_secret_free(s->worker->texts, sizeof(struct kl_batch_texts));
    kl_secret_free(s->worker->secret, sizeof(struct kl_batch_keys));
    free(s->worker);
    free(s);
}
