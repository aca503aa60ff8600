/*
 * nvs.c: the firmware's storage: named values in the NVS partition of the board's own flash, in the
 * very format of the chips' library (docs/esp-serial-protocol.md 7.8), namespace "provision", as
 * firmware/esp-idf uses it. So erasing the flash erases the key, and images written over it destroy
 * it. The firmware also reads what others wrote in that format.
 *
 * The firmware writes a value behind all others, and only then gives up the older one of its name.
 * A full page stays as it is until only one empty page is left. Then the page with the least in it
 * is copied there and erased.
 */
#include <stdlib.h>
#include <string.h>

#include "partitions.h"

enum {
    PAGE = 0x1000,
    ENTRY = 32,
    ENTRIES = 126,
    BITMAP_AT = 32,
    ENTRIES_AT = 64,
    NAME_MAX_SIZE = 15,
    STRING_MAX = (ENTRIES - 1) * ENTRY,

    TYPE_U8 = 0x01,
    TYPE_STRING = 0x21,
    VERSION_2 = 0xFE,

    STATE_EMPTY = 3, /* of an entry, two bits */
    STATE_WRITTEN = 2,
    STATE_ERASED = 0,
};

#define PAGE_EMPTY   0xFFFFFFFFu
#define PAGE_ACTIVE  0xFFFFFFFEu
#define PAGE_FULL    0xFFFFFFFCu
#define PAGE_FREEING 0xFFFFFFF8u

struct storage {
    struct kl_vboard *b;
    uint32_t at, pages;
};

/* One value: where its first entry is. */
struct item {
    uint32_t page, index;
    const uint8_t *entry; /* NULL: there is none */
};

static uint32_t crc_more(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int n = 0; n < 8; n++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return crc;
}

/* The ROM's CRC-32, which begins with all ones. */
static uint32_t crc_of(const uint8_t *data, size_t size)
{
    return ~crc_more(0, data, size);
}

static uint32_t entry_crc(const uint8_t *entry)
{
    return ~crc_more(crc_more(0, entry, 4), entry + 8, ENTRY - 8);
}

static struct storage storage_of(const struct kl_vboard *b)
{
    struct partition p = partitions_nvs(b);
    struct storage s = {(struct kl_vboard *)(uintptr_t)b, p.offset, p.size / PAGE};

    if ((uint64_t)p.offset + p.size > b->flash_size)
        s.pages = 0;
    return s;
}

/* ---- pages ---- */

static const uint8_t *page_at(const struct storage *s, uint32_t page)
{
    return s->b->flash + s->at + page * PAGE;
}

static bool is_blank(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != 0xFF)
            return false;
    return true;
}

static bool page_is_good(const struct storage *s, uint32_t page)
{
    const uint8_t *p = page_at(s, page);
    uint32_t state = get_u32(p);

    return (state == PAGE_ACTIVE || state == PAGE_FULL || state == PAGE_FREEING) &&
           p[8] == VERSION_2 && get_u32(p + 28) == crc_of(p + 4, 24);
}

static bool page_is_empty(const struct storage *s, uint32_t page)
{
    return is_blank(page_at(s, page), PAGE);
}

static unsigned state_of(const struct storage *s, uint32_t page, uint32_t index)
{
    return page_at(s, page)[BITMAP_AT + index / 4] >> index % 4 * 2 & 3u;
}

static void set_state(const struct storage *s, uint32_t page, uint32_t index, unsigned state)
{
    uint32_t at = s->at + page * PAGE + BITMAP_AT + index / 4;
    uint8_t byte = (uint8_t)(s->b->flash[at] & ~((3u & ~state) << index % 4 * 2));

    flash_program(s->b, at, &byte, 1);
}

static uint32_t newest_sequence(const struct storage *s)
{
    uint32_t newest = UINT32_MAX; /* the first one becomes 0 */

    for (uint32_t n = 0; n < s->pages; n++)
        if (page_is_good(s, n) && (newest == UINT32_MAX || get_u32(page_at(s, n) + 4) > newest))
            newest = get_u32(page_at(s, n) + 4);
    return newest;
}

