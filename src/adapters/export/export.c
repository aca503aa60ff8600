/* export.c: what an export needs, and its rows one by one. */
#include "keyline/export.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "export_private.h"
#include "keyline/secret.h"

static const char *const form_names[] = {
#define X(name, word, text) [KL_EXPORT_##name] = word,
    KL_EXPORT_FORMS(X)
#undef X
        [KL_EXPORT_LIST] = "a list",
    [KL_EXPORT_LINES] = "a list",
};

bool kl_export_form_named(const char *name, enum kl_export_form *out)
{
    for (int i = 0; i < KL_EXPORT_LIST; i++) {
        if (strcmp(form_names[i], name) != 0)
            continue;
        *out = (enum kl_export_form)i;
        return true;
    }
    return false;
}

const char *kl_export_form_name(enum kl_export_form form)
{
    return form_names[form];
}

/* ---- what a form has to have ---- */

/* Fields that a form can't do without, beside the keys. */
static const struct need {
    enum kl_export_form form;
    const char *name, *how;
} needs[] = {
    {KL_EXPORT_TTS, "dev_eui", "--map dev_eui=COLUMN"},
    {KL_EXPORT_TTS, "join_eui", "--map join_eui=COLUMN, or --set join_eui=…"},
    {KL_EXPORT_CHIRPSTACK, "dev_eui", "--map dev_eui=COLUMN"},
    {KL_EXPORT_CHIRPSTACK, "application_id", "--set application_id=…"},
    {KL_EXPORT_CHIRPSTACK, "device_profile_id", "--set device_profile_id=…"},
    {KL_EXPORT_AWS_LORAWAN, "dev_eui", "--map dev_eui=COLUMN"},
    {KL_EXPORT_AWS_LORAWAN, "join_eui", "--map join_eui=COLUMN, or --set join_eui=…"},
    {KL_EXPORT_AWS_LORAWAN, "destination", "--set destination=…"},
    {KL_EXPORT_AWS_LORAWAN, "device_profile_id", "--set device_profile_id=…"},
    {KL_EXPORT_AWS_LORAWAN, "service_profile_id", "--set service_profile_id=…"},
    {KL_EXPORT_THINGPARK, "dev_eui", "--map dev_eui=COLUMN"},
    {KL_EXPORT_THINGPARK, "model_id", "--set model_id=…"},
};

static bool is_network(enum kl_export_form form)
{
    return form == KL_EXPORT_TTS || form == KL_EXPORT_CHIRPSTACK || form == KL_EXPORT_AWS_LORAWAN ||
           form == KL_EXPORT_THINGPARK;
}

static bool lacks(const struct kl_export *e, const char *name, const char *how,
                  char error[KL_TEXT_MAX])
{
    if (export_has(e, name))
        return false;
    kl_format(error, KL_TEXT_MAX, "%s needs %s: %s", kl_export_form_name(e->form), name, how);
    return true;
}

static bool has_what_it_needs(const struct kl_export *e, char error[KL_TEXT_MAX])
{
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (needs[i].form == e->form && lacks(e, needs[i].name, needs[i].how, error))
            return false;
    if (!is_network(e->form) || e->public)
        return true;
    if (lacks(e, "app_key", "--map app_key=COLUMN, or --public to leave keys out", error))
        return false;
    return !e->is_11 ||
           !lacks(e, "nwk_key", "--map nwk_key=COLUMN; LoRaWAN 1.1 has two keys", error);
}

static void drop(struct kl_export *e, const char *name)
{
    for (unsigned i = 0; i < e->name_count; i++)
        if (strcmp(e->name[i].name, name) == 0)
            e->name[i].source = EXPORT_NONE;
}

