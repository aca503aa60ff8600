/* cli_keys_show.c: status and list: the CSV and the ledger, brought together as the station
   does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_keys.h"
#include "pool_view.h"

struct view {
    struct pool_view both;
    int64_t *since; /* per key of the pool: reserved or provisioned when */
};

static void close_view(struct view *v)
{
    free(v->since);
    pool_view_close(&v->both);
}

static bool note_time(void *ctx, const struct kl_ledger_key *key)
{
    struct view *v = ctx;
    uint32_t at = kl_pool_find(&v->both.pool, &key->fingerprint);

    if (at != UINT32_MAX)
        v->since[at] = strcmp(key->state, "provisioned") == 0 ? key->provisioned : key->reserved;
    return true;
}

static int open_view(const struct keys_args *a, struct view *v)
{
    char error[KL_TEXT_MAX];
    int exit = pool_view_open(a->csv, a->header, true, a->journal, &v->both, error);

    if (exit == KL_EXIT_OK) {
        v->since = calloc((size_t)v->both.memory->capacity + 1, sizeof *v->since);
        if (v->since && kl_store_keys(v->both.store, note_time, v, error))
            return KL_EXIT_OK;
        if (!v->since)
            kl_copy(error, sizeof error, "no memory");
        close_view(v);
        exit = KL_EXIT_STORE;
    }
    fprintf(stderr, "keyline: %s\n", error);
    return exit;
}

/* ---- status ---- */

struct figure {
    const char *name, *text;
    uint32_t count;
    bool always;
};

enum {
    FIGURES = 12
};

static void figures(const struct kl_pool_counts *c, struct figure out[FIGURES])
{
    const struct figure all[FIGURES] = {
        {"free", "free", c->free, true},
        {"reserved", "reserved", c->reserved, true},
        {"provisioned", "provisioned", c->provisioned, true},
        {"blocked", "can't be handed out", c->blocked, false},
        {"copies", "exact copies of other rows, counted once", c->copies, false},
        {"conflicts", "labels with two different keys", c->conflicts, false},
        {"twins", "secrets under two labels", c->twins, false},
        {"renamed", "under another label than the ledger has", c->renamed, false},
        {"bad_lines", "rows that the firmware could not take", c->bad_lines, false},
        {"foreign", "marked by another tool, board unknown", c->foreign, false},
        {"vanished", "in the ledger, no longer in the CSV", c->vanished, false},
        {"changed", "reserved, and changed in the CSV since", c->changed, false},
    };

    memcpy(out, all, sizeof all);
}

static bool in_doubt(const struct view *v, uint32_t key)
{
    return kl_pool_key(&v->both.pool, key)->state == KL_KEY_RESERVED;
}

static void status_json(const struct keys_args *a, const struct view *v, const char *holder)
{
    json_t *o = json_object(), *doubt = json_array();
    struct figure f[FIGURES];
    char mac[18], when[32];

    json_object_set_new(o, "csv", keys_json_text(a->csv));
    json_object_set_new(o, "fields", json_integer(v->both.content->fields));
    json_object_set_new(o, "keys", json_integer(v->both.pool.counts.total));
    figures(&v->both.pool.counts, f);
    for (int i = 0; i < FIGURES; i++)
        json_object_set_new(o, f[i].name, json_integer(f[i].count));
    for (uint32_t i = 0; i < v->both.pool.count; i++) {
        if (!in_doubt(v, i))
            continue;
        kl_mac_format(kl_pool_mac(&v->both.pool, i), mac);
        keys_time(v->since[i], when);
        json_array_append_new(doubt,
                              json_pack("{s:o, s:s, s:s}", "label",
                                        keys_json_text(kl_pool_row_of(&v->both.pool, i)->label),
                                        "mac", mac, "since", when));
    }
    json_object_set_new(o, "in_doubt", doubt);
    if (holder[0] != '\0')
        json_object_set_new(o, "station", keys_json_text(holder));
    if (v->both.content->warning[0] != '\0')
        json_object_set_new(o, "warning", keys_json_text(v->both.content->warning));
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
}

static void status_text(const struct keys_args *a, const struct view *v, const char *holder)
{
    struct figure f[FIGURES];
    char mac[18], when[32];

    printf("%s: %u keys of %u fields\n", a->csv, (unsigned)v->both.pool.counts.total,
           v->both.content->fields);
    figures(&v->both.pool.counts, f);
    for (int i = 0; i < FIGURES; i++)
        if (f[i].always || f[i].count > 0)
            printf("%8u  %s\n", (unsigned)f[i].count, f[i].text);
    if (v->both.pool.counts.conflicts > 0)
        printf("lines %u and %u have one label and different keys: no station starts with this\n",
               (unsigned)v->both.pool.counts.conflict_line_a,
               (unsigned)v->both.pool.counts.conflict_line_b);
    if (v->both.pool.counts.twins > 0)
        printf("lines %u and %u have one secret under two labels: no station starts with this\n",
               (unsigned)v->both.pool.counts.twin_line_a,
               (unsigned)v->both.pool.counts.twin_line_b);
    if (v->both.content->doubt[0] != '\0')
        printf("in doubt: %s\n", v->both.content->doubt);
    if (v->both.content->warning[0] != '\0')
        printf("%s\n", v->both.content->warning);
    if (holder[0] != '\0')
        printf("a station is running: %s\n", holder);
    if (v->both.pool.counts.reserved > 0)
        printf("\nreserved, so perhaps sent%s: the same board coming back settles it\n",
               holder[0] != '\0' ? ", or at work right now" : "");
    for (uint32_t i = 0; i < v->both.pool.count; i++) {
        if (!in_doubt(v, i))
            continue;
        kl_mac_format(kl_pool_mac(&v->both.pool, i), mac);
        keys_time(v->since[i], when);
        fputs("  ", stdout);
        keys_print(kl_pool_row_of(&v->both.pool, i)->label, 40);
        printf("  %s  %s\n", mac, when);
    }
}

