#include "csv_value.h"

#include <string.h>
#include <strings.h>

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* How many of the bytes from `at` on are digits. */
static size_t digits(struct kl_span v, size_t at)
{
    size_t n = 0;

    while (at + n < v.size && is_digit(v.data[at + n]))
        n++;
    return n;
}

static bool is_text(struct kl_span v, const char *text)
{
    return strlen(text) == v.size && strncasecmp((const char *)v.data, text, v.size) == 0;
}

static bool is_one_of(struct kl_span v, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_text(v, list[i]))
            return true;
    return false;
}
#define IS_ONE_OF(v, list) is_one_of(v, list, sizeof(list) / sizeof *(list))

static bool begins(struct kl_span v, const char *text)
{
    return v.size >= strlen(text) && memcmp(v.data, text, strlen(text)) == 0;
}

static bool ends(struct kl_span v, const char *text)
{
    size_t size = strlen(text);

    return v.size >= size && memcmp(v.data + v.size - size, text, size) == 0;
}

/* ---- characters ---- */

size_t kl_value_utf8(const uint8_t *at, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint32_t c = length < 2 ? at[0] : at[0] & (0x7fu >> length);

    if (length == 0 || length > size || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3fu);
    }
    return c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : length;
}

static uint32_t code_point(const uint8_t *at, size_t length)
{
    uint32_t c = length == 1 ? at[0] : at[0] & (0x7fu >> length);

    for (size_t i = 1; i < length; i++)
        c = c << 6 | (at[i] & 0x3fu);
    return c;
}

size_t kl_value_invisible(const uint8_t *at, size_t size, bool label)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        {0x80, 0xa0},     {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
        {0x17b4, 0x17b5}, {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f},   {0x205f, 0x206f},
        {0x3164, 0x3164}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    size_t length = kl_value_utf8(at, size);
    uint32_t c;

    if (length < 2)
        return 0;
    c = code_point(at, length);
    if (label && (c == 0x200c || c == 0x200d))
        return 0; /* they join letters and signs of many scripts */
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return length;
    return 0;
}

static bool is_ascii(struct kl_span v)
{
    uint8_t all = 0;

    for (size_t i = 0; i < v.size; i++)
        all |= v.data[i];
    return all < 0x80;
}

static unsigned look_at_characters(struct kl_span v, bool label, uint32_t *kinds)
{
    unsigned traits = 0;

    if (is_ascii(v))
        return 0;
    for (size_t i = 0; i < v.size;) {
        size_t length = kl_value_utf8(v.data + i, v.size - i);

        if (length == 0)
            traits |= KL_VALUE_NOT_UTF8;
        if (length > 1)
            traits |= KL_VALUE_UTF8;
        if (kl_value_invisible(v.data + i, v.size - i, label) > 0)
            *kinds |= 1u << KL_CSV_INVISIBLE;
        i += length == 0 ? 1 : length;
    }
    /* The no-break space of old encodings, where the parser would have dropped a blank. */
    if ((traits & KL_VALUE_NOT_UTF8) && (v.data[0] == 0xa0 || v.data[v.size - 1] == 0xa0))
        *kinds |= 1u << KL_CSV_INVISIBLE;
    return traits;
}

/* ---- what spreadsheets make of values ---- */

/* 1.12E+15, 1E+15, 1,5E-07 */
static bool is_scientific(struct kl_span v)
{
    size_t at = v.size > 0 && v.data[0] == '-', fraction, exponent;

    if (digits(v, at) != 1)
        return false;
    at++;
    if (at < v.size && (v.data[at] == '.' || v.data[at] == ',')) {
        fraction = digits(v, at + 1);
        if (fraction == 0)
            return false;
        at += 1 + fraction;
    }
    if (at + 2 >= v.size || (v.data[at] | 0x20) != 'e' ||
        (v.data[at + 1] != '+' && v.data[at + 1] != '-'))
        return false;
    exponent = digits(v, at + 2);
    return exponent >= 2 && exponent <= 3 && at + 2 + exponent == v.size;
}

