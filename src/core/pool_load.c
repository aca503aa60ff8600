/* Reconciling CSV and ledger; the table of cases stands in docs/custody.md. */
#include "pool_private.h"

#include <string.h>

static void take_memory(struct kl_pool *p, const struct kl_pool_memory *memory)
{
    KL_ASSERT(p->count == 0 || (p->memory.key != memory->key && p->memory.text != memory->text));
    if (p->count > 0) {
        memcpy(memory->key, p->memory.key, (size_t)p->count * sizeof *memory->key);
        memcpy(memory->mac, p->memory.mac, (size_t)p->count * sizeof *memory->mac);
    }
    p->memory = *memory;
    p->own_used = 0;
    p->text_used = 0;
    kl_index_init(&p->by_fingerprint, memory->by_fingerprint, memory->capacity);
    kl_index_init(&p->by_mac, memory->by_mac, memory->capacity);
}

static const char *keep_text(struct kl_pool *p, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = p->memory.text + p->text_used;

    KL_ASSERT(size <= p->memory.text_size - p->text_used);
    memcpy(kept, text, size);
    p->text_used += size;
    return kept;
}

/* A row of the pool's own, for a key that the list does not have. */
static uint32_t keep_row(struct kl_pool *p, const char *label, const struct kl_fingerprint *fp,
                         const struct kl_fingerprint *kin)
{
    KL_ASSERT(p->own_used < p->memory.own_capacity);
    p->memory.own[p->own_used] =
        (struct kl_pool_row){.label = keep_text(p, label), .fingerprint = *fp, .kin = *kin};
    return p->rows.count + p->own_used++;
}

/* Forgets what CSV and ledger said before, but not what this run knows by itself. */
static void start_over(struct kl_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        uint32_t place;

        k->at |= ROW_BEFORE;
        k->listed = false;
        k->marked = false;
        k->row &= ROW_SPENT;
        if (!kl_pool_is_held(k) && k->state != KL_KEY_PROVISIONED)
            k->state = KL_KEY_BLOCKED;
        kl_pool_seek(p, &kl_pool_row_at(p, k)->fingerprint, &place);
        kl_index_put(&p->by_fingerprint, place,
                     kl_pool_hash_fingerprint(&kl_pool_row_at(p, k)->fingerprint), i);
    }
}

/* Keys that neither list nor ledger has any more keep their row, and with it their index. */
static void keep_old_rows(struct kl_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        const struct kl_pool_row *row;

        if (!(k->at & ROW_BEFORE))
            continue;
        row = kl_pool_row_at(p, k);
        k->at = keep_row(p, row->label, &row->fingerprint, &row->kin);
    }
    p->before = (struct kl_pool_rows){0};
}

static void name_key(struct kl_pool_key *k, uint32_t at, const char *label)
{
    k->at = at;
    k->label_hash = (uint8_t)kl_pool_hash_label(label);
}

/* `place`: its entry by fingerprint. */
static struct kl_pool_key *add_key(struct kl_pool *p, uint32_t at, uint32_t place)
{
    struct kl_pool_key *k = &p->memory.key[p->count];
    const struct kl_pool_row *row;

    KL_ASSERT(p->count < p->memory.capacity);
    *k = (struct kl_pool_key){.at = at, .state = KL_KEY_BLOCKED};
    row = kl_pool_row_at(p, k);
    name_key(k, at, row->label);
    kl_index_put(&p->by_fingerprint, place, kl_pool_hash_fingerprint(&row->fingerprint), p->count);
    p->count++;
    return k;
}

static void count_bad(struct kl_pool_counts *counts, uint32_t line)
{
    if (counts->bad_lines++ == 0)
        counts->bad_line = line;
}

/* Nothing may tell several bad rows apart: they are only counted. */
static void count_nameless(struct kl_pool_counts *counts, uint32_t line)
{
    count_bad(counts, line);
    counts->blocked++;
    counts->total++;
}

/* `first`: it is the first that was found in the order of keys. */
static void note_twins(struct kl_pool *p, struct kl_pool_key *k, uint32_t line_a, uint32_t line_b,
                       bool first)
{
    KL_ASSERT(line_a != line_b);
    k->row |= ROW_CONFLICT;
    p->counts.twins++;
    if (!first)
        return;
    p->counts.twin_line_a = line_a < line_b ? line_a : line_b;
    p->counts.twin_line_b = line_a < line_b ? line_b : line_a;
}

