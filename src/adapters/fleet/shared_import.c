/*
 * shared_import.c: a list of keys goes into the pool. Rows are read one by one, sealed, and
 * streamed by COPY into a table that lives as long as the transaction; the database then compares
 * and takes over. So the memory that it takes here is that of the list's index, and all rows come
 * in or none.
 */
#include <stdlib.h>
#include <string.h>

#include "fleet_db_text.h"
#include "keyline/bundle_load.h"
#include "keyline/store.h"
#include "shared_private.h"

enum {
    BUFFER = 1 << 18,
    ROW_MAX = 2 * (KL_LINE_MAX + 2 * KL_FINGERPRINT + KL_FDB_BOX_MAX) + 256,
    PROGRESS_ROWS = 10000,
};

static const char incoming[] = "CREATE TEMPORARY TABLE keyline_incoming (n bigint, label text "
                               "COLLATE \"C\", fingerprint bytea, "
                               "kin bytea, box bytea, spent boolean, mac macaddr) ON COMMIT DROP";

/* What the pool knows otherwise: one key under two labels, one label for two keys, or one secret in
   two spellings. */
static const char conflicts[] = "SELECT i.label, k.label, CASE WHEN k.fingerprint = i.fingerprint "
                                "THEN 'is there under the label' "
                                "WHEN k.label = i.label THEN 'is there with another secret:' ELSE "
                                "'has the secret of' END, count(*) "
                                "OVER () FROM pg_temp.keyline_incoming i JOIN keyline.print k ON "
                                "(k.fingerprint = i.fingerprint AND "
                                "k.label <> i.label) OR (k.label = i.label AND k.fingerprint <> "
                                "i.fingerprint) OR (k.kin = i.kin AND "
                                "k.fingerprint <> i.fingerprint) ORDER BY i.n LIMIT 1";

/* Used according to the list, but free in the pool. */
static const char set_aside[] = "UPDATE keyline.key k SET state = 'lost', changed = "
                                "clock_timestamp(), note = 'used according to a "
                                "list that was imported later' FROM pg_temp.keyline_incoming i "
                                "JOIN keyline.print n ON n.fingerprint = i.fingerprint WHERE "
                                "i.spent AND k.id = n.key AND k.state = 'free'";

static const char take_over[] =
    "INSERT INTO keyline.key (label, fingerprint, kin, epoch, box, state, mac, note, changed) "
    "SELECT "
    "i.label, i.fingerprint, i.kin, $1, i.box, CASE WHEN i.spent THEN 'spent' ELSE 'free' END, "
    "CASE WHEN "
    "i.spent AND NOT EXISTS (SELECT FROM keyline.key m WHERE m.mac = i.mac) AND i.n = (SELECT "
    "min(o.n) "
    "FROM pg_temp.keyline_incoming o WHERE o.mac = i.mac) THEN i.mac END, CASE WHEN i.spent THEN "
    "'used "
    "before it came into the pool' END, now() FROM pg_temp.keyline_incoming i WHERE NOT EXISTS "
    "(SELECT "
    "FROM keyline.print k WHERE k.fingerprint = i.fingerprint) ORDER BY i.n";

static const char count_rows[] = "UPDATE keyline.pool p SET fields = $1, total = p.total + n.fresh "
                                 "+ n.spent, aside = p.aside + n.spent "
                                 "FROM (SELECT $2::bigint AS fresh, $3::bigint AS spent) n";

static const char take_boards[] = "INSERT INTO keyline.board (mac, keyed) SELECT DISTINCT i.mac, "
                                  "true FROM pg_temp.keyline_incoming i "
                                  "WHERE i.spent AND i.mac IS NOT NULL ON CONFLICT DO NOTHING";

/* Of two lines. */
static const char double_text[] = "lines %u and %u have one label and different keys: a board "
                                  "could get either; mend the list first";
static const char twin_text[] = "lines %u and %u have one secret under two labels: two boards "
                                "would get it; mend the list first";

