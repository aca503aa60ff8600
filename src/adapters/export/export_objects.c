/* export_objects.c: exports that are JSON, one object a line: ChirpStack, AWS, the plain list. */
#include <ctype.h>
#include <string.h>

#include "export_private.h"
#include "keyline/bundle_load.h"

/* An object while it is filled. The first thing that goes wrong stays in `error`. */
struct filling {
    struct kl_export *e;
    const struct kl_export_row *row;
    char *error;
    bool good;
};

static void put(struct filling *f, const char *member, struct kl_span value, const char *field)
{
    if (!f->good || export_member(&f->e->text, member, value))
        return;
    f->good = false;
    export_say(f->row, export_find(f->e, field), "it is not UTF-8, and JSON can't hold it",
               f->error);
}

static void put_text(struct filling *f, const char *member, const char *text)
{
    if (text[0] != '\0')
        put(f, member, export_span(text), "name");
}

/* The member only if the field has a source. */
static void put_field(struct filling *f, const char *member, const char *field)
{
    struct export_value v;

    if (!f->good || !export_has(f->e, field))
        return;
    f->good = export_value(f->e, f->row, field, false, &v, f->error);
    if (f->good)
        put(f, member, v.span, field);
}

static void put_name(struct filling *f, const char *member, const char *field)
{
    if (export_has(f->e, field))
        put_field(f, member, field);
    else
        put_text(f, member, f->row->label);
}

static void open_object(struct filling *f, const char *member)
{
    if (member[0] != '\0') {
        const struct export_text *t = &f->e->text;
        export_puts(&f->e->text, t->size > 0 && t->data[t->size - 1] != '{' ? ",\"" : "\"");
        export_puts(&f->e->text, member);
        export_puts(&f->e->text, "\":");
    }
    export_puts(&f->e->text, "{");
}

static void close_object(struct filling *f)
{
    export_puts(&f->e->text, "}");
}

/* ---- ChirpStack ---- */

bool export_chirpstack_row(struct kl_export *e, const struct kl_export_row *row,
                           char error[KL_TEXT_MAX])
{
    struct filling f = {e, row, error, true};
    char mac[18];

    kl_mac_format(&row->mac, mac);
    open_object(&f, "");
    open_object(&f, "device");
    put_field(&f, "devEui", "dev_eui");
    put_field(&f, "joinEui", "join_eui");
    put_name(&f, "name", "name");
    put_field(&f, "description", "description");
    put_field(&f, "applicationId", "application_id");
    put_field(&f, "deviceProfileId", "device_profile_id");
    open_object(&f, "tags");
    put_text(&f, "mac", mac);
    close_object(&f);
    close_object(&f);
    if (e->secrets) {
        open_object(&f, "deviceKeys");
        put_field(&f, "devEui", "dev_eui");
        /* ChirpStack has the one key of LoRaWAN 1.0 under the name of a key of 1.1. */
        put_field(&f, "nwkKey", e->is_11 ? "nwk_key" : "app_key");
        if (e->is_11)
            put_field(&f, "appKey", "app_key");
        put_field(&f, "genAppKey", "gen_app_key");
        close_object(&f);
    }
    close_object(&f);
    export_puts(&e->text, "\n");
    return f.good;
}

/* ---- AWS IoT Core for LoRaWAN ---- */

static size_t add_field(const struct filling *f, const char *field, char *out, size_t size)
{
    char error[KL_TEXT_MAX];
    struct export_value v;

    if (!export_value(f->e, f->row, field, false, &v, error))
        return 0;
    return kl_format(out, size, "%.*s\n", (int)v.span.size, (const char *)v.span.data);
}

/* The same request has the same token, so that AWS does it once, however often it is sent. A
   corrected request has another. The key stands in it by its fingerprint. */
static void put_token(struct filling *f)
{
    static const char *const fields[] = {
        "dev_eui",         "join_eui", "destination", "device_profile_id", "service_profile_id",
        "lorawan_version", "name",     "description"};
    char text[8 * KL_TEXT_MAX], token[41];
    uint8_t digest[32];
    size_t n = 0;

    for (int i = 0; i < KL_FINGERPRINT; i++)
        n += kl_format(text + n, sizeof text - n, "%02x", f->row->fingerprint.b[i]);
    n += kl_format(text + n, sizeof text - n, "\n%s\n", f->row->label);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        n += add_field(f, fields[i], text + n, sizeof text - n);
    kl_sha256(text, n, digest);
    n = kl_format(token, sizeof token, "keyline-");
    for (int i = 0; i < 16; i++)
        n += kl_format(token + n, sizeof token - n, "%02x", digest[i]);
    put_text(f, "ClientRequestToken", token);
}

