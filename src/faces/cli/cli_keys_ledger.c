/* cli_keys_ledger.c: history and export: what needs the ledger, not the CSV. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_keys.h"
#include "keyline/cli.h"

int keys_store_exit(enum kl_store_open_result result)
{
    static const int statuses[] = {
        [KL_STORE_OPENED] = KL_EXIT_OK,  [KL_STORE_BAD_CSV] = KL_EXIT_INPUT,
        [KL_STORE_HELD] = KL_EXIT_HELD,  [KL_STORE_BROKEN] = KL_EXIT_STORE,
        [KL_STORE_AWAY] = KL_EXIT_STORE, [KL_STORE_DOUBT] = KL_EXIT_DOUBT,
    };

    return statuses[result];
}

int keys_open_record(const struct keys_args *a, struct kl_store **out)
{
    struct kl_store_options options = {.csv = a->csv, .mode = KL_STORE_RECORD};
    char error[KL_TEXT_MAX];
    enum kl_store_open_result result = kl_store_open(&options, out, error);

    if (result != KL_STORE_OPENED)
        fprintf(stderr, "keyline: %s\n", error);
    else
        keys_say_no_record(a, *out);
    return keys_store_exit(result);
}

void keys_say_no_record(const struct keys_args *a, const struct kl_store *s)
{
    if (!kl_store_has_record(s))
        fprintf(stderr, "keyline: %s has no ledger yet: no board got a key from it\n", a->csv);
}

/* ---- history ---- */

enum {
    EUI64_SIZE = 24
};

struct printing {
    enum keys_format format;
    bool first;
    struct kl_store *store; /* of an export: for what else is known of its boards */
};

static void history_text(const struct kl_ledger_entry *e)
{
    char when[32];

    keys_time(e->wall, when);
    printf("%s  ", when);
    keys_print(e->what, 12);
    printf("%s  ", e->mac);
    keys_print(e->label, 0);
    if (strcmp(e->what, "attempt") == 0) {
        printf("  %s%s%s  %s  %s %s  %u baud, try %u", e->result, e->reason[0] != '\0' ? ": " : "",
               e->reason, e->chip, e->slot, e->port, (unsigned)e->baud, (unsigned)e->tries);
        if (e->detail[0] != '\0')
            fputs("  ", stdout);
        keys_print(e->detail, 0);
    } else if (e->reason[0] != '\0') {
        fputs("  ", stdout);
        keys_print(e->reason, 0);
    }
    putchar('\n');
}

static const char *const history_columns[] = {
    "time",    "event",    "mac",      "label",      "result",     "reason",  "detail",
    "chip",    "revision", "flash_id", "flash_size", "bundle",     "port",    "slot",
    "started", "ended",    "tries",    "baud",       "chip_error", "already", "acknowledged_only",
    "station", "eui64"};

static void csv_number(bool attempt, uint64_t value)
{
    char text[32] = "";

    if (attempt)
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    keys_csv_field(text, false);
}

static void history_csv(const struct kl_ledger_entry *e)
{
    bool attempt = strcmp(e->what, "attempt") == 0;
    char when[32], started[32], ended[32], flash[16] = "";

    keys_time(e->wall, when);
    keys_time(e->started, started);
    keys_time(e->ended, ended);
    if (attempt)
        snprintf(flash, sizeof flash, "%06x", (unsigned)e->flash_id);
    const char *const front[] = {when,      e->what,   e->mac,    e->label,
                                 e->result, e->reason, e->detail, e->chip};
    for (size_t i = 0; i < sizeof front / sizeof front[0]; i++)
        keys_csv_field(front[i], false);
    csv_number(attempt, e->revision);
    keys_csv_field(flash, false);
    csv_number(attempt, e->flash_size);
    const char *const middle[] = {e->bundle, e->port, e->slot, started, ended};
    for (size_t i = 0; i < sizeof middle / sizeof middle[0]; i++)
        keys_csv_field(middle[i], false);
    csv_number(attempt, e->tries);
    csv_number(attempt, e->baud);
    csv_number(attempt, e->chip_error);
    csv_number(attempt, e->already);
    csv_number(attempt, e->acknowledged_only);
    keys_csv_field(e->station, false);
    keys_csv_field(e->eui64, true);
}

static void put_text(json_t *object, const char *name, const char *text)
{
    if (text[0] != '\0')
        json_object_set_new(object, name, keys_json_text(text));
}

static void put_time(json_t *object, const char *name, int64_t wall)
{
    char text[32];

    keys_time(wall, text);
    put_text(object, name, text);
}

