/* fleet_db.c: see fleet_db.h. The server's functions are in schema.sql. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_db_link.h"
#include "fleet_db_text.h"

bool kl_fdb_fence_equal(const struct kl_fdb_fence *a, const struct kl_fdb_fence *b)
{
    return a->system_identifier == b->system_identifier && a->timeline == b->timeline;
}

/* An answer that this program does not understand comes from no pool of ours. */
static enum kl_fleet_result not_understood(struct kl_fdb_why *why)
{
    *why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_REFUSED, .refusal = KL_FLEET_NO_VERSION};
    kl_copy(why->text, sizeof why->text, "the pool's answer makes no sense to this program");
    return KL_FLEET_REFUSED;
}

/* One call whose answer is JSON. */
static enum kl_fleet_result call_json(struct kl_fdb *db, int within_ms, const char *sql, int count,
                                      const char *const *value, json_t **out,
                                      struct kl_fdb_why *why)
{
    const struct kl_fdb_query query = {.sql = sql, .count = count, .value = value};
    enum kl_fleet_result result;
    PGresult *r;

    *out = NULL;
    if ((result = kl_fdb_transact(db, within_ms, &query, &r, why)) != KL_FLEET_OK)
        return result;
    if (kl_pq()->ntuples(r) == 1 && kl_pq()->nfields(r) == 1)
        *out = json_loads(kl_fdb_text(r, 0, 0), JSON_DECODE_ANY, NULL);
    kl_pq()->clear(r);
    return *out ? KL_FLEET_OK : not_understood(why);
}

/* ---- hello, status ---- */

static void read_state(const json_t *j, struct kl_fdb_state *out)
{
    *out = (struct kl_fdb_state){
        .open = json_is_true(json_object_get(j, "open")),
        .told = json_is_true(json_object_get(j, "told")),
        .server = {kl_fdb_int64(j, "system_identifier"), (uint32_t)kl_fdb_number(j, "timeline")},
        .pool_fence = {kl_fdb_int64(j, "pool_system_identifier"),
                       (uint32_t)kl_fdb_number(j, "pool_timeline")},
        .epoch = (uint32_t)kl_fdb_number(j, "epoch"),
        .lease_cap = (uint32_t)kl_fdb_number(j, "lease_cap"),
        .leased = (uint32_t)kl_fdb_number(j, "leased"),
        .free_keys = kl_fdb_number(j, "free"),
        .left_to_station = kl_fdb_number(j, "left"),
        .last_seq = kl_fdb_number(j, "last_seq"),
        .xid = kl_fdb_number(j, "xid"),
        .born = (uint32_t)kl_fdb_number(j, "born"),
    };
    kl_fdb_read_uuid(kl_fdb_string(j, "pool"), out->pool);
    kl_copy(out->closed_why, sizeof out->closed_why, kl_fdb_string(j, "closed_why"));
}

static bool read_hello(const json_t *j, struct kl_fdb_hello *out)
{
    const json_t *keys = json_object_get(j, "keys"), *one;
    size_t i;

    *out = (struct kl_fdb_hello){
        .fields = (unsigned)kl_fdb_number(j, "fields"),
        .plain = json_is_true(json_object_get(j, "plain")),
        .alarms = (uint32_t)kl_fdb_number(j, "alarms"),
    };
    read_state(j, &out->state);
    kl_copy(out->pool_name, sizeof out->pool_name, kl_fdb_string(j, "name"));
    kl_copy(out->station, sizeof out->station, kl_fdb_string(j, "station"));
    json_array_foreach(keys, i, one)
    {
        struct kl_fdb_sealed_key *k = &out->key[out->key_count];
        if (out->key_count == KL_FDB_EPOCHS_MAX)
            break;
        k->epoch = (uint32_t)kl_fdb_number(one, "epoch");
        k->size = (uint32_t)kl_fdb_unhex(kl_fdb_string(one, "box"), k->box, sizeof k->box);
        out->key_count += k->size > 0;
    }
    return kl_fdb_read_uuid(kl_fdb_string(j, "pool"), out->pool) && out->state.epoch > 0 &&
           out->state.server.system_identifier != 0;
}