struct used {
    const struct kl_ledger_row *row;
};

struct importing {
    struct kl_shared *s;
    const struct kl_shared_import *how;
    struct kl_shared_imported *out;
    const struct kl_store_content *content;
    struct kl_store *store;
    struct used *used; /* by fingerprint */
    char *buffer;
    size_t size;
};

/* ---- the list ---- */

static int by_fingerprint(const void *a, const void *b)
{
    const struct used *x = a, *y = b;

    return memcmp(x->row->fingerprint.b, y->row->fingerprint.b, KL_FINGERPRINT);
}

static const struct kl_ledger_row *used_by(const struct importing *m,
                                           const struct kl_fingerprint *fp)
{
    const struct kl_ledger_row row = {.fingerprint = *fp};
    const struct used wanted = {&row};
    const struct used *found =
        m->content->ledger_count > 0
            ? bsearch(&wanted, m->used, m->content->ledger_count, sizeof *m->used, by_fingerprint)
            : NULL;

    return found ? found->row : NULL;
}

static enum kl_shared_result open_list(struct importing *m, char error[KL_TEXT_MAX])
{
    const struct kl_store_options options = {.csv = m->how->csv,
                                             .header = m->how->header,
                                             .journal = m->how->journal,
                                             .mode = KL_STORE_LOOK};
    char holder[KL_TEXT_MAX];

    kl_store_holder(m->how->csv, holder);
    if (holder[0] != '\0') {
        kl_format(error, KL_TEXT_MAX,
                  "a station works on this list, and its keys can't be in two places: %s", holder);
        return KL_SHARED_NO;
    }
    if (kl_store_open(&options, &m->store, error) != KL_STORE_OPENED)
        return KL_SHARED_INPUT;
    m->content = kl_store_content(m->store);
    if (kl_csv_refused(m->content->verdict, m->how->accept, error))
        return KL_SHARED_INPUT;
    if (m->content->doubt[0] != '\0') {
        kl_copy(error, KL_TEXT_MAX, m->content->doubt);
        return KL_SHARED_NO;
    }
    m->out->rows = m->content->row_count;
    m->used = calloc(m->content->ledger_count + 1, sizeof *m->used);
    m->buffer = malloc(BUFFER);
    if (!m->used || !m->buffer) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return KL_SHARED_AWAY;
    }
    for (uint32_t i = 0; i < m->content->ledger_count; i++)
        m->used[i].row = &m->content->ledger[i];
    qsort(m->used, m->content->ledger_count, sizeof *m->used, by_fingerprint);
    return KL_SHARED_DONE;
}

/* Every row has to be a key, and all of one kind. */
static enum kl_shared_result check_list(const struct importing *m, char error[KL_TEXT_MAX])
{
    const struct kl_pool_row *row = m->content->rows;

    for (uint32_t i = 0; i < m->content->row_count; i++)
        if (row[i].bad) {
            kl_format(error, KL_TEXT_MAX, "line %u: %s; mend the list first (keyline keys lint)",
                      (unsigned)row[i].line, kl_store_row_why(&row[i]));
            return KL_SHARED_INPUT;
        }
    if (m->content->row_count == 0) {
        kl_copy(error, KL_TEXT_MAX, "there are no keys in this list");
        return KL_SHARED_INPUT;
    }
    if (m->s->fields != 0 && m->s->fields != m->content->fields) {
        kl_format(error, KL_TEXT_MAX, "this list has %u fields, the pool's keys have %u",
                  m->content->fields, m->s->fields);
        return KL_SHARED_INPUT;
    }
    return KL_SHARED_DONE;
}

/* ---- its rows ---- */

static enum kl_shared_result send_buffer(struct importing *m, char error[KL_TEXT_MAX])
{
    struct kl_fdb_why why;
    enum kl_shared_result result = kl_shared_judge(
        kl_fdb_copy(m->s->db, KL_SHARED_PATIENCE_MS * 6, m->buffer, m->size, &why), &why, error);

