/*
 * wire.c: the JSON lines between a station and its dashboards.
 *
 * Two tables say what a snapshot holds. Encoding names the fields that differ; decoding sets the
 * fields that are named.
 */
#include "wire_private.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"

enum field_type {
    T_BOOL,
    T_U8,
    T_U16,
    T_U32,
    T_UINT,
    T_U64,
    T_TIME, /* kl_us; KL_NEVER is null */
    T_TEXT,
    T_MAC,
    T_STATE,
    T_REASON,
    T_CHIP,
};

struct field {
    const char *name;
    enum field_type type;
    size_t at, size;
};

#define BENCH(name, type, member)                                                                  \
    {                                                                                              \
        name, type, offsetof(struct kl_snapshot, member),                                          \
            sizeof(((struct kl_snapshot *)0)->member)                                              \
    }
#define SLOT(name, type, member)                                                                   \
    {                                                                                              \
        name, type, offsetof(struct kl_slot_view, member),                                         \
            sizeof(((struct kl_slot_view *)0)->member)                                             \
    }

static const struct field bench_fields[] = {
    BENCH("version", T_U64, version),
    BENCH("at", T_TIME, at),
    BENCH("slot_count", T_UINT, slot_count),
    BENCH("keys_free", T_U32, keys.free),
    BENCH("keys_reserved", T_U32, keys.reserved),
    BENCH("keys_provisioned", T_U32, keys.provisioned),
    BENCH("keys_blocked", T_U32, keys.blocked),
    BENCH("keys_in_doubt", T_U32, keys.in_doubt),
    BENCH("keys_copies", T_U32, keys.copies),
    BENCH("keys_conflicts", T_U32, keys.conflicts),
    BENCH("keys_twins", T_U32, keys.twins),
    BENCH("keys_bad_lines", T_U32, keys.bad_lines),
    BENCH("keys_foreign", T_U32, keys.foreign),
    BENCH("keys_vanished", T_U32, keys.vanished),
    BENCH("keys_changed", T_U32, keys.changed),
    BENCH("keys_total", T_U32, keys.total),
    BENCH("keys_unmarked", T_U32, keys.unmarked),
    BENCH("conflict_line_a", T_U32, keys.conflict_line_a),
    BENCH("conflict_line_b", T_U32, keys.conflict_line_b),
    BENCH("done", T_U32, done),
    BENCH("failed", T_U32, failed),
    BENCH("skipped", T_U32, skipped),
    BENCH("first_pass", T_U32, first_pass),
    BENCH("boards_per_hour", T_U32, boards_per_hour),
    BENCH("median_board", T_TIME, median_board),
    BENCH("keys_empty_in", T_TIME, keys_empty_in),
    BENCH("paused", T_BOOL, paused),
    BENCH("stopping", T_BOOL, stopping),
    BENCH("few_keys", T_BOOL, few_keys),
    BENCH("store_trouble", T_BOOL, store_trouble),
    BENCH("warning", T_TEXT, warning),
    BENCH("kept_back", T_TEXT, kept_back),
    BENCH("question", T_TEXT, question),
    BENCH("asks", T_TEXT, asks),
    BENCH("volatile", T_BOOL, forgets),
    BENCH("pool_there", T_BOOL, fleet.there),
    BENCH("pool_online", T_BOOL, fleet.online),
    BENCH("pool_gives", T_BOOL, fleet.gives),
    BENCH("pool_name", T_TEXT, fleet.name),
    BENCH("pool_station", T_TEXT, fleet.station),
    BENCH("pool_left", T_TIME, fleet.left),
    BENCH("pool_unsent", T_TIME, fleet.unsent),
    BENCH("pool_unchecked", T_U32, fleet.unchecked),
    BENCH("pool_alarms", T_U32, fleet.alarms),
    BENCH("pool_trouble", T_TEXT, fleet.trouble),
    BENCH("pool_alarm", T_TEXT, fleet.alarm),
};

