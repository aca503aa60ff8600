/* cli_nvs_show.c: `keyline nvs show` and `keyline nvs diff`: what images hold. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli_nvs.h"
#include "keyline/cli.h"
#include "keyline/secret.h"

enum {
    PIECE = 64,             /* bytes of a value that are read at a time */
    PRINT_BUFFER = 1 << 16, /* standard output's, if it may hold values */
};

/* ---- one image ---- */

/* An image, and what names it on the screen. */
struct source {
    struct kl_nvs_image image;
    const char *name;
    bool board; /* it was read from one: */
    struct kl_nvs_where where;
    struct kl_mac mac;
};

static int load(const char *path, struct source *out)
{
    char error[KL_TEXT_MAX];
    size_t size;
    uint8_t *data = kl_nvs_file_read(path, &size, error);

    *out = (struct source){.name = path};
    if (!data)
        return nvs_complain(error, KL_EXIT_INPUT);
    if (size > 0 && size % KL_NVS_PAGE == 0) {
        out->image = (struct kl_nvs_image){data, (uint32_t)size};
        return KL_EXIT_OK;
    }
    kl_secret_free(data, KL_NVS_FILE_MAX);
    kl_format(error, KL_TEXT_MAX, "%s: it is no NVS image: its size is no multiple of 4096", path);
    return nvs_complain(error, KL_EXIT_INPUT);
}

static int load_board(const struct nvs_args *a, struct source *out)
{
    uint8_t *data = kl_secret_alloc(KL_NVS_FILE_MAX);

    *out = (struct source){.name = a->port, .board = true};
    if (!data)
        return nvs_complain("out of memory", KL_EXIT_FAILED);
    int status = nvs_read_board(a, data, &out->where, &out->mac);
    if (status == KL_EXIT_OK)
        out->image = (struct kl_nvs_image){data, out->where.size};
    else
        kl_secret_free(data, KL_NVS_FILE_MAX);
    return status;
}

/* nvs_keys tells cipher from damage, which the bytes alone can't. */
static const char *state_text(const struct source *s)
{
    enum kl_nvs_state state = kl_nvs_look(s->image);

    return state == KL_NVS_IS_ENCRYPTED && s->where.encrypted ? "encrypted"
                                                              : kl_nvs_state_text(state);
}

static void unload(const struct kl_nvs_image *image)
{
    uint8_t *data;

    memcpy(&data, &image->data, sizeof data);
    kl_secret_free(data, KL_NVS_FILE_MAX);
}

static const char *type_word(enum kl_nvs_type type)
{
    switch (type) {
    case KL_NVS_U8:
        return "u8";
    case KL_NVS_I8:
        return "i8";
    case KL_NVS_U16:
        return "u16";
    case KL_NVS_I16:
        return "i16";
    case KL_NVS_U32:
        return "u32";
    case KL_NVS_I32:
        return "i32";
    case KL_NVS_U64:
        return "u64";
    case KL_NVS_I64:
        return "i64";
    case KL_NVS_STRING:
        return "string";
    default:
        return "blob";
    }
}

/* For people and JSON alike: nothing in it needs to be escaped. */
static void clean(char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < ' ' || (unsigned char)*name > '~' || *name == '"' ||
            *name == '\\')
            *name = '?';
}

static void name_of(struct kl_nvs_image image, const struct kl_nvs_item *item,
                    char namespace[KL_NVS_NAME_MAX + 1], char name[KL_NVS_NAME_MAX + 1])
{
    if (!kl_nvs_namespace_name(image, item->namespace, namespace))
        kl_format(namespace, KL_NVS_NAME_MAX + 1, "#%u", item->namespace);
    kl_copy(name, KL_NVS_NAME_MAX + 1, item->name);
    clean(namespace);
    clean(name);
}

/* ---- values ---- */

static bool is_number(const struct kl_nvs_item *item)
{
    return item->type < KL_NVS_STRING;
}

