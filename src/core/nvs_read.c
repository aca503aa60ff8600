/*
 * nvs_read.c: reading an NVS image, by the rules of the chips' library: pages follow in the order
 * of their sequence numbers, and of two entries with one name the later one counts. The reader
 * shares nothing with the builder, whose work it proves.
 */
#include "keyline/nvs.h"

#include <string.h>

enum {
    HEADER = 32,
    NEVER_WRITTEN = 3, /* the two bits of an entry in the bitmap */
    WRITTEN = 2,
};

/* First bytes of a page's state; the others are 0xFF. */
enum page_state {
    PAGE_BLANK = 0xFF,
    PAGE_ACTIVE = 0xFE,
    PAGE_FULL = 0xFC,
    PAGE_FREEING = 0xF8,
};

const char *kl_nvs_state_text(enum kl_nvs_state s)
{
    static const char *const texts[KL_NVS_STATE_COUNT] = {
#define X(name, text) [KL_NVS_IS_##name] = text,
        KL_NVS_STATES(X)
#undef X
    };

    KL_ASSERT(s < KL_NVS_STATE_COUNT);
    return texts[s];
}

static uint32_t get16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

/* CRC-32 (reversed polynomial 0xEDB88320) over what `sum` is the checksum of, and `data`. */
static uint32_t checksum(uint32_t sum, const uint8_t *data, size_t size)
{
    static const uint32_t step[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };

    sum = ~sum;
    for (; size > 0; size--, data++) {
        sum = sum >> 4 ^ step[(sum ^ *data) & 15];
        sum = sum >> 4 ^ step[(sum ^ *data >> 4) & 15];
    }
    return ~sum;
}

static uint32_t page_count(struct kl_nvs_image image)
{
    KL_ASSERT(image.data && image.size % KL_NVS_PAGE == 0);
    return image.size / KL_NVS_PAGE;
}

static const uint8_t *page_at(struct kl_nvs_image image, uint32_t page)
{
    KL_ASSERT(page < page_count(image));
    return image.data + (size_t)page * KL_NVS_PAGE;
}

static bool is_blank(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != 0xFF)
            return false;
    return true;
}

static bool page_is_used(const uint8_t *page)
{
    bool state = page[0] == PAGE_ACTIVE || page[0] == PAGE_FULL || page[0] == PAGE_FREEING;

    return state && page[1] == 0xFF && page[2] == 0xFF && page[3] == 0xFF &&
           get32(page + 28) == checksum(0xFFFFFFFFu, page + 4, 24);
}

static unsigned entry_state(const uint8_t *page, unsigned entry)
{
    KL_ASSERT(entry < KL_NVS_ENTRIES);
    return page[HEADER + entry / 4] >> 2 * (entry % 4) & 3;
}

static const uint8_t *entry_at(const uint8_t *page, unsigned entry)
{
    KL_ASSERT(entry < KL_NVS_ENTRIES);
    return page + KL_NVS_FIRST_ENTRY + (size_t)entry * KL_NVS_ENTRY;
}

static bool has_data_behind(const uint8_t *e)
{
    return e[1] == KL_NVS_STRING || e[1] == KL_NVS_BLOB_V1 || e[1] == KL_NVS_BLOB_DATA;
}

static bool type_is_known(uint8_t type)
{
    switch (type) {
    case KL_NVS_U8:
    case KL_NVS_I8:
    case KL_NVS_U16:
    case KL_NVS_I16:
    case KL_NVS_U32:
    case KL_NVS_I32:
    case KL_NVS_U64:
    case KL_NVS_I64:
    case KL_NVS_STRING:
    case KL_NVS_BLOB_V1:
    case KL_NVS_BLOB_DATA:
    case KL_NVS_BLOB:
        return true;
    default:
        return false;
    }
}

/* Does a valid entry begin here? */
static bool head_is_sound(const uint8_t *page, unsigned entry)
{
    const uint8_t *e = entry_at(page, entry);
    uint32_t sum = checksum(checksum(0xFFFFFFFFu, e, 4), e + 8, 24);

    if (get32(e + 4) != sum || !type_is_known(e[1]) || !memchr(e + 8, '\0', KL_NVS_NAME_MAX + 1))
        return false;
    if (e[2] < 1 || e[2] > KL_NVS_ENTRIES - entry)
        return false;
    return e[2] == (has_data_behind(e) ? 1 + (get16(e + 24) + KL_NVS_ENTRY - 1) / KL_NVS_ENTRY : 1);
}