static const struct field slot_fields[] = {
    SLOT("name", T_TEXT, name),
    SLOT("port", T_TEXT, port),
    SLOT("network", T_BOOL, network),
    SLOT("plugged", T_BOOL, plugged),
    SLOT("state", T_STATE, state),
    SLOT("since", T_TIME, since),
    SLOT("retry_at", T_TIME, retry_at),
    SLOT("reason", T_REASON, fault.reason),
    SLOT("chip_error", T_U16, fault.chip_error),
    SLOT("detail", T_TEXT, fault.detail),
    SLOT("chip", T_CHIP, identity.chip),
    SLOT("mac", T_MAC, identity.mac),
    SLOT("revision", T_U16, identity.revision),
    SLOT("package", T_U8, identity.package),
    SLOT("crystal_mhz", T_U8, identity.crystal_mhz),
    SLOT("flash_id", T_U32, identity.flash_id),
    SLOT("flash_size", T_U32, identity.flash_size),
    SLOT("flash_encrypted", T_BOOL, identity.flash_encrypted),
    SLOT("secure_boot", T_BOOL, identity.secure_boot),
    SLOT("secure_download", T_BOOL, identity.secure_download),
    SLOT("stub", T_BOOL, identity.stub),
    SLOT("baud", T_U32, identity.baud),
    SLOT("region", T_UINT, progress.region),
    SLOT("bytes", T_U64, progress.done),
    SLOT("bytes_total", T_U64, progress.total),
    SLOT("wire", T_U64, progress.wire),
    SLOT("blocks_again", T_U32, progress.retries),
    SLOT("regions_kept", T_UINT, progress.skipped),
    SLOT("bytes_per_second", T_U32, bytes_per_second),
    SLOT("left", T_TIME, left),
    SLOT("tries", T_UINT, tries),
    SLOT("label", T_TEXT, label),
    SLOT("already", T_BOOL, already),
    SLOT("exam_came", T_UINT, exam_came),
    SLOT("exam_due", T_UINT, exam_due),
    SLOT("boards_done", T_UINT, boards_done),
    SLOT("boards_failed", T_UINT, boards_failed),
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- encoding ---- */

char *wire_line(json_t *object)
{
    size_t size = object ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    char *line = size ? malloc(size + 2) : NULL;

    if (line) {
        json_dumpb(object, line, size, JSON_COMPACT);
        line[size] = '\n';
        line[size + 1] = '\0';
    }
    json_decref(object);
    return line;
}

static uint64_t read_uint(const struct field *f, const void *at)
{
    uint64_t v = 0;

    if (f->type == T_U8)
        v = *(const uint8_t *)at;
    else if (f->type == T_U16)
        v = *(const uint16_t *)at;
    else if (f->type == T_U32)
        v = *(const uint32_t *)at;
    else if (f->type == T_UINT)
        v = *(const unsigned *)at;
    else
        v = *(const uint64_t *)at;
    return v;
}

static json_t *encode_mac(const struct kl_mac *mac)
{
    char text[18];

    kl_mac_format(mac, text);
    return kl_mac_is_set(mac) ? json_string(text) : json_null();
}

static json_t *encode_field(const struct field *f, const void *base)
{
    const void *at = (const char *)base + f->at;
    const struct kl_chip *chip;

    switch (f->type) {
    case T_BOOL:
        return json_boolean(*(const bool *)at);
    case T_TIME:
        return *(const kl_us *)at == KL_NEVER ? json_null() : json_integer(*(const kl_us *)at);
    case T_TEXT:
        return kl_json_text(at);
    case T_MAC:
        return encode_mac(at);
    case T_STATE:
        return json_string(kl_state_name(*(const enum kl_state *)at));
    case T_REASON:
        return json_string(kl_fault_info(*(const enum kl_reason *)at).name);
    case T_CHIP:
        chip = kl_chip(*(const enum kl_chip_id *)at);
        return chip ? json_string(chip->slug) : json_null();
    default:
        return json_integer((json_int_t)read_uint(f, at));
    }
}

/* Compares texts up to their NUL: the bytes behind it mean nothing. */
static bool same(const struct field *f, const void *a, const void *b)
{
    const char *x = (const char *)a + f->at, *y = (const char *)b + f->at;

    return f->type == T_TEXT ? strcmp(x, y) == 0 : memcmp(x, y, f->size) == 0;
}

/* NULL if nothing differs. */
static json_t *encode_fields(const struct field *f, size_t count, const void *now,
                             const void *before)
{
    json_t *object = NULL;

    for (size_t i = 0; i < count; i++) {
        if (before && same(&f[i], now, before))
            continue;
        if (!object)
            object = json_object();
        json_object_set_new(object, f[i].name, encode_field(&f[i], now));
    }
    return object;
}

char *kl_wire_snapshot(const struct kl_snapshot *now, const struct kl_snapshot *before)
{
    json_t *all, *bench, *slots = json_object();
    char index[12];

    if (before && before->version == now->version) {
        json_decref(slots);
        return NULL;
    }
    bench = encode_fields(bench_fields, COUNT(bench_fields), now, before);
    for (unsigned i = 0; i < now->slot_count; i++) {
        const struct kl_slot_view *old = before && i < before->slot_count ? &before->slot[i] : NULL;
        json_t *slot = encode_fields(slot_fields, COUNT(slot_fields), &now->slot[i], old);
        if (!slot)
            continue;
        kl_format(index, sizeof index, "%u", i);
        json_object_set_new(slots, index, slot);
    }
    all = json_pack("{s:o*,s:o}", "snapshot", bench, "slots", slots);
    return wire_line(all);
}

char *kl_wire_hello(const struct kl_wire_hello *h)
{
    return wire_line(
        json_pack("{s:{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:I,s:o,s:I,s:I,s:I}}", "hello",
                  "protocol", (int)h->protocol, "version", kl_json_text(h->version), "csv",
                  kl_json_text(h->csv), "firmware", kl_json_text(h->firmware), "project",
                  kl_json_text(h->project), "project_version", kl_json_text(h->project_version),
                  "chip", kl_json_text(h->chip), "station", kl_json_text(h->station), "digest",
                  h->digest, "since", (json_int_t)h->since, "settings", kl_json_text(h->settings),
                  "prompt_timeout", (json_int_t)h->prompt_timeout, "ack_timeout",
                  (json_int_t)h->ack_timeout, "expect_timeout", (json_int_t)h->expect_timeout));
}

char *kl_wire_log(unsigned slot, const char *text)
{
    return wire_line(
        json_pack("{s:{s:i,s:o}}", "log", "slot", (int)slot, "text", kl_json_text(text)));
}

char *kl_wire_log_gap(unsigned slot, uint64_t lines)
{
    return wire_line(
        json_pack("{s:{s:i,s:I}}", "gap", "slot", (int)slot, "lines", (json_int_t)lines));
}

static void hex_of(const struct kl_fingerprint *fp, char out[2 * KL_FINGERPRINT + 1])
{
    for (size_t i = 0; i < sizeof fp->b; i++)
        kl_format(out + 2 * i, 3, "%02x", fp->b[i]);
}

char *kl_wire_in_doubt(const struct kl_in_doubt *item, unsigned count)
{
    json_t *list = json_array();
    char hex[2 * KL_FINGERPRINT + 1];

    for (unsigned i = 0; i < count && i < KL_WIRE_IN_DOUBT_MAX; i++) {
        hex_of(&item[i].fingerprint, hex);
        json_array_append_new(list, json_pack("{s:o,s:o,s:s}", "label", kl_json_text(item[i].label),
                                              "mac", encode_mac(&item[i].mac), "fingerprint", hex));
    }
    return wire_line(json_pack("{s:o}", "in_doubt", list));
}

char *kl_wire_refused(const char *text)
{
    return wire_line(json_pack("{s:o}", "refused", kl_json_text(text)));
}

char *kl_wire_build(bool stale)
{
    return wire_line(json_pack("{s:{s:b}}", "build", "stale", stale));
}

char *kl_wire_bye(int exit_status, const char *text)
{
    return wire_line(
        json_pack("{s:{s:i,s:o}}", "bye", "exit", exit_status, "text", kl_json_text(text)));
}

char *kl_wire_client_hello(const char *operator_name)
{
    return wire_line(json_pack("{s:{s:i,s:o}}", "hello", "protocol", KL_WIRE_PROTOCOL, "operator",
                               kl_json_text(operator_name)));
}

char *kl_wire_command(const struct kl_command *command)
{
    struct kl_command_info info = kl_command_info(command->kind);
    json_t *o = json_pack("{s:s}", "command", info.name);
    char hex[2 * KL_FINGERPRINT + 1];

    if (info.has_slot)
        json_object_set_new(o, "slot", json_integer((json_int_t)command->slot));
    if (info.argument[0])
        json_object_set_new(o, info.argument, kl_json_text(command->argument));
    if (command->kind == KL_CMD_RELEASE) {
        hex_of(&command->fingerprint, hex);
        json_object_set_new(o, "fingerprint", json_string(hex));
    }
    return wire_line(o);
}

/* ---- decoding ---- */

/* A name that this version does not know becomes the first of the list. */
enum kl_state wire_state(const char *name)
{
    for (int s = 0; s < KL_ST_COUNT; s++)
        if (strcmp(name, kl_state_name((enum kl_state)s)) == 0)
            return (enum kl_state)s;
    return KL_ST_EMPTY;
}

enum kl_reason wire_reason(const char *name)
{
    for (int r = 0; r < KL_FAULT_COUNT; r++)
        if (strcmp(name, kl_fault_info((enum kl_reason)r).name) == 0)
            return (enum kl_reason)r;
    return KL_FAULT_NONE;
}

static void write_uint(const struct field *f, void *at, uint64_t v)
{
    if (f->type == T_U8)
        *(uint8_t *)at = (uint8_t)v;
    else if (f->type == T_U16)
        *(uint16_t *)at = (uint16_t)v;
    else if (f->type == T_U32)
        *(uint32_t *)at = (uint32_t)v;
    else if (f->type == T_UINT)
        *(unsigned *)at = (unsigned)v;
    else
        *(uint64_t *)at = v;
}

/* A value of another type than the table's leaves the field as it is. */
static void decode_text(const struct field *f, const char *text, void *at)
{
    const struct kl_chip *chip;

    if (f->type == T_TEXT) {
        kl_copy(at, f->size, text);
    } else if (f->type == T_MAC) {
        kl_mac_parse(text, at);
    } else if (f->type == T_STATE) {
        *(enum kl_state *)at = wire_state(text);
    } else if (f->type == T_REASON) {
        *(enum kl_reason *)at = wire_reason(text);
    } else if (f->type == T_CHIP) {
        chip = kl_chip_by_slug(text);
        *(enum kl_chip_id *)at = chip ? chip->id : KL_CHIP_NONE;
    }
}

static void decode_field(const struct field *f, const json_t *value, void *base)
{
    void *at = (char *)base + f->at;

    if (json_is_string(value))
        decode_text(f, json_string_value(value), at);
    else if (json_is_null(value) && f->type == T_TIME)
        *(kl_us *)at = KL_NEVER;
    else if (json_is_null(value))
        memset(at, 0, f->size);
    else if (json_is_boolean(value) && f->type == T_BOOL)
        *(bool *)at = json_is_true(value);
    else if (json_is_integer(value) && f->type == T_TIME)
        *(kl_us *)at = json_integer_value(value);
    else if (json_is_integer(value) && f->type >= T_U8 && f->type <= T_U64)
        write_uint(f, at, (uint64_t)json_integer_value(value));
}

static void decode_fields(const struct field *f, size_t count, const json_t *object, void *base)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, f[i].name);
        if (value)
            decode_field(&f[i], value, base);
    }
}

