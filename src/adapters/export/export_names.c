/* export_names.c: which column, constant or known fact each field of an export gets. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "export_private.h"

/* A field that a form knows: F(…) of one of the forms that have it. */
struct known {
    const char *name;
    enum export_kind kind;
    unsigned forms; /* bits 1 << form */
};

#define TTS        (1u << KL_EXPORT_TTS)
#define CHIRPSTACK (1u << KL_EXPORT_CHIRPSTACK)
#define LORAWAN    (1u << KL_EXPORT_AWS_LORAWAN)
#define THINGS     (1u << KL_EXPORT_AWS_THINGS)
#define THINGPARK  (1u << KL_EXPORT_THINGPARK)
#define FREE       (1u << KL_EXPORT_TEMPLATE)
#define LISTS      (1u << KL_EXPORT_LIST | 1u << KL_EXPORT_LINES)
#define NETWORKS   (TTS | CHIRPSTACK | LORAWAN | THINGPARK)

static const struct known known[] = {
    {"dev_eui", EXPORT_EUI, NETWORKS | FREE | LISTS},
    {"join_eui", EXPORT_EUI, NETWORKS | FREE | LISTS},
    {"profile_id", EXPORT_PROFILE, FREE | LISTS},
    {"app_key", EXPORT_KEY, NETWORKS | FREE},
    {"nwk_key", EXPORT_KEY, NETWORKS | FREE},
    {"gen_app_key", EXPORT_KEY, CHIRPSTACK | LORAWAN | FREE},
    {"name", EXPORT_TEXT, NETWORKS},
    {"description", EXPORT_TEXT, TTS | CHIRPSTACK | LORAWAN},
    {"lorawan_version", EXPORT_VERSION, NETWORKS},
    {"id", EXPORT_TEXT, TTS},
    {"frequency_plan_id", EXPORT_TEXT, TTS},
    {"lorawan_phy_version", EXPORT_TEXT, TTS},
    {"brand_id", EXPORT_TEXT, TTS},
    {"hardware_version", EXPORT_TEXT, TTS},
    {"firmware_version", EXPORT_TEXT, TTS},
    {"band_id", EXPORT_TEXT, TTS},
    {"model_id", EXPORT_TEXT, TTS | THINGPARK},
    {"application_id", EXPORT_UUID, CHIRPSTACK},
    {"device_profile_id", EXPORT_UUID, CHIRPSTACK | LORAWAN},
    {"service_profile_id", EXPORT_UUID, LORAWAN},
    {"destination", EXPORT_TEXT, LORAWAN},
    {"connectivity_plan_id", EXPORT_TEXT, THINGPARK},
    {"routing_profile_id", EXPORT_TEXT, THINGPARK},
    {"ThingName", EXPORT_TEXT, THINGS},
    {"SerialNumber", EXPORT_TEXT, THINGS},
};