static void print_number(struct kl_nvs_image image, const struct kl_nvs_item *item)
{
    uint8_t bytes[8] = {0};
    uint64_t n = 0;

    KL_ASSERT(item->size <= sizeof bytes);
    kl_nvs_read(image, item, 0, bytes, item->size);
    for (unsigned i = item->size; i-- > 0;)
        n = n << 8 | bytes[i];
    if (item->type & 0x10 && item->size > 0 && bytes[item->size - 1] & 0x80) {
        for (unsigned i = item->size; i < 8; i++)
            n |= (uint64_t)0xFF << 8 * i;
        printf("-%" PRIu64, (uint64_t)(~n + 1));
    } else {
        printf("%" PRIu64, n);
    }
    kl_wipe(bytes, sizeof bytes);
    kl_wipe(&n, sizeof n);
}

/* A string without its NUL, if no byte of it needs more than itself. */
static bool is_plain(struct kl_nvs_image image, const struct kl_nvs_item *item)
{
    bool plain = item->type == KL_NVS_STRING && item->size > 0;
    uint8_t byte = 0;

    for (uint32_t at = 0; plain && at + 1 < item->size; at++) {
        kl_nvs_read(image, item, at, &byte, 1);
        plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
    }
    return plain;
}

static void print_bytes(struct kl_nvs_image image, const struct kl_nvs_item *item, bool plain)
{
    uint32_t size = plain ? item->size - 1 : item->size;
    uint8_t byte = 0;

    for (uint32_t at = 0; at < size; at++) {
        kl_nvs_read(image, item, at, &byte, 1);
        if (plain)
            putchar(byte);
        else
            printf("%02x", byte);
    }
    kl_wipe(&byte, sizeof byte);
}

/* ---- show ---- */

static void show_item(struct kl_nvs_image image, const struct kl_nvs_item *item, bool values)
{
    char namespace[KL_NVS_NAME_MAX + 1], name[KL_NVS_NAME_MAX + 1];

    name_of(image, item, namespace, name);
    printf("  %-15s  %-15s  %-6s  %5u  ", namespace, name, type_word(item->type),
           (unsigned)item->size);
    if (!values) {
        fputs("********", stdout);
    } else if (is_number(item)) {
        print_number(image, item);
    } else {
        bool plain = is_plain(image, item);
        if (!plain)
            fputs("hex ", stdout);
        print_bytes(image, item, plain);
    }
    putchar('\n');
}

static void show_json(struct kl_nvs_image image, const struct kl_nvs_item *item, bool values,
                      bool first)
{
    char namespace[KL_NVS_NAME_MAX + 1], name[KL_NVS_NAME_MAX + 1];

    name_of(image, item, namespace, name);
    printf("%s\n    {\"namespace\": \"%s\", \"key\": \"%s\", \"type\": \"%s\", \"size\": %u",
           first ? "" : ",", namespace, name, type_word(item->type), (unsigned)item->size);
    if (values && is_number(item)) {
        fputs(", \"value\": ", stdout);
        print_number(image, item);
    } else if (values) {
        bool plain = is_plain(image, item);
        fputs(plain ? ", \"value\": \"" : ", \"hex\": \"", stdout);
        print_bytes(image, item, plain);
        putchar('"');
    }
    putchar('}');
}

static void show_title(const struct source *s, const struct nvs_args *a)
{
    char mac[18];

    kl_mac_format(&s->mac, mac);
    if (!a->json) {
        printf("%s: %s, 0x%x bytes", s->name, state_text(s), (unsigned)s->image.size);
        if (s->board)
            printf(" at 0x%x, partition %s of %s", (unsigned)s->where.offset, a->partition, mac);
        putchar('\n');
        return;
    }
    printf("{\n  \"state\": \"%s\",\n  \"size\": %u,\n", state_text(s), (unsigned)s->image.size);
    if (s->board)
        printf("  \"mac\": \"%s\",\n  \"offset\": %u,\n", mac, (unsigned)s->where.offset);
    fputs("  \"items\": [", stdout);
}

static void show_all(const struct source *s, const struct nvs_args *a)
{
    struct kl_nvs_walk walk = {0};
    struct kl_nvs_item item;
    bool first = true;

    show_title(s, a);
    for (; kl_nvs_next(s->image, &walk, &item); first = false) {
        if (a->json)
            show_json(s->image, &item, a->values, first);
        else
            show_item(s->image, &item, a->values);
    }
    if (a->json)
        fputs(first ? "]\n}\n" : "\n  ]\n}\n", stdout);
}

