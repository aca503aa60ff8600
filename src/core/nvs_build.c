/*
 * nvs_build.c: an NVS image, byte for byte what Espressif's generator makes of the same values in
 * the same order, where it makes one. Where the builder follows a habit that the format does not
 * ask for, a comment names it.
 */
#include "nvs_value.h"

#include <string.h>

enum {
    ACTIVE = 0xFE,     /* first byte of a page's state; the other three stay 0xFF */
    FULL_STATE = 0xFC, /* no entry is added to the page any more */
    VERSION_2 = 0xFE,
    CHUNK_NONE = 0xFF,
    CHUNKS_MAX = 127, /* the chip's library counts pieces of a blob in seven bits */
};

/* CRC-32 as the chips' ROM computes it when it is told to begin with 0xFFFFFFFF. */
static uint32_t crc_more(uint32_t crc, const uint8_t *data, size_t size)
{
    static const uint32_t of_nibble[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };

    KL_ASSERT(data || !size);
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ of_nibble[crc & 15];
        crc = crc >> 4 ^ of_nibble[crc & 15];
    }
    return crc;
}

static void put32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static void put_crc(uint8_t *out, const uint8_t *data, size_t size)
{
    put32(out, ~crc_more(0, data, size));
}

static uint8_t *page_of(const struct kl_nvs_build *b)
{
    KL_ASSERT(b->page < b->pages);
    return b->image + (size_t)b->page * KL_NVS_PAGE;
}

static uint8_t *entry_of(const struct kl_nvs_build *b, unsigned entry)
{
    KL_ASSERT(entry < KL_NVS_ENTRIES);
    return page_of(b) + KL_NVS_FIRST_ENTRY + (size_t)entry * KL_NVS_ENTRY;
}

static void begin_page(struct kl_nvs_build *b)
{
    uint8_t *page = page_of(b);

    b->entry = 0;
    page[0] = ACTIVE;
    put32(page + 4, b->page);
    page[8] = VERSION_2;
    put_crc(page + 28, page + 4, 24);
}

void kl_nvs_begin(struct kl_nvs_build *b, uint8_t *image, uint32_t size)
{
    KL_ASSERT(size >= KL_NVS_SIZE_MIN && size % KL_NVS_PAGE == 0);
    memset(image, 0xFF, size);
    *b = (struct kl_nvs_build){.image = image, .pages = size / KL_NVS_PAGE - 1};
    begin_page(b);
}

static bool next_page(struct kl_nvs_build *b)
{
    KL_ASSERT(page_of(b)[0] == ACTIVE);
    if (b->page + 1 == b->pages)
        return false;
    page_of(b)[0] = FULL_STATE;
    b->page++;
    begin_page(b);
    return true;
}

/* Marks the next `n` entries as written. */
static void take(struct kl_nvs_build *b, unsigned n)
{
    uint8_t *bitmap = page_of(b) + 32;

    KL_ASSERT(b->entry + n <= KL_NVS_ENTRIES);
    for (; n > 0; n--, b->entry++)
        bitmap[b->entry / 4] &= (uint8_t) ~(1u << 2 * (b->entry % 4));
}

/* Writes the first entry of a value: what stands before its last eight bytes, and the checksum. */
static void put_entry(struct kl_nvs_build *b, uint8_t namespace, enum kl_nvs_type type,
                      unsigned span, uint8_t chunk, const char *name, const uint8_t data[8])
{
    uint8_t *e = entry_of(b, b->entry);
    size_t n = strlen(name);
    uint32_t crc;

    KL_ASSERT(n > 0 && n <= KL_NVS_NAME_MAX && span >= 1 && b->entry + span <= KL_NVS_ENTRIES);
    e[0] = namespace;
    e[1] = (uint8_t)type;
    e[2] = (uint8_t)span;
    e[3] = chunk;
    memset(e + 8, 0, KL_NVS_NAME_MAX + 1);
    memcpy(e + 8, name, n);
    memcpy(e + 24, data, 8);
    crc = crc_more(0, e, 4);
    put32(e + 4, ~crc_more(crc, e + 8, 24));
}

static struct kl_span span_of(const char *name)
{
    KL_ASSERT(name);
    return (struct kl_span){(const uint8_t *)name, strlen(name)};
}

static enum kl_nvs_verdict put_single(struct kl_nvs_build *b, uint8_t namespace, const char *name,
                                      enum kl_nvs_type type, const uint8_t data[8])
{
    if (b->entry == KL_NVS_ENTRIES && !next_page(b))
        return KL_NVS_FULL;
    put_entry(b, namespace, type, 1, CHUNK_NONE, name, data);
    take(b, 1);
    return KL_NVS_OK;
}

/* The number that this image has given to a namespace; 0 = none. */
static uint8_t number_of(const struct kl_nvs_build *b, const char *name)
{
    KL_ASSERT(b->page < b->pages);
    for (uint32_t page = 0; page <= b->page; page++) {
        const uint8_t *e = b->image + (size_t)page * KL_NVS_PAGE + KL_NVS_FIRST_ENTRY;
        for (unsigned i = 0; i < KL_NVS_ENTRIES;) {
            const uint8_t *at = e + (size_t)i * KL_NVS_ENTRY;
            if (at[0] == 0 && at[1] == KL_NVS_U8 && strcmp((const char *)at + 8, name) == 0)
                return at[24];
            i += at[2] >= 1 && at[2] <= KL_NVS_ENTRIES ? at[2] : KL_NVS_ENTRIES;
        }
    }
    return 0;
}

