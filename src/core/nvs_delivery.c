/* nvs_delivery.c: what an NVS partition holds, and what is written there. See nvs_judge.h. */
#include "nvs_judge.h"

#include <string.h>

/* ---- what it holds ---- */

/* A value as a CSV would have it, in memory of the board's room. */
struct reading {
    uint8_t *text;
    size_t room, used;
};

static bool put(struct reading *r, const char *text, size_t size)
{
    if (size > r->room - r->used)
        return false;
    memcpy(r->text + r->used, text, size);
    r->used += size;
    return true;
}

static bool put_number(struct reading *r, struct kl_nvs_image image, const struct kl_nvs_item *item)
{
    uint8_t bytes[8] = {0};
    char text[24];

    if (item->size < 1 || item->size > sizeof bytes)
        return false;
    kl_nvs_read(image, item, 0, bytes, item->size);
    bool negative = item->type & 0x10 && bytes[item->size - 1] & 0x80;
    uint64_t n = negative ? UINT64_MAX : 0;
    for (unsigned i = item->size; i-- > 0;)
        n = n << 8 | bytes[i];
    size_t size = kl_format(text, sizeof text, negative ? "-%llu" : "%llu",
                            (unsigned long long)(negative ? ~n + 1 : n));
    bool fits = put(r, text, size);
    kl_wipe(text, sizeof text);
    kl_wipe(bytes, sizeof bytes);
    return fits;
}

/* Three bytes of a value, or the one or two that are left of it, in base64. */
static bool put_base64(struct reading *r, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    char text[4];

    KL_ASSERT(size >= 1 && size <= 3);
    for (size_t i = 0; i < 3; i++)
        bits = bits << 8 | (i < size ? bytes[i] : 0);
    for (size_t i = 0; i < 4; i++)
        text[i] = i > size ? '=' : digits[bits >> (18 - 6 * i) & 63];
    return put(r, text, sizeof text);
}

static bool put_value(struct reading *r, struct kl_nvs_image image, const struct kl_nvs_item *item,
                      enum kl_nvs_encoding encoding, bool capitals)
{
    const char *digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t size = item->size - (item->type == KL_NVS_STRING && item->size > 0);
    uint8_t bytes[48]; /* groups of three and of two */
    bool ok = true;

    if (item->type < KL_NVS_STRING)
        return put_number(r, image, item);
    for (size_t at = 0; ok && at < size; at += sizeof bytes) {
        size_t n = size - at < sizeof bytes ? size - at : sizeof bytes;
        kl_nvs_read(image, item, at, bytes, n);
        if (encoding == KL_NVS_AS_BASE64)
            for (size_t i = 0; ok && i < n; i += 3)
                ok = put_base64(r, bytes + i, n - i < 3 ? n - i : 3);
        else if (encoding == KL_NVS_AS_HEX2BIN)
            for (size_t i = 0; ok && i < n; i++)
                ok = put(r, &digits[bytes[i] >> 4], 1) && put(r, &digits[bytes[i] & 15], 1);
        else
            ok = put(r, (const char *)bytes, n);
    }
    kl_wipe(bytes, sizeof bytes);
    return ok;
}

static const struct kl_nvs_place *place_of(const struct kl_nvs_schema *s, unsigned column)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->place[i].column == column)
            return &s->place[i];
    return NULL;
}

/* The fingerprint of the key whose row would have given these values. False: they don't tell. */
static bool read_key(const struct kl_nvs_schema *s, struct kl_nvs_image image, bool capitals,
                     kl_sha256_fn *sha256, struct reading *r, struct kl_fingerprint *out)
{
    uint8_t digest[KL_COLUMNS_MAX][32];
    unsigned last = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->place[i].column != KL_NVS_CONSTANT && s->place[i].column > last)
            last = s->place[i].column;
    if (last == 0 || last >= KL_COLUMNS_MAX)
        return false;
    for (unsigned column = 0; column <= last; column++) {
        const struct kl_nvs_place *p = place_of(s, column);
        struct kl_nvs_item item;
        bool named = p && kl_nvs_find(image, p->namespace, p->name, &item);
        r->used = 0;
        /* The label is no part of the fingerprint: if none is written, any will do. */
        if (!named ? column > 0 : !put_value(r, image, &item, p->encoding, capitals))
            return false;
        sha256(r->text, r->used, digest[column]);
    }
    kl_fingerprint_of_digests(out, (const uint8_t(*)[32])digest, last + 1, sha256);
    kl_wipe(digest, sizeof digest);
    return true;
}

/* How many of the places that differ from board to board are there, and whether any of them holds
   something else than `own`. */
static unsigned count_places(const struct kl_nvs_schema *s, struct kl_nvs_image image,
                             const struct kl_key *own, bool *contradicts)
{
    unsigned there = 0;

    *contradicts = !own;
    for (unsigned i = 0; i < s->count; i++) {
        const struct kl_nvs_place *p = &s->place[i];
        struct kl_nvs_item item;
        if (p->column == KL_NVS_CONSTANT || !kl_nvs_find(image, p->namespace, p->name, &item))
            continue;
        there++;
        if (own && (p->column >= own->count ||
                    !kl_nvs_equals(image, &item, p->encoding, kl_key_field(own, p->column))))
            *contradicts = true;
    }
    return there;
}

/* Takes room->image, which is to be filled later only, to write values down. */
static void name_key(const struct kl_nvs_delivery *d, const struct kl_nvs_room *room,
                     kl_sha256_fn *sha256, struct kl_nvs_finding *out)
{
    struct kl_nvs_image image = {room->old, d->size};
    struct reading r = {.text = room->image, .room = d->size};

    out->holds = KL_NVS_HOLDS_KEY;
    for (unsigned i = 0; i < 2; i++)
        if (!read_key(d->schema, image, i == 1, sha256, &r, &out->fingerprint[i]))
            out->fingerprint[i] = (struct kl_fingerprint){{0}};
    kl_wipe(room->image, d->size);
}