static bool is_error(struct kl_span v)
{
    static const char *const errors[] = {
        "#NAME?",
        "#REF!",
        "#VALUE!",
        "#DIV/0!",
        "#N/A",
        "#NULL!",
        "#NUM!",
        "#SPILL!",
        "#CALC!",
        "#FIELD!",
        "#BLOCKED!",
        "#WERT!",
        "#BEZUG!",
        "#NV",
        "#ZAHL!",
        "#NOM?",
        "#VALEUR!",
        "#N/D",
        "#REF?",
        "#NOMBRE!",
        "#\xc2\xa1VALOR!",
        "#NOME?",
        "#VALOR!",
        "#VALORE!",
        "#RIF!",
        "#NAAM?",
        "#WAARDE!",
        "#GETTING_DATA",
        "#ERROR!",
        "#LOST!",
        "#\xc2\xa1REF!",
        "#\xc2\xbfNOMBRE?",
    };
    size_t at = 0;

    if (v.data[0] != '#')
        return v.size == 7 && begins(v, "Err:5") && digits(v, 4) == 3;
    if (IS_ONE_OF(v, errors))
        return true;
    while (at < v.size && v.data[at] == '#')
        at++;
    return at >= 4 && at == v.size;
}

static bool all_hex(struct kl_span v)
{
    for (size_t i = 0; i < v.size; i++)
        if (!is_hex(v.data[i]))
            return false;
    return v.size > 0;
}

static struct kl_span inside(struct kl_span v, size_t front, size_t back)
{
    return v.size <= front + back ? (struct kl_span){v.data, 0}
                                  : (struct kl_span){v.data + front, v.size - front - back};
}

/* ="0011", =DEC2HEX(A1), '0011 */
static bool is_formula(struct kl_span v)
{
    size_t at = 1;

    if (v.size >= 4 && begins(v, "=\"") && ends(v, "\""))
        return true;
    if (v.size >= 5 && v.data[0] == '\'' && all_hex(inside(v, 1, 0)))
        return true;
    if (v.size < 4 || v.data[0] != '=' || !is_letter(v.data[1]))
        return false;
    while (at < v.size && (is_letter(v.data[at]) || is_digit(v.data[at]) || v.data[at] == '.'))
        at++;
    return at < v.size && v.data[at] == '(' && v.data[v.size - 1] == ')';
}

static bool is_month(struct kl_span v, size_t at)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                                         "Aug", "Sep", "Oct", "Nov", "Dec", "Mai", "Okt",
                                         "Dez", "Ene", "Abr", "Ago", "Dic", "Avr", "Fev"};

    return at + 3 <= v.size && IS_ONE_OF(((struct kl_span){v.data + at, 3}), months);
}

/* 12-Mar, 12-Mar-24, Mar-24, 12. Mrz */
static bool is_month_date(struct kl_span v)
{
    size_t day = digits(v, 0), at = day;

    if (day > 2)
        return false;
    if (day > 0 && at < v.size && v.data[at] == '.')
        at++;
    if (day > 0 && (at >= v.size || (v.data[at] != '-' && v.data[at] != ' ')))
        return false;
    at += day > 0;
    if (!is_month(v, at))
        return false;
    at += 3;
    if (at == v.size)
        return day > 0;
    if (v.data[at] != '-')
        return false;
    return digits(v, at + 1) >= 2 && digits(v, at + 1) <= 4 && at + 1 + digits(v, at + 1) == v.size;
}

/* 2024-03-12, 12.03.2024, 3/12/24, with or without a time behind it */
static bool is_number_date(struct kl_span v)
{
    size_t a = digits(v, 0), b, c, at = a;
    uint8_t between;

    if (a == 0 || a > 4 || a == 3 || at >= v.size)
        return false;
    between = v.data[at];
    if (between != '-' && between != '.' && between != '/')
        return false;
    b = digits(v, at + 1);
    at += 1 + b;
    if (b == 0 || b > 2 || at >= v.size || v.data[at] != between)
        return false;
    c = digits(v, at + 1);
    at += 1 + c;
    if (!((a == 4 && c >= 1 && c <= 2) || (a <= 2 && (c == 4 || (c == 2 && between != '-')))))
        return false;
    return at == v.size ||
           (v.data[at] == ' ' && digits(v, at + 1) >= 1 && memchr(v.data + at, ':', v.size - at));
}