static json_t *fingerprint_json(const struct kl_fingerprint *fp)
{
    char hex[2 * KL_FINGERPRINT + 1];

    kl_fdb_hex(fp->b, KL_FINGERPRINT, hex);
    return json_string(hex);
}

/* Reused as the sixth value of hello. */
static char *fingerprints_text(const struct kl_fingerprint *key, uint32_t count)
{
    json_t *array = json_array();
    char *text;

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, fingerprint_json(&key[i]));
    text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

enum kl_fleet_result kl_fdb_hello(struct kl_fdb *db, int within_ms,
                                  const struct kl_fdb_greeting *greeting, struct kl_fdb_hello *out,
                                  struct kl_fdb_why *why)
{
    static const struct kl_request_id none;
    char version[12], system[24], timeline[12], before[37], now[37];
    bool seen = greeting->seen.system_identifier != 0;
    bool had = memcmp(&greeting->before, &none, sizeof none) != 0;
    char *unused = fingerprints_text(greeting->unused, greeting->unused_count);
    const char *value[] = {
        version, seen ? system : NULL, seen ? timeline : NULL, had ? before : NULL, now, unused};
    enum kl_fleet_result result;
    json_t *j;

    KL_ASSERT(greeting->unused_count <= KL_FDB_ROWS_MAX);
    kl_format(version, sizeof version, "%d", KL_FDB_SCHEMA);
    kl_format(system, sizeof system, "%lld", (long long)greeting->seen.system_identifier);
    kl_format(timeline, sizeof timeline, "%u", (unsigned)greeting->seen.timeline);
    kl_fdb_write_uuid(greeting->before.b, before);
    kl_fdb_write_uuid(greeting->now.b, now);
    result =
        call_json(db, within_ms, "SELECT keyline.hello($1, $2, $3, $4, $5, $6)", 6, value, &j, why);
    if (result == KL_FLEET_OK && !read_hello(j, out))
        result = not_understood(why);
    json_decref(j);
    free(unused);
    return result;
}

static void tell_alarms(const json_t *answer, kl_fdb_alarm_fn *each, void *ctx)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(answer, "alarms"), i, one)
    {
        struct kl_fdb_alarm a = {
            .id = kl_fdb_number(one, "id"),
            .seq = kl_fdb_number(one, "seq"),
            .kind = kl_fdb_string(one, "kind"),
            .label = kl_fdb_string(one, "label"),
            .station = kl_fdb_string(one, "station"),
            .other = kl_fdb_string(one, "other"),
            .text = kl_fdb_string(one, "text"),
        };
        if (!kl_mac_parse(kl_fdb_string(one, "mac"), &a.mac))
            a.mac = (struct kl_mac){{0}};
        if (each)
            each(ctx, &a);
    }
}

enum kl_fleet_result kl_fdb_status(struct kl_fdb *db, int within_ms, const char *json,
                                   struct kl_fdb_state *out, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why)
{
    enum kl_fleet_result result;
    json_t *j;

    result = call_json(db, within_ms, "SELECT keyline.status($1)", 1, &json, &j, why);
    if (result == KL_FLEET_OK) {
        read_state(j, out);
        tell_alarms(j, each, ctx);
    }
    json_decref(j);
    return result;
}

/* ---- keys come ---- */

enum {
    COLUMN_LABEL,
    COLUMN_FINGERPRINT,
    COLUMN_KIN,
    COLUMN_FIELDS,
    COLUMN_EPOCH,
    COLUMN_BOX,
    COLUMNS,
};