    m->size = 0;
    return result;
}

/* COPY's text form: backslashes and control bytes are escaped. */
static void put_text(struct importing *m, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            m->buffer[m->size++] = '\\';
        m->buffer[m->size++] = *text;
    }
}

static void put_bytes(struct importing *m, const uint8_t *bytes, size_t size)
{
    m->size += kl_format(m->buffer + m->size, 5, "\t\\\\x");
    kl_fdb_hex(bytes, size, m->buffer + m->size);
    m->size += 2 * size;
}

static void put_row(struct importing *m, uint32_t i, const struct kl_key *key, const uint8_t *box,
                    size_t box_size)
{
    const struct kl_pool_row *row = &m->content->rows[i];
    const struct kl_ledger_row *used = used_by(m, &row->fingerprint);
    char mac[18] = "\\N";

    if (used && kl_mac_is_set(&used->mac))
        kl_mac_format(&used->mac, mac);
    m->size += kl_format(m->buffer + m->size, 16, "%u\t", (unsigned)i);
    put_text(m, row->label);
    put_bytes(m, key->fingerprint.b, KL_FINGERPRINT);
    put_bytes(m, key->kin.b, KL_FINGERPRINT);
    put_bytes(m, box, box_size);
    m->size +=
        kl_format(m->buffer + m->size, 32, "\t%c\t%s\n", used || row->marked ? 't' : 'f', mac);
}

/* Exact copies of an earlier row stay out; but one that was used means that the key was. */
static enum kl_shared_result leave_out_copy(const struct importing *m, uint32_t i, uint32_t line,
                                            char error[KL_TEXT_MAX])
{
    const struct kl_pool_row *row = m->content->rows;
    uint32_t low = 0, high = i;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (row[middle].line < line)
            low = middle + 1;
        else
            high = middle;
    }
    if (strcmp(row[low].label, row[i].label) != 0) {
        kl_format(error, KL_TEXT_MAX, twin_text, (unsigned)line, (unsigned)row[i].line);
        return KL_SHARED_INPUT;
    }
    if (!row[i].marked || row[low].marked || used_by(m, &row[i].fingerprint))
        return KL_SHARED_DONE;
    kl_format(error, KL_TEXT_MAX,
              "line %u is marked as used, and line %u has the same key without the mark: mend the "
              "list first",
              (unsigned)row[i].line, (unsigned)line);
    return KL_SHARED_INPUT;
}

static enum kl_shared_result send_row(struct importing *m, uint32_t i, char error[KL_TEXT_MAX])
{
    const struct kl_ledger_key wanted = {.fingerprint = m->content->rows[i].fingerprint};
    struct kl_key *key = &m->s->secret->one;
    uint8_t box[KL_FDB_BOX_MAX];
    uint32_t line;
    size_t n;

    if (kl_store_read_key(m->store, &wanted, key, NULL, &line, error) != KL_READ_DONE) {
        if (error[0] == '\0')
            kl_copy(error, KL_TEXT_MAX, "the list was changed meanwhile");
        return KL_SHARED_INPUT;
    }
    if (line != m->content->rows[i].line) {
        kl_wipe(key, sizeof *key);
        return leave_out_copy(m, i, line, error);
    }
    n = kl_seal_fields(key, kl_shared_key(m->s, m->s->epoch), m->s->pool, box);
    if (n > 0)
        put_row(m, i, key, box, n);
    kl_wipe(key, sizeof *key);
    if (n == 0) {
        kl_copy(error, KL_TEXT_MAX, "a key can't be sealed");
        return KL_SHARED_AWAY;
    }
    return m->size > BUFFER - ROW_MAX ? send_buffer(m, error) : KL_SHARED_DONE;
}

static enum kl_shared_result send_rows(struct importing *m, char error[KL_TEXT_MAX])
{
    enum kl_shared_result result = kl_shared_step(m->s, incoming, 0, NULL, NULL, error);
    struct kl_fdb_why why;