static void take_row(struct kl_pool *p, uint32_t at)
{
    const struct kl_pool_row *row = &p->rows.listed[at];
    struct kl_pool_key *k;
    uint32_t key, place;

    if (!kl_fingerprint_is_set(&row->fingerprint)) {
        KL_ASSERT(row->bad);
        count_nameless(&p->counts, row->line);
        return;
    }
    key = kl_pool_seek(p, &row->fingerprint, &place);
    k = key == UINT32_MAX ? add_key(p, at, place) : &p->memory.key[key];
    if (!k->listed) {
        if (key != UINT32_MAX)
            name_key(k, at, row->label);
        k->listed = true;
    } else if (strcmp(kl_pool_row_at(p, k)->label, row->label) != 0) {
        note_twins(p, k, kl_pool_row_at(p, k)->line, row->line, p->counts.twins == 0);
    } else {
        k->row |= ROW_COPY;
        p->counts.copies++;
    }
    k->marked |= row->marked;
    if (row->bad) {
        k->row |= ROW_BAD;
        count_bad(&p->counts, row->line);
    }
}

static void take_ledger(struct kl_pool *p, const struct kl_ledger_row *row)
{
    uint32_t place, key = kl_pool_seek(p, &row->fingerprint, &place);
    struct kl_pool_key *k;

    if (key == UINT32_MAX) {
        key = p->count;
        add_key(p, keep_row(p, row->label, &row->fingerprint, &row->kin), place);
    } else if (!p->memory.key[key].listed) {
        uint32_t at = keep_row(p, row->label, &row->fingerprint, &row->kin);
        name_key(&p->memory.key[key], at, row->label);
    }
    k = &p->memory.key[key];
    if (row->same_bundle)
        k->row |= ROW_SAME_BUNDLE;
    if (k->listed && strcmp(kl_pool_row_at(p, k)->label, row->label) != 0) {
        k->row |= ROW_RENAMED;
        p->counts.renamed++;
    }
    if (!kl_pool_is_held(k)) {
        k->state = row->provisioned ? KL_KEY_PROVISIONED : KL_KEY_RESERVED;
        p->memory.mac[key] = row->mac;
        k->sent = true; /* perhaps, by an earlier run */
        k->live = false;
    } else if (row->provisioned && k->state == KL_KEY_RESERVED && !k->live &&
               kl_mac_equal(&row->mac, kl_pool_mac(p, key))) {
        k->state = KL_KEY_PROVISIONED;
    }
    if (row->provisioned && k->state == KL_KEY_PROVISIONED)
        k->row &= (uint8_t)~ROW_SPENT;
}

/* A mark that the ledger does not explain: we don't know who has the key, so nobody gets it. A
   board at work with it goes on. */
static void weigh_mark(struct kl_pool_key *k)
{
    if (k->marked && k->state != KL_KEY_PROVISIONED)
        k->row |= ROW_SPENT;
    if (k->row & ROW_SPENT && k->state == KL_KEY_RESERVED && !k->live)
        k->state = KL_KEY_PROVISIONED;
}

/*
 * Rows with one label, or one secret, are found by a table that holds one part of them after the
 * other. So it is small; the table by MAC lends its memory, because it is filled last.
 */
enum {
    PARTS = 4,
};

struct comparing {
    struct kl_pool *p;
    uint32_t (*hash)(const struct kl_pool_key *k, const struct kl_pool_row *row);
    unsigned (*part_of)(const struct kl_pool_key *k, const struct kl_pool_row *row);
    bool (*same)(const struct kl_pool *p, const struct kl_pool_key *a, const struct kl_pool_key *b);
    void (*pair)(struct comparing *c, uint32_t other, uint32_t key);
    struct kl_index table;
    uint32_t count[PARTS];   /* of keys in the CSV */
    uint32_t largest, loose; /* the largest table so far; keys that are held, and not in the CSV */
    uint32_t first;          /* of the keys that are like another one; UINT32_MAX = none yet */
};

/* A key that is held, and no longer in the CSV as it was. */
static bool is_held_only(const struct kl_pool_key *k)
{
    return !k->listed && kl_pool_is_held(k);
}

static unsigned label_part(const struct kl_pool_key *k, const struct kl_pool_row *row)
{
    (void)row;
    return k->label_hash % PARTS;
}