void kl_nvs_judge(const struct kl_nvs_delivery *d, const struct kl_nvs_room *room,
                  const struct kl_key *own, kl_sha256_fn *sha256, struct kl_nvs_finding *out)
{
    struct kl_nvs_image image = {room->old, d->size};
    enum kl_nvs_state state = kl_nvs_look(image);
    bool contradicts, readable = state == KL_NVS_IS_SOUND || state == KL_NVS_IS_DAMAGED;

    *out = (struct kl_nvs_finding){.holds = KL_NVS_HOLDS_NOTHING};
    if (state == KL_NVS_IS_BLANK)
        return;
    unsigned there = readable ? count_places(d->schema, image, own, &contradicts) : 0;
    if (there > 0 && own && !contradicts && kl_nvs_schema_matches(d->schema, own, image))
        out->holds = KL_NVS_HOLDS_OWN;
    else if (there > 0 && contradicts)
        name_key(d, room, sha256, out);
    else if (state == KL_NVS_IS_SOUND && kl_nvs_schema_foreign(d->schema, image))
        out->holds = KL_NVS_HOLDS_OTHER;
    /* With this key promised to the board: a page erased by halves is no NVS any more. The chip's
       own library would erase it too. */
    else if (there > 0 || (own && (state == KL_NVS_IS_DAMAGED || state == KL_NVS_IS_FOREIGN)))
        out->holds = KL_NVS_HOLDS_PART;
    else if (state == KL_NVS_IS_ENCRYPTED)
        out->holds = KL_NVS_HOLDS_CIPHER;
    else if (state != KL_NVS_IS_SOUND)
        out->holds = KL_NVS_HOLDS_RUBBISH;
}

bool kl_nvs_proves(const struct kl_nvs_delivery *d, const struct kl_nvs_room *room,
                   const struct kl_key *key)
{
    struct kl_nvs_image image = {room->old, d->size};

    return kl_nvs_look(image) == KL_NVS_IS_SOUND && kl_nvs_schema_matches(d->schema, key, image);
}

/* ---- what is written ---- */

enum {
    FLASH_PAGE = 256, /* what the flash programs at once */
};

/* Bytes up to the last that is not blank, in whole pages of the flash. */
static uint32_t used_of(const uint8_t *data, uint32_t size)
{
    while (size > 0 && data[size - 1] == 0xFF)
        size--;
    return (size + FLASH_PAGE - 1) / FLASH_PAGE * FLASH_PAGE;
}

static void set_region(struct kl_region *r, uint32_t offset, const uint8_t *raw, uint32_t size,
                       kl_md5_fn *md5)
{
    struct kl_image image = {.raw = raw, .raw_size = size};

    KL_ASSERT(size > 0 && size % FLASH_PAGE == 0);
    md5(raw, size, image.md5);
    md5(raw, size < KL_HEAD ? size : KL_HEAD, image.head_md5);
    kl_copy(r->name, sizeof r->name, "NVS");
    r->offset = offset;
    r->keep_if_keyed = false;
    for (unsigned i = 0; i < KL_FLASH_SIZES; i++)
        r->image[i] = image;
}

bool kl_nvs_prepare(const struct kl_nvs_delivery *d, struct kl_nvs_room *room,
                    const struct kl_key *key, enum kl_chip_id chip, kl_md5_fn *md5, bool keep)
{
    uint32_t pages = d->size / KL_NVS_PAGE;
    uint32_t step = (pages + KL_REGIONS_MAX - 1) / KL_REGIONS_MAX * KL_NVS_PAGE;
    struct kl_bundle *b = &room->bundle;
    struct kl_nvs_misfit why;

    if (!(keep ? kl_nvs_schema_merge(d->schema, key, (struct kl_nvs_image){room->old, d->size},
                                     room->image, d->size, &why)
               : kl_nvs_schema_build(d->schema, key, room->image, d->size, &why)))
        return false;
    memset(b, 0, sizeof *b);
    b->chip = chip;
    b->rev_max = UINT16_MAX;
    b->md5 = md5;
    /* A region for each page that holds or is to hold something, up to where it does: the loader
       writes those whose MD5 differs. */
    for (uint32_t at = 0; at < d->size; at += step) {
        uint32_t size = d->size - at < step ? d->size - at : step;
        uint32_t before = used_of(room->old + at, size), after = used_of(room->image + at, size);
        if (before > 0 || after > 0)
            set_region(&b->region[b->region_count++], d->offset + at, room->image + at,
                       before > after ? before : after, md5);
    }
    KL_ASSERT(b->region_count > 0);
    return true;
}

void kl_nvs_printed(const struct kl_nvs_delivery *d, const struct kl_key *key, kl_sha256_fn *sha256,
                    struct kl_key *out)
{
    struct kl_span field[KL_COLUMNS_MAX];
    unsigned count = 0;

    KL_ASSERT(key->count <= KL_COLUMNS_MAX);
    for (unsigned column = 0; column < key->count; column++)
        if (place_of(d->schema, column))
            field[count++] = kl_key_field(key, column);
    /* No firmware prints what only a long key can hold: `out` is empty then. */
    bool built = kl_key_build(out, field, count, sha256);
    KL_ASSERT(built || key->text);
}

void kl_nvs_wipe(const struct kl_nvs_delivery *d, struct kl_nvs_room *room)
{
    kl_wipe(&room->printed, sizeof room->printed);
    kl_wipe(room->old, d->size);
    kl_wipe(room->image, d->size);
}
