/* export_tables.c: exports that are CSV files: The Things Stack, ThingPark, the plain list. */
#include <ctype.h>
#include <string.h>

#include "export_private.h"

static void comma(struct kl_export *e, bool *first)
{
    if (!*first)
        export_puts(&e->text, ",");
    *first = false;
}

/* The field if it has a source, else the label: a device is called by its label. */
static bool device_name(struct kl_export *e, const struct kl_export_row *row, size_t most,
                        struct export_value *out, char error[KL_TEXT_MAX])
{
    const struct export_name *n = export_find(e, "name");
    char text[KL_TEXT_MAX];

    if (!export_value(e, row, "name", false, out, error))
        return false;
    if (!n)
        out->span = export_span(row->label);
    if (out->span.size <= most)
        return true;
    kl_format(text, sizeof text,
              "the name is longer than the %u bytes that %s takes; --map name=COLUMN or @mac",
              (unsigned)most, kl_export_form_name(e->form));
    export_say(row, n, text, error);
    return false;
}

/* ---- The Things Stack ---- */

/* Columns in the order in which they are written; a column without a source is left out, since The
   Things Stack takes an empty key for a key. The name always has one. */
static const char *const tts_columns[] = {
    "id",          "dev_eui",           "join_eui",         "name",
    "description", "frequency_plan_id", "lorawan_version",  "lorawan_phy_version",
    "brand_id",    "model_id",          "hardware_version", "firmware_version",
    "band_id",     "app_key",           "nwk_key",
};

enum {
    TTS_COLUMNS = sizeof tts_columns / sizeof tts_columns[0],
    TTS_NAME_MAX = 50,
    TTS_ID_MAX = 36,
    THINGPARK_NAME_MAX = 128,
};

static bool has_tts_column(const struct kl_export *e, int i)
{
    return export_has(e, tts_columns[i]) || strcmp(tts_columns[i], "name") == 0;
}

bool export_tts_head(struct kl_export *e)
{
    bool first = true;

    for (int i = 0; i < TTS_COLUMNS; i++) {
        if (!has_tts_column(e, i))
            continue;
        comma(e, &first);
        export_puts(&e->text, tts_columns[i]);
    }
    export_puts(&e->text, "\n");
    return true;
}

/* Small letters, digits, and single hyphens between them. */
static bool is_tts_id(struct kl_span v)
{
    if (v.size < 3 || v.size > TTS_ID_MAX)
        return false;
    for (size_t i = 0; i < v.size; i++) {
        bool inside = i > 0 && i + 1 < v.size;
        if (v.data[i] == '-' ? !inside || v.data[i - 1] == '-'
                             : !islower(v.data[i]) && !isdigit(v.data[i]))
            return false;
    }
    return true;
}

bool export_tts_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX])
{
    struct export_value v;
    bool first = true;

    for (int i = 0; i < TTS_COLUMNS; i++) {
        if (!has_tts_column(e, i))
            continue;
        if (strcmp(tts_columns[i], "name") == 0
                ? !device_name(e, row, TTS_NAME_MAX, &v, error)
                : !export_value(e, row, tts_columns[i], true, &v, error))
            return false;
        if (i == 0 && !is_tts_id(v.span)) {
            export_say(row, export_find(e, "id"),
                       "an id has 3 to 36 small letters, digits and single hyphens", error);
            return false;
        }
        comma(e, &first);
        export_csv(&e->text, v.span);
    }
    export_puts(&e->text, "\n");
    return true;
}

/* ---- ThingPark ---- */

bool export_thingpark_row(struct kl_export *e, const struct kl_export_row *row,
                          char error[KL_TEXT_MAX])
{
    /* Columns B to K; "" is one that stays empty. */
    static const char *const columns[] = {"dev_eui",
                                          "",
                                          "model_id",
                                          "join_eui",
                                          "app_key",
                                          "",
                                          "connectivity_plan_id",
                                          "routing_profile_id",
                                          "",
                                          "name"};
    struct export_value v;
    unsigned last = 0;

    for (unsigned i = 0; i < sizeof columns / sizeof columns[0]; i++)
        if (export_has(e, columns[i]))
            last = i;
    export_puts(&e->text, "CREATE_OTAA");
    for (unsigned i = 0; i <= last; i++) {
        if (!export_value(e, row, columns[i], true, &v, error))
            return false;
        export_puts(&e->text, ",");
        export_csv(&e->text, v.span);
    }
    export_puts(&e->text, "\n");
    return true;
}

/* ---- who got what ---- */

bool export_list_head(struct kl_export *e)
{
    export_puts(&e->text, "label,mac,eui64,provisioned,station,bundle,confirmed");
    if (export_has(e, "dev_eui"))
        export_puts(&e->text, ",dev_eui");
    if (export_has(e, "join_eui"))
        export_puts(&e->text, ",join_eui");
    if (kl_export_has_qr(e))
        export_puts(&e->text, ",qr");
    export_puts(&e->text, "\n");
    return true;
}

static bool put_id(struct kl_export *e, const struct kl_export_row *row, const char *name,
                   char error[KL_TEXT_MAX])
{
    struct export_value v;

    if (!export_has(e, name))
        return true;
    if (!export_value(e, row, name, true, &v, error))
        return false;
    export_puts(&e->text, ",");
    export_csv(&e->text, v.span);
    return true;
}

bool export_list_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX])
{
    char mac[18], when[32], qr[64];
    bool first = true;

    kl_mac_format(&row->mac, mac);
    export_time(row->provisioned, when);
    const char *const values[] = {row->label,   mac,        row->eui64, when,
                                  row->station, row->build, row->how};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        comma(e, &first);
        export_csv(&e->text, export_span(values[i]));
    }
    if (!put_id(e, row, "dev_eui", error) || !put_id(e, row, "join_eui", error))
        return false;
    if (kl_export_has_qr(e)) {
        if (!export_qr(e, row, qr, error))
            return false;
        export_puts(&e->text, ",");
        export_puts(&e->text, qr);
    }
    export_puts(&e->text, "\n");
    return true;
}