/* Are the bytes that follow the entry `e` whole too? */
static bool data_is_sound(const uint8_t *e)
{
    return !has_data_behind(e) ||
           get32(e + 28) == checksum(0xFFFFFFFFu, e + KL_NVS_ENTRY, get16(e + 24));
}

/* The page that was filled after the one at `walk`; false if there is none. */
static bool next_page(struct kl_nvs_image image, struct kl_nvs_walk *walk)
{
    bool found = false;
    uint32_t seq = 0;

    for (uint32_t i = 0; i < page_count(image); i++) {
        const uint8_t *page = page_at(image, i);
        uint32_t other = page_is_used(page) ? get32(page + 4) : 0;
        if (!page_is_used(page) || (walk->begun && other <= walk->seq))
            continue;
        if (found && other >= seq)
            continue;
        found = true;
        seq = other;
        walk->page = i;
    }
    walk->begun = true;
    walk->seq = seq;
    walk->entry = 0;
    walk->ended = !found;
    return found;
}

/* The next entry that is written and has a right checksum, of whatever kind. */
static const uint8_t *next_entry(struct kl_nvs_image image, struct kl_nvs_walk *walk)
{
    if (!walk->begun && !walk->ended && !next_page(image, walk))
        return NULL;
    while (!walk->ended) {
        const uint8_t *page = page_at(image, walk->page);
        while (walk->entry < KL_NVS_ENTRIES) {
            unsigned at = walk->entry;
            if (entry_state(page, at) == WRITTEN && head_is_sound(page, at)) {
                walk->entry += entry_at(page, at)[2];
                return entry_at(page, at);
            }
            walk->entry++;
        }
        next_page(image, walk);
    }
    return NULL;
}

static bool same_name(const uint8_t *a, const uint8_t *b)
{
    return a[0] == b[0] && strcmp((const char *)a + 8, (const char *)b + 8) == 0;
}

/* Is there a later entry of the same name and type? `walk` stands behind `e`. */
static bool is_superseded(struct kl_nvs_image image, struct kl_nvs_walk walk, const uint8_t *e)
{
    const uint8_t *other;

    while ((other = next_entry(image, &walk)))
        if (other[1] == e[1] && same_name(other, e))
            return true;
    return false;
}

/* The latest piece `chunk` of the blob whose index is `e`. */
static const uint8_t *piece_of(struct kl_nvs_image image, const uint8_t *e, unsigned chunk)
{
    struct kl_nvs_walk walk = {0};
    const uint8_t *other, *found = NULL;

    while ((other = next_entry(image, &walk)))
        if (other[1] == KL_NVS_BLOB_DATA && other[3] == chunk && same_name(other, e) &&
            data_is_sound(other))
            found = other;
    return found;
}

/* Are all pieces of a blob there, and as long as its index says? */
static bool blob_is_whole(struct kl_nvs_image image, const uint8_t *e)
{
    uint32_t size = 0;

    KL_ASSERT(e[1] == KL_NVS_BLOB);
    for (unsigned i = 0; i < e[28]; i++) {
        const uint8_t *piece = piece_of(image, e, e[29] + i);
        if (!piece)
            return false;
        size += get16(piece + 24);
    }
    return size == get32(e + 24);
}

static uint32_t value_size(const uint8_t *e)
{
    if (e[1] == KL_NVS_BLOB)
        return get32(e + 24);
    return has_data_behind(e) ? get16(e + 24) : e[1] & 15u;
}

bool kl_nvs_next(struct kl_nvs_image image, struct kl_nvs_walk *walk, struct kl_nvs_item *out)
{
    const uint8_t *e;

    while ((e = next_entry(image, walk))) {
        if (e[0] == 0 || e[0] == 0xFF || e[1] == KL_NVS_BLOB_DATA)
            continue;
        if (!data_is_sound(e) || (e[1] == KL_NVS_BLOB && !blob_is_whole(image, e)) ||
            is_superseded(image, *walk, e))
            continue;
        *out = (struct kl_nvs_item){
            .namespace = e[0],
            .type = (enum kl_nvs_type)e[1],
            .size = value_size(e),
            .at = (uint32_t)(e - image.data),
        };
        memcpy(out->name, e + 8, sizeof out->name);
        return true;
    }
    return false;
}

bool kl_nvs_namespace_name(struct kl_nvs_image image, uint8_t number, char out[KL_NVS_NAME_MAX + 1])
{
    struct kl_nvs_walk walk = {0};
    const uint8_t *e;
    bool found = false;

    while ((e = next_entry(image, &walk)))
        if (e[0] == 0 && e[1] == KL_NVS_U8 && e[24] == number) {
            memcpy(out, e + 8, KL_NVS_NAME_MAX + 1);
            found = true;
        }
    return found;
}