/* Which LoRaWAN it is decides which key goes where. */
static bool learn_version(struct kl_export *e, char error[KL_TEXT_MAX])
{
    const struct export_name *version = export_find(e, "lorawan_version");
    const struct export_name *nwk_key = export_find(e, "nwk_key");

    if (!is_network(e->form))
        return true;
    e->is_11 = version && strcmp(version->constant, "MAC_V1_1") == 0;
    if (!version && nwk_key && !e->public) {
        kl_copy(
            error, KL_TEXT_MAX,
            "there is an nwk_key: say --set lorawan_version=MAC_V1_1, or MAC_V1_0_… to leave it "
            "out");
        return false;
    }
    if (e->is_11 && e->form == KL_EXPORT_THINGPARK) {
        kl_copy(error, KL_TEXT_MAX,
                "thingpark's file is known for LoRaWAN 1.0 only; a template "
                "takes what yours needs");
        return false;
    }
    if (version && !e->is_11 && nwk_key && nwk_key->chosen) {
        kl_copy(error, KL_TEXT_MAX, "LoRaWAN 1.0 has no nwk_key: its one key is the app_key");
        return false;
    }
    if (!e->is_11)
        drop(e, "nwk_key");
    if (e->is_11)
        drop(e, "gen_app_key");
    return true;
}

static bool settle_secrets(struct kl_export *e, char error[KL_TEXT_MAX])
{
    if (e->public && (e->form == KL_EXPORT_AWS_LORAWAN || e->form == KL_EXPORT_THINGPARK)) {
        kl_format(error, KL_TEXT_MAX, "%s makes no sense without keys",
                  kl_export_form_name(e->form));
        return false;
    }
    for (unsigned i = 0; i < e->name_count; i++) {
        if (e->name[i].source == EXPORT_NONE || !export_is_secret(e, &e->name[i]) || e->secrets)
            continue;
        if (e->public) {
            e->name[i].source = EXPORT_NONE;
            continue;
        }
        /* A template shows only what its text names. */
        if (e->form == KL_EXPORT_TEMPLATE)
            continue;
        kl_format(error, KL_TEXT_MAX,
                  "this would write secrets (%s): say --secrets and -o FILE, or --public to leave "
                  "them out",
                  e->name[i].name);
        return false;
    }
    return true;
}

/* ---- from new to free ---- */

static bool copy_columns(struct kl_export *e, const struct kl_export_options *o)
{
    e->columns = calloc(o->column_count + 1, sizeof *e->columns);
    if (!e->columns)
        return false;
    for (unsigned i = 0; i < o->column_count; i++)
        kl_copy(e->columns[i], sizeof e->columns[i], o->columns[i]);
    e->column_count = o->column_count;
    return true;
}

static bool write_head(struct kl_export *e)
{
    switch (e->form) {
    case KL_EXPORT_TTS:
        return export_tts_head(e);
    case KL_EXPORT_LIST:
        return export_list_head(e);
    case KL_EXPORT_TEMPLATE:
        return export_template_head(e);
    default:
        return true;
    }
}

struct kl_export *kl_export_new(const struct kl_export_options *o, char error[KL_TEXT_MAX])
{
    struct kl_export *e = calloc(1, sizeof *e);

    error[0] = '\0';
    if (!e || !copy_columns(e, o)) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        free(e);
        return NULL;
    }
    e->form = o->form;
    e->secrets = o->secrets;
    e->public = o->public;
    e->fields = o->fields;
    e->now = o->now;
    kl_copy(e->pool, sizeof e->pool, o->pool ? o->pool : "");
    if (export_names(e, o, error) && learn_version(e, error) && settle_secrets(e, error) &&
        has_what_it_needs(e, error) &&
        (e->form != KL_EXPORT_TEMPLATE || export_template_read(e, o->template, error)) &&
        write_head(e) && !e->text.failed)
        return e;
    if (error[0] == '\0')
        kl_copy(error, KL_TEXT_MAX, "no memory");
    kl_export_free(e);
    return NULL;
}

void kl_export_free(struct kl_export *e)
{
    if (!e)
        return;
    export_template_free(e);
    export_text_free(&e->text);
    free(e->eui);
    free(e->columns);
    free(e);
}

