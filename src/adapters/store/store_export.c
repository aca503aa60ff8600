/* store_export.c: what an export takes from the CSV and its ledger. */
#include <string.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "keyline/secret.h"
#include "store_state.h"

static struct kl_worker *worker_of(const struct kl_store *store)
{
    const struct kl_csv_store *s = (const struct kl_csv_store *)store;

    KL_ASSERT(s->worker && !s->loop);
    return s->worker;
}

bool kl_csv_store_note(struct kl_store *store, const char *what, const char *text,
                       char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);

    KL_ASSERT(w->ledger && !w->look_only);
    return kl_store_record(w, what, text, error);
}

bool kl_csv_store_pool(struct kl_store *store, char id[33], char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);

    id[0] = '\0';
    return !w->ledger || kl_ledger_pool_id(w->ledger, id, error);
}

/* ---- the list ---- */

/* Keeps the very file open that the table was read from: a station that marks rows puts a new file
   in its place, and where the rows lie in that one the table does not know. */
static enum kl_store_read start_reading(struct kl_worker *w, char error[KL_TEXT_MAX])
{
    const char *trouble = "can't be looked at";
    struct kl_file_id id;
    struct stat st;
    int fd;

    if (w->reading > 0)
        return KL_READ_DONE;
    if ((fd = kl_open_regular(w->csv.table->path, &trouble)) < 0 || fstat(fd, &st) != 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(w->csv.table->path), trouble);
        if (fd >= 0)
            close(fd);
        return KL_READ_FAILED;
    }
    id = kl_file_id_of(&st);
    if (!kl_file_id_equal(&id, &w->csv.table->id)) {
        kl_format(error, KL_TEXT_MAX, "%s: another program has just changed it",
                  kl_shown(w->csv.table->path));
        close(fd);
        return KL_READ_CHANGED;
    }
    w->reading = fd + 1;
    return KL_READ_DONE;
}

void kl_store_stop_reading(struct kl_worker *w)
{
    if (w->reading > 0)
        close(w->reading - 1);
    w->reading = 0;
}

enum kl_store_read kl_csv_store_read_key(struct kl_store *store, const struct kl_ledger_key *key,
                                         struct kl_key *out, struct kl_key_text *text,
                                         uint32_t *line, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);
    const struct kl_old_form *form =
        key->old_form ? kl_old_form(&w->forms, &key->fingerprint) : NULL;
    const struct kl_table *t = w->csv.table;
    enum kl_store_read result;
    uint32_t row;
    bool marked;

    KL_ASSERT(w->look_only && t);
    kl_wipe(out, sizeof *out);
    *line = 0;
    row = kl_table_find(t, form && form->known ? &form->now : &key->fingerprint);
    if (row == UINT32_MAX)
        return KL_READ_ABSENT;
    *line = t->row[row].line;
    if ((result = start_reading(w, error)) != KL_READ_DONE)
        return result;
    if (kl_table_read_row(t, w->reading - 1, row, out, text, &marked))
        return KL_READ_DONE;
    kl_format(error, KL_TEXT_MAX, "%s: another program has just changed it", kl_shown(t->path));
    return KL_READ_CHANGED;
}

/* ---- its header ---- */

/* Reads until the first row is complete; false if the file can't be read or has no row. */
static bool first_row(struct kl_csv *csv, int fd)
{
    char chunk[4096];
    ssize_t size = 0;

    kl_csv_begin(csv);
    for (off_t at = 0; !csv->row_ready && csv->error == KL_CSV_FINE; at += size) {
        if ((size = pread(fd, chunk, sizeof chunk, at)) <= 0)
            break;
        kl_csv_feed(csv, chunk, (size_t)size);
    }
    if (size == 0)
        kl_csv_end(csv);
    kl_wipe(chunk, sizeof chunk);
    return csv->row_ready && csv->error == KL_CSV_FINE && !csv->row.cut;
}

bool kl_csv_store_header(struct kl_store *store, void (*each)(void *ctx, const char *name),
                         void *ctx, char error[KL_TEXT_MAX])
{
    struct kl_worker *w = worker_of(store);
    struct kl_csv *csv;
    bool read;

    if (start_reading(w, error) != KL_READ_DONE)
        return false;
    if (!(csv = kl_secret_alloc(sizeof *csv))) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return false;
    }
    if (!(read = first_row(csv, w->reading - 1)))
        kl_format(error, KL_TEXT_MAX, "%s: its header can't be read", kl_shown(w->csv.named));
    for (unsigned i = 0; read && i < csv->row.fields && i < KL_COLUMNS_MAX; i++) {
        struct kl_span field = kl_csv_field(&csv->row, i);
        char name[KL_TEXT_MAX];

        kl_format(name, sizeof name, "%.*s", (int)field.size, (const char *)field.data);
        each(ctx, name);
    }
    kl_secret_free(csv, sizeof *csv);
    return read;
}