bool kl_nvs_find(struct kl_nvs_image image, const char *namespace, const char *name,
                 struct kl_nvs_item *out)
{
    struct kl_nvs_walk walk = {0};
    char of[KL_NVS_NAME_MAX + 1];

    KL_ASSERT(namespace && name);
    while (kl_nvs_next(image, &walk, out))
        if (strcmp(out->name, name) == 0 && kl_nvs_namespace_name(image, out->namespace, of) &&
            strcmp(of, namespace) == 0)
            return true;
    return false;
}

/* ---- is it sound? ---- */

struct looked {
    unsigned sound, broken;
    unsigned missing; /* of the broken ones: marked as written, and blank */
};

/* Counts a page's sound and broken entries. */
static void look_at_page(const uint8_t *page, struct looked *found)
{
    for (unsigned i = 0; i < KL_NVS_ENTRIES;) {
        unsigned state = entry_state(page, i);
        bool is_sound =
            state == WRITTEN && head_is_sound(page, i) && data_is_sound(entry_at(page, i));
        /* If power failed between an entry and its mark, the chip skips the entry. */
        bool blank = is_blank(entry_at(page, i), KL_NVS_ENTRY);
        if (is_sound)
            found->sound++;
        else if (state == WRITTEN || (state == NEVER_WRITTEN && !blank))
            found->broken++;
        found->missing += state == WRITTEN && blank;
        i += is_sound ? entry_at(page, i)[2] : 1;
    }
}

enum kl_nvs_state kl_nvs_look(struct kl_nvs_image image)
{
    unsigned used = 0, odd = 0;
    struct looked found = {0};
    struct kl_nvs_walk walk = {0};
    const uint8_t *e;

    for (uint32_t i = 0; i < page_count(image); i++) {
        const uint8_t *page = page_at(image, i);
        if (page_is_used(page)) {
            used++;
            look_at_page(page, &found);
        } else if (!is_blank(page, KL_NVS_PAGE)) {
            odd++;
        }
    }
    if (used == 0)
        return odd ? KL_NVS_IS_FOREIGN : KL_NVS_IS_BLANK;
    /* Cipher fills what is marked as written; a write that was cut short does not. */
    if (found.broken > 0 && found.sound == 0 && found.missing == 0)
        return KL_NVS_IS_ENCRYPTED;
    if (odd || found.broken)
        return KL_NVS_IS_DAMAGED;
    while ((e = next_entry(image, &walk)))
        if (e[1] == KL_NVS_BLOB && !is_superseded(image, walk, e) && !blob_is_whole(image, e))
            return KL_NVS_IS_DAMAGED;
    return KL_NVS_IS_SOUND;
}

/* ---- values ---- */

void kl_nvs_read(struct kl_nvs_image image, const struct kl_nvs_item *item, size_t offset,
                 uint8_t *out, size_t n)
{
    const uint8_t *e = image.data + item->at;

    KL_ASSERT(item->at < image.size && offset <= item->size && n <= item->size - offset);
    if (item->type != KL_NVS_BLOB) {
        memcpy(out, (has_data_behind(e) ? e + KL_NVS_ENTRY : e + 24) + offset, n);
        return;
    }
    for (unsigned i = 0; i < e[28] && n > 0; i++) {
        const uint8_t *piece = piece_of(image, e, e[29] + i);
        KL_ASSERT(piece);
        size_t size = get16(piece + 24);
        if (offset >= size) {
            offset -= size;
            continue;
        }
        size_t part = size - offset < n ? size - offset : n;
        memcpy(out, piece + KL_NVS_ENTRY + offset, part);
        out += part;
        n -= part;
        offset = 0;
    }
    KL_ASSERT(n == 0);
}

/* Reads a value's bytes one after the other without searching the image for each. */
struct bytes {
    struct kl_nvs_image image;
    const struct kl_nvs_item *item;
    size_t from;
    uint8_t held[48];
};

static struct bytes bytes_of(struct kl_nvs_image image, const struct kl_nvs_item *item)
{
    return (struct bytes){.image = image, .item = item, .from = SIZE_MAX};
}

static uint8_t byte_at(struct bytes *b, size_t i)
{
    size_t from = i - i % sizeof b->held, n = b->item->size - from;

    KL_ASSERT(i < b->item->size);
    if (from != b->from)
        kl_nvs_read(b->image, b->item, from, b->held, n < sizeof b->held ? n : sizeof b->held);
    b->from = from;
    return b->held[i - from];
}