    if (result == KL_SHARED_DONE)
        result =
            kl_shared_step(m->s, "COPY pg_temp.keyline_incoming FROM STDIN", 0, NULL, NULL, error);
    for (uint32_t i = 0; result == KL_SHARED_DONE && i < m->content->row_count; i++) {
        result = send_row(m, i, error);
        if (m->how->progress && (i + 1) % PROGRESS_ROWS == 0)
            m->how->progress(m->how->ctx, i + 1, m->content->row_count);
    }
    if (result == KL_SHARED_DONE && m->size > 0)
        result = send_buffer(m, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_judge(kl_fdb_copy_end(m->s->db, KL_SHARED_BULK_MS, &why), &why, error);
    if (result == KL_SHARED_DONE)
        result =
            kl_shared_step(m->s,
                           "CREATE INDEX ON pg_temp.keyline_incoming (mac) WHERE mac IS NOT NULL; "
                           "ANALYZE pg_temp.keyline_incoming",
                           0, NULL, NULL, error);
    return result;
}

/* ---- the pool takes them ---- */

static enum kl_shared_result compare(struct importing *m, char error[KL_TEXT_MAX])
{
    PGresult *r = NULL;
    enum kl_shared_result result = kl_shared_step(m->s, conflicts, 0, NULL, &r, error);

    if (result == KL_SHARED_DONE && kl_pq()->ntuples(r) > 0) {
        kl_format(error, KL_TEXT_MAX,
                  "%s of the list %s %s in the pool, and %s more like it: none was imported",
                  kl_fdb_text(r, 0, 0), kl_fdb_text(r, 0, 2), kl_fdb_text(r, 0, 1),
                  kl_fdb_text(r, 0, 3));
        result = KL_SHARED_NO;
    }
    kl_pq()->clear(r);
    return result;
}

static int by_label(const void *a, const void *b)
{
    const struct kl_pool_row *const *x = a, *const *y = b;

    return strcmp((*x)->label, (*y)->label);
}

static int by_kin(const void *a, const void *b)
{
    const struct kl_pool_row *const *x = a, *const *y = b;

    return memcmp(&(*x)->kin, &(*y)->kin, sizeof(*x)->kin);
}

/* Two rows of the list that are different keys, and equal by this order. */
static bool find_pair(const struct importing *m, int (*order)(const void *, const void *),
                      const struct kl_pool_row **a, const struct kl_pool_row **b)
{
    uint32_t count = m->content->row_count;
    const struct kl_pool_row **row = calloc(count, sizeof(void *));
    bool found = false;

    for (uint32_t i = 0; row && i < count; i++)
        row[i] = &m->content->rows[i];
    if (row)
        qsort(row, count, sizeof(void *), order);
    for (uint32_t i = 1; row && i < count && !found; i++) {
        found = order(&row[i - 1], &row[i]) == 0 &&
                !kl_fingerprint_equal(&row[i - 1]->fingerprint, &row[i]->fingerprint);
        *a = row[i - 1]->line < row[i]->line ? row[i - 1] : row[i];
        *b = *a == row[i] ? row[i - 1] : row[i];
    }
    free(row);
    return found;
}

/* The database did not take them over: is it the list's fault? It is looked for only now, because
   it takes long for ten million rows. */
static enum kl_shared_result blame_list(const struct importing *m, enum kl_shared_result result,
                                        char error[KL_TEXT_MAX])
{
    const struct kl_pool_row *a, *b;

    if (find_pair(m, by_label, &a, &b))
        kl_format(error, KL_TEXT_MAX, double_text, (unsigned)a->line, (unsigned)b->line);
    else if (find_pair(m, by_kin, &a, &b))
        kl_format(error, KL_TEXT_MAX, twin_text, (unsigned)a->line, (unsigned)b->line);
    else
        return result;
    return KL_SHARED_INPUT;
}

static uint32_t affected(PGresult *r)
{
    return r ? (uint32_t)strtoul(kl_pq()->cmdTuples(r), NULL, 10) : 0;
}

static enum kl_shared_result count_in(struct importing *m, char error[KL_TEXT_MAX])
{
    char fields[12], fresh[12], spent[12];
    const char *value[] = {fields, fresh, spent};
    enum kl_shared_result result;
    PGresult *r = NULL;