bool kl_export_needs_keys(const struct kl_export *e)
{
    if (e->form == KL_EXPORT_TEMPLATE && export_template_needs_keys(e))
        return true;
    for (unsigned i = 0; i < e->name_count; i++)
        if (e->name[i].source == EXPORT_COLUMN)
            return true;
    return false;
}

bool kl_export_is_secret(const struct kl_export *e)
{
    return e->secrets;
}

bool kl_export_has_qr(const struct kl_export *e)
{
    if (e->form == KL_EXPORT_TEMPLATE)
        return export_template_has_qr(e);
    return export_has(e, "dev_eui") && export_has(e, "join_eui") && export_has(e, "profile_id");
}

/* ---- values ---- */

void export_say(const struct kl_export_row *row, const struct export_name *n, const char *what,
                char error[KL_TEXT_MAX])
{
    size_t at = row->line > 0 ? kl_format(error, KL_TEXT_MAX, "line %u", (unsigned)row->line)
                              : kl_format(error, KL_TEXT_MAX, "%s", row->label);

    if (n && n->source == EXPORT_COLUMN)
        at += kl_format(error + at, KL_TEXT_MAX - at, ", column %u", n->column);
    kl_format(error + at, KL_TEXT_MAX - at, "%s%s%s: %s", n ? " (" : "", n ? n->name : "",
              n ? ")" : "", what);
}

/* The digits of "70:B3-d5 …" or "0x70b3…"; false if there are not as many as there should be. */
static bool take_digits(struct kl_span v, size_t digits, bool upper, struct export_value *out)
{
    size_t n = 0, at = v.size > 2 && v.data[0] == '0' && (v.data[1] | 0x20) == 'x' ? 2 : 0;

    for (; at < v.size; at++) {
        int c = v.data[at];
        if (strchr(":-. ", c) && c != '\0')
            continue;
        if (!isxdigit(c) || n == digits)
            return false;
        out->room[n++] = (char)(upper ? toupper(c) : tolower(c));
    }
    out->span = (struct kl_span){(const uint8_t *)out->room, n};
    return n == digits;
}

static bool raw_value(const struct kl_export_row *row, const struct export_name *n,
                      struct export_value *out, char error[KL_TEXT_MAX])
{
    switch (n->source) {
    case EXPORT_COLUMN:
        KL_ASSERT(row->key);
        if (n->column > row->key->count) {
            export_say(row, n, "the row has no such column", error);
            return false;
        }
        out->span = kl_key_field(row->key, n->column - 1);
        return true;
    case EXPORT_CONSTANT:
        out->span = export_span(n->constant);
        return true;
    case EXPORT_LABEL:
        out->span = export_span(row->label);
        return true;
    case EXPORT_MAC:
        kl_mac_format(&row->mac, out->room);
        out->span = export_span(out->room);
        return true;
    case EXPORT_EUI64:
        out->span = export_span(row->eui64);
        if (row->eui64[0] == '\0')
            export_say(row, n, "the board has no EUI-64", error);
        return row->eui64[0] != '\0';
    case EXPORT_NONE:
        break;
    }
    out->span = export_span("");
    return true;
}

bool export_value(const struct kl_export *e, const struct kl_export_row *row, const char *name,
                  bool upper, struct export_value *out, char error[KL_TEXT_MAX])
{
    static const struct {
        size_t digits;
        const char *wrong;
    } kinds[] = {
        [EXPORT_TEXT] = {0, ""},
        [EXPORT_EUI] = {16, "it is not 16 hexadecimal digits"},
        [EXPORT_KEY] = {32, "it is not 32 hexadecimal digits"},
        [EXPORT_VERSION] = {0, ""},
        [EXPORT_UUID] = {0, ""},
        [EXPORT_PROFILE] = {8, "it is not 8 hexadecimal digits"},
    };
    const struct export_name *n = export_find(e, name);
    struct kl_span raw;

    if (!n) {
        out->span = export_span("");
        return true;
    }
    if (!raw_value(row, n, out, error))
        return false;
    raw = out->span;
    if (kinds[n->kind].digits == 0 || take_digits(raw, kinds[n->kind].digits, upper, out))
        return true;
    export_say(row, n, kinds[n->kind].wrong, error);
    return false;
}