int nvs_show(const struct nvs_args *a)
{
    struct source source;
    enum kl_nvs_state state;
    char *buffer;
    int status = a->port ? load_board(a, &source) : load(a->file, &source);

    if (status != KL_EXIT_OK)
        return status;
    /* Standard output's buffer is secret memory too, and stays until the process ends. */
    buffer = a->values ? kl_secret_alloc(PRINT_BUFFER) : NULL;
    if (buffer)
        setvbuf(stdout, buffer, _IOFBF, PRINT_BUFFER);
    state = kl_nvs_look(source.image);
    show_all(&source, a);
    unload(&source.image);
    status = nvs_printed();
    if (buffer)
        kl_wipe(buffer, PRINT_BUFFER);
    if (status != KL_EXIT_OK)
        return status;
    return state == KL_NVS_IS_SOUND || state == KL_NVS_IS_BLANK ? KL_EXIT_OK : KL_EXIT_INPUT;
}

/* ---- diff ---- */

static bool equal(struct kl_nvs_image a, const struct kl_nvs_item *x, struct kl_nvs_image b,
                  const struct kl_nvs_item *y)
{
    uint8_t left[PIECE], right[PIECE];
    bool same = x->type == y->type && x->size == y->size;

    for (size_t at = 0; same && at < x->size; at += PIECE) {
        size_t n = x->size - at < PIECE ? x->size - at : PIECE;
        kl_nvs_read(a, x, at, left, n);
        kl_nvs_read(b, y, at, right, n);
        same = memcmp(left, right, n) == 0;
    }
    kl_wipe(left, sizeof left);
    kl_wipe(right, sizeof right);
    return same;
}

/* Prints what `a` holds and `b` lacks; returns the number of lines. `both`: also prints values that
   differ. */
static unsigned tell_missing(struct kl_nvs_image a, struct kl_nvs_image b, char sign, bool both)
{
    struct kl_nvs_walk walk = {0};
    struct kl_nvs_item item, other;
    unsigned lines = 0;

    while (kl_nvs_next(a, &walk, &item)) {
        char namespace[KL_NVS_NAME_MAX + 1], name[KL_NVS_NAME_MAX + 1];
        bool named = kl_nvs_namespace_name(a, item.namespace, namespace);
        bool there = named && kl_nvs_find(b, namespace, item.name, &other);
        if (there && (!both || equal(a, &item, b, &other)))
            continue;
        name_of(a, &item, namespace, name);
        printf("%c %s/%s %s, %u bytes\n", there ? '~' : sign, namespace, name, type_word(item.type),
               (unsigned)item.size);
        lines++;
    }
    return lines;
}

static bool is_readable(const struct source *s)
{
    enum kl_nvs_state state = kl_nvs_look(s->image);
    char error[2 * KL_TEXT_MAX];

    if (state == KL_NVS_IS_SOUND || state == KL_NVS_IS_BLANK)
        return true;
    kl_format(error, sizeof error, "%s: %s", s->name, state_text(s));
    nvs_complain(error, KL_EXIT_INPUT);
    return false;
}

int nvs_diff(const struct nvs_args *a)
{
    struct source one, two;
    unsigned lines = 0;
    int status = load(a->file, &one);

    if (status != KL_EXIT_OK)
        return status;
    status = a->port ? load_board(a, &two) : load(a->other, &two);
    if (status != KL_EXIT_OK) {
        unload(&one.image);
        return status;
    }
    bool first = is_readable(&one), sound = is_readable(&two) && first; /* each is named */
    if (sound)
        lines = tell_missing(one.image, two.image, '-', true) +
                tell_missing(two.image, one.image, '+', false);
    unload(&one.image);
    unload(&two.image);
    if (!sound)
        return KL_EXIT_INPUT;
    if (nvs_printed() != KL_EXIT_OK)
        return KL_EXIT_FAILED;
    return lines == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}