static bool is_currency(struct kl_span v)
{
    static const char *const signs[] = {"$", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5"};
    struct kl_span rest = v;
    size_t whole;

    for (size_t i = 0; i < 4 && rest.size == v.size; i++)
        if (begins(v, signs[i]))
            rest = inside(v, strlen(signs[i]), 0);
        else if (ends(v, signs[i]))
            rest = inside(v, 0, strlen(signs[i]));
    if (rest.size == v.size)
        return false;
    while (rest.size > 0 && rest.data[0] == ' ')
        rest = inside(rest, 1, 0);
    while (rest.size > 0 && rest.data[rest.size - 1] == ' ')
        rest = inside(rest, 0, 1);
    whole = rest.size < 4 ? 0 : rest.size - 3;
    if (whole == 0 || (rest.data[whole] != '.' && rest.data[whole] != ','))
        return false;
    for (size_t i = 0; i < rest.size; i++)
        if (!is_digit(rest.data[i]) && rest.data[i] != '.' && rest.data[i] != ',')
            return false;
    return digits(rest, whole + 1) == 2;
}

/* ---- what people and other programs make of them ---- */

static bool is_quoted(struct kl_span v)
{
    static const char *const pairs[][2] = {
        {"\"", "\""},
        {"\xe2\x80\x9c", "\xe2\x80\x9d"}, /* “…” */
        {"\xe2\x80\x9e", "\xe2\x80\x9c"}, /* „…“ */
        {"\xe2\x80\x98", "\xe2\x80\x99"}, /* ‘…’ */
        {"\xc2\xab", "\xc2\xbb"},         /* «…» */
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (v.size > strlen(pairs[i][0]) + strlen(pairs[i][1]) && begins(v, pairs[i][0]) &&
            ends(v, pairs[i][1]))
            return true;
    return false;
}

static bool is_masked(struct kl_span v)
{
    size_t stars = 0, dots = 0, crosses = 0;

    for (size_t i = 0; i < v.size; i++) {
        stars = v.data[i] == '*' ? stars + 1 : 0;
        if (stars >= 4)
            return true;
        crosses += (v.data[i] | 0x20) == 'x';
        if (i + 3 <= v.size && (memcmp(v.data + i, "\xe2\x80\xa2", 3) == 0 ||
                                memcmp(v.data + i, "\xe2\x97\x8f", 3) == 0))
            dots++;
    }
    return dots >= 3 || (crosses >= 8 && crosses == v.size);
}

static bool is_cut(struct kl_span v)
{
    return ends(v, "\xe2\x80\xa6") || (v.size >= 7 && ends(v, "...") && all_hex(inside(v, 0, 3)));
}

/* A line end, and behind it something that looks like another row. */
static bool swallows(struct kl_span v)
{
    const uint8_t *end = memchr(v.data, '\n', v.size);

    if (!end)
        end = memchr(v.data, '\r', v.size);
    return end && memchr(end, ',', v.size - (size_t)(end - v.data));
}

static uint32_t look_at_words(struct kl_span v)
{
    static const char *const missing[] = {"NULL",     "(null)",  "<null>",    "\\N",
                                          "None",     "NaN",     "nan",       "N/A",
                                          "n.a.",     "?",       "??",        "???",
                                          "TBD",      "TO-DO",   "tba",       "<NA>",
                                          "#N/A N/A", "missing", "undefined", "[object Object]"};
    static const char *const booleans[] = {"TRUE", "FALSE", "WAHR", "FALSCH", "VRAI", "FAUX"};
    uint32_t kinds = 0;

    if (IS_ONE_OF(v, missing))
        kinds |= 1u << KL_CSV_PLACEHOLDER;
    if (IS_ONE_OF(v, booleans) && v.data[0] < 'a' && v.data[1] < 'a')
        kinds |= 1u << KL_CSV_BOOLEAN;
    if (is_month_date(v) || is_number_date(v))
        kinds |= 1u << KL_CSV_DATE;
    if (is_currency(v))
        kinds |= 1u << KL_CSV_CURRENCY;
    if (is_quoted(v))
        kinds |= 1u << KL_CSV_QUOTES;
    if (is_masked(v))
        kinds |= 1u << KL_CSV_MASKED;
    if (is_cut(v))
        kinds |= 1u << KL_CSV_CUT;
    if (v.size >= 7 && ends(v, ".0") && digits(v, 0) == v.size - 2)
        kinds |= 1u << KL_CSV_FRACTION;
    return kinds;
}

enum { /* of bytes */
    HEX_DIGIT = 1,
    DIGIT = 2,
    UPPER = 4,
    LOWER = 8,
    BLANK = 16,
    D = HEX_DIGIT | DIGIT,
    U = UPPER,
    UX = UPPER | HEX_DIGIT,
    L = LOWER,
    LX = LOWER | HEX_DIGIT,
};

/* A start looks at every byte of the CSV. */
static unsigned look_at_bytes(struct kl_span v)
{
    static const uint8_t classes[256] = {
        [' '] = BLANK, ['0'] = D,  ['1'] = D,  ['2'] = D,  ['3'] = D,  ['4'] = D,  ['5'] = D,
        ['6'] = D,     ['7'] = D,  ['8'] = D,  ['9'] = D,  ['A'] = UX, ['B'] = UX, ['C'] = UX,
        ['D'] = UX,    ['E'] = UX, ['F'] = UX, ['G'] = U,  ['H'] = U,  ['I'] = U,  ['J'] = U,
        ['K'] = U,     ['L'] = U,  ['M'] = U,  ['N'] = U,  ['O'] = U,  ['P'] = U,  ['Q'] = U,
        ['R'] = U,     ['S'] = U,  ['T'] = U,  ['U'] = U,  ['V'] = U,  ['W'] = U,  ['X'] = U,
        ['Y'] = U,     ['Z'] = U,  ['a'] = LX, ['b'] = LX, ['c'] = LX, ['d'] = LX, ['e'] = LX,
        ['f'] = LX,    ['g'] = L,  ['h'] = L,  ['i'] = L,  ['j'] = L,  ['k'] = L,  ['l'] = L,
        ['m'] = L,     ['n'] = L,  ['o'] = L,  ['p'] = L,  ['q'] = L,  ['r'] = L,  ['s'] = L,
        ['t'] = L,     ['u'] = L,  ['v'] = L,  ['w'] = L,  ['x'] = L,  ['y'] = L,  ['z'] = L,
    };
    const unsigned mixed = UPPER | LOWER | DIGIT;
    unsigned all = HEX_DIGIT | DIGIT, any = 0;

    for (size_t i = 0; i < v.size; i++) {
        unsigned c = classes[v.data[i]];
        all &= c;
        any |= c;
    }
    return (any & DIGIT ? KL_VALUE_DIGIT : 0u) | (all & HEX_DIGIT ? KL_VALUE_HEX : 0u) |
           (all & DIGIT ? KL_VALUE_DECIMAL : 0u) |
           (v.size >= 16 && (any & mixed) == mixed && !(any & BLANK) ? KL_VALUE_MIXED : 0u);
}

bool kl_value_is_hex(struct kl_span value)
{
    return look_at_bytes(value) & KL_VALUE_HEX;
}

unsigned kl_value_look(struct kl_span v, bool label, uint32_t *kinds)
{
    unsigned traits;

    *kinds = 0;
    if (v.size == 0)
        return 0;
    traits = look_at_bytes(v);
    if (traits & (KL_VALUE_HEX | KL_VALUE_MIXED))
        return traits;
    traits |= look_at_characters(v, label, kinds);
    if (is_scientific(v))
        *kinds |= 1u << KL_CSV_SCIENTIFIC;
    if (is_error(v))
        *kinds |= 1u << KL_CSV_ERROR;
    if (is_formula(v))
        *kinds |= 1u << KL_CSV_FORMULA;
    if (swallows(v))
        *kinds |= 1u << KL_CSV_OPEN_QUOTE;
    if (!label)
        *kinds |= look_at_words(v);
    return traits;
}

/* ---- names of columns ---- */

enum {
    NAME_MAX = KL_VALUE_NAME_MAX,
    COUNTING = 3, /* no column's name ends with that many digits */
};

/* In small letters, without what stands in brackets, blanks, dashes and dots. */
static size_t plain_name(struct kl_span v, char out[NAME_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < v.size; i++) {
        uint8_t c = v.data[i];

        if (c == '(' || c == '[')
            break;
        if (c == ' ' || c == '_' || c == '-' || c == '.' || c == ':' || c == '/' || c == '#')
            continue;
        if (n == NAME_MAX - 1)
            return 0;
        out[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out[n] = '\0';
    return n;
}

/* Names that The Things Stack, ChirpStack, AWS and their like use, and that people write. */
static const char *const names[] = {
    "id",
    "deviceid",
    "devid",
    "device",
    "devicename",
    "devname",
    "thing",
    "thingname",
    "name",
    "label",
    "title",
    "description",
    "comment",
    "remark",
    "notes",
    "status",
    "state",
    "date",
    "deveui",
    "joineui",
    "appeui",
    "applicationeui",
    "deviceeui",
    "eui",
    "eui64",
    "devaddr",
    "appkey",
    "appskey",
    "appsessionkey",
    "nwkkey",
    "nwkskey",
    "networkkey",
    "netkey",
    "ntwkey",
    "applicationkey",
    "genappkey",
    "fnwksintkey",
    "snwksintkey",
    "nwksenckey",
    "nwksessionkey",
    "frequencyplanid",
    "lorawanversion",
    "lorawanphyversion",
    "brandid",
    "modelid",
    "hardwareversion",
    "firmwareversion",
    "bandid",
    "rx1delay",
    "supports32bitfcnt",
    "supportsclassc",
    "lastfcntup",
    "lastnfcntdown",
    "lastafcntdown",
    "applicationid",
    "deviceprofile",
    "deviceprofileid",
    "serviceprofileid",
    "destinationname",
    "clientrequesttoken",
    "tags",
    "variables",
    "serialnumber",
    "serialno",
    "serial",
    "sn",
    "sernum",
    "number",
    "no",
    "csr",
    "certificate",
    "certificateid",
    "certificatearn",
    "certificatepem",
    "cert",
    "thingarn",
    "thingtypename",
    "privatekey",
    "publickey",
    "endpoint",
    "host",
    "url",
    "broker",
    "clientid",
    "clientsecret",
    "uuid",
    "guid",
    "uid",
    "key",
    "keys",
    "keyid",
    "secret",
    "secretkey",
    "token",
    "accesstoken",
    "password",
    "passwd",
    "pass",
    "passphrase",
    "pin",
    "puk",
    "psk",
    "pskidentity",
    "user",
    "username",
    "login",
    "ssid",
    "wifissid",
    "wifipassword",
    "mac",
    "macaddress",
    "macaddr",
    "address",
    "imei",
    "iccid",
    "imsi",
    "claimcode",
    "claimkey",
    "installcode",
    "setupcode",
    "qrcode",
    "barcode",
    "batch",
    "lot",
    "model",
    "type",
    "version",
    "column",
    "field",
    "value",
    "identity",
    "hash",
    "salt",
    "iv",
    "aeskey",
    "masterkey",
    "rootkey",
    "seriennummer",
    "ger\xc3\xa4t",
    "geraet",
    "ger\xc3\xa4teid",
    "bezeichnung",
    "kennung",
    "schl\xc3\xbcssel",
    "schluessel",
    "kennwort",
    "passwort",
    "geheimnis",
    "nummer",
    "nombre",
    "clave",
    "contrase\xc3\xb1\x61",
    "n\xc3\xbamero",
    "numero",
    "n\xc3\xbamerodeserie",
    "clef",
    "cl\xc3\xa9",
    "nom",
    "motdepasse",
    "num\xc3\xa9rodes\xc3\xa9rie",
    "chiave",
    "chave",
    "senha",
    "sleutel",
    "naam",
    "klucz",
    "nazwa",
};

static const char *const words[] = {"uuid",   "key",   "eui",  "label",  "name",  "serial",
                                    "secret", "token", "mac",  "device", "ident", "column",
                                    "field",  "psk",   "cert", "number", "pass",  "version"};

static bool is_in_names(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i][0] == name[0] && strlen(names[i]) == size && memcmp(name, names[i], size) == 0)
            return true;
    return false;
}

static enum kl_value_name look_up(const char *name, size_t size, size_t letters)
{
    if (is_in_names(name, size))
        return KL_NAME_EXACT;
    if (letters > 0 && is_in_names(name, letters))
        return KL_NAME_NUMBERED;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(name, words[i]))
            return KL_NAME_WORD;
    return KL_NAME_NONE;
}

enum kl_value_name kl_value_name(struct kl_span value, struct kl_numbered_name *before)
{
    char name[NAME_MAX];
    size_t size, letters;

    size = letters = plain_name(value, name);
    if (size == 0)
        return KL_NAME_NONE;
    while (letters > 0 && is_digit((uint8_t)name[letters - 1]))
        letters--;
    if (!before || letters == 0 || size - letters < COUNTING)
        return look_up(name, size, letters);
    if (before->size != letters || memcmp(before->name, name, letters) != 0) {
        memcpy(before->name, name, letters);
        before->size = letters;
        before->is = look_up(name, size, letters);
    }
    return before->is;
}