static void begin_page(const struct storage *s, uint32_t page)
{
    uint8_t head[ENTRY];

    memset(head, 0xFF, sizeof head);
    put_u32(head + 4, newest_sequence(s) + 1);
    head[8] = VERSION_2;
    put_u32(head + 28, crc_of(head + 4, 24));
    put_u32(head, PAGE_ACTIVE);
    flash_program(s->b, s->at + page * PAGE, head, sizeof head);
}

static void set_page(const struct storage *s, uint32_t page, uint32_t state)
{
    uint8_t word[4];

    put_u32(word, state);
    flash_program(s->b, s->at + page * PAGE, word, sizeof word);
}

/* ---- reading ---- */

static uint32_t span_of(const uint8_t *entry)
{
    return entry[2] >= 1 && entry[2] <= ENTRIES ? entry[2] : 1;
}

static bool item_is_good(const uint8_t *entry, uint32_t index)
{
    uint32_t size = entry[24] | (uint32_t)entry[25] << 8;

    if (entry[2] < 1 || index + entry[2] > ENTRIES || get_u32(entry + 4) != entry_crc(entry))
        return false;
    if (entry[1] != TYPE_STRING)
        return true;
    return size >= 1 && size <= (entry[2] - 1u) * ENTRY &&
           get_u32(entry + 28) == crc_of(entry + ENTRY, size);
}

/* The next item of a page that was written whole, from `index` on; false at the page's end. */
static bool next_item(const struct storage *s, uint32_t page, uint32_t *index, struct item *out)
{
    for (; *index < ENTRIES; *index += 1) {
        const uint8_t *entry = page_at(s, page) + ENTRIES_AT + *index * ENTRY;
        if (state_of(s, page, *index) != STATE_WRITTEN || !item_is_good(entry, *index))
            continue;
        *out = (struct item){page, *index, entry};
        *index += span_of(entry);
        return true;
    }
    return false;
}

static bool is_named(const uint8_t *entry, uint8_t space, const char *key)
{
    return entry[0] == space && strncmp((const char *)entry + 8, key, NAME_MAX_SIZE + 1) == 0;
}

/* The newest value of this name: the last one on the page with the highest number. */
static struct item find(const struct storage *s, uint8_t space, const char *key)
{
    struct item found = {0, 0, NULL}, item;
    uint32_t newest = 0;

    for (uint32_t page = 0; page < s->pages; page++) {
        uint32_t sequence = get_u32(page_at(s, page) + 4), index = 0;
        if (!page_is_good(s, page) || (found.entry && sequence < newest))
            continue;
        while (next_item(s, page, &index, &item))
            if (is_named(item.entry, space, key)) {
                found = item;
                newest = sequence;
            }
    }
    return found;
}

static const char space_name[] = "provision";

/* The namespace's number; 0 if there is none yet. */
static uint8_t own_space(const struct storage *s)
{
    struct item item = find(s, 0, space_name);

    return item.entry && item.entry[1] == TYPE_U8 ? item.entry[24] : 0;
}

bool nvs_get(const struct kl_vboard *b, const char *key, void *value, size_t *size)
{
    struct storage s = storage_of(b);
    uint8_t space = own_space(&s);
    struct item item = {0, 0, NULL};

    if (space)
        item = find(&s, space, key);
    if (!item.entry)
        return false;
    size_t length = item.entry[1] == TYPE_STRING
                        ? (item.entry[24] | (size_t)item.entry[25] << 8) - 1 /* its NUL */
                        : 1;
    if (length > *size)
        return false;
    memcpy(value, item.entry + (item.entry[1] == TYPE_STRING ? ENTRY : 24), length);
    *size = length;
    return true;
}

/* ---- writing ---- */