int keys_status(const struct keys_args *a)
{
    char holder[KL_TEXT_MAX];
    struct view v;
    int exit = open_view(a, &v);

    if (exit != KL_EXIT_OK)
        return exit;
    kl_store_holder(a->csv, holder);
    if (a->format == KEYS_JSON)
        status_json(a, &v, holder);
    else
        status_text(a, &v, holder);
    close_view(&v);
    return keys_printed();
}

/* ---- list ---- */

static const char *const state_words[] = {
    [KL_KEY_FREE] = "free",          [KL_KEY_RESERVING] = "reserved",
    [KL_KEY_RESERVED] = "reserved",  [KL_KEY_RELEASING] = "reserved",
    [KL_KEY_RECORDING] = "reserved", [KL_KEY_PROVISIONED] = "provisioned",
    [KL_KEY_BLOCKED] = "blocked",
};

static const char *const trouble_words[] = {
    [KL_TROUBLE_NONE] = "",
    [KL_TROUBLE_COPY] = "copy",
    [KL_TROUBLE_CONFLICT] = "conflict",
    [KL_TROUBLE_BAD_LINE] = "bad_line",
    [KL_TROUBLE_FOREIGN] = "foreign",
    [KL_TROUBLE_VANISHED] = "vanished",
    [KL_TROUBLE_CHANGED] = "changed",
    [KL_TROUBLE_RENAMED] = "renamed",
    [KL_TROUBLE_REFUSED] = "",
};

struct item {
    const char *label, *state, *trouble, *why;
    uint32_t line;
    char mac[18], since[32];
};

static void print_item(const struct keys_args *a, const struct item *item, bool *first)
{
    json_t *o;

    if (a->state && strcmp(a->state, item->state) != 0)
        return;
    if (a->format != KEYS_JSON) {
        keys_print(item->label, 40);
        printf("  %-11s  %-17s  %-20s", item->state, item->mac, item->since);
        if (item->line > 0)
            printf("  line %u", (unsigned)item->line);
        printf("  %s%s%s\n", item->trouble, item->why[0] != '\0' ? ": " : "", item->why);
        return;
    }
    o = json_pack("{s:o, s:s}", "label", keys_json_text(item->label), "state", item->state);
    if (item->mac[0] != '\0')
        json_object_set_new(o, "mac", json_string(item->mac));
    if (item->since[0] != '\0')
        json_object_set_new(o, "since", json_string(item->since));
    if (item->line > 0)
        json_object_set_new(o, "line", json_integer(item->line));
    if (item->trouble[0] != '\0')
        json_object_set_new(o, "trouble", json_string(item->trouble));
    if (item->why[0] != '\0')
        json_object_set_new(o, "why", json_string(item->why));
    keys_json_element(o, first);
}

static struct item item_of_key(const struct view *v, uint32_t at)
{
    const struct kl_pool_key *key = kl_pool_key(&v->both.pool, at);
    const struct kl_pool_row *row = kl_pool_row_of(&v->both.pool, at);
    const struct kl_mac *mac = kl_pool_mac(&v->both.pool, at);
    struct item item = {.label = row->label,
                        .state = state_words[key->state],
                        .trouble = trouble_words[key->trouble],
                        .why = "",
                        .line = row->line};

    if (kl_mac_is_set(mac))
        kl_mac_format(mac, item.mac);
    keys_time(v->since[at], item.since);
    return item;
}

static struct item item_of_row(const struct view *v, const struct kl_pool_row *row)
{
    struct item item = {.label = row->label, .state = "blocked", .why = "", .line = row->line};
    uint32_t at = row->bad ? UINT32_MAX : kl_pool_find(&v->both.pool, &row->fingerprint);

    if (at == UINT32_MAX) {
        item.trouble = trouble_words[KL_TROUBLE_BAD_LINE];
        item.why = kl_store_row_why(row);
        return item;
    }
    if (kl_pool_row_of(&v->both.pool, at)->line == row->line)
        return item_of_key(v, at);
    item.trouble = trouble_words[KL_TROUBLE_COPY];
    return item;
}

static bool is_state(const char *state)
{
    for (size_t i = 0; i < sizeof state_words / sizeof state_words[0]; i++)
        if (strcmp(state, state_words[i]) == 0)
            return true;
    return false;
}

int keys_list(const struct keys_args *a)
{
    bool first = true;
    struct view v;
    int exit;

    if (a->state && !is_state(a->state)) {
        fprintf(stderr, "keyline keys: --state is free, reserved, provisioned or blocked\n");
        return KL_EXIT_USAGE;
    }
    if ((exit = open_view(a, &v)) != KL_EXIT_OK)
        return exit;
    for (uint32_t i = 0; i < v.both.content->row_count; i++) {
        struct item item = item_of_row(&v, &v.both.content->rows[i]);
        print_item(a, &item, &first);
    }
    for (uint32_t i = 0; i < v.both.pool.count; i++) {
        if (kl_pool_key(&v.both.pool, i)->listed)
            continue;
        struct item item = item_of_key(&v, i);
        print_item(a, &item, &first);
    }
    if (a->format == KEYS_JSON)
        keys_json_end(first);
    close_view(&v);
    return keys_printed();
}