static uint32_t binary_int(const PGresult *r, int row, int column)
{
    const uint8_t *b = (const uint8_t *)kl_pq()->getvalue(r, row, column);

    if (kl_pq()->getlength(r, row, column) != 4)
        return 0;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool read_row(const PGresult *r, int i, struct kl_fdb_row *out)
{
    size_t box = (size_t)kl_pq()->getlength(r, i, COLUMN_BOX);

    if (kl_pq()->getlength(r, i, COLUMN_FINGERPRINT) != KL_FINGERPRINT ||
        kl_pq()->getlength(r, i, COLUMN_KIN) != KL_FINGERPRINT || box > KL_FDB_BOX_MAX)
        return false;
    *out = (struct kl_fdb_row){
        .label = kl_pq()->getvalue(r, i, COLUMN_LABEL),
        .fields = binary_int(r, i, COLUMN_FIELDS),
        .epoch = binary_int(r, i, COLUMN_EPOCH),
        .box = {(const uint8_t *)kl_pq()->getvalue(r, i, COLUMN_BOX), box},
    };
    memcpy(out->fingerprint.b, kl_pq()->getvalue(r, i, COLUMN_FINGERPRINT), KL_FINGERPRINT);
    memcpy(out->kin.b, kl_pq()->getvalue(r, i, COLUMN_KIN), KL_FINGERPRINT);
    return out->fields > 0 && out->fields <= KL_FIELDS_MAX && out->epoch > 0;
}

static enum kl_fleet_result call_rows(struct kl_fdb *db, int within_ms,
                                      const struct kl_fdb_query *query, kl_fdb_row_fn *each,
                                      void *ctx, struct kl_fdb_why *why)
{
    struct kl_fdb_row row;
    enum kl_fleet_result result;
    bool good;
    PGresult *r;

    if ((result = kl_fdb_transact(db, within_ms, query, &r, why)) != KL_FLEET_OK)
        return result;
    good = kl_pq()->nfields(r) == COLUMNS;
    /* All or none: the caller keeps what it is told. */
    for (int i = 0; good && i < kl_pq()->ntuples(r); i++)
        good = read_row(r, i, &row);
    for (int i = 0; good && i < kl_pq()->ntuples(r); i++) {
        read_row(r, i, &row);
        each(ctx, &row);
    }
    kl_pq()->clear(r);
    return good ? KL_FLEET_OK : not_understood(why);
}

enum kl_fleet_result kl_fdb_lease(struct kl_fdb *db, int within_ms, const struct kl_request_id *id,
                                  uint32_t n, kl_fdb_row_fn *each, void *ctx,
                                  struct kl_fdb_why *why)
{
    char request[37], count[12];
    const char *value[] = {request, count};

    kl_fdb_write_uuid(id->b, request);
    kl_format(count, sizeof count, "%u", n < KL_FDB_ROWS_MAX ? (unsigned)n : KL_FDB_ROWS_MAX);
    return call_rows(db, within_ms,
                     &(struct kl_fdb_query){.sql = "SELECT * FROM keyline.lease($1, $2)",
                                            .count = 2,
                                            .value = value,
                                            .binary = true},
                     each, ctx, why);
}

enum kl_fleet_result kl_fdb_mine(struct kl_fdb *db, int within_ms, kl_fdb_row_fn *each, void *ctx,
                                 struct kl_fdb_why *why)
{
    return call_rows(db, within_ms,
                     &(struct kl_fdb_query){.sql = "SELECT * FROM keyline.mine()", .binary = true},
                     each, ctx, why);
}

/* ---- what became of them ---- */

static const char *const what_word[] = {
    [KL_FDB_RESERVED] = "reserved",
    [KL_FDB_PROVISIONED] = "provisioned",
    [KL_FDB_RELEASED] = "released",
    [KL_FDB_ATTEMPT] = "attempt",
};

/* Texts come from boards too: what is no UTF-8 is left out. */
static void set_text(json_t *object, const char *name, const char *text)
{
    json_t *value = text && text[0] != '\0' ? json_string(text) : NULL;

    if (value)
        json_object_set_new(object, name, value);
}

static void set_mac(json_t *object, const struct kl_mac *mac)
{
    char text[18];

    if (!kl_mac_is_set(mac))
        return;
    kl_mac_format(mac, text);
    set_text(object, "mac", text);
}

static json_t *item_json(const struct kl_fdb_item *item)
{
    json_t *j = json_object();

    json_object_set_new(j, "seq", json_integer(item->seq));
    json_object_set_new(j, "wall", json_integer(item->wall));
    if (item->after > 0)
        json_object_set_new(j, "after", json_integer(item->after));
    json_object_set_new(j, "what", json_string(what_word[item->what]));
    if (item->what != KL_FDB_ATTEMPT)
        json_object_set_new(j, "fp", fingerprint_json(&item->fingerprint));
    set_mac(j, &item->mac);
    json_object_set_new(j, "offline", json_boolean(item->offline));
    set_text(j, "how", item->how);
    set_text(j, "bundle", item->bundle);
    set_text(j, "chip", item->chip);
    set_text(j, "slot", item->slot);
    set_text(j, "reason", item->reason);
    return j;
}

/* A call whose only argument is an array; it is used up. `value` may have more behind the first. */
static enum kl_fleet_result call_array(struct kl_fdb *db, int within_ms, const char *sql, int count,
                                       const char **value, json_t *array, json_t **out,
                                       struct kl_fdb_why *why)
{
    char *text = json_dumps(array, JSON_COMPACT);
    enum kl_fleet_result result = KL_FLEET_DOWN;

    json_decref(array);
    *out = NULL;
    *why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_OTHER, .text = "no memory"};
    if (text) {
        value[0] = text;
        result = call_json(db, within_ms, sql, count, value, out, why);
    }
    free(text);
    return result;
}