static bool takes_join_eui(const struct kl_export *e)
{
    const struct export_name *version = export_find(e, "lorawan_version");

    return version && (strcmp(version->constant, "MAC_V1_0_4") == 0 || e->is_11);
}

bool export_aws_lorawan_row(struct kl_export *e, const struct kl_export_row *row,
                            char error[KL_TEXT_MAX])
{
    struct filling f = {e, row, error, true};
    char mac[18];

    kl_mac_format(&row->mac, mac);
    open_object(&f, "");
    put_text(&f, "Type", "LoRaWAN");
    put_name(&f, "Name", "name");
    put_field(&f, "Description", "description");
    put_field(&f, "DestinationName", "destination");
    put_token(&f);
    open_object(&f, "LoRaWAN");
    put_field(&f, "DevEui", "dev_eui");
    put_field(&f, "DeviceProfileId", "device_profile_id");
    put_field(&f, "ServiceProfileId", "service_profile_id");
    open_object(&f, e->is_11 ? "OtaaV1_1" : "OtaaV1_0_x");
    put_field(&f, "AppKey", "app_key");
    put_field(&f, "NwkKey", "nwk_key");
    put_field(&f, "GenAppKey", "gen_app_key");
    put_field(&f, takes_join_eui(e) ? "JoinEui" : "AppEui", "join_eui");
    close_object(&f);
    close_object(&f);
    export_puts(&e->text, ",\"Tags\":[{\"Key\":\"mac\",\"Value\":\"");
    export_puts(&e->text, mac);
    export_puts(&e->text, "\"}]}\n");
    return f.good;
}

/* ---- AWS IoT things ---- */

static void put_thing_name(struct filling *f)
{
    struct export_value v;
    bool fits;

    if (!(f->good = export_value(f->e, f->row, "ThingName", false, &v, f->error)))
        return;
    if (!export_has(f->e, "ThingName"))
        v.span = export_span(f->row->label);
    fits = v.span.size >= 1 && v.span.size <= 128;
    for (size_t i = 0; i < v.span.size; i++)
        fits &=
            isalnum(v.span.data[i]) || (v.span.data[i] != '\0' && strchr(":_-", v.span.data[i]));
    if (fits) {
        put(f, "ThingName", v.span, "ThingName");
        return;
    }
    f->good = false;
    export_say(f->row, export_find(f->e, "ThingName"),
               "a thing's name has 1 to 128 letters, digits, : _ and -; --map ThingName=@mac",
               f->error);
}

bool export_aws_things_row(struct kl_export *e, const struct kl_export_row *row,
                           char error[KL_TEXT_MAX])
{
    struct filling f = {e, row, error, true};
    char mac[18];

    kl_mac_format(&row->mac, mac);
    open_object(&f, "");
    put_thing_name(&f);
    if (!export_has(e, "SerialNumber"))
        put_text(&f, "SerialNumber", mac);
    for (unsigned i = 0; i < e->name_count; i++)
        if (strcmp(e->name[i].name, "ThingName") != 0)
            put_field(&f, e->name[i].name, e->name[i].name);
    close_object(&f);
    export_puts(&e->text, "\n");
    return f.good;
}

/* ---- who got what ---- */

static void put_upper(struct filling *f, const char *field)
{
    struct export_value v;

    if (!f->good || !export_has(f->e, field))
        return;
    f->good = export_value(f->e, f->row, field, true, &v, f->error);
    if (f->good)
        put(f, field, v.span, field);
}

bool export_lines_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX])
{
    struct filling f = {e, row, error, true};
    char mac[18], when[32], qr[64];

    kl_mac_format(&row->mac, mac);
    export_time(row->provisioned, when);
    open_object(&f, "");
    put_text(&f, "label", row->label);
    put_text(&f, "mac", mac);
    put_text(&f, "eui64", row->eui64);
    put_text(&f, "provisioned", when);
    put_text(&f, "station", row->station);
    put_text(&f, "bundle", row->build);
    put_text(&f, "confirmed", row->how);
    put_upper(&f, "dev_eui");
    put_upper(&f, "join_eui");
    if (f.good && kl_export_has_qr(e)) {
        f.good = export_qr(e, row, qr, error);
        put_text(&f, "qr", f.good ? qr : "");
    }
    close_object(&f);
    export_puts(&e->text, "\n");
    return f.good;
}