    /* Before they are taken over. */
    result =
        kl_shared_step(m->s,
                       "SELECT count(*) FILTER (WHERE k.key IS NULL AND NOT i.spent), count(*) "
                       "FILTER (WHERE k.key IS "
                       "NULL AND i.spent), count(*) FILTER (WHERE k.key IS NOT NULL) FROM "
                       "pg_temp.keyline_incoming i "
                       "LEFT JOIN keyline.print k ON k.fingerprint = i.fingerprint",
                       0, NULL, &r, error);
    if (result == KL_SHARED_DONE) {
        m->out->fresh = (uint32_t)strtoul(kl_fdb_text(r, 0, 0), NULL, 10);
        m->out->spent = (uint32_t)strtoul(kl_fdb_text(r, 0, 1), NULL, 10);
        m->out->known = (uint32_t)strtoul(kl_fdb_text(r, 0, 2), NULL, 10);
    }
    kl_pq()->clear(r);
    kl_format(fields, sizeof fields, "%u", m->content->fields);
    kl_format(fresh, sizeof fresh, "%u", (unsigned)m->out->fresh);
    kl_format(spent, sizeof spent, "%u", (unsigned)m->out->spent);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(m->s, count_rows, 3, value, NULL, error);
    return result;
}

static enum kl_shared_result take_in(struct importing *m, char error[KL_TEXT_MAX])
{
    char epoch[12], text[KL_TEXT_MAX];
    const char *value[] = {epoch}, *note[] = {text};
    enum kl_shared_result result = compare(m, error);
    PGresult *r = NULL;

    kl_format(epoch, sizeof epoch, "%u", (unsigned)m->s->epoch);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(m->s, set_aside, 0, NULL, &r, error);
    m->out->aside = affected(r);
    kl_pq()->clear(r);
    if (result == KL_SHARED_DONE)
        result = count_in(m, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(m->s, take_over, 1, value, NULL, error);
    if (result == KL_SHARED_AWAY)
        result = blame_list(m, result, error);
    if (result == KL_SHARED_DONE)
        result = kl_shared_step(m->s, take_boards, 0, NULL, NULL, error);
    kl_format(text, sizeof text, "%.150s: %u new, %u used before, %u known", m->how->csv,
              (unsigned)m->out->fresh, (unsigned)m->out->spent, (unsigned)m->out->known);
    if (result == KL_SHARED_DONE)
        result =
            kl_shared_step(m->s, "INSERT INTO keyline.event (what, text) VALUES ('imported', $1)",
                           1, note, NULL, error);
    return result;
}

enum kl_shared_result kl_shared_import(struct kl_shared *s, const struct kl_shared_import *how,
                                       struct kl_shared_imported *out, char error[KL_TEXT_MAX])
{
    struct importing m = {.s = s, .how = how, .out = out};
    enum kl_shared_result result;

    KL_ASSERT(s->unlocked);
    *out = (struct kl_shared_imported){0};
    error[0] = '\0';
    result = open_list(&m, error);
    if (result == KL_SHARED_DONE)
        result = check_list(&m, error);
    if (result == KL_SHARED_DONE && (result = kl_shared_begin(s, error)) == KL_SHARED_DONE) {
        result = send_rows(&m, error);
        if (result == KL_SHARED_DONE)
            result = take_in(&m, error);
        result = kl_shared_end(s, result, error);
    }
    free(m.used);
    free(m.buffer);
    if (m.store)
        kl_store_free(m.store);
    return result;
}