enum kl_fleet_result kl_fdb_report(struct kl_fdb *db, int within_ms, const struct kl_fdb_item *item,
                                   uint32_t count, int64_t *taken, kl_fdb_alarm_fn *each, void *ctx,
                                   struct kl_fdb_why *why)
{
    json_t *array = json_array(), *j;
    enum kl_fleet_result result;
    const char *value[1];

    KL_ASSERT(count <= KL_FDB_REPORT_MAX);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, item_json(&item[i]));
    result = call_array(db, within_ms, "SELECT keyline.report($1)", 1, value, array, &j, why);
    if (result == KL_FLEET_OK) {
        *taken = kl_fdb_number(j, "taken");
        tell_alarms(j, each, ctx);
    }
    json_decref(j);
    return result;
}

enum kl_fleet_result kl_fdb_hand_back(struct kl_fdb *db, int within_ms,
                                      const struct kl_fingerprint *key, uint32_t count,
                                      uint32_t *freed, struct kl_fdb_why *why)
{
    json_t *array = json_array(), *j;
    enum kl_fleet_result result;
    const char *value[1];

    KL_ASSERT(count <= KL_FDB_ROWS_MAX);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, fingerprint_json(&key[i]));
    result = call_array(db, within_ms, "SELECT keyline.hand_back($1)", 1, value, array, &j, why);
    if (result == KL_FLEET_OK)
        *freed = (uint32_t)json_integer_value(j);
    json_decref(j);
    return result;
}

/* ---- boards ---- */

static bool read_claim(const json_t *j, struct kl_fdb_claim *out)
{
    static const char *const word[] = {
        [KL_FDB_CLAIM_NEW] = "new", [KL_FDB_CLAIM_OURS] = "ours", [KL_FDB_CLAIM_OTHER] = "other"};
    const char *kind = kl_fdb_string(j, "kind");

    *out = (struct kl_fdb_claim){.since = kl_fdb_number(j, "since")};
    kl_copy(out->station, sizeof out->station, kl_fdb_string(j, "station"));
    kl_copy(out->label, sizeof out->label, kl_fdb_string(j, "label"));
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        if (strcmp(kind, word[i]) == 0) {
            out->kind = (enum kl_fdb_claim_kind)i;
            return true;
        }
    return false;
}

enum kl_fleet_result kl_fdb_claim(struct kl_fdb *db, int within_ms, const struct kl_mac *mac,
                                  const struct kl_fingerprint *key, bool offline,
                                  struct kl_fdb_claim *out, struct kl_fdb_why *why)
{
    char text[18], hex[2 * KL_FINGERPRINT + 1];
    const char *value[] = {text, hex, offline ? "true" : "false"};
    enum kl_fleet_result result;
    json_t *j;

