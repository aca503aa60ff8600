/* Reconciling CSV and ledger; the table of cases stands in docs/custody.md. */
#include "pool_private.h"

#include <string.h>

static void take_memory(struct kl_pool *p, const struct kl_pool_memory *memory)
{
    size_t table_bytes = (size_t)memory->table_size * sizeof(uint32_t);

    KL_ASSERT(memory->table_size >= 2 * (uint64_t)memory->capacity && memory->table_size > 0);
    KL_ASSERT((memory->table_size & (memory->table_size - 1)) == 0);
    KL_ASSERT(p->count == 0 || (p->memory.key != memory->key && p->memory.text != memory->text));
    if (p->count > 0)
        memcpy(memory->key, p->memory.key, (size_t)p->count * sizeof *memory->key);
    p->memory = *memory;
    p->text_used = 0;
    memset(memory->by_fingerprint, 0, table_bytes);
    memset(memory->by_mac, 0, table_bytes);
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

/* Forgets what CSV and ledger said before, but not what this run knows by itself. */
static void start_over(struct kl_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        KL_ASSERT(k->label);
        k->label = keep_text(p, k->label);
        k->line = 0;
        k->marked = false;
        k->row &= ROW_SPENT;
        if (!kl_pool_is_held(k) && k->state != KL_KEY_PROVISIONED)
            k->state = KL_KEY_BLOCKED;
        kl_pool_index_fingerprint(p, i);
    }
}

static struct kl_pool_key *find_or_add(struct kl_pool *p, const struct kl_fingerprint *fp)
{
    uint32_t key = kl_pool_find(p, fp);

    if (key == UINT32_MAX) {
        KL_ASSERT(p->count < p->memory.capacity);
        key = p->count++;
        p->memory.key[key] =
            (struct kl_pool_key){.fingerprint = *fp, .label = "", .state = KL_KEY_BLOCKED};
        kl_pool_index_fingerprint(p, key);
    }
    return &p->memory.key[key];
}

