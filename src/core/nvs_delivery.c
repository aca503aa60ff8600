/* nvs_delivery.c: what an NVS partition holds, and what is written there. See nvs_judge.h. */
#include "nvs_judge.h"

#include <string.h>

enum {
    FIELD_MAX = KL_LINE_MAX, /* bytes of a key's field, as text */
};

/* ---- what it holds ---- */

/* Values as a CSV would have them. */
struct reading {
    char text[FIELD_MAX];
    size_t used;
    struct kl_span field[KL_FIELDS_MAX];
    unsigned count;
    struct kl_key key;
};

static bool put(struct reading *r, const char *text, size_t size)
{
    if (size > sizeof r->text - r->used)
        return false;
    memcpy(r->text + r->used, text, size);
    r->used += size;
    return true;
}

static bool put_number(struct reading *r, const struct kl_nvs_item *item, const uint8_t *bytes)
{
    bool negative = item->type & 0x10 && bytes[item->size - 1] & 0x80;
    char text[24];
    uint64_t n = negative ? UINT64_MAX : 0;

    for (unsigned i = item->size; i-- > 0;)
        n = n << 8 | bytes[i];
    size_t size = kl_format(text, sizeof text, negative ? "-%llu" : "%llu",
                            (unsigned long long)(negative ? ~n + 1 : n));
    bool fits = put(r, text, size);
    kl_wipe(text, sizeof text);
    return fits;
}

static bool put_value(struct reading *r, struct kl_nvs_image image, const struct kl_nvs_item *item,
                      enum kl_nvs_encoding encoding, bool capitals)
{
    const char *digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    uint8_t bytes[FIELD_MAX] = {0};
    bool ok = item->size <= sizeof bytes && encoding != KL_NVS_AS_BASE64;

    if (ok)
        kl_nvs_read(image, item, 0, bytes, item->size);
    if (ok && item->type < KL_NVS_STRING)
        ok = item->size > 0 && item->size <= 8 && put_number(r, item, bytes);
    else if (ok && encoding != KL_NVS_AS_HEX2BIN)
        ok = put(r, (const char *)bytes, item->type == KL_NVS_STRING ? item->size - 1 : item->size);
    else
        for (uint32_t i = 0; ok && i < item->size; i++)
            ok = put(r, &digits[bytes[i] >> 4], 1) && put(r, &digits[bytes[i] & 15], 1);
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

/* Builds the key whose row would have given these values. False: they don't tell. */
static bool read_key(const struct kl_nvs_schema *s, struct kl_nvs_image image, bool capitals,
                     kl_sha256_fn *sha256, struct reading *r)
{
    unsigned last = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->place[i].column != KL_NVS_CONSTANT && s->place[i].column > last)
            last = s->place[i].column;
    r->used = 0;
    for (unsigned column = 0; column <= last; column++) {
        const struct kl_nvs_place *p = place_of(s, column);
        struct kl_nvs_item item;
        size_t from = r->used;
        bool named = p && kl_nvs_find(image, p->namespace, p->name, &item);
        /* The label is no part of the fingerprint: if none is written, any will do. */
        if (!named ? column > 0 || !put(r, "?", 1)
                   : !put_value(r, image, &item, p->encoding, capitals))
            return false;
        r->field[column] = (struct kl_span){(const uint8_t *)r->text + from, r->used - from};
    }
    return last > 0 && kl_key_build(&r->key, r->field, last + 1, sha256);
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

static void name_key(const struct kl_nvs_schema *s, struct kl_nvs_image image, kl_sha256_fn *sha256,
                     struct kl_nvs_finding *out)
{
    struct reading r;

    out->holds = KL_NVS_HOLDS_KEY;
    for (unsigned i = 0; i < 2; i++)
        if (read_key(s, image, i == 1, sha256, &r))
            out->fingerprint[i] = r.key.fingerprint;
    kl_wipe(&r, sizeof r);
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
        name_key(d->schema, image, sha256, out);
    else if (state == KL_NVS_IS_SOUND && kl_nvs_schema_foreign(d->schema, image))
        out->holds = KL_NVS_HOLDS_OTHER;
    else if (there > 0 || (own && state == KL_NVS_IS_DAMAGED))
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

static void set_region(struct kl_region *r, uint32_t offset, const uint8_t *raw, uint32_t size,
                       kl_md5_fn *md5)
{
    struct kl_image image = {.raw = raw, .raw_size = size};

    KL_ASSERT(size >= KL_HEAD);
    md5(raw, size, image.md5);
    md5(raw, KL_HEAD, image.head_md5);
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
    /* A region for each page: the loader writes those whose MD5 differs. */
    for (uint32_t at = 0; at < d->size; at += step)
        set_region(&b->region[b->region_count++], d->offset + at, room->image + at,
                   d->size - at < step ? d->size - at : step, md5);
    return true;
}

void kl_nvs_printed(const struct kl_nvs_delivery *d, const struct kl_key *key, kl_sha256_fn *sha256,
                    struct kl_key *out)
{
    struct kl_span field[KL_FIELDS_MAX];
    unsigned count = 0;

    for (unsigned column = 0; column < key->count; column++)
        if (place_of(d->schema, column))
            field[count++] = kl_key_field(key, column);
    bool built = kl_key_build(out, field, count, sha256);
    KL_ASSERT(built); /* it was a key with all its fields, and at least one is written */
}

void kl_nvs_wipe(const struct kl_nvs_delivery *d, struct kl_nvs_room *room)
{
    kl_wipe(&room->printed, sizeof room->printed);
    kl_wipe(room->old, d->size);
    kl_wipe(room->image, d->size);
}
