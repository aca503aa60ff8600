/*
 * nvs.c: the firmware's storage: named values in the NVS partition of the board's own flash, so
 * that erasing the flash erases the key, and images written over it destroy it.
 *
 * A log of entries, the newest of a name counts: A5, name length, value length (2), name, value,
 * XOR of all before. A torn entry ends the log.
 */
#include <stdlib.h>
#include <string.h>

#include "partitions.h"

enum {
    MARK = 0xA5,
    ENTRY_MAX = 4 + 255 + 2048 + 1,
};

struct entry {
    const uint8_t *name, *value;
    size_t name_size, value_size, total;
};

static bool entry_at(const struct kl_vboard *b, const struct partition *p, uint32_t at,
                     struct entry *out)
{
    if (at + 5 > p->size || p->offset + p->size > b->flash_size)
        return false;
    const uint8_t *e = b->flash + p->offset + at;
    if (e[0] != MARK)
        return false;
    *out = (struct entry){.name = e + 4, .name_size = e[1], .value_size = e[2] | (size_t)e[3] << 8};
    out->value = out->name + out->name_size;
    out->total = 4 + out->name_size + out->value_size + 1;
    if (out->total > p->size - at)
        return false;
    uint8_t sum = 0;
    for (size_t i = 0; i < out->total; i++)
        sum ^= e[i];
    return sum == 0;
}

/* The end of the log, where the next entry goes. */
static uint32_t log_end(const struct kl_vboard *b, const struct partition *p)
{
    struct entry e;
    uint32_t at = 0;

    while (entry_at(b, p, at, &e))
        at += (uint32_t)e.total;
    return at;
}

bool nvs_get(const struct kl_vboard *b, const char *key, void *value, size_t *size)
{
    struct partition p = partitions_nvs(b);
    struct entry e, found = {.value = NULL};

    for (uint32_t at = 0; entry_at(b, &p, at, &e); at += (uint32_t)e.total)
        if (e.name_size == strlen(key) && memcmp(e.name, key, e.name_size) == 0)
            found = e;
    if (!found.value || found.value_size > *size)
        return false;
    memcpy(value, found.value, found.value_size);
    *size = found.value_size;
    return true;
}

static bool blank_from(const struct kl_vboard *b, const struct partition *p, uint32_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->flash[p->offset + at + i] != 0xFF)
            return false;
    return true;
}

bool nvs_clear(struct kl_vboard *b)
{
    struct partition p = partitions_nvs(b);

    if ((uint64_t)p.offset + p.size > b->flash_size)
        return false;
    b->work = b->now;
    flash_erase(b, p.offset, p.size);
    return true;
}

static bool newest(const struct kl_vboard *b, const struct partition *p, uint32_t at,
                   const struct entry *e)
{
    struct entry other;

    for (at += (uint32_t)e->total; entry_at(b, p, at, &other); at += (uint32_t)other.total)
        if (other.name_size == e->name_size && memcmp(other.name, e->name, e->name_size) == 0)
            return false;
    return true;
}

/* No room, or rubbish where the next entry would go: keep the newest entries only. */
static bool compact(struct kl_vboard *b, const struct partition *p)
{
    uint8_t *kept = malloc(p->size);
    uint32_t used = 0;
    struct entry e;

    KL_ASSERT(kept);
    for (uint32_t at = 0; entry_at(b, p, at, &e); at += (uint32_t)e.total)
        if (newest(b, p, at, &e)) {
            memcpy(kept + used, b->flash + p->offset + at, e.total);
            used += (uint32_t)e.total;
        }
    bool cleared = nvs_clear(b);
    if (cleared)
        flash_program(b, p->offset, kept, used);
    free(kept);
    return cleared;
}

bool nvs_put(struct kl_vboard *b, const char *key, const void *value, size_t size)
{
    struct partition p = partitions_nvs(b);
    uint8_t e[ENTRY_MAX] = {MARK};
    size_t name = strlen(key), total = 4 + name + size + 1;

    if (name > 255 || size > 2048 || total > p.size || (uint64_t)p.offset + p.size > b->flash_size)
        return false;
    e[1] = (uint8_t)name;
    e[2] = (uint8_t)size;
    e[3] = (uint8_t)(size >> 8);
    memcpy(e + 4, key, name);
    memcpy(e + 4 + name, value, size);
    for (size_t i = 0; i + 1 < total; i++)
        e[total - 1] ^= e[i];
    uint32_t at = log_end(b, &p);
    if (at + total > p.size || !blank_from(b, &p, at, total)) {
        if (!compact(b, &p))
            return false;
        at = log_end(b, &p);
        if (at + total > p.size)
            return false;
    }
    b->work = b->now;
    if (fault_takes(b, FAULT_ID_DIES_STORING)) {
        flash_program(b, p.offset + at, e, total / 2);
        return false;
    }
    return flash_program(b, p.offset + at, e, total);
}