static void decode_snapshot(json_t *all, struct kl_snapshot *snap)
{
    const char *index;
    json_t *slot;

    decode_fields(bench_fields, COUNT(bench_fields), json_object_get(all, "snapshot"), snap);
    if (snap->slot_count > KL_SLOTS_MAX)
        snap->slot_count = KL_SLOTS_MAX;
    json_object_foreach(json_object_get(all, "slots"), index, slot)
    {
        unsigned long i = strtoul(index, NULL, 10);
        if (i < KL_SLOTS_MAX)
            decode_fields(slot_fields, COUNT(slot_fields), slot, &snap->slot[i]);
    }
}

const char *wire_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static unsigned slot_of(const json_t *object)
{
    json_int_t slot = json_integer_value(json_object_get(object, "slot"));

    return slot >= 0 && slot < KL_SLOTS_MAX ? (unsigned)slot : KL_WIRE_BENCH;
}

static void decode_hello(const json_t *o, struct kl_wire_hello *h)
{
    *h = (struct kl_wire_hello){
        .protocol = (unsigned)json_integer_value(json_object_get(o, "protocol")),
    };
    kl_copy(h->version, sizeof h->version, wire_text(o, "version"));
    kl_copy(h->csv, sizeof h->csv, wire_text(o, "csv"));
    kl_copy(h->firmware, sizeof h->firmware, wire_text(o, "firmware"));
    kl_copy(h->project, sizeof h->project, wire_text(o, "project"));
    kl_copy(h->project_version, sizeof h->project_version, wire_text(o, "project_version"));
    kl_copy(h->chip, sizeof h->chip, wire_text(o, "chip"));
    kl_copy(h->station, sizeof h->station, wire_text(o, "station"));
    kl_copy(h->digest, sizeof h->digest, wire_text(o, "digest"));
    h->since = json_integer_value(json_object_get(o, "since"));
    h->prompt_timeout = json_integer_value(json_object_get(o, "prompt_timeout"));
    h->ack_timeout = json_integer_value(json_object_get(o, "ack_timeout"));
    h->expect_timeout = json_integer_value(json_object_get(o, "expect_timeout"));
    kl_copy(h->settings, sizeof h->settings, wire_text(o, "settings"));
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool decode_fingerprint(const char *hex, struct kl_fingerprint *out)
{
    if (strlen(hex) != 2 * sizeof out->b)
        return false;
    for (size_t i = 0; i < sizeof out->b; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void decode_in_doubt(const json_t *list, struct kl_wire_message *out)
{
    size_t i;
    json_t *item;

    out->u.in_doubt.count = 0;
    json_array_foreach(list, i, item)
    {
        struct kl_in_doubt *d = &out->u.in_doubt.item[out->u.in_doubt.count];
        if (out->u.in_doubt.count == KL_WIRE_IN_DOUBT_MAX)
            break;
        *d = (struct kl_in_doubt){0};
        kl_copy(d->label, sizeof d->label, wire_text(item, "label"));
        kl_mac_parse(wire_text(item, "mac"), &d->mac);
        decode_fingerprint(wire_text(item, "fingerprint"), &d->fingerprint);
        out->u.in_doubt.count++;
    }
}

static void decode_message(json_t *all, struct kl_snapshot *snap, struct kl_wire_message *out)
{
    const json_t *o;

    out->kind = KL_WIRE_NOTHING;
    if ((o = json_object_get(all, "hello"))) {
        out->kind = KL_WIRE_HELLO;
        decode_hello(o, &out->u.hello);
    } else if (json_object_get(all, "slots")) {
        out->kind = KL_WIRE_SNAPSHOT;
        decode_snapshot(all, snap);
    } else if ((o = json_object_get(all, "log"))) {
        out->kind = KL_WIRE_LOG;
        out->u.log.slot = slot_of(o);
        kl_copy(out->u.log.text, sizeof out->u.log.text, wire_text(o, "text"));
    } else if ((o = json_object_get(all, "gap"))) {
        out->kind = KL_WIRE_LOG_GAP;
        out->u.gap.slot = slot_of(o);
        out->u.gap.lines = (uint64_t)json_integer_value(json_object_get(o, "lines"));
    } else if ((o = json_object_get(all, "in_doubt"))) {
        out->kind = KL_WIRE_IN_DOUBT;
        decode_in_doubt(o, out);
    } else if (json_object_get(all, "refused")) {
        out->kind = KL_WIRE_REFUSED;
        kl_copy(out->u.text, sizeof out->u.text, wire_text(all, "refused"));
    } else if ((o = json_object_get(all, "build"))) {
        out->kind = KL_WIRE_BUILD;
        out->u.stale = json_is_true(json_object_get(o, "stale"));
    } else if ((o = json_object_get(all, "stats"))) {
        out->kind = KL_WIRE_STATS;
        wire_decode_stats(o, &out->u.stats);
    } else if ((o = json_object_get(all, "bye"))) {
        out->kind = KL_WIRE_BYE;
        out->u.bye.exit = (int)json_integer_value(json_object_get(o, "exit"));
        kl_copy(out->u.bye.text, sizeof out->u.bye.text, wire_text(o, "text"));
    }
}

bool kl_wire_decode(const char *line, size_t size, struct kl_snapshot *snap,
                    struct kl_wire_message *out)
{
    json_t *all = size <= KL_WIRE_LINE_MAX ? json_loadb(line, size, 0, NULL) : NULL;

    if (!json_is_object(all)) {
        json_decref(all);
        return false;
    }
    decode_message(all, snap, out);
    json_decref(all);
    return true;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

static bool decode_command(const json_t *all, struct kl_command *out, char error[KL_TEXT_MAX])
{
    struct kl_command_info info;
    const char *name = wire_text(all, "command"), *argument;

    if (!kl_command_named(name, &out->kind)) {
        kl_format(error, KL_TEXT_MAX, "this station knows no command \"%s\"", name);
        return false;
    }
    info = kl_command_info(out->kind);
    argument = wire_text(all, info.argument);
    out->slot = json_object_get(all, "slot") ? slot_of(all) : KL_WIRE_BENCH;
    if (info.has_slot && out->slot == KL_WIRE_BENCH)
        kl_format(error, KL_TEXT_MAX, "the command %s needs a slot", name);
    else if (info.argument[0] && is_blank(argument))
        kl_format(error, KL_TEXT_MAX, "the command %s needs its %s", name, info.argument);
    else if (!kl_copy(out->argument, sizeof out->argument, argument))
        kl_format(error, KL_TEXT_MAX, "the %s is too long", info.argument);
    else if (out->kind == KL_CMD_RELEASE &&
             !decode_fingerprint(wire_text(all, "fingerprint"), &out->fingerprint))
        kl_format(error, KL_TEXT_MAX, "the command %s needs the key's fingerprint", name);
    else
        return true;
    return false;
}

bool kl_wire_decode_request(const char *line, size_t size, struct kl_wire_request *out,
                            char error[KL_TEXT_MAX])
{
    json_t *all = json_loadb(line, size, 0, NULL);
    const json_t *hello = json_object_get(all, "hello");
    bool good = true;

    *out = (struct kl_wire_request){.is_hello = hello != NULL};
    if (hello) {
        out->protocol = (unsigned)json_integer_value(json_object_get(hello, "protocol"));
        kl_copy(out->command.operator_name, sizeof out->command.operator_name,
                wire_text(hello, "operator"));
    } else if (json_is_object(all)) {
        good = decode_command(all, &out->command, error);
    } else {
        kl_copy(error, KL_TEXT_MAX, "not a JSON object");
        good = false;
    }
    json_decref(all);
    return good;
}

bool kl_wire_is_foreign(const struct kl_wire_hello *h, char text[KL_TEXT_MAX])
{
    if (h->protocol == KL_WIRE_PROTOCOL)
        return false;
    kl_format(
        text, KL_TEXT_MAX,
        "the station is keyline %s (protocol %u), %s than this dashboard, keyline %s (protocol "
        "%u): show it with the program that started it, or stop it there and start it anew",
        h->version, h->protocol, h->protocol < KL_WIRE_PROTOCOL ? "older" : "newer",
        KEYLINE_VERSION, (unsigned)KL_WIRE_PROTOCOL);
    return true;
}