static uint32_t label_hash(const struct kl_pool_key *k, const struct kl_pool_row *row)
{
    (void)k;
    return kl_pool_hash_label(row->label) * UINT32_C(0x9e3779b1);
}

/* PARTS: its secret is not known. */
static unsigned kin_part(const struct kl_pool_key *k, const struct kl_pool_row *row)
{
    (void)k;
    return kl_fingerprint_is_set(&row->kin) ? row->kin.b[KL_FINGERPRINT - 1] % PARTS : PARTS;
}

static uint32_t kin_hash(const struct kl_pool_key *k, const struct kl_pool_row *row)
{
    (void)k;
    return kl_pool_hash_fingerprint(&row->kin);
}

static void pair_labels(struct comparing *c, uint32_t other, uint32_t key)
{
    struct kl_pool *p = c->p;
    uint32_t a = kl_pool_row_of(p, other)->line, b = kl_pool_row_of(p, key)->line;

    p->memory.key[key].row |= ROW_CONFLICT;
    p->memory.key[other].row |= ROW_CONFLICT;
    p->counts.conflicts++;
    if (key > c->first)
        return;
    c->first = key;
    p->counts.conflict_line_a = a < b ? a : b;
    p->counts.conflict_line_b = a < b ? b : a;
}

static void pair_kins(struct comparing *c, uint32_t other, uint32_t key)
{
    struct kl_pool *p = c->p;

    if (kl_pool_same_label(p, &p->memory.key[key], &p->memory.key[other]))
        return; /* that is a conflict already */
    p->memory.key[other].row |= ROW_CONFLICT;
    note_twins(p, &p->memory.key[key], kl_pool_row_of(p, other)->line, kl_pool_row_of(p, key)->line,
               key < c->first);
    if (key < c->first)
        c->first = key;
}

/* The key of the CSV that is like this one, and its entry in the table, or the empty one where it
   would go. */
static uint32_t seek(const struct comparing *c, uint32_t hash, const struct kl_pool_key *k,
                     uint32_t *at)
{
    const struct kl_index *x = &c->table;
    uint32_t key;

    *at = kl_index_home(x, hash);
    while ((key = kl_index_seek(x, hash, at)) != UINT32_MAX &&
           !c->same(c->p, &c->p->memory.key[key], k))
        *at = kl_index_step(x, *at);
    return key;
}

static void mark_changed(struct kl_pool *p, struct kl_pool_key *held, uint32_t key)
{
    uint32_t line = kl_pool_row_of(p, key)->line;

    KL_ASSERT(!held->listed);
    held->row |= ROW_CHANGED;
    p->memory.key[key].row |= ROW_CHANGED;
    if (p->counts.changed_line == 0 || line < p->counts.changed_line)
        p->counts.changed_line = line;
}

static void count_parts(struct comparing *c)
{
    for (uint32_t i = 0; i < c->p->count; i++) {
        const struct kl_pool_key *k = &c->p->memory.key[i];
        unsigned part;

        c->loose += is_held_only(k);
        if (k->listed && (part = c->part_of(k, kl_pool_row_at(c->p, k))) < PARTS)
            c->count[part]++;
    }
}

/* Has the entry fetched that the comparison needs a while later. */
static void expect(const struct comparing *c, uint32_t key, unsigned part)
{
    uint32_t ahead = key + PARTS * KL_INDEX_AHEAD;
    const struct kl_pool_row *row;
    const struct kl_pool_key *k;

    if (ahead >= c->p->count)
        return;
    k = &c->p->memory.key[ahead];
    row = kl_pool_row_at(c->p, k);
    if (c->part_of(k, row) == part)
        kl_index_expect(&c->table, c->hash(k, row));
}

static void compare_listed(struct comparing *c, unsigned part)
{
    for (uint32_t i = 0; i < c->p->count; i++) {
        const struct kl_pool_key *k = &c->p->memory.key[i];
        const struct kl_pool_row *row = kl_pool_row_at(c->p, k);
        uint32_t hash, other, at;

        expect(c, i, part);
        if (!k->listed || c->part_of(k, row) != part)
            continue;
        hash = c->hash(k, row);
        other = seek(c, hash, k, &at);
        if (other == UINT32_MAX)
            kl_index_put(&c->table, at, hash, i);
        else
            c->pair(c, other, i);
    }
}