bool nvs_clear(struct kl_vboard *b)
{
    struct storage s = storage_of(b);

    if (s.pages == 0)
        return false;
    b->work = b->now;
    flash_erase(b, s.at, s.pages * PAGE);
    return true;
}

/* Where the next entries of a page go. Gives up entries that a power loss left half written. */
static uint32_t free_index(const struct storage *s, uint32_t page)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < ENTRIES; i++) {
        bool blank = is_blank(page_at(s, page) + ENTRIES_AT + i * ENTRY, ENTRY);
        if (state_of(s, page, i) == STATE_EMPTY && !blank)
            set_state(s, page, i, STATE_ERASED);
        if (state_of(s, page, i) != STATE_EMPTY)
            end = i + 1;
    }
    return end;
}

static void give_up(const struct storage *s, const struct item *item)
{
    for (uint32_t i = 0; item->entry && i < span_of(item->entry); i++)
        set_state(s, item->page, item->index + i, STATE_ERASED);
}

static void write_at(const struct storage *s, uint32_t page, uint32_t index, const uint8_t *entries)
{
    uint32_t span = span_of(entries);

    flash_program(s->b, s->at + page * PAGE + ENTRIES_AT + index * ENTRY, entries, span * ENTRY);
    for (uint32_t i = 0; i < span; i++)
        set_state(s, page, index + i, STATE_WRITTEN);
}

static uint32_t live_in(const struct storage *s, uint32_t page)
{
    struct item item;
    uint32_t index = 0, live = 0;

    while (next_item(s, page, &index, &item))
        live += span_of(item.entry);
    return live;
}

static bool move_items(const struct storage *s, uint32_t from, uint32_t to)
{
    struct item item;
    uint32_t index = 0;

    while (next_item(s, from, &index, &item))
        write_at(s, to, free_index(s, to), item.entry);
    flash_erase(s->b, s->at + from * PAGE, PAGE);
    return true;
}

/* Rewrites a storage of one page, as the ESP8266 has it; memory holds the valid values
   meanwhile. */
static bool rewrite_page(const struct storage *s)
{
    uint8_t *copy = malloc(PAGE);
    struct item item;
    uint32_t index = 0, to = 0;

    KL_ASSERT(copy);
    while (page_is_good(s, 0) && next_item(s, 0, &index, &item)) {
        memcpy(copy + to * ENTRY, item.entry, span_of(item.entry) * ENTRY);
        to += span_of(item.entry);
    }
    flash_erase(s->b, s->at, PAGE);
    begin_page(s, 0);
    for (uint32_t i = 0; i < to; i += span_of(copy + i * ENTRY))
        write_at(s, 0, i, copy + i * ENTRY);
    free(copy);
    return true;
}

static uint32_t find_page(const struct storage *s, uint32_t state)
{
    for (uint32_t n = 0; n < s->pages; n++)
        if (state == PAGE_EMPTY ? page_is_empty(s, n)
                                : page_is_good(s, n) && get_u32(page_at(s, n)) == state)
            return n;
    return UINT32_MAX;
}

static uint32_t count_empty(const struct storage *s)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < s->pages; n++)
        count += page_is_empty(s, n);
    return count;
}

/* Makes another page the active one. Erases a partition that is no NVS, as real firmware does. */
static bool next_page(const struct storage *s)
{
    uint32_t active = find_page(s, PAGE_ACTIVE), empty, least = UINT32_MAX;

    if (s->pages == 1 && active == 0)
        return rewrite_page(s);
    if (active != UINT32_MAX)
        set_page(s, active, PAGE_FULL);
    if (newest_sequence(s) == UINT32_MAX && count_empty(s) < s->pages)
        flash_erase(s->b, s->at, s->pages * PAGE);
    for (uint32_t n = 0; n < s->pages; n++) /* not NVS, or torn */
        if (!page_is_good(s, n) && !page_is_empty(s, n))
            flash_erase(s->b, s->at + n * PAGE, PAGE);
    empty = find_page(s, PAGE_EMPTY);
    if (empty == UINT32_MAX)
        return false;
    bool last = count_empty(s) == 1 && s->pages > 1;
    begin_page(s, empty);
    if (!last)
        return true;
    for (uint32_t n = 0; n < s->pages; n++)
        if (n != empty && (least == UINT32_MAX || live_in(s, n) < live_in(s, least)))
            least = n;
    set_page(s, least, PAGE_FREEING);
    return move_items(s, least, empty);
}