bool export_qr(const struct kl_export *e, const struct kl_export_row *row, char out[64],
               char error[KL_TEXT_MAX])
{
    struct export_value dev_eui, join_eui, profile;

    if (!export_value(e, row, "dev_eui", true, &dev_eui, error) ||
        !export_value(e, row, "join_eui", true, &join_eui, error) ||
        !export_value(e, row, "profile_id", true, &profile, error))
        return false;
    kl_format(out, 64, "LW:D0:%.16s:%.16s:%.8s", join_eui.span.data, dev_eui.span.data,
              profile.span.data);
    return true;
}

/* ---- rows ---- */

static bool note_device(struct kl_export *e, const struct kl_export_row *row,
                        char error[KL_TEXT_MAX])
{
    struct export_value v;
    struct export_eui *eui;

    if (!export_has(e, "dev_eui"))
        return true;
    if (!export_value(e, row, "dev_eui", false, &v, error))
        return false;
    if (e->eui_count == e->eui_room) {
        size_t room = e->eui_room == 0 ? 1024 : e->eui_room * 2;
        struct export_eui *more = reallocarray(e->eui, room, sizeof *more);
        if (!more) {
            e->text.failed = true;
            return true;
        }
        e->eui = more;
        e->eui_room = room;
    }
    eui = &e->eui[e->eui_count++];
    for (int i = 0; i < 8; i++) {
        char pair[3] = {v.room[2 * i], v.room[2 * i + 1], '\0'};
        eui->b[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    eui->line = row->line;
    return true;
}

bool kl_export_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX])
{
    static bool (*const forms[])(struct kl_export *, const struct kl_export_row *, char *) = {
        [KL_EXPORT_TTS] = export_tts_row,
        [KL_EXPORT_CHIRPSTACK] = export_chirpstack_row,
        [KL_EXPORT_AWS_LORAWAN] = export_aws_lorawan_row,
        [KL_EXPORT_AWS_THINGS] = export_aws_things_row,
        [KL_EXPORT_THINGPARK] = export_thingpark_row,
        [KL_EXPORT_TEMPLATE] = export_template_row,
        [KL_EXPORT_LIST] = export_list_row,
        [KL_EXPORT_LINES] = export_lines_row,
    };

    KL_ASSERT(row->key || !kl_export_needs_keys(e));
    error[0] = '\0';
    if (!note_device(e, row, error) || !forms[e->form](e, row, error)) {
        e->bad = true;
        return false;
    }
    e->count++;
    return true;
}

static int by_eui(const void *a, const void *b)
{
    const struct export_eui *x = a, *y = b;
    int differ = memcmp(x->b, y->b, sizeof x->b);

    return differ != 0 ? differ : (x->line > y->line) - (x->line < y->line);
}

bool kl_export_end(struct kl_export *e, char error[KL_TEXT_MAX])
{
    error[0] = '\0';
    if (e->eui_count > 0)
        qsort(e->eui, e->eui_count, sizeof *e->eui, by_eui);
    for (size_t i = 1; i < e->eui_count; i++) {
        if (memcmp(e->eui[i - 1].b, e->eui[i].b, sizeof e->eui[i].b) != 0)
            continue;
        kl_format(error, KL_TEXT_MAX, "lines %u and %u have one dev_eui",
                  (unsigned)e->eui[i - 1].line, (unsigned)e->eui[i].line);
        return false;
    }
    if (e->form == KL_EXPORT_TEMPLATE)
        export_template_foot(e);
    if (e->text.failed)
        kl_copy(error, KL_TEXT_MAX, "no memory");
    return !e->text.failed && !e->bad;
}

unsigned kl_export_count(const struct kl_export *e)
{
    return e->count;
}

struct kl_span kl_export_text(const struct kl_export *e)
{
    return (struct kl_span){(const uint8_t *)e->text.data, e->text.size};
}