static const struct known *find_known(enum kl_export_form form, const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((known[i].forms >> form & 1) != 0 && strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* AWS things and templates take fields of any name. */
static bool takes_any(enum kl_export_form form)
{
    return form == KL_EXPORT_AWS_THINGS || form == KL_EXPORT_TEMPLATE;
}

/* ---- names of columns ---- */

/* "lora/devEui:u64", "Dev EUI" and "dev_eui" are one name: deveui. */
static void fold(const char *text, char out[64])
{
    const char *slash = strrchr(text, '/');
    size_t n = 0;

    for (const char *p = slash ? slash + 1 : text; *p != '\0' && *p != ':' && n < 63; p++)
        if (isalnum((unsigned char)*p))
            out[n++] = (char)tolower((unsigned char)*p);
    out[n] = '\0';
}

static unsigned column_called(const struct kl_export *e, const char *name)
{
    char wanted[64], has[64];

    fold(name, wanted);
    for (unsigned i = 0; wanted[0] != '\0' && i < e->column_count; i++) {
        fold(e->columns[i], has);
        if (strcmp(has, wanted) == 0)
            return i + 1;
    }
    return 0;
}

unsigned export_column(const struct kl_export *e, const char *name)
{
    char *end;
    unsigned long n = strtoul(name, &end, 10);
    unsigned most = e->fields > 0 ? e->fields : KL_COLUMNS_MAX;

    if (isdigit((unsigned char)name[0]) && *end == '\0')
        return n >= 1 && n <= most ? (unsigned)n : 0;
    return column_called(e, name);
}

const struct export_name *export_find(const struct kl_export *e, const char *name)
{
    for (unsigned i = 0; i < e->name_count; i++)
        if (strcmp(e->name[i].name, name) == 0 && e->name[i].source != EXPORT_NONE)
            return &e->name[i];
    return NULL;
}

bool export_has(const struct kl_export *e, const char *name)
{
    return export_find(e, name) != NULL;
}

bool export_column_is_secret(const struct kl_export *e, unsigned column)
{
    if (column == 1)
        return false;
    for (unsigned i = 0; i < e->name_count; i++)
        if (e->name[i].source == EXPORT_COLUMN && e->name[i].column == column &&
            e->name[i].kind == EXPORT_EUI)
            return false;
    return true;
}

bool export_is_secret(const struct kl_export *e, const struct export_name *n)
{
    return n->kind == EXPORT_KEY ||
           (n->source == EXPORT_COLUMN && export_column_is_secret(e, n->column));
}

/* ---- --map and --set ---- */

static struct export_name *add(struct kl_export *e, const char *name, size_t size,
                               char error[KL_TEXT_MAX])
{
    const struct known *k;
    struct export_name *n = &e->name[e->name_count];

    if (e->name_count == KL_EXPORT_NAMES_MAX || size == 0 || size >= sizeof n->name) {
        kl_copy(error, KL_TEXT_MAX, "too many fields, or a name that is empty or too long");
        return NULL;
    }
    memset(n, 0, sizeof *n);
    memcpy(n->name, name, size);
    if (strcmp(n->name, "app_eui") == 0)
        kl_copy(n->name, sizeof n->name, "join_eui");
    for (unsigned i = 0; i < e->name_count; i++)
        if (strcmp(e->name[i].name, n->name) == 0) {
            kl_format(error, KL_TEXT_MAX, "%s is given twice", n->name);
            return NULL;
        }
    k = find_known(e->form, n->name);
    if (!k && !takes_any(e->form)) {
        kl_format(error, KL_TEXT_MAX, "%s has no field %s; docs/exports.md lists them",
                  kl_export_form_name(e->form), n->name);
        return NULL;
    }
    n->kind = k ? k->kind : EXPORT_TEXT;
    n->chosen = true;
    e->name_count++;
    return n;
}

static bool map(struct kl_export *e, const char *text, char error[KL_TEXT_MAX])
{
    const char *equals = strchr(text, '=');
    struct export_name *n;

    if (!equals || equals[1] == '\0') {
        kl_copy(error, KL_TEXT_MAX,
                "--map takes FIELD=COLUMN: a number from 1, a name in the header, @label, @mac or "
                "@eui64");
        return false;
    }
    if (!(n = add(e, text, (size_t)(equals - text), error)))
        return false;
    text = equals + 1;
    n->source = strcmp(text, "@label") == 0   ? EXPORT_LABEL
                : strcmp(text, "@mac") == 0   ? EXPORT_MAC
                : strcmp(text, "@eui64") == 0 ? EXPORT_EUI64
                                              : EXPORT_COLUMN;
    if (n->source == EXPORT_COLUMN && (n->column = export_column(e, text)) == 0) {
        kl_format(error, KL_TEXT_MAX, "--map %s: the keys have no column %s%s", n->name, text,
                  e->column_count == 0 && !isdigit((unsigned char)text[0])
                      ? " (names need --csv-header)"
                      : "");
        return false;
    }
    return true;
}

/* One option may hold several: "dev_eui=2,app_key=4". */
static bool map_all(struct kl_export *e, const char *text, char error[KL_TEXT_MAX])
{
    char one[KL_TEXT_MAX];

    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        kl_format(one, sizeof one, "%.*s", (int)size, text);
        if (!map(e, one, error))
            return false;
        text += size + (text[size] == ',');
    }
    return true;
}

static bool is_hex(const char *text, size_t size, size_t digits)
{
    for (size_t i = 0; i < size; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return size == digits;
}

static bool is_uuid(const char *t)
{
    static const unsigned sizes[] = {8, 4, 4, 4, 12};

    for (int i = 0; i < 5; i++) {
        size_t size = strcspn(t, "-");
        if (!is_hex(t, size, sizes[i]))
            return false;
        t += size;
        if (i < 4 && *t++ != '-')
            return false;
    }
    return *t == '\0';
}

static bool is_version(const char *text)
{
    static const char *const versions[] = {"MAC_V1_0",   "MAC_V1_0_1", "MAC_V1_0_2",
                                           "MAC_V1_0_3", "MAC_V1_0_4", "MAC_V1_1"};

    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (strcmp(text, versions[i]) == 0)
            return true;
    return false;
}

/* What is wrong with a constant; NULL = nothing. */
static const char *wrong_constant(const struct export_name *n)
{
    for (const char *p = n->constant; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return "it holds a control character";
    if (n->constant[0] == '\0')
        return "it is empty";
    switch (n->kind) {
    case EXPORT_KEY:
        return "a key belongs to one board: map it to a column";
    case EXPORT_EUI:
        if (strcmp(n->name, "dev_eui") == 0)
            return "it is different for each board: map it to a column";
        return is_hex(n->constant, strlen(n->constant), 16) ? NULL
                                                            : "it takes 16 hexadecimal digits";
    case EXPORT_PROFILE:
        return is_hex(n->constant, strlen(n->constant), 8)
                   ? NULL
                   : "it takes 8 hexadecimal digits: the vendor's id and its profile's";
    case EXPORT_VERSION:
        return is_version(n->constant) ? NULL : "it takes MAC_V1_0 … MAC_V1_0_4 or MAC_V1_1";
    case EXPORT_UUID:
        return is_uuid(n->constant) ? NULL
                                    : "it takes an id like 3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    case EXPORT_TEXT:
        break;
    }
    return NULL;
}

static bool set(struct kl_export *e, const char *text, char error[KL_TEXT_MAX])
{
    const char *equals = strchr(text, '='), *wrong;
    struct export_name *n;

    if (!equals) {
        kl_copy(error, KL_TEXT_MAX, "--set takes FIELD=VALUE");
        return false;
    }
    if (!(n = add(e, text, (size_t)(equals - text), error)))
        return false;
    n->source = EXPORT_CONSTANT;
    if (!kl_copy(n->constant, sizeof n->constant, equals + 1))
        wrong = "it is too long";
    else
        wrong = wrong_constant(n);
    if (wrong)
        kl_format(error, KL_TEXT_MAX, "--set %s: %s", n->name, wrong);
    return !wrong;
}

/* ---- what the header tells ---- */

static void find_by_header(struct kl_export *e, const struct known *k)
{
    struct export_name *n = &e->name[e->name_count];
    unsigned column = column_called(e, k->name);

    if (column == 0 && strcmp(k->name, "join_eui") == 0)
        column = column_called(e, "app_eui");
    /* Without --csv-header nobody has said which column is which: only a key's own names count. */
    if (column == 0 || e->name_count == KL_EXPORT_NAMES_MAX ||
        (k->kind != EXPORT_EUI && k->kind != EXPORT_KEY))
        return;
    for (unsigned i = 0; i < e->name_count; i++)
        if (strcmp(e->name[i].name, k->name) == 0)
            return;
    *n = (struct export_name){.kind = k->kind, .source = EXPORT_COLUMN, .column = column};
    kl_copy(n->name, sizeof n->name, k->name);
    e->name_count++;
}

bool export_names(struct kl_export *e, const struct kl_export_options *o, char error[KL_TEXT_MAX])
{
    for (unsigned i = 0; i < o->map_count; i++)
        if (!map_all(e, o->maps[i], error))
            return false;
    for (unsigned i = 0; i < o->set_count; i++)
        if (!set(e, o->sets[i], error))
            return false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((known[i].forms >> e->form & 1) != 0)
            find_by_header(e, &known[i]);
    return true;
}