static void compare_loose(struct comparing *c, unsigned part)
{
    for (uint32_t i = 0; i < c->p->count && c->loose > 0; i++) {
        struct kl_pool_key *k = &c->p->memory.key[i];
        const struct kl_pool_row *row = kl_pool_row_at(c->p, k);
        uint32_t key, at;

        if (!is_held_only(k) || c->part_of(k, row) != part)
            continue;
        if ((key = seek(c, c->hash(k, row), k, &at)) != UINT32_MAX)
            mark_changed(c->p, k, key);
    }
}

static void compare(struct comparing *c)
{
    uint32_t *memory = c->p->memory.by_mac;

    count_parts(c);
    for (unsigned part = 0; part < PARTS; part++) {
        kl_index_init(&c->table, memory, c->p->count);
        c->table.size = kl_index_size(c->count[part]);
        memset(memory, 0, (size_t)c->table.size * sizeof *memory);
        if (c->table.size > c->largest)
            c->largest = c->table.size;
        compare_listed(c, part);
        compare_loose(c, part);
    }
    memset(memory, 0, (size_t)c->largest * sizeof *memory);
}

static void compare_labels(struct kl_pool *p)
{
    struct comparing c = {.p = p,
                          .hash = label_hash,
                          .part_of = label_part,
                          .same = kl_pool_same_label,
                          .pair = pair_labels,
                          .first = UINT32_MAX};

    compare(&c);
}

static void compare_secrets(struct kl_pool *p)
{
    struct comparing c = {.p = p,
                          .hash = kin_hash,
                          .part_of = kin_part,
                          .same = kl_pool_same_kin,
                          .pair = pair_kins,
                          .first = p->counts.twins > 0 ? 0 : UINT32_MAX};

    compare(&c);
}

static void settle_all(struct kl_pool *p)
{
    p->next_free = p->count;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct kl_pool_key *k = &p->memory.key[i];
        kl_pool_settle(p, i);
        if (!kl_pool_is_held(k) && k->state != KL_KEY_PROVISIONED &&
            kl_mac_is_set(kl_pool_mac(p, i)))
            p->memory.mac[i] = (struct kl_mac){{0}};
        kl_pool_index_mac(p, i);
        kl_pool_tally(p, k, +1);
        if (k->state == KL_KEY_FREE && p->next_free == p->count)
            p->next_free = i;
    }
}

struct kl_pool_size kl_pool_size_of(const struct kl_pool *p, const struct kl_pool_row *rows,
                                    uint32_t row_count, const struct kl_ledger_row *ledger,
                                    uint32_t ledger_count)
{
    struct kl_pool_size size = {.keys = p->count, .own = p->count, .text = 1};

    for (uint32_t i = 0; i < row_count; i++)
        size.keys += p->count == 0 || kl_pool_find(p, &rows[i].fingerprint) == UINT32_MAX;
    for (uint32_t i = 0; i < p->count; i++)
        size.text += strlen(kl_pool_row_of(p, i)->label) + 1;
    for (uint32_t i = 0; i < ledger_count; i++) {
        if (ledger[i].listed)
            continue; /* one of the rows */
        size.keys++;
        size.own++;
        size.text += strlen(ledger[i].label) + 1;
    }
    return size;
}

void kl_pool_load(struct kl_pool *p, const struct kl_pool_memory *memory,
                  const struct kl_pool_row *rows, uint32_t row_count,
                  const struct kl_ledger_row *ledger, uint32_t ledger_count)
{
    KL_ASSERT(p->count <= memory->capacity);
    take_memory(p, memory);
    p->before = p->rows;
    p->rows = (struct kl_pool_rows){.listed = rows, .own = memory->own, .count = row_count};
    p->counts = (struct kl_pool_counts){0};
    p->doubts++;
    start_over(p);
    for (uint32_t i = 0; i < row_count; i++) {
        if (i + KL_INDEX_AHEAD < row_count)
            kl_index_expect(&p->by_fingerprint,
                            kl_pool_hash_fingerprint(&rows[i + KL_INDEX_AHEAD].fingerprint));
        take_row(p, i);
    }
    for (uint32_t i = 0; i < ledger_count; i++)
        take_ledger(p, &ledger[i]);
    keep_old_rows(p);
    for (uint32_t i = 0; i < p->count; i++)
        weigh_mark(&p->memory.key[i]);
    compare_labels(p);
    compare_secrets(p);
    settle_all(p);
}