/* Finds room for that many entries on the active page. */
static bool make_room(const struct storage *s, uint32_t span, uint32_t *page, uint32_t *index)
{
    for (uint32_t tries = 0; tries <= s->pages + 1; tries++) {
        *page = find_page(s, PAGE_ACTIVE);
        *index = *page == UINT32_MAX ? ENTRIES : free_index(s, *page);
        if (*index + span <= ENTRIES)
            return true;
        if (!next_page(s))
            return false;
    }
    return false;
}

/* Stores a single byte below ' ' as a number, everything else as a string. */
static uint32_t encode(uint8_t space, const char *key, const uint8_t *value, size_t size,
                       uint8_t *out)
{
    bool number = size == 1 && value[0] < ' ';
    uint32_t span = number ? 1 : 1 + (uint32_t)(size + 1 + ENTRY - 1) / ENTRY;

    memset(out, 0xFF, span * ENTRY);
    memset(out + 8, 0, NAME_MAX_SIZE + 1);
    memcpy(out + 8, key, strlen(key));
    out[0] = space;
    out[1] = number ? TYPE_U8 : TYPE_STRING;
    out[2] = (uint8_t)span;
    if (number) {
        out[24] = value[0];
    } else {
        memcpy(out + ENTRY, value, size);
        out[ENTRY + size] = 0;
        out[24] = (uint8_t)(size + 1);
        out[25] = (uint8_t)((size + 1) >> 8);
        put_u32(out + 28, crc_of(out + ENTRY, size + 1));
    }
    put_u32(out + 4, entry_crc(out));
    return span;
}

static bool put_item(const struct storage *s, const uint8_t *entries, uint32_t span)
{
    uint32_t page, index;
    struct item old;

    if (!make_room(s, span, &page, &index))
        return false;
    if (fault_takes(s->b, FAULT_ID_DIES_STORING)) {
        flash_program(s->b, s->at + page * PAGE + ENTRIES_AT + index * ENTRY, entries,
                      span * ENTRY / 2);
        return false;
    }
    old = find(s, entries[0], (const char *)entries + 8);
    write_at(s, page, index, entries);
    give_up(s, &old);
    return true;
}

/* The namespace's number; makes the namespace if there is none. */
static uint8_t make_space(const struct storage *s)
{
    uint8_t entry[ENTRY], space = own_space(s), number = 1;
    uint32_t page, index;

    for (uint32_t n = 0; !space && n < s->pages; n++) {
        struct item item;
        uint32_t at = 0;
        while (page_is_good(s, n) && next_item(s, n, &at, &item))
            if (item.entry[0] == 0 && item.entry[24] >= number)
                number = (uint8_t)(item.entry[24] + 1);
    }
    if (space || !make_room(s, 1, &page, &index))
        return space;
    encode(0, space_name, &number, 1, entry);
    write_at(s, page, index, entry);
    return number;
}

bool nvs_put(struct kl_vboard *b, const char *key, const void *value, size_t size)
{
    static _Thread_local uint8_t entries[(1 + ENTRIES) * ENTRY];
    struct storage s = storage_of(b);
    uint8_t space;

    if (strlen(key) > NAME_MAX_SIZE || size >= STRING_MAX || s.pages == 0)
        return false;
    b->work = b->now;
    space = make_space(&s);
    return space != 0 && put_item(&s, entries, encode(space, key, value, size, entries));
}