static bool is_plain(struct bytes *b, struct kl_span text)
{
    if (b->item->size != text.size + (b->item->type == KL_NVS_STRING))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (byte_at(b, i) != text.data[i])
            return false;
    return b->item->type != KL_NVS_STRING || byte_at(b, text.size) == '\0';
}

static bool is_hex(struct bytes *b, struct kl_span text)
{
    static const char digits[] = "0123456789abcdef";

    if (text.size != 2 * (size_t)b->item->size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i] >= 'A' && text.data[i] <= 'F' ? text.data[i] + 32 : text.data[i];
        if (c != (uint8_t)digits[byte_at(b, i / 2) >> (i % 2 ? 0 : 4) & 15])
            return false;
    }
    return true;
}

static bool is_base64(struct bytes *b, struct kl_span text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (text.size != ((size_t)b->item->size + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        size_t bit = i / 4 * 24 + i % 4 * 6, at = bit / 8;
        unsigned window = at < b->item->size ? (unsigned)byte_at(b, at) << 8 : 0;
        window |= at + 1 < b->item->size ? byte_at(b, at + 1) : 0;
        char expected = at < b->item->size ? digits[window >> (10 - bit % 8) & 63] : '=';
        if (text.data[i] != (uint8_t)expected)
            return false;
    }
    return true;
}

/* Writes a number as `text` has it, decimal or hexadecimal, from its last digit on. */
static bool is_number(struct kl_nvs_image image, const struct kl_nvs_item *item,
                      struct kl_span text)
{
    uint8_t raw[8] = {0};
    uint64_t value = 0;
    size_t begin = text.size && (text.data[0] == '-' || text.data[0] == '+');
    bool negative = text.size && text.data[0] == '-';
    unsigned base = 10;

    KL_ASSERT(item->size >= 1 && item->size <= 8);
    kl_nvs_read(image, item, 0, raw, item->size);
    for (unsigned i = 0; i < item->size; i++)
        value |= (uint64_t)raw[i] << 8 * i;
    kl_wipe(raw, sizeof raw);
    if (item->type & 0x10 && item->size < 8 && value >> (8 * item->size - 1))
        value |= UINT64_MAX << 8 * item->size;
    if (item->type & 0x10 && negative != (value >> 63 != 0) && value != 0)
        return false;
    if (negative)
        value = 0 - value;
    if (text.size - begin > 2 && text.data[begin] == '0' && (text.data[begin + 1] | 32) == 'x') {
        base = 16;
        begin += 2;
    }
    if (begin >= text.size)
        return false;
    for (size_t i = text.size; i > begin; i--, value /= base) {
        uint8_t c = text.data[i - 1] | (text.data[i - 1] >= 'A' ? 32 : 0);
        unsigned digit = (unsigned)(value % base);
        if (c != (digit < 10 ? '0' + digit : 'a' + digit - 10))
            return false;
    }
    return value == 0;
}

bool kl_nvs_equals(struct kl_nvs_image image, const struct kl_nvs_item *item,
                   enum kl_nvs_encoding e, struct kl_span text)
{
    static const enum kl_nvs_type types[KL_NVS_ENCODING_COUNT] = {
        [KL_NVS_AS_U8] = KL_NVS_U8,         [KL_NVS_AS_I8] = KL_NVS_I8,
        [KL_NVS_AS_U16] = KL_NVS_U16,       [KL_NVS_AS_I16] = KL_NVS_I16,
        [KL_NVS_AS_U32] = KL_NVS_U32,       [KL_NVS_AS_I32] = KL_NVS_I32,
        [KL_NVS_AS_U64] = KL_NVS_U64,       [KL_NVS_AS_I64] = KL_NVS_I64,
        [KL_NVS_AS_STRING] = KL_NVS_STRING, [KL_NVS_AS_HEX2BIN] = KL_NVS_BLOB,
        [KL_NVS_AS_BASE64] = KL_NVS_BLOB,   [KL_NVS_AS_BLOB] = KL_NVS_BLOB,
    };

    struct bytes b = bytes_of(image, item);
    bool same;

    KL_ASSERT(e < KL_NVS_ENCODING_COUNT);
    if (item->type != types[e] && !(types[e] == KL_NVS_BLOB && item->type == KL_NVS_BLOB_V1))
        return false;
    switch (e) {
    case KL_NVS_AS_HEX2BIN:
        same = is_hex(&b, text);
        break;
    case KL_NVS_AS_BASE64:
        same = is_base64(&b, text);
        break;
    case KL_NVS_AS_STRING:
    case KL_NVS_AS_BLOB:
        same = is_plain(&b, text);
        break;
    default:
        same = is_number(image, item, text);
    }
    kl_wipe(&b, sizeof b);
    return same;
}