static json_t *history_json(const struct kl_ledger_entry *e)
{
    json_t *o = json_object();
    char flash[16];

    json_object_set_new(o, "id", json_integer(e->id));
    put_time(o, "time", e->wall);
    put_text(o, "event", e->what);
    put_text(o, "mac", e->mac);
    put_text(o, "label", e->label);
    put_text(o, "station", e->station);
    put_text(o, "bundle", e->bundle);
    put_text(o, "reason", e->reason);
    if (strcmp(e->what, "attempt") != 0)
        return o;
    snprintf(flash, sizeof flash, "%06x", (unsigned)e->flash_id);
    put_text(o, "result", e->result);
    put_text(o, "detail", e->detail);
    put_text(o, "chip", e->chip);
    put_text(o, "eui64", e->eui64);
    put_text(o, "flash_id", flash);
    put_text(o, "port", e->port);
    put_text(o, "slot", e->slot);
    put_time(o, "started", e->started);
    put_time(o, "ended", e->ended);
    json_object_set_new(o, "revision", json_integer(e->revision));
    json_object_set_new(o, "flash_size", json_integer(e->flash_size));
    json_object_set_new(o, "tries", json_integer(e->tries));
    json_object_set_new(o, "baud", json_integer(e->baud));
    json_object_set_new(o, "chip_error", json_integer(e->chip_error));
    json_object_set_new(o, "already", json_boolean(e->already));
    json_object_set_new(o, "acknowledged_only", json_boolean(e->acknowledged_only));
    return o;
}

static bool print_entry(void *ctx, const struct kl_ledger_entry *e)
{
    struct printing *p = ctx;

    if (p->format == KEYS_JSON)
        keys_json_element(history_json(e), &p->first);
    else if (p->format == KEYS_CSV)
        history_csv(e);
    else
        history_text(e);
    return !ferror(stdout);
}

static void print_columns(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        keys_csv_field(names[i], i + 1 == count);
}

int keys_history(const struct keys_args *a)
{
    struct printing p = {.format = a->format, .first = true};
    char error[KL_TEXT_MAX];
    struct kl_store *s;
    int exit = keys_open_record(a, &s);

    if (exit != KL_EXIT_OK)
        return exit;
    if (a->format == KEYS_CSV)
        print_columns(history_columns, sizeof history_columns / sizeof history_columns[0]);
    if (!kl_store_history(s, a->mac, a->label, print_entry, &p, error)) {
        fprintf(stderr, "keyline: %s\n", error);
        exit = KL_EXIT_STORE;
    }
    kl_store_free(s);
    if (a->format == KEYS_JSON)
        keys_json_end(p.first);
    return exit == KL_EXIT_OK ? keys_printed() : exit;
}

/* ---- export ---- */

static const char *const export_columns[] = {"label",   "mac",       "provisioned", "bundle",
                                             "station", "confirmed", "fingerprint", "eui64"};

static void fingerprint_text(const struct kl_fingerprint *fp, char out[2 * KL_FINGERPRINT + 1])
{
    for (int i = 0; i < KL_FINGERPRINT; i++)
        snprintf(out + 2 * i, 3, "%02x", fp->b[i]);
}

static bool take_eui64(void *ctx, const struct kl_ledger_entry *e)
{
    if (e->eui64[0] != '\0')
        kl_copy(ctx, EUI64_SIZE, e->eui64);
    return true;
}

void keys_eui64(struct kl_store *s, const struct kl_mac *mac, char out[24])
{
    char text[18], error[KL_TEXT_MAX];

    out[0] = '\0';
    kl_mac_format(mac, text);
    if (!kl_store_history(s, text, NULL, take_eui64, out, error))
        fprintf(stderr, "keyline: %s\n", error);
}

static bool print_export(void *ctx, const struct kl_ledger_key *key)
{
    struct printing *p = ctx;
    char mac[18], when[32], fingerprint[2 * KL_FINGERPRINT + 1], eui64[EUI64_SIZE];

    if (strcmp(key->state, "provisioned") != 0)
        return true;
    kl_mac_format(&key->mac, mac);
    keys_eui64(p->store, &key->mac, eui64);
    keys_time(key->provisioned, when);
    fingerprint_text(&key->fingerprint, fingerprint);
    const char *const values[] = {key->label,   mac,      when,        key->bundle,
                                  key->station, key->how, fingerprint, eui64};
    const size_t count = sizeof values / sizeof values[0];
    if (p->format == KEYS_JSON) {
        json_t *o = json_object();
        for (size_t i = 0; i < count; i++)
            put_text(o, export_columns[i], values[i]);
        keys_json_element(o, &p->first);
    } else {
        print_columns(values, count);
    }
    return !ferror(stdout);
}

int keys_export(const struct keys_args *a)
{
    struct printing p = {.format = a->format, .first = true};
    char error[KL_TEXT_MAX];
    struct kl_store *s;
    int exit;

    if (keys_export_is_special(a))
        return keys_export_special(a);
    if ((exit = keys_open_record(a, &s)) != KL_EXIT_OK)
        return exit;
    p.store = s;
    if (a->format != KEYS_JSON)
        print_columns(export_columns, sizeof export_columns / sizeof export_columns[0]);
    if (!kl_store_keys(s, print_export, &p, error)) {
        fprintf(stderr, "keyline: %s\n", error);
        exit = KL_EXIT_STORE;
    }
    kl_store_free(s);
    if (a->format == KEYS_JSON)
        keys_json_end(p.first);
    return exit == KL_EXIT_OK ? keys_printed() : exit;
}