static void name_key(struct kl_pool *p, struct kl_pool_key *k, const char *label)
{
    KL_ASSERT(label);
    if (strcmp(k->label, label) != 0)
        k->label = keep_text(p, label);
    k->label_hash = kl_pool_fold(kl_hash(label, strlen(label)));
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

static void note_twins(struct kl_pool *p, struct kl_pool_key *k, uint32_t line_a, uint32_t line_b)
{
    KL_ASSERT(line_a != line_b);
    k->row |= ROW_CONFLICT;
    if (p->counts.twins++ > 0)
        return;
    p->counts.twin_line_a = line_a < line_b ? line_a : line_b;
    p->counts.twin_line_b = line_a < line_b ? line_b : line_a;
}

static void take_row(struct kl_pool *p, const struct kl_pool_row *row)
{
    if (!kl_fingerprint_is_set(&row->fingerprint)) {
        KL_ASSERT(row->bad);
        count_nameless(&p->counts, row->line);
        return;
    }
    struct kl_pool_key *k = find_or_add(p, &row->fingerprint);
    if (k->line == 0) {
        k->line = row->line;
        k->kin = row->kin;
        name_key(p, k, row->label);
    } else if (strcmp(k->label, row->label) != 0) {
        note_twins(p, k, k->line, row->line);
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
    struct kl_pool_key *k = find_or_add(p, &row->fingerprint);

    k->same_bundle = row->same_bundle;
    if (k->line == 0) {
        k->kin = row->kin;
        name_key(p, k, row->label);
    } else if (strcmp(k->label, row->label) != 0) {
        k->row |= ROW_RENAMED;
        p->counts.renamed++;
    }
    if (!kl_pool_is_held(k)) {
        k->state = row->provisioned ? KL_KEY_PROVISIONED : KL_KEY_RESERVED;
        k->mac = row->mac;
        k->sent = true; /* perhaps, by an earlier run */
        k->live = false;
    } else if (row->provisioned && k->state == KL_KEY_RESERVED && !k->live &&
               kl_mac_equal(&row->mac, &k->mac)) {
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

/* A table that one comparison of all rows needs. The table by MAC lends its memory: it is filled
   last. */
static uint32_t *scratch(struct kl_pool *p)
{
    return p->memory.by_mac;
}

static void clear_scratch(struct kl_pool *p)
{
    memset(scratch(p), 0, (size_t)p->memory.table_size * sizeof(uint32_t));
}

/* The slot of the CSV's key with this key's label, or the empty one where it would go. */
static uint32_t *label_entry(struct kl_pool *p, const struct kl_pool_key *k)
{
    uint32_t mask = p->memory.table_size - 1;
    uint32_t s = k->label_hash & mask;

    while (scratch(p)[s] != 0 && !kl_pool_same_label(&p->memory.key[scratch(p)[s] - 1], k))
        s = (s + 1) & mask;
    return &scratch(p)[s];
}

static void index_label(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = &p->memory.key[key];
    uint32_t *entry = label_entry(p, k);

    if (*entry == 0) {
        *entry = key + 1;
        return;
    }
    struct kl_pool_key *other = &p->memory.key[*entry - 1];
    k->row |= ROW_CONFLICT;
    other->row |= ROW_CONFLICT;
    if (p->counts.conflicts++ == 0) {
        bool before = other->line < k->line;
        p->counts.conflict_line_a = before ? other->line : k->line;
        p->counts.conflict_line_b = before ? k->line : other->line;
    }
}

/* The slot of the CSV's key with this key's secret, or the empty one where it would go. */
static uint32_t *kin_entry(struct kl_pool *p, const struct kl_pool_key *k)
{
    uint32_t mask = p->memory.table_size - 1, s;

    KL_ASSERT(kl_fingerprint_is_set(&k->kin));
    memcpy(&s, k->kin.b, sizeof s);
    for (s &= mask; scratch(p)[s] != 0; s = (s + 1) & mask)
        if (kl_pool_same_kin(&p->memory.key[scratch(p)[s] - 1], k))
            break;
    return &scratch(p)[s];
}

static void index_kin(struct kl_pool *p, uint32_t key)
{
    struct kl_pool_key *k = &p->memory.key[key];
    uint32_t *entry;

    if (!kl_fingerprint_is_set(&k->kin))
        return;
    entry = kin_entry(p, k);
    if (*entry == 0) {
        *entry = key + 1;
        return;
    }
    struct kl_pool_key *other = &p->memory.key[*entry - 1];
    if (kl_pool_same_label(k, other))
        return; /* that is a conflict already */
    other->row |= ROW_CONFLICT;
    note_twins(p, k, other->line, k->line);
}

static void mark_changed(struct kl_pool *p, struct kl_pool_key *held, uint32_t entry)
{
    struct kl_pool_key *row;

    KL_ASSERT(held->line == 0);
    if (entry == 0)
        return;
    row = &p->memory.key[entry - 1];
    held->row |= ROW_CHANGED;
    row->row |= ROW_CHANGED;
    if (p->counts.changed_line == 0 || row->line < p->counts.changed_line)
        p->counts.changed_line = row->line;
}

/* A key that is held, and no longer in the CSV as it was. */
static bool is_held_only(const struct kl_pool_key *k)
{
    return k->line == 0 && kl_pool_is_held(k);
}

static void compare_labels(struct kl_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->memory.key[i].line != 0)
            index_label(p, i);
    for (uint32_t i = 0; i < p->count; i++)
        if (is_held_only(&p->memory.key[i]))
            mark_changed(p, &p->memory.key[i], *label_entry(p, &p->memory.key[i]));
    clear_scratch(p);
}

static void compare_secrets(struct kl_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->memory.key[i].line != 0)
            index_kin(p, i);
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        if (is_held_only(k) && kl_fingerprint_is_set(&k->kin))
            mark_changed(p, k, *kin_entry(p, k));
    }
    clear_scratch(p);
}

static void settle_all(struct kl_pool *p)
{
    p->next_free = p->count;
    for (uint32_t i = 0; i < p->count; i++) {
        struct kl_pool_key *k = &p->memory.key[i];
        kl_pool_settle(k);
        if (!kl_pool_is_held(k) && k->state != KL_KEY_PROVISIONED)
            k->mac = (struct kl_mac){{0}};
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
    struct kl_pool_size size = {.keys = (uint64_t)p->count + row_count + ledger_count, .text = 1};

    for (uint32_t i = 0; i < p->count; i++)
        size.text += strlen(kl_pool_key(p, i)->label) + 1;
    for (uint32_t i = 0; i < row_count; i++)
        size.text += strlen(rows[i].label) + 1;
    for (uint32_t i = 0; i < ledger_count; i++)
        size.text += strlen(ledger[i].label) + 1;
    return size;
}

void kl_pool_load(struct kl_pool *p, const struct kl_pool_memory *memory,
                  const struct kl_pool_row *rows, uint32_t row_count,
                  const struct kl_ledger_row *ledger, uint32_t ledger_count)
{
    KL_ASSERT((uint64_t)p->count + row_count + ledger_count <= memory->capacity);
    take_memory(p, memory);
    p->counts = (struct kl_pool_counts){0};
    p->doubts++;
    start_over(p);
    for (uint32_t i = 0; i < row_count; i++)
        take_row(p, &rows[i]);
    for (uint32_t i = 0; i < ledger_count; i++)
        take_ledger(p, &ledger[i]);
    for (uint32_t i = 0; i < p->count; i++)
        weigh_mark(&p->memory.key[i]);
    compare_labels(p);
    compare_secrets(p);
    settle_all(p);
}