    kl_mac_format(mac, text);
    kl_fdb_hex(key->b, KL_FINGERPRINT, hex);
    result = call_json(db, within_ms, "SELECT keyline.claim($1, $2, $3)", 3, value, &j, why);
    /* A refusal by SQLSTATE would take the pool's alarm back. */
    if (result == KL_FLEET_OK && strcmp(kl_fdb_string(j, "kind"), "disputed") == 0)
        result = kl_fdb_judge("KL006", "the pool has this key or this board otherwise", why);
    else if (result == KL_FLEET_OK && !read_claim(j, out))
        result = not_understood(why);
    json_decref(j);
    return result;
}

enum kl_fleet_result kl_fdb_reassert(struct kl_fdb *db, int within_ms,
                                     const struct kl_fdb_held *held, uint32_t count, bool first,
                                     bool last, kl_fdb_alarm_fn *each, void *ctx,
                                     struct kl_fdb_why *why)
{
    const char *value[3] = {NULL, first ? "true" : "false", last ? "true" : "false"};
    json_t *array = json_array(), *j;
    enum kl_fleet_result result;

    KL_ASSERT(count <= KL_FDB_ROWS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "fp", fingerprint_json(&held[i].fingerprint));
        set_mac(one, &held[i].mac);
        json_object_set_new(one, "provisioned", json_boolean(held[i].provisioned));
        json_array_append_new(array, one);
    }
    result =
        call_array(db, within_ms, "SELECT keyline.reassert($1, $2, $3)", 3, value, array, &j, why);
    if (result == KL_FLEET_OK)
        tell_alarms(j, each, ctx);
    json_decref(j);
    return result;
}

enum kl_fleet_result
kl_fdb_boards(struct kl_fdb *db, int within_ms, char cursor[KL_FDB_CURSOR_MAX], bool *more,
              bool *anew, void (*each)(void *ctx, const struct kl_mac *mac, const char *station),
              void *ctx, struct kl_fdb_why *why)
{
    char most[12];
    const char *value[] = {cursor, most};
    enum kl_fleet_result result;
    json_t *j, *one;
    size_t i;

    kl_format(most, sizeof most, "%d", KL_FDB_ROWS_MAX);
    result = call_json(db, within_ms, "SELECT keyline.boards($1, $2)", 2, value, &j, why);
    if (result != KL_FLEET_OK)
        return result;
    *more = json_is_true(json_object_get(j, "more"));
    *anew = json_is_true(json_object_get(j, "anew"));
    kl_copy(cursor, KL_FDB_CURSOR_MAX, kl_fdb_string(j, "cursor"));
    json_array_foreach(json_object_get(j, "boards"), i, one)
    {
        const char *mac = json_string_value(json_array_get(one, 0));
        const char *station = json_string_value(json_array_get(one, 1));
        struct kl_mac parsed;
        if (mac && station && kl_mac_parse(mac, &parsed))
            each(ctx, &parsed, station);
    }
    json_decref(j);
    return KL_FLEET_OK;
}

/* ---- for people ---- */

enum kl_fleet_result kl_fdb_json(struct kl_fdb *db, int within_ms, const char *what,
                                 const char *name, char **json, struct kl_fdb_why *why)
{
    const char *value[] = {what, name};
    enum kl_fleet_result result;
    PGresult *r;

    *json = NULL;
    result = kl_fdb_transact(
        db, within_ms,
        &(struct kl_fdb_query){.sql = "SELECT keyline.look($1, $2)", .count = 2, .value = value},
        &r, why);
    if (result != KL_FLEET_OK)
        return result;
    if (kl_pq()->ntuples(r) == 1 && !kl_pq()->getisnull(r, 0, 0))
        *json = strdup(kl_pq()->getvalue(r, 0, 0));
    kl_pq()->clear(r);
    if (*json)
        return KL_FLEET_OK;
    kl_fdb_judge("KL006", "the pool has nothing of that name", why);
    return KL_FLEET_REFUSED;
}