enum kl_nvs_verdict kl_nvs_namespace(struct kl_nvs_build *b, const char *name)
{
    uint8_t data[8] = {0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    enum kl_nvs_verdict v = kl_nvs_check_name(span_of(name));

    if (v != KL_NVS_OK)
        return v;
    b->namespace = number_of(b, name);
    if (b->namespace)
        return KL_NVS_OK;
    if (b->namespace_count == KL_NVS_NAMESPACES_MAX)
        return KL_NVS_NAMESPACES;
    b->namespace = data[0] = ++b->namespace_count;
    return put_single(b, 0, name, KL_NVS_U8, data);
}

enum kl_nvs_verdict kl_nvs_put_number(struct kl_nvs_build *b, const char *name,
                                      enum kl_nvs_type type, const uint8_t data[8])
{
    enum kl_nvs_verdict v = kl_nvs_check_name(span_of(name));

    KL_ASSERT(b->namespace && type < KL_NVS_STRING);
    return v == KL_NVS_OK ? put_single(b, b->namespace, name, type, data) : v;
}

/* Writes `n` bytes behind an entry of their own, which takes `span` entries in all. */
static void put_data(struct kl_nvs_build *b, const char *name, enum kl_nvs_type type, uint8_t chunk,
                     const struct kl_nvs_source *source, size_t offset, size_t n)
{
    unsigned span = 1 + (unsigned)((n + KL_NVS_ENTRY - 1) / KL_NVS_ENTRY);
    uint8_t *bytes = entry_of(b, b->entry) + KL_NVS_ENTRY;
    uint8_t data[8] = {(uint8_t)n, (uint8_t)(n >> 8), 0xFF, 0xFF};

    KL_ASSERT(b->entry + span <= KL_NVS_ENTRIES);
    if (n > 0)
        source->read(source->self, offset, bytes, n);
    put_crc(data + 4, bytes, n);
    put_entry(b, b->namespace, type, span, chunk, name, data);
    take(b, span);
}

/* A string must fit one page. The generator leaves a page's last entry free; the builder uses it
   where the string would find no place otherwise. */
static enum kl_nvs_verdict put_string(struct kl_nvs_build *b, const char *name,
                                      enum kl_nvs_type type, const struct kl_nvs_source *source)
{
    unsigned span = 1 + (unsigned)((source->size + KL_NVS_ENTRY - 1) / KL_NVS_ENTRY);

    if (source->size > KL_NVS_STRING_MAX)
        return KL_NVS_LONG_STRING;
    if (b->entry + span >= KL_NVS_ENTRIES && b->entry > 0 && !next_page(b) &&
        b->entry + span > KL_NVS_ENTRIES)
        return KL_NVS_FULL;
    put_data(b, name, type, CHUNK_NONE, source, 0, source->size);
    return KL_NVS_OK;
}

/* Cuts a blob where pages end; an index after its last piece says how many there are. Like the
   generator it begins a piece even in a page's last entry, where the piece holds nothing. */
static enum kl_nvs_verdict put_blob(struct kl_nvs_build *b, const char *name,
                                    const struct kl_nvs_source *source)
{
    size_t done = 0, room, n;
    unsigned chunks = 0;

    if (b->entry == KL_NVS_ENTRIES && !next_page(b))
        return KL_NVS_FULL;
    do {
        room = (size_t)(KL_NVS_ENTRIES - b->entry - 1) * KL_NVS_ENTRY;
        n = source->size - done < room ? source->size - done : room;
        if (chunks == CHUNKS_MAX)
            return KL_NVS_FULL;
        put_data(b, name, KL_NVS_BLOB_DATA, (uint8_t)chunks++, source, done, n);
        done += n;
        if ((done < source->size || room - n < KL_NVS_ENTRY) && !next_page(b))
            return KL_NVS_FULL;
    } while (done < source->size);

    uint8_t data[8] = {0, 0, 0, 0, (uint8_t)chunks, 0, 0xFF, 0xFF};
    put32(data, (uint32_t)source->size);
    return put_single(b, b->namespace, name, KL_NVS_BLOB, data);
}

enum kl_nvs_verdict kl_nvs_put_bytes(struct kl_nvs_build *b, const char *name,
                                     enum kl_nvs_type type, const struct kl_nvs_source *source)
{
    enum kl_nvs_verdict v = kl_nvs_check_name(span_of(name));

    KL_ASSERT(b->namespace &&
              (type == KL_NVS_STRING || type == KL_NVS_BLOB || type == KL_NVS_BLOB_V1));
    if (v != KL_NVS_OK)
        return v;
    return type == KL_NVS_BLOB ? put_blob(b, name, source) : put_string(b, name, type, source);
}

enum kl_nvs_verdict kl_nvs_put(struct kl_nvs_build *b, const char *name, enum kl_nvs_encoding e,
                               struct kl_span text)
{
    struct nvs_text t = {.encoding = e, .text = text};
    struct kl_nvs_source source;
    enum kl_nvs_verdict v = kl_nvs_check_value(e, text);
    uint8_t data[8];

    if (v != KL_NVS_OK)
        return v;
    if (!nvs_is_number(e)) {
        source = nvs_text_source(&t);
        return kl_nvs_put_bytes(b, name, nvs_type_of(e), &source);
    }
    nvs_number(&t, data);
    v = kl_nvs_put_number(b, name, nvs_type_of(e), data);
    kl_wipe(data, sizeof data);
    return v;
}
